//! UDP sockets, through socket2: how they are opened.

use std::io;
use std::net::SocketAddr;

use bringup_core::client::Rng;
use bringup_core::platform::UdpOptions;
use socket2::{Domain, Protocol, Socket, Type};

use crate::error::{Operation, OsError, during};

/// The DHCP client's port: several programs, each on an interface of its own, bind it.
const DHCP_CLIENT_PORT: u16 = 68;

/// How many random ports are tried before the kernel is left to choose.
const PORT_TRIES: u32 = 16;

/// Opens a socket that never blocks. `prepare` has it before it is bound.
pub(crate) fn open(
    options: &UdpOptions,
    rng: &mut dyn Rng,
    prepare: impl FnOnce(&Socket) -> Result<(), OsError>,
) -> Result<Socket, OsError> {
    let domain = Domain::for_address(options.local);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))
        .map_err(during(Operation::UdpOpen))?;
    set_options(&socket, options).map_err(during(Operation::UdpOpen))?;
    prepare(&socket)?;
    bind(&socket, options.local, rng).map_err(during(Operation::UdpBind))?;
    if let Some(peer) = options.peer {
        socket.connect(&peer.into()).map_err(during(Operation::UdpConnect))?;
    }
    Ok(socket)
}

fn set_options(socket: &Socket, options: &UdpOptions) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    if options.broadcast {
        socket.set_broadcast(true)?;
    }
    if options.local.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if options.local.port() == DHCP_CLIENT_PORT {
        socket.set_reuse_address(true)?;
    }
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
