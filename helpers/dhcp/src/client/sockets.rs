//! The two sockets of the client, opened and closed to fit the state.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use bringup_core::client::{Endpoint, LinkFilter, Transmit};

use crate::message::CLIENT_PORT;

/// The client's index of the link socket: frames to and from any server.
pub const LINK: u8 = 0;
/// The client's index of the UDP socket on our own address: renewals and RELEASE.
pub const UNICAST: u8 = 1;

/// One socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot<T> {
    Closed,
    Open(T),
    /// The platform would not open it; to be tried again at the next deadline.
    Refused,
}

/// What is open, as far as the client knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sockets {
    link: Slot<()>,
    unicast: Slot<Ipv4Addr>,
    /// The socket that the last transmit was to open: a refusal now is about that.
    opening: Option<u8>,
}

impl Sockets {
    pub(super) const fn new() -> Self {
        Self { link: Slot::Closed, unicast: Slot::Closed, opening: None }
    }

    /// The next step from what is open to what is needed.
    pub(super) fn step(
        &mut self,
        link: bool,
        unicast: Option<Ipv4Addr>,
    ) -> Option<Transmit<'static>> {
        self.opening = None;
        match (self.link, link) {
            (Slot::Open(()), false) => {
                self.link = Slot::Closed;
                return Some(Transmit::Close { socket: LINK });
            }
            (Slot::Refused, false) => self.link = Slot::Closed,
            (Slot::Closed, true) => {
                (self.link, self.opening) = (Slot::Open(()), Some(LINK));
                let endpoint = Endpoint::Link { filter: LinkFilter::DhcpClient };
                return Some(Transmit::Open { socket: LINK, endpoint });
            }
            _ => {}
        }
        match (self.unicast, unicast) {
            (Slot::Open(address), wanted) if wanted != Some(address) => {
                self.unicast = Slot::Closed;
                Some(Transmit::Close { socket: UNICAST })
            }
            (Slot::Refused, None) => {
                self.unicast = Slot::Closed;
                None
            }
            (Slot::Closed, Some(address)) => {
                (self.unicast, self.opening) = (Slot::Open(address), Some(UNICAST));
                let local = SocketAddr::new(IpAddr::V4(address), CLIENT_PORT);
                let endpoint = Endpoint::Udp { local, peer: None };
                Some(Transmit::Open { socket: UNICAST, endpoint })
            }
            _ => None,
        }
    }

    /// A transmit was refused.
    pub(super) fn refused(&mut self, socket: u8) {
        if self.opening.take() == Some(socket) {
            match socket {
                LINK => self.link = Slot::Refused,
                _ => self.unicast = Slot::Refused,
            }
        }
    }

    /// Lets refused sockets be tried again.
    pub(super) fn retry(&mut self) {
        if self.link == Slot::Refused {
            self.link = Slot::Closed;
        }
        if self.unicast == Slot::Refused {
            self.unicast = Slot::Closed;
        }
    }

    pub(super) const fn is_open(&self, socket: u8) -> bool {
        match socket {
            LINK => matches!(self.link, Slot::Open(())),
            UNICAST => matches!(self.unicast, Slot::Open(_)),
            _ => false,
        }
    }
}
