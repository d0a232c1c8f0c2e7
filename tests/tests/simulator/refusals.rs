//! What the machine refuses is told once, with what was to be done and why, and the rest goes on.

use std::net::Ipv4Addr;

use bringup::core::client::Mac;
use bringup::core::error::ErrorKind;
use bringup::core::event_loop::{EventLoop, LoopStorage, Registrar};
use bringup::core::platform::{AddressConfig, Interface, Platform};
use bringup::core::state::SystemState;
use bringup::core::time::Utc;
use bringup::dhcp::lease::STORAGE_LEN;
use bringup::dns::{Resolver, SmallStorage};
use bringup::ntp::Adjust;
use bringup::platform::lock::StdLock;
use bringup::platform::sim::{Operation, Sim, SimWake};
use bringup::system::{Action, Config, Event, System};

use crate::world::{Plan, Queue, World, s, within};

const WHY: ErrorKind = ErrorKind::PermissionDenied;

/// What has failed so far, in order.
fn failed(w: &World<'_, '_, '_>) -> Vec<(Action, ErrorKind)> {
    let failed = w.app.said.iter().filter_map(|(_, event)| match event {
        Event::Failed { action, error, .. } => Some((*action, *error)),
        _ => None,
    });
    failed.collect()
}

fn refuse(w: &mut World<'_, '_, '_>, what: &[Operation], why: Option<ErrorKind>) {
    w.sim(|sim| what.iter().for_each(|what| sim.refuse(*what, why)));
}

/// Stops the system, and hears what it says of that.
fn stop(w: &mut World<'_, '_, '_>) {
    w.app.system.stop(&mut w.event_loop.registrar());
    let now = w.now();
    w.app.listen(now);
}

#[test]
fn routes_and_an_mtu_that_cannot_be_set() {
    let refuses = vec![(Operation::RouteAdd, WHY), (Operation::MtuSet, WHY)];
    within(&Plan { mtu: Some(1_400), refuses, ..Plan::default() }, |w| {
        w.until_operational(s(5));
        assert_eq!(failed(w), [(Action::MtuSet, WHY), (Action::RouteAdd, WHY)]);
        // What is not there is not taken off in the end.
        w.stop();
        assert_eq!(failed(w).len(), 2);
    });
}

#[test]
fn an_address_that_cannot_be_added_is_tried_again_when_a_server_extends_the_lease() {
    let refuses = vec![(Operation::AddressAdd, WHY)];
    within(&Plan { refuses, ..Plan::default() }, |w| {
        w.lacks = true;
        w.until(s(5), "the failure", |w| !failed(w).is_empty());
        w.pass(s(600));
        // The route that prefers it cannot be there either.
        let told = [(Action::AddressAdd, WHY), (Action::RouteAdd, ErrorKind::Invalid)];
        assert_eq!(failed(w), told);
        refuse(w, &[Operation::AddressAdd], None);
        // Nobody renews by unicast without an address: it is T2, at seven eighths.
        w.until_operational(s(2_600));
        assert_eq!((w.addresses(), w.sim(|sim| sim.routes().len())), (1, 1));
        w.lacks = false;
        w.stop();
        assert_eq!(failed(w), told);
    });
}

#[test]
fn what_there_is_no_room_for_at_the_moment_is_put_on_later() {
    for why in [ErrorKind::Busy, ErrorKind::Exhausted] {
        within(&Plan { refuses: vec![(Operation::AddressAdd, why)], ..Plan::default() }, |w| {
            w.lacks = true;
            w.pass(s(600));
            // After 2, 4, … 64 s, and then every 64 s.
            let tries = failed(w).iter().filter(|told| **told == (Action::AddressAdd, why)).count();
            assert!((14..=15).contains(&tries), "{tries}");
            refuse(w, &[Operation::AddressAdd], None);
            w.until(s(64), "the address", |w| w.addresses() == 1);
            w.until_operational(s(64));
            assert_eq!(w.sim(|sim| sim.routes().len()), 1);
            w.lacks = false;
            w.stop();
        });
    }
    within(&Plan::default(), |w| {
        w.until_operational(s(5));
        refuse(w, &[Operation::RouteAdd], Some(ErrorKind::Busy));
        w.sim(|sim| {
            let (index, route) = sim.routes()[0];
            sim.route_remove(index, &route).expect("removed");
        });
        w.pass(s(10));
        refuse(w, &[Operation::RouteAdd], None);
        w.until(s(10), "the route", |w| w.sim(|sim| sim.routes().len()) == 1);
        assert!(failed(w).iter().all(|told| *told == (Action::RouteAdd, ErrorKind::Busy)));
        w.stop();
    });
}

#[test]
fn that_there_is_no_room_for_a_socket_is_told_once_in_a_minute_of_each_client() {
    let why = ErrorKind::Exhausted;
    within(&Plan { refuses: vec![(Operation::LinkOpen, why)], ..Plan::default() }, |w| {
        w.pass(s(30));
        assert_eq!(failed(w), [(Action::OpenSocket, why)]);
        w.pass(s(60));
        assert_eq!(failed(w).len(), 2);
        refuse(w, &[Operation::LinkOpen], None);
        refuse(w, &[Operation::UdpOpen], Some(why));
        w.until(s(70), "an address", |w| w.addresses() == 1);
        w.pass(s(10));
        // NTP's.
        assert_eq!(failed(w).len(), 3);
        refuse(w, &[Operation::UdpOpen], None);
        w.until_operational(s(70));
        w.stop();
    });
    // What the network refuses is for the clients to judge.
    let refuses = vec![(Operation::UdpOpen, ErrorKind::Unreachable)];
    within(&Plan { refuses, ..Plan::default() }, |w| {
        w.pass(s(30));
        assert_eq!(failed(w), []);
    });
}

#[test]
fn an_interface_that_goes_is_no_failure_to_put_its_address_back() {
    within(&Plan::default(), |w| {
        w.until_operational(s(5));
        w.pass(s(10));
        w.lacks = true;
        // On Linux its addresses go before it does, and each can be noticed in a turn of its own.
        refuse(w, &[Operation::AddressAdd, Operation::RouteAdd], Some(ErrorKind::NotFound));
        w.sim(|sim| {
            let (index, address) = sim.addresses().next().map(|(i, a)| (i, *a)).expect("one");
            sim.address_remove(index, &address).expect("removed");
        });
        w.event_loop.turn(w.app).expect("a turn");
        let index = w.index(0);
        w.sim(|sim| sim.remove_interface(index));
        w.until(s(5), "the fall", |w| w.state() == SystemState::CollectingStdin);
        assert_eq!(failed(w), []);
        w.stop();
    });
}

#[test]
fn an_interface_that_cannot_be_set_up_comes_up_when_somebody_else_does_it() {
    let refuses = vec![(Operation::InterfaceUp, WHY)];
    within(&Plan { refuses, ..Plan::default() }, |w| {
        w.pass(s(10));
        assert_eq!(failed(w), [(Action::InterfaceUp, WHY)]);
        let index = w.index(0);
        w.sim(|sim| sim.set_up(index, true));
        w.until_operational(s(5));
        w.stop();
        assert!(w.sim(|sim| sim.interface("sim0").expect("there").up), "it was not ours to set");
    });
}

#[test]
fn what_cannot_be_taken_off_in_the_end() {
    const ALL: [(Operation, Action); 4] = [
        (Operation::RouteRemove, Action::RouteRemove),
        (Operation::AddressRemove, Action::AddressRemove),
        (Operation::MtuSet, Action::MtuSet),
        (Operation::InterfaceDown, Action::InterfaceDown),
    ];
    within(&Plan { mtu: Some(1_400), ..Plan::default() }, |w| {
        w.until_operational(s(5));
        refuse(w, &ALL.map(|(what, _)| what), Some(WHY));
        stop(w);
        assert_eq!(failed(w), ALL.map(|(_, action)| (action, WHY)));
    });
    // A machine that cannot set interfaces down leaves them up; what is gone already is gone.
    within(&Plan::default(), |w| {
        w.until_operational(s(5));
        refuse(w, &[Operation::InterfaceDown], Some(ErrorKind::Unsupported));
        let gone = [Operation::RouteRemove, Operation::AddressRemove];
        refuse(w, &gone, Some(ErrorKind::NotFound));
        stop(w);
        assert_eq!(failed(w), []);
    });
}

#[test]
fn what_a_renewed_lease_no_longer_has_and_cannot_be_taken_off() {
    for (why, told) in [(WHY, 2), (ErrorKind::NotFound, 0)] {
        within(&Plan::default(), |w| {
            w.until_operational(s(5));
            refuse(w, &[Operation::AddressRemove, Operation::RouteRemove], Some(why));
            let now = w.now();
            w.far[0].borrow_mut().change(now, |network| {
                network.prefix_len = 25;
                network.router = Some(Ipv4Addr::new(10, 89, 0, 2));
            });
            w.until(s(2_000), "a renewal", |w| {
                w.count(|e| matches!(e, Event::Address { renewed: true, .. })) == 1
            });
            let all = [(Action::AddressRemove, WHY), (Action::RouteRemove, WHY)];
            assert_eq!(failed(w), all[..told]);
            // The new ones are there beside the old.
            assert_eq!((w.addresses(), w.sim(|sim| sim.routes().len())), (2, 2));
        });
    }
}

#[test]
fn a_link_local_address_that_cannot_be_put_on_or_taken_off() {
    let dhcp = |config| bringup::dhcp::Config { link_local: true, ..config };
    let without_server = |story: &dyn Fn(&mut World<'_, '_, '_>)| {
        within(&Plan { dhcp, ..Plan::default() }, |w| {
            w.far[0].borrow_mut().dhcp_on = false;
            story(w);
        });
    };
    let is_bound = |w: &mut World<'_, '_, '_>| {
        w.count(|e| matches!(e, Event::LinkLocal { lost: false, .. })) == 1
    };
    // One that is there already is somebody else's, and stays.
    for (why, told) in [(WHY, 1), (ErrorKind::Exists, 0)] {
        without_server(&|w| {
            refuse(w, &[Operation::AddressAdd], Some(why));
            refuse(w, &[Operation::AddressRemove], Some(WHY));
            w.until(s(60), "an address", is_bound);
            w.pass(s(1));
            assert_eq!(failed(w), [(Action::AddressAdd, why)][..told]);
            stop(w);
            assert_eq!(failed(w).len(), told, "what is not ours is not taken off");
        });
    }
    for (why, told) in [(WHY, 1), (ErrorKind::NotFound, 0)] {
        without_server(&|w| {
            w.until(s(60), "an address", is_bound);
            refuse(w, &[Operation::AddressRemove], Some(why));
            w.far[0].borrow_mut().dhcp_on = true;
            w.until_operational(s(60));
            assert_eq!(failed(w), [(Action::AddressRemove, why)][..told]);
        });
    }
}

#[test]
fn what_was_there_before_stays_in_the_end() {
    within(&Plan::default(), |w| {
        w.until_operational(s(5));
        let index = w.index(0);
        let (address, (_, route)) =
            w.sim(|sim| (*sim.addresses().next().expect("one").1, sim.routes()[0]));
        w.stop();
        within(&Plan::default(), |w| {
            // The operator has put the very same there, for good, on an interface that stays up.
            refuse(w, &[Operation::InterfaceDown], Some(ErrorKind::Unsupported));
            let ours = AddressConfig { valid_s: None, ..address };
            w.sim(|sim| sim.address_add(index, &ours).expect("added"));
            w.sim(|sim| sim.route_add(index, &route).expect("added"));
            w.until_operational(s(5));
            stop(w);
            assert_eq!(failed(w), [], "it is no failure");
            assert_eq!(w.sim(|sim| (sim.addresses().count(), sim.routes().len())), (1, 1));
            assert_eq!(w.count(|e| matches!(e, Event::AddressLost { .. })), 0, "it is still there");
        });
    });
}

#[test]
fn interfaces_that_cannot_be_watched_are_taken_to_be_up() {
    for (why, told) in [(WHY, 1), (ErrorKind::Unsupported, 0)] {
        let refuses = vec![(Operation::WatchOpen, why)];
        within(&Plan { refuses, ..Plan::default() }, |w| {
            w.until_operational(s(5));
            assert_eq!(failed(w), [(Action::Watch, why)][..told]);
            w.stop();
        });
    }
}

#[test]
fn a_watch_that_fails_is_opened_again_and_what_was_missed_is_looked_up() {
    within(&Plan::default(), |w| {
        w.until_operational(s(5));
        w.pass(s(10));
        let (index, open) = (w.index(0), w.sim(|sim| sim.open_sockets()));
        refuse(w, &[Operation::WatchReceive, Operation::WatchOpen], Some(ErrorKind::Failed));
        w.sim(|sim| sim.flap(index));
        w.until(s(1), "the failure", |w| !failed(w).is_empty());
        w.pass(s(5));
        assert_eq!(failed(w), [(Action::Watch, ErrorKind::Failed)], "told once");
        assert!(w.sim(|sim| sim.open_sockets()) < open);
        // Nobody says so, but it is seen.
        w.sim(|sim| sim.set_carrier(index, false));
        w.until(s(2), "the loss", |w| w.count(|e| matches!(e, Event::Link { up: false, .. })) == 1);
        refuse(w, &[Operation::WatchReceive, Operation::WatchOpen], None);
        w.pass(s(2));
        w.sim(|sim| sim.set_carrier(index, true));
        let begin = w.now();
        w.until(s(1), "the link", |w| w.count(|e| matches!(e, Event::Link { up: true, .. })) == 2);
        assert_eq!(w.now(), begin, "the watch says so at once");
        w.stop();
    });
}

#[test]
fn a_watch_that_fails_again_and_again_is_opened_once_a_second() {
    within(&Plan::default(), |w| {
        w.until_operational(s(5));
        refuse(w, &[Operation::WatchReceive], Some(ErrorKind::Failed));
        let index = w.index(0);
        w.sim(|sim| sim.flap(index));
        w.pass(s(10));
        let times = failed(w).len();
        assert!((9..=11).contains(&times), "{times} times in ten seconds");
    });
}

#[test]
fn an_interface_that_cannot_be_looked_at_is_not_taken_to_be_gone() {
    within(&Plan::default(), |w| {
        w.until_operational(s(5));
        for (why, state) in
            [(WHY, SystemState::Operational), (ErrorKind::NotFound, SystemState::CollectingStdin)]
        {
            refuse(w, &[Operation::Interface], Some(why));
            let index = w.index(0);
            w.sim(|sim| sim.flap(index));
            w.sim(|sim| sim.overrun_watches());
            w.pass(s(2));
            assert_eq!(w.state(), state, "{why:?}");
        }
    });
}

#[test]
fn a_clock_that_cannot_be_set_is_told_and_the_time_is_known_all_the_same() {
    for why in [WHY, ErrorKind::Unsupported] {
        let refuses = vec![(Operation::SetClock, why)];
        within(&Plan { set_clock: true, refuses, ..Plan::default() }, |w| {
            w.until_operational(s(5));
            assert!(failed(w).contains(&(Action::SetClock, why)));
            let applied = w.count(|e| matches!(e, Event::Adjust { applied: true, .. }));
            assert_eq!(applied, 0);
            assert_eq!(w.sim(|sim| sim.synchronised()), None, "nobody may rely on this clock");
            w.stop();
        });
    }
}

#[test]
fn a_clock_without_leap_seconds_is_set_all_the_same() {
    for (why, told) in [(WHY, true), (ErrorKind::Unsupported, false)] {
        let refuses = vec![(Operation::ClockLeap, why)];
        within(&Plan { set_clock: true, lease_s: 864_000, refuses, ..Plan::default() }, |w| {
            w.far[0].borrow_mut().leap = 1;
            w.until_operational(s(5));
            w.pass(s(30 * 86_400 + 3_600));
            assert!(w.count(|e| matches!(e, Event::Adjust { applied: true, .. })) > 0);
            assert_eq!(failed(w).contains(&(Action::SetClock, why)), told);
            assert_eq!(failed(w).is_empty(), !told);
            let leaps = |is_applied: bool| {
                w.count(|e| match e {
                    Event::Adjust { adjust: Adjust::Leap(_), applied } => *applied == is_applied,
                    _ => false,
                })
            };
            assert_eq!((leaps(true), leaps(false)), (0, 1));
            w.stop();
        });
    }
}

#[test]
fn a_kernel_that_does_not_want_to_know_how_right_its_clock_is() {
    for (why, told) in [(WHY, true), (ErrorKind::Unsupported, false)] {
        let refuses = vec![(Operation::ClockSynchronised, why)];
        within(&Plan { set_clock: true, lease_s: 86_400, refuses, ..Plan::default() }, |w| {
            w.until_operational(s(5));
            w.pass(s(3_600));
            assert_eq!(failed(w).contains(&(Action::SetClock, why)), told);
            assert_eq!(failed(w).is_empty(), !told);
            assert!(w.is_operational());
            w.stop();
        });
    }
}

/// A system that has not been started, over one interface that has no carrier, on a loop with room for so many descriptors.
fn unstarted<const SOURCES: usize>(
    then: impl FnOnce(&mut System<'_, Sim>, &mut Registrar<'_, Sim>, u32),
) {
    let mut sim = Sim::new(1);
    let index = sim.add_interface("sim0", Mac([2, 0, 0, 0, 0, 2]));
    sim.set_carrier(index, false);
    sim.set_up(index, true);
    let queue = Queue::new(StdLock::new(), SimWake::new());
    let mut memory = LoopStorage::<_, 32, SOURCES>::new();
    let mut event_loop = EventLoop::new(sim, &mut memory, &queue).expect("a loop");
    let (mut slots, mut cache, mut lease) = ([None], SmallStorage::new(), [0; STORAGE_LEN]);
    let config = Config::new(bringup::ntp::Config::new(Utc::from_unix_nanos(0)));
    let resolver = Resolver::new(config.resolver, &mut cache);
    let mut system = System::new(config, &mut slots, resolver);
    let registrar = &mut event_loop.registrar();
    let dhcp = |link: &Interface| bringup::dhcp::Config::new(link.mac);
    system.add_interface(registrar, "sim0", dhcp, &mut lease).expect("added");
    then(&mut system, registrar, index);
}

/// Nobody tells of it: it came before the watch.
#[test]
fn a_carrier_that_comes_before_the_start_is_seen() {
    unstarted::<128>(|system, registrar, index| {
        registrar.platform().set_carrier(index, true);
        system.start(registrar).expect("started");
        assert!(system.interfaces().all(|interface| interface.is_up()));
    });
}

#[test]
fn a_loop_without_room_for_the_watch_is_refused_and_leaves_nothing_open() {
    unstarted::<0>(|system, registrar, _| {
        assert!(system.start(registrar).is_err());
        assert_eq!(registrar.platform().open_sockets(), 0);
    });
}
