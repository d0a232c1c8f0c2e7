//! What comes in, and what of it is let in (RFC 5452 §9.1).

use core::net::SocketAddr;

use bringup_core::client::Cx;
use bringup_core::error::ErrorKind;
use bringup_core::time::Instant;
use bringup_core::wire::Reader;

use super::Resolver;
use super::index::By;
use super::transmit::{Last, id_key};
use crate::cookie::Mismatch;
use crate::counters::Discard;
use crate::malformed::Malformed;
use crate::message::{HEADER_LEN, Header, Message, Rcode, read_question};
use crate::name::NameView;
use crate::parts;
use crate::query::{Attempt, AttemptState, Failure, Lookup, LookupState, OnStream, Plain};
use crate::record::Class;
use crate::response;
use crate::server::ServerId;

/// After so many broken replies to one question the server is of no use for it.
const MAX_MALFORMED: u8 = 3;
/// After so many replies without the cookie that the server has shown before, TCP it is.
const MAX_MISSING_COOKIES: u8 = 2;

/// What every server may send in a datagram (RFC 1035 §4.2.1).
const MIN_UDP: usize = 512;

/// How a message came in.
#[derive(Clone, Copy)]
pub(super) struct Via {
    pub(super) server: ServerId,
    /// The socket; `None` on the connection.
    pub(super) socket: Option<u8>,
    pub(super) received_at: Instant,
}

impl Resolver<'_> {
    pub(super) fn handle_datagram(
        &mut self,
        cx: &mut Cx<'_>,
        socket: u8,
        from: SocketAddr,
        bytes: &[u8],
        received_at: Instant,
    ) -> Result<(), Discard> {
        let server = ServerId::of_socket(socket);
        let known = self.servers.get(server).ok_or(Discard::UnknownSocket)?;
        if !self.servers.is_open(socket) {
            return Err(Discard::UnknownSocket);
        }
        if !is_same_endpoint(known.at.address, from) {
            return Err(Discard::WrongSource);
        }
        self.handle_message(cx, Via { server, socket: Some(socket), received_at }, bytes)
    }

    /// A message from `via.server`, whole.
    pub(super) fn handle_message(
        &mut self,
        cx: &mut Cx<'_>,
        via: Via,
        bytes: &[u8],
    ) -> Result<(), Discard> {
        let server = via.server;
        let mut reader = Reader::new(bytes);
        let (header, qdcount) = read_header(&mut reader)?;
        if !header.qr {
            return Err(Discard::NotAResponse);
        }
        if header.opcode != 0 {
            return Err(Discard::WrongOpcode);
        }
        let index = self.find_attempt(via, header.id).ok_or(Discard::WrongId)?;
        if qdcount != 1 {
            return self.take_bare_header(cx, index, server, header, bytes.len());
        }
        let question = read_question(bytes, &mut reader)?;
        let lookup = self.lookups.get(index).ok_or(Discard::WrongId)?;
        if question.qname != lookup.name.view()
            || question.qtype != lookup.rtype
            || question.qclass != Class::IN
        {
            return Err(Discard::WrongQuestion);
        }
        let attempt = *lookup.attempt(server);
        if attempt.case != 0
            && via.socket.is_some()
            && !lookup.name.mixed(attempt.case).is_exactly(question.qname)
        {
            self.insist_on_tcp(index, server);
            return Err(Discard::WrongCase);
        }
        if via.socket.is_none() && header.tc {
            // Nothing cuts an answer off on a connection.
            self.server_failed(cx, index, server, Failure::Malformed);
            return Err(Discard::StreamTruncated);
        }
        // What is truncated is not looked at, even where it seems whole (RFC 2181 §9). What is longer
        // than was asked for has met a buffer of that size somewhere.
        if via.socket.is_some() && (header.tc || bytes.len() > self.udp_size(index, server)) {
            self.note_accepted(index, via, false);
            self.take_truncated(cx, index, server);
            return Ok(());
        }
        match Message::parse_behind(bytes, Some(reader.position())) {
            Ok(message) => {
                if attempt.cookie && via.socket.is_some() {
                    self.check_cookie(cx, index, server, &message)?;
                }
                if response::is_about_others(&message, question.qname) {
                    return Err(Discard::WrongOwner);
                }
                self.note_accepted(index, via, message.edns().is_some());
                self.take_response(cx, index, server, &message, question.qname);
                Ok(())
            }
            Err(why) => {
                self.note_malformed(cx, index, via);
                Err(Discard::Malformed(why))
            }
        }
    }

    /// The lookup that has asked by way of `via` with `id`.
    fn find_attempt(&self, via: Via, id: u16) -> Option<usize> {
        let Some(socket) = via.socket else {
            return self.lookups.iter().position(|lookup| {
                let attempt = lookup.attempt(via.server);
                attempt.stream_id == id && attempt.on_stream == OnStream::Sent
            });
        };
        let has_asked = |lookup: &Lookup| {
            let attempt = lookup.attempt(via.server);
            attempt.id == id
                && attempt.socket == socket
                && attempt.sends > 0
                && attempt.state == AttemptState::Open
        };
        let mut indexed = self.index.of(By::Id, id_key(id));
        let found = indexed.find(|index| self.lookups.get(*index).is_some_and(has_asked));
        // The index has the id for the server that was asked last.
        found.or_else(|| (self.spread > 0).then(|| self.lookups.iter().position(has_asked))?)
    }

    /// What came over UDP is in doubt: the same server is asked over TCP, where nobody forges. Should
    /// that not be possible, it is asked as if there had been no doubt to raise.
    fn insist_on_tcp(&mut self, index: usize, server: ServerId) {
        let Some(lookup) = self.lookups.get_mut(index) else { return };
        let current = matches!(lookup.state, LookupState::Wait(s, _) if s == server);
        let lingers = lookup.linger.is_some();
        let Some(attempt) = lookup.attempt_mut(server) else { return };
        if attempt.over_tcp || attempt.requeued {
            return;
        }
        attempt.over_tcp = parts::TCP;
        if !parts::TCP {
            // As after a connection that could not be made.
            (attempt.requeued, attempt.case) = (true, 0);
        }
        if current && !lingers {
            self.enter(index, LookupState::Send(server));
        }
    }

    /// Drops what the server that this client knows would not have sent (RFC 7873 §5.3).
    fn check_cookie(
        &mut self,
        cx: &Cx<'_>,
        index: usize,
        server: ServerId,
        message: &Message<'_>,
    ) -> Result<(), Discard> {
        let Some(known) = self.servers.get_mut(server) else { return Ok(()) };
        match known.cookies.check(message.edns(), cx.now) {
            Ok(()) => return Ok(()),
            Err(Mismatch::Wrong) => return Err(Discard::WrongCookie),
            Err(Mismatch::Missing) => {}
        }
        let attempt = self.lookups.get_mut(index).and_then(|l| l.attempt_mut(server));
        let missing = attempt.map_or(0, |attempt| {
            attempt.missing_cookies = attempt.missing_cookies.saturating_add(1);
            attempt.missing_cookies
        });
        if missing >= MAX_MISSING_COOKIES {
            self.insist_on_tcp(index, server);
        }
        Err(Discard::MissingCookie)
    }

    /// The server did not take the cookie: its new one is sent once, then TCP needs none (RFC 7873
    /// §5.3). `false` if there is nothing left to try.
    fn retry_cookie(&mut self, index: usize, server: ServerId) -> bool {
        let most = self.max_sends();
        let Some(lookup) = self.lookups.get_mut(index) else { return false };
        let lingers = lookup.linger.is_some();
        let Some(attempt) = lookup.attempt_mut(server) else { return false };
        if lingers || !attempt.cookie || attempt.over_tcp || attempt.sends >= most {
            return false;
        }
        attempt.bad_cookies += 1;
        match attempt.bad_cookies {
            1 => self.enter(index, LookupState::Send(server)),
            _ => self.insist_on_tcp(index, server),
        }
        true
    }

    /// The most octets that a datagram in reply may have.
    fn udp_size(&self, index: usize, server: ServerId) -> usize {
        let Some(attempt) = self.lookups.get(index).map(|l| l.attempt(server)) else {
            return MIN_UDP;
        };
        // The reply to the first send may be late, and that had OPT.
        if attempt.edns || matches!(attempt.plain, Plain::Unheard | Plain::UnheardAgain) {
            usize::from(self.config.edns_udp_size).max(MIN_UDP)
        } else {
            MIN_UDP
        }
    }

    /// The answer does not fit into a datagram: the same server is asked over TCP (RFC 2181 §9).
    fn take_truncated(&mut self, cx: &mut Cx<'_>, index: usize, server: ServerId) {
        if !parts::TCP {
            return self.server_failed(cx, index, server, Failure::Truncated);
        }
        let Some(lookup) = self.lookups.get_mut(index) else { return };
        let lingers = lookup.linger.is_some();
        let Some(attempt) = lookup.attempt_mut(server) else { return };
        (attempt.truncated, attempt.over_tcp, attempt.state) = (true, true, AttemptState::Left);
        let (socket, waits) = (attempt.socket, attempt.on_stream != OnStream::No);
        self.servers.leave_socket(socket, cx.now);
        if !lingers && !waits {
            self.enter(index, LookupState::Send(server));
        }
    }

    /// A header without a question, with which some servers say that they cannot. It moves the query
    /// on to another server, and is never taken as an answer.
    fn take_bare_header(
        &mut self,
        cx: &mut Cx<'_>,
        index: usize,
        server: ServerId,
        header: Header,
        length: usize,
    ) -> Result<(), Discard> {
        let rcode = Rcode(u16::from(header.rcode));
        let cannot = [Rcode::FORMERR, Rcode::SERVFAIL, Rcode::NOTIMP, Rcode::REFUSED];
        if length != HEADER_LEN || !cannot.contains(&rcode) {
            return Err(Discard::QuestionCount);
        }
        if !self.retry_plain(cx.now, index, server, rcode, false) {
            self.server_failed(cx, index, server, response::failure(rcode));
        }
        Ok(())
    }

    /// A server has answered: it works, and its round trip is known if only one send can be meant.
    fn note_accepted(&mut self, index: usize, via: Via, has_opt: bool) {
        self.counters.accepted += 1;
        let Some(attempt) = self.lookups.get(index).map(|l| *l.attempt(via.server)) else { return };
        let certain = attempt.sends == 1 && via.socket.is_some();
        let round_trip = certain.then(|| via.received_at.since(attempt.sent_at));
        if let Some(server) = self.servers.get_mut(via.server) {
            if via.socket.is_none() && attempt.missing_cookies >= MAX_MISSING_COOKIES {
                // It answers, and has stopped to know cookies: not every query is to find that out.
                server.cookies.pause(via.received_at);
            }
            if certain && attempt.edns || via.socket.is_some() && has_opt {
                server.note_edns();
            } else if via.socket.is_some() {
                server.note_plain_answer(attempt.plain, via.received_at);
            }
            server.note_answer(round_trip);
        }
    }

    fn note_malformed(&mut self, cx: &mut Cx<'_>, index: usize, via: Via) {
        let server = via.server;
        let Some(attempt) = self.lookups.get_mut(index).and_then(|l| l.attempt_mut(server)) else {
            return;
        };
        attempt.malformed += 1;
        // Nobody forges on a connection, and no other reply will come on it.
        if attempt.malformed >= MAX_MALFORMED || via.socket.is_none() {
            self.server_failed(cx, index, server, Failure::Malformed);
        }
    }

    fn take_response(
        &mut self,
        cx: &mut Cx<'_>,
        index: usize,
        server: ServerId,
        message: &Message<'_>,
        qname: NameView<'_>,
    ) {
        let rcode = message.rcode();
        if rcode != Rcode::NOERROR && rcode != Rcode::NXDOMAIN {
            let again = match rcode {
                Rcode::BADCOOKIE => self.retry_cookie(index, server),
                _ => self.retry_plain(cx.now, index, server, rcode, message.edns().is_some()),
            };
            if !again {
                self.server_failed(cx, index, server, response::failure(rcode));
            }
            return;
        }
        self.note_plain(cx.now, index, server);
        match self.absorb(cx.now, index, message, qname) {
            Ok((path, end)) => {
                let from = self.servers.get(server).map(|s| s.at.address);
                let index = self.answered_by(cx.now, index);
                self.complete(cx, index, &path, end, from);
            }
            Err(failure) => self.server_failed(cx, index, server, failure),
        }
    }

    /// Asks the same server once more without EDNS, where that may be what it did not like
    /// (RFC 6891 §6.2.2, §7). `false` if it is not.
    fn retry_plain(
        &mut self,
        now: Instant,
        index: usize,
        server: ServerId,
        rcode: Rcode,
        reply_has_opt: bool,
    ) -> bool {
        let no_edns = matches!(rcode, Rcode::FORMERR | Rcode::NOTIMP) && !reply_has_opt;
        // With OPT it knows EDNS, and can only have disliked the option.
        let no_option = rcode == Rcode::FORMERR && reply_has_opt;
        let most = self.max_sends();
        let Some(lookup) = self.lookups.get_mut(index) else { return false };
        let lingers = lookup.linger.is_some();
        let Some(attempt) = lookup.attempt_mut(server) else { return false };
        let may = attempt.edns && attempt.sends < most && !lingers;
        if may && no_option && attempt.cookie {
            (attempt.no_cookie, attempt.cookie) = (true, false);
            if let Some(known) = self.servers.get_mut(server) {
                known.cookies.pause(now);
            }
        } else if may && (no_edns || rcode == Rcode::BADVERS) {
            attempt.plain = Plain::Refused;
        } else {
            return false;
        }
        self.leave_stream(now, index, server);
        self.enter(index, LookupState::Send(server));
        true
    }

    /// A good reply came to a query without EDNS that had failed with it: remember that.
    fn note_plain(&mut self, now: Instant, index: usize, server: ServerId) {
        if self.lookups.get(index).is_some_and(|l| l.attempt(server).plain == Plain::Refused) {
            if let Some(server) = self.servers.get_mut(server) {
                server.note_plain(now);
            }
        }
    }

    /// A server is of no use for this question. If it is the one being waited for, the next is asked.
    pub(super) fn server_failed(
        &mut self,
        cx: &mut Cx<'_>,
        index: usize,
        server: ServerId,
        failure: Failure,
    ) {
        let address = self.servers.get(server).map(|s| s.at.address);
        let Some(lookup) = self.lookups.get_mut(index) else { return };
        (lookup.failure, lookup.failed_at) = (Some(failure), address);
        let current = match lookup.state {
            LookupState::Send(current) | LookupState::Wait(current, _) => current == server,
            LookupState::Free | LookupState::Parked => false,
        };
        let lingers = lookup.linger.is_some();
        if let Some(attempt) = lookup.attempt_mut(server) {
            let before = core::mem::replace(&mut attempt.state, AttemptState::Failed);
            if before == AttemptState::Open {
                let socket = attempt.socket;
                self.servers.leave_socket(socket, cx.now);
            }
        }
        self.leave_stream(cx.now, index, server);
        if current && !lingers {
            self.fail_over(cx, index);
        }
    }

    /// The platform, or by ICMP the other side, has refused something.
    pub(super) fn handle_send_failed(
        &mut self,
        cx: &mut Cx<'_>,
        socket: u8,
        why: ErrorKind,
    ) -> Result<(), Discard> {
        let server = ServerId::of_socket(socket);
        if !self.servers.is_open(socket) {
            return Err(Discard::UnknownSend);
        }
        self.counters.refused_sends += 1;
        let last = self.last_transmit.take().filter(|last| last.socket() == socket);
        let refused = matches!(why, ErrorKind::Refused | ErrorKind::Unreachable);
        match last {
            Some(Last::Open(_)) => {
                self.servers.set_closed(socket);
                self.refuse_all(cx, server, socket, why);
            }
            // Buffers are full for the moment: as if it had been lost on the way.
            Some(Last::Query(..)) if why == ErrorKind::Busy => {}
            Some(Last::Query(_, index)) if !refused => self.refuse(cx, index, server),
            // A refusal may be the echo of an earlier send on this socket: nobody is there.
            _ if refused => self.refuse_all(cx, server, socket, why),
            _ => {}
        }
        Ok(())
    }

    /// Whoever waits for `server` on `socket` goes on at once. A port that is closed stays closed for as
    /// long as a query takes: the server is not asked again. A way that is missing may come.
    fn refuse_all(&mut self, cx: &mut Cx<'_>, server: ServerId, socket: u8, why: ErrorKind) {
        if let Some(server) = self.servers.get_mut(server) {
            server.note_failure(cx.now);
        }
        for index in 0..self.lookups.len() {
            let attempt = self.lookups.get(index).map(|l| *l.attempt(server));
            let waits =
                |a: Attempt| a.state == AttemptState::Open && a.socket == socket && !a.over_tcp;
            match attempt.is_some_and(waits) {
                true if why == ErrorKind::Refused => {
                    self.server_failed(cx, index, server, Failure::PortClosed);
                }
                true => self.refuse(cx, index, server),
                false => {}
            }
        }
    }

    /// A send to `server` was refused: the next server is asked at once. One that was asked as often
    /// is asked again only after the pause of a timeout, so that refusals cannot make a storm.
    fn refuse(&mut self, cx: &mut Cx<'_>, index: usize, server: ServerId) {
        let address = self.servers.get(server).map(|s| s.at.address);
        let Some(lookup) = self.lookups.get_mut(index) else { return };
        let never_sent = lookup.state == LookupState::Send(server);
        let current = never_sent || matches!(lookup.state, LookupState::Wait(s, _) if s == server);
        if !current || lookup.linger.is_some() {
            return;
        }
        if lookup.failure.is_none() {
            (lookup.failure, lookup.failed_at) = (Some(Failure::Unreachable), address);
        }
        let Some(attempt) = lookup.attempt_mut(server) else { return };
        attempt.sends += u8::from(never_sent);
        let sends = attempt.sends;
        let pause = self.patience(server, sends);
        match self.choose(index) {
            Some(next) if self.sends_to(index, next) >= sends => {
                self.enter(index, LookupState::Wait(server, cx.now + pause));
            }
            _ => self.fail_over(cx, index),
        }
    }

    pub(super) fn sends_to(&self, index: usize, server: ServerId) -> u8 {
        self.lookups.get(index).map_or(0, |lookup| lookup.attempt(server).sends)
    }
}

/// The header and the number of questions.
fn read_header(reader: &mut Reader<'_>) -> Result<(Header, u16), Malformed> {
    let header = Header::from_wire(reader.u16()?, reader.u16()?);
    let qdcount = reader.u16()?;
    reader.skip(6)?;
    Ok((header, qdcount))
}

/// Whether a datagram is from the server. Flow labels are not compared; a scope only where the
/// address is link-local and both sides know one.
fn is_same_endpoint(server: SocketAddr, from: SocketAddr) -> bool {
    let scopes_agree = match (server, from) {
        (SocketAddr::V6(a), SocketAddr::V6(b)) => {
            a.scope_id() == b.scope_id() || a.scope_id() == 0 || b.scope_id() == 0
        }
        _ => true,
    };
    server.ip() == from.ip() && server.port() == from.port() && scopes_agree
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_counts_where_both_sides_know_one() {
        for (server, from, expected) in [
            ("192.0.2.1:53", "192.0.2.1:53", true),
            ("192.0.2.1:53", "192.0.2.2:53", false),
            ("192.0.2.1:53", "192.0.2.1:54", false),
            ("[fe80::1%2]:53", "[fe80::1%2]:53", true),
            ("[fe80::1%2]:53", "[fe80::1%3]:53", false),
            ("[fe80::1]:53", "[fe80::1%3]:53", true),
            ("[fe80::1%2]:53", "[fe80::1]:53", true),
            ("[fe80::1]:53", "[fe80::1]:53", true),
        ] {
            let [server, from] = [server, from].map(|text| text.parse().unwrap());
            assert_eq!(is_same_endpoint(server, from), expected, "{server} {from}");
        }
    }
}
