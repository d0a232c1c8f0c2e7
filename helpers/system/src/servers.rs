//! The servers in use, and where each came from.

use core::net::SocketAddr;

use bringup_ntp::{Server, Source};

/// How many servers of a kind are used; later ones are ignored.
pub const MAX_SERVERS: usize = 8;

/// Who said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The operator.
    Configured,
    /// The lease of the interface with this place in the order of naming.
    Lease(u8),
    /// The configured name with this place resolves to it.
    Name(u8),
}

/// One server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerFact {
    /// Address and port.
    pub address: SocketAddr,
    /// Who said so.
    pub origin: Origin,
}

/// A list of servers without duplicates, in order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerList {
    servers: [Option<ServerFact>; MAX_SERVERS],
}

impl ServerList {
    pub(crate) const fn empty() -> Self {
        Self { servers: [None; MAX_SERVERS] }
    }

    /// Adds a server, unless it is there or the list is full.
    pub(crate) fn push(&mut self, address: SocketAddr, origin: Origin) {
        if self.iter().any(|fact| fact.address == address) {
            return;
        }
        if let Some(free) = self.servers.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(ServerFact { address, origin });
        }
    }

    /// The list without the servers of those who do not pass.
    pub(crate) fn only(&self, passes: impl Fn(Origin) -> bool) -> Self {
        let mut kept = Self::empty();
        for fact in self.iter().filter(|fact| passes(fact.origin)) {
            kept.push(fact.address, fact.origin);
        }
        kept
    }

    /// Forgets the servers that somebody named.
    pub(crate) fn withdraw(&mut self, origin: Origin) {
        *self = self.only(|other| other != origin);
    }

    /// A list of the operator's servers.
    pub(crate) fn configured(addresses: &[SocketAddr]) -> Self {
        let mut list = Self::empty();
        for address in addresses {
            list.push(*address, Origin::Configured);
        }
        list
    }

    /// The servers, first choice first.
    pub fn iter(&self) -> impl Iterator<Item = &ServerFact> {
        self.servers.iter().flatten()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

/// The list as the NTP client wants it: what the network offers first, then what the operator named
/// by address, then what names resolved to (RFC 4330 §10: local servers first).
pub(crate) fn ntp_servers(list: &ServerList) -> ([Server; MAX_SERVERS], usize) {
    let nobody = Server { address: SocketAddr::from(([0, 0, 0, 0], 0)), source: Source::Name };
    let mut servers = [nobody; MAX_SERVERS];
    let mut count = 0;
    // How many of the same origin stand before it.
    let rank = |at: usize, fact: &ServerFact| {
        list.iter().take(at).filter(|earlier| earlier.origin == fact.origin).count()
    };
    for turn in 0..2 + MAX_SERVERS {
        for (at, fact) in list.iter().enumerate() {
            let (source, its_turn) = match fact.origin {
                Origin::Lease(_) => (Source::Dhcp, 0),
                Origin::Configured => (Source::Configured, 1),
                Origin::Name(_) => (Source::Name, 2 + rank(at, fact)),
            };
            if let Some(slot) = servers.get_mut(count).filter(|_| turn == its_turn) {
                *slot = Server { address: fact.address, source };
                count += 1;
            }
        }
    }
    (servers, count)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn losing_a_lease_withdraws_only_its_own_servers() {
        let at = |n: u8| SocketAddr::from(([10, 0, 0, n], 53));
        let mut list = ServerList::empty();
        list.push(at(1), Origin::Lease(0));
        list.push(at(2), Origin::Lease(1));
        list.push(at(1), Origin::Lease(1));
        list.push(at(3), Origin::Configured);
        list.withdraw(Origin::Lease(0));
        let left: Vec<_> = list.iter().map(|fact| fact.address).collect();
        assert_eq!(left, [at(2), at(3)]);
        for n in 10..40 {
            list.push(at(n), Origin::Name(0));
        }
        assert_eq!(list.iter().count(), MAX_SERVERS);
    }

    #[test]
    fn ntp_asks_local_servers_first() {
        let at = |n: u8| SocketAddr::from(([10, 0, 0, n], 123));
        let mut list = ServerList::empty();
        list.push(at(1), Origin::Name(0));
        list.push(at(2), Origin::Configured);
        list.push(at(3), Origin::Lease(0));
        let (servers, count) = ntp_servers(&list);
        let order: Vec<_> = servers[..count].iter().map(|server| server.address).collect();
        assert_eq!(order, [at(3), at(2), at(1)]);
    }

    #[test]
    fn several_names_are_several_operators() {
        let at = |n: u8| SocketAddr::from(([10, 0, 0, n], 123));
        let mut list = ServerList::empty();
        for (n, name) in [(1, 0), (2, 0), (3, 0), (4, 1), (5, 1), (6, 2)] {
            list.push(at(n), Origin::Name(name));
        }
        let (servers, count) = ntp_servers(&list);
        let order: Vec<_> = servers[..count].iter().map(|server| server.address).collect();
        assert_eq!(order, [at(1), at(4), at(6), at(2), at(5), at(3)]);
    }
}
