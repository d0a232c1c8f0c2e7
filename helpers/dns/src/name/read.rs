//! Reading a name where it stands: checked once, with the pointers that it ends in.

use bringup_core::wire::Reader;

use super::{MAX_NAME, NameView};
use crate::malformed::Malformed;

/// The most pointers followed for one name. No name with a label between any two hops has more.
const MAX_HOPS: u8 = 128;
/// The length of a message's header; no name lies in it.
const HEADER: usize = 12;

/// Whether compression pointers are accepted where a name stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pointers {
    /// Accepted, as in all owners and the RDATA of RFC 1035.
    Allowed,
    /// Refused: the type's RFC forbids senders to compress.
    Refused,
}

/// A pointer that has been followed, where it leads to, and how long the name there is.
#[derive(Clone, Copy)]
struct Known {
    /// The pointer as it is on the wire; more than 16 bits if there is none.
    pointer: u32,
    at: usize,
    length: usize,
}

/// The names that pointers have stood for: that of the question, which most records are of, and the last
/// one. Thousands of records that point at one long name are checked in the time of one.
#[derive(Clone, Copy)]
pub(crate) struct Names([Known; 2]);

impl Names {
    /// None so far.
    pub(crate) const fn none() -> Self {
        Self([Known { pointer: u32::MAX, at: 0, length: 0 }; 2])
    }

    /// Those of a message that begins with this question; its name is not compressed, since nothing
    /// stands before it.
    pub(crate) const fn of_question(length: usize) -> Self {
        let Self([_, none]) = Self::none();
        Self([Known { pointer: 0xC000 | 12, at: HEADER, length }, none])
    }

    /// Checks the name at `reader` and moves past it.
    ///
    /// `message` is what pointers count from; `reader` reads a prefix of it. Every pointer must lead to
    /// before the run of labels that it ends, so that a chain of them ends (RFC 1035 §4.1.4).
    #[inline]
    pub(crate) fn read<'a>(
        &mut self,
        message: &'a [u8],
        reader: &mut Reader<'a>,
        pointers: Pointers,
    ) -> Result<NameView<'a>, Malformed> {
        let start = reader.position();
        let bytes = message.get(..start + reader.remaining()).unwrap_or(&[]);
        let mut at = start;
        // Most names are labels up to the root, or end in a pointer that has been followed before.
        loop {
            let head = *bytes.get(at).ok_or(Malformed::Truncated)?;
            if head > 0x3F {
                let pointer = bytes.get(at..).and_then(|rest| rest.first_chunk::<2>());
                let known = pointer.and_then(|pointer| self.find(u16::from_be_bytes(*pointer)));
                // Whoever pointed there stands before this name, and has counted the hops.
                return match known.filter(|k| at - start + k.length <= MAX_NAME) {
                    Some(known) if pointers == Pointers::Allowed => {
                        *reader = Reader::at(bytes, at + 2);
                        Ok(NameView { message, at: if at == start { known.at } else { start } })
                    }
                    _ => self.follow(message, reader, at - start, pointers),
                };
            }
            at += 1 + usize::from(head);
            if head == 0 {
                break;
            }
        }
        if at - start > MAX_NAME {
            return Err(Malformed::NameTooLong);
        }
        *reader = Reader::at(bytes, at);
        Ok(NameView { message, at: start })
    }

    #[inline]
    fn find(&self, pointer: u16) -> Option<Known> {
        let Self([question, last]) = self;
        [question, last].into_iter().find(|known| known.pointer == u32::from(pointer)).copied()
    }

    /// The rest of a name, from the head octet that is no label's; so many octets of labels stand before it.
    fn follow<'a>(
        &mut self,
        message: &'a [u8],
        reader: &mut Reader<'a>,
        before: usize,
        pointers: Pointers,
    ) -> Result<NameView<'a>, Malformed> {
        let start = reader.position();
        let mut cursor = *reader;
        cursor.skip(before)?;
        let (mut length, mut run, mut hops) = (before, start, 0u8);
        // The first pointer, where it leads to, and what comes after it.
        let mut first = None;
        loop {
            if length > MAX_NAME {
                return Err(Malformed::NameTooLong);
            }
            let head = cursor.u8()?;
            match head & 0xC0 {
                0xC0 => {
                    let [low, target] = [cursor.u8()?, head & 0x3F].map(usize::from);
                    let target = target << 8 | low;
                    first.get_or_insert((target, cursor));
                    hops += 1;
                    if pointers == Pointers::Refused {
                        return Err(Malformed::PointerRefused);
                    }
                    if target < HEADER {
                        return Err(Malformed::PointerIntoHeader);
                    }
                    if target >= run {
                        return Err(Malformed::PointerNotBackwards);
                    }
                    if hops > MAX_HOPS {
                        return Err(Malformed::PointerChain);
                    }
                    run = target;
                    cursor = Reader::at(message, target);
                }
                0x00 => {
                    length += 1 + usize::from(head);
                    if head == 0 {
                        break;
                    }
                    cursor.skip(usize::from(head))?;
                }
                // 0x40 and 0x80 are reserved (RFC 1035 §4.1.4), binary labels deprecated (RFC 6891 §5).
                _ => return Err(Malformed::LabelType),
            }
        }
        if length > MAX_NAME {
            return Err(Malformed::NameTooLong);
        }
        // It begins with a head that is no label's, so there was a pointer.
        let (target, after) = first.ok_or(Malformed::LabelType)?;
        let Self([_, last]) = self;
        let pointer = u32::try_from(0xC000 | target).unwrap_or(u32::MAX);
        *last = Known { pointer, at: target, length: length - before };
        *reader = after;
        // A view starts at its first label, so that equal names mostly start alike.
        Ok(NameView { message, at: if before == 0 { target } else { start } })
    }
}

/// The same for a name that stands alone.
pub(crate) fn read_name<'a>(
    message: &'a [u8],
    reader: &mut Reader<'a>,
    pointers: Pointers,
) -> Result<NameView<'a>, Malformed> {
    Names::none().read(message, reader, pointers)
}

/// Reads a name that has been checked, and moves past it. One that is a pointer is given as what it points at,
/// so that equal names mostly start alike.
#[inline]
pub(crate) fn read_checked<'a>(message: &'a [u8], reader: &mut Reader<'a>) -> Option<NameView<'a>> {
    let start = reader.position();
    let head = reader.u8().ok()?;
    if head >= 0xC0 {
        let target = usize::from(head & 0x3F) << 8 | usize::from(reader.u8().ok()?);
        return Some(NameView { message, at: target });
    }
    if head > 0 {
        reader.skip(usize::from(head)).ok()?;
        skip_checked(reader)?;
    }
    Some(NameView { message, at: start })
}

/// Moves past a name that has been checked: where it stands, not what it points at.
#[inline]
pub(crate) fn skip_checked(reader: &mut Reader<'_>) -> Option<()> {
    loop {
        match reader.u8().ok()? {
            0 => return Some(()),
            head if head >= 0xC0 => return reader.skip(1).ok(),
            head => reader.skip(usize::from(head)).ok()?,
        }
    }
}
