//! What is done to the process, and to the servers that it talks to.

use std::time::Duration;

use bringup_tests::lab::network::Network;
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

/// Wherever it is: with no server at all, with a lease and no time, operational, and on the way.
#[test]
fn sigterm_in_every_state_leaves_nothing() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let mut world = World::new(lab);
        let stories: [(&str, bool, bool); 4] = [
            ("IFACE_COLDPLUG", false, false),
            ("DHCP", true, false),
            ("TIME_VALID", true, true),
            ("OPERATIONAL", true, true),
        ];
        for (state, names, time) in stories {
            (world.dnsmasq, world.chronyd) = (None, None);
            if names {
                world.serve_names();
            }
            if time {
                world.serve_time();
            }
            let up = Up::start(world.device(), &[]);
            up.enters(0, state);
            assert_eq!(up.terminate(), 0, "{state}");
            world.assert_bare();
        }
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
