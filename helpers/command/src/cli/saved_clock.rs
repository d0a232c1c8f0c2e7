//! [`SavedClock`]: the time that was known before the restart: no time is below it any more.
//!
//! One line of text, the same instant twice: `1795500000 2026-11-24T05:20:00.000000Z followed`. A line
//! whose two halves differ is damaged and counts for nothing: a floor that is too late would turn
//! every honest server away.

use bringup_core::time::Utc;
use bringup_ntp::Wall;

/// Its file in the state directory.
pub const FILE: &str = "clock";

/// What is saved lies within so many seconds after the build: half an era, which is as far as a
/// floor can tell times apart.
const HORIZON_S: i64 = 1 << 31;
/// The machine's clock follows UTC if it is no further off than this, nanoseconds.
const FOLLOWS_NS: u64 = 1_000_000_000;

/// What was known of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedClock {
    /// A time that has passed for certain.
    pub utc: Utc,
    /// Whether the machine's clock was right then.
    pub followed: bool,
}

/// Why a saved clock counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is no line of ours, or not whole.
    Damaged,
    /// It lies decades after the build.
    TooLate,
}

impl Refused {
    /// As a sentence without subject.
    pub const fn why(self) -> &'static str {
        match self {
            Self::Damaged => "is damaged",
            Self::TooLate => "lies too far in the future to be believed",
        }
    }
}

impl SavedClock {
    /// What is worth saving of a confirmed time; `offset_ns` is what the machine's clock lacks.
    pub fn new(utc: Utc, offset_ns: Option<i64>) -> Self {
        let followed = offset_ns.is_some_and(|ns| ns.unsigned_abs() <= FOLLOWS_NS);
        Self { utc: Utc::from_unix_secs(utc.as_unix_secs()), followed }
    }

    /// The file's content.
    pub fn to_text(self) -> String {
        let word = if self.followed { "followed" } else { "apart" };
        format!("{} {} {word}\n", self.utc.as_unix_secs(), self.utc)
    }

    /// Reads the file's content; `built` is when this program was.
    pub fn from_text(text: &str, built: Utc) -> Result<Self, Refused> {
        let second = text.split(' ').next().and_then(|word| word.parse().ok());
        let utc = Utc::from_unix_secs(second.ok_or(Refused::Damaged)?);
        let [followed, apart] = [true, false].map(|followed| Self { utc, followed });
        let saved = [followed, apart].into_iter().find(|saved| saved.to_text() == text);
        let saved = saved.ok_or(Refused::Damaged)?;
        if utc.as_unix_secs().saturating_sub(built.as_unix_secs()) >= HORIZON_S {
            return Err(Refused::TooLate);
        }
        Ok(saved)
    }

    /// What the machine's clock is worth, which says `now`: if it followed UTC when this was saved and
    /// has not fallen behind since, it has run on, and the panic limit holds from the first sample.
    pub fn wall(self, now: Utc) -> Wall {
        if self.followed && self.utc <= now { Wall::Running } else { Wall::Unset }
    }
}

/// When this program was built, less a week for build machines whose clock is wrong: no honest
/// server's time lies before (BCP 223 §5.2).
pub fn built() -> Utc {
    let built = env!("BRINGUP_BUILT_S").parse().unwrap_or(0);
    Utc::from_unix_secs(built).offset_by(-7 * 86_400 * 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT: Utc = Utc::from_unix_secs(1_795_500_000);

    #[test]
    fn d2_what_was_saved_is_read_again() {
        for (ns, followed) in [(0, true), (1_000_000_000, true), (-1_000_000_001, false)] {
            let saved = SavedClock::new(BUILT.offset_by(86_400_123_456_789), Some(ns));
            assert_eq!(saved.followed, followed, "{ns}");
            assert_eq!(SavedClock::from_text(&saved.to_text(), BUILT), Ok(saved));
        }
        assert!(!SavedClock::new(BUILT, None).followed);
    }

    #[test]
    fn a13_a_damaged_clock_or_one_of_the_far_future_is_no_floor() {
        let good = SavedClock::new(BUILT, Some(0)).to_text();
        assert!(good.starts_with("1795500000 2026-11-24T"), "{good}");
        for (at, _) in good.char_indices() {
            let cut = &good[..at];
            assert_eq!(SavedClock::from_text(cut, BUILT), Err(Refused::Damaged), "{cut}");
            let mut flipped = good.clone().into_bytes();
            flipped[at] ^= 1;
            let flipped = String::from_utf8(flipped).unwrap();
            assert_eq!(SavedClock::from_text(&flipped, BUILT), Err(Refused::Damaged), "{flipped}");
        }
        for text in ["", "\n", "now", "99999999999999999999 x followed\n", "-5 x apart\n"] {
            assert_eq!(SavedClock::from_text(text, BUILT), Err(Refused::Damaged), "{text}");
        }
        let of = |s: i64| SavedClock::new(BUILT.offset_by(s * 1_000_000_000), Some(0)).to_text();
        assert!(SavedClock::from_text(&of(HORIZON_S - 1), BUILT).is_ok());
        assert_eq!(SavedClock::from_text(&of(HORIZON_S), BUILT), Err(Refused::TooLate));
        assert!(SavedClock::from_text(&of(-86_400), BUILT).is_ok(), "an older one does no harm");
    }

    #[test]
    fn c4_a_clock_that_has_run_on_is_an_anchor() {
        let saved = SavedClock::new(BUILT, Some(0));
        assert_eq!(saved.wall(BUILT), Wall::Running);
        assert_eq!(saved.wall(BUILT.offset_by(-1)), Wall::Unset, "it has fallen back");
        assert_eq!(SavedClock { followed: false, ..saved }.wall(BUILT), Wall::Unset);
    }
}
