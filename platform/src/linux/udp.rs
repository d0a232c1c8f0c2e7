//! UDP sockets, through socket2.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use bringup_core::client::Rng;
use bringup_core::platform::{Received, UdpOptions};
use socket2::{Domain, Protocol, Socket, Type};

use super::{clock, sys};
use crate::control::{Messages, timestamp_ns};
use crate::error::{Operation, OsError, during};

/// The DHCP client's port: several programs, each on an interface of its own, bind it.
const DHCP_CLIENT_PORT: u16 = 68;

/// How many random ports are tried before the kernel is left to choose.
const PORT_TRIES: u32 = 16;

/// An open UDP socket.
#[derive(Debug)]
pub(super) struct Udp {
    socket: Socket,
    connected: bool,
    /// To see whether the wall clock was set since.
    opened: clock::Reading,
}

impl Udp {
    pub(super) fn open(options: &UdpOptions, rng: &mut dyn Rng) -> Result<Self, OsError> {
        let domain = Domain::for_address(options.local);
        let kind = Type::DGRAM.nonblocking().cloexec();
        let socket =
            Socket::new(domain, kind, Some(Protocol::UDP)).map_err(during(Operation::UdpOpen))?;
        prepare(&socket, options).map_err(during(Operation::UdpOpen))?;
        if let Some(index) = options.interface {
            // SO_BINDTOIFINDEX; Linux 5.7 and later allow it to everybody. The kernel takes any
            // number: a socket on an interface that is none would be deaf and dumb.
            let index = NonZeroU32::new(index)
                .filter(|index| sys::interface_exists(index.get()))
                .ok_or(OsError::new(Operation::UdpInterface, libc::ENODEV))?;
            let bound = if options.local.is_ipv4() {
                socket.bind_device_by_index_v4(Some(index))
            } else {
                socket.bind_device_by_index_v6(Some(index))
            };
            bound.map_err(during(Operation::UdpInterface))?;
        }
        bind(&socket, options.local, rng).map_err(during(Operation::UdpBind))?;
        if let Some(peer) = options.peer {
            socket.connect(&peer.into()).map_err(during(Operation::UdpConnect))?;
        }
        Ok(Self { socket, connected: options.peer.is_some(), opened: clock::Reading::take() })
    }

    pub(super) fn raw(&self) -> i32 {
        self.socket.as_raw_fd()
    }

    pub(super) fn local(&self) -> Result<SocketAddr, OsError> {
        let address = self.socket.local_addr().map_err(during(Operation::Handle))?;
        address.as_socket().ok_or(OsError::new(Operation::Handle, libc::EAFNOSUPPORT))
    }

    /// Sends whole or not at all. On a connected socket the kernel reports an earlier refusal by the
    /// peer here, if no receive came first; the datagram was not sent then.
    pub(super) fn send(&self, to: SocketAddr, bytes: &[u8]) -> Result<(), OsError> {
        let sent = if self.connected {
            self.socket.send(bytes)
        } else {
            self.socket.send_to(bytes, &to.into())
        };
        sent.map(drop).map_err(during(Operation::UdpSend))
    }

    pub(super) fn receive(&self, buffer: &mut [u8]) -> Result<Option<Received>, OsError> {
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
        let stamp = Messages(message.control)
            .find(|m| m.level == libc::SOL_SOCKET && m.kind == libc::SCM_TIMESTAMPNS)
            .and_then(|m| timestamp_ns(m.data));
        Ok(Some(Received {
            length: message.length.min(length),
            truncated: message.flags & libc::MSG_TRUNC != 0,
            from,
            at: clock::arrival(&self.opened, stamp),
        }))
    }
}

/// Whether a receive failed only because nothing is there. A signal is no reason to report either;
/// the poller will call again.
pub(super) fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn prepare(socket: &Socket, options: &UdpOptions) -> io::Result<()> {
    if options.broadcast {
        socket.set_broadcast(true)?;
    }
    if options.local.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if options.local.port() == DHCP_CLIENT_PORT {
        socket.set_reuse_address(true)?;
    }
    let fd: BorrowedFd<'_> = socket.as_fd();
    // Both may be missing (old kernels, emulators); then datagrams are stamped when they are read,
    // and a forged "fragmentation needed" can shrink what we send (RFC 9715 appendix C).
    let _ = sys::set_option(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1);
    let _ = if options.local.is_ipv4() {
        sys::set_option(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT)
    } else {
        sys::set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT)
    };
    Ok(())
}

/// Binds; for port 0 to one out of all that are not reserved (RFC 5452 §9.2), where the kernel's own
/// choice is one out of 28,232.
fn bind(socket: &Socket, local: SocketAddr, rng: &mut dyn Rng) -> io::Result<()> {
    if local.port() == 0 {
        for _ in 0..PORT_TRIES {
            let port = u16::try_from(1_024 + rng.below(64_512)).unwrap_or(0);
            let mut local = local;
            local.set_port(port);
            match socket.bind(&local.into()) {
                // Taken, or kept from ordinary users; the next may not be.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
                    ) => {}
                result => return result,
            }
        }
    }
    socket.bind(&local.into())
}
