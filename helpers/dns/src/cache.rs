//! [`Cache`]: what has been learned, in lent memory, by name and type.
//!
//! **What an entry is.** One RRset, one alias (the CNAME at a name), or the knowledge that there is
//! nothing, or that asking failed. An answer is a path through entries: aliases, then the last one.
//! Every entry has its own age, so that a path is as old as its oldest part (RFC 2181 §5.2).
//!
//! **Where results live.** Here, and only here: an answer is a list of entries that are *pinned*. A
//! pinned entry may leave the index, because it was replaced, flushed or evicted, but its octets
//! stay until the last pin is taken off; the arena slides blocks only during `&mut` calls, and an
//! answer borrows the resolver. So a hit copies nothing and an eviction invalidates nothing. An RRset
//! of TTL 0 is never in the index and lives by its pins alone (RFC 1123 §6.1.2.1).
//!
//! **Time** is monotonic and counts suspend; steps of the wall clock do not age anything.
//!
//! **Memory.** Entries, buckets and octets are lent and never grow. When there is no room, what has
//! expired goes first, then what was not used for longest; pinned entries stay.

use bringup_core::time::{Duration, Instant};
use bringup_core::wire::{Reader, Writer};

use crate::name::NameView;
use crate::query::Failure;
use crate::record::{RData, Record, RecordType};
use crate::response::TTL_MAX_S;
use arena::{Arena, MAX_BLOCK};
use entry::{EntryRecords, contradicts, hash};

mod arena;
mod entry;

pub(crate) use entry::{Entry, Kind, Known, New, RECORD_HEAD};

/// No entry.
pub(crate) const NONE: u16 = u16::MAX;
/// Expired entries are looked for at most this often.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// RFC 9520 §3.2: a failure is kept for at least a second ...
const FAILURE_TTL_S: u32 = 1;
/// ... and for at most five minutes.
const FAILURE_TTL_MAX_S: u32 = 300;

/// RFC 8767 §5: where stale data serves meanwhile, it is not asked more often.
const STALE_RETRY_S: u32 = 30;
/// Refresh-ahead looks at the last tenth of a TTL.
const AHEAD: u32 = 10;

/// The most octets of a record that is made here: an address, or the name of an alias.
const MAX_MADE: usize = crate::name::MAX_NAME;

/// There is no room for it: what is pinned fills the memory, or it is larger than the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

/// The cache.
pub(crate) struct Cache<'m> {
    entries: &'m mut [Entry],
    buckets: &'m mut [u16],
    arena: Arena<'m>,
    /// The first of the free entries.
    free: u16,
    /// The ends of the order of use.
    newest: u16,
    oldest: u16,
    /// Unpredictable, so that nobody can choose names of one bucket.
    seed: u32,
    swept_at: Option<Instant>,
    /// For how long after its TTL data is kept.
    pub(crate) keep: Duration,
    /// Indexed entries that deny whole trees.
    cuts: usize,
    /// Indexed entries that had to leave before their time.
    pub(crate) evictions: u64,
}

impl<'m> Cache<'m> {
    /// A cache without memory, which keeps nothing.
    pub(crate) const fn vacant() -> Self {
        Self {
            entries: &mut [],
            buckets: &mut [],
            arena: Arena::new(&mut []),
            free: NONE,
            newest: NONE,
            oldest: NONE,
            seed: 0,
            swept_at: None,
            keep: Duration::ZERO,
            cuts: 0,
            evictions: 0,
        }
    }

    /// An empty cache; `entries` beyond 65,534 are not used.
    pub(crate) fn new(
        entries: &'m mut [Entry],
        buckets: &'m mut [u16],
        bytes: &'m mut [u8],
    ) -> Self {
        let usable = entries.len().min(usize::from(NONE - 1));
        let entries = entries.get_mut(..usable).unwrap_or_default();
        entries.fill(Entry::EMPTY);
        buckets.fill(NONE);
        let mut free = NONE;
        for (entry, index) in entries.iter_mut().zip(0..NONE).rev() {
            entry.next = free;
            free = index;
        }
        Self { entries, buckets, arena: Arena::new(bytes), free, ..Self::vacant() }
    }

    /// Sets the secret that names are hashed with; to be called while the cache is empty.
    pub(crate) fn set_seed(&mut self, seed: u32) {
        self.seed = seed;
    }

    /// The octets in use, for the counters.
    pub(crate) fn octets(&self) -> usize {
        self.arena.live()
    }

    /// The entries that lookups can find.
    pub(crate) fn len(&self) -> usize {
        self.entries.iter().filter(|e| e.indexed).count()
    }

    /// A hash of a name that nobody can aim from outside.
    pub(crate) fn hash_of(&self, name: &[u8]) -> u32 {
        hash(self.seed, name)
    }

    /// What is known of `rtype` at `name` (lower case, wire form), and still valid. With `cut` a denied
    /// name above it counts, too (RFC 8020 §2).
    pub(crate) fn find(
        &mut self,
        name: &[u8],
        rtype: RecordType,
        now: Instant,
        cut: bool,
    ) -> Known {
        let hash = hash(self.seed, name);
        let mut best = (0, Known::Nothing);
        for (index, entry) in self.entries_of(hash, name) {
            let same_type = entry.rtype == rtype;
            let rank = match entry.kind {
                _ if entry.expires_at() <= now => continue,
                Kind::Data if same_type => (5, Known::Data(index)),
                Kind::Data if entry.is_alias() && rtype != RecordType::ANY => {
                    (4, Known::Alias(index))
                }
                Kind::NoData if same_type => (3, Known::NoData(index)),
                Kind::NxDomain { .. } => (2, Known::NxDomain(index)),
                Kind::Failure(failure) if same_type => (1, Known::Failure(failure)),
                _ => continue,
            };
            if rank.0 > best.0 {
                best = rank;
            }
        }
        let known =
            if best.0 == 0 && cut && self.cuts > 0 { self.find_cut(name, now) } else { best.1 };
        if let Known::Data(i) | Known::Alias(i) | Known::NoData(i) | Known::NxDomain(i) = known {
            self.touch(i);
        }
        known
    }

    /// Whether there may be names that deny others below them.
    pub(crate) fn has_cuts(&self) -> bool {
        self.cuts > 0
    }

    /// What was known of `rtype` at `name`: data or an alias, its TTL over by at most `keep`.
    pub(crate) fn find_stale(&self, name: &[u8], rtype: RecordType, now: Instant) -> Known {
        let mut best = Known::Nothing;
        for (index, entry) in self.entries_of(hash(self.seed, name), name) {
            let kept = entry.kind == Kind::Data && !entry.is_gone(now, self.keep);
            if kept && entry.rtype == rtype {
                best = Known::Data(index);
            } else if kept && entry.is_alias() && best == Known::Nothing {
                best = Known::Alias(index);
            }
        }
        best
    }

    /// Whether an entry that is used now will soon be missed.
    pub(crate) fn is_ending(&self, index: u16, now: Instant) -> bool {
        let Some(entry) = self.entry(index).filter(|e| e.indexed && e.kind == Kind::Data) else {
            return false;
        };
        entry.ttl_s >= AHEAD && self.ttl_s(index, now) < entry.ttl_s / AHEAD
    }

    /// A denied name above `name` (RFC 8020 §2).
    fn find_cut(&self, name: &[u8], now: Instant) -> Known {
        let mut rest = name;
        // At most 127 labels.
        while let Some((&label, tail)) = rest.split_first() {
            rest = tail.get(usize::from(label)..).unwrap_or(&[]);
            for (index, entry) in self.entries_of(hash(self.seed, rest), rest) {
                if entry.kind == (Kind::NxDomain { cut: true }) && now < entry.expires_at() {
                    return Known::NxDomain(index);
                }
            }
        }
        Known::Nothing
    }

    /// Every indexed entry of `name`, with its number.
    fn entries_of(&self, hash: u32, name: &[u8]) -> impl Iterator<Item = (u16, &Entry)> {
        let mut index = self.bucket(hash).and_then(|b| self.buckets.get(b)).copied();
        core::iter::from_fn(move || {
            loop {
                let (i, entry) = index.and_then(|i| Some((i, self.entry(i)?)))?;
                index = Some(entry.next);
                if entry.hash == hash && self.owner_of(entry) == name {
                    return Some((i, entry));
                }
            }
        })
    }

    /// Adds an entry, pinned once, and gives out room for its `payload` octets of records, to be
    /// written at once.
    ///
    /// What contradicts it leaves the index: an RRset is replaced as a whole, never merged (RFC 2181
    /// §5.4), and an alias has no other data beside it.
    pub(crate) fn insert(
        &mut self,
        new: New<'_>,
        now: Instant,
        payload: usize,
    ) -> Result<(u16, Writer<'_>), NoRoom> {
        let length = new.owner.len() + payload;
        self.make_room(length, now)?;
        let index = self.free;
        let next_free = self.entry(index).ok_or(NoRoom)?.next;
        let Self { arena, entries, .. } = self;
        let room = arena.allocate(index, length, |owner, offset| {
            if let Some(entry) = entries.get_mut(usize::from(owner)) {
                entry.offset = offset;
            }
        });
        let offset = room.ok_or(NoRoom)?;
        self.free = next_free;
        if let Some(entry) = self.entry_mut(index) {
            *entry = Entry {
                hash: 0,
                offset,
                length: u16::try_from(length).unwrap_or(0),
                name_len: u8::try_from(new.owner.len()).unwrap_or(0),
                in_use: true,
                rtype: new.rtype,
                kind: new.kind,
                ttl_s: new.ttl_s,
                stored_at: now,
                pins: 1,
                ..Entry::EMPTY
            };
        }
        if new.ttl_s > 0 {
            self.index(index, &new, now);
        }
        let mut w = Writer::new(self.arena.get_mut(offset, length));
        // The block was made for exactly this.
        let _ = w.bytes(new.owner);
        Ok((index, w))
    }

    /// Adds an RRset of one record that was on no wire.
    pub(crate) fn insert_made(
        &mut self,
        owner: &[u8],
        data: &RData<'_>,
        ttl_s: u32,
        now: Instant,
    ) -> Result<u16, NoRoom> {
        let mut scratch = [0; MAX_MADE];
        let mut w = Writer::new(&mut scratch);
        data.write(&mut w).map_err(|_| NoRoom)?;
        let rdata = w.finish();
        let new = New { owner, rtype: data.rtype(), kind: Kind::Data, ttl_s };
        let (index, mut w) = self.insert(new, now, RECORD_HEAD + rdata.len())?;
        // The payload is exactly this long.
        let _ = w.u16(data.rtype().0);
        let _ = w.u16(u16::try_from(rdata.len()).unwrap_or(0));
        let _ = w.bytes(rdata);
        Ok(index)
    }

    /// Adds the records of one RRset.
    pub(crate) fn insert_records<'a>(
        &mut self,
        owner: &[u8],
        rtype: RecordType,
        now: Instant,
        records: impl Iterator<Item = Record<'a>> + Clone,
    ) -> Result<u16, NoRoom> {
        use crate::record::layout::{expand, expanded_len};
        let size = |r: &Record<'_>| expanded_len(r.rtype, r.class, r.rdata);
        // The least TTL of an RRset counts (RFC 2181 §5.2), capped; one with the top bit set is a large
        // positive one (RFC 8767 §4).
        let (ttl_s, payload) = records.clone().fold((TTL_MAX_S, 0), |(ttl_s, payload), record| {
            (record.ttl.min(ttl_s), payload + RECORD_HEAD + size(&record))
        });
        let new = New { owner, rtype, kind: Kind::Data, ttl_s };
        let (index, mut w) = self.insert(new, now, payload)?;
        for record in records {
            let length = u16::try_from(size(&record)).unwrap_or(0);
            // The payload was measured with the same walk.
            let _ = w.u16(record.rtype.0);
            let _ = w.u16(length);
            let _ = expand(record.rtype, record.class, record.rdata, &mut w);
        }
        Ok(index)
    }

    /// Notes that asking failed: for a second at first, for twice as long each time it happens again
    /// soon after (RFC 9520 §3.2).
    pub(crate) fn insert_failure(
        &mut self,
        owner: &[u8],
        rtype: RecordType,
        failure: Failure,
        now: Instant,
    ) -> Result<(), NoRoom> {
        let mut ttl_s = FAILURE_TTL_S;
        for (_, entry) in self.entries_of(hash(self.seed, owner), owner) {
            let recent = now < entry.expires_at() + Duration::from_secs(u64::from(entry.ttl_s));
            if matches!(entry.kind, Kind::Failure(_)) && entry.rtype == rtype && recent {
                ttl_s = entry.ttl_s.saturating_mul(2).min(FAILURE_TTL_MAX_S).max(ttl_s);
            }
            if entry.kind == Kind::Data && entry.expires_at() <= now {
                ttl_s = ttl_s.max(STALE_RETRY_S);
            }
        }
        let new = New { owner, rtype, kind: Kind::Failure(failure), ttl_s };
        let (index, _) = self.insert(new, now, 0)?;
        self.unpin(index);
        Ok(())
    }

    /// Puts an entry where lookups find it, and takes out what it contradicts.
    fn index(&mut self, index: u16, new: &New<'_>, now: Instant) {
        let hash = hash(self.seed, new.owner);
        let Some(bucket) = self.bucket(hash) else { return };
        // Each round takes out one; a name has as many entries as there are types.
        for _ in 0..self.entries.len() {
            let contradicted = |entry: &Entry| contradicts(new, entry, now, self.keep);
            let victim = self.entries_of(hash, new.owner).find(|(_, entry)| contradicted(entry));
            let Some((victim, _)) = victim else { break };
            self.remove(victim);
        }
        let first = self.buckets.get(bucket).copied().unwrap_or(NONE);
        if let Some(entry) = self.entry_mut(index) {
            (entry.hash, entry.next, entry.indexed) = (hash, first, true);
        }
        if let Some(slot) = self.buckets.get_mut(bucket) {
            *slot = index;
        }
        self.cuts += usize::from(new.kind == Kind::NxDomain { cut: true });
        self.link_newest(index);
    }

    /// Takes everything out of the index.
    pub(crate) fn flush(&mut self) {
        for index in (0..NONE).take(self.entries.len()) {
            if self.entry(index).is_some_and(|e| e.indexed) {
                self.remove(index);
            }
        }
    }

    /// Takes the failures out of the index: the network has changed.
    pub(crate) fn flush_failures(&mut self) {
        for index in (0..NONE).take(self.entries.len()) {
            if self.entry(index).is_some_and(|e| e.indexed && matches!(e.kind, Kind::Failure(_))) {
                self.remove(index);
            }
        }
    }

    /// Keeps an entry's octets where they are until [`unpin`](Self::unpin).
    pub(crate) fn pin(&mut self, index: u16) {
        if let Some(entry) = self.entry_mut(index) {
            entry.pins = entry.pins.saturating_add(1);
        }
    }

    /// Takes a pin off.
    pub(crate) fn unpin(&mut self, index: u16) {
        if let Some(entry) = self.entry_mut(index) {
            entry.pins = entry.pins.saturating_sub(1);
        }
        self.release_unused(index);
    }

    fn release_unused(&mut self, index: u16) {
        let Some(entry) = self.entry(index).copied() else { return };
        if entry.in_use && !entry.indexed && entry.pins == 0 {
            self.arena.free(entry.offset);
            let free = self.free;
            if let Some(entry) = self.entry_mut(index) {
                *entry = Entry { next: free, ..Entry::EMPTY };
            }
            self.free = index;
        }
    }

    /// Takes an entry out of the index; its memory goes with the last pin.
    fn remove(&mut self, index: u16) {
        let Some(&Entry { hash, next, kind, .. }) = self.entry(index) else { return };
        let Some(bucket) = self.bucket(hash) else { return };
        let first = self.buckets.get(bucket).copied().unwrap_or(NONE);
        if first == index {
            if let Some(slot) = self.buckets.get_mut(bucket) {
                *slot = next;
            }
        } else {
            let mut before = first;
            while let Some(entry) = self.entry_mut(before) {
                if entry.next == index {
                    entry.next = next;
                    break;
                }
                before = entry.next;
            }
        }
        self.unlink(index);
        self.cuts -= usize::from(kind == Kind::NxDomain { cut: true });
        if let Some(entry) = self.entry_mut(index) {
            (entry.indexed, entry.next) = (false, NONE);
        }
        self.release_unused(index);
    }

    /// Frees an entry and `length` octets, as far as that goes.
    fn make_room(&mut self, length: usize, now: Instant) -> Result<(), NoRoom> {
        if length > MAX_BLOCK {
            return Err(NoRoom);
        }
        if self.free != NONE && self.arena.has_room(length) {
            return Ok(());
        }
        if self.swept_at.is_none_or(|at| now >= at + SWEEP_INTERVAL) {
            self.swept_at = Some(now);
            for index in (0..NONE).take(self.entries.len()) {
                let keep = self.keep;
                if self.entry(index).is_some_and(|e| e.indexed && e.is_gone(now, keep)) {
                    self.remove(index);
                }
            }
        }
        // A pass over the order of use; what is pinned is left alone.
        let mut index = self.oldest;
        while let Some(&Entry { newer, pins, .. }) = self.entry(index) {
            if self.free != NONE && self.arena.has_room(length) && self.arena.has_slack() {
                break;
            }
            if pins == 0 {
                self.remove(index);
                self.evictions += 1;
            }
            index = newer;
        }
        Ok(())
    }

    /// An entry that lookups find has been used.
    fn touch(&mut self, index: u16) {
        if self.newest != index {
            self.unlink(index);
            self.link_newest(index);
        }
    }

    fn link_newest(&mut self, index: u16) {
        let newest = self.newest;
        if let Some(entry) = self.entry_mut(index) {
            (entry.older, entry.newer) = (newest, NONE);
        }
        match self.entry_mut(newest) {
            Some(entry) => entry.newer = index,
            None => self.oldest = index,
        }
        self.newest = index;
    }

    fn unlink(&mut self, index: u16) {
        let Some(&Entry { newer, older, .. }) = self.entry(index) else { return };
        match self.entry_mut(newer) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
        match self.entry_mut(older) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn entry(&self, index: u16) -> Option<&Entry> {
        self.entries.get(usize::from(index))
    }

    fn entry_mut(&mut self, index: u16) -> Option<&mut Entry> {
        self.entries.get_mut(usize::from(index))
    }

    fn bucket(&self, hash: u32) -> Option<usize> {
        // The high half of a product does without a division; without buckets nothing is found there.
        let buckets = u64::try_from(self.buckets.len()).ok()?;
        usize::try_from((u64::from(hash) * buckets) >> 32).ok()
    }

    fn owner_of(&self, entry: &Entry) -> &[u8] {
        self.arena.get(entry.offset, u16::from(entry.name_len))
    }

    /// An entry's owner, in lower case.
    pub(crate) fn owner(&self, index: u16) -> NameView<'_> {
        // What is free has no octets, which is the root as well.
        self.entry(index).map_or(NameView::ROOT, |e| NameView::of_checked(self.owner_of(e)))
    }

    /// An entry's type.
    pub(crate) fn rtype(&self, index: u16) -> RecordType {
        self.entry(index).map_or(RecordType(0), |e| e.rtype)
    }

    /// Notes that the server called an entry authentic.
    pub(crate) fn set_authentic(&mut self, index: u16) {
        if let Some(entry) = self.entry_mut(index) {
            entry.authentic = true;
        }
    }

    pub(crate) fn is_authentic(&self, index: u16) -> bool {
        self.entry(index).is_some_and(|e| e.authentic)
    }

    /// Whether an entry has records.
    pub(crate) fn is_data(&self, index: u16) -> bool {
        self.entry(index).is_some_and(|e| e.kind == Kind::Data)
    }

    /// What is left of an entry's TTL at `now`, seconds.
    pub(crate) fn ttl_s(&self, index: u16, now: Instant) -> u32 {
        let Some(entry) = self.entry(index) else { return 0 };
        let age_s = u32::try_from(now.since(entry.stored_at).as_secs()).unwrap_or(u32::MAX);
        entry.ttl_s.saturating_sub(age_s)
    }

    /// The records of an entry; negative ones have none behind their owner.
    pub(crate) fn records(&self, index: u16, now: Instant) -> EntryRecords<'_> {
        let empty = EntryRecords { owner: NameView::ROOT, ttl: 0, reader: Reader::new(&[]) };
        let Some(entry) = self.entry(index) else { return empty };
        let block = self.arena.get(entry.offset, entry.length);
        EntryRecords {
            owner: self.owner(index),
            ttl: self.ttl_s(index, now),
            reader: Reader::at(block, usize::from(entry.name_len)),
        }
    }
}

#[cfg(test)]
mod tests;
