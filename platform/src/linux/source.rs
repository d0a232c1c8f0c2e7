//! From which of its addresses this host would send: what the kernel chooses, and what it says of it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bringup_core::platform::Source;
use bringup_core::time::{Duration, Instant};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use socket2::{Domain, Protocol, Socket, Type};

use super::netlink::Requests;
use crate::error::{Operation, OsError, during};

/// RFC 6724 §8: what an order of addresses is made from may be so old.
const FRESH: Duration = Duration::from_secs(1);

/// This host's addresses as they were a moment ago.
#[derive(Debug)]
pub(super) struct Sources {
    read_at: Instant,
    addresses: Vec<Source>,
}

impl Sources {
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        now < self.read_at + FRESH
    }

    /// What is known of an address. One that has come since is known by itself alone.
    pub(super) fn describe(&self, address: IpAddr) -> Source {
        let known = self.addresses.iter().find(|source| source.address == address);
        known.copied().unwrap_or(Source { address, prefix: 0, deprecated: false })
    }
}

impl Requests {
    /// All addresses of this host, of both families.
    pub(super) fn sources(&mut self, now: Instant) -> Result<Sources, OsError> {
        let mut addresses = Vec::new();
        let all = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        self.dump(Operation::Source, all, |message| {
            let RouteNetlinkMessage::NewAddress(there) = message else { return };
            // IPv4 has its own address in LOCAL, and the peer's in ADDRESS where there is one.
            let local = there.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Local(address) => Some(*address),
                _ => None,
            });
            let address = local.or_else(|| {
                there.attributes.iter().find_map(|attribute| match attribute {
                    AddressAttribute::Address(address) => Some(*address),
                    _ => None,
                })
            });
            addresses.extend(address.map(|address| Source {
                address,
                prefix: there.header.prefix_len,
                deprecated: there.header.flags.contains(AddressHeaderFlags::Deprecated),
            }));
        })?;
        Ok(Sources { read_at: now, addresses })
    }
}

/// The address that the kernel would send from; `None` if it knows no way. Connecting a UDP socket sends
/// nothing.
pub(super) fn choose(destination: IpAddr) -> Result<Option<IpAddr>, OsError> {
    let failed = during(Operation::Source);
    // Any port will do: routes do not ask for it.
    let to = SocketAddr::new(destination, 53);
    let kind = Type::DGRAM.cloexec();
    let socket = match Socket::new(Domain::for_address(to), kind, Some(Protocol::UDP)) {
        Ok(socket) => socket,
        Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    // No route, no address of that family, a link-local address of nobody knows which link.
    if socket.connect(&to.into()).is_err() {
        return Ok(None);
    }
    let local = socket.local_addr().and_then(|local| {
        local.as_socket().ok_or_else(|| io::Error::from_raw_os_error(libc::EAFNOSUPPORT))
    });
    let address = local.map_err(failed)?.ip();
    let unspecified = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    Ok(Some(address).filter(|address| !unspecified.contains(address)))
}
