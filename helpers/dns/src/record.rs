//! Resource records: [`RecordType`], [`Class`], [`Record`] and the typed view [`RData`] of its data.
//!
//! Checked once, by the table in `layout`, when a message is parsed; every accessor after that is total.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bringup_core::wire::{Full, Reader, Writer};

use crate::name::{NameView, skip_checked};

pub(crate) mod layout;
pub mod svcb;
mod text;

pub use svcb::Svcb;

/// A TYPE (RFC 1035 §3.2.2); any 16 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordType(pub u16);

macro_rules! record_types {
    ($($name:ident = $value:literal, $doc:literal;)*) => {
        impl RecordType {
            $(#[doc = $doc] pub const $name: Self = Self($value);)*

            /// The mnemonic, where this library knows one.
            pub const fn mnemonic(self) -> Option<&'static str> {
                match self { $(Self::$name => Some(stringify!($name)),)* _ => None }
            }

            /// Reads a mnemonic, case ignored, or `TYPE123` (RFC 3597 §5).
            pub fn from_text(text: &str) -> Option<Self> {
                $(if text.eq_ignore_ascii_case(stringify!($name)) { return Some(Self::$name); })*
                let (prefix, number) = text.split_at_checked(4)?;
                let decimal = number.bytes().all(|b| b.is_ascii_digit());
                let known = prefix.eq_ignore_ascii_case("TYPE") && decimal;
                number.parse().ok().filter(|_| known).map(Self)
            }
        }
    };
}

record_types! {
    A = 1, "An IPv4 address, RFC 1035 §3.4.1.";
    NS = 2, "A name server, RFC 1035 §3.3.11.";
    CNAME = 5, "The canonical name of an alias, RFC 1035 §3.3.1.";
    SOA = 6, "The start of a zone, RFC 1035 §3.3.13.";
    PTR = 12, "A pointer to a name, RFC 1035 §3.3.12.";
    HINFO = 13, "Host information, RFC 1035 §3.3.2; the answer to ANY of RFC 8482.";
    MX = 15, "A mail exchange, RFC 1035 §3.3.9.";
    TXT = 16, "Texts, RFC 1035 §3.3.14.";
    RP = 17, "A responsible person, RFC 1183 §2.2.";
    AFSDB = 18, "An AFS database, RFC 1183 §1.";
    SIG = 24, "A signature, RFC 2535 §4.";
    KEY = 25, "A key, RFC 2535 §3.";
    AAAA = 28, "An IPv6 address, RFC 3596 §2.2.";
    LOC = 29, "A place, RFC 1876.";
    SRV = 33, "A service, RFC 2782.";
    NAPTR = 35, "A naming authority pointer, RFC 3403 §4.";
    DNAME = 39, "A redirected subtree, RFC 6672 §2.1.";
    OPT = 41, "EDNS, RFC 6891 §6.1.";
    DS = 43, "A delegation signer, RFC 4034 §5.";
    SSHFP = 44, "An SSH key fingerprint, RFC 4255.";
    RRSIG = 46, "A signature, RFC 4034 §3.";
    NSEC = 47, "Authenticated denial, RFC 4034 §4.";
    DNSKEY = 48, "A zone's key, RFC 4034 §2.";
    NSEC3 = 50, "Hashed denial, RFC 5155 §3.";
    TLSA = 52, "A TLS certificate association, RFC 6698.";
    SVCB = 64, "A service binding, RFC 9460.";
    HTTPS = 65, "A service binding for HTTP, RFC 9460 §9.";
    SPF = 99, "A sender policy, RFC 7208 §3.1.";
    ANY = 255, "Any type, as a question only (RFC 1035 §3.2.3, RFC 8482).";
    CAA = 257, "Who may issue certificates, RFC 8659.";
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mnemonic() {
            Some(mnemonic) => f.pad(mnemonic),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

impl fmt::Debug for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A CLASS (RFC 1035 §3.2.4); any 16 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Class(pub u16);

impl Class {
    /// The Internet.
    pub const IN: Self = Self(1);
    /// Chaosnet, today the home of `version.bind`.
    pub const CH: Self = Self(3);
    /// Any class, as a question only.
    pub const ANY: Self = Self(255);
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IN => f.pad("IN"),
            Self::CH => f.pad("CH"),
            Self::ANY => f.pad("ANY"),
            Self(other) => write!(f, "CLASS{other}"),
        }
    }
}

impl fmt::Debug for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A resource record where it lies, in a message or in the cache.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The name that it is of.
    pub owner: NameView<'a>,
    /// Its type.
    pub rtype: RecordType,
    /// Its class.
    pub class: Class,
    /// How long it may be cached, seconds. In a message as sent; in an answer what is left of it.
    pub ttl: u32,
    /// Its data, checked.
    pub(crate) rdata: RdataView<'a>,
}

impl<'a> Record<'a> {
    /// Its data, typed where the type is known.
    #[inline]
    pub fn data(&self) -> RData<'a> {
        if let Some(address) = self.address() {
            return match address {
                IpAddr::V4(address) => RData::A(address),
                IpAddr::V6(address) => RData::Aaaa(address),
            };
        }
        self.other_data()
    }

    /// The address in an A or AAAA record of the Internet; `None` for any other record.
    #[inline]
    pub fn address(&self) -> Option<IpAddr> {
        match self.rtype {
            _ if self.class != Class::IN => None,
            RecordType::A => Some(IpAddr::from(*self.rdata.raw().first_chunk::<4>()?)),
            RecordType::AAAA => Some(IpAddr::from(*self.rdata.raw().first_chunk::<16>()?)),
            _ => None,
        }
    }

    fn other_data(&self) -> RData<'a> {
        let opaque = RData::Opaque { rtype: self.rtype, bytes: self.rdata.raw() };
        if layout::is_opaque(self.rtype, self.class) {
            return opaque;
        }
        typed(self.rtype, self.rdata).unwrap_or(opaque)
    }
}

impl fmt::Display for Record<'_> {
    /// As dig prints it: owner, TTL, class, type, data; separated by tabs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}\t{}\t{}\t{}", self.owner, self.ttl, self.class, self.rtype, self.data())
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a record's data lies: octets `at..end` of `message`, from which pointers count.
#[derive(Clone, Copy)]
pub(crate) struct RdataView<'a> {
    pub(crate) message: &'a [u8],
    pub(crate) at: usize,
    pub(crate) end: usize,
}

impl<'a> RdataView<'a> {
    /// Data without compression pointers that stands alone.
    pub(crate) const fn alone(bytes: &'a [u8]) -> Self {
        Self { message: bytes, at: 0, end: bytes.len() }
    }

    /// How many octets there are.
    #[inline]
    pub(crate) const fn len(self) -> usize {
        self.end.saturating_sub(self.at)
    }

    /// The octets as they are on the wire.
    #[inline]
    pub(crate) fn raw(self) -> &'a [u8] {
        self.message.get(self.at..self.end).unwrap_or(&[])
    }

    /// A reader that ends where the data ends.
    pub(crate) fn reader(self) -> Reader<'a> {
        Reader::at(self.message.get(..self.end).unwrap_or(&[]), self.at)
    }
}

impl PartialEq for RdataView<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.raw() == other.raw()
    }
}
impl Eq for RdataView<'_> {}

/// A record's data, typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RData<'a> {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// The canonical name of an alias.
    Cname(NameView<'a>),
    /// Where a subtree is redirected to.
    Dname(NameView<'a>),
    /// A name server of a zone.
    Ns(NameView<'a>),
    /// The name that a reverse name points to.
    Ptr(NameView<'a>),
    /// A mail exchange.
    Mx {
        /// Lower is preferred.
        preference: u16,
        /// The host.
        exchange: NameView<'a>,
    },
    /// A service's host.
    Srv {
        /// Lower is tried first.
        priority: u16,
        /// The share among hosts of one priority.
        weight: u16,
        /// TCP or UDP port.
        port: u16,
        /// The host; the root says that there is no such service.
        target: NameView<'a>,
    },
    /// Texts of at most 255 octets each.
    Txt(Strings<'a>),
    /// The start of a zone.
    Soa(Soa<'a>),
    /// A service binding, of type SVCB.
    Svcb(Svcb<'a>),
    /// A service binding, of type HTTPS.
    Https(Svcb<'a>),
    /// Anything else, unchanged (RFC 3597).
    Opaque {
        /// The type, for which this library has no view.
        rtype: RecordType,
        /// The octets.
        bytes: &'a [u8],
    },
}

/// The start of a zone (RFC 1035 §3.3.13); times in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Soa<'a> {
    /// The primary server.
    pub mname: NameView<'a>,
    /// The mailbox of who is responsible.
    pub rname: NameView<'a>,
    /// The version of the zone.
    pub serial: u32,
    /// How often secondaries look.
    pub refresh: u32,
    /// How often they look again after a failure.
    pub retry: u32,
    /// After which they give up.
    pub expire: u32,
    /// The negative TTL (RFC 2308 §4).
    pub minimum: u32,
}

/// A sequence of character-strings (RFC 1035 §3.3), each a length octet and as many octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strings<'a>(&'a [u8]);

impl<'a> Strings<'a> {
    /// The strings in `wire`; `None` unless it is at least one string, whole.
    pub fn from_wire(wire: &'a [u8]) -> Option<Self> {
        layout::check_strings(wire).then_some(Self(wire))
    }

    /// Each string.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        let mut reader = Reader::new(self.0);
        core::iter::from_fn(move || {
            let length = reader.u8().ok()?;
            reader.bytes(usize::from(length)).ok()
        })
    }
}

/// The typed view of checked data; `None` for types without one, and for addresses.
fn typed(rtype: RecordType, rdata: RdataView<'_>) -> Option<RData<'_>> {
    let mut r = rdata.reader();
    let name = |r: &Reader<'_>| Some(NameView::at_checked(rdata.message, r.position()));
    Some(match rtype {
        RecordType::CNAME => RData::Cname(name(&r)?),
        RecordType::DNAME => RData::Dname(name(&r)?),
        RecordType::NS => RData::Ns(name(&r)?),
        RecordType::PTR => RData::Ptr(name(&r)?),
        RecordType::MX => RData::Mx { preference: r.u16().ok()?, exchange: name(&r)? },
        RecordType::SRV => RData::Srv {
            priority: r.u16().ok()?,
            weight: r.u16().ok()?,
            port: r.u16().ok()?,
            target: name(&r)?,
        },
        RecordType::TXT | RecordType::SPF => RData::Txt(Strings(rdata.raw())),
        RecordType::SOA => RData::Soa(soa(rdata)?),
        RecordType::SVCB => RData::Svcb(Svcb::parse(rdata)?),
        RecordType::HTTPS => RData::Https(Svcb::parse(rdata)?),
        _ => return None,
    })
}

fn soa(rdata: RdataView<'_>) -> Option<Soa<'_>> {
    let mut r = rdata.reader();
    let mname = r.position();
    skip_checked(&mut r)?;
    let rname = r.position();
    skip_checked(&mut r)?;
    Some(Soa {
        mname: NameView::at_checked(rdata.message, mname),
        rname: NameView::at_checked(rdata.message, rname),
        serial: r.u32().ok()?,
        refresh: r.u32().ok()?,
        retry: r.u32().ok()?,
        expire: r.u32().ok()?,
        minimum: r.u32().ok()?,
    })
}

impl RData<'_> {
    /// The type that this is the data of; TXT for SPF, which has the data of TXT (RFC 7208 §3.1).
    pub const fn rtype(&self) -> RecordType {
        match self {
            Self::A(_) => RecordType::A,
            Self::Aaaa(_) => RecordType::AAAA,
            Self::Cname(_) => RecordType::CNAME,
            Self::Dname(_) => RecordType::DNAME,
            Self::Ns(_) => RecordType::NS,
            Self::Ptr(_) => RecordType::PTR,
            Self::Mx { .. } => RecordType::MX,
            Self::Srv { .. } => RecordType::SRV,
            Self::Txt(_) => RecordType::TXT,
            Self::Soa(_) => RecordType::SOA,
            Self::Svcb(_) => RecordType::SVCB,
            Self::Https(_) => RecordType::HTTPS,
            Self::Opaque { rtype, .. } => *rtype,
        }
    }

    /// Writes the data without its length and without compression. What stands in `w` after a
    /// failure is the caller's to take back.
    pub(crate) fn write(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        match self {
            Self::A(address) => w.bytes(&address.octets()),
            Self::Aaaa(address) => w.bytes(&address.octets()),
            Self::Cname(name) | Self::Dname(name) | Self::Ns(name) | Self::Ptr(name) => {
                name.write(w)
            }
            Self::Mx { preference, exchange } => {
                w.u16(*preference)?;
                exchange.write(w)
            }
            Self::Srv { priority, weight, port, target } => {
                w.u16(*priority)?;
                w.u16(*weight)?;
                w.u16(*port)?;
                target.write(w)
            }
            Self::Txt(strings) => w.bytes(strings.0),
            Self::Soa(soa) => {
                soa.mname.write(w)?;
                soa.rname.write(w)?;
                [soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum]
                    .iter()
                    .try_for_each(|&n| w.u32(n))
            }
            Self::Svcb(svcb) | Self::Https(svcb) => svcb.write(w),
            Self::Opaque { bytes, .. } => w.bytes(bytes),
        }
    }
}

#[cfg(test)]
mod tests;
