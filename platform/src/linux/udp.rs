//! UDP sockets, with what Linux has besides: stamps of arrival, interfaces.

use std::net::{SocketAddr, SocketAddrV4};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use bringup_core::client::Rng;
use bringup_core::platform::{Received, UdpOptions};
use socket2::Socket;

use super::{bare, clock, sys};
use crate::control::{Messages, timestamp_ns};
use crate::error::{Operation, OsError, during};
use crate::socket::{is_nothing, udp};

/// An open UDP socket.
#[derive(Debug)]
pub(super) struct Udp {
    socket: Socket,
    /// Whom it is connected to.
    peer: Option<SocketAddr>,
    /// Its address, if it is a raw socket that stands in for one.
    bare: Option<SocketAddrV4>,
    /// To see whether the wall clock was set since; `None` if datagrams are not stamped.
    opened: Option<clock::Reading>,
}

impl Udp {
    pub(super) fn open(options: &UdpOptions, rng: &mut dyn Rng) -> Result<Self, OsError> {
        let prepare = |socket: &Socket| prepare(socket, options);
        let (socket, bare) = match udp::open(options, rng, prepare) {
            Err(error) if bare::serves(options, &error) => {
                let (socket, local) = bare::open(options, prepare)?;
                (socket, Some(local))
            }
            opened => (opened?, None),
        };
        let opened = options.stamped.then(clock::Reading::take);
        if options.peer.is_some() && !options.stamped {
            forget_strangers(&socket);
        }
        Ok(Self { socket, peer: options.peer, bare, opened })
    }

    pub(super) fn raw(&self) -> i32 {
        self.socket.as_raw_fd()
    }

    pub(super) fn local(&self) -> Result<SocketAddr, OsError> {
        if let Some(local) = self.bare {
            return Ok(local.into());
        }
        let address = self.socket.local_addr().map_err(during(Operation::Handle))?;
        address.as_socket().ok_or(OsError::new(Operation::Handle, libc::EAFNOSUPPORT))
    }

    /// Sends whole or not at all. On a connected socket the kernel reports an earlier refusal by the
    /// peer here, if no receive came first; the datagram was not sent then.
    pub(super) fn send(&self, to: SocketAddr, bytes: &[u8]) -> Result<(), OsError> {
        let sent = match self.bare {
            Some(local) => bare::send(&self.socket, local, to, bytes),
            None if self.peer.is_some() => self.socket.send(bytes),
            None => self.socket.send_to(bytes, &to.into()),
        };
        sent.map(drop).map_err(during(Operation::UdpSend))
    }

    pub(super) fn receive(&self, buffer: &mut [u8]) -> Result<Option<Received>, OsError> {
        match (self.peer, &self.opened) {
            (Some(peer), None) => self.receive_of(peer, buffer),
            (_, opened) => self.receive_with(opened.as_ref(), buffer),
        }
    }

    /// The kernel lets nobody through but the peer ([`forget_strangers`]), and is asked for the payload alone: an address and
    /// control messages are a fifth of what a receive costs.
    fn receive_of(&self, peer: SocketAddr, buffer: &mut [u8]) -> Result<Option<Received>, OsError> {
        let whole = match sys::receive_payload(self.socket.as_fd(), buffer) {
            Ok(whole) => whole,
            Err(error) if is_nothing(&error) => return Ok(None),
            Err(error) => return Err(OsError::from_io(Operation::UdpReceive, &error)),
        };
        let length = whole.min(buffer.len());
        Ok(Some(Received { length, truncated: whole > length, from: peer, at: clock::now() }))
    }

    fn receive_with(
        &self,
        opened: Option<&clock::Reading>,
        buffer: &mut [u8],
    ) -> Result<Option<Received>, OsError> {
        let mut control = sys::Control::new();
        let length = buffer.len();
        let message = match sys::receive(self.socket.as_fd(), buffer, &mut control) {
            Ok(message) => message,
            Err(error) if is_nothing(&error) => return Ok(None),
            Err(error) => return Err(OsError::from_io(Operation::UdpReceive, &error)),
        };
        let from = message
            .socket_address()
            .ok_or(OsError::new(Operation::UdpReceive, libc::EAFNOSUPPORT))?;
        let truncated = message.flags & libc::MSG_TRUNC != 0;
        let at_most = message.length.min(length);
        let stamp = Messages(message.control)
            .find(|m| m.level == libc::SOL_SOCKET && m.kind == libc::SCM_TIMESTAMPNS)
            .and_then(|m| timestamp_ns(m.data));
        let at = opened.map_or_else(clock::now, |opened| clock::arrival(opened, stamp));
        let (length, from) = match self.bare {
            // What is nothing for us has been read all the same; the next is told of anew.
            Some(local) => match bare::unwrap(buffer, at_most, local) {
                Some(unwrapped) => unwrapped,
                None => return Ok(None),
            },
            None => (at_most, from),
        };
        Ok(Some(Received { length, truncated, from, at }))
    }
}

/// Throws away what came between bind(2) and connect(2), when the kernel still let everybody through. Nothing
/// was asked yet, so that the peer loses nothing by it.
fn forget_strangers(socket: &Socket) {
    // More than a socket's buffer holds of the smallest datagrams.
    for _ in 0..1_024 {
        if sys::receive_payload(socket.as_fd(), &mut []).is_err() {
            return;
        }
    }
}

/// What Linux has besides. Both may be missing (old kernels, emulators); then datagrams are stamped when
/// they are read, and a forged "fragmentation needed" can shrink what we send (RFC 9715 appendix C).
fn prepare(socket: &Socket, options: &UdpOptions) -> Result<(), OsError> {
    let fd: BorrowedFd<'_> = socket.as_fd();
    if options.stamped {
        let _ = sys::set_option(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1);
    }
    let _ = if options.local.is_ipv4() {
        sys::set_option(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT)
    } else {
        sys::set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT)
    };
    let Some(index) = options.interface else { return Ok(()) };
    tie(socket, options.local.is_ipv4(), index, Operation::UdpInterface)
}

/// Ties a socket to an interface (SO_BINDTOIFINDEX); Linux 5.7 and later allow it to everybody.
pub(super) fn tie(
    socket: &Socket,
    ipv4: bool,
    index: u32,
    operation: Operation,
) -> Result<(), OsError> {
    // The kernel takes any number: a socket on an interface that is none would be deaf and dumb.
    let index = NonZeroU32::new(index)
        .filter(|index| sys::interface_exists(index.get()))
        .ok_or(OsError::new(operation, libc::ENODEV))?;
    let tied = if ipv4 {
        socket.bind_device_by_index_v4(Some(index))
    } else {
        socket.bind_device_by_index_v6(Some(index))
    };
    tied.map_err(during(operation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn what_came_before_the_connection_is_nobody_s() {
        let [early, peer, other] = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        early.set_nonblocking(true).unwrap();
        let (at, from) = (early.local_addr().unwrap(), peer.local_addr().unwrap());
        other.send_to(b"forged", at).unwrap();
        other.send_to(b"", at).unwrap();
        early.connect(from).unwrap();
        let socket = Socket::from(early);
        forget_strangers(&socket);
        let udp = Udp { socket, peer: Some(from), bare: None, opened: None };
        assert_eq!(udp.receive(&mut [0; 8]), Ok(None));
        peer.send_to(b"real", at).unwrap();
        let received = udp.receive(&mut [0; 8]).unwrap().unwrap();
        assert_eq!((received.length, received.from), (4, from));
    }
}
