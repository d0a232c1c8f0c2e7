//! rtnetlink: requests that are answered at once, and the watch for changes.
//!
//! The kernel works a request off inside the send(2) that brings it, so that the answer can be read
//! without waiting: nothing here blocks.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use bringup_core::platform::InterfaceChange;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkMessage;

use super::interface::change_of;
use super::sys;
use crate::error::{Operation, OsError, during};
use crate::socket::is_nothing;

/// As large as any datagram that the kernel makes of a dump.
const BUFFER: usize = 32 * 1024;

/// How many datagrams are read for one answer. The answer to a request is one or two; what else is
/// there answers a request that was given up.
const MAX_DATAGRAMS: usize = 64;

/// The groups that a watch joins, a bit each: RTNLGRP_LINK (1), RTNLGRP_IPV4_IFADDR (5) and
/// RTNLGRP_IPV4_ROUTE (7).
const WATCH_GROUPS: u32 = 1 << 0 | 1 << 4 | 1 << 6;

type RouteMessage = NetlinkMessage<RouteNetlinkMessage>;

/// The bytes of a request.
fn encode(message: RouteNetlinkMessage, flags: u16, sequence: u32) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    header.sequence_number = sequence;
    let mut message = RouteMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// The lengths of `struct nlmsghdr` and `struct ifinfomsg`.
const HEADERS: usize = 16 + 16;
/// `RTM_NEWLINK` and `RTM_DELLINK`.
const LINK_TYPES: [u16; 2] = [16, 17];
/// `IFLA_ADDRESS`, `IFLA_IFNAME`, `IFLA_MTU`, `IFLA_OPERSTATE` and `IFLA_CARRIER_CHANGES`: what is looked at.
const LINK_ATTRIBUTES: [u16; 5] = [1, 3, 4, 16, 35];

/// What is read of a message: of a link only the attributes that are looked at. A kernel newer than the
/// parser nests others in ways of its own, an emulator leaves those it does not know in its own byte
/// order, and with one that cannot be read the whole link would be unknown.
fn known(message: &[u8]) -> Cow<'_, [u8]> {
    let word =
        |bytes: &[u8], at| bytes.get(at..)?.first_chunk().map(|two| u16::from_ne_bytes(*two));
    let is_link = word(message, 4).is_some_and(|kind| LINK_TYPES.contains(&kind));
    let Some((headers, mut rest)) = message.split_at_checked(HEADERS).filter(|_| is_link) else {
        return message.into();
    };
    let mut kept = headers.to_vec();
    while let (Some(length), Some(kind)) = (word(rest, 0), word(rest, 2)) {
        let padded = usize::from(length.max(4)).next_multiple_of(4).min(rest.len());
        let (attribute, after) = rest.split_at(padded);
        if LINK_ATTRIBUTES.contains(&kind) {
            kept.extend(attribute);
        }
        rest = after;
    }
    let length = u32::try_from(kept.len()).unwrap_or(u32::MAX);
    kept.iter_mut().zip(length.to_ne_bytes()).for_each(|(place, octet)| *place = octet);
    kept.into()
}

/// The messages in one datagram; `None` for one that cannot be read.
struct Datagram<'a>(&'a [u8]);

impl Iterator for Datagram<'_> {
    type Item = Option<RouteMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        // `nlmsg_len`, the first field, counts its own header of 16 bytes; messages are padded to 4.
        let length = self.0.first_chunk().map(|length| u32::from_ne_bytes(*length));
        let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let message = self.0.get(..length).filter(|message| message.len() >= 16);
        let Some(message) = message else {
            self.0 = &[];
            return Some(None);
        };
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(RouteMessage::deserialize(&known(message)).ok())
    }
}

/// A socket for requests.
#[derive(Debug)]
pub(super) struct Requests {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Requests {
    pub(super) fn open() -> Result<Self, OsError> {
        let fd = sys::netlink_socket().map_err(during(Operation::NetlinkOpen))?;
        sys::netlink_bind(fd.as_fd(), 0).map_err(during(Operation::NetlinkOpen))?;
        Ok(Self { fd, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// Sends a request and reads until it is acknowledged. Returns the first message that came
    /// before the acknowledgement.
    pub(super) fn request(
        &mut self,
        operation: Operation,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Option<RouteNetlinkMessage>, OsError> {
        let mut answer = None;
        self.exchange(operation, message, flags | NLM_F_ACK, |message| {
            answer.get_or_insert(message);
        })?;
        Ok(answer)
    }

    /// Asks for everything there is of a kind, and shows it one by one.
    pub(super) fn dump(
        &mut self,
        operation: Operation,
        message: RouteNetlinkMessage,
        mut each: impl FnMut(&RouteNetlinkMessage),
    ) -> Result<(), OsError> {
        self.exchange(operation, message, NLM_F_DUMP, |message| each(&message))
    }

    /// Sends a request, and takes what comes for it until its end.
    fn exchange(
        &mut self,
        operation: Operation,
        message: RouteNetlinkMessage,
        flags: u16,
        mut each: impl FnMut(RouteNetlinkMessage),
    ) -> Result<(), OsError> {
        let failed = during(operation);
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = encode(message, flags, self.sequence);
        sys::send(self.fd.as_fd(), &bytes).map_err(&failed)?;
        for _ in 0..MAX_DATAGRAMS {
            let mut control = sys::Control::new();
            let received = sys::receive(self.fd.as_fd(), &mut self.buffer, &mut control);
            let received = received.map_err(&failed)?;
            if received.netlink_sender() != Some(0) {
                continue;
            }
            let datagram = self.buffer.get(..received.length).unwrap_or(&[]);
            for message in Datagram(datagram).flatten() {
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                match message.payload {
                    NetlinkPayload::Error(error) => {
                        return match error.code {
                            None => Ok(()),
                            Some(code) => Err(OsError::new(operation, -code.get())),
                        };
                    }
                    NetlinkPayload::Done(_) => return Ok(()),
                    NetlinkPayload::InnerMessage(message) => each(message),
                    _ => {}
                }
            }
        }
        Err(OsError::new(operation, libc::EPROTO))
    }
}

/// Hears of changes, and first of all of links that are there.
#[derive(Debug)]
pub(super) struct Watch {
    fd: OwnedFd,
    sleep: Option<Sleep>,
    buffer: Vec<u8>,
    /// The rest of the last datagram; bounded by what fits into one.
    changes: VecDeque<InterfaceChange>,
}

impl Watch {
    pub(super) fn open() -> Result<Self, OsError> {
        let failed = during(Operation::NetlinkOpen);
        let fd = sys::netlink_socket().map_err(&failed)?;
        sys::netlink_bind(fd.as_fd(), WATCH_GROUPS).map_err(&failed)?;
        // Asked for after joining, so that no change falls between.
        let dump = RouteNetlinkMessage::GetLink(LinkMessage::default());
        sys::send(fd.as_fd(), &encode(dump, NLM_F_DUMP, 1)).map_err(&failed)?;
        // An emulator may have no such timers: then suspend goes unnoticed until a timer is due.
        let sleep = Sleep::watch(&fd).ok();
        Ok(Self { fd, sleep, buffer: vec![0; BUFFER], changes: VecDeque::new() })
    }

    pub(super) fn raw(&self) -> i32 {
        self.sleep.as_ref().map_or(self.fd.as_raw_fd(), |sleep| sleep.either.as_raw_fd())
    }

    /// The next change. A datagram may hold several: ask until there is none, or the descriptor will
    /// not become readable for the rest.
    pub(super) fn receive(&mut self) -> Result<Option<InterfaceChange>, OsError> {
        for _ in 0..MAX_DATAGRAMS {
            if let Some(change) = self.changes.pop_front() {
                return Ok(Some(change));
            }
            let mut control = sys::Control::new();
            match sys::receive(self.fd.as_fd(), &mut self.buffer, &mut control) {
                Ok(received) if received.netlink_sender() == Some(0) => {
                    let length = received.length;
                    self.read(length);
                }
                // Only the kernel knows.
                Ok(_) => {}
                Err(error) if is_nothing(&error) => {
                    let resumed = self.sleep.as_mut().is_some_and(Sleep::is_over);
                    return Ok(resumed.then_some(InterfaceChange::Resumed));
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    return Ok(Some(InterfaceChange::Overrun));
                }
                Err(error) => return Err(OsError::from_io(Operation::WatchReceive, &error)),
            }
        }
        Ok(None)
    }

    fn read(&mut self, length: usize) {
        let Some(datagram) = self.buffer.get(..length) else {
            // Longer than any that the kernel makes.
            self.changes.push_back(InterfaceChange::Overrun);
            return;
        };
        for message in Datagram(datagram) {
            let change = match message {
                // What cannot be read may be a change.
                None => Some(InterfaceChange::Overrun),
                Some(message) if message.header.flags & NLM_F_DUMP_INTR != 0 => {
                    Some(InterfaceChange::Overrun)
                }
                Some(message) => match message.payload {
                    NetlinkPayload::InnerMessage(message) => change_of(&message),
                    NetlinkPayload::Overrun(_) | NetlinkPayload::Error(_) => {
                        Some(InterfaceChange::Overrun)
                    }
                    _ => None,
                },
            };
            self.changes.extend(change);
        }
    }
}

/// Tells when the machine has slept.
#[derive(Debug)]
struct Sleep {
    /// Ready when this is, or the socket of the watch.
    either: OwnedFd,
    timer: OwnedFd,
    slept_ns: i64,
}

impl Sleep {
    /// A machine that slept for less than a second has gone nowhere; the two readings that make the
    /// number of nanoseconds are not taken at once, either.
    const SHORT_NS: i64 = 1_000_000_000;

    fn watch(socket: &OwnedFd) -> std::io::Result<Self> {
        let timer = sys::cancelled_timerfd()?;
        let either = sys::either([socket.as_fd(), timer.as_fd()])?;
        Ok(Self { either, timer, slept_ns: slept_ns() })
    }

    /// Whether a sleep has ended since the last call. That somebody set the clock is none.
    fn is_over(&mut self) -> bool {
        if !sys::was_cancelled(self.timer.as_fd()) {
            return false;
        }
        let before = core::mem::replace(&mut self.slept_ns, slept_ns());
        self.slept_ns - before >= Self::SHORT_NS
    }
}

/// For how long the machine has slept since it was started, nanoseconds.
fn slept_ns() -> i64 {
    sys::clock_ns(libc::CLOCK_BOOTTIME) - sys::clock_ns(libc::CLOCK_MONOTONIC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_route::link::LinkAttribute;

    #[test]
    fn what_cannot_be_read_of_a_link_does_not_hide_it() {
        let link = |nested: &[u8]| {
            let mut message = LinkMessage::default();
            message.attributes.push(LinkAttribute::IfName("eth0".into()));
            message.attributes.push(LinkAttribute::Mtu(1_400));
            let mut bytes = encode(RouteNetlinkMessage::NewLink(message), 0, 1);
            bytes.extend(nested);
            let length = u32::try_from(bytes.len()).unwrap();
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            Datagram(&bytes).next().flatten().map(|read| read.payload)
        };
        let plain = link(&[]);
        assert!(plain.is_some());
        // IFLA_DEVLINK_PORT with an attribute inside whose length is in the other byte order; the same
        // with a length of its own that is longer than the message, or too short for itself.
        for [inner, outer] in [[4_u16.swap_bytes(), 8], [4, 400], [4, 0]] {
            let words = [outer, 62, inner, 99].map(u16::to_ne_bytes);
            assert_eq!(link(words.as_flattened()), plain, "{inner} in {outer}");
        }
    }

    #[test]
    fn unreadable_datagrams_end() {
        let good = encode(RouteNetlinkMessage::GetLink(LinkMessage::default()), 0, 9);
        assert_eq!(Datagram(&good).flatten().count(), 1);
        for end in 1..good.len() {
            assert!(Datagram(&good[..end]).next().is_some_and(|m| m.is_none()), "cut at {end}");
        }
        for length in [0_u32, 1, 15, 17, u32::MAX] {
            let mut lying = [good.clone(), good.clone()].concat();
            lying[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(Datagram(&lying).count() <= 4, "length {length}");
        }
    }
}
