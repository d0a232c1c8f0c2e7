//! Attach: what it costs to have something run on the loop's thread, and how soon it does.
//!
//! Every peer carries the same message, one word; its loop hands it to a [`Sink`]. Ours carries a
//! closure of that word, which no peer but tokio's `spawn` does.

use std::sync::Barrier;
use std::time::Duration;

use crate::eventfd::EventFd;
use crate::measure::{Contender, Cost, Cpu, Ratio, measure, now_ns, pin, table, times, unpin};
use crate::peers;

/// Where messages end up.
#[derive(Default)]
pub(crate) struct Sink {
    /// How many have come.
    pub(crate) seen: usize,
    /// How long each took, nanoseconds; of those that carry a time.
    latencies: Vec<u64>,
    /// Told after each that carries a time.
    reply: Option<EventFd>,
}

impl Sink {
    /// Takes a message: 0, or when it was posted.
    pub(crate) fn take(&mut self, stamp: u64) {
        self.seen += 1;
        if stamp != 0 {
            self.latencies.push(now_ns() - stamp);
            if let Some(reply) = &self.reply {
                reply.add();
            }
        }
    }
}

/// The other thread's end of a loop.
pub(crate) trait Post: Send {
    fn post(&mut self, stamp: u64);
}

/// A loop that messages are posted to.
pub(crate) trait Loop {
    type Post: Post;
    fn new() -> Self;
    /// For one producer, which posts at most `posts` messages before `run` returns.
    fn poster(&mut self, posts: usize) -> Self::Post;
    /// Runs until the sink has seen `total`.
    fn run(&mut self, sink: Sink, total: usize) -> Sink;
}

/// `producers` threads that post `each` messages as fast as they can, per message.
pub(crate) fn throughput<L: Loop>(producers: usize, each: usize) -> Cost {
    let mut events = L::new();
    let posters: Vec<_> = (0..producers).map(|_| events.poster(each)).collect();
    let start = Barrier::new(producers + 1);
    let mut cost = Cost::default();
    std::thread::scope(|scope| {
        for mut poster in posters {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                (0..each).for_each(|_| poster.post(0));
                // Threads end after the measurement.
                start.wait();
            });
        }
        let total = producers * each;
        start.wait();
        cost = measure(Cpu::Process, total, || {
            let sink = events.run(Sink::default(), total);
            assert_eq!(sink.seen, total);
        });
        start.wait();
    });
    cost
}

/// One message at a time to a loop that sleeps. The median from post to callback counts as wall time;
/// CPU time is the process's, with the reply and the pause between messages.
#[allow(clippy::cast_precision_loss, reason = "a figure of a table")]
fn latency<L: Loop>(samples: usize, core: usize) -> Cost {
    let mut events = L::new();
    let mut poster = events.poster(samples);
    let reply = EventFd::new();
    let mut sink = Sink { reply: Some(reply.clone()), ..Sink::default() };
    sink.latencies.reserve(samples);
    let mut cost = Cost::default();
    pin(0);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            pin(core);
            for _ in 0..samples {
                // Long enough for the loop to fall asleep.
                std::thread::sleep(Duration::from_micros(50));
                poster.post(now_ns());
                reply.take_blocking();
            }
        });
        cost = measure(Cpu::Process, samples, || {
            sink = events.run(std::mem::take(&mut sink), samples);
        });
    });
    sink.latencies.sort_unstable();
    cost.wall_ns = sink.latencies[samples / 2] as f64;
    cost
}

/// The peers, each as `f` of its type.
macro_rules! contenders {
    ($f:ident($($argument:expr),*)) => {{
        #[allow(unused_mut, reason = "one more where libuv is")]
        let mut contenders = vec![
            Contender::new("**bringup**, a node per post", || $f::<peers::Bringup>($($argument),*)),
            Contender::new("bringup, 1,024 nodes recycled", || {
                $f::<peers::BringupRecycled>($($argument),*)
            }),
            Contender::new("bringup, boxed closures", || $f::<peers::BringupBoxed>($($argument),*)),
            Contender::new("std mpsc + eventfd, a write per post", || {
                $f::<peers::Mpsc<false>>($($argument),*)
            }),
            Contender::new("std mpsc + eventfd, coalesced by hand", || {
                $f::<peers::Mpsc<true>>($($argument),*)
            }),
            Contender::new("mio Waker + std mpsc", || $f::<peers::Mio>($($argument),*)),
            Contender::new("polling + std mpsc", || $f::<peers::Polling>($($argument),*)),
            Contender::new("calloop channel", || $f::<peers::Calloop>($($argument),*)),
            Contender::new("tokio mpsc", || $f::<peers::TokioMpsc>($($argument),*)),
            Contender::new("tokio spawn", || $f::<peers::TokioSpawn>($($argument),*)),
            Contender::new("smol channel", || $f::<peers::Smol>($($argument),*)),
            Contender::new("std mpsc bounded at 1,024, coalesced by hand", || {
                $f::<peers::Bounded>($($argument),*)
            }),
        ];
        #[cfg(libuv)]
        contenders.push(Contender::new("libuv, a list under a mutex", || {
            $f::<crate::uv::Uv>($($argument),*)
        }));
        contenders
    }};
}

pub(crate) fn run(rounds: usize) {
    println!("\n## Attach: from another thread to the loop");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for producers in [1, 2, 4] {
        unpin(cores);
        let title = format!("Posts as fast as possible, {producers} producing, per post");
        table(&title, Ratio::Cpu, rounds, contenders!(throughput(producers, times(50_000))));
    }
    for (place, core) in [("the same core", 0), ("another core", 1)] {
        if core >= cores {
            println!("\nAbsent: latency from {place}; there is one core.");
            continue;
        }
        let mut contenders = contenders!(latency(500, core));
        contenders.push(Contender::new("floor: eventfd and poll(2), nothing else", || {
            latency::<peers::RawEventFd>(500, core)
        }));
        let title = format!("One post at a time to a sleeping loop, from {place}, median of 500");
        table(&title, Ratio::Wall, rounds, contenders);
    }
    unpin(cores);
    let failed = peers::POLLING_FAILED.load(std::sync::atomic::Ordering::Relaxed);
    if failed > 0 {
        println!("\npolling's wait failed with EINVAL {failed} times and was called again.");
    }
}
