//! A port that compiles and does nothing. Copy the crate, give it a name, and fill it in from top to
//! bottom; `PORTING.md` beside `bringup-platform` says what begins to work after each step, and the
//! test in `tests/conformance.rs` which promise is still broken.
#![no_std]

use core::net::SocketAddr;

use bringup_core::client::Rng;
use bringup_core::error::ErrorKind;
use bringup_core::platform::{Arm, Platform, RawLock, Received, SystemOps, UdpOptions, Wake};
use bringup_core::poll::{Interest, Poll, Readiness, Token};
use bringup_core::time::{Duration, Instant, Utc};

/// What stands for a socket: a descriptor, an index into a table, a pointer's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(u32);

/// What waits. A system with poll(2) takes `bringup_core::poll::UnixPoll` instead.
#[derive(Debug, Default)]
pub struct Poller;

impl Poll for Poller {
    type Handle = Handle;
    type Error = ErrorKind;

    fn add(&mut self, _: Handle, _: Token, _: Interest) -> Result<(), ErrorKind> {
        // Step 2: note handle, token and interest; `Exhausted` if there is no place for them.
        Err(ErrorKind::Unsupported)
    }

    fn modify(&mut self, _: Handle, _: Token, _: Interest) -> Result<(), ErrorKind> {
        Err(ErrorKind::Unsupported)
    }

    fn remove(&mut self, _: Handle, _: Token) {
        // Also out of the results that `next_ready` has not handed out yet.
    }

    fn wait(&mut self, _timeout: Option<Duration>) -> Result<(), ErrorKind> {
        // Step 1: sleep until the timeout is over; it is never rounded down. Step 2: or until one of the
        // handles is ready for what it is watched for. Step 3: or until a wake arrives.
        Ok(())
    }

    fn next_ready(&mut self) -> Option<(Token, Readiness)> {
        // Step 2: one by one what the last wait found, and again in the next wait if it stays so.
        None
    }
}

/// The port.
#[derive(Debug, Default)]
pub struct Port {
    poller: Poller,
}

impl Rng for Port {
    fn fill(&mut self, _buffer: &mut [u8]) {
        // Step 4: unpredictable bytes. A machine that has none must not start: say so where the port is
        // made, since nothing can be said here.
    }
}

impl Platform for Port {
    type Poller = Poller;
    type Handle = Handle;
    // An error of your own says more: which operation, which number.
    type Error = ErrorKind;

    fn now(&mut self) -> Instant {
        // Step 1: microseconds since whenever, never back, counting suspend; and if it does not, say so
        // in this comment and in the rig.
        Instant::ZERO
    }

    fn utc(&mut self) -> Utc {
        // The wall clock, however wrong; 1970 plus `now` where there is none.
        Utc::UNIX_EPOCH
    }

    fn poller(&mut self) -> &mut Poller {
        &mut self.poller
    }

    fn udp_open(&mut self, _options: &UdpOptions) -> Result<Handle, ErrorKind> {
        // Step 5: never blocks. Port 0 is one out of all, drawn with `Rng`, not the next one.
        Err(ErrorKind::Unsupported)
    }

    fn udp_send(&mut self, _: Handle, _to: SocketAddr, _bytes: &[u8]) -> Result<(), ErrorKind> {
        Err(ErrorKind::Unsupported)
    }

    fn udp_receive(&mut self, _: Handle, _: &mut [u8]) -> Result<Option<Received>, ErrorKind> {
        Err(ErrorKind::Unsupported)
    }

    fn close(&mut self, _handle: Handle) {}

    // Step 6: link_open, link_send, link_receive, interface, and with them DHCP.
    // Step 7: watch_open, watch_receive, interface_up, address_*, route_*, mtu_set.
    // Step 8: tcp_connect, tcp_send, tcp_receive; set_clock, reboot, wake_latency.
    // Each has a default that says `Unsupported`, and its documentation says what is lost then.
}

/// A lock that does not lock.
#[derive(Debug, Default)]
pub struct Lock;

// SAFETY: none: it excludes nobody. Step 3: take one of `bringup_platform::lock`, or argue here why
// your own keeps the contract of `RawLock`, sentence by sentence.
unsafe impl RawLock for Lock {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        f()
    }
}

/// A wake that wakes nobody.
#[derive(Debug, Default)]
pub struct Signal;

impl Wake for Signal {
    fn wake(&self) {
        // Step 3: end the wait that is going on, or the next one. From any context that may post.
    }

    fn clear(&self) {}
}

/// The lock and the wake of this port.
#[derive(Debug)]
pub struct Ops;

impl SystemOps for Ops {
    type Lock = Lock;
    type Wake = Signal;
}

impl Arm<Ops> for Port {
    fn arm(&mut self, _wake: &Signal) -> Result<Handle, ErrorKind> {
        // Step 3: a handle that the poller finds readable while a wake has come and was not cleared.
        // `Exists` the second time.
        Err(ErrorKind::Unsupported)
    }
}
