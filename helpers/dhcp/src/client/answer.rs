//! What a reply does to the state: which types, from which servers, and for which address.

use core::net::Ipv4Addr;

use bringup_core::client::Cx;
use bringup_core::time::Instant;

use super::DhcpClient;
use super::claim::Claim;
use super::force::Nonce;
use super::reply::Reply;
use super::state::{Informing, Probing, Selecting, State, Then};
use crate::code::{self, MessageType};
use crate::config::ConflictDetection;
use crate::counters::{Discard, Mismatch, Tally};
use crate::event::LostReason;
use crate::lease::Grant;
use crate::offer::{Doubt, Offer, OfferView};
use crate::retry;

impl DhcpClient<'_> {
    pub(super) fn receive(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) -> Result<(), Discard> {
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
        match (&self.state, reply.kind) {
            (&State::Selecting(s), Offered) => self.take_offer(cx, s, reply),
            // RFC 4039 §3.1: only if we asked for it, and it says that it is that.
            (State::Selecting(_), Ack) if self.config.rapid_commit && reply.rapid_commit => {
                self.take_ack(cx, reply, requested_at, None)
            }
            (&State::Requesting(r), Ack) => {
                from(r.offer.server)?;
                if self.config.asks_nonce()
                    && r.offer.promises_nonce
                    && Nonce::of(&reply.message).is_none()
                {
                    self.counters.add(Tally::AckWithoutNonce, 1);
                    self.doubt = Some(Doubt::of(r.offer.server, self.doubt));
                    self.back_off(cx);
                    return Ok(());
                }
                self.take_ack(cx, reply, requested_at, Some(r.offer.address))
            }
            (&State::Requesting(r), Nak) => {
                from(r.offer.server)?;
                self.doubt = Some(Doubt::of(r.offer.server, self.doubt));
                self.take_nak(cx, reply)
            }
            // §4.4.2: any server may answer here, and so may refuse.
            (&State::Rebooting(r), Ack) => self.take_ack(cx, reply, requested_at, Some(r.address)),
            (&State::Renewing(r), Ack) => {
                from(r.server)?;
                self.take_ack(cx, reply, requested_at, None)
            }
            (&State::Renewing(r), Nak) => {
                from(r.server)?;
                self.take_nak(cx, reply)
            }
            (&State::Informing(i), Ack) => {
                i.server.map_or(Ok(()), from)?;
                self.take_configuration(reply, &i, requested_at);
                Ok(())
            }
            (State::Rebinding(_), Ack) => self.take_ack(cx, reply, requested_at, None),
            (State::Rebooting(_) | State::Rebinding(_), Nak) => self.take_nak(cx, reply),
            _ => Err(Mismatch::WrongMessageType),
        }
    }

    fn take_offer(
        &mut self,
        cx: &mut Cx<'_>,
        mut s: Selecting,
        reply: &Reply<'_>,
    ) -> Result<(), Mismatch> {
        if let Some(seconds) = reply.ipv6_only {
            // RFC 8925 §3.2, with an address or (§3.3) without.
            self.counters.add(Tally::ReceivedOffer, 1);
            self.rest_from_ipv4(cx, seconds);
            return Ok(());
        }
        if let Some(allowed) = reply.auto_configure.filter(|_| reply.is_without_address()) {
            // RFC 2563 §2.2: MUST be ignored as an offer; DISCOVERs go on.
            self.counters.add(Tally::ReceivedNoAddress, 1);
            self.text.set(reply.text);
            self.outbox.link_local(allowed);
            self.heed(cx, allowed);
            return Ok(());
        }
        let (address, terms) = reply.terms()?;
        let (server, lease_time) = (reply.server, terms.lease_time);
        let is_ours = self.hint == Some(address);
        let message = reply.message;
        let view = OfferView { address, server, lease_time, is_ours, message };
        let score = (self.config.offer_policy)(&view);
        if score == 0 {
            return Err(Mismatch::OfferRefused);
        }
        self.counters.add(Tally::ReceivedOffer, 1);
        let promises_nonce =
            self.config.asks_nonce() && message.first(code::FORCERENEW_NONCE).is_some();
        // Who offers and doesn't give would keep us from all others: theirs are better, if they come soon.
        let doubt = self.doubt.filter(|doubt| doubt.server == server);
        let score = if doubt.is_some() { 1 } else { score.saturating_add(1) };
        self.offers.add(Offer { address, server, promises_nonce }, score, cx.now);
        if s.decide_at.is_none() {
            let window = self.config.offer_window;
            self.offers.set_asked(s.asked());
            s.decide_at = Some(cx.now + doubt.map_or(window, |doubt| window.max(doubt.patience())));
            self.enter(State::Selecting(s));
        }
        if self.config.offer_window.is_zero() && doubt.is_none() {
            self.request_best(cx, None);
        }
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
        if let (State::Rebooting(_), Some(seconds)) = (self.state, reply.ipv6_only) {
            // RFC 8925 §3.2: here, and here only, an ACK says stop.
            self.lose(LostReason::Ipv6Only);
            self.rest_from_ipv4(cx, seconds);
            return Ok(());
        }
        // §4.4.5 says nothing about another address in a renewal: it is a new lease, not that one.
        let is_same = self.lease.is_some_and(|lease| lease.address == address);
        if !is_same {
            self.lose(LostReason::AddressChanged);
        }
        // Rule 24: an answer about an address that we have may leave out what we know. One to a
        // DISCOVER may come from another network that has the same addresses.
        let keep = !matches!(self.state, State::Selecting(_) | State::Requesting(_));
        let changed = self.store(reply, keep);
        self.remember_nonce(reply);
        let grant = Grant { address, server_identifier: reply.server, requested_at, times };
        let mode = self.config.conflict_detection;
        // RFC 5227 §2.1: before the first use and after the link was gone, never periodically.
        if !is_same || matches!(self.state, State::Rebooting(_)) && self.claim.is_none() {
            self.claim = Claim::new(address, mode, cx.now, cx.rng);
        }
        if is_same {
            self.outbox.renewed(changed);
            self.settle(grant);
        } else if mode == ConflictDetection::Strict {
            self.enter(State::Probing(Probing { grant }));
        } else {
            self.outbox.bound();
            self.settle(grant);
        }
        Ok(())
    }

    /// Asks for no address for as long as option 108 says.
    fn rest_from_ipv4(&mut self, cx: &mut Cx<'_>, seconds: u32) {
        let wait = retry::v6only_wait(seconds);
        self.outbox.ipv6_only(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX));
        (self.claim, self.inquiry, self.remembered) = (None, None, None);
        self.enter(State::Init { until: cx.now + wait, then: Then::Ipv4Again });
    }

    /// Keeps the options of an ACK, and with `keep` those that were known; whether they differ.
    fn store(&mut self, reply: &Reply<'_>, keep: bool) -> bool {
        let stored = self.vault.store(&reply.message, keep);
        self.counters.add(Tally::OptionsDropped, stored.dropped);
        self.counters.add(Tally::OptionsMalformed, stored.malformed);
        stored.changed
    }

    /// RFC 6704 §3.1.4: the nonce of any ACK counts; without a new one, the server's old one.
    fn remember_nonce(&mut self, reply: &Reply<'_>) {
        let is_same_server = self.lease.is_some_and(|l| l.server_identifier == reply.server);
        let new = Nonce::of(&reply.message).filter(|_| self.config.asks_nonce());
        self.nonce = new.or(self.nonce.filter(|_| is_same_server));
    }

    /// The lease is in force: BOUND.
    pub(super) fn settle(&mut self, grant: Grant) {
        self.lease = Some(grant);
        self.drop_link_local();
        self.hint = None;
        self.naks = 0;
        (self.remembered, self.inquiry, self.doubt) = (None, None, None);
        self.offers.clear();
        if self.claim.is_none() {
            self.learn_router();
        }
        self.enter(State::Bound { times: grant.times });
    }

    /// The ACK to an INFORM: options only. Its `yiaddr` is 0 and it has no lease (§4.3.5).
    fn take_configuration(&mut self, reply: &Reply<'_>, i: &Informing, requested_at: Instant) {
        self.counters.add(Tally::ReceivedAck, 1);
        self.store(reply, false);
        let (address, server_identifier) = (i.address, reply.server);
        self.informed = Some(Grant { address, server_identifier, requested_at, times: None });
        self.outbox.informed();
        self.enter(State::Stopped);
    }

    /// A NAK from a server that may refuse: INIT, after a while (rule 12).
    fn take_nak(&mut self, cx: &mut Cx<'_>, reply: &Reply<'_>) -> Result<(), Mismatch> {
        self.counters.add(Tally::ReceivedNak, 1);
        self.text.set(reply.text);
        self.outbox.nak(reply.server);
        self.lose(LostReason::Nak);
        self.hint = None;
        self.back_off(cx);
        Ok(())
    }

    /// INIT after a refusal, each time later.
    fn back_off(&mut self, cx: &mut Cx<'_>) {
        self.naks = self.naks.saturating_add(1);
        let until = cx.now + retry::nak_backoff(self.naks);
        self.enter(State::Init { until, then: Then::Offer });
    }
}
