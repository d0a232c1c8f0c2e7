//! Cookies, the case of letters, and EDNS that is not liked.

extern crate std;

use crate::counters::Discard;
use crate::message::{Message, Rcode};
use crate::query::{Failure, Outcome};
use crate::testing::{Bench, Reply, SERVERS, Sent, Storage, a, ms};
use bringup_core::client::StreamInput;
use std::vec::Vec;

const SERVER: [u8; 16] = *b"0123456789abcdef";

fn good(sent: &Sent) -> Reply {
    sent.reply().answer(&std::format!("{}", sent.qname()), 60, &a(1))
}

/// A good reply with the client's cookie and this server cookie.
fn with_cookie(sent: &Sent, server: &[u8]) -> Reply {
    let client = &sent.cookie().expect("there is a cookie")[..8];
    good(sent).cookie(&[client, server].concat())
}

fn receive(bench: &mut Bench<'_>, sent: &Sent, reply: &Reply) -> Result<(), Discard> {
    bench.receive(sent.socket, sent.to, &reply.bytes())
}

#[test]
fn rule_27_and_51_cookies_are_shown_kept_and_expected() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    bench.query_a("a.example");
    let first = bench.one_sent();
    let client = first.cookie().unwrap();
    assert_eq!(client.len(), 8);
    receive(&mut bench, &first, &with_cookie(&first, &SERVER)).unwrap();
    // From now on the server's is sent along.
    let key = bench.query_a("b.example");
    let sent = bench.one_sent();
    assert_eq!(sent.cookie().unwrap(), [&client[..], &SERVER].concat());
    bench.take_events();
    for (reply, why) in [
        (good(&sent), Discard::MissingCookie),
        (good(&sent).cookie(b"otherone"), Discard::WrongCookie),
        (good(&sent).cookie(&[b"otherone", &SERVER[..]].concat()), Discard::WrongCookie),
        (good(&sent).cookie(&client[..7]), Discard::WrongCookie),
        (with_cookie(&sent, &SERVER[..7]), Discard::WrongCookie),
        (with_cookie(&sent, &[0; 33]), Discard::WrongCookie),
        (good(&sent).cookie(b"otherone").cookie(&client), Discard::WrongCookie),
    ] {
        assert_eq!(receive(&mut bench, &sent, &reply), Err(why));
        assert!(bench.take_events().is_empty() && bench.take_sent().is_empty());
    }
    receive(&mut bench, &sent, &with_cookie(&sent, &SERVER[..8])).unwrap();
    assert_eq!(bench.outcome(key), Outcome::Answer);
    // Another server sees another cookie; after a change of addresses this one does, too.
    bench.query_a("c.example");
    bench.take_sent();
    bench.wait(ms(500));
    let other = bench.one_sent();
    assert_eq!(other.to, SERVERS[1].parse().unwrap());
    assert_ne!(other.cookie().unwrap()[..], client[..], "rule 51");
    bench.with(|r, cx| r.link_up(cx));
    bench.take_sent();
    bench.query_a("d.example");
    let sent = bench.one_sent();
    assert_eq!(sent.to, SERVERS[0].parse().unwrap());
    assert_eq!(sent.cookie().unwrap().len(), 8);
    assert_ne!(sent.cookie().unwrap(), client);
}

#[test]
#[cfg_attr(not(feature = "tcp"), ignore = "needs the feature")]
fn rule_27_two_replies_without_the_cookie_and_it_goes_over_tcp() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.tcp = true;
    bench.query_a("a.example");
    let sent = bench.one_sent();
    receive(&mut bench, &sent, &with_cookie(&sent, &SERVER)).unwrap();
    bench.take_events();
    let key = bench.query_a("b.example");
    let sent = bench.one_sent();
    for connects in [0, 1] {
        assert_eq!(receive(&mut bench, &sent, &good(&sent)), Err(Discard::MissingCookie));
        assert_eq!(bench.connects.len(), connects);
    }
    bench.stream(0, StreamInput::Connected).unwrap();
    let sent = bench.one_sent_tcp();
    assert_eq!(sent.cookie(), None);
    bench.reply_tcp(&sent, &good(&sent));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    // Not every query is to find out that the server has stopped to know cookies.
    bench.wait(ms(3_000));
    bench.query_a("c.example");
    assert_eq!(bench.one_sent().cookie(), None);
}

#[test]
#[cfg_attr(not(feature = "tcp"), ignore = "needs the feature")]
fn rule_27_a_cookie_that_is_not_taken_is_renewed_once_then_tcp() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.tcp = true;
    let key = bench.query_a("a.example");
    for n in 0..2 {
        let sent = bench.one_sent();
        // The new server cookie stands in the error itself (RFC 7873 §5.3).
        let client = sent.cookie().unwrap()[..8].to_vec();
        let cookie = [&client[..], &[n; 8]].concat();
        let bad = sent.reply().rcode(Rcode::BADCOOKIE).cookie(&cookie);
        receive(&mut bench, &sent, &bad).unwrap();
    }
    assert_eq!(bench.connects.len(), 1);
    bench.stream(0, StreamInput::Connected).unwrap();
    let sent = bench.one_sent_tcp();
    bench.reply_tcp(&sent, &good(&sent));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    // What the errors brought is used.
    bench.wait(ms(3_000));
    bench.query_a("b.example");
    assert_eq!(bench.one_sent().cookie().unwrap()[8..], [1; 8]);
}

#[test]
fn rule_51_a_server_without_cookies_does_not_see_the_same_one_again() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let mut shown = Vec::new();
    for n in 0..3 {
        bench.query_a(&std::format!("n{n}.example"));
        let sent = bench.one_sent();
        receive(&mut bench, &sent, &good(&sent)).unwrap();
        shown.push(sent.cookie());
        if n == 1 {
            bench.wait(ms(300_000));
        }
    }
    assert!(shown[0].is_some() && shown[1].is_none() && shown[2].is_some());
    assert_ne!(shown[0], shown[2]);
}

#[test]
fn rule_26_formerr_with_opt_drops_the_cookie_and_keeps_edns() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query_a("a.example");
    let sent = bench.one_sent();
    receive(&mut bench, &sent, &sent.reply().rcode(Rcode::FORMERR)).unwrap();
    let sent = bench.one_sent();
    assert_eq!(sent.cookie(), None);
    assert!(Message::parse(&sent.bytes).unwrap().edns().is_some());
    receive(&mut bench, &sent, &good(&sent)).unwrap();
    assert_eq!(bench.outcome(key), Outcome::Answer);
    // A second FORMERR is what it says.
    let key = bench.query_a("b.example");
    let sent = bench.one_sent();
    receive(&mut bench, &sent, &sent.reply().rcode(Rcode::FORMERR)).unwrap();
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::FormErr));
}

#[test]
fn rule_9_unknown_options_are_ignored() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query_a("a.example");
    let sent = bench.one_sent();
    let mut reply = good(&sent);
    // An unasked client subnet (dnsmasq CVE-2023-28450 and kin), and one that nobody knows.
    reply.options = b"\0\x08\0\x04\0\x01\0\0\xFF\xF0\0\x01x".to_vec();
    receive(&mut bench, &sent, &reply).unwrap();
    assert_eq!(bench.outcome(key), Outcome::Answer);
}

fn mixing(storage: &mut Storage) -> Bench<'_> {
    let mut bench = Bench::new(storage, 1);
    bench.tcp = true;
    bench.resolver.config.mix_case = true;
    bench
}

#[test]
fn rule_24_letters_in_random_case_come_back_as_they_went() {
    let mut storage = Storage::new();
    let mut bench = mixing(&mut storage);
    let text = "abcdefghijklmnopqrstuvwxyz.example";
    let mut seen = Vec::new();
    for n in 0..4 {
        let key = bench.query_a(&std::format!("{n}{text}"));
        let sent = bench.one_sent();
        seen.push(std::format!("{}", sent.qname()).as_bytes()[1..].to_vec());
        receive(&mut bench, &sent, &good(&sent)).unwrap();
        assert_eq!(bench.outcome(key), Outcome::Answer);
        // The answer's owner is in lower case: case is no part of a name.
        assert!(bench.records(key)[0].starts_with(&std::format!("{n}{text}. ")));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 4, "no case twice");
    let upper = seen.iter().flatten().filter(|b| b.is_ascii_uppercase()).count();
    assert!((40..92).contains(&upper), "{upper} of 132 letters");
}

#[test]
#[cfg_attr(not(feature = "tcp"), ignore = "needs the feature")]
fn rule_24_another_case_means_tcp_where_it_is_not_mixed() {
    let mut storage = Storage::new();
    let mut bench = mixing(&mut storage);
    let key = bench.query_a("abcdefghijkl.example");
    let sent = bench.one_sent();
    let mut reply = good(&sent);
    let (qname, ..) = reply.question.as_mut().unwrap();
    *qname = qname.to_lowercase();
    assert_eq!(receive(&mut bench, &sent, &reply), Err(Discard::WrongCase));
    bench.stream(0, StreamInput::Connected).unwrap();
    let sent = bench.one_sent_tcp();
    assert_eq!(std::format!("{}", sent.qname()), "abcdefghijkl.example.");
    bench.reply_tcp(&sent, &good(&sent));
    assert_eq!(bench.outcome(key), Outcome::Answer);
}

#[test]
fn rule_24_without_tcp_it_is_asked_in_small_letters() {
    let mut storage = Storage::new();
    let mut bench = mixing(&mut storage);
    bench.tcp = false;
    let key = bench.query_a("abcdefghijkl.example");
    for last in [false, true] {
        let sent = bench.one_sent();
        let mut reply = good(&sent);
        let (qname, ..) = reply.question.as_mut().unwrap();
        *qname = qname.to_lowercase();
        assert_eq!(receive(&mut bench, &sent, &reply).is_ok(), last);
    }
    assert_eq!(bench.outcome(key), Outcome::Answer);
}
