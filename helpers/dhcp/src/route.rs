//! Routes: the classless ones of options 121 and 249 (RFC 3442), and where a route came from.

use core::net::Ipv4Addr;

use bringup_core::wire::Reader;

/// Which option a route came from. A route from 121 can beat a VPN's (CVE-2024-3661), so that a
/// policy needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouteSource {
    /// Option 121.
    Classless,
    /// Option 249.
    ClasslessMs,
    /// Option 33.
    Static,
    /// Option 3.
    Router,
}

/// A route that the server gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// The destination; its host bits are zero.
    pub destination: Ipv4Addr,
    /// How many of its bits count, 0 to 32.
    pub prefix_len: u8,
    /// The next hop; 0.0.0.0 if the destination is on the link itself.
    pub router: Ipv4Addr,
    /// The option that it stood in.
    pub source: RouteSource,
}

/// Whether a host can have this address: no network 0, loopback, multicast, class E or broadcast.
pub(crate) fn is_host_address(address: Ipv4Addr) -> bool {
    !matches!(address.octets()[0], 0 | 127 | 224..=255)
}

/// Which of the server's routes are taken. Any host on a link can answer as a DHCP server, and a
/// more specific route takes traffic out of a VPN (TunnelVision, CVE-2024-3661).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RoutePolicy {
    /// All of them.
    #[default]
    Accept,
    /// The default route only, whichever option it stands in.
    DefaultOnly,
    /// As if there were no options 121 and 249: a departure from RFC 3442.
    IgnoreClassless,
}

impl RoutePolicy {
    /// Whether a route of an option that is looked at may be used.
    pub(crate) fn lets_pass(self, route: &Route) -> bool {
        self != Self::DefaultOnly || route.prefix_len == 0
    }
}

/// A destination with its host bits cleared. `prefix_len` above 32 counts as 32.
pub(crate) fn network(address: Ipv4Addr, prefix_len: u8) -> Ipv4Addr {
    let host_bits = 32u32.saturating_sub(u32::from(prefix_len));
    let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
    Ipv4Addr::from(u32::from(address) & mask)
}

/// The prefix length of an address of class A, B or C; 32 for anything else. RFC 791 §3.2.
pub(crate) const fn classful_prefix_len(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..=127 => 8,
        128..=191 => 16,
        192..=223 => 24,
        _ => 32,
    }
}

/// The routes of one option 121 or 249, all of them well-formed.
#[derive(Clone, Debug)]
pub struct ClasslessRoutes<'a> {
    rest: Reader<'a>,
}

/// A width in bits, as many octets as that takes, and a router. RFC 3442.
fn next_route(rest: &mut Reader<'_>) -> Option<Route> {
    let prefix_len = rest.u8().ok().filter(|&w| w <= 32)?;
    let mut octets = [0; 4];
    let significant = rest.bytes(usize::from(prefix_len.div_ceil(8))).ok()?;
    for (octet, &byte) in octets.iter_mut().zip(significant) {
        *octet = byte;
    }
    let router = Ipv4Addr::from(rest.u32().ok()?);
    // RFC 3442: bits beyond the width MUST be cleared before use.
    let destination = network(Ipv4Addr::from(octets), prefix_len);
    Some(Route { destination, prefix_len, router, source: RouteSource::Classless })
}

impl<'a> ClasslessRoutes<'a> {
    /// Checks the whole option; one bad route spoils it all, since half a routing table is worse
    /// than the router of option 3.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Reader::new(bytes);
        next_route(&mut rest)?;
        while !rest.is_empty() {
            next_route(&mut rest)?;
        }
        Some(Self { rest: Reader::new(bytes) })
    }
}

impl Iterator for ClasslessRoutes<'_> {
    type Item = Route;

    fn next(&mut self) -> Option<Route> {
        next_route(&mut self.rest)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;
    use std::string::String;

    fn show(bytes: &[u8]) -> Option<String> {
        let routes = ClasslessRoutes::parse(bytes)?;
        Some(
            routes
                .map(|r| format!("{}/{} {};", r.destination, r.prefix_len, r.router))
                .collect::<String>(),
        )
    }

    #[test]
    fn rule_27_classless_routes() {
        let rows: &[(&[u8], Option<&str>)] = &[
            (&[0, 10, 0, 0, 1], Some("0.0.0.0/0 10.0.0.1;")),
            (&[32, 1, 2, 3, 4, 10, 0, 0, 1], Some("1.2.3.4/32 10.0.0.1;")),
            (&[8, 10, 0, 0, 0, 0], Some("10.0.0.0/8 0.0.0.0;")),
            (&[17, 129, 210, 255, 10, 0, 0, 1], Some("129.210.128.0/17 10.0.0.1;")),
            (
                &[24, 10, 0, 1, 10, 0, 0, 1, 0, 10, 0, 0, 2],
                Some("10.0.1.0/24 10.0.0.1;0.0.0.0/0 10.0.0.2;"),
            ),
            (&[], None),
            (&[0], None),
            (&[33, 1, 2, 3, 4, 5, 10, 0, 0, 1], None),
            (&[24, 10, 0, 1, 10, 0, 0], None),
            (&[0, 10, 0, 0, 1, 24, 10], None),
        ];
        for (bytes, expected) in rows {
            assert_eq!(show(bytes).as_deref(), *expected, "{bytes:?}");
        }
    }

    #[test]
    fn network_masks_host_bits() {
        let a = Ipv4Addr::new(10, 1, 2, 255);
        for (len, expected) in
            [(0, [0, 0, 0, 0]), (31, [10, 1, 2, 254]), (32, [10, 1, 2, 255]), (99, [10, 1, 2, 255])]
        {
            assert_eq!(network(a, len), Ipv4Addr::from(expected), "{len}");
        }
    }
}
