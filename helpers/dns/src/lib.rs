//! A DNS codec and a caching stub resolver that does no input or output of its own.
//!
//! The codec: [`name`], [`record`], [`message`] read, [`encode`] writes, both ways round, for clients
//! and servers. The resolver, [`client::Resolver`], is a state machine with the verbs of
//! [`bringup_core::client`]: it is given datagrams and the time, and says what to send and when to
//! call again. Its memory is lent to it, once, in [`client::ResolverStorage`].
//!
//! To read it: `name`, `record`, `message`; then `query` (what is in flight), `cache` (what is known,
//! and where results live), `server`, `response` (which records of a reply count), `client` (the
//! calls, and under it the steps, what goes out, what comes in, and the timers).
//!
//! No heap, no panic on any input, every loop bounded.
//!
//! # Features
//!
//! Both are on by default. What a device has no use for takes no room in it without them:
//!
//! | feature | what is there with it | and without |
//! |---|---|---|
//! | `tcp` | queries over TCP | an answer that is cut off ends as [`Failure::Truncated`], a query that may go over TCP alone as [`Failure::Unreachable`] |
//! | `extras` | search list, hosts, addresses of IPv6 as names; [`Config::serve_stale`], [`Config::refresh_ahead`], probes of servers that failed | those settings do nothing; a server that failed is asked again when the others fail |
#![no_std]
#![forbid(unsafe_code)]

mod cache;
pub mod client;
pub mod config;
mod cookie;
pub mod counters;
pub mod encode;
pub mod malformed;
pub mod message;
pub mod name;
pub mod order;
mod parts;
pub mod query;
pub mod record;
mod response;
pub mod search;
pub mod server;
mod special;
mod stream;
#[cfg(test)]
mod testing;

#[cfg(not(target_pointer_width = "16"))]
pub use client::LargeStorage;
pub use client::{
    Answer, Event, QueryError, QueryOptions, Resolver, ResolverStorage, SmallStorage,
};
pub use config::Config;
pub use config::hosts::{Hosts, HostsText};
pub use counters::{Counters, Discard};
pub use malformed::Malformed;
pub use message::Message;
pub use name::{Name, NameView};
pub use order::{SourceAddress, SourceOracle};
pub use query::{Failure, Outcome, QueryKey, QueryKind, Source};
pub use record::{Class, RData, Record, RecordType};
pub use server::{ServerAddress, ServerReport};
