extern crate std;
use super::*;
use crate::malformed::Malformed;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

fn parse(message: &[u8], at: usize) -> Result<(String, usize), Malformed> {
    let mut reader = Reader::at(message, at);
    let view = read_name(message, &mut reader, Pointers::Allowed)?;
    Ok((view.to_string(), reader.position()))
}

/// A message of 12 header octets and then `tail`.
fn after_header(tail: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 12];
    message.extend_from_slice(tail);
    message
}

#[test]
fn rule_1_and_3_names_on_the_wire() {
    use Malformed::*;
    for (row, tail, at, expected) in [
        ("root", &b"\0"[..], 12, Ok((".", 13))),
        ("two labels", b"\x03www\x02de\0", 12, Ok(("www.de.", 20))),
        ("a pointer to a name", b"\x01a\0\xC0\x0C", 15, Ok(("a.", 17))),
        ("labels and a pointer", b"\x01a\0\x01b\xC0\x0C", 15, Ok(("b.a.", 19))),
        ("pointer to pointer", b"\x01a\0\xC0\x0C\xC0\x0F", 17, Ok(("a.", 19))),
        ("pointer to itself", b"\xC0\x0C", 12, Err(PointerNotBackwards)),
        ("pointer to its own labels", b"\x01a\xC0\x0C", 12, Err(PointerNotBackwards)),
        ("pointer forward", b"\xC0\x0E\0", 12, Err(PointerNotBackwards)),
        ("pointer into the header", b"\xC0\x0B", 12, Err(PointerIntoHeader)),
        ("half a pointer at the end", b"\x01a\xC0", 12, Err(Truncated)),
        ("label past the end", b"\x05ab", 12, Err(Truncated)),
        ("no root", b"\x01a", 12, Err(Truncated)),
        ("nothing", b"", 12, Err(Truncated)),
        ("0x40 label", b"\x41a\0", 12, Err(LabelType)),
        ("0x80 label", b"\x80a\0", 12, Err(LabelType)),
    ] {
        let expected = expected.map(|(text, end): (&str, usize)| (text.to_string(), end));
        assert_eq!(parse(&after_header(tail), at), expected, "{row}");
    }
}

/// A name of 255 octets: 63 + 63 + 63 + 61 with their length octets, and the root.
fn longest() -> Vec<u8> {
    let mut wire = Vec::new();
    for n in [63u8, 63, 63, 61] {
        wire.push(n);
        wire.extend(core::iter::repeat_n(b'x', usize::from(n)));
    }
    wire.push(0);
    wire
}

#[test]
fn rule_1_255_octets_are_a_name_and_256_are_not() {
    let wire = longest();
    assert_eq!(wire.len(), MAX_NAME);
    let name = Name::from_wire(&wire).expect("255 octets");
    assert_eq!(Name::from_text(&name.to_string()), Ok(name));
    let mut longer = wire;
    longer.splice(192..193, [62]);
    longer.insert(193, b'x');
    assert!(Name::from_wire(&longer).is_none());
    let text = format!("{0}.{0}.{0}.{1}", "x".repeat(63), "x".repeat(62));
    assert_eq!(Name::from_text(&text), Err(NameError::TooLong));
    // By pointers: a label of 60 before a name of 255.
    let mut message = after_header(&longest());
    let at = message.len();
    message.extend_from_slice(b"\x01a\xC0\x0C");
    assert_eq!(parse(&message, at), Err(Malformed::NameTooLong));
}

#[test]
fn rule_2_a_chain_of_128_pointers_is_followed_and_129_are_not() {
    let mut message = after_header(b"\0");
    let mut target = 12u16;
    for hops in 1..=129 {
        let at = message.len();
        message.extend_from_slice(&(0xC000 | target).to_be_bytes());
        target = u16::try_from(at).unwrap();
        let expected = if hops <= 128 {
            Ok((String::from("."), at + 2))
        } else {
            Err(Malformed::PointerChain)
        };
        assert_eq!(parse(&message, at), expected, "{hops}");
    }
}

#[test]
fn rule_5_names_compare_by_label_and_without_case() {
    for (a, b, equal) in [
        ("www.Example.COM", "WWW.example.com.", true),
        (r"a\.b.c", "a.b.c", false),
        (r"a\.b.c", r"A\.B.C", true),
        (r"a\000b", r"a\001b", false),
        ("a", "a.b", false),
        ("[.example", "{.example", false),
        (r"\193.example", r"\225.example", false),
    ] {
        let (a, b) = (Name::from_text(a).unwrap(), Name::from_text(b).unwrap());
        assert_eq!(a.view() == b.view(), equal, "{a} {b}");
        assert_eq!(a == b, equal, "{a} {b}");
    }
}

#[test]
fn rule_5_text_goes_in_and_comes_out_escaped() {
    for (text, printed) in [
        ("a.b", "a.b."),
        (".", "."),
        (r"a\.b.c", r"a\.b.c."),
        (r"a\\b", r"a\\b."),
        (r"a\032b", r"a\032b."),
        (r"a\ b", r"a\032b."),
        (r"\000\255", r"\000\255."),
        (r"\065", "A."),
        (r"a\.", r"a\.."),
        (r"a\..", r"a\.."),
    ] {
        let name = Name::from_text(text).unwrap();
        assert_eq!(name.to_string(), printed);
        assert_eq!(Name::from_text(printed), Ok(name));
    }
    assert_eq!(Name::from_text_absolute(r"a\.").map(|n| n.1), Ok(false));
    assert_eq!(Name::from_text_absolute("a.").map(|n| n.1), Ok(true));
}

#[test]
fn bug_1_bad_texts_are_refused() {
    use NameError::*;
    for (text, error) in [
        ("", Empty),
        ("a..b", EmptyLabel),
        (".a", EmptyLabel),
        ("..", EmptyLabel),
        (r"a\", Escape),
        (r"a\1", Escape),
        (r"a\12", Escape),
        (r"a\256", Escape),
        (r"a\12x", Escape),
        ("ä.de", Character),
        ("a b", Character),
    ] {
        assert_eq!(Name::from_text(text), Err(error), "{text:?}");
    }
    let label = "x".repeat(64);
    assert_eq!(Name::from_text(&label), Err(LabelTooLong));
    let text = format!("{0}.{0}.{0}.{1}.", "x".repeat(63), "x".repeat(61));
    assert_eq!(text.len(), 254, "253 and a dot");
    assert!(Name::from_text(&text).is_ok());
}

#[test]
fn the_short_way_reads_what_the_long_way_does_or_nothing() {
    let mut seed = 5u32;
    let mut dice = |sides: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) % sides
    };
    let mut short_ways = 0;
    for round in 0..20_000 {
        // Mostly letters, in labels that are now and then too long, or none; some names are too long.
        let (length, dots) = (dice([8, 80, 300][round % 3]), 2 + dice(70));
        let text: String = (0..length)
            .map(|_| match (dice(dots), dice(200)) {
                (0, _) => '.',
                (_, 0) => ['\\', ' ', 'ä', '\0', '0'][usize::try_from(dice(5)).unwrap()],
                (_, n) => char::from(b"abXYz09-_*:"[usize::try_from(n % 11).unwrap()]),
            })
            .collect();
        let [mut short, mut long] = [[0xEE; MAX_NAME]; 2];
        let expected = write_text(&text, &mut Writer::new(&mut long));
        if let Some(written) = write_plain(&text, &mut short) {
            assert_eq!(Ok(written), expected, "{round}: {text}");
            let length = usize::from(written.0);
            assert_eq!(short.get(..length), long.get(..length), "{round}: {text}");
            short_ways += 1;
        } else {
            let is_plain = !text.contains('\\') && text != ".";
            assert!(expected.is_err() || !is_plain, "{round}: {text}");
        }
    }
    assert!(short_ways > 2_000, "{short_ways}");
}

#[test]
fn ancestors_are_told_by_whole_labels() {
    for (name, above, expected) in [
        ("a.b.c", "b.c", true),
        ("a.b.c", "A.B.C", true),
        ("a.b.c", ".", true),
        ("xb.c", "b.c", false),
        ("c", "b.c", false),
    ] {
        let (n, a) = (Name::from_text(name).unwrap(), Name::from_text(above).unwrap());
        assert_eq!(n.view().is_at_or_below(a.view()), expected, "{name} {above}");
    }
}

#[test]
fn joined_names_stay_within_255_octets() {
    let longest = Name::from_wire(&longest()).unwrap();
    let (a, b) = (Name::from_text("a").unwrap(), Name::from_text("b.c").unwrap());
    assert_eq!(a.join(b.view()), Name::from_text("a.b.c").ok());
    assert_eq!(a.join(longest.view()), None);
    assert_eq!(longest.join(Name::ROOT.view()), Some(longest.clone()));
}
