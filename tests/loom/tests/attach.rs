//! The models. Each is small enough for every interleaving, or says how many preemptions it allows.

use std::pin::pin;
use std::sync::Arc as StdArc;

use bringup_loom::attach::Refused;
use bringup_loom::event_loop::LoopStorage;
use bringup_loom::model::{App, Place, Told, close, new_loop, queue, set_state};
use bringup_loom::state::SystemState;
use loom::sync::Arc;
use loom::thread;

fn check(preemptions: Option<usize>, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(model);
}

#[test]
fn two_posters_and_a_loop_that_sleeps_lose_nothing() {
    check(Some(3), || {
        let (queue, bell) = queue();
        let told = StdArc::new(Told::default());
        let posters = [0, 1].map(|number| {
            let (queue, told) = (queue.clone(), told.clone());
            thread::spawn(move || {
                let node = pin!(Place::new(&queue));
                assert!(node.as_ref().post(None, told.request(number)).is_ok());
                // Dropped here: told Ready or Cancelled, not both.
            })
        });
        let (mut app, mut storage) = (App::default(), LoopStorage::new());
        let mut event_loop = new_loop(&queue, &bell, &mut storage);
        let boxed = told.clone().request(2);
        // The last to come, whoever is first: it ends the model.
        let last = {
            let queue = queue.clone();
            thread::spawn(move || {
                for poster in posters {
                    poster.join().unwrap();
                }
                assert!(queue.attach(None, boxed).is_ok());
            })
        };
        while !app.log.contains(&2) {
            event_loop.turn(&mut app).unwrap();
        }
        last.join().unwrap();
        assert_eq!(told.total(), 3, "{:?}", told.counts());
        assert_eq!(app.log.len(), told.counts()[0]);
    });
}

#[test]
fn requests_of_one_poster_run_in_order() {
    check(None, || {
        let (queue, bell) = queue();
        let told = StdArc::new(Told::default());
        let poster = {
            let (queue, told) = (queue.clone(), told.clone());
            thread::spawn(move || {
                for number in 0..2 {
                    assert!(queue.attach(None, told.request(number)).is_ok());
                }
            })
        };
        let (mut app, mut storage) = (App::default(), LoopStorage::new());
        let mut event_loop = new_loop(&queue, &bell, &mut storage);
        while app.log.len() < 2 {
            event_loop.turn(&mut app).unwrap();
        }
        assert_eq!(app.log, [0, 1]);
        poster.join().unwrap();
    });
}

#[test]
fn a_canceller_and_a_loop_tell_a_request_once_and_the_node_may_go_at_once() {
    check(None, || {
        let (queue, bell) = queue();
        let told = StdArc::new(Told::default());
        let canceller = {
            let (queue, told) = (queue.clone(), told.clone());
            thread::spawn(move || {
                let node = pin!(Place::new(&queue));
                assert!(node.as_ref().post(None, told.request(0)).is_ok());
                let cancelled = node.cancel();
                assert!(!cancelled || told.counts()[1] == 1, "told before cancel returns");
            })
        };
        let (mut app, mut storage) = (App::default(), LoopStorage::new());
        let mut event_loop = new_loop(&queue, &bell, &mut storage);
        event_loop.registrar().stop();
        event_loop.turn(&mut app).unwrap();
        canceller.join().unwrap();
        assert_eq!(told.total(), 1, "{:?}", told.counts());
    });
}

#[test]
fn a_node_posted_again_at_once_is_run_or_busy() {
    check(None, || {
        let (queue, bell) = queue();
        let told = StdArc::new(Told::default());
        let poster = {
            let (queue, told) = (queue.clone(), told.clone());
            thread::spawn(move || {
                let node = pin!(Place::new(&queue));
                assert!(node.as_ref().post(None, told.request(0)).is_ok());
                match node.as_ref().post(None, told.request(1)) {
                    Ok(()) => assert_eq!(told.total(), 1, "the first has left the node"),
                    Err((why, _)) => assert_eq!(why, Refused::Busy),
                }
            })
        };
        let (mut app, mut storage) = (App::default(), LoopStorage::new());
        let mut event_loop = new_loop(&queue, &bell, &mut storage);
        event_loop.registrar().stop();
        event_loop.turn(&mut app).unwrap();
        poster.join().unwrap();
        assert!((1..=2).contains(&told.total()));
    });
}

#[test]
fn a_state_set_by_another_thread_wakes_what_waits_for_it() {
    check(Some(3), || {
        let (queue, bell) = queue();
        let told = StdArc::new(Told::default());
        let leader = {
            let queue = queue.clone();
            thread::spawn(move || set_state(&queue, SystemState::Dhcp))
        };
        let poster = {
            let (queue, told) = (queue.clone(), told.clone());
            thread::spawn(move || {
                assert!(queue.attach(SystemState::Dhcp, told.request(0)).is_ok());
            })
        };
        let (mut app, mut storage) = (App::default(), LoopStorage::new());
        let mut event_loop = new_loop(&queue, &bell, &mut storage);
        while app.log.is_empty() {
            event_loop.turn(&mut app).unwrap();
        }
        leader.join().unwrap();
        poster.join().unwrap();
    });
}

#[test]
fn the_last_state_ends_the_sleep_of_a_loop_that_follows() {
    check(None, || {
        let (queue, bell) = queue();
        let leader = {
            let queue = queue.clone();
            thread::spawn(move || set_state(&queue, SystemState::ContextDestroying))
        };
        let (mut app, mut storage) = (App::default(), LoopStorage::new());
        let mut event_loop = new_loop(&queue, &bell, &mut storage);
        event_loop.follow();
        // Nothing waits for the state, and there is no timer.
        event_loop.run(&mut app).unwrap();
        leader.join().unwrap();
    });
}

#[test]
fn shutdown_and_two_posters_tell_or_refuse_everything() {
    check(Some(3), || {
        let (queue, _bell) = queue();
        let told = StdArc::new(Told::default());
        let posters = [None, Some(SystemState::Dhcp)].map(|gate| {
            let (queue, told) = (queue.clone(), told.clone());
            thread::spawn(move || match queue.attach(gate, told.request(0)) {
                Ok(()) => 1,
                Err((Refused::Closed, _)) => 0,
                Err((Refused::Busy, _)) => unreachable!("a node of its own"),
            })
        });
        close(&queue);
        // Whatever is accepted was accepted before the closing, and told by it.
        let told_by_close = told.total();
        let accepted: usize = posters.into_iter().map(|poster| poster.join().unwrap()).sum();
        assert_eq!(accepted, told_by_close, "nothing is accepted after the closing");
        assert_eq!(told.counts(), [0, 0, accepted]);
        assert!(queue.attach(None, told.request(1)).is_err());
    });
}

#[test]
fn a_raised_flag_ends_the_sleep_of_the_loop() {
    check(Some(3), || {
        let (queue, bell) = queue();
        let raisers = [0b01, 0b10].map(|bits| {
            let queue = queue.clone();
            thread::spawn(move || queue.raise(bits))
        });
        let (mut app, mut storage) = (App::default(), LoopStorage::new());
        let mut event_loop = new_loop(&queue, &bell, &mut storage);
        while app.flags != 0b11 {
            event_loop.turn(&mut app).unwrap();
        }
        for raiser in raisers {
            raiser.join().unwrap();
        }
    });
}

#[test]
fn two_posters_a_canceller_a_state_and_a_shutdown_together() {
    check(Some(2), || {
        let (queue, bell) = queue();
        let told = StdArc::new(Told::default());
        let accepted = |posted: bool| usize::from(posted);
        let node_owner = {
            let (queue, told) = (queue.clone(), told.clone());
            thread::spawn(move || {
                let node = pin!(Place::new(&queue));
                let posted = node.as_ref().post(SystemState::Dhcp, told.request(0)).is_ok();
                node.cancel();
                accepted(posted)
            })
        };
        let poster = {
            let (queue, told) = (queue.clone(), told.clone());
            thread::spawn(move || accepted(queue.attach(None, told.request(1)).is_ok()))
        };
        let leader = {
            let queue = queue.clone();
            thread::spawn(move || set_state(&queue, SystemState::Dhcp))
        };
        let (mut app, mut storage) = (App::default(), LoopStorage::new());
        let mut event_loop = new_loop(&queue, &bell, &mut storage);
        event_loop.registrar().stop();
        event_loop.turn(&mut app).unwrap();
        drop(event_loop);
        leader.join().unwrap();
        let accepted: usize = [node_owner, poster].into_iter().map(|t| t.join().unwrap()).sum();
        assert_eq!(told.total(), accepted, "{:?}", told.counts());
        assert_eq!(Arc::strong_count(&queue), 1);
    });
}
