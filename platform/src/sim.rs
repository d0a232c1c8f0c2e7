//! A simulated machine on simulated wires, in virtual time. The same contract as Linux keeps, without
//! threads and without a real clock: a day passes in milliseconds, and equal seeds give equal runs.
//!
//! [`Sim`] is the platform. Its [`Peer`]s are the other stations on its wires: servers, routers,
//! troublemakers. [`wire`] carries frames with [`Faults`], [`packet`] makes and reads IPv4 and UDP,
//! `platform` is what the device's program may do, `refusal` what it is refused, `host` its addresses
//! and routes, `socket` its sockets, `clock` its wall clock, `poll` its poller and wake.
//!
//! **Time** moves in `Platform::wait` alone: to the next frame, deadline of a peer or end of an
//! address, or to the loop's own deadline. When nothing is left to happen and the loop has no
//! deadline, the wait returns at once and [`Sim::is_idle`] says so.
//!
//! **What it does not have.** IPv6, TCP, fragments and ARP: the link address of a next hop is that of
//! the peer that [owns](Peer::owns) the address, and a datagram to nobody is lost, as it is on a real
//! wire when ARP has no answer.

mod clock;
mod host;
pub mod packet;
mod platform;
mod poll;
mod refusal;
mod socket;
pub mod wire;

use core::net::SocketAddrV4;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use bringup_core::client::{Checksum, Mac, Rng};
use bringup_core::error::ErrorKind;
use bringup_core::platform::{AddressConfig, Adjust, InterfaceChange, LeapSecond, RouteConfig};
use bringup_core::poll::Readiness;
use bringup_core::time::{Duration, Instant, Utc};

pub use self::clock::true_utc;
use self::clock::{START, SeededRng, Wall};
use self::host::{Host, Nic};
use self::packet::ETHERTYPE_IPV4;
pub use self::poll::{SimHandle, SimOps, SimPoll, SimWake};
pub use self::refusal::Operation;
use self::refusal::Refusals;
use self::socket::Sockets;
pub use self::wire::{Counters, Direction, Faults, Outbox, Peer, Seen, WireFrame};
use self::wire::{LOOPBACK, Network, Wire};

/// How much may happen in one wait, so that peers who talk without end do not hang it. It then
/// returns early.
const MAX_EVENTS: usize = 10_000;

/// How many random ports are tried.
const PORT_TRIES: u32 = 64;

/// How many frames the log holds unless told otherwise.
const LOG_LIMIT: usize = 1_024;

/// A simulated machine.
#[derive(Debug)]
pub struct Sim {
    now: Instant,
    wall: Wall,
    rng: SeededRng,
    poller: SimPoll,
    host: Host,
    sockets: Sockets,
    network: Network,
    wake: Option<Arc<AtomicBool>>,
    refusals: Refusals,
    clock_allowed: bool,
    reboot_allowed: bool,
    adjustments: Vec<Adjust>,
    leap: LeapSecond,
    synchronised: Option<Duration>,
    reboots: u32,
    idle: bool,
}

impl Sim {
    /// A machine without interfaces. The seed rules its random numbers and, apart from them, the
    /// faults of its wires.
    pub fn new(seed: u64) -> Self {
        Self {
            now: START,
            wall: Wall::new(),
            rng: SeededRng(seed),
            poller: SimPoll::default(),
            host: Host::default(),
            sockets: Sockets::default(),
            network: Network::new(!seed, LOG_LIMIT),
            wake: None,
            refusals: Refusals::default(),
            clock_allowed: false,
            reboot_allowed: false,
            adjustments: Vec::new(),
            leap: LeapSecond::None,
            synchronised: None,
            reboots: 0,
            idle: false,
        }
    }

    /// Adds an interface, which is down, with a wire whose cable is in. Returns its index, which none
    /// had before.
    pub fn add_interface(&mut self, name: &str, mac: Mac) -> u32 {
        self.host.nics_ever += 1;
        let index = LOOPBACK + self.host.nics_ever;
        self.host.nics.insert(index, Nic::new(name, mac));
        let faults = Faults::default();
        let wire = Wire { mac, carrier: false, to_device: faults, from_device: faults };
        self.network.wires.insert(index, wire);
        self.changed(index);
        index
    }

    /// Puts a station on an interface's wire.
    pub fn add_peer(&mut self, interface: u32, peer: impl Peer + 'static) {
        self.network.add_peer(interface, Box::new(peer));
    }

    /// Sets what happens to frames of a wire, in each direction.
    pub fn set_faults(&mut self, interface: u32, to_device: Faults, from_device: Faults) {
        if let Some(wire) = self.network.wires.get_mut(&interface) {
            (wire.to_device, wire.from_device) = (to_device, from_device);
        }
    }

    /// Puts the cable in, or pulls it.
    pub fn set_carrier(&mut self, interface: u32, carrier: bool) {
        if let Ok(nic) = self.host.nic(interface) {
            nic.cable = carrier;
            self.changed(interface);
        }
    }

    /// Pulls the cable out and puts it, or another, back in at once: nobody is told that it was gone.
    pub fn flap(&mut self, interface: u32) {
        if let Ok(nic) = self.host.nic(interface) {
            nic.carrier_changes = nic.carrier_changes.wrapping_add(2);
            self.changed(interface);
        }
    }

    /// Gives an interface another link address while it is up, as some drivers can.
    pub fn set_mac(&mut self, interface: u32, mac: Mac) {
        if let Ok(nic) = self.host.nic(interface) {
            nic.mac = mac;
            if let Some(wire) = self.network.wires.get_mut(&interface) {
                wire.mac = mac;
            }
            self.changed(interface);
        }
    }

    /// Sets an interface up or down, as an administrator would.
    pub fn set_up(&mut self, interface: u32, up: bool) {
        if let Ok(nic) = self.host.nic(interface) {
            nic.up = up;
            if !up {
                self.host.flush_routes(interface);
                self.sockets.cut(interface);
            }
            self.changed(interface);
        }
    }

    /// Takes an interface away, as pulling out a USB adapter does.
    pub fn remove_interface(&mut self, index: u32) {
        for address in self.host.remove(index) {
            self.sockets.tell(InterfaceChange::AddressRemoved { index, address });
        }
        self.network.wires.remove(&index);
        self.sockets.cut(index);
        self.sockets.tell(InterfaceChange::Gone { index });
    }

    /// Lets watchers miss the notices that they have not taken yet.
    pub fn overrun_watches(&mut self) {
        self.sockets.overrun();
    }

    /// Has the machine refuse something with this error from now on; `None` has it do it again.
    pub fn refuse(&mut self, what: Operation, why: Option<ErrorKind>) {
        self.refusals.set(what, why);
    }

    /// Sets the wall clock, as somebody else on the machine would.
    pub fn set_wall(&mut self, utc: Utc) {
        self.wall.set(self.now, utc);
    }

    /// Moves the wall clock.
    pub fn step_wall(&mut self, offset_ns: i64) {
        self.wall.step(self.now, offset_ns);
    }

    /// By how many parts in 10^9 the wall clock goes too fast.
    pub fn set_drift_ppb(&mut self, ppb: i64) {
        self.wall.set_drift(self.now, ppb);
    }

    /// Allows `set_clock`, which is refused otherwise.
    pub fn allow_clock(&mut self) {
        self.clock_allowed = true;
    }

    /// Allows `reboot`, which then counts and fails: there is nothing to restart.
    pub fn allow_reboot(&mut self) {
        self.reboot_allowed = true;
    }

    /// What the program did to the clock, in order.
    pub fn adjustments(&self) -> &[Adjust] {
        &self.adjustments
    }

    /// How right the program said last that the clock is; `None` if it may be wrong by anything.
    pub const fn synchronised(&self) -> Option<Duration> {
        self.synchronised
    }

    /// What the program said last of the end of the day. The simulated clock has no leap seconds.
    pub const fn leap(&self) -> LeapSecond {
        self.leap
    }

    /// How often the program restarted the machine.
    pub fn reboots(&self) -> u32 {
        self.reboots
    }

    /// The machine sleeps: time passes, the peers go on, what arrives is lost.
    pub fn suspend(&mut self, span: Duration) {
        let until = self.now + span;
        self.network.asleep = true;
        for _ in 0..MAX_EVENTS {
            let Some(at) = self.network.next().filter(|at| *at <= until) else { break };
            self.now = self.now.max(at);
            let _ = self.network.step(self.now);
        }
        self.network.asleep = false;
        self.now = until;
        self.sockets.tell(InterfaceChange::Resumed);
    }

    /// Whether the last wait found that nothing will ever happen: no frame under way, no deadline of
    /// a peer, of an address or of the loop.
    pub fn is_idle(&self) -> bool {
        self.idle
    }

    /// What happened to frames.
    pub fn counters(&self) -> Counters {
        self.network.counters
    }

    /// How many frames the device has sent.
    pub fn sent_frames(&self) -> u64 {
        self.network.counters.sent
    }

    /// The last frames at the device's end of its wires.
    pub fn log(&self) -> impl Iterator<Item = &Seen> {
        self.network.log.iter()
    }

    /// How many frames the log keeps; 0 for none.
    pub fn set_log_limit(&mut self, frames: usize) {
        self.network.log_limit = frames;
        let excess = self.network.log.len().saturating_sub(frames);
        self.network.log.drain(..excess);
    }

    /// The addresses on the device's interfaces.
    pub fn addresses(&self) -> impl Iterator<Item = (u32, &AddressConfig)> {
        self.host.addresses()
    }

    /// The routes that were added, without those to the prefixes of addresses.
    pub fn routes(&self) -> &[(u32, RouteConfig)] {
        self.host.routes()
    }

    /// How many sockets are open.
    pub fn open_sockets(&self) -> usize {
        self.sockets.len()
    }

    /// An interface is no longer what it was: the wire follows, watchers are told.
    fn changed(&mut self, index: u32) {
        let Some(nic) = self.host.nics.get_mut(&index) else { return };
        if let Some(wire) = self.network.wires.get_mut(&index) {
            let changed = core::mem::replace(&mut wire.carrier, nic.carrier()) != nic.carrier();
            nic.carrier_changes = nic.carrier_changes.wrapping_add(changed.into());
        }
        let interface = nic.describe(index);
        self.sockets.tell(InterfaceChange::Is(interface));
    }

    /// Lets happen what is due now. How much did.
    fn settle(&mut self) -> usize {
        while let Some((index, address)) = self.host.expire(self.now) {
            self.sockets.tell(InterfaceChange::AddressRemoved { index, address });
        }
        for happened in 0..MAX_EVENTS {
            match self.network.step(self.now) {
                None => return happened,
                Some(None) => {}
                Some(Some((interface, frame))) => self.arrive(interface, &frame),
            }
        }
        MAX_EVENTS
    }

    /// A frame reached the device.
    fn arrive(&mut self, interface: u32, frame: &WireFrame) {
        self.network.counters.overflow += self.sockets.offer_frame(self.now, interface, frame);
        if frame.ethertype != ETHERTYPE_IPV4 {
            return;
        }
        if let Some((src, dst)) = packet::parse_unreachable(&frame.payload) {
            if self.host.owns(*src.ip()) {
                self.sockets.refuse(src, dst);
            }
            return;
        }
        let Some(datagram) = packet::parse_udp(&frame.payload, socket::is_complete(frame)) else {
            return;
        };
        if !self.host.accepts(interface, *datagram.dst.ip()) {
            return;
        }
        let overflow = &mut self.network.counters.overflow;
        let taken = self.sockets.offer_datagram(self.now, interface, &datagram, overflow);
        if !taken && interface == LOOPBACK {
            self.sockets.refuse(datagram.src, datagram.dst);
        }
    }

    /// Takes down which sockets are ready.
    fn collect(&mut self) -> bool {
        let woken = self.wake.as_ref().is_some_and(|flag| flag.load(Ordering::Acquire));
        let sockets = &self.sockets;
        self.poller.collect(|handle| match handle {
            SimHandle::WAKE => Readiness { readable: woken, ..Readiness::default() },
            handle => sockets.readiness(handle),
        })
    }

    fn bind(&mut self, local: SocketAddrV4, only: Option<u32>) -> Result<SocketAddrV4, ErrorKind> {
        if local.port() != 0 {
            return if self.sockets.is_taken(local, only) {
                Err(ErrorKind::AddressInUse)
            } else {
                Ok(local)
            };
        }
        for _ in 0..PORT_TRIES {
            let port = u16::try_from(1_024 + self.rng.below(64_512)).unwrap_or(0);
            let local = SocketAddrV4::new(*local.ip(), port);
            if !self.sockets.is_taken(local, only) {
                return Ok(local);
            }
        }
        Err(ErrorKind::Exhausted)
    }

    fn send_packet(&mut self, way: host::Way, packet: Vec<u8>) {
        let frame = |src, dst| WireFrame {
            dst,
            src,
            ethertype: ETHERTYPE_IPV4,
            payload: packet,
            checksum: Checksum::Complete,
        };
        if way.interface == LOOPBACK {
            let frame = frame(Mac::default(), Mac::default());
            return self.network.loop_back(self.now, LOOPBACK, frame);
        }
        let Some(nic) = self.host.nics.get(&way.interface) else { return };
        let to = match way.next_hop {
            None => Some(Mac::BROADCAST),
            Some(hop) => self.network.resolve(way.interface, hop),
        };
        match to {
            Some(to) => {
                let frame = frame(nic.mac, to);
                self.network.transmit(self.now, way.interface, frame);
            }
            None => self.network.counters.unresolved += 1,
        }
    }
}

#[cfg(test)]
mod tests;
