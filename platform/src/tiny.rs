//! The port to Linux for the smallest programs: no std, no heap, no crate but core. What it calls of
//! the C library is declared by hand.
//!
//! [`Tiny`] is the platform; its memory is lent ([`TinyStorage`]). `sys` holds the system calls, one to a
//! function, `udp` and `packet` the sockets, `netlink` interfaces, addresses and routes, `share` what
//! threads share, `error` what failed. `bringup-tiny` (`platform/tiny/`) is a program on it.
//!
//! A handle is a descriptor's number, and the port keeps no list of them: what the loop does not close
//! stays open until the program ends, and a number that is not a socket's is an error of the kernel.
//!
//! **What it does not have**, to be small: TCP (a DNS answer that does not fit into a datagram cannot
//! be had), the kernel's time of arrival (the error bound of a time is wider by the wake-up), changing the
//! clock and restarting the machine (both always refused), and a say in the order of addresses.
//!
//! The numbers are those that most machines share; MIPS, SPARC, Alpha and PA-RISC have others, and there
//! it is left out. A big-endian 64-bit machine wants glibc: musl's `msghdr` is laid out otherwise.

mod error;
mod netlink;
mod packet;
mod share;
mod sys;
mod udp;

use core::ffi::c_int;
use core::net::SocketAddr;

use bringup_core::client::{LinkFilter, Mac, Rng};
use bringup_core::platform::{
    AddressConfig, Arm, Interface, InterfaceChange, Platform, Received, ReceivedFrame, RouteConfig,
    SystemOps, UdpOptions,
};
use bringup_core::poll::{Interest, Poll, PollError, PollStorage, Readiness, Token, UnixPoll};
use bringup_core::time::{Duration, Instant, Utc};

pub use self::error::{Call, TinyError};
use self::netlink::{Buffer, Requests, Watch};
pub use self::share::{FutexLock, TinyOps, TinyWake};
use self::sys::{CLOCK_BOOTTIME, CLOCK_REALTIME};

/// Memory for a [`Tiny`] that watches up to `N` descriptors; fit for a static.
#[derive(Debug)]
pub struct TinyStorage<const N: usize = 48> {
    poll: PollStorage<N>,
    requests: Buffer,
    watch: Buffer,
}

impl<const N: usize> TinyStorage<N> {
    /// Memory that is not in use.
    pub const fn new() -> Self {
        Self { poll: PollStorage::new(), requests: Buffer::new(), watch: Buffer::new() }
    }
}

impl<const N: usize> Default for TinyStorage<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Core's poller, with this port's error.
#[derive(Debug)]
pub struct TinyPoll<'m>(UnixPoll<'m>);

impl Poll for TinyPoll<'_> {
    type Handle = c_int;
    type Error = TinyError;

    fn add(&mut self, fd: c_int, token: Token, interest: Interest) -> Result<(), TinyError> {
        Ok(self.0.add(fd, token, interest)?)
    }

    fn modify(&mut self, fd: c_int, token: Token, interest: Interest) -> Result<(), TinyError> {
        Ok(self.0.modify(fd, token, interest)?)
    }

    fn remove(&mut self, fd: c_int, token: Token) {
        self.0.remove(fd, token);
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), TinyError> {
        Ok(self.0.wait(timeout)?)
    }

    fn next_ready(&mut self) -> Option<(Token, Readiness)> {
        self.0.next_ready()
    }
}

impl From<PollError> for TinyError {
    fn from(error: PollError) -> Self {
        match error {
            PollError::Full => Self::new(Call::Poll, error::ENOSPC),
            PollError::NotWatched => Self::new(Call::Poll, error::ENOENT),
            PollError::Os(errno) => Self::new(Call::Poll, errno),
        }
    }
}

/// Deadlines further off than this wait on the clock's descriptor: the timeout of poll(2) stands still
/// while the machine is suspended.
const SHORT: Duration = Duration::from_secs(1);

/// Linux on the C library alone.
#[derive(Debug)]
pub struct Tiny<'m> {
    poller: TinyPoll<'m>,
    /// Readable when CLOCK_BOOTTIME reaches a deadline.
    clock: c_int,
    armed_for: Option<Instant>,
    /// A packet socket that the loop has closed and the kernel has not. That takes it 10 to 25 ms, in which
    /// all else would stand still, and so it waits until there is nothing to do.
    closing: Option<c_int>,
    requests: Requests<'m>,
    watch: Watch<'m>,
}

impl<'m> Tiny<'m> {
    /// A platform over lent memory. Takes one slot of the poller for its clock. Waits until the kernel
    /// has entropy, early after boot; fails if it never has.
    pub fn new<const N: usize>(storage: &'m mut TinyStorage<N>) -> Result<Self, TinyError> {
        let TinyStorage { poll, requests, watch } = storage;
        sys::random(&mut [0; 1])?;
        let clock = sys::timerfd()?;
        let mut poller = TinyPoll(UnixPoll::new(poll));
        poller.add(clock, Token::CLOCK, Interest::READ)?;
        Ok(Self {
            poller,
            clock,
            armed_for: None,
            closing: None,
            requests: Requests::new(requests),
            watch: Watch::new(watch),
        })
    }

    /// Sets the clock's descriptor; one that has fired is quiet again.
    fn arm_clock(&mut self, at: Option<Instant>) -> Result<(), TinyError> {
        sys::timerfd_set(self.clock, at.map_or(0, Instant::as_micros))?;
        self.armed_for = at;
        Ok(())
    }

    /// Closes what was left for a quiet moment.
    fn close_at_last(&mut self) {
        if let Some(fd) = self.closing.take() {
            sys::close(fd);
        }
    }
}

impl Drop for Tiny<'_> {
    fn drop(&mut self) {
        sys::close(self.clock);
        self.close_at_last();
        self.requests.close();
        self.watch.close();
    }
}

impl Rng for Tiny<'_> {
    fn fill(&mut self, buffer: &mut [u8]) {
        if sys::random(buffer).is_err() {
            // To go on with predictable ids would be worse.
            sys::abort();
        }
    }
}

impl<'m> Platform for Tiny<'m> {
    type Poller = TinyPoll<'m>;
    type Handle = c_int;
    type Error = TinyError;

    fn now(&mut self) -> Instant {
        let ns = u64::try_from(sys::clock_ns(CLOCK_BOOTTIME)).unwrap_or(0);
        Instant::from_micros(ns / 1_000)
    }

    fn utc(&mut self) -> Utc {
        Utc::from_unix_nanos(sys::clock_ns(CLOCK_REALTIME))
    }

    fn poller(&mut self) -> &mut TinyPoll<'m> {
        &mut self.poller
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Result<(), TinyError> {
        let now = self.now();
        let timeout = deadline.map(|at| at.since(now));
        let far = timeout.is_none_or(|timeout| timeout > SHORT);
        if far {
            self.close_at_last();
        }
        if far && self.armed_for != deadline {
            self.arm_clock(deadline)?;
        } else if !far && self.armed_for.is_some_and(|at| at <= now) {
            self.arm_clock(None)?;
        }
        self.poller.wait(if far { None } else { timeout })
    }

    fn udp_open(&mut self, options: &UdpOptions) -> Result<c_int, TinyError> {
        udp::open(options, self)
    }

    fn udp_send(&mut self, fd: c_int, to: SocketAddr, bytes: &[u8]) -> Result<(), TinyError> {
        udp::send(fd, to, bytes)
    }

    fn udp_receive(&mut self, fd: c_int, bytes: &mut [u8]) -> Result<Option<Received>, TinyError> {
        udp::receive(fd, bytes, self.now())
    }

    fn close(&mut self, fd: c_int) {
        if self.watch.forget(fd) {
            return;
        }
        if packet::silence(fd) {
            self.close_at_last();
            self.closing = Some(fd);
        } else {
            sys::close(fd);
        }
    }

    fn link_open(&mut self, interface: u32, filter: LinkFilter) -> Result<c_int, TinyError> {
        packet::open(interface, filter)
    }

    fn link_send(
        &mut self,
        fd: c_int,
        to: Mac,
        ethertype: u16,
        payload: &[u8],
    ) -> Result<(), TinyError> {
        packet::send(fd, to, ethertype, payload)
    }

    fn link_receive(
        &mut self,
        fd: c_int,
        buffer: &mut [u8],
    ) -> Result<Option<ReceivedFrame>, TinyError> {
        packet::receive(fd, buffer, self.now())
    }

    fn interface(&mut self, name: &str) -> Result<Interface, TinyError> {
        self.requests.interface(name)
    }

    /// There is one at a time.
    fn watch_open(&mut self) -> Result<c_int, TinyError> {
        self.watch.open()
    }

    fn watch_receive(&mut self, fd: c_int) -> Result<Option<InterfaceChange>, TinyError> {
        self.watch.receive(fd)
    }

    fn interface_up(&mut self, interface: u32) -> Result<(), TinyError> {
        self.requests.interface_up(interface)
    }

    fn interface_down(&mut self, interface: u32) -> Result<(), TinyError> {
        self.requests.interface_down(interface)
    }

    fn mtu_set(&mut self, interface: u32, mtu: u32) -> Result<(), TinyError> {
        self.requests.mtu_set(interface, mtu)
    }

    fn address_add(&mut self, interface: u32, config: &AddressConfig) -> Result<(), TinyError> {
        self.requests.address_add(interface, config)
    }

    fn address_remove(&mut self, interface: u32, config: &AddressConfig) -> Result<(), TinyError> {
        self.requests.address_remove(interface, config)
    }

    fn route_add(&mut self, interface: u32, config: &RouteConfig) -> Result<(), TinyError> {
        self.requests.route_add(interface, config)
    }

    fn route_remove(&mut self, interface: u32, config: &RouteConfig) -> Result<(), TinyError> {
        self.requests.route_remove(interface, config)
    }
}

/// Any lock will do, if the wake is a [`TinyWake`].
impl<O: SystemOps<Wake = TinyWake>> Arm<O> for Tiny<'_> {
    fn arm(&mut self, wake: &TinyWake) -> Result<c_int, TinyError> {
        wake.arm()
    }
}
