//! Properties of `bringup-ntp`.

pub(crate) mod accept;
pub(crate) mod client;
pub(crate) mod packet;
pub(crate) mod timestamp;

/// Whether a reference identifier is text, as that of a kiss has to be (RFC 5905 §7.4): letters, then zeros.
fn is_text(id: &[u8]) -> bool {
    let zeros = id.iter().position(|octet| *octet == 0).unwrap_or(id.len());
    let (letters, rest) = id.split_at(zeros);
    !letters.is_empty()
        && letters.iter().all(|octet| matches!(octet, 33..=126))
        && rest.iter().all(|octet| *octet == 0)
}
