//! Ports of bringup: what [`bringup_core::platform`] asks for, on Linux and in a simulation; and the kit
//! that shows whether a port keeps what it promises.
//!
//! Read in this order (`PORTING.md` beside this crate's manifest is for who writes a port):
//!
//! 1. [`lock`]: four locks for the attach queue, each with the argument why it is one.
//! 2. [`linux`]: the port to Linux. Its preface says which file does what; `linux/sys.rs` holds the
//!    system calls, one to a function, and nearly all of the crate's unsafe code.
//! 3. [`sim`]: the same contract in virtual time, with wires that lose, delay and damage frames. No
//!    thread, no real clock: this is where a port's behaviour is easiest to read.
//! 4. [`polling`]: core's poller on the `polling` crate, for loops with many descriptors.
//! 5. [`mod@file`]: files of configuration that others change.
//! 6. [`error`]: what failed, and with which number.
//! 7. [`conformance`]: the kit.
//! 8. [`portable`]: what every system has that has std: loop, attach, DNS and NTP, but no frames.
//! 9. [`tiny`]: Linux once more, for the smallest programs: no std, the C library alone.
//!
//! Unsafe code stands in `lock`, in `polling`, in `linux/sys.rs` and in `tiny/sys.rs`, besides one lock in
//! each of `tiny` and the kit. Without the feature `std` the crate is `no_std` and has the kit, the locks
//! but one, and `tiny`.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code)]

pub mod conformance;
#[cfg(target_os = "linux")]
mod control;
#[cfg(feature = "std")]
mod entropy;
#[cfg(feature = "std")]
pub mod error;
#[cfg(feature = "std")]
pub mod file;
#[cfg(target_os = "linux")]
mod filter;
#[allow(unsafe_code, reason = "the contract of RawLock; every impl argues why it holds")]
pub mod lock;
#[cfg(feature = "std")]
#[allow(unsafe_code, reason = "the polling crate takes descriptors on trust")]
pub mod polling;
#[cfg(feature = "std")]
pub mod portable;
#[cfg(feature = "std")]
pub mod sim;
#[cfg(feature = "std")]
mod socket;

// The one place that chooses the operating system.
#[cfg(all(target_os = "linux", feature = "std"))]
pub mod linux;
// Where the numbers are those of asm-generic.
#[cfg(all(
    target_os = "linux",
    not(any(
        target_arch = "mips",
        target_arch = "mips64",
        target_arch = "mips32r6",
        target_arch = "mips64r6",
        target_arch = "sparc",
        target_arch = "sparc64",
    ))
))]
pub mod tiny;
