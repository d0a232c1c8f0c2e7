//! Start, stop, release, renewal, refused sockets.

use super::*;
use MessageType::{Ack, Discover, Release, Request};

#[test]
fn rule_30_rapid_commit_binds_in_two_messages() {
    let mut rig = Rig::started(standard());
    rig.run_until(at(2_000));
    let options: [(u8, &[u8]); 2] = [(51, &600u32.to_be_bytes()), (80, &[])];
    let ack = rig.last().reply(Ack, SERVER, OURS, &options);
    rig.hear(&ack).unwrap();
    assert_eq!(rig.events(), [Event::Bound]);
    assert_eq!(rig.client.lease().unwrap().requested_at(), at(0), "rule 7: from the DISCOVER");
    assert_eq!(rig.log(), [(Discover, 0)]);
}

#[test]
fn rule_30_rapid_commit_is_taken_only_if_asked_for() {
    let mut rig = Rig::started(Config { rapid_commit: false, ..standard() });
    assert_eq!(rig.last().option(80), None);
    let options: [(u8, &[u8]); 2] = [(51, &600u32.to_be_bytes()), (80, &[])];
    let ack = rig.last().reply(Ack, SERVER, OURS, &options);
    assert_eq!(rig.hear(&ack), Err(Mismatch::WrongMessageType.into()));
    // An OFFER with 80 is a plain OFFER.
    let offer = rig.last().reply(MessageType::Offer, SERVER, OURS, &options);
    rig.hear(&offer).unwrap();
    assert_eq!(rig.client.state(), StateName::Requesting);
}

#[test]
fn a_renewal_by_datagram_and_its_broadcast_copy_count_once() {
    let dns: &[u8] = &[10, 0, 0, 3];
    let mut rig = Rig::bound(600, &[(6, dns), (58, &100u32.to_be_bytes())]);
    rig.run_until(at(100_000));
    assert_eq!(rig.world.open, [true, true, false], "rule 37: hears broadcasts too");
    let ack = rig.last().ack(600);
    rig.hear_datagram(&ack).unwrap();
    assert_eq!(rig.events(), [Event::Renewed { changed: false }]);
    assert_eq!(rig.hear(&ack), Err(Mismatch::Unsolicited.into()));
    assert_eq!(rig.world.open, [false; 3]);
    let lease = rig.client.lease().unwrap();
    assert_eq!(lease.times().unwrap().expires_at, at(700_000));
    let dns: Vec<_> = lease.dns_servers().collect();
    assert_eq!(dns, [Ipv4Addr::new(10, 0, 0, 3)], "rule 24: kept");
}

#[test]
fn rule_10_another_address_in_a_renewal_is_a_new_lease() {
    let mut rig = Rig::bound(600, &[(6, &[10, 0, 0, 3]), (58, &100u32.to_be_bytes())]);
    rig.run_until(at(100_000));
    let elsewhere = Ipv4Addr::new(10, 0, 0, 77);
    let ack = rig.last().reply(Ack, SERVER, elsewhere, &[(51, &600u32.to_be_bytes())]);
    rig.hear_datagram(&ack).unwrap();
    assert_eq!(rig.events(), [Event::Lost { why: LostReason::AddressChanged }, Event::Bound]);
    let lease = rig.client.lease().unwrap();
    assert_eq!(lease.address(), elsewhere);
    assert_eq!(lease.dns_servers().count(), 0, "nothing of the old lease stays");
}

#[test]
fn rule_23_rebinding_takes_any_server() {
    let mut rig = Rig::bound(160, &[(58, &20u32.to_be_bytes()), (59, &100u32.to_be_bytes())]);
    rig.run_until(at(50_000));
    let lease_time: [(u8, &[u8]); 1] = [(51, &160u32.to_be_bytes())];
    let ack = rig.last().reply(Ack, OTHER, OURS, &lease_time);
    assert_eq!(rig.hear(&ack), Err(Mismatch::WrongServer.into()), "RENEWING does not");
    rig.run_until(at(101_000));
    let ack = rig.last().reply(Ack, OTHER, OURS, &lease_time);
    rig.hear(&ack).unwrap();
    assert_eq!(rig.events(), [Event::Renewed { changed: false }]);
    let lease = rig.client.lease().unwrap();
    assert_eq!(lease.server_identifier(), OTHER);
    assert_eq!(lease.times().unwrap().expires_at, at(260_000), "counted from the rebinding");
}

#[test]
fn rule_7_an_ack_to_a_late_resend_makes_nothing_go_out_at_once() {
    let mut rig = Rig::bound(160, &[(58, &20u32.to_be_bytes()), (59, &100u32.to_be_bytes())]);
    rig.run_until(at(80_500));
    let options: [(u8, &[u8]); 3] =
        [(51, &160u32.to_be_bytes()), (58, &20u32.to_be_bytes()), (59, &100u32.to_be_bytes())];
    let ack = rig.last().reply(Ack, SERVER, OURS, &options);
    rig.hear_datagram(&ack).unwrap();
    let times = rig.client.lease().unwrap().times().unwrap();
    assert_eq!(times.expires_at, at(180_000), "from the first send at 20 s");
    assert_eq!(times.renew_at, at(80_500 + 49_750), "T1 at 40 s is over: half of what is left");
    rig.run_until(at(120_000));
    assert_eq!(rig.log(), [(Request, 20), (Request, 80)]);
}

#[test]
fn rule_15_link_down_keeps_the_lease_and_its_clock() {
    let mut rig = Rig::bound(600, &[]);
    rig.run_until(at(100_000));
    rig.call(DhcpClient::stop);
    assert_eq!((rig.client.state(), rig.events().len()), (StateName::Stopped, 0));
    assert!(rig.client.lease().is_some());
    rig.run_until(at(599_999));
    assert!(rig.world.sent.is_empty(), "no sends while the link is down");
    rig.run_until(at(600_000));
    assert_eq!(rig.events(), [Event::Lost { why: LostReason::Expired }]);
    assert_eq!(rig.client.state(), StateName::Stopped);
    rig.call(DhcpClient::start);
    assert_eq!(rig.log(), [(Discover, 600)]);
    assert_eq!(rig.last().option(50), Some(OURS.octets().into()));
}

#[test]
fn rule_11_link_up_again_confirms_the_lease_by_init_reboot() {
    let mut rig = Rig::bound(600, &[]);
    rig.run_until(at(100_000));
    rig.call(DhcpClient::stop);
    rig.run_until(at(102_000));
    rig.call(DhcpClient::start);
    assert_eq!(rig.client.state(), StateName::Rebooting);
    let request = rig.last();
    assert_eq!((request.kind(), request.to), (Request, None));
    assert_eq!(request.codes(), [53, 61, 50, 57, 55], "50, and no 54");
    assert_eq!(request.header().ciaddr, Ipv4Addr::UNSPECIFIED);
    let time: [(u8, &[u8]); 1] = [(51, &600u32.to_be_bytes())];
    let wrong = request.reply(Ack, OTHER, Ipv4Addr::new(10, 0, 0, 99), &time);
    assert_eq!(rig.hear(&wrong), Err(Mismatch::WrongYiaddr.into()));
    let ack = request.reply(Ack, OTHER, OURS, &time);
    rig.hear(&ack).unwrap();
    assert_eq!(rig.events(), [Event::Renewed { changed: false }]);
    assert_eq!(rig.client.lease().unwrap().server_identifier(), OTHER, "any server may");
}

#[test]
fn rule_11_silence_leads_to_discover_with_50_and_keeps_the_lease() {
    let mut rig = Rig::bound(600, &[]);
    rig.call(DhcpClient::stop);
    rig.call(DhcpClient::start);
    rig.run_until(at(14_000));
    let kinds: Vec<_> = rig.log().iter().map(|(k, _)| *k).collect();
    assert_eq!(kinds, [Request, Request, Discover]);
    assert_eq!(rig.last().option(50), Some(OURS.octets().into()));
    assert!(rig.client.lease().is_some(), "MAY be used until it expires");
    // Another network: another address.
    let elsewhere = Ipv4Addr::new(192, 168, 1, 5);
    let time: [(u8, &[u8]); 1] = [(51, &600u32.to_be_bytes())];
    rig.hear(&{ rig.last().reply(MessageType::Offer, OTHER, elsewhere, &time) }).unwrap();
    assert_eq!(rig.events(), [], "an OFFER takes nothing away");
    rig.hear(&{ rig.last().reply(Ack, OTHER, elsewhere, &time) }).unwrap();
    assert_eq!(rig.events(), [Event::Lost { why: LostReason::AddressChanged }, Event::Bound]);
}

#[test]
fn rule_11_nak_from_any_server_while_rebooting() {
    let mut rig = Rig::new(1, fast());
    rig.client.start_with(&mut rig.world.cx(), OURS);
    rig.drive();
    assert_eq!(rig.client.state(), StateName::Rebooting);
    rig.hear(&{ rig.last().nak(OTHER) }).unwrap();
    assert_eq!(rig.events(), [Event::Nak { server: OTHER }]);
    rig.run_until(at(1_000));
    assert_eq!(rig.last().kind(), Discover);
    assert_eq!(rig.last().option(50), None, "the refused address is not asked for again");
}

#[test]
fn a_remembered_lease_takes_one_round_trip() {
    let mut rig = Rig::new(1, fast());
    rig.client.start_with(&mut rig.world.cx(), OURS);
    rig.drive();
    rig.hear(&{ rig.last().ack(600) }).unwrap();
    assert_eq!(rig.events(), [Event::Bound]);
    assert_eq!(rig.log(), [(Request, 0)]);
    let mut rig = Rig::new(1, fast());
    rig.client.start_with(&mut rig.world.cx(), Ipv4Addr::BROADCAST);
    rig.drive();
    assert_eq!(rig.log(), [(Discover, 0)], "no host has that address");
}

#[test]
fn rule_14_release() {
    let mut rig = Rig::bound(600, &[]);
    rig.call(DhcpClient::release);
    let release = rig.last();
    assert_eq!((release.kind(), rig.world.sent.len()), (Release, 1));
    assert_eq!(release.codes(), [53, 61, 54, 56]);
    assert_eq!(release.to, Some(SocketAddr::V4(SocketAddrV4::new(SERVER, 67))));
    let header = release.header();
    assert_eq!((header.ciaddr, header.secs, header.flags), (OURS, 0, 0));
    assert_eq!(rig.events(), [Event::Lost { why: LostReason::Released }]);
    assert_eq!((rig.client.state(), rig.world.open), (StateName::Stopped, [false; 3]));
    assert_eq!(rig.timeout, None);
    rig.call(DhcpClient::release);
    assert_eq!((rig.events(), rig.world.sent.len()), (Vec::new(), 1), "twice is once");
}

#[test]
fn rule_14_release_goes_out_at_once_from_an_empty_bucket() {
    let conflict_detection = ConflictDetection::Short;
    let mut rig = Rig::bound_with(Config { conflict_detection, ..standard() }, 600, &[]);
    // DISCOVER, REQUEST and two probes were four; the program ends, and nobody comes back later.
    rig.run_until(at(300));
    assert!(rig.client.counters().get(Tally::Throttled) > 0, "the third probe waits");
    rig.call(DhcpClient::release);
    assert_eq!((rig.last().kind(), rig.last().at), (Release, at(300)));
    assert_eq!(rig.events(), [Event::Lost { why: LostReason::Released }]);
    assert_eq!((rig.client.state(), rig.world.open), (StateName::Stopped, [false; 3]));
    assert_eq!(rig.timeout, None);
    // It was owed: what is earned by 500 ms pays for it, and the next token comes at 1 s.
    rig.call(DhcpClient::start);
    assert_eq!(rig.world.sent.len(), 1);
    rig.run_until(at(999));
    assert_eq!(rig.world.sent.len(), 1);
    rig.run_until(at(1_000));
    assert_eq!((rig.last().kind(), rig.last().at), (Discover, at(1_000)));
}

#[test]
fn leases_taken_and_released_in_a_row_owe_no_more_than_one() {
    let mut rig = Rig::new(1, standard());
    let options: [(u8, &[u8]); 2] = [(51, &600u32.to_be_bytes()), (80, &[])];
    for round in 0..50 {
        rig.call(DhcpClient::start);
        while rig.world.sent.len() == 2 * round {
            rig.run_until(rig.timeout.unwrap());
        }
        let ack = rig.last().reply(Ack, SERVER, OURS, &options);
        rig.hear(&ack).unwrap();
        rig.call(DhcpClient::release);
        assert_eq!((rig.last().kind(), rig.client.state()), (Release, StateName::Stopped));
        assert_eq!(rig.last().at, rig.world.now, "none of them waits");
    }
    let sent = &rig.world.sent;
    for (i, first) in sent.iter().enumerate() {
        for (n, last) in sent.iter().enumerate().skip(i) {
            let owed = usize::from(last.kind() == Release);
            let earned = usize::try_from(last.at.since(first.at).as_millis() / 500).unwrap();
            assert!(n - i < 4 + earned + owed, "{i} to {n}");
        }
    }
}

#[test]
fn release_goes_on_where_the_platform_refuses() {
    for (opens, sends) in [(true, false), (false, true)] {
        let mut rig = Rig::bound(600, &[]);
        (rig.world.refuse_open, rig.world.refuse_sends) = ([opens; 3], sends);
        rig.call(DhcpClient::release);
        assert_eq!(rig.events(), [Event::Lost { why: LostReason::Released }]);
        assert_eq!(rig.client.state(), StateName::Stopped);
        assert!(rig.client.counters().get(Tally::SendFailed) > 0);
    }
}

#[test]
fn a_refused_socket_is_tried_again_at_the_next_deadline() {
    let mut rig = Rig::new(1, standard());
    rig.world.refuse_open = [true; 3];
    rig.call(DhcpClient::start);
    assert_eq!(rig.client.counters().get(Tally::SendFailed), 1, "once, not in circles");
    rig.world.refuse_open = [false; 3];
    rig.run_until(at(2_900));
    assert!(rig.world.sent.is_empty());
    rig.run_until(at(5_000));
    assert_eq!(rig.world.sent.len(), 1);
    assert_eq!(rig.last().header().secs, 0, "the first that went out");
}

#[test]
fn a_refused_socket_is_tried_again_when_the_link_comes_back() {
    let mut rig = Rig::new(1, standard());
    rig.world.refuse_open = [true; 3];
    rig.call(DhcpClient::start);
    rig.call(DhcpClient::stop);
    rig.world.refuse_open = [false; 3];
    rig.call(DhcpClient::start);
    assert_eq!(rig.log(), [(Discover, 0)]);
}

#[test]
fn a_buffer_that_is_too_small_is_counted_and_does_not_spin() {
    let mut rig = Rig::new(1, standard());
    rig.client.start(&mut rig.world.cx());
    let mut small = [0; 300];
    let timeout = drive(&mut rig.client, &mut rig.world, &mut small);
    assert_eq!(rig.client.counters().get(Tally::BufferTooSmall), 1);
    assert!(timeout.unwrap() >= at(3_000));
    // Any message there is fits into TRANSMIT_LEN.
    let config = Config {
        hostname: Some(&[b'h'; 255]),
        vendor_class: Some(&[b'v'; 255]),
        client_identifier: crate::ClientIdentifier::Bytes(&[1; 255]),
        parameter_request: (0..=u8::MAX).collect::<Vec<u8>>().leak(),
        ..standard()
    };
    let mut rig = Rig::started(config);
    rig.hear(&{ rig.last().offer(600) }).unwrap();
    assert_eq!(rig.log(), [(Discover, 0), (Request, 0)]);
}

#[test]
fn start_while_running_and_stop_while_stopped_do_nothing() {
    let mut rig = Rig::started(standard());
    rig.call(DhcpClient::start);
    assert_eq!(rig.world.sent.len(), 1);
    rig.call(DhcpClient::stop);
    rig.call(DhcpClient::stop);
    assert_eq!((rig.timeout, rig.world.open), (None, [false; 3]));
}

#[test]
fn starts_in_a_row_stay_within_the_bucket() {
    let mut rig = Rig::new(1, fast());
    for _ in 0..1_000 {
        rig.call(DhcpClient::start);
        rig.call(DhcpClient::stop);
    }
    assert_eq!(rig.world.sent.len(), 4);
    rig.call(DhcpClient::start);
    rig.run_until(at(499));
    assert_eq!(rig.world.sent.len(), 4);
    rig.run_until(at(500));
    assert_eq!(rig.world.sent.len(), 5, "what was held back goes out as soon as it may");
}

#[test]
fn rule_34_another_link_address_is_another_client() {
    let new = Mac([2, 0, 0, 0, 0, 8]);
    let change = |client: &mut DhcpClient<'static>, cx: &mut Cx<'_>| {
        client.set_link_address(cx, Mac([2, 0, 0, 0, 0, 8]));
    };
    let mut rig = Rig::bound(600, &[]);
    rig.call(|client, cx| client.set_link_address(cx, MAC));
    assert!(rig.events().is_empty() && rig.client.lease().is_some(), "it is the same");
    let before = rig.world.sent.len();
    rig.call(change);
    assert_eq!(rig.events(), [Event::Lost { why: LostReason::LinkAddress }]);
    assert_eq!(rig.world.sent.len(), before + 1);
    let discover = rig.last();
    assert_eq!(discover.kind(), MessageType::Discover);
    let message = Message::parse(&discover.bytes).unwrap();
    assert_eq!(message.header.chaddr[..6], new.0);
    assert_eq!(message.first(61).map(|v| v.0), Some(&[1, 2, 0, 0, 0, 0, 8][..]));
    assert!(message.first(50).is_none(), "whose address that was is nobody's business");
    rig.hear(&discover.offer(600)).unwrap();
    rig.hear(&{ rig.last().ack(600) }).unwrap();
    assert_eq!(rig.events(), [Event::Bound]);

    // While the link is down, as most interfaces want it.
    let mut rig = Rig::bound(600, &[]);
    rig.call(DhcpClient::stop);
    rig.call(change);
    assert_eq!(rig.events(), [Event::Lost { why: LostReason::LinkAddress }]);
    let before = rig.world.sent.len();
    rig.call(DhcpClient::start);
    assert_eq!((rig.world.sent.len(), rig.last().kind()), (before + 1, MessageType::Discover));
}
