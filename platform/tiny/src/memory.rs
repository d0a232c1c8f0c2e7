//! The program's memory: everything that is lent to somebody. There is no other but the stack.

use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};

use bringup_core::event_loop::LoopStorage;
use bringup_dhcp::lease::STORAGE_LEN;
use bringup_dns::ResolverStorage;
use bringup_platform::tiny::{Tiny, TinyStorage};
use bringup_system::{Interface, System};

/// Descriptors: NTP's, DHCP's and four of the resolver's for each of its servers; netlink, wake, clock.
const DESCRIPTORS: usize = 48;
/// Timers: the system has five, and one for each interface; the program has one.
const TIMERS: usize = 8;

pub(crate) static PLATFORM: Zeros<TinyStorage<DESCRIPTORS>> = Zeros::new(TinyStorage::new());
pub(crate) static EVENT_LOOP: Room<LoopStorage<c_int, TIMERS, DESCRIPTORS>> = Room::new();
/// Two queries at once, 16 RRsets in 1 KiB; no TCP, and no room for it.
pub(crate) static RESOLVER: Room<ResolverStorage<2, 16, 1_024, 0>> = Room::new();
pub(crate) static INTERFACES: Room<[Option<Interface<'static, Tiny<'static>>>; 1]> = Room::new();
pub(crate) static LEASE: Zeros<[u8; STORAGE_LEN]> = Zeros::new([0; STORAGE_LEN]);
/// Put there by itself: in something larger it would be moved once more, over the stack.
pub(crate) static SYSTEM: Room<System<'static, Tiny<'static>>> = Room::new();

/// Room for one value, which is made when the program runs: what is not all zeros would have to be in
/// its file.
pub(crate) struct Room<T> {
    taken: AtomicBool,
    place: UnsafeCell<MaybeUninit<T>>,
}

/// Room for a value that is all zeros, and therefore is there from the start.
pub(crate) struct Zeros<T> {
    taken: AtomicBool,
    place: UnsafeCell<T>,
}

// SAFETY: `place` is reached once, by whoever set `taken`; that may be another thread, so T is `Send`.
unsafe impl<T: Send> Sync for Room<T> {}

impl<T> Room<T> {
    const fn new() -> Self {
        Self { taken: AtomicBool::new(false), place: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    #[expect(
        clippy::mut_from_ref,
        reason = "it is the only reference: `taken` lets one caller pass"
    )]
    fn place(&'static self) -> &'static mut MaybeUninit<T> {
        assert!(!self.taken.swap(true, Ordering::Relaxed));
        // SAFETY: nobody else gets here.
        unsafe { &mut *self.place.get() }
    }

    /// Puts a value there, once.
    #[inline(always)]
    pub(crate) fn put(&'static self, value: T) -> &'static mut T {
        self.place().write(value)
    }
}

// SAFETY: `place` is reached once, by whoever set `taken`; that may be another thread, so T is `Send`.
unsafe impl<T: Send> Sync for Zeros<T> {}

impl<T> Zeros<T> {
    const fn new(value: T) -> Self {
        Self { taken: AtomicBool::new(false), place: UnsafeCell::new(value) }
    }

    /// Lends the value, once.
    #[expect(
        clippy::mut_from_ref,
        reason = "it is the only reference: `taken` lets one caller pass"
    )]
    pub(crate) fn take(&'static self) -> &'static mut T {
        assert!(!self.taken.swap(true, Ordering::Relaxed));
        // SAFETY: nobody else gets here.
        unsafe { &mut *self.place.get() }
    }
}
