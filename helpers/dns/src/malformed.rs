//! [`Malformed`]: which rule of the format a message breaks.

use bringup_core::wire::Truncated;

/// Why bytes are not a DNS message: one variant per broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// The message ends within something.
    Truncated,
    /// A label of a reserved kind, 0x40 or 0x80 (RFC 1035 §4.1.4, RFC 6891 §5).
    LabelType,
    /// A name of more than 255 octets (RFC 1035 §2.3.4).
    NameTooLong,
    /// A compression pointer that leads to itself, to its own labels, or forward (RFC 1035 §4.1.4).
    PointerNotBackwards,
    /// A compression pointer into the header.
    PointerIntoHeader,
    /// More than 128 compression pointers in one name.
    PointerChain,
    /// A compression pointer where the type forbids it (RFC 6672 §2.5, RFC 9460 §2.2).
    PointerRefused,
    /// The section counts promise more than the message has room for.
    Counts,
    /// RDATA of a known type that is shorter or longer than its contents (RFC 1035 §3.3).
    RdataLength,
    /// An OPT record whose owner is not the root (RFC 6891 §6.1.2).
    OptOwner,
    /// More than one OPT record (RFC 6891 §6.1.1).
    OptTwice,
    /// An OPT record outside of the additional section (RFC 6891 §6.1.1).
    OptSection,
    /// An EDNS option that is longer than the OPT record (RFC 6891 §6.1.2).
    OptOption,
}

impl Malformed {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 13] = [
        Self::Truncated,
        Self::LabelType,
        Self::NameTooLong,
        Self::PointerNotBackwards,
        Self::PointerIntoHeader,
        Self::PointerChain,
        Self::PointerRefused,
        Self::Counts,
        Self::RdataLength,
        Self::OptOwner,
        Self::OptTwice,
        Self::OptSection,
        Self::OptOption,
    ];

    /// A short name for people and counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::LabelType => "label-type",
            Self::NameTooLong => "name-too-long",
            Self::PointerNotBackwards => "pointer-not-backwards",
            Self::PointerIntoHeader => "pointer-into-header",
            Self::PointerChain => "pointer-chain",
            Self::PointerRefused => "pointer-refused",
            Self::Counts => "counts",
            Self::RdataLength => "rdata-length",
            Self::OptOwner => "opt-owner",
            Self::OptTwice => "opt-twice",
            Self::OptSection => "opt-section",
            Self::OptOption => "opt-option",
        }
    }
}

impl From<Truncated> for Malformed {
    fn from(Truncated: Truncated) -> Self {
        Self::Truncated
    }
}
