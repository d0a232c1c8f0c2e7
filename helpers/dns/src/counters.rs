//! [`Discard`], why an input was ignored, and [`Counters`].

use crate::malformed::Malformed;

/// Why an input was ignored. It changed nothing but a counter: the wait goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    /// It arrived on a socket that is not open, or is of a kind that this client does not use.
    UnknownSocket,
    /// It is not from the server that the socket belongs to (RFC 5452 §9.1).
    WrongSource,
    /// It is not a DNS message.
    Malformed(Malformed),
    /// QR is 0: a query.
    NotAResponse,
    /// The opcode is not QUERY.
    WrongOpcode,
    /// No question that is out on this socket has this id: late, repeated or forged.
    WrongId,
    /// It does not have exactly one question.
    QuestionCount,
    /// The question is another one (RFC 5452 §9.1).
    WrongQuestion,
    /// A send failed of which nothing is known.
    UnknownSend,
    /// It is said of a connection that is not there.
    UnknownConnection,
    /// A message on a connection whose length is less than a header's: the connection is closed.
    StreamLength,
    /// A message on a connection that there is no memory for: the connection is closed.
    StreamNoRoom,
    /// A message on a connection that says that it was cut off.
    StreamTruncated,
    /// The cookie is none, or another client's (RFC 7873 §5.3).
    WrongCookie,
    /// There is no cookie, from a server that has shown one before (RFC 7873 §5.3).
    MissingCookie,
    /// The question is in another case than it was asked in.
    WrongCase,
    /// There are answers, and all of them are about other names (RFC 5452 §6).
    WrongOwner,
}

impl Discard {
    const OTHERS: usize = 16;
    /// How many reasons there are.
    pub const COUNT: usize = Self::OTHERS + Malformed::ALL.len();

    /// The reason with this number, in the order of the counters.
    pub fn from_index(index: usize) -> Option<Self> {
        Some(match index {
            0 => Self::UnknownSocket,
            1 => Self::WrongSource,
            2 => Self::NotAResponse,
            3 => Self::WrongOpcode,
            4 => Self::WrongId,
            5 => Self::QuestionCount,
            6 => Self::WrongQuestion,
            7 => Self::UnknownSend,
            8 => Self::UnknownConnection,
            9 => Self::StreamLength,
            10 => Self::StreamNoRoom,
            11 => Self::StreamTruncated,
            12 => Self::WrongCookie,
            13 => Self::MissingCookie,
            14 => Self::WrongCase,
            15 => Self::WrongOwner,
            _ => Self::Malformed(*Malformed::ALL.get(index.checked_sub(Self::OTHERS)?)?),
        })
    }

    fn index(self) -> usize {
        match self {
            Self::UnknownSocket => 0,
            Self::WrongSource => 1,
            Self::NotAResponse => 2,
            Self::WrongOpcode => 3,
            Self::WrongId => 4,
            Self::QuestionCount => 5,
            Self::WrongQuestion => 6,
            Self::UnknownSend => 7,
            Self::UnknownConnection => 8,
            Self::StreamLength => 9,
            Self::StreamNoRoom => 10,
            Self::StreamTruncated => 11,
            Self::WrongCookie => 12,
            Self::MissingCookie => 13,
            Self::WrongCase => 14,
            Self::WrongOwner => 15,
            Self::Malformed(why) => {
                let position = Malformed::ALL.iter().position(|&m| m == why);
                Self::OTHERS + position.unwrap_or(0)
            }
        }
    }

    /// A short name for people and counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownSocket => "unknown-socket",
            Self::WrongSource => "wrong-source",
            Self::Malformed(why) => why.name(),
            Self::NotAResponse => "not-a-response",
            Self::WrongOpcode => "wrong-opcode",
            Self::WrongId => "wrong-id",
            Self::QuestionCount => "question-count",
            Self::WrongQuestion => "wrong-question",
            Self::UnknownSend => "unknown-send",
            Self::UnknownConnection => "unknown-connection",
            Self::StreamLength => "stream-length",
            Self::StreamNoRoom => "stream-no-room",
            Self::StreamTruncated => "stream-truncated",
            Self::WrongCookie => "wrong-cookie",
            Self::MissingCookie => "missing-cookie",
            Self::WrongCase => "wrong-case",
            Self::WrongOwner => "wrong-owner",
        }
    }
}

impl From<Malformed> for Discard {
    fn from(why: Malformed) -> Self {
        Self::Malformed(why)
    }
}

/// What a resolver has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Queries that callers started.
    pub queries: u64,
    /// Questions answered from the cache, a query for addresses counting two.
    pub cache_hits: u64,
    /// Questions that had to wait for a server.
    pub cache_misses: u64,
    /// Questions that joined an equal one that was out already.
    pub joined: u64,
    /// Answers that were past their TTL (RFC 8767).
    pub stale: u64,
    /// Questions asked because a TTL was nearly over.
    pub refreshes: u64,
    /// Questions asked to see whether a server is back.
    pub probes: u64,
    /// Queries sent, over UDP and TCP.
    pub sent: u64,
    /// Those of them that went over TCP.
    pub sent_tcp: u64,
    /// Connections asked for.
    pub connects: u64,
    /// Responses that were used.
    pub accepted: u64,
    /// Waits for a server that ended without an answer.
    pub timeouts: u64,
    /// Sends that the platform or the other side refused.
    pub refused_sends: u64,
    /// Entries that had to leave the cache before their time.
    pub evictions: u64,
    /// Entries in the cache.
    pub cache_entries: u64,
    /// Octets of the cache in use.
    pub cache_octets: u64,
    discards: [u64; Discard::COUNT],
}

impl Counters {
    pub(crate) const NONE: Self = Self {
        queries: 0,
        cache_hits: 0,
        cache_misses: 0,
        joined: 0,
        stale: 0,
        refreshes: 0,
        probes: 0,
        sent: 0,
        sent_tcp: 0,
        connects: 0,
        accepted: 0,
        timeouts: 0,
        refused_sends: 0,
        evictions: 0,
        cache_entries: 0,
        cache_octets: 0,
        discards: [0; Discard::COUNT],
    };

    pub(crate) fn discard(&mut self, why: Discard) {
        if let Some(count) = self.discards.get_mut(why.index()) {
            *count += 1;
        }
    }

    /// How often inputs were ignored for this reason.
    pub fn discarded(&self, why: Discard) -> u64 {
        self.discards.get(why.index()).copied().unwrap_or(0)
    }

    /// Every reason to ignore an input, and how often it was met.
    pub fn discards(&self) -> impl Iterator<Item = (Discard, u64)> + '_ {
        let reasons = (0..).map_while(Discard::from_index);
        reasons.zip(self.discards.iter().copied())
    }

    /// Every counter by its name, the discards last.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counters = [
            ("queries", self.queries),
            ("cache-hits", self.cache_hits),
            ("cache-misses", self.cache_misses),
            ("joined", self.joined),
            ("stale", self.stale),
            ("refreshes", self.refreshes),
            ("probes", self.probes),
            ("sent", self.sent),
            ("sent-tcp", self.sent_tcp),
            ("connects", self.connects),
            ("accepted", self.accepted),
            ("timeouts", self.timeouts),
            ("refused-sends", self.refused_sends),
            ("evictions", self.evictions),
            ("cache-entries", self.cache_entries),
            ("cache-octets", self.cache_octets),
        ];
        counters.into_iter().chain(self.discards().map(|(why, count)| (why.name(), count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_counter_and_a_name_of_its_own() {
        let mut counters = Counters::default();
        for index in 0..Discard::COUNT {
            let why = Discard::from_index(index).unwrap();
            assert_eq!(why.index(), index);
            counters.discard(why);
            assert_eq!(counters.discarded(why), 1, "{}", why.name());
            let same = counters.iter().filter(|(name, _)| *name == why.name()).count();
            assert_eq!(same, 1, "{}", why.name());
        }
        assert_eq!(Discard::from_index(Discard::COUNT), None);
    }
}
