//! [`dns_stream`]: what comes of a TCP stream does not depend on where it is cut (RFC 7766 §8).

use bringup_core::client::{Client as _, Cx, Input, StreamInput, Transmit};
use bringup_core::time::{Instant, Utc};
use bringup_dns::client::ResolverStorage;
use bringup_dns::encode::Encoder;
use bringup_dns::message::{Header, Section};
use bringup_dns::{
    Config, Discard, Event, Message, QueryKey, QueryKind, QueryOptions, RData, RecordType, Resolver,
};
use core::fmt::Write as _;

use crate::data::{Data, Dice};

const NAMES: [&str; 3] = ["a.example.", "b.example.", "c.example."];

type Storage = ResolverStorage<4, 16, 4_096, 2_048>;

/// A resolver with three questions on one connection, and what it has done since.
struct World<'m> {
    resolver: Resolver<'m>,
    dice: Dice,
    keys: Vec<QueryKey>,
    /// The queries as they went out, without their length.
    sent: Vec<Vec<u8>>,
    /// The connection that was made first has been given up.
    is_over: bool,
    /// How each question ended, by its number.
    ends: [String; NAMES.len()],
}

impl<'m> World<'m> {
    fn new(storage: &'m mut Storage) -> Self {
        let config = Config { use_tcp: true, cookies: false, ..Config::DEFAULT };
        let mut world = Self {
            resolver: Resolver::new(config, storage),
            dice: Dice(7),
            keys: Vec::new(),
            sent: Vec::new(),
            is_over: false,
            ends: [const { String::new() }; NAMES.len()],
        };
        let server = core::net::SocketAddr::from(([192, 0, 2, 53], 53));
        world.cx(|r, cx| r.set_servers(cx, &[server.into()]));
        for name in NAMES {
            let (kind, options) = (QueryKind::Type(RecordType::A), QueryOptions::default());
            let key = world.cx(|r, cx| r.query(cx, name, kind, options)).expect("a slot");
            world.keys.push(key);
        }
        world.drain();
        world.input(StreamInput::Connected);
        assert_eq!(world.sent.len(), NAMES.len(), "all are pipelined");
        world
    }

    fn cx<T>(&mut self, f: impl FnOnce(&mut Resolver<'m>, &mut Cx<'_>) -> T) -> T {
        let now = Instant::from_micros(1_000_000);
        f(&mut self.resolver, &mut Cx { now, utc: Utc::UNIX_EPOCH, rng: &mut self.dice })
    }

    fn input(&mut self, input: StreamInput<'_>) {
        // Why something was ignored is in the counters.
        let _ = self.cx(|r, cx| r.handle_input(cx, Input::Stream { conn: 0, input }));
        self.drain();
    }

    fn drain(&mut self) {
        let mut buffer = [0; 512];
        for _ in 0..100 {
            let mut taken = None;
            match self.cx(|r, cx| match r.poll_transmit(cx, &mut buffer) {
                None => None,
                Some(Transmit::Stream { bytes, .. }) => {
                    taken = Some(bytes.to_vec());
                    Some(false)
                }
                Some(Transmit::Disconnect { .. }) => Some(true),
                Some(_) => Some(false),
            }) {
                None => break,
                Some(over) => self.is_over |= over,
            }
            if let Some(bytes) = taken {
                let sent = StreamInput::Sent(bytes.len());
                self.sent.push(bytes[2..].to_vec());
                let _ = self.cx(|r, cx| r.handle_input(cx, Input::Stream { conn: 0, input: sent }));
            }
        }
        while let Some(event) = self.resolver.poll_event() {
            let Event::Done { key, outcome } = event else { panic!("one family has no update") };
            let number = self.keys.iter().position(|k| *k == key).expect("ours");
            // Writing to a String cannot fail.
            let _ = write!(self.ends[number], "{outcome:?}");
            for record in self.resolver.result(key).expect("it has ended").records() {
                let _ = write!(self.ends[number], " {record}");
            }
        }
    }

    /// What may not depend on the cuts. The order of questions that end at once may, and how often one
    /// is asked again before the connection breaks.
    fn end(self) -> (bool, [String; NAMES.len()], Vec<(Discard, u64)>) {
        (self.is_over, self.ends, self.resolver.counters().discards().collect())
    }
}

/// The reply to a query: one address.
fn reply(query: &[u8], last: u8) -> Vec<u8> {
    let message = Message::parse(query).expect("our own query");
    let question = message.question().expect("it has one");
    let header = Header { id: message.header().id, qr: true, ra: true, ..Header::default() };
    let mut buffer = [0; 512];
    let mut encoder = Encoder::new(&mut buffer, header).expect("room");
    encoder.question(question.qname, question.qtype, question.qclass).expect("room");
    let data = RData::A([192, 0, 2, last].into());
    encoder.record(Section::Answer, question.qname, 60, &data).expect("room");
    encoder.finish().expect("room").to_vec()
}

/// Replies, whole or with an octet changed, and octets that are none, as one stream.
fn stream(data: &mut Data<'_>, sent: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..data.below(6) + 1 {
        let mut message = reply(&sent[data.below(sent.len())], data.u8());
        match data.below(4) {
            0 => message = (0..data.below(20)).map(|_| data.u8()).collect(),
            1 => {
                let at = data.below(message.len());
                message[at] ^= 1 << data.below(8);
            }
            _ => {}
        }
        let mut length = u16::try_from(message.len()).expect("short");
        if data.rarely() {
            length = data.u16();
        }
        stream.extend(length.to_be_bytes());
        stream.extend(message);
    }
    stream
}

/// The same octets in one piece and in any pieces end the same questions in the same way, and are
/// ignored for the same reasons.
pub fn dns_stream(bytes: &[u8]) {
    let mut data = Data::new(bytes);
    let (mut first, mut second) = (Storage::new(), Storage::new());
    let (mut whole, mut cut) = (World::new(&mut first), World::new(&mut second));
    assert_eq!(whole.sent, cut.sent, "equal dice");
    let stream = stream(&mut data, &whole.sent.clone());
    whole.input(StreamInput::Bytes(&stream));
    let mut rest = &stream[..];
    while !rest.is_empty() && !cut.is_over {
        let (piece, after) = rest.split_at((data.below(32) + 1).min(rest.len()));
        cut.input(StreamInput::Bytes(piece));
        rest = after;
    }
    assert_eq!(whole.end(), cut.end());
}
