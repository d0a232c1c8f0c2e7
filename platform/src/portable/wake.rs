//! [`SocketWake`]: a datagram that ends the loop's wait, where there is no eventfd.

use core::marker::PhantomData;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::OnceLock;

use bringup_core::platform::{RawLock, SystemOps, Wake};

use crate::error::{Operation, OsError, during, number};
use crate::lock::StdLock;
use crate::socket::{RawSource, raw};

/// How many wakes are forgotten at once. More than these end the next wait, which is no harm.
const CLEARED: usize = 64;

/// A UDP socket of the loopback that is connected to itself, and so hears nobody else. Made in a static,
/// armed once by the loop that it is to wake. Not for signal handlers.
#[derive(Debug, Default)]
pub struct SocketWake(OnceLock<UdpSocket>);

impl SocketWake {
    /// A wake that does nothing yet.
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Opens the socket, which stays open as long as this wake. Fails if there is one already.
    pub(super) fn arm(&self) -> Result<RawSource, OsError> {
        let socket = to_itself().map_err(during(Operation::Arm))?;
        let source = raw(&socket);
        match self.0.set(socket) {
            Ok(()) => Ok(source),
            Err(_) => Err(OsError::new(Operation::Arm, number::EEXIST)),
        }
    }
}

fn to_itself() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(socket.local_addr()?)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl Wake for SocketWake {
    fn wake(&self) {
        if let Some(socket) = self.0.get() {
            // There is no room only if there are wakes that were not taken yet.
            let _ = socket.send(&[1]);
        }
    }

    fn clear(&self) {
        let Some(socket) = self.0.get() else { return };
        for _ in 0..CLEARED {
            if socket.recv(&mut [0; 1]).is_err() {
                return;
            }
        }
    }
}

/// What the threads of a program share: a [`SocketWake`], and a lock that threads may wait on
/// ([`StdLock`]) unless another is named.
pub struct PortableOps<L = StdLock>(PhantomData<fn() -> L>);

impl<L> core::fmt::Debug for PortableOps<L> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PortableOps")
    }
}

impl<L: RawLock> SystemOps for PortableOps<L> {
    type Lock = L;
    type Wake = SocketWake;
}
