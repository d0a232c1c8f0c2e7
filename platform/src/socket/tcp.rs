//! Byte streams, through socket2.

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, Socket, Type};

use super::sys;
use crate::error::{Operation, OsError, during};

/// A byte stream that is being connected, or stands.
#[derive(Debug)]
pub(super) struct Tcp(Socket);

impl Tcp {
    /// Begins to connect; the socket is writable when that has ended, one way or the other.
    pub(super) fn connect(to: SocketAddr, interface: Option<u32>) -> Result<Self, OsError> {
        let kind = Type::STREAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::for_address(to), kind, Some(Protocol::TCP))
            .map_err(during(Operation::TcpConnect))?;
        if let Some(index) = interface {
            // The kernel takes any number, as for UDP.
            let index = NonZeroU32::new(index)
                .filter(|index| sys::interface_exists(index.get()))
                .ok_or(OsError::new(Operation::TcpConnect, libc::ENODEV))?;
            let bound = if to.is_ipv4() {
                socket.bind_device_by_index_v4(Some(index))
            } else {
                socket.bind_device_by_index_v6(Some(index))
            };
            bound.map_err(during(Operation::TcpConnect))?;
        }
        // Queries are small and waited for: none is held back for a fuller segment.
        socket.set_tcp_nodelay(true).map_err(during(Operation::TcpConnect))?;
        match socket.connect(&to.into()) {
            Ok(()) => Ok(Self(socket)),
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(Self(socket)),
            Err(error) => Err(OsError::from_io(Operation::TcpConnect, &error)),
        }
    }

    pub(super) fn raw(&self) -> i32 {
        self.0.as_raw_fd()
    }

    pub(super) fn send(&self, bytes: &[u8]) -> Result<usize, OsError> {
        if let Some(error) = self.0.take_error().map_err(during(Operation::TcpSend))? {
            return Err(OsError::from_io(Operation::TcpSend, &error));
        }
        if bytes.is_empty() {
            // Whether the connection stands is all that is asked.
            return self.0.peer_addr().map(|_| 0).map_err(during(Operation::TcpConnect));
        }
        // A peer that has gone must not end the program with a signal.
        match self.0.send_with_flags(bytes, libc::MSG_NOSIGNAL) {
            Err(error) if is_nothing(&error) => Ok(0),
            sent => sent.map_err(during(Operation::TcpSend)),
        }
    }

    pub(super) fn receive(&self, buffer: &mut [u8]) -> Result<Option<usize>, OsError> {
        match (&self.0).read(buffer) {
            Ok(length) => Ok(Some(length)),
            Err(error) if is_nothing(&error) => Ok(None),
            Err(error) => Err(OsError::from_io(Operation::TcpReceive, &error)),
        }
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
