//! The world: true time, a wall clock that may be wrong, and servers.

extern crate std;

use std::collections::VecDeque;
use std::vec::Vec;

use bringup_core::client::{Client, Cx, Host, Input, Rng, Transmit, drive};
use bringup_core::error::ErrorKind;
use bringup_core::time::{Duration, Instant, Utc};
use bringup_core::wire::Writer;
use core::net::SocketAddr;

use crate::client::{Config, Event, NtpClient, Server, Source, Verdict};
use crate::clock::ClockState;
use crate::discard::Discard;
use crate::discipline::Adjust;
use crate::packet::Packet;
use crate::testing::Dice;
use crate::timestamp::{Short, Timestamp};

/// 2026-11-24: when the client was built.
pub(crate) const BUILD: Utc = Utc::from_unix_secs(1_795_500_000);
pub(crate) const SECOND: u64 = 1_000_000;

/// How a server answers a request.
#[derive(Clone)]
pub(crate) enum Answer {
    Good,
    Nothing,
    /// Nothing to the first so many, good from then on.
    GoodAfter(usize),
    Kiss([u8; 4], i8),
    /// Good to the first so many, this kiss from then on.
    KissAfter(usize, [u8; 4]),
    /// RATE to the first request, good from then on.
    RateFirst,
    /// Good, but with this done to the reply.
    Changed(fn(&mut Packet)),
}

/// A server in the world.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) answer: Answer,
    /// By how much its clock is ahead of the truth.
    pub(crate) ahead_ns: i64,
    /// By how much its clock gains, parts per billion.
    pub(crate) gains_ppb: i64,
    pub(crate) out_us: u64,
    pub(crate) home_us: u64,
}

impl Fake {
    pub(crate) fn good() -> Self {
        Self { answer: Answer::Good, ahead_ns: 0, gains_ppb: 0, out_us: 10_000, home_us: 10_000 }
    }

    fn drift_ns(&self, at_us: u64) -> i64 {
        i64::try_from(at_us).unwrap() * self.gains_ppb / 1_000_000
    }

    pub(crate) fn ahead_s(s: i64) -> Self {
        Self { ahead_ns: s * 1_000_000_000, ..Self::good() }
    }

    pub(crate) fn that(answer: Answer) -> Self {
        Self { answer, ..Self::good() }
    }
}

/// The local oscillator: true time less local time, piece by piece.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Oscillator {
    base_us: u64,
    lead_ns: i64,
    /// By how much true time gains, parts per billion.
    ppb: i64,
    /// What a slew still takes from the lead, at 500 ppm.
    slew_ns: i64,
}

impl Oscillator {
    fn slewed_ns(&self, us: i64) -> i64 {
        self.slew_ns.clamp(-us / 2, us / 2)
    }

    fn lead_ns(&self, at_us: u64) -> i64 {
        let us = i64::try_from(at_us.saturating_sub(self.base_us)).unwrap();
        self.lead_ns + us * self.ppb / 1_000_000 - self.slewed_ns(us)
    }

    fn rebase(&mut self, at_us: u64) {
        let us = i64::try_from(at_us.saturating_sub(self.base_us)).unwrap();
        let left_ns = self.slew_ns - self.slewed_ns(us);
        *self = Self { base_us: at_us, lead_ns: self.lead_ns(at_us), slew_ns: left_ns, ..*self };
    }

    /// True time gains by so much more from now on.
    pub(crate) fn turn(&mut self, at_us: u64, ppb: i64) {
        self.rebase(at_us);
        self.ppb += ppb;
    }

    fn slew(&mut self, at_us: u64, offset_ns: i64) {
        self.rebase(at_us);
        self.slew_ns = offset_ns;
    }

    pub(crate) fn ppb(&self) -> i64 {
        self.ppb
    }
}

/// What happened on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) at_us: u64,
    pub(crate) server: usize,
    pub(crate) socket: u8,
    pub(crate) nonce: u64,
}

pub(crate) struct Outside {
    pub(crate) now_us: u64,
    /// UTC at instant zero.
    pub(crate) truth: Utc,
    /// By how much the wall clock is ahead of `truth`; it runs with the monotonic clock, as on Linux.
    pub(crate) wall_ahead_ns: i64,
    /// By how much true time runs faster than both, and what a slew still takes from its lead.
    pub(crate) oscillator: Oscillator,
    /// Whether the platform does what it is told about its clock.
    pub(crate) obeys: bool,
    /// One in so many datagrams is lost each way, 0 for none; and what the way varies by at most.
    pub(crate) lost_one_in: u64,
    pub(crate) jitter_us: u64,
    /// The servers' leap seconds: at this time true UTC repeats its last second.
    pub(crate) leap_at: Option<Utc>,
    pub(crate) fakes: Vec<Fake>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) events: Vec<(u64, Event)>,
    pub(crate) open: Vec<u8>,
    /// Sends are refused with this.
    pub(crate) refuses: Option<ErrorKind>,
    /// And sockets with this.
    pub(crate) refuses_open: Option<ErrorKind>,
    to_obey: VecDeque<Adjust>,
    under_way: Vec<(u64, u8, SocketAddr, Vec<u8>)>,
    dice: Dice,
}

pub(crate) struct World {
    pub(crate) client: NtpClient,
    pub(crate) outside: Outside,
    /// How often the client was told to start.
    starts: usize,
    pub(crate) discards: Vec<Discard>,
}

pub(crate) fn address(server: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, u8::try_from(server).unwrap() + 1], 123))
}

impl Outside {
    /// UTC by the local clocks, had they been right at the start and never touched.
    fn nominal_ns(&self, at_us: u64) -> i64 {
        self.truth.as_unix_nanos() + i64::try_from(at_us).unwrap() * 1_000
    }

    /// True UTC.
    pub(crate) fn utc_ns(&self, at_us: u64) -> i64 {
        let ns = self.nominal_ns(at_us) + self.oscillator.lead_ns(at_us);
        let has_leapt = self.leap_at.is_some_and(|at| ns >= at.as_unix_nanos());
        if has_leapt { ns - 1_000_000_000 } else { ns }
    }

    /// Whether a datagram is lost on its way.
    fn loses(&mut self) -> bool {
        self.lost_one_in > 0 && self.dice.below(self.lost_one_in) == 0
    }

    /// The platform does what it is told.
    fn obey(&mut self, adjust: Adjust) {
        match adjust {
            Adjust::Step { offset_ns } => self.wall_ahead_ns += offset_ns,
            Adjust::Slew { offset_ns } => self.oscillator.slew(self.now_us, offset_ns),
            Adjust::Rate { ppb } => self.oscillator.turn(self.now_us, -ppb),
            Adjust::Leap(_) => {}
        }
    }

    fn answer(&mut self, sent: Sent, request: &Packet) {
        let earlier = self.sent.iter().filter(|s| s.server == sent.server).count() - 1;
        let fake = self.fakes[sent.server].clone();
        if self.loses() || self.loses() {
            return;
        }
        let [out_us, home_us] =
            [fake.out_us, fake.home_us].map(|us| us + self.dice.below(self.jitter_us));
        let at_us = self.now_us + out_us;
        let utc_ns = self.utc_ns(at_us) + fake.ahead_ns + fake.drift_ns(at_us);
        let t = Timestamp::from_utc(Utc::from_unix_nanos(utc_ns));
        let face = Packet {
            stratum: 2,
            precision: -20,
            root_delay: Short::from_nanos(1_000_000),
            root_dispersion: Short::from_nanos(1_000_000),
            ..Packet::default()
        };
        let mut reply = request.reply(&face, t, t);
        match fake.answer {
            Answer::Good => {}
            Answer::Nothing => return,
            Answer::GoodAfter(n) if earlier < n => return,
            Answer::RateFirst if earlier == 0 => {
                reply = Packet { stratum: 0, reference_id: *b"RATE", ..reply };
            }
            Answer::KissAfter(n, id) if earlier >= n => {
                reply = Packet { stratum: 0, reference_id: id, ..reply };
            }
            Answer::GoodAfter(_) | Answer::KissAfter(..) | Answer::RateFirst => {}
            Answer::Kiss(id, poll) => {
                reply = Packet { stratum: 0, reference_id: id, poll, ..reply };
            }
            Answer::Changed(change) => change(&mut reply),
        }
        self.deliver(at_us + home_us, sent.socket, address(sent.server), &reply);
    }

    /// Has a packet arrive.
    pub(crate) fn deliver(&mut self, at_us: u64, socket: u8, from: SocketAddr, packet: &Packet) {
        let mut bytes = [0; 48];
        packet.write(&mut Writer::new(&mut bytes)).unwrap();
        self.under_way.push((at_us, socket, from, bytes.to_vec()));
        self.under_way.sort_by_key(|d| d.0);
    }
}

impl Host<Event> for Outside {
    fn cx(&mut self) -> Cx<'_> {
        let utc = Utc::from_unix_nanos(self.nominal_ns(self.now_us) + self.wall_ahead_ns);
        Cx { now: Instant::from_micros(self.now_us), utc, rng: &mut self.dice }
    }

    fn transmit(&mut self, transmit: Transmit<'_>) -> Result<usize, ErrorKind> {
        match transmit {
            Transmit::Open { socket, .. } => {
                assert!(!self.open.contains(&socket), "R3: a new socket for each request");
                if let Some(why) = self.refuses_open {
                    return Err(why);
                }
                self.open.push(socket);
            }
            Transmit::Close { socket } => {
                assert!(self.open.contains(&socket), "only what is open is closed");
                self.open.retain(|&s| s != socket);
            }
            Transmit::Datagram { socket, to, bytes } => {
                assert!(self.open.contains(&socket));
                if let Some(why) = self.refuses {
                    return Err(why);
                }
                let request = Packet::parse(bytes).unwrap();
                assert_eq!(request, Packet::request(request.transmit.to_bits()), "R1");
                let server = (0..self.fakes.len()).find(|&i| address(i) == to).unwrap();
                let nonce = request.transmit.to_bits();
                let sent = Sent { at_us: self.now_us, server, socket, nonce };
                self.sent.push(sent);
                self.answer(sent, &request);
            }
            other => panic!("{other:?}"),
        }
        Ok(0)
    }

    fn event(&mut self, event: Event) {
        if let Event::Adjust(adjust) = event {
            if self.obeys {
                self.to_obey.push_back(adjust);
            }
        }
        self.events.push((self.now_us, event));
    }
}

impl World {
    /// A world with these servers from DHCP; the client has not started.
    pub(crate) fn new(fakes: &[Fake]) -> Self {
        Self::with(Config::new(BUILD), fakes, Source::Dhcp)
    }

    pub(crate) fn with(config: Config, fakes: &[Fake], source: Source) -> Self {
        let outside = Outside {
            now_us: 5 * SECOND,
            truth: BUILD.offset_by(86_400_000_000_000),
            wall_ahead_ns: 0,
            oscillator: Oscillator::default(),
            obeys: false,
            lost_one_in: 0,
            jitter_us: 0,
            leap_at: None,
            fakes: fakes.to_vec(),
            sent: Vec::new(),
            events: Vec::new(),
            open: Vec::new(),
            refuses: None,
            refuses_open: None,
            to_obey: VecDeque::new(),
            under_way: Vec::new(),
            dice: Dice(42),
        };
        let client = NtpClient::new(config);
        let mut world = Self { client, outside, starts: 0, discards: Vec::new() };
        let servers: Vec<_> =
            (0..fakes.len()).map(|i| Server { address: address(i), source }).collect();
        world.client.set_servers(&mut world.outside.cx(), &servers);
        world
    }

    /// A world in which the client has just started.
    pub(crate) fn started(fakes: &[Fake]) -> Self {
        let mut world = Self::new(fakes);
        world.start();
        world
    }

    pub(crate) fn start(&mut self) {
        self.starts += 1;
        self.client.start(&mut self.outside.cx());
        self.drain();
    }

    pub(crate) fn drain(&mut self) -> Option<Instant> {
        let mut timeout = drive(&mut self.client, &mut self.outside, &mut [0; 64]);
        while let Some(adjust) = self.outside.to_obey.pop_front() {
            self.outside.obey(adjust);
            self.client.applied(adjust);
            timeout = drive(&mut self.client, &mut self.outside, &mut [0; 64]);
        }
        let mut buffer = [0; 64];
        let again = self.client.poll_transmit(&mut self.outside.cx(), &mut buffer);
        assert_eq!(again, None, "a drive drains all");
        timeout
    }

    /// Lets `s` seconds pass.
    pub(crate) fn run_s(&mut self, s: u64) {
        self.run_us(s * SECOND);
    }

    /// Lets time pass: datagrams arrive, timers fire.
    pub(crate) fn run_us(&mut self, us: u64) {
        let end = self.outside.now_us + us;
        loop {
            let timer = self.drain().map(Instant::as_micros);
            let arrival = self.outside.under_way.first().map(|d| d.0);
            let next = [timer, arrival].into_iter().flatten().min().filter(|&at| at <= end);
            let Some(at) = next else { break };
            self.outside.now_us = self.outside.now_us.max(at);
            if arrival == Some(at) {
                let (_, socket, from, bytes) = self.outside.under_way.remove(0);
                self.datagram(socket, from, &bytes);
            } else {
                let now = Instant::from_micros(self.outside.now_us);
                self.client.handle_timeout(&mut self.outside.cx());
                let timeout = self.client.poll_timeout();
                assert!(timeout.is_none_or(|t| t > now), "a loop cannot be made to spin");
            }
        }
        self.outside.now_us = end;
    }

    fn datagram(&mut self, socket: u8, from: SocketAddr, bytes: &[u8]) {
        let received_at = Instant::from_micros(self.outside.now_us);
        let input = Input::Datagram { socket, from, bytes, received_at };
        if let Err(why) = self.client.handle_input(&mut self.outside.cx(), input) {
            self.discards.push(why);
        }
    }

    /// Seconds since the start at which each request left, and to whom.
    pub(crate) fn sent_at(&self) -> Vec<(u64, usize)> {
        self.outside.sent.iter().map(|s| ((s.at_us - 5 * SECOND) / SECOND, s.server)).collect()
    }

    /// How many requests left within the first `s` seconds.
    pub(crate) fn sent_within(&self, s: u64) -> usize {
        self.outside.sent.iter().filter(|r| r.at_us < (5 + s) * SECOND).count()
    }

    /// Microseconds from the start until this state was first reached.
    pub(crate) fn reached_us(&self, state: ClockState) -> Option<u64> {
        let reached =
            |e: &&(u64, Event)| matches!(e.1, Event::StateChanged { to, .. } if to == state);
        self.outside.events.iter().find(reached).map(|e| e.0 - 5 * SECOND)
    }

    /// By how much the client's UTC is ahead of the truth.
    pub(crate) fn ahead_ns(&self) -> Option<i64> {
        let e = self.client.utc(Instant::from_micros(self.outside.now_us))?;
        Some(e.utc.as_unix_nanos() - self.outside.utc_ns(self.outside.now_us))
    }

    /// By how much the wall clock is ahead of the truth.
    pub(crate) fn wall_error_ns(&self) -> i64 {
        let outside = &self.outside;
        let wall_ns = outside.nominal_ns(outside.now_us) + outside.wall_ahead_ns;
        wall_ns - outside.utc_ns(outside.now_us)
    }

    pub(crate) fn count(&self, what: impl Fn(&Event) -> bool) -> usize {
        self.outside.events.iter().filter(|e| what(&e.1)).count()
    }

    /// The limits that hold in every scenario.
    pub(crate) fn assert_polite(&self) {
        let sent = &self.outside.sent;
        for (i, first) in sent.iter().enumerate() {
            let window = sent[i..].iter().take_while(|s| s.at_us < first.at_us + 15 * SECOND);
            assert!(window.count() <= 8, "at most 8 packets in any 15 s, from {}", first.at_us);
            let spacing = Duration::from_millis(1_000).as_micros();
            let next = sent[i + 1..].iter().find(|s| s.server == first.server);
            assert!(next.is_none_or(|n| n.at_us >= first.at_us + spacing), "never within a second");
            let burst = sent[i..]
                .iter()
                .filter(|s| s.server == first.server && s.at_us < first.at_us + 15 * SECOND);
            assert!(burst.count() <= 4, "at most 4 packets to one server in any 15 s");
        }
        // P1: but for the three that may follow the first of a start, 15 s apart "under any conditions".
        for server in 0..self.outside.fakes.len() {
            let at: Vec<_> = sent.iter().filter(|s| s.server == server).map(|s| s.at_us).collect();
            let hasty = at.windows(2).filter(|two| two[1] - two[0] < 15 * SECOND).count();
            assert!(hasty <= 3 * self.starts.max(1), "{hasty} within 15 s, {} starts", self.starts);
        }
    }

    pub(crate) fn dice(&mut self) -> &mut dyn Rng {
        &mut self.outside.dice
    }

    /// What a report says of a server.
    pub(crate) fn verdict(&mut self, server: u8) -> Verdict {
        self.client.report(&self.outside.cx(), server).unwrap().verdict
    }
}
