//! An NTP packet in the field's words.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use bringup_ntp::extension::{Authentication, Trailer};
use bringup_ntp::malformed::Malformed;
use bringup_ntp::packet::{HEADER_LENGTH, Mode, Packet};
use bringup_ntp::timestamp::Timestamp;

/// What an NTP packet says. RFC 5905 §7.3.
#[derive(Clone, Debug, Serialize)]
pub struct Fields {
    leap: u8,
    version: u8,
    mode: u8,
    stratum: u8,
    /// log2 seconds.
    poll: i8,
    /// log2 seconds.
    precision: i8,
    root_delay_us: u64,
    root_dispersion_us: u64,
    /// Letters where it has them (stratum 0 and 1), else octets in hexadecimal.
    reference_id: String,
    /// Seconds of the era and fraction, in hexadecimal.
    reference: String,
    origin: String,
    receive: String,
    transmit: String,
    extensions: Vec<Extension>,
    /// `none`, `crypto-nak` or `mac`.
    authentication: &'static str,
}

/// An extension field. RFC 7822.
#[derive(Clone, Debug, Serialize)]
struct Extension {
    field_type: u16,
    /// In hexadecimal.
    value: String,
}

/// Reads a packet.
pub(super) fn decode(bytes: &[u8]) -> Result<Fields, &'static str> {
    // Those are of another shape, and may be shorter (RFC 9327 §2).
    if bytes.first().is_some_and(|first| first & 7 >= Mode::Control as u8) {
        return Err("control-message");
    }
    let packet = Packet::parse(bytes).map_err(Malformed::name)?;
    let trailer =
        Trailer::parse(bytes.get(HEADER_LENGTH..).unwrap_or(&[])).map_err(Malformed::name)?;
    let field = |field: bringup_ntp::extension::ExtensionField<'_>| Extension {
        field_type: field.field_type,
        value: super::hex(field.value),
    };
    Ok(Fields {
        leap: packet.leap as u8,
        version: packet.version,
        mode: packet.mode as u8,
        stratum: packet.stratum,
        poll: packet.poll,
        precision: packet.precision,
        root_delay_us: packet.root_delay.as_nanos() / 1_000,
        root_dispersion_us: packet.root_dispersion.as_nanos() / 1_000,
        reference_id: reference_id(&packet),
        reference: timestamp(packet.reference),
        origin: timestamp(packet.origin),
        receive: timestamp(packet.receive),
        transmit: timestamp(packet.transmit),
        extensions: trailer.fields().map(field).collect(),
        authentication: match trailer.authentication() {
            Authentication::None => "none",
            Authentication::CryptoNak => "crypto-nak",
            Authentication::Mac { .. } => "mac",
        },
    })
}

/// RFC 5905 §7.3: letters for a kiss code or a reference clock, padded with zeros, else four octets.
fn reference_id(packet: &Packet) -> String {
    let mut letters = packet.reference_id.as_slice();
    while let [head @ .., 0] = letters {
        letters = head;
    }
    let lettered =
        packet.stratum <= 1 && !letters.is_empty() && letters.iter().all(u8::is_ascii_graphic);
    match core::str::from_utf8(letters) {
        Ok(letters) if lettered => letters.to_owned(),
        _ => super::hex(&packet.reference_id),
    }
}

fn timestamp(timestamp: Timestamp) -> String {
    let bits = timestamp.to_bits();
    format!("{:08x}.{:08x}", bits >> 32, bits & 0xFFFF_FFFF)
}

impl Display for Fields {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { leap, version, mode, stratum, poll, precision, .. } = self;
        write!(f, "NTP version {version}, mode {mode}, leap {leap}, stratum {stratum}")?;
        write!(f, ", poll {poll}, precision {precision}, reference id {}", self.reference_id)?;
        write!(f, "\n  root delay {} us", self.root_delay_us)?;
        write!(f, ", root dispersion {} us", self.root_dispersion_us)?;
        let timestamps = [
            ("reference", &self.reference),
            ("origin   ", &self.origin),
            ("receive  ", &self.receive),
            ("transmit ", &self.transmit),
        ];
        for (name, timestamp) in timestamps {
            write!(f, "\n  {name}  {timestamp}")?;
        }
        for Extension { field_type, value } in &self.extensions {
            write!(f, "\n  extension {field_type:04x}  {value}")?;
        }
        match self.authentication {
            "none" => Ok(()),
            authentication => write!(f, "\n  {authentication}"),
        }
    }
}
