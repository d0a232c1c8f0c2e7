//! What is in flight: a `Query` per caller, and a `Lookup` per question that is on the wire.
//!
//! A query has one leg per type it wants. A leg walks from name to name: through aliases in the
//! cache, and where the cache knows nothing it waits on a lookup. Legs of any number of queries wait
//! on one lookup, so that equal questions are on the wire once (RFC 5452 §5), and what a lookup finds
//! goes into the cache, whoever still waits.

use core::net::SocketAddr;

use bringup_core::time::Instant;

use crate::cache::NONE;
use crate::name::Name;
use crate::record::RecordType;
use crate::search::Walk;
use crate::server::{MAX_SERVERS, ServerId};

mod attempt;

pub(crate) use attempt::{Attempt, AttemptState, OnStream, Plain};

/// The most aliases on the way to an answer, and the most names that are asked for on it. No RFC has a
/// number (RFC 1034 §5.2.2).
pub(crate) const MAX_ALIASES: usize = 16;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryKind {
    /// A and AAAA, side by side (RFC 8305 §3).
    Addresses,
    /// One type.
    Type(RecordType),
}

/// Names one query of one resolver: a slot and its generation. A key of a released query is never
/// the key of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueryKey {
    pub(crate) slot: u16,
    pub(crate) generation: u32,
}

/// How a query ended. The three that are not answers are kept apart: a temporary failure is never
/// shown as either of the others (RFC 1123 §6.1.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There are records.
    Answer,
    /// The name exists, but has none of what was asked for.
    NoData,
    /// The name does not exist.
    NxDomain,
    /// It could not be found out.
    Failed(Failure),
}

/// Why something could not be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Nobody answered in time.
    Timeout,
    /// No server is configured.
    NoServers,
    /// Every server that answered said SERVFAIL.
    ServFail,
    /// Every server that answered said REFUSED.
    Refused,
    /// A server could not read the query.
    FormErr,
    /// A server does not do queries.
    NotImp,
    /// A server answered with another response code.
    Rcode(u16),
    /// A server pointed elsewhere instead of resolving.
    Lame,
    /// A server's answers were broken, time and again.
    Malformed,
    /// The answer does not fit into a datagram, and could not be fetched otherwise.
    Truncated,
    /// The servers cannot be reached from here.
    Unreachable,
    /// Nobody listens at the servers' ports.
    PortClosed,
    /// The resolver was stopped.
    Stopped,
    /// An alias leads back to itself (RFC 1034 §3.6.2).
    AliasLoop,
    /// More than 16 aliases, or one that makes the name too long.
    AliasChain,
    /// The answer does not fit into the cache's memory.
    TooLarge,
    /// An address of a private network for a public name (`Config::refuse_private`).
    Rebinding,
    /// A single label without a search list: not a name to ask public servers for.
    SingleLabel,
}

impl Failure {
    /// A short name for people: the field's own word where there is one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timeout => "TIMEOUT",
            Self::NoServers => "NOSERVERS",
            Self::ServFail => "SERVFAIL",
            Self::Refused => "REFUSED",
            Self::FormErr => "FORMERR",
            Self::NotImp => "NOTIMP",
            Self::Rcode(_) => "RCODE",
            Self::Lame => "LAME",
            Self::Malformed => "MALFORMED",
            Self::Truncated => "TRUNCATED",
            Self::Unreachable => "UNREACHABLE",
            Self::PortClosed => "PORTCLOSED",
            Self::Stopped => "STOPPED",
            Self::AliasLoop => "ALIASLOOP",
            Self::AliasChain => "ALIASCHAIN",
            Self::TooLarge => "TOOLARGE",
            Self::Rebinding => "REBINDING",
            Self::SingleLabel => "SINGLELABEL",
        }
    }
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A server was asked for at least a part of it.
    Network,
    /// All of it was known.
    Cache,
    /// The hosts file.
    Hosts,
    /// The name is an address.
    Literal,
    /// A name with a fixed meaning (RFC 6761).
    Special,
}

/// The cache entries that make an answer, each pinned: aliases, then what the last one stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    entries: [u16; MAX_ALIASES + 1],
    len: u8,
}

impl Path {
    pub(crate) const EMPTY: Self = Self { entries: [NONE; MAX_ALIASES + 1], len: 0 };

    /// Adds an entry; `false` if there is no room for it.
    #[must_use]
    pub(crate) fn push(&mut self, index: u16) -> bool {
        let Some(slot) = self.entries.get_mut(usize::from(self.len)) else { return false };
        *slot = index;
        self.len += 1;
        true
    }

    pub(crate) fn entries(&self) -> &[u16] {
        self.entries.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// What it was; it is empty afterwards.
    pub(crate) fn take(&mut self) -> Self {
        let before = *self;
        self.len = 0;
        before
    }
}

/// How far the resolution of one type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LegState {
    /// This leg is not asked for.
    Unused,
    /// Waiting on a lookup.
    Waiting(u16),
    /// Known.
    Done(Outcome),
}

/// The resolution of one type of a query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leg {
    pub(crate) state: LegState,
    pub(crate) rtype: RecordType,
    pub(crate) path: Path,
    /// The cache was asked for the name a moment ago, and knows nothing of this type at it.
    pub(crate) missed: bool,
}

impl Leg {
    pub(crate) const UNUSED: Self =
        Self { state: LegState::Unused, rtype: RecordType(0), path: Path::EMPTY, missed: false };

    pub(crate) const fn is_waiting(&self) -> bool {
        matches!(self.state, LegState::Waiting(_))
    }

    pub(crate) fn has_answer(&self) -> bool {
        self.state == LegState::Done(Outcome::Answer)
    }
}

/// Where a query is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The slot is free.
    Free,
    /// Legs are waiting, nothing has been said yet.
    Active,
    /// The outcome stands; a late leg may still wait.
    Finished(Outcome),
}

/// What the caller has yet to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    None,
    Done,
    Update,
}

/// Memory for one query of a caller.
#[derive(Clone)]
pub(crate) struct Query {
    pub(crate) generation: u32,
    /// Which slot is free besides, while this one is.
    pub(crate) next_free: u16,
    pub(crate) stage: Stage,
    pub(crate) notice: Notice,
    pub(crate) legs: [Leg; 2],
    pub(crate) started_at: Instant,
    /// When the last part of the answer came; TTLs are given as of then.
    pub(crate) answered_at: Instant,
    pub(crate) deadline: Instant,
    /// Until when a positive A waits for its AAAA.
    pub(crate) grace: Option<Instant>,
    pub(crate) source: Source,
    /// Who answered last, or, where nobody did, failed last.
    pub(crate) server: Option<SocketAddr>,
    /// The scope of an IPv6 literal.
    pub(crate) scope_id: u32,
    /// Whether only TCP will do.
    pub(crate) tcp: bool,
    /// What was asked for, and which names it may stand for.
    pub(crate) name: Name,
    pub(crate) walk: Walk,
    /// Whether the name that is being asked for has a suffix of the search list.
    pub(crate) derived: bool,
    /// What the names before it have come to.
    pub(crate) had_no_data: bool,
    pub(crate) had_failure: Option<Failure>,
    /// It has to go on to the next name.
    pub(crate) walk_due: bool,
    /// The name that is being asked for, in lower case.
    pub(crate) current: Name,
    /// When it takes an answer whose TTL is over, if it can.
    pub(crate) stale_at: Option<Instant>,
    /// A part of the answer is past its TTL.
    pub(crate) stale: bool,
}

impl Query {
    /// A function: as a constant it would be in the program once more.
    pub(crate) const fn free() -> Self {
        Self {
            generation: 0,
            next_free: u16::MAX,
            stage: Stage::Free,
            notice: Notice::None,
            legs: [Leg::UNUSED; 2],
            started_at: Instant::ZERO,
            answered_at: Instant::ZERO,
            deadline: Instant::ZERO,
            grace: None,
            source: Source::Cache,
            server: None,
            scope_id: 0,
            tcp: false,
            name: Name::ROOT,
            walk: Walk::BARE,
            derived: false,
            had_no_data: false,
            had_failure: None,
            walk_due: false,
            current: Name::ROOT,
            stale_at: None,
            stale: false,
        }
    }

    /// Takes the slot, which is free, for a new query, whose name is to be set.
    pub(crate) fn begin(&mut self, legs: [RecordType; 2], now: Instant, deadline: Instant) {
        self.stage = Stage::Active;
        (self.started_at, self.answered_at, self.deadline) = (now, now, deadline);
        for (leg, rtype) in self.legs.iter_mut().zip(legs) {
            (leg.rtype, leg.missed) = (rtype, false);
        }
    }

    /// Gives the slot back, as it is before anything is known. What is large stays: nobody looks at it.
    pub(crate) fn clear(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.stage = Stage::Free;
        for leg in &mut self.legs {
            (leg.state, leg.rtype, leg.path.len) = (LegState::Unused, RecordType(0), 0);
        }
        (self.notice, self.source, self.server) = (Notice::None, Source::Cache, None);
        (self.grace, self.stale_at, self.stale) = (None, None, false);
        (self.scope_id, self.tcp, self.derived) = (0, false, false);
        (self.walk, self.walk_due) = (Walk::BARE, false);
        (self.had_no_data, self.had_failure) = (false, None);
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.legs.iter().any(Leg::is_waiting)
    }

    /// When this query wants to be looked at.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let deadline = self.is_waiting().then_some(self.deadline);
        let stale = self.stale_at.filter(|_| self.is_waiting());
        Instant::earliest([deadline, stale, self.grace])
    }

    /// What can be said now (RFC 8305 §3); `None` while it is better to wait.
    pub(crate) fn settle(&self, now: Instant) -> Option<Outcome> {
        use Outcome::{Answer, Failed, NoData, NxDomain};
        let (mut waiting, mut answer, mut aaaa) = (false, false, false);
        let (mut no_data, mut no_name, mut failure) = (false, false, None);
        for leg in &self.legs {
            match leg.state {
                LegState::Unused => {}
                LegState::Waiting(_) => waiting = true,
                LegState::Done(Answer) => {
                    (answer, aaaa) = (true, aaaa || leg.rtype == RecordType::AAAA);
                }
                LegState::Done(NoData) => no_data = true,
                LegState::Done(NxDomain) => no_name = true,
                LegState::Done(Failed(why)) => failure = failure.or(Some(why)),
            }
        }
        let graced = self.grace.is_some_and(|grace| grace <= now);
        // A positive AAAA, or an A that has waited for its AAAA long enough, is usable.
        let usable = aaaa || graced && answer;
        // NXDOMAIN says that there is no name, whatever the type: the other leg need not end.
        let hopeless = no_name && !answer;
        if waiting && !usable && !hopeless {
            return None;
        }
        Some(match failure {
            _ if answer => Answer,
            // NXDOMAIN and NODATA contradict each other; the name exists for somebody.
            _ if no_name && !no_data => NxDomain,
            // One family has nothing and the other is unknown: that is not "nothing".
            Some(failure) => Failed(failure),
            None => NoData,
        })
    }
}

/// Where a lookup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookupState {
    /// The slot is free.
    Free,
    /// To be sent to this server.
    Send(ServerId),
    /// Sent to this server; until then it may answer.
    Wait(ServerId, Instant),
    /// There is no server; a new list may come.
    Parked,
}

/// What a lookup is begun with.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) name: &'a Name,
    pub(crate) rtype: RecordType,
    pub(crate) tcp: bool,
    pub(crate) derived: bool,
    pub(crate) refresh: bool,
    pub(crate) probe: Option<ServerId>,
}

impl<'a> Ask<'a> {
    /// For those who wait, as it is mostly asked.
    pub(crate) const fn of(name: &'a Name, rtype: RecordType) -> Self {
        Self { name, rtype, tcp: false, derived: false, refresh: false, probe: None }
    }
}

/// Memory for one question on the wire.
#[derive(Clone)]
pub(crate) struct Lookup {
    pub(crate) state: LookupState,
    pub(crate) name: Name,
    pub(crate) rtype: RecordType,
    /// Whether only TCP will do.
    pub(crate) tcp: bool,
    /// Whether a suffix of the search list made the name.
    pub(crate) derived: bool,
    /// Whether it goes on without a waiter: what it finds is for the cache.
    pub(crate) refresh: bool,
    /// The one server that it is to find out about.
    pub(crate) probe: Option<ServerId>,
    /// Which server of the list counts as the first.
    pub(crate) rotation: u8,
    /// Legs that wait on it.
    pub(crate) waiters: u16,
    /// The query of the last one that came; `u16::MAX` once one has gone.
    pub(crate) waiter: u16,
    /// Nobody waits: when it is given up. A reply until then still fills the cache (RFC 8305 §5).
    pub(crate) linger: Option<Instant>,
    pub(crate) attempts: [Attempt; MAX_SERVERS],
    /// Which of them may be other than idle, a bit each.
    pub(crate) asked: u8,
    /// Whether several servers were asked over UDP.
    pub(crate) spread: bool,
    /// The last thing that a server said instead of an answer.
    pub(crate) failure: Option<Failure>,
    /// The server that it is of, or the last one that was silent.
    pub(crate) failed_at: Option<SocketAddr>,
}

impl Lookup {
    pub(crate) const fn free() -> Self {
        Self {
            state: LookupState::Free,
            name: Name::ROOT,
            rtype: RecordType(0),
            tcp: false,
            derived: false,
            refresh: false,
            probe: None,
            rotation: 0,
            waiters: 0,
            waiter: u16::MAX,
            linger: None,
            attempts: [Attempt::IDLE; MAX_SERVERS],
            asked: 0,
            spread: false,
            failure: None,
            failed_at: None,
        }
    }

    /// Takes the slot, which is free, for this.
    pub(crate) fn begin(&mut self, ask: Ask<'_>) {
        self.name.set(ask.name);
        (self.rtype, self.tcp, self.derived) = (ask.rtype, ask.tcp, ask.derived);
        (self.refresh, self.probe) = (ask.refresh, ask.probe);
    }

    /// Gives the slot back, but for its attempts. The name stays: nobody looks at it.
    pub(crate) fn clear(&mut self) {
        (self.state, self.probe, self.refresh) = (LookupState::Free, None, false);
        (self.waiters, self.waiter, self.linger) = (0, u16::MAX, None);
        (self.spread, self.failure, self.failed_at) = (false, None, None);
    }

    /// Whether it asks this; what is to find out about one server does not count.
    pub(crate) fn is_for(&self, name: &Name, rtype: RecordType) -> bool {
        // Both are in lower case.
        !self.is_free()
            && self.probe.is_none()
            && self.rtype == rtype
            && self.name.as_wire() == name.as_wire()
    }

    /// Whether its slot can be had for a better use.
    pub(crate) fn is_expendable(&self) -> bool {
        self.linger.is_some() || self.waiters == 0 && self.refresh
    }

    pub(crate) fn is_free(&self) -> bool {
        self.state == LookupState::Free
    }

    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let timeout = match self.state {
            LookupState::Wait(_, at) if self.linger.is_none() => Some(at),
            _ => None,
        };
        timeout.or(self.linger)
    }

    pub(crate) fn attempt(&self, server: ServerId) -> &Attempt {
        const IDLE: &Attempt = &Attempt::IDLE;
        self.attempts.get(server.index()).unwrap_or(IDLE)
    }

    pub(crate) fn attempt_mut(&mut self, server: ServerId) -> Option<&mut Attempt> {
        let attempt = self.attempts.get_mut(server.index())?;
        self.asked |= 1 << server.index();
        Some(attempt)
    }

    /// What one server was asked, if any of `servers` was: the first of them, which is idle afterwards.
    pub(crate) fn take_attempt(&mut self) -> Option<(ServerId, Attempt)> {
        let number = u8::try_from(self.asked.trailing_zeros()).ok()?;
        let server = ServerId::of_conn(number);
        let attempt = self.attempts.get_mut(server.index())?;
        self.asked &= self.asked - 1;
        Some((server, core::mem::replace(attempt, Attempt::IDLE)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bringup_core::time::Duration;

    #[test]
    fn rule_43_and_50_what_two_legs_say_together() {
        use LegState::{Done, Waiting};
        use Outcome::{Answer, Failed, NoData, NxDomain};
        let waiting = Waiting(0);
        let timeout = Failed(Failure::Timeout);
        let now = Instant::ZERO + Duration::from_secs(9);
        for (a, aaaa, grace_over, expected) in [
            (waiting, waiting, false, None),
            (Done(Answer), waiting, false, None),
            (Done(Answer), waiting, true, Some(Answer)),
            (waiting, Done(Answer), false, Some(Answer)),
            (Done(Answer), Done(NoData), false, Some(Answer)),
            (Done(Answer), Done(timeout), false, Some(Answer)),
            (Done(NoData), waiting, false, None),
            (Done(NoData), Done(NoData), false, Some(NoData)),
            (Done(NoData), Done(timeout), false, Some(timeout)),
            (Done(timeout), Done(NoData), false, Some(timeout)),
            (Done(NxDomain), waiting, false, Some(NxDomain)),
            (waiting, Done(NxDomain), false, Some(NxDomain)),
            (Done(NxDomain), Done(timeout), false, Some(NxDomain)),
            (Done(NxDomain), Done(NoData), false, Some(NoData)),
            (Done(NxDomain), Done(Answer), false, Some(Answer)),
            (Done(timeout), waiting, false, None),
        ] {
            let mut query = Query::free();
            let leg = |rtype, state| Leg { state, rtype, ..Leg::UNUSED };
            query.legs = [leg(RecordType::A, a), leg(RecordType::AAAA, aaaa)];
            query.grace = grace_over.then_some(now);
            assert_eq!(query.settle(now), expected, "A {a:?}, AAAA {aaaa:?}, {grace_over}");
        }
    }
}
