//! Makes a [`Report`](report::Report) of a system, and the environment of a hook.

use std::net::SocketAddr;

use bringup_core::event_loop::Registrar;
use bringup_core::platform::Platform;
use bringup_core::time::Instant;
use bringup_dhcp::code;
use bringup_dhcp::counters::Tally;
use bringup_dhcp::route::RouteSource;
use bringup_ntp::UtcEstimate;
use bringup_system::{Interface, Origin, System};

use super::report;
use super::report::{Clock, Counters, Dns, DnsServer, Fact, Lease, NtpServer};
use super::resolv_conf::Names;
use crate::cli::lookup::server_text;

/// The interfaces of a system.
pub fn interfaces<P: Platform>(system: &System<'_, P>, now: Instant) -> Vec<report::Interface> {
    system.interfaces().map(|interface| self::interface(interface, now)).collect()
}

fn interface<P: Platform>(interface: &Interface<'_, P>, now: Instant) -> report::Interface {
    let (link, client) = (interface.link(), interface.dhcp());
    let tallies: Vec<&str> = Tally::ALL.iter().map(|tally| tally.name()).collect();
    let (counters, discards) = client
        .counters()
        .iter()
        .map(|(name, count)| (name.to_owned(), u64::from(count)))
        .partition(|(name, _)| tallies.contains(&name.as_str()));
    report::Interface {
        name: interface.name().to_owned(),
        mac: link.mac.to_string(),
        mtu: link.mtu,
        up: link.up,
        carrier: link.carrier,
        dhcp: client.state().name().to_owned(),
        lease: interface.lease().filter(|_| interface.has_address()).map(|granted| Lease {
            routes_left_out: interface.applied().routes_left_out(),
            ..lease(&granted, now)
        }),
        discards,
        counters,
    }
}

fn lease(lease: &bringup_dhcp::Lease<'_>, now: Instant) -> Lease {
    let left = |at: Instant| at.since(now).as_secs();
    let times = lease.times();
    Lease {
        address: format!("{}/{}", lease.address(), lease.prefix_len()),
        server: lease.server_identifier().to_string(),
        age_s: now.since(lease.requested_at()).as_secs(),
        renew_in_s: times.map(|times| left(times.renew_at)),
        rebind_in_s: times.map(|times| left(times.rebind_at)),
        expires_in_s: times.map(|times| left(times.expires_at)),
        facts: facts(lease),
        routes_left_out: 0,
    }
}

fn facts(lease: &bringup_dhcp::Lease<'_>) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut tell = |name: &str, value: String, option: u8| {
        let source = format!("dhcp option {option}");
        facts.push(Fact { name: name.to_owned(), value, source });
    };
    for route in lease.routes() {
        let option = match route.source {
            RouteSource::Classless => code::CLASSLESS_ROUTE,
            RouteSource::ClasslessMs => code::CLASSLESS_ROUTE_MS,
            RouteSource::Static => code::STATIC_ROUTE,
            RouteSource::Router => code::ROUTER,
        };
        let via = match route.router {
            router if router.is_unspecified() => String::new(),
            router => format!(" via {router}"),
        };
        tell("route", format!("{}/{}{via}", route.destination, route.prefix_len), option);
    }
    for address in lease.dns_servers() {
        tell("dns", address.to_string(), code::DNS_SERVER);
    }
    for address in lease.ntp_servers() {
        tell("ntp", address.to_string(), code::NTP_SERVER);
    }
    for name in lease.search_names() {
        tell("search", name.to_string(), code::DOMAIN_SEARCH);
    }
    if let Some(name) = lease.domain_names().next() {
        tell("domain", name.to_string(), code::DOMAIN_NAME);
    }
    if let Some(name) = lease.host_name() {
        tell("hostname", name.to_string(), code::HOST_NAME);
    }
    if let Some(mtu) = lease.mtu() {
        tell("mtu", mtu.to_string(), code::INTERFACE_MTU);
    }
    if let Some(name) = lease.timezone_name() {
        tell("timezone", name.to_owned(), code::TZDB_TIMEZONE);
    }
    if let Some(uri) = lease.captive_portal() {
        let uri = uri.escape_ascii().to_string();
        tell("captive-portal", uri, code::CAPTIVE_PORTAL);
    }
    facts
}

/// Who named a server.
fn source<P: Platform>(system: &System<'_, P>, origin: Origin) -> String {
    match origin {
        Origin::Configured => "configured".to_owned(),
        Origin::Lease(place) => {
            let of = system.interfaces().nth(usize::from(place));
            format!("dhcp {}", of.map_or("", |interface| interface.name()))
        }
        Origin::Name(place) => {
            format!("name {}", system.ntp_name(place).map_or("", |name| name.name))
        }
    }
}

/// The resolver of a system.
pub fn dns<P: Platform>(system: &System<'_, P>, now: Instant) -> Dns {
    let resolver = system.resolver();
    let servers = resolver.server_reports(now).map(|report| {
        let address = report.server.address;
        let fact = system.dns_servers().iter().find(|fact| fact.address == address);
        DnsServer {
            server: server_text(address),
            source: fact.map_or_else(String::new, |fact| source(system, fact.origin)),
            round_trip_us: report.round_trip.map(|round_trip| round_trip.as_micros()),
            failures: report.failures,
            shunned: report.is_shunned,
        }
    });
    let all = resolver.counters();
    let discards: Counters =
        all.discards().map(|(why, count)| (why.name().to_owned(), count)).collect();
    let named = all.iter().map(|(name, count)| (name.to_owned(), count));
    Dns {
        servers: servers.collect(),
        search: names(system).search,
        cache_entries: all.cache_entries,
        cache_octets: all.cache_octets,
        cache_hits: all.cache_hits,
        cache_misses: all.cache_misses,
        counters: named.filter(|(name, _)| !discards.contains_key(name)).collect(),
        discards,
    }
}

/// What a system knows of the time.
pub fn clock<P: Platform>(
    registrar: &mut Registrar<'_, P>,
    system: &System<'_, P>,
    sets_clock: bool,
) -> Clock {
    let ntp = system.ntp();
    let reports = (0..).map_while(|server| system.ntp_report(registrar, server));
    let servers = reports.map(|report| {
        let address = report.server.address;
        let fact = system.ntp_servers().iter().find(|fact| fact.address == address);
        NtpServer {
            server: server_text(address),
            source: fact.map_or_else(String::new, |fact| source(system, fact.origin)),
            verdict: report.verdict.name().to_owned(),
            offset_us: report.sample.map(|sample| sample.offset_ns / 1_000),
            delay_us: report.sample.map(|sample| u64::from(sample.delay_ns) / 1_000),
            root_distance_us: report.sample.map(|sample| sample.root_distance_ns / 1_000),
            stratum: report.sample.map(|sample| sample.stratum),
        }
    });
    let servers = servers.collect();
    let discards: Counters = bringup_ntp::Discard::ALL
        .iter()
        .map(|&why| (why.name().to_owned(), u64::from(ntp.counters().discarded(why))))
        .collect();
    let named = ntp.counters().iter().map(|(name, count)| (name.to_owned(), u64::from(count)));
    let now = registrar.now();
    Clock {
        state: ntp.state().name().to_owned(),
        offset_us: system.clock_offset_ns(registrar).map(|ns| ns / 1_000),
        error_us: system.utc(now).map(|estimate| estimate.error_ns / 1_000),
        sets_clock,
        servers,
        counters: named.filter(|(name, _)| !discards.contains_key(name)).collect(),
        discards,
    }
}

/// What resolvers on this machine are to know: the servers in use, the search names of all leases.
pub fn names<P: Platform>(system: &System<'_, P>) -> Names {
    let mut search: Vec<String> = Vec::new();
    for interface in system.interfaces().filter(|interface| interface.has_address()) {
        let Some(lease) = interface.lease() else { continue };
        for name in search_names(&lease) {
            if !search.contains(&name) {
                search.push(name);
            }
        }
    }
    Names { servers: system.dns_servers().iter().map(|fact| fact.address).collect(), search }
}

/// The same, of one interface; the operator's servers come with the first that has a lease.
pub fn names_by_interface<P: Platform>(system: &System<'_, P>) -> Vec<(String, Names)> {
    let mut lists: Vec<(String, Names)> = Vec::new();
    for (place, interface) in system.interfaces().enumerate() {
        let Some(lease) = interface.lease().filter(|_| interface.has_address()) else { continue };
        let is_first = lists.is_empty();
        let servers = system.dns_servers().iter().filter(|fact| match fact.origin {
            Origin::Lease(of) => usize::from(of) == place,
            Origin::Configured | Origin::Name(_) => is_first,
        });
        let servers: Vec<SocketAddr> = servers.map(|fact| fact.address).collect();
        let names = Names { servers, search: search_names(&lease) };
        lists.push((interface.name().to_owned(), names));
    }
    lists
}

/// Option 119; without it, option 15.
pub fn search_names(lease: &bringup_dhcp::Lease<'_>) -> Vec<String> {
    let mut names: Vec<String> = lease.search_names().map(|name| name.to_string()).collect();
    if names.is_empty() {
        names.extend(lease.domain_names().map(|name| name.to_string()));
    }
    names
}

/// The environment of a hook: each fact in a variable of its own, lists separated by spaces, and nothing
/// where nothing is known.
pub fn environment<P: Platform>(
    registrar: &mut Registrar<'_, P>,
    system: &System<'_, P>,
    event: &'static str,
    of: Option<&str>,
) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("BRINGUP_EVENT", event.to_owned()),
        ("BRINGUP_STATE", registrar.state().name().to_owned()),
        ("BRINGUP_CLOCK", system.ntp().state().name().to_owned()),
    ];
    if let Some(offset_ns) = system.clock_offset_ns(registrar) {
        facts.push(("BRINGUP_OFFSET_US", (offset_ns / 1_000).to_string()));
    }
    if let Some(UtcEstimate { utc, error_ns }) = system.utc(registrar.now()) {
        facts.push(("BRINGUP_UTC_S", utc.as_unix_secs().to_string()));
        facts.push(("BRINGUP_ERROR_US", error_ns.div_ceil(1_000).to_string()));
    }
    let list = |list: &bringup_system::ServerList| {
        let texts: Vec<String> = list.iter().map(|fact| server_text(fact.address)).collect();
        texts.join(" ")
    };
    facts.push(("BRINGUP_DNS", list(system.dns_servers())));
    facts.push(("BRINGUP_NTP", list(system.ntp_servers())));
    facts.push(("BRINGUP_SEARCH", names(system).search.join(" ")));
    let Some(name) = of else { return facts };
    facts.push(("BRINGUP_INTERFACE", name.to_owned()));
    let interface = system.interfaces().find(|interface| interface.name() == name);
    let Some(interface) = interface.filter(|interface| interface.has_address()) else {
        return facts;
    };
    let Some(lease) = interface.lease() else { return facts };
    facts.push(("BRINGUP_ADDRESS", lease.address().to_string()));
    facts.push(("BRINGUP_PREFIX", lease.prefix_len().to_string()));
    facts.push(("BRINGUP_SERVER", lease.server_identifier().to_string()));
    if let Some(times) = lease.times() {
        let left = times.expires_at.since(registrar.now());
        facts.push(("BRINGUP_LEASE_S", left.as_secs().to_string()));
    }
    if let Some(router) = lease.default_router() {
        facts.push(("BRINGUP_ROUTER", router.to_string()));
    }
    if let Some(mtu) = lease.mtu() {
        facts.push(("BRINGUP_MTU", mtu.to_string()));
    }
    if let Some(name) = lease.host_name() {
        facts.push(("BRINGUP_HOSTNAME", name.to_string()));
    }
    facts
}
