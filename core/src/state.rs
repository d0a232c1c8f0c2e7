//! System states, and the [`Machine`] that walks through them.
//!
//! The states and their order are those of libwebsockets' `lws_system_states_t`. The machine climbs
//! one state at a time towards its goal. Before each step every notifier is asked, in the order of
//! registration, and may hold the step back; after it every notifier is told. The machine calls
//! nobody: it hands out one [`Announcement`] at a time and the loop makes the call, so that a
//! notifier may ask for anything, the machine included, without re-entering it.
//!
//! - A hold is released by its key, and the walk goes on with the next notifier.
//! - Notifiers come and go at any time, from within one too: who is removed is called no more, who is
//!   added during an announcement is called at its end.
//! - A request made during a walk waits until the announcement that is going on has been made to
//!   all. Nothing is announced twice, and the state never moves back by accident.
//! - A downward move is one jump. It cannot be held: an expired address is not kept because somebody
//!   objects. The goal stays, so that the climb begins again.
//! - States that are no run-up states (POLICY_INVALID, CONTEXT_DESTROYING, …) are jumps too, and end
//!   the climb. Nothing comes after CONTEXT_DESTROYING.

use core::fmt;

use crate::timer::Owner;

/// The states that a [`Machine`] can walk: a run of ranked ones, and others that stand beside it.
pub trait States: Copy + PartialEq + fmt::Debug {
    /// The state's place in the run-up, `None` if it has none.
    fn rank(self) -> Option<u8>;
    /// The run-up state that comes after this one.
    fn next(self) -> Option<Self>;
    /// Whether nothing may come after it.
    fn is_final(self) -> bool;

    /// Whether a request that waits for `self` may go while the machine is in `now`: "at or past" is
    /// only asked of run-up states, any other must be the very one.
    fn reached_in(self, now: Self) -> bool {
        match (self.rank(), now.rank()) {
            (Some(wanted), Some(here)) => here >= wanted,
            _ => self == now,
        }
    }
}

macro_rules! system_states {
    ($($(#[$doc:meta])* $variant:ident = $number:literal $name:literal)*) => {
        /// The states of a system, in libwebsockets' order and with its numbers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum SystemState {
            $($(#[$doc])* $variant = $number,)*
        }

        impl SystemState {
            /// How many states there are.
            pub const COUNT: usize = [$($number),*].len();
            /// All of them, in order of their numbers.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$variant),*];

            /// lws's name, without its prefix `LWS_SYSTATE_`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

system_states! {
    /// Nothing is known yet.
    Unknown = 0 "UNKNOWN"
    /// The loop, its queue and the application exist.
    ContextCreated = 1 "CONTEXT_CREATED"
    /// The last moment with the privileges of the start.
    PrePrivDrop = 2 "PRE_PRIV_DROP"
    /// The program's own start is done.
    Initialized = 3 "INITIALIZED"
    /// Configuration from standard input has been read.
    CollectingStdin = 4 "COLLECTING_STDIN"
    /// The interfaces are known and a link is up.
    IfaceColdplug = 5 "IFACE_COLDPLUG"
    /// An interface has an address.
    Dhcp = 6 "DHCP"
    /// Captive portal detection before the time is known.
    CpdPreTime = 7 "CPD_PRE_TIME"
    /// UTC is known, with an error bound.
    TimeValid = 8 "TIME_VALID"
    /// Captive portal detection, now that certificates can be checked.
    CpdPostTime = 9 "CPD_POST_TIME"
    /// The policy of the program is there.
    PolicyValid = 10 "POLICY_VALID"
    /// The device is registered.
    Registered = 11 "REGISTERED"
    /// First authentication is done.
    Auth1 = 12 "AUTH1"
    /// Second authentication is done.
    Auth2 = 13 "AUTH2"
    /// One-time updates are done.
    OneTimeUpdates = 14 "ONE_TIME_UPDATES"
    /// The program may start.
    Operational = 15 "OPERATIONAL"
    /// The policy is no longer valid; not past OPERATIONAL, in spite of the number.
    PolicyInvalid = 16 "POLICY_INVALID"
    /// The end.
    ContextDestroying = 17 "CONTEXT_DESTROYING"
    /// An update that wants the device to itself is about to begin.
    AwaitingModalUpdating = 18 "AWAITING_MODAL_UPDATING"
    /// An update has the device to itself.
    ModalUpdating = 19 "MODAL_UPDATING"
}

impl States for SystemState {
    fn rank(self) -> Option<u8> {
        Some(self as u8).filter(|&number| number <= Self::Operational as u8)
    }

    fn next(self) -> Option<Self> {
        let next = Self::ALL.get(usize::from(self as u8) + 1).copied();
        next.filter(|state| state.rank().is_some())
    }

    fn is_final(self) -> bool {
        self == Self::ContextDestroying
    }
}

impl fmt::Display for SystemState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How many notifiers a machine can have.
pub const MAX_NOTIFIERS: usize = 16;

/// Names a notifier. No other one of the machine ever has the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotifierKey {
    /// How many had been registered before.
    order: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Notifier {
    key: NotifierKey,
    owner: Owner,
}

/// Names one hold of one step: who holds, and which announcement it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldKey {
    sequence: u32,
    /// Who holds, as `status` shows it.
    pub holder: &'static str,
}

/// What a notifier is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The step is about to be taken; it may be held.
    Asked,
    /// The state has been entered; the answer is not looked at.
    Entered,
}

/// One call to one notifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement<S = SystemState> {
    /// The state before.
    pub from: S,
    /// The state to come, or just entered.
    pub to: S,
    /// Which of the two.
    pub phase: Phase,
    notifier: Notifier,
    sequence: u32,
}

impl<S> Announcement<S> {
    /// Who is called.
    pub const fn notifier(&self) -> NotifierKey {
        self.notifier.key
    }

    /// Whose notifier it is.
    pub const fn owner(&self) -> Owner {
        self.notifier.owner
    }

    /// The key with which this step can be held, and released later. `holder` is shown to people.
    pub const fn hold(&self, holder: &'static str) -> HoldKey {
        HoldKey { sequence: self.sequence, holder }
    }
}

/// What a notifier answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing against it.
    Go,
    /// Not yet: the walk waits until this key is released.
    Hold(HoldKey),
}

/// All notifiers that a machine can have are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyNotifiers;

impl fmt::Display for TooManyNotifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("there is no room for one more notifier")
    }
}

impl core::error::Error for TooManyNotifiers {}

/// What the machine wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<S = SystemState> {
    /// Call the notifier, then give its [`Verdict`] to [`Machine::answer`].
    Announce(Announcement<S>),
    /// Every notifier has been told that this state was entered.
    Settled(S),
}

/// Why a request makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// Only a run-up state can be climbed to.
    NotARunUpState,
    /// The machine is in its final state.
    Ended,
    /// The loop follows another one of its context: only that one's states can be asked for.
    Follower,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotARunUpState => "only a state of the run-up can be climbed to",
            Self::Ended => "nothing comes after the last state",
            Self::Follower => "the states are another loop's",
        })
    }
}

impl core::error::Error for RequestError {}

#[derive(Clone, Copy, Debug)]
struct Walk<S> {
    from: S,
    to: S,
    phase: Phase,
    /// Every notifier before this place in the order of registration has been called.
    next: u64,
    /// The announcement that is out.
    sequence: u32,
    held: Option<HoldKey>,
}

/// A state machine with notifiers; of the system's states, or of a program's own.
#[derive(Debug)]
pub struct Machine<S = SystemState> {
    state: S,
    goal: Option<S>,
    jump: Option<S>,
    walk: Option<Walk<S>>,
    sequence: u32,
    /// In no order.
    notifiers: [Option<Notifier>; MAX_NOTIFIERS],
    /// How many notifiers have ever been registered.
    registered: u64,
}

impl<S: States> Machine<S> {
    /// A machine in a state, with no goal.
    pub const fn new(state: S) -> Self {
        Self {
            state,
            goal: None,
            jump: None,
            walk: None,
            sequence: 0,
            notifiers: [None; MAX_NOTIFIERS],
            registered: 0,
        }
    }

    /// The state that was entered last.
    pub const fn state(&self) -> S {
        self.state
    }

    /// Where the climb is to end.
    pub const fn goal(&self) -> Option<S> {
        self.goal
    }

    /// The step that is held back, and who holds it.
    pub fn held(&self) -> Option<(S, HoldKey)> {
        self.walk.as_ref().and_then(|walk| walk.held.map(|key| (walk.to, key)))
    }

    /// Whether [`step`](Self::step) has something to do.
    pub fn is_idle(&self) -> bool {
        match &self.walk {
            Some(walk) => walk.held.is_some() && self.jump.is_none(),
            None => self.jump.is_none() && self.target().is_none(),
        }
    }

    /// Registers a notifier after all others; during an announcement it is called at its end.
    pub fn add_notifier(&mut self) -> Result<NotifierKey, TooManyNotifiers> {
        self.register(Owner::Application)
    }

    /// The same for the loop, which has notifiers of two owners.
    pub(crate) fn register(&mut self, owner: Owner) -> Result<NotifierKey, TooManyNotifiers> {
        let free = self.notifiers.iter_mut().find(|place| place.is_none());
        let key = NotifierKey { order: self.registered };
        *free.ok_or(TooManyNotifiers)? = Some(Notifier { key, owner });
        self.registered += 1;
        Ok(key)
    }

    /// Removes a notifier; during a walk too, itself or another. What it holds is released. Whether
    /// it was there.
    pub fn remove_notifier(&mut self, key: NotifierKey) -> bool {
        let mut places = self.notifiers.iter_mut();
        let Some(place) = places.find(|place| place.is_some_and(|n| n.key == key)) else {
            return false;
        };
        *place = None;
        // A walk that is held, or is to be by the answer that is still to come, is so by the one that it
        // called last.
        if self.walk.is_some_and(|walk| walk.next == key.order + 1) {
            self.let_go();
        }
        true
    }

    /// Ends a hold. Its key is spent: the new number is handed out to nobody. If the notifier has not
    /// even answered yet, its answer comes too late.
    fn let_go(&mut self) {
        if let Some(walk) = &mut self.walk {
            self.sequence = self.sequence.wrapping_add(1);
            walk.sequence = self.sequence;
            walk.held = None;
        }
    }

    /// Asks for a climb to a run-up state. Nothing happens if the machine is there or past it, or
    /// climbs higher already.
    pub fn advance(&mut self, goal: S) -> Result<(), RequestError> {
        let rank = goal.rank().ok_or(RequestError::NotARunUpState)?;
        if self.is_ended() {
            return Err(RequestError::Ended);
        }
        if self.goal.and_then(States::rank).is_none_or(|now| now < rank) {
            self.goal = Some(goal);
        }
        Ok(())
    }

    /// Asks for a jump: down to a run-up state, or to a state beside the run-up. It happens when the
    /// announcement that is going on has ended, and cannot be held. A jump that is no longer downward
    /// by then is forgotten. Of two that wait the one further down counts, a final one above all.
    pub fn jump(&mut self, to: S) -> Result<(), RequestError> {
        if self.is_ended() {
            return Err(RequestError::Ended);
        }
        // What is final has ended it above.
        let replaces = match self.jump {
            None => true,
            Some(waiting) => match (waiting.rank(), to.rank()) {
                (Some(waiting), Some(to)) => to < waiting,
                (None, Some(_)) => false,
                (_, None) => true,
            },
        };
        if replaces {
            self.jump = Some(to);
        }
        Ok(())
    }

    /// Takes over the state of another machine, without a walk of its own.
    pub(crate) fn mirror(&mut self, state: S) {
        self.state = state;
    }

    fn is_ended(&self) -> bool {
        self.state.is_final() || self.jump.is_some_and(States::is_final)
    }

    /// Asks about the step that is being asked about once more, from the first notifier on: what
    /// somebody said Go to does not hold any more. A hold of the step is void. Nothing happens while
    /// no step is being asked about.
    pub fn recall(&mut self) {
        self.walk = self.walk.filter(|walk| walk.phase != Phase::Asked);
    }

    /// Lets go of a hold; the walk goes on. Whether that hold was there.
    pub fn release(&mut self, key: HoldKey) -> bool {
        let Some(walk) = &self.walk else { return false };
        if walk.phase != Phase::Asked || walk.sequence != key.sequence {
            return false;
        }
        self.let_go();
        true
    }

    /// The next thing to be done, `None` when nothing is or when the walk is held.
    pub fn step(&mut self) -> Option<Step<S>> {
        loop {
            let Some(walk) = self.walk else {
                self.begin()?;
                continue;
            };
            if walk.phase == Phase::Asked && self.next_jump().is_some() {
                // The step that was being asked about will not be taken.
                self.walk = None;
                continue;
            }
            if walk.held.is_some() {
                return None;
            }
            if let Some(announcement) = self.announce() {
                return Some(Step::Announce(announcement));
            }
            if walk.phase == Phase::Entered {
                self.walk = None;
                return Some(Step::Settled(walk.to));
            }
            self.state = walk.to;
            self.walk = Some(Walk { phase: Phase::Entered, next: 0, ..walk });
        }
    }

    /// Takes the answer to the announcement that was handed out last.
    pub fn answer(&mut self, verdict: Verdict) {
        let Verdict::Hold(key) = verdict else { return };
        if let Some(walk) = &mut self.walk {
            if walk.phase == Phase::Asked && walk.sequence == key.sequence {
                walk.held = Some(key);
            }
        }
    }

    /// The next state on the way to the goal.
    fn target(&self) -> Option<S> {
        let (here, goal) = (self.state.rank()?, self.goal?.rank()?);
        if here < goal { self.state.next() } else { None }
    }

    /// The jump that waits, unless it leads nowhere from here: then it is forgotten, and what is
    /// going on is not disturbed.
    fn next_jump(&mut self) -> Option<S> {
        let here = self.state;
        self.jump = self.jump.filter(|to| match (to.rank(), here.rank()) {
            (Some(to), Some(here)) => to < here,
            _ => *to != here,
        });
        self.jump
    }

    /// Starts the walk that is due.
    fn begin(&mut self) -> Option<()> {
        let (from, sequence) = (self.state, self.sequence);
        let walk = |to, phase| Walk { from, to, phase, next: 0, sequence, held: None };
        if let Some(to) = self.next_jump() {
            self.jump = None;
            self.state = to;
            self.walk = Some(walk(to, Phase::Entered));
            if to.rank().is_none() {
                self.goal = None;
            }
            return Some(());
        }
        let to = self.target()?;
        self.walk = Some(walk(to, Phase::Asked));
        Some(())
    }

    /// The announcement to the next notifier that is there.
    fn announce(&mut self) -> Option<Announcement<S>> {
        let walk = self.walk.as_mut()?;
        let left = self.notifiers.iter().flatten().filter(|n| n.key.order >= walk.next);
        let notifier = *left.min_by_key(|n| n.key.order)?;
        self.sequence = self.sequence.wrapping_add(1);
        walk.next = notifier.key.order + 1;
        walk.sequence = self.sequence;
        let Walk { from, to, phase, sequence, .. } = *walk;
        Some(Announcement { from, to, phase, notifier, sequence })
    }
}

#[cfg(test)]
mod tests;
