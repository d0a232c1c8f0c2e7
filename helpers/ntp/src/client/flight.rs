//! [`Flights`]: the requests on their way, one socket and one nonce each, and how many there may be.

use bringup_core::time::{Duration, Instant};

/// Requests on their way at most: as many as [`WINDOW`] lets out.
pub(super) const MAX_FLIGHTS: usize = MAX_PACKETS;
/// How long a reply is waited for: A12's longest delay, and a second in the server.
pub(super) const LIFETIME: Duration = Duration::from_secs(4);
/// At most [`MAX_PACKETS`] requests in any such span, to all servers together.
const WINDOW: Duration = Duration::from_secs(15);
/// See [`WINDOW`].
const MAX_PACKETS: usize = 8;

/// One request. Its place in the table is the index of its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flight {
    /// None.
    Free,
    /// A socket is to be opened for it.
    Opening { server: u8 },
    /// It is to be sent.
    Sending { server: u8 },
    /// It waits for its reply. A late one is still this one's: its own nonce, its own start.
    Waiting { server: u8, nonce: u64, sent_at: Instant },
    /// Its socket is to be closed (R3, RFC 9109 §4).
    Closing,
}

impl Flight {
    /// The server that it goes to.
    pub(super) const fn server(&self) -> Option<u8> {
        match *self {
            Self::Free | Self::Closing => None,
            Self::Opening { server } | Self::Sending { server } | Self::Waiting { server, .. } => {
                Some(server)
            }
        }
    }

    /// Ends it, whatever its state; nothing that arrives later belongs to it.
    pub(super) fn end(&mut self) {
        *self = match self {
            Self::Free | Self::Opening { .. } => Self::Free,
            Self::Sending { .. } | Self::Waiting { .. } | Self::Closing => Self::Closing,
        };
    }
}

/// The requests on their way.
pub(super) struct Flights {
    pub(super) table: [Flight; MAX_FLIGHTS],
    /// When the last requests were let out; the oldest is at `oldest`.
    let_out: [Option<Instant>; MAX_PACKETS],
    oldest: usize,
}

impl Flights {
    pub(super) const fn new() -> Self {
        Self { table: [Flight::Free; MAX_FLIGHTS], let_out: [None; MAX_PACKETS], oldest: 0 }
    }

    /// The earliest instant, `now` or later, at which another request may leave.
    pub(super) fn allowed_at(&self, now: Instant) -> Instant {
        let by_window = self.let_out.get(self.oldest).copied().flatten().map(|at| at + WINDOW);
        // Eight slots outlast the window, unless the driver has not drained: then it will.
        let has_room = self.table.contains(&Flight::Free);
        let by_room = if has_room { now } else { now + LIFETIME };
        by_window.unwrap_or(now).max(by_room)
    }

    /// Lets a request out; [`allowed_at`](Self::allowed_at) has said so.
    pub(super) fn open(&mut self, server: u8, now: Instant) {
        if let Some(slot) = self.table.iter_mut().find(|f| **f == Flight::Free) {
            *slot = Flight::Opening { server };
        }
        if let Some(oldest) = self.let_out.get_mut(self.oldest) {
            *oldest = Some(now);
            self.oldest = (self.oldest + 1) % MAX_PACKETS;
        }
    }

    /// Whether a request to this server is on its way.
    pub(super) fn any_to(&self, server: u8) -> bool {
        self.table.iter().any(|f| f.server() == Some(server))
    }

    /// When the next one has waited long enough.
    pub(super) fn expires_at(&self) -> Option<Instant> {
        let expiry = |f: &Flight| match *f {
            Flight::Waiting { sent_at, .. } => Some(sent_at + LIFETIME),
            _ => None,
        };
        Instant::earliest(self.table.iter().map(expiry))
    }

    /// Ends all of them.
    pub(super) fn end_all(&mut self) {
        self.table.iter_mut().for_each(Flight::end);
    }
}
