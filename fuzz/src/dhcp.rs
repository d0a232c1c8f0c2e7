//! Properties of `bringup-dhcp`.

pub(crate) mod client;
pub(crate) mod encode;
pub(crate) mod frame;
pub(crate) mod message;
pub(crate) mod snapshot;
mod world;
