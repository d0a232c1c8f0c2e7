//! What is asked for the cache alone, and what is made of data past its TTL: serve-stale (RFC 8767),
//! refresh-ahead, probes of servers that failed, and the filter against DNS rebinding.

use core::net::{IpAddr, Ipv6Addr};

use bringup_core::client::Cx;
use bringup_core::time::{Duration, Instant};

use super::Resolver;
use crate::cache::Known;
use crate::name::{Name, NameView};
use crate::parts;
use crate::query::{Ask, Failure, LegState, Lookup, LookupState, MAX_ALIASES, Outcome};
use crate::record::RData;
use crate::server::{Server, ServerId};

/// How long a query waits before it takes what is past its TTL (RFC 8767 §5, the recommended value).
const STALE_WAIT: Duration = Duration::from_millis(1_800);

/// Names of this network, whose addresses may be private: RFC 8375, and the TLD reserved for it.
const PRIVATE_NAMES: [NameView<'static>; 2] =
    [NameView::of_checked(b"\x04home\x04arpa\0"), NameView::of_checked(b"\x08internal\0")];
/// Multicast DNS has no servers to be out of reach.
const LOCAL: NameView<'static> = NameView::of_checked(b"\x05local\0");

impl Resolver<'_> {
    /// When a query that starts now takes what is past its TTL.
    pub(super) fn stale_at(&self, now: Instant) -> Option<Instant> {
        (parts::EXTRAS && !self.config.serve_stale.is_zero()).then(|| now + STALE_WAIT)
    }

    /// Ends the legs of a query that still wait with what is past its TTL, if there is such. The
    /// lookups go on, for those who come later.
    pub(super) fn settle_for_stale(&mut self, now: Instant, slot: usize) {
        if !parts::EXTRAS {
            return;
        }
        if let Some(query) = self.queries.get_mut(slot) {
            query.stale_at = None;
        }
        for leg in 0..2 {
            let Some(LegState::Waiting(index)) = self.leg(slot, leg).map(|leg| leg.state) else {
                continue;
            };
            let Some(name) = self.lookups.get(usize::from(index)).map(|l| l.name.clone()) else {
                continue;
            };
            if self.take_stale(now, slot, leg, &name) {
                let ended = self.leg(slot, leg).map(|leg| leg.state);
                if let Some(lookup) = self.lookups.get_mut(usize::from(index)) {
                    lookup.refresh = true;
                }
                self.set_leg(slot, leg, LegState::Waiting(index));
                self.leave_lookup(now, slot, leg);
                self.set_leg(slot, leg, ended.unwrap_or(LegState::Unused));
            }
        }
    }

    fn set_leg(&mut self, slot: usize, leg: usize, state: LegState) {
        if let Some(leg) = self.leg_mut(slot, leg) {
            leg.state = state;
        }
    }

    /// Ends a leg at `name` with data past its TTL. `false`, and nothing done, if there is none.
    pub(super) fn take_stale(
        &mut self,
        now: Instant,
        slot: usize,
        leg: usize,
        name: &Name,
    ) -> bool {
        let is_off = !parts::EXTRAS || self.config.serve_stale.is_zero();
        if is_off || name.view().is_at_or_below(LOCAL) {
            return false;
        }
        let Some(rtype) = self.leg(slot, leg).map(|leg| leg.rtype) else { return false };
        let mut name = name.clone();
        let mut steps = [0; MAX_ALIASES];
        for count in 0..MAX_ALIASES {
            let entry = match self.cache.find_stale(name.as_wire(), rtype, now) {
                Known::Data(entry) => {
                    let aliases = steps.get(..count).unwrap_or(&[]);
                    let mut all = aliases.iter().copied().chain([entry]);
                    if all.all(|entry| self.extend_path(slot, leg, entry)) {
                        self.end_leg_screened(slot, leg, Outcome::Answer);
                    } else {
                        self.end_leg(slot, leg, Outcome::Failed(Failure::AliasChain));
                    }
                    if let Some(query) = self.queries.get_mut(slot) {
                        query.stale = true;
                    }
                    self.counters.stale += 1;
                    return true;
                }
                Known::Alias(entry) => entry,
                _ => return false,
            };
            let Some(target) = self.alias_target(entry, now) else { return false };
            if let Some(step) = steps.get_mut(count) {
                *step = entry;
            }
            name = target;
        }
        false
    }

    /// Ends a leg with a failure, unless something past its TTL is better than that.
    pub(super) fn end_leg_failed(&mut self, now: Instant, slot: usize, leg: usize, why: Failure) {
        let path = self.leg(slot, leg).map_or(&[][..], |leg| leg.path.entries());
        // The leg waited at the target of its last alias, or at the name itself.
        let name = match path.last() {
            Some(&last) => self.alias_target(last, now),
            None => self.queries.get(slot).map(|query| query.current.clone()),
        };
        if !name.is_some_and(|name| self.take_stale(now, slot, leg, &name)) {
            self.end_leg(slot, leg, Outcome::Failed(why));
        }
    }

    /// Asks anew for an entry whose TTL is nearly over.
    pub(super) fn refresh_ahead(&mut self, cx: &mut Cx<'_>, entry: u16) {
        let is_on = parts::EXTRAS && self.config.refresh_ahead;
        if !is_on || !self.cache.is_ending(entry, cx.now) {
            return;
        }
        let (name, rtype) = (self.cache.owner(entry).to_name(), self.cache.rtype(entry));
        let is_out = self.find_lookup(&name, rtype, |_| true).is_some();
        // Only a slot that nobody else needs is taken.
        if is_out || self.servers.is_empty() || self.index.free().is_none() {
            return;
        }
        let tcp = self.config.use_tcp;
        let ask = Ask { tcp, refresh: true, ..Ask::of(&name, rtype) };
        if self.start_lookup(cx, ask).is_some() {
            self.counters.refreshes += 1;
        }
    }

    /// Asks a server that failed a while ago what lookup `index` asks `server`, to see whether it is
    /// back. Nobody waits for it. It is one of the sends that the lookup has with that server.
    pub(super) fn probe_failing(&mut self, cx: &mut Cx<'_>, index: usize, server: ServerId) {
        if !parts::EXTRAS {
            return;
        }
        let due = |s: &Server| s.is_failing() && !s.is_shunned(cx.now);
        let failing =
            self.servers.in_order().find(|(id, s)| *id != server && due(s)).map(|(id, _)| id);
        let Some(failing) = failing else { return };
        let busy = self.lookups.iter().any(|l| l.probe == Some(failing));
        let Some(lookup) = self.lookups.get(index).filter(|_| !busy) else { return };
        let (name, rtype) = (lookup.name.clone(), lookup.rtype);
        let (tcp, derived, probe) = (lookup.tcp, lookup.derived, Some(failing));
        let ask = Ask { tcp, derived, refresh: true, probe, ..Ask::of(&name, rtype) };
        let Some(free) = self.occupy(ask) else { return };
        if let Some(attempt) = self.lookups.get_mut(index).and_then(|l| l.attempt_mut(failing)) {
            attempt.sends += 1;
        }
        self.counters.probes += 1;
        self.enter(free, LookupState::Send(failing));
    }

    /// A lookup is about to ask a server: a probe of that server that asks the same ends, since a question is
    /// out at a server once (RFC 5452 §5).
    pub(super) fn supersede_probe(&mut self, now: Instant, index: usize, server: ServerId) {
        // Only those are probed.
        let is_failing = self.servers.get(server).is_some_and(Server::is_failing);
        if !parts::EXTRAS || !is_failing {
            return;
        }
        let Some(lookup) = self.lookups.get(index) else { return };
        let (name, rtype) = (&lookup.name, lookup.rtype);
        let same = |l: &Lookup| l.rtype == rtype && l.name.as_wire() == name.as_wire();
        let probe = self.lookups.iter().position(|l| l.probe == Some(server) && same(l));
        if let Some(probe) = probe.filter(|probe| *probe != index) {
            self.end_lookup(now, probe);
        }
    }

    /// The lookup that ends with what came for lookup `index`: that of those who wait, where a probe
    /// has been answered first.
    pub(super) fn answered_by(&mut self, now: Instant, index: usize) -> usize {
        let Some(probe) = self.lookups.get(index).filter(|l| parts::EXTRAS && l.probe.is_some())
        else {
            return index;
        };
        let (name, rtype, tcp) = (&probe.name, probe.rtype, probe.tcp);
        let Some(asking) = self.find_lookup(name, rtype, |l| l.tcp == tcp) else { return index };
        self.end_lookup(now, index);
        asking
    }

    /// Ends a leg, unless its addresses are of a private network and its name is not.
    pub(super) fn end_leg_screened(&mut self, slot: usize, leg: usize, outcome: Outcome) {
        let refused = self.config.refuse_private
            && outcome == Outcome::Answer
            && self.is_rebinding(slot, leg);
        if refused {
            self.drop_path(slot, leg);
            return self.end_leg(slot, leg, Outcome::Failed(Failure::Rebinding));
        }
        self.end_leg(slot, leg, outcome);
    }

    fn is_rebinding(&self, slot: usize, leg: usize) -> bool {
        let path = self.leg(slot, leg).map_or(&[][..], |leg| leg.path.entries());
        let (Some(&first), Some(&last)) = (path.first(), path.last()) else { return false };
        // What was asked for counts: a public name may not lead to a private one either.
        let asked = self.cache.owner(first);
        let mut own = self.search.suffixes().map(Name::view).chain(PRIVATE_NAMES);
        let mut records = self.cache.records(last, Instant::ZERO);
        let is_private = records.any(|record| match record.data() {
            RData::A(address) => is_private(address.into()),
            RData::Aaaa(address) => is_private(address.into()),
            _ => false,
        });
        is_private && !own.any(|suffix| asked.is_at_or_below(suffix))
    }
}

/// Whether an address means something else in every network, or this host.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let shared = first == 100 && second & 0xC0 == 64;
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared || first == 0
        }
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.octets();
            let local = first & 0xFE == 0xFC || first == 0xFE && second & 0x80 != 0;
            local
                || v6.is_loopback()
                || v6 == Ipv6Addr::UNSPECIFIED
                || v6.to_ipv4_mapped().is_some_and(|v4| is_private(v4.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_private_networks() {
        for (address, expected) in [
            ("10.0.0.1", true),
            ("172.31.0.1", true),
            ("172.32.0.1", false),
            ("192.168.0.1", true),
            ("127.0.0.1", true),
            ("169.254.0.1", true),
            ("100.64.0.1", true),
            ("100.128.0.1", false),
            ("0.0.0.0", true),
            ("192.0.2.1", false),
            ("::1", true),
            ("::", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("fec0::1", true),
            ("::ffff:10.0.0.1", true),
            ("::ffff:192.0.2.1", false),
            ("2001:db8::1", false),
            ("fe00::1", false),
            ("2a80::1", false),
        ] {
            assert_eq!(is_private(address.parse().unwrap()), expected, "{address}");
        }
    }
}
