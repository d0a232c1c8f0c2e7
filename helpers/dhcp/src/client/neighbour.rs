//! What the client does with its neighbours on the link: the claim to its address, and the router
//! by which it knows its network.

use bringup_core::client::{Cx, Mac, Transmit};

use super::DhcpClient;
use super::claim::{Claim, Progress, Verdict};
use super::router::Inquiry;
use super::sockets::ARP;
use super::state::{Declining, State};
use crate::arp::{Arp, ETHERTYPE_ARP};
use crate::counters::{Discard, Mismatch, Tally};
use crate::event::LostReason;
use crate::parts::EXTRAS;
use crate::snapshot::KnownRouter;

impl DhcpClient<'_> {
    /// Lets time pass for what is asked by ARP.
    pub(super) fn advance_neighbours(&mut self, cx: &mut Cx<'_>) {
        if self.inquiry.as_mut().is_some_and(|inquiry| inquiry.advance(cx.now)) {
            self.inquiry = None;
        }
        let claim = self.claim.as_mut();
        if claim.is_some_and(|claim| claim.advance(cx.now) == Progress::Free) {
            self.address_is_free(cx);
        }
    }

    /// Nobody answered the probes.
    fn address_is_free(&mut self, cx: &mut Cx<'_>) {
        self.conflicts = 0;
        match self.state {
            State::Probing(probing) if probing.grant.is_over(cx.now) => {
                self.claim = None;
                self.discover(cx, None);
            }
            State::Probing(probing) => {
                self.outbox.bound();
                self.settle(probing.grant);
                self.learn_router();
            }
            _ => self.learn_router(),
        }
    }

    /// Asks for the link address of the lease's first router, unless it is known.
    pub(super) fn learn_router(&mut self) {
        let Some(lease) = self.lease().filter(|_| EXTRAS && self.config.detect_attachment) else {
            return;
        };
        let (candidate, router) = (lease.address(), lease.default_router());
        let is_known = self.router.map(|known| known.address) == router;
        if !is_known && self.inquiry.is_none() {
            self.router = None;
            self.inquiry = router.and_then(|router| Inquiry::learn(router, candidate));
        }
    }

    /// The router answered.
    fn router_is_there(&mut self, cx: &mut Cx<'_>, router: KnownRouter) {
        self.inquiry = None;
        if self.router.replace(router) != Some(router) {
            self.outbox.router_found();
        }
        // What is asked there is whether the router is the one that is known.
        let State::Rebooting(r) = &mut self.state else { return };
        // RFC 4436 §2.2: the first answer wins; the server's may still replace it.
        r.is_confirmed = true;
        let address = r.address;
        if let Some(grant) = self.remembered.take().filter(|grant| !grant.is_over(cx.now)) {
            self.lease = Some(grant);
            self.drop_link_local();
            self.outbox.bound();
        }
        if self.lease.is_some() {
            // RFC 5227 §2.1: after the link was gone, too.
            self.claim = Claim::new(address, self.config.conflict_detection, cx.now, cx.rng);
        }
    }

    /// An ARP packet that somebody on the link sent.
    pub(super) fn hear_arp(&mut self, cx: &mut Cx<'_>, payload: &[u8]) -> Result<(), Discard> {
        let arp = Arp::parse(payload)?;
        if let Some(router) = self.inquiry.and_then(|i| i.answer(&arp, self.config.mac)) {
            self.router_is_there(cx, router);
            return Ok(());
        }
        if self.link_local_hears(cx, &arp) {
            return Ok(());
        }
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
        let (to, packet) = self.arp_due()?;
        if self.sockets.is_open(ARP) {
            if !self.has_token(cx) {
                return None;
            }
            if let Ok(payload) = packet.write(buffer) {
                self.arp_sent(cx);
                self.counters.add(Tally::SentArp, 1);
                return Some(Transmit::Frame {
                    socket: ARP,
                    to,
                    ethertype: ETHERTYPE_ARP,
                    payload,
                });
            }
            self.counters.add(Tally::BufferTooSmall, 1);
        }
        // Nothing can go out, and all that is due waits as if it had.
        while self.arp_due().is_some() {
            self.arp_sent(cx);
        }
        None
    }

    /// The packet that is due first, and whom it is for.
    fn arp_due(&self) -> Option<(Mac, Arp)> {
        let mac = self.config.mac;
        let claims = [self.claim, self.link_local.map(|it| it.claim)];
        let claimed = claims.into_iter().flatten().find_map(|claim| claim.packet(mac));
        let asked = || self.inquiry.and_then(|inquiry| inquiry.packet(mac));
        claimed.map(|packet| (Mac::BROADCAST, packet)).or_else(asked)
    }

    /// That packet went out, or could not.
    fn arp_sent(&mut self, cx: &mut Cx<'_>) {
        let mac = self.config.mac;
        let link_local = self.link_local.as_mut().map(|it| &mut it.claim);
        let mut claims = [self.claim.as_mut(), link_local].into_iter().flatten();
        match (claims.find(|claim| claim.packet(mac).is_some()), &mut self.inquiry) {
            (Some(claim), _) => claim.sent(cx.now, cx.rng),
            (None, Some(inquiry)) => inquiry.sent(cx.now),
            (None, None) => {}
        }
    }
}
