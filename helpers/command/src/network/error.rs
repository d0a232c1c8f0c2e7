//! [`Error`]: why the network cannot be had.

use std::fmt::{self, Display, Formatter};

use bringup_core::state::SystemState;
use bringup_dns::Failure;
use bringup_platform::error::OsError;

/// Why something could not be done. Its text says what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The process lacks these capabilities, as `CAP_NET_RAW`.
    Privilege(Vec<String>),
    /// An interface cannot be used, and why.
    Interface {
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// The operating system refused.
    Os(OsError),
    /// More was asked for than there is memory for: interfaces, or queries at once.
    Full,
    /// The state was not reached in time.
    TimedOut {
        /// The state.
        state: SystemState,
        /// Who holds it back.
        held_by: Option<&'static str>,
    },
    /// The text is not a name.
    BadName,
    /// There is no such name, or it has no address: an answer, not a failure.
    NoAddress,
    /// The name could not be resolved.
    Unresolved(Failure),
    /// The network has been taken down.
    Ended,
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Privilege(names) => {
                write!(f, "this process lacks {}; run it as root, or give it", names.join(" and "))
            }
            Self::Interface { name, why } => write!(f, "the interface {name}: {why}; name another"),
            Self::Os(error) => write!(f, "{error}; check the limits of the process"),
            Self::Full => f.write_str("too much at once; ask for less, or later"),
            Self::TimedOut { state, held_by: Some(who) } => {
                write!(f, "{state} was not reached in time; {who} holds it back")
            }
            Self::TimedOut { state, held_by: None } => {
                write!(f, "{state} was not reached in time; wait for longer")
            }
            Self::BadName => f.write_str("this is not a name; check its spelling"),
            Self::NoAddress => f.write_str("the name has no address; check its spelling"),
            Self::Unresolved(why) => {
                write!(f, "the name could not be resolved ({}); check the servers", why.name())
            }
            Self::Ended => f.write_str("the network has been taken down; start it again"),
        }
    }
}

impl std::error::Error for Error {}

impl From<OsError> for Error {
    fn from(error: OsError) -> Self {
        Self::Os(error)
    }
}
