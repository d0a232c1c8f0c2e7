//! Scripts in virtual time: a world with servers that behave as they are told.

mod days;
mod hostile;
mod schedule;
mod time;
mod world;
