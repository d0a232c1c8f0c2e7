//! States: who is asked and told, who holds, and what waits for it.

use super::*;
use crate::attach::Node;

/// Holds TIME_VALID, keeps the key in the application, and writes every call down.
fn gate<Po: Fresh>(
    app: &mut App<Po>,
    registrar: &mut Registrar<'_, Po>,
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

fn note<Po: Fresh>(
    app: &mut App<Po>,
    _: &mut Registrar<'_, Po>,
    announcement: &Announcement,
) -> Verdict {
    if announcement.phase == Phase::Entered {
        app.log.push(200 + announcement.to as u32);
    }
    Verdict::Go
}

pub fn s3_another_thread_releases_a_hold_and_the_walk_goes_on_by_itself<Po: Fresh>() {
    let (queue, told): (Queue<Po>, _) = (queue(), Told::default());
    let (mut app, mut event_loop) = (App::idle(), new_loop(Ground::default(), &queue));
    app.add_notifier(&mut event_loop.registrar(), gate);
    app.add_notifier(&mut event_loop.registrar(), note);
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
        let release = |outcome: Said<'_, Po>| {
            let Said::Ready(app, mut registrar) = outcome else { panic!("it is ready") };
            assert!(registrar.release(app.held.take().expect("the key")));
        };
        let queue = &queue;
        // The node lives on that thread's stack until the loop has run it.
        scope.spawn(move || {
            let node = pin!(Node::new(queue));
            assert!(node.as_ref().post(None, release).is_ok());
            while node.is_linked() {
                std::thread::yield_now();
            }
        });
        // Without a timer: it is the post that ends the wait.
        while event_loop.registrar().state() != S::Operational {
            event_loop.turn(&mut app).unwrap();
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

pub fn parked_requests_run_after_the_last_entered_notice<Po: Fresh>() {
    let (queue, told): (Queue<Po>, _) = (queue(), Told::default());
    let (mut app, mut event_loop) = (App::idle(), new_loop(Ground::default(), &queue));
    for _ in 0..3 {
        app.add_notifier(&mut event_loop.registrar(), note);
    }
    let node = pin!(Node::new(&queue));
    assert!(node.as_ref().post(S::PrePrivDrop, told.request(1_000)).is_ok());
    event_loop.registrar().advance(S::Initialized).unwrap();
    event_loop.turn(&mut app).unwrap();
    assert_eq!(app.log, [202, 202, 202, 203, 203, 203, 1_000]);
}

pub fn s5_a_helper_that_is_not_used_blocks_no_state<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let (mut app, mut event_loop) = (App::idle(), new_loop(Ground::default(), &queue));
    event_loop.registrar().advance(S::Operational).unwrap();
    event_loop.walk(&mut app);
    assert_eq!(event_loop.registrar().state(), S::Operational);
}

pub fn a_long_walk_goes_on_next_turn_without_a_wait<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let (mut app, mut event_loop) = (App::idle(), new_loop(Ground::default(), &queue));
    for _ in 0..MAX_NOTIFIERS {
        app.add_notifier(&mut event_loop.registrar(), note);
    }
    let one_more = event_loop.registrar().add_notifier(Owner::Application);
    assert_eq!(one_more, Err(TooManyNotifiers));
    event_loop.registrar().advance(S::Operational).unwrap();
    // For the last turn, which has nothing else to wait for.
    timer(&mut event_loop, &mut app, ms(1));
    let mut turns = 0;
    while event_loop.registrar().state() != S::Operational {
        event_loop.turn(&mut app).unwrap();
        turns += 1;
    }
    assert!(turns > 1, "others have their turn between");
    let waits = event_loop.registrar().platform().waits.clone();
    assert!(waits[..turns - 1].iter().all(|wait| *wait == Some(Instant::ZERO)), "{waits:?}");
}

pub fn s6_shutdown_announces_destroying_alone_and_tells_every_request<Po: Fresh>() {
    let (queue, told): (Queue<Po>, _) = (queue(), Told::default());
    let (mut app, mut event_loop) = (App::idle(), new_loop(Ground::default(), &queue));
    app.add_notifier(&mut event_loop.registrar(), gate);
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
    assert_eq!(event_loop.registrar().platform().waits, [], "there is nothing to wait for");
}

/// Puts another in its place at every call.
fn never_ends<Po: Fresh>(
    app: &mut App<Po>,
    registrar: &mut Registrar<'_, Po>,
    announcement: &Announcement,
) -> Verdict {
    assert!(registrar.remove_notifier(announcement.notifier()));
    app.add_notifier(registrar, never_ends);
    Verdict::Go
}

pub fn a_notifier_that_puts_another_in_its_place_for_ever_keeps_no_shutdown_away<Po: Fresh>() {
    let (queue, told): (Queue<Po>, _) = (queue(), Told::default());
    let (mut app, mut event_loop) = (App::idle(), new_loop(Ground::default(), &queue));
    app.add_notifier(&mut event_loop.registrar(), never_ends);
    let nodes: Vec<_> = (0..2).map(|_| Box::pin(Node::new(&queue))).collect();
    for ((node, gate), number) in nodes.iter().zip([S::ContextDestroying, S::Operational]).zip(0..)
    {
        assert!(node.as_ref().post(gate, told.request(number)).is_ok());
    }
    event_loop.shutdown(&mut app);
    assert_eq!(told.all(), [(0, What::Ready), (1, What::Shutdown)]);
    assert_eq!(event_loop.registrar().state(), S::ContextDestroying);
}

pub fn a_request_from_any_thread_may_end_the_context<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let (mut app, mut event_loop) = (App::idle(), new_loop(Ground::default(), &queue));
    app.add_notifier(&mut event_loop.registrar(), note);
    let node = pin!(Node::new(&queue));
    let end = |outcome: Said<'_, Po>| {
        if let Said::Ready(_, mut registrar) = outcome {
            registrar.jump(S::ContextDestroying).unwrap();
        }
    };
    assert!(node.as_ref().post(None, end).is_ok());
    event_loop.run(&mut app).unwrap();
    assert_eq!(app.log, [217]);
}

pub fn a_panic_in_a_notifier_leaves_the_walk_whole<Po: Fresh>() {
    fn panics<Po: Fresh>(_: &mut App<Po>, _: &mut Registrar<'_, Po>, a: &Announcement) -> Verdict {
        assert!(a.to != S::Dhcp || a.phase != Phase::Asked, "on purpose");
        Verdict::Go
    }
    let queue: Queue<Po> = queue();
    let (mut app, mut event_loop) = (App::idle(), new_loop(Ground::default(), &queue));
    app.add_notifier(&mut event_loop.registrar(), panics);
    app.add_notifier(&mut event_loop.registrar(), note);
    event_loop.registrar().advance(S::TimeValid).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| event_loop.turn(&mut app))).is_err());
    timer(&mut event_loop, &mut app, ms(1));
    event_loop.turn(&mut app).unwrap();
    assert_eq!(app.log, (202..=208).collect::<Vec<_>>());
}

/// Adds another notifier in its place when a state is entered.
fn gives_way<Po: Fresh>(
    app: &mut App<Po>,
    registrar: &mut Registrar<'_, Po>,
    announcement: &Announcement,
) -> Verdict {
    if announcement.phase == Phase::Entered {
        app.add_notifier(registrar, note);
        assert!(registrar.remove_notifier(announcement.notifier()));
    }
    Verdict::Go
}

pub fn notifiers_come_and_go_from_every_callback<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let mut app = App::<Po>::new(|app, registrar, _| {
        app.add_notifier(registrar, gate);
        registrar.advance(S::Operational).unwrap();
    });
    let mut event_loop = new_loop(Ground::default(), &queue);
    // From a notifier: whom it adds is called at the end of the same announcement.
    app.add_notifier(&mut event_loop.registrar(), gives_way);
    event_loop.registrar().advance(S::PrePrivDrop).unwrap();
    event_loop.walk(&mut app);
    assert_eq!(app.log, [202]);
    // From a timer, and from a descriptor it would be the same.
    timer(&mut event_loop, &mut app, ms(1));
    event_loop.turn(&mut app).unwrap();
    assert_eq!(app.log[1..4], [3, 203, 103], "in the order of registration");
    let (state, key) = event_loop.registrar().held().expect("by the one that the timer added");
    assert_eq!((state, key.holder), (S::TimeValid, "ntp"));
    // From a request: to remove who holds is to let go.
    let node = pin!(Node::new(&queue));
    let removes = |outcome: Said<'_, Po>| {
        let Said::Ready(app, mut registrar) = outcome else { panic!("it is ready") };
        let holder = app.last_notifier();
        assert!(registrar.remove_notifier(holder));
        assert!(!registrar.remove_notifier(holder), "it is gone");
        assert_eq!(registrar.held(), None);
    };
    assert!(node.as_ref().post(None, removes).is_ok());
    event_loop.turn(&mut app).unwrap();
    assert_eq!(event_loop.registrar().state(), S::Operational);
    assert!(!app.log.contains(&(100 + S::TimeValid as u32)), "it is called no more");
}

/// Holds the first state that there is, and the one before the time is known.
fn slow_start<Po: Fresh>(
    app: &mut App<Po>,
    _: &mut Registrar<'_, Po>,
    announcement: &Announcement,
) -> Verdict {
    app.log.push(announcement.to as u32);
    if announcement.phase == Phase::Entered {
        return Verdict::Go;
    }
    let holder = match announcement.to {
        S::PrePrivDrop => "privileges",
        S::CpdPreTime => "captive portal",
        _ => return Verdict::Go,
    };
    Verdict::Hold(*app.held.insert(announcement.hold(holder)))
}

/// A loop whose first step is held.
fn held_at_the_start<'m, Po: Fresh>(queue: &'m Queue<Po>, app: &mut App<Po>) -> Loop<'m, Po> {
    let mut event_loop = new_loop(Ground::default(), queue);
    let mut registrar = event_loop.registrar();
    app.add_notifier(&mut registrar, slow_start);
    registrar.advance(S::Operational).unwrap();
    // Nothing to wait for, so that a turn ends at once.
    registrar.stop();
    event_loop.turn(app).unwrap();
    event_loop
}

pub fn s4_a_hold_during_the_start_is_kept_and_nothing_goes_back<Po: Fresh>() {
    let (queue, mut app): (Queue<Po>, _) = (queue(), App::idle());
    let mut event_loop = held_at_the_start(&queue, &mut app);
    event_loop.turn(&mut app).unwrap();
    let mut registrar = event_loop.registrar();
    let (state, key) = registrar.held().expect("the start does not pass it by");
    assert_eq!((registrar.state(), state), (S::ContextCreated, S::PrePrivDrop));
    assert!(registrar.release(key));
    event_loop.turn(&mut app).unwrap();
    let seen = core::mem::take(&mut app.log);
    assert!(seen.is_sorted(), "each state once, and none again: {seen:?}");
}

pub fn s7_a_captive_portal_holds_its_state_and_the_time_comes_after_it<Po: Fresh>() {
    let (queue, mut app): (Queue<Po>, _) = (queue(), App::idle());
    let mut event_loop = held_at_the_start(&queue, &mut app);
    for (holder, before) in [("privileges", S::ContextCreated), ("captive portal", S::Dhcp)] {
        let mut registrar = event_loop.registrar();
        let (_, key) = registrar.held().expect("held");
        assert_eq!((key.holder, registrar.state()), (holder, before));
        assert!(registrar.release(key), "whoever found the way out says so by this");
        event_loop.turn(&mut app).unwrap();
    }
    assert_eq!(event_loop.registrar().state(), S::Operational);
}
