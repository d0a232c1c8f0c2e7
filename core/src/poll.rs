//! Waiting for descriptors: the [`Poll`] trait, and poll(2) behind it.
//!
//! A poller is stateful and level-triggered: a descriptor that stays ready is reported again. The
//! loop reads the results one by one with [`next_ready`](Poll::next_ready), so that a callback may
//! add, change and remove descriptors while results are still to come.

use crate::time::Duration;

/// What a descriptor is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// There is something to read, or a connection to accept.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
}

impl Interest {
    /// Errors and hang-ups only; those are always reported.
    pub const NONE: Self = Self { readable: false, writable: false };
    /// Reading.
    pub const READ: Self = Self { readable: true, writable: false };
    /// Writing.
    pub const WRITE: Self = Self { readable: false, writable: true };
    /// Both.
    pub const BOTH: Self = Self { readable: true, writable: true };
}

/// What a descriptor is ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// There is something to read (`POLLIN`).
    pub readable: bool,
    /// There is room to write (`POLLOUT`).
    pub writable: bool,
    /// An error waits on the descriptor (`POLLERR`).
    pub error: bool,
    /// The other end hung up (`POLLHUP`).
    pub hangup: bool,
    /// The descriptor is not open (`POLLNVAL`): somebody closed it behind the loop's back. It is
    /// reported once and then no longer watched.
    pub invalid: bool,
}

/// What the loop calls a descriptor; it comes back with the readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(pub u32);

impl Token {
    /// The loop's own wake.
    pub const WAKE: Self = Self(u32::MAX);
    /// A clock of the platform, which it handles itself.
    pub const CLOCK: Self = Self(u32::MAX - 1);
}

/// A stateful, level-triggered poller.
pub trait Poll {
    /// The platform's descriptor.
    type Handle: Copy;
    /// The platform's error.
    type Error;

    /// Watches `handle`, which is not watched yet. Fails if the poller is full.
    fn add(
        &mut self,
        handle: Self::Handle,
        token: Token,
        interest: Interest,
    ) -> Result<(), Self::Error>;

    /// Changes what a watched descriptor is watched for.
    fn modify(
        &mut self,
        handle: Self::Handle,
        token: Token,
        interest: Interest,
    ) -> Result<(), Self::Error>;

    /// Watches a descriptor no longer. Results of the last wait for it are forgotten.
    fn remove(&mut self, handle: Self::Handle, token: Token);

    /// Waits until something is ready or `timeout` has passed; `None` waits without limit. The
    /// timeout is never rounded down. A signal is no error; it may end the wait.
    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), Self::Error>;

    /// The next result of the last wait.
    fn next_ready(&mut self) -> Option<(Token, Readiness)>;
}

#[cfg(unix)]
pub use unix::{PollError, PollStorage, UnixPoll};

/// poll(2), called through a declaration written by hand: the core has no dependency, not even libc.
#[cfg(unix)]
#[allow(unsafe_code, reason = "the one system call of the core")]
mod unix {
    use core::ffi::{c_int, c_short};

    use super::{Interest, Poll, Readiness, Token};
    use crate::error::ErrorKind;
    use crate::platform::PlatformError;
    use crate::time::Duration;

    /// `struct pollfd` of POSIX.
    #[repr(C)]
    #[derive(Clone, Copy, Debug)]
    struct PollFd {
        fd: c_int,
        events: c_short,
        revents: c_short,
    }

    const POLLIN: c_short = 0x001;
    const POLLOUT: c_short = 0x004;
    const POLLERR: c_short = 0x008;
    const POLLHUP: c_short = 0x010;
    const POLLNVAL: c_short = 0x020;

    #[cfg(any(target_os = "linux", target_os = "android"))]
    mod sys {
        use super::PollFd;
        use core::ffi::{c_int, c_long, c_ulong, c_void};

        /// `struct timespec` as the `ppoll` symbol takes it: `time_t` is a `long` on 64-bit systems
        /// and behind the unversioned symbol of 32-bit ones.
        #[repr(C)]
        struct Timespec {
            tv_sec: c_long,
            tv_nsec: c_long,
        }

        // SAFETY: as POSIX.1-2024 declares it; `nfds_t` is `unsigned long` on Linux.
        unsafe extern "C" {
            fn ppoll(
                fds: *mut PollFd,
                nfds: c_ulong,
                timeout: *const Timespec,
                sigmask: *const c_void,
            ) -> c_int;
        }

        /// ppoll(2): the timeout is exact to a nanosecond.
        pub(super) fn poll(fds: &mut [PollFd], timeout_us: Option<u64>) -> c_int {
            let timespec = timeout_us.map(|us| Timespec {
                tv_sec: c_long::try_from(us / 1_000_000).unwrap_or(c_long::MAX),
                // Below 10^9, which every `long` holds.
                tv_nsec: c_long::try_from(us % 1_000_000 * 1_000).unwrap_or(999_999_999),
            });
            let timeout = timespec.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
            // SAFETY: `fds` is an exclusive slice of `struct pollfd`, its length goes with it, and
            // `timeout` is null or points to a value that outlives the call.
            unsafe { ppoll(fds.as_mut_ptr(), fds.len() as c_ulong, timeout, core::ptr::null()) }
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    mod sys {
        use super::PollFd;
        use core::ffi::c_int;

        // POSIX leaves `nfds_t` open: `unsigned int` on the BSDs and macOS, `unsigned long` elsewhere.
        #[cfg(any(target_vendor = "apple", target_os = "freebsd", target_os = "openbsd"))]
        type Nfds = core::ffi::c_uint;
        #[cfg(not(any(target_vendor = "apple", target_os = "freebsd", target_os = "openbsd")))]
        type Nfds = core::ffi::c_ulong;

        // SAFETY: as POSIX declares it.
        unsafe extern "C" {
            #[link_name = "poll"]
            fn c_poll(fds: *mut PollFd, nfds: Nfds, timeout: c_int) -> c_int;
        }

        /// poll(2): milliseconds, rounded up.
        pub(super) fn poll(fds: &mut [PollFd], timeout_us: Option<u64>) -> c_int {
            let timeout = timeout_us
                .map_or(-1, |us| c_int::try_from(us.div_ceil(1_000)).unwrap_or(c_int::MAX));
            // SAFETY: `fds` is an exclusive slice of `struct pollfd` and its length goes with it.
            unsafe { c_poll(fds.as_mut_ptr(), fds.len() as Nfds, timeout) }
        }
    }

    // SAFETY: what <errno.h> of each system calls for `errno`: no argument, and a pointer to an int.
    unsafe extern "C" {
        #[cfg_attr(any(target_os = "linux", target_os = "redox"), link_name = "__errno_location")]
        #[cfg_attr(
            any(target_os = "android", target_os = "netbsd", target_os = "openbsd"),
            link_name = "__errno"
        )]
        #[cfg_attr(any(target_vendor = "apple", target_os = "freebsd"), link_name = "__error")]
        fn errno_location() -> *mut c_int;
    }

    fn errno() -> c_int {
        // SAFETY: the C library's accessor takes nothing and has no precondition.
        let location = unsafe { errno_location() };
        // SAFETY: it returns a pointer to this thread's own, initialised `errno`.
        unsafe { *location }
    }

    /// The same number on every Unix.
    const EINTR: c_int = 4;

    /// The same too: not a descriptor.
    const EBADF: i32 = 9;

    /// Why poll(2) failed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum PollError {
        /// All slots that the poller was lent are taken.
        Full,
        /// The descriptor is not watched.
        NotWatched,
        /// poll(2) failed with this errno.
        Os(i32),
    }

    impl core::fmt::Display for PollError {
        fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            match self {
                Self::Full => f.pad("the poller has no room for one more descriptor"),
                Self::NotWatched => f.pad("the descriptor is not watched"),
                Self::Os(errno) => write!(f, "waiting for descriptors: os error {errno}"),
            }
        }
    }

    impl core::error::Error for PollError {}

    impl PlatformError for PollError {
        fn kind(&self) -> ErrorKind {
            match self {
                Self::Full => ErrorKind::Exhausted,
                Self::NotWatched => ErrorKind::NotFound,
                Self::Os(_) => ErrorKind::Failed,
            }
        }
        fn unsupported() -> Self {
            Self::NotWatched
        }
    }

    /// Waits that go by after a look that found nothing: it is to cost each of them some 10 ns.
    const PAUSE: u8 = 99;

    /// A negative descriptor is what poll(2) passes over.
    const FREE: PollFd = PollFd { fd: -1, events: 0, revents: 0 };

    /// Memory for `N` watched descriptors.
    #[derive(Debug)]
    pub struct PollStorage<const N: usize = 64> {
        fds: [PollFd; N],
        tokens: [Token; N],
    }

    impl<const N: usize> PollStorage<N> {
        /// Memory in which nothing is watched; fit for a static.
        pub const fn new() -> Self {
            // All zeros, so that a static costs a program's file nothing; who takes it frees the slots.
            Self { fds: [PollFd { fd: 0, ..FREE }; N], tokens: [Token(0); N] }
        }
    }

    impl<const N: usize> Default for PollStorage<N> {
        fn default() -> Self {
            Self::new()
        }
    }

    /// poll(2) over lent memory. Its cost grows with the number of descriptors, some 80 ns each a
    /// turn: right for a handful, and up to about 64.
    #[derive(Debug)]
    pub struct UnixPoll<'m> {
        /// What the kernel is handed; a removed descriptor leaves a hole until the next wait.
        fds: &'m mut [PollFd],
        /// The name of each descriptor, index by index.
        tokens: &'m mut [Token],
        /// How many of them may be taken; everything beyond is free.
        used: usize,
        /// Where [`Poll::next_ready`] goes on reading.
        cursor: usize,
        /// How many waits go by without a look first.
        until_look: u8,
    }

    impl<'m> UnixPoll<'m> {
        /// A poller that watches nothing yet.
        pub const fn new<const N: usize>(storage: &'m mut PollStorage<N>) -> Self {
            let PollStorage { fds, tokens } = storage;
            let mut at = 0;
            while at < N {
                fds[at] = FREE;
                at += 1;
            }
            Self { fds, tokens, used: 0, cursor: 0, until_look: 0 }
        }

        fn find(&mut self, fd: c_int, token: Token) -> Option<&mut PollFd> {
            let watched = self.fds.iter_mut().zip(self.tokens.iter());
            watched.take(self.used).find(|(p, t)| p.fd == fd && **t == token).map(|(p, _)| p)
        }

        fn call(&mut self, timeout_us: Option<u64>) -> c_int {
            #[cfg(test)]
            super::tests::CALLS.with(|calls| calls.set(calls.get() + 1));
            sys::poll(self.fds.get_mut(..self.used).unwrap_or(&mut []), timeout_us)
        }

        /// A look before the sleep: how many are ready. It costs half of what a wait costs that might
        /// sleep, for which the kernel enters the caller at every descriptor and strikes it out again.
        /// One that finds nothing was for nothing, and the next comes some waits later.
        fn look(&mut self) -> c_int {
            if self.until_look > 0 {
                self.until_look -= 1;
                return 0;
            }
            let ready = self.call(Some(0));
            if ready == 0 {
                self.until_look = PAUSE;
            }
            ready
        }

        /// Closes the holes that removed descriptors left. Not done while results are being read.
        fn compact(&mut self) {
            let mut at = 0;
            while at < self.used {
                if self.fds[at].fd >= 0 {
                    at += 1;
                } else {
                    self.used -= 1;
                    self.fds.swap(at, self.used);
                    self.tokens.swap(at, self.used);
                }
            }
        }
    }

    fn events(interest: Interest) -> c_short {
        let readable = if interest.readable { POLLIN } else { 0 };
        let writable = if interest.writable { POLLOUT } else { 0 };
        readable | writable
    }

    impl Poll for UnixPoll<'_> {
        type Handle = i32;
        type Error = PollError;

        fn add(&mut self, fd: i32, token: Token, interest: Interest) -> Result<(), PollError> {
            if fd < 0 {
                // poll(2) would pass over it in silence.
                return Err(PollError::Os(EBADF));
            }
            let at = if self.used < self.fds.len() {
                self.used += 1;
                self.used - 1
            } else {
                // A hole that has not been closed yet; it has no result that could be mistaken.
                self.fds.iter().position(|slot| slot.fd < 0).ok_or(PollError::Full)?
            };
            self.fds[at] = PollFd { fd, events: events(interest), revents: 0 };
            self.tokens[at] = token;
            Ok(())
        }

        fn modify(&mut self, fd: i32, token: Token, interest: Interest) -> Result<(), PollError> {
            let slot = self.find(fd, token).ok_or(PollError::NotWatched)?;
            slot.events = events(interest);
            Ok(())
        }

        fn remove(&mut self, fd: i32, token: Token) {
            if let Some(slot) = self.find(fd, token) {
                *slot = FREE;
            }
            // While no results are outstanding the hole can be closed at once, so that adding and
            // removing in turns needs no wait between.
            if self.cursor >= self.used {
                self.compact();
                self.cursor = self.used;
            }
        }

        fn wait(&mut self, timeout: Option<Duration>) -> Result<(), PollError> {
            self.compact();
            self.cursor = self.used;
            let mut ready = if timeout == Some(Duration::ZERO) { 0 } else { self.look() };
            if ready == 0 {
                ready = self.call(timeout.map(Duration::as_micros));
            }
            if ready < 0 {
                let errno = errno();
                return if errno == EINTR { Ok(()) } else { Err(PollError::Os(errno)) };
            }
            self.cursor = 0;
            Ok(())
        }

        fn next_ready(&mut self) -> Option<(Token, Readiness)> {
            while self.cursor < self.used {
                let at = self.cursor;
                self.cursor += 1;
                let slot = &mut self.fds[at];
                let revents = core::mem::take(&mut slot.revents);
                if slot.fd < 0 || revents == 0 {
                    continue;
                }
                let invalid = revents & POLLNVAL != 0;
                if invalid {
                    // Reported once, not spun on.
                    *slot = FREE;
                }
                let readiness = Readiness {
                    readable: revents & POLLIN != 0,
                    writable: revents & POLLOUT != 0,
                    error: revents & POLLERR != 0,
                    hangup: revents & POLLHUP != 0,
                    invalid,
                };
                return Some((self.tokens[at], readiness));
            }
            None
        }
    }
}

#[cfg(all(any(test, feature = "testing"), unix))]
#[allow(missing_docs, reason = "the names of the tests say it")]
pub(crate) mod scenarios;
#[cfg(all(test, unix))]
mod tests;
