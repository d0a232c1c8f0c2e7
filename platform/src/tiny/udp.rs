//! UDP sockets.

use core::ffi::c_int;
use core::net::SocketAddr;

use bringup_core::client::Rng;
use bringup_core::platform::{Received, UdpOptions};
use bringup_core::time::Instant;

use super::error::{Call, EADDRINUSE, EAFNOSUPPORT, ENODEV, TinyError};
use super::sys::{self, Address, SocketOption};

/// The DHCP client's port: several programs, each on an interface of its own, bind it.
const DHCP_CLIENT_PORT: u16 = 68;

/// How many random ports are tried before the kernel is left to choose.
const PORT_TRIES: u32 = 16;

pub(super) fn open(options: &UdpOptions, rng: &mut dyn Rng) -> Result<c_int, TinyError> {
    let is_v4 = options.local.is_ipv4();
    let family = if is_v4 { sys::AF_INET } else { sys::AF_INET6 };
    let fd = sys::socket(Call::Udp, family, sys::SOCK_DGRAM, 0)?;
    match prepare(fd, options, rng) {
        Ok(()) => Ok(fd),
        Err(error) => {
            sys::close(fd);
            Err(error)
        }
    }
}

fn prepare(fd: c_int, options: &UdpOptions, rng: &mut dyn Rng) -> Result<(), TinyError> {
    let is_v4 = options.local.is_ipv4();
    let set = |option, value| sys::set_option(Call::Udp, fd, option, value);
    if options.broadcast {
        set(SocketOption::BROADCAST, 1)?;
    }
    if options.local.port() == DHCP_CLIENT_PORT {
        set(SocketOption::REUSE_ADDRESS, 1)?;
    }
    if !is_v4 {
        set(SocketOption::IPV6_ONLY, 1)?;
    }
    // A forged "fragmentation needed" is not to shrink what we send (RFC 9715 appendix C); old kernels
    // do not have it.
    let omit = if is_v4 { SocketOption::IP_MTU_DISCOVER } else { SocketOption::IPV6_MTU_DISCOVER };
    let _ = set(omit, sys::PMTUDISC_OMIT);
    if let Some(index) = options.interface {
        // The kernel takes any number: a socket on an interface that is none would be deaf and dumb.
        let index = c_int::try_from(index).ok().filter(|index| sys::interface_exists(*index));
        let index = index.ok_or(TinyError::new(Call::Udp, ENODEV))?;
        set(SocketOption::BIND_TO_INTERFACE, index)?;
    }
    bind(fd, options.local, rng)?;
    match options.peer {
        Some(peer) => sys::connect(Call::Udp, fd, &Address::of(peer)),
        None => Ok(()),
    }
}

/// Binds; for port 0 to one out of all that are not reserved (RFC 5452 §9.2), where the kernel's own
/// choice is one out of 28,232.
fn bind(fd: c_int, local: SocketAddr, rng: &mut dyn Rng) -> Result<(), TinyError> {
    let mut tries = if local.port() == 0 { PORT_TRIES } else { 0 };
    while tries > 0 {
        tries -= 1;
        let mut local = local;
        local.set_port(u16::try_from(1_024 + rng.below(64_512)).unwrap_or(0));
        match sys::bind(Call::Udp, fd, &Address::of(local)) {
            Err(TinyError { errno: EADDRINUSE, .. }) => {}
            result => return result,
        }
    }
    sys::bind(Call::Udp, fd, &Address::of(local))
}

/// A connected socket sends to its peer, whom the caller names too.
pub(super) fn send(fd: c_int, to: SocketAddr, bytes: &[u8]) -> Result<(), TinyError> {
    sys::send_to(Call::Udp, fd, bytes, &Address::of(to))
}

pub(super) fn receive(
    fd: c_int,
    buffer: &mut [u8],
    at: Instant,
) -> Result<Option<Received>, TinyError> {
    let room = buffer.len();
    let Some(message) = sys::receive(Call::Udp, fd, buffer, &mut [])? else { return Ok(None) };
    let from = message.address.inet().ok_or(TinyError::new(Call::Udp, EAFNOSUPPORT))?;
    let length = message.length.min(room);
    Ok(Some(Received { length, truncated: message.length > room, from, at }))
}
