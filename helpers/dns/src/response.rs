//! What a response says about a question: which of its records belong to the answer.
//!
//! Only records of the answer section count, of class IN, whose owner is reached from the question's
//! name by CNAME or DNAME. The authority section serves for the SOA of negative answers, the
//! additional section never (RFC 5452 §6, RFC 2181 §5.4.1).

use crate::message::{Message, Section};
use crate::name::{Name, NameView, join};
use crate::query::Failure;
use crate::record::{Class, RData, Record, RecordType, Soa};

/// RFC 8767 §4 allows a week; RFC 2181 §8 allows any maximum. Ours is a day.
pub(crate) const TTL_MAX_S: u32 = 86_400;
/// The most seconds that a negative answer is kept. RFC 2308 §5 finds one to three hours sensible;
/// a device that has just been set up should not believe for hours that something is missing.
pub(crate) const NEGATIVE_TTL_MAX_S: u32 = 15 * 60;

/// A step from a name to the next one.
pub(crate) enum Step<'a> {
    /// The name has records of the type that was asked for.
    Data,
    /// The name is an alias.
    Alias {
        /// For what.
        target: Target<'a>,
        /// Seconds.
        ttl_s: u32,
    },
    /// The answer section says no more about this name.
    End,
}

/// What an alias stands for.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    /// As a CNAME says.
    Cname(NameView<'a>),
    /// As a DNAME says: so many labels of the name stay, and this follows them (RFC 6672 §3.1).
    Dname(usize, NameView<'a>),
}

impl Target<'_> {
    /// What `name` is an alias for; `None` if that is too long to be a name.
    pub(crate) fn name(self, name: NameView<'_>) -> Option<Name> {
        match self {
            Self::Cname(target) => Some(target.to_name()),
            Self::Dname(kept, target) => join(name.labels().take(kept), target),
        }
    }
}

/// What the answer section says about `name`. A real CNAME is preferred to one made from a DNAME, and to
/// other data at the same name: there should be none (RFC 1034 §3.6.2).
pub(crate) fn step<'a>(message: &Message<'a>, name: NameView<'_>, rtype: RecordType) -> Step<'a> {
    let mut dname = None;
    let mut cname = None;
    let mut has_data = false;
    for record in message.records(Section::Answer).filter(|r| r.class == Class::IN) {
        match record.data() {
            _ if is_wanted(&record, name, rtype) => {
                if stands_beside_a_cname(rtype) {
                    return Step::Data;
                }
                has_data = true;
            }
            // Of two CNAMEs at one name the first counts (RFC 2181 §10.1 allows only one).
            RData::Cname(target) if cname.is_none() && record.owner == name => {
                cname = Some((target, record.ttl));
            }
            RData::Dname(target) if dname.is_none() && is_below(name, record.owner) => {
                dname = Some((record.owner, target, record.ttl));
            }
            _ => {}
        }
    }
    if let Some((target, ttl)) = cname {
        return Step::Alias { target: Target::Cname(target), ttl_s: cap(ttl) };
    }
    if has_data {
        return Step::Data;
    }
    let Some((owner, target, ttl)) = dname else { return Step::End };
    // It is below the owner, so it has more labels.
    let kept = name.label_count().saturating_sub(owner.label_count());
    Step::Alias { target: Target::Dname(kept, target), ttl_s: cap(ttl) }
}

/// Whether there are answers, but none of the Internet at `name` nor an alias of a tree that it is in, and no
/// SOA of its zone: such a response says nothing about `name`, not even that it has no records.
pub(crate) fn is_about_others(message: &Message<'_>, name: NameView<'_>) -> bool {
    let mut answers = message.records(Section::Answer).peekable();
    answers.peek().is_some()
        && answers.all(|r| {
            let above = r.rtype == RecordType::DNAME && is_below(name, r.owner);
            r.class != Class::IN || r.owner != name && !above
        })
        && !negative(message, name).has_soa
}

/// The CNAME itself, and the types that a signed zone has at each name (RFC 4035 §2.5, RFC 2181 §10.1).
const fn stands_beside_a_cname(rtype: RecordType) -> bool {
    matches!(
        rtype,
        RecordType::CNAME
            | RecordType::ANY
            | RecordType::RRSIG
            | RecordType::NSEC
            | RecordType::SIG
            | RecordType::KEY
            | RecordType(30) // NXT
    )
}

/// Below, and not the same (RFC 6672 §2.3).
fn is_below(name: NameView<'_>, owner: NameView<'_>) -> bool {
    name.label_count() > owner.label_count() && name.is_at_or_below(owner)
}

/// Whether this record is one of those asked for.
fn is_wanted(record: &Record<'_>, name: NameView<'_>, rtype: RecordType) -> bool {
    (record.rtype == rtype || rtype == RecordType::ANY)
        && record.class == Class::IN
        && record.owner == name
}

/// The records of `rtype` at `name`.
pub(crate) fn rrset<'a>(
    message: &Message<'a>,
    name: NameView<'a>,
    rtype: RecordType,
) -> impl Iterator<Item = Record<'a>> + Clone {
    let records = message.records(Section::Answer);
    records.filter(move |record| is_wanted(record, name, rtype))
}

fn cap(ttl: u32) -> u32 {
    ttl.min(TTL_MAX_S)
}

/// What the authority section says about a name without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Negative {
    /// For how long that holds, seconds; 0 without an SOA of the name's zone (RFC 2308 §5).
    pub(crate) ttl_s: u32,
    /// There is an SOA of a zone that `name` is in.
    pub(crate) has_soa: bool,
    /// There is no SOA, but servers of another zone to ask.
    pub(crate) is_referral: bool,
}

/// Reads the authority section for `name`.
pub(crate) fn negative(message: &Message<'_>, name: NameView<'_>) -> Negative {
    let mut authority = message.records(Section::Authority).filter(|r| r.class == Class::IN);
    let soa = authority.clone().find_map(|record| match record.data() {
        RData::Soa(Soa { minimum, .. }) if name.is_at_or_below(record.owner) => {
            Some(minimum.min(record.ttl).min(NEGATIVE_TTL_MAX_S))
        }
        _ => None,
    });
    let has_any_soa = authority.clone().any(|r| r.rtype == RecordType::SOA);
    let has_ns = authority.any(|r| r.rtype == RecordType::NS);
    let header = message.header();
    let is_referral = has_ns && !has_any_soa && !header.aa && !header.ra;
    Negative { ttl_s: soa.unwrap_or(0), has_soa: soa.is_some(), is_referral }
}

/// What a response code that is no answer means.
pub(crate) fn failure(rcode: crate::message::Rcode) -> Failure {
    use crate::message::Rcode;
    match rcode {
        Rcode::SERVFAIL => Failure::ServFail,
        Rcode::REFUSED => Failure::Refused,
        Rcode::FORMERR => Failure::FormErr,
        Rcode::NOTIMP => Failure::NotImp,
        Rcode(other) => Failure::Rcode(other),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::record::RData;
    use crate::testing::{Reply, name};
    use std::vec::Vec;

    fn reply() -> Reply {
        let query = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x01x\x07example\0\0\x01\0\x01";
        Reply::to(query)
    }

    #[test]
    fn a_referral_has_other_servers_and_nothing_of_its_own() {
        for (has_ns, has_soa, aa, ra, expected) in [
            (true, false, false, false, true),
            (false, false, false, false, false),
            (true, true, false, false, false),
            (true, false, true, false, false),
            (true, false, false, true, false),
        ] {
            let mut reply = reply();
            let target = name("ns.example");
            if has_ns {
                let data = RData::Ns(target.view());
                reply = reply.record(Section::Authority, "other", 60, &data);
            }
            if has_soa {
                reply = reply.soa("other", 60, 60);
            }
            (reply.header.aa, reply.header.ra) = (aa, ra);
            let bytes = reply.bytes();
            let message = Message::parse(&bytes).unwrap();
            let read = negative(&message, name("x.example").view());
            let what = [has_ns, has_soa, aa, ra];
            assert_eq!((read.is_referral, read.has_soa), (expected, false), "{what:?}");
        }
    }

    #[test]
    fn rule_16_a_dname_redirects_what_is_below_its_owner() {
        for (owner, expected) in [
            ("x.example", false),
            ("example", true),
            ("y.example", false),
            ("y", false),
            ("a.x.example", false),
        ] {
            assert_eq!(is_below(name("x.example").view(), name(owner).view()), expected, "{owner}");
        }
    }

    #[test]
    fn answers_about_others_say_nothing() {
        let target = name("z.example");
        for (owners, expected) in [
            (&[][..], false),
            (&["x.example"], false),
            (&["y.example"], true),
            (&["y.example", "x.example"], false),
            (&["example"], true),
            // An alias of the tree that the name is in, and of another.
            (&["DNAME example"], false),
            (&["DNAME y.example"], true),
        ] {
            let owners: Vec<_> = owners.to_vec();
            let add = |reply: Reply, owner: &&str| match owner.strip_prefix("DNAME ") {
                Some(owner) => reply.answer(owner, 60, &RData::Dname(target.view())),
                None => reply.answer(owner, 60, &crate::testing::a(1)),
            };
            let bytes = owners.iter().fold(reply(), add).bytes();
            let message = Message::parse(&bytes).unwrap();
            let about = is_about_others(&message, name("x.example").view());
            assert_eq!(about, expected, "{owners:?}");
        }
    }
}
