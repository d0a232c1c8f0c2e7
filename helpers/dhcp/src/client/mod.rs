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
//!
//! Read `state` first, then `answer` (what a reply does) and `progress` (what time does); `send` and
//! `reply` are the two ends of the wire. `claim`, `router` and `link_local` are what is done by ARP,
//! brought together in `neighbour`; `memory` is what outlives a link or a process, `force` the one
//! message that a server may begin with.

mod answer;
mod claim;
mod exchange;
mod force;
mod link_local;
mod memory;
mod neighbour;
mod progress;
mod reply;
mod router;
mod send;
mod sockets;
mod state;
#[cfg(test)]
mod tests;

use core::net::Ipv4Addr;

use bringup_core::client::{Client, Cx, Input, Transmit};
use bringup_core::time::{Duration, Instant};

use self::claim::Claim;
use self::exchange::Exchange;
use self::force::Nonce;
use self::link_local::LinkLocal;
use self::router::Inquiry;
use self::send::Draft;
use self::sockets::{Sockets, Wanted};
use self::state::{Informing, Rebooting, Releasing, Selecting, State, Then};
use crate::arp::ETHERTYPE_ARP;
use crate::bucket::Bucket;
use crate::config::Config;
use crate::counters::{Counters, Discard, Mismatch, Tally};
use crate::event::{Event, LostReason, Outbox};
use crate::frame;
use crate::lease::{Grant, Lease};
use crate::message::CLIENT_PORT;
use crate::offer::{Doubt, Offers};
use crate::route::is_host_address;
use crate::snapshot::KnownRouter;
use crate::text::Text;
use crate::vault::Vault;

pub use self::sockets::{ARP, LINK, UNICAST};
pub use self::state::StateName;

/// The most steps that one call of `handle_timeout` takes: after a suspend, T1 and T2 and expiry
/// may all have passed.
const STEPS_MAX: usize = 4;

/// How big a transmit buffer must be to hold any message, with the longest options there are.
pub const TRANSMIT_LEN: usize = 1472;

/// A DHCPv4 client of one interface.
///
/// Its verbs are [`start`](Self::start), [`link_up`](Self::link_up), [`stop`](Self::stop),
/// [`release`](Self::release) and [`inform`](Self::inform), and those of [`Client`]; after any of
/// them, drive it.
pub struct DhcpClient<'m> {
    config: Config<'m>,
    state: State,
    /// The address that may be used, in whatever state.
    lease: Option<Grant>,
    vault: Vault<'m>,
    /// What an INFORM brought. The vault holds its options then; there is no lease beside it.
    informed: Option<Grant>,
    /// An address from before that DISCOVERs ask for.
    hint: Option<Ipv4Addr>,
    /// Offers that were not taken, or not yet.
    offers: Offers,
    /// Whose offer was no good last time.
    doubt: Option<Doubt>,
    /// The address that is being looked after.
    claim: Option<Claim>,
    /// The router of the lease, once its link address is known, and the question that is put to it.
    router: Option<KnownRouter>,
    inquiry: Option<Inquiry>,
    /// A lease from a snapshot, which nobody has confirmed yet. The vault holds its options.
    remembered: Option<Grant>,
    /// The key of the lease's server for FORCERENEW.
    nonce: Option<Nonce>,
    /// The address that stands in for a lease, and whether one may be taken on this link.
    link_local: Option<LinkLocal>,
    may_fall_back: bool,
    /// Conflicts in a row, and until when the last DECLINE wants quiet.
    conflicts: u8,
    quiet_until: Option<Instant>,
    /// NAKs since the last lease, for the backoff.
    naks: u8,
    /// What the last server that refused had to say.
    text: Text,
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
            informed: None,
            hint: None,
            offers: Offers::new(),
            doubt: None,
            claim: None,
            router: None,
            inquiry: None,
            remembered: None,
            nonce: None,
            link_local: None,
            may_fall_back: true,
            conflicts: 0,
            quiet_until: None,
            naks: 0,
            text: Text::new(),
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
        self.start_as(cx, None);
    }

    /// Like [`start`](Self::start), with an address that an earlier run of the program had and
    /// whose lease has not expired: it is asked for first (INIT-REBOOT), which saves half of the
    /// messages. An address that no host can have, and one given beside a lease that holds, are
    /// ignored.
    pub fn start_with(&mut self, cx: &mut Cx<'_>, address: Ipv4Addr) {
        self.start_as(cx, Some(address).filter(|&a| is_host_address(a)));
    }

    fn start_as(&mut self, cx: &mut Cx<'_>, remembered: Option<Ipv4Addr>) {
        if !matches!(self.state, State::Stopped) {
            return;
        }
        self.expire(cx.now);
        self.informed = None;
        if self.lease.is_none() {
            self.vault.clear();
        }
        let reboot = self.lease.map(|lease| lease.address).or(remembered);
        self.begin_after_delay(cx, reboot.map_or(Then::Discover, Then::Reboot));
    }

    fn begin_after_delay(&mut self, cx: &mut Cx<'_>, then: Then) {
        // RFC 7844 §3.3: a REQUEST for an old address tells where we come from.
        let then = if self.config.anonymous { Then::Discover } else { then };
        let range = self.config.initial_delay_max.as_micros();
        let delay = if range == 0 { 0 } else { cx.rng.below(range).saturating_add(1) };
        let wanted = cx.now + Duration::from_micros(delay);
        // The quiet after a DECLINE outlasts a flap of the link.
        let until = self.quiet_until.map_or(wanted, |quiet| quiet.max(wanted));
        if until > cx.now {
            self.enter(State::Init { until, then });
        } else {
            self.begin(cx, then);
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
        if let State::Probing(probing) = self.state {
            self.hint = Some(probing.grant.address);
        }
        self.drop_link_local();
        self.may_fall_back = true;
        (self.claim, self.inquiry, self.remembered) = (None, None, None);
        self.doubt = None;
        self.enter(State::Stopped);
    }

    /// Asks for configuration only (INFORM, RFC 2131 §4.4.3): `address` is on the interface
    /// already, from elsewhere. From `server` if one is known, otherwise from everybody. Then
    /// [`Event::Informed`] or, after four tries, [`Event::NoServer`]; the client is stopped in
    /// either case. Does nothing unless it is stopped and has no lease.
    pub fn inform(&mut self, cx: &mut Cx<'_>, address: Ipv4Addr, server: Option<Ipv4Addr>) {
        if !matches!(self.state, State::Stopped) || self.lease.is_some() {
            return;
        }
        let exchange = Exchange::new(cx.rng, None);
        self.enter(State::Informing(Informing { exchange, address, server }));
    }

    /// What the last INFORM brought: options, the address that it was asked for, and no times.
    pub fn informed(&self) -> Option<Lease<'_>> {
        self.informed.map(|grant| self.lend(grant))
    }

    /// Gives the lease back: one RELEASE at once, then [`Event::Lost`], and the client is stopped. The
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
        self.drop_link_local();
        // Only an address that we still want is worth asking for again.
        self.hint = None;
        (self.claim, self.inquiry, self.remembered) = (None, None, None);
        self.enter(next);
    }

    /// The lease that holds, if there is one.
    pub fn lease(&self) -> Option<Lease<'_>> {
        self.lease.map(|grant| self.lend(grant))
    }

    /// The link-local address that may be used, if there is one.
    pub fn link_local(&self) -> Option<Ipv4Addr> {
        self.link_local.and_then(|it| it.held())
    }

    /// Our address, while a FORCERENEW could come to it.
    fn listening(&self) -> Option<Ipv4Addr> {
        let is_bound = matches!(self.state, State::Bound { .. });
        self.lease.filter(|_| is_bound && self.nonce.is_some()).map(|lease| lease.address)
    }

    fn lend(&self, grant: Grant) -> Lease<'_> {
        Lease { grant, options: self.vault.options(), policy: self.config.routes }
    }

    /// What the last NAK, or the last refusal with [`Event::LinkLocal`], gave as its reason (option
    /// 56, the first 96 octets): for an administrator; not fit for a terminal as it is.
    pub fn server_text(&self) -> &[u8] {
        self.text.get()
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
    #[inline(never)] // a state is large, and many call it
    fn enter(&mut self, next: State) {
        self.blocked_until = None;
        self.state = next;
    }

    /// What INIT leads to, without further waiting.
    fn begin(&mut self, cx: &mut Cx<'_>, then: Then) {
        match then {
            Then::Reboot(address) => {
                let exchange = Exchange::new(cx.rng, None);
                // RFC 4436 §2.2: beside the REQUEST, not before it.
                let may_check = self.lease.is_some() || self.remembered.is_some();
                let router = self.router.filter(|_| may_check && self.config.detect_attachment);
                self.inquiry = router.and_then(|router| Inquiry::check(router, address));
                let is_confirmed = false;
                self.enter(State::Rebooting(Rebooting { exchange, address, is_confirmed }));
            }
            Then::Offer => self.request_best(cx, None),
            Then::Discover | Then::Ipv4Again => self.discover(cx, None),
        }
    }

    /// A new DISCOVER; `began` if it goes on with an acquisition that was begun before.
    fn discover(&mut self, cx: &mut Cx<'_>, began: Option<Instant>) {
        self.offers.clear();
        (self.inquiry, self.remembered) = (None, None);
        let exchange = Exchange::new(cx.rng, began);
        let (secs, broadcast, decide_at) = (0, false, None);
        self.enter(State::Selecting(Selecting { exchange, secs, broadcast, decide_at }));
    }

    /// The lease ends.
    fn lose(&mut self, why: LostReason) {
        (self.claim, self.inquiry, self.router) = (None, None, None);
        self.nonce = None;
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
            Input::Frame { socket: ARP, ethertype: ETHERTYPE_ARP, payload, .. } => {
                self.hear_arp(cx, payload)
            }
            Input::Datagram { socket: UNICAST, bytes, .. } if self.listening().is_some() => {
                self.force_renew(cx, bytes)
            }
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
        self.advance_neighbours(cx);
        self.advance_link_local(cx.now);
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
        let claims = [self.claim, self.link_local.map(|it| it.claim)];
        let arp = self.inquiry.is_some() || claims.into_iter().flatten().any(|c| c.needs_arp());
        let link = self.state.needs_link();
        let unicast = self.state.needs_unicast().or_else(|| self.listening());
        if let Some(change) = self.sockets.step(Wanted { link, unicast, arp }) {
            return Some(change);
        }
        if self.state.is_due() {
            let draft = Draft::of(&self.state, &self.config, self.hint, cx.now)?;
            if self.may_send(cx, &draft) {
                let written = draft.write(&self.config, buffer);
                if written.is_err() {
                    self.counters.add(Tally::BufferTooSmall, 1);
                }
                self.sent(cx, &draft, written.is_ok());
                return written.ok();
            }
        }
        self.transmit_arp(cx, buffer)
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.outbox.next()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let expiry = self.lease.and_then(|lease| lease.times).map(|times| times.expires_at);
        let claim = self.claim.and_then(|claim| claim.deadline());
        let inquiry = self.inquiry.and_then(|inquiry| inquiry.deadline());
        let link_local = self.link_local.and_then(|it| it.claim.deadline());
        let state = self.state.deadline();
        Instant::earliest([state, self.blocked_until, expiry, claim, inquiry, link_local])
    }
}
