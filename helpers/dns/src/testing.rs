//! What the tests share: names, messages, a seeded source of randomness, and a bench that drives a
//! resolver in virtual time.

extern crate std;

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::vec::Vec;

use bringup_core::client::{Client, Cx, Endpoint, Input, Rng, StreamInput, Transmit};
use bringup_core::error::ErrorKind;
use bringup_core::time::{Duration, Instant, Utc};

use crate::client::{Event, QueryOptions, Resolver, ResolverStorage};
use crate::config::Config;
use crate::counters::Discard;
use crate::encode::Encoder;
use crate::message::{Header, Message, Rcode, Section};
use crate::name::Name;
use crate::query::{Outcome, QueryKey, QueryKind};
use crate::record::{Class, RData, RecordType, Soa};

pub(crate) fn name(text: &str) -> Name {
    Name::from_text(text).unwrap_or_else(|why| panic!("{text}: {why:?}"))
}

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn a(last: u8) -> RData<'static> {
    RData::A([192, 0, 2, last].into())
}

pub(crate) fn aaaa(last: u16) -> RData<'static> {
    RData::Aaaa([0x2001, 0xDB8, 0, 0, 0, 0, 0, last].into())
}

/// SplitMix64.
#[derive(Clone)]
pub(crate) struct Seeded(pub(crate) u64);

impl Rng for Seeded {
    fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let bytes = (z ^ (z >> 31)).to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

/// A response to be.
pub(crate) struct Reply {
    pub(crate) header: Header,
    pub(crate) question: Option<(Name, RecordType, Class)>,
    records: Vec<(Section, Name, u32, Vec<u8>, RecordType)>,
    pub(crate) edns: Option<Rcode>,
    /// EDNS options in wire form.
    pub(crate) options: Vec<u8>,
}

impl Reply {
    /// An empty response to `query`.
    pub(crate) fn to(query: &[u8]) -> Self {
        let message = Message::parse(query).expect("queries are well formed");
        let question = message.question().expect("a query has a question");
        let header = Header { qr: true, ra: true, rcode: 0, ..message.header() };
        let question = Some((question.qname.to_name(), question.qtype, question.qclass));
        Self {
            header,
            question,
            records: Vec::new(),
            edns: Some(Rcode::NOERROR),
            options: Vec::new(),
        }
    }

    pub(crate) fn rcode(mut self, rcode: Rcode) -> Self {
        self.header.rcode = u8::try_from(rcode.0 & 15).unwrap();
        self.edns = Some(rcode);
        self
    }

    pub(crate) fn record(
        mut self,
        section: Section,
        owner: &str,
        ttl: u32,
        data: &RData<'_>,
    ) -> Self {
        let mut bytes = [0; 4096];
        let mut w = bringup_core::wire::Writer::new(&mut bytes);
        data.write(&mut w).expect("test data fits");
        self.records.push((section, name(owner), ttl, w.finish().to_vec(), data.rtype()));
        self
    }

    pub(crate) fn answer(self, owner: &str, ttl: u32, data: &RData<'_>) -> Self {
        self.record(Section::Answer, owner, ttl, data)
    }

    pub(crate) fn cname(self, owner: &str, ttl: u32, target: &str) -> Self {
        self.answer(owner, ttl, &RData::Cname(name(target).view()))
    }

    /// With a COOKIE option of this data.
    pub(crate) fn cookie(mut self, data: &[u8]) -> Self {
        self.options.extend([0, 10, 0, u8::try_from(data.len()).unwrap()]);
        self.options.extend(data);
        self
    }

    /// With an SOA of `zone` in the authority section.
    pub(crate) fn soa(self, zone: &str, ttl: u32, minimum: u32) -> Self {
        let (mname, rname) = (name("ns.example"), name("root.example"));
        let soa = RData::Soa(Soa {
            mname: mname.view(),
            rname: rname.view(),
            serial: 1,
            refresh: 2,
            retry: 3,
            expire: 4,
            minimum,
        });
        self.record(Section::Authority, zone, ttl, &soa)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut buffer = [0; 65_535];
        let mut e = Encoder::new(&mut buffer, self.header).unwrap();
        if let Some((qname, qtype, qclass)) = &self.question {
            e.question(qname.view(), *qtype, *qclass).unwrap();
        }
        for (section, owner, ttl, bytes, rtype) in &self.records {
            let data = RData::Opaque { rtype: *rtype, bytes };
            e.record(*section, owner.view(), *ttl, &data).unwrap();
        }
        if let Some(rcode) = self.edns {
            e.edns(1232, rcode, &self.options).unwrap();
        }
        e.finish().unwrap().to_vec()
    }
}

impl Reply {
    /// The message behind its length.
    pub(crate) fn framed(&self) -> Vec<u8> {
        let mut bytes = self.bytes();
        let length = u16::try_from(bytes.len()).unwrap();
        bytes.splice(0..0, length.to_be_bytes());
        bytes
    }
}

/// A query that the resolver has sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Instant,
    pub(crate) socket: u8,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

impl Sent {
    pub(crate) fn id(&self) -> u16 {
        Message::parse(&self.bytes).unwrap().header().id
    }

    pub(crate) fn qname(&self) -> Name {
        Message::parse(&self.bytes).unwrap().question().unwrap().qname.to_name()
    }

    pub(crate) fn qtype(&self) -> RecordType {
        Message::parse(&self.bytes).unwrap().question().unwrap().qtype
    }

    /// The data of its COOKIE option.
    pub(crate) fn cookie(&self) -> Option<Vec<u8>> {
        let edns = Message::parse(&self.bytes).unwrap().edns()?;
        edns.options().find(|(code, _)| *code == 10).map(|(_, data)| data.to_vec())
    }

    pub(crate) fn reply(&self) -> Reply {
        Reply::to(&self.bytes)
    }
}

pub(crate) type Storage = ResolverStorage<8, 32, 4_096>;

/// A resolver, its virtual time, and what it has done.
pub(crate) struct Bench<'m> {
    pub(crate) resolver: Resolver<'m>,
    pub(crate) now: Instant,
    pub(crate) utc: Utc,
    pub(crate) rng: Seeded,
    pub(crate) sent: Vec<Sent>,
    pub(crate) events: Vec<Event>,
    /// The peers of open sockets.
    pub(crate) open: BTreeMap<u8, SocketAddr>,
    pub(crate) opened: usize,
    /// The interface of every socket that was opened.
    pub(crate) interfaces: Vec<Option<u32>>,
    /// Servers that refuse what is sent to them.
    pub(crate) refusing: Vec<(SocketAddr, ErrorKind)>,
    /// Whether the platform has connections at all.
    pub(crate) tcp: bool,
    /// Open connections: their peers, and the octets of a message that is not whole yet.
    pub(crate) conns: BTreeMap<u8, (SocketAddr, Vec<u8>)>,
    /// Every connection asked for.
    pub(crate) connects: Vec<SocketAddr>,
    /// What was sent over TCP, message by message; `socket` is the connection.
    pub(crate) sent_tcp: Vec<Sent>,
    /// How many octets one write takes.
    pub(crate) write_room: usize,
}

pub(crate) const SERVERS: [&str; 3] = ["192.0.2.53:53", "192.0.2.54:53", "[2001:db8::53]:53"];

impl<'m> Bench<'m> {
    /// A bench with so many of [`SERVERS`].
    pub(crate) fn new<const Q: usize, const E: usize, const B: usize, const S: usize>(
        storage: &'m mut ResolverStorage<Q, E, B, S>,
        servers: usize,
    ) -> Self {
        let mut bench = Self {
            resolver: Resolver::new(Config::DEFAULT, storage),
            now: Instant::from_micros(1_000_000_000),
            utc: Utc::UNIX_EPOCH,
            rng: Seeded(1),
            sent: Vec::new(),
            events: Vec::new(),
            open: BTreeMap::new(),
            opened: 0,
            interfaces: Vec::new(),
            refusing: Vec::new(),
            tcp: false,
            conns: BTreeMap::new(),
            connects: Vec::new(),
            sent_tcp: Vec::new(),
            write_room: usize::MAX,
        };
        bench.set_servers(&SERVERS[..servers]);
        bench
    }

    /// Calls the resolver, and drains it as the rule asks.
    pub(crate) fn with<T>(&mut self, f: impl FnOnce(&mut Resolver<'m>, &mut Cx<'_>) -> T) -> T {
        let mut cx = Cx { now: self.now, utc: self.utc, rng: &mut self.rng };
        let value = f(&mut self.resolver, &mut cx);
        self.drain();
        value
    }

    fn drain(&mut self) {
        let mut buffer = [0xEE; 512];
        for turn in 0.. {
            assert!(turn < 10_000, "the resolver never stops sending");
            let mut cx = Cx { now: self.now, utc: self.utc, rng: &mut self.rng };
            let Some(transmit) = self.resolver.poll_transmit(&mut cx, &mut buffer) else { break };
            let mut answer = None;
            match transmit {
                Transmit::Open { socket, endpoint: Endpoint::Udp { local, peer, interface } } => {
                    assert!(local.ip().is_unspecified() && local.port() == 0);
                    self.open.insert(socket, peer.unwrap());
                    self.interfaces.push(interface);
                    self.opened += 1;
                }
                Transmit::Close { socket } => {
                    assert!(self.open.remove(&socket).is_some(), "{socket} was not open");
                }
                Transmit::Datagram { socket, to, bytes } => {
                    assert_eq!(self.open.get(&socket), Some(&to), "sent to its peer");
                    match self.refusing.iter().find(|(server, _)| *server == to) {
                        Some((_, why)) => {
                            answer = Some(Input::SendFailed { socket, why: *why });
                        }
                        None => {
                            let bytes = bytes.to_vec();
                            self.sent.push(Sent { at: self.now, socket, to, bytes });
                        }
                    }
                }
                Transmit::Connect { conn, to, .. } if self.tcp => {
                    self.conns.insert(conn, (to, Vec::new()));
                    self.connects.push(to);
                }
                Transmit::Connect { conn, .. } => {
                    answer = Some(Input::Stream { conn, input: StreamInput::Closed });
                }
                Transmit::Stream { conn, bytes } => {
                    let (to, received) = self.conns.get_mut(&conn).expect("it is open");
                    let taken = bytes.len().min(self.write_room);
                    received.extend_from_slice(&bytes[..taken]);
                    while let Some((head, rest)) = received.split_first_chunk::<2>() {
                        let length = usize::from(u16::from_be_bytes(*head));
                        let Some(message) = rest.get(..length) else { break };
                        let (at, to, bytes) = (self.now, *to, message.to_vec());
                        self.sent_tcp.push(Sent { at, socket: conn, to, bytes });
                        received.drain(..length + 2);
                    }
                    answer = Some(Input::Stream { conn, input: StreamInput::Sent(taken) });
                }
                Transmit::Disconnect { conn } => {
                    assert!(self.conns.remove(&conn).is_some(), "{conn} was not open");
                }
                other => panic!("{other:?}"),
            }
            if let Some(answer) = answer {
                let mut cx = Cx { now: self.now, utc: self.utc, rng: &mut self.rng };
                self.resolver.handle_input(&mut cx, answer).unwrap();
            }
        }
        while let Some(event) = self.resolver.poll_event() {
            self.events.push(event);
        }
    }

    pub(crate) fn set_servers(&mut self, servers: &[&str]) {
        let parse = |s: &&str| s.parse::<SocketAddr>().unwrap().into();
        let list: Vec<_> = servers.iter().map(parse).collect();
        self.with(|r, cx| r.set_servers(cx, &list));
    }

    pub(crate) fn query(&mut self, text: &str, kind: QueryKind) -> QueryKey {
        let options = QueryOptions::default();
        self.with(|r, cx| r.query(cx, text, kind, options)).expect("a query is accepted")
    }

    pub(crate) fn query_a(&mut self, text: &str) -> QueryKey {
        self.query(text, QueryKind::Type(RecordType::A))
    }

    /// Lets time pass, timer by timer.
    pub(crate) fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        for turn in 0.. {
            assert!(turn < 100_000, "the timer fires without end");
            let Some(at) = self.resolver.poll_timeout().filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            self.with(|r, cx| r.handle_timeout(cx));
            let next = self.resolver.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "the timer would spin");
        }
        self.now = end;
    }

    /// What has been sent since the last call.
    pub(crate) fn take_sent(&mut self) -> Vec<Sent> {
        core::mem::take(&mut self.sent)
    }

    /// The one query that has been sent since the last call.
    pub(crate) fn one_sent(&mut self) -> Sent {
        let mut sent = self.take_sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        core::mem::take(&mut self.events)
    }

    /// The outcome of `key`, which is all that has been said since the last call.
    pub(crate) fn outcome(&mut self, key: QueryKey) -> Outcome {
        match self.take_events()[..] {
            [Event::Done { key: k, outcome }] if k == key => outcome,
            ref other => panic!("{other:?}"),
        }
    }

    pub(crate) fn receive(
        &mut self,
        socket: u8,
        from: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), Discard> {
        let received_at = self.now;
        let input = Input::Datagram { socket, from, bytes, received_at };
        self.with(|r, cx| r.handle_input(cx, input))
    }

    /// Gives the resolver this reply to what it has sent.
    pub(crate) fn reply(&mut self, sent: &Sent, reply: &Reply) {
        self.receive(sent.socket, sent.to, &reply.bytes()).expect("the reply is accepted");
    }

    /// Something happens on a connection.
    pub(crate) fn stream(&mut self, conn: u8, input: StreamInput<'_>) -> Result<(), Discard> {
        if input == StreamInput::Closed {
            self.conns.remove(&conn);
        }
        self.with(|r, cx| r.handle_input(cx, Input::Stream { conn, input }))
    }

    pub(crate) fn take_sent_tcp(&mut self) -> Vec<Sent> {
        core::mem::take(&mut self.sent_tcp)
    }

    /// The one query that has been sent over TCP since the last call.
    pub(crate) fn one_sent_tcp(&mut self) -> Sent {
        let mut sent = self.take_sent_tcp();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    /// Gives the resolver this reply, in one piece, on the connection.
    pub(crate) fn reply_tcp(&mut self, sent: &Sent, reply: &Reply) {
        let bytes = reply.framed();
        self.stream(sent.socket, StreamInput::Bytes(&bytes)).expect("the reply is accepted");
    }

    /// The records of a result as dig prints them, blanks for tabs.
    pub(crate) fn records(&self, key: QueryKey) -> Vec<std::string::String> {
        let answer = self.resolver.result(key).expect("there is a result");
        answer.records().map(|r| std::format!("{r}").replace('\t', " ")).collect()
    }

    /// Releases a query and checks that nothing is pinned any more when none is left.
    pub(crate) fn release(&mut self, key: QueryKey) {
        assert!(self.with(|r, cx| r.release(cx, key)));
    }
}
