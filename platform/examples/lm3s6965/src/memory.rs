//! The program's memory: everything that is lent to somebody. There is no other but the stack.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use bringup_core::event_loop::LoopStorage;
use bringup_dhcp::lease::STORAGE_LEN;
use bringup_dns::ResolverStorage;
use bringup_system::{Interface, System};

use crate::port::Board;
use crate::stack::{Handle, SOCKETS, StackStorage};

/// Sockets, two of them for frames, and the wake.
const SOURCES: usize = SOCKETS + 3;
/// Timers: the system has five, and one for each interface; the program has one.
const TIMERS: usize = 8;

pub(crate) static STACK: Once<StackStorage> = Once::new(StackStorage::new());
pub(crate) static EVENT_LOOP: Once<LoopStorage<Handle, TIMERS, SOURCES>> =
    Once::new(LoopStorage::new());
/// Two queries at once, 16 RRsets in 1 KiB; no TCP, and no room for it.
pub(crate) static RESOLVER: Once<ResolverStorage<2, 16, 1_024, 0>> =
    Once::new(ResolverStorage::new());
pub(crate) static INTERFACES: Once<[Option<Interface<'static, Board>>; 1]> = Once::new([None]);
pub(crate) static LEASE: Once<[u8; STORAGE_LEN]> = Once::new([0; STORAGE_LEN]);
/// Made by the compiler: made by the program it would go over the stack, which has no room for it.
pub(crate) static SYSTEM: Once<System<'static, Board>> = Once::new(System::vacant(crate::CONFIG));

/// A value that is lent once.
pub(crate) struct Once<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `value` is reached once, by whoever set `taken`; that may be another context, so T is `Send`.
unsafe impl<T: Send> Sync for Once<T> {}

impl<T> Once<T> {
    const fn new(value: T) -> Self {
        Self { taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Lends the value, the first time it is asked for.
    #[expect(
        clippy::mut_from_ref,
        reason = "it is the only reference: `taken` lets one caller pass"
    )]
    pub(crate) fn take(&'static self) -> &'static mut T {
        assert!(!self.taken.swap(true, Ordering::Relaxed), "lent twice");
        // SAFETY: nobody else gets here.
        unsafe { &mut *self.value.get() }
    }
}
