//! Option 81, the client's fully qualified domain name. RFC 4702.

use core::fmt;

use bringup_core::wire::{Full, Reader, Writer};

use crate::name::{DomainName, SearchName, SearchNames};

/// S: the server updates the A record.
const FLAG_S: u8 = 1;
/// O: the server overrode S. In a reply only.
const FLAG_O: u8 = 2;
/// E: the name is in the wire form of RFC 1035.
const FLAG_E: u8 = 4;
/// N: the server makes no update.
const FLAG_N: u8 = 8;
/// The flags, and two RCODEs that mean nothing any more.
const HEAD_LEN: usize = 3;
/// The longest option that can be sent: a name of 255 octets.
const FQDN_LEN_MAX: usize = HEAD_LEN + 255;

/// Who is to keep the DNS up to date. RFC 4702 §3.2, §3.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DnsUpdate {
    /// The server, both records. S = 1.
    #[default]
    Server,
    /// The server the PTR record, we the A record. S = 0.
    Client,
    /// Nobody. N = 1.
    Nobody,
}

/// The name to send in option 81.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fqdn<'m> {
    /// The name, of one label (to which the server adds its domain) or several; not sent unless it
    /// is one that a host can have.
    pub name: &'m [u8],
    /// What is asked for.
    pub update: DnsUpdate,
}

impl Fqdn<'_> {
    /// Gives out the option's bytes; `None` if the name is no host's.
    pub(crate) fn write<'b>(&self, buffer: &'b mut [u8; FQDN_LEN_MAX]) -> Option<&'b [u8]> {
        let name = DomainName::parse(self.name)?;
        self.encode(name.as_str(), &mut Writer::new(buffer)).ok().and_then(|n| buffer.get(..n))
    }

    fn encode(&self, name: &str, w: &mut Writer<'_>) -> Result<usize, Full> {
        // RFC 4702 §2.1: N = 1 wants S = 0; O MUST be 0, and so the RCODEs (§2.2).
        let flags = match self.update {
            DnsUpdate::Server => FLAG_S,
            DnsUpdate::Client => 0,
            DnsUpdate::Nobody => FLAG_N,
        };
        w.bytes(&[flags | FLAG_E, 0, 0])?;
        let mut labels = 0;
        for label in name.as_bytes().split(|&b| b == b'.') {
            w.u8(u8::try_from(label.len()).map_err(|_| Full)?)?;
            w.bytes(label)?;
            labels += 1;
        }
        // §2.3.1: a partial name has no root at its end.
        if labels > 1 {
            w.u8(0)?;
        }
        Ok(w.position())
    }

    /// Room for [`write`](Self::write).
    pub(crate) const BUFFER: [u8; FQDN_LEN_MAX] = [0; FQDN_LEN_MAX];
}

/// Option 81 as a server sends it.
#[derive(Clone, Debug)]
pub struct ClientFqdn<'a> {
    /// The server updates the A record.
    pub server_updates: bool,
    /// The server did not do as it was asked.
    pub overridden: bool,
    /// The server makes no update at all.
    pub no_updates: bool,
    name: Name<'a>,
}

#[derive(Clone, Debug)]
enum Name<'a> {
    Wire(SearchName<'a>),
    Ascii(DomainName<'a>),
}

impl<'a> ClientFqdn<'a> {
    /// Reads the option; `None` if it is shorter than its head or the name is no host's. In the
    /// wire form, names are not compressed and a partial one has no root.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        let [flags, _, _] = r.array().ok()?;
        let rest = r.rest();
        let name = if flags & FLAG_E == 0 {
            Name::Ascii(DomainName::parse(rest.strip_suffix(b"\0").unwrap_or(rest))?)
        } else {
            let labels = SearchNames::new(rest).next().or_else(|| SearchName::partial(rest));
            Name::Wire(labels?)
        };
        Some(Self {
            server_updates: flags & FLAG_S != 0,
            overridden: flags & FLAG_O != 0,
            no_updates: flags & FLAG_N != 0,
            name,
        })
    }
}

impl fmt::Display for ClientFqdn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Name::Wire(name) => name.fmt(f),
            Name::Ascii(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn rule_29_what_is_sent() {
        use DnsUpdate::{Client, Nobody, Server};
        type Row = (&'static [u8], DnsUpdate, Option<&'static [u8]>);
        let rows: [Row; 7] = [
            (b"box", Server, Some(b"\x05\0\0\x03box")),
            (b"box", Client, Some(b"\x04\0\0\x03box")),
            (b"box", Nobody, Some(b"\x0C\0\0\x03box")),
            (b"box.example.net", Server, Some(b"\x05\0\0\x03box\x07example\x03net\0")),
            (b"box.example.net.", Server, Some(b"\x05\0\0\x03box\x07example\x03net\0")),
            (b"a;b", Server, None),
            (b"", Server, None),
        ];
        for (name, update, expected) in rows {
            let mut buffer = Fqdn::BUFFER;
            assert_eq!(Fqdn { name, update }.write(&mut buffer), expected, "{name:?} {update:?}");
        }
    }

    #[test]
    fn rule_29_what_is_received() {
        let rows: [(&[u8], Option<&str>); 12] = [
            (b"\x05\xFF\xFF\x03box\x07example\x03net\0", Some("box.example.net")),
            (b"\x04\0\0\x03box", Some("box")),
            (b"\x01\0\0box.example.net", Some("box.example.net")),
            (b"\x01\0\0box\0", Some("box")),
            (b"\x04\0\0\x03bo", None),
            (b"\x04\0\0\x03b;x\0", None),
            (b"\x04\0\0\xC0\x00", None),
            (b"\x04\0\0", None),
            (b"\x01\0\0$(reboot)", None),
            (b"\x01\0\0", None),
            (b"\x04\0", None),
            (b"", None),
        ];
        for (bytes, expected) in rows {
            let name = ClientFqdn::parse(bytes).map(|f| f.to_string());
            assert_eq!(name.as_deref(), expected, "{bytes:?}");
        }
        let f = ClientFqdn::parse(b"\x0F\0\0\x03box").unwrap();
        assert!(f.server_updates && f.overridden && f.no_updates);
        let f = ClientFqdn::parse(b"\x04\0\0\x03box").unwrap();
        assert!(!f.server_updates && !f.overridden && !f.no_updates);
    }
}
