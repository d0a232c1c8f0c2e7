//! How a query walks: from name to name through the cache, and onto lookups where that ends.

use bringup_core::client::Cx;
use bringup_core::time::{Duration, Instant};

use super::Resolver;
use crate::cache::Known;
use crate::name::Name;
use crate::query::{
    Ask, Failure, Leg, LegState, LookupState, MAX_ALIASES, Notice, Outcome, Path, Source, Stage,
};
use crate::record::RData;
use crate::search::Walk;
use crate::special::{self, Fixed, Literal};

/// How long a positive A waits for its AAAA (RFC 8305 §3, the recommended value).
const GRACE: Duration = Duration::from_millis(50);

impl Resolver<'_> {
    /// Walks a leg on from `name` (lower case) until it is done or has to wait.
    pub(super) fn advance(&mut self, cx: &mut Cx<'_>, slot: usize, leg: usize, name: &Name) {
        let mut name = name;
        let mut alias;
        let Some(rtype) = self.leg(slot, leg).map(|leg| leg.rtype) else { return };
        let derived = self.queries.get(slot).is_some_and(|query| query.derived);
        for _ in 0..=MAX_ALIASES {
            if let Some(fixed) = special::fixed(name, rtype, self.config.local_to_servers) {
                return self.answer_fixed(cx.now, slot, leg, name, fixed);
            }
            let missed = self.leg_mut(slot, leg).is_some_and(|l| core::mem::take(&mut l.missed));
            let known = match missed && !self.cache.has_cuts() {
                true => Known::Nothing,
                false => self.cache.find(name.as_wire(), rtype, cx.now, !derived),
            };
            let (entry, outcome) = match known {
                Known::Data(entry) => (entry, Some(Outcome::Answer)),
                Known::NoData(entry) => (entry, Some(Outcome::NoData)),
                Known::NxDomain(entry) => (entry, Some(Outcome::NxDomain)),
                Known::Alias(entry) => (entry, None),
                Known::Failure(failure) => {
                    self.counters.cache_hits += 1;
                    if self.take_stale(cx.now, slot, leg, name) {
                        return;
                    }
                    return self.end_leg(slot, leg, Outcome::Failed(failure));
                }
                Known::Nothing => return self.wait_for(cx, slot, leg, name),
            };
            if !self.extend_path(slot, leg, entry) {
                break;
            }
            if let Some(outcome) = outcome {
                self.counters.cache_hits += 1;
                self.refresh_ahead(cx, entry);
                return self.end_leg_screened(slot, leg, outcome);
            }
            let Some(target) = self.alias_target(entry, cx.now) else { break };
            if self.is_on_path(slot, leg, &target) {
                return self.end_leg(slot, leg, Outcome::Failed(Failure::AliasLoop));
            }
            alias = target;
            name = &alias;
        }
        self.end_leg(slot, leg, Outcome::Failed(Failure::AliasChain));
    }

    /// Has a leg wait for a lookup of `name`: one that is out already, or a new one.
    fn wait_for(&mut self, cx: &mut Cx<'_>, slot: usize, leg: usize, name: &Name) {
        let Some((rtype, aliases)) =
            self.leg(slot, leg).map(|leg| (leg.rtype, leg.path.entries().len()))
        else {
            return;
        };
        if aliases >= MAX_ALIASES {
            return self.end_leg(slot, leg, Outcome::Failed(Failure::AliasChain));
        }
        self.counters.cache_misses += 1;
        let flags = self.queries.get(slot).map(|query| (query.tcp, query.derived));
        let (tcp, derived) = flags.unwrap_or_default();
        let joined = self.find_lookup(name, rtype, |lookup| lookup.tcp || !tcp);
        let is_late = joined.and_then(|i| self.lookups.get(i)).is_some_and(|l| l.refresh);
        if is_late && self.take_stale(cx.now, slot, leg, name) {
            return;
        }
        let index = match joined {
            Some(index) => {
                self.counters.joined += 1;
                Some(index)
            }
            None if self.servers.is_empty() => {
                return self.end_leg(slot, leg, Outcome::Failed(Failure::NoServers));
            }
            None => self.start_lookup(cx, Ask { tcp, derived, ..Ask::of(name, rtype) }),
        };
        // A leg waits on at most one lookup and there are two per query, so one is free or lingers.
        let Some((index, number)) = index.and_then(|i| Some((i, u16::try_from(i).ok()?))) else {
            return self.end_leg(slot, leg, Outcome::Failed(Failure::Timeout));
        };
        if let Some(lookup) = self.lookups.get_mut(index) {
            lookup.waiters = lookup.waiters.saturating_add(1);
            lookup.waiter = u16::try_from(slot).unwrap_or(u16::MAX);
            lookup.linger = None;
            let wake = lookup.wake_at();
            self.arm(wake);
        }
        if let Some(query) = self.queries.get_mut(slot) {
            query.source = Source::Network;
            let deadline = query.deadline;
            if let Some(leg) = query.legs.get_mut(leg) {
                leg.state = LegState::Waiting(number);
            }
            self.arm(Some(deadline));
        }
    }

    /// Ends a leg's walk.
    pub(super) fn end_leg(&mut self, slot: usize, leg: usize, outcome: Outcome) {
        if let Some(leg) = self.leg_mut(slot, leg) {
            leg.state = LegState::Done(outcome);
        }
    }

    /// Answers with an address that was given as the name.
    pub(super) fn answer_literal(
        &mut self,
        cx: &Cx<'_>,
        slot: usize,
        leg: usize,
        name: &Name,
        literal: Literal,
    ) {
        let data = match literal.address {
            core::net::IpAddr::V4(address) => RData::A(address),
            core::net::IpAddr::V6(address) => RData::Aaaa(address),
        };
        let wanted = self.leg(slot, leg).is_some_and(|leg| leg.rtype == data.rtype());
        let fixed = if wanted { Fixed::Record(data) } else { Fixed::NoData };
        self.answer_fixed(cx.now, slot, leg, name, fixed);
        if let Some(query) = self.queries.get_mut(slot) {
            query.source = Source::Literal;
            query.scope_id = literal.scope_id;
        }
    }

    fn answer_fixed(&mut self, now: Instant, slot: usize, leg: usize, name: &Name, fixed: Fixed) {
        if let Some(query) = self.queries.get_mut(slot) {
            query.source =
                if query.source == Source::Network { Source::Network } else { Source::Special };
        }
        let outcome = match fixed {
            Fixed::NoData => Outcome::NoData,
            Fixed::NxDomain => Outcome::NxDomain,
            Fixed::Record(data) => match self.cache.insert_made(name.as_wire(), &data, 0, now) {
                Ok(entry) => {
                    let kept = self.extend_path(slot, leg, entry);
                    self.cache.unpin(entry);
                    if kept { Outcome::Answer } else { Outcome::Failed(Failure::AliasChain) }
                }
                Err(_) => Outcome::Failed(Failure::TooLarge),
            },
        };
        self.end_leg(slot, leg, outcome);
    }

    /// Adds an entry to a leg's path, and a pin to the entry.
    pub(super) fn extend_path(&mut self, slot: usize, leg: usize, entry: u16) -> bool {
        let pushed = self.leg_mut(slot, leg).is_some_and(|leg| leg.path.push(entry));
        if pushed {
            self.cache.pin(entry);
        }
        pushed
    }

    /// Takes the pins of a leg's path off.
    pub(super) fn drop_path(&mut self, slot: usize, leg: usize) {
        if let Some(leg) = self.leg_mut(slot, leg).filter(|leg| !leg.path.entries().is_empty()) {
            let path = leg.path.take();
            self.drop_pins(&path);
        }
    }

    pub(super) fn drop_pins(&mut self, path: &Path) {
        for &entry in path.entries() {
            self.cache.unpin(entry);
        }
    }

    /// Whether the leg has been at this name already.
    pub(super) fn is_on_path(&self, slot: usize, leg: usize, name: &Name) -> bool {
        let path = self.leg(slot, leg).map_or(&[][..], |leg| leg.path.entries());
        path.iter().any(|&entry| self.cache.owner(entry) == name.view())
    }

    pub(super) fn alias_target(&self, entry: u16, now: Instant) -> Option<Name> {
        self.cache.records(entry, now).find_map(|record| match record.data() {
            RData::Cname(target) => Some(target.to_name().to_lowercase()),
            _ => None,
        })
    }

    pub(super) fn leg(&self, slot: usize, leg: usize) -> Option<&Leg> {
        self.queries.get(slot)?.legs.get(leg)
    }

    pub(super) fn leg_mut(&mut self, slot: usize, leg: usize) -> Option<&mut Leg> {
        self.queries.get_mut(slot)?.legs.get_mut(leg)
    }

    /// Looks whether a query has come to its end, and queues what its caller is to hear.
    pub(super) fn settle(&mut self, now: Instant, slot: usize) {
        let Some(query) = self.queries.get_mut(slot) else { return };
        if query.stage != Stage::Active || query.walk_due {
            return;
        }
        let Some(outcome) = query.settle(now) else {
            // The first family is here: give the other a moment.
            if query.grace.is_none() && query.legs.iter().any(Leg::has_answer) {
                query.grace = Some(now + GRACE);
                let grace = query.grace;
                self.arm(grace);
            }
            return;
        };
        if outcome != Outcome::Answer && now < query.deadline && query.walk != Walk::BARE {
            (query.walk_due, query.grace) = (true, None);
            self.walks.add(slot);
            return;
        }
        query.stage = Stage::Finished(outcome);
        query.answered_at = now;
        query.grace = None;
        self.notify(slot, Notice::Done);
        if outcome == Outcome::NxDomain {
            for leg in 0..2 {
                self.leave_lookup(now, slot, leg);
            }
        }
    }

    /// Queues what a caller is to hear.
    pub(super) fn notify(&mut self, slot: usize, notice: Notice) {
        let Some(query) = self.queries.get_mut(slot) else { return };
        if core::mem::replace(&mut query.notice, notice) == Notice::None {
            self.notices.add(slot);
        }
    }

    /// A leg of a query has ended by what came from the network.
    pub(super) fn settle_leg(&mut self, now: Instant, slot: usize, leg: usize) {
        let Some(query) = self.queries.get_mut(slot) else { return };
        let found = query.legs.get(leg).is_some_and(Leg::has_answer);
        if found && query.stage == Stage::Finished(Outcome::Answer) {
            query.answered_at = now;
            if query.notice == Notice::None {
                self.notify(slot, Notice::Update);
            }
        }
        self.settle(now, slot);
    }

    /// Ends a query because nobody will be asked any more.
    pub(super) fn stop_query(&mut self, now: Instant, slot: usize) {
        for leg in 0..2 {
            if self.leave_lookup(now, slot, leg) {
                self.end_leg(slot, leg, Outcome::Failed(Failure::Stopped));
            }
        }
        if let Some(query) = self.queries.get_mut(slot) {
            // There is no other name to go on to.
            query.walk = Walk::BARE;
            if core::mem::take(&mut query.walk_due) {
                self.walks.remove();
            }
        }
        self.settle(now, slot);
    }

    /// Notes whom a leg still waits for, as the one who is to blame.
    fn note_silent(&mut self, slot: usize, leg: usize) {
        let Some(LegState::Waiting(index)) = self.leg(slot, leg).map(|leg| leg.state) else {
            return;
        };
        let server = match self.lookups.get(usize::from(index)).map(|l| l.state) {
            Some(LookupState::Wait(server, _)) => self.servers.get(server).map(|s| s.at.address),
            _ => None,
        };
        if let Some(query) = self.queries.get_mut(slot).filter(|_| server.is_some()) {
            query.server = server;
        }
    }

    /// Ends what still waits in a query whose deadline has passed.
    pub(super) fn expire_if_late(&mut self, now: Instant, slot: usize) {
        let Some(query) = self.queries.get(slot) else { return };
        if query.is_waiting() && query.stale_at.is_some_and(|at| at <= now) {
            self.settle_for_stale(now, slot);
        }
        let Some(query) = self.queries.get(slot) else { return };
        if !query.is_waiting() || query.deadline > now {
            return;
        }
        let failure = match self.servers.is_empty() {
            true => Failure::NoServers,
            false => Failure::Timeout,
        };
        for leg in 0..2 {
            self.note_silent(slot, leg);
            if self.leave_lookup(now, slot, leg) {
                self.end_leg(slot, leg, Outcome::Failed(failure));
            }
        }
        self.settle(now, slot);
    }
}
