//! [`Driven`]: a sans-IO client with the sockets and the timer that it has on a loop.
//!
//! The client names its sockets by small numbers; here those become handles of the platform, watched
//! by the loop. One timer follows the client's [`poll_timeout`](Client::poll_timeout). After every
//! call on the client [`drive`] is run, and nowhere else.

use bringup_core::client::{Client, Cx, Endpoint, Host, Input, MAX_PER_DRIVE, Transmit, drive};
use bringup_core::error::ErrorKind;
use bringup_core::event_loop::{Ready, Registrar, SourceKey};
use bringup_core::platform::{Platform, PlatformError, UdpOptions};
use bringup_core::poll::Interest;
use bringup_core::timer::{NoSlot, Owner, TimerKey};

use crate::ring::Ring;

/// How many datagrams one readiness takes from a socket before others have their turn.
const MAX_PER_READY: usize = 16;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Udp,
    Link,
}

struct Socket<H> {
    handle: H,
    key: SourceKey,
    kind: Kind,
}

/// A client on a loop. Its socket numbers are below `SOCKETS`.
pub struct Driven<C: Client, P: Platform, const SOCKETS: usize> {
    client: C,
    sockets: [Option<Socket<P::Handle>>; SOCKETS],
    timer: Option<TimerKey>,
    owner: Owner,
    /// The interface that its sockets are bound to.
    interface: Option<u32>,
    /// As many as one drive can bring, so that none is lost: they are taken before the next.
    events: Ring<C::Event, MAX_PER_DRIVE>,
}

/// A client's sockets, its events, and the loop, while the client is being driven.
struct Stage<'a, 'r, E, P: Platform> {
    registrar: &'a mut Registrar<'r, P>,
    sockets: &'a mut [Option<Socket<P::Handle>>],
    events: &'a mut Ring<E, MAX_PER_DRIVE>,
    owner: Owner,
    interface: Option<u32>,
}

impl<E: Copy, P: Platform> Stage<'_, '_, E, P> {
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
            Endpoint::Udp { local, peer } => {
                let interface = self.interface;
                let options = UdpOptions { local, peer, interface, broadcast: false };
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

    fn handle(&self, socket: u8) -> Result<P::Handle, ErrorKind> {
        let socket = self.sockets.get(usize::from(socket)).and_then(Option::as_ref);
        socket.map(|socket| socket.handle).ok_or(ErrorKind::NotFound)
    }
}

impl<E: Copy, P: Platform> Host<E> for Stage<'_, '_, E, P> {
    fn cx(&mut self) -> Cx<'_> {
        cx(self.registrar)
    }

    fn transmit(&mut self, transmit: Transmit<'_>) -> Result<(), ErrorKind> {
        match transmit {
            Transmit::Open { socket, endpoint } => self.open(socket, endpoint),
            Transmit::Close { socket } => {
                self.close(socket);
                Ok(())
            }
            Transmit::Datagram { socket, to, bytes } => {
                let handle = self.handle(socket)?;
                self.registrar.platform().udp_send(handle, to, bytes).map_err(|e| e.kind())
            }
            Transmit::Frame { socket, to, ethertype, payload } => {
                let handle = self.handle(socket)?;
                let platform = self.registrar.platform();
                platform.link_send(handle, to, ethertype, payload).map_err(|e| e.kind())
            }
            Transmit::Connect { .. } | Transmit::Stream { .. } | Transmit::Disconnect { .. } => {
                Err(ErrorKind::Unsupported)
            }
        }
    }

    fn event(&mut self, event: E) {
        self.events.push(event);
    }
}

/// The context of one call: the clocks are read for it, since a client takes the time of its sends
/// from here.
fn cx<'a, P: Platform>(registrar: &'a mut Registrar<'_, P>) -> Cx<'a> {
    let platform = registrar.platform();
    let (now, utc) = (platform.now(), platform.utc());
    Cx { now, utc, rng: platform }
}

impl<C, P, const SOCKETS: usize> Driven<C, P, SOCKETS>
where
    C: Client,
    C::Event: Copy,
    P: Platform,
{
    /// A client that has no place on a loop yet.
    pub const fn new(client: C, owner: Owner) -> Self {
        Self {
            client,
            sockets: [const { None }; SOCKETS],
            timer: None,
            owner,
            interface: None,
            events: Ring::new(),
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

    /// Calls the client, then drives it.
    pub fn call<R>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        buffers: &mut Buffers,
        f: impl FnOnce(&mut C, &mut Cx<'_>) -> R,
    ) -> R {
        self.call_with(registrar, &mut buffers.transmit, f)
    }

    fn call_with<R>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        transmit: &mut [u8],
        f: impl FnOnce(&mut C, &mut Cx<'_>) -> R,
    ) -> R {
        let result = f(&mut self.client, &mut cx(registrar));
        self.drive(registrar, transmit);
        result
    }

    /// What the client has said; to be taken after each call, before the next.
    pub fn next_event(&mut self) -> Option<C::Event> {
        self.events.pop()
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
                self.call(registrar, buffers, C::handle_timeout);
                true
            }
            Ready::Source { key, readiness, .. } => {
                let of_key =
                    |s: &Option<Socket<P::Handle>>| s.as_ref().is_some_and(|s| s.key == key);
                let Some(index) = self.sockets.iter().position(of_key) else { return false };
                let socket = u8::try_from(index).unwrap_or(u8::MAX);
                if readiness.invalid {
                    // Somebody closed it behind our back; its number may be another's by now.
                    self.sockets[index] = None;
                    registrar.remove_source(key);
                    let why = ErrorKind::NotFound;
                    let input = Input::SendFailed { socket, why };
                    self.input(registrar, &mut buffers.transmit, input);
                } else {
                    self.receive(registrar, buffers, socket, key);
                }
                true
            }
            Ready::Timer { .. } => false,
        }
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
            if self.has_events() {
                // They are to be taken first; the loop reports the socket again.
                return;
            }
        }
    }

    fn input(&mut self, registrar: &mut Registrar<'_, P>, transmit: &mut [u8], input: Input<'_>) {
        // A discard is the client's to count; it changes nothing.
        let _ = self.call_with(registrar, transmit, |client, cx| client.handle_input(cx, input));
    }

    fn drive(&mut self, registrar: &mut Registrar<'_, P>, transmit: &mut [u8]) {
        let Self { client, sockets, timer, owner, interface, events } = self;
        let mut stage = Stage {
            registrar,
            sockets: sockets.as_mut_slice(),
            events,
            owner: *owner,
            interface: *interface,
        };
        let deadline = drive(client, &mut stage, transmit);
        if let Some(timer) = *timer {
            match deadline {
                Some(at) => registrar.set_timer(timer, at),
                None => registrar.clear_timer(timer),
            };
        }
    }

    /// Closes its sockets and gives its timer back.
    pub fn close(&mut self, registrar: &mut Registrar<'_, P>) {
        for slot in &mut self.sockets {
            if let Some(Socket { handle, key, .. }) = slot.take() {
                registrar.remove_source(key);
                registrar.platform().close(handle);
            }
        }
        if let Some(timer) = self.timer.take() {
            registrar.remove_timer(timer);
        }
    }
}
