//! What is believed: votes, eras, steps of the wall clock, staleness.

extern crate std;

use std::vec;
use std::vec::Vec;

use super::world::{Answer, BUILD, Fake, SECOND, World};
use crate::client::{Config, Event, Source, Verdict};
use crate::clock::ClockState;
use crate::discard::Discard;
use crate::discipline::{Adjust, Wall};
use crate::plausible::Plausible;
use bringup_core::client::{Client, Host, Input};
use bringup_core::error::ErrorKind;
use bringup_core::time::{Duration, Instant, Utc};

#[test]
fn c2_votes() {
    for (row, ahead, expected, state) in [
        ("openntpd, ntpsec: a bad first of four", &[3600, 0, 0, 0][..], 0, ClockState::Confirmed),
        ("a bad last", &[0, 0, 0, 3600], 0, ClockState::Confirmed),
        ("busybox: two against two", &[0, 0, 3600, 3600], 0, ClockState::Provisional),
        ("two against two, in turn", &[0, 3600, 0, 3600], 0, ClockState::Provisional),
        ("one against one", &[0, 3600], 0, ClockState::Provisional),
        ("three bad", &[3600, 3600, 0, 3600], 3600, ClockState::Confirmed),
    ] {
        let fakes: Vec<_> = ahead.iter().map(|&s| Fake::ahead_s(s)).collect();
        let mut world = World::started(&fakes);
        world.run_s(200);
        assert_eq!(world.ahead_ns(), Some(expected * 1_000_000_000), "{row}");
        assert_eq!(world.client.state(), state, "{row}");
        world.assert_polite();
    }
}

#[test]
fn c2_an_outvoted_server_is_reported() {
    let mut world = World::new(&[Fake::ahead_s(3600), Fake::good(), Fake::good()]);
    world.client.probe(&mut world.outside.cx(), 1);
    world.run_s(10);
    let verdicts = [0, 1, 2].map(|n| world.verdict(n));
    assert_eq!(verdicts, [Verdict::Outvoted, Verdict::Ok, Verdict::Ok]);
    assert_eq!(world.outside.sent.len(), 3);
    assert!(world.outside.events.last().is_some_and(|e| e.1 == Event::ProbeDone));
    assert_eq!(world.count(|e| matches!(e, Event::Report { .. })), 3);
    assert_eq!(world.count(|e| matches!(e, Event::Adjust(_))), 0, "a probe sets nothing");
    assert_eq!(world.client.poll_timeout().map(|t| t > Instant::from_micros(SECOND)), Some(true));
}

#[test]
fn c2_a_probe_believes_what_all_say_together_and_nothing_that_came_first() {
    use ClockState::{Confirmed, Invalid, Provisional};
    for (row, ahead, expected, state) in [
        ("one alone", &[3600][..], Some(3600), Provisional),
        ("one against one", &[0, 3600], None, Invalid),
        ("two against two", &[0, 0, 3600, 3600], None, Invalid),
        ("a bad first", &[3600, 0, 0], Some(0), Confirmed),
        ("two first are outvoted by three", &[3600, 3600, 0, 0, 0], Some(0), Confirmed),
        ("three that all differ", &[0, 1800, 3600], None, Invalid),
    ] {
        let fakes: Vec<_> = ahead.iter().map(|&s| Fake::ahead_s(s)).collect();
        let mut world = World::new(&fakes);
        world.client.probe(&mut world.outside.cx(), 1);
        world.run_s(10);
        assert_eq!(world.count(|e| *e == Event::ProbeDone), 1, "{row}");
        assert_eq!(world.ahead_ns(), expected.map(|s: i64| s * 1_000_000_000), "{row}");
        assert_eq!(world.client.state(), state, "{row}");
        assert_eq!(world.count(|e| matches!(e, Event::Adjust(_))), 0, "{row}");
    }
}

#[test]
fn c2_of_those_that_agree_the_nearest_is_believed() {
    let near = Fake { out_us: 500, home_us: 500, ..Fake::good() };
    // Its way out takes 40 ms more than its way home: it seems 20 ms off, and says that it may be.
    let far = Fake { out_us: 60_000, home_us: 20_000, ..Fake::good() };
    for fakes in [[near.clone(), far.clone()], [far, near]] {
        let mut world = World::new(&fakes);
        world.client.probe(&mut world.outside.cx(), 1);
        world.run_s(10);
        let off_ns = world.ahead_ns().expect("known");
        assert!(off_ns.abs() < 1_000_000, "{off_ns} ns");
    }
}

#[test]
fn a_probe_that_is_ended_early_says_what_is_in_hand() {
    let mut world = World::new(&[
        Fake::good(),
        Fake::ahead_s(3600),
        Fake::that(Answer::Nothing),
        Fake::that(Answer::Nothing),
    ]);
    world.client.probe(&mut world.outside.cx(), 1);
    world.run_s(1);
    assert_eq!(world.client.state(), ClockState::Provisional, "more may come");
    world.client.end_probe(&mut world.outside.cx());
    world.client.end_probe(&mut world.outside.cx());
    world.drain();
    assert_eq!(world.client.state(), ClockState::Invalid);
    assert_eq!(world.count(|e| *e == Event::ProbeDone), 1);
    assert_eq!(world.count(|e| matches!(e, Event::Report { .. })), 4);
    assert_eq!(world.outside.open, [0_u8; 0], "nothing is waited for any more");
}

#[test]
fn a_probe_of_a_client_that_knows_the_time_does_not_make_it_forget() {
    for ahead in [&[0, 0][..], &[0, 3600]] {
        let fakes: Vec<_> = ahead.iter().map(|&s| Fake::ahead_s(s)).collect();
        let mut world = World::started(&[Fake::good(), Fake::good()]);
        world.run_s(100);
        assert_eq!(world.client.state(), ClockState::Confirmed);
        world.outside.fakes = fakes;
        world.client.probe(&mut world.outside.cx(), 1);
        world.run_s(60);
        assert_eq!(world.ahead_ns(), Some(0), "{ahead:?}");
        assert_ne!(world.client.state(), ClockState::Invalid, "{ahead:?}");
    }
}

#[test]
fn c4_a_probe_of_a_time_that_has_grown_stale_keeps_the_panic_limit() {
    let mut world = World::started(&[Fake::good(), Fake::good()]);
    world.run_s(100);
    world.client.stop();
    world.run_s(8 * 86_400);
    assert_eq!(world.client.state(), ClockState::Invalid);
    world.outside.fakes = vec![Fake::ahead_s(3_600), Fake::ahead_s(3_600)];
    world.client.probe(&mut world.outside.cx(), 1);
    world.run_s(60);
    assert_eq!(world.count(|e| *e == Event::ProbeDone), 1);
    assert_eq!((world.client.state(), world.ahead_ns()), (ClockState::Invalid, None));
}

#[test]
fn a_probe_ends_when_there_is_nobody_left_to_wait_for() {
    for (why, ends) in [
        (ErrorKind::Refused, true),
        (ErrorKind::Unreachable, true),
        (ErrorKind::PermissionDenied, true),
        // Which passes.
        (ErrorKind::Busy, false),
    ] {
        let mut world = World::new(&[Fake::good(), Fake::good()]);
        world.outside.refuses = Some(why);
        world.client.probe(&mut world.outside.cx(), 1);
        world.drain();
        assert_eq!(world.count(|e| *e == Event::ProbeDone), usize::from(ends), "{why}");
        world.outside.refuses = None;
        world.run_s(10);
        let verdict = if ends { Verdict::NoReply } else { Verdict::Ok };
        assert_eq!([0, 1].map(|n| world.verdict(n)), [verdict; 2], "{why}");
    }
}

#[test]
fn a_refusal_that_is_forged_keeps_no_reply_out_while_another_server_is_waited_for() {
    let mut world = World::new(&[Fake::good(), Fake::that(Answer::Nothing)]);
    world.client.probe(&mut world.outside.cx(), 1);
    world.drain();
    for server in [0, 1] {
        let socket = world.outside.sent[server].socket;
        let refused = Input::SendFailed { socket, why: ErrorKind::Refused };
        world.client.handle_input(&mut world.outside.cx(), refused).unwrap();
        world.run_us(100_000);
        assert_eq!(world.verdict(0), Verdict::Ok, "its reply came after it");
        assert_eq!(world.count(|e| *e == Event::ProbeDone), server, "the other one is silent");
    }
}

#[test]
fn a_probe_does_not_wait_for_the_next_try_at_a_server_that_is_refused() {
    let mut world = World::new(&[Fake::good(), Fake::that(Answer::Nothing)]);
    world.client.probe(&mut world.outside.cx(), 1);
    world.drain();
    let refused =
        Input::SendFailed { socket: world.outside.sent[1].socket, why: ErrorKind::Refused };
    world.client.handle_input(&mut world.outside.cx(), refused).unwrap();
    assert_eq!(world.count(|e| *e == Event::ProbeDone), 0);
    world.run_us(20_000);
    assert_eq!(world.count(|e| *e == Event::ProbeDone), 1, "with the other one's reply");
}

#[test]
fn a_probe_of_silent_and_good_servers_ends() {
    let mut world = World::new(&[Fake::that(Answer::Nothing), Fake::good()]);
    world.client.probe(&mut world.outside.cx(), 4);
    world.run_s(60);
    assert_eq!(world.count(|e| *e == Event::ProbeDone), 1);
    assert_eq!([0, 1].map(|n| world.verdict(n)), [Verdict::NoReply, Verdict::Ok]);
    assert_eq!(world.client.counters().accepted, 4);
    world.assert_polite();
}

#[test]
fn a_probe_has_no_use_for_an_answer_more_than_it_wanted() {
    let slow = Fake { home_us: 1_500_000, ..Fake::good() };
    let mut world = World::new(&[slow, Fake::that(Answer::Nothing)]);
    world.client.probe(&mut world.outside.cx(), 1);
    world.run_us(1_600_000);
    assert_eq!(world.client.counters().accepted, 1);
    let again = *world.outside.sent.iter().rev().find(|s| s.server == 0).unwrap();
    let refused = Input::SendFailed { socket: again.socket, why: ErrorKind::Refused };
    world.client.handle_input(&mut world.outside.cx(), refused).unwrap();
    world.run_s(30);
    let asked = world.outside.sent.iter().filter(|s| s.server == 0).count();
    assert_eq!((asked, world.client.counters().accepted), (2, 2), "it was asked again meanwhile");
    assert_eq!(world.count(|e| matches!(e, Event::Report { .. })), 2);
    assert_eq!(world.count(|e| *e == Event::ProbeDone), 1);
}

#[test]
fn c2_the_address_of_a_name_alone_does_not_confirm() {
    let mut world = World::with(Config::new(BUILD), &[Fake::good()], Source::Name);
    world.start();
    world.run_s(3_600);
    assert_eq!(world.client.state(), ClockState::Provisional);
}

#[test]
fn m5_a_step_of_the_wall_clock_never_enters_the_time() {
    let mut world = World::started(&[Fake::good()]);
    world.run_us(10_000);
    world.outside.wall_ahead_ns = -50 * 365 * 86_400 * 1_000_000_000;
    world.run_us(10_000);
    let report = world.client.report(&world.outside.cx(), 0).unwrap().sample.unwrap();
    assert_eq!(report.delay_ns, 20_000_000);
    assert_eq!(world.ahead_ns(), Some(0));
    assert_eq!(
        report.offset_ns,
        50 * 365 * 86_400 * 1_000_000_000,
        "against the clock as it is now"
    );
    assert_eq!(world.client.offset_ns(&world.outside.cx()), Some(report.offset_ns));
}

#[test]
fn m3_a_client_in_1970_and_a_server_in_2040() {
    let mut world = World::new(&[Fake::good(), Fake::good()]);
    world.outside.truth = Utc::from_unix_secs(2_210_000_000);
    world.outside.wall_ahead_ns = -world.outside.truth.as_unix_nanos();
    world.start();
    world.run_s(10);
    assert_eq!(world.client.state(), ClockState::Confirmed);
    assert_eq!(world.ahead_ns(), Some(0));
    let first = world.outside.events.iter().find_map(|e| match e.1 {
        Event::Adjust(adjust) => Some(adjust),
        _ => None,
    });
    assert_eq!(first, Some(Adjust::Step { offset_ns: 2_210_000_000_000_000_000 }));
}

#[test]
fn m3_polling_goes_on_through_the_start_of_era_1() {
    let mut world = World::new(&[Fake::good(), Fake::good()]);
    world.outside.truth = Utc::from_unix_secs(2_085_978_496 - 1_000);
    world.start();
    for _ in 0..40 {
        world.run_s(50);
        assert_eq!(world.ahead_ns(), Some(0));
    }
    assert_eq!(world.discards, []);
}

#[test]
fn a13_a_server_of_1999_gives_no_time() {
    let mut world = World::started(&[Fake::ahead_s(-860_000_000), Fake::good(), Fake::good()]);
    world.run_s(20);
    assert_eq!((world.client.state(), world.ahead_ns()), (ClockState::Confirmed, Some(0)));
    assert_eq!(world.discards[0].name(), "below-floor");
}

#[test]
fn the_offset_is_biased_by_half_the_asymmetry_and_bounded() {
    let uneven = Fake { out_us: 40_000, home_us: 10_000, ..Fake::good() };
    let mut world = World::started(&[uneven]);
    world.run_s(1);
    assert_eq!(world.ahead_ns(), Some(15_000_000));
    let now = Instant::from_micros(world.outside.now_us);
    assert!(
        world.client.utc(now).unwrap().error_ns >= 15_000_000,
        "the truth lies within the bound"
    );
}

#[test]
fn systemd_14404_whole_seconds_do_not_make_the_clock_jump() {
    let coarse = Fake::that(Answer::Changed(|reply| {
        let second =
            crate::timestamp::Timestamp::from_bits(reply.transmit.to_bits() & !0xFFFF_FFFF);
        (reply.receive, reply.transmit, reply.precision) = (second, second, 0);
    }));
    let mut world = World::started(&[coarse]);
    world.outside.wall_ahead_ns = 0;
    world.run_s(3_600);
    assert_eq!(world.client.state(), ClockState::Confirmed);
    assert_eq!(world.count(|e| matches!(e, Event::Adjust(Adjust::Step { .. }))), 0);
    assert!(world.ahead_ns().unwrap().abs() < 1_000_000_000);
}

#[test]
fn c4_panic_limit_survives_a_restart() {
    let config = Config { wall: Wall::Running, ..Config::new(BUILD) };
    let mut world = World::with(config, &[Fake::ahead_s(3600), Fake::ahead_s(3600)], Source::Dhcp);
    world.start();
    world.run_s(100);
    assert_eq!(world.count(|e| matches!(e, Event::Adjust(_))), 0, "the daemon-restart attack");
    assert!(world.count(|e| matches!(e, Event::PanicLimit { .. })) > 0);

    let mut world = World::started(&[Fake::good(), Fake::good()]);
    world.run_s(100);
    world.outside.fakes = vec![Fake::ahead_s(3600), Fake::ahead_s(3600)];
    world.run_s(100);
    world.client.stop();
    world.start();
    world.run_s(3_600);
    assert_eq!(world.ahead_ns(), Some(0), "not believed, not after a restart either");
    assert!(world.count(|e| matches!(e, Event::PanicLimit { .. })) > 0);
    assert_eq!(world.client.state(), ClockState::Provisional);
    world.client.forget();
    world.run_s(3_600);
    assert_eq!(world.ahead_ns(), Some(3_600_000_000_000), "somebody has said so");
}

#[test]
fn c4_a_clock_that_was_set_by_a_confirmed_time_is_not_moved_beyond_the_panic_limit() {
    let mut world = World::new(&[Fake::good(), Fake::good()]);
    world.outside.obeys = true;
    world.outside.wall_ahead_ns = -7_200_000_000_000;
    world.start();
    world.run_s(200);
    assert_eq!(world.wall_error_ns(), 0, "C1: at first, however far");
    // Somebody sets it; who is to say that it was a mistake?
    world.outside.wall_ahead_ns += 3_600_000_000_000;
    world.run_s(3_600);
    assert_eq!(world.wall_error_ns(), 3_600_000_000_000);
    assert!(world.count(|e| matches!(e, Event::PanicLimit { .. })) > 0);
}

#[test]
fn c1_a_clock_that_was_set_by_an_unconfirmed_time_may_be_set_again() {
    let mut world = World::with(Config::new(BUILD), &[Fake::good()], Source::Name);
    world.outside.obeys = true;
    world.outside.wall_ahead_ns = -7_200_000_000_000;
    world.start();
    world.run_s(200);
    assert_eq!((world.client.state(), world.wall_error_ns()), (ClockState::Provisional, 0));
    world.outside.wall_ahead_ns += 3_600_000_000_000;
    world.run_s(3_600);
    assert_eq!(world.wall_error_ns(), 0);
}

#[test]
fn several_servers_correct_the_clock_that_one_alone_has_set() {
    let late = Fake::that(Answer::GoodAfter(2));
    let mut world = World::new(&[Fake::ahead_s(3600), late.clone(), late.clone(), late]);
    world.outside.obeys = true;
    world.start();
    world.run_s(10);
    assert_eq!(world.wall_error_ns(), 3_600_000_000_000);
    world.run_s(400);
    assert_eq!(world.wall_error_ns(), 0);
}

#[test]
fn several_servers_correct_what_one_alone_has_confirmed() {
    let late = Fake::that(Answer::GoodAfter(2));
    let mut world = World::started(&[Fake::ahead_s(3600), late.clone(), late.clone(), late]);
    world.run_s(15);
    assert_eq!(world.ahead_ns(), Some(3_600_000_000_000));
    world.run_s(200);
    assert_eq!((world.client.state(), world.ahead_ns()), (ClockState::Confirmed, Some(0)));
    let hour_ahead = world.outside.truth.offset_by(3_000_000_000_000);
    assert!(world.client.floor() < hour_ahead, "the floor did not follow the one");
}

#[test]
fn c4_a_confirmed_time_is_not_moved_by_one_voice() {
    let mut world = World::started(&vec![Fake::good(); 3]);
    world.run_s(60);
    world.outside.fakes[0].ahead_ns = 400_000_000_000;
    for _ in 0..100 {
        world.run_s(60);
        assert_eq!(world.ahead_ns(), Some(0));
    }
    assert_eq!(world.client.state(), ClockState::Confirmed);
}

#[test]
fn d2_a_confirmed_time_is_saved_at_once_and_hourly() {
    let mut world = World::started(&[Fake::good(), Fake::good()]);
    world.run_s(2 * 3_600 + 60);
    let saved: Vec<_> = world
        .outside
        .events
        .iter()
        .filter_map(|e| match e.1 {
            Event::SaveClock { utc } => Some((e.0, utc)),
            _ => None,
        })
        .collect();
    assert_eq!(saved.len(), 3);
    for (at_us, utc) in saved {
        let truth = world.outside.truth.as_unix_nanos() + i64::try_from(at_us).unwrap() * 1_000;
        let behind = truth - utc.as_unix_nanos();
        assert!((60_000_000_000..61_000_000_000).contains(&behind), "with a slack: {behind}");
    }
    assert!(world.client.floor() > BUILD, "the floor rises with it");
}

#[test]
fn what_is_known_goes_stale() {
    let config = Config {
        confirmed_for: Duration::from_secs(1_000),
        valid_for: Duration::from_secs(2_000),
        ..Config::new(BUILD)
    };
    let mut world = World::with(config, &[Fake::good(), Fake::good()], Source::Dhcp);
    world.start();
    world.run_s(60);
    for fake in &mut world.outside.fakes {
        fake.answer = Answer::Nothing;
    }
    world.run_s(2_500);
    let states: Vec<_> = world
        .outside
        .events
        .iter()
        .filter_map(|e| match e.1 {
            Event::StateChanged { to, .. } => Some(to),
            _ => None,
        })
        .collect();
    let (p, c, i) = (ClockState::Provisional, ClockState::Confirmed, ClockState::Invalid);
    assert_eq!(states, [p, c, p, i]);
    assert_eq!(world.ahead_ns(), None);
    assert_eq!(world.count(|e| *e == Event::Exhausted), 1);
}

#[test]
fn what_is_known_goes_stale_when_the_last_server_is_withdrawn() {
    let mut world = World::started(&[Fake::good(), Fake::good()]);
    world.run_s(60);
    world.client.set_servers(&mut world.outside.cx(), &[]);
    world.client.stop();
    let sent = world.outside.sent.len();
    world.run_s(86_400);
    assert_eq!(world.client.state(), ClockState::Provisional);
    world.run_s(6 * 86_400);
    let (p, i) = (ClockState::Provisional, ClockState::Invalid);
    assert_eq!(world.count(|e| *e == Event::StateChanged { from: p, to: i }), 1);
    assert_eq!((world.ahead_ns(), world.outside.sent.len()), (None, sent));
    assert_eq!(world.count(|e| *e == Event::Exhausted), 0, "there was nobody to be silent");
}

#[test]
fn d8_a_reference_is_plausibility_and_no_time() {
    let mut world = World::new(&[Fake::ahead_s(3_600), Fake::good()]);
    let utc = world.outside.truth.offset_by(5_000_000_000);
    let mut reference = || Some(Plausible::around(utc, Duration::from_secs(120)));
    world.client.constrain(&world.outside.cx(), &mut reference);
    world.run_s(10);
    assert_eq!(world.ahead_ns(), None, "nobody has been asked yet");
    world.start();
    world.run_s(30);
    assert_eq!((world.client.state(), world.ahead_ns()), (ClockState::Confirmed, Some(0)));
    assert_eq!(world.verdict(0), Verdict::Discarded(Discard::Implausible));
    world.client.constrain(&world.outside.cx(), &mut || None);
    world.run_s(600);
    assert_ne!(world.verdict(0), Verdict::Discarded(Discard::Implausible), "taken back");
}

#[test]
fn c3_the_shortest_way_of_a_burst_counts() {
    let mut world = World::started(&[Fake { home_us: 150_000, ..Fake::good() }]);
    world.run_s(1);
    assert_eq!(world.ahead_ns(), Some(-70_000_000), "the first is cold");
    world.outside.fakes[0].home_us = 10_000;
    world.run_s(2);
    assert_eq!(world.ahead_ns(), Some(0));
    world.outside.fakes[0].home_us = 90_000;
    world.run_s(4);
    assert_eq!(world.ahead_ns(), Some(0), "a longer way does not displace it");
}

#[test]
fn a_slew_widens_the_bound_until_the_next_sample() {
    let mut world = World::started(&[Fake::good()]);
    world.run_s(10);
    let now = Instant::from_micros(world.outside.now_us);
    let before = world.client.utc(now).unwrap().error_ns;
    // The platform slews, and the monotonic clock goes with it.
    let offset_ns = 15_000_000;
    world.outside.truth = world.outside.truth.offset_by(-offset_ns);
    world.client.applied(Adjust::Slew { offset_ns });
    assert_eq!(world.client.utc(now).unwrap().error_ns, before + 15_000_000);
    // Samples from before it would be nearer, but they are of a clock that is no more.
    world.outside.fakes[0].home_us += 4_000;
    world.run_s(100);
    assert_eq!(world.client.state(), ClockState::Confirmed);
    assert_eq!(world.ahead_ns(), Some(-2_000_000));
}

#[test]
fn c2_a_clock_that_is_slewed_at_every_sample_is_confirmed_all_the_same() {
    // 120 ppm: more than a millisecond between two polls, and so never two samples of one clock.
    let mut world = World::new(&[Fake::good()]);
    world.outside.obeys = true;
    world.outside.wall_ahead_ns = 100_000_000;
    world.outside.oscillator.turn(0, 120_000);
    world.start();
    world.run_us(1_900_000);
    assert_eq!(world.client.state(), ClockState::Provisional, "by one sample");
    world.run_s(1);
    assert_eq!(world.client.state(), ClockState::Confirmed, "by the second");
    world.run_s(86_400);
    assert_eq!(world.client.state(), ClockState::Confirmed);
}

#[test]
fn c4_a_server_alone_is_followed_when_it_insists() {
    let mut world = World::started(&[Fake::good()]);
    world.run_s(60);
    world.outside.fakes[0].ahead_ns = 300_000_000_000;
    world.run_s(64);
    assert_eq!(world.ahead_ns(), Some(0), "not by its first word");
    world.run_s(200);
    assert_eq!(world.ahead_ns(), Some(300_000_000_000), "by its second");
}

#[test]
fn a_server_that_fell_silent_has_no_vote() {
    let mut world = World::started(&[Fake::good(), Fake::ahead_s(60)]);
    world.run_s(60);
    assert_eq!(world.client.state(), ClockState::Provisional);
    world.outside.fakes[1].answer = Answer::Nothing;
    world.run_s(20_000);
    assert_eq!((world.client.state(), world.ahead_ns()), (ClockState::Confirmed, Some(0)));
}

#[test]
fn a_receive_time_from_the_future_is_now() {
    let mut world = World::started(&[Fake::good()]);
    let sent = world.outside.sent[0];
    world.outside.now_us += 15_000;
    let utc = world.outside.truth.offset_by(5_007_500_000);
    let t = crate::timestamp::Timestamp::from_utc(utc);
    let face = crate::packet::Packet { stratum: 1, precision: -20, ..Default::default() };
    let mut bytes = [0; 48];
    let reply = crate::packet::Packet::request(sent.nonce).reply(&face, t, t);
    reply.write(&mut bringup_core::wire::Writer::new(&mut bytes)).unwrap();
    let received_at = Instant::from_micros(world.outside.now_us + 500_000);
    let from = super::world::address(0);
    let input = Input::Datagram { socket: sent.socket, from, bytes: &bytes, received_at };
    assert_eq!(world.client.handle_input(&mut world.outside.cx(), input), Ok(()));
    assert_eq!(world.ahead_ns(), Some(0));
}
