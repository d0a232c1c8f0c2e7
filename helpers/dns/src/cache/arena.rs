//! [`Arena`]: blocks of any size in one lent slice, kept without gaps by sliding.
//!
//! A block is a header of four octets (who owns it, how long it is) and its octets. Blocks are only
//! added at the end; freed ones are squeezed out when the end is reached, and their owners told
//! where they are now. Nobody keeps an offset but the one table that is told.

/// The owner of a block that has been freed.
const FREED: u16 = u16::MAX;
/// The octets before each block: its owner and its length, in native order.
const HEAD: usize = 4;

/// The most octets in one block.
pub(super) const MAX_BLOCK: usize = u16::MAX as usize;

/// Blocks of octets.
pub(super) struct Arena<'m> {
    bytes: &'m mut [u8],
    /// Where the next block goes.
    end: usize,
    /// Octets in use below `end`, heads included.
    live: usize,
}

impl<'m> Arena<'m> {
    pub(super) const fn new(bytes: &'m mut [u8]) -> Self {
        Self { bytes, end: 0, live: 0 }
    }

    /// Whether a block of `length` octets, at most [`MAX_BLOCK`], fits, after sliding if need be.
    pub(super) const fn has_room(&self, length: usize) -> bool {
        self.live + HEAD + length <= self.bytes.len()
    }

    /// Whether so much is free that the cost of the next sliding is spread over many blocks.
    pub(super) const fn has_slack(&self) -> bool {
        self.live <= self.bytes.len() - self.bytes.len() / 8
    }

    /// The octets in use, heads included.
    pub(super) const fn live(&self) -> usize {
        self.live
    }

    /// The block of `length` octets at `offset`.
    pub(super) fn get(&self, offset: u32, length: u16) -> &[u8] {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::from(length));
        self.bytes.get(start..end).unwrap_or(&[])
    }

    /// The same, to be written.
    pub(super) fn get_mut(&mut self, offset: u32, length: usize) -> &mut [u8] {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        self.bytes.get_mut(start..start.saturating_add(length)).unwrap_or_default()
    }

    /// The offset of a new block of `owner`. `moved` hears of every block that slides.
    pub(super) fn allocate(
        &mut self,
        owner: u16,
        length: usize,
        moved: impl FnMut(u16, u32),
    ) -> Option<u32> {
        if !self.has_room(length) {
            return None;
        }
        if self.bytes.len() - self.end < HEAD + length {
            self.slide(moved);
        }
        let start = self.end + HEAD;
        let offset = u32::try_from(start).ok()?;
        self.set_head(self.end, owner, u16::try_from(length).ok()?);
        self.end = start + length;
        self.live += HEAD + length;
        Some(offset)
    }

    /// Frees the block at `offset`.
    pub(super) fn free(&mut self, offset: u32) {
        let Some(head) = usize::try_from(offset).ok().and_then(|o| o.checked_sub(HEAD)) else {
            return;
        };
        let Some((_, length)) = self.head(head) else { return };
        self.set_head(head, FREED, length);
        let size = HEAD + usize::from(length);
        self.live = self.live.saturating_sub(size);
        if head + size == self.end {
            self.end = head;
        }
    }

    fn head(&self, at: usize) -> Option<(u16, u16)> {
        let [a, b, c, d] = *self.bytes.get(at..at + HEAD)?.first_chunk::<HEAD>()?;
        Some((u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d])))
    }

    fn set_head(&mut self, at: usize, owner: u16, length: u16) {
        let ([a, b], [c, d]) = (owner.to_ne_bytes(), length.to_ne_bytes());
        if let Some(head) = self.bytes.get_mut(at..at + HEAD) {
            head.copy_from_slice(&[a, b, c, d]);
        }
    }

    /// Moves every block that is in use to the front.
    fn slide(&mut self, mut moved: impl FnMut(u16, u32)) {
        let (mut from, mut to) = (0, 0);
        while from < self.end {
            let Some((owner, length)) = self.head(from) else { break };
            let size = HEAD + usize::from(length);
            if owner != FREED {
                if from != to {
                    self.bytes.copy_within(from..from + size, to);
                    moved(owner, u32::try_from(to + HEAD).unwrap_or(u32::MAX));
                }
                to += size;
            }
            from += size;
        }
        self.end = to;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn blocks_keep_their_octets_while_others_come_and_go() {
        let mut bytes = [0xEE; 600];
        let mut arena = Arena::new(&mut bytes);
        // Owner to (offset, length); each block is filled with its owner's number.
        let mut table: BTreeMap<u16, (u32, u16)> = BTreeMap::new();
        let mut seed = 1u32;
        for owner in 0..2_000u16 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let length = u16::try_from(seed >> 26).unwrap();
            while !arena.has_room(usize::from(length)) {
                let keys: std::vec::Vec<u16> = table.keys().copied().collect();
                let victim = keys[usize::try_from(seed >> 8).unwrap() % keys.len()];
                arena.free(table.remove(&victim).unwrap().0);
            }
            let room = arena.allocate(owner, usize::from(length), |o, at| {
                table.get_mut(&o).unwrap().0 = at;
            });
            let offset = room.unwrap();
            arena.get_mut(offset, usize::from(length)).fill(owner.to_be_bytes()[1]);
            table.insert(owner, (offset, length));
            for (o, &(at, n)) in &table {
                assert!(arena.get(at, n).iter().all(|&b| b == o.to_be_bytes()[1]), "{o}");
                assert_eq!(arena.get(at, n).len(), usize::from(n));
            }
        }
        for (_, (at, _)) in table {
            arena.free(at);
        }
        assert_eq!(arena.live(), 0);
        assert!(arena.has_room(596) && !arena.has_room(597));
    }
}
