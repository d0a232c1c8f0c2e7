//! The core's `sync`, with loom inside. loom's types cannot be made in a constant, the core's must
//! be: each makes its loom part when it is used first.

use std::cell::UnsafeCell;
use std::sync::OnceLock;

use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering};

pub(crate) struct LockedCell<T> {
    value: UnsafeCell<T>,
    watch: OnceLock<loom::cell::UnsafeCell<()>>,
}

impl<T> LockedCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { value: UnsafeCell::new(value), watch: OnceLock::new() }
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        let watch = self.watch.get_or_init(|| loom::cell::UnsafeCell::new(()));
        watch.with_mut(|_| f(self.value.get()))
    }
}

pub(crate) struct Hint(OnceLock<AtomicBool>);

impl Hint {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    fn get(&self) -> &AtomicBool {
        self.0.get_or_init(|| AtomicBool::new(false))
    }

    pub(crate) fn set(&self, value: bool) {
        self.get().store(value, Ordering::Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.get().load(Ordering::Relaxed)
    }
}

pub(crate) struct AtomicFlags(OnceLock<AtomicU32>);

impl AtomicFlags {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    fn get(&self) -> &AtomicU32 {
        self.0.get_or_init(|| AtomicU32::new(0))
    }

    pub(crate) fn raise(&self, bits: u32) -> bool {
        self.get().fetch_or(bits, Ordering::AcqRel) == 0
    }

    pub(crate) fn take(&self) -> u32 {
        self.get().swap(0, Ordering::AcqRel)
    }

    pub(crate) fn any(&self) -> bool {
        self.get().load(Ordering::Acquire) != 0
    }
}
