//! [`Exit`]: exit codes that scripts can use.

use std::process::ExitCode;

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The answer is no: no such name, no valid time, malformed input to `decode`.
    No = 1,
    /// It could not be found out: a timeout, servers failing, no lease within the deadline.
    Unknown = 2,
    /// Wrong usage (`EX_USAGE` of sysexits.h).
    Usage = 64,
    /// A privilege is missing (`EX_NOPERM` of sysexits.h).
    Privilege = 77,
}

impl Exit {
    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
