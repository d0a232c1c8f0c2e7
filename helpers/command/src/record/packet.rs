//! What a packet is, in a few words.

use bringup_core::client::{Checksum, Mac};
use bringup_dhcp::arp::{Arp, Operation};
use bringup_dhcp::{frame, message};
use bringup_dns::message::{Rcode, Section};
use bringup_dns::{RData, RecordType};
use bringup_ntp::packet::{Mode, Packet as NtpPacket};

/// EtherType of ARP.
const ARP: u16 = 0x0806;
/// The most of a label that is shown, characters.
const LABEL_MAX: usize = 30;

/// Whose lane a packet is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// DHCP, and the ARP that belongs to it.
    Dhcp,
    /// DNS.
    Dns,
    /// NTP.
    Ntp,
}

impl Protocol {
    /// All of them, in the order in which a machine needs them.
    pub const ALL: [Self; 3] = [Self::Dhcp, Self::Dns, Self::Ntp];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dhcp => "DHCP",
            Self::Dns => "DNS",
            Self::Ntp => "NTP",
        }
    }

    /// That of a payload of UDP. One of our own programs asks for nothing else, so that what is not
    /// NTP by its port or its look is DNS.
    pub(super) fn of_udp(ports: [u16; 2], payload: &[u8]) -> Self {
        let ntp = |payload| {
            let packet = NtpPacket::parse(payload);
            packet.is_ok_and(|p| matches!(p.mode, Mode::Client | Mode::Server) && p.version >= 3)
        };
        match ports {
            [67 | 68, _] | [_, 67 | 68] => Self::Dhcp,
            [53, _] | [_, 53] => Self::Dns,
            [123, _] | [_, 123] => Self::Ntp,
            _ if ntp(payload) => Self::Ntp,
            _ => Self::Dns,
        }
    }
}

/// Which way a packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From this machine.
    Sent,
    /// To it.
    Received,
}

/// A packet, as a picture shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Whose lane it is on.
    pub protocol: Protocol,
    /// Which way it went.
    pub direction: Direction,
    /// The interface that a frame went over; the kernel chooses for everything else.
    pub interface: Option<String>,
    /// What it says, short.
    pub label: String,
}

impl Packet {
    /// The payload of a UDP datagram, or of one message of a byte stream.
    pub(super) fn payload(protocol: Protocol, direction: Direction, payload: &[u8]) -> Self {
        let label = match protocol {
            Protocol::Dhcp => dhcp(payload),
            Protocol::Dns => dns(payload),
            Protocol::Ntp => ntp(payload),
        };
        let label = label.unwrap_or_else(|| "malformed".into());
        Self { protocol, direction, interface: None, label: shortened(label) }
    }

    /// What follows the link header of a frame.
    pub(super) fn frame(
        direction: Direction,
        interface: Option<String>,
        ethertype: u16,
        payload: &[u8],
    ) -> Self {
        let label = if ethertype == ARP { arp(payload) } else { framed_dhcp(direction, payload) };
        let label = label.unwrap_or_else(|| "malformed".into());
        Self { protocol: Protocol::Dhcp, direction, interface, label: shortened(label) }
    }
}

/// Names from the network can be long, and hold anything that escapes.
fn shortened(label: String) -> String {
    if label.chars().count() <= LABEL_MAX {
        return label;
    }
    label.chars().take(LABEL_MAX - 1).chain(['…']).collect()
}

fn framed_dhcp(direction: Direction, payload: &[u8]) -> Option<String> {
    let port = match direction {
        Direction::Sent => 67,
        Direction::Received => 68,
    };
    // Whether its checksum holds is the client's to say.
    dhcp(frame::parse(payload, port, Checksum::NotReady).ok()?.bytes)
}

fn dhcp(payload: &[u8]) -> Option<String> {
    let message = message::Message::parse(payload).ok()?;
    let kind = message.message_type()?.name();
    let yiaddr = message.header.yiaddr;
    Some(if yiaddr.is_unspecified() { kind.to_owned() } else { format!("{kind} {yiaddr}") })
}

fn arp(payload: &[u8]) -> Option<String> {
    let arp = Arp::parse(payload).ok()?;
    Some(match arp.operation {
        _ if arp.is_probe() => format!("ARP probe {}", arp.target),
        _ if arp.sender == arp.target => format!("ARP announces {}", arp.sender),
        Operation::Request => format!("ARP asks {}", arp.target),
        Operation::Reply if arp.sender_mac == Mac::default() => "ARP".into(),
        Operation::Reply => format!("ARP {} is there", arp.sender),
    })
}

fn dns(payload: &[u8]) -> Option<String> {
    let message = bringup_dns::Message::parse(payload).ok()?;
    let question = message.question();
    let qtype = question.as_ref().map_or_else(String::new, |q| q.qtype.to_string());
    if !message.header().qr {
        let name = question.as_ref().map_or_else(String::new, |q| q.qname.to_string());
        return Some(format!("{qtype}? {}", name.trim_end_matches('.')));
    }
    if message.header().tc {
        return Some(format!("{qtype} truncated"));
    }
    if message.rcode() != Rcode::NOERROR {
        return Some(format!("{qtype} {}", message.rcode()));
    }
    let wanted = question.as_ref().map(|question| question.qtype);
    let found = message.records(Section::Answer).filter(|record| Some(record.rtype) == wanted);
    let mut found = found.map(|record| answer(record.rtype, &record.data()));
    Some(format!("{qtype} {}", found.next().unwrap_or_else(|| "no data".into())))
}

fn answer(rtype: RecordType, data: &RData<'_>) -> String {
    match rtype {
        RecordType::A | RecordType::AAAA => data.to_string(),
        _ => "answered".into(),
    }
}

fn ntp(payload: &[u8]) -> Option<String> {
    let packet = NtpPacket::parse(payload).ok()?;
    Some(match (packet.mode, packet.stratum) {
        (Mode::Client, _) => "request".into(),
        (_, 0) => format!("kiss {}", packet.reference_id.escape_ascii()),
        (_, stratum) => format!("stratum {stratum}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bringup_core::wire::Writer;

    #[test]
    fn junk_is_named_so_and_not_believed() {
        for protocol in Protocol::ALL {
            assert_eq!(Packet::payload(protocol, Direction::Received, &[1]).label, "malformed");
        }
        assert_eq!(Packet::frame(Direction::Received, None, ARP, &[0; 9]).label, "malformed");
        assert_eq!(Packet::frame(Direction::Sent, None, 0x0800, &[0x45; 30]).label, "malformed");
    }

    #[test]
    fn servers_on_ports_of_their_own_are_told_apart() {
        let mut buffer = [0; 48];
        let mut writer = Writer::new(&mut buffer);
        NtpPacket::request(7).write(&mut writer).unwrap();
        assert_eq!(Protocol::of_udp([40_000, 1_123], &buffer), Protocol::Ntp);
        let query = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x01a\x04test\0\0\x01\0\x01";
        assert_eq!(Protocol::of_udp([40_000, 5_353], query), Protocol::Dns);
        let told = Packet::payload(Protocol::Dns, Direction::Sent, query);
        assert_eq!(told.label, "A? a.test");
    }

    #[test]
    fn long_names_are_cut() {
        let label = shortened("é".repeat(99));
        assert_eq!(label.chars().count(), LABEL_MAX);
        assert!(label.ends_with('…'));
    }
}
