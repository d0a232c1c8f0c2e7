//! [`FrequencyLoop`]: by how much the machine's clock runs too fast or too slow, in integers. Optional.
//!
//! Each offset is slewed away in full; what has come again until the next sample is the work of a
//! wrong rate. A part of that rate is corrected each time, small enough that the noise of a sample
//! hardly shows: a quarter for samples far apart, less for closer ones.

use bringup_core::time::Instant;

/// The rate at which a platform slews, parts per million: the kernel's adjtime.
const SLEW_PPM: u64 = 500;
/// Samples closer than this tell nothing of the rate.
const SHORTEST_S: u64 = 16;
/// The offset of a sample counts as if it had grown over at least so many seconds.
const TIME_CONSTANT_S: u64 = 4_096;
/// The most that is corrected at once, parts per billion: what the kernel can correct at all.
const MOST_PPB: i64 = 500_000;

/// What is known since the clock was last adjusted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrequencyLoop {
    /// When the clock was last adjusted in full; `None` if it was not.
    since: Option<Instant>,
    /// What the adjustment slews, nanoseconds.
    slewing_ns: u64,
}

impl FrequencyLoop {
    pub(crate) const fn new() -> Self {
        Self { since: None, slewing_ns: 0 }
    }

    /// The clock is being adjusted so that nothing is left of its offset; 0 to slew for a step.
    pub(crate) fn adjusted(&mut self, now: Instant, slewing_ns: u64) {
        (self.since, self.slewing_ns) = (Some(now), slewing_ns);
    }

    /// Takes in the offset of a new sample: by how much the clock's rate is to be changed, parts per
    /// billion, if that can be said.
    pub(crate) fn sample(&mut self, now: Instant, offset_ns: i64) -> Option<i64> {
        let elapsed = now.since(self.since.take()?);
        let is_slewing = self.slewing_ns > elapsed.as_micros().saturating_mul(SLEW_PPM) / 1_000;
        if is_slewing || elapsed.as_secs() < SHORTEST_S {
            return None;
        }
        let over_s = (4 * elapsed.as_secs()).max(TIME_CONSTANT_S);
        let ppb = offset_ns / i64::try_from(over_s).unwrap_or(i64::MAX);
        Some(ppb.clamp(-MOST_PPB, MOST_PPB)).filter(|ppb| *ppb != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        Instant::from_micros(s * 1_000_000)
    }

    #[test]
    fn only_what_has_come_again_counts() {
        let mut f = FrequencyLoop::new();
        assert_eq!(f.sample(at(0), 1_000_000), None, "never adjusted");
        f.adjusted(at(0), 0);
        assert_eq!(f.sample(at(1_024), 1_024_000), Some(250), "a quarter of 1 ppm");
        assert_eq!(f.sample(at(2_048), 1_024_000), None, "that was not adjusted");
        f.adjusted(at(0), 0);
        assert_eq!(f.sample(at(8_192), 8_192_000), Some(250), "a quarter, however far apart");
        f.adjusted(at(0), 0);
        assert_eq!(f.sample(at(64), 4_096_000), Some(1_000), "a 64th of 64 ppm");
        f.adjusted(at(0), 100_000_000);
        assert_eq!(f.sample(at(64), 70_000_000), None, "still slewing");
        for (slewing_ns, ppb) in [(32_000_000, Some(1_000)), (32_000_001, None)] {
            f.adjusted(at(0), slewing_ns);
            assert_eq!(f.sample(at(64), 4_096_000), ppb, "{slewing_ns} ns at 500 ppm");
        }
        f.adjusted(at(0), 0);
        assert!(f.sample(at(SHORTEST_S), 1_000_000).is_some());
        f.adjusted(at(0), 0);
        assert_eq!(f.sample(at(8), 1_000_000), None, "too soon");
        f.adjusted(at(0), 0);
        assert_eq!(f.sample(at(20), i64::MIN), Some(-MOST_PPB));
    }
}
