//! The loop: one thread, one poll, and everything that happens on it.
//!
//! One [`turn`](EventLoop::turn): wait → read the clock once → timers that are due → flags that were
//! raised → attached requests that were there when the drain began → descriptors that are ready.
//! After each of these the state machine takes what steps it can.
//!
//! **Who owns what.** The loop owns the platform and lends it out through the [`Registrar`]. It
//! stores keys with an [`Owner`] tag and no closures: each ready key goes to the application's one
//! [`dispatch`](Application::dispatch), each announcement of a state to its one
//! [`notify`](Application::notify), and these pass on what is the system's to the system, a field of
//! the application. A `Registrar` adds, changes and removes descriptors, timers and notifiers and
//! cannot run a turn, so that nothing is ever re-entered.
//!
//! **Nobody starves.** A timer armed in a turn fires in a later one, a request posted in a turn runs
//! in a later one, and a descriptor is reported once a turn.
//!
//! **A panic** in a callback unwinds out of the turn and leaves the loop whole: what was being handed
//! out is gone, the rest comes with the next turn. A notifier that panics has said Go.
//!
//! **Suspend.** The clock counts it, so that a timer whose time passed meanwhile fires on return: it
//! may be missed while suspended. A timer that is to wake the machine is marked so
//! ([`Registrar::set_timer_wakes`]); a program that suspends the machine programs its hardware alarm
//! with [`Registrar::next_wake_up`]. libwebsockets has the same two kinds.
//!
//! **Several loops** on several threads may serve one context (libwebsockets' `tsi`): one queue for
//! each, one loop that [leads](EventLoop::lead) and walks through the states, others that
//! [follow](EventLoop::follow). A post goes to the loop whose queue its node names and wakes that one
//! alone; a state that the leader has reached is set for all.

use core::fmt;

use crate::attach::{AttachQueue, Outcome};
use crate::error::ErrorKind;
use crate::platform::{Arm, Platform, PlatformError, SystemOps, Wake};
use crate::poll::{Interest, Poll, Readiness, Token};
use crate::state::{
    Announcement, HoldKey, MAX_NOTIFIERS, Machine, NotifierKey, RequestError, States, Step,
    SystemState, TooManyNotifiers, Verdict,
};
use crate::time::Instant;
use crate::timer::{NoSlot, Owner, TimerHeap, TimerKey, TimerSlot};

/// Names a descriptor that the loop watches. Once that has been removed it names nothing, for 2^32
/// reuses of its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceKey {
    slot: u16,
    generation: u32,
}

impl SourceKey {
    /// As much of the key as a token has room for: results of a wait do not outlive the next one, and
    /// those of a descriptor that is removed are forgotten.
    fn token(self) -> Token {
        Token(u32::from(self.slot) << 16 | self.generation & 0xFFFF)
    }
}

/// Memory for one watched descriptor.
#[derive(Clone, Copy, Debug)]
pub struct SourceSlot<H> {
    /// `None` when the slot is free.
    handle: Option<H>,
    generation: u32,
    owner: Owner,
}

impl<H> SourceSlot<H> {
    /// A free slot.
    pub const NEW: Self = Self { handle: None, generation: 0, owner: Owner::Application };
}

/// The two highest slots would collide with the loop's own tokens.
const MAX_SOURCES: usize = 0xFFFE;

/// What the loop hands to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// A timer is due; it is disarmed now.
    Timer {
        /// Which.
        key: TimerKey,
        /// Whose.
        owner: Owner,
    },
    /// A descriptor is ready.
    Source {
        /// Which.
        key: SourceKey,
        /// Whose.
        owner: Owner,
        /// For what.
        readiness: Readiness,
    },
}

impl Ready {
    /// Whose it is.
    pub const fn owner(&self) -> Owner {
        match *self {
            Self::Timer { owner, .. } | Self::Source { owner, .. } => owner,
        }
    }
}

/// The program on top of a loop.
pub trait Application<P: Platform>: Sized {
    /// Takes what is ready. Keys of [`Owner::System`] go to the system.
    fn dispatch(&mut self, registrar: &mut Registrar<'_, P>, ready: Ready);

    /// Takes what a notifier is called for: a step that is about to be taken, which it may hold, or a
    /// state that has been entered. Those of [`Owner::System`] go to the system.
    fn notify(&mut self, registrar: &mut Registrar<'_, P>, announcement: &Announcement) -> Verdict {
        let _ = (registrar, announcement);
        Verdict::Go
    }

    /// Takes the flags that were raised ([`AttachQueue::raise`]) since they were handed out last.
    fn raised(&mut self, registrar: &mut Registrar<'_, P>, bits: u32) {
        let _ = (registrar, bits);
    }
}

/// Why a descriptor could not be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddError<E> {
    /// All slots that the loop was lent are taken.
    NoSlot,
    /// The poller refused.
    Poller(E),
}

impl<E: PlatformError> AddError<E> {
    /// The kind that callers act upon.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSlot => ErrorKind::Exhausted,
            Self::Poller(error) => error.kind(),
        }
    }
}

impl<E: fmt::Display> fmt::Display for AddError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSlot => f.pad("the loop has no room for one more descriptor"),
            Self::Poller(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for AddError<E> {}

/// What the loop keeps besides the lent memory; a [`Registrar`] borrows it.
#[derive(Debug)]
struct Inner {
    timers: TimerHeap,
    machine: Machine,
    /// The turn's one reading of the clock.
    now: Instant,
    stop: bool,
    /// Whether the states are another loop's.
    follows: bool,
}

/// What callbacks may do with the loop.
pub struct Registrar<'r, P: Platform> {
    platform: &'r mut P,
    inner: &'r mut Inner,
    timers: &'r mut [TimerSlot],
    sources: &'r mut [SourceSlot<P::Handle>],
}

impl<P: Platform> Registrar<'_, P> {
    /// The turn's reading of the clock.
    pub const fn now(&self) -> Instant {
        self.inner.now
    }

    /// The platform.
    pub const fn platform(&mut self) -> &mut P {
        self.platform
    }

    /// The same registrar for a shorter time, to be given away by value.
    pub const fn reborrow(&mut self) -> Registrar<'_, P> {
        Registrar {
            platform: self.platform,
            inner: self.inner,
            timers: self.timers,
            sources: self.sources,
        }
    }

    /// Watches a descriptor.
    pub fn add_source(
        &mut self,
        owner: Owner,
        handle: P::Handle,
        interest: Interest,
    ) -> Result<SourceKey, AddError<P::Error>> {
        let mut slots = self.sources.iter_mut().take(MAX_SOURCES).zip(0..);
        let (slot, at) = slots.find(|(slot, _)| slot.handle.is_none()).ok_or(AddError::NoSlot)?;
        let key = SourceKey { slot: at, generation: slot.generation.wrapping_add(1) };
        self.platform.poller().add(handle, key.token(), interest).map_err(AddError::Poller)?;
        *slot = SourceSlot { handle: Some(handle), generation: key.generation, owner };
        Ok(key)
    }

    fn source(&mut self, key: SourceKey) -> Option<&mut SourceSlot<P::Handle>> {
        let slot = self.sources.get_mut(usize::from(key.slot))?;
        (slot.handle.is_some() && slot.generation == key.generation).then_some(slot)
    }

    /// What the poller has reported under this name.
    fn reported(&self, token: Token) -> Option<(SourceKey, Owner)> {
        let [a, b, ..] = token.0.to_be_bytes();
        let slot = u16::from_be_bytes([a, b]);
        let place = self.sources.get(usize::from(slot))?;
        let key = SourceKey { slot, generation: place.generation };
        (place.handle.is_some() && key.token() == token).then_some((key, place.owner))
    }

    /// The descriptor that a key names.
    pub fn handle(&mut self, key: SourceKey) -> Option<P::Handle> {
        self.source(key)?.handle
    }

    /// Changes what a descriptor is watched for. `Ok(false)` if the key is stale.
    pub fn set_interest(&mut self, key: SourceKey, interest: Interest) -> Result<bool, P::Error> {
        let Some(handle) = self.source(key).and_then(|slot| slot.handle) else { return Ok(false) };
        self.platform.poller().modify(handle, key.token(), interest)?;
        Ok(true)
    }

    /// Watches a descriptor no longer; nothing more of it is reported, in this turn either. Gives
    /// back the handle, which stays open.
    pub fn remove_source(&mut self, key: SourceKey) -> Option<P::Handle> {
        let handle = self.source(key)?.handle.take()?;
        self.platform.poller().remove(handle, key.token());
        Some(handle)
    }

    /// A new timer, not armed.
    pub fn add_timer(&mut self, owner: Owner) -> Result<TimerKey, NoSlot> {
        self.inner.timers.add(self.timers, owner)
    }

    /// Gives a timer back. Whether it was there.
    pub fn remove_timer(&mut self, key: TimerKey) -> bool {
        self.inner.timers.remove(self.timers, key)
    }

    /// Arms a timer, anew if it was armed; it fires once, not before `deadline` and not before the
    /// next turn. Whether it exists.
    pub fn set_timer(&mut self, key: TimerKey, deadline: Instant) -> bool {
        // A deadline in the past is now: it must not overtake what has been due for longer.
        let deadline = deadline.max(self.inner.now);
        self.inner.timers.set(self.timers, key, deadline)
    }

    /// Disarms a timer. Whether it was armed.
    pub fn clear_timer(&mut self, key: TimerKey) -> bool {
        self.inner.timers.clear(self.timers, key) == Some(true)
    }

    /// Says whether a timer is to wake the machine from suspend; a new one is not. Whether it exists.
    pub fn set_timer_wakes(&mut self, key: TimerKey, wakes: bool) -> bool {
        TimerHeap::set_wakes(self.timers, key, wakes)
    }

    /// When the machine has to begin to wake up, if it is suspended now: the earliest deadline of the
    /// timers that wake it, less the platform's [`wake_latency`](Platform::wake_latency). `None` if
    /// there is none.
    pub fn next_wake_up(&mut self) -> Option<Instant> {
        let latency = self.platform.wake_latency();
        TimerHeap::earliest_waking(self.timers).map(|deadline| deadline - latency)
    }

    /// The system state.
    pub const fn state(&self) -> SystemState {
        self.inner.machine.state()
    }

    /// The step that is held back, and who holds it.
    pub fn held(&self) -> Option<(SystemState, HoldKey)> {
        self.inner.machine.held()
    }

    /// Asks for a climb to a run-up state; see [`Machine::advance`].
    pub fn advance(&mut self, goal: SystemState) -> Result<(), RequestError> {
        if self.inner.follows {
            return Err(RequestError::Follower);
        }
        self.inner.machine.advance(goal)
    }

    /// Asks for a jump down, or aside; see [`Machine::jump`].
    pub fn jump(&mut self, to: SystemState) -> Result<(), RequestError> {
        if self.inner.follows {
            return Err(RequestError::Follower);
        }
        self.inner.machine.jump(to)
    }

    /// Has the step that is being asked about asked about anew; see [`Machine::recall`].
    pub fn recall(&mut self) {
        self.inner.machine.recall();
    }

    /// Lets go of a hold; the walk goes on by itself. Whether that hold was there.
    pub fn release(&mut self, key: HoldKey) -> bool {
        self.inner.machine.release(key)
    }

    /// Registers a notifier after all others: [`notify`](Application::notify) is called with its key
    /// before and after each step. During an announcement it is called at its end.
    pub fn add_notifier(&mut self, owner: Owner) -> Result<NotifierKey, TooManyNotifiers> {
        self.inner.machine.register(owner)
    }

    /// Removes a notifier, the one that is being called too, and lets go of what it holds. Whether it
    /// was there.
    pub fn remove_notifier(&mut self, key: NotifierKey) -> bool {
        self.inner.machine.remove_notifier(key)
    }

    /// Ends [`EventLoop::run`] after this turn.
    pub const fn stop(&mut self) {
        self.inner.stop = true;
    }
}

/// Memory for a loop with `T` timers and `S` descriptors; fit for a static.
#[derive(Debug)]
pub struct LoopStorage<H, const T: usize = 32, const S: usize = 32> {
    timers: [TimerSlot; T],
    sources: [SourceSlot<H>; S],
}

impl<H: Copy, const T: usize, const S: usize> LoopStorage<H, T, S> {
    /// Memory that is not in use.
    pub const fn new() -> Self {
        Self { timers: [TimerSlot::NEW; T], sources: [const { SourceSlot::NEW }; S] }
    }
}

impl<H: Copy, const T: usize, const S: usize> Default for LoopStorage<H, T, S> {
    fn default() -> Self {
        Self::new()
    }
}

/// How many announcements the state machine makes before others have their turn.
const MAX_STEPS: usize = 8 * MAX_NOTIFIERS;

/// How often they have it while the last state is announced.
const MAX_WALKS: usize = 4;

/// The loop. `P` is the platform, `A` the application, `O` gives the attach queue's lock and wake.
pub struct EventLoop<'m, P: Platform, A, O: SystemOps> {
    platform: P,
    inner: Inner,
    timers: &'m mut [TimerSlot],
    sources: &'m mut [SourceSlot<P::Handle>],
    queue: &'m AttachQueue<A, P, O>,
    /// The queues of the loops that follow this one.
    followers: &'m [AttachQueue<A, P, O>],
    wake: P::Handle,
}

impl<'m, P, A, O> EventLoop<'m, P, A, O>
where
    P: Arm<O>,
    A: Application<P>,
    O: SystemOps,
{
    /// A loop in CONTEXT_CREATED over lent memory. Arms the queue's wake; fails if that cannot be
    /// done, or has been done: a queue serves one loop.
    pub fn new<const T: usize, const S: usize>(
        platform: P,
        storage: &'m mut LoopStorage<P::Handle, T, S>,
        queue: &'m AttachQueue<A, P, O>,
    ) -> Result<Self, P::Error> {
        let LoopStorage { timers, sources } = storage;
        Self::from_slices(platform, timers, sources, queue)
    }

    /// [`new`](Self::new) for memory from wherever: a `Vec`, a linker section.
    pub fn from_slices(
        mut platform: P,
        timers: &'m mut [TimerSlot],
        sources: &'m mut [SourceSlot<P::Handle>],
        queue: &'m AttachQueue<A, P, O>,
    ) -> Result<Self, P::Error> {
        timers.fill(TimerSlot::NEW);
        sources.fill(SourceSlot::NEW);
        let wake = platform.arm(queue.wake())?;
        platform.poller().add(wake, Token::WAKE, Interest::READ)?;
        queue.begin();
        let inner = Inner {
            timers: TimerHeap::new(),
            machine: Machine::new(SystemState::ContextCreated),
            now: platform.now(),
            stop: false,
            follows: false,
        };
        Ok(Self { platform, inner, timers, sources, queue, followers: &[], wake })
    }

    /// Makes this the loop that sets the states for others of its context: those that serve
    /// `followers`.
    pub fn lead(&mut self, followers: &'m [AttachQueue<A, P, O>]) {
        self.followers = followers;
        self.settle(self.inner.machine.state());
    }

    /// Makes this a loop that takes its states from the one that leads: it has no walk and no
    /// notifiers of its own, and cannot ask for a state.
    pub const fn follow(&mut self) {
        self.inner.follows = true;
    }

    /// The registrar, for setting up before the first turn.
    pub const fn registrar(&mut self) -> Registrar<'_, P> {
        Registrar {
            platform: &mut self.platform,
            inner: &mut self.inner,
            timers: self.timers,
            sources: self.sources,
        }
    }

    /// Takes turns until a callback says [`stop`](Registrar::stop), or until the system is in its
    /// last state. Another thread stops the loop by attaching a request that does.
    pub fn run(&mut self, app: &mut A) -> Result<(), P::Error> {
        while !core::mem::take(&mut self.inner.stop) && !self.inner.machine.state().is_final() {
            self.turn(app)?;
        }
        Ok(())
    }

    /// One turn; the module's preface has the order. Waits until something is to be done; in the last
    /// state it does not wait.
    pub fn turn(&mut self, app: &mut A) -> Result<(), P::Error> {
        self.walk(app);
        let deadline = if self.queue.may_sleep() && self.inner.machine.is_idle() && !self.inner.stop
        {
            self.inner.timers.earliest(self.timers)
        } else {
            Some(self.inner.now)
        };
        let waited = self.platform.wait(deadline);
        self.queue.awake();
        waited?;
        self.inner.now = self.platform.now();
        self.run_timers(app);
        self.run_flags(app);
        self.run_attached(app);
        self.run_ready(app);
        Ok(())
    }

    fn run_timers(&mut self, app: &mut A) {
        let until = self.inner.timers.sequence();
        while let Some((key, owner)) = self.inner.timers.pop_due(self.timers, self.inner.now, until)
        {
            app.dispatch(&mut self.registrar(), Ready::Timer { key, owner });
            self.walk(app);
        }
    }

    fn run_flags(&mut self, app: &mut A) {
        let bits = self.queue.take_flags();
        if bits != 0 {
            app.raised(&mut self.registrar(), bits);
            self.walk(app);
        }
    }

    fn run_attached(&mut self, app: &mut A) {
        self.queue.begin_drain();
        let queue = self.queue;
        while queue.run_next(|| Outcome::Ready(app, self.registrar())) {
            self.walk(app);
        }
    }

    fn run_ready(&mut self, app: &mut A) {
        while let Some((token, readiness)) = self.platform.poller().next_ready() {
            match token {
                Token::WAKE => self.queue.wake().clear(),
                Token::CLOCK => {}
                token => {
                    let Some((key, owner)) = self.registrar().reported(token) else { continue };
                    app.dispatch(&mut self.registrar(), Ready::Source { key, owner, readiness });
                    self.walk(app);
                }
            }
        }
    }

    /// Every request may know now that the state is reached. The last state is the end of
    /// [`run`](Self::run).
    fn settle(&mut self, state: SystemState) {
        self.queue.set_state(state);
        for queue in self.followers {
            queue.set_state(state);
        }
        self.inner.stop |= state.is_final();
    }

    /// Lets the state machine take its steps. Asked for after every callback, and mostly for nothing.
    #[inline]
    fn walk(&mut self, app: &mut A) {
        if self.inner.follows || !self.inner.machine.is_idle() {
            self.take_steps(app);
        }
    }

    /// A machine that never stands still goes on next turn.
    #[inline(never)]
    fn take_steps(&mut self, app: &mut A) {
        if self.inner.follows {
            let state = self.queue.state();
            if state != self.inner.machine.state() {
                self.inner.machine.mirror(state);
                self.inner.stop |= state.is_final();
            }
            return;
        }
        for _ in 0..MAX_STEPS {
            match self.inner.machine.step() {
                None => return,
                Some(Step::Settled(state)) => self.settle(state),
                Some(Step::Announce(announcement)) => {
                    let verdict = app.notify(&mut self.registrar(), &announcement);
                    self.inner.machine.answer(verdict);
                }
            }
        }
    }

    /// Ends the loop, and with it the context unless it follows another: announces CONTEXT_DESTROYING
    /// alone, runs the requests that are ready (those that wait for that state are), and tells every
    /// other one [`Outcome::Shutdown`]. Later posts are refused. Dropping the loop tells them all
    /// Shutdown and announces nothing.
    pub fn shutdown(&mut self, app: &mut A) {
        // Refused if it has been done.
        let _ = self.registrar().jump(SystemState::ContextDestroying);
        if !self.inner.follows {
            // A notifier that puts another in its place at every call does not keep the end away.
            for _ in 0..MAX_WALKS {
                self.walk(app);
            }
            self.settle(SystemState::ContextDestroying);
        }
        self.run_attached(app);
        self.queue.close();
    }
}

impl<P: Platform, A, O: SystemOps> Drop for EventLoop<'_, P, A, O> {
    fn drop(&mut self) {
        self.queue.close();
        self.platform.poller().remove(self.wake, Token::WAKE);
    }
}

#[cfg(all(any(test, feature = "testing"), unix))]
#[allow(missing_docs, reason = "the names of the tests say it")]
pub(crate) mod scenarios;
#[cfg(all(test, unix))]
mod tests;
