//! Ports of bringup: what [`bringup_core::platform`] asks for, on Linux and in a simulation.
//!
//! Read in this order:
//!
//! 1. [`lock`]: four locks for the attach queue, each with the argument why it is one.
//! 2. [`linux`]: the port to Linux. Its preface says which file does what; `linux/sys.rs` holds the
//!    system calls, one to a function, and nearly all of the crate's unsafe code.
//! 3. [`sim`]: the same contract in virtual time, with wires that lose, delay and damage frames. No
//!    thread, no real clock: this is where a port's behaviour is easiest to read.
//! 4. [`polling`]: core's poller on the `polling` crate, for loops with many descriptors.
//! 5. [`mod@file`]: files of configuration that others change.
//! 6. [`error`]: what failed, and with which number.
//!
//! Unsafe code stands in `lock`, in `polling` and in `linux/sys.rs` only.
#![deny(unsafe_code)]

#[cfg(unix)]
pub mod error;
pub mod file;
#[allow(unsafe_code, reason = "the contract of RawLock; every impl argues why it holds")]
pub mod lock;
#[cfg(unix)]
#[allow(unsafe_code, reason = "the polling crate takes descriptors on trust")]
pub mod polling;
pub mod sim;

// The one place that chooses the operating system.
#[cfg(target_os = "linux")]
pub mod linux;
