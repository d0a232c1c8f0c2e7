//! Questions to the router by ARP: which link address it has, and later, by that, whether we are
//! still where we were. RFC 4436.

use core::net::Ipv4Addr;

use bringup_core::client::Mac;
use bringup_core::time::{Duration, Instant};

use super::exchange::Next;
use crate::arp::{Arp, Operation};
use crate::parts::Extra;
use crate::snapshot::KnownRouter;

/// How often the question is put, and how far apart: RFC 4436 §2.1 recommends at most two resends,
/// at most one a second.
const SENDS: u8 = 3;
const INTERVAL: Duration = Duration::from_secs(1);

/// A question to a router.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inquiry {
    router: Ipv4Addr,
    /// Our address, or the one that may still be ours.
    candidate: Ipv4Addr,
    /// What the router's link address must be; `None` if that is the question.
    known: Option<Mac>,
    left: u8,
    next: Next,
    _extra: Extra,
}

impl Inquiry {
    /// Asks for the link address of a router.
    pub(super) fn learn(router: Ipv4Addr, candidate: Ipv4Addr) -> Option<Self> {
        let _extra = Extra::GIVEN?;
        Some(Self { router, candidate, known: None, left: SENDS, next: Next::Due, _extra })
    }

    /// Asks a known router whether it is there.
    pub(super) fn check(router: KnownRouter, candidate: Ipv4Addr) -> Option<Self> {
        let KnownRouter { address, mac } = router;
        Some(Self { known: Some(mac), ..Self::learn(address, candidate)? })
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.next.deadline()
    }

    /// The packet that is due, and the link address that it goes to. RFC 4436 §2.1.1: a check goes
    /// to the router alone, since on another link nobody should hear of our address.
    pub(super) fn packet(&self, mac: Mac) -> Option<(Mac, Arp)> {
        let packet = Arp::request(mac, self.candidate, self.router);
        let to = self.known.unwrap_or(Mac::BROADCAST);
        matches!(self.next, Next::Due).then_some((to, packet))
    }

    /// The packet went out, or could not.
    pub(super) fn sent(&mut self, now: Instant) {
        self.left = self.left.saturating_sub(1);
        self.next = Next::At(now + INTERVAL);
    }

    /// Lets time pass; whether it is over without an answer.
    pub(super) fn advance(&mut self, now: Instant) -> bool {
        if self.deadline().is_none_or(|at| at > now) {
            return false;
        }
        self.next = Next::Due;
        self.left == 0
    }

    /// The router that answers, if `arp` is its answer: to us, from the address that we asked for,
    /// and from the link address that it must have.
    pub(super) fn answer(&self, arp: &Arp, mac: Mac) -> Option<KnownRouter> {
        let asked = self.left < SENDS;
        let from_it = arp.operation == Operation::Reply
            && (arp.sender, arp.target_mac) == (self.router, mac)
            && self.known.is_none_or(|known| known == arp.sender_mac);
        let answer = KnownRouter { address: arp.sender, mac: arp.sender_mac };
        (asked && from_it).then_some(answer)
    }
}

#[cfg(all(test, feature = "extras"))]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_an_answer_before_the_question_went_out() {
        let (us, it) = (Mac([2; 6]), Mac([4; 6]));
        let router = KnownRouter { address: Ipv4Addr::new(10, 0, 0, 254), mac: it };
        let ours = Ipv4Addr::new(10, 0, 0, 50);
        let mut inquiry = Inquiry::check(router, ours).unwrap();
        let question = Arp::request(it, router.address, ours);
        let reply = Arp { operation: Operation::Reply, target_mac: us, ..question };
        assert_eq!(inquiry.answer(&reply, us), None);
        inquiry.sent(Instant::ZERO);
        assert_eq!(inquiry.answer(&reply, us), Some(router));
    }
}
