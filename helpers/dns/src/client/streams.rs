//! Connections: which queries go over them, what is written, what comes in, and how they end
//! (RFC 7766).

use bringup_core::client::{Cx, StreamInput, Transmit};
use bringup_core::time::{Duration, Instant};

use super::Resolver;
use super::input::Via;
use crate::counters::Discard;
use crate::encode::{self, QueryFlags};
use crate::parts;
use crate::query::{AttemptState, Failure, LookupState, OnStream, Plain};
use crate::server::{MAX_SERVERS, ServerId};
use crate::stream::{Broken, Piece, Rest, STREAM_IDLE, Sending};

/// A query over TCP takes two round trips where one over UDP takes one.
const STREAM_FACTOR: u64 = 2;
/// ... but is not waited for longer than this.
const STREAM_TIMEOUT_MAX: Duration = Duration::from_secs(5);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The other side, or the platform, has closed it.
    Taken,
    /// It is given up here: the platform is told.
    Given,
}

impl Resolver<'_> {
    /// Whether the next send of a lookup to `server` goes over TCP: because nothing else will do,
    /// because a connection stands anyway, or because UDP was not answered (RFC 9715 R7).
    pub(super) fn goes_over_tcp(&self, index: usize, server: ServerId, now: Instant) -> bool {
        let Some(lookup) = self.lookups.get(index) else { return false };
        if !parts::TCP {
            // What may go over TCP alone does not go over UDP for want of it.
            return lookup.tcp;
        }
        let attempt = lookup.attempt(server);
        let may = self.servers.get(server).is_some_and(|known| known.may_stream(now));
        let unheard = attempt.state == AttemptState::Open && attempt.sends + 1 >= self.max_sends();
        lookup.tcp
            || attempt.over_tcp
            || !attempt.requeued && attempt.sends == 0 && self.streams.is_inviting(server, now)
            || !attempt.requeued && unheard && may
    }

    /// Puts a lookup onto the connection to `server`; `true` if that is to be made first.
    pub(super) fn queue_on_stream(
        &mut self,
        cx: &mut Cx<'_>,
        index: usize,
        server: ServerId,
    ) -> bool {
        let id = self.free_stream_id(cx, server);
        let server_is_plain = self.servers.get(server).is_some_and(|s| s.is_plain(cx.now));
        let Some(attempt) = self.lookups.get_mut(index).and_then(|l| l.attempt_mut(server)) else {
            return false;
        };
        (attempt.stream_id, attempt.on_stream, attempt.over_tcp) = (id, OnStream::Queued, true);
        (attempt.sends, attempt.sent_at) = (attempt.sends + 1, cx.now);
        (attempt.edns, attempt.graced) = (attempt.plain == Plain::No && !server_is_plain, false);
        let sends = attempt.sends;
        let span = (self.patience(server, sends) * STREAM_FACTOR).min(STREAM_TIMEOUT_MAX);
        self.enter(index, LookupState::Wait(server, cx.now + span));
        self.streams.touch(server, cx.now);
        self.streams.send_due = true;
        if self.streams.is_known(server) {
            return false;
        }
        self.streams.connect(server, cx.now);
        self.counters.connects += 1;
        true
    }

    /// An unpredictable id that no other query on this connection has (RFC 7766 §6.2.1).
    fn free_stream_id(&self, cx: &mut Cx<'_>, server: ServerId) -> u16 {
        let taken = |id: u16| {
            let mut attempts = self.lookups.iter().map(|lookup| lookup.attempt(server));
            attempts.any(|a| a.on_stream != OnStream::No && a.stream_id == id)
        };
        // There are fewer lookups than ids, so that the walk from a taken one ends.
        let mut id = cx.rng.u16();
        for _ in 0..self.lookups.len() {
            if !taken(id) {
                break;
            }
            id = id.wrapping_add(1);
        }
        id
    }

    /// The next message, or the rest of one, to be written on a connection that takes it.
    pub(super) fn next_write<'b>(
        &mut self,
        cx: &mut Cx<'_>,
        buffer: &'b mut [u8],
    ) -> Option<Transmit<'b>> {
        if !parts::TCP || !self.streams.send_due {
            return None;
        }
        let servers = (0u8..).map(ServerId::of_conn).take(MAX_SERVERS);
        let found = servers.clone().find_map(|server| {
            let (index, taken) = match self.streams.sending(server) {
                _ if !self.streams.is_open(server) => return None,
                Some(Sending { lookup: Some(index), taken, rest: Rest::Ready, .. }) => {
                    (index, taken)
                }
                Some(_) => return None,
                None => (self.next_queued(server)?, 0),
            };
            Some((server, index, taken))
        });
        let Some((server, index, taken)) = found else {
            self.streams.send_due = false;
            return None;
        };
        let length = self.encode_framed(cx, index, server, taken == 0, buffer)?;
        let sending = Sending { lookup: Some(index), taken, length, rest: Rest::Handed };
        self.streams.set_sending(server, Some(sending));
        Some(Transmit::Stream { conn: server.conn(), bytes: buffer.get(taken..length)? })
    }

    fn next_queued(&self, server: ServerId) -> Option<usize> {
        self.lookups.iter().position(|l| l.attempt(server).on_stream == OnStream::Queued)
    }

    /// Writes a query behind its length, in one piece (RFC 7766 §8). All that it depends on stays as it
    /// is while the rest of it waits for room.
    fn encode_framed(
        &mut self,
        cx: &Cx<'_>,
        index: usize,
        server: ServerId,
        first: bool,
        buffer: &mut [u8],
    ) -> Option<usize> {
        let udp_size = self.config.edns_udp_size;
        let lookup = self.lookups.get_mut(index)?;
        let attempt = lookup.attempt_mut(server)?;
        attempt.on_stream = OnStream::Sent;
        let flags = QueryFlags {
            edns_udp_size: attempt.edns.then_some(udp_size),
            ad: self.config.trust_ad,
            cd: !self.time_valid,
        };
        if first {
            attempt.sent_at = cx.now;
            self.counters.sent += 1;
            self.counters.sent_tcp += 1;
        }
        let id = attempt.stream_id;
        let (prefix, room) = buffer.split_first_chunk_mut::<2>()?;
        let written = encode::query(room, id, lookup.name.view(), lookup.rtype, flags).ok()?;
        let length = written.len();
        *prefix = u16::try_from(length).ok()?.to_be_bytes();
        Some(length + 2)
    }

    pub(super) fn handle_stream(
        &mut self,
        cx: &mut Cx<'_>,
        conn: u8,
        input: StreamInput<'_>,
    ) -> Result<(), Discard> {
        let server = ServerId::of_conn(conn);
        if !parts::TCP || !self.streams.is_known(server) {
            return Err(Discard::UnknownConnection);
        }
        match input {
            StreamInput::Connected => self.streams.connected(server, cx.now),
            StreamInput::Sent(n) => self.streams.sent(server, n),
            StreamInput::Writable => self.streams.writable(server),
            StreamInput::Closed => self.lose_stream(cx, server, Loss::Taken),
            StreamInput::Bytes(bytes) => return self.handle_bytes(cx, server, bytes),
        }
        Ok(())
    }

    /// Reads all messages in what has arrived; the last reason to ignore one is returned, the others
    /// are counted here.
    fn handle_bytes(
        &mut self,
        cx: &mut Cx<'_>,
        server: ServerId,
        mut bytes: &[u8],
    ) -> Result<(), Discard> {
        let via = Via { server, socket: None, received_at: cx.now };
        let mut result = Ok(());
        // Each message takes at least its length's two octets.
        while self.streams.is_open(server) {
            let piece = self.streams.next_message(server, &mut bytes, cx.now);
            let next = match piece {
                Ok(None) => break,
                Ok(Some(Piece::Whole(message))) => self.handle_message(cx, via, message),
                Ok(Some(Piece::Assembled(room, length))) => {
                    let Some(buffer) = self.streams.take_room(room) else { break };
                    let message = buffer.get(..length).unwrap_or(&[]);
                    let next = self.handle_message(cx, via, message);
                    self.streams.return_room(room, buffer);
                    next
                }
                Err(why) => {
                    self.lose_stream(cx, server, Loss::Given);
                    Err(match why {
                        Broken::TooShort => Discard::StreamLength,
                        Broken::NoRoom => Discard::StreamNoRoom,
                    })
                }
            };
            if let Err(earlier) = core::mem::replace(&mut result, next) {
                self.counters.discard(earlier);
            }
        }
        result
    }

    /// A connection is gone. What was asked on it is asked on a new one, once (RFC 7766 §6.2.4), and
    /// over UDP if it could not be made and UDP may do; else the next server is asked.
    pub(super) fn lose_stream(&mut self, cx: &mut Cx<'_>, server: ServerId, loss: Loss) {
        let stood = match loss {
            Loss::Taken => self.streams.closed(server),
            Loss::Given => self.streams.close(server),
        };
        if let Some(known) = self.servers.get_mut(server).filter(|_| !stood) {
            known.note_no_stream(cx.now);
        }
        let most = self.max_sends();
        for index in 0..self.lookups.len() {
            let Some(lookup) = self.lookups.get_mut(index) else { continue };
            let (only_tcp, lingers) = (lookup.tcp, lookup.linger.is_some());
            let current = matches!(lookup.state, LookupState::Wait(s, _) if s == server);
            let Some(attempt) = lookup.attempt_mut(server) else { continue };
            match core::mem::replace(&mut attempt.on_stream, OnStream::No) {
                OnStream::No => continue,
                // What never got out does not count as a send.
                OnStream::Queued => attempt.sends = attempt.sends.saturating_sub(1),
                OnStream::Sent => {}
            }
            let again = stood && !attempt.requeued;
            let by_udp = !only_tcp && !attempt.truncated && attempt.sends < most;
            let failure = if attempt.truncated { Failure::Truncated } else { Failure::Unreachable };
            if again || by_udp {
                (attempt.requeued, attempt.over_tcp) = (true, again);
                attempt.case = if again { attempt.case } else { 0 };
                if current && !lingers {
                    self.enter(index, LookupState::Send(server));
                }
            } else {
                self.server_failed(cx, index, server, failure);
            }
        }
    }

    /// A lookup no longer waits on the connection to `server`.
    pub(super) fn leave_stream(&mut self, now: Instant, index: usize, server: ServerId) {
        if !parts::TCP {
            return;
        }
        let attempt = self.lookups.get_mut(index).and_then(|l| l.attempt_mut(server));
        let Some(attempt) = attempt else { return };
        if core::mem::replace(&mut attempt.on_stream, OnStream::No) != OnStream::No {
            self.note_left_stream(now, index, server);
        }
    }

    pub(super) fn note_left_stream(&mut self, now: Instant, index: usize, server: ServerId) {
        if !parts::TCP {
            return;
        }
        self.streams.orphan(server, index);
        self.streams.touch(server, now);
        self.arm(Some(now + STREAM_IDLE));
    }

    /// The time of a lookup at `server` is over. A connection on which nothing came meanwhile is dead.
    pub(super) fn stream_timed_out(&mut self, cx: &mut Cx<'_>, index: usize, server: ServerId) {
        if !parts::TCP {
            return;
        }
        let Some(attempt) = self.lookups.get(index).map(|l| *l.attempt(server)) else { return };
        if attempt.on_stream == OnStream::No {
            return;
        }
        self.leave_stream(cx.now, index, server);
        if self.streams.is_known(server) && self.streams.is_silent(server, attempt.sent_at) {
            self.lose_stream(cx, server, Loss::Given);
        }
    }

    /// Closes connections that nobody waits on; says when to look again.
    pub(super) fn retire_streams(&mut self, now: Instant) -> Option<Instant> {
        let mut next = None;
        if !parts::TCP {
            return next;
        }
        for server in (0u8..).map(ServerId::of_conn).take(MAX_SERVERS) {
            let Some(at) = self.streams.idle_at(server) else { continue };
            if self.lookups.iter().any(|l| l.attempt(server).on_stream != OnStream::No) {
                continue;
            }
            if at <= now {
                self.streams.close(server);
            } else {
                next = Some(next.map_or(at, |next: Instant| next.min(at)));
            }
        }
        next
    }
}
