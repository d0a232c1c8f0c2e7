//! Locks for the attach queue: which contexts post decides which one to take.
//!
//! | lock | may post | for |
//! |---|---|---|
//! | [`StdLock`] | threads | everything with an operating system |
//! | [`SpinLock`] | threads | where a thread must not sleep in the kernel; not on one core, not under real-time priorities |
//! | [`CriticalSection`] | threads, interrupts | microcontrollers |
//! | [`NoLock`] | the loop's thread | programs with one thread |
//!
//! The queue holds a lock for some nanoseconds of pointer work and never nests it.

use core::cell::Cell;
use core::fmt;
#[cfg(target_has_atomic = "8")]
use core::sync::atomic::{AtomicBool, Ordering};
#[cfg(feature = "std")]
use std::sync::{Mutex, PoisonError};

use bringup_core::platform::RawLock;
#[cfg(target_has_atomic = "8")]
use crossbeam_utils::Backoff;

/// The standard library's mutex. Threads only: a signal handler that posts could find it held by the
/// thread that it interrupts.
#[cfg(feature = "std")]
#[derive(Debug, Default)]
pub struct StdLock(Mutex<()>);

#[cfg(feature = "std")]
impl StdLock {
    /// A free lock, fit for a static.
    pub const fn new() -> Self {
        Self(Mutex::new(()))
    }
}

// SAFETY: `f` runs once, here, between `lock` and the guard's drop. The mutex excludes every other
// thread and orders their memory (acquire, release); the same thread cannot enter again: `lock` then
// deadlocks or panics and never returns. An unwinding `f` drops the guard. Poisoning is ignored: the
// lock guards the queue, which keeps its lists whole by itself, and not the `()` inside.
#[cfg(feature = "std")]
unsafe impl RawLock for StdLock {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        let _guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f()
    }
}

/// A spin lock: a bounded number of spins that grow, then the rest of the time slice is given away at
/// every try. Threads only. Never the right choice on one core or among real-time priorities: a
/// waiter with the higher priority spins for ever.
#[cfg(target_has_atomic = "8")]
#[derive(Debug, Default)]
pub struct SpinLock(AtomicBool);

#[cfg(target_has_atomic = "8")]
impl SpinLock {
    /// A free lock, fit for a static.
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }
}

/// Opens the flag again, on unwinding too.
#[cfg(target_has_atomic = "8")]
struct OpenOnDrop<'a>(&'a AtomicBool);

#[cfg(target_has_atomic = "8")]
impl Drop for OpenOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

// SAFETY: `f` runs once, here, after this call changed the flag from false to true. No other call can
// do that before the guard stores false: neither another thread nor this one, nested (which spins for
// ever). The exchange acquires what the store released. The guard's drop runs on unwinding too.
#[cfg(target_has_atomic = "8")]
unsafe impl RawLock for SpinLock {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        let backoff = Backoff::new();
        while self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            // Wait on a plain read, so that the cache line stays shared. `snooze` spins a few
            // rounds and yields to the scheduler from then on.
            while self.0.load(Ordering::Relaxed) {
                backoff.snooze();
            }
        }
        let _open = OpenOnDrop(&self.0);
        f()
    }
}

/// A critical section by two functions of the machine: interrupts off, and as they were before.
/// Threads and interrupt handlers may post.
#[derive(Clone, Copy)]
pub struct CriticalSection {
    enter: fn() -> usize,
    leave: fn(usize),
}

impl CriticalSection {
    /// A lock from a function that enters the section and says what was before, and one that restores
    /// it.
    ///
    /// # Safety
    ///
    /// From the return of `enter` to the call of `leave` with its result nothing else that can reach
    /// the lock runs: no interrupt handler, no other thread, no other core (a machine with several
    /// needs a spin lock inside `enter`). Both act as compiler and memory barriers, as acquire and
    /// release; neither unwinds.
    pub const unsafe fn new(enter: fn() -> usize, leave: fn(usize)) -> Self {
        Self { enter, leave }
    }
}

impl fmt::Debug for CriticalSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CriticalSection").finish_non_exhaustive()
    }
}

/// Leaves the section, on unwinding too.
struct LeaveOnDrop {
    leave: fn(usize),
    before: usize,
}

impl Drop for LeaveOnDrop {
    fn drop(&mut self) {
        (self.leave)(self.before);
    }
}

// SAFETY: `f` runs once, here, between `enter` and `leave`. That nothing else runs meanwhile, and the
// ordering, is what `new` demands of whoever called it. Only `f` itself could enter again, and the
// contract says that the queue does not nest. The guard leaves on unwinding too.
unsafe impl RawLock for CriticalSection {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        let before = (self.enter)();
        let _leave = LeaveOnDrop { leave: self.leave, before };
        f()
    }
}

/// No lock, for a program with one thread. It is not `Sync`, so a queue that uses it cannot be shared
/// with another thread, nor stand in a static. Not for signal handlers.
#[derive(Debug, Default)]
pub struct NoLock(Cell<bool>);

impl NoLock {
    /// The lock that is none.
    pub const fn new() -> Self {
        Self(Cell::new(false))
    }
}

/// Marks the section as left, on unwinding too.
struct ClearOnDrop<'a>(&'a Cell<bool>);

impl Drop for ClearOnDrop<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

// SAFETY: `f` runs once, here. The `Cell` makes the type `!Sync`: no other thread has a reference to
// the same lock, so nothing needs ordering. This thread cannot enter again while `f` runs: the flag
// turns that into a panic. The guard clears the flag on unwinding too.
unsafe impl RawLock for NoLock {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        assert!(!self.0.replace(true), "NoLock entered from inside itself");
        let _clear = ClearOnDrop(&self.0);
        f()
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use std::cell::UnsafeCell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    /// A number that nothing but the lock guards.
    struct Guarded<L>(L, UnsafeCell<u64>);
    // SAFETY: the number is touched inside `with` only.
    unsafe impl<L: Sync> Sync for Guarded<L> {}

    impl<L: RawLock> Guarded<L> {
        /// Adds one, in a way that loses it if anybody else is inside.
        fn add(&self) -> u64 {
            self.0.with(|| {
                let number = self.1.get();
                // SAFETY: the lock is held.
                let seen = unsafe { *number };
                if seen % 16 == 0 {
                    std::thread::yield_now();
                }
                // SAFETY: the lock is held.
                unsafe { *number = seen + 1 };
                seen + 1
            })
        }
    }

    fn excludes<L: RawLock + Sync>(name: &str, lock: L) {
        const ROUNDS: u64 = 5_000;
        let guarded = Guarded(lock, UnsafeCell::new(0));
        let start = Barrier::new(3);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    start.wait();
                    (0..ROUNDS).for_each(|_| _ = guarded.add());
                });
            }
        });
        assert_eq!(guarded.add(), 3 * ROUNDS + 1, "{name}: an addition was lost");
    }

    fn is_free_after_a_panic<L: RawLock>(name: &str, lock: &L) {
        let panicked = catch_unwind(AssertUnwindSafe(|| lock.with(|| panic!("on purpose"))));
        assert!(panicked.is_err(), "{name}");
        assert_eq!(lock.with(|| 7), 7, "{name}");
    }

    #[test]
    fn threads_exclude_each_other() {
        excludes("StdLock", StdLock::new());
        excludes("SpinLock", SpinLock::new());
    }

    static DEPTH: AtomicUsize = AtomicUsize::new(0);
    static LEFT_WITH: AtomicUsize = AtomicUsize::new(0);

    fn section() -> CriticalSection {
        // SAFETY: the locks made here are used by one thread, and no interrupt knows of them.
        unsafe {
            CriticalSection::new(
                || DEPTH.fetch_add(1, Ordering::SeqCst) + 40,
                |before| {
                    DEPTH.fetch_sub(1, Ordering::SeqCst);
                    LEFT_WITH.store(before, Ordering::SeqCst);
                },
            )
        }
    }

    #[test]
    fn every_lock_is_free_after_a_panic() {
        is_free_after_a_panic("StdLock", &StdLock::new());
        is_free_after_a_panic("SpinLock", &SpinLock::new());
        is_free_after_a_panic("NoLock", &NoLock::new());
        is_free_after_a_panic("CriticalSection", &section());
        assert_eq!(DEPTH.load(Ordering::SeqCst), 0, "the section was left");
        assert_eq!(LEFT_WITH.load(Ordering::SeqCst), 40, "with what entering returned");
    }

    #[test]
    fn no_lock_cannot_be_entered_twice() {
        let lock = NoLock::new();
        let nested = catch_unwind(AssertUnwindSafe(|| lock.with(|| lock.with(|| ()))));
        assert!(nested.is_err());
    }
}
