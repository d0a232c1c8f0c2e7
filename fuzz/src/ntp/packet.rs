//! [`ntp_packet`]: header and trailer against a second reading of RFC 5905 and RFC 7822.

use bringup_core::wire::{Full, Writer};
use bringup_ntp::extension::{Authentication, Trailer};
use bringup_ntp::packet::{KissCode, Packet};

/// Field type and value.
type Field<'a> = (u16, &'a [u8]);

/// What follows the header: the fields, and how many octets of key and digest; `None` if it breaks a
/// rule. RFC 7822 §3: what is shorter than 28 octets is no field.
fn trailer(bytes: &[u8]) -> Option<(Vec<Field<'_>>, usize)> {
    let mut fields = Vec::new();
    let mut left = bytes;
    while let [a, b, c, d, ..] = *left {
        if left.len() < 28 {
            break;
        }
        let length = usize::from(c) * 256 + usize::from(d);
        if length % 4 > 0 || length < 16 || length > left.len() {
            return None;
        }
        fields.push((u16::from(a) * 256 + u16::from(b), &left[4..length]));
        left = &left[length..];
    }
    let good = matches!(left.len(), 0 | 20 | 24) || left == [0; 4];
    good.then_some((fields, left.len()))
}

/// A header is its 48 octets, both ways; a trailer is taken exactly if a second reading takes it, and
/// gives the same fields.
pub fn ntp_packet(bytes: &[u8]) {
    let parsed = Packet::parse(bytes);
    assert_eq!(parsed.is_ok(), bytes.len() >= 48);
    let Ok(packet) = parsed else { return };
    let (header, rest) = bytes.split_at(48);
    let mut buffer = [0xEE; 50];
    let mut w = Writer::new(&mut buffer);
    packet.write(&mut w).expect("it fits");
    assert_eq!(w.written(), header);
    let mut short = [0xEE; 47];
    assert_eq!(packet.write(&mut Writer::new(&mut short)), Err(Full));
    assert_eq!(short, [0xEE; 47], "nothing half-done");

    assert_eq!((header[0] >> 3 & 7, header[1]), (packet.version, packet.stratum));
    assert_eq!([packet.poll.to_be_bytes()[0], packet.precision.to_be_bytes()[0]], header[2..4]);
    assert_eq!(packet.reference_id, header[12..16]);
    assert_eq!(packet.origin.to_bits().to_be_bytes(), header[24..32]);
    assert_eq!(packet.receive.to_bits().to_be_bytes(), header[32..40]);
    assert_eq!(packet.transmit.to_bits().to_be_bytes(), header[40..]);
    let kiss = (header[1] == 0 && super::is_text(&header[12..16])).then(|| match &header[12..16] {
        b"DENY" => KissCode::Deny,
        b"RSTR" => KissCode::Restrict,
        b"RATE" => KissCode::Rate,
        id if id[0] == b'X' => KissCode::Experimental,
        _ => KissCode::Other,
    });
    assert_eq!(packet.kiss_code(), kiss);
    let reply = packet.reply(&packet, packet.receive, packet.transmit);
    assert_eq!(
        (reply.origin, reply.version, reply.poll),
        (packet.transmit, packet.version, packet.poll)
    );

    let (read, expected) = (Trailer::parse(rest), trailer(rest));
    assert_eq!(read.is_ok(), expected.is_some(), "{:?}", read.err());
    let (Ok(read), Some((fields, signed))) = (read, expected) else { return };
    let got: Vec<_> = read.fields().map(|f| (f.field_type, f.value)).collect();
    assert_eq!(got, fields);
    let octets = match read.authentication() {
        Authentication::None => 0,
        Authentication::CryptoNak => 4,
        Authentication::Mac { key_id, digest } => {
            let tail = [&key_id.to_be_bytes(), digest].concat();
            assert!(rest.ends_with(&tail));
            4 + digest.len()
        }
    };
    assert_eq!(octets, signed);
}
