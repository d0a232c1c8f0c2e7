//! Names with a fixed meaning, which no server is asked for (RFC 6761 §6, RFC 6762 §22.1), and
//! addresses that are written where a name is expected.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::name::{Name, NameView};
use crate::record::{RData, RecordType};

/// What is known of a name without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fixed {
    /// This record.
    Record(RData<'static>),
    /// The name exists, but has nothing of that type.
    NoData,
    /// There is no such name.
    NxDomain,
}

/// `localhost.` in wire form.
const LOCALHOST: NameView<'static> = NameView::of_checked(b"\x09localhost\0");

/// The last labels that names with a fixed meaning have.
const TOP: [&[u8]; 6] = [b"localhost", b"invalid", b"onion", b"alt", b"local", b"arpa"];

/// What is known of `name` in any case. `local_to_servers` lets `.local` be asked of servers.
pub(crate) fn fixed(name: &Name, rtype: RecordType, local_to_servers: bool) -> Option<Fixed> {
    // Nearly no name is one of these, and the last label tells; mostly its last letter does.
    let [.., end, _] = name.as_wire() else { return None };
    if !matches!(end.to_ascii_lowercase(), b't' | b'd' | b'n' | b'l' | b'a') {
        return None;
    }
    let name = name.view();
    let last = name.labels().last()?;
    if !TOP.iter().any(|top| last.eq_ignore_ascii_case(top)) {
        return None;
    }
    let below = |tree: &str| ends_in(name, tree);
    if below("localhost") {
        return Some(match rtype {
            RecordType::A => Fixed::Record(RData::A(Ipv4Addr::LOCALHOST)),
            RecordType::AAAA => Fixed::Record(RData::Aaaa(Ipv6Addr::LOCALHOST)),
            _ => Fixed::NoData,
        });
    }
    // RFC 6761 §6.4, RFC 7686 §2, RFC 9476 §2.
    if below("invalid") || below("onion") || below("alt") {
        return Some(Fixed::NxDomain);
    }
    // RFC 6762 §22.1: these belong to multicast DNS.
    let link_local = || {
        let v6 = ["8.e.f.ip6.arpa", "9.e.f.ip6.arpa", "a.e.f.ip6.arpa", "b.e.f.ip6.arpa"];
        below("local") || below("254.169.in-addr.arpa") || v6.into_iter().any(below)
    };
    if !local_to_servers && link_local() {
        return Some(Fixed::NxDomain);
    }
    if is_loopback_reverse(name) {
        return Some(match rtype {
            RecordType::PTR => Fixed::Record(RData::Ptr(LOCALHOST)),
            _ => Fixed::NoData,
        });
    }
    None
}

/// Whether `name` is `tree` or below it, case ignored.
fn ends_in(name: NameView<'_>, tree: &str) -> bool {
    let labels = tree.as_bytes().split(|&octet| octet == b'.');
    let Some(extra) = name.label_count().checked_sub(labels.clone().count()) else { return false };
    name.labels().skip(extra).zip(labels).all(|(a, b)| a.eq_ignore_ascii_case(b))
}

/// Whether this is the reverse name of 127/8 or of ::1.
fn is_loopback_reverse(name: NameView<'_>) -> bool {
    let v4 = name.label_count() == 6 && ends_in(name, "127.in-addr.arpa");
    let v6 = name.label_count() == 34 && ends_in(name, "ip6.arpa") && {
        let mut nibbles = name.labels().take(32);
        nibbles.next() == Some(b"1".as_slice()) && nibbles.all(|nibble| nibble == b"0")
    };
    v4 || v6
}

/// An address where a name is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Literal {
    pub(crate) address: IpAddr,
    /// The interface of a link-local address, 0 if none is given.
    pub(crate) scope_id: u32,
}

/// What a text with an address in it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// An address.
    Literal(Literal),
    /// An address with the name of an interface, which this library cannot look up.
    ScopeName,
    /// Not an address.
    Name,
}

/// Reads `192.0.2.1`, `2001:db8::1`, `fe80::1%2`. Nothing shorter, nothing octal or hexadecimal:
/// `1.2.3` and `0x7f.1` are names.
pub(crate) fn literal(text: &str) -> Text {
    // Nearly no name begins as an address does.
    if !text.bytes().next().is_some_and(|first| first.is_ascii_hexdigit() || first == b':') {
        return Text::Name;
    }
    if let Ok(v4) = text.parse::<Ipv4Addr>() {
        return Text::Literal(Literal { address: v4.into(), scope_id: 0 });
    }
    // What has no colon is no address of IPv6, whatever follows it.
    if !text.bytes().any(|octet| octet == b':') {
        return Text::Name;
    }
    let (address, scope) = match text.split_once('%') {
        Some((address, scope)) => (address, Some(scope)),
        None => (text, None),
    };
    let Ok(v6) = address.parse::<Ipv6Addr>() else { return Text::Name };
    let is_number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    match scope {
        None => Text::Literal(Literal { address: v6.into(), scope_id: 0 }),
        Some(scope) => match scope.parse() {
            Ok(scope_id) if is_number(scope) => {
                Text::Literal(Literal { address: v6.into(), scope_id })
            }
            _ => Text::ScopeName,
        },
    }
}

/// The address that the labels of a name spell: an address is never sent as a question.
pub(crate) fn literal_name(name: &Name) -> Option<Literal> {
    if !name.as_wire().get(1).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let mut labels = name.view().labels();
    let mut octets = [0; 4];
    for octet in &mut octets {
        *octet = decimal(labels.next()?)?;
    }
    let address = Ipv4Addr::from(octets).into();
    labels.next().is_none().then_some(Literal { address, scope_id: 0 })
}

/// An octet as it is written in addresses: decimal, without a zero in front (RFC 6943 §3.1.1).
fn decimal(label: &[u8]) -> Option<u8> {
    if matches!(label, [b'0', _, ..]) {
        return None;
    }
    label.iter().try_fold(0_u8, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_38_and_56_special_names() {
        use Fixed::{NoData, NxDomain, Record};
        let (a, aaaa, ptr, txt) =
            (RecordType::A, RecordType::AAAA, RecordType::PTR, RecordType::TXT);
        let one = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa";
        let two = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa";
        let other_tree =
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.example";
        let v4 = Record(RData::A(Ipv4Addr::LOCALHOST));
        let v6 = Record(RData::Aaaa(Ipv6Addr::LOCALHOST));
        let localhost = Record(RData::Ptr(LOCALHOST));
        for (name, rtype, expected) in [
            ("localhost", a, Some(v4)),
            ("LocalHost", aaaa, Some(v6)),
            ("a.b.localhost", a, Some(v4)),
            ("localhost", txt, Some(NoData)),
            ("notlocalhost", a, None),
            ("localhost.example", a, None),
            ("x.invalid", a, Some(NxDomain)),
            ("x.onion", a, Some(NxDomain)),
            ("x.alt", a, Some(NxDomain)),
            ("printer.local", a, Some(NxDomain)),
            ("4.3.254.169.in-addr.arpa", ptr, Some(NxDomain)),
            ("1.b.e.f.ip6.arpa", ptr, Some(NxDomain)),
            ("1.c.e.f.ip6.arpa", ptr, None),
            ("1.0.168.192.in-addr.arpa", ptr, None),
            ("1.0.0.127.in-addr.arpa", ptr, Some(localhost)),
            ("1.0.0.127.in-addr.arpa", a, Some(NoData)),
            (one, ptr, Some(localhost)),
            (two, ptr, None),
            ("1.127.in-addr.arpa", ptr, None),
            ("1.0.0.128.in-addr.arpa", ptr, None),
            (other_tree, ptr, None),
            ("1.0.0", ptr, None),
            ("home.arpa", a, None),
            ("x.test", a, None),
            ("x.example", a, None),
        ] {
            let parsed = Name::from_text(name).unwrap();
            assert_eq!(fixed(&parsed, rtype, false), expected, "{name} {rtype}");
        }
        let local = Name::from_text("printer.local").unwrap();
        assert_eq!(fixed(&local, a, true), None);
    }

    #[test]
    fn rule_41_addresses_are_strict() {
        let fe80 = Ipv6Addr::new(0xFE80, 0, 0, 0, 0, 0, 0, 1);
        let v6 = |scope_id| Text::Literal(Literal { address: fe80.into(), scope_id });
        let v4 = |address: [u8; 4]| {
            Text::Literal(Literal { address: Ipv4Addr::from(address).into(), scope_id: 0 })
        };
        for (text, expected) in [
            ("192.0.2.1", v4([192, 0, 2, 1])),
            ("1.2.3", Text::Name),
            ("0x7f.1", Text::Name),
            ("0177.0.0.1", Text::Name),
            ("256.0.0.1", Text::Name),
            ("fe80::1", v6(0)),
            ("fe80::1%2", v6(2)),
            ("fe80::1%eth0", Text::ScopeName),
            ("fe80::1%", Text::ScopeName),
            ("fe80::1%+2", Text::ScopeName),
            ("fe80::1%99999999999999999999", Text::ScopeName),
            ("[::1]", Text::Name),
            ("::", Text::Literal(Literal { address: Ipv6Addr::UNSPECIFIED.into(), scope_id: 0 })),
            ("example.org", Text::Name),
        ] {
            assert_eq!(literal(text), expected, "{text}");
        }
        for (name, expected) in [
            ("192.0.2.1", Some([192, 0, 2, 1])),
            ("192.0.2.255.", Some([192, 0, 2, 255])),
            ("0.0.0.0", Some([0; 4])),
            ("1.2.3", None),
            ("1.2.3.4.5", None),
            (r"1\.2.3.4.5", None),
            ("0x7f.1", None),
            ("0177.0.0.1", None),
            ("1.2.3.00", None),
            ("256.0.0.1", None),
            ("1.2.3.4/", None),
            ("1.2.3.:", None),
            ("1.2.3.1111", None),
        ] {
            let literal = literal_name(&Name::from_text(name).unwrap());
            assert_eq!(literal.map(|it| it.address), expected.map(IpAddr::from), "{name}");
        }
    }
}
