//! [`Encoder`] writes messages: the client's queries, and the responses of a server.
//!
//! Compression is never searched for: an owner that is the question's name becomes a pointer to it,
//! everything else is written out. What does not fit is not written at all.

use bringup_core::wire::{Full, Writer};

use crate::message::{HEADER_LEN, Header, Rcode, Section};
use crate::name::NameView;
use crate::record::{Class, RData, RecordType};

/// Why something was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// It does not fit into the buffer.
    Full,
    /// Sections are written in their order: question, answer, authority, additional.
    Order,
}

impl From<Full> for EncodeError {
    fn from(Full: Full) -> Self {
        Self::Full
    }
}

/// A pointer to offset 12, where the first question's name stands.
const QNAME_POINTER: u16 = 0xC000 | 12;

/// Writes one message.
#[derive(Debug)]
pub struct Encoder<'b> {
    w: Writer<'b>,
    header: Header,
    /// Questions, answers, authority, additional.
    counts: [u16; 4],
    /// Index into `counts` of the section being written.
    section: usize,
}

impl<'b> Encoder<'b> {
    /// Starts a message.
    pub fn new(buffer: &'b mut [u8], header: Header) -> Result<Self, EncodeError> {
        let mut w = Writer::new(buffer);
        w.zeros(HEADER_LEN)?;
        Ok(Self { w, header, counts: [0; 4], section: 0 })
    }

    /// Adds a question.
    pub fn question(
        &mut self,
        qname: NameView<'_>,
        qtype: RecordType,
        qclass: Class,
    ) -> Result<(), EncodeError> {
        self.add(0, |w, _| {
            qname.write(w)?;
            w.u16(qtype.0)?;
            w.u16(qclass.0)
        })
    }

    /// Adds a record of class IN; `ttl` in seconds.
    pub fn record(
        &mut self,
        section: Section,
        owner: NameView<'_>,
        ttl: u32,
        data: &RData<'_>,
    ) -> Result<(), EncodeError> {
        let section = match section {
            Section::Answer => 1,
            Section::Authority => 2,
            Section::Additional => 3,
        };
        self.add(section, |w, has_question| {
            if has_question && is_qname(w.written(), owner) {
                w.u16(QNAME_POINTER)?;
            } else {
                owner.write(w)?;
            }
            w.u16(data.rtype().0)?;
            w.u16(Class::IN.0)?;
            w.u32(ttl)?;
            let length_at = w.position();
            w.u16(0)?;
            data.write(w)?;
            let length = w.position() - length_at - 2;
            w.patch(length_at, &u16::try_from(length).map_err(|_| Full)?.to_be_bytes())
        })
    }

    /// Adds the OPT record: version 0, no flags, `options` in wire form (RFC 6891 §6.1.2).
    pub fn edns(&mut self, udp_size: u16, rcode: Rcode, options: &[u8]) -> Result<(), EncodeError> {
        let [_, rcode_high] = (rcode.0 >> 4).to_be_bytes();
        self.add(3, |w, _| {
            w.u8(0)?;
            w.u16(RecordType::OPT.0)?;
            w.u16(udp_size)?;
            w.bytes(&[rcode_high, 0, 0, 0])?;
            w.u16(u16::try_from(options.len()).map_err(|_| Full)?)?;
            w.bytes(options)
        })
    }

    /// Sets TC: a record did not fit, and the client is to come back over TCP.
    pub fn set_tc(&mut self) {
        self.header.tc = true;
    }

    /// Ends the message.
    pub fn finish(self) -> Result<&'b mut [u8], EncodeError> {
        let Self { mut w, header, counts: [qd, an, ns, ar], .. } = self;
        let words = [header.id, header.flags(), qd, an, ns, ar];
        for (word, at) in words.iter().zip((0..).step_by(2)) {
            w.patch(at, &word.to_be_bytes())?;
        }
        Ok(w.finish())
    }

    /// Writes one entry of a section, or nothing.
    fn add(
        &mut self,
        section: usize,
        write: impl FnOnce(&mut Writer<'b>, bool) -> Result<(), Full>,
    ) -> Result<(), EncodeError> {
        let start = self.w.position();
        let has_question = self.counts[0] > 0;
        if section < self.section {
            return Err(EncodeError::Order);
        }
        let count = self.counts.get_mut(section).ok_or(EncodeError::Order)?;
        let next = count.checked_add(1).ok_or(EncodeError::Full)?;
        write(&mut self.w, has_question).inspect_err(|_| self.w.truncate(start))?;
        *count = next;
        self.section = section;
        Ok(())
    }
}

/// Whether the name at offset 12 of `written` is `owner`.
fn is_qname(written: &[u8], owner: NameView<'_>) -> bool {
    let mut reader = bringup_core::wire::Reader::at(written, HEADER_LEN);
    let qname = crate::name::read_name(written, &mut reader, crate::name::Pointers::Refused);
    qname.is_ok_and(|qname| qname == owner)
}

/// What a query asks for, besides its question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryFlags {
    /// The UDP payload size in the OPT record; `None` leaves OPT out.
    pub edns_udp_size: Option<u16>,
    /// Ask the server to say whether the data is authentic (RFC 6840 §5.7).
    pub ad: bool,
    /// Ask the server not to check signatures, whose dates need a clock (RFC 4035 §3.2.2).
    pub cd: bool,
}

/// Writes a query of one question, class IN, RD set.
pub fn query<'b>(
    buffer: &'b mut [u8],
    id: u16,
    qname: NameView<'_>,
    qtype: RecordType,
    flags: QueryFlags,
) -> Result<&'b mut [u8], EncodeError> {
    query_with(buffer, id, (qname, qtype), flags, &[])
}

/// The same with EDNS options in wire form; these need OPT.
pub fn query_with<'b>(
    buffer: &'b mut [u8],
    id: u16,
    (qname, qtype): (NameView<'_>, RecordType),
    flags: QueryFlags,
    options: &[u8],
) -> Result<&'b mut [u8], EncodeError> {
    let header = Header { id, rd: true, ad: flags.ad, cd: flags.cd, ..Header::default() };
    let mut encoder = Encoder::new(buffer, header)?;
    encoder.question(qname, qtype, Class::IN)?;
    if let Some(size) = flags.edns_udp_size {
        encoder.edns(size, Rcode::NOERROR, options)?;
    }
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;
    use crate::name::Name;

    #[test]
    fn rule_10_a_query_octet_by_octet() {
        let name = Name::from_text("a.de").unwrap();
        let flags = QueryFlags { edns_udp_size: Some(1232), ad: false, cd: false };
        // A poisoned buffer: no octet of it may get out (glibc CVE-2026-0915).
        let mut buffer = [0xEE; 64];
        let bytes = query(&mut buffer, 0x1234, name.view(), RecordType::AAAA, flags).unwrap();
        assert_eq!(
            bytes,
            b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\x01\x01a\x02de\0\0\x1C\0\x01\
              \0\0\x29\x04\xD0\0\0\0\0\0\0"
        );
        for size in 0..bytes.len() {
            let mut short = [0; 64];
            let short = short.get_mut(..size).unwrap();
            let result = query(short, 1, name.view(), RecordType::AAAA, flags);
            assert_eq!(result, Err(EncodeError::Full), "{size}");
        }
    }

    #[test]
    fn a_record_that_does_not_fit_leaves_no_trace() {
        let name = Name::from_text("a.de").unwrap();
        let mut buffer = [0; 40];
        let mut e = Encoder::new(&mut buffer, Header { qr: true, ..Header::default() }).unwrap();
        e.question(name.view(), RecordType::A, Class::IN).unwrap();
        let a = RData::A([192, 0, 2, 1].into());
        e.record(Section::Answer, name.view(), 60, &a).unwrap();
        assert_eq!(e.record(Section::Answer, name.view(), 60, &a), Err(EncodeError::Full));
        e.set_tc();
        assert_eq!(e.question(name.view(), RecordType::A, Class::IN), Err(EncodeError::Order));
        let message = Message::parse(e.finish().unwrap()).unwrap();
        assert!(message.header().tc);
        assert_eq!(message.records(Section::Answer).count(), 1);
    }

    #[test]
    fn bug_28_hickory_rustsec_2026_0119_names_are_not_searched_for() {
        let [qname, other] = ["a.de", "b.c.de"].map(|text| Name::from_text(text).unwrap());
        let mut buffer = [0; 4_096];
        let mut e = Encoder::new(&mut buffer, Header { qr: true, ..Header::default() }).unwrap();
        e.question(qname.view(), RecordType::CNAME, Class::IN).unwrap();
        let target = RData::Cname(other.view());
        for owner in [&qname, &other, &other] {
            e.record(Section::Answer, owner.view(), 60, &target).unwrap();
        }
        // The question's name is pointed at; every other one is written out, however often.
        let (head, rest) = (12 + 6 + 4, 10 + 8);
        assert_eq!(e.finish().unwrap().len(), head + (2 + rest) + 2 * (8 + rest));
    }
}
