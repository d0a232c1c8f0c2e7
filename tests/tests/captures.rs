//! What real servers answer, taken off the wire: every message keeps the property that is fuzzed with its like,
//! and those in the corpora (`fuzz/corpus/TARGET/capture-*`) are the same questions to the same servers.
//!
//!     BRINGUP_WRITE=1 cargo test -p bringup-tests --test captures
//!
//! takes them anew. They differ each time, in ids and times; their names do not.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bringup_tests::lab::network::{DEVICE_INTERFACE, Network, SERVER};
use bringup_tests::lab::packet::{FRAME_MAX, Metadata, PacketSocket};
use bringup_tests::lab::servers::{self, Server};
use bringup_tests::lab::{self, Host, bringup, dhcp, dns, run};

/// A datagram that the device received: the packet as it came, and where its parts are.
struct Captured {
    packet: Vec<u8>,
    /// Its checksum was left to a network card that a veth pair has not.
    checksum_not_ready: bool,
}

impl Captured {
    fn payload(&self) -> &[u8] {
        let header = usize::from(self.packet[0] & 15) * 4;
        &self.packet[header + 8..]
    }

    /// The value of a DHCP option.
    fn option(&self, code: u8) -> Option<u8> {
        let mut rest = self.payload().get(240..)?;
        while let [tag, length, tail @ ..] = rest {
            if *tag == code {
                return tail.first().copied();
            }
            rest = tail.get(usize::from(*length)..)?;
        }
        None
    }
}

/// What comes to the device from this UDP port while it runs the command; whether the command likes it is
/// said by other tests.
fn capture(device: &Host, port: u16, arguments: &[&str]) -> Vec<Captured> {
    let socket = device
        .enter(|| PacketSocket::open(DEVICE_INTERFACE, Metadata::Beside))
        .expect("a packet socket");
    run(device.command(bringup()).args(arguments), Duration::from_secs(30));
    let mut buffer = vec![0; FRAME_MAX];
    let mut captured = Vec::new();
    while let Ok(received) = socket.receive(&mut buffer, Duration::ZERO) {
        let Some([8, 0, packet @ ..]) = buffer.get(12..received.length) else { continue };
        let header = usize::from(packet[0] & 15) * 4;
        if packet[9] == 17 && packet[header..header + 2] == port.to_be_bytes() {
            // What is too short for Ethernet is filled up behind its end.
            let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
            let (packet, checksum_not_ready) =
                (packet[..total].to_vec(), received.checksum_not_ready);
            captured.push(Captured { packet, checksum_not_ready });
        }
    }
    captured
}

/// The inputs of some targets: target, name, octets.
type Inputs = Vec<(&'static str, String, Vec<u8>)>;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

/// Every input keeps its property, and the corpora of `targets` have those of these names and no others.
fn keep(targets: &[&str], inputs: &Inputs) {
    for (target, name, bytes) in inputs {
        if std::env::var_os("BRINGUP_WRITE").is_some() {
            fs::write(corpus(target).join(name), bytes).expect("the corpus can be written");
        }
        let (_, property) =
            bringup_fuzz::TARGETS.iter().find(|(known, _)| known == target).expect("a target");
        println!("{target}/{name}: {}", bytes.escape_ascii());
        property(bytes);
    }
    for target in targets {
        let entries = fs::read_dir(corpus(target)).expect("a corpus").flatten();
        let names = entries.map(|entry| entry.file_name().into_string().expect("a plain name"));
        let committed: BTreeSet<_> = names.filter(|name| name.starts_with("capture-")).collect();
        let of = |(known, name, _): &(&str, String, _)| (known == target).then(|| name.clone());
        let taken: BTreeSet<_> = inputs.iter().filter_map(of).collect();
        assert!(!taken.is_empty() && committed == taken, "{target}: {committed:?}, not {taken:?}");
    }
}

#[test]
fn dhcp_servers() {
    lab::within(&["dnsmasq", "dhcpd", "kea-dhcp4", "busybox"], |lab| {
        type Start = fn(&Host) -> Server;
        let servers: [(&str, Start); 4] = [
            ("dnsmasq", |host| servers::dnsmasq(host, "")),
            ("dhcpd", |host| dhcp::dhcpd(host, &dhcp::Pool::default())),
            ("kea", |host| dhcp::kea(host, &dhcp::Pool::default())),
            ("udhcpd", |host| dhcp::udhcpd(host, &dhcp::Pool::default())),
        ];
        let (network, mut inputs) = (Network::plain(lab), Inputs::new());
        for (name, start) in servers {
            let _server = start(&network.server);
            let all = capture(&network.device, 67, &["up", DEVICE_INTERFACE, "--dry-run"]);
            for (word, kind) in [("offer", 2), ("ack", 5)] {
                let one = all.iter().find(|one| one.option(53) == Some(kind));
                let one = one.unwrap_or_else(|| panic!("{name} has sent no {word}"));
                let name = format!("capture-{name}-{word}");
                inputs.push(("dhcp_message", name.clone(), one.payload().to_vec()));
                // Before the packet, what the property is to do with it: an unfinished checksum.
                let choices = vec![u8::from(one.checksum_not_ready)];
                inputs.push(("dhcp_frame", name, [choices, one.packet.clone()].concat()));
            }
        }
        keep(&["dhcp_message", "dhcp_frame"], &inputs);
    });
}

#[test]
fn name_servers() {
    lab::within(&["dnsmasq", "unbound", "knotd", "named"], |lab| {
        type Start = fn(&Host) -> Server;
        let servers: [(&str, Start); 4] = [
            ("dnsmasq", |host| servers::dnsmasq(host, "")),
            ("unbound", dns::unbound),
            ("knot", |host| dns::knot(host, SERVER, 0)),
            ("bind", dns::bind),
        ];
        let questions = [
            ("alias", ["www.lab.test", "A"]),
            ("missing", ["missing.lab.test", "A"]),
            ("nodata", ["v4only.lab.test", "AAAA"]),
            ("mx", ["lab.test", "MX"]),
            ("https", ["host.lab.test", "HTTPS"]),
            ("dname", ["x.old.lab.test", "A"]),
            ("truncated", ["big.lab.test", "A"]),
        ];
        let (network, mut inputs) = (Network::plain(lab), Inputs::new());
        network.give_the_device_an_address();
        for (name, start) in servers {
            let _server = start(&network.server);
            for (word, question) in questions {
                let arguments = [&["query"][..], &question, &["--server", SERVER]].concat();
                let all = capture(&network.device, 53, &arguments);
                let one = all.first().unwrap_or_else(|| panic!("{name} has not answered {word}"));
                let name = format!("capture-{name}-{word}");
                inputs.push(("dns_message", name, one.payload().to_vec()));
            }
        }
        keep(&["dns_message"], &inputs);
    });
}

#[test]
fn time_servers() {
    lab::within(&["chronyd", "ntpd"], |lab| {
        type Start = fn(&Host) -> Server;
        let servers: [(&str, Start); 3] = [
            ("chronyd", |host| servers::chronyd(host, servers::LOCAL)),
            ("chronyd-without-time", |host| servers::chronyd(host, "")),
            ("ntpsec", |host| servers::ntpsec(host, "")),
        ];
        let (network, mut inputs) = (Network::plain(lab), Inputs::new());
        network.give_the_device_an_address();
        for (name, start) in servers {
            let _server = start(&network.server);
            let all = capture(&network.device, 123, &["time", SERVER]);
            let one = all.first().unwrap_or_else(|| panic!("{name} has not answered")).payload();
            let name = format!("capture-{name}");
            inputs.push(("ntp_packet", name.clone(), one.to_vec()));
            inputs.push(("ntp_accept", name, [&BEFORE_A_REPLY[..], &one[24..32], one].concat()));
        }
        keep(&["ntp_packet", "ntp_accept"], &inputs);
    });
}

/// What `ntp_accept` reads before the nonce and the reply: that it is to leave the reply as it is (0x77), that
/// the request was sent a second after the start and answered a millisecond later, and the lowest floor.
const BEFORE_A_REPLY: [u8; 19] = {
    let mut bytes = [0; 19];
    bytes[0] = 0x77;
    // Microseconds, shifted by eight bits.
    (bytes[5], bytes[6], bytes[7]) = (0x0F, 0x42, 0x40);
    // Microseconds.
    (bytes[12], bytes[13]) = (0x03, 0xE8);
    bytes
};
