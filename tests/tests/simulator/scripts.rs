//! One story per test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bringup::core::attach::Outcome;
use bringup::core::platform::{LeapSecond, Platform};
use bringup::core::state::SystemState;
use bringup::ntp::packet::Leap;
use bringup::platform::sim::true_utc;
use bringup::system::{Event, Gate};

use crate::world::{Plan, World, s, within};

#[test]
fn each_gate_is_held_until_what_it_waits_for_is_there() {
    within(&Plan { carrier: false, ..Plan::default() }, |w| {
        w.pass(s(60));
        assert_eq!(w.app.system.holding(), Some(Gate::Link));
        w.far[0].borrow_mut().dhcp_on = false;
        let index = w.index(0);
        w.sim(|sim| sim.set_carrier(index, true));
        w.pass(s(60));
        assert_eq!(w.app.system.holding(), Some(Gate::Address));
        w.far[0].borrow_mut().ntp_on = false;
        w.far[0].borrow_mut().dhcp_on = true;
        w.until(s(120), "an address", |w| w.state() == SystemState::CpdPreTime);
        w.pass(s(60));
        assert_eq!(w.app.system.holding(), Some(Gate::Time));
        w.far[0].borrow_mut().ntp_on = true;
        w.until_operational(s(2_000));
        let holds = [Gate::Link, Gate::Address, Gate::Time].map(|gate| w.held_by(gate));
        assert_eq!(holds, [1, 1, 1], "each held once");
        w.stop();
    });
}

#[test]
fn option_42_needs_no_dns_and_a_name_does() {
    within(&Plan::default(), |w| {
        w.far[0].borrow_mut().dns_on = false;
        w.until_operational(s(5));
        assert!(w.far[0].borrow().heard.iter().all(|(_, port, _)| *port != 53));
        w.stop();
    });
    within(&Plan { option_42: false, ..Plan::default() }, |w| {
        w.far[0].borrow_mut().dns_on = false;
        w.pass(s(600));
        assert_eq!(w.app.system.holding(), Some(Gate::Time));
        let failures = w.count(|e| matches!(e, Event::NtpNameFailed { .. }));
        assert!((4..40).contains(&failures), "{failures} failures in ten minutes");
        w.far[0].borrow_mut().dns_on = true;
        w.until_operational(s(120));
        w.stop();
    });
}

#[test]
fn a_lease_is_renewed_by_unicast_at_t1_and_by_broadcast_from_t2() {
    within(&Plan::default(), |w| {
        w.until_operational(s(5));
        let heard = w.far[0].borrow().heard.len();
        let bound = w.now();
        w.until(s(2_000), "a renewal", |w| {
            w.count(|e| matches!(e, Event::Address { renewed: true, .. })) == 1
        });
        assert!(w.now() - s(1_795) > bound && w.now() < bound + s(1_805), "{:?}", w.now());
        let dhcp = w.far[0].borrow().heard[heard..]
            .iter()
            .filter(|h| h.1 == 67)
            .copied()
            .collect::<Vec<_>>();
        assert!(matches!(dhcp[..], [(_, 67, true)]), "{dhcp:?}");
        w.far[0].borrow_mut().dhcp_on = false;
        let renewed = w.now();
        w.pass(s(3_300));
        let heard = w.far[0].borrow().heard.clone();
        let broadcast =
            heard.iter().find(|(at, port, unicast)| *at > renewed && *port == 67 && !unicast);
        let after = broadcast.expect("rebinding").0.since(renewed);
        assert!(after >= s(3_145) && after <= s(3_155), "{after:?}");
        assert!(w.is_operational(), "the lease still holds");
        w.stop();
    });
}

#[test]
fn an_expired_lease_is_taken_off_and_the_climb_begins_again() {
    within(&Plan { mtu: Some(1_400), ..Plan::default() }, |w| {
        w.until_operational(s(5));
        let mtu = |w: &mut crate::world::World<'_, '_, '_>| {
            w.sim(|sim| sim.interface("sim0").expect("there").mtu)
        };
        assert_eq!((w.addresses(), mtu(w)), (1, 1_400));
        w.far[0].borrow_mut().dhcp_on = false;
        w.until(s(3_601), "the fall", |w| w.state() == SystemState::IfaceColdplug);
        assert_eq!((w.addresses(), mtu(w)), (0, 1_500));
        assert_eq!(w.sim(|sim| sim.routes().len()), 0);
        assert!(w.app.system.dns_servers().is_empty() && w.app.system.ntp_servers().is_empty());
        let fallen = (SystemState::Operational, SystemState::IfaceColdplug);
        assert_eq!(w.app.states.last(), Some(&fallen), "one jump, not a walk");
        w.far[0].borrow_mut().dhcp_on = true;
        w.until_operational(s(120));
        let failed = w.count(|e| matches!(e, Event::Failed { .. }));
        assert_eq!(failed, 0, "{:?}", w.app.said);
        w.stop();
    });
}

#[test]
fn a_carrier_flap_keeps_the_address_and_asks_for_it_again() {
    within(&Plan::default(), |w| {
        w.until_operational(s(5));
        let (index, heard) = (w.index(0), w.far[0].borrow().heard.len());
        w.sim(|sim| sim.set_carrier(index, false));
        w.pass(s(10));
        assert_eq!((w.addresses(), w.is_operational()), (1, true));
        w.sim(|sim| sim.set_carrier(index, true));
        w.until(s(10), "a renewal", |w| {
            w.count(|e| matches!(e, Event::Address { renewed: true, .. })) == 1
        });
        let heard = w.far[0].borrow().heard[heard..].iter().filter(|h| h.1 == 67).count();
        assert_eq!(heard, 1, "INIT-REBOOT is one REQUEST");
        w.stop();
    });
}

#[test]
fn a_carrier_that_stays_away_does_not_keep_an_address_past_its_lease() {
    within(&Plan::default(), |w| {
        w.until_operational(s(5));
        let index = w.index(0);
        w.sim(|sim| sim.set_carrier(index, false));
        w.until(s(3_601), "the fall", |w| w.state() == SystemState::IfaceColdplug);
        assert_eq!(w.addresses(), 0);
        w.stop();
    });
}

#[test]
fn an_interface_that_is_pulled_out_and_put_back_comes_up_again() {
    within(&Plan { interfaces: 2, ..Plan::default() }, |w| {
        w.until_operational(s(5));
        w.until(s(5), "two addresses", |w| w.addresses() == 2);
        let (first, second) = (w.index(0), w.index(1));
        w.sim(|sim| sim.remove_interface(first));
        w.pass(s(1));
        assert!(w.is_operational(), "the other one has an address");
        assert_eq!(w.app.system.dns_servers().iter().count(), 1);
        w.sim(|sim| sim.remove_interface(second));
        w.until(s(5), "the fall", |w| w.state() == SystemState::CollectingStdin);
        let back = w.sim(|sim| sim.add_interface("sim9", bringup::core::client::Mac([2; 6])));
        let far = std::rc::Rc::clone(&w.far[0]);
        let index = w.sim(|sim| {
            let index = sim.add_interface("sim0", bringup::core::client::Mac([2, 0, 0, 0, 0, 2]));
            sim.add_peer(index, far);
            index
        });
        assert!(back > second && index > back, "another number");
        w.until_operational(s(60));
        assert_eq!((w.addresses(), w.app.system.dns_servers().iter().count()), (1, 1));
        w.stop();
    });
}

#[test]
fn an_address_that_somebody_takes_off_is_put_back() {
    within(&Plan::default(), |w| {
        w.until_operational(s(5));
        w.sim(|sim| {
            let (index, config) = sim.addresses().map(|(i, a)| (i, *a)).next().expect("one");
            sim.address_remove(index, &config).expect("removed");
            assert_eq!(sim.routes().len(), 0, "its routes went with it");
        });
        w.event_loop.turn(w.app).expect("a turn");
        assert_eq!((w.addresses(), w.sim(|sim| sim.routes().len())), (1, 1));
        w.stop();
    });
}

#[test]
fn what_an_overrun_hid_is_found_out() {
    within(&Plan { interfaces: 2, ..Plan::default() }, |w| {
        w.until_operational(s(5));
        w.until(s(5), "two addresses", |w| w.addresses() == 2);
        let first = w.index(0);
        let heard = w.far[1].borrow().heard.iter().filter(|h| h.1 == 67).count();
        w.sim(|sim| {
            let (index, config) = sim.addresses().map(|(i, a)| (i, *a)).last().expect("one");
            sim.address_remove(index, &config).expect("removed");
            sim.remove_interface(first);
            sim.overrun_watches();
        });
        w.pass(s(1));
        assert_eq!((w.addresses(), w.is_operational()), (1, true), "put back, and gone");
        let still = w.far[1].borrow().heard.iter().filter(|h| h.1 == 67).count();
        assert_eq!(still, heard, "the one that stays keeps its lease");
        assert_eq!(w.app.system.dns_servers().iter().count(), 1);
        w.stop();
    });
}

#[test]
fn losing_one_of_two_interfaces_withdraws_only_its_own_facts() {
    within(&Plan { interfaces: 2, ..Plan::default() }, |w| {
        // Both networks name the same server: each lease says so for itself.
        let shared = w.far[0].borrow().address;
        let now = w.now();
        w.far[1].borrow_mut().change(now, |network| network.dns_servers = vec![shared]);
        w.until_operational(s(5));
        w.until(s(5), "two addresses", |w| w.addresses() == 2);
        w.far[0].borrow_mut().dhcp_on = false;
        w.until(s(3_700), "one address", |w| w.addresses() == 1);
        assert!(w.is_operational(), "the other interface has one");
        let dns: Vec<_> = w.app.system.dns_servers().iter().map(|f| f.address.ip()).collect();
        assert_eq!(dns, [shared], "the other lease names it too");
        assert_eq!(w.app.system.ntp_servers().iter().count(), 1);
        w.stop();
    });
}

#[test]
fn a_time_without_news_is_no_time_in_the_end() {
    within(&Plan { valid_for: Some(s(7_200)), ..Plan::default() }, |w| {
        w.until_operational(s(5));
        w.far[0].borrow_mut().ntp_on = false;
        w.until(s(9_000), "the fall", |w| w.state() == SystemState::CpdPreTime);
        assert!(!w.is_time_known());
        w.far[0].borrow_mut().ntp_on = true;
        w.until_operational(s(2_000));
        w.stop();
    });
}

/// Servers are asked not to check signatures while nobody knows the time, but only of a system that wants to.
#[test]
fn a_time_that_nobody_waits_for_is_not_missed_when_it_is_lost() {
    for wait_for_time in [true, false] {
        let plan = Plan { wait_for_time, valid_for: Some(s(7_200)), ..Plan::default() };
        within(&plan, |w| {
            w.until_operational(s(5));
            w.until(s(5), "the time", |w| w.is_time_known());
            w.far[0].borrow_mut().ntp_on = false;
            w.until(s(9_000), "the loss", |w| !w.is_time_known());
            assert_eq!(w.app.system.resolver().is_time_valid(), !wait_for_time);
            assert_eq!(w.is_operational(), !wait_for_time);
            w.stop();
        });
    }
}

#[test]
fn a_name_that_cannot_be_resolved_is_asked_for_ever_more_slowly() {
    // lwIP asked again without a pause, Tasmota every few seconds (RFC 4330 §10).
    within(&Plan { option_42: false, ..Plan::default() }, |w| {
        w.far[0].borrow_mut().dns_on = false;
        w.pass(s(60));
        let in_a_minute = w.far[0].borrow().heard.iter().filter(|h| h.1 == 53).count();
        assert!(
            (2..=40).contains(&in_a_minute),
            "{in_a_minute} queries: three to a server, two families"
        );
        w.pass(s(3_600));
        let in_an_hour = w.far[0].borrow().heard.iter().filter(|h| h.1 == 53).count() - in_a_minute;
        assert!((20..=400).contains(&in_an_hour), "{in_an_hour} queries");
        w.stop();
    });
}

#[test]
fn d6_the_resolver_is_told_whether_the_time_is_known() {
    within(&Plan { option_42: false, valid_for: Some(s(7_200)), ..Plan::default() }, |w| {
        assert!(!w.app.system.resolver().is_time_valid());
        w.until_operational(s(5));
        assert!(w.app.system.resolver().is_time_valid());
        w.far[0].borrow_mut().ntp_on = false;
        w.until(s(9_000), "the fall", |w| w.state() == SystemState::CpdPreTime);
        assert!(!w.app.system.resolver().is_time_valid());
        w.stop();
    });
}

#[test]
fn d2_a_confirmed_time_is_told_to_be_saved_at_once_and_hourly() {
    within(&Plan::default(), |w| {
        w.until_operational(s(5));
        w.pass(s(12_600));
        let saved: Vec<_> = w
            .app
            .said
            .iter()
            .filter_map(|(at, event)| match event {
                Event::SaveClock { utc } => Some((*at, *utc)),
                _ => None,
            })
            .collect();
        assert_eq!(saved.len(), 4, "once confirmed, and three times more");
        for (at, utc) in saved {
            let behind_ns = true_utc(at).nanos_since(utc);
            assert!((60_000_000_000..61_000_000_000).contains(&behind_ns), "{behind_ns}");
        }
        w.stop();
    });
}

#[test]
fn d7_the_clock_is_set_and_the_platform_told_how_right_it_is() {
    for set_clock in [true, false] {
        let plan = Plan { set_clock, valid_for: Some(s(7_200)), ..Plan::default() };
        within(&plan, |w| {
            w.until_operational(s(5));
            let off_ns =
                |w: &mut World<'_, '_, '_>| w.sim(|sim| sim.utc().nanos_since(true_utc(sim.now())));
            let is_set = off_ns(w).unsigned_abs() < 1_000_000;
            assert_eq!(is_set, set_clock, "{} ns", off_ns(w));
            let told = w.sim(|sim| sim.synchronised());
            assert_eq!(told, None, "one sample is no ground to write a battery clock by");
            w.pass(s(60));
            let told = w.sim(|sim| sim.synchronised());
            assert_eq!(told.is_some(), set_clock);
            let off_us = off_ns(w).unsigned_abs() / 1_000;
            assert!(told.is_none_or(|error| off_us <= error.as_micros()), "{off_us}, {told:?}");
            w.far[0].borrow_mut().ntp_on = false;
            w.until(s(9_000), "the fall", |w| w.state() == SystemState::CpdPreTime);
            assert_eq!(w.sim(|sim| sim.synchronised()), None, "taken back");
            w.stop();
        });
    }
}

#[test]
fn c7_a_leap_second_reaches_the_platform_on_its_day() {
    within(&Plan { set_clock: true, lease_s: 864_000, ..Plan::default() }, |w| {
        w.far[0].borrow_mut().leap = 1;
        w.until_operational(s(5));
        // January has thirty days more to come.
        w.pass(s(29 * 86_400));
        assert_eq!(w.count(|e| matches!(e, Event::Leap { leap: Leap::Insert, .. })), 1);
        assert_eq!(w.sim(|sim| sim.leap()), LeapSecond::None, "not before its day");
        w.pass(s(86_400 + 3_600));
        assert_eq!(w.sim(|sim| sim.leap()), LeapSecond::Insert);
        w.far[0].borrow_mut().leap = 0;
        w.pass(s(3_600));
        assert_eq!(w.sim(|sim| sim.leap()), LeapSecond::None, "not after all");
        w.stop();
    });
}

#[test]
fn servers_that_change_at_a_renewal_are_taken_in_mid_flight() {
    within(&Plan::default(), |w| {
        w.until_operational(s(5));
        let (now, other) = (w.now(), "10.89.0.99".parse().expect("an address"));
        w.far[0].borrow_mut().change(now, |network| {
            network.dns_servers = vec![other];
            network.ntp_servers.push(other);
        });
        w.until(s(2_000), "a renewal", |w| {
            w.count(|e| matches!(e, Event::Address { renewed: true, .. })) == 1
        });
        let dns: Vec<_> = w.app.system.dns_servers().iter().map(|f| f.address.ip()).collect();
        assert_eq!(dns, [other]);
        assert_eq!(w.app.system.ntp_servers().iter().count(), 2);
        let resolver = w.app.system.resolver().servers().count();
        assert_eq!((resolver, w.is_operational()), (1, true));
        w.stop();
    });
}

#[test]
fn an_ntp_name_whose_address_is_silent_is_asked_for_again() {
    within(&Plan { option_42: false, ..Plan::default() }, |w| {
        w.until_operational(s(5));
        let asked = w.far[0].borrow().heard.iter().filter(|h| h.1 == 53).count();
        w.far[0].borrow_mut().ntp_on = false;
        w.pass(s(86_400));
        let again = w.far[0].borrow().heard.iter().filter(|h| h.1 == 53).count();
        assert!(again > asked, "the server may have moved (RFC 4330 §10)");
        w.stop();
    });
}

#[test]
fn stop_leaves_nothing_in_whatever_state() {
    for millis in [0, 1, 50, 500, 5_000, 50_000] {
        for (dhcp, dns, ntp) in [(true, true, true), (false, true, true), (true, false, false)] {
            let plan = Plan { option_42: false, mtu: Some(1_300), ..Plan::default() };
            within(&plan, |w| {
                let mut far = w.far[0].borrow_mut();
                (far.dhcp_on, far.dns_on, far.ntp_on) = (dhcp, dns, ntp);
                drop(far);
                w.pass(bringup::core::time::Duration::from_millis(millis));
                w.stop();
                assert_eq!(w.sim(|sim| sim.interface("sim0").expect("there").mtu), 1_500);
            });
        }
    }
}

#[test]
fn who_waits_for_operational_is_told_once_however_it_ends() {
    for reaches in [true, false] {
        let (ready, ended) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        within(&Plan::default(), |w| {
            w.far[0].borrow_mut().dhcp_on = reaches;
            let (ready, ended) = (Arc::clone(&ready), Arc::clone(&ended));
            let posted = w.queue.attach(SystemState::Operational, move |outcome| {
                let counter = if matches!(outcome, Outcome::Ready(..)) { &ready } else { &ended };
                counter.fetch_add(1, Ordering::Relaxed);
            });
            assert!(posted.is_ok());
            w.pass(s(8_000));
            w.app.system.stop(&mut w.event_loop.registrar());
            w.event_loop.shutdown(w.app);
        });
        let told = (ready.load(Ordering::Relaxed), ended.load(Ordering::Relaxed));
        assert_eq!(told, if reaches { (1, 0) } else { (0, 1) });
    }
}

#[test]
fn a_system_that_wants_no_time_is_operational_without() {
    within(&Plan { wait_for_time: false, ..Plan::default() }, |w| {
        w.far[0].borrow_mut().ntp_on = false;
        w.until_operational(s(5));
        assert!(!w.is_time_known());
        assert_eq!(w.held_by(Gate::Time), 0);
        w.stop();
    });
}

#[test]
fn a_step_that_the_application_held_is_not_taken_without_its_reason() {
    within(&Plan::default(), |w| {
        w.app.holds = Some(SystemState::Dhcp);
        w.until(s(5), "the hold", |w| w.app.held.is_some());
        // While it is held the lease ends; then the application lets go.
        w.far[0].borrow_mut().dhcp_on = false;
        w.until(s(3_700), "the end of the lease", |w| w.addresses() == 0);
        w.app.holds = None;
        let key = w.app.held.take().expect("held");
        w.event_loop.registrar().release(key);
        w.pass(s(30));
        assert_eq!(w.state(), SystemState::IfaceColdplug);
        assert_eq!(w.app.system.holding(), Some(Gate::Address));
        w.far[0].borrow_mut().dhcp_on = true;
        w.until_operational(s(120));
        w.stop();
    });
}

#[test]
fn stop_ends_the_wait_before_a_name_is_asked_for_again() {
    within(&Plan { option_42: false, ..Plan::default() }, |w| {
        w.far[0].borrow_mut().dns_on = false;
        w.until(s(120), "a failure", |w| {
            w.count(|e| matches!(e, Event::NtpNameFailed { .. })) == 2
        });
        w.stop();
    });
}

#[test]
fn a_query_ends_with_the_system_and_none_begins_after_it() {
    use bringup::dns::{Failure, Outcome, QueryError, QueryKind, QueryOptions};

    within(&Plan::default(), |w| {
        w.until_operational(s(5));
        w.far[0].borrow_mut().dns_on = false;
        let ask = |w: &mut crate::world::World<'_, '_, '_>| {
            let (kind, options) = (QueryKind::Addresses, QueryOptions::default());
            w.app.system.query(&mut w.event_loop.registrar(), "unknown.test", kind, options)
        };
        let key = ask(w).expect("asked");
        w.pass(bringup::core::time::Duration::from_millis(100));
        w.stop();
        let stopped = Outcome::Failed(Failure::Stopped);
        let ended = bringup::dns::Event::Done { key, outcome: stopped };
        let said: Vec<_> = std::iter::from_fn(|| w.app.system.next_event()).collect();
        assert!(said.contains(&Event::Dns(ended)), "{said:?}");
        assert_eq!(ask(w), Err(QueryError::Stopped));
        assert_eq!(w.sim(|sim| sim.open_sockets()), 0);
    });
}

/// What an idle, synchronised device costs its battery and its network. The figures are printed; what is
/// asserted is that nobody polls.
#[test]
fn a_day_of_idling_costs_little() {
    within(&Plan { lease_s: 86_400, ..Plan::default() }, |w| {
        w.until_operational(s(5));
        // The first hour has bursts and short intervals.
        w.pass(s(3_600));
        let heard = w.far[0].borrow().heard.len();
        let turns = w.turns;
        w.pass(s(86_400));
        let packets = w.far[0].borrow().heard[heard..].to_vec();
        let of = |port: u16| packets.iter().filter(|(_, to, _)| *to == port).count();
        let turns = w.turns - turns;
        eprintln!(
            "a day of idling: {} DHCP, {} DNS and {} NTP packets sent, {} turns of the loop an hour",
            of(67),
            of(53),
            of(123),
            turns / 24
        );
        assert!(of(67) <= 2 && of(53) == 0, "the lease is renewed at half its time");
        assert!((10..=200).contains(&of(123)), "{} requests for the time", of(123));
        assert!(turns / 24 < 60, "{turns} turns");
        w.stop();
    });
}
