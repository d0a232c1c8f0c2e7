//! What the samples of all servers say together, and what follows for the clock.

use bringup_core::client::Cx;
use bringup_core::time::{Duration, Instant, Utc};

use super::{Event, MAX_SERVERS, NtpClient};
use crate::accept::{Measurement, drift_ns, instant_ns, signed};
use crate::clock::{ClockState, Outcome, Proposal};
use crate::discard::Discard;
use crate::discipline::{Adjust, Decision, Situation, Wall};
use crate::leap::Due;
use crate::packet::Leap;
use crate::select::{Candidate, intersect};
use crate::timestamp::precision_nanos;

/// How often a confirmed time is saved.
const SAVE_INTERVAL: Duration = Duration::from_secs(3_600);
/// By how much the saved time stays behind, nanoseconds: one that were a second fast would make the
/// right time read as 136 years later (A13).
const SAVE_SLACK_NS: i64 = 60_000_000_000;

impl NtpClient {
    /// MAXDIST with the drift of a poll interval and the grain of the server's clock.
    fn distance_limit_ns(&self, poll: u8, precision: i8) -> u64 {
        let drift_ns = drift_ns(Duration::from_secs(1 << poll.min(17)).as_micros());
        self.config.max_distance_ns.saturating_add(drift_ns + precision_nanos(precision))
    }

    /// Whether a measurement is precise enough to be listened to.
    pub(super) fn within_distance(
        &self,
        now: Instant,
        m: Measurement,
    ) -> Result<Measurement, Discard> {
        let distance_ns = m.server.distance_ns(m.delay_ns, now.since(m.sent_at).as_micros());
        let limit_ns = self.distance_limit_ns(self.config.poll.0, m.server.precision);
        if distance_ns > limit_ns { Err(Discard::TooDistant) } else { Ok(m) }
    }

    /// Whether a measurement can be right by what a reference says.
    pub(super) fn within_bounds(
        &self,
        now: Instant,
        m: Measurement,
    ) -> Result<Measurement, Discard> {
        let allowed = self.bounds.is_none_or(|bounds| bounds.allow(now, m.offset_ns));
        if allowed { Ok(m) } else { Err(Discard::Implausible) }
    }

    /// Selects, and lets the clock follow; `speaker`, if any, has just given a sample.
    pub(super) fn weigh(&mut self, cx: &mut Cx<'_>, speaker: Option<u8>) {
        let mut numbers = [0_u8; MAX_SERVERS];
        let mut candidates = [Candidate::default(); MAX_SERVERS];
        let slots = numbers.iter_mut().zip(&mut candidates);
        let claims = (0_u8..).zip(self.servers.iter().take(self.count)).filter_map(|(n, a)| {
            let claim = a.candidate(cx.now)?;
            let limit_ns = self.distance_limit_ns(a.poll_exponent(), a.facts.precision);
            (claim.distance_ns <= limit_ns).then_some((n, claim))
        });
        let mut held = 0;
        for ((number, slot), (n, claim)) in slots.zip(claims) {
            (*number, *slot) = (n, claim);
            held += 1;
        }
        let candidates = candidates.get(..held).unwrap_or(&[]);
        let numbers = numbers.get(..held).unwrap_or(&[]);
        self.servers.iter_mut().for_each(|a| a.outvoted = false);
        let Some(majority) = intersect(candidates) else {
            if held > 1 {
                // A tie decides nothing, and what they do not agree on is not confirmed.
                self.clock.doubt();
                self.tell_state();
            }
            return;
        };
        let mut best: Option<(u8, Candidate)> = None;
        for (i, (&n, &claim)) in numbers.iter().zip(candidates).enumerate() {
            if !majority.contains(i) {
                if let Some(a) = self.servers.get_mut(usize::from(n)) {
                    a.outvoted = true;
                }
            } else if best.is_none_or(|(_, b)| claim.distance_ns < b.distance_ns) {
                best = Some((n, claim));
            }
        }
        let Some((number, claim)) = best else { return };
        // C2: two servers, or two samples of one that somebody has vouched for. The first of them may
        // be gone, since the clock was slewed: then the clock stands for it.
        let again =
            self.chosen == speaker && speaker == Some(number) && self.clock.agrees(cx.now, &claim);
        let alone = self.server(number).is_some_and(|a| a.is_trusted() && (a.held() >= 2 || again));
        let confirms = majority.count() >= 2 || (held == 1 && alone);
        self.propose(cx, number, &Proposal { claim, voices: majority.count(), confirms });
    }

    /// Puts a proposal to the clock, and says what is to be done about the wall clock.
    fn propose(&mut self, cx: &mut Cx<'_>, number: u8, proposal: &Proposal) {
        if let Some(offset_ns) = self.beyond_a_running_wall(cx, proposal) {
            self.emit(Event::PanicLimit { offset_ns });
            return;
        }
        let outcome = self.clock.consider(cx.now, proposal, self.config.policy.panic_ns);
        match outcome {
            Outcome::Taken | Outcome::Corrected => {
                if outcome == Outcome::Corrected {
                    // Whoever set the wall clock by the wrong time may set it right.
                    self.config.wall = Wall::Unset;
                }
                self.chosen = Some(number);
                self.tell_state();
                self.adjust(cx);
                self.save(cx.now);
            }
            Outcome::Unconfirmed => {}
            Outcome::Panic { offset_ns } => {
                self.tell_state();
                self.emit(Event::PanicLimit { offset_ns });
            }
        }
    }

    /// By how much a proposal is off a wall clock that holds the time over a restart, if that is
    /// beyond the panic limit. Once a time has been confirmed, that is what proposals are held against.
    fn beyond_a_running_wall(&self, cx: &Cx<'_>, proposal: &Proposal) -> Option<i64> {
        let is_anchor = self.config.wall == Wall::Running
            && self.clock.voices() == 0
            && cx.utc >= self.config.floor;
        let utc_ns = proposal.claim.offset_ns.wrapping_add(instant_ns(cx.now));
        let offset_ns = utc_ns.saturating_sub(cx.utc.as_unix_nanos());
        let is_absurd = offset_ns.unsigned_abs() > self.config.policy.panic_ns;
        (is_anchor && is_absurd).then_some(offset_ns)
    }

    /// Says what is to be done about the wall clock. A probe sets nothing.
    fn adjust(&mut self, cx: &Cx<'_>) {
        let Some(estimate) = self.utc(cx.now).filter(|_| !self.is_probing()) else {
            return;
        };
        let offset_ns = estimate.utc.nanos_since(cx.utc);
        self.adjusted_at = cx.now;
        let situation = Situation {
            offset_ns,
            error_ns: estimate.error_ns,
            confirmed: self.state() == ClockState::Confirmed,
            wall: self.config.wall,
            wall_below_floor: cx.utc < self.config.floor,
        };
        match self.config.policy.decide(&situation) {
            Decision::Wait => {}
            Decision::Do(adjust) => self.emit(Event::Adjust(adjust)),
            Decision::Panic => self.emit(Event::PanicLimit { offset_ns }),
        }
    }

    /// Says by how much the rate of the wall clock is wrong, from a sample of the server that it goes
    /// by, if that took no longer on its way than others before it.
    pub(super) fn steer(&mut self, cx: &Cx<'_>, server: u8, m: &Measurement) {
        let is_on = self.config.frequency
            && !self.is_probing()
            && self.state() == ClockState::Confirmed
            && self.chosen == Some(server);
        let nearest_ns = self.server(server).and_then(|a| a.delay_ns(cx.now)).unwrap_or(u32::MAX);
        let is_near = m.delay_ns / 2 <= nearest_ns;
        if !is_on || !is_near {
            return;
        }
        let utc = Utc::from_unix_nanos(m.offset_ns.wrapping_add(instant_ns(cx.now)));
        if let Some(ppb) = self.frequency.sample(cx.now, utc.nanos_since(cx.utc)) {
            self.emit(Event::Adjust(Adjust::Rate { ppb }));
        }
    }

    /// Follows what the majority says of leap seconds, `word`, and lets them come true.
    pub(super) fn watch_leap(&mut self, now: Instant, word: Leap) {
        // An announcement, an arming and a shift are the most that one call brings.
        for _ in 0..4 {
            let Some(estimate) = self.clock.utc(now) else {
                return self.leap_watch.rest();
            };
            match self.leap_watch.step(now, estimate.utc, word) {
                None => return,
                Some(Due::Announce(leap, at)) => self.emit(Event::Leap { leap, at }),
                Some(Due::Arm(leap)) if !self.is_probing() => {
                    self.emit(Event::Adjust(Adjust::Leap(leap)));
                }
                Some(Due::Arm(_)) => {}
                Some(Due::Shift(by_ns)) => {
                    self.clock.shift(by_ns);
                    self.servers.iter_mut().for_each(|a| a.shift_samples(by_ns));
                }
            }
        }
    }

    /// Tells the application if the time is known better or worse than it was told.
    pub(super) fn tell_state(&mut self) {
        let (from, to) = (self.told, self.state());
        if from == to {
            return;
        }
        self.told = to;
        if to == ClockState::Confirmed {
            self.save_at = Instant::ZERO;
        }
        self.emit(Event::StateChanged { from, to });
    }

    /// Whether the time is good enough to become the floor, from which there is no way back:
    /// confirmed, and by more than one server where there is more than one. A probe has not heard
    /// everybody: two that lie would keep out the three that come after them.
    pub(super) fn is_worth_saving(&self) -> bool {
        !self.is_probing()
            && self.state() == ClockState::Confirmed
            && (self.clock.voices() >= 2 || self.count == 1)
    }

    /// Has a confirmed time saved, at once and then hourly, and lets the floor follow (D2).
    pub(super) fn save(&mut self, now: Instant) {
        if !self.is_worth_saving() || now < self.save_at {
            return;
        }
        let Some(estimate) = self.utc(now) else { return };
        let behind_ns = signed(estimate.error_ns).saturating_add(SAVE_SLACK_NS);
        let utc = estimate.utc.offset_by(behind_ns.saturating_neg());
        self.raise_floor(utc);
        self.save_at = now + SAVE_INTERVAL;
        self.emit(Event::SaveClock { utc });
    }

    /// A leap second at the end of the current month, if the majority of the servers that agree
    /// announces one (C7).
    pub fn leap(&self) -> Leap {
        if self.state() != ClockState::Confirmed {
            return Leap::None;
        }
        let votes = |leap: Leap| {
            let agreeing = |a: &&crate::association::Association| {
                a.last_good.is_some() && a.reach != 0 && !a.outvoted && a.facts.leap == leap
            };
            self.servers.iter().take(self.count).filter(agreeing).count()
        };
        let (none, insert, delete) = (votes(Leap::None), votes(Leap::Insert), votes(Leap::Delete));
        if insert > none + delete {
            Leap::Insert
        } else if delete > none + insert {
            Leap::Delete
        } else {
            Leap::None
        }
    }
}
