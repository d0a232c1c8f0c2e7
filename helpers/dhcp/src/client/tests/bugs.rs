//! What broke others, and the rules that no other script shows.

use super::*;
use MessageType::{Ack, Discover, Nak, Offer as Offered, Request};

const TIME: (u8, &[u8]) = (51, &[0, 0, 2, 88]);

/// A client that waits for an ACK.
fn requesting() -> Rig {
    let mut rig = Rig::started(standard());
    rig.hear(&{ rig.last().offer(600) }).unwrap();
    rig
}

/// `kind` of `SERVER` for `OURS` with these raw options, without END or padding.
fn raw(rig: &Rig, kind: MessageType, options: &[u8]) -> Vec<u8> {
    let mut message = rig.last().reply(kind, SERVER, OURS, &[]);
    message.truncate(240);
    message.extend([53, 1, kind as u8, 54, 4, 10, 0, 0, 1, 51, 4, 0, 0, 2, 88]);
    message.extend(options);
    message
}

#[test]
fn cve_2009_0692_every_code_in_every_odd_length_binds_all_the_same() {
    for code in 1..=254u8 {
        for length in [0usize, 1, 3, 5, 255] {
            if matches!(code, 51..=54 | 61) {
                continue;
            }
            let mut rig = requesting();
            let body = std::vec![0x41; length];
            let head = [code, u8::try_from(length).unwrap()];
            let ack = raw(&rig, Ack, &[&head[..], &body].concat());
            rig.hear(&ack).unwrap();
            // Every typed reading, over whatever is there.
            let lease = rig.client.lease().unwrap();
            let _ = (lease.prefix_len(), lease.mtu(), lease.broadcast_address());
            let _ = (lease.routes().count(), lease.default_router(), lease.search_names().count());
            let _ = (lease.fqdn(), lease.host_name(), lease.domain_name(), lease.timezone_name());
            let _ = lease.enterprise_information().count() + lease.encrypted_resolvers().count();
            let shown = lease.options().map(|o| std::format!("{o:?}").len()).sum::<usize>();
            assert!(shown > 0, "{code} {length}");
        }
    }
}

#[test]
fn nuttx_789_pads_at_every_place() {
    let parts: [&[u8]; 4] =
        [&[53, 1, 5], &[54, 4, 10, 0, 0, 1], &[51, 4, 0, 0, 2, 88], &[1, 4, 255, 255, 255, 0]];
    for place in 0..=parts.len() {
        for pads in [1, 7, 300] {
            let mut rig = requesting();
            let mut ack = rig.last().ack(600);
            ack.truncate(240);
            for (i, part) in parts.iter().enumerate() {
                if i == place {
                    ack.extend(std::vec![0; pads]);
                }
                ack.extend(*part);
            }
            rig.hear(&ack).unwrap();
            assert_eq!(rig.client.lease().unwrap().prefix_len(), 24, "{pads} before {place}");
        }
    }
}

#[test]
fn cve_2011_0997_shell_text_never_comes_out_of_a_typed_reading() {
    for text in [&b"a;reboot"[..], b"$(reboot)", b"`reboot`", b"a b", b"a\nb", b"a\0b", b"-rf"] {
        let search = [&[u8::try_from(text.len()).unwrap()][..], text, b"\0"].concat();
        let fqdn = [b"\0\0\0", text].concat();
        let options: [(u8, &[u8]); 5] =
            [(12, text), (15, text), (119, &search), (81, &fqdn), (101, text)];
        let rig = Rig::bound(600, &options);
        let lease = rig.client.lease().unwrap();
        assert!(lease.host_name().is_none() && lease.domain_name().is_none(), "{text:?}");
        assert_eq!(lease.search_names().count(), 0, "{text:?}");
        assert!(lease.fqdn().is_none(), "{text:?}");
        // A zone may begin with `-`; it names a file, and is no argument.
        assert!(lease.timezone_name().is_none() || text == b"-rf", "{text:?}");
    }
}

#[test]
fn systemd_13578_every_message_into_every_buffer_size() {
    let config = Config {
        hostname: Some(b"box"),
        further_options: &[(77, b"\x01u"), (125, &[7; 40])],
        ..standard()
    };
    for anonymous in [false, true] {
        for size in 0..500 {
            let mut rig = Rig::new(1, Config { anonymous, ..config });
            rig.client.start(&mut rig.world.cx());
            let mut buffer = std::vec![0; size];
            let _ = drive(&mut rig.client, &mut rig.world, &mut buffer);
            let too_small = rig.client.counters().get(Tally::BufferTooSmall);
            assert_eq!(rig.world.sent.len() + usize::try_from(too_small).unwrap(), 1, "{size}");
            if anonymous {
                // Headers and the 300 octets of RFC 1542.
                assert_eq!(rig.world.sent.len() == 1, size >= 28 + 300, "{size}");
            }
        }
    }
}

#[test]
fn ten_thousand_junk_packets_in_a_second_send_nothing() {
    let mut rig = Rig::bound(600, &[]);
    rig.call(DhcpClient::link_up);
    let request = rig.last();
    for n in 0..10_000u32 {
        let mut junk = request.nak(SERVER);
        junk[4..8].copy_from_slice(&n.to_be_bytes());
        let _ = rig.hear(&junk);
    }
    assert_eq!((rig.world.sent.len(), rig.client.state()), (1, StateName::Rebooting));
    assert_eq!(rig.client.counters().discarded(Mismatch::WrongXid.into()), 10_000);
}

#[test]
fn slow_and_duplicate_offers() {
    // dnsmasq pings for 3 s before it offers: the OFFER answers the first DISCOVER (rule 4).
    let mut rig = Rig::started(fast());
    let first = rig.last();
    rig.run_until(at(3_200));
    assert!(rig.world.sent.len() > 2);
    rig.hear(&first.offer(600)).unwrap();
    assert_eq!(rig.last().kind(), Request);
    let sent = rig.world.sent.len();
    for _ in 0..1_000 {
        assert_eq!(rig.hear(&first.offer(600)), Err(Mismatch::WrongMessageType.into()));
    }
    assert_eq!(rig.world.sent.len(), sent);
    assert_eq!(rig.client.state(), StateName::Requesting);
}

#[test]
fn rule_4_a_new_xid_for_each_transaction_and_one_for_its_resends() {
    let mut rig = Rig::bound(160, &[(58, &[0, 0, 0, 20]), (59, &[0, 0, 0, 100])]);
    rig.run_until(at(175_000));
    let xids: Vec<u32> = rig.world.sent.iter().map(|s| s.header().xid).collect();
    let kinds: Vec<_> = rig.world.sent.iter().map(Sent::kind).collect();
    assert_eq!(kinds[..4], [Request, Request, Request, Discover]);
    assert_eq!(xids[0], xids[1], "RENEWING");
    assert_ne!(xids[1], xids[2], "REBINDING");
    assert_ne!(xids[2], xids[3], "SELECTING");
}

#[test]
fn rule_45_the_server_is_option_54_and_nothing_else() {
    let mut rig = Rig::started(standard());
    let twist = |mut message: Vec<u8>| {
        message[10..12].copy_from_slice(&[0x7F, 0xFF]); // reserved bits of flags
        message[20..24].copy_from_slice(&[192, 0, 2, 9]); // siaddr
        message[24..28].copy_from_slice(&[192, 0, 2, 8]); // giaddr
        message
    };
    rig.hear(&twist(rig.last().offer(600))).unwrap();
    assert_eq!(rig.last().option(54), Some(SERVER.octets().into()));
    rig.hear(&twist(rig.last().ack(600))).unwrap();
    let lease = rig.client.lease().unwrap();
    assert_eq!(lease.server_identifier(), SERVER);
    assert_eq!(lease.routes().count(), 0, "giaddr is no router (RFC 1542 §3.4)");
    // siaddr 0, as of ISC, Kea and udhcpd: what `Sent::reply` writes anyway.
}

#[test]
fn rule_49_configuration_comes_from_the_ack() {
    let mut rig = Rig::started(standard());
    let offer = [TIME, (6, &[10, 0, 0, 8]), (15, b"offered")];
    rig.hear(&{ rig.last().reply(Offered, SERVER, OURS, &offer) }).unwrap();
    rig.hear(&{ rig.last().reply(Ack, SERVER, OURS, &[TIME, (6, &[10, 0, 0, 9])]) }).unwrap();
    let lease = rig.client.lease().unwrap();
    assert_eq!(lease.dns_servers().next(), Some(Ipv4Addr::new(10, 0, 0, 9)));
    assert!(lease.domain_name().is_none(), "only offered");
}

#[test]
fn rule_37_a_nak_is_heard_by_broadcast_while_renewing_by_unicast() {
    let mut rig = Rig::bound(160, &[(58, &[0, 0, 0, 20])]);
    rig.run_until(at(20_000));
    assert!(rig.last().to.is_some());
    let nak = rig.last().reply(Nak, SERVER, Ipv4Addr::UNSPECIFIED, &[]);
    rig.hear(&nak).unwrap();
    assert!(rig.client.lease().is_none());
}

#[test]
fn rule_47_two_clients_on_two_interfaces_know_nothing_of_each_other() {
    let mut other = Rig::started(Config { mac: Mac([2, 0, 0, 0, 0, 8]), ..standard() });
    let mut rig = Rig::started(standard());
    let offer = rig.last().offer(600);
    assert!(other.hear(&offer).is_err(), "another chaddr and xid");
    rig.hear(&offer).unwrap();
    assert_eq!((other.client.state(), other.world.sent.len()), (StateName::Selecting, 1));
}
