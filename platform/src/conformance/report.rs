//! [`Report`]: what the kit found.

use core::fmt;

use bringup_core::error::ErrorKind;

use super::{Checked, Promise};

/// What became of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The promise is kept, as far as anybody can see.
    Kept,
    /// It is broken: how that showed.
    Broken(&'static str),
    /// It is broken: an operation failed that may not.
    Failed(&'static str, ErrorKind),
    /// It could not be tested, and why.
    Unchecked(&'static str),
}

impl Finding {
    /// Whether the promise is broken.
    pub const fn is_broken(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Failed(..))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => f.write_str("kept"),
            Self::Broken(how) => write!(f, "BROKEN: {how}"),
            Self::Failed(how, kind) => write!(f, "BROKEN: {how}: {kind}"),
            Self::Unchecked(why) => write!(f, "unchecked: {why}"),
        }
    }
}

/// What the kit found, promise by promise.
#[derive(Clone, Debug)]
pub struct Report([Option<Finding>; Promise::COUNT]);

impl Report {
    pub(super) const fn new() -> Self {
        Self([None; Promise::COUNT])
    }

    pub(super) fn note(&mut self, promise: Promise, checked: Checked) {
        let finding = match checked {
            Ok(()) => Finding::Kept,
            Err(finding) => finding,
        };
        if let Some(place) = self.0.get_mut(usize::from(promise as u8)) {
            *place = Some(finding);
        }
    }

    /// What was found about a promise.
    pub fn finding(&self, promise: Promise) -> Option<Finding> {
        self.0.get(usize::from(promise as u8)).copied().flatten()
    }

    /// All findings, in order.
    pub fn findings(&self) -> impl Iterator<Item = (Promise, Finding)> + '_ {
        Promise::ALL.into_iter().filter_map(|promise| Some((promise, self.finding(promise)?)))
    }

    /// The promises that are broken, the one to mend first at the front.
    pub fn broken(&self) -> impl Iterator<Item = Promise> + '_ {
        self.findings().filter(|(_, finding)| finding.is_broken()).map(|(promise, _)| promise)
    }

    /// Whether no promise is broken. Some may be unchecked: those are in the report.
    pub fn is_kept(&self) -> bool {
        self.broken().next().is_none()
    }

    /// How many promises were tested and found kept.
    pub fn kept(&self) -> usize {
        self.findings().filter(|(_, finding)| *finding == Finding::Kept).count()
    }
}

impl fmt::Display for Report {
    /// One promise a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (promise, finding) in self.findings() {
            writeln!(f, "{promise:<22} {finding}")?;
        }
        Ok(())
    }
}
