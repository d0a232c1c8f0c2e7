//! UDP sockets with nothing but what the standard library promises everywhere.

use std::net::{SocketAddr, UdpSocket};

use bringup_core::client::Rng;
use bringup_core::platform::{Received, UdpOptions};

use super::now;
use crate::error::{Operation, OsError, during};
use crate::socket::{RawSource, is_nothing, raw, udp};

/// Longer than every datagram: std does not tell where one was cut off, and Windows makes it an error
/// that loses the sender.
const LONGEST: usize = 65_536;

/// Where a datagram is received, before it is cut to fit.
#[derive(Debug)]
pub(super) struct Scratch(Box<[u8]>);

impl Scratch {
    pub(super) fn new() -> Self {
        Self(vec![0; LONGEST].into())
    }
}

/// An open UDP socket.
#[derive(Debug)]
pub(super) struct Udp {
    socket: UdpSocket,
    connected: bool,
}

impl Udp {
    pub(super) fn open(options: &UdpOptions, rng: &mut dyn Rng) -> Result<Self, OsError> {
        let socket = udp::open(options, rng, |_| Ok(()))?.into();
        Ok(Self { socket, connected: options.peer.is_some() })
    }

    pub(super) fn raw(&self) -> RawSource {
        raw(&self.socket)
    }

    pub(super) fn local(&self) -> Result<SocketAddr, OsError> {
        self.socket.local_addr().map_err(during(Operation::Handle))
    }

    pub(super) fn send(&self, to: SocketAddr, bytes: &[u8]) -> Result<(), OsError> {
        // Some systems refuse an address on a connected socket, though it be the peer's.
        let sent =
            if self.connected { self.socket.send(bytes) } else { self.socket.send_to(bytes, to) };
        sent.map(drop).map_err(during(Operation::UdpSend))
    }

    pub(super) fn receive(
        &self,
        scratch: &mut Scratch,
        buffer: &mut [u8],
    ) -> Result<Option<Received>, OsError> {
        let (whole, from) = match self.socket.recv_from(&mut scratch.0) {
            Ok(received) => received,
            Err(error) if is_nothing(&error) => return Ok(None),
            Err(error) => return Err(OsError::from_io(Operation::UdpReceive, &error)),
        };
        let length = whole.min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(&scratch.0[..length]) {
            *to = *from;
        }
        Ok(Some(Received { length, truncated: whole > length, from, at: now() }))
    }
}
