//! When messages go out, and what is in them.

use super::*;
use crate::BroadcastFlag;
use MessageType::{Discover, Request};

fn waits(rig: &Rig) -> Vec<u64> {
    rig.world.sent.windows(2).map(|w| w[1].at.since(w[0].at).as_millis()).collect()
}

#[test]
fn rule_2_discover_resends_of_the_standard_profile() {
    for seed in 0..50 {
        let mut rig = Rig::new(seed, standard());
        rig.call(DhcpClient::start);
        rig.run_until(at(400_000));
        assert!(rig.world.sent.iter().all(|s| s.kind() == Discover));
        let nominal = [4_000, 8_000, 16_000, 32_000, 64_000, 64_000, 64_000, 64_000];
        for (wait, nominal) in waits(&rig).iter().zip(nominal) {
            assert!((nominal - 1_000..=nominal + 1_000).contains(wait), "{wait} for {nominal}");
        }
        assert!(rig.world.sent.len() >= 8);
        let xid = rig.last().header().xid;
        assert!(rig.world.sent.iter().all(|s| s.header().xid == xid), "rule 4: one xid");
    }
}

#[test]
fn rule_2_discover_resends_of_the_fast_profile() {
    for seed in 0..50 {
        let mut rig = Rig::new(seed, fast());
        rig.call(DhcpClient::start);
        rig.run_until(at(100_000));
        let nominal = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 16_000];
        for (wait, nominal) in waits(&rig).iter().zip(nominal) {
            assert!((nominal * 7 / 8..=nominal * 9 / 8).contains(wait), "{wait} for {nominal}");
        }
        assert_eq!(rig.events(), [Event::NoServer], "once");
    }
}

#[test]
fn rule_1_the_initial_delay_is_a_policy() {
    let config = Config { initial_delay_max: Duration::from_secs(10), ..standard() };
    let mut rig = Rig::started(config);
    assert_eq!(rig.client.state(), StateName::Init);
    assert!(rig.world.sent.is_empty());
    rig.run_until(at(10_000));
    assert!(!rig.world.sent.is_empty());
}

#[test]
fn rule_3_request_is_resent_four_times_then_init_and_the_user_is_told() {
    let mut rig = Rig::started(standard());
    rig.hear(&{ rig.last().offer(600) }).unwrap();
    rig.run_until(at(75_000));
    let kinds: Vec<_> = rig.log().iter().map(|(k, _)| *k).collect();
    assert_eq!(kinds[..7], [Discover, Request, Request, Request, Request, Request, Discover]);
    let times: Vec<_> = rig.log().iter().map(|(_, t)| *t).collect();
    for (i, nominal) in [(1, 0u64), (2, 4), (3, 12), (4, 28), (5, 60), (6, 64)] {
        assert!(times[i].abs_diff(nominal) <= 4 + 1, "{times:?}");
    }
    assert!(rig.events().contains(&Event::NoServer));
}

#[test]
fn rule_5_secs() {
    let mut rig = Rig::started(standard());
    rig.run_until(at(30_000));
    let secs: Vec<_> = rig.world.sent.iter().map(|s| (s.header().secs, s.at)).collect();
    assert_eq!(secs[0].0, 0);
    for (secs, sent) in &secs {
        assert_eq!(u64::from(*secs), sent.since(at(0)).as_secs());
    }
    let last_discover = rig.last().header().secs;
    assert!(last_discover > 0);
    let offer = rig.last().offer(600);
    rig.hear(&offer).unwrap();
    rig.run_until(at(45_000));
    assert!(rig.world.sent.len() > secs.len() + 1, "resent");
    for request in &rig.world.sent[secs.len()..] {
        assert_eq!(request.kind(), Request);
        assert_eq!(request.header().secs, last_discover, "as in the DISCOVER");
    }
}

#[test]
fn rule_5_secs_saturate() {
    let mut rig = Rig::started(standard());
    rig.run_until(at(70_000_000));
    assert_eq!(rig.last().header().secs, u16::MAX);
}

#[test]
fn rules_16_to_19_discover_and_request() {
    let mut rig = Rig::started(Config { hostname: Some(b"box"), ..standard() });
    let discover = rig.last();
    let header = discover.header();
    assert_eq!((header.op, header.htype, header.hlen, header.hops), (1, 1, 6, 0));
    assert_eq!(header.flags, 0, "rule 20");
    let zero = Ipv4Addr::UNSPECIFIED;
    assert_eq!([header.ciaddr, header.yiaddr, header.siaddr, header.giaddr], [zero; 4]);
    assert_eq!(discover.codes(), [53, 61, 57, 12, 55, 80]);
    assert_eq!(discover.bytes.len(), 300);
    assert_eq!(discover.source, Some(zero));
    assert_eq!(discover.option(61), Some([1, 2, 0, 0, 0, 0, 7].into()));

    let offer = discover.offer(600);
    rig.hear(&offer).unwrap();
    let request = rig.last();
    assert_eq!(request.codes(), [53, 61, 50, 54, 57, 12, 55], "rule 30: no 80 in a REQUEST");
    assert_eq!(request.option(50), Some(OURS.octets().into()));
    assert_eq!(request.option(54), Some(SERVER.octets().into()));
    assert_eq!(request.header().xid, header.xid, "rule 4");
    assert_eq!(request.header().ciaddr, zero);
    assert_eq!(request.option(55), discover.option(55));
    assert_eq!(request.option(61), discover.option(61));
}

#[test]
fn rule_20_the_broadcast_flag() {
    for (flag, expected) in [
        (BroadcastFlag::Never, [0, 0, 0, 0, 0]),
        (BroadcastFlag::Always, [0x8000; 5]),
        (BroadcastFlag::AfterSilence, [0, 0, 0, 0x8000, 0x8000]),
    ] {
        let mut rig = Rig::started(Config { broadcast_flag: flag, ..standard() });
        rig.run_until(at(66_000));
        let flags: Vec<_> = rig.world.sent.iter().map(|s| s.header().flags).take(5).collect();
        assert_eq!(flags, expected, "{flag:?}");
        let offer = rig.last().offer(600);
        rig.hear(&offer).unwrap();
        assert_eq!(rig.last().header().flags, expected[4], "the REQUEST as the DISCOVER");
    }
}

#[test]
fn rule_7_the_lease_counts_from_the_first_request() {
    let mut rig = Rig::started(standard());
    rig.hear(&{ rig.last().offer(600) }).unwrap();
    rig.run_until(at(14_000));
    assert_eq!(rig.client.counters().get(Tally::SentRequest), 3);
    rig.hear(&{ rig.last().ack(600) }).unwrap();
    let lease = rig.client.lease().unwrap();
    assert_eq!(lease.requested_at(), at(0));
    assert_eq!(lease.times().unwrap().expires_at, at(600_000));
}

#[test]
fn rule_9_the_vector_160_20_100() {
    let (t1, t2) = (20u32.to_be_bytes(), 100u32.to_be_bytes());
    let mut rig = Rig::bound(160, &[(58, &t1), (59, &t2)]);
    assert_eq!(rig.world.open, [false; 3], "nothing is open in BOUND");
    rig.run_until(at(99_999));
    assert_eq!(rig.log(), [(Request, 20), (Request, 80)]);
    assert_eq!(rig.client.state(), StateName::Renewing);
    for sent in &rig.world.sent {
        assert_eq!(sent.to, Some(SocketAddr::V4(SocketAddrV4::new(SERVER, 67))));
        assert_eq!(sent.codes(), [53, 61, 57, 55], "neither 50 nor 54");
        assert_eq!(sent.header().ciaddr, OURS);
    }
    assert_eq!(rig.world.sent[1].header().secs, 60, "rule 5");
    rig.run_until(at(159_999));
    assert_eq!(rig.log(), [(Request, 20), (Request, 80), (Request, 100)]);
    assert_eq!(rig.client.state(), StateName::Rebinding);
    let rebind = rig.last();
    assert_eq!((rebind.to, rebind.source), (None, Some(OURS)));
    assert_eq!(rebind.codes(), [53, 61, 57, 55]);
    assert_eq!(rebind.header().ciaddr, OURS);
    assert_eq!(rig.events(), []);
    rig.run_until(at(160_000));
    assert_eq!(rig.events(), [Event::Lost { why: LostReason::Expired }], "rule 10: at once");
    assert!(rig.client.lease().is_none());
    assert_eq!(rig.client.state(), StateName::Selecting);
    assert_eq!(rig.last().option(50), Some(OURS.octets().into()), "asks for the old address");
}

#[test]
fn rule_9_resends_halve_the_time_that_is_left() {
    let mut rig =
        Rig::bound(80_000, &[(58, &40_000u32.to_be_bytes()), (59, &70_000u32.to_be_bytes())]);
    rig.run_until(at(69_999_000));
    let times: Vec<_> = rig.log().iter().map(|(_, t)| *t).collect();
    assert_eq!(times[..4], [40_000, 55_000, 62_500, 66_250]);
    assert!(times.windows(2).all(|w| w[1] - w[0] >= 60), "{times:?}");
    rig.run_until(at(79_999_000));
    let rebinds: Vec<_> = rig.log().iter().map(|(_, t)| *t).filter(|&t| t >= 70_000).collect();
    assert_eq!(rebinds[..3], [70_000, 75_000, 77_500]);
    assert!(rebinds.windows(2).all(|w| w[1] - w[0] >= 60), "{rebinds:?}");
}

#[test]
fn rule_8_an_infinite_lease_has_no_timers() {
    let mut rig = Rig::bound(u32::MAX, &[]);
    assert_eq!(rig.timeout, None);
    assert_eq!(rig.client.lease().unwrap().times(), None);
    rig.run_until(at(10_000_000_000));
    assert!(rig.world.sent.is_empty());
}

#[test]
fn rule_8_default_times_are_fuzzed_a_little() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let mut rig = Rig::new(seed, standard());
        rig.call(DhcpClient::start);
        rig.hear(&{ rig.last().offer(3_200) }).unwrap();
        rig.hear(&{ rig.last().ack(3_200) }).unwrap();
        let times = rig.client.lease().unwrap().times().unwrap();
        let t1 = times.renew_at.since(at(0)).as_millis();
        assert!((1_550_000..=1_600_000).contains(&t1), "{t1}");
        assert_eq!(times.rebind_at, at(2_800_000));
        seen.insert(t1);
    }
    assert!(seen.len() > 10);
}

#[test]
fn after_a_long_suspend_everything_that_passed_is_done_in_one_call() {
    for (wake, state) in [
        (at(140_000), StateName::Rebinding),
        (at(90_000), StateName::Renewing),
        (at(1_000_000), StateName::Selecting),
    ] {
        let mut rig = Rig::bound(160, &[(58, &20u32.to_be_bytes()), (59, &100u32.to_be_bytes())]);
        rig.world.now = wake;
        rig.client.handle_timeout(&mut rig.world.cx());
        assert!(rig.client.poll_timeout().is_none_or(|t| t > wake));
        rig.drive();
        assert_eq!(rig.client.state(), state);
        assert_eq!(rig.world.sent.len(), 1, "one message, not those that were missed");
    }
}

#[test]
fn early_and_repeated_timeouts_do_nothing() {
    let mut rig = Rig::started(standard());
    for ms in 0..2_900 {
        rig.world.now = at(ms);
        rig.client.handle_timeout(&mut rig.world.cx());
        rig.drive();
    }
    assert_eq!(rig.world.sent.len(), 1);
}
