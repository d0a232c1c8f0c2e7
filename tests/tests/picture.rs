//! `--timeline` and `--pcap`: the picture is whole, and the capture is what was on the wire.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use bringup_tests::lab::network::{DEVICE_INTERFACE, Network, SERVER};
use bringup_tests::lab::servers::{self, LOCAL};
use bringup_tests::lab::{self, Faults, PATIENCE, bringup, run};

const DEADLINE: Duration = Duration::from_secs(70);

/// Fails unless every element that is opened is closed, in its order.
fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    for piece in svg.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap_or_else(|| panic!("no end: <{piece}"));
        assert!(!text.contains('>') || open.last() == Some(&"style"), "a bare > in {text:?}");
        let name = tag.split([' ', '/']).find(|word| !word.is_empty()).expect("a name");
        match (tag.starts_with('/'), tag.ends_with('/')) {
            (true, _) => assert_eq!(open.pop(), Some(name), "<{tag}>"),
            (false, true) => {}
            (false, false) => open.push(name),
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
}

/// A packet of a capture with cooked headers.
#[derive(Debug)]
struct Captured {
    /// Microseconds since 1970.
    unix_us: u64,
    sent: bool,
    ethertype: u16,
    octets: Vec<u8>,
}

impl Captured {
    /// The ports of a UDP datagram in an IPv4 packet.
    fn ports(&self) -> Option<[u16; 2]> {
        let header = usize::from(self.octets[0] & 0x0F) * 4;
        let port = |at: usize| u16::from_be_bytes([self.octets[at], self.octets[at + 1]]);
        let is_udp = self.ethertype == 0x0800 && self.octets[9] == 17;
        is_udp.then(|| [port(header), port(header + 2)])
    }
}

/// Reads a file by the format's own description (draft-ietf-opsawg-pcap), all lengths checked.
fn read_pcap(path: &Path) -> Vec<Captured> {
    let file = fs::read(path).expect("it was written");
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four octets"));
    assert_eq!(word(0), 0xA1B2_C3D4, "microseconds, little-endian");
    assert_eq!((word(4), word(20)), (0x0004_0002, 113), "version 2.4, LINUX_SLL");
    let (mut at, mut packets) = (24, Vec::new());
    while at < file.len() {
        let length = word(at + 8) as usize;
        assert_eq!(word(at + 12) as usize, length, "none is cut");
        let packet = &file[at + 16..at + 16 + length];
        let half = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        packets.push(Captured {
            unix_us: u64::from(word(at)) * 1_000_000 + u64::from(word(at + 4)),
            sent: half(0) == 4,
            ethertype: half(14),
            octets: packet[16..].to_vec(),
        });
        at += 16 + length;
    }
    packets
}

fn count(packets: &[Captured], sent: bool, port: u16) -> usize {
    let side = usize::from(sent);
    let is = |p: &&Captured| p.sent == sent && p.ports().is_some_and(|ports| ports[side] == port);
    packets.iter().filter(is).count()
}

#[test]
fn the_demo_draws_all_that_it_shows() {
    lab::within(&[], |lab| {
        let host = lab.host("device");
        let (svg, pcap) = (host.folder().join("demo.svg"), host.folder().join("demo.pcap"));
        let mut command = host.command(bringup());
        let outcome =
            run(command.arg("demo").arg("--timeline").arg(&svg).arg("--pcap").arg(&pcap), DEADLINE);
        outcome.expect_code(0);
        let drawn = fs::read_to_string(svg).expect("it was drawn");
        assert_well_formed(&drawn);
        for said in [
            "bringup demo",
            "OPERATIONAL after",
            "DISCOVER",
            "OFFER 10.89.0.50",
            "ACK 10.89.0.50",
            "A? time.bringup.test",
            "stratum 1",
            "near0 up",
            "ran: OPERATIONAL",
            "prefers-color-scheme:dark",
        ] {
            assert!(drawn.contains(said), "{said}\n{drawn}");
        }
        let chart = outcome.stdout.split("\n\n").last().expect("the chart is the end");
        assert!(chart.starts_with("bringup demo: OPERATIONAL after"), "{outcome}");
        assert!(chart.lines().all(|line| line.chars().count() <= 80), "{chart}");

        let packets = read_pcap(&pcap);
        assert_eq!((count(&packets, true, 67), count(&packets, false, 67)), (2, 2), "DORA");
        assert!(count(&packets, true, 53) >= 4 && count(&packets, false, 53) >= 3);
        assert_eq!(count(&packets, true, 123), count(&packets, false, 123));
        assert!(packets.iter().any(|p| p.ethertype == 0x0806 && p.sent), "the ARP probe");
        let (first, last) = (packets[0].unix_us, packets[packets.len() - 1].unix_us);
        assert!(last - first < 5_000_000, "the times are those of one bring-up");
    });
}

#[test]
fn a_slow_bring_up_shows_what_was_sent_again_and_whom_it_waited_for() {
    lab::within(&["dnsmasq", "chronyd", "tcpdump"], |lab| {
        let network = Network::with_faults(lab, Faults::default());
        let _servers =
            [servers::dnsmasq(&network.server, ""), servers::chronyd(&network.server, LOCAL)];
        let ms = Duration::from_millis;
        let (delay, jitter) = (ms(60), ms(20));
        // This one loses the first DISCOVER and four of the next ten frames that the device sends.
        let faults = Faults { seed: 11, loss_percent: 30, delay, jitter, ..Faults::default() };
        network.wire.as_ref().expect("it has one").set(faults);
        let folder = network.device.folder();
        let (svg, pcap) = (folder.join("up.svg"), folder.join("up.pcap"));
        let mut command = network.device.command(bringup());
        command.args(["up", DEVICE_INTERFACE, "--once", "--resolve", "host.lab.test"]);
        let outcome = run(command.arg("--timeline").arg(&svg).arg("--pcap").arg(&pcap), DEADLINE);
        outcome.expect_code(0);
        let drawn = fs::read_to_string(&svg).expect("it was drawn");
        if let Some(keep) = std::env::var_os("BRINGUP_KEEP_PICTURES") {
            fs::copy(&svg, Path::new(&keep).join("up.svg")).expect("a folder to keep them in");
        }
        assert_well_formed(&drawn);
        assert!(drawn.matches(">DISCOVER").count() > 1, "sent again\n{drawn}");
        assert!(drawn.contains(">dhcp</text>"), "the wait is long enough for its name\n{drawn}");

        let packets = read_pcap(&pcap);
        assert!(count(&packets, true, 67) > count(&packets, false, 67), "some were lost");
        // Root gives its rights up for a user that the laboratory may lack.
        let mut tcpdump = network.device.command("tcpdump");
        tcpdump.args(["-Z", "root", "-nnvv", "-r"]).arg(&pcap);
        let told = run(&mut tcpdump, PATIENCE);
        told.expect_code(0);
        let answers = told.stdout.matches(&format!("{SERVER}.67 > ")).count();
        assert_eq!(answers, count(&packets, false, 67), "{told}");
        assert!(!told.stdout.contains("truncated"), "{told}");
        // Frames from the server's own sockets have checksums that no hardware has finished; what this
        // program wrote is right.
        let bad = told.stdout.matches("[bad udp cksum").count();
        assert!(bad <= answers && told.stdout.contains("[udp sum ok] BOOTP"), "{told}");
    });
}

#[test]
fn a_file_that_cannot_be_written_is_said_before_anything_is_done() {
    lab::within(&[], |lab| {
        let host = lab.host("device");
        for option in ["--timeline", "--pcap"] {
            let mut command = host.command(bringup());
            let outcome = run(command.args(["demo", option, "/nowhere/file"]), DEADLINE);
            outcome.expect_code(64);
            assert!(outcome.stderr.contains("/nowhere/file"), "{outcome}");
            assert_eq!(outcome.stdout, "", "{outcome}");
        }
    });
}

#[test]
fn each_interface_has_its_lanes() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let network = Network::plain(lab);
        lab.cable((&network.server, "s1"), (&network.device, "eth1"));
        let _servers =
            [servers::dnsmasq(&network.server, ""), servers::chronyd(&network.server, LOCAL)];
        let svg = network.device.folder().join("two.svg");
        let mut command = network.device.command(bringup());
        command.args(["up", DEVICE_INTERFACE, "eth1", "--once", "--timeline"]).arg(&svg);
        let outcome = run(&mut command, DEADLINE);
        outcome.expect_code(0);
        let drawn = fs::read_to_string(&svg).expect("it was drawn");
        if let Some(keep) = std::env::var_os("BRINGUP_KEEP_PICTURES") {
            fs::copy(&svg, Path::new(&keep).join("two.svg")).expect("a folder to keep them in");
        }
        assert_well_formed(&drawn);
        for (lane, interface) in [("link", DEVICE_INTERFACE), ("DHCP", "eth1")] {
            assert!(outcome.stdout.contains(&format!("\n{lane} {interface} ")), "{outcome}");
            assert!(drawn.contains(&format!(">{interface}</text>")), "{drawn}");
        }
    });
}
