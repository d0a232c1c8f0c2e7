//! Which names a text may stand for: an address, a line of the hosts file, names of the search list.

use core::net::IpAddr;

use bringup_core::client::Cx;

use super::{QueryError, Resolver, Target};
use crate::cache::{Kind, Known, NONE, New, RECORD_HEAD};
use crate::name::Name;
use crate::parts;
use crate::query::{Failure, LegState, Notice, Outcome, Source, Stage};
use crate::record::{RData, RecordType};
use crate::search::Walk;
use crate::special::{self, Literal, Text};

/// The most addresses that are taken from the hosts file for one name and family.
const MAX_HOSTS: usize = 64;

impl Resolver<'_> {
    /// Starts a query, whose name is set.
    pub(super) fn begin(
        &mut self,
        cx: &mut Cx<'_>,
        slot: usize,
        literal: Option<Literal>,
        absolute: bool,
    ) {
        let Some(query) = self.queries.get(slot) else { return };
        let legs = [query.legs[0].rtype, query.legs[1].rtype];
        if let Some(literal) = literal {
            let name = query.name.clone();
            for leg in (0..2).filter(|&leg| legs[leg].0 != 0) {
                self.answer_literal(cx, slot, leg, &name, literal);
            }
            return;
        }
        let local = self.config.local_to_servers;
        // A name with a fixed meaning has one for each type.
        let is_fixed = special::fixed(&query.name, legs[0], local).is_some();
        let walk = match absolute || is_fixed {
            true => Walk::BARE,
            false => Walk::new(query.name.view(), self.config.ndots, self.config.single_labels),
        };
        // A name of the link's own may stand in the hosts file; the others mean the same everywhere.
        let is_reserved = is_fixed && special::fixed(&query.name, legs[0], true).is_some();
        if !is_reserved && self.answer_from_hosts(cx, slot) {
            return;
        }
        if !is_fixed && walk.begins_bare() && self.answer_from_cache(cx, slot) {
            return;
        }
        if let Some(query) = self.queries.get_mut(slot) {
            (query.walk, query.walk_due) = (walk, true);
            self.walks.add(slot);
        }
    }

    /// Answers a query whose records the cache has under its own name, the short way; `false`, and nothing
    /// done, if there is more to it.
    fn answer_from_cache(&mut self, cx: &mut Cx<'_>, slot: usize) -> bool {
        let Some(query) = self.queries.get_mut(slot) else { return false };
        if self.config.refuse_private || self.config.no_aaaa {
            return false;
        }
        let mut entries = [NONE; 2];
        let wanted = query.legs.iter_mut().filter(|leg| leg.rtype.0 != 0);
        for (entry, leg) in entries.iter_mut().zip(wanted) {
            let known = self.cache.find(query.name.as_wire(), leg.rtype, cx.now, false);
            leg.missed = known == Known::Nothing;
            let Known::Data(found) = known else { return false };
            *entry = found;
        }
        if entries == [NONE; 2] {
            return false;
        }
        for (entry, leg) in entries.into_iter().zip(&mut query.legs).filter(|(e, _)| *e != NONE) {
            // An empty path has room.
            if leg.path.push(entry) {
                self.cache.pin(entry);
            }
            leg.state = LegState::Done(Outcome::Answer);
            self.counters.cache_hits += 1;
        }
        query.stage = Stage::Finished(Outcome::Answer);
        self.notify(slot, Notice::Done);
        for entry in entries.into_iter().filter(|entry| *entry != NONE) {
            self.refresh_ahead(cx, entry);
        }
        true
    }

    /// Has every query that is due go on to its next name, or end.
    pub(super) fn walk_on(&mut self, cx: &mut Cx<'_>) {
        // A walk has at most eight steps, and each round takes one of each query that is due.
        while !self.walks.is_none() {
            for slot in self.walks.slots(self.queries.len()) {
                let due = self.queries.get_mut(slot).map(|q| core::mem::take(&mut q.walk_due));
                if due == Some(true) {
                    self.walks.remove();
                    self.next_name(cx, slot);
                }
                if self.walks.is_none() {
                    break;
                }
            }
        }
    }

    /// Starts a query's legs at the next name that it may stand for.
    fn next_name(&mut self, cx: &mut Cx<'_>, slot: usize) {
        let Some(query) = self.queries.get_mut(slot) else { return };
        let started = query.legs.iter().any(|leg| leg.state != LegState::Unused);
        let outcome = if started { query.settle(cx.now) } else { None };
        let is_bare = query.walk == Walk::BARE;
        let Some(derived) = query.walk.next(&query.name, &self.search, &mut query.current) else {
            return self.end_walk(cx, slot, outcome);
        };
        match outcome {
            Some(Outcome::NoData) => query.had_no_data = true,
            Some(Outcome::Failed(failure)) => query.had_failure = Some(failure),
            _ => {}
        }
        query.derived = derived;
        query.stale = false;
        let name = query.current.clone();
        if is_bare {
            // There is no other name: what this one comes to is the end.
            query.walk = Walk::BARE;
        }
        for leg in (0..2).filter(|_| started) {
            self.leave_lookup(cx.now, slot, leg);
            self.drop_path(slot, leg);
            if let Some(leg) = self.leg_mut(slot, leg) {
                leg.state = LegState::Unused;
            }
        }
        for leg in 0..2 {
            match self.leg(slot, leg).map_or(RecordType(0), |leg| leg.rtype) {
                RecordType(0) => {}
                RecordType::AAAA if self.config.no_aaaa => {
                    self.end_leg(slot, leg, Outcome::NoData);
                }
                _ => self.advance(cx, slot, leg, &name),
            }
        }
        self.settle(cx.now, slot);
    }

    /// There is no further name: what all of them have come to. A failure is never shown as "there is
    /// no such name" (RFC 1034 §5.2.3), and a name without data is more than none.
    fn end_walk(&mut self, cx: &Cx<'_>, slot: usize, last: Option<Outcome>) {
        let Some(query) = self.queries.get_mut(slot) else { return };
        let outcome = match (query.had_failure, last) {
            (_, Some(Outcome::Failed(failure))) | (Some(failure), _) => Outcome::Failed(failure),
            (None, Some(Outcome::NoData)) => Outcome::NoData,
            (None, Some(_)) if query.had_no_data => Outcome::NoData,
            (None, Some(outcome)) => outcome,
            (None, None) => Outcome::Failed(Failure::SingleLabel),
        };
        query.stage = Stage::Finished(outcome);
        query.answered_at = cx.now;
        self.notify(slot, Notice::Done);
        for leg in 0..2 {
            self.leave_lookup(cx.now, slot, leg);
        }
    }

    /// Answers a query for addresses with what the hosts file has; `false` if it does not have the name.
    fn answer_from_hosts(&mut self, cx: &Cx<'_>, slot: usize) -> bool {
        let hosts = self.hosts.filter(|_| parts::EXTRAS);
        let (Some(hosts), Some(query)) = (hosts, self.queries.get(slot)) else { return false };
        let (name, legs) = (query.name.clone(), query.legs.map(|leg| leg.rtype));
        let mut counts = [0usize; 2];
        hosts.addresses(name.view(), &mut |address| {
            let [v4, v6] = &mut counts;
            *if address.is_ipv4() { v4 } else { v6 } += 1;
        });
        let is_address = |rtype| matches!(rtype, RecordType::A | RecordType::AAAA);
        if counts == [0; 2] || !legs.iter().any(|&rtype| is_address(rtype)) {
            return false;
        }
        for (leg, rtype) in legs.into_iter().enumerate().filter(|(_, rtype)| is_address(*rtype)) {
            let [v4, v6] = counts;
            let (count, size) = if rtype == RecordType::A { (v4, 4) } else { (v6, 16) };
            let count = count.min(MAX_HOSTS);
            let new = New { owner: name.as_wire(), rtype, kind: Kind::Data, ttl_s: 0 };
            let stored = self.cache.insert(new, cx.now, count * (RECORD_HEAD + size));
            let stored = stored.map(|(entry, mut w)| {
                hosts.addresses(name.view(), &mut |address| {
                    let data = match address {
                        IpAddr::V4(address) => RData::A(address),
                        IpAddr::V6(address) => RData::Aaaa(address),
                    };
                    if data.rtype() == rtype {
                        // There is room for so many, and no more is written.
                        let _ = w.u16(rtype.0);
                        let _ = w.u16(u16::try_from(size).unwrap_or(0));
                        let _ = data.write(&mut w);
                    }
                });
                entry
            });
            let outcome = match stored {
                Ok(entry) if count > 0 => {
                    let kept = self.extend_path(slot, leg, entry);
                    self.cache.unpin(entry);
                    if kept { Outcome::Answer } else { Outcome::Failed(Failure::AliasChain) }
                }
                Ok(entry) => {
                    self.cache.unpin(entry);
                    Outcome::NoData
                }
                Err(_) => Outcome::Failed(Failure::TooLarge),
            };
            self.end_leg(slot, leg, outcome);
        }
        if let Some(query) = self.queries.get_mut(slot) {
            query.source = Source::Hosts;
        }
        true
    }
}

/// Writes the name to `to`, in lower case; says whether it is absolute, and the address that it is.
pub(super) fn read_target(
    target: Target<'_>,
    to: &mut Name,
) -> Result<(bool, Option<Literal>), QueryError> {
    match target {
        Target::Name(name) => {
            to.set(name);
            to.make_lowercase();
            Ok((true, special::literal_name(name)))
        }
        Target::Text(text) => match text_of(text) {
            Text::ScopeName => Err(QueryError::ScopeName),
            Text::Literal(literal) => {
                let text = text.split('%').next().unwrap_or(text);
                to.set_text(text)?;
                to.make_lowercase();
                Ok((true, Some(literal)))
            }
            Text::Name => {
                let absolute = to.set_text(text)?;
                to.make_lowercase();
                Ok((absolute, special::literal_name(to)))
            }
        },
    }
}

/// What a text is. An address of IPv4 is found by its labels, too, wherever they come from.
fn text_of(text: &str) -> Text {
    if parts::EXTRAS { special::literal(text) } else { Text::Name }
}
