//! What the ports with std have in common: their sockets, through socket2.

pub(crate) mod tcp;
pub(crate) mod udp;

use std::io;

/// What the operating system calls a socket: a descriptor's number.
#[cfg(unix)]
pub type RawSource = std::os::fd::RawFd;
/// What the operating system calls a socket.
#[cfg(windows)]
pub type RawSource = std::os::windows::io::RawSocket;

#[cfg(unix)]
pub(crate) fn raw(of: &impl std::os::fd::AsRawFd) -> RawSource {
    of.as_raw_fd()
}

#[cfg(windows)]
pub(crate) fn raw(of: &impl std::os::windows::io::AsRawSocket) -> RawSource {
    of.as_raw_socket()
}

/// Whether a call failed only because nothing is there, or no room. A signal is no reason to report
/// either; the poller will call again.
pub(crate) fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
