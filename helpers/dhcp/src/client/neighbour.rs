//! What the client does with its neighbours on the link: the claim to its address.

use bringup_core::client::{Cx, Mac, Transmit};

use super::DhcpClient;
use super::claim::{Progress, Verdict};
use super::sockets::ARP;
use super::state::{Declining, State};
use crate::arp::{Arp, ETHERTYPE_ARP};
use crate::counters::{Discard, Mismatch, Tally};
use crate::event::LostReason;

impl DhcpClient<'_> {
    /// Lets time pass for the claim.
    pub(super) fn advance_claim(&mut self, cx: &mut Cx<'_>) {
        let Some(claim) = &mut self.claim else { return };
        if claim.advance(cx.now) == Progress::Same {
            return;
        }
        self.conflicts = 0;
        if let State::Probing(probing) = self.state {
            if probing.grant.is_over(cx.now) {
                self.claim = None;
                self.discover(cx, None);
            } else {
                self.outbox.bound();
                self.settle(probing.grant);
            }
        }
    }

    /// An ARP packet that somebody on the link sent.
    pub(super) fn hear_arp(&mut self, cx: &mut Cx<'_>, payload: &[u8]) -> Result<(), Discard> {
        let arp = Arp::parse(payload)?;
        let claim = self.claim.as_mut();
        match claim.map_or(Verdict::Unrelated, |c| c.hear(&arp, self.config.mac, cx.now)) {
            Verdict::Unrelated => return Err(Mismatch::ArpUnrelated.into()),
            Verdict::Defended => self.note_conflict(&arp),
            Verdict::Conflict => {
                self.note_conflict(&arp);
                self.decline(cx);
            }
        }
        Ok(())
    }

    fn note_conflict(&mut self, arp: &Arp) {
        self.counters.add(Tally::Conflict, 1);
        if let Some(claim) = self.claim {
            self.outbox.conflict(claim.address, arp.sender_mac);
        }
    }

    /// Somebody else has the address: DECLINE (RFC 2131 §3.1 step 5), then quiet.
    fn decline(&mut self, cx: &mut Cx<'_>) {
        let probing = match self.state {
            State::Probing(probing) => Some(probing.grant),
            _ => None,
        };
        let Some(grant) = probing.or(self.lease) else { return };
        self.lose(LostReason::Conflict);
        self.forget_options();
        self.offers.forget(grant.address);
        // Not to be asked for again (rule 13).
        self.hint = None;
        self.conflicts = self.conflicts.saturating_add(1);
        let (xid, address, server) = (cx.rng.u32(), grant.address, grant.server_identifier);
        self.enter(State::Declining(Declining { xid, address, server }));
    }

    /// The ARP packet that is due.
    pub(super) fn transmit_arp<'b>(
        &mut self,
        cx: &mut Cx<'_>,
        buffer: &'b mut [u8],
    ) -> Option<Transmit<'b>> {
        let packet = self.claim.and_then(|claim| claim.packet(self.config.mac))?;
        let is_open = self.sockets.is_open(ARP);
        if is_open && !self.has_token(cx) {
            return None;
        }
        if let Some(claim) = &mut self.claim {
            claim.sent(cx.now, cx.rng);
        }
        if !is_open {
            return None;
        }
        let Ok(payload) = packet.write(buffer) else {
            self.counters.add(Tally::BufferTooSmall, 1);
            return None;
        };
        self.counters.add(Tally::SentArp, 1);
        let (to, ethertype) = (Mac::BROADCAST, ETHERTYPE_ARP);
        Some(Transmit::Frame { socket: ARP, to, ethertype, payload })
    }
}
