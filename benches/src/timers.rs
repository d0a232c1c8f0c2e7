//! Timers through a loop, with 10, 1,000 and 100,000 others outstanding.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bringup_core::attach::AttachQueue;
use bringup_core::event_loop::{Application, EventLoop, Ready, Registrar, SourceSlot};
use bringup_core::time::Duration as Span;
use bringup_core::timer::{Owner, TimerKey, TimerSlot};
use bringup_platform::linux::{EventWake, LinuxOps};
use bringup_platform::lock::StdLock;

use crate::measure::{Contender, Cost, Cpu, Ratio, measure, table, times};
use crate::peers::{Platform, platform};

/// Timers that fire, in one round.
const DUE: u64 = 1_000;
/// How far ahead the first of them is, microseconds; the others follow one microsecond apart.
const AHEAD_US: u64 = 2_000;
/// Where the others stand, microseconds from now.
const FAR_US: u64 = 3_600_000_000;

/// The same numbers for everybody: SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (z ^ z >> 27) % bound
    }
}

/// A loop with timers.
pub(crate) trait Timers {
    /// With that many outstanding, all of them far.
    fn new(outstanding: usize) -> Self;
    /// Arms one `us` from now and cancels it.
    fn arm_and_cancel(&mut self, us: u64);
    /// Arms [`DUE`] timers and runs the loop until all have fired.
    fn arm_and_fire(&mut self);
}

/// Counts what fires.
#[derive(Default)]
struct App(u64);

impl Application<Platform> for App {
    fn dispatch(&mut self, _: &mut Registrar<'_, Platform>, _: Ready) {
        self.0 += 1;
    }
}

pub(crate) struct Bringup {
    events: EventLoop<'static, Platform, App, LinuxOps>,
    due: Vec<TimerKey>,
}

impl Timers for Bringup {
    fn new(outstanding: usize) -> Self {
        let queue = Box::leak(Box::new(AttachQueue::new(StdLock::new(), EventWake::new())));
        let due = usize::try_from(DUE).expect("a small number");
        let timers = vec![TimerSlot::NEW; outstanding + due].leak();
        let sources = vec![SourceSlot::NEW; 4].leak();
        let mut events =
            EventLoop::from_slices(platform(), timers, sources, queue).expect("a loop");
        let mut registrar = events.registrar();
        let mut dice = Dice(1);
        for _ in 0..outstanding {
            let key = registrar.add_timer(Owner::Application).expect("a slot");
            let at = registrar.now() + Span::from_micros(FAR_US + dice.below(FAR_US));
            registrar.set_timer(key, at);
        }
        let due = (0..due).map(|_| registrar.add_timer(Owner::Application).expect("a slot"));
        let due = due.collect();
        Self { events, due }
    }

    fn arm_and_cancel(&mut self, us: u64) {
        let mut registrar = self.events.registrar();
        let at = registrar.now() + Span::from_micros(us);
        registrar.set_timer(self.due[0], at);
        registrar.clear_timer(self.due[0]);
    }

    fn arm_and_fire(&mut self) {
        let mut app = App::default();
        self.arm_all();
        while app.0 < DUE {
            self.events.turn(&mut app).expect("a turn");
        }
    }
}

impl Bringup {
    fn arm_all(&mut self) {
        let mut registrar = self.events.registrar();
        let start = {
            use bringup_core::platform::Platform as _;
            registrar.platform().now() + Span::from_micros(AHEAD_US)
        };
        for (key, us) in self.due.iter().zip(0..) {
            registrar.set_timer(*key, start + Span::from_micros(us));
        }
    }

    /// One turn, without the waits between.
    fn fire_at_once(&mut self) {
        let mut app = App::default();
        self.arm_all();
        std::thread::sleep(Duration::from_micros(2 * AHEAD_US));
        while app.0 < DUE {
            self.events.turn(&mut app).expect("a turn");
        }
    }
}

/// An ordered map by deadline and number, and a sleep until the first: a loop of ten lines.
pub(crate) struct Map {
    timers: BTreeMap<(Instant, u64), ()>,
    next: u64,
    base: Instant,
}

impl Map {
    fn arm(&mut self, at: Instant) -> (Instant, u64) {
        self.next += 1;
        self.timers.insert((at, self.next), ());
        (at, self.next)
    }
}

impl Timers for Map {
    fn new(outstanding: usize) -> Self {
        let mut map = Self { timers: BTreeMap::new(), next: 0, base: Instant::now() };
        let mut dice = Dice(1);
        for _ in 0..outstanding {
            map.arm(map.base + Duration::from_micros(FAR_US + dice.below(FAR_US)));
        }
        map
    }

    fn arm_and_cancel(&mut self, us: u64) {
        let key = self.arm(self.base + Duration::from_micros(us));
        self.timers.remove(&key);
    }

    fn arm_and_fire(&mut self) {
        let start = Instant::now() + Duration::from_micros(AHEAD_US);
        (0..DUE).for_each(|us| _ = self.arm(start + Duration::from_micros(us)));
        let mut fired = 0;
        while fired < DUE {
            let now = Instant::now();
            match self.timers.first_key_value() {
                Some((&(at, _), ())) if at > now => std::thread::sleep(at - now),
                _ => fired += u64::from(self.timers.pop_first().is_some()),
            }
        }
    }
}

/// std's heap; what is cancelled stays in it as a number to pass over.
pub(crate) struct Heap {
    timers: BinaryHeap<Reverse<(Instant, u64)>>,
    cancelled: HashSet<u64>,
    next: u64,
    base: Instant,
}

impl Heap {
    fn arm(&mut self, at: Instant) -> u64 {
        self.next += 1;
        self.timers.push(Reverse((at, self.next)));
        self.next
    }
}

impl Timers for Heap {
    fn new(outstanding: usize) -> Self {
        let (timers, cancelled) = (BinaryHeap::new(), HashSet::new());
        let mut heap = Self { timers, cancelled, next: 0, base: Instant::now() };
        let mut dice = Dice(1);
        for _ in 0..outstanding {
            heap.arm(heap.base + Duration::from_micros(FAR_US + dice.below(FAR_US)));
        }
        heap
    }

    fn arm_and_cancel(&mut self, us: u64) {
        let key = self.arm(self.base + Duration::from_micros(us));
        self.cancelled.insert(key);
        // Garbage is bounded, or the comparison would be unfair: at most as much again.
        if self.cancelled.len() > 64 && self.cancelled.len() * 2 > self.timers.len() {
            let cancelled = std::mem::take(&mut self.cancelled);
            self.timers.retain(|Reverse((_, key))| !cancelled.contains(key));
        }
    }

    fn arm_and_fire(&mut self) {
        let start = Instant::now() + Duration::from_micros(AHEAD_US);
        (0..DUE).for_each(|us| _ = self.arm(start + Duration::from_micros(us)));
        let mut fired = 0;
        while fired < DUE {
            let now = Instant::now();
            match self.timers.peek() {
                Some(&Reverse((at, _))) if at > now => std::thread::sleep(at - now),
                _ => {
                    let Some(Reverse((_, key))) = self.timers.pop() else { return };
                    fired += u64::from(!self.cancelled.remove(&key));
                }
            }
        }
    }
}

pub(crate) struct Calloop(calloop::EventLoop<'static, u64>);

impl Calloop {
    fn arm(&self, us: u64) -> calloop::RegistrationToken {
        let timer = calloop::timer::Timer::from_duration(Duration::from_micros(us));
        let fire = |_, (): &mut (), fired: &mut u64| {
            *fired += 1;
            calloop::timer::TimeoutAction::Drop
        };
        self.0.handle().insert_source(timer, fire).map_err(|_| ()).expect("a source")
    }
}

impl Timers for Calloop {
    fn new(outstanding: usize) -> Self {
        let calloop = Self(calloop::EventLoop::try_new().expect("a loop"));
        let mut dice = Dice(1);
        (0..outstanding).for_each(|_| _ = calloop.arm(FAR_US + dice.below(FAR_US)));
        calloop
    }

    fn arm_and_cancel(&mut self, us: u64) {
        let token = self.arm(us);
        self.0.handle().remove(token);
    }

    fn arm_and_fire(&mut self) {
        (0..DUE).for_each(|us| _ = self.arm(AHEAD_US + us));
        let mut fired = 0;
        while fired < DUE {
            self.0.dispatch(None, &mut fired).expect("a dispatch");
        }
    }
}

/// tokio's wheel; its timers are as coarse as a millisecond.
pub(crate) struct Tokio {
    // Dropped before the runtime that they are registered with.
    _outstanding: Vec<Pin<Box<tokio::time::Sleep>>>,
    runtime: tokio::runtime::Runtime,
}

fn arm(us: u64) -> Pin<Box<tokio::time::Sleep>> {
    let mut sleep = Box::pin(tokio::time::sleep(Duration::from_micros(us)));
    // A timer is registered when it is polled first.
    let _ = sleep.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    sleep
}

impl Timers for Tokio {
    fn new(outstanding: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let mut dice = Dice(1);
        let _outstanding = {
            let _inside = runtime.enter();
            (0..outstanding).map(|_| arm(FAR_US + dice.below(FAR_US))).collect()
        };
        Self { _outstanding, runtime }
    }

    fn arm_and_cancel(&mut self, us: u64) {
        let _inside = self.runtime.enter();
        drop(arm(us));
    }

    fn arm_and_fire(&mut self) {
        let local = tokio::task::LocalSet::new();
        let fired = Rc::new(Cell::new(0));
        local.block_on(&self.runtime, async {
            let all = Rc::new(tokio::sync::Notify::new());
            for us in 0..DUE {
                let (fired, all) = (Rc::clone(&fired), Rc::clone(&all));
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(Duration::from_micros(AHEAD_US + us)).await;
                    fired.set(fired.get() + 1);
                    if fired.get() == DUE {
                        all.notify_one();
                    }
                });
            }
            all.notified().await;
        });
    }
}

/// libuv's heap; its timers are as coarse as a millisecond.
#[cfg(libuv)]
pub(crate) struct Uv(crate::uv::UvTimers);

#[cfg(libuv)]
impl Timers for Uv {
    fn new(outstanding: usize) -> Self {
        let mut dice = Dice(1);
        let far: Vec<_> = (0..outstanding).map(|_| (FAR_US + dice.below(FAR_US)) / 1_000).collect();
        Self(crate::uv::UvTimers::new(DUE, &far))
    }

    fn arm_and_cancel(&mut self, us: u64) {
        self.0.arm_and_cancel(us / 1_000);
    }

    fn arm_and_fire(&mut self) {
        self.0.arm_and_fire();
    }
}

pub(crate) fn cancels<T: Timers>(timers: &mut T, operations: usize) -> Cost {
    let (mut dice, operations) = (Dice(2), times(operations));
    measure(Cpu::Thread, operations, || {
        (0..operations).for_each(|_| timers.arm_and_cancel(FAR_US + dice.below(FAR_US)));
    })
}

fn fires<T: Timers>(timers: &mut T) -> Cost {
    const ROUNDS: usize = times(10);
    let due = usize::try_from(DUE).expect("a small number");
    measure(Cpu::Thread, ROUNDS * due, || (0..ROUNDS).for_each(|_| timers.arm_and_fire()))
}

fn fires_at_once(bringup: &mut Bringup) -> Cost {
    const ROUNDS: usize = times(10);
    let due = usize::try_from(DUE).expect("a small number");
    measure(Cpu::Thread, ROUNDS * due, || (0..ROUNDS).for_each(|_| bringup.fire_at_once()))
}

pub(crate) fn run(rounds: usize) {
    println!("\n## Timers");
    println!(
        "\nThe map and the heap are data structures in a loop of ten lines, without descriptors; the \
         other rows are loops."
    );
    // A smoke test has no minutes for a compiler that does not optimise.
    let sizes = if rounds < 7 { &[10, 1_000][..] } else { &[10, 1_000, 100_000] };
    for &outstanding in sizes {
        // calloop looks at every timer when it cancels one.
        let slow = if outstanding > 10_000 { 100 } else { 10_000 };
        let bringup = RefCell::new(Bringup::new(outstanding));
        let mut map = Map::new(outstanding);
        let mut heap = Heap::new(outstanding);
        let mut calloop = Calloop::new(outstanding);
        let mut tokio = Tokio::new(outstanding);
        #[cfg(libuv)]
        let uv = RefCell::new(Uv::new(outstanding));
        table(
            &format!("Arm and cancel one, {outstanding} outstanding, per pair"),
            Ratio::Cpu,
            rounds,
            vec![
                Contender::new("**bringup**", || cancels(&mut *bringup.borrow_mut(), 100_000)),
                #[cfg(libuv)]
                Contender::new("libuv, 1 ms coarse", || cancels(&mut *uv.borrow_mut(), 100_000)),
                Contender::new("BTreeMap", || cancels(&mut map, 100_000)),
                Contender::new("BinaryHeap, lazy cancel", || cancels(&mut heap, 100_000)),
                Contender::new("calloop", || cancels(&mut calloop, slow)),
                Contender::new("tokio", || cancels(&mut tokio, 100_000)),
            ],
        );
        table(
            &format!("Arm 1,000 due in 2 ms, let them fire, {outstanding} others, per timer"),
            Ratio::Cpu,
            rounds,
            vec![
                Contender::new("**bringup**", || fires(&mut *bringup.borrow_mut())),
                Contender::new("**bringup**, all due at once", || {
                    fires_at_once(&mut bringup.borrow_mut())
                }),
                #[cfg(libuv)]
                Contender::new("libuv, 1 ms coarse", || fires(&mut *uv.borrow_mut())),
                Contender::new("BTreeMap", || fires(&mut map)),
                Contender::new("BinaryHeap, lazy cancel", || fires(&mut heap)),
                Contender::new("calloop", || fires(&mut calloop)),
                Contender::new("tokio, a task each, 1 ms coarse", || fires(&mut tokio)),
            ],
        );
    }
}
