//! [`Entry`], one thing that the cache knows, and what it makes of another.

use bringup_core::time::{Duration, Instant};
use bringup_core::wire::Reader;

use super::NONE;
use crate::name::NameView;
use crate::query::Failure;
use crate::record::{Class, RdataView, Record, RecordType};

/// The octets before each record's data in a block: its type and its length.
pub(crate) const RECORD_HEAD: usize = 4;

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// There are records of this type.
    Data,
    /// There is the name, but nothing of this type (RFC 2308 §2.2).
    NoData,
    /// There is no such name, whatever the type (RFC 2308 §2.1).
    NxDomain {
        /// ... and nothing below it either (RFC 8020).
        cut: bool,
    },
    /// Asking failed (RFC 9520).
    Failure(Failure),
}

/// Memory for one thing that is known.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(super) hash: u32,
    pub(super) offset: u32,
    /// Octets of the block: the owner, and for [`Kind::Data`] each record's type, length and data.
    pub(super) length: u16,
    pub(super) name_len: u8,
    pub(super) in_use: bool,
    /// Whether lookups find it.
    pub(super) indexed: bool,
    pub(super) rtype: RecordType,
    pub(super) kind: Kind,
    pub(super) ttl_s: u32,
    /// The server called it authentic.
    pub(super) authentic: bool,
    pub(super) stored_at: Instant,
    /// How many results and steps of resolution refer to it.
    pub(super) pins: u16,
    /// The next in its bucket, or in the list of free entries.
    pub(super) next: u16,
    /// Neighbours in the order of use; only while indexed.
    pub(super) newer: u16,
    pub(super) older: u16,
}

impl Entry {
    pub(crate) const EMPTY: Self = Self {
        hash: 0,
        offset: 0,
        length: 0,
        name_len: 0,
        in_use: false,
        indexed: false,
        rtype: RecordType(0),
        kind: Kind::NoData,
        ttl_s: 0,
        authentic: false,
        stored_at: Instant::ZERO,
        pins: 0,
        next: NONE,
        newer: NONE,
        older: NONE,
    };

    pub(super) fn expires_at(&self) -> Instant {
        self.stored_at + Duration::from_secs(u64::from(self.ttl_s))
    }

    /// Whether it is of no more use: data is kept for a while after its TTL.
    pub(super) fn is_gone(&self, now: Instant, keep: Duration) -> bool {
        let keep = if self.kind == Kind::Data { keep } else { Duration::ZERO };
        self.expires_at() + keep <= now
    }

    pub(super) const fn is_alias(&self) -> bool {
        matches!(self.kind, Kind::Data) && self.rtype.0 == RecordType::CNAME.0
    }
}

/// What a new entry is to say.
#[derive(Clone, Copy)]
pub(crate) struct New<'a> {
    /// The owner, in lower case, in wire form.
    pub(crate) owner: &'a [u8],
    pub(crate) rtype: RecordType,
    pub(crate) kind: Kind,
    /// Seconds; with 0 the entry is only pinned, never found.
    pub(crate) ttl_s: u32,
}

/// What the cache knows of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// The RRset.
    Data(u16),
    /// The name is an alias.
    Alias(u16),
    /// There is nothing of this type.
    NoData(u16),
    /// There is no such name.
    NxDomain(u16),
    /// It was asked for a moment ago, in vain.
    Failure(Failure),
    /// Nothing.
    Nothing,
}

/// The records of one entry.
#[derive(Clone)]
pub(crate) struct EntryRecords<'a> {
    pub(super) owner: NameView<'a>,
    pub(super) ttl: u32,
    pub(super) reader: Reader<'a>,
}

impl<'a> Iterator for EntryRecords<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let rtype = RecordType(self.reader.u16().ok()?);
        let length = self.reader.u16().ok()?;
        let rdata = RdataView::alone(self.reader.bytes(usize::from(length)).ok()?);
        let Self { owner, ttl, .. } = *self;
        Some(Record { owner, rtype, class: Class::IN, ttl, rdata })
    }
}

/// Whether `new` makes `old`, an entry of the same name, untrue.
pub(super) fn contradicts(new: &New<'_>, old: &Entry, now: Instant, keep: Duration) -> bool {
    let same_type = old.rtype == new.rtype;
    match (new.kind, old.kind) {
        // A failure says nothing about data that is still valid.
        (Kind::Failure(_), Kind::Failure(_)) => same_type,
        (Kind::Failure(_), _) => same_type && old.is_gone(now, keep),
        (Kind::NxDomain { .. }, _) | (_, Kind::NxDomain { .. }) => true,
        // No other data beside an alias (RFC 1034 §3.6.2, RFC 8767 §7).
        (Kind::Data, _) if new.rtype == RecordType::CNAME => true,
        _ => same_type || old.is_alias(),
    }
}

/// A hash of octets that somebody without the seed cannot aim.
pub(super) fn hash(seed: u32, octets: &[u8]) -> u32 {
    const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |state: u64, word: u64| {
        let product = u128::from(state ^ word) * u128::from(MULTIPLIER);
        u64::try_from(product & u128::from(u64::MAX)).unwrap_or(0)
            ^ u64::try_from(product >> 64).unwrap_or(0)
    };
    let mut state = u64::from(seed) << 32 | u64::from(seed) ^ MULTIPLIER;
    let mut chunks = octets.chunks_exact(8);
    for chunk in &mut chunks {
        state = mix(state, u64::from_le_bytes(*chunk.first_chunk().unwrap_or(&[0; 8])));
    }
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(chunks.remainder()) {
        *to = *from;
    }
    state = mix(state, u64::from_le_bytes(last));
    let folded = (state ^ state >> 32) & u64::from(u32::MAX);
    u32::try_from(folded).unwrap_or(0)
}
