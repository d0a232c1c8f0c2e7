//! Who is asked when: starts, silence, kisses.

extern crate std;

use std::collections::BTreeSet;
use std::vec;

use std::vec::Vec;

use super::world::{Answer, BUILD, Fake, SECOND, World};
use crate::client::{Config, Event, Source};
use crate::clock::ClockState;
use crate::discard::Discard;
use bringup_core::client::{Client, Host, Input};
use bringup_core::error::ErrorKind;
use bringup_core::time::Duration;

fn silent() -> Fake {
    Fake::that(Answer::Nothing)
}

#[test]
fn d4_one_round_trip_to_a_valid_clock() {
    let mut world = World::started(&[Fake::good()]);
    world.run_s(30);
    assert_eq!(world.reached_us(ClockState::Provisional), Some(20_000));
    assert_eq!(world.reached_us(ClockState::Confirmed), Some(2_020_000), "C2: its second sample");
    assert_eq!(world.sent_at()[..4], [(0, 0), (2, 0), (4, 0), (6, 0)], "one burst of four");
    world.assert_polite();
}

#[test]
fn d4_a_second_server_confirms_within_a_second() {
    let mut world = World::started(&[Fake::good(), Fake::good()]);
    world.run_s(30);
    let confirmed = world.reached_us(ClockState::Confirmed).unwrap();
    assert!((520_000..1_020_000).contains(&confirmed), "{confirmed}");
    world.assert_polite();
}

#[test]
fn a_lost_first_packet_costs_a_second() {
    for servers in 1..=4 {
        let mut fakes = vec![Fake::good(); servers];
        fakes[0].answer = Answer::GoodAfter(1);
        let mut world = World::started(&fakes);
        world.run_s(60);
        let us = world.reached_us(ClockState::Provisional).unwrap();
        assert!(us < 1_500_000, "{servers} servers: {us}");
        assert_eq!(world.client.state(), ClockState::Confirmed, "{servers} servers");
        world.assert_polite();
    }
}

#[test]
fn p2_silent_servers_are_asked_ever_more_slowly() {
    for (servers, in_15, in_60, in_180) in [(1, 4, 6, 7), (2, 4, 6, 7), (4, 4, 6, 7)] {
        let mut world = World::started(&vec![silent(); servers]);
        world.run_s(7_200);
        let sent = [15, 60, 180].map(|s| world.sent_within(s));
        assert!(
            sent[0] <= in_15 && sent[1] <= in_60 && sent[2] <= in_180,
            "{servers} servers: {sent:?}, {:?}",
            world.sent_at()
        );
        let all = world.sent_at();
        assert!((14..=16).contains(&all.len()), "{servers} servers in two hours: {all:?}");
        let used: BTreeSet<_> = all[4..].iter().map(|s| s.1).collect();
        assert_eq!(used.len(), servers, "P2: each in turn");
        let last = all[all.len() - 1].0 - all[all.len() - 2].0;
        assert!((1_024..=1_127).contains(&last), "{servers} servers: {last}");
        assert_eq!(world.count(|e| *e == Event::Exhausted), 1);
        world.assert_polite();
    }
}

#[test]
fn silence_ends_when_a_server_comes_back() {
    let mut world = World::started(&[Fake::that(Answer::GoodAfter(6))]);
    world.run_s(600);
    assert_eq!(world.client.state(), ClockState::Confirmed);
    world.assert_polite();
}

#[test]
fn p3_steady_polling_slows_down_and_is_never_in_step() {
    let mut world = World::started(&[Fake::good()]);
    world.run_s(86_400);
    let at: Vec<u64> = world.outside.sent.iter().map(|s| s.at_us).collect();
    let gaps: Vec<u64> = at.windows(2).skip(3).map(|w| w[1] - w[0]).collect();
    assert!(gaps.iter().all(|&g| (64 * SECOND..1_127 * SECOND).contains(&g)), "{gaps:?}");
    assert!(gaps[gaps.len() - 1] >= 1_024 * SECOND, "minpoll 6 to maxpoll 10");
    assert!(gaps.windows(2).all(|w| w[0] != w[1]), "P6: randomised");
    assert!((84..110).contains(&at.len()), "a day: {}", at.len());
    world.assert_polite();
}

#[test]
fn p4_addresses_of_a_name_are_asked_twice_an_hour_at_most() {
    let mut world = World::with(Config::new(BUILD), &vec![Fake::good(); 4], Source::Name);
    world.start();
    world.run_s(86_400);
    assert_eq!(world.client.state(), ClockState::Confirmed);
    let late = |server: usize| {
        let of = world.outside.sent.iter().filter(move |s| s.server == server);
        of.map(|s| s.at_us).filter(|at| *at > 120 * SECOND).collect::<Vec<_>>()
    };
    for server in 0..4 {
        let gaps: Vec<_> = late(server).windows(2).map(|w| (w[1] - w[0]) / SECOND).collect();
        assert!((36..44).contains(&gaps.len()), "{server}: {gaps:?}");
        assert!(gaps.iter().all(|gap| (2_048..2_254).contains(gap)), "{server}: {gaps:?}");
    }
    world.assert_polite();
}

#[test]
fn a_spare_takes_the_place_of_one_that_falls_silent() {
    let mut world = World::started(&vec![Fake::good(); 6]);
    world.run_s(600);
    assert!(world.outside.sent.iter().all(|s| s.server < 4), "four are enough");
    world.outside.fakes[1].answer = Answer::Nothing;
    world.run_s(7_200);
    let before = world.outside.sent.len();
    world.run_s(86_400);
    let day: Vec<_> = world.outside.sent[before..].iter().map(|s| s.server).collect();
    let asked: BTreeSet<_> = day.iter().copied().collect();
    assert_eq!(asked, BTreeSet::from([0, 2, 3, 4]), "{day:?}");
    assert_eq!(world.client.state(), ClockState::Confirmed);
    for fake in &mut world.outside.fakes[2..] {
        fake.answer = Answer::Nothing;
    }
    world.outside.fakes[1].answer = Answer::Good;
    world.run_s(86_400);
    let last = world.outside.sent.len() - 40;
    let asked: BTreeSet<_> = world.outside.sent[last..].iter().map(|s| s.server).collect();
    assert!(asked.contains(&0) && asked.contains(&1), "whoever answers is found: {asked:?}");
    world.assert_polite();
}

#[test]
fn k1_deny_is_heeded_for_hours_not_for_ever() {
    for id in [*b"DENY", *b"RSTR"] {
        let mut world = World::started(&[Fake::that(Answer::Kiss(id, 6))]);
        world.run_s(3_500);
        assert_eq!(world.outside.sent.len(), 1, "60 s, 180 s and an hour");
        world.run_s(3_700);
        assert_eq!(world.outside.sent.len(), 2, "an hour later once more");
        world.run_s(10_000);
        assert_eq!(world.outside.sent.len(), 3, "then after two");
        world.outside.fakes[0].answer = Answer::Good;
        world.run_s(86_400);
        assert_eq!(world.client.state(), ClockState::Confirmed);
    }
}

#[test]
fn k1_a_server_that_denies_in_its_burst_is_asked_again_after_an_hour() {
    // Found by the fuzzer: nobody was left to be polled, and nothing was ever due again.
    let mut world = World::started(&[Fake::that(Answer::KissAfter(1, *b"DENY"))]);
    world.run_s(3_500);
    assert_eq!(world.outside.sent.len(), 2, "the start, and one of the burst");
    assert_eq!(world.count(|e| *e == Event::Exhausted), 1);
    world.outside.fakes[0].answer = Answer::Good;
    world.run_s(600);
    assert_eq!(world.client.state(), ClockState::Confirmed);
}

#[test]
fn k1_a_list_of_none_but_those_who_deny_is_asked_again_after_an_hour() {
    // Addresses of a name, of which one alone confirms nothing: no save is due to wake the client.
    let fakes = [Fake::good(), Fake::that(Answer::Kiss(*b"DENY", 0))];
    let mut world = World::with(Config::new(BUILD), &fakes, Source::Name);
    world.start();
    world.run_s(60);
    let denies: Vec<_> = world.client.servers().skip(1).copied().collect();
    world.client.set_servers(&mut world.outside.cx(), &denies);
    world.outside.fakes[1].answer = Answer::Good;
    world.run_s(4_000);
    assert!(world.outside.sent.iter().filter(|s| s.server == 1).count() > 1);
}

#[test]
fn k1_the_end_of_a_quarantine_is_due_by_itself() {
    // Found by the fuzzer: the server was asked again only when somebody called the client without need.
    // One address of a name confirms nothing, so that no save wakes the client.
    let fakes = [Fake::that(Answer::Kiss(*b"DENY", 0)), Fake::good()];
    let mut world = World::with(Config::new(BUILD), &fakes, Source::Name);
    world.start();
    for _ in 0..800 {
        world.run_s(10);
        let sent = world.outside.sent.len();
        world.client.handle_timeout(&mut world.outside.cx());
        world.drain();
        assert_eq!(world.outside.sent.len(), sent, "nothing was due");
    }
    assert!(world.outside.sent.iter().filter(|s| s.server == 0).count() > 1);
}

#[test]
fn k1_deny_sends_the_next_server_at_once() {
    let deny = Fake::that(Answer::Kiss(*b"DENY", 0));
    let mut world = World::started(&[deny, Fake::good(), Fake::good()]);
    world.run_s(3_000);
    let us = world.reached_us(ClockState::Provisional).unwrap();
    assert_eq!(us, 40_000, "two round trips, not half a second");
    assert_eq!(world.outside.sent.iter().filter(|s| s.server == 0).count(), 1);
    assert_eq!(world.count(|e| matches!(e, Event::Rejected { why: Discard::KissDeny, .. })), 1);
    world.assert_polite();
}

#[test]
fn k1_a_spare_takes_the_place_of_one_that_denies() {
    let mut fakes = vec![Fake::good(); 6];
    for fake in &mut fakes[..2] {
        fake.answer = Answer::Kiss(*b"RSTR", 0);
    }
    let mut world = World::started(&fakes);
    world.run_s(120);
    let asked: BTreeSet<_> = world.outside.sent.iter().map(|s| s.server).collect();
    assert_eq!(asked.len(), 6);
    assert_eq!(world.client.state(), ClockState::Confirmed);
    world.assert_polite();
}

#[test]
fn k2_rate_slows_down_at_once_and_again() {
    for (poll, first) in [(0, 32), (6, 64), (17, 8_192), (-128, 32), (127, 8_192)] {
        let mut world = World::started(&[Fake::that(Answer::Kiss(*b"RATE", poll))]);
        world.run_s(200_000);
        let at: Vec<u64> = world.sent_at().iter().map(|s| s.0).collect();
        assert!(at[1] >= first && at[1] <= first + first / 8, "poll {poll}: {at:?}");
        let gaps: Vec<u64> = at.windows(2).map(|w| w[1] - w[0]).collect();
        assert!(
            gaps.windows(2).all(|w| w[1] >= w[0] * 3 / 2 || w[1] >= 8_192),
            "poll {poll}: {gaps:?}"
        );
        assert!(gaps.iter().all(|&g| g < 9_100), "K3, CVE-2015-7705: poll {poll}: {gaps:?}");
        if poll == 6 {
            assert_eq!((world.sent_within(60), world.sent_within(180)), (1, 2));
        }
    }
}

#[test]
fn k4_k5_other_kisses() {
    for (id, row) in [(*b"XTRA", "K4: ignored, as if lost"), (*b"INIT", "K5: not ready")] {
        let mut world = World::started(&[Fake::that(Answer::Kiss(id, 0)), Fake::good()]);
        world.run_s(59);
        let first: Vec<u64> =
            world.outside.sent.iter().filter(|s| s.server == 0).map(|s| s.at_us).collect();
        if id == *b"INIT" {
            assert_eq!(first.len(), 1, "{row}: left alone for 60 s");
            assert_eq!(world.reached_us(ClockState::Provisional), Some(40_000), "{row}");
        } else {
            assert!(first.len() > 1, "{row}");
        }
        world.assert_polite();
    }
}

#[test]
fn k6_a_servers_own_limit_of_rate_is_kept() {
    let slow = Fake::that(Answer::Changed(|reply| reply.poll = 8));
    let mut world = World::started(&[slow]);
    world.run_s(1_000);
    let at = world.sent_at();
    assert!(at.windows(2).skip(3).all(|w| w[1].0 - w[0].0 >= 256), "{at:?}");
}

#[test]
fn p2_no_second_start_within_a_minute() {
    let mut world = World::started(&[silent()]);
    for _ in 0..10 {
        world.run_s(5);
        world.client.stop();
        world.start();
    }
    world.assert_polite();
    assert!(world.sent_within(60) <= 7, "{:?}", world.sent_at());
    world.run_s(10);
    let before = world.outside.sent.len();
    world.start();
    world.run_s(10);
    assert_eq!(world.outside.sent.len(), before + 4, "after a minute a start is a start");
}

#[test]
fn p5_the_first_request_may_be_delayed() {
    let config =
        Config { start_delay_max: Duration::from_millis(250), ..Config::new(super::world::BUILD) };
    let mut world = World::with(config, &[Fake::good()], Source::Dhcp);
    world.start();
    assert_eq!(world.outside.sent.len(), 0);
    world.run_us(250_000);
    assert_eq!(world.outside.sent.len(), 1);
}

#[test]
fn a_refused_send_is_not_repeated_before_its_time() {
    let mut world = World::new(&[Fake::good()]);
    world.outside.refuses = Some(ErrorKind::Unreachable);
    world.start();
    assert_eq!(world.client.counters().send_failed, 1);
    assert_eq!(world.outside.open.len(), 0, "its socket is closed");
    world.outside.refuses = None;
    world.run_us(999_999);
    assert_eq!(world.outside.sent.len(), 0);
    world.run_us(100_000);
    assert_eq!(world.reached_us(ClockState::Provisional), Some(1_020_000));
}

#[test]
fn a_spare_is_not_asked_in_the_turn_of_a_refused_send() {
    // Found by the fuzzer: the timer of the spare was already due.
    let mut world = World::started(&vec![Fake::good(); 8]);
    world.run_s(600);
    world.outside.refuses = Some(ErrorKind::Unreachable);
    world.run_s(20_000);
    world.outside.refuses = None;
    world.run_s(20_000);
    assert_eq!(world.client.state(), ClockState::Confirmed);
    world.assert_polite();
}

#[test]
fn new_servers_are_asked_and_known_ones_keep_what_is_known() {
    let mut world = World::started(&vec![Fake::good(); 3]);
    world.run_s(100);
    let list: Vec<_> = world.client.servers().copied().collect();
    let before = world.outside.sent.len();
    let turned = [list[2], list[0], list[2]];
    assert_eq!(world.client.set_servers(&mut world.outside.cx(), &turned), 2, "one vote each");
    world.drain();
    assert_eq!(world.outside.sent.len(), before, "nothing new, nothing to ask");
    assert_eq!(world.client.state(), ClockState::Confirmed);
    world.run_s(1_000);
    world.assert_polite();
    assert!(world.outside.sent[before..].iter().all(|s| s.server != 1));
}

#[test]
fn servers_that_come_late_are_asked_at_once() {
    let mut world = World::new(&[Fake::good()]);
    let list: Vec<_> = world.client.servers().copied().collect();
    world.client.set_servers(&mut world.outside.cx(), &[]);
    world.start();
    world.run_s(20);
    assert_eq!(world.outside.sent.len(), 0);
    world.client.set_servers(&mut world.outside.cx(), &list);
    world.run_us(20_000);
    assert_eq!(world.client.state(), ClockState::Provisional);
}

/// A client whose only server has been silent until it searches ever more rarely; the other one is good.
fn searching() -> (World, crate::Server) {
    let mut world = World::new(&[silent(), Fake::good()]);
    let list: Vec<_> = world.client.servers().copied().collect();
    world.client.set_servers(&mut world.outside.cx(), &list[..1]);
    world.start();
    world.run_s(10_000);
    assert_eq!(world.client.state(), ClockState::Invalid);
    (world, list[1])
}

#[test]
fn a_server_that_comes_while_silent_ones_are_searched_is_asked_at_once() {
    let (mut world, good) = searching();
    let list = [world.client.servers().next().copied().unwrap(), good];
    world.client.set_servers(&mut world.outside.cx(), &list);
    world.run_s(3);
    assert_eq!(world.client.state(), ClockState::Provisional);
}

#[test]
fn the_same_list_again_hastens_no_search() {
    let (mut world, _) = searching();
    let list: Vec<_> = world.client.servers().copied().collect();
    let before = world.outside.sent.len();
    for _ in 0..20 {
        world.client.set_servers(&mut world.outside.cx(), &list);
        world.run_s(1);
    }
    assert!(world.outside.sent.len() <= before + 1, "{}", world.outside.sent.len() - before);
}

#[test]
fn a_socket_that_cannot_be_opened_is_none_to_be_closed() {
    let mut world = World::new(&[Fake::good()]);
    // Whoever closes what was never opened is told so by the world.
    world.outside.refuses_open = Some(ErrorKind::Exhausted);
    world.start();
    assert_eq!(world.client.counters().send_failed, 1);
    world.outside.refuses_open = None;
    world.run_s(3);
    assert_eq!(world.client.state(), ClockState::Provisional);
    world.assert_polite();
}

#[test]
fn k2_no_burst_after_rate() {
    let mut world = World::started(&[Fake::that(Answer::RateFirst)]);
    world.run_s(300);
    let at = world.sent_at();
    assert!(at.windows(2).all(|w| w[1].0 - w[0].0 >= 32), "{at:?}");
    assert_eq!(world.client.state(), ClockState::Confirmed);
}

#[test]
fn p1_a_long_probe_keeps_15_seconds_after_its_burst() {
    let mut world = World::new(&[Fake::good()]);
    world.client.probe(&mut world.outside.cx(), 7);
    world.run_s(100);
    let at: Vec<u64> = world.sent_at().iter().map(|s| s.0).collect();
    assert_eq!(at, [0, 2, 4, 6, 21, 36, 51]);
    assert_eq!(world.count(|e| *e == Event::ProbeDone), 1);
}

#[test]
fn p2_a_probe_asks_a_silent_server_ever_more_slowly() {
    let mut world = World::new(&[silent()]);
    world.client.probe(&mut world.outside.cx(), 1);
    world.run_s(60);
    let at: Vec<u64> = world.sent_at().iter().map(|s| s.0).collect();
    assert_eq!(at, [0, 1, 3, 7]);
}

#[test]
fn a_probe_waits_for_its_last_request_without_spinning() {
    let mut world = World::new(&[Fake::that(Answer::GoodAfter(3))]);
    world.client.probe(&mut world.outside.cx(), 2);
    world.run_s(10);
    assert_eq!((world.outside.sent.len(), world.client.counters().accepted), (4, 1));
    world.outside.fakes[0].answer = Answer::Nothing;
    // That the timeout lies ahead is asserted at each.
    world.run_s(14);
    assert_eq!((world.outside.sent.len(), world.count(|e| *e == Event::ProbeDone)), (5, 0));
    world.run_s(3);
    assert_eq!((world.outside.sent.len(), world.count(|e| *e == Event::ProbeDone)), (5, 1));
}

#[test]
fn p2_refusals_that_are_forged_hasten_no_retry() {
    let mut world = World::started(&[silent()]);
    for _ in 0..10 {
        let socket = world.outside.sent[world.outside.sent.len() - 1].socket;
        let refused = Input::SendFailed { socket, why: ErrorKind::Refused };
        world.client.handle_input(&mut world.outside.cx(), refused).unwrap();
        world.run_s(1);
    }
    let at: Vec<u64> = world.sent_at().iter().map(|s| s.0).collect();
    assert_eq!(at, [0, 1, 3, 7]);
}

#[test]
fn p6_the_second_server_is_asked_at_a_time_of_chance() {
    let mut world = World::started(&[silent(), silent()]);
    world.run_s(100);
    let before = world.outside.sent.len();
    world.start();
    world.run_s(10);
    let sent = &world.outside.sent;
    let pauses = [0, before].map(|first| sent[first + 1].at_us - sent[first].at_us);
    assert!(pauses.iter().all(|us| (500_000..1_000_000).contains(us)), "{pauses:?}");
    assert_ne!(pauses[0], pauses[1]);
}

#[test]
fn k1_a_probe_is_done_with_a_server_that_denies() {
    for id in [*b"DENY", *b"RATE"] {
        let mut world = World::new(&[Fake::that(Answer::Kiss(id, 0)), Fake::good()]);
        world.client.probe(&mut world.outside.cx(), 2);
        world.run_s(10);
        assert_eq!(world.count(|e| *e == Event::ProbeDone), 1, "{id:?}");
        assert_eq!(world.outside.sent.iter().filter(|s| s.server == 0).count(), 1, "{id:?}");
    }
}

#[test]
fn a_server_that_comes_during_a_start_is_asked_at_once() {
    let mut world = World::new(&[silent(), Fake::good()]);
    let list: Vec<_> = world.client.servers().copied().collect();
    world.client.set_servers(&mut world.outside.cx(), &list[..1]);
    world.start();
    world.run_us(100_000);
    world.client.set_servers(&mut world.outside.cx(), &list);
    world.run_us(20_000);
    assert_eq!(world.client.state(), ClockState::Provisional);
    world.assert_polite();
}

#[test]
fn servers_are_single_hosts_with_a_port() {
    for (address, is_askable) in [
        ("192.0.2.1:123", true),
        ("[2001:db8::1]:123", true),
        ("0.0.0.0:123", false),
        ("[::]:123", false),
        ("224.0.1.1:123", false),
        ("[ff05::101]:123", false),
        ("255.255.255.255:123", false),
        ("192.0.2.1:0", false),
    ] {
        let server = crate::Server { address: address.parse().unwrap(), source: Source::Dhcp };
        assert_eq!(server.is_askable(), is_askable, "{address}");
    }
}

#[test]
fn a_driver_that_never_drains_cannot_make_it_spin() {
    let mut world = World::new(&vec![Fake::good(); 4]);
    world.client.start(&mut world.outside.cx());
    for _ in 0..200 {
        let Some(at) = world.client.poll_timeout() else { break };
        world.outside.now_us = at.as_micros();
        world.client.handle_timeout(&mut world.outside.cx());
        assert!(world.client.poll_timeout().is_none_or(|next| next > at));
    }
    assert!(world.outside.now_us > 600 * SECOND, "time goes on");
}

#[test]
fn p2_one_silent_server_of_two_is_asked_ever_more_slowly() {
    let mut world = World::started(&[Fake::good(), silent()]);
    world.run_s(86_400);
    let asked = world.outside.sent.iter().filter(|s| s.server == 1).count();
    assert!((75..100).contains(&asked), "in a day: {asked}");
    assert_eq!(world.count(|e| *e == Event::Exhausted), 0);
}
