//! What is let in. Everything else is counted and changes nothing.

extern crate std;

use crate::counters::Discard;
use crate::malformed::Malformed;
use crate::message::Rcode;
use crate::query::{Failure, Outcome, QueryKind};
use crate::record::{Class, RecordType};
use crate::testing::{Bench, Reply, SERVERS, Sent, Storage, a, ms, name};
use bringup_core::client::Client as _;
use core::net::SocketAddr;
use std::vec::Vec;

/// A good reply, which the rows below spoil.
fn good(sent: &Sent) -> Reply {
    sent.reply().answer(&std::format!("{}", sent.qname()), 60, &a(1))
}

/// The same reply with its answer in another class.
fn of_class_chaos(good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    let answer = bytes.windows(4).rposition(|w| w == [0, 1, 0, 1]).unwrap();
    bytes[answer + 3] = 3;
    bytes
}

#[test]
fn rule_11_what_does_not_fit_is_counted_and_the_wait_goes_on() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    let bytes = |f: &dyn Fn(&mut Reply)| {
        let mut reply = good(&sent);
        f(&mut reply);
        reply.bytes()
    };
    let question = |owner: &str, rtype, class| Some((name(owner), rtype, class));
    let (a_type, class) = (RecordType::A, Class::IN);
    let good = good(&sent).bytes();
    let timer = bench.resolver.poll_timeout();
    use Discard::*;
    let rows: Vec<(Discard, Vec<u8>)> = std::vec![
        // c-ares CVE-2023-32067: an empty datagram is a datagram.
        (Malformed(crate::Malformed::Truncated), Vec::new()),
        (Malformed(crate::Malformed::Truncated), good[..11].to_vec()),
        (NotAResponse, bytes(&|r| r.header.qr = false)),
        (NotAResponse, sent.bytes.clone()),
        (WrongOpcode, bytes(&|r| r.header.opcode = 5)),
        (WrongId, bytes(&|r| r.header.id ^= 1)),
        (WrongId, bytes(&|r| r.header.id = r.header.id.swap_bytes() ^ 0x0100)),
        (QuestionCount, bytes(&|r| r.question = None)),
        (WrongQuestion, bytes(&|r| r.question = question("y.example", a_type, class))),
        (WrongQuestion, bytes(&|r| r.question = question("x.exampl", a_type, class))),
        (WrongQuestion, bytes(&|r| r.question = question(r"x\.example", a_type, class))),
        (WrongQuestion, bytes(&|r| r.question = question("x.example", RecordType::AAAA, class))),
        (WrongQuestion, bytes(&|r| r.question = question("x.example", a_type, Class::CH))),
        // lws compares owners by their length.
        (WrongOwner, sent.reply().answer("y.example", 60, &a(66)).bytes()),
        (WrongOwner, of_class_chaos(&good)),
    ];
    for (why, bytes) in &rows {
        let before = bench.resolver.counters();
        assert_eq!(bench.receive(sent.socket, sent.to, bytes), Err(*why), "{bytes:?}");
        let counted = bench.resolver.counters().discarded(*why) - before.discarded(*why);
        assert_eq!(counted, 1, "{why:?}");
    }
    let other: SocketAddr = SERVERS[1].parse().unwrap();
    let mut other_port = sent.to;
    other_port.set_port(5353);
    for (why, socket, from) in [
        (WrongSource, sent.socket, other),
        (WrongSource, sent.socket, other_port),
        (UnknownSocket, sent.socket ^ 1, sent.to),
        (UnknownSocket, 255, sent.to),
    ] {
        assert_eq!(bench.receive(socket, from, &good), Err(why), "{socket} {from}");
    }
    assert_eq!(bench.resolver.poll_timeout(), timer, "the timer is as it was");
    assert!(bench.take_sent().is_empty(), "nothing is sent again");
    assert!(bench.take_events().is_empty());
    // And then the real one. The owner may be in any case.
    let mut reply = sent.reply().answer("X.eXample", 60, &a(1));
    reply.question = question("X.EXAMPLE", a_type, class);
    bench.reply(&sent, &reply);
    assert_eq!(bench.outcome(key), Outcome::Answer);
    // lws c45738b37: the same once more is late, and nothing else.
    assert_eq!(bench.receive(sent.socket, sent.to, &good), Err(WrongId));
    assert_eq!(bench.records(key).len(), 1);
}

#[test]
fn rule_11_a_reply_counts_only_on_the_socket_of_its_query() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    // Two queries on two sockets of one server: the reply to one arrives on the other.
    bench.query_a("x.example");
    let first = bench.one_sent();
    let mut second = first.clone();
    for n in 0..7 {
        bench.query_a(&std::format!("n{n}.example"));
        second = bench.one_sent();
        if second.socket != first.socket {
            break;
        }
    }
    assert_ne!(first.socket, second.socket);
    let bytes = good(&first).bytes();
    assert_eq!(bench.receive(second.socket, second.to, &bytes), Err(Discard::WrongId));
    assert_eq!(bench.receive(first.socket, first.to, &bytes), Ok(()));
}

#[test]
fn rule_12_three_broken_replies_are_a_broken_server() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    let mut broken = good(&sent).bytes();
    broken.truncate(broken.len() - 12);
    for n in 0..3 {
        assert!(bench.take_sent().is_empty(), "{n}: the wait goes on");
        let result = bench.receive(sent.socket, sent.to, &broken);
        assert_eq!(result, Err(Discard::Malformed(Malformed::Truncated)));
    }
    let second = bench.one_sent();
    assert_ne!(second.to, sent.to, "then the next server");
    bench.reply(&second, &good(&second));
    assert_eq!(bench.outcome(key), Outcome::Answer);
}

#[test]
fn bug_14_c_ares_junk_to_32_in_flight_sends_nothing_again() {
    let mut storage = crate::client::ResolverStorage::<32, 64, 8_192>::new();
    let mut bench = Bench::new(&mut storage, 1);
    for n in 0..32 {
        bench.query_a(&std::format!("n{n}.example"));
    }
    let sent = bench.take_sent();
    assert_eq!(sent.len(), 32);
    for s in &sent {
        assert!(bench.receive(s.socket, s.to, b"junk").is_err());
    }
    assert!(bench.take_sent().is_empty());
    sent.iter().for_each(|s| bench.reply(s, &s.reply().soa("example", 9, 9)));
    assert_eq!(bench.take_events().len(), 32);
}

#[test]
fn rule_13_a_bare_header_moves_on_and_is_no_answer() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    let bare = |sent: &Sent, rcode| {
        let mut reply = sent.reply().rcode(rcode);
        (reply.question, reply.edns) = (None, None);
        reply.bytes()
    };
    for rcode in [Rcode::NXDOMAIN, Rcode::NOERROR] {
        let result = bench.receive(sent.socket, sent.to, &bare(&sent, rcode));
        assert_eq!(result, Err(Discard::QuestionCount), "{rcode}");
    }
    assert!(bench.take_sent().is_empty());
    assert_eq!(bench.receive(sent.socket, sent.to, &bare(&sent, Rcode::REFUSED)), Ok(()));
    let second = bench.one_sent();
    assert_ne!(second.to, sent.to);
    assert_eq!(bench.receive(second.socket, second.to, &bare(&second, Rcode::SERVFAIL)), Ok(()));
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::ServFail));
}

#[test]
fn rule_18_what_is_truncated_is_not_used() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    let key = bench.query_a("x.example");
    for n in 0..2 {
        let sent = bench.one_sent();
        let mut reply = good(&sent);
        reply.header.tc = true;
        let mut bytes = reply.bytes();
        // Some middleboxes cut within a record.
        bytes.truncate(bytes.len() - 3 * n);
        assert_eq!(bench.receive(sent.socket, sent.to, &bytes), Ok(()));
    }
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Truncated));
    assert!(bench.records(key).is_empty());
}

#[test]
fn rule_26_a_server_that_cannot_read_edns_is_asked_without() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    assert!(has_opt(&sent));
    let mut reply = sent.reply().rcode(Rcode::FORMERR);
    reply.edns = None;
    bench.reply(&sent, &reply);
    let second = bench.one_sent();
    assert!(!has_opt(&second) && second.to == sent.to);
    bench.reply(&second, &good(&second));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    // Remembered, but not for ever.
    bench.query_a("y.example");
    assert!(!has_opt(&bench.one_sent()));
    bench.wait(ms(15 * 60_000));
    bench.take_sent();
    bench.query_a("z.example");
    assert!(has_opt(&bench.one_sent()));
    // FORMERR with an OPT is not about EDNS.
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.resolver.config.cookies = false;
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    bench.reply(&sent, &sent.reply().rcode(Rcode::FORMERR));
    assert_eq!(bench.outcome(key), Outcome::Failed(Failure::FormErr));
}

fn has_opt(sent: &Sent) -> bool {
    crate::Message::parse(&sent.bytes).unwrap().edns().is_some()
}

/// What a server says to a query without EDNS.
fn plain(sent: &Sent) -> Reply {
    let mut reply = good(sent);
    reply.edns = None;
    reply
}

#[test]
fn rule_26_a_server_that_drops_queries_with_edns_is_asked_without() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    // Twice, since one silence may be a loss.
    for n in 0..2 {
        let key = bench.query_a(&std::format!("n{n}.example"));
        let first = bench.one_sent();
        assert!(has_opt(&first), "{n}");
        bench.wait(ms(500));
        let second = bench.one_sent();
        assert!(!has_opt(&second) && second.to == first.to, "{n}");
        bench.reply(&second, &plain(&second));
        assert_eq!(bench.outcome(key), Outcome::Answer);
    }
    // Remembered, but not for ever.
    let key = bench.query_a("y.example");
    let sent = bench.one_sent();
    assert!(!has_opt(&sent));
    bench.reply(&sent, &plain(&sent));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    bench.wait(ms(15 * 60_000));
    bench.take_sent();
    bench.query_a("z.example");
    assert!(has_opt(&bench.one_sent()));
    // Another network is another way to it.
    bench.with(|r, cx| r.link_up(cx));
    assert!(has_opt(&bench.one_sent()));
}

#[test]
fn rule_26_both_families_that_were_lost_at_once_are_one_silence() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    bench.query("x.example", QueryKind::Addresses);
    assert_eq!(bench.take_sent().len(), 2);
    bench.wait(ms(500));
    for sent in bench.take_sent() {
        assert!(!has_opt(&sent));
        let mut reply = sent.reply().soa("example", 60, 60);
        reply.edns = None;
        bench.reply(&sent, &reply);
    }
    let key = bench.query_a("y.example");
    let sent = bench.one_sent();
    assert!(has_opt(&sent), "it is tried again");
    bench.take_events();
    bench.reply(&sent, &good(&sent));
    assert_eq!(bench.outcome(key), Outcome::Answer);
    // It hears EDNS: no silence is about that from now on.
    bench.query_a("z.example");
    bench.wait(ms(5_000));
    let sent = bench.take_sent();
    assert!(sent.len() == 3 && sent.iter().all(has_opt), "{sent:?}");
}

#[test]
fn rule_26_and_bug_18_silence_of_a_server_that_hears_edns_does_not_take_it_away() {
    for late in [false, true] {
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, 1);
        let key = bench.query_a("x.example");
        let mut sent = bench.one_sent();
        if late {
            // A reply that took longer than was waited for, and longer than 512 octets, is a good one.
            bench.wait(ms(500));
            assert!(!has_opt(&bench.one_sent()));
        }
        let mut reply = good(&sent);
        for n in 0..40 {
            reply = reply.answer("x.example", 60, &a(n));
        }
        assert!(reply.bytes().len() > 512);
        bench.reply(&sent, &reply);
        assert_eq!(bench.outcome(key), Outcome::Answer, "{late}");
        for n in 0..4 {
            let key = bench.query_a(&std::format!("n{n}.example"));
            bench.take_sent();
            bench.wait(ms(500));
            sent = bench.one_sent();
            assert!(has_opt(&sent), "{late} {n}");
            // Not even where somebody answers without OPT.
            bench.reply(&sent, &plain(&sent));
            assert_eq!(bench.outcome(key), Outcome::Answer);
        }
    }
}

#[test]
fn rule_26_a_server_that_was_down_is_asked_with_edns_when_it_is_back() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    for n in 0..20 {
        let key = bench.query_a(&std::format!("n{n}.example"));
        bench.wait(ms(5_000));
        bench.release(key);
    }
    bench.take_sent();
    bench.take_events();
    let key = bench.query_a("x.example");
    let sent = bench.one_sent();
    assert!(has_opt(&sent), "nothing was answered without EDNS either");
    bench.reply(&sent, &good(&sent));
    assert_eq!(bench.outcome(key), Outcome::Answer);
}

#[test]
fn rule_22_and_bug_6_ids_and_sockets_are_spread() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let mut nibbles = [[0u32; 16]; 4];
    let mut sockets = [0u32; 16];
    for n in 0..4_000 {
        let key = bench.query_a(&std::format!("n{n}.example"));
        let sent = bench.one_sent();
        bench.reply(&sent, &sent.reply());
        bench.release(key);
        for (place, counts) in nibbles.iter_mut().enumerate() {
            counts[usize::from(sent.id() >> (4 * place) & 15)] += 1;
        }
        sockets[usize::from(sent.socket)] += 1;
    }
    // Chi-square with 15 degrees of freedom: above 44 once in ten thousand seeds; this one is fixed.
    for counts in nibbles.iter().chain([&sockets]) {
        let squares: u32 = counts.iter().map(|&n| n.abs_diff(250).pow(2)).sum();
        assert!(squares / 250 < 44, "{counts:?}");
    }
    assert!(bench.open.len() <= 16);
    assert!(bench.opened > 40, "ports are given up after a while: {}", bench.opened);
    bench.wait(ms(31_000));
    assert!(bench.open.is_empty(), "idle sockets are closed");
}
