//! [`Clock`]: what is known of the time, how well, and since when.

use bringup_core::time::{Duration, Instant, Utc};

use crate::accept::{drift_ns, instant_ns};
use crate::select::Candidate;

/// How well the time is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClockState {
    /// Not at all, or not any more.
    #[default]
    Invalid,
    /// By one good sample, enough for certificates (C1); or confirmed once, but no longer.
    Provisional,
    /// By two servers that agree, or by two samples of one that is trusted (C2).
    Confirmed,
}

impl ClockState {
    /// Its name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Provisional => "provisional",
            Self::Confirmed => "confirmed",
        }
    }
}

impl core::fmt::Display for ClockState {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.name())
    }
}

/// UTC at some instant, and how far off it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UtcEstimate {
    /// The best guess.
    pub utc: Utc,
    /// The truth lies within so many nanoseconds of it, if the servers are right about themselves
    /// and the local oscillator is good to 15 ppm.
    pub error_ns: u64,
}

/// What selection proposes to believe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// UTC at [`Instant::ZERO`], nanoseconds, and its error bound.
    pub claim: Candidate,
    /// How many servers say so.
    pub voices: u32,
    /// Whether it would confirm a clock by itself.
    pub confirms: bool,
}

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is believed from now on.
    Taken,
    /// It is believed from now on, although it is beyond the panic limit: several servers correct
    /// what one alone had confirmed.
    Corrected,
    /// One voice against a confirmed time: nothing changes.
    Unconfirmed,
    /// It is further off a confirmed time than the panic limit: nothing is believed any more than
    /// before, and the time is no longer confirmed.
    Panic {
        /// By how much it differs, nanoseconds.
        offset_ns: i64,
    },
}

/// What is known of the time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    state: ClockState,
    claim: Candidate,
    /// When `claim` was taken; its error bound grows from then on.
    taken_at: Instant,
    /// How many servers have confirmed it, 0 if none have: what is further off than the panic limit
    /// is not believed any more (C4).
    voices: u32,
    /// How long after `taken_at` it stays confirmed, and known at all.
    confirmed_for: Duration,
    valid_for: Duration,
}

impl Clock {
    /// Nothing is known. Without news, a confirmed time becomes provisional after `confirmed_for`
    /// and invalid after `valid_for`.
    pub const fn new(confirmed_for: Duration, valid_for: Duration) -> Self {
        Self {
            state: ClockState::Invalid,
            claim: Candidate { offset_ns: 0, distance_ns: 0 },
            taken_at: Instant::ZERO,
            voices: 0,
            confirmed_for,
            valid_for,
        }
    }

    /// How well the time is known.
    pub const fn state(&self) -> ClockState {
        self.state
    }

    /// How many servers have confirmed what is believed; 0 if it never was confirmed.
    pub const fn voices(&self) -> u32 {
        self.voices
    }

    /// UTC at `now`; `None` while it is not known.
    pub fn utc(&self, now: Instant) -> Option<UtcEstimate> {
        if self.state == ClockState::Invalid {
            return None;
        }
        let ns = self.claim.offset_ns.wrapping_add(instant_ns(now));
        Some(UtcEstimate { utc: Utc::from_unix_nanos(ns), error_ns: self.held(now).distance_ns })
    }

    /// What is believed, with the error bound that it has by `now`.
    fn held(&self, now: Instant) -> Candidate {
        let drift_ns = drift_ns(now.since(self.taken_at).as_micros());
        Candidate { distance_ns: self.claim.distance_ns.saturating_add(drift_ns), ..self.claim }
    }

    /// Whether a claim can be true if what is believed is; not while nothing is.
    pub fn agrees(&self, now: Instant, claim: &Candidate) -> bool {
        self.state != ClockState::Invalid && self.held(now).agrees(claim)
    }

    /// Weighs a proposal against what is believed.
    pub fn consider(&mut self, now: Instant, proposal: &Proposal, panic_ns: u64) -> Outcome {
        let held = self.held(now);
        let agrees = self.agrees(now, &proposal.claim);
        let apart_ns = proposal.claim.offset_ns.wrapping_sub(held.offset_ns);
        let is_absurd = self.voices > 0 && apart_ns.unsigned_abs() > panic_ns;
        let corrects = self.voices == 1 && proposal.voices >= 2 && proposal.confirms;
        if is_absurd && !corrects {
            if proposal.confirms {
                self.doubt();
                return Outcome::Panic { offset_ns: apart_ns };
            }
            return Outcome::Unconfirmed;
        }
        if self.state == ClockState::Confirmed && !agrees && !proposal.confirms {
            return Outcome::Unconfirmed;
        }
        if proposal.confirms {
            self.state = ClockState::Confirmed;
            self.voices = if agrees { self.voices.max(proposal.voices) } else { proposal.voices };
        } else if self.state != ClockState::Confirmed {
            self.state = ClockState::Provisional;
        }
        (self.claim, self.taken_at) = (proposal.claim, now);
        if is_absurd { Outcome::Corrected } else { Outcome::Taken }
    }

    /// The servers do not agree any more: what is believed stays, unconfirmed.
    pub fn doubt(&mut self) {
        self.state = self.state.min(ClockState::Provisional);
    }

    /// The monotonic clock has been steered by up to this much since the time was taken.
    pub fn widen(&mut self, by_ns: u64) {
        self.claim.distance_ns = self.claim.distance_ns.saturating_add(by_ns);
    }

    /// A leap second has passed.
    pub(crate) fn shift(&mut self, by_ns: i64) {
        self.claim.offset_ns = self.claim.offset_ns.wrapping_add(by_ns);
    }

    /// Throws away what is known; the next good sample counts as the first.
    pub fn forget(&mut self) {
        (self.state, self.voices) = (ClockState::Invalid, 0);
    }

    /// Lets what is known grow stale.
    pub fn age(&mut self, now: Instant) {
        let age = now.since(self.taken_at);
        if age >= self.confirmed_for {
            self.doubt();
        }
        if age >= self.valid_for {
            self.state = ClockState::Invalid;
        }
    }

    /// When [`age`](Self::age) changes something.
    pub fn stale_at(&self) -> Option<Instant> {
        match self.state {
            ClockState::Invalid => None,
            ClockState::Provisional => Some(self.taken_at + self.valid_for),
            ClockState::Confirmed => Some(self.taken_at + self.confirmed_for.min(self.valid_for)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANIC_NS: u64 = 1_000_000_000_000;

    fn proposal(seconds: i64, confirms: bool) -> Proposal {
        let claim = Candidate { offset_ns: seconds * 1_000_000_000, distance_ns: 10_000_000 };
        Proposal { claim, voices: if confirms { 2 } else { 1 }, confirms }
    }

    fn at(s: u64) -> Instant {
        Instant::from_micros(s * 1_000_000)
    }

    fn confirmed() -> Clock {
        let mut clock = Clock::new(Duration::from_secs(86_400), Duration::from_secs(604_800));
        clock.consider(at(10), &proposal(5_000, true), PANIC_NS);
        clock
    }

    #[test]
    fn c4_panic_is_latched_until_forgotten() {
        let mut clock = confirmed();
        let panic = Outcome::Panic { offset_ns: 2_000_000_000_000 };
        assert_eq!(clock.consider(at(20), &proposal(7_000, true), PANIC_NS), panic);
        assert_eq!(clock.state(), ClockState::Provisional, "no longer confirmed");
        clock.age(at(10_000_000));
        assert_eq!(clock.state(), ClockState::Invalid);
        let again = clock.consider(at(10_000_001), &proposal(7_000, true), PANIC_NS);
        assert_eq!(again, panic, "growing stale does not open the way");
        clock.forget();
        let after = clock.consider(at(10_000_002), &proposal(7_000, false), PANIC_NS);
        assert_eq!((after, clock.state()), (Outcome::Taken, ClockState::Provisional));
    }

    #[test]
    fn several_correct_what_one_alone_has_confirmed() {
        let mut clock = Clock::new(Duration::from_secs(86_400), Duration::from_secs(604_800));
        clock.consider(at(1), &Proposal { voices: 1, ..proposal(8_600, true) }, PANIC_NS);
        assert_eq!(clock.state(), ClockState::Confirmed);
        let alone = Proposal { voices: 1, ..proposal(5_000, true) };
        assert!(matches!(clock.consider(at(2), &alone, PANIC_NS), Outcome::Panic { .. }));
        assert_eq!(clock.consider(at(3), &proposal(5_000, true), PANIC_NS), Outcome::Corrected);
        assert_eq!((clock.state(), clock.voices()), (ClockState::Confirmed, 2));
    }

    #[test]
    fn c4_one_voice_does_not_move_a_confirmed_time() {
        let mut clock = confirmed();
        let before = clock.utc(at(30));
        assert_eq!(clock.consider(at(30), &proposal(5_060, false), PANIC_NS), Outcome::Unconfirmed);
        assert_eq!(clock.utc(at(30)), before);
        assert_eq!(clock.consider(at(30), &proposal(5_000, false), PANIC_NS), Outcome::Taken);
        assert_eq!(clock.state(), ClockState::Confirmed, "an agreeing voice refreshes it");
    }

    #[test]
    fn the_error_bound_grows_15_ppm_and_the_states_go_stale() {
        let mut clock = confirmed();
        assert_eq!(clock.utc(at(10)).unwrap().error_ns, 10_000_000);
        assert_eq!(clock.utc(at(1_010)).unwrap().error_ns, 25_000_000);
        assert_eq!(clock.utc(at(10)).unwrap().utc, Utc::from_unix_secs(5_010));
        for (s, state) in [
            (86_409, ClockState::Confirmed),
            (86_410, ClockState::Provisional),
            (604_809, ClockState::Provisional),
            (604_810, ClockState::Invalid),
        ] {
            clock.age(at(s));
            assert_eq!(clock.state(), state, "{s}");
        }
        assert_eq!(clock.utc(at(604_810)), None);
        assert_eq!(clock.stale_at(), None);
    }
}
