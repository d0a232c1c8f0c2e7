//! When an unanswered message is sent again.

use bringup_core::client::Rng;
use bringup_core::time::Duration;

/// How patient the client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// 0.5, 1, 2, 4, 8, then 16 s between sends, each ± 1/8. The default, since the first resend
    /// decides how long bring-up takes where packets are lost. It departs from a SHOULD of
    /// RFC 2131 §4.1.
    #[default]
    Fast,
    /// 4, 8, 16, 32, then 64 s between sends, each ± 1 s. RFC 2131 §4.1.
    Standard,
}

impl Profile {
    /// The interval after send number `step`, counted from 0, without jitter.
    const fn interval(self, step: u8) -> Duration {
        match self {
            Self::Fast => Duration::from_millis(500 << (if step < 5 { step } else { 5 })),
            Self::Standard => Duration::from_secs(4 << (if step < 4 { step } else { 4 })),
        }
    }

    /// How far an interval may be off, either way.
    const fn jitter(self, interval: Duration) -> Duration {
        match self {
            Self::Fast => Duration::from_micros(interval.as_micros() / 8),
            Self::Standard => Duration::from_secs(1),
        }
    }

    /// How long to wait after send number `step`, counted from 0.
    pub(crate) fn wait(self, step: u8, rng: &mut dyn Rng) -> Duration {
        let interval = self.interval(step);
        let jitter = self.jitter(interval);
        let spread = (jitter * 2).as_micros().saturating_add(1);
        interval - jitter + Duration::from_micros(rng.below(spread))
    }

    /// How many REQUESTs for an offer go unanswered before it is given up.
    ///
    /// RFC 2131 §3.1 step 5 has four resends as its example, about 60 s.
    pub(crate) const fn requests(self) -> u8 {
        match self {
            Self::Fast => 4,
            Self::Standard => 5,
        }
    }

    /// The wait after the last of these: short, since the next thing may work.
    pub(crate) fn last_wait(self, rng: &mut dyn Rng) -> Duration {
        match self {
            Self::Fast => self.wait(3, rng),
            Self::Standard => self.wait(0, rng),
        }
    }

    /// How many REQUESTs go out in REBOOTING: a server that doesn't know us stays silent
    /// (RFC 2131 §4.3.2), so that waiting longer is time lost.
    pub(crate) const fn reboots(self) -> u8 {
        2
    }

    /// After how many silent DISCOVERs the application is told.
    pub(crate) const fn silent_sends(self) -> u8 {
        4
    }
}

/// How long to wait after a NAK: 1, 2, 4 .. 64 s. No RFC has it; everybody who lacks it has loops.
///
/// `naks` counts those since the last lease, from 1.
pub(crate) const fn nak_backoff(naks: u8) -> Duration {
    let doublings = naks.saturating_sub(1);
    Duration::from_secs(1 << (if doublings < 6 { doublings } else { 6 }))
}

/// How many INFORMs go unanswered before the application is told. RFC 2131 §4.4.3.
pub(crate) const INFORMS: u8 = 4;

/// How long a host that needs no IPv4 asks for none, at least. RFC 8925 §3.4 MIN_V6ONLY_WAIT.
const V6ONLY_WAIT_MIN: Duration = Duration::from_secs(300);

/// How long no address is asked for after option 108 said `seconds`.
pub(crate) fn v6only_wait(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds)).max(V6ONLY_WAIT_MIN)
}

/// How many conflicts in a row there may be before addresses are tried once a minute only.
/// RFC 5227 §1.1 MAX_CONFLICTS.
const MAX_CONFLICTS: u8 = 10;

/// Whether addresses are to be tried once a minute only.
pub(crate) const fn too_many(conflicts: u8) -> bool {
    conflicts >= MAX_CONFLICTS
}

/// How long nothing is asked for after a DECLINE: at least 10 s (RFC 2131 §3.1 step 5), a minute
/// after many (RFC 5227 §2.1.1 RATE_LIMIT_INTERVAL).
pub(crate) const fn quiet(conflicts: u8) -> Duration {
    Duration::from_secs(if too_many(conflicts) { 60 } else { 10 })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Edge(u8);
    impl Rng for Edge {
        fn fill(&mut self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    #[test]
    fn rule_2_bounds() {
        let s = [4_000, 8_000, 16_000, 32_000, 64_000, 64_000];
        let f = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 16_000];
        for (step, &ms) in (0..).zip(&s) {
            let (low, high) =
                (Duration::from_millis(ms - 1_000), Duration::from_millis(ms + 1_000));
            assert_eq!(Profile::Standard.wait(step, &mut Edge(0)), low, "{step}");
            assert_eq!(Profile::Standard.wait(step, &mut Edge(255)), high, "{step}");
        }
        for (step, &ms) in (0..).zip(&f) {
            let (low, high) = (Duration::from_micros(ms * 875), Duration::from_micros(ms * 1125));
            assert_eq!(Profile::Fast.wait(step, &mut Edge(0)), low, "{step}");
            assert_eq!(Profile::Fast.wait(step, &mut Edge(255)), high, "{step}");
        }
        assert_eq!(Profile::Standard.wait(255, &mut Edge(0)), Duration::from_secs(63));
    }

    #[test]
    fn rule_12_nak_backoff() {
        for (naks, s) in [(0, 1), (1, 1), (2, 2), (3, 4), (7, 64), (8, 64), (255, 64)] {
            assert_eq!(nak_backoff(naks), Duration::from_secs(s), "{naks}");
        }
    }
}
