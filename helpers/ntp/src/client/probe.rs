//! Asking each server for some samples, to report on them: what `bringup time` does.

use bringup_core::client::Cx;

use super::schedule::{BURST_SPACING, Phase, RETRY_SPACING};
use super::{Event, NtpClient};
use crate::association::Probe;
use crate::clock::ClockState;

/// Requests to a server beyond the samples wanted of it.
const RETRIES: u8 = 3;

impl NtpClient {
    /// Asks each server for `samples` samples, reports on each, and stops. Nothing is to be done
    /// about the wall clock: no [`Event::Adjust`] comes of it.
    ///
    /// If nothing was known before, the time is in the end what all answers say together, whichever came
    /// first: servers that contradict each other leave none.
    pub fn probe(&mut self, cx: &mut Cx<'_>, samples: u8) {
        let wanted = samples.max(1);
        for a in self.servers.iter_mut().take(self.count) {
            a.probe = Probe { wanted, tries: wanted.saturating_add(RETRIES), ..Probe::NONE };
            a.next_at = cx.now;
        }
        let afresh = self.state() == ClockState::Invalid && self.clock.voices() == 0;
        self.phase = Phase::Probing { afresh };
        self.end_probe_if_done(cx);
        self.step(cx);
    }

    /// Whether servers are only asked to be reported on.
    pub(super) fn is_probing(&self) -> bool {
        matches!(self.phase, Phase::Probing { .. })
    }

    /// Asks the servers of which the probe wants more.
    pub(super) fn step_probe(&mut self, cx: &mut Cx<'_>) {
        for server in 0..u8::try_from(self.count).unwrap_or(0) {
            let Some(a) = self.server(server) else { continue };
            if a.probe.wanted == 0 || a.probe.tries == 0 || cx.now < a.next_at {
                continue;
            }
            let asked = self.ask(server, cx.now, RETRY_SPACING);
            let Some(a) = self.server_mut(server) else { continue };
            a.next_at = match asked {
                Ok(()) => {
                    let pause = RETRY_SPACING * (1 << a.probe.silent.min(2));
                    a.probe.tries -= 1;
                    a.probe.silent = a.probe.silent.saturating_add(1);
                    cx.now + pause
                }
                Err(at) => at,
            };
        }
    }

    /// A good sample came from this server.
    pub(super) fn probe_answered(&mut self, cx: &mut Cx<'_>, server: u8) {
        let Some(a) = self.server_mut(server).filter(|a| a.probe.wanted > 0) else {
            return;
        };
        a.probe.wanted -= 1;
        (a.probe.silent, a.probe.refused) = (0, false);
        a.next_at = a.last_sent.unwrap_or(cx.now) + BURST_SPACING;
        if a.probe.wanted == 0 {
            self.probed(cx, server);
        } else {
            self.probed_if_spent(cx, server);
        }
    }

    /// The network says that a request to this server is in vain. That may be forged, so that it is waited
    /// for all the same, as long as another server is; then there is nothing left to wait for.
    pub(super) fn probe_refused(&mut self, cx: &mut Cx<'_>, server: u8) {
        if let Some(a) = self.server_mut(server) {
            a.probe.refused = a.probe.wanted > 0;
        }
        self.end_probe_if_done(cx);
    }

    /// The probe has finished with this server if nothing more can come of it.
    pub(super) fn probed_if_spent(&mut self, cx: &mut Cx<'_>, server: u8) {
        let is_spent =
            self.server(server).is_some_and(|a| a.probe.wanted > 0 && a.probe.tries == 0);
        if is_spent && !self.flights.any_to(server) {
            self.probed(cx, server);
        }
    }

    /// The probe has finished with this server.
    pub(super) fn probed(&mut self, cx: &mut Cx<'_>, server: u8) {
        self.tell_probed(server);
        self.end_probe_if_done(cx);
    }

    /// Tells that the probe has finished with this server, unless that has been told.
    fn tell_probed(&mut self, server: u8) {
        let Some(a) = self.server_mut(server) else { return };
        if core::mem::replace(&mut a.probe, Probe::NONE) != Probe::NONE {
            self.emit(Event::Report { server });
        }
    }

    /// The probe has finished if it has with every server that there is any use in waiting for.
    pub(super) fn end_probe_if_done(&mut self, cx: &mut Cx<'_>) {
        let mut open = self.servers.iter().take(self.count).filter(|a| a.probe.wanted > 0);
        if open.all(|a| a.probe.refused) {
            self.end_probe(cx);
        }
    }

    /// Ends a probe with what is in hand; does nothing if there is none.
    pub fn end_probe(&mut self, cx: &mut Cx<'_>) {
        let Phase::Probing { afresh } = self.phase else { return };
        (0..).take(self.count).for_each(|server| self.tell_probed(server));
        if afresh {
            // What was believed on the way counts no more: neither the first sample, nor a limit of
            // panic around what two servers had said before a third.
            self.clock.forget();
            self.weigh(cx, None);
            self.tell_state();
        }
        self.stop();
        self.save(cx.now);
        self.emit(Event::ProbeDone);
    }
}
