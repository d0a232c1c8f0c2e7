//! [`Hosts`], where names are known without asking: `/etc/hosts`, or whatever there is instead.

use core::net::IpAddr;

use crate::name::{Name, NameView};

/// Names that need no server. It is asked for each name that a caller gives, before anything else but
/// `localhost`, `invalid`, `onion` and `alt`, which mean the same everywhere (RFC 6761 §6), and what it
/// says is never cached: a changed file counts from the next query on.
pub trait Hosts {
    /// Calls `found` with every address of `name`, in order.
    fn addresses(&self, name: NameView<'_>, found: &mut dyn FnMut(IpAddr));
}

/// The text of a hosts file, read anew for each name.
///
/// A line is an address and the names of it; `#` starts a comment; what is neither is skipped. All
/// lines of a name count.
#[derive(Clone, Copy, Debug)]
pub struct HostsText<'a>(pub &'a [u8]);

impl Hosts for HostsText<'_> {
    fn addresses(&self, name: NameView<'_>, found: &mut dyn FnMut(IpAddr)) {
        for line in self.0.split(|&b| b == b'\n') {
            let line = line.split(|&b| b == b'#').next().unwrap_or(&[]);
            // A line that is not text has no name in it; a comment may be in any encoding.
            let text = core::str::from_utf8(line).unwrap_or("");
            let mut words = text.split([' ', '\t', '\r']).filter(|w| !w.is_empty());
            // A scope has no place in an answer.
            let address = words.next().and_then(|w| w.split('%').next());
            let Some(address) = address.and_then(|w| w.parse().ok()) else { continue };
            if words.any(|word| Name::from_text(word).is_ok_and(|n| n.view() == name)) {
                found(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::testing::name;
    use std::string::{String, ToString};
    use std::vec::Vec;

    #[test]
    fn hosts_lines() {
        let file: &[u8] =
            b"127.0.0.1 localhost\n# 192.0.2.9 host\n192.0.2.1\thost  alias # 3 h\xF6st\r\n\
            2001:db8::1 host.\nfe80::1%eth0 link\n\xFF host\n192.0.2.300 host\nhost 192.0.2.4\n\0\n\
            192.0.2.2 other HOST\n192.0.2.5";
        for (text, expected) in [
            ("host", &["192.0.2.1", "2001:db8::1", "192.0.2.2"][..]),
            ("Alias", &["192.0.2.1"]),
            ("link", &["fe80::1"]),
            ("3", &[]),
            ("hos", &[]),
        ] {
            let mut found: Vec<String> = Vec::new();
            HostsText(file).addresses(name(text).view(), &mut |a| found.push(a.to_string()));
            assert_eq!(found, expected, "{text}");
        }
    }
}
