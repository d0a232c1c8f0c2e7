//! What `bringup demo` is made of.
//!
//! [`servers`] are the DHCP, DNS and NTP servers of its far side: functions from a request to a reply,
//! without sockets. [`far_side`] puts them behind real sockets, on a loop of their own in another
//! network namespace; [`simulated`] puts them behind a simulated wire.

#[cfg(target_os = "linux")]
pub mod far_side;
pub mod servers;
pub mod simulated;

use std::net::Ipv4Addr;

use bringup_core::time::{Instant, Utc};

use servers::{DhcpServer, DnsServer, Network, NtpServer, Zone};

/// The far side's address.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 89, 0, 1);
/// How many bits of it name the network.
pub const PREFIX: u8 = 24;
/// The NTP server's name; the network does not offer it by address, so that DNS has work to do.
pub const NTP_NAME: &str = "time.bringup.test";
/// A name to be resolved.
pub const NAME: &str = "www.bringup.test";

const DHCP_PORT: u16 = 67;
const DNS_PORT: u16 = 53;
const NTP_PORT: u16 = 123;

/// The servers of the far side.
#[derive(Debug)]
pub struct Servers {
    dhcp: DhcpServer,
    dns: DnsServer,
    ntp: NtpServer,
}

impl Servers {
    /// Servers at [`SERVER`] with the zone `bringup.test`.
    pub fn new() -> Self {
        let mut network = Network::new(SERVER, PREFIX, Ipv4Addr::new(10, 89, 0, 50), 16);
        // The client's standard way: four messages, as with most servers.
        network.rapid_commit = false;
        Self {
            dhcp: DhcpServer::new(network),
            dns: DnsServer::new(Zone::demo(SERVER)),
            ntp: NtpServer::new(0),
        }
    }

    /// The reply to a datagram for one of our ports: where it goes, if not back, and its length.
    pub fn reply(
        &mut self,
        port: u16,
        request: &[u8],
        now: Instant,
        utc: Utc,
        out: &mut [u8],
    ) -> Option<(Option<std::net::SocketAddrV4>, usize)> {
        match port {
            DHCP_PORT => self.dhcp.reply(request, now, out).map(|(to, length)| (Some(to), length)),
            DNS_PORT => self.dns.reply(request, out).map(|length| (None, length)),
            NTP_PORT => self.ntp.reply(request, utc, utc, out).map(|length| (None, length)),
            _ => None,
        }
    }
}

impl Default for Servers {
    fn default() -> Self {
        Self::new()
    }
}
