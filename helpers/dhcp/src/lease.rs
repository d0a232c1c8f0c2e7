//! What a server granted: an address, for how long, and the options that came with it.

use core::net::Ipv4Addr;

use bringup_core::client::Rng;
use bringup_core::time::{Duration, Instant, Utc};

use crate::code;
use crate::fqdn::ClientFqdn;
use crate::name::{DomainName, SearchNames};
use crate::options::{Addresses, DhcpOption, Value};
use crate::route::{self, Route, RoutePolicy, RouteSource};
use crate::snapshot::{Snapshot, WallTimes};
use crate::vault::OptionSet;
use crate::vendor::{EncryptedResolvers, EnterpriseItems};

/// Storage for the options of a lease that does for any message of 1,500 octets, in octets.
///
/// Half of it holds the lease, the other half takes the next ACK.
pub const STORAGE_LEN: usize = 2 * 1536;

/// The shortest lease that is taken, seconds. Less than that cannot be renewed in time: RFC 2131
/// has nothing, others silently use the address for longer than they may.
pub const LEASE_TIME_MIN_S: u32 = 10;

/// A lease without end, seconds. RFC 2131 §3.3.
pub const INFINITE: u32 = 0xFFFF_FFFF;

/// The smallest MTU that is believed, octets. RFC 2132 §5.1.
const MTU_MIN: u16 = 68;

/// When a lease that ends is to be renewed, and when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// T1: ask the server that gave it.
    pub renew_at: Instant,
    /// T2: ask any server.
    pub rebind_at: Instant,
    /// The address must not be used from here on.
    pub expires_at: Instant,
}

impl Times {
    /// Of a lease without end that is renewed because the server wants it so.
    pub(crate) const NEVER: Self = {
        let never = Instant::from_micros(u64::MAX);
        Self { renew_at: never, rebind_at: never, expires_at: never }
    };

    /// The same by the wall clock, which reads `utc` now.
    pub(crate) fn on_the_wall(self, now: Instant, utc: Utc) -> WallTimes {
        let wall = |at: Instant| {
            let (ahead, behind) = (at.since(now), now.since(at));
            let ns = |d: Duration| i64::try_from(d.as_micros()).map_or(i64::MAX, to_nanos);
            utc.offset_by(ns(ahead)).offset_by(-ns(behind))
        };
        let (renew_at, rebind_at) = (wall(self.renew_at), wall(self.rebind_at));
        WallTimes { renew_at, rebind_at, expires_at: wall(self.expires_at) }
    }

    /// The times of a snapshot by our clock, which reads `now` when the wall clock reads `utc`.
    fn from_the_wall(times: WallTimes, now: Instant, utc: Utc) -> Self {
        let at = |wall: Utc| {
            let ns = u64::try_from(wall.nanos_since(utc)).unwrap_or(0);
            now + Duration::from_micros(ns / 1_000)
        };
        let (renew_at, rebind_at) = (at(times.renew_at), at(times.rebind_at));
        Self { renew_at, rebind_at, expires_at: at(times.expires_at) }
    }
}

const fn to_nanos(us: i64) -> i64 {
    us.saturating_mul(1_000)
}

/// What options 51, 58 and 59 of an ACK said, seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) lease_time: u32,
    pub(crate) t1: Option<u32>,
    pub(crate) t2: Option<u32>,
}

impl Terms {
    /// The instants, counted from when the REQUEST was first sent (RFC 2131 §4.4.1): `None` if
    /// there is no end, `Err` if it is over already.
    ///
    /// T1 < T2 < lease MUST hold (§4.4.5); where it doesn't, both take their defaults, half and
    /// seven eighths. If T1 has passed while the ACK was under way, both are put into what is
    /// left: an ACK must not make the client send at once.
    pub(crate) fn times(
        self,
        requested_at: Instant,
        now: Instant,
        rng: &mut dyn Rng,
    ) -> Result<Option<Times>, LeaseOver> {
        if self.lease_time == INFINITE {
            return Ok(None);
        }
        let lease = Duration::from_secs(u64::from(self.lease_time));
        let expires_at = requested_at + lease;
        if expires_at <= now {
            return Err(LeaseOver);
        }
        let given = |t: Option<u32>| t.map(|s| Duration::from_secs(u64::from(s)));
        let default_t1 = || {
            // RFC 2131 §4.4.5: T1 and T2 SHOULD have some random fuzz, so that a fleet spreads out.
            let half = lease / 2;
            half - Duration::from_micros(rng.below(half.as_micros() / 32))
        };
        let mut t1 = given(self.t1).unwrap_or_else(default_t1);
        let mut t2 = given(self.t2).unwrap_or(lease * 7 / 8);
        if t1.is_zero() || t1 >= t2 || t2 >= lease {
            (t1, t2) = (lease / 2, lease * 7 / 8);
        }
        let (mut renew_at, mut rebind_at) = (requested_at + t1, requested_at + t2);
        if renew_at <= now {
            let left = expires_at.since(now);
            (renew_at, rebind_at) = (now + left / 2, now + left * 7 / 8);
        }
        Ok(Some(Times { renew_at, rebind_at, expires_at }))
    }
}

/// A lease ended before its ACK arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseOver;

/// The part of a lease that has a fixed size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) address: Ipv4Addr,
    pub(crate) server_identifier: Ipv4Addr,
    pub(crate) requested_at: Instant,
    pub(crate) times: Option<Times>,
}

impl Grant {
    /// The lease of a snapshot.
    pub(crate) fn remembered(snapshot: &Snapshot<'_>, now: Instant, utc: Utc) -> Self {
        Self {
            address: snapshot.address,
            server_identifier: snapshot.server,
            requested_at: now,
            times: snapshot.times.map(|times| Times::from_the_wall(times, now, utc)),
        }
    }

    /// Whether the address may not be used any more.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.times.is_some_and(|t| t.expires_at <= now)
    }
}

/// A lease that holds, as [`DhcpClient::lease`](crate::client::DhcpClient::lease) lends it out.
#[derive(Clone, Copy, Debug)]
pub struct Lease<'a> {
    pub(crate) grant: Grant,
    pub(crate) options: OptionSet<'a>,
    pub(crate) policy: RoutePolicy,
}

impl<'a> Lease<'a> {
    /// Our address.
    pub const fn address(&self) -> Ipv4Addr {
        self.grant.address
    }

    /// How many bits of the address name the subnet, 1 to 32. Option 1; if that is absent or not
    /// contiguous, by the class of the address.
    pub fn prefix_len(&self) -> u8 {
        self.option(code::SUBNET_MASK)
            .and_then(Value::prefix_len)
            .unwrap_or_else(|| route::classful_prefix_len(self.grant.address))
    }

    /// Who granted it. Option 54.
    pub const fn server_identifier(&self) -> Ipv4Addr {
        self.grant.server_identifier
    }

    /// From when its times count: when the REQUEST that brought it was first sent.
    pub const fn requested_at(&self) -> Instant {
        self.grant.requested_at
    }

    /// When it is to be renewed and when it ends; `None` if it has no end.
    pub const fn times(&self) -> Option<Times> {
        self.grant.times
    }

    /// The bytes of any option, its pieces joined.
    pub fn option(&self, code: u8) -> Option<Value<'a>> {
        self.options.get(code)
    }

    /// Every option that came with it, each joined to one.
    pub fn options(&self) -> impl Iterator<Item = DhcpOption<'a>> + use<'a> {
        self.options.iter()
    }

    fn addresses(&self, code: u8) -> Addresses<'a> {
        self.option(code).unwrap_or(Value(&[])).addresses()
    }

    /// The routers of option 3, in order of preference; see [`routes`](Self::routes) first.
    pub fn routers(&self) -> Addresses<'a> {
        self.addresses(code::ROUTER)
    }

    /// DNS servers, in order of preference. Option 6.
    pub fn dns_servers(&self) -> Addresses<'a> {
        self.addresses(code::DNS_SERVER)
    }

    /// NTP servers by address. Option 42.
    pub fn ntp_servers(&self) -> Addresses<'a> {
        self.addresses(code::NTP_SERVER)
    }

    /// The broadcast address. Option 28; without it, the last address of the subnet (RFC 922 §7), as programs
    /// that ask the interface for it expect. `None` where a subnet of 31 or 32 bits has none (RFC 3021 §2.1).
    pub fn broadcast_address(&self) -> Option<Ipv4Addr> {
        let by_mask = || {
            let hosts =
                u32::MAX.checked_shr(self.prefix_len().into()).filter(|&hosts| hosts > 1)?;
            Some(Ipv4Addr::from(u32::from(self.address()) | hosts))
        };
        self.option(code::BROADCAST_ADDRESS).and_then(Value::address).or_else(by_mask)
    }

    /// The link's MTU, octets, at least 68. Option 26. To be clamped to what the link can do;
    /// below 576 there is no room for DHCP itself.
    pub fn mtu(&self) -> Option<u16> {
        self.option(code::INTERFACE_MTU).and_then(Value::u16).filter(|&mtu| mtu >= MTU_MIN)
    }

    /// The host's name as the server knows it in the DNS. Option 81; wins over 12 (RFC 4702 §3.1).
    pub fn fqdn(&self) -> Option<ClientFqdn<'a>> {
        self.option(code::CLIENT_FQDN).and_then(|v| ClientFqdn::parse(v.bytes()))
    }

    /// The host's name. Option 12.
    pub fn host_name(&self) -> Option<DomainName<'a>> {
        self.option(code::HOST_NAME).and_then(Value::domain_name)
    }

    /// The domain's name. Option 15, where it is one name (RFC 2132 §3.17).
    pub fn domain_name(&self) -> Option<DomainName<'a>> {
        self.option(code::DOMAIN_NAME).and_then(Value::domain_name)
    }

    /// The names of option 15: one, or a search list with spaces between its names, as operators have written
    /// it there since before option 119. Empty if any of them is no name.
    pub fn domain_names(&self) -> impl Iterator<Item = DomainName<'a>> + use<'a> {
        let text = self.option(code::DOMAIN_NAME).map_or(&[][..], Value::text);
        let words = text.split(|&octet| octet == b' ').filter(|word| !word.is_empty());
        let fit = words.clone().all(|word| DomainName::parse(word).is_some());
        words.filter_map(DomainName::parse).filter(move |_| fit)
    }

    /// The search list. Option 119.
    pub fn search_names(&self) -> SearchNames<'a> {
        self.option(code::DOMAIN_SEARCH).unwrap_or(Value(&[])).search_names()
    }

    /// The URI of the captive portal's API. Option 114, RFC 8910: bytes, not checked any further.
    pub fn captive_portal(&self) -> Option<&'a [u8]> {
        self.option(code::CAPTIVE_PORTAL).map(Value::text)
    }

    /// The time zone as a POSIX string. Option 100, RFC 4833: bytes.
    pub fn posix_timezone(&self) -> Option<&'a [u8]> {
        self.option(code::POSIX_TIMEZONE).map(Value::text)
    }

    /// What vendors say to their own. Option 125, RFC 3925.
    pub fn enterprise_information(&self) -> EnterpriseItems<'a> {
        self.option(code::ENTERPRISE_INFORMATION).unwrap_or(Value(&[])).enterprise_items()
    }

    /// DNS servers to be asked in secret. Option 162, RFC 9463.
    pub fn encrypted_resolvers(&self) -> EncryptedResolvers<'a> {
        self.option(code::DNR).unwrap_or(Value(&[])).encrypted_resolvers()
    }

    /// The time zone's name in the tz database, if it can be one: letters, digits, `_`, `-`, `+`
    /// and single slashes within, so that it names a file below that database and no other. Option
    /// 101, RFC 4833; wins over 100 if the host knows it, and MUST be ignored otherwise.
    pub fn timezone_name(&self) -> Option<&'a str> {
        let name = core::str::from_utf8(self.tzdb_timezone()?).ok()?;
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+');
        let fits = name.split('/').all(|part| !part.is_empty() && part.bytes().all(good));
        Some(name).filter(|_| fits)
    }

    /// The time zone's name in the tz database. Option 101, RFC 4833: bytes; wins over 100.
    pub fn tzdb_timezone(&self) -> Option<&'a [u8]> {
        self.option(code::TZDB_TIMEZONE).map(Value::text)
    }

    /// The routes to set: those of option 121; without that, of 249; without that, of 33 and the
    /// first router of 3 (RFC 3442: with 121, options 3 and 33 MUST be ignored). What
    /// [`Config::routes`](crate::Config::routes) doesn't let pass is left out.
    pub fn routes(&self) -> impl Iterator<Item = Route> + use<'a> {
        let of = |code, source| Some((self.option(code)?.classless_routes()?, source));
        let mut classless = of(code::CLASSLESS_ROUTE, RouteSource::Classless)
            .or_else(|| of(code::CLASSLESS_ROUTE_MS, RouteSource::ClasslessMs))
            .filter(|_| self.policy != RoutePolicy::IgnoreClassless);
        let mut classful = self.static_routes();
        let mut default = self.routers().next().map(|router| Route {
            destination: Ipv4Addr::UNSPECIFIED,
            prefix_len: 0,
            router,
            source: RouteSource::Router,
        });
        let all = core::iter::from_fn(move || match &mut classless {
            Some((routes, source)) => routes.next().map(|route| Route { source: *source, ..route }),
            None => classful.next().or_else(|| default.take()),
        });
        let policy = self.policy;
        all.filter(move |route| policy.lets_pass(route))
    }

    /// The router of the default route.
    pub fn default_router(&self) -> Option<Ipv4Addr> {
        let default = self.routes().find(|route| route.prefix_len == 0);
        default.map(|route| route.router).filter(|router| !router.is_unspecified())
    }

    /// Option 33: pairs of destination and router. A destination with host bits is a host.
    fn static_routes(&self) -> impl Iterator<Item = Route> + use<'a> {
        let bytes = self.option(code::STATIC_ROUTE).map_or(&[][..], Value::bytes);
        bytes.chunks_exact(8).filter_map(|pair| {
            let (to, router) = pair.split_at_checked(4)?;
            let (destination, router) = (Value(to).address()?, Value(router).address()?);
            // RFC 2132 §5.8: the default route is illegal here.
            if destination.is_unspecified() || router.is_unspecified() {
                return None;
            }
            let class = route::classful_prefix_len(destination);
            let whole = route::network(destination, class) == destination;
            let prefix_len = if whole { class } else { 32 };
            Some(Route { destination, prefix_len, router, source: RouteSource::Static })
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;
    use std::string::{String, ToString};
    use std::vec::Vec;

    struct NoFuzz;
    impl Rng for NoFuzz {
        fn fill(&mut self, buffer: &mut [u8]) {
            buffer.fill(0);
        }
    }

    const fn s(n: u64) -> Instant {
        Instant::from_micros(n * 1_000_000)
    }

    #[test]
    fn rule_8_times() {
        // (lease, t1, t2, ACK after s) -> (T1, T2, expiry)
        let rows = [
            ((160, Some(20), Some(100), 0), Some((20, 100, 160))),
            ((160, None, None, 0), Some((80, 140, 160))),
            ((160, Some(20), None, 0), Some((20, 140, 160))),
            ((160, Some(150), None, 0), Some((80, 140, 160))),
            ((160, Some(100), Some(20), 0), Some((80, 140, 160))),
            ((160, Some(100), Some(100), 0), Some((80, 140, 160))),
            ((160, Some(20), Some(160), 0), Some((80, 140, 160))),
            ((160, Some(0), Some(100), 0), Some((80, 140, 160))),
            ((160, Some(INFINITE), Some(INFINITE), 0), Some((80, 140, 160))),
            ((160, Some(20), Some(100), 80), Some((120, 150, 160))),
            ((0x7FFF_FFFF, None, None, 0), Some((1_073_741_823, 1_879_048_191, 2_147_483_647))),
            ((INFINITE, Some(1), Some(2), 0), None),
        ];
        for ((lease_time, t1, t2, ack), expected) in rows {
            let times = Terms { lease_time, t1, t2 }.times(s(0), s(ack), &mut NoFuzz).unwrap();
            let seconds = |at: Instant| at.since(s(0)).as_secs();
            let shown =
                times.map(|t| (seconds(t.renew_at), seconds(t.rebind_at), seconds(t.expires_at)));
            assert_eq!(shown, expected, "{lease_time} {t1:?} {t2:?} {ack}");
        }
        let terms = Terms { lease_time: 10, t1: None, t2: None };
        assert_eq!(terms.times(s(0), s(10), &mut NoFuzz), Err(LeaseOver));
    }

    fn lease(options: &[u8]) -> Lease<'_> {
        let grant = Grant {
            address: Ipv4Addr::new(172, 16, 0, 9),
            server_identifier: Ipv4Addr::new(172, 16, 0, 1),
            requested_at: s(0),
            times: None,
        };
        Lease { grant, options: OptionSet::for_tests(options), policy: RoutePolicy::Accept }
    }

    fn routes(options: &[u8]) -> Vec<String> {
        routes_by(RoutePolicy::Accept, options)
    }

    fn routes_by(policy: RoutePolicy, options: &[u8]) -> Vec<String> {
        let show =
            |r: Route| format!("{}/{} {} {:?}", r.destination, r.prefix_len, r.router, r.source);
        Lease { policy, ..lease(options) }.routes().map(show).collect()
    }

    #[test]
    fn cve_2024_3661_routes_that_beat_a_vpn_are_subject_to_a_policy() {
        let three = [3, 0, 4, 10, 0, 0, 1];
        // 0/1 and 128/1, a host (the VPN's server), and the default.
        let halves = [1, 0, 10, 0, 0, 9, 1, 128, 10, 0, 0, 9];
        let rest = [32, 192, 0, 2, 1, 10, 0, 0, 9, 0, 10, 0, 0, 9];
        let tunnel = [&three[..], &[121, 0, 26], &halves, &rest].concat();
        assert_eq!(routes_by(RoutePolicy::Accept, &tunnel).len(), 4);
        let default = ["0.0.0.0/0 10.0.0.9 Classless"];
        assert_eq!(routes_by(RoutePolicy::DefaultOnly, &tunnel), default);
        let router = ["0.0.0.0/0 10.0.0.1 Router"];
        assert_eq!(routes_by(RoutePolicy::IgnoreClassless, &tunnel), router);
        let ms = [&three[..], &[249, 0, 5, 0, 10, 0, 0, 4]].concat();
        assert_eq!(routes_by(RoutePolicy::IgnoreClassless, &ms), router);
        let static_ = [&three[..], &[33, 0, 8, 10, 1, 1, 1, 10, 0, 0, 6]].concat();
        assert_eq!(routes_by(RoutePolicy::DefaultOnly, &static_), router);
    }

    #[test]
    fn rule_39_timezone_names() {
        let name = |bytes: &[u8]| {
            let mut options = std::vec![101, 0, u8::try_from(bytes.len()).unwrap()];
            options.extend(bytes);
            lease(&options).timezone_name().map(str::to_string)
        };
        for good in ["Europe/Vienna", "UTC", "Etc/GMT+3", "America/Port-au-Prince"] {
            assert_eq!(name(good.as_bytes()).as_deref(), Some(good));
        }
        assert_eq!(name(b"UTC\0").as_deref(), Some("UTC"), "a NUL is tolerated");
        for bad in [&b"/etc/passwd"[..], b"../x", b"a//b", b"a/", b"", b"$(x)", b"a b", b"\xFF"] {
            assert_eq!(name(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_broadcast_address_is_what_the_server_says_or_the_last_of_the_subnet() {
        let of = |options: &[u8]| lease(options).broadcast_address().map(|a| a.to_string());
        assert_eq!(of(&[28, 0, 4, 10, 0, 7, 255]).as_deref(), Some("10.0.7.255"));
        for (mask, expected) in [
            ([255, 255, 255, 0], Some("172.16.0.255")),
            ([255, 255, 240, 0], Some("172.16.15.255")),
            ([255, 255, 255, 252], Some("172.16.0.11")),
            ([255, 255, 255, 254], None),
            ([255, 255, 255, 255], None),
            // Not a mask: by class.
            ([255, 0, 255, 0], Some("172.16.255.255")),
        ] {
            assert_eq!(of(&[&[1, 0, 4][..], &mask].concat()).as_deref(), expected, "{mask:?}");
        }
    }

    #[test]
    fn rule_27_which_routes() {
        let three = [3, 0, 8, 10, 0, 0, 1, 10, 0, 0, 2];
        let classless = [121, 0, 5, 0, 10, 0, 0, 3];
        let ms = [249, 0, 5, 0, 10, 0, 0, 4];
        let static_ = [33, 0, 16, 10, 0, 0, 0, 10, 0, 0, 5, 10, 1, 1, 1, 10, 0, 0, 6];
        // RFC 791 §3.2: networks of class B and C, and none that is multicast.
        let classes = [[172, 16, 0, 0], [192, 0, 2, 0], [223, 1, 1, 0], [224, 0, 0, 0]];
        let by_class = classes.map(|class| [class, [10, 0, 0, 5]].concat()).concat();
        assert_eq!(
            routes(&[&[33, 0, 32][..], &by_class].concat()),
            [
                "172.16.0.0/16 10.0.0.5 Static",
                "192.0.2.0/24 10.0.0.5 Static",
                "223.1.1.0/24 10.0.0.5 Static",
                "224.0.0.0/32 10.0.0.5 Static",
            ],
        );
        // RFC 2132 §5.8: no default route, and none to nowhere.
        let none = [33, 0, 16, 0, 0, 0, 0, 10, 0, 0, 5, 10, 1, 1, 1, 0, 0, 0, 0];
        assert!(routes(&none).is_empty());
        let bad = [121, 0, 5, 99, 10, 0, 0, 3];
        let all = [&three[..], &classless, &ms, &static_].concat();
        assert_eq!(routes(&all), ["0.0.0.0/0 10.0.0.3 Classless"]);
        let no_121 = [&three[..], &bad, &ms, &static_].concat();
        assert_eq!(routes(&no_121), ["0.0.0.0/0 10.0.0.4 ClasslessMs"]);
        assert_eq!(
            routes(&[&three[..], &static_].concat()),
            [
                "10.0.0.0/8 10.0.0.5 Static",
                "10.1.1.1/32 10.0.0.6 Static",
                "0.0.0.0/0 10.0.0.1 Router",
            ],
        );
        assert!(routes(&[]).is_empty());
        assert_eq!(lease(&three).routers().count(), 2, "both routers are there to see");
    }

    #[test]
    fn rule_23_24_typed_options() {
        let l = lease(&[1, 0, 4, 255, 255, 254, 0, 26, 0, 2, 0, 67, 15, 0, 3, b'a', b'b', 0]);
        assert_eq!(l.prefix_len(), 23);
        assert_eq!(l.mtu(), None, "rule 29: below 68");
        assert_eq!(l.domain_name().map(|n| n.to_string()).as_deref(), Some("ab"));
        assert_eq!(lease(&[1, 0, 4, 255, 0, 255, 0]).prefix_len(), 16, "by class");
        for (text, names) in [
            (&b"a.example  b.example. \0"[..], &["a.example", "b.example"][..]),
            (b"a.example b;c", &[]),
            (b"a.example $(reboot) c", &[]),
            (b"a.example,b.example", &[]),
            (b"  ", &[]),
        ] {
            let option = [&[15, 0, u8::try_from(text.len()).unwrap()], text].concat();
            let read: Vec<_> = lease(&option).domain_names().map(|n| n.to_string()).collect();
            assert_eq!(read, names, "{text:?}");
        }
        assert_eq!(lease(&[26, 0, 2, 0, 68]).mtu(), Some(68));
        let texts = lease(&[100, 0, 4, b'U', b'T', b'C', b'0', 114, 0, 2, b'/', b'x']);
        assert_eq!(texts.posix_timezone(), Some(&b"UTC0"[..]));
        assert_eq!(texts.captive_portal(), Some(&b"/x"[..]));
        assert_eq!((l.posix_timezone(), l.captive_portal()), (None, None));
        assert_eq!(
            lease(&[15, 0, 9, b'$', b'(', b'r', b'e', b'b', b'o', b'o', b't', b')']).domain_name(),
            None
        );
    }
}
