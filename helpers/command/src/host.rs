//! [`Host`]: this machine, as a program with `std` has it, and the queue that belongs to it.
//!
//! A program that counts octets takes [`UnixPoll`](bringup_core::poll::UnixPoll) over memory of its own
//! instead; one turn with a few descriptors is cheaper there, one with a thousand is not.

use bringup_core::attach::AttachQueue;
use bringup_platform::error::OsError;
use bringup_platform::linux::{EventWake, Linux, LinuxOps};
use bringup_platform::lock::StdLock;
use bringup_platform::polling::Polling;

/// Linux with a poller for any number of descriptors.
pub type Host = Linux<Polling>;

/// The queue through which other threads reach a loop on [`Host`] whose application is `A`.
pub type Queue<A> = AttachQueue<A, Host, LinuxOps>;

/// This machine. Fails if it has no descriptors left.
pub fn host() -> Result<Host, OsError> {
    Linux::new(Polling::new()?)
}

/// An empty queue, fit for a static; the loop that is made of it arms it.
pub const fn queue<A>() -> Queue<A> {
    AttachQueue::new(StdLock::new(), EventWake::new())
}
