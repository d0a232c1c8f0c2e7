//! The simulated host's interfaces, addresses and routes.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use bringup_core::client::Mac;
use bringup_core::error::ErrorKind;
use bringup_core::platform::{AddressConfig, Interface, RouteConfig};
use bringup_core::time::{Duration, Instant};

use super::wire::LOOPBACK;

/// An interface with its addresses.
#[derive(Clone, Debug)]
pub(super) struct Nic {
    pub(super) name: String,
    pub(super) mac: Mac,
    pub(super) mtu: u32,
    pub(super) up: bool,
    /// Whether the cable is in.
    pub(super) cable: bool,
    /// How often the carrier came or went.
    pub(super) carrier_changes: u32,
    addresses: Vec<Assigned>,
}

/// An address and until when it may be used.
#[derive(Clone, Copy, Debug)]
struct Assigned {
    config: AddressConfig,
    until: Option<Instant>,
}

impl Nic {
    pub(super) fn new(name: &str, mac: Mac) -> Self {
        Self {
            name: name.into(),
            mac,
            mtu: 1_500,
            up: false,
            cable: true,
            carrier_changes: 0,
            addresses: Vec::new(),
        }
    }

    pub(super) fn describe(&self, index: u32) -> Interface {
        Interface {
            index,
            mac: self.mac,
            mtu: self.mtu,
            up: self.up,
            carrier: self.carrier(),
            carrier_changes: self.carrier_changes,
            ethernet: true,
        }
    }

    pub(super) const fn carrier(&self) -> bool {
        self.up && self.cable
    }
}

/// The least MTU of IPv4, as Linux has it.
const MIN_MTU: u32 = 68;

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32_u32.saturating_sub(u32::from(prefix))).unwrap_or(0)
}

fn covers(network: Ipv4Addr, prefix: u8, address: Ipv4Addr) -> bool {
    (u32::from(network) ^ u32::from(address)) & mask(prefix) == 0
}

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) interface: u32,
    pub(super) source: Ipv4Addr,
    /// Whose link address the frame goes to; `None` for a broadcast.
    pub(super) next_hop: Option<Ipv4Addr>,
}

/// Interfaces, addresses and routes.
#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) nics: BTreeMap<u32, Nic>,
    /// How many there have been: a number is not given twice.
    pub(super) nics_ever: u32,
    routes: Vec<(u32, RouteConfig)>,
}

impl Host {
    pub(super) fn nic(&mut self, index: u32) -> Result<&mut Nic, ErrorKind> {
        self.nics.get_mut(&index).ok_or(ErrorKind::NotFound)
    }

    pub(super) fn by_name(&self, name: &str) -> Option<Interface> {
        self.nics.iter().find(|(_, nic)| nic.name == name).map(|(at, nic)| nic.describe(*at))
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = (u32, &AddressConfig)> {
        self.nics.iter().flat_map(|(at, nic)| nic.addresses.iter().map(|a| (*at, &a.config)))
    }

    pub(super) fn routes(&self) -> &[(u32, RouteConfig)] {
        &self.routes
    }

    pub(super) fn owns(&self, address: Ipv4Addr) -> bool {
        address.is_loopback() || self.addresses().any(|(_, config)| config.address == address)
    }

    /// Whether a packet that came in here is for this host.
    pub(super) fn accepts(&self, interface: u32, to: Ipv4Addr) -> bool {
        let broadcast = |config: &AddressConfig| {
            config.broadcast == Some(to)
                || (config.prefix < 31
                    && u32::from(config.address) | !mask(config.prefix) == to.into())
        };
        to.is_broadcast()
            || (self.owns(to) && (interface == LOOPBACK || !to.is_loopback()))
            || self.addresses().any(|(at, config)| at == interface && broadcast(config))
    }

    pub(super) fn mtu_set(&mut self, index: u32, mtu: u32) -> Result<(), ErrorKind> {
        if !(MIN_MTU..=65_535).contains(&mtu) {
            return Err(ErrorKind::Invalid);
        }
        self.nic(index)?.mtu = mtu;
        Ok(())
    }

    pub(super) fn address_add(
        &mut self,
        now: Instant,
        index: u32,
        config: &AddressConfig,
    ) -> Result<(), ErrorKind> {
        if config.prefix > 32 || config.valid_s == Some(0) {
            return Err(ErrorKind::Invalid);
        }
        // The kernel's infinity is the same number.
        let valid = config.valid_s.filter(|s| *s != u32::MAX);
        let until = valid.map(|s| now + Duration::from_secs(s.into()));
        let assigned = Assigned { config: *config, until };
        let addresses = &mut self.nic(index)?.addresses;
        match addresses.iter_mut().find(|a| same_address(&a.config, config)) {
            Some(there) if there.until.is_none() => return Err(ErrorKind::Exists),
            Some(there) => *there = assigned,
            None => addresses.push(assigned),
        }
        Ok(())
    }

    pub(super) fn address_remove(
        &mut self,
        index: u32,
        config: &AddressConfig,
    ) -> Result<(), ErrorKind> {
        let addresses = &mut self.nic(index)?.addresses;
        let before = addresses.len();
        addresses.retain(|a| !same_address(&a.config, config));
        if addresses.len() == before {
            return Err(ErrorKind::NotFound);
        }
        self.drop_orphans();
        Ok(())
    }

    /// Takes off one address whose lifetime has ended.
    pub(super) fn expire(&mut self, now: Instant) -> Option<(u32, Ipv4Addr)> {
        for (index, nic) in &mut self.nics {
            let ended = |a: &Assigned| a.until.is_some_and(|until| until <= now);
            if let Some(at) = nic.addresses.iter().position(ended) {
                let gone = (*index, nic.addresses.remove(at).config.address);
                self.drop_orphans();
                return Some(gone);
            }
        }
        None
    }

    /// When the next address ends.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.nics.values().flat_map(|nic| &nic.addresses).filter_map(|a| a.until).min()
    }

    /// Takes away the routes over an interface, as the kernel does when one is set down.
    pub(super) fn flush_routes(&mut self, index: u32) {
        self.routes.retain(|(at, _)| *at != index);
    }

    /// Takes an interface away, and names the addresses that go with it.
    pub(super) fn remove(&mut self, index: u32) -> Vec<Ipv4Addr> {
        let nic = self.nics.remove(&index);
        self.flush_routes(index);
        nic.map_or(Vec::new(), |nic| nic.addresses.iter().map(|a| a.config.address).collect())
    }

    /// The kernel takes away what prefers a source address that is gone.
    fn drop_orphans(&mut self) {
        let mut routes = core::mem::take(&mut self.routes);
        routes.retain(|(_, route)| route.source.is_none_or(|source| self.owns(source)));
        self.routes = routes;
    }

    pub(super) fn route_add(&mut self, index: u32, config: &RouteConfig) -> Result<(), ErrorKind> {
        if config.prefix > 32 {
            return Err(ErrorKind::Invalid);
        }
        if !self.nic(index)?.up {
            return Err(ErrorKind::Unreachable);
        }
        if config.source.is_some_and(|source| !self.owns(source)) {
            return Err(ErrorKind::Invalid);
        }
        if self.routes.contains(&(index, *config)) {
            return Err(ErrorKind::Exists);
        }
        self.routes.push((index, *config));
        Ok(())
    }

    pub(super) fn route_remove(
        &mut self,
        index: u32,
        config: &RouteConfig,
    ) -> Result<(), ErrorKind> {
        let before = self.routes.len();
        self.routes.retain(|(at, r)| {
            let same = same_network(r, config) && r.metric == config.metric;
            !(*at == index && same && r.gateway == config.gateway)
        });
        if self.routes.len() == before { Err(ErrorKind::NotFound) } else { Ok(()) }
    }

    /// The way to an address, over one interface if `only` says so.
    pub(super) fn way(
        &self,
        to: Ipv4Addr,
        bound: Ipv4Addr,
        only: Option<u32>,
    ) -> Result<Way, ErrorKind> {
        let source = |route: Option<Ipv4Addr>, interface: u32, hop: Ipv4Addr| {
            if !bound.is_unspecified() {
                return Some(bound);
            }
            route.or_else(|| self.source_on(interface, hop))
        };
        if self.owns(to) {
            let source = if bound.is_unspecified() { to } else { bound };
            return Ok(Way { interface: LOOPBACK, source, next_hop: Some(to) });
        }
        let usable = |index: u32| {
            only.is_none_or(|only| only == index) && self.nics.get(&index).is_some_and(|n| n.up)
        };
        if to.is_broadcast() {
            let interface = self.nics.keys().copied().find(|index| usable(*index));
            let interface = interface.ok_or(ErrorKind::Unreachable)?;
            let source = source(None, interface, to).unwrap_or(Ipv4Addr::UNSPECIFIED);
            return Ok(Way { interface, source, next_hop: None });
        }
        // Prefix length, then the smaller metric; routes to the prefixes of addresses have metric 0.
        let local = self.addresses().map(|(at, a)| {
            let hop = if self.accepts(at, to) { None } else { Some(to) };
            (a.address, a.prefix, 0, at, hop, Some(a.address))
        });
        let routed = self.routes.iter().map(|(at, r)| {
            let hop = Some(r.gateway.unwrap_or(to));
            (r.destination, r.prefix, r.metric, *at, hop, r.source)
        });
        let (_, _, _, interface, next_hop, preferred) = local
            .chain(routed)
            .filter(|(network, prefix, _, at, ..)| usable(*at) && covers(*network, *prefix, to))
            .min_by_key(|(_, prefix, metric, ..)| (32 - prefix.min(&32), *metric))
            .ok_or(ErrorKind::Unreachable)?;
        let source = source(preferred, interface, next_hop.unwrap_or(to));
        Ok(Way { interface, source: source.ok_or(ErrorKind::Unreachable)?, next_hop })
    }

    /// The source address that Linux would choose: one in the next hop's prefix, or the first.
    fn source_on(&self, interface: u32, hop: Ipv4Addr) -> Option<Ipv4Addr> {
        let on = || self.addresses().filter(|(at, _)| *at == interface).map(|(_, a)| a);
        on().find(|a| covers(a.address, a.prefix, hop)).or(on().next()).map(|a| a.address)
    }
}

fn same_address(a: &AddressConfig, b: &AddressConfig) -> bool {
    (a.address, a.prefix) == (b.address, b.prefix)
}

fn same_network(a: &RouteConfig, b: &RouteConfig) -> bool {
    a.prefix == b.prefix && covers(a.destination, a.prefix, b.destination)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

    fn host() -> Host {
        let mut host = Host::default();
        for (index, name) in [(1, "eth0"), (2, "eth1")] {
            let mut nic = Nic::new(name, Mac([2, 0, 0, 0, 0, 1]));
            nic.up = true;
            host.nics.insert(index, nic);
        }
        let config =
            AddressConfig { address: OURS, prefix: 24, broadcast: None, valid_s: Some(60) };
        host.address_add(Instant::ZERO, 1, &config).expect("added");
        host
    }

    fn default_route(metric: u32, gateway: Ipv4Addr) -> RouteConfig {
        let destination = Ipv4Addr::UNSPECIFIED;
        RouteConfig { destination, prefix: 0, gateway: Some(gateway), source: None, metric }
    }

    #[test]
    fn the_longest_prefix_and_then_the_smallest_metric_win() {
        let mut host = host();
        let far = Ipv4Addr::new(203, 0, 113, 5);
        let any = Ipv4Addr::UNSPECIFIED;
        assert_eq!(host.way(far, any, None), Err(ErrorKind::Unreachable));
        let other = Ipv4Addr::new(192, 0, 2, 2);
        host.route_add(1, &default_route(200, other)).expect("added");
        host.route_add(1, &default_route(100, ROUTER)).expect("added");
        let way = host.way(far, any, None).expect("a way");
        assert_eq!(way, Way { interface: 1, source: OURS, next_hop: Some(ROUTER) });
        let way = host.way(ROUTER, any, None).expect("a way");
        assert_eq!(way.next_hop, Some(ROUTER), "on the link");
        assert_eq!(host.way(far, any, Some(2)), Err(ErrorKind::Unreachable), "not over eth1");
        let way = host.way(Ipv4Addr::new(192, 0, 2, 255), any, None).expect("a way");
        assert_eq!(way.next_hop, None, "the prefix's broadcast address");
    }

    #[test]
    fn a_route_stands_beside_others_and_is_there_once() {
        let mut host = host();
        let (router, ours) = (default_route(100, ROUTER), default_route(100, OURS));
        host.route_add(1, &router).expect("added");
        assert_eq!(host.route_add(1, &router), Err(ErrorKind::Exists));
        host.route_add(1, &ours).expect("added");
        assert_eq!(host.routes(), [(1, router), (1, ours)]);
        host.route_remove(1, &router).expect("removed");
        assert_eq!(host.route_remove(1, &router), Err(ErrorKind::NotFound));
    }

    #[test]
    fn an_address_that_is_there_for_good_is_left_alone() {
        let mut host = host();
        let s = |s| Instant::ZERO + Duration::from_secs(s);
        let config = AddressConfig { address: ROUTER, prefix: 24, broadcast: None, valid_s: None };
        host.address_add(s(0), 2, &config).expect("added");
        let ours = AddressConfig { valid_s: Some(60), ..config };
        assert_eq!(host.address_add(s(0), 2, &ours), Err(ErrorKind::Exists));
        assert_eq!(host.expire(s(61)).map(|(_, gone)| gone), Some(OURS), "and nothing else");
    }

    #[test]
    fn an_address_ends_with_its_lifetime_and_can_be_renewed() {
        let mut host = host();
        let s = |s| Instant::ZERO + Duration::from_secs(s);
        let config =
            AddressConfig { address: OURS, prefix: 24, broadcast: None, valid_s: Some(60) };
        host.address_add(s(50), 1, &config).expect("renewed");
        assert_eq!(host.expire(s(60)), None, "it was renewed");
        assert_eq!(host.next_expiry(), Some(s(110)));
        assert_eq!(host.expire(s(110)), Some((1, OURS)));
        assert_eq!(host.address_remove(1, &config), Err(ErrorKind::NotFound));
    }
}
