//! What others send: forged, replayed, late, and wrong.

extern crate std;

use std::collections::BTreeSet;
use std::vec;
use std::vec::Vec;

use super::world::{Answer, Fake, SECOND, World, address};
use crate::client::Verdict;
use crate::clock::ClockState;
use crate::discard::Discard;
use crate::packet::{Leap, Mode, Packet};
use crate::timestamp::Timestamp;
use bringup_core::client::{Client, Host, Input, Rng};
use bringup_core::time::Instant;

/// A forged reply: all is right but the origin.
fn forged(origin: u64, stratum: u8) -> Packet {
    Packet {
        version: 4,
        mode: Mode::Server,
        stratum,
        reference_id: *b"DENY",
        origin: Timestamp::from_bits(origin),
        receive: Timestamp::from_bits(99 << 32),
        transmit: Timestamp::from_bits(99 << 32),
        ..Packet::default()
    }
}

#[test]
fn a5_forged_packets_never_consume_the_nonce() {
    // CVE-2020-11868, CVE-2015-7704, CVE-2015-8138: kisses and times, with a random origin and 0.
    let mut world = World::started(&[Fake::good()]);
    let first = world.outside.sent[0];
    for i in 0..200 {
        let origin = if i % 3 == 0 { 0 } else { world.dice().u64() };
        let packet = forged(origin, u8::try_from(i % 2).unwrap());
        world.outside.deliver(first.at_us + i * 50, first.socket, address(0), &packet);
    }
    let other = forged(first.nonce, 0);
    world.outside.deliver(first.at_us + 9, first.socket, address(1), &other);
    world.run_us(20_000);
    assert_eq!(world.client.state(), ClockState::Provisional, "the genuine one is accepted");
    assert_eq!(world.client.counters().discarded(Discard::WrongOrigin), 200);
    assert_eq!(world.client.counters().discarded(Discard::WrongSource), 1, "A1 before A5");
    assert_eq!(world.client.counters().accepted, 1);
    assert_eq!(world.outside.sent.len(), 1, "junk triggers no resend");
}

#[test]
fn a5_junk_neither_delays_nor_hastens_the_retry() {
    let mut world = World::started(&[Fake::that(Answer::GoodAfter(1))]);
    let first = world.outside.sent[0];
    for i in 0..100 {
        world.outside.deliver(first.at_us + i * 9_000, first.socket, address(0), &forged(i, 2));
    }
    world.run_s(2);
    assert_eq!(world.reached_us(ClockState::Provisional), Some(1_020_000));
}

#[test]
fn a5_a_copy_of_a_good_reply_finds_nothing() {
    let mut world = World::started(&[Fake::good()]);
    let first = world.outside.sent[0];
    let utc = world.outside.truth.offset_by(5_010_000_000);
    let copy = Packet {
        stratum: 1,
        receive: Timestamp::from_utc(utc),
        transmit: Timestamp::from_utc(utc),
        ..forged(first.nonce, 2)
    };
    for i in 1..20 {
        world.outside.deliver(first.at_us + 20_000 + i, first.socket, address(0), &copy);
    }
    world.run_us(100_000);
    assert_eq!(world.client.counters().accepted, 1);
    assert_eq!(world.client.counters().discarded(Discard::NothingPending), 19);
}

#[test]
fn a5_nothing_pending_no_effect() {
    let mut world = World::new(&[Fake::good()]);
    for socket in [0, 7, 8, 255] {
        world.outside.deliver(5 * SECOND, socket, address(0), &forged(0, 2));
    }
    world.run_s(1);
    assert_eq!(world.client.counters().discarded(Discard::NothingPending), 4);
    assert_eq!((world.client.state(), world.outside.sent.len()), (ClockState::Invalid, 0));
}

#[test]
fn d5_a_late_reply_belongs_to_its_own_request() {
    // Zephyr#81120: the reply to the first request comes after the second has left.
    let mut world = World::new(&[Fake { out_us: 600_000, home_us: 600_000, ..Fake::good() }]);
    world.start();
    world.run_us(1_199_999);
    assert_eq!(world.outside.sent.len(), 2, "the second is under way");
    assert_eq!(world.client.counters().accepted, 0);
    world.run_us(1);
    assert_eq!(world.client.counters().accepted, 1);
    assert_eq!(world.ahead_ns(), Some(0), "measured from the first request's start");
    let report = world.client.report(&world.outside.cx(), 0).unwrap();
    assert_eq!(report.sample.unwrap().delay_ns, 1_200_000_000);
}

#[test]
fn a_reply_after_four_seconds_finds_nothing() {
    let mut world = World::new(&[Fake { out_us: 4_100_000, home_us: 0, ..Fake::good() }]);
    world.start();
    world.run_s(30);
    assert_eq!(world.client.counters().accepted, 0);
    assert_eq!(world.client.state(), ClockState::Invalid);
    assert!(world.discards.iter().all(|d| *d == Discard::NothingPending));
    assert!(world.outside.open.len() <= 1, "no socket is left behind");
}

#[test]
fn one_bad_reply_of_each_kind_gives_no_time_and_has_a_name() {
    type Row = (fn(&mut Packet), Discard);
    let rows: [Row; 8] = [
        (|p| p.mode = Mode::Client, Discard::WrongMode),
        (|p| p.version = 7, Discard::WrongVersion),
        (|p| p.receive = Timestamp::UNKNOWN, Discard::ZeroReceive),
        (|p| p.transmit = Timestamp::UNKNOWN, Discard::ZeroTransmit),
        (|p| p.leap = Leap::Unsynchronised, Discard::Unsynchronised),
        (|p| p.stratum = 16, Discard::BadStratum),
        (
            |p| p.transmit = Timestamp::from_bits(p.transmit.to_bits() + (9 << 32)),
            Discard::SlowProcessing,
        ),
        (|p| p.root_dispersion = crate::timestamp::Short::from_bits(2 << 16), Discard::TooDistant),
    ];
    for (change, why) in rows {
        let mut world = World::new(&[Fake::that(Answer::Changed(change)), Fake::good()]);
        world.client.probe(&mut world.outside.cx(), 1);
        world.run_s(60);
        assert_eq!(world.verdict(0), Verdict::Discarded(why), "{why}");
        assert_eq!(world.verdict(1), Verdict::Ok, "{why}");
        assert!(world.client.counters().discarded(why) > 0, "{why}");
        world.assert_polite();
    }
}

#[test]
fn nonces_are_uniform_and_never_the_clock() {
    // CVE-2015-8139, CVE-2020-13817.
    let mut world = World::started(&vec![Fake::good(); 4]);
    world.run_s(100_000);
    let nonces: Vec<u64> = world.outside.sent.iter().map(|s| s.nonce).collect();
    let unique: BTreeSet<_> = nonces.iter().collect();
    assert_eq!(unique.len(), nonces.len());
    assert!(nonces.len() > 300);
    for bit in 0..64 {
        let ones = nonces.iter().filter(|n| *n >> bit & 1 == 1).count();
        assert!(ones * 3 > nonces.len() && ones * 3 < nonces.len() * 2, "bit {bit}: {ones}");
    }
}

#[test]
fn any_bytes_at_any_time_leave_the_client_polite_and_right() {
    for seed in 0..60 {
        let mut world = World::new(&[Fake::good(), Fake::that(Answer::Nothing), Fake::good()]);
        world.start();
        let mut dice = crate::testing::Dice(seed);
        for _ in 0..300 {
            world.run_us(dice.below(3 * SECOND));
            let mut bytes = [0; 80];
            dice.fill(&mut bytes);
            bytes[0] = 0x24;
            let length = usize::try_from(dice.below(80)).unwrap();
            let input = Input::Datagram {
                socket: u8::try_from(dice.below(9)).unwrap(),
                from: address(usize::try_from(dice.below(3)).unwrap()),
                bytes: &bytes[..length],
                received_at: Instant::from_micros(dice.below(u64::MAX)),
            };
            let result = world.client.handle_input(&mut world.outside.cx(), input);
            assert!(result.is_err_and(|why| !why.ends_exchange()), "seed {seed}");
        }
        assert_eq!(world.client.state(), ClockState::Confirmed, "seed {seed}");
        assert_eq!(world.ahead_ns(), Some(0), "seed {seed}");
        world.assert_polite();
    }
}
