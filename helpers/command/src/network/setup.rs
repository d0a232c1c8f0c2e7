//! [`Setup`]: what is wanted of a network.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use super::{Error, Network, program, status::Status};
use crate::cli::privilege::{self, Capability};

/// What is wanted. Everything has a default: no interface, the network's own servers, and the clock
/// left alone.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    pub(super) interfaces: Vec<String>,
    pub(super) dns: Vec<SocketAddr>,
    pub(super) ntp: Vec<SocketAddr>,
    pub(super) ntp_names: Vec<(String, u16)>,
    pub(super) hostname: Option<String>,
    pub(super) keep: bool,
    pub(super) set_clock: bool,
    pub(super) without_time: bool,
}

impl Setup {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bring this interface up with DHCP; the first one named is preferred. Without any the network is
    /// taken as it is, with the DNS servers of /etc/resolv.conf unless others are named.
    #[must_use]
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.interfaces.push(name.into());
        self
    }

    /// Ask this DNS server, before those that the network offers.
    #[must_use]
    pub fn dns(mut self, server: impl Into<SocketAddr>) -> Self {
        self.dns.push(server.into());
        self
    }

    /// Ask this NTP server, by address.
    #[must_use]
    pub fn ntp(mut self, server: impl Into<SocketAddr>) -> Self {
        self.ntp.push(server.into());
        self
    }

    /// Ask this NTP server, by name.
    #[must_use]
    pub fn ntp_name(mut self, name: impl Into<String>) -> Self {
        self.ntp_names.push((name.into(), 123));
        self
    }

    /// Tell DHCP servers this host name.
    #[must_use]
    pub fn hostname(mut self, name: impl Into<String>) -> Self {
        self.hostname = Some(name.into());
        self
    }

    /// Leave addresses and routes on the interfaces at the end.
    #[must_use]
    pub const fn keep(mut self) -> Self {
        self.keep = true;
        self
    }

    /// Set the machine's clock; needs CAP_SYS_TIME.
    #[must_use]
    pub const fn set_clock(mut self) -> Self {
        self.set_clock = true;
        self
    }

    /// Be OPERATIONAL without knowing the time. No certificate can be checked then.
    #[must_use]
    pub const fn without_time(mut self) -> Self {
        self.without_time = true;
        self
    }

    /// Begins to bring the network up, on a thread of its own. Returns as soon as that thread runs;
    /// what was asked for and cannot be is an error here, what takes time is to be
    /// [waited](Network::wait) for.
    pub fn start(self) -> Result<Network, Error> {
        let missing = privilege::missing(&self.needed());
        if !missing.is_empty() {
            return Err(Error::Privilege(missing.iter().map(ToString::to_string).collect()));
        }
        let (desk, items) = mpsc::channel();
        let (ready, started) = mpsc::channel();
        let status = Arc::new(Status::new());
        let theirs = Arc::clone(&status);
        let name = thread::Builder::new().name("bringup".into());
        let spawned = name.spawn(move || program::run(&self, &theirs, items, &ready));
        let thread = spawned.map_err(|_| Error::Full)?;
        // A thread that says nothing has panicked.
        started.recv().unwrap_or(Err(Error::Ended))?;
        Ok(Network { desk, status, thread: Some(thread) })
    }

    fn needed(&self) -> Vec<Capability> {
        let mut needed = Vec::new();
        if !self.interfaces.is_empty() {
            needed.extend([Capability::NetRaw, Capability::NetAdmin]);
        }
        if self.set_clock {
            needed.push(Capability::SysTime);
        }
        needed
    }
}
