//! [`Board`]: bringup's platform on this machine, and what interrupts share with the loop.
//!
//! **What it does not have**: TCP (a DNS answer that does not fit into a datagram cannot be had), a watch on
//! the link (taken to be up for good), routes without a router, a clock that goes on while the machine is
//! stopped, and a restart. Its wall clock is a counter that begins in 1970; it may be set.
//!
//! **Randomness.** The LM3S6965 has no source of it. What there is goes into a generator: the link address, and
//! the cycles at which frames and sleeps ended. A product adds a key from the factory and a count of its starts
//! (`platform/PORTING.md`, 4).

use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};

use bringup_core::client::{Checksum, LinkFilter, Mac, Rng};
use bringup_core::error::ErrorKind;
use bringup_core::platform::{
    AddressConfig, Adjust, Arm, Interface, Platform, Received, ReceivedFrame, RouteConfig,
    SystemOps, UdpOptions, Wake,
};
use bringup_core::time::{Instant, Utc};
use bringup_platform::lock::CriticalSection;

use crate::machine;
use crate::stack::{Handle, INTERFACE, Stack, StackStorage};

/// The name of the one interface.
pub(crate) const NAME: &str = "eth0";

/// A lock that keeps interrupts out, and a wake that one of them may call.
pub(crate) struct BoardOps;

impl SystemOps for BoardOps {
    type Lock = CriticalSection;
    type Wake = BoardWake;
}

pub(crate) const fn lock() -> CriticalSection {
    // SAFETY: one core; with interrupts off nothing else runs. The two are barriers to the compiler.
    unsafe { CriticalSection::new(machine::interrupts_off, machine::interrupts_back) }
}

/// Ends the sleep of the machine, of which there is one, as there is one loop.
pub(crate) struct BoardWake(AtomicBool);

impl BoardWake {
    pub(crate) const fn new() -> Self {
        Self(AtomicBool::new(false))
    }
}

impl Wake for BoardWake {
    fn wake(&self) {
        if self.0.load(Ordering::Acquire) {
            machine::wake();
        }
    }

    fn clear(&self) {
        machine::clear_wake();
    }
}

/// The platform.
pub(crate) struct Board {
    stack: Stack,
    random: Random,
    /// What is added to the time since the start to have UTC, nanoseconds.
    utc_ns: i64,
}

impl Board {
    pub(crate) fn new(storage: &'static mut StackStorage) -> Self {
        let mut random = Random::new();
        let seed = random.next();
        Self { stack: Stack::new(storage, seed), random, utc_ns: 0 }
    }
}

/// SipHash's round over a state that is stirred by the machine's cycles at every draw. It is no better than what it
/// is fed with: see the preface.
struct Random([u64; 4]);

impl Random {
    fn new() -> Self {
        let [a, b, c, d, e, f] = machine::link_address();
        let address = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
        // SipHash's constants, so that no state is zero.
        let mut random = Self([
            address ^ 0x736f_6d65_7073_6575,
            0x646f_7261_6e64_6f6d,
            0x6c79_6765_6e65_7261,
            0x7465_6462_7974_6573,
        ]);
        random.next();
        random
    }

    fn round(&mut self) {
        let [a, b, c, d] = &mut self.0;
        *a = a.wrapping_add(*b);
        *b = b.rotate_left(13) ^ *a;
        *a = a.rotate_left(32);
        *c = c.wrapping_add(*d);
        *d = d.rotate_left(16) ^ *c;
        *a = a.wrapping_add(*d);
        *d = d.rotate_left(21) ^ *a;
        *c = c.wrapping_add(*b);
        *b = b.rotate_left(17) ^ *c;
        *c = c.rotate_left(32);
    }

    fn next(&mut self) -> u64 {
        let stir = u64::from(machine::cycles());
        self.0[3] ^= stir;
        self.round();
        self.0[0] ^= stir;
        self.0[2] ^= 0xFF;
        for _ in 0..3 {
            self.round();
        }
        self.0.iter().fold(0, |sum, part| sum ^ part)
    }
}

impl Rng for Board {
    fn fill(&mut self, buffer: &mut [u8]) {
        for eight in buffer.chunks_mut(8) {
            let drawn = self.random.next().to_le_bytes();
            eight.iter_mut().zip(drawn).for_each(|(place, octet)| *place = octet);
        }
    }
}

impl Platform for Board {
    type Poller = Stack;
    type Handle = Handle;
    type Error = ErrorKind;

    /// It does not count the time that the machine is stopped.
    fn now(&mut self) -> Instant {
        machine::now()
    }

    fn utc(&mut self) -> Utc {
        let ns =
            i64::try_from(machine::now().as_micros()).unwrap_or(i64::MAX).saturating_mul(1_000);
        Utc::from_unix_nanos(ns.saturating_add(self.utc_ns))
    }

    fn poller(&mut self) -> &mut Stack {
        &mut self.stack
    }

    fn udp_open(&mut self, options: &UdpOptions) -> Result<Handle, ErrorKind> {
        let Self { stack, random, .. } = self;
        stack.udp_open(options, || {
            let [a, b, ..] = random.next().to_le_bytes();
            u16::from_le_bytes([a, b])
        })
    }

    fn udp_send(&mut self, handle: Handle, to: SocketAddr, bytes: &[u8]) -> Result<(), ErrorKind> {
        self.stack.udp_send(handle, to, bytes)
    }

    fn udp_receive(
        &mut self,
        handle: Handle,
        buffer: &mut [u8],
    ) -> Result<Option<Received>, ErrorKind> {
        self.stack.udp_receive(handle, buffer)
    }

    fn udp_local(&mut self, handle: Handle) -> Result<SocketAddr, ErrorKind> {
        Ok(SocketAddr::from(([0, 0, 0, 0], self.stack.port(handle)?)))
    }

    fn close(&mut self, handle: Handle) {
        self.stack.close(handle);
    }

    fn link_open(&mut self, interface: u32, filter: LinkFilter) -> Result<Handle, ErrorKind> {
        if interface != INTERFACE {
            return Err(ErrorKind::NotFound);
        }
        self.stack.link_open(filter)
    }

    fn link_send(
        &mut self,
        handle: Handle,
        to: Mac,
        ethertype: u16,
        payload: &[u8],
    ) -> Result<(), ErrorKind> {
        match handle {
            Handle::Link(link) if self.stack.ethernet.is_open(link) => {}
            _ => return Err(ErrorKind::Invalid),
        }
        let sent = self.stack.ethernet.send(to, ethertype, payload);
        if sent { Ok(()) } else { Err(ErrorKind::TooLong) }
    }

    fn link_receive(
        &mut self,
        handle: Handle,
        buffer: &mut [u8],
    ) -> Result<Option<ReceivedFrame>, ErrorKind> {
        let Handle::Link(link) = handle else { return Err(ErrorKind::Invalid) };
        let received =
            self.stack.ethernet.receive_on(link).map(|(from, ethertype, payload, at)| {
                let length = payload.len().min(buffer.len());
                buffer.iter_mut().zip(payload).for_each(|(place, octet)| *place = *octet);
                ReceivedFrame { length, from, ethertype, checksum: Checksum::Complete, at }
            });
        Ok(received)
    }

    fn interface(&mut self, name: &str) -> Result<Interface, ErrorKind> {
        if name != NAME {
            return Err(ErrorKind::NotFound);
        }
        Ok(Interface {
            index: INTERFACE,
            mac: self.stack.ethernet.address,
            mtu: u32::try_from(self.stack.mtu).unwrap_or(u32::MAX),
            up: true,
            carrier: true,
            carrier_changes: 0,
            ethernet: true,
        })
    }

    fn interface_up(&mut self, interface: u32) -> Result<(), ErrorKind> {
        if interface == INTERFACE { Ok(()) } else { Err(ErrorKind::NotFound) }
    }

    fn mtu_set(&mut self, interface: u32, mtu: u32) -> Result<(), ErrorKind> {
        let mtu = usize::try_from(mtu).unwrap_or(usize::MAX);
        match interface {
            INTERFACE if (68..=crate::ethernet::MTU).contains(&mtu) => {
                self.stack.mtu = mtu;
                Ok(())
            }
            INTERFACE => Err(ErrorKind::Invalid),
            _ => Err(ErrorKind::NotFound),
        }
    }

    fn address_add(&mut self, _: u32, config: &AddressConfig) -> Result<(), ErrorKind> {
        self.stack.address_add(config)
    }

    fn address_remove(&mut self, _: u32, config: &AddressConfig) -> Result<(), ErrorKind> {
        self.stack.address_remove(config.address)
    }

    fn route_add(&mut self, _: u32, config: &RouteConfig) -> Result<(), ErrorKind> {
        self.stack.route_add(config)
    }

    fn route_remove(&mut self, _: u32, config: &RouteConfig) -> Result<(), ErrorKind> {
        self.stack.route_remove(config)
    }

    /// At once, however it is asked for: nothing but this program reads it.
    fn set_clock(&mut self, adjust: Adjust) -> Result<(), ErrorKind> {
        let (Adjust::Step { offset_ns } | Adjust::Slew { offset_ns }) = adjust;
        self.utc_ns = self.utc_ns.saturating_add(offset_ns);
        Ok(())
    }
}

impl Arm<BoardOps> for Board {
    fn arm(&mut self, wake: &BoardWake) -> Result<Handle, ErrorKind> {
        if wake.0.swap(true, Ordering::AcqRel) {
            return Err(ErrorKind::Exists);
        }
        machine::clear_wake();
        Ok(Handle::Wake)
    }
}
