//! [`Driven`]: a sans-IO client with the sockets, the connections and the timer that it has on a loop.
//!
//! The client names its sockets and connections by small numbers; on the stage (`stage.rs`) those become
//! handles of the platform, watched by the loop. One timer follows the client's
//! [`poll_timeout`](Client::poll_timeout). After every call on the client
//! [`drive`](bringup_core::client::drive) is run, and nowhere else.

use core::net::SocketAddr;

use bringup_core::client::{Client, Cx, Host, Input, MAX_PER_DRIVE, Transmit};
use bringup_core::event_loop::{Ready, Registrar};
use bringup_core::platform::Platform;
use bringup_core::time::{Duration, Instant};
use bringup_core::timer::{NoSlot, Owner, TimerKey};

use crate::parts;
use crate::ring::Ring;
pub use crate::stage::Buffers;
use crate::stage::{Connection, Discreet, Socket, Stage};

/// How many ignored inputs are remembered until somebody asks; the clients count all of them.
const MAX_DISCARDS: usize = if parts::EXTRAS { 8 } else { 0 };

/// That there is no room for a socket is told no more often than this.
const NO_ROOM_INTERVAL: Duration = Duration::from_secs(60);

/// A client and what it has said.
struct Spoken<C: Client> {
    client: C,
    /// There is room for what one drive can bring; what does not fit stays with the client, so that none
    /// is lost.
    events: Ring<C::Event, MAX_PER_DRIVE>,
    /// The last inputs that were ignored, and who claims to have sent them; for those who ask.
    discards: Ring<(C::Discard, Option<SocketAddr>), MAX_DISCARDS>,
}

impl<C: Client<Event: Copy, Discard: Copy>> Discreet for Spoken<C> {
    fn hear(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        let from = match input {
            Input::Datagram { from, .. } => Some(from),
            _ => None,
        };
        // It is the client's to count, and changes nothing.
        let taken = self.client.handle_input(cx, input);
        if let Some(why) = taken.err().filter(|_| parts::EXTRAS) {
            self.discards.push((why, from));
        }
    }

    fn learn(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        let _ = self.client.handle_input(cx, input);
    }

    fn handle_timeout(&mut self, cx: &mut Cx<'_>) {
        self.client.handle_timeout(cx);
    }

    fn poll_transmit<'b>(&mut self, cx: &mut Cx<'_>, buffer: &'b mut [u8]) -> Option<Transmit<'b>> {
        self.client.poll_transmit(cx, buffer)
    }

    fn speak(&mut self) -> bool {
        let said = if self.has_room() { self.client.poll_event() } else { None };
        said.map(|event| self.events.push(event)).is_some()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.client.poll_timeout()
    }

    fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    fn has_room(&self) -> bool {
        self.events.room() > 0
    }
}

/// A client on a loop. Its socket numbers are below `SOCKETS`, those of its connections below `CONNS`.
pub struct Driven<C: Client, P: Platform, const SOCKETS: usize, const CONNS: usize = 0> {
    spoken: Spoken<C>,
    place: Place<P, SOCKETS, CONNS>,
}

/// What a client has on a loop.
struct Place<P: Platform, const SOCKETS: usize, const CONNS: usize> {
    sockets: [Option<Socket<P::Handle>>; SOCKETS],
    conns: [Option<Connection<P::Handle>>; CONNS],
    timer: Option<TimerKey>,
    armed_for: Option<Instant>,
    owner: Owner,
    /// The interface that its sockets are bound to.
    interface: Option<u32>,
    /// Why a socket was not opened, and when the like was told last.
    no_room: Option<P::Error>,
    told_no_room: Option<Instant>,
    /// As of [`Client`].
    measures_time: bool,
}

impl<P: Platform, const SOCKETS: usize, const CONNS: usize> Place<P, SOCKETS, CONNS> {
    #[inline(never)] // every call on a client begins with it
    fn stage<'a, 'r>(&'a mut self, registrar: &'a mut Registrar<'r, P>) -> Stage<'a, 'r, P> {
        Stage {
            registrar,
            sockets: &mut self.sockets,
            conns: &mut self.conns,
            timer: self.timer,
            armed_for: &mut self.armed_for,
            owner: self.owner,
            interface: self.interface,
            measures_time: self.measures_time,
            now: None,
            no_room: &mut self.no_room,
        }
    }
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
            spoken: Spoken { client, events: Ring::new(), discards: Ring::new() },
            place: Place {
                sockets: [const { None }; SOCKETS],
                conns: [const { None }; CONNS],
                timer: None,
                armed_for: None,
                owner,
                interface: None,
                no_room: None,
                told_no_room: None,
                measures_time: C::MEASURES_TIME,
            },
        }
    }

    /// Binds the sockets that are opened from now on to an interface.
    pub const fn set_interface(&mut self, interface: Option<u32>) {
        self.place.interface = interface;
    }

    /// Takes a timer of the loop for the client; nothing happens if it has one.
    pub fn register(&mut self, registrar: &mut Registrar<'_, P>) -> Result<(), NoSlot> {
        if self.place.timer.is_none() {
            self.place.timer = Some(registrar.add_timer(self.place.owner)?);
        }
        Ok(())
    }

    /// The client, to be looked at.
    pub const fn client(&self) -> &C {
        &self.spoken.client
    }

    /// The client before it is driven for the first time, to be set up.
    pub(crate) const fn client_mut(&mut self) -> &mut C {
        &mut self.spoken.client
    }

    /// Calls the client, then drives it.
    pub fn call<R>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        buffers: &mut Buffers,
        f: impl FnOnce(&mut C, &mut Cx<'_>) -> R,
    ) -> R {
        let mut stage = self.place.stage(registrar);
        stage.begin(None);
        let result = f(&mut self.spoken.client, &mut stage.cx());
        stage.drive(&mut self.spoken, &mut buffers.transmit);
        result
    }

    /// What the client has said. It may be called on for each event, as to release what it is about.
    pub fn next_event(&mut self) -> Option<C::Event> {
        self.spoken.events.pop().or_else(|| self.spoken.client.poll_event())
    }

    /// Whether [`next_event`](Self::next_event) has something.
    pub const fn has_events(&self) -> bool {
        !self.spoken.events.is_empty()
    }

    /// Why a socket of the client was not opened, where a limit of this machine was reached
    /// ([`ErrorKind::Exhausted`](bringup_core::error::ErrorKind::Exhausted)): whoever it asks has no part in
    /// its silence. At most one in a minute.
    pub fn next_no_room(&mut self, now: Instant) -> Option<P::Error> {
        let error = self.place.no_room.take()?;
        let is_due = self.place.told_no_room.is_none_or(|at| now >= at + NO_ROOM_INTERVAL);
        if is_due {
            self.place.told_no_room = Some(now);
        }
        Some(error).filter(|_| is_due)
    }

    /// Passes on what the loop found ready. Whether it was for this client.
    pub fn handle(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        buffers: &mut Buffers,
        ready: &Ready,
    ) -> bool {
        self.place.stage(registrar).handle(&mut self.spoken, buffers, ready)
    }

    /// An input that was ignored, why, and who claims to have sent it.
    pub fn next_discard(&mut self) -> Option<(C::Discard, Option<SocketAddr>)> {
        self.spoken.discards.pop()
    }

    /// Closes its sockets and connections and gives its timer back.
    pub fn close(&mut self, registrar: &mut Registrar<'_, P>) {
        self.place.stage(registrar).close_all();
        if let Some(timer) = self.place.timer.take() {
            registrar.remove_timer(timer);
            self.place.armed_for = None;
        }
    }
}
