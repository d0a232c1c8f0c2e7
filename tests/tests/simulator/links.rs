//! What becomes of a lease when links come and go, machines sleep and programs end.

use std::net::Ipv4Addr;

use bringup::core::client::Mac;
use bringup::core::platform::{AddressConfig, Platform};
use bringup::core::state::{States, SystemState};
use bringup::core::time::Duration;
use bringup::dhcp::counters::Tally;
use bringup::dhcp::route::{Route, RouteSource};
use bringup::dhcp::snapshot::{SNAPSHOT_LEN, Snapshot};
use bringup::dhcp::{SnapshotError, StateName};
use bringup::system::{Event, InterfaceId};

use crate::world::{Plan, World, s, within};

/// How many DHCP messages the server of the first interface has heard.
fn asked(w: &World<'_, '_, '_>) -> usize {
    w.far[0].borrow().heard.iter().filter(|(_, port, _)| *port == 67).count()
}

fn first(w: &World<'_, '_, '_>) -> InterfaceId {
    let id = w.app.said.iter().find_map(|(_, event)| match event {
        Event::Link { interface, .. } => Some(*interface),
        _ => None,
    });
    id.expect("a link came up")
}

fn snapshot(w: &mut World<'_, '_, '_>) -> Option<Vec<u8>> {
    let id = first(w);
    let mut buffer = [0; SNAPSHOT_LEN];
    let registrar = &mut w.event_loop.registrar();
    let bytes = w.app.system.snapshot(registrar, id, &mut buffer).expect("fits");
    bytes.map(<[u8]>::to_vec)
}

#[test]
fn d4_a_lease_that_was_kept_over_a_restart_is_asked_for_first() {
    let (mut kept, mut known) = (Vec::new(), [None, None]);
    within(&Plan::default(), |w| {
        w.until_operational(s(5));
        w.pass(s(1));
        assert!(w.count(|e| matches!(e, Event::Snapshot { .. })) >= 1, "told to keep it");
        kept = snapshot(w).expect("a lease");
        assert_eq!(asked(w), 2, "DISCOVER and REQUEST");
        known.clone_from(&w.far[0].borrow().known);
        w.stop();
    });
    let address = Snapshot::decode(&kept).expect("whole").address;
    within(&Plan { snapshot: kept.clone(), ..Plan::default() }, |w| {
        // The server knows its client from before.
        let now = w.now();
        w.far[0].borrow_mut().known = known;
        w.far[0].borrow_mut().change(now, |_| ());
        w.until_operational(s(30));
        assert_eq!(asked(w), 1, "INIT-REBOOT takes one message, not two");
        assert_eq!(
            w.app.system.interfaces().next().and_then(|i| Some(i.lease()?.address())),
            Some(address)
        );
        w.stop();
    });
    within(&Plan { interfaces: 2, ..Plan::default() }, |w| {
        w.until(s(5), "both links", |w| w.count(|e| matches!(e, Event::Link { .. })) == 2);
        let ids: Vec<_> = w
            .app
            .said
            .iter()
            .filter_map(|(_, event)| match event {
                Event::Link { interface, .. } => Some(*interface),
                _ => None,
            })
            .collect();
        let second = ids.into_iter().find(|id| id.index() == 1).expect("two");
        static FOREIGN: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let foreign = FOREIGN.get_or_init(|| kept.clone());
        assert_eq!(w.app.system.restore(second, foreign), Err(SnapshotError::Foreign));
        assert_eq!(w.app.system.restore(second, &foreign[1..]), Err(SnapshotError::Magic));
        w.until_operational(s(5));
        w.stop();
    });
}

#[test]
fn rule_14_a_lease_is_given_back_at_the_end_from_an_empty_bucket() {
    for flaps in [0, 8] {
        within(&Plan { release: true, ..Plan::default() }, |w| {
            w.until_operational(s(5));
            w.pass(s(5));
            let throttled = |w: &World<'_, '_, '_>| {
                let dhcp = w.app.system.interface(first(w)).expect("there").dhcp();
                dhcp.counters().get(Tally::Throttled)
            };
            let (index, begun) = (w.index(0), throttled(w));
            for _ in 0..flaps {
                w.sim(|sim| sim.flap(index));
                w.pass(Duration::from_millis(10));
            }
            assert_eq!(throttled(w) > begun, flaps > 0, "whether the bucket is empty");
            // It sees to it that the lease is given back before any time passes.
            w.stop();
        });
    }
}

#[test]
fn a_lease_that_a_server_takes_back_is_to_be_forgotten() {
    within(&Plan::default(), |w| {
        w.until_operational(s(5));
        let now = w.now();
        w.far[0].borrow_mut().change(now, |network| network.first = Ipv4Addr::new(10, 89, 0, 100));
        let before = w.count(|e| matches!(e, Event::Snapshot { .. }));
        let index = w.index(0);
        w.sim(|sim| sim.flap(index));
        w.until(s(5), "the loss", |w| w.count(|e| matches!(e, Event::AddressLost { .. })) > 0);
        assert!(w.count(|e| matches!(e, Event::Snapshot { .. })) > before);
        assert_eq!(snapshot(w), None);
        w.until_operational(s(60));
        assert!(snapshot(w).is_some());
        w.stop();
    });
}

#[test]
fn rule_15_a_cable_that_was_out_too_briefly_to_be_told_has_the_lease_verified() {
    within(&Plan::default(), |w| {
        w.until_operational(s(5));
        w.pass(s(60));
        let (before, index) = (asked(w), w.index(0));
        w.sim(|sim| sim.flap(index));
        w.pass(s(1));
        assert_eq!(asked(w), before + 1, "one REQUEST");
        assert!(w.is_operational() && w.addresses() == 1, "the lease goes on to hold");
        // The same description again is no news.
        w.sim(|sim| {
            let link = sim.interface("sim0").expect("there");
            sim.mtu_set(index, link.mtu).expect("set");
        });
        w.pass(s(1));
        assert_eq!(asked(w), before + 1);
        w.stop();
    });
}

#[test]
fn rule_15_a_machine_that_slept_verifies_its_lease_on_waking() {
    within(&Plan::default(), |w| {
        w.until_operational(s(5));
        w.pass(s(60));
        let before = asked(w);
        w.sim(|sim| sim.suspend(s(600)));
        w.pass(s(1));
        assert_eq!(asked(w), before + 1, "long before T1");
        assert!(w.is_operational());
        w.stop();
    });
}

/// How many NTP requests the server of the first interface has heard.
fn asked_for_the_time(w: &World<'_, '_, '_>) -> usize {
    w.far[0].borrow().heard.iter().filter(|(_, port, _)| *port == 123).count()
}

#[test]
fn p2_a_link_that_comes_back_has_the_time_asked_for_at_once() {
    within(&Plan { valid_for: Some(s(7_200)), lease_s: 86_400, ..Plan::default() }, |w| {
        w.until_operational(s(5));
        let index = w.index(0);
        w.sim(|sim| sim.set_carrier(index, false));
        w.until(s(9_000), "the time to be lost", |w| !w.is_time_known());
        assert_eq!(w.addresses(), 1, "the lease goes on to hold");
        w.sim(|sim| sim.set_carrier(index, true));
        w.until(s(1), "the time", |w| w.is_time_known());
        // A contact that is loose: no second start within a minute.
        w.pass(s(61));
        let before = asked_for_the_time(w);
        for _ in 0..50 {
            w.sim(|sim| sim.set_carrier(index, false));
            w.pass(Duration::from_millis(100));
            w.sim(|sim| sim.set_carrier(index, true));
            w.pass(s(1));
        }
        let more = asked_for_the_time(w) - before;
        assert!(more <= 5, "{more} requests: a start, and a poll");
        w.stop();
    });
}

#[test]
fn p2_a_machine_that_slept_asks_for_the_time_on_waking() {
    within(&Plan { lease_s: 86_400, ..Plan::default() }, |w| {
        w.until_operational(s(5));
        w.pass(s(39_500));
        let before = asked_for_the_time(w);
        w.sim(|sim| sim.suspend(s(70)));
        w.pass(s(1));
        assert_eq!(asked_for_the_time(w), before + 1, "long before the next poll");
        w.stop();
    });
}

#[test]
fn rule_27_of_more_routes_than_there_is_room_for_the_default_route_is_one() {
    let source = RouteSource::Classless;
    let router = Ipv4Addr::new(10, 89, 0, 1);
    let to = |net| Route { destination: [10, net, 0, 0].into(), prefix_len: 16, router, source };
    let default = Route { destination: Ipv4Addr::UNSPECIFIED, prefix_len: 0, router, source };
    for at in [0, 15, 16, 20] {
        let mut classless: Vec<_> = (1..=20).map(to).collect();
        classless.insert(at, default);
        within(&Plan { classless, ..Plan::default() }, |w| {
            w.most_routes = 16;
            w.until_operational(s(5));
            let prefixes: Vec<_> = w.sim(|sim| sim.routes().iter().map(|r| r.1.prefix).collect());
            assert_eq!(prefixes.len(), 16, "the default route was number {at}");
            assert_eq!(prefixes.iter().filter(|prefix| **prefix == 0).count(), 1, "number {at}");
            let left_out = |w: &World<'_, '_, '_>| {
                w.app.system.interfaces().map(|i| i.applied().routes_left_out()).sum::<u16>()
            };
            assert_eq!(left_out(w), 5);
            w.stop();
            assert_eq!(left_out(w), 0);
        });
    }
}

#[test]
fn routes_that_somebody_takes_away_are_put_back_but_not_in_a_fight() {
    within(&Plan::default(), |w| {
        w.until_operational(s(5));
        w.pass(s(10));
        let take = |w: &mut World<'_, '_, '_>| {
            w.sim(|sim| {
                let (index, route) = sim.routes()[0];
                sim.route_remove(index, &route).expect("removed");
            });
        };
        take(w);
        w.event_loop.turn(w.app).expect("a turn");
        assert_eq!(w.sim(|sim| sim.routes().len()), 1);
        // Somebody who means it: once a second is enough.
        let (begin, mut fights) = (w.now(), 0);
        while w.now() < begin + s(10) {
            if w.sim(|sim| !sim.routes().is_empty()) {
                take(w);
                fights += 1;
            }
            w.pass(Duration::from_millis(10));
        }
        assert!((9..=11).contains(&fights), "{fights} times in ten seconds");
        w.pass(s(2));
        assert_eq!(w.sim(|sim| sim.routes().len()), 1);
        w.stop();
    });
}

#[test]
fn an_interface_is_as_it_was_after_the_stop() {
    for is_up in [false, true] {
        within(&Plan { is_up, ..Plan::default() }, |w| {
            w.until_operational(s(5));
            w.stop();
            assert_eq!(w.sim(|sim| sim.interface("sim0").expect("there").up), is_up);
            let now = w.now();
            w.app.listen(now);
            let lost = w.count(|e| matches!(e, Event::AddressLost { why: None, .. }));
            assert_eq!(lost, 1, "it is said");
        });
    }
}

#[test]
fn what_is_to_be_kept_is_there_after_the_stop() {
    within(&Plan { keep: true, release: true, mtu: Some(1_400), ..Plan::default() }, |w| {
        w.until_operational(s(5));
        w.app.system.stop(&mut w.event_loop.registrar());
        let link = w.sim(|sim| sim.interface("sim0").expect("there"));
        assert_eq!((link.up, link.mtu), (true, 1_400));
        assert_eq!((w.addresses(), w.sim(|sim| sim.routes().len())), (1, 1));
        assert_eq!(w.sim(|sim| sim.open_sockets()), 0);
        // What comes next is the end of the address, by the kernel's clock.
        let heard = asked(w);
        w.lacks = true;
        w.turn();
        assert_eq!((asked(w), w.addresses()), (heard, 0), "nor is the lease given back");
    });
}

/// The old network's lease still holds when the new one's begins, and both are heard of in one turn.
#[test]
fn the_servers_of_a_lease_that_takes_the_place_of_another_are_told() {
    within(&Plan::default(), |w| {
        w.until_operational(s(5));
        w.pass(s(10));
        let index = w.index(0);
        w.sim(|sim| sim.set_carrier(index, false));
        w.pass(s(1));
        w.far[0].borrow_mut().dhcp_on = false;
        w.sim(|sim| sim.set_carrier(index, true));
        let is_selecting = |w: &mut World<'_, '_, '_>| {
            let mut interfaces = w.app.system.interfaces();
            interfaces.any(|interface| interface.dhcp().state() == StateName::Selecting)
        };
        w.until(s(60), "the DISCOVER", is_selecting);
        let (now, other) = (w.now(), Ipv4Addr::new(10, 89, 0, 2));
        w.far[0].borrow_mut().known = [None, None];
        w.far[0].borrow_mut().change(now, |network| {
            network.first = Ipv4Addr::new(10, 89, 0, 100);
            network.dns_servers = vec![other];
        });
        w.far[0].borrow_mut().dhcp_on = true;
        let told = w.count(|e| matches!(e, Event::Servers { .. }));
        w.until(s(60), "the other address", |w| {
            w.sim(|sim| sim.addresses().any(|(_, a)| a.address.octets()[3] == 100))
        });
        assert_eq!(w.count(|e| matches!(e, Event::AddressLost { why: Some(_), .. })), 1);
        assert_eq!(
            w.app.system.dns_servers().iter().next().map(|f| f.address.ip()),
            Some(other.into())
        );
        assert_eq!(w.count(|e| matches!(e, Event::Servers { .. })), told + 1);
        w.stop();
    });
}

/// Whether it is up in the end is as it was when it came, not as that of the same name was before it.
#[test]
fn an_interface_that_came_back_is_left_as_it_came() {
    // Who misses the notices sees what it is in the end; else the first is of an interface that is down.
    for (was_up, comes_up, missed) in
        [(false, true, true), (true, false, true), (true, false, false)]
    {
        within(&Plan { is_up: was_up, ..Plan::default() }, |w| {
            w.until_operational(s(5));
            let (index, far) = (w.index(0), std::rc::Rc::clone(&w.far[0]));
            w.sim(|sim| {
                sim.remove_interface(index);
                let index = sim.add_interface("sim0", Mac([2, 0, 0, 0, 0, 2]));
                sim.add_peer(index, far);
                sim.set_up(index, comes_up);
                if missed {
                    sim.overrun_watches();
                }
            });
            w.until(s(5), "the fall", |w| !w.is_operational());
            w.until_operational(s(60));
            assert!(w.sim(|sim| sim.interface("sim0").expect("there").up));
            w.stop();
            assert_eq!(w.sim(|sim| sim.interface("sim0").expect("there").up), comes_up);
        });
    }
}

#[test]
fn a_system_that_is_to_touch_nothing_tells_what_it_would_have_done() {
    for is_up in [false, true] {
        let plan = Plan { is_up, apply: false, mtu: Some(1_400), ..Plan::default() };
        within(&plan, |w| {
            w.lacks = true;
            w.pass(s(60));
            let link = w.sim(|sim| sim.interface("sim0").expect("there"));
            assert_eq!((link.up, link.mtu), (is_up, 1_500));
            assert_eq!((w.addresses(), w.sim(|sim| sim.routes().len())), (0, 0));
            let told = w.count(|e| matches!(e, Event::Address { .. }));
            assert_eq!(told, usize::from(is_up), "the lease is there, if there is a link");
            w.stop();
        });
    }
}

#[test]
fn an_mtu_is_no_smaller_than_what_dhcp_itself_needs_and_no_larger_than_the_links() {
    for (link, mtu, expected) in [
        (1_500, 67, 1_500),
        (1_500, 68, 576),
        (1_500, 575, 576),
        (1_500, 577, 577),
        (1_500, 1_500, 1_500),
        (1_500, 9_000, 1_500),
        (500, 68, 500),
    ] {
        within(&Plan { mtu: Some(mtu), carrier: false, ..Plan::default() }, |w| {
            let index = w.index(0);
            w.sim(|sim| sim.mtu_set(index, link).expect("set"));
            w.sim(|sim| sim.set_carrier(index, true));
            w.until(s(5), "an address", |w| w.addresses() == 1);
            assert_eq!(w.sim(|sim| sim.interface("sim0").expect("there").mtu), expected, "{mtu}");
        });
    }
}

#[test]
fn rule_36_a_link_local_address_stands_in_and_goes() {
    let dhcp = |config| bringup::dhcp::Config { link_local: true, ..config };
    within(&Plan { dhcp, ..Plan::default() }, |w| {
        w.far[0].borrow_mut().dhcp_on = false;
        w.until(s(60), "an address", |w| w.addresses() == 1);
        let there = w.sim(|sim| sim.addresses().next().map(|(_, a)| *a)).expect("one");
        assert!(there.address.is_link_local() && there.prefix == 16, "{there:?}");
        assert!(w.count(|e| matches!(e, Event::LinkLocal { lost: false, .. })) == 1);
        assert!(w.state().rank() < SystemState::Dhcp.rank(), "it opens no gate");
        w.far[0].borrow_mut().dhcp_on = true;
        w.until_operational(s(60));
        let there = w.sim(|sim| sim.addresses().map(|(_, a)| a.address).collect::<Vec<_>>());
        assert!(there.len() == 1 && !there[0].is_link_local(), "{there:?}");
        assert!(w.count(|e| matches!(e, Event::LinkLocal { lost: true, .. })) == 1);
        w.stop();
    });
    // It is taken off at the end, too, whether or not there would be a lease to be given back.
    for release in [false, true] {
        within(&Plan { dhcp, release, ..Plan::default() }, |w| {
            w.far[0].borrow_mut().dhcp_on = false;
            w.until(s(60), "an address", |w| w.addresses() == 1);
            w.stop();
            let now = w.now();
            w.app.listen(now);
            assert_eq!(w.count(|e| matches!(e, Event::LinkLocal { lost: true, .. })), 1);
        });
    }
}

#[test]
fn rule_43_another_link_address_is_informed_about_anew() {
    let address = Ipv4Addr::new(10, 89, 0, 200);
    for is_answered in [false, true] {
        within(&Plan { own_address: Some(address), ..Plan::default() }, |w| {
            let index = w.index(0);
            let config = AddressConfig { address, prefix: 24, broadcast: None, valid_s: None };
            w.sim(|sim| sim.address_add(index, &config).expect("added"));
            w.far[0].borrow_mut().dhcp_on = is_answered;
            w.pass(s(1));
            let informed = |w: &World<'_, '_, '_>| w.count(|e| matches!(e, Event::Informed { .. }));
            assert_eq!(informed(w), usize::from(is_answered));
            w.far[0].borrow_mut().dhcp_on = true;
            w.sim(|sim| sim.set_mac(index, Mac([2, 0, 0, 0, 9, 9])));
            w.until(s(5), "an answer", |w| informed(w) == 1 + usize::from(is_answered));
            w.until_operational(s(5));
            w.pass(s(60));
            assert_eq!(informed(w), 1 + usize::from(is_answered), "once is enough");
            let dhcp = w.app.system.interface(first(w)).expect("there").dhcp();
            assert_eq!(dhcp.counters().get(Tally::SentDiscover), 0, "it wants no lease");
            w.sim(|sim| sim.address_remove(index, &config).expect("still there"));
            w.stop();
        });
    }
}

#[test]
fn rule_43_an_address_from_elsewhere_is_informed_about() {
    let address = Ipv4Addr::new(10, 89, 0, 200);
    within(&Plan { own_address: Some(address), ..Plan::default() }, |w| {
        let index = w.index(0);
        let config = AddressConfig { address, prefix: 24, broadcast: None, valid_s: None };
        w.sim(|sim| sim.address_add(index, &config).expect("added"));
        w.until_operational(s(5));
        assert_eq!(w.count(|e| matches!(e, Event::Informed { .. })), 1);
        assert_eq!(w.app.system.dns_servers().iter().count(), 1);
        assert_eq!(w.count(|e| matches!(e, Event::Address { .. })), 0, "there is no lease");
        let before = asked(w);
        w.sim(|sim| sim.flap(index));
        w.pass(s(1));
        assert_eq!(asked(w), before + 1, "another network may say something else");
        w.sim(|sim| sim.address_remove(index, &config).expect("still there"));
        w.stop();
    });
}
