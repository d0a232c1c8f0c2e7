//! [`Svcb`], the data of SVCB and HTTPS records (RFC 9460).

use core::net::IpAddr;

use bringup_core::client::Rng;
use bringup_core::wire::{Full, Reader, Writer};

use super::RdataView;
use crate::name::{Name, NameView, Pointers, join, read_name};

/// A service binding: a priority, a target and parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Svcb<'a> {
    /// 0 is AliasMode, in which the parameters mean nothing; otherwise lower is preferred.
    pub priority: u16,
    /// The host; the root stands for the owner, or in AliasMode for "no such service".
    pub target: NameView<'a>,
    /// The parameters as they are on the wire; [`params`](Self::params) reads them.
    pub(super) params: &'a [u8],
}

impl<'a> Svcb<'a> {
    /// A binding with parameters in wire form; `None` unless these are well formed.
    pub fn new(priority: u16, target: NameView<'a>, params: &'a [u8]) -> Option<Self> {
        let svcb = Self { priority, target, params };
        svcb.is_well_formed().then_some(svcb)
    }

    /// The view of checked data.
    pub(super) fn parse(rdata: RdataView<'a>) -> Option<Self> {
        let mut r = rdata.reader();
        let priority = r.u16().ok()?;
        let target = read_name(rdata.message, &mut r, Pointers::Refused).ok()?;
        Some(Self { priority, target, params: r.rest() })
    }

    /// Whether the parameters are whole, their keys strictly increase, and the values of the keys that
    /// RFC 9460 §7 knows have their form.
    ///
    /// A record for which this is false makes its whole RRset unusable (§2.2).
    pub fn is_well_formed(&self) -> bool {
        let mut reader = Reader::new(self.params);
        let mut last = None;
        while !reader.is_empty() {
            let Some((key, value)) = param(&mut reader) else { return false };
            // In AliasMode the values mean nothing (§2.4.2).
            let fits = self.is_alias() || is_value(key, value);
            if last.is_some_and(|last| key <= last) || !fits {
                return false;
            }
            last = Some(key);
        }
        true
    }

    /// Whether this is AliasMode: only the target means something (§2.4.2).
    pub const fn is_alias(&self) -> bool {
        self.priority == 0
    }

    /// Whether a client that knows the keys of RFC 9460 may use it: what it calls mandatory is there
    /// and known, and `no-default-alpn` does not leave it without any protocol (§2.4.3, §7.1.1, §8).
    pub fn is_usable(&self) -> bool {
        let mandatory = self.param(MANDATORY).unwrap_or(&[]);
        let mut keys = u16s(mandatory);
        let complete = keys.all(|key| key <= IPV6HINT && self.param(key).is_some());
        complete && (self.param(NO_DEFAULT_ALPN).is_none() || self.param(ALPN).is_some())
    }

    /// The host to connect to: the root stands for the owner (§2.5.2). Not for AliasMode.
    pub fn host(&self, owner: NameView<'a>) -> NameView<'a> {
        if self.target.is_root() { owner } else { self.target }
    }

    /// The protocols, without the default one (§7.1).
    pub fn alpn(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        let mut reader = Reader::new(self.param(ALPN).unwrap_or(&[]));
        core::iter::from_fn(move || {
            let length = reader.u8().ok()?;
            reader.bytes(usize::from(length)).ok()
        })
    }

    /// Whether the default protocol is not offered (§7.1).
    pub fn no_default_alpn(&self) -> bool {
        self.param(NO_DEFAULT_ALPN).is_some()
    }

    /// The port, if it is not the one of the scheme (§7.2).
    pub fn port(&self) -> Option<u16> {
        Reader::new(self.param(PORT)?).u16().ok()
    }

    /// Addresses to begin with until A and AAAA have arrived (§7.3).
    pub fn hints(self) -> impl Iterator<Item = IpAddr> + Clone {
        let mut v4 = Reader::new(self.param(IPV4HINT).unwrap_or(&[]));
        let mut v6 = Reader::new(self.param(IPV6HINT).unwrap_or(&[]));
        let v6 = core::iter::from_fn(move || v6.array::<16>().ok().map(IpAddr::from));
        v6.chain(core::iter::from_fn(move || v4.array::<4>().ok().map(IpAddr::from)))
    }

    /// The value of a parameter.
    pub fn param(&self, key: u16) -> Option<&'a [u8]> {
        self.params().find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    /// Each parameter's key and value (RFC 9460 §14.3.2); ends at the first that is not whole.
    pub fn params(self) -> impl Iterator<Item = (u16, &'a [u8])> + Clone {
        let mut reader = Reader::new(self.params);
        core::iter::from_fn(move || param(&mut reader))
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.u16(self.priority)?;
        self.target.write(w)?;
        w.bytes(self.params)
    }
}

/// The keys of RFC 9460 §14.3.2.
const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4HINT: u16 = 4;
const IPV6HINT: u16 = 6;

/// Whether a value has the form that its key asks for.
fn is_value(key: u16, value: &[u8]) -> bool {
    match key {
        // In order, none twice, and not itself (§8).
        MANDATORY => {
            let mut last = MANDATORY;
            let increase = u16s(value).all(|key| core::mem::replace(&mut last, key) < key);
            !value.is_empty() && value.len() % 2 == 0 && increase
        }
        // At least one, none of them empty (§7.1.1).
        ALPN => {
            let mut reader = Reader::new(value);
            while let Ok(length @ 1..) = reader.u8() {
                if reader.skip(usize::from(length)).is_err() {
                    return false;
                }
                if reader.is_empty() {
                    return true;
                }
            }
            false
        }
        NO_DEFAULT_ALPN => value.is_empty(),
        PORT => value.len() == 2,
        IPV4HINT => !value.is_empty() && value.len() % 4 == 0,
        IPV6HINT => !value.is_empty() && value.len() % 16 == 0,
        _ => true,
    }
}

fn u16s(octets: &[u8]) -> impl Iterator<Item = u16> + '_ {
    octets.chunks_exact(2).filter_map(|pair| Some(u16::from_be_bytes(*pair.first_chunk()?)))
}

/// What an RRset of SVCB or HTTPS records says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Services<'s, 'r> {
    /// Nothing that this client can use: it connects as if there were no such record.
    None,
    /// There is no such service (§2.5.1).
    Unavailable,
    /// Ask for the same type there, and for addresses, at most [`MAX_ALIASES`] times; then it is as if
    /// there were no record (§2.4.2, §3.1).
    Alias(NameView<'r>),
    /// The services in the order in which they are to be tried.
    Bindings(&'s [Svcb<'r>]),
}

/// How many AliasMode records a client follows; RFC 9460 §2.4.2 asks for a limit.
pub const MAX_ALIASES: usize = 8;

/// Reads the RRset in `bindings`, which it sorts: by priority, equals shuffled (§2.4.1).
///
/// One AliasMode record is enough for the others to be ignored.
pub fn select<'s, 'r>(bindings: &'s mut [Svcb<'r>], rng: &mut dyn Rng) -> Services<'s, 'r> {
    if let Some(alias) = bindings.iter().find(|binding| binding.is_alias()) {
        return match alias.target.is_root() {
            true => Services::Unavailable,
            false => Services::Alias(alias.target),
        };
    }
    // Those that can be used come first.
    let mut count = 0;
    for at in 0..bindings.len() {
        if bindings.get(at).is_some_and(Svcb::is_usable) {
            bindings.swap(at, count);
            count += 1;
        }
    }
    let usable = bindings.get_mut(..count).unwrap_or_default();
    for end in (1..count).rev() {
        let bound = u64::try_from(end + 1).unwrap_or(1);
        usable.swap(end, usize::try_from(rng.below(bound)).unwrap_or(0));
    }
    // By insertion: stable without a heap, so that the shuffling stays.
    for end in 1..count {
        let mut at = end;
        while at > 0 {
            let pair = usable.get(at - 1).zip(usable.get(at));
            if pair.is_none_or(|(a, b)| a.priority <= b.priority) {
                break;
            }
            usable.swap(at - 1, at);
            at -= 1;
        }
    }
    if count == 0 { Services::None } else { Services::Bindings(usable) }
}

/// The name to ask for HTTPS records: the host itself on port 443, else `_PORT._https.HOST` (§9.1).
/// `None` if that is too long.
pub fn https_name(host: NameView<'_>, port: u16) -> Option<Name> {
    if port == 443 {
        return Some(host.to_name());
    }
    let mut label = [0; 6];
    let mut w = Writer::new(&mut label);
    w.u8(b'_').ok()?;
    let digits = [10_000, 1_000, 100, 10, 1].map(|unit| port / unit % 10);
    let zeros = digits.iter().take(4).take_while(|d| **d == 0).count();
    for &digit in digits.iter().skip(zeros) {
        w.u8(b'0' + u8::try_from(digit).ok()?).ok()?;
    }
    join([w.written(), b"_https"].into_iter(), host)
}

fn param<'a>(reader: &mut Reader<'a>) -> Option<(u16, &'a [u8])> {
    let key = reader.u16().ok()?;
    let length = reader.u16().ok()?;
    Some((key, reader.bytes(usize::from(length)).ok()?))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::testing::{Seeded, name};
    use std::string::ToString;
    use std::vec::Vec;

    fn service<'a>(priority: u16, target: NameView<'a>, params: &'a [u8]) -> Svcb<'a> {
        Svcb::new(priority, target, params).unwrap_or_else(|| panic!("{params:?}"))
    }

    #[test]
    fn rule_45_values_have_the_form_of_their_key() {
        for (params, ok) in [
            (&b"\0\0\0\x02\0\x01"[..], true),
            (b"\0\0\0\0", false),
            (b"\0\0\0\x03\0\x01\0", false),
            (b"\0\0\0\x02\0\0", false),
            (b"\0\0\0\x04\0\x01\0\x03", true),
            (b"\0\0\0\x04\0\x03\0\x01", false),
            (b"\0\0\0\x04\0\x03\0\x03", false),
            (b"\0\x01\0\x03\x02h2", true),
            (b"\0\x01\0\0", false),
            (b"\0\x01\0\x01\0", false),
            (b"\0\x01\0\x04\x02h2\0", false),
            (b"\0\x01\0\x03\x03h2", false),
            (b"\0\x02\0\0", true),
            (b"\0\x02\0\x01x", false),
            (b"\0\x03\0\x02\x01\xBB", true),
            (b"\0\x03\0\x01\x01", false),
            (b"\0\x04\0\x04abcd", true),
            (b"\0\x04\0\0", false),
            (b"\0\x04\0\x05abcde", false),
            (b"\0\x06\0\x100123456789abcdef", true),
            (b"\0\x06\0\x04abcd", false),
            // A key twice.
            (b"\0\x03\0\x02\x01\xBB\0\x03\0\x02\x01\xBB", false),
            (b"\0\x05\0\0", true),
            (b"\xFF\0\0\0", true),
        ] {
            assert_eq!(Svcb::new(1, NameView::ROOT, params).is_some(), ok, "{params:?}");
        }
        assert!(Svcb::new(0, NameView::ROOT, b"\0\x03\0\x01\x01").is_some(), "AliasMode");
    }

    #[test]
    fn rule_45_what_a_client_may_use() {
        for (params, ok) in [
            (&b""[..], true),
            (b"\0\0\0\x02\0\x03\0\x03\0\x02\0\x50", true),
            // A mandatory key that is not there, one that nobody knows, no protocol at all.
            (b"\0\0\0\x02\0\x03", false),
            (b"\0\0\0\x02\x02\x9A\x02\x9A\0\0", false),
            (b"\0\0\0\x02\0\x06\0\x06\0\x100123456789abcdef", true),
            (b"\0\x02\0\0", false),
            (b"\0\x01\0\x03\x02h3\0\x02\0\0", true),
        ] {
            assert_eq!(service(1, NameView::ROOT, params).is_usable(), ok, "{params:?}");
        }
        let params = b"\0\x01\0\x06\x02h2\x02h3\0\x03\0\x02\x1F\x90\0\x04\0\x04\xC0\0\x02\x01";
        let one = service(1, NameView::ROOT, params);
        assert!(one.alpn().eq([&b"h2"[..], b"h3"]));
        assert_eq!((one.port(), one.no_default_alpn()), (Some(8080), false));
        assert!(one.hints().eq([IpAddr::from([192, 0, 2, 1])]));
        assert!(service(1, NameView::ROOT, b"\0\x01\0\x03\x02h3\0\x02\0\0").no_default_alpn());
        let owner = name("x.example");
        assert_eq!(one.host(owner.view()), owner.view());
    }

    #[test]
    fn rule_45_and_59_aliases_and_the_order_of_services() {
        let (host, odd) = (name("svc.example"), b"\0\0\0\x02\x02\x9A\x02\x9A\0\0");
        let one = |priority| service(priority, host.view(), b"");
        let mut rng = Seeded(1);
        let alias = &mut [one(1), one(0)];
        assert_eq!(select(alias, &mut rng), Services::Alias(host.view()));
        let none = &mut [service(0, NameView::ROOT, odd)];
        assert_eq!(select(none, &mut rng), Services::Unavailable);
        assert_eq!(select(&mut [service(1, host.view(), odd)], &mut rng), Services::None);
        assert_eq!(select(&mut [], &mut rng), Services::None);
        let mut turned = [5, 4, 3, 2, 1].map(one);
        let Services::Bindings(order) = select(&mut turned, &mut rng) else { panic!() };
        assert!(order.iter().map(|service| service.priority).eq(1..=5));
        let names = ["a.example", "b.example", "c.example"].map(name);
        let mut firsts = Vec::new();
        for _ in 0..60 {
            let mut list = [
                service(2, names[0].view(), b""),
                service(1, names[1].view(), b""),
                service(1, host.view(), odd),
                service(1, names[2].view(), b""),
            ];
            let Services::Bindings(order) = select(&mut list, &mut rng) else { panic!() };
            assert_eq!(order.len(), 3);
            assert_eq!(order[2].target, names[0].view());
            firsts.push(order[0].target.to_string());
        }
        let share = firsts.iter().filter(|n| *n == "b.example.").count();
        assert!((15..46).contains(&share), "equals are shuffled: {share} of 60");
    }

    #[test]
    fn rule_59_the_name_to_ask() {
        let host = name("x.example");
        for (port, expected) in [
            (443, "x.example."),
            (8443, "_8443._https.x.example."),
            (80, "_80._https.x.example."),
            (0, "_0._https.x.example."),
            (65_535, "_65535._https.x.example."),
        ] {
            assert_eq!(https_name(host.view(), port).unwrap().to_string(), expected);
        }
        let long = name(&["x".repeat(63).as_str(); 3].join("."));
        let long = long.join(name(&"y".repeat(55)).view()).unwrap();
        assert_eq!(https_name(long.view(), 80), None);
    }
}
