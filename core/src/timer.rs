//! Timers: a pairing heap whose links are indices into lent slots.
//!
//! Arming, cancelling and finding the earliest cost next to nothing at any number of timers, firing
//! costs a logarithm (amortised), and nothing is allocated. Timers of equal deadline fire in the
//! order in which they were armed. The code is safe: a link is an index, a handle is an index with a
//! generation, so that a stale handle does nothing.
//!
//! The heap: each node's children form a list (`child`, then `next`); `prev` leads to the left
//! sibling, or to the parent for the first child. (Fredman, Sedgewick, Sleator, Tarjan 1986.)

use core::fmt;

use crate::time::Instant;

/// No node.
const NIL: u32 = u32::MAX;

/// Whose a timer or a descriptor is: the loop hands out its keys with this tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The application's own.
    Application,
    /// The assembled system's; the application passes it on to `System::handle`.
    System,
}

/// Names a timer. A key whose timer has been removed names nothing, for 2^32 reuses of its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerKey {
    slot: u32,
    generation: u32,
}

/// All slots that the loop was lent are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSlot;

impl fmt::Display for NoSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("the loop has no timer left")
    }
}

impl core::error::Error for NoSlot {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// On the free list; `next` leads on.
    Free,
    /// Somebody's, not armed.
    Idle,
    /// In the heap.
    Armed,
}

/// Memory for one timer.
#[derive(Clone, Copy, Debug)]
pub struct TimerSlot {
    deadline: Instant,
    /// Breaks ties: order of arming.
    sequence: u64,
    child: u32,
    next: u32,
    prev: u32,
    generation: u32,
    place: Place,
    owner: Owner,
    /// Whether the machine is to be woken from suspend for it.
    wakes: bool,
}

impl TimerSlot {
    /// A slot that no timer uses.
    pub const NEW: Self = Self {
        deadline: Instant::ZERO,
        sequence: 0,
        child: NIL,
        next: NIL,
        prev: NIL,
        generation: 0,
        place: Place::Free,
        owner: Owner::Application,
        wakes: false,
    };
}

/// The heap's roots; the nodes are in the slots that every method is handed.
#[derive(Debug)]
pub(crate) struct TimerHeap {
    root: u32,
    free: u32,
    /// Slots from here on have never been used.
    fresh: u32,
    sequence: u64,
}

impl TimerHeap {
    pub(crate) const fn new() -> Self {
        Self { root: NIL, free: NIL, fresh: 0, sequence: 0 }
    }

    /// A timer that is not armed.
    pub(crate) fn add(
        &mut self,
        slots: &mut [TimerSlot],
        owner: Owner,
    ) -> Result<TimerKey, NoSlot> {
        let at = if self.free == NIL { self.fresh } else { self.free };
        let slot = get(slots, at).ok_or(NoSlot)?;
        if self.free == NIL {
            self.fresh += 1;
        } else {
            self.free = slot.next;
        }
        *slot =
            TimerSlot { generation: slot.generation, owner, place: Place::Idle, ..TimerSlot::NEW };
        Ok(TimerKey { slot: at, generation: slot.generation })
    }

    /// Gives the timer back; its key is stale from now on. Whether it was there.
    pub(crate) fn remove(&mut self, slots: &mut [TimerSlot], key: TimerKey) -> bool {
        if self.clear(slots, key).is_none() {
            return false;
        }
        if let Some(slot) = get(slots, key.slot) {
            slot.place = Place::Free;
            slot.generation = slot.generation.wrapping_add(1);
            slot.next = self.free;
            self.free = key.slot;
        }
        true
    }

    /// Arms a timer, anew if it was armed. Whether it exists.
    pub(crate) fn set(
        &mut self,
        slots: &mut [TimerSlot],
        key: TimerKey,
        deadline: Instant,
    ) -> bool {
        if self.clear(slots, key).is_none() {
            return false;
        }
        let sequence = self.sequence;
        self.sequence += 1;
        if let Some(slot) = get(slots, key.slot) {
            *slot = TimerSlot {
                deadline,
                sequence,
                child: NIL,
                next: NIL,
                prev: NIL,
                place: Place::Armed,
                ..*slot
            };
        }
        self.root = meld(slots, self.root, key.slot);
        true
    }

    /// Disarms a timer. `None` if it does not exist, otherwise whether it was armed.
    pub(crate) fn clear(&mut self, slots: &mut [TimerSlot], key: TimerKey) -> Option<bool> {
        let slot = *get(slots, key.slot)?;
        if slot.generation != key.generation || slot.place == Place::Free {
            return None;
        }
        if slot.place == Place::Idle {
            return Some(false);
        }
        if self.root == key.slot {
            self.root = merge_pairs(slots, slot.child);
        } else {
            detach(slots, key.slot);
            let children = merge_pairs(slots, slot.child);
            self.root = meld(slots, self.root, children);
        }
        if let Some(slot) = get(slots, key.slot) {
            slot.place = Place::Idle;
            slot.child = NIL;
        }
        Some(true)
    }

    /// Says whether the machine is to be woken from suspend for a timer. Whether it exists.
    pub(crate) fn set_wakes(slots: &mut [TimerSlot], key: TimerKey, wakes: bool) -> bool {
        let slot = get(slots, key.slot)
            .filter(|slot| slot.generation == key.generation && slot.place != Place::Free);
        slot.map(|slot| slot.wakes = wakes).is_some()
    }

    /// The earliest deadline for which the machine is to be woken. Looks at every slot: it is asked
    /// for before a suspend, not in every turn.
    pub(crate) fn earliest_waking(slots: &[TimerSlot]) -> Option<Instant> {
        let waking = slots.iter().filter(|slot| slot.wakes && slot.place == Place::Armed);
        waking.map(|slot| slot.deadline).min()
    }

    /// The earliest deadline.
    pub(crate) fn earliest(&self, slots: &[TimerSlot]) -> Option<Instant> {
        slots.get(index(self.root)).map(|slot| slot.deadline)
    }

    /// Timers that are armed from now on have this sequence number or a later one.
    pub(crate) const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Takes the earliest timer out of the heap if it is due at `now` and was armed before `until`.
    /// It stays its owner's, disarmed.
    pub(crate) fn pop_due(
        &mut self,
        slots: &mut [TimerSlot],
        now: Instant,
        until: u64,
    ) -> Option<(TimerKey, Owner)> {
        let slot = *slots.get(index(self.root))?;
        if slot.deadline > now || slot.sequence >= until {
            return None;
        }
        let key = TimerKey { slot: self.root, generation: slot.generation };
        self.clear(slots, key);
        Some((key, slot.owner))
    }
}

/// `u32` to `usize`; on a 16-bit machine a slot that cannot exist is past every slice.
fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

fn get(slots: &mut [TimerSlot], at: u32) -> Option<&mut TimerSlot> {
    slots.get_mut(index(at))
}

/// Joins two heaps; the later root becomes the first child of the earlier one.
fn meld(slots: &mut [TimerSlot], a: u32, b: u32) -> u32 {
    #[cfg(test)]
    tests::MELDS.with(|melds| melds.set(melds.get() + 1));
    let (Some(x), Some(y)) = (slots.get(index(a)), slots.get(index(b))) else {
        return if a == NIL { b } else { a };
    };
    let a_first = (x.deadline, x.sequence) <= (y.deadline, y.sequence);
    let (first, later) = if a_first { (a, b) } else { (b, a) };
    let sibling = get(slots, first).map_or(NIL, |slot| core::mem::replace(&mut slot.child, later));
    if let Some(slot) = get(slots, later) {
        slot.prev = first;
        slot.next = sibling;
    }
    if let Some(slot) = get(slots, sibling) {
        slot.prev = later;
    }
    first
}

/// Takes a node that is not the root, with its children, out of its parent's list.
fn detach(slots: &mut [TimerSlot], at: u32) {
    let Some(&TimerSlot { prev, next, .. }) = slots.get(index(at)) else { return };
    if let Some(slot) = get(slots, prev) {
        if slot.child == at {
            slot.child = next;
        } else {
            slot.next = next;
        }
    }
    if let Some(slot) = get(slots, next) {
        slot.prev = prev;
    }
    if let Some(slot) = get(slots, at) {
        slot.prev = NIL;
        slot.next = NIL;
    }
}

/// Joins a list of siblings into one heap: pairs from left to right, then the pairs from right to left.
fn merge_pairs(slots: &mut [TimerSlot], first: u32) -> u32 {
    let (mut rest, mut pairs) = (first, NIL);
    while rest != NIL {
        let a = rest;
        let b = unlink_first(slots, a);
        rest = unlink_first(slots, b);
        let pair = meld(slots, a, b);
        // The pairs are stacked through `next`.
        if let Some(slot) = get(slots, pair) {
            slot.next = pairs;
        }
        pairs = pair;
    }
    let mut root = NIL;
    while pairs != NIL {
        let next = unlink_first(slots, pairs);
        root = meld(slots, root, pairs);
        pairs = next;
    }
    root
}

/// Makes a node stand alone and returns what followed it.
fn unlink_first(slots: &mut [TimerSlot], at: u32) -> u32 {
    get(slots, at).map_or(NIL, |slot| {
        slot.prev = NIL;
        core::mem::replace(&mut slot.next, NIL)
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::time::Duration;
    use std::collections::BTreeMap;
    use std::vec;
    use std::vec::Vec;

    std::thread_local! {
        /// How often two heaps were joined: all that costs anything here.
        pub(super) static MELDS: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
    }

    fn melds(f: impl FnOnce()) -> usize {
        let before = MELDS.get();
        f();
        MELDS.get() - before
    }

    #[test]
    fn a_key_that_is_void_wakes_nothing() {
        let mut slots = vec![TimerSlot::NEW; 1];
        let mut heap = TimerHeap::new();
        let old = heap.add(&mut slots, Owner::Application).unwrap();
        assert!(TimerHeap::set_wakes(&mut slots, old, true));
        assert!(heap.remove(&mut slots, old));
        assert!(!TimerHeap::set_wakes(&mut slots, old, true), "its slot is free");
        let new = heap.add(&mut slots, Owner::Application).unwrap();
        assert!(!TimerHeap::set_wakes(&mut slots, old, true), "its slot is another's");
        heap.set(&mut slots, new, at(1));
        assert_eq!(TimerHeap::earliest_waking(&slots), None);
    }

    /// Not O(n), however many there are: arming is one step, cancelling one that is not the next as
    /// well, and to fire all costs a logarithm each.
    #[test]
    fn u2_the_number_of_timers_does_not_matter() {
        for count in [10, 1_000, 100_000] {
            let mut slots = vec![TimerSlot::NEW; count + 1];
            let mut heap = TimerHeap::new();
            let mut seed = 1_u64;
            for _ in 0..count {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let key = heap.add(&mut slots, Owner::Application).unwrap();
                assert_eq!(melds(|| _ = heap.set(&mut slots, key, at(1 + (seed >> 33)))), 1);
            }
            let key = heap.add(&mut slots, Owner::Application).unwrap();
            for deadline in [1, 1 << 30, u64::MAX] {
                assert_eq!(melds(|| _ = heap.set(&mut slots, key, at(deadline))), 1);
                heap.set(&mut slots, key, at(u64::MAX));
                assert!(melds(|| _ = heap.clear(&mut slots, key)) <= 1);
            }
            let end = heap.sequence();
            let all = melds(|| while heap.pop_due(&mut slots, at(u64::MAX), end).is_some() {});
            let logarithm = usize::try_from(count.ilog2()).unwrap();
            assert!(all <= 3 * count * logarithm, "{all} for {count}");
        }
    }

    fn at(us: u64) -> Instant {
        Instant::from_micros(us)
    }

    #[test]
    fn equal_deadlines_fire_in_order_of_arming() {
        let mut slots = [TimerSlot::NEW; 20];
        let mut heap = TimerHeap::new();
        let keys: Vec<_> =
            (0..20).map(|_| heap.add(&mut slots, Owner::Application).unwrap()).collect();
        for key in keys.iter().rev() {
            assert!(heap.set(&mut slots, *key, at(7)));
        }
        let end = heap.sequence();
        let fired: Vec<_> =
            core::iter::from_fn(|| heap.pop_due(&mut slots, at(7), end)).map(|(k, _)| k).collect();
        assert_eq!(fired, keys.into_iter().rev().collect::<Vec<_>>());
    }

    #[test]
    fn a_stale_key_does_nothing() {
        let mut slots = [TimerSlot::NEW; 1];
        let mut heap = TimerHeap::new();
        let old = heap.add(&mut slots, Owner::System).unwrap();
        assert_eq!(heap.add(&mut slots, Owner::System), Err(NoSlot));
        assert!(heap.remove(&mut slots, old));
        assert!(!heap.remove(&mut slots, old), "removed once");
        let new = heap.add(&mut slots, Owner::System).unwrap();
        assert!(heap.set(&mut slots, new, at(1)));
        assert_eq!(heap.clear(&mut slots, old), None);
        assert!(!heap.set(&mut slots, old, at(9)));
        assert_eq!(heap.earliest(&slots), Some(at(1)));
    }

    #[test]
    fn timers_armed_meanwhile_wait_for_the_next_turn() {
        let mut slots = [TimerSlot::NEW; 2];
        let mut heap = TimerHeap::new();
        let key = heap.add(&mut slots, Owner::Application).unwrap();
        heap.set(&mut slots, key, at(1));
        let until = heap.sequence();
        assert!(heap.pop_due(&mut slots, at(5), until).is_some());
        heap.set(&mut slots, key, at(1));
        assert_eq!(heap.pop_due(&mut slots, at(5), until), None);
        assert!(heap.pop_due(&mut slots, at(5), heap.sequence()).is_some());
    }

    /// Random operations against a sorted map.
    #[test]
    fn agrees_with_a_naive_model() {
        let mut seed = 1_u64;
        let mut random = move |bound: usize| -> usize {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap() % bound
        };
        let mut slots = vec![TimerSlot::NEW; 64];
        let mut heap = TimerHeap::new();
        let mut model: BTreeMap<(Instant, u64), TimerKey> = BTreeMap::new();
        let mut keys: Vec<TimerKey> = Vec::new();
        let mut now = at(0);
        for step in 0..200_000 {
            match random(5) {
                0 => match heap.add(&mut slots, Owner::Application) {
                    Ok(key) => keys.push(key),
                    Err(NoSlot) => assert_eq!(keys.len(), 64, "step {step}"),
                },
                1 | 2 if !keys.is_empty() => {
                    let key = keys[random(keys.len())];
                    let deadline = now + Duration::from_micros(random(50) as u64);
                    model.retain(|_, k| *k != key);
                    model.insert((deadline, heap.sequence()), key);
                    assert!(heap.set(&mut slots, key, deadline), "step {step}");
                }
                3 if !keys.is_empty() => {
                    let chosen = random(keys.len());
                    let key = keys[chosen];
                    let before = model.len();
                    model.retain(|_, k| *k != key);
                    if random(2) == 0 {
                        keys.swap_remove(chosen);
                        assert!(heap.remove(&mut slots, key), "step {step}");
                    } else {
                        let armed = heap.clear(&mut slots, key);
                        assert_eq!(armed, Some(before > model.len()), "step {step}");
                    }
                }
                _ => {
                    now += Duration::from_micros(random(20) as u64);
                    let until = heap.sequence();
                    while let Some((key, _)) = heap.pop_due(&mut slots, now, until) {
                        let first = model.pop_first().map(|((d, _), k)| (d <= now, k));
                        assert_eq!(first, Some((true, key)), "step {step}");
                    }
                }
            }
            let earliest = model.first_key_value().map(|((d, _), _)| *d);
            assert_eq!(heap.earliest(&slots), earliest, "step {step}");
        }
    }
}
