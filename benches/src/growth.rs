//! How processor time and memory grow: with queries in flight, timers, producers and descriptors.

use std::thread;

use bringup_core::poll::{PollStorage, UnixPoll};
use bringup_dns::ResolverStorage;

use crate::attach::throughput;
use crate::lookups::{self, Holder};
use crate::measure::{Cost, Growth, Line, growth};
use crate::peers;
use crate::timers::{self, Timers, cancels};
use crate::turn::{self, Fds, turns};

/// Room for large values on their way to the heap: a compiler that does not optimise builds them on the
/// stack.
const STACK: usize = 1 << 30;

/// As many descriptors as the system allows a program to ask for; how many that is.
fn allow_descriptors() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a limit that may be written to.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: a limit that is read. One that is refused stays as it was.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

/// So many lookups in flight, in memory for about as many.
fn resolver(server: &Holder, in_flight: usize) -> Cost {
    server.hold(in_flight);
    let total = lookups_of(in_flight);
    macro_rules! storage {
        ($queries:literal) => {{
            type Storage = ResolverStorage<$queries, { $queries + 16 }, { 64 * $queries + 1_024 }>;
            let storage: &'static mut Storage = Box::leak(Box::new(Storage::new()));
            lookups::bringup_in(storage, server.address, false, in_flight, total)
        }};
    }
    match in_flight {
        1 => storage!(1),
        2..=10 => storage!(10),
        11..=100 => storage!(100),
        101..=1_000 => storage!(1_000),
        _ => storage!(10_000),
    }
}

fn lookups_of(in_flight: usize) -> usize {
    (2 * in_flight).max(4_000)
}

fn queries(sizes: &[usize], rounds: usize) {
    let server = Holder::new();
    let descriptors = allow_descriptors();
    let held = |in_flight: usize| {
        server.hold(in_flight);
        (server.address, in_flight, lookups_of(in_flight))
    };
    #[allow(unused_mut, reason = "one more where c-ares is")]
    let mut lines = vec![
        Line::new("**bringup**", |n| Some(resolver(&server, n))),
        // A socket for each query.
        Line::new("hickory-resolver on tokio", |n| {
            let (address, at_once, total) = held(n);
            (n + 100 < descriptors).then(|| lookups::hickory(address, false, at_once, total))
        }),
    ];
    #[cfg(cares)]
    lines.push(Line::uncounted("c-ares", |n| {
        let (address, at_once, total) = held(n);
        Some(crate::ares::lookups(address, false, at_once, total))
    }));
    let what = Growth {
        title: "Lookups in flight",
        by: "lookups in flight",
        per: "lookup",
        file: "growth-lookups",
    };
    growth(&what, sizes, rounds, lines);
}

/// Arms and cancels a timer among so many.
fn timer<T: Timers>(outstanding: usize, operations: usize) -> Option<Cost> {
    Some(cancels(&mut T::new(outstanding), operations))
}

fn timers(sizes: &[usize], rounds: usize) {
    let lines = vec![
        Line::new("**bringup**", |n| timer::<timers::Bringup>(n, 50_000)),
        #[cfg(libuv)]
        Line::uncounted("libuv, 1 ms coarse", |n| timer::<timers::Uv>(n, 50_000)),
        Line::new("BTreeMap", |n| timer::<timers::Map>(n, 50_000)),
        Line::new("BinaryHeap, lazy cancel", |n| timer::<timers::Heap>(n, 50_000)),
        // It looks at every timer when it cancels one.
        Line::new("calloop", |n| timer::<timers::Calloop>(n, (1_000_000 / n).clamp(50, 10_000))),
        Line::new("tokio", |n| timer::<timers::Tokio>(n, 50_000)),
    ];
    let what = Growth {
        title: "Timers outstanding, one armed and cancelled",
        by: "timers",
        per: "pair",
        file: "growth-timers",
    };
    growth(&what, sizes, rounds, lines);
}

fn producers(sizes: &[usize], rounds: usize) {
    const POSTS: usize = 100_000;
    macro_rules! line {
        ($name:literal, $peer:ty) => {
            Line::new($name, |n| Some(throughput::<$peer>(n, POSTS / n)))
        };
    }
    let lines = vec![
        // Its nodes are made once, as many as there are posts.
        Line::uncounted("**bringup**, a node per post", |n| {
            Some(throughput::<peers::Bringup>(n, POSTS / n))
        }),
        line!("**bringup**, 1,024 nodes recycled by each", peers::BringupAnew),
        line!("std mpsc + eventfd, coalesced by hand", peers::Mpsc<true>),
        line!("mio Waker + std mpsc", peers::Mio),
        line!("calloop channel", peers::Calloop),
        line!("tokio mpsc", peers::TokioMpsc),
        line!("smol channel", peers::Smol),
        #[cfg(libuv)]
        Line::uncounted("libuv, a list under a mutex", |n| {
            Some(throughput::<crate::uv::Uv>(n, POSTS / n))
        }),
    ];
    let what = Growth {
        title: "Producers that post as fast as they can",
        by: "producers",
        per: "post",
        file: "growth-producers",
    };
    growth(&what, sizes, rounds, lines);
}

/// Turns of a loop that is made for the round, with descriptors of its own.
fn turning<F: FnMut()>(count: usize, make: impl FnOnce(&[i32]) -> F) -> Cost {
    let fds = Fds::new(count);
    let mut turn = make(&fds.0);
    let times = if count > 1_000 { 200 } else { 2_000 };
    // Whoever looks at all of them first does so here.
    turns(&fds, 2, &mut turn);
    turns(&fds, times, &mut turn)
}

fn on_poll2(fds: &[i32]) -> Box<dyn FnMut()> {
    macro_rules! storage {
        ($room:literal) => {{
            let storage: &'static mut PollStorage<$room> = Box::leak(Box::new(PollStorage::new()));
            Box::new(turn::bringup(UnixPoll::new(storage), fds))
        }};
    }
    match fds.len() {
        0..=10 => storage!(16),
        11..=100 => storage!(112),
        101..=1_000 => storage!(1_024),
        _ => storage!(10_240),
    }
}

fn descriptors(sizes: &[usize], rounds: usize) {
    let allowed = allow_descriptors();
    macro_rules! line {
        ($new:ident, $name:literal, $make:expr) => {
            Line::$new($name, |n| (n + 100 < allowed).then(|| turning(n, $make)))
        };
    }
    let on_polling = |fds: &[i32]| {
        turn::bringup(bringup_platform::polling::Polling::new().expect("a poller"), fds)
    };
    let lines = vec![
        line!(new, "**bringup** on poll(2)", on_poll2),
        line!(new, "**bringup** on `polling`", on_polling),
        line!(new, "floor: epoll, nothing else", turn::epoll),
        line!(new, "mio", turn::mio),
        line!(new, "calloop", turn::calloop),
        line!(new, "tokio, a task for each", turn::tokio),
        line!(new, "smol, a task for each", turn::smol),
        #[cfg(libuv)]
        line!(uncounted, "libuv", |fds: &[i32]| {
            let mut uv = crate::uv::UvFds::new(fds);
            move || uv.turn()
        }),
    ];
    let what = Growth {
        title: "Descriptors watched, one of them ready",
        by: "descriptors",
        per: "turn",
        file: "growth-descriptors",
    };
    growth(&what, sizes, rounds, lines);
}

pub(crate) fn run(rounds: usize) {
    println!("\n## Growth\n\n{INTRODUCTION}");
    // A smoke test looks at the smallest sizes only; and a picture needs no seven rounds.
    let (rounds, few) = if rounds < 7 { (1, 2) } else { (3, usize::MAX) };
    let work = || {
        let sizes = |all: &'static [usize]| all.get(..few).unwrap_or(all);
        queries(sizes(&[1, 10, 100, 1_000, 10_000]), rounds);
        timers(sizes(&[10, 100, 1_000, 10_000, 100_000]), rounds);
        producers(sizes(&[1, 2, 4, 8, 16, 32, 64]), rounds);
        descriptors(sizes(&[1, 10, 100, 1_000, 10_000]), rounds);
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK);
        thread.spawn_scoped(scope, work).expect("a thread").join().expect("it does not panic");
    });
}

const INTRODUCTION: &str = "\
The same work at growing sizes: three rounds of processor time, and a round of its own in which the bytes are counted \
that lie on the heap at once, as far as Rust allocates them. bringup allocates nothing: what is lent to it is made for \
about as many as there are, and counted. The DNS server holds back as many queries as are to be in flight.";
