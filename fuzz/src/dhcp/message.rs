//! [`dhcp_message`]: message and options against a second walk, and every reading of every value.

use core::net::Ipv4Addr;

use bringup_dhcp::code::MessageType;
use bringup_dhcp::message::{Header, Message, MessageWriter};
use bringup_dhcp::options::Value;

/// One area of options, cut into code and value: RFC 2132 §2 by recursion on slices.
fn walk<'a>(area: &'a [u8], found: &mut Vec<(u8, &'a [u8])>) {
    match area {
        [] | [255, ..] | [1..=254] => {}
        [0, rest @ ..] => walk_on(rest, found),
        [code, length, rest @ ..] => {
            let Some((value, rest)) = rest.split_at_checked(usize::from(*length)) else { return };
            found.push((*code, value));
            walk_on(rest, found);
        }
    }
}

/// Long runs of PAD must not exhaust the stack.
fn walk_on<'a>(mut area: &'a [u8], found: &mut Vec<(u8, &'a [u8])>) {
    while let [0, rest @ ..] = area {
        area = rest;
    }
    walk(area, found);
}

/// All options of a message, RFC 2131 §4.1: the options field, then `file`, then `sname`.
fn options<'a>(field: &'a [u8], file: &'a [u8], sname: &'a [u8]) -> Vec<(u8, &'a [u8])> {
    let mut found = Vec::new();
    walk(field, &mut found);
    let overload = found.iter().find(|(code, _)| *code == 52).map_or(&[][..], |(_, value)| value);
    let mut more = Vec::new();
    if matches!(overload, [1 | 3]) {
        walk(file, &mut more);
    }
    if matches!(overload, [2 | 3]) {
        walk(sname, &mut more);
    }
    found.extend(more.into_iter().filter(|(code, _)| *code != 52));
    found
}

/// The same message comes out of two readings; whatever an option holds, each way to read it is total
/// and gives nothing that breaks a rule; what is written again reads the same.
pub fn dhcp_message(bytes: &[u8]) {
    let good = bytes.len() >= 240 && bytes[236..240] == [99, 130, 83, 99];
    let parsed = Message::parse(bytes);
    assert_eq!(parsed.is_ok(), good);
    let Ok(message) = parsed else { return };
    check_header(&message.header, bytes);
    assert_eq!((message.sname, message.file), (&bytes[44..108], &bytes[108..236]));
    let expected = options(&bytes[240..], message.file, message.sname);
    let read: Vec<_> = message.options().map(|o| (o.code, o.value.0)).collect();
    assert_eq!(read, expected);

    let kind = expected.iter().find(|(code, _)| *code == 53).and_then(|(_, value)| match value {
        [number @ 1..=18] => MessageType::from_u8(*number),
        _ => None,
    });
    assert_eq!(message.message_type(), kind);
    let mut scratch = vec![0; bytes.len()];
    for code in 0..=255 {
        let pieces: Vec<_> = expected.iter().filter(|(c, _)| *c == code).map(|(_, v)| *v).collect();
        assert_eq!(message.first(code).map(|v| v.0), pieces.first().copied());
        let joined = pieces.concat();
        let value = message.value(code, &mut scratch).expect("a message holds its options");
        assert_eq!(value.map(|v| v.0), (!pieces.is_empty()).then_some(&joined[..]));
        let mut short = vec![0; joined.len().saturating_sub(1)];
        let fits = message.value(code, &mut short).is_ok();
        assert_eq!(fits, pieces.len() < 2 || joined.is_empty());
        if !pieces.is_empty() {
            read_value(Value(&joined));
        }
    }
    write_again(&message, &expected);
}

fn check_header(header: &Header, bytes: &[u8]) {
    let address = |at: usize| Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
    assert_eq!([header.op, header.htype, header.hlen, header.hops], bytes[..4]);
    assert_eq!(header.xid.to_be_bytes(), bytes[4..8]);
    assert_eq!(header.secs.to_be_bytes(), bytes[8..10]);
    assert_eq!(header.flags.to_be_bytes(), bytes[10..12]);
    assert_eq!((header.ciaddr, header.yiaddr), (address(12), address(16)));
    assert_eq!((header.siaddr, header.giaddr), (address(20), address(24)));
    assert_eq!(header.chaddr, bytes[28..44]);
}

fn is_host_octet(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-' || b == b'_'
}

/// Reads a value in every way that there is.
pub(crate) fn read_value(value: Value<'_>) {
    let bytes = value.0;
    assert_eq!(value.u8().is_some(), bytes.len() == 1);
    assert_eq!(value.u16().is_some(), bytes.len() == 2);
    assert_eq!(value.u32().is_some(), bytes.len() == 4);
    assert_eq!(value.address().map(|a| a.octets().to_vec()), value.u32().map(|_| bytes.to_vec()));
    let addresses: Vec<_> = value.addresses().collect();
    let listed = bytes.chunks_exact(4).filter(|c| *c != [0; 4] && bytes.len() % 4 == 0);
    assert!(addresses.iter().map(|a| a.octets().to_vec()).eq(listed.map(<[u8]>::to_vec)));
    assert!(bytes.starts_with(value.text()) && value.text().last() != Some(&0));
    if let Some(length) = value.prefix_len() {
        let mask = u32::MAX << (32 - u32::from(length));
        assert_eq!(value.u32(), Some(mask), "{length}");
    } else if let Some(mask) = value.u32() {
        assert!(mask == 0 || (1..=32).all(|n| u32::MAX << (32 - n) != mask), "{mask:x}");
    }
    if let Some(name) = value.domain_name() {
        let text = name.as_str();
        assert!(!text.is_empty() && text.len() <= 253 && name.to_string() == text);
        let fits = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && label.bytes().all(is_host_octet)
        };
        assert!(text.split('.').all(fits), "{text}");
    }
    for name in value.search_names() {
        let labels: Vec<_> = name.labels().collect();
        let length: usize = labels.iter().map(|label| label.len() + 1).sum();
        assert!(!labels.is_empty() && length < 255);
        assert!(
            labels
                .iter()
                .all(|l| (1..=63).contains(&l.len()) && l.iter().all(|b| is_host_octet(*b)))
        );
        assert!(name.to_string().len() == length - 1);
    }
    assert!(value.search_names().count() <= bytes.len());
    if let Some(routes) = value.classless_routes() {
        let mut octets = 0;
        for route in routes {
            let host = u32::MAX.checked_shr(route.prefix_len.into()).unwrap_or(0);
            assert!(route.prefix_len <= 32 && u32::from(route.destination) & host == 0);
            octets += 5 + usize::from(route.prefix_len.div_ceil(8));
        }
        assert!(octets == bytes.len() && octets > 0, "all of them or none");
    }
    let mut inner = Vec::new();
    walk(bytes, &mut inner);
    let vendor: Vec<_> = value.vendor_options().map(|o| (o.code, o.value.0)).collect();
    assert_eq!(vendor, inner);
    let relay: usize = value.relay_suboptions().map(|o| o.value.0.len() + 2).sum();
    assert!(relay <= bytes.len());
}

/// Writes the options of a message into another one, in which they mean the same.
fn write_again(message: &Message<'_>, expected: &[(u8, &[u8])]) {
    let mut buffer = vec![0xEE; 20_000];
    let writer = MessageWriter::new(&mut buffer, &message.header, MessageType::Ack);
    let mut writer = writer.expect("a header fits");
    let mut codes: Vec<u8> = expected.iter().map(|(code, _)| *code).collect();
    codes.sort_unstable();
    codes.dedup();
    let joined = |code: u8| -> Vec<u8> {
        expected.iter().filter(|(c, _)| *c == code).flat_map(|(_, v)| v.iter().copied()).collect()
    };
    // Neither is another message's: option 53 stands in it already, and 52 is about its layout.
    codes.retain(|code| *code != 53 && *code != 52);
    for &code in &codes {
        writer.option(code, &joined(code)).expect("what came in a message goes into one");
    }
    let bytes = writer.finish().expect("END fits");
    let again = Message::parse(bytes).expect("what is written is well formed");
    assert_eq!(again.header, message.header);
    assert_eq!(again.message_type(), Some(MessageType::Ack));
    for code in codes {
        assert_eq!(again.pieces(code).collect::<Vec<_>>().concat(), joined(code));
    }
}
