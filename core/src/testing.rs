//! What the tests of attach and of the loop stand on: a lock and a wake that watch what is done with
//! them, a platform over any poller, and an application that writes down what it is told.
//!
//! With feature `testing` this is public, for whoever has a [`Poll`](crate::poll::Poll) of his own:
//! implement `Fresh` for it, and `poller_scenarios!` makes a test of everything that the core's own
//! poller, and the loop on it, are held to.
#![cfg_attr(not(unix), allow(dead_code, reason = "most of it is for the tests of poll(2)"))]

extern crate std;

use core::cell::Cell;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::boxed::Box;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::vec::Vec;

use crate::attach::{AttachQueue, Node, Outcome};
use crate::event_loop::{Application, EventLoop, LoopStorage, Ready, Registrar, SourceKey};
use crate::platform::{Arm, Platform, RawLock, SystemOps, Wake};
use crate::state::{Announcement, HoldKey, NotifierKey, Verdict};
#[cfg(unix)]
use crate::time::Instant;
use crate::timer::{Owner, TimerKey};

mod ground;
#[cfg(unix)]
mod list;
#[cfg(unix)]
#[allow(unsafe_code, reason = "the C library's signals")]
pub(crate) mod signal;

pub use ground::Fresh;
pub(crate) use ground::{Ground, Still};
#[cfg(unix)]
pub use list::{poller_scenarios, scenarios};

/// What has no descriptors.
pub(crate) type Sim = Ground<Still>;

std::thread_local! {
    /// How many locks this thread holds.
    static HELD: Cell<usize> = const { Cell::new(0) };
    /// How many cells under the lock this thread has looked into.
    pub(crate) static TOUCHED: Cell<usize> = const { Cell::new(0) };
}

/// What nobody may do under the lock.
pub(crate) fn assert_unlocked() {
    assert_eq!(HELD.get(), 0, "user code runs inside the lock");
}

pub(crate) struct StdLock(Mutex<()>);

// SAFETY: a mutex runs one closure at a time, on the calling thread, and is unlocked on unwind; its
// poison is not looked at.
#[allow(unsafe_code, reason = "the contract of the trait")]
unsafe impl RawLock for StdLock {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Depth;
        impl Drop for Depth {
            fn drop(&mut self) {
                HELD.set(HELD.get() - 1);
            }
        }
        assert_eq!(HELD.replace(HELD.get() + 1), 0, "the queue never nests its lock");
        let _depth = Depth;
        let _guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f()
    }
}

/// Counts, and ends the wait of a poller that watches what [`arm`](Self::arm) returns.
pub(crate) struct TestWake {
    wakes: AtomicUsize,
    wire: OnceLock<Wire>,
}

#[cfg(unix)]
pub(crate) type Ends = (std::os::unix::net::UnixStream, std::os::unix::net::UnixStream);
#[cfg(all(unix, not(miri)))]
type Wire = Ends;
/// There is no poller here that watches anything; Miri has no socket pairs.
#[cfg(any(not(unix), miri))]
type Wire = ();

impl TestWake {
    const fn new() -> Self {
        Self { wakes: AtomicUsize::new(0), wire: OnceLock::new() }
    }

    pub(crate) fn count(&self) -> usize {
        self.wakes.load(Ordering::SeqCst)
    }

    /// Once only.
    #[cfg(all(unix, not(miri)))]
    fn arm(&self) -> Option<i32> {
        let ends = std::os::unix::net::UnixStream::pair().expect("a socket pair");
        for end in [&ends.0, &ends.1] {
            end.set_nonblocking(true).expect("not blocking");
        }
        self.wire.set(ends).ok()?;
        self.wire.get().map(|(_, reader)| std::os::fd::AsRawFd::as_raw_fd(reader))
    }

    #[cfg(any(not(unix), miri))]
    fn arm(&self) -> Option<i32> {
        self.wire.set(()).ok().map(|()| 0)
    }
}

impl Wake for TestWake {
    fn wake(&self) {
        assert_unlocked();
        self.wakes.fetch_add(1, Ordering::SeqCst);
        #[cfg(all(unix, not(miri)))]
        if let Some((writer, _)) = self.wire.get() {
            // Full means that the loop is being woken already.
            let _ = std::io::Write::write(&mut &*writer, &[1]);
        }
    }

    fn clear(&self) {
        assert_unlocked();
        #[cfg(all(unix, not(miri)))]
        if let Some((_, reader)) = self.wire.get() {
            while std::io::Read::read(&mut &*reader, &mut [0; 64]).is_ok_and(|n| n == 64) {}
        }
    }
}

pub(crate) struct Ops;
impl SystemOps for Ops {
    type Lock = StdLock;
    type Wake = TestWake;
}

pub(crate) type Queue<P = Sim> = AttachQueue<App<P>, P, Ops>;
pub(crate) type Place<'q, P = Sim> = Node<'q, App<P>, P, Ops>;
pub(crate) type Loop<'m, P = Sim> = EventLoop<'m, P, App<P>, Ops>;

pub(crate) const fn queue<P: Platform>() -> Queue<P> {
    AttachQueue::new(StdLock(Mutex::new(())), TestWake::new())
}

/// A loop over leaked memory, so that tests need not care for it.
pub(crate) fn new_loop<P: Platform<Handle = i32> + Arm<Ops>>(
    platform: P,
    queue: &Queue<P>,
) -> Loop<'_, P> {
    let storage = Box::leak(Box::new(LoopStorage::<i32, 16, 8>::new()));
    EventLoop::new(platform, storage, queue).expect("the queue serves no other loop")
}

/// What the application does with what is ready.
type React<P> = fn(&mut App<P>, &mut Registrar<'_, P>, Ready);

/// What it does when a notifier is called.
pub(crate) type Notify<P> = fn(&mut App<P>, &mut Registrar<'_, P>, &Announcement) -> Verdict;

pub(crate) struct App<P: Platform> {
    /// Numbers, in the order in which they were told.
    pub(crate) log: Vec<u32>,
    pub(crate) ready: Vec<Ready>,
    pub(crate) flags: Vec<u32>,
    pub(crate) react: React<P>,
    pub(crate) timers: Vec<TimerKey>,
    pub(crate) sources: Vec<SourceKey>,
    /// The socket pairs of the sources, each with the watched end first.
    #[cfg(unix)]
    pub(crate) ends: Vec<Ends>,
    pub(crate) held: Option<HoldKey>,
    /// When the next thing is to happen.
    #[cfg(unix)]
    pub(crate) due: Option<Instant>,
    notifiers: Vec<(NotifierKey, Notify<P>)>,
}

impl<P: Platform> App<P> {
    pub(crate) fn new(react: React<P>) -> Self {
        let (log, ready, flags) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            log,
            ready,
            flags,
            react,
            timers: Vec::new(),
            sources: Vec::new(),
            #[cfg(unix)]
            ends: Vec::new(),
            held: None,
            #[cfg(unix)]
            due: None,
            notifiers: Vec::new(),
        }
    }

    /// Registers a notifier of its own.
    pub(crate) fn add_notifier(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        notify: Notify<P>,
    ) -> NotifierKey {
        let key = registrar.add_notifier(Owner::Application).expect("one of the first sixteen");
        self.notifiers.push((key, notify));
        key
    }

    /// The notifier that was registered last.
    pub(crate) fn last_notifier(&self) -> NotifierKey {
        self.notifiers.last().expect("one was registered").0
    }

    pub(crate) fn idle() -> Self {
        Self::new(|_, _, _| {})
    }
}

impl<P: Platform> Application<P> for App<P> {
    fn dispatch(&mut self, registrar: &mut Registrar<'_, P>, ready: Ready) {
        assert_unlocked();
        self.ready.push(ready);
        (self.react)(self, registrar, ready);
    }

    fn notify(&mut self, registrar: &mut Registrar<'_, P>, said: &Announcement) -> Verdict {
        assert_unlocked();
        assert_eq!(said.owner(), Owner::Application);
        let mut mine = self.notifiers.iter();
        let (_, notify) = *mine.find(|(key, _)| *key == said.notifier()).expect("a key of ours");
        notify(self, registrar, said)
    }

    fn raised(&mut self, registrar: &mut Registrar<'_, P>, bits: u32) {
        assert_unlocked();
        self.flags.push(bits);
        registrar.stop();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Ready,
    Cancelled,
    Shutdown,
}

impl What {
    pub(crate) fn of<A, P: Platform>(outcome: &Outcome<'_, A, P>) -> Self {
        match outcome {
            Outcome::Ready(..) => Self::Ready,
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Shutdown => Self::Shutdown,
        }
    }
}

/// Who was told what, where: shared by all requests of a test.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<(u32, What, ThreadId)>>>);

impl Told {
    pub(crate) fn note(&self, number: u32, what: What) {
        assert_unlocked();
        self.0.lock().unwrap().push((number, what, thread::current().id()));
    }

    /// A request that writes down what it is told.
    pub(crate) fn request<P: Platform + 'static>(
        &self,
        number: u32,
    ) -> impl FnOnce(Outcome<'_, App<P>, P>) + Send + 'static {
        let told = self.clone();
        move |outcome| {
            told.note(number, What::of(&outcome));
            if let Outcome::Ready(app, _) = outcome {
                app.log.push(number);
            }
        }
    }

    pub(crate) fn all(&self) -> Vec<(u32, What)> {
        self.0.lock().unwrap().iter().map(|&(number, what, _)| (number, what)).collect()
    }

    #[cfg(test)]
    pub(crate) fn threads(&self) -> Vec<ThreadId> {
        self.0.lock().unwrap().iter().map(|&(_, _, thread)| thread).collect()
    }
}
