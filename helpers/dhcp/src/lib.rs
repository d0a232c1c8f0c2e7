//! DHCPv4: a codec for both sides and a sans-IO client (RFC 2131, 2132).
//!
//! `no_std`, no heap, no unsafe code. Nothing here owns a socket or a clock: frames and datagrams
//! come in, frames and datagrams go out, time and randomness arrive with each call.
//!
//! Read in this order:
//!
//! | module | what is in it |
//! |---|---|
//! | [`code`] | option codes and message types, as the RFCs number them |
//! | [`options`] | the walk over the options (overload, PAD, END), and typed readings of one [`options::Value`] |
//! | [`route`], [`name`], [`fqdn`], [`vendor`] | the options with an inner grammar |
//! | [`message`] | the BOOTP message: parse, and [`message::MessageWriter`] for client and server |
//! | [`frame`] | IPv4 and UDP around it, checked strictly |
//! | [`arp`] | ARP, with which an address is claimed |
//! | [`config`], [`offer`], [`retry`] | what the user sets |
//! | [`lease`], [`snapshot`] | what the server granted, and how it is kept over a restart |
//! | [`client`] | the state machine |
//! | [`event`], [`counters`] | what the application hears, and why something was ignored |
//!
//! The client takes one rule above all: no input makes it send at once, restart a timer or give up
//! a wait. Replies either advance the exchange that they answer, or they change a counter.
//!
//! The feature `extras` is on by default. Without it these settings and calls do nothing, and take no room
//! in a small device: [`Config::link_local`], [`Config::force_renew`], [`Config::detect_attachment`], and
//! snapshots: none is made, and none is of a [version](SnapshotError::Version) that is known.
#![no_std]
#![forbid(unsafe_code)]

#[macro_use]
mod named;

mod anonymous;
pub mod arp;
mod bucket;
pub mod client;
pub mod code;
pub mod config;
pub mod counters;
pub mod event;
pub mod fqdn;
pub mod frame;
pub mod lease;
mod md5;
pub mod message;
pub mod name;
pub mod offer;
pub mod options;
mod parts;
pub mod retry;
pub mod route;
pub mod snapshot;
mod text;
mod vault;
pub mod vendor;

pub use client::{DhcpClient, StateName};
pub use config::{BroadcastFlag, ClientIdentifier, Config, ConflictDetection};
pub use counters::{Counters, Discard};
pub use event::{Event, LostReason};
pub use fqdn::{DnsUpdate, Fqdn};
pub use lease::Lease;
pub use retry::Profile;
pub use route::RoutePolicy;
pub use snapshot::{Snapshot, SnapshotError};
