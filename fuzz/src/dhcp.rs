//! Properties of `bringup-dhcp`.

pub(crate) mod client;
pub(crate) mod encode;
pub(crate) mod frame;
pub(crate) mod message;
mod world;
