//! [`Trailer`]: what follows the header, extension fields and authentication. RFC 7822 §3.
//!
//! A client without authentication looks at it only to see that it is well-formed. The walk is here
//! for the decoder, and ready for NTS (RFC 8915), whose cookies travel in such fields.

use bringup_core::wire::Reader;

use crate::malformed::Malformed;

/// The shortest extension field (RFC 7822 §3, 7.5.1.4).
const SHORTEST: usize = 16;
/// The shortest last extension field of a packet without a MAC: anything shorter is a MAC.
const SHORTEST_LAST: usize = 28;

/// One extension field. RFC 7822 §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionField<'a> {
    /// What it is: 0x0104 unique identifier, 0x0204 NTS cookie, … (IANA).
    pub field_type: u16,
    /// Its value with its padding; the type and length are not part of it.
    pub value: &'a [u8],
}

/// How a packet is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication<'a> {
    /// Not at all.
    None,
    /// Four zero octets: "I could not authenticate your request". RFC 5905 §9.2.
    CryptoNak,
    /// A key and a digest over the packet, 20 or 24 octets together. RFC 5905 §7.3.
    Mac {
        /// Names the key.
        key_id: u32,
        /// 16 octets (MD5, AES-CMAC) or 20 (SHA-1).
        digest: &'a [u8],
    },
}

/// What follows the header; checked by [`Trailer::parse`], so that the walk cannot fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer<'a> {
    fields: &'a [u8],
    authentication: Authentication<'a>,
}

impl<'a> Trailer<'a> {
    /// Checks `bytes`, all that follows the 48 octets of the header.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        // Each round takes at least 16 octets.
        while r.remaining() >= SHORTEST_LAST {
            take_field(&mut r).ok_or(Malformed::ExtensionLength)?;
        }
        let end = r.position();
        let authentication = match r.remaining() {
            0 => Authentication::None,
            // A MAC without a digest is a crypto-NAK only if its key is 0.
            4 if r.u32() == Ok(0) => Authentication::CryptoNak,
            20 | 24 => {
                let key_id = r.u32().map_err(|_| Malformed::Trailer)?;
                Authentication::Mac { key_id, digest: r.rest() }
            }
            _ => return Err(Malformed::Trailer),
        };
        let fields = Reader::new(bytes).bytes(end).unwrap_or(&[]);
        Ok(Self { fields, authentication })
    }

    /// Its extension fields, in the order of the wire.
    pub fn fields(&self) -> impl Iterator<Item = ExtensionField<'a>> + use<'a> {
        let mut r = Reader::new(self.fields);
        core::iter::from_fn(move || take_field(&mut r))
    }

    /// How the packet is signed.
    pub const fn authentication(&self) -> Authentication<'a> {
        self.authentication
    }
}

/// Takes one field; `None` at the end, or if its length breaks a rule.
fn take_field<'a>(r: &mut Reader<'a>) -> Option<ExtensionField<'a>> {
    let field_type = r.u16().ok()?;
    let length = usize::from(r.u16().ok()?);
    if length < SHORTEST || length % 4 != 0 {
        return None;
    }
    let value = r.bytes(length - 4).ok()?;
    Some(ExtensionField { field_type, value })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// A field of this length, as its length field says it, filled up with `filled` octets of 7.
    fn field(length: u16, filled: usize) -> Vec<u8> {
        let mut bytes = [0x01, 0x04].to_vec();
        bytes.extend(length.to_be_bytes());
        bytes.resize(filled, 7);
        bytes
    }

    #[test]
    fn lengths_of_rfc_7822() {
        for (row, bytes, expected) in [
            ("nothing", Vec::new(), Ok(0)),
            ("one field of 28", field(28, 28), Ok(1)),
            ("16 then 28", [field(16, 16), field(28, 28)].concat(), Ok(2)),
            ("a field and a MAC of 20", [field(16, 16), field(9, 20)].concat(), Ok(1)),
            ("24 octets alone are a MAC", field(24, 24), Ok(0)),
            ("16 octets alone are neither", field(16, 16), Err(Malformed::Trailer)),
            ("length 0", field(0, 28), Err(Malformed::ExtensionLength)),
            ("length 4", field(4, 28), Err(Malformed::ExtensionLength)),
            ("length 12", field(12, 28), Err(Malformed::ExtensionLength)),
            ("not a multiple of 4", field(29, 32), Err(Malformed::ExtensionLength)),
            ("past the end", field(32, 28), Err(Malformed::ExtensionLength)),
            ("65535", field(65_535, 28), Err(Malformed::ExtensionLength)),
            ("65532 in full", field(65_532, 65_532), Ok(1)),
            ("odd octets after a field", field(28, 29), Err(Malformed::Trailer)),
            ("four octets, but not zero", Vec::from([0, 0, 0, 1]), Err(Malformed::Trailer)),
        ] {
            assert_eq!(Trailer::parse(&bytes).map(|t| t.fields().count()), expected, "{row}");
        }
    }

    #[test]
    fn authentication_is_told_apart() {
        let nak = Trailer::parse(&[0; 4]).unwrap();
        assert_eq!(nak.authentication(), Authentication::CryptoNak);
        let bytes = [field(28, 28), field(9, 24)].concat();
        let signed = Trailer::parse(&bytes).unwrap();
        let Authentication::Mac { key_id, digest } = signed.authentication() else { panic!("MAC") };
        assert_eq!((key_id, digest.len()), (0x0104_0009, 20));
        let only = signed.fields().next().unwrap();
        assert_eq!((only.field_type, only.value.len()), (0x0104, 24));
    }
}
