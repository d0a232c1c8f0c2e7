//! [`dns_message`]: the parser against the structure checker, then every accessor, then the way back.

use bringup_dns::encode::Encoder;
use bringup_dns::message::{Message, Rcode, Section};
use bringup_dns::{Class, Name, NameView, RData, Record, RecordType};

use super::structure::{self, Labels, Rr, Structure};

const SECTIONS: [Section; 3] = [Section::Answer, Section::Authority, Section::Additional];

/// Types whose data has names in it that may be compressed, and no typed view: their octets mean
/// nothing outside of their message.
const TIED_TO_MESSAGE: [u16; 13] = [3, 4, 7, 8, 9, 14, 17, 18, 21, 24, 26, 30, 35];

/// The parser takes exactly what the structure checker takes and reads the same from it; the accessors
/// are total and agree; what can be written is read back the same.
pub fn dns_message(bytes: &[u8]) {
    let expected = structure::read(bytes);
    let parsed = Message::parse(bytes);
    assert_eq!(parsed.is_ok(), expected.is_some(), "{:?}", parsed.err());
    let (Ok(message), Some(expected)) = (parsed, expected) else { return };
    check_header(&message, bytes);
    check_question(&message, &expected);
    for (section, records) in SECTIONS.into_iter().zip(&expected.sections) {
        assert_eq!(usize::from(message.count(section)), records.len());
        let known: Vec<&Rr> = records.iter().filter(|rr| rr.rtype != 41).collect();
        let read: Vec<Record<'_>> = message.records(section).collect();
        assert_eq!(read.len(), known.len());
        for (record, rr) in read.iter().zip(known) {
            check_record(record, rr);
        }
        for pair in read.windows(2) {
            check_pair(pair[0].owner, pair[1].owner);
        }
    }
    check_edns(&message, &expected);
    write_again(&message);
}

fn check_header(message: &Message<'_>, bytes: &[u8]) {
    let header = message.header();
    let bit = |octet: usize, mask: u8| bytes[octet] & mask != 0;
    assert_eq!(header.id.to_be_bytes(), bytes[..2]);
    assert_eq!(
        [header.qr, header.aa, header.tc, header.rd, header.ra, header.ad, header.cd],
        [bit(2, 128), bit(2, 4), bit(2, 2), bit(2, 1), bit(3, 128), bit(3, 32), bit(3, 16)],
    );
    assert_eq!((header.opcode, header.rcode), (bytes[2] >> 3 & 15, bytes[3] & 15));
    assert_eq!(message.bytes(), bytes);
}

fn check_question(message: &Message<'_>, expected: &Structure) {
    assert_eq!(usize::from(message.question_count()), expected.questions.len());
    let read = message.question().map(|q| (labels(q.qname), q.qtype.0, q.qclass.0));
    assert_eq!(read.as_ref(), expected.questions.first());
}

fn labels(name: NameView<'_>) -> Labels {
    name.labels().map(<[u8]>::to_vec).collect()
}

fn check_name(name: NameView<'_>, expected: &Labels) {
    assert_eq!(&labels(name), expected);
    let mut wire: Vec<u8> = Vec::new();
    for label in expected {
        wire.push(u8::try_from(label.len()).expect("a label is short"));
        wire.extend(label);
    }
    wire.push(0);
    assert_eq!((name.label_count(), name.wire_len()), (expected.len(), wire.len()));
    assert_eq!(name.is_root(), expected.is_empty());
    let owned = name.to_name();
    assert_eq!(owned.as_wire(), wire);
    assert!(owned.view() == name && name.is_at_or_below(owned.view()));
    let again = Name::from_text(&owned.to_string()).expect("what is printed can be read");
    assert_eq!(again.as_wire(), wire, "{owned}");
}

/// Comparing in place is comparing the labels.
fn check_pair(a: NameView<'_>, b: NameView<'_>) {
    let fold =
        |name: NameView<'_>| -> Labels { name.labels().map(<[u8]>::to_ascii_lowercase).collect() };
    let (x, y) = (fold(a), fold(b));
    assert_eq!((a == b, b == a), (x == y, x == y));
    assert_eq!(a.is_at_or_below(b), x.ends_with(&y));
    assert_eq!(b.is_at_or_below(a), y.ends_with(&x));
}

fn check_record(record: &Record<'_>, rr: &Rr) {
    check_name(record.owner, &rr.owner);
    assert_eq!((record.rtype.0, record.class.0, record.ttl), (rr.rtype, rr.class, rr.ttl));
    let data = record.data();
    // SPF has the data of TXT (RFC 7208 §3.1), and is shown as that.
    let shown = if record.rtype == RecordType::SPF { RecordType::TXT } else { record.rtype };
    assert_eq!(data.rtype(), shown);
    // Printing is total, and never prints what a terminal would obey.
    let text = record.to_string();
    assert!(text.bytes().all(|b| b == b'\t' || (0x20..0x7F).contains(&b)), "{text:?}");
    match data {
        RData::A(address) => assert_eq!(address.octets(), *rr.rdata),
        RData::Aaaa(address) => assert_eq!(address.octets(), *rr.rdata),
        RData::Opaque { bytes, .. } => assert_eq!(bytes, rr.rdata),
        RData::Mx { preference, .. } => assert_eq!(preference.to_be_bytes(), rr.rdata[..2]),
        RData::Srv { priority, weight, port, .. } => {
            let numbers = [priority, weight, port].map(u16::to_be_bytes);
            assert_eq!(numbers.as_flattened(), &rr.rdata[..6]);
        }
        RData::Txt(strings) => {
            let octets: usize = strings.iter().map(|s| s.len() + 1).sum();
            assert_eq!(octets, rr.rdata.len());
        }
        RData::Soa(soa) => {
            let numbers = [soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum];
            let tail = &rr.rdata[rr.rdata.len() - 20..];
            assert_eq!(numbers.map(u32::to_be_bytes).as_flattened(), tail);
        }
        RData::Svcb(svcb) | RData::Https(svcb) => {
            let octets: usize = svcb.params().map(|(_, value)| value.len() + 4).sum();
            let whole = 2 + svcb.target.wire_len() + octets;
            assert!(!svcb.is_well_formed() || whole == rr.rdata.len());
        }
        RData::Cname(name) | RData::Dname(name) | RData::Ns(name) | RData::Ptr(name) => {
            assert!(name.wire_len() <= 255);
        }
    }
}

fn check_edns(message: &Message<'_>, expected: &Structure) {
    let opt = expected.sections[2].iter().find(|rr| rr.rtype == 41);
    let Some((edns, opt)) = message.edns().zip(opt) else {
        assert!(message.edns().is_none() && opt.is_none());
        assert_eq!(message.rcode(), Rcode(u16::from(message.header().rcode)));
        return;
    };
    assert_eq!(edns.udp_size, opt.class.max(512));
    let [high, version, flags, _] = opt.ttl.to_be_bytes();
    assert_eq!((edns.rcode_high, edns.version), (high, version));
    assert_eq!(edns.dnssec_ok, flags & 0x80 != 0);
    let octets: usize = edns.options().map(|(_, value)| value.len() + 4).sum();
    assert_eq!(octets, opt.rdata.len());
    assert_eq!(message.rcode().0, u16::from(high) * 16 + u16::from(message.header().rcode));
}

/// Writes what can be written of a message, and reads it back.
fn write_again(message: &Message<'_>) {
    let mut buffer = vec![0xEE; 65_535];
    let mut e = Encoder::new(&mut buffer, message.header()).expect("a header fits");
    if let Some(q) = message.question() {
        e.question(q.qname, q.qtype, q.qclass).expect("a question fits");
    }
    let mut written: [Vec<Record<'_>>; 3] = [const { Vec::new() }; 3];
    for (section, written) in SECTIONS.into_iter().zip(&mut written) {
        for record in message.records(section) {
            let data = record.data();
            let tied =
                matches!(data, RData::Opaque { rtype, .. } if TIED_TO_MESSAGE.contains(&rtype.0));
            // Decompressed, a message can be many times as long as it was.
            if record.class == Class::IN
                && !tied
                && e.record(section, record.owner, record.ttl, &data).is_ok()
            {
                written.push(record);
            }
        }
    }
    let bytes = e.finish().expect("the header stands");
    let again = Message::parse(bytes).expect("what is written is well formed");
    let header = |m: &Message<'_>| m.header();
    assert_eq!(header(&again), header(message));
    assert_eq!(again.question(), message.question());
    for (section, written) in SECTIONS.into_iter().zip(written) {
        let read: Vec<_> = again.records(section).collect();
        assert_eq!(read.len(), written.len());
        for (a, b) in read.iter().zip(&written) {
            // What SPF (99) holds is written as what it is: TXT.
            let rtype = b.data().rtype();
            assert_eq!((a.owner, a.rtype, a.class, a.ttl), (b.owner, rtype, b.class, b.ttl));
            assert_eq!(a.data(), b.data(), "{}", RecordType(b.rtype.0));
        }
    }
}
