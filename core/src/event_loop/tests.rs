//! The scenarios on poll(2), and what poll(2) alone can report.

extern crate std;

use super::*;
use crate::poll::UnixPoll;
use crate::testing::{App, Ground, Queue, Sim, new_loop, queue};
use crate::time::Duration;

crate::testing::poller_scenarios!(UnixPoll<'static>);

type Real = Ground<UnixPoll<'static>>;

#[test]
fn a_descriptor_closed_behind_the_loops_back_is_reported_once_and_not_spun_on() {
    let queue: Queue<Real> = queue();
    let mut app = App::<Real>::idle();
    let mut event_loop = new_loop(Real::real(), &queue);
    // A number that is not open, as one that was closed is; other tests open and close low ones.
    let mut registrar = event_loop.registrar();
    let key = registrar.add_source(Owner::Application, 1 << 30, Interest::READ).unwrap();
    let timer = registrar.add_timer(Owner::Application).unwrap();
    registrar.set_timer(timer, Instant::ZERO + Duration::from_millis(5));
    let mut turns = 0;
    while !app.ready.iter().any(|ready| matches!(ready, Ready::Timer { .. })) {
        event_loop.turn(&mut app).unwrap();
        turns += 1;
    }
    let invalid = Readiness { invalid: true, ..Readiness::default() };
    let report = Ready::Source { key, owner: Owner::Application, readiness: invalid };
    assert_eq!(app.ready.iter().filter(|ready| **ready == report).count(), 1);
    assert!(turns <= 4, "{turns} turns");
    assert_eq!(event_loop.registrar().remove_source(key), Some(1 << 30), "and can be removed");
}

/// The token of a source has room for 16 bits of its generation.
#[test]
fn a_stale_key_names_nothing_however_often_its_slot_was_used() {
    let queue: Queue = queue();
    let mut event_loop = new_loop(Sim::default(), &queue);
    let mut registrar = event_loop.registrar();
    let add = |registrar: &mut Registrar<'_, Sim>| {
        registrar.add_source(Owner::Application, 7, Interest::READ).expect("there is room")
    };
    let first = add(&mut registrar);
    assert_eq!(registrar.remove_source(first), Some(7));
    for _ in 1..1 << 16 {
        let key = add(&mut registrar);
        assert_eq!(registrar.remove_source(key), Some(7));
    }
    let last = add(&mut registrar);
    assert_eq!((first.slot, first.token()), (last.slot, last.token()));
    assert_eq!(registrar.handle(first), None);
    assert_eq!(registrar.remove_source(first), None);
    assert_eq!(registrar.handle(last), Some(7));
}
