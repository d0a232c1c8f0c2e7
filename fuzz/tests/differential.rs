//! Our verdict on a message, and the addresses that we read out of it, beside those of hickory-proto and
//! of `domain`, on the same octets: the corpus of `dns_message`, and random changes to it.
//!
//! What differs is listed here with its reason, and nothing else may.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;

use bringup_dns::message::Section;
use bringup_dns::{Class, Malformed, Message, RecordType};

/// How many changed messages are compared.
const CHANGED: usize = 60_000;

/// What a reader says: the addresses of class IN in the answer section, or that it is no message.
type Verdict = Option<Vec<IpAddr>>;

fn ours(message: &Message<'_>) -> Vec<IpAddr> {
    message.records(Section::Answer).filter_map(|record| record.address()).collect()
}

fn hickory(bytes: &[u8]) -> Verdict {
    use hickory_proto::rr::{DNSClass, RData};
    let message = hickory_proto::op::Message::from_vec(bytes).ok()?;
    let of_the_internet = message.answers().iter().filter(|r| r.dns_class() == DNSClass::IN);
    let address = |record: &hickory_proto::rr::Record| match record.data() {
        RData::A(a) => Some(IpAddr::from(a.0)),
        RData::AAAA(a) => Some(IpAddr::from(a.0)),
        _ => None,
    };
    Some(of_the_internet.filter_map(address).collect())
}

fn domain(bytes: &[u8]) -> Verdict {
    use domain::base::iana::Class;
    use domain::rdata::AllRecordData;
    let message = domain::base::Message::from_octets(bytes).ok()?;
    for question in message.question() {
        question.ok()?;
    }
    let mut addresses = Vec::new();
    let sections = [message.answer().ok()?, message.authority().ok()?, message.additional().ok()?];
    for (number, section) in sections.into_iter().enumerate() {
        for record in section {
            let record = record.ok()?.to_any_record::<AllRecordData<_, _>>().ok()?;
            if number > 0 || record.class() != Class::IN {
                continue;
            }
            match record.data() {
                AllRecordData::A(a) => addresses.push(IpAddr::from(a.addr())),
                AllRecordData::Aaaa(a) => addresses.push(IpAddr::from(a.addr())),
                _ => {}
            }
        }
    }
    Some(addresses)
}

/// What we refuse, and they may take.
fn may_be_taken(why: Malformed) -> bool {
    match why {
        // Ours: they follow a pointer to anywhere before it, the header and the middle of the same name
        // included; and hickory looks for no pointer where RFC 6672 §2.5 and RFC 9460 §2.2 forbid one.
        Malformed::PointerIntoHeader
        | Malformed::PointerNotBackwards
        | Malformed::PointerRefused
        | Malformed::PointerChain => true,
        // They do not look into the data of all the types of RFC 3597 §4, or only to its first name; and
        // hickory takes an empty RDATA for any type (as in a dynamic update).
        Malformed::LabelType | Malformed::NameTooLong | Malformed::RdataLength => true,
        // domain, read as it is here, takes OPT anywhere and of any owner.
        Malformed::OptSection | Malformed::OptOwner => true,
        // hickory leaves out all options of an OPT in which one does not fit (RFC 6891 §6.1.2).
        Malformed::OptOption => true,
        _ => false,
    }
}

/// Types whose data all three read alike.
const PLAIN: [RecordType; 7] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::NS,
    RecordType::CNAME,
    RecordType::PTR,
    RecordType::MX,
    RecordType::TXT,
];

/// Whether there may be a name that a pointer leads back to before itself and whose labels then run over
/// that very pointer: it ends, and hickory does not take it.
fn runs_over_itself(bytes: &[u8]) -> bool {
    let runs_over = |at: usize| {
        let (Some(&head), Some(&low)) = (bytes.get(at), bytes.get(at + 1)) else { return false };
        let mut here = usize::from(head & 0x3F) << 8 | usize::from(low);
        while let Some(&length @ 1..=63) = bytes.get(here) {
            here += usize::from(length) + 1;
            if here > at {
                return head >= 0xC0;
            }
        }
        false
    };
    (0..bytes.len()).any(runs_over)
}

/// Whether others may refuse what we take: there is data that they look into and we do not.
fn may_be_refused(message: &Message<'_>) -> bool {
    if runs_over_itself(message.bytes()) {
        return true;
    }
    let sections = [Section::Answer, Section::Authority, Section::Additional];
    let mut records = sections.into_iter().flat_map(|section| message.records(section));
    let odd = records.any(|r| r.class != Class::IN || !PLAIN.contains(&r.rtype));
    odd || message.edns().is_some()
}

fn corpus() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/dns_message");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("there is a corpus")
        .map(|entry| entry.expect("a folder can be read").path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).expect("an input can be read")).collect()
}

fn compare(bytes: &[u8], seen: &mut BTreeSet<String>) {
    let read = Message::parse(bytes);
    for (who, theirs) in [("hickory", hickory(bytes)), ("domain", domain(bytes))] {
        match (&read, theirs) {
            (Ok(message), Some(addresses)) => {
                assert_eq!(addresses, ours(message), "{who}: {bytes:02x?}");
                seen.insert(format!("{who} agrees"));
            }
            (Ok(message), None) => {
                assert!(may_be_refused(message), "{who} refuses {bytes:02x?}");
                seen.insert(format!("{who} refuses"));
            }
            (Err(why), Some(_)) => {
                assert!(may_be_taken(*why), "{who} takes what is {why:?}: {bytes:02x?}");
                seen.insert(format!("{who} takes {why:?}"));
            }
            (Err(_), None) => {}
        }
    }
}

#[test]
fn others_read_the_same_but_for_what_is_listed() {
    let seeds = corpus();
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or(0) % below
    };
    let mut seen = BTreeSet::new();
    seeds.iter().for_each(|seed| compare(seed, &mut seen));
    for n in 0..CHANGED {
        let mut bytes = seeds[n % seeds.len()].clone();
        if bytes.is_empty() {
            continue;
        }
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            bytes[at] = match random(3) {
                0 => 0xC0,
                1 => u8::try_from(random(256)).unwrap_or(0),
                _ => bytes[at] ^ 1 << random(8),
            };
        }
        compare(&bytes, &mut seen);
    }
    // A list of differences that nobody meets any more is out of date.
    for expected in ["hickory agrees", "domain agrees", "hickory takes PointerIntoHeader"] {
        assert!(seen.contains(expected), "{expected}: {seen:?}");
    }
}
