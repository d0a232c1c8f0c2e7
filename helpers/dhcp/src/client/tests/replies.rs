//! A server that misbehaves, row by row: nothing that it sends may cost a good offer, a timer or a
//! packet.

use super::*;
use MessageType::{Ack, Discover, Nak, Offer as Offered, Request};

/// What is done to a good OFFER, and why it is discarded.
type Row = (&'static str, fn(&mut Vec<u8>), Discard);

const fn mismatch(why: Mismatch) -> Discard {
    Discard::Mismatch(why)
}

/// Replaces the options after the cookie.
fn options(message: &mut Vec<u8>, options: &[u8]) {
    message.truncate(240);
    message.extend(options);
}

const BAD_OFFERS: &[Row] = &[
    ("op 1", |m| m[0] = 1, mismatch(Mismatch::WrongOp)),
    ("htype 6", |m| m[1] = 6, mismatch(Mismatch::WrongHardwareType)),
    ("hlen 16", |m| m[2] = 16, mismatch(Mismatch::WrongHardwareType)),
    ("hlen 0", |m| m[2] = 0, mismatch(Mismatch::WrongHardwareType)),
    ("another chaddr", |m| m[33] ^= 1, mismatch(Mismatch::WrongChaddr)),
    ("chaddr with a tail", |m| m[43] = 1, mismatch(Mismatch::WrongChaddr)),
    ("another xid", |m| m[7] ^= 1, mismatch(Mismatch::WrongXid)),
    ("no cookie", |m| m[236] = 0, Discard::Malformed(crate::message::Malformed::Cookie)),
    ("short", |m| m.truncate(239), Discard::Malformed(crate::message::Malformed::Truncated)),
    ("empty", Vec::clear, Discard::Malformed(crate::message::Malformed::Truncated)),
    ("no options", |m| options(m, &[255]), mismatch(Mismatch::MissingMessageType)),
    (
        "53 of length 2",
        |m| options(m, &[53, 2, 2, 2, 54, 4, 10, 0, 0, 1]),
        mismatch(Mismatch::MissingMessageType),
    ),
    (
        "53 of length 0",
        |m| options(m, &[53, 0, 54, 4, 10, 0, 0, 1]),
        mismatch(Mismatch::MissingMessageType),
    ),
    (
        "53 = 0",
        |m| options(m, &[53, 1, 0, 54, 4, 10, 0, 0, 1]),
        mismatch(Mismatch::MissingMessageType),
    ),
    (
        "53 = 99",
        |m| options(m, &[53, 1, 99, 54, 4, 10, 0, 0, 1]),
        mismatch(Mismatch::MissingMessageType),
    ),
    ("a DISCOVER", |m| m[242] = 1, mismatch(Mismatch::WrongMessageType)),
    ("an ACK without 80", |m| m[242] = 5, mismatch(Mismatch::WrongMessageType)),
    ("a NAK", |m| m[242] = 6, mismatch(Mismatch::WrongMessageType)),
    ("a FORCERENEW", |m| m[242] = 9, mismatch(Mismatch::WrongMessageType)),
    (
        "no 54",
        |m| options(m, &[53, 1, 2, 51, 4, 0, 0, 9, 9]),
        mismatch(Mismatch::MissingServerIdentifier),
    ),
    (
        "54 of length 3",
        |m| options(m, &[53, 1, 2, 54, 3, 10, 0, 0]),
        mismatch(Mismatch::MissingServerIdentifier),
    ),
    (
        "54 = 0.0.0.0",
        |m| options(m, &[53, 1, 2, 54, 4, 0, 0, 0, 0]),
        mismatch(Mismatch::MissingServerIdentifier),
    ),
    (
        "54 = broadcast",
        |m| options(m, &[53, 1, 2, 54, 4, 255, 255, 255, 255]),
        mismatch(Mismatch::MissingServerIdentifier),
    ),
    ("yiaddr 0", |m| m[16..20].fill(0), mismatch(Mismatch::BadYiaddr)),
    (
        "yiaddr the subnet's broadcast",
        |m| {
            m[19] = 255;
            options(
                m,
                &[53, 1, 2, 54, 4, 10, 0, 0, 1, 51, 4, 0, 0, 14, 16, 1, 4, 255, 255, 255, 0],
            );
        },
        mismatch(Mismatch::BadYiaddr),
    ),
    (
        "yiaddr the subnet itself",
        |m| {
            m[19] = 128;
            options(
                m,
                &[53, 1, 2, 54, 4, 10, 0, 0, 1, 51, 4, 0, 0, 14, 16, 1, 4, 255, 255, 255, 192],
            );
        },
        mismatch(Mismatch::BadYiaddr),
    ),
    (
        "yiaddr a network by its class, without 1",
        |m| m[16..20].copy_from_slice(&[10, 0, 0, 0]),
        mismatch(Mismatch::BadYiaddr),
    ),
    (
        "yiaddr 127.0.0.1",
        |m| m[16..20].copy_from_slice(&[127, 0, 0, 1]),
        mismatch(Mismatch::BadYiaddr),
    ),
    (
        "yiaddr 224.0.0.9",
        |m| m[16..20].copy_from_slice(&[224, 0, 0, 9]),
        mismatch(Mismatch::BadYiaddr),
    ),
    (
        "yiaddr 240.0.0.1",
        |m| m[16..20].copy_from_slice(&[240, 0, 0, 1]),
        mismatch(Mismatch::BadYiaddr),
    ),
    (
        "yiaddr the server's own",
        |m| m[16..20].copy_from_slice(&[10, 0, 0, 1]),
        mismatch(Mismatch::BadYiaddr),
    ),
    ("yiaddr broadcast", |m| m[16..20].fill(255), mismatch(Mismatch::BadYiaddr)),
    (
        "no 51",
        |m| options(m, &[53, 1, 2, 54, 4, 10, 0, 0, 1]),
        mismatch(Mismatch::MissingLeaseTime),
    ),
    (
        "51 of length 3",
        |m| options(m, &[53, 1, 2, 54, 4, 10, 0, 0, 1, 51, 3, 0, 9, 9]),
        mismatch(Mismatch::MissingLeaseTime),
    ),
    (
        "lease time 0",
        |m| options(m, &[53, 1, 2, 54, 4, 10, 0, 0, 1, 51, 4, 0, 0, 0, 0]),
        mismatch(Mismatch::LeaseTooShort),
    ),
    (
        "lease time 9",
        |m| options(m, &[53, 1, 2, 54, 4, 10, 0, 0, 1, 51, 4, 0, 0, 0, 9]),
        mismatch(Mismatch::LeaseTooShort),
    ),
    (
        "someone else's 61",
        |m| options(m, &[53, 1, 2, 54, 4, 10, 0, 0, 1, 51, 4, 0, 0, 9, 9, 61, 2, 1, 2]),
        mismatch(Mismatch::WrongClientIdentifier),
    ),
];

#[test]
fn rules_22_23_30_32_bad_offers_cost_nothing() {
    for (name, change, why) in BAD_OFFERS {
        let mut rig = Rig::started(standard());
        let mut bad = rig.last().offer(600);
        change(&mut bad);
        for _ in 0..3 {
            assert_eq!(rig.hear(&bad), Err(*why), "{name}");
        }
        // The good one after it counts.
        rig.hear(&{ rig.last().offer(600) }).unwrap();
        assert_eq!(rig.log(), [(Discover, 0), (Request, 0)], "{name}");
    }
}

#[test]
fn the_same_rows_cost_nothing_while_an_ack_is_awaited() {
    for (name, change, _) in BAD_OFFERS {
        let mut rig = Rig::started(standard());
        rig.hear(&{ rig.last().offer(600) }).unwrap();
        let mut bad = rig.last().ack(600);
        change(&mut bad);
        if *name == "a NAK" || *name == "an ACK without 80" {
            continue; // from the chosen server: what it says is what it may say
        }
        assert!(rig.hear(&bad).is_err(), "{name}");
        rig.hear(&{ rig.last().ack(600) }).unwrap();
        assert_eq!(rig.events(), [Event::Bound], "{name}");
    }
}

#[test]
fn rule_32_our_own_61_and_none_are_fine() {
    for echoed in [&[][..], &[61, 7, 1, 2, 0, 0, 0, 0, 7], &[61, 3, 1, 2, 0, 61, 4, 0, 0, 0, 7]] {
        let mut rig = Rig::started(standard());
        let mut offer = rig.last().offer(600);
        options(&mut offer, &[53, 1, 2, 54, 4, 10, 0, 0, 1, 51, 4, 0, 0, 9, 9]);
        offer.extend(echoed);
        assert_eq!(rig.hear(&offer), Ok(()), "{echoed:?}");
    }
}

#[test]
fn rule_23_the_ack_must_be_the_one_that_was_asked_for() {
    let time: [(u8, &[u8]); 1] = [(51, &600u32.to_be_bytes())];
    let other_address = Ipv4Addr::new(10, 0, 0, 51);
    let mut rig = Rig::started(standard());
    rig.hear(&{ rig.last().offer(600) }).unwrap();
    let request = rig.last();
    for (name, reply, why) in [
        ("acksid", request.reply(Ack, OTHER, OURS, &time), Mismatch::WrongServer),
        ("ackip", request.reply(Ack, SERVER, other_address, &time), Mismatch::WrongYiaddr),
        ("nakother", request.nak(OTHER), Mismatch::WrongServer),
        ("rule 49: late OFFER", request.offer(600), Mismatch::WrongMessageType),
        ("lease 0", request.ack(0), Mismatch::LeaseTooShort),
        ("lease 9", request.ack(9), Mismatch::LeaseTooShort),
        ("no lease time", request.reply(Ack, SERVER, OURS, &[]), Mismatch::MissingLeaseTime),
    ] {
        assert_eq!(rig.hear(&reply), Err(why.into()), "{name}");
    }
    rig.hear(&request.ack(10)).unwrap();
    assert_eq!(rig.events(), [Event::Bound]);
}

#[test]
fn rule_37_in_bound_everything_is_discarded() {
    let mut rig = Rig::bound(600, &[]);
    let mut other = Rig::started(standard());
    other.hear(&{ other.last().offer(600) }).unwrap();
    for kind in [Offered, Ack, Nak, MessageType::ForceRenew] {
        let time: [(u8, &[u8]); 1] = [(51, &600u32.to_be_bytes())];
        let reply = other.last().reply(kind, SERVER, OURS, &time);
        assert_eq!(rig.hear(&reply), Err(Mismatch::Unsolicited.into()), "{kind}");
        assert_eq!(rig.hear_datagram(&reply), Err(Mismatch::Unsolicited.into()), "{kind}");
    }
    assert!(rig.world.sent.is_empty() && rig.events().is_empty());
}

#[test]
fn nothing_is_an_answer_before_the_question_went_out() {
    let mut rig = Rig::new(1, standard());
    rig.client.start(&mut rig.world.cx());
    let xid = rig.client.state.exchange().unwrap().xid;
    let probe = Sent {
        at: at(0),
        to: None,
        source: None,
        bytes: {
            let mut buffer = [0; 600];
            let header = Header::request(MAC, xid);
            MessageWriter::new(&mut buffer, &header, Discover).unwrap().finish().unwrap().to_vec()
        },
    };
    let early = rig.client.handle_input(
        &mut rig.world.cx(),
        Input::Datagram {
            socket: UNICAST,
            from: SocketAddr::V4(SocketAddrV4::new(SERVER, 67)),
            bytes: &probe.offer(600),
            received_at: at(0),
        },
    );
    assert_eq!(early, Err(Mismatch::Unsolicited.into()));
}

#[test]
fn rule_12_the_nak_loop_backs_off() {
    let mut rig = Rig::started(standard());
    for n in 0..9 {
        rig.hear(&{ rig.last().offer(600) }).unwrap();
        // From the second time on, others have a chance to offer, too.
        let wait = Duration::from_secs([0, 1, 2, 4][n.min(3)]);
        rig.run_until(rig.world.now + wait);
        assert_eq!(rig.last().kind(), Request);
        rig.hear(&{ rig.last().nak(SERVER) }).unwrap();
        assert_eq!(rig.events(), [Event::Nak { server: SERVER }]);
        assert_eq!(rig.client.state(), StateName::Init);
        let backoff = Duration::from_secs(1 << n.min(6));
        assert_eq!(rig.timeout, Some(rig.world.now + backoff), "NAK number {n}");
        rig.run_until(rig.world.now + backoff);
        assert_eq!(rig.last().kind(), Discover);
    }
    assert_eq!(rig.world.sent.len(), 2 * 9 + 1);
    // A lease ends the row of NAKs.
    rig.hear(&{ rig.last().offer(600) }).unwrap();
    rig.run_until(rig.timeout.unwrap());
    rig.hear(&{ rig.last().ack(600) }).unwrap();
    rig.run_until(rig.timeout.unwrap());
    rig.hear(&{ rig.last().nak(SERVER) }).unwrap();
    assert_eq!(rig.timeout, Some(rig.world.now + Duration::from_secs(1)));
}

#[test]
fn rule_12_a_nak_takes_the_lease_away_at_once() {
    for (when, server) in [(20_000, SERVER), (100_000, OTHER)] {
        let mut rig = Rig::bound(160, &[(58, &20u32.to_be_bytes()), (59, &100u32.to_be_bytes())]);
        rig.run_until(at(when));
        if server == SERVER {
            let foreign = rig.last().nak(OTHER);
            assert_eq!(rig.hear(&foreign), Err(Mismatch::WrongServer.into()), "RENEWING");
        }
        rig.hear(&{ rig.last().nak(server) }).unwrap();
        let lost = Event::Lost { why: LostReason::Nak };
        assert_eq!(rig.events(), [Event::Nak { server }, lost]);
        assert!(rig.client.lease().is_none());
    }
}

#[test]
fn inputs_on_other_sockets_are_not_for_us() {
    let mut rig = Rig::started(standard());
    let offer = rig.last().offer(600);
    let from = SocketAddr::V4(SocketAddrV4::new(SERVER, 67));
    let received_at = at(0);
    let arp = Input::Frame {
        socket: LINK,
        from: MAC,
        ethertype: 0x0806,
        payload: &offer,
        checksum: Checksum::Complete,
        received_at,
    };
    for input in [
        arp,
        Input::Datagram { socket: 9, from, bytes: &offer, received_at },
        Input::Stream { conn: 0, input: bringup_core::client::StreamInput::Connected },
    ] {
        assert_eq!(rig.hear_input(input), Err(Mismatch::NotForUs.into()));
    }
}

#[test]
fn rule_25_26_a_rich_and_ugly_ack_is_read_as_far_as_it_goes() {
    let mut rig = Rig::started(standard());
    rig.hear(&{ rig.last().offer(600) }).unwrap();
    let mut ack = rig.last().ack(600);
    options(&mut ack, &[0, 53, 1, 5, 0, 0, 52, 1, 3, 54, 4, 10, 0, 0, 1, 51, 4, 0, 0, 2, 88]);
    ack.extend([6, 5, 1, 2, 3, 4, 5, 3, 0, 26, 3, 5, 220, 0, 1, 5, 255, 255, 255, 0, 0]);
    ack.extend([15, 4, b'a', b';', b'r', b'm', 42, 200, 1, 2]);
    // file: a router in two instances; sname: DNS, without END.
    ack[108..120].copy_from_slice(&[3, 4, 10, 0, 0, 1, 3, 4, 10, 0, 0, 2]);
    ack[44..50].copy_from_slice(&[119, 4, 1, b'a', 1, b'b']);
    ack[50] = 0;
    rig.hear(&ack).unwrap();
    let lease = rig.client.lease().unwrap();
    assert_eq!(lease.dns_servers().count(), 0, "option 6 of 5 octets");
    assert_eq!(lease.mtu(), None, "option 26 of 3 octets");
    assert_eq!(lease.prefix_len(), 8, "option 1 of 5 octets: by class");
    assert_eq!(lease.domain_name(), None, "shell text");
    assert_eq!(lease.ntp_servers().count(), 0, "cut off");
    assert_eq!(lease.routers().count(), 2, "option 3 of 0 octets, then two routers in `file`");
    assert_eq!(lease.routes().count(), 1);
    assert_eq!(lease.option(119).map(|v| v.0.len()), Some(4), "raw");
    assert_eq!(rig.client.counters().get(Tally::OptionsMalformed), 3);
}

#[test]
fn rule_38_an_ack_of_1400_octets() {
    let mut rig = Rig::started(standard());
    rig.hear(&{ rig.last().offer(600) }).unwrap();
    let routes: Vec<u8> = (0..140u8).flat_map(|n| [24, 10, 1, n, 10, 0, 0, 1]).collect();
    let options: [(u8, &[u8]); 2] = [(51, &600u32.to_be_bytes()), (121, &routes)];
    rig.hear(&{ rig.last().reply(Ack, SERVER, OURS, &options) }).unwrap();
    assert_eq!(rig.client.lease().unwrap().routes().count(), 140);
}

#[test]
fn a_good_ack_truncated_at_every_octet_binds_or_is_discarded() {
    let mut whole = Rig::started(standard());
    whole.hear(&{ whole.last().offer(600) }).unwrap();
    let ack = whole.last().ack(600);
    for end in 0..ack.len() {
        let mut rig = Rig::started(standard());
        rig.hear(&{ rig.last().offer(600) }).unwrap();
        // 53 (3), 54 (6), 51 (6) stand first.
        let enough = end >= 240 + 15;
        assert_eq!(rig.hear(&ack[..end]).is_ok(), enough, "{end}");
    }
}

#[test]
fn a_lease_that_is_over_when_its_ack_comes_is_refused() {
    let mut rig = Rig::started(standard());
    rig.hear(&{ rig.last().offer(12) }).unwrap();
    let request = rig.last();
    rig.run_until(at(12_500));
    assert_eq!(rig.hear(&request.ack(12)), Err(Mismatch::LeaseTooShort.into()));
}

#[test]
fn rule_10_an_ack_in_the_moment_of_expiry_is_too_late() {
    let mut rig = Rig::bound(160, &[(58, &20u32.to_be_bytes()), (59, &100u32.to_be_bytes())]);
    rig.run_until(at(159_999));
    rig.world.now = at(160_000);
    let ack = rig.last().ack(160);
    assert_eq!(rig.hear(&ack), Err(Mismatch::Unsolicited.into()));
    rig.run_until(at(160_000));
    assert_eq!(rig.events(), [Event::Lost { why: LostReason::Expired }]);
}
