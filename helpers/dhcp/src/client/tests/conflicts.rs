//! Somebody else has the address: RFC 5227, and DECLINE.

use super::*;
use crate::arp::Operation;
use MessageType::{Decline, Discover, Request};

const THEIRS: Mac = Mac([2, 0, 0, 0, 0, 99]);
const ZERO: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

fn with(mode: ConflictDetection) -> Config<'static> {
    Config { conflict_detection: mode, ..standard() }
}

/// A packet of somebody who has our address.
fn theirs() -> Arp {
    Arp { operation: Operation::Reply, ..Arp::request(THEIRS, OURS, SERVER) }
}

/// Times since the start, in ms, and packets.
fn arps(rig: &Rig) -> Vec<(u64, Arp)> {
    let shown = |&(time, to, arp): &(Instant, Mac, Arp)| {
        assert_eq!(to, Mac::BROADCAST);
        (time.since(at(0)).as_millis(), arp)
    };
    rig.world.arps.iter().map(shown).collect()
}

/// A strict client that has an ACK, at time 0.
fn probing(seed: u64) -> Rig {
    let mut rig = Rig::new(seed, with(ConflictDetection::Strict));
    rig.call(DhcpClient::start);
    rig.hear(&{ rig.last().offer(600) }).unwrap();
    rig.hear(&{ rig.last().ack(600) }).unwrap();
    assert_eq!((rig.client.state(), rig.events()), (StateName::Probing, Vec::new()));
    assert!(rig.client.lease().is_none());
    rig.world.sent.clear();
    rig
}

#[test]
fn rules_35_42_strict_probes_before_use_and_announces() {
    for seed in 0..50 {
        let mut rig = probing(seed);
        while rig.client.state() == StateName::Probing {
            assert_eq!(rig.events(), [], "not before it is known to be free");
            rig.run_until(rig.timeout.unwrap());
        }
        let bound = rig.world.now.since(at(0)).as_millis();
        assert_eq!(rig.events(), [Event::Bound]);
        assert!((4_000..=7_000).contains(&bound), "{bound}");
        assert_eq!(rig.client.lease().unwrap().requested_at(), at(0), "rule 7");
        rig.run_until(at(20_000));
        let arps = arps(&rig);
        let times: Vec<u64> = arps.iter().map(|(t, _)| *t).collect();
        assert!(times[0] <= 1_000, "PROBE_WAIT: {times:?}");
        for pair in times[..3].windows(2) {
            assert!((1_000..=2_000).contains(&(pair[1] - pair[0])), "{times:?}");
        }
        assert_eq!(times[3], bound, "ANNOUNCE_WAIT is over: usable at the first announcement");
        assert_eq!((times[3] - times[2], times[4] - times[3]), (2_000, 2_000), "{times:?}");
        assert_eq!(times.len(), 5);
        for (i, (_, arp)) in arps.iter().enumerate() {
            // Rule 42: sender 0 in a probe; an announcement is a request.
            let sender = if i < 3 { ZERO } else { OURS };
            assert_eq!(*arp, Arp::request(MAC, sender, OURS), "{i}");
        }
        assert!(rig.world.open[2], "and it is watched from now on");
    }
}

#[test]
fn rule_35_short_is_not_on_the_critical_path() {
    let mut rig = Rig::bound_with(with(ConflictDetection::Short), 600, &[]);
    assert_eq!(rig.world.now, at(0));
    rig.run_until(at(10_000));
    let times: Vec<u64> = arps(&rig).iter().map(|(t, _)| *t).collect();
    // The third probe waits for the bucket: DISCOVER, REQUEST and two probes were four.
    assert_eq!(times, [0, 150, 500, 1_000, 3_000]);
    assert!(!rig.world.open[2], "it listens no longer than it speaks");
    assert_eq!(rig.events(), []);
}

#[test]
fn rule_35_off_sends_no_arp() {
    let mut rig = Rig::bound_with(with(ConflictDetection::Off), 600, &[]);
    rig.run_until(at(10_000));
    assert!(rig.world.arps.is_empty());
}

#[test]
fn rule_35_what_is_a_conflict_while_probing() {
    let probe = Arp::request(THEIRS, ZERO, OURS);
    let rows = [
        ("a reply from it", theirs(), true),
        ("a request from it", Arp::request(THEIRS, OURS, SERVER), true),
        ("an announcement", Arp::request(THEIRS, OURS, OURS), true),
        ("a probe for it", probe, true),
        ("our own probe, echoed", Arp { sender_mac: MAC, ..probe }, false),
        ("our own announcement, echoed", Arp { sender_mac: MAC, ..theirs() }, false),
        ("a question about it", Arp::request(THEIRS, SERVER, OURS), false),
        ("a probe for another", Arp::request(THEIRS, ZERO, SERVER), false),
        ("somebody else", Arp::request(THEIRS, SERVER, OTHER), false),
    ];
    for (name, arp, is_conflict) in rows {
        let mut rig = probing(1);
        rig.run_until(at(1_500));
        let heard = rig.hear_arp(arp);
        if is_conflict {
            assert_eq!(heard, Ok(()), "{name}");
            assert_eq!(rig.last().kind(), Decline, "{name}");
            assert_eq!(rig.events(), [Event::Conflict { address: OURS, by: THEIRS }], "{name}");
        } else {
            assert_eq!(heard, Err(Mismatch::ArpUnrelated.into()), "{name}");
            rig.run_until(at(7_000));
            assert_eq!(rig.events(), [Event::Bound], "{name}");
        }
    }
}

#[test]
fn rule_13_decline_by_the_table_then_ten_seconds_of_quiet() {
    let mut rig = Rig::bound_with(with(ConflictDetection::Short), 600, &[]);
    rig.run_until(at(400));
    rig.hear_arp(theirs()).unwrap();
    let conflict = Event::Conflict { address: OURS, by: THEIRS };
    assert_eq!(rig.events(), [conflict, Event::Lost { why: LostReason::Conflict }]);
    assert!(rig.client.lease().is_none());
    rig.run_until(at(1_000));
    let decline = rig.last();
    assert_eq!((decline.kind(), decline.to, decline.source), (Decline, None, Some(ZERO)));
    assert_eq!(decline.codes(), [53, 61, 50, 54, 56], "no 12, 51, 55, 57, 60");
    assert_eq!(decline.option(50), Some(OURS.octets().into()));
    assert_eq!(decline.option(54), Some(SERVER.octets().into()));
    let header = decline.header();
    assert_eq!((header.ciaddr, header.secs, header.flags), (ZERO, 0, 0));
    let declined = decline.at;
    rig.run_until(declined + Duration::from_micros(9_999_999));
    assert_eq!(rig.world.sent.len(), 1, "quiet");
    // A flap of the link is no way round it.
    rig.call(DhcpClient::stop);
    rig.call(DhcpClient::start);
    assert_eq!(rig.world.sent.len(), 1, "quiet still");
    rig.run_until(declined + Duration::from_secs(10));
    assert_eq!(rig.last().kind(), Discover);
    assert_eq!(rig.last().option(50), None, "the refused address is not asked for");
}

#[test]
fn rules_6_13_losers_are_asked_after_a_conflict_but_not_for_the_same_address() {
    let offer_window = Duration::from_secs(1);
    let mut rig = Rig::started(Config { offer_window, ..with(ConflictDetection::Strict) });
    let time: (u8, &[u8]) = (51, &[0, 0, 2, 88]);
    let better: [(u8, &[u8]); 2] = [time, (6, &[10, 0, 0, 3])];
    let third = Ipv4Addr::new(10, 0, 0, 3);
    let elsewhere = Ipv4Addr::new(10, 0, 0, 60);
    for (server, address, options) in
        [(SERVER, OURS, &better[..]), (OTHER, OURS, &better), (third, elsewhere, &[time])]
    {
        let offer = rig.last().reply(MessageType::Offer, server, address, options);
        rig.hear(&offer).unwrap();
    }
    rig.run_until(at(1_000));
    assert_eq!(rig.last().option(54), Some(SERVER.octets().into()));
    rig.hear(&{ rig.last().ack(600) }).unwrap();
    rig.hear_arp(theirs()).unwrap();
    assert_eq!(rig.last().kind(), Decline);
    rig.run_until(at(11_000));
    assert_eq!(rig.last().kind(), Request);
    assert_eq!(rig.last().option(50), Some(elsewhere.octets().into()));
}

/// One round of DISCOVER, OFFER, ACK and conflict; how long the quiet after it was, in s.
fn declined_round(rig: &mut Rig) -> u64 {
    assert_eq!(rig.last().kind(), Discover);
    rig.hear(&{ rig.last().offer(600) }).unwrap();
    rig.hear(&{ rig.last().ack(600) }).unwrap();
    rig.run_until(rig.world.now + Duration::from_secs(1));
    rig.hear_arp(theirs()).unwrap();
    rig.run_until(rig.world.now + Duration::from_secs(2));
    let declined = rig.last();
    assert_eq!(declined.kind(), Decline);
    while rig.last().kind() == Decline {
        rig.run_until(rig.timeout.unwrap());
    }
    rig.last().at.since(declined.at).as_secs()
}

#[test]
fn rule_13_after_ten_conflicts_once_a_minute() {
    let mut rig = Rig::started(with(ConflictDetection::Strict));
    for n in 1..=12 {
        let expected = if n < 10 { 10 } else { 60 };
        assert_eq!(declined_round(&mut rig), expected, "conflict number {n}");
    }
    // An address that turns out to be free ends the row.
    rig.hear(&{ rig.last().offer(600) }).unwrap();
    rig.hear(&{ rig.last().ack(600) }).unwrap();
    rig.run_until(rig.world.now + Duration::from_secs(100));
    assert_eq!(rig.client.state(), StateName::Bound);
    rig.hear_arp(theirs()).unwrap();
    rig.hear_arp(theirs()).unwrap();
    rig.run_until(rig.world.now + Duration::from_secs(10));
    assert_eq!(rig.last().kind(), Discover);
}

#[test]
fn rule_40_defends_once_then_gives_up() {
    let mut rig = probing(1);
    rig.run_until(at(100_000));
    rig.events();
    rig.world.arps.clear();
    let conflict = Event::Conflict { address: OURS, by: THEIRS };
    rig.hear_arp(theirs()).unwrap();
    assert_eq!(rig.events(), [conflict]);
    assert_eq!(arps(&rig), [(100_000, Arp::request(MAC, OURS, OURS))], "one defence");
    // Ten seconds later it is a first one again.
    rig.run_until(at(110_000));
    rig.hear_arp(theirs()).unwrap();
    assert_eq!((rig.events(), rig.world.arps.len()), ([conflict].into(), 2));
    rig.run_until(at(119_999));
    rig.hear_arp(theirs()).unwrap();
    assert_eq!(rig.events(), [conflict, Event::Lost { why: LostReason::Conflict }]);
    assert_eq!((rig.last().kind(), rig.world.arps.len()), (Decline, 2));
    assert!(!rig.world.open[2]);
}

#[test]
fn rule_40_a_probe_by_another_is_for_the_kernel_to_answer() {
    let mut rig = probing(1);
    rig.run_until(at(100_000));
    let probe = Arp::request(THEIRS, ZERO, OURS);
    assert_eq!(rig.hear_arp(probe), Err(Mismatch::ArpUnrelated.into()));
}

#[test]
fn rule_40_probes_again_after_the_link_was_gone_and_never_in_a_renewal() {
    let config = with(ConflictDetection::Strict);
    let mut rig = probing(1);
    rig.run_until(at(20_000));
    rig.events();
    assert_eq!(rig.world.arps.len(), 5);
    rig.call(DhcpClient::stop);
    assert!(!rig.world.open[2]);
    rig.call(DhcpClient::start);
    rig.hear(&{ rig.last().ack(600) }).unwrap();
    assert_eq!(rig.events(), [Event::Renewed { changed: false }], "it was ours: no waiting");
    rig.run_until(at(40_000));
    assert_eq!(rig.world.arps.len(), 10);
    drop(rig);

    let mut rig = Rig::started(config);
    rig.hear(&{ rig.last().offer(600) }).unwrap();
    rig.hear(&{ rig.last().ack(600) }).unwrap();
    rig.run_until(at(310_000));
    assert_eq!((rig.last().kind(), rig.client.state()), (Request, StateName::Renewing));
    rig.hear(&{ rig.last().ack(600) }).unwrap();
    rig.run_until(at(400_000));
    assert_eq!(rig.world.arps.len(), 5);
}

#[test]
fn an_arp_socket_that_is_refused_delays_nothing_for_ever() {
    for mode in [ConflictDetection::Short, ConflictDetection::Strict] {
        let mut rig = Rig::new(1, with(mode));
        rig.world.refuse_open[2] = true;
        rig.call(DhcpClient::start);
        rig.hear(&{ rig.last().offer(600) }).unwrap();
        rig.hear(&{ rig.last().ack(600) }).unwrap();
        rig.run_until(at(8_000));
        assert_eq!(rig.events(), [Event::Bound], "{mode:?}");
        assert!(rig.world.arps.is_empty());
        assert!(rig.client.counters().get(Tally::SendFailed) > 0);
    }
}

#[test]
fn stop_while_probing_forgets_the_grant_and_asks_for_it_again() {
    let mut rig = probing(1);
    rig.run_until(at(1_500));
    rig.call(DhcpClient::stop);
    assert_eq!((rig.timeout, rig.world.open), (None, [false; 3]));
    rig.call(DhcpClient::start);
    assert_eq!(rig.last().kind(), Discover);
    assert_eq!(rig.last().option(50), Some(OURS.octets().into()));
}

#[test]
fn a_lease_that_ends_while_it_is_probed_is_not_used() {
    let mut rig = probing(1);
    rig.world.now = at(700_000);
    rig.client.handle_timeout(&mut rig.world.cx());
    rig.drive();
    rig.run_until(at(710_000));
    assert_eq!(rig.events(), []);
    assert_eq!(rig.client.state(), StateName::Selecting);
}

#[test]
fn floods_of_arp_cannot_make_it_send() {
    let mut rig = probing(1);
    rig.run_until(at(100_000));
    rig.world.arps.clear();
    for _ in 0..10_000 {
        let _ = rig.hear_arp(theirs());
        let _ = rig.hear_arp(Arp::request(THEIRS, SERVER, OURS));
    }
    assert_eq!((rig.world.arps.len(), rig.world.sent.len()), (1, 1), "a defence and a DECLINE");
}
