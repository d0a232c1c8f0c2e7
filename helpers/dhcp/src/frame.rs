//! IPv4 and UDP around a DHCP message, as they follow the Ethernet header.
//!
//! Reading is strict, because nothing below has checked a frame from a raw socket. RFC 791, 768,
//! 1122; rule by rule in [`parse`].

use core::net::{Ipv4Addr, SocketAddrV4};

use bringup_core::client::Checksum;
use bringup_core::wire::{Full, Reader, Truncated, Writer};

/// EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// What [`seal`] puts before the payload: an IP header without options and a UDP header, octets.
pub const HEADER_LEN: usize = IP_HEADER_LEN + UDP_HEADER_LEN;

const IP_HEADER_LEN: usize = 20;
const UDP_HEADER_LEN: usize = 8;
const PROTOCOL_UDP: u8 = 17;
/// Any value above 1 will do; the usual one is the least remarkable.
const TTL: u8 = 64;
/// The bits of the fragment field that must be 0: reserved aside, MF and the offset.
const FRAGMENTED: u16 = 0x3FFF;

named! {
    /// Why a frame carries no datagram for us.
    pub enum Fault {
        /// Shorter than its headers say, or than any headers.
        Truncated = "frame-truncated",
        /// Not IP version 4.
        Version = "ip-version",
        /// IHL below 5.
        HeaderLength = "ip-header-length",
        /// Total length shorter than the header, or longer than the frame.
        TotalLength = "ip-total-length",
        /// The IP header's checksum is wrong.
        HeaderChecksum = "ip-checksum",
        /// A fragment, the first one included.
        Fragment = "ip-fragment",
        /// Not UDP.
        Protocol = "ip-protocol",
        /// Another UDP destination port.
        Port = "udp-port",
        /// UDP length below 8, or longer than the IP payload (CVE-2015-8605).
        UdpLength = "udp-length",
        /// The UDP checksum is wrong.
        UdpChecksum = "udp-checksum",
    }
}

impl From<Truncated> for Fault {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

/// The ones' complement sum of RFC 1071 in the making.
#[derive(Clone, Copy, Default)]
struct Sum(u64);

impl Sum {
    /// Adds bytes; an odd one at the end counts as if a zero followed.
    fn add(mut self, bytes: &[u8]) -> Self {
        let mut pairs = bytes.chunks_exact(2);
        for pair in &mut pairs {
            if let &[high, low] = pair {
                self.0 += u64::from(u16::from_be_bytes([high, low]));
            }
        }
        if let &[last] = pairs.remainder() {
            self.0 += u64::from(u16::from_be_bytes([last, 0]));
        }
        self
    }

    /// The pseudo-header of RFC 768.
    fn pseudo_header(source: Ipv4Addr, destination: Ipv4Addr, udp_len: u16) -> Self {
        Self::default()
            .add(&source.octets())
            .add(&destination.octets())
            .add(&[0, PROTOCOL_UDP])
            .add(&udp_len.to_be_bytes())
    }

    /// The checksum: the complement of the folded sum. 0 over data that contains a right one.
    fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xFFFF {
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap_or(u16::MAX)
    }
}

/// A UDP datagram taken from a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who claims to have sent it. The port is not checked: relays and offloads differ.
    pub source: SocketAddrV4,
    /// Whom it is for.
    pub destination: SocketAddrV4,
    /// The UDP payload, without what trails it.
    pub bytes: &'a [u8],
}

/// Reads what follows the Ethernet header: IPv4 with IHL honoured, no fragment, both lengths and
/// both checksums right, UDP to `port`. A UDP checksum of 0 means none (RFC 768); with
/// [`Checksum::NotReady`] it isn't looked at.
pub fn parse(payload: &[u8], port: u16, checksum: Checksum) -> Result<Datagram<'_>, Fault> {
    let mut r = Reader::new(payload);
    let first = r.u8()?;
    if first >> 4 != 4 {
        return Err(Fault::Version);
    }
    let header_len = usize::from(first & 0x0F) * 4;
    if header_len < IP_HEADER_LEN {
        return Err(Fault::HeaderLength);
    }
    r.skip(1)?;
    let total_len = usize::from(r.u16()?);
    r.skip(2)?;
    let fragment = r.u16()?;
    r.skip(1)?;
    let protocol = r.u8()?;
    r.skip(2)?;
    let source = Ipv4Addr::from(r.u32()?);
    let destination = Ipv4Addr::from(r.u32()?);

    // The frame may be longer than the packet: Ethernet pads to 60 octets.
    let mut packet = Reader::new(payload);
    let mut packet = Reader::new(packet.bytes(total_len).map_err(|_| Fault::TotalLength)?);
    let header = packet.bytes(header_len).map_err(|_| Fault::TotalLength)?;
    if Sum::default().add(header).finish() != 0 {
        return Err(Fault::HeaderChecksum);
    }
    if fragment & FRAGMENTED != 0 {
        return Err(Fault::Fragment);
    }
    if protocol != PROTOCOL_UDP {
        return Err(Fault::Protocol);
    }
    udp(packet.rest(), source, destination, port, checksum)
}

fn udp(
    segment: &[u8],
    source: Ipv4Addr,
    destination: Ipv4Addr,
    port: u16,
    checksum: Checksum,
) -> Result<Datagram<'_>, Fault> {
    let mut r = Reader::new(segment);
    let (source_port, destination_port) = (r.u16()?, r.u16()?);
    let (udp_len, sum) = (r.u16()?, r.u16()?);
    if destination_port != port {
        return Err(Fault::Port);
    }
    let length = usize::from(udp_len);
    let payload_len = length.checked_sub(UDP_HEADER_LEN).ok_or(Fault::UdpLength)?;
    let bytes = r.bytes(payload_len).map_err(|_| Fault::UdpLength)?;
    if sum != 0 && checksum == Checksum::Complete {
        let whole = Reader::new(segment).bytes(length)?;
        if Sum::pseudo_header(source, destination, udp_len).add(whole).finish() != 0 {
            return Err(Fault::UdpChecksum);
        }
    }
    Ok(Datagram {
        source: SocketAddrV4::new(source, source_port),
        destination: SocketAddrV4::new(destination, destination_port),
        bytes,
    })
}

/// Where the payload is to be written before [`seal`] puts the headers in front of it. Empty if the
/// buffer has no room for them.
pub fn payload_area(buffer: &mut [u8]) -> &mut [u8] {
    buffer.get_mut(HEADER_LEN..).unwrap_or(&mut [])
}

/// Writes the headers before a payload of `payload_len` octets in [`payload_area`], and gives out
/// the packet.
pub fn seal(
    buffer: &mut [u8],
    payload_len: usize,
    source: SocketAddrV4,
    destination: SocketAddrV4,
) -> Result<&mut [u8], Full> {
    let total = HEADER_LEN.checked_add(payload_len).ok_or(Full)?;
    let total_len = u16::try_from(total).map_err(|_| Full)?;
    let udp_len = u16::try_from(payload_len + UDP_HEADER_LEN).map_err(|_| Full)?;
    let (headers, payload) =
        buffer.get_mut(..total).ok_or(Full)?.split_at_mut_checked(HEADER_LEN).ok_or(Full)?;

    let mut w = Writer::new(headers);
    w.bytes(&[0x45, 0])?;
    w.u16(total_len)?;
    // Identification 0 and DF: an atomic datagram, RFC 6864 §4.1.
    w.bytes(&[0, 0, 0x40, 0, TTL, PROTOCOL_UDP, 0, 0])?;
    w.bytes(&source.ip().octets())?;
    w.bytes(&destination.ip().octets())?;
    let header_sum = Sum::default().add(w.written()).finish();
    w.patch(10, &header_sum.to_be_bytes())?;

    let udp_header = w.position();
    w.u16(source.port())?;
    w.u16(destination.port())?;
    w.u16(udp_len)?;
    w.u16(0)?;
    let mut written = Reader::at(w.written(), udp_header);
    let sum = Sum::pseudo_header(*source.ip(), *destination.ip(), udp_len)
        .add(written.rest())
        .add(payload)
        .finish();
    // RFC 768: a sum of 0 is sent as all ones, since 0 means that there is none.
    let sum = if sum == 0 { u16::MAX } else { sum };
    w.patch(udp_header + 6, &sum.to_be_bytes())?;
    buffer.get_mut(..total).ok_or(Full)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    const FROM: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 67);
    const TO: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::BROADCAST, 68);

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut buffer = [0; 700];
        payload_area(&mut buffer)[..payload.len()].copy_from_slice(payload);
        seal(&mut buffer, payload.len(), FROM, TO).unwrap().to_vec()
    }

    fn fix_ip_sum(frame: &mut [u8]) {
        let header_len = usize::from(frame[0] & 15) * 4;
        frame[10..12].fill(0);
        let sum = Sum::default().add(&frame[..header_len]).finish();
        frame[10..12].copy_from_slice(&sum.to_be_bytes());
    }

    fn check(frame: &[u8]) -> Result<&[u8], Fault> {
        parse(frame, 68, Checksum::Complete).map(|d| d.bytes)
    }

    #[test]
    fn what_is_sealed_can_be_parsed() {
        for payload in [&b""[..], b"a", b"ab", &[0xFF; 301]] {
            let bytes = frame(payload);
            let expected = Datagram { source: FROM, destination: TO, bytes: payload };
            assert_eq!(parse(&bytes, 68, Checksum::Complete), Ok(expected));
        }
        // A checksum from elsewhere: 45 00 00 1c ... of RFC 1071's method, done by hand.
        assert_eq!(frame(b"")[10..12], [0x30, 0xD1]);
    }

    /// What is done to a good frame of payload `hello`, and what comes of it.
    type Row = (&'static str, fn(&mut Vec<u8>), Result<&'static [u8], Fault>);

    #[test]
    fn rule_21_every_check() {
        let rows: &[Row] = &[
            ("as it is", |_| (), Ok(b"hello")),
            ("Ethernet padding", |f| f.extend([0; 20]), Ok(b"hello")),
            ("version 6", |f| f[0] = 0x65, Err(Fault::Version)),
            ("IHL 4", |f| f[0] = 0x44, Err(Fault::HeaderLength)),
            ("IP options", ip_options, Ok(b"hello")),
            ("IHL past the packet", |f| f[0] = 0x4F, Err(Fault::TotalLength)),
            ("total length past the frame", |f| f[3] += 1, Err(Fault::TotalLength)),
            ("total length below the header", |f| f[3] = 19, Err(Fault::TotalLength)),
            ("bad IP checksum", |f| f[10] ^= 1, Err(Fault::HeaderChecksum)),
            ("first fragment (MF)", |f| with_fragment(f, 0x2000), Err(Fault::Fragment)),
            ("later fragment", |f| with_fragment(f, 0x0001), Err(Fault::Fragment)),
            ("DF is no fragment", |f| with_fragment(f, 0x4000), Ok(b"hello")),
            (
                "TCP",
                |f| {
                    f[9] = 6;
                    fix_ip_sum(f)
                },
                Err(Fault::Protocol),
            ),
            ("to port 67", |f| f[23] = 67, Err(Fault::Port)),
            ("UDP length 0", |f| f[25] = 0, Err(Fault::UdpLength)),
            ("UDP length 7", |f| f[25] = 7, Err(Fault::UdpLength)),
            ("UDP length past the packet", |f| f[25] += 1, Err(Fault::UdpLength)),
            ("UDP length 65535", |f| f[24..26].fill(255), Err(Fault::UdpLength)),
            (
                "UDP length 8",
                |f| {
                    f[25] = 8;
                    f[26..28].fill(0)
                },
                Ok(b""),
            ),
            ("bad UDP checksum", |f| f[26] ^= 1, Err(Fault::UdpChecksum)),
            ("bad payload", |f| f[30] ^= 1, Err(Fault::UdpChecksum)),
            ("no UDP checksum", |f| f[26..28].fill(0), Ok(b"hello")),
        ];
        for (name, change, expected) in rows {
            let mut bytes = frame(b"hello");
            change(&mut bytes);
            assert_eq!(check(&bytes), *expected, "{name}");
        }
    }

    fn with_fragment(frame: &mut [u8], field: u16) {
        frame[6..8].copy_from_slice(&field.to_be_bytes());
        fix_ip_sum(frame);
    }

    fn ip_options(frame: &mut Vec<u8>) {
        frame.splice(20..20, [1; 8]);
        frame[0] = 0x47;
        frame[3] += 8;
        fix_ip_sum(frame);
    }

    #[test]
    fn rule_21_partial_checksums_are_not_looked_at() {
        let mut bytes = frame(b"hello");
        bytes[26] ^= 1;
        assert!(parse(&bytes, 68, Checksum::NotReady).is_ok());
        bytes[10] ^= 1;
        assert_eq!(
            parse(&bytes, 68, Checksum::NotReady),
            Err(Fault::HeaderChecksum),
            "the IP header's is always there",
        );
    }

    #[test]
    fn truncation_at_every_octet_is_refused() {
        let bytes = frame(b"hello");
        for end in 0..bytes.len() {
            assert!(check(&bytes[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn every_buffer_size() {
        for size in 0..40 {
            let mut buffer = std::vec![0; size];
            let fits = seal(&mut buffer, 5, FROM, TO).is_ok();
            assert_eq!(fits, size >= HEADER_LEN + 5);
        }
        assert_eq!(seal(&mut [0; 40], usize::MAX, FROM, TO), Err(Full));
        assert_eq!(seal(&mut [0; 40], 65_535, FROM, TO), Err(Full));
    }

    #[test]
    fn a_sum_of_zero_is_sent_as_ones() {
        // Found by search: the payload that makes the sum 0.
        let hit = (0..=u16::MAX).find(|n| frame(&n.to_be_bytes())[26..28] == [255, 255]);
        let bytes = frame(&hit.unwrap().to_be_bytes());
        assert!(check(&bytes).is_ok());
    }
}
