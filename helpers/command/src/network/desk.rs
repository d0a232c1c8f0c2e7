//! The desk: from handles that live as long as they like to a queue that lives as long as its loop.
//!
//! The loop, its application and its attach queue borrow memory of the thread that runs them, so that
//! no handle can name their types. A second thread inside that scope takes [`Item`]s from a channel
//! and attaches them, in order; it ends with the loop.

use std::fmt::{self, Formatter};
use std::sync::mpsc::Receiver;

use bringup_core::attach::Outcome;
use bringup_core::state::SystemState;

use super::Ended;
use super::program::{Context, Program, Queue};

type Callback = Box<dyn FnOnce(Result<Context<'_>, Ended>) + Send>;

/// A callback on its way to the loop. One that does not get there is told so.
pub(super) struct Item {
    gate: Option<SystemState>,
    /// `None` stops the loop.
    callback: Option<Callback>,
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item").field("gate", &self.gate).finish_non_exhaustive()
    }
}

impl Item {
    pub(super) fn new<F>(gate: Option<SystemState>, callback: F) -> Self
    where
        F: FnOnce(Result<Context<'_>, Ended>) + Send + 'static,
    {
        Self { gate, callback: Some(Box::new(callback)) }
    }

    pub(super) const fn stop() -> Self {
        Self { gate: None, callback: None }
    }

    fn run(mut self, context: Context<'_>) {
        if let Some(callback) = self.callback.take() {
            callback(Ok(context));
        }
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        if let Some(callback) = self.callback.take() {
            callback(Err(Ended));
        }
    }
}

/// Passes items on until one says stop, or nobody is left who could send one.
pub(super) fn serve(items: &Receiver<Item>, queue: &Queue<'_>) {
    while let Ok(item) = items.recv() {
        if item.callback.is_none() {
            break;
        }
        // A queue that is closed gives the closure back, and its end tells the callback.
        let _ = queue.attach(item.gate, move |outcome: Outcome<'_, Program<'_>, _>| {
            if let Outcome::Ready(program, registrar) = outcome {
                item.run(Context::new(program, registrar));
            }
        });
    }
    let _ = queue.attach(None, |outcome: Outcome<'_, Program<'_>, _>| {
        if let Outcome::Ready(_, mut registrar) = outcome {
            registrar.stop();
        }
    });
}
