//! The core's sources, compiled on top of a `sync` that loom watches, and the models that use them.
//!
//! The loop in the models is the real one: [`EventLoop::turn`](event_loop::EventLoop::turn), over a
//! platform whose wait really blocks. A wake that is lost is a deadlock, which loom reports; a cell
//! that is touched outside the lock is reported by loom's cells.
#![allow(dead_code, reason = "the models need a part of the core")]

#[path = "../../../core/src/attach.rs"]
pub mod attach;
#[path = "../../../core/src/client.rs"]
pub mod client;
#[path = "../../../core/src/error.rs"]
pub mod error;
#[path = "../../../core/src/event_loop.rs"]
pub mod event_loop;
#[path = "../../../core/src/platform.rs"]
pub mod platform;
#[path = "../../../core/src/poll.rs"]
pub mod poll;
#[path = "../../../core/src/state.rs"]
pub mod state;
#[path = "../../../core/src/time.rs"]
pub mod time;
#[path = "../../../core/src/timer.rs"]
pub mod timer;
#[path = "../../../core/src/wire.rs"]
pub mod wire;

pub mod model;
mod sync;
