//! [`dns_resolver`]: the resolver among servers, forgers and callers that do what the input says.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use bringup_core::client::{Client, Cx, Endpoint, Input, Rng, StreamInput, Transmit};
use bringup_core::error::ErrorKind;
use bringup_core::time::{Duration, Instant, Utc};
use bringup_dns::client::{Event, QueryOptions, Resolver, ResolverStorage};
use bringup_dns::encode::Encoder;
use bringup_dns::message::{Header, Message, Rcode, Section};
use bringup_dns::record::Soa;
use bringup_dns::{Class, Config, Discard, Name, Outcome, QueryKey, QueryKind, RData, RecordType};

use crate::data::{Data, Dice};

/// Few of everything, so that every limit is met.
type Storage = ResolverStorage<5, 12, 1_024>;

const SERVERS: [&str; 4] =
    ["192.0.2.53:53", "192.0.2.54:53", "[2001:db8::53]:53", "192.0.2.55:5353"];
const NAMES: [&str; 8] = [
    "a.example.",
    "b.example.",
    "www.a.example.",
    "A.Example",
    "single",
    "x.localhost",
    "c.d.e.example",
    "192.0.2.77",
];
const TYPES: [RecordType; 6] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::CNAME,
    RecordType::TXT,
    RecordType::ANY,
    RecordType::HTTPS,
];
/// An address that only forged replies have.
const POISON: [u8; 4] = [203, 0, 113, 66];
/// RFC 8767 §4 has 7 days; this project a day.
const TTL_MAX_S: u32 = 86_400;
/// Whoever asks sends one question to one server at most so often.
const MAX_SENDS: usize = 3;

/// So long after the last send no lookup is left that nobody waits for.
const QUIET: Duration = Duration::from_secs(10);

/// A query that was sent.
#[derive(Clone, Debug)]
struct Sent {
    socket: u8,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// What the caller knows of a query of his.
struct Asked {
    key: QueryKey,
    deadline: Instant,
    done: bool,
}

/// Randomness that remembers which ids it has given: every attempt at a server draws its own, and two
/// may draw the same.
struct Ids {
    dice: Dice,
    drawn: BTreeMap<u16, usize>,
}

impl Rng for Ids {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.dice.fill(buffer);
        if let [low, high] = *buffer {
            *self.drawn.entry(u16::from_le_bytes([low, high])).or_default() += 1;
        }
    }
}

struct World<'m> {
    resolver: Resolver<'m>,
    now: Instant,
    ids: Ids,
    open: BTreeMap<u8, SocketAddr>,
    sent: Vec<Sent>,
    /// How often each question with its id went to each server.
    sends: BTreeMap<(SocketAddr, Vec<u8>), usize>,
    /// How often each question went to each server since nobody asked, servers or link changed.
    sends_lately: BTreeMap<(SocketAddr, Vec<u8>), usize>,
    /// How many have asked since then, and when something was sent last.
    askers: usize,
    sent_at: Instant,
    asked: Vec<Asked>,
    /// Keys that were given back.
    void: Vec<QueryKey>,
    events: usize,
}

/// Queries end exactly once and in time; sends are bounded; a datagram that answers no question
/// changes nothing, and nothing of it comes out; timers never spin; sockets are opened, used and
/// closed in order.
pub fn dns_resolver(bytes: &[u8]) {
    let mut data = Data::new(bytes);
    let mut storage = Box::new(Storage::new());
    let config = Config {
        sockets_per_server: 1 + data.u8() % 4,
        local_to_servers: data.flag(),
        single_labels: data.flag(),
        ..Config::DEFAULT
    };
    let mut w = World {
        resolver: Resolver::new(config, &mut storage),
        now: Instant::from_micros(5_000_000),
        ids: Ids { dice: Dice(u64::from(data.u8())), drawn: BTreeMap::new() },
        open: BTreeMap::new(),
        sent: Vec::new(),
        sends: BTreeMap::new(),
        sends_lately: BTreeMap::new(),
        askers: 0,
        sent_at: Instant::ZERO,
        asked: Vec::new(),
        void: Vec::new(),
        events: 0,
    };
    w.set_servers(&mut data);
    let mut steps = 0;
    while !data.is_empty() && steps < 200 {
        steps += 1;
        w.act(&mut data);
    }
    // Past every deadline: whoever asked has been told.
    for _ in 0..64 {
        w.pass(Duration::from_secs(1), &mut Data::new(&[]));
    }
    assert!(w.asked.iter().all(|a| a.done), "a caller waits for ever");
    for Asked { key, .. } in core::mem::take(&mut w.asked) {
        w.release(key);
    }
}

impl World<'_> {
    fn cx<T>(&mut self, f: impl FnOnce(&mut Resolver<'_>, &mut Cx<'_>) -> T) -> T {
        let utc = Utc::UNIX_EPOCH;
        f(&mut self.resolver, &mut Cx { now: self.now, utc, rng: &mut self.ids })
    }

    fn act(&mut self, data: &mut Data<'_>) {
        match data.u8() % 16 {
            0 | 1 => self.query(data),
            2 | 3 => {
                let span = Duration::from_micros(data.span_us().min(100_000_000));
                self.pass(span, data);
            }
            4 => self.give_back(data),
            5 => {
                let socket = data.u8() % 64;
                let why = if data.flag() { ErrorKind::Refused } else { ErrorKind::Busy };
                let failed = Input::SendFailed { socket, why };
                let result = self.cx(|r, cx| r.handle_input(cx, failed));
                assert_eq!(result.is_ok(), self.open.contains_key(&socket));
            }
            6 => match data.u8() % 4 {
                0 => self.set_servers(data),
                1 => self.resolver.flush_cache(),
                2 => {
                    self.sends_lately.clear();
                    self.cx(|r, cx| r.link_up(cx));
                }
                _ => self.forged(data),
            },
            7 | 8 => self.forged(data),
            _ => self.reply(data),
        }
        self.drain(data);
    }

    fn set_servers(&mut self, data: &mut Data<'_>) {
        let mask = data.u8();
        let chosen = SERVERS.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 0);
        let list: Vec<_> =
            chosen.map(|(_, s)| s.parse::<SocketAddr>().expect("an address").into()).collect();
        self.sends_lately.clear();
        self.cx(|r, cx| r.set_servers(cx, &list));
    }

    fn query(&mut self, data: &mut Data<'_>) {
        let text = NAMES[data.below(NAMES.len())];
        let kind = match data.below(TYPES.len() + 2) {
            n if n < TYPES.len() => QueryKind::Type(TYPES[n]),
            _ => QueryKind::Addresses,
        };
        if self.asked.iter().all(|a| a.done) && self.now > self.sent_at + QUIET {
            (self.sends_lately, self.askers) = (BTreeMap::new(), 0);
        }
        self.askers += 1;
        let deadline =
            data.rarely().then(|| self.now + Duration::from_millis(u64::from(data.u8())));
        let options = QueryOptions { deadline, ..QueryOptions::default() };
        let result = self.cx(|r, cx| r.query(cx, text, kind, options));
        let Ok(key) = result else {
            assert_eq!(self.asked.len(), 5, "there was a slot");
            return;
        };
        assert!(self.asked.iter().all(|a| a.key != key) && !self.void.contains(&key));
        let deadline = deadline.unwrap_or(self.now + Config::DEFAULT.timeout);
        self.asked.push(Asked { key, deadline, done: false });
    }

    /// Cancels or releases a query; its key, and any that is void, names nothing afterwards.
    fn give_back(&mut self, data: &mut Data<'_>) {
        if self.asked.is_empty() {
            return;
        }
        let chosen = data.below(self.asked.len());
        let key = self.asked[chosen].key;
        if data.flag() {
            let runs = self.resolver.result(key).is_none();
            assert_eq!(self.cx(|r, cx| r.cancel(cx, key)), runs);
            if !runs {
                return;
            }
            self.void.push(key);
        } else {
            self.release(key);
        }
        self.asked.swap_remove(chosen);
        for key in self.void.clone() {
            assert!(self.resolver.result(key).is_none());
            assert!(!self.cx(|r, cx| r.release(cx, key) || r.cancel(cx, key)), "void");
        }
    }

    fn release(&mut self, key: QueryKey) {
        assert!(self.cx(|r, cx| r.release(cx, key)));
        self.void.push(key);
    }

    /// Lets time pass, timer by timer.
    fn pass(&mut self, span: Duration, data: &mut Data<'_>) {
        let end = self.now + span;
        for _ in 0..2_000 {
            let Some(at) = self.resolver.poll_timeout().filter(|at| *at <= end) else {
                self.now = end;
                // An early call does nothing.
                self.unchanged("an early timeout", |r, cx| r.handle_timeout(cx));
                return;
            };
            self.now = self.now.max(at);
            self.cx(|r, cx| r.handle_timeout(cx));
            let next = self.resolver.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "the timer would spin");
            self.drain(data);
            let late = |a: &Asked| !a.done && a.deadline <= self.now;
            assert!(!self.asked.iter().any(late), "a deadline has passed in silence");
        }
        panic!("the timer fires without end");
    }

    /// Takes what goes out and what is told, and checks both.
    fn drain(&mut self, data: &mut Data<'_>) {
        let mut buffer = [0xEE; 512];
        for turn in 0.. {
            assert!(turn < 200, "it never stops sending");
            let cx = &mut Cx { now: self.now, utc: Utc::UNIX_EPOCH, rng: &mut self.ids };
            let Some(transmit) = self.resolver.poll_transmit(cx, &mut buffer) else { break };
            let mut opened = false;
            let socket = transmit.index();
            match transmit {
                Transmit::Open { endpoint: Endpoint::Udp { peer: Some(peer), .. }, .. } => {
                    self.open.insert(socket, peer);
                    opened = true;
                }
                Transmit::Close { .. } => {
                    assert!(self.open.remove(&socket).is_some(), "{socket} was not open");
                    continue;
                }
                Transmit::Datagram { to, bytes, .. } => {
                    assert_eq!(self.open.get(&socket), Some(&to), "sent to its peer");
                    let message = Message::parse(bytes).expect("queries are well formed");
                    assert!(!message.header().qr && message.question_count() == 1);
                    // Without OPT it is another message, but the same question.
                    let length = 16 + message.question().map_or(0, |q| q.qname.wire_len());
                    let question = [&bytes[..2], &bytes[12..length]].concat();
                    let askers = self.ids.drawn.get(&message.header().id).copied();
                    let lately = (to, question[2..].to_vec());
                    let sends = self.sends.entry((to, question)).or_default();
                    *sends += 1;
                    assert!(*sends <= MAX_SENDS * askers.unwrap_or(1), "sent {sends} times");
                    let sends = self.sends_lately.entry(lately).or_default();
                    *sends += 1;
                    assert!(*sends <= MAX_SENDS * self.askers, "sent {sends} times");
                    self.sent_at = self.now;
                    self.sent.push(Sent { socket, to, bytes: bytes.to_vec() });
                }
                Transmit::Connect { conn, .. } => {
                    // This world has datagrams only; the failure is told as `drive` would.
                    let closed = Input::Stream { conn, input: StreamInput::Closed };
                    assert_eq!(self.cx(|r, cx| r.handle_input(cx, closed)), Ok(()));
                    continue;
                }
                other => panic!("{other:?}"),
            }
            if data.u8() >= 0xF0 {
                let kinds = [ErrorKind::Refused, ErrorKind::Unreachable, ErrorKind::Busy];
                let why = kinds.get(data.below(4)).copied().unwrap_or(ErrorKind::Exhausted);
                if opened {
                    self.open.remove(&socket);
                }
                let failed = Input::SendFailed { socket, why };
                assert_eq!(self.cx(|r, cx| r.handle_input(cx, failed)), Ok(()));
            }
        }
        for turn in 0.. {
            assert!(turn < 64, "it never stops telling");
            let Some(event) = self.resolver.poll_event() else { break };
            self.told(event);
        }
    }

    fn told(&mut self, event: Event) {
        self.events += 1;
        let (Event::Done { key, .. } | Event::Update { key }) = event;
        let known = self.asked.iter_mut().find(|a| a.key == key);
        let asked = known.expect("nobody is told of what was given back");
        match event {
            Event::Done { outcome, .. } => {
                assert!(!asked.done, "told twice");
                asked.done = true;
                let answer = self.resolver.result(key).expect("there is a result");
                assert_eq!(answer.outcome(), outcome);
            }
            Event::Update { .. } => assert!(asked.done, "an update before the end"),
        }
        let answer = self.resolver.result(key).expect("there is a result");
        assert!(answer.ttl() <= TTL_MAX_S);
        assert!(answer.elapsed() <= Duration::from_secs(60));
        if answer.outcome() == Outcome::Answer {
            assert!(answer.records().next().is_some(), "an answer without records");
        }
        let poison: SocketAddr = (POISON, 0).into();
        for record in answer.records() {
            assert!(record.ttl <= TTL_MAX_S);
            assert!(!record.to_string().is_empty());
        }
        assert!(answer.addresses().all(|a| a != poison.ip()), "a forged address came out");
    }

    /// A reply to something that was sent, as a server might write it, or worse.
    fn reply(&mut self, data: &mut Data<'_>) {
        if self.sent.is_empty() {
            return;
        }
        // The latest is the most promising.
        let back = data.below(self.sent.len().min(16));
        let sent = self.sent[self.sent.len() - 1 - back].clone();
        let bytes = write_reply(data, &sent.bytes, [192, 0, 2, 1]);
        self.deliver(sent.socket, sent.to, &bytes);
    }

    /// A reply in which something does not fit: it must change nothing at all.
    fn forged(&mut self, data: &mut Data<'_>) {
        if self.sent.is_empty() {
            return;
        }
        let back = data.below(self.sent.len().min(16));
        let mut sent = self.sent[self.sent.len() - 1 - back].clone();
        let mut bytes = write_reply(data, &sent.bytes, POISON);
        match data.u8() % 6 {
            0 => bytes[0] ^= data.u8().max(1),
            1 => bytes[1] ^= data.u8().max(1),
            2 => sent.to.set_port(sent.to.port() ^ 1),
            3 => sent.socket ^= data.u8().max(1),
            4 => bytes[2] ^= 0x80,
            // The name, type or class of the question, but not the case of a letter.
            _ => {
                let at = 12 + data.below(sent.bytes.len().min(60) - 12);
                let letter = bytes.get(at).is_some_and(u8::is_ascii_alphabetic);
                if let Some(octet) = bytes.get_mut(at) {
                    *octet ^= if letter { 2 } else { data.u8().max(1) };
                }
            }
        }
        // The change may have been outside of what is compared, or have hit another query.
        if !self.sent.iter().any(|s| answers(s, sent.socket, sent.to, &bytes)) {
            self.deliver(sent.socket, sent.to, &bytes);
        }
    }

    /// Hands in a datagram. Unless it answers a question that was sent, nothing may change.
    fn deliver(&mut self, socket: u8, from: SocketAddr, bytes: &[u8]) {
        let input = Input::Datagram { socket, from, bytes, received_at: self.now };
        if self.sent.iter().any(|sent| answers(sent, socket, from, bytes)) {
            let before = self.resolver.counters();
            let result = self.cx(|r, cx| r.handle_input(cx, input));
            if let Err(why) = result {
                let after = self.resolver.counters();
                assert_eq!(after.discarded(why), before.discarded(why) + 1);
            }
            return;
        }
        let before = self.resolver.counters();
        let result =
            self.unchanged("a datagram that answers nothing", |r, cx| r.handle_input(cx, input));
        let why = result.expect_err("it answers nothing that was asked");
        let after = self.resolver.counters();
        let others = |c: &bringup_dns::Counters| {
            c.discards().filter(|(d, _)| *d != why).map(|(_, n)| n).sum::<u64>()
        };
        assert_eq!(after.discarded(why), before.discarded(why) + 1);
        assert_eq!((others(&after), after.accepted), (others(&before), before.accepted));
        assert_ne!(why, Discard::UnknownSend);
    }

    /// Calls the resolver and checks that nothing comes of it.
    fn unchanged<T>(
        &mut self,
        what: &str,
        f: impl FnOnce(&mut Resolver<'_>, &mut Cx<'_>) -> T,
    ) -> T {
        let outcomes = |w: &Self| -> Vec<_> {
            w.asked
                .iter()
                .map(|a| w.resolver.result(a.key).map(|r| (r.outcome(), r.ttl())))
                .collect()
        };
        let before = (self.resolver.poll_timeout(), outcomes(self), self.events);
        let octets = self.resolver.counters().cache_octets;
        let sent = self.sent.len();
        let value = self.cx(f);
        assert_eq!(self.resolver.counters().cache_octets, octets, "{what}");
        self.drain(&mut Data::new(&[]));
        let after = (self.resolver.poll_timeout(), outcomes(self), self.events);
        assert_eq!(before, after, "{what}");
        assert_eq!(self.sent.len(), sent, "{what}");
        value
    }
}

/// Whether a datagram could answer this query: RFC 5452 §9.1, compared octet by octet. Truth here
/// only allows a change; a query that is over matches as well.
fn answers(sent: &Sent, socket: u8, from: SocketAddr, bytes: &[u8]) -> bool {
    let id_fits = bytes.get(..2) == sent.bytes.get(..2);
    if !id_fits || (sent.socket, sent.to) != (socket, from) || bytes.len() < 12 {
        return false;
    }
    if bytes[2] & 0xF8 != 0x80 {
        return false;
    }
    if bytes[4..6] != [0, 1] {
        // A bare refusal, RFC 1035 §4.1.1; some servers leave the question out.
        return bytes.len() == 12 && matches!(bytes[3] & 15, 1 | 2 | 4 | 5);
    }
    let asked = Message::parse(&sent.bytes).expect("queries are well formed");
    let asked = asked.question().expect("a query asks");
    let read = super::structure::name(bytes, 12, bytes.len(), true);
    let Some((labels, end)) = read else { return false };
    let mut own = asked.qname.labels();
    let same = labels.iter().all(|l| own.next().is_some_and(|o| o.eq_ignore_ascii_case(l)));
    let tail = [asked.qtype.0.to_be_bytes(), [0, 1]].concat();
    same && own.next().is_none() && bytes.get(end..end + 4) == Some(&tail)
}

/// A response to `query`, whose records are about its name and the names of [`NAMES`].
fn write_reply(data: &mut Data<'_>, query: &[u8], address: [u8; 4]) -> Vec<u8> {
    let asked = Message::parse(query).expect("queries are well formed");
    let question = asked.question().expect("a query asks");
    let mode = data.u8();
    let rcode = [0, 0, 0, 3, 2, 5, 1, 4][usize::from(mode & 7)];
    let header = Header {
        qr: true,
        ra: mode & 8 == 0,
        aa: mode & 16 != 0,
        tc: mode & 224 == 224,
        rcode,
        ..asked.header()
    };
    let mut buffer = [0; 1_400];
    let mut e = Encoder::new(&mut buffer, header).expect("a header fits");
    let shape = data.u8();
    if shape % 16 != 15 {
        e.question(question.qname, question.qtype, Class::IN).expect("a question fits");
    }
    let mut owner = question.qname.to_name();
    for _ in 0..shape / 16 {
        let target = Name::from_text(NAMES[data.below(NAMES.len())]).expect("a name");
        let (choice, ttl) = (data.u8(), data.u32());
        let section = match choice / 16 {
            0..=11 => Section::Answer,
            12..=14 => Section::Authority,
            _ => Section::Additional,
        };
        let last = data.u8();
        let soa = Soa {
            mname: target.view(),
            rname: target.view(),
            serial: 1,
            refresh: 2,
            retry: 3,
            expire: 4,
            minimum: ttl / 2,
        };
        let v6 = [0x2001, 0xDB8, 0, 0, 0, 0, 0, u16::from(last)];
        let raw = data.chunk();
        let raw = if raw.windows(4).any(|w| w == POISON) { &[] } else { raw };
        let rdata = match choice % 10 {
            0 | 1 if address == POISON => RData::A(address.into()),
            0 | 1 => RData::A([address[0], address[1], address[2], last].into()),
            2 => RData::Aaaa(v6.into()),
            3 | 4 => RData::Cname(target.view()),
            5 => RData::Soa(soa),
            6 => RData::Ns(target.view()),
            7 => RData::Dname(target.view()),
            8 => RData::Opaque { rtype: question.qtype, bytes: raw },
            _ => RData::Opaque { rtype: RecordType(u16::from(last)), bytes: raw },
        };
        let zone = Name::from_text("example").expect("a name");
        let of = match data.u8() % 8 {
            0 => zone.view(),
            1 => target.view(),
            _ => owner.view(),
        };
        let _ = e.record(section, of, ttl, &rdata);
        if matches!(choice % 10, 3 | 4) && section == Section::Answer {
            owner = target;
        }
    }
    if data.flag() {
        let _ =
            e.edns(1_232, if data.rarely() { Rcode::BADVERS } else { Rcode(rcode.into()) }, &[]);
    }
    let mut bytes = e.finish().expect("the header stands").to_vec();
    match data.u8() {
        n @ 0xF0.. => {
            // Cut off somewhere, or one octet changed behind the question.
            let at = bytes.len() - data.below(bytes.len()).min(bytes.len() - 4);
            if n & 1 == 0 {
                bytes.truncate(at);
            } else if let Some(octet) = bytes.get_mut(at) {
                *octet ^= 0x55;
            }
        }
        0xE8..0xF0 => bytes.truncate(12),
        _ => {}
    }
    bytes
}
