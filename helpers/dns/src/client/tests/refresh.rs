//! Serve-stale, refresh-ahead, probes, and the filter against rebinding.

extern crate std;

use crate::config::Config;
use crate::message::Rcode;
use crate::query::{Failure, Outcome, QueryKind};
use crate::record::{RData, RecordType};
use crate::testing::{Bench, SERVERS, Sent, Storage, a, aaaa, ms, name};
use bringup_core::time::Duration;
use std::string::ToString;
use std::vec::Vec;

fn stale(storage: &mut Storage, servers: usize) -> Bench<'_> {
    let mut bench = Bench::new(storage, servers);
    let serve_stale = Duration::from_secs(86_400);
    bench.resolver.set_config(Config { serve_stale, cookies: false, ..Config::DEFAULT });
    bench
}

/// Has `x.example` known for 60 s, by way of an alias.
fn learn(bench: &mut Bench<'_>) {
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    // A round trip of 100 ms: the first timeout is 500 ms.
    bench.wait(ms(100));
    let reply = sent.reply().cname("x.example", 60, "y.example").answer("y.example", 60, &a(1));
    bench.reply(&sent, &reply);
    assert_eq!(bench.outcome(key), Outcome::Answer);
    bench.release(key);
}

#[test]
fn rule_35_what_is_past_its_ttl_is_given_when_the_refresh_is_late() {
    let mut storage = Storage::new();
    let mut bench = stale(&mut storage, 2);
    learn(&mut bench);
    bench.wait(ms(60_000));
    let key = bench.query_a("x.example");
    bench.wait(ms(1_799));
    assert!(bench.take_events().is_empty(), "not before the client timer");
    bench.wait(ms(1));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    let records = ["x.example. 30 IN CNAME y.example.", "y.example. 30 IN A 192.0.2.1"];
    assert_eq!(bench.records(key), records);
    let answer = bench.resolver.result(key).unwrap();
    assert!(answer.is_stale() && answer.ttl() == 30);
    // While the refresh goes on, the next one gets it at once.
    bench.take_sent();
    let key = bench.query_a("x.example");
    assert_eq!(bench.outcome(key), Outcome::Answer);
    // The refresh goes on, and its failure is not asked about again for 30 s.
    bench.wait(ms(10_000));
    assert_eq!(bench.take_sent().len(), 3, "three of six were sent before the answer");
    for _ in 0..8 {
        let key = bench.query_a("x.example");
        assert_eq!(bench.outcome(key), Outcome::Answer);
        assert!(bench.resolver.result(key).unwrap().is_stale());
        assert!(bench.take_sent().is_empty());
        bench.release(key);
        bench.wait(ms(2_000));
    }
    bench.wait(ms(14_000));
    bench.query_a("x.example");
    let sent = bench.take_sent().remove(0);
    bench.reply(&sent, &sent.reply().answer("x.example", 60, &a(2)));
    let key = bench.query_a("x.example");
    assert_eq!(bench.records(key), ["x.example. 60 IN A 192.0.2.2"]);
    assert!(!bench.resolver.result(key).unwrap().is_stale());
}

#[test]
fn rule_35_at_once_when_all_servers_fail_and_never_after_a_definite_answer() {
    for (rcode, expected) in [
        (Rcode::SERVFAIL, Outcome::Answer),
        (Rcode::REFUSED, Outcome::Answer),
        (Rcode::NXDOMAIN, Outcome::NxDomain),
        (Rcode::NOERROR, Outcome::NoData),
    ] {
        let mut storage = Storage::new();
        let mut bench = stale(&mut storage, 1);
        learn(&mut bench);
        bench.wait(ms(60_000));
        for _ in 0..2 {
            let key = bench.query_a("x.example");
            for sent in bench.take_sent() {
                bench.reply(&sent, &sent.reply().rcode(rcode).soa("example", 60, 60));
            }
            assert_eq!(bench.outcome(key), expected, "{rcode}");
            bench.release(key);
        }
        // What was denied does not come back when the denial is over.
        bench.wait(ms(60_000));
        let key = bench.query_a("x.example");
        for sent in bench.take_sent() {
            bench.reply(&sent, &sent.reply().rcode(Rcode::SERVFAIL));
        }
        let failed = Outcome::Failed(Failure::ServFail);
        let denied = expected != Outcome::Answer;
        assert_eq!(bench.outcome(key), if denied { failed } else { expected }, "{rcode}");
    }
}

#[test]
fn rule_35_not_without_the_option_not_for_ttl_0_and_not_for_ever() {
    let mut storage = Storage::new();
    let mut bench = stale(&mut storage, 1);
    learn(&mut bench);
    bench.wait(ms(60_000 + 86_400_000));
    let key = bench.query_a("x.example");
    bench.wait(ms(10_000));
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Timeout), "kept for a day");

    let mut storage = Storage::new();
    let mut bench = stale(&mut storage, 1);
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    bench.reply(&sent, &sent.reply().answer("x.example", 0, &a(1)));
    bench.outcome(key);
    bench.release(key);
    let key = bench.query_a("x.example");
    bench.wait(ms(10_000));
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Timeout), "TTL 0");

    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    learn(&mut bench);
    bench.wait(ms(60_000));
    let key = bench.query_a("x.example");
    bench.wait(ms(10_000));
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Timeout), "off");
}

#[test]
fn rule_48_a_new_alias_drives_out_what_is_stale_beside_it() {
    let mut storage = Storage::new();
    let mut bench = stale(&mut storage, 1);
    learn(&mut bench);
    bench.wait(ms(60_000));
    let key = bench.query_a("y.example");
    let sent = bench.one_sent();
    bench.reply(
        &sent,
        &sent.reply().cname("y.example", 5, "z.example").answer("z.example", 60, &a(3)),
    );
    assert_eq!(bench.outcome(key), Outcome::Answer);
    bench.wait(ms(6_000));
    let key = bench.query_a("y.example");
    let sent = bench.one_sent();
    bench.reply(&sent, &sent.reply().rcode(Rcode::SERVFAIL));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    let records = ["y.example. 30 IN CNAME z.example.", "z.example. 54 IN A 192.0.2.3"];
    assert_eq!(bench.records(key), records, "not the old address");
}

#[test]
fn rule_36_an_answer_in_use_is_asked_for_before_its_ttl_is_over() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.resolver.set_config(Config { refresh_ahead: true, cookies: false, ..Config::DEFAULT });
    let answer = |bench: &mut Bench<'_>, sent: &Sent, last| {
        bench.reply(sent, &sent.reply().answer("x.example", 100, &a(last)));
    };
    bench.query_a("x.example");
    let sent = bench.one_sent();
    answer(&mut bench, &sent, 1);
    bench.wait(ms(90_000));
    bench.query_a("x.example");
    assert!(bench.take_sent().is_empty(), "ten seconds are left");
    bench.wait(ms(1_000));
    for _ in 0..2 {
        let key = bench.query_a("x.example");
        assert!(bench.resolver.result(key).is_some(), "nobody waits for it");
    }
    let sent = bench.one_sent();
    answer(&mut bench, &sent, 2);
    let key = bench.query_a("x.example");
    assert_eq!(bench.records(key), ["x.example. 100 IN A 192.0.2.2"]);
    // A refresh that fails takes nothing away: the TTL is not touched.
    bench.wait(ms(91_000));
    bench.query_a("x.example");
    let sent = bench.one_sent();
    bench.reply(&sent, &sent.reply().rcode(Rcode::SERVFAIL));
    let key = bench.query_a("x.example");
    assert_eq!(bench.records(key), ["x.example. 9 IN A 192.0.2.2"]);
}

#[test]
fn bug_13_a_server_that_failed_is_probed_and_nobody_waits_for_it() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    let (dead, alive) = (SERVERS[0].parse().unwrap(), SERVERS[1].parse().unwrap());
    let mut probes = Vec::new();
    for n in 0..60 {
        let text = std::format!("n{n}.example");
        let key = bench.query_a(&text);
        if n == 0 {
            bench.wait(ms(500));
        }
        for sent in bench.take_sent() {
            let is_back = n >= 50;
            if sent.to == dead && n > 0 {
                probes.push(n);
            }
            if sent.to == alive || is_back {
                let reply = sent.reply().answer(&text, 60, &a(1));
                let _ = bench.receive(sent.socket, sent.to, &reply.bytes());
            }
        }
        assert_eq!(bench.outcome(key), Outcome::Answer, "nobody waits for the dead one");
        bench.release(key);
        bench.wait(ms(2_000));
    }
    let before: Vec<_> = probes.iter().filter(|n| **n < 50).collect();
    assert!((2..6).contains(&before.len()), "it is left alone for longer each time: {before:?}");
    // 60 s at most after it is back, and then it is the first again.
    assert!(bench.resolver.counters().probes > 0);
    bench.wait(ms(60_000));
    for text in ["p.example", "q.example"] {
        bench.query_a(text);
        for sent in bench.take_sent() {
            let reply = sent.reply().answer(text, 60, &a(1));
            let _ = bench.receive(sent.socket, sent.to, &reply.bytes());
        }
    }
    bench.query_a("r.example");
    assert_eq!(bench.one_sent().to, dead);
}

#[test]
fn rebinding_is_refused_for_public_names_only() {
    let private = RData::A([192, 168, 1, 1].into());
    let mapped = RData::Aaaa([0, 0, 0, 0, 0, 0xFFFF, 0xC0A8, 0x0101].into());
    let refused = Outcome::Failed(Failure::Rebinding);
    for (on, text, data, expected) in [
        (true, "evil.example", private, refused),
        (true, "evil.example", mapped, refused),
        (true, "good.example", a(1), Outcome::Answer),
        (true, "good.example", aaaa(1), Outcome::Answer),
        (true, "box.corp.example", private, Outcome::Answer),
        (true, "box.home.arpa", private, Outcome::Answer),
        (true, "box.internal", private, Outcome::Answer),
        (false, "evil.example", private, Outcome::Answer),
    ] {
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, 1);
        bench.resolver.set_config(Config { refuse_private: on, ..Config::DEFAULT });
        bench.resolver.set_search([name("corp.example")]);
        let key = bench.query(&std::format!("{text}."), QueryKind::Type(data.rtype()));
        let sent = bench.one_sent();
        bench.reply(&sent, &sent.reply().answer(text, 60, &data));
        assert_eq!(bench.outcome(key), expected, "{text} {data:?}");
        assert_eq!(
            bench.resolver.result(key).unwrap().addresses().count() > 0,
            expected == Outcome::Answer
        );
        // From the cache it is the same.
        let key = bench.query(&std::format!("{text}."), QueryKind::Type(data.rtype()));
        assert_eq!(bench.outcome(key), expected, "{text} {data:?}");
    }
}

#[test]
fn rebinding_through_an_alias_to_a_private_name_is_refused() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.resolver.set_config(Config { refuse_private: true, ..Config::DEFAULT });
    let key = bench.query("evil.example", QueryKind::Type(RecordType::A));
    let sent = bench.one_sent();
    bench.reply(&sent, &sent.reply().cname("evil.example", 60, "box.home.arpa"));
    for sent in bench.take_sent() {
        let owner = sent.qname().to_string();
        let data = RData::A([10, 0, 0, 1].into());
        bench.reply(&sent, &sent.reply().answer(&owner, 60, &data));
    }
    let outcome = bench.take_events();
    assert_eq!(
        bench.resolver.result(key).unwrap().outcome(),
        Outcome::Failed(Failure::Rebinding),
        "{outcome:?}"
    );
}
