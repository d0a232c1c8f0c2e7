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
mod lookups;
mod measure;
mod ntp;
mod peers;
mod timers;
mod turn;
#[cfg(libuv)]
mod uv;

use measure::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The name by which a section is asked for, and what runs it with that many rounds.
type Section = (&'static str, fn(usize));

fn main() {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    let quick = names.iter().position(|name| name == "--quick").map(|at| names.remove(at));
    let rounds = if quick.is_some() { 3 } else { 7 };
    let wanted = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
    let sections: [Section; 8] = [
        ("attach", attach::run),
        ("timers", timers::run),
        ("turn", turn::run),
        ("echo", echo::run),
        ("ntp", ntp::run),
        ("dhcp", dhcp::run),
        ("dns", dns::run),
        ("lookups", lookups::run),
    ];
    for (name, section) in sections {
        if wanted(name) {
            section(rounds);
        }
    }
}
