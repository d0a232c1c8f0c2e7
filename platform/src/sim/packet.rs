//! IPv4, UDP and the one ICMP message that the simulated host knows. For peers and tests too.

use core::net::{Ipv4Addr, SocketAddrV4};

use bringup_core::wire::{Reader, Truncated};

/// EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;

const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_UDP: u8 = 17;
const IP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;

/// The longest payload of a UDP datagram over IPv4.
pub const MAX_PAYLOAD: usize = 65_535 - IP_HEADER - UDP_HEADER;

/// The sum of RFC 1071: ones' complement, over big-endian words, an odd byte padded with zero.
fn sum(bytes: &[u8]) -> u32 {
    // At most 65,535 bytes: 2^15 words of 16 bits fit.
    bytes
        .chunks(2)
        .map(|pair| {
            let high = pair.first().copied().unwrap_or(0);
            let low = pair.get(1).copied().unwrap_or(0);
            u32::from(u16::from_be_bytes([high, low]))
        })
        .sum()
}

fn fold(sum: u32) -> u16 {
    let once = (sum & 0xFFFF) + (sum >> 16);
    let twice = (once & 0xFFFF) + (once >> 16);
    !u16::try_from(twice).unwrap_or(0)
}

fn pseudo_header(src: Ipv4Addr, dst: Ipv4Addr, udp_length: usize) -> u32 {
    let length = u32::try_from(udp_length).unwrap_or(0);
    sum(&src.octets()) + sum(&dst.octets()) + u32::from(PROTOCOL_UDP) + length
}

fn ip_packet(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(IP_HEADER + body.len()).unwrap_or(u16::MAX);
    let mut header = vec![0x45, 0];
    header.extend(length.to_be_bytes());
    // Identification 0, don't fragment, TTL 64.
    header.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    header.extend(src.octets());
    header.extend(dst.octets());
    put_checksum(&mut header, 10);
    header.extend(body);
    header
}

/// Writes the checksum of all of `bytes`, whose field at `at` is still zero.
fn put_checksum(bytes: &mut [u8], at: usize) {
    let checksum = fold(sum(bytes)).to_be_bytes();
    for (to, from) in bytes.iter_mut().skip(at).zip(checksum) {
        *to = from;
    }
}

/// A UDP datagram in an IPv4 packet, checksums and all. What does not fit into one
/// ([`MAX_PAYLOAD`]) makes a packet whose lengths are wrong.
pub fn udp(src: SocketAddrV4, dst: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let udp_length = UDP_HEADER + payload.len();
    let mut datagram = Vec::with_capacity(udp_length);
    datagram.extend(src.port().to_be_bytes());
    datagram.extend(dst.port().to_be_bytes());
    datagram.extend(u16::try_from(udp_length).unwrap_or(u16::MAX).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    // RFC 768: a checksum that comes out as zero is sent as all ones.
    let folded = fold(sum(&datagram) + pseudo_header(*src.ip(), *dst.ip(), udp_length));
    let checksum = if folded == 0 { 0xFFFF } else { folded };
    for (to, from) in datagram.iter_mut().skip(6).zip(checksum.to_be_bytes()) {
        *to = from;
    }
    ip_packet(*src.ip(), *dst.ip(), PROTOCOL_UDP, &datagram)
}

/// A UDP datagram as it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Its source.
    pub src: SocketAddrV4,
    /// Its destination.
    pub dst: SocketAddrV4,
    /// What it carries.
    pub payload: &'a [u8],
}

/// Reads a packet that holds a whole UDP datagram. The header checksum is always looked at, that of
/// UDP where `check_udp` says so. `None` for everything else.
pub fn parse_udp(packet: &[u8], check_udp: bool) -> Option<Datagram<'_>> {
    let (src, dst, protocol, body) = parse_ip(packet).ok().flatten()?;
    if protocol != PROTOCOL_UDP {
        return None;
    }
    let mut reader = Reader::new(body);
    let (from, to) = (reader.u16().ok()?, reader.u16().ok()?);
    let length = usize::from(reader.u16().ok()?);
    let checksum = reader.u16().ok()?;
    let payload = reader.bytes(length.checked_sub(UDP_HEADER)?).ok()?;
    if check_udp && checksum != 0 {
        let whole = body.get(..length)?;
        if fold(sum(whole) + pseudo_header(src, dst, length)) != 0 {
            return None;
        }
    }
    let (src, dst) = (SocketAddrV4::new(src, from), SocketAddrV4::new(dst, to));
    Some(Datagram { src, dst, payload })
}

type Ip<'a> = (Ipv4Addr, Ipv4Addr, u8, &'a [u8]);

/// Source, destination, protocol and body of a packet that is whole and no fragment.
fn parse_ip(packet: &[u8]) -> Result<Option<Ip<'_>>, Truncated> {
    let mut reader = Reader::new(packet);
    let first = reader.u8()?;
    let header_length = usize::from(first & 0xF) * 4;
    reader.skip(1)?;
    let total = usize::from(reader.u16()?);
    reader.skip(2)?;
    let fragment = reader.u16()? & 0x3FFF;
    reader.skip(1)?;
    let protocol = reader.u8()?;
    reader.skip(2)?;
    let (src, dst) = (reader.array()?.into(), reader.array()?.into());
    let mut whole = Reader::new(packet);
    let header = whole.bytes(header_length)?;
    let body_length = total.saturating_sub(header_length);
    let body = whole.bytes(body_length)?;
    let good =
        first >> 4 == 4 && header_length >= IP_HEADER && fragment == 0 && fold(sum(header)) == 0;
    Ok(good.then_some((src, dst, protocol, body)))
}

/// ICMP "port unreachable" (RFC 792), with which `by` answers a UDP packet to a port where nobody
/// listens.
pub fn port_unreachable(by: Ipv4Addr, packet: &[u8]) -> Option<Vec<u8>> {
    let original = parse_udp(packet, false)?;
    let mut body = vec![3, 3, 0, 0, 0, 0, 0, 0];
    // The header and eight bytes: the ports are in them.
    body.extend(packet.iter().take(IP_HEADER + UDP_HEADER));
    put_checksum(&mut body, 2);
    Some(ip_packet(by, *original.src.ip(), PROTOCOL_ICMP, &body))
}

/// Source and destination of the datagram that a "port unreachable" is about.
pub fn parse_unreachable(packet: &[u8]) -> Option<(SocketAddrV4, SocketAddrV4)> {
    let (_, _, protocol, body) = parse_ip(packet).ok().flatten()?;
    if protocol != PROTOCOL_ICMP || fold(sum(body)) != 0 {
        return None;
    }
    let mut reader = Reader::new(body);
    if reader.array().ok()? != [3, 3] {
        return None;
    }
    // Rest of the ICMP header, then the original: sources and destinations at fixed places, as only
    // headers without options are made here.
    reader.skip(6 + 12).ok()?;
    let (src, dst): ([u8; 4], [u8; 4]) = (reader.array().ok()?, reader.array().ok()?);
    let (from, to) = (reader.u16().ok()?, reader.u16().ok()?);
    Some((SocketAddrV4::new(src.into(), from), SocketAddrV4::new(dst.into(), to)))
}

/// Whether the frame's payload is what the filter for DHCP clients lets through: IPv4, UDP, not a
/// later fragment, to port 68, whatever the length of the header.
pub(super) fn is_for_dhcp_client(packet: &[u8]) -> bool {
    let read = || -> Result<bool, Truncated> {
        let mut reader = Reader::new(packet);
        let first = reader.u8()?;
        reader.skip(5)?;
        let offset = reader.u16()? & 0x1FFF;
        reader.skip(1)?;
        let protocol = reader.u8()?;
        let mut ports = Reader::at(packet, usize::from(first & 0xF) * 4);
        ports.skip(2)?;
        let to = ports.u16()?;
        Ok(first >> 4 == 4 && offset == 0 && protocol == PROTOCOL_UDP && to == 68)
    };
    read().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SRC: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 1_234);
    const DST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 2), 68);

    #[test]
    fn a_datagram_survives_the_way_there_and_back() {
        for payload in [&b""[..], b"x", b"xy", b"a longer one"] {
            let packet = udp(SRC, DST, payload);
            let parsed = parse_udp(&packet, true);
            assert_eq!(parsed, Some(Datagram { src: SRC, dst: DST, payload }));
            assert!(is_for_dhcp_client(&packet));
        }
    }

    #[test]
    fn a_known_packet_has_the_known_checksums() {
        // Computed by another program: 192.0.2.1:1234 to 192.0.2.2:68 with "hi".
        let packet = udp(SRC, DST, b"hi");
        assert_eq!(fold(sum(&packet[..20])), 0);
        assert_eq!(packet[10..12], [0xB6, 0xCB]);
        assert_eq!(packet[26..28], [0x0E, 0x57]);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let packet = udp(SRC, DST, b"payload");
        // The type of service, the identification and so on are in the header's checksum.
        for bit in 0..packet.len() * 8 {
            let mut damaged = packet.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse_udp(&damaged, true), None, "bit {bit}");
        }
        for end in 0..packet.len() {
            assert_eq!(parse_udp(&packet[..end], true), None, "cut at {end}");
        }
    }

    #[test]
    fn the_filter_honours_the_length_of_the_ip_header() {
        let mut packet = udp(SRC, DST, b"");
        packet.splice(20..20, [1, 1, 1, 0]);
        packet[0] = 0x46;
        assert!(is_for_dhcp_client(&packet));
        packet[7] = 1;
        assert!(!is_for_dhcp_client(&packet), "a later fragment");
    }

    #[test]
    fn unreachable_names_the_datagram() {
        let packet = udp(SRC, DST, b"anybody there?");
        let icmp = port_unreachable(*DST.ip(), &packet).expect("it was UDP");
        assert_eq!(parse_unreachable(&icmp), Some((SRC, DST)));
        assert_eq!(parse_unreachable(&packet), None);
    }
}
