extern crate std;
use super::*;
use crate::testing::{Seeded, a, aaaa, name};
use bringup_core::client::Rng as _;
use std::collections::BTreeMap;
use std::vec::Vec;
use std::{format, vec};

struct Memory {
    entries: Vec<Entry>,
    buckets: Vec<u16>,
    bytes: Vec<u8>,
}

fn memory(entries: usize, bytes: usize) -> Memory {
    Memory {
        entries: vec![Entry::EMPTY; entries],
        buckets: vec![0; entries],
        bytes: vec![0xEE; bytes],
    }
}

impl Memory {
    fn cache(&mut self) -> Cache<'_> {
        Cache::new(&mut self.entries, &mut self.buckets, &mut self.bytes)
    }
}

fn at(s: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(s)
}

fn put(cache: &mut Cache<'_>, owner: &str, data: &RData<'_>, ttl_s: u32, now: Instant) -> u16 {
    let index = cache.insert_made(name(owner).as_wire(), data, ttl_s, now).unwrap();
    cache.unpin(index);
    index
}

fn put_kind(cache: &mut Cache<'_>, owner: &str, kind: Kind, ttl_s: u32, now: Instant) {
    let owner = name(owner);
    let new = New { owner: owner.as_wire(), rtype: RecordType::A, kind, ttl_s };
    let (index, _) = cache.insert(new, now, 0).unwrap();
    cache.unpin(index);
}

fn find(cache: &mut Cache<'_>, owner: &str, rtype: RecordType, now: Instant) -> Known {
    cache.find(name(owner).as_wire(), rtype, now, true)
}

#[test]
fn rule_31_entries_age_and_end() {
    let mut memory = memory(8, 512);
    let mut cache = memory.cache();
    let index = put(&mut cache, "x.example", &a(1), 10, at(100));
    assert_eq!(find(&mut cache, "x.example", RecordType::A, at(109)), Known::Data(index));
    assert_eq!(cache.ttl_s(index, at(103)), 7);
    assert_eq!(find(&mut cache, "x.example", RecordType::A, at(110)), Known::Nothing);
    assert_eq!(find(&mut cache, "x.example", RecordType::AAAA, at(100)), Known::Nothing);
    assert_eq!(find(&mut cache, "y.example", RecordType::A, at(100)), Known::Nothing);
}

#[test]
fn rule_30_ttl_0_lives_by_its_pin_alone() {
    let mut memory = memory(8, 512);
    let mut cache = memory.cache();
    let index = cache.insert_made(name("x").as_wire(), &a(1), 0, at(0)).unwrap();
    assert_eq!(find(&mut cache, "x", RecordType::A, at(0)), Known::Nothing);
    assert_eq!(cache.records(index, at(0)).count(), 1);
    assert!(cache.octets() > 0);
    cache.unpin(index);
    assert_eq!(cache.octets(), 0);
}

#[test]
fn rule_47_and_48_what_replaces_what() {
    let alias_target = name("y");
    let alias = RData::Cname(alias_target.view());
    let now = at(0);
    let mut memory = memory(16, 1_024);
    let mut cache = memory.cache();
    put(&mut cache, "x", &a(1), 10, now);
    put(&mut cache, "x", &a(2), 10, now);
    let Known::Data(index) = find(&mut cache, "x", RecordType::A, now) else { panic!() };
    let texts: Vec<_> = cache.records(index, now).map(|r| format!("{}", r.data())).collect();
    assert_eq!(texts, ["192.0.2.2"], "replaced as a whole");
    put(&mut cache, "x", &aaaa(1), 10, now);
    assert_eq!(cache.len(), 2);
    put(&mut cache, "x", &alias, 10, now);
    assert_eq!(cache.len(), 1, "nothing stays beside an alias");
    assert!(matches!(find(&mut cache, "x", RecordType::A, now), Known::Alias(_)));
    assert!(matches!(find(&mut cache, "x", RecordType::CNAME, now), Known::Data(_)));
    put(&mut cache, "x", &a(3), 10, now);
    assert_eq!(cache.len(), 1, "data ends the alias");
    put_kind(&mut cache, "x", Kind::NxDomain { cut: false }, 10, now);
    assert!(matches!(find(&mut cache, "x", RecordType::MX, now), Known::NxDomain(_)));
    assert_eq!(cache.len(), 1, "nothing is at a name that does not exist");
    put(&mut cache, "x", &a(3), 10, now);
    assert!(matches!(find(&mut cache, "x", RecordType::A, now), Known::Data(_)));
    assert_eq!(cache.len(), 1, "and a name with data exists");
}

#[test]
fn rule_33_a_denied_name_denies_what_is_below() {
    let now = at(0);
    let mut memory = memory(16, 1_024);
    let mut cache = memory.cache();
    put_kind(&mut cache, "a.example", Kind::NxDomain { cut: true }, 10, now);
    put_kind(&mut cache, "b.example", Kind::NxDomain { cut: false }, 10, now);
    put(&mut cache, "kept.a.example", &a(1), 10, now);
    for (owner, denied) in [
        ("x.a.example", true),
        ("x.y.a.example", true),
        ("xa.example", false),
        ("x.b.example", false),
        ("example", false),
    ] {
        let known = find(&mut cache, owner, RecordType::A, now);
        assert_eq!(matches!(known, Known::NxDomain(_)), denied, "{owner}");
    }
    assert!(matches!(find(&mut cache, "kept.a.example", RecordType::A, now), Known::Data(_)));
    assert_eq!(find(&mut cache, "x.a.example", RecordType::A, at(10)), Known::Nothing);
}

#[test]
fn rule_34_failures_are_kept_for_longer_each_time_and_never_hide_data() {
    let mut memory = memory(8, 512);
    let mut cache = memory.cache();
    let owner = name("x");
    let mut now = at(0);
    let mut spans = Vec::new();
    for _ in 0..12 {
        cache.insert_failure(owner.as_wire(), RecordType::A, Failure::ServFail, now).unwrap();
        let start = now;
        while find(&mut cache, "x", RecordType::A, now) != Known::Nothing {
            now += Duration::from_secs(1);
        }
        spans.push(now.since(start).as_secs());
    }
    assert_eq!(spans, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    now += Duration::from_secs(600);
    cache.insert_failure(owner.as_wire(), RecordType::A, Failure::ServFail, now).unwrap();
    assert_eq!(find(&mut cache, "x", RecordType::A, now + Duration::from_secs(1)), Known::Nothing);
    put(&mut cache, "x", &a(1), 10, now);
    cache.insert_failure(owner.as_wire(), RecordType::A, Failure::ServFail, now).unwrap();
    assert!(matches!(find(&mut cache, "x", RecordType::A, now), Known::Data(_)));
}

#[test]
fn rule_36_memory_is_bounded_and_the_least_used_goes_first() {
    let mut memory = memory(64, 2_048);
    let mut cache = memory.cache();
    put(&mut cache, "kept.example", &a(1), 100_000, at(0));
    for n in 0..20_000u32 {
        put(&mut cache, &format!("n{n}.example"), &a(1), 100_000, at(1));
        assert!(
            matches!(find(&mut cache, "kept.example", RecordType::A, at(1)), Known::Data(_)),
            "{n}"
        );
        assert!(cache.octets() <= 2_048 && cache.len() <= 64);
    }
    assert!(cache.len() > 32, "the memory is used: {}", cache.len());
    // What has expired goes before what is valid, however long that was not used.
    put(&mut cache, "old.example", &a(1), 100_000, at(2));
    for n in 0..30 {
        put(&mut cache, &format!("s{n}"), &a(1), 1, at(3));
    }
    for n in 0..20 {
        put(&mut cache, &format!("t{n}"), &a(1), 100, at(10));
    }
    assert!(matches!(find(&mut cache, "old.example", RecordType::A, at(10)), Known::Data(_)));
}

#[test]
fn pinned_entries_outlive_replacement_flush_and_pressure() {
    let mut memory = memory(8, 400);
    let mut cache = memory.cache();
    let kept = put(&mut cache, "x.example", &a(7), 10, at(0));
    cache.pin(kept);
    put(&mut cache, "x.example", &a(8), 10, at(0));
    cache.flush();
    for n in 0..1_000 {
        put(&mut cache, &format!("n{n}"), &a(1), 100, at(1));
    }
    let texts: Vec<_> = cache.records(kept, at(0)).map(|r| format!("{r}")).collect();
    assert_eq!(texts, ["x.example.\t10\tIN\tA\t192.0.2.7"]);
    cache.unpin(kept);
    cache.flush();
    assert_eq!((cache.octets(), cache.len()), (0, 0));
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut memory = memory(4, 100);
    let mut cache = memory.cache();
    let big = crate::record::Strings::from_wire(&[0; 90]).unwrap();
    let result = cache.insert_made(name("x").as_wire(), &RData::Txt(big), 9, at(0));
    assert_eq!(result, Err(NoRoom));
    let all: Vec<_> = (0..4)
        .map(|n| cache.insert_made(name(&format!("n{n}")).as_wire(), &a(1), 9, at(0)))
        .collect();
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(cache.insert_made(name("y").as_wire(), &a(1), 9, at(0)), Err(NoRoom));
}

#[test]
fn rule_34_a_failure_is_of_its_type_alone() {
    let mut memory = memory(8, 512);
    let mut cache = memory.cache();
    let owner = name("x");
    for n in 0..5 {
        // Again as soon as it may be asked for.
        let now = at((1 << n) - 1);
        cache.insert_failure(owner.as_wire(), RecordType::AAAA, Failure::ServFail, now).unwrap();
    }
    assert_eq!(find(&mut cache, "x", RecordType::A, at(31)), Known::Nothing);
    let known = find(&mut cache, "x", RecordType::AAAA, at(31));
    assert_eq!(known, Known::Nothing, "the last was for 16 s from 15 on");
    assert!(find(&mut cache, "x", RecordType::AAAA, at(30)) != Known::Nothing);
    assert_eq!(find(&mut cache, "x", RecordType::A, at(30)), Known::Nothing);
    cache.insert_failure(owner.as_wire(), RecordType::A, Failure::ServFail, at(31)).unwrap();
    assert!(find(&mut cache, "x", RecordType::A, at(31)) != Known::Nothing);
    assert_eq!(find(&mut cache, "x", RecordType::A, at(32)), Known::Nothing, "it is the first");
}

#[test]
fn rule_35_only_data_of_the_type_is_ever_stale() {
    let mut memory = memory(8, 512);
    let mut cache = memory.cache();
    cache.keep = Duration::from_secs(1_000);
    put(&mut cache, "x", &aaaa(1), 10, at(0));
    cache.insert_failure(name("x").as_wire(), RecordType::A, Failure::ServFail, at(0)).unwrap();
    let stale = |cache: &Cache<'_>, rtype| cache.find_stale(name("x").as_wire(), rtype, at(20));
    assert_eq!(stale(&cache, RecordType::A), Known::Nothing);
    assert!(matches!(stale(&cache, RecordType::AAAA), Known::Data(_)));
    put(&mut cache, "y", &RData::Cname(name("z").view()), 10, at(0));
    let of = |rtype, now| cache.find_stale(name("y").as_wire(), rtype, now);
    assert!(matches!(of(RecordType::A, at(20)), Known::Alias(_)));
    assert!(matches!(of(RecordType::CNAME, at(20)), Known::Data(_)));
    assert_eq!(of(RecordType::A, at(1_010)), Known::Nothing);
}

#[test]
fn names_are_spread_by_a_secret_and_told_apart_where_they_meet() {
    let mut memory = memory(8, 512);
    let mut cache = memory.cache();
    let of = |cache: &Cache<'_>, n: u32| cache.hash_of(name(&format!("n{n}.example")).as_wire());
    let before: Vec<_> = (0..1_000).map(|n| of(&cache, n)).collect();
    cache.set_seed(7);
    let hashes: Vec<_> = (0..1_000).map(|n| of(&cache, n)).collect();
    assert!(
        before.iter().zip(&hashes).all(|(a, b)| a != b),
        "what was learned of one is of no use"
    );
    for shift in [0, 8, 16, 24] {
        let mut row = [0; 256];
        hashes.iter().for_each(|hash| row[usize::try_from(hash >> shift & 255).unwrap()] += 1);
        assert!(row.iter().all(|count| *count < 20), "four in each, as a rule: {row:?}");
    }
    // Two of some 100,000 names have the same hash of 32 bits.
    let mut known: BTreeMap<u32, u32> = BTreeMap::new();
    let pair = (0..1_000_000).find_map(|n| known.insert(of(&cache, n), n).map(|other| [other, n]));
    let [one, other] = pair.expect("2^20 names into 2^32").map(|n| format!("n{n}.example"));
    put(&mut cache, &one, &a(1), 10, at(0));
    assert_eq!(find(&mut cache, &other, RecordType::A, at(0)), Known::Nothing);
    let kept = put(&mut cache, &other, &a(2), 10, at(0));
    assert_eq!(find(&mut cache, &other, RecordType::A, at(0)), Known::Data(kept));
    assert_eq!(cache.len(), 2);
}

#[test]
fn rule_48_a_name_that_has_data_after_all_exists_for_every_type() {
    let mut memory = memory(8, 512);
    let mut cache = memory.cache();
    put_kind(&mut cache, "x", Kind::NxDomain { cut: false }, 10, at(0));
    put(&mut cache, "x", &aaaa(1), 10, at(1));
    assert_eq!(find(&mut cache, "x", RecordType::A, at(1)), Known::Nothing);
    // Of failures there is one.
    for failure in [Failure::ServFail, Failure::Timeout] {
        cache.insert_failure(name("y").as_wire(), RecordType::A, failure, at(1)).unwrap();
    }
    assert_eq!(find(&mut cache, "y", RecordType::A, at(1)), Known::Failure(Failure::Timeout));
    assert_eq!(cache.len(), 2);
}

/// The cache against a map, over random operations with a clock that only goes on.
#[test]
fn a_model_agrees() {
    for seed in 0..20 {
        let mut rng = Seeded(seed);
        let mut memory = memory(512, 65_536);
        let mut cache = memory.cache();
        cache.set_seed(rng.u32());
        // (name, type) to (what, expiry).
        let mut model: BTreeMap<(u64, u16), (u8, Instant)> = BTreeMap::new();
        let mut now = at(0);
        for _ in 0..3_000 {
            now += Duration::from_millis(rng.below(500));
            let (n, last) = (rng.below(20), u8::try_from(rng.below(250)).unwrap());
            let owner = format!("n{n}.example");
            let (data, rtype) = match rng.below(2) {
                0 => (a(last), RecordType::A),
                _ => (aaaa(u16::from(last)), RecordType::AAAA),
            };
            if rng.below(3) == 0 {
                let ttl_s = u32::try_from(rng.below(20)).unwrap();
                put(&mut cache, &owner, &data, ttl_s, now);
                if ttl_s > 0 {
                    let expiry = now + Duration::from_secs(ttl_s.into());
                    model.insert((n, rtype.0), (last, expiry));
                }
            } else {
                let expected = model.get(&(n, rtype.0)).filter(|(_, expiry)| now < *expiry);
                let got = match find(&mut cache, &owner, rtype, now) {
                    Known::Data(index) => {
                        cache.records(index, now).next().map(|r| match r.data() {
                            RData::A(address) => address.octets()[3],
                            RData::Aaaa(address) => address.octets()[15],
                            other => panic!("{other:?}"),
                        })
                    }
                    Known::Nothing => None,
                    other => panic!("{other:?}"),
                };
                assert_eq!(got, expected.map(|(last, _)| *last), "seed {seed}");
            }
        }
    }
}
