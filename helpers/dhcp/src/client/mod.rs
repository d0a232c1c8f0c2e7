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

mod reply;
mod send;
mod sockets;
mod state;
#[cfg(test)]
mod tests;

use core::net::Ipv4Addr;

use bringup_core::client::{Client, Cx, Input, Transmit};
use bringup_core::time::{Duration, Instant};

use self::reply::Reply;
use self::send::Draft;
use self::sockets::Sockets;
use self::state::{
    Exchange, Offer, Rebinding, Rebooting, Releasing, Renewing, Requesting, Selecting, State,
    renewal_wait,
};
use crate::bucket::Bucket;
use crate::code::MessageType;
use crate::config::Config;
use crate::counters::{Counters, Discard, Mismatch, Tally};
use crate::event::{Event, LostReason, Outbox};
use crate::frame;
use crate::lease::{Grant, Lease};
use crate::message::CLIENT_PORT;
use crate::retry;
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

    /// RFC 2131 §4.4.5: at expiry the client MUST stop using the address. Whether that happened.
    fn expire(&mut self, now: Instant) -> bool {
        let Some(over) = self.lease.filter(|lease| lease.is_over(now)) else { return false };
        self.hint = Some(over.address);
        self.lose(LostReason::Expired);
        true
    }

    /// The lease expired while the state went by it.
    fn restart_if_bound(&mut self, cx: &mut Cx<'_>) {
        match self.state {
            State::Bound { .. } | State::Renewing(_) | State::Rebinding(_) => {
                self.discover(cx, None);
            }
            State::Releasing(_) => self.enter(State::Stopped),
            _ => {}
        }
    }

    /// The deadline of the state has come.
    fn step(&mut self, cx: &mut Cx<'_>) {
        let profile = self.config.profile;
        match self.state {
            State::Stopped | State::Releasing(_) => {}
            State::Init { reboot, .. } => self.begin(cx, reboot),
            State::Selecting(s) => {
                if s.exchange.sends == profile.silent_sends() {
                    self.outbox.no_server();
                }
                self.send_again();
            }
            State::Requesting(r) if r.exchange.sends >= profile.requests() => {
                // RFC 2131 §3.1 step 5: INIT, and the user SHOULD be told.
                self.outbox.no_server();
                self.discover(cx, r.exchange.began);
            }
            State::Rebooting(r) if r.exchange.sends >= profile.reboots() => {
                // Silence is no refusal: the server may just not know us (§4.3.2).
                self.hint = Some(r.address);
                self.discover(cx, r.exchange.began);
            }
            State::Requesting(_) | State::Rebooting(_) | State::Rebinding(_) => self.send_again(),
            State::Bound { times } => match (times, self.lease) {
                (Some(times), Some(lease)) => {
                    let (address, server) = (lease.address, lease.server_identifier);
                    let exchange = Exchange::new(cx.rng, None);
                    self.enter(State::Renewing(Renewing { exchange, address, server, times }));
                }
                _ => self.discover(cx, None),
            },
            State::Renewing(r) if r.times.rebind_at <= cx.now => {
                let exchange = Exchange::new(cx.rng, r.exchange.began);
                let (address, times) = (r.address, r.times);
                self.enter(State::Rebinding(Rebinding { exchange, address, times }));
            }
            State::Renewing(_) => self.send_again(),
        }
    }

    fn send_again(&mut self) {
        if let Some(exchange) = self.state.exchange_mut() {
            exchange.send_again();
        }
    }

    /// A message has gone out, or could not: arms the next deadline.
    fn sent(&mut self, cx: &mut Cx<'_>, draft: &Draft, went_out: bool) {
        let (profile, now) = (self.config.profile, cx.now);
        match &mut self.state {
            State::Selecting(s) => {
                s.secs = draft.header.secs;
                s.broadcast = draft.header.flags != 0;
                s.exchange.sent(now, profile.wait(s.exchange.sends, cx.rng), went_out);
            }
            State::Requesting(r) => {
                let is_last = r.exchange.sends.saturating_add(1) >= profile.requests();
                let wait = if is_last {
                    profile.last_wait(cx.rng)
                } else {
                    profile.wait(r.exchange.sends, cx.rng)
                };
                r.exchange.sent(now, wait, went_out);
            }
            State::Rebooting(r) => {
                r.exchange.sent(now, profile.wait(r.exchange.sends, cx.rng), went_out);
            }
            State::Renewing(r) => {
                r.exchange.sent(now, renewal_wait(now, r.times.rebind_at), went_out);
            }
            State::Rebinding(r) => {
                r.exchange.sent(now, renewal_wait(now, r.times.expires_at), went_out);
            }
            State::Releasing(_) => {
                self.lose(LostReason::Released);
                self.enter(State::Stopped);
            }
            State::Stopped | State::Init { .. } | State::Bound { .. } => {}
        }
        if went_out {
            let tally = match draft.kind {
                MessageType::Discover => Tally::SentDiscover,
                MessageType::Release => Tally::SentRelease,
                _ => Tally::SentRequest,
            };
            self.counters.add(tally, 1);
        }
    }

    /// Whether the message that is due may go out now.
    fn may_send(&mut self, cx: &mut Cx<'_>, draft: &Draft) -> bool {
        if !self.sockets.is_open(draft.socket()) {
            self.sent(cx, draft, false);
            return false;
        }
        if let Err(until) = self.bucket.take(cx.now) {
            self.blocked_until = Some(until);
            self.counters.add(Tally::Throttled, 1);
            return false;
        }
        true
    }

    fn receive(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) -> Result<(), Discard> {
        // An answer that comes in the very moment of expiry is too late: the timeout that takes the
        // address away is due.
        let is_late = self.lease.is_some_and(|lease| lease.is_over(cx.now));
        let asked = self.state.exchange().filter(|e| e.first_sent.is_some() && !is_late);
        let reply = Reply::check(bytes, &self.config, asked.map(|e| e.xid))?;
        let requested_at = asked.and_then(|e| e.first_sent).unwrap_or(cx.now);
        self.take(cx, &reply, requested_at).map_err(Discard::from)
    }

    /// A reply to our exchange: whether this state waits for it, from this server.
    fn take(
        &mut self,
        cx: &mut Cx<'_>,
        reply: &Reply<'_>,
        requested_at: Instant,
    ) -> Result<(), Mismatch> {
        use MessageType::{Ack, Nak, Offer as Offered};
        let from = |server: Ipv4Addr| {
            if reply.server == server { Ok(()) } else { Err(Mismatch::WrongServer) }
        };
        match (self.state, reply.kind) {
            (State::Selecting(s), Offered) => self.take_offer(s, reply),
            // RFC 4039 §3.1: only if we asked for it, and it says that it is that.
            (State::Selecting(_), Ack) if self.config.rapid_commit && reply.rapid_commit => {
                self.take_ack(cx, reply, requested_at, None)
            }
            (State::Requesting(r), Ack) => {
                from(r.offer.server)?;
                self.take_ack(cx, reply, requested_at, Some(r.offer.address))
            }
            (State::Requesting(r), Nak) => {
                from(r.offer.server)?;
                self.take_nak(cx, reply)
            }
            // §4.4.2: any server may answer here, and so may refuse.
            (State::Rebooting(r), Ack) => self.take_ack(cx, reply, requested_at, Some(r.address)),
            (State::Renewing(r), Ack) => {
                from(r.server)?;
                self.take_ack(cx, reply, requested_at, None)
            }
            (State::Renewing(r), Nak) => {
                from(r.server)?;
                self.take_nak(cx, reply)
            }
            (State::Rebinding(_), Ack) => self.take_ack(cx, reply, requested_at, None),
            (State::Rebooting(_) | State::Rebinding(_), Nak) => self.take_nak(cx, reply),
            _ => Err(Mismatch::WrongMessageType),
        }
    }

    fn take_offer(&mut self, s: Selecting, reply: &Reply<'_>) -> Result<(), Mismatch> {
        let (address, _) = reply.terms()?;
        let offer = Offer { address, server: reply.server };
        self.counters.add(Tally::ReceivedOffer, 1);
        // Table 5: the REQUEST has the OFFER's xid.
        let exchange = Exchange::with_xid(s.exchange.xid, s.exchange.began);
        let (secs, broadcast) = (s.secs, s.broadcast);
        self.enter(State::Requesting(Requesting { exchange, offer, secs, broadcast }));
        Ok(())
    }

    /// An ACK from a server that may give one; `expected` is the address that it must be for.
    fn take_ack(
        &mut self,
        cx: &mut Cx<'_>,
        reply: &Reply<'_>,
        requested_at: Instant,
        expected: Option<Ipv4Addr>,
    ) -> Result<(), Mismatch> {
        let (address, terms) = reply.terms()?;
        if expected.is_some_and(|expected| expected != address) {
            return Err(Mismatch::WrongYiaddr);
        }
        let times =
            terms.times(requested_at, cx.now, cx.rng).map_err(|_| Mismatch::LeaseTooShort)?;
        self.counters.add(Tally::ReceivedAck, 1);
        // §4.4.5 says nothing about another address in a renewal: it is a new lease, not that one.
        let is_same = self.lease.is_some_and(|lease| lease.address == address);
        if !is_same {
            self.lose(LostReason::AddressChanged);
        }
        let stored = self.vault.store(&reply.message);
        self.counters.add(Tally::OptionsDropped, stored.dropped);
        self.counters.add(Tally::OptionsMalformed, stored.malformed);
        self.lease = Some(Grant { address, server_identifier: reply.server, requested_at, times });
        if is_same {
            self.outbox.renewed(stored.changed);
        } else {
            self.outbox.bound();
        }
        self.hint = None;
        self.naks = 0;
        self.enter(State::Bound { times });
        Ok(())
    }

    /// A NAK from a server that may refuse: INIT, after a while (rule 12).
    fn take_nak(&mut self, cx: &mut Cx<'_>, reply: &Reply<'_>) -> Result<(), Mismatch> {
        self.counters.add(Tally::ReceivedNak, 1);
        self.outbox.nak(reply.server);
        self.lose(LostReason::Nak);
        self.hint = None;
        self.naks = self.naks.saturating_add(1);
        let until = cx.now + retry::nak_backoff(self.naks);
        self.enter(State::Init { until, reboot: None });
        Ok(())
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
