//! From which of its addresses this host would send: what the kernel chooses, and what it says of it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd as _;

use bringup_core::platform::Source;
use bringup_core::time::{Duration, Instant};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use socket2::{Domain, Protocol, Socket, Type};

use super::netlink::Requests;
use super::sys;
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

/// A UDP socket of each family, on which the kernel is asked. To make one for each address would cost more
/// than the question.
#[derive(Debug, Default)]
pub(super) struct Chooser {
    v4: Option<Socket>,
    v6: Option<Socket>,
}

impl Chooser {
    /// The address that the kernel would send from; `None` if it knows no way. Connecting a UDP socket
    /// sends nothing.
    pub(super) fn choose(&mut self, destination: IpAddr) -> Result<Option<IpAddr>, OsError> {
        let failed = during(Operation::Source);
        // Any port will do: routes do not ask for it.
        let to = SocketAddr::new(destination, 53);
        let kept = if to.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        let socket = match kept.take() {
            Some(socket) => socket,
            None => match Socket::new(
                Domain::for_address(to),
                Type::DGRAM.cloexec(),
                Some(Protocol::UDP),
            ) {
                Ok(socket) => socket,
                Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => return Ok(None),
                Err(error) => return Err(failed(error)),
            },
        };
        // No route, no address of that family, a link-local address of nobody knows which link.
        let connected = socket.connect(&to.into()).is_ok();
        let local = socket.local_addr().and_then(|local| {
            local.as_socket().ok_or_else(|| io::Error::from_raw_os_error(libc::EAFNOSUPPORT))
        });
        // With its peer it forgets the address that was chosen for that; one that cannot is not kept.
        *kept = sys::disconnect(socket.as_fd()).is_ok().then_some(socket);
        if !connected {
            return Ok(None);
        }
        let address = local.map_err(failed)?.ip();
        let unspecified = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        Ok(Some(address).filter(|address| !unspecified.contains(address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_has_been_asked_before_chooses_as_a_new_one_does() {
        let mut kept = Chooser::default();
        for destination in ["127.0.0.1", "192.0.2.1", "::1", "2001:db8::1", "127.0.0.1", "::1"] {
            let destination: IpAddr = destination.parse().expect("an address");
            let [old, new] = [&mut kept, &mut Chooser::default()].map(|c| c.choose(destination));
            assert_eq!(old, new, "{destination}");
        }
        assert_eq!(kept.choose(Ipv4Addr::LOCALHOST.into()), Ok(Some(Ipv4Addr::LOCALHOST.into())));
    }
}
