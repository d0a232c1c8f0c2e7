//! The search list, the hosts file, and resolv.conf.

extern crate std;

use crate::client::QueryOptions;
use crate::config::Config;
use crate::config::hosts::HostsText;
use crate::message::Rcode;
use crate::query::{Failure, Outcome, QueryKind, Source};
use crate::record::RecordType;
use crate::testing::{Bench, SERVERS, Storage, a, aaaa, ms, name};
use std::string::{String, ToString};
use std::vec::Vec;

const A: QueryKind = QueryKind::Type(RecordType::A);

/// What a server says of a name.
fn answer(bench: &mut Bench<'_>, what: &str) -> String {
    let sent = bench.one_sent();
    let owner = sent.qname().to_string();
    let reply = match what {
        "data" => sent.reply().answer(&owner, 60, &a(1)),
        "nodata" => sent.reply().soa("example", 60, 60),
        "nxdomain" => sent.reply().rcode(Rcode::NXDOMAIN).soa("example", 60, 60),
        _ => sent.reply().rcode(Rcode::SERVFAIL),
    };
    bench.reply(&sent, &reply);
    owner
}

#[test]
fn rule_40_what_the_names_of_a_search_come_to() {
    let failed = Outcome::Failed(Failure::ServFail);
    for (text, answers, expected) in [
        ("host", &["data"][..], Outcome::Answer),
        ("host", &["nxdomain", "data"], Outcome::Answer),
        ("host", &["nodata", "data"], Outcome::Answer),
        ("host", &["servfail", "data"], Outcome::Answer),
        ("host", &["nxdomain", "nxdomain"], Outcome::NxDomain),
        ("host", &["nodata", "nxdomain"], Outcome::NoData),
        ("host", &["nxdomain", "nodata"], Outcome::NoData),
        ("host", &["servfail", "nxdomain"], failed),
        ("host", &["servfail", "nodata"], failed),
        ("a.host", &["data"], Outcome::Answer),
        ("a.host", &["nxdomain", "nxdomain", "data"], Outcome::Answer),
        ("a.host", &["nxdomain", "nxdomain", "nxdomain"], Outcome::NxDomain),
        ("host.", &["nxdomain"], Outcome::NxDomain),
        ("a.host.", &["nodata"], Outcome::NoData),
    ] {
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, 1);
        bench.resolver.set_search(["one.example", "two.example"].map(name));
        let key = bench.query_a(text);
        let asked: Vec<_> = answers.iter().map(|what| answer(&mut bench, what)).collect();
        assert_eq!(bench.outcome(key), expected, "{text} {answers:?}");
        assert!(bench.take_sent().is_empty(), "{text} {answers:?}");
        let bare = std::format!("{}.", text.trim_end_matches('.'));
        let all =
            [bare.clone(), std::format!("{bare}one.example."), std::format!("{bare}two.example.")];
        let skip = usize::from(text == "host");
        assert_eq!(asked, all[skip..skip + asked.len()], "{text}");
        bench.release(key);
        bench.resolver.flush_cache();
        assert_eq!(bench.resolver.counters().cache_octets, 0);
    }
}

#[test]
fn rule_40_the_search_list_can_be_left_out() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.resolver.set_search([name("one.example")]);
    let options = QueryOptions { no_search: true, ..QueryOptions::default() };
    let key = bench.with(|r, cx| r.query(cx, "a.host", A, options)).unwrap();
    assert_eq!(answer(&mut bench, "nxdomain"), "a.host.");
    assert_eq!(bench.outcome(key), Outcome::NxDomain);
    // A name with a fixed meaning has no other one.
    let key = bench.query_a("localhost");
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert!(bench.take_sent().is_empty());
}

#[test]
fn rule_40_both_families_and_one_deadline() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.resolver.set_search([name("one.example"), name("two.example")]);
    let key = bench.query("host", QueryKind::Addresses);
    let sent = bench.take_sent();
    // One NXDOMAIN says it for both: the next name is asked for, and the other reply is not missed.
    bench.reply(&sent[0], &sent[0].reply().rcode(Rcode::NXDOMAIN).soa("one.example", 60, 60));
    let sent = bench.take_sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].qname(), name("host.two.example"));
    bench.reply(&sent[1], &sent[1].reply().answer("host.two.example", 60, &aaaa(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    bench.release(key);
    let start = bench.now;
    let key = bench.query("dark", QueryKind::Addresses);
    bench.wait(ms(20_000));
    assert!(bench.take_sent().iter().all(|s| s.at < start + ms(10_000)));
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Timeout));
}

#[test]
fn rule_33_no_cut_for_names_of_the_search_list() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.resolver.set_search([name("example")]);
    let key = bench.query_a("corp");
    assert_eq!(answer(&mut bench, "nxdomain"), "corp.example.");
    assert_eq!(bench.outcome(key), Outcome::NxDomain);
    // Another view of the name may know what is below.
    bench.query_a("host.corp.example.");
    assert_eq!(answer(&mut bench, "data"), "host.corp.example.");
}

#[test]
fn rule_56_local_through_the_search_list_is_not_sent() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.resolver.set_search([name("local")]);
    let key = bench.query_a("printer");
    assert_eq!(bench.outcome(key), Outcome::NxDomain);
    assert!(bench.take_sent().is_empty());
}

#[test]
fn rule_37_hosts_come_first_and_are_never_cached() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let file = HostsText(b"192.0.2.7 box box.example\n2001:db8::7 box.example\n192.0.2.8 box\n");
    bench.resolver.set_hosts(Some(&file));
    let key = bench.query("box", QueryKind::Addresses);
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert_eq!(bench.records(key), ["box. 0 IN A 192.0.2.7", "box. 0 IN A 192.0.2.8"]);
    assert_eq!(bench.resolver.result(key).unwrap().source(), Source::Hosts);
    // The other family is not asked for elsewhere; another type is.
    let key = bench.query("box", QueryKind::Type(RecordType::AAAA));
    assert_eq!(bench.outcome(key), Outcome::NoData);
    assert!(bench.take_sent().is_empty());
    bench.query("box.example", QueryKind::Type(RecordType::MX));
    assert_eq!(bench.take_sent().len(), 1);
    // So is an address of a name that the file does not have.
    bench.query_a("other.example");
    assert_eq!(bench.take_sent().len(), 1);
    bench.resolver.set_hosts(None);
    bench.query_a("box.example");
    assert_eq!(bench.take_sent().len(), 1);
}

#[test]
fn rule_42_a_resolv_conf_is_loaded_while_queries_are_in_flight() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query_a("x.example");
    bench.take_sent();
    let file = b"nameserver 192.0.2.54\nnameserver fe80::1%eth9\nnameserver fe80::2%eth0\n\
        search old.example\nsearch one.example two.example\n\
        options ndots:2 timeout:1 attempts:2 rotate trust-ad edns0 no-aaaa\n";
    let interface = |name: &str| (name == "eth0").then_some(7);
    bench.with(|r, cx| r.load_resolv_conf(cx, Config::DEFAULT, file, interface));
    let servers: Vec<_> = bench.resolver.servers().map(|s| s.address.to_string()).collect();
    assert_eq!(servers, ["192.0.2.54:53", "[fe80::2%7]:53"]);
    let search: Vec<_> = bench.resolver.search().map(ToString::to_string).collect();
    assert_eq!(search, ["one.example.", "two.example."]);
    let config = bench.resolver.config();
    assert_eq!((config.ndots, config.attempts, config.attempt_timeout), (2, 2, ms(1_000)));
    assert!(config.rotate && config.trust_ad && config.no_aaaa && !config.use_tcp);
    // The query goes on at the new server.
    let sent = bench.one_sent();
    assert_eq!(sent.to, SERVERS[1].parse().unwrap());
    bench.reply(&sent, &sent.reply().answer("x.example", 60, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    // Loaded again without the options: they are gone.
    bench.with(|r, cx| r.load_resolv_conf(cx, Config::DEFAULT, b"", |_| None));
    assert_eq!(*bench.resolver.config(), Config::DEFAULT);
    assert_eq!((bench.resolver.servers().count(), bench.resolver.search().count()), (0, 0));
}

#[test]
fn rule_42_what_the_options_do() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    let with = |options: &str| {
        let settings = crate::config::resolv_conf::settings(options.as_bytes());
        settings.fold(Config::DEFAULT, |config, setting| config.with(&setting))
    };
    bench.resolver.set_config(with("options attempts:1 timeout:1"));
    let start = bench.now;
    let key = bench.query_a("x.example");
    bench.wait(ms(5_000));
    let sent: Vec<_> = bench.take_sent().iter().map(|s| s.at.since(start).as_millis()).collect();
    assert_eq!(sent, [0, 500]);
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Timeout));

    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    bench.resolver.set_config(with("options rotate"));
    let mut asked = Vec::new();
    for n in 0..4 {
        bench.query_a(&std::format!("r{n}.example"));
        let sent = bench.one_sent();
        asked.push(sent.to);
        bench.reply(&sent, &sent.reply().answer(&sent.qname().to_string(), 60, &a(1)));
        bench.wait(ms(6_000));
    }
    assert_eq!((asked[0], asked[1]), (asked[2], asked[3]));
    assert_ne!(asked[0], asked[1]);
    bench.take_events();

    bench.resolver.set_config(with("options no-aaaa trust-ad"));
    let key = bench.query("n.example", QueryKind::Addresses);
    let sent = bench.one_sent();
    assert_eq!(sent.qtype(), RecordType::A);
    assert!(crate::Message::parse(&sent.bytes).unwrap().header().ad, "rule 10");
    let mut reply = sent.reply().answer("n.example", 60, &a(1));
    reply.header.ad = true;
    bench.reply(&sent, &reply);
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert!(bench.resolver.result(key).unwrap().is_authentic());
}

#[test]
fn ad_is_not_believed_unless_asked_for() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    assert!(!crate::Message::parse(&sent.bytes).unwrap().header().ad);
    let mut reply = sent.reply().answer("x.example", 60, &a(1));
    reply.header.ad = true;
    bench.reply(&sent, &reply);
    assert!(!bench.resolver.result(key).unwrap().is_authentic());
}
