//! The laboratory: what a simulator cannot show is shown here, on real wires and with real servers.
//!
//! A test calls [`lab::within`], which runs its body in a process of its own in private namespaces
//! (network, mounts, process ids; a user namespace too where the caller isn't root). There it makes
//! hosts, cables and servers:
//!
//! ```no_run
//! use bringup_tests::lab::{self, network::Network, servers};
//!
//! lab::within(&["dnsmasq"], |lab| {
//!     let network = Network::plain(lab);
//!     let _dnsmasq = servers::dnsmasq(&network.server, "");
//!     // run the program under test on network.device
//! });
//! ```
//!
//! What holds for every test:
//! - Nothing outlives it: its process is the init of its namespace of process ids, and files are on
//!   a private tmpfs.
//! - The machine's clock is out of reach: no process in a laboratory has CAP_SYS_TIME.
//! - Nobody sleeps to wait for an effect: [`lab::eventually`] asks until the answer is there, with
//!   a deadline.
//! - Tests run in parallel: they share nothing but the processor.
//!
//! Where namespaces are forbidden, or a server isn't installed, a test is skipped in one line on
//! standard error that starts with `lab: skipped`; where the environment has `CI=true`, that is a
//! failure. `tests/run` installs the servers.
//!
//! Read in this order: `lab/namespace.rs`, `lab/network.rs`, `lab/servers.rs`, `lab/wire.rs`; then
//! the tests.
#![cfg(target_os = "linux")]

pub mod lab;
