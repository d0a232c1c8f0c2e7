//! [`ServerAddress`], what is known of each server, and its pool of sockets.
//!
//! A server has a few UDP sockets, each with a port of its own, that queries share: a socket per
//! query would cost a system call more, one socket would make replies easy to forge (RFC 5452 §9.2).
//! Each is used at random, for a while, and then given up for a new port.

use core::net::{IpAddr, SocketAddr};

use bringup_core::client::Rng;
use bringup_core::time::{Duration, Instant};

use crate::cookie::Cookies;
use crate::query::Plain;

/// How many servers are used; further ones are ignored.
pub const MAX_SERVERS: usize = 8;
/// The most sockets per server.
pub const MAX_SOCKETS_PER_SERVER: usize = 16;
/// The port of DNS.
pub const PORT: u16 = 53;

/// The least and the most time that a server is given to answer, however fast or slow it was.
const TIMEOUT_MIN: Duration = Duration::from_millis(250);
const TIMEOUT_MAX: Duration = Duration::from_secs(5);
/// What is assumed of a server that has never answered.
const TIMEOUT_FIRST: Duration = Duration::from_millis(500);
/// For how long a server that did not answer is asked last ...
const SHUNNED: Duration = Duration::from_secs(5);
/// ... doubled with each failure in a row, to at most this.
const SHUNNED_MAX: Duration = Duration::from_secs(60);
/// How long a server that could not read EDNS is asked without (RFC 6891 §6.2.2: "brief").
const PLAIN_FOR: Duration = Duration::from_secs(15 * 60);
/// How long a server that took no connection is not asked for one without need.
const NO_STREAM_FOR: Duration = Duration::from_secs(60);
/// A socket that nobody waits on is given up after so many sends ...
const SOCKET_USES: u8 = 64;
/// ... or so long after it was opened ...
const SOCKET_AGE: Duration = Duration::from_secs(120);
/// ... and closed when it was not used for so long.
const SOCKET_IDLE: Duration = Duration::from_secs(30);

/// A server: where it listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// Address and port; a link-local IPv6 address with its scope.
    pub address: SocketAddr,
    /// The number of the interface that its sockets and connections are bound to; `None` leaves the
    /// way to the routes.
    pub interface: Option<u32>,
}

impl ServerAddress {
    /// The same server, asked by way of one interface only.
    #[must_use]
    pub const fn on(self, interface: u32) -> Self {
        Self { interface: Some(interface), ..self }
    }
}

impl From<SocketAddr> for ServerAddress {
    fn from(address: SocketAddr) -> Self {
        Self { address, interface: None }
    }
}

impl From<IpAddr> for ServerAddress {
    /// The server at port 53 of this address.
    fn from(address: IpAddr) -> Self {
        SocketAddr::new(address, PORT).into()
    }
}

/// One of the resolver's servers. It keeps its number while it is in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerId(u8);

impl ServerId {
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The server that a connection belongs to, whether or not there is one.
    pub(crate) const fn of_conn(conn: u8) -> Self {
        Self(conn)
    }

    /// The number of the connection to this server.
    pub(crate) const fn conn(self) -> u8 {
        self.0
    }

    /// The server that a socket belongs to, whether or not there is one.
    pub(crate) fn of_socket(socket: u8) -> Self {
        Self(socket / 16)
    }
}

/// What a resolver has found out about one of its servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerReport {
    /// The server.
    pub server: ServerAddress,
    /// The smoothed round trip; `None` until it was measured.
    pub round_trip: Option<Duration>,
    /// Failures in a row since its last answer.
    pub failures: u8,
    /// Whether others are asked before it for now, since it did not answer.
    pub is_shunned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SocketState {
    Closed,
    /// Given up; the platform has yet to be told.
    Closing,
    Open,
}

#[derive(Clone, Copy)]
struct Socket {
    state: SocketState,
    uses: u8,
    /// Attempts whose reply would arrive here.
    waiting: u16,
    opened_at: Instant,
    used_at: Instant,
}

impl Socket {
    const CLOSED: Self = Self {
        state: SocketState::Closed,
        uses: 0,
        waiting: 0,
        opened_at: Instant::ZERO,
        used_at: Instant::ZERO,
    };
}

/// What is known of a server.
#[derive(Clone, Copy)]
pub(crate) struct Server {
    pub(crate) at: ServerAddress,
    /// The smoothed round trip; `None` until it was measured.
    round_trip: Option<Duration>,
    /// Failures in a row.
    failures: u8,
    /// Until when it is asked after the others.
    shunned_until: Option<Instant>,
    /// Until when it is asked without EDNS.
    plain_until: Option<Instant>,
    /// It has answered a query with OPT over UDP: silence is not about EDNS.
    hears_edns: bool,
    /// When it first answered without EDNS what it had not answered with it.
    plain_answer_at: Option<Instant>,
    /// Until when no connection is tried unless there is no other way: one could not be made.
    no_stream_until: Option<Instant>,
    pub(crate) cookies: Cookies,
    sockets: [Socket; MAX_SOCKETS_PER_SERVER],
}

impl Server {
    const fn new(at: ServerAddress) -> Self {
        Self {
            at,
            round_trip: None,
            failures: 0,
            shunned_until: None,
            plain_until: None,
            hears_edns: false,
            plain_answer_at: None,
            no_stream_until: None,
            cookies: Cookies::NONE,
            sockets: [Socket::CLOSED; MAX_SOCKETS_PER_SERVER],
        }
    }

    /// How long to wait for an answer to the `sends`-th send (1 is the first): five times the mean
    /// round trip, doubled with each send.
    pub(crate) fn timeout(&self, sends: u8) -> Duration {
        let base = self.round_trip.map_or(TIMEOUT_FIRST, |mean| mean * 5);
        let doubled = base.max(TIMEOUT_MIN) * (1 << sends.saturating_sub(1).min(8));
        doubled.min(TIMEOUT_MAX)
    }

    /// It answered. `round_trip` only where it is certain which send was answered (RFC 1035 §7.3).
    pub(crate) fn note_answer(&mut self, round_trip: Option<Duration>) {
        self.failures = 0;
        self.shunned_until = None;
        if let Some(sample) = round_trip {
            let mean = self.round_trip.map_or(sample, |mean| (mean * 7 + sample) / 8);
            self.round_trip = Some(mean);
        }
    }

    /// It did not answer, or could not be reached.
    pub(crate) fn note_failure(&mut self, now: Instant) {
        let span = SHUNNED * (1 << self.failures.min(8));
        self.shunned_until = Some(now + span.min(SHUNNED_MAX));
        self.failures = self.failures.saturating_add(1);
    }

    /// It does not read EDNS.
    pub(crate) fn note_plain(&mut self, now: Instant) {
        self.plain_until = Some(now + PLAIN_FOR);
    }

    /// It has answered a query with OPT.
    pub(crate) fn note_edns(&mut self) {
        (self.hears_edns, self.plain_answer_at) = (true, None);
    }

    /// How to ask again what was asked with OPT at `sent_at`, and was not answered.
    pub(crate) fn after_silence(&self, sent_at: Instant) -> Plain {
        match self.plain_answer_at {
            _ if self.hears_edns => Plain::No,
            Some(at) if at <= sent_at => Plain::UnheardAgain,
            _ => Plain::Unheard,
        }
    }

    /// It has answered a query without OPT over UDP, which left it out for this reason. That a query
    /// with OPT was lost once is no reason to do without EDNS: the next one has it again.
    pub(crate) fn note_plain_answer(&mut self, why: Plain, now: Instant) {
        match why {
            Plain::Unheard => _ = self.plain_answer_at.get_or_insert(now),
            Plain::UnheardAgain => self.note_plain(now),
            Plain::No | Plain::Refused => {}
        }
    }

    /// This host may have another address now: nothing that was measured or agreed on holds (RFC 8305
    /// §4, RFC 9018 §3).
    pub(crate) fn forget(&mut self) {
        for socket in &mut self.sockets {
            // One that is open has the address that this host had, and the platform has it.
            let state = match socket.state {
                SocketState::Open => SocketState::Closing,
                other => other,
            };
            *socket = Socket { state, ..Socket::CLOSED };
        }
        *self = Self { sockets: self.sockets, ..Self::new(self.at) };
    }

    pub(crate) fn is_plain(&self, now: Instant) -> bool {
        self.plain_until.is_some_and(|until| now < until)
    }

    /// It does not take connections.
    pub(crate) fn note_no_stream(&mut self, now: Instant) {
        self.no_stream_until = Some(now + NO_STREAM_FOR);
    }

    /// Whether a connection may be tried where UDP is an alternative.
    pub(crate) fn may_stream(&self, now: Instant) -> bool {
        self.no_stream_until.is_none_or(|until| until <= now)
    }

    /// Whether it failed last.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    pub(crate) fn is_shunned(&self, now: Instant) -> bool {
        self.shunned_until.is_some_and(|until| now < until)
    }

    pub(crate) fn report(&self, now: Instant) -> ServerReport {
        ServerReport {
            server: self.at,
            round_trip: self.round_trip,
            failures: self.failures,
            is_shunned: self.is_shunned(now),
        }
    }
}

/// The list of servers, and all sockets.
pub(crate) struct Servers {
    slots: [Option<Server>; MAX_SERVERS],
    /// The numbers of the servers, in the order of the list.
    order: [Option<ServerId>; MAX_SERVERS],
    /// Sockets left of servers that are gone, by server number, a bit each: to be closed.
    closing: [u16; MAX_SERVERS],
    /// Whether there may be a socket to close.
    close_due: bool,
    sockets_per_server: u8,
}

impl Servers {
    pub(crate) const fn new(sockets_per_server: u8) -> Self {
        let sockets_per_server = match sockets_per_server {
            0 => 1,
            1..=16 => sockets_per_server,
            17.. => 16,
        };
        Self {
            slots: [None; MAX_SERVERS],
            order: [None; MAX_SERVERS],
            closing: [0; MAX_SERVERS],
            close_due: false,
            sockets_per_server,
        }
    }

    /// Takes a new list. A server that stays keeps its number, its sockets and what is known of it.
    /// Gives out the numbers that mean another server now, or none, as bits.
    pub(crate) fn replace(&mut self, list: &[ServerAddress]) -> u8 {
        let mut gone = 0;
        for (number, slot) in (0u8..).zip(&mut self.slots) {
            let left = slot.as_ref().filter(|server| !list.contains(&server.at));
            let Some(Server { sockets, .. }) = left else { continue };
            gone |= 1 << number;
            let open = (0u8..).zip(sockets).filter(|(_, s)| s.state != SocketState::Closed);
            let bits = open.fold(0, |bits, (n, _)| bits | 1u16 << n);
            if let Some(closing) = self.closing.get_mut(usize::from(number)) {
                *closing |= bits;
                self.close_due = true;
            }
            *slot = None;
        }
        self.order = [None; MAX_SERVERS];
        let mut places = self.order.iter_mut();
        for (i, new) in list.iter().enumerate() {
            if list.iter().take(i).any(|earlier| earlier == new) {
                continue;
            }
            let same = |s: &Option<Server>| s.as_ref().is_some_and(|s| s.at == *new);
            let known = self.slots.iter().position(same);
            let number = known.or_else(|| self.slots.iter().position(Option::is_none));
            // The first eight find a place; a device that is told of sixteen uses eight of them.
            let (Some(number), Some(place)) = (number, places.next()) else { break };
            if let Some(slot @ None) = self.slots.get_mut(number) {
                *slot = Some(Server::new(*new));
            }
            *place = u8::try_from(number).ok().map(ServerId);
        }
        gone
    }

    /// How many there are: at most eight.
    pub(crate) fn count(&self) -> u8 {
        self.order.iter().flatten().fold(0, |count, _| count + 1)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.iter().all(Option::is_none)
    }

    /// The servers in the order of the list.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (ServerId, &Server)> {
        self.order.iter().flatten().filter_map(|&id| Some((id, self.get(id)?)))
    }

    /// Their addresses, in that order.
    pub(crate) fn addresses(&self) -> [Option<ServerAddress>; MAX_SERVERS] {
        self.order.map(|id| self.get(id?).map(|server| server.at))
    }

    /// What failed before the list changed says nothing any more.
    pub(crate) fn forgive(&mut self) {
        for server in self.slots.iter_mut().flatten() {
            (server.failures, server.shunned_until, server.no_stream_until) = (0, None, None);
        }
    }

    /// See [`Server::forget`].
    pub(crate) fn forget(&mut self) {
        self.slots.iter_mut().flatten().for_each(Server::forget);
        self.close_due = true;
    }

    pub(crate) fn get(&self, id: ServerId) -> Option<&Server> {
        self.slots.get(id.index())?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: ServerId) -> Option<&mut Server> {
        self.slots.get_mut(id.index())?.as_mut()
    }

    fn socket(&self, socket: u8) -> Option<&Socket> {
        self.get(ServerId::of_socket(socket))?.sockets.get(usize::from(socket % 16))
    }

    fn socket_mut(&mut self, socket: u8) -> Option<&mut Socket> {
        self.get_mut(ServerId::of_socket(socket))?.sockets.get_mut(usize::from(socket % 16))
    }

    /// Whether the platform was asked to open this socket.
    pub(crate) fn is_open(&self, socket: u8) -> bool {
        self.socket(socket).is_some_and(|s| s.state == SocketState::Open)
    }

    /// A socket of `server` for a new attempt, which counts as waiting on it. One that has been used
    /// enough, and that nobody waits on, is to be opened anew.
    pub(crate) fn take_socket(&mut self, server: ServerId, now: Instant, rng: &mut dyn Rng) -> u8 {
        let pick = u8::try_from(rng.below(u64::from(self.sockets_per_server))).unwrap_or(0);
        let number = server.0 * 16 + pick;
        if let Some(socket) = self.socket_mut(number) {
            let old = socket.uses >= SOCKET_USES || now >= socket.opened_at + SOCKET_AGE;
            if socket.state == SocketState::Open && socket.waiting == 0 && old {
                socket.state = SocketState::Closed;
            }
            socket.waiting += 1;
            socket.uses = socket.uses.saturating_add(1);
            socket.used_at = now;
        }
        number
    }

    /// An attempt no longer waits on this socket.
    pub(crate) fn leave_socket(&mut self, socket: u8, now: Instant) {
        if let Some(socket) = self.socket_mut(socket) {
            socket.waiting = socket.waiting.saturating_sub(1);
            socket.used_at = now;
        }
    }

    /// Notes that the platform is being asked to open this socket, after all that it is to close.
    pub(crate) fn set_open(&mut self, number: u8, now: Instant) {
        if let Some(socket) = self.socket_mut(number) {
            socket.state = SocketState::Open;
            socket.uses = 0;
            socket.opened_at = now;
        }
    }

    /// Notes that the platform could not open this socket.
    pub(crate) fn set_closed(&mut self, number: u8) {
        if let Some(socket) = self.socket_mut(number) {
            socket.state = SocketState::Closed;
        }
    }

    /// The next socket that the platform is to close; it counts as closed from here on.
    pub(crate) fn next_to_close(&mut self) -> Option<u8> {
        if !self.close_due {
            return None;
        }
        for (server, closing) in (0u8..).zip(&mut self.closing) {
            if *closing != 0 {
                let bit = u8::try_from(closing.trailing_zeros()).unwrap_or(0);
                *closing &= *closing - 1;
                return Some(server * 16 + bit);
            }
        }
        for (server, slot) in (0u8..).zip(&mut self.slots) {
            let Some(Server { sockets, .. }) = slot else { continue };
            for (n, socket) in (0u8..).zip(sockets) {
                if socket.state == SocketState::Closing {
                    socket.state = SocketState::Closed;
                    return Some(server * 16 + n);
                }
            }
        }
        self.close_due = false;
        None
    }

    /// Gives up sockets that have been idle; says when to look again.
    pub(crate) fn retire_idle(&mut self, now: Instant) -> Option<Instant> {
        let mut next = None;
        for server in self.slots.iter_mut().flatten() {
            for socket in &mut server.sockets {
                if socket.state != SocketState::Open || socket.waiting > 0 {
                    continue;
                }
                let at = socket.used_at + SOCKET_IDLE;
                if at <= now {
                    socket.state = SocketState::Closing;
                    self.close_due = true;
                } else {
                    next = Instant::earliest([next, Some(at)]);
                }
            }
        }
        next
    }
}

#[cfg(test)]
mod tests;
