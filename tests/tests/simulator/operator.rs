//! What the operator says, and what is not said any more.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bringup::core::platform::Platform;
use bringup::ntp::plausible::Plausible;
use bringup::platform::sim::true_utc;
use bringup::system::{Event, NtpName, Origin};

use crate::world::{NTP_NAMES, Plan, World, s, within};

const MOVED: &[NtpName<'_>] = &[NtpName { name: "moved.bringup.test", port: 123 }];

fn set<'m>(w: &mut World<'_, '_, 'm>, dns: bool, ntp: bool, names: &[NtpName<'m>]) {
    let address = w.far[0].borrow().address;
    let (dns_server, ntp_server) =
        (SocketAddr::from((address, 53)), SocketAddr::from((address, 123)));
    let (dns_servers, ntp_servers) = ([dns_server], [ntp_server]);
    let registrar = &mut w.event_loop.registrar();
    let (dns, ntp) = (&dns_servers[..usize::from(dns)], &ntp_servers[..usize::from(ntp)]);
    w.app.system.set_servers(registrar, dns, ntp, names);
}

fn origins(w: &World<'_, '_, '_>) -> Vec<Origin> {
    w.app.system.ntp_servers().iter().map(|fact| fact.origin).collect()
}

#[test]
fn the_operators_servers_are_asked_when_there_is_an_address() {
    within(&Plan { option_42: false, ..Plan::default() }, |w| {
        w.far[0].borrow_mut().dhcp_on = false;
        set(w, true, true, &[]);
        w.pass(s(60));
        let counters = *w.app.system.ntp().counters();
        assert_eq!((counters.sent, counters.send_failed), (0, 0), "from where?");
        w.far[0].borrow_mut().dhcp_on = true;
        w.until_operational(s(120));
        assert_eq!(origins(w), [Origin::Configured]);
        w.stop();
    });
}

#[test]
fn the_operators_servers_are_replaced_while_all_goes_on() {
    within(&Plan { option_42: false, ..Plan::default() }, |w| {
        w.until_operational(s(5));
        assert_eq!(
            (w.app.system.ntp_name(0), origins(w)),
            (Some(NTP_NAMES[0]), vec![Origin::Name(0)])
        );
        let climbed = w.app.states.len();
        // The same again: nothing is asked for anew.
        let names = |w: &World<'_, '_, '_>| {
            w.far[0].borrow().heard.iter().filter(|(_, port, _)| *port == 53).count()
        };
        let asked = names(w);
        set(w, false, false, NTP_NAMES);
        w.pass(s(5));
        assert_eq!((names(w), origins(w)), (asked, vec![Origin::Name(0)]));
        set(w, false, true, &[]);
        assert_eq!((w.app.system.ntp_name(0), origins(w)), (None, vec![Origin::Configured]));
        w.pass(s(60));
        assert_eq!(names(w), asked);
        set(w, false, false, NTP_NAMES);
        w.pass(s(1));
        assert_eq!(
            (w.app.system.ntp_name(0), origins(w)),
            (Some(NTP_NAMES[0]), vec![Origin::Name(0)])
        );
        // Another name, and no address of it yet.
        set(w, false, false, MOVED);
        assert_eq!((w.app.system.ntp_name(0), origins(w)), (Some(MOVED[0]), vec![]));
        w.pass(s(60));
        assert_eq!(origins(w), [Origin::Name(0)]);
        assert!(w.is_operational() && w.addresses() == 1);
        assert_eq!(w.app.states.len(), climbed, "{:?}", w.app.states);
        w.stop();
    });
}

#[test]
fn a_lease_that_names_no_mtu_any_more_gives_the_old_one_back() {
    within(&Plan { mtu: Some(1_400), ..Plan::default() }, |w| {
        w.until_operational(s(5));
        let mtu =
            |w: &mut World<'_, '_, '_>| w.sim(|sim| sim.interface("sim0").expect("there").mtu);
        assert_eq!(mtu(w), 1_400);
        let now = w.now();
        w.far[0].borrow_mut().change(now, |network| network.mtu = None);
        w.until(s(2_000), "a renewal", |w| {
            w.count(|e| matches!(e, Event::Address { renewed: true, .. })) == 1
        });
        assert_eq!(mtu(w), 1_500);
        w.stop();
    });
}

#[test]
fn what_is_known_of_the_time_can_be_asked_for() {
    within(&Plan::default(), |w| {
        assert_eq!(w.app.system.clock_offset_ns(&mut w.event_loop.registrar()), None);
        w.until_operational(s(5));
        let registrar = &mut w.event_loop.registrar();
        let offset_ns = w.app.system.clock_offset_ns(registrar).expect("known");
        assert!((offset_ns - 1_500_000_000).abs() < 10_000_000, "{offset_ns} ns");
        assert!(w.app.system.ntp_report(registrar, 0).is_some());
        assert!(w.app.system.ntp_report(registrar, 1).is_none(), "there is one server");
        w.stop();
    });
}

#[test]
fn a_time_that_a_reference_calls_a_lie_is_not_taken() {
    within(&Plan::default(), |w| {
        let now = w.now();
        let year = s(365 * 86_400);
        let mut says = || Some(Plausible::around(true_utc(now + year), s(60)));
        w.app.system.constrain_time(&mut w.event_loop.registrar(), &mut says);
        w.pass(s(600));
        assert!(!w.is_time_known());
        w.app.system.constrain_time(&mut w.event_loop.registrar(), &mut || None);
        w.until_operational(s(3_600));
        w.stop();
    });
}

#[test]
fn a_system_that_is_lent_its_memory_does_the_same() {
    for wait_for_time in [false, true] {
        let plan = Plan { is_lent: true, option_42: false, wait_for_time, ..Plan::default() };
        within(&plan, |w| {
            assert_eq!(w.app.system.resolver().is_time_valid(), !wait_for_time);
            w.until_operational(s(5));
            w.until(s(5), "the time", |w| w.is_time_known());
            w.stop();
        });
    }
}

#[test]
fn what_is_ignored_is_told_with_who_sent_it_if_somebody_wants_to_know() {
    for tell_discards in [false, true] {
        within(&Plan { tell_discards, option_42: false, ..Plan::default() }, |w| {
            w.far[0].borrow_mut().junk = true;
            w.until_operational(s(5));
            let server = w.far[0].borrow().address;
            for (protocol, from) in [
                ("dhcp", None),
                ("dns", Some(SocketAddr::from((server, 53)))),
                ("ntp", Some(SocketAddr::from((server, 123)))),
            ] {
                let told = w.count(|e| match e {
                    Event::Discard { protocol: of, from: by, .. } => (*of, *by) == (protocol, from),
                    _ => false,
                });
                assert_eq!(told > 0, tell_discards, "{protocol}");
            }
            w.stop();
        });
    }
}

#[test]
fn addresses_of_a_name_that_are_silent_give_way_to_its_others() {
    const MANY: &[NtpName<'_>] = &[NtpName { name: "many.bringup.test", port: 123 }];
    within(&Plan { option_42: false, ..Plan::default() }, |w| {
        set(w, false, false, MANY);
        // Four of the six are used at a time, and none of the first four is there.
        w.until(s(60), "the addresses", |w| origins(w).len() == 4);
        w.until_operational(s(7_200));
        let turns = w.count(|e| matches!(e, Event::Servers { origin: Origin::Name(0) }));
        // They stay while one of them answers.
        w.pass(s(86_400));
        let later = w.count(|e| matches!(e, Event::Servers { origin: Origin::Name(0) }));
        assert!(turns >= 2 && later == turns, "{turns} turns, and {later}");
        w.stop();
    });
}

#[test]
fn servers_of_the_operator_are_told_at_the_start() {
    const DNS: &[SocketAddr] = &[SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 89, 0, 1)), 53)];
    const NTP: &[SocketAddr] = &[SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 89, 0, 1)), 123)];
    for (dns, ntp) in [(&[][..], &[][..]), (DNS, &[]), (&[], NTP), (DNS, NTP)] {
        within(&Plan { dns, ntp, ..Plan::default() }, |w| {
            w.until_operational(s(5));
            let told = w.count(|e| *e == Event::Servers { origin: Origin::Configured });
            assert_eq!(told, usize::from(dns.len() + ntp.len() > 0), "{dns:?} {ntp:?}");
            w.stop();
        });
    }
}

#[test]
fn a_server_of_a_lease_is_asked_by_way_of_its_interface_where_there_are_several() {
    for interfaces in [1, 2] {
        within(&Plan { interfaces, ..Plan::default() }, |w| {
            w.until_operational(s(5));
            w.until(s(5), "all addresses", |w| w.addresses() == usize::from(interfaces));
            let ways: Vec<_> = w.app.system.resolver().servers().map(|s| s.interface).collect();
            let by_interface = [Some(w.index(0)), (interfaces == 2).then(|| w.index(1))];
            let expected = if interfaces == 1 { vec![None] } else { by_interface.to_vec() };
            assert_eq!(ways, expected);
            w.stop();
        });
    }
    // A server of this host is not at the end of any wire.
    within(&Plan { interfaces: 2, ..Plan::default() }, |w| {
        let now = w.now();
        w.far[0]
            .borrow_mut()
            .change(now, |network| network.dns_servers = vec![Ipv4Addr::LOCALHOST]);
        w.until_operational(s(5));
        let servers: Vec<_> = w.app.system.resolver().servers().collect();
        let local = servers.iter().find(|server| server.address.ip().is_loopback());
        assert_eq!(local.map(|server| server.interface), Some(None));
        w.stop();
    });
}

#[test]
fn without_interfaces_of_its_own_the_system_takes_the_network_as_it_is() {
    within(&Plan { interfaces: 0, wait_for_time: false, ..Plan::default() }, |w| {
        w.lacks = true;
        w.until_operational(s(1));
        w.stop();
    });
}
