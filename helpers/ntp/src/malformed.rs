//! [`Malformed`]: which rule of the format some bytes break.

use core::fmt;

/// Which rule of the format some bytes break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// Fewer than the 48 octets of a header (RFC 5905 §7.3).
    TooShort,
    /// The length of an extension field is below 16, not a multiple of 4, or past the end
    /// (RFC 7822 §3).
    ExtensionLength,
    /// What follows the header is neither an extension field nor a MAC of 20 or 24 octets nor a
    /// crypto-NAK (RFC 7822 §3, RFC 5905 §9.2).
    Trailer,
}

impl Malformed {
    /// Its name in output: lower case, with hyphens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooShort => "too-short",
            Self::ExtensionLength => "extension-length",
            Self::Trailer => "trailer",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
