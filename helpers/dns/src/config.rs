//! [`Config`], what the resolver can be told, and [`resolv_conf`], the file that says it elsewhere.

use bringup_core::time::Duration;

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
    };
}

impl Default for Config {
    fn default() -> Self {
        Self::DEFAULT
    }
}
