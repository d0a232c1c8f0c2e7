//! A resolver with servers that lose, repeat, delay, reorder and forge, and callers that cancel.

extern crate std;

use crate::client::{Event, QueryOptions, ResolverStorage};
use crate::config::Config;
use crate::message::Rcode;
use crate::query::{Outcome, QueryKey, QueryKind};
use crate::record::{RData, RecordType};
use crate::testing::{Bench, SERVERS, Seeded, Sent, a, aaaa, ms};
use bringup_core::client::{Client as _, Rng as _, StreamInput};
use bringup_core::time::Instant;
use std::collections::BTreeMap;
use std::format;
use std::string::ToString;
use std::vec::Vec;

/// What the one true zone says: hosts by number, by the remainder of three aliases, missing names.
fn truth(sent: &Sent) -> Vec<u8> {
    let owner = sent.qname().to_string().to_ascii_lowercase();
    let number: u8 =
        owner.trim_start_matches(['h', 'c']).split('.').next().unwrap().parse().unwrap();
    let reply = sent.reply();
    let host = format!("h{number}.example");
    let reply = match owner.starts_with('c') {
        true => reply.cname(&owner, 2, &host),
        false => reply,
    };
    match (number % 4, sent.qtype()) {
        (0, _) => reply.rcode(Rcode::NXDOMAIN).soa("example", 3, 3),
        (_, RecordType::A) => reply.answer(&host, 2, &a(number)),
        (1, _) => reply.answer(&host, 1, &aaaa(number.into())),
        _ => reply.soa("example", 3, 3),
    }
    .bytes()
}

struct Caller {
    number: u8,
    kind: QueryKind,
    heard: u32,
}

fn run(seed: u64) -> (u64, u64) {
    let mut rng = Seeded(seed);
    let mut storage = ResolverStorage::<6, 12, 700>::new();
    let mut bench = Bench::new(&mut storage, 3);
    bench.rng = Seeded(!seed);
    bench.tcp = crate::parts::TCP && seed % 2 == 0;
    bench.resolver.set_config(Config {
        mix_case: seed % 3 == 0,
        rotate: seed % 5 == 0,
        refresh_ahead: seed % 4 < 2,
        serve_stale: if seed % 7 < 3 { ms(60_000) } else { ms(0) },
        ..Config::DEFAULT
    });
    let mut callers: BTreeMap<(u16, u32), (QueryKey, Caller)> = BTreeMap::new();
    let mut wire: Vec<(Instant, Sent, Vec<u8>)> = Vec::new();
    let (mut done, mut answered) = (0, 0);
    for _ in 0..400 {
        match rng.below(10) {
            0..5 => {
                let number = u8::try_from(rng.below(24)).unwrap();
                let prefix = if rng.below(2) == 0 { 'h' } else { 'c' };
                let kind = match rng.below(3) {
                    0 => QueryKind::Type(RecordType::A),
                    1 => QueryKind::Type(RecordType::AAAA),
                    _ => QueryKind::Addresses,
                };
                let deadline = (rng.below(4) == 0).then(|| bench.now + ms(rng.below(3_000)));
                let text = format!("{prefix}{number}.example");
                let options = QueryOptions { deadline, ..QueryOptions::default() };
                if let Ok(key) = bench.with(|r, cx| r.query(cx, text.as_str(), kind, options)) {
                    let caller = Caller { number, kind, heard: 0 };
                    let old = callers.insert((key.slot, key.generation), (key, caller));
                    assert!(old.is_none(), "a key is given out once");
                }
            }
            5 => {
                let nth = usize::try_from(rng.below(6)).unwrap();
                if let Some((id, (key, _))) = callers.iter().nth(nth).map(|(i, c)| (*i, c)) {
                    let key = *key;
                    callers.remove(&id);
                    bench.release(key);
                }
            }
            6 if rng.below(8) == 0 => {
                let skip = usize::try_from(rng.below(3)).unwrap();
                bench.set_servers(&SERVERS[skip..]);
            }
            _ => {}
        }
        for sent in bench.take_sent() {
            // Loss, repetition, delay; what is forged is never true.
            for _ in 0..rng.below(3) {
                wire.push((bench.now + ms(rng.below(900)), sent.clone(), truth(&sent)));
            }
            if rng.below(6) == 0 {
                let mut cut = sent.reply();
                cut.header.tc = true;
                wire.push((bench.now + ms(rng.below(300)), sent.clone(), cut.bytes()));
            }
            if rng.below(3) == 0 {
                let mut forged = sent.reply().answer(&sent.qname().to_string(), 900, &a(255));
                match rng.below(3) {
                    0 => forged.header.id ^= 1 << rng.below(16),
                    1 => forged.header.qr = false,
                    _ => forged.question = None,
                }
                wire.push((bench.now + ms(rng.below(300)), sent.clone(), forged.bytes()));
            }
        }
        drive_streams(&mut bench, &mut rng);
        bench.wait(ms(rng.below(200)));
        let due: Vec<_> = wire.extract_due(bench.now);
        for (_, sent, bytes) in due {
            let _ = bench.receive(sent.socket, sent.to, &bytes);
        }
        let mut gone = Vec::new();
        for event in bench.take_events() {
            let (Event::Done { key, .. } | Event::Update { key }) = event;
            // An update may have been fetched together with the end that the caller released at.
            if gone.contains(&key) {
                continue;
            }
            let (_, caller) = callers.get_mut(&(key.slot, key.generation)).expect("no ghosts");
            if let Event::Done { outcome, .. } = event {
                caller.heard += 1;
                assert_eq!(caller.heard, 1, "seed {seed}: exactly once");
                done += 1;
                answered += u64::from(outcome == Outcome::Answer);
            }
            assert_eq!(caller.heard, 1, "seed {seed}: no update before the end");
            check(&bench, key, caller, bench.resolver.result(key).unwrap().outcome());
            // Most give their slot back, some at once, some hold on to it.
            if rng.below(3) > 0 {
                callers.remove(&(key.slot, key.generation));
                bench.release(key);
                gone.push(key);
            }
        }
        let now = bench.now;
        assert!(bench.resolver.poll_timeout().is_none_or(|at| at > now - ms(1)));
    }
    // Everybody who is still there hears by the deadline.
    bench.wait(ms(10_000));
    for event in bench.take_events() {
        if let Event::Done { key, .. } = event {
            callers.get_mut(&(key.slot, key.generation)).expect("no ghosts").1.heard += 1;
        }
    }
    for (key, caller) in callers.values() {
        assert_eq!(caller.heard, 1, "seed {seed}: {key:?} was forgotten");
    }
    let keys: Vec<_> = callers.values().map(|(key, _)| *key).collect();
    keys.into_iter().for_each(|key| bench.release(key));
    // A refresh that nobody waits for may still fail, and be remembered, in this minute.
    bench.wait(ms(60_000));
    bench.resolver.flush_cache();
    assert_eq!(bench.resolver.counters().cache_octets, 0, "seed {seed}: a pin was lost");
    assert!(bench.open.is_empty(), "seed {seed}: a socket was lost");
    assert!(bench.conns.is_empty(), "seed {seed}: a connection was lost");
    assert_eq!(bench.resolver.poll_timeout(), None);
    assert!(!bench.tcp || bench.resolver.counters().sent_tcp > 0, "seed {seed}: TCP was not used");
    (done, answered)
}

/// Connections that stand late or never, take little at a time, answer in pieces, and break.
fn drive_streams(bench: &mut Bench<'_>, rng: &mut Seeded) {
    let conns: Vec<u8> = bench.conns.keys().copied().collect();
    for conn in conns {
        bench.write_room = usize::try_from(1 + rng.below(60)).unwrap();
        let _ = match rng.below(8) {
            0 => bench.stream(conn, StreamInput::Closed),
            1..4 => bench.stream(conn, StreamInput::Connected),
            _ => bench.stream(conn, StreamInput::Writable),
        };
    }
    for sent in bench.take_sent_tcp() {
        let bytes = truth(&sent);
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        let framed = [&length[..], &bytes].concat();
        let keep = usize::try_from(rng.below(60)).unwrap();
        let pieces = [framed.get(..keep).unwrap_or(&[]), framed.get(keep..).unwrap_or(&[])];
        for piece in pieces.into_iter().take(if rng.below(6) == 0 { 1 } else { 2 }) {
            let _ = bench.stream(sent.socket, StreamInput::Bytes(piece));
        }
    }
}

/// What was said is true.
fn check(bench: &Bench<'_>, key: QueryKey, caller: &Caller, outcome: Outcome) {
    let number = caller.number;
    let answer = bench.resolver.result(key).expect("it has ended");
    match outcome {
        Outcome::Answer => {
            for record in answer.records() {
                let ok = match record.data() {
                    RData::A(address) => address.octets()[3] == number,
                    RData::Aaaa(address) => address.octets()[15] == number,
                    RData::Cname(target) => target.to_string() == format!("h{number}.example."),
                    _ => false,
                };
                assert!(ok, "{number}: {record}");
            }
            assert_ne!(number % 4, 0);
            assert!(answer.addresses().count() > 0);
        }
        Outcome::NxDomain => assert_eq!(number % 4, 0),
        Outcome::NoData => {
            assert_eq!(caller.kind, QueryKind::Type(RecordType::AAAA));
            assert!(number % 4 > 1);
        }
        Outcome::Failed(_) => assert_eq!(answer.addresses().count(), 0),
    }
}

trait ExtractDue<T> {
    fn extract_due(&mut self, now: Instant) -> Vec<T>;
}

impl ExtractDue<(Instant, Sent, Vec<u8>)> for Vec<(Instant, Sent, Vec<u8>)> {
    fn extract_due(&mut self, now: Instant) -> Vec<(Instant, Sent, Vec<u8>)> {
        let (due, rest) = self.drain(..).partition(|(at, ..)| *at <= now);
        *self = rest;
        due
    }
}

#[test]
fn rule_46_exactly_once_and_never_wrong_under_loss_and_forgery() {
    let (mut done, mut answered) = (0, 0);
    for seed in 0..40 {
        let (d, a) = run(seed);
        (done, answered) = (done + d, answered + a);
    }
    assert!(done > 3_000 && answered > done / 3, "{answered} of {done}: the world is too bad");
}
