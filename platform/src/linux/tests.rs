//! Linux seen through the platform contract. What needs privileges runs in a child process with
//! namespaces of its own.

mod namespaced;
mod plain;
