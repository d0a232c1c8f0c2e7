//! [`Streams`]: at most one connection to each server, and the messages on it (RFC 7766).
//!
//! On a connection each message follows its length. Bytes come in any split: a message that lies
//! whole in what arrived is read there, one that does not is put together in one of two lent rooms.

use bringup_core::time::{Duration, Instant};

use crate::message::HEADER_LEN;
use crate::parts;
use crate::server::{MAX_SERVERS, ServerId};

/// One to each server.
const CONNECTIONS: usize = if parts::TCP { MAX_SERVERS } else { 0 };
/// How many messages can be put together at once.
const ROOMS: usize = 2;
/// A connection without a query is closed after so long (RFC 7766 §6.2.3: "kept to a minimum").
pub(crate) const STREAM_IDLE: Duration = Duration::from_secs(2);
/// For so long after it was made a connection takes queries that could go over UDP as well: one
/// truncated answer must not move a busy client to TCP for good.
const STREAM_YOUNG: Duration = Duration::from_secs(10);

/// Why a connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A length below that of a header.
    TooShort,
    /// A message longer than a room, or no room is free.
    NoRoom,
}

/// A message that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// It lies in what arrived.
    Whole(&'a [u8]),
    /// So many octets in this room.
    Assembled(usize, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Connecting,
    Open,
    /// Given up; the platform has yet to be told.
    Closing,
}

/// A message that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sending {
    /// The lookup; `None` if it has ended.
    pub(crate) lookup: Option<usize>,
    /// Octets that were taken, the length included.
    pub(crate) taken: usize,
    /// Octets in all.
    pub(crate) length: usize,
    pub(crate) rest: Rest,
}

/// What the rest of a message that is being written waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// The platform, which has it in hand.
    Handed,
    /// Room.
    Blocked,
    /// Nothing.
    Ready,
}

struct Connection {
    state: State,
    opened_at: Instant,
    used_at: Instant,
    heard_at: Instant,
    sending: Option<Sending>,
    /// Half a message was written, and nobody finishes it.
    broken: bool,
    /// The length of the message that arrives, and how many octets are here, the length included.
    prefix: [u8; 2],
    filled: usize,
    room: Option<usize>,
}

impl Connection {
    const CLOSED: Self = Self {
        state: State::Closed,
        opened_at: Instant::ZERO,
        used_at: Instant::ZERO,
        heard_at: Instant::ZERO,
        sending: None,
        broken: false,
        prefix: [0; 2],
        filled: 0,
        room: None,
    };
}

/// All connections.
pub(crate) struct Streams<'m> {
    connections: [Connection; CONNECTIONS],
    /// A room is away while its message is looked at.
    rooms: [Option<&'m mut [u8]>; ROOMS],
    taken: [bool; ROOMS],
    /// Whether there may be something to write.
    pub(crate) send_due: bool,
    close_due: bool,
    /// Whether there may be a connection that cannot go on.
    broken_due: bool,
}

impl<'m> Streams<'m> {
    pub(crate) const fn new(bytes: &'m mut [u8]) -> Self {
        Self {
            connections: [const { Connection::CLOSED }; CONNECTIONS],
            rooms: Self::rooms(bytes),
            taken: [false; ROOMS],
            send_due: false,
            close_due: false,
            broken_due: false,
        }
    }

    const fn rooms(bytes: &'m mut [u8]) -> [Option<&'m mut [u8]>; ROOMS] {
        let half = bytes.len() / 2;
        let (first, second) = bytes.split_at_mut(half);
        [Some(first), Some(second)]
    }

    /// Takes other memory; to be called while there is no connection.
    pub(crate) fn lend(&mut self, bytes: &'m mut [u8]) {
        self.rooms = Self::rooms(bytes);
    }

    fn get(&self, server: ServerId) -> Option<&Connection> {
        self.connections.get(server.index())
    }

    fn get_mut(&mut self, server: ServerId) -> Option<&mut Connection> {
        self.connections.get_mut(server.index())
    }

    pub(crate) fn is_open(&self, server: ServerId) -> bool {
        self.get(server).is_some_and(|c| c.state == State::Open)
    }

    /// Whether something may be heard of this connection.
    pub(crate) fn is_known(&self, server: ServerId) -> bool {
        self.get(server).is_some_and(|c| matches!(c.state, State::Open | State::Connecting))
    }

    /// Whether a query that needs no connection is to go over this one (RFC 7766 §5).
    pub(crate) fn is_inviting(&self, server: ServerId, now: Instant) -> bool {
        self.get(server).is_some_and(|c| c.state == State::Open && now < c.opened_at + STREAM_YOUNG)
    }

    /// Notes that a connection is being asked for.
    pub(crate) fn connect(&mut self, server: ServerId, now: Instant) {
        self.give_up_room(server);
        if let Some(connection) = self.get_mut(server) {
            *connection =
                Connection { state: State::Connecting, used_at: now, ..Connection::CLOSED };
        }
    }

    /// The connection stands.
    pub(crate) fn connected(&mut self, server: ServerId, now: Instant) {
        let Some(connection) = self.get_mut(server) else { return };
        if connection.state == State::Connecting {
            (connection.state, connection.opened_at, connection.used_at) = (State::Open, now, now);
            connection.heard_at = now;
            self.send_due = true;
        }
    }

    /// The connection is gone; says whether it stood.
    pub(crate) fn closed(&mut self, server: ServerId) -> bool {
        self.give_up_room(server);
        let Some(connection) = self.get_mut(server) else { return false };
        let stood = connection.state == State::Open;
        *connection = Connection::CLOSED;
        stood
    }

    /// Gives a connection up; says whether it stood.
    pub(crate) fn close(&mut self, server: ServerId) -> bool {
        let known = self.is_known(server);
        let stood = self.closed(server);
        if let Some(connection) = self.get_mut(server).filter(|_| known) {
            connection.state = State::Closing;
            self.close_due = true;
        }
        stood
    }

    /// The next connection that the platform is to close.
    pub(crate) fn next_to_close(&mut self) -> Option<u8> {
        if !self.close_due {
            return None;
        }
        let found = (0u8..).zip(&mut self.connections).find(|(_, c)| c.state == State::Closing);
        let Some((number, connection)) = found else {
            self.close_due = false;
            return None;
        };
        connection.state = State::Closed;
        Some(number)
    }

    /// Whether nothing has come since `since`, so that the other side may be gone.
    pub(crate) fn is_silent(&self, server: ServerId, since: Instant) -> bool {
        self.get(server).is_some_and(|c| c.state != State::Open || c.heard_at <= since)
    }

    /// Notes that a query has ended, or is about to be sent: the idle time starts anew.
    pub(crate) fn touch(&mut self, server: ServerId, now: Instant) {
        if let Some(connection) = self.get_mut(server) {
            connection.used_at = now;
        }
    }

    /// When this connection is to be closed if nothing needs it.
    pub(crate) fn idle_at(&self, server: ServerId) -> Option<Instant> {
        self.get(server).filter(|_| self.is_known(server)).map(|c| c.used_at + STREAM_IDLE)
    }

    /// What is being written, unless it waits.
    pub(crate) fn sending(&self, server: ServerId) -> Option<Sending> {
        self.get(server)?.sending
    }

    pub(crate) fn set_sending(&mut self, server: ServerId, sending: Option<Sending>) {
        if let Some(connection) = self.get_mut(server) {
            connection.sending = sending;
        }
    }

    /// The platform has taken `n` octets of what was handed to it.
    pub(crate) fn sent(&mut self, server: ServerId, n: usize) {
        (self.send_due, self.broken_due) = (true, true);
        let Some(connection) = self.get_mut(server) else { return };
        let Some(sending) = &mut connection.sending else { return };
        sending.taken = sending.taken.saturating_add(n);
        sending.rest = Rest::Blocked;
        connection.broken |= sending.lookup.is_none() && sending.taken < sending.length;
        if sending.taken >= sending.length {
            connection.sending = None;
        }
    }

    /// There is room again.
    pub(crate) fn writable(&mut self, server: ServerId) {
        self.send_due = true;
        if let Some(sending) = self.get_mut(server).and_then(|c| c.sending.as_mut()) {
            if sending.rest == Rest::Blocked {
                sending.rest = Rest::Ready;
            }
        }
    }

    /// A lookup has left the connection: what it was writing has nobody to finish it.
    pub(crate) fn orphan(&mut self, server: ServerId, lookup: usize) {
        let Some(connection) = self.get_mut(server) else { return };
        let Some(sending) = &mut connection.sending else { return };
        if sending.lookup == Some(lookup) {
            sending.lookup = None;
            connection.broken |= sending.rest != Rest::Handed;
            (self.send_due, self.broken_due) = (true, true);
        }
    }

    /// A connection that cannot go on, since half a message was written.
    pub(crate) fn next_broken(&mut self) -> Option<ServerId> {
        if !self.broken_due {
            return None;
        }
        let found = (0u8..).zip(&self.connections).find(|(_, c)| c.broken);
        self.broken_due = found.is_some();
        found.map(|(number, _)| ServerId::of_conn(number))
    }

    fn give_up_room(&mut self, server: ServerId) {
        let room = self.get_mut(server).and_then(|c| c.room.take());
        if let Some(taken) = room.and_then(|room| self.taken.get_mut(room)) {
            *taken = false;
        }
    }

    /// The next message in `input`, which is moved past it; `None` when all of `input` is used up.
    pub(crate) fn next_message<'a>(
        &mut self,
        server: ServerId,
        input: &mut &'a [u8],
        now: Instant,
    ) -> Result<Option<Piece<'a>>, Broken> {
        let Self { connections, rooms, taken, .. } = self;
        let Some(connection) = connections.get_mut(server.index()) else { return Ok(None) };
        connection.heard_at = now;
        while let Some(octet) = connection.prefix.get_mut(connection.filled) {
            let Some((first, rest)) = input.split_first() else { return Ok(None) };
            (*octet, *input) = (*first, rest);
            connection.filled += 1;
        }
        let length = usize::from(u16::from_be_bytes(connection.prefix));
        if length < HEADER_LEN {
            return Err(Broken::TooShort);
        }
        if connection.filled == 2 {
            if let Some((message, rest)) = input.split_at_checked(length) {
                (connection.filled, *input) = (0, rest);
                return Ok(Some(Piece::Whole(message)));
            }
        }
        if input.is_empty() {
            return Ok(None);
        }
        let room = match connection.room {
            Some(room) => room,
            None => {
                let fits =
                    |room: &Option<&mut [u8]>| room.as_ref().is_some_and(|r| length <= r.len());
                let mut free = taken.iter().zip(rooms.iter());
                let free = free.position(|(taken, room)| !taken && fits(room));
                free.ok_or(Broken::NoRoom)?
            }
        };
        connection.room = Some(room);
        if let Some(taken) = taken.get_mut(room) {
            *taken = true;
        }
        let here = connection.filled - 2;
        let (part, rest) = input.split_at(input.len().min(length - here));
        let place = rooms.get_mut(room).and_then(Option::as_mut);
        let place = place.and_then(|place| place.get_mut(here..here + part.len()));
        place.ok_or(Broken::NoRoom)?.copy_from_slice(part);
        *input = rest;
        connection.filled += part.len();
        if connection.filled < length + 2 {
            return Ok(None);
        }
        (connection.filled, connection.room) = (0, None);
        Ok(Some(Piece::Assembled(room, length)))
    }

    /// Lends a room out, to look at what is in it.
    pub(crate) fn take_room(&mut self, room: usize) -> Option<&'m mut [u8]> {
        self.rooms.get_mut(room)?.take()
    }

    /// Takes it back.
    pub(crate) fn return_room(&mut self, room: usize, bytes: &'m mut [u8]) {
        if let (Some(place), Some(taken)) = (self.rooms.get_mut(room), self.taken.get_mut(room)) {
            (*place, *taken) = (Some(bytes), false);
        }
    }
}

#[cfg(all(test, feature = "tcp"))]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    const SERVER: ServerId = ServerId::of_conn(0);
    const OTHER: ServerId = ServerId::of_conn(1);

    fn stream(lengths: &[u16]) -> Vec<u8> {
        let message = |(n, &length): (usize, &u16)| {
            let mut bytes = length.to_be_bytes().to_vec();
            bytes.resize(2 + usize::from(length), u8::try_from(n).unwrap());
            bytes
        };
        lengths.iter().enumerate().flat_map(message).collect()
    }

    #[test]
    fn rule_28_any_split_gives_the_same_messages() {
        let lengths = [12, 511, 512, 513, 1_232, 65_535, 12];
        let bytes = stream(&lengths);
        let mut memory = std::vec![0; 131_070];
        for split in [1, 2, 3, 13, 14, 600, 4_096, bytes.len()] {
            let mut streams = Streams::new(&mut memory);
            streams.connect(SERVER, Instant::ZERO);
            streams.connected(SERVER, Instant::ZERO);
            let mut read = Vec::new();
            for mut chunk in bytes.chunks(split) {
                while let Some(piece) =
                    streams.next_message(SERVER, &mut chunk, Instant::ZERO).unwrap()
                {
                    let number = u8::try_from(read.len()).unwrap();
                    let length = match piece {
                        Piece::Whole(bytes) => {
                            assert!(bytes.iter().all(|&b| b == number));
                            bytes.len()
                        }
                        Piece::Assembled(room, length) => {
                            let bytes = streams.take_room(room).unwrap();
                            assert!(bytes[..length].iter().all(|&b| b == number));
                            streams.return_room(room, bytes);
                            length
                        }
                    };
                    read.push(u16::try_from(length).unwrap());
                }
                assert!(chunk.is_empty());
            }
            assert_eq!(read, lengths, "split {split}");
        }
    }

    #[test]
    fn rule_28_what_is_too_short_or_too_long_breaks_the_connection() {
        let mut memory = [0; 100];
        for (bytes, expected) in [
            (&b"\0\x0B"[..], Broken::TooShort),
            (b"\0\0", Broken::TooShort),
            (b"\0\x33x", Broken::NoRoom),
        ] {
            let mut streams = Streams::new(&mut memory);
            streams.connect(SERVER, Instant::ZERO);
            let mut input = bytes;
            let read = streams.next_message(SERVER, &mut input, Instant::ZERO);
            assert_eq!(read, Err(expected), "{bytes:?}");
        }
    }

    #[test]
    fn half_a_message_that_nobody_finishes_breaks_the_connection() {
        for (taken, is_broken) in [(10, false), (9, true), (0, true)] {
            let mut streams = Streams::new(&mut []);
            streams.connect(SERVER, Instant::ZERO);
            let sending = Sending { lookup: Some(3), taken: 0, length: 10, rest: Rest::Handed };
            streams.set_sending(SERVER, Some(sending));
            // It is cancelled before the platform says how much it has taken.
            streams.orphan(SERVER, 3);
            assert_eq!(streams.next_broken(), None);
            streams.sent(SERVER, taken);
            assert_eq!(streams.next_broken().is_some(), is_broken, "{taken} of 10");
        }
    }

    #[test]
    fn a_room_comes_back_when_its_connection_goes() {
        let mut memory = [0; 100];
        let mut streams = Streams::new(&mut memory);
        for round in 0..5 {
            for server in [SERVER, OTHER] {
                streams.connect(server, Instant::ZERO);
                let mut input = &b"\0\x32half"[..];
                let read = streams.next_message(server, &mut input, Instant::ZERO);
                assert_eq!(read, Ok(None), "{round}");
            }
            let third = ServerId::of_conn(2);
            streams.connect(third, Instant::ZERO);
            let mut input = &b"\0\x32half"[..];
            let read = streams.next_message(third, &mut input, Instant::ZERO);
            assert_eq!(read, Err(Broken::NoRoom));
            streams.close(SERVER);
            streams.closed(OTHER);
        }
    }
}
