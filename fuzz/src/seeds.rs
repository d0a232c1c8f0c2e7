//! First inputs: small valid packets, made by the project's own encoders, and short programs for the
//! state machines. `cargo run -p bringup-fuzz --example seeds` writes them into the corpora.

use bringup_core::client::{Mac, Rng};
use bringup_core::wire::Writer;
use bringup_dhcp::code::MessageType;
use bringup_dhcp::frame;
use bringup_dhcp::message::{Header as DhcpHeader, MessageWriter};
use bringup_dns::encode::Encoder;
use bringup_dns::message::{Header, Rcode, Section};
use bringup_dns::record::{Soa, Strings, Svcb};
use bringup_dns::{Class, Name, RData, RecordType};
use bringup_ntp::packet::Packet;

use crate::data::Dice;

/// How many programs of random octets each state machine gets.
const PROGRAMS: u64 = 8;

/// The first inputs: target, file name, octets.
pub fn all() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    let mut add = |target, name: &str, bytes: Vec<u8>| seeds.push((target, name.to_owned(), bytes));
    for (name, bytes) in [("answer", dns_answer()), ("negative", dns_negative())] {
        add("dns_message", name, bytes);
    }
    // RFC 1035 §4.1.4, with its pointers.
    let compressed = b"\0\x01\x80\0\0\0\0\x02\0\0\0\0\x01F\x03ISI\x04ARPA\0\0\x0C\0\x01\0\0\0\x09\
        \0\x08\x03FOO\x01F\xC0\x0E\xC0\x0E\0\x0F\0\x01\0\0\0\x09\0\x04\0\x05\xC0\x21";
    add("dns_message", "compressed", compressed.to_vec());
    // Two records that point at a name; the second one ahead, which is refused.
    let a = b"\0\x01\0\x01\0\0\0\x09\0\x04\xC0\0\x02\x01";
    let head = b"\0\x01\x80\0\0\x01\0\x02\0\0\0\0\x01a\0\0\x01\0\x01\xC0\x0C";
    for (name, target) in [("pointers", 0x0C), ("pointer-ahead", 0xFF)] {
        let second: &[u8] = &[0xC0, target];
        add("dns_message", name, [&head[..], a, second, a].concat());
    }
    add("dns_name", "text", b"\x03\x01a\0www.ex\\.ample\\032.de.".to_vec());
    add("dns_name", "wire", b"\x0D\x03www\x07example\0www.example".to_vec());
    let file = "# comment\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nsearch a.example b\n\
        options ndots:2 timeout:99 rotate use-vc # edns0\n";
    add("dns_resolv_conf", "file", file.as_bytes().to_vec());
    let file = "\x04link127.0.0.1 localhost\n# x\nfe80::1%eth0 link # y\r\n192.0.2.1\thost HOST a.example\n";
    add("dns_hosts", "file", file.as_bytes().to_vec());
    add("dhcp_message", "ack", dhcp_message(MessageType::Ack));
    add("dhcp_message", "overload", dhcp_overload());
    for (name, kind) in [("offer", MessageType::Offer), ("ack", MessageType::Ack)] {
        add("dhcp_frame", name, [vec![0], dhcp_frame(kind)].concat());
    }
    let both = [vec![2], dhcp_frame(MessageType::Offer), dhcp_frame(MessageType::Ack)].concat();
    add("dhcp_frame", "offer-ack", both);
    add("dhcp_frame", "no-checksum", [vec![32], dhcp_frame(MessageType::Offer)].concat());
    // Start, then stop and start at once, as a link that flaps.
    add("dhcp_client", "flapping", [&[0; 4][..], &[2, 0, 0, 0].repeat(8)].concat());
    add("dhcp_snapshot", "router", dhcp_snapshot());
    let odd_field = [&[1, 4, 0, 22][..], &[7; 18], &[9; 20]].concat();
    add("ntp_packet", "odd-field", ntp_packet(&odd_field));
    add("ntp_packet", "request", ntp_packet(&[]));
    add("ntp_packet", "field", ntp_packet(&[&[1, 4, 0, 28][..], &[7; 24]].concat()));
    add("ntp_packet", "mac", ntp_packet(&[9; 20]));
    for target in [
        "core_wire",
        "core_timer",
        "core_state",
        "dns_encode",
        "dns_hosts",
        "dns_stream",
        "dns_resolver",
        "dhcp_encode",
        "dhcp_client",
        "dhcp_snapshot",
        "ntp_timestamp",
        "ntp_accept",
        "ntp_client",
    ] {
        for n in 0..PROGRAMS {
            let mut bytes = vec![0; 120];
            Dice(n).fill(&mut bytes);
            add(target, &format!("dice-{n}"), bytes);
        }
    }
    seeds
}

fn name(text: &str) -> Name {
    Name::from_text(text).expect("a name")
}

fn dns_answer() -> Vec<u8> {
    let (qname, target) = (name("www.example"), name("a.example"));
    let mut buffer = [0; 600];
    let header = Header { id: 0x1234, qr: true, rd: true, ra: true, ..Header::default() };
    let mut e = Encoder::new(&mut buffer, header).expect("it fits");
    e.question(qname.view(), RecordType::A, Class::IN).expect("it fits");
    let srv = RData::Srv { priority: 1, weight: 2, port: 53, target: target.view() };
    for (section, owner, data) in [
        (Section::Answer, &qname, RData::Cname(target.view())),
        (Section::Answer, &target, RData::A([192, 0, 2, 1].into())),
        (Section::Answer, &target, RData::Aaaa([0x2001, 0xDB8, 0, 0, 0, 0, 0, 1].into())),
        (Section::Answer, &qname, RData::Txt(Strings::from_wire(b"\x02hi\0").expect("strings"))),
        (Section::Authority, &target, RData::Ns(target.view())),
        (Section::Authority, &target, RData::Mx { preference: 9, exchange: target.view() }),
        (Section::Additional, &target, srv),
        (
            Section::Additional,
            &target,
            RData::Https(Svcb::new(1, target.view(), b"\0\x03\0\x02\x01\xBB").expect("a binding")),
        ),
        (Section::Additional, &target, RData::Opaque { rtype: RecordType(65_280), bytes: &[1, 2] }),
    ] {
        e.record(section, owner.view(), 300, &data).expect("it fits");
    }
    e.edns(1_232, Rcode::NOERROR, &[0, 10, 0, 1, 7]).expect("it fits");
    e.finish().expect("it fits").to_vec()
}

fn dns_negative() -> Vec<u8> {
    let (qname, zone) = (name("nowhere.example"), name("example"));
    let mut buffer = [0; 300];
    let header = Header { id: 7, qr: true, rcode: 3, ..Header::default() };
    let mut e = Encoder::new(&mut buffer, header).expect("it fits");
    e.question(qname.view(), RecordType::AAAA, Class::IN).expect("it fits");
    let (mname, rname) = (zone.view(), zone.view());
    let (serial, refresh, retry, expire, minimum) = (1, 2, 3, 4, 5);
    let soa = RData::Soa(Soa { mname, rname, serial, refresh, retry, expire, minimum });
    e.record(Section::Authority, zone.view(), 60, &soa).expect("it fits");
    e.finish().expect("it fits").to_vec()
}

fn dhcp_message(kind: MessageType) -> Vec<u8> {
    let mut buffer = [0; 600];
    let header = DhcpHeader::request(Mac([2, 0, 0, 0, 0, 7]), 1).reply([10, 0, 0, 100].into());
    let mut w = MessageWriter::new(&mut buffer, &header, kind).expect("it fits");
    for (code, value) in [
        (54, &[10, 0, 0, 1][..]),
        (51, &[0, 0, 14, 16]),
        (1, &[255, 255, 255, 0]),
        (3, &[10, 0, 0, 1]),
        (6, &[10, 0, 0, 1, 10, 0, 0, 2]),
        (15, b"example.net"),
        (119, b"\x01a\x07example\0\x01b\xC0\x02"),
        (121, &[24, 10, 0, 1, 10, 0, 0, 1, 0, 10, 0, 0, 2]),
        (43, &[1, 1, 7, 0, 255]),
    ] {
        w.option(code, value).expect("it fits");
    }
    w.finish().expect("it fits").to_vec()
}

/// Options in `file` and `sname` as well (RFC 2131 §4.1), and one option in three pieces.
fn dhcp_overload() -> Vec<u8> {
    let mut bytes = dhcp_message(MessageType::Offer);
    bytes.truncate(240);
    bytes.extend([53, 1, 2, 52, 1, 3, 15, 2, b'a', b'.', 255]);
    bytes[44..50].copy_from_slice(&[15, 2, b'c', b'.', 255, 0]);
    bytes[108..113].copy_from_slice(&[15, 1, b'b', 255, 0]);
    bytes
}

fn dhcp_frame(kind: MessageType) -> Vec<u8> {
    let message = dhcp_message(kind);
    let mut buffer = [0; 700];
    frame::payload_area(&mut buffer)[..message.len()].copy_from_slice(&message);
    let (from, to) = ("10.0.0.1:67".parse(), "255.255.255.255:68".parse());
    let (from, to) = (from.expect("an address"), to.expect("an address"));
    frame::seal(&mut buffer, message.len(), from, to).expect("it fits").to_vec()
}

/// A lease for an hour, taken at noon; the target mends the rest.
fn dhcp_snapshot() -> Vec<u8> {
    let mut bytes = vec![0; 69];
    bytes[6] = 3;
    bytes[17..25].copy_from_slice(&[10, 0, 0, 50, 10, 0, 0, 1]);
    bytes[25..35].copy_from_slice(&[10, 0, 0, 1, 2, 0, 0, 0, 0, 1]);
    for (time, seconds) in [(0, 0_i64), (1, 1_800), (2, 3_150), (3, 3_600)] {
        let at = 35 + time * 8;
        bytes[at..at + 8].copy_from_slice(&(seconds * 1_000_000_000).to_be_bytes());
    }
    bytes.extend([1, 0, 4, 255, 255, 255, 0, 3, 0, 4, 10, 0, 0, 1, 6, 0, 4, 10, 0, 0, 2]);
    bytes
}

fn ntp_packet(trailer: &[u8]) -> Vec<u8> {
    let mut bytes = [0; 48];
    Packet::request(0x0102_0304_0506_0708).write(&mut Writer::new(&mut bytes)).expect("it fits");
    [&bytes, trailer].concat()
}
