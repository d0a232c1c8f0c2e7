//! [`Due`]: what saves a walk over all queries to find those that want something.

/// How many slots want something, and from where on to look for them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    count: usize,
    from: usize,
}

impl Due {
    pub(super) const NONE: Self = Self { count: 0, from: 0 };

    /// One more slot wants it.
    pub(super) const fn add(&mut self, slot: usize) {
        if self.count == 0 {
            self.from = slot;
        }
        self.count += 1;
    }

    /// A slot wants it no longer; where it was the one looked for, the next is behind it.
    pub(super) const fn remove(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    pub(super) const fn is_none(&self) -> bool {
        self.count == 0
    }

    /// All slots of `len`, the likeliest first.
    pub(super) fn slots(&self, len: usize) -> impl Iterator<Item = usize> + use<> {
        let from = self.from.min(len);
        (from..len).chain(0..from)
    }

    /// The next look begins at `slot`.
    pub(super) const fn look_from(&mut self, slot: usize) {
        self.from = slot;
    }
}
