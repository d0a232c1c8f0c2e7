//! Where the options of the lease are kept: lent storage in two halves, one with what holds now,
//! one to build what comes next. An ACK that brings nothing but times (rule 24) can so be joined
//! with what is known, and compared with it.

use bringup_core::wire::{Full, Reader, Writer};

use crate::code;
use crate::message::Message;
use crate::options::{DhcpOption, Value};

/// A set of option codes.
#[derive(Clone, Copy, Default)]
struct Codes([u64; 4]);

impl Codes {
    /// Adds a code; whether it was not there yet.
    fn insert(&mut self, code: u8) -> bool {
        let bit = 1u64 << (code % 64);
        let Some(word) = self.0.get_mut(usize::from(code / 64)) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    fn contains(self, code: u8) -> bool {
        self.0.get(usize::from(code / 64)).is_some_and(|word| word & (1 << (code % 64)) != 0)
    }

    fn has_routes(self) -> bool {
        (0..=u8::MAX).any(|c| code::is_route(c) && self.contains(c))
    }
}

/// Octets before the bytes of a stored option.
const HEAD_LEN: usize = 3;

/// Options whose pieces have been joined: code, 16 bits of length, bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OptionSet<'a>(&'a [u8]);

impl<'a> OptionSet<'a> {
    #[cfg(test)]
    pub(crate) const fn for_tests(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What a snapshot holds: all of it well-formed, or nothing.
    pub(crate) fn checked(bytes: &'a [u8]) -> Option<Self> {
        let set = Self(bytes);
        let whole: usize = set.iter().map(|o| HEAD_LEN + o.value.0.len()).sum();
        let good = set.iter().all(|o| is_well_formed(o.code, o.value.0));
        (whole == bytes.len() && good).then_some(set)
    }

    pub(crate) const fn bytes(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = DhcpOption<'a>> + use<'a> {
        let mut r = Reader::new(self.0);
        core::iter::from_fn(move || {
            let (code, length) = (r.u8().ok()?, r.u16().ok()?);
            let value = Value(r.bytes(usize::from(length)).ok()?);
            Some(DhcpOption { code, value })
        })
    }

    pub(crate) fn get(self, code: u8) -> Option<Value<'a>> {
        self.iter().find(|o| o.code == code).map(|o| o.value)
    }

    /// Whether all that configures is in `other`, too.
    fn configures_no_more_than(self, other: OptionSet<'_>) -> bool {
        let mut configuring = self.iter().filter(|o| !code::is_per_message(o.code));
        configuring.all(|o| other.get(o.code).is_some_and(|v| v.0 == o.value.0))
    }
}

/// Whether an option's bytes are what its code asks for, as far as a length or a grammar tells.
fn is_well_formed(code: u8, bytes: &[u8]) -> bool {
    if code == code::SUBNET_MASK {
        return Value(bytes).prefix_len().is_some();
    }
    if let Some(length) = code::fixed_length(code) {
        return bytes.len() == length;
    }
    if let Some(element) = code::list_element(code) {
        return !bytes.is_empty() && bytes.len() % element == 0;
    }
    match code {
        code::CLASSLESS_ROUTE | code::CLASSLESS_ROUTE_MS => {
            Value(bytes).classless_routes().is_some()
        }
        _ => true,
    }
}

/// What a device cannot do without, so that it outlives any answer that does not replace it (rule 24).
const fn is_vital(code: u8) -> bool {
    matches!(code, code::SUBNET_MASK | code::DNS_SERVER) || code::is_route(code)
}

/// What came of storing the options of an ACK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Whether what they configure differs from before.
    pub(crate) changed: bool,
    /// How many did not fit.
    pub(crate) dropped: u32,
    /// How many were malformed.
    pub(crate) malformed: u32,
}

/// One half of the storage.
struct Half<'m> {
    bytes: &'m mut [u8],
    used: usize,
}

impl Half<'_> {
    fn options(&self) -> OptionSet<'_> {
        OptionSet(self.bytes.get(..self.used).unwrap_or(&[]))
    }
}

/// The storage.
pub(crate) struct Vault<'m> {
    current: Half<'m>,
    spare: Half<'m>,
}

/// Why an option was not stored.
enum NotStored {
    Full,
    Malformed,
}

impl From<Full> for NotStored {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

/// Appends one option, joined; leaves no trace if it is not well-formed or does not fit.
fn put<'a>(
    w: &mut Writer<'_>,
    code: u8,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Result<(), NotStored> {
    let start = w.position();
    let write = || -> Result<(), NotStored> {
        w.u8(code)?;
        w.u16(0)?;
        let data = w.position();
        for piece in pieces {
            w.bytes(piece)?;
        }
        if !is_well_formed(code, Reader::at(w.written(), data).rest()) {
            return Err(NotStored::Malformed);
        }
        let length = u16::try_from(w.position() - data).map_err(|_| Full)?;
        w.patch(start + 1, &length.to_be_bytes())?;
        Ok(())
    };
    let put = write();
    if put.is_err() {
        w.truncate(start);
    }
    put
}

/// The codes that occur more than once and are to be joined.
fn split_codes(message: &Message<'_>) -> Codes {
    let (mut seen, mut split) = (Codes::default(), Codes::default());
    for o in message.options() {
        // Decided for this project: RFC 3396 is for options of variable length; of one of fixed
        // size that occurs twice, the first instance counts.
        if !seen.insert(o.code) && code::fixed_length(o.code).is_none() {
            split.insert(o.code);
        }
    }
    split
}

impl<'m> Vault<'m> {
    pub(crate) const fn new(storage: &'m mut [u8]) -> Self {
        let (current, spare) = storage.split_at_mut(storage.len() / 2);
        Self { current: Half { bytes: current, used: 0 }, spare: Half { bytes: spare, used: 0 } }
    }

    pub(crate) fn options(&self) -> OptionSet<'_> {
        self.current.options()
    }

    pub(crate) fn clear(&mut self) {
        self.current.used = 0;
    }

    /// Takes options from a snapshot; how many did not fit.
    pub(crate) fn load(&mut self, options: OptionSet<'_>) -> u32 {
        let mut w = Writer::new(self.current.bytes);
        let mut dropped = 0;
        for o in options.iter() {
            dropped += u32::from(put(&mut w, o.code, core::iter::once(o.value.0)).is_err());
        }
        self.current.used = w.position();
        dropped
    }

    /// Takes the options of an ACK. What it doesn't mention goes, or with `keep` stays as it was: a
    /// server that renews without options 1, 3 and 6 has not taken the network away (rule 24). One that
    /// names the mask answers in full (RFC 2131 §4.3.1: it MUST return what it has of what is asked
    /// for): an NTP server that it no longer names is no longer to be asked.
    pub(crate) fn store(&mut self, message: &Message<'_>, keep: bool) -> Stored {
        let split = split_codes(message);
        let (mut done, mut kept) = (Codes::default(), Codes::default());
        let mut stored = Stored::default();
        let mut w = Writer::new(self.spare.bytes);
        for o in message.options() {
            if o.code == code::OVERLOAD || !done.insert(o.code) {
                continue;
            }
            let put = if split.contains(o.code) {
                put(&mut w, o.code, message.pieces(o.code))
            } else {
                put(&mut w, o.code, core::iter::once(o.value.0))
            };
            match put {
                Ok(()) => drop(kept.insert(o.code)),
                Err(NotStored::Full) => stored.dropped += 1,
                Err(NotStored::Malformed) => stored.malformed += 1,
            }
        }
        let (new_routes, in_full) = (kept.has_routes(), kept.contains(code::SUBNET_MASK));
        for o in self.current.options().iter() {
            let replaced = kept.contains(o.code) || code::is_route(o.code) && new_routes;
            let stays = !code::is_per_message(o.code) && (!in_full || is_vital(o.code));
            if keep && !replaced && stays {
                let put = put(&mut w, o.code, core::iter::once(o.value.0));
                stored.dropped += u32::from(put.is_err());
            }
        }
        self.spare.used = w.position();
        core::mem::swap(&mut self.current, &mut self.spare);
        let (new, old) = (self.current.options(), self.spare.options());
        stored.changed = !new.configures_no_more_than(old) || !old.configures_no_more_than(new);
        stored
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn message(options: &[u8]) -> Vec<u8> {
        let mut bytes = std::vec![0; 236];
        bytes.extend(crate::message::MAGIC_COOKIE);
        bytes.extend(options);
        bytes
    }

    fn store(vault: &mut Vault<'_>, options: &[u8]) -> Stored {
        vault.store(&Message::parse(&message(options)).unwrap(), true)
    }

    fn get(vault: &Vault<'_>, code: u8) -> Option<Vec<u8>> {
        vault.options().get(code).map(|v| v.0.to_vec())
    }

    #[test]
    fn rule_24_a_bare_renewal_keeps_what_was_known() {
        let mut storage = [0; 400];
        let mut vault = Vault::new(&mut storage);
        let first =
            [1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 1, 6, 4, 10, 0, 0, 2, 54, 4, 9, 9, 9, 9];
        assert!(store(&mut vault, &first).changed);
        let bare = store(&mut vault, &[53, 1, 5, 54, 4, 8, 8, 8, 8]);
        assert_eq!(bare, Stored::default());
        assert_eq!(get(&vault, 6), Some([10, 0, 0, 2].into()));
        assert_eq!(get(&vault, 54), Some([8, 8, 8, 8].into()));
        assert!(!store(&mut vault, &[6, 4, 10, 0, 0, 2, 1, 4, 255, 255, 255, 0]).changed);
        assert!(store(&mut vault, &[6, 4, 10, 0, 0, 3]).changed);
        assert_eq!(store(&mut vault, &[6, 5, 1, 2, 3, 4, 5]).malformed, 1);
        assert_eq!(get(&vault, 6), Some([10, 0, 0, 3].into()), "a malformed one replaces nothing");
        assert!(store(&mut vault, &[121, 5, 0, 10, 0, 0, 9]).changed);
        assert_eq!(get(&vault, 3), None, "one option with routes speaks for all of them");
        for code in [121, 249] {
            // A prefix of 33 bits, and a destination that is cut off.
            assert_eq!(store(&mut vault, &[code, 5, 33, 10, 0, 0, 9]).malformed, 1);
            assert_eq!(store(&mut vault, &[code, 3, 24, 10, 0]).malformed, 1);
            assert_eq!(get(&vault, 121), Some([0, 10, 0, 0, 9].into()));
        }
        vault.clear();
        store(&mut vault, &[53, 1, 5]);
        assert_eq!(get(&vault, 6), None, "a new lease inherits nothing");
    }

    #[test]
    fn rule_24_an_answer_in_full_takes_away_what_it_leaves_out() {
        let mut storage = [0; 400];
        let mut vault = Vault::new(&mut storage);
        let mask = [1, 4, 255, 255, 255, 0];
        let rest = [3, 4, 10, 0, 0, 1, 6, 4, 10, 0, 0, 2, 15, 1, b'a', 42, 4, 10, 0, 0, 3];
        store(&mut vault, &[&mask[..], &rest].concat());
        assert!(!store(&mut vault, &[53, 1, 5]).changed);
        assert_eq!(get(&vault, 42), Some([10, 0, 0, 3].into()));
        assert!(store(&mut vault, &[&mask[..], &[15, 1, b'b']].concat()).changed);
        assert_eq!(get(&vault, 42), None);
        assert_eq!(get(&vault, 15), Some(b"b".into()));
        for (code, value) in [(3, [10, 0, 0, 1]), (6, [10, 0, 0, 2])] {
            assert_eq!(get(&vault, code), Some(value.into()), "vital: {code}");
        }
    }

    #[test]
    fn rule_23_a_mask_with_holes_is_none() {
        let mut storage = [0; 400];
        let mut vault = Vault::new(&mut storage);
        store(&mut vault, &[1, 4, 255, 255, 254, 0]);
        for bad in [[255, 0, 255, 0], [0, 0, 0, 0], [0, 255, 255, 255], [255, 255, 255, 1]] {
            let stored = store(&mut vault, &[&[1, 4][..], &bad].concat());
            assert_eq!((stored.malformed, stored.changed), (1, false), "{bad:?}");
            assert_eq!(get(&vault, 1), Some([255, 255, 254, 0].into()), "{bad:?}");
        }
    }

    #[test]
    fn a_list_with_half_an_element_is_none() {
        let mut storage = [0; 400];
        for (code, element) in [(3, 4), (6, 4), (33, 8), (42, 4)] {
            for length in 0..=17u8 {
                let mut vault = Vault::new(&mut storage);
                let option = [&[code, length][..], &[1; 17][..usize::from(length)]].concat();
                let is_whole = length > 0 && length % element == 0;
                let malformed = store(&mut vault, &option).malformed;
                assert_eq!(malformed, u32::from(!is_whole), "{code}, {length} octets");
            }
        }
    }

    #[test]
    fn an_option_of_a_fixed_size_that_has_another_is_none() {
        let mut storage = [0; 400];
        for (code, size) in [
            (80, 0),
            (19, 1),
            (46, 1),
            (53, 1),
            (116, 1),
            (13, 2),
            (26, 2),
            (57, 2),
            (2, 4),
            (28, 4),
            (51, 4),
            (54, 4),
            (108, 4),
        ] {
            for length in 0..=size + 1 {
                let mut vault = Vault::new(&mut storage);
                let option = [code, length, 1, 1, 1, 1, 1];
                let stored = store(&mut vault, &option[..2 + usize::from(length)]);
                let is_one = length == size;
                assert_eq!(stored.malformed, u32::from(!is_one), "{code}, {length} octets");
                assert_eq!(get(&vault, code).is_some(), is_one, "{code}, {length} octets");
            }
        }
    }

    #[test]
    fn what_of_a_snapshot_does_not_fit_is_counted() {
        let options = OptionSet::for_tests(&[6, 0, 4, 10, 0, 0, 3, 15, 0, 2, b'a', b'b']);
        for (size, dropped) in [(24, 0), (14, 1), (8, 2)] {
            let mut storage = [0; 24];
            let mut vault = Vault::new(&mut storage[..size]);
            assert_eq!(vault.load(options), dropped, "{size} octets");
        }
    }

    #[test]
    fn what_was_known_and_no_longer_fits_is_counted() {
        let mut storage = [0; 28];
        let mut vault = Vault::new(&mut storage);
        let both = [6, 4, 10, 0, 0, 2, 3, 4, 10, 0, 0, 1];
        assert_eq!(store(&mut vault, &both).dropped, 0);
        let name = [15, 8, b'a', b'b', b'c', b'd', b'e', b'f', b'g', b'h'];
        assert_eq!(store(&mut vault, &name).dropped, 2);
    }

    #[test]
    fn rule_26_joined_or_first() {
        let mut storage = [0; 200];
        let mut vault = Vault::new(&mut storage);
        let twice = [3, 4, 10, 0, 0, 1, 51, 4, 0, 0, 0, 9, 3, 4, 10, 0, 0, 2, 51, 4, 0, 0, 0, 8];
        store(&mut vault, &twice);
        assert_eq!(get(&vault, 3), Some([10, 0, 0, 1, 10, 0, 0, 2].into()));
        assert_eq!(get(&vault, 51), Some([0, 0, 0, 9].into()));
        vault.clear();
        store(&mut vault, &[6, 3, 10, 0, 0, 6, 1, 7]);
        assert_eq!(get(&vault, 6), Some([10, 0, 0, 7].into()), "any split");
    }

    #[test]
    fn every_storage_size_holds_what_fits() {
        let options = [12, 3, 1, 2, 3, 15, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 60, 1, 5];
        for size in (0..60).step_by(2) {
            let mut storage = std::vec![0; size];
            let mut vault = Vault::new(&mut storage);
            let stored = store(&mut vault, &options);
            let held = u32::try_from(vault.options().iter().count()).unwrap();
            assert_eq!(held + stored.dropped, 3, "{size}");
            assert_eq!(held == 3, size >= 44, "{size}: 6 + 12 + 4 in each half");
        }
    }

    #[test]
    fn thousands_of_pieces_are_joined_in_bounded_time() {
        let options: Vec<u8> = (0..20_000u32).flat_map(|_| [119, 1, 7]).collect();
        let mut storage = std::vec![0; 100_000];
        let mut vault = Vault::new(&mut storage);
        store(&mut vault, &options);
        assert_eq!(get(&vault, 119).map(|v| v.len()), Some(20_000));
    }
}
