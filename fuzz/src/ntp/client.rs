//! [`ntp_client`]: the client among servers, forgers and an application that do what the input says.

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet};

use bringup_core::client::{Client, Cx, Input, Transmit};
use bringup_core::error::ErrorKind;
use bringup_core::time::{Duration, Instant, Utc};
use bringup_core::wire::Writer;
use bringup_ntp::client::{MAX_SERVERS, MAX_SOCKETS};
use bringup_ntp::packet::{Leap, Packet};
use bringup_ntp::timestamp::{Short, Timestamp};
use bringup_ntp::{Adjust, ClockState, Config, Discard, Event, NtpClient, Server, Source, Wall};

use crate::data::{Data, Dice};

const FLOOR: Utc = Utc::from_unix_secs(1_790_000_000);
/// At most eight requests in any span of fifteen seconds.
const WINDOW: Duration = Duration::from_secs(15);
const MAX_IN_WINDOW: usize = 8;

/// A request that was sent.
#[derive(Clone, Copy)]
struct Sent {
    socket: u8,
    to: SocketAddr,
    packet: Packet,
    at: Instant,
}

struct World {
    client: NtpClient,
    now: Instant,
    /// What must be added to `now` for the truth, nanoseconds.
    truth_ns: i64,
    utc: Utc,
    dice: Dice,
    open: BTreeMap<u8, SocketAddr>,
    sent: Vec<Sent>,
    nonces: BTreeSet<u64>,
    state: ClockState,
    heard: usize,
}

/// Nothing changes before the nonce has been seen, and a forged reply never uses it up; each reply
/// counts once; no time is below the floor; sends are bounded; timers never spin.
pub fn ntp_client(bytes: &[u8]) {
    let mut data = Data::new(bytes);
    let choices = data.u8();
    let config = Config {
        poll: (data.u8() % 20, data.u8() % 20),
        start_delay_max: Duration::from_secs(u64::from(choices & 3)),
        wall: if choices & 4 == 0 { Wall::Unset } else { Wall::Running },
        frequency: choices & 64 != 0,
        ..Config::new(FLOOR)
    };
    let truth_s = 1_790_000_100 + if choices & 8 == 0 { 0 } else { i64::from(data.u32()) };
    let utc = match choices >> 4 & 3 {
        0 => Utc::UNIX_EPOCH,
        1 => Utc::from_unix_secs(truth_s),
        2 => Utc::from_unix_nanos(data.i64()),
        _ => FLOOR,
    };
    let mut w = World {
        client: NtpClient::new(config),
        now: Instant::from_micros(1_000_000),
        truth_ns: truth_s * 1_000_000_000,
        utc,
        dice: Dice(choices.into()),
        open: BTreeMap::new(),
        sent: Vec::new(),
        nonces: BTreeSet::new(),
        state: ClockState::Invalid,
        heard: 0,
    };
    w.set_servers(&mut data);
    w.call(&mut data, |client, cx| client.start(cx));
    let mut steps = 0;
    while !data.is_empty() && steps < 150 {
        steps += 1;
        w.act(&mut data);
    }
}

impl World {
    fn call<T>(
        &mut self,
        data: &mut Data<'_>,
        f: impl FnOnce(&mut NtpClient, &mut Cx<'_>) -> T,
    ) -> T {
        let cx = &mut Cx { now: self.now, utc: self.utc, rng: &mut self.dice };
        let value = f(&mut self.client, cx);
        self.drain(data);
        value
    }

    fn act(&mut self, data: &mut Data<'_>) {
        match data.u8() % 24 {
            0 => self.call(data, |client, cx| client.start(cx)),
            1 => self.call(data, |client, _| client.stop()),
            2 => match data.u8() {
                // The other numbers that would be 0 samples.
                248 => self.call(data, |client, cx| client.end_probe(cx)),
                samples => self.call(data, |client, cx| client.probe(cx, samples % 8)),
            },
            3 => self.set_servers(data),
            4 => self.call(data, |client, _| client.forget()),
            5 => {
                let before = self.client.floor();
                let floor = before.offset_by((i64::from(data.u8()) - 128) * 1_000_000_000);
                self.client.raise_floor(floor);
                assert_eq!(self.client.floor(), floor.max(before));
            }
            6 => {
                let socket = data.u8() % 9;
                let why = if data.flag() { ErrorKind::Refused } else { ErrorKind::Busy };
                self.call(data, |client, cx| {
                    client.handle_input(cx, Input::SendFailed { socket, why })
                })
                .expect("a failure is no datagram");
                // What failed and was not refused by the other side is closed.
            }
            7 => self.utc = Utc::from_unix_nanos(data.i64()),
            8..=11 => {
                let span = Duration::from_micros(data.span_us());
                self.pass(span, data);
            }
            12 => {
                let Some(at) = self.client.poll_timeout() else { return };
                let early = Duration::from_micros(u64::from(data.u8() & 1));
                self.pass(at.since(self.now) - early, data);
            }
            13..=15 => self.forged(data),
            16 => self.strange(data),
            _ => self.reply(data),
        }
        self.report();
    }

    fn set_servers(&mut self, data: &mut Data<'_>) {
        let (first, count) = (data.u8() % 4, data.u8() % 11);
        let list: Vec<Server> = (first..first + count)
            .map(|n| Server {
                address: SocketAddr::new([192, 0, 2, n % 12].into(), 123),
                source: [Source::Name, Source::Dhcp, Source::Configured][usize::from(n % 3)],
            })
            .collect();
        let kept = self.call(data, |client, cx| client.set_servers(cx, &list));
        assert!(kept <= list.len().min(MAX_SERVERS) && kept == self.client.servers().count());
    }

    /// What can be asked at any time.
    fn report(&mut self) {
        let floor = self.client.floor();
        let cx = Cx { now: self.now, utc: self.utc, rng: &mut self.dice };
        let estimate = self.client.utc(self.now);
        assert_eq!(estimate.is_some(), self.client.state() != ClockState::Invalid);
        assert_eq!(estimate.is_some(), self.client.offset_ns(&cx).is_some());
        assert!(estimate.is_none_or(|e| e.utc >= floor), "a time below the floor");
        let sometime = self.now + Duration::from_secs(3_600);
        assert!(self.client.utc(sometime).is_none_or(|e| e.utc >= floor));
        if self.client.leap() != Leap::None {
            assert_eq!(self.client.state(), ClockState::Confirmed);
        }
        for n in 0..10 {
            let known = usize::from(n) < self.client.servers().count();
            assert_eq!(self.client.report(&cx, n).is_some(), known);
        }
    }

    /// Lets time pass, timer by timer, or in one leap as after a suspend.
    fn pass(&mut self, span: Duration, data: &mut Data<'_>) {
        let end = self.now + span;
        let asleep = data.rarely();
        for turn in 0.. {
            let Some(at) = self.client.poll_timeout().filter(|at| *at <= end) else { break };
            assert!(turn < 100_000, "the timer fires without end");
            if turn > 300 {
                return;
            }
            self.now = if asleep { end } else { self.now.max(at) };
            let cx = &mut Cx { now: self.now, utc: self.utc, rng: &mut self.dice };
            self.client.handle_timeout(cx);
            self.check_timeout();
            self.drain(data);
            self.check_timeout();
        }
        self.now = end;
        self.unchanged("an early timeout", |client, cx| client.handle_timeout(cx));
    }

    fn check_timeout(&self) {
        let next = self.client.poll_timeout();
        assert!(next.is_none_or(|next| next > self.now), "the timer would spin");
    }

    /// Takes what goes out and what is told, and checks both.
    fn drain(&mut self, data: &mut Data<'_>) {
        let mut buffer = [0xEE; 64];
        for turn in 0.. {
            assert!(turn < 64, "it never stops sending");
            let cx = &mut Cx { now: self.now, utc: self.utc, rng: &mut self.dice };
            let Some(transmit) = self.client.poll_transmit(cx, &mut buffer) else { break };
            let socket = transmit.index();
            assert!(usize::from(socket) < MAX_SOCKETS);
            let mut opened = None;
            match transmit {
                Transmit::Open { endpoint, .. } => {
                    let bringup_core::client::Endpoint::Udp { peer: Some(peer), local, .. } =
                        endpoint
                    else {
                        panic!("{endpoint:?}");
                    };
                    assert!(local.port() == 0 && local.ip().is_unspecified());
                    assert!(self.open.insert(socket, peer).is_none(), "{socket} was open");
                    opened = Some(socket);
                }
                Transmit::Close { .. } => {
                    assert!(self.open.remove(&socket).is_some(), "{socket} was not open");
                    continue;
                }
                Transmit::Datagram { to, bytes, .. } => {
                    assert_eq!(self.open.get(&socket), Some(&to), "sent to its peer");
                    let packet = Packet::parse(bytes).expect("48 octets");
                    let nonce = packet.transmit.to_bits();
                    // R1: but for the nonce, every request is the same.
                    assert!(nonce != 0 && packet == Packet::request(nonce) && bytes.len() == 48);
                    assert!(self.nonces.insert(nonce), "a nonce was used twice");
                    self.sent.push(Sent { socket, to, packet, at: self.now });
                }
                other => panic!("{other:?}"),
            }
            self.check_window();
            if data.u8() >= 0xF4 {
                if let Some(socket) = opened {
                    self.open.remove(&socket);
                }
                let why = if opened.is_some() { ErrorKind::Exhausted } else { ErrorKind::Busy };
                let cx = &mut Cx { now: self.now, utc: self.utc, rng: &mut self.dice };
                let failed = Input::SendFailed { socket, why };
                assert_eq!(self.client.handle_input(cx, failed), Ok(()));
            }
        }
        for turn in 0.. {
            assert!(turn < 64, "it never stops telling");
            let Some(event) = self.client.poll_event() else { break };
            self.told(event, data);
        }
        assert_eq!(self.state, self.client.state(), "what was told is what is so");
        assert_eq!(self.client.counters().events_lost, 0);
    }

    fn check_window(&self) {
        let Some(eighth) = self.sent.len().checked_sub(MAX_IN_WINDOW + 1) else { return };
        assert!(self.sent[eighth].at + WINDOW <= self.now, "nine requests within 15 s");
    }

    fn told(&mut self, event: Event, data: &mut Data<'_>) {
        self.heard += 1;
        match event {
            Event::StateChanged { from, to } => {
                assert!(from == self.state && from != to);
                self.state = to;
            }
            Event::Sample { server, delay_ns, root_distance_ns } => {
                assert!(usize::from(server) < MAX_SERVERS);
                assert!(delay_ns <= 3_000_000_000 && root_distance_ns >= u64::from(delay_ns / 2));
            }
            Event::Rejected { why, .. } => assert!(why.ends_exchange()),
            Event::Adjust(adjust) => {
                if data.u8() & 3 != 0 {
                    if let Adjust::Step { offset_ns } | Adjust::Slew { offset_ns } = adjust {
                        self.utc = self.utc.offset_by(offset_ns);
                    }
                    self.client.applied(adjust);
                }
            }
            Event::Leap { leap, .. } => assert!(leap != Leap::Unsynchronised),
            Event::SaveClock { utc } => assert!(self.client.floor() >= utc),
            Event::PanicLimit { .. } | Event::Exhausted | Event::ProbeDone => {}
            Event::Report { server } => assert!(usize::from(server) < MAX_SERVERS),
        }
    }

    /// A reply to a request, true or not; late, repeated, or to one that is long over.
    fn reply(&mut self, data: &mut Data<'_>) {
        let Some(sent) = self.pick(data) else { return };
        let bytes = self.write_reply(data, &sent);
        let result = self.deliver(&sent, &bytes);
        // Whatever it was worth, the nonce is used up: a copy finds nothing.
        if result.is_ok_or_ends() {
            let again = self.unchanged("a replayed reply", |client, cx| {
                let (from, now) = (sent.to, cx.now);
                let input =
                    Input::Datagram { socket: sent.socket, from, bytes: &bytes, received_at: now };
                client.handle_input(cx, input)
            });
            let why = again.expect_err("a copy is no second reply");
            assert!(!why.ends_exchange(), "the nonce counted twice");
        }
        self.drain(data);
    }

    fn pick(&self, data: &mut Data<'_>) -> Option<Sent> {
        if self.sent.is_empty() {
            return None;
        }
        let back = data.below(self.sent.len().min(8));
        Some(self.sent[self.sent.len() - 1 - back])
    }

    fn deliver(&mut self, sent: &Sent, bytes: &[u8]) -> Result<(), Discard> {
        let floor = self.client.floor();
        let cx = &mut Cx { now: self.now, utc: self.utc, rng: &mut self.dice };
        let input =
            Input::Datagram { socket: sent.socket, from: sent.to, bytes, received_at: cx.now };
        let result = self.client.handle_input(cx, input);
        self.drain(&mut Data::new(&[]));
        let estimate = self.client.utc(self.now);
        assert!(estimate.is_none_or(|e| e.utc >= floor), "a time below the floor");
        result
    }

    /// A reply without the nonce, or from elsewhere: nothing changes, and the true one still counts.
    fn forged(&mut self, data: &mut Data<'_>) {
        let Some(sent) = self.pick(data) else { return };
        let mut bytes = self.write_reply(data, &sent);
        let (mut from, mut socket) = (sent.to, sent.socket);
        match data.u8() % 6 {
            0 => bytes[24 + data.below(8)] ^= data.u8().max(1),
            1 => from.set_port(from.port() ^ 1),
            2 => bytes.truncate(data.below(48)),
            3 => bytes[0] = bytes[0] & !7 | [0, 1, 2, 3, 5, 6, 7][data.below(7)],
            4 => bytes[0] = bytes[0] & !0x38 | [0, 1, 2, 5, 6, 7][data.below(6)] << 3,
            _ => socket = socket.wrapping_add(1 + data.u8() % 250),
        }
        let before = self.client.counters().iter().map(|(_, n)| n).sum::<u32>();
        let result = self.unchanged("a forged reply", |client, cx| {
            let input = Input::Datagram { socket, from, bytes: &bytes, received_at: cx.now };
            client.handle_input(cx, input)
        });
        let why = result.expect_err("it has no nonce");
        assert!(!why.ends_exchange(), "{why:?} uses the nonce up");
        let after = self.client.counters().iter().map(|(_, n)| n).sum::<u32>();
        assert_eq!(after, before + 1, "one datagram, one count");
        // If it would have counted, the true reply still does.
        if self.client.poll_timeout().is_some() && sent.at + Duration::from_secs(4) > self.now {
            let was_pending = why != Discard::NothingPending && socket == sent.socket;
            let bytes = self.write_reply(data, &sent);
            let result = self.deliver(&sent, &bytes);
            let latest = self.sent.iter().rev().find(|s| s.socket == sent.socket);
            let is_latest = latest.is_some_and(|s| s.packet == sent.packet);
            if was_pending && is_latest {
                assert!(result.is_ok_or_ends(), "{result:?}: the nonce was used up");
            }
        }
    }

    /// Input of a kind that this client has no use for.
    fn strange(&mut self, data: &mut Data<'_>) {
        let bytes = data.chunk();
        let result = self.unchanged("a stream", |client, cx| {
            let input = bringup_core::client::StreamInput::Bytes(bytes);
            client.handle_input(cx, Input::Stream { conn: 0, input })
        });
        assert_eq!(result, Err(Discard::NotADatagram));
    }

    /// Calls the client and checks that nothing comes of it.
    fn unchanged<T>(&mut self, what: &str, f: impl FnOnce(&mut NtpClient, &mut Cx<'_>) -> T) -> T {
        let see = |w: &Self| {
            let known = w.client.utc(w.now);
            (w.client.state(), known, w.client.poll_timeout(), w.sent.len(), w.heard, w.open.len())
        };
        let before = see(self);
        let cx = &mut Cx { now: self.now, utc: self.utc, rng: &mut self.dice };
        let value = f(&mut self.client, cx);
        self.drain(&mut Data::new(&[]));
        assert_eq!(before, see(self), "{what}");
        value
    }

    /// The reply of a server whose clock and whose words are as the input says.
    fn write_reply(&mut self, data: &mut Data<'_>, sent: &Sent) -> Vec<u8> {
        let (twist, error) = (data.u8(), i64::from(data.u8()) - 128);
        let error_ns = match twist % 8 {
            0..=3 => error * 1_000,
            4 => error * 100_000_000,
            5 => error * 10_000_000_000,
            6 => error * 1_000_000_000_000_000,
            _ => 0,
        };
        let true_ns = |at: Instant| {
            let us = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
            self.truth_ns.saturating_add(us.saturating_mul(1_000)).saturating_add(error_ns)
        };
        let half = self.now.since(sent.at) / 2;
        let at = Utc::from_unix_nanos(true_ns(sent.at + half));
        let face = Packet {
            leap: [Leap::None, Leap::Insert, Leap::Delete, Leap::None][usize::from(twist >> 3 & 3)],
            stratum: 2,
            precision: -20,
            root_delay: Short::from_bits(200),
            root_dispersion: Short::from_bits(300),
            reference_id: [192, 0, 2, 1],
            reference: Timestamp::from_utc(at),
            ..Packet::default()
        };
        let stamp = Timestamp::from_utc(at);
        let mut reply = sent.packet.reply(&face, stamp, stamp);
        match twist >> 5 {
            5 => {
                // Any value in any field that the client judges.
                (reply.stratum, reply.poll) = (data.u8(), data.i8());
                reply.precision = data.i8();
                reply.root_delay = Short::from_bits(data.u32());
                reply.root_dispersion = Short::from_bits(data.u32() >> 8);
            }
            6 => {
                reply.stratum = 0;
                reply.reference_id = *[b"RATE", b"DENY", b"RSTR", b"XYZ_", b"INIT"][data.below(5)];
                reply.poll = data.i8();
            }
            7 => {
                reply.receive = Timestamp::from_bits(data.u64());
                reply.transmit = Timestamp::from_bits(data.u64());
            }
            _ => {}
        }
        let mut bytes = vec![0; 48];
        reply.write(&mut Writer::new(&mut bytes)).expect("it fits");
        if data.rarely() {
            bytes.extend(data.chunk());
        }
        bytes
    }
}

/// Whether a datagram carried the nonce.
trait Ended {
    fn is_ok_or_ends(&self) -> bool;
}

impl Ended for Result<(), Discard> {
    fn is_ok_or_ends(&self) -> bool {
        self.map_or_else(Discard::ends_exchange, |()| true)
    }
}
