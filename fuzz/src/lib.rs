//! Properties that hold for any bytes, one function each: it panics where one does not hold.
//!
//! The fuzzers in `fuzz_targets` look for bytes that break a property; `tests/replay.rs` runs each
//! over its committed corpus, with nothing but a stable compiler. [`TARGETS`] lists them.
//!
//! A property never asks only whether the code survives. It compares: with a second reading of the
//! RFC that is written differently, with a model that is slow and plain, or with what went in. The
//! client properties drive a state machine in virtual time and hold every contract of
//! `bringup_core::client` against it at each step.
//!
//! `data` and `dice` are what the properties are written in; `wire`, `timers` and `states` are about
//! the core, `dns`, `dhcp` and `ntp` about the helpers; `seeds` makes the first inputs.

mod data;
mod dhcp;
mod dns;
mod ntp;
pub mod seeds;
mod states;
mod timers;
mod wire;

/// What `timer.rs` of the core, compiled here, finds at `crate::time`.
mod time {
    pub(crate) use bringup_core::time::*;
}

pub use dhcp::client::dhcp_client;
pub use dhcp::encode::dhcp_encode;
pub use dhcp::frame::dhcp_frame;
pub use dhcp::message::dhcp_message;
pub use dhcp::snapshot::dhcp_snapshot;
pub use dns::encode::dns_encode;
pub use dns::hosts::dns_hosts;
pub use dns::message::dns_message;
pub use dns::name::dns_name;
pub use dns::resolv_conf::dns_resolv_conf;
pub use dns::resolver::dns_resolver;
pub use dns::stream::dns_stream;
pub use ntp::accept::ntp_accept;
pub use ntp::client::ntp_client;
pub use ntp::packet::ntp_packet;
pub use ntp::timestamp::ntp_timestamp;
pub use states::core_state;
pub use timers::core_timer;
pub use wire::core_wire;

/// A property: it panics if it does not hold for these bytes.
pub type Property = fn(&[u8]);

/// Every property by the name of its fuzzer and of its corpus.
pub const TARGETS: &[(&str, Property)] = &[
    ("core_wire", core_wire),
    ("core_timer", core_timer),
    ("core_state", core_state),
    ("dns_message", dns_message),
    ("dns_encode", dns_encode),
    ("dns_name", dns_name),
    ("dns_resolv_conf", dns_resolv_conf),
    ("dns_hosts", dns_hosts),
    ("dns_stream", dns_stream),
    ("dns_resolver", dns_resolver),
    ("dhcp_message", dhcp_message),
    ("dhcp_encode", dhcp_encode),
    ("dhcp_frame", dhcp_frame),
    ("dhcp_client", dhcp_client),
    ("dhcp_snapshot", dhcp_snapshot),
    ("ntp_packet", ntp_packet),
    ("ntp_timestamp", ntp_timestamp),
    ("ntp_accept", ntp_accept),
    ("ntp_client", ntp_client),
];
