//! Leap seconds: announced by a majority, at the end of a month, and never on another day (C7).

use bringup_core::time::{Duration, Instant, Utc};

use crate::packet::Leap;

/// Nanoseconds of a second, and of a day.
const SECOND_NS: i64 = 1_000_000_000;
const DAY_NS: i64 = 86_400 * SECOND_NS;

/// How long after a leap second it is not announced again, nanoseconds: a server that has heard of it
/// late still speaks of the one that has been.
const ECHO_NS: i64 = DAY_NS;

/// How long after a leap second a kernel is told that it is over, nanoseconds: its own clock may come to
/// that second later, and would leave it out if it were told before.
const OVER_NS: i64 = 3_600 * SECOND_NS;

/// The first instant of the month after that of `utc`.
pub const fn end_of_month(utc: Utc) -> Utc {
    // Days in the proleptic Gregorian calendar, counted from 0000-03-01: the leap day ends a year.
    let days = utc.as_unix_secs().div_euclid(86_400) + 719_468;
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5;
    let next_month_starts = (153 * (month_from_march + 1) + 2) / 5;
    let this_month_starts = (153 * month_from_march + 2) / 5;
    let length = if month_from_march == 11 {
        // February: 28 days, or 29 if the year in which it ends is one of those with 366.
        let year = year_of_era + 1;
        let is_long = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        28 + is_long as i64
    } else {
        next_month_starts - this_month_starts
    };
    let first = days - 719_468 - day_of_month + length;
    Utc::from_unix_secs(first * 86_400)
}

/// What is due about a leap second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Tell that one is announced for this time, or no longer: [`Leap::None`].
    Announce(Leap, Utc),
    /// Its day has begun, or the one of that day is off or over: a disciplined kernel is to be told.
    Arm(Leap),
    /// It has passed: UTC differs by so many nanoseconds from what was known.
    Shift(i64),
}

/// How far a leap second has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeapWatch {
    leap: Leap,
    /// The end of its month.
    at: Utc,
    armed: bool,
    /// The last one that has passed.
    passed: Option<Utc>,
    /// When the next step is due.
    due_at: Option<Instant>,
}

impl LeapWatch {
    pub(crate) const fn new() -> Self {
        Self { leap: Leap::None, at: Utc::UNIX_EPOCH, armed: false, passed: None, due_at: None }
    }

    /// When [`step`](Self::step) has something to do, if nobody says anything else.
    pub(crate) const fn due_at(&self) -> Option<Instant> {
        self.due_at
    }

    /// What the majority said last.
    pub(crate) const fn word(&self) -> Leap {
        self.leap
    }

    /// The time is not known: nothing is due.
    pub(crate) fn rest(&mut self) {
        self.due_at = None;
    }

    /// Takes in what the majority says at this time; `None` when nothing is left to do.
    pub(crate) fn step(&mut self, now: Instant, utc: Utc, word: Leap) -> Option<Due> {
        self.due_at = None;
        let is_echo = self.passed.is_some_and(|at| utc.nanos_since(at) < ECHO_NS);
        let word = if is_echo { Leap::None } else { word };
        if word != self.leap {
            if self.armed {
                self.armed = false;
                return Some(Due::Arm(Leap::None));
            }
            (self.leap, self.at) = (word, end_of_month(utc));
            return Some(Due::Announce(word, self.at));
        }
        // An insertion repeats the last second, a deletion leaves it out.
        let (happens_at, shift_ns) = match self.leap {
            Leap::Insert => (self.at, -SECOND_NS),
            Leap::Delete => (self.at.offset_by(-SECOND_NS), SECOND_NS),
            Leap::None | Leap::Unsynchronised => return self.disarm(now, utc),
        };
        let left_ns = happens_at.nanos_since(utc);
        if left_ns <= 0 {
            *self = Self { passed: Some(self.at), armed: self.armed, ..Self::new() };
            return Some(Due::Shift(shift_ns));
        }
        if left_ns <= DAY_NS && !self.armed {
            self.armed = true;
            return Some(Due::Arm(self.leap));
        }
        let wait_ns = if self.armed { left_ns } else { left_ns - DAY_NS };
        self.due_at = Some(now + wait(wait_ns));
        None
    }

    /// Nothing is announced; but a kernel that was told of the last one must hear that it is over, or
    /// it would wait for that and not take another.
    fn disarm(&mut self, now: Instant, utc: Utc) -> Option<Due> {
        let over_at = self.passed.filter(|_| self.armed)?.offset_by(OVER_NS);
        let left_ns = over_at.nanos_since(utc);
        if left_ns <= 0 {
            self.armed = false;
            return Some(Due::Arm(Leap::None));
        }
        self.due_at = Some(now + wait(left_ns));
        None
    }
}

/// So many nanoseconds, and at least a microsecond.
fn wait(ns: i64) -> Duration {
    Duration::from_micros(ns.unsigned_abs().div_ceil(1_000).max(1))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn c7_the_machine_is_told_when_the_last_day_begins_and_not_by_the_next_sample() {
        // 2016-12-01, a month that ended with a leap second.
        let begin = Utc::from_unix_secs(1_480_550_400);
        let at = |s: i64| Instant::from_micros(u64::try_from(s).unwrap() * 1_000_000);
        let mut watch = LeapWatch::new();
        let mut step = |s: i64| {
            let due = watch.step(at(s), begin.offset_by(s * SECOND_NS), Leap::Insert);
            (due, watch.due_at)
        };
        let end = end_of_month(begin);
        assert_eq!(step(0), (Some(Due::Announce(Leap::Insert, end)), None));
        let last_day = 30 * 86_400;
        assert_eq!(step(0), (None, Some(at(last_day))));
        assert_eq!(step(last_day), (Some(Due::Arm(Leap::Insert)), None));
        assert_eq!(step(last_day), (None, Some(at(31 * 86_400))));
        assert_eq!(step(31 * 86_400).0, Some(Due::Shift(-SECOND_NS)));
    }

    #[test]
    fn c7_the_end_of_each_month() {
        for (s, end) in [
            (0, "1970-02-01"),
            (951_782_400, "2000-03-01"),
            (951_868_799, "2000-03-01"),
            (951_868_800, "2000-04-01"),
            (1_483_228_799, "2017-01-01"),
            (1_798_761_599, "2027-01-01"),
            (4_107_542_399, "2100-03-01"),
            (4_105_123_200, "2100-03-01"),
            (1_709_164_800, "2024-03-01"),
            (1_677_542_400, "2023-03-01"),
            (-1, "1970-01-01"),
        ] {
            let text = end_of_month(Utc::from_unix_secs(s)).to_string();
            assert_eq!(text, std::format!("{end}T00:00:00.000000Z"), "{s}");
        }
        // Over 400 years each month ends when the next begins, and begins on a first.
        let mut at = Utc::from_unix_secs(-5_364_662_400);
        for _ in 0..4_800 {
            let next = end_of_month(at);
            assert_eq!(&next.to_string()[8..10], "01");
            assert!((28..=31).contains(&(next.nanos_since(at) / DAY_NS)), "{at}");
            assert_eq!(end_of_month(next.offset_by(-1)), next);
            at = next;
        }
    }
}
