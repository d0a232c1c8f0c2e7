//! The assembled system on the simulated platform, with our own servers behind faulty wires, in
//! virtual time: scripts for what is known to matter, seeds for what nobody thought of.
//!
//! [`world`] has the machine, its peers and the invariants that hold at every turn; `scripts` tells
//! one story per test; `seeds` makes up thousands; `mutants` shows that both can fail. `driver` looks at one part alone.

mod driver;
mod far;
mod limits;
mod links;
mod memory;
mod operator;
mod refusals;
mod scripts;
mod seeds;
mod world;
