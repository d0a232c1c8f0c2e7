//! [`Stage`]: a client's sockets, connections and timer on the loop. It does not know which client it is:
//! one copy of what is here serves all of them.

use core::net::SocketAddr;

use bringup_core::client::{Client, Cx, Endpoint, Host, Input, StreamInput, Transmit, drive};
use bringup_core::error::ErrorKind;
use bringup_core::event_loop::{Ready, Registrar, SourceKey};
use bringup_core::platform::{Platform, PlatformError, UdpOptions};
use bringup_core::poll::{Interest, Readiness};
use bringup_core::time::{Instant, Utc};
use bringup_core::timer::{Owner, TimerKey};

use crate::parts;

/// How many datagrams one readiness takes from a socket before others have their turn.
const MAX_PER_READY: usize = 16;

/// Memory for one packet in each direction. 1472 octets is what an Ethernet frame carries of UDP.
#[derive(Debug)]
pub struct Buffers {
    receive: [u8; 2048],
    pub(crate) transmit: [u8; 1500],
}

impl Buffers {
    /// Fresh memory.
    pub const fn new() -> Self {
        Self { receive: [0; 2048], transmit: [0; 1500] }
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}

/// A client that keeps what it has said, and why it ignored something, to itself.
pub(crate) trait Discreet {
    /// Takes in what arrived, and a note of it if that is ignored.
    fn hear(&mut self, cx: &mut Cx<'_>, input: Input<'_>);

    /// Takes in what became of a send: what it thinks of that is nobody's business.
    fn learn(&mut self, cx: &mut Cx<'_>, input: Input<'_>);

    /// As of [`Client`].
    fn handle_timeout(&mut self, cx: &mut Cx<'_>);

    /// As of [`Client`].
    fn poll_transmit<'b>(&mut self, cx: &mut Cx<'_>, buffer: &'b mut [u8]) -> Option<Transmit<'b>>;

    /// Has it say something, if there is room to keep that. Whether it did.
    fn speak(&mut self) -> bool;

    /// As of [`Client`].
    fn poll_timeout(&self) -> Option<Instant>;

    /// Whether it has said something that nobody has taken yet.
    fn has_events(&self) -> bool;

    /// Whether there is room for something more.
    fn has_room(&self) -> bool;
}

impl Client for dyn Discreet + '_ {
    type Event = ();
    type Discard = ();

    fn handle_input(&mut self, cx: &mut Cx<'_>, input: Input<'_>) -> Result<(), ()> {
        self.learn(cx, input);
        Ok(())
    }

    fn handle_timeout(&mut self, cx: &mut Cx<'_>) {
        Discreet::handle_timeout(self, cx);
    }

    fn poll_transmit<'b>(&mut self, cx: &mut Cx<'_>, buffer: &'b mut [u8]) -> Option<Transmit<'b>> {
        Discreet::poll_transmit(self, cx, buffer)
    }

    fn poll_event(&mut self) -> Option<()> {
        self.speak().then_some(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Discreet::poll_timeout(self)
    }
}

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

/// A client's sockets and connections, its timer, and the loop.
pub(crate) struct Stage<'a, 'r, P: Platform> {
    pub(crate) registrar: &'a mut Registrar<'r, P>,
    pub(crate) sockets: &'a mut [Option<Socket<P::Handle>>],
    pub(crate) conns: &'a mut [Option<Connection<P::Handle>>],
    pub(crate) timer: Option<TimerKey>,
    /// What the timer is armed for: mostly it is the same from one call to the next.
    pub(crate) armed_for: &'a mut Option<Instant>,
    pub(crate) owner: Owner,
    pub(crate) interface: Option<u32>,
    /// As of [`Client`].
    pub(crate) measures_time: bool,
    /// The time of the call, for a client that does not measure time itself.
    pub(crate) now: Option<Instant>,
    /// Why the last socket was not opened for which there was no room, until that is told.
    pub(crate) no_room: &'a mut Option<P::Error>,
}

impl<P: Platform> Stage<'_, '_, P> {
    /// Drains the client after a call on it.
    pub(crate) fn drive(&mut self, client: &mut dyn Discreet, transmit: &mut [u8]) {
        let deadline = drive(client, self, transmit);
        let Some(timer) = self.timer.filter(|_| *self.armed_for != deadline) else { return };
        *self.armed_for = deadline;
        match deadline {
            Some(at) => self.registrar.set_timer(timer, at),
            None => self.registrar.clear_timer(timer),
        };
    }

    /// A call on the client begins, `at` if the time has just been read. Who does not measure time is
    /// given one reading for all that follows from it.
    #[inline(never)] // every call on a client begins with it, too
    pub(crate) fn begin(&mut self, at: Option<Instant>) {
        self.now = match self.measures_time {
            true => None,
            false => Some(at.unwrap_or_else(|| self.registrar.platform().now())),
        };
    }

    /// Passes on what the loop found ready. Whether it was for this client.
    pub(crate) fn handle(
        &mut self,
        client: &mut dyn Discreet,
        buffers: &mut Buffers,
        ready: &Ready,
    ) -> bool {
        match *ready {
            Ready::Timer { key, .. } if self.timer == Some(key) => {
                *self.armed_for = None;
                self.begin(None);
                client.handle_timeout(&mut self.cx());
                self.drive(client, &mut buffers.transmit);
                true
            }
            Ready::Source { key, readiness, .. } => {
                if let Some(socket) = number(self.sockets, |socket| socket.key == key) {
                    self.handle_socket(client, buffers, socket, key, readiness);
                } else if let Some(conn) = number(self.conns, |conn| conn.key == key && parts::TCP)
                {
                    self.handle_connection(client, buffers, conn, readiness);
                } else {
                    return false;
                }
                true
            }
            Ready::Timer { .. } => false,
        }
    }

    fn handle_socket(
        &mut self,
        client: &mut dyn Discreet,
        buffers: &mut Buffers,
        socket: u8,
        key: SourceKey,
        readiness: Readiness,
    ) {
        if readiness.invalid {
            // Somebody closed it behind our back; its number may be another's by now.
            if let Some(slot) = self.sockets.get_mut(usize::from(socket)) {
                *slot = None;
            }
            self.registrar.remove_source(key);
            let input = Input::SendFailed { socket, why: ErrorKind::NotFound };
            self.input(client, &mut buffers.transmit, input);
        } else {
            self.receive(client, buffers, socket, key);
        }
    }

    fn handle_connection(
        &mut self,
        client: &mut dyn Discreet,
        buffers: &mut Buffers,
        conn: u8,
        readiness: Readiness,
    ) {
        let Buffers { receive, transmit } = buffers;
        let slot = self.conns.get_mut(usize::from(conn)).and_then(Option::as_mut);
        let Some(Connection { handle, key, connected }) = slot else { return };
        let (handle, key) = (*handle, *key);
        if !*connected {
            // Sending nothing asks whether the connection stands.
            let stands = self.registrar.platform().tcp_send(handle, &[]).is_ok();
            if stands && self.registrar.set_interest(key, Interest::READ).is_ok() {
                *connected = true;
                self.stream_input(client, transmit, conn, StreamInput::Connected);
            } else {
                self.lose(client, transmit, conn);
            }
            return;
        }
        if readiness.writable && self.registrar.set_interest(key, Interest::READ).is_ok() {
            self.stream_input(client, transmit, conn, StreamInput::Writable);
        }
        let there =
            |slot: &Option<Connection<P::Handle>>| slot.as_ref().is_some_and(|c| c.key == key);
        if !self.conns.get(usize::from(conn)).is_some_and(there) || client.has_events() {
            return;
        }
        match self.registrar.platform().tcp_receive(handle, receive) {
            Ok(None) => {}
            Ok(Some(0)) | Err(_) => self.lose(client, transmit, conn),
            Ok(Some(length)) => {
                let bytes = receive.get(..length).unwrap_or(&[]);
                self.stream_input(client, transmit, conn, StreamInput::Bytes(bytes));
            }
        }
    }

    /// A connection has ended: closes it, then tells the client.
    fn lose(&mut self, client: &mut dyn Discreet, transmit: &mut [u8], conn: u8) {
        self.disconnect(conn);
        self.stream_input(client, transmit, conn, StreamInput::Closed);
    }

    fn stream_input(
        &mut self,
        client: &mut dyn Discreet,
        transmit: &mut [u8],
        conn: u8,
        input: StreamInput<'_>,
    ) {
        self.input(client, transmit, Input::Stream { conn, input });
    }

    fn receive(
        &mut self,
        client: &mut dyn Discreet,
        buffers: &mut Buffers,
        socket: u8,
        key: SourceKey,
    ) {
        let Buffers { receive: bytes, transmit } = buffers;
        for _ in 0..MAX_PER_READY {
            // The client may have closed it, or opened another, in the meantime.
            let slot = self.sockets.get(usize::from(socket)).and_then(Option::as_ref);
            let Some(Socket { handle, kind, .. }) = slot.filter(|s| s.key == key) else { return };
            let platform = self.registrar.platform();
            let received = match kind {
                Kind::Udp => platform.udp_receive(*handle, bytes).map(|received| {
                    received.map(|r| Input::Datagram {
                        socket,
                        from: r.from,
                        bytes: bytes.get(..r.length).unwrap_or(&[]),
                        received_at: r.at,
                    })
                }),
                Kind::Link => platform.link_receive(*handle, bytes).map(|received| {
                    received.map(|r| Input::Frame {
                        socket,
                        from: r.from,
                        ethertype: r.ethertype,
                        payload: bytes.get(..r.length).unwrap_or(&[]),
                        checksum: r.checksum,
                        received_at: r.at,
                    })
                }),
            };
            let input = match received {
                Ok(Some(input)) => input,
                Ok(None) => return,
                Err(error) => Input::SendFailed { socket, why: error.kind() },
            };
            self.input(client, transmit, input);
            if !client.has_room() {
                // What there is to be heard is to be taken first; the loop reports the socket again.
                return;
            }
        }
    }

    fn input(&mut self, client: &mut dyn Discreet, transmit: &mut [u8], input: Input<'_>) {
        // A datagram that is not stamped has brought the time of this moment.
        self.begin(match input {
            Input::Datagram { received_at, .. } => Some(received_at),
            _ => None,
        });
        client.hear(&mut self.cx(), input);
        self.drive(client, transmit);
    }

    /// Closes all sockets and connections.
    pub(crate) fn close_all(&mut self) {
        for number in 0..=u8::MAX {
            self.close(number);
            self.disconnect(number);
        }
    }

    fn close(&mut self, socket: u8) {
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
                let stamped = self.measures_time;
                let options = UdpOptions { local, peer, interface, broadcast: false, stamped };
                (platform.udp_open(&options), Kind::Udp)
            }
            Endpoint::Link { filter } => {
                let interface = self.interface.ok_or(ErrorKind::Invalid)?;
                (platform.link_open(interface, filter), Kind::Link)
            }
        };
        let handle = opened.map_err(|error| refused(self.no_room, error))?;
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

    fn disconnect(&mut self, conn: u8) {
        if !parts::TCP {
            return;
        }
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
        if !parts::TCP {
            return Err(ErrorKind::Unsupported);
        }
        self.disconnect(conn);
        let slot = self.conns.get_mut(usize::from(conn)).ok_or(ErrorKind::Invalid)?;
        let opened = self.registrar.platform().tcp_connect(to, interface.or(self.interface));
        let handle = opened.map_err(|error| refused(self.no_room, error))?;
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
        if !parts::TCP {
            return Err(ErrorKind::Unsupported);
        }
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

    fn handle_of(&self, socket: u8) -> Result<P::Handle, ErrorKind> {
        let socket = self.sockets.get(usize::from(socket)).and_then(Option::as_ref);
        socket.map(|socket| socket.handle).ok_or(ErrorKind::NotFound)
    }
}

impl<P: Platform> Host<()> for Stage<'_, '_, P> {
    fn cx(&mut self) -> Cx<'_> {
        cx_at(self.registrar, self.now)
    }

    fn transmit(&mut self, transmit: Transmit<'_>) -> Result<usize, ErrorKind> {
        match transmit {
            Transmit::Open { socket, endpoint } => self.open(socket, endpoint)?,
            Transmit::Close { socket } => self.close(socket),
            Transmit::Datagram { socket, to, bytes } => {
                let handle = self.handle_of(socket)?;
                self.registrar.platform().udp_send(handle, to, bytes).map_err(|e| e.kind())?;
            }
            Transmit::Frame { socket, to, ethertype, payload } => {
                let handle = self.handle_of(socket)?;
                let platform = self.registrar.platform();
                platform.link_send(handle, to, ethertype, payload).map_err(|e| e.kind())?;
            }
            Transmit::Connect { conn, to, interface } => self.connect(conn, to, interface)?,
            Transmit::Stream { conn, bytes } => return self.stream(conn, bytes),
            Transmit::Disconnect { conn } => self.disconnect(conn),
        }
        Ok(0)
    }

    fn event(&mut self, (): ()) {}
}

/// The platform opens nothing. Whether that is the network's doing is the client's to judge; a limit of this
/// machine is not.
fn refused<E: PlatformError>(no_room: &mut Option<E>, error: E) -> ErrorKind {
    let why = error.kind();
    if why == ErrorKind::Exhausted {
        *no_room = Some(error);
    }
    why
}

/// The context of one call at `now`, without the wall clock; where that is `None`, the one of this moment.
fn cx_at<'a, P: Platform>(registrar: &'a mut Registrar<'_, P>, now: Option<Instant>) -> Cx<'a> {
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

/// The number of the socket or connection that `is` holds for.
fn number<T>(slots: &[Option<T>], is: impl Fn(&T) -> bool) -> Option<u8> {
    let index = slots.iter().position(|slot| slot.as_ref().is_some_and(&is))?;
    u8::try_from(index).ok()
}
