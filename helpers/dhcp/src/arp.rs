//! ARP for IPv4 over Ethernet, as far as an address is claimed, watched and given back with it.
//! RFC 826, 5227.

use core::net::Ipv4Addr;

use bringup_core::client::Mac;
use bringup_core::wire::{Full, Reader, Truncated, Writer};

/// EtherType of ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// Octets of an ARP packet for IPv4 over Ethernet, without padding.
pub const ARP_LEN: usize = 28;

const HARDWARE_ETHERNET: u16 = 1;
const PROTOCOL_IPV4: u16 = 0x0800;

/// What an ARP packet asks or says. RFC 826.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Operation {
    /// Who has this address? From 0.0.0.0 it is a probe (RFC 5227 §1.1).
    Request = 1,
    /// I have.
    Reply = 2,
}

named! {
    /// Why a frame is no ARP packet that we can use.
    pub enum ArpFault {
        /// Shorter than 28 octets.
        Truncated = "arp-truncated",
        /// Not IPv4 over Ethernet.
        Types = "arp-types",
        /// Neither a request nor a reply.
        Operation = "arp-operation",
    }
}

impl From<Truncated> for ArpFault {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

/// An ARP packet for IPv4 over Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Request or reply.
    pub operation: Operation,
    /// Who sends it.
    pub sender_mac: Mac,
    /// The address that the sender has; 0.0.0.0 in a probe.
    pub sender: Ipv4Addr,
    /// Whom it is for; zeros in a request.
    pub target_mac: Mac,
    /// The address that it is about.
    pub target: Ipv4Addr,
}

impl Arp {
    /// A question for `target` from `sender`. From 0.0.0.0 it is a probe, with both addresses the
    /// same an announcement. RFC 5227 §1.1.
    pub const fn request(sender_mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Self {
        let target_mac = Mac([0; 6]);
        Self { operation: Operation::Request, sender_mac, sender, target_mac, target }
    }

    /// Whether the sender looks whether `target` is free, without having it.
    pub fn is_probe(&self) -> bool {
        self.operation == Operation::Request && self.sender.is_unspecified()
    }

    /// Reads what follows the Ethernet header; padding after it is ignored.
    pub fn parse(payload: &[u8]) -> Result<Self, ArpFault> {
        let mut r = Reader::new(payload);
        let types = (r.u16()?, r.u16()?, r.u8()?, r.u8()?);
        let operation = r.u16()?;
        let packet = Self {
            operation: Operation::Request,
            sender_mac: Mac(r.array()?),
            sender: Ipv4Addr::from(r.u32()?),
            target_mac: Mac(r.array()?),
            target: Ipv4Addr::from(r.u32()?),
        };
        if types != (HARDWARE_ETHERNET, PROTOCOL_IPV4, 6, 4) {
            return Err(ArpFault::Types);
        }
        match operation {
            1 => Ok(packet),
            2 => Ok(Self { operation: Operation::Reply, ..packet }),
            _ => Err(ArpFault::Operation),
        }
    }

    /// Writes it into `buffer`, and gives out its octets.
    pub fn write<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b mut [u8], Full> {
        let mut w = Writer::new(buffer);
        w.u16(HARDWARE_ETHERNET)?;
        w.u16(PROTOCOL_IPV4)?;
        w.bytes(&[6, 4])?;
        w.u16(self.operation as u16)?;
        w.bytes(&self.sender_mac.0)?;
        w.bytes(&self.sender.octets())?;
        w.bytes(&self.target_mac.0)?;
        w.bytes(&self.target.octets())?;
        Ok(w.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: Arp =
        Arp::request(Mac([2, 0, 0, 0, 0, 7]), Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(10, 0, 0, 50));

    #[test]
    fn what_is_written_can_be_read() {
        let bytes =
            [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 50];
        let mut buffer = [0xEE; 64];
        assert_eq!(PROBE.write(&mut buffer).map(|b| &*b), Ok(&bytes[..]));
        assert_eq!(Arp::parse(&bytes), Ok(PROBE));
        assert!(PROBE.is_probe());
        let reply = Arp { operation: Operation::Reply, ..PROBE };
        assert_eq!(reply.write(&mut buffer).map(|b| Arp::parse(b)), Ok(Ok(reply)));
        assert!(!reply.is_probe());
        assert_eq!(Arp::parse(&buffer), Ok(reply), "padding");
        for size in 0..ARP_LEN {
            assert_eq!(PROBE.write(&mut [0; ARP_LEN][..size]), Err(Full), "{size}");
        }
    }

    #[test]
    fn every_check() {
        let mut good = [0; ARP_LEN];
        PROBE.write(&mut good).unwrap();
        for end in 0..ARP_LEN {
            assert_eq!(Arp::parse(&good[..end]), Err(ArpFault::Truncated), "{end}");
        }
        for (at, value, why) in [
            (1, 6, ArpFault::Types),
            (2, 0x86, ArpFault::Types),
            (4, 8, ArpFault::Types),
            (5, 16, ArpFault::Types),
            (7, 0, ArpFault::Operation),
            (7, 3, ArpFault::Operation),
            (6, 1, ArpFault::Operation),
        ] {
            let mut bad = good;
            bad[at] = value;
            assert_eq!(Arp::parse(&bad), Err(why), "octet {at} = {value}");
        }
    }
}
