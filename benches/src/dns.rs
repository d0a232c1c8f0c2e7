//! DNS: reading a response down to its addresses, and a query that the cache can answer.

use std::collections::HashMap;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bringup_core::client::{Client, Cx, Input, Rng, Transmit};
use bringup_core::time::{Duration, Instant, Utc};
use bringup_dns::encode::{self, Encoder, QueryFlags};
use bringup_dns::message::{Header, Message, Section};
use bringup_dns::{
    Class, Config, Name, QueryKind, QueryOptions, RData, RecordType, Resolver, SmallStorage,
};

use crate::measure::{Contender, Ratio, repeat, table};

const TIMES: usize = 50_000;
/// The most addresses that are taken of a response.
const MAX: usize = 32;

/// A name, and what reads a response.
type Reader = (&'static str, fn(&[u8]) -> Option<List>);

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

/// Takes the addresses while the message is checked.
fn ours(bytes: &[u8]) -> Option<List> {
    let mut list = List([Ipv4Addr::UNSPECIFIED; MAX], 0);
    Message::parse_with(bytes, |section, record| {
        if let (Section::Answer, Some(IpAddr::V4(address))) = (section, record.address()) {
            if let Some(to) = list.0.get_mut(list.1) {
                (*to, list.1) = (address, list.1 + 1);
            }
        }
    })
    .ok()?;
    Some(list)
}

/// Checks the message, then reads its records.
fn ours_twice(bytes: &[u8]) -> Option<List> {
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

fn domain(bytes: &[u8]) -> Option<List> {
    let message = domain::base::Message::from_octets(bytes).ok()?;
    let answers = message.answer().ok()?.limit_to::<domain::rdata::A>();
    Some(answers.filter_map(|record| Some(record.ok()?.data().addr())).collect())
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

/// The floor of those who check what a client has to: every name's labels, length and pointers, every
/// record's bounds, the length of an address, that no record is left out, and OPT's place.
fn by_hand_checked(bytes: &[u8]) -> Option<List> {
    let word = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    // Where the name ends.
    let name = |start: usize| {
        let (mut at, mut run, mut end, mut length, mut hops) = (start, start, None, 1, 0);
        loop {
            match *bytes.get(at)? {
                0 => return Some(end.unwrap_or(at + 1)),
                head @ 0xC0.. => {
                    let target = usize::from(head & 0x3F) << 8 | usize::from(*bytes.get(at + 1)?);
                    end = end.or(Some(at + 2));
                    hops += 1;
                    if target < 12 || target >= run || hops > 128 {
                        return None;
                    }
                    (at, run) = (target, target);
                }
                label @ ..=63 => {
                    length += usize::from(label) + 1;
                    at += usize::from(label) + 1;
                    if length > 255 {
                        return None;
                    }
                }
                _ => return None,
            }
        }
    };
    if word(4)? != 1 {
        return None;
    }
    let mut at = name(12)? + 4;
    let mut list = List([Ipv4Addr::UNSPECIFIED; MAX], 0);
    let mut has_opt = false;
    for section in 0..3 {
        for _ in 0..word(6 + 2 * section)? {
            let owner = at;
            at = name(at)?;
            let head = bytes.get(at..at + 10)?;
            let (rtype, class) = (word(at)?, word(at + 2)?);
            let start = at + 10;
            at = start + usize::from(u16::from_be_bytes([head[8], head[9]]));
            let data = bytes.get(start..at)?;
            match rtype {
                1 if class == 1 => {
                    let octets = <[u8; 4]>::try_from(data).ok()?;
                    if section == 0 {
                        *list.0.get_mut(list.1)? = octets.into();
                        list.1 += 1;
                    }
                }
                28 if class == 1 && data.len() != 16 => return None,
                2 | 5 | 12 if name(start)? != at => return None,
                15 if name(start + 2)? != at => return None,
                6 if name(name(start)?)? + 20 != at => return None,
                16 => {
                    let mut text = start;
                    while text < at {
                        text += usize::from(bytes[text]) + 1;
                    }
                    if text != at || data.is_empty() {
                        return None;
                    }
                }
                41 if section != 2 || has_opt || bytes[owner] != 0 => return None,
                41 => has_opt = true,
                _ => {}
            }
        }
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

/// Eight texts of 60 octets, or two exchanges and their addresses.
fn with_data(rtype: RecordType) -> Vec<u8> {
    let name = Name::from_text(NAME).expect("a name");
    let hosts = ["mx1.example.org", "mx2.example.org"].map(|n| Name::from_text(n).expect("a name"));
    let header = Header { id: 0x1234, qr: true, rd: true, ra: true, ..Header::default() };
    let mut buffer = [0; 1_232];
    let mut encoder = Encoder::new(&mut buffer, header).expect("room");
    encoder.question(name.view(), rtype, Class::IN).expect("room");
    let text = [&[59_u8][..], &[b'x'; 59]].concat();
    let address = RData::A(Ipv4Addr::new(192, 0, 2, 1));
    if rtype == RecordType::TXT {
        let data = RData::Opaque { rtype, bytes: &text };
        for _ in 0..8 {
            encoder.record(Section::Answer, name.view(), 300, &data).expect("room");
        }
    } else {
        for (preference, host) in (1..).zip(&hosts) {
            let data = RData::Mx { preference, exchange: host.view() };
            encoder.record(Section::Answer, name.view(), 300, &data).expect("room");
        }
        for host in &hosts {
            encoder.record(Section::Additional, host.view(), 300, &address).expect("room");
        }
    }
    encoder.finish().expect("room").to_vec()
}

/// Queries for an address, with EDNS where the peer has it.
fn encode(rounds: usize) {
    let name = Name::from_text(NAME).expect("a name");
    let mut buffer = [0; 512];
    let flags = QueryFlags { edns_udp_size: Some(1_232), ad: false, cd: false };
    let mut contenders = vec![
        Contender::new("**bringup**", || {
            repeat(TIMES, || {
                let qname = black_box(&name).view();
                let bytes = encode::query(&mut buffer, 1, qname, RecordType::A, flags);
                _ = black_box(bytes.map(|bytes| bytes.len()));
            })
        }),
        Contender::new("hickory-proto", || {
            use hickory_proto::op::{Edns, Message, Query};
            use hickory_proto::rr::{Name, RecordType};
            let name = Name::from_ascii(NAME).expect("a name");
            repeat(TIMES, || {
                let mut message = Message::new();
                message.set_id(1).set_recursion_desired(true);
                message.add_query(Query::query(black_box(&name).clone(), RecordType::A));
                let mut edns = Edns::new();
                edns.set_max_payload(1_232);
                message.set_edns(edns);
                black_box(message.to_vec().expect("it fits"));
            })
        }),
        Contender::new("domain", || {
            use domain::base::{MessageBuilder, Name, Rtype};
            let name: Name<Vec<u8>> = NAME.parse().expect("a name");
            repeat(TIMES, || {
                let mut builder = MessageBuilder::from_target(Vec::new()).expect("a vector");
                builder.header_mut().set_id(1);
                builder.header_mut().set_rd(true);
                let mut builder = builder.question();
                builder.push((black_box(&name), Rtype::A)).expect("room");
                let mut builder = builder.additional();
                let edns = builder.opt(|opt| {
                    opt.set_udp_payload_size(1_232);
                    Ok(())
                });
                edns.expect("room");
                black_box(builder.finish());
            })
        }),
        Contender::new("simple-dns, no EDNS", || {
            use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, TYPE};
            repeat(TIMES, || {
                let mut packet = Packet::new_query(1);
                packet.set_flags(PacketFlag::RECURSION_DESIRED);
                let name = Name::new_unchecked(black_box(NAME.trim_end_matches('.')));
                packet.questions.push(Question::new(name, TYPE::A.into(), CLASS::IN.into(), false));
                black_box(packet.build_bytes_vec().expect("it fits"));
            })
        }),
        Contender::new("dns-parser, no EDNS", || {
            use dns_parser::{Builder, QueryClass, QueryType};
            repeat(TIMES, || {
                let mut builder = Builder::new_query(1, true);
                let name = black_box(NAME.trim_end_matches('.'));
                builder.add_question(name, false, QueryType::A, QueryClass::IN);
                _ = black_box(builder.build());
            })
        }),
    ];
    #[cfg(cares)]
    contenders.push(Contender::new("c-ares", || crate::ares::encode(TIMES, c"www.example.org.")));
    contenders.push(Contender::new("floor: copies what was written before", || {
        let mut buffer = [0; 512];
        let written = encode::query(&mut buffer, 1, name.view(), RecordType::A, flags);
        let written = written.expect("it fits").to_vec();
        let mut buffer = [0; 512];
        repeat(TIMES, || {
            buffer[..written.len()].copy_from_slice(black_box(&written));
            black_box(&mut buffer);
        })
    }));
    table("Write a query", Ratio::Cpu, rounds, contenders);
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
    if cfg!(not(cares)) {
        println!("\nAbsent: c-ares, which `benches/run` builds where there is a C compiler.");
    }
    let rows = [
        ("1 A", response(0, 1)),
        ("3 CNAME and 8 A", response(3, 8)),
        ("8 TXT", with_data(RecordType::TXT)),
        ("2 MX and 2 A beside them", with_data(RecordType::MX)),
        ("30 A", response(0, 30)),
        ("NXDOMAIN with SOA", denied()),
    ];
    for (what, bytes) in &rows {
        let found = by_hand(bytes).map(|list| list.1);
        let readers: [Reader; 8] = [
            ("**bringup**", ours),
            ("bringup, checked first and read then", ours_twice),
            ("hickory-proto", hickory),
            ("domain", domain),
            ("simple-dns", simple_dns),
            ("dns-parser", dns_parser),
            ("floor: by hand, all is checked", by_hand_checked),
            ("floor: by hand, little is checked", by_hand),
        ];
        for (who, read) in readers {
            let read = read(bytes).map(|list| list.1);
            if read != found {
                println!("\n{what}: {who} reads {read:?} addresses instead of {found:?}.");
            }
        }
        let contender = |(who, read): Reader| {
            Contender::new(who, move || repeat(TIMES, || _ = black_box(read(black_box(bytes)))))
        };
        #[cfg(cares)]
        let in_c = [Contender::new("c-ares", || crate::ares::parse(TIMES, bytes))];
        #[cfg(not(cares))]
        let in_c = [];
        let contenders = readers.into_iter().map(contender).chain(in_c).collect();
        let title = format!("Read a response to its list of addresses: {what}");
        table(&title, Ratio::Cpu, rounds, contenders);
    }
    encode(rounds);
    cached(rounds);
}
