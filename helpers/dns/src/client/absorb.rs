//! What a response says, and how it comes into the cache.

use bringup_core::time::Instant;

use super::Resolver;
use super::lookups::End;
use crate::cache::{Cache, Kind, New};
use crate::message::{Message, Rcode};
use crate::name::{Name, NameView};
use crate::query::{Failure, MAX_ALIASES, Outcome, Path};
use crate::record::{RData, RecordType};
use crate::response::{self, Step, Target};

impl Resolver<'_> {
    /// Puts what a response says into the cache: the path from the question's name, every entry
    /// pinned once, and where it ends. `Err` if this server is of no use for the question.
    pub(super) fn absorb(
        &mut self,
        now: Instant,
        index: usize,
        message: &Message<'_>,
        qname: NameView<'_>,
    ) -> Result<(Path, End), Failure> {
        let Some(lookup) = self.lookups.get(index) else { return Err(Failure::Timeout) };
        let name = lookup.name.clone();
        let asked = (lookup.rtype, lookup.derived);
        let mut path = Path::EMPTY;
        let end = self.walk_answer(now, message, (&name, qname), asked, &mut path);
        if end.is_err() {
            self.drop_pins(&path);
        } else if self.config.trust_ad && message.header().ad {
            path.entries().iter().for_each(|&entry| self.cache.set_authentic(entry));
        }
        end.map(|end| (path, end))
    }

    /// `name` is the question's in lower case, `qname` the same where it stands in the message, so that it
    /// is compared with owners that point at it at a glance.
    fn walk_answer<'a>(
        &mut self,
        now: Instant,
        message: &Message<'a>,
        (name, qname): (&Name, NameView<'a>),
        (rtype, derived): (RecordType, bool),
        path: &mut Path,
    ) -> Result<End, Failure> {
        let mut name = name;
        let mut lowered;
        let nxdomain = message.rcode() == Rcode::NXDOMAIN;
        // `None` where the name is made from a DNAME and stands nowhere.
        let mut there = Some(qname);
        for _ in 0..=MAX_ALIASES {
            let view = there.unwrap_or(name.view());
            match response::step(message, view, rtype) {
                // The response code belongs to the last name of the chain (RFC 6604 §3): records
                // and NXDOMAIN contradict each other.
                Step::Data if nxdomain => return Err(Failure::Malformed),
                Step::Data => {
                    let end = self.store_rrset(now, message, (name.as_wire(), view), rtype, path);
                    return end.map(End::Known);
                }
                Step::Alias { target, ttl_s } => {
                    let Some(target_name) = target.name(view) else {
                        return Ok(End::Known(Outcome::Failed(Failure::AliasChain)));
                    };
                    let alias = RData::Cname(target_name.view());
                    let stored = self.cache.insert_made(name.as_wire(), &alias, ttl_s, now);
                    let Ok(entry) = stored else {
                        return Ok(End::Known(Outcome::Failed(Failure::TooLarge)));
                    };
                    if !push(&mut self.cache, path, entry) {
                        break;
                    }
                    if self.passed(path, target_name.view()) {
                        return Ok(End::Known(Outcome::Failed(Failure::AliasLoop)));
                    }
                    there = match target {
                        Target::Cname(target) => Some(target),
                        Target::Dname(..) => None,
                    };
                    lowered = target_name.to_lowercase();
                    name = &lowered;
                }
                Step::End => {
                    return self.store_negative(now, message, (name, view), (rtype, derived), path);
                }
            }
        }
        Ok(End::Known(Outcome::Failed(Failure::AliasChain)))
    }

    fn passed(&self, path: &Path, name: NameView<'_>) -> bool {
        path.entries().iter().any(|&entry| self.cache.owner(entry) == name)
    }

    fn store_rrset(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        (owner, view): (&[u8], NameView<'_>),
        rtype: RecordType,
        path: &mut Path,
    ) -> Result<Outcome, Failure> {
        let records = response::rrset(message, view, rtype);
        // One malformed SVCB record makes its RRset unusable (RFC 9460 §2.2).
        let malformed =
            |data| matches!(data, RData::Svcb(s) | RData::Https(s) if !s.is_well_formed());
        let is_svcb = matches!(rtype, RecordType::SVCB | RecordType::HTTPS | RecordType::ANY);
        if is_svcb && records.clone().any(|record| malformed(record.data())) {
            return Err(Failure::Malformed);
        }
        match self.cache.insert_records(owner, rtype, now, records) {
            Ok(entry) if push(&mut self.cache, path, entry) => Ok(Outcome::Answer),
            Ok(_) => Ok(Outcome::Failed(Failure::AliasChain)),
            Err(_) => Ok(Outcome::Failed(Failure::TooLarge)),
        }
    }

    /// The answer section has nothing (more) about `name`.
    fn store_negative(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        (name, view): (&Name, NameView<'_>),
        (rtype, derived): (RecordType, bool),
        path: &mut Path,
    ) -> Result<End, Failure> {
        let negative = response::negative(message, view);
        let (kind, outcome) = if message.rcode() == Rcode::NXDOMAIN {
            (Kind::NxDomain { cut: negative.has_soa && !derived }, Outcome::NxDomain)
        } else if !path.entries().is_empty() && !negative.has_soa {
            return Ok(End::Continue);
        } else if negative.is_referral {
            return Err(Failure::Lame);
        } else {
            (Kind::NoData, Outcome::NoData)
        };
        let new = New { owner: name.as_wire(), rtype, kind, ttl_s: negative.ttl_s };
        // Without room it holds for those who wait, and is not remembered.
        if let Ok((entry, _)) = self.cache.insert(new, now, 0) {
            // The path has room: a longer chain has ended above.
            let _ = push(&mut self.cache, path, entry);
        }
        Ok(End::Known(outcome))
    }
}

/// Adds a pinned entry to a path, or takes its pin off.
fn push(cache: &mut Cache<'_>, path: &mut Path, entry: u16) -> bool {
    let pushed = path.push(entry);
    if !pushed {
        cache.unpin(entry);
    }
    pushed
}
