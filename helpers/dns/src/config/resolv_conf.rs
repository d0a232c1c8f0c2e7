//! Reads `/etc/resolv.conf`: octets in, settings out, one at a time, nothing kept.
//!
//! The reader is total: any octets are a file. What it does not know it skips (resolv.conf(5)).

use core::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::name::Name;
use crate::server::PORT;
use crate::special::{self, Text};

/// What one line, or one word of it, sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting<'a> {
    /// A server; all of them count, in order.
    Server(SocketAddr),
    /// A link-local server behind an interface that is given by name, which the platform looks up.
    ServerOn {
        /// The address.
        address: Ipv6Addr,
        /// The interface.
        interface: &'a str,
    },
    /// A search list; the last one counts, [`search`] reads it.
    Search(&'a str),
    /// `ndots:N`: a name with fewer dots is tried with the search list first; capped at 15.
    Ndots(u8),
    /// `timeout:N`, seconds, 1 to 30.
    TimeoutSecs(u8),
    /// `attempts:N`, 1 to 5.
    Attempts(u8),
    /// `rotate`: servers in turn.
    Rotate,
    /// `edns0`.
    Edns0,
    /// `trust-ad`: pass the AD bit on.
    TrustAd,
    /// `use-vc`: TCP only.
    UseVc,
    /// `no-aaaa`: no AAAA queries.
    NoAaaa,
}

/// Every setting of a file, in order.
pub fn settings(file: &[u8]) -> impl Iterator<Item = Setting<'_>> {
    file.split(|&b| b == b'\n').flat_map(Line::read)
}

/// The names of a search list. Words that are not names are left out.
pub fn search(list: &str) -> impl Iterator<Item = Name> + '_ {
    words(list).filter_map(|word| Name::from_text(word).ok())
}

/// What a line sets: one setting, or one for each word of `options`.
enum Line<'a> {
    One(Option<Setting<'a>>),
    Options(&'a str),
}

impl<'a> Line<'a> {
    fn read(line: &'a [u8]) -> Self {
        // A comment starts a line; within one, `#` and `;` end it only at the start of a word. What it
        // says may be in any encoding.
        let is_start =
            |at: usize| at.checked_sub(1).and_then(|at| line.get(at)).is_none_or(is_blank);
        let comment = |&(at, octet): &(usize, &u8)| matches!(octet, b'#' | b';') && is_start(at);
        let end = line.iter().enumerate().find(comment).map_or(line.len(), |(at, _)| at);
        // A line that is not text has no setting in it; NUL is not a blank.
        let text = core::str::from_utf8(line.get(..end).unwrap_or(line)).unwrap_or("");
        let text = text.strip_suffix('\r').unwrap_or(text);
        let mut rest = text;
        let Some(keyword) = next_word(&mut rest) else { return Self::One(None) };
        match keyword {
            "nameserver" => Self::One(next_word(&mut rest).and_then(server)),
            "search" | "domain" => Self::One(Some(Setting::Search(rest.trim_matches(BLANK)))),
            "options" => Self::Options(rest),
            _ => Self::One(None),
        }
    }
}

impl<'a> Iterator for Line<'a> {
    type Item = Setting<'a>;

    fn next(&mut self) -> Option<Setting<'a>> {
        match self {
            Self::One(setting) => setting.take(),
            // Each word is shorter than what was left: this ends.
            Self::Options(rest) => loop {
                let word = next_word(rest)?;
                if let Some(setting) = option(word) {
                    return Some(setting);
                }
            },
        }
    }
}

/// What separates words.
const BLANK: [char; 2] = [' ', '\t'];

const fn is_blank(octet: &u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

fn next_word<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let text = rest.trim_start_matches(BLANK);
    let end = text.find(BLANK).unwrap_or(text.len());
    let (word, tail) = text.split_at(end);
    *rest = tail;
    (!word.is_empty()).then_some(word)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_comment = |word: &&str| word.starts_with(['#', ';']);
    text.split(BLANK).filter(|w| !w.is_empty()).take_while(move |w| !is_comment(w))
}

fn server(word: &str) -> Option<Setting<'_>> {
    match special::literal(word) {
        Text::Literal(literal) => Some(Setting::Server(match literal.address {
            IpAddr::V6(v6) => SocketAddrV6::new(v6, PORT, 0, literal.scope_id).into(),
            v4 @ IpAddr::V4(_) => SocketAddr::new(v4, PORT),
        })),
        Text::ScopeName => {
            let (address, interface) = word.split_once('%')?;
            let address = address.parse().ok()?;
            (!interface.is_empty()).then_some(Setting::ServerOn { address, interface })
        }
        Text::Name => None,
    }
}

fn option(word: &str) -> Option<Setting<'static>> {
    let (name, value) = word.split_once(':').unwrap_or((word, ""));
    // As glibc does, numbers out of range are brought into it.
    let number = |least: u64, most: u64| {
        let digits = value.bytes().all(|b| b.is_ascii_digit()) && !value.is_empty();
        let number = value.parse::<u64>().unwrap_or(u64::MAX).clamp(least, most);
        digits.then_some(u8::try_from(number).unwrap_or(u8::MAX))
    };
    match name {
        "ndots" => number(0, 15).map(Setting::Ndots),
        "timeout" => number(1, 30).map(Setting::TimeoutSecs),
        "attempts" => number(1, 5).map(Setting::Attempts),
        "rotate" => Some(Setting::Rotate),
        "edns0" => Some(Setting::Edns0),
        "trust-ad" => Some(Setting::TrustAd),
        "use-vc" => Some(Setting::UseVc),
        "no-aaaa" => Some(Setting::NoAaaa),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn v4(last: u8) -> Setting<'static> {
        Setting::Server(SocketAddr::from(([192, 0, 2, last], PORT)))
    }

    #[test]
    fn rule_42_and_bug_7_lines() {
        use Setting::*;
        let fe80 = Ipv6Addr::new(0xFE80, 0, 0, 0, 0, 0, 0, 1);
        for (file, expected) in [
            (&b""[..], &[][..]),
            (b"nameserver 192.0.2.1", &[v4(1)]),
            (b"nameserver 192.0.2.1\r\nnameserver\t192.0.2.2 # the other\r\n", &[v4(1), v4(2)]),
            (b"# nameserver 192.0.2.1\n; nameserver 192.0.2.2\n  #\n", &[]),
            (b"nameservers 192.0.2.1\nnameserver192.0.2.1\n", &[]),
            (b"nameserver 192.0.2.256\nnameserver 1.2.3\nnameserver\n", &[]),
            (b"\0nameserver 192.0.2.1\nnameserver 192.0.2.2\n", &[v4(2)]),
            (b"\xFF\nnameserver 192.0.2.2", &[v4(2)]),
            (b"nameserver 192.0.2.1 # B\xFCro\nnameserver 192.0.2.2\xFF\n#\xFF", &[v4(1)]),
            (
                b"search a.example ;b\nsearch b.exa#mple # \xFF\n",
                &[Search("a.example"), Search("b.exa#mple")],
            ),
            (b"nameserver fe80::1%3\n", &[Server(SocketAddrV6::new(fe80, 53, 0, 3).into())]),
            (b"nameserver fe80::1%eth0", &[ServerOn { address: fe80, interface: "eth0" }]),
            (b"search a.example b.example \n", &[Search("a.example b.example")]),
            (b"domain a.example\n", &[Search("a.example")]),
            (b"search\n", &[Search("")]),
            (
                b"options ndots:2 timeout:99 attempts:0 nonsense rotate use-vc\n",
                &[Ndots(2), TimeoutSecs(30), Attempts(1), Rotate, UseVc],
            ),
            (
                b"options ndots:99999999999999999999999 ndots:-1 ndots: trust-ad # edns0",
                &[Ndots(15), TrustAd],
            ),
            (b"options edns0 no-aaaa", &[Edns0, NoAaaa]),
        ] {
            let read: Vec<_> = settings(file).collect();
            assert_eq!(read, expected, "{:?}", core::str::from_utf8(file));
        }
    }

    #[test]
    fn rule_42_all_servers_and_long_lines() {
        let mut file = Vec::new();
        for n in 0..20 {
            file.extend_from_slice(std::format!("nameserver 192.0.2.{n}\n").as_bytes());
        }
        file.extend_from_slice("options ".as_bytes());
        file.extend(core::iter::repeat_n(b'x', 65_536));
        file.extend_from_slice(b" rotate\nnameserver 192.0.2.99");
        let read: Vec<_> = settings(&file).collect();
        assert_eq!(read.len(), 22);
        assert_eq!(read[20..], [Setting::Rotate, v4(99)]);
    }

    #[test]
    fn a_search_list_is_names() {
        let names: Vec<_> = search("a.example  b..c\tB.example. # c.example").collect();
        let expected = ["a.example", "b.example"].map(|n| Name::from_text(n).unwrap());
        assert_eq!(names, expected);
    }
}
