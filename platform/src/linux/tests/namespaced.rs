//! What needs privileges over a network: each test runs this test program again, in a user and a
//! network namespace of its own.

use std::env;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;
use std::process::Command;

use bringup_core::client::Checksum;
use bringup_core::error::ErrorKind;
use bringup_core::platform::PlatformError;

use super::super::*;
use crate::conformance::{Finding, Promise, Rig, UdpPeer, check_platform};
use crate::polling::Polling;
use crate::sim;

/// Set in the child: the test's own name.
const INSIDE: &str = "BRINGUP_TEST_INSIDE";

/// Set where the machine is known to be able: a test that cannot run is a failure there.
const REQUIRED: &str = "BRINGUP_REQUIRE_LAB";

const SECOND: Duration = Duration::from_secs(1);

type Platform_ = Linux<Polling>;

/// Runs `body` in a process of its own, in namespaces of its own.
fn in_namespaces(name: &str, body: impl FnOnce(&mut Platform_)) {
    if env::var(INSIDE).is_ok_and(|inside| inside == name) {
        // `unshare` has put this process into fresh namespaces, as root of them.
        let options = Options { clock: ClockPolicy::Set, ..Options::default() };
        let poller = Polling::new().expect("a poller");
        body(&mut Linux::with_options(poller, options).expect("a platform"));
        return;
    }
    let able = Command::new("unshare").args(["-Urn", "true"]).output();
    if !able.is_ok_and(|output| output.status.success()) {
        assert!(env::var(REQUIRED).is_err(), "{name}: no namespaces, and {REQUIRED} is set");
        eprintln!("SKIPPED {name}: this machine gives no user and network namespaces");
        return;
    }
    let test = format!("linux::tests::namespaced::{name}");
    let this = env::current_exe().expect("the test program");
    let output = Command::new("unshare")
        .arg("-Urn")
        .arg(this)
        .args(["--exact", &test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, name)
        .output()
        .expect("it ran a moment ago");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} failed inside:\n{text}");
    assert!(text.contains("1 passed"), "{name} did not run inside:\n{text}");
}

/// Two interfaces with a cable between, both up. Their indices.
fn veth(linux: &mut Platform_) -> (u32, u32) {
    namespace::veth_pair("near", "far", None).expect("a pair");
    let [near, far] = ["near", "far"].map(|name| linux.interface(name).expect("there").index);
    linux.interface_up(near).expect("up");
    linux.interface_up(far).expect("up");
    let lo = linux.interface("lo").expect("there").index;
    linux.interface_up(lo).expect("up");
    wait_until(linux, |linux| linux.interface("near").is_ok_and(|i| i.carrier));
    (near, far)
}

fn wait_until(linux: &mut Platform_, mut met: impl FnMut(&mut Platform_) -> bool) {
    let deadline = linux.now() + SECOND * 5;
    while !met(linux) {
        assert!(linux.now() < deadline, "it never came");
        let soon = linux.now() + Duration::from_millis(2);
        linux.wait(Some(soon)).expect("waited");
    }
}

const NEAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);

fn address(valid_s: Option<u32>) -> AddressConfig {
    let broadcast = Some(Ipv4Addr::new(192, 0, 2, 255));
    AddressConfig { address: NEAR, prefix: 24, broadcast, valid_s }
}

/// What `ip` says, where it is installed.
fn ip(args: &str) -> Option<String> {
    let output = Command::new("ip").args(args.split(' ')).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn assert_ip(args: &str, wanted: &[&str]) {
    if let Some(text) = ip(args) {
        for word in wanted {
            assert!(text.contains(word), "ip {args} does not say {word:?} but\n{text}");
        }
    }
}

#[test]
fn addresses_are_added_renewed_and_removed() {
    in_namespaces("addresses_are_added_renewed_and_removed", |linux| {
        let (near, _) = veth(linux);
        linux.address_add(near, &address(Some(1_000))).expect("added");
        assert_ip("-4 addr show near", &["192.0.2.1/24 brd 192.0.2.255", "valid_lft 1000sec"]);
        linux.address_add(near, &address(Some(5_000))).expect("renewed");
        assert_ip("-4 addr show near", &["valid_lft 5000sec preferred_lft 5000sec"]);
        linux.address_add(near, &address(None)).expect("for ever");
        assert_ip("-4 addr show near", &["valid_lft forever"]);
        // Now it is there for good, and somebody else's.
        let taken = linux.address_add(near, &address(Some(60))).map_err(|error| error.kind());
        assert_eq!(taken, Err(ErrorKind::Exists));
        assert_ip("-4 addr show near", &["valid_lft forever"]);
        let watch = linux.watch_open().expect("opened");
        linux.address_remove(near, &address(None)).expect("removed");
        let gone = InterfaceChange::AddressRemoved { index: near, address: NEAR };
        wait_until(linux, |linux| linux.watch_receive(watch).expect("no error") == Some(gone));
        let again = linux.address_remove(near, &address(None)).map_err(|error| error.kind());
        assert_eq!(again, Err(ErrorKind::NotFound));
        let nowhere = linux.address_add(9_999, &address(None)).map_err(|error| error.kind());
        assert_eq!(nowhere, Err(ErrorKind::NotFound));
    });
}

#[test]
fn routes_are_added_beside_others_and_removed() {
    in_namespaces("routes_are_added_beside_others_and_removed", |linux| {
        let (near, _) = veth(linux);
        linux.address_add(near, &address(None)).expect("added");
        let any = RouteConfig {
            destination: Ipv4Addr::UNSPECIFIED,
            prefix: 0,
            gateway: Some(ROUTER),
            source: Some(NEAR),
            metric: 100,
        };
        linux.route_add(near, &any).expect("added");
        let again = linux.route_add(near, &any).map_err(|error| error.kind());
        assert_eq!(again, Err(ErrorKind::Exists), "the very same is there");
        assert_ip(
            "-4 route show default",
            &["default via 192.0.2.254 dev near proto dhcp src 192.0.2.1 metric 100"],
        );
        let other = RouteConfig { gateway: Some(Ipv4Addr::new(192, 0, 2, 253)), ..any };
        linux.route_add(near, &other).expect("added beside it");
        assert_eq!(ip("-4 route show default").map_or(2, |text| text.lines().count()), 2);
        linux.route_remove(near, &any).expect("the first alone");
        let beyond = RouteConfig {
            destination: Ipv4Addr::new(198, 51, 100, 7),
            prefix: 24,
            gateway: Some(Ipv4Addr::new(203, 0, 113, 1)),
            source: None,
            metric: 5,
        };
        linux.route_add(near, &beyond).expect("a router outside the prefix");
        assert_ip("-4 route", &["198.51.100.0/24 via 203.0.113.1 dev near", "onlink"]);
        let direct = RouteConfig { gateway: None, metric: 6, ..beyond };
        linux.route_add(near, &direct).expect("on the link");
        assert_ip("-4 route", &["198.51.100.0/24 dev near proto dhcp scope link metric 6"]);
        let gone = linux.route_remove(near, &any).map_err(|error| error.kind());
        assert_eq!(gone, Err(ErrorKind::NotFound), "it was removed above");
        for route in [other, beyond, direct] {
            linux.route_remove(near, &route).expect("removed");
        }
    });
}

#[test]
fn a_watch_sees_the_link_come_and_go() {
    in_namespaces("a_watch_sees_the_link_come_and_go", |linux| {
        let watch = linux.watch_open().expect("opened");
        let (near, far) = veth(linux);
        let mut carrier = false;
        let mut follow = |linux: &mut Platform_, wanted| {
            wait_until(linux, |linux| {
                while let Some(change) = linux.watch_receive(watch).expect("no error") {
                    match change {
                        InterfaceChange::Is(is) if is.index == near => carrier = is.carrier,
                        _ => {}
                    }
                }
                carrier == wanted
            });
        };
        follow(linux, true);
        linux.mtu_set(near, 1_400).expect("set");
        assert_eq!(linux.interface("near").map(|interface| interface.mtu), Ok(1_400));
        let tiny = linux.mtu_set(near, 1).map_err(|error| error.kind());
        assert_eq!(tiny, Err(ErrorKind::Invalid));
        if ip("link set far down").is_some() {
            follow(linux, false);
            linux.interface_up(far).expect("up");
            follow(linux, true);
            ip("link del far");
            let gone = Some(InterfaceChange::Gone { index: near });
            wait_until(linux, |linux| linux.watch_receive(watch).expect("no error") == gone);
        }
    });
}

/// An IPv4 packet of UDP to this port, without checksums, whose header has some options.
fn packet(to: u16, options: u8, fragment: u16) -> Vec<u8> {
    let header = 20 + 4 * options;
    let mut packet = vec![0x45 + options, 0, 0, header + 8];
    packet.extend([0, 0]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, 17, 0, 0]);
    packet.extend([192, 0, 2, 9, 255, 255, 255, 255]);
    packet.resize(usize::from(header), 1);
    packet.extend(67_u16.to_be_bytes());
    packet.extend(to.to_be_bytes());
    packet.extend([0, 8, 0, 0]);
    packet
}

#[test]
fn rule_21_the_filter_honours_the_header_and_frames_name_their_sender() {
    in_namespaces("rule_21_the_filter_honours_the_header_and_frames_name_their_sender", |linux| {
        let (near, far) = veth(linux);
        let from = linux.interface("far").expect("there").mac;
        let hears = linux.link_open(near, LinkFilter::DhcpClient).expect("opened");
        let sends = linux.link_open(far, LinkFilter::DhcpClient).expect("opened");
        let more_fragments = 0x2000;
        let mut buffer = [0; 2_048];
        for (row, to, options, fragment, passes) in [
            ("plain", 68, 0, 0, true),
            ("with options", 68, 3, 0, true),
            ("with all options", 68, 10, 0, true),
            ("the first fragment", 68, 0, more_fragments, true),
            ("a later fragment", 68, 0, 1, false),
            ("another port", 67, 0, 0, false),
        ] {
            let sent = packet(to, options, fragment);
            linux.link_send(sends, Mac::BROADCAST, 0x0800, &sent).expect("sent");
            // A sentinel shows that the frame before it did not pass, without waiting.
            linux.link_send(sends, Mac::BROADCAST, 0x0800, &packet(68, 9, 0)).expect("sent");
            let mut received = Vec::new();
            while received.last() != Some(&packet(68, 9, 0)) {
                let frame = linux.link_receive(hears, &mut buffer).expect("no error");
                if let Some(frame) = frame {
                    assert_eq!((frame.from, frame.ethertype), (from, 0x0800));
                    assert_eq!(frame.checksum, Checksum::Complete, "a raw sender finishes it");
                    received.push(buffer[..frame.length].to_vec());
                }
            }
            assert_eq!(received.len(), 1 + usize::from(passes), "{row}");
            assert!(!passes || received[0] == sent, "{row}");
        }
        let other_host = Mac([2, 0, 0, 0, 0, 99]);
        linux.link_send(sends, other_host, 0x0800, &packet(68, 0, 0)).expect("sent");
        linux.link_send(sends, Mac::BROADCAST, 0x0800, &packet(68, 9, 0)).expect("sent");
        let mut first = None;
        wait_until(linux, |linux| {
            first = linux.link_receive(hears, &mut buffer).expect("no error");
            first.is_some()
        });
        assert_eq!(first.map(|frame| frame.length), Some(packet(68, 9, 0).len()), "not for us");
        let own = linux.link_receive(sends, &mut buffer).expect("no error");
        assert_eq!(own, None, "what this host sent is left out");
    });
}

#[test]
fn rule_21_checksums_left_to_hardware_are_told() {
    in_namespaces("rule_21_checksums_left_to_hardware_are_told", |linux| {
        let (near, far) = veth(linux);
        linux.address_add(far, &address(None)).expect("added");
        let hears = linux.link_open(near, LinkFilter::DhcpClient).expect("opened");
        let options = UdpOptions {
            local: SocketAddr::from((NEAR, 67)),
            peer: None,
            interface: Some(far),
            broadcast: true,
            stamped: false,
        };
        let server = linux.udp_open(&options).expect("opened");
        let to = SocketAddr::from(([255, 255, 255, 255], 68));
        let before = linux.now();
        linux.udp_send(server, to, b"from a local socket").expect("sent");
        let mut buffer = [0; 2_048];
        let mut frame = None;
        wait_until(linux, |linux| {
            frame = linux.link_receive(hears, &mut buffer).expect("no error");
            frame.is_some()
        });
        let frame = frame.expect("it came");
        assert_eq!(frame.checksum, Checksum::NotReady);
        assert!(before <= frame.at && frame.at <= linux.now());
    });
}

/// Only in the namespaces, whose root may not touch the clock: the kernel itself refuses.
#[test]
fn the_kernel_is_asked_where_the_clock_may_be_set() {
    in_namespaces("the_kernel_is_asked_where_the_clock_may_be_set", |linux| {
        for adjust in [Adjust::Step { offset_ns: 0 }, Adjust::Slew { offset_ns: 0 }] {
            let refused = linux.set_clock(adjust);
            assert_eq!(refused, Err(OsError::new(Operation::SetClock, libc::EPERM)), "{adjust:?}");
        }
        let refused = Err(OsError::new(Operation::SetClock, libc::EPERM));
        assert_eq!(linux.clock_rate(0), refused);
        assert_eq!(linux.clock_leap(LeapSecond::None), refused);
        assert_eq!(linux.clock_synchronised(None), refused);
        assert_eq!(linux.clock_synchronised(Some(Duration::from_millis(1))), refused);
    });
}

#[test]
fn a_thread_gets_the_other_end_of_the_cable() {
    in_namespaces("a_thread_gets_the_other_end_of_the_cable", |linux| {
        let (to_here, namespaces) = std::sync::mpsc::channel();
        let (to_there, made) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            namespace::separate_thread().expect("a namespace");
            to_here.send(namespace::of_this_thread().expect("its descriptor")).expect("heard");
            made.recv().expect("told");
            let mut there = Linux::new(Polling::new().expect("a poller")).expect("a platform");
            let far = there.interface("far").expect("it is here").index;
            there.interface_up(far).expect("up");
        });
        let there = namespaces.recv().expect("told");
        namespace::veth_pair("near", "far", Some(there.as_fd())).expect("a pair");
        let near = linux.interface("near").expect("there").index;
        let elsewhere = linux.interface("far").map_err(|error| error.kind());
        assert_eq!(elsewhere, Err(ErrorKind::NotFound));
        linux.interface_up(near).expect("up");
        to_there.send(()).expect("heard");
        wait_until(linux, |linux| {
            linux.interface("near").is_ok_and(|i| i.carrier) || thread.is_finished()
        });
        thread.join().expect("no panic");
    });
}

#[test]
fn sockets_stay_on_their_interface() {
    in_namespaces("sockets_stay_on_their_interface", |linux| {
        let (near, far) = veth(linux);
        linux.address_add(near, &address(None)).expect("added");
        let on = |interface| UdpOptions {
            local: SocketAddr::from(([0, 0, 0, 0], 68)),
            peer: None,
            interface: Some(interface),
            broadcast: true,
            stamped: false,
        };
        let here = linux.udp_open(&on(near)).expect("opened");
        let there = linux.udp_open(&on(far)).expect("the same port on another interface");
        let nowhere = linux.udp_open(&on(9_999)).map_err(|error| error.kind());
        assert_eq!(nowhere, Err(ErrorKind::NotFound));
        let wire = linux.link_open(far, LinkFilter::Arp).expect("opened");
        let from = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 9), 67);
        let sent = sim::packet::udp(from, SocketAddrV4::new(Ipv4Addr::BROADCAST, 68), b"offer");
        linux.link_send(wire, Mac::BROADCAST, 0x0800, &sent).expect("sent");
        wait_until(linux, |linux| {
            let received = linux.udp_receive(here, &mut [0; 8]).expect("no error");
            received.is_some_and(|r| (r.from, r.length) == (from.into(), 5))
        });
        assert_eq!(linux.udp_receive(there, &mut [0; 8]), Ok(None));
    });
}

#[test]
fn port_68_without_the_right_to_bind_it() {
    in_namespaces("port_68_without_the_right_to_bind_it", |linux| {
        veth(linux);
        let peer = std::net::UdpSocket::bind("127.0.0.1:67").expect("root of its namespace");
        let options = UdpOptions {
            local: "127.0.0.1:68".parse().expect("an address"),
            peer: None,
            interface: None,
            broadcast: false,
            stamped: false,
        };
        let refused = |operation| OsError::new(operation, libc::EACCES);
        assert!(bare::serves(&options, &refused(Operation::UdpBind)));
        assert!(!bare::serves(&options, &refused(Operation::UdpOpen)));
        let other = UdpOptions { local: "127.0.0.1:69".parse().expect("an address"), ..options };
        assert!(!bare::serves(&other, &refused(Operation::UdpBind)));

        let (socket, local) = bare::open(&options, |_| Ok(())).expect("a raw socket");
        let to = peer.local_addr().expect("bound");
        bare::send(&socket, local, to, b"renew").expect("sent");
        let mut buffer = [0; 100];
        assert_eq!(
            peer.recv_from(&mut buffer).expect("received"),
            (5, local.into()),
            "the kernel found its checksums right"
        );
        assert!(bare::send(&socket, local, to, &[0; 65_508]).is_err(), "too long");

        // On this loopback checksums stay unfinished; without any, the datagram is whole.
        sys::set_option(peer.as_fd(), libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).expect("set");
        let receive = |buffer: &mut [u8]| {
            let mut control = sys::Control::new();
            let length = sys::receive(socket.as_fd(), buffer, &mut control).ok()?.length;
            bare::unwrap(buffer, length, local)
        };
        let other = std::net::UdpSocket::bind("127.0.0.1:69").expect("root of its namespace");
        peer.send_to(b"no", other.local_addr().expect("bound")).expect("sent");
        peer.send_to(b"yes", local).expect("sent");
        assert_eq!(receive(&mut buffer), Some((3, to)), "the other went by");
        assert_eq!(&buffer[..3], b"yes");
        assert!(receive(&mut buffer).is_none());
    });
}

#[test]
fn the_kernel_says_from_where_it_would_send() {
    in_namespaces("the_kernel_says_from_where_it_would_send", |linux| {
        let [on_link, elsewhere] = [[192, 0, 2, 9], [198, 51, 100, 9]].map(IpAddr::from);
        let v6 = IpAddr::from([0x2001, 0xDB8, 0, 0, 0, 0, 0, 9]);
        for to in [on_link, elsewhere, v6] {
            assert_eq!(linux.source(to), Ok(None), "no way to {to} yet");
        }
        let (near, _) = veth(linux);
        linux.address_add(near, &address(None)).expect("added");
        let own = Source { address: NEAR.into(), prefix: 24, deprecated: false };
        let described = |linux: &mut Platform_| linux.source(on_link).expect("asked") == Some(own);
        // What is known of addresses may be a second old.
        wait_until(linux, described);
        assert_eq!(linux.source(elsewhere), Ok(None), "off the link, and no router");
        if ip("-6 addr add 2001:db8::1/64 dev near nodad preferred_lft 0").is_some() {
            let old =
                Source { address: "2001:db8::1".parse().unwrap(), prefix: 64, deprecated: true };
            wait_until(linux, |linux| linux.source(v6).expect("asked") == Some(old));
        }
    });
}

/// A cable whose far end is in the rig's own hands.
struct Cable<P> {
    make: fn() -> P,
    far: Platform_,
    from: Mac,
    arp: i32,
}

impl<P: Platform> Rig for Cable<P> {
    type Platform = P;

    fn platform(&mut self) -> P {
        (self.make)()
    }

    fn udp(&mut self) -> UdpPeer {
        UdpPeer::Itself(Ipv4Addr::LOCALHOST.into())
    }

    fn wire(&mut self) -> Option<&'static str> {
        Some("near")
    }

    fn far_send(&mut self, _: &mut P, to: Mac, ethertype: u16, payload: &[u8]) -> Option<Mac> {
        self.far.link_send(self.arp, to, ethertype, payload).expect("sent");
        Some(self.from)
    }

    fn far_receive(&mut self, _: &mut P, payload: &mut [u8]) -> Option<(usize, u16)> {
        let frame = self.far.link_receive(self.arp, payload).expect("no error")?;
        Some((frame.length, frame.ethertype))
    }

    fn playground(&mut self) -> Option<&'static str> {
        Some("near")
    }
}

fn find_nothing<P: Platform>(linux: &mut Platform_, make: fn() -> P, lacks: &[Promise]) {
    let (_, far) = veth(linux);
    let mut far_end = Linux::new(Polling::new().expect("a poller")).expect("a platform");
    let from = far_end.interface("far").expect("there").mac;
    let arp = far_end.link_open(far, LinkFilter::Arp).expect("opened");
    let report = check_platform(&mut Cable { make, far: far_end, from, arp });
    assert!(report.is_kept(), "\n{report}");
    for promise in [
        Promise::LinkSends,
        Promise::LinkReceives,
        Promise::LinkFilters,
        Promise::WatchTells,
        Promise::InterfaceDown,
        Promise::MtuKept,
        Promise::AddressKept,
        Promise::RouteKept,
        Promise::SourceOnLink,
    ] {
        let kept = report.finding(promise) == Some(Finding::Kept);
        assert_eq!(kept, !lacks.contains(&promise), "{promise}\n{report}");
    }
}

#[test]
fn the_conformance_kit_finds_nothing_on_a_cable() {
    in_namespaces("the_conformance_kit_finds_nothing_on_a_cable", |linux| {
        let make = || Linux::new(Polling::new().expect("a poller")).expect("a platform");
        find_nothing(linux, make, &[]);
    });
}

#[test]
fn nor_does_it_in_the_port_without_std() {
    use crate::tiny::{Tiny, TinyStorage};
    in_namespaces("nor_does_it_in_the_port_without_std", |linux| {
        let make = || Tiny::new(Box::leak(Box::new(TinyStorage::<8>::new()))).expect("a platform");
        find_nothing(linux, make, &[Promise::SourceOnLink]);
    });
}
