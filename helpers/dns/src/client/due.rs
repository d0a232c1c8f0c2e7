//! [`Due`] and [`Tag`]: what saves a walk over all slots.

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

/// What a lookup is found by, beside those of all others: a look at it tells that it is not the one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tag {
    /// A hash of name and type; 0 for a free slot.
    pub(super) key: u32,
    /// The id that was given to it last.
    pub(super) id: u16,
}

impl Tag {
    pub(super) const FREE: Self = Self { key: 0, id: 0 };

    /// The numbers of those that fit. Sixteen are looked at together, without a branch for each.
    pub(super) fn matching(
        tags: &[Self],
        fits: impl Fn(&Self) -> bool + Copy,
    ) -> impl Iterator<Item = usize> {
        const TOGETHER: usize = 16;
        let chunks = tags.chunks(TOGETHER).enumerate();
        let some =
            chunks.filter(move |(_, chunk)| chunk.iter().fold(false, |any, tag| any | fits(tag)));
        some.flat_map(move |(number, chunk)| {
            let each = chunk.iter().enumerate().filter(move |(_, tag)| fits(tag));
            each.map(move |(at, _)| number * TOGETHER + at)
        })
    }
}
