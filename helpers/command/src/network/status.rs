//! [`Status`]: what every thread may look at, and wait for, without asking the loop.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bringup_core::state::{States as _, SystemState};

use super::Error;

#[derive(Clone, Copy, Debug)]
struct Now {
    state: SystemState,
    held_by: Option<&'static str>,
    ended: bool,
}

/// The state as it was told last.
#[derive(Debug)]
pub(super) struct Status {
    now: Mutex<Now>,
    changed: Condvar,
}

impl Status {
    pub(super) const fn new() -> Self {
        let now = Now { state: SystemState::ContextCreated, held_by: None, ended: false };
        Self { now: Mutex::new(now), changed: Condvar::new() }
    }

    pub(super) fn state(&self) -> SystemState {
        self.now().state
    }

    pub(super) fn held_by(&self) -> Option<&'static str> {
        self.now().held_by
    }

    pub(super) fn set(&self, state: SystemState, held_by: Option<&'static str>) {
        let mut now = self.now();
        (now.state, now.held_by) = (state, held_by);
        self.changed.notify_all();
    }

    pub(super) fn end(&self) {
        self.now().ended = true;
        self.changed.notify_all();
    }

    pub(super) fn wait(&self, state: SystemState, timeout: Duration) -> Result<(), Error> {
        // A timeout without end is one that the clock cannot count.
        let deadline = Instant::now().checked_add(timeout);
        let mut now = self.now();
        loop {
            if now.ended {
                return Err(Error::Ended);
            }
            if state.reached_in(now.state) {
                return Ok(());
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            now = match left {
                Some(Duration::ZERO) => {
                    return Err(Error::TimedOut { state, held_by: now.held_by });
                }
                Some(left) => {
                    let waited = self.changed.wait_timeout(now, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(now).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        // Three words that are written together: a panic elsewhere leaves them whole.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
