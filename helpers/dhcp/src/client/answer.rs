//! What a reply does to the state: which types, from which servers, and for which address.

use core::net::Ipv4Addr;

use bringup_core::client::Cx;
use bringup_core::time::Instant;

use super::DhcpClient;
use super::exchange::Exchange;
use super::reply::Reply;
use super::state::{Offer, Requesting, Selecting, State};
use crate::code::MessageType;
use crate::counters::{Discard, Mismatch, Tally};
use crate::event::LostReason;
use crate::lease::Grant;
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
