//! [`OsError`]: which operation failed, and with which errno.

use core::fmt;
use std::io;

use bringup_core::error::ErrorKind;
use bringup_core::platform::PlatformError;
#[cfg(unix)]
use bringup_core::poll::PollError;
#[cfg(unix)]
pub(crate) use libc as number;

/// What was asked of the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Something that this platform does not have.
    Unsupported,
    /// Waiting for descriptors.
    Wait,
    /// Watching a descriptor.
    Watch,
    /// Drawing entropy.
    Entropy,
    /// Making or setting the clock descriptor.
    Timer,
    /// Making a wake, or arming one that is armed.
    Arm,
    /// Using a handle that is not open, or of another kind.
    Handle,
    /// Opening a UDP socket.
    UdpOpen,
    /// Tying a socket to an interface.
    UdpInterface,
    /// Binding a UDP socket.
    UdpBind,
    /// Connecting a UDP socket.
    UdpConnect,
    /// Sending a datagram.
    UdpSend,
    /// Receiving a datagram.
    UdpReceive,
    /// Finding the address that packets would come from.
    Source,
    /// Connecting a byte stream.
    TcpConnect,
    /// Sending on a byte stream.
    TcpSend,
    /// Receiving from a byte stream.
    TcpReceive,
    /// Opening a link socket.
    LinkOpen,
    /// Attaching the filter of a link socket.
    LinkFilter,
    /// Binding a link socket.
    LinkBind,
    /// Sending a frame.
    LinkSend,
    /// Receiving a frame.
    LinkReceive,
    /// Opening a netlink socket.
    NetlinkOpen,
    /// Exchanging a request for its answer.
    NetlinkRequest,
    /// Looking an interface up.
    Interface,
    /// Receiving a change of an interface.
    WatchReceive,
    /// Setting an interface up.
    InterfaceUp,
    /// Setting an interface down.
    InterfaceDown,
    /// Setting an MTU.
    MtuSet,
    /// Adding an address.
    AddressAdd,
    /// Removing an address.
    AddressRemove,
    /// Adding a route.
    RouteAdd,
    /// Removing a route.
    RouteRemove,
    /// Changing the machine's clock: the kernel refused.
    SetClock,
    /// Changing the machine's clock: whoever made the platform did not allow it.
    SetClockPolicy,
    /// Restarting the machine: the kernel refused.
    Reboot,
    /// Restarting the machine: whoever made the platform did not allow it.
    RebootPolicy,
    /// Entering a namespace or making a veth pair.
    Namespace,
}

impl Operation {
    /// What was being done, to stand before ": Permission denied".
    pub const fn text(self) -> &'static str {
        match self {
            Self::Unsupported => "not on this platform",
            Self::Wait => "waiting for descriptors",
            Self::Watch => "watching a descriptor",
            Self::Entropy => "drawing entropy",
            Self::Timer => "setting the clock descriptor",
            Self::Arm => "arming the wake",
            Self::Handle => "using a handle",
            Self::UdpOpen => "opening a UDP socket",
            Self::UdpInterface => "tying a UDP socket to its interface",
            Self::UdpBind => "binding a UDP socket",
            Self::UdpConnect => "connecting a UDP socket",
            Self::UdpSend => "sending a datagram",
            Self::UdpReceive => "receiving a datagram",
            Self::Source => "finding the address to send from",
            Self::TcpConnect => "connecting a byte stream",
            Self::TcpSend => "sending on a byte stream",
            Self::TcpReceive => "receiving from a byte stream",
            Self::LinkOpen => "opening a link socket",
            Self::LinkFilter => "attaching a filter to a link socket",
            Self::LinkBind => "binding a link socket to its interface",
            Self::LinkSend => "sending a frame",
            Self::LinkReceive => "receiving a frame",
            Self::NetlinkOpen => "opening a netlink socket",
            Self::NetlinkRequest => "asking over netlink",
            Self::Interface => "looking an interface up",
            Self::WatchReceive => "listening for changes of interfaces",
            Self::InterfaceUp => "setting an interface up",
            Self::InterfaceDown => "setting an interface down",
            Self::MtuSet => "setting an MTU",
            Self::AddressAdd => "adding an address",
            Self::AddressRemove => "removing an address",
            Self::RouteAdd => "adding a route",
            Self::RouteRemove => "removing a route",
            Self::SetClock => "setting the clock",
            Self::SetClockPolicy => "setting the clock, which this program was not told to do",
            Self::Reboot => "restarting the machine",
            Self::RebootPolicy => "restarting the machine, which this program was not told to do",
            Self::Namespace => "making a private network",
        }
    }
}

/// The numbers of Windows, under the names that they have elsewhere: those of Winsock where it has one,
/// else the system's own. `winerror.h`.
#[cfg(windows)]
pub(crate) mod number {
    pub(crate) const ENOENT: i32 = 2;
    pub(crate) const ENFILE: i32 = 4;
    pub(crate) const EPERM: i32 = 5;
    pub(crate) const ENOMEM: i32 = 8;
    pub(crate) const ENODEV: i32 = 55;
    pub(crate) const ERANGE: i32 = 87;
    pub(crate) const ENOSPC: i32 = 112;
    pub(crate) const ENOSYS: i32 = 120;
    pub(crate) const EBUSY: i32 = 170;
    pub(crate) const EEXIST: i32 = 183;
    pub(crate) const EDOM: i32 = 534;
    pub(crate) const EIO: i32 = 1_117;
    pub(crate) const ENXIO: i32 = 1_167;
    pub(crate) const ESRCH: i32 = 1_168;
    pub(crate) const EINTR: i32 = 10_004;
    pub(crate) const EBADF: i32 = 10_038;
    pub(crate) const EACCES: i32 = 10_013;
    pub(crate) const EINVAL: i32 = 10_022;
    pub(crate) const EMFILE: i32 = 10_024;
    pub(crate) const EAGAIN: i32 = 10_035;
    /// What connecting says that goes on: nothing would be ready yet.
    pub(crate) const EINPROGRESS: i32 = EAGAIN;
    pub(crate) const EMSGSIZE: i32 = 10_040;
    pub(crate) const EPROTONOSUPPORT: i32 = 10_043;
    pub(crate) const EOPNOTSUPP: i32 = 10_045;
    pub(crate) const EAFNOSUPPORT: i32 = 10_047;
    pub(crate) const EADDRINUSE: i32 = 10_048;
    pub(crate) const EADDRNOTAVAIL: i32 = 10_049;
    pub(crate) const ENETDOWN: i32 = 10_050;
    pub(crate) const ENETUNREACH: i32 = 10_051;
    pub(crate) const ECONNRESET: i32 = 10_054;
    pub(crate) const ENOBUFS: i32 = 10_055;
    pub(crate) const ECONNREFUSED: i32 = 10_061;
    pub(crate) const ENAMETOOLONG: i32 = 10_063;
    pub(crate) const EHOSTDOWN: i32 = 10_064;
    pub(crate) const EHOSTUNREACH: i32 = 10_065;
}

/// A failed operation and its errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OsError {
    /// What was asked for.
    pub operation: Operation,
    /// The kernel's number, positive; on Windows that of `GetLastError`.
    pub errno: i32,
}

impl OsError {
    /// An error of this operation with this errno.
    pub const fn new(operation: Operation, errno: i32) -> Self {
        Self { operation, errno }
    }

    /// An error of this operation; one without a number counts as a failed device.
    pub fn from_io(operation: Operation, error: &io::Error) -> Self {
        Self::new(operation, error.raw_os_error().unwrap_or(number::EIO))
    }
}

/// What turns an [`io::Error`] into an [`OsError`]; for `map_err`.
pub(crate) fn during(operation: Operation) -> impl Fn(io::Error) -> OsError {
    move |error| OsError::from_io(operation, &error)
}

impl PlatformError for OsError {
    fn kind(&self) -> ErrorKind {
        match self.errno {
            number::ENOSYS
            | number::EOPNOTSUPP
            | number::EAFNOSUPPORT
            | number::EPROTONOSUPPORT => ErrorKind::Unsupported,
            number::EPERM | number::EACCES => ErrorKind::PermissionDenied,
            number::EADDRINUSE => ErrorKind::AddressInUse,
            number::ENODEV
            | number::ENXIO
            | number::ENOENT
            | number::ESRCH
            | number::EBADF
            | number::EADDRNOTAVAIL => ErrorKind::NotFound,
            number::EEXIST => ErrorKind::Exists,
            number::ENETUNREACH | number::EHOSTUNREACH | number::ENETDOWN | number::EHOSTDOWN => {
                ErrorKind::Unreachable
            }
            number::ECONNREFUSED | number::ECONNRESET => ErrorKind::Refused,
            number::EMSGSIZE => ErrorKind::TooLong,
            number::EAGAIN | number::ENOBUFS | number::EBUSY | number::EINTR => ErrorKind::Busy,
            number::EMFILE | number::ENFILE | number::ENOMEM | number::ENOSPC => {
                ErrorKind::Exhausted
            }
            number::EINVAL | number::EDOM | number::ERANGE | number::ENAMETOOLONG => {
                ErrorKind::Invalid
            }
            _ => ErrorKind::Failed,
        }
    }

    fn unsupported() -> Self {
        Self::new(Operation::Unsupported, number::ENOSYS)
    }
}

impl fmt::Display for OsError {
    /// `adding a route: Network is unreachable (os error 101)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = io::Error::from_raw_os_error(self.errno);
        write!(f, "{}: {error}", self.operation.text())
    }
}

impl std::error::Error for OsError {}

#[cfg(unix)]
impl From<PollError> for OsError {
    fn from(error: PollError) -> Self {
        match error {
            PollError::Full => Self::new(Operation::Watch, number::ENOSPC),
            PollError::NotWatched => Self::new(Operation::Watch, number::ENOENT),
            PollError::Os(errno) => Self::new(Operation::Wait, errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_kind_that_callers_act_upon() {
        for (errno, kind) in [
            (number::ENOSYS, ErrorKind::Unsupported),
            (number::EACCES, ErrorKind::PermissionDenied),
            (number::EADDRINUSE, ErrorKind::AddressInUse),
            (number::ESRCH, ErrorKind::NotFound),
            (number::EEXIST, ErrorKind::Exists),
            (number::ENETUNREACH, ErrorKind::Unreachable),
            (number::ECONNREFUSED, ErrorKind::Refused),
            (number::EMSGSIZE, ErrorKind::TooLong),
            (number::ENOBUFS, ErrorKind::Busy),
            (number::EMFILE, ErrorKind::Exhausted),
            (number::EINVAL, ErrorKind::Invalid),
            (number::EIO, ErrorKind::Failed),
        ] {
            assert_eq!(OsError::new(Operation::Wait, errno).kind(), kind, "{errno}");
        }
        assert_eq!(OsError::unsupported().kind(), ErrorKind::Unsupported);
        #[cfg(unix)]
        assert_eq!(OsError::from(PollError::Full).kind(), ErrorKind::Exhausted);
    }

    #[test]
    fn an_error_says_what_was_being_done() {
        let text = OsError::new(Operation::RouteAdd, number::EPERM).to_string();
        assert!(text.starts_with("adding a route: "), "{text}");
    }
}
