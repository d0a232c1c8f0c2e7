//! What can be left out for the smallest devices: the features of the crate, whose preface has a table.
//!
//! A part asks here where it begins, and the compiler drops what nobody comes to. So all of it is checked
//! and linted whatever is left out.

/// Queries over TCP.
pub(crate) const TCP: bool = cfg!(feature = "tcp");

/// What a device that asks for the addresses of a few names does without.
pub(crate) const EXTRAS: bool = cfg!(feature = "extras");
