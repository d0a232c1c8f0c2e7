//! [`Association`]: what is kept of one server, its last samples and when it may be asked again.

use bringup_core::time::{Duration, Instant};

use crate::accept::{Measurement, ServerFacts};
use crate::client::{Server, Source};
use crate::discard::Discard;
use crate::select::Candidate;

/// Samples kept of a server (NSTAGE, RFC 5905 §7.2).
const SAMPLES: usize = 8;
/// The same, as a count.
const SAMPLES_HELD: u8 = 8;
/// Packets that a server may get in a burst (own; RFC 5905 §13.2 has 8).
pub(crate) const BURST: u8 = 4;
/// P1: the shortest interval between two polls of one server, "under any conditions" (RFC 4330 §10).
pub(crate) const MIN_INTERVAL: Duration = Duration::from_secs(15);
/// Poll exponent of a server of which nothing is known yet: 16 s (MINPOLL, RFC 5905 §7.2).
pub(crate) const FIRST_POLL: u8 = 4;
/// K2, K3: the longest interval that a server can ask for, log2 seconds (BCP 223 §5.4).
pub(crate) const MAX_KISS_POLL: u8 = 13;
/// K1: how long a server that denies service is left alone at first, and at most.
const QUARANTINE: (Duration, Duration) =
    (Duration::from_secs(3_600), Duration::from_secs(24 * 3_600));
/// K5: how long a server that is not ready is left alone.
const NOT_READY: Duration = Duration::from_secs(60);
/// Good replies in a row after which the interval doubles.
const STEADY: u8 = 4;

/// One exchange, in 16 octets.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    /// UTC at [`Instant::ZERO`], nanoseconds.
    offset_ns: i64,
    /// δ, nanoseconds.
    delay_ns: u32,
    /// Second in which the request left; the age counted from it is never too short.
    sent_s: u32,
}

/// What is known of one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Association {
    pub(crate) server: Server,
    /// What it said of itself last.
    pub(crate) facts: ServerFacts,
    samples: [Sample; SAMPLES],
    /// How many of `samples` hold one; the newest is the first.
    held: u8,
    /// Which of the last eight polls were answered, the newest lowest (p.reach, RFC 5905 §9.1).
    pub(crate) reach: u8,
    /// Its poll exponent, log2 seconds.
    pub(crate) poll: u8,
    /// The least exponent that it grants, by RATE or by the poll field of its replies.
    poll_floor: u8,
    /// What RATE has raised that to; it stays.
    rate_floor: u8,
    /// Good replies since the interval was last changed.
    steady: u8,
    /// Packets left to it for the start, retries and burst together.
    pub(crate) tokens: u8,
    /// How often it has denied service.
    denials: u8,
    /// It has denied service; a spare takes its place until `not_before`.
    pub(crate) quarantined: bool,
    /// It has not answered its last three polls; it is asked after all others.
    pub(crate) lost: bool,
    /// The majority says that it is wrong.
    pub(crate) outvoted: bool,
    /// What became of the last exchange that ended badly, if none went well after it.
    pub(crate) last_refusal: Option<Discard>,
    /// Why the last datagram that came in its place was none of its replies; for the report only.
    pub(crate) last_stray: Option<Discard>,
    /// When a request last went to it.
    pub(crate) last_sent: Option<Instant>,
    /// When it last gave a good sample.
    pub(crate) last_good: Option<Instant>,
    /// Nothing is sent to it before.
    pub(crate) not_before: Instant,
    /// When it is to be asked next.
    pub(crate) next_at: Instant,
    /// What a probe still wants of it.
    pub(crate) probe: Probe,
}

/// How far a probe of one server has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    /// Good samples still wanted; 0 when the server is done.
    pub(crate) wanted: u8,
    /// Requests that may still be sent.
    pub(crate) tries: u8,
    /// Requests since the last good sample.
    pub(crate) silent: u8,
    /// The network says that there is nobody, or no way to there.
    pub(crate) refused: bool,
}

impl Probe {
    /// Nothing is wanted.
    pub(crate) const NONE: Self = Self { wanted: 0, tries: 0, silent: 0, refused: false };
}

impl Association {
    /// A server of which nothing is known yet.
    pub(crate) const fn new(server: Server) -> Self {
        Self {
            server,
            facts: ServerFacts::NONE,
            samples: [Sample { offset_ns: 0, delay_ns: 0, sent_s: 0 }; SAMPLES],
            held: 0,
            reach: 0,
            poll: FIRST_POLL,
            poll_floor: 0,
            rate_floor: 0,
            steady: 0,
            tokens: BURST,
            denials: 0,
            quarantined: false,
            lost: false,
            outvoted: false,
            last_refusal: None,
            last_stray: None,
            last_sent: None,
            last_good: None,
            not_before: Instant::ZERO,
            next_at: Instant::ZERO,
            probe: Probe::NONE,
        }
    }

    /// Whether one server is enough to confirm the time: the operator or the network named it (C2).
    pub(crate) fn is_trusted(&self) -> bool {
        matches!(self.server.source, Source::Dhcp | Source::Configured)
    }

    /// The earliest instant at which etiquette allows a request: `spacing` after the last within
    /// the start's packets, otherwise P1's 15 s.
    pub(crate) fn allowed_at(&self, spacing: Duration) -> Instant {
        let gap = if self.tokens > 0 { spacing } else { MIN_INTERVAL };
        self.last_sent.map_or(self.not_before, |at| (at + gap).max(self.not_before))
    }

    /// A request goes to it now.
    pub(crate) fn sent(&mut self, now: Instant) {
        self.last_sent = Some(now);
        self.tokens = self.tokens.saturating_sub(1);
        self.reach <<= 1;
        if self.quarantined {
            // Only a quarantine that has ended lets a request through.
            self.quarantined = false;
        }
    }

    /// Takes in a good reply. `steady_poll` is the range of exponents for a server that answers.
    pub(crate) fn good(&mut self, m: &Measurement, now: Instant, steady_poll: (u8, u8)) {
        let distance_ns = m.server.distance_ns(m.delay_ns, now.since(m.sent_at).as_micros());
        let claim = Candidate { offset_ns: m.offset_ns, distance_ns };
        let jumped = self.candidate(now).is_some_and(|held| !held.agrees(&claim));
        if jumped {
            // The old samples speak of a server that is no more.
            self.held = 0;
        }
        let sent_s = u32::try_from(m.sent_at.as_micros() / 1_000_000).unwrap_or(u32::MAX);
        self.samples.rotate_right(1);
        if let Some(newest) = self.samples.first_mut() {
            *newest = Sample { offset_ns: m.offset_ns, delay_ns: m.delay_ns, sent_s };
        }
        self.held = (self.held + 1).min(SAMPLES_HELD);
        self.facts = m.server;
        self.last_refusal = None;
        self.lost = false;
        self.reach |= 1;
        self.denials = 0;
        self.poll_floor = self.rate_floor.max(granted_poll(m.server.poll));
        let (least, most) = steady_poll;
        // A single loss is no news of the server.
        let silent_before = self.last_good.is_none() || self.reach & 0b1110 == 0;
        self.last_good = Some(now);
        self.poll = self.poll.max(least);
        if jumped || silent_before {
            (self.poll, self.steady) = (least, 0);
        } else {
            self.steady += 1;
            if self.steady >= STEADY {
                (self.poll, self.steady) = ((self.poll + 1).clamp(least, most), 0);
            }
        }
    }

    /// Takes in that the server is of no use for now. `poll` is the poll field of its reply.
    pub(crate) fn refused(&mut self, why: Discard, poll: i8, now: Instant) {
        self.last_refusal = Some(why);
        let pause = match why {
            Discard::KissDeny | Discard::KissRestrict => {
                // K1: unsigned, so it is believed for hours, not for ever.
                let pause = (QUARANTINE.0 * (1 << self.denials.min(8))).min(QUARANTINE.1);
                self.denials = self.denials.saturating_add(1);
                self.quarantined = true;
                pause
            }
            Discard::KissRate => {
                // K2, K3: at once, and at every further one.
                let asked = u8::try_from(poll).unwrap_or(0);
                let doubled = self.poll.max(self.rate_floor).max(FIRST_POLL) + 1;
                self.rate_floor = doubled.max(asked).min(MAX_KISS_POLL);
                self.poll_floor = self.rate_floor;
                self.poll = self.poll.max(self.rate_floor);
                self.tokens = 0;
                Duration::from_secs(1 << self.rate_floor)
            }
            _ if why.blames_server() => NOT_READY,
            _ => return,
        };
        self.not_before = self.not_before.max(now + pause);
    }

    /// A poll was not answered: the interval doubles (P2), up to `most`.
    pub(crate) fn silent(&mut self, most: u8) {
        self.poll = (self.poll + 1).min(most.max(self.poll_floor));
        self.steady = 0;
    }

    /// The exponent to poll by: its own, or what the server grants.
    pub(crate) fn poll_exponent(&self) -> u8 {
        self.poll.max(self.poll_floor)
    }

    /// Forgets the samples: the monotonic clock has been steered since they were taken.
    pub(crate) fn forget_samples(&mut self) {
        self.held = 0;
    }

    /// A leap second has passed since they were taken.
    pub(crate) fn shift_samples(&mut self, by_ns: i64) {
        for sample in &mut self.samples {
            sample.offset_ns = sample.offset_ns.wrapping_add(by_ns);
        }
    }

    /// How many samples it stands by, all agreeing with each other.
    pub(crate) fn held(&self) -> u8 {
        self.held
    }

    /// Whether none of the last three polls was answered.
    pub(crate) fn is_silent(&self) -> bool {
        self.reach & 7 == 0
    }

    /// Its samples.
    fn samples(&self) -> &[Sample] {
        self.samples.get(..usize::from(self.held)).unwrap_or(&[])
    }

    /// C3: the sample of the shortest way, with the age weighing as much as the drift does.
    fn best(&self, now: Instant) -> Option<&Sample> {
        self.samples().iter().min_by_key(|s| self.facts.distance_ns(s.delay_ns, s.age_us(now)))
    }

    /// Its claim at `now`: the best sample, with λ (M7). `None` without samples, or if it has been
    /// silent for eight polls.
    pub(crate) fn candidate(&self, now: Instant) -> Option<Candidate> {
        if self.reach == 0 {
            return None;
        }
        let best = self.best(now)?;
        let distance_ns = self.facts.distance_ns(best.delay_ns, best.age_us(now));
        Some(Candidate {
            offset_ns: best.offset_ns,
            distance_ns: distance_ns.saturating_add(self.jitter_ns(best)),
        })
    }

    /// δ of the best sample, nanoseconds.
    pub(crate) fn delay_ns(&self, now: Instant) -> Option<u32> {
        self.best(now).map(|s| s.delay_ns)
    }

    /// ψ, how far the samples lie around the best one, nanoseconds. RFC 5905 §10.
    fn jitter_ns(&self, best: &Sample) -> u64 {
        let others = u64::from(self.held.saturating_sub(1).max(1));
        let mut mean_square = 0_u64;
        for sample in self.samples() {
            let apart_ns = sample.offset_ns.wrapping_sub(best.offset_ns).unsigned_abs();
            // Samples that agree are not four seconds apart.
            let Ok(apart_ns) = u32::try_from(apart_ns) else { return u64::MAX };
            mean_square = mean_square.saturating_add(u64::from(apart_ns).pow(2) / others);
        }
        root(mean_square)
    }
}

/// The root, rounded down, digit by digit: a table for it would be larger than all of this.
fn root(square: u64) -> u64 {
    let (mut rest, mut root, mut digit) = (square, 0, 1 << 62);
    while digit != 0 {
        if rest >= root + digit {
            rest -= root + digit;
            root = (root >> 1) + digit;
        } else {
            root >>= 1;
        }
        digit >>= 2;
    }
    root
}

impl Sample {
    /// Microseconds since its request left, up to a second more.
    fn age_us(&self, now: Instant) -> u64 {
        now.since(Instant::from_micros(u64::from(self.sent_s) * 1_000_000)).as_micros()
    }
}

/// K6: a poll field in an ordinary reply that is the server's limit of rate, as chrony's is. Zero is
/// the echo of ours.
fn granted_poll(poll: i8) -> u8 {
    match u8::try_from(poll) {
        Ok(p @ 1..=17) => p.min(MAX_KISS_POLL),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c3_m7_the_nearest_sample_counts_and_the_others_widen_its_bound() {
        let mut a = Association::new(Server::NOBODY);
        let mut take = |offset_ms: i64, delay_ms: u32| {
            let facts = ServerFacts { precision: -20, ..ServerFacts::NONE };
            let m = Measurement {
                offset_ns: offset_ms * 1_000_000,
                delay_ns: delay_ms * 1_000_000,
                sent_at: Instant::ZERO,
                server: facts,
            };
            a.sent(Instant::ZERO);
            a.good(&m, Instant::ZERO, (6, 10));
            a.candidate(Instant::ZERO).map(|c| (c.offset_ns / 1_000_000, c.distance_ns / 1_000_000))
        };
        assert_eq!(take(7, 40), Some((7, 20)));
        assert_eq!(take(4, 20), Some((4, 13)), "10 ms of way, 3 ms of jitter");
        assert_eq!(take(8, 60), Some((4, 13)), "the root of (9 + 16) / 2 ms, rounded down");
    }

    #[test]
    fn the_root_is_the_library_s() {
        let edges = (0..32).flat_map(|bit| {
            let square = (1_u64 << bit).pow(2);
            [square.saturating_sub(1), square, square + 1, square * 2]
        });
        for square in edges.chain([10_000_000_000, u64::MAX - 1, u64::MAX]) {
            assert_eq!(root(square), square.isqrt(), "{square}");
        }
    }

    #[test]
    fn m7_samples_that_are_seconds_apart_bound_nothing() {
        let mut a = Association::new(Server::NOBODY);
        a.held = 2;
        let mut jitter_ns = |apart_ns: i64| {
            a.samples[1].offset_ns = apart_ns;
            a.jitter_ns(&Sample::default())
        };
        assert_eq!(jitter_ns(-4_000_000_000), 4_000_000_000);
        assert_eq!(jitter_ns(u32::MAX.into()), u32::MAX.into());
        assert_eq!(jitter_ns(i64::from(u32::MAX) + 1), u64::MAX);
        assert_eq!(jitter_ns(i64::MIN), u64::MAX);
    }

    #[test]
    fn an_association_is_small() {
        assert!(size_of::<[Sample; SAMPLES]>() == 128);
        assert!(size_of::<Association>() <= 320, "{}", size_of::<Association>());
    }
}
