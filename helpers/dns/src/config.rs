//! [`Config`], what the resolver can be told, and [`resolv_conf`], the file that says it elsewhere.

use bringup_core::time::Duration;

use resolv_conf::Setting;

pub mod hosts;
pub mod resolv_conf;

/// How a resolver behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long a query may take that was given no deadline. Default 10 s.
    pub timeout: Duration,
    /// UDP sockets per server, 1 to 16; each has a port of its own. Default 16.
    pub sockets_per_server: u8,
    /// The largest UDP payload asked for, octets. Default 1232, which no path fragments (RFC 9715).
    pub edns_udp_size: u16,
    /// Ask over TCP only (`use-vc`). Default no.
    pub use_tcp: bool,
    /// Ask servers for `.local`, which belongs to multicast DNS (RFC 6762 §22.1). Default no.
    pub local_to_servers: bool,
    /// Ask servers for single labels as they are. Default no.
    pub single_labels: bool,
    /// A relative name with fewer dots is tried with the search list first. Default 1.
    pub ndots: u8,
    /// The longest wait for one answer of one server, at most 5 s, which is the default; how long it
    /// really is follows from the round trips that were measured.
    pub attempt_timeout: Duration,
    /// How often a server is asked one question, 1 to 3 (RFC 9520 §3.1). Default 3.
    pub attempts: u8,
    /// Ask the servers in turn instead of the first that works. Default no.
    pub rotate: bool,
    /// Ask servers whether data is authentic and believe what they say (`trust-ad`). Default no.
    pub trust_ad: bool,
    /// Show cookies to the servers, and hold them to theirs (RFC 7873). Default yes.
    pub cookies: bool,
    /// Write names in random case and take a reply over UDP only in the same (`0x20`). Default no:
    /// some servers do not return the case.
    pub mix_case: bool,
    /// For how long after its TTL an answer may still be given where none can be had (RFC 8767 §5
    /// suggests one to three days); zero is never, and the default.
    pub serve_stale: Duration,
    /// Ask anew for an answer that is used in the last tenth of its TTL. Default no.
    pub refresh_ahead: bool,
    /// Refuse addresses of private networks for names that are not of this network: those outside of
    /// the search list, `home.arpa` and `internal`. Stops DNS rebinding. Default no.
    pub refuse_private: bool,
    /// Ask for no AAAA records: there are none. Default no.
    pub no_aaaa: bool,
}

impl Config {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        timeout: Duration::from_secs(10),
        sockets_per_server: 16,
        edns_udp_size: 1232,
        use_tcp: false,
        local_to_servers: false,
        single_labels: false,
        ndots: 1,
        attempt_timeout: Duration::from_secs(5),
        attempts: 3,
        rotate: false,
        trust_ad: false,
        cookies: true,
        serve_stale: Duration::ZERO,
        refresh_ahead: false,
        refuse_private: false,
        mix_case: false,
        no_aaaa: false,
    };

    /// With what a line of resolv.conf says; servers and the search list are not settings of this
    /// kind and change nothing.
    #[must_use]
    pub const fn with(self, setting: &Setting<'_>) -> Self {
        match *setting {
            Setting::Ndots(ndots) => Self { ndots, ..self },
            Setting::TimeoutSecs(s) => {
                Self { attempt_timeout: Duration::from_millis(s as u64 * 1_000), ..self }
            }
            Setting::Attempts(attempts) => Self { attempts, ..self },
            Setting::Rotate => Self { rotate: true, ..self },
            Setting::TrustAd => Self { trust_ad: true, ..self },
            Setting::UseVc => Self { use_tcp: true, ..self },
            Setting::NoAaaa => Self { no_aaaa: true, ..self },
            // EDNS is always on, and given up where a server cannot do it.
            Setting::Edns0 | Setting::Server(_) | Setting::ServerOn { .. } | Setting::Search(_) => {
                self
            }
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::DEFAULT
    }
}
