//! Properties of `bringup-dns`.

pub(crate) mod encode;
pub(crate) mod hosts;
pub(crate) mod message;
pub(crate) mod name;
pub(crate) mod resolv_conf;
pub(crate) mod resolver;
pub(crate) mod stream;
mod structure;
