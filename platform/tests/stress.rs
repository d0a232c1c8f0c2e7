//! Attach as a program has it: this crate's locks and eventfd, Linux, poll(2); threads that post, cancel, raise
//! flags and go while the loop sleeps, runs, changes states and ends. `tests/loom/sanitize` runs it under
//! ThreadSanitizer.
#![cfg(target_os = "linux")]

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bringup_core::attach::{AttachQueue, Node, Outcome, Refused};
use bringup_core::event_loop::{Application, EventLoop, LoopStorage, Ready, Registrar};
use bringup_core::platform::RawLock;
use bringup_core::poll::{PollStorage, UnixPoll};
use bringup_core::state::SystemState as S;
use bringup_platform::linux::{EventWake, Linux, LinuxOps};
use bringup_platform::lock::{SpinLock, StdLock};

type Host = Linux<UnixPoll<'static>>;

#[derive(Default)]
struct App {
    flags: u32,
}

impl Application<Host> for App {
    fn dispatch(&mut self, _: &mut Registrar<'_, Host>, _: Ready) {}

    fn raised(&mut self, _: &mut Registrar<'_, Host>, bits: u32) {
        self.flags |= bits;
    }
}

/// How often each outcome was told: ready, cancelled, shutdown.
type Told = Arc<[AtomicUsize; 3]>;

/// A request that counts, and now and then moves the system's state.
fn request(number: usize, told: &Told) -> impl FnOnce(Outcome<'_, App, Host>) + Send + 'static {
    let told = told.clone();
    move |outcome| {
        let which = match outcome {
            Outcome::Ready(_, mut registrar) => {
                let _ = match number % 128 {
                    1 => registrar.advance(S::Operational),
                    65 => registrar.jump(S::Initialized),
                    _ => Ok(()),
                };
                0
            }
            Outcome::Cancelled => 1,
            Outcome::Shutdown => 2,
        };
        told[which].fetch_add(1, Ordering::Relaxed);
    }
}

fn nothing_is_lost_or_told_twice<L: RawLock + Send + Sync>(lock: L) {
    const PRODUCERS: usize = 3;
    const ENOUGH: usize = 3_000;
    let queue = AttachQueue::<App, Host, LinuxOps<L>>::new(lock, EventWake::new());
    let (told, accepted) = (Told::default(), AtomicUsize::new(0));
    let polls: &'static mut PollStorage<4> = Box::leak(Box::new(PollStorage::new()));
    let platform = Linux::new(UnixPoll::new(polls)).expect("a platform");
    let mut memory = LoopStorage::<i32, 4, 4>::new();
    let mut events = EventLoop::new(platform, &mut memory, &queue).expect("a loop");
    let mut app = App::default();
    thread::scope(|scope| {
        let (queue, told, accepted) = (&queue, &told, &accepted);
        for producer in 0..PRODUCERS {
            scope.spawn(move || {
                let nodes = [(); 8].map(|()| Box::pin(Node::new(queue)));
                // Until the loop has ended; some nodes are still linked when they go.
                for number in 0.. {
                    let node = &nodes[number % nodes.len()];
                    let gate = [None, None, Some(S::Dhcp), Some(S::Operational)][number / 8 % 4];
                    match node.as_ref().post(gate, request(number, told)) {
                        Ok(()) => _ = accepted.fetch_add(1, Ordering::Relaxed),
                        Err((Refused::Closed, _)) => break,
                        Err((Refused::Busy, _)) if number % 3 == 0 => _ = node.cancel(),
                        Err((Refused::Busy, _)) => thread::yield_now(),
                    }
                    if number % 64 == 0 {
                        queue.raise(1 << producer);
                    }
                }
            });
        }
        scope.spawn(move || {
            while accepted.load(Ordering::Relaxed) < ENOUGH {
                thread::yield_now();
            }
            let node = pin!(Node::new(queue));
            let stop = |outcome: Outcome<'_, App, Host>| {
                if let Outcome::Ready(_, mut registrar) = outcome {
                    registrar.stop();
                }
            };
            assert!(node.as_ref().post(None, stop).is_ok());
            while node.is_linked() {
                thread::yield_now();
            }
        });
        // Without a timer: a wake that is lost is a test that never ends.
        events.run(&mut app).expect("it goes on");
        events.shutdown(&mut app);
    });
    let told: usize = told.iter().map(|count| count.load(Ordering::Relaxed)).sum();
    assert_eq!(told, accepted.into_inner());
    assert_ne!(app.flags, 0);
}

#[test]
fn nothing_is_lost_or_told_twice_under_a_mutex() {
    nothing_is_lost_or_told_twice(StdLock::new());
}

#[test]
fn nothing_is_lost_or_told_twice_under_a_spin_lock() {
    nothing_is_lost_or_told_twice(SpinLock::new());
}
