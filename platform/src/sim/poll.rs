//! The simulator's poller, and what wakes it.

use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bringup_core::error::ErrorKind;
use bringup_core::platform::{SystemOps, Wake};
use bringup_core::poll::{Interest, Poll, Readiness, Token};
use bringup_core::time::Duration;

use crate::lock::StdLock;

/// A socket of the simulated host, or its wake. Numbers are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SimHandle(pub(super) u32);

impl SimHandle {
    /// The wake of the attach queue.
    pub(super) const WAKE: Self = Self(0);
}

/// The poller of a simulated platform. Only the platform's own `wait` lets time pass; this one's
/// finds what the last left.
#[derive(Debug, Default)]
pub struct SimPoll {
    watched: Vec<(SimHandle, Token, Interest)>,
    ready: Vec<(Token, Readiness)>,
    cursor: usize,
}

impl SimPoll {
    /// Takes down what is ready now. Whether anything is.
    pub(super) fn collect(&mut self, mut look: impl FnMut(SimHandle) -> Readiness) -> bool {
        self.ready.clear();
        self.cursor = 0;
        for &(handle, token, interest) in &self.watched {
            let is = look(handle);
            let readable = is.readable && interest.readable;
            let writable = is.writable && interest.writable;
            let readiness = Readiness { readable, writable, ..is };
            if readiness != Readiness::default() {
                self.ready.push((token, readiness));
            }
        }
        !self.ready.is_empty()
    }
}

impl Poll for SimPoll {
    type Handle = SimHandle;
    type Error = ErrorKind;

    fn add(
        &mut self,
        handle: SimHandle,
        token: Token,
        interest: Interest,
    ) -> Result<(), ErrorKind> {
        if self.watched.iter().any(|(h, t, _)| (*h, *t) == (handle, token)) {
            return Err(ErrorKind::Exists);
        }
        self.watched.push((handle, token, interest));
        Ok(())
    }

    fn modify(
        &mut self,
        handle: SimHandle,
        token: Token,
        interest: Interest,
    ) -> Result<(), ErrorKind> {
        let mut watched = self.watched.iter_mut();
        let found = watched.find(|(h, t, _)| (*h, *t) == (handle, token));
        let (_, _, was) = found.ok_or(ErrorKind::NotFound)?;
        *was = interest;
        Ok(())
    }

    fn remove(&mut self, handle: SimHandle, token: Token) {
        self.watched.retain(|(h, t, _)| (*h, *t) != (handle, token));
        let mut at = 0;
        let cursor = self.cursor;
        self.ready.retain(|(of, _)| {
            at += 1;
            at <= cursor || *of != token
        });
    }

    fn wait(&mut self, _timeout: Option<Duration>) -> Result<(), ErrorKind> {
        self.cursor = 0;
        Ok(())
    }

    fn next_ready(&mut self) -> Option<(Token, Readiness)> {
        let next = self.ready.get(self.cursor).copied();
        self.cursor += usize::from(next.is_some());
        next
    }
}

/// Ends the next wait of a simulated platform, from any thread.
#[derive(Debug, Default)]
pub struct SimWake(OnceLock<Arc<AtomicBool>>);

impl SimWake {
    /// A wake that does nothing yet.
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    pub(super) fn arm(&self) -> Result<Arc<AtomicBool>, ErrorKind> {
        let flag = Arc::new(AtomicBool::new(false));
        self.0.set(Arc::clone(&flag)).map_err(|_| ErrorKind::Exists)?;
        Ok(flag)
    }
}

impl Wake for SimWake {
    fn wake(&self) {
        if let Some(flag) = self.0.get() {
            flag.store(true, Ordering::Release);
        }
    }

    fn clear(&self) {
        if let Some(flag) = self.0.get() {
            flag.store(false, Ordering::Release);
        }
    }
}

/// What other threads share with a simulated platform.
#[derive(Debug)]
pub struct SimOps;

impl SystemOps for SimOps {
    type Lock = StdLock;
    type Wake = SimWake;
}
