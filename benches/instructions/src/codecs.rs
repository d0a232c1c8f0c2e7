//! Messages of the three protocols, and a hit of the resolver's cache.

use std::collections::VecDeque;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};

use bringup_core::client::{Client, Cx, Input, Mac, Rng, Transmit};
use bringup_core::time::{Duration, Instant, Utc};
use bringup_core::wire::Writer;
use bringup_dhcp::code::{self, MessageType};
use bringup_dhcp::message::{Header as Bootp, Message as Dhcp, MessageWriter};
use bringup_dns::client::LargeStorage;
use bringup_dns::encode::Encoder;
use bringup_dns::message::{Header, Message, Section};
use bringup_dns::{
    Class, Config, Event, Name, QueryKind, QueryOptions, RData, RecordType, Resolver, SmallStorage,
};
use bringup_ntp::accept::{Pending, judge, matches};
use bringup_ntp::packet::Packet;
use bringup_ntp::timestamp::{Short, Timestamp};

const NAME: &str = "www.example.org";
const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const NONCE: u64 = 0x0123_4567_89AB_CDEF;
/// 2026-11-24, seconds since 1970.
const UNIX_S: i64 = 1_795_478_400;

/// A response to a question for [`NAME`]: a chain of aliases, then addresses; compressed as servers do it.
fn response(aliases: u8, addresses: u8) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, aliases + addresses, 0, 0, 0, 0];
    bytes.extend(b"\x03www\x07example\x03org\0\0\x01\0\x01");
    // Every target is a label before the `example.org` of the question, which is at offset 16.
    let mut owner = 12;
    for number in 0..aliases {
        bytes.extend([0xC0, owner, 0, 5, 0, 1, 0, 0, 1, 0, 0, 6]);
        owner = u8::try_from(bytes.len()).expect("a short chain");
        bytes.extend([3, b'c', b'd', b'0' + number, 0xC0, 16]);
    }
    for number in 0..addresses {
        bytes.extend([0xC0, owner, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 192, 0, 2, number]);
    }
    bytes
}

fn read(bytes: &[u8], times: usize) {
    for _ in 0..times {
        let message = Message::parse(black_box(bytes)).expect("a good message");
        for record in message.records(Section::Answer) {
            if let RData::A(address) = record.data() {
                black_box(address);
            }
        }
    }
}

pub(crate) fn dns_one(times: usize) {
    read(&response(0, 1), times);
}

pub(crate) fn dns_chain(times: usize) {
    read(&response(3, 8), times);
}

pub(crate) fn dns_query(times: usize) {
    let name = Name::from_text(NAME).expect("a name");
    let mut buffer = [0; 512];
    for _ in 0..times {
        let header = Header { id: black_box(1), rd: true, ..Header::default() };
        let mut encoder = Encoder::new(&mut buffer, header).expect("room");
        encoder.question(name.view(), RecordType::A, Class::IN).expect("room");
        black_box(encoder.finish().expect("room"));
    }
}

/// The same numbers for everybody.
struct Dice(u64);

impl Rng for Dice {
    fn fill(&mut self, buffer: &mut [u8]) {
        for octet in buffer {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *octet = self.0.to_be_bytes()[0];
        }
    }
}

/// Asks, and answers with one address, so that the cache has it.
fn fill(resolver: &mut Resolver<'_>, cx: &mut Cx<'_>) {
    let server = SocketAddr::from(([192, 0, 2, 53], 53));
    resolver.set_servers(cx, &[server.into()]);
    let kind = QueryKind::Type(RecordType::A);
    let key = resolver.query(cx, NAME, kind, QueryOptions::default()).expect("a query");
    let mut buffer = [0; 1_500];
    for _ in 0..8 {
        let transmit = resolver.poll_transmit(cx, &mut buffer);
        let Some(Transmit::Datagram { socket, bytes, .. }) = transmit else { continue };
        let id = Message::parse(bytes).expect("our own query").header().id;
        let mut reply = response(0, 1);
        reply.splice(..2, id.to_be_bytes());
        let input = Input::Datagram { socket, from: server, bytes: &reply, received_at: cx.now };
        resolver.handle_input(cx, input).expect("a good reply");
        break;
    }
    while resolver.poll_event().is_some() {}
    assert!(resolver.result(key).is_some(), "the query has ended");
    resolver.release(cx, key);
}

pub(crate) fn dns_hit(times: usize) {
    let mut storage = SmallStorage::new();
    let mut resolver = Resolver::new(Config::default(), &mut storage);
    let mut dice = Dice(1);
    let now = Instant::ZERO + Duration::from_secs(100);
    let mut cx = Cx { now, utc: Utc::UNIX_EPOCH, rng: &mut dice };
    fill(&mut resolver, &mut cx);
    let name = Name::from_text(NAME).expect("a name");
    let kind = QueryKind::Type(RecordType::A);
    for _ in 0..times {
        let key = resolver.query(&mut cx, &name, kind, QueryOptions::default()).expect("a query");
        black_box(resolver.poll_event());
        let first = resolver.result(key).and_then(|answer| answer.addresses().next());
        assert!(first.is_some(), "from the cache");
        resolver.release(&mut cx, key);
    }
}

/// Names that nobody has asked for, 256 at a time: ask, query, reply, event, first address, release.
pub(crate) fn dns_uncached(times: usize) {
    const AT_ONCE: usize = 256;
    let mut storage = Box::new(LargeStorage::new());
    let mut resolver = Resolver::new(Config::default(), &mut storage);
    let mut dice = Dice(1);
    let now = Instant::ZERO + Duration::from_secs(100);
    let mut cx = Cx { now, utc: Utc::UNIX_EPOCH, rng: &mut dice };
    let server = SocketAddr::from(([192, 0, 2, 53], 53));
    resolver.set_servers(&mut cx, &[server.into()]);
    let kind = QueryKind::Type(RecordType::A);
    let mut out = VecDeque::new();
    let mut buffer = [0; 512];
    for number in 0..times {
        let name = format!("n{number}.bench.example.");
        resolver.query(&mut cx, name.as_str(), kind, QueryOptions::default()).expect("a query");
        while let Some(transmit) = resolver.poll_transmit(&mut cx, &mut buffer) {
            if let Transmit::Datagram { socket, bytes, .. } = transmit {
                out.push_back((socket, bytes.to_vec()));
            }
        }
        if out.len() < AT_ONCE {
            continue;
        }
        let Some((socket, mut reply)) = out.pop_front() else { continue };
        let end = reply.windows(4).position(|w| w == [0, 1, 0, 1]).expect("a question") + 4;
        reply.truncate(end);
        reply[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        reply.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
        let input = Input::Datagram { socket, from: server, bytes: &reply, received_at: now };
        resolver.handle_input(&mut cx, input).expect("a good reply");
        let Some(Event::Done { key, .. }) = resolver.poll_event() else { panic!("it has ended") };
        let first = resolver.result(key).and_then(|answer| answer.addresses().next());
        assert!(first.is_some(), "an address");
        resolver.release(&mut cx, key);
    }
}

/// What dnsmasq sends, more or less.
fn ack(buffer: &mut [u8]) -> &[u8] {
    const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    let header = Bootp::request(MAC, 1).reply(Ipv4Addr::new(192, 0, 2, 100));
    let mut w = MessageWriter::new(buffer, &header, MessageType::Ack).expect("room");
    w.address(code::SERVER_IDENTIFIER, ROUTER).expect("room");
    w.u32(code::LEASE_TIME, 43_200).expect("room");
    w.u32(code::RENEWAL_TIME, 21_600).expect("room");
    w.u32(code::REBINDING_TIME, 37_800).expect("room");
    w.address(code::SUBNET_MASK, Ipv4Addr::new(255, 255, 255, 0)).expect("room");
    w.address(code::BROADCAST_ADDRESS, Ipv4Addr::new(192, 0, 2, 255)).expect("room");
    w.address(code::ROUTER, ROUTER).expect("room");
    w.option(code::DNS_SERVER, &[192, 0, 2, 1, 192, 0, 2, 2]).expect("room");
    w.option(code::DOMAIN_NAME, b"example.org").expect("room");
    w.finish().expect("room")
}

pub(crate) fn dhcp_ack(times: usize) {
    let mut buffer = [0; 576];
    let bytes = ack(&mut buffer);
    for _ in 0..times {
        let message = Dhcp::parse(black_box(bytes)).expect("a good message");
        assert_eq!(message.message_type(), Some(MessageType::Ack));
        for option in message.options() {
            black_box(option.value.address());
        }
    }
}

pub(crate) fn dhcp_discover(times: usize) {
    let mut buffer = [0; 576];
    for _ in 0..times {
        let header = Bootp::request(MAC, black_box(1));
        let mut w = MessageWriter::new(&mut buffer, &header, MessageType::Discover).expect("room");
        w.option(code::CLIENT_IDENTIFIER, &[1, 2, 0, 0, 0, 0, 1]).expect("room");
        w.u16(code::MAX_MESSAGE_SIZE, 1_472).expect("room");
        w.option(code::PARAMETER_REQUEST, &[1, 3, 6, 15, 28, 42, 121, 26]).expect("room");
        black_box(w.finish().expect("room"));
    }
}

pub(crate) fn ntp_request(times: usize) {
    let mut buffer = [0; 48];
    for _ in 0..times {
        let packet = Packet::request(black_box(NONCE));
        packet.write(&mut Writer::new(&mut buffer)).expect("48 octets");
        black_box(&buffer);
    }
}

pub(crate) fn ntp_reply(times: usize) {
    let server = SocketAddr::from(([192, 0, 2, 1], 123));
    let now = Utc::from_unix_secs(UNIX_S);
    let face = Packet {
        stratum: 2,
        precision: -23,
        root_delay: Short::from_nanos(5_000_000),
        root_dispersion: Short::from_nanos(10_000_000),
        reference_id: [192, 0, 2, 7],
        reference: Timestamp::from_utc(now.offset_by(-60_000_000_000)),
        ..Packet::default()
    };
    let receive = Timestamp::from_utc(now.offset_by(500_000));
    let transmit = Timestamp::from_utc(now.offset_by(520_000));
    let mut bytes = [0; 48];
    let reply = Packet::request(NONCE).reply(&face, receive, transmit);
    reply.write(&mut Writer::new(&mut bytes)).expect("48 octets");
    let pending = Pending { server, nonce: NONCE, sent_at: Instant::from_micros(5_000) };
    let floor = Utc::from_unix_secs(UNIX_S - 86_400);
    for _ in 0..times {
        // Nothing that a program does not know before may be known here.
        let (pending, bytes) = (black_box(&pending), black_box(bytes.as_slice()));
        let (packet, trailer) = matches(pending, black_box(server), bytes).expect("it matches");
        let received_at = black_box(Instant::from_micros(6_000));
        let got = judge(&packet, trailer, pending.sent_at, received_at, black_box(floor));
        black_box(got.expect("good"));
    }
}
