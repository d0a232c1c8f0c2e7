//! What the operator says, and what is not said any more.

use std::net::SocketAddr;

use bringup::core::platform::Platform;
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
