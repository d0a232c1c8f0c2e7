//! [`EventWake`]: an eventfd that ends the loop's wait from any thread or signal handler.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicI32, Ordering};
use std::os::fd::{AsRawFd, IntoRawFd};

use bringup_core::platform::{RawLock, SystemOps, Wake};

use super::sys;
use crate::error::{Operation, OsError, during};
use crate::lock::StdLock;

/// No descriptor yet.
const UNARMED: i32 = -1;

/// An eventfd in waiting. Made in a static, armed once by the loop that it is to wake.
#[derive(Debug)]
pub struct EventWake(AtomicI32);

impl EventWake {
    /// A wake that does nothing yet.
    pub const fn new() -> Self {
        Self(AtomicI32::new(UNARMED))
    }

    /// Makes the eventfd and returns it; it stays open as long as this wake. Fails if there is one
    /// already.
    pub(super) fn arm(&self) -> Result<i32, OsError> {
        let fd = sys::eventfd().map_err(during(Operation::Arm))?;
        self.0
            .compare_exchange(UNARMED, fd.as_raw_fd(), Ordering::AcqRel, Ordering::Relaxed)
            .map_err(|_| OsError::new(Operation::Arm, libc::EEXIST))?;
        Ok(fd.into_raw_fd())
    }
}

impl Default for EventWake {
    fn default() -> Self {
        Self::new()
    }
}

impl Wake for EventWake {
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

impl Drop for EventWake {
    fn drop(&mut self) {
        let fd = core::mem::replace(self.0.get_mut(), UNARMED);
        if fd != UNARMED {
            #[allow(unsafe_code, reason = "the counterpart of into_raw_fd")]
            // SAFETY: the number came from `into_raw_fd` in `arm`, and this exclusive borrow is the
            // last that knows it.
            drop(unsafe { sys::reclaim(fd) });
        }
    }
}

/// What the threads of a Linux program share: an [`EventWake`], and a lock that threads may wait on
/// ([`StdLock`]) unless another is named.
pub struct LinuxOps<L = StdLock>(PhantomData<fn() -> L>);

impl<L> core::fmt::Debug for LinuxOps<L> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("LinuxOps")
    }
}

impl<L: RawLock> SystemOps for LinuxOps<L> {
    type Lock = L;
    type Wake = EventWake;
}

#[cfg(test)]
mod tests {
    use super::*;
    use bringup_core::error::ErrorKind;
    use bringup_core::platform::PlatformError;

    #[test]
    fn a_wake_is_armed_once() {
        let wake = EventWake::new();
        wake.wake();
        wake.clear();
        wake.arm().expect("armed");
        assert_eq!(wake.arm().map_err(|error| error.kind()), Err(ErrorKind::Exists));
    }
}
