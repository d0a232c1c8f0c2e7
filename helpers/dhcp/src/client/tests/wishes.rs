//! What the client says and asks for beyond an address: names, vendors, IPv6-only, auto-configure,
//! anonymity.

use super::*;
use crate::fqdn::{DnsUpdate, Fqdn};
use MessageType::{Ack, Discover, Inform, Offer as Offered, Request};

const TIME: (u8, &[u8]) = (51, &[0, 0, 2, 88]);
const ZERO: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

#[test]
fn rule_29_81_goes_out_in_place_of_12_and_in_every_request() {
    let fqdn = Some(Fqdn { name: b"box.example.net", update: DnsUpdate::Server });
    let mut rig = Rig::started(Config { fqdn, hostname: Some(b"box"), ..standard() });
    let sent = rig.last().option(81).unwrap();
    assert_eq!(sent, b"\x05\0\0\x03box\x07example\x03net\0");
    rig.hear(&{ rig.last().offer(600) }).unwrap();
    for message in &rig.world.sent {
        assert_eq!((message.option(81).as_ref(), message.option(12)), (Some(&sent), None));
    }
    // A name that can't be sent leaves its place to option 12.
    let fqdn = Some(Fqdn { name: b"not a name", update: DnsUpdate::Server });
    let rig = Rig::started(Config { fqdn, hostname: Some(b"box"), ..standard() });
    assert_eq!((rig.last().option(81), rig.last().option(12)), (None, Some(b"box".into())));
    // In a reply, 81 is there to be preferred.
    let rig = Rig::bound(600, &[(12, b"a"), (81, b"\x04\0\0\x01b\x03net\0")]);
    let lease = rig.client.lease().unwrap();
    assert_eq!(lease.fqdn().map(|f| std::format!("{f}")).as_deref(), Some("b.net"));
    assert_eq!(lease.host_name().map(|n| n.as_str()), Some("a"));
}

#[test]
fn rule_29_47_further_options_as_they_are_but_none_of_the_clients_own() {
    let refused: Vec<u8> = std::vec![0, 12, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 80];
    let refused = [refused, [81, 82, 90, 108, 116, 145, 255].into()].concat();
    let mut all: Vec<(u8, &'static [u8])> = refused.iter().map(|c| (*c, &[9u8][..])).collect();
    let (info, class) = (&[0u8, 0, 0x0D, 0xE9, 1, 7][..], &b"\x01u"[..]);
    all.extend([(77, class), (124, info), (125, info), (43, &[1, 1, 7][..])]);
    let further_options = all.leak();
    let mut rig = Rig::started(Config { further_options, vendor_class: Some(b"v"), ..standard() });
    assert_eq!(rig.last().codes(), [53, 61, 57, 60, 55, 80, 77, 124, 125, 43]);
    assert_eq!(rig.last().option(60), Some(b"v".into()), "its own 60, once");
    rig.hear(&{ rig.last().offer(600) }).unwrap();
    assert_eq!(rig.last().codes(), [53, 61, 50, 54, 57, 60, 55, 77, 124, 125, 43]);
    rig.hear(&{ rig.last().ack(600) }).unwrap();
    rig.call(DhcpClient::release);
    assert_eq!(rig.last().codes(), [53, 61, 54, 56], "Table 5: not in RELEASE");
}

#[test]
fn further_options_that_do_not_fit_cost_only_themselves() {
    let further_options: &'static [(u8, &[u8])] =
        &[(125, &[1; 1300]), (43, &[2; 900]), (77, b"\x01u")];
    let rig = Rig::started(Config { further_options, ..standard() });
    let codes = rig.last().codes();
    assert!(!codes.contains(&125) && codes.contains(&43) && codes.contains(&77), "{codes:?}");
}

fn ipv6() -> Config<'static> {
    Config { ipv6_only_capable: true, ..standard() }
}

#[test]
fn rule_31_108_in_an_offer_stops_for_its_time() {
    for (seconds, expected) in [(0u32, 300), (299, 300), (1_800, 1_800), (u32::MAX, u32::MAX)] {
        for yiaddr in [OURS, ZERO] {
            let mut rig = Rig::started(ipv6());
            let wish = rig.last().option(55).unwrap();
            assert!(wish.contains(&108));
            assert_eq!(rig.last().option(108), None, "never sent itself");
            let options = [TIME, (108, &seconds.to_be_bytes()[..])];
            rig.hear(&{ rig.last().reply(Offered, SERVER, yiaddr, &options) }).unwrap();
            assert_eq!(rig.events(), [Event::Ipv6Only { seconds: expected }]);
            assert_eq!((rig.client.state(), rig.world.open), (StateName::Init, [false; 3]));
            assert_eq!(rig.timeout, Some(at(u64::from(expected) * 1_000)));
            assert_eq!(rig.log(), [(Discover, 0)], "no REQUEST");
        }
    }
}

#[test]
fn rule_31_108_ends_early_when_the_link_comes_up_again() {
    let mut rig = Rig::started(ipv6());
    rig.hear(&{ rig.last().reply(Offered, SERVER, ZERO, &[(108, &[0, 0, 9, 9])]) }).unwrap();
    rig.run_until(at(5_000));
    rig.call(DhcpClient::link_up);
    assert_eq!(rig.log(), [(Discover, 0), (Discover, 5)]);
    let mut rig = Rig::started(ipv6());
    rig.hear(&{ rig.last().reply(Offered, SERVER, ZERO, &[(108, &[0, 0, 0, 9])]) }).unwrap();
    rig.run_until(at(300_000));
    assert_eq!(rig.log(), [(Discover, 0), (Discover, 300)]);
}

#[test]
fn rule_31_108_counts_only_if_asked_for_and_of_length_4() {
    let with_108: [(u8, &[u8]); 2] = [TIME, (108, &[0, 0, 9, 9])];
    let mut rig = Rig::started(standard());
    rig.hear(&{ rig.last().reply(Offered, SERVER, OURS, &with_108) }).unwrap();
    assert_eq!(rig.last().kind(), Request, "not asked for");
    let mut rig = Rig::started(ipv6());
    rig.hear(&{ rig.last().reply(Offered, SERVER, OURS, &[TIME, (108, &[0, 9, 9])]) }).unwrap();
    assert_eq!(rig.last().kind(), Request, "of length 3");
}

#[test]
fn rule_31_108_in_an_ack_counts_in_init_reboot_only() {
    let with_108: [(u8, &[u8]); 2] = [TIME, (108, &[0, 0, 9, 9])];
    let mut rig = Rig::started(ipv6());
    rig.hear(&{ rig.last().offer(600) }).unwrap();
    rig.hear(&{ rig.last().reply(Ack, SERVER, OURS, &with_108) }).unwrap();
    assert_eq!(rig.events(), [Event::Bound]);
    rig.call(DhcpClient::link_up);
    assert_eq!(rig.client.state(), StateName::Rebooting);
    rig.hear(&{ rig.last().reply(Ack, SERVER, OURS, &with_108) }).unwrap();
    let lost = Event::Lost { why: LostReason::Ipv6Only };
    assert_eq!(rig.events(), [lost, Event::Ipv6Only { seconds: 0x909 }]);
    assert_eq!(rig.client.state(), StateName::Init);
}

#[test]
fn rules_24_41_no_address_and_what_the_administrator_wants() {
    let config = Config { ask_auto_configure: true, ..standard() };
    for (value, allowed) in [(0u8, Some(false)), (1, Some(true)), (2, None)] {
        let mut rig = Rig::started(config);
        assert_eq!(rig.last().option(116), Some([1].into()));
        let options: [(u8, &[u8]); 2] = [(116, &[value]), (56, b"no more addresses\0")];
        let heard = rig.hear(&{ rig.last().reply(Offered, SERVER, ZERO, &options) });
        let expected: Vec<_> =
            allowed.map(|allowed| Event::LinkLocal { allowed }).into_iter().collect();
        assert_eq!(rig.events(), expected);
        if allowed.is_some() {
            assert_eq!(heard, Ok(()));
            assert_eq!(rig.client.server_text(), b"no more addresses");
        } else {
            assert_eq!(heard, Err(Mismatch::BadYiaddr.into()));
        }
        // It is no offer: the wait goes on, and a good one counts.
        assert_eq!(rig.client.state(), StateName::Selecting);
        rig.hear(&{ rig.last().offer(600) }).unwrap();
        assert_eq!(rig.last().kind(), Request);
        assert_eq!(rig.last().option(116), None);
    }
}

#[test]
fn rule_41_116_beside_an_address_means_nothing() {
    let mut rig = Rig::started(Config { ask_auto_configure: true, ..standard() });
    rig.hear(&{ rig.last().reply(Offered, SERVER, OURS, &[TIME, (116, &[0])]) }).unwrap();
    assert_eq!((rig.last().kind(), rig.events()), (Request, Vec::new()));
}

#[test]
fn the_reason_of_a_nak_is_kept_as_far_as_it_fits() {
    let mut rig = Rig::started(standard());
    rig.hear(&{ rig.last().offer(600) }).unwrap();
    let nak = rig.last().reply(MessageType::Nak, SERVER, ZERO, &[(56, &[b'x'; 255])]);
    rig.hear(&nak).unwrap();
    assert_eq!(rig.client.server_text(), [b'x'; 96]);
}

fn anonymous() -> Config<'static> {
    Config {
        anonymous: true,
        hostname: Some(b"box"),
        fqdn: Some(Fqdn { name: b"box", update: DnsUpdate::Server }),
        vendor_class: Some(b"v"),
        further_options: &[(77, b"\x01u")],
        ask_auto_configure: true,
        client_identifier: crate::ClientIdentifier::Bytes(b"\0serial number"),
        ..standard()
    }
}

#[test]
fn rule_34_an_anonymous_client_says_what_it_must() {
    let sorted = |sent: &Sent| {
        let mut codes = sent.codes();
        codes.sort_unstable();
        codes
    };
    let mut orders = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let mut rig = Rig::new(seed, anonymous());
        rig.call(DhcpClient::start);
        let discover = rig.last();
        assert_eq!(sorted(&discover), [53, 55, 61]);
        assert_eq!(discover.option(61), Some([1, 2, 0, 0, 0, 0, 7].into()), "01 and the MAC");
        rig.run_until(at(5_000));
        assert_eq!(rig.last().codes(), discover.codes(), "a resend is alike");
        assert_eq!(rig.last().option(55), discover.option(55));
        rig.hear(&{ rig.last().offer(600) }).unwrap();
        assert_eq!(sorted(&rig.last()), [50, 53, 54, 55, 61]);
        orders.insert((discover.codes(), discover.option(55)));
    }
    assert!(orders.len() > 100, "{} orders", orders.len());
}

#[test]
fn rule_34_an_anonymous_client_does_not_say_where_it_was() {
    let mut rig = Rig::bound_with(anonymous(), 600, &[]);
    rig.call(DhcpClient::link_up);
    assert_eq!((rig.last().kind(), rig.last().option(50)), (Discover, None));
    rig.call(DhcpClient::stop);
    rig.call(DhcpClient::start);
    assert_eq!((rig.last().kind(), rig.last().option(50)), (Discover, None));
    let mut rig = Rig::bound_with(anonymous(), 600, &[]);
    rig.run_until(at(600_000));
    assert_eq!(rig.last().kind(), Discover);
    assert_eq!(rig.last().option(50), None, "the expired address");
    let mut rig = Rig::bound_with(anonymous(), 600, &[]);
    rig.call(DhcpClient::release);
    assert_eq!(rig.last().codes(), [53, 61, 54]);
    let mut rig = Rig::new(1, anonymous());
    rig.client.inform(&mut rig.world.cx(), OURS, None);
    rig.drive();
    assert_eq!((rig.last().kind(), rig.last().codes().len()), (Inform, 3));
}

#[test]
fn rule_33_forcerenew_moves_nothing() {
    // CVE-2020-13529: bound, renewing and selecting, by unicast and by broadcast.
    let mut rig = Rig::bound(160, &[(58, &20u32.to_be_bytes()), (59, &100u32.to_be_bytes())]);
    let question = {
        let other = Rig::started(standard());
        other.last()
    };
    let force = question.reply(MessageType::ForceRenew, SERVER, ZERO, &[]);
    assert!(rig.hear(&force).is_err() && rig.hear_datagram(&force).is_err());
    assert!(rig.world.sent.is_empty(), "no packet follows");
    rig.run_until(at(20_000));
    let force = rig.last().reply(MessageType::ForceRenew, SERVER, ZERO, &[]);
    assert_eq!(rig.hear_datagram(&force), Err(Mismatch::WrongMessageType.into()));
    assert_eq!(rig.world.sent.len(), 1);
}

#[test]
fn cve_2024_3661_the_policy_reaches_the_lease() {
    let config = Config { routes: crate::RoutePolicy::DefaultOnly, ..standard() };
    let routes: &[u8] = &[1, 128, 10, 0, 0, 9, 0, 10, 0, 0, 9];
    let rig = Rig::bound_with(config, 600, &[(121, routes)]);
    let lease = rig.client.lease().unwrap();
    assert_eq!(lease.routes().map(|r| r.prefix_len).collect::<Vec<_>>(), [0]);
    assert_eq!(lease.option(121).map(|v| v.bytes()), Some(routes), "raw, all of it");
}
