//! Offers that were collected before one is taken, and which of them is best.

use core::net::Ipv4Addr;

use bringup_core::time::{Duration, Instant};

use crate::code;
use crate::message::Message;
use crate::options::Value;

/// How many offers are remembered.
const OFFERS: usize = 4;
/// How long a server may be expected to stand by an offer that was not taken.
const KEPT: Duration = Duration::from_secs(60);

/// What an OFFER says, for a policy to judge.
#[derive(Clone, Copy, Debug)]
pub struct OfferView<'a> {
    /// The address.
    pub address: Ipv4Addr,
    /// Who offers it. Option 54.
    pub server: Ipv4Addr,
    /// For how long, seconds. Option 51.
    pub lease_time: u32,
    /// Whether it is the address that we had before.
    pub is_ours: bool,
    /// The whole message.
    pub message: Message<'a>,
}

/// Judges an offer: the highest wins, the first of equals. 0 refuses it.
pub type OfferPolicy = fn(&OfferView<'_>) -> u32;

/// The policy that is used if none is set: never 0; what a device needs to be of use counts in this
/// order: our old address, a way out, names, time, a mask; then the longer lease, in steps of a day.
pub fn score(offer: &OfferView<'_>) -> u32 {
    let has = |code| offer.message.first(code).is_some_and(|v| !v.bytes().is_empty());
    let addresses = |code| offer.message.first(code).unwrap_or(Value(&[])).addresses().count() > 0;
    let routed = addresses(code::ROUTER) || has(code::CLASSLESS_ROUTE);
    let worth = [
        (offer.is_ours, 4_000),
        (routed, 2_000),
        (addresses(code::DNS_SERVER), 1_000),
        (addresses(code::NTP_SERVER), 400),
        (has(code::SUBNET_MASK), 200),
    ];
    let sum: u32 = worth.iter().filter(|(is, _)| *is).map(|(_, points)| points).sum();
    1 + sum + (offer.lease_time / 86_400).min(99)
}

/// An OFFER, as far as it is needed to ask for it. Configuration comes from the ACK (RFC 2131
/// §4.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) address: Ipv4Addr,
    pub(crate) server: Ipv4Addr,
    /// Option 145 was there: the ACK must bring a nonce (RFC 6704 §3.1.4).
    pub(crate) promises_nonce: bool,
}

/// A server whose last offer came to nothing: it refused the REQUEST for it, or left it unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub(crate) server: Ipv4Addr,
    /// How often in a row.
    times: u8,
}

impl Doubt {
    /// That it has happened again, or for the first time.
    pub(crate) fn of(server: Ipv4Addr, before: Option<Self>) -> Self {
        let times = before.filter(|d| d.server == server).map_or(0, |d| d.times);
        Self { server, times: times.saturating_add(1) }
    }

    /// How long its next offer waits for another server's: 1, 2, then 4 s. Servers that look first whether
    /// an address is free take one to three.
    pub(crate) fn patience(self) -> Duration {
        Duration::from_secs(1 << self.times.saturating_sub(1).min(2))
    }
}

/// What the REQUEST for an offer repeats of the DISCOVER (RFC 2131 §3.1 step 3, Table 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) xid: u32,
    pub(crate) secs: u16,
    pub(crate) broadcast: bool,
    /// When the acquisition began.
    pub(crate) began: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    offer: Offer,
    score: u32,
    heard_at: Instant,
}

/// The offers to one DISCOVER.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offers {
    kept: [Option<Kept>; OFFERS],
    asked: Option<Asked>,
}

impl Offers {
    pub(crate) const fn new() -> Self {
        Self { kept: [None; OFFERS], asked: None }
    }

    pub(crate) const fn clear(&mut self) {
        *self = Self::new();
    }

    /// Remembers an offer; of each server the last one, and of too many the best.
    pub(crate) fn add(&mut self, offer: Offer, score: u32, now: Instant) {
        let new = Kept { offer, score, heard_at: now };
        let same = |slot: &&mut Option<Kept>| slot.is_some_and(|k| k.offer.server == offer.server);
        if let Some(slot) = self.kept.iter_mut().find(same) {
            *slot = Some(new);
            return;
        }
        let worst = self.kept.iter_mut().min_by_key(|slot| slot.map_or(0, |k| k.score));
        if let Some(slot) = worst.filter(|slot| slot.is_none_or(|k| k.score < score)) {
            *slot = Some(new);
        }
    }

    /// Takes out the best offer that still stands: the first of equals.
    pub(crate) fn take_best(&mut self, now: Instant) -> Option<Offer> {
        let stands = |slot: &&mut Option<Kept>| slot.is_some_and(|k| now.since(k.heard_at) < KEPT);
        let rank = |k: Kept| (k.score, core::cmp::Reverse(k.heard_at));
        // `max_by_key` gives out the last of equals: from behind, that is the first.
        let best = self.kept.iter_mut().rev().filter(stands).max_by_key(|slot| slot.map(rank))?;
        best.take().map(|kept| kept.offer)
    }

    /// Forgets offers of an address that turned out to be somebody's.
    pub(crate) fn forget(&mut self, address: Ipv4Addr) {
        for slot in &mut self.kept {
            *slot = slot.filter(|k| k.offer.address != address);
        }
    }

    #[cfg(test)]
    pub(crate) fn has_any(&self) -> bool {
        self.kept.iter().any(Option::is_some)
    }

    /// What the DISCOVER that these answer was.
    pub(crate) const fn set_asked(&mut self, asked: Asked) {
        self.asked = Some(asked);
    }

    pub(crate) const fn asked(&self) -> Option<Asked> {
        self.asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn offer(n: u8) -> Offer {
        let (address, server) = (Ipv4Addr::new(10, 0, 0, n), Ipv4Addr::new(10, 0, 1, n));
        Offer { address, server, promises_nonce: false }
    }

    const fn s(n: u64) -> Instant {
        Instant::from_micros(n * 1_000_000)
    }

    #[test]
    fn rule_6_what_an_offer_is_worth() {
        for (options, worth) in [
            (&[][..], 1),
            (&[1, 4, 255, 255, 255, 0], 201),
            (&[42, 4, 10, 0, 0, 1], 401),
            (&[6, 4, 10, 0, 0, 1], 1_001),
            (&[3, 4, 10, 0, 0, 1], 2_001),
            (&[121, 5, 0, 10, 0, 0, 1], 2_001),
            (&[121, 0, 1, 0, 3, 0], 1),
        ] {
            let mut bytes = [0; 260];
            bytes[236..240].copy_from_slice(&crate::message::MAGIC_COOKIE);
            bytes[240..240 + options.len()].copy_from_slice(options);
            let message = Message::parse(&bytes).unwrap();
            let Offer { address, server, .. } = offer(1);
            let view = OfferView { address, server, lease_time: 60, is_ours: false, message };
            assert_eq!(score(&view), worth, "{options:?}");
            let ours = OfferView { is_ours: true, lease_time: 86_400 * 200, ..view };
            assert_eq!(score(&ours), worth + 4_099, "{options:?}");
        }
    }

    #[test]
    fn rule_6_the_best_of_those_that_stand() {
        let mut offers = Offers::new();
        for (n, score, at) in [(1, 5, 0), (2, 9, 1), (3, 9, 2), (4, 1, 3)] {
            offers.add(offer(n), score, s(at));
        }
        offers.add(offer(5), 1, s(4));
        offers.add(offer(6), 3, s(4));
        offers.add(offer(7), 2, s(4));
        for expected in [Some(2), Some(3), Some(1), Some(6), None] {
            assert_eq!(offers.take_best(s(5)), expected.map(offer), "{expected:?}");
        }
        offers.add(offer(1), 5, s(0));
        assert_eq!(offers.take_best(s(60)), None, "nobody stands by it any more");
        assert!(offers.has_any());
        offers.add(offer(1), 2, s(60));
        offers.forget(offer(1).address);
        assert!(!offers.has_any());
    }

    #[test]
    fn rule_6_of_equals_the_first_is_taken_and_kept() {
        let mut offers = Offers::new();
        for n in 1..=5 {
            offers.add(offer(n), 7, s(n.into()));
        }
        for expected in [Some(1), Some(2), Some(3), Some(4), None] {
            assert_eq!(offers.take_best(s(5)), expected.map(offer));
        }
    }

    #[test]
    fn rule_6_one_offer_of_each_server() {
        let mut offers = Offers::new();
        for score in [9, 3] {
            offers.add(offer(1), score, s(0));
        }
        assert_eq!(offers.take_best(s(0)), Some(offer(1)));
        assert!(!offers.has_any());
    }
}
