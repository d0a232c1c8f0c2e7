//! [`dns_name`]: names between text and wire, against a second reading of both forms.

use bringup_dns::name::{Name, NameView};

use super::structure;
use crate::data::Data;

/// The labels that a text spells, and whether it ended in a dot; `None` if it is no name.
fn spell(text: &str) -> Option<(Vec<Vec<u8>>, bool)> {
    if text == "." {
        return Some((Vec::new(), true));
    }
    let octets = text.as_bytes();
    let mut labels = vec![Vec::new()];
    let mut at = 0;
    let mut dot_last = false;
    while at < octets.len() {
        let octet = octets[at];
        at += 1;
        dot_last = octet == b'.';
        let value = match octet {
            b'.' => {
                labels.push(Vec::new());
                continue;
            }
            b'\\' => match *octets.get(at)? {
                b'0'..=b'9' => {
                    let digits = text.get(at..at + 3)?;
                    if !digits.bytes().all(|b| b.is_ascii_digit()) {
                        return None;
                    }
                    at += 3;
                    digits.parse::<u8>().ok()?
                }
                other => {
                    at += 1;
                    (b' '..=b'~').contains(&other).then_some(other)?
                }
            },
            b'!'..=b'~' => octet,
            _ => return None,
        };
        labels.last_mut()?.push(value);
    }
    if dot_last {
        labels.pop();
    }
    let good = labels.iter().all(|label| (1..=63).contains(&label.len()));
    let length: usize = labels.iter().map(|label| label.len() + 1).sum();
    (good && !labels.is_empty() && length < 255).then_some((labels, dot_last))
}

fn wire_of(labels: &[Vec<u8>]) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in labels {
        wire.push(u8::try_from(label.len()).expect("a label is short"));
        wire.extend(label);
    }
    wire.push(0);
    wire
}

/// Texts are read as the master file form says, wire forms are taken if they are one whole name, and
/// each name printed is read back as it was.
pub fn dns_name(bytes: &[u8]) {
    let mut data = Data::new(bytes);
    let wire = data.chunk();
    let text = String::from_utf8_lossy(data.rest());
    let read = Name::from_text_absolute(&text);
    let expected = spell(&text).map(|(labels, absolute)| (wire_of(&labels), absolute));
    let as_wire = read.as_ref().ok().map(|(name, dot)| (name.as_wire().to_vec(), *dot));
    assert_eq!(as_wire, expected, "{text:?}");
    if let Ok((name, _)) = &read {
        check(name);
    }

    let taken = Name::from_wire(wire);
    let whole = structure::name(wire, 0, wire.len(), false).filter(|(_, end)| *end == wire.len());
    assert_eq!(taken.as_ref().map(Name::as_wire), whole.as_ref().map(|_| wire));
    let Some(taken) = taken else { return };
    check(&taken);
    if let Ok((name, _)) = read {
        let length = name.as_wire().len() + wire.len() - 1;
        let joined = name.join(taken.view());
        assert_eq!(joined.is_some(), length <= 255);
        let Some(joined) = joined else { return };
        check(&joined);
        assert!(joined.view().is_at_or_below(taken.view()));
        assert_eq!(joined.as_wire().len(), length);
        let same = name.as_wire().eq_ignore_ascii_case(taken.as_wire());
        assert_eq!((name == taken, name.view() == taken.view()), (same, same));
    }
}

fn check(name: &Name) {
    let text = name.to_string();
    assert!(text.bytes().all(|b| (0x21..0x7F).contains(&b)) && text.ends_with('.'), "{text:?}");
    let (again, absolute) = Name::from_text_absolute(&text).expect("what is printed can be read");
    assert!(absolute && again.as_wire() == name.as_wire(), "{text:?}");
    assert_eq!(Name::from_wire(name.as_wire()).as_ref(), Some(name));
    assert_eq!(name.view().to_name().as_wire(), name.as_wire());
    assert!(name.view().is_at_or_below(NameView::ROOT));
}
