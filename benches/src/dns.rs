//! DNS: reading a response down to its addresses, and a query that the cache can answer.

use std::collections::HashMap;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bringup_core::client::{Client, Cx, Input, Rng, Transmit};
use bringup_core::time::{Duration, Instant, Utc};
use bringup_dns::encode::Encoder;
use bringup_dns::message::{Header, Message, Section};
use bringup_dns::{
    Config, Name, QueryKind, QueryOptions, RData, RecordType, Resolver, SmallStorage,
};

use crate::measure::{Contender, Ratio, repeat, table};

const TIMES: usize = 50_000;
/// The most addresses that are taken of a response.
const MAX: usize = 32;

/// Addresses without an allocation, so that only the parser's own count.
struct List([Ipv4Addr; MAX], usize);

impl FromIterator<Ipv4Addr> for List {
    fn from_iter<I: IntoIterator<Item = Ipv4Addr>>(addresses: I) -> Self {
        let mut list = Self([Ipv4Addr::UNSPECIFIED; MAX], 0);
        for (to, from) in list.0.iter_mut().zip(addresses) {
            *to = from;
            list.1 += 1;
        }
        list
    }
}

fn ours(bytes: &[u8]) -> Option<List> {
    let message = Message::parse(bytes).ok()?;
    let records = message.records(Section::Answer);
    let address = |record: bringup_dns::Record<'_>| match record.data() {
        RData::A(address) => Some(address),
        _ => None,
    };
    Some(records.filter_map(address).collect())
}

fn hickory(bytes: &[u8]) -> Option<List> {
    use hickory_proto::rr::RData;
    let message = hickory_proto::op::Message::from_vec(bytes).ok()?;
    let address = |record: &hickory_proto::rr::Record| match record.data() {
        RData::A(a) => Some(a.0),
        _ => None,
    };
    Some(message.answers().iter().filter_map(address).collect())
}

fn simple_dns(bytes: &[u8]) -> Option<List> {
    use simple_dns::rdata::RData;
    let packet = simple_dns::Packet::parse(bytes).ok()?;
    let address = |record: &simple_dns::ResourceRecord<'_>| match &record.rdata {
        RData::A(a) => Some(Ipv4Addr::from(a.address)),
        _ => None,
    };
    Some(packet.answers.iter().filter_map(address).collect())
}

fn dns_parser(bytes: &[u8]) -> Option<List> {
    use dns_parser::RData;
    let packet = dns_parser::Packet::parse(bytes).ok()?;
    let address = |record: &dns_parser::ResourceRecord<'_>| match record.data {
        RData::A(a) => Some(a.0),
        _ => None,
    };
    Some(packet.answers.iter().filter_map(address).collect())
}

/// The floor: walks over the records and looks at nothing but types and lengths.
fn by_hand(bytes: &[u8]) -> Option<List> {
    let word = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let skip_name = |mut at: usize| loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            length if length >= 0xC0 => return Some(at + 2),
            length => at += usize::from(length) + 1,
        }
    };
    let mut at = skip_name(12)? + 4;
    let mut list = List([Ipv4Addr::UNSPECIFIED; MAX], 0);
    for _ in 0..word(6)? {
        at = skip_name(at)?;
        let (rtype, length) = (word(at)?, usize::from(word(at + 8)?));
        let data = bytes.get(at + 10..at + 10 + length)?;
        if let (1, Ok(octets)) = (rtype, <[u8; 4]>::try_from(data)) {
            *list.0.get_mut(list.1)? = octets.into();
            list.1 += 1;
        }
        at += 10 + length;
    }
    Some(list)
}

/// A response: a chain of `aliases`, then `addresses`; compressed as servers do it.
fn response(aliases: u8, addresses: u8) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, aliases + addresses, 0, 0, 0, 0];
    bytes.extend(b"\x03www\x07example\x03org\0\0\x01\0\x01");
    // Every target is a label before the `example.org` of the question, which is at offset 16.
    let mut owner = 12;
    for n in 0..aliases {
        bytes.extend([0xC0, owner, 0, 5, 0, 1, 0, 0, 1, 0, 0, 6]);
        owner = u8::try_from(bytes.len()).expect("a short chain");
        bytes.extend([3, b'c', b'd', b'0' + n, 0xC0, 16]);
    }
    for n in 0..addresses {
        bytes.extend([0xC0, owner, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 192, 0, 2, n]);
    }
    bytes
}

/// NXDOMAIN with the zone's SOA.
fn denied() -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 0x81, 0x83, 0, 1, 0, 0, 0, 1, 0, 0];
    bytes.extend(b"\x03www\x07example\x03org\0\0\x01\0\x01");
    bytes.extend(b"\xC0\x10\0\x06\0\x01\0\0\x01\0\0\x20\x02ns\xC0\x10\x04mail\xC0\x10");
    bytes.extend(
        [[0, 0, 0, 1], [0, 0, 14, 16], [0, 0, 3, 132], [0, 9, 58, 128], [0, 0, 1, 44]].concat(),
    );
    bytes
}

struct Dice(u64);

impl Rng for Dice {
    fn fill(&mut self, buffer: &mut [u8]) {
        for octet in buffer {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *octet = self.0.to_be_bytes()[0];
        }
    }
}

const NAME: &str = "www.example.org.";

/// Asks, and answers with one address, so that the cache has it.
fn fill(resolver: &mut Resolver<'_>, cx: &mut Cx<'_>, server: SocketAddr) {
    resolver.set_servers(cx, &[server.into()]);
    let kind = QueryKind::Type(RecordType::A);
    let key = resolver.query(cx, NAME, kind, QueryOptions::default()).expect("a query");
    let mut buffer = [0; 1_500];
    for _ in 0..8 {
        let transmit = resolver.poll_transmit(cx, &mut buffer);
        let Some(Transmit::Datagram { socket, bytes, .. }) = transmit else { continue };
        let query = Message::parse(bytes).expect("our own query");
        let question = query.question().expect("one question");
        let header =
            Header { id: query.header().id, qr: true, rd: true, ra: true, ..Header::default() };
        let mut reply = [0; 512];
        let mut encoder = Encoder::new(&mut reply, header).expect("room");
        encoder.question(question.qname, question.qtype, question.qclass).expect("room");
        let address = RData::A(Ipv4Addr::new(192, 0, 2, 1));
        encoder.record(Section::Answer, question.qname, 3_600, &address).expect("room");
        let reply = encoder.finish().expect("room");
        let input = Input::Datagram { socket, from: server, bytes: reply, received_at: cx.now };
        resolver.handle_input(cx, input).expect("a good reply");
        break;
    }
    while resolver.poll_event().is_some() {}
    assert!(resolver.result(key).is_some(), "the query has ended");
    resolver.release(cx, key);
}

fn cached(rounds: usize) {
    let server = SocketAddr::from(([192, 0, 2, 53], 53));
    let mut storage = SmallStorage::new();
    let mut resolver = Resolver::new(Config::default(), &mut storage);
    let mut dice = Dice(1);
    let now = Instant::ZERO + Duration::from_secs(100);
    let mut cx = Cx { now, utc: Utc::UNIX_EPOCH, rng: &mut dice };
    fill(&mut resolver, &mut cx, server);
    let name = Name::from_text(NAME).expect("a name");
    let mut hit = |target: bringup_dns::client::Target<'_>| {
        let kind = QueryKind::Type(RecordType::A);
        let key = resolver.query(&mut cx, target, kind, QueryOptions::default()).expect("a query");
        black_box(resolver.poll_event());
        let first = resolver.result(key).and_then(|answer| answer.addresses().next());
        assert!(first.is_some(), "from the cache");
        resolver.release(&mut cx, key);
    };
    let hit = std::cell::RefCell::new(&mut hit);
    let mut map: HashMap<String, Vec<IpAddr>> = HashMap::new();
    map.insert(NAME.into(), vec![Ipv4Addr::new(192, 0, 2, 1).into()]);
    table(
        "A query that the cache answers: ask, event, first address, release",
        Ratio::Cpu,
        rounds,
        vec![
            Contender::new("**bringup**, by name", || {
                repeat(TIMES, || (hit.borrow_mut())((&name).into()))
            }),
            Contender::new("bringup, by text", || {
                repeat(TIMES, || (hit.borrow_mut())(black_box(NAME).into()))
            }),
            Contender::new("floor: HashMap of lower-cased text, no TTL", || {
                repeat(TIMES, || {
                    let found = map.get(&black_box(NAME).to_ascii_lowercase());
                    black_box(found.cloned());
                })
            }),
        ],
    );
}

pub(crate) fn run(rounds: usize) {
    println!("\n## DNS");
    println!(
        "\nAbsent: c-ares and getaddrinfo (not Rust crates; no C is built here yet), hickory-resolver and \
         domain (left out to keep the build short), so that nothing is said yet about uncached lookups."
    );
    let rows = [
        ("1 A", response(0, 1)),
        ("3 CNAME and 8 A", response(3, 8)),
        ("30 A", response(0, 30)),
        ("NXDOMAIN with SOA", denied()),
    ];
    for (what, bytes) in &rows {
        let found = by_hand(bytes).map(|list| list.1);
        let all = [ours(bytes), hickory(bytes), simple_dns(bytes), dns_parser(bytes)];
        for (list, who) in all.iter().zip(["bringup", "hickory-proto", "simple-dns", "dns-parser"])
        {
            let read = list.as_ref().map(|list| list.1);
            if read != found {
                println!("\n{what}: {who} reads {read:?} addresses instead of {found:?}.");
            }
        }
        table(
            &format!("Read a response to its list of addresses: {what}"),
            Ratio::Cpu,
            rounds,
            vec![
                Contender::new("**bringup**", || {
                    repeat(TIMES, || _ = black_box(ours(black_box(bytes))))
                }),
                Contender::new("hickory-proto", || {
                    repeat(TIMES, || _ = black_box(hickory(black_box(bytes))))
                }),
                Contender::new("simple-dns", || {
                    repeat(TIMES, || _ = black_box(simple_dns(black_box(bytes))))
                }),
                Contender::new("dns-parser", || {
                    repeat(TIMES, || _ = black_box(dns_parser(black_box(bytes))))
                }),
                Contender::new("floor: by hand, little is checked", || {
                    repeat(TIMES, || _ = black_box(by_hand(black_box(bytes))))
                }),
            ],
        );
    }
    cached(rounds);
}
