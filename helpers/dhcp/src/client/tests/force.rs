//! FORCERENEW: obeyed with the nonce of an ACK, ignored in every other case.

use super::*;
use crate::md5::hmac;
use MessageType::{Ack, ForceRenew, Request};

const KEY: [u8; 16] = *b"sixteen octets!!";
const T1: (u8, &[u8]) = (58, &[0, 0, 0, 200]);

fn willing() -> Config<'static> {
    Config { force_renew: true, ..standard() }
}

/// Option 90 as of RFC 6704: a nonce (1) or a digest (2).
fn auth(replay: u64, kind: u8, value: [u8; 16]) -> Vec<u8> {
    [&[3, 1, 0][..], &replay.to_be_bytes(), &[kind], &value].concat()
}

/// A client whose lease came with a nonce at replay count 7.
fn bound() -> (Rig, Sent) {
    let mut rig = Rig::bound_with(willing(), 600, &[T1, (90, &auth(7, 1, KEY))]);
    rig.drive();
    let question = {
        let other = Rig::started(standard());
        other.last()
    };
    (rig, question)
}

/// A FORCERENEW with this count, signed with this key.
fn signed(question: &Sent, replay: u64, key: [u8; 16]) -> Vec<u8> {
    let digest_at_zero = auth(replay, 2, [0; 16]);
    let mut message =
        question.reply(ForceRenew, SERVER, Ipv4Addr::UNSPECIFIED, &[(90, &digest_at_zero)]);
    let digest = hmac(&key, message.iter().copied());
    // 53, 54, then 90: code, length, and 12 octets before the value.
    let at = 240 + 3 + 6 + 2 + 12;
    message[at..at + 16].copy_from_slice(&digest);
    message
}

#[test]
fn rule_44_145_goes_out_in_every_discover_and_request() {
    let (rig, _) = bound();
    assert_eq!(rig.world.open, [false, true, false], "and a nonce is listened for");
    let mut rig = Rig::started(willing());
    assert_eq!(rig.last().option(145), Some([1].into()));
    rig.hear(&{ rig.last().offer(600) }).unwrap();
    assert_eq!(rig.last().option(145), Some([1].into()));
    assert_eq!(rig.last().option(90), None, "MUST NOT be sent");
    assert_eq!(Rig::started(standard()).last().option(145), None);
    let mut rig = Rig::new(1, willing());
    rig.client.inform(&mut rig.world.cx(), OURS, None);
    rig.drive();
    assert_eq!(rig.last().option(145), None);
}

#[test]
fn rule_33_a_signed_one_renews_once() {
    let (mut rig, question) = bound();
    rig.run_until(at(50_000));
    rig.hear_datagram(&signed(&question, 8, KEY)).unwrap();
    assert_eq!((rig.client.state(), rig.log()), (StateName::Renewing, [(Request, 50)].into()));
    let ack = rig.last().reply(Ack, SERVER, OURS, &[(51, &[0, 0, 2, 88]), T1]);
    rig.hear_datagram(&ack).unwrap();
    assert_eq!(rig.events(), [Event::Renewed { changed: false }]);
    // The nonce stays; the count rises.
    assert_eq!(
        rig.hear_datagram(&signed(&question, 8, KEY)),
        Err(Mismatch::NotAuthentic.into()),
        "repeated"
    );
    rig.hear_datagram(&signed(&question, 9, KEY)).unwrap();
    assert_eq!(rig.world.sent.len(), 2);
}

#[test]
fn rule_33_whatever_is_not_right_moves_nothing() {
    let (mut rig, question) = bound();
    let good = signed(&question, 8, KEY);
    let not_authentic = Mismatch::NotAuthentic;
    type Row = (&'static str, fn(&mut Vec<u8>), Mismatch);
    let rows: [Row; 8] = [
        ("a digest off by a bit", |m| m[263] ^= 1, not_authentic),
        ("another message", |m| m[16] ^= 1, not_authentic),
        ("a later count, not signed", |m| m[261] = 9, not_authentic),
        ("a nonce in place of a digest", |m| m[262] = 1, not_authentic),
        ("another protocol", |m| m[251] = 1, not_authentic),
        ("no option 90", |m| m[249] = 91, not_authentic),
        ("another chaddr", |m| m[28] ^= 1, Mismatch::WrongChaddr),
        ("a client's message", |m| m[0] = 1, Mismatch::WrongOp),
    ];
    let old = signed(&question, 7, KEY);
    assert_eq!(rig.hear_datagram(&old), Err(not_authentic.into()), "the count of the ACK");
    for (name, change, why) in rows {
        let mut bad = good.clone();
        change(&mut bad);
        assert_eq!(rig.hear_datagram(&bad), Err(why.into()), "{name}");
    }
    let other_key = signed(&question, 8, [0; 16]);
    assert_eq!(rig.hear_datagram(&other_key), Err(not_authentic.into()));
    assert!(rig.hear(&good).is_err(), "by broadcast");
    for end in 0..good.len().min(290) {
        let mut rig = bound().0;
        // Nothing that counts stands behind the digest but END and padding, which are signed.
        assert!(rig.hear_datagram(&good[..end]).is_err(), "{end}");
    }
    assert!(rig.world.sent.is_empty());
    // Relays may change hops and giaddr (RFC 3118 §3).
    let mut relayed = good;
    (relayed[3], relayed[24]) = (1, 10);
    rig.hear_datagram(&relayed).unwrap();
}

#[test]
fn rule_44_an_ack_without_the_promised_nonce_is_refused_with_backoff() {
    let mut rig = Rig::started(willing());
    let time: (u8, &[u8]) = (51, &[0, 0, 2, 88]);
    for n in 0..3u64 {
        let offer = rig.last().reply(MessageType::Offer, SERVER, OURS, &[time, (145, &[1])]);
        rig.hear(&offer).unwrap();
        // From the second time on, others have a chance to offer, too.
        rig.run_until(rig.world.now + Duration::from_secs(n));
        rig.hear(&{ rig.last().ack(600) }).unwrap();
        assert_eq!((rig.client.state(), rig.events()), (StateName::Init, Vec::new()));
        assert_eq!(rig.timeout, Some(rig.world.now + Duration::from_secs(1 << n)));
        rig.run_until(rig.timeout.unwrap());
    }
    assert_eq!(rig.client.counters().get(Tally::AckWithoutNonce), 3);
}

#[test]
fn rule_44_what_is_no_nonce_opens_nothing() {
    let other_protocol = [&[1, 1, 0][..], &auth(7, 1, KEY)[3..]].concat();
    let longer = [&auth(7, 1, KEY)[..], &[0]].concat();
    for (name, config, option) in [
        ("not asked for", standard(), &auth(7, 1, KEY)),
        ("a digest", willing(), &auth(7, 2, KEY)),
        ("another protocol", willing(), &other_protocol),
        ("too long", willing(), &longer),
    ] {
        let rig = Rig::bound_with(config, 600, &[T1, (90, option)]);
        assert_eq!(rig.world.open, [false; 3], "{name}");
    }
}

#[test]
fn rule_33_an_infinite_lease_is_renewed_and_holds_whatever_comes() {
    let mut rig = Rig::bound_with(willing(), u32::MAX, &[(90, &auth(7, 1, KEY))]);
    let (_, question) = bound();
    rig.hear_datagram(&signed(&question, 8, KEY)).unwrap();
    rig.run_until(at(1_000_000_000));
    assert_eq!((rig.world.sent.len(), rig.events().len()), (1, 0));
    assert!(rig.client.lease().is_some());
}

#[test]
fn rule_44_another_server_needs_its_own_nonce() {
    let mut rig = Rig::bound_with(willing(), 160, &[(90, &auth(7, 1, KEY)), (59, &[0, 0, 0, 100])]);
    rig.run_until(at(100_000));
    assert_eq!(rig.client.state(), StateName::Rebinding);
    rig.hear(&{ rig.last().reply(Ack, OTHER, OURS, &[(51, &[0, 0, 2, 88])]) }).unwrap();
    assert_eq!(rig.world.open, [false; 3], "the old key is nobody's now");
}
