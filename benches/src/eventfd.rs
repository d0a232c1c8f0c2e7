//! An eventfd with nothing around it: the floor of every wake.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::Arc;

/// A counter that a thread can sleep on.
#[derive(Clone)]
pub(crate) struct EventFd(Arc<File>);

impl EventFd {
    pub(crate) fn new() -> Self {
        // SAFETY: no memory is handed over.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        assert!(fd >= 0, "eventfd: {}", std::io::Error::last_os_error());
        // SAFETY: the descriptor is new, and nobody else has it.
        Self(Arc::new(unsafe { File::from_raw_fd(fd) }))
    }

    /// Wakes who sleeps on it.
    pub(crate) fn add(&self) {
        (&*self.0).write_all(&1_u64.to_ne_bytes()).expect("write to an eventfd");
    }

    /// Sleeps until it has been added to.
    pub(crate) fn take_blocking(&self) {
        (&*self.0).read_exact(&mut [0; 8]).expect("read from an eventfd");
    }

    /// Sleeps in poll(2) as a loop does, then takes.
    pub(crate) fn poll_and_take(&self) {
        let mut fd = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, which lives until the call returns.
        let ready = unsafe { libc::poll(&raw mut fd, 1, -1) };
        assert_eq!(ready, 1, "poll");
        self.take_blocking();
    }
}
