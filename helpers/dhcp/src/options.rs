//! The walk over the options of a message, and typed readings of one option's bytes.
//!
//! Nothing is copied: every option is a slice of the message. An option that was split over several
//! instances (RFC 3396) shows as several [`DhcpOption`]s; [`Message::value`](crate::message::Message::value)
//! joins them.

use core::net::Ipv4Addr;

use bringup_core::wire::Reader;

use crate::code;
use crate::name::{DomainName, SearchNames};
use crate::route::ClasslessRoutes;
use crate::vendor::{EncryptedResolvers, EnterpriseItems, UserClasses};

/// One option as it stands in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DhcpOption<'a> {
    /// Its code; never PAD or END.
    pub code: u8,
    /// Its bytes.
    pub value: Value<'a>,
}

/// The next option of one area; moves to the end at END and at an option that is cut off.
#[inline]
fn next_in<'a>(area: &mut Reader<'a>) -> Option<DhcpOption<'a>> {
    loop {
        match area.u8().ok()? {
            code::PAD => {}
            code::END => break,
            code => {
                let Ok(length) = area.u8() else { break };
                let Ok(bytes) = area.bytes(usize::from(length)) else { break };
                return Some(DhcpOption { code, value: Value(bytes) });
            }
        }
    }
    // RFC 2132 §3.2: nothing counts after END. A truncated option ends the area too: what comes
    // after it cannot be found.
    area.rest();
    None
}

/// The options of a message in the order in which they are to be read: the options field, then
/// `file`, then `sname`, if option 52 says that these carry options (RFC 2131 §4.1).
#[derive(Clone, Debug)]
pub struct Options<'a> {
    area: Reader<'a>,
    /// Areas still to come if overloaded: `file` for bit 1, `sname` for bit 2.
    file: Option<&'a [u8]>,
    sname: Option<&'a [u8]>,
    /// Bits of option 52; only its first instance, and only in the options field, counts.
    overload: Option<u8>,
    in_options_field: bool,
}

impl<'a> Options<'a> {
    /// The options of a message with these three areas.
    pub fn new(options: &'a [u8], file: &'a [u8], sname: &'a [u8]) -> Self {
        Self {
            area: Reader::new(options),
            file: Some(file),
            sname: Some(sname),
            overload: None,
            in_options_field: true,
        }
    }

    /// The area after the present one.
    #[cold]
    fn next_area(&mut self) -> Option<&'a [u8]> {
        self.in_options_field = false;
        let overload = self.overload.unwrap_or(0);
        let file = self.file.take().filter(|_| overload & 1 != 0);
        file.or_else(|| self.sname.take().filter(|_| overload & 2 != 0))
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = DhcpOption<'a>;

    #[inline]
    fn next(&mut self) -> Option<DhcpOption<'a>> {
        loop {
            let Some(option) = next_in(&mut self.area) else {
                self.area = Reader::new(self.next_area()?);
                continue;
            };
            if option.code == code::OVERLOAD {
                // RFC 2131 §4.1: 52 belongs into the options field. CVE-2014-6060: elsewhere it
                // would send a reader round in circles.
                if !self.in_options_field {
                    continue;
                }
                let bits = option.value.u8().filter(|n| (1..=3).contains(n));
                self.overload = self.overload.or(Some(bits.unwrap_or(0)));
            }
            return Some(option);
        }
    }
}

/// The bytes of one option, and the ways to read them. A reading that doesn't fit gives `None` or
/// nothing: it costs that option only, never the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a>(pub &'a [u8]);

impl<'a> Value<'a> {
    /// The bytes.
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Exactly `N` octets.
    #[inline]
    fn exactly<const N: usize>(self) -> Option<[u8; N]> {
        self.0.try_into().ok()
    }

    /// An octet; `None` if the length is not 1.
    #[inline]
    pub fn u8(self) -> Option<u8> {
        self.exactly().map(|[octet]| octet)
    }

    /// 16 bits; `None` if the length is not 2.
    #[inline]
    pub fn u16(self) -> Option<u16> {
        self.exactly().map(u16::from_be_bytes)
    }

    /// 32 bits; `None` if the length is not 4.
    #[inline]
    pub fn u32(self) -> Option<u32> {
        self.exactly().map(u32::from_be_bytes)
    }

    /// An address; `None` if the length is not 4.
    #[inline]
    pub fn address(self) -> Option<Ipv4Addr> {
        self.u32().map(Ipv4Addr::from)
    }

    /// A list of addresses without those that are 0.0.0.0, which some servers pad with. Empty if
    /// the length is not a multiple of 4.
    #[inline]
    pub fn addresses(self) -> Addresses<'a> {
        let whole = self.0.len() % 4 == 0;
        Addresses { rest: Reader::new(if whole { self.0 } else { &[] }) }
    }

    /// Text: bytes of no known encoding, without the NULs at its end, which RFC 2132 §2 wants
    /// tolerated. Not fit for a shell, a file or a terminal as it is.
    pub fn text(self) -> &'a [u8] {
        let mut text = self.0;
        while let [head @ .., 0] = text {
            text = head;
        }
        text
    }

    /// A host or domain name, if it is one.
    pub fn domain_name(self) -> Option<DomainName<'a>> {
        DomainName::parse(self.text())
    }

    /// The names of a search list. Option 119, RFC 3397.
    pub fn search_names(self) -> SearchNames<'a> {
        SearchNames::new(self.0)
    }

    /// The routes of option 121 or 249; `None` if any of them is malformed.
    pub fn classless_routes(self) -> Option<ClasslessRoutes<'a>> {
        ClasslessRoutes::parse(self.0)
    }

    /// The options inside option 43, where the vendor follows RFC 2132 §8.4 (PAD and END count).
    pub fn vendor_options(self) -> Suboptions<'a> {
        Suboptions { area: Reader::new(self.0), plain: false }
    }

    /// What each enterprise says. Options 124 and 125, RFC 3925.
    pub const fn enterprise_items(self) -> EnterpriseItems<'a> {
        EnterpriseItems(Reader::new(self.0))
    }

    /// User classes. Option 77, RFC 3004.
    pub const fn user_classes(self) -> UserClasses<'a> {
        UserClasses(Reader::new(self.0))
    }

    /// Encrypted DNS servers. Option 162, RFC 9463.
    pub const fn encrypted_resolvers(self) -> EncryptedResolvers<'a> {
        EncryptedResolvers(Reader::new(self.0))
    }

    /// The sub-options of option 82, where 0 and 255 are codes like any other. RFC 3046 §2.0.
    pub fn relay_suboptions(self) -> Suboptions<'a> {
        Suboptions { area: Reader::new(self.0), plain: true }
    }

    /// A prefix length from a subnet mask; `None` if its ones are not contiguous or there are none.
    pub fn prefix_len(self) -> Option<u8> {
        let mask = self.u32()?;
        let ones = mask.leading_ones();
        let contiguous = mask.count_ones() == ones && ones > 0;
        u8::try_from(ones).ok().filter(|_| contiguous)
    }
}

/// A list of addresses; see [`Value::addresses`].
#[derive(Clone, Debug)]
pub struct Addresses<'a> {
    rest: Reader<'a>,
}

impl Iterator for Addresses<'_> {
    type Item = Ipv4Addr;

    #[inline]
    fn next(&mut self) -> Option<Ipv4Addr> {
        loop {
            let address = Ipv4Addr::from(self.rest.u32().ok()?);
            if !address.is_unspecified() {
                return Some(address);
            }
        }
    }
}

/// Options within an option; see [`Value::vendor_options`] and [`Value::relay_suboptions`].
#[derive(Clone, Debug)]
pub struct Suboptions<'a> {
    area: Reader<'a>,
    plain: bool,
}

impl<'a> Iterator for Suboptions<'a> {
    type Item = DhcpOption<'a>;

    fn next(&mut self) -> Option<DhcpOption<'a>> {
        if !self.plain {
            return next_in(&mut self.area);
        }
        let (code, length) = (self.area.u8().ok()?, self.area.u8().ok()?);
        let value = Value(self.area.bytes(usize::from(length)).ok()?);
        Some(DhcpOption { code, value })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn read(options: &[u8], file: &[u8], sname: &[u8]) -> Vec<(u8, Vec<u8>)> {
        Options::new(options, file, sname).map(|o| (o.code, o.value.0.to_vec())).collect()
    }

    /// `(name, options, file, sname, expected as code and bytes)`
    type Row =
        (&'static str, &'static [u8], &'static [u8], &'static [u8], &'static [(u8, &'static [u8])]);

    #[test]
    fn rule_25_26_walk() {
        let rows: &[Row] = &[
            ("empty", &[], &[], &[], &[]),
            ("END only", &[255, 1, 1, 1], &[], &[], &[]),
            ("PAD everywhere", &[0, 0, 1, 1, 9, 0, 2, 0, 0, 255], &[], &[], &[(1, &[9]), (2, &[])]),
            ("no END", &[53, 1, 2], &[], &[], &[(53, &[2])]),
            ("no length", &[53, 1, 2, 54], &[], &[], &[(53, &[2])]),
            ("cut off", &[53, 1, 2, 54, 4, 1, 2, 3], &[], &[], &[(53, &[2])]),
            ("length 255 past the end", &[12, 255, 1], &[], &[], &[]),
            ("no 52: file and sname are text", &[1, 0], &[9, 0], &[8, 0], &[(1, &[])]),
            ("52 = 1: file", &[52, 1, 1], &[9, 0], &[8, 0], &[(52, &[1]), (9, &[])]),
            ("52 = 2: sname", &[52, 1, 2], &[9, 0], &[8, 0], &[(52, &[2]), (8, &[])]),
            (
                "52 = 3: options, file, sname, each without END",
                &[52, 1, 3, 1, 0],
                &[9, 0],
                &[8, 0],
                &[(52, &[3]), (1, &[]), (9, &[]), (8, &[])],
            ),
            (
                "END ends its area only",
                &[52, 1, 3, 255, 7, 0],
                &[9, 0, 255, 7, 0],
                &[8, 0],
                &[(52, &[3]), (9, &[]), (8, &[])],
            ),
            ("52 = 0 and 4 mean nothing", &[52, 1, 4], &[9, 0], &[8, 0], &[(52, &[4])]),
            ("52 of length 2 means nothing", &[52, 2, 3, 3], &[9, 0], &[8, 0], &[(52, &[3, 3])]),
            ("52 as the last octet", &[1, 0, 52], &[9, 0], &[8, 0], &[(1, &[])]),
            (
                "52 inside file is ignored",
                &[52, 1, 1],
                &[52, 1, 3, 9, 0],
                &[8, 0],
                &[(52, &[1]), (9, &[])],
            ),
            (
                "the first 52 counts",
                &[52, 1, 1, 52, 1, 2],
                &[9, 0],
                &[8, 0],
                &[(52, &[1]), (52, &[2]), (9, &[])],
            ),
            (
                "a cut in the options field leaves file readable",
                &[52, 1, 1, 6, 9],
                &[9, 0],
                &[],
                &[(52, &[1]), (9, &[])],
            ),
        ];
        for (name, options, file, sname, expected) in rows {
            let expected: Vec<_> = expected.iter().map(|(c, v)| (*c, v.to_vec())).collect();
            assert_eq!(read(options, file, sname), expected, "{name}");
        }
    }

    #[test]
    fn rule_25_fixed_sizes_take_no_other_length() {
        for length in [0usize, 1, 3, 5, 255] {
            let bytes = std::vec![1; length];
            let value = Value(&bytes);
            assert_eq!(value.address(), None, "{length}");
            assert_eq!(value.u32(), None, "{length}");
            assert_eq!(value.u16(), None, "{length}");
            assert_eq!(value.prefix_len(), None, "{length}");
            assert_eq!(value.u8().is_some(), length == 1, "{length}");
            assert_eq!(value.addresses().count(), 0, "{length}");
        }
        assert_eq!(Value(&[10, 0, 0, 1]).address(), Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(Value(&[5, 220]).u16(), Some(1500));
    }

    #[test]
    fn rule_25_address_lists() {
        let list = |bytes: &[u8]| Value(bytes).addresses().collect::<Vec<Ipv4Addr>>();
        let nothing: [Ipv4Addr; 0] = [];
        assert_eq!(list(&[]), nothing);
        assert_eq!(list(&[10, 0, 0, 1, 0]), nothing);
        assert_eq!(
            list(&[10, 0, 0, 1, 0, 0, 0, 0, 10, 0, 0, 2]),
            [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)],
            "0.0.0.0 is padding",
        );
    }

    #[test]
    fn rule_23_masks() {
        for (mask, expected) in [
            ([255, 255, 255, 0], Some(24)),
            ([255, 255, 255, 254], Some(31)),
            ([255, 255, 255, 255], Some(32)),
            ([128, 0, 0, 0], Some(1)),
            ([255, 0, 255, 0], None),
            ([0, 0, 0, 255], None),
            ([0, 0, 0, 0], None),
        ] {
            assert_eq!(Value(&mask).prefix_len(), expected, "{mask:?}");
        }
    }

    #[test]
    fn rule_39_trailing_nuls() {
        for (raw, text) in
            [(&b"a\0\0"[..], &b"a"[..]), (b"a\0b", b"a\0b"), (b"\0", b""), (b"", b"")]
        {
            assert_eq!(Value(raw).text(), text);
        }
    }

    #[test]
    fn suboptions() {
        let of = |s: Suboptions<'_>| s.map(|o| (o.code, o.value.0.to_vec())).collect::<Vec<_>>();
        let bytes = [0, 1, 7, 255, 0, 9];
        assert_eq!(of(Value(&bytes).relay_suboptions()), [(0, [7].into()), (255, [].into())]);
        let bytes = [0, 1, 1, 7, 255, 0];
        assert_eq!(of(Value(&bytes).vendor_options()), [(1, [7].into())]);
    }
}
