//! A client and scripted servers over a wire that loses, doubles, delays and reorders, in virtual
//! time and from a seed. What holds in every run is asserted at every step.

use super::*;
use std::collections::BTreeMap;

/// What a server does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Temper {
    /// Offers, acknowledges and renews, for `lease_time` seconds.
    Good,
    /// Offers, then refuses.
    NakAll,
    /// Answers everything with everything, to every message: OFFER, ACK and NAK, twice.
    Babbler,
    /// Offers, then says nothing.
    OffersOnly,
}

struct Net {
    rig: Rig,
    dice: Seeded,
    temper: Temper,
    lease_time: u32,
    loss_percent: u64,
    /// What is under way to the client, by time and number.
    wire: BTreeMap<(Instant, usize), Vec<u8>>,
    number: usize,
    answered: usize,
    /// What the application believes.
    believes: Option<Ipv4Addr>,
}

impl Net {
    fn new(seed: u64, temper: Temper, lease_time: u32, loss_percent: u64) -> Self {
        Self::with(fast(), seed, temper, lease_time, loss_percent)
    }

    fn with(
        config: Config<'static>,
        seed: u64,
        temper: Temper,
        lease_time: u32,
        loss_percent: u64,
    ) -> Self {
        let rig = Rig::new(seed, config);
        let (wire, dice) = (BTreeMap::new(), Seeded(seed ^ 0xABCD));
        Self {
            rig,
            dice,
            temper,
            lease_time,
            loss_percent,
            wire,
            number: 0,
            answered: 0,
            believes: None,
        }
    }

    fn lost(&mut self) -> bool {
        self.dice.below(100) < self.loss_percent
    }

    /// Puts a reply on the wire: perhaps lost, perhaps twice, each copy with its own delay.
    fn post(&mut self, reply: &[u8]) {
        let copies = 1 + usize::from(self.dice.below(100) < 10);
        for _ in 0..copies {
            let delay = Duration::from_micros(100 + self.dice.below(300_000));
            if !self.lost() {
                self.number += 1;
                self.wire.insert((self.rig.world.now + delay, self.number), reply.to_vec());
            }
        }
    }

    /// The servers read what the client has sent since.
    fn serve(&mut self) {
        while let Some(sent) = self.rig.world.sent.get(self.answered).cloned() {
            self.answered += 1;
            if self.lost() {
                continue;
            }
            let (kind, time) = (sent.kind(), self.lease_time.to_be_bytes());
            let options: [(u8, &[u8]); 2] = [(51, &time), (6, &[10, 0, 0, 3])];
            let is_discover = kind == MessageType::Discover;
            match (self.temper, is_discover) {
                (Temper::Babbler, _) => {
                    for _ in 0..2 {
                        for reply in [MessageType::Nak, MessageType::Offer, MessageType::Ack] {
                            for server in [SERVER, OTHER] {
                                self.post(&sent.reply(reply, server, OURS, &options));
                            }
                        }
                    }
                }
                (_, true) => self.post(&sent.reply(MessageType::Offer, SERVER, OURS, &options)),
                (Temper::Good, false) => {
                    self.post(&sent.reply(MessageType::Ack, SERVER, OURS, &options));
                }
                (Temper::NakAll, false) => self.post(&sent.nak(SERVER)),
                (Temper::OffersOnly, false) => {}
            }
        }
    }

    fn believe(&mut self) {
        for event in self.rig.events() {
            match event {
                Event::Bound => {
                    assert_eq!(self.believes, None, "Lost comes before Bound");
                    // It may be lost already, in the next event of these.
                    let address = self.rig.client.lease().map(|l| l.address());
                    self.believes = Some(address.unwrap_or(Ipv4Addr::UNSPECIFIED));
                }
                Event::Lost { .. } => {
                    assert!(self.believes.take().is_some(), "had something to lose")
                }
                Event::Renewed { .. } => assert!(self.believes.is_some()),
                _ => {}
            }
        }
        let lease = self.rig.client.lease();
        assert_eq!(self.believes, lease.map(|l| l.address()), "events tell the whole story");
        let over =
            lease.and_then(|l| l.times()).is_some_and(|t| t.expires_at <= self.rig.world.now);
        assert!(!over, "no address in use past its expiry");
    }

    fn run(&mut self, until: Instant) {
        self.rig.call(DhcpClient::start);
        loop {
            self.serve();
            self.believe();
            let arrival = self.wire.keys().next().map(|(at, _)| *at);
            let next = arrival.into_iter().chain(self.rig.timeout).min();
            let Some(next) = next.filter(|&n| n <= until) else { break };
            self.rig.run_until(next);
            self.believe();
            while let Some(entry) = self.wire.first_entry().filter(|e| e.key().0 <= next) {
                let reply = entry.remove();
                let _ = self.rig.hear(&reply);
                self.believe();
            }
        }
    }

    /// In any span of time, four messages and two for each second of it, and one more if a RELEASE ends it.
    fn assert_bucket(&self, name: &str) {
        let sent = self.rig.world.sent.iter();
        let sent = sent.map(|s| (s.at, u64::from(s.kind() == MessageType::Release)));
        let arps = self.rig.world.arps.iter().map(|a| (a.0, 0));
        let mut times: Vec<_> = sent.chain(arps).collect();
        times.sort_unstable();
        for (i, &(first, _)) in times.iter().enumerate() {
            for (n, &(last, owed)) in times.iter().enumerate().skip(i).take(400) {
                let allowed = 4 + last.since(first).as_millis() / 500 + owed;
                let sent = u64::try_from(n - i + 1).unwrap();
                assert!(sent <= allowed, "{name}: {sent} messages, {allowed} allowed");
            }
        }
    }
}

#[test]
fn every_seed_gets_and_keeps_a_lease_under_loss() {
    let mut times = Vec::new();
    for seed in 0..200 {
        let mut net = Net::new(seed, Temper::Good, 120, 30);
        net.run(at(3_600_000));
        net.assert_bucket("good");
        let client = &net.rig.client;
        assert!(
            client.counters().get(Tally::ReceivedAck) >= 20,
            "seed {seed}: renewed for an hour"
        );
        let mut first = Net::new(seed, Temper::Good, 120, 30);
        first.run(at(0));
        while first.believes.is_none() {
            let next = first.rig.world.now + Duration::from_millis(50);
            first.run(next);
            first.rig.world.now = next;
        }
        times.push(first.rig.world.now.since(at(0)).as_millis());
    }
    times.sort_unstable();
    let median = times[times.len() / 2];
    assert!(median < 2_000, "issue D: a median below 2 s under 30 % loss, not {median} ms");
}

#[test]
fn rule_12_and_d2_nobody_can_provoke_a_storm() {
    for temper in [Temper::NakAll, Temper::Babbler, Temper::OffersOnly] {
        for lease_time in [0, 1, 10, 11, 20, u32::MAX] {
            for loss in [0, 30] {
                let mut net = Net::new(7, temper, lease_time, loss);
                net.run(at(600_000));
                net.assert_bucket(&std::format!("{temper:?} {lease_time} {loss}"));
                let sent = net.rig.world.sent.len();
                assert!(sent < 700, "{temper:?} {lease_time} {loss}: {sent} in ten minutes");
            }
        }
    }
}

#[test]
fn junk_moves_nothing() {
    // The same run, with and without ten thousand pieces of junk between its steps.
    let script = |junk: bool| {
        let mut rig = Rig::started(standard());
        let mut dice = Seeded(99);
        let mut offer = rig.last().offer(600);
        for step in 0..10_000u64 {
            rig.run_until(at(step * 2));
            if junk {
                let mut bytes = offer.clone();
                // Anything but our xid.
                bytes[4] ^= 0x55;
                let place = usize::try_from(dice.below(300)).unwrap();
                bytes[place] = dice.u16().to_be_bytes()[0];
                if bytes[4..8] != offer[4..8] {
                    let _ = rig.hear(&bytes);
                }
            }
        }
        offer = rig.last().offer(600);
        rig.hear(&offer).unwrap();
        rig.log()
    };
    let (quiet, noisy) = (script(false), script(true));
    assert_eq!(quiet, noisy);
}

/// One of the many ways to set a client up.
fn any_config(dice: &mut Seeded) -> Config<'static> {
    use ConflictDetection::{Off, Short, Strict};
    let mut coin = || dice.below(2) == 0;
    let profile = if coin() { crate::Profile::Fast } else { crate::Profile::Standard };
    let config = Config {
        profile,
        rapid_commit: coin(),
        detect_attachment: coin(),
        ipv6_only_capable: coin(),
        ask_auto_configure: coin(),
        anonymous: coin() && coin(),
        link_local: coin(),
        force_renew: coin(),
        ..fast()
    };
    let conflict_detection = [Off, Short, Strict][usize::try_from(dice.below(3)).unwrap()];
    let offer_window = Duration::from_millis([0, 0, 700][usize::try_from(dice.below(3)).unwrap()]);
    let initial_delay_max = Duration::from_millis(dice.below(2) * 900);
    Config { conflict_detection, offer_window, initial_delay_max, ..config }
}

#[test]
fn random_bytes_and_times_hold_the_invariants() {
    let mut reached = std::collections::BTreeSet::new();
    let mut sent = [0; 4];
    for seed in 0..40 {
        let mut dice = Seeded(seed);
        let config = any_config(&mut dice);
        let mut net = Net::with(config, seed, Temper::Good, 30, 10);
        net.rig.call(DhcpClient::start);
        for _ in 0..2_000 {
            net.serve();
            net.believe();
            random_step(&mut net, &mut dice);
            net.believe();
            reached.insert(net.rig.client.state().name());
        }
        net.assert_bucket("random");
        let counters = net.rig.client.counters();
        let kinds = [Tally::SentRelease, Tally::SentDecline, Tally::SentInform, Tally::SentArp];
        for (sum, kind) in sent.iter_mut().zip(kinds) {
            *sum += counters.get(kind);
        }
    }
    let missing: Vec<_> =
        StateName::ALL.iter().map(|s| s.name()).filter(|s| !reached.contains(s)).collect();
    // These end within the call that begins them, as long as the bucket has a token.
    let fleeting = |name: &&str| matches!(*name, "RELEASING" | "DECLINING");
    assert!(missing.iter().all(fleeting), "never reached: {missing:?}");
    assert!(sent.into_iter().all(|n| n > 0), "RELEASE, DECLINE, INFORM and ARP: {sent:?}");
}

fn random_step(net: &mut Net, dice: &mut Seeded) {
    match dice.below(40) {
        0 | 1 => net.rig.call(DhcpClient::stop),
        2 | 3 => net.rig.call(DhcpClient::start),
        4 => net.rig.call(DhcpClient::link_up),
        5 if dice.below(10) == 0 => net.rig.call(DhcpClient::release),
        6 => {
            net.rig.client.inform(&mut net.rig.world.cx(), OURS, None);
            net.rig.drive();
        }
        7 => through_a_snapshot(net, dice),
        8 if dice.below(20) == 0 => somebody_says(net, dice),
        9..=20 => {
            let step = Duration::from_millis(dice.below(9_000));
            net.rig.run_until(net.rig.world.now + step);
        }
        _ => mutated(net, dice),
    }
}

/// The client is told what it once was, a few octets changed or none.
fn through_a_snapshot(net: &mut Net, dice: &mut Seeded) {
    let mut buffer = [0; crate::snapshot::SNAPSHOT_LEN];
    let taken = net.rig.client.snapshot(&net.rig.world.cx(), &mut buffer);
    let mut bytes = taken.unwrap().map(<[u8]>::to_vec).unwrap_or_default();
    if dice.below(2) == 0 {
        net.rig.call(DhcpClient::release);
        if let Some(at) = bytes.get_mut(usize::try_from(dice.below(100)).unwrap()) {
            *at = dice.u16().to_be_bytes()[0];
        }
    }
    let _ = net.rig.client.start_from_snapshot(&mut net.rig.world.cx(), &bytes);
    net.rig.drive();
}

/// An ARP packet about us, from somebody.
fn somebody_says(net: &mut Net, dice: &mut Seeded) {
    let sender_mac = Mac([2, 0, 0, 0, 0, dice.u16().to_be_bytes()[0]]);
    let someone = [Ipv4Addr::UNSPECIFIED, OURS, SERVER];
    let mut pick = || someone[usize::try_from(dice.below(3)).unwrap()];
    let (sender, target) = (pick(), pick());
    let _ = net.rig.hear_arp(Arp::request(sender_mac, sender, target));
}

/// A reply from the wire arrives with a few octets changed, xid and chaddr left as they should be.
fn mutated(net: &mut Net, dice: &mut Seeded) {
    let Some(entry) = net.wire.first_entry() else { return };
    let mut reply = entry.remove();
    for _ in 0..dice.below(4) {
        let place = usize::try_from(dice.below(60)).unwrap();
        reply[236 + place] = dice.u16().to_be_bytes()[0];
    }
    let _ = net.rig.hear(&reply);
}
