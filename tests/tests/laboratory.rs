//! The laboratory itself: what it promises to the tests that stand on it.
#![cfg(target_os = "linux")]

use std::fs;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use bringup_tests::lab::network::{self, Network, SERVER};
use bringup_tests::lab::packet::{Metadata, PacketSocket};
use bringup_tests::lab::servers::{self, ask, dns_query, ntp_request};
use bringup_tests::lab::wire::{Counts, ones_complement};
use bringup_tests::lab::{self, Faults, PATIENCE, eventually, run};

/// Where the echo listens.
const ECHO: &str = "10.99.0.1:7";

/// A socket on the server's port and one on the device that is connected to it.
fn echo_sockets(network: &Network) -> (UdpSocket, UdpSocket) {
    network.give_the_device_an_address();
    let far = network.server.enter(|| UdpSocket::bind(ECHO)).expect("a free port");
    let near = network.device.enter(|| UdpSocket::bind("0.0.0.0:0")).expect("a free port");
    near.connect(ECHO).expect("a route");
    for socket in [&far, &near] {
        socket.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    }
    (far, near)
}

/// The next datagram, which must come.
fn next(socket: &UdpSocket) -> (Vec<u8>, std::net::SocketAddr) {
    let mut buffer = [0; 64];
    let (length, from) = socket.recv_from(&mut buffer).expect("a datagram");
    (buffer[..length].to_vec(), from)
}

#[test]
fn two_hosts_exchange_datagrams_over_veth() {
    lab::within(&[], |lab| {
        let (far, near) = echo_sockets(&Network::plain(lab));
        near.send(b"there").expect("sent");
        let (question, from) = next(&far);
        far.send_to(&question, from).expect("sent");
        assert_eq!(next(&near).0, b"there");
    });
}

#[test]
fn hosts_have_their_own_resolv_conf_and_the_machines_is_safe() {
    lab::within(&[], |lab| {
        let (a, b) = (lab.host("a"), lab.host("b"));
        let sh =
            |host: &lab::Host, script: &str| run(host.command("sh").args(["-c", script]), PATIENCE);
        // Before anything is written: a cover that failed must not cost the machine its names.
        assert_eq!(sh(&a, "cat /etc/resolv.conf").stdout, "# of host a\n");
        sh(&a, "echo nameserver 192.0.2.1 >/etc/resolv.conf").expect_code(0);
        assert_eq!(sh(&a, "cat /etc/resolv.conf").stdout, "nameserver 192.0.2.1\n", "{a:?}");
        assert_eq!(sh(&b, "cat /etc/resolv.conf").stdout, "# of host b\n", "{b:?}");
        let covered = fs::read_to_string("/etc/resolv.conf").expect("the laboratory's");
        assert_eq!(covered, "# of the laboratory\n", "not even the test itself sees the machine's");
    });
}

#[test]
fn nobody_can_set_the_clock() {
    lab::within(&[], |lab| {
        let host = lab.host("a");
        // CAP_SYS_TIME is bit 25; the last line of defence of the machine that runs the tests.
        for status in [fs::read_to_string("/proc/thread-self/status").expect("proc"), {
            run(host.command("cat").arg("/proc/thread-self/status"), PATIENCE).stdout
        }] {
            for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
                let line = status.lines().find_map(|line| line.strip_prefix(set)).expect(set);
                let bits = u64::from_str_radix(line.trim(), 16).expect("hexadecimal");
                assert_eq!(bits & 1 << 25, 0, "{set} {line}");
            }
        }
    });
}

#[test]
fn a_program_that_hangs_is_killed_at_its_deadline() {
    lab::within(&[], |lab| {
        let host = lab.host("a");
        let start = Instant::now();
        let hang = || run(host.command("sleep").arg("1000"), Duration::from_millis(20));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(hang)).is_err();
        assert!(panicked && start.elapsed() < PATIENCE);
    });
}

/// Sends so many numbered datagrams from the device, then waits until the wire has been through
/// with them.
fn burst(network: &Network, near: &UdpSocket, count: u16) -> Counts {
    // The first datagram waits for the address of the neighbour; let that be none of the test's
    // traffic.
    network.device.ip(&format!(
        "neigh replace {SERVER} lladdr {} dev {}",
        server_mac(network),
        network::DEVICE_INTERFACE
    ));
    let wire = network.wire.as_ref().expect("a wire with faults");
    for number in 0..count {
        near.send(&number.to_be_bytes()).expect("sent");
    }
    let seen = || Some(wire.counts()).filter(|counts| counts.frames[1] >= count.into());
    eventually("the wire has seen the burst", seen)
}

fn server_mac(network: &Network) -> String {
    let link = network.server.ip_json(&format!("link show dev {}", network::SERVER_INTERFACE));
    link[0]["address"].as_str().expect("an address").to_owned()
}

fn number(datagram: &[u8]) -> u16 {
    u16::from_be_bytes([datagram[0], datagram[1]])
}

#[test]
fn the_wire_loses_and_duplicates_exactly_what_its_seed_says() {
    lab::within(&[], |lab| {
        let faults =
            Faults { seed: 11, loss_percent: 30, duplicate_percent: 20, ..Faults::default() };
        let network = Network::with_faults(lab, Faults::default());
        let (far, near) = echo_sockets(&network);
        network.wire.as_ref().expect("it has one").set(faults);
        let counts = burst(&network, &near, 50);
        // Direction 1 is from the device to the server.
        let expected: Vec<u16> =
            (0..50).flat_map(|n| vec![n; faults.fate(1, n.into()).len()]).collect();
        let arrived: Vec<u16> = expected.iter().map(|_| number(&next(&far).0)).collect();
        assert_eq!(arrived, expected);
        far.set_nonblocking(true).expect("a flag");
        assert!(far.recv(&mut [0; 8]).is_err(), "nothing else arrives");
        assert!(counts.lost > 5 && counts.duplicated > 3, "{counts:?}");
    });
}

#[test]
fn the_wire_delays_and_reorders() {
    lab::within(&[], |lab| {
        let ms = Duration::from_millis;
        let faults = Faults { seed: 3, delay: ms(60), jitter: ms(20), ..Faults::default() };
        let network = Network::with_faults(lab, Faults::default());
        let (far, near) = echo_sockets(&network);
        network.wire.as_ref().expect("it has one").set(faults);
        let start = Instant::now();
        burst(&network, &near, 20);
        let arrived: Vec<u16> = (0..20).map(|_| number(&next(&far).0)).collect();
        let least = (0..20).map(|n| faults.fate(1, n)[0].delay).max().expect("twenty");
        assert!(start.elapsed() >= least, "{:?} is less than {least:?}", start.elapsed());
        let mut sorted = arrived.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<u16>>(), "each arrives once");
        assert_ne!(arrived, sorted, "some overtake others");
    });
}

#[test]
fn a_flipped_bit_is_found_by_the_receiver() {
    lab::within(&[], |lab| {
        let network = Network::with_faults(lab, Faults::default());
        let (far, near) = echo_sockets(&network);
        let wire = network.wire.as_ref().expect("it has one");
        wire.set(Faults { seed: 5, corrupt_percent: 100, ..Faults::default() });
        let counts = burst(&network, &near, 20);
        assert_eq!(counts.corrupted, 20);
        wire.set(Faults::default());
        near.send(b"whole").expect("sent");
        // Every datagram before it had one wrong bit, which the checksum of IP or that of UDP
        // shows.
        assert_eq!(next(&far).0, b"whole");
    });
}

#[test]
fn dnsmasq_answers_a_query_made_by_hand() {
    lab::within(&["dnsmasq"], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let _dnsmasq = servers::dnsmasq(&network.server, "");
        let cases: [(&str, u16, &[u8]); 2] = [
            ("host.lab.test", 1, &[10, 99, 0, 10]),
            ("host.lab.test", 28, &[0xfd, 0x99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10]),
        ];
        for (name, qtype, rdata) in cases {
            let answer = ask(&network.device, "10.99.0.1:53", &dns_query(7, name, qtype))
                .expect("an answer");
            assert_eq!(answer[..2], [0, 7], "id: {answer:?}");
            assert_eq!(
                (answer[2] & 0x80, answer[3] & 0x0f),
                (0x80, 0),
                "a response, NOERROR: {answer:?}"
            );
            assert!(answer.ends_with(rdata), "{name} {qtype}: {answer:?}");
        }
        let missing = ask(&network.device, "10.99.0.1:53", &dns_query(8, "missing.lab.test", 1))
            .expect("an answer");
        assert_eq!(missing[3] & 0x0f, 3, "NXDOMAIN: {missing:?}");
    });
}

#[test]
fn chronyd_answers_a_request_made_by_hand() {
    lab::within(&["chronyd"], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let _chronyd = servers::chronyd(&network.server, servers::LOCAL);
        let answer = ask(&network.device, "10.99.0.1:123", &ntp_request()).expect("an answer");
        assert_eq!(answer.len(), 48);
        assert_eq!(answer[0] & 7, 4, "mode server: {answer:?}");
        assert_eq!(answer[0] >> 6, 0, "leap: no warning: {answer:?}");
        assert_eq!(answer[1], 3, "stratum: {answer:?}");
        assert_eq!(
            answer[24..32],
            ntp_request()[40..],
            "the origin timestamp is our transmit timestamp"
        );
    });
}

/// Where things are in a frame without VLAN tag and IP options.
const IP: usize = 14;
const UDP: usize = IP + 20;
const DHCP: usize = UDP + 8;

/// A broadcast DHCPDISCOVER in an Ethernet frame, made by hand. The broadcast flag is set.
fn discover(mac: [u8; 6]) -> Vec<u8> {
    let mut dhcp = vec![1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78, 0, 0, 0x80, 0];
    dhcp.resize(28, 0);
    dhcp.extend(mac);
    dhcp.resize(236, 0);
    dhcp.extend([99, 130, 83, 99, 53, 1, 1, 255]);
    dhcp.resize(300, 0);
    let length = |bytes: usize| u16::try_from(bytes).expect("a small frame").to_be_bytes();
    let mut ip = vec![0x45, 0];
    ip.extend(length(20 + 8 + dhcp.len()));
    ip.extend([0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]);
    let sum = !ones_complement(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = vec![255; 6];
    frame.extend(mac);
    frame.extend([8, 0]);
    frame.extend(ip);
    frame.extend([0, 68, 0, 67]);
    frame.extend(length(8 + dhcp.len()));
    // RFC 768: zero means that there is no checksum.
    frame.extend([0, 0]);
    frame.extend(dhcp);
    frame
}

/// What the UDP checksum of a frame's datagram comes to, with its pseudo header: 0xffff where it is
/// right.
fn udp_sum(frame: &[u8]) -> u16 {
    let length = usize::from(u16::from_be_bytes([frame[UDP + 4], frame[UDP + 5]]));
    let mut covered = frame[IP + 12..UDP].to_vec();
    covered.extend([0, 17]);
    covered.extend(&frame[UDP + 4..UDP + 6]);
    covered.extend(&frame[UDP..UDP + length]);
    ones_complement(&covered)
}

/// The DHCPOFFER that answers [`discover`], and whether the kernel says that its checksum isn't
/// ready.
fn offer(network: &Network) -> (Vec<u8>, bool) {
    let mac = [2, 0, 0, 0, 0, 0x42];
    let open = || PacketSocket::open(network::DEVICE_INTERFACE, Metadata::Beside);
    let socket = network.device.enter(open).expect("AF_PACKET");
    socket.send(&discover(mac)).expect("sent");
    let mut buffer = vec![0; 2048];
    loop {
        let received = socket.receive(&mut buffer, PATIENCE).expect("an OFFER");
        let frame = &buffer[..received.length];
        // dnsmasq also asks for addresses by ARP; only DHCP to port 68 counts.
        if frame.len() > DHCP + 240 && frame[12..14] == [8, 0] && frame[UDP + 2..UDP + 4] == [0, 68]
        {
            assert_eq!(frame[DHCP + 4..DHCP + 8], [0x12, 0x34, 0x56, 0x78], "xid");
            assert_eq!(frame[DHCP + 240..DHCP + 243], [53, 1, 2], "a DHCPOFFER comes first");
            return (frame.to_vec(), received.checksum_not_ready);
        }
    }
}

/// The trap for every client with a raw socket: the UDP checksum is wrong, and the frame is good.
#[test]
fn an_offer_crosses_veth_with_an_unfinished_checksum() {
    lab::within(&["dnsmasq"], |lab| {
        let network = Network::plain(lab);
        let _dnsmasq = servers::dnsmasq(&network.server, "");
        let (frame, checksum_not_ready) = offer(&network);
        assert!(checksum_not_ready, "TP_STATUS_CSUMNOTREADY");
        assert_ne!(
            udp_sum(&frame),
            0xffff,
            "a client that looks at the checksum alone drops this OFFER"
        );
    });
}

#[test]
fn the_wire_passes_an_unfinished_checksum_on() {
    lab::within(&["dnsmasq"], |lab| {
        let network = Network::with_faults(lab, Faults::default());
        let _dnsmasq = servers::dnsmasq(&network.server, "");
        let (frame, checksum_not_ready) = offer(&network);
        assert!(checksum_not_ready, "TP_STATUS_CSUMNOTREADY");
        assert_ne!(udp_sum(&frame), 0xffff);
    });
}

#[test]
fn a_corrupt_frame_is_sent_with_a_finished_checksum() {
    lab::within(&["dnsmasq"], |lab| {
        let network = Network::with_faults(lab, Faults::default());
        let _dnsmasq = servers::dnsmasq(&network.server, "");
        network.wire.as_ref().expect("it has one").set(Faults {
            seed: 1,
            corrupt_percent: 100,
            ..Faults::default()
        });
        let mac = [2, 0, 0, 0, 0, 0x42];
        let open = || PacketSocket::open(network::DEVICE_INTERFACE, Metadata::Beside);
        let socket = network.device.enter(open).expect("AF_PACKET");
        let mut buffer = vec![0; 2048];
        // Where a flipped bit spoils the DISCOVER, dnsmasq says nothing: the next one has another
        // fate.
        let received = eventually("an OFFER with a wrong bit", || {
            socket.send(&discover(mac)).expect("sent");
            let received = socket.receive(&mut buffer, Duration::from_millis(100)).ok()?;
            (buffer[12..14] == [8, 0] && received.length > DHCP + 240).then_some(received)
        });
        assert!(!received.checksum_not_ready, "a receiver that trusts the flag would take it");
    });
}
