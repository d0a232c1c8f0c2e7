//! What the tests of attach and of the loop stand on: a lock and a wake that watch what is done with
//! them, a platform in virtual time ([`Sim`]), one over real descriptors and threads ([`Real`]), and
//! an application that writes down what it is told.

extern crate std;

use core::cell::Cell;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::boxed::Box;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::vec::Vec;

use crate::attach::{AttachQueue, Node, Outcome};
use crate::client::Rng;
use crate::error::ErrorKind;
use crate::event_loop::{Application, EventLoop, LoopStorage, Ready, Registrar, SourceKey};
use crate::platform::{Arm, Platform, RawLock, Received, SystemOps, UdpOptions, Wake};
use crate::poll::{Interest, Poll, Readiness, Token};
use crate::state::HoldKey;
use crate::time::{Duration, Instant, Utc};
use crate::timer::TimerKey;

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

/// Counts, and wakes whichever platform armed it.
pub(crate) struct TestWake {
    wakes: AtomicUsize,
    sim: OnceLock<Arc<AtomicBool>>,
    #[cfg(unix)]
    real: OnceLock<(std::os::unix::net::UnixStream, std::os::unix::net::UnixStream)>,
}

impl TestWake {
    const fn new() -> Self {
        Self {
            wakes: AtomicUsize::new(0),
            sim: OnceLock::new(),
            #[cfg(unix)]
            real: OnceLock::new(),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.wakes.load(Ordering::SeqCst)
    }
}

impl Wake for TestWake {
    fn wake(&self) {
        assert_unlocked();
        self.wakes.fetch_add(1, Ordering::SeqCst);
        if let Some(pending) = self.sim.get() {
            pending.store(true, Ordering::SeqCst);
        }
        #[cfg(unix)]
        if let Some((mut writer, _)) = self.real.get().map(|(w, r)| (w, r)) {
            // Full means that the loop is being woken already.
            let _ = std::io::Write::write(&mut writer, &[1]);
        }
    }

    fn clear(&self) {
        assert_unlocked();
        if let Some(pending) = self.sim.get() {
            pending.store(false, Ordering::SeqCst);
        }
        #[cfg(unix)]
        if let Some((_, mut reader)) = self.real.get().map(|(w, r)| (w, r)) {
            while std::io::Read::read(&mut reader, &mut [0; 64]).is_ok_and(|n| n == 64) {}
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

pub(crate) struct App<P: Platform> {
    /// Numbers, in the order in which they were told.
    pub(crate) log: Vec<u32>,
    pub(crate) ready: Vec<Ready>,
    pub(crate) flags: Vec<u32>,
    pub(crate) react: React<P>,
    pub(crate) timers: Vec<TimerKey>,
    pub(crate) sources: Vec<SourceKey>,
    pub(crate) held: Option<HoldKey>,
}

impl<P: Platform> App<P> {
    pub(crate) fn new(react: React<P>) -> Self {
        let (log, ready, flags) = (Vec::new(), Vec::new(), Vec::new());
        Self { log, ready, flags, react, timers: Vec::new(), sources: Vec::new(), held: None }
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

    pub(crate) fn threads(&self) -> Vec<ThreadId> {
        self.0.lock().unwrap().iter().map(|&(_, _, thread)| thread).collect()
    }
}

/// A platform in virtual time: waiting is jumping to the deadline.
#[derive(Default)]
pub(crate) struct Sim {
    pub(crate) now: Instant,
    /// The deadline of every wait.
    pub(crate) waits: Vec<Option<Instant>>,
    pub(crate) poller: SimPoll,
    pending: Arc<AtomicBool>,
}

/// A poller that is told what is ready.
#[derive(Default)]
pub(crate) struct SimPoll {
    watched: Vec<(i32, Token, Interest)>,
    /// For each wait to come, which handles are ready.
    pub(crate) script: VecDeque<Vec<i32>>,
    results: VecDeque<(Token, Readiness)>,
}

pub(crate) const WAKE: i32 = 1_000;

pub(crate) const READABLE: Readiness =
    Readiness { readable: true, writable: false, error: false, hangup: false, invalid: false };

impl Poll for SimPoll {
    type Handle = i32;
    type Error = ErrorKind;

    fn add(&mut self, handle: i32, token: Token, interest: Interest) -> Result<(), ErrorKind> {
        self.watched.push((handle, token, interest));
        Ok(())
    }

    fn modify(&mut self, handle: i32, token: Token, interest: Interest) -> Result<(), ErrorKind> {
        let mut watched = self.watched.iter_mut();
        let found = watched.find(|(h, t, _)| (*h, *t) == (handle, token));
        found.map(|place| place.2 = interest).ok_or(ErrorKind::NotFound)
    }

    fn remove(&mut self, handle: i32, token: Token) {
        self.watched.retain(|(h, t, _)| (*h, *t) != (handle, token));
        self.results.retain(|(t, _)| *t != token);
    }

    fn wait(&mut self, _: Option<Duration>) -> Result<(), ErrorKind> {
        self.results.clear();
        for handle in self.script.pop_front().unwrap_or_default() {
            let named = self.watched.iter().filter(|(h, ..)| *h == handle);
            self.results.extend(named.map(|(_, token, _)| (*token, READABLE)));
        }
        Ok(())
    }

    fn next_ready(&mut self) -> Option<(Token, Readiness)> {
        self.results.pop_front()
    }
}

impl Rng for Sim {
    fn fill(&mut self, buffer: &mut [u8]) {
        buffer.fill(4);
    }
}

impl Platform for Sim {
    type Poller = SimPoll;
    type Handle = i32;
    type Error = ErrorKind;

    fn now(&mut self) -> Instant {
        self.now
    }
    fn utc(&mut self) -> Utc {
        Utc::from_unix_nanos(0)
    }
    fn poller(&mut self) -> &mut SimPoll {
        &mut self.poller
    }
    fn wait(&mut self, deadline: Option<Instant>) -> Result<(), ErrorKind> {
        assert_unlocked();
        self.waits.push(deadline);
        let woken = self.pending.load(Ordering::SeqCst);
        let ready = self.poller.script.front().is_some_and(|handles| !handles.is_empty());
        if !woken && !ready {
            let deadline = deadline.expect("nothing would ever end this wait");
            self.now = self.now.max(deadline);
        }
        self.poller.wait(None)?;
        if woken {
            self.poller.results.push_back((Token::WAKE, READABLE));
        }
        Ok(())
    }
    fn udp_open(&mut self, _: &UdpOptions) -> Result<i32, ErrorKind> {
        Err(ErrorKind::Unsupported)
    }
    fn udp_send(&mut self, _: i32, _: SocketAddr, _: &[u8]) -> Result<(), ErrorKind> {
        Err(ErrorKind::Unsupported)
    }
    fn udp_receive(&mut self, _: i32, _: &mut [u8]) -> Result<Option<Received>, ErrorKind> {
        Err(ErrorKind::Unsupported)
    }
    fn close(&mut self, _: i32) {}
    fn wake_latency(&mut self) -> Duration {
        Duration::from_micros(300)
    }
}

impl Arm<Ops> for Sim {
    fn arm(&mut self, wake: &TestWake) -> Result<i32, ErrorKind> {
        wake.sim.set(self.pending.clone()).map_err(|_| ErrorKind::Exists)?;
        Ok(WAKE)
    }
}

#[cfg(unix)]
pub(crate) use real::{Real, signal};

#[cfg(unix)]
mod real {
    use super::*;
    use crate::poll::{PollError, PollStorage, UnixPoll};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    /// poll(2), the machine's clock, and a socket pair for a wake.
    pub(crate) struct Real {
        poll: UnixPoll<'static>,
        start: std::time::Instant,
    }

    impl Real {
        pub(crate) fn new() -> Self {
            let storage = Box::leak(Box::new(PollStorage::<8>::new()));
            Self { poll: UnixPoll::new(storage), start: std::time::Instant::now() }
        }
    }

    impl Rng for Real {
        fn fill(&mut self, buffer: &mut [u8]) {
            buffer.fill(4);
        }
    }

    impl Platform for Real {
        type Poller = UnixPoll<'static>;
        type Handle = i32;
        type Error = PollError;

        fn now(&mut self) -> Instant {
            Instant::from_micros(u64::try_from(self.start.elapsed().as_micros()).unwrap())
        }
        fn utc(&mut self) -> Utc {
            Utc::from_unix_nanos(0)
        }
        fn poller(&mut self) -> &mut Self::Poller {
            &mut self.poll
        }
        fn udp_open(&mut self, _: &UdpOptions) -> Result<i32, PollError> {
            Err(PollError::Full)
        }
        fn udp_send(&mut self, _: i32, _: SocketAddr, _: &[u8]) -> Result<(), PollError> {
            Err(PollError::Full)
        }
        fn udp_receive(&mut self, _: i32, _: &mut [u8]) -> Result<Option<Received>, PollError> {
            Err(PollError::Full)
        }
        fn close(&mut self, _: i32) {}
    }

    impl Arm<Ops> for Real {
        fn arm(&mut self, wake: &TestWake) -> Result<i32, PollError> {
            let pair = UnixStream::pair().expect("a socket pair");
            for end in [&pair.0, &pair.1] {
                end.set_nonblocking(true).expect("not blocking");
            }
            wake.real.set(pair).map_err(|_| PollError::Full)?;
            Ok(wake.real.get().map_or(-1, |(_, reader)| reader.as_raw_fd()))
        }
    }

    /// Signals, as far as the tests need them.
    #[allow(unsafe_code, reason = "the C library's signals")]
    pub(crate) mod signal {
        use core::ffi::{c_int, c_ulong};

        /// SIGHUP and SIGALRM: one for each test that wants a handler of its own.
        pub(crate) const HANGUP: c_int = 1;
        pub(crate) const ALARM: c_int = 14;

        unsafe extern "C" {
            fn signal(number: c_int, handler: extern "C" fn(c_int)) -> usize;
            fn pthread_self() -> c_ulong;
            fn pthread_kill(thread: c_ulong, number: c_int) -> c_int;
        }

        /// Names a thread that can be sent the signal.
        #[derive(Clone, Copy)]
        pub(crate) struct Target(c_ulong);

        pub(crate) fn this_thread() -> Target {
            // SAFETY: no precondition.
            Target(unsafe { pthread_self() })
        }

        /// From now on `handler` runs when the signal arrives.
        pub(crate) fn handle(number: c_int, handler: extern "C" fn(c_int)) {
            // SAFETY: the handlers of the tests make async-signal-safe calls only.
            unsafe { signal(number, handler) };
        }

        /// Sends the signal. The thread must not have ended.
        pub(crate) fn send(target: Target, number: c_int) {
            // SAFETY: the tests join the target later.
            assert_eq!(unsafe { pthread_kill(target.0, number) }, 0);
        }
    }
}
