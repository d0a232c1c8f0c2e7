//! Asking each server for some samples, to report on them: what `bringup time` does.

use bringup_core::client::Cx;
use bringup_core::time::Instant;

use super::schedule::{BURST_SPACING, Phase, RETRY_SPACING};
use super::{Event, NtpClient};
use crate::association::Probe;

/// Requests to a server beyond the samples wanted of it.
const RETRIES: u8 = 3;

impl NtpClient {
    /// Asks each server for `samples` samples, reports on each, and stops. Nothing is to be done
    /// about the wall clock: no [`Event::Adjust`] comes of it.
    pub fn probe(&mut self, cx: &mut Cx<'_>, samples: u8) {
        let wanted = samples.max(1);
        for a in self.servers.iter_mut().take(self.count) {
            a.probe = Probe { wanted, tries: wanted.saturating_add(RETRIES), silent: 0 };
            a.next_at = cx.now;
        }
        self.phase = Phase::Probing;
        self.end_probe_if_done();
        self.step(cx);
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
    pub(super) fn probe_answered(&mut self, server: u8, now: Instant) {
        let Some(a) = self.server_mut(server).filter(|a| a.probe.wanted > 0) else {
            return;
        };
        a.probe.wanted -= 1;
        a.probe.silent = 0;
        a.next_at = a.last_sent.unwrap_or(now) + BURST_SPACING;
        if a.probe.wanted == 0 {
            self.probed(server);
        } else {
            self.probed_if_spent(server);
        }
    }

    /// The probe has finished with this server if nothing more can come of it.
    pub(super) fn probed_if_spent(&mut self, server: u8) {
        let is_spent =
            self.server(server).is_some_and(|a| a.probe.wanted > 0 && a.probe.tries == 0);
        if is_spent && !self.flights.any_to(server) {
            self.probed(server);
        }
    }

    /// The probe has finished with this server.
    pub(super) fn probed(&mut self, server: u8) {
        let Some(a) = self.server_mut(server) else { return };
        if core::mem::take(&mut a.probe) != Probe::default() {
            self.emit(Event::Report { server });
            self.end_probe_if_done();
        }
    }

    /// The probe has finished if it has with every server.
    pub(super) fn end_probe_if_done(&mut self) {
        if self.servers.iter().take(self.count).all(|a| a.probe.wanted == 0) {
            self.stop();
            self.emit(Event::ProbeDone);
        }
    }
}
