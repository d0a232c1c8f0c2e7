//! What the client is told: [`Config`] and [`Server`].

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use bringup_core::time::{Duration, Utc};

use crate::discipline::{Policy, Wall};

/// Where a server's address came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The network offered it: DHCP option 42.
    Dhcp,
    /// The operator named the address.
    Configured,
    /// It is one of the addresses of a name (a pool's, perhaps). Alone, it does not confirm the
    /// time.
    #[default]
    Name,
}

/// A server that may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its address and port; 123 unless somebody says otherwise.
    pub address: SocketAddr,
    /// Where that came from.
    pub source: Source,
}

impl Server {
    /// What an empty slot holds.
    pub(crate) const NOBODY: Self = Self {
        address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        source: Source::Name,
    };

    /// Whether one can send to it: servers are asked one by one, never a group of them.
    pub fn is_askable(&self) -> bool {
        let ip = self.address.ip();
        !(ip.is_unspecified()
            || ip.is_multicast()
            || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
            || self.address.port() == 0)
    }
}

/// How the client is to behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// A time that is known to have passed: the latest of build time, saved clock and whatever else
    /// the caller knows. It names the era and rejects what lies before (A13, BCP 223 §5.2).
    pub floor: Utc,
    /// Shortest and longest interval of steady polling, log2 seconds; kept within `4..=17`
    /// (RFC 5905 §7.2).
    pub poll: (u8, u8),
    /// Shortest interval of steady polling of an address of a name, log2 seconds; kept within
    /// `4..=17`. What pools ask of simple clients: not more than once in 30 minutes.
    pub name_poll: u8,
    /// The first request waits for a random time up to this (P5). Zero for a device that is switched
    /// on alone; more where thousands come back after a power cut.
    pub start_delay_max: Duration,
    /// A server whose error bound is wider is not listened to, nanoseconds (MAXDIST, RFC 5905
    /// §7.2). The grain of the server's clock is granted on top, so that one which counts in whole
    /// seconds still serves.
    pub max_distance_ns: u64,
    /// How long a confirmed time stays confirmed without news.
    pub confirmed_for: Duration,
    /// How long a time stays valid without news.
    pub valid_for: Duration,
    /// When to step and when to slew the wall clock.
    pub policy: Policy,
    /// What the wall clock is worth at the start.
    pub wall: Wall,
    /// Correct the rate of the wall clock as well, by [`Adjust::Rate`](crate::Adjust::Rate).
    pub frequency: bool,
}

impl Config {
    /// The defaults, for a client that knows that `floor` has passed.
    ///
    /// Polls of 64 to 1024 s (RFC 5905 §7.3), of 2048 s for addresses of names, no delay at the start, a distance of 1 s, confirmed
    /// for a day and valid for a week.
    pub const fn new(floor: Utc) -> Self {
        Self {
            floor,
            poll: (6, 10),
            name_poll: 11,
            start_delay_max: Duration::ZERO,
            max_distance_ns: 1_000_000_000,
            confirmed_for: Duration::from_secs(86_400),
            valid_for: Duration::from_secs(7 * 86_400),
            policy: Policy::RFC_5905,
            wall: Wall::Unset,
            frequency: false,
        }
    }
}
