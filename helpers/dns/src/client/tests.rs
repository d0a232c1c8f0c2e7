//! The resolver in virtual time: scripts, and a simulation.

mod accept;
mod answers;
mod failover;
mod lifetime;
mod simulation;
mod tcp;
