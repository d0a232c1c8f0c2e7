//! Names: validated host and domain names (options 12, 15), and search lists (119, RFC 3397).
//!
//! A name that comes from a server ends up in files and in hooks. What these types give out is
//! letters, digits, `-`, `_` and dots only (CVE-2011-0997, CVE-2018-1111: shell text in option 15).

use core::fmt;

use bringup_core::wire::Reader;

/// The longest name in presentation form, octets. RFC 1035 §2.3.4 less the root and the first length.
const NAME_MAX: usize = 253;
/// The longest name on the wire, octets, length octets and root included. RFC 1035 §2.3.4.
const WIRE_NAME_MAX: usize = 255;
/// The longest label, octets. RFC 1035 §2.3.4.
const LABEL_MAX: usize = 63;

/// Whether a label is fit for a host name: RFC 952 and 1123 §2.1, and the underscore of the field.
fn is_host_label(label: &[u8]) -> bool {
    let good = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    !label.is_empty()
        && label.len() <= LABEL_MAX
        && label.first() != Some(&b'-')
        && label.iter().all(good)
}

/// A host or domain name that is safe to print, to store and to hand to a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DomainName<'a>(&'a str);

impl<'a> DomainName<'a> {
    /// The name, without a dot at its end; `None` if it is anything but labels of letters, digits,
    /// `-` and `_`.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let bytes = bytes.strip_suffix(b".").unwrap_or(bytes);
        let fits = bytes.len() <= NAME_MAX && bytes.split(|&b| b == b'.').all(is_host_label);
        core::str::from_utf8(bytes).ok().filter(|_| fits).map(Self)
    }

    /// The name as text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for DomainName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A name cannot be read.
struct BadName;

/// A walk over the labels of one name, following pointers only backwards.
#[derive(Clone, Debug)]
struct Labels<'a> {
    bytes: &'a [u8],
    at: Reader<'a>,
    /// A pointer must lead before the start of the piece that it ends: loops are impossible.
    piece_start: usize,
    /// Where the next name begins: after the root, or after the first pointer.
    end: Option<usize>,
    /// Octets of the name on the wire so far.
    length: usize,
}

impl<'a> Labels<'a> {
    fn new(bytes: &'a [u8], start: usize) -> Self {
        Self { bytes, at: Reader::at(bytes, start), piece_start: start, end: None, length: 1 }
    }

    fn next_label(&mut self) -> Result<Option<&'a [u8]>, BadName> {
        loop {
            let head = self.at.u8().map_err(|_| BadName)?;
            match head {
                0 => {
                    self.end = self.end.or(Some(self.at.position()));
                    return Ok(None);
                }
                1..=63 => {
                    self.length += usize::from(head) + 1;
                    if self.length > WIRE_NAME_MAX {
                        return Err(BadName);
                    }
                    return self.at.bytes(usize::from(head)).map(Some).map_err(|_| BadName);
                }
                // RFC 1035 §4.1.4: the upper two bits 10 and 01 are reserved.
                64..=191 => return Err(BadName),
                192..=255 => {
                    let low = self.at.u8().map_err(|_| BadName)?;
                    let target = usize::from(u16::from_be_bytes([head & 0x3F, low]));
                    if target >= self.piece_start {
                        return Err(BadName);
                    }
                    self.end = self.end.or(Some(self.at.position()));
                    (self.piece_start, self.at) = (target, Reader::at(self.bytes, target));
                }
            }
        }
    }
}

/// One name of a search list. It prints with dots between its labels.
#[derive(Clone, Debug)]
pub struct SearchName<'a>(Labels<'a>);

impl<'a> SearchName<'a> {
    /// A name without a root, which ends with the bytes: RFC 4702 §2.3.1.
    pub(crate) fn partial(bytes: &'a [u8]) -> Option<Self> {
        let labels = Labels::new(bytes, 0);
        let mut walk = labels.clone();
        let mut fit = !bytes.is_empty();
        while !walk.at.is_empty() {
            fit &= walk.next_label().ok().flatten().is_some_and(is_host_label);
        }
        Some(Self(labels)).filter(|_| fit)
    }

    /// Its labels, from left to right.
    pub fn labels(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut walk = self.0.clone();
        core::iter::from_fn(move || walk.next_label().ok().flatten())
    }
}

impl fmt::Display for SearchName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, label) in self.labels().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            f.write_str(core::str::from_utf8(label).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

/// The names of a search list, in order. A name of characters that no host has is left out; one
/// that cannot be read ends the list, and those before it stay (RFC 3397 §3).
#[derive(Clone, Debug)]
pub struct SearchNames<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> SearchNames<'a> {
    /// The names in the joined bytes of option 119.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next name, and whether it is fit for use.
    fn next_name(&mut self) -> Result<(SearchName<'a>, bool), BadName> {
        let labels = Labels::new(self.bytes, self.at);
        let (mut walk, mut count, mut fit) = (labels.clone(), 0, true);
        while let Some(label) = walk.next_label()? {
            count += 1;
            fit &= is_host_label(label);
        }
        self.at = walk.end.ok_or(BadName)?;
        Ok((SearchName(labels), fit && count > 0))
    }
}

impl<'a> Iterator for SearchNames<'a> {
    type Item = SearchName<'a>;

    fn next(&mut self) -> Option<SearchName<'a>> {
        while self.at < self.bytes.len() {
            match self.next_name() {
                Ok((name, true)) => return Some(name),
                Ok((_, false)) => {}
                Err(BadName) => self.at = self.bytes.len(),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    #[test]
    fn rule_28_domain_names() {
        for good in ["a", "example.net", "Ex-1.a_b.c", "1.2"] {
            assert_eq!(DomainName::parse(good.as_bytes()).map(DomainName::as_str), Some(good));
        }
        assert_eq!(DomainName::parse(b"a.b.").map(DomainName::as_str), Some("a.b"));
        let most = [&[b'a'; 63][..], &[b'b'; 63], &[b'c'; 63], &[b'd'; 61]].join(&b'.');
        assert_eq!((most.len(), DomainName::parse(&most).is_some()), (253, true));
        let more = [&most[..], b"d"].concat();
        assert_eq!(DomainName::parse(&more), None);
        let long = std::vec![b'a'; 64];
        for bad in [
            &b""[..],
            b".",
            b"a..b",
            b"-a",
            b"a.-b",
            b"a b",
            b"a;b",
            b"$(reboot)",
            b"`x`",
            b"a\nb",
            b"a\0b",
            b"a/b",
            b"\xFFa",
            &long,
        ] {
            assert_eq!(DomainName::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn rule_28_search_lists() {
        let list =
            |bytes: &[u8]| SearchNames::new(bytes).map(|n| n.to_string()).collect::<Vec<String>>();
        let rows: &[(&str, &[u8], &[&str])] = &[
            ("empty", b"", &[]),
            ("one", b"\x03foo\x02de\0", &["foo.de"]),
            (
                "RFC 3397 §2",
                b"\x03eng\x05apple\x03com\0\x09marketing\xC0\x04",
                &["eng.apple.com", "marketing.apple.com"],
            ),
            ("cut in a label", b"\x01a\0\x03fo", &["a"]),
            ("no root", b"\x01a\0\x03foo", &["a"]),
            ("cut pointer", b"\x01a\0\x01b\xC0", &["a"]),
            ("pointer to itself", b"\xC0\x00", &[]),
            ("pointer into its own name", b"\x01a\xC0\x00", &[]),
            ("pointer forward", b"\x01a\xC0\x05\0\x01b\0", &[]),
            ("two pointers in a ring", b"\x01a\xC0\x04\x01b\xC0\x00", &[]),
            ("pointer past the end", b"\x01a\0\xC3\xFF", &["a"]),
            ("label of 64", b"\x01a\0\x40aaaa", &["a"]),
            ("reserved 0x80", b"\x01a\0\x80aaaa", &["a"]),
            ("root alone", b"\0\x01a\0", &["a"]),
            ("shell text is left out", b"\x04a;$(\0\x01b\0", &["b"]),
            ("dot in a label is left out", b"\x03a.b\0\x01b\0", &["b"]),
        ];
        for (name, bytes, expected) in rows {
            assert_eq!(list(bytes), *expected, "{name}");
        }
    }

    #[test]
    fn rule_28_a_name_has_at_most_255_octets() {
        let label = |n: usize| [&[u8::try_from(n).unwrap()][..], &std::vec![b'a'; n]].concat();
        for (last, fits) in [(61, true), (62, false)] {
            let bytes = [label(63), label(63), label(63), label(last), [0].into()].concat();
            assert_eq!(SearchNames::new(&bytes).count(), usize::from(fits), "{}", bytes.len());
        }
    }
}
