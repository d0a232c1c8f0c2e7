//! A small bounded queue.

/// A queue of at most `N`; when it is full the oldest gives way, and is counted.
#[derive(Debug)]
pub(crate) struct Ring<T, const N: usize> {
    slots: [Option<T>; N],
    first: usize,
    len: usize,
    lost: u32,
}

impl<T: Copy, const N: usize> Ring<T, N> {
    pub(crate) const fn new() -> Self {
        Self { slots: [None; N], first: 0, len: 0, lost: 0 }
    }

    pub(crate) fn push(&mut self, value: T) {
        if self.len == N {
            self.pop();
            self.lost = self.lost.saturating_add(1);
        }
        if let Some(slot) = self.slots.get_mut((self.first + self.len) % N) {
            *slot = Some(value);
            self.len += 1;
        }
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let value = self.slots.get_mut(self.first)?.take()?;
        self.first = (self.first + 1) % N;
        self.len -= 1;
        Some(value)
    }

    /// How many more there is room for.
    pub(crate) const fn room(&self) -> usize {
        N - self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many gave way.
    pub(crate) const fn lost(&self) -> u32 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way_and_is_counted() {
        let mut ring = Ring::<u8, 2>::new();
        for n in 1..=3 {
            ring.push(n);
        }
        assert_eq!((ring.pop(), ring.pop(), ring.pop(), ring.lost()), (Some(2), Some(3), None, 1));
        assert!(ring.is_empty());
    }
}
