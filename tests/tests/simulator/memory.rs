//! What this thread has on the heap. Core and helpers have no heap of their own; what could grow is what they
//! hold of others: closures that were attached, sockets, addresses, frames.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

/// Octets that this thread has allocated and not freed.
pub(crate) fn live() -> i64 {
    LIVE.get()
}

/// A layout is never longer than `isize::MAX` (`Layout`'s own rule).
fn octets(layout: Layout) -> i64 {
    i64::try_from(layout.size()).unwrap_or(i64::MAX)
}

fn count(octets: i64) {
    // A thread that is ending has no such cell any more, and nobody asks it.
    let _ = LIVE.try_with(|live| live.set(live.get().wrapping_add(octets)));
}

struct Counting;

#[global_allocator]
static HEAP: Counting = Counting;

// SAFETY: every call goes to `System` with the arguments that it came with; counting allocates nothing, since
// the cell is initialised by a constant and has no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(octets(layout));
        // SAFETY: the caller keeps the contract of `alloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-octets(layout));
        // SAFETY: as above; `pointer` came from `System`, through `alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
