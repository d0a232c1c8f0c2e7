//! Slots, keys, coalescing, cancelling: every caller hears exactly once.

extern crate std;

use crate::client::{Client as _, Event, QueryError, QueryOptions, Resolver, ResolverStorage};
use crate::config::Config;
use crate::query::{Failure, Outcome, QueryKind};
use crate::record::RecordType;
use crate::testing::{Bench, Seeded, Storage, a, ms};
use bringup_core::client::Cx;
use bringup_core::time::{Instant, Utc};
use core::net::SocketAddr;
use std::boxed::Box;
use std::format;
use std::sync::Mutex;
use std::vec::Vec;

#[test]
fn rule_23_and_46_equal_questions_are_asked_once_and_all_callers_hear() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let keys: Vec<_> = (0..5).map(|_| bench.query_a("X.example")).collect();
    let sent = bench.one_sent();
    // One goes; the others are not disturbed.
    assert!(bench.with(|r, cx| r.cancel(cx, keys[1])));
    assert!(!bench.with(|r, cx| r.cancel(cx, keys[1])), "once");
    bench.reply(&sent, &sent.reply().answer("x.example", 60, &a(1)));
    let done: Vec<_> =
        [0, 2, 3, 4].map(|n: usize| Event::Done { key: keys[n], outcome: Outcome::Answer }).into();
    assert_eq!(bench.take_events(), done);
    assert!(bench.resolver.result(keys[1]).is_none());
    assert_eq!(bench.resolver.counters().joined, 4);
}

#[test]
fn rule_46_no_event_after_cancel_and_a_new_query_is_not_taken_for_the_old() {
    let mut storage = ResolverStorage::<1, 8, 1_024>::new();
    let mut bench = Bench::new(&mut storage, 1);
    let old = bench.query_a("x.example");
    let sent = bench.one_sent();
    assert!(bench.with(|r, cx| r.cancel(cx, old)));
    let new = bench.query_a("y.example");
    assert_ne!(old, new);
    let second = bench.one_sent();
    // The reply to the old question fills the cache and completes nothing.
    bench.reply(&sent, &sent.reply().answer("x.example", 60, &a(1)));
    assert!(bench.take_events().is_empty());
    bench.reply(&second, &second.reply().answer("y.example", 60, &a(2)));
    assert_eq!(bench.outcome(new), Outcome::Answer);
    assert!(!bench.with(|r, cx| r.release(cx, old)), "the old key is void");
    bench.release(new);
    let key = bench.query_a("x.example");
    assert_eq!(bench.outcome(key), Outcome::Answer);
    assert!(bench.take_sent().is_empty(), "rule 58: it was kept");
}

#[test]
fn a_query_that_was_cancelled_before_its_event_was_fetched_says_nothing() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 1);
    let key = bench.query_a("localhost");
    assert_eq!(bench.take_events().len(), 1);
    bench.release(key);
    let options = QueryOptions::default();
    bench.with(|r, cx| {
        let kind = QueryKind::Type(RecordType::A);
        let key = r.query(cx, "localhost", kind, options).unwrap();
        assert!(r.release(cx, key));
    });
    assert!(bench.take_events().is_empty());
}

#[test]
fn rule_46_a_deadline_is_absolute() {
    let mut storage = Storage::new();
    let mut bench = Bench::new(&mut storage, 2);
    for (span, sends) in [(0, 1), (300, 1), (700, 2)] {
        let options =
            QueryOptions { deadline: Some(bench.now + ms(span)), ..QueryOptions::default() };
        let start = bench.now;
        let text = format!("n{span}.example");
        let kind = QueryKind::Type(RecordType::A);
        let key = bench.with(|r, cx| r.query(cx, text.as_str(), kind, options)).unwrap();
        bench.wait(ms(span));
        assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Timeout), "{span}");
        assert_eq!(bench.resolver.result(key).unwrap().elapsed(), bench.now.since(start));
        assert!(bench.take_sent().len() <= sends, "{span}");
        bench.wait(ms(5_000));
        assert!(bench.take_sent().is_empty(), "{span}: nobody waits, nothing is sent");
    }
}

#[test]
fn a_full_resolver_says_so_and_goes_on() {
    let mut storage = ResolverStorage::<2, 8, 1_024>::new();
    let mut bench = Bench::new(&mut storage, 1);
    let keys = [bench.query_a("x.example"), bench.query_a("y.example")];
    let options = QueryOptions::default();
    let full = bench.with(|r, cx| r.query(cx, "z.example", QueryKind::Addresses, options));
    assert_eq!(full, Err(QueryError::Full));
    // Cancelling leaves lookups that linger; their slots serve the next queries.
    keys.iter().for_each(|&key| bench.release(key));
    bench.take_sent();
    let keys = ["a.example", "b.example"].map(|n| bench.query(n, QueryKind::Addresses));
    let sent = bench.take_sent();
    assert_eq!(sent.len(), 4);
    sent.iter().for_each(|s| bench.reply(s, &s.reply().soa("example", 60, 60)));
    assert_eq!(bench.take_events().len(), 2);
    keys.iter().for_each(|&key| bench.release(key));
}

#[test]
fn a_result_outlives_flush_replacement_and_pressure() {
    let mut storage = ResolverStorage::<2, 4, 256>::new();
    let mut bench = Bench::new(&mut storage, 1);
    let held = bench.query_a("held.example");
    let sent = bench.one_sent();
    bench.reply(&sent, &sent.reply().answer("held.example", 60, &a(7)));
    bench.resolver.flush_cache();
    for n in 0..50 {
        let key = bench.query_a(&format!("n{n}.example"));
        let sent = bench.one_sent();
        bench.reply(&sent, &sent.reply().answer(&format!("n{n}.example"), 60, &a(1)));
        assert_eq!(bench.records(key).len(), 1, "{n}");
        bench.release(key);
    }
    assert_eq!(bench.records(held), ["held.example. 60 IN A 192.0.2.7"]);
    bench.release(held);
    bench.resolver.flush_cache();
    assert_eq!(bench.resolver.counters().cache_octets, 0, "nothing stays pinned");
}

#[test]
fn a_vacant_resolver_fits_a_static_and_refuses_until_it_has_memory() {
    static VACANT: Mutex<Resolver<'static>> = Mutex::new(Resolver::vacant(Config::DEFAULT));
    let mut resolver = VACANT.lock().unwrap();
    let mut rng = Seeded(1);
    let mut cx = Cx { now: Instant::from_micros(1), utc: Utc::UNIX_EPOCH, rng: &mut rng };
    let ask = |resolver: &mut Resolver<'static>, cx: &mut Cx<'_>| {
        let kind = QueryKind::Type(RecordType::A);
        resolver.query(cx, "www.example", kind, QueryOptions::default()).map(|_| ())
    };
    resolver.set_servers(&mut cx, &[SocketAddr::from(([192, 0, 2, 53], 53)).into()]);
    assert_eq!(ask(&mut resolver, &mut cx), Err(QueryError::Full));
    resolver.handle_timeout(&mut cx);
    assert_eq!((resolver.poll_event(), resolver.poll_timeout()), (None, None));
    resolver.lend(Box::leak(Box::new(Storage::new())));
    assert_eq!(ask(&mut resolver, &mut cx), Ok(()));
}
