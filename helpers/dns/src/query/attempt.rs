//! [`Attempt`]: what one server has been asked in one lookup, and how far that is.

use bringup_core::time::Instant;

/// What one server has been asked in one lookup.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    /// The id that every send to this server carries.
    pub(crate) id: u16,
    /// The socket that every send goes out on, and on which alone a reply counts.
    pub(crate) socket: u8,
    /// How often it was sent.
    pub(crate) sends: u8,
    /// Replies to it that were broken.
    pub(crate) malformed: u8,
    pub(crate) state: AttemptState,
    pub(crate) sent_at: Instant,
    /// Whether the last send had an OPT record.
    pub(crate) edns: bool,
    /// Whether, and why, it leaves OPT out.
    pub(crate) plain: Plain,
    /// Whether it goes over TCP from here on.
    pub(crate) over_tcp: bool,
    /// Whether the answer does not fit into a datagram: UDP is of no use.
    pub(crate) truncated: bool,
    /// Whether a lost connection has been made up for.
    pub(crate) requeued: bool,
    /// Whether the last send over UDP had a cookie.
    pub(crate) cookie: bool,
    /// Whether it is asked without one: the server did not like it.
    pub(crate) no_cookie: bool,
    /// Whether it was given a moment more because this program was late.
    pub(crate) graced: bool,
    /// How often the server did not take the cookie.
    pub(crate) bad_cookies: u8,
    /// Replies without the cookie that the server has shown before.
    pub(crate) missing_cookies: u8,
    /// What the case of the letters follows from; 0 leaves them small.
    pub(crate) case: u64,
    /// The id on the connection.
    pub(crate) stream_id: u16,
    pub(crate) on_stream: OnStream,
}

/// Why an attempt leaves OPT out (RFC 6891 §6.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    /// It does not.
    No,
    /// The server has said that it cannot read it.
    Refused,
    /// The server, of which nobody knows that it hears EDNS, was silent.
    Unheard,
    /// The same, and it had answered before without EDNS what it had not answered with it.
    UnheardAgain,
}

/// Whether an attempt is on the connection to its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnStream {
    No,
    /// To be written when the connection takes it.
    Queued,
    /// Written, or being written: a reply counts.
    Sent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptState {
    /// Not asked yet: socket and id mean nothing.
    Idle,
    /// Asked, or about to be, over UDP: socket and id are its own.
    Open,
    /// Asked over UDP, and a reply there would not count any more.
    Left,
    /// This server is of no use for this question.
    Failed,
}

impl Attempt {
    pub(crate) const IDLE: Self = Self {
        id: 0,
        socket: 0,
        sends: 0,
        malformed: 0,
        state: AttemptState::Idle,
        sent_at: Instant::ZERO,
        edns: false,
        plain: Plain::No,
        over_tcp: false,
        truncated: false,
        requeued: false,
        cookie: false,
        no_cookie: false,
        graced: false,
        bad_cookies: 0,
        missing_cookies: 0,
        case: 0,
        stream_id: 0,
        on_stream: OnStream::No,
    };
}
