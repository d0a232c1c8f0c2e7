//! The resolver in virtual time: scripts, and a simulation.

mod accept;
mod answers;
mod bugs;
mod connections;
mod cookies;
mod corners;
mod failover;
mod lifetime;
mod refresh;
mod rivals;
mod search;
mod simulation;
mod tcp;
