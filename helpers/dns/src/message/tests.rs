extern crate std;
use super::*;
use crate::testing::{Reply, a};
use std::string::ToString;
use std::vec::Vec;

/// A response to the question `x. A` with these bytes behind the question.
fn response(counts: [u16; 3], tail: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x12\x34\x81\x80\0\x01".to_vec();
    counts.iter().for_each(|n| bytes.extend_from_slice(&n.to_be_bytes()));
    bytes.extend_from_slice(b"\x01x\0\0\x01\0\x01");
    bytes.extend_from_slice(tail);
    bytes
}

/// A record of the root's owner name.
fn rr(rtype: u16, class: u16, rdata: &[u8]) -> Vec<u8> {
    let mut bytes = std::vec![0];
    bytes.extend_from_slice(&rtype.to_be_bytes());
    bytes.extend_from_slice(&class.to_be_bytes());
    bytes.extend_from_slice(&[0, 0, 0, 9]);
    bytes.extend_from_slice(&u16::try_from(rdata.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(rdata);
    bytes
}

#[test]
fn a_header_is_read_and_written_bit_by_bit() {
    for bit in 0..16 {
        let flags = 1u16 << bit;
        let header = Header::from_wire(7, flags);
        // Only Z is not kept.
        assert_eq!(header.flags(), flags & !0x0040, "bit {bit}");
    }
    let header = Header::from_wire(7, 0x8583);
    assert!(header.qr && header.aa && header.rd && header.ra && !header.tc);
    assert_eq!((header.opcode, header.rcode), (0, 3));
}

#[test]
fn a_message_is_read_in_place() {
    let query = response([0; 3], &[]);
    let reply = Reply::to(&query).cname("x", 60, "y.example").answer("y.example", 30, &a(1));
    let bytes = reply.soa("example", 5, 6).bytes();
    let message = Message::parse(&bytes).unwrap();
    let question = message.question().unwrap();
    assert_eq!((question.qname.to_string().as_str(), question.qtype), ("x.", RecordType::A));
    let text: Vec<_> = message.records(Section::Answer).map(|r| r.to_string()).collect();
    assert_eq!(text, ["x.\t60\tIN\tCNAME\ty.example.", "y.example.\t30\tIN\tA\t192.0.2.1"]);
    let soa = message.records(Section::Authority).next().unwrap();
    assert_eq!(soa.data().to_string(), "ns.example. root.example. 1 2 3 4 6");
    assert_eq!(message.edns().map(|e| e.udp_size), Some(1232));
    assert_eq!(message.count(Section::Additional), 1);
    assert_eq!(message.records(Section::Additional).count(), 0, "OPT is no record");
}

#[test]
fn every_prefix_of_a_message_is_malformed_and_none_panics() {
    let reply = Reply::to(&response([0; 3], &[])).cname("x", 60, "y").answer("y", 30, &a(1));
    let bytes = reply.bytes();
    for end in 0..bytes.len() {
        assert!(Message::parse(&bytes[..end]).is_err(), "{end}");
    }
    assert!(Message::parse(&bytes).is_ok());
}

#[test]
fn rule_8_and_bug_11_counts_that_do_not_fit_are_refused_before_anything_is_read() {
    let counts = b"\0\0\x81\x80\0\0\xFF\xFF\xFF\xFF\xFF\xFF";
    assert_eq!(Message::parse(counts).err(), Some(Malformed::Counts));
    let one_too_many = response([1, 0, 0], &[0; 8]);
    assert_eq!(Message::parse(&one_too_many).err(), Some(Malformed::Counts));
}

#[test]
fn rule_9_opt_is_one_of_the_root_and_in_its_section() {
    let opt = rr(41, 100, &[]);
    let twice = [&opt[..], &opt].concat();
    let mut owned = opt.clone();
    owned.splice(0..1, *b"\x01a\0");
    let option = rr(41, 100, &[0, 10, 0, 2, 1, 2]);
    let short = rr(41, 100, &[0, 10, 0, 3, 1, 2]);
    for (row, counts, tail, expected) in [
        ("one", [0, 0, 1], &opt, None),
        ("with an option", [0, 0, 1], &option, None),
        ("two", [0, 0, 2], &twice, Some(Malformed::OptTwice)),
        ("in the answer", [1, 0, 0], &opt, Some(Malformed::OptSection)),
        ("with an owner", [0, 0, 1], &owned, Some(Malformed::OptOwner)),
        ("a short option", [0, 0, 1], &short, Some(Malformed::OptOption)),
    ] {
        assert_eq!(Message::parse(&response(counts, tail)).err(), expected, "{row}");
    }
    let bytes = response([0, 0, 1], &option);
    let edns = Message::parse(&bytes).unwrap().edns().unwrap();
    assert_eq!(edns.udp_size, 512, "less than 512 is 512");
    assert!(edns.options().eq([(10, &[1u8, 2][..])]));
    let mut high = rr(41, 1232, &[]);
    high[5] = 1;
    let bytes = response([0, 0, 1], &high);
    assert_eq!(Message::parse(&bytes).unwrap().rcode(), Rcode::BADVERS);
}

#[test]
fn rule_4_many_records_of_one_long_name() {
    // A name of 127 labels, and 5,000 records of it.
    let mut bytes = b"\x12\x34\x81\x80\0\x01\x13\x88\0\0\0\0".to_vec();
    (0..127).for_each(|_| bytes.extend_from_slice(b"\x01x"));
    bytes.extend_from_slice(b"\0\0\x01\0\x01");
    for _ in 0..5_000 {
        bytes.extend_from_slice(b"\xC0\x0C");
        bytes.extend_from_slice(&rr(16, 1, b"\0")[1..]);
    }
    bytes.truncate(65_535);
    let message = Message::parse(&bytes).unwrap();
    let first = message.records(Section::Answer).next().unwrap();
    assert_eq!(first.owner.label_count(), 127);
    assert_eq!(message.records(Section::Answer).count(), 5_000);
}

#[test]
fn rule_1_a_pointer_that_was_followed_before_counts_in_full() {
    // A name of 200 octets, and an alias of it with a label before it: 254 octets, 255, 256.
    for (label, expected) in [(53, Ok(())), (54, Ok(())), (55, Err(Malformed::NameTooLong))] {
        let mut bytes = b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0".to_vec();
        for length in [63, 63, 63, 6] {
            bytes.push(length);
            bytes.extend(std::iter::repeat_n(b'x', usize::from(length)));
        }
        bytes.extend_from_slice(b"\0\0\x05\0\x01");
        let mut rdata = std::vec![label];
        rdata.extend(std::iter::repeat_n(b'y', usize::from(label)));
        rdata.extend_from_slice(b"\xC0\x0C");
        bytes.extend_from_slice(b"\xC0\x0C");
        bytes.extend_from_slice(&rr(5, 1, &rdata)[1..]);
        assert_eq!(Message::parse(&bytes).map(|_| ()), expected, "{label}");
    }
}

#[test]
fn rule_4_and_bug_10_chains_of_pointers_do_not_burn_time() {
    // Each owner points at the one before: the 129th hop is refused.
    let mut deep = b"\x12\x34\x81\x80\0\0\0\xC8\0\0\0\0".to_vec();
    let first = u16::try_from(deep.len()).unwrap();
    deep.extend_from_slice(b"\x01x\0\0\x10\0\x01\0\0\0\x09\0\x01\0");
    let mut target = first;
    for _ in 1..200 {
        let here = u16::try_from(deep.len()).unwrap();
        deep.extend_from_slice(&(0xC000 | target).to_be_bytes());
        deep.extend_from_slice(b"\0\x10\0\x01\0\0\0\x09\0\x01\0");
        target = here;
    }
    assert_eq!(Message::parse(&deep).err(), Some(Malformed::PointerChain));
    // Every owner points at another one of two names of 127 labels: nothing to remember helps.
    let mut two = b"\x12\x34\x81\x80\0\x02\x13\x88\0\0\0\0".to_vec();
    for _ in 0..2 {
        (0..127).for_each(|_| two.extend_from_slice(b"\x01x"));
        two.extend_from_slice(b"\0\0\x01\0\x01");
    }
    for n in 0..5_000u16 {
        let at = 12 + (n % 2) * 259;
        two.extend_from_slice(&(0xC000 | at).to_be_bytes());
        two.extend_from_slice(b"\0\x10\0\x01\0\0\0\x09\0\x01\0");
    }
    two.truncate(65_535);
    let message = Message::parse(&two).unwrap();
    assert_eq!(message.records(Section::Answer).count(), 5_000);
}

#[test]
fn rule_6_and_bug_3_every_type_at_every_length() {
    // What each type asks for, without compression; one octet more or less is refused.
    let soa = [&b"\x01a\0\x01b\0"[..], &[0; 20]].concat();
    for (rtype, rdata) in [
        (1u16, &[1u8, 2, 3, 4][..]),
        (28, &[0; 16]),
        (2, b"\x01a\0"),
        (5, b"\x01a\0"),
        (12, b"\x01a\0"),
        (39, b"\x01a\0"),
        (15, b"\0\x0A\x01a\0"),
        (33, b"\0\0\0\0\0\x35\x01a\0"),
        (6, &soa),
        (13, b"\x01a\x01b"),
        (35, b"\0\0\0\0\x01a\x01b\x01c\x01a\0"),
    ] {
        for length in 0..rdata.len() + 2 {
            let padded = [rdata, &[0; 2]].concat();
            let bytes = response([1, 0, 0], &rr(rtype, 1, &padded[..length]));
            let expected = (length != rdata.len()).then_some(Malformed::RdataLength);
            let got = Message::parse(&bytes).err();
            assert_eq!(got, expected, "type {rtype}, length {length}");
            if rtype == 1 {
                let other_class = response([1, 0, 0], &rr(rtype, 3, &padded[..length]));
                assert!(Message::parse(&other_class).is_ok(), "opaque in another class");
            }
        }
    }
    for (rdata, ok) in
        [(&b""[..], false), (b"\0", true), (b"\x01a\x02b", false), (b"\x01a\0", true)]
    {
        let bytes = response([1, 0, 0], &rr(16, 1, rdata));
        assert_eq!(Message::parse(&bytes).is_ok(), ok, "TXT {rdata:?}");
    }
}

#[test]
fn rule_7_where_pointers_are_accepted() {
    for (rtype, rdata, expected) in [
        (5u16, &b"\xC0\x0C"[..], None),
        (15, b"\0\x01\xC0\x0C", None),
        (33, b"\0\0\0\0\0\0\xC0\x0C", None),
        (39, b"\xC0\x0C", Some(Malformed::PointerRefused)),
        (65, b"\0\x01\xC0\x0C", Some(Malformed::PointerRefused)),
        (65, b"\0\x01\0", None),
        (4711, b"\xC0\x0C", None),
    ] {
        let bytes = response([1, 0, 0], &rr(rtype, 1, rdata));
        assert_eq!(Message::parse(&bytes).err(), expected, "type {rtype}");
    }
    let bytes = response([1, 0, 0], &rr(4711, 1, b"\xC0\x0C"));
    let record = Message::parse(&bytes).unwrap().records(Section::Answer).next().unwrap();
    assert_eq!(record.data().to_string(), r"\# 2 C00C", "unknown types stay as they are");
}

#[test]
fn random_octets_are_never_a_panic() {
    use bringup_core::client::Rng as _;
    let mut rng = crate::testing::Seeded(4);
    let good = Reply::to(&response([0; 3], &[])).cname("x", 9, "y").answer("y", 9, &a(1)).bytes();
    for _ in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..=rng.below(4) {
            let at = usize::try_from(rng.below(bytes.len().try_into().unwrap())).unwrap();
            bytes[at] = rng.u16().to_be_bytes()[0];
        }
        let Ok(message) = Message::parse(&bytes) else { continue };
        for section in [Section::Answer, Section::Authority, Section::Additional] {
            let texts: Vec<_> = message.records(section).map(|r| r.to_string()).collect();
            let read = texts.len();
            let opt = usize::from(section == Section::Additional && message.edns().is_some());
            assert_eq!(read + opt, usize::from(message.count(section)));
        }
    }
}
