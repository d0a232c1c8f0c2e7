//! Junk for a DHCP client.

use std::net::{SocketAddr, UdpSocket};

use bringup_tests::lab::Host;
use socket2::{Domain, Protocol, Socket, Type};

/// Broadcasts so many DHCP replies that nobody has asked for.
pub(crate) fn junk(server: &Host, interface: &str, count: u32) {
    server.enter(|| {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
        socket.set_broadcast(true).expect("a socket");
        socket.set_reuse_address(true).expect("a socket");
        socket.bind_device(Some(interface.as_bytes())).expect("the server's interface");
        socket.bind(&SocketAddr::from(([0; 4], 67)).into()).expect("dnsmasq shares it");
        let socket = UdpSocket::from(socket);
        let mut reply = vec![0; 300];
        reply[..4].copy_from_slice(&[2, 1, 6, 0]);
        reply[236..244].copy_from_slice(&[99, 130, 83, 99, 53, 1, 2, 255]);
        for number in 0..count {
            reply[4..8].copy_from_slice(&number.to_be_bytes());
            // One that finds no room is a junk packet less.
            let _ = socket.send_to(&reply, "255.255.255.255:68");
        }
    });
}
