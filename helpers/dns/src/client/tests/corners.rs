//! Two things at once: a second caller, a second server, a second family, a changed network.

extern crate std;

use super::failover::with_one_to_probe;
use crate::client::{Event, ResolverStorage};
use crate::config::Config;
use crate::config::hosts::HostsText;
use crate::message::Rcode;
use crate::order::SourceAddress;
use crate::query::{Failure, Outcome, QueryKey, QueryKind};
use crate::record::RecordType;
use crate::testing::{Bench, SERVERS, Storage, a, aaaa, ms, name};
use bringup_core::client::{Client as _, Input};
use bringup_core::error::ErrorKind;
use core::net::{IpAddr, SocketAddr};
use std::vec::Vec;

fn server(n: usize) -> SocketAddr {
    SERVERS[n].parse().unwrap()
}

/// Asks, and gives this address at once.
fn learn(bench: &mut Bench<'_>, text: &str, ttl: u32) -> QueryKey {
    let key = bench.query_a(text);
    let sent = bench.one_sent();
    bench.reply(&sent, &sent.reply().answer(text, ttl, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    key
}

#[test]
fn of_two_that_wait_for_one_answer_the_one_that_stays_hears_it() {
    for leaves in 0..2 {
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, 1);
        let keys = [bench.query_a("x.example"), bench.query_a("x.example")];
        let sent = bench.one_sent();
        bench.release(keys[leaves]);
        bench.reply(&sent, &sent.reply().answer("x.example", 60, &a(1)));
        assert_eq!(bench.outcome(keys[1 - leaves]), Outcome::Answer);
    }
}

#[test]
#[cfg_attr(not(feature = "extras"), ignore = "needs the feature")]
fn rule_23_a_probe_ends_when_its_server_is_asked_the_same() {
    let mut storage = Storage::new();
    let mut bench = with_one_to_probe(&mut storage);
    let key = bench.query_a("y.example");
    let [asked, probe] = &bench.take_sent()[..] else { panic!("asked, and probed") };
    assert_eq!([asked.to, probe.to], [server(1), server(0)]);
    bench.reply(asked, &asked.reply().rcode(Rcode::SERVFAIL));
    let sent = bench.one_sent();
    assert_eq!(sent.to, server(0));
    // One question at a server is one chance to guess its id (RFC 5452 §5).
    let late = probe.reply().answer("y.example", 60, &a(66)).bytes();
    assert!(bench.receive(probe.socket, probe.to, &late).is_err());
    bench.reply(&sent, &sent.reply().answer("y.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
}

#[test]
#[cfg_attr(not(feature = "extras"), ignore = "needs the feature")]
fn a_probe_goes_on_when_its_server_is_asked_something_else() {
    let mut storage = Storage::new();
    let mut bench = with_one_to_probe(&mut storage);
    let key = bench.query_a("y.example");
    let probe = bench.take_sent().remove(1);
    bench.query_a("z.example");
    let asked = bench.one_sent();
    bench.reply(&asked, &asked.reply().rcode(Rcode::SERVFAIL));
    assert_eq!(bench.one_sent().to, server(0));
    bench.reply(&probe, &probe.reply().answer("y.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
}

#[test]
fn a_probe_that_nobody_answers_is_no_failure_of_the_name() {
    let mut storage = Storage::new();
    let mut bench = with_one_to_probe(&mut storage);
    // What is not kept, so that the cache knows nothing of it.
    let key = bench.query_a("y.example");
    let sent = bench.take_sent();
    let asked = &sent[0];
    bench.reply(asked, &asked.reply().answer("y.example", 0, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    bench.release(key);
    bench.wait(ms(1_000));
    let key = bench.query_a("y.example");
    assert!(!bench.take_sent().is_empty(), "as if it had failed");
    bench.release(key);
}

#[test]
fn what_waits_for_any_server_is_asked_again_at_once_when_the_network_changes() {
    for of in 0..2 {
        for is_replaced in [false, true] {
            let mut storage = Storage::new();
            let mut bench = Bench::new(&mut storage, 2);
            bench.query_a("x.example");
            bench.wait(ms(500 * of));
            assert_eq!(bench.take_sent().len() as u64, 1 + of);
            bench.wait(ms(1));
            if is_replaced {
                bench.set_servers(&SERVERS[2..]);
            } else {
                bench.with(|r, cx| r.link_up(cx));
            }
            let sent = bench.one_sent();
            let first = if is_replaced { server(2) } else { server(0) };
            assert_eq!((sent.at, sent.to), (bench.now, first), "{of}: {is_replaced}");
        }
    }
}

#[test]
fn a_send_that_the_machine_forbids_moves_on_at_once() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    bench.refusing.push((server(0), ErrorKind::PermissionDenied));
    bench.query_a("x.example");
    let sent = bench.one_sent();
    assert_eq!((sent.at, sent.to), (bench.now, server(1)));
}

#[test]
fn full_buffers_are_no_reason_to_ask_another_server() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    bench.refusing.push((server(0), ErrorKind::Busy));
    bench.query_a("x.example");
    bench.wait(ms(499));
    assert!(bench.take_sent().is_empty());
    bench.wait(ms(1));
    assert_eq!(bench.one_sent().to, server(1));
}

#[test]
fn rule_34_a_changed_network_gives_every_server_its_three_sends_again() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    bench.query_a("x.example");
    bench.wait(ms(500));
    assert_eq!(bench.take_sent().len(), 2, "one each");
    bench.with(|r, cx| r.link_up(cx));
    bench.wait(ms(60_000));
    let sent = bench.take_sent();
    let to = |n| sent.iter().filter(|sent| sent.to == server(n)).count();
    assert_eq!([to(0), to(1)], [3, 3]);
}

#[test]
fn a_refusal_is_of_the_socket_that_it_names() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.resolver.set_config(Config { attempts: 1, ..Config::DEFAULT });
    let first = bench.query_a("x.example");
    let socket = bench.one_sent().socket;
    // The last thing that was handed out is of another socket.
    let kind = QueryKind::Type(RecordType::A);
    let mut other = socket;
    while other == socket {
        bench.query("y.example", kind);
        other = bench.sent.last().map_or(socket, |sent| sent.socket);
    }
    let failed = Input::SendFailed { socket, why: ErrorKind::PermissionDenied };
    bench.with(|r, cx| r.handle_input(cx, failed)).unwrap();
    assert!(bench.take_events().is_empty(), "nobody knows whose packet it was");
    bench.release(first);
}

#[test]
fn one_attempt_is_one_whatever_the_server_says() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.resolver.set_config(Config { attempts: 1, ..Config::DEFAULT });
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    let mut reply = sent.reply().rcode(Rcode::FORMERR);
    reply.edns = None;
    bench.reply(&sent, &reply);
    assert!(bench.take_sent().is_empty());
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::FormErr));
}

#[test]
fn the_buffers_of_an_answer_have_both_families() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query("x.example", QueryKind::Addresses);
    let [v4, v6] = &bench.take_sent()[..] else { panic!("two families") };
    let four = (1..4).fold(v4.reply(), |reply, n| reply.answer("x.example", 60, &a(n)));
    let six = (1..4).fold(v6.reply(), |reply, n| reply.answer("x.example", 60, &aaaa(n)));
    bench.reply(v4, &four);
    bench.reply(v6, &six);
    let answer = bench.resolver.result(key).unwrap();
    let mut source = |to: IpAddr| Some(SourceAddress::new(to, 24));
    for (room, of_v6) in [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)] {
        let mut buffer = [IpAddr::from([0; 4]); 5];
        let found = answer.ordered_addresses(&mut source, &mut buffer[..room]);
        assert_eq!(found.iter().filter(|a| a.is_ipv6()).count(), of_v6, "room for {room}");
    }
}

#[test]
fn one_family_that_fails_or_has_nothing_leaves_the_other_as_it_is() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query("x.example", QueryKind::Addresses);
    let [v4, v6] = &bench.take_sent()[..] else { panic!("two families") };
    // RFC 2308 §5: that one family has nothing holds for 10 s; the addresses hold for a minute.
    bench.reply(v6, &v6.reply().soa("example", 10, 10));
    bench.reply(v4, &v4.reply().answer("x.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert_eq!(bench.resolver.result(key).unwrap().ttl(), 60);
    bench.release(key);
    // An alias that only one family went through is shown.
    let key = bench.query("y.example", QueryKind::Addresses);
    let [v4, v6] = &bench.take_sent()[..] else { panic!("two families") };
    bench.reply(v4, &v4.reply().rcode(Rcode::SERVFAIL));
    bench.reply(v6, &v6.reply().cname("y.example", 60, "z").answer("z", 60, &aaaa(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    let shown = bench.records(key);
    assert_eq!(shown, ["y.example. 60 IN CNAME z.", "z. 60 IN AAAA 2001:db8::1"]);
    // One that both went through is shown once, what only one did beside it.
    let key = bench.query("v.example", QueryKind::Addresses);
    let [v4, v6] = &bench.take_sent()[..] else { panic!("two families") };
    bench.reply(v4, &v4.reply().cname("v.example", 60, "w").answer("w", 60, &a(1)));
    let reply = v6.reply().cname("v.example", 60, "w").cname("w", 60, "u");
    bench.reply(v6, &reply.answer("u", 60, &aaaa(1)));
    let all = [
        "v.example. 60 IN CNAME w.",
        "w. 60 IN A 192.0.2.1",
        "w. 60 IN CNAME u.",
        "u. 60 IN AAAA 2001:db8::1",
    ];
    assert_eq!(bench.records(key), all);
}

#[test]
#[cfg_attr(not(feature = "extras"), ignore = "needs the feature")]
fn rule_40_a_name_of_the_cache_does_not_overtake_the_search_list() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    learn(&mut bench, "www.example.", 60);
    bench.resolver.set_search([name("search.example")]);
    bench.resolver.set_config(Config { ndots: 2, ..Config::DEFAULT });
    bench.query_a("www.example");
    assert_eq!(bench.one_sent().qname(), name("www.example.search.example"));
}

#[test]
#[cfg_attr(not(feature = "extras"), ignore = "needs the feature")]
fn rule_37_the_families_of_a_hosts_file_come_in_any_order() {
    let mut storage = ResolverStorage::<8, 32, 16_384>::new();
    let mut bench = Bench::new(&mut storage, 1);
    let file = HostsText(b"2001:db8::7 box\n192.0.2.7 box\n2001:db8::8 box\n192.0.2.8 box\n");
    bench.resolver.set_hosts(Some(&file));
    let key = bench.query("box", QueryKind::Addresses);
    let all = [
        "box. 0 IN A 192.0.2.7",
        "box. 0 IN A 192.0.2.8",
        "box. 0 IN AAAA 2001:db8::7",
        "box. 0 IN AAAA 2001:db8::8",
    ];
    assert_eq!(bench.records(key), all);
    // As many as there is room for, and the last of them whole.
    let many: Vec<u8> = (0..=255u8)
        .flat_map(|n| std::format!("192.0.2.{n} many\n2001:db8::{n} many\n").into_bytes())
        .collect();
    let file = HostsText(&many);
    let mut storage = ResolverStorage::<8, 32, 16_384>::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.resolver.set_hosts(Some(&file));
    let key = bench.query("many", QueryKind::Addresses);
    assert_eq!(bench.take_events(), [Event::Done { key, outcome: Outcome::Answer }]);
    let found: Vec<_> = bench.resolver.result(key).unwrap().addresses().collect();
    let of_v4 = found.iter().filter(|a| a.is_ipv4()).count();
    assert!(of_v4 >= 16 && found.len() == 2 * of_v4, "{found:?}");
}

#[test]
fn two_machines_hash_the_same_name_differently() {
    let hash = |seed: u64| {
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, 1);
        bench.rng = crate::testing::Seeded(seed);
        bench.query_a("x.example");
        bench.resolver.cache.hash_of(name("x.example").as_wire())
    };
    assert_ne!(hash(1), hash(2));
}

#[test]
fn a_network_that_changes_forgets_failures_and_nothing_else() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = learn(&mut bench, "x.example", 60);
    bench.release(key);
    let failed = bench.query_a("y.example");
    let sent = bench.one_sent();
    bench.reply(&sent, &sent.reply().rcode(Rcode::SERVFAIL));
    assert_eq!(bench.outcome(failed), Outcome::Failed(Failure::ServFail));
    bench.with(|r, cx| r.link_up(cx));
    let key = bench.query_a("x.example");
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert!(bench.take_sent().is_empty());
    bench.query_a("y.example");
    assert_eq!(bench.take_sent().len(), 1);
}

#[test]
fn only_what_was_learned_before_the_time_was_known_is_forgotten_with_it() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    learn(&mut bench, "x.example", 60);
    for (is_known, asks) in [(true, 0), (false, 0), (false, 0), (true, 1)] {
        bench.resolver.set_time_valid(is_known);
        bench.query_a("x.example");
        assert_eq!(bench.take_sent().len(), asks, "{is_known}");
    }
}

#[test]
#[cfg_attr(not(feature = "extras"), ignore = "needs the feature")]
fn rule_35_a_lookup_that_stale_data_has_overtaken_fills_the_cache_and_ends() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let serve_stale = bringup_core::time::Duration::from_secs(86_400);
    bench.resolver.set_config(Config { serve_stale, ..Config::DEFAULT });
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    // After a round trip of 100 ms the first timeout is 500 ms.
    bench.wait(ms(100));
    bench.reply(&sent, &sent.reply().answer("x.example", 10, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    bench.release(key);
    bench.wait(ms(20_000));
    let key = bench.query_a("x.example");
    bench.wait(ms(1_800));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert!(bench.resolver.result(key).unwrap().is_stale());
    let sent = bench.take_sent();
    let last = sent.last().unwrap();
    bench.reply(last, &last.reply().answer("x.example", 60, &a(2)));
    assert!(bench.take_events().is_empty(), "it has been told");
    bench.release(key);
    let key = bench.query_a("x.example");
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert_eq!(bench.records(key), ["x.example. 60 IN A 192.0.2.2"]);
}

#[test]
#[cfg_attr(not(feature = "extras"), ignore = "needs the feature")]
fn a_refresh_that_somebody_waits_for_does_not_give_way_to_another_question() {
    let mut storage = ResolverStorage::<1, 32, 4_096>::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.resolver.set_config(Config { refresh_ahead: true, ..Config::DEFAULT });
    for text in ["x.example", "y.example"] {
        let key = learn(&mut bench, text, 100);
        bench.release(key);
    }
    bench.wait(ms(95_000));
    let mut asked = Vec::new();
    for text in ["x.example", "y.example"] {
        let key = bench.query_a(text);
        assert_eq!(bench.outcome(key), Outcome::Answer);
        asked.push(bench.one_sent());
        bench.release(key);
        // Once is enough.
        let key = bench.query_a(text);
        assert!(bench.take_sent().is_empty());
        bench.take_events();
        bench.release(key);
    }
    // Both places are taken; the one family waits for the first, the other needs a place.
    bench.resolver.flush_cache();
    let key = bench.query("x.example", QueryKind::Addresses);
    assert_eq!(bench.one_sent().qtype(), RecordType::AAAA);
    bench.reply(&asked[0], &asked[0].reply().answer("x.example", 60, &a(1)));
    bench.wait(ms(50));
    assert_eq!(bench.outcome(key), Outcome::Answer);
}

#[test]
fn rule_58_a_late_reply_to_a_cancelled_query_is_kept_for_a_second() {
    for (late, asks) in [(900, 0), (1_100, 1)] {
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, 1);
        let key = bench.query_a("x.example");
        let sent = bench.one_sent();
        bench.release(key);
        bench.wait(ms(late));
        let bytes = sent.reply().answer("x.example", 60, &a(1)).bytes();
        assert_eq!(bench.receive(sent.socket, sent.to, &bytes).is_err(), asks == 1, "{late} ms");
        bench.query_a("x.example");
        assert_eq!(bench.take_sent().len(), asks, "{late} ms");
    }
}

#[test]
fn what_is_released_takes_nobody_elses_event_along() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let known = learn(&mut bench, "x.example", 60);
    let running = bench.query_a("y.example");
    let key = bench.with(|r, cx| {
        let options = crate::client::QueryOptions::default();
        let key = r.query(cx, "x.example", QueryKind::Type(RecordType::A), options).unwrap();
        assert!(r.release(cx, running) && r.release(cx, known));
        key
    });
    assert_eq!(bench.outcome(key), Outcome::Answer);
}
