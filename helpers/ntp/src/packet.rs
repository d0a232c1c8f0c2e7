//! [`Packet`]: the 48 octets of the header, both ways. RFC 5905 §7.3.

use bringup_core::wire::{Full, Reader, Truncated, Writer};

use crate::malformed::Malformed;
use crate::timestamp::{Short, Timestamp};

/// Octets of a header.
pub const HEADER_LENGTH: usize = 48;
/// The version that this client speaks.
pub const VERSION: u8 = 4;

/// Whether the last minute of the month has another length. RFC 5905 Figure 9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Leap {
    /// 0: no warning.
    #[default]
    None,
    /// 1: its last minute has 61 seconds.
    Insert,
    /// 2: its last minute has 59 seconds.
    Delete,
    /// 3: the server's clock is not synchronised.
    Unsynchronised,
}

/// Who talks to whom. RFC 5905 Figure 10.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// 0.
    #[default]
    Reserved,
    /// 1: a peer that asks.
    SymmetricActive,
    /// 2: a peer that answers.
    SymmetricPassive,
    /// 3: a request.
    Client,
    /// 4: a reply.
    Server,
    /// 5: to everyone, unasked.
    Broadcast,
    /// 6: ntpq.
    Control,
    /// 7: private use.
    Private,
}

/// What a server of stratum 0 says with its reference identifier. RFC 5905 §7.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KissCode {
    /// `DENY`: access denied by the server.
    Deny,
    /// `RSTR`: access denied by local policy.
    Restrict,
    /// `RATE`: you ask too often.
    Rate,
    /// `X…`: experimental, to be ignored.
    Experimental,
    /// Any other; none of them has a meaning for the protocol.
    Other,
}

/// The header of a packet, all its fields in the units of the wire. RFC 5905 §7.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// Leap warning.
    pub leap: Leap,
    /// Protocol version, `0..8`.
    pub version: u8,
    /// Who talks to whom.
    pub mode: Mode,
    /// Distance from a reference clock: 1 has one, 16 is not synchronised, 0 is a kiss-o'-death.
    pub stratum: u8,
    /// Interval between polls, log2 seconds; any octet can come.
    pub poll: i8,
    /// Precision of the server's clock, log2 seconds; any octet can come.
    pub precision: i8,
    /// Round trip to the reference clock.
    pub root_delay: Short,
    /// Error bound to the reference clock.
    pub root_dispersion: Short,
    /// Which reference clock, which server, or a kiss code.
    pub reference_id: [u8; 4],
    /// When the server's clock was last set.
    pub reference: Timestamp,
    /// T1: the transmit field of the request, echoed.
    pub origin: Timestamp,
    /// T2: when the request arrived.
    pub receive: Timestamp,
    /// T3: when the reply left; in a request of this client, a nonce.
    pub transmit: Timestamp,
}

impl Packet {
    /// The request that tells nothing about the client: octet 0 is 0x23, then zeros, and a nonce
    /// where the time would be. The server only echoes it (RFC 5905 Figure 31).
    pub fn request(nonce: u64) -> Self {
        Self {
            version: VERSION,
            mode: Mode::Client,
            transmit: Timestamp::from_bits(nonce),
            ..Self::default()
        }
    }

    /// The reply to this request by a server that says of itself what `face` has in `leap`,
    /// `stratum`, `precision`, `root_delay`, `root_dispersion`, `reference_id` and `reference`.
    /// RFC 5905 Figure 31.
    pub fn reply(&self, face: &Self, receive: Timestamp, transmit: Timestamp) -> Self {
        Self {
            version: self.version,
            mode: Mode::Server,
            poll: self.poll,
            origin: self.transmit,
            receive,
            transmit,
            ..*face
        }
    }

    /// Reads the header at the start of `bytes`; what follows it is left to
    /// [`Trailer`](crate::extension::Trailer). The values are judged by [`accept`](crate::accept).
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::read(&mut Reader::new(bytes)).map_err(|Truncated| Malformed::TooShort)
    }

    /// Reads a header where `r` stands.
    #[inline]
    pub fn read(r: &mut Reader<'_>) -> Result<Self, Truncated> {
        // One check of the length for all that follows, and six words: faster than field by field.
        let mut r = Reader::new(r.bytes(HEADER_LENGTH)?);
        let [first, stratum, poll, precision, d0, d1, d2, d3] = r.array()?;
        let [e0, e1, e2, e3, i0, i1, i2, i3] = r.array()?;
        Ok(Self {
            leap: Leap::from_bits(first >> 6),
            version: (first >> 3) & 7,
            mode: Mode::from_bits(first & 7),
            stratum,
            poll: i8::from_be_bytes([poll]),
            precision: i8::from_be_bytes([precision]),
            root_delay: Short::from_bits(u32::from_be_bytes([d0, d1, d2, d3])),
            root_dispersion: Short::from_bits(u32::from_be_bytes([e0, e1, e2, e3])),
            reference_id: [i0, i1, i2, i3],
            reference: Timestamp::from_bits(r.u64()?),
            origin: Timestamp::from_bits(r.u64()?),
            receive: Timestamp::from_bits(r.u64()?),
            transmit: Timestamp::from_bits(r.u64()?),
        })
    }

    /// Writes the header, or nothing.
    pub fn write(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let first = (self.leap.to_bits() << 6) | ((self.version & 7) << 3) | self.mode.to_bits();
        let [poll, precision] = [self.poll, self.precision].map(|p| p.to_be_bytes()[0]);
        let head = u32::from_be_bytes([first, self.stratum, poll, precision]);
        let pair = |high: u32, low: u32| (u64::from(high) << 32) | u64::from(low);
        // As six words it is written several times faster than field by field.
        let words = [
            pair(head, self.root_delay.to_bits()),
            pair(self.root_dispersion.to_bits(), u32::from_be_bytes(self.reference_id)),
            self.reference.to_bits(),
            self.origin.to_bits(),
            self.receive.to_bits(),
            self.transmit.to_bits(),
        ];
        w.bytes(words.map(u64::to_be_bytes).as_flattened())
    }

    /// What a kiss-o'-death says; `None` for an ordinary packet, and for a stratum of 0 that comes without
    /// a code: the server's stratum is then unspecified (RFC 5905 Figure 11), as chronyd sends it while it
    /// is not synchronised.
    #[inline]
    pub fn kiss_code(&self) -> Option<KissCode> {
        if self.stratum == 0 { KissCode::of(self.reference_id) } else { None }
    }
}

impl KissCode {
    /// What a reference identifier says if it is a code.
    #[cold]
    fn of(id: [u8; 4]) -> Option<Self> {
        is_kiss_code(id).then_some(match &id {
            b"DENY" => Self::Deny,
            b"RSTR" => Self::Restrict,
            b"RATE" => Self::Rate,
            [b'X', ..] => Self::Experimental,
            _ => Self::Other,
        })
    }
}

/// Whether these are up to four characters of ASCII, left-justified and filled up with zeros. RFC 5905 §7.4.
fn is_kiss_code(id: [u8; 4]) -> bool {
    let (code, fill) = id.split_at(id.iter().position(|&c| c == 0).unwrap_or(4));
    !code.is_empty() && code.iter().all(u8::is_ascii_graphic) && fill.iter().all(|&c| c == 0)
}

impl Leap {
    const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::None,
            1 => Self::Insert,
            2 => Self::Delete,
            _ => Self::Unsynchronised,
        }
    }

    const fn to_bits(self) -> u8 {
        self as u8
    }
}

impl Mode {
    const fn from_bits(bits: u8) -> Self {
        match bits & 7 {
            0 => Self::Reserved,
            1 => Self::SymmetricActive,
            2 => Self::SymmetricPassive,
            3 => Self::Client,
            4 => Self::Server,
            5 => Self::Broadcast,
            6 => Self::Control,
            _ => Self::Private,
        }
    }

    const fn to_bits(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::testing::Dice;
    use bringup_core::client::Rng;

    #[test]
    fn r1_a_request_tells_nothing() {
        let mut buffer = [0xEE; 48];
        let mut w = Writer::new(&mut buffer);
        Packet::request(0x0102_0304_0506_0708).write(&mut w).unwrap();
        let mut expected = [0; 48];
        expected[0] = 0x23;
        expected[40..].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(w.written(), &expected);
    }

    #[test]
    fn every_header_comes_back() {
        let mut dice = Dice(3);
        for _ in 0..5_000 {
            let mut bytes = [0; 48];
            dice.fill(&mut bytes);
            let packet = Packet::parse(&bytes).unwrap();
            let mut again = [0; 48];
            packet.write(&mut Writer::new(&mut again)).unwrap();
            assert_eq!(again, bytes);
        }
    }

    #[test]
    fn a2_fewer_than_48_octets_are_no_packet() {
        let bytes = [0x24; 48];
        for length in 0..48 {
            assert_eq!(Packet::parse(&bytes[..length]), Err(Malformed::TooShort), "{length}");
        }
        let mut w = [0; 47];
        assert_eq!(Packet::request(1).write(&mut Writer::new(&mut w)), Err(Full));
        assert_eq!(w, [0; 47], "nothing half-done");
    }

    #[test]
    fn a_reply_echoes_version_poll_and_nonce() {
        let request = Packet { version: 3, poll: 6, ..Packet::request(99) };
        let face = Packet { stratum: 2, reference_id: *b"TEST", ..Packet::default() };
        let (t2, t3) = (Timestamp::from_bits(5), Timestamp::from_bits(6));
        let reply = request.reply(&face, t2, t3);
        assert_eq!((reply.version, reply.mode, reply.poll), (3, Mode::Server, 6));
        assert_eq!((reply.origin.to_bits(), reply.receive, reply.transmit), (99, t2, t3));
        assert_eq!((reply.stratum, reply.kiss_code()), (2, None));
    }

    #[test]
    fn kiss_codes() {
        for (id, code) in [
            (b"DENY", Some(KissCode::Deny)),
            (b"RSTR", Some(KissCode::Restrict)),
            (b"RATE", Some(KissCode::Rate)),
            (b"XFOO", Some(KissCode::Experimental)),
            (b"X\0\0\0", Some(KissCode::Experimental)),
            (b"INIT", Some(KissCode::Other)),
            (b"ABC\0", Some(KissCode::Other)),
            (b"AB\0\0", Some(KissCode::Other)),
            (b"\0\0\0\0", None),
            (b"\0ENY", None),
            (b"A\0BC", None),
            (b"X\x01\0\0", None),
            (&[127, 127, 1, 1], None),
            (&[192, 0, 2, 7], None),
        ] {
            let kod = Packet { reference_id: *id, ..Packet::default() };
            assert_eq!(kod.kiss_code(), code, "{id:?}");
            assert_eq!(Packet { stratum: 1, ..kod }.kiss_code(), None, "{id:?}");
        }
    }
}
