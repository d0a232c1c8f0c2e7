//! The least that a bring-up can do on this kernel: the same four exchanges by hand, one after the other, in
//! blocking calls that check nothing.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use bringup_core::platform::{AddressConfig, Platform as _, RouteConfig};
use bringup_core::poll::{PollStorage, UnixPoll};
use bringup_platform::linux::Linux;
use bringup_tests::lab::network::DEVICE_INTERFACE;
use bringup_tests::lab::servers::{dns_query, ntp_request};
use bringup_tests::lab::{Host, PATIENCE};
use socket2::{Domain, Protocol, Socket, Type};

use crate::scenario::TIME;

/// DISCOVER and REQUEST, as short as a server takes them.
fn request(kind: u8, mac: [u8; 6], more: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 236];
    message[..4].copy_from_slice(&[1, 1, 6, 0]);
    message[4..8].copy_from_slice(b"flor");
    // The answers are to be broadcast: this socket has no address that they could be sent to.
    message[10] = 0x80;
    message[28..34].copy_from_slice(&mac);
    message.extend([99, 130, 83, 99, 53, 1, kind, 55, 3, 1, 3, 6]);
    message.extend(more);
    message.push(255);
    message.resize(300, 0);
    message
}

/// Sends and waits for the answer.
fn exchange(socket: &UdpSocket, to: SocketAddr, question: &[u8]) -> Option<Vec<u8>> {
    let mut answer = vec![0; 1_500];
    socket.send_to(question, to).ok()?;
    let length = socket.recv(&mut answer).ok()?;
    answer.truncate(length);
    Some(answer)
}

fn udp(local: &str) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
    socket.set_broadcast(true).expect("a socket");
    socket.bind_device(Some(DEVICE_INTERFACE.as_bytes())).expect("the device's interface");
    let local: SocketAddr = local.parse().expect("an address");
    socket.bind(&local.into()).expect("a free port");
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    socket
}

/// Brings the device up; with the address of an earlier lease one exchange is spared.
pub(crate) fn bring_up(
    device: &Host,
    remembered: Option<Ipv4Addr>,
) -> Option<(Duration, Ipv4Addr)> {
    device.enter(|| {
        let started = Instant::now();
        let storage: &'static mut PollStorage<4> = Box::leak(Box::new(PollStorage::new()));
        let mut platform = Linux::new(UnixPoll::new(storage)).ok()?;
        let link = platform.interface(DEVICE_INTERFACE).ok()?;
        platform.interface_up(link.index).ok()?;
        let socket = udp("0.0.0.0:68");
        let everybody = SocketAddr::from(([255, 255, 255, 255], 67));
        let mut more = Vec::new();
        let address = match remembered {
            Some(address) => address,
            None => {
                let offer = exchange(&socket, everybody, &request(1, link.mac.0, &[]))?;
                more.extend([54, 4, 10, 99, 0, 1]);
                Ipv4Addr::from(<[u8; 4]>::try_from(&offer[16..20]).ok()?)
            }
        };
        more.extend([50, 4]);
        more.extend(address.octets());
        exchange(&socket, everybody, &request(3, link.mac.0, &more))?;
        let config = AddressConfig { address, prefix: 24, broadcast: None, valid_s: Some(43_200) };
        platform.address_add(link.index, &config).ok()?;
        let server = Ipv4Addr::new(10, 99, 0, 1);
        let route = RouteConfig {
            destination: Ipv4Addr::UNSPECIFIED,
            prefix: 0,
            gateway: Some(server),
            source: None,
            metric: 100,
        };
        platform.route_add(link.index, &route).ok()?;
        let socket = udp("0.0.0.0:0");
        let name = exchange(&socket, (server, 53).into(), &dns_query(1, TIME, 1))?;
        let server = Ipv4Addr::from(<[u8; 4]>::try_from(name.last_chunk::<4>()?.as_slice()).ok()?);
        exchange(&socket, (server, 123).into(), &ntp_request())?;
        Some((started.elapsed(), address))
    })
}
