//! [`ntp_timestamp`]: the arithmetic of timestamps against the same in 128 bits, where nothing wraps.

use bringup_core::time::Utc;
use bringup_ntp::timestamp::{Exchange, Short, Span, Timestamp, precision_nanos};

use crate::data::Data;

const NANOS: i128 = 1_000_000_000;
const ERA: i128 = 1 << 64;
/// Seconds from 1900 to 1970: 70 years, 17 of them leap years (RFC 5905 Figure 4).
const TO_1970: i128 = (70 * 365 + 17) * 86_400;
/// Where mistakes are: the ends of `Utc`, the epoch, eras 0 to 2, and 68 years beside them.
const EDGES: [i64; 10] = [
    i64::MIN,
    i64::MAX,
    0,
    -2_208_988_800_000_000_000,
    2_085_978_496_000_000_000,
    6_380_945_792_000_000_000,
    4_233_462_144_000_000_000,
    -61_505_152_000_000_000,
    1_700_000_000_000_000_000,
    -6_503_956_096_000_000_000,
];

fn utc(data: &mut Data<'_>) -> Utc {
    let near = i64::from(data.i32()) >> (data.u8() % 32);
    let far = if data.flag() { 1 } else { 1_000_000_000 };
    let edge = match data.u8() {
        n @ 0..=199 => EDGES[usize::from(n) % EDGES.len()],
        _ => data.i64(),
    };
    Utc::from_unix_nanos(edge.saturating_add(near.saturating_mul(far)))
}

/// Units of 2^-32 s since 1900, any era.
fn units_since_1900(utc: Utc) -> i128 {
    let ns = i128::from(utc.as_unix_nanos()) + TO_1970 * NANOS;
    // The next fraction: rounded down again, it is the same nanosecond.
    -((-ns << 32).div_euclid(NANOS))
}

/// Era, rounding, differences, offset and delay are those of arithmetic that does not wrap; a time
/// comes back to the nanosecond, and never before its floor.
pub fn ntp_timestamp(bytes: &[u8]) {
    let mut data = Data::new(bytes);
    let (floor, time) = (utc(&mut data), utc(&mut data));
    check_era(floor, time);
    check_bits(Timestamp::from_bits(data.u64()), floor);
    check_exchange(&mut data);
    check_short(data.u32(), data.u64());
    for precision in i8::MIN..=i8::MAX {
        let exponent = u32::from(precision.clamp(-32, 0).unsigned_abs());
        let exact = (NANOS + (1_i128 << exponent) - 1) >> exponent;
        assert_eq!(i128::from(precision_nanos(precision)), exact);
    }
}

fn check_era(floor: Utc, time: Utc) {
    let stamp = Timestamp::from_utc(time);
    let bits = units_since_1900(time).rem_euclid(ERA).max(1);
    assert_eq!(i128::from(stamp.to_bits()), bits);
    assert!(!stamp.is_unknown());
    // In the 2^32 seconds from the floor's second on, the era is known.
    let after = i128::from(time.as_unix_secs()) - i128::from(floor.as_unix_secs());
    if (0..1 << 32).contains(&after) && bits != 1 {
        assert_eq!(stamp.to_utc(floor), time);
        assert_eq!(i128::from(stamp.seconds_after(floor)), after);
    }
}

fn check_bits(stamp: Timestamp, floor: Utc) {
    let floor_s = i128::from(floor.as_unix_secs()) + TO_1970;
    let bits = i128::from(stamp.to_bits());
    let after = ((bits >> 32) - floor_s).rem_euclid(1 << 32);
    assert_eq!(i128::from(stamp.seconds_after(floor)), after);
    let fraction = ((bits & 0xFFFF_FFFF) * NANOS) >> 32;
    assert_eq!(i128::from(stamp.subsec_nanos()), fraction);
    let ns = (floor_s + after - TO_1970) * NANOS + fraction;
    let clamped = ns.clamp(i64::MIN.into(), i64::MAX.into());
    assert_eq!(i128::from(stamp.to_utc(floor).as_unix_nanos()), clamped);
    assert!(stamp.to_utc(floor).as_unix_secs() >= floor.as_unix_secs());
}

/// A difference of 64-bit numbers as one within half an era.
fn near(units: i128) -> i128 {
    (units + ERA / 2).rem_euclid(ERA) - ERA / 2
}

fn check_exchange(data: &mut Data<'_>) {
    let base = data.u64();
    let stamp = |data: &mut Data<'_>| {
        let shift = data.u8() % 8 * 8;
        Timestamp::from_bits(base.wrapping_add_signed(data.i64() >> shift))
    };
    let [origin, receive, transmit, destination] = core::array::from_fn(|_| stamp(data));
    let exchange = Exchange { origin, receive, transmit, destination };
    let diff = |a: Timestamp, b: Timestamp| near(i128::from(a.to_bits()) - i128::from(b.to_bits()));
    let (outward, homeward) = (diff(receive, origin), diff(transmit, destination));
    assert_eq!(i128::from(receive.since(origin).as_units()), outward);
    assert_eq!(i128::from(exchange.offset().as_units()), (outward + homeward).div_euclid(2));
    let delay = near(diff(destination, origin) - diff(transmit, receive));
    assert_eq!(i128::from(exchange.delay().as_units()), delay);
    let span = Span::from_units(receive.since(origin).as_units());
    assert_eq!(i128::from(span.as_nanos()), (outward * NANOS) >> 32);
}

fn check_short(bits: u32, ns: u64) {
    let short = Short::from_bits(bits);
    assert_eq!(i128::from(short.as_nanos()), (i128::from(bits) * NANOS) >> 16);
    assert_eq!(Short::from_nanos(short.as_nanos()).as_nanos(), short.as_nanos());
    for ns in [ns, ns >> 20, ns >> 32] {
        let least = -((-i128::from(ns) << 16).div_euclid(NANOS));
        let least = least.min(u32::MAX.into());
        assert_eq!(i128::from(Short::from_nanos(ns).to_bits()), least);
    }
}
