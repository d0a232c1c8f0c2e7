//! [`Message`], a received message: checked once, read in place.
//!
//! [`Message::parse`] walks the whole message and checks every name, every length and the place of
//! OPT; after it no accessor can fail. [`encode`](crate::encode) is the other direction.

use core::fmt;

use bringup_core::wire::Reader;

use crate::malformed::Malformed;
use crate::name::{NameView, Names, Pointers, read_checked, read_name};
use crate::record::{Class, RdataView, Record, RecordType, layout};

/// The header's length, octets (RFC 1035 §4.1.1).
pub const HEADER_LEN: usize = 12;

/// A response code: four bits of the header, eight more from OPT (RFC 6891 §6.1.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rcode(pub u16);

impl Rcode {
    /// No error.
    pub const NOERROR: Self = Self(0);
    /// The server could not interpret the query.
    pub const FORMERR: Self = Self(1);
    /// The server failed.
    pub const SERVFAIL: Self = Self(2);
    /// The name does not exist.
    pub const NXDOMAIN: Self = Self(3);
    /// The server does not do that.
    pub const NOTIMP: Self = Self(4);
    /// The server will not answer this client.
    pub const REFUSED: Self = Self(5);
    /// A DNAME makes the name longer than 255 octets (RFC 6672 §2.2).
    pub const YXDOMAIN: Self = Self(6);
    /// The server does not know this version of EDNS (RFC 6891 §9).
    pub const BADVERS: Self = Self(16);
    /// The server cookie is wrong or missing (RFC 7873 §8).
    pub const BADCOOKIE: Self = Self(23);
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NOERROR => f.pad("NOERROR"),
            Self::FORMERR => f.pad("FORMERR"),
            Self::SERVFAIL => f.pad("SERVFAIL"),
            Self::NXDOMAIN => f.pad("NXDOMAIN"),
            Self::NOTIMP => f.pad("NOTIMP"),
            Self::REFUSED => f.pad("REFUSED"),
            Self::YXDOMAIN => f.pad("YXDOMAIN"),
            Self::BADVERS => f.pad("BADVERS"),
            Self::BADCOOKIE => f.pad("BADCOOKIE"),
            Self(other) => write!(f, "RCODE{other}"),
        }
    }
}

impl fmt::Debug for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The first four octets of a message (RFC 1035 §4.1.1). The Z bit is not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Chosen by who asks, repeated by who answers.
    pub id: u16,
    /// This is a response.
    pub qr: bool,
    /// 0 is an ordinary query; 0 to 15.
    pub opcode: u8,
    /// The server is an authority for the name.
    pub aa: bool,
    /// The message was cut off.
    pub tc: bool,
    /// The server is asked to recurse.
    pub rd: bool,
    /// The server recurses.
    pub ra: bool,
    /// The data is authentic, as far as the server can tell (RFC 4035 §3.2.3).
    pub ad: bool,
    /// The server is asked not to check (RFC 4035 §3.2.2).
    pub cd: bool,
    /// The header's part of the response code, 0 to 15.
    pub rcode: u8,
}

impl Header {
    /// The header of `id` and flags as they are on the wire.
    pub(crate) const fn from_wire(id: u16, flags: u16) -> Self {
        let [high, low] = flags.to_be_bytes();
        Self {
            id,
            qr: high & 0x80 != 0,
            opcode: high >> 3 & 0x0F,
            aa: high & 0x04 != 0,
            tc: high & 0x02 != 0,
            rd: high & 0x01 != 0,
            ra: low & 0x80 != 0,
            ad: low & 0x20 != 0,
            cd: low & 0x10 != 0,
            rcode: low & 0x0F,
        }
    }

    /// The flags as they are on the wire, Z zero.
    pub(crate) fn flags(self) -> u16 {
        let bit = |set: bool, mask: u16| if set { mask } else { 0 };
        bit(self.qr, 0x8000)
            | u16::from(self.opcode & 0x0F) << 11
            | bit(self.aa, 0x0400)
            | bit(self.tc, 0x0200)
            | bit(self.rd, 0x0100)
            | bit(self.ra, 0x0080)
            | bit(self.ad, 0x0020)
            | bit(self.cd, 0x0010)
            | u16::from(self.rcode & 0x0F)
    }
}

/// A question (RFC 1035 §4.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// Which name.
    pub qname: NameView<'a>,
    /// Which type.
    pub qtype: RecordType,
    /// Which class.
    pub qclass: Class,
}

/// A section of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// Who is responsible, or the SOA of a negative answer.
    Authority,
    /// What may help.
    Additional,
}

/// What a message's OPT record says (RFC 6891 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns<'a> {
    /// The largest UDP payload that the sender can take, octets; less than 512 means 512 (§6.2.3).
    pub udp_size: u16,
    /// The upper eight bits of the response code.
    pub rcode_high: u8,
    /// The version of EDNS.
    pub version: u8,
    /// DNSSEC records are wanted (RFC 3225).
    pub dnssec_ok: bool,
    /// The options as they are on the wire; [`options`](Self::options) reads them.
    pub(crate) options: &'a [u8],
}

impl<'a> Edns<'a> {
    /// Each option's code and data.
    pub fn options(self) -> impl Iterator<Item = (u16, &'a [u8])> + Clone {
        let mut reader = Reader::new(self.options);
        core::iter::from_fn(move || {
            let code = reader.u16().ok()?;
            let length = reader.u16().ok()?;
            Some((code, reader.bytes(usize::from(length)).ok()?))
        })
    }

    fn parse(record: &Record<'a>) -> Result<Self, Malformed> {
        if !record.owner.is_root() {
            return Err(Malformed::OptOwner);
        }
        let [rcode_high, version, flags, _] = record.ttl.to_be_bytes();
        let options = record.rdata.raw();
        let mut reader = Reader::new(options);
        while !reader.is_empty() {
            let skipped = reader.u16().and_then(|_| reader.u16());
            let skipped = skipped.and_then(|length| reader.skip(usize::from(length)));
            skipped.map_err(|_| Malformed::OptOption)?;
        }
        let udp_size = record.class.0.max(512);
        Ok(Self { udp_size, rcode_high, version, dnssec_ok: flags & 0x80 != 0, options })
    }
}

/// A received message, checked.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    header: Header,
    /// How many questions.
    questions: u16,
    /// How many records each section has.
    counts: [u16; 3],
    /// Where each section starts.
    starts: [usize; 3],
    edns: Option<Edns<'a>>,
}

impl<'a> Message<'a> {
    /// Checks `bytes` as a whole. Octets behind the last record are let pass, as BIND does.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Self::parse_behind(bytes, None)
    }

    /// The same; `question_end` is where the one question ends, if there is one and it has been read.
    pub(crate) fn parse_behind(
        bytes: &'a [u8],
        question_end: Option<usize>,
    ) -> Result<Self, Malformed> {
        Self::parse_from(bytes, question_end, |_, _| ())
    }

    /// The same, and shows each record but OPT as soon as it has been checked: who only wants to pick
    /// some of them out needs no second walk. If the result is an error, what was shown is part of no
    /// message and must not be used.
    #[inline]
    pub fn parse_with(
        bytes: &'a [u8],
        each: impl FnMut(Section, &Record<'a>),
    ) -> Result<Self, Malformed> {
        Self::parse_from(bytes, None, each)
    }

    #[inline]
    fn parse_from(
        bytes: &'a [u8],
        question_end: Option<usize>,
        mut each: impl FnMut(Section, &Record<'a>),
    ) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let [i0, i1, f0, f1, q0, q1, an0, an1, ns0, ns1, ar0, ar1] = r.array::<HEADER_LEN>()?;
        let header = Header::from_wire(u16::from_be_bytes([i0, i1]), u16::from_be_bytes([f0, f1]));
        let questions = u16::from_be_bytes([q0, q1]);
        let counts = [[an0, an1], [ns0, ns1], [ar0, ar1]].map(u16::from_be_bytes);
        let mut message =
            Self { bytes, header, questions, counts, starts: [HEADER_LEN; 3], edns: None };
        // The least that so many questions and records take: 5 and 11 octets each.
        let records: usize = counts.iter().copied().map(usize::from).sum();
        if 5 * usize::from(questions) + 11 * records > r.remaining() {
            return Err(Malformed::Counts);
        }
        let mut names = Names::none();
        if let Some(end) = question_end {
            r = Reader::at(bytes, end);
            names = Names::of_question(end.saturating_sub(HEADER_LEN + 4));
        }
        for n in 0..if question_end.is_some() { 0 } else { questions } {
            read_question(bytes, &mut r)?;
            if n == 0 {
                names = Names::of_question(r.position() - HEADER_LEN - 4);
            }
        }
        for section in [Section::Answer, Section::Authority, Section::Additional] {
            message.starts[section as usize] = r.position();
            for _ in 0..counts[section as usize] {
                let owner = names.read(bytes, &mut r, Pointers::Allowed)?;
                let record = read_rest(bytes, &mut r, owner)?;
                if record.rtype != RecordType::OPT {
                    layout::check(record.rtype, record.class, record.rdata, &mut names)?;
                    each(section, &record);
                } else if section != Section::Additional {
                    return Err(Malformed::OptSection);
                } else if message.edns.replace(Edns::parse(&record)?).is_some() {
                    return Err(Malformed::OptTwice);
                }
            }
        }
        Ok(message)
    }

    /// The header.
    pub const fn header(&self) -> Header {
        self.header
    }

    /// The message as it is on the wire.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many questions there are; a response to a query has one.
    pub const fn question_count(&self) -> u16 {
        self.questions
    }

    /// How many records a section has, OPT included.
    pub const fn count(&self, section: Section) -> u16 {
        let [answer, authority, additional] = self.counts;
        match section {
            Section::Answer => answer,
            Section::Authority => authority,
            Section::Additional => additional,
        }
    }

    /// The first question, if there is any.
    pub fn question(&self) -> Option<Question<'a>> {
        let mut reader = Reader::at(self.bytes, HEADER_LEN);
        (self.questions > 0).then(|| read_question(self.bytes, &mut reader).ok()).flatten()
    }

    /// The records of a section, without OPT.
    pub fn records(&self, section: Section) -> Records<'a> {
        let [answer, authority, additional] = self.starts;
        let start = match section {
            Section::Answer => answer,
            Section::Authority => authority,
            Section::Additional => additional,
        };
        let reader = Reader::at(self.bytes, start);
        Records { bytes: self.bytes, reader, left: self.count(section) }
    }

    /// What the OPT record says, if there is one.
    pub const fn edns(&self) -> Option<Edns<'a>> {
        self.edns
    }

    /// The whole response code.
    pub fn rcode(&self) -> Rcode {
        let high = self.edns.map_or(0, |edns| u16::from(edns.rcode_high));
        Rcode(high << 4 | u16::from(self.header.rcode))
    }
}

/// The records of a section.
#[derive(Clone)]
pub struct Records<'a> {
    bytes: &'a [u8],
    reader: Reader<'a>,
    left: u16,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        while self.left > 0 {
            self.left -= 1;
            // The message has been checked.
            let owner = read_checked(self.bytes, &mut self.reader)?;
            let record = read_rest(self.bytes, &mut self.reader, owner).ok()?;
            if record.rtype != RecordType::OPT {
                return Some(record);
            }
        }
        None
    }
}

/// Reads a question and moves past it.
#[inline]
pub(crate) fn read_question<'a>(
    bytes: &'a [u8],
    r: &mut Reader<'a>,
) -> Result<Question<'a>, Malformed> {
    let qname = read_name(bytes, r, Pointers::Allowed)?;
    Ok(Question { qname, qtype: RecordType(r.u16()?), qclass: Class(r.u16()?) })
}

/// Reads what follows a record's owner, and moves past it.
#[inline]
fn read_rest<'a>(
    bytes: &'a [u8],
    r: &mut Reader<'a>,
    owner: NameView<'a>,
) -> Result<Record<'a>, Malformed> {
    // One look at what is left for all four fields.
    let [t0, t1, c0, c1, a, b, c, d, l0, l1] = r.array::<10>()?;
    let at = r.position();
    r.skip(usize::from(u16::from_be_bytes([l0, l1])))?;
    Ok(Record {
        owner,
        rtype: RecordType(u16::from_be_bytes([t0, t1])),
        class: Class(u16::from_be_bytes([c0, c1])),
        ttl: u32::from_be_bytes([a, b, c, d]),
        rdata: RdataView { message: bytes, at, end: r.position() },
    })
}

#[cfg(test)]
mod tests;
