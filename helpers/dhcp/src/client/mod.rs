//! The state machine: [`DhcpClient`].
//!
//! Four ideas hold it together.
//!
//! - **The lease is not the state.** An address holds until it expires, whatever the client is
//!   doing: the link may be down, a REBOOTING may go unanswered. So the lease stands beside
//!   `State`, expiry is looked at in one place, and so is the order of
//!   [`Event::Lost`] and [`Event::Bound`].
//! - **Sending is a property of the state.** A state says that a message is due;
//!   [`poll_transmit`](Client::poll_transmit) is the one place that sends it, if there is a socket
//!   and a token. Inputs cannot send.
//! - **Sockets follow the state.** What should be open is a function of the state; `poll_transmit`
//!   closes the difference.
//! - **A reply is an answer only to a question that went out.** Its xid, hardware address, server
//!   and address are bound to the exchange before anything in it is believed.

mod answer;
mod exchange;
mod progress;
mod reply;
mod send;
mod sockets;
mod state;
#[cfg(test)]
mod tests;

use core::net::Ipv4Addr;

use bringup_core::client::{Client, Cx, Input, Transmit};
use bringup_core::time::{Duration, Instant};

use self::exchange::Exchange;
use self::send::Draft;
use self::sockets::Sockets;
use self::state::{Rebooting, Releasing, Selecting, State};
use crate::bucket::Bucket;
use crate::config::Config;
use crate::counters::{Counters, Discard, Mismatch, Tally};
use crate::event::{Event, LostReason, Outbox};
use crate::frame;
use crate::lease::{Grant, Lease};
use crate::message::CLIENT_PORT;
use crate::vault::Vault;

pub use self::sockets::{LINK, UNICAST};
pub use self::state::StateName;

/// The most steps that one call of `handle_timeout` takes: after a suspend, T1 and T2 and expiry
/// may all have passed.
const STEPS_MAX: usize = 4;

/// How big a transmit buffer must be to hold any message, with the longest options there are.
pub const TRANSMIT_LEN: usize = 1472;

/// A DHCPv4 client of one interface.
///
/// Its verbs are [`start`](Self::start), [`stop`](Self::stop) and [`release`](Self::release), and
/// those of [`Client`]; after any of them, drive it.
pub struct DhcpClient<'m> {
    config: Config<'m>,
    state: State,
    /// The address that may be used, in whatever state.
    lease: Option<Grant>,
    vault: Vault<'m>,
    /// An address from before that DISCOVERs ask for.
    hint: Option<Ipv4Addr>,
    /// NAKs since the last lease, for the backoff.
    naks: u8,
    sockets: Sockets,
    bucket: Bucket,
    /// When the bucket that refused a send will have a token.
    blocked_until: Option<Instant>,
    outbox: Outbox,
    counters: Counters,
}

impl<'m> DhcpClient<'m> {
    /// A client that is stopped. `storage` keeps the options of the lease;
    /// [`STORAGE_LEN`](crate::lease::STORAGE_LEN) octets do for any, and what doesn't fit is
    /// counted and left out.
    pub const fn new(config: Config<'m>, storage: &'m mut [u8]) -> Self {
        Self {
            config,
            state: State::Stopped,
            lease: None,
            vault: Vault::new(storage),
            hint: None,
            naks: 0,
            sockets: Sockets::new(),
            bucket: Bucket::new(),
            blocked_until: None,
            outbox: Outbox::new(),
            counters: Counters::new(),
        }
    }

    /// The link is up: begin. With a lease that still holds, by asking for its confirmation
    /// (INIT-REBOOT, RFC 2131 §3.7). Does nothing if the client is running.
    pub fn start(&mut self, cx: &mut Cx<'_>) {
        self.start_from(cx, None);
    }

    /// Like [`start`](Self::start), with an address that an earlier run of the program had and
    /// whose lease has not expired: it is asked for first (INIT-REBOOT), which saves half of the
    /// messages. An address that no host can have, and one given beside a lease that holds, are
    /// ignored.
    pub fn start_with(&mut self, cx: &mut Cx<'_>, address: Ipv4Addr) {
        self.start_from(cx, Some(address).filter(|&a| reply::is_host_address(a)));
    }

    fn start_from(&mut self, cx: &mut Cx<'_>, remembered: Option<Ipv4Addr>) {
        if !matches!(self.state, State::Stopped) {
            return;
        }
        self.expire(cx.now);
        let reboot = self.lease.map(|lease| lease.address).or(remembered);
        let range = self.config.initial_delay_max.as_micros();
        if range == 0 {
            self.begin(cx, reboot);
        } else {
            let until = cx.now + Duration::from_micros(cx.rng.below(range).saturating_add(1));
            self.enter(State::Init { until, reboot });
        }
    }

    /// The link is lost, or the program ends without giving the lease back: nothing more is sent.
    ///
    /// The lease goes on to hold, and its clock to run, until it expires (RFC 2131 §3.7): the link
    /// may be back in a moment, and the address with it.
    pub fn stop(&mut self, cx: &mut Cx<'_>) {
        self.expire(cx.now);
        if matches!(self.state, State::Releasing(_)) {
            self.lose(LostReason::Released);
        }
        self.enter(State::Stopped);
    }

    /// Gives the lease back: one RELEASE, then [`Event::Lost`], and the client is stopped. The
    /// address must stay on the interface until that event. Without a lease, this is `stop`.
    pub fn release(&mut self, cx: &mut Cx<'_>) {
        self.expire(cx.now);
        let next = match self.lease {
            Some(lease) => State::Releasing(Releasing {
                xid: cx.rng.u32(),
                address: lease.address,
                server: lease.server_identifier,
            }),
            None => State::Stopped,
        };
        // Only an address that we still want is worth asking for again.
        self.hint = None;
        self.enter(next);
    }

    /// The lease that holds, if there is one.
    pub fn lease(&self) -> Option<Lease<'_>> {
        self.lease.map(|grant| Lease { grant, options: self.vault.options() })
    }

    /// Where the client stands.
    pub const fn state(&self) -> StateName {
        self.state.name()
    }

    /// What was counted since the client was made.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The one place where the state changes. The new state brings its deadline with it; what held
    /// the old one back is forgotten, but for the bucket.
    fn enter(&mut self, next: State) {
        self.blocked_until = None;
        self.state = next;
    }

    /// INIT or INIT-REBOOT, without further waiting.
    fn begin(&mut self, cx: &mut Cx<'_>, reboot: Option<Ipv4Addr>) {
        match reboot {
            Some(address) => {
                let exchange = Exchange::new(cx.rng, None);
                self.enter(State::Rebooting(Rebooting { exchange, address }));
            }
            None => self.discover(cx, None),
        }
    }

    /// A new DISCOVER; `began` if it goes on with an acquisition that was begun before.
    fn discover(&mut self, cx: &mut Cx<'_>, began: Option<Instant>) {
        let exchange = Exchange::new(cx.rng, began);
        self.enter(State::Selecting(Selecting { exchange, secs: 0, broadcast: false }));
    }

    /// The lease ends.
    fn lose(&mut self, why: LostReason) {
        if self.lease.take().is_some() {
            self.vault.clear();
            self.outbox.lost(why);
        }
    }
}

impl Client for DhcpClient<'_> {
    type Event = Event;
    type Discard = Discard;

    fn handle_input(&mut self, cx: &mut Cx<'_>, input: Input<'_>) -> Result<(), Discard> {
        let taken = match input {
            Input::Frame {
                socket: LINK,
                ethertype: frame::ETHERTYPE_IPV4,
                payload,
                checksum,
                ..
            } => match frame::parse(payload, CLIENT_PORT, checksum) {
                Ok(datagram) => self.receive(cx, datagram.bytes),
                Err(why) => Err(why.into()),
            },
            Input::Datagram { socket: UNICAST, bytes, .. } => self.receive(cx, bytes),
            Input::SendFailed { socket, .. } => {
                self.sockets.refused(socket);
                self.counters.add(Tally::SendFailed, 1);
                Ok(())
            }
            _ => Err(Mismatch::NotForUs.into()),
        };
        if let Err(why) = taken {
            self.counters.discard(why);
        }
        taken
    }

    fn handle_timeout(&mut self, cx: &mut Cx<'_>) {
        if self.blocked_until.is_some_and(|at| at <= cx.now) {
            self.blocked_until = None;
        }
        if self.expire(cx.now) {
            self.restart_if_bound(cx);
        }
        for _ in 0..STEPS_MAX {
            match self.state.deadline() {
                Some(at) if at <= cx.now => {
                    self.sockets.retry();
                    self.step(cx);
                }
                _ => break,
            }
        }
    }

    fn poll_transmit<'b>(&mut self, cx: &mut Cx<'_>, buffer: &'b mut [u8]) -> Option<Transmit<'b>> {
        let (link, unicast) = (self.state.needs_link(), self.state.needs_unicast());
        if let Some(change) = self.sockets.step(link, unicast) {
            return Some(change);
        }
        if !self.state.is_due() {
            return None;
        }
        let draft = Draft::of(&self.state, &self.config, self.hint, cx.now)?;
        if !self.may_send(cx, &draft) {
            return None;
        }
        let written = draft.write(&self.config, buffer);
        if written.is_err() {
            self.counters.add(Tally::BufferTooSmall, 1);
        }
        self.sent(cx, &draft, written.is_ok());
        written.ok()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.outbox.next()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let expiry = self.lease.and_then(|lease| lease.times).map(|times| times.expires_at);
        [self.state.deadline(), self.blocked_until, expiry].into_iter().flatten().min()
    }
}
