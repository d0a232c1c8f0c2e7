//! What the application hears: [`Event`] and [`Report`].

use core::fmt;

use bringup_core::time::Utc;

use super::config::Server;
use crate::clock::ClockState;
use crate::discard::{Counters, Discard, bump};
use crate::discipline::Adjust;
use crate::packet::Leap;

/// Something that the application may act upon. `server` is an index into the list of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The time is known better, or worse, than before.
    StateChanged {
        /// What was.
        from: ClockState,
        /// What is.
        to: ClockState,
    },
    /// A server gave a good sample.
    Sample {
        /// Which server.
        server: u8,
        /// δ, nanoseconds.
        delay_ns: u32,
        /// λ, the error bound of this sample, nanoseconds.
        root_distance_ns: u64,
    },
    /// A server answered a request, but not with a time to believe.
    Rejected {
        /// Which server.
        server: u8,
        /// The rule.
        why: Discard,
    },
    /// What is to be done about the wall clock. Tell the client if it was done:
    /// [`NtpClient::applied`](super::NtpClient::applied).
    Adjust(Adjust),
    /// A majority announces a leap second, or no longer does. What is known of the time follows it by
    /// itself, and a kernel is told by [`Adjust::Leap`].
    Leap {
        /// Which; [`Leap::None`] if there is to be none.
        leap: Leap,
        /// The end of the month: the first instant after it.
        at: Utc,
    },
    /// The servers say a time that is too far off to be believed. Nothing changes until somebody
    /// says so: [`NtpClient::forget`](super::NtpClient::forget).
    PanicLimit {
        /// By how much, nanoseconds: what would have to be added.
        offset_ns: i64,
    },
    /// No server answers. The client goes on trying, ever more slowly.
    Exhausted,
    /// Keep this time over a restart: it has passed for certain, and is the next start's floor.
    SaveClock {
        /// The time.
        utc: Utc,
    },
    /// A probe has finished with this server; see [`NtpClient::report`](super::NtpClient::report).
    Report {
        /// Which server.
        server: u8,
    },
    /// A probe has finished with all servers, and the client has stopped.
    ProbeDone,
}

/// What a probe says of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It gives a time to believe.
    Ok,
    /// The majority of the servers says that its time is wrong.
    Outvoted,
    /// It does not answer.
    NoReply,
    /// What it sends is discarded.
    Discarded(Discard),
}

impl Verdict {
    /// Its name in output: lower case, with hyphens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Outvoted => "outvoted",
            Self::NoReply => "no-reply",
            Self::Discarded(why) => why.name(),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What is known of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The server.
    pub server: Server,
    /// What it is worth.
    pub verdict: Verdict,
    /// What it is about, if it has given a time.
    pub sample: Option<ReportedSample>,
}

/// The best sample of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportedSample {
    /// θ, what must be added to the wall clock, nanoseconds; saturating.
    pub offset_ns: i64,
    /// δ, nanoseconds.
    pub delay_ns: u32,
    /// λ, the error bound of the offset, nanoseconds.
    pub root_distance_ns: u64,
    /// The server's stratum, `1..=15`.
    pub stratum: u8,
    /// The server's leap warning.
    pub leap: Leap,
    /// Where the server has its time from.
    pub reference_id: [u8; 4],
}

/// Events that wait to be taken. One call on a client makes fewer than fit.
const QUEUE: usize = 24;

/// Events in the order in which they happened.
pub(super) struct Events {
    ring: [Option<Event>; QUEUE],
    first: usize,
    length: usize,
}

impl Events {
    pub(super) const fn new() -> Self {
        Self { ring: [None; QUEUE], first: 0, length: 0 }
    }

    /// Queues an event. The oldest gives way if nobody takes them, and is counted.
    pub(super) fn push(&mut self, event: Event, counters: &mut Counters) {
        if self.length == QUEUE {
            self.pop();
            bump(&mut counters.events_lost);
        }
        if let Some(slot) = self.ring.get_mut((self.first + self.length) % QUEUE) {
            *slot = Some(event);
            self.length += 1;
        }
    }

    /// Takes the oldest.
    pub(super) fn pop(&mut self) -> Option<Event> {
        let event = self.ring.get_mut(self.first)?.take()?;
        self.first = (self.first + 1) % QUEUE;
        self.length -= 1;
        Some(event)
    }
}
