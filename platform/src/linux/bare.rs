//! UDP at port 68 for those who have CAP_NET_RAW and not CAP_NET_BIND_SERVICE: through a raw socket.
//!
//! The kernel finds the way and the neighbour, as for any datagram. It also tells senders that nobody
//! has the port, which no DHCP server minds; and it cannot say which checksums are unfinished, so that
//! such datagrams, from this very machine, are lost here.

use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::AsFd as _;

use bringup_core::client::LinkFilter;
use bringup_core::platform::UdpOptions;
use socket2::{Domain, Protocol, Socket, Type};

use super::sys;
use crate::error::{Operation, OsError, during};
use crate::filter;
use crate::sim::packet::{parse_udp, udp};

/// The only port that the filter lets pass.
const PORT: u16 = 68;

/// Whether a raw socket does what was refused.
pub(super) fn serves(options: &UdpOptions, error: &OsError) -> bool {
    let refused = [libc::EACCES, libc::EPERM].contains(&error.errno);
    let plain = options.local.is_ipv4() && options.peer.is_none() && !options.broadcast;
    refused && error.operation == Operation::UdpBind && plain && options.local.port() == PORT
}

/// A raw socket at an address.
pub(super) fn open(
    options: &UdpOptions,
    prepare: impl FnOnce(&Socket) -> Result<(), OsError>,
) -> Result<(Socket, SocketAddrV4), OsError> {
    let SocketAddr::V4(local) = options.local else {
        return Err(OsError::new(Operation::UdpOpen, libc::EAFNOSUPPORT));
    };
    let failed = during(Operation::UdpOpen);
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP)).map_err(&failed)?;
    let (_, program) = filter::program(LinkFilter::DhcpClient);
    sys::attach_filter(socket.as_fd(), program).map_err(&failed)?;
    socket.set_nonblocking(true).map_err(&failed)?;
    socket.set_header_included_v4(true).map_err(&failed)?;
    prepare(&socket)?;
    socket.bind(&SocketAddrV4::new(*local.ip(), 0).into()).map_err(during(Operation::UdpBind))?;
    Ok((socket, local))
}

/// Sends a datagram in a packet of our own.
pub(super) fn send(
    socket: &Socket,
    local: SocketAddrV4,
    to: SocketAddr,
    bytes: &[u8],
) -> std::io::Result<usize> {
    let SocketAddr::V4(to) = to else { return Err(std::io::ErrorKind::InvalidInput.into()) };
    // What is too long for a packet is too long for the kernel, too.
    socket.send_to(&udp(local, to, bytes), &to.into())
}

/// Leaves of a packet in `buffer` its payload: how long that is and who sent it; `None` if the packet is
/// not one of `local`'s.
pub(super) fn unwrap(
    buffer: &mut [u8],
    length: usize,
    local: SocketAddrV4,
) -> Option<(usize, SocketAddr)> {
    let packet = buffer.get(..length)?;
    let datagram = parse_udp(packet, true).filter(|datagram| datagram.dst == local)?;
    let (from, length) = (datagram.src, datagram.payload.len());
    // Behind the IP header, whose length is in words, and the UDP header.
    let start = usize::from(packet.first()? & 0xF) * 4 + 8;
    buffer.copy_within(start..start + length, 0);
    Some((length, from.into()))
}
