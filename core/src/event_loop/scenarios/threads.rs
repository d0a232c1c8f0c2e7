//! By the real clock: other threads, signals, and what the kernel reports.

use super::*;
use crate::attach::Node;
use crate::testing::signal;
use std::sync::OnceLock;
use std::thread;

pub fn other_threads_wake_a_loop_that_sleeps_until_one_of_them_stops_it<Po: Fresh>() {
    const POSTS: u32 = 200;
    let queue: Queue<Po> = queue();
    let (mut app, mut event_loop) = (App::idle(), new_loop(Ground::real(), &queue));
    thread::scope(|scope| {
        let queue = &queue;
        let producers: Vec<_> = (0..3_u32)
            .map(|producer| {
                scope.spawn(move || {
                    let node = pin!(Node::new(queue));
                    for number in 0..POSTS {
                        let request = move |outcome: Said<'_, Po>| {
                            let Said::Ready(app, _) = outcome else { return };
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
            let stop = |outcome: Said<'_, Po>| {
                if let Said::Ready(_, mut registrar) = outcome {
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

pub fn u1_short_timers_are_neither_early_nor_rounded_up_and_nothing_spins<Po: Fresh>() {
    const TIMERS: usize = 200;
    let queue: Queue<Po> = queue();
    // By how much each was late, in microseconds.
    let mut app = App::<Po>::new(|app, registrar, ready| {
        let Ready::Timer { key, .. } = ready else { return };
        let due = app.due.expect("it was armed");
        assert!(registrar.now() >= due, "early");
        let late = registrar.now().since(due).as_micros();
        app.log.push(u32::try_from(late).unwrap_or(u32::MAX));
        let next = registrar.now() + Duration::from_micros(250);
        app.due = Some(next);
        registrar.set_timer(key, next);
    });
    let mut event_loop = new_loop(Ground::real(), &queue);
    let key = event_loop.registrar().add_timer(Owner::Application).unwrap();
    app.due = Some(event_loop.registrar().now());
    event_loop.registrar().set_timer(key, Instant::ZERO);
    let mut turns = 0;
    while app.log.len() < TIMERS {
        event_loop.turn(&mut app).unwrap();
        turns += 1;
    }
    // A wait may end a microsecond early, and is then taken up again.
    assert!(turns <= TIMERS + TIMERS / 5, "{TIMERS} timers took {turns} turns");
    // On a machine with other things to do most may be late; with milliseconds rounded up the best
    // would be by 750.
    if cfg!(any(target_os = "linux", target_os = "android")) {
        let best = app.log.iter().min();
        assert!(best < Some(&100), "the best is late by {best:?} µs");
    }
}

pub fn descriptors_come_and_go_from_callbacks<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let mut app = App::new(|app: &mut App<Po>, registrar, ready| {
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
    let mut event_loop = new_loop(Ground::real(), &queue);
    let (a, mut b) = UnixStream::pair().unwrap();
    b.write_all(b"x").unwrap();
    let mut registrar = event_loop.registrar();
    registrar.add_source(Owner::Application, a.as_raw_fd(), Interest::READ).unwrap();
    event_loop.run(&mut app).unwrap();
    let owners: Vec<_> = app.ready.iter().map(Ready::owner).collect();
    assert_eq!(owners, [Owner::Application, Owner::System, Owner::System]);
}

pub fn a_peer_that_hangs_up_reaches_the_owner<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let mut app = App::new(|_: &mut App<Po>, registrar, _| registrar.stop());
    let mut event_loop = new_loop(Ground::real(), &queue);
    let (mut a, b) = UnixStream::pair().unwrap();
    let mut registrar = event_loop.registrar();
    registrar.add_source(Owner::Application, a.as_raw_fd(), Interest::NONE).unwrap();
    drop(b);
    event_loop.run(&mut app).unwrap();
    let Ready::Source { readiness, .. } = app.ready[0] else { panic!("a descriptor") };
    assert!(readiness.hangup);
    assert_eq!(a.read(&mut [0]).unwrap(), 0);
}

/// What the handler below does.
static ON_SIGNAL: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

extern "C" fn on_signal(_: core::ffi::c_int) {
    if let Some(act) = ON_SIGNAL.get() {
        act();
    }
}

pub fn a_signal_handler_raises_a_flag_and_ends_the_wait<Po: Fresh>() {
    let queue: &'static Queue<Po> = Box::leak(Box::new(queue()));
    let (mut app, mut event_loop) = (App::idle(), new_loop(Ground::real(), queue));
    assert!(ON_SIGNAL.set(Box::new(|| queue.raise(0b1000))).is_ok(), "one poller a process");
    signal::handle(signal::HANGUP, on_signal);
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
