//! A connection beside the sockets: when there is one, what it is good for, when it goes. And cookies, which
//! are a reason for one.

extern crate std;

use crate::config::Config;
use crate::counters::Discard;
use crate::message::{Message, Rcode};
use crate::query::Outcome;
use crate::testing::{Bench, SERVERS, Sent, Storage, a, ms, name};
use bringup_core::client::{Client as _, StreamInput};
use core::net::SocketAddr;
use std::vec::Vec;

fn server(n: usize) -> SocketAddr {
    SERVERS[n].parse().unwrap()
}

/// A bench whose platform has connections.
fn with_tcp(storage: &mut Storage, servers: usize) -> Bench<'_> {
    let mut bench = Bench::new(storage, servers);
    bench.tcp = true;
    bench
}

fn truncated(sent: &Sent) -> crate::testing::Reply {
    let mut reply = sent.reply();
    reply.header.tc = true;
    reply
}

#[test]
fn what_nobody_waits_for_any_more_sends_nothing() {
    for reply in [
        truncated,
        |sent: &Sent| sent.reply().rcode(Rcode::BADCOOKIE),
        |sent: &Sent| sent.reply().rcode(Rcode::SERVFAIL),
    ] {
        let mut storage = Storage::new();
        let mut bench = with_tcp(&mut storage, 2);
        let key = bench.query_a("x.example");
        let sent = bench.one_sent();
        bench.release(key);
        bench.reply(&sent, &reply(&sent));
        bench.wait(ms(60_000));
        assert!(bench.take_sent().is_empty() && bench.connects.is_empty());
    }
    for is_replaced in [false, true] {
        let mut storage = Storage::new();
        let mut bench = with_tcp(&mut storage, 1);
        let key = bench.query_a("x.example");
        bench.take_sent();
        bench.release(key);
        if is_replaced {
            bench.set_servers(&SERVERS[1..]);
        } else {
            bench.with(|r, cx| r.link_up(cx));
        }
        assert!(bench.take_sent().is_empty(), "{is_replaced}");
    }
}

#[test]
fn rule_27_badcookie_without_a_cookie_is_the_end_of_that_server() {
    let mut storage = Storage::new();
    let mut bench = with_tcp(&mut storage, 2);
    bench.resolver.set_config(Config { cookies: false, ..Config::DEFAULT });
    bench.query_a("x.example");
    let sent = bench.one_sent();
    bench.reply(&sent, &sent.reply().rcode(Rcode::BADCOOKIE));
    assert_eq!(bench.one_sent().to, server(1));
}

#[test]
fn rule_27_replies_without_the_cookie_cost_one_connection_and_no_more() {
    let mut storage = Storage::new();
    let mut bench = with_tcp(&mut storage, 1);
    let key = bench.query_a("a.example");
    let sent = bench.one_sent();
    let cookie = [&sent.cookie().unwrap()[..8], &[7; 8]].concat();
    bench.reply(&sent, &sent.reply().answer("a.example", 60, &a(1)).cookie(&cookie));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    let key = bench.query_a("b.example");
    let sent = bench.one_sent();
    let forged = sent.reply().answer("b.example", 60, &a(66)).bytes();
    let forge = |bench: &mut Bench<'_>, to: &Sent| {
        let taken = bench.receive(to.socket, to.to, &forged);
        assert_eq!(taken, Err(Discard::MissingCookie));
    };
    for _ in 0..5 {
        forge(&mut bench, &sent);
    }
    assert_eq!((bench.connects.len(), bench.take_sent().len()), (1, 0));
    // It takes no connection: it is asked by UDP as before, and is not tried for one again.
    bench.stream(0, StreamInput::Closed).unwrap();
    let again = bench.one_sent();
    for _ in 0..5 {
        forge(&mut bench, &again);
    }
    assert_eq!((bench.connects.len(), bench.take_sent().len()), (1, 0));
    bench.reply(&again, &again.reply().answer("b.example", 60, &a(1)).cookie(&cookie));
    assert_eq!(bench.outcome(key), Outcome::Answer);
}

#[test]
fn rule_27_an_answer_over_tcp_says_nothing_of_cookies() {
    let mut storage = Storage::new();
    let mut bench = with_tcp(&mut storage, 1);
    let key = bench.query_a("a.example");
    let sent = bench.one_sent();
    bench.reply(&sent, &truncated(&sent));
    bench.stream(0, StreamInput::Connected).unwrap();
    let over_tcp = bench.one_sent_tcp();
    bench.reply_tcp(&over_tcp, &over_tcp.reply().answer("a.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    bench.wait(ms(3_000));
    bench.query_a("b.example");
    assert!(bench.one_sent().cookie().is_some());
}

#[test]
fn rule_25_a_server_that_took_no_connection_is_not_asked_for_one_for_a_minute() {
    let mut storage = Storage::new();
    let mut bench = with_tcp(&mut storage, 1);
    // Silent over UDP: the third send goes over TCP, where nobody listens.
    for (passed, connects) in [(0, 1), (5_000, 0), (65_000, 1)] {
        bench.wait(ms(passed));
        let key = bench.query_a(&std::format!("n{passed}.example"));
        bench.wait(ms(1_500));
        assert_eq!(bench.connects.len(), connects, "after {passed} ms");
        bench.connects.clear();
        if connects == 1 {
            bench.stream(0, StreamInput::Closed).unwrap();
        }
        bench.wait(ms(10_000));
        assert!(bench.resolver.result(key).is_some());
        bench.release(key);
    }
}

#[test]
fn a_connection_that_stood_and_was_lost_is_no_sign_against_connections() {
    let mut storage = Storage::new();
    let mut bench = with_tcp(&mut storage, 1);
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    bench.reply(&sent, &truncated(&sent));
    bench.stream(0, StreamInput::Connected).unwrap();
    let over_tcp = bench.one_sent_tcp();
    bench.reply_tcp(&over_tcp, &over_tcp.reply().answer("x.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    bench.stream(0, StreamInput::Closed).unwrap();
    bench.query_a("y.example");
    bench.wait(ms(3_000));
    assert_eq!(bench.connects.len(), 2, "silence over UDP is a reason to try TCP");
}

#[test]
fn signatures_are_not_to_be_checked_over_tcp_either_before_the_time_is_known() {
    for is_known in [false, true] {
        let mut storage = Storage::new();
        let mut bench = with_tcp(&mut storage, 1);
        bench.resolver.set_time_valid(is_known);
        assert_eq!(bench.resolver.is_time_valid(), is_known);
        bench.query_a("x.example");
        let sent = bench.one_sent();
        bench.reply(&sent, &truncated(&sent));
        bench.stream(0, StreamInput::Connected).unwrap();
        let sent = bench.one_sent_tcp();
        assert_eq!(Message::parse(&sent.bytes).unwrap().header().cd, !is_known);
    }
}

#[test]
fn a_round_trip_is_measured_where_it_is_certain_which_send_was_answered() {
    let round_trip = |bench: &Bench<'_>| {
        let mut reports = bench.resolver.server_reports(bench.now);
        reports.next().and_then(|report| report.round_trip)
    };
    // At once, after a second send, and over TCP.
    for case in 0..3 {
        let mut storage = Storage::new();
        let mut bench = with_tcp(&mut storage, 1);
        bench.query_a("x.example");
        let sent = bench.one_sent();
        bench.wait(ms(if case == 1 { 520 } else { 20 }));
        if case == 2 {
            bench.reply(&sent, &truncated(&sent));
            assert_eq!(round_trip(&bench), Some(ms(20)));
            bench.stream(0, StreamInput::Connected).unwrap();
            bench.wait(ms(400));
            let over_tcp = bench.one_sent_tcp();
            bench.reply_tcp(&over_tcp, &over_tcp.reply().answer("x.example", 60, &a(1)));
        } else {
            bench.reply(&sent, &sent.reply().answer("x.example", 60, &a(1)));
        }
        assert_eq!(round_trip(&bench), [Some(ms(20)), None, Some(ms(20))][case], "{case}");
    }
}

#[test]
fn sockets_are_closed_however_their_queries_end() {
    for rcode in [Rcode::NOERROR, Rcode::SERVFAIL, Rcode::FORMERR, Rcode::BADCOOKIE] {
        for is_cut in [false, true] {
            let mut storage = Storage::new();
            let mut bench = with_tcp(&mut storage, 2);
            let key = bench.query_a("x.example");
            for _ in 0..12 {
                for sent in bench.take_sent() {
                    let mut reply = sent.reply().rcode(rcode);
                    reply.header.tc = is_cut;
                    let _ = bench.receive(sent.socket, sent.to, &reply.bytes());
                }
                for conn in bench.conns.keys().copied().collect::<Vec<_>>() {
                    bench.stream(conn, StreamInput::Connected).unwrap();
                    bench.stream(conn, StreamInput::Closed).unwrap();
                }
            }
            bench.wait(ms(60_000));
            assert!(bench.resolver.result(key).is_some());
            assert!(bench.open.is_empty() && bench.conns.is_empty(), "{rcode}, {is_cut}");
            assert_eq!(bench.resolver.poll_timeout(), None, "{rcode}, {is_cut}");
        }
    }
}

#[test]
fn a_connection_of_a_server_that_goes_is_closed_whichever_it_is() {
    for is_replaced in [false, true] {
        let mut storage = Storage::new();
        let mut bench = with_tcp(&mut storage, 2);
        bench.resolver.config.use_tcp = true;
        bench.query_a("x.example");
        bench.stream(0, StreamInput::Closed).unwrap();
        bench.stream(1, StreamInput::Connected).unwrap();
        let sent = bench.one_sent_tcp();
        assert_eq!(sent.to, server(1));
        if is_replaced {
            bench.set_servers(&SERVERS[..1]);
        } else {
            bench.with(|r, cx| r.link_up(cx));
        }
        assert!(!bench.conns.contains_key(&1), "{is_replaced}");
    }
}

#[test]
fn rule_26_a_server_that_cannot_read_edns_does_not_get_it_over_tcp_either() {
    let mut storage = Storage::new();
    let mut bench = with_tcp(&mut storage, 1);
    let has_opt = |sent: &Sent| Message::parse(&sent.bytes).unwrap().edns().is_some();
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    let mut reply = sent.reply().rcode(Rcode::FORMERR);
    reply.edns = None;
    bench.reply(&sent, &reply);
    let plain = bench.one_sent();
    assert!(has_opt(&sent) && !has_opt(&plain));
    let mut reply = truncated(&plain);
    reply.edns = None;
    bench.reply(&plain, &reply);
    bench.stream(0, StreamInput::Connected).unwrap();
    let over_tcp = bench.one_sent_tcp();
    assert!(!has_opt(&over_tcp));
    let mut reply = over_tcp.reply().answer("x.example", 60, &a(1));
    reply.edns = None;
    bench.reply_tcp(&over_tcp, &reply);
    assert_eq!(bench.outcome(key), Outcome::Answer);
    // It is remembered of the server.
    for text in ["y.example", "z.example"] {
        bench.resolver.config.use_tcp = text.starts_with('z');
        bench.query_a(text);
        let sent = bench.take_sent().pop().or_else(|| bench.take_sent_tcp().pop());
        assert!(!has_opt(&sent.expect("one, on the connection that stands")), "{text}");
    }
}

#[test]
fn a_connection_that_answers_others_is_not_given_up_for_one_that_it_does_not() {
    let mut storage = Storage::new();
    let mut bench = with_tcp(&mut storage, 1);
    bench.resolver.config.use_tcp = true;
    bench.query_a("x.example");
    bench.stream(0, StreamInput::Connected).unwrap();
    bench.take_sent_tcp();
    for n in 0..4 {
        let other = bench.query_a(&std::format!("n{n}.example"));
        let sent = bench.take_sent_tcp();
        let sent = sent.iter().find(|sent| sent.qname() != name("x.example")).unwrap();
        bench.wait(ms(300));
        let text = std::format!("n{n}.example");
        bench.reply_tcp(sent, &sent.reply().answer(&text, 60, &a(1)));
        bench.release(other);
    }
    assert!(bench.resolver.counters().timeouts > 0, "x.example has not been answered");
    assert_eq!((bench.connects.len(), bench.conns.len()), (1, 1));
}
