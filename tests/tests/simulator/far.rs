//! [`Far`], the servers at the other end of a wire.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use bringup::core::client::{Checksum, Mac};
use bringup::core::time::Instant;
use bringup::demo::servers::{Data, DhcpServer, DnsServer, Network, NtpServer, Zone};
use bringup::dns::Name;
use bringup::platform::sim::packet::{parse_udp, udp};
use bringup::platform::sim::{Outbox, Peer, WireFrame, true_utc};

use crate::world::s;

const IPV4: u16 = 0x0800;

/// The servers on the wire of one interface.
pub(crate) struct Far {
    pub(crate) address: Ipv4Addr,
    network: Network,
    dhcp: DhcpServer,
    pub(crate) dns: DnsServer,
    pub(crate) dhcp_on: bool,
    pub(crate) dns_on: bool,
    pub(crate) ntp_on: bool,
    /// Whether an octet of junk precedes each reply.
    pub(crate) junk: bool,
    /// The leap indicator of its NTP server.
    pub(crate) leap: u8,
    /// The last DISCOVER and the last REQUEST that selects: a changed server learns its client so.
    pub(crate) known: [Option<Vec<u8>>; 2],
    /// Until when each address was granted, by the server's clock.
    pub(crate) granted: BTreeMap<Ipv4Addr, Instant>,
    /// When a request for a port was received, whether or not it was answered, and whether it came
    /// as unicast.
    pub(crate) heard: Vec<(Instant, u16, bool)>,
}

impl Far {
    pub(crate) fn new(net: u8) -> Self {
        let address = Ipv4Addr::new(10, 89, net, 1);
        let mut network = Network::new(address, 24, Ipv4Addr::new(10, 89, net, 50), 16);
        network.lease_s = 3600;
        let mut zone = Zone::demo(address);
        let name = Name::from_text("moved.bringup.test").expect("a name");
        zone.add(name, Data::A(address));
        // Nobody is there at the first five.
        let name = Name::from_text("many.bringup.test").expect("a name");
        for last in [5, 6, 7, 8, 9, 1] {
            zone.add(name.clone(), Data::A(Ipv4Addr::new(10, 89, net, last)));
        }
        Self {
            address,
            dhcp: DhcpServer::new(network.clone()),
            network,
            dns: DnsServer::new(zone),
            dhcp_on: true,
            dns_on: true,
            ntp_on: true,
            junk: false,
            leap: 0,
            known: [None, None],
            granted: BTreeMap::new(),
            heard: Vec::new(),
        }
    }

    /// The server gives out something else from now on, and still knows its client.
    pub(crate) fn change(&mut self, now: Instant, change: impl FnOnce(&mut Network)) {
        change(&mut self.network);
        self.dhcp = DhcpServer::new(self.network.clone());
        let mut out = [0; 1472];
        for message in self.known.iter().flatten() {
            let _ = self.dhcp.reply(message, now, &mut out);
        }
    }

    fn reply(
        &mut self,
        now: Instant,
        port: u16,
        request: &[u8],
        out: &mut [u8],
    ) -> Option<(Option<SocketAddrV4>, usize)> {
        let utc = true_utc(now);
        match port {
            67 if self.dhcp_on => {
                match (option(request, 53), option(request, 54)) {
                    (Some([1]), _) => self.known = [Some(request.to_vec()), None],
                    (Some([3]), Some(_)) => self.known[1] = Some(request.to_vec()),
                    _ => {}
                }
                let (to, length) = self.dhcp.reply(request, now, out)?;
                let reply = out.get(..length)?;
                if option(reply, 53) == Some(&[5]) {
                    let yiaddr: [u8; 4] = reply.get(16..20)?.try_into().ok()?;
                    let until = now + s(self.network.lease_s.into());
                    self.granted.insert(yiaddr.into(), until);
                }
                Some((Some(to), length))
            }
            53 if self.dns_on => self.dns.reply(request, out).map(|length| (None, length)),
            123 if self.ntp_on => {
                let length = NtpServer::new(0).reply(request, utc, utc, out)?;
                *out.first_mut()? |= self.leap << 6;
                Some((None, length))
            }
            _ => None,
        }
    }
}

/// An option of a DHCP message.
fn option(message: &[u8], code: u8) -> Option<&[u8]> {
    let mut rest = message.get(240..)?;
    while let [tag, length, tail @ ..] = rest {
        let value = tail.get(..usize::from(*length))?;
        if *tag == code {
            return Some(value);
        }
        rest = tail.get(usize::from(*length)..)?;
    }
    None
}

impl Peer for Far {
    fn mac(&self) -> Mac {
        Mac([0x02, 0, 0, 1, 0, self.address.octets()[2]])
    }
    fn owns(&self, address: Ipv4Addr) -> bool {
        address == self.address
    }
    fn receive(&mut self, now: Instant, frame: &WireFrame, out: &mut Outbox) {
        if frame.ethertype != IPV4 {
            return;
        }
        let Some(datagram) = parse_udp(&frame.payload, true) else { return };
        let port = datagram.dst.port();
        self.heard.push((now, port, *datagram.dst.ip() == self.address));
        let mut bytes = [0; 1472];
        if let Some((to, length)) = self.reply(now, port, datagram.payload, &mut bytes) {
            let to = to.unwrap_or(datagram.src);
            let junk = self.junk.then_some(&b"?"[..]);
            for bytes in junk.into_iter().chain([&bytes[..length]]) {
                out.send(WireFrame {
                    dst: if to.ip().is_broadcast() { Mac::BROADCAST } else { frame.src },
                    src: self.mac(),
                    ethertype: IPV4,
                    checksum: Checksum::Complete,
                    payload: udp(SocketAddrV4::new(self.address, port), to, bytes),
                });
            }
        }
    }
}
