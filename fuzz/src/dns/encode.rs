//! [`dns_encode`]: what is written into a buffer of any size is read back, and nothing else is.

use bringup_dns::encode::{EncodeError, Encoder, QueryFlags, query};
use bringup_dns::message::{Header, Message, Rcode, Section};
use bringup_dns::record::{Soa, Strings, Svcb};
use bringup_dns::{Class, Name, RData, RecordType};

use crate::data::Data;

const SECTIONS: [Section; 3] = [Section::Answer, Section::Authority, Section::Additional];

/// A name of up to eight labels, at times of 127.
pub(crate) fn name(data: &mut Data<'_>) -> Name {
    let mut wire = Vec::new();
    let count = match data.u8() {
        n @ 0..=239 => usize::from(n % 8),
        n => usize::from(n - 239) * 8,
    };
    for _ in 0..count {
        let label = data.chunk();
        let label = label.get(..63).unwrap_or(label);
        let label = if label.is_empty() { b"x" } else { label };
        if wire.len() + label.len() + 2 > 255 {
            break;
        }
        wire.push(u8::try_from(label.len()).expect("at most 63"));
        wire.extend(label);
    }
    wire.push(0);
    Name::from_wire(&wire).expect("it was made as a name is")
}

/// The material of one record.
struct Material<'a> {
    first: Name,
    second: Name,
    octets: &'a [u8],
    numbers: [u32; 5],
}

impl<'a> Material<'a> {
    fn read(data: &mut Data<'a>) -> Self {
        let (first, second, octets) = (name(data), name(data), data.chunk());
        Self { first, second, octets, numbers: core::array::from_fn(|_| data.u32()) }
    }

    fn data(&self, choice: u8) -> RData<'_> {
        let [a, b, c, d, e] = self.numbers;
        let short = |n: u32| u16::try_from(n & 0xFFFF).unwrap_or(0);
        match choice % 13 {
            0 => RData::A(a.into()),
            1 => RData::Aaaa((u128::from(a) << 96 | u128::from(b)).into()),
            2 => RData::Cname(self.first.view()),
            3 => RData::Dname(self.first.view()),
            4 => RData::Ns(self.first.view()),
            5 => RData::Ptr(self.first.view()),
            6 => RData::Mx { preference: short(a), exchange: self.first.view() },
            7 => RData::Srv {
                priority: short(a),
                weight: short(b),
                port: short(c),
                target: self.first.view(),
            },
            8 => RData::Txt(
                Strings::from_wire(self.octets)
                    .unwrap_or_else(|| Strings::from_wire(b"\x02ab\0").expect("two strings")),
            ),
            9 => RData::Soa(Soa {
                mname: self.first.view(),
                rname: self.second.view(),
                serial: a,
                refresh: b,
                retry: c,
                expire: d,
                minimum: e,
            }),
            10 | 11 => {
                let svcb = Svcb::new(short(a), self.first.view(), self.octets)
                    .or_else(|| Svcb::new(short(a), self.first.view(), b"\0\x03\0\x02\x01\xBB"))
                    .expect("one parameter");
                if choice % 13 == 10 { RData::Svcb(svcb) } else { RData::Https(svcb) }
            }
            _ => RData::Opaque { rtype: RecordType(65_280 | short(a)), bytes: self.octets },
        }
    }
}

/// Writes into a buffer of any size. What does not fit, or comes in the wrong order, is refused and
/// leaves no trace; all else is read back as it was given, TTL and case of data included.
pub fn dns_encode(bytes: &[u8]) {
    let mut data = Data::new(bytes);
    check_query(&mut data);
    let flags = data.u16();
    let header = Header {
        id: data.u16(),
        qr: flags & 1 != 0,
        opcode: data.u8() & 15,
        aa: flags & 2 != 0,
        tc: flags & 4 != 0,
        rd: flags & 8 != 0,
        ra: flags & 16 != 0,
        ad: flags & 32 != 0,
        cd: flags & 64 != 0,
        rcode: data.u8() & 15,
    };
    let size = usize::from(data.u16() % 2048);
    let mut buffer = vec![0xEE; size];
    let Ok(mut e) = Encoder::new(&mut buffer, header) else {
        assert!(size < 12);
        return;
    };
    let qname = name(&mut data);
    let mut material = Vec::new();
    while !data.is_empty() && material.len() < 64 {
        let (section, choice, owner, ttl) = (data.below(3), data.u8(), data.u8(), data.u32());
        material.push((section, choice, owner, ttl, Material::read(&mut data)));
    }
    let asked = data_question(&mut e, &qname);
    let mut last = 0;
    let mut written = [const { Vec::new() }; 3];
    for (section, choice, owner, ttl, m) in &material {
        let owner = if owner % 2 == 0 { &qname } else { &m.second };
        let rdata = m.data(*choice);
        match e.record(SECTIONS[*section], owner.view(), *ttl, &rdata) {
            Ok(()) => {
                assert!(*section >= last);
                last = *section;
                written[*section].push((owner, *ttl, rdata));
            }
            Err(EncodeError::Order) => assert!(*section < last),
            Err(EncodeError::Full) => {}
        }
    }
    let bytes = e.finish().expect("the header stands");
    let message = Message::parse(bytes).expect("what is written is well formed");
    assert_eq!(message.header(), header);
    assert_eq!(message.question().map(|q| q.qname.to_name()), asked.then_some(qname.clone()));
    for (section, written) in SECTIONS.into_iter().zip(&written) {
        let read: Vec<_> = message.records(section).collect();
        assert_eq!(read.len(), written.len());
        for (record, (owner, ttl, rdata)) in read.iter().zip(written) {
            assert_eq!((record.owner, record.ttl), (owner.view(), *ttl));
            assert_eq!((record.class, record.rtype), (Class::IN, rdata.rtype()));
            assert_eq!(record.data(), *rdata);
            assert_eq!(record.data().to_string(), rdata.to_string(), "the case is kept");
        }
    }
}

fn data_question(e: &mut Encoder<'_>, qname: &Name) -> bool {
    e.question(qname.view(), RecordType::AAAA, Class::IN).is_ok()
}

/// A query fits as a whole or not at all.
fn check_query(data: &mut Data<'_>) {
    let (qname, id) = (name(data), data.u16());
    let flags =
        QueryFlags { edns_udp_size: data.flag().then_some(1232), ad: data.flag(), cd: false };
    let mut buffer = [0xEE; 300];
    let size = usize::from(data.u16()) % buffer.len();
    let needed =
        12 + qname.as_wire().len() + 4 + if flags.edns_udp_size.is_some() { 11 } else { 0 };
    let written = query(&mut buffer[..size], id, qname.view(), RecordType::A, flags);
    assert_eq!(written.as_ref().map(|b| b.len()).ok(), (size >= needed).then_some(needed));
    let Ok(bytes) = written else { return };
    let message = Message::parse(bytes).expect("a query is well formed");
    let header = Header { id, rd: true, ad: flags.ad, ..Header::default() };
    assert_eq!((message.header(), message.rcode()), (header, Rcode::NOERROR));
    assert_eq!(message.edns().map(|edns| edns.udp_size), flags.edns_udp_size);
    let question = message.question().expect("it asks");
    assert_eq!(question.qname.to_name().as_wire(), qname.as_wire());
}
