//! What broke other resolvers, one case each, by the number of the row in `docs/dns.md`; more in `rivals`,
//! and beside the rules that they break.

extern crate std;

use crate::client::{Event, QueryError, QueryOptions, ResolverStorage};
use crate::counters::Discard;
use crate::malformed::Malformed;
use crate::message::{Message, Rcode, Section};
use crate::name::{Name, NameError};
use crate::query::{Outcome, QueryKind};
use crate::record::{RData, RecordType};
use crate::testing::{Bench, SERVERS, Seeded, Sent, Storage, a, aaaa, ms, name};
use bringup_core::client::Rng as _;
use std::boxed::Box;
use std::format;
use std::string::ToString;
use std::vec::Vec;

fn answer(sent: &Sent, last: u8) -> Vec<u8> {
    sent.reply().answer(&sent.qname().to_string(), 60, &a(last)).bytes()
}

#[test]
fn bug_1_c_ares_cve_2016_5180_names_that_end_in_an_escape() {
    for (text, expected) in [
        (r"a\.", Ok(3)),
        (r"a\", Err(NameError::Escape)),
        (".", Ok(1)),
        (r"\.", Ok(3)),
        ("..", Err(NameError::EmptyLabel)),
    ] {
        let wire = Name::from_text(text).map(|name| name.as_wire().len());
        assert_eq!(wire, expected.map(|n: usize| if text == r"a\." { 4 } else { n }), "{text}");
    }
    let longest = ["x".repeat(63).as_str(); 3].join(".") + "." + &"y".repeat(61);
    assert_eq!(longest.len(), 253);
    assert_eq!(Name::from_text(&format!("{longest}.")).unwrap().as_wire().len(), 255);
    assert_eq!(Name::from_text(&format!("{longest}y.")), Err(NameError::TooLong));
}

#[test]
fn bug_5_c_ares_cve_2023_32067_an_empty_datagram_is_no_end() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    let empty = bench.receive(sent.socket, sent.to, &[]);
    assert_eq!(empty, Err(Discard::Malformed(Malformed::Truncated)));
    bench.receive(sent.socket, sent.to, &answer(&sent, 1)).unwrap();
    assert_eq!(bench.outcome(key), Outcome::Answer);
}

#[test]
fn bug_12_c_ares_1293_nodata_without_soa_is_asked_again_at_once() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    bench.reply(&sent, &sent.reply());
    assert_eq!(bench.outcome(key), Outcome::NoData);
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    bench.receive(sent.socket, sent.to, &answer(&sent, 1)).unwrap();
    assert_eq!(bench.outcome(key), Outcome::Answer);
}

#[test]
#[cfg_attr(not(feature = "tcp"), ignore = "needs the feature")]
fn bug_12_c_ares_1279_of_two_answers_the_later_one_stays_whole() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    // A plain query and one that insists on TCP are two lookups of one question.
    bench.tcp = true;
    bench.query_a("x.example");
    let first = bench.one_sent();
    let options = QueryOptions { tcp: true, ..QueryOptions::default() };
    let kind = QueryKind::Type(RecordType::A);
    bench.with(|r, cx| r.query(cx, "x.example", kind, options)).unwrap();
    bench.stream(0, bringup_core::client::StreamInput::Connected).unwrap();
    let second = bench.one_sent_tcp();
    bench.reply(&first, &first.reply().answer("x.example", 1, &a(1)));
    bench.reply_tcp(&second, &second.reply().answer("x.example", 100, &a(2)));
    bench.wait(ms(50_000));
    let key = bench.query_a("x.example");
    assert_eq!(bench.records(key), ["x.example. 50 IN A 192.0.2.2"], "rule 47: never both");
}

#[test]
fn bug_13_c_ares_1197_a_lost_reply_does_not_make_sockets() {
    let mut storage = Box::new(ResolverStorage::<16, 64, 8_192>::new());
    let mut bench = Bench::new(&mut storage, 1);
    bench.query_a("lost.example");
    for n in 0..1_000 {
        let key = bench.query_a(&format!("n{n}.example"));
        for sent in bench.take_sent() {
            if sent.qname() != name("lost.example") {
                bench.receive(sent.socket, sent.to, &answer(&sent, 1)).unwrap();
            }
        }
        bench.release(key);
        bench.wait(ms(1));
        assert!(bench.open.len() <= 16);
    }
}

#[test]
fn bug_21_duplicates_of_every_response_change_nothing() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query("x.example", QueryKind::Addresses);
    let sent = bench.take_sent();
    for _ in 0..3 {
        let _ = bench.receive(sent[0].socket, sent[0].to, &answer(&sent[0], 1));
        let late = sent[1].reply().answer("x.example", 60, &aaaa(1)).bytes();
        let _ = bench.receive(sent[1].socket, sent[1].to, &late);
    }
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert_eq!(bench.records(key).len(), 2);
    assert_eq!(bench.resolver.counters().discarded(Discard::WrongId), 4);
}

#[test]
fn bug_22_lws_a_count_that_lies_is_no_answer() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    let mut bytes = answer(&sent, 1);
    bytes[7] = 2;
    let read = bench.receive(sent.socket, sent.to, &bytes);
    assert!(matches!(read, Err(Discard::Malformed(_))), "{read:?}");
    assert!(bench.take_events().is_empty());
    bench.receive(sent.socket, sent.to, &answer(&sent, 1)).unwrap();
    assert_eq!(bench.outcome(key), Outcome::Answer);
}

#[test]
fn bug_24_smoltcp_an_alias_before_junk_does_not_become_the_question() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    let mut reply = sent.reply().cname("x.example", 60, "evil.example").bytes();
    let length = reply.len();
    reply.truncate(length - 3);
    assert!(bench.receive(sent.socket, sent.to, &reply).is_err());
    bench.wait(ms(500));
    assert_eq!(bench.one_sent().qname(), name("x.example"));
    bench.receive(sent.socket, sent.to, &answer(&sent, 1)).unwrap();
    assert_eq!(bench.outcome(key), Outcome::Answer);
}

#[test]
fn bug_16_systemd_cve_2022_2526_callers_that_start_and_cancel_others_when_they_hear() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let keys: Vec<_> = (0..8).map(|_| bench.query_a("x.example")).collect();
    let sent = bench.one_sent();
    let bytes = answer(&sent, 1);
    // Not drained between: events are fetched one by one, with calls between them.
    let mut cx = bringup_core::client::Cx { now: bench.now, utc: bench.utc, rng: &mut bench.rng };
    let input = bringup_core::client::Input::Datagram {
        socket: sent.socket,
        from: sent.to,
        bytes: &bytes,
        received_at: bench.now,
    };
    use bringup_core::client::Client as _;
    let resolver = &mut bench.resolver;
    resolver.handle_input(&mut cx, input).unwrap();
    let mut heard = Vec::new();
    while let Some(event) = resolver.poll_event() {
        let Event::Done { key, .. } = event else { panic!() };
        assert!(!heard.contains(&key), "no key twice");
        heard.push(key);
        if heard.len() == 1 {
            // Six of the others go, and their slots are taken again at once.
            for other in keys.iter().filter(|k| **k != key).take(6) {
                assert!(resolver.release(&mut cx, *other));
                let kind = QueryKind::Type(RecordType::A);
                let again = resolver.query(&mut cx, "y.example", kind, QueryOptions::default());
                assert!(again.is_ok_and(|again| again != *other));
            }
        }
    }
    assert_eq!(heard.len(), 2, "those who were not released");
}

#[test]
fn bug_34_c_ares_681_ten_thousand_lookups_into_sixty_four_slots() {
    let mut storage = Box::new(ResolverStorage::<64, 256, 32_768>::new());
    let mut bench = Bench::new(&mut storage, 1);
    let (mut done, mut refused, mut next) = (0, 0, 0);
    while done < 10_000 {
        while next < 10_000 {
            let (text, kind) = (format!("n{next}.example"), QueryKind::Type(RecordType::A));
            match bench.with(|r, cx| r.query(cx, text.as_str(), kind, QueryOptions::default())) {
                Ok(_) => next += 1,
                Err(why) => {
                    assert_eq!(why, QueryError::Full);
                    refused += 1;
                    break;
                }
            }
        }
        for sent in bench.take_sent() {
            bench.receive(sent.socket, sent.to, &answer(&sent, 1)).unwrap();
        }
        for event in bench.take_events() {
            let Event::Done { key, outcome } = event else { panic!() };
            assert_eq!(outcome, Outcome::Answer);
            done += 1;
            bench.release(key);
        }
    }
    assert_eq!((done, next), (10_000, 10_000));
    assert!(refused > 100);
    assert!(bench.resolver.counters().cache_octets <= 32_768);
}

#[test]
fn bug_35_musl_one_bad_server_in_the_list() {
    // What the first server does, and what comes of it; the second one answers.
    for (what, asks_second) in
        [("dead", true), ("refused", true), ("servfail", true), ("lame", true), ("nxdomain", false)]
    {
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, 2);
        let start = bench.now;
        let key = bench.query_a("x.example");
        let sent = bench.one_sent();
        let owner = name("ns.example");
        let reply = match what {
            "dead" => None,
            "refused" => Some(sent.reply().rcode(Rcode::REFUSED)),
            "servfail" => Some(sent.reply().rcode(Rcode::SERVFAIL)),
            "lame" => {
                let mut reply = sent.reply();
                reply.header.ra = false;
                let ns = RData::Ns(owner.view());
                Some(reply.record(Section::Authority, "example", 60, &ns))
            }
            _ => Some(sent.reply().rcode(Rcode::NXDOMAIN).soa("example", 60, 60)),
        };
        match reply {
            Some(reply) => bench.reply(&sent, &reply),
            None => bench.wait(ms(500)),
        }
        if asks_second {
            let sent = bench.one_sent();
            assert_eq!(sent.to, SERVERS[1].parse().unwrap(), "{what}");
            bench.receive(sent.socket, sent.to, &answer(&sent, 1)).unwrap();
            assert_eq!(bench.outcome(key), Outcome::Answer, "{what}");
            assert!(bench.now.since(start) < ms(1_000), "{what}");
        } else {
            assert_eq!(
                bench.outcome(key),
                Outcome::NxDomain,
                "a liar cannot be told from the truth"
            );
        }
    }
}

#[test]
fn bug_15_systemd_cve_2017_9445_answers_of_many_records() {
    for count in [29u8, 30, 31, 73, 74] {
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, 1);
        let key = bench.query_a("x.example");
        let sent = bench.one_sent();
        let reply = (0..count).fold(sent.reply(), |r, n| r.answer("x.example", 60, &a(n)));
        bench.reply(&sent, &reply);
        assert_eq!(bench.outcome(key), Outcome::Answer);
        assert_eq!(bench.records(key).len(), usize::from(count), "{} octets", reply.bytes().len());
    }
}

#[test]
fn bug_4_c_ares_cve_2021_3672_names_with_odd_octets_come_out_escaped() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let odd = name(r"a\.b\000 \255\010.example".replace(' ', r"\032").as_str());
    let key = bench.query("1.2.0.192.in-addr.arpa", QueryKind::Type(RecordType::PTR));
    let sent = bench.one_sent();
    let owner = sent.qname().to_string();
    bench.reply(&sent, &sent.reply().answer(&owner, 60, &RData::Ptr(odd.view())));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert!(bench.records(key)[0].ends_with(r" PTR a\.b\000\032\255\010.example."));
}

#[test]
fn rule_31_the_wall_clock_does_not_age_the_cache() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.query_a("x.example");
    let sent = bench.one_sent();
    bench.receive(sent.socket, sent.to, &answer(&sent, 1)).unwrap();
    for s in [31_536_000, -31_536_000] {
        bench.utc = bringup_core::time::Utc::from_unix_secs(s);
        let key = bench.query_a("x.example");
        assert_eq!(bench.records(key), ["x.example. 60 IN A 192.0.2.1"]);
    }
}

#[test]
fn rule_37_and_34_another_list_of_servers_empties_the_cache_of_failures_too() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.query_a("x.example");
    let sent = bench.one_sent();
    bench.receive(sent.socket, sent.to, &answer(&sent, 1)).unwrap();
    bench.query_a("y.example");
    let sent = bench.one_sent();
    bench.reply(&sent, &sent.reply().rcode(Rcode::SERVFAIL));
    bench.query_a("z.example");
    bench.wait(ms(500));
    bench.take_sent();
    // The one that stays has not answered: that was before.
    bench.set_servers(&[SERVERS[0], SERVERS[1]]);
    bench.take_sent();
    for text in ["x.example", "y.example"] {
        bench.query_a(text);
        assert_eq!(bench.one_sent().to, SERVERS[0].parse().unwrap(), "{text}");
    }
}

#[test]
fn rule_53_opt_is_no_record() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query("x.example", QueryKind::Type(RecordType::ANY));
    let sent = bench.one_sent();
    bench.receive(sent.socket, sent.to, &answer(&sent, 1)).unwrap();
    assert!(bench.records(key).iter().all(|record| !record.contains("OPT")));
    let key = bench.query("x.example", QueryKind::Type(RecordType::OPT));
    let sent = bench.one_sent();
    bench.reply(&sent, &sent.reply().soa("example", 60, 60));
    assert_eq!(bench.resolver.result(key).unwrap().outcome(), Outcome::NoData);
}

#[test]
fn rule_57_servers_of_both_families_and_of_a_link() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let list = ["[fe80::53%3]:53", "[2001:db8::53]:53", "192.0.2.53:53", "192.0.2.54:53"];
    bench.set_servers(&list);
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    // Its own link: the scope goes along, and a reply from the same address of another link is none.
    assert_eq!(sent.to, list[0].parse().unwrap());
    let other = "[fe80::53%4]:53".parse().unwrap();
    let wrong = bench.receive(sent.socket, other, &answer(&sent, 1));
    assert_eq!(wrong, Err(Discard::WrongSource));
    bench.receive(sent.socket, sent.to, &answer(&sent, 1)).unwrap();
    assert_eq!(bench.outcome(key), Outcome::Answer);
    // All of them are used, in order.
    bench.query_a("y.example");
    let mut asked: Vec<_> = bench.take_sent().iter().map(|s| s.to).collect();
    bench.wait(ms(1_900));
    asked.extend(bench.take_sent().iter().map(|s| s.to));
    assert_eq!(asked[..4], list.map(|s| s.parse().unwrap()));
}

#[test]
fn rule_12_and_46_mutated_replies_never_answer_twice_or_panic() {
    let mut rng = Seeded(7);
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    bench.tcp = true;
    for round in 0..3_000 {
        let key = bench.query(&format!("n{round}.example"), QueryKind::Addresses);
        for sent in bench.take_sent() {
            let mut bytes = sent.reply().cname(&sent.qname().to_string(), 9, "c.example");
            bytes = bytes.answer("c.example", 9, &a(1)).soa("example", 9, 9);
            let mut bytes = bytes.bytes();
            for _ in 0..=rng.below(4) {
                let at = usize::try_from(rng.below(u64::try_from(bytes.len()).unwrap())).unwrap();
                bytes[at] ^= 1 << rng.below(8);
            }
            if rng.below(4) == 0 {
                let at = usize::try_from(rng.below(u64::try_from(bytes.len()).unwrap())).unwrap();
                bytes.truncate(at);
            }
            let _ = bench.receive(sent.socket, sent.to, &bytes);
            // What was taken as a message reads to its end.
            if let Ok(message) = Message::parse(&bytes) {
                for section in [Section::Answer, Section::Authority, Section::Additional] {
                    for record in message.records(section) {
                        assert!(!record.to_string().is_empty());
                    }
                }
            }
        }
        bench.wait(ms(20));
        let done = bench.take_events().iter().filter(|e| matches!(e, Event::Done { .. })).count();
        assert!(done <= 1, "round {round}");
        bench.release(key);
        bench.take_sent();
        bench.take_sent_tcp();
    }
    bench.resolver.flush_cache();
    bench.wait(ms(60_000));
    assert_eq!(bench.resolver.counters().cache_octets, 0);
}
