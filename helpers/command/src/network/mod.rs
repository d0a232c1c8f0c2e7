//! [`Network`]: a machine's network for a program, in three calls.
//!
//! [`Setup`] says what is wanted, [`Setup::start`] brings it up on a thread of its own, and [`Network`]
//! is the handle: any thread may [wait](Network::wait) for a state, [attach](Network::attach) a
//! callback, [resolve](Network::resolve) a name and ask for the [time](Network::time). Dropping it
//! takes down what was brought up.
//!
//! ```no_run
//! use std::time::Duration;
//! use bringup::Setup;
//!
//! fn main() -> Result<(), bringup::Error> {
//!     let network = Setup::new().interface("eth0").start()?;
//!     network.wait_operational(Duration::from_secs(60))?;
//!     println!("{:?}", network.addresses()?);
//!     println!("{:?}", network.resolve("example.com", Duration::from_secs(10))?);
//!     println!("{:?}", network.time()?);
//!     Ok(())
//! }
//! ```
//!
//! A program with an event loop of its own takes [`bringup_core`]'s, or the clients alone: see the
//! examples `resolver` and `application`.

mod desk;
mod error;
mod program;
mod setup;
mod status;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use bringup_core::state::SystemState;

use desk::Item;
use status::Status;

pub use error::Error;
pub use program::Context;
pub use setup::Setup;

/// The context is being destroyed: what was waited for will not come any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

/// An address that DHCP put on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface.
    pub interface: String,
    /// The address.
    pub address: Ipv4Addr,
    /// Length of its prefix in bits.
    pub prefix: u8,
    /// The router to the rest of the world.
    pub router: Option<Ipv4Addr>,
    /// Who granted it.
    pub server: Ipv4Addr,
    /// How long it may still be used; `None` for ever.
    pub expires_in: Option<Duration>,
}

/// UTC, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// The best guess.
    pub utc: SystemTime,
    /// How far off that may be.
    pub error: Duration,
    /// What must be added to the machine's clock, nanoseconds.
    pub clock_offset_ns: i64,
    /// Whether a second server agrees.
    pub confirmed: bool,
}

/// A network that is being brought up, or is up. Any thread may use it.
#[derive(Debug)]
pub struct Network {
    desk: Sender<Item>,
    status: Arc<Status>,
    thread: Option<JoinHandle<()>>,
}

impl Network {
    /// The system state.
    pub fn state(&self) -> SystemState {
        self.status.state()
    }

    /// Who holds the next state back: `link`, `dhcp`, `ntp`, or nobody.
    pub fn held_by(&self) -> Option<&'static str> {
        self.status.held_by()
    }

    /// Waits until the system is in `state` or past it.
    ///
    /// Fails with [`Error::TimedOut`], which names who holds it back, or with [`Error::Ended`].
    pub fn wait(&self, state: SystemState, timeout: Duration) -> Result<(), Error> {
        self.status.wait(state, timeout)
    }

    /// [`wait`](Self::wait) for OPERATIONAL: there is an address, names can be resolved, and the time
    /// is known.
    pub fn wait_operational(&self, timeout: Duration) -> Result<(), Error> {
        self.wait(SystemState::Operational, timeout)
    }

    /// Runs `callback` on the network's thread: at once, or when the system is in `state` or past it.
    /// It must not block. It is called once: with [`Ended`], on whichever thread notices, if the state is
    /// not reached before the end.
    pub fn attach<F>(&self, state: impl Into<Option<SystemState>>, callback: F)
    where
        F: FnOnce(Result<Context<'_>, Ended>) + Send + 'static,
    {
        // Refused only after the end; then the item tells its callback so when it is dropped.
        let _ = self.desk.send(Item::new(state.into(), callback));
    }

    /// Runs `question` on the network's thread, and waits for what it gives.
    pub fn ask<T, F>(&self, question: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(Context<'_>) -> T + Send + 'static,
    {
        let (tell, told) = mpsc::channel();
        self.attach(None, move |context| {
            if let Ok(context) = context {
                // Whoever asks waits for it.
                let _ = tell.send(question(context));
            }
        });
        told.recv().map_err(|_| Error::Ended)
    }

    /// The addresses of a name, in the order in which they are to be tried (RFC 6724).
    ///
    /// Waits for the answer, at most so long; ask from OPERATIONAL on, or at least from DHCP on, so
    /// that there is somebody to ask.
    pub fn resolve(&self, name: &str, timeout: Duration) -> Result<Vec<IpAddr>, Error> {
        let (tell, told) = mpsc::channel();
        let name = name.to_owned();
        self.attach(None, move |context| match context {
            Ok(mut context) => context.resolve(&name, timeout, move |found| {
                let _ = tell.send(found);
            }),
            Err(Ended) => drop(tell),
        });
        told.recv().map_err(|_| Error::Ended)?
    }

    /// UTC with its error bound; `None` while it is not known. It need not be the machine's clock,
    /// which is changed only if [`Setup::set_clock`] said so.
    pub fn time(&self) -> Result<Option<Time>, Error> {
        self.ask(|mut context| context.time())
    }

    /// The addresses of all interfaces.
    pub fn addresses(&self) -> Result<Vec<Address>, Error> {
        self.ask(|context| context.addresses())
    }

    /// Takes down what was brought up, and waits until that is done. Dropping does the same.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.desk.send(Item::stop());
        if let Some(thread) = self.thread.take() {
            // It has told why, if it panicked.
            let _ = thread.join();
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.end();
    }
}
