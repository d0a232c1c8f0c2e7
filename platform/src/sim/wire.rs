//! Wires: frames in flight between the device and its peers, with faults.

use core::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::rc::Rc;

use bringup_core::client::{Checksum, Mac, Rng};
use bringup_core::time::{Duration, Instant};

use super::clock::SeededRng;

/// An Ethernet frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireFrame {
    /// The receiver.
    pub dst: Mac,
    /// The sender.
    pub src: Mac,
    /// What the payload is.
    pub ethertype: u16,
    /// What follows the link header.
    pub payload: Vec<u8>,
    /// [`Checksum::NotReady`] for a frame whose sender left the transport checksum undone, as a
    /// local socket on veth does.
    pub checksum: Checksum,
}

impl WireFrame {
    fn is_for(&self, station: Mac) -> bool {
        // The lowest bit of the first octet: a group, of which broadcast is one.
        self.dst == station || self.dst.0.first().is_some_and(|first| first & 1 == 1)
    }
}

/// Where a peer puts the frames that it sends.
#[derive(Debug, Default)]
pub struct Outbox(Vec<WireFrame>);

impl Outbox {
    /// Sends a frame.
    pub fn send(&mut self, frame: WireFrame) {
        self.0.push(frame);
    }
}

/// A station on a wire besides the device.
pub trait Peer {
    /// Its link address.
    fn mac(&self) -> Mac;

    /// Whether it would answer ARP for this address: its own, or any for which it is the router.
    fn owns(&self, address: Ipv4Addr) -> bool;

    /// Takes a frame that is for it or for a group.
    fn receive(&mut self, now: Instant, frame: &WireFrame, out: &mut Outbox);

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Acts on a deadline that has passed. After it, `poll_timeout` is later than `now`.
    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        let _ = (now, out);
    }
}

/// A peer that the test keeps a hold of.
impl<T: Peer> Peer for Rc<RefCell<T>> {
    fn mac(&self) -> Mac {
        self.borrow().mac()
    }
    fn owns(&self, address: Ipv4Addr) -> bool {
        self.borrow().owns(address)
    }
    fn receive(&mut self, now: Instant, frame: &WireFrame, out: &mut Outbox) {
        self.borrow_mut().receive(now, frame, out);
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.borrow().poll_timeout()
    }
    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        self.borrow_mut().handle_timeout(now, out);
    }
}

/// What a wire does to the frames of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Frames lost, in thousandths.
    pub loss_permille: u16,
    /// Frames that arrive twice, in thousandths.
    pub duplicate_permille: u16,
    /// Frames of which one bit of the payload is flipped, in thousandths.
    pub corrupt_permille: u16,
    /// How long each takes.
    pub delay: Duration,
    /// How much longer some take, at most; frames overtake each other where it is large.
    pub jitter: Duration,
}

impl Default for Faults {
    /// A good wire: 100 µs, nothing lost.
    fn default() -> Self {
        Self {
            loss_permille: 0,
            duplicate_permille: 0,
            corrupt_permille: 0,
            delay: Duration::from_micros(100),
            jitter: Duration::ZERO,
        }
    }
}

/// Which way a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The device sent it; what the wire did to it shows on the other side.
    Sent,
    /// It reached the device.
    Received,
}

/// An entry of the log: a frame at the device's end of a wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// On which interface.
    pub interface: u32,
    /// Which way.
    pub direction: Direction,
    /// The frame.
    pub frame: WireFrame,
}

/// What happened to frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that the device sent.
    pub sent: u64,
    /// Frames that reached the device.
    pub received: u64,
    /// Frames that the faults took, both ways.
    pub lost: u64,
    /// Copies that the faults made, both ways.
    pub duplicated: u64,
    /// Frames that the faults damaged, both ways.
    pub corrupted: u64,
    /// Frames that found no carrier, or a device that slept.
    pub no_carrier: u64,
    /// Datagrams to an address that nobody on the wire has.
    pub unresolved: u64,
    /// Frames for which there was no room, in the air or in a socket.
    pub overflow: u64,
}

/// How many frames may be in the air.
const MAX_IN_FLIGHT: usize = 4_096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Station {
    Device,
    Peer(usize),
}

#[derive(Debug)]
struct Flight {
    interface: u32,
    to: Station,
    frame: WireFrame,
}

/// The state of the device's end of a wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire {
    pub(super) mac: Mac,
    pub(super) carrier: bool,
    pub(super) to_device: Faults,
    pub(super) from_device: Faults,
}

/// All wires, all peers, and what is in the air.
pub(super) struct Network {
    rng: SeededRng,
    pub(super) wires: BTreeMap<u32, Wire>,
    peers: Vec<(u32, Box<dyn Peer>)>,
    /// By arrival, then by departure.
    flights: BTreeMap<(Instant, u64), Flight>,
    departures: u64,
    pub(super) counters: Counters,
    pub(super) log: VecDeque<Seen>,
    pub(super) log_limit: usize,
    /// The device is suspended: what arrives is lost.
    pub(super) asleep: bool,
}

impl Network {
    pub(super) fn new(seed: u64, log_limit: usize) -> Self {
        Self {
            rng: SeededRng(seed),
            wires: BTreeMap::new(),
            peers: Vec::new(),
            flights: BTreeMap::new(),
            departures: 0,
            counters: Counters::default(),
            log: VecDeque::new(),
            log_limit,
            asleep: false,
        }
    }

    pub(super) fn add_peer(&mut self, interface: u32, peer: Box<dyn Peer>) {
        self.peers.push((interface, peer));
    }

    /// The station that answers for an address on a wire.
    pub(super) fn resolve(&self, interface: u32, address: Ipv4Addr) -> Option<Mac> {
        let mut there = self.peers.iter().filter(|(at, _)| *at == interface);
        there.find(|(_, peer)| peer.owns(address)).map(|(_, peer)| peer.mac())
    }

    fn note(&mut self, at: Instant, interface: u32, direction: Direction, frame: &WireFrame) {
        if self.log_limit == 0 {
            return;
        }
        if self.log.len() >= self.log_limit {
            self.log.pop_front();
        }
        self.log.push_back(Seen { at, interface, direction, frame: frame.clone() });
    }

    /// The device sends.
    pub(super) fn transmit(&mut self, now: Instant, interface: u32, frame: WireFrame) {
        let Some(wire) = self.wires.get(&interface).copied() else { return };
        self.counters.sent += 1;
        self.note(now, interface, Direction::Sent, &frame);
        if !wire.carrier {
            self.counters.no_carrier += 1;
            return;
        }
        let mut receivers = Vec::new();
        for (index, (at, peer)) in self.peers.iter().enumerate() {
            if *at == interface && frame.is_for(peer.mac()) {
                receivers.push(Station::Peer(index));
            }
        }
        for to in receivers {
            self.launch(now, interface, to, frame.clone(), &wire.from_device);
        }
    }

    /// The device sends to itself: nothing happens to such a frame.
    pub(super) fn loop_back(&mut self, now: Instant, interface: u32, frame: WireFrame) {
        self.fly(now, Flight { interface, to: Station::Device, frame });
    }

    /// Peers send, to the device and to each other.
    fn transmit_all(&mut self, now: Instant, interface: u32, from: usize, out: Outbox) {
        let Some(wire) = self.wires.get(&interface).copied() else { return };
        for frame in out.0 {
            if frame.is_for(wire.mac) {
                self.launch(now, interface, Station::Device, frame.clone(), &wire.to_device);
            }
            let mut receivers = Vec::new();
            for (index, (at, peer)) in self.peers.iter().enumerate() {
                if index != from && *at == interface && frame.is_for(peer.mac()) {
                    receivers.push(Station::Peer(index));
                }
            }
            for to in receivers {
                self.launch(now, interface, to, frame.clone(), &Faults::default());
            }
        }
    }

    fn happens(&mut self, permille: u16) -> bool {
        permille > 0 && self.rng.below(1_000) < u64::from(permille)
    }

    fn launch(
        &mut self,
        now: Instant,
        interface: u32,
        to: Station,
        mut frame: WireFrame,
        faults: &Faults,
    ) {
        if self.happens(faults.loss_permille) {
            self.counters.lost += 1;
            return;
        }
        if self.happens(faults.corrupt_permille) {
            let bits = u64::try_from(frame.payload.len()).unwrap_or(0) * 8;
            let bit = self.rng.below(bits);
            let byte = usize::try_from(bit / 8).unwrap_or(0);
            if let Some(byte) = frame.payload.get_mut(byte) {
                *byte ^= 1 << (bit % 8);
                self.counters.corrupted += 1;
            }
        }
        if self.happens(faults.duplicate_permille) {
            self.counters.duplicated += 1;
            let at = now + self.transit(faults);
            self.fly(at, Flight { interface, to, frame: frame.clone() });
        }
        let at = now + self.transit(faults);
        self.fly(at, Flight { interface, to, frame });
    }

    fn transit(&mut self, faults: &Faults) -> Duration {
        let extra = self.rng.below(faults.jitter.as_micros().saturating_add(1));
        faults.delay + Duration::from_micros(extra)
    }

    fn fly(&mut self, at: Instant, flight: Flight) {
        if self.flights.len() >= MAX_IN_FLIGHT {
            self.counters.overflow += 1;
            return;
        }
        self.departures += 1;
        self.flights.insert((at, self.departures), flight);
    }

    /// When something happens next.
    pub(super) fn next(&self) -> Option<Instant> {
        let arrival = self.flights.keys().next().map(|(at, _)| *at);
        let timeout = self.peers.iter().filter_map(|(_, peer)| peer.poll_timeout()).min();
        [arrival, timeout].into_iter().flatten().min()
    }

    /// Lets one thing happen that is due. `Some(Some(…))` if a frame reached the device, `None` when
    /// nothing is due.
    pub(super) fn step(&mut self, now: Instant) -> Option<Option<(u32, WireFrame)>> {
        if let Some(arrival) = self.flights.first_entry().filter(|first| first.key().0 <= now) {
            let flight = arrival.remove();
            return Some(self.land(now, flight));
        }
        let due =
            |(_, peer): &(u32, Box<dyn Peer>)| peer.poll_timeout().is_some_and(|at| at <= now);
        let index = self.peers.iter().position(due)?;
        let mut out = Outbox::default();
        let (interface, peer) = self.peers.get_mut(index)?;
        let interface = *interface;
        peer.handle_timeout(now, &mut out);
        self.transmit_all(now, interface, index, out);
        Some(None)
    }

    fn land(&mut self, now: Instant, flight: Flight) -> Option<(u32, WireFrame)> {
        let Flight { interface, to, frame } = flight;
        let local = interface == LOOPBACK;
        let carrier = self.wires.get(&interface).is_some_and(|wire| wire.carrier);
        match to {
            Station::Device if local => Some((interface, frame)),
            _ if !carrier => {
                self.counters.no_carrier += 1;
                None
            }
            Station::Device if self.asleep => {
                self.counters.no_carrier += 1;
                None
            }
            Station::Device => {
                self.counters.received += 1;
                self.note(now, interface, Direction::Received, &frame);
                Some((interface, frame))
            }
            Station::Peer(index) => {
                let mut out = Outbox::default();
                if let Some((_, peer)) = self.peers.get_mut(index) {
                    peer.receive(now, &frame, &mut out);
                }
                self.transmit_all(now, interface, index, out);
                None
            }
        }
    }
}

/// The interface on which the device hears itself.
pub(super) const LOOPBACK: u32 = 0;

impl core::fmt::Debug for Network {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Network")
            .field("wires", &self.wires)
            .field("in_flight", &self.flights.len())
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
