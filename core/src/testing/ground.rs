//! [`Ground`]: a platform over any poller, in virtual time or by a real clock.

extern crate std;

use core::net::SocketAddr;
use std::vec::Vec;

use super::{Ops, TestWake, assert_unlocked};
use crate::client::Rng;
use crate::error::ErrorKind;
use crate::platform::{Arm, Platform, PlatformError, Received, UdpOptions};
use crate::poll::{Interest, Poll, Readiness, Token};
use crate::time::{Duration, Instant, Utc};

/// A poller that can be tested.
pub trait Fresh: Poll<Handle = i32, Error: PlatformError> + 'static {
    /// One that watches nothing yet, with room for eight descriptors at least.
    fn fresh() -> Self;
}

/// A poller that lets the platform see whether anything is ready.
pub(crate) struct Peek<Po> {
    poller: Po,
    first: Option<(Token, Readiness)>,
}

impl<Po: Poll> Poll for Peek<Po> {
    type Handle = Po::Handle;
    type Error = Po::Error;

    fn add(&mut self, handle: Po::Handle, token: Token, i: Interest) -> Result<(), Po::Error> {
        self.poller.add(handle, token, i)
    }

    fn modify(&mut self, handle: Po::Handle, token: Token, i: Interest) -> Result<(), Po::Error> {
        self.poller.modify(handle, token, i)
    }

    fn remove(&mut self, handle: Po::Handle, token: Token) {
        self.first = self.first.filter(|(of, _)| *of != token);
        self.poller.remove(handle, token);
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), Po::Error> {
        self.first = None;
        self.poller.wait(timeout)?;
        self.first = self.poller.next_ready();
        Ok(())
    }

    fn next_ready(&mut self) -> Option<(Token, Readiness)> {
        self.first.take().or_else(|| self.poller.next_ready())
    }
}

enum Clock {
    /// Waiting is jumping to the deadline, unless something is ready.
    Jumps(Instant),
    Runs(std::time::Instant),
}

pub(crate) struct Ground<Po> {
    poller: Peek<Po>,
    clock: Clock,
    /// The deadline of every wait.
    pub(crate) waits: Vec<Option<Instant>>,
}

impl<Po: Fresh> Ground<Po> {
    /// By the machine's clock.
    pub(crate) fn real() -> Self {
        Self { clock: Clock::Runs(std::time::Instant::now()), ..Self::default() }
    }

    /// Lets virtual time go on.
    pub(crate) fn advance(&mut self, by: Duration) {
        let Clock::Jumps(now) = &mut self.clock else { panic!("the clock is real") };
        *now += by;
    }
}

/// In virtual time.
impl<Po: Fresh> Default for Ground<Po> {
    fn default() -> Self {
        Self {
            poller: Peek { poller: Po::fresh(), first: None },
            clock: Clock::Jumps(Instant::ZERO),
            waits: Vec::new(),
        }
    }
}

impl<Po> Rng for Ground<Po> {
    fn fill(&mut self, buffer: &mut [u8]) {
        buffer.fill(4);
    }
}

impl<Po: Fresh> Platform for Ground<Po> {
    type Poller = Peek<Po>;
    type Handle = i32;
    type Error = Po::Error;

    fn now(&mut self) -> Instant {
        match self.clock {
            Clock::Jumps(now) => now,
            Clock::Runs(start) => Instant::ZERO + start.elapsed().into(),
        }
    }
    fn utc(&mut self) -> Utc {
        Utc::from_unix_nanos(0)
    }
    fn poller(&mut self) -> &mut Peek<Po> {
        &mut self.poller
    }
    fn wait(&mut self, deadline: Option<Instant>) -> Result<(), Po::Error> {
        assert_unlocked();
        self.waits.push(deadline);
        let Clock::Jumps(now) = &mut self.clock else {
            let timeout = deadline.map(|at| at.since(self.now()));
            return self.poller.wait(timeout);
        };
        self.poller.wait(Some(Duration::ZERO))?;
        if self.poller.first.is_some() {
            return Ok(());
        }
        match deadline {
            Some(at) => *now = at.max(*now),
            None => self.poller.wait(None)?,
        }
        Ok(())
    }
    fn udp_open(&mut self, _: &UdpOptions) -> Result<i32, Po::Error> {
        Err(Po::Error::unsupported())
    }
    fn udp_send(&mut self, _: i32, _: SocketAddr, _: &[u8]) -> Result<(), Po::Error> {
        Err(Po::Error::unsupported())
    }
    fn udp_receive(&mut self, _: i32, _: &mut [u8]) -> Result<Option<Received>, Po::Error> {
        Err(Po::Error::unsupported())
    }
    fn close(&mut self, _: i32) {}
    fn wake_latency(&mut self) -> Duration {
        Duration::from_micros(300)
    }
}

impl<Po: Fresh> Arm<Ops> for Ground<Po> {
    fn arm(&mut self, wake: &TestWake) -> Result<i32, Po::Error> {
        wake.arm().ok_or(Po::Error::unsupported())
    }
}

/// A poller whose descriptors are never ready.
pub(crate) struct Still;

impl Fresh for Still {
    fn fresh() -> Self {
        Self
    }
}

impl Poll for Still {
    type Handle = i32;
    type Error = ErrorKind;

    fn add(&mut self, _: i32, _: Token, _: Interest) -> Result<(), ErrorKind> {
        Ok(())
    }
    fn modify(&mut self, _: i32, _: Token, _: Interest) -> Result<(), ErrorKind> {
        Ok(())
    }
    fn remove(&mut self, _: i32, _: Token) {}
    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), ErrorKind> {
        assert!(timeout.is_some(), "nothing would ever end this wait");
        Ok(())
    }
    fn next_ready(&mut self) -> Option<(Token, Readiness)> {
        None
    }
}
