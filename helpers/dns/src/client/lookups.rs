//! How a lookup lives: begun by a leg, moved from server to server, ended with what was found.

use core::net::SocketAddr;
use core::ops::Range;

use bringup_core::client::Cx;
use bringup_core::time::{Duration, Instant};

use super::Resolver;
use super::index::By;
use crate::name::Name;
use crate::query::{
    Ask, Attempt, AttemptState, Failure, LegState, Lookup, LookupState, OnStream, Outcome, Path,
};
use crate::record::RecordType;
use crate::server::{ServerAddress, ServerId};

/// For how long a reply that nobody waits for any more still fills the cache (RFC 8305 §5).
const LINGER: Duration = Duration::from_secs(1);
/// RFC 9520 §3.1 allows three sends per server and transport. Ours is three in all, over UDP and TCP
/// together, whatever the server says in between.
pub(super) const MAX_SENDS: u8 = 3;
/// No configuration makes a wait for an answer shorter than this.
const PATIENCE_MIN: Duration = Duration::from_millis(50);
/// After so long a socket that was left is looked at again.
const IDLE_LOOK: Duration = Duration::from_secs(30);

/// What a lookup is found by, never 0.
fn key(name: u32, rtype: RecordType) -> u32 {
    (name ^ u32::from(rtype.0).wrapping_mul(0x9E37_79B1)).max(1)
}

/// What a response, or its absence, means for those who wait.
#[derive(Clone, Copy)]
pub(super) enum End {
    /// This is how it is.
    Known(Outcome),
    /// It goes on where the last alias of the path leads.
    Continue,
}

impl Resolver<'_> {
    /// Begins to ask for a name. There is room: a leg waits on at most one lookup.
    pub(super) fn start_lookup(&mut self, cx: &mut Cx<'_>, ask: Ask<'_>) -> Option<usize> {
        if self.index.free().is_none() {
            let expendable = self.lookups.iter().position(Lookup::is_expendable)?;
            self.end_lookup(cx.now, expendable);
        }
        self.rotation = match self.config.rotate {
            true => (self.rotation + 1).checked_rem(self.servers.count()).unwrap_or(0),
            false => 0,
        };
        let index = self.occupy(ask)?;
        let Some(server) = self.choose(index) else {
            self.index.give_back(index);
            return None;
        };
        self.enter(index, LookupState::Send(server));
        self.probe_failing(cx, index, server);
        Some(index)
    }

    /// Puts a lookup into a free slot, if there is one.
    pub(super) fn occupy(&mut self, ask: Ask<'_>) -> Option<usize> {
        let index = self.index.take(key(self.cache.hash_of(ask.name.as_wire()), ask.rtype))?;
        let lookup = self.lookups.get_mut(index)?;
        lookup.begin(ask);
        lookup.rotation = self.rotation;
        Some(index)
    }

    /// The lookup that asks this, if it is one that `fits`.
    pub(super) fn find_lookup(
        &self,
        name: &Name,
        rtype: RecordType,
        fits: impl Fn(&Lookup) -> bool,
    ) -> Option<usize> {
        let key = key(self.cache.hash_of(name.as_wire()), rtype);
        let same = |index: &usize| {
            self.lookups.get(*index).is_some_and(|l| l.is_for(name, rtype) && fits(l))
        };
        self.index.of(By::Question, key).find(same)
    }

    /// The one place where a lookup's state changes.
    pub(super) fn enter(&mut self, index: usize, state: LookupState) {
        if let Some(lookup) = self.lookups.get_mut(index) {
            lookup.state = state;
            let wake = lookup.wake_at();
            self.arm(wake);
            if matches!(state, LookupState::Send(_)) {
                self.index.push(index);
            }
        }
    }

    /// How often a server is asked one question.
    pub(super) fn max_sends(&self) -> u8 {
        self.config.attempts.clamp(1, MAX_SENDS)
    }

    /// How long the `sends`-th send to a server is waited for.
    pub(super) fn patience(&self, server: ServerId, sends: u8) -> Duration {
        let timeout = self.servers.get(server).map(|s| s.timeout(sends)).unwrap_or_default();
        timeout.min(self.config.attempt_timeout.max(PATIENCE_MIN))
    }

    /// The server to ask next: the one asked least, those that fail after those that work, then the
    /// order of the list. `None` when every server was asked three times or is of no use.
    pub(super) fn choose(&self, index: usize) -> Option<ServerId> {
        let lookup = self.lookups.get(index)?;
        if lookup.probe.is_some() {
            return None;
        }
        let most = self.max_sends();
        let mut best = None;
        for (place, (id, server)) in (0u8..).zip(self.servers.in_order()) {
            let attempt = lookup.attempt(id);
            if attempt.state == AttemptState::Failed || attempt.sends >= most {
                continue;
            }
            let [failing, before] = [server.is_failing(), place < lookup.rotation].map(u8::from);
            let rank = u32::from_be_bytes([attempt.sends, failing, before, place]);
            if best.is_none_or(|(least, _)| rank < least) {
                best = Some((rank, id));
            }
        }
        best.map(|(_, id)| id)
    }

    /// Asks the next server, or gives up.
    pub(super) fn fail_over(&mut self, cx: &mut Cx<'_>, index: usize) {
        if self.servers.is_empty() {
            return self.enter(index, LookupState::Parked);
        }
        match self.choose(index) {
            Some(server) => self.enter(index, LookupState::Send(server)),
            // What it was to find out is known.
            None if self.lookups.get(index).is_some_and(|l| l.probe.is_some()) => {
                self.end_lookup(cx.now, index);
            }
            None => self.fail_lookup(cx, index),
        }
    }

    /// No server has an answer: those who wait are told, and for a while nobody asks again.
    fn fail_lookup(&mut self, cx: &mut Cx<'_>, index: usize) {
        let Some(lookup) = self.lookups.get(index) else { return };
        let failure = lookup.failure.unwrap_or(Failure::Timeout);
        let (name, rtype, failed_at) = (lookup.name.clone(), lookup.rtype, lookup.failed_at);
        let waiting = self.waiting(index);
        // Without room for the memory of it the next caller asks again.
        let _ = self.cache.insert_failure(name.as_wire(), rtype, failure, cx.now);
        self.end_lookup(cx.now, index);
        let end = End::Known(Outcome::Failed(failure));
        self.deliver(cx, waiting, index, &Path::EMPTY, end, failed_at);
    }

    /// Has a leg wait no longer. A lookup without waiters lingers for a moment, unless it was never
    /// sent. `false` if the leg was not waiting.
    pub(super) fn leave_lookup(&mut self, now: Instant, slot: usize, leg: usize) -> bool {
        let Some(leg) = self.leg_mut(slot, leg) else { return false };
        let LegState::Waiting(index) = leg.state else { return false };
        leg.state = LegState::Unused;
        let index = usize::from(index);
        let Some(lookup) = self.lookups.get_mut(index) else { return true };
        lookup.waiters = lookup.waiters.saturating_sub(1);
        lookup.waiter = u16::MAX;
        if lookup.waiters == 0 {
            if lookup.refresh {
                // It goes on for the cache.
            } else if matches!(lookup.state, LookupState::Wait(..)) {
                lookup.linger = Some(now + LINGER);
                self.arm(Some(now + LINGER));
            } else {
                self.end_lookup(now, index);
            }
        }
        true
    }

    /// Frees a lookup's slot. Legs may still refer to it, until [`deliver`](Self::deliver).
    pub(super) fn end_lookup(&mut self, now: Instant, index: usize) {
        let Some(lookup) = self.lookups.get_mut(index).filter(|l| !l.is_free()) else { return };
        if lookup.spread {
            self.spread = self.spread.saturating_sub(1);
        }
        lookup.clear();
        while let Some((server, before)) =
            self.lookups.get_mut(index).and_then(Lookup::take_attempt)
        {
            if before.state == AttemptState::Open {
                self.servers.leave_socket(before.socket, now);
            }
            if before.on_stream != OnStream::No {
                self.note_left_stream(now, index, server);
            }
        }
        self.index.give_back(index);
        self.arm(Some(now + IDLE_LOOK));
    }

    /// Ends a lookup with what a response from this server said.
    pub(super) fn complete(
        &mut self,
        cx: &mut Cx<'_>,
        index: usize,
        path: &Path,
        end: End,
        from: Option<SocketAddr>,
    ) {
        let waiting = self.waiting(index);
        self.end_lookup(cx.now, index);
        self.deliver(cx, waiting, index, path, end, from);
        self.drop_pins(path);
    }

    /// The queries among which those are that wait on a lookup: mostly it is one.
    pub(super) fn waiting(&self, index: usize) -> Range<usize> {
        match self.lookups.get(index).map(|lookup| (lookup.waiters, lookup.waiter)) {
            Some((1, slot)) if slot != u16::MAX => usize::from(slot)..usize::from(slot) + 1,
            _ => 0..self.queries.len(),
        }
    }

    /// Tells every leg that waits on lookup `index`, whose slot is free again, and who said so. Each leg is visited
    /// once, so one that is put onto a new lookup in the same slot is not taken for an old one.
    fn deliver(
        &mut self,
        cx: &mut Cx<'_>,
        waiting: Range<usize>,
        index: usize,
        path: &Path,
        end: End,
        from: Option<SocketAddr>,
    ) {
        for slot in waiting {
            for leg in 0..2 {
                let state = self.leg(slot, leg).map_or(LegState::Unused, |leg| leg.state);
                if state == LegState::Waiting(u16::try_from(index).unwrap_or(u16::MAX)) {
                    if let Some(query) = self.queries.get_mut(slot) {
                        query.server = from;
                    }
                    self.deliver_to(cx, slot, leg, path, end);
                    self.settle_leg(cx.now, slot, leg);
                }
            }
        }
    }

    fn deliver_to(&mut self, cx: &mut Cx<'_>, slot: usize, leg: usize, path: &Path, end: End) {
        for &entry in path.entries() {
            if !self.extend_path(slot, leg, entry) {
                return self.end_leg(slot, leg, Outcome::Failed(Failure::AliasChain));
            }
        }
        let target = match end {
            End::Known(Outcome::Failed(failure)) => {
                return self.end_leg_failed(cx.now, slot, leg, failure);
            }
            End::Known(outcome) => return self.end_leg_screened(slot, leg, outcome),
            End::Continue => path.entries().last().and_then(|&e| self.alias_target(e, cx.now)),
        };
        match target {
            Some(name) if !self.is_on_path(slot, leg, &name) => self.advance(cx, slot, leg, &name),
            _ => self.end_leg(slot, leg, Outcome::Failed(Failure::AliasLoop)),
        }
    }

    pub(super) fn replace_servers(&mut self, cx: &mut Cx<'_>, list: &[ServerAddress]) {
        let old = self.servers.addresses();
        let gone = self.servers.replace(list);
        if old == self.servers.addresses() {
            return;
        }
        // What one set of servers said need not hold for another (split views).
        self.cache.flush();
        self.servers.forgive();
        self.begin_anew(cx, gone);
    }

    /// The servers with these numbers are others now, or are reached by another way: what waits for one
    /// of them is asked as if it had not been.
    pub(super) fn begin_anew(&mut self, cx: &mut Cx<'_>, gone: u8) {
        for number in (0u8..8).filter(|number| gone >> number & 1 == 1) {
            self.streams.close(ServerId::of_conn(number));
        }
        for index in 0..self.lookups.len() {
            let Some(lookup) = self.lookups.get_mut(index).filter(|l| !l.is_free()) else {
                continue;
            };
            (lookup.failure, lookup.failed_at) = (None, None);
            for (number, attempt) in lookup.attempts.iter_mut().enumerate() {
                if gone >> number & 1 == 1 {
                    *attempt = Attempt::IDLE;
                }
            }
            let is_gone = |server: ServerId| gone >> server.index() & 1 == 1;
            let stranded = match lookup.state {
                LookupState::Send(server) | LookupState::Wait(server, _) => is_gone(server),
                LookupState::Parked | LookupState::Free => true,
            };
            if stranded && (lookup.linger.is_some() || lookup.probe.is_some()) {
                self.end_lookup(cx.now, index);
            } else if stranded {
                self.fail_over(cx, index);
            }
        }
    }

    /// Makes sure that the timer fires at `at`, if it is given.
    pub(super) fn arm(&mut self, at: Option<Instant>) {
        self.wake = match (self.wake, at) {
            (Some(wake), Some(at)) => Some(wake.min(at)),
            (wake, at) => wake.or(at),
        };
    }
}
