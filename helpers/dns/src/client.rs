//! [`Resolver`], the caching stub resolver: the calls of the application.
//!
//! Read on in `names` (which names a text may stand for), `steps` (how a query walks from alias to
//! alias), `lookups` (how a question moves from
//! server to server), `transmit` (what is sent), `input` (what is let in), `streams` (connections),
//! `absorb` (what a response says), `refresh` (what is asked for the cache alone), `time` (what happens when nothing arrives).
//!
//! **TLS.** A connection is asked for with [`Transmit::Connect`], written with [`Transmit::Stream`],
//! and heard of as [`StreamInput`](bringup_core::client::StreamInput): an ordered stream of bytes in
//! any split, and nothing else. Whoever drives the resolver may lead that stream through TLS to
//! port 853 (RFC 7858) and set [`Config::use_tcp`]; the resolver does not see a difference.

use core::array::from_fn;
use core::net::{SocketAddr, SocketAddrV6};

use bringup_core::client::{Client, Cx, Input, Transmit};
use bringup_core::time::Instant;

use crate::cache::{Cache, Entry};
use crate::config::Config;
use crate::config::hosts::Hosts;
use crate::counters::{Counters, Discard};
use crate::name::{Name, NameError};
use crate::query::{Lookup, Notice, Outcome, Query, QueryKey, QueryKind, Stage};
use crate::record::RecordType;
use crate::search::Search;
use crate::server::{MAX_SERVERS, PORT, ServerAddress, ServerReport, Servers};
use crate::stream::Streams;
use due::Due;
use index::{Index, Links};
use names::read_target;

mod absorb;
mod answer;
mod due;
mod index;
mod input;
mod lookups;
mod names;
mod refresh;
mod steps;
mod streams;
mod time;
mod transmit;

pub use answer::Answer;

/// Where the row of free slots ends; beyond every slot that is used.
const NO_SLOT: u16 = u16::MAX;

/// Memory for a resolver: `QUERIES` callers' queries at once, `CACHE_ENTRIES` RRsets in
/// `CACHE_BYTES` octets (an RRset of one address takes its name and some 12 octets).
///
/// `STREAM_BYTES` are two rooms in which messages that arrive over TCP in parts are put together: a
/// longer message than half of it is refused. 65,535 octets is the longest that there is (RFC 1035
/// §4.2.2); below 8,192 answers are lost that others can read.
pub struct ResolverStorage<
    const QUERIES: usize,
    const CACHE_ENTRIES: usize,
    const CACHE_BYTES: usize,
    const STREAM_BYTES: usize = 8_192,
> {
    queries: [Query; QUERIES],
    lookups: [[Lookup; 2]; QUERIES],
    links: [[Links; 2]; QUERIES],
    heads: [[[u16; 2]; 2]; QUERIES],
    entries: [Entry; CACHE_ENTRIES],
    buckets: [u16; CACHE_ENTRIES],
    bytes: [u8; CACHE_BYTES],
    streams: [u8; STREAM_BYTES],
}

/// Memory for a device: 8 queries at once, 64 RRsets in 8 KiB.
pub type SmallStorage = ResolverStorage<8, 64, 8_192>;
/// Memory for a server: 256 queries at once, 4,096 RRsets in 512 KiB; more than a 16-bit machine can
/// address.
#[cfg(not(target_pointer_width = "16"))]
pub type LargeStorage = ResolverStorage<256, 4_096, 524_288, 131_070>;

impl<
    const QUERIES: usize,
    const CACHE_ENTRIES: usize,
    const CACHE_BYTES: usize,
    const STREAM_BYTES: usize,
> ResolverStorage<QUERIES, CACHE_ENTRIES, CACHE_BYTES, STREAM_BYTES>
{
    /// Fresh memory.
    pub const fn new() -> Self {
        Self::of(
            [const { Query::free() }; QUERIES],
            [const { [const { Lookup::free() }; 2] }; QUERIES],
        )
    }

    const fn of(queries: [Query; QUERIES], lookups: [[Lookup; 2]; QUERIES]) -> Self {
        Self {
            queries,
            lookups,
            links: [[Links::FREE; 2]; QUERIES],
            heads: [[[0; 2]; 2]; QUERIES],
            entries: [Entry::EMPTY; CACHE_ENTRIES],
            buckets: [0; CACHE_ENTRIES],
            bytes: [0; CACHE_BYTES],
            streams: [0; STREAM_BYTES],
        }
    }
}

impl<const Q: usize, const E: usize, const B: usize, const S: usize> Default
    for ResolverStorage<Q, E, B, S>
{
    /// What [`new`](Self::new) is, but made where it is called, not copied from a model that a program
    /// would carry with it.
    fn default() -> Self {
        Self::of(from_fn(|_| Query::free()), from_fn(|_| from_fn(|_| Lookup::free())))
    }
}

/// What a query is for: a text or a name.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// As a person writes it: a name, or an address.
    Text(&'a str),
    /// A name, which counts as absolute.
    Name(&'a Name),
}

impl<'a> From<&'a str> for Target<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a Name> for Target<'a> {
    fn from(name: &'a Name) -> Self {
        Self::Name(name)
    }
}

/// What a query may be given besides its question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryOptions {
    /// When it ends with [`Failure::Timeout`](crate::query::Failure::Timeout) at the latest, whatever
    /// is going on; `None` is [`Config::timeout`] from now.
    pub deadline: Option<Instant>,
    /// Ask over TCP only.
    pub tcp: bool,
    /// Take the name as absolute: no search list (RFC 1123 §6.1.4.3).
    pub no_search: bool,
}

/// Why a query was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryError {
    /// The text is not a name.
    Name(NameError),
    /// An IPv6 address with the name of an interface: give its number.
    ScopeName,
    /// All slots are taken by queries that run or have not been released.
    Full,
    /// The resolver was stopped.
    Stopped,
}

impl From<NameError> for QueryError {
    fn from(why: NameError) -> Self {
        Self::Name(why)
    }
}

/// What the application hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A query has ended. Said exactly once, unless the query was cancelled or released before.
    Done {
        /// Which.
        key: QueryKey,
        /// How.
        outcome: Outcome,
    },
    /// More has been found for a query that had ended: the late family of an address query.
    Update {
        /// Which.
        key: QueryKey,
    },
}

/// The resolver. Everything it keeps lies in memory that was lent to it.
pub struct Resolver<'m> {
    config: Config,
    queries: &'m mut [Query],
    lookups: &'m mut [Lookup],
    index: Index<'m>,
    /// How many lookups have asked several servers: the index has the id of the last only.
    spread: usize,
    cache: Cache<'m>,
    servers: Servers,
    streams: Streams<'m>,
    search: Search,
    hosts: Option<&'m (dyn Hosts + Sync)>,
    /// Which server of the list was the first to be asked last.
    rotation: u8,
    /// Queries that have to go on to their next name.
    walks: Due,
    /// The first of the free slots.
    free: u16,
    counters: Counters,
    seeded: bool,
    stopped: bool,
    time_valid: bool,
    /// Not later than the first deadline; exact after `handle_timeout`.
    wake: Option<Instant>,
    /// Queries whose callers have yet to hear something.
    notices: Due,
    /// What was handed to the platform last.
    last_transmit: Option<transmit::Last>,
}

impl<'m> Resolver<'m> {
    /// A resolver without servers. At most 32,767 queries of `storage` are used.
    pub fn new<const Q: usize, const E: usize, const B: usize, const S: usize>(
        config: Config,
        storage: &'m mut ResolverStorage<Q, E, B, S>,
    ) -> Self {
        let mut resolver = Self::vacant(config);
        resolver.lend(storage);
        resolver
    }

    /// A resolver without memory, fit for a static: until it is [lent](Self::lend) some it refuses every
    /// query as [`Full`](QueryError::Full).
    pub const fn vacant(config: Config) -> Self {
        let mut cache = Cache::vacant();
        cache.keep = config.serve_stale;
        Self {
            servers: Servers::new(config.sockets_per_server),
            streams: Streams::new(&mut []),
            search: Search::EMPTY,
            hosts: None,
            rotation: 0,
            walks: Due::NONE,
            free: NO_SLOT,
            config,
            queries: &mut [],
            lookups: &mut [],
            index: Index::vacant(),
            spread: 0,
            cache,
            counters: Counters::NONE,
            seeded: false,
            stopped: false,
            time_valid: true,
            wake: None,
            notices: Due::NONE,
            last_transmit: None,
        }
    }

    /// Gives a [vacant](Self::vacant) resolver its memory, where it stands. To be called before anything
    /// else. At most 32,767 queries of `storage` are used.
    pub fn lend<const Q: usize, const E: usize, const B: usize, const S: usize>(
        &mut self,
        storage: &'m mut ResolverStorage<Q, E, B, S>,
    ) {
        let ResolverStorage { queries, lookups, links, heads, entries, buckets, bytes, streams } =
            storage;
        // Written, not filled with: that clones all but the last, field by field.
        queries.iter_mut().for_each(|query| *query = Query::free());
        let lookups = lookups.as_flattened_mut();
        lookups.iter_mut().for_each(|lookup| *lookup = Lookup::free());
        let usable = Q.min(32_767);
        self.queries = queries.get_mut(..usable).unwrap_or_default();
        self.free = NO_SLOT;
        for (query, slot) in self.queries.iter_mut().zip(0..NO_SLOT).rev() {
            query.next_free = self.free;
            self.free = slot;
        }
        self.lookups = lookups.get_mut(..2 * usable).unwrap_or_default();
        let links = links.as_flattened_mut().get_mut(..2 * usable).unwrap_or_default();
        self.index = Index::new(links, heads.as_flattened_mut());
        self.cache = Cache::new(entries, buckets, bytes);
        self.cache.keep = self.config.serve_stale;
        self.streams.lend(streams);
    }

    /// Takes a new list of servers, first choice first; eight are used. Queries in flight go on, at
    /// the new servers where theirs are gone. A changed list empties the cache.
    pub fn set_servers(&mut self, cx: &mut Cx<'_>, servers: &[ServerAddress]) {
        if !self.stopped {
            self.replace_servers(cx, servers);
            self.walk_on(cx);
        }
    }

    /// Takes a new search list, first choice first; six names are used. Queries in flight end as
    /// they began as far as the new list reaches.
    pub fn set_search(&mut self, suffixes: impl IntoIterator<Item = Name>) {
        self.search = Search::of(suffixes.into_iter());
    }

    /// The search list.
    pub fn search(&self) -> impl Iterator<Item = &Name> {
        self.search.suffixes()
    }

    /// Takes a hosts file, which is asked before any server; `None` for none.
    pub fn set_hosts(&mut self, hosts: Option<&'m (dyn Hosts + Sync)>) {
        self.hosts = hosts;
    }

    /// Says whether the time is known; it is taken to be unless somebody says otherwise.
    ///
    /// As long as it isn't, servers are asked not to check signatures (CD, RFC 4035 §3.2.2): where the
    /// clock of the one next door isn't right either, it could answer nothing, and the NTP servers
    /// would never be found. What was learned like that is forgotten when the time is known.
    pub fn set_time_valid(&mut self, valid: bool) {
        if valid && !self.time_valid {
            self.flush_cache();
        }
        self.time_valid = valid;
    }

    /// Whether the time is known.
    pub const fn is_time_valid(&self) -> bool {
        self.time_valid
    }

    /// How the resolver behaves.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Changes how the resolver behaves, from the next query on. The number of sockets stays.
    pub fn set_config(&mut self, config: Config) {
        self.config = config;
        self.cache.keep = config.serve_stale;
    }

    /// Takes servers, search list and options from a resolv.conf, the options on top of `base`; queries
    /// in flight go on. `interface` gives the index of an interface by its name.
    pub fn load_resolv_conf(
        &mut self,
        cx: &mut Cx<'_>,
        base: Config,
        file: &[u8],
        mut interface: impl FnMut(&str) -> Option<u32>,
    ) {
        use crate::config::resolv_conf::{Setting, search, settings};
        let (mut servers, mut count, mut list) = ([None; MAX_SERVERS], 0, "");
        self.set_config(base);
        for setting in settings(file) {
            self.config = self.config.with(&setting);
            let address = match setting {
                Setting::Server(address) => address,
                Setting::ServerOn { address, interface: name } => match interface(name) {
                    Some(scope) => SocketAddrV6::new(address, PORT, 0, scope).into(),
                    None => continue,
                },
                Setting::Search(names) => {
                    list = names;
                    continue;
                }
                _ => continue,
            };
            if let Some(slot) = servers.get_mut(count) {
                *slot = Some(ServerAddress::from(address));
                count += 1;
            }
        }
        self.search = Search::of(search(list));
        // The first `count` are there.
        let servers = servers.map(|s| s.unwrap_or(SocketAddr::from(([0; 4], 0)).into()));
        self.set_servers(cx, servers.get(..count).unwrap_or(&[]));
    }

    /// The servers in use, in order.
    pub fn servers(&self) -> impl Iterator<Item = ServerAddress> + '_ {
        self.servers.in_order().map(|(_, server)| server.at)
    }

    /// The servers in use, in order, and what was found out about each.
    pub fn server_reports(&self, now: Instant) -> impl Iterator<Item = ServerReport> + '_ {
        self.servers.in_order().map(move |(_, server)| server.report(now))
    }

    /// Forgets all that was cached. Answers that callers still hold stay.
    pub fn flush_cache(&mut self) {
        self.cache.flush();
    }

    /// To be called when a link has come up or an address of this host has changed: what failed,
    /// what was measured, and the cookies from before say nothing any more. Sockets are opened anew,
    /// since a connected one keeps the address that it was opened with; what is in flight is asked
    /// again at once, as if it had just begun.
    pub fn link_up(&mut self, cx: &mut Cx<'_>) {
        self.cache.flush_failures();
        self.servers.forget();
        self.begin_anew(cx, u8::MAX);
        self.walk_on(cx);
    }

    /// Ends everything: a query that runs ends with [`Failure::Stopped`](crate::query::Failure::Stopped),
    /// or with what it has; sockets and connections are closed. Results stay until they are released,
    /// and nothing can be asked after this.
    pub fn stop(&mut self, cx: &mut Cx<'_>) {
        self.stopped = true;
        for slot in 0..self.queries.len() {
            self.stop_query(cx.now, slot);
        }
        for index in 0..self.lookups.len() {
            self.end_lookup(cx.now, index);
        }
        self.replace_servers(cx, &[]);
        self.wake = None;
    }

    /// Asks for a name. The end is told by [`Event::Done`], also when the answer is known already.
    ///
    /// A text is a name in master file form or an address. One without a final dot may stand for names
    /// of the search list. A single label is not sent to servers as it is: without a search list it
    /// fails as [`SingleLabel`](crate::query::Failure::SingleLabel).
    pub fn query<'n>(
        &mut self,
        cx: &mut Cx<'_>,
        name: impl Into<Target<'n>>,
        kind: QueryKind,
        options: QueryOptions,
    ) -> Result<QueryKey, QueryError> {
        if self.stopped {
            return Err(QueryError::Stopped);
        }
        if !self.seeded {
            self.seeded = true;
            self.cache.set_seed(cx.rng.u32());
        }
        let target = name.into();
        let Some(slot) = self.free_slot() else {
            return Err(match read_target(target, &mut Name::ROOT.clone()) {
                Err(why) => why,
                Ok(_) => QueryError::Full,
            });
        };
        let Some(query) = self.queries.get_mut(slot) else { return Err(QueryError::Full) };
        let (absolute, literal) = read_target(target, &mut query.name)?;
        self.free = query.next_free;
        let legs = match kind {
            QueryKind::Addresses => [RecordType::A, RecordType::AAAA],
            QueryKind::Type(rtype) => [rtype, RecordType(0)],
        };
        let stale_at = self.stale_at(cx.now);
        let Some(query) = self.queries.get_mut(slot) else { return Err(QueryError::Full) };
        let generation = query.generation;
        query.begin(legs, cx.now, options.deadline.unwrap_or(cx.now + self.config.timeout));
        query.tcp = options.tcp || self.config.use_tcp;
        query.stale_at = stale_at;
        self.counters.queries += 1;
        self.begin(cx, slot, literal, absolute || options.no_search);
        // What the cache has answered is done.
        match self.queries.get(slot).map(|query| (query.stage, query.walk_due)) {
            Some((Stage::Active, true)) => self.walk_on(cx),
            Some((Stage::Active, false)) => self.settle(cx.now, slot),
            _ => return Ok(QueryKey { slot: u16::try_from(slot).unwrap_or(NO_SLOT), generation }),
        }
        self.expire_if_late(cx.now, slot);
        Ok(QueryKey { slot: u16::try_from(slot).unwrap_or(NO_SLOT), generation })
    }

    /// Ends a query without a word: no event of it comes after this. `false` if the key is not one
    /// of a query that has yet to end.
    pub fn cancel(&mut self, cx: &mut Cx<'_>, key: QueryKey) -> bool {
        let active = self.slot(key).is_some_and(|(_, query)| query.stage == Stage::Active);
        if active {
            self.release(cx, key);
        }
        active
    }

    /// Gives a query's slot and its hold on the cache back; cancels it if it still runs. The key is
    /// void afterwards. `false` if it was void already.
    pub fn release(&mut self, cx: &mut Cx<'_>, key: QueryKey) -> bool {
        let Some((slot, _)) = self.slot(key) else { return false };
        for leg in 0..2 {
            self.leave_lookup(cx.now, slot, leg);
            self.drop_path(slot, leg);
        }
        if let Some(query) = self.queries.get_mut(slot) {
            if query.notice != Notice::None {
                self.notices.remove();
            }
            if query.walk_due {
                self.walks.remove();
            }
            query.clear();
            query.next_free = self.free;
            self.free = key.slot;
        }
        true
    }

    /// What a query that has ended found; `None` while it runs, and for void keys.
    pub fn result(&self, key: QueryKey) -> Option<Answer<'_>> {
        let (_, query) = self.slot(key)?;
        match query.stage {
            Stage::Finished(outcome) => Some(Answer::new(outcome, query, &self.cache)),
            Stage::Free | Stage::Active => None,
        }
    }

    /// What has been done and ignored so far.
    pub fn counters(&self) -> Counters {
        let mut counters = self.counters;
        counters.evictions = self.cache.evictions;
        counters.cache_entries = u64::try_from(self.cache.len()).unwrap_or(u64::MAX);
        counters.cache_octets = u64::try_from(self.cache.octets()).unwrap_or(u64::MAX);
        counters
    }

    /// The slot that the next query takes.
    fn free_slot(&self) -> Option<usize> {
        (self.free != NO_SLOT).then(|| usize::from(self.free))
    }

    fn slot(&self, key: QueryKey) -> Option<(usize, &Query)> {
        let slot = usize::from(key.slot);
        let query = self.queries.get(slot)?;
        let valid = query.generation == key.generation && query.stage != Stage::Free;
        valid.then_some((slot, query))
    }
}

impl Client for Resolver<'_> {
    type Event = Event;
    type Discard = Discard;

    /// The shortest of its times is 50 ms.
    const MEASURES_TIME: bool = false;

    fn handle_input(&mut self, cx: &mut Cx<'_>, input: Input<'_>) -> Result<(), Discard> {
        let result = match input {
            Input::Datagram { socket, from, bytes, received_at } => {
                self.handle_datagram(cx, socket, from, bytes, received_at)
            }
            Input::SendFailed { socket, why } => self.handle_send_failed(cx, socket, why),
            Input::Stream { conn, input } => self.handle_stream(cx, conn, input),
            Input::Frame { .. } => Err(Discard::UnknownSocket),
        };
        self.walk_on(cx);
        result.inspect_err(|&why| self.counters.discard(why))
    }

    fn handle_timeout(&mut self, cx: &mut Cx<'_>) {
        self.run_timers(cx);
        self.walk_on(cx);
    }

    fn poll_transmit<'b>(&mut self, cx: &mut Cx<'_>, buffer: &'b mut [u8]) -> Option<Transmit<'b>> {
        self.next_transmit(cx, buffer)
    }

    fn poll_event(&mut self) -> Option<Event> {
        if self.notices.is_none() {
            return None;
        }
        for slot in self.notices.slots(self.queries.len()) {
            let Some(query) = self.queries.get_mut(slot) else { continue };
            let notice = core::mem::replace(&mut query.notice, Notice::None);
            if notice != Notice::None {
                self.notices.remove();
            }
            let key = QueryKey { slot: u16::try_from(slot).ok()?, generation: query.generation };
            let event = match (notice, query.stage) {
                (Notice::Done, Stage::Finished(outcome)) => Event::Done { key, outcome },
                (Notice::Update, _) => Event::Update { key },
                _ => continue,
            };
            self.notices.look_from(slot + 1);
            return Some(event);
        }
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.wake
    }
}

#[cfg(test)]
mod tests;
