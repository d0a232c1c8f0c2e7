//! [`ErrorKind`]: why an operation of the platform failed, as far as anybody acts upon it.

/// Why an operation failed, in the few kinds that a client or the system acts upon. The platform's
/// own error says the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// This platform does not do that.
    Unsupported,
    /// A privilege is missing.
    PermissionDenied,
    /// The address or port is taken.
    AddressInUse,
    /// The interface, address or route does not exist (any more).
    NotFound,
    /// It exists already.
    Exists,
    /// No route to there, or the link is down.
    Unreachable,
    /// The peer refused (ICMP port unreachable, RST).
    Refused,
    /// The message is too long for the path.
    TooLong,
    /// No room at the moment: buffers are full; later may do.
    Busy,
    /// A limit is reached: descriptors, memory, slots.
    Exhausted,
    /// The arguments make no sense to the platform.
    Invalid,
    /// The device or the file failed.
    Failed,
}

impl core::fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(match self {
            Self::Unsupported => "not supported here",
            Self::PermissionDenied => "permission denied",
            Self::AddressInUse => "address in use",
            Self::NotFound => "not found",
            Self::Exists => "exists already",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::TooLong => "too long",
            Self::Busy => "busy",
            Self::Exhausted => "a limit is reached",
            Self::Invalid => "invalid argument",
            Self::Failed => "failed",
        })
    }
}
