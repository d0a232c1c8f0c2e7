//! The offer window, and the offers that were not taken.

use super::*;
use MessageType::{Ack, Discover, Offer as Offered, Request};

const THIRD: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
const TIME: (u8, &[u8]) = (51, &[0, 0, 2, 88]);
const ROUTER: (u8, &[u8]) = (3, &[10, 0, 0, 254]);
const DNS: (u8, &[u8]) = (6, &[10, 0, 0, 3]);

fn windowed() -> Config<'static> {
    Config { offer_window: Duration::from_secs(1), ..standard() }
}

/// An OFFER of 10.0.0.1xx by server 10.0.0.xx.
fn offer(rig: &Rig, server: Ipv4Addr, options: &[(u8, &[u8])]) -> Vec<u8> {
    let [a, b, c, d] = server.octets();
    rig.last().reply(Offered, server, Ipv4Addr::new(a, b, c, d + 100), options)
}

/// A client that has heard three offers, best last.
fn with_three_offers() -> Rig {
    let mut rig = Rig::started(windowed());
    rig.hear(&offer(&rig, SERVER, &[TIME])).unwrap();
    rig.run_until(at(500));
    rig.hear(&offer(&rig, OTHER, &[TIME, DNS])).unwrap();
    rig.hear(&offer(&rig, THIRD, &[TIME, ROUTER, DNS])).unwrap();
    assert_eq!(rig.client.state(), StateName::Selecting);
    rig
}

#[test]
fn rule_6_the_window_takes_the_best_and_its_first_offer_opens_it() {
    let mut rig = with_three_offers();
    rig.run_until(at(999));
    assert_eq!(rig.log(), [(Discover, 0)]);
    rig.run_until(at(1_000));
    assert_eq!(rig.last().option(54), Some(THIRD.octets().into()));
    assert_eq!(rig.log(), [(Discover, 0), (Request, 1)]);
    let discover = rig.world.sent[0].header();
    let request = rig.last().header();
    assert_eq!((request.xid, request.secs), (discover.xid, discover.secs), "rules 4 and 5");
    assert_eq!(rig.client.counters().get(Tally::ReceivedOffer), 3);
}

#[test]
fn rule_6_no_discover_goes_out_with_an_offer_in_hand() {
    let mut rig = Rig::started(Config { offer_window: Duration::from_secs(9), ..standard() });
    rig.run_until(at(2_500));
    rig.hear(&offer(&rig, SERVER, &[TIME])).unwrap();
    rig.run_until(at(11_500));
    assert_eq!(rig.log(), [(Discover, 0), (Request, 12)]);
}

#[test]
fn rule_6_losers_are_asked_after_a_nak() {
    let mut rig = with_three_offers();
    rig.run_until(at(1_000));
    rig.hear(&{ rig.last().nak(THIRD) }).unwrap();
    rig.run_until(at(1_999));
    assert_eq!(rig.world.sent.len(), 2, "rule 12: the backoff holds here, too");
    rig.run_until(at(2_000));
    assert_eq!(rig.last().option(54), Some(OTHER.octets().into()), "the second best");
    rig.hear(&{ rig.last().nak(OTHER) }).unwrap();
    rig.run_until(at(4_000));
    assert_eq!(rig.last().option(54), Some(SERVER.octets().into()), "the third");
    rig.hear(&{ rig.last().nak(SERVER) }).unwrap();
    rig.run_until(at(8_000));
    assert_eq!(rig.last().kind(), Discover, "nobody is left");
    assert_ne!(rig.last().header().xid, rig.world.sent[0].header().xid, "rule 4: a new one");
}

#[test]
fn rule_6_losers_are_asked_after_silence() {
    let mut rig = Rig::started(Config { profile: crate::Profile::Fast, ..windowed() });
    rig.hear(&offer(&rig, SERVER, &[TIME, DNS])).unwrap();
    rig.hear(&offer(&rig, OTHER, &[TIME])).unwrap();
    rig.run_until(at(14_000));
    let servers: Vec<_> = rig.world.sent[1..].iter().map(|s| s.option(54).unwrap()[3]).collect();
    assert_eq!(servers[..5], [1, 1, 1, 1, 2]);
    let elsewhere = Ipv4Addr::new(10, 0, 0, 102);
    rig.hear(&{ rig.last().reply(Ack, OTHER, elsewhere, &[TIME]) }).unwrap();
    assert_eq!(rig.client.lease().unwrap().address(), elsewhere);
}

#[test]
fn rule_6_an_old_offer_is_not_asked_for() {
    let mut rig = Rig::started(windowed());
    rig.hear(&offer(&rig, SERVER, &[TIME, DNS])).unwrap();
    rig.hear(&offer(&rig, OTHER, &[TIME])).unwrap();
    rig.run_until(at(70_000));
    assert_eq!(rig.last().kind(), Discover, "five REQUESTs took more than a minute");
}

#[test]
fn rule_6_a_policy_may_refuse() {
    fn only_the_third(offer: &crate::offer::OfferView<'_>) -> u32 {
        u32::from(offer.server == THIRD)
    }
    let mut rig = Rig::started(Config { offer_policy: only_the_third, ..standard() });
    let refused = Err(Mismatch::OfferRefused.into());
    assert_eq!(rig.hear(&offer(&rig, SERVER, &[TIME, ROUTER, DNS])), refused);
    rig.hear(&offer(&rig, THIRD, &[TIME])).unwrap();
    assert_eq!(rig.last().option(54), Some(THIRD.octets().into()), "window 0: at once");
}

#[test]
fn rule_6_our_old_address_is_worth_most() {
    let mut rig = Rig::bound_with(windowed(), 100, &[]);
    rig.run_until(at(101_000));
    assert_eq!(rig.last().kind(), Discover, "the lease has expired");
    rig.hear(&offer(&rig, OTHER, &[TIME, ROUTER, DNS])).unwrap();
    rig.hear(&{ rig.last().reply(Offered, SERVER, OURS, &[TIME]) }).unwrap();
    rig.run_until(at(102_000));
    assert_eq!(rig.last().kind(), Request);
    assert_eq!(rig.last().option(50), Some(OURS.octets().into()));
}

/// What a server does whose offers come to nothing.
fn fail(rig: &mut Rig, silent: bool) {
    assert_eq!(rig.last().option(54), Some(SERVER.octets().into()));
    if !silent {
        rig.hear(&{ rig.last().nak(SERVER) }).unwrap();
    }
    while rig.last().kind() != Discover {
        rig.run_until(rig.timeout.unwrap());
    }
}

#[test]
fn rule_6_who_offers_and_does_not_give_keeps_us_from_nobody() {
    for silent in [false, true] {
        // No window: the first offer is taken, unless it is of the server that came to nothing.
        let mut rig = Rig::started(Config { profile: crate::Profile::Fast, ..standard() });
        rig.hear(&offer(&rig, SERVER, &[TIME, ROUTER, DNS])).unwrap();
        fail(&mut rig, silent);
        rig.hear(&offer(&rig, SERVER, &[TIME, ROUTER, DNS])).unwrap();
        assert_eq!(rig.last().kind(), Discover, "it waits for others");
        rig.hear(&offer(&rig, OTHER, &[TIME])).unwrap();
        assert_eq!(rig.last().option(54), Some(OTHER.octets().into()), "and takes theirs at once");
        let elsewhere = Ipv4Addr::new(10, 0, 0, 102);
        rig.hear(&{ rig.last().reply(Ack, OTHER, elsewhere, &[TIME]) }).unwrap();
        assert_eq!(rig.client.lease().unwrap().address(), elsewhere);
    }
}

#[test]
fn rule_6_who_is_alone_is_asked_again_soon() {
    let mut rig = Rig::started(Config { profile: crate::Profile::Fast, ..standard() });
    rig.hear(&offer(&rig, SERVER, &[TIME])).unwrap();
    for wait in [1, 2, 4, 4] {
        fail(&mut rig, true);
        rig.hear(&offer(&rig, SERVER, &[TIME])).unwrap();
        let heard_at = rig.world.now;
        rig.run_until(heard_at + Duration::from_millis(wait * 1_000 - 1));
        assert_eq!(rig.last().kind(), Discover);
        rig.run_until(heard_at + Duration::from_secs(wait));
        assert_eq!(rig.last().kind(), Request);
    }
    rig.hear(&{ rig.last().reply(Ack, SERVER, Ipv4Addr::new(10, 0, 0, 101), &[TIME]) }).unwrap();
    assert!(rig.client.lease().is_some());
}
