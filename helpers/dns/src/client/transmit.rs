//! What goes out: sockets to close and to open, and queries.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bringup_core::client::{Cx, Endpoint, Transmit};

use super::Resolver;
use super::index::By;
use super::lookups::MAX_SENDS;
use super::streams::Loss;
use crate::config::Config;
use crate::cookie;
use crate::encode::{self, QueryFlags};
use crate::parts;
use crate::query::{AttemptState, Failure, Lookup, LookupState, Plain};
use crate::server::{MAX_SERVERS, ServerAddress, ServerId};

/// The most octets of a query: length, header, name, type and class, OPT.
const MAX_QUERY: usize = 2 + 12 + 255 + 4 + 11 + cookie::MAX_OPTION;

/// What was handed to the platform last: a refusal that follows is of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// A socket was to be opened.
    Open(u8),
    /// A query was sent on this socket, for this lookup.
    Query(u8, usize),
}

impl Last {
    pub(super) const fn socket(self) -> u8 {
        match self {
            Self::Open(socket) | Self::Query(socket, _) => socket,
        }
    }
}

impl Resolver<'_> {
    pub(super) fn next_transmit<'b>(
        &mut self,
        cx: &mut Cx<'_>,
        buffer: &'b mut [u8],
    ) -> Option<Transmit<'b>> {
        self.last_transmit = None;
        // There are eight connections at most.
        while let Some(server) = self.streams.next_broken() {
            self.lose_stream(cx, server, Loss::Given);
            self.walk_on(cx);
        }
        if let Some(socket) = self.servers.next_to_close() {
            return Some(Transmit::Close { socket });
        }
        if let Some(conn) = self.streams.next_to_close() {
            return Some(Transmit::Disconnect { conn });
        }
        if buffer.len() < MAX_QUERY {
            return None;
        }
        // Each round moves one lookup onto a connection or to another server, or ends it.
        for _ in 0..self.lookups.len() * (MAX_SERVERS + 1) {
            let Some((index, server)) = self.next_to_send() else { break };
            if self.is_exhausted(index, server) {
                self.exhausted(cx, index, server);
                self.walk_on(cx);
                continue;
            }
            self.supersede_probe(cx.now, index, server);
            let ServerAddress { address, interface } = self.servers.get(server)?.at;
            if !self.goes_over_tcp(index, server, cx.now) {
                return self.next_datagram(cx, index, server, address, buffer);
            }
            if !parts::TCP {
                self.server_failed(cx, index, server, Failure::Unreachable);
                self.walk_on(cx);
                continue;
            }
            if self.queue_on_stream(cx, index, server) {
                return Some(Transmit::Connect { conn: server.conn(), to: address, interface });
            }
        }
        self.next_write(cx, buffer)
    }

    /// Whether a server may not be asked this any more. A probe is sent once.
    fn is_exhausted(&self, index: usize, server: ServerId) -> bool {
        let is_probe = self.lookups.get(index).is_some_and(|l| l.probe.is_some());
        self.sends_to(index, server) >= if is_probe { 1 } else { MAX_SENDS }
    }

    /// A server has been asked three times, and what it said asks for a fourth.
    fn exhausted(&mut self, cx: &mut Cx<'_>, index: usize, server: ServerId) {
        let Some(lookup) = self.lookups.get(index) else { return };
        let failure = match lookup.attempt(server).truncated {
            true => Failure::Truncated,
            false => lookup.failure.unwrap_or(Failure::Timeout),
        };
        self.server_failed(cx, index, server, failure);
    }

    fn next_datagram<'b>(
        &mut self,
        cx: &mut Cx<'_>,
        index: usize,
        server: ServerId,
        address: SocketAddr,
        buffer: &'b mut [u8],
    ) -> Option<Transmit<'b>> {
        let socket = self.prepare(cx, index, server)?;
        if !self.servers.is_open(socket) {
            self.servers.set_open(socket, cx.now);
            self.last_transmit = Some(Last::Open(socket));
            let local = unspecified(address);
            let interface = self.servers.get(server)?.at.interface;
            let endpoint = Endpoint::Udp { local, peer: Some(address), interface };
            return Some(Transmit::Open { socket, endpoint });
        }
        let bytes = self.encode(cx, index, server, buffer)?;
        self.last_transmit = Some(Last::Query(socket, index));
        Some(Transmit::Datagram { socket, to: address, bytes })
    }

    /// The next lookup to send, in turn. It stays the next until it is sent.
    fn next_to_send(&mut self) -> Option<(usize, ServerId)> {
        while let Some(index) = self.index.first() {
            if let LookupState::Send(server) = self.lookups.get(index)?.state {
                return Some((index, server));
            }
            self.index.pop();
        }
        None
    }

    /// Gives the attempt at `server` a socket and an id, if it has none yet. A repeated send keeps
    /// both (RFC 1035 §7.3), unless its socket is gone.
    fn prepare(&mut self, cx: &mut Cx<'_>, index: usize, server: ServerId) -> Option<u8> {
        let attempt = self.lookups.get(index)?.attempt(server);
        if attempt.state == AttemptState::Open {
            return Some(attempt.socket);
        }
        let socket = self.servers.take_socket(server, cx.now, cx.rng);
        let id = self.free_id(cx, server, socket);
        let mix_case = self.config.mix_case;
        let lookup = self.lookups.get_mut(index)?;
        if !lookup.spread && lookup.attempts.iter().any(|a| a.state == AttemptState::Open) {
            lookup.spread = true;
            self.spread += 1;
        }
        let attempt = lookup.attempt_mut(server)?;
        (attempt.state, attempt.socket, attempt.id) = (AttemptState::Open, socket, id);
        // After a connection that could not be made there is no doubt to raise.
        attempt.case = if mix_case && !attempt.requeued { cx.rng.u64() } else { 0 };
        self.index.set(index, By::Id, id_key(id));
        Some(socket)
    }

    /// An unpredictable id that no other query on this socket has. There are fewer lookups than ids,
    /// so that the walk from a taken one ends.
    fn free_id(&self, cx: &mut Cx<'_>, server: ServerId, socket: u8) -> u16 {
        let has = |lookup: &Lookup, id: u16| {
            let attempt = lookup.attempt(server);
            attempt.state == AttemptState::Open && attempt.socket == socket && attempt.id == id
        };
        let taken = |id: u16| {
            if self.spread > 0 {
                return self.lookups.iter().any(|lookup| has(lookup, id));
            }
            let mut indexed = self.index.of(By::Id, id_key(id));
            indexed.any(|index| self.lookups.get(index).is_some_and(|lookup| has(lookup, id)))
        };
        // A fresh draw is better than a neighbour: a few are tried before the walk.
        let mut id = cx.rng.u16();
        for _ in 0..8 {
            if !taken(id) {
                return id;
            }
            id = cx.rng.u16();
        }
        for _ in 0..self.lookups.len() {
            if !taken(id) {
                break;
            }
            id = id.wrapping_add(1);
        }
        id
    }

    fn encode<'b>(
        &mut self,
        cx: &mut Cx<'_>,
        index: usize,
        server: ServerId,
        buffer: &'b mut [u8],
    ) -> Option<&'b [u8]> {
        let Config { edns_udp_size, trust_ad, cookies, .. } = self.config;
        let sends = self.lookups.get(index)?.attempt(server).sends;
        let patience = self.patience(server, sends + 1);
        let known = self.servers.get_mut(server)?;
        let server_is_plain = known.is_plain(cx.now);
        let lookup = self.lookups.get_mut(index)?;
        lookup.asked |= 1 << server.index();
        let name = &lookup.name;
        let attempt = lookup.attempts.get_mut(server.index())?;
        attempt.edns = attempt.plain == Plain::No && !server_is_plain;
        attempt.sends += 1;
        (attempt.sent_at, attempt.graced) = (cx.now, false);
        let mut cookie_buffer = [0; cookie::MAX_OPTION];
        let shown = cookies && attempt.edns && !attempt.no_cookie;
        let option = match shown {
            true => known.cookies.option(cx.now, cx.rng, &mut cookie_buffer),
            false => None,
        };
        attempt.cookie = option.is_some();
        let mixed = if attempt.case == 0 { None } else { Some(name.mixed(attempt.case)) };
        let flags = QueryFlags {
            edns_udp_size: attempt.edns.then_some(edns_udp_size),
            ad: trust_ad,
            cd: !self.time_valid,
        };
        let question = (mixed.as_ref().unwrap_or(name).view(), lookup.rtype);
        let options = option.unwrap_or(&[]);
        // The buffer has room for the longest query.
        let bytes = encode::query_with(buffer, attempt.id, question, flags, options).ok()?;
        self.counters.sent += 1;
        self.enter(index, LookupState::Wait(server, cx.now + patience));
        Some(bytes)
    }
}

/// What a lookup is found by when a reply with this id comes, never 0.
pub(super) fn id_key(id: u16) -> u32 {
    u32::from(id) + 1
}

/// Any address of the same family, any port.
const fn unspecified(peer: SocketAddr) -> SocketAddr {
    match peer {
        SocketAddr::V4(_) => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        SocketAddr::V6(_) => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
    }
}
