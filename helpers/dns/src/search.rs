//! The search list: which names a relative name may stand for, and in which order.

use crate::name::{Name, NameView};
use crate::parts;

/// How many suffixes are used; further ones are ignored.
pub const MAX_SUFFIXES: usize = 6;

/// As many as there is room for.
const SUFFIXES: usize = if parts::EXTRAS { MAX_SUFFIXES } else { 0 };

/// The suffixes.
pub(crate) struct Search {
    suffixes: [Name; SUFFIXES],
    count: u8,
}

impl Search {
    pub(crate) const EMPTY: Self = Self { suffixes: [const { Name::ROOT }; SUFFIXES], count: 0 };

    pub(crate) fn of(names: impl Iterator<Item = Name>) -> Self {
        let mut search = Self::EMPTY;
        for (slot, name) in search.suffixes.iter_mut().zip(names) {
            *slot = name;
            search.count += 1;
        }
        search
    }

    pub(crate) fn suffixes(&self) -> impl Iterator<Item = &Name> {
        self.suffixes.iter().take(usize::from(self.count))
    }
}

/// In place of a suffix's number: none.
const NO_SUFFIX: u8 = u8::MAX;

/// How the walk over what a name may stand for goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    /// The next step.
    step: u8,
    /// What the name has to be tried as.
    order: Order,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// As it is, and no other way.
    Bare,
    /// As it is, then with each suffix.
    BareFirst,
    /// With each suffix, then as it is.
    BareLast,
    /// With each suffix only.
    NeverBare,
}

impl Walk {
    /// For a name that is absolute, or has a fixed meaning.
    pub(crate) const BARE: Self = Self { step: 0, order: Order::Bare };

    /// For a relative name, as glibc does: with `ndots` dots or more it is tried as it is first. A
    /// single label goes out as it is only if `single_labels`.
    pub(crate) fn new(name: NameView<'_>, ndots: u8, single_labels: bool) -> Self {
        let dots = name.label_count().saturating_sub(1);
        let order = match dots >= usize::from(ndots) {
            _ if dots == 0 && !single_labels => Order::NeverBare,
            true => Order::BareFirst,
            false => Order::BareLast,
        };
        Self { step: 0, order }
    }

    /// Whether the first name to try is the name as it is.
    pub(crate) fn begins_bare(self) -> bool {
        matches!(self.order, Order::Bare | Order::BareFirst)
    }

    /// Has `to` become the next name to try, and says whether a suffix made it; a name that gets too long
    /// is passed over.
    pub(crate) fn next(&mut self, name: &Name, search: &Search, to: &mut Name) -> Option<bool> {
        let count = search.count;
        loop {
            let step = self.step;
            self.step = step.checked_add(1)?;
            let suffix = match self.order {
                Order::Bare | Order::BareFirst if step == 0 => NO_SUFFIX,
                Order::BareLast if step == count => NO_SUFFIX,
                Order::Bare => return None,
                Order::BareFirst => step - 1,
                Order::BareLast | Order::NeverBare => step,
            };
            if suffix == NO_SUFFIX {
                to.set(name);
                return Some(false);
            }
            if suffix >= count {
                return None;
            }
            let suffix = search.suffixes.get(usize::from(suffix))?;
            if let Some(joined) = name.join(suffix.view()) {
                to.set(&joined);
                to.make_lowercase();
                return Some(true);
            }
        }
    }
}

#[cfg(all(test, feature = "extras"))]
mod tests {
    extern crate std;
    use super::*;
    use crate::testing::name;
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn next(walk: &mut Walk, text: &str, search: &Search) -> Option<(Name, bool)> {
        let mut to = Name::ROOT;
        let derived = walk.next(&name(text), search, &mut to)?;
        Some((to, derived))
    }

    fn walk(text: &str, ndots: u8, single: bool) -> Vec<String> {
        let search = Search::of(["a.example", "b.example"].into_iter().map(name));
        let mut walk = Walk::new(name(text).view(), ndots, single);
        core::iter::from_fn(|| next(&mut walk, text, &search)).map(|(n, _)| n.to_string()).collect()
    }

    #[test]
    fn rule_39_and_40_the_order_of_names() {
        let (ha, hb) = ("host.a.example.", "host.b.example.");
        let (xa, xb) = ("x.y.a.example.", "x.y.b.example.");
        for (text, ndots, single, expected) in [
            ("host", 1, false, &[ha, hb][..]),
            ("host", 1, true, &[ha, hb, "host."]),
            ("host", 0, true, &["host.", ha, hb]),
            ("host", 0, false, &[ha, hb]),
            ("x.y", 1, false, &["x.y.", xa, xb]),
            ("x.y", 2, false, &[xa, xb, "x.y."]),
        ] {
            assert_eq!(walk(text, ndots, single), expected, "{text} {ndots} {single}");
        }
        let mut bare = Walk::BARE;
        let search = Search::of(core::iter::once(name("a.example")));
        assert_eq!(next(&mut bare, "x", &search), Some((name("x"), false)));
        assert_eq!(next(&mut bare, "x", &search), None);
    }

    #[test]
    fn rule_40_a_name_that_gets_too_long_is_passed_over() {
        let long = ["x".repeat(63).as_str(); 3].join(".");
        let search = Search::of([name(&"y".repeat(63)), name("ok")].into_iter());
        let mut walk = Walk::new(name(&long).view(), 9, false);
        assert_eq!(next(&mut walk, &long, &search), Some((name(&std::format!("{long}.ok")), true)));
    }

    #[test]
    fn further_suffixes_are_ignored() {
        let search = Search::of((0..20).map(|n| name(&std::format!("s{n}"))));
        assert_eq!(search.suffixes().count(), MAX_SUFFIXES);
    }
}
