//! A report in the text format of Prometheus (version 0.0.4): for node_exporter's textfile collector, or
//! whatever fetches the output of a program.

use std::fmt::Write as _;

use crate::cli::service::report::{Counters, Report};

/// The text.
pub fn text(report: &Report) -> String {
    let mut page = Page::default();
    page.one(
        "bringup_operational",
        "gauge",
        "Whether the system is OPERATIONAL.",
        u64::from(report.operational),
    );
    page.one("bringup_uptime_seconds", "counter", "Since the start.", Micros(report.uptime_us));
    page.family("bringup_state", "gauge", "Which state the system is in.");
    page.value("bringup_state", &[("state", &report.state)], 1);
    page.family("bringup_held_seconds", "gauge", "For how long the next step has been held back.");
    if let Some(held) = &report.held {
        let labels = [("state", held.state.as_str()), ("holder", &held.holder)];
        page.value("bringup_held_seconds", &labels, Micros(held.for_us));
    }
    leases(&mut page, report);
    servers(&mut page, report);
    page.family("bringup_total", "counter", "What was counted: messages, queries, jobs.");
    page.family("bringup_discards_total", "counter", "Inputs that were ignored, and why.");
    for interface in &report.interfaces {
        page.counters("bringup_total", "dhcp", &interface.name, &interface.counters);
        page.counters("bringup_discards_total", "dhcp", &interface.name, &interface.discards);
    }
    page.counters("bringup_total", "dns", "", &report.dns.counters);
    page.counters("bringup_discards_total", "dns", "", &report.dns.discards);
    page.counters("bringup_total", "ntp", "", &report.clock.counters);
    page.counters("bringup_discards_total", "ntp", "", &report.clock.discards);
    page.counters("bringup_total", "jobs", "", &report.service.jobs);
    page.finish()
}

fn leases(page: &mut Page, report: &Report) {
    page.family("bringup_lease_remaining_seconds", "gauge", "Until the lease ends.");
    page.family("bringup_link_up", "gauge", "Whether the interface has a carrier.");
    for interface in &report.interfaces {
        let labels = [("interface", interface.name.as_str())];
        page.value("bringup_link_up", &labels, u8::from(interface.up && interface.carrier));
        if let Some(left) = interface.lease.as_ref().and_then(|lease| lease.expires_in_s) {
            page.value("bringup_lease_remaining_seconds", &labels, left);
        }
    }
}

fn servers(page: &mut Page, report: &Report) {
    page.family("bringup_dns_round_trip_seconds", "gauge", "The smoothed round trip.");
    for server in &report.dns.servers {
        if let Some(us) = server.round_trip_us {
            page.value("bringup_dns_round_trip_seconds", &[("server", &server.server)], Micros(us));
        }
    }
    page.one(
        "bringup_dns_cache_entries",
        "gauge",
        "RRsets in the cache.",
        report.dns.cache_entries,
    );
    let octets = report.dns.cache_octets;
    page.one("bringup_dns_cache_octets", "gauge", "Octets of the cache in use.", octets);
    page.family("bringup_clock_state", "gauge", "How well the time is known.");
    page.value("bringup_clock_state", &[("state", &report.clock.state)], 1);
    page.family(
        "bringup_clock_offset_seconds",
        "gauge",
        "What must be added to the machine's clock.",
    );
    page.family("bringup_clock_error_seconds", "gauge", "How far off that may be.");
    if let (Some(offset), Some(error)) = (report.clock.offset_us, report.clock.error_us) {
        let sign = if offset < 0 { "-" } else { "" };
        let offset = format!("{sign}{}", Micros(offset.unsigned_abs()));
        page.value("bringup_clock_offset_seconds", &[], offset);
        page.value("bringup_clock_error_seconds", &[], Micros(error));
    }
}

/// Microseconds as seconds.
struct Micros(u64);

impl std::fmt::Display for Micros {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Families with their lines: the format wants those of one family together.
#[derive(Default)]
struct Page(Vec<(&'static str, String, bool)>);

impl Page {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.0.push((name, format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"), false));
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let Some((_, text, is_used)) = self.0.iter_mut().find(|(of, ..)| *of == name) else {
            return;
        };
        *is_used = true;
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}{labels} {value}");
    }

    fn one(&mut self, name: &'static str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, kind, help);
        self.value(name, &[], value);
    }

    fn counters(&mut self, name: &str, protocol: &str, interface: &str, counters: &Counters) {
        for (what, count) in counters {
            let mut labels = vec![("protocol", protocol), ("name", what.as_str())];
            if !interface.is_empty() {
                labels.push(("interface", interface));
            }
            self.value(name, &labels, count);
        }
    }

    fn finish(self) -> String {
        self.0.into_iter().filter(|(.., is_used)| *is_used).map(|(_, text, _)| text).collect()
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
