//! What the models stand on: loom's mutex as the lock, a bell as the wake, and a platform that does
//! nothing but wait for the bell.

use core::net::SocketAddr;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::sync::{Arc, Condvar, Mutex};

use crate::attach::{AttachQueue, Node, Outcome};
use crate::client::Rng;
use crate::error::ErrorKind;
use crate::event_loop::{Application, EventLoop, LoopStorage, Ready, Registrar};
use crate::platform::{Arm, Platform, RawLock, Received, SystemOps, UdpOptions, Wake};
use crate::poll::{Interest, Poll, Readiness, Token};
use crate::state::SystemState;
use crate::time::{Duration, Instant, Utc};

pub struct LoomLock(Mutex<()>);

// SAFETY: loom's mutex excludes as std's does, or loom's own tests fail.
unsafe impl RawLock for LoomLock {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        let _guard = self.0.lock().expect("nothing panics inside the lock");
        f()
    }
}

/// What a sleeping loop listens to.
pub struct Bell {
    rung: Mutex<bool>,
    bell: Condvar,
}

pub struct LoomWake(Arc<Bell>);

impl Wake for LoomWake {
    fn wake(&self) {
        *self.0.rung.lock().expect("no panic") = true;
        self.0.bell.notify_one();
    }

    fn clear(&self) {
        *self.0.rung.lock().expect("no panic") = false;
    }
}

pub struct Ops;
impl SystemOps for Ops {
    type Lock = LoomLock;
    type Wake = LoomWake;
}

pub struct Still {
    bell: Arc<Bell>,
    poller: StillPoll,
}

#[derive(Default)]
pub struct StillPoll {
    rung: bool,
}

impl Poll for StillPoll {
    type Handle = i32;
    type Error = ErrorKind;
    fn add(&mut self, _: i32, _: Token, _: Interest) -> Result<(), ErrorKind> {
        Ok(())
    }
    fn modify(&mut self, _: i32, _: Token, _: Interest) -> Result<(), ErrorKind> {
        Ok(())
    }
    fn remove(&mut self, _: i32, _: Token) {}
    fn wait(&mut self, _: Option<Duration>) -> Result<(), ErrorKind> {
        Ok(())
    }
    fn next_ready(&mut self) -> Option<(Token, Readiness)> {
        core::mem::take(&mut self.rung).then_some((Token::WAKE, Readiness::default()))
    }
}

impl Rng for Still {
    fn fill(&mut self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

impl Platform for Still {
    type Poller = StillPoll;
    type Handle = i32;
    type Error = ErrorKind;
    fn now(&mut self) -> Instant {
        Instant::ZERO
    }
    fn utc(&mut self) -> Utc {
        Utc::from_unix_nanos(0)
    }
    fn poller(&mut self) -> &mut StillPoll {
        &mut self.poller
    }
    fn wait(&mut self, deadline: Option<Instant>) -> Result<(), ErrorKind> {
        let mut rung = self.bell.rung.lock().expect("no panic");
        while !*rung && deadline.is_none() {
            rung = self.bell.bell.wait(rung).expect("no panic");
        }
        self.poller.rung = *rung;
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
}

impl Arm<Ops> for Still {
    fn arm(&mut self, _: &LoomWake) -> Result<i32, ErrorKind> {
        Ok(0)
    }
}

/// What has run on the loop, and which flags were handed out.
#[derive(Default)]
pub struct App {
    pub log: Vec<u32>,
    pub flags: u32,
}

impl Application<Still> for App {
    fn dispatch(&mut self, _: &mut Registrar<'_, Still>, _: Ready) {}

    fn raised(&mut self, _: &mut Registrar<'_, Still>, bits: u32) {
        self.flags |= bits;
    }
}

pub type Queue = AttachQueue<App, Still, Ops>;
pub type Place<'q> = Node<'q, App, Still, Ops>;
pub type Loop<'m> = EventLoop<'m, Still, App, Ops>;

/// A queue that several threads of a model share, and its bell.
pub fn queue() -> (Arc<Queue>, Arc<Bell>) {
    let bell = Arc::new(Bell { rung: Mutex::new(false), bell: Condvar::new() });
    let queue = AttachQueue::new(LoomLock(Mutex::new(())), LoomWake(bell.clone()));
    // loom's part of the flags has to be made before there are threads.
    queue.take_flags();
    (Arc::new(queue), bell)
}

/// The loop of a queue.
pub fn new_loop<'m>(
    queue: &'m Queue,
    bell: &Arc<Bell>,
    storage: &'m mut LoopStorage<i32, 1, 1>,
) -> Loop<'m> {
    let platform = Still { bell: bell.clone(), poller: StillPoll::default() };
    EventLoop::new(platform, storage, queue).expect("nothing can fail")
}

/// Sets a state from another thread, as a leader does for its followers.
pub fn set_state(queue: &Queue, state: SystemState) {
    queue.set_state(state);
}

/// Ends a loop.
pub fn close(queue: &Queue) {
    queue.close();
}

/// How often each request was told each outcome. Not loom's: it is no part of what is modelled.
#[derive(Default)]
pub struct Told {
    /// Ready, cancelled, shutdown.
    pub counts: [AtomicUsize; 3],
    order: StdMutex<Vec<u32>>,
}

impl Told {
    /// A request that counts.
    pub fn request(
        self: &std::sync::Arc<Self>,
        number: u32,
    ) -> impl FnOnce(Outcome<'_, App, Still>) + Send + 'static {
        let told = self.clone();
        move |outcome| {
            let which = match outcome {
                Outcome::Ready(app, _) => {
                    app.log.push(number);
                    0
                }
                Outcome::Cancelled => 1,
                Outcome::Shutdown => 2,
            };
            told.counts[which].fetch_add(1, Ordering::Relaxed);
            told.order.lock().expect("no panic").push(number);
        }
    }

    /// Ready, cancelled, shutdown.
    pub fn counts(&self) -> [usize; 3] {
        [0, 1, 2].map(|which| self.counts[which].load(Ordering::Relaxed))
    }

    pub fn total(&self) -> usize {
        self.counts().iter().sum()
    }
}
