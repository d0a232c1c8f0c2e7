//! Hosts, wires and servers, and how programs are run on them.

pub mod board;
pub mod dhcp;
pub mod dns;
pub mod namespace;
pub mod network;
pub mod packet;
pub mod program;
pub mod relay;
pub mod servers;
pub mod watched;
pub mod wire;

use std::thread;
use std::time::{Duration, Instant};

pub use namespace::{Host, Lab, again_with, measured, within, within_time};
pub use program::{Outcome, bringup, built, example, find, run};
pub use wire::{Faults, Wire};

/// How long the laboratory waits for something that it started itself, before it says that this
/// failed.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Calls `probe` until it gives something; panics with `what` when [`PATIENCE`] is over.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: still not so after {PATIENCE:?}");
        // Between two questions only, so that the one who is asked gets the processor.
        thread::sleep(Duration::from_millis(2));
    }
}
