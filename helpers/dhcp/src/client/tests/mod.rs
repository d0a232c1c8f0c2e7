//! Scripts in virtual time. [`Rig`] drives one client and keeps what it sends; a test plays the
//! server.

extern crate std;

mod bugs;
mod conflicts;
#[cfg(feature = "extras")]
mod force;
mod inform;
#[cfg(not(feature = "extras"))]
mod left_out;
mod lifecycle;
#[cfg(feature = "extras")]
mod link_local;
#[cfg(feature = "extras")]
mod memory;
mod offers;
mod replies;
mod simulation;
mod timers;
mod wishes;

use super::*;
use crate::arp::Arp;
use crate::code::{self, MessageType};
use crate::config::ConflictDetection;
use crate::message::{Header, Message, MessageWriter};
use bringup_core::client::{Checksum, Host, Mac, Rng, drive};
use bringup_core::error::ErrorKind;
use bringup_core::time::Utc;
use core::net::SocketAddr;
use core::net::SocketAddrV4;
use std::boxed::Box;
use std::vec::Vec;

pub(super) const MAC: Mac = Mac([2, 0, 0, 0, 0, 7]);
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(super) const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(super) const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 50);

/// splitmix64, so that a run can be repeated.
pub(super) struct Seeded(pub(super) u64);

impl Rng for Seeded {
    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            *byte = z.to_le_bytes()[7];
        }
    }
}

/// A message as it went out.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) at: Instant,
    /// `None` for a broadcast frame; the server's address for a datagram.
    pub(super) to: Option<SocketAddr>,
    /// Source address in the IP header of a frame.
    pub(super) source: Option<Ipv4Addr>,
    pub(super) bytes: Vec<u8>,
}

impl Sent {
    pub(super) fn message(&self) -> Message<'_> {
        Message::parse(&self.bytes).unwrap()
    }

    pub(super) fn header(&self) -> Header {
        self.message().header
    }

    pub(super) fn kind(&self) -> MessageType {
        self.message().message_type().unwrap()
    }

    pub(super) fn option(&self, code: u8) -> Option<Vec<u8>> {
        self.message().first(code).map(|v| v.0.to_vec())
    }

    pub(super) fn codes(&self) -> Vec<u8> {
        self.message().options().map(|o| o.code).collect()
    }

    /// A reply to this message with these options after 53 and 54.
    pub(super) fn reply(
        &self,
        kind: MessageType,
        server: Ipv4Addr,
        yiaddr: Ipv4Addr,
        options: &[(u8, &[u8])],
    ) -> Vec<u8> {
        let mut buffer = [0; 2000];
        let header = self.header().reply(yiaddr);
        let mut w = MessageWriter::new(&mut buffer, &header, kind).unwrap();
        w.address(code::SERVER_IDENTIFIER, server).unwrap();
        for (code, bytes) in options {
            w.option(*code, bytes).unwrap();
        }
        w.finish().unwrap().to_vec()
    }

    pub(super) fn offer(&self, lease_time: u32) -> Vec<u8> {
        self.reply(MessageType::Offer, SERVER, OURS, &[(51, &lease_time.to_be_bytes())])
    }

    pub(super) fn ack(&self, lease_time: u32) -> Vec<u8> {
        self.reply(MessageType::Ack, SERVER, OURS, &[(51, &lease_time.to_be_bytes())])
    }

    pub(super) fn nak(&self, server: Ipv4Addr) -> Vec<u8> {
        self.reply(MessageType::Nak, server, Ipv4Addr::UNSPECIFIED, &[])
    }
}

/// The world outside of the client.
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) utc: Utc,
    pub(super) rng: Seeded,
    pub(super) sent: Vec<Sent>,
    pub(super) arps: Vec<(Instant, Mac, Arp)>,
    pub(super) events: Vec<Event>,
    pub(super) open: [bool; 3],
    /// What the platform says to every open of these sockets.
    pub(super) refuse_open: [bool; 3],
    pub(super) refuse_sends: bool,
}

impl Host<Event> for World {
    fn cx(&mut self) -> Cx<'_> {
        Cx { now: self.now, utc: self.utc, rng: &mut self.rng }
    }

    fn transmit(&mut self, transmit: Transmit<'_>) -> Result<usize, ErrorKind> {
        let index = usize::from(transmit.index());
        match transmit {
            Transmit::Open { .. } if self.refuse_open[index] => {
                return Err(ErrorKind::AddressInUse);
            }
            Transmit::Open { .. } => self.open[index] = true,
            Transmit::Close { .. } => {
                assert!(self.open[index], "closes what is open");
                self.open[index] = false;
            }
            _ if self.refuse_sends => return Err(ErrorKind::Unreachable),
            Transmit::Frame { socket: ARP, to, ethertype: 0x0806, payload } => {
                assert!(self.open[2], "sends on an open socket");
                self.arps.push((self.now, to, Arp::parse(payload).unwrap()));
            }
            Transmit::Frame { to, ethertype, payload, .. } => {
                assert!(self.open[0], "sends on an open socket");
                assert_eq!((to, ethertype), (Mac::BROADCAST, 0x0800));
                let d = frame::parse(payload, 67, Checksum::Complete).unwrap();
                assert_eq!(d.destination, SocketAddrV4::new(Ipv4Addr::BROADCAST, 67));
                let source = Some(*d.source.ip());
                self.sent.push(Sent { at: self.now, to: None, source, bytes: d.bytes.to_vec() });
            }
            Transmit::Datagram { to, bytes, .. } => {
                assert!(self.open[1], "sends on an open socket");
                let (to, bytes) = (Some(to), bytes.to_vec());
                self.sent.push(Sent { at: self.now, to, source: None, bytes });
            }
            other => panic!("a DHCP client does no {other:?}"),
        }
        Ok(0)
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}

pub(super) struct Rig {
    pub(super) client: DhcpClient<'static>,
    pub(super) world: World,
    pub(super) timeout: Option<Instant>,
}

pub(super) const fn at(ms: u64) -> Instant {
    Instant::from_micros(1_000_000_000 + ms * 1_000)
}

impl Rig {
    /// A client of the standard profile at time 0, not yet started.
    pub(super) fn new(seed: u64, config: Config<'static>) -> Self {
        let storage = Box::leak(Box::new([0; crate::lease::STORAGE_LEN]));
        let world = World {
            now: at(0),
            utc: Utc::UNIX_EPOCH,
            rng: Seeded(seed),
            sent: Vec::new(),
            arps: Vec::new(),
            events: Vec::new(),
            open: [false; 3],
            refuse_open: [false; 3],
            refuse_sends: false,
        };
        Self { client: DhcpClient::new(config, storage), world, timeout: None }
    }

    /// A client that has been started.
    pub(super) fn started(config: Config<'static>) -> Self {
        let mut rig = Self::new(1, config);
        rig.call(DhcpClient::start);
        rig
    }

    /// A client of the standard profile that is BOUND for `lease_time` with these further options
    /// in the ACK. The REQUEST went out at time 0.
    pub(super) fn bound(lease_time: u32, options: &[(u8, &[u8])]) -> Self {
        Self::bound_with(standard(), lease_time, options)
    }

    pub(super) fn bound_with(
        config: Config<'static>,
        lease_time: u32,
        options: &[(u8, &[u8])],
    ) -> Self {
        let mut rig = Self::started(config);
        let offer = rig.last().offer(lease_time);
        rig.hear(&offer).unwrap();
        if rig.client.state() == StateName::Selecting {
            rig.run_until(rig.timeout.unwrap());
        }
        let time = lease_time.to_be_bytes();
        let all: Vec<(u8, &[u8])> =
            [(51, &time[..])].into_iter().chain(options.iter().copied()).collect();
        let ack = rig.last().reply(MessageType::Ack, SERVER, OURS, &all);
        rig.hear(&ack).unwrap();
        assert_eq!(rig.client.state(), StateName::Bound);
        assert_eq!(rig.events(), [Event::Bound]);
        rig.world.sent.clear();
        rig
    }

    pub(super) fn drive(&mut self) {
        let mut buffer = [0; TRANSMIT_LEN];
        self.timeout = drive(&mut self.client, &mut self.world, &mut buffer);
    }

    pub(super) fn call(&mut self, verb: fn(&mut DhcpClient<'static>, &mut Cx<'_>)) {
        verb(&mut self.client, &mut self.world.cx());
        self.drive();
    }

    /// Lets time pass until `until`, acting on every timeout before or at it.
    pub(super) fn run_until(&mut self, until: Instant) {
        for turn in 0.. {
            assert!(turn < 100_000, "the loop spins at {:?}", self.world.now);
            let Some(next) = self.timeout.filter(|&t| t <= until) else { break };
            self.world.now = self.world.now.max(next);
            self.client.handle_timeout(&mut self.world.cx());
            let timeout = self.client.poll_timeout();
            assert!(timeout.is_none_or(|t| t > self.world.now), "later than now: {timeout:?}");
            self.drive();
        }
        self.world.now = self.world.now.max(until);
    }

    /// A DHCP message arrives in a frame.
    pub(super) fn hear(&mut self, message: &[u8]) -> Result<(), Discard> {
        let mut buffer = [0; 2100];
        frame::payload_area(&mut buffer)[..message.len()].copy_from_slice(message);
        let from = SocketAddrV4::new(SERVER, 67);
        let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, 68);
        let payload = frame::seal(&mut buffer, message.len(), from, to).unwrap();
        self.hear_frame(payload)
    }

    pub(super) fn hear_frame(&mut self, payload: &[u8]) -> Result<(), Discard> {
        let input = Input::Frame {
            socket: LINK,
            from: Mac([2, 0, 0, 0, 0, 1]),
            ethertype: 0x0800,
            payload,
            checksum: Checksum::Complete,
            received_at: self.world.now,
        };
        self.hear_input(input)
    }

    /// An ARP packet arrives.
    pub(super) fn hear_arp(&mut self, arp: Arp) -> Result<(), Discard> {
        let mut buffer = [0; 28];
        let received_at = self.world.now;
        let input = Input::Frame {
            socket: ARP,
            from: arp.sender_mac,
            ethertype: 0x0806,
            payload: arp.write(&mut buffer).unwrap(),
            checksum: Checksum::Complete,
            received_at,
        };
        self.hear_input(input)
    }

    /// A DHCP message arrives on the UDP socket.
    pub(super) fn hear_datagram(&mut self, bytes: &[u8]) -> Result<(), Discard> {
        let from = SocketAddr::V4(SocketAddrV4::new(SERVER, 67));
        let received_at = self.world.now;
        self.hear_input(Input::Datagram { socket: UNICAST, from, bytes, received_at })
    }

    /// Every input goes through here, which checks what holds for all of them.
    pub(super) fn hear_input(&mut self, input: Input<'_>) -> Result<(), Discard> {
        let sent = |world: &World| world.sent.len() + world.arps.len();
        let before = (self.client.state(), self.client.poll_timeout(), sent(&self.world));
        let result = self.client.handle_input(&mut self.world.cx(), input);
        self.drive();
        if let Err(why) = result {
            let after = (self.client.state(), self.client.poll_timeout(), sent(&self.world));
            assert_eq!(before, after, "a discarded input changes nothing: {why}");
            assert!(self.client.counters().discarded(why) > 0, "{why} is counted");
        }
        result
    }

    pub(super) fn last(&self) -> Sent {
        self.world.sent.last().unwrap().clone()
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        core::mem::take(&mut self.world.events)
    }

    /// Types and times, in seconds since the start, of what was sent.
    pub(super) fn log(&self) -> Vec<(MessageType, u64)> {
        let seconds = |s: &Sent| (s.at.since(at(0)).as_micros() + 500_000) / 1_000_000;
        self.world.sent.iter().map(|s| (s.kind(), seconds(s))).collect()
    }
}

pub(super) fn standard() -> Config<'static> {
    let conflict_detection = ConflictDetection::Off;
    let profile = crate::Profile::Standard;
    Config { profile, conflict_detection, detect_attachment: false, ..Config::new(MAC) }
}

pub(super) fn fast() -> Config<'static> {
    Config::new(MAC)
}
