//! Days of operation, in milliseconds: clocks that drift and jump, wires that lose, servers that lie,
//! fall silent or kiss; how far off the time is, and how many requests it took.

extern crate std;

use std::vec;

use super::world::{Answer, BUILD, Fake, SECOND, World};
use crate::client::{Config, Event, Source};
use crate::clock::ClockState;
use crate::discipline::Adjust;
use crate::packet::Leap;
use bringup_core::time::{Instant, Utc};

const DAY_S: u64 = 86_400;
const MS: i64 = 1_000_000;

/// Lets days pass, and holds the client to its error bound every ten minutes.
fn live(world: &mut World, days: u64) {
    for _ in 0..days * 144 {
        world.run_s(600);
        if let Some(off_ns) = world.ahead_ns() {
            let now = Instant::from_micros(world.outside.now_us);
            let bound_ns = world.client.utc(now).unwrap().error_ns;
            assert!(off_ns.unsigned_abs() <= bound_ns, "{off_ns} ns, said {bound_ns}");
        }
    }
    world.assert_polite();
}

fn servers() -> vec::Vec<Fake> {
    [(2_000, 2_000), (10_000, 10_000), (30_000, 10_000), (5_000, 60_000)]
        .map(|(out_us, home_us)| Fake { out_us, home_us, ..Fake::good() })
        .to_vec()
}

/// The scenarios, each with the requests that a day of it may cost.
#[test]
fn a_day_of_each_kind_is_right_within_its_bound_and_costs_few_requests() {
    let change = |change: fn(&mut World)| change;
    let rows = [
        ("all good", change(|_| {}), 360..385),
        ("a clock that drifts 14 ppm", change(|w| w.outside.oscillator.turn(0, 14_000)), 330..400),
        ("one in four lost", change(|w| w.outside.lost_one_in = 8), 370..420),
        ("half of all lost", change(|w| w.outside.lost_one_in = 3), 500..650),
        ("jitter of 50 ms", change(|w| w.outside.jitter_us = 50_000), 330..400),
        ("one lies by an hour", change(|w| w.outside.fakes[0].ahead_ns = 3_600_000 * MS), 330..420),
        ("one is silent", change(|w| w.outside.fakes[1].answer = Answer::Nothing), 330..420),
        ("one denies", change(|w| w.outside.fakes[2].answer = Answer::Kiss(*b"DENY", 0)), 250..340),
        (
            "one limits the rate",
            change(|w| w.outside.fakes[3].answer = Answer::Kiss(*b"RATE", 6)),
            250..340,
        ),
        (
            "only one answers",
            change(|w| w.outside.fakes[1..].iter_mut().for_each(|f| f.answer = Answer::Nothing)),
            330..420,
        ),
        (
            "none answers",
            change(|w| w.outside.fakes.iter_mut().for_each(|f| f.answer = Answer::Nothing)),
            85..95,
        ),
    ];
    for (row, change, requests) in rows {
        let mut world = World::new(&servers());
        change(&mut world);
        world.start();
        live(&mut world, 1);
        let sent = world.outside.sent.len();
        assert!(requests.contains(&sent), "{row}: {sent} requests");
        let state = world.client.state();
        let expected =
            if row == "none answers" { ClockState::Invalid } else { ClockState::Confirmed };
        assert_eq!(state, expected, "{row}");
    }
}

#[test]
fn a_client_of_1970_and_servers_of_2040_for_a_week() {
    for (truth, wall) in [
        (2_208_988_800, 0),
        // Across the start of era 1, from a clock of 1970 and one of 2096.
        (2_085_978_400, 0),
        (2_085_978_400, 4_000_000_000),
        // openntpd#58 stopped in 2030; 32 bits of seconds since 1970 end in 2038.
        (1_893_455_900, 0),
        (2_147_483_600, 1_795_500_000),
    ] {
        let mut world = World::new(&servers());
        world.outside.truth = Utc::from_unix_secs(truth);
        world.outside.wall_ahead_ns = (wall - truth) * 1_000 * MS;
        world.outside.obeys = true;
        world.start();
        live(&mut world, 7);
        assert_eq!(world.client.state(), ClockState::Confirmed);
        assert!(world.wall_error_ns().abs() < 30 * MS, "{truth}: {}", world.wall_error_ns());
        assert!(
            world.client.floor() > Utc::from_unix_secs(truth + 6 * 86_400),
            "the floor has risen"
        );
        assert_eq!(world.count(|e| matches!(e, Event::Adjust(Adjust::Step { .. }))), 1);
        let sent = world.outside.sent.len();
        assert!((2_300..2_600).contains(&sent), "{sent} requests in a week");
    }
}

#[test]
fn a_wall_clock_that_jumps_is_set_right_and_never_enters_the_time() {
    let mut world = World::new(&servers());
    world.outside.obeys = true;
    world.start();
    for day in 1..5 {
        live(&mut world, 1);
        world.outside.wall_ahead_ns += 40_000 * MS * day;
        world.run_s(2_000);
        assert!(world.wall_error_ns().abs() < 30 * MS, "{}", world.wall_error_ns());
        assert_eq!(world.client.state(), ClockState::Confirmed);
    }
}

/// The loop of the frequency, as an option.
fn rate_after(days: u64, ppb: i64, jitter_us: u64) -> (i64, i64) {
    let config = Config { frequency: true, ..Config::new(BUILD) };
    let mut world = World::with(config, &[Fake::good()], Source::Dhcp);
    world.outside.obeys = true;
    world.outside.jitter_us = jitter_us;
    world.outside.oscillator.turn(0, ppb);
    world.start();
    world.run_s(days * DAY_S);
    world.assert_polite();
    assert_eq!(world.client.state(), ClockState::Confirmed);
    let mut worst_ns = 0;
    for _ in 0..144 {
        world.run_s(600);
        worst_ns = world.wall_error_ns().abs().max(worst_ns);
    }
    (world.outside.oscillator.ppb(), worst_ns)
}

#[test]
fn d7_the_frequency_loop_converges() {
    for ppb in [0, 10_000, -10_000, 50_000, -50_000, 200_000] {
        let (left_ppb, worst_ns) = rate_after(2, ppb, 0);
        assert!(left_ppb.abs() <= 20, "{ppb} ppb: {left_ppb} are left");
        assert!(worst_ns < MS / 10, "{ppb} ppb: {worst_ns} ns off at worst");
        let (left_ppb, worst_ns) = rate_after(2, ppb, 4_000);
        assert!(left_ppb.abs() <= 1_500, "{ppb} ppb, with jitter: {left_ppb} are left");
        assert!(worst_ns < 5 * MS, "{ppb} ppb, with jitter: {worst_ns} ns off at worst");
    }
}

#[test]
fn d7_without_the_loop_only_the_offset_is_corrected() {
    let mut world = World::new(&[Fake::good()]);
    world.outside.obeys = true;
    world.outside.oscillator.turn(0, 10_000);
    world.start();
    world.run_s(DAY_S);
    assert_eq!(world.outside.oscillator.ppb(), 10_000);
    assert!(world.wall_error_ns().abs() < 12 * MS, "10 ppm of 1127 s: {}", world.wall_error_ns());
    assert_eq!(world.count(|e| matches!(e, Event::Adjust(Adjust::Rate { .. }))), 0);
}

/// A world five days before the end of a month, whose servers announce a leap second.
fn before_a_leap(announcing: usize) -> World {
    let mut world = World::new(&vec![Fake::good(); 3]);
    let end = Utc::from_unix_secs(1_798_761_600); // 2027-01-01
    world.outside.truth = end.offset_by(-5 * 86_400_000 * MS);
    for fake in &mut world.outside.fakes[..announcing] {
        fake.answer = Answer::Changed(|reply| reply.leap = Leap::Insert);
    }
    if announcing >= 2 {
        world.outside.leap_at = Some(end);
    }
    world.start();
    world
}

#[test]
fn c7_a_leap_second_is_announced_armed_on_its_day_and_followed_at_once() {
    let mut world = before_a_leap(2);
    world.run_s(3_600);
    let at = world.outside.leap_at.unwrap();
    assert_eq!(world.count(|e| *e == Event::Leap { leap: Leap::Insert, at }), 1);
    let armed = |e: &Event| *e == Event::Adjust(Adjust::Leap(Leap::Insert));
    world.run_s(3 * DAY_S);
    assert_eq!(world.count(armed), 0, "not before its day");
    world.run_s(DAY_S);
    assert_eq!(world.count(armed), 1);
    let left_us = 5 * DAY_S * SECOND - world.outside.now_us;
    world.run_us(left_us - 1);
    assert_eq!(world.ahead_ns(), Some(0));
    world.run_us(2_000);
    assert_eq!(world.ahead_ns(), Some(0), "23:59:59 again, without a request");
    let over = |e: &Event| *e == Event::Adjust(Adjust::Leap(Leap::None));
    for _ in 0..35 {
        world.run_s(100);
        let known = (world.client.state(), world.ahead_ns());
        assert_eq!(known, (ClockState::Confirmed, Some(0)), "by what was measured before, too");
    }
    assert_eq!(world.count(over), 0, "the kernel's clock may be behind");
    world.run_s(200);
    assert_eq!(world.count(over), 1, "or the kernel would not take another");
    world.run_s(2 * DAY_S);
    assert_eq!((world.client.state(), world.ahead_ns()), (ClockState::Confirmed, Some(0)));
    assert_eq!(world.count(|e| matches!(e, Event::Adjust(Adjust::Leap(_)))), 2);
    assert_eq!(world.count(|e| matches!(e, Event::PanicLimit { .. })), 0);
}

#[test]
fn c7_a_leap_second_is_not_waited_for_when_the_time_is_lost() {
    let mut world = before_a_leap(2);
    world.run_s(4 * DAY_S + 3_600);
    world.client.forget();
    for fake in &mut world.outside.fakes {
        fake.answer = Answer::Nothing;
    }
    // That the loop cannot be made to spin is asserted at each timeout.
    world.run_s(2 * DAY_S);
    assert_eq!(world.client.state(), ClockState::Invalid);
}

#[test]
fn c7_who_has_fallen_silent_has_no_word_about_leap_seconds() {
    let mut world = before_a_leap(2);
    world.run_s(3_600);
    assert_eq!(world.client.leap(), Leap::Insert);
    for fake in &mut world.outside.fakes[..2] {
        fake.answer = Answer::Nothing;
    }
    world.run_s(DAY_S);
    assert_eq!((world.client.state(), world.client.leap()), (ClockState::Confirmed, Leap::None));
}

#[test]
fn c7_one_of_three_announces_nothing_and_a_word_can_be_taken_back() {
    let mut world = before_a_leap(1);
    world.run_s(6 * DAY_S);
    assert_eq!(
        world.count(|e| matches!(e, Event::Leap { .. } | Event::Adjust(Adjust::Leap(_)))),
        0
    );
    assert_eq!(world.ahead_ns(), Some(0));

    let mut world = before_a_leap(2);
    world.outside.leap_at = None;
    world.run_s(4 * DAY_S + 3_600);
    for fake in &mut world.outside.fakes {
        fake.answer = Answer::Good;
    }
    world.run_s(2 * DAY_S);
    let said: vec::Vec<_> = world
        .outside
        .events
        .iter()
        .filter_map(|(_, e)| match e {
            Event::Adjust(Adjust::Leap(leap)) => Some(*leap),
            _ => None,
        })
        .collect();
    assert_eq!(said, [Leap::Insert, Leap::None]);
    assert_eq!((world.client.state(), world.ahead_ns()), (ClockState::Confirmed, Some(0)));
}
