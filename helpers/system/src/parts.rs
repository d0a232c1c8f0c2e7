//! What can be left out for the smallest devices: the features of the crate, whose preface has a table.
//!
//! A part asks here where it begins, and the compiler drops what nobody comes to.

/// Connections for the resolver.
pub(crate) const TCP: bool = cfg!(feature = "tcp");

/// NTP servers by name, and what was ignored.
pub(crate) const EXTRAS: bool = cfg!(feature = "extras");
