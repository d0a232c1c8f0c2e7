//! [`core_timer`]: the pairing heap of the loop's timers against a list that is searched.

use bringup_core::time::{Duration, Instant};

use crate::data::Data;

/// The heap itself, which the core keeps to itself.
#[path = "../../core/src/timer.rs"]
#[allow(dead_code, unreachable_pub, reason = "the core uses and shows what is not used here")]
mod timer;

use timer::{NoSlot, Owner, TimerHeap, TimerKey, TimerSlot};

/// A timer as the list has it.
struct Known {
    key: TimerKey,
    owner: Owner,
    /// Deadline and order of arming.
    armed: Option<(Instant, u64)>,
}

/// Any sequence of operations gives what a list of timers would: each fires once, in order of its
/// deadline and then of arming, not before its time; stale keys do nothing.
pub fn core_timer(bytes: &[u8]) {
    let mut data = Data::new(bytes);
    let mut slots = vec![TimerSlot::NEW; 1 + data.below(48)];
    let mut heap = TimerHeap::new();
    let (mut list, mut stale): (Vec<Known>, Vec<TimerKey>) = (Vec::new(), Vec::new());
    let mut now = Instant::ZERO;
    while !data.is_empty() {
        match data.u8() % 8 {
            0 | 1 => {
                let owner = if data.flag() { Owner::System } else { Owner::Application };
                match heap.add(&mut slots, owner) {
                    Ok(key) => {
                        assert!(list.iter().all(|t| t.key != key) && !stale.contains(&key));
                        list.push(Known { key, owner, armed: None });
                    }
                    Err(NoSlot) => assert_eq!(list.len(), slots.len(), "there was room"),
                }
            }
            2 | 3 if !list.is_empty() => {
                let chosen = data.below(list.len());
                let deadline = match data.u8() {
                    255 => Instant::from_micros(u64::MAX),
                    us => now + Duration::from_micros(u64::from(us % 32)),
                };
                list[chosen].armed = Some((deadline, heap.sequence()));
                assert!(heap.set(&mut slots, list[chosen].key, deadline));
            }
            4 if !list.is_empty() => {
                let chosen = data.below(list.len());
                let was_armed = list[chosen].armed.take().is_some();
                assert_eq!(heap.clear(&mut slots, list[chosen].key), Some(was_armed));
            }
            5 if !list.is_empty() => {
                let chosen = data.below(list.len());
                let gone = list.swap_remove(chosen);
                assert!(heap.remove(&mut slots, gone.key));
                stale.push(gone.key);
            }
            6 if !stale.is_empty() => {
                let key = stale[data.below(stale.len())];
                assert_eq!(heap.clear(&mut slots, key), None);
                assert!(!heap.set(&mut slots, key, now) && !heap.remove(&mut slots, key));
            }
            _ => {
                now += Duration::from_micros(u64::from(data.u8() % 16));
                let back = u64::from(data.u8() % 8);
                let until = heap.sequence().saturating_sub(back);
                fire(&mut heap, &mut slots, &mut list, now, until);
            }
        }
        let earliest = list.iter().filter_map(|t| t.armed).min();
        assert_eq!(heap.earliest(&slots), earliest.map(|(deadline, _)| deadline));
    }
    let end = heap.sequence();
    fire(&mut heap, &mut slots, &mut list, Instant::from_micros(u64::MAX), end);
    assert!(list.iter().all(|t| t.armed.is_none()), "a timer got lost");
}

/// Lets fire what is due, first the heap, then the list.
fn fire(
    heap: &mut TimerHeap,
    slots: &mut [TimerSlot],
    list: &mut [Known],
    now: Instant,
    until: u64,
) {
    loop {
        let fired = heap.pop_due(slots, now, until);
        let first = list.iter_mut().filter(|t| t.armed.is_some()).min_by_key(|t| t.armed);
        let due = first.filter(|t| t.armed.is_some_and(|(at, seq)| at <= now && seq < until));
        assert_eq!(fired, due.as_ref().map(|t| (t.key, t.owner)));
        let Some(due) = due else { break };
        due.armed = None;
    }
}
