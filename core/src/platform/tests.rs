//! What a port that leaves out all it can answers.

use super::*;
use crate::testing::{Ground, Still};

/// A port that claimed to have done what it has not would be believed.
#[test]
fn what_a_port_leaves_out_is_unsupported() {
    let mut port = Ground::<Still>::default();
    let address = Ipv4Addr::new(192, 0, 2, 1);
    let to = SocketAddr::from((address, 53));
    let config = AddressConfig { address, prefix: 24, broadcast: None, valid_s: None };
    let route =
        RouteConfig { destination: address, prefix: 32, gateway: None, source: None, metric: 0 };
    let rows = [
        ("udp_local", port.udp_local(0).err()),
        ("tcp_connect", port.tcp_connect(to, None).err()),
        ("tcp_send", port.tcp_send(0, &[1]).err()),
        ("tcp_receive", port.tcp_receive(0, &mut [0]).err()),
        ("source", port.source(to.ip()).err()),
        ("link_open", port.link_open(1, LinkFilter::Arp).err()),
        ("link_send", port.link_send(0, Mac([2; 6]), 0x0800, &[1]).err()),
        ("link_receive", port.link_receive(0, &mut [0]).err()),
        ("interface", port.interface("lo").err()),
        ("watch_open", port.watch_open().err()),
        ("watch_receive", port.watch_receive(0).err()),
        ("interface_up", port.interface_up(1).err()),
        ("interface_down", port.interface_down(1).err()),
        ("mtu_set", port.mtu_set(1, 1_400).err()),
        ("address_add", port.address_add(1, &config).err()),
        ("address_remove", port.address_remove(1, &config).err()),
        ("route_add", port.route_add(1, &route).err()),
        ("route_remove", port.route_remove(1, &route).err()),
        ("set_clock", port.set_clock(Adjust::Step { offset_ns: 1 }).err()),
        ("clock_rate", port.clock_rate(1).err()),
        ("clock_leap", port.clock_leap(LeapSecond::Insert).err()),
        ("clock_synchronised", port.clock_synchronised(None).err()),
        ("reboot", port.reboot(Reboot::Requested).err()),
    ];
    for (method, error) in rows {
        assert_eq!(error, Some(ErrorKind::Unsupported), "{method}");
    }
}
