//! [`Reference`]: another idea of the time, good enough to call an NTP server a liar, and for nothing
//! else: a certificate's server that tells the date, a clock with a battery.
//!
//! The time is never taken from it, and without NTP servers there is none. What it says grows vague at
//! the rate of the local oscillator, and can be taken back.

use bringup_core::time::{Duration, Instant, Utc};

use crate::accept::{drift_ns, instant_ns, signed};

/// A time between two others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plausible {
    /// It is not earlier ...
    pub earliest: Utc,
    /// ... and not later.
    pub latest: Utc,
}

impl Plausible {
    /// Within so much of `utc`.
    pub fn around(utc: Utc, margin: Duration) -> Self {
        let margin_ns = signed(margin.as_micros().saturating_mul(1_000));
        Self { earliest: utc.offset_by(-margin_ns), latest: utc.offset_by(margin_ns) }
    }

    /// What the `Date` field of an HTTP response says (RFC 9110 §5.6.7, IMF-fixdate), within two minutes,
    /// as openntpd takes it; `None` if it is no such date. That the response came over TLS, from somebody
    /// whose certificate was checked as well as one can without a clock, is the caller's business.
    pub fn http_date(field: &[u8]) -> Option<Self> {
        http_date(field).map(|utc| Self::around(utc, Duration::from_secs(120)))
    }
}

/// Something that has an idea of the time.
pub trait Reference {
    /// What it is now; `None` if it cannot say.
    fn read(&mut self) -> Option<Plausible>;
}

impl<F: FnMut() -> Option<Plausible>> Reference for F {
    fn read(&mut self) -> Option<Plausible> {
        self()
    }
}

/// What was read of a reference, bound to the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    read: Plausible,
    at: Instant,
}

impl Bounds {
    pub(crate) const fn new(read: Plausible, at: Instant) -> Self {
        Self { read, at }
    }

    /// Whether UTC can be what this offset, UTC at [`Instant::ZERO`], makes of `now`.
    pub(crate) fn allow(&self, now: Instant, offset_ns: i64) -> bool {
        let utc = Utc::from_unix_nanos(offset_ns.wrapping_add(instant_ns(now)));
        let age_us = now.since(self.at).as_micros();
        let age_ns = signed(age_us.saturating_mul(1_000));
        let drift_ns = signed(drift_ns(age_us));
        let earliest = self.read.earliest.offset_by(age_ns).offset_by(-drift_ns);
        let latest = self.read.latest.offset_by(age_ns).offset_by(drift_ns);
        earliest <= utc && utc <= latest
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, octet by octet.
fn http_date(field: &[u8]) -> Option<Utc> {
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let &[
        _,
        _,
        _,
        b',',
        b' ',
        d1,
        d0,
        b' ',
        m0,
        m1,
        m2,
        b' ',
        y3,
        y2,
        y1,
        y0,
        b' ',
        h1,
        h0,
        b':',
        i1,
        i0,
        b':',
        s1,
        s0,
        b' ',
        b'G',
        b'M',
        b'T',
    ] = field
    else {
        return None;
    };
    let number = |digits: &[u8]| {
        let all = digits.iter().all(u8::is_ascii_digit);
        all.then(|| digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
    };
    let month = MONTHS.chunks(3).zip(0_i64..).find(|(name, _)| **name == [m0, m1, m2])?.1;
    let (year, day) = (number(&[y3, y2, y1, y0])?, number(&[d1, d0])?);
    let (hour, minute, second) = (number(&[h1, h0])?, number(&[i1, i0])?, number(&[s1, s0])?);
    if !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since 0000-03-01 in the Gregorian calendar: the leap day ends a year.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 1;
    Some(Utc::from_unix_secs((days - 719_468) * 86_400 + hour * 3_600 + minute * 60 + second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d8_dates_of_http() {
        for (field, second) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Tue, 29 Feb 2000 00:00:00 GMT", Some(951_782_400)),
            ("Thu, 07 Feb 2036 06:28:16 GMT", Some(2_085_978_496)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sat, 31 Dec 2016 23:59:60 GMT", Some(1_483_228_800)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun, 06 Nob 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 24:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:60:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:61 GMT", None),
            ("Sun, 00 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 19-4 08:49:37 GMT", None),
            ("", None),
        ] {
            assert_eq!(http_date(field.as_bytes()).map(Utc::as_unix_secs), second, "{field}");
        }
        let read = Plausible::http_date(b"Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(read.latest.nanos_since(read.earliest), 240_000_000_000);
    }

    #[test]
    fn d8_what_was_read_grows_vague() {
        let (utc, at) = (Utc::from_unix_secs(1_000_000), Instant::from_micros(5_000_000));
        let bounds = Bounds::new(Plausible::around(utc, Duration::from_secs(1)), at);
        let later = Instant::from_micros(5_000_000 + 1_000_000_000_000);
        // 15 ppm of a million seconds.
        for (row, now, off_ns, allowed) in [
            ("at once", at, 1_000_000_000, true),
            ("a nanosecond more", at, 1_000_000_001, false),
            ("before", at, -1_000_000_000, true),
            ("a nanosecond before that", at, -1_000_000_001, false),
            ("a million seconds later", later, 16_000_000_000, true),
            ("a nanosecond more", later, 16_000_000_001, false),
        ] {
            let offset_ns = utc.as_unix_nanos() - 5_000_000_000 + off_ns;
            assert_eq!(bounds.allow(now, offset_ns), allowed, "{row}");
        }
    }
}
