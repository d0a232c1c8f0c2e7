//! The contract between the core and an operating system: [`Platform`], and what other threads
//! touch: [`SystemOps`] with its lock and its wake.
//!
//! A port is one type that implements [`Platform`]. UDP, the clock, waiting and randomness are
//! needed; everything else has a default that says [`ErrorKind::Unsupported`], and each method says
//! what is lost then. All calls come from the loop's thread, none may block for longer than a system
//! call that only copies, and every one works on a [`Handle`](Platform::Handle), so that a port may
//! keep all its sockets in one stack (smoltcp, the simulator).

use core::fmt::Debug;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::attach::{Linked, Unlocked};
use crate::client::{Checksum, LinkFilter, Mac, Rng};
use crate::error::ErrorKind;
use crate::poll::Poll;
use crate::time::{Duration, Instant, Utc};

/// An error of a platform.
pub trait PlatformError: Copy + Debug {
    /// The kind that callers act upon.
    fn kind(&self) -> ErrorKind;
    /// The error of an operation that the platform does not have.
    fn unsupported() -> Self;
}

impl PlatformError for ErrorKind {
    fn kind(&self) -> ErrorKind {
        *self
    }
    fn unsupported() -> Self {
        Self::Unsupported
    }
}

/// How a UDP socket is to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpOptions {
    /// The local address; port 0 for an unpredictable one.
    pub local: SocketAddr,
    /// Connect to this peer: nobody else's datagrams are received, and its refusals are reported.
    pub peer: Option<SocketAddr>,
    /// Send and receive on this interface alone (its index).
    pub interface: Option<u32>,
    /// May send to a broadcast address.
    pub broadcast: bool,
    /// Wants to know when a datagram arrived, and not only when it was read. To ask the kernel for its
    /// stamp makes every receive dearer; a port that has none to give takes no notice.
    pub stamped: bool,
}

/// A datagram that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// How many bytes of the buffer it fills.
    pub length: usize,
    /// Whether it was longer than the buffer (`MSG_TRUNC`).
    pub truncated: bool,
    /// Its source.
    pub from: SocketAddr,
    /// When it arrived, by the kernel's stamp where there is one and the socket was opened for it
    /// ([`UdpOptions::stamped`]). Of another socket's it is the time of the call that took it, read from
    /// the same clock as [`Platform::now`].
    pub at: Instant,
}

/// A frame that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedFrame {
    /// How many bytes of the buffer the payload (what follows the link header) fills.
    pub length: usize,
    /// The sender's link address.
    pub from: Mac,
    /// EtherType.
    pub ethertype: u16,
    /// Whether the transport checksum can be checked.
    pub checksum: Checksum,
    /// When it arrived.
    pub at: Instant,
}

/// An interface as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its number; the name may change, this does not.
    pub index: u32,
    /// Its Ethernet address; zero where it has none.
    pub mac: Mac,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether it is set up by the administrator (`IFF_UP`).
    pub up: bool,
    /// Whether the other end is there (`IFF_LOWER_UP`, operational state up).
    pub carrier: bool,
    /// How often the carrier has come or gone so far, wrapping; 0 where nobody counts. If it differs
    /// while the link is up before and after, the cable may lead elsewhere now.
    pub carrier_changes: u32,
    /// Whether it broadcasts Ethernet frames, as DHCP wants (`ARPHRD_ETHER`, `IFF_BROADCAST`).
    pub ethernet: bool,
}

/// What changed about an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceChange {
    /// It is as described: new, or changed in some way.
    Is(Interface),
    /// It is gone.
    Gone {
        /// The number that it had.
        index: u32,
    },
    /// An IPv4 address was taken off an interface, by whomever.
    AddressRemoved {
        /// The interface.
        index: u32,
        /// The address.
        address: Ipv4Addr,
    },
    /// An IPv4 route through an interface was taken away, by whomever.
    RouteRemoved {
        /// The interface.
        index: u32,
    },
    /// The machine was suspended and is awake again: it may be somewhere else.
    Resumed,
    /// Notices were lost (netlink overrun): look at every interface anew.
    Overrun,
}

/// An address to be put on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressConfig {
    /// The address.
    pub address: Ipv4Addr,
    /// Length of its prefix in bits, 0 to 32.
    pub prefix: u8,
    /// The broadcast address.
    pub broadcast: Option<Ipv4Addr>,
    /// For how many seconds it may be used; `None` for ever.
    pub valid_s: Option<u32>,
}

/// A route to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteConfig {
    /// The destination network.
    pub destination: Ipv4Addr,
    /// Length of its prefix in bits; 0 is the default route.
    pub prefix: u8,
    /// The router; `None` for a destination on the link.
    pub gateway: Option<Ipv4Addr>,
    /// The source address to prefer.
    pub source: Option<Ipv4Addr>,
    /// Smaller wins.
    pub metric: u32,
}

/// An address of this host that packets to some destination come from (RFC 6724 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The address.
    pub address: IpAddr,
    /// Length of its prefix in bits; 0 where that is not known.
    pub prefix: u8,
    /// Its preferred lifetime is over (RFC 4862 §5.5.4).
    pub deprecated: bool,
}

/// How the machine's clock is to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjust {
    /// Set it, at once, so that it differs by this many nanoseconds from before.
    Step {
        /// What is to be added to the clock, in nanoseconds.
        offset_ns: i64,
    },
    /// Bring it there gradually; the clock stays monotonic.
    Slew {
        /// What is to be added to the clock, in nanoseconds.
        offset_ns: i64,
    },
}

/// What becomes of the last second of a UTC day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeapSecond {
    /// It ends the day as every other does.
    #[default]
    None,
    /// It is followed by another, 23:59:60.
    Insert,
    /// It is left out.
    Delete,
}

/// Why the machine is to be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reboot {
    /// Because the program asks for it.
    Requested,
    /// Because an update wants it.
    Update,
}

/// An operating system, a stack, or a simulation of either.
pub trait Platform: Rng + Sized {
    /// What waits for descriptors.
    type Poller: Poll<Handle = Self::Handle, Error = Self::Error>;
    /// A socket or other descriptor.
    type Handle: Copy + PartialEq + Debug;
    /// The platform's own error: the operation and its number.
    type Error: PlatformError;

    /// Reads the monotonic clock. It counts suspend, or the port says in its documentation that it
    /// does not.
    fn now(&mut self) -> Instant;

    /// Reads the wall clock, however wrong it is.
    fn utc(&mut self) -> Utc;

    /// The poller that belongs to this platform.
    fn poller(&mut self) -> &mut Self::Poller;

    /// Waits until something is ready, a wake arrives, or `deadline` has passed; `None` waits without
    /// limit. Returning early is allowed, returning late is not desired. A signal ends the wait
    /// without an error.
    fn wait(&mut self, deadline: Option<Instant>) -> Result<(), Self::Error> {
        let timeout = deadline.map(|at| at.since(self.now()));
        self.poller().wait(timeout)
    }

    /// Opens a UDP socket that never blocks.
    fn udp_open(&mut self, options: &UdpOptions) -> Result<Self::Handle, Self::Error>;

    /// Sends a datagram, whole or not at all.
    fn udp_send(
        &mut self,
        handle: Self::Handle,
        to: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), Self::Error>;

    /// Takes a datagram if one has arrived. An error that a peer caused (a refusal) is reported once
    /// and the socket goes on.
    fn udp_receive(
        &mut self,
        handle: Self::Handle,
        buffer: &mut [u8],
    ) -> Result<Option<Received>, Self::Error>;

    /// The local address of a UDP socket, as far as it is known; for programs that show what goes over
    /// the wire. Without it they show the port as 0.
    fn udp_local(&mut self, handle: Self::Handle) -> Result<SocketAddr, Self::Error> {
        let _ = handle;
        Err(Self::Error::unsupported())
    }

    /// Begins to connect a byte stream that never blocks; it is writable when it stands or has failed.
    /// Without it a DNS answer that does not fit into a datagram cannot be had.
    fn tcp_connect(
        &mut self,
        to: SocketAddr,
        interface: Option<u32>,
    ) -> Result<Self::Handle, Self::Error> {
        let _ = (to, interface);
        Err(Self::Error::unsupported())
    }

    /// Sends what there is room for and returns how much that was; the failure to connect is reported
    /// here as well.
    fn tcp_send(&mut self, handle: Self::Handle, bytes: &[u8]) -> Result<usize, Self::Error> {
        let _ = (handle, bytes);
        Err(Self::Error::unsupported())
    }

    /// Takes bytes if some have arrived: `None` if not, `Some(0)` when the peer has closed.
    fn tcp_receive(
        &mut self,
        handle: Self::Handle,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, Self::Error> {
        let _ = (handle, buffer);
        Err(Self::Error::unsupported())
    }

    /// The address that packets to `destination` would come from now; `None` if there is no way to it.
    /// Nothing is sent. It may be up to a second old (RFC 6724 §8). Without it addresses are left in
    /// the order in which DNS gave them.
    fn source(&mut self, destination: IpAddr) -> Result<Option<Source>, Self::Error> {
        let _ = destination;
        Err(Self::Error::unsupported())
    }

    /// Closes a socket of any kind. The loop has taken it out of the poller before.
    fn close(&mut self, handle: Self::Handle);

    /// Opens a socket for frames of one interface. Without it there is no DHCP before an address.
    fn link_open(
        &mut self,
        interface: u32,
        filter: LinkFilter,
    ) -> Result<Self::Handle, Self::Error> {
        let _ = (interface, filter);
        Err(Self::Error::unsupported())
    }

    /// Sends a frame; the platform writes the link header.
    fn link_send(
        &mut self,
        handle: Self::Handle,
        to: Mac,
        ethertype: u16,
        payload: &[u8],
    ) -> Result<(), Self::Error> {
        let _ = (handle, to, ethertype, payload);
        Err(Self::Error::unsupported())
    }

    /// Takes a frame if one has arrived; those that this host sent are left out.
    fn link_receive(
        &mut self,
        handle: Self::Handle,
        buffer: &mut [u8],
    ) -> Result<Option<ReceivedFrame>, Self::Error> {
        let _ = (handle, buffer);
        Err(Self::Error::unsupported())
    }

    /// Looks an interface up by its name.
    fn interface(&mut self, name: &str) -> Result<Interface, Self::Error> {
        let _ = name;
        Err(Self::Error::unsupported())
    }

    /// Opens a source of [`InterfaceChange`]s; when its handle is readable, take changes until there
    /// is none, since several may have come in one piece. The first are the links that are there. Without it links are taken to be up for good.
    fn watch_open(&mut self) -> Result<Self::Handle, Self::Error> {
        Err(Self::Error::unsupported())
    }

    /// Takes a change if there was one.
    fn watch_receive(
        &mut self,
        handle: Self::Handle,
    ) -> Result<Option<InterfaceChange>, Self::Error> {
        let _ = handle;
        Err(Self::Error::unsupported())
    }

    /// Sets an interface up (`IFF_UP`); nothing happens if it is.
    fn interface_up(&mut self, interface: u32) -> Result<(), Self::Error> {
        let _ = interface;
        Err(Self::Error::unsupported())
    }

    /// Sets an interface down, with everything that the platform drops then. Without it, an interface
    /// that the system has set up stays so when it stops.
    fn interface_down(&mut self, interface: u32) -> Result<(), Self::Error> {
        let _ = interface;
        Err(Self::Error::unsupported())
    }

    /// Sets the MTU of an interface.
    fn mtu_set(&mut self, interface: u32, mtu: u32) -> Result<(), Self::Error> {
        let _ = (interface, mtu);
        Err(Self::Error::unsupported())
    }

    /// Puts an address on an interface, or renews the lifetime of one that is there and has one. An
    /// address that is there for good is somebody else's: it is left alone, and the error is
    /// [`ErrorKind::Exists`].
    fn address_add(&mut self, interface: u32, config: &AddressConfig) -> Result<(), Self::Error> {
        let _ = (interface, config);
        Err(Self::Error::unsupported())
    }

    /// Takes an address off.
    fn address_remove(
        &mut self,
        interface: u32,
        config: &AddressConfig,
    ) -> Result<(), Self::Error> {
        let _ = (interface, config);
        Err(Self::Error::unsupported())
    }

    /// Adds a route, beside any others to the same destination. If the very same is there, the error
    /// is [`ErrorKind::Exists`].
    fn route_add(&mut self, interface: u32, config: &RouteConfig) -> Result<(), Self::Error> {
        let _ = (interface, config);
        Err(Self::Error::unsupported())
    }

    /// Takes a route away.
    fn route_remove(&mut self, interface: u32, config: &RouteConfig) -> Result<(), Self::Error> {
        let _ = (interface, config);
        Err(Self::Error::unsupported())
    }

    /// Changes the machine's clock. Refused unless whoever made the platform allowed it; UTC is known
    /// to the system all the same.
    fn set_clock(&mut self, adjust: Adjust) -> Result<(), Self::Error> {
        let _ = adjust;
        Err(Self::Error::unsupported())
    }

    /// Changes how fast the machine's clock runs, by `ppb` nanoseconds a second more than now; beyond
    /// what the machine can do, by as much as it can. Without it the clock is only stepped and slewed.
    fn clock_rate(&mut self, ppb: i64) -> Result<(), Self::Error> {
        let _ = ppb;
        Err(Self::Error::unsupported())
    }

    /// Says what the machine's clock is to do at the end of this UTC day. Without it the clock is a
    /// second off afterwards, until it is set.
    fn clock_leap(&mut self, leap: LeapSecond) -> Result<(), Self::Error> {
        let _ = leap;
        Err(Self::Error::unsupported())
    }

    /// Says that the machine's clock is right to within `error`, or with `None` that it may be wrong by
    /// anything. A system may tell programs so, and keep its battery clock by it, until some hours have
    /// passed without another word.
    fn clock_synchronised(&mut self, error: Option<Duration>) -> Result<(), Self::Error> {
        let _ = error;
        Err(Self::Error::unsupported())
    }

    /// Restarts the machine; returns only if it does not.
    fn reboot(&mut self, why: Reboot) -> Result<core::convert::Infallible, Self::Error> {
        let _ = why;
        Err(Self::Error::unsupported())
    }

    /// How long the machine takes from a hardware wake-up to running this program.
    fn wake_latency(&mut self) -> Duration {
        Duration::ZERO
    }
}

/// A lock that the platform gives to the attach queue.
///
/// # Safety
///
/// `with` runs `f` exactly once, on the calling thread, before it returns. While it runs, no other
/// `with` on the same lock runs, in any context that can reach it: threads, and interrupts or signal
/// handlers where the implementation says that they may call it. What `f` wrote is visible to the next
/// `with` (acquire and release). If `f` unwinds, the lock is free afterwards. The queue never nests
/// `with`, and never runs anybody's callback, wake or destructor inside it.
pub unsafe trait RawLock {
    /// Runs `f` alone.
    fn with<R>(&self, f: impl FnOnce() -> R) -> R;
}

/// What ends the wait of a loop from another thread.
///
/// It is made unarmed, perhaps in a static, and armed when the loop is made.
pub trait Wake {
    /// Ends the wait that is going on, or the next one. Called outside the lock, from any context
    /// that may post, a signal handler too if the program raises flags from there (then it makes only
    /// async-signal-safe calls and leaves `errno` as it was); does nothing while unarmed. It may come
    /// after the loop has ended.
    fn wake(&self);

    /// Forgets past wakes; called by the loop when it is awake.
    fn clear(&self);
}

/// What the threads of a platform share: which lock guards a queue, and what wakes its loop. The
/// counterpart of `lws_system_ops_t.attach`.
pub trait SystemOps: Sized {
    /// Guards the lists of a queue.
    type Lock: RawLock;
    /// Ends the loop's wait.
    type Wake: Wake;

    /// Takes the platform's lock and calls core's helper, which takes none. As in libwebsockets the
    /// locking is the platform's and the pointer work is the core's. A port that overrides this must
    /// make the call under the very lock that it is handed.
    fn attach<R>(lock: &Self::Lock, helper: Unlocked<'_, R>) -> Linked<R> {
        // SAFETY: the lock that belongs to the queue is held around the call.
        lock.with(|| unsafe { helper.run() })
    }
}

/// A platform that can arm the wake of these operations.
pub trait Arm<O: SystemOps>: Platform {
    /// Connects `wake` with this platform's poller; returns a handle that becomes readable when a
    /// wake arrives. Fails with [`ErrorKind::Exists`] if it is armed already: a queue serves one loop.
    ///
    /// What the wake writes to stays open as long as the wake itself: a poster that was about to wake
    /// the loop when it ended must not write into a descriptor that has become somebody else's.
    fn arm(&mut self, wake: &O::Wake) -> Result<Self::Handle, Self::Error>;
}

#[cfg(test)]
mod tests;
