//! The three sockets of the client, opened and closed to fit what is going on.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use bringup_core::client::{Endpoint, LinkFilter, Transmit};

use crate::message::CLIENT_PORT;

/// The client's index of the link socket: frames to and from any server.
pub const LINK: u8 = 0;
/// The client's index of the UDP socket on our own address: renewals, RELEASE and INFORM.
pub const UNICAST: u8 = 1;
/// The client's index of the link socket for ARP: probes, announcements, the known router.
pub const ARP: u8 = 2;

/// How many indices there are.
const SOCKETS: usize = 3;

/// What should be open.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    pub(super) link: bool,
    pub(super) unicast: Option<Ipv4Addr>,
    pub(super) arp: bool,
}

impl Wanted {
    /// What each index is to be, in their order.
    fn endpoints(self) -> [(u8, Option<Endpoint>); SOCKETS] {
        let link = Endpoint::Link { filter: LinkFilter::DhcpClient };
        let unicast = self.unicast.map(|address| Endpoint::Udp {
            local: SocketAddr::new(IpAddr::V4(address), CLIENT_PORT),
            peer: None,
            interface: None,
        });
        let arp = Endpoint::Link { filter: LinkFilter::Arp };
        [(LINK, self.link.then_some(link)), (UNICAST, unicast), (ARP, self.arp.then_some(arp))]
    }
}

/// One socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Closed,
    Open(Endpoint),
    /// The platform would not open it; to be tried again at the next deadline.
    Refused,
}

/// What is open, as far as the client knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sockets {
    slots: [Slot; SOCKETS],
    /// The socket that the last transmit was to open: a refusal now is about that.
    opening: Option<u8>,
}

impl Sockets {
    pub(super) const fn new() -> Self {
        Self { slots: [Slot::Closed; SOCKETS], opening: None }
    }

    /// The next step from what is open to what is needed.
    pub(super) fn step(&mut self, wanted: Wanted) -> Option<Transmit<'static>> {
        self.opening = None;
        for (slot, (socket, wanted)) in self.slots.iter_mut().zip(wanted.endpoints()) {
            match (*slot, wanted) {
                (Slot::Open(endpoint), wanted) if wanted != Some(endpoint) => {
                    *slot = Slot::Closed;
                    return Some(Transmit::Close { socket });
                }
                (Slot::Refused, None) => *slot = Slot::Closed,
                (Slot::Closed, Some(endpoint)) => {
                    (*slot, self.opening) = (Slot::Open(endpoint), Some(socket));
                    return Some(Transmit::Open { socket, endpoint });
                }
                _ => {}
            }
        }
        None
    }

    /// A transmit was refused.
    pub(super) fn refused(&mut self, socket: u8) {
        if self.opening.take() == Some(socket) {
            if let Some(slot) = self.slots.get_mut(usize::from(socket)) {
                *slot = Slot::Refused;
            }
        }
    }

    /// Lets refused sockets be tried again.
    pub(super) fn retry(&mut self) {
        for slot in &mut self.slots {
            if *slot == Slot::Refused {
                *slot = Slot::Closed;
            }
        }
    }

    pub(super) fn is_open(&self, socket: u8) -> bool {
        matches!(self.slots.get(usize::from(socket)), Some(Slot::Open(_)))
    }
}
