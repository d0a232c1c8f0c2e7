//! [`Timestamp`] (32.32) and [`Short`] (16.16), their differences, and the era that the wire leaves out.
//!
//! Integer arithmetic only. A timestamp on the wire names a second within 136 years but not which
//! 136 years; [`Timestamp::to_utc`] takes them from a floor, a time that is known to have passed.

use bringup_core::time::Utc;

/// Nanoseconds in a second.
const NANOS: u64 = 1_000_000_000;
/// Seconds from 1900-01-01, the zero of era 0, to 1970-01-01 (RFC 5905 Figure 4).
const UNIX_EPOCH_S: i64 = 2_208_988_800;
/// Bits of a fraction.
const LOW: u64 = 0xFFFF_FFFF;

/// A point in time on the wire: seconds of an unnamed era, 32 bits, and 32 bits of fraction.
/// RFC 5905 §6.
///
/// Its resolution is 233 ps. Zero means "unknown", never a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Not known or not set (RFC 5905 §6).
    pub const UNKNOWN: Self = Self(0);

    /// The timestamp with these 64 bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits as on the wire.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Whether this is the value that stands for no time at all.
    pub const fn is_unknown(self) -> bool {
        self.0 == 0
    }

    /// Seconds of the era, `0..2^32`.
    pub const fn seconds(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Nanoseconds of the second, `0..1_000_000_000`, rounded down.
    pub const fn subsec_nanos(self) -> u32 {
        (((self.0 & LOW) * NANOS) >> 32) as u32
    }

    /// The timestamp of `utc` in its era, rounded up so that [`to_utc`](Self::to_utc) gives `utc`
    /// back to the nanosecond.
    ///
    /// The instants that would read as "unknown", one in 136 years, become the next fraction.
    pub const fn from_utc(utc: Utc) -> Self {
        let ns = utc.as_unix_nanos().rem_euclid(NANOS as i64).unsigned_abs();
        let fraction = (ns << 32).div_ceil(NANOS);
        let bits = (era_second(utc.as_unix_secs()) as u64) << 32 | fraction;
        Self(if bits == 0 { 1 } else { bits })
    }

    /// The only time in the 2^32 seconds from `floor` on that this timestamp can stand for.
    ///
    /// The era comes from a time that has passed, not from the local clock: a device that boots in
    /// 1970 and asks in 2040 gets 2040. Saturates at the ends of [`Utc`].
    pub const fn to_utc(self, floor: Utc) -> Utc {
        self.placed(floor).1
    }

    /// [`seconds_after`](Self::seconds_after) and [`to_utc`](Self::to_utc) at once.
    pub(crate) const fn placed(self, floor: Utc) -> (u32, Utc) {
        let floor_s = floor.as_unix_secs();
        let after_s = self.seconds().wrapping_sub(era_second(floor_s));
        let second = floor_s + after_s as i64;
        let ns = self.subsec_nanos() as i64;
        // From the second's nearer end to 1970, or the first second of all would saturate in between.
        let utc = if second < 0 {
            Utc::from_unix_secs(second + 1).offset_by(ns - NANOS as i64)
        } else {
            Utc::from_unix_secs(second).offset_by(ns)
        };
        (after_s, utc)
    }

    /// Seconds from the second of `floor` to this timestamp's, modulo 2^32.
    pub const fn seconds_after(self, floor: Utc) -> u32 {
        self.placed(floor).0
    }

    /// This timestamp less `earlier`, exact where they lie within 68 years, whatever their eras.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.wrapping_sub(earlier.0) as i64)
    }
}

/// The second of a time within its era; the time in seconds since 1970.
const fn era_second(unix_s: i64) -> u32 {
    ((unix_s + UNIX_EPOCH_S) & 0xFFFF_FFFF) as u32
}

/// A difference of two timestamps: signed, in units of 2^-32 s, within 68 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(i64);

impl Span {
    /// The span of `units` of 2^-32 s.
    pub const fn from_units(units: i64) -> Self {
        Self(units)
    }

    /// Its length in units of 2^-32 s.
    pub const fn as_units(self) -> i64 {
        self.0
    }

    /// Its length in nanoseconds, rounded down; at most 2.2e18, so that it fits.
    pub const fn as_nanos(self) -> i64 {
        // The high part is exact; the low part is below 2^32, so its product fits into 62 bits.
        let low = ((self.0 as u64 & LOW) * NANOS) >> 32;
        (self.0 >> 32) * NANOS as i64 + low as i64
    }
}

/// The four timestamps of an exchange, in the field's names. RFC 5905 §8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// T1, when the request left, by the client's clock.
    pub origin: Timestamp,
    /// T2, when it arrived, by the server's.
    pub receive: Timestamp,
    /// T3, when the reply left, by the server's.
    pub transmit: Timestamp,
    /// T4, when it arrived, by the client's.
    pub destination: Timestamp,
}

impl Exchange {
    /// θ, by how much the server's clock is ahead: the mean of `T2 - T1` and `T3 - T4`, rounded down.
    ///
    /// It cannot overflow and holds over the whole range of ±68 years; the plain sum of RFC 5905
    /// §8 wraps beyond ±34.
    pub const fn offset(&self) -> Span {
        let outward = self.receive.since(self.origin).0;
        let homeward = self.transmit.since(self.destination).0;
        Span((outward >> 1) + (homeward >> 1) + (outward & homeward & 1))
    }

    /// δ, the time on the way: `(T4 - T1) - (T3 - T2)`, negative where the clocks are coarse.
    ///
    /// The client's two may be of any clock, as long as it is the same.
    pub const fn delay(&self) -> Span {
        let elapsed = self.destination.since(self.origin).0;
        Span(elapsed.wrapping_sub(self.transmit.since(self.receive).0))
    }
}

/// A duration on the wire: 16 bits of seconds and 16 of fraction, unsigned. RFC 5905 §6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Short(u32);

impl Short {
    /// The duration with these 32 bits.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The 32 bits as on the wire.
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// Nanoseconds, rounded down.
    pub const fn as_nanos(self) -> u64 {
        (self.0 as u64 * NANOS) >> 16
    }

    /// The shortest duration of at least `ns` nanoseconds; saturates at 18 hours.
    pub fn from_nanos(ns: u64) -> Self {
        let units = (u128::from(ns) << 16).div_ceil(u128::from(NANOS));
        Self(u32::try_from(units).unwrap_or(u32::MAX))
    }
}

/// `2^precision` seconds in nanoseconds, rounded up, for `precision` clamped to -32 ..= 0.
///
/// The field can be any octet; a client that shifts by it as it comes panics (sntpc 0.11).
pub const fn precision_nanos(precision: i8) -> u64 {
    let shift = if precision > 0 {
        0
    } else if precision < -32 {
        32
    } else {
        precision.unsigned_abs()
    };
    (NANOS + (1 << shift) - 1) >> shift
}

#[cfg(test)]
mod tests;
