//! [`Stage`]: where a client's output goes while it is being driven.

use core::net::SocketAddr;

use bringup_core::client::{Cx, Endpoint, Host, MAX_PER_DRIVE, Transmit};
use bringup_core::error::ErrorKind;
use bringup_core::event_loop::{Registrar, SourceKey};
use bringup_core::platform::{Platform, PlatformError, UdpOptions};
use bringup_core::poll::Interest;
use bringup_core::time::{Instant, Utc};
use bringup_core::timer::Owner;

use crate::ring::Ring;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Udp,
    Link,
}

/// A socket of a client.
pub(crate) struct Socket<H> {
    pub(crate) handle: H,
    pub(crate) key: SourceKey,
    pub(crate) kind: Kind,
}

/// A byte stream of a client.
pub(crate) struct Connection<H> {
    pub(crate) handle: H,
    pub(crate) key: SourceKey,
    /// Whether it stands.
    pub(crate) connected: bool,
}

/// A client's sockets, its events, and the loop, while the client is being driven.
pub(crate) struct Stage<'a, 'r, E, P: Platform> {
    pub(crate) registrar: &'a mut Registrar<'r, P>,
    pub(crate) sockets: &'a mut [Option<Socket<P::Handle>>],
    pub(crate) conns: &'a mut [Option<Connection<P::Handle>>],
    pub(crate) events: &'a mut Ring<E, MAX_PER_DRIVE>,
    pub(crate) owner: Owner,
    pub(crate) interface: Option<u32>,
    /// The time of the call, for a client that does not measure time itself.
    pub(crate) now: Option<Instant>,
}

impl<E: Copy, P: Platform> Stage<'_, '_, E, P> {
    pub(crate) fn close(&mut self, socket: u8) {
        let slot = self.sockets.get_mut(usize::from(socket)).and_then(Option::take);
        if let Some(Socket { handle, key, .. }) = slot {
            self.registrar.remove_source(key);
            self.registrar.platform().close(handle);
        }
    }

    fn open(&mut self, socket: u8, endpoint: Endpoint) -> Result<(), ErrorKind> {
        self.close(socket);
        let slot = self.sockets.get_mut(usize::from(socket)).ok_or(ErrorKind::Invalid)?;
        let platform = self.registrar.platform();
        let (opened, kind) = match endpoint {
            Endpoint::Udp { local, peer, interface } => {
                let interface = interface.or(self.interface);
                let stamped = self.now.is_none();
                let options = UdpOptions { local, peer, interface, broadcast: false, stamped };
                (platform.udp_open(&options), Kind::Udp)
            }
            Endpoint::Link { filter } => {
                let interface = self.interface.ok_or(ErrorKind::Invalid)?;
                (platform.link_open(interface, filter), Kind::Link)
            }
        };
        let handle = opened.map_err(|error| error.kind())?;
        match self.registrar.add_source(self.owner, handle, Interest::READ) {
            Ok(key) => {
                *slot = Some(Socket { handle, key, kind });
                Ok(())
            }
            Err(error) => {
                self.registrar.platform().close(handle);
                Err(error.kind())
            }
        }
    }

    pub(crate) fn disconnect(&mut self, conn: u8) {
        let slot = self.conns.get_mut(usize::from(conn)).and_then(Option::take);
        if let Some(Connection { handle, key, .. }) = slot {
            self.registrar.remove_source(key);
            self.registrar.platform().close(handle);
        }
    }

    fn connect(
        &mut self,
        conn: u8,
        to: SocketAddr,
        interface: Option<u32>,
    ) -> Result<(), ErrorKind> {
        self.disconnect(conn);
        let slot = self.conns.get_mut(usize::from(conn)).ok_or(ErrorKind::Invalid)?;
        let opened = self.registrar.platform().tcp_connect(to, interface.or(self.interface));
        let handle = opened.map_err(|error| error.kind())?;
        match self.registrar.add_source(self.owner, handle, Interest::WRITE) {
            Ok(key) => {
                *slot = Some(Connection { handle, key, connected: false });
                Ok(())
            }
            Err(error) => {
                self.registrar.platform().close(handle);
                Err(error.kind())
            }
        }
    }

    fn stream(&mut self, conn: u8, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let slot = self.conns.get(usize::from(conn)).and_then(Option::as_ref);
        let Some(&Connection { handle, key, .. }) = slot else { return Err(ErrorKind::NotFound) };
        match self.registrar.platform().tcp_send(handle, bytes) {
            Ok(taken) => {
                let whole = taken >= bytes.len();
                let interest = if whole { Interest::READ } else { Interest::BOTH };
                self.registrar.set_interest(key, interest).map_err(|error| error.kind())?;
                Ok(taken)
            }
            Err(error) => {
                self.disconnect(conn);
                Err(error.kind())
            }
        }
    }

    fn handle(&self, socket: u8) -> Result<P::Handle, ErrorKind> {
        let socket = self.sockets.get(usize::from(socket)).and_then(Option::as_ref);
        socket.map(|socket| socket.handle).ok_or(ErrorKind::NotFound)
    }
}

impl<E: Copy, P: Platform> Host<E> for Stage<'_, '_, E, P> {
    fn cx(&mut self) -> Cx<'_> {
        cx_at(self.registrar, self.now)
    }

    fn transmit(&mut self, transmit: Transmit<'_>) -> Result<usize, ErrorKind> {
        match transmit {
            Transmit::Open { socket, endpoint } => self.open(socket, endpoint)?,
            Transmit::Close { socket } => self.close(socket),
            Transmit::Datagram { socket, to, bytes } => {
                let handle = self.handle(socket)?;
                self.registrar.platform().udp_send(handle, to, bytes).map_err(|e| e.kind())?;
            }
            Transmit::Frame { socket, to, ethertype, payload } => {
                let handle = self.handle(socket)?;
                let platform = self.registrar.platform();
                platform.link_send(handle, to, ethertype, payload).map_err(|e| e.kind())?;
            }
            Transmit::Connect { conn, to, interface } => self.connect(conn, to, interface)?,
            Transmit::Stream { conn, bytes } => return self.stream(conn, bytes),
            Transmit::Disconnect { conn } => self.disconnect(conn),
        }
        Ok(0)
    }

    fn event(&mut self, event: E) {
        self.events.push(event);
    }

    fn has_room(&self) -> bool {
        self.events.room() > 0
    }
}

/// The context of one call at `now`, without the wall clock; where that is `None`, the one of this moment.
pub(crate) fn cx_at<'a, P: Platform>(
    registrar: &'a mut Registrar<'_, P>,
    now: Option<Instant>,
) -> Cx<'a> {
    match now {
        Some(now) => Cx { now, utc: Utc::UNIX_EPOCH, rng: registrar.platform() },
        None => cx(registrar),
    }
}

/// The context of one call: the clocks are read for it, since a client takes the time of its sends
/// from here.
pub(crate) fn cx<'a, P: Platform>(registrar: &'a mut Registrar<'_, P>) -> Cx<'a> {
    let platform = registrar.platform();
    let (now, utc) = (platform.now(), platform.utc());
    Cx { now, utc, rng: platform }
}
