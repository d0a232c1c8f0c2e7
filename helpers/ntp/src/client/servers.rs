//! The list of servers, and how it changes while they are being asked.

use bringup_core::client::Cx;

use super::flight::Flight;
use super::schedule::Phase;
use super::{MAX_SERVERS, NtpClient, Server};
use crate::association::Association;
use crate::clock::ClockState;

impl NtpClient {
    /// Says which servers there are, best first, and returns how many of them are used.
    ///
    /// Those that were known already keep all that is known of them. Addresses that stand there
    /// twice count once, for they have one vote; those that nobody can send to are passed over.
    pub fn set_servers(&mut self, cx: &mut Cx<'_>, servers: &[Server]) -> usize {
        let (old, old_count) = (self.servers, self.count);
        let mut moved = [None; MAX_SERVERS];
        self.count = 0;
        for server in servers.iter().filter(|s| s.is_askable()) {
            if self.servers().any(|s| s.address == server.address) {
                continue;
            }
            let Some(slot) = self.servers.get_mut(self.count) else { break };
            let known = old.iter().take(old_count);
            let found = known.zip(&mut moved).find(|(a, _)| a.server.address == server.address);
            *slot = Association::new(*server);
            if let Some((association, place)) = found {
                *slot = *association;
                slot.server = *server;
                *place = u8::try_from(self.count).ok();
            }
            self.count += 1;
        }
        let moved_to = |n: u8| moved.get(usize::from(n)).copied().flatten();
        for flight in &mut self.flights.table {
            let Some(from) = flight.server() else { continue };
            match (moved_to(from), flight) {
                (Some(to), Flight::Opening { server } | Flight::Sending { server }) => *server = to,
                (Some(to), Flight::Waiting { server, .. }) => *server = to,
                (_, flight) => flight.end(),
            }
        }
        self.chosen = self.chosen.and_then(moved_to);
        let kept = moved.iter().flatten().count();
        self.resume_with(cx, kept < self.count, &moved_to);
        self.count
    }

    /// Goes on with another list of servers.
    fn resume_with(&mut self, cx: &mut Cx<'_>, has_new: bool, moved_to: &dyn Fn(u8) -> Option<u8>) {
        match self.phase {
            Phase::Stopped => {}
            Phase::Polling => self.search_if_none_is_active(cx),
            Phase::Probing { .. } => self.end_probe_if_done(cx),
            Phase::Starting { began, asked, .. } if has_new => {
                self.phase = Phase::Starting { began, asked, next_at: cx.now.max(began) };
            }
            Phase::Starting { .. } => {}
            Phase::Bursting { server, left, next_at } => match moved_to(server) {
                Some(server) => self.phase = Phase::Bursting { server, left, next_at },
                None => self.enter_polling(cx),
            },
            Phase::Searching { .. } if has_new && self.state() == ClockState::Invalid => {
                self.start(cx);
            }
            Phase::Searching { exponent, .. } if has_new => {
                self.phase = Phase::Searching { exponent, turn: 0, next_at: cx.now };
            }
            Phase::Searching { .. } => {}
        }
        self.step(cx);
    }
}
