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

fn note(app: &mut App<Sim>, _: &mut Registrar<'_, Sim>, announcement: &Announcement) -> Verdict {
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
    let steps = S::ALL.iter().map(|&state| state as u32).filter(|state| (2..=15).contains(state));
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
