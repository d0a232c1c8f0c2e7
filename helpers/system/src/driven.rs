//! [`Driven`]: a sans-IO client with the sockets, the connections and the timer that it has on a loop.
//!
//! The client names its sockets and connections by small numbers; on the stage (`stage.rs`) those become
//! handles of the platform, watched by the loop. One timer follows the client's
//! [`poll_timeout`](Client::poll_timeout). After every call on the client [`drive`] is run, and
//! nowhere else.

use core::net::SocketAddr;

use bringup_core::client::{Client, Cx, Input, MAX_PER_DRIVE, StreamInput, drive};
use bringup_core::error::ErrorKind;
use bringup_core::event_loop::{Ready, Registrar, SourceKey};
use bringup_core::platform::{Platform, PlatformError};
use bringup_core::poll::{Interest, Readiness};
use bringup_core::time::Instant;
use bringup_core::timer::{NoSlot, Owner, TimerKey};

use crate::ring::Ring;
use crate::stage::{Connection, Kind, Socket, Stage, cx_at};

/// How many datagrams one readiness takes from a socket before others have their turn.
const MAX_PER_READY: usize = 16;

/// How many ignored inputs are remembered until somebody asks; the clients count all of them.
const MAX_DISCARDS: usize = 8;

/// Memory for one packet in each direction. 1472 octets is what an Ethernet frame carries of UDP.
#[derive(Debug)]
pub struct Buffers {
    receive: [u8; 2048],
    transmit: [u8; 1500],
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

/// A client on a loop. Its socket numbers are below `SOCKETS`, those of its connections below `CONNS`.
pub struct Driven<C: Client, P: Platform, const SOCKETS: usize, const CONNS: usize = 0> {
    client: C,
    sockets: [Option<Socket<P::Handle>>; SOCKETS],
    conns: [Option<Connection<P::Handle>>; CONNS],
    timer: Option<TimerKey>,
    /// What the timer is armed for: mostly it is the same from one call to the next.
    armed_for: Option<Instant>,
    owner: Owner,
    /// The interface that its sockets are bound to.
    interface: Option<u32>,
    /// What the client has said. There is room for what one drive can bring; what does not fit stays
    /// with the client, so that none is lost.
    events: Ring<C::Event, MAX_PER_DRIVE>,
    /// The last inputs that were ignored, and who claims to have sent them; for those who ask.
    discards: Ring<(C::Discard, Option<SocketAddr>), MAX_DISCARDS>,
}

impl<C, P, const SOCKETS: usize, const CONNS: usize> Driven<C, P, SOCKETS, CONNS>
where
    C: Client,
    C::Event: Copy,
    C::Discard: Copy,
    P: Platform,
{
    /// A client that has no place on a loop yet.
    pub const fn new(client: C, owner: Owner) -> Self {
        Self {
            client,
            sockets: [const { None }; SOCKETS],
            conns: [const { None }; CONNS],
            timer: None,
            armed_for: None,
            owner,
            interface: None,
            events: Ring::new(),
            discards: Ring::new(),
        }
    }

    /// Binds the sockets that are opened from now on to an interface.
    pub const fn set_interface(&mut self, interface: Option<u32>) {
        self.interface = interface;
    }

    /// Takes a timer of the loop for the client; nothing happens if it has one.
    pub fn register(&mut self, registrar: &mut Registrar<'_, P>) -> Result<(), NoSlot> {
        if self.timer.is_none() {
            self.timer = Some(registrar.add_timer(self.owner)?);
        }
        Ok(())
    }

    /// The client, to be looked at.
    pub const fn client(&self) -> &C {
        &self.client
    }

    /// The client before it is driven for the first time, to be set up.
    pub(crate) const fn client_mut(&mut self) -> &mut C {
        &mut self.client
    }

    /// Calls the client, then drives it.
    pub fn call<R>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        buffers: &mut Buffers,
        f: impl FnOnce(&mut C, &mut Cx<'_>) -> R,
    ) -> R {
        self.call_with(registrar, &mut buffers.transmit, None, f)
    }

    /// `at` is the time, if it has just been read.
    fn call_with<R>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        transmit: &mut [u8],
        at: Option<Instant>,
        f: impl FnOnce(&mut C, &mut Cx<'_>) -> R,
    ) -> R {
        // Who does not measure time is given one reading for all that follows from the call.
        let now = match C::MEASURES_TIME {
            true => None,
            false => Some(at.unwrap_or_else(|| registrar.platform().now())),
        };
        let result = f(&mut self.client, &mut cx_at(registrar, now));
        self.drive(registrar, transmit, now);
        result
    }

    /// What the client has said. It may be called on for each event, as to release what it is about.
    pub fn next_event(&mut self) -> Option<C::Event> {
        self.events.pop().or_else(|| self.client.poll_event())
    }

    /// Whether [`next_event`](Self::next_event) has something.
    pub const fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Passes on what the loop found ready. Whether it was for this client.
    pub fn handle(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        buffers: &mut Buffers,
        ready: &Ready,
    ) -> bool {
        match *ready {
            Ready::Timer { key, .. } if self.timer == Some(key) => {
                self.armed_for = None;
                self.call(registrar, buffers, C::handle_timeout);
                true
            }
            Ready::Source { key, readiness, .. } => {
                if let Some(socket) = number(&self.sockets, |socket| socket.key == key) {
                    self.handle_socket(registrar, buffers, socket, key, readiness);
                } else if let Some(conn) = number(&self.conns, |conn| conn.key == key) {
                    self.handle_connection(registrar, buffers, conn, readiness);
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
        registrar: &mut Registrar<'_, P>,
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
            registrar.remove_source(key);
            let input = Input::SendFailed { socket, why: ErrorKind::NotFound };
            self.input(registrar, &mut buffers.transmit, input);
        } else {
            self.receive(registrar, buffers, socket, key);
        }
    }

    fn handle_connection(
        &mut self,
        registrar: &mut Registrar<'_, P>,
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
            let stands = registrar.platform().tcp_send(handle, &[]).is_ok();
            if stands && registrar.set_interest(key, Interest::READ).is_ok() {
                *connected = true;
                self.stream(registrar, transmit, conn, StreamInput::Connected);
            } else {
                self.lose(registrar, transmit, conn);
            }
            return;
        }
        if readiness.writable && registrar.set_interest(key, Interest::READ).is_ok() {
            self.stream(registrar, transmit, conn, StreamInput::Writable);
        }
        let there =
            |slot: &Option<Connection<P::Handle>>| slot.as_ref().is_some_and(|c| c.key == key);
        if !self.conns.get(usize::from(conn)).is_some_and(there) || self.has_events() {
            return;
        }
        match registrar.platform().tcp_receive(handle, receive) {
            Ok(None) => {}
            Ok(Some(0)) | Err(_) => self.lose(registrar, transmit, conn),
            Ok(Some(length)) => {
                let bytes = receive.get(..length).unwrap_or(&[]);
                self.stream(registrar, transmit, conn, StreamInput::Bytes(bytes));
            }
        }
    }

    /// A connection has ended: closes it, then tells the client.
    fn lose(&mut self, registrar: &mut Registrar<'_, P>, transmit: &mut [u8], conn: u8) {
        self.stage(registrar).disconnect(conn);
        self.stream(registrar, transmit, conn, StreamInput::Closed);
    }

    fn stream(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        transmit: &mut [u8],
        conn: u8,
        input: StreamInput<'_>,
    ) {
        self.input(registrar, transmit, Input::Stream { conn, input });
    }

    fn receive(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        buffers: &mut Buffers,
        socket: u8,
        key: SourceKey,
    ) {
        let Buffers { receive: bytes, transmit } = buffers;
        for _ in 0..MAX_PER_READY {
            // The client may have closed it, or opened another, in the meantime.
            let slot = self.sockets.get(usize::from(socket)).and_then(Option::as_ref);
            let Some(Socket { handle, kind, .. }) = slot.filter(|s| s.key == key) else { return };
            let platform = registrar.platform();
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
            self.input(registrar, transmit, input);
            if self.events.room() == 0 {
                // What there is to be heard is to be taken first; the loop reports the socket again.
                return;
            }
        }
    }

    fn input(&mut self, registrar: &mut Registrar<'_, P>, transmit: &mut [u8], input: Input<'_>) {
        let from = match input {
            Input::Datagram { from, .. } => Some(from),
            _ => None,
        };
        // A datagram that is not stamped has brought the time of this moment.
        let at = match input {
            Input::Datagram { received_at, .. } => Some(received_at),
            _ => None,
        };
        // It is the client's to count, and changes nothing.
        let taken =
            self.call_with(registrar, transmit, at, |client, cx| client.handle_input(cx, input));
        if let Err(why) = taken {
            self.discards.push((why, from));
        }
    }

    /// An input that was ignored, why, and who claims to have sent it.
    pub fn next_discard(&mut self) -> Option<(C::Discard, Option<SocketAddr>)> {
        self.discards.pop()
    }

    fn drive(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        transmit: &mut [u8],
        now: Option<Instant>,
    ) {
        let Self { client, sockets, conns, owner, interface, events, .. } = self;
        let (owner, interface) = (*owner, *interface);
        let mut stage = Stage { registrar, sockets, conns, events, owner, interface, now };
        let deadline = drive(client, &mut stage, transmit);
        let Some(timer) = self.timer.filter(|_| self.armed_for != deadline) else { return };
        self.armed_for = deadline;
        match deadline {
            Some(at) => registrar.set_timer(timer, at),
            None => registrar.clear_timer(timer),
        };
    }

    fn stage<'a, 'r>(
        &'a mut self,
        registrar: &'a mut Registrar<'r, P>,
    ) -> Stage<'a, 'r, C::Event, P> {
        let Self { sockets, conns, owner, interface, events, .. } = self;
        let (owner, interface) = (*owner, *interface);
        Stage { registrar, sockets, conns, events, owner, interface, now: None }
    }

    /// Closes its sockets and connections and gives its timer back.
    pub fn close(&mut self, registrar: &mut Registrar<'_, P>) {
        let mut stage = self.stage(registrar);
        for number in 0..=u8::MAX {
            stage.close(number);
            stage.disconnect(number);
        }
        if let Some(timer) = self.timer.take() {
            registrar.remove_timer(timer);
            self.armed_for = None;
        }
    }
}

/// The number of the socket or connection that `is` holds for.
fn number<T>(slots: &[Option<T>], is: impl Fn(&T) -> bool) -> Option<u8> {
    let index = slots.iter().position(|slot| slot.as_ref().is_some_and(&is))?;
    u8::try_from(index).ok()
}
