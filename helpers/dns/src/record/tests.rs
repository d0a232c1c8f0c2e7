extern crate std;
use super::*;
use crate::name::Names;
use crate::testing::name;
use std::format;
use std::string::ToString;
use std::vec::Vec;

#[test]
fn types_have_names_in_and_out() {
    for (text, rtype) in [
        ("A", RecordType::A),
        ("aaaa", RecordType::AAAA),
        ("https", RecordType::HTTPS),
        ("TYPE65280", RecordType(65280)),
        ("type28", RecordType::AAAA),
    ] {
        assert_eq!(RecordType::from_text(text), Some(rtype), "{text}");
        assert_eq!(RecordType::from_text(&rtype.to_string()), Some(rtype));
    }
    for text in ["", "TYPE", "TYPE65536", "TYPE+1", "TYPE-1", "AX", "typ1"] {
        assert_eq!(RecordType::from_text(text), None, "{text}");
    }
}

#[test]
fn data_is_printed_as_dig_does() {
    let target = name("mail.example");
    let odd = name(r"a\.b\000\255.c");
    let txt = |wire| RData::Txt(Strings::from_wire(wire).unwrap());
    let params = b"\0\x01\0\x06\x02h2\x02h3\0\x03\0\x02\x01\xBB\0\x04\0\x04\xC0\0\x02\x01";
    let https = Svcb::new(1, NameView::ROOT, params).unwrap();
    let odd_params = b"\0\x02\0\0\0\x05\0\x02\"\xFF\x02\x9A\0\x01x";
    // RFC 9460 appendix A.1; a list of keys, an address, and, where values mean nothing, those that are too
    // short for their keys.
    let commas = b"\0\x01\0\x0C\x08f\\oo,bar\x02h2";
    let lists = b"\0\0\0\x04\0\x01\x02\x9A\0\x06\0\x10\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x01";
    let short = b"\0\0\0\x01a\0\x03\0\x01b\0\x04\0\x03cde\0\x06\0\x03fgh";
    // Base64, as BIND prints it.
    let ech = [&b"\0\x05\0\x04\0\x45\xFE\x0D"[..], b"\0\x05\0\x03\xFB\xFF\xFE", b"\0\x05\0\x01i"];
    let service = |n, params| RData::Svcb(Svcb::new(n, NameView::ROOT, params).unwrap());
    for (data, text) in [
        (service(1, &commas[..]), r#"1 . alpn="f\\\\oo\\,bar,h2""#),
        (service(1, lists), "1 . mandatory=alpn,key666 ipv6hint=2001:db8::1"),
        (service(1, ech[0]), "1 . ech=AEX+DQ=="),
        (service(1, ech[1]), "1 . ech=+//+"),
        (service(1, ech[2]), "1 . ech=aQ=="),
        (service(0, short), r#"0 . mandatory="a" port="b" ipv4hint="cde" ipv6hint="fgh""#),
        (RData::A([192, 0, 2, 1].into()), "192.0.2.1"),
        (RData::Aaaa(Ipv6Addr::LOCALHOST), "::1"),
        (RData::Mx { preference: 10, exchange: target.view() }, "10 mail.example."),
        (RData::Srv { priority: 1, weight: 2, port: 53, target: NameView::ROOT }, "1 2 53 ."),
        (RData::Ptr(odd.view()), r"a\.b\000\255.c."),
        (txt(b"\x05a b\"\\\x00\x02\x07\xFF"), r#""a b\"\\" "" "\007\255""#),
        (RData::Https(https), r#"1 . alpn="h2,h3" port=443 ipv4hint=192.0.2.1"#),
        (
            RData::Svcb(Svcb::new(0, target.view(), odd_params).unwrap()),
            r#"0 mail.example. no-default-alpn ech=Iv8= key666="x""#,
        ),
        (RData::Opaque { rtype: RecordType(4711), bytes: &[0, 0xAB] }, r"\# 2 00AB"),
        (RData::Opaque { rtype: RecordType(4711), bytes: &[] }, r"\# 0"),
    ] {
        assert_eq!(data.to_string(), text);
    }
}

#[test]
fn rule_45_keys_of_a_service_increase() {
    for (params, ok) in [
        (&b""[..], true),
        (b"\0\x02\0\0\0\x05\0\0", true),
        (b"\0\x03\0\0\0\x01\0\0", false),
        (b"\0\x01\0\0\0\x01\0\0", false),
        (b"\0\x01\0\x01", false),
        (b"\0\x01\0", false),
    ] {
        assert_eq!(Svcb::new(1, NameView::ROOT, params).is_some(), ok, "{params:?}");
    }
}

#[test]
fn data_stands_alone_once_expanded() {
    // "mail.example" at offset 12, then an MX whose exchange is a pointer to it.
    let mut message = std::vec![0; 12];
    message.extend_from_slice(name("mail.example").as_wire());
    let at = message.len();
    message.extend_from_slice(b"\0\x0A\x01x\xC0\x0C");
    let rdata = RdataView { message: &message, at, end: message.len() };
    assert_eq!(layout::check(RecordType::MX, Class::IN, rdata, &mut Names::none()), Ok(()));
    let mut buffer = [0; 64];
    let mut w = Writer::new(&mut buffer);
    layout::expand(RecordType::MX, Class::IN, rdata, &mut w).unwrap();
    assert_eq!(w.position(), layout::expanded_len(RecordType::MX, Class::IN, rdata));
    let record = Record {
        owner: NameView::ROOT,
        rtype: RecordType::MX,
        class: Class::IN,
        ttl: 1,
        rdata: RdataView::alone(w.written()),
    };
    assert_eq!(record.data().to_string(), "10 x.mail.example.");
    let texts: Vec<_> = [record].iter().map(|r| format!("{r}")).collect();
    assert_eq!(texts, [".\t1\tIN\tMX\t10 x.mail.example."]);
}

#[test]
fn rule_45_names_are_found_in_every_type_that_may_compress_them() {
    // RFC 1035, and those that RFC 3597 §4 lists: what stands before the names, and how many there are.
    for (rtype, before, names) in [
        (2, 0, 1),
        (3, 0, 1),
        (4, 0, 1),
        (5, 0, 1),
        (7, 0, 1),
        (8, 0, 1),
        (9, 0, 1),
        (12, 0, 1),
        (14, 0, 2),
        (15, 2, 1),
        (17, 0, 2),
        (18, 2, 1),
        (21, 2, 1),
        (24, 18, 1),
        (26, 2, 2),
        (30, 0, 1),
        (33, 6, 1),
    ] {
        let rtype = RecordType(rtype);
        let mut message = std::vec![0; 12];
        message.extend_from_slice(name("mail.example").as_wire());
        let at = message.len();
        message.extend(std::vec![1; before]);
        for _ in 0..names {
            message.extend_from_slice(b"\xC0\x0C");
        }
        let rdata = RdataView { message: &message, at, end: message.len() };
        assert_eq!(layout::check(rtype, Class::IN, rdata, &mut Names::none()), Ok(()), "{rtype}");
        let length = before + names * name("mail.example").as_wire().len();
        assert_eq!(layout::expanded_len(rtype, Class::IN, rdata), length, "{rtype}");
        let mut buffer = [0; 64];
        let mut w = Writer::new(&mut buffer);
        layout::expand(rtype, Class::IN, rdata, &mut w).unwrap();
        assert!(w.written().ends_with(name("mail.example").as_wire()), "{rtype}");
        assert_eq!(w.position(), length, "{rtype}");
    }
}

#[test]
fn what_a_type_means_in_the_internet_it_does_not_mean_elsewhere() {
    let chaos = Class(3);
    for (rtype, data) in [
        (RecordType::A, &b"\xC0\0\x02\x01"[..]),
        (RecordType::AAAA, b"0123456789abcdef"),
        (RecordType::SRV, b"\0\0\0\0\0\0\0"),
    ] {
        let of = |class| {
            let rdata = RdataView::alone(data);
            Record { owner: NameView::ROOT, rtype, class, ttl: 1, rdata }
        };
        assert_eq!(of(chaos).data(), RData::Opaque { rtype, bytes: data });
        assert_eq!(of(chaos).address(), None);
        let elsewhere = data.to_vec();
        let same = Record { rdata: RdataView::alone(&elsewhere), ..of(chaos) };
        let other = Record { rdata: RdataView::alone(b""), ..same };
        assert!(of(chaos) == same && same != other);
        assert_ne!(of(Class::IN).data(), RData::Opaque { rtype, bytes: data });
    }
}

#[test]
fn rule_45_data_is_exactly_what_its_type_asks_for() {
    for (rtype, data, expected) in [
        (RecordType::A, &b"\xC0\0\x02\x01"[..], true),
        (RecordType::A, b"\xC0\0\x02", false),
        (RecordType::A, b"\xC0\0\x02\x01\0", false),
        (RecordType::AAAA, b"0123456789abcdef", true),
        (RecordType::AAAA, b"0123456789abcde", false),
        (RecordType::AAAA, b"0123456789abcdef0", false),
        (RecordType::HINFO, b"\x01a\x01b", true),
        (RecordType::HINFO, b"\x01a\x01", false),
        (RecordType(4711), b"", true),
    ] {
        let rdata = RdataView::alone(data);
        let checked = layout::check(rtype, Class::IN, rdata, &mut Names::none());
        assert_eq!(checked.is_ok(), expected, "{rtype} {data:?}");
    }
}
