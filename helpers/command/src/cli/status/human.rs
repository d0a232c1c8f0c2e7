//! A report for a person.

use std::fmt::{self, Display, Formatter};

use crate::cli::service::report::{Clock, Counters, Dns, Interface, Lease, Report};

/// A report, as text. Nothing may rely on its form.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a Report);

/// A span in the unit that suits it.
struct Span(u64);

impl Display for Span {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let us = self.0;
        let (ms, s) = (us / 1_000, us / 1_000_000);
        match s {
            0 => write!(f, "{ms}.{:03} ms", us % 1_000),
            1..=59 => write!(f, "{s}.{:03} s", ms % 1_000),
            60..=3_599 => write!(f, "{} min {} s", s / 60, s % 60),
            3_600..=86_399 => write!(f, "{} h {} min", s / 3_600, s / 60 % 60),
            _ => write!(f, "{} d {} h", s / 86_400, s / 3_600 % 24),
        }
    }
}

fn seconds(s: Option<u64>) -> String {
    s.map_or_else(|| "never".to_owned(), |s| Span(s.saturating_mul(1_000_000)).to_string())
}

/// The counters that have counted something.
fn counted(f: &mut Formatter<'_>, what: &str, counters: &Counters) -> fmt::Result {
    let told = counters.iter().filter(|(_, count)| **count > 0);
    let told: Vec<String> = told.map(|(name, count)| format!("{name} {count}")).collect();
    if told.is_empty() { Ok(()) } else { writeln!(f, "  {what:<9} {}", told.join(", ")) }
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        write!(f, "{}", report.state)?;
        if let Some(held) = &report.held {
            write!(f, "; {} has waited for {} for {}", held.state, held.holder, Span(held.for_us))?;
        }
        let (version, pid, uptime) = (&report.version, report.pid, Span(report.uptime_us));
        writeln!(f, "   (bringup {version}, process {pid}, up for {uptime})\n")?;
        writeln!(f, "states")?;
        for visit in &report.states {
            let entered = format!("after {}", Span(visit.entered_us));
            write!(f, "  {:<17} {entered:<18}", visit.state)?;
            if visit.times > 1 {
                write!(f, " {} times;", visit.times)?;
            }
            if !visit.holders.is_empty() {
                write!(f, " held by {} for {}", visit.holders.join(", "), Span(visit.held_us))?;
            }
            writeln!(f)?;
        }
        for interface in &report.interfaces {
            self::interface(f, interface)?;
        }
        dns(f, &report.dns)?;
        clock(f, &report.clock)?;
        writeln!(f, "\nservice, names told by: {}", report.service.resolv_conf)?;
        counted(f, "jobs", &report.service.jobs)?;
        counted(f, "clients", &report.service.clients)
    }
}

fn interface(f: &mut Formatter<'_>, interface: &Interface) -> fmt::Result {
    let Interface { name, mac, mtu, up, carrier, dhcp, lease, discards, counters } = interface;
    let link = match (up, carrier) {
        (true, true) => "up",
        (true, false) => "no carrier",
        (false, _) => "down",
    };
    writeln!(f, "\n{name}: {link}, {mac}, mtu {mtu}; DHCP {dhcp}")?;
    if let Some(lease) = lease {
        self::lease(f, lease)?;
    }
    counted(f, "ignored", discards)?;
    counted(f, "counted", counters)
}

fn lease(f: &mut Formatter<'_>, lease: &Lease) -> fmt::Result {
    let (renew, rebind) = (seconds(lease.renew_in_s), seconds(lease.rebind_in_s));
    let expires = seconds(lease.expires_in_s);
    writeln!(f, "  {:<9} {}", "address", lease.address)?;
    writeln!(
        f,
        "  {:<9} from {}, asked for {} ago",
        "lease",
        lease.server,
        seconds(Some(lease.age_s))
    )?;
    writeln!(f, "  {:<9} renewed in {renew}, by any server in {rebind}, ends in {expires}", "")?;
    for fact in &lease.facts {
        writeln!(f, "  {:<9} {:<36} {}", fact.name, fact.value, fact.source)?;
    }
    if lease.routes_left_out > 0 {
        writeln!(f, "  {:<9} {} of them have found no room", "route", lease.routes_left_out)?;
    }
    Ok(())
}

fn dns(f: &mut Formatter<'_>, dns: &Dns) -> fmt::Result {
    let (entries, octets) = (dns.cache_entries, dns.cache_octets);
    let (hits, misses) = (dns.cache_hits, dns.cache_misses);
    writeln!(f, "\nDNS: cache {entries} sets in {octets} octets; {hits} hits, {misses} misses")?;
    for server in &dns.servers {
        let round_trip = server
            .round_trip_us
            .map_or_else(|| "not measured".to_owned(), |us| Span(us).to_string());
        write!(
            f,
            "  {:<9} {:<20} round trip {round_trip}, {}",
            "server", server.server, server.source
        )?;
        if server.failures > 0 {
            write!(f, ", {} failures in a row", server.failures)?;
        }
        writeln!(f, "{}", if server.shunned { ", asked last" } else { "" })?;
    }
    if !dns.search.is_empty() {
        writeln!(f, "  {:<9} {}", "search", dns.search.join(" "))?;
    }
    counted(f, "ignored", &dns.discards)?;
    counted(f, "counted", &dns.counters)
}

fn clock(f: &mut Formatter<'_>, clock: &Clock) -> fmt::Result {
    write!(f, "\nclock: {}", clock.state)?;
    if let (Some(offset), Some(error)) = (clock.offset_us, clock.error_us) {
        let sign = if offset < 0 { '-' } else { '+' };
        let (offset, error) = (Span(offset.unsigned_abs()), Span(error));
        write!(f, "; add {sign}{offset} to the machine's, give or take {error}")?;
    }
    writeln!(f, "; {}", if clock.sets_clock { "it is set" } else { "it is only looked at" })?;
    for server in &clock.servers {
        write!(f, "  {:<9} {:<20} {}, {}", "server", server.server, server.verdict, server.source)?;
        if let (Some(delay), Some(stratum)) = (server.delay_us, server.stratum) {
            write!(f, ", delay {}, stratum {stratum}", Span(delay))?;
        }
        writeln!(f)?;
    }
    counted(f, "ignored", &clock.discards)?;
    counted(f, "counted", &clock.counters)
}
