//! [`Sim`] as a platform: what the device's program may do.

use core::convert::Infallible;
use core::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::collections::VecDeque;

use bringup_core::client::{Checksum, LinkFilter, Mac, Rng};
use bringup_core::error::ErrorKind;
use bringup_core::platform::{
    AddressConfig, Adjust, Arm, Interface, InterfaceChange, LeapSecond, Platform, Reboot, Received,
    ReceivedFrame, RouteConfig, Source, SystemOps, UdpOptions,
};
use bringup_core::time::{Duration, Instant, Utc};

use super::packet;
use super::poll::{SimHandle, SimPoll, SimWake};
use super::refusal::Operation;
use super::socket::{LinkSocket, Socket, UdpSocket};
use super::wire::WireFrame;
use super::{MAX_EVENTS, Sim};

fn v4(address: SocketAddr) -> Result<SocketAddrV4, ErrorKind> {
    match address {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => Err(ErrorKind::Unsupported),
    }
}

/// Copies what fits; how much that is.
fn copy(from: &[u8], to: &mut [u8]) -> usize {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
    from.len().min(to.len())
}

impl Rng for Sim {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.rng.fill(buffer);
    }
    fn u16(&mut self) -> u16 {
        self.rng.u16()
    }
    fn u32(&mut self) -> u32 {
        self.rng.u32()
    }
    fn u64(&mut self) -> u64 {
        self.rng.u64()
    }
}

impl Platform for Sim {
    type Poller = SimPoll;
    type Handle = SimHandle;
    type Error = ErrorKind;

    fn now(&mut self) -> Instant {
        self.now
    }

    fn utc(&mut self) -> Utc {
        self.wall.read(self.now)
    }

    fn poller(&mut self) -> &mut SimPoll {
        &mut self.poller
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Result<(), ErrorKind> {
        self.idle = false;
        let mut left = MAX_EVENTS;
        loop {
            let happened = self.settle();
            left = left.saturating_sub(happened + 1);
            if self.collect() || left == 0 || deadline.is_some_and(|at| at <= self.now) {
                return Ok(());
            }
            let ahead = [self.network.next(), self.host.next_expiry(), deadline];
            let Some(next) = ahead.into_iter().flatten().min() else {
                self.idle = true;
                return Ok(());
            };
            self.now = self.now.max(next);
        }
    }

    fn source(&mut self, destination: IpAddr) -> Result<Option<Source>, ErrorKind> {
        // There is no IPv6 in this world.
        let IpAddr::V4(to) = destination else { return Ok(None) };
        let Ok(way) = self.host.way(to, Ipv4Addr::UNSPECIFIED, None) else { return Ok(None) };
        let prefix = self.host.addresses().find(|(_, a)| a.address == way.source);
        let prefix = prefix.map_or(0, |(_, a)| a.prefix);
        Ok(Some(Source { address: way.source.into(), prefix, deprecated: false }))
    }

    fn udp_open(&mut self, options: &UdpOptions) -> Result<SimHandle, ErrorKind> {
        self.refusals.check(Operation::UdpOpen)?;
        let local = v4(options.local)?;
        let peer = options.peer.map(v4).transpose()?;
        if let Some(index) = options.interface {
            self.host.nic(index)?;
        }
        if !local.ip().is_unspecified() && !self.host.owns(*local.ip()) {
            return Err(ErrorKind::NotFound);
        }
        if let Some(peer) = peer {
            self.host.way(*peer.ip(), *local.ip(), options.interface)?;
        }
        let local = self.bind(local, options.interface)?;
        Ok(self.sockets.add(Socket::Udp(UdpSocket {
            local,
            peer,
            interface: options.interface,
            broadcast: options.broadcast,
            stamped: options.stamped,
            error: None,
            queue: VecDeque::new(),
        })))
    }

    fn udp_send(
        &mut self,
        handle: SimHandle,
        to: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), ErrorKind> {
        let udp = self.sockets.udp(handle)?;
        let to = match udp.peer {
            Some(peer) => peer,
            None => v4(to)?,
        };
        if let Some(error) = udp.error.take() {
            return Err(error);
        }
        if bytes.len() > packet::MAX_PAYLOAD {
            return Err(ErrorKind::TooLong);
        }
        let (local, only, broadcast) = (udp.local, udp.interface, udp.broadcast);
        let way = self.host.way(*to.ip(), *local.ip(), only)?;
        if way.next_hop.is_none() && !broadcast {
            return Err(ErrorKind::PermissionDenied);
        }
        let from = SocketAddrV4::new(way.source, local.port());
        self.send_packet(way, packet::udp(from, to, bytes));
        Ok(())
    }

    fn udp_receive(
        &mut self,
        handle: SimHandle,
        buffer: &mut [u8],
    ) -> Result<Option<Received>, ErrorKind> {
        let now = self.now();
        let udp = self.sockets.udp(handle)?;
        if let Some(error) = udp.error.take() {
            return Err(error);
        }
        let Some((from, arrived_at, bytes)) = udp.queue.pop_front() else { return Ok(None) };
        let at = if udp.stamped { arrived_at } else { now };
        let length = copy(&bytes, buffer);
        let truncated = length < bytes.len();
        Ok(Some(Received { length, truncated, from: from.into(), at }))
    }

    fn udp_local(&mut self, handle: SimHandle) -> Result<SocketAddr, ErrorKind> {
        Ok(self.sockets.udp(handle)?.local.into())
    }

    fn close(&mut self, handle: SimHandle) {
        self.sockets.close(handle);
    }

    fn link_open(&mut self, interface: u32, filter: LinkFilter) -> Result<SimHandle, ErrorKind> {
        self.refusals.check(Operation::LinkOpen)?;
        self.host.nic(interface)?;
        let link = LinkSocket { interface, filter, error: None, queue: VecDeque::new() };
        Ok(self.sockets.add(Socket::Link(link)))
    }

    fn link_send(
        &mut self,
        handle: SimHandle,
        to: Mac,
        ethertype: u16,
        payload: &[u8],
    ) -> Result<(), ErrorKind> {
        let interface = self.sockets.link(handle)?.interface;
        let nic = self.host.nic(interface)?;
        if !nic.up {
            return Err(ErrorKind::Unreachable);
        }
        if u32::try_from(payload.len()).unwrap_or(u32::MAX) > nic.mtu {
            return Err(ErrorKind::TooLong);
        }
        let frame = WireFrame {
            dst: to,
            src: nic.mac,
            ethertype,
            payload: payload.to_vec(),
            checksum: Checksum::Complete,
        };
        self.network.transmit(self.now, interface, frame);
        Ok(())
    }

    fn link_receive(
        &mut self,
        handle: SimHandle,
        buffer: &mut [u8],
    ) -> Result<Option<ReceivedFrame>, ErrorKind> {
        let link = self.sockets.link(handle)?;
        if let Some(error) = link.error.take() {
            return Err(error);
        }
        let Some((at, frame)) = link.queue.pop_front() else { return Ok(None) };
        let length = copy(&frame.payload, buffer);
        let WireFrame { src, ethertype, checksum, .. } = frame;
        Ok(Some(ReceivedFrame { length, from: src, ethertype, checksum, at }))
    }

    fn interface(&mut self, name: &str) -> Result<Interface, ErrorKind> {
        self.refusals.check(Operation::Interface)?;
        self.host.by_name(name).ok_or(ErrorKind::NotFound)
    }

    fn watch_open(&mut self) -> Result<SimHandle, ErrorKind> {
        self.refusals.check(Operation::WatchOpen)?;
        let there = self.host.nics.iter();
        let changes = there.map(|(at, nic)| InterfaceChange::Is(nic.describe(*at))).collect();
        Ok(self.sockets.add(Socket::Watch(changes)))
    }

    fn watch_receive(&mut self, handle: SimHandle) -> Result<Option<InterfaceChange>, ErrorKind> {
        self.refusals.check(Operation::WatchReceive)?;
        Ok(self.sockets.watch(handle)?.pop_front())
    }

    fn interface_up(&mut self, interface: u32) -> Result<(), ErrorKind> {
        self.refusals.check(Operation::InterfaceUp)?;
        let nic = self.host.nic(interface)?;
        if !core::mem::replace(&mut nic.up, true) {
            self.changed(interface);
        }
        Ok(())
    }

    fn interface_down(&mut self, interface: u32) -> Result<(), ErrorKind> {
        self.refusals.check(Operation::InterfaceDown)?;
        self.host.nic(interface)?;
        self.set_up(interface, false);
        Ok(())
    }

    fn mtu_set(&mut self, interface: u32, mtu: u32) -> Result<(), ErrorKind> {
        self.refusals.check(Operation::MtuSet)?;
        self.host.mtu_set(interface, mtu)?;
        self.changed(interface);
        Ok(())
    }

    fn address_add(&mut self, interface: u32, config: &AddressConfig) -> Result<(), ErrorKind> {
        self.refusals.check(Operation::AddressAdd)?;
        self.host.address_add(self.now, interface, config)
    }

    fn address_remove(&mut self, index: u32, config: &AddressConfig) -> Result<(), ErrorKind> {
        self.refusals.check(Operation::AddressRemove)?;
        self.host.address_remove(index, config)?;
        let address: Ipv4Addr = config.address;
        self.sockets.tell(InterfaceChange::AddressRemoved { index, address });
        Ok(())
    }

    fn route_add(&mut self, interface: u32, config: &RouteConfig) -> Result<(), ErrorKind> {
        self.refusals.check(Operation::RouteAdd)?;
        self.host.route_add(interface, config)
    }

    fn route_remove(&mut self, interface: u32, config: &RouteConfig) -> Result<(), ErrorKind> {
        self.refusals.check(Operation::RouteRemove)?;
        self.host.route_remove(interface, config)?;
        self.sockets.tell(InterfaceChange::RouteRemoved { index: interface });
        Ok(())
    }

    fn set_clock(&mut self, adjust: Adjust) -> Result<(), ErrorKind> {
        self.refusals.check(Operation::SetClock)?;
        if !self.clock_allowed {
            return Err(ErrorKind::PermissionDenied);
        }
        match adjust {
            Adjust::Step { offset_ns } => self.wall.step(self.now, offset_ns),
            Adjust::Slew { offset_ns } => self.wall.slew(self.now, offset_ns),
        }
        self.adjustments.push(adjust);
        Ok(())
    }

    fn clock_rate(&mut self, ppb: i64) -> Result<(), ErrorKind> {
        self.refusals.check(Operation::ClockRate)?;
        if !self.clock_allowed {
            return Err(ErrorKind::PermissionDenied);
        }
        self.wall.turn(self.now, ppb);
        Ok(())
    }

    fn clock_leap(&mut self, leap: LeapSecond) -> Result<(), ErrorKind> {
        self.refusals.check(Operation::ClockLeap)?;
        if !self.clock_allowed {
            return Err(ErrorKind::PermissionDenied);
        }
        self.leap = leap;
        Ok(())
    }

    fn clock_synchronised(&mut self, error: Option<Duration>) -> Result<(), ErrorKind> {
        self.refusals.check(Operation::ClockSynchronised)?;
        if !self.clock_allowed {
            return Err(ErrorKind::PermissionDenied);
        }
        self.synchronised = error;
        Ok(())
    }

    fn reboot(&mut self, _why: Reboot) -> Result<Infallible, ErrorKind> {
        if !self.reboot_allowed {
            return Err(ErrorKind::PermissionDenied);
        }
        self.reboots += 1;
        Err(ErrorKind::Failed)
    }
}

impl<O: SystemOps<Wake = SimWake>> Arm<O> for Sim {
    fn arm(&mut self, wake: &SimWake) -> Result<SimHandle, ErrorKind> {
        self.wake = Some(wake.arm()?);
        Ok(SimHandle::WAKE)
    }
}
