//! Reading the clocks, waiting in a way that counts suspend, and changing the machine's clock.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use bringup_core::platform::{Adjust, LeapSecond};
use bringup_core::poll::{Interest, Poll, Token};
use bringup_core::time::{Duration, Instant, Utc};

use super::sys;
use crate::error::{Operation, OsError, during};

/// CLOCK_BOOTTIME: monotonic, counts suspend.
pub(super) fn now() -> Instant {
    let ns = u64::try_from(sys::clock_ns(libc::CLOCK_BOOTTIME)).unwrap_or(0);
    Instant::from_micros(ns / 1_000)
}

/// CLOCK_REALTIME: the machine's idea of UTC.
pub(super) fn utc() -> Utc {
    Utc::from_unix_nanos(sys::clock_ns(libc::CLOCK_REALTIME))
}

/// The oldest a datagram is believed to be. An older timestamp means that somebody set the clock
/// between arrival and reading.
const MAX_AGE_NS: i64 = 2_000_000_000;

/// By how much the wall clock may seem to have moved between two readings, nanoseconds: a reading
/// takes two system calls, and the second may come late.
const READING_NS: u64 = 1_000_000;

/// The monotonic clock and the wall clock, side by side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    now: Instant,
    utc: Utc,
}

impl Reading {
    pub(super) fn take() -> Self {
        Self { now: now(), utc: utc() }
    }

    /// UTC at [`Instant::ZERO`] by the wall clock, nanoseconds. Only a step changes it: the kernel
    /// slews both clocks.
    fn difference_ns(&self) -> i64 {
        let now_ns = i64::try_from(self.now.as_micros()).unwrap_or(i64::MAX).saturating_mul(1_000);
        self.utc.as_unix_nanos().saturating_sub(now_ns)
    }

    /// When something arrived that the kernel has stamped by the wall clock, by this reading, if
    /// nobody has set that clock since the one `before`; else the time of this reading.
    fn arrival(&self, before: &Self, stamp: Utc) -> Instant {
        let moved_ns = self.difference_ns().saturating_sub(before.difference_ns());
        if moved_ns.unsigned_abs() > READING_NS {
            return self.now;
        }
        backdate(self.now, self.utc.nanos_since(stamp))
    }
}

/// When something arrived that the kernel has stamped by the wall clock, on a socket opened at
/// `opened`.
pub(super) fn arrival(opened: &Reading, stamp_ns: Option<i64>) -> Instant {
    match stamp_ns {
        Some(ns) => Reading::take().arrival(opened, Utc::from_unix_nanos(ns)),
        None => now(),
    }
}

fn backdate(now: Instant, age_ns: i64) -> Instant {
    match u64::try_from(age_ns) {
        Ok(ns) if age_ns <= MAX_AGE_NS => now - Duration::from_micros(ns / 1_000),
        _ => now,
    }
}

/// Deadlines further off than this wait on the clock descriptor: the timeout of poll(2) stands still
/// while the machine is suspended.
const SHORT: Duration = Duration::from_secs(1);

/// A descriptor that becomes ready when CLOCK_BOOTTIME reaches a deadline. It is watched while it is
/// armed: one more descriptor costs every wait some 100 ns.
#[derive(Debug)]
pub(super) struct ClockFd {
    fd: OwnedFd,
    armed_for: Option<Instant>,
}

impl ClockFd {
    pub(super) fn new() -> Result<Self, OsError> {
        let fd = sys::timerfd().map_err(during(Operation::Timer))?;
        Ok(Self { fd, armed_for: None })
    }

    /// Gets ready for a wait that is to end at `deadline`; returns the timeout for the poller. The
    /// loop leaves the descriptor's readiness to us: one that has fired is set anew here, which makes
    /// it quiet again.
    pub(super) fn prepare(
        &mut self,
        poller: &mut impl Poll<Handle = i32>,
        now: impl FnOnce() -> Instant,
        deadline: Option<Instant>,
    ) -> Result<Option<Duration>, OsError> {
        let Some(at) = deadline else {
            self.disarm(poller)?;
            return Ok(None);
        };
        let now = now();
        let timeout = at.since(now);
        if timeout > SHORT {
            let armed = self.arm(poller, at)?;
            // A poller without room for it looks every second: suspend counts that much later.
            return Ok((!armed).then_some(SHORT));
        }
        // A short wait may leave a far deadline armed: it will be wanted again.
        if self.armed_for.is_some_and(|at| at <= now) {
            self.disarm(poller)?;
        }
        Ok(Some(timeout))
    }

    /// Whether the poller watches for it now.
    fn arm(&mut self, poller: &mut impl Poll<Handle = i32>, at: Instant) -> Result<bool, OsError> {
        if self.armed_for != Some(at) {
            self.set(at)?;
        }
        let fd = self.fd.as_raw_fd();
        if self.armed_for.is_none() && poller.add(fd, Token::CLOCK, Interest::READ).is_err() {
            return Ok(false);
        }
        self.armed_for = Some(at);
        Ok(true)
    }

    fn disarm(&mut self, poller: &mut impl Poll<Handle = i32>) -> Result<(), OsError> {
        if self.armed_for.take().is_some() {
            poller.remove(self.fd.as_raw_fd(), Token::CLOCK);
            self.set(Instant::ZERO)?;
        }
        Ok(())
    }

    /// Sets the timer; a time of zero stops it.
    fn set(&self, at: Instant) -> Result<(), OsError> {
        sys::timerfd_set(self.fd.as_fd(), at.as_micros()).map_err(during(Operation::Timer))
    }
}

/// Changes CLOCK_REALTIME. A slew is the kernel's adjtime: 500 microseconds a second, to the nearest
/// microsecond; a new one replaces what is left of the last.
pub(super) fn set(adjust: Adjust) -> Result<(), OsError> {
    let done = match adjust {
        Adjust::Step { offset_ns } => sys::clock_step(offset_ns),
        Adjust::Slew { offset_ns } => sys::clock_slew(nearest_us(offset_ns)),
    };
    done.map_err(during(Operation::SetClock))
}

/// Changes the rate of CLOCK_REALTIME, and with it that of CLOCK_BOOTTIME, by so many nanoseconds a
/// second.
pub(super) fn set_rate(ppb: i64) -> Result<(), OsError> {
    // The kernel counts in units of 2^-16 ppm.
    sys::clock_rate(ppb.saturating_mul(1 << 16) / 1_000).map_err(during(Operation::SetClock))
}

/// Says what the kernel is to do with the last second of this UTC day.
pub(super) fn set_leap(leap: LeapSecond) -> Result<(), OsError> {
    let flag = match leap {
        LeapSecond::None => 0,
        LeapSecond::Insert => libc::STA_INS,
        LeapSecond::Delete => libc::STA_DEL,
    };
    sys::clock_leap(flag).map_err(during(Operation::SetClock))
}

/// Says to the kernel that its clock is right to within so much: adjtimex(2) no longer returns
/// TIME_ERROR, and the battery clock is written every eleven minutes where the kernel was built to. The
/// kernel lets the error grow by 500 ppm, and takes the word back at 16 s: after nine hours.
pub(super) fn set_synchronised(error: Option<Duration>) -> Result<(), OsError> {
    sys::clock_synchronised(error.map(Duration::as_micros)).map_err(during(Operation::SetClock))
}

fn nearest_us(ns: i64) -> i64 {
    ns.saturating_add(500).div_euclid(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bringup_core::poll::{PollStorage, UnixPoll};

    #[test]
    fn a_timestamp_is_believed_within_bounds() {
        let now = Instant::from_micros(10_000_000);
        for (age_ns, at_us) in [
            (0, 10_000_000),
            (1_500_000, 9_998_500),
            (MAX_AGE_NS, 8_000_000),
            (MAX_AGE_NS + 1, 10_000_000),
            (-1, 10_000_000),
            (i64::MIN, 10_000_000),
        ] {
            assert_eq!(backdate(now, age_ns).as_micros(), at_us, "{age_ns} ns old");
        }
    }

    #[test]
    fn m5_a_step_between_sending_and_reading_does_not_enter_the_time_of_arrival() {
        let at = |us, utc_ns| Reading {
            now: Instant::from_micros(us),
            utc: Utc::from_unix_nanos(utc_ns),
        };
        let opened = at(1_000_000, 5_000_000_000);
        // Read 500 ms after the socket was opened, stamped 300 ms before that.
        for (row, utc_ns, stamp_ns, arrived_us) in [
            ("nobody", 5_500_000_000, 5_200_000_000, 1_200_000),
            ("a slow reading", 5_500_900_000, 5_200_900_000, 1_200_000),
            ("a step back after it came", 5_300_000_000, 5_200_000_000, 1_500_000),
            ("a step forward after it came", 6_500_000_000, 5_200_000_000, 1_500_000),
            ("a step of years", 1_500_000_000_000_000_000, 5_200_000_000, 1_500_000),
        ] {
            let arrived = at(1_500_000, utc_ns).arrival(&opened, Utc::from_unix_nanos(stamp_ns));
            assert_eq!(arrived.as_micros(), arrived_us, "{row}");
        }
    }

    #[test]
    fn slews_are_rounded_to_the_nearest_microsecond() {
        for (ns, us) in [(0, 0), (499, 0), (500, 1), (-499, 0), (-501, -1), (1_500, 2)] {
            assert_eq!(nearest_us(ns), us, "{ns}");
        }
    }

    #[test]
    fn far_deadlines_wait_on_the_clock_descriptor() {
        let mut clock = ClockFd::new().expect("a timerfd");
        let mut storage = PollStorage::<1>::new();
        let mut poller = UnixPoll::new(&mut storage);
        let now = now();
        let mut prepare = |at, deadline| {
            let timeout = clock.prepare(&mut poller, || at, deadline).expect("it can be set");
            // The place in the poller is taken while the clock is watched, and only then.
            let taken = poller.add(0, Token(1), Interest::NONE).is_err();
            poller.remove(0, Token(1));
            assert_eq!(taken, clock.armed_for.is_some());
            (timeout, clock.armed_for)
        };
        let far = now + Duration::from_secs(3_600);
        let farther = far + Duration::from_secs(1);
        let near = now + Duration::from_millis(3);
        let ms = |ms| Some(Duration::from_millis(ms));
        for (row, at, deadline, timeout, armed_for) in [
            ("nothing to wait for", now, None, None, None),
            ("near", now, Some(near), ms(3), None),
            ("far", now, Some(far), None, Some(far)),
            ("the same", now, Some(far), None, Some(far)),
            ("a short wait leaves it", now, Some(near), ms(3), Some(far)),
            ("another", now, Some(farther), None, Some(farther)),
            (
                "a second is short",
                farther - Duration::from_secs(1),
                Some(farther),
                ms(1_000),
                Some(farther),
            ),
            ("one that has fired is made quiet", farther, Some(farther), ms(0), None),
            ("far again", now, Some(far), None, Some(far)),
            ("and nothing to wait for", now, None, None, None),
        ] {
            assert_eq!(prepare(at, deadline), (timeout, armed_for), "{row}");
        }
    }

    #[test]
    fn a_poller_without_room_for_the_clock_looks_every_second() {
        let mut clock = ClockFd::new().expect("a timerfd");
        let mut storage = PollStorage::<1>::new();
        let mut poller = UnixPoll::new(&mut storage);
        poller.add(0, Token(1), Interest::NONE).expect("the only place");
        let far = now() + Duration::from_secs(3_600);
        assert_eq!(clock.prepare(&mut poller, now, Some(far)), Ok(Some(SHORT)));
        poller.remove(0, Token(1));
        assert_eq!(clock.prepare(&mut poller, now, Some(far)), Ok(None), "now there is");
    }
}
