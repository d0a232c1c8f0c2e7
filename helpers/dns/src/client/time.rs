//! What happens when nothing arrives.

use bringup_core::client::Cx;
use bringup_core::time::Instant;

use super::Resolver;
use crate::query::{Lookup, LookupState, Query};
use crate::server::ServerId;

impl Resolver<'_> {
    /// Acts on all deadlines up to now and arms the timer for the next one.
    pub(super) fn run_timers(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now;
        if self.wake.is_none_or(|wake| now < wake) {
            return;
        }
        for index in 0..self.lookups.len() {
            let Some(lookup) = self.lookups.get(index) else { continue };
            if lookup.wake_at().is_none_or(|at| now < at) {
                continue;
            }
            match lookup.state {
                _ if lookup.linger.is_some() => self.end_lookup(now, index),
                LookupState::Wait(server, _) => self.timed_out(cx, index, server),
                LookupState::Free | LookupState::Send(_) | LookupState::Parked => {}
            }
        }
        for slot in 0..self.queries.len() {
            if self.queries.get(slot).and_then(Query::wake_at).is_some_and(|at| at <= now) {
                self.expire_if_late(now, slot);
                self.settle(now, slot);
            }
        }
        let idle = self.servers.retire_idle(now);
        let streams = self.retire_streams(now);
        self.wake = self.next_wake(idle.into_iter().chain(streams));
    }

    /// A server has not answered in time.
    fn timed_out(&mut self, cx: &mut Cx<'_>, index: usize, server: ServerId) {
        self.counters.timeouts += 1;
        self.stream_timed_out(cx, index, server);
        let known = self.servers.get_mut(server);
        let address = known.map(|known| {
            known.note_failure(cx.now);
            known.at.address
        });
        if let Some(lookup) = self.lookups.get_mut(index).filter(|l| l.failure.is_none()) {
            lookup.failed_at = address;
        }
        self.fail_over(cx, index);
    }

    fn next_wake(&self, idle: impl Iterator<Item = Instant>) -> Option<Instant> {
        let lookups = self.lookups.iter().filter_map(Lookup::wake_at);
        let queries = self.queries.iter().filter_map(Query::wake_at);
        lookups.chain(queries).chain(idle).min()
    }
}
