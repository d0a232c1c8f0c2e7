//! [`NtpClient`]: when to ask whom, and what to make of the answers. Sans-IO.
//!
//! A start (D4) asks up to four servers within four seconds, the first at once; the first good
//! reply makes the time provisional, a second that agrees confirms it, and one short burst goes to
//! the best of them. Then each is polled at intervals of its own, or, while none answers, one after
//! the other, ever more slowly. Whatever the servers send, at most eight packets leave in any 15
//! seconds, and outside of a start none goes to a server within 15 seconds of the last.
//!
//! Each request has a socket, a random port and a nonce of its own, and keeps them until its reply
//! or four seconds have come: a late reply to the first request is no reply to the second.

mod config;
mod event;
mod flight;
mod probe;
mod schedule;
mod servers;
mod weigh;

#[cfg(test)]
mod tests;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bringup_core::client::{Client, Cx, Endpoint, Input, Transmit};
use bringup_core::error::ErrorKind;
use bringup_core::time::{Instant, Utc};
use bringup_core::wire::Writer;

pub use config::{Config, Server, Source};
pub use event::{Event, Report, ReportedSample, Verdict};

use crate::accept::{self, Measurement, Pending};
use crate::association::Association;
use crate::clock::{Clock, ClockState, UtcEstimate};
use crate::discard::{Counters, Discard, bump};
use crate::discipline::{Adjust, Wall};
use crate::frequency::FrequencyLoop;
use crate::leap::LeapWatch;
use crate::packet::Packet;
use crate::plausible::{Bounds, Reference};
use event::Events;
use flight::{Flight, Flights};
use schedule::Phase;

/// Servers that are kept; further ones are ignored.
pub const MAX_SERVERS: usize = 8;
/// Sockets that are open at once; their indices are below this.
pub const MAX_SOCKETS: usize = flight::MAX_FLIGHTS;
/// Servers that are asked in turn; the others take the place of one that denies service.
pub const MAX_ACTIVE: usize = 4;

/// A slew up to this leaves the samples as they are, nanoseconds: their least error bound covers it.
const HARMLESS_SLEW_NS: u64 = 1_000_000;

/// The client. It needs no memory but its own.
pub struct NtpClient {
    config: Config,
    servers: [Association; MAX_SERVERS],
    count: usize,
    phase: Phase,
    flights: Flights,
    clock: Clock,
    /// The server whose sample the clock goes by.
    chosen: Option<u8>,
    /// The state that the application has been told.
    told: ClockState,
    /// When a start last began: not twice within a minute (P2).
    started_at: Option<Instant>,
    /// When the time is to be saved next, while it is confirmed.
    save_at: Instant,
    /// When something was last proposed to be done about the wall clock.
    adjusted_at: Instant,
    frequency: FrequencyLoop,
    bounds: Option<Bounds>,
    leap_watch: LeapWatch,
    events: Events,
    counters: Counters,
}

impl NtpClient {
    /// A client that knows no server and does nothing yet.
    pub const fn new(config: Config) -> Self {
        Self {
            servers: [Association::new(Server::NOBODY); MAX_SERVERS],
            count: 0,
            phase: Phase::Stopped,
            flights: Flights::new(),
            clock: Clock::new(config.confirmed_for, config.valid_for),
            chosen: None,
            told: ClockState::Invalid,
            started_at: None,
            save_at: Instant::ZERO,
            adjusted_at: Instant::ZERO,
            frequency: FrequencyLoop::new(),
            bounds: None,
            leap_watch: LeapWatch::new(),
            events: Events::new(),
            counters: Counters::new(),
            config,
        }
    }

    /// How well the time is known.
    pub const fn state(&self) -> ClockState {
        self.clock.state()
    }

    /// UTC at `now` with its error bound; `None` while it is not known. No wall clock takes part.
    pub fn utc(&self, now: Instant) -> Option<UtcEstimate> {
        self.clock.utc(now).map(|e| UtcEstimate { utc: e.utc.max(self.config.floor), ..e })
    }

    /// What must be added to the wall clock, nanoseconds; `None` while UTC is not known.
    pub fn offset_ns(&self, cx: &Cx<'_>) -> Option<i64> {
        self.utc(cx.now).map(|e| e.utc.nanos_since(cx.utc))
    }

    /// The time that is known to have passed. It only ever rises.
    pub const fn floor(&self) -> Utc {
        self.config.floor
    }

    /// Raises the floor: the caller has learned of a later time that has passed.
    pub fn raise_floor(&mut self, floor: Utc) {
        self.config.floor = self.config.floor.max(floor);
    }

    /// Reads a reference: replies that tell another time are discarded from now on. One that cannot
    /// say anything takes back what was read before.
    pub fn constrain(&mut self, cx: &Cx<'_>, reference: &mut dyn Reference) {
        self.bounds = reference.read().map(|read| Bounds::new(read, cx.now));
    }

    /// What has been counted so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The servers, in the order in which events number them.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().take(self.count).map(|a| &a.server)
    }

    /// What is known of a server; `None` if there is none of this number.
    pub fn report(&self, cx: &Cx<'_>, server: u8) -> Option<Report> {
        let a = self.server(server)?;
        let sample = a.candidate(cx.now).zip(a.delay_ns(cx.now)).map(|(claim, delay_ns)| {
            let utc_ns = claim.offset_ns.wrapping_add(accept::instant_ns(cx.now));
            ReportedSample {
                offset_ns: Utc::from_unix_nanos(utc_ns).nanos_since(cx.utc),
                delay_ns,
                root_distance_ns: claim.distance_ns,
                stratum: a.facts.stratum,
                leap: a.facts.leap,
                reference_id: a.facts.reference_id,
            }
        });
        let verdict = match (sample, a.last_refusal.or(a.last_stray)) {
            (Some(_), _) if a.outvoted => Verdict::Outvoted,
            (Some(_), _) => Verdict::Ok,
            (None, Some(why)) => Verdict::Discarded(why),
            (None, None) => Verdict::NoReply,
        };
        Some(Report { server: a.server, verdict, sample })
    }

    /// The platform has changed the wall clock as [`Event::Adjust`] said.
    ///
    /// A slew steers the monotonic clock as well (on Linux they are one), so that what was measured
    /// before it is off by up to as much. A step leaves the monotonic clock alone, and with it all
    /// that is known: nothing here is relative to the wall clock, which is why C6 has no samples to
    /// reset.
    pub fn applied(&mut self, adjust: Adjust) {
        if self.state() == ClockState::Confirmed {
            self.config.wall = Wall::Running;
        }
        match adjust {
            Adjust::Step { .. } => self.frequency.adjusted(self.adjusted_at, 0),
            Adjust::Slew { offset_ns } => {
                let by_ns = offset_ns.unsigned_abs();
                self.frequency.adjusted(self.adjusted_at, by_ns);
                self.clock.widen(by_ns);
                if by_ns > HARMLESS_SLEW_NS {
                    self.servers.iter_mut().for_each(Association::forget_samples);
                }
            }
            Adjust::Rate { .. } | Adjust::Leap(_) => {}
        }
    }

    /// Throws away what is known of the time, the panic limit's anchor included: the next good
    /// sample counts as the first. The floor stays.
    pub fn forget(&mut self) {
        self.clock.forget();
        self.config.wall = Wall::Unset;
        self.servers.iter_mut().for_each(Association::forget_samples);
        self.tell_state();
    }

    /// The association of this number.
    fn server(&self, server: u8) -> Option<&Association> {
        self.servers.get(..self.count)?.get(usize::from(server))
    }

    /// The association of this number, to change it.
    #[inline(never)] // many call it
    fn server_mut(&mut self, server: u8) -> Option<&mut Association> {
        self.servers.get_mut(..self.count)?.get_mut(usize::from(server))
    }

    /// Queues an event.
    fn emit(&mut self, event: Event) {
        self.events.push(event, &mut self.counters);
    }

    /// Takes in a datagram. Nothing changes before the nonce has been seen.
    fn datagram(
        &mut self,
        cx: &mut Cx<'_>,
        socket: u8,
        from: SocketAddr,
        bytes: &[u8],
        received_at: Instant,
    ) -> Result<(), Discard> {
        let flight = self.flights.table.get(usize::from(socket)).copied();
        let Some(Flight::Waiting { server, nonce, sent_at }) = flight else {
            return Err(Discard::NothingPending);
        };
        let association = self.server_mut(server).ok_or(Discard::NothingPending)?;
        let pending = Pending { server: association.server.address, nonce, sent_at };
        let (packet, trailer) = accept::matches(&pending, from, bytes).inspect_err(|&why| {
            association.last_stray = Some(why);
        })?;
        // The nonce is used up, whatever comes of the reply: a copy of it finds nothing (TEST1).
        if let Some(flight) = self.flights.table.get_mut(usize::from(socket)) {
            flight.end();
        }
        let received_at = received_at.min(cx.now);
        let judged = accept::judge(&packet, trailer, sent_at, received_at, self.config.floor)
            .and_then(|m| self.within_distance(cx.now, m))
            .and_then(|m| self.within_bounds(cx.now, m));
        match judged {
            Ok(measurement) => {
                self.accept(cx, server, &measurement);
                Ok(())
            }
            Err(why) => {
                self.refuse(cx, server, why, &packet);
                Err(why)
            }
        }
    }

    /// Takes in a good sample.
    fn accept(&mut self, cx: &mut Cx<'_>, server: u8, m: &Measurement) {
        bump(&mut self.counters.accepted);
        let source = self.server(server).map_or(Source::Name, |a| a.server.source);
        let steady_poll = self.steady_poll(source);
        if let Some(a) = self.server_mut(server) {
            a.good(m, cx.now, steady_poll);
        }
        let age_us = cx.now.since(m.sent_at).as_micros();
        let root_distance_ns = m.server.distance_ns(m.delay_ns, age_us);
        self.emit(Event::Sample { server, delay_ns: m.delay_ns, root_distance_ns });
        // Before the offset of this sample is slewed away.
        self.steer(cx, server, m);
        self.weigh(cx, Some(server));
        self.watch_leap(cx.now, self.leap());
        self.answered(cx, server);
    }

    /// Takes in an answer that is no time.
    fn refuse(&mut self, cx: &mut Cx<'_>, server: u8, why: Discard, packet: &Packet) {
        if let Some(a) = self.server_mut(server) {
            a.refused(why, packet.poll, cx.now);
        }
        self.emit(Event::Rejected { server, why });
        self.turned_away(cx, server, why);
    }

    /// A request could not be sent, or its socket not be opened.
    fn send_failed(&mut self, cx: &mut Cx<'_>, socket: u8, why: ErrorKind) {
        let Some(flight) = self.flights.table.get_mut(usize::from(socket)) else { return };
        let Some(server) = flight.server() else { return };
        bump(&mut self.counters.send_failed);
        if why == ErrorKind::Refused {
            // ICMP is easily forged: the reply may still come, but the next server need not wait.
            self.hasten(cx.now);
            self.probe_refused(cx, server);
            return;
        }
        *flight = match *flight {
            // The socket was not opened, so there is none to close.
            Flight::Sending { .. } => Flight::Free,
            _ => Flight::Closing,
        };
        self.unanswered(cx, server, cx.now);
        if !matches!(why, ErrorKind::Busy | ErrorKind::Exhausted) {
            self.probe_refused(cx, server);
        }
    }
}

impl Client for NtpClient {
    type Event = Event;
    type Discard = Discard;

    fn handle_input(&mut self, cx: &mut Cx<'_>, input: Input<'_>) -> Result<(), Discard> {
        let result = match input {
            Input::Datagram { socket, from, bytes, received_at } => {
                self.datagram(cx, socket, from, bytes, received_at)
            }
            Input::SendFailed { socket, why } => {
                self.send_failed(cx, socket, why);
                Ok(())
            }
            Input::Frame { .. } | Input::Stream { .. } => Err(Discard::NotADatagram),
        };
        result.inspect_err(|&why| self.counters.discard(why))
    }

    fn handle_timeout(&mut self, cx: &mut Cx<'_>) {
        self.expire(cx);
        self.clock.age(cx.now);
        self.tell_state();
        if self.leap_watch.due_at().is_some_and(|at| at <= cx.now) {
            self.watch_leap(cx.now, self.leap_watch.word());
        }
        self.save(cx.now);
        self.step(cx);
    }

    fn poll_transmit<'b>(&mut self, cx: &mut Cx<'_>, buffer: &'b mut [u8]) -> Option<Transmit<'b>> {
        for index in 0..flight::MAX_FLIGHTS {
            let flight = self.flights.table.get(index).copied()?;
            let socket = u8::try_from(index).ok()?;
            let (next, server) = match flight {
                Flight::Free | Flight::Waiting { .. } => continue,
                Flight::Closing => (Flight::Free, None),
                Flight::Opening { server } => (Flight::Sending { server }, Some(server)),
                Flight::Sending { server } => {
                    // R2, D5: 64 fresh bits for each packet, and never 0.
                    let nonce = cx.rng.u64().max(1);
                    (Flight::Waiting { server, nonce, sent_at: cx.now }, Some(server))
                }
            };
            *self.flights.table.get_mut(index)? = next;
            let Some(server) = server else { return Some(Transmit::Close { socket }) };
            let to = self.server(server)?.server.address;
            let Flight::Waiting { nonce, .. } = next else {
                let local = unspecified(to);
                let endpoint = Endpoint::Udp { local, peer: Some(to), interface: None };
                return Some(Transmit::Open { socket, endpoint });
            };
            let mut w = Writer::new(buffer);
            if Packet::request(nonce).write(&mut w).is_err() {
                // A buffer below 48 octets is the driver's mistake; the request is given up.
                self.send_failed(cx, socket, ErrorKind::TooLong);
                return Some(Transmit::Close { socket });
            }
            bump(&mut self.counters.sent);
            return Some(Transmit::Datagram { socket, to, bytes: w.finish() });
        }
        None
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let save_at = self.is_worth_saving().then_some(self.save_at);
        Instant::earliest([
            self.flights.expires_at(),
            self.clock.stale_at(),
            self.leap_watch.due_at(),
            save_at,
            self.due_at(),
        ])
    }
}

/// The unspecified address of the peer's family, with a port that the platform chooses at random
/// (RFC 9109 §4).
fn unspecified(peer: SocketAddr) -> SocketAddr {
    let ip = match peer {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(ip, 0)
}
