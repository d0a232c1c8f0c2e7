//! Era edges by table, arithmetic against 128 bits.

extern crate std;

use super::*;
use crate::testing::Dice;
use bringup_core::client::Rng;

/// 2036-02-07T06:28:16Z, where era 1 begins.
const ERA_1: i64 = 2_085_978_496;

#[test]
fn m2_fraction_becomes_nanoseconds() {
    for (fraction, ns) in [
        (0, 0),
        (1, 0),
        (0x8000_0000, 500_000_000),
        (0x4000_0000, 250_000_000),
        (0xFFFF_FFFF, 999_999_999),
        // What lws takes for nanoseconds as it stands.
        (0x0000_03E8, 232),
    ] {
        assert_eq!(Timestamp::from_bits(7 << 32 | fraction).subsec_nanos(), ns, "{fraction:#x}");
    }
}

#[test]
fn m3_era_follows_the_floor() {
    let build = Utc::from_unix_secs(1_790_000_000); // 2026
    for (row, floor, wire_second, unix) in [
        ("the floor itself", build, 3_998_988_800, 1_790_000_000),
        (
            "the second before reads as 136 years on",
            build,
            3_998_988_799,
            1_789_999_999 + (1 << 32),
        ),
        ("last second of era 0", build, 0xFFFF_FFFF, ERA_1 - 1),
        ("first second of era 1", build, 0, ERA_1),
        ("2038, past 31 bits of Unix time", build, 61_505_152, 2_147_483_648),
        ("2040", build, 120_000_000, ERA_1 + 120_000_000),
        ("a floor of 1970", Utc::UNIX_EPOCH, 2_208_988_800, 0),
        ("a floor in era 1", Utc::from_unix_secs(ERA_1 + 5), 5, ERA_1 + 5),
        (
            "a floor before 1900",
            Utc::from_unix_secs(-UNIX_EPOCH_S - 1),
            0xFFFF_FFFF,
            -UNIX_EPOCH_S - 1,
        ),
    ] {
        let wire = Timestamp::from_bits(wire_second << 32);
        assert_eq!(wire.to_utc(floor).as_unix_secs(), unix, "{row}");
    }
}

#[test]
fn m4_the_ends_of_utc_come_back_and_saturate() {
    for ns in [i64::MIN, i64::MIN + 1, i64::MIN + 145_224_192, i64::MAX - 1, i64::MAX] {
        let utc = Utc::from_unix_nanos(ns);
        assert_eq!(Timestamp::from_utc(utc).to_utc(utc), utc, "{ns}");
    }
    let last = Utc::from_unix_nanos(i64::MAX);
    let later = Timestamp::from_bits(Timestamp::from_utc(last).to_bits() + (1 << 32));
    assert_eq!(later.to_utc(last), last);
}

#[test]
fn m8_every_nanosecond_comes_back() {
    let mut dice = Dice(8);
    for _ in 0..20_000 {
        let ns = i64::try_from(dice.below(1 << 61)).unwrap();
        let utc = Utc::from_unix_nanos(ns);
        let floor =
            Utc::from_unix_secs(utc.as_unix_secs() - i64::try_from(dice.below(1 << 32)).unwrap());
        if Timestamp::from_utc(utc).to_bits() != 1 {
            assert_eq!(Timestamp::from_utc(utc).to_utc(floor), utc, "{ns} from {floor}");
        }
    }
    assert_eq!(Timestamp::from_utc(Utc::from_unix_nanos(999_999_999)).subsec_nanos(), 999_999_999);
}

#[test]
fn the_start_of_an_era_is_not_sent_as_unknown() {
    let wire = Timestamp::from_utc(Utc::from_unix_secs(ERA_1));
    assert_eq!(wire.to_bits(), 1);
    assert_eq!(
        wire.to_utc(Utc::UNIX_EPOCH),
        Utc::from_unix_secs(ERA_1),
        "still the same nanosecond"
    );
}

/// A value that lies near an edge more often than not.
fn edgy(dice: &mut Dice) -> u64 {
    let edge = [0, 1 << 31, 1 << 32, 1 << 62, 1 << 63, u64::MAX, dice.u64()];
    let at = usize::try_from(dice.below(7)).unwrap();
    edge[at].wrapping_add(dice.below(5)).wrapping_sub(2)
}

#[test]
fn m1_offset_and_delay_match_128_bits() {
    let mut dice = Dice(1);
    for _ in 0..100_000 {
        // True times on an endless line, near an era's edge; the wire keeps the low 64 bits.
        let base = i128::from(edgy(&mut dice));
        let theta = i128::from(edgy(&mut dice) as i64) * 9 / 10;
        let (out, hold, home) = (dice.below(1 << 34), dice.below(1 << 34), dice.below(1 << 34));
        let (out, hold, home) = (i128::from(out), i128::from(hold), i128::from(home));
        let (t1, t2) = (base, base + out + theta);
        let (t3, t4) = (t2 + hold, base + out + hold + home);
        let wire = |t: i128| Timestamp::from_bits(u64::try_from(t & i128::from(u64::MAX)).unwrap());
        let x = Exchange {
            origin: wire(t1),
            receive: wire(t2),
            transmit: wire(t3),
            destination: wire(t4),
        };
        let offset = ((t2 - t1) + (t3 - t4)).div_euclid(2);
        assert_eq!(i128::from(x.offset().as_units()), offset, "offset of {x:?}");
        assert_eq!(i128::from(x.delay().as_units()), out + home, "delay of {x:?}");
    }
}

#[test]
fn m4_spans_in_nanoseconds_match_128_bits() {
    let mut dice = Dice(4);
    for _ in 0..100_000 {
        let units = edgy(&mut dice) as i64;
        let exact = (i128::from(units) * 1_000_000_000) >> 32;
        assert_eq!(i128::from(Span::from_units(units).as_nanos()), exact, "{units}");
    }
    assert_eq!(Span::from_units(-1).as_nanos(), -1, "rounded down, not towards zero");
}

#[test]
fn m9_the_sign_of_the_second_difference_is_that_of_section_8() {
    // 20 ms each way, 10 ms in the server, whose clock is 3 s ahead.
    let at = |ms: i64| Timestamp::from_utc(Utc::from_unix_nanos(ms * 1_000_000));
    let x =
        Exchange { origin: at(0), receive: at(3_020), transmit: at(3_030), destination: at(50) };
    assert_eq!(x.delay().as_nanos() / 1_000_000, 40);
    assert!((x.offset().as_nanos() - 3_000_000_000).abs() < 2);
}

#[test]
fn short_format_rounds_outwards() {
    assert_eq!(Short::from_bits(0x0001_8000).as_nanos(), 1_500_000_000);
    assert_eq!(Short::from_bits(u32::MAX).as_nanos(), 65_535_999_984_741);
    assert_eq!(Short::from_nanos(1), Short::from_bits(1));
    assert_eq!(Short::from_nanos(u64::MAX), Short::from_bits(u32::MAX));
}

#[test]
fn m6_every_precision_octet_is_harmless() {
    for octet in i8::MIN..=i8::MAX {
        let ns = precision_nanos(octet);
        assert!((1..=1_000_000_000).contains(&ns), "{octet}");
    }
    assert_eq!(precision_nanos(0), 1_000_000_000);
    assert_eq!(precision_nanos(-20), 954);
    assert_eq!(precision_nanos(-32), 1);
}
