//! What the data of each type consists of, as a table; one walk over it checks, one expands.

use bringup_core::wire::{Full, Reader, Writer};

use super::{Class, RdataView, RecordType};
use crate::malformed::Malformed;
use crate::name::{Names, Pointers};

/// A part of a record's data.
#[derive(Clone, Copy)]
enum Field {
    /// So many octets.
    Fixed(usize),
    /// A name; senders may compress it.
    Name,
    /// A name that must not be compressed.
    PlainName,
    /// One character-string.
    String,
    /// At least one character-string, to the end.
    Strings,
    /// All octets to the end.
    Rest,
}
use Field::{Fixed, Name, PlainName, Rest, String, Strings};

/// The layout of a type's data. Unknown types, and types of the Internet in another class, are
/// opaque: nothing is looked for in them (RFC 3597 §2, §3).
///
/// Names are taken as compressed in all types of RFC 1035 and in those that RFC 3597 §4 lists.
const fn layout(rtype: RecordType, class: Class) -> &'static [Field] {
    const MB: RecordType = RecordType(7);
    const MR: RecordType = RecordType(9);
    const MINFO: RecordType = RecordType(14);
    const RT: RecordType = RecordType(21);
    const PX: RecordType = RecordType(26);
    const NXT: RecordType = RecordType(30);
    const MD: RecordType = RecordType(3);
    const MF: RecordType = RecordType(4);
    const MG: RecordType = RecordType(8);
    match rtype {
        RecordType::NS | RecordType::CNAME | RecordType::PTR | MB | MR | MD | MF | MG => &[Name],
        RecordType::SOA => &[Name, Name, Fixed(20)],
        MINFO | RecordType::RP => &[Name, Name],
        RecordType::MX | RecordType::AFSDB | RT => &[Fixed(2), Name],
        RecordType::HINFO => &[String, String],
        RecordType::TXT | RecordType::SPF => &[Strings],
        RecordType::SIG => &[Fixed(18), Name, Rest],
        NXT => &[Name, Rest],
        RecordType::DNAME => &[PlainName],
        _ if class.0 != Class::IN.0 => &[Rest],
        RecordType::A => &[Fixed(4)],
        RecordType::AAAA => &[Fixed(16)],
        RecordType::SRV => &[Fixed(6), Name],
        RecordType::NAPTR => &[Fixed(4), String, String, String, Name],
        PX => &[Fixed(2), Name, Name],
        RecordType::SVCB | RecordType::HTTPS => &[Fixed(2), PlainName, Rest],
        _ => &[Rest],
    }
}

/// Whether nothing is known of the data.
pub(super) fn is_opaque(rtype: RecordType, class: Class) -> bool {
    matches!(layout(rtype, class), [Rest])
}

/// Checks that the data is exactly what its type asks for, and that its names are names.
#[inline]
pub(crate) fn check(
    rtype: RecordType,
    class: Class,
    rdata: RdataView<'_>,
    names: &mut Names,
) -> Result<(), Malformed> {
    // The two that most records are of.
    if class == Class::IN && matches!(rtype, RecordType::A | RecordType::AAAA) {
        let length = if rtype == RecordType::A { 4 } else { 16 };
        return if rdata.len() == length { Ok(()) } else { Err(Malformed::RdataLength) };
    }
    check_fields(rtype, class, rdata, names)
}

fn check_fields(
    rtype: RecordType,
    class: Class,
    rdata: RdataView<'_>,
    names: &mut Names,
) -> Result<(), Malformed> {
    let mut reader = rdata.reader();
    let fields = layout(rtype, class);
    if let [Rest] = fields {
        return Ok(());
    }
    for field in fields {
        // What runs out of data here runs out of RDLENGTH, not of message.
        walk(*field, rdata, &mut reader, names).map_err(|why| match why {
            Malformed::Truncated => Malformed::RdataLength,
            other => other,
        })?;
    }
    if reader.is_empty() { Ok(()) } else { Err(Malformed::RdataLength) }
}

/// Whether `wire` is at least one whole character-string.
pub(super) fn check_strings(wire: &[u8]) -> bool {
    let rdata = RdataView::alone(wire);
    let mut reader = rdata.reader();
    walk(Strings, rdata, &mut reader, &mut Names::none()).is_ok()
}

/// Moves over one field.
fn walk<'a>(
    field: Field,
    rdata: RdataView<'a>,
    reader: &mut Reader<'a>,
    names: &mut Names,
) -> Result<(), Malformed> {
    match field {
        Fixed(n) => reader.skip(n)?,
        Name => drop_view(names.read(rdata.message, reader, Pointers::Allowed))?,
        PlainName => drop_view(names.read(rdata.message, reader, Pointers::Refused))?,
        String => skip_string(reader)?,
        Strings => {
            skip_string(reader)?;
            while !reader.is_empty() {
                skip_string(reader)?;
            }
        }
        Rest => drop(reader.rest()),
    }
    Ok(())
}

fn drop_view<T>(name: Result<T, Malformed>) -> Result<(), Malformed> {
    name.map(|_| ())
}

fn skip_string(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    let length = reader.u8()?;
    Ok(reader.skip(usize::from(length))?)
}

/// Writes checked data with every name decompressed, so that it stands without its message.
pub(crate) fn expand(
    rtype: RecordType,
    class: Class,
    rdata: RdataView<'_>,
    w: &mut Writer<'_>,
) -> Result<(), Full> {
    let fields = layout(rtype, class);
    if !is_expanded(fields) {
        return w.bytes(rdata.raw());
    }
    let (mut reader, mut names) = (rdata.reader(), Names::none());
    for field in fields {
        let start = reader.position();
        if matches!(field, Name) {
            let name = names.read(rdata.message, &mut reader, Pointers::Allowed);
            name.map_err(|_| Full)?.write(w)?;
        } else {
            walk(*field, rdata, &mut reader, &mut names).map_err(|_| Full)?;
            w.bytes(rdata.message.get(start..reader.position()).unwrap_or(&[]))?;
        }
    }
    Ok(())
}

/// Whether there is a name that may be compressed.
fn is_expanded(fields: &[Field]) -> bool {
    fields.iter().any(|field| matches!(field, Name))
}

/// How many octets [`expand`] writes.
pub(crate) fn expanded_len(rtype: RecordType, class: Class, rdata: RdataView<'_>) -> usize {
    let fields = layout(rtype, class);
    if !is_expanded(fields) {
        return rdata.len();
    }
    let (mut reader, mut names) = (rdata.reader(), Names::none());
    let mut length = 0;
    for field in fields {
        let start = reader.position();
        if matches!(field, Name) {
            let name = names.read(rdata.message, &mut reader, Pointers::Allowed);
            length += name.map_or(0, super::NameView::wire_len);
        } else if walk(*field, rdata, &mut reader, &mut names).is_ok() {
            length += reader.position() - start;
        }
    }
    length
}
