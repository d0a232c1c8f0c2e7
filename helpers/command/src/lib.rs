//! Brings a machine's network up: link, DHCP, DNS, NTP, and the states on the way to operational.
//!
//! This crate is the way in for programs that have `std`, and the home of the command `bringup`. The
//! parts below it can be used alone, and are found here under short names:
//!
//! | module | crate | what it is |
//! |---|---|---|
//! | [`core`] | `bringup-core` | event loop, timers, attach, system states, the platform contract |
//! | [`dhcp`] | `bringup-dhcp` | DHCPv4 codec and client |
//! | [`dns`] | `bringup-dns` | DNS codec and caching stub resolver |
//! | [`ntp`] | `bringup-ntp` | NTP codec and client |
//! | [`system`] | `bringup-system` | the assembled system |
//! | [`platform`] | `bringup-platform` | Linux, the simulator, locks and pollers |
//!
//! A program names most of it through [`prelude`]; `examples/application.rs` shows one. [`host`] is the
//! machine that it runs on. [`resolver_files`] has the resolver follow /etc/resolv.conf and /etc/hosts. [`demo`] has small DHCP, DNS and NTP servers without sockets, for demonstrations and tests. [`cli`]
//! is the command itself; scripts may rely on its options, its `--json` objects and its exit codes, and
//! programs should not rely on its types.
#![forbid(unsafe_code)]

pub mod cli;
pub mod demo;
#[cfg(target_os = "linux")]
pub mod host;
pub mod prelude;
pub mod record;
pub mod resolver_files;

pub use bringup_core as core;
pub use bringup_dhcp as dhcp;
pub use bringup_dns as dns;
pub use bringup_ntp as ntp;
pub use bringup_platform as platform;
pub use bringup_system as system;
