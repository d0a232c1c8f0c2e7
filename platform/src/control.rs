//! The control messages that come with a datagram: timestamps and packet data.

use core::mem::size_of;

/// The control messages of one datagram, in the kernel's own layout: a `size_t` length, level and
/// type, the data, then padding to a multiple of `size_t`.
pub(crate) struct Messages<'a>(pub(crate) &'a [u8]);

/// One control message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ControlMessage<'a> {
    pub(crate) level: i32,
    pub(crate) kind: i32,
    pub(crate) data: &'a [u8],
}

const WORD: usize = size_of::<usize>();
const HEADER: usize = WORD + 8;

fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl<'a> Iterator for Messages<'a> {
    type Item = ControlMessage<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from_ne_bytes(*self.0.first_chunk()?);
        let level = i32_at(self.0, WORD)?;
        let kind = i32_at(self.0, WORD + 4)?;
        let data = self.0.get(HEADER..length)?;
        let next = length.checked_next_multiple_of(WORD)?;
        // The last one may lack its padding.
        self.0 = self.0.get(next..).unwrap_or(&[]);
        Some(ControlMessage { level, kind, data })
    }
}

/// The payload of `SCM_TIMESTAMPNS` in nanoseconds since 1970: two `long`s, or on 32-bit machines
/// with a 64-bit `time_t` two 64-bit numbers.
#[cfg(feature = "std")]
pub(crate) fn timestamp_ns(data: &[u8]) -> Option<i64> {
    let (seconds, nanos) = match data.len() {
        8 => (i64::from(i32_at(data, 0)?), i64::from(i32_at(data, 4)?)),
        16 => (i64::from_ne_bytes(*data.first_chunk()?), i64::from_ne_bytes(*data.last_chunk()?)),
        _ => return None,
    };
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// Bits of that status word: the sender left the checksum to hardware that was never passed, or: the
/// receiving hardware has checked it.
pub(crate) const CHECKSUM_UNCHECKABLE: u32 = 1 << 3 | 1 << 7;

/// The status word of `PACKET_AUXDATA`, its first field.
pub(crate) fn auxdata_status(data: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(*data.first_chunk()?))
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut bytes = (HEADER + data.len()).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(WORD), 0);
        bytes
    }

    #[test]
    fn messages_are_walked_with_their_padding() {
        let mut bytes = message(1, 2, b"abc");
        bytes.extend(message(3, 4, b""));
        let found: Vec<_> = Messages(&bytes).map(|m| (m.level, m.kind, m.data)).collect();
        assert_eq!(found, [(1, 2, &b"abc"[..]), (3, 4, &b""[..])]);
    }

    #[test]
    fn cut_and_lying_messages_end_the_walk() {
        let bytes = message(1, 2, b"abcdefgh");
        for end in 0..bytes.len() {
            assert_eq!(Messages(&bytes[..end]).next(), None, "cut at {end}");
        }
        for length in [0, HEADER - 1, usize::MAX] {
            let mut lying = bytes.clone();
            lying[..WORD].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(Messages(&lying).next(), None, "length {length}");
        }
    }

    #[test]
    fn timestamps_of_both_sizes() {
        let long = [3_i64.to_ne_bytes(), 5_i64.to_ne_bytes()].concat();
        let short = [3_i32.to_ne_bytes(), 5_i32.to_ne_bytes()].concat();
        assert_eq!(timestamp_ns(&long), Some(3_000_000_005));
        assert_eq!(timestamp_ns(&short), Some(3_000_000_005));
        assert_eq!(timestamp_ns(&long[1..]), None);
    }
}
