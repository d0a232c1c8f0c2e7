//! The limit on what one client sends, whatever it hears.

use bringup_core::time::{Duration, Instant};

/// How many messages may go out at once.
pub(crate) const BURST: u64 = 4;
/// One message is earned back in this time: two a second.
pub(crate) const REFILL: Duration = Duration::from_millis(500);

/// A token bucket, held as the one instant at which it will be full again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    full_at: Instant,
}

impl Bucket {
    pub(crate) const fn new() -> Self {
        Self { full_at: Instant::ZERO }
    }

    /// Takes a token, or says when there will be one; that is later than `now`.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        self.take_within(REFILL * (BURST - 1), now)
    }

    /// Like [`take`](Self::take), but an empty bucket gives one more, which is owed: the next token pays
    /// for it.
    pub(crate) fn take_or_owe(&mut self, now: Instant) -> Result<(), Instant> {
        self.take_within(REFILL * BURST, now)
    }

    /// Takes a token if it would be full again within `slack`.
    fn take_within(&mut self, slack: Duration, now: Instant) -> Result<(), Instant> {
        if self.full_at > now + slack {
            return Err(self.full_at - slack);
        }
        self.full_at = self.full_at.max(now) + REFILL;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_at_once_then_two_a_second() {
        let mut bucket = Bucket::new();
        let ms = |n| Instant::ZERO + Duration::from_millis(n);
        let mut sent = 0;
        for now in 0..10_000 {
            while bucket.take(ms(now)).is_ok() {
                sent += 1;
            }
            assert!(sent == 4 + now / 500, "{sent} after {now} ms");
            assert_eq!(bucket.take(ms(now)), Err(ms((now / 500 + 1) * 500)));
        }
        let late = ms(3_600_000);
        assert_eq!((0..9).filter(|_| bucket.take(late).is_ok()).count(), 4, "it holds no more");
    }

    #[test]
    fn one_more_is_owed() {
        let mut bucket = Bucket::new();
        let ms = |n| Instant::ZERO + Duration::from_millis(n);
        assert_eq!((0..9).filter(|_| bucket.take_or_owe(ms(0)).is_ok()).count(), 5);
        assert_eq!(bucket.take_or_owe(ms(0)), Err(ms(500)), "when the debt is paid");
        assert_eq!(bucket.take(ms(0)), Err(ms(1_000)), "when there is one beyond that");
        assert_eq!((bucket.take(ms(999)), bucket.take(ms(1_000))), (Err(ms(1_000)), Ok(())));
        let late = ms(3_600_000);
        assert_eq!(
            (0..9).filter(|_| bucket.take_or_owe(late).is_ok()).count(),
            5,
            "it holds no more"
        );
    }
}
