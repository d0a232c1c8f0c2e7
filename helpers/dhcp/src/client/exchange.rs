//! A message that is sent until somebody answers, and when it goes out.

use bringup_core::client::Rng;
use bringup_core::time::{Duration, Instant};

use crate::anonymous::Shuffle;

/// The least time between two REQUESTs while renewing or rebinding. RFC 2131 §4.4.5.
const RENEW_FLOOR: Duration = Duration::from_secs(60);

/// When a message of an exchange goes out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    /// As soon as there is a socket and a token.
    Due,
    /// Then, if there is no answer before.
    At(Instant),
}

impl Next {
    pub(super) const fn deadline(self) -> Option<Instant> {
        match self {
            Self::Due => None,
            Self::At(at) => Some(at),
        }
    }
}

/// A message that is sent until somebody answers, under one xid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    pub(super) xid: u32,
    /// When the acquisition or renewal began, for `secs`; `None` until the first send.
    pub(super) began: Option<Instant>,
    /// When this message was first sent. Nothing is an answer before that; leases count from it.
    pub(super) first_sent: Option<Instant>,
    /// How often it was sent.
    pub(super) sends: u8,
    /// The order of options under anonymity, the same in all of them.
    pub(super) shuffle: Shuffle,
    next: Next,
}

impl Exchange {
    /// A new exchange that sends at once.
    pub(super) fn new(rng: &mut dyn Rng, began: Option<Instant>) -> Self {
        let xid = rng.u32();
        Self::with_xid(xid, rng, began)
    }

    pub(super) fn with_xid(xid: u32, rng: &mut dyn Rng, began: Option<Instant>) -> Self {
        let shuffle = Shuffle(rng.u32());
        Self { xid, began, first_sent: None, sends: 0, shuffle, next: Next::Due }
    }

    pub(super) const fn is_due(&self) -> bool {
        matches!(self.next, Next::Due)
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.next.deadline()
    }

    pub(super) const fn send_again(&mut self) {
        self.next = Next::Due;
    }

    /// `secs` of a message that goes out now: 0 in the first, saturating (RFC 2131 Table 1).
    pub(super) fn secs(&self, now: Instant) -> u16 {
        let elapsed = now.since(self.began.unwrap_or(now)).as_secs();
        u16::try_from(elapsed).unwrap_or(u16::MAX)
    }

    /// A message went out, or could not: either way the next one waits.
    pub(super) fn sent(&mut self, now: Instant, wait: Duration, went_out: bool) {
        if went_out {
            self.began = self.began.or(Some(now));
            self.first_sent = self.first_sent.or(Some(now));
        }
        self.sends = self.sends.saturating_add(1);
        self.next = Next::At(now + wait);
    }
}

/// Half of the time that is left, at least a minute. RFC 2131 §4.4.5.
pub(super) fn renewal_wait(now: Instant, until: Instant) -> Duration {
    (until.since(now) / 2).max(RENEW_FLOOR)
}
