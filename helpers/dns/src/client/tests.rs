//! The resolver in virtual time: scripts, and a simulation.

mod accept;
mod answers;
mod bugs;
#[cfg(feature = "tcp")]
mod connections;
mod cookies;
mod corners;
mod failover;
mod left_out;
mod lifetime;
#[cfg(feature = "extras")]
mod refresh;
mod rivals;
#[cfg(feature = "extras")]
mod search;
mod simulation;
#[cfg(feature = "tcp")]
mod tcp;
