//! Servers that are slow, dead, broken, or replaced.

extern crate std;

use crate::client::{Event, QueryError, QueryOptions};
use crate::message::Section;
use crate::message::{Message, Rcode};
use crate::query::{Failure, Outcome, QueryKind};
use crate::record::{RData, RecordType};
use crate::server::ServerAddress;
use crate::testing::{Bench, SERVERS, Seeded, Storage, a, ms, name};
use bringup_core::client::{Client as _, Input, StreamInput};
use bringup_core::error::ErrorKind;
use core::net::SocketAddr;
use std::vec::Vec;

fn server(n: usize) -> SocketAddr {
    SERVERS[n].parse().unwrap()
}

#[test]
fn rule_49_timeouts_next_server_first_three_sends_each() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    let start = bench.now;
    let key = bench.query_a("x.example");
    bench.wait(ms(9_000));
    let sent = bench.take_sent();
    let steps: Vec<_> = sent.iter().map(|s| (s.at.since(start).as_millis(), s.to)).collect();
    let (one, two) = (server(0), server(1));
    // 500 ms, then doubled with each send to the same server.
    let expected = [(0, one), (500, two), (1_000, one), (2_000, two), (3_000, one), (5_000, two)];
    assert_eq!(steps, expected);
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Timeout));
    assert_eq!(bench.resolver.result(key).unwrap().elapsed(), ms(7_000));
    // Rule 23: a repeated send to a server has the same socket and id; another server's differ.
    assert_eq!((sent[0].socket, sent[0].id()), (sent[2].socket, sent[2].id()));
    assert_ne!((sent[0].socket, sent[0].id()), (sent[1].socket, sent[1].id()));
    assert_ne!(sent[0].id(), sent[1].id(), "fixed seed");
}

#[test]
#[cfg_attr(not(feature = "extras"), ignore = "needs the feature")]
fn bug_29_hickory_2273_one_dead_server_costs_less_than_a_second_and_then_nothing() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    let key = bench.query_a("x.example");
    bench.take_sent();
    bench.wait(ms(500));
    let second = bench.one_sent();
    assert_eq!(second.to, server(1));
    bench.reply(&second, &second.reply().answer("x.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    // From now on the other one is asked first.
    let key = bench.query_a("y.example");
    let sent = bench.one_sent();
    assert_eq!(sent.to, server(1));
    bench.reply(&sent, &sent.reply().answer("y.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    // systemd#13432: and the first again, once it has been left alone for a while, and has answered
    // where nobody waits for it.
    bench.wait(ms(5_000));
    bench.query_a("z.example");
    let sent = bench.take_sent();
    assert_eq!([sent[0].to, sent[1].to], [server(1), server(0)]);
    bench.reply(&sent[1], &sent[1].reply());
    bench.query_a("zz.example");
    assert_eq!(bench.one_sent().to, server(0));
}

#[test]
fn a_late_reply_of_an_earlier_server_is_used() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    let key = bench.query_a("x.example");
    let first = bench.one_sent();
    bench.wait(ms(600));
    assert_eq!(bench.one_sent().to, server(1));
    bench.reply(&first, &first.reply().answer("x.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert_eq!(bench.resolver.result(key).unwrap().server(), Some(server(0)));
    bench.wait(ms(20_000));
    assert!(bench.take_sent().is_empty());
}

#[test]
fn rule_20_nxdomain_is_final_and_failures_go_to_the_next_server() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    for rcode in [Rcode::SERVFAIL, Rcode::REFUSED, Rcode::NOTIMP, Rcode(9)] {
        let key = bench.query_a("x.example");
        let sent = bench.one_sent();
        bench.reply(&sent, &sent.reply().rcode(rcode));
        let second = bench.one_sent();
        assert_ne!(second.to, sent.to, "{rcode}");
        bench.reply(&second, &second.reply().answer("x.example", 0, &a(1)));
        assert_eq!(bench.outcome(key), Outcome::Answer, "{rcode}");
        bench.release(key);
    }
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    bench.reply(&sent, &sent.reply().rcode(Rcode::NXDOMAIN).soa("example", 60, 60));
    assert_eq!(bench.outcome(key), Outcome::NxDomain);
    assert!(bench.take_sent().is_empty());
    // A lame referral: no answer, other servers named, neither authority nor recursion.
    let key = bench.query_a("y.example");
    let sent = bench.one_sent();
    let ns = name("ns.other");
    let mut reply = sent.reply();
    reply.header.ra = false;
    reply = reply.record(Section::Authority, "example", 60, &RData::Ns(ns.view()));
    bench.reply(&sent, &reply);
    let second = bench.one_sent();
    bench.reply(&second, &second.reply().rcode(Rcode::SERVFAIL));
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::ServFail));
}

#[test]
fn rule_34_and_55_no_query_goes_out_while_a_failure_is_remembered() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let fail = |bench: &mut Bench<'_>| {
        let key = bench.query_a("x.example");
        let sent = bench.one_sent();
        bench.reply(&sent, &sent.reply().rcode(Rcode::SERVFAIL));
        assert_eq!(bench.outcome(key), Outcome::Failed(Failure::ServFail));
        bench.release(key);
    };
    fail(&mut bench);
    bench.wait(ms(999));
    let key = bench.query_a("x.example");
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::ServFail));
    assert!(bench.take_sent().is_empty());
    bench.release(key);
    bench.wait(ms(1));
    fail(&mut bench);
    // A link that comes up, or another list of servers, ends it.
    bench.with(|r, cx| r.link_up(cx));
    fail(&mut bench);
    bench.set_servers(&SERVERS[1..2]);
    fail(&mut bench);
}

#[test]
fn a_refused_server_is_left_at_once_and_without_a_storm() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    bench.refusing.push((server(0), ErrorKind::Refused));
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    assert_eq!((sent.to, sent.at), (server(1), bench.now));
    bench.reply(&sent, &sent.reply().answer("x.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    // All ports are closed: that is known at once, and of whom.
    bench.refusing.push((server(1), ErrorKind::Refused));
    let key = bench.query_a("closed.example");
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::PortClosed));
    let answer = bench.resolver.result(key).unwrap();
    assert_eq!((answer.elapsed(), answer.server()), (ms(0), Some(server(0))));
    // No way to any: three rounds with pauses, then the failure.
    bench.refusing = [server(0), server(1)].map(|s| (s, ErrorKind::Unreachable)).into();
    let start = bench.now;
    let key = bench.query_a("y.example");
    bench.wait(ms(8_000));
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Unreachable));
    let elapsed = bench.resolver.result(key).unwrap().elapsed();
    assert!(bench.now > start && elapsed >= ms(500) && elapsed <= ms(4_000), "{elapsed:?}");
    let counters = bench.resolver.counters();
    assert!(counters.refused_sends <= 1 + 2 + 6, "{counters:?}");
    // A server that was restarted meanwhile is found again.
    bench.wait(ms(70_000));
    let key = bench.query_a("z.example");
    bench.wait(ms(100));
    bench.refusing.clear();
    bench.wait(ms(1_000));
    let sent = bench.take_sent().remove(0);
    bench.reply(&sent, &sent.reply().answer("z.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
}

#[test]
fn a_refusal_that_comes_later_moves_all_queries_of_the_socket() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    bench.query("x.example", QueryKind::Addresses);
    let sent = bench.take_sent();
    bench.wait(ms(5));
    let socket = sent[0].socket;
    let failed = Input::SendFailed { socket, why: ErrorKind::Refused };
    bench.with(|r, cx| r.handle_input(cx, failed)).unwrap();
    let moved = bench.take_sent();
    let expected = sent.iter().filter(|s| s.socket == socket).count();
    assert_eq!(moved.len(), expected);
    assert!(moved.iter().all(|s| s.to == server(1)));
    let unknown = Input::SendFailed { socket: 200, why: ErrorKind::Refused };
    assert!(bench.with(|r, cx| r.handle_input(cx, unknown)).is_err());
}

#[test]
fn a_program_that_was_late_reads_what_has_arrived_before_it_asks_again() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    // Half a second in which it did not run; the timer comes before the socket.
    bench.now += ms(1_000);
    bench.with(|r, cx| r.handle_timeout(cx));
    assert!(bench.take_sent().is_empty());
    bench.reply(&sent, &sent.reply().answer("x.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    // Nothing has arrived: then it was the server.
    bench.query_a("y.example");
    bench.take_sent();
    bench.now += ms(6_000);
    bench.with(|r, cx| r.handle_timeout(cx));
    bench.wait(ms(5));
    assert_eq!(bench.one_sent().to, server(1));
}

#[test]
fn a_failure_names_its_server() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    for (rcode, failure) in
        [(Rcode::SERVFAIL, Failure::ServFail), (Rcode::REFUSED, Failure::Refused)]
    {
        let key = bench.query_a("x.example");
        for n in 0..2 {
            let sent = bench.one_sent();
            assert_eq!(sent.to, server(n));
            bench.reply(&sent, &sent.reply().rcode(rcode));
        }
        assert_eq!(bench.outcome(key), Outcome::Failed(failure));
        assert_eq!(bench.resolver.result(key).unwrap().server(), Some(server(1)));
        bench.release(key);
        bench.wait(ms(300_000));
    }
    // Silence is the last one's that was asked, whether its time or the query's is over.
    for deadline in [600, 20_000] {
        bench.resolver.flush_cache();
        let options =
            QueryOptions { deadline: Some(bench.now + ms(deadline)), ..QueryOptions::default() };
        let kind = QueryKind::Type(RecordType::A);
        let key = bench.with(|r, cx| r.query(cx, "y.example", kind, options)).unwrap();
        bench.wait(ms(20_000));
        assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Timeout));
        let last = bench.take_sent().last().map(|sent| sent.to);
        assert_eq!(bench.resolver.result(key).unwrap().server(), last, "{deadline}");
        bench.release(key);
        bench.wait(ms(60_000));
    }
}

#[test]
#[cfg_attr(not(feature = "tcp"), ignore = "needs the feature")]
fn rule_34_three_sends_in_all_over_udp_and_tcp_together() {
    for closes in [false, true] {
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, 1);
        bench.tcp = true;
        let key = bench.query_a("x.example");
        bench.wait(ms(500));
        // Two over UDP, and the answer does not fit: the third goes over TCP.
        let sent = bench.take_sent();
        assert_eq!(sent.len(), 2);
        let mut cut = sent[1].reply();
        cut.header.tc = true;
        bench.reply(&sent[1], &cut);
        bench.stream(0, StreamInput::Connected).unwrap();
        assert_eq!(bench.take_sent_tcp().len(), 1);
        // Whatever becomes of that, there is no fourth.
        if closes {
            bench.stream(0, StreamInput::Closed).unwrap();
            assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Truncated));
        }
        bench.wait(ms(30_000));
        assert_eq!((bench.take_sent().len(), bench.take_sent_tcp().len()), (0, 0));
        assert!(bench.resolver.result(key).is_some());
        assert_eq!(bench.resolver.counters().sent, 3);
    }
}

#[test]
fn rule_34_sends_are_counted_by_who_asks_and_not_by_id() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.query_a("seeds.the.cache.example");
    bench.wait(ms(60_000));
    bench.take_sent();
    // Long after each other, two queries draw the same id for the same question.
    let [first, second] = [(); 2].map(|()| {
        bench.rng = Seeded(5);
        let key = bench.query_a("x.example");
        bench.wait(ms(60_000));
        assert_eq!(
            bench.resolver.result(key).unwrap().outcome(),
            Outcome::Failed(Failure::Timeout)
        );
        bench.take_sent()
    });
    assert_eq!((first.len(), second.len()), (3, 3));
    assert_eq!(first[0].id(), second[0].id());
}

/// A bench whose first server has failed and is due for a probe.
pub(super) fn with_one_to_probe(storage: &mut Storage) -> Bench<'_> {
    let mut bench = Bench::new(storage, 2);
    bench.query_a("x.example");
    bench.wait(ms(500));
    let second = bench.take_sent().remove(1);
    bench.reply(&second, &second.reply().answer("x.example", 60, &a(1)));
    bench.wait(ms(10_000));
    bench.take_events();
    bench
}

#[test]
#[cfg_attr(not(feature = "extras"), ignore = "needs the feature")]
fn rule_23_and_34_a_probe_is_one_of_the_three_sends_and_never_beside_another() {
    for reply in [None, Some(Rcode::FORMERR), Some(Rcode::SERVFAIL)] {
        let mut storage = Storage::new();
        let mut bench = with_one_to_probe(&mut storage);
        bench.tcp = true;
        let key = bench.query_a("y.example");
        let sent = bench.take_sent();
        assert_eq!([sent[0].to, sent[1].to], [server(1), server(0)], "asked, and probed");
        let probe = &sent[1];
        if let Some(rcode) = reply {
            let mut bare = probe.reply().rcode(rcode);
            bare.edns = None;
            bench.reply(probe, &bare);
        }
        assert!(
            bench.take_sent().is_empty(),
            "{reply:?}: that it is back was all there was to know"
        );
        bench.wait(ms(600));
        assert_eq!(bench.one_sent().to, server(0), "{reply:?}");
        let late = probe.reply().answer("y.example", 60, &a(66)).bytes();
        assert!(bench.receive(probe.socket, probe.to, &late).is_err(), "asked anew");
        bench.wait(ms(30_000));
        assert!(bench.resolver.result(key).is_some());
        let (udp, tcp) = (bench.take_sent(), bench.take_sent_tcp());
        let to_first = udp.iter().chain(&tcp).filter(|s| s.to == server(0)).count();
        assert!(to_first <= 1, "{reply:?}: {to_first} after the probe and one more");
    }
}

#[test]
#[cfg_attr(not(feature = "extras"), ignore = "needs the feature")]
fn what_a_probe_finds_is_for_those_who_wait() {
    let mut storage = Storage::new();
    let mut bench = with_one_to_probe(&mut storage);
    let key = bench.query_a("y.example");
    let probe = bench.take_sent().remove(1);
    bench.reply(&probe, &probe.reply().answer("y.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert_eq!(bench.resolver.result(key).unwrap().server(), Some(server(0)));
    bench.wait(ms(60_000));
    assert!(bench.take_sent().is_empty() && bench.take_events().is_empty());
}

#[test]
#[cfg_attr(not(feature = "tcp"), ignore = "needs the feature")]
fn a_link_that_comes_up_opens_sockets_anew_and_asks_again_at_once() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.tcp = true;
    let over_udp = bench.query_a("x.example");
    let before = bench.one_sent();
    let options = QueryOptions { tcp: true, ..QueryOptions::default() };
    let kind = QueryKind::Type(RecordType::A);
    let over_tcp = bench.with(|r, cx| r.query(cx, "y.example", kind, options)).unwrap();
    bench.stream(0, StreamInput::Connected).unwrap();
    bench.take_sent_tcp();
    bench.wait(ms(100));
    bench.with(|r, cx| r.link_up(cx));
    // The bench refuses to send on a socket that was closed.
    let again = bench.one_sent();
    assert_eq!((again.at, again.qname()), (bench.now, before.qname()));
    assert_eq!((bench.open.len(), bench.conns.len(), bench.connects.len()), (1, 1, 2));
    bench.reply(&again, &again.reply().answer("x.example", 60, &a(1)));
    assert_eq!(bench.outcome(over_udp), Outcome::Answer);
    bench.stream(0, StreamInput::Connected).unwrap();
    let sent = bench.one_sent_tcp();
    bench.reply_tcp(&sent, &sent.reply().answer("y.example", 60, &a(1)));
    assert_eq!(bench.outcome(over_tcp), Outcome::Answer);
    // Nothing waits on what is gone: idle sockets are closed after a while.
    bench.wait(ms(60_000));
    assert!(bench.open.is_empty() && bench.conns.is_empty());
}

#[test]
fn a_server_is_asked_by_way_of_its_interface() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 0);
    let list = [ServerAddress::from(server(0)).on(7), ServerAddress::from(server(0))];
    bench.with(|r, cx| r.set_servers(cx, &list));
    assert!(bench.resolver.servers().eq(list), "by another way it is another server");
    bench.query_a("x.example");
    assert_eq!(bench.take_sent().len(), 1);
    assert_eq!(bench.interfaces, [Some(7)]);
    bench.wait(ms(500));
    assert_eq!(bench.interfaces, [Some(7), None]);
}

#[test]
fn what_runs_when_it_is_stopped_ends_and_nothing_begins() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.tcp = true;
    let known = bench.query_a("known.example");
    let sent = bench.one_sent();
    bench.reply(&sent, &sent.reply().answer("known.example", 60, &a(1)));
    assert_eq!(bench.outcome(known), Outcome::Answer);
    let keys = ["x.example", "y.example"].map(|text| bench.query(text, QueryKind::Addresses));
    // One family is here already.
    let sent = bench.take_sent();
    let half = sent.iter().find(|s| s.qtype() == RecordType::A && s.qname() == name("y.example"));
    let half = half.unwrap();
    bench.reply(half, &half.reply().answer("y.example", 60, &a(1)));
    bench.with(|r, cx| r.stop(cx));
    let outcomes: Vec<_> = bench
        .take_events()
        .iter()
        .map(|event| match event {
            Event::Done { key, outcome } => (*key, *outcome),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        outcomes,
        [(keys[0], Outcome::Failed(Failure::Stopped)), (keys[1], Outcome::Answer)]
    );
    assert!(bench.open.is_empty() && bench.conns.is_empty());
    assert_eq!(bench.resolver.poll_timeout(), None);
    assert_eq!(bench.records(known).len(), 1, "what was found stays");
    // Nothing begins any more, whatever is said to it.
    let options = QueryOptions::default();
    let refused = bench.with(|r, cx| r.query(cx, "z.example", QueryKind::Addresses, options));
    assert_eq!(refused, Err(QueryError::Stopped));
    bench.set_servers(&SERVERS);
    bench.with(|r, cx| r.link_up(cx));
    let late = half.reply().answer("y.example", 60, &a(2)).bytes();
    assert!(bench.receive(half.socket, half.to, &late).is_err());
    bench.wait(ms(60_000));
    assert!(bench.take_sent().is_empty() && bench.take_events().is_empty());
    for key in [known, keys[0], keys[1]] {
        bench.release(key);
    }
}

#[test]
fn full_buffers_are_a_loss_and_not_a_failure() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.refusing.push((server(0), ErrorKind::Busy));
    let key = bench.query_a("x.example");
    bench.refusing.clear();
    bench.wait(ms(499));
    assert!(bench.take_sent().is_empty(), "not before the timeout");
    bench.wait(ms(1));
    let sent = bench.one_sent();
    bench.reply(&sent, &sent.reply().answer("x.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
}

#[test]
fn servers_are_replaced_while_queries_are_in_flight() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    let key = bench.query_a("x.example");
    let old = bench.one_sent();
    bench.set_servers(&SERVERS[1..]);
    let sent = bench.one_sent();
    assert_eq!(sent.to, server(1), "asked at once at the new first server");
    assert!(!bench.open.contains_key(&old.socket), "the old socket is closed");
    let bytes = old.reply().answer("x.example", 60, &a(66)).bytes();
    assert!(bench.receive(old.socket, old.to, &bytes).is_err(), "the old server is nobody");
    // No servers for a while: the query waits for new ones.
    bench.set_servers(&[]);
    bench.wait(ms(2_000));
    assert!(bench.take_sent().is_empty() && bench.take_events().is_empty());
    let late = bench.query_a("y.example");
    assert_eq!(bench.outcome(late), Outcome::Failed(Failure::NoServers), "new ones are told");
    bench.set_servers(&SERVERS[2..]);
    let sent = bench.one_sent();
    assert_eq!(sent.to, server(2));
    bench.reply(&sent, &sent.reply().answer("x.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    // Rule 37: what the old servers said is forgotten; the same list again changes nothing.
    bench.set_servers(&SERVERS[2..]);
    let key = bench.query_a("x.example");
    assert_eq!(bench.outcome(key), Outcome::Answer);
    bench.set_servers(&SERVERS[1..]);
    bench.query_a("x.example");
    assert_eq!(bench.take_sent().len(), 1);
    // A query whose server stays goes on undisturbed.
    bench.set_servers(&[SERVERS[1], SERVERS[0]]);
    assert!(bench.take_sent().is_empty());
}

#[test]
fn a_query_without_servers_ends_by_its_deadline() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query_a("x.example");
    bench.set_servers(&[]);
    bench.wait(ms(10_000));
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::NoServers));
}

#[test]
fn signatures_are_not_to_be_checked_before_the_time_is_known() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.resolver.set_time_valid(false);
    let key = bench.query_a("time.example");
    let sent = bench.one_sent();
    assert!(Message::parse(&sent.bytes).unwrap().header().cd);
    bench.reply(&sent, &sent.reply().answer("time.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    bench.query_a("time.example");
    assert!(bench.take_sent().is_empty(), "from the cache");
    bench.resolver.set_time_valid(true);
    bench.query_a("time.example");
    let sent = bench.one_sent();
    assert!(
        !Message::parse(&sent.bytes).unwrap().header().cd,
        "what was taken on trust is asked for again"
    );
}
