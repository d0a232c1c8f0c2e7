//! What can be left out for the smallest devices: the crate's preface says what that is.

/// Whether the feature is on.
pub(crate) const EXTRAS: bool = cfg!(feature = "extras");

/// A value that nobody has unless the feature is on. What holds one is never there without it, and the
/// compiler drops all that would be done with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extra(#[cfg(not(feature = "extras"))] core::convert::Infallible);

impl Extra {
    /// It, if the feature is on.
    #[cfg(feature = "extras")]
    pub(crate) const GIVEN: Option<Self> = Some(Self());
    /// It, if the feature is on.
    #[cfg(not(feature = "extras"))]
    pub(crate) const GIVEN: Option<Self> = None;
}
