//! bringup beside its peers, on the same work, in the same run. `benches/run` builds and starts it.
//!
//! All contenders of a table take turns, round by round, so that a noisy minute of the machine hits
//! them alike; ratios compare figures of one round. Absolute times only orient.

#[cfg(cares)]
mod ares;
mod attach;
mod dhcp;
mod dns;
mod echo;
mod eventfd;
mod growth;
mod lookups;
mod measure;
mod ntp;
mod peers;
mod statistics;
mod timers;
mod turn;
#[cfg(libuv)]
mod uv;

use measure::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The name by which a section is asked for, and what runs it with that many rounds.
type Section = (&'static str, fn(usize));

/// The peers that a section would have, were they there.
fn absent(section: &str) -> Vec<(&'static str, &'static str)> {
    let mut absent = Vec::new();
    if cfg!(not(libuv)) && ["attach", "timers", "turn", "echo", "growth"].contains(&section) {
        absent.push(("libuv", "which `benches/run` builds where there is a C compiler"));
    }
    if cfg!(not(cares)) && section == "growth" {
        absent.push(("c-ares", "which `benches/run` builds where there is a C compiler"));
    }
    if cfg!(not(feature = "ntp-proto")) && section == "ntp" {
        absent.push(("ntp-proto", "since this was built without it"));
    }
    absent
}

fn main() {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    let quick = names.iter().position(|name| name == "--quick").map(|at| names.remove(at));
    let rounds = if quick.is_some() { 3 } else { 7 };
    let wanted = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
    let sections: [Section; 9] = [
        ("attach", attach::run),
        ("timers", timers::run),
        ("turn", turn::run),
        ("echo", echo::run),
        ("ntp", ntp::run),
        ("dhcp", dhcp::run),
        ("dns", dns::run),
        ("lookups", lookups::run),
        ("growth", growth::run),
    ];
    for (name, section) in sections {
        if wanted(name) {
            section(rounds);
            for (peer, why) in absent(name) {
                println!("\nAbsent: {peer}, {why}.");
            }
        }
    }
}
