//! [`Index`]: which lookups have a question, which have an id, which are to be sent, and which slots are
//! free, without a walk over all of them.

/// No lookup.
const NONE: u16 = u16::MAX;

/// What a lookup is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// A hash of name and type.
    Question,
    /// The id that was given to it last.
    Id,
}

/// A lookup's place in the chain of its question, or of the free slots, and in that of its id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    /// What it is found by; 0 where it is not.
    keys: [u32; 2],
    /// Who is behind it in the chain.
    next: [u16; 2],
    /// Who is behind it in the row of those that are to be sent.
    behind: u16,
    /// Whether it stands in that row.
    queued: bool,
}

impl Links {
    pub(super) const FREE: Self =
        Self { keys: [0; 2], next: [NONE; 2], behind: NONE, queued: false };
}

/// The chains of all lookups, in lent memory: of each lookup its links, and as many heads of chains.
pub(super) struct Index<'m> {
    links: &'m mut [Links],
    heads: &'m mut [[u16; 2]],
    /// The first free slot.
    free: u16,
    /// The ends of the row of those that are to be sent.
    first: u16,
    last: u16,
}

impl<'m> Index<'m> {
    /// Without memory.
    pub(super) const fn vacant() -> Self {
        Self { links: &mut [], heads: &mut [], free: NONE, first: NONE, last: NONE }
    }

    /// All slots are free, the first comes first. There are at most 65,534.
    pub(super) fn new(links: &'m mut [Links], heads: &'m mut [[u16; 2]]) -> Self {
        heads.fill([NONE; 2]);
        let mut free = NONE;
        for (link, index) in links.iter_mut().zip(0..NONE).rev() {
            *link = Links { next: [free, NONE], ..Links::FREE };
            free = index;
        }
        Self { links, heads, free, ..Self::vacant() }
    }

    /// The slot that [`take`](Self::take) takes next.
    pub(super) fn free(&self) -> Option<usize> {
        (self.free != NONE).then(|| usize::from(self.free))
    }

    /// Takes the first free slot, and has it found by its question.
    pub(super) fn take(&mut self, question: u32) -> Option<usize> {
        let index = self.free()?;
        self.free = self.links.get(index)?.next[By::Question as usize];
        self.set(index, By::Question, question);
        Some(index)
    }

    /// Gives a slot back that was taken.
    pub(super) fn give_back(&mut self, index: usize) {
        self.unlink(index, By::Question);
        self.unlink(index, By::Id);
        if let Some(links) = self.links.get_mut(index) {
            links.next[By::Question as usize] = self.free;
            self.free = number(index);
        }
    }

    /// Has a lookup found by `key`, which is never 0.
    pub(super) fn set(&mut self, index: usize, by: By, key: u32) {
        self.unlink(index, by);
        let bucket = self.bucket(key);
        let Some(head) = self.heads.get_mut(bucket) else { return };
        if let Some(links) = self.links.get_mut(index) {
            (links.keys[by as usize], links.next[by as usize]) = (key, head[by as usize]);
            head[by as usize] = number(index);
        }
    }

    /// The lookups with this key.
    pub(super) fn of(&self, by: By, key: u32) -> impl Iterator<Item = usize> {
        let mut at = self.heads.get(self.bucket(key)).map_or(NONE, |head| head[by as usize]);
        // A chain has at most as many links as there are slots.
        core::iter::from_fn(move || {
            loop {
                let index = usize::from(at);
                let links = self.links.get(index)?;
                at = links.next[by as usize];
                if links.keys[by as usize] == key {
                    return Some(index);
                }
            }
        })
    }

    /// Puts a lookup at the end of the row of those that are to be sent, unless it stands in it.
    pub(super) fn push(&mut self, index: usize) {
        let Some(links) = self.links.get_mut(index).filter(|links| !links.queued) else { return };
        (links.behind, links.queued) = (NONE, true);
        match self.links.get_mut(usize::from(self.last)) {
            Some(last) => last.behind = number(index),
            None => self.first = number(index),
        }
        self.last = number(index);
    }

    /// The first of the row.
    pub(super) fn first(&self) -> Option<usize> {
        (self.first != NONE).then(|| usize::from(self.first))
    }

    /// Takes the first out of the row.
    pub(super) fn pop(&mut self) {
        let Some(links) = self.links.get_mut(usize::from(self.first)) else { return };
        links.queued = false;
        self.first = links.behind;
        if self.first == NONE {
            self.last = NONE;
        }
    }

    fn unlink(&mut self, index: usize, by: By) {
        let Some(Links { keys, next, .. }) = self.links.get_mut(index) else { return };
        let (key, behind) = (core::mem::take(&mut keys[by as usize]), next[by as usize]);
        let bucket = self.bucket(key);
        let Some(head) = self.heads.get_mut(bucket).filter(|_| key != 0) else { return };
        let mut before = head[by as usize];
        if before == number(index) {
            head[by as usize] = behind;
            return;
        }
        while let Some(links) = self.links.get_mut(usize::from(before)) {
            before = links.next[by as usize];
            if before == number(index) {
                links.next[by as usize] = behind;
                return;
            }
        }
    }

    fn bucket(&self, key: u32) -> usize {
        // Ids are small numbers; a product spreads them, and its high half does without a division.
        let spread = u64::from(key.wrapping_mul(0x9E37_79B1));
        let heads = u64::try_from(self.heads.len()).unwrap_or(0);
        usize::try_from((spread * heads) >> 32).unwrap_or(0)
    }
}

fn number(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn what_is_found_is_what_a_walk_over_all_would_find() {
        let (mut links, mut heads) = ([Links::FREE; 16], [[0; 2]; 4]);
        let mut index = Index::new(&mut links, &mut heads);
        let mut model: [Option<[u32; 2]>; 16] = [None; 16];
        let mut seed = 7u32;
        let mut dice = |sides: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) % sides
        };
        for round in 0..20_000 {
            let slot = usize::try_from(dice(16)).unwrap();
            // Few keys, most of them in a bucket with others.
            let key = 1 + dice(4) * 16 + dice(2);
            match (dice(3), model[slot]) {
                (0, Some(_)) => {
                    index.give_back(slot);
                    model[slot] = None;
                }
                (1, Some([question, _])) => {
                    index.set(slot, By::Id, key);
                    model[slot] = Some([question, key]);
                }
                _ => match index.take(key) {
                    Some(taken) => {
                        assert_eq!(model[taken].replace([key, 0]), None, "{round}: it was free");
                    }
                    None => assert!(model.iter().all(Option::is_some), "{round}: one is free"),
                },
            }
            for by in [By::Question, By::Id] {
                for key in (1..66).filter(|key| key % 16 < 3) {
                    let mut found: Vec<usize> = index.of(by, key).collect();
                    found.sort_unstable();
                    let has = |slot: &usize| model[*slot].is_some_and(|k| k[by as usize] == key);
                    assert_eq!(found, (0..16).filter(has).collect::<Vec<_>>(), "{round}: {by:?}");
                }
            }
        }
    }
}
