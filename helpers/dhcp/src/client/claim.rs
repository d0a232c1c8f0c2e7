//! The claim to an address: probes, announcements, and what is done when somebody else has it.
//! RFC 5227.
//!
//! A claim runs beside the state, as the lease does. Only in
//! [`Strict`](ConflictDetection::Strict) does the state wait for it.

use core::net::Ipv4Addr;

use bringup_core::client::{Mac, Rng};
use bringup_core::time::{Duration, Instant};

use super::exchange::Next;
use crate::arp::Arp;
use crate::config::ConflictDetection;

/// How many probes. RFC 5227 §1.1 PROBE_NUM.
const PROBES: u8 = 3;
/// How many announcements, and how far apart. RFC 5227 §1.1 ANNOUNCE_NUM, ANNOUNCE_INTERVAL.
const ANNOUNCEMENTS: u8 = 2;
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// A second conflict within this time ends the claim. RFC 5227 §1.1 DEFEND_INTERVAL.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// Between two probes of the short form, and after the last.
const SHORT_INTERVAL: Duration = Duration::from_millis(150);

/// What a claim does next.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// `left` probes to send, then the wait after the last.
    Probing { left: u8, next: Next },
    /// `left` announcements to send.
    Announcing { left: u8, next: Next },
    /// Ours. `defend` if an announcement is due to say so.
    Watching { defend: bool },
}

/// What came of a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing to tell.
    Same,
    /// Nobody answered the probes.
    Free,
}

/// What somebody else's ARP packet means for the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is about something else.
    Unrelated,
    /// A conflict that is defended against, once.
    Defended,
    /// The address is not ours.
    Conflict,
}

/// A claim to one address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) address: Ipv4Addr,
    mode: ConflictDetection,
    phase: Phase,
    /// The last conflict that was defended against.
    defended_at: Option<Instant>,
}

/// A random time in `low..=low + spread`.
fn between(low: Duration, spread: Duration, rng: &mut dyn Rng) -> Duration {
    low + Duration::from_micros(rng.below(spread.as_micros().saturating_add(1)))
}

impl Claim {
    /// A claim that begins with probes; `None` if the address is to be believed unseen.
    pub(super) fn new(
        address: Ipv4Addr,
        mode: ConflictDetection,
        now: Instant,
        rng: &mut dyn Rng,
    ) -> Option<Self> {
        let next = match mode {
            ConflictDetection::Off => return None,
            ConflictDetection::Short => Next::Due,
            // PROBE_WAIT: hosts that are switched on together must not probe together.
            ConflictDetection::Strict => {
                Next::At(now + between(Duration::ZERO, Duration::from_secs(1), rng))
            }
        };
        let phase = Phase::Probing { left: PROBES, next };
        Some(Self { address, mode, phase, defended_at: None })
    }

    /// Whether ARP is to be heard for it still. The short form listens no longer than it speaks:
    /// all broadcast ARP of a big link would wake the device for ever.
    pub(super) const fn needs_arp(&self) -> bool {
        match self.phase {
            Phase::Watching { .. } => matches!(self.mode, ConflictDetection::Strict),
            Phase::Probing { .. } | Phase::Announcing { .. } => true,
        }
    }

    /// Whether the address is still being probed for.
    const fn is_probing(&self) -> bool {
        matches!(self.phase, Phase::Probing { .. })
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Probing { next, .. } | Phase::Announcing { next, .. } => next.deadline(),
            Phase::Watching { .. } => None,
        }
    }

    /// The packet that is due.
    pub(super) fn packet(&self, mac: Mac) -> Option<Arp> {
        let announcement = Arp::request(mac, self.address, self.address);
        match self.phase {
            // RFC 5227 §2.1.1: the sender's address MUST be 0, to spoil nobody's cache.
            Phase::Probing { next: Next::Due, .. } => {
                Some(Arp::request(mac, Ipv4Addr::UNSPECIFIED, self.address))
            }
            // §2.3, §3: an announcement is a request, not the reply of RFC 2131 §4.4.1.
            Phase::Announcing { next: Next::Due, .. } => Some(announcement),
            Phase::Watching { defend: true } => Some(announcement),
            _ => None,
        }
    }

    /// A packet went out, or could not: either way the next one waits.
    pub(super) fn sent(&mut self, now: Instant, rng: &mut dyn Rng) {
        match &mut self.phase {
            Phase::Probing { left, next } => {
                *left = left.saturating_sub(1);
                let wait = match (self.mode, *left) {
                    // ANNOUNCE_WAIT after the last, PROBE_MIN to PROBE_MAX between them.
                    (ConflictDetection::Strict, 0) => Duration::from_secs(2),
                    (ConflictDetection::Strict, _) => {
                        between(Duration::from_secs(1), Duration::from_secs(1), rng)
                    }
                    _ => SHORT_INTERVAL,
                };
                *next = Next::At(now + wait);
            }
            Phase::Announcing { left, next } => {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    self.phase = Phase::Watching { defend: false };
                } else {
                    *next = Next::At(now + ANNOUNCE_INTERVAL);
                }
            }
            Phase::Watching { defend } => *defend = false,
        }
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, now: Instant) -> Progress {
        if self.deadline().is_none_or(|at| at > now) {
            return Progress::Same;
        }
        match &mut self.phase {
            Phase::Probing { left: 0, .. } => {
                self.phase = Phase::Announcing { left: ANNOUNCEMENTS, next: Next::Due };
                Progress::Free
            }
            Phase::Probing { next, .. } | Phase::Announcing { next, .. } => {
                *next = Next::Due;
                Progress::Same
            }
            Phase::Watching { .. } => Progress::Same,
        }
    }

    /// Somebody else's packet; `mac` is ours.
    pub(super) fn hear(&mut self, arp: &Arp, mac: Mac, now: Instant) -> Verdict {
        let foreign = arp.sender_mac != mac;
        let has_it = foreign && arp.sender == self.address;
        // §2.1.1: somebody who probes for the same address at the same time.
        let wants_it = foreign && arp.is_probe() && arp.target == self.address;
        if self.is_probing() {
            return if has_it || wants_it { Verdict::Conflict } else { Verdict::Unrelated };
        }
        if !has_it {
            return Verdict::Unrelated;
        }
        // §2.4 (b): defend once; a second conflict within DEFEND_INTERVAL ends it.
        if self.defended_at.is_some_and(|at| now.since(at) < DEFEND_INTERVAL) {
            return Verdict::Conflict;
        }
        self.defended_at = Some(now);
        if let Phase::Watching { defend } = &mut self.phase {
            *defend = true;
        }
        Verdict::Defended
    }
}
