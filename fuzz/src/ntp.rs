//! Properties of `bringup-ntp`.

pub(crate) mod accept;
pub(crate) mod client;
pub(crate) mod packet;
pub(crate) mod timestamp;
