//! What the contract says of interfaces, addresses and routes, in rtnetlink's words.

use std::net::{IpAddr, Ipv4Addr};

use bringup_core::client::Mac;
use bringup_core::error::ErrorKind;
use bringup_core::platform::{
    AddressConfig, Interface, InterfaceChange, PlatformError, RouteConfig,
};
use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope, CacheInfo,
};
use netlink_packet_route::link::{
    LinkAttribute, LinkFlags, LinkLayerType, LinkMessage, State as OperState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope,
    RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::netlink::Requests;
use crate::error::{Operation, OsError};

/// The longest name of an interface, `IFNAMSIZ` less its terminator.
const MAX_NAME: usize = 15;

/// The lifetime that never ends, `INFINITY_LIFE_TIME`.
const FOREVER: u32 = u32::MAX;

fn describe(link: &LinkMessage) -> Interface {
    let flags = link.header.flags;
    let mut interface = Interface {
        index: link.header.index,
        mac: Mac::default(),
        mtu: 0,
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        carrier_changes: 0,
        ethernet: link.header.link_layer_type == LinkLayerType::Ether
            && flags.contains(LinkFlags::Broadcast),
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::Address(address) => {
                if let Ok(mac) = address.as_slice().try_into() {
                    interface.mac = Mac(mac);
                }
            }
            LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
            LinkAttribute::CarrierChanges(changes) => interface.carrier_changes = *changes,
            LinkAttribute::OperState(state) => {
                // LOWER_UP says how things are; the operational state follows it by up to a second,
                // and some drivers never say more than "unknown". Only those that forbid traffic on a
                // good cable count: 802.1X is waited for, or a test runs (RFC 2863 §3.1.12).
                interface.carrier &= !matches!(state, OperState::Dormant | OperState::Testing);
            }
            _ => {}
        }
    }
    interface
}

/// What a notice says, if it is about what the contract asks for.
pub(super) fn change_of(message: &RouteNetlinkMessage) -> Option<InterfaceChange> {
    match message {
        // A bridge tells of its ports in link messages of its own family: one that leaves the bridge
        // is not gone.
        RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link)
            if link.header.interface_family != AddressFamily::Unspec =>
        {
            None
        }
        RouteNetlinkMessage::NewLink(link) => Some(InterfaceChange::Is(describe(link))),
        RouteNetlinkMessage::DelLink(link) => {
            Some(InterfaceChange::Gone { index: link.header.index })
        }
        RouteNetlinkMessage::DelAddress(address) => {
            address.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Local(IpAddr::V4(ip)) => Some(InterfaceChange::AddressRemoved {
                    index: address.header.index,
                    address: *ip,
                }),
                _ => None,
            })
        }
        RouteNetlinkMessage::DelRoute(route) => {
            route.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Oif(index) => Some(InterfaceChange::RouteRemoved { index: *index }),
                _ => None,
            })
        }
        _ => None,
    }
}

fn link(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

impl Requests {
    pub(super) fn interface(&mut self, name: &str) -> Result<Interface, OsError> {
        if name.is_empty() || name.len() > MAX_NAME || name.contains(['/', '\0']) {
            return Err(OsError::new(Operation::Interface, libc::EINVAL));
        }
        let mut message = link(0);
        message.attributes.push(LinkAttribute::IfName(name.into()));
        let answer =
            self.request(Operation::Interface, RouteNetlinkMessage::GetLink(message), 0)?;
        match answer {
            Some(RouteNetlinkMessage::NewLink(link)) => Ok(describe(&link)),
            _ => Err(OsError::new(Operation::Interface, libc::EPROTO)),
        }
    }

    pub(super) fn interface_up(&mut self, index: u32) -> Result<(), OsError> {
        self.set_flags(Operation::InterfaceUp, index, LinkFlags::Up)
    }

    pub(super) fn interface_down(&mut self, index: u32) -> Result<(), OsError> {
        self.set_flags(Operation::InterfaceDown, index, LinkFlags::empty())
    }

    /// Sets `IFF_UP` as it is in `flags`.
    fn set_flags(
        &mut self,
        operation: Operation,
        index: u32,
        flags: LinkFlags,
    ) -> Result<(), OsError> {
        let mut message = link(index);
        message.header.flags = flags;
        message.header.change_mask = LinkFlags::Up;
        self.request(operation, RouteNetlinkMessage::SetLink(message), 0).map(drop)
    }

    pub(super) fn mtu_set(&mut self, index: u32, mtu: u32) -> Result<(), OsError> {
        let mut message = link(index);
        message.attributes.push(LinkAttribute::Mtu(mtu));
        self.request(Operation::MtuSet, RouteNetlinkMessage::SetLink(message), 0).map(drop)
    }

    /// Adds an address or renews the lifetime of one that is there. The kernel adds the route to the
    /// prefix, and takes it away with the address: without `IFA_F_NOPREFIXROUTE` the two cannot come
    /// apart, whatever becomes of this program.
    pub(super) fn address_add(
        &mut self,
        index: u32,
        config: &AddressConfig,
    ) -> Result<(), OsError> {
        let mut message = address(index, config);
        if let Some(broadcast) = config.broadcast {
            message.attributes.push(AddressAttribute::Broadcast(broadcast));
        }
        let mut lifetime = CacheInfo::default();
        lifetime.ifa_valid = config.valid_s.unwrap_or(FOREVER);
        lifetime.ifa_preferred = lifetime.ifa_valid;
        message.attributes.push(AddressAttribute::CacheInfo(lifetime));
        let mut add = |message: AddressMessage, flags| {
            let message = RouteNetlinkMessage::NewAddress(message);
            self.request(Operation::AddressAdd, message, NLM_F_CREATE | flags).map(drop)
        };
        match add(message.clone(), NLM_F_EXCL) {
            Err(error) if error.kind() == ErrorKind::Exists => {}
            result => return result,
        }
        // It has a lifetime if a DHCP client put it there, perhaps this one before it was killed: then
        // it is taken over. What is there for good is the operator's.
        if self.is_permanent(index, config)? {
            return Err(OsError::new(Operation::AddressAdd, libc::EEXIST));
        }
        let message = RouteNetlinkMessage::NewAddress(message);
        self.request(Operation::AddressAdd, message, NLM_F_CREATE | NLM_F_REPLACE).map(drop)
    }

    fn is_permanent(&mut self, index: u32, config: &AddressConfig) -> Result<bool, OsError> {
        let mut all = AddressMessage::default();
        all.header.family = AddressFamily::Inet;
        let mut permanent = false;
        self.dump(Operation::AddressAdd, RouteNetlinkMessage::GetAddress(all), |message| {
            let RouteNetlinkMessage::NewAddress(there) = message else { return };
            let local = AddressAttribute::Local(config.address.into());
            permanent |= there.header.index == index
                && there.header.prefix_len == config.prefix
                && there.attributes.contains(&local)
                && there.header.flags.contains(AddressHeaderFlags::Permanent);
        })?;
        Ok(permanent)
    }

    pub(super) fn address_remove(
        &mut self,
        index: u32,
        config: &AddressConfig,
    ) -> Result<(), OsError> {
        let message = RouteNetlinkMessage::DelAddress(address(index, config));
        self.request(Operation::AddressRemove, message, 0).map(drop)
    }

    /// Adds a route behind others with its destination and metric. A router that no
    /// prefix of the interface covers (common with prefixes of 32 bits) is taken to be on the link.
    pub(super) fn route_add(&mut self, index: u32, config: &RouteConfig) -> Result<(), OsError> {
        let mut message = route(index, config);
        message.header.protocol = RouteProtocol::Dhcp;
        message.header.kind = RouteType::Unicast;
        message.header.scope = match config.gateway {
            Some(_) => RouteScope::Universe,
            None => RouteScope::Link,
        };
        if let Some(source) = config.source {
            message.attributes.push(RouteAttribute::PrefSource(RouteAddress::Inet(source)));
        }
        let mut add = |message| {
            let message = RouteNetlinkMessage::NewRoute(message);
            self.request(Operation::RouteAdd, message, NLM_F_CREATE | NLM_F_APPEND).map(drop)
        };
        match add(message.clone()) {
            Err(error) if config.gateway.is_some() && error.kind() == ErrorKind::Unreachable => {
                message.header.flags |= RouteFlags::Onlink;
                add(message)
            }
            result => result,
        }
    }

    pub(super) fn route_remove(&mut self, index: u32, config: &RouteConfig) -> Result<(), OsError> {
        let mut message = route(index, config);
        // Any scope; but only what this program, or another DHCP client, has added.
        message.header.scope = RouteScope::NoWhere;
        message.header.protocol = RouteProtocol::Dhcp;
        if let Some(source) = config.source {
            // Another's route that differs in this alone is another's.
            message.attributes.push(RouteAttribute::PrefSource(RouteAddress::Inet(source)));
        }
        self.request(Operation::RouteRemove, RouteNetlinkMessage::DelRoute(message), 0).map(drop)
    }
}

fn address(index: u32, config: &AddressConfig) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = config.prefix;
    message.header.index = index;
    if config.address.is_link_local() {
        // RFC 3927 §2.6.2: never the source of what leaves the link, if there is another.
        message.header.scope = AddressScope::Link;
    }
    let ip = IpAddr::V4(config.address);
    message.attributes = vec![AddressAttribute::Local(ip), AddressAttribute::Address(ip)];
    message
}

fn route(index: u32, config: &RouteConfig) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.destination_prefix_length = config.prefix;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    let attributes = &mut message.attributes;
    if config.prefix > 0 {
        let network = network_of(config.destination, config.prefix);
        attributes.push(RouteAttribute::Destination(RouteAddress::Inet(network)));
    }
    if let Some(gateway) = config.gateway {
        attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(gateway)));
    }
    attributes.push(RouteAttribute::Oif(index));
    attributes.push(RouteAttribute::Priority(config.metric));
    message
}

/// The address with all bits behind the prefix cleared: the kernel refuses a route with such bits,
/// and servers send them.
fn network_of(address: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    let host_bits = 32_u32.saturating_sub(u32::from(prefix));
    let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
    (u32::from(address) & mask).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_no_host_bits() {
        let ip = Ipv4Addr::new(10, 1, 2, 255);
        for (prefix, network) in
            [(0, [0, 0, 0, 0]), (8, [10, 0, 0, 0]), (31, [10, 1, 2, 254]), (32, [10, 1, 2, 255])]
        {
            assert_eq!(network_of(ip, prefix), Ipv4Addr::from(network), "/{prefix}");
        }
    }

    fn up_link() -> LinkMessage {
        let mut message = link(5);
        message.header.flags = LinkFlags::Up | LinkFlags::LowerUp | LinkFlags::Broadcast;
        message.header.link_layer_type = LinkLayerType::Ether;
        message
    }

    #[test]
    fn carrier_is_lower_up_unless_the_operational_state_forbids_traffic() {
        for (state, carrier) in [
            (OperState::Up, true),
            (OperState::Unknown, true),
            // What the kernel still says in the first second after the cable was plugged in.
            (OperState::Down, true),
            (OperState::LowerLayerDown, true),
            (OperState::Dormant, false),
            (OperState::Testing, false),
        ] {
            let mut message = up_link();
            message.attributes.push(LinkAttribute::OperState(state));
            let interface = describe(&message);
            assert_eq!((interface.carrier, interface.up), (carrier, true), "{state:?}");
        }
    }

    #[test]
    fn a_port_that_leaves_its_bridge_is_not_gone() {
        let mut message = up_link();
        let gone = RouteNetlinkMessage::DelLink(message.clone());
        assert_eq!(change_of(&gone), Some(InterfaceChange::Gone { index: 5 }));
        message.header.interface_family = AddressFamily::Bridge;
        assert_eq!(change_of(&RouteNetlinkMessage::DelLink(message)), None);
    }
}
