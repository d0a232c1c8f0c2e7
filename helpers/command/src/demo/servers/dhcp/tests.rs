//! The server by itself, message by message, and against the real client.

use super::*;

use bringup_core::client::{Checksum, Client as _, Cx, Host, Input, Mac, Rng, Transmit, drive};
use bringup_core::error::ErrorKind;
use bringup_core::time::Utc;
use bringup_dhcp::route::RouteSource;
use bringup_dhcp::{Config, ConflictDetection, DhcpClient, Event, frame, lease};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 10);
const MAC: Mac = Mac([2, 0, 0, 0, 0, 7]);
const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

fn s(n: u64) -> Instant {
    Instant::from_micros(n * 1_000_000)
}

fn network() -> Network {
    let to_all = Route {
        destination: NOBODY,
        prefix_len: 0,
        router: SERVER,
        source: RouteSource::Classless,
    };
    Network {
        domain_name: Some("bringup.test".into()),
        search: vec![Name::from_text("bringup.test").unwrap(), Name::from_text("a.test").unwrap()],
        ntp_servers: vec![SERVER],
        mtu: Some(1400),
        routes: vec![
            to_all,
            Route { destination: [10, 8, 128, 0].into(), prefix_len: 17, ..to_all },
        ],
        ..Network::new(SERVER, 24, FIRST, 2)
    }
}

/// A client's message; the last octet of the MAC tells clients apart.
fn message(client: u8, kind: MessageType, ciaddr: Ipv4Addr, options: &[(u8, &[u8])]) -> Vec<u8> {
    let header =
        Header { ciaddr, ..Header::request(Mac([2, 0, 0, 0, 0, client]), u32::from(client)) };
    let mut buffer = [0; 600];
    let mut w = MessageWriter::new(&mut buffer, &header, kind).unwrap();
    for (code, bytes) in options {
        w.option(*code, bytes).unwrap();
    }
    w.finish().unwrap().to_vec()
}

/// What the server says: type, yiaddr, receiver.
fn told(
    server: &mut DhcpServer,
    now: Instant,
    request: &[u8],
) -> Option<(MessageType, Ipv4Addr, Ipv4Addr)> {
    let mut out = [0; 1500];
    let (to, length) = server.reply(request, now, &mut out)?;
    let reply = Message::parse(&out[..length]).unwrap();
    assert_eq!(reply.header.op, 2);
    assert_eq!(reply.first(54).and_then(Value::address), Some(SERVER));
    Some((reply.message_type()?, reply.header.yiaddr, *to.ip()))
}

const OURS: (u8, &[u8]) = (54, &[10, 9, 0, 1]);
const WANTS_10: (u8, &[u8]) = (50, &[10, 9, 0, 10]);
const WANTS_11: (u8, &[u8]) = (50, &[10, 9, 0, 11]);
const ALL: Ipv4Addr = Ipv4Addr::BROADCAST;

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, 0, last)
}

#[test]
fn a_script_of_requests() {
    use MessageType::{Ack, Decline, Discover, Inform, Nak, Offer, Release, Request};
    let mut server = DhcpServer::new(network());
    let other: (u8, &[u8]) = (54, &[10, 9, 0, 2]);
    let far: (u8, &[u8]) = (50, &[192, 168, 0, 5]);
    type Step<'a> = (
        &'a str,
        u64,
        (u8, MessageType, Ipv4Addr, &'a [(u8, &'a [u8])]),
        Option<(MessageType, Ipv4Addr, Ipv4Addr)>,
    );
    let steps: &[Step<'_>] = &[
        ("first", 0, (1, Discover, NOBODY, &[]), Some((Offer, address(10), ALL))),
        ("again: the same", 1, (1, Discover, NOBODY, &[]), Some((Offer, address(10), ALL))),
        (
            "another, its wish taken",
            1,
            (2, Discover, NOBODY, &[WANTS_10]),
            Some((Offer, address(11), ALL)),
        ),
        ("no address left", 1, (3, Discover, NOBODY, &[]), None),
        ("SELECTING", 2, (1, Request, NOBODY, &[OURS, WANTS_10]), Some((Ack, address(10), ALL))),
        (
            "SELECTING what was not offered",
            2,
            (2, Request, NOBODY, &[OURS, WANTS_10]),
            Some((Nak, NOBODY, ALL)),
        ),
        ("another server's offer taken", 3, (2, Request, NOBODY, &[other, WANTS_11]), None),
        ("ours is free again", 3, (3, Discover, NOBODY, &[]), Some((Offer, address(11), ALL))),
        ("not SELECTING: ciaddr is set", 3, (3, Request, address(11), &[OURS, WANTS_11]), None),
        ("an offer lapses", 60, (3, Request, NOBODY, &[OURS, WANTS_11]), Some((Nak, NOBODY, ALL))),
        ("INIT-REBOOT", 61, (1, Request, NOBODY, &[WANTS_10]), Some((Ack, address(10), ALL))),
        ("INIT-REBOOT, another's", 61, (1, Request, NOBODY, &[WANTS_11]), Some((Nak, NOBODY, ALL))),
        ("INIT-REBOOT, wrong net", 61, (9, Request, NOBODY, &[far]), Some((Nak, NOBODY, ALL))),
        ("INIT-REBOOT, unknown", 61, (9, Request, NOBODY, &[WANTS_10]), None),
        ("RENEWING", 62, (1, Request, address(10), &[]), Some((Ack, address(10), address(10)))),
        ("RENEWING, another's", 62, (1, Request, address(11), &[]), Some((Nak, NOBODY, ALL))),
        ("INFORM", 63, (8, Inform, address(99), &[]), Some((Ack, NOBODY, address(99)))),
        ("INFORM of nobody", 63, (8, Inform, NOBODY, &[]), None),
        ("somebody else's RELEASE", 64, (9, Release, address(10), &[OURS]), None),
        (
            "... changes nothing",
            64,
            (1, Request, address(10), &[]),
            Some((Ack, address(10), address(10))),
        ),
        ("RELEASE", 65, (1, Release, address(10), &[OURS]), None),
        ("... frees", 65, (4, Discover, NOBODY, &[WANTS_10]), Some((Offer, address(10), ALL))),
        ("DECLINE", 66, (4, Decline, NOBODY, &[OURS, WANTS_10]), None),
        (
            "... and it is not given out",
            66,
            (4, Discover, NOBODY, &[WANTS_10]),
            Some((Offer, address(11), ALL)),
        ),
        (
            "... for an hour",
            3667,
            (5, Discover, NOBODY, &[WANTS_10]),
            Some((Offer, address(10), ALL)),
        ),
    ];
    for (step, at, (client, kind, ciaddr, options), expected) in steps {
        let request = message(*client, *kind, *ciaddr, options);
        assert_eq!(told(&mut server, s(*at), &request), *expected, "{step}");
    }
}

#[test]
fn a_lease_ends() {
    let mut server = DhcpServer::new(Network { count: 1, ..network() });
    let discover = |client| message(client, MessageType::Discover, NOBODY, &[]);
    let request = message(1, MessageType::Request, NOBODY, &[OURS, WANTS_10]);
    told(&mut server, s(0), &discover(1)).unwrap();
    told(&mut server, s(0), &request).unwrap();
    assert_eq!(server.bound().map(|(a, _)| a).collect::<Vec<_>>(), [FIRST]);
    assert_eq!(told(&mut server, s(3599), &discover(2)), None);
    assert!(told(&mut server, s(3600), &discover(2)).is_some());
}

#[test]
fn what_is_no_request_gets_no_reply() {
    let mut server = DhcpServer::new(network());
    let good = message(1, MessageType::Discover, NOBODY, &[]);
    for (index, octet) in [(0, 2), (1, 6), (2, 16), (24, 10), (236, 0), (242, 2)] {
        let mut bytes = good.clone();
        bytes[index] = octet;
        assert_eq!(told(&mut server, s(0), &bytes), None, "octet {index}");
    }
    for end in 0..243 {
        assert_eq!(told(&mut server, s(0), &good[..end]), None, "{end}");
    }
    assert_eq!(server.reply(&good, s(0), &mut [0; 299]), None, "no room");
    assert!(told(&mut server, s(0), &good).is_some());
}

#[test]
fn only_what_was_asked_for() {
    let mut server = DhcpServer::new(network());
    let codes = |server: &mut DhcpServer, options: &[(u8, &[u8])]| -> Vec<u8> {
        let mut out = [0; 1500];
        let request = message(1, MessageType::Discover, NOBODY, options);
        let (_, length) = server.reply(&request, s(0), &mut out).unwrap();
        Message::parse(&out[..length]).unwrap().options().map(|o| o.code).collect()
    };
    assert_eq!(codes(&mut server, &[(55, &[6, 1])]), [53, 54, 51, 58, 59, 1, 6]);
    assert_eq!(
        codes(&mut server, &[(61, b"\0name")]),
        [53, 54, 61, 51, 58, 59, 1, 121, 3, 6, 15, 26, 28, 42, 119],
    );
}

/// A client, its wire, and what it has said.
struct World {
    now: Instant,
    seed: u64,
    wire: Vec<Vec<u8>>,
    events: Vec<Event>,
}

impl Rng for World {
    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = self.seed.to_be_bytes()[0];
        }
    }
}

impl Host<Event> for World {
    fn cx(&mut self) -> Cx<'_> {
        Cx { now: self.now, utc: Utc::UNIX_EPOCH, rng: self }
    }
    fn transmit(&mut self, transmit: Transmit<'_>) -> Result<usize, ErrorKind> {
        match transmit {
            Transmit::Frame { payload, .. } => {
                let datagram = frame::parse(payload, 67, Checksum::Complete).unwrap();
                self.wire.push(datagram.bytes.to_vec());
            }
            Transmit::Datagram { bytes, .. } => self.wire.push(bytes.to_vec()),
            _ => {}
        }
        Ok(0)
    }
    fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}

/// Drives the client until neither has anything to say; gives when its timer is to fire.
fn settle(client: &mut DhcpClient<'_>, server: &mut DhcpServer, world: &mut World) -> Instant {
    let mut buffer = [0; 1500];
    loop {
        let timer = drive(client, world, &mut buffer).unwrap();
        if world.wire.is_empty() {
            return timer;
        }
        for request in std::mem::take(&mut world.wire) {
            let mut out = [0; 1500];
            let length = {
                let area = frame::payload_area(&mut out);
                let Some((_, length)) = server.reply(&request, world.now, area) else { continue };
                length
            };
            let from = SocketAddrV4::new(SERVER, 67);
            let payload = frame::seal(&mut out, length, from, SocketAddrV4::new(ALL, 68)).unwrap();
            let input = Input::Frame {
                socket: 0,
                from: Mac([2, 0, 0, 0, 0, 1]),
                ethertype: frame::ETHERTYPE_IPV4,
                payload,
                checksum: Checksum::Complete,
                received_at: world.now,
            };
            client.handle_input(&mut world.cx(), input).unwrap();
        }
    }
}

#[test]
fn the_client_gets_a_lease_and_renews_it() {
    for rapid_commit in [false, true] {
        let mut server = DhcpServer::new(Network { rapid_commit, ..network() });
        let mut storage = [0; lease::STORAGE_LEN];
        // No ARP: this wire has DHCP only.
        let conflict_detection = ConflictDetection::Off;
        let config = Config { conflict_detection, detect_attachment: false, ..Config::new(MAC) };
        let mut client = DhcpClient::new(config, &mut storage);
        let mut world = World { now: s(100), seed: 1, wire: vec![], events: vec![] };
        client.start(&mut world.cx());
        let mut timer = settle(&mut client, &mut server, &mut world);
        for _ in 0..3 {
            if world.events.is_empty() {
                world.now = timer;
                client.handle_timeout(&mut world.cx());
                timer = settle(&mut client, &mut server, &mut world);
            }
        }
        assert_eq!(world.events, [Event::Bound], "{rapid_commit}");
        let lease = client.lease().unwrap();
        assert_eq!((lease.address(), lease.prefix_len()), (FIRST, 24));
        assert_eq!((lease.mtu(), lease.broadcast_address()), (Some(1400), Some(address(255))));
        assert!(lease.dns_servers().eq([SERVER]) && lease.ntp_servers().eq([SERVER]));
        assert_eq!(lease.domain_name().map(|n| n.as_str()), Some("bringup.test"));
        let search: Vec<_> = lease.search_names().map(|n| n.to_string()).collect();
        assert_eq!(search, ["bringup.test", "a.test"]);
        let routes: Vec<_> =
            lease.routes().map(|r| (r.destination, r.prefix_len, r.router)).collect();
        assert_eq!(routes, [(NOBODY, 0, SERVER), ([10, 8, 128, 0].into(), 17, SERVER)]);
        let renew_at = lease.times().unwrap().renew_at;
        assert_eq!((renew_at, timer), (world.now + Duration::from_secs(1800), renew_at));

        world.events.clear();
        world.now = renew_at;
        client.handle_timeout(&mut world.cx());
        settle(&mut client, &mut server, &mut world);
        assert_eq!(world.events, [Event::Renewed { changed: false }], "{rapid_commit}");
        assert_eq!(client.lease().unwrap().requested_at(), renew_at);
    }
}
