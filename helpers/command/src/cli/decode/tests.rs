use super::*;

use bringup_core::client::Mac;
use bringup_core::wire::Writer;
use bringup_dhcp::code::{self, MessageType};
use bringup_dhcp::message::{Header, MessageWriter};
use bringup_dns::encode::{self, QueryFlags};
use bringup_dns::{Name, RecordType};
use bringup_ntp::packet::Packet;

fn json(protocol: Protocol, bytes: &[u8]) -> serde_json::Value {
    serde_json::to_value(decode(protocol, bytes).unwrap()).unwrap()
}

#[test]
fn a_dns_query() {
    let name = Name::from_text("a.example").unwrap();
    let flags = QueryFlags { edns_udp_size: Some(1232), ad: false, cd: false };
    let mut buffer = [0; 64];
    let bytes = encode::query(&mut buffer, 7, name.view(), RecordType::AAAA, flags).unwrap();
    let message = json(Protocol::Dns, bytes);
    assert_eq!(
        (&message["id"], &message["qr"], &message["rd"]),
        (&7.into(), &false.into(), &true.into())
    );
    assert_eq!(message["question"]["qname"], "a.example.");
    assert_eq!(message["question"]["qtype"], "AAAA");
    assert_eq!(message["edns"]["udp_size"], 1232);
    let text = decode(Protocol::Dns, bytes).unwrap().to_string();
    assert!(text.starts_with("DNS query, id 7, opcode 0, NOERROR rd\n"), "{text}");
}

#[test]
fn a_dhcp_ack() {
    let mut buffer = [0; 400];
    let header = Header::request(Mac([2, 0, 0, 0, 0, 7]), 0xAB).reply([10, 0, 0, 5].into());
    let mut w = MessageWriter::new(&mut buffer, &header, MessageType::Ack).unwrap();
    w.u32(code::LEASE_TIME, 3600).unwrap();
    w.option(code::SUBNET_MASK, &[255, 255, 255, 0]).unwrap();
    w.option(code::MESSAGE, b"\x1B[2J").unwrap();
    w.option(code::CLASSLESS_ROUTE, &[0, 10, 0, 0, 1]).unwrap();
    w.option(224, &[1, 2]).unwrap();
    let bytes = w.finish().unwrap();
    let message = json(Protocol::Dhcp, bytes);
    assert_eq!((&message["xid"], &message["yiaddr"]), (&0xAB.into(), &"10.0.0.5".into()));
    assert_eq!(message["chaddr"], "02:00:00:00:00:07");
    assert_eq!(message["message_type"], "ACK");
    let values: Vec<_> =
        message["options"].as_array().unwrap().iter().map(|o| &o["value"]).collect();
    assert_eq!(values[..5], ["ACK", "3600 s", "/24", "\\x1b[2J", "0.0.0.0/0 via 10.0.0.1"]);
    assert_eq!(
        (&message["options"][5]["data"], values[5]),
        (&"0102".into(), &serde_json::Value::Null)
    );
    let text = decode(Protocol::Dhcp, bytes).unwrap().to_string();
    assert!(text.contains("51 lease-time         3600 s") && !text.contains('\x1B'), "{text}");
}

#[test]
fn what_a_server_says_of_booting_unless_options_stand_there() {
    let mut buffer = [0; 400];
    let header = Header::request(Mac([2, 0, 0, 0, 0, 7]), 0xAB);
    let w = MessageWriter::new(&mut buffer, &header, MessageType::Ack).unwrap();
    let mut bytes = w.finish().unwrap()[..243].to_vec();
    let neither = json(Protocol::Dhcp, &bytes);
    assert!(neither.get("sname").is_none() && neither.get("bootfile").is_none());
    bytes[44..48].copy_from_slice(b"host");
    bytes[108..236].fill(b'\x1B');
    let message = json(Protocol::Dhcp, &bytes);
    assert_eq!(message["sname"], "host");
    assert_eq!(message["bootfile"], "\\x1b".repeat(128), "it need not end");
    let text = decode(Protocol::Dhcp, &bytes).unwrap().to_string();
    assert!(text.contains(", sname host, file \\x1b"), "{text}");
    for (overload, sname, bootfile) in [(1, true, false), (2, false, true), (3, false, false)] {
        let message = json(Protocol::Dhcp, &[&bytes, &[52, 1, overload, 255][..]].concat());
        let there = |name| message.get(name).is_some();
        assert_eq!((there("sname"), there("bootfile")), (sname, bootfile), "{overload}");
    }
}

#[test]
fn an_option_that_runs_past_the_end_is_said_to() {
    let mut buffer = [0; 400];
    let header = Header::request(Mac([2, 0, 0, 0, 0, 7]), 0xAB);
    let w = MessageWriter::new(&mut buffer, &header, MessageType::Ack).unwrap();
    let whole = w.finish().unwrap()[..243].to_vec();
    assert!(json(Protocol::Dhcp, &whole).get("cut_off").is_none(), "no END is fine");
    for tail in [&[6, 8, 1, 2][..], &[0, 6], &[6, 255]] {
        let message = json(Protocol::Dhcp, &[&whole, tail].concat());
        assert_eq!(message["cut_off"], serde_json::json!([6]), "{tail:?}");
        assert_eq!(message["message_type"], "ACK");
    }
    // Option 52 says that `file` has options, too.
    let mut overloaded = [&whole[..], &[52, 1, 1, 255]].concat();
    overloaded[108 + 126..236].copy_from_slice(&[15, 1]);
    let text = decode(Protocol::Dhcp, &overloaded).unwrap().to_string();
    assert!(text.contains(" 15 domain-name        runs past the end"), "{text}");
}

#[test]
fn what_relays_ask_and_are_told_has_a_type_too() {
    let mut buffer = [0; 400];
    let header = Header::request(Mac([2, 0, 0, 0, 0, 7]), 0xAB);
    let bytes =
        MessageWriter::new(&mut buffer, &header, MessageType::Inform).unwrap().finish().unwrap();
    for (number, name) in [
        (8, Some("INFORM")),
        (10, Some("LEASEQUERY")),
        (13, Some("LEASEACTIVE")),
        (18, Some("TLS")),
        (19, None),
        (0, None),
    ] {
        bytes[242] = number;
        let message = json(Protocol::Dhcp, bytes);
        assert_eq!(message["message_type"].as_str(), name, "{number}");
        assert_eq!(message["options"][0]["value"].as_str(), name, "{number}");
    }
}

#[test]
fn an_ntp_reply() {
    let mut buffer = [0; 48];
    let packet = Packet { stratum: 1, reference_id: *b"GPS\0", ..Packet::request(1) };
    packet.write(&mut Writer::new(&mut buffer)).unwrap();
    let message = json(Protocol::Ntp, &buffer);
    assert_eq!((&message["version"], &message["mode"]), (&4.into(), &3.into()));
    assert_eq!(
        (&message["reference_id"], &message["authentication"]),
        (&"GPS".into(), &"none".into())
    );
    assert_eq!(message["transmit"], "00000000.00000001");
    buffer[12..16].fill(0);
    assert_eq!(json(Protocol::Ntp, &buffer)["reference_id"], "00000000", "no letters at all");
}

#[test]
fn malformed_messages_are_named() {
    let mut cookie = [0; 240];
    cookie[0] = 1;
    for (protocol, bytes, reason) in [
        (Protocol::Dns, &[0; 11][..], "truncated"),
        (Protocol::Dns, &[0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0], "counts"),
        (Protocol::Dhcp, &[1; 239], "truncated"),
        (Protocol::Dhcp, &cookie, "no-cookie"),
        (Protocol::Ntp, &[0x24; 47], "too-short"),
        (Protocol::Ntp, &[], "too-short"),
        // What ntpq sends, and what ntpdc sent.
        (Protocol::Ntp, &[0x16, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], "control-message"),
        (Protocol::Ntp, &[0x17; 192], "control-message"),
        (Protocol::Ntp, &[0x24; 50], "trailer"),
        (Protocol::Ntp, &[0; MESSAGE_LEN_MAX + 1], "too-long"),
    ] {
        assert_eq!(decode(protocol, bytes).map(|_| ()), Err(reason), "{protocol:?}");
    }
}
