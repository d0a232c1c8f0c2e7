//! INFORM: configuration without a lease.

use super::*;
use MessageType::{Ack, Discover, Inform, Nak};

fn informing(server: Option<Ipv4Addr>) -> Rig {
    let mut rig = Rig::new(1, Config { hostname: Some(b"box"), ..standard() });
    rig.client.inform(&mut rig.world.cx(), OURS, server);
    rig.drive();
    rig
}

#[test]
fn rules_14_43_inform() {
    for (server, to) in [(None, None), (Some(SERVER), Some(SERVER))] {
        let mut rig = informing(server);
        let inform = rig.last();
        assert_eq!(inform.kind(), Inform);
        assert_eq!(inform.to.map(|to| to.ip()), to.map(core::net::IpAddr::V4));
        assert_eq!(inform.codes(), [53, 61, 57, 12, 55], "neither 50 nor 51 nor 54 nor 80");
        assert_eq!((inform.header().ciaddr, inform.header().yiaddr), (OURS, [0; 4].into()));
        assert_eq!(inform.source, to.is_none().then_some(OURS));
        // yiaddr 0, no 51; and where there is a 51, it means nothing.
        let options: [(u8, &[u8]); 2] = [(6, &[10, 0, 0, 3]), (51, &[0, 0, 0, 1])];
        let ack = inform.reply(Ack, SERVER, Ipv4Addr::UNSPECIFIED, &options);
        let heard = if to.is_some() { rig.hear_datagram(&ack) } else { rig.hear(&ack) };
        assert_eq!(heard, Ok(()));
        assert_eq!(rig.events(), [Event::Informed]);
        let informed = rig.client.informed().unwrap();
        assert_eq!((informed.address(), informed.times()), (OURS, None));
        assert_eq!(informed.dns_servers().next(), Some(Ipv4Addr::new(10, 0, 0, 3)));
        assert!(rig.client.lease().is_none());
        assert_eq!((rig.client.state(), rig.timeout), (StateName::Stopped, None));
    }
}

#[test]
fn rule_43_four_tries_then_the_user_is_told() {
    let mut rig = informing(None);
    rig.run_until(at(90_000));
    assert_eq!(rig.world.sent.len(), 4);
    assert_eq!(rig.events(), [Event::NoServer]);
    assert_eq!((rig.client.state(), rig.timeout), (StateName::Stopped, None));
    assert!(rig.world.now.since(rig.world.sent[3].at) > Duration::from_secs(20), "60 s in all");
}

#[test]
fn rule_43_only_the_server_that_was_asked_and_only_an_ack() {
    let mut rig = informing(Some(SERVER));
    let inform = rig.last();
    let zero = Ipv4Addr::UNSPECIFIED;
    let other = inform.reply(Ack, OTHER, zero, &[]);
    assert_eq!(rig.hear(&other), Err(Mismatch::WrongServer.into()));
    for kind in [Nak, MessageType::Offer] {
        let reply = inform.reply(kind, SERVER, zero, &[]);
        assert_eq!(rig.hear(&reply), Err(Mismatch::WrongMessageType.into()), "{kind}");
    }
    rig.hear(&inform.reply(Ack, SERVER, zero, &[])).unwrap();
}

#[test]
fn rules_34_43_another_link_address_does_not_make_it_want_a_lease() {
    let change = |client: &mut DhcpClient<'static>, cx: &mut Cx<'_>| {
        client.set_link_address(cx, Mac([2, 0, 0, 0, 0, 8]));
    };
    for is_answered in [false, true] {
        let mut rig = informing(None);
        if is_answered {
            rig.hear(&{ rig.last().reply(Ack, SERVER, Ipv4Addr::UNSPECIFIED, &[]) }).unwrap();
        }
        rig.call(change);
        assert_eq!((rig.client.state(), rig.timeout), (StateName::Stopped, None));
        assert!(rig.client.informed().is_none(), "that was said to another client");
        rig.run_until(at(90_000));
        assert_eq!(rig.log(), [(Inform, 0)], "no DISCOVER");
        rig.client.inform(&mut rig.world.cx(), OURS, None);
        rig.drive();
        assert_eq!((rig.last().kind(), rig.last().header().chaddr[5]), (Inform, 8));
    }
    // Nor does one that is about to give its lease back take another.
    let mut rig = Rig::bound(600, &[]);
    rig.client.release(&mut rig.world.cx());
    rig.call(change);
    assert_eq!((rig.client.state(), rig.world.sent.len()), (StateName::Stopped, 0));
    assert_eq!(rig.events(), [Event::Lost { why: LostReason::Released }]);
}

#[test]
fn inform_is_for_a_stopped_client_without_a_lease() {
    let mut rig = Rig::bound(600, &[]);
    rig.client.inform(&mut rig.world.cx(), OURS, None);
    rig.drive();
    assert!(rig.world.sent.is_empty());
    rig.call(DhcpClient::stop);
    rig.client.inform(&mut rig.world.cx(), OURS, None);
    rig.drive();
    assert!(rig.world.sent.is_empty());
    // Nothing of an INFORM reaches the lease after it.
    let mut rig = informing(None);
    let options: [(u8, &[u8]); 1] = [(6, &[10, 0, 0, 3])];
    rig.hear(&{ rig.last().reply(Ack, SERVER, OURS, &options) }).unwrap();
    rig.call(DhcpClient::start);
    assert_eq!(rig.last().kind(), Discover);
    assert!(rig.client.informed().is_none());
    rig.hear(&{ rig.last().offer(600) }).unwrap();
    rig.hear(&{ rig.last().ack(600) }).unwrap();
    assert_eq!(rig.client.lease().unwrap().dns_servers().count(), 0);
}
