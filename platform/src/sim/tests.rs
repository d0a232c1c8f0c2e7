//! The simulator seen through the platform contract.

use core::cell::RefCell;
use core::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use bringup_core::client::LinkFilter;
use bringup_core::platform::{Arm, Interface, Platform, Reboot, UdpOptions, Wake};
use bringup_core::poll::{Interest, Poll, Token};

use super::*;

const DEVICE: Mac = Mac([2, 0, 0, 0, 0, 1]);
const SERVER: Mac = Mac([2, 0, 0, 0, 0, 2]);
const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const THEIRS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 7);
const CLOSED: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 9);
const ANY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);

/// Answers datagrams to port 7 with what they brought, and others with "unreachable". Says something
/// at a time of its own.
#[derive(Default)]
struct Echo {
    heard: Vec<WireFrame>,
    speak: Option<(Instant, WireFrame)>,
}

impl Peer for Echo {
    fn mac(&self) -> Mac {
        SERVER
    }
    fn owns(&self, address: Ipv4Addr) -> bool {
        address == *THEIRS.ip()
    }
    fn receive(&mut self, _: Instant, frame: &WireFrame, out: &mut Outbox) {
        self.heard.push(frame.clone());
        let Some(datagram) = packet::parse_udp(&frame.payload, true) else { return };
        let payload = if datagram.dst == THEIRS {
            packet::udp(datagram.dst, datagram.src, datagram.payload)
        } else {
            packet::port_unreachable(*THEIRS.ip(), &frame.payload).expect("it is UDP")
        };
        out.send(WireFrame { dst: frame.src, src: SERVER, payload, ..frame.clone() });
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.speak.as_ref().map(|(at, _)| *at)
    }
    fn handle_timeout(&mut self, _: Instant, out: &mut Outbox) {
        if let Some((_, frame)) = self.speak.take() {
            out.send(frame);
        }
    }
}

struct Lab {
    sim: Sim,
    eth0: u32,
    echo: Rc<RefCell<Echo>>,
}

fn address(valid_s: Option<u32>) -> AddressConfig {
    AddressConfig { address: OURS, prefix: 24, broadcast: None, valid_s }
}

/// A device with an address, and an echo server on its wire.
fn lab(seed: u64) -> Lab {
    let mut sim = Sim::new(seed);
    let eth0 = sim.add_interface("eth0", DEVICE);
    let echo = Rc::new(RefCell::new(Echo::default()));
    sim.add_peer(eth0, Rc::clone(&echo));
    sim.interface_up(eth0).expect("up");
    sim.address_add(eth0, &address(None)).expect("added");
    Lab { sim, eth0, echo }
}

fn connected(peer: SocketAddrV4) -> UdpOptions {
    UdpOptions {
        local: ANY.into(),
        peer: Some(peer.into()),
        interface: None,
        broadcast: false,
        stamped: false,
    }
}

impl Lab {
    fn watched_udp(&mut self, peer: SocketAddrV4) -> SimHandle {
        let socket = self.sim.udp_open(&connected(peer)).expect("opened");
        self.sim.poller().add(socket, Token(1), Interest::READ).expect("added");
        socket
    }

    /// Waits so long at most. Whether something was ready.
    fn wait(&mut self, span: Duration) -> bool {
        let deadline = self.sim.now() + span;
        self.sim.wait(Some(deadline)).expect("waited");
        self.sim.poller().next_ready().is_some()
    }

    fn receive(&mut self, socket: SimHandle) -> Result<Option<Vec<u8>>, ErrorKind> {
        let mut buffer = [0; 2_048];
        let received = self.sim.udp_receive(socket, &mut buffer)?;
        Ok(received.map(|r| buffer[..r.length].to_vec()))
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_datagram_comes_back_and_time_jumps_to_it() {
    let mut lab = lab(1);
    let socket = lab.watched_udp(THEIRS);
    let start = lab.sim.now();
    lab.sim.udp_send(socket, THEIRS.into(), b"hello").expect("sent");
    assert!(lab.wait(SECOND));
    assert_eq!(lab.sim.now().since(start), Duration::from_micros(200), "there and back");
    assert_eq!(lab.receive(socket), Ok(Some(b"hello".to_vec())));
    assert_eq!(lab.receive(socket), Ok(None));
    let heard = &lab.echo.borrow().heard;
    assert_eq!((heard[0].dst, heard[0].src), (SERVER, DEVICE));
    let directions: Vec<_> = lab.sim.log().map(|seen| seen.direction).collect();
    assert_eq!(directions, [Direction::Sent, Direction::Received]);
}

#[test]
fn an_empty_datagram_is_a_datagram_and_a_long_one_is_cut() {
    let mut lab = lab(1);
    let socket = lab.watched_udp(THEIRS);
    for (sent, length, truncated) in
        [(&b""[..], 0, false), (b"abcd", 4, false), (b"abcde", 4, true)]
    {
        lab.sim.udp_send(socket, THEIRS.into(), sent).expect("sent");
        assert!(lab.wait(SECOND), "{sent:?}");
        let received = lab.sim.udp_receive(socket, &mut [0; 4]).expect("no error");
        let received = received.map(|r| (r.length, r.truncated, r.from));
        assert_eq!(received, Some((length, truncated, THEIRS.into())));
    }
}

#[test]
fn a_refusal_is_told_once_and_the_socket_goes_on() {
    let mut lab = lab(1);
    let socket = lab.watched_udp(CLOSED);
    lab.sim.udp_send(socket, CLOSED.into(), b"?").expect("sent");
    assert!(lab.wait(SECOND));
    assert_eq!(lab.receive(socket), Err(ErrorKind::Refused));
    assert_eq!(lab.receive(socket), Ok(None));
    lab.sim.udp_send(socket, CLOSED.into(), b"?").expect("sent again");
}

#[test]
fn a_connected_socket_hears_its_peer_alone() {
    let mut lab = lab(1);
    let socket = lab.watched_udp(THEIRS);
    lab.sim.udp_send(socket, THEIRS.into(), b"1").expect("sent");
    let port = lab
        .sim
        .log()
        .next()
        .and_then(|seen| packet::parse_udp(&seen.frame.payload, true).map(|d| d.src));
    let ours = port.expect("a datagram was sent");
    assert!(lab.wait(SECOND));
    assert_eq!(lab.receive(socket), Ok(Some(b"1".to_vec())));
    let spoofed = packet::udp(CLOSED, ours, b"forged");
    let frame = WireFrame {
        dst: DEVICE,
        src: SERVER,
        ethertype: ETHERTYPE_IPV4,
        payload: spoofed,
        checksum: Checksum::Complete,
    };
    lab.echo.borrow_mut().speak = Some((lab.sim.now() + SECOND, frame));
    assert!(!lab.wait(SECOND * 2));
    assert_eq!(lab.receive(socket), Ok(None));
    assert_eq!(lab.sim.counters().received, 2, "it did arrive");
}

#[test]
fn packets_to_other_addresses_reach_no_udp_socket() {
    for (to, reaches) in [
        (OURS, true),
        (Ipv4Addr::new(192, 0, 2, 255), true),
        (Ipv4Addr::BROADCAST, true),
        (Ipv4Addr::new(192, 0, 2, 8), false),
        (Ipv4Addr::LOCALHOST, false),
    ] {
        let mut lab = lab(1);
        let any = SocketAddr::from(([0, 0, 0, 0], 68));
        let options = UdpOptions {
            local: any,
            peer: None,
            interface: None,
            broadcast: false,
            stamped: false,
        };
        let socket = lab.sim.udp_open(&options).expect("opened");
        let payload = packet::udp(THEIRS, SocketAddrV4::new(to, 68), b"x");
        let frame = WireFrame {
            dst: DEVICE,
            src: SERVER,
            ethertype: ETHERTYPE_IPV4,
            payload,
            checksum: Checksum::Complete,
        };
        lab.echo.borrow_mut().speak = Some((lab.sim.now(), frame));
        assert!(!lab.wait(SECOND), "nobody watches");
        assert_eq!(lab.receive(socket).map(|r| r.is_some()), Ok(reaches), "{to}");
    }
}

#[test]
fn addresses_that_nobody_has_and_pulled_cables_lose_datagrams() {
    let mut lab = lab(1);
    let nobody = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 99), 7);
    let socket = lab.watched_udp(nobody);
    lab.sim.udp_send(socket, nobody.into(), b"?").expect("the kernel takes it");
    assert_eq!((lab.sim.counters().unresolved, lab.sim.sent_frames()), (1, 0));
    lab.sim.set_carrier(lab.eth0, false);
    let socket = lab.sim.udp_open(&connected(THEIRS)).expect("opened");
    lab.sim.udp_send(socket, THEIRS.into(), b"?").expect("the kernel takes it");
    assert_eq!(lab.sim.counters().no_carrier, 1);
    lab.sim.set_up(lab.eth0, false);
    assert_eq!(lab.sim.udp_send(socket, THEIRS.into(), b"?"), Err(ErrorKind::Unreachable));
}

#[test]
fn ports_are_refused_when_taken_and_differ_when_chosen() {
    let mut lab = lab(1);
    let fixed = UdpOptions {
        local: SocketAddr::from(([0, 0, 0, 0], 68)),
        peer: None,
        interface: None,
        broadcast: true,
        stamped: false,
    };
    lab.sim.udp_open(&fixed).expect("opened");
    assert_eq!(lab.sim.udp_open(&fixed), Err(ErrorKind::AddressInUse));
    let foreign = UdpOptions { local: SocketAddr::from(([10, 0, 0, 1], 0)), ..fixed };
    assert_eq!(lab.sim.udp_open(&foreign), Err(ErrorKind::NotFound));
    for _ in 0..100 {
        lab.sim.udp_open(&connected(THEIRS)).expect("a free port");
    }
}

#[test]
fn broadcasts_need_permission_and_reach_everybody() {
    let mut lab = lab(1);
    let all: SocketAddr = ([255, 255, 255, 255], 67).into();
    let shy = UdpOptions { peer: None, ..connected(THEIRS) };
    let socket = lab.sim.udp_open(&shy).expect("opened");
    assert_eq!(lab.sim.udp_send(socket, all, b""), Err(ErrorKind::PermissionDenied));
    let loud = UdpOptions { broadcast: true, ..shy };
    let socket = lab.sim.udp_open(&loud).expect("opened");
    lab.sim.udp_send(socket, all, b"").expect("sent");
    assert!(!lab.wait(SECOND));
    assert_eq!(lab.echo.borrow().heard.first().map(|frame| frame.dst), Some(Mac::BROADCAST));
}

#[test]
fn link_sockets_hear_what_their_filter_lets_through() {
    let mut lab = lab(1);
    let dhcp = lab.sim.link_open(lab.eth0, LinkFilter::DhcpClient).expect("opened");
    let arp = lab.sim.link_open(lab.eth0, LinkFilter::Arp).expect("opened");
    let unknown = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 50), 68);
    let offer = WireFrame {
        dst: DEVICE,
        src: SERVER,
        ethertype: ETHERTYPE_IPV4,
        payload: packet::udp(THEIRS, unknown, b"offer"),
        checksum: Checksum::NotReady,
    };
    lab.echo.borrow_mut().speak = Some((lab.sim.now() + SECOND, offer));
    assert!(!lab.wait(SECOND * 2), "nobody watches");
    let mut buffer = [0; 2_048];
    let frame = lab.sim.link_receive(dhcp, &mut buffer).expect("no error").expect("a frame");
    assert_eq!((frame.from, frame.checksum), (SERVER, Checksum::NotReady));
    assert_eq!(lab.sim.link_receive(arp, &mut buffer), Ok(None));
    assert_eq!(
        lab.sim.link_send(arp, Mac::BROADCAST, 0x0806, &[0; 1_501]),
        Err(ErrorKind::TooLong)
    );
    lab.sim.set_up(lab.eth0, false);
    assert_eq!(lab.sim.link_receive(arp, &mut buffer), Err(ErrorKind::Unreachable));
    assert_eq!(lab.sim.link_receive(arp, &mut buffer), Ok(None), "told once");
}

#[test]
fn watchers_hear_of_links_and_addresses() {
    let mut lab = lab(1);
    let watch = lab.sim.watch_open().expect("opened");
    let next = |sim: &mut Sim| sim.watch_receive(watch).expect("no error");
    let eth0 = lab.sim.interface("eth0").expect("there");
    assert!(eth0.carrier && eth0.up && eth0.ethernet);
    assert_eq!(
        next(&mut lab.sim),
        Some(InterfaceChange::Is(eth0)),
        "the present state comes first"
    );
    lab.sim.set_carrier(lab.eth0, false);
    let carrier_changes = eth0.carrier_changes + 1;
    let gone = Interface { carrier: false, carrier_changes, ..eth0 };
    assert_eq!(next(&mut lab.sim), Some(InterfaceChange::Is(gone)));
    lab.sim.flap(lab.eth0);
    let flapped = Interface { carrier_changes: carrier_changes + 2, ..gone };
    assert_eq!(next(&mut lab.sim), Some(InterfaceChange::Is(flapped)));
    lab.sim.suspend(SECOND);
    assert_eq!(next(&mut lab.sim), Some(InterfaceChange::Resumed));
    let removed = InterfaceChange::AddressRemoved { index: lab.eth0, address: OURS };
    lab.sim.address_remove(lab.eth0, &address(None)).expect("removed");
    assert_eq!(next(&mut lab.sim), Some(removed));
    lab.sim.address_add(lab.eth0, &address(Some(60))).expect("added");
    let before = lab.sim.now();
    lab.sim.wait(None).expect("waited");
    assert_eq!(lab.sim.now().since(before), SECOND * 60);
    assert_eq!(next(&mut lab.sim), Some(removed));
    lab.sim.remove_interface(lab.eth0);
    assert_eq!(next(&mut lab.sim), Some(InterfaceChange::Gone { index: lab.eth0 }));
    assert_eq!(next(&mut lab.sim), None);
    assert_eq!(lab.sim.interface("eth0"), Err(ErrorKind::NotFound));
}

/// What a wire with these faults makes of a hundred datagrams: those that came back, in order.
fn hundred(seed: u64, to_device: Faults) -> (Vec<u8>, Counters) {
    let mut lab = lab(seed);
    lab.sim.set_faults(lab.eth0, to_device, Faults::default());
    let socket = lab.watched_udp(THEIRS);
    let mut came = Vec::new();
    for n in 0..100 {
        lab.sim.udp_send(socket, THEIRS.into(), &[n]).expect("sent");
        while lab.wait(Duration::from_millis(1)) {
            came.extend(lab.receive(socket).expect("no error").into_iter().flatten());
        }
    }
    while lab.wait(SECOND) {
        came.extend(lab.receive(socket).expect("no error").into_iter().flatten());
    }
    (came, lab.sim.counters())
}

#[test]
fn faults_do_what_they_say_and_equal_seeds_give_equal_runs() {
    let good = Faults::default();
    let (came, _) = hundred(1, good);
    assert!(came.iter().copied().eq(0..100));

    let (came, counters) = hundred(1, Faults { loss_permille: 300, ..good });
    assert_eq!(came.len() + usize::try_from(counters.lost).unwrap_or(0), 100);
    assert!((15..45).contains(&counters.lost), "{} lost", counters.lost);
    assert_eq!(hundred(1, Faults { loss_permille: 300, ..good }).0, came, "the same seed");
    assert_ne!(hundred(2, Faults { loss_permille: 300, ..good }).0, came, "another seed");

    let (came, counters) = hundred(1, Faults { duplicate_permille: 500, ..good });
    assert_eq!(came.len(), 100 + usize::try_from(counters.duplicated).unwrap_or(0));
    assert!(counters.duplicated > 30);

    let (came, counters) = hundred(1, Faults { corrupt_permille: 500, ..good });
    assert_eq!(came.len(), 100 - usize::try_from(counters.corrupted).unwrap_or(0));
    assert!(came.is_sorted(), "a damaged datagram reaches nobody: its checksum is wrong");

    let (mut came, _) = hundred(1, Faults { jitter: Duration::from_millis(20), ..good });
    assert!(!came.is_sorted(), "frames overtake each other");
    came.sort_unstable();
    assert!(came.into_iter().eq(0..100));
}

#[test]
fn nothing_to_wait_for_is_said() {
    let mut lab = lab(1);
    let before = lab.sim.now();
    lab.sim.wait(None).expect("waited");
    assert!(lab.sim.is_idle());
    assert_eq!(lab.sim.now(), before);
    assert!(!lab.wait(SECOND));
    assert!(!lab.sim.is_idle(), "a deadline was waited for");
    assert_eq!(lab.sim.now(), before + SECOND);
}

#[test]
fn what_arrives_while_the_machine_sleeps_is_lost() {
    let mut lab = lab(1);
    let socket = lab.watched_udp(THEIRS);
    let before = lab.sim.now();
    lab.sim.udp_send(socket, THEIRS.into(), b"hello").expect("sent");
    lab.sim.suspend(SECOND * 3_600);
    assert_eq!(lab.sim.now(), before + SECOND * 3_600);
    assert_eq!(lab.echo.borrow().heard.len(), 1, "the others go on");
    assert!(!lab.wait(SECOND));
    assert_eq!(lab.sim.utc(), true_utc(lab.sim.now()), "the clocks counted it");
}

#[test]
fn the_clock_is_set_only_where_that_is_allowed() {
    let mut lab = lab(1);
    lab.sim.set_wall(Utc::UNIX_EPOCH);
    let offset_ns = true_utc(lab.sim.now()).nanos_since(lab.sim.utc());
    let step = Adjust::Step { offset_ns };
    assert_eq!(lab.sim.set_clock(step), Err(ErrorKind::PermissionDenied));
    assert_eq!(lab.sim.clock_rate(1_000), Err(ErrorKind::PermissionDenied));
    assert_eq!(lab.sim.clock_leap(LeapSecond::Insert), Err(ErrorKind::PermissionDenied));
    assert_eq!(lab.sim.clock_synchronised(Some(SECOND)), Err(ErrorKind::PermissionDenied));
    assert_eq!(lab.sim.utc(), Utc::UNIX_EPOCH);
    lab.sim.allow_clock();
    lab.sim.set_clock(step).expect("set");
    assert_eq!(lab.sim.utc(), true_utc(lab.sim.now()));
    assert_eq!(lab.sim.adjustments(), [step]);
    lab.sim.clock_rate(1_000_000).expect("turned");
    lab.sim.clock_leap(LeapSecond::Insert).expect("told");
    assert_eq!(lab.sim.leap(), LeapSecond::Insert);
    lab.sim.clock_synchronised(Some(SECOND)).expect("told");
    assert_eq!(lab.sim.synchronised(), Some(SECOND));
    let (now, at) = (lab.sim.now(), lab.sim.now() + SECOND);
    lab.sim.wait(Some(at)).expect("waited");
    let ahead_ns = lab.sim.utc().nanos_since(true_utc(lab.sim.now()));
    let passed_us = lab.sim.now().since(now).as_micros();
    assert_eq!(ahead_ns, i64::try_from(passed_us).expect("a second"), "a thousandth of it");
    assert!(lab.sim.reboot(Reboot::Requested).is_err() && lab.sim.reboots() == 0);
}

#[test]
fn the_device_talks_to_itself() {
    let mut lab = lab(1);
    let me = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 53);
    let server = UdpOptions {
        local: me.into(),
        peer: None,
        interface: None,
        broadcast: false,
        stamped: false,
    };
    let server = lab.sim.udp_open(&server).expect("opened");
    let client = lab.sim.udp_open(&connected(me)).expect("opened");
    lab.sim.udp_send(client, me.into(), b"query").expect("sent");
    assert!(!lab.wait(SECOND));
    assert_eq!(lab.receive(server), Ok(Some(b"query".to_vec())));
    lab.sim.close(server);
    lab.sim.udp_send(client, me.into(), b"query").expect("sent");
    assert!(!lab.wait(SECOND));
    assert_eq!(lab.receive(client), Err(ErrorKind::Refused));
    assert_eq!(lab.sim.sent_frames(), 0, "nothing went out");
}

#[test]
fn another_thread_ends_the_next_wait() {
    let mut lab = lab(1);
    let wake = SimWake::new();
    wake.wake();
    let handle = Arm::<SimOps>::arm(&mut lab.sim, &wake).expect("armed");
    assert_eq!(Arm::<SimOps>::arm(&mut lab.sim, &wake), Err(ErrorKind::Exists));
    lab.sim.poller().add(handle, Token::WAKE, Interest::READ).expect("added");
    assert!(!lab.wait(SECOND), "an unarmed wake does nothing");
    std::thread::scope(|scope| scope.spawn(|| wake.wake()).join().expect("no panic"));
    let before = lab.sim.now();
    assert!(lab.wait(SECOND));
    assert_eq!(lab.sim.now(), before, "at once");
    wake.clear();
    assert!(!lab.wait(SECOND));
}
