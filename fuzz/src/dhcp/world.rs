//! [`World`]: a client in virtual time, and all that is known of it from outside.

use std::collections::BTreeSet;

use bringup_core::client::{Checksum, Client, Cx, Endpoint, Input, Mac, Transmit};
use bringup_core::error::ErrorKind;
use bringup_core::time::{Duration, Instant, Utc};
use bringup_dhcp::arp::{Arp, ETHERTYPE_ARP, Operation};
use bringup_dhcp::client::{ARP, LINK, TRANSMIT_LEN, UNICAST};
use bringup_dhcp::code::MessageType;
use bringup_dhcp::lease::Times;
use bringup_dhcp::message::{Header, Message};
use bringup_dhcp::snapshot::SNAPSHOT_LEN;
use bringup_dhcp::{Config, ConflictDetection, DhcpClient, Discard, Event, StateName, frame};
use core::net::Ipv4Addr;

use crate::data::{Data, Dice};

/// Our address on the link.
pub(crate) const MAC: Mac = Mac([2, 0, 0, 0, 0, 7]);

/// What the wall clock reads then.
fn wall(now: Instant) -> Utc {
    let us = i64::try_from(now.since(Instant::ZERO).as_micros()).unwrap_or(i64::MAX);
    Utc::UNIX_EPOCH.offset_by(us.saturating_mul(1_000))
}

/// A message that was sent.
#[derive(Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) header: Header,
    pub(crate) kind: MessageType,
}

pub(crate) struct World<'m> {
    pub(crate) client: DhcpClient<'m>,
    pub(crate) now: Instant,
    pub(crate) dice: Dice,
    open: BTreeSet<u8>,
    /// The last message sent.
    pub(crate) sent: Option<Sent>,
    /// The last ARP packet sent.
    pub(crate) arp: Option<Arp>,
    /// Whether ARP is sent at all: then an answer may be the reason for one packet.
    neighbours: bool,
    /// A snapshot from some time before.
    pub(crate) saved: Option<Vec<u8>>,
    /// When messages were sent.
    sends: Vec<Instant>,
    /// Whether the application has an address, by the events it has heard.
    bound: bool,
    /// And whether it has a link-local one.
    link_local: bool,
    heard: usize,
}

impl<'m> World<'m> {
    /// Without probes, so that every send is a DHCP message and no answer a reason for one.
    pub(crate) fn new(config: Config<'m>, storage: &'m mut [u8], seed: u8) -> Self {
        let conflict_detection = ConflictDetection::Off;
        let (detect_attachment, link_local) = (false, false);
        let config = Config { conflict_detection, detect_attachment, link_local, ..config };
        Self { neighbours: false, ..Self::with_neighbours(config, storage, seed) }
    }

    /// With ARP, as `config` has it.
    pub(crate) fn with_neighbours(config: Config<'m>, storage: &'m mut [u8], seed: u8) -> Self {
        Self {
            client: DhcpClient::new(config, storage),
            now: Instant::from_micros(3_000_000),
            dice: Dice(seed.into()),
            open: BTreeSet::new(),
            sent: None,
            arp: None,
            neighbours: true,
            saved: None,
            sends: Vec::new(),
            bound: false,
            link_local: false,
            heard: 0,
        }
    }

    pub(crate) fn call<T>(
        &mut self,
        data: &mut Data<'_>,
        f: impl FnOnce(&mut DhcpClient<'m>, &mut Cx<'_>) -> T,
    ) -> T {
        let cx = &mut Cx { now: self.now, utc: wall(self.now), rng: &mut self.dice };
        let value = f(&mut self.client, cx);
        self.drain(data);
        value
    }

    /// Takes what goes out and what is told, and checks both.
    fn drain(&mut self, data: &mut Data<'_>) {
        let mut buffer = [0xEE; TRANSMIT_LEN];
        for turn in 0.. {
            assert!(turn < 20, "it never stops sending");
            let cx = &mut Cx { now: self.now, utc: wall(self.now), rng: &mut self.dice };
            let Some(transmit) = self.client.poll_transmit(cx, &mut buffer) else { break };
            let socket = transmit.index();
            let mut opened = false;
            let message = match transmit {
                Transmit::Open { endpoint, .. } => {
                    assert_eq!(socket != UNICAST, matches!(endpoint, Endpoint::Link { .. }));
                    assert!(self.open.insert(socket), "{socket} was open");
                    opened = true;
                    None
                }
                Transmit::Close { .. } => {
                    assert!(self.open.remove(&socket), "{socket} was not open");
                    continue;
                }
                Transmit::Frame { payload, ethertype: ETHERTYPE_ARP, .. } => {
                    assert!(self.neighbours && socket == ARP && self.open.contains(&ARP));
                    self.arp = Some(check_arp(payload));
                    self.sends.push(self.now);
                    self.check_bucket(false);
                    None
                }
                Transmit::Frame { payload, to, ethertype, .. } => {
                    assert_eq!((socket, to, ethertype), (LINK, Mac::BROADCAST, 0x0800));
                    let datagram = frame::parse(payload, 67, Checksum::Complete);
                    Some(datagram.expect("a frame that a server takes").bytes)
                }
                Transmit::Datagram { bytes, to, .. } => {
                    assert_eq!((socket, to.port()), (UNICAST, 67));
                    Some(bytes)
                }
                other => panic!("{other:?}"),
            };
            if let Some(bytes) = message {
                assert!(self.open.contains(&socket), "sent on a socket that is not open");
                let sent = check_sent(bytes);
                self.sent = Some(sent);
                self.sends.push(self.now);
                self.check_bucket(sent.kind == MessageType::Release);
            }
            if data.u8() >= 0xF4 {
                if opened {
                    self.open.remove(&socket);
                }
                let failed = Input::SendFailed { socket, why: ErrorKind::Unreachable };
                let cx = &mut Cx { now: self.now, utc: wall(self.now), rng: &mut self.dice };
                assert_eq!(self.client.handle_input(cx, failed), Ok(()));
            }
        }
        for turn in 0.. {
            assert!(turn < 8, "it never stops telling");
            let Some(event) = self.client.poll_event() else { break };
            self.told(event);
        }
        assert_eq!(self.bound, self.client.lease().is_some(), "what was told is what is so");
        let link_local = self.client.link_local();
        assert_eq!(self.link_local, link_local.is_some(), "what was told is what is so");
        assert!(!(self.bound && self.link_local), "a lease is better than none");
        assert!(link_local.is_none_or(|a| a.is_link_local() && !matches!(a.octets()[2], 0 | 255)));
        self.check_lease();
    }

    fn told(&mut self, event: Event) {
        self.heard += 1;
        match event {
            Event::Bound => {
                assert!(!self.bound, "bound twice");
                self.bound = true;
            }
            Event::Renewed { .. } => assert!(self.bound, "renewed without a lease"),
            Event::Lost { .. } => {
                assert!(self.bound, "lost without a lease");
                self.bound = false;
            }
            Event::LinkLocalBound => {
                assert!(!self.link_local, "bound twice");
                self.link_local = true;
            }
            Event::LinkLocalLost { .. } => {
                assert!(self.link_local, "lost without one");
                self.link_local = false;
            }
            // The rest is news, and changes nothing that is known.
            _ => {}
        }
    }

    /// At most four at once and two a second, in every window that ends now; one more if it ends with a
    /// RELEASE, which what follows pays for.
    fn check_bucket(&self, owes: bool) {
        for (n, at) in self.sends.iter().rev().enumerate() {
            let earned = self.now.since(*at).as_micros() / 500_000;
            let sent = u64::try_from(n).expect("few") + 1;
            assert!(
                sent <= 4 + earned + u64::from(owes),
                "{sent} sends within {} us",
                self.now.since(*at).as_micros()
            );
        }
    }

    fn check_lease(&self) {
        let Some(lease) = self.client.lease() else { return };
        let first = lease.address().octets()[0];
        assert!(!matches!(first, 0 | 127 | 224..), "no host has {}", lease.address());
        assert!((1..=32).contains(&lease.prefix_len()));
        if let Some(Times { renew_at, rebind_at, expires_at }) = lease.times() {
            assert!(renew_at <= rebind_at && rebind_at <= expires_at);
            assert!(self.now < expires_at, "in use past its end");
            let wake = self.client.poll_timeout().expect("the lease ends");
            assert!(wake <= expires_at, "nobody would notice that the lease ends");
        }
        for option in lease.options() {
            super::message::read_value(option.value);
        }
        assert!(lease.mtu().is_none_or(|mtu| mtu >= 68));
        for route in lease.routes() {
            assert!(route.prefix_len <= 32);
        }
        let _ = (lease.host_name(), lease.domain_name(), lease.search_names().count());
        let _ = (lease.routers().count(), lease.dns_servers().count(), lease.ntp_servers().count());
    }

    /// Lets time pass, timer by timer.
    pub(crate) fn pass(&mut self, span: Duration, data: &mut Data<'_>) {
        let end = self.now + span;
        // Sleeping through several deadlines must be survived as well.
        let asleep = data.rarely();
        for turn in 0.. {
            let Some(at) = self.client.poll_timeout().filter(|at| *at <= end) else { break };
            // Two a second at the most, and the timers of the states.
            assert!(turn < 100_000, "the timer fires without end");
            if turn > 400 {
                // Days of unanswered DISCOVERs are all alike.
                return;
            }
            self.now = if asleep { end } else { self.now.max(at) };
            let cx = &mut Cx { now: self.now, utc: wall(self.now), rng: &mut self.dice };
            self.client.handle_timeout(cx);
            self.check_timeout();
            self.drain(data);
            self.check_timeout();
        }
        self.now = end;
        self.unchanged("an early timeout", |client, cx| client.handle_timeout(cx));
    }

    fn check_timeout(&self) {
        let next = self.client.poll_timeout();
        assert!(next.is_none_or(|next| next > self.now), "the timer would spin");
    }

    /// Hands in a datagram. A discarded one changes nothing but its counter.
    pub(crate) fn deliver(&mut self, input: Input<'_>, data: &mut Data<'_>) -> Result<(), Discard> {
        let before_it = self.probe();
        let cx = &mut Cx { now: self.now, utc: wall(self.now), rng: &mut self.dice };
        let before = self.client.counters().clone();
        let result = self.client.handle_input(cx, input);
        if let Err(why) = result {
            let after = self.client.counters();
            assert_eq!(after.discarded(why), before.discarded(why) + 1);
            let all = |c: &bringup_dhcp::Counters| c.iter().map(|(_, n)| n).sum::<u32>();
            assert_eq!(all(after), all(&before) + 1, "one datagram, one count");
            self.drain(&mut Data::new(&[]));
            assert_eq!(before_it, self.probe(), "a discarded datagram changed something: {why:?}");
        } else {
            let sends = self.sends.len();
            let was = self.client.state();
            self.drain(data);
            let asks = was == StateName::Requesting || self.neighbours;
            assert!(
                self.sends.len() <= sends + usize::from(asks),
                "an answer is no reason to send"
            );
        }
        result
    }

    /// Takes a snapshot, if there is a lease.
    pub(crate) fn save(&mut self) {
        let mut buffer = [0; SNAPSHOT_LEN];
        let cx = Cx { now: self.now, utc: wall(self.now), rng: &mut self.dice };
        let saved = self.client.snapshot(&cx, &mut buffer).expect("any fits");
        assert_eq!(saved.is_some(), self.bound);
        self.saved = saved.map(<[u8]>::to_vec).or(self.saved.take());
    }

    /// Starts from a snapshot. Whether it was taken for one; if not, nothing changes.
    pub(crate) fn restore(&mut self, bytes: &[u8], data: &mut Data<'_>) -> bool {
        if self.client.recognise(bytes).is_ok() {
            let started = self.call(data, |client, cx| client.start_from_snapshot(cx, bytes));
            assert_eq!(started, Ok(()));
            return true;
        }
        self.unchanged("a bad snapshot", |client, cx| {
            assert!(client.start_from_snapshot(cx, bytes).is_err());
        });
        false
    }

    /// Calls the client and checks that nothing comes of it.
    fn unchanged(&mut self, what: &str, f: impl FnOnce(&mut DhcpClient<'m>, &mut Cx<'_>)) {
        let before = self.probe();
        let cx = &mut Cx { now: self.now, utc: wall(self.now), rng: &mut self.dice };
        f(&mut self.client, cx);
        self.drain(&mut Data::new(&[]));
        assert_eq!(before, self.probe(), "{what}");
    }

    /// All that can be seen from outside.
    fn probe(&self) -> Probe {
        let lease = self.client.lease();
        Probe {
            state: self.client.state(),
            wake: self.client.poll_timeout(),
            lease: lease.map(|l| (l.address(), l.server_identifier(), l.times())),
            options: lease.map_or(0, |l| l.options().map(|o| o.value.0.len()).sum()),
            sends: self.sends.len(),
            heard: self.heard,
        }
    }
}

#[derive(Debug, PartialEq)]
struct Probe {
    state: StateName,
    wake: Option<Instant>,
    lease: Option<(Ipv4Addr, Ipv4Addr, Option<Times>)>,
    options: usize,
    sends: usize,
    heard: usize,
}

/// A packet of ours: a question, from us.
fn check_arp(payload: &[u8]) -> Arp {
    let arp = Arp::parse(payload).expect("what is sent is well formed");
    assert_eq!((arp.sender_mac, arp.operation), (MAC, Operation::Request));
    // RFC 5227 §2.1.1: 0 in a probe; otherwise an address that is ours, or was.
    assert!(arp.sender.is_unspecified() || !arp.sender.is_multicast());
    arp
}

/// A message of ours is one that a server takes.
fn check_sent(bytes: &[u8]) -> Sent {
    let message = Message::parse(bytes).expect("what is sent is well formed");
    let header = message.header;
    assert_eq!((header.op, header.htype, header.hlen, header.hops), (1, 1, 6, 0));
    assert!(header.chaddr.starts_with(&MAC.0) && header.chaddr[6..] == [0; 10]);
    let kind = message.message_type().expect("it has a type");
    let has = |code: u8| message.first(code).is_some();
    match kind {
        MessageType::Discover => assert!(!has(54) && header.ciaddr.is_unspecified()),
        // RFC 2131 Table 4: SELECTING has 50 and 54, INIT-REBOOT 50, the others ciaddr.
        MessageType::Request if header.ciaddr.is_unspecified() => assert!(has(50)),
        MessageType::Request => assert!(!has(50) && !has(54)),
        // RFC 2131 Table 5.
        MessageType::Decline => {
            assert!(has(50) && has(54) && header.ciaddr.is_unspecified());
            assert!((header.secs, header.flags) == (0, 0) && !has(12) && !has(55) && !has(57));
        }
        MessageType::Release => assert!(has(54) && !has(50) && !header.ciaddr.is_unspecified()),
        other => panic!("{other:?}"),
    }
    Sent { header, kind }
}
