//! Attach, timers and turns, on the Linux platform over poll(2).

use std::hint::black_box;

use bringup_core::attach::{AttachQueue, Node, Outcome};
use bringup_core::event_loop::{Application, EventLoop, LoopStorage, Ready, Registrar};
use bringup_core::poll::{PollStorage, UnixPoll};
use bringup_core::time::{Duration, Instant};
use bringup_core::timer::Owner;
use bringup_platform::linux::{EventWake, Linux, LinuxOps};
use bringup_platform::lock::StdLock;

type Platform = Linux<UnixPoll<'static>>;
type Queue = AttachQueue<App, Platform, LinuxOps>;
type Events = EventLoop<'static, Platform, App, LinuxOps>;

/// Counts what reaches it.
#[derive(Default)]
struct App(usize);

impl Application<Platform> for App {
    fn dispatch(&mut self, _: &mut Registrar<'_, Platform>, _: Ready) {
        self.0 += 1;
    }
}

/// A loop whose memory lives for the rest of the program.
fn events() -> (&'static Queue, Events) {
    let polls: &'static mut PollStorage<8> = Box::leak(Box::new(PollStorage::new()));
    let queue = Box::leak(Box::new(Queue::new(StdLock::new(), EventWake::new())));
    let memory = Box::leak(Box::new(LoopStorage::<i32, 1_024, 8>::new()));
    let platform = Linux::new(UnixPoll::new(polls)).expect("a platform");
    (queue, EventLoop::new(platform, memory, queue).expect("a loop"))
}

fn count(outcome: Outcome<'_, App, Platform>) {
    if let Outcome::Ready(app, _) = outcome {
        app.0 += 1;
    }
}

fn attach_in_rows_of(row: usize, times: usize) {
    let (queue, mut events) = events();
    let nodes: Vec<Node<'static, App, Platform, LinuxOps>> =
        (0..row).map(|_| Node::new(queue)).collect();
    let nodes: &'static [_] = nodes.leak();
    let mut app = App::default();
    for _ in 0..times / row {
        for node in nodes {
            assert!(node.post_static(None, count).is_ok(), "it is free");
        }
        events.turn(&mut app).expect("a turn");
    }
    black_box(app.0);
}

pub(crate) fn attach(times: usize) {
    attach_in_rows_of(1, times);
}

pub(crate) fn attach_many(times: usize) {
    attach_in_rows_of(64, times);
}

/// A loop with 1,000 timers that stand far ahead, and one that is free.
fn with_timers() -> (Events, bringup_core::timer::TimerKey) {
    let (_, mut events) = events();
    let mut registrar = events.registrar();
    let now = registrar.now();
    for number in 0..1_000 {
        let key = registrar.add_timer(Owner::Application).expect("a slot");
        registrar.set_timer(key, now + Duration::from_secs(3_600 + number * 7 % 1_000));
    }
    let free = registrar.add_timer(Owner::Application).expect("a slot");
    (events, free)
}

pub(crate) fn arm_and_cancel(times: usize) {
    let (mut events, timer) = with_timers();
    let mut registrar = events.registrar();
    let now = registrar.now();
    for number in 0..times {
        let ahead = Duration::from_micros(black_box(number as u64 % 512));
        registrar.set_timer(timer, now + ahead);
        registrar.clear_timer(timer);
    }
}

pub(crate) fn arm_and_fire(times: usize) {
    let (mut events, timer) = with_timers();
    let mut app = App::default();
    for _ in 0..times {
        events.registrar().set_timer(timer, Instant::ZERO);
        events.turn(&mut app).expect("a turn");
    }
    assert_eq!(app.0, times);
}

/// A flag of the queue's own keeps it from waiting.
pub(crate) fn idle_turn(times: usize) {
    let (queue, mut events) = events();
    let mut app = App::default();
    for _ in 0..times {
        queue.raise(1);
        events.turn(&mut app).expect("a turn");
    }
}
