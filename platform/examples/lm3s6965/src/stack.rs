//! [`Stack`]: smoltcp with its sockets, and what waits for them.

use core::net::{Ipv4Addr, SocketAddr};

use bringup_core::client::LinkFilter;
use bringup_core::error::ErrorKind;
use bringup_core::platform::{AddressConfig, Received, RouteConfig, UdpOptions};
use bringup_core::poll::{Interest, Poll, Readiness, Token};
use bringup_core::time::{Duration, Instant};
use smoltcp::iface::{Config, Interface, Route, SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::udp::{PacketBuffer, PacketMetadata, SendError, Socket};
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, IpEndpoint, IpListenEndpoint, Ipv4Cidr};

use crate::ethernet::{Ethernet, Frames, MTU};
use crate::machine;

/// How many UDP sockets there are: DHCP's, NTP's, and four of the resolver's.
pub(crate) const SOCKETS: usize = 6;
/// How many handles can be watched: those, two for frames, and the wake.
const WATCHED: usize = SOCKETS + 3;
/// The number of the one interface.
pub(crate) const INTERFACE: u32 = 1;
/// Where ports drawn at random begin (RFC 6335 §6); they go to the end.
const DYNAMIC: u16 = 49_152;
/// What IPv4 and UDP take of the MTU.
const HEADERS: usize = 20 + 8;

/// A socket, or what else may be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handle {
    Udp(usize),
    Link(usize),
    Wake,
}

/// Memory for a UDP socket: two datagrams in, one out.
struct Datagrams {
    received: ([PacketMetadata; 2], [u8; 1_100]),
    sent: ([PacketMetadata; 2], [u8; 400]),
}

impl Datagrams {
    const EMPTY: Self = Self {
        received: ([PacketMetadata::EMPTY; 2], [0; 1_100]),
        sent: ([PacketMetadata::EMPTY; 2], [0; 400]),
    };
}

/// The memory of a stack.
pub(crate) struct StackStorage {
    frames: Frames,
    datagrams: [Datagrams; SOCKETS],
    sockets: [SocketStorage<'static>; SOCKETS],
}

impl StackStorage {
    pub(crate) const fn new() -> Self {
        Self {
            frames: Frames::new(),
            datagrams: [const { Datagrams::EMPTY }; SOCKETS],
            sockets: [const { SocketStorage::EMPTY }; SOCKETS],
        }
    }
}

/// A UDP socket of smoltcp's, and whether it is anybody's.
struct Udp {
    handle: SocketHandle,
    open: bool,
    peer: Option<SocketAddr>,
}

struct Watched {
    handle: Handle,
    token: Token,
    interest: Interest,
}

/// The stack. It is its own poller, since only it knows what is ready.
pub(crate) struct Stack {
    pub(crate) ethernet: Ethernet<'static>,
    ip: Interface,
    sockets: SocketSet<'static>,
    udp: [Udp; SOCKETS],
    watched: [Option<Watched>; WATCHED],
    /// The next of them to be looked at.
    next: usize,
    /// The longest packet; smoltcp cuts none into pieces.
    pub(crate) mtu: usize,
}

fn stack_time(at: Instant) -> StackInstant {
    StackInstant::from_micros(i64::try_from(at.as_micros()).unwrap_or(i64::MAX))
}

fn address(of: SocketAddr) -> Result<IpEndpoint, ErrorKind> {
    match of {
        SocketAddr::V4(of) => Ok(IpEndpoint { addr: IpAddress::Ipv4(*of.ip()), port: of.port() }),
        SocketAddr::V6(_) => Err(ErrorKind::Unsupported),
    }
}

impl Stack {
    pub(crate) fn new(storage: &'static mut StackStorage, seed: u64) -> Self {
        let StackStorage { frames, datagrams, sockets } = storage;
        let mut ethernet = Ethernet::new(frames);
        let mut config = Config::new(EthernetAddress(ethernet.address.0).into());
        config.random_seed = seed;
        let ip = Interface::new(config, &mut ethernet, stack_time(machine::now()));
        let mut sockets = SocketSet::new(&mut sockets[..]);
        let udp = datagrams.each_mut().map(|Datagrams { received, sent }| {
            let received = PacketBuffer::new(&mut received.0[..], &mut received.1[..]);
            let sent = PacketBuffer::new(&mut sent.0[..], &mut sent.1[..]);
            Udp { handle: sockets.add(Socket::new(received, sent)), open: false, peer: None }
        });
        let watched = [const { None }; WATCHED];
        Self { ethernet, ip, sockets, udp, watched, next: 0, mtu: MTU }
    }

    /// Takes what has arrived, and sends what can be sent.
    fn work(&mut self) {
        let now = stack_time(machine::now());
        self.ip.poll(now, &mut self.ethernet, &mut self.sockets);
    }

    fn socket(&mut self, number: usize) -> Result<&mut Socket<'static>, ErrorKind> {
        let udp = self.udp.get(number).filter(|udp| udp.open).ok_or(ErrorKind::NotFound)?;
        Ok(self.sockets.get_mut(udp.handle))
    }

    /// The port of an open socket.
    pub(crate) fn port(&mut self, handle: Handle) -> Result<u16, ErrorKind> {
        let Handle::Udp(number) = handle else { return Err(ErrorKind::Invalid) };
        Ok(self.socket(number)?.endpoint().port)
    }

    fn is_taken(&self, port: u16) -> bool {
        let ports = self.udp.iter().filter(|udp| udp.open);
        ports
            .into_iter()
            .any(|udp| self.sockets.get::<Socket<'_>>(udp.handle).endpoint().port == port)
    }

    /// Opens a UDP socket; `draw` draws a number at random.
    pub(crate) fn udp_open(
        &mut self,
        options: &UdpOptions,
        mut draw: impl FnMut() -> u16,
    ) -> Result<Handle, ErrorKind> {
        if options.interface.is_some_and(|interface| interface != INTERFACE) {
            return Err(ErrorKind::NotFound);
        }
        let mut local = address(options.local)?;
        if !local.addr.is_unspecified() && !self.ip.has_ip_addr(local.addr) {
            return Err(ErrorKind::NotFound);
        }
        if local.port == 0 {
            // There are more ports than sockets: one is free.
            local.port = loop {
                let port = DYNAMIC | draw();
                if !self.is_taken(port) {
                    break port;
                }
            };
        } else if self.is_taken(local.port) {
            return Err(ErrorKind::AddressInUse);
        }
        let number = self.udp.iter().position(|udp| !udp.open).ok_or(ErrorKind::Exhausted)?;
        let udp = self.udp.get_mut(number).ok_or(ErrorKind::Exhausted)?;
        let to = (!local.addr.is_unspecified()).then_some(local.addr);
        let socket = self.sockets.get_mut::<Socket<'_>>(udp.handle);
        let endpoint = IpListenEndpoint { addr: to, port: local.port };
        socket.bind(endpoint).map_err(|_| ErrorKind::Invalid)?;
        (udp.open, udp.peer) = (true, options.peer);
        Ok(Handle::Udp(number))
    }

    pub(crate) fn udp_send(
        &mut self,
        handle: Handle,
        to: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), ErrorKind> {
        let Handle::Udp(number) = handle else { return Err(ErrorKind::Invalid) };
        let to = address(to)?;
        if bytes.len() + HEADERS > self.mtu {
            return Err(ErrorKind::TooLong);
        }
        if self.ip.ipv4_addr().is_none() {
            return Err(ErrorKind::Unreachable);
        }
        let socket = self.socket(number)?;
        if bytes.len() > socket.payload_send_capacity() {
            return Err(ErrorKind::TooLong);
        }
        socket.send_slice(bytes, to).map_err(|why| match why {
            SendError::Unaddressable => ErrorKind::Invalid,
            SendError::BufferFull => ErrorKind::Busy,
        })?;
        self.work();
        Ok(())
    }

    pub(crate) fn udp_receive(
        &mut self,
        handle: Handle,
        buffer: &mut [u8],
    ) -> Result<Option<Received>, ErrorKind> {
        let Handle::Udp(number) = handle else { return Err(ErrorKind::Invalid) };
        let peer = self.udp.get(number).and_then(|udp| udp.peer);
        let socket = self.socket(number)?;
        while let Ok((bytes, meta)) = socket.recv() {
            let IpAddress::Ipv4(from) = meta.endpoint.addr;
            let from = SocketAddr::from((from, meta.endpoint.port));
            // smoltcp's sockets have no peer.
            if peer.is_some_and(|peer| peer != from) {
                continue;
            }
            let length = bytes.len().min(buffer.len());
            buffer.iter_mut().zip(bytes).for_each(|(place, octet)| *place = *octet);
            let truncated = bytes.len() > length;
            return Ok(Some(Received { length, truncated, from, at: machine::now() }));
        }
        Ok(None)
    }

    pub(crate) fn link_open(&mut self, filter: LinkFilter) -> Result<Handle, ErrorKind> {
        self.ethernet.open(filter).map(Handle::Link).ok_or(ErrorKind::Exhausted)
    }

    pub(crate) fn close(&mut self, handle: Handle) {
        match handle {
            Handle::Udp(number) => {
                if let Ok(socket) = self.socket(number) {
                    // With what it had to send and to read.
                    socket.close();
                }
                if let Some(udp) = self.udp.get_mut(number) {
                    udp.open = false;
                }
            }
            Handle::Link(link) => self.ethernet.close(link),
            Handle::Wake => {}
        }
    }

    /// Puts the one address on the interface; one that is there is renewed.
    pub(crate) fn address_add(&mut self, config: &AddressConfig) -> Result<(), ErrorKind> {
        let cidr = IpCidr::Ipv4(Ipv4Cidr::new(config.address, config.prefix.min(32)));
        let mut added = Ok(());
        self.ip.update_ip_addrs(|addresses| {
            if !addresses.contains(&cidr) {
                added = addresses.push(cidr).map_err(|_| ErrorKind::Exhausted);
            }
        });
        added
    }

    pub(crate) fn address_remove(&mut self, address: Ipv4Addr) -> Result<(), ErrorKind> {
        let mut removed = Err(ErrorKind::NotFound);
        self.ip.update_ip_addrs(|addresses| {
            addresses.retain(|cidr| {
                let is = cidr.address() == IpAddress::Ipv4(address);
                removed = if is { Ok(()) } else { removed };
                !is
            });
        });
        removed
    }

    /// smoltcp knows routers only: what is on the link follows from the address.
    pub(crate) fn route_add(&mut self, config: &RouteConfig) -> Result<(), ErrorKind> {
        let route = route(config)?;
        let mut added = Ok(());
        self.ip.routes_mut().update(|routes| {
            added = if routes.iter().any(|there| is_same(there, &route)) {
                Err(ErrorKind::Exists)
            } else {
                routes.push(route).map_err(|_| ErrorKind::Exhausted)
            };
        });
        added
    }

    pub(crate) fn route_remove(&mut self, config: &RouteConfig) -> Result<(), ErrorKind> {
        let route = route(config)?;
        let mut removed = Err(ErrorKind::NotFound);
        self.ip.routes_mut().update(|routes| {
            let before = routes.len();
            routes.retain(|there| !is_same(there, &route));
            removed = if routes.len() < before { Ok(()) } else { removed };
        });
        removed
    }

    fn readiness(&self, watched: &Watched) -> Readiness {
        let (readable, writable) = match watched.handle {
            Handle::Udp(number) => match self.udp.get(number).filter(|udp| udp.open) {
                Some(udp) => {
                    let socket = self.sockets.get::<Socket<'_>>(udp.handle);
                    (socket.can_recv(), socket.can_send())
                }
                None => return Readiness { invalid: true, ..Readiness::default() },
            },
            Handle::Link(link) if self.ethernet.is_open(link) => {
                (self.ethernet.is_readable(link), true)
            }
            Handle::Link(_) => return Readiness { invalid: true, ..Readiness::default() },
            Handle::Wake => (machine::is_awake(), false),
        };
        let Interest { readable: read, writable: write } = watched.interest;
        Readiness {
            readable: readable && read,
            writable: writable && write,
            ..Readiness::default()
        }
    }

    fn is_ready(&self) -> bool {
        let nothing = Readiness::default();
        self.watched.iter().flatten().any(|watched| self.readiness(watched) != nothing)
    }

    fn place(&mut self, token: Token) -> Option<&mut Option<Watched>> {
        let is =
            |slot: &Option<Watched>| slot.as_ref().is_some_and(|watched| watched.token == token);
        self.watched.iter_mut().find(|slot| is(slot))
    }
}

fn route(config: &RouteConfig) -> Result<Route, ErrorKind> {
    let gateway = config.gateway.ok_or(ErrorKind::Unsupported)?;
    let cidr = IpCidr::Ipv4(Ipv4Cidr::new(config.destination, config.prefix.min(32)));
    Ok(Route { cidr, ..Route::new_ipv4_gateway(gateway) })
}

fn is_same(one: &Route, other: &Route) -> bool {
    (one.cidr, one.via_router) == (other.cidr, other.via_router)
}

impl Poll for Stack {
    type Handle = Handle;
    type Error = ErrorKind;

    fn add(&mut self, handle: Handle, token: Token, interest: Interest) -> Result<(), ErrorKind> {
        let free = self.watched.iter_mut().find(|slot| slot.is_none());
        *free.ok_or(ErrorKind::Exhausted)? = Some(Watched { handle, token, interest });
        Ok(())
    }

    fn modify(
        &mut self,
        handle: Handle,
        token: Token,
        interest: Interest,
    ) -> Result<(), ErrorKind> {
        let place = self.place(token).ok_or(ErrorKind::NotFound)?;
        *place = Some(Watched { handle, token, interest });
        Ok(())
    }

    fn remove(&mut self, _: Handle, token: Token) {
        if let Some(place) = self.place(token) {
            *place = None;
        }
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), ErrorKind> {
        let deadline = timeout.map(|timeout| machine::now() + timeout);
        loop {
            self.work();
            self.next = 0;
            let now = machine::now();
            if self.is_ready() || deadline.is_some_and(|at| at <= now) {
                return Ok(());
            }
            // smoltcp asks again for neighbours that do not answer.
            let stack = self.ip.poll_delay(stack_time(now), &self.sockets);
            let stack = stack.map(|delay| Duration::from_micros(delay.total_micros()));
            let left = deadline.map_or(Duration::from_secs(60), |at| at.since(now));
            machine::sleep(stack.map_or(left, |delay| left.min(delay)));
        }
    }

    fn next_ready(&mut self) -> Option<(Token, Readiness)> {
        while let Some(slot) = self.watched.get(self.next) {
            self.next += 1;
            let Some(watched) = slot else { continue };
            let (token, readiness) = (watched.token, self.readiness(watched));
            if readiness != Readiness::default() {
                return Some((token, readiness));
            }
        }
        None
    }
}
