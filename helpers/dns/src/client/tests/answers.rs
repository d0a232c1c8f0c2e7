//! What a query finds: records, chains, nothing, and what is remembered of it.

extern crate std;

use crate::client::{Event, QueryError, QueryOptions};
use crate::message::{Rcode, Section};
use crate::name::NameError;
use crate::order::SourceAddress;
use crate::query::{Failure, Outcome, QueryKind, Source};
use crate::record::{RData, RecordType};
use crate::testing::{Bench, Storage, a, aaaa, ms, name};
use bringup_core::client::StreamInput;
use bringup_core::time::Utc;
use core::net::IpAddr;
use std::format;
use std::string::ToString;
use std::vec::Vec;

#[test]
fn an_answer_and_then_a_hit() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query_a("WWW.example.org");
    let sent = bench.one_sent();
    assert_eq!((sent.qname(), sent.qtype()), (name("www.example.org"), RecordType::A));
    bench.wait(ms(20));
    bench.reply(&sent, &sent.reply().answer("www.example.org", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert_eq!(bench.records(key), ["www.example.org. 60 IN A 192.0.2.1"]);
    let answer = bench.resolver.result(key).unwrap();
    assert_eq!(answer.source(), Source::Network);
    assert_eq!(answer.server(), Some(sent.to));
    assert_eq!(answer.elapsed(), ms(20));
    bench.release(key);

    // Rule 31: what is left of the TTL follows monotonic time, wherever the wall clock goes.
    bench.wait(ms(10_000));
    bench.utc = Utc::from_unix_secs(2_000_000_000);
    let key = bench.query_a("www.example.org");
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert_eq!(bench.records(key), ["www.example.org. 50 IN A 192.0.2.1"]);
    assert_eq!(bench.resolver.result(key).unwrap().source(), Source::Cache);
    assert!(bench.take_sent().is_empty(), "a hit sends nothing");
    bench.release(key);
    bench.wait(ms(50_000));
    bench.query_a("www.example.org");
    assert_eq!(bench.take_sent().len(), 1, "expired");
}

#[test]
fn rule_15_and_30_an_unordered_chain_and_its_least_ttl() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query_a("a.example");
    let sent = bench.one_sent();
    let reply = sent.reply().answer("c.example", 300, &a(1)).cname("b.example", 20, "C.example");
    bench.reply(&sent, &reply.cname("A.example", 100, "b.example").answer("c.example", 200, &a(2)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert_eq!(
        bench.records(key),
        [
            "a.example. 100 IN CNAME b.example.",
            "b.example. 20 IN CNAME C.example.",
            "c.example. 200 IN A 192.0.2.1",
            "c.example. 200 IN A 192.0.2.2",
        ]
    );
    let answer = bench.resolver.result(key).unwrap();
    assert_eq!(answer.ttl(), 20);
    assert_eq!(answer.canonical_name().map(|n| n.to_string()).as_deref(), Some("C.example."));
    bench.release(key);
    // The oldest part has expired, so the whole is asked for again, from there.
    bench.wait(ms(30_000));
    bench.query_a("a.example");
    assert_eq!(bench.one_sent().qname(), name("b.example"));
}

#[test]
fn rule_15_nothing_else_belongs_beside_an_alias() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    for (at, alias_first) in [("a.example", true), ("b.example", false)] {
        let key = bench.query_a(at);
        let sent = bench.one_sent();
        let reply = sent.reply().answer("c.example", 60, &a(2));
        let reply = match alias_first {
            true => reply.cname(at, 60, "c.example").answer(at, 60, &a(1)),
            false => reply.answer(at, 60, &a(1)).cname(at, 60, "c.example"),
        };
        bench.reply(&sent, &reply);
        assert_eq!(bench.outcome(key), Outcome::Answer);
        let alias = format!("{at}. 60 IN CNAME c.example.");
        assert_eq!(bench.records(key), [alias.as_str(), "c.example. 60 IN A 192.0.2.2"]);
    }
    // Whoever asks for the alias itself gets that, or the signature that stands beside it.
    let signature = RData::Opaque { rtype: RecordType::RRSIG, bytes: &[0; 20] };
    for (at, rtype) in [("d.example", RecordType::CNAME), ("e.example", RecordType::RRSIG)] {
        let key = bench.query(at, QueryKind::Type(rtype));
        let sent = bench.one_sent();
        let reply = sent.reply().answer(at, 60, &signature).cname(at, 60, "c.example");
        bench.reply(&sent, &reply);
        assert_eq!(bench.outcome(key), Outcome::Answer);
        assert_eq!(bench.records(key).len(), 1, "{rtype}");
    }
}

#[test]
fn rule_17_the_last_target_is_asked_for_under_the_same_deadline() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query_a("a.example");
    let sent = bench.one_sent();
    bench.reply(&sent, &sent.reply().cname("a.example", 60, "b.example"));
    let second = bench.one_sent();
    assert_eq!(second.qname(), name("b.example"));
    bench.reply(&second, &second.reply().answer("b.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert_eq!(bench.records(key).len(), 2);
    // Without an answer to the second, the deadline of the first holds.
    let key = bench.query_a("c.example");
    let sent = bench.one_sent();
    bench.wait(ms(400));
    bench.reply(&sent, &sent.reply().cname("c.example", 60, "d.example"));
    bench.wait(ms(9_599));
    assert!(bench.take_events().is_empty() || bench.now > sent.at + ms(3_000));
    bench.wait(ms(1));
    assert!(bench.resolver.result(key).is_some());
}

#[test]
fn rule_15_chains_end() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    // A loop within one response, and one to itself.
    for (row, chain) in [
        ("two", &[("a.example", "b.example"), ("b.example", "a.example")][..]),
        ("itself", &[("a.example", "a.example")]),
    ] {
        let key = bench.query_a("a.example");
        let sent = bench.one_sent();
        let reply = chain.iter().fold(sent.reply(), |r, (from, to)| r.cname(from, 0, to));
        bench.reply(&sent, &reply);
        assert_eq!(bench.outcome(key), Outcome::Failed(Failure::AliasLoop), "{row}");
        bench.release(key);
    }
    // A loop over several responses.
    let key = bench.query_a("a.example");
    for target in ["b.example", "a.example"] {
        let sent = bench.one_sent();
        let owner = sent.qname().to_string();
        bench.reply(&sent, &sent.reply().cname(&owner, 0, target));
    }
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::AliasLoop));
    bench.release(key);
    // Within one response 16 aliases are followed, 17 are not; one at a time, 16 names are asked for.
    let (answer, chain) = (Outcome::Answer, Outcome::Failed(Failure::AliasChain));
    for (aliases, at_once, expected) in
        [(16, true, answer), (17, true, chain), (15, false, answer), (16, false, chain)]
    {
        let mut asked = 0;
        let host = |n: usize| format!("h{n}-{aliases}-{at_once}.example");
        let key = bench.query_a(&host(0));
        let mut next = 0;
        while let Some(sent) = bench.take_sent().pop() {
            asked += 1;
            let mut reply = sent.reply();
            let end = if at_once { aliases } else { (next + 1).min(aliases) };
            while next < end {
                reply = reply.cname(&host(next), 0, &host(next + 1));
                next += 1;
            }
            if sent.qname() == name(&host(aliases)) || at_once {
                reply = reply.answer(&host(aliases), 0, &a(1));
            }
            bench.reply(&sent, &reply);
        }
        assert_eq!(bench.outcome(key), expected, "{aliases} {at_once}");
        assert_eq!(asked, if at_once { 1 } else { 16 }, "rule 17: {aliases} {at_once}");
        bench.release(key);
    }
}

#[test]
fn rule_16_and_54_and_bug_17_dname() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let target = name("new.example");
    let dname = RData::Dname(target.view());
    // The CNAME may be missing; the DNAME's TTL counts.
    let key = bench.query_a("x.y.old.example");
    let sent = bench.one_sent();
    let reply = sent.reply().answer("old.example", 30, &dname);
    bench.reply(&sent, &reply.answer("x.y.new.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    let records = bench.records(key);
    assert_eq!(records[0], "x.y.old.example. 30 IN CNAME x.y.new.example.");
    // It does not redirect its own owner, nor half a label.
    for other in ["old.example", "gold.example"] {
        let key = bench.query_a(other);
        let sent = bench.one_sent();
        let reply = sent.reply().answer("old.example", 30, &dname).soa("example", 60, 60);
        bench.reply(&sent, &reply);
        assert_eq!(bench.outcome(key), Outcome::NoData, "{other}");
    }
    // systemd#30392: `local DNAME local`.
    let itself = name("loop.example");
    let key = bench.query_a("x.loop.example");
    let sent = bench.one_sent();
    let dname = RData::Dname(itself.view());
    bench.reply(&sent, &sent.reply().answer("loop.example", 30, &dname));
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::AliasLoop));
    // A name that gets too long.
    let long = name(&format!("{0}.{0}.{0}.{1}", "x".repeat(63), "x".repeat(55)));
    let key = bench.query_a("too.much.long.example");
    let sent = bench.one_sent();
    let dname = RData::Dname(long.view());
    bench.reply(&sent, &sent.reply().answer("long.example", 30, &dname));
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::AliasChain));
}

#[test]
fn rule_14_only_the_answer_section_and_owners_that_are_reached_count() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    let reply = sent
        .reply()
        .answer("other.example", 60, &a(66))
        .answer("x.example", 60, &aaaa(66))
        .cname("other.example", 60, "x.example")
        .record(Section::Authority, "x.example", 60, &a(67))
        .record(Section::Additional, "x.example", 60, &a(68))
        .record(Section::Additional, "x.example", 60, &a(69));
    bench.reply(&sent, &reply);
    assert_eq!(bench.outcome(key), Outcome::NoData);
    bench.release(key);
    let keys = ["other.example", "x.example"].map(|n| bench.query_a(n));
    assert_eq!(bench.take_sent().len(), keys.len(), "nothing of it was kept");
}

#[test]
fn rule_32_and_33_negative_answers_are_kept_as_long_as_the_soa_says() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let row =
        |bench: &mut Bench<'_>, owner: &str, nxdomain: bool, soa: Option<(&str, u32, u32)>| {
            let key = bench.query_a(owner);
            let sent = bench.one_sent();
            let mut reply = sent.reply();
            if nxdomain {
                reply = reply.rcode(Rcode::NXDOMAIN);
            }
            if let Some((zone, ttl, minimum)) = soa {
                reply = reply.soa(zone, ttl, minimum);
            }
            bench.reply(&sent, &reply);
            let expected = if nxdomain { Outcome::NxDomain } else { Outcome::NoData };
            assert_eq!(bench.outcome(key), expected, "{owner}");
            let ttl = bench.resolver.result(key).unwrap().ttl();
            bench.release(key);
            ttl
        };
    assert_eq!(row(&mut bench, "a.example", true, Some(("example", 60, 30))), 30);
    assert_eq!(row(&mut bench, "b.example", false, Some(("example", 20, 30))), 20);
    assert_eq!(row(&mut bench, "c.example", true, Some(("example", 99_999, 99_999))), 900);
    assert_eq!(row(&mut bench, "d.example", true, None), 0);
    assert_eq!(row(&mut bench, "e.example", false, None), 0);
    assert_eq!(row(&mut bench, "f.example", true, Some(("other", 60, 60))), 0);
    for (owner, rtype, known) in [
        ("a.example", RecordType::A, Some(Outcome::NxDomain)),
        ("a.example", RecordType::MX, Some(Outcome::NxDomain)),
        ("below.a.example", RecordType::A, Some(Outcome::NxDomain)),
        ("b.example", RecordType::A, Some(Outcome::NoData)),
        ("b.example", RecordType::MX, None),
        ("below.b.example", RecordType::A, None),
        ("d.example", RecordType::A, None),
        ("e.example", RecordType::A, None),
        ("f.example", RecordType::A, None),
        ("below.f.example", RecordType::A, None),
    ] {
        let key = bench.query(owner, QueryKind::Type(rtype));
        let sent = bench.take_sent().len();
        match known {
            Some(outcome) => assert_eq!((bench.outcome(key), sent), (outcome, 0), "{owner}"),
            None => assert_eq!(sent, 1, "{owner}"),
        }
        bench.release(key);
        bench.take_events();
    }
    // c-ares#1293: what was missing for a moment comes back.
    bench.wait(ms(31_000));
    let key = bench.query_a("a.example");
    let sent = bench.one_sent();
    bench.reply(&sent, &sent.reply().answer("a.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
}

#[test]
fn rule_17_and_32_the_negative_answer_belongs_to_the_last_name() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query_a("a.example");
    let sent = bench.one_sent();
    let reply = sent.reply().cname("a.example", 60, "gone.example").rcode(Rcode::NXDOMAIN);
    bench.reply(&sent, &reply.soa("example", 60, 60));
    assert_eq!(bench.outcome(key), Outcome::NxDomain);
    bench.release(key);
    for (owner, rtype, outcome) in [
        ("gone.example", RecordType::A, Some(Outcome::NxDomain)),
        ("a.example", RecordType::MX, Some(Outcome::NxDomain)),
        ("a.example", RecordType::CNAME, Some(Outcome::Answer)),
        ("b.a.example", RecordType::A, None),
    ] {
        let key = bench.query(owner, QueryKind::Type(rtype));
        let sent = bench.take_sent().len();
        match outcome {
            Some(outcome) => {
                assert_eq!((bench.outcome(key), sent), (outcome, 0), "{owner} {rtype}")
            }
            None => assert_eq!(sent, 1, "{owner} {rtype}"),
        }
        bench.release(key);
    }
    // Records and NXDOMAIN in one response contradict each other.
    bench.take_events();
    let key = bench.query_a("z.example");
    let sent = bench.one_sent();
    bench.reply(&sent, &sent.reply().answer("z.example", 60, &a(1)).rcode(Rcode::NXDOMAIN));
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Malformed));
}

#[test]
fn rule_30_ttls_are_capped_and_0_is_delivered_but_not_kept() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    for (owner, ttl, delivered) in [("a.example", 0, 0), ("b.example", 0x8000_0000, 86_400)] {
        let key = bench.query_a(owner);
        let sent = bench.one_sent();
        bench.reply(&sent, &sent.reply().answer(owner, ttl, &a(1)));
        assert_eq!(bench.outcome(key), Outcome::Answer);
        assert_eq!(bench.records(key), [format!("{owner}. {delivered} IN A 192.0.2.1")]);
        bench.release(key);
        bench.query_a(owner);
        assert_eq!(bench.take_sent().len(), usize::from(ttl == 0), "{owner}");
        bench.take_events();
    }
}

#[test]
#[cfg_attr(not(feature = "tcp"), ignore = "needs the feature")]
fn bug_2_c_ares_cve_2020_8277_more_addresses_than_there_is_room_for() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    for (count, expected) in
        [(200u16, Outcome::Answer), (1_000, Outcome::Failed(Failure::TooLarge))]
    {
        bench.tcp = true;
        let options = QueryOptions { tcp: true, ..QueryOptions::default() };
        let kind = QueryKind::Type(RecordType::A);
        let text = format!("n{count}.example");
        let key = bench.with(|r, cx| r.query(cx, text.as_str(), kind, options)).unwrap();
        if bench.connects.len() == 1 {
            let _ = bench.stream(0, StreamInput::Connected);
        }
        let sent = bench.one_sent_tcp();
        let owner = sent.qname().to_string();
        let reply = (0..count).fold(sent.reply(), |reply, n| {
            let [high, low] = n.to_be_bytes();
            reply.answer(&owner, 60, &RData::A([10, 0, high, low].into()))
        });
        bench.reply_tcp(&sent, &reply);
        assert_eq!(bench.outcome(key), expected, "{count}");
        let found = bench.resolver.result(key).unwrap().addresses().count();
        assert_eq!(found, if expected == Outcome::Answer { count.into() } else { 0 });
        bench.release(key);
    }
}

#[test]
fn rule_21_and_any() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query("x.example", QueryKind::Type(RecordType::ANY));
    let sent = bench.one_sent();
    let hinfo = RData::Opaque { rtype: RecordType::HINFO, bytes: b"\x07RFC8482\0" };
    bench.reply(&sent, &sent.reply().answer("x.example", 60, &hinfo).answer("x.example", 9, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    let types: Vec<_> = bench.resolver.result(key).unwrap().records().map(|r| r.rtype).collect();
    assert_eq!(types, [RecordType::HINFO, RecordType::A]);
}

#[test]
fn rule_43_two_families_side_by_side() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query("x.example", QueryKind::Addresses);
    let sent = bench.take_sent();
    assert_eq!(
        sent.iter().map(|s| s.qtype()).collect::<Vec<_>>(),
        [RecordType::A, RecordType::AAAA]
    );
    bench.reply(&sent[0], &sent[0].reply().cname("x.example", 60, "y").answer("y", 60, &a(1)));
    bench.wait(ms(49));
    assert!(bench.take_events().is_empty(), "a moment for AAAA");
    bench.wait(ms(1));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert_eq!(bench.records(key).len(), 2);
    // The late family is an update, and the alias that both went through is shown once.
    bench.reply(&sent[1], &sent[1].reply().cname("x.example", 60, "y").answer("y", 60, &aaaa(1)));
    assert_eq!(bench.take_events(), [Event::Update { key }]);
    let all = ["x.example. 60 IN CNAME y.", "y. 60 IN A 192.0.2.1", "y. 60 IN AAAA 2001:db8::1"];
    assert_eq!(bench.records(key), all);
    assert_eq!(bench.resolver.result(key).unwrap().addresses().count(), 2);
    bench.wait(ms(60_000));
    assert!(bench.take_events().is_empty());
}

#[test]
fn rule_43_when_an_address_is_usable() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    // A positive AAAA at once; A that comes later is an update.
    let key = bench.query("x.example", QueryKind::Addresses);
    let sent = bench.take_sent();
    bench.reply(&sent[1], &sent[1].reply().answer("x.example", 60, &aaaa(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    bench.reply(&sent[0], &sent[0].reply().answer("x.example", 60, &a(1)));
    assert_eq!(bench.take_events(), [Event::Update { key }]);
    // A when AAAA is negative (systemd#25944: an SOA-only AAAA answer is an answer).
    let key = bench.query("y.example", QueryKind::Addresses);
    let sent = bench.take_sent();
    bench.reply(&sent[1], &sent[1].reply().soa("example", 60, 60));
    assert!(bench.take_events().is_empty());
    bench.reply(&sent[0], &sent[0].reply().answer("y.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert_eq!(bench.resolver.result(key).unwrap().ttl(), 60);
    // NXDOMAIN is for all types: nothing to wait for.
    let key = bench.query("z.example", QueryKind::Addresses);
    let sent = bench.take_sent();
    bench.reply(&sent[1], &sent[1].reply().rcode(Rcode::NXDOMAIN).soa("example", 60, 60));
    assert_eq!(bench.outcome(key), Outcome::NxDomain);
    bench.reply(&sent[0], &sent[0].reply().answer("z.example", 60, &a(1)));
    assert!(bench.take_events().is_empty());
    // curl#3699: A alone, with an AAAA that nobody ever answers.
    let key = bench.query("v.example", QueryKind::Addresses);
    let sent = bench.take_sent();
    bench.reply(&sent[0], &sent[0].reply().answer("v.example", 600, &a(1)));
    bench.wait(ms(60_000));
    assert_eq!(bench.outcome(key), Outcome::Answer);
}

#[test]
#[cfg_attr(not(feature = "extras"), ignore = "needs the feature")]
fn rule_38_39_and_41_what_is_not_sent() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    use {Outcome::*, QueryKind::*, Source::*};
    for (text, kind, outcome, source, record) in [
        ("localhost", Type(RecordType::A), Answer, Special, "localhost. 0 IN A 127.0.0.1"),
        ("localhost.", Type(RecordType::TXT), NoData, Special, ""),
        ("printer.local", Addresses, NxDomain, Special, ""),
        ("x.invalid", Addresses, NxDomain, Special, ""),
        ("192.0.2.7", Addresses, Answer, Literal, r"192.0.2.7. 0 IN A 192.0.2.7"),
        ("192.0.2.7", Type(RecordType::AAAA), NoData, Literal, ""),
        ("2001:db8::1", Addresses, Answer, Literal, "2001:db8::1. 0 IN AAAA 2001:db8::1"),
        ("fe80::1%7", Addresses, Answer, Literal, "fe80::1. 0 IN AAAA fe80::1"),
        ("printer", Addresses, Failed(Failure::SingleLabel), Cache, ""),
    ] {
        let key = bench.query(text, kind);
        assert_eq!(bench.outcome(key), outcome, "{text}");
        assert_eq!(bench.resolver.result(key).unwrap().source(), source, "{text}");
        assert_eq!(bench.records(key).first().map_or("", |r| r.as_str()), record, "{text}");
        let scope = bench.resolver.result(key).unwrap().scope_id();
        assert_eq!(scope, if text.ends_with("%7") { 7 } else { 0 });
        bench.release(key);
    }
    assert!(bench.take_sent().is_empty());
    for text in ["printer.", "home.arpa", "1.2.3", "x.test"] {
        let key = bench.query_a(text);
        assert_eq!(bench.take_sent().len(), 1, "{text}");
        bench.release(key);
    }
    let mut ask =
        |text| bench.with(|r, cx| r.query(cx, text, QueryKind::Addresses, QueryOptions::default()));
    assert_eq!(ask("fe80::1%eth0"), Err(QueryError::ScopeName));
    assert_eq!(ask("a..b"), Err(QueryError::Name(NameError::EmptyLabel)));
}

#[test]
fn an_alias_to_a_special_name_is_not_sent_either() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    bench.reply(&sent, &sent.reply().cname("x.example", 60, "y.local"));
    assert_eq!(bench.outcome(key), Outcome::NxDomain);
    assert!(bench.take_sent().is_empty());
}

#[test]
fn rule_44_and_58_addresses_are_ordered_when_they_are_delivered() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query("x.example", QueryKind::Addresses);
    let sent = bench.take_sent();
    let reply = (1..5).fold(sent[0].reply(), |reply, n| reply.answer("x.example", 60, &a(n)));
    bench.reply(&sent[0], &reply);
    bench.reply(&sent[1], &sent[1].reply().answer("x.example", 60, &aaaa(1)));
    let answer = bench.resolver.result(key).unwrap();
    let mut buffer = [IpAddr::from([0; 4]); 3];
    let v6 = IpAddr::from([0x2001, 0xDB8, 0, 0, 0, 0, 0, 1]);
    let v4 = |n| IpAddr::from([192, 0, 2, n]);
    let mut source = |to: IpAddr| Some(SourceAddress::new(to, 24));
    assert_eq!(answer.ordered_addresses(&mut source, &mut buffer), [v6, v4(1), v4(2)]);
    // The route is gone, the answer is the same: the order is not.
    let mut no_v6 = |to: IpAddr| to.is_ipv4().then(|| SourceAddress::new(to, 24));
    assert_eq!(answer.ordered_addresses(&mut no_v6, &mut buffer), [v4(1), v6, v4(2)]);
}
