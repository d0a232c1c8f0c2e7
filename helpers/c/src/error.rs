//! [`Code`]: what went wrong, as a number, and as words that wait for whoever asks.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};

use bringup::{Error, SystemState};

/// `enum bringup_error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    /// Nothing.
    Ok = 0,
    /// An argument makes no sense.
    Invalid = 1,
    /// A capability is missing.
    Privilege = 2,
    /// An interface cannot be used.
    Interface = 3,
    /// The operating system refused.
    Os = 4,
    /// Too much at once.
    Full = 5,
    /// Not reached in time.
    Timeout = 6,
    /// No such name, or none with an address.
    NoAddress = 7,
    /// The name could not be resolved.
    Unresolved = 8,
    /// UTC is not known.
    NoTime = 9,
    /// The network has been taken down.
    Ended = 10,
    /// A mistake in this library.
    Internal = 11,
}

/// A number and its words.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    words: String,
}

impl Failure {
    pub(crate) fn new(code: Code, words: impl Into<String>) -> Self {
        Self { code, words: words.into() }
    }

    pub(crate) fn invalid(words: &str) -> Self {
        Self::new(Code::Invalid, words)
    }

    /// Keeps the words for [`bringup_last_error`], and gives out the number.
    pub(crate) fn remember(self) -> Code {
        // Words with a NUL in them would have come from C, where there are none.
        LAST.replace(CString::new(self.words).unwrap_or_default());
        self.code
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Privilege(_) => Code::Privilege,
            Error::Interface { .. } => Code::Interface,
            Error::Os(_) => Code::Os,
            Error::Full => Code::Full,
            Error::TimedOut { .. } => Code::Timeout,
            Error::BadName => Code::Invalid,
            Error::NoAddress => Code::NoAddress,
            Error::Unresolved(_) => Code::Unresolved,
            Error::Ended => Code::Ended,
        };
        Self::new(code, error.to_string())
    }
}

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// See `bringup.h`.
#[unsafe(no_mangle)]
pub extern "C" fn bringup_last_error() -> *const c_char {
    // The string's memory stays where it is until the next failure on this thread replaces it.
    LAST.with_borrow(|words| words.as_ptr())
}

/// The names of the states, by number, as C wants them.
pub(crate) const STATE_NAMES: [&CStr; SystemState::COUNT] = [
    c"UNKNOWN",
    c"CONTEXT_CREATED",
    c"PRE_PRIV_DROP",
    c"INITIALIZED",
    c"COLLECTING_STDIN",
    c"IFACE_COLDPLUG",
    c"DHCP",
    c"CPD_PRE_TIME",
    c"TIME_VALID",
    c"CPD_POST_TIME",
    c"POLICY_VALID",
    c"REGISTERED",
    c"AUTH1",
    c"AUTH2",
    c"ONE_TIME_UPDATES",
    c"OPERATIONAL",
    c"POLICY_INVALID",
    c"CONTEXT_DESTROYING",
    c"AWAITING_MODAL_UPDATING",
    c"MODAL_UPDATING",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_core() {
        for (state, name) in SystemState::ALL.into_iter().zip(STATE_NAMES) {
            assert_eq!(Ok(state.name()), name.to_str());
        }
    }
}
