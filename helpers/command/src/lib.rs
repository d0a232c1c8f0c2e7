//! Brings a machine's network up: link, DHCP, DNS, NTP, and the states on the way to operational.
//!
//! # For a program that needs the network
//!
//! Say what is wanted, start it, wait:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! fn main() -> Result<(), bringup::Error> {
//!     let network = bringup::Setup::new().interface("eth0").start()?;
//!     network.wait_operational(Duration::from_secs(60))?;
//!     let addresses = network.resolve("example.com", Duration::from_secs(10))?;
//!     println!("{addresses:?}, and the time is {:?}", network.time()?);
//!     Ok(())
//! }
//! ```
//!
//! The handle, a [`Network`], belongs to any thread: [`attach`](Network::attach) has a callback run
//! when a state is reached. It needs CAP_NET_RAW and CAP_NET_ADMIN for interfaces, and nothing without;
//! it leaves the machine's clock alone unless it is told otherwise, and takes down at its end what it
//! brought up.
//!
//! # For a program with a loop of its own
//!
//! It takes the parts: [`prelude`] names what a program on bringup's own loop needs, and the clients do
//! no input or output of their own. The crate's examples show how that is used:
//!
//! | example | what it shows |
//! |---|---|
//! | `up` | the ten lines above |
//! | `attach` | threads that wait for states |
//! | `application` | a program on bringup's loop, with the system as a field |
//! | `resolver` | the resolver alone, in somebody else's poll loop |
//! | `tokio` (a crate beside) | the DNS and NTP clients on tokio's sockets |
//!
//! # What is in it
//!
//! | module | crate | what it is |
//! |---|---|---|
//! | [`network`] | | [`Setup`], [`Network`], [`Error`] |
//! | [`core`] | `bringup-core` | event loop, timers, attach, system states, the platform contract |
//! | [`dhcp`] | `bringup-dhcp` | DHCPv4 codec and client |
//! | [`dns`] | `bringup-dns` | DNS codec and caching stub resolver |
//! | [`ntp`] | `bringup-ntp` | NTP codec and client |
//! | [`system`] | `bringup-system` | the assembled system |
//! | [`platform`] | `bringup-platform` | Linux, the simulator, locks and pollers |
//! | [`demo`] | | small DHCP, DNS and NTP servers without sockets, for demonstrations and tests |
//! | [`host`] | | the machine that it runs on |
//! | [`resolver_files`] | | has the resolver follow /etc/resolv.conf and /etc/hosts |
//! | [`record`] | | what happened during a bring-up, as a picture and as a capture |
//! | [`cli`] | | the command `bringup` |
//!
//! Scripts may rely on the command's options, its `--json` objects and its exit codes; programs should
//! not rely on the types of [`cli`].
#![forbid(unsafe_code)]

pub mod cli;
pub mod demo;
#[cfg(target_os = "linux")]
pub mod host;
#[cfg(target_os = "linux")]
pub mod network;
pub mod prelude;
pub mod record;
pub mod resolver_files;

pub use bringup_core as core;
pub use bringup_dhcp as dhcp;
pub use bringup_dns as dns;
pub use bringup_ntp as ntp;
pub use bringup_platform as platform;
pub use bringup_system as system;

pub use bringup_core::state::SystemState;
#[cfg(target_os = "linux")]
pub use network::{Address, Context, Ended, Error, Network, Setup, Time};
