//! The order in which addresses are tried: [`sort`] by RFC 6724 §6, then [`interleave`] the families
//! by RFC 8305 §4.
//!
//! Which address of this host a destination would be reached from, only the platform can tell: it is
//! asked through [`SourceOracle`]. The order depends on it and is made anew for each delivery, never
//! cached (RFC 6724 §8).

use core::cmp::{Ordering, Reverse};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many addresses are put in order; what comes after them stays where it is.
pub const MAX_SORTED: usize = 64;

/// The address that packets to a destination would come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceAddress {
    /// The address.
    pub address: IpAddr,
    /// The length of its prefix, bits; what matches beyond that says nothing (RFC 6724 §2.2).
    pub prefix_len: u8,
    /// Its preferred lifetime is over (RFC 4862 §5.5.4).
    pub deprecated: bool,
    /// It is a home address of Mobile IPv6.
    pub home: bool,
    /// It is a care-of address of Mobile IPv6.
    pub care_of: bool,
    /// The destination is reached through a tunnel.
    pub encapsulated: bool,
}

impl SourceAddress {
    /// An ordinary address.
    pub const fn new(address: IpAddr, prefix_len: u8) -> Self {
        Self {
            address,
            prefix_len,
            deprecated: false,
            home: false,
            care_of: false,
            encapsulated: false,
        }
    }
}

/// Says which source address the system would choose (RFC 6724 §5).
pub trait SourceOracle {
    /// The source for `destination`; `None` if there is no route to it.
    fn source(&mut self, destination: IpAddr) -> Option<SourceAddress>;
}

impl<F: FnMut(IpAddr) -> Option<SourceAddress>> SourceOracle for F {
    fn source(&mut self, destination: IpAddr) -> Option<SourceAddress> {
        self(destination)
    }
}

/// IPv4 addresses are looked up as v4-mapped ones (RFC 6724 §3.2).
const fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// Precedence and label by the default policy table (RFC 6724 §2.1).
fn policy(address: IpAddr) -> (u8, u8) {
    const TABLE: [(Ipv6Addr, u32, u8, u8); 9] = [
        (Ipv6Addr::LOCALHOST, 128, 50, 0),
        (Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), 96, 35, 4),
        (Ipv6Addr::UNSPECIFIED, 96, 1, 3),
        (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, 5, 5),
        (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 30, 2),
        (Ipv6Addr::new(0x3FFE, 0, 0, 0, 0, 0, 0, 0), 16, 1, 12),
        (Ipv6Addr::new(0xFEC0, 0, 0, 0, 0, 0, 0, 0), 10, 1, 11),
        (Ipv6Addr::new(0xFC00, 0, 0, 0, 0, 0, 0, 0), 7, 3, 13),
        (Ipv6Addr::UNSPECIFIED, 0, 40, 1),
    ];
    let address = mapped(address);
    // Longest prefix first; the last one matches everything.
    let row = TABLE.iter().find(|(prefix, len, ..)| common_prefix(address, *prefix) >= *len);
    row.map_or((40, 1), |&(_, _, precedence, label)| (precedence, label))
}

/// How many leading bits two addresses share.
fn common_prefix(a: Ipv6Addr, b: Ipv6Addr) -> u32 {
    (u128::from(a) ^ u128::from(b)).leading_zeros()
}

/// The scope, in the numbers of multicast addresses: 2 link-local, 5 site-local, 14 global (§3.1).
fn scope(address: IpAddr) -> u8 {
    const LINK: u8 = 2;
    const GLOBAL: u8 = 14;
    match address {
        IpAddr::V4(v4) if v4.is_link_local() || v4.is_loopback() => LINK,
        IpAddr::V4(_) => GLOBAL,
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.octets();
            match (first, second & 0xC0) {
                (0xFF, _) => second & 0x0F,
                (0xFE, 0x80) => LINK,
                (0xFE, 0xC0) => 5,
                _ if v6.is_loopback() => LINK,
                _ => GLOBAL,
            }
        }
    }
}

/// What a destination is compared by.
#[derive(Clone, Copy)]
struct Candidate {
    destination: IpAddr,
    source: Option<SourceAddress>,
}

impl Candidate {
    /// Rules 1 to 8, each a part of the key; the lesser key is tried first.
    fn key(&self) -> (bool, bool, bool, u8, bool, Reverse<u8>, bool, u8) {
        let (precedence, label) = policy(self.destination);
        let scope_of = scope(self.destination);
        let source = self.source.as_ref();
        let is = |test: &dyn Fn(&SourceAddress) -> bool| source.is_some_and(test);
        let mobility = match source.map(|s| (s.home, s.care_of)) {
            Some((true, true)) => 0,
            Some((false, true)) => 2,
            _ => 1,
        };
        (
            source.is_none(),
            !is(&|s| scope(s.address) == scope_of),
            is(&|s| s.deprecated),
            mobility,
            !is(&|s| policy(s.address).1 == label),
            Reverse(precedence),
            is(&|s| s.encapsulated),
            scope_of,
        )
    }

    /// Rule 9: how much of the source's prefix the destination shares.
    fn matching(&self) -> u32 {
        let Some(source) = self.source else { return 0 };
        let (shift, prefix) = match self.destination {
            IpAddr::V4(_) => (96, source.prefix_len.min(32)),
            IpAddr::V6(_) => (0, source.prefix_len.min(128)),
        };
        let common = common_prefix(mapped(self.destination), mapped(source.address));
        common.saturating_sub(shift).min(u32::from(prefix))
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key()).then_with(|| {
            // Rule 9 is not for pairs of different families.
            let same = self.destination.is_ipv4() == other.destination.is_ipv4();
            let longest = || other.matching().cmp(&self.matching());
            if same { longest() } else { Ordering::Equal }
        })
    }
}

/// Puts destinations into the order of RFC 6724 §6. Equals keep their order (rule 10).
pub fn sort(addresses: &mut [IpAddr], oracle: &mut dyn SourceOracle) {
    let nobody = Candidate { destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED), source: None };
    let mut candidates = [nobody; MAX_SORTED];
    let mut count = 0;
    for (slot, &destination) in candidates.iter_mut().zip(addresses.iter()) {
        *slot = Candidate { destination, source: oracle.source(destination) };
        count += 1;
    }
    let candidates = candidates.get_mut(..count).unwrap_or_default();
    // By insertion: stable without a heap, and there are 64 at most.
    for end in 1..count {
        let mut at = end;
        while at > 0 {
            let pair = candidates.get(at - 1).zip(candidates.get(at));
            if pair.is_none_or(|(a, b)| a.compare(b) != Ordering::Greater) {
                break;
            }
            candidates.swap(at - 1, at);
            at -= 1;
        }
    }
    for (address, candidate) in addresses.iter_mut().zip(candidates.iter()) {
        *address = candidate.destination;
    }
}

/// Lets the families take turns, beginning with that of the first address (RFC 8305 §4, with a "First
/// Address Family Count" of 1). Within a family the order stays.
pub fn interleave(addresses: &mut [IpAddr]) {
    let Some(first) = addresses.first().map(IpAddr::is_ipv4) else { return };
    for place in 1..addresses.len() {
        let wants_first = place % 2 == 0;
        let rest = addresses.get_mut(place..).unwrap_or_default();
        match rest.iter().position(|a| (a.is_ipv4() == first) == wants_first) {
            Some(at) => rest.get_mut(..=at).unwrap_or_default().rotate_right(1),
            // One family is used up.
            None => break,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    /// Sorts `given`, with sources as `(destination, source)`; what has no source has no route.
    fn sorted(given: &[&str], sources: &[(&str, SourceAddress)]) -> Vec<IpAddr> {
        let mut addresses: Vec<_> = given.iter().map(|a| ip(a)).collect();
        let mut oracle = |to: IpAddr| sources.iter().find(|(d, _)| ip(d) == to).map(|(_, s)| *s);
        sort(&mut addresses, &mut oracle);
        addresses
    }

    fn from(source: &str) -> SourceAddress {
        let prefix_len = if source.contains(':') { 64 } else { 24 };
        SourceAddress::new(ip(source), prefix_len)
    }

    #[test]
    fn rule_44_each_rule_of_rfc_6724_decides() {
        let v6 = "2001:db8:1::1";
        let deprecated = SourceAddress { deprecated: true, ..from(v6) };
        let care_of = SourceAddress { care_of: true, ..from(v6) };
        let both = SourceAddress { home: true, care_of: true, ..from(v6) };
        let tunnel = SourceAddress { encapsulated: true, ..from(v6) };
        type Case<'a> = (u8, &'a [&'a str], &'a [(&'a str, SourceAddress)]);
        // The first address has to move behind the second one.
        let cases: [Case<'_>; 14] = [
            (1, &["2001:db8::1", "192.0.2.1"], &[("192.0.2.1", from("192.0.2.9"))]),
            (
                2,
                &["2001:db8::1", "198.51.100.1"],
                &[("2001:db8::1", from("fe80::1")), ("198.51.100.1", from("198.51.100.2"))],
            ),
            (2, &["fe80::9", "2001:db8::1"], &[("fe80::9", from(v6)), ("2001:db8::1", from(v6))]),
            (
                2,
                &["169.254.1.1", "198.51.100.1"],
                &[("169.254.1.1", from("198.51.100.2")), ("198.51.100.1", from("198.51.100.2"))],
            ),
            (
                3,
                &["2001:db8::1", "2001:db8::2"],
                &[("2001:db8::1", deprecated), ("2001:db8::2", from(v6))],
            ),
            (
                4,
                &["2001:db8::1", "2001:db8::2"],
                &[("2001:db8::1", care_of), ("2001:db8::2", from(v6))],
            ),
            (
                4,
                &["2001:db8::1", "2001:db8::2"],
                &[("2001:db8::1", from(v6)), ("2001:db8::2", both)],
            ),
            (
                5,
                &["2002:c633:6401::1", "2001:db8::1"],
                &[("2002:c633:6401::1", from(v6)), ("2001:db8::1", from(v6))],
            ),
            (5, &["fd00::1", "2001:db8::1"], &[("fd00::1", from(v6)), ("2001:db8::1", from(v6))]),
            (
                6,
                &["192.0.2.1", "2001:db8::1"],
                &[("192.0.2.1", from("192.0.2.9")), ("2001:db8::1", from(v6))],
            ),
            (
                6,
                &["fd00::1", "192.0.2.1"],
                &[("fd00::1", from("fd00::2")), ("192.0.2.1", from("192.0.2.9"))],
            ),
            (
                7,
                &["2001:db8::1", "2001:db8::2"],
                &[("2001:db8::1", tunnel), ("2001:db8::2", from(v6))],
            ),
            (
                8,
                &["2001:db8::1", "fe80::9"],
                &[("2001:db8::1", from(v6)), ("fe80::9", from("fe80::1"))],
            ),
            (
                9,
                &["2001:db8:3::1", "2001:db8:1::9"],
                &[("2001:db8:3::1", from(v6)), ("2001:db8:1::9", from(v6))],
            ),
        ];
        for (rule, given, sources) in cases {
            let expected: Vec<_> = given.iter().rev().map(|a| ip(a)).collect();
            assert_eq!(sorted(given, sources), expected, "rule {rule}: {given:?}");
            let turned: Vec<_> = given.iter().rev().copied().collect();
            assert_eq!(sorted(&turned, sources), expected, "rule {rule}: {turned:?}");
        }
    }

    #[test]
    fn rule_44_rule_9_ends_with_the_prefix_and_equals_keep_their_order() {
        // Beyond the /64 of the source nothing counts: rule 10.
        let sources =
            [("2001:db8:1::8", from("2001:db8:1::1")), ("2001:db8:1::2", from("2001:db8:1::1"))];
        for given in [["2001:db8:1::8", "2001:db8:1::2"], ["2001:db8:1::2", "2001:db8:1::8"]] {
            assert_eq!(sorted(&given, &sources), given.map(ip));
        }
        let sources = [("192.0.2.1", from("192.0.2.9")), ("192.0.2.200", from("192.0.2.9"))];
        let given = ["192.0.2.200", "192.0.2.1"];
        assert_eq!(sorted(&given, &sources), given.map(ip));
        // Without any route the table alone decides.
        assert_eq!(
            sorted(&["192.0.2.1", "2001:db8::1"], &[]),
            ["2001:db8::1", "192.0.2.1"].map(ip)
        );
        assert!(sorted(&[], &[]).is_empty());
    }

    #[test]
    fn rule_44_the_last_of_many_may_be_the_first() {
        let given = ["::192.0.2.1", "fd00::1", "2001::1", "2002::1", "192.0.2.1", "2001:db8::1"];
        let expected: Vec<_> = given.iter().rev().map(|a| ip(a)).collect();
        assert_eq!(sorted(&given, &[]), expected, "by precedence, since none has a route");
    }

    #[test]
    fn what_is_too_many_stays_where_it_is() {
        let mut addresses: Vec<IpAddr> = (0..100u8).map(|n| [192, 0, 2, n].into()).collect();
        addresses.push(ip("2001:db8::1"));
        let given = addresses.clone();
        sort(&mut addresses, &mut |_: IpAddr| None);
        assert_eq!(addresses, given);
    }

    #[test]
    fn rule_44_the_policy_table() {
        for (address, precedence, label, scope_of) in [
            ("::1", 50, 0, 2),
            ("2001:db8::1", 40, 1, 14),
            ("192.0.2.1", 35, 4, 14),
            ("10.0.0.1", 35, 4, 14),
            ("127.0.0.1", 35, 4, 2),
            ("169.254.0.1", 35, 4, 2),
            ("2002::1", 30, 2, 14),
            ("2001::1", 5, 5, 14),
            ("fd00::1", 3, 13, 14),
            ("::192.0.2.1", 1, 3, 14),
            ("fec0::1", 1, 11, 5),
            ("3ffe::1", 1, 12, 14),
            ("fe80::1", 40, 1, 2),
            ("ff05::1", 40, 1, 5),
        ] {
            let address = ip(address);
            assert_eq!(
                (policy(address), scope(address)),
                ((precedence, label), scope_of),
                "{address}"
            );
        }
    }

    #[test]
    fn rule_44_families_take_turns() {
        for (given, expected) in [
            ("6a 6b 6c 4a 4b", "6a 4a 6b 4b 6c"),
            ("4a 4b 6a", "4a 6a 4b"),
            ("6a 4a 4b 4c", "6a 4a 4b 4c"),
            ("6a 6b", "6a 6b"),
            ("4a", "4a"),
            ("", ""),
        ] {
            let address = |word: &str| match word.split_at(1) {
                ("6", rest) => ip(&std::format!("2001:db8::{rest}")),
                (_, rest) => ip(&std::format!("192.0.2.{}", rest.as_bytes()[0])),
            };
            let read = |text: &str| text.split_whitespace().map(address).collect::<Vec<_>>();
            let mut addresses = read(given);
            interleave(&mut addresses);
            assert_eq!(addresses, read(expected), "{given}");
        }
    }
}
