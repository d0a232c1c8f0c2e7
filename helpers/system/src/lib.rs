//! The assembled system: DHCP, DNS and NTP on one loop, from link up to OPERATIONAL.
//!
//! Read [`system`] and its `wiring` first, then [`interface`] (what becomes of a lease), [`driven`] (how a sans-IO
//! client gets sockets and a timer), [`time_names`] and [`servers`]. [`event`] is what an application
//! sees.
//!
//! `no_std`, no heap; generic over one [`Platform`](bringup_core::platform::Platform): a server, a
//! small static binary, a microcontroller and the simulator run the same code.
//!
//! # Features
//!
//! Both are on by default. What a device has no use for takes no room in it without them:
//!
//! | feature | what is there with it | and without |
//! |---|---|---|
//! | `tcp` | `tcp` of [`bringup_dns`], and connections for it | what needs one ends as that crate says |
//! | `extras` | `extras` of [`bringup_dns`] and of [`bringup_dhcp`]; NTP servers by name; [`Config::tell_discards`] | a name fails at once, with [`Event::NtpNameFailed`]; what is ignored is counted only |
#![no_std]
#![forbid(unsafe_code)]

mod addresses;
pub mod driven;
pub mod event;
pub mod interface;
mod parts;
mod ring;
pub mod servers;
mod sources;
mod stage;
pub mod system;
pub mod time_names;
mod wiring;

pub use driven::{Buffers, Driven};
pub use event::{Action, Event, Gate, InterfaceId};
pub use interface::Interface;
pub use servers::{Origin, ServerFact, ServerList};
pub use sources::MAX_ADDRESSES;
pub use system::{AddInterfaceError, Config, StartError, System};
pub use time_names::NtpName;
