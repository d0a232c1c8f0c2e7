//! A DNS message in the field's words.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use bringup_dns::message::{Edns, Header, Section};
use bringup_dns::{Malformed, Message};

use crate::cli::event::Answer;
use crate::cli::lookup::answer;

/// What a DNS message says. RFC 1035 §4.1.
#[derive(Clone, Debug, Serialize)]
pub struct Fields {
    id: u16,
    qr: bool,
    opcode: u8,
    aa: bool,
    tc: bool,
    rd: bool,
    ra: bool,
    ad: bool,
    cd: bool,
    /// With the bits of OPT; a mnemonic.
    rcode: String,
    /// How many questions there are; only the first is shown, since nobody sends more.
    qdcount: u16,
    question: Option<Question>,
    answer: Vec<Answer>,
    authority: Vec<Answer>,
    additional: Vec<Answer>,
    edns: Option<EdnsFields>,
}

/// The question.
#[derive(Clone, Debug, Serialize)]
struct Question {
    qname: String,
    qtype: String,
    qclass: String,
}

/// What OPT says. RFC 6891 §6.1.
#[derive(Clone, Debug, Serialize)]
struct EdnsFields {
    version: u8,
    udp_size: u16,
    #[serde(rename = "do")]
    dnssec_ok: bool,
    options: Vec<EdnsOption>,
}

/// An option of OPT.
#[derive(Clone, Debug, Serialize)]
struct EdnsOption {
    code: u16,
    /// In hexadecimal.
    data: String,
}

impl EdnsFields {
    fn of(edns: Edns<'_>) -> Self {
        let option = |(code, data)| EdnsOption { code, data: super::hex(data) };
        Self {
            version: edns.version,
            udp_size: edns.udp_size,
            dnssec_ok: edns.dnssec_ok,
            options: edns.options().map(option).collect(),
        }
    }
}

/// Reads a message.
pub(super) fn decode(bytes: &[u8]) -> Result<Fields, &'static str> {
    let message = Message::parse(bytes).map_err(Malformed::name)?;
    let section = |section| message.records(section).map(|r| answer(&r)).collect();
    let Header { id, qr, opcode, aa, tc, rd, ra, ad, cd, .. } = message.header();
    Ok(Fields {
        id,
        qr,
        opcode,
        aa,
        tc,
        rd,
        ra,
        ad,
        cd,
        rcode: message.rcode().to_string(),
        qdcount: message.question_count(),
        question: message.question().map(|q| Question {
            qname: q.qname.to_string(),
            qtype: q.qtype.to_string(),
            qclass: q.qclass.to_string(),
        }),
        answer: section(Section::Answer),
        authority: section(Section::Authority),
        additional: section(Section::Additional),
        edns: message.edns().map(EdnsFields::of),
    })
}

impl Display for Fields {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kind = if self.qr { "response" } else { "query" };
        write!(f, "DNS {kind}, id {}, opcode {}, {}", self.id, self.opcode, self.rcode)?;
        let flags = [
            ("aa", self.aa),
            ("tc", self.tc),
            ("rd", self.rd),
            ("ra", self.ra),
            ("ad", self.ad),
            ("cd", self.cd),
        ];
        for (name, _) in flags.iter().filter(|(_, set)| *set) {
            write!(f, " {name}")?;
        }
        if let Some(Question { qname, qtype, qclass }) = &self.question {
            write!(f, "\n  question    {qname}\t{qclass}\t{qtype}")?;
        }
        let sections = [
            ("answer    ", &self.answer),
            ("authority ", &self.authority),
            ("additional", &self.additional),
        ];
        for (name, records) in sections {
            for Answer { owner, rtype, ttl, data } in records {
                write!(f, "\n  {name}  {owner}\t{ttl}\t{rtype}\t{data}")?;
            }
        }
        let Some(edns) = &self.edns else { return Ok(()) };
        write!(f, "\n  edns        version {}, {} octets", edns.version, edns.udp_size)?;
        for EdnsOption { code, data } in &edns.options {
            write!(f, ", option {code} {data}")?;
        }
        Ok(())
    }
}
