//! What happens when nothing arrives.

use bringup_core::client::Cx;
use bringup_core::time::{Duration, Instant};

use super::Resolver;
use crate::query::{Attempt, Lookup, LookupState, Query};
use crate::server::ServerId;

/// A timer that is later than this was not held up by the kernel's scheduling alone.
const LATE: Duration = Duration::from_millis(10);
/// ... and what has arrived meanwhile is read within this.
const GRACE: Duration = Duration::from_millis(5);

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
            let (state, lingers) = (lookup.state, lookup.linger.is_some());
            match state {
                _ if lingers => self.end_lookup(now, index),
                LookupState::Wait(server, at) if !self.was_late(now, at, index, server) => {
                    self.timed_out(cx, index, server);
                }
                LookupState::Wait(..) => {}
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
        let lookups = self.lookups.iter().map(Lookup::wake_at);
        let queries = self.queries.iter().map(Query::wake_at);
        self.wake = Instant::earliest(lookups.chain(queries).chain([idle, streams]));
    }

    /// Whether it may be this program that was late, and not the server: a loop tells the time before it
    /// tells what has arrived meanwhile. The wait then goes on for a moment, once for each send.
    fn was_late(&mut self, now: Instant, at: Instant, index: usize, server: ServerId) -> bool {
        let attempt = self.lookups.get_mut(index).and_then(|l| l.attempt_mut(server));
        let Some(attempt) = attempt.filter(|attempt| now > at + LATE && !attempt.graced) else {
            return false;
        };
        attempt.graced = true;
        self.enter(index, LookupState::Wait(server, now + GRACE));
        true
    }

    /// A server has not answered in time.
    fn timed_out(&mut self, cx: &mut Cx<'_>, index: usize, server: ServerId) {
        self.counters.timeouts += 1;
        self.doubt_edns(index, server);
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

    /// A server that has never answered a query with OPT may be silent because of it, or what stands
    /// before it: it is asked once more without.
    fn doubt_edns(&mut self, index: usize, server: ServerId) {
        let Some(known) = self.servers.get(server) else { return };
        let attempt = self.lookups.get_mut(index).and_then(|l| l.attempt_mut(server));
        let had_opt = |a: &&mut Attempt| a.edns && !a.over_tcp;
        if let Some(attempt) = attempt.filter(had_opt) {
            attempt.plain = known.after_silence(attempt.sent_at);
        }
    }
}
