//! [`DnsServer`]: one small zone, answered with authority.

use std::net::{Ipv4Addr, Ipv6Addr};

use bringup_dns::encode::{EncodeError, Encoder};
use bringup_dns::message::{Edns, Header, Question, Rcode, Section};
use bringup_dns::record::Soa;
use bringup_dns::{Class, Message, Name, NameView, RData, RecordType};

/// How long records hold, seconds; also the negative TTL.
const TTL: u32 = 60;
/// The UDP payload that it can take, octets.
const UDP_SIZE: u16 = 1232;
/// What a client without EDNS can take, octets. RFC 1035 §4.2.1.
const PLAIN_SIZE: u16 = 512;
/// The most aliases that it follows; the zone is ours, so that this only bounds the loop.
const MAX_ALIASES: usize = 8;

/// The data of a record.
#[derive(Clone, Debug)]
pub enum Data {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// An alias of this name.
    Cname(Name),
    /// The zone's name server.
    Ns(Name),
}

impl Data {
    fn rdata(&self) -> RData<'_> {
        match self {
            Self::A(address) => RData::A(*address),
            Self::Aaaa(address) => RData::Aaaa(*address),
            Self::Cname(name) => RData::Cname(name.view()),
            Self::Ns(name) => RData::Ns(name.view()),
        }
    }
}

/// A zone: everything at and below its apex.
#[derive(Clone, Debug)]
pub struct Zone {
    apex: Name,
    mname: Name,
    rname: Name,
    records: Vec<(Name, Data)>,
}

/// A name of the demonstration's zone; the texts are constants of this file.
fn name(text: &str) -> Name {
    Name::from_text(text).unwrap_or(Name::ROOT)
}

impl Zone {
    /// An empty zone with a SOA record.
    pub fn new(apex: Name, mname: Name, rname: Name) -> Self {
        Self { apex, mname, rname, records: Vec::new() }
    }

    /// `bringup.test` (`.test` is nobody's, RFC 6761 §6.2): `ns` and `time` at `server`, `host` at
    /// `server` and an address of RFC 3849, and `www`, an alias of `host`.
    pub fn demo(server: Ipv4Addr) -> Self {
        let apex = name("bringup.test");
        let ns = name("ns.bringup.test");
        let host = name("host.bringup.test");
        let mut zone = Self::new(apex.clone(), ns.clone(), name("hostmaster.bringup.test"));
        zone.add(apex, Data::Ns(ns.clone()));
        zone.add(ns, Data::A(server));
        zone.add(name("time.bringup.test"), Data::A(server));
        zone.add(host.clone(), Data::A(server));
        zone.add(host.clone(), Data::Aaaa(Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, 1)));
        zone.add(name("www.bringup.test"), Data::Cname(host));
        zone
    }

    /// Adds a record. What lies outside of the zone is never found.
    pub fn add(&mut self, owner: Name, data: Data) {
        self.records.push((owner, data));
    }

    fn soa(&self) -> RData<'_> {
        RData::Soa(Soa {
            mname: self.mname.view(),
            rname: self.rname.view(),
            serial: 1,
            refresh: 3600,
            retry: 600,
            expire: 86_400,
            minimum: TTL,
        })
    }

    /// Whether anything is at or below a name: an empty non-terminal exists (RFC 8020 §2).
    fn exists(&self, owner: NameView<'_>) -> bool {
        owner == self.apex.view()
            || self.records.iter().any(|(name, _)| name.view().is_at_or_below(owner))
    }

    fn alias(&self, owner: NameView<'_>) -> Option<&Name> {
        self.records.iter().find_map(|(name, data)| match data {
            Data::Cname(target) if name.view() == owner => Some(target),
            _ => None,
        })
    }
}

/// What goes into a reply, besides its question.
struct Reply<'z> {
    rcode: Rcode,
    aa: bool,
    answers: Vec<(NameView<'z>, RData<'z>)>,
    soa: Option<(NameView<'z>, RData<'z>)>,
}

impl Reply<'_> {
    const fn error(rcode: Rcode) -> Self {
        Self { rcode, aa: false, answers: Vec::new(), soa: None }
    }
}

/// A server for one zone, which also says that it recurses: it stands for a network's resolver.
#[derive(Clone, Debug)]
pub struct DnsServer {
    zone: Zone,
}

impl DnsServer {
    /// A server for this zone.
    pub const fn new(zone: Zone) -> Self {
        Self { zone }
    }

    /// Writes the reply to `request` into `out`; gives its length. It is cut off with TC at what the
    /// client can take over UDP. What is no query at all gets no reply.
    pub fn reply(&self, request: &[u8], out: &mut [u8]) -> Option<usize> {
        let message = Message::parse(request).ok()?;
        let header = message.header();
        if header.qr {
            return None;
        }
        let question = message.question().filter(|_| message.question_count() == 1);
        let edns = message.edns();
        let reply = match (header.opcode, edns, question) {
            (1.., _, _) => Reply::error(Rcode::NOTIMP),
            (_, Some(Edns { version: 1.., .. }), _) => Reply::error(Rcode::BADVERS),
            (_, _, None) => Reply::error(Rcode::FORMERR),
            (_, _, Some(question)) => self.answer(&question),
        };
        let size = edns.map_or(PLAIN_SIZE, |edns| edns.udp_size.clamp(PLAIN_SIZE, UDP_SIZE));
        let size = usize::from(size).min(out.len());
        let out = out.get_mut(..size)?;
        let whole = write(out, header, question.as_ref(), edns.is_some(), &reply);
        let written = whole.or_else(|_| {
            // RFC 2181 §9: whole RRsets or none of them; the client comes back over TCP.
            let cut = Reply { answers: Vec::new(), soa: None, ..reply };
            write(out, Header { tc: true, ..header }, question.as_ref(), edns.is_some(), &cut)
        });
        written.ok()
    }

    fn answer(&self, question: &Question<'_>) -> Reply<'_> {
        let zone = &self.zone;
        if question.qclass != Class::IN || !question.qname.is_at_or_below(zone.apex.view()) {
            return Reply::error(Rcode::REFUSED);
        }
        let soa = (zone.apex.view(), zone.soa());
        let mut reply = Reply { rcode: Rcode::NOERROR, aa: true, answers: Vec::new(), soa: None };
        let mut alias: Option<&Name> = None;
        for _ in 0..MAX_ALIASES {
            let owner = alias.map_or(question.qname, |name| name.view());
            let found: Vec<_> = self.records(owner, question.qtype).collect();
            if !found.is_empty() {
                reply.answers.extend(found);
                return reply;
            }
            let Some(target) = zone.alias(owner) else {
                // RFC 2308 §2.1, 2.2: no such name, or none of this type; RFC 6604 §3: the code is
                // that of the last name of the chain.
                let outside = !owner.is_at_or_below(zone.apex.view());
                if !outside && !zone.exists(owner) {
                    reply.rcode = Rcode::NXDOMAIN;
                }
                reply.soa = (!outside).then_some(soa);
                return reply;
            };
            reply.answers.extend(self.records(owner, RecordType::CNAME));
            alias = Some(target);
        }
        reply
    }

    /// The records of a name and type; of the apex, the SOA too.
    fn records<'s>(
        &'s self,
        owner: NameView<'_>,
        qtype: RecordType,
    ) -> impl Iterator<Item = (NameView<'s>, RData<'s>)> {
        let zone = &self.zone;
        let is_apex = owner == zone.apex.view() && qtype == RecordType::SOA;
        let soa = is_apex.then(|| (zone.apex.view(), zone.soa()));
        let records = zone.records.iter().filter(move |(name, _)| name.view() == owner);
        let typed = records.map(|(name, data)| (name.view(), data.rdata()));
        typed.filter(move |(_, data)| data.rtype() == qtype).chain(soa)
    }
}

fn write(
    out: &mut [u8],
    request: Header,
    question: Option<&Question<'_>>,
    edns: bool,
    reply: &Reply<'_>,
) -> Result<usize, EncodeError> {
    let [_, low] = (reply.rcode.0 & 0x0F).to_be_bytes();
    let header = Header { qr: true, aa: reply.aa, ra: true, ad: false, rcode: low, ..request };
    let mut encoder = Encoder::new(out, header)?;
    if let Some(question) = question {
        encoder.question(question.qname, question.qtype, question.qclass)?;
    }
    for (owner, data) in &reply.answers {
        encoder.record(Section::Answer, *owner, TTL, data)?;
    }
    if let Some((owner, data)) = &reply.soa {
        encoder.record(Section::Authority, *owner, TTL, data)?;
    }
    if edns {
        encoder.edns(UDP_SIZE, reply.rcode, &[])?;
    }
    encoder.finish().map(|bytes| bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bringup_dns::encode::{QueryFlags, query};

    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    /// The answer to a question: its code, the answer section's lines, and authority's.
    fn ask(qname: &str, qtype: RecordType) -> (String, Vec<String>, Vec<String>) {
        let mut buffer = [0; 300];
        let flags = QueryFlags { edns_udp_size: Some(1232), ad: false, cd: false };
        let request = query(&mut buffer, 7, name(qname).view(), qtype, flags).unwrap();
        let mut out = [0; 1500];
        let length = DnsServer::new(Zone::demo(SERVER)).reply(request, &mut out).unwrap();
        let reply = Message::parse(&out[..length]).unwrap();
        let header = reply.header();
        assert_eq!((header.id, header.qr, header.rd, header.ra), (7, true, true, true));
        assert!(reply.question().is_some_and(|q| q.qname == name(qname).view()));
        assert!(reply.edns().is_some());
        let lines = |section| {
            let records = reply.records(section);
            records.map(|r| format!("{} {} {}", r.owner, r.rtype, r.data())).collect()
        };
        (reply.rcode().to_string(), lines(Section::Answer), lines(Section::Authority))
    }

    #[test]
    fn the_zone() {
        let soa = "bringup.test. SOA ns.bringup.test. hostmaster.bringup.test. 1 3600 600 86400 60";
        for (qname, qtype, rcode, answers, authority) in [
            (
                "time.bringup.test",
                RecordType::A,
                "NOERROR",
                &["time.bringup.test. A 10.0.0.1"][..],
                false,
            ),
            (
                "TIME.Bringup.Test",
                RecordType::A,
                "NOERROR",
                &["TIME.Bringup.Test. A 10.0.0.1"],
                false,
            ),
            (
                "www.bringup.test",
                RecordType::A,
                "NOERROR",
                &["www.bringup.test. CNAME host.bringup.test.", "host.bringup.test. A 10.0.0.1"],
                false,
            ),
            (
                "www.bringup.test",
                RecordType::AAAA,
                "NOERROR",
                &[
                    "www.bringup.test. CNAME host.bringup.test.",
                    "host.bringup.test. AAAA 2001:db8::1",
                ],
                false,
            ),
            (
                "www.bringup.test",
                RecordType::CNAME,
                "NOERROR",
                &["www.bringup.test. CNAME host.bringup.test."],
                false,
            ),
            (
                "www.bringup.test",
                RecordType::MX,
                "NOERROR",
                &["www.bringup.test. CNAME host.bringup.test."],
                true,
            ),
            (
                "bringup.test",
                RecordType::NS,
                "NOERROR",
                &["bringup.test. NS ns.bringup.test."],
                false,
            ),
            ("bringup.test", RecordType::SOA, "NOERROR", &[soa], false),
            ("time.bringup.test", RecordType::AAAA, "NOERROR", &[], true),
            ("bringup.test", RecordType::A, "NOERROR", &[], true),
            ("nobody.bringup.test", RecordType::A, "NXDOMAIN", &[], true),
            ("a.time.bringup.test", RecordType::A, "NXDOMAIN", &[], true),
            ("example.com", RecordType::A, "REFUSED", &[], false),
            ("notbringup.test", RecordType::A, "REFUSED", &[], false),
        ] {
            let expected: Vec<String> = answers.iter().map(ToString::to_string).collect();
            let soa = if authority { vec![soa.to_owned()] } else { vec![] };
            assert_eq!(ask(qname, qtype), (rcode.to_owned(), expected, soa), "{qname} {qtype}");
        }
    }

    #[test]
    fn an_empty_non_terminal_exists() {
        let mut zone = Zone::demo(SERVER);
        zone.add(name("a.b.bringup.test"), Data::A(SERVER));
        assert!(zone.exists(name("b.bringup.test").view()));
        assert!(!zone.exists(name("c.bringup.test").view()));
    }

    fn raw(request: &[u8], out: &mut [u8]) -> Option<(Rcode, bool)> {
        let length = DnsServer::new(Zone::demo(SERVER)).reply(request, out)?;
        let reply = Message::parse(&out[..length]).unwrap();
        Some((reply.rcode(), reply.header().tc))
    }

    fn plain(buffer: &mut [u8]) -> &mut [u8] {
        let flags = QueryFlags { edns_udp_size: None, ad: false, cd: false };
        query(buffer, 7, name("www.bringup.test").view(), RecordType::A, flags).unwrap()
    }

    #[test]
    fn what_is_no_query_is_told_so_or_left() {
        let (mut buffer, mut out) = ([0; 100], [0; 600]);
        assert_eq!(raw(plain(&mut buffer), &mut out), Some((Rcode::NOERROR, false)));
        let request = plain(&mut buffer);
        request[2] |= 0x80;
        assert_eq!(raw(request, &mut out), None, "a response");
        request[2] = 0x21;
        assert_eq!(raw(request, &mut out), Some((Rcode::NOTIMP, false)), "opcode 4");
        assert_eq!(raw(&[0; 12], &mut out), Some((Rcode::FORMERR, false)), "no question");
        assert_eq!(raw(&request[..20], &mut out), None, "cut off");
        let request = plain(&mut buffer);
        let last = request.len() - 1;
        request[last] = 3;
        assert_eq!(raw(request, &mut out), Some((Rcode::REFUSED, false)), "class CH");
    }

    #[test]
    fn a_version_of_edns_that_there_is_not() {
        let (mut buffer, mut out) = ([0; 100], [0; 600]);
        let flags = QueryFlags { edns_udp_size: Some(512), ad: false, cd: false };
        let request =
            query(&mut buffer, 7, name("bringup.test").view(), RecordType::A, flags).unwrap();
        let version = request.len() - 5;
        request[version] = 1;
        assert_eq!(raw(request, &mut out), Some((Rcode::BADVERS, false)));
    }

    #[test]
    fn what_does_not_fit_is_cut_off_whole() {
        let (mut buffer, mut out) = ([0; 100], [0; 60]);
        assert_eq!(raw(plain(&mut buffer), &mut out), Some((Rcode::NOERROR, true)));
        assert_eq!(raw(plain(&mut buffer), &mut out[..20]), None);
    }
}
