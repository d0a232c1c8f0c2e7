//! The three things in `attach` that threads share. They stand in a file of their own so that
//! `tests/loom` can compile `attach` on top of its own versions, which check every interleaving.

use core::cell::UnsafeCell;

/// A cell whose contents are only touched under a lock.
pub(crate) struct LockedCell<T>(UnsafeCell<T>);

impl<T> LockedCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Hands out the place. What may be done with it is argued where it is done.
    pub(crate) fn with<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        #[cfg(test)]
        crate::testing::TOUCHED.with(|touched| touched.set(touched.get() + 1));
        f(self.0.get())
    }
}

#[cfg(target_has_atomic = "32")]
mod atomic {
    use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    /// A hint that may be read without the lock, and is only written under it.
    pub(crate) struct Hint(AtomicBool);

    impl Hint {
        pub(crate) const fn new() -> Self {
            Self(AtomicBool::new(false))
        }

        pub(crate) fn set(&self, value: bool) {
            self.0.store(value, Ordering::Relaxed);
        }

        /// Never older than anything that the caller knows to have happened; that is all.
        pub(crate) fn is_set(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }

    /// Flags that a signal handler may raise.
    pub(crate) struct AtomicFlags(AtomicU32);

    impl AtomicFlags {
        pub(crate) const fn new() -> Self {
            Self(AtomicU32::new(0))
        }

        /// Adds `bits`; whether none was raised before.
        pub(crate) fn raise(&self, bits: u32) -> bool {
            self.0.fetch_or(bits, Ordering::AcqRel) == 0
        }

        pub(crate) fn take(&self) -> u32 {
            self.0.swap(0, Ordering::AcqRel)
        }

        pub(crate) fn any(&self) -> bool {
            self.0.load(Ordering::Acquire) != 0
        }
    }
}

/// Without compare-and-swap there is no hint and there are no flags.
#[cfg(not(target_has_atomic = "32"))]
mod atomic {
    pub(crate) struct Hint;

    impl Hint {
        pub(crate) const fn new() -> Self {
            Self
        }
        pub(crate) const fn set(&self, _: bool) {}
        pub(crate) const fn is_set(&self) -> bool {
            false
        }
    }

    pub(crate) struct AtomicFlags;

    impl AtomicFlags {
        pub(crate) const fn new() -> Self {
            Self
        }
        pub(crate) const fn take(&self) -> u32 {
            0
        }
        pub(crate) const fn any(&self) -> bool {
            false
        }
    }
}

pub(crate) use atomic::{AtomicFlags, Hint};
