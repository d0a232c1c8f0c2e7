//! The wall clock of the simulated machine, and true time.

use bringup_core::client::Rng;
use bringup_core::time::{Duration, Instant, Utc};

/// Virtual time begins here: late enough that nothing is before the start of time.
pub(super) const START: Instant = Instant::from_micros(1_000_000);

/// True UTC at the start: 2026-01-01T00:00:00Z.
const EPOCH: Utc = Utc::from_unix_secs(1_767_225_600);

/// What UTC really is at an instant of the simulation, whatever the machine's clock says.
pub fn true_utc(now: Instant) -> Utc {
    EPOCH.offset_by(nanos(now.since(START)))
}

fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX).saturating_mul(1_000)
}

/// `a * b / c` without overflow on the way.
fn scale(a: i64, b: i64, c: i64) -> i64 {
    i64::try_from(i128::from(a) * i128::from(b) / i128::from(c)).unwrap_or(i64::MAX)
}

/// How fast a slew goes, as the kernel's adjtime: 500 parts in a million.
const SLEW_PPM: i64 = 500;

/// A clock that was right once and drifts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wall {
    base: Instant,
    at_base: Utc,
    drift_ppb: i64,
    /// What a slew that began at `base` is to add.
    slew_ns: i64,
}

impl Wall {
    pub(super) const fn new() -> Self {
        Self { base: START, at_base: EPOCH, drift_ppb: 0, slew_ns: 0 }
    }

    fn slewed(&self, elapsed_ns: i64) -> i64 {
        let most = scale(elapsed_ns, SLEW_PPM, 1_000_000);
        self.slew_ns.clamp(-most, most)
    }

    pub(super) fn read(&self, now: Instant) -> Utc {
        let elapsed = nanos(now.since(self.base));
        let drifted = scale(elapsed, self.drift_ppb, 1_000_000_000);
        self.at_base.offset_by(elapsed).offset_by(drifted).offset_by(self.slewed(elapsed))
    }

    /// Starts a new piece of the line at `now`.
    fn rebase(&mut self, now: Instant) {
        let left = self.slew_ns - self.slewed(nanos(now.since(self.base)));
        self.at_base = self.read(now);
        self.base = now;
        self.slew_ns = left;
    }

    pub(super) fn set(&mut self, now: Instant, utc: Utc) {
        self.rebase(now);
        self.at_base = utc;
    }

    pub(super) fn step(&mut self, now: Instant, offset_ns: i64) {
        self.set(now, self.read(now).offset_by(offset_ns));
    }

    /// A new slew replaces what is left of the last.
    pub(super) fn slew(&mut self, now: Instant, offset_ns: i64) {
        self.rebase(now);
        self.slew_ns = offset_ns;
    }

    /// Changes the rate by so much.
    pub(super) fn turn(&mut self, now: Instant, ppb: i64) {
        self.set_drift(now, self.drift_ppb.saturating_add(ppb));
    }

    pub(super) fn set_drift(&mut self, now: Instant, ppb: i64) {
        self.rebase(now);
        self.drift_ppb = ppb;
    }
}

/// SplitMix64: small, and equal seeds give equal numbers everywhere.
#[derive(Clone, Debug)]
pub(super) struct SeededRng(pub(super) u64);

impl SeededRng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl Rng for SeededRng {
    fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            for (to, from) in chunk.iter_mut().zip(self.next().to_le_bytes()) {
                *to = from;
            }
        }
    }

    // As on every machine, whatever its byte order.
    fn u16(&mut self) -> u16 {
        let [a, b, ..] = self.next().to_le_bytes();
        u16::from_le_bytes([a, b])
    }

    fn u32(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.next().to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    fn u64(&mut self) -> u64 {
        self.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        START + Duration::from_secs(s)
    }

    #[test]
    fn the_wall_clock_drifts_steps_and_slews() {
        let mut wall = Wall::new();
        assert_eq!(wall.read(at(9)), true_utc(at(9)));
        wall.set_drift(at(10), 100_000);
        assert_eq!(wall.read(at(20)).nanos_since(true_utc(at(20))), 1_000_000, "100 ppm of 10 s");
        wall.set_drift(at(20), 0);
        wall.step(at(20), -1_000_000);
        assert_eq!(wall.read(at(30)), true_utc(at(30)));
        wall.slew(at(30), -1_000_000);
        assert_eq!(wall.read(at(31)).nanos_since(true_utc(at(31))), -500_000);
        wall.set_drift(at(31), 0);
        assert_eq!(wall.read(at(40)).nanos_since(true_utc(at(40))), -1_000_000, "then it ends");
    }
}
