//! What threads share: a lock on futex(2), and an eventfd that ends the loop's wait.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use bringup_core::platform::{RawLock, SystemOps, Wake};

use super::error::{Call, EEXIST, TinyError};
use super::sys;

const FREE: u32 = 0;
const TAKEN: u32 = 1;
/// Taken, and somebody may sleep until it is free.
const CONTENDED: u32 = 2;

/// A lock that threads may sleep on: Drepper's second mutex ("Futexes Are Tricky", 2011). Threads only,
/// not for signal handlers.
#[derive(Debug, Default)]
pub struct FutexLock(AtomicU32);

impl FutexLock {
    /// A free lock, fit for a static.
    pub const fn new() -> Self {
        Self(AtomicU32::new(FREE))
    }

    #[cold]
    fn wait(&self) {
        while self.0.swap(CONTENDED, Ordering::Acquire) != FREE {
            sys::futex_wait(&self.0, CONTENDED);
        }
    }
}

/// Opens the lock again, on unwinding too.
struct OpenOnDrop<'a>(&'a AtomicU32);

impl Drop for OpenOnDrop<'_> {
    fn drop(&mut self) {
        if self.0.swap(FREE, Ordering::Release) == CONTENDED {
            sys::futex_wake(self.0);
        }
    }
}

// SAFETY: `f` runs once, here, after this call changed the word from FREE, which it does by one atomic
// operation with acquire ordering; until the guard stores FREE, with release ordering and on unwinding
// too, nobody else can. Whoever waits has left CONTENDED behind, so that the guard wakes one; a wake
// that comes too early or for nothing only leads to another look.
#[allow(unsafe_code, reason = "the contract of RawLock")]
unsafe impl RawLock for FutexLock {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        if self.0.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.wait();
        }
        let _open = OpenOnDrop(&self.0);
        f()
    }
}

/// No descriptor yet.
const UNARMED: i32 = -1;

/// An eventfd in waiting. Made in a static, armed once by the loop that it is to wake.
#[derive(Debug)]
pub struct TinyWake(AtomicI32);

impl TinyWake {
    /// A wake that does nothing yet.
    pub const fn new() -> Self {
        Self(AtomicI32::new(UNARMED))
    }

    /// Makes the eventfd, which stays open as long as this wake. Fails if there is one already.
    pub(super) fn arm(&self) -> Result<i32, TinyError> {
        let fd = sys::eventfd()?;
        match self.0.compare_exchange(UNARMED, fd, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => Ok(fd),
            Err(_) => {
                sys::close(fd);
                Err(TinyError::new(Call::Arm, EEXIST))
            }
        }
    }
}

impl Default for TinyWake {
    fn default() -> Self {
        Self::new()
    }
}

impl Wake for TinyWake {
    /// Async-signal-safe: an atomic load and write(2), `errno` untouched.
    fn wake(&self) {
        let fd = self.0.load(Ordering::Acquire);
        if fd != UNARMED {
            sys::eventfd_add(fd);
        }
    }

    fn clear(&self) {
        let fd = self.0.load(Ordering::Acquire);
        if fd != UNARMED {
            sys::eventfd_take(fd);
        }
    }
}

impl Drop for TinyWake {
    fn drop(&mut self) {
        let fd = *self.0.get_mut();
        if fd != UNARMED {
            sys::close(fd);
        }
    }
}

/// What the threads of a program share: a [`TinyWake`], and a [`FutexLock`] unless another is named.
pub struct TinyOps<L = FutexLock>(PhantomData<fn() -> L>);

impl<L> core::fmt::Debug for TinyOps<L> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("TinyOps")
    }
}

impl<L: RawLock> SystemOps for TinyOps<L> {
    type Lock = L;
    type Wake = TinyWake;
}
