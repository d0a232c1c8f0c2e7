//! The port to Linux.
//!
//! [`Linux`] is the platform: read it first, it only joins the parts. `clock` (CLOCK_BOOTTIME, and
//! waits that count suspend), `udp`, `packet` (AF_PACKET with its filter),
//! `source` (from where this host would send), `netlink` (requests and the watch), `interface` (what rtnetlink's words mean to the contract),
//! `wake` (the eventfd that other threads write). [`namespace`] makes private networks, `sys` holds the
//! system calls.
//!
//! What is optional is done without where it is missing, as under emulators: receive timestamps,
//! PACKET_AUXDATA, IP_PMTUDISC_OMIT. Socket buffers keep the size that the administrator gave them.

mod bare;
mod clock;
mod interface;
pub mod namespace;
mod netlink;
mod packet;
mod source;
mod sys;
mod udp;
mod wake;

use core::convert::Infallible;
use core::net::{IpAddr, SocketAddr};

use bringup_core::client::{LinkFilter, Mac, Rng};
use bringup_core::platform::{
    AddressConfig, Adjust, Arm, Interface, InterfaceChange, LeapSecond, Platform, Reboot, Received,
    ReceivedFrame, RouteConfig, Source, SystemOps, UdpOptions,
};
use bringup_core::poll::{Interest, Poll, Readiness, Token};
use bringup_core::time::{Duration, Instant, Utc};

use self::clock::ClockFd;
use self::netlink::{Requests, Watch};
use self::packet::Packet;
use self::source::{Chooser, Sources};
use self::udp::Udp;
pub use self::wake::{EventWake, LinuxOps};
use crate::entropy::Entropy;
use crate::error::{Operation, OsError, during};
use crate::socket::tcp::Tcp;

/// Whether the program may change the machine's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockPolicy {
    /// It may not; `set_clock` is refused.
    #[default]
    Refuse,
    /// It may, as far as the kernel lets it (CAP_SYS_TIME).
    Set,
}

/// Whether the program may restart the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RebootPolicy {
    /// It may not; `reboot` is refused.
    #[default]
    Refuse,
    /// It may, as far as the kernel lets it (CAP_SYS_BOOT).
    Restart,
}

/// What a [`Linux`] may do besides the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The machine's clock.
    pub clock: ClockPolicy,
    /// Restarting the machine.
    pub reboot: RebootPolicy,
    /// By how many nanoseconds the kernel may be late to wake the calling thread, at least 1. `None`
    /// leaves it at what it was: 50,000, unless somebody changed it. Waits of a fraction of a
    /// millisecond come out some 70 µs more exact with 1, at the price of more wake-ups.
    pub timer_slack_ns: Option<u32>,
}

/// The poller of a [`Linux`], with the platform's own error.
#[derive(Debug)]
pub struct LinuxPoll<Q>(Q);

impl<Q> Poll for LinuxPoll<Q>
where
    Q: Poll<Handle = i32>,
    OsError: From<Q::Error>,
{
    type Handle = i32;
    type Error = OsError;

    fn add(&mut self, fd: i32, token: Token, interest: Interest) -> Result<(), OsError> {
        Ok(self.0.add(fd, token, interest)?)
    }

    fn modify(&mut self, fd: i32, token: Token, interest: Interest) -> Result<(), OsError> {
        Ok(self.0.modify(fd, token, interest)?)
    }

    fn remove(&mut self, fd: i32, token: Token) {
        self.0.remove(fd, token);
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), OsError> {
        Ok(self.0.wait(timeout)?)
    }

    fn next_ready(&mut self) -> Option<(Token, Readiness)> {
        self.0.next_ready()
    }
}

/// What a handle stands for.
#[derive(Debug)]
enum Open {
    Udp(Udp),
    Tcp(Tcp),
    Link(Packet),
    Watch(Watch),
}

impl Open {
    fn raw(&self) -> i32 {
        match self {
            Self::Udp(udp) => udp.raw(),
            Self::Tcp(tcp) => tcp.raw(),
            Self::Link(packet) => packet.raw(),
            Self::Watch(watch) => watch.raw(),
        }
    }
}

/// What is open, by the number of its descriptor: every send and receive looks there. The kernel gives out
/// the least number that is free, so that few places stay empty.
#[derive(Debug)]
struct Table(Vec<Option<Box<Open>>>);

impl Table {
    fn place(&mut self, handle: i32) -> Option<&mut Option<Box<Open>>> {
        self.0.get_mut(usize::try_from(handle).ok()?)
    }

    fn get(&self, handle: i32) -> Option<&Open> {
        self.0.get(usize::try_from(handle).ok()?)?.as_deref()
    }

    fn get_mut(&mut self, handle: i32) -> Option<&mut Open> {
        self.place(handle)?.as_deref_mut()
    }

    fn insert(&mut self, handle: i32, open: Open) {
        // The kernel gives out no negative ones.
        let Ok(place) = usize::try_from(handle) else { return };
        if place >= self.0.len() {
            self.0.resize_with(place + 1, || None);
        }
        self.0[place] = Some(Box::new(open));
    }

    fn remove(&mut self, handle: i32) -> Option<Open> {
        self.place(handle)?.take().map(|open| *open)
    }
}

/// The number of an interface of the calling thread's network namespace.
pub fn interface_number(name: &str) -> Option<u32> {
    sys::interface_number(name)
}

/// Linux as a platform, on the poller `Q`: core's `UnixPoll`, or [`Polling`](crate::polling::Polling).
///
/// A handle is a descriptor's number, so that the loop serves the application's own descriptors too.
/// The platform's methods know only those that it opened itself: any other is an error, never
/// somebody else's descriptor.
#[derive(Debug)]
pub struct Linux<Q> {
    poller: LinuxPoll<Q>,
    clock: ClockFd,
    entropy: Entropy,
    /// Opened when it is first needed: DNS and NTP alone need none.
    requests: Option<Requests>,
    open: Table,
    /// What is known of this host's addresses, for a moment.
    sources: Option<Sources>,
    chooser: Chooser,
    options: Options,
}

impl<Q> Linux<Q>
where
    Q: Poll<Handle = i32>,
    OsError: From<Q::Error>,
{
    /// A platform that may use the network and nothing else. Takes one slot of the poller for its
    /// clock while a deadline is more than a second off.
    pub fn new(poller: Q) -> Result<Self, OsError> {
        Self::with_options(poller, Options::default())
    }

    /// A platform that may do what `options` says.
    pub fn with_options(poller: Q, options: Options) -> Result<Self, OsError> {
        if let Some(ns) = options.timer_slack_ns {
            // Zero would mean the thread's default.
            sys::set_timer_slack(ns.max(1)).map_err(during(Operation::Timer))?;
        }
        Ok(Self {
            poller: LinuxPoll(poller),
            clock: ClockFd::new()?,
            entropy: Entropy::new()?,
            requests: None,
            open: Table(Vec::new()),
            sources: None,
            chooser: Chooser::default(),
            options,
        })
    }

    fn keep(&mut self, open: Open) -> i32 {
        let handle = open.raw();
        self.open.insert(handle, open);
        handle
    }

    fn udp(&self, handle: i32) -> Result<&Udp, OsError> {
        match self.open.get(handle) {
            Some(Open::Udp(udp)) => Ok(udp),
            _ => Err(OsError::new(Operation::Handle, libc::EBADF)),
        }
    }

    fn tcp(&self, handle: i32) -> Result<&Tcp, OsError> {
        match self.open.get(handle) {
            Some(Open::Tcp(tcp)) => Ok(tcp),
            _ => Err(OsError::new(Operation::Handle, libc::EBADF)),
        }
    }

    fn link(&self, handle: i32) -> Result<&Packet, OsError> {
        match self.open.get(handle) {
            Some(Open::Link(packet)) => Ok(packet),
            _ => Err(OsError::new(Operation::Handle, libc::EBADF)),
        }
    }

    fn requests(&mut self) -> Result<&mut Requests, OsError> {
        let requests = match self.requests.take() {
            Some(requests) => requests,
            None => Requests::open()?,
        };
        Ok(self.requests.insert(requests))
    }
}

impl<Q> Rng for Linux<Q> {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.entropy.fill(buffer);
    }
}

impl<Q> Platform for Linux<Q>
where
    Q: Poll<Handle = i32>,
    OsError: From<Q::Error>,
{
    type Poller = LinuxPoll<Q>;
    type Handle = i32;
    type Error = OsError;

    fn now(&mut self) -> Instant {
        clock::now()
    }

    fn utc(&mut self) -> Utc {
        clock::utc()
    }

    fn poller(&mut self) -> &mut Self::Poller {
        &mut self.poller
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Result<(), OsError> {
        let timeout = self.clock.prepare(&mut self.poller, clock::now, deadline)?;
        self.poller.wait(timeout)
    }

    fn udp_open(&mut self, options: &UdpOptions) -> Result<i32, OsError> {
        let udp = Udp::open(options, &mut self.entropy)?;
        Ok(self.keep(Open::Udp(udp)))
    }

    fn udp_send(&mut self, handle: i32, to: SocketAddr, bytes: &[u8]) -> Result<(), OsError> {
        self.udp(handle)?.send(to, bytes)
    }

    fn udp_receive(&mut self, handle: i32, buffer: &mut [u8]) -> Result<Option<Received>, OsError> {
        self.udp(handle)?.receive(buffer)
    }

    fn udp_local(&mut self, handle: i32) -> Result<SocketAddr, OsError> {
        self.udp(handle)?.local()
    }

    fn tcp_connect(&mut self, to: SocketAddr, interface: Option<u32>) -> Result<i32, OsError> {
        let tcp = Tcp::connect(to, |socket| {
            interface.map_or(Ok(()), |index| {
                udp::tie(socket, to.is_ipv4(), index, Operation::TcpConnect)
            })
        })?;
        Ok(self.keep(Open::Tcp(tcp)))
    }

    fn tcp_send(&mut self, handle: i32, bytes: &[u8]) -> Result<usize, OsError> {
        self.tcp(handle)?.send(bytes)
    }

    fn tcp_receive(&mut self, handle: i32, buffer: &mut [u8]) -> Result<Option<usize>, OsError> {
        self.tcp(handle)?.receive(buffer)
    }

    fn source(&mut self, destination: IpAddr) -> Result<Option<Source>, OsError> {
        let Some(address) = self.chooser.choose(destination)? else { return Ok(None) };
        let now = clock::now();
        if !self.sources.as_ref().is_some_and(|sources| sources.is_fresh(now)) {
            let read = self.requests()?.sources(now)?;
            self.sources = Some(read);
        }
        Ok(self.sources.as_ref().map(|sources| sources.describe(address)))
    }

    fn close(&mut self, handle: i32) {
        match self.open.remove(handle) {
            // The kernel waits until every processor has seen that such a socket is gone
            // (synchronize_net): some ten milliseconds, most of a bring-up. Where there is no other
            // thread to be had for that, this one waits.
            Some(Open::Link(packet)) => drop(std::thread::Builder::new().spawn(|| drop(packet))),
            other => drop(other),
        }
    }

    fn link_open(&mut self, interface: u32, filter: LinkFilter) -> Result<i32, OsError> {
        let packet = Packet::open(interface, filter)?;
        Ok(self.keep(Open::Link(packet)))
    }

    fn link_send(
        &mut self,
        handle: i32,
        to: Mac,
        ethertype: u16,
        payload: &[u8],
    ) -> Result<(), OsError> {
        self.link(handle)?.send(to, ethertype, payload)
    }

    fn link_receive(
        &mut self,
        handle: i32,
        buffer: &mut [u8],
    ) -> Result<Option<ReceivedFrame>, OsError> {
        self.link(handle)?.receive(buffer)
    }

    fn interface(&mut self, name: &str) -> Result<Interface, OsError> {
        self.requests()?.interface(name)
    }

    /// The first changes are the links that are there. Take changes until there is none: what the
    /// kernel told in one piece makes the handle readable once.
    fn watch_open(&mut self) -> Result<i32, OsError> {
        let watch = Watch::open()?;
        Ok(self.keep(Open::Watch(watch)))
    }

    fn watch_receive(&mut self, handle: i32) -> Result<Option<InterfaceChange>, OsError> {
        match self.open.get_mut(handle) {
            Some(Open::Watch(watch)) => watch.receive(),
            _ => Err(OsError::new(Operation::Handle, libc::EBADF)),
        }
    }

    fn interface_up(&mut self, interface: u32) -> Result<(), OsError> {
        self.requests()?.interface_up(interface)
    }

    fn interface_down(&mut self, interface: u32) -> Result<(), OsError> {
        self.requests()?.interface_down(interface)
    }

    fn mtu_set(&mut self, interface: u32, mtu: u32) -> Result<(), OsError> {
        self.requests()?.mtu_set(interface, mtu)
    }

    fn address_add(&mut self, interface: u32, config: &AddressConfig) -> Result<(), OsError> {
        self.requests()?.address_add(interface, config)
    }

    fn address_remove(&mut self, interface: u32, config: &AddressConfig) -> Result<(), OsError> {
        self.requests()?.address_remove(interface, config)
    }

    fn route_add(&mut self, interface: u32, config: &RouteConfig) -> Result<(), OsError> {
        self.requests()?.route_add(interface, config)
    }

    fn route_remove(&mut self, interface: u32, config: &RouteConfig) -> Result<(), OsError> {
        self.requests()?.route_remove(interface, config)
    }

    fn set_clock(&mut self, adjust: Adjust) -> Result<(), OsError> {
        match self.options.clock {
            ClockPolicy::Refuse => Err(OsError::new(Operation::SetClockPolicy, libc::EPERM)),
            ClockPolicy::Set => clock::set(adjust),
        }
    }

    fn clock_rate(&mut self, ppb: i64) -> Result<(), OsError> {
        match self.options.clock {
            ClockPolicy::Refuse => Err(OsError::new(Operation::SetClockPolicy, libc::EPERM)),
            ClockPolicy::Set => clock::set_rate(ppb),
        }
    }

    fn clock_leap(&mut self, leap: LeapSecond) -> Result<(), OsError> {
        match self.options.clock {
            ClockPolicy::Refuse => Err(OsError::new(Operation::SetClockPolicy, libc::EPERM)),
            ClockPolicy::Set => clock::set_leap(leap),
        }
    }

    fn clock_synchronised(&mut self, error: Option<Duration>) -> Result<(), OsError> {
        match self.options.clock {
            ClockPolicy::Refuse => Err(OsError::new(Operation::SetClockPolicy, libc::EPERM)),
            ClockPolicy::Set => clock::set_synchronised(error),
        }
    }

    fn reboot(&mut self, _why: Reboot) -> Result<Infallible, OsError> {
        match self.options.reboot {
            RebootPolicy::Refuse => Err(OsError::new(Operation::RebootPolicy, libc::EPERM)),
            RebootPolicy::Restart => {
                sys::sync();
                Err(OsError::from_io(Operation::Reboot, &sys::reboot()))
            }
        }
    }
}

/// Any lock will do, if the wake is an eventfd.
impl<Q, O> Arm<O> for Linux<Q>
where
    Q: Poll<Handle = i32>,
    OsError: From<Q::Error>,
    O: SystemOps<Wake = EventWake>,
{
    fn arm(&mut self, wake: &EventWake) -> Result<i32, OsError> {
        wake.arm()
    }
}

#[cfg(test)]
mod tests;
