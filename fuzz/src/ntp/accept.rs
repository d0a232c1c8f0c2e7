//! [`ntp_accept`]: `matches` and `judge`, rule by rule in 128 bits, over replies that nearly fit.

use bringup_core::time::{Instant, Utc};
use bringup_ntp::Discard;
use bringup_ntp::accept::{Measurement, Pending, judge, matches};
use bringup_ntp::extension::{Authentication, Trailer};
use bringup_ntp::packet::Packet;
use core::net::SocketAddr;

use crate::data::Data;

const NANOS: i128 = 1_000_000_000;

/// A reply is judged as a second reading of rules A1 to A14 judges it: the first rule that it breaks,
/// or the same offset and delay; no accepted time lies below the floor or beyond the horizon.
pub fn ntp_accept(bytes: &[u8]) {
    let mut data = Data::new(bytes);
    let twist = data.u8();
    let server: SocketAddr = "192.0.2.123:123".parse().expect("an address");
    let sent_at = Instant::from_micros(data.u64() >> (8 + data.u8() % 40));
    let elapsed = u64::from(data.u32()) >> (data.u8() % 32);
    let received_at = Instant::from_micros(sent_at.as_micros() + elapsed);
    let floor_ns = 1_700_000_000_000_000_000 + i64::from(data.u32()) * 1_500_000_000;
    let floor = Utc::from_unix_nanos(floor_ns);
    let nonce = data.u64();
    let mut wire = [0; 48].to_vec();
    wire.iter_mut().for_each(|octet| *octet = data.u8());
    wire.extend(data.rest());
    // Most replies get past the nonce, and to the sums.
    if twist & 7 != 7 {
        wire[24..32].copy_from_slice(&nonce.to_be_bytes());
        wire[0] = wire[0] & 0xC0 | if twist & 8 == 0 { 0x24 } else { 0x1C };
    }
    if twist & 0x30 != 0x30 {
        // Times a little after the floor, sent soon after they were received.
        let second =
            u64::try_from((floor.as_unix_secs() + 2_208_988_800) & 0xFFFF_FFFF).unwrap_or(0);
        let offset = u64::from(wire[33]) << 16 | u64::from(wire[34]) << 8 | u64::from(wire[35]);
        let receive = second.wrapping_add(offset) << 32
            | u64::from(u32::from_be_bytes([wire[36], wire[37], wire[38], wire[39]]));
        let took = u64::from(u32::from_be_bytes([wire[44], wire[45], wire[46], wire[47]]))
            >> (wire[43] % 32);
        wire[32..40].copy_from_slice(&receive.to_be_bytes());
        wire[40..48].copy_from_slice(&receive.wrapping_add(took).to_be_bytes());
        wire[1] = 1 + wire[1] % 15;
        wire[4..6].fill(0);
        wire[8..10].fill(0);
    }
    if twist & 0x40 == 0 {
        wire.truncate(48);
    }
    let from = if twist == 0xFF { "192.0.2.123:124".parse().expect("an address") } else { server };
    let pending = Pending { server, nonce, sent_at };
    let matched = matches(&pending, from, &wire);
    assert_eq!(matched.as_ref().err().copied(), stray(&wire, nonce, from == server));
    let Ok((packet, trailer)) = matched else { return };
    assert_eq!((trailer, Packet::parse(&wire)), (&wire[48..], Ok(packet)));
    let judged = judge(&packet, trailer, sent_at, received_at, floor);
    match (worth(&wire, sent_at, received_at, floor), judged) {
        (Err(why), Err(got)) => assert_eq!(got, why),
        (Ok((utc_ns, delay_ns)), Ok(m)) => {
            let received_ns = i128::from(received_at.as_micros()) * 1_000;
            // The offset may lie before 1970, and wraps.
            let apart = utc_ns - received_ns - i128::from(m.offset_ns);
            assert_eq!((apart.rem_euclid(1 << 64), i128::from(m.delay_ns)), (0, delay_ns));
            check(&m, sent_at);
        }
        (expected, got) => panic!("{got:?} instead of {expected:?}"),
    }
}

fn check(m: &Measurement, sent_at: Instant) {
    assert!((1_000..=3_000_000_000).contains(&m.delay_ns) && m.sent_at == sent_at);
    assert!((1..=15).contains(&m.server.stratum) && m.server.root_ns < 16_000_000_000);
    let distance = m.server.distance_ns(m.delay_ns, 0);
    assert!(distance >= u64::from(m.delay_ns / 2) && distance >= m.server.root_ns);
    assert!(m.server.distance_ns(m.delay_ns, 1_000_000) >= distance + 15_000);
    assert!(m.server.distance_ns(m.delay_ns, u64::MAX) >= distance);
}

/// A1 to A5.
fn stray(wire: &[u8], nonce: u64, same_source: bool) -> Option<Discard> {
    if !same_source {
        return Some(Discard::WrongSource);
    }
    if wire.len() < 48 {
        return Some(Discard::TooShort);
    }
    if wire[0] % 8 != 4 {
        return Some(Discard::WrongMode);
    }
    if !matches!(wire[0] / 8 % 8, 3 | 4) {
        return Some(Discard::WrongVersion);
    }
    (wire[24..32] != nonce.to_be_bytes()).then_some(Discard::WrongOrigin)
}

/// A7, A6, A8 to A14 from the octets: UTC at receipt and the delay, both in nanoseconds.
fn worth(
    wire: &[u8],
    sent_at: Instant,
    received_at: Instant,
    floor: Utc,
) -> Result<(i128, i128), Discard> {
    let number =
        |at: usize, n: usize| wire[at..at + n].iter().fold(0_i128, |v, b| v * 256 + i128::from(*b));
    let (receive, transmit) = (number(32, 8), number(40, 8));
    if wire[1] == 0 && super::is_text(&wire[12..16]) {
        return Err(match &wire[12..16] {
            b"DENY" => Discard::KissDeny,
            b"RSTR" => Discard::KissRestrict,
            b"RATE" => Discard::KissRate,
            [b'X', ..] => Discard::KissExperimental,
            _ => Discard::KissOther,
        });
    }
    let root_delay = (number(4, 4) * NANOS) >> 16;
    let root = root_delay / 2 + ((number(8, 4) * NANOS) >> 16);
    let half_era = 1_i128 << 63;
    let processing = (transmit - receive + half_era).rem_euclid(1 << 64) - half_era;
    let elapsed = i128::from(received_at.as_micros() - sent_at.as_micros()) * 1_000;
    let delay = elapsed - ((processing * NANOS) >> 32);
    let exponent = u32::from(i8::from_be_bytes([wire[3]]).clamp(-32, 0).unsigned_abs());
    let precision = (NANOS + (1 << exponent) - 1) >> exponent;
    let floor_s = i128::from(floor.as_unix_secs());
    let after = ((transmit >> 32) - (floor_s + 2_208_988_800)).rem_euclid(1 << 32);
    // Utc ends in 2262, and each sum of the code saturates there.
    let end = i128::from(i64::MAX);
    let sent = (floor_s + after) * NANOS + (((transmit & 0xFFFF_FFFF) * NANOS) >> 32);
    let utc = (sent.min(end) + (delay >> 1)).min(end);
    let rules = [
        (receive == 0, Discard::ZeroReceive),
        (transmit == 0, Discard::ZeroTransmit),
        (wire[0] >= 0xC0 || wire[1] == 0, Discard::Unsynchronised),
        (wire[1] > 15, Discard::BadStratum),
        (root >= 16 * NANOS, Discard::RootDistance),
        (processing < 0, Discard::NegativeProcessing),
        (processing >= 4 << 32, Discard::SlowProcessing),
        (delay < -(precision + 1_000 + elapsed / 2_000), Discard::NegativeDelay),
        (delay > 3 * NANOS, Discard::LongDelay),
        (after >= 1 << 31, Discard::BelowFloor),
        (utc < i128::from(floor.as_unix_nanos()), Discard::BelowFloor),
    ];
    if let Some((_, why)) = rules.into_iter().find(|(broken, _)| *broken) {
        return Err(why);
    }
    match Trailer::parse(&wire[48..]).map(|t| t.authentication()) {
        Ok(Authentication::CryptoNak) => Err(Discard::CryptoNak),
        Ok(_) => Ok((utc, delay.max(1_000))),
        Err(_) => Err(Discard::BadExtension),
    }
}
