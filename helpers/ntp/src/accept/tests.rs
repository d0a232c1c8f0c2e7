//! Each rule by its number: one good reply, and one change that breaks it.

extern crate std;

use super::*;
use crate::timestamp::{Short, Timestamp};
use bringup_core::time::Duration;
use core::net::{Ipv4Addr, SocketAddrV4};
use std::vec::Vec;

/// 2026-11-24.
const BUILD: Utc = Utc::from_unix_secs(1_795_500_000);
const SENT: Instant = Instant::from_micros(70_000_000);
const NONCE: u64 = 0x1122_3344_5566_7788;

fn server() -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 123))
}

/// A good reply, one day after the build: 20 ms each way, 1 ms in the server.
fn good() -> Packet {
    let receive = BUILD.offset_by(86_400_000_000_000 + 123_456_789);
    Packet {
        version: 4,
        mode: Mode::Server,
        stratum: 2,
        precision: -20,
        root_delay: Short::from_nanos(10_000_000),
        root_dispersion: Short::from_nanos(1_000_000),
        origin: Timestamp::from_bits(NONCE),
        receive: Timestamp::from_utc(receive),
        transmit: Timestamp::from_utc(receive.offset_by(1_000_000)),
        ..Packet::default()
    }
}

fn bytes(packet: &Packet) -> Vec<u8> {
    let mut buffer = [0; 48];
    packet.write(&mut bringup_core::wire::Writer::new(&mut buffer)).unwrap();
    buffer.to_vec()
}

fn after(elapsed_us: u64, from: SocketAddr, bytes: &[u8]) -> Result<Measurement, Discard> {
    let pending = Pending { server: server(), nonce: NONCE, sent_at: SENT };
    let (packet, trailer) = matches(&pending, from, bytes)?;
    judge(&packet, trailer, SENT, SENT + Duration::from_micros(elapsed_us), BUILD)
}

fn accept(bytes: &[u8]) -> Result<Measurement, Discard> {
    after(41_000, server(), bytes)
}

#[test]
fn a_good_reply_gives_the_time() {
    let m = accept(&bytes(&good())).unwrap();
    // The two timestamps are rounded to 233 ps each, so that a nanosecond may come on top.
    assert!((40_000_000..=40_000_001).contains(&m.delay_ns), "{}", m.delay_ns);
    let utc = m.offset_ns + instant_ns(SENT) + 41_000_000;
    let expected =
        BUILD.as_unix_nanos() + 86_400_000_000_000 + 123_456_789 + 1_000_000 + 20_000_000;
    assert_eq!(utc, expected, "T3 and half the way");
    // M7: (10 + 40) / 2 ms on the way, 1 ms granted by the server, precisions of 1 us and less.
    let distance = m.server.distance_ns(m.delay_ns, 41_000);
    assert!((26_000_000..26_020_000).contains(&distance), "{distance}");
}

#[test]
fn every_rule_by_its_number() {
    let good = good();
    let later = |span_ns| Timestamp::from_utc(good.receive.to_utc(BUILD).offset_by(span_ns));
    let before_build = Timestamp::from_utc(BUILD.offset_by(-1_000_000_000));
    let in_1999 = Timestamp::from_utc(Utc::from_unix_secs(930_000_000));
    let kiss = |id: &[u8; 4]| Packet { stratum: 0, reference_id: *id, ..good };
    let unset = Timestamp::UNKNOWN;
    for (row, packet, expected) in [
        ("A3", Packet { mode: Mode::Client, ..good }, Discard::WrongMode),
        ("A3: busybox", Packet { mode: Mode::Broadcast, ..good }, Discard::WrongMode),
        ("A4: 0", Packet { version: 0, ..good }, Discard::WrongVersion),
        ("A4: 2", Packet { version: 2, ..good }, Discard::WrongVersion),
        ("A4: 5, rsntp", Packet { version: 5, ..good }, Discard::WrongVersion),
        (
            "A5: one bit",
            Packet { origin: Timestamp::from_bits(NONCE ^ 1), ..good },
            Discard::WrongOrigin,
        ),
        ("A5: 0, CVE-2015-8138", Packet { origin: unset, ..good }, Discard::WrongOrigin),
        (
            "A5: interleaved, CVE-2016-1548",
            Packet { origin: good.receive, ..good },
            Discard::WrongOrigin,
        ),
        (
            "A5 before A7, CVE-2015-7704",
            Packet { origin: unset, ..kiss(b"DENY") },
            Discard::WrongOrigin,
        ),
        ("A7", kiss(b"DENY"), Discard::KissDeny),
        ("A7", kiss(b"RSTR"), Discard::KissRestrict),
        ("A7", kiss(b"RATE"), Discard::KissRate),
        ("A7, K4", kiss(b"XYZW"), Discard::KissExperimental),
        ("A7, K5", kiss(b"INIT"), Discard::KissOther),
        (
            "A8: chronyd",
            Packet { leap: Leap::Unsynchronised, ..kiss(&[0; 4]) },
            Discard::Unsynchronised,
        ),
        ("A8: stratum 0 of an address", kiss(&[192, 0, 2, 7]), Discard::Unsynchronised),
        ("A6 before A8", Packet { receive: unset, ..kiss(&[0; 4]) }, Discard::ZeroReceive),
        (
            "A7 before A6",
            Packet { receive: unset, transmit: unset, ..kiss(b"RATE") },
            Discard::KissRate,
        ),
        ("A6: T2, sntpc", Packet { receive: unset, ..good }, Discard::ZeroReceive),
        ("A6: T3, ntpd-rs, rsntp", Packet { transmit: unset, ..good }, Discard::ZeroTransmit),
        ("A8", Packet { leap: Leap::Unsynchronised, ..good }, Discard::Unsynchronised),
        ("A8", Packet { stratum: 16, ..good }, Discard::BadStratum),
        ("A8", Packet { stratum: 255, ..good }, Discard::BadStratum),
        (
            "A9",
            Packet { root_dispersion: Short::from_bits(16 << 16), ..good },
            Discard::RootDistance,
        ),
        (
            "A9: half the root delay counts",
            Packet {
                root_delay: Short::from_bits(30 << 16),
                root_dispersion: Short::from_bits(1 << 16),
                ..good
            },
            Discard::RootDistance,
        ),
        ("A10", Packet { transmit: later(-2), ..good }, Discard::NegativeProcessing),
        ("A10", Packet { transmit: later(4_000_000_001), ..good }, Discard::SlowProcessing),
        (
            "A10: the limit itself",
            Packet { transmit: Timestamp::from_bits(good.receive.to_bits() + (4 << 32)), ..good },
            Discard::SlowProcessing,
        ),
        ("A11", Packet { transmit: later(41_100_000), ..good }, Discard::NegativeDelay),
        (
            "A13: a second before the build",
            Packet { receive: before_build, transmit: before_build, ..good },
            Discard::BelowFloor,
        ),
        ("A13: 1999", Packet { receive: in_1999, transmit: in_1999, ..good }, Discard::BelowFloor),
        (
            "A13 after A9",
            Packet { root_dispersion: Short::from_bits(u32::MAX), transmit: in_1999, ..good },
            Discard::RootDistance,
        ),
    ] {
        assert_eq!(accept(&bytes(&packet)), Err(expected), "{row}");
    }
}

#[test]
fn what_is_no_ground_to_reject() {
    let good = good();
    let t = good.transmit;
    for (row, packet) in [
        ("A4: version 3", Packet { version: 3, ..good }),
        ("C7: a leap second is announced", Packet { leap: Leap::Insert, ..good }),
        ("C7", Packet { leap: Leap::Delete, ..good }),
        ("A8: stratum 1", Packet { stratum: 1, ..good }),
        ("A8: stratum 15", Packet { stratum: 15, ..good }),
        (
            "A14: a reference time after the transmit time",
            Packet { reference: Timestamp::from_bits(t.to_bits() + (5 << 32)), ..good },
        ),
        ("A10: no time in the server", Packet { receive: t, ..good }),
        (
            "A9: just below",
            Packet { root_dispersion: Short::from_bits((15 << 16) + 0xFE00), ..good },
        ),
    ] {
        assert!(accept(&bytes(&packet)).is_ok(), "{row}");
    }
}

#[test]
fn a1_source_address_and_port() {
    let good = bytes(&good());
    for from in ["192.0.2.2:123", "192.0.2.1:124", "[2001:db8::1]:123"] {
        assert_eq!(after(1, from.parse().unwrap(), &good), Err(Discard::WrongSource), "{from}");
    }
}

#[test]
fn a1_a_server_of_ipv6_has_the_scope_that_the_host_gives_it() {
    let good = bytes(&good());
    let server = "[fe80::1%2]:123".parse().unwrap();
    for (from, is_it) in [
        ("[fe80::1%2]:123", true),
        ("[fe80::1]:123", true),
        ("[fe80::1%3]:123", true),
        ("[fe80::2%2]:123", false),
        ("[fe80::1%2]:124", false),
        ("192.0.2.1:123", false),
    ] {
        let pending = Pending { server, nonce: NONCE, sent_at: SENT };
        let got = matches(&pending, from.parse().unwrap(), &good).map(|_| ());
        assert_eq!(got, if is_it { Ok(()) } else { Err(Discard::WrongSource) }, "{from}");
    }
}

#[test]
fn a2_every_length_below_48() {
    let good = bytes(&good());
    for length in 0..48 {
        assert_eq!(accept(&good[..length]), Err(Discard::TooShort), "{length}");
    }
}

#[test]
fn a5_every_bit_of_the_origin_counts() {
    for bit in 0..64 {
        let packet = Packet { origin: Timestamp::from_bits(NONCE ^ 1 << bit), ..good() };
        assert_eq!(accept(&bytes(&packet)), Err(Discard::WrongOrigin), "bit {bit}");
    }
}

#[test]
fn a11_a12_delay() {
    let at_once = bytes(&Packet { transmit: good().receive, ..good() });
    let good = bytes(&good());
    for (row, elapsed_us, expected) in [
        ("A12: 3 s on the way", 3_000_999, Ok(2_999_999)),
        ("A12: more", 3_001_001, Err(Discard::LongDelay)),
        ("A12: a suspend in between (M10)", u64::MAX, Err(Discard::LongDelay)),
        ("A11: clamped to the resolution", 1_000, Ok(1)),
        ("A11: by a microsecond", 999, Ok(1)),
        ("A11: by more than the clocks' grain", 900, Err(Discard::NegativeDelay)),
    ] {
        let delay = after(elapsed_us, server(), &good).map(|m| m.delay_ns / 1_000);
        assert_eq!(delay, expected, "{row}");
    }
    let longest = after(3_000_000, server(), &at_once).map(|m| m.delay_ns);
    assert_eq!(longest, Ok(3_000_000_000), "A12: the limit itself");
}

#[test]
fn a11_a_server_that_counts_whole_seconds_may_seem_to_take_one() {
    let second = |s: i64| Timestamp::from_utc(Utc::from_unix_secs(1_795_600_000 + s));
    let packet = Packet { precision: 0, receive: second(0), transmit: second(1), ..good() };
    let m = after(2_000, server(), &bytes(&packet)).unwrap();
    let utc = m.offset_ns + instant_ns(SENT) + 2_000_000;
    assert_eq!(utc, 1_795_600_000_501_000_000, "M3: half the raw delay of -998 ms");
    assert_eq!(m.delay_ns, 1_000);
}

#[test]
fn a13_the_edges_of_eras() {
    let at = |s: i64, floor: Utc| {
        let t = Timestamp::from_utc(Utc::from_unix_secs(s));
        let packet = Packet { receive: t, transmit: t, ..good() };
        let received_at = SENT + Duration::from_micros(2);
        judge(&packet, &[], SENT, received_at, floor)
            .map(|m| (m.offset_ns + instant_ns(received_at)) / 1_000_000_000)
    };
    let year_2040 = 2_208_988_800;
    for (row, s, floor, expected) in [
        ("2036: the last second of era 0", 2_085_978_495, BUILD, Ok(2_085_978_495)),
        ("2036: the first of era 1", 2_085_978_496, BUILD, Ok(2_085_978_496)),
        ("2038", 2_147_483_648, BUILD, Ok(2_147_483_648)),
        ("2040, with a client that boots in 1970", year_2040, BUILD, Ok(year_2040)),
        (
            "2040, with a floor in 2039",
            year_2040,
            Utc::from_unix_secs(year_2040 - 9),
            Ok(year_2040),
        ),
        (
            "2026, with a floor in 2040",
            1_795_500_000,
            Utc::from_unix_secs(year_2040),
            Err(Discard::BelowFloor),
        ),
        ("the floor itself", 1_795_500_000, BUILD, Ok(1_795_500_000)),
        ("the horizon", 1_795_500_000 + (1 << 31) - 1, BUILD, Ok(1_795_500_000 + (1 << 31) - 1)),
        ("beyond it", 1_795_500_000 + (1 << 31), BUILD, Err(Discard::BelowFloor)),
    ] {
        assert_eq!(at(s, floor), expected, "{row}");
    }
}

#[test]
fn a13_holds_below_the_second() {
    // The server's second is the floor's, but its fraction lies before.
    let floor = BUILD.offset_by(700_000_000);
    let t = Timestamp::from_utc(BUILD.offset_by(600_000_000));
    let packet = Packet { receive: t, transmit: t, ..good() };
    assert_eq!(judge(&packet, &[], SENT, SENT, floor), Err(Discard::BelowFloor));
    assert!(
        judge(&packet, &[], SENT, SENT, packet.transmit.to_utc(BUILD)).is_ok(),
        "the floor itself"
    );
}

#[test]
fn a14_what_follows_the_header() {
    let with = |trailer: &[u8]| {
        let mut all = bytes(&good());
        all.extend(trailer);
        accept(&all).map(|_| ())
    };
    let mut field = [0; 28];
    field[..4].copy_from_slice(&[0x01, 0x04, 0, 28]);
    for (row, trailer, expected) in [
        ("nothing", &[][..], Ok(())),
        ("crypto-NAK, CVE-2015-7871", &[0; 4][..], Err(Discard::CryptoNak)),
        ("a MAC", &[9; 20][..], Ok(())),
        ("an unknown extension field", &field[..], Ok(())),
        ("a field that ends nowhere", &[9; 28][..], Err(Discard::BadExtension)),
        ("one octet", &[9; 1][..], Err(Discard::BadExtension)),
    ] {
        assert_eq!(with(trailer), expected, "{row}");
    }
}

#[test]
fn m6_every_precision_and_poll_octet() {
    for octet in i8::MIN..=i8::MAX {
        let packet = Packet { precision: octet, poll: octet, ..good() };
        assert!(accept(&bytes(&packet)).is_ok(), "{octet}");
    }
}
