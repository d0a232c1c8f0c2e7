//! [`Discard`]: why a datagram gave no time, one variant for each rule; [`Counters`] counts them.

use core::fmt;

/// Declares [`Discard`] with its names, so that a variant cannot be without one.
macro_rules! discards {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a datagram gave no time.
        ///
        /// Those up to [`WrongOrigin`](Self::WrongOrigin) change nothing: anyone can send them, and
        /// the client keeps waiting. After them the datagram has shown the nonce, so it came from
        /// the server or from somebody on the path, and the exchange is over.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Discard {
            $($(#[$doc])* $variant,)*
        }

        impl Discard {
            /// All of them, in the order in which they are tested.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// How many there are.
            const COUNT: usize = Self::ALL.len();

            /// Its name in output: lower case, with hyphens.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

discards! {
    /// Not a datagram: this client has opened no such socket.
    NotADatagram = "not-a-datagram",
    /// No request waits on this socket: a duplicate, a replay, or too late (TEST1).
    NothingPending = "nothing-pending",
    /// A1: not from the address and port that the request went to.
    WrongSource = "wrong-source",
    /// A2: shorter than 48 octets.
    TooShort = "too-short",
    /// A3: not a server's reply (mode 4).
    WrongMode = "wrong-mode",
    /// A4: neither version 4, as asked, nor 3.
    WrongVersion = "wrong-version",
    /// A5, TEST2: the origin field is not the nonce of the request, in all its 64 bits.
    WrongOrigin = "wrong-origin",
    /// A7: kiss code DENY.
    KissDeny = "kiss-deny",
    /// A7: kiss code RSTR.
    KissRestrict = "kiss-rstr",
    /// A7: kiss code RATE.
    KissRate = "kiss-rate",
    /// A7: a kiss code X…, experimental; ignored.
    KissExperimental = "kiss-experimental",
    /// A7: stratum 0 with any other code (INIT, STEP, …): the server is not ready.
    KissOther = "kiss-other",
    /// A6, TEST3: the receive timestamp is zero, "unknown".
    ZeroReceive = "zero-receive",
    /// A6, TEST3: the transmit timestamp is zero, "unknown".
    ZeroTransmit = "zero-transmit",
    /// A8, TEST6: leap indicator 3, or stratum 0 without a kiss code: the server's clock is not
    /// synchronised.
    Unsynchronised = "unsynchronised",
    /// A8, TEST6: stratum 16 or more.
    BadStratum = "bad-stratum",
    /// A9, TEST7: root delay / 2 + root dispersion is 16 s or more.
    RootDistance = "root-distance",
    /// A10: the reply left before the request arrived, by the server's own clock.
    NegativeProcessing = "negative-processing",
    /// A10: the server took 4 s or more.
    SlowProcessing = "slow-processing",
    /// A11: the server took longer than the whole exchange, beyond what coarse clocks explain.
    NegativeDelay = "negative-delay",
    /// A12: more than 3 s on the way.
    LongDelay = "long-delay",
    /// A13: the time is before the floor, which is known to have passed.
    BelowFloor = "below-floor",
    /// The time cannot be by what a [`Reference`](crate::plausible::Reference) says.
    Implausible = "implausible",
    /// A14: the server answers that it could not authenticate the request.
    CryptoNak = "crypto-nak",
    /// What follows the header breaks RFC 7822.
    BadExtension = "bad-extension",
    /// The error bound is too wide to select by (RFC 5905 §11.2, MAXDIST).
    TooDistant = "too-distant",
}

impl Discard {
    /// Whether the datagram carried the nonce, which ends its exchange.
    pub fn ends_exchange(self) -> bool {
        self > Self::WrongOrigin
    }

    /// Whether it tells that the server is of no use for now, rather than the network.
    pub(crate) fn blames_server(self) -> bool {
        self.ends_exchange()
            && !matches!(self, Self::KissExperimental | Self::NegativeDelay | Self::LongDelay)
    }
}

impl fmt::Display for Discard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a client has counted since it was made. Each count stops at its maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Requests handed to the network.
    pub sent: u32,
    /// Requests that the platform refused to send.
    pub send_failed: u32,
    /// Requests that were not answered in time.
    pub unanswered: u32,
    /// Replies that gave a time.
    pub accepted: u32,
    /// Events that nobody took and that had to give way.
    pub events_lost: u32,
    discards: [u32; Discard::COUNT],
}

impl Counters {
    /// Nothing counted.
    pub(crate) const fn new() -> Self {
        Self {
            sent: 0,
            send_failed: 0,
            unanswered: 0,
            accepted: 0,
            events_lost: 0,
            discards: [0; Discard::COUNT],
        }
    }

    /// How often a datagram was discarded for this reason.
    pub fn discarded(&self, why: Discard) -> u32 {
        self.discards.get(why as usize).copied().unwrap_or(0)
    }

    /// All counts by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u32)> + '_ {
        let own = [
            ("sent", self.sent),
            ("send-failed", self.send_failed),
            ("unanswered", self.unanswered),
            ("accepted", self.accepted),
            ("events-lost", self.events_lost),
        ];
        own.into_iter().chain(Discard::ALL.iter().map(|&why| (why.name(), self.discarded(why))))
    }

    /// Counts a discard.
    pub(crate) fn discard(&mut self, why: Discard) {
        if let Some(n) = self.discards.get_mut(why as usize) {
            bump(n);
        }
    }
}

/// Counts one more.
pub(crate) fn bump(n: &mut u32) {
    *n = n.saturating_add(1);
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::BTreeSet;
    use std::string::ToString;

    #[test]
    fn every_discard_has_a_name_and_a_counter_of_its_own() {
        let mut counters = Counters::new();
        for &why in Discard::ALL {
            counters.discard(why);
        }
        let names: BTreeSet<_> = counters.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), 5 + Discard::ALL.len());
        assert_eq!(counters.iter().map(|(_, n)| n).sum::<u32>(), 26);
        assert!(names.iter().all(|n| n.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        assert_eq!(Discard::WrongOrigin.to_string(), "wrong-origin");
        assert!(!Discard::WrongOrigin.ends_exchange() && Discard::KissDeny.ends_exchange());
    }
}
