//! What the application hears.

use core::net::Ipv4Addr;

use bringup_core::client::Mac;

/// Something that the application should act upon. The details are in
/// [`DhcpClient::lease`](crate::client::DhcpClient::lease).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// There is a lease: put its address on the interface.
    Bound,
    /// The lease goes on, with new times.
    Renewed {
        /// Whether anything but its times and its server differs.
        changed: bool,
    },
    /// The address must not be used any more. Comes before any [`Bound`](Self::Bound) that follows.
    Lost {
        /// Why.
        why: LostReason,
    },
    /// A server refused the address that we asked for; the client tries again, with backoff.
    Nak {
        /// The server.
        server: Ipv4Addr,
    },
    /// Another station uses our address, or wants it. If that costs us the lease,
    /// [`Lost`](Self::Lost) follows; otherwise it was defended, once. RFC 5227 §2.4.
    Conflict {
        /// The address.
        address: Ipv4Addr,
        /// The other station.
        by: Mac,
    },
    /// The network can do without IPv4, and so can this host: no address is asked for until then, or
    /// until the link comes up again. Option 108, RFC 8925.
    Ipv6Only {
        /// For how long, seconds, at least 300.
        seconds: u32,
    },
    /// There is no address to be had here, and this is whether the administrator wants hosts to take
    /// a link-local one; why, is in
    /// [`DhcpClient::server_text`](crate::client::DhcpClient::server_text). Option 116, RFC 2563.
    LinkLocal {
        /// Whether one may be taken.
        allowed: bool,
    },
    /// Nobody gives us an address, and the link-local one of
    /// [`DhcpClient::link_local`](crate::client::DhcpClient::link_local) is ours, /16, for this link
    /// only. RFC 3927.
    LinkLocalBound,
    /// The link-local address must not be used any more. After [`Bound`](Self::Bound), connections
    /// that run over it may be let go on for a while.
    LinkLocalLost {
        /// The address.
        address: Ipv4Addr,
    },
    /// The answer to an INFORM is there:
    /// [`DhcpClient::informed`](crate::client::DhcpClient::informed).
    Informed,
    /// The router of the lease has told its link address, by which the network will be known again
    /// (RFC 4436): a snapshot that is taken now has it.
    RouterFound,
    /// Nobody answers, or nobody stands by his offer. The client goes on trying.
    NoServer,
}

/// Why a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LostReason {
    /// Nobody renewed it.
    Expired,
    /// The server took it back.
    Nak,
    /// The server gave another address in its place.
    AddressChanged,
    /// We gave it back.
    Released,
    /// Another station has the address.
    Conflict,
    /// The network wants hosts that can to do without IPv4.
    Ipv6Only,
    /// The interface has another link address, and so is another client.
    LinkAddress,
}

impl LostReason {
    /// The reason in a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Nak => "nak",
            Self::AddressChanged => "address-changed",
            Self::Released => "released",
            Self::Conflict => "conflict",
            Self::Ipv6Only => "ipv6-only",
            Self::LinkAddress => "link-address",
        }
    }
}

/// Events that wait to be heard: not a queue that can overflow, but the difference between what the
/// application knows and what is so.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outbox {
    nak: Option<Ipv4Addr>,
    conflict: Option<(Ipv4Addr, Mac)>,
    lost: Option<LostReason>,
    /// [`Event::Bound`] or [`Event::Renewed`].
    gained: Option<Event>,
    no_server: bool,
    informed: bool,
    router_found: bool,
    ipv6_only: Option<u32>,
    link_local: Option<bool>,
    link_local_lost: Option<Ipv4Addr>,
    link_local_bound: bool,
}

impl Outbox {
    pub(crate) const fn new() -> Self {
        Self {
            nak: None,
            conflict: None,
            lost: None,
            gained: None,
            no_server: false,
            informed: false,
            router_found: false,
            ipv6_only: None,
            link_local: None,
            link_local_lost: None,
            link_local_bound: false,
        }
    }

    pub(crate) fn nak(&mut self, server: Ipv4Addr) {
        self.nak = Some(server);
    }

    pub(crate) fn conflict(&mut self, address: Ipv4Addr, by: Mac) {
        self.conflict = Some((address, by));
    }

    pub(crate) fn ipv6_only(&mut self, seconds: u32) {
        self.ipv6_only = Some(seconds);
    }

    pub(crate) fn link_local(&mut self, allowed: bool) {
        self.link_local = Some(allowed);
    }

    pub(crate) fn link_local_bound(&mut self) {
        self.link_local_bound = true;
    }

    pub(crate) fn link_local_lost(&mut self, address: Ipv4Addr) {
        if !core::mem::take(&mut self.link_local_bound) {
            self.link_local_lost = Some(address);
        }
    }

    pub(crate) fn informed(&mut self) {
        self.informed = true;
    }

    pub(crate) fn router_found(&mut self) {
        self.router_found = true;
    }

    pub(crate) fn no_server(&mut self) {
        self.no_server = true;
    }

    pub(crate) fn bound(&mut self) {
        self.gained = Some(Event::Bound);
    }

    pub(crate) fn renewed(&mut self, changed: bool) {
        self.gained = Some(match self.gained {
            Some(Event::Bound) => Event::Bound,
            Some(Event::Renewed { changed: before }) => {
                Event::Renewed { changed: changed || before }
            }
            _ => Event::Renewed { changed },
        });
    }

    pub(crate) fn lost(&mut self, why: LostReason) {
        self.router_found = false;
        // A lease that the application never heard of needs no farewell.
        if self.gained.take() != Some(Event::Bound) {
            self.lost = Some(why);
        }
    }

    pub(crate) fn next(&mut self) -> Option<Event> {
        let nak = self.nak.take().map(|server| Event::Nak { server });
        let conflict = || self.conflict.take().map(|(address, by)| Event::Conflict { address, by });
        nak.or_else(conflict)
            .or_else(|| self.lost.take().map(|why| Event::Lost { why }))
            .or_else(|| self.gained.take())
            .or_else(|| self.ipv6_only.take().map(|seconds| Event::Ipv6Only { seconds }))
            .or_else(|| self.link_local.take().map(|allowed| Event::LinkLocal { allowed }))
            .or_else(|| self.link_local_lost.take().map(|address| Event::LinkLocalLost { address }))
            .or_else(|| {
                core::mem::take(&mut self.link_local_bound).then_some(Event::LinkLocalBound)
            })
            .or_else(|| core::mem::take(&mut self.informed).then_some(Event::Informed))
            .or_else(|| core::mem::take(&mut self.router_found).then_some(Event::RouterFound))
            .or_else(|| core::mem::take(&mut self.no_server).then_some(Event::NoServer))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn drain(outbox: &mut Outbox) -> Vec<Event> {
        core::iter::from_fn(|| outbox.next()).collect()
    }

    #[test]
    fn lost_comes_before_bound_and_is_never_swallowed() {
        let lost = Event::Lost { why: LostReason::Nak };
        let mut o = Outbox::new();
        o.lost(LostReason::Nak);
        o.bound();
        assert_eq!(drain(&mut o), [lost, Event::Bound]);
        o.lost(LostReason::Nak);
        o.bound();
        o.lost(LostReason::Expired);
        assert_eq!(drain(&mut o), [lost], "the second lease was never announced");
        o.bound();
        o.lost(LostReason::Expired);
        assert_eq!(drain(&mut o), []);
        o.renewed(true);
        o.renewed(false);
        assert_eq!(drain(&mut o), [Event::Renewed { changed: true }]);
        o.renewed(true);
        o.lost(LostReason::Nak);
        assert_eq!(drain(&mut o), [lost]);
    }
}
