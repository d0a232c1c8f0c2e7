//! What the client does by itself when time passes: deadlines, expiry, and what follows a send.

use bringup_core::client::Cx;
use bringup_core::time::Instant;

use super::DhcpClient;
use super::exchange::{Exchange, renewal_wait};
use super::send::Draft;
use super::state::{Rebinding, Renewing, Requesting, State, Then};
use crate::code::MessageType;
use crate::counters::Tally;
use crate::event::LostReason;
use crate::offer::Doubt;
use crate::retry;

impl DhcpClient<'_> {
    /// RFC 2131 §4.4.5: at expiry the client MUST stop using the address. Whether that happened.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let Some(over) = self.lease.filter(|lease| lease.is_over(now)) else { return false };
        self.hint = Some(over.address);
        self.lose(LostReason::Expired);
        true
    }

    /// The lease expired while the state went by it.
    pub(super) fn restart_if_bound(&mut self, cx: &mut Cx<'_>) {
        match self.state {
            State::Bound { .. } | State::Renewing(_) | State::Rebinding(_) => {
                self.discover(cx, None);
            }
            State::Releasing(_) => self.enter(State::Stopped),
            _ => {}
        }
    }

    /// The deadline of the state has come.
    pub(super) fn step(&mut self, cx: &mut Cx<'_>) {
        let profile = self.config.profile;
        match self.state {
            State::Stopped | State::Probing(_) | State::Releasing(_) | State::Declining(_) => {}
            State::Init { then, .. } => self.begin(cx, then),
            State::Selecting(s) if s.decide_at.is_some() => self.request_best(cx, s.exchange.began),
            State::Selecting(s) => {
                if s.exchange.sends == profile.silent_sends() {
                    self.outbox.no_server();
                    self.fall_back(cx);
                }
                self.send_again();
            }
            State::Requesting(r) if r.exchange.sends >= profile.requests() => {
                // RFC 2131 §3.1 step 5: INIT, and the user SHOULD be told.
                self.outbox.no_server();
                self.doubt = Some(Doubt::of(r.offer.server, self.doubt));
                self.request_best(cx, r.exchange.began);
            }
            State::Informing(i) if i.exchange.sends >= retry::INFORMS => {
                // RFC 2131 §4.4.3: the user SHOULD be told, and goes on without.
                self.outbox.no_server();
                self.enter(State::Stopped);
            }
            State::Rebooting(r) if r.exchange.sends >= profile.reboots() => {
                self.remembered = None;
                if let Some(lease) = self.lease.filter(|_| r.is_confirmed) {
                    return self.enter(State::Bound { times: lease.times });
                }
                // Silence is no refusal: the server may just not know us (§4.3.2).
                self.hint = Some(r.address);
                self.discover(cx, r.exchange.began);
            }
            State::Requesting(_)
            | State::Rebooting(_)
            | State::Rebinding(_)
            | State::Informing(_) => self.send_again(),
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

    /// Asks for the best offer that stands; begins anew if there is none.
    pub(super) fn request_best(&mut self, cx: &mut Cx<'_>, began: Option<Instant>) {
        let offer = self.offers.take_best(cx.now);
        let Some((offer, asked)) = offer.zip(self.offers.asked()) else {
            return self.discover(cx, began);
        };
        // Table 5: the REQUEST has the OFFER's xid.
        let exchange = Exchange::with_xid(asked.xid, cx.rng, asked.began);
        let (secs, broadcast) = (asked.secs, asked.broadcast);
        self.enter(State::Requesting(Requesting { exchange, offer, secs, broadcast }));
    }

    fn send_again(&mut self) {
        if let Some(exchange) = self.state.exchange_mut() {
            exchange.send_again();
        }
    }

    /// A message has gone out, or could not: arms the next deadline.
    pub(super) fn sent(&mut self, cx: &mut Cx<'_>, draft: &Draft, went_out: bool) {
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
            State::Informing(i) => {
                i.exchange.sent(now, profile.wait(i.exchange.sends, cx.rng), went_out);
            }
            State::Declining(_) => {
                let until = now + retry::quiet(self.conflicts);
                self.quiet_until = Some(until);
                self.enter(State::Init { until, then: Then::Offer });
            }
            State::Releasing(_) => {
                self.lose(LostReason::Released);
                self.enter(State::Stopped);
            }
            State::Stopped | State::Init { .. } | State::Probing(_) | State::Bound { .. } => {}
        }
        if went_out {
            let tally = match draft.kind {
                MessageType::Discover => Tally::SentDiscover,
                MessageType::Release => Tally::SentRelease,
                MessageType::Decline => Tally::SentDecline,
                MessageType::Inform => Tally::SentInform,
                _ => Tally::SentRequest,
            };
            self.counters.add(tally, 1);
        }
    }

    /// Whether the message that is due may go out now.
    pub(super) fn may_send(&mut self, cx: &mut Cx<'_>, draft: &Draft) -> bool {
        if !self.sockets.is_open(draft.socket()) {
            self.sent(cx, draft, false);
            return false;
        }
        if matches!(self.state, State::Releasing(_)) {
            // The program's own will, and the end of the sending: nobody may come back for it later. The
            // lease that it gives back was paid for, so the debt is never more than one.
            let taken = self.bucket.take_or_owe(cx.now);
            return self.passes(taken);
        }
        self.has_token(cx)
    }

    /// Takes a token for one frame or datagram of whatever kind.
    pub(super) fn has_token(&mut self, cx: &Cx<'_>) -> bool {
        let taken = self.bucket.take(cx.now);
        self.passes(taken)
    }

    /// Whether the bucket lets it pass; if not, it waits.
    fn passes(&mut self, taken: Result<(), Instant>) -> bool {
        if let Err(until) = taken {
            // Counted once, however often it is asked for while it waits.
            if self.blocked_until.replace(until).is_none() {
                self.counters.add(Tally::Throttled, 1);
            }
            return false;
        }
        true
    }
}
