//! An address of 169.254/16, taken where no server answers. RFC 3927.
//!
//! It is claimed as any other (the constants of RFC 3927 §9 are those of RFC 5227), beside DHCP,
//! which goes on unchanged, and given up once DHCP has an address.

use core::net::Ipv4Addr;

use bringup_core::client::{Cx, Rng};
use bringup_core::time::{Duration, Instant};

use super::DhcpClient;
use super::claim::{Claim, Progress, Verdict};
use crate::arp::Arp;
use crate::config::ConflictDetection;
use crate::counters::Tally;
use crate::parts::Extra;
use crate::retry;

/// 169.254.1.0, the first address that may be taken, and how many there are: the first and the last
/// 256 of the prefix are reserved. RFC 3927 §2.1.
const FIRST: u32 = 0xA9FE_0100;
const ADDRESSES: u64 = 0xFE00;

/// A link-local address that is probed or held.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkLocal {
    pub(super) claim: Claim,
    is_held: bool,
    conflicts: u8,
    _extra: Extra,
}

impl LinkLocal {
    /// Begins to probe for some address. RFC 3927 §2.1 has it made from the MAC; random bits serve
    /// as well, and two devices with one MAC get on with each other.
    fn new(now: Instant, rng: &mut dyn Rng, conflicts: u8) -> Option<Self> {
        let _extra = Extra::GIVEN?;
        let place = u32::try_from(rng.below(ADDRESSES)).unwrap_or(0);
        let address = Ipv4Addr::from(FIRST + place);
        let begin =
            if retry::too_many(conflicts) { Duration::from_secs(60) } else { Duration::ZERO };
        let claim = Claim::new(address, ConflictDetection::Strict, now + begin, rng)?;
        Some(Self { claim, is_held: false, conflicts, _extra })
    }

    /// The address, if it may be used.
    pub(super) fn held(&self) -> Option<Ipv4Addr> {
        Some(self.claim.address).filter(|_| self.is_held)
    }
}

impl DhcpClient<'_> {
    /// Nobody answers: takes a link-local address, if that is wanted and not forbidden.
    pub(super) fn fall_back(&mut self, cx: &mut Cx<'_>) {
        let may = self.config.link_local && self.may_fall_back && self.lease.is_none();
        if may && self.link_local.is_none() {
            self.link_local = LinkLocal::new(cx.now, cx.rng, 0);
        }
    }

    /// The administrator's word on that. RFC 2563 §2.2.
    pub(super) fn heed(&mut self, cx: &mut Cx<'_>, allowed: bool) {
        self.may_fall_back = allowed;
        if allowed {
            self.fall_back(cx);
        } else {
            self.drop_link_local();
        }
    }

    /// There is something better, or no link.
    pub(super) fn drop_link_local(&mut self) {
        if let Some(address) = self.link_local.take().and_then(|it| it.held()) {
            self.outbox.link_local_lost(address);
        }
    }

    pub(super) fn advance_link_local(&mut self, now: Instant) {
        let Some(it) = &mut self.link_local else { return };
        if it.claim.advance(now) == Progress::Free {
            (it.is_held, it.conflicts) = (true, 0);
            self.outbox.link_local_bound();
        }
    }

    /// Whether an ARP packet was about our link-local address.
    pub(super) fn link_local_hears(&mut self, cx: &mut Cx<'_>, arp: &Arp) -> bool {
        let Some(it) = &mut self.link_local else { return false };
        let verdict = it.claim.hear(arp, self.config.mac, cx.now);
        if verdict == Verdict::Unrelated {
            return false;
        }
        let (address, conflicts) = (it.claim.address, it.conflicts.saturating_add(1));
        self.counters.add(Tally::Conflict, 1);
        self.outbox.conflict(address, arp.sender_mac);
        if verdict == Verdict::Conflict {
            // RFC 3927 §2.2.1, §2.5: another address; after ten conflicts once a minute.
            self.drop_link_local();
            self.link_local = LinkLocal::new(cx.now, cx.rng, conflicts);
        }
        true
    }
}

#[cfg(all(test, feature = "extras"))]
mod tests {
    use super::*;

    struct Edge(u8);
    impl Rng for Edge {
        fn fill(&mut self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    #[test]
    fn rule_36_the_ends_of_the_prefix_are_reserved() {
        for (bits, expected) in [(0, [169, 254, 1, 0]), (0xFF, [169, 254, 254, 255])] {
            let it = LinkLocal::new(Instant::ZERO, &mut Edge(bits), 0).unwrap();
            assert_eq!(it.claim.address, Ipv4Addr::from(expected));
        }
    }
}
