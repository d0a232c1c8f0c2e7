//! Byte streams, through socket2 and the standard library, which both keep a peer that has gone from
//! ending the program with a signal.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Protocol, Socket, Type};

use super::{RawSource, is_nothing, raw};
use crate::error::{Operation, OsError, during, number};

/// A byte stream that is being connected, or stands.
#[derive(Debug)]
pub(crate) struct Tcp(TcpStream);

impl Tcp {
    /// Begins to connect; the socket is writable when that has ended, one way or the other. `prepare`
    /// has it before.
    pub(crate) fn connect(
        to: SocketAddr,
        prepare: impl FnOnce(&Socket) -> Result<(), OsError>,
    ) -> Result<Self, OsError> {
        let failed = during(Operation::TcpConnect);
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))
            .map_err(&failed)?;
        socket.set_nonblocking(true).map_err(&failed)?;
        prepare(&socket)?;
        // Queries are small and waited for: none is held back for a fuller segment.
        socket.set_tcp_nodelay(true).map_err(&failed)?;
        match socket.connect(&to.into()) {
            Ok(()) => Ok(Self(socket.into())),
            Err(error) if error.raw_os_error() == Some(number::EINPROGRESS) => {
                Ok(Self(socket.into()))
            }
            Err(error) => Err(failed(error)),
        }
    }

    pub(crate) fn raw(&self) -> RawSource {
        raw(&self.0)
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> Result<usize, OsError> {
        if let Some(error) = self.0.take_error().map_err(during(Operation::TcpSend))? {
            return Err(OsError::from_io(Operation::TcpSend, &error));
        }
        if bytes.is_empty() {
            // Whether the connection stands is all that is asked.
            return self.0.peer_addr().map(|_| 0).map_err(during(Operation::TcpConnect));
        }
        match (&self.0).write(bytes) {
            Err(error) if is_nothing(&error) => Ok(0),
            sent => sent.map_err(during(Operation::TcpSend)),
        }
    }

    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Result<Option<usize>, OsError> {
        match (&self.0).read(buffer) {
            Ok(length) => Ok(Some(length)),
            Err(error) if is_nothing(&error) => Ok(None),
            Err(error) => Err(OsError::from_io(Operation::TcpReceive, &error)),
        }
    }
}
