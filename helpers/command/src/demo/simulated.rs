//! The far side over a simulated wire: one peer with our servers.

use std::net::{Ipv4Addr, SocketAddrV4};

use bringup_core::client::{Checksum, Mac};
use bringup_core::time::Instant;
use bringup_platform::sim::packet::{parse_udp, udp};
use bringup_platform::sim::{Outbox, Peer, WireFrame, true_utc};

use super::{SERVER, Servers};

/// EtherType of IPv4.
const IPV4: u16 = 0x0800;

/// The peer: the servers, with a link address.
#[derive(Debug, Default)]
pub struct FarSide {
    servers: Servers,
}

impl Peer for FarSide {
    fn mac(&self) -> Mac {
        Mac([0x02, 0, 0, 0, 0, 1])
    }

    fn owns(&self, address: Ipv4Addr) -> bool {
        address == SERVER
    }

    fn receive(&mut self, now: Instant, frame: &WireFrame, out: &mut Outbox) {
        if frame.ethertype != IPV4 {
            return;
        }
        let Some(datagram) = parse_udp(&frame.payload, true) else { return };
        let (port, mut reply) = (datagram.dst.port(), [0; 1472]);
        let replied = self.servers.reply(port, datagram.payload, now, true_utc(now), &mut reply);
        if let Some((to, length)) = replied {
            let to = to.unwrap_or(datagram.src);
            let from = SocketAddrV4::new(SERVER, port);
            let broadcast = to.ip().is_broadcast();
            out.send(WireFrame {
                dst: if broadcast { Mac::BROADCAST } else { frame.src },
                src: self.mac(),
                ethertype: IPV4,
                checksum: Checksum::Complete,
                payload: udp(from, to, reply.get(..length).unwrap_or(&[])),
            });
        }
    }
}
