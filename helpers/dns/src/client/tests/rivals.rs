//! More of what broke other resolvers: head to head, by the number of the row in `docs/dns.md`.

extern crate std;

use crate::client::{Client as _, QueryOptions, Resolver, ResolverStorage};
use crate::config::Config;
use crate::counters::Discard;
use crate::encode::{QueryFlags, query};
use crate::message::{Message, Rcode, Section};
use crate::name::Name;
use crate::query::{Failure, Outcome, QueryKind};
use crate::record::{Class, RData, RecordType};
use crate::testing::{Bench, SERVERS, Sent, Storage, a, aaaa, ms, name};
use bringup_core::client::{Cx, Input, Rng, StreamInput, Transmit};
use bringup_core::error::ErrorKind;
use bringup_core::time::{Instant, Utc};
use std::format;
use std::string::ToString;
use std::vec::Vec;

const A: QueryKind = QueryKind::Type(RecordType::A);

fn answer(sent: &Sent, last: u8) -> Vec<u8> {
    sent.reply().answer(&sent.qname().to_string(), 60, &a(last)).bytes()
}

/// Draws the same every time.
struct Stuck;

impl Rng for Stuck {
    fn fill(&mut self, buffer: &mut [u8]) {
        buffer.fill(0x5A);
    }
}

#[test]
fn bug_9_c_ares_an_id_that_comes_back_at_once_completes_only_its_own_query() {
    let mut storage = Storage::new();
    let mut resolver = Resolver::new(Config::DEFAULT, &mut storage);
    let mut rng = Stuck;
    let mut cx = Cx { now: Instant::from_micros(1), utc: Utc::UNIX_EPOCH, rng: &mut rng };
    let server = SERVERS[0].parse().unwrap();
    resolver.set_servers(&mut cx, &[std::net::SocketAddr::into(server)]);
    let ask = |resolver: &mut Resolver<'_>, text: &str| {
        let mut cx = Cx { now: Instant::from_micros(1), utc: Utc::UNIX_EPOCH, rng: &mut Stuck };
        let key = resolver.query(&mut cx, text, A, QueryOptions::default()).unwrap();
        let mut buffer = [0; 512];
        loop {
            let sent = resolver.poll_transmit(&mut cx, &mut buffer).expect("a query goes out");
            if let Transmit::Datagram { socket, to, bytes } = sent {
                break (key, Sent { at: cx.now, socket, to, bytes: bytes.to_vec() });
            }
        }
    };
    let (first, sent) = ask(&mut resolver, "x.example");
    let take = |resolver: &mut Resolver<'_>, sent: &Sent, bytes: &[u8]| {
        let mut cx = Cx { now: Instant::from_micros(1), utc: Utc::UNIX_EPOCH, rng: &mut Stuck };
        let input =
            Input::Datagram { socket: sent.socket, from: sent.to, bytes, received_at: cx.now };
        resolver.handle_input(&mut cx, input)
    };
    take(&mut resolver, &sent, &answer(&sent, 1)).unwrap();
    let done = |key| Some(crate::Event::Done { key, outcome: Outcome::Answer });
    assert_eq!(resolver.poll_event(), done(first));
    // The id is free again, and drawn again, on the same socket.
    let (second, again) = ask(&mut resolver, "y.example");
    assert_eq!((again.id(), again.socket), (sent.id(), sent.socket));
    assert_eq!(take(&mut resolver, &sent, &answer(&sent, 2)), Err(Discard::WrongQuestion));
    assert_eq!(resolver.poll_event(), None);
    take(&mut resolver, &again, &answer(&again, 3)).unwrap();
    assert_eq!(resolver.poll_event(), done(second));
    assert_eq!(resolver.poll_event(), None);
    // Two at once cannot have one id on one socket, whatever is drawn.
    let (_, third) = ask(&mut resolver, "p.example");
    let (_, fourth) = ask(&mut resolver, "q.example");
    assert_ne!((third.id(), third.socket), (fourth.id(), fourth.socket));
}

#[test]
#[cfg_attr(not(feature = "extras"), ignore = "needs the feature")]
fn bug_13_c_ares_1059_a_probe_that_nobody_answers_ends_and_another_one_follows() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    let mut probes = 0;
    for n in 0..40 {
        let text = format!("n{n}.example");
        let key = bench.query_a(&text);
        if n == 0 {
            bench.wait(ms(500));
        }
        for sent in bench.take_sent() {
            if sent.to == SERVERS[1].parse().unwrap() {
                bench.receive(sent.socket, sent.to, &answer(&sent, 1)).unwrap();
            } else {
                probes += usize::from(n > 0);
            }
        }
        assert_eq!(bench.outcome(key), Outcome::Answer);
        bench.release(key);
        bench.wait(ms(10_000));
    }
    assert!((3..12).contains(&probes), "{probes}");
}

#[test]
fn bug_15_systemd_cve_2017_15908_bitmaps_are_not_walked() {
    // An NSEC whose window has no octets, and one with 33 of them.
    for window in [&[0, 0][..], &[0; 35], &[0, 33, 1]] {
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, 1);
        let key = bench.query_a("x.example");
        let sent = bench.one_sent();
        let bytes = [&b"\x01y\0"[..], window].concat();
        let nsec = RData::Opaque { rtype: RecordType::NSEC, bytes: &bytes };
        let reply = sent.reply().record(Section::Authority, "x.example", 60, &nsec);
        bench.reply(&sent, &reply.soa("example", 60, 60));
        assert_eq!(bench.outcome(key), Outcome::NoData);
    }
}

#[test]
fn bug_17_systemd_25944_an_answer_of_an_soa_alone_completes_at_once() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    let key = bench.query("x.example", QueryKind::Addresses);
    for sent in bench.take_sent() {
        let reply = match sent.qtype() {
            RecordType::A => sent.reply().answer("x.example", 60, &a(1)),
            _ => sent.reply().soa("example", 60, 60),
        };
        bench.reply(&sent, &reply);
    }
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert_eq!(bench.resolver.result(key).unwrap().elapsed(), ms(0));
}

#[test]
fn bug_18_systemd_13432_after_a_minute_of_silence_udp_and_edns_are_back_at_once() {
    for servers in [1, 2] {
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, servers);
        bench.tcp = true;
        // It has answered before, with a cookie and EDNS.
        let key = bench.query_a("before.example");
        let sent = bench.one_sent();
        bench.receive(sent.socket, sent.to, &answer(&sent, 1)).unwrap();
        assert_eq!(bench.outcome(key), Outcome::Answer);
        for n in 0..60 {
            let key = bench.query_a(&format!("n{n}.example"));
            bench.wait(ms(1_000));
            bench.release(key);
        }
        bench.take_sent();
        bench.take_sent_tcp();
        let key = bench.query_a("after.example");
        let start = bench.now;
        let mut answered = false;
        for sent in bench.take_sent() {
            assert!(Message::parse(&sent.bytes).unwrap().edns().is_some(), "EDNS is not given up");
            answered |= bench.receive(sent.socket, sent.to, &answer(&sent, 1)).is_ok();
        }
        assert!(answered, "over UDP, {servers} servers");
        assert!(
            bench.take_events().contains(&crate::Event::Done { key, outcome: Outcome::Answer })
        );
        assert!(bench.now.since(start) < ms(1_000));
    }
}

#[test]
fn bug_20_glibc_cve_2015_0235_long_numbers_are_names() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let digits = "1".repeat(63);
    for text in [
        format!("{digits}.{digits}.{digits}.{}", "2".repeat(61)),
        format!("1.2.3.{digits}"),
        "0".repeat(63) + ".1.2.3",
        "1.2.3.4.5".to_string(),
    ] {
        let key = bench.query_a(&text);
        let sent = bench.one_sent();
        assert_eq!(sent.qname(), name(&text));
        bench.reply(&sent, &sent.reply().rcode(Rcode::NXDOMAIN).soa(".", 60, 60));
        assert_eq!(bench.outcome(key), Outcome::NxDomain);
        bench.release(key);
    }
}

#[test]
fn bug_20_glibc_cve_2026_0915_no_octet_of_the_buffer_gets_into_a_query() {
    let flags = QueryFlags { edns_udp_size: Some(1232), ad: true, cd: false };
    for text in [".", "a.de", &["x".repeat(63).as_str(); 3].join(".")] {
        let qname = Name::from_text(text).unwrap();
        let encoded = [0x00, 0xFF].map(|poison| {
            let mut buffer = [poison; 512];
            query(&mut buffer, 7, qname.view(), RecordType::A, flags).unwrap().to_vec()
        });
        assert_eq!(encoded[0], encoded[1], "{text}");
    }
}

#[test]
fn bug_21_lws_an_alias_at_the_very_end_and_the_root() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query("x.example", QueryKind::Type(RecordType::CNAME));
    let sent = bench.one_sent();
    let mut reply = sent.reply().cname("x.example", 60, "y.example");
    reply.edns = None;
    // Cut anywhere it is no message; whole, it ends with the last octet of the target.
    let bytes = reply.bytes();
    for end in 12..bytes.len() {
        let read = bench.receive(sent.socket, sent.to, &bytes[..end]);
        assert!(read.is_err(), "{end}");
        if bench.resolver.counters().discards().map(|(_, n)| n).sum::<u64>() > 2 {
            break;
        }
    }
    assert!(Message::parse(&bytes[..bytes.len() - 1]).is_err());
    bench.receive(sent.socket, sent.to, &bytes).unwrap();
    assert_eq!(bench.outcome(key), Outcome::Answer);
    let key = bench.query(".", QueryKind::Type(RecordType::NS));
    let sent = bench.one_sent();
    assert_eq!(&sent.bytes[12..17], b"\0\0\x02\0\x01");
    let ns = name("a.root.example");
    bench.reply(&sent, &sent.reply().answer(".", 60, &RData::Ns(ns.view())));
    assert_eq!(bench.records(key), [". 60 IN NS a.root.example."]);
}

#[test]
fn bug_22_lws_what_it_takes_for_an_answer() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    let (first, second) = (bench.query_a("x.example"), bench.query_a("x.example"));
    let sent = bench.one_sent();
    let forged = |f: &dyn Fn(&mut crate::testing::Reply)| {
        let mut reply = sent.reply().answer("x.example", 60, &a(66));
        f(&mut reply);
        reply.bytes()
    };
    let other = |n: &str| Some((name(n), RecordType::A, Class::IN));
    let rows = [
        ("an owner of the same length", sent.reply().answer("y.example", 60, &a(66)).bytes()),
        ("another question", forged(&|r| r.question = other("y.example"))),
        ("a query", forged(&|r| r.header.qr = false)),
        ("a malformed one is no empty one", forged(&|_| ())[..30].to_vec()),
    ];
    for (what, bytes) in rows {
        assert!(bench.receive(sent.socket, sent.to, &bytes).is_err(), "{what}");
        assert!(bench.take_events().is_empty(), "{what}");
    }
    // AUTHORITY and ADDITIONAL are no answers; and TTLs are the records'.
    let reply = sent.reply().answer("x.example", 7, &a(1));
    let reply = reply.record(Section::Authority, "x.example", 60, &a(66));
    bench.reply(&sent, &reply.record(Section::Additional, "x.example", 60, &a(66)));
    assert_eq!(bench.take_events().len(), 2, "whoever joined is told, too");
    for key in [first, second] {
        assert_eq!(bench.records(key), ["x.example. 7 IN A 192.0.2.1"]);
    }
    bench.wait(ms(7_000));
    bench.query_a("x.example");
    assert_eq!(bench.take_sent().len(), 1, "seven seconds are seven seconds");
}

#[test]
fn bug_22_lws_a_negative_answer_takes_the_memory_of_its_name() {
    let mut storage = ResolverStorage::<8, 512, 32_768>::new();
    let mut bench = Bench::new(&mut storage, 1);
    for n in 0..200 {
        let key = bench.query_a(&format!("n{n}.example"));
        let sent = bench.one_sent();
        bench.reply(&sent, &sent.reply().rcode(Rcode::NXDOMAIN).soa("example", 60, 60));
        bench.release(key);
    }
    let octets = bench.resolver.counters().cache_octets;
    assert!(octets <= 200 * 32, "288 octets for each in lws: {octets}");
}

#[test]
fn bug_22_lws_response_codes_are_told_apart() {
    for (rcode, expected) in [
        (Rcode::NOERROR, Outcome::NoData),
        (Rcode::NXDOMAIN, Outcome::NxDomain),
        (Rcode::SERVFAIL, Outcome::Failed(Failure::ServFail)),
        (Rcode::REFUSED, Outcome::Failed(Failure::Refused)),
        (Rcode::NOTIMP, Outcome::Failed(Failure::NotImp)),
        (Rcode(9), Outcome::Failed(Failure::Rcode(9))),
    ] {
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, 1);
        let key = bench.query_a("x.example");
        let sent = bench.one_sent();
        bench.reply(&sent, &sent.reply().rcode(rcode).soa("example", 60, 60));
        assert_eq!(bench.outcome(key), expected);
    }
}

#[test]
fn bug_22_and_23_lws_all_servers_of_the_file_and_no_others() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 0);
    let file = b"nameserver 2001:db8::1\nnameserver 2001:db8::2\nnameserver 192.0.2.1\n\
        nameservers 192.0.2.66\nnameserverx 192.0.2.67\n";
    bench.with(|r, cx| r.load_resolv_conf(cx, Config::DEFAULT, file, |_| None));
    let servers: Vec<_> = bench.resolver.servers().map(|s| s.address.ip().to_string()).collect();
    assert_eq!(servers, ["2001:db8::1", "2001:db8::2", "192.0.2.1"]);
}

#[test]
#[cfg_attr(not(feature = "tcp"), ignore = "needs the feature")]
fn bug_23_lws_long_names_and_long_answers_over_tcp() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.tcp = true;
    let longest = ["x".repeat(63).as_str(); 3].join(".") + "." + &"y".repeat(61);
    for text in [&longest[..126], &longest[..127], &longest[..]] {
        let key = bench.query_a(text);
        let sent = bench.one_sent();
        assert_eq!(sent.qname(), name(text));
        bench.receive(sent.socket, sent.to, &answer(&sent, 1)).unwrap();
        assert_eq!(bench.outcome(key), Outcome::Answer, "{} octets", text.len());
        bench.release(key);
    }
    let options = QueryOptions { tcp: true, ..QueryOptions::default() };
    let key = bench.with(|r, cx| r.query(cx, "many.example", A, options)).unwrap();
    bench.stream(0, StreamInput::Connected).unwrap();
    let sent = bench.one_sent_tcp();
    let reply = (0..120).fold(sent.reply(), |r, n| r.answer("many.example", 60, &a(n)));
    assert!(reply.bytes().len() > 1_500);
    bench.reply_tcp(&sent, &reply);
    assert_eq!(bench.records(key).len(), 120);
}

#[test]
fn bug_23_lws_the_hosts_file_is_no_way_around_the_cache() {
    // A name that the file does not have is cached like any other.
    let hosts = crate::HostsText(b"192.0.2.99 here");
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.resolver.set_hosts(Some(&hosts));
    bench.query_a("x.example");
    let sent = bench.one_sent();
    bench.receive(sent.socket, sent.to, &answer(&sent, 1)).unwrap();
    bench.query_a("x.example");
    assert!(bench.take_sent().is_empty());
}

#[test]
#[cfg_attr(not(feature = "extras"), ignore = "needs the feature")]
fn rule_38_the_hosts_file_may_have_names_of_the_link_but_none_that_mean_the_same_everywhere() {
    let file = "printer.local localhost x.localhost x.invalid x.onion x.alt";
    let file = format!("192.0.2.99 {file}");
    let hosts = crate::HostsText(file.as_bytes());
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.resolver.set_hosts(Some(&hosts));
    for (name, first) in [
        ("printer.local", "printer.local. 0 IN A 192.0.2.99"),
        ("other.local", ""),
        ("localhost", "localhost. 0 IN A 127.0.0.1"),
        ("x.localhost", "x.localhost. 0 IN A 127.0.0.1"),
        ("x.invalid", ""),
        ("x.onion", ""),
        ("x.alt", ""),
    ] {
        let key = bench.query_a(name);
        assert_eq!(bench.records(key).first().map_or("", |r| r.as_str()), first, "{name}");
        bench.release(key);
    }
    assert!(bench.take_sent().is_empty());
}

#[test]
fn bug_24_smoltcp_what_it_believes_before_it_checks() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    // NXDOMAIN of another question; a reply of another server's port 53, and of anybody's 5353.
    let mut denial = sent.reply().rcode(Rcode::NXDOMAIN);
    denial.question = Some((name("y.example"), RecordType::A, Class::IN));
    let wrong = bench.receive(sent.socket, sent.to, &denial.bytes());
    assert_eq!(wrong, Err(Discard::WrongQuestion));
    for from in ["192.0.2.99:53", "192.0.2.53:5353", "224.0.0.251:5353"] {
        let wrong = bench.receive(sent.socket, from.parse().unwrap(), &answer(&sent, 66));
        assert_eq!(wrong, Err(Discard::WrongSource), "{from}");
    }
    // SERVFAIL is the next server's turn; all addresses are kept; case does not count.
    bench.reply(&sent, &sent.reply().rcode(Rcode::SERVFAIL));
    let next = bench.one_sent();
    assert_ne!(next.to, sent.to);
    let reply = next.reply().answer("X.EXAMPLE", 60, &a(1)).answer("x.Example", 60, &a(2));
    bench.reply(&next, &reply.answer("x.example", 60, &a(3)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert_eq!(bench.resolver.result(key).unwrap().addresses().count(), 3);
}

#[test]
fn bug_25_smoltcp_941_a_host_without_an_address_of_its_own() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 3);
    bench.refusing = SERVERS.map(|s| (s.parse().unwrap(), ErrorKind::Unreachable)).into();
    let key = bench.query_a("x.example");
    bench.wait(ms(10_000));
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Unreachable));
}

#[test]
fn bug_26_embassy_a_name_of_one_family() {
    for (rtype, records) in [(RecordType::A, 1), (RecordType::AAAA, 1)] {
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, 1);
        let key = bench.query("x.example", QueryKind::Addresses);
        let sent = bench.take_sent();
        assert_eq!(sent.len(), 2, "both are asked for at once");
        for sent in sent {
            let empty = sent.reply().soa("example", 60, 60);
            let reply = match (sent.qtype() == rtype, rtype) {
                (false, _) => empty,
                (true, RecordType::A) => sent.reply().answer("x.example", 60, &a(1)),
                (true, _) => sent.reply().answer("x.example", 60, &aaaa(1)),
            };
            let _ = bench.receive(sent.socket, sent.to, &reply.bytes());
        }
        assert_eq!(bench.outcome(key), Outcome::Answer);
        assert_eq!(bench.records(key).len(), records);
    }
}

#[test]
fn bug_27_hickory_cve_2020_35857_targets_that_are_the_root() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let root = Name::ROOT;
    let srv = RData::Srv { priority: 0, weight: 0, port: 0, target: root.view() };
    let mx = RData::Mx { preference: 0, exchange: root.view() };
    for (data, expected) in [
        (srv, "x.example. 60 IN SRV 0 0 0 ."),
        (mx, "x.example. 60 IN MX 0 ."),
        (RData::Ns(root.view()), "x.example. 60 IN NS ."),
    ] {
        let key = bench.query("x.example", QueryKind::Type(data.rtype()));
        let sent = bench.one_sent();
        bench.reply(&sent, &sent.reply().answer("x.example", 60, &data));
        assert_eq!(bench.outcome(key), Outcome::Answer);
        assert_eq!(bench.records(key), [expected]);
    }
}

#[test]
fn bug_29_hickory_2608_273_and_3563_what_is_cached() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    // Without TCP a truncated answer is a failure, and its records are nowhere afterwards.
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    let mut cut = sent.reply().answer("x.example", 60, &a(66));
    cut.header.tc = true;
    bench.reply(&sent, &cut);
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Truncated));
    // #3563: that failure is remembered; and then it is asked for, not taken from the cache.
    let key = bench.query_a("x.example");
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Truncated));
    assert!(bench.take_sent().is_empty());
    bench.wait(ms(1_000));
    bench.query_a("x.example");
    assert_eq!(bench.take_sent().len(), 1);
    // #273: the TTL of the alias counts.
    let key = bench.query_a("y.example");
    let sent = bench.one_sent();
    let reply = sent.reply().cname("y.example", 5, "z.example");
    bench.reply(&sent, &reply.answer("z.example", 3_600, &a(1)));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert_eq!(bench.resolver.result(key).unwrap().ttl(), 5);
    bench.wait(ms(5_000));
    bench.query_a("y.example");
    assert!(bench.take_sent().iter().any(|sent| sent.qname() == name("y.example")));
}

#[test]
fn bug_29_hickory_2273_a_denial_does_not_wait_for_a_dead_server() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    bench.reply(&sent, &sent.reply().rcode(Rcode::NXDOMAIN).soa("example", 60, 60));
    assert_eq!(bench.outcome(key), Outcome::NxDomain);
    assert_eq!(bench.resolver.result(key).unwrap().elapsed(), ms(0));
    assert!(bench.take_sent().is_empty(), "the other server is not asked");
}

#[test]
fn bug_30_hickory_one_bad_datagram_does_not_end_a_lookup() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    let good = answer(&sent, 1);
    let mut query = good.clone();
    query[2] &= 0x7F;
    let mut unasked = good.clone();
    unasked[5] = 0;
    for bytes in [&good[..good.len() - 15], &query, &unasked] {
        assert!(bench.receive(sent.socket, sent.to, bytes).is_err());
        assert!(bench.take_events().is_empty());
    }
    bench.receive(sent.socket, sent.to, &good).unwrap();
    assert_eq!(bench.outcome(key), Outcome::Answer);
}

#[test]
fn bug_31_dnsmasq_what_nobody_asked_for_is_ignored() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    // A client subnet (RFC 7871) of another network, an unknown option, an empty one.
    let mut reply = sent.reply().answer("x.example", 60, &a(1));
    reply.options.extend([0, 8, 0, 7, 0, 1, 24, 24, 198, 51, 100]);
    reply.options.extend([0xFF, 0xFE, 0, 2, 1, 2, 0, 3, 0, 0]);
    bench.reply(&sent, &reply);
    assert_eq!(bench.outcome(key), Outcome::Answer);
    // Equal questions are one query: there is no second id to hit by chance.
    let keys: Vec<_> = (0..4).map(|_| bench.query_a("y.example")).collect();
    assert_eq!(bench.take_sent().len(), 1);
    keys.into_iter().for_each(|key| bench.release(key));
}

#[test]
fn bug_33_sad_dns_sockets_are_connected_and_many() {
    let mut storage = ResolverStorage::<64, 64, 8_192>::new();
    let mut bench = Bench::new(&mut storage, 1);
    // The bench refuses sockets without a peer.
    for n in 0..64 {
        bench.query_a(&format!("n{n}.example"));
    }
    let sent = bench.take_sent();
    let sockets: std::collections::BTreeSet<_> = sent.iter().map(|s| s.socket).collect();
    assert!((12..=16).contains(&sockets.len()), "{}", sockets.len());
    assert_eq!(bench.open.len(), sockets.len());
    // TuDoor: a malformed reply leaves nothing behind that the next one could use.
    let bytes = answer(&sent[0], 66);
    let wrong = bench.receive(sent[0].socket, sent[0].to, &bytes[..bytes.len() - 20]);
    assert!(wrong.is_err());
    let state = bench.resolver.counters().cache_octets;
    assert_eq!(state, 0);
}
