//! The port to every system that has std: `polling` and socket2, nothing of any system's own. Made for
//! macOS, the BSDs and Windows; it runs on Linux as well, which has a better one.
//!
//! Loop, attach, DNS and NTP work. What is missing: frames, and with them DHCP; interfaces, since a socket
//! goes out where the system sends it; setting the clock and restarting. A `System` without interfaces takes
//! the network as it is.
//!
//! The clock is [`std::time::Instant`], which **does not count suspend** on most Unixes: after one, deadlines
//! are late by as much. Datagrams are stamped when they are read.

mod udp;
mod wake;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::SystemTime;

use bringup_core::client::Rng;
use bringup_core::platform::{Arm, Platform, Received, SystemOps, UdpOptions};
use bringup_core::time::{Duration, Instant, Utc};

use self::udp::{Scratch, Udp};
pub use self::wake::{PortableOps, SocketWake};
use crate::entropy::Entropy;
use crate::error::{Operation, OsError, number};
use crate::polling::{Polling, RawSource};
use crate::socket::tcp::Tcp;

/// What a handle stands for.
#[derive(Debug)]
enum Open {
    Udp(Udp),
    Tcp(Tcp),
}

/// Any system with std as a platform.
///
/// A handle is what the system calls a socket, so that the loop serves the application's own sockets too.
/// The platform's methods know only those that it opened itself.
#[derive(Debug)]
pub struct Portable {
    poller: Polling,
    entropy: Entropy,
    open: BTreeMap<RawSource, Open>,
    scratch: Scratch,
}

impl Portable {
    /// A platform that may use the network as it is.
    pub fn new() -> Result<Self, OsError> {
        let (poller, entropy) = (Polling::new()?, Entropy::new()?);
        Ok(Self { poller, entropy, open: BTreeMap::new(), scratch: Scratch::new() })
    }

    fn tcp(&self, handle: RawSource) -> Result<&Tcp, OsError> {
        match self.open.get(&handle) {
            Some(Open::Tcp(tcp)) => Ok(tcp),
            _ => Err(NOT_OPEN),
        }
    }

    fn udp(&self, handle: RawSource) -> Result<&Udp, OsError> {
        match self.open.get(&handle) {
            Some(Open::Udp(udp)) => Ok(udp),
            _ => Err(NOT_OPEN),
        }
    }
}

const NOT_OPEN: OsError = OsError::new(Operation::Handle, number::EBADF);

/// One start for all platforms of the program, whose times may be compared.
fn now() -> Instant {
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    Instant::ZERO + Duration::from(START.get_or_init(std::time::Instant::now).elapsed())
}

/// An interface that was asked for cannot be had: better no socket than one that goes out elsewhere.
fn no_interface(interface: Option<u32>, operation: Operation) -> Result<(), OsError> {
    interface.map_or(Ok(()), |_| Err(OsError::new(operation, number::ENOSYS)))
}

impl Rng for Portable {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.entropy.fill(buffer);
    }
}

impl Platform for Portable {
    type Poller = Polling;
    type Handle = RawSource;
    type Error = OsError;

    fn now(&mut self) -> Instant {
        now()
    }

    fn utc(&mut self) -> Utc {
        let nanos = |span: std::time::Duration| i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
        Utc::from_unix_nanos(match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => nanos(since),
            Err(before) => -nanos(before.duration()),
        })
    }

    fn poller(&mut self) -> &mut Polling {
        &mut self.poller
    }

    fn udp_open(&mut self, options: &UdpOptions) -> Result<RawSource, OsError> {
        no_interface(options.interface, Operation::UdpInterface)?;
        let udp = Udp::open(options, &mut self.entropy)?;
        let handle = udp.raw();
        self.open.insert(handle, Open::Udp(udp));
        Ok(handle)
    }

    fn udp_send(&mut self, handle: RawSource, to: SocketAddr, bytes: &[u8]) -> Result<(), OsError> {
        self.udp(handle)?.send(to, bytes)
    }

    fn udp_receive(
        &mut self,
        handle: RawSource,
        buffer: &mut [u8],
    ) -> Result<Option<Received>, OsError> {
        match self.open.get(&handle) {
            Some(Open::Udp(udp)) => udp.receive(&mut self.scratch, buffer),
            _ => Err(NOT_OPEN),
        }
    }

    fn udp_local(&mut self, handle: RawSource) -> Result<SocketAddr, OsError> {
        self.udp(handle)?.local()
    }

    fn tcp_connect(
        &mut self,
        to: SocketAddr,
        interface: Option<u32>,
    ) -> Result<RawSource, OsError> {
        no_interface(interface, Operation::TcpConnect)?;
        let tcp = Tcp::connect(to, |_| Ok(()))?;
        let handle = tcp.raw();
        self.open.insert(handle, Open::Tcp(tcp));
        Ok(handle)
    }

    fn tcp_send(&mut self, handle: RawSource, bytes: &[u8]) -> Result<usize, OsError> {
        self.tcp(handle)?.send(bytes)
    }

    fn tcp_receive(
        &mut self,
        handle: RawSource,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, OsError> {
        self.tcp(handle)?.receive(buffer)
    }

    fn close(&mut self, handle: RawSource) {
        self.open.remove(&handle);
    }
}

/// Any lock will do, if the wake is a socket.
impl<O: SystemOps<Wake = SocketWake>> Arm<O> for Portable {
    fn arm(&mut self, wake: &SocketWake) -> Result<RawSource, OsError> {
        wake.arm()
    }
}
