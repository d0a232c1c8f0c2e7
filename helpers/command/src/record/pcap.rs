//! [`PcapFile`]: packets in the format that tcpdump and Wireshark read.
//!
//! The file is pcap with LINKTYPE_LINUX_SLL, which has a direction and room for frames and datagrams
//! alike (<https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html>). Frames of DHCP and ARP are as
//! they were on the wire. Where this program has a socket, the kernel writes the headers and shows
//! only the payload: IP, UDP and TCP headers are made again from the socket's addresses, a TCP stream
//! without its handshake. Times are those of the machine's clock at the first packet, and run on
//! evenly from there while that clock is stepped.

use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use bringup_core::client::Mac;

use super::Direction;

/// LINKTYPE_LINUX_SLL.
const LINKTYPE: u32 = 113;
/// The longest packet; more than this program can send or receive at once.
const SNAP_LENGTH: u32 = 65_535;
/// The file ends here, for devices that keep running. Octets.
const SIZE_MAX: u64 = 64 << 20;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86DD;
const UDP: u8 = 17;
const TCP: u8 = 6;

/// A packet as it goes into the file.
#[derive(Clone, Copy, Debug)]
pub struct Wire<'a> {
    /// Microseconds since 1970-01-01.
    pub unix_us: u64,
    /// Which way it went.
    pub direction: Direction,
    /// The sender's link address, where it is known.
    pub sender: Option<Mac>,
    /// What it was.
    pub body: Body<'a>,
}

/// What a packet was.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// A frame.
    Frame {
        /// Its EtherType.
        ethertype: u16,
        /// What follows the link header.
        payload: &'a [u8],
    },
    /// A datagram of a socket.
    Udp {
        /// Its source.
        from: SocketAddr,
        /// Its destination.
        to: SocketAddr,
        /// Its payload.
        payload: &'a [u8],
    },
    /// A piece of a byte stream.
    Tcp {
        /// Its source.
        from: SocketAddr,
        /// Its destination.
        to: SocketAddr,
        /// How many octets its source sent before.
        sent: u32,
        /// How many its destination sent before.
        received: u32,
        /// The octets.
        payload: &'a [u8],
    },
}

/// A capture that is being written.
#[derive(Debug)]
pub struct PcapFile {
    file: File,
    path: PathBuf,
    size: u64,
    line: Vec<u8>,
}

impl PcapFile {
    /// Makes the file, and writes its header.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = File::create(path)?;
        let mut header = Vec::new();
        // Microseconds, version 2.4, UTC, no word on accuracy.
        header.extend(0xA1B2_C3D4_u32.to_le_bytes());
        header.extend(2_u16.to_le_bytes());
        header.extend(4_u16.to_le_bytes());
        header.extend([0; 8]);
        header.extend(SNAP_LENGTH.to_le_bytes());
        header.extend(LINKTYPE.to_le_bytes());
        file.write_all(&header)?;
        Ok(Self { file, path: path.to_owned(), size: 0, line: Vec::new() })
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a packet, in one piece. Fails when the file is as large as it may get.
    pub fn write(&mut self, wire: &Wire<'_>) -> io::Result<()> {
        let Self { file, size, line, .. } = self;
        line.clear();
        line.extend([0; 16]);
        packet(line, wire);
        let length = u32::try_from(line.len() - 16).unwrap_or(u32::MAX);
        let (s, us) = (wire.unix_us / 1_000_000, wire.unix_us % 1_000_000);
        let words = [s, us, length.into(), length.into()];
        for (octets, word) in line.chunks_exact_mut(4).zip(words) {
            octets.copy_from_slice(&u32::try_from(word).unwrap_or(u32::MAX).to_le_bytes());
        }
        *size += line.len() as u64;
        if *size > SIZE_MAX {
            let why = "the capture is as large as it may get; no more is written";
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        file.write_all(line)
    }
}

/// The cooked header and what follows.
fn packet(out: &mut Vec<u8>, wire: &Wire<'_>) {
    let ethertype = match wire.body {
        Body::Frame { ethertype, .. } => ethertype,
        Body::Udp { from, .. } | Body::Tcp { from, .. } if from.is_ipv4() => ETHERTYPE_IPV4,
        Body::Udp { .. } | Body::Tcp { .. } => ETHERTYPE_IPV6,
    };
    // PACKET_OUTGOING, PACKET_HOST; ARPHRD_ETHER.
    let way: u16 = if wire.direction == Direction::Sent { 4 } else { 0 };
    let (length, Mac(sender)) = wire.sender.map_or((0_u16, Mac::default()), |mac| (6, mac));
    out.extend(way.to_be_bytes());
    out.extend(1_u16.to_be_bytes());
    out.extend(length.to_be_bytes());
    out.extend(sender);
    out.extend([0; 2]);
    out.extend(ethertype.to_be_bytes());
    match wire.body {
        Body::Frame { payload, .. } => out.extend(payload),
        Body::Udp { from, to, payload } => {
            let length = u16::try_from(payload.len() + 8).unwrap_or(u16::MAX);
            let mut header = [0; 8];
            for (octets, word) in header.chunks_exact_mut(2).zip([from.port(), to.port(), length]) {
                octets.copy_from_slice(&word.to_be_bytes());
            }
            ip(out, UDP, from.ip(), to.ip(), &mut header, 6, payload);
        }
        Body::Tcp { from, to, sent, received, payload } => {
            let mut header = Vec::with_capacity(20);
            header.extend(from.port().to_be_bytes());
            header.extend(to.port().to_be_bytes());
            header.extend(sent.wrapping_add(1).to_be_bytes());
            header.extend(received.wrapping_add(1).to_be_bytes());
            // Five words of header, PSH and ACK, the largest window.
            header.extend([0x50, 0x18, 0xFF, 0xFF, 0, 0, 0, 0]);
            ip(out, TCP, from.ip(), to.ip(), &mut header, 16, payload);
        }
    }
}

/// An IP header, then the transport's with its checksum at `checksum_at`, then the payload.
fn ip(
    out: &mut Vec<u8>,
    protocol: u8,
    from: IpAddr,
    to: IpAddr,
    transport: &mut [u8],
    checksum_at: usize,
    payload: &[u8],
) {
    let length = transport.len() + payload.len();
    let mut sum = Sum::default();
    let length_16 = u16::try_from(length).unwrap_or(u16::MAX);
    sum.add(&length_16.to_be_bytes());
    sum.add(&[0, protocol]);
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let total = u16::try_from(length + 20).unwrap_or(u16::MAX).to_be_bytes();
            let mut header = [0; 20];
            let fields = [0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, protocol, 0, 0];
            let addresses = from.octets().into_iter().chain(to.octets());
            for (octet, value) in header.iter_mut().zip(fields.into_iter().chain(addresses)) {
                *octet = value;
            }
            let mut own = Sum::default();
            own.add(&header);
            put(&mut header, 10, own.finish());
            out.extend(header);
            sum.add(&from.octets());
            sum.add(&to.octets());
        }
        (from, to) => {
            let v6 = |address| match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                IpAddr::V6(v6) => v6,
            };
            let (from, to) = (v6(from).octets(), v6(to).octets());
            out.extend([0x60, 0, 0, 0]);
            out.extend(length_16.to_be_bytes());
            out.extend([protocol, 64]);
            out.extend(from);
            out.extend(to);
            sum.add(&from);
            sum.add(&to);
        }
    }
    sum.add(transport);
    sum.add(payload);
    put(transport, checksum_at, sum.finish());
    out.extend_from_slice(transport);
    out.extend(payload);
}

fn put(header: &mut [u8], at: usize, sum: u16) {
    for (octet, value) in header.iter_mut().skip(at).zip(sum.to_be_bytes()) {
        *octet = value;
    }
}

/// The internet checksum (RFC 1071); each piece begins at an even place.
#[derive(Default)]
struct Sum(u64);

impl Sum {
    fn add(&mut self, octets: &[u8]) {
        for pair in octets.chunks(2) {
            let (high, low) = (pair.first().copied(), pair.get(1).copied());
            self.0 += u64::from(u16::from_be_bytes([high.unwrap_or(0), low.unwrap_or(0)]));
        }
    }

    fn finish(&self) -> u16 {
        let mut sum = self.0;
        while sum > 0xFFFF {
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bringup_core::client::Checksum;
    use bringup_dhcp::frame;

    fn udp(from: &str, to: &str) -> Vec<u8> {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        let body = Body::Udp { from, to, payload: b"odd" };
        let direction = Direction::Received;
        let mut out = Vec::new();
        packet(&mut out, &Wire { unix_us: 0, direction, sender: None, body });
        out
    }

    #[test]
    fn headers_are_those_that_the_dhcp_client_takes() {
        let out = udp("192.0.2.1:67", "192.0.2.2:68");
        assert_eq!(out[..16], [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0]);
        let datagram = frame::parse(&out[16..], 68, Checksum::Complete).unwrap();
        assert_eq!(datagram.bytes, b"odd");
        assert_eq!(datagram.source.to_string(), "192.0.2.1:67");
    }

    #[test]
    fn version_6_has_its_own_header() {
        let out = udp("[2001:db8::1]:53", "[2001:db8::2]:4000");
        assert_eq!((out[14..16].to_vec(), out.len()), (vec![0x86, 0xDD], 16 + 40 + 8 + 3));
        let mut sum = Sum::default();
        sum.add(&[0, 11, 0, UDP]);
        sum.add(&out[24..]);
        assert_eq!(sum.finish(), 0, "the checksum makes the sum of all zero");
    }
}
