extern crate std;

use super::*;
use crate::state::Phase;
use crate::testing::{App, Loop, Place, Queue, Sim, Told, What, assert_unlocked, new_loop, queue};
use crate::time::Duration;
use core::pin::pin;
use std::boxed::Box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::vec;
use std::vec::Vec;

use SystemState as S;

mod attached;
#[cfg(unix)]
mod real;
mod several_loops;
mod sources;
mod states;
mod timers;

fn ms(ms: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(ms)
}

fn timer(event_loop: &mut Loop<'_>, app: &mut App<Sim>, at: Instant) -> TimerKey {
    let mut registrar = event_loop.registrar();
    let key = registrar.add_timer(Owner::Application).unwrap();
    assert!(registrar.set_timer(key, at));
    app.timers.push(key);
    key
}

fn source(event_loop: &mut Loop<'_>, app: &mut App<Sim>, handle: i32) -> SourceKey {
    let mut registrar = event_loop.registrar();
    let key = registrar.add_source(Owner::Application, handle, Interest::READ).unwrap();
    app.sources.push(key);
    key
}

fn fired(app: &App<Sim>) -> Vec<TimerKey> {
    let keys = app.ready.iter().filter_map(|ready| match ready {
        Ready::Timer { key, .. } => Some(*key),
        _ => None,
    });
    keys.collect()
}

fn reported(app: &App<Sim>) -> Vec<SourceKey> {
    let keys = app.ready.iter().filter_map(|ready| match ready {
        Ready::Source { key, .. } => Some(*key),
        _ => None,
    });
    keys.collect()
}
