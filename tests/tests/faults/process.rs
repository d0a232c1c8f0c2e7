//! What is done to the process, and to the servers that it talks to.

use std::time::Duration;

use bringup_tests::lab::dhcp::{Pool, kea};
use bringup_tests::lab::network::{DEVICE_INTERFACE, Network};
use bringup_tests::lab::servers::Server;
use bringup_tests::lab::{self, eventually};

use super::{LITTLE, Up, World};

#[test]
fn servers_may_come_late_and_in_any_order() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let mut world = World { network: Network::plain(lab), dnsmasq: None, chronyd: None };
        let up = Up::start(world.device(), &[]);
        up.says(0, "the wait for a lease", |e| e["event"] == "hold" && e["state"] == "DHCP");
        world.serve_names();
        let seen = up.enters(0, "DHCP");
        assert!(up.events().iter().all(|e| e["to"] != "TIME_VALID"));
        world.serve_time();
        up.enters(seen.saturating_sub(4), "OPERATIONAL");
        assert_eq!(up.terminate(), 0);
        world.assert_bare();
    });
}

#[test]
fn servers_that_are_killed_and_come_back_are_no_event() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let mut world = World::new(lab);
        let up = Up::start(world.device(), &[]);
        let seen = up.enters(0, "OPERATIONAL");
        for _ in 0..3 {
            (world.dnsmasq, world.chronyd) = (None, None);
            world.serve_names();
            world.serve_time();
        }
        let fell = up.events().into_iter().skip(seen).find(|e| e["event"] == "state");
        assert_eq!(fell, None, "a lease and a time hold for longer");
        assert_eq!(up.terminate(), 0);
        world.assert_bare();
    });
}

/// Every state that a bring-up passes, one after the other: the signal comes when the state is told.
#[test]
fn sigterm_in_every_state_leaves_nothing() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let mut world = World::new(lab);
        let up = Up::start(world.device(), &[]);
        up.enters(0, "OPERATIONAL");
        let states: Vec<String> = up
            .events()
            .iter()
            .filter(|event| event["event"] == "state")
            .map(|event| event["to"].as_str().expect("a name").to_owned())
            .collect();
        assert_eq!(up.terminate(), 0);
        assert!(states.len() > 8, "{states:?}");
        world.assert_bare();
        for state in &states {
            let up = Up::start(world.device(), &[]);
            up.enters(0, state);
            assert_eq!(up.terminate(), 0, "{state}");
            world.assert_bare();
        }
        // And in those that it stays in for want of a server.
        for (state, names) in [("IFACE_COLDPLUG", false), ("DHCP", true)] {
            (world.dnsmasq, world.chronyd) = (None, None);
            if names {
                world.serve_names();
            }
            let up = Up::start(world.device(), &[]);
            up.enters(0, state);
            let waits = |event: &serde_json::Value| event["event"] == "hold";
            up.says(0, "the wait", waits);
            assert_eq!(up.terminate(), 0, "{state}");
            world.assert_bare();
        }
    });
}

/// Whoever waits for the end of a bring-up must not take this for it, and hears why it came.
#[test]
fn sigterm_before_the_end_that_once_asks_for_is_told() {
    lab::within(&[], |lab| {
        let world = World { network: Network::plain(lab), dnsmasq: None, chronyd: None };
        let up = Up::start(world.device(), &["--once"]);
        up.says(0, "the wait", |event| event["event"] == "hold" && event["holder"] == "dhcp");
        let log = up.log.clone();
        assert_eq!(up.terminate(), 2);
        let said = std::fs::read_to_string(log).expect("the host's own folder");
        assert!(said.contains("a signal came first"), "{said}");
        world.assert_bare();
    });
}

/// The shortest leases that a client takes; T1 is after 3 s, T2 after 6.
fn short_leases(world: &World) -> Server {
    let pool = Pool { lease_s: 10, t1_s: 3, t2_s: 6, ..Pool::default() };
    kea(&world.network.server, &pool)
}

/// While a lease is renewed, while it is rebound, and when it has just been lost.
#[test]
fn sigterm_while_a_lease_runs_out_leaves_nothing() {
    lab::within(&["kea-dhcp4", "chronyd"], |lab| {
        let mut world = World { network: Network::plain(lab), dnsmasq: None, chronyd: None };
        world.serve_time();
        for after_s in [4, 7, 11] {
            let kea = short_leases(&world);
            let up = Up::start(world.device(), &[]);
            let seen = up.enters(0, "OPERATIONAL");
            drop(kea);
            // The lease's own time, not a wait for an effect.
            std::thread::sleep(Duration::from_secs(after_s.min(7)));
            if after_s > 7 {
                up.says(seen, "the loss", |event| event["lost"] == true);
            }
            assert!(up.watched().cost().processor < LITTLE);
            assert_eq!(up.terminate(), 0, "after {after_s} s");
            world.assert_bare();
        }
    });
}

/// The kernel takes the address off at the end of its lease, whatever becomes of the program; the program finds
/// out when it goes on, and asks anew.
#[test]
fn who_is_stopped_for_longer_than_its_lease_has_no_address_and_gets_one() {
    lab::within(&["kea-dhcp4", "chronyd"], |lab| {
        let mut world = World { network: Network::plain(lab), dnsmasq: None, chronyd: None };
        world.serve_time();
        let _kea = short_leases(&world);
        let up = Up::start(world.device(), &[]);
        let seen = up.enters(0, "OPERATIONAL");
        up.server.signal(libc::SIGSTOP);
        eventually("the stop", || up.watched().is_stopped().then_some(()));
        // The lease's own time; the rest is waited for.
        std::thread::sleep(Duration::from_secs(5));
        eventually("the end of the lease", || {
            world.addresses(DEVICE_INTERFACE).is_empty().then_some(())
        });
        let before = up.watched().cost();
        up.server.signal(libc::SIGCONT);
        let seen = up.says(seen, "the loss", |e| e["event"] == "address" && e["lost"] == true);
        let seen = up.says(seen - 1, "a lease", |e| e["event"] == "address" && e["lost"] == false);
        up.enters(seen.saturating_sub(6), "OPERATIONAL");
        assert_eq!(world.addresses(DEVICE_INTERFACE).len(), 1);
        let after = up.watched().cost();
        assert!(after.processor < LITTLE, "{after:?}");
        assert!(after.descriptors <= before.descriptors + 4, "{before:?} → {after:?}");
        assert_eq!(up.terminate(), 0);
        world.assert_bare();
    });
}

/// As above, at instants that nobody chose: the signal comes after 0, 1, 2 … events.
#[test]
fn sigterm_after_any_event_leaves_nothing() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let world = World::new(lab);
        for count in 0..14 {
            let up = Up::start(world.device(), &[]);
            eventually("some events", || (up.events().len() >= count).then_some(()));
            let code = up.terminate();
            assert!([0, -1].contains(&code), "{code} after {count} events");
            world.assert_bare();
        }
    });
}

#[test]
fn who_waits_costs_nothing() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let world = World::new(lab);
        let up = Up::start(world.device(), &[]);
        up.enters(0, "OPERATIONAL");
        let before = up.watched().cost();
        // Silence is what is looked for here, so a span has to pass.
        std::thread::sleep(Duration::from_secs(3));
        let after = up.watched().cost();
        assert!(
            after.processor - before.processor <= Duration::from_millis(20),
            "{before:?} → {after:?}"
        );
        assert!(after.processor < LITTLE);
        assert_eq!(up.terminate(), 0);
    });
}
