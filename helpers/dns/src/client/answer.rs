//! [`Answer`], what a query found.

use core::net::{IpAddr, SocketAddr};

use bringup_core::time::Duration;

use crate::cache::Cache;
use crate::name::NameView;
use crate::order::{self, SourceOracle};
use crate::query::{Outcome, Query, Source};
use crate::record::{RData, Record, RecordType};

/// What a query found. It lies in the cache, where nothing of it moves while this is looked at.
#[derive(Clone, Copy)]
pub struct Answer<'r> {
    outcome: Outcome,
    query: &'r Query,
    cache: &'r Cache<'r>,
}

impl<'r> Answer<'r> {
    pub(super) fn new(outcome: Outcome, query: &'r Query, cache: &'r Cache<'r>) -> Self {
        Self { outcome, query, cache }
    }

    /// How the query ended.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// All records: the aliases in their order, then what the last one stands for. TTLs are those
    /// left when the answer came.
    pub fn records(self) -> impl Iterator<Item = Record<'r>> + Clone {
        let Answer { query, cache, .. } = self;
        let records = self.entries().flat_map(move |e| cache.records(e, query.answered_at));
        records.map(move |record| Record { ttl: stale_ttl_s(query, record.ttl), ..record })
    }

    /// The addresses, IPv4 first.
    pub fn addresses(self) -> impl Iterator<Item = IpAddr> + Clone {
        self.records().filter_map(|record| record.address())
    }

    /// The addresses in the order in which they are to be tried: sorted by RFC 6724 §6, the families
    /// taking turns (RFC 8305 §4). As many as `buffer` has room for, of both families.
    pub fn ordered_addresses<'b>(
        self,
        oracle: &mut dyn SourceOracle,
        buffer: &'b mut [IpAddr],
    ) -> &'b mut [IpAddr] {
        let mut v4 = self.addresses().filter(IpAddr::is_ipv4);
        let mut v6 = self.addresses().filter(IpAddr::is_ipv6);
        let mut count = 0;
        for slot in buffer.iter_mut() {
            let next = if count % 2 == 0 {
                v6.next().or_else(|| v4.next())
            } else {
                v4.next().or_else(|| v6.next())
            };
            let Some(address) = next else { break };
            *slot = address;
            count += 1;
        }
        let addresses = buffer.get_mut(..count).unwrap_or_default();
        order::sort(addresses, oracle);
        order::interleave(addresses);
        addresses
    }

    /// For how long the whole holds, seconds: the least TTL of all records, of negative answers the
    /// negative TTL (RFC 2308 §5).
    pub fn ttl(&self) -> u32 {
        let at = self.query.answered_at;
        // That one family has nothing does not shorten what the other one has.
        let counts = |e: &u16| self.outcome != Outcome::Answer || self.cache.is_data(*e);
        let ttl_s = |e| stale_ttl_s(self.query, self.cache.ttl_s(e, at));
        self.entries().filter(counts).map(ttl_s).min().unwrap_or(0)
    }

    /// The name that the last alias stands for; `None` without alias.
    pub fn canonical_name(self) -> Option<NameView<'r>> {
        let alias = self.entries().filter(|&e| self.cache.rtype(e) == RecordType::CNAME).last()?;
        self.cache.records(alias, self.query.answered_at).find_map(|r| match r.data() {
            RData::Cname(target) => Some(target),
            _ => None,
        })
    }

    /// Where it came from.
    pub fn source(&self) -> Source {
        self.query.source
    }

    /// Whether a part of it is past its TTL, given because nothing better could be had (RFC 8767).
    pub fn is_stale(&self) -> bool {
        self.query.stale
    }

    /// Whether the servers called all of it authentic (RFC 4035 §3.2.3). Only ever true with
    /// [`Config::trust_ad`](crate::config::Config::trust_ad).
    pub fn is_authentic(self) -> bool {
        self.entries().next().is_some() && self.entries().all(|e| self.cache.is_authentic(e))
    }

    /// The server that answered last; of a failure the one that it is of, or the last one that did
    /// not answer. `None` if none was asked.
    pub fn server(&self) -> Option<SocketAddr> {
        self.query.server
    }

    /// From the start of the query to this answer.
    pub fn elapsed(&self) -> Duration {
        self.query.answered_at.since(self.query.started_at)
    }

    /// The interface of a link-local address that was given as one (`fe80::1%2`), or 0.
    pub fn scope_id(&self) -> u32 {
        self.query.scope_id
    }

    /// The cache entries of all legs; an alias that two legs went through counts once.
    fn entries(self) -> impl Iterator<Item = u16> + Clone + use<'r> {
        let Answer { query, cache, .. } = self;
        let [first, second] = &query.legs;
        let is_alias = move |e: u16| cache.rtype(e) == RecordType::CNAME;
        let is_new = move |e: &u16| {
            let mut before = first.path.entries().iter();
            !is_alias(*e) || !before.any(|&b| is_alias(b) && cache.owner(b) == cache.owner(*e))
        };
        let known = first.path.entries().iter().copied();
        known.chain(second.path.entries().iter().copied().filter(is_new))
    }
}

/// The TTL of what a query was given: never 0 where it is over (RFC 8767 §4, the recommended value).
const fn stale_ttl_s(query: &Query, ttl_s: u32) -> u32 {
    if query.stale && ttl_s == 0 { 30 } else { ttl_s }
}
