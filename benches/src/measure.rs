//! Clocks, the counting allocator, interleaved rounds, and the tables that come out.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use crate::statistics::{cell, figure};

/// Counts allocations and their bytes, in the one round of each contender that is for counting: the
/// rounds that are timed pay one relaxed load.
pub(crate) struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
/// Bytes that were allocated since the counting began and are still there, and the most of them.
static HEAP: AtomicI64 = AtomicI64::new(0);
static HEAP_MOST: AtomicI64 = AtomicI64::new(0);

fn count(allocations: u64, more: usize, less: usize) {
    if !ON.load(Ordering::Relaxed) {
        return;
    }
    ALLOCATIONS.fetch_add(allocations, Ordering::Relaxed);
    let signed = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
    let by = signed(more) - signed(less);
    let now = HEAP.fetch_add(by, Ordering::Relaxed) + by;
    HEAP_MOST.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), 0);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, 0, layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size, layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// The most bytes that `work` had on the heap at once, of those that it allocated itself.
#[allow(clippy::cast_precision_loss, reason = "a figure of a table")]
fn heap_of(work: impl FnOnce()) -> f64 {
    HEAP.store(0, Ordering::Relaxed);
    HEAP_MOST.store(0, Ordering::Relaxed);
    ON.store(true, Ordering::Relaxed);
    work();
    ON.store(false, Ordering::Relaxed);
    HEAP_MOST.load(Ordering::Relaxed) as f64
}

/// A reading of one of the kernel's clocks, nanoseconds.
fn clock(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec that may be written to.
    let result = unsafe { libc::clock_gettime(id, &raw mut time) };
    assert_eq!(result, 0, "clock_gettime");
    let part = |n: i64| u64::try_from(n).unwrap_or(0);
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}

/// Nanoseconds that do not jump.
pub(crate) fn now_ns() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// Whose CPU time counts.
#[derive(Clone, Copy)]
pub(crate) enum Cpu {
    /// This thread's.
    Thread,
    /// That of all threads.
    Process,
}

/// What one operation costs.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cost {
    /// CPU time, nanoseconds.
    pub(crate) cpu_ns: f64,
    /// Time by the clock on the wall, nanoseconds.
    pub(crate) wall_ns: f64,
    /// Allocations, known in the counting round.
    pub(crate) allocations: f64,
}

/// Runs `work`, which is `operations` operations.
#[allow(clippy::cast_precision_loss, reason = "figures of a table")]
pub(crate) fn measure(cpu: Cpu, operations: usize, work: impl FnOnce()) -> Cost {
    let id = match cpu {
        Cpu::Thread => libc::CLOCK_THREAD_CPUTIME_ID,
        Cpu::Process => libc::CLOCK_PROCESS_CPUTIME_ID,
    };
    let allocated = ALLOCATIONS.load(Ordering::Relaxed);
    let (wall, cpu) = (now_ns(), clock(id));
    work();
    let (cpu, wall) = (clock(id) - cpu, now_ns() - wall);
    let allocated = ALLOCATIONS.load(Ordering::Relaxed) - allocated;
    let per = |n: u64| n as f64 / operations as f64;
    Cost { cpu_ns: per(cpu), wall_ns: per(wall), allocations: per(allocated) }
}

/// So many repetitions; a fraction of them without optimisation, which is for smoke tests.
pub(crate) const fn times(of: usize) -> usize {
    if cfg!(debug_assertions) { of.div_ceil(20) } else { of }
}

/// Calls `f` in a loop and says what one call costs, on this thread.
pub(crate) fn repeat(of: usize, mut f: impl FnMut()) -> Cost {
    let times = times(of);
    measure(Cpu::Thread, times, || (0..times).for_each(|_| f()))
}

/// Something that is measured: its name, and one round of it.
pub(crate) struct Contender<'a> {
    name: &'static str,
    round: Box<dyn FnMut() -> Cost + 'a>,
}

impl<'a> Contender<'a> {
    pub(crate) fn new(name: &'static str, round: impl FnMut() -> Cost + 'a) -> Self {
        Self { name, round: Box::new(round) }
    }
}

/// Which figure the ratios are of.
#[derive(Clone, Copy)]
pub(crate) enum Ratio {
    Cpu,
    Wall,
}

/// Runs all contenders in turn, `rounds` times, and prints them as rows of one table. The first row
/// is bringup; a ratio compares with bringup in the same round, above 1 is dearer.
pub(crate) fn table(title: &str, ratio: Ratio, rounds: usize, mut contenders: Vec<Contender<'_>>) {
    ON.store(true, Ordering::Relaxed);
    let counted: Vec<Cost> = contenders.iter_mut().map(|c| (c.round)()).collect();
    ON.store(false, Ordering::Relaxed);
    let mut costs = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..rounds {
        // Each round begins with another contender, so that none is always the one after a cold one.
        for step in 0..contenders.len() {
            let index = (round + step) % contenders.len();
            costs[index].push((contenders[index].round)());
        }
    }
    let of = |cost: &Cost| match ratio {
        Ratio::Cpu => cost.cpu_ns,
        Ratio::Wall => cost.wall_ns,
    };
    let (name, unit) = match ratio {
        Ratio::Cpu => ("CPU", "ns"),
        Ratio::Wall => ("latency", "ns"),
    };
    println!("\n**{title}**\n");
    println!(
        "| | {name} ÷ bringup's | CPU {unit} | wall {unit} | allocations |\n|---|---|---|---|---|"
    );
    for ((contender, rows), counted) in contenders.iter().zip(&costs).zip(&counted) {
        let ratios = rows.iter().zip(&costs[0]).map(|(row, ours)| of(row) / of(ours)).collect();
        println!(
            "| {} | {} | {} | {} | {} |",
            contender.name,
            cell(ratios),
            cell(rows.iter().map(|cost| cost.cpu_ns).collect()),
            cell(rows.iter().map(|cost| cost.wall_ns).collect()),
            figure(counted.allocations),
        );
    }
}

/// A line of a picture of growth: what costs how much at which size.
pub(crate) struct Line<'a> {
    name: &'static str,
    /// Whether all of its memory is allocated where it can be counted.
    counts: bool,
    round: Box<dyn FnMut(usize) -> Option<Cost> + 'a>,
}

impl<'a> Line<'a> {
    /// `round` is one round at a size; `None` where that size cannot be had.
    pub(crate) fn new(name: &'static str, round: impl FnMut(usize) -> Option<Cost> + 'a) -> Self {
        Self { name, counts: true, round: Box::new(round) }
    }

    /// One whose memory is not counted: it is allocated in C, or was there before.
    pub(crate) fn uncounted(
        name: &'static str,
        round: impl FnMut(usize) -> Option<Cost> + 'a,
    ) -> Self {
        Self { counts: false, ..Self::new(name, round) }
    }
}

/// What grows: the title of its tables, the size by which it grows, what a figure is of, and the name of
/// its pictures.
pub(crate) struct Growth {
    pub(crate) title: &'static str,
    pub(crate) by: &'static str,
    pub(crate) per: &'static str,
    pub(crate) file: &'static str,
}

/// Runs all lines at all sizes, in turn, and prints a table and a picture each of CPU time and of memory.
pub(crate) fn growth(what: &Growth, sizes: &[usize], rounds: usize, mut lines: Vec<Line<'_>>) {
    let mut cpu = vec![Vec::new(); lines.len()];
    let mut memory = vec![Vec::new(); lines.len()];
    for &size in sizes {
        for (line, cells) in lines.iter_mut().zip(&mut memory) {
            let mut is_there = false;
            let bytes = heap_of(|| is_there = (line.round)(size).is_some());
            cells.push(if is_there && line.counts {
                figure(bytes / 1024.0)
            } else {
                String::new()
            });
        }
        let mut costs = vec![Vec::new(); lines.len()];
        for round in 0..rounds {
            for step in 0..lines.len() {
                let index = (round + step) % lines.len();
                costs[index].extend((lines[index].round)(size).map(|cost| cost.cpu_ns));
            }
        }
        for (cells, costs) in cpu.iter_mut().zip(costs) {
            cells.push(if costs.is_empty() { String::new() } else { cell(costs) });
        }
    }
    let Growth { title, by, per, file } = what;
    let cpu_axis = format!("CPU ns per {per}");
    for (axis, word, rows) in
        [(cpu_axis.as_str(), "cpu", &cpu), ("KiB on the heap at most", "memory", &memory)]
    {
        let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
        println!("\n**{title}: {axis}**\n\n![{title}: {axis}](benchmarks/{file}-{word}.svg)\n");
        println!("| {axis} by {by} | {} |", sizes.join(" | "));
        println!("|---|{}", "---|".repeat(sizes.len()));
        for (line, cells) in lines.iter().zip(rows) {
            println!("| {} | {} |", line.name, cells.join(" | "));
        }
    }
}

/// Keeps the calling thread on one core.
pub(crate) fn pin(core: usize) {
    // SAFETY: a cpu_set_t is a bit mask, for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a cpu_set_t, and the macro checks the index against its size.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: `set` is as large as is said.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    assert_eq!(result, 0, "sched_setaffinity to core {core}");
}

/// Lets the calling thread run on the first `cores` cores.
pub(crate) fn unpin(cores: usize) {
    // SAFETY: as in `pin`.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for core in 0..cores {
        // SAFETY: as in `pin`.
        unsafe { libc::CPU_SET(core, &mut set) };
    }
    // SAFETY: as in `pin`.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    assert_eq!(result, 0, "sched_setaffinity to {cores} cores");
}
