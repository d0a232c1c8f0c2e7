//! Domain names: [`NameView`], a name where it lies in a message, and [`Name`], an owned one.
//!
//! A name is checked once, where it is read; after that every walk over it is total. Names compare
//! label by label, ASCII case folded (RFC 4343 §3), in place: nothing is decompressed to compare.

use core::fmt;

use bringup_core::wire::{Full, Reader, Writer};

mod read;

pub(crate) use read::{Names, Pointers, read_checked, read_name, skip_checked};

/// The longest name on the wire, in octets, the root label included (RFC 1035 §2.3.4).
pub const MAX_NAME: usize = 255;
/// The longest label, in octets (RFC 1035 §2.3.4).
pub const MAX_LABEL: usize = 63;
/// The most steps over checked data: 127 labels, the root, and every hop.
const MAX_STEPS: u16 = 300;

/// A checked name, where it lies: in a message, perhaps compressed, or in a [`Name`].
#[derive(Clone, Copy)]
pub struct NameView<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> NameView<'a> {
    /// The root.
    pub const ROOT: NameView<'static> = NameView { message: &[0], at: 0 };

    /// A view of a whole, uncompressed name that has been checked before.
    pub(crate) const fn of_checked(wire: &'a [u8]) -> Self {
        Self { message: wire, at: 0 }
    }

    /// A view of a name in `message` that has been checked before.
    #[inline]
    pub(crate) const fn at_checked(message: &'a [u8], at: usize) -> Self {
        Self { message, at }
    }

    /// The labels from left to right, without the root.
    #[inline]
    pub const fn labels(self) -> Labels<'a> {
        Labels { message: self.message, at: self.at, steps: MAX_STEPS }
    }

    /// How many labels there are, without the root: 0 to 127.
    pub fn label_count(self) -> usize {
        self.labels().count()
    }

    /// The length on the wire without compression: 1 to 255 octets.
    pub fn wire_len(self) -> usize {
        self.labels().map(|label| label.len() + 1).sum::<usize>() + 1
    }

    /// Whether this is the root.
    pub fn is_root(self) -> bool {
        self.labels().next().is_none()
    }

    /// Whether `self` is `ancestor` or lies below it (`a.b.c` is below `c`).
    pub fn is_at_or_below(self, ancestor: NameView<'_>) -> bool {
        let (own, above) = (self.label_count(), ancestor.label_count());
        let Some(extra) = own.checked_sub(above) else { return false };
        let tail = self.labels().skip(extra);
        tail.zip(ancestor.labels()).all(|(a, b)| a.eq_ignore_ascii_case(b))
    }

    /// Writes the name without compression, or nothing.
    pub fn write(self, w: &mut Writer<'_>) -> Result<(), Full> {
        // Nothing but a whole name, uncompressed, begins where a message has its header.
        if self.at == 0 {
            return w.bytes(self.message);
        }
        let start = w.position();
        let written = self.labels().try_for_each(|label| {
            w.u8(u8::try_from(label.len()).unwrap_or(0))?;
            w.bytes(label)
        });
        written.and_then(|()| w.u8(0)).inspect_err(|_| w.truncate(start))
    }

    /// Whether this is a whole name by itself, and the octets at `other` are the same one, case ignored;
    /// `false` says nothing. Length octets are below every letter, pointers above.
    #[inline]
    fn spells(&self, other: &NameView<'_>) -> bool {
        // Nothing but such a name begins where a message has its header.
        if self.at != 0 {
            return false;
        }
        let there = other.message.get(other.at..).and_then(|rest| rest.get(..self.message.len()));
        // Mostly the case is the same.
        there.is_some_and(|there| there == self.message || there.eq_ignore_ascii_case(self.message))
    }

    /// An owned copy.
    pub fn to_name(self) -> Name {
        let mut name = Name::ROOT;
        let mut w = Writer::new(&mut name.wire);
        // A checked name fits; if it did not, the copy would be the root.
        let length = if self.write(&mut w).is_ok() { w.position() } else { 1 };
        name.len = u8::try_from(length).unwrap_or(1);
        name
    }
}

impl PartialEq<NameView<'_>> for NameView<'_> {
    /// ASCII case is ignored (RFC 4343 §3); a dot within a label is not a separator.
    #[inline]
    fn eq(&self, other: &NameView<'_>) -> bool {
        // Most records of a response are of the question's name, and point at it.
        let one_place = self.at == other.at && core::ptr::eq(self.message, other.message);
        one_place || self.is_same(other)
    }
}
impl Eq for NameView<'_> {}

impl NameView<'_> {
    fn is_same(&self, other: &NameView<'_>) -> bool {
        let (mut a, mut b) = (self.labels(), other.labels());
        let one_message = core::ptr::eq(a.message.as_ptr(), b.message.as_ptr());
        if !one_message && (self.spells(other) || other.spells(self)) {
            return true;
        }
        loop {
            if one_message {
                a.follow();
                b.follow();
                // Names of one message mostly come together at a label that both point at.
                if a.at == b.at {
                    return true;
                }
            }
            match (a.next(), b.next()) {
                (None, None) => return true,
                (Some(x), Some(y)) if x.eq_ignore_ascii_case(y) => {}
                _ => return false,
            }
        }
    }
}

impl fmt::Display for NameView<'_> {
    /// The master file form, absolute: `www.example.`, with `\.` and `\DDD` (RFC 4343 §2.1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        if self.is_root() {
            return f.write_char('.');
        }
        for label in self.labels() {
            for &octet in label {
                match octet {
                    b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
                        write!(f, "\\{}", char::from(octet))?;
                    }
                    0x21..=0x7E => f.write_char(char::from(octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            f.write_char('.')?;
        }
        Ok(())
    }
}

impl fmt::Debug for NameView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The labels of a name, from left to right, without the root.
#[derive(Clone, Debug)]
pub struct Labels<'a> {
    message: &'a [u8],
    at: usize,
    steps: u16,
}

impl Labels<'_> {
    /// Goes where the pointers at this place lead, if there are any.
    #[inline]
    fn follow(&mut self) {
        // The name was checked: the budget only makes that plain.
        while self.steps > 0 {
            let pointer = Reader::at(self.message, self.at).array::<2>().unwrap_or_default();
            if pointer[0] & 0xC0 != 0xC0 {
                break;
            }
            self.steps -= 1;
            self.at = usize::from(u16::from_be_bytes(pointer) & 0x3FFF);
        }
    }
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.follow();
        self.steps = self.steps.checked_sub(1)?;
        let mut reader = Reader::at(self.message, self.at);
        let length = usize::from(reader.u8().ok()?);
        if length == 0 {
            return None;
        }
        let label = reader.bytes(length).ok()?;
        self.at = reader.position();
        Some(label)
    }
}

/// Why a text is not a domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// There is nothing.
    Empty,
    /// Two dots in a row, or a dot at the start.
    EmptyLabel,
    /// A label of more than 63 octets.
    LabelTooLong,
    /// More than 255 octets on the wire.
    TooLong,
    /// A `\` that neither a character nor three digits up to 255 follow.
    Escape,
    /// A character outside printable ASCII that is not written as `\DDD`. International names are to
    /// be given in their ASCII form (`xn--…`).
    Character,
}

/// A domain name of its own: at most 255 octets, never compressed.
#[derive(Clone)]
pub struct Name {
    wire: [u8; MAX_NAME],
    len: u8,
}

impl Name {
    /// The root.
    pub const ROOT: Self = Self { wire: [0; MAX_NAME], len: 1 };

    /// Reads the master file form; a final dot makes no difference.
    pub fn from_text(text: &str) -> Result<Self, NameError> {
        Self::from_text_absolute(text).map(|(name, _)| name)
    }

    /// Reads the master file form; also says whether it ended in a dot, so that no search list
    /// applies to it.
    pub fn from_text_absolute(text: &str) -> Result<(Self, bool), NameError> {
        let mut name = Self::ROOT;
        let absolute = name.set_text(text)?;
        Ok((name, absolute))
    }

    /// Becomes what `text` says, or the root where that is no name; says whether it ended in a dot.
    pub(crate) fn set_text(&mut self, text: &str) -> Result<bool, NameError> {
        let written = match write_plain(text, &mut self.wire) {
            Some(written) => Ok(written),
            None => write_text(text, &mut Writer::new(&mut self.wire)),
        };
        if written.is_err() {
            *self = Self::ROOT;
        }
        let (length, absolute) = written?;
        self.len = length;
        Ok(absolute)
    }

    /// A name from its uncompressed wire form; `None` unless `wire` is exactly one name.
    pub fn from_wire(wire: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(wire);
        let view = read_name(wire, &mut reader, Pointers::Refused).ok()?;
        reader.is_empty().then(|| view.to_name())
    }

    /// This name with `suffix` behind it; `None` if that is longer than a name may be.
    pub fn join(&self, suffix: NameView<'_>) -> Option<Self> {
        join(self.view().labels(), suffix)
    }

    /// The uncompressed wire form, 1 to 255 octets.
    pub fn as_wire(&self) -> &[u8] {
        self.wire.get(..usize::from(self.len)).unwrap_or(&[0])
    }

    /// A view of it.
    pub fn view(&self) -> NameView<'_> {
        NameView::of_checked(self.as_wire())
    }

    /// The same name with letters in upper case where a bit is set; bit by bit they follow from `seed`.
    pub(crate) fn mixed(&self, seed: u64) -> Self {
        let mut mixed = self.clone();
        let mut state = seed;
        for octet in mixed.wire.iter_mut().filter(|o| o.is_ascii_alphabetic()) {
            // An LCG; its top bit is good enough to spread 64 unpredictable bits over the letters.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            if state >> 63 == 1 {
                octet.make_ascii_uppercase();
            }
        }
        mixed
    }

    /// Whether `view` is the same name in the same case.
    pub(crate) fn is_exactly(&self, view: NameView<'_>) -> bool {
        self.view().labels().eq(view.labels())
    }

    /// Becomes `name`.
    pub(crate) fn set(&mut self, name: &Self) {
        // What is behind a name is not looked at.
        for (to, from) in self.wire.iter_mut().zip(name.as_wire()) {
            *to = *from;
        }
        self.len = name.len;
    }

    /// `A` to `Z` become lower case, the form in which names are keys.
    pub(crate) fn make_lowercase(&mut self) {
        // A label's length octet is at most 63, below every letter.
        let used = self.wire.get_mut(..usize::from(self.len));
        used.unwrap_or_default().make_ascii_lowercase();
    }

    /// The same name in lower case.
    pub(crate) fn to_lowercase(&self) -> Self {
        let mut lower = self.clone();
        lower.make_lowercase();
        lower
    }
}

/// A name of these labels with `suffix` behind them; `None` if that is longer than a name may be.
pub(crate) fn join<'a>(
    mut labels: impl Iterator<Item = &'a [u8]>,
    suffix: NameView<'_>,
) -> Option<Name> {
    let mut name = Name::ROOT;
    let mut w = Writer::new(&mut name.wire);
    let written = labels.try_for_each(|label| {
        w.u8(u8::try_from(label.len()).unwrap_or(0))?;
        w.bytes(label)
    });
    written.and_then(|()| suffix.write(&mut w)).ok()?;
    name.len = u8::try_from(w.position()).ok()?;
    Some(name)
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        // Length octets are below every letter, so folding the whole wire form is folding the labels.
        self.as_wire().eq_ignore_ascii_case(other.as_wire())
    }
}
impl Eq for Name {}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.view(), f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.view(), f)
    }
}

/// The same for labels of ordinary characters, in one pass. `None` for everything else, which takes the
/// long way, as does what is no name.
fn write_plain(text: &str, wire: &mut [u8; MAX_NAME]) -> Option<(u8, bool)> {
    let (octets, absolute) = match text.as_bytes() {
        [octets @ .., b'.'] => (octets, true),
        octets => (octets, false),
    };
    // A label's length stands where its dot does, one octet further on; before the first there is none.
    let end = octets.len() + 1;
    wire.get_mut(1..end)?.copy_from_slice(octets);
    *wire.get_mut(end)? = 0;
    let mut label_at = 0;
    for (at, &octet) in (1..).zip(octets.iter().chain(b".")) {
        match octet {
            b'.' => {
                let length = u8::try_from(at - label_at - 1).ok()?;
                if !(1..=63).contains(&length) {
                    return None;
                }
                *wire.get_mut(label_at)? = length;
                label_at = at;
            }
            b'\\' => return None,
            0x21..=0x7E => {}
            _ => return None,
        }
    }
    Some((u8::try_from(end + 1).ok()?, absolute))
}

/// Writes the wire form of what `text` says; its length, and whether it ended in a dot.
fn write_text(text: &str, w: &mut Writer<'_>) -> Result<(u8, bool), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    let mut builder = Builder { w, label_at: 0, label: 0 };
    let mut text = Reader::new(text.as_bytes());
    let mut absolute = text.remaining() == 1 && text.peek() == Some(b'.');
    if !absolute {
        builder.start_label()?;
        while let Ok(octet) = text.u8() {
            match octet {
                b'.' => {
                    builder.end_label()?;
                    absolute = text.is_empty();
                    if !absolute {
                        builder.start_label()?;
                    }
                }
                b'\\' => builder.push(unescape(&mut text).ok_or(NameError::Escape)?)?,
                0x21..=0x7E => builder.push(octet)?,
                _ => return Err(NameError::Character),
            }
        }
        if !absolute {
            builder.end_label()?;
        }
    }
    builder.w.u8(0).map_err(|_| NameError::TooLong)?;
    let length = u8::try_from(builder.w.position()).map_err(|_| NameError::TooLong)?;
    Ok((length, absolute))
}

/// Writes labels into a name.
struct Builder<'w, 'b> {
    w: &'w mut Writer<'b>,
    /// Where the current label's length octet stands.
    label_at: usize,
    /// How many octets the current label has.
    label: u8,
}

impl Builder<'_, '_> {
    fn start_label(&mut self) -> Result<(), NameError> {
        self.label_at = self.w.position();
        self.label = 0;
        self.w.u8(0).map_err(|_| NameError::TooLong)
    }

    fn push(&mut self, octet: u8) -> Result<(), NameError> {
        if usize::from(self.label) == MAX_LABEL {
            return Err(NameError::LabelTooLong);
        }
        self.label += 1;
        self.w.u8(octet).map_err(|_| NameError::TooLong)
    }

    fn end_label(&mut self) -> Result<(), NameError> {
        if self.label == 0 {
            return Err(NameError::EmptyLabel);
        }
        self.w.patch(self.label_at, &[self.label]).map_err(|_| NameError::TooLong)
    }
}

/// What follows a `\`: three digits up to 255, or a character that is not a digit.
fn unescape(text: &mut Reader<'_>) -> Option<u8> {
    let first = text.u8().ok()?;
    if !first.is_ascii_digit() {
        return (0x20..=0x7E).contains(&first).then_some(first);
    }
    let [second, third] = text.array::<2>().ok()?;
    [first, second, third].iter().try_fold(0u8, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests;
