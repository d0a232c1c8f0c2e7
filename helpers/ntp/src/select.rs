//! Who is right when several servers answer: the intersection that a majority shares.
//! RFC 5905 §11.2.1.

/// How many candidates are looked at; further ones are ignored.
pub const MAX_CANDIDATES: usize = 8;

/// A server's claim: the true offset lies within `distance_ns` of `offset_ns`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// θ, nanoseconds on a scale that all candidates share.
    pub offset_ns: i64,
    /// λ, the root synchronisation distance, nanoseconds.
    pub distance_ns: u64,
}

impl Candidate {
    /// The lower end of what it claims.
    fn low(&self) -> i128 {
        i128::from(self.offset_ns) - i128::from(self.distance_ns)
    }

    /// The upper end of what it claims.
    fn high(&self) -> i128 {
        i128::from(self.offset_ns) + i128::from(self.distance_ns)
    }

    /// Whether two claims can both be true.
    pub fn agrees(&self, other: &Self) -> bool {
        self.low() <= other.high() && other.low() <= self.high()
    }
}

/// The candidates that are in the right, as far as a majority can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Majority {
    /// Bit `i` stands for candidate `i`.
    members: u8,
}

impl Majority {
    /// Whether candidate `index` is one of them.
    pub fn contains(&self, index: usize) -> bool {
        index < MAX_CANDIDATES && self.members >> index & 1 == 1
    }

    /// How many they are.
    pub const fn count(&self) -> u32 {
        self.members.count_ones()
    }
}

/// The largest set of candidates that share a point, if it is more than half of them.
///
/// A tie decides nothing. Unlike in RFC 5905 step 5, and as in today's ntpd, midpoints do not count:
/// two claims agree where they can both be true, or a server on the link would never agree with one
/// across the world.
pub fn intersect(candidates: &[Candidate]) -> Option<Majority> {
    let candidates = candidates.get(..MAX_CANDIDATES).unwrap_or(candidates);
    // Of the points that the most intervals share, one is always the lower end of an interval.
    let members = candidates
        .iter()
        .map(|point| sharing(candidates, point.low()))
        .max_by_key(|members| members.count_ones())?;
    let is_majority = members.count_ones() as usize * 2 > candidates.len();
    is_majority.then_some(Majority { members })
}

/// The set of candidates whose claims hold at `point`.
fn sharing(candidates: &[Candidate], point: i128) -> u8 {
    candidates
        .iter()
        .enumerate()
        .filter(|(_, c)| c.low() <= point && point <= c.high())
        .fold(0, |members, (i, _)| members | 1 << i)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::testing::Dice;
    use bringup_core::client::Rng;
    use std::vec::Vec;

    /// Candidates at these offsets in seconds, each good to 50 ms.
    fn at(offsets: &[i64]) -> Vec<Candidate> {
        let candidate = |&s| Candidate { offset_ns: s * 1_000_000_000, distance_ns: 50_000_000 };
        offsets.iter().map(candidate).collect()
    }

    #[test]
    fn c2_majority_and_ties() {
        for (row, offsets, members) in [
            ("nobody", &[][..], None),
            ("one", &[7], Some(0b1)),
            ("two agree", &[0, 0], Some(0b11)),
            ("two disagree", &[0, 3600], None),
            ("bad first of three", &[3600, 0, 0], Some(0b110)),
            ("bad first of four", &[3600, 0, 0, 0], Some(0b1110)),
            ("two against two", &[0, 0, 3600, 3600], None),
            ("two against one and one", &[0, 0, 3600, -3600], None),
            ("three against two", &[0, 3600, 0, 3600, 0], Some(0b10101)),
        ] {
            assert_eq!(intersect(&at(offsets)).map(|m| m.members), members, "{row}");
        }
    }

    #[test]
    fn a_wide_claim_agrees_with_a_narrow_one_inside_it() {
        let near = Candidate { offset_ns: 0, distance_ns: 3_000_000 };
        let far = Candidate { offset_ns: 20_000_000, distance_ns: 50_000_000 };
        assert_eq!(intersect(&[near, far]).map(|m| m.count()), Some(2));
        assert!(near.agrees(&far) && far.agrees(&near));
    }

    #[test]
    fn claims_that_share_a_single_point_agree() {
        let claim = |offset_ns| Candidate { offset_ns, distance_ns: 5 };
        for (apart, agree) in [(10, true), (11, false)] {
            assert_eq!(claim(0).agrees(&claim(apart)), agree, "{apart}");
            assert_eq!(claim(apart).agrees(&claim(0)), agree, "{apart}");
        }
    }

    #[test]
    fn nobody_is_beyond_the_last_candidate() {
        let all = intersect(&at(&[0; MAX_CANDIDATES + 1])).unwrap();
        assert_eq!((0..20).filter(|&i| all.contains(i)).count(), MAX_CANDIDATES);
    }

    #[test]
    fn overlap_is_not_transitive() {
        // The first meets the second and the second the third; no point is in all three.
        let chain: Vec<_> =
            [0, 8, 16].map(|offset_ns| Candidate { offset_ns, distance_ns: 5 }).to_vec();
        assert_eq!(intersect(&chain).map(|m| m.count()), Some(2));
    }

    /// The definition, point by point over a small line.
    fn by_definition(candidates: &[Candidate]) -> usize {
        let count = |p| candidates.iter().filter(|c| c.low() <= p && p <= c.high()).count();
        (-40..=40).map(count).max().unwrap_or(0)
    }

    #[test]
    fn matches_the_definition() {
        let mut dice = Dice(11);
        for _ in 0..20_000 {
            let n = dice.below(9);
            let candidates: Vec<_> = (0..n)
                .map(|_| Candidate {
                    offset_ns: i64::try_from(dice.below(41)).unwrap() - 20,
                    distance_ns: dice.below(12),
                })
                .collect();
            let most = by_definition(&candidates);
            let expected = (most * 2 > candidates.len()).then_some(most);
            let found = intersect(&candidates).map(|m| m.count() as usize);
            assert_eq!(found, expected, "{candidates:?}");
        }
    }
}
