//! NTP: wire codec and sans-IO client (SNTPv4, RFC 5905 §14), integer arithmetic only.
//!
//! A valid clock within one round trip, and the truth soon after: the first good reply makes the
//! clock [`Provisional`](ClockState::Provisional), a second server that agrees makes it
//! [`Confirmed`](ClockState::Confirmed), and what is known grows stale visibly, with an error bound.
//! The client never touches a clock: it says what UTC is at an
//! [`Instant`](bringup_core::time::Instant), and what it would do about the wall clock.
//!
//! In the order in which to read:
//!
//! - [`timestamp`], [`packet`], [`extension`], [`malformed`]: the wire, both ways.
//! - [`discard`], [`accept`]: from a datagram to a measurement, rule by rule.
//! - [`select`]: who is right when several servers answer.
//! - [`plausible`]: what others say of the time, to doubt servers by.
//! - [`clock`]: what is known of the time; [`discipline`]: what to do about the wall clock, with a loop for its rate;
//!   [`leap`]: the seconds that a month has more or less.
//! - [`client`]: when to ask whom.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

pub mod accept;
mod association;
pub mod client;
pub mod clock;
pub mod discard;
pub mod discipline;
pub mod extension;
mod frequency;
pub mod leap;
pub mod malformed;
pub mod packet;
pub mod plausible;
pub mod select;
#[cfg(test)]
mod testing;
pub mod timestamp;

pub use client::{Config, Event, NtpClient, Report, Server, Source, Verdict};
pub use clock::{ClockState, UtcEstimate};
pub use discard::{Counters, Discard};
pub use discipline::{Adjust, Policy, Wall};
