//! The states of RFC 2131 Figure 5, each with the data that only it needs.

use core::net::Ipv4Addr;

use bringup_core::time::Instant;

use super::exchange::Exchange;
use crate::lease::{Grant, Times};
use crate::offer::{Asked, Offer};

/// DISCOVERs go out; waiting for an OFFER.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selecting {
    pub(super) exchange: Exchange,
    /// `secs` and BROADCAST of the last DISCOVER, which the REQUEST repeats (§3.1 step 3).
    pub(super) secs: u16,
    pub(super) broadcast: bool,
    /// When the offer window closes; set by the first offer in it.
    pub(super) decide_at: Option<Instant>,
}

impl Selecting {
    /// What a REQUEST for an offer to this DISCOVER repeats.
    pub(super) const fn asked(&self) -> Asked {
        let (xid, began) = (self.exchange.xid, self.exchange.began);
        Asked { xid, secs: self.secs, broadcast: self.broadcast, began }
    }
}

/// A REQUEST for an OFFER; waiting for its ACK.
#[derive(Clone, Copy, Debug)]
pub(super) struct Requesting {
    pub(super) exchange: Exchange,
    pub(super) offer: Offer,
    pub(super) secs: u16,
    pub(super) broadcast: bool,
}

/// A REQUEST for an address from before; waiting for any server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rebooting {
    pub(super) exchange: Exchange,
    pub(super) address: Ipv4Addr,
    /// The router that we know is there: the lease needs no DISCOVER if all servers are silent.
    pub(super) is_confirmed: bool,
}

/// Asking the server of the lease for more time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Renewing {
    pub(super) exchange: Exchange,
    pub(super) address: Ipv4Addr,
    pub(super) server: Ipv4Addr,
    pub(super) times: Times,
}

/// Asking any server for more time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rebinding {
    pub(super) exchange: Exchange,
    pub(super) address: Ipv4Addr,
    pub(super) times: Times,
}

/// One RELEASE to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Releasing {
    pub(super) xid: u32,
    pub(super) address: Ipv4Addr,
    pub(super) server: Ipv4Addr,
}

/// An ACK has come; waiting whether somebody else has the address (RFC 5227 §2.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Probing {
    pub(super) grant: Grant,
}

/// One DECLINE to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Declining {
    pub(super) xid: u32,
    pub(super) address: Ipv4Addr,
    pub(super) server: Ipv4Addr,
}

/// Asking for configuration only; the address is from elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Informing {
    pub(super) exchange: Exchange,
    pub(super) address: Ipv4Addr,
    /// The server to ask; all of them if none is known.
    pub(super) server: Option<Ipv4Addr>,
}

/// What INIT leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// A DISCOVER.
    Discover,
    /// The best offer that was not taken, if one stands; otherwise a DISCOVER.
    Offer,
    /// A REQUEST for this address from before (INIT-REBOOT).
    Reboot(Ipv4Addr),
    /// A DISCOVER, sooner if the link comes up again: no IPv4 was wanted here (RFC 8925).
    Ipv4Again,
}

/// Where the client stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    /// Not started, or the link is down. A lease may still hold.
    Stopped,
    /// Waiting before the first message, after a NAK or after a DECLINE.
    Init {
        /// Until when.
        until: Instant,
        /// What to do then.
        then: Then,
    },
    Selecting(Selecting),
    Requesting(Requesting),
    Rebooting(Rebooting),
    Probing(Probing),
    /// All is well until T1.
    Bound {
        times: Option<Times>,
    },
    Renewing(Renewing),
    Rebinding(Rebinding),
    Releasing(Releasing),
    Declining(Declining),
    Informing(Informing),
}

impl State {
    /// The exchange that is going on.
    pub(super) const fn exchange(&self) -> Option<&Exchange> {
        match self {
            Self::Selecting(Selecting { exchange, .. })
            | Self::Requesting(Requesting { exchange, .. })
            | Self::Rebooting(Rebooting { exchange, .. })
            | Self::Renewing(Renewing { exchange, .. })
            | Self::Rebinding(Rebinding { exchange, .. })
            | Self::Informing(Informing { exchange, .. }) => Some(exchange),
            Self::Stopped
            | Self::Init { .. }
            | Self::Probing(_)
            | Self::Bound { .. }
            | Self::Releasing(_)
            | Self::Declining(_) => None,
        }
    }

    /// The same, to change it.
    pub(super) const fn exchange_mut(&mut self) -> Option<&mut Exchange> {
        match self {
            Self::Selecting(Selecting { exchange, .. })
            | Self::Requesting(Requesting { exchange, .. })
            | Self::Rebooting(Rebooting { exchange, .. })
            | Self::Renewing(Renewing { exchange, .. })
            | Self::Rebinding(Rebinding { exchange, .. })
            | Self::Informing(Informing { exchange, .. }) => Some(exchange),
            Self::Stopped
            | Self::Init { .. }
            | Self::Probing(_)
            | Self::Bound { .. }
            | Self::Releasing(_)
            | Self::Declining(_) => None,
        }
    }

    /// Whether a message waits to go out.
    pub(super) fn is_due(&self) -> bool {
        match self {
            Self::Releasing(_) | Self::Declining(_) => true,
            state => state.exchange().is_some_and(Exchange::is_due),
        }
    }

    /// When this state has something to do by itself.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Stopped | Self::Probing(_) | Self::Releasing(_) | Self::Declining(_) => None,
            Self::Init { until, .. } => Some(*until),
            // With an offer in hand, nobody needs another DISCOVER.
            Self::Selecting(s) => s.decide_at.or(s.exchange.deadline()),
            Self::Bound { times } => times.map(|t| t.renew_at),
            Self::Renewing(r) => {
                let t2 = r.times.rebind_at;
                Some(r.exchange.deadline().map_or(t2, |at| at.min(t2)))
            }
            state => state.exchange().and_then(Exchange::deadline),
        }
    }

    /// Whether frames of the link are to be heard: whenever an answer may come by broadcast. A NAK
    /// is broadcast even to a client that renews by unicast (§4.1).
    pub(super) const fn needs_link(&self) -> bool {
        self.exchange().is_some() || matches!(self, Self::Declining(_))
    }

    /// Our address, if a UDP socket on it is needed: so that the kernel answers ARP for us and
    /// doesn't answer the server with "port unreachable".
    pub(super) const fn needs_unicast(&self) -> Option<Ipv4Addr> {
        match self {
            Self::Renewing(Renewing { address, .. })
            | Self::Rebinding(Rebinding { address, .. })
            | Self::Releasing(Releasing { address, .. })
            | Self::Informing(Informing { address, server: Some(_), .. }) => Some(*address),
            _ => None,
        }
    }

    pub(super) const fn name(&self) -> StateName {
        match self {
            Self::Stopped => StateName::Stopped,
            Self::Init { then: Then::Reboot(_), .. } => StateName::InitReboot,
            Self::Init { .. } => StateName::Init,
            Self::Selecting(_) => StateName::Selecting,
            Self::Requesting(_) => StateName::Requesting,
            Self::Rebooting(_) => StateName::Rebooting,
            Self::Probing(_) => StateName::Probing,
            Self::Bound { .. } => StateName::Bound,
            Self::Renewing(_) => StateName::Renewing,
            Self::Rebinding(_) => StateName::Rebinding,
            Self::Releasing(_) => StateName::Releasing,
            Self::Declining(_) => StateName::Declining,
            Self::Informing(_) => StateName::Informing,
        }
    }
}

named! {
    /// The name of a state, as RFC 2131 Figure 5 prints it where it has one.
    pub enum StateName {
        /// Not started, or the link is down. A lease may still hold.
        Stopped = "STOPPED",
        /// Waiting before the first DISCOVER, or after a NAK.
        Init = "INIT",
        /// Waiting before the first REQUEST for an address from before.
        InitReboot = "INIT-REBOOT",
        /// Waiting for an OFFER.
        Selecting = "SELECTING",
        /// Waiting for the ACK to a REQUEST for an OFFER.
        Requesting = "REQUESTING",
        /// Waiting for the ACK to a REQUEST for an address from before.
        Rebooting = "REBOOTING",
        /// An address is granted; waiting whether somebody else has it.
        Probing = "PROBING",
        /// There is a lease.
        Bound = "BOUND",
        /// Past T1: asking the server of the lease.
        Renewing = "RENEWING",
        /// Past T2: asking any server.
        Rebinding = "REBINDING",
        /// A RELEASE is about to go out.
        Releasing = "RELEASING",
        /// A DECLINE is about to go out.
        Declining = "DECLINING",
        /// Asking for configuration only (INFORM).
        Informing = "INFORMING",
    }
}
