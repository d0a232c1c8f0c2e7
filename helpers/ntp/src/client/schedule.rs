//! When to ask whom: [`Phase`], and the ways from one to the next.

use core::cmp::Reverse;

use bringup_core::client::{Cx, Rng};
use bringup_core::time::{Duration, Instant};

use super::flight::{Flight, LIFETIME};
use super::{Event, MAX_ACTIVE, MAX_SERVERS, NtpClient, Source};
use crate::association::{Association, BURST, FIRST_POLL, MIN_INTERVAL};
use crate::clock::ClockState;
use crate::discard::{Discard, bump};

/// Requests of a start.
const START_REQUESTS: u8 = 4;
/// When they leave, milliseconds after the start, to a single server; the last entry is the end.
const ALONE_MS: [u64; 4] = [0, 1_000, 3_000, 7_000];
/// When they leave, to different servers; the second one up to [`SECOND_SPREAD_MS`] later (D4).
const SPREAD_MS: [u64; 4] = [0, 500, 2_000, 4_000];
/// See [`SPREAD_MS`].
const SECOND_SPREAD_MS: u64 = 500;
/// The least distance of two requests to one server within a start.
pub(super) const RETRY_SPACING: Duration = Duration::from_secs(1);
/// The distance of the requests of a burst (RFC 5905 §13.2).
pub(super) const BURST_SPACING: Duration = Duration::from_secs(2);
/// P2: how soon a start may follow another.
const START_PAUSE: Duration = Duration::from_secs(60);
/// P2: backing off ends at this exponent or the steady one, whichever is greater (RFC 4330 §10).
const BACKOFF_POLL: u8 = 10;

/// Phases that one step can pass through: a start ends in a burst, that in polling.
const MAX_STEPS: usize = 4;

/// What the client is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing.
    Stopped,
    /// Asking up to four servers in quick succession.
    Starting { began: Instant, asked: u8, next_at: Instant },
    /// Asking the chosen server a few times more.
    Bursting { server: u8, left: u8, next_at: Instant },
    /// Asking each active server at its own intervals.
    Polling,
    /// No server answers: asking one after the other, at intervals that double.
    Searching { exponent: u8, turn: u8, next_at: Instant },
    /// Asking each server for some samples, then stopping; `afresh` if nothing was known before.
    Probing { afresh: bool },
}

/// `2^exponent` seconds and up to a tenth more: the least interval holds, and nobody asks in step
/// (P2, P6).
fn interval(exponent: u8, rng: &mut dyn Rng) -> Duration {
    let base = Duration::from_secs(1 << exponent.min(17));
    base + Duration::from_micros(rng.below(base.as_micros() / 10))
}

impl NtpClient {
    /// Begins to ask: at first, and whenever the network may have changed (link up, an address, the
    /// end of a suspend). The first request leaves at once, or after the configured delay.
    ///
    /// Within a minute of the last start there is no second one (P2): what goes on goes on, and at
    /// most the next server's turn comes at once.
    pub fn start(&mut self, cx: &mut Cx<'_>) {
        let is_soon = self.started_at.is_some_and(|at| cx.now < at + START_PAUSE);
        if is_soon || self.count == 0 {
            if matches!(
                self.phase,
                Phase::Stopped | Phase::Searching { .. } | Phase::Probing { .. }
            ) {
                self.phase = Phase::Searching { exponent: FIRST_POLL, turn: 0, next_at: cx.now };
            }
        } else {
            self.started_at = Some(cx.now);
            self.servers.iter_mut().for_each(|a| (a.tokens, a.lost) = (BURST, false));
            let delay = cx.rng.below(self.config.start_delay_max.as_micros());
            let began = cx.now + Duration::from_micros(delay);
            self.phase = Phase::Starting { began, asked: 0, next_at: began };
        }
        self.step(cx);
    }

    /// Ends all asking. What is known of the time stays, and grows stale.
    pub fn stop(&mut self) {
        self.flights.end_all();
        self.phase = Phase::Stopped;
    }

    /// The poll exponents of a server that answers: short until the time is confirmed, and not
    /// short for long with addresses of a name, which may be a pool's (P4).
    pub(super) fn steady_poll(&self, source: Source) -> (u8, u8) {
        let (least, most) = self.config.poll;
        let least = if source == Source::Name { least.max(self.config.name_poll) } else { least };
        let (least, most) = (least.clamp(FIRST_POLL, 17), most.clamp(FIRST_POLL, 17));
        let now_least = if self.state() == ClockState::Confirmed { least } else { FIRST_POLL };
        (now_least, most.max(least))
    }

    /// The longest interval of a server that is silent, log2 seconds.
    fn silent_poll(&self, source: Source) -> u8 {
        BACKOFF_POLL.max(self.steady_poll(source).1)
    }

    /// The numbers of the servers that are asked in turn: the best that answer, as far as one knows,
    /// then those that have fallen silent.
    fn active(&self) -> impl Iterator<Item = u8> + use<> {
        let mut numbers = [0; MAX_ACTIVE];
        let mut count = 0;
        let servers = || (0_u8..).zip(self.servers.iter().take(self.count));
        let open = |lost: bool| servers().filter(move |(_, a)| !a.quarantined && a.lost == lost);
        for (slot, (n, _)) in numbers.iter_mut().zip(open(false).chain(open(true))) {
            *slot = n;
            count += 1;
        }
        numbers.into_iter().take(count)
    }

    /// When the phase has something to do.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let servers = self.servers.iter().take(self.count);
        match self.phase {
            _ if self.count == 0 => None,
            Phase::Stopped => None,
            Phase::Starting { next_at, .. }
            | Phase::Bursting { next_at, .. }
            | Phase::Searching { next_at, .. } => Some(next_at),
            Phase::Polling => {
                let active = self.active().map(|n| self.server(n).map(|a| a.next_at));
                // One that may be asked again has its place among the active back.
                let back = servers.map(|a| a.quarantined.then_some(a.not_before));
                Instant::earliest(active.chain(back))
            }
            Phase::Probing { .. } => {
                let waits = |a: &Association| a.probe.wanted > 0 && a.probe.tries > 0;
                Instant::earliest(servers.map(|a| waits(a).then_some(a.next_at)))
            }
        }
    }

    /// Does what is due, until the next thing lies ahead.
    pub(super) fn step(&mut self, cx: &mut Cx<'_>) {
        for a in self.servers.iter_mut().take(self.count) {
            a.quarantined &= cx.now < a.not_before;
        }
        for _ in 0..MAX_STEPS {
            if self.due_at().is_none_or(|at| cx.now < at) {
                return;
            }
            self.step_once(cx);
        }
    }

    /// Does what the phase has due, or passes on to the next phase.
    fn step_once(&mut self, cx: &mut Cx<'_>) {
        match self.phase {
            Phase::Stopped => {}
            Phase::Starting { .. } => self.step_start(cx),
            Phase::Bursting { server, left, next_at } => self.step_burst(cx, server, left, next_at),
            Phase::Polling => self.step_polling(cx),
            Phase::Searching { exponent, turn, next_at } => {
                self.step_search(cx, exponent, turn, next_at);
            }
            Phase::Probing { .. } => self.step_probe(cx),
        }
    }

    /// Lets a request out to this server, or says when one may leave.
    pub(super) fn ask(
        &mut self,
        server: u8,
        now: Instant,
        spacing: Duration,
    ) -> Result<(), Instant> {
        let by_window = self.flights.allowed_at(now);
        let Some(a) = self.server_mut(server) else { return Err(now + MIN_INTERVAL) };
        let allowed_at = a.allowed_at(spacing).max(by_window);
        if now < allowed_at {
            return Err(allowed_at);
        }
        a.sent(now);
        self.flights.open(server, now);
        Ok(())
    }

    /// The active server that a start asks next: of those that have not answered since it began and
    /// may be asked, the one that was asked least.
    fn start_target(&self, began: Instant, now: Instant) -> Option<u8> {
        let open = |a: &Association| {
            let answered = a.last_good.is_some_and(|at| began <= at);
            !answered && a.tokens > 0 && a.not_before <= now
        };
        let tokens = |n| self.server(n).filter(|a| open(a)).map(|a| a.tokens);
        let targets = self.active().filter_map(|n| Some((tokens(n)?, Reverse(n))));
        targets.max().map(|(_, Reverse(n))| n)
    }

    /// Sends the requests of a start that are due.
    fn step_start(&mut self, cx: &mut Cx<'_>) {
        // One round for each request and one for the end.
        for _ in 0..=START_REQUESTS {
            let Phase::Starting { began, asked, next_at } = self.phase else { return };
            if cx.now < next_at {
                return;
            }
            let target = self.start_target(began, cx.now).filter(|_| asked < START_REQUESTS);
            let Some(server) = target else { return self.end_start(cx) };
            if let Err(at) = self.ask(server, cx.now, RETRY_SPACING) {
                self.phase = Phase::Starting { began, asked, next_at: at };
                return;
            }
            let asked = asked + 1;
            let table = if self.active().count() == 1 { ALONE_MS } else { SPREAD_MS };
            let next_at = match table.get(usize::from(asked)) {
                Some(&ms) if table == SPREAD_MS && asked == 1 => {
                    began + Duration::from_millis(ms + cx.rng.below(SECOND_SPREAD_MS))
                }
                Some(&ms) => began + Duration::from_millis(ms),
                None => cx.now + LIFETIME,
            };
            self.phase = Phase::Starting { began, asked, next_at };
            if asked == START_REQUESTS && self.has_answer_since(began) {
                return self.end_start(cx);
            }
        }
    }

    /// Whether some server has given a good sample since then.
    fn has_answer_since(&self, began: Instant) -> bool {
        let servers = self.servers.iter().take(self.count);
        servers.filter_map(|a| a.last_good).any(|at| began <= at)
    }

    /// A start has asked whom it could: on with a burst, or with looking further.
    fn end_start(&mut self, cx: &mut Cx<'_>) {
        let Phase::Starting { began, .. } = self.phase else { return };
        if self.has_answer_since(began) {
            return self.burst(cx);
        }
        self.emit(Event::Exhausted);
        self.enter_searching(cx, FIRST_POLL);
    }

    /// Asks the chosen server a few times more, if it has not had its share.
    fn burst(&mut self, cx: &mut Cx<'_>) {
        let chosen = self.chosen.and_then(|n| self.server(n).map(|a| (n, a)));
        match chosen {
            Some((server, a)) if a.tokens > 0 && a.not_before <= cx.now => {
                let next_at = a.last_sent.unwrap_or(cx.now) + BURST_SPACING;
                self.phase = Phase::Bursting { server, left: a.tokens.min(BURST - 1), next_at };
            }
            _ => self.enter_polling(cx),
        }
    }

    /// Sends a request of the burst if it is due.
    fn step_burst(&mut self, cx: &mut Cx<'_>, server: u8, left: u8, next_at: Instant) {
        if cx.now < next_at {
            return;
        }
        let (left, next_at) = match self.ask(server, cx.now, BURST_SPACING) {
            Ok(()) => (left - 1, cx.now + BURST_SPACING),
            Err(at) => (left, at),
        };
        self.phase = Phase::Bursting { server, left, next_at };
        if left == 0 {
            self.enter_polling(cx);
        }
    }

    /// When this server is to be asked next: an interval after the last request.
    fn next_poll(&self, server: u8, cx: &mut Cx<'_>) -> Instant {
        let Some(a) = self.server(server) else { return cx.now + MIN_INTERVAL };
        let exponent = a.poll_exponent().max(self.steady_poll(a.server.source).0);
        a.last_sent.map_or(cx.now, |at| at + interval(exponent, cx.rng)).max(a.not_before)
    }

    /// Begins to poll each active server at its own intervals.
    pub(super) fn enter_polling(&mut self, cx: &mut Cx<'_>) {
        self.phase = Phase::Polling;
        self.search_if_none_is_active(cx);
        for server in self.active() {
            let next_at = self.next_poll(server, cx);
            if let Some(a) = self.server_mut(server) {
                a.next_at = next_at;
            }
        }
    }

    /// All servers deny service: nobody would ever be polled again.
    pub(super) fn search_if_none_is_active(&mut self, cx: &mut Cx<'_>) {
        if self.active().next().is_none() && self.count > 0 {
            self.emit(Event::Exhausted);
            self.enter_searching(cx, FIRST_POLL);
        }
    }

    /// Polls the servers whose time has come.
    fn step_polling(&mut self, cx: &mut Cx<'_>) {
        for server in self.active() {
            if self.server(server).is_none_or(|a| cx.now < a.next_at) {
                continue;
            }
            let next_at = match self.ask(server, cx.now, MIN_INTERVAL) {
                Ok(()) => self.next_poll(server, cx),
                Err(at) => at,
            };
            if let Some(a) = self.server_mut(server) {
                a.next_at = next_at;
            }
        }
    }

    /// Begins to look for a server that answers, a while after the last request.
    fn enter_searching(&mut self, cx: &mut Cx<'_>, exponent: u8) {
        let sent = self.servers.iter().take(self.count).map(|a| a.last_sent);
        let last = sent.fold(None, Option::max);
        let next_at = last.unwrap_or(cx.now) + interval(exponent, cx.rng);
        self.phase = Phase::Searching { exponent: exponent + 1, turn: 0, next_at };
    }

    /// Asks the next server in turn if it is time to.
    fn step_search(&mut self, cx: &mut Cx<'_>, exponent: u8, turn: u8, next_at: Instant) {
        if cx.now < next_at || self.count == 0 {
            return;
        }
        let last = u8::try_from(self.count).unwrap_or(turn);
        let mut soonest = None;
        for server in (turn..last).chain(0..turn.min(last)) {
            match self.ask(server, cx.now, MIN_INTERVAL) {
                Ok(()) => {
                    let next_at = cx.now + interval(exponent, cx.rng);
                    let exponent = (exponent + 1).min(self.silent_poll(Source::Configured));
                    self.phase = Phase::Searching { exponent, turn: server + 1, next_at };
                    return;
                }
                Err(at) => soonest = Some(soonest.map_or(at, |s: Instant| s.min(at))),
            }
        }
        let next_at = soonest.unwrap_or(cx.now + MIN_INTERVAL);
        self.phase = Phase::Searching { exponent, turn, next_at };
    }

    /// A good sample came from this server.
    pub(super) fn answered(&mut self, cx: &mut Cx<'_>, server: u8) {
        match self.phase {
            Phase::Stopped | Phase::Bursting { .. } => {}
            Phase::Starting { began, asked, .. } => {
                if asked == START_REQUESTS || self.start_target(began, cx.now).is_none() {
                    self.end_start(cx);
                }
            }
            Phase::Polling => {
                let next_at = self.next_poll(server, cx);
                if let Some(a) = self.server_mut(server) {
                    a.next_at = next_at;
                }
            }
            Phase::Searching { .. } => self.burst(cx),
            Phase::Probing { .. } => self.probe_answered(cx, server),
        }
    }

    /// Something speaks against waiting for this server: one that has not been asked since the
    /// start need not wait for its time.
    pub(super) fn hasten(&mut self, now: Instant) {
        let Phase::Starting { began, asked, .. } = self.phase else { return };
        let next = self.start_target(began, now).and_then(|n| self.server(n));
        if asked < START_REQUESTS && next.is_some_and(|a| a.tokens == BURST) {
            self.phase = Phase::Starting { began, asked, next_at: now.max(began) };
        }
    }

    /// This server has answered, but with no time to believe.
    pub(super) fn turned_away(&mut self, cx: &mut Cx<'_>, server: u8, why: Discard) {
        match self.phase {
            Phase::Stopped => {}
            Phase::Starting { began, .. } => {
                if self.start_target(began, cx.now).is_none() {
                    self.end_start(cx);
                } else if why.blames_server() {
                    self.hasten(cx.now);
                }
            }
            Phase::Bursting { server: chosen, .. } => {
                if chosen == server {
                    self.enter_polling(cx);
                }
            }
            Phase::Polling => self.search_if_none_is_active(cx),
            Phase::Searching { .. } => {}
            Phase::Probing { .. } if why.blames_server() => self.probed(cx, server),
            Phase::Probing { .. } => self.probed_if_spent(cx, server),
        }
    }

    /// Gives up the requests that have waited long enough.
    pub(super) fn expire(&mut self, cx: &mut Cx<'_>) {
        for index in 0..self.flights.table.len() {
            let Some(flight) = self.flights.table.get_mut(index) else { continue };
            let Flight::Waiting { server, sent_at, .. } = *flight else { continue };
            if cx.now < sent_at + LIFETIME {
                continue;
            }
            flight.end();
            bump(&mut self.counters.unanswered);
            self.unanswered(cx, server, sent_at);
        }
    }

    /// Those that were not among the active servers `before` are asked soon: not at once, or a send
    /// that is refused would lead to the next one without a pause.
    fn admit(&mut self, now: Instant, before: impl Iterator<Item = u8>) {
        let mut known = [false; MAX_SERVERS];
        for n in before {
            if let Some(known) = known.get_mut(usize::from(n)) {
                *known = true;
            }
        }
        for n in self.active() {
            let is_new = known.get(usize::from(n)) == Some(&false);
            if let Some(a) = self.server_mut(n).filter(|_| is_new) {
                a.next_at = a.next_at.max(now + RETRY_SPACING);
            }
        }
    }

    /// A request to this server that left at `sent_at` has no reply.
    pub(super) fn unanswered(&mut self, cx: &mut Cx<'_>, server: u8, sent_at: Instant) {
        match self.phase {
            Phase::Polling => {
                let Some(source) = self.server(server).map(|a| a.server.source) else { return };
                let before = self.active();
                let most = self.silent_poll(source);
                let Some(a) = self.server_mut(server) else { return };
                if a.last_good.is_some_and(|at| sent_at <= at) {
                    return;
                }
                a.silent(most);
                // A spare, if there is one, takes its place.
                a.lost |= a.is_silent();
                let next_at = self.next_poll(server, cx);
                if let Some(a) = self.server_mut(server) {
                    a.next_at = next_at;
                }
                self.admit(cx.now, before);
                if self.active().filter_map(|n| self.server(n)).all(Association::is_silent) {
                    self.emit(Event::Exhausted);
                    self.enter_searching(cx, self.steady_poll(Source::Configured).0);
                }
            }
            Phase::Probing { .. } => self.probed_if_spent(cx, server),
            Phase::Stopped
            | Phase::Starting { .. }
            | Phase::Bursting { .. }
            | Phase::Searching { .. } => {}
        }
    }
}
