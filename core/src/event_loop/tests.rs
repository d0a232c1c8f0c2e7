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

mod timers {
    use super::*;

    #[test]
    fn the_wait_is_until_the_earliest_deadline_and_no_timer_is_early() {
        let queue: Queue = queue();
        let (mut app, mut event_loop) = (App::idle(), new_loop(Sim::default(), &queue));
        let days = Instant::ZERO + Duration::from_secs(25 * 86_400);
        let keys = [days, Instant::ZERO, Instant::from_micros(1), Instant::from_micros(250)]
            .map(|at| timer(&mut event_loop, &mut app, at));
        for _ in 0..4 {
            event_loop.turn(&mut app).unwrap();
        }
        let [late, zero, one, soon] = keys;
        assert_eq!(fired(&app), [zero, one, soon, late]);
        let waits = [0, 1, 250, days.as_micros()].map(|us| Some(Instant::from_micros(us)));
        assert_eq!(event_loop.platform.waits, waits);
    }

    #[test]
    fn without_a_timer_the_wait_has_no_end() {
        let queue: Queue = queue();
        let (mut app, mut event_loop) = (App::idle(), new_loop(Sim::default(), &queue));
        source(&mut event_loop, &mut app, 5);
        event_loop.platform.poller.script.push_back(vec![5]);
        event_loop.turn(&mut app).unwrap();
        assert_eq!(event_loop.platform.waits, [None]);
    }

    #[test]
    fn a_wait_that_ends_early_fires_nothing() {
        let queue: Queue = queue();
        let (mut app, mut event_loop) = (App::idle(), new_loop(Sim::default(), &queue));
        timer(&mut event_loop, &mut app, ms(5));
        source(&mut event_loop, &mut app, 5);
        event_loop.platform.now = Instant::from_micros(4_999);
        event_loop.platform.poller.script.push_back(vec![5]);
        event_loop.turn(&mut app).unwrap();
        assert_eq!(fired(&app), []);
        event_loop.turn(&mut app).unwrap();
        assert_eq!(fired(&app).len(), 1);
    }

    #[test]
    fn u2_equal_deadlines_fire_first_in_first_out() {
        let queue: Queue = queue();
        let (mut app, mut event_loop) = (App::idle(), new_loop(Sim::default(), &queue));
        let keys: Vec<_> = (0..10).map(|_| timer(&mut event_loop, &mut app, ms(1))).collect();
        event_loop.turn(&mut app).unwrap();
        assert_eq!(fired(&app), keys);
    }

    #[test]
    fn a_timer_that_arms_itself_again_starves_nobody() {
        let queue: Queue = queue();
        let told = Told::default();
        let node = pin!(Place::new(&queue));
        let mut app = App::new(|app: &mut App<Sim>, registrar, ready| {
            if let Ready::Timer { key, .. } = ready {
                // In the past: as early as it can be.
                registrar.set_timer(key, Instant::ZERO);
            }
            app.log.push(0);
        });
        let mut event_loop = new_loop(Sim::default(), &queue);
        let greedy = timer(&mut event_loop, &mut app, ms(1));
        let other = timer(&mut event_loop, &mut app, ms(2));
        event_loop.platform.now = ms(3);
        let ready = source(&mut event_loop, &mut app, 5);
        event_loop.platform.poller.script.push_back(vec![5]);
        assert!(node.as_ref().post(None, told.request(1)).is_ok());
        event_loop.turn(&mut app).unwrap();
        assert_eq!(fired(&app), [greedy, other], "each once a turn");
        assert_eq!(reported(&app), [ready]);
        assert_eq!(told.all(), [(1, What::Ready)]);
        event_loop.turn(&mut app).unwrap();
        assert_eq!(fired(&app), [greedy, other, greedy, other], "and the next turn comes at once");
    }

    #[test]
    fn u3_stop_in_a_timer_ends_the_loop_without_another_wait() {
        let queue: Queue = queue();
        let mut app = App::new(|_: &mut App<Sim>, registrar, _| registrar.stop());
        let mut event_loop = new_loop(Sim::default(), &queue);
        timer(&mut event_loop, &mut app, ms(5));
        event_loop.run(&mut app).unwrap();
        assert_eq!(event_loop.platform.waits, [Some(ms(5))]);
        timer(&mut event_loop, &mut app, ms(9));
        event_loop.run(&mut app).unwrap();
        assert_eq!(event_loop.platform.waits.len(), 2, "and it can be run again");
    }

    #[test]
    fn a_panic_in_a_timer_leaves_the_others_due() {
        let queue: Queue = queue();
        let mut app = App::new(|app: &mut App<Sim>, _, ready| {
            app.log.push(0);
            let first = matches!(ready, Ready::Timer { key, .. } if key == app.timers[0]);
            assert!(!first, "on purpose");
        });
        let mut event_loop = new_loop(Sim::default(), &queue);
        let keys: Vec<_> = (0..3).map(|_| timer(&mut event_loop, &mut app, ms(1))).collect();
        assert!(catch_unwind(AssertUnwindSafe(|| event_loop.turn(&mut app))).is_err());
        event_loop.turn(&mut app).unwrap();
        assert_eq!(fired(&app), keys);
    }

    #[test]
    fn only_timers_that_wake_the_machine_count_for_the_alarm() {
        let queue: Queue = queue();
        let (mut app, mut event_loop) = (App::idle(), new_loop(Sim::default(), &queue));
        timer(&mut event_loop, &mut app, ms(1));
        assert_eq!(event_loop.registrar().next_wake_up(), None);
        let keys = [7, 3, 9].map(|at| timer(&mut event_loop, &mut app, ms(at)));
        let mut registrar = event_loop.registrar();
        for key in keys {
            assert!(registrar.set_timer_wakes(key, true));
        }
        let latency = Duration::from_micros(300);
        assert_eq!(registrar.next_wake_up(), Some(ms(3) - latency));
        assert!(registrar.set_timer_wakes(keys[1], false));
        assert!(registrar.clear_timer(keys[0]));
        assert_eq!(registrar.next_wake_up(), Some(ms(9) - latency));
        assert!(registrar.remove_timer(keys[2]));
        assert!(!registrar.set_timer_wakes(keys[2], true), "stale");
        assert_eq!(registrar.next_wake_up(), None);
        let reused = registrar.add_timer(Owner::Application).unwrap();
        registrar.set_timer(reused, ms(20));
        assert_eq!(registrar.next_wake_up(), None, "a new timer does not wake");
    }
}

mod attached {
    use super::*;
    use crate::attach::Node;

    static QUEUE: Queue = queue();
    static AGAIN: Place<'static> = Node::new(&QUEUE);

    fn again(outcome: Outcome<'_, App<Sim>, Sim>) {
        if let Outcome::Ready(app, registrar) = outcome {
            app.log.push(u32::try_from(registrar.now().as_micros()).unwrap());
            assert!(AGAIN.post_static(None, again).is_ok(), "the node is idle while it runs");
        }
    }

    #[test]
    fn a2_a_request_that_posts_itself_again_runs_next_turn_and_starves_no_timer() {
        let mut app = App::new(|_: &mut App<Sim>, registrar, _| registrar.stop());
        let mut event_loop = new_loop(Sim::default(), &QUEUE);
        timer(&mut event_loop, &mut app, Instant::from_micros(3));
        assert!(AGAIN.post_static(None, again).is_ok());
        // Time goes on by a microsecond a turn.
        for turn in 0..100 {
            event_loop.turn(&mut app).unwrap();
            assert_eq!(app.log.len(), turn + 1, "once a turn");
            if event_loop.inner.stop {
                break;
            }
            event_loop.platform.now += Duration::from_micros(1);
        }
        assert_eq!(app.log, [0, 1, 2, 3], "the timer was on time");
    }

    #[test]
    fn a_request_may_add_what_it_likes_and_end_the_loop() {
        let (queue, told): (Queue, _) = (queue(), Told::default());
        let (first, second, third) =
            (pin!(Node::new(&queue)), pin!(Node::new(&queue)), pin!(Node::new(&queue)));
        let (mut app, mut event_loop) = (App::idle(), new_loop(Sim::default(), &queue));
        let adds = |outcome: Outcome<'_, App<Sim>, Sim>| {
            assert_unlocked();
            let Outcome::Ready(app, mut registrar) = outcome else { panic!("it is ready") };
            let key = registrar.add_source(Owner::System, 9, Interest::READ).unwrap();
            app.sources.push(key);
            registrar.stop();
        };
        assert!(first.as_ref().post(None, adds).is_ok());
        assert!(second.as_ref().post(None, told.request(2)).is_ok());
        assert!(third.as_ref().post(S::Dhcp, told.request(3)).is_ok());
        event_loop.run(&mut app).unwrap();
        assert_eq!(told.all(), [(2, What::Ready)], "the turn is finished");
        event_loop.platform.poller.script.push_back(vec![9]);
        event_loop.turn(&mut app).unwrap();
        assert_eq!(app.ready.len(), 1);
        assert_eq!(app.ready[0].owner(), Owner::System);
        drop(event_loop);
        assert_eq!(told.all(), [(2, What::Ready), (3, What::Shutdown)]);
    }

    #[cfg(target_has_atomic = "32")]
    #[test]
    fn raised_flags_are_handed_out_once() {
        let queue: Queue = queue();
        let (mut app, mut event_loop) = (App::idle(), new_loop(Sim::default(), &queue));
        queue.raise(0b10);
        queue.raise(0b01);
        event_loop.turn(&mut app).unwrap();
        assert_eq!(app.flags, [0b11]);
        event_loop.inner.stop = false;
        timer(&mut event_loop, &mut app, ms(1));
        event_loop.turn(&mut app).unwrap();
        assert_eq!((app.flags.len(), app.ready.len()), (1, 1), "the timer alone");
    }

    #[test]
    fn a_queue_serves_one_loop() {
        let queue: Queue = queue();
        let _first: Loop<'_> = new_loop(Sim::default(), &queue);
        let second = LoopStorage::<i32, 1, 1>::new();
        let mut second = Box::new(second);
        let refused = Loop::new(Sim::default(), &mut *second, &queue);
        assert_eq!(refused.err(), Some(crate::error::ErrorKind::Exists));
    }
}

mod sources {
    use super::*;

    #[test]
    fn one_that_is_removed_and_its_slot_reused_reports_nothing_in_this_turn() {
        let queue: Queue = queue();
        let mut app = App::new(|app: &mut App<Sim>, registrar, _| {
            // The first one that is called removes the other and takes its slot, with the same number.
            if app.ready.len() == 1 {
                let victim = app.sources[1];
                assert_eq!(registrar.remove_source(victim), Some(6));
                assert_eq!(registrar.remove_source(victim), None, "stale");
                let reused = registrar.add_source(Owner::Application, 6, Interest::READ).unwrap();
                assert_ne!(reused, victim);
                app.sources.push(reused);
            }
        });
        let mut event_loop = new_loop(Sim::default(), &queue);
        let first = source(&mut event_loop, &mut app, 5);
        source(&mut event_loop, &mut app, 6);
        event_loop.platform.poller.script.extend([vec![5, 6], vec![6]]);
        event_loop.turn(&mut app).unwrap();
        assert_eq!(reported(&app), [first]);
        event_loop.turn(&mut app).unwrap();
        assert_eq!(reported(&app), [first, app.sources[2]]);
    }

    #[test]
    fn its_own_removal_and_other_interests_from_its_callback() {
        let queue: Queue = queue();
        let mut app = App::new(|app: &mut App<Sim>, registrar, ready| {
            let Ready::Source { key, .. } = ready else { return };
            if key == app.sources[0] {
                assert_eq!(registrar.set_interest(key, Interest::WRITE), Ok(true));
                assert_eq!(registrar.remove_source(key), Some(5));
                assert_eq!(registrar.set_interest(key, Interest::READ), Ok(false));
            }
        });
        let mut event_loop = new_loop(Sim::default(), &queue);
        let keys = [5, 6].map(|handle| source(&mut event_loop, &mut app, handle));
        event_loop.platform.poller.script.extend([vec![5, 6], vec![5, 6]]);
        event_loop.turn(&mut app).unwrap();
        event_loop.turn(&mut app).unwrap();
        assert_eq!(reported(&app), [keys[0], keys[1], keys[1]]);
    }

    #[test]
    fn slots_are_bounded() {
        let queue: Queue = queue();
        let (mut app, mut event_loop) = (App::idle(), new_loop(Sim::default(), &queue));
        let keys: Vec<_> = (0..8).map(|h| source(&mut event_loop, &mut app, h)).collect();
        let mut registrar = event_loop.registrar();
        let full = registrar.add_source(Owner::Application, 9, Interest::READ);
        assert_eq!(full, Err(AddError::NoSlot));
        registrar.remove_source(keys[3]);
        assert!(registrar.add_source(Owner::Application, 9, Interest::READ).is_ok());
    }

    #[test]
    fn a_panic_in_a_callback_leaves_the_others_to_the_next_turn() {
        let queue: Queue = queue();
        let mut app =
            App::new(|app: &mut App<Sim>, _, _| assert!(app.ready.len() > 1, "on purpose"));
        let mut event_loop = new_loop(Sim::default(), &queue);
        let keys = [5, 6].map(|handle| source(&mut event_loop, &mut app, handle));
        event_loop.platform.poller.script.extend([vec![5, 6], vec![6]]);
        assert!(catch_unwind(AssertUnwindSafe(|| event_loop.turn(&mut app))).is_err());
        event_loop.turn(&mut app).unwrap();
        assert_eq!(reported(&app), keys);
    }
}

mod states {
    use super::*;
    use crate::attach::Node;

    /// Holds TIME_VALID, keeps the key in the application, and writes every call down.
    fn gate(
        app: &mut App<Sim>,
        registrar: &mut Registrar<'_, Sim>,
        announcement: &Announcement,
    ) -> Verdict {
        assert_unlocked();
        let entered = announcement.phase == Phase::Entered;
        assert_eq!(registrar.state() == announcement.to, entered);
        app.log.push(announcement.to as u32 + 100 * u32::from(entered));
        if announcement.to == S::TimeValid && !entered {
            let key = announcement.hold("ntp");
            app.held = Some(key);
            return Verdict::Hold(key);
        }
        Verdict::Go
    }

    fn note(
        app: &mut App<Sim>,
        _: &mut Registrar<'_, Sim>,
        announcement: &Announcement,
    ) -> Verdict {
        if announcement.phase == Phase::Entered {
            app.log.push(200 + announcement.to as u32);
        }
        Verdict::Go
    }

    #[test]
    fn s3_another_thread_releases_a_hold_and_the_walk_goes_on_by_itself() {
        let (queue, told): (Queue, _) = (queue(), Told::default());
        let (mut app, mut event_loop) = (App::idle(), new_loop(Sim::default(), &queue));
        event_loop.add_notifier(gate).unwrap();
        event_loop.add_notifier(note).unwrap();
        event_loop.registrar().advance(S::Operational).unwrap();
        let (waits, done) = (pin!(Node::new(&queue)), pin!(Node::new(&queue)));
        assert!(waits.as_ref().post(S::TimeValid, told.request(1_000)).is_ok());
        assert!(done.as_ref().post(S::Operational, told.request(2_000)).is_ok());
        timer(&mut event_loop, &mut app, ms(1));
        event_loop.turn(&mut app).unwrap();
        let (state, key) = event_loop.registrar().held().expect("held, and visible");
        assert_eq!((state, key.holder), (S::TimeValid, "ntp"));
        assert_eq!(event_loop.registrar().state(), S::CpdPreTime);
        assert_eq!(told.all(), []);
        std::thread::scope(|scope| {
            let release = |outcome: Outcome<'_, App<Sim>, Sim>| {
                let Outcome::Ready(app, mut registrar) = outcome else { panic!("it is ready") };
                assert!(registrar.release(app.held.take().expect("the key")));
            };
            let queue = &queue;
            // The node lives on that thread's stack until the loop has run it.
            let thread = scope.spawn(move || {
                let node = pin!(Node::new(queue));
                assert!(node.as_ref().post(None, release).is_ok());
                while node.is_linked() {
                    std::thread::yield_now();
                }
            });
            while event_loop.registrar().state() != S::Operational {
                if !thread.is_finished() {
                    let now = event_loop.registrar().now();
                    timer(&mut event_loop, &mut app, now);
                }
                event_loop.turn(&mut app).unwrap();
                let keys = core::mem::take(&mut app.timers);
                keys.into_iter().for_each(|key| {
                    event_loop.registrar().remove_timer(key);
                });
            }
        });
        timer(&mut event_loop, &mut app, ms(5));
        event_loop.turn(&mut app).unwrap();
        assert_eq!(told.all(), [(1_000, What::Ready), (2_000, What::Ready)]);
        let steps =
            S::ALL.iter().map(|&state| state as u32).filter(|state| (2..=15).contains(state));
        let calls: Vec<_> = steps.flat_map(|to| [to, 100 + to, 200 + to]).collect();
        let log: Vec<_> = app.log.iter().copied().filter(|&entry| entry < 1_000).collect();
        assert_eq!(log, calls, "s1, s4: everyone once, in order, and never back");
    }

    #[test]
    fn parked_requests_run_after_the_last_entered_notice() {
        let (queue, told): (Queue, _) = (queue(), Told::default());
        let (mut app, mut event_loop) = (App::idle(), new_loop(Sim::default(), &queue));
        for _ in 0..3 {
            event_loop.add_notifier(note).unwrap();
        }
        let node = pin!(Node::new(&queue));
        assert!(node.as_ref().post(S::PrePrivDrop, told.request(1_000)).is_ok());
        event_loop.registrar().advance(S::Initialized).unwrap();
        event_loop.turn(&mut app).unwrap();
        assert_eq!(app.log, [202, 202, 202, 203, 203, 203, 1_000]);
    }

    #[test]
    fn s5_a_helper_that_is_not_used_blocks_no_state() {
        let queue: Queue = queue();
        let (mut app, mut event_loop) = (App::idle(), new_loop(Sim::default(), &queue));
        event_loop.registrar().advance(S::Operational).unwrap();
        event_loop.walk(&mut app);
        assert_eq!(event_loop.registrar().state(), S::Operational);
    }

    #[test]
    fn a_long_walk_goes_on_next_turn_without_a_wait() {
        let queue: Queue = queue();
        let (mut app, mut event_loop) = (App::idle(), new_loop(Sim::default(), &queue));
        for _ in 0..MAX_NOTIFIERS {
            event_loop.add_notifier(note).unwrap();
        }
        assert_eq!(event_loop.add_notifier(note), Err(TooManyNotifiers));
        event_loop.registrar().advance(S::Operational).unwrap();
        // For the last turn, which has nothing else to wait for.
        timer(&mut event_loop, &mut app, ms(1));
        let mut turns = 0;
        while event_loop.registrar().state() != S::Operational {
            event_loop.turn(&mut app).unwrap();
            turns += 1;
        }
        assert!(turns > 1, "others have their turn between");
        let waits = &event_loop.platform.waits;
        assert!(waits[..turns - 1].iter().all(|wait| *wait == Some(Instant::ZERO)), "{waits:?}");
    }

    #[test]
    fn s6_shutdown_announces_destroying_alone_and_tells_every_request() {
        let (queue, told): (Queue, _) = (queue(), Told::default());
        let (mut app, mut event_loop) = (App::idle(), new_loop(Sim::default(), &queue));
        event_loop.add_notifier(gate).unwrap();
        event_loop.registrar().advance(S::Operational).unwrap();
        event_loop.walk(&mut app);
        app.log.clear();
        let nodes: Vec<_> = (0..3).map(|_| Box::pin(Node::new(&queue))).collect();
        let gates = [Some(S::Operational), Some(S::ContextDestroying), None];
        for ((node, gate), number) in nodes.iter().zip(gates).zip(1_000..) {
            assert!(node.as_ref().post(gate, told.request(number)).is_ok());
        }
        event_loop.shutdown(&mut app);
        event_loop.shutdown(&mut app);
        assert_eq!(
            told.all(),
            [(1_002, What::Ready), (1_001, What::Ready), (1_000, What::Shutdown)],
            "a4: what waits for OPERATIONAL does not run"
        );
        assert_eq!(app.log, [117, 1_002, 1_001]);
        assert!(nodes[0].as_ref().post(None, told.request(0)).is_err());
        event_loop.run(&mut app).unwrap();
        assert_eq!(event_loop.platform.waits, [], "there is nothing to wait for");
    }

    #[test]
    fn a_request_from_any_thread_may_end_the_context() {
        let queue: Queue = queue();
        let (mut app, mut event_loop) = (App::idle(), new_loop(Sim::default(), &queue));
        event_loop.add_notifier(note).unwrap();
        let node = pin!(Node::new(&queue));
        let end = |outcome: Outcome<'_, App<Sim>, Sim>| {
            if let Outcome::Ready(_, mut registrar) = outcome {
                registrar.jump(S::ContextDestroying).unwrap();
            }
        };
        assert!(node.as_ref().post(None, end).is_ok());
        event_loop.run(&mut app).unwrap();
        assert_eq!(app.log, [217]);
    }

    #[test]
    fn a_panic_in_a_notifier_leaves_the_walk_whole() {
        fn panics(_: &mut App<Sim>, _: &mut Registrar<'_, Sim>, a: &Announcement) -> Verdict {
            assert!(a.to != S::Dhcp || a.phase != Phase::Asked, "on purpose");
            Verdict::Go
        }
        let queue: Queue = queue();
        let (mut app, mut event_loop) = (App::idle(), new_loop(Sim::default(), &queue));
        event_loop.add_notifier(panics).unwrap();
        event_loop.add_notifier(note).unwrap();
        event_loop.registrar().advance(S::TimeValid).unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| event_loop.turn(&mut app))).is_err());
        timer(&mut event_loop, &mut app, ms(1));
        event_loop.turn(&mut app).unwrap();
        assert_eq!(app.log, (202..=208).collect::<Vec<_>>());
    }
}

mod several_loops {
    use super::*;
    use crate::attach::Node;

    #[test]
    fn tsi_the_leader_sets_the_state_for_all_and_a_post_wakes_only_its_loop() {
        let (queues, told): ([Queue; 2], _) = ([queue(), queue()], Told::default());
        let [first, rest @ ..] = &queues;
        let (mut lead_app, mut leader) = (App::idle(), new_loop(Sim::default(), first));
        let (mut app, mut follower) = (App::idle(), new_loop(Sim::default(), &rest[0]));
        leader.lead(rest);
        follower.follow();
        let nodes = [first, &rest[0]].map(|queue| Box::pin(Node::new(queue)));
        for (node, number) in nodes.iter().zip(0..) {
            assert!(node.as_ref().post(S::Dhcp, told.request(number)).is_ok());
        }
        assert_eq!(follower.registrar().advance(S::Dhcp), Err(RequestError::Follower));
        assert_eq!(follower.registrar().jump(S::Unknown), Err(RequestError::Follower));
        assert!(rest[0].may_sleep(), "the follower sleeps");
        leader.registrar().advance(S::TimeValid).unwrap();
        leader.turn(&mut lead_app).unwrap();
        assert_eq!(told.all(), [(0, What::Ready)]);
        assert_eq!([first.wake().count(), rest[0].wake().count()], [0, 1]);
        follower.turn(&mut app).unwrap();
        assert_eq!(follower.registrar().state(), S::TimeValid);
        assert_eq!(told.all(), [(0, What::Ready), (1, What::Ready)]);
        leader.shutdown(&mut lead_app);
        follower.run(&mut app).unwrap();
        assert_eq!(follower.registrar().state(), S::ContextDestroying);
        follower.shutdown(&mut app);
        assert!(nodes[1].as_ref().post(None, told.request(2)).is_err());
    }
}

#[cfg(unix)]
mod real {
    use super::*;
    use crate::attach::Node;
    use crate::testing::{Real, signal};
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::thread;

    #[test]
    fn other_threads_wake_a_loop_that_sleeps_until_one_of_them_stops_it() {
        const POSTS: u32 = 200;
        let queue: Queue<Real> = queue();
        let (mut app, mut event_loop) = (App::<Real>::idle(), new_loop(Real::new(), &queue));
        thread::scope(|scope| {
            let queue = &queue;
            let producers: Vec<_> = (0..3_u32)
                .map(|producer| {
                    scope.spawn(move || {
                        let node = pin!(Node::new(queue));
                        for number in 0..POSTS {
                            let request = move |outcome: Outcome<'_, App<Real>, Real>| {
                                let Outcome::Ready(app, _) = outcome else { return };
                                app.log.push(producer << 16 | number);
                            };
                            assert!(node.as_ref().post(None, request).is_ok());
                            // Mostly the loop sleeps again before the next one.
                            while node.is_linked() {
                                thread::yield_now();
                            }
                        }
                    })
                })
                .collect();
            scope.spawn(move || {
                producers.into_iter().for_each(|producer| producer.join().unwrap());
                let node = pin!(Node::new(queue));
                let stop = |outcome: Outcome<'_, App<Real>, Real>| {
                    if let Outcome::Ready(_, mut registrar) = outcome {
                        registrar.stop();
                    }
                };
                assert!(node.as_ref().post(None, stop).is_ok());
                while node.is_linked() {
                    thread::yield_now();
                }
            });
            // Without any timer: a wake that is lost would be a wait for ever.
            event_loop.run(&mut app).unwrap();
        });
        for producer in 0..3 {
            let numbers = app.log.iter().filter(|entry| *entry >> 16 == producer);
            let numbers: Vec<_> = numbers.map(|entry| entry & 0xFFFF).collect();
            assert_eq!(numbers, (0..POSTS).collect::<Vec<_>>(), "producer {producer}");
        }
    }

    #[test]
    fn u1_timers_are_not_early_and_nothing_spins() {
        let queue: Queue<Real> = queue();
        let mut app = App::new(|app: &mut App<Real>, registrar, ready| {
            let Ready::Timer { key, .. } = ready else { return };
            let due = Instant::from_micros(app.log.iter().map(|us| u64::from(*us)).sum());
            assert!(registrar.now() >= due, "early");
            if app.ready.len() == 50 {
                return registrar.stop();
            }
            let next = registrar.now() + Duration::from_micros(250);
            app.log = vec![u32::try_from(next.as_micros()).unwrap()];
            registrar.set_timer(key, next);
        });
        let mut event_loop = new_loop(Real::new(), &queue);
        let key = event_loop.registrar().add_timer(Owner::Application).unwrap();
        event_loop.registrar().set_timer(key, Instant::ZERO);
        let mut turns = 0;
        while app.ready.len() < 50 {
            event_loop.turn(&mut app).unwrap();
            turns += 1;
        }
        // On a poll(2) that rounds to milliseconds each timer takes one turn; ppoll(2) may return a
        // microsecond early after a clock adjustment.
        assert!(turns <= 60, "50 timers took {turns} turns");
    }

    #[test]
    fn descriptors_come_and_go_from_callbacks() {
        let queue: Queue<Real> = queue();
        let mut app = App::new(|app: &mut App<Real>, registrar, ready| {
            let Ready::Source { key, readiness, .. } = ready else { return };
            assert!(readiness.readable);
            let handle = registrar.remove_source(key).expect("it is watched");
            app.log.push(0);
            if app.log.len() == 3 {
                return registrar.stop();
            }
            // The same descriptor under a new name: still readable, so reported next turn.
            let again = registrar.add_source(Owner::System, handle, Interest::READ).unwrap();
            assert_ne!(again, key);
        });
        let mut event_loop = new_loop(Real::new(), &queue);
        let (a, mut b) = UnixStream::pair().unwrap();
        b.write_all(b"x").unwrap();
        let mut registrar = event_loop.registrar();
        registrar.add_source(Owner::Application, a.as_raw_fd(), Interest::READ).unwrap();
        event_loop.run(&mut app).unwrap();
        let owners: Vec<_> = app.ready.iter().map(Ready::owner).collect();
        assert_eq!(owners, [Owner::Application, Owner::System, Owner::System]);
    }

    #[test]
    fn a_descriptor_closed_behind_the_loops_back_is_reported_once_and_not_spun_on() {
        let queue: Queue<Real> = queue();
        let mut app = App::<Real>::idle();
        let mut event_loop = new_loop(Real::new(), &queue);
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

    #[test]
    fn a_peer_that_hangs_up_reaches_the_owner() {
        let queue: Queue<Real> = queue();
        let mut app = App::new(|_: &mut App<Real>, registrar, _| registrar.stop());
        let mut event_loop = new_loop(Real::new(), &queue);
        let (mut a, b) = UnixStream::pair().unwrap();
        let mut registrar = event_loop.registrar();
        registrar.add_source(Owner::Application, a.as_raw_fd(), Interest::NONE).unwrap();
        drop(b);
        event_loop.run(&mut app).unwrap();
        let Ready::Source { readiness, .. } = app.ready[0] else { panic!("a descriptor") };
        assert!(readiness.hangup);
        assert_eq!(a.read(&mut [0]).unwrap(), 0);
    }

    static SIGNALLED: Queue<Real> = queue();

    extern "C" fn raise(_: core::ffi::c_int) {
        SIGNALLED.raise(0b1000);
    }

    #[cfg(target_has_atomic = "32")]
    #[test]
    fn a_signal_handler_raises_a_flag_and_ends_the_wait() {
        let mut app = App::<Real>::idle();
        let mut event_loop = new_loop(Real::new(), &SIGNALLED);
        signal::handle(signal::HANGUP, raise);
        // To a thread that is not the loop's: it is the wake that ends the wait, not EINTR.
        let (sender, done) = std::sync::mpsc::channel::<()>();
        let other = thread::spawn(move || {
            signal::send(signal::this_thread(), signal::HANGUP);
            let _ = done.recv();
        });
        event_loop.run(&mut app).unwrap();
        drop(sender);
        other.join().unwrap();
        assert_eq!(app.flags, [0b1000]);
    }
}
