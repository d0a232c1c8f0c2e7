//! The simulated host's sockets.

use core::net::{Ipv4Addr, SocketAddrV4};
use std::collections::{BTreeMap, VecDeque};

use bringup_core::client::{Checksum, LinkFilter};
use bringup_core::error::ErrorKind;
use bringup_core::platform::InterfaceChange;
use bringup_core::poll::Readiness;
use bringup_core::time::Instant;

use super::packet::{self, Datagram, ETHERTYPE_ARP, ETHERTYPE_IPV4};
use super::poll::SimHandle;
use super::wire::WireFrame;

/// How much a socket holds before it loses what comes.
const MAX_QUEUE: usize = 64;

/// A UDP socket.
#[derive(Debug)]
pub(super) struct UdpSocket {
    pub(super) local: SocketAddrV4,
    pub(super) peer: Option<SocketAddrV4>,
    pub(super) interface: Option<u32>,
    pub(super) broadcast: bool,
    pub(super) stamped: bool,
    /// What a peer caused; told once.
    pub(super) error: Option<ErrorKind>,
    pub(super) queue: VecDeque<(SocketAddrV4, Instant, Vec<u8>)>,
}

impl UdpSocket {
    /// How well a datagram fits: not at all, by port, by address, by peer.
    fn fit(&self, interface: u32, datagram: &Datagram<'_>) -> u8 {
        let Datagram { src, dst, .. } = *datagram;
        let bound = !self.local.ip().is_unspecified();
        let wrong = self.local.port() != dst.port()
            || (bound && self.local.ip() != dst.ip())
            || self.interface.is_some_and(|only| only != interface)
            || self.peer.is_some_and(|peer| peer != src);
        if wrong {
            return 0;
        }
        1 + u8::from(bound)
            + 2 * u8::from(self.interface.is_some())
            + 4 * u8::from(self.peer.is_some())
    }
}

/// A socket for frames.
#[derive(Debug)]
pub(super) struct LinkSocket {
    pub(super) interface: u32,
    pub(super) filter: LinkFilter,
    /// The interface went; told once.
    pub(super) error: Option<ErrorKind>,
    pub(super) queue: VecDeque<(Instant, WireFrame)>,
}

impl LinkSocket {
    fn hears(&self, interface: u32, frame: &WireFrame) -> bool {
        self.interface == interface
            && match self.filter {
                LinkFilter::DhcpClient => {
                    frame.ethertype == ETHERTYPE_IPV4 && packet::is_for_dhcp_client(&frame.payload)
                }
                LinkFilter::Arp => frame.ethertype == ETHERTYPE_ARP,
            }
    }
}

/// What a handle stands for.
#[derive(Debug)]
pub(super) enum Socket {
    Udp(UdpSocket),
    Link(LinkSocket),
    Watch(VecDeque<InterfaceChange>),
}

/// All sockets.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    open: BTreeMap<SimHandle, Socket>,
    last: u32,
}

impl Sockets {
    pub(super) fn add(&mut self, socket: Socket) -> SimHandle {
        self.last += 1;
        let handle = SimHandle(self.last);
        self.open.insert(handle, socket);
        handle
    }

    pub(super) fn close(&mut self, handle: SimHandle) {
        self.open.remove(&handle);
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn udp(&mut self, handle: SimHandle) -> Result<&mut UdpSocket, ErrorKind> {
        match self.open.get_mut(&handle) {
            Some(Socket::Udp(udp)) => Ok(udp),
            _ => Err(ErrorKind::NotFound),
        }
    }

    pub(super) fn link(&mut self, handle: SimHandle) -> Result<&mut LinkSocket, ErrorKind> {
        match self.open.get_mut(&handle) {
            Some(Socket::Link(link)) => Ok(link),
            _ => Err(ErrorKind::NotFound),
        }
    }

    pub(super) fn watch(
        &mut self,
        handle: SimHandle,
    ) -> Result<&mut VecDeque<InterfaceChange>, ErrorKind> {
        match self.open.get_mut(&handle) {
            Some(Socket::Watch(watch)) => Ok(watch),
            _ => Err(ErrorKind::NotFound),
        }
    }

    pub(super) fn readiness(&self, handle: SimHandle) -> Readiness {
        let (waiting, error) = match self.open.get(&handle) {
            Some(Socket::Udp(udp)) => (!udp.queue.is_empty(), udp.error.is_some()),
            Some(Socket::Link(link)) => (!link.queue.is_empty(), link.error.is_some()),
            Some(Socket::Watch(watch)) => (!watch.is_empty(), false),
            None => return Readiness { invalid: true, ..Readiness::default() },
        };
        Readiness { readable: waiting || error, writable: true, error, ..Readiness::default() }
    }

    fn udp_sockets(&mut self) -> impl Iterator<Item = &mut UdpSocket> {
        self.open.values_mut().filter_map(|socket| match socket {
            Socket::Udp(udp) => Some(udp),
            _ => None,
        })
    }

    /// Whether another socket has the port, where this one would hear.
    pub(super) fn is_taken(&mut self, local: SocketAddrV4, interface: Option<u32>) -> bool {
        self.udp_sockets().any(|udp| {
            let both =
                |a: Ipv4Addr, b: Ipv4Addr| a.is_unspecified() || b.is_unspecified() || a == b;
            let apart = udp.interface.zip(interface).is_some_and(|(a, b)| a != b);
            udp.local.port() == local.port() && both(*udp.local.ip(), *local.ip()) && !apart
        })
    }

    /// Hands a frame to the link sockets that want it. How many had no room.
    pub(super) fn offer_frame(&mut self, now: Instant, interface: u32, frame: &WireFrame) -> u64 {
        let mut overflow = 0;
        for socket in self.open.values_mut() {
            match socket {
                Socket::Link(link) if link.hears(interface, frame) => {
                    if link.queue.len() >= MAX_QUEUE {
                        overflow += 1;
                    } else {
                        link.queue.push_back((now, frame.clone()));
                    }
                }
                _ => {}
            }
        }
        overflow
    }

    /// Hands a datagram to the socket that fits best. Whether there was one; one without room loses
    /// it, and counts.
    pub(super) fn offer_datagram(
        &mut self,
        now: Instant,
        interface: u32,
        datagram: &Datagram<'_>,
        overflow: &mut u64,
    ) -> bool {
        let fitting = self.udp_sockets().map(|udp| (udp.fit(interface, datagram), udp));
        let best = fitting.filter(|(fit, _)| *fit > 0).max_by_key(|(fit, _)| *fit);
        let Some((_, udp)) = best else { return false };
        if udp.queue.len() >= MAX_QUEUE {
            *overflow += 1;
        } else {
            udp.queue.push_back((datagram.src, now, datagram.payload.to_vec()));
        }
        true
    }

    /// A peer said that nobody listens there: the connected socket that asked is told.
    pub(super) fn refuse(&mut self, src: SocketAddrV4, dst: SocketAddrV4) {
        let asked = |udp: &&mut UdpSocket| udp.local.port() == src.port() && udp.peer == Some(dst);
        if let Some(udp) = self.udp_sockets().find(asked) {
            udp.error = Some(ErrorKind::Refused);
        }
    }

    /// Tells every watch. One that does not listen is told that it missed something.
    pub(super) fn tell(&mut self, change: InterfaceChange) {
        for socket in self.open.values_mut() {
            let Socket::Watch(watch) = socket else { continue };
            if watch.len() < MAX_QUEUE {
                watch.push_back(change);
            } else if let Some(last) = watch.back_mut() {
                *last = InterfaceChange::Overrun;
            }
        }
    }

    /// What watches have not taken yet is lost, and they are told so.
    pub(super) fn overrun(&mut self) {
        for socket in self.open.values_mut() {
            let Socket::Watch(watch) = socket else { continue };
            watch.clear();
            watch.push_back(InterfaceChange::Overrun);
        }
    }

    /// The interface went down or away.
    pub(super) fn cut(&mut self, interface: u32) {
        for socket in self.open.values_mut() {
            if let Socket::Link(link) = socket {
                if link.interface == interface {
                    link.error = Some(ErrorKind::Unreachable);
                }
            }
        }
    }
}

/// Whether the UDP checksum in a frame can be checked.
pub(super) fn is_complete(frame: &WireFrame) -> bool {
    frame.checksum == Checksum::Complete
}
