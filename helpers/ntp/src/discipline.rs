//! [`Policy`]: what to do about the wall clock, as data. The client decides, the platform acts or not.

use crate::packet::Leap;

/// How the machine's clock is to be changed; nobody but the platform does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjust {
    /// Set it at once.
    Step {
        /// What is to be added to the clock, in nanoseconds.
        offset_ns: i64,
    },
    /// Bring it there gradually; the clock stays monotonic.
    Slew {
        /// What is to be added to the clock, in nanoseconds.
        offset_ns: i64,
    },
    /// Change how fast it runs; only if [`Config::frequency`](crate::Config::frequency) says so.
    Rate {
        /// What is to be added to its rate, in nanoseconds a second.
        ppb: i64,
    },
    /// Insert or leave out a second at the end of this UTC day, or neither after all. Told within the
    /// last day of a month, when a majority announces it (C7).
    Leap(Leap),
}

/// What the machine's clock is worth before this client has said anything about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wall {
    /// Nothing: the first good sample may set it, however far off it is (C1).
    #[default]
    Unset,
    /// It was set from a confirmed time and has run since: the panic limit holds from the first
    /// sample on, so that a restart does not bypass it (BCP 223 §5.2).
    Running,
}

/// When to step, when to slew, and when to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// From this offset on the clock is stepped, nanoseconds (STEPT, RFC 5905 §11.3).
    pub step_ns: u64,
    /// A step back by more than this waits for a confirmed time, nanoseconds (C4).
    pub back_ns: u64,
    /// Beyond this offset a running clock is not touched, nanoseconds (PANICT, RFC 5905 §11.3).
    pub panic_ns: u64,
}

impl Policy {
    /// The values of RFC 5905 §11.3: step from 125 ms on, panic beyond 1000 s; back by more than
    /// 500 ms only when confirmed.
    pub const RFC_5905: Self =
        Self { step_ns: 125_000_000, back_ns: 500_000_000, panic_ns: 1_000_000_000_000 };
}

/// What is known when a decision is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// UTC less the wall clock, nanoseconds.
    pub offset_ns: i64,
    /// Error bound of UTC, nanoseconds.
    pub error_ns: u64,
    /// Whether UTC is confirmed.
    pub confirmed: bool,
    /// What the wall clock is worth.
    pub wall: Wall,
    /// Whether the wall clock is before a time that is known to have passed.
    pub wall_below_floor: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing for now.
    Wait,
    /// This.
    Do(Adjust),
    /// Nothing, and somebody should look: the offset is beyond the panic limit.
    Panic,
}

impl Policy {
    /// Decides.
    pub fn decide(&self, s: &Situation) -> Decision {
        let Situation { offset_ns, .. } = *s;
        let magnitude_ns = offset_ns.unsigned_abs();
        let is_running = s.wall == Wall::Running && !s.wall_below_floor;
        if magnitude_ns <= self.step_ns {
            return Decision::Do(Adjust::Slew { offset_ns });
        }
        if magnitude_ns <= s.error_ns {
            // A server that counts in whole seconds is no reason to jump (systemd#14404).
            return Decision::Wait;
        }
        if is_running && magnitude_ns > self.panic_ns {
            return Decision::Panic;
        }
        if is_running && !s.confirmed && offset_ns < 0 && magnitude_ns > self.back_ns {
            return Decision::Wait;
        }
        Decision::Do(Adjust::Step { offset_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn c1_c4_step_slew_wait_panic() {
        let base = Situation {
            offset_ns: 0,
            error_ns: 10_000_000,
            confirmed: false,
            wall: Wall::Running,
            wall_below_floor: false,
        };
        let step = |offset_ns| Decision::Do(Adjust::Step { offset_ns });
        let slew = |offset_ns| Decision::Do(Adjust::Slew { offset_ns });
        let unset = Situation { wall: Wall::Unset, ..base };
        let sure = Situation { confirmed: true, ..base };
        let old = Situation { wall_below_floor: true, ..base };
        let coarse = Situation { error_ns: 1_100_000_000, ..sure };
        for (row, situation, offset_ns, decision) in [
            ("small", base, 125 * MS, slew(125 * MS)),
            ("small, back", base, -125 * MS, slew(-125 * MS)),
            ("forward", base, 126 * MS, step(126 * MS)),
            ("back a little", base, -500 * MS, step(-500 * MS)),
            ("C4: back, unconfirmed", base, -501 * MS, Decision::Wait),
            ("C4: back, confirmed", sure, -501 * MS, step(-501 * MS)),
            ("C4: the panic limit itself", sure, 1_000_000 * MS, step(1_000_000 * MS)),
            ("C4: panic", sure, 1_000_001 * MS, Decision::Panic),
            ("C4: panic, back", sure, -1_000_001 * MS, Decision::Panic),
            ("C1: never set", unset, 1_000_001 * MS, step(1_000_001 * MS)),
            ("C1: never set, back", unset, -1_000_001 * MS, step(-1_000_001 * MS)),
            ("C1: before the floor", old, 1_000_001 * MS, step(1_000_001 * MS)),
            ("whole seconds", coarse, 900 * MS, Decision::Wait),
            ("whole seconds, as far off as they can be", coarse, 1_100 * MS, Decision::Wait),
            ("whole seconds, but an hour off", coarse, 3_600_000 * MS, Decision::Panic),
            ("the end of the scale", sure, i64::MIN, Decision::Panic),
        ] {
            let situation = Situation { offset_ns, ..situation };
            assert_eq!(Policy::RFC_5905.decide(&situation), decision, "{row}");
        }
    }
}
