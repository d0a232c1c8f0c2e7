//! The core of bringup: an event loop on poll(2), timers, attach from other threads, and the system
//! states. `no_std`, no heap, no dependency.
//!
//! Read in this order:
//!
//! 1. [`time`] and [`wire`]: what the rest is written in.
//! 2. [`client`]: the contract of a sans-IO protocol client, and the one function that drives it.
//! 3. [`platform`]: what an operating system has to offer. A port begins there.
//! 4. [`state`]: the system states and the machine that walks through them.
//! 5. [`timer`], [`poll`]: what the loop is made of.
//! 6. [`attach`]: how other threads reach the loop. The one file with the intrusive list.
//! 7. [`event_loop`]: the loop itself, and who owns what.
//!
//! Unsafe code stands in two files, `attach` (the list) and `poll` (the system call), besides one call
//! in `platform` that says that a lock is held.
#![no_std]
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "the intrusive list; its preface argues why it is sound")]
pub mod attach;
pub mod client;
pub mod error;
pub mod event_loop;
#[allow(unsafe_code, reason = "the lock's contract, and one call under it")]
pub mod platform;
pub mod poll;
pub mod state;
mod sync;
pub mod time;
pub mod timer;
pub mod wire;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
