//! Queries over TCP: after a truncated answer, because it was asked for, or because UDP is silent.

extern crate std;

use crate::client::{QueryOptions, ResolverStorage};
use crate::counters::Discard;
use crate::message::Message;
use crate::query::{Failure, Outcome, QueryKey, QueryKind};
use crate::record::{RData, RecordType, Strings};
use crate::testing::{Bench, SERVERS, Sent, Storage, a, aaaa, ms};
use bringup_core::client::{Client as _, StreamInput};
use core::net::SocketAddr;
use std::vec::Vec;

fn server(n: usize) -> SocketAddr {
    SERVERS[n].parse().unwrap()
}

fn bench<const S: usize>(
    storage: &mut ResolverStorage<8, 32, 4_096, S>,
    servers: usize,
) -> Bench<'_> {
    let mut bench = Bench::new(storage, servers);
    bench.tcp = true;
    bench
}

/// Answers the one query that was sent with TC.
fn truncate(bench: &mut Bench<'_>) -> Sent {
    let sent = bench.one_sent();
    let mut reply = sent.reply().answer("x.example", 60, &a(99));
    reply.header.tc = true;
    bench.reply(&sent, &reply);
    sent
}

fn query_tcp(bench: &mut Bench<'_>, text: &str, kind: QueryKind) -> QueryKey {
    let options = QueryOptions { tcp: true, ..QueryOptions::default() };
    bench.with(|r, cx| r.query(cx, text, kind, options)).unwrap()
}

const A: QueryKind = QueryKind::Type(RecordType::A);

#[test]
fn rule_18_and_28_what_is_truncated_is_fetched_over_tcp() {
    let mut storage = Storage::new();
    let mut bench = bench(&mut storage, 2);
    let key = bench.query_a("x.example");
    let udp = truncate(&mut bench);
    assert_eq!(bench.connects, [server(0)], "the same server");
    assert!(bench.take_sent_tcp().is_empty(), "nothing before the connection stands");
    bench.stream(0, StreamInput::Connected).unwrap();
    let sent = bench.one_sent_tcp();
    assert_ne!(sent.id(), udp.id(), "fixed seed");
    assert_eq!((sent.qname(), sent.qtype()), (udp.qname(), udp.qtype()));
    bench.reply_tcp(&sent, &sent.reply().answer("x.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert_eq!(bench.records(key), ["x.example. 60 IN A 192.0.2.1"], "not what was truncated");
    // Rule 29: closed when idle, and not before.
    bench.wait(ms(1_999));
    assert_eq!(bench.conns.len(), 1);
    bench.wait(ms(1));
    assert!(bench.conns.is_empty());
}

#[test]
fn rule_18_without_tcp_the_next_server_and_never_the_partial_answer() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    let key = bench.query_a("x.example");
    truncate(&mut bench);
    assert_eq!(truncate(&mut bench).to, server(1));
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Truncated));
    assert!(bench.records(key).is_empty());
}

#[test]
fn rule_19_what_is_longer_than_was_asked_for_is_taken_as_truncated() {
    let mut storage = Storage::new();
    let mut bench = bench(&mut storage, 1);
    for (count, is_whole) in [(74, true), (80, false)] {
        let name = std::format!("{count}.example");
        bench.query_a(&name);
        let sent = bench.one_sent();
        let reply = (0..count).fold(sent.reply(), |r, n| r.answer(&name, 60, &a(n)));
        assert_eq!(reply.bytes().len() <= 1_232, is_whole);
        bench.reply(&sent, &reply);
        assert_eq!(bench.connects.is_empty(), is_whole, "{count} records");
    }
}

#[test]
fn rule_18_tc_on_tcp_is_malformed() {
    let mut storage = Storage::new();
    let mut bench = bench(&mut storage, 1);
    let key = query_tcp(&mut bench, "x.example", A);
    bench.stream(0, StreamInput::Connected).unwrap();
    let sent = bench.one_sent_tcp();
    let mut reply = sent.reply().answer("x.example", 60, &a(1));
    reply.header.tc = true;
    let read = bench.stream(0, StreamInput::Bytes(&reply.framed()));
    assert_eq!(read, Err(Discard::StreamTruncated));
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Malformed));
}

#[test]
fn rule_29_and_52_one_connection_pipelined_and_answered_in_any_order() {
    let mut storage = Storage::new();
    let mut bench = bench(&mut storage, 1);
    let names = ["a.example", "b.example", "c.example", "d.example"];
    let keys = names.map(|name| query_tcp(&mut bench, name, A));
    bench.stream(0, StreamInput::Connected).unwrap();
    let sent = bench.take_sent_tcp();
    assert_eq!((bench.connects.len(), sent.len()), (1, 4));
    let ids: std::collections::BTreeSet<_> = sent.iter().map(Sent::id).collect();
    assert_eq!(ids.len(), 4, "rule 52: no id twice on a connection");
    // All replies in one read, the last first, with junk between them that fits nothing.
    let mut bytes = Vec::new();
    for (n, sent) in (0u8..4).zip(&sent).rev() {
        let mut junk = sent.reply();
        junk.question = Some((crate::testing::name("z.example"), RecordType::A, crate::Class::IN));
        bytes.extend(junk.framed());
        bytes.extend(sent.reply().answer(names[usize::from(n)], 60, &a(n)).framed());
    }
    let _ = bench.stream(0, StreamInput::Bytes(&bytes));
    assert_eq!(bench.resolver.counters().discarded(Discard::WrongQuestion), 4);
    assert_eq!(bench.take_events().len(), 4);
    for (n, key) in keys.iter().enumerate() {
        let expected = std::format!("{} 60 IN A 192.0.2.{n}", names[n].replace("ple", "ple."));
        assert_eq!(bench.records(*key), [expected]);
    }
    // Rule 52: while it stands, a query that could go over UDP goes over it as well.
    bench.query_a("e.example");
    assert!(bench.take_sent().is_empty());
    let sent = bench.one_sent_tcp();
    bench.reply_tcp(&sent, &sent.reply().answer("e.example", 60, &a(9)));
    // ... but not for ever.
    for _ in 0..10 {
        bench.wait(ms(1_000));
        let key = query_tcp(&mut bench, "f.example", A);
        for sent in bench.take_sent_tcp() {
            bench.reply_tcp(&sent, &sent.reply().answer("f.example", 0, &a(9)));
        }
        bench.release(key);
        bench.take_events();
    }
    bench.release(keys[0]);
    bench.query_a("g.example");
    assert_eq!(bench.take_sent().len(), 1);
    assert_eq!(bench.connects.len(), 1);
}

#[test]
fn rule_28_a_reply_octet_by_octet() {
    let mut storage = Storage::new();
    let mut bench = bench(&mut storage, 1);
    let key = query_tcp(&mut bench, "x.example", QueryKind::Addresses);
    bench.stream(0, StreamInput::Connected).unwrap();
    let sent = bench.take_sent_tcp();
    let mut bytes = sent[0].reply().answer("x.example", 60, &a(1)).framed();
    bytes.extend(sent[1].reply().answer("x.example", 60, &aaaa(1)).framed());
    for octet in bytes {
        bench.stream(0, StreamInput::Bytes(&[octet])).unwrap();
    }
    assert_eq!(bench.resolver.result(key).unwrap().addresses().count(), 2);
}

#[test]
fn bug_19_glibc_cve_2015_7547_large_answers_of_both_families_in_both_orders() {
    for length in [2_047, 2_048, 2_049, 2_050, 65_535] {
        for turned in [false, true] {
            let mut storage =
                std::boxed::Box::new(ResolverStorage::<8, 32, 262_144, 131_070>::new());
            let mut bench = Bench::new(&mut storage, 1);
            bench.tcp = true;
            let keys = [RecordType::TXT, RecordType::SPF]
                .map(|t| query_tcp(&mut bench, "x.example", QueryKind::Type(t)));
            bench.stream(0, StreamInput::Connected).unwrap();
            let mut sent = bench.take_sent_tcp();
            if turned {
                sent.reverse();
            }
            for sent in &sent {
                let bytes = padded(sent, length);
                let half = bytes.len() / 2;
                bench.stream(0, StreamInput::Bytes(&bytes[..half])).unwrap();
                bench.stream(0, StreamInput::Bytes(&bytes[half..])).unwrap();
            }
            assert_eq!(bench.take_events().len(), 2);
            for key in keys {
                let outcome = bench.resolver.result(key).unwrap().outcome();
                assert_eq!(outcome, Outcome::Answer, "{length} octets, turned {turned}");
            }
        }
    }
}

#[test]
fn bug_15_systemd_cve_2017_9445_answers_at_the_edges_of_a_datagram() {
    for (length, fits) in
        [(511, true), (512, true), (513, true), (1_232, true), (1_233, false), (4_096, false)]
    {
        let mut storage = std::boxed::Box::new(ResolverStorage::<8, 32, 262_144, 131_070>::new());
        let mut bench = Bench::new(&mut storage, 1);
        bench.tcp = true;
        let key = bench.query("x.example", QueryKind::Type(RecordType::TXT));
        let sent = bench.one_sent();
        let bytes = padded(&sent, length);
        bench.receive(sent.socket, sent.to, &bytes[2..]).unwrap();
        if !fits {
            // Longer than was asked for: it has met a buffer of that size somewhere, and TCP has none.
            assert!(bench.take_events().is_empty(), "{length}");
            bench.stream(0, StreamInput::Connected).unwrap();
            let sent = bench.one_sent_tcp();
            bench.stream(0, StreamInput::Bytes(&padded(&sent, length))).unwrap();
        }
        assert_eq!(bench.outcome(key), Outcome::Answer, "{length}");
        let octets: usize = bench.records(key).iter().map(|record| record.len()).sum();
        assert!(octets > length * 3 / 4, "{octets} of {length}");
    }
}

/// A reply of exactly `length` octets.
fn padded(sent: &Sent, length: usize) -> Vec<u8> {
    let mut reply = sent.reply();
    reply.edns = None;
    let mut left = length - reply.bytes().len();
    while left > 0 {
        // A record has 12 octets before its data; the last one takes the rest.
        let data = if left > 400 { 256 } else { left - 12 };
        let mut text = std::vec![b'x'; data];
        // One string is at most 255 octets long.
        let first = data.min(200);
        text[0] = u8::try_from(first - 1).unwrap();
        if data > first {
            text[first] = u8::try_from(data - first - 1).unwrap();
        }
        let strings = Strings::from_wire(&text).unwrap();
        let data = RData::Txt(strings);
        let bytes = match sent.qtype() {
            RecordType::TXT => data,
            rtype => RData::Opaque { rtype, bytes: &text },
        };
        reply = reply.answer("x.example", 60, &bytes);
        left -= 12 + text.len();
    }
    assert_eq!(reply.bytes().len(), length);
    reply.framed()
}

#[test]
fn rule_29_a_connection_that_is_lost_is_made_up_for_once() {
    let mut storage = Storage::new();
    let mut bench = bench(&mut storage, 2);
    let keys = ["a.example", "b.example"].map(|name| query_tcp(&mut bench, name, A));
    bench.stream(0, StreamInput::Connected).unwrap();
    let sent = bench.take_sent_tcp();
    // The first reply comes whole, the second is cut by the end of the stream.
    let mut bytes = sent[0].reply().answer("a.example", 60, &a(1)).framed();
    bytes.extend(&sent[1].reply().answer("b.example", 60, &a(2)).framed()[..20]);
    bench.stream(0, StreamInput::Bytes(&bytes)).unwrap();
    assert_eq!(bench.outcome(keys[0]), Outcome::Answer);
    bench.stream(0, StreamInput::Closed).unwrap();
    assert_eq!(bench.connects, [server(0), server(0)]);
    bench.stream(0, StreamInput::Connected).unwrap();
    let sent = bench.one_sent_tcp();
    assert_eq!(sent.qname(), crate::testing::name("b.example"));
    // Lost again: now it is the other server's turn.
    bench.stream(0, StreamInput::Closed).unwrap();
    assert_eq!(bench.connects.len(), 3);
    bench.stream(1, StreamInput::Connected).unwrap();
    let sent = bench.one_sent_tcp();
    bench.reply_tcp(&sent, &sent.reply().answer("b.example", 60, &a(2)));
    assert_eq!(bench.outcome(keys[1]), Outcome::Answer);
    assert!(bench.take_sent().is_empty(), "TCP only is TCP only");
}

#[test]
fn bug_8_c_ares_1043_connections_that_never_stand_end_in_a_failure() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 3);
    let key = query_tcp(&mut bench, "x.example", A);
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Unreachable));
    assert!(bench.take_sent().is_empty());
    // A server that takes every connection and closes it.
    bench.tcp = true;
    bench.wait(ms(10_000));
    let key = query_tcp(&mut bench, "y.example", A);
    for turn in 0.. {
        assert!(turn < 10, "it never ends");
        let Some(&conn) = bench.conns.keys().next() else { break };
        bench.stream(conn, StreamInput::Connected).unwrap();
        bench.stream(conn, StreamInput::Closed).unwrap();
    }
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Unreachable));
    assert_eq!(bench.take_sent_tcp().len(), 6, "twice at each");
}

#[test]
fn a_write_that_is_taken_in_parts_goes_on_when_there_is_room() {
    let mut storage = Storage::new();
    let mut bench = bench(&mut storage, 1);
    bench.write_room = 7;
    let keys = ["a.example", "b.example"].map(|name| query_tcp(&mut bench, name, A));
    bench.stream(0, StreamInput::Connected).unwrap();
    assert!(bench.take_sent_tcp().is_empty());
    for _ in 0..20 {
        bench.stream(0, StreamInput::Writable).unwrap();
    }
    let sent = bench.take_sent_tcp();
    assert_eq!(sent.len(), 2);
    for (n, sent) in (1..).zip(&sent) {
        assert_eq!(Message::parse(&sent.bytes).unwrap().question_count(), 1);
        let owner = std::format!("{}", sent.qname());
        bench.reply_tcp(sent, &sent.reply().answer(&owner, 60, &a(n)));
    }
    assert_eq!(bench.take_events().len(), keys.len());
}

#[test]
fn half_a_query_that_was_cancelled_costs_the_connection_and_nobody_else() {
    let mut storage = Storage::new();
    let mut bench = bench(&mut storage, 1);
    bench.write_room = 7;
    let first = query_tcp(&mut bench, "a.example", A);
    bench.stream(0, StreamInput::Connected).unwrap();
    bench.release(first);
    // It lingers for a second, in which its reply would still be of use, and then it is gone.
    bench.write_room = usize::MAX;
    bench.wait(ms(500));
    let second = query_tcp(&mut bench, "b.example", A);
    bench.wait(ms(500));
    assert_eq!(bench.connects.len(), 2);
    bench.stream(0, StreamInput::Connected).unwrap();
    let sent = bench.one_sent_tcp();
    assert_eq!(sent.qname(), crate::testing::name("b.example"));
    bench.reply_tcp(&sent, &sent.reply().answer("b.example", 60, &a(1)));
    assert_eq!(bench.outcome(second), Outcome::Answer);
}

#[test]
fn rule_25_a_server_that_is_silent_over_udp_is_tried_over_tcp() {
    let mut storage = Storage::new();
    let mut bench = bench(&mut storage, 1);
    let key = bench.query_a("x.example");
    bench.wait(ms(1_500));
    assert_eq!((bench.take_sent().len(), bench.connects.len()), (2, 1));
    bench.stream(0, StreamInput::Connected).unwrap();
    let sent = bench.one_sent_tcp();
    bench.reply_tcp(&sent, &sent.reply().answer("x.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
}

#[test]
fn rule_25_a_late_reply_over_udp_is_used_while_tcp_is_tried() {
    let mut storage = Storage::new();
    let mut bench = bench(&mut storage, 1);
    let key = bench.query_a("x.example");
    bench.wait(ms(1_500));
    let udp = bench.take_sent().remove(0);
    bench.reply(&udp, &udp.reply().answer("x.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    bench.wait(ms(5_000));
    assert!(bench.conns.is_empty());
    assert_eq!(bench.resolver.poll_timeout().is_some(), !bench.open.is_empty());
}

#[test]
fn use_vc_is_tcp_only() {
    let mut storage = Storage::new();
    let mut bench = bench(&mut storage, 1);
    bench.resolver.config.use_tcp = true;
    bench.query_a("x.example");
    assert!(bench.take_sent().is_empty());
    assert_eq!(bench.connects.len(), 1);
}

#[test]
fn a_dead_connection_is_given_up_and_another_server_asked() {
    let mut storage = Storage::new();
    let mut bench = bench(&mut storage, 2);
    let key = query_tcp(&mut bench, "x.example", A);
    bench.stream(0, StreamInput::Connected).unwrap();
    assert_eq!(bench.one_sent_tcp().to, server(0));
    // Twice what is waited for over UDP: a connection has to be made first.
    bench.wait(ms(999));
    assert_eq!(bench.conns.keys().collect::<Vec<_>>(), [&0]);
    bench.wait(ms(1));
    assert_eq!(bench.conns.keys().collect::<Vec<_>>(), [&1]);
    bench.stream(1, StreamInput::Connected).unwrap();
    let sent = bench.one_sent_tcp();
    assert_eq!(sent.to, server(1));
    bench.reply_tcp(&sent, &sent.reply().answer("x.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
}

#[test]
fn a_server_that_goes_takes_its_connection_along() {
    let mut storage = Storage::new();
    let mut bench = bench(&mut storage, 1);
    let key = query_tcp(&mut bench, "x.example", A);
    bench.stream(0, StreamInput::Connected).unwrap();
    bench.take_sent_tcp();
    bench.set_servers(&[SERVERS[1]]);
    assert_eq!(bench.connects, [server(0), server(1)]);
    assert_eq!(bench.conns.len(), 1);
    bench.stream(0, StreamInput::Connected).unwrap();
    let sent = bench.one_sent_tcp();
    bench.reply_tcp(&sent, &sent.reply().answer("x.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    let unknown = bench.stream(7, StreamInput::Closed);
    assert_eq!(unknown, Err(Discard::UnknownConnection));
}

#[test]
fn rule_52_no_id_twice_on_a_connection_of_a_thousand_queries() {
    // Among a thousand random ids seven pairs are to be expected.
    let run = || {
        let mut storage = std::boxed::Box::new(ResolverStorage::<1_000, 4, 256>::new());
        let mut bench = Bench::new(&mut storage, 1);
        bench.tcp = true;
        for n in 0..1_000 {
            query_tcp(&mut bench, &std::format!("n{n}.example"), A);
        }
        bench.stream(0, StreamInput::Connected).unwrap();
        let ids: std::collections::BTreeSet<_> =
            bench.take_sent_tcp().iter().map(Sent::id).collect();
        assert_eq!(ids.len(), 1_000);
    };
    // The storage passes over the stack on its way into the box.
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(run).unwrap();
    thread.join().unwrap();
}
