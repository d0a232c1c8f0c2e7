//! Ten thousand datagrams of junk a second at each kind of socket: what is waited for still comes, the
//! answer is right, nothing is sent because of them, and each costs little.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bringup_tests::lab::network::{DEVICE_INTERFACE, Network, SERVER_INTERFACE};
use bringup_tests::lab::packet::{Metadata, PacketSocket};
use bringup_tests::lab::wire::ones_complement;
use bringup_tests::lab::{self, Host, bringup, run, servers};

use super::{Up, World};

/// Frames in one burst, and the time between two of them: 10,000 a second.
const BURST: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);
/// What a flood must have reached before the world goes on.
const ENOUGH: u32 = 20_000;

/// Frames from the server to a port of the device, as a liar on the link would send them.
struct Junk {
    device: [u8; 6],
    from: ([u8; 4], u16),
    to: ([u8; 4], u16),
}

impl Junk {
    /// An Ethernet frame with a right IP header, no UDP checksum, and `payload`; an ARP packet of it for the
    /// port [`ARP`].
    fn frame(&self, payload: &[u8]) -> Vec<u8> {
        if self.to.1 == ARP {
            return self.arp(payload);
        }
        let udp = u16::try_from(8 + payload.len()).expect("small");
        let mut ip = vec![0x45, 0];
        ip.extend((20 + udp).to_be_bytes());
        ip.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        ip.extend(self.from.0);
        ip.extend(self.to.0);
        let sum = !ones_complement(&ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        let mut frame = self.device.to_vec();
        frame.extend([2, 0, 0, 0, 0, 9, 8, 0]);
        frame.extend(ip);
        for word in [self.from.1, self.to.1, udp, 0] {
            frame.extend(word.to_be_bytes());
        }
        frame.extend(payload);
        frame
    }

    /// Somebody, each time another, says that he has the address that this junk is for, or asks for it.
    fn arp(&self, payload: &[u8]) -> Vec<u8> {
        let who = [2, 0, payload[0], payload[1], payload[2], payload[3]];
        let mut frame = [0xFF; 6].to_vec();
        frame.extend(who);
        frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1 + payload[3] % 2]);
        frame.extend(who);
        // Nobody's address, so that it is junk: a claim of ours would be a conflict.
        frame.extend([10, 99, 0, payload[3] | 0x80]);
        frame.extend(self.device);
        frame.extend(self.to.0);
        frame
    }
}

/// The port that stands for ARP.
const ARP: u16 = 0;

/// Runs `story` while junk arrives, and gives how much of it was sent. `ports` says anew before each burst
/// to which ports, and from which.
fn flooded(
    network: &Network,
    to: [u8; 4],
    ports: &(dyn Fn() -> Vec<(u16, u16)> + Sync),
    story: impl FnOnce(&AtomicU32),
) {
    let (over, sent) = (AtomicBool::new(false), AtomicU32::new(0));
    let device = mac(&network.device);
    let server = &network.server;
    thread::scope(|scope| {
        scope.spawn(|| {
            let open = || PacketSocket::open(SERVER_INTERFACE, Metadata::Beside);
            let socket = server.enter(open).expect("a packet socket");
            let (mut number, mut next) = (0_u32, Instant::now());
            while !over.load(Ordering::Relaxed) {
                // One burst for each pause, whatever the number of ports: they take turns.
                let ports = ports();
                let turn = number as usize % ports.len().max(1);
                for (from, port) in ports.into_iter().skip(turn).take(1) {
                    let junk = Junk { device, from: ([10, 99, 0, 1], from), to: (to, port) };
                    for _ in 0..BURST {
                        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        let payload = number.to_be_bytes().repeat(12 + (number % 60) as usize);
                        if socket.send(&junk.frame(&payload)).is_ok() {
                            sent.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                // The rate of the flood, not a wait for anything. What a busy machine delays is made up for, but
                // not all at once.
                let now = Instant::now();
                next = (next + PAUSE).max(now - PAUSE * 50);
                thread::sleep(next.saturating_duration_since(now));
            }
        });
        // Also when the story fails.
        let _end = Ends(&over);
        story(&sent);
    });
}

/// Sets its flag when it is dropped.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn mac(device: &Host) -> [u8; 6] {
    let link = device.ip_json(&format!("link show dev {DEVICE_INTERFACE}")).remove(0);
    let text = link["address"].as_str().expect("an address").to_owned();
    let octets: Vec<u8> =
        text.split(':').map(|octet| u8::from_str_radix(octet, 16).expect("hex")).collect();
    octets.try_into().expect("six")
}

fn frames_sent(device: &Host) -> u64 {
    let link = device.ip_json(&format!("-s link show dev {DEVICE_INTERFACE}")).remove(0);
    link["stats64"]["tx"]["packets"].as_u64().expect("a number")
}

/// Ports of sockets that are connected to `port` of the server, from the kernel's table.
fn ports_to(device: &Host, port: u16) -> Vec<(u16, u16)> {
    let table = device.enter(|| fs::read_to_string("/proc/thread-self/net/udp")).expect("/proc");
    let number = |text: &str| text.rsplit(':').next().and_then(|p| u16::from_str_radix(p, 16).ok());
    let ends = table.lines().skip(1).filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        Some((number(words.next()?)?, number(words.next()?)?))
    });
    ends.filter(|(_, remote)| *remote == port).map(|(local, _)| (port, local)).collect()
}

/// Waits until so much more junk was sent. A busy machine takes its time, and a client without a socket is sent
/// none.
fn await_junk(sent: &AtomicU32, more: u32) {
    let (first, start) = (sent.load(Ordering::Relaxed), Instant::now());
    while sent.load(Ordering::Relaxed) - first < more {
        assert!(start.elapsed() < Duration::from_secs(100), "{sent:?} packets of junk");
        thread::sleep(PAUSE);
    }
}

/// Waits until the flood was long enough, then says what it did to the program and to the wire.
fn endure(up: &Up, device: &Host, sent: &AtomicU32, what: &str, sends_at_most: u64) {
    await_junk(sent, 100);
    let (cost, frames, first, start) =
        (up.watched().cost(), frames_sent(device), sent.load(Ordering::Relaxed), Instant::now());
    await_junk(sent, ENOUGH);
    let packets = sent.load(Ordering::Relaxed) - first;
    let after = up.watched().cost();
    let spent = after.processor - cost.processor;
    lab::measured(&format!(
        "{what}: {packets} packets of junk, {:.0} a second, {:?} of processor time each",
        f64::from(packets) / start.elapsed().as_secs_f64(),
        spent / packets
    ));
    let sends = frames_sent(device) - frames;
    assert!(sends <= sends_at_most, "{sends} frames were sent meanwhile");
    assert!(spent / packets < Duration::from_micros(100), "{spent:?} for {packets}");
    // A client may open a socket for its next request meanwhile.
    assert!(after.descriptors <= cost.descriptors + 4, "{cost:?} → {after:?}");
}

#[test]
fn at_the_dhcp_socket() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let mut world = World { network: Network::plain(lab), dnsmasq: None, chronyd: None };
        let up = Up::start(&world.network.device, &[]);
        up.says(0, "the wait", |e| e["event"] == "hold" && e["state"] == "DHCP");
        let (server, device) = (&world.network.server, &world.network.device);
        let mut arrived = (None, None);
        flooded(&world.network, [255; 4], &|| vec![(67, 68)], |sent| {
            // 0.5, 1, 2 s: three sends by the book, and no more whatever comes.
            endure(&up, device, sent, "DHCP", 8);
            arrived.0 = Some(servers::dnsmasq(server, ""));
            arrived.1 = Some(servers::chronyd(server, servers::LOCAL));
            up.enters(0, "OPERATIONAL");
        });
        (world.dnsmasq, world.chronyd) = arrived;
        assert_eq!(up.terminate(), 0);
        world.assert_bare();
    });
}

#[test]
fn at_the_ntp_socket() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let mut world = World { network: Network::plain(lab), dnsmasq: None, chronyd: None };
        world.serve_names();
        // Otherwise the port is closed, the kernel says so, and the client closes its socket too.
        let silent = servers::silent(&world.network.server, "10.99.0.1:123");
        let up = Up::start(&world.network.device, &[]);
        up.says(0, "the wait", |e| e["event"] == "hold" && e["state"] == "TIME_VALID");
        let device = &world.network.device;
        let address = world.addresses(DEVICE_INTERFACE).remove(0);
        let address: std::net::Ipv4Addr = address.parse().expect("an address");
        let mut chronyd = None;
        flooded(&world.network, address.octets(), &|| ports_to(device, 123), |sent| {
            // Eight requests in 15 s, fewer later, and ARP.
            endure(&up, device, sent, "NTP", 24);
            drop(silent);
            chronyd = Some(servers::chronyd(&world.network.server, servers::LOCAL));
            let seen = up.enters(0, "OPERATIONAL");
            let time = up.events().into_iter().take(seen).rfind(|e| e["event"] == "time");
            let offset = time.expect("a time")["offset_us"].as_i64().expect("an integer");
            assert!(offset.abs() < 50_000, "{offset}");
        });
        world.chronyd = chronyd;
        assert_eq!(up.terminate(), 0);
        world.assert_bare();
    });
}

#[test]
fn at_the_arp_socket() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let mut world = World { network: Network::plain(lab), dnsmasq: None, chronyd: None };
        world.serve_names();
        let silent = servers::silent(&world.network.server, "10.99.0.1:123");
        let up = Up::start(&world.network.device, &[]);
        up.says(0, "the wait", |e| e["event"] == "hold" && e["state"] == "TIME_VALID");
        let device = &world.network.device;
        let address = world.addresses(DEVICE_INTERFACE).remove(0);
        let ours: std::net::Ipv4Addr = address.parse().expect("an address");
        let mut chronyd = None;
        flooded(&world.network, ours.octets(), &|| vec![(0, ARP)], |sent| {
            // The kernel answers every second packet, a question for its address; so what the program sends
            // cannot be counted here, and a simulator does that.
            endure(&up, device, sent, "ARP", u64::MAX);
            drop(silent);
            chronyd = Some(servers::chronyd(&world.network.server, servers::LOCAL));
            up.enters(0, "OPERATIONAL");
        });
        assert!(up.events().iter().all(|e| e["lost"] != true), "nobody claimed its address");
        world.chronyd = chronyd;
        assert_eq!(up.terminate(), 0);
        world.assert_bare();
    });
}

/// A bring-up that needs a name, whose server comes late.
#[test]
fn at_the_sockets_of_the_resolver_during_a_bring_up() {
    lab::within(&["dnsmasq", "chronyd", "knotd"], |lab| {
        let network = Network::plain(lab);
        // Leases only: no server for names, and none for the time yet.
        let dnsmasq = servers::dnsmasq_without_names(&network.server);
        let mut world = World { network, dnsmasq: Some(dnsmasq), chronyd: None };
        let silent = servers::silent(&world.network.server, "10.99.0.1:53");
        let time = servers::silent(&world.network.server, "10.99.0.1:123");
        let up = Up::start(&world.network.device, &["--ntp", "ns.lab.test"]);
        up.says(0, "the wait", |e| e["event"] == "hold" && e["state"] == "TIME_VALID");
        let device = &world.network.device;
        let address = world.addresses(DEVICE_INTERFACE).remove(0);
        let address: std::net::Ipv4Addr = address.parse().expect("an address");
        let mut arrived = None;
        flooded(&world.network, address.octets(), &|| ports_to(device, 53), |sent| {
            // Three queries for each family, a lookup after 1, 2, 4 … s; eight for the time, and ARP.
            endure(&up, device, sent, "DNS", 48);
            drop((silent, time));
            let knot = bringup_tests::lab::dns::knot(&world.network.server, "10.99.0.1", 0);
            arrived = Some((knot, servers::chronyd(&world.network.server, servers::LOCAL)));
            let seen = up.enters(0, "OPERATIONAL");
            let servers = up.events().into_iter().take(seen).rfind(|e| e["event"] == "servers");
            let ntp = &servers.expect("servers")["ntp"];
            assert!(ntp.to_string().contains("10.99.0.1"), "{ntp}");
        });
        world.chronyd = arrived.map(|(_, chronyd)| chronyd);
        assert_eq!(up.terminate(), 0);
        world.assert_bare();
    });
}

#[test]
fn at_the_sockets_of_the_resolver() {
    lab::within(&["dnsmasq"], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let _dnsmasq = servers::dnsmasq(&network.server, "");
        // The first server is silent, so that its socket waits; the junk claims to be from the second one.
        network.server.ip(&format!("addr add 10.99.0.3/24 dev {SERVER_INTERFACE}"));
        let _silent = servers::silent(&network.server, "10.99.0.3:53");
        let device = &network.device;
        flooded(&network, [10, 99, 0, 40], &|| ports_to(device, 53), |sent| {
            for _ in 0..8 {
                let mut query = device.command(bringup());
                query.args(["query", "host.lab.test", "A", "--json", "--server", "10.99.0.3"]);
                let outcome = run(query.args(["--server", "10.99.0.1"]), lab::PATIENCE);
                outcome.expect_code(0);
                assert_eq!(outcome.first("answer")["data"], "10.99.0.10", "{outcome}");
            }
            assert!(sent.load(Ordering::Relaxed) > 1_000, "{sent:?} packets of junk");
        });
    });
}
