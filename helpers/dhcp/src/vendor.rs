//! Options with items inside: user classes (77, RFC 3004), vendor classes and information by
//! enterprise (124 and 125, RFC 3925), encrypted DNS servers (162, RFC 9463).

use core::net::Ipv4Addr;

use bringup_core::wire::Reader;

use crate::name::{SearchName, SearchNames};
use crate::options::Value;

/// What one enterprise says, in option 124 or 125.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnterpriseItem<'a> {
    /// Its number at IANA.
    pub enterprise: u32,
    /// Its bytes: options as in [`Value::vendor_options`] in 125, classes in 124.
    pub data: Value<'a>,
}

/// The items of option 124 or 125; one that is cut off ends them.
#[derive(Clone, Debug)]
pub struct EnterpriseItems<'a>(pub(crate) Reader<'a>);

impl<'a> Iterator for EnterpriseItems<'a> {
    type Item = EnterpriseItem<'a>;

    fn next(&mut self) -> Option<EnterpriseItem<'a>> {
        let (enterprise, length) = (self.0.u32().ok()?, self.0.u8().ok()?);
        let data = Value(self.0.bytes(usize::from(length)).ok()?);
        Some(EnterpriseItem { enterprise, data })
    }
}

/// The classes of option 77; one that is cut off ends them. Some senders put plain text there
/// instead: read the bytes then.
#[derive(Clone, Debug)]
pub struct UserClasses<'a>(pub(crate) Reader<'a>);

impl<'a> Iterator for UserClasses<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let length = self.0.u8().ok().filter(|&n| n > 0)?;
        self.0.bytes(usize::from(length)).ok()
    }
}

/// A resolver that is to be asked over TLS, HTTPS or QUIC. RFC 9463 §5.1.
#[derive(Clone, Debug)]
pub struct EncryptedResolver<'a> {
    /// The lower, the better; 0 is an alias (RFC 9460 §2.4.1).
    pub priority: u16,
    /// The name that its certificate must show.
    pub name: SearchName<'a>,
    addresses: Value<'a>,
    /// Service parameters in the wire form of RFC 9460 §2.2, not looked into.
    pub parameters: &'a [u8],
}

impl<'a> EncryptedResolver<'a> {
    /// Where it is; none if its name is to be resolved. RFC 9463 §5.2: multicast and loopback addresses
    /// MUST be discarded.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> + use<'a> {
        self.addresses.addresses().filter(|a| !a.is_multicast() && !a.is_loopback())
    }

    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        let priority = r.u16().ok()?;
        let length = usize::from(r.u8().ok()?);
        let name = SearchNames::new(r.bytes(length).ok()?).next()?;
        let mut addresses = Value(&[]);
        if !r.is_empty() {
            let length = usize::from(r.u8().ok()?);
            addresses = Value(r.bytes(length).ok().filter(|b| !b.is_empty() && b.len() % 4 == 0)?);
        }
        Some(Self { priority, name, addresses, parameters: r.rest() })
    }
}

/// The resolvers of option 162. One that is malformed is left out; one that is cut off ends them.
#[derive(Clone, Debug)]
pub struct EncryptedResolvers<'a>(pub(crate) Reader<'a>);

impl<'a> Iterator for EncryptedResolvers<'a> {
    type Item = EncryptedResolver<'a>;

    fn next(&mut self) -> Option<EncryptedResolver<'a>> {
        loop {
            let length = usize::from(self.0.u16().ok()?);
            if let Some(resolver) = EncryptedResolver::parse(self.0.bytes(length).ok()?) {
                return Some(resolver);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    #[test]
    fn rule_29_items_by_enterprise() {
        let bytes = [0, 0, 0x0D, 0xE9, 3, 1, 1, 7, 0, 0, 0, 9, 0, 0, 0, 0, 1, 5, 0];
        let items: Vec<_> = Value(&bytes).enterprise_items().collect();
        assert_eq!(items.len(), 2, "the third is cut off");
        assert_eq!((items[0].enterprise, items[1].enterprise), (3561, 9));
        let inner: Vec<_> = items[0].data.vendor_options().collect();
        assert_eq!((inner[0].code, inner[0].value.bytes()), (1, &[7][..]));
        assert_eq!(Value(&[0, 0, 0]).enterprise_items().count(), 0);
    }

    #[test]
    fn user_classes() {
        let of = |bytes: &'static [u8]| Value(bytes).user_classes().collect::<Vec<_>>();
        assert_eq!(of(b"\x01a\x02bc"), [&b"a"[..], b"bc"]);
        assert_eq!(of(b"\x01a\x03bc"), [&b"a"[..]]);
        assert_eq!(of(b"\0\x01a"), [&b""[..]; 0]);
    }

    #[test]
    fn rule_31_encrypted_resolvers() {
        let whole = b"\0\x16\0\x01\x07\x01a\x03net\0\x04\x0A\0\0\x03\0\x01\0\x03\x02h2";
        let adn_only = b"\0\x06\0\x02\x03\x01b\0";
        let show = |bytes: &[u8]| {
            let all = Value(bytes).encrypted_resolvers();
            all.map(|r| (r.priority, r.name.to_string(), r.addresses().count())).collect::<Vec<_>>()
        };
        let odd = b"\0\x13\0\x01\x03\x01d\0\x0C\x7F\0\0\x01\xE0\0\0\x01\x0A\0\0\x04";
        assert_eq!(show(odd), [(1, "d".to_string(), 1)], "loopback, multicast, one that can be");
        let good_row = (1, "a.net".to_string(), 1);
        let adn_row = (2, "b".to_string(), 0);
        let both = [&whole[..], adn_only].concat();
        assert_eq!(show(&both), [good_row.clone(), adn_row]);
        let parameters = Value(whole).encrypted_resolvers().next().unwrap().parameters;
        assert_eq!(parameters, b"\0\x01\0\x03\x02h2");
        let bad_addresses = b"\0\x0A\0\x01\x03\x01c\0\x03\x01\x02\x03";
        let empty = b"\0\0";
        let around = [&bad_addresses[..], empty, &whole[..], b"\0\x09\0"].concat();
        assert_eq!(show(&around), [good_row]);
        for end in 0..whole.len() {
            assert!(show(&whole[..end]).is_empty(), "{end}");
        }
    }
}
