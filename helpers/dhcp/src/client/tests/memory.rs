//! What is remembered: snapshots, the link that comes back, and the router by which a network is
//! known.

use super::*;
use crate::arp::Operation;
use crate::snapshot::{SNAPSHOT_LEN, SnapshotError};
use MessageType::{Ack, Discover, Request};
use bringup_core::wire::Full;

const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
const ROUTER_MAC: Mac = Mac([2, 0, 0, 0, 0, 0xFE]);
const NOON: i64 = 1_800_000_000;
const OPTIONS: [(u8, &[u8]); 3] =
    [(1, &[255, 255, 255, 0]), (3, &[10, 0, 0, 254]), (6, &[10, 0, 0, 3])];

fn attached() -> Config<'static> {
    Config { detect_attachment: true, ..standard() }
}

fn router_says(mac: Mac) -> Arp {
    let question = Arp::request(mac, ROUTER, OURS);
    Arp { operation: Operation::Reply, target_mac: MAC, ..question }
}

/// A client that knows its router, bound for 600 s at time 0, when the wall clock read noon.
fn settled() -> Rig {
    let mut rig = Rig::bound_with(attached(), 600, &OPTIONS);
    let (_, to, question) = rig.world.arps[0];
    assert_eq!((to, question), (Mac::BROADCAST, Arp::request(MAC, OURS, ROUTER)));
    rig.hear_arp(router_says(ROUTER_MAC)).unwrap();
    assert_eq!((rig.world.arps.len(), rig.world.open), (1, [false; 3]));
    assert_eq!(rig.events(), [Event::RouterFound], "a snapshot is worth taking again");
    rig.world.arps.clear();
    rig
}

fn snapshot(rig: &mut Rig, wall_s: i64) -> Vec<u8> {
    rig.world.utc = Utc::from_unix_secs(wall_s);
    let mut buffer = [0; SNAPSHOT_LEN];
    rig.client.snapshot(&rig.world.cx(), &mut buffer).unwrap().unwrap().to_vec()
}

/// A new process whose monotonic clock starts anew, started from a snapshot.
fn restarted(bytes: &[u8], wall_s: i64) -> Rig {
    let mut rig = Rig::new(2, attached());
    rig.world.utc = Utc::from_unix_secs(wall_s);
    rig.client.start_from_snapshot(&mut rig.world.cx(), bytes).unwrap();
    rig.drive();
    rig
}

#[test]
fn a_snapshot_starts_by_init_reboot_with_every_option_remembered() {
    let mut rig = settled();
    rig.run_until(at(100_000));
    let bytes = snapshot(&mut rig, NOON + 100);
    let read = crate::Snapshot::decode(&bytes).unwrap();
    assert_eq!((read.address, read.server), (OURS, SERVER));
    let times = read.times.unwrap();
    assert_eq!(times.expires_at, Utc::from_unix_secs(NOON + 600));

    let mut rig = restarted(&bytes, NOON + 200);
    assert_eq!(rig.client.state(), StateName::Rebooting);
    assert!(rig.client.lease().is_none(), "nobody has confirmed it");
    assert_eq!(rig.last().codes(), [53, 61, 50, 57, 55], "rule 11: 50 and no 54");
    // An ACK that repeats nothing but the lease time.
    rig.hear(&{ rig.last().ack(900) }).unwrap();
    assert_eq!(rig.events(), [Event::Bound]);
    let lease = rig.client.lease().unwrap();
    assert_eq!(lease.prefix_len(), 24);
    assert_eq!(lease.default_router(), Some(ROUTER));
    assert_eq!(lease.dns_servers().count(), 1);
    assert_eq!(lease.times().unwrap().expires_at, at(900_000));
}

#[test]
fn rule_46_the_router_confirms_a_snapshot_before_any_server() {
    let mut rig = settled();
    let bytes = snapshot(&mut rig, NOON);
    let mut rig = restarted(&bytes, NOON + 100);
    let question = (at(0), ROUTER_MAC, Arp::request(MAC, OURS, ROUTER));
    assert_eq!(rig.world.arps, [question], "to the router alone, beside the REQUEST");
    assert_eq!(rig.log(), [(Request, 0)]);
    let unrelated = Err(Mismatch::ArpUnrelated.into());
    assert_eq!(rig.hear_arp(router_says(Mac([7; 6]))), unrelated, "another MAC");
    let other = Arp { sender: OTHER, ..router_says(ROUTER_MAC) };
    assert_eq!(rig.hear_arp(other), unrelated, "another address");
    let request = Arp { operation: Operation::Request, ..router_says(ROUTER_MAC) };
    assert_eq!(rig.hear_arp(request), unrelated, "no reply");
    let to_other = Arp { target_mac: ROUTER_MAC, ..router_says(ROUTER_MAC) };
    assert_eq!(rig.hear_arp(to_other), unrelated, "not to us");
    rig.hear_arp(router_says(ROUTER_MAC)).unwrap();
    assert_eq!(rig.events(), [Event::Bound]);
    let lease = rig.client.lease().unwrap();
    assert_eq!(lease.times().unwrap().expires_at, at(500_000), "what is left of it");
    assert_eq!(lease.dns_servers().count(), 1);
    // No server answers: the lease goes on, and is renewed in its time.
    rig.run_until(at(20_000));
    assert_eq!(rig.client.state(), StateName::Bound);
    assert!(rig.world.sent.iter().all(|s| s.kind() == Request));
    rig.run_until(at(210_000));
    assert_eq!(rig.client.state(), StateName::Renewing);
}

#[test]
fn rule_46_a_router_that_answers_after_the_lease_is_over_is_too_late() {
    let mut rig = settled();
    let bytes = snapshot(&mut rig, NOON);
    let mut rig = restarted(&bytes, NOON + 599);
    rig.run_until(at(1_500));
    rig.hear_arp(router_says(ROUTER_MAC)).unwrap();
    assert_eq!(rig.events(), []);
    assert!(rig.client.lease().is_none());
    rig.run_until(at(14_000));
    assert_eq!(rig.last().kind(), Discover);
}

#[test]
fn rule_46_a_differing_answer_of_a_server_replaces_it() {
    let mut rig = settled();
    let bytes = snapshot(&mut rig, NOON);
    let mut rig = restarted(&bytes, NOON + 100);
    rig.hear_arp(router_says(ROUTER_MAC)).unwrap();
    rig.events();
    rig.hear(&{ rig.last().nak(OTHER) }).unwrap();
    let lost = Event::Lost { why: LostReason::Nak };
    assert_eq!(rig.events(), [Event::Nak { server: OTHER }, lost]);
}

#[test]
fn rule_46_at_most_two_resends_one_a_second() {
    let mut rig = settled();
    let bytes = snapshot(&mut rig, NOON);
    let mut rig = restarted(&bytes, NOON + 100);
    rig.run_until(at(10_000));
    let times: Vec<_> = rig.world.arps.iter().map(|a| a.0).collect();
    assert_eq!(times, [at(0), at(1_000), at(2_000)]);
    assert!(!rig.world.open[2]);
    assert_eq!(rig.events(), []);
}

#[test]
fn rule_46_is_skipped_where_it_must_be() {
    let mut rig = settled();
    let bytes = snapshot(&mut rig, NOON);
    // The wall clock stands before the snapshot: nobody knows whether the lease holds.
    let rig = restarted(&bytes, 0);
    assert_eq!((rig.world.arps.len(), rig.log()), (0, [(Request, 0)].into()));
    // No known router.
    let mut rig = Rig::bound_with(attached(), 600, &[]);
    let bytes = snapshot(&mut rig, NOON);
    let rig = restarted(&bytes, NOON);
    assert_eq!((rig.world.arps.len(), rig.log()), (0, [(Request, 0)].into()));
    // Only an address, from `start_with`.
    let mut rig = Rig::new(1, attached());
    rig.client.start_with(&mut rig.world.cx(), OURS);
    rig.drive();
    assert!(rig.world.arps.is_empty());
}

#[test]
fn a_snapshot_of_a_lease_that_is_over_serves_as_a_wish() {
    let mut rig = settled();
    let bytes = snapshot(&mut rig, NOON);
    let rig = restarted(&bytes, NOON + 600);
    assert_eq!(rig.log(), [(Discover, 0)]);
    assert_eq!(rig.last().option(50), Some(OURS.octets().into()));
}

#[test]
fn a_snapshot_of_somebody_else_is_refused_and_changes_nothing() {
    let mut rig = settled();
    let bytes = snapshot(&mut rig, NOON);
    let other_mac = Config { mac: Mac([2, 0, 0, 0, 0, 8]), ..attached() };
    let identifier = crate::ClientIdentifier::Bytes(b"\0name");
    let other_61 = Config { client_identifier: identifier, ..attached() };
    let mut cut = bytes.clone();
    cut.pop();
    for (config, bytes, why) in [
        (other_mac, &bytes, SnapshotError::Foreign),
        (other_61, &bytes, SnapshotError::Foreign),
        (attached(), &cut, SnapshotError::Truncated),
        (attached(), &Vec::new(), SnapshotError::Truncated),
    ] {
        let mut rig = Rig::new(2, config);
        let refused = rig.client.start_from_snapshot(&mut rig.world.cx(), bytes);
        assert_eq!(refused, Err(why));
        rig.drive();
        assert_eq!((rig.client.state(), rig.world.sent.len()), (StateName::Stopped, 0));
    }
    // Beside a lease that holds it is ignored.
    let mut rig = Rig::bound_with(attached(), 600, &[]);
    rig.call(DhcpClient::stop);
    rig.client.start_from_snapshot(&mut rig.world.cx(), &bytes).unwrap();
    assert_eq!(rig.client.lease().unwrap().dns_servers().count(), 0);
}

#[test]
fn options_of_a_snapshot_do_not_reach_a_lease_from_another_network() {
    let mut rig = settled();
    let bytes = snapshot(&mut rig, NOON);
    // Refused; silence; and silence followed by the same address from somebody else.
    for refused in [true, false] {
        let mut rig = restarted(&bytes, NOON);
        if refused {
            rig.hear(&{ rig.last().nak(SERVER) }).unwrap();
        }
        rig.run_until(at(14_000));
        assert_eq!(rig.last().kind(), Discover);
        let time: [(u8, &[u8]); 1] = [(51, &600u32.to_be_bytes())];
        rig.hear(&{ rig.last().reply(MessageType::Offer, OTHER, OURS, &time) }).unwrap();
        rig.hear(&{ rig.last().reply(Ack, OTHER, OURS, &time) }).unwrap();
        assert_eq!(rig.client.lease().unwrap().dns_servers().count(), 0, "{refused}");
    }
}

#[test]
fn a_snapshot_needs_a_lease_and_room() {
    let mut rig = Rig::new(1, attached());
    assert_eq!(rig.client.snapshot(&rig.world.cx(), &mut []), Ok(None));
    let mut rig = settled();
    assert_eq!(rig.client.snapshot(&rig.world.cx(), &mut [0; 50]), Err(Full));
}

#[test]
fn an_infinite_lease_in_a_snapshot_has_no_end() {
    let mut rig = Rig::bound_with(attached(), u32::MAX, &OPTIONS);
    rig.hear_arp(router_says(ROUTER_MAC)).unwrap();
    let bytes = snapshot(&mut rig, NOON);
    let mut rig = restarted(&bytes, NOON * 2);
    rig.hear_arp(router_says(ROUTER_MAC)).unwrap();
    assert_eq!(rig.client.lease().unwrap().times(), None);
}

#[test]
fn rule_15_link_up_verifies_a_lease_that_goes_on_to_hold() {
    let mut rig = settled();
    rig.run_until(at(100_000));
    rig.call(DhcpClient::link_up);
    assert_eq!(rig.log(), [(Request, 100)]);
    assert_eq!(rig.last().option(50), Some(OURS.octets().into()));
    assert_eq!(rig.world.arps.len(), 1, "rule 46: in parallel");
    assert!(rig.client.lease().is_some());
    rig.hear(&{ rig.last().ack(600) }).unwrap();
    assert_eq!(rig.events(), [Event::Renewed { changed: false }]);
    assert!(!rig.world.open[2], "the server was first");
}

#[test]
fn rule_15_a_confirmed_lease_survives_silent_servers_without_a_discover() {
    for router_is_there in [true, false] {
        let mut rig = settled();
        rig.run_until(at(100_000));
        rig.call(DhcpClient::link_up);
        if router_is_there {
            rig.hear_arp(router_says(ROUTER_MAC)).unwrap();
        }
        rig.run_until(at(120_000));
        let asked_anew = rig.log().iter().any(|(kind, _)| *kind == Discover);
        assert_eq!(asked_anew, !router_is_there);
        assert_eq!(rig.client.state() == StateName::Bound, router_is_there);
        assert_eq!(rig.events(), [], "the lease holds in either case");
    }
}

#[test]
fn rule_40_one_row_of_probes_whoever_confirms() {
    let conflict_detection = ConflictDetection::Short;
    let mut rig = Rig::bound_with(Config { conflict_detection, ..attached() }, 600, &OPTIONS);
    while !rig.world.arps.iter().any(|(_, _, arp)| arp.target == ROUTER) {
        rig.run_until(rig.timeout.unwrap());
    }
    rig.hear_arp(router_says(ROUTER_MAC)).unwrap();
    rig.run_until(at(10_000));
    rig.world.arps.clear();
    rig.call(DhcpClient::link_up);
    rig.hear_arp(router_says(ROUTER_MAC)).unwrap();
    rig.run_until(at(10_200));
    rig.hear(&{ rig.last().ack(600) }).unwrap();
    rig.run_until(at(20_000));
    let probes = rig.world.arps.iter().filter(|(_, _, arp)| arp.is_probe()).count();
    assert_eq!(probes, 3);
}

#[test]
fn rule_15_link_up_in_every_state() {
    // Stopped: as start.
    let mut rig = Rig::new(1, attached());
    rig.call(DhcpClient::link_up);
    assert_eq!(rig.log(), [(Discover, 0)]);
    // Waiting for an OFFER, deep in the backoff: asks anew, at once.
    rig.run_until(at(30_000));
    let before = rig.world.sent.len();
    rig.call(DhcpClient::link_up);
    assert_eq!(rig.world.sent.len(), before + 1);
    assert_eq!(rig.last().header().secs, 0);
    // Waiting after a NAK: goes on to wait.
    rig.hear(&{ rig.last().offer(600) }).unwrap();
    rig.hear(&{ rig.last().nak(SERVER) }).unwrap();
    let until = rig.timeout;
    rig.call(DhcpClient::link_up);
    assert_eq!((rig.client.state(), rig.timeout), (StateName::Init, until));
}

#[test]
fn rule_15_a_machine_that_slept_past_its_lease_knows_it_on_waking() {
    let mut rig = settled();
    rig.world.now = at(601_000);
    rig.call(DhcpClient::link_up);
    assert_eq!(rig.events(), [Event::Lost { why: LostReason::Expired }]);
    assert_eq!(rig.log(), [(Discover, 601)]);
}

#[test]
fn the_bucket_holds_whatever_the_link_does() {
    let mut rig = settled();
    for _ in 0..1_000 {
        rig.call(DhcpClient::link_up);
    }
    let sent = rig.world.sent.len() + rig.world.arps.len();
    // DISCOVER, REQUEST and the question to the router went before.
    assert_eq!(sent, 1);
}

/// When the probes are over an announcement is due, and a question to the router.
#[test]
fn what_is_due_together_waits_together_where_arp_is_refused() {
    for mode in [ConflictDetection::Short, ConflictDetection::Strict] {
        let mut rig = Rig::new(1, Config { conflict_detection: mode, ..attached() });
        rig.world.refuse_open[2] = true;
        rig.call(DhcpClient::start);
        rig.hear(&{ rig.last().offer(600) }).unwrap();
        let time = 600_u32.to_be_bytes();
        let all: Vec<(u8, &[u8])> = [(51, &time[..])].into_iter().chain(OPTIONS).collect();
        rig.hear(&{ rig.last().reply(Ack, SERVER, OURS, &all) }).unwrap();
        for ms in 1..20_000 {
            rig.run_until(at(ms));
            let before = rig.timeout;
            rig.call(|client, cx| client.handle_timeout(cx));
            assert_eq!(rig.timeout, before, "{mode:?}: an early call at {ms} ms did something");
        }
        assert_eq!(rig.events(), [Event::Bound]);
        assert!(rig.world.arps.is_empty());
    }
}
