//! Attach: any thread asks for a callback on the loop's thread, at once or when a state is reached.
//!
//! A request is a closure in a [`Node`]. Nodes are intrusive: a post links memory that its owner
//! already has, so that it allocates nothing, costs the same however many are waiting, and can be
//! made from wherever the platform's lock can be taken. Requests run in the order in which they were
//! posted. Those that wait for a state stand on that state's own list and cost a turn nothing.
//!
//! Every accepted request is told exactly one [`Outcome`]: `Ready` or `Shutdown` on the loop's thread,
//! `Cancelled` on the thread that cancels, always outside the lock. A closed queue gives the closure
//! back.
//!
//! | who owns the node | how | cancel |
//! |---|---|---|
//! | a static | `static NODE: Node<…> = Node::new(&QUEUE)`, `NODE.post_static(…)` | [`Node::cancel`] |
//! | a pinned place: stack, struct, `Pin<Box<…>>` | [`Node::post`] | the same, and dropping it |
//! | the queue, with feature `alloc` | [`AttachQueue::attach`] | none |
//!
//! # Which lock for which contexts
//!
//! The lock and the wake are the platform's. A context may post if it may take the lock *and* call
//! the wake; whoever shares the queue with it must be kept out by the same lock.
//!
//! | lock | threads | interrupt, lower or equal core | POSIX signal handler | no allocation, no system call |
//! |---|---|---|---|---|
//! | std `Mutex` | yes | no: may block | no: may deadlock with itself | no |
//! | spin lock | yes, not with real-time priorities on one core | no: the holder may be what was interrupted | no: the same | yes |
//! | critical section (interrupts off) | of one core | yes | – | yes |
//! | spin lock inside a critical section | yes | yes | – | yes |
//! | none | of one thread | no | no | yes |
//! | no lock: [`AttachQueue::raise`] | yes | yes | yes | yes |
//!
//! # Shutdown and panics
//!
//! Closing the queue refuses later posts, then tells every request that is left
//! [`Outcome::Shutdown`], one by one, outside the lock. A callback may post again (refused), cancel
//! others, or close the queue once more: each request has left the lists before it is told. A callback
//! that panics takes only itself away; the lists are whole, the lock is free and not poisoned, and the
//! next turn, or the next closing, goes on with the request after it.
//!
//! # Why this is sound
//!
//! The invariants that the `unsafe` code of this file, and of no other, rests on:
//!
//! 1. **Exclusion.** `Lists`, and `Links` of every node that belongs to a queue, are only touched
//!    inside [`RawLock::with`] on that queue's lock. A node names its queue when it is made, so that
//!    two locks can never guard one node. No callback, wake or destructor runs inside the lock. The
//!    port's [`SystemOps::attach`] is handed the helper in a form that only `unsafe` can run.
//! 2. **No dangling link.** A linked node stays where it is and alive: it is reached through
//!    `Pin<&Node>`, it is `!Unpin`, and its `Drop` unlinks it under the lock before its memory goes.
//!    A node that is leaked keeps its memory, by the guarantee of `Pin`. A boxed node belongs to the
//!    list while it is linked, and to the one who unlinked it afterwards. After a post has let go of
//!    the lock it does not look at the node again.
//! 3. **The queue outlives its nodes**: a node borrows it for `'q`, and has a destructor, so that the
//!    borrow lasts until the node is gone. Only leaked nodes may be linked when the queue moves or is
//!    dropped; nobody can reach those any more, no link leads from a node to the queue, and the
//!    queue's `Drop` unlinks them.
//! 4. **No `&mut` to a linked node**, only shared references, and `UnsafeCell` inside. The one
//!    exception is made by the compiler: `Drop::drop` takes `&mut Node`. Another thread may look at
//!    the links meanwhile; `PhantomPinned` is what keeps that from being aliasing (as in every
//!    intrusive list of today; `UnsafePinned` will say so by name).
//! 5. **A request is moved out of its node under the lock, before it runs.** Nothing refers to the
//!    node while the closure runs, so that the closure or its owner may post it again, or free it.
//! 6. **The payload fits.** [`Node::post`] checks size and alignment of the closure at compile time,
//!    and `run` is the function made for that very closure type. Closures are `Send + 'static`. A
//!    request is consumed exactly once: run, or given back; if a port's `attach` panics it is leaked.
//! 7. **What `A` and `P` are does not matter to other threads**: the queue holds none of them, only
//!    names their types.

use core::fmt;
use core::marker::PhantomPinned;
use core::mem::MaybeUninit;
use core::pin::Pin;
use core::ptr;

use crate::event_loop::Registrar;
use crate::platform::{Platform, RawLock, SystemOps, Wake};
use crate::state::{States, SystemState};
use crate::sync::{AtomicFlags, Hint, LockedCell};

/// What a request is told; each accepted one is told exactly one of these.
pub enum Outcome<'a, A, P: Platform> {
    /// Its time has come. On the loop's thread.
    Ready(&'a mut A, Registrar<'a, P>),
    /// It was cancelled, or its node dropped. On the thread that did it.
    Cancelled,
    /// The loop ended first. On the thread that ended it.
    Shutdown,
}

/// Why a request was not accepted; the closure comes back beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The node is still linked with an earlier request.
    Busy,
    /// The loop has ended.
    Closed,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Busy => "the node has a request already",
            Self::Closed => "the loop has ended",
        })
    }
}

impl core::error::Error for Refused {}

/// The words that a closure may have. Pointers, so that what is moved through them stays a pointer.
const PAYLOAD_WORDS: usize = 4;
type Payload = [MaybeUninit<*const ()>; PAYLOAD_WORDS];

type Run<A, P> = for<'a> unsafe fn(*mut Payload, Outcome<'a, A, P>);

/// A closure, moved out of where it was posted.
struct Request<A, P: Platform> {
    run: Run<A, P>,
    payload: Payload,
}

impl<A, P: Platform> Request<A, P> {
    /// Moves a closure in.
    fn new<F>(f: F) -> Self
    where
        F: FnOnce(Outcome<'_, A, P>) + Send + 'static,
    {
        const {
            assert!(size_of::<F>() <= size_of::<Payload>(), "the closure has more than four words");
            assert!(
                align_of::<F>() <= align_of::<Payload>(),
                "the closure's alignment is too large"
            );
        }
        let mut payload = [MaybeUninit::uninit(); PAYLOAD_WORDS];
        // SAFETY: size and alignment were checked above (invariant 6).
        unsafe { payload.as_mut_ptr().cast::<F>().write(f) };
        Self { run: run_inline::<A, P, F>, payload }
    }

    /// Moves the closure back out.
    ///
    /// # Safety
    ///
    /// The request was made by [`Request::new`] with this very `F`.
    unsafe fn into_closure<F>(self) -> F {
        // SAFETY: the payload holds an `F` that nobody else will read.
        unsafe { self.payload.as_ptr().cast::<F>().read() }
    }

    /// Runs the closure. Outside the lock.
    fn run(mut self, outcome: Outcome<'_, A, P>) {
        // SAFETY: `run` was made for the closure in `payload` (invariant 6), and `self` is consumed.
        unsafe { (self.run)(&raw mut self.payload, outcome) }
    }
}

/// The state that a request has to wait for, if it has to.
fn waits_for(gate: Option<SystemState>, state: SystemState) -> Option<SystemState> {
    gate.filter(|gate| !gate.reached_in(state))
}

/// # Safety
///
/// `payload` holds an `F`, which is moved out.
unsafe fn run_inline<A, P: Platform, F>(payload: *mut Payload, outcome: Outcome<'_, A, P>)
where
    F: FnOnce(Outcome<'_, A, P>),
{
    // SAFETY: the caller's promise.
    let f = unsafe { payload.cast::<F>().read() };
    f(outcome);
}

/// The part of a node that the lists know.
struct Links<A, P: Platform> {
    next: *const Link<A, P>,
    prev: *const Link<A, P>,
    /// The request while the node is linked.
    request: Option<Request<A, P>>,
    /// What it waits for.
    gate: Option<SystemState>,
}

struct Link<A, P: Platform> {
    cell: LockedCell<Links<A, P>>,
    /// Whether it is linked, for those who do not hold the lock.
    linked: Hint,
}

impl<A, P: Platform> Link<A, P> {
    const fn new() -> Self {
        let links = Links { next: ptr::null(), prev: ptr::null(), request: None, gate: None };
        Self { cell: LockedCell::new(links), linked: Hint::new() }
    }
}

/// Reads or changes a node.
///
/// # Safety
///
/// Under the lock; `node` is alive; `f` does not come back here with the same node.
unsafe fn edit<A, P: Platform, R>(
    node: *const Link<A, P>,
    f: impl FnOnce(&mut Links<A, P>) -> R,
) -> R {
    // SAFETY: the node is alive, and only shared references to it are made (invariant 4).
    let link = unsafe { &*node };
    // SAFETY: under the lock this is the only reference to what is in the cell (invariant 1).
    link.cell.with(|links| f(unsafe { &mut *links }))
}

/// A doubly linked list of nodes that ends in null at both ends, so that it may move. All its
/// functions: under the lock.
struct List<A, P: Platform> {
    head: *const Link<A, P>,
    tail: *const Link<A, P>,
}

impl<A, P: Platform> List<A, P> {
    const NEW: Self = Self { head: ptr::null(), tail: ptr::null() };

    const fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// # Safety
    ///
    /// Under the lock; `node` is alive and in no list.
    unsafe fn push_back(&mut self, node: *const Link<A, P>) {
        let tail = self.tail;
        let set = |links: &mut Links<A, P>| {
            links.prev = tail;
            links.next = ptr::null();
        };
        // SAFETY: the node is alive.
        unsafe { edit(node, set) };
        if tail.is_null() {
            self.head = node;
        } else {
            // SAFETY: linked nodes are alive (invariant 2).
            unsafe { edit(tail, |links| links.next = node) };
        }
        self.tail = node;
    }

    /// # Safety
    ///
    /// Under the lock; `node` is in this list, or in the middle of any.
    unsafe fn unlink(&mut self, node: *const Link<A, P>) {
        let clear = |links: &mut Links<A, P>| {
            let ends = (links.prev, links.next);
            (links.prev, links.next) = (ptr::null(), ptr::null());
            ends
        };
        // SAFETY: a linked node is alive (invariant 2).
        let (prev, next) = unsafe { edit(node, clear) };
        if prev.is_null() {
            self.head = next;
        } else {
            // SAFETY: as above.
            unsafe { edit(prev, |links| links.next = next) };
        }
        if next.is_null() {
            self.tail = prev;
        } else {
            // SAFETY: as above.
            unsafe { edit(next, |links| links.prev = prev) };
        }
    }

    /// Moves all of `other` behind this list, in constant time.
    ///
    /// # Safety
    ///
    /// Under the lock.
    unsafe fn append(&mut self, other: &mut Self) {
        let other = core::mem::replace(other, Self::NEW);
        if other.is_empty() {
            return;
        }
        if self.is_empty() {
            *self = other;
            return;
        }
        // SAFETY: linked nodes are alive (invariant 2).
        unsafe { edit(self.tail, |links| links.next = other.head) };
        // SAFETY: as above.
        unsafe { edit(other.head, |links| links.prev = self.tail) };
        self.tail = other.tail;
    }

    fn holds_end(&self, node: *const Link<A, P>) -> bool {
        self.head == node || self.tail == node
    }
}

/// Takes a node out of its list, with its request.
///
/// # Safety
///
/// Under the lock; `node` is alive, and in `list` or in the middle of any.
unsafe fn take_from<A, P: Platform>(
    list: &mut List<A, P>,
    node: *const Link<A, P>,
) -> Option<Request<A, P>> {
    // SAFETY: the caller's promise.
    unsafe { list.unlink(node) };
    // SAFETY: the node is alive.
    unsafe { &(*node).linked }.set(false);
    // SAFETY: the node is alive.
    unsafe { edit(node, |links| links.request.take()) }
}

/// Everything that the lock guards.
struct Lists<A, P: Platform> {
    /// What this turn's drain still has to run.
    batch: List<A, P>,
    /// What the next one will.
    ready: List<A, P>,
    /// What was ready until a state was left again; looked at anew when the state changes.
    fallen: List<A, P>,
    /// What waits for a state, by that state's number.
    parked: [List<A, P>; SystemState::COUNT],
    state: SystemState,
    sleeping: bool,
    closed: bool,
}

impl<A, P: Platform> Lists<A, P> {
    const NEW: Self = Self {
        batch: List::NEW,
        ready: List::NEW,
        fallen: List::NEW,
        parked: [const { List::NEW }; SystemState::COUNT],
        // All zeros, so that a queue in a static costs a program's file nothing.
        state: SystemState::Unknown,
        sleeping: false,
        closed: false,
    };

    /// Takes a request in, or leaves it where it is.
    ///
    /// # Safety
    ///
    /// Under the lock; `node` is alive and belongs to this queue.
    unsafe fn accept(
        &mut self,
        node: *const Link<A, P>,
        gate: Option<SystemState>,
        request: &mut Option<Request<A, P>>,
    ) -> Result<Posted, Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        let accept = |links: &mut Links<A, P>| {
            let idle = links.request.is_none();
            if idle {
                links.request = request.take();
                links.gate = gate;
            }
            idle
        };
        // SAFETY: the node is alive.
        if !unsafe { edit(node, accept) } {
            return Err(Refused::Busy);
        }
        // SAFETY: the node is alive.
        unsafe { &(*node).linked }.set(true);
        let waits_for = waits_for(gate, self.state);
        let list = match waits_for {
            None => &mut self.ready,
            Some(gate) => &mut self.parked[usize::from(gate as u8)],
        };
        // SAFETY: a node without a request is in no list, and it had none.
        unsafe { list.push_back(node) };
        Ok(Posted { wake: waits_for.is_none() && core::mem::take(&mut self.sleeping) })
    }

    /// Takes a node out of whichever list it is in, with its request.
    ///
    /// # Safety
    ///
    /// Under the lock; `node` is alive and belongs to this queue.
    unsafe fn take(&mut self, node: *const Link<A, P>) -> Option<Request<A, P>> {
        let gate = |links: &mut Links<A, P>| links.request.is_some().then_some(links.gate);
        // SAFETY: the node is alive.
        let gate = unsafe { edit(node, gate) }?;
        // Only the ends of a list are known to it: a node in the middle needs no list at all.
        let open = [&mut self.batch, &mut self.ready, &mut self.fallen];
        let list = open.into_iter().find(|list| list.holds_end(node));
        let gate = gate.map_or(0, |gate| usize::from(gate as u8));
        // SAFETY: the node is alive, and in that list or in the middle of another.
        unsafe { take_from(list.unwrap_or(&mut self.parked[gate]), node) }
    }

    /// Some node that is linked: those that were ready first, then by state.
    fn first(&self) -> Option<*const Link<A, P>> {
        let open = [&self.batch, &self.ready, &self.fallen];
        let mut lists = open.into_iter().chain(&self.parked);
        lists.find(|list| !list.is_empty()).map(|list| list.head)
    }

    /// Takes the next of the batch, or puts it aside because its state was left in the meantime.
    /// Whether there was one.
    ///
    /// # Safety
    ///
    /// Under the lock.
    unsafe fn next(&mut self, request: &mut Option<Request<A, P>>) -> bool {
        let node = self.batch.head;
        if node.is_null() {
            return false;
        }
        // SAFETY: a linked node is alive (invariant 2).
        if waits_for(unsafe { edit(node, |links| links.gate) }, self.state).is_some() {
            // SAFETY: it is the head of this list.
            unsafe { self.batch.unlink(node) };
            // SAFETY: it is alive, and in no list now.
            unsafe { self.fallen.push_back(node) };
        } else {
            // SAFETY: as above; it is the head of this list.
            *request = unsafe { take_from(&mut self.batch, node) };
        }
        true
    }
}

/// What a post leaves to be done outside the lock.
struct Posted {
    wake: bool,
}

/// Core's helper, to be run under the lock: the counterpart of `__lws_system_attach()`.
pub struct Unlocked<'a, R>(&'a mut dyn FnMut() -> R);

/// The proof that the helper has run.
pub struct Linked<R>(R);

impl<R> Unlocked<'_, R> {
    /// Runs the helper.
    ///
    /// # Safety
    ///
    /// The lock that came with the helper is held.
    pub unsafe fn run(self) -> Linked<R> {
        Linked((self.0)())
    }
}

/// The queue between other threads and one loop.
pub struct AttachQueue<A, P: Platform, O: SystemOps> {
    lock: O::Lock,
    wake: O::Wake,
    lists: LockedCell<Lists<A, P>>,
    flags: AtomicFlags,
}

// SAFETY: `lists` is only reached inside the lock (invariant 1); what crosses threads are closures,
// which are `Send`. `A` and `P` themselves never cross.
unsafe impl<A, P: Platform, O: SystemOps> Sync for AttachQueue<A, P, O>
where
    O::Lock: Sync,
    O::Wake: Sync,
{
}
// SAFETY: as above; nothing in the queue is bound to the thread that made it.
unsafe impl<A, P: Platform, O: SystemOps> Send for AttachQueue<A, P, O>
where
    O::Lock: Send,
    O::Wake: Send,
{
}

impl<A, P: Platform, O: SystemOps> AttachQueue<A, P, O> {
    /// An empty queue, fit for a static. Its wake is armed by the loop that takes it.
    pub const fn new(lock: O::Lock, wake: O::Wake) -> Self {
        let lists = LockedCell::new(Lists::NEW);
        Self { lock, wake, lists, flags: AtomicFlags::new() }
    }

    /// Raises flags, which the loop hands to [`raised`](crate::event_loop::Application::raised).
    /// The one post that takes no lock: for POSIX signal handlers and interrupts under whatever lock.
    /// Flags of the same bit that were not handed out yet are one. Those that a loop has not handed
    /// out when it ends are forgotten.
    #[cfg(target_has_atomic = "32")]
    pub fn raise(&self, bits: u32) {
        if bits != 0 && self.flags.raise(bits) {
            self.wake.wake();
        }
    }

    /// The flags that are raised, which are lowered by this.
    pub(crate) fn take_flags(&self) -> u32 {
        self.flags.take()
    }

    /// The wake, for the loop to arm and clear.
    pub(crate) const fn wake(&self) -> &O::Wake {
        &self.wake
    }

    /// Runs `f` on the lists, under the lock.
    fn with<R>(&self, f: impl FnOnce(&mut Lists<A, P>) -> R) -> R {
        // SAFETY: inside the lock this is the only reference (invariant 1).
        self.lock.with(|| self.lists.with(|lists| f(unsafe { &mut *lists })))
    }

    /// Links a node through the platform's `attach`, and wakes the loop if that is called for.
    ///
    /// # Safety
    ///
    /// `node` is alive and stays so until it is unlinked; if it is the owner's, `node` belongs to
    /// this queue.
    unsafe fn post(
        &self,
        node: *const Link<A, P>,
        gate: Option<SystemState>,
        request: Request<A, P>,
    ) -> Result<(), (Refused, Request<A, P>)> {
        let mut request = Some(request);
        let mut helper = || {
            self.lists.with(|lists| {
                // SAFETY: `SystemOps::attach` holds the lock around this (invariant 1).
                let lists = unsafe { &mut *lists };
                // SAFETY: the caller's promise.
                unsafe { lists.accept(node, gate, &mut request) }
            })
        };
        let Linked(posted) = O::attach(&self.lock, Unlocked(&mut helper));
        match (posted, request) {
            (Ok(posted), _) => {
                if posted.wake {
                    self.wake.wake();
                }
                Ok(())
            }
            (Err(why), Some(request)) => Err((why, request)),
            // A refused request has not been taken.
            (Err(_), None) => Ok(()),
        }
    }

    /// Before the wait: whether the loop may sleep. From here on a post that is ready wakes it, and so
    /// does the last state, over which nobody sleeps.
    pub(crate) fn may_sleep(&self) -> bool {
        let empty = self.with(|lists| {
            let nothing = lists.batch.is_empty() && lists.ready.is_empty();
            lists.sleeping = nothing && !lists.state.is_final();
            lists.sleeping
        });
        // A flag raised from here on finds none raised, and wakes.
        empty && !self.flags.any()
    }

    /// After the wait.
    pub(crate) fn awake(&self) {
        self.with(|lists| lists.sleeping = false);
    }

    /// Begins a drain: what is ready now runs, what is posted from now on waits for the next one.
    pub(crate) fn begin_drain(&self) {
        // SAFETY: under the lock.
        self.with(|lists| unsafe { lists.batch.append(&mut lists.ready) });
    }

    /// Runs the next request of the drain with what `outcome` makes. One request is taken per lock
    /// hold, so that cancelling stays synchronous. Whether there was one.
    pub(crate) fn run_next<'a>(&self, outcome: impl FnOnce() -> Outcome<'a, A, P>) -> bool
    where
        A: 'a,
        P: 'a,
    {
        let mut request = None;
        while request.is_none() {
            // SAFETY: under the lock.
            if !self.with(|lists| unsafe { lists.next(&mut request) }) {
                return false;
            }
        }
        if let Some(request) = request {
            request.run(outcome());
        }
        true
    }

    /// A loop has been made for this queue. One that follows may find its leader's state already.
    pub(crate) fn begin(&self) {
        self.change_state(Some(SystemState::Unknown), SystemState::ContextCreated);
    }

    /// The state as requests see it.
    pub(crate) fn state(&self) -> SystemState {
        self.with(|lists| lists.state)
    }

    /// Sets that state. What waited for it becomes ready: states in order, and each state's requests
    /// in theirs. What is ready no more is found when it would have run.
    pub(crate) fn set_state(&self, state: SystemState) {
        self.change_state(None, state);
    }

    /// Sets the state, if it is `from` or that is `None`, in one lock hold.
    fn change_state(&self, from: Option<SystemState>, state: SystemState) {
        let wake = self.with(|lists| {
            if from.is_some_and(|from| from != lists.state) {
                return false;
            }
            lists.state = state;
            // SAFETY: under the lock.
            unsafe { lists.ready.append(&mut lists.fallen) };
            for gate in SystemState::ALL.into_iter().filter(|gate| gate.reached_in(state)) {
                // SAFETY: under the lock.
                unsafe { lists.ready.append(&mut lists.parked[usize::from(gate as u8)]) };
            }
            // The last state ends the sleep of a loop that follows even if nothing waited for it.
            let wakes = state.is_final() || !lists.ready.is_empty();
            wakes && core::mem::take(&mut lists.sleeping)
        });
        if wake {
            self.wake.wake();
        }
    }

    /// Refuses later posts and tells everything that is still here [`Outcome::Shutdown`]. Returns how
    /// many were told. Calling it again, from a callback too, is allowed.
    pub(crate) fn close(&self) -> usize {
        self.with(|lists| lists.closed = true);
        let mut told = 0;
        loop {
            let request = self.with(|lists| {
                let head = lists.first()?;
                // SAFETY: a linked node is alive (invariant 2).
                unsafe { lists.take(head) }
            });
            let Some(request) = request else { return told };
            told += 1;
            request.run(Outcome::Shutdown);
        }
    }
}

impl<A, P: Platform, O: SystemOps> Drop for AttachQueue<A, P, O> {
    fn drop(&mut self) {
        self.close();
    }
}

/// A place for one request, owned by whoever posts.
pub struct Node<'q, A, P: Platform, O: SystemOps> {
    link: Link<A, P>,
    queue: &'q AttachQueue<A, P, O>,
    /// A linked node must not move.
    _pinned: PhantomPinned,
}

// SAFETY: `link` is only touched under the queue's lock (invariant 1).
unsafe impl<A, P: Platform, O: SystemOps> Sync for Node<'_, A, P, O> where AttachQueue<A, P, O>: Sync
{}
// SAFETY: as above; an idle node is only memory.
unsafe impl<A, P: Platform, O: SystemOps> Send for Node<'_, A, P, O> where AttachQueue<A, P, O>: Sync
{}

impl<'q, A, P: Platform, O: SystemOps> Node<'q, A, P, O> {
    /// An idle node of `queue`, fit for a static.
    pub const fn new(queue: &'q AttachQueue<A, P, O>) -> Self {
        Self { link: Link::new(), queue, _pinned: PhantomPinned }
    }

    /// Posts a request: `f` runs on the loop's thread, at once, or when the system is at `gate` or
    /// past it. `f` may have up to four words. A refusal gives it back.
    pub fn post<F>(
        self: Pin<&Self>,
        gate: impl Into<Option<SystemState>>,
        f: F,
    ) -> Result<(), (Refused, F)>
    where
        F: FnOnce(Outcome<'_, A, P>) + Send + 'static,
    {
        if self.link.linked.is_set() {
            // Somebody who recycles nodes need not queue at the lock to hear this.
            return Err((Refused::Busy, f));
        }
        let request = Request::new(f);
        // SAFETY: the node is pinned, and its `Drop` unlinks it (invariant 2); it names its queue.
        let posted = unsafe { self.queue.post(&raw const self.link, gate.into(), request) };
        // SAFETY: the request that comes back is the one made of `F` above.
        posted.map_err(|(why, request)| (why, unsafe { request.into_closure() }))
    }

    /// [`post`](Self::post) for a node in a static, which is pinned as it is.
    pub fn post_static<F>(
        &'static self,
        gate: impl Into<Option<SystemState>>,
        f: F,
    ) -> Result<(), (Refused, F)>
    where
        F: FnOnce(Outcome<'_, A, P>) + Send + 'static,
    {
        Pin::static_ref(self).post(gate, f)
    }

    /// Takes the request back if it has not begun to run; it has been told [`Outcome::Cancelled`] on
    /// this thread when this returns true.
    pub fn cancel(&self) -> bool {
        // SAFETY: the node is alive while it is borrowed.
        let request = self.queue.with(|lists| unsafe { lists.take(&raw const self.link) });
        let found = request.is_some();
        if let Some(request) = request {
            request.run(Outcome::Cancelled);
        }
        found
    }

    /// Whether a request waits in this node at this moment.
    pub fn is_linked(&self) -> bool {
        // SAFETY: under the lock, and the node is alive while it is borrowed.
        self.queue.with(|_| unsafe { edit(&raw const self.link, |links| links.request.is_some()) })
    }
}

impl<A, P: Platform, O: SystemOps> Drop for Node<'_, A, P, O> {
    fn drop(&mut self) {
        self.cancel();
    }
}

#[cfg(feature = "alloc")]
mod boxed {
    extern crate alloc;
    use super::*;
    use alloc::boxed::Box;

    /// A node that owns itself while it is linked.
    struct Boxed<A, P: Platform, F> {
        link: Link<A, P>,
        f: F,
    }

    /// Runs the closure of a boxed node, and frees the node first.
    ///
    /// # Safety
    ///
    /// The first word of `payload` is a `*mut Boxed<A, P, F>` that is in no list.
    unsafe fn run_boxed<A, P: Platform, F>(payload: *mut Payload, outcome: Outcome<'_, A, P>)
    where
        F: FnOnce(Outcome<'_, A, P>),
    {
        // SAFETY: the caller's promise.
        let node = unsafe { payload.cast::<*mut Boxed<A, P, F>>().read() };
        // SAFETY: it came from `Box::into_raw`, and whoever unlinked it owns it (invariant 2).
        let Boxed { f, .. } = *unsafe { Box::from_raw(node) };
        f(outcome);
    }

    impl<A, P: Platform, O: SystemOps> AttachQueue<A, P, O> {
        /// Posts a closure of any size: one allocation, freed before the closure runs. A closed
        /// queue gives the closure back.
        pub fn attach<F>(
            &self,
            gate: impl Into<Option<SystemState>>,
            f: F,
        ) -> Result<(), (Refused, F)>
        where
            F: FnOnce(Outcome<'_, A, P>) + Send + 'static,
        {
            let node = Box::into_raw(Box::new(Boxed { link: Link::new(), f }));
            let mut payload = [MaybeUninit::uninit(); PAYLOAD_WORDS];
            // SAFETY: a pointer is one word.
            unsafe { payload.as_mut_ptr().cast::<*mut Boxed<A, P, F>>().write(node) };
            let request = Request { run: run_boxed::<A, P, F>, payload };
            // SAFETY: `node` points to a live node.
            let link = unsafe { &raw const (*node).link };
            // SAFETY: the node is alive until `run_boxed` frees it, which follows its unlinking.
            unsafe { self.post(link, gate.into(), request) }.map_err(|(why, _)| {
                // SAFETY: a refused node was not linked: it is still ours.
                let Boxed { f, .. } = *unsafe { Box::from_raw(node) };
                (why, f)
            })
        }
    }
}

#[cfg(test)]
mod tests;
