//! The address that stands in for a lease: RFC 3927, and what option 116 says about it.

use super::*;
use MessageType::{Discover, Offer as Offered};

const THEIRS: Mac = Mac([2, 0, 0, 0, 0, 99]);

fn falling_back() -> Config<'static> {
    Config { link_local: true, profile: crate::Profile::Fast, ..standard() }
}

/// A client that nobody has answered, with its link-local address.
fn alone(seed: u64) -> (Rig, Ipv4Addr) {
    let mut rig = Rig::new(seed, falling_back());
    rig.call(DhcpClient::start);
    rig.run_until(at(20_000));
    let address = rig.client.link_local().unwrap();
    assert_eq!(rig.events(), [Event::NoServer, Event::LinkLocalBound]);
    (rig, address)
}

#[test]
fn rule_36_link_local_is_taken_after_silence_by_probes_and_announced() {
    for seed in 0..30 {
        let (rig, address) = alone(seed);
        let [a, b, c, _] = address.octets();
        assert!((a, b) == (169, 254) && (1..=254).contains(&c), "{address}");
        let arps: Vec<_> = rig.world.arps.iter().map(|(t, _, arp)| (*t, *arp)).collect();
        assert_eq!(arps.len(), 5);
        let silent = rig.world.sent[3].at;
        assert!(arps[0].0 > silent, "after four silent DISCOVERs");
        for (i, (_, arp)) in arps.iter().enumerate() {
            let sender = if i < 3 { Ipv4Addr::UNSPECIFIED } else { address };
            assert_eq!(*arp, Arp::request(MAC, sender, address), "{i}");
        }
        assert!(rig.client.lease().is_none());
    }
}

#[test]
fn rule_36_dhcp_goes_on_unchanged() {
    let times = |config| {
        let mut rig = Rig::new(5, config);
        rig.call(DhcpClient::start);
        rig.run_until(at(200_000));
        assert!(rig.world.sent.iter().all(|s| s.kind() == Discover));
        rig.world.sent.len()
    };
    let (with, without) =
        (times(falling_back()), times(Config { link_local: false, ..falling_back() }));
    assert!(with.abs_diff(without) <= 1, "{with} {without}: the dice fall otherwise");
}

#[test]
fn rule_36_a_lease_replaces_it() {
    let (mut rig, address) = alone(1);
    rig.hear(&{ rig.last().offer(600) }).unwrap();
    assert_eq!(rig.client.link_local(), Some(address), "an OFFER takes nothing away");
    rig.hear(&{ rig.last().ack(600) }).unwrap();
    assert_eq!(rig.events(), [Event::Bound, Event::LinkLocalLost { address }]);
    assert_eq!((rig.client.link_local(), rig.world.open), (None, [false; 3]));
}

#[test]
fn rule_36_a_conflict_leads_to_another_address() {
    let mut rig = Rig::started(falling_back());
    while rig.world.arps.is_empty() {
        rig.run_until(rig.timeout.unwrap());
    }
    let first = rig.world.arps[0].2.target;
    rig.hear_arp(Arp::request(THEIRS, first, SERVER)).unwrap();
    rig.run_until(at(30_000));
    let second = rig.client.link_local().unwrap();
    assert_ne!(first, second);
    rig.events();
    // Held: defended once, then given up, and another one sought.
    rig.hear_arp(Arp::request(THEIRS, second, SERVER)).unwrap();
    assert_eq!(rig.client.link_local(), Some(second));
    rig.hear_arp(Arp::request(THEIRS, second, SERVER)).unwrap();
    assert_eq!(rig.client.link_local(), None);
    let conflict = Event::Conflict { address: second, by: THEIRS };
    assert_eq!(rig.events(), [conflict, conflict, Event::LinkLocalLost { address: second }]);
    assert!(rig.world.sent.iter().all(|s| s.kind() == Discover), "no DECLINE: nobody gave it");
    rig.run_until(at(60_000));
    assert!(rig.client.link_local().is_some_and(|third| third != second));
}

#[test]
fn rule_36_after_ten_conflicts_once_a_minute() {
    let mut rig = Rig::started(falling_back());
    let mut seen = 0;
    for n in 1..=12 {
        while rig.world.arps.len() == seen {
            rig.run_until(rig.timeout.unwrap());
        }
        seen = rig.world.arps.len();
        let (when, _, probe) = rig.world.arps[seen - 1];
        if n > 10 {
            assert!(when.since(rig.world.arps[seen - 2].0) >= Duration::from_secs(60), "{n}");
        }
        rig.hear_arp(Arp::request(THEIRS, probe.target, SERVER)).unwrap();
        assert_eq!(rig.world.arps.len(), seen, "{n}");
    }
}

#[test]
fn rule_41_the_administrator_decides() {
    let says = |rig: &mut Rig, value: u8| {
        let no_address = Ipv4Addr::UNSPECIFIED;
        let offer = rig.last().reply(Offered, SERVER, no_address, &[(116, &[value])]);
        rig.hear(&offer).unwrap();
    };
    let mut rig = Rig::started(falling_back());
    assert_eq!(rig.last().option(116), Some([1].into()));
    says(&mut rig, 0);
    rig.run_until(at(100_000));
    assert!(rig.world.arps.is_empty() && rig.client.link_local().is_none());
    // Another link, another administrator.
    rig.call(DhcpClient::stop);
    rig.call(DhcpClient::start);
    rig.run_until(at(130_000));
    assert!(rig.client.link_local().is_some());
    // 1: at once, without waiting for silence.
    let mut rig = Rig::started(falling_back());
    says(&mut rig, 1);
    rig.run_until(at(1_000));
    assert_eq!(rig.world.arps.len(), 1);
    rig.run_until(at(8_000));
    let address = rig.client.link_local().unwrap();
    rig.events();
    says(&mut rig, 0);
    let lost = Event::LinkLocalLost { address };
    assert_eq!(rig.events(), [Event::LinkLocal { allowed: false }, lost]);
}

#[test]
fn stop_and_release_take_it_away() {
    for verb in [DhcpClient::stop, DhcpClient::release] {
        let (mut rig, address) = alone(1);
        rig.call(verb);
        assert_eq!(rig.events(), [Event::LinkLocalLost { address }]);
        assert_eq!((rig.timeout, rig.world.open), (None, [false; 3]));
    }
}
