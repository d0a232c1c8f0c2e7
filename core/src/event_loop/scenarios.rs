//! What the loop promises, on whatever poller: each function is one test, which `poller_scenarios!`
//! makes for the poller that it is given. Time is virtual except in `threads`; descriptors are real.

extern crate std;

use super::*;
use crate::state::Phase;
use crate::testing::{self, Fresh, Ground, Told, What, assert_unlocked, new_loop, queue};
use crate::time::Duration;
use core::pin::pin;
use std::boxed::Box;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::vec;
use std::vec::Vec;

use SystemState as S;

pub(crate) use crate::poll::scenarios as pollers;

pub(crate) mod attached;
pub(crate) mod several_loops;
pub(crate) mod sources;
pub(crate) mod states;
pub(crate) mod threads;
pub(crate) mod timers;

type App<Po> = testing::App<Ground<Po>>;
type Queue<Po> = testing::Queue<Ground<Po>>;
type Place<'q, Po> = testing::Place<'q, Ground<Po>>;
type Loop<'m, Po> = testing::Loop<'m, Ground<Po>>;
type Registrar<'r, Po> = super::Registrar<'r, Ground<Po>>;
type Said<'a, Po> = Outcome<'a, App<Po>, Ground<Po>>;

fn ms(ms: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(ms)
}

fn timer<Po: Fresh>(event_loop: &mut Loop<'_, Po>, app: &mut App<Po>, at: Instant) -> TimerKey {
    let mut registrar = event_loop.registrar();
    let key = registrar.add_timer(Owner::Application).unwrap();
    assert!(registrar.set_timer(key, at));
    app.timers.push(key);
    key
}

/// A descriptor that the loop watches, and that has something to read.
fn source<Po: Fresh>(event_loop: &mut Loop<'_, Po>, app: &mut App<Po>) -> SourceKey {
    let (near, mut far) = UnixStream::pair().expect("a socket pair");
    far.write_all(b"x").expect("room for one octet");
    let handle = near.as_raw_fd();
    app.ends.push((near, far));
    let added = event_loop.registrar().add_source(Owner::Application, handle, Interest::READ);
    app.sources.push(added.expect("a free slot"));
    app.sources[app.sources.len() - 1]
}

fn fired<Po: Fresh>(app: &App<Po>) -> Vec<TimerKey> {
    let keys = app.ready.iter().filter_map(|ready| match ready {
        Ready::Timer { key, .. } => Some(*key),
        _ => None,
    });
    keys.collect()
}

fn reported<Po: Fresh>(app: &App<Po>) -> Vec<SourceKey> {
    let keys = app.ready.iter().filter_map(|ready| match ready {
        Ready::Source { key, .. } => Some(*key),
        _ => None,
    });
    keys.collect()
}
