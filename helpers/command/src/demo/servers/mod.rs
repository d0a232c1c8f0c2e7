//! Small DHCP, DNS and NTP servers without sockets: a request in, a reply out.
//!
//! They are written with the encoders of the helper crates and are strict: a request that breaks a
//! rule gets no reply, or the error that the RFC has for it. They are for demonstrations and tests on
//! a network of their own: nothing is kept over a restart, and nothing is looked up elsewhere.

mod dhcp;
mod dns;
mod ntp;

pub use dhcp::{DhcpServer, Network};
pub use dns::{Data, DnsServer, Zone};
pub use ntp::NtpServer;
