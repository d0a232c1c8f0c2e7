//! Time: a monotonic [`Instant`] that counts suspend, a [`Duration`], and a wall-clock reading [`Utc`].
//!
//! Everything that waits, waits on [`Instant`]. [`Utc`] is data: this very program steps the wall
//! clock, so no deadline may follow it.

use core::fmt;
use core::ops::{Add, AddAssign, Div, Mul, Sub};

/// A point in time: microseconds since an unspecified start that the platform chooses.
///
/// It never goes back, counts the time that the machine was suspended (`CLOCK_BOOTTIME` on Linux)
/// and does not follow the wall clock. Arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The platform's start of time.
    pub const ZERO: Self = Self(0);

    /// An instant `us` microseconds after the start of time.
    pub const fn from_micros(us: u64) -> Self {
        Self(us)
    }

    /// Microseconds since the start of time.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it is not earlier.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }

    /// The earliest of those that there are.
    pub fn earliest(instants: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        instants.into_iter().fold(None, |first, at| match (first, at) {
            (Some(first), Some(at)) => Some(at.min(first)),
            (first, at) => first.or(at),
        })
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(rhs.0))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(rhs.0))
    }
}

/// A span of time in microseconds. Arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(u64);

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest span, some 584,000 years.
    pub const MAX: Self = Self(u64::MAX);

    /// A span of `us` microseconds.
    pub const fn from_micros(us: u64) -> Self {
        Self(us)
    }

    /// A span of `ms` milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// A span of `s` seconds.
    pub const fn from_secs(s: u64) -> Self {
        Self(s.saturating_mul(1_000_000))
    }

    /// The span in microseconds.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The span in whole milliseconds, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// The span in whole seconds, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Whether there is nothing to wait for.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl Add for Duration {
    type Output = Self;
    fn add(self, rhs: Self) -> Self {
        Self(self.0.saturating_add(rhs.0))
    }
}

impl Sub for Duration {
    type Output = Self;
    fn sub(self, rhs: Self) -> Self {
        Self(self.0.saturating_sub(rhs.0))
    }
}

impl Mul<u64> for Duration {
    type Output = Self;
    fn mul(self, rhs: u64) -> Self {
        Self(self.0.saturating_mul(rhs))
    }
}

impl Div<u64> for Duration {
    type Output = Self;
    /// Division by zero gives [`Duration::MAX`]: nothing in this project panics on arithmetic.
    fn div(self, rhs: u64) -> Self {
        Self(self.0.checked_div(rhs).unwrap_or(u64::MAX))
    }
}

impl From<core::time::Duration> for Duration {
    /// Rounded up to the next microsecond, so that a wait is never shorter than asked for.
    fn from(d: core::time::Duration) -> Self {
        let us = d
            .as_secs()
            .saturating_mul(1_000_000)
            .saturating_add(u64::from(d.subsec_nanos().div_ceil(1_000)));
        Self(us)
    }
}

impl From<Duration> for core::time::Duration {
    fn from(d: Duration) -> Self {
        Self::from_micros(d.0)
    }
}

/// A reading of some wall clock: nanoseconds since 1970-01-01T00:00:00 UTC, leap seconds not counted.
///
/// Range 1677 to 2262. Whether it is right is another question; see the NTP client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Utc(i64);

impl Utc {
    /// 1970-01-01T00:00:00, what a device without a clock battery believes at power-on.
    pub const UNIX_EPOCH: Self = Self(0);

    /// A reading of `ns` nanoseconds since 1970.
    pub const fn from_unix_nanos(ns: i64) -> Self {
        Self(ns)
    }

    /// A reading of `s` seconds since 1970, saturating.
    pub const fn from_unix_secs(s: i64) -> Self {
        Self(s.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since 1970.
    pub const fn as_unix_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn as_unix_secs(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// This reading moved by `ns` nanoseconds, saturating.
    pub const fn offset_by(self, ns: i64) -> Self {
        Self(self.0.saturating_add(ns))
    }

    /// Nanoseconds from `earlier` to this reading, negative if it is later; saturating.
    pub const fn nanos_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Utc {
    /// `2026-11-24T09:30:00.123456Z`, the form of RFC 3339.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.as_unix_secs();
        let micros = self.0.rem_euclid(1_000_000_000) / 1_000;
        let (days, second) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
        // Days to a date in the proleptic Gregorian calendar, counted from 0000-03-01 so that the
        // leap day ends a year: 146,097 days in 400 years.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{micros:06}Z",
            second / 3_600,
            second / 60 % 60,
            second % 60,
        )
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn arithmetic_saturates() {
        let end = Instant::from_micros(u64::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(Instant::ZERO - Duration::from_secs(1), Instant::ZERO);
        assert_eq!(Instant::ZERO.since(end), Duration::ZERO);
        assert_eq!(Duration::from_secs(u64::MAX), Duration::MAX);
        assert_eq!(Duration::from_secs(1) / 0, Duration::MAX);
        assert_eq!(Duration::from_secs(3) - Duration::from_secs(1), Duration::from_secs(2));
        assert_eq!(Duration::from_secs(1) - Duration::from_secs(3), Duration::ZERO);
    }

    #[test]
    fn a_span_in_other_units_is_rounded_down() {
        for (us, ms, s) in
            [(0, 0, 0), (999, 0, 0), (1_000, 1, 0), (999_999, 999, 0), (2_500_000, 2_500, 2)]
        {
            let span = Duration::from_micros(us);
            assert_eq!(
                (span.as_millis(), span.as_secs(), span.is_zero()),
                (ms, s, us == 0),
                "{us}"
            );
        }
    }

    #[test]
    fn durations_are_never_rounded_down() {
        let d = core::time::Duration::from_nanos(1_001);
        assert_eq!(Duration::from(d), Duration::from_micros(2));
        let whole = core::time::Duration::from(Duration::from_micros(1_500_000));
        assert_eq!(whole, core::time::Duration::from_millis(1_500));
    }

    #[test]
    fn utc_differs_by_nanoseconds_either_way() {
        let [a, b] = [3, 10].map(Utc::from_unix_nanos);
        assert_eq!((b.nanos_since(a), a.nanos_since(b), a.nanos_since(a)), (7, -7, 0));
    }

    #[test]
    fn utc_prints_as_rfc_3339() {
        for (ns, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_709_251_199_999_999_999, "2024-02-29T23:59:59.999999Z"),
            (2_085_978_496_000_000_000, "2036-02-07T06:28:16.000000Z"),
            (4_102_444_800_123_456_000, "2100-01-01T00:00:00.123456Z"),
        ] {
            assert_eq!(Utc::from_unix_nanos(ns).to_string(), text, "{ns}");
        }
    }
}
