//! The conformance kit on the ports of this crate, and on ports that are broken on purpose.
//! What takes privileges over a network is in `src/linux/tests/namespaced.rs`.

mod broken;
#[cfg(target_os = "linux")]
mod broken_shared;
#[cfg(target_os = "linux")]
mod linux;
mod machine;
mod portable;
mod simulator;
