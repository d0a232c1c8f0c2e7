//! [`Tap`]: a platform that tells a [`Recorder`] of every packet.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bringup_core::client::{LinkFilter, Mac, Rng};
use bringup_core::platform::{
    AddressConfig, Adjust, Arm, Interface, InterfaceChange, LeapSecond, Platform, Reboot, Received,
    ReceivedFrame, RouteConfig, Source, SystemOps, UdpOptions,
};
use bringup_core::time::{Duration, Instant, Utc};

use super::pcap::Body;
use super::{Direction, Packet, Protocol, Recorder, Wire};

/// What is known of a socket.
#[derive(Clone, Copy, Debug)]
enum Socket {
    Udp { local: SocketAddr },
    Link { interface: u32 },
    Tcp { to: SocketAddr, sent: u32, received: u32 },
}

/// What is known of an interface.
#[derive(Debug)]
struct Known {
    number: u32,
    mac: Mac,
    name: String,
}

/// What the recorder is told, and what is needed to tell it.
#[derive(Debug)]
struct Told<H> {
    recorder: Recorder,
    /// What all times are counted from.
    epoch: Instant,
    /// The wall clock at `epoch`, microseconds since 1970: a step of it must not tear the capture.
    epoch_unix_us: u64,
    sockets: Vec<(H, Socket)>,
    /// The interfaces that were looked up.
    interfaces: Vec<Known>,
    /// The address that was put on an interface last.
    address: Ipv4Addr,
}

/// A platform with a recorder between it and the loop. Without one it is the platform and nothing
/// more.
#[derive(Debug)]
pub struct Tap<P: Platform> {
    platform: P,
    told: Option<Told<P::Handle>>,
}

impl<P: Platform> Tap<P> {
    /// Tells `recorder` what happens, in microseconds since `epoch`.
    pub fn new(mut platform: P, recorder: Option<Recorder>, epoch: Instant) -> Self {
        let since_epoch_us = platform.now().since(epoch).as_micros();
        let unix_us = u64::try_from(platform.utc().as_unix_nanos() / 1_000).unwrap_or(0);
        let told = recorder.map(|recorder| Told {
            recorder,
            epoch,
            epoch_unix_us: unix_us.saturating_sub(since_epoch_us),
            sockets: Vec::new(),
            interfaces: Vec::new(),
            address: Ipv4Addr::UNSPECIFIED,
        });
        Self { platform, told }
    }

    /// Does `act`, and tells the recorder, if there is one, with the time from before: an answer may
    /// be there before a send returns.
    fn timed<T>(
        &mut self,
        act: impl FnOnce(&mut P) -> Result<T, P::Error>,
        tell: impl FnOnce(&mut Told<P::Handle>, Instant, &T),
    ) -> Result<T, P::Error> {
        let Some(told) = &mut self.told else { return act(&mut self.platform) };
        let before = self.platform.now();
        let done = act(&mut self.platform)?;
        tell(told, before, &done);
        Ok(done)
    }

    fn opened(&mut self, handle: P::Handle, socket: Socket) {
        if let Some(told) = &mut self.told {
            told.sockets.retain(|(known, _)| *known != handle);
            told.sockets.push((handle, socket));
        }
    }
}

impl<H: Copy + PartialEq> Told<H> {
    fn socket(&mut self, handle: H) -> Option<&mut Socket> {
        self.sockets.iter_mut().find(|(known, _)| *known == handle).map(|(_, socket)| socket)
    }

    fn packet(
        &self,
        at: Instant,
        direction: Direction,
        sender: Option<Mac>,
        packet: Option<Packet>,
        body: Body<'_>,
    ) {
        let t_us = at.since(self.epoch).as_micros();
        let unix_us = self.epoch_unix_us.saturating_add(t_us);
        self.recorder.packet(t_us, packet, &Wire { unix_us, direction, sender, body });
    }

    fn datagram(
        &mut self,
        at: Instant,
        direction: Direction,
        handle: H,
        peer: SocketAddr,
        payload: &[u8],
    ) {
        let Some(&mut Socket::Udp { local, .. }) = self.socket(handle) else { return };
        let own = if local.ip().is_unspecified() && peer.is_ipv4() {
            SocketAddr::new(IpAddr::V4(self.address), local.port())
        } else {
            local
        };
        let (from, to) = ends(direction, own, peer);
        let protocol = Protocol::of_udp([from.port(), to.port()], payload);
        let packet = Packet::payload(protocol, direction, payload);
        self.packet(at, direction, None, Some(packet), Body::Udp { from, to, payload });
    }

    fn frame(
        &mut self,
        at: Instant,
        direction: Direction,
        handle: H,
        sender: Option<Mac>,
        ethertype: u16,
        payload: &[u8],
    ) {
        let Some(&mut Socket::Link { interface }) = self.socket(handle) else { return };
        let known = self.interfaces.iter().find(|known| known.number == interface);
        // Our own frames come from the interface's own address.
        let sender = sender.or(known.map(|known| known.mac));
        let name = known.map(|known| known.name.clone());
        let packet = Packet::frame(direction, name, ethertype, payload);
        self.packet(at, direction, sender, Some(packet), Body::Frame { ethertype, payload });
    }

    fn piece(&mut self, at: Instant, direction: Direction, handle: H, payload: &[u8]) {
        if payload.is_empty() {
            return;
        }
        let own = SocketAddr::new(IpAddr::V4(self.address), 0);
        let Some(Socket::Tcp { to: peer, sent, received }) = self.socket(handle) else { return };
        let (peer, length) = (*peer, u32::try_from(payload.len()).unwrap_or(u32::MAX));
        let (before, other) = match direction {
            Direction::Sent => (sent, *received),
            Direction::Received => (received, *sent),
        };
        let so_far = *before;
        *before = before.wrapping_add(length);
        let (from, to) = ends(direction, own, peer);
        // A message has its length in front; a piece of one has no label (RFC 1035 §4.2.2).
        let message = payload
            .split_first_chunk()
            .filter(|(length, message)| usize::from(u16::from_be_bytes(**length)) == message.len());
        let packet = message.map(|(_, dns)| Packet::payload(Protocol::Dns, direction, dns));
        let body = Body::Tcp { from, to, sent: so_far, received: other, payload };
        self.packet(at, direction, None, packet, body);
    }
}

fn ends(direction: Direction, own: SocketAddr, peer: SocketAddr) -> (SocketAddr, SocketAddr) {
    match direction {
        Direction::Sent => (own, peer),
        Direction::Received => (peer, own),
    }
}

impl<P: Platform> Rng for Tap<P> {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.platform.fill(buffer);
    }
    fn u16(&mut self) -> u16 {
        self.platform.u16()
    }
    fn u32(&mut self) -> u32 {
        self.platform.u32()
    }
    fn u64(&mut self) -> u64 {
        self.platform.u64()
    }
}

impl<P: Platform> Platform for Tap<P> {
    type Poller = P::Poller;
    type Handle = P::Handle;
    type Error = P::Error;

    fn now(&mut self) -> Instant {
        self.platform.now()
    }

    fn utc(&mut self) -> Utc {
        self.platform.utc()
    }

    fn poller(&mut self) -> &mut P::Poller {
        self.platform.poller()
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Result<(), P::Error> {
        self.platform.wait(deadline)
    }

    fn udp_open(&mut self, options: &UdpOptions) -> Result<P::Handle, P::Error> {
        let handle = self.platform.udp_open(options)?;
        let local = self.platform.udp_local(handle).unwrap_or(options.local);
        self.opened(handle, Socket::Udp { local });
        Ok(handle)
    }

    fn udp_send(
        &mut self,
        handle: P::Handle,
        to: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), P::Error> {
        self.timed(
            |platform| platform.udp_send(handle, to, bytes),
            |told, now, ()| told.datagram(now, Direction::Sent, handle, to, bytes),
        )
    }

    fn udp_receive(
        &mut self,
        handle: P::Handle,
        buffer: &mut [u8],
    ) -> Result<Option<Received>, P::Error> {
        let received = self.platform.udp_receive(handle, buffer)?;
        if let (Some(told), Some(r)) = (&mut self.told, &received) {
            let bytes = buffer.get(..r.length).unwrap_or(&[]);
            told.datagram(r.at, Direction::Received, handle, r.from, bytes);
        }
        Ok(received)
    }

    fn udp_local(&mut self, handle: P::Handle) -> Result<SocketAddr, P::Error> {
        self.platform.udp_local(handle)
    }

    fn source(&mut self, destination: IpAddr) -> Result<Option<Source>, P::Error> {
        self.platform.source(destination)
    }

    fn tcp_connect(
        &mut self,
        to: SocketAddr,
        interface: Option<u32>,
    ) -> Result<P::Handle, P::Error> {
        let handle = self.platform.tcp_connect(to, interface)?;
        self.opened(handle, Socket::Tcp { to, sent: 0, received: 0 });
        Ok(handle)
    }

    fn tcp_send(&mut self, handle: P::Handle, bytes: &[u8]) -> Result<usize, P::Error> {
        self.timed(
            |platform| platform.tcp_send(handle, bytes),
            |told, now, &taken| {
                told.piece(now, Direction::Sent, handle, bytes.get(..taken).unwrap_or(&[]));
            },
        )
    }

    fn tcp_receive(
        &mut self,
        handle: P::Handle,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, P::Error> {
        let length = self.platform.tcp_receive(handle, buffer)?;
        if let (Some(told), Some(length)) = (&mut self.told, length) {
            let bytes = buffer.get(..length).unwrap_or(&[]);
            told.piece(self.platform.now(), Direction::Received, handle, bytes);
        }
        Ok(length)
    }

    fn close(&mut self, handle: P::Handle) {
        if let Some(told) = &mut self.told {
            told.sockets.retain(|(known, _)| *known != handle);
        }
        self.platform.close(handle);
    }

    fn link_open(&mut self, interface: u32, filter: LinkFilter) -> Result<P::Handle, P::Error> {
        let handle = self.platform.link_open(interface, filter)?;
        self.opened(handle, Socket::Link { interface });
        Ok(handle)
    }

    fn link_send(
        &mut self,
        handle: P::Handle,
        to: Mac,
        ethertype: u16,
        payload: &[u8],
    ) -> Result<(), P::Error> {
        self.timed(
            |platform| platform.link_send(handle, to, ethertype, payload),
            |told, now, ()| told.frame(now, Direction::Sent, handle, None, ethertype, payload),
        )
    }

    fn link_receive(
        &mut self,
        handle: P::Handle,
        buffer: &mut [u8],
    ) -> Result<Option<ReceivedFrame>, P::Error> {
        let received = self.platform.link_receive(handle, buffer)?;
        if let (Some(told), Some(r)) = (&mut self.told, &received) {
            let payload = buffer.get(..r.length).unwrap_or(&[]);
            told.frame(r.at, Direction::Received, handle, Some(r.from), r.ethertype, payload);
        }
        Ok(received)
    }

    fn interface(&mut self, name: &str) -> Result<Interface, P::Error> {
        let interface = self.platform.interface(name)?;
        if let Some(told) = &mut self.told {
            let (number, mac) = (interface.index, interface.mac);
            told.interfaces.retain(|known| known.number != number && known.name != name);
            told.interfaces.push(Known { number, mac, name: name.to_owned() });
        }
        Ok(interface)
    }

    fn watch_open(&mut self) -> Result<P::Handle, P::Error> {
        self.platform.watch_open()
    }

    fn watch_receive(&mut self, handle: P::Handle) -> Result<Option<InterfaceChange>, P::Error> {
        self.platform.watch_receive(handle)
    }

    fn interface_up(&mut self, interface: u32) -> Result<(), P::Error> {
        self.platform.interface_up(interface)
    }

    fn interface_down(&mut self, interface: u32) -> Result<(), P::Error> {
        self.platform.interface_down(interface)
    }

    fn mtu_set(&mut self, interface: u32, mtu: u32) -> Result<(), P::Error> {
        self.platform.mtu_set(interface, mtu)
    }

    fn address_add(&mut self, interface: u32, config: &AddressConfig) -> Result<(), P::Error> {
        if let Some(told) = &mut self.told {
            told.address = config.address;
        }
        self.platform.address_add(interface, config)
    }

    fn address_remove(&mut self, interface: u32, config: &AddressConfig) -> Result<(), P::Error> {
        self.platform.address_remove(interface, config)
    }

    fn route_add(&mut self, interface: u32, config: &RouteConfig) -> Result<(), P::Error> {
        self.platform.route_add(interface, config)
    }

    fn route_remove(&mut self, interface: u32, config: &RouteConfig) -> Result<(), P::Error> {
        self.platform.route_remove(interface, config)
    }

    fn set_clock(&mut self, adjust: Adjust) -> Result<(), P::Error> {
        self.platform.set_clock(adjust)
    }

    fn clock_rate(&mut self, ppb: i64) -> Result<(), P::Error> {
        self.platform.clock_rate(ppb)
    }

    fn clock_leap(&mut self, leap: LeapSecond) -> Result<(), P::Error> {
        self.platform.clock_leap(leap)
    }

    fn clock_synchronised(&mut self, error: Option<Duration>) -> Result<(), P::Error> {
        self.platform.clock_synchronised(error)
    }

    fn reboot(&mut self, why: Reboot) -> Result<Infallible, P::Error> {
        self.platform.reboot(why)
    }

    fn wake_latency(&mut self) -> Duration {
        self.platform.wake_latency()
    }
}

impl<P: Platform + Arm<O>, O: SystemOps> Arm<O> for Tap<P> {
    fn arm(&mut self, wake: &O::Wake) -> Result<P::Handle, P::Error> {
        self.platform.arm(wake)
    }
}
