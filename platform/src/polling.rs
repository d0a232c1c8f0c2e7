//! [`Polling`]: core's [`Poll`] on the `polling` crate (epoll, kqueue, …), whose cost does not grow
//! with the number of descriptors. For loops with more than some 64 of them.

use core::num::NonZeroUsize;
#[cfg(unix)]
use std::os::fd::BorrowedFd as Borrowed;
#[cfg(windows)]
use std::os::windows::io::BorrowedSocket as Borrowed;

use ::polling::{Event, Events, PollMode, Poller};
use bringup_core::poll::{Interest, Poll, Readiness, Token};
use bringup_core::time::Duration;

use crate::error::{Operation, OsError, during, number};
pub use crate::socket::RawSource;

/// How many results one wait hands on; the rest comes with the next one, as level-triggered polling
/// reports again what is still ready.
const RESULTS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// A poller on the `polling` crate, in level mode.
pub struct Polling {
    poller: Poller,
    events: Events,
    /// The results of the last wait, taken from the front.
    ready: Vec<(Token, Readiness)>,
    cursor: usize,
}

impl core::fmt::Debug for Polling {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Polling").field("poller", &self.poller).finish_non_exhaustive()
    }
}

/// The crate keeps the key `usize::MAX` for itself, which on 32-bit machines is [`Token::WAKE`].
/// Moving all tokens up by two leaves that key to a token that the loop never gives out.
fn key_of(token: Token) -> usize {
    token.0.wrapping_add(2) as usize
}

fn token_of(key: usize) -> Token {
    // Keys came from `key_of`: 32 bits.
    Token(u32::try_from(key).unwrap_or(u32::MAX).wrapping_sub(2))
}

/// Whether nothing is ever called this. What is borrowed must not be -1.
#[cfg(unix)]
fn is_none(fd: RawSource) -> bool {
    fd < 0
}

/// Whether nothing is ever called this (`INVALID_SOCKET`).
#[cfg(windows)]
fn is_none(socket: RawSource) -> bool {
    socket == RawSource::MAX
}

fn event_of(token: Token, interest: Interest) -> Event {
    Event::new(key_of(token), interest.readable, interest.writable)
}

impl Polling {
    /// A poller that watches nothing yet.
    pub fn new() -> Result<Self, OsError> {
        let poller = Poller::new().map_err(during(Operation::Watch))?;
        if !poller.supports_level() {
            return Err(OsError::new(Operation::Watch, number::ENOSYS));
        }
        let events = Events::with_capacity(RESULTS);
        Ok(Self { poller, events, ready: Vec::with_capacity(RESULTS.get()), cursor: 0 })
    }
}

impl Poll for Polling {
    type Handle = RawSource;
    type Error = OsError;

    fn add(&mut self, fd: RawSource, token: Token, interest: Interest) -> Result<(), OsError> {
        if is_none(fd) {
            return Err(OsError::new(Operation::Watch, number::EBADF));
        }
        // SAFETY: the crate asks that the descriptor be deleted before it is closed. To the kernel
        // it is a number: one that was closed without that is dropped from the set or refused, and
        // no memory is touched through it. The contract of `close` is that the loop removes first.
        let added =
            unsafe { self.poller.add_with_mode(fd, event_of(token, interest), PollMode::Level) };
        added.map_err(during(Operation::Watch))
    }

    fn modify(&mut self, fd: RawSource, token: Token, interest: Interest) -> Result<(), OsError> {
        if is_none(fd) {
            return Err(OsError::new(Operation::Watch, number::EBADF));
        }
        // SAFETY: as in `add`; it is not -1, and borrowed for one system call.
        let fd = unsafe { Borrowed::borrow_raw(fd) };
        self.poller
            .modify_with_mode(fd, event_of(token, interest), PollMode::Level)
            .map_err(during(Operation::Watch))
    }

    fn remove(&mut self, fd: RawSource, token: Token) {
        if !is_none(fd) {
            // SAFETY: as in `modify`.
            let fd = unsafe { Borrowed::borrow_raw(fd) };
            // One that is closed, or never was added, is not watched: that is all that was asked.
            let _ = self.poller.delete(fd);
        }
        // What of this turn's results is still to be read must not name it any more.
        let mut at = 0;
        let cursor = self.cursor;
        self.ready.retain(|(of, _)| {
            at += 1;
            at <= cursor || *of != token
        });
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), OsError> {
        self.ready.clear();
        self.cursor = 0;
        self.events.clear();
        // The crate waits on when a signal arrives.
        self.poller
            .wait(&mut self.events, timeout.map(core::time::Duration::from))
            .map_err(during(Operation::Wait))?;
        self.ready.extend(self.events.iter().map(|event| {
            let readiness = Readiness {
                readable: event.readable,
                writable: event.writable,
                error: event.is_err().unwrap_or(false),
                hangup: event.is_interrupt(),
                invalid: false,
            };
            (token_of(event.key), readiness)
        }));
        Ok(())
    }

    fn next_ready(&mut self) -> Option<(Token, Readiness)> {
        let next = self.ready.get(self.cursor).copied();
        self.cursor += usize::from(next.is_some());
        next
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use bringup_core::testing::{Fresh, poller_scenarios};

    impl Fresh for Polling {
        fn fresh() -> Self {
            Self::new().expect("a poller")
        }
    }

    // What core's own poller and the loop on it are held to.
    poller_scenarios!(Polling);

    #[test]
    fn tokens_survive_the_way_through_the_crate() {
        for token in [Token(0), Token(1), Token(0xFFFD_FFFF), Token::CLOCK, Token::WAKE] {
            assert_eq!(token_of(key_of(token)), token);
            assert_ne!(key_of(token), u32::MAX as usize, "reserved on 32-bit machines");
        }
    }
}
