//! [`TinyError`]: which call failed, and with which errno.

use core::fmt;

use bringup_core::error::ErrorKind;
use bringup_core::platform::PlatformError;

/// What was asked of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Something that this port does not have.
    Unsupported,
    /// Waiting for descriptors, or watching one.
    Poll,
    /// Drawing entropy.
    Entropy,
    /// The clock's descriptor.
    Timer,
    /// Making a wake, or arming one that is armed.
    Arm,
    /// A UDP socket.
    Udp,
    /// A socket for frames.
    Link,
    /// A question about interfaces, or a change to one.
    Netlink,
}

impl Call {
    /// What was being done, to stand before ": permission denied".
    pub const fn text(self) -> &'static str {
        match self {
            Self::Unsupported => "not on this platform",
            Self::Poll => "waiting for descriptors",
            Self::Entropy => "drawing entropy",
            Self::Timer => "setting the clock's descriptor",
            Self::Arm => "arming the wake",
            Self::Udp => "using a UDP socket",
            Self::Link => "using a socket for frames",
            Self::Netlink => "asking over netlink",
        }
    }
}

/// A failed call and its errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TinyError {
    /// What was asked for.
    pub call: Call,
    /// The kernel's number, positive.
    pub errno: i32,
}

// The numbers that most Linux machines share (asm-generic/errno.h).
const EPERM: i32 = 1;
pub(super) const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
pub(super) const EINTR: i32 = 4;
const ENXIO: i32 = 6;
pub(super) const EBADF: i32 = 9;
pub(super) const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;
const EACCES: i32 = 13;
const EBUSY: i32 = 16;
pub(super) const EEXIST: i32 = 17;
pub(super) const ENODEV: i32 = 19;
pub(super) const EINVAL: i32 = 22;
const ENFILE: i32 = 23;
pub(super) const EMFILE: i32 = 24;
pub(super) const ENOSPC: i32 = 28;
const EDOM: i32 = 33;
const ERANGE: i32 = 34;
pub(super) const ENOSYS: i32 = 38;
pub(super) const EPROTO: i32 = 71;
const EMSGSIZE: i32 = 90;
const EPROTONOSUPPORT: i32 = 93;
const EOPNOTSUPP: i32 = 95;
pub(super) const EAFNOSUPPORT: i32 = 97;
pub(super) const EADDRINUSE: i32 = 98;
const EADDRNOTAVAIL: i32 = 99;
const ENETDOWN: i32 = 100;
const ENETUNREACH: i32 = 101;
const ECONNRESET: i32 = 104;
pub(super) const ENOBUFS: i32 = 105;
const ECONNREFUSED: i32 = 111;
const EHOSTDOWN: i32 = 112;
const EHOSTUNREACH: i32 = 113;

impl TinyError {
    /// An error of this call with this errno.
    pub const fn new(call: Call, errno: i32) -> Self {
        Self { call, errno }
    }
}

impl PlatformError for TinyError {
    fn kind(&self) -> ErrorKind {
        match self.errno {
            ENOSYS | EOPNOTSUPP | EAFNOSUPPORT | EPROTONOSUPPORT => ErrorKind::Unsupported,
            EPERM | EACCES => ErrorKind::PermissionDenied,
            EADDRINUSE => ErrorKind::AddressInUse,
            ENODEV | ENXIO | ENOENT | ESRCH | EBADF | EADDRNOTAVAIL => ErrorKind::NotFound,
            EEXIST => ErrorKind::Exists,
            ENETUNREACH | EHOSTUNREACH | ENETDOWN | EHOSTDOWN => ErrorKind::Unreachable,
            ECONNREFUSED | ECONNRESET => ErrorKind::Refused,
            EMSGSIZE => ErrorKind::TooLong,
            EAGAIN | ENOBUFS | EBUSY | EINTR => ErrorKind::Busy,
            EMFILE | ENFILE | ENOMEM | ENOSPC => ErrorKind::Exhausted,
            EINVAL | EDOM | ERANGE => ErrorKind::Invalid,
            _ => ErrorKind::Failed,
        }
    }

    fn unsupported() -> Self {
        Self::new(Call::Unsupported, ENOSYS)
    }
}

impl fmt::Display for TinyError {
    /// `asking over netlink: permission denied (errno 1)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (errno {})", self.call.text(), self.kind(), self.errno)
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::error::{Operation, OsError};

    #[test]
    fn errors_have_the_kinds_that_the_other_port_gives_them() {
        for errno in 1..134 {
            // Names that are too long cannot occur here.
            if errno != libc::ENAMETOOLONG {
                let (here, there) =
                    (TinyError::new(Call::Poll, errno), OsError::new(Operation::Wait, errno));
                assert_eq!(here.kind(), there.kind(), "errno {errno}");
            }
        }
        assert_eq!(TinyError::unsupported().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn an_error_says_what_was_being_done() {
        let text = std::string::ToString::to_string(&TinyError::new(Call::Netlink, EPERM));
        assert_eq!(text, "asking over netlink: permission denied (errno 1)");
    }
}
