//! Locks, wakes and clocks that are broken on purpose, on a real Linux with real threads: the kit finds
//! each.

use core::marker::PhantomData;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bringup_core::attach::{Linked, Unlocked};
use bringup_core::client::Rng;
use bringup_core::platform::{Arm, Platform, RawLock, Received, SystemOps, UdpOptions, Wake};
use bringup_core::poll::{PollStorage, UnixPoll};
use bringup_core::time::{Duration, Instant, Utc};
use bringup_platform::conformance::{Promise, Report, Rig, SharedRig, check, threads};
use bringup_platform::error::OsError;
use bringup_platform::linux::{EventWake, Linux, LinuxOps};
use bringup_platform::lock::StdLock;

type Port = Linux<UnixPoll<'static>>;

/// Linux, with a clock of its own making and any wake that is an [`EventWake`] inside.
struct Real {
    linux: Port,
    fault: Fault,
    start: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    ClockTooFast,
    ClockTooSlow,
    /// It ends every wait at once and says that the time has come.
    TimersEarly,
    ArmsTwice,
}

impl Rng for Real {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.linux.fill(buffer);
    }
}

impl Platform for Real {
    type Poller = <Port as Platform>::Poller;
    type Handle = i32;
    type Error = OsError;

    fn now(&mut self) -> Instant {
        let passed = self.linux.now().since(self.start);
        self.start
            + match self.fault {
                Fault::ClockTooFast => passed * 2,
                Fault::ClockTooSlow => passed / 4,
                _ => passed,
            }
    }

    fn utc(&mut self) -> Utc {
        self.linux.utc()
    }

    fn poller(&mut self) -> &mut Self::Poller {
        self.linux.poller()
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Result<(), OsError> {
        let timeout = deadline.map(|at| at.since(self.now()));
        if self.fault == Fault::TimersEarly {
            self.start += timeout.unwrap_or_default();
            return self.linux.wait(Some(Instant::ZERO));
        }
        let now = self.linux.now();
        self.linux.wait(timeout.map(|timeout| now + timeout))
    }

    fn udp_open(&mut self, options: &UdpOptions) -> Result<i32, OsError> {
        self.linux.udp_open(options)
    }

    fn udp_send(&mut self, handle: i32, to: SocketAddr, bytes: &[u8]) -> Result<(), OsError> {
        self.linux.udp_send(handle, to, bytes)
    }

    fn udp_receive(&mut self, h: i32, buffer: &mut [u8]) -> Result<Option<Received>, OsError> {
        self.linux.udp_receive(h, buffer)
    }

    fn close(&mut self, handle: i32) {
        self.linux.close(handle);
    }
}

/// A wake that a test may break.
trait Breakable: Wake + Default + Sync {
    fn inner(&self) -> &EventWake;
    /// It has been armed.
    fn armed(&self) {}
}

impl Breakable for EventWake {
    fn inner(&self) -> &EventWake {
        self
    }
}

impl<O: SystemOps<Wake: Breakable>> Arm<O> for Real {
    fn arm(&mut self, wake: &O::Wake) -> Result<i32, OsError> {
        let armed = Arm::<LinuxOps>::arm(&mut self.linux, wake.inner());
        match armed {
            Err(_) if self.fault == Fault::ArmsTwice => Ok(0),
            armed => armed.inspect(|_| wake.armed()),
        }
    }
}

/// Loses every seventh wake.
#[derive(Default)]
struct Forgetful(EventWake, AtomicU32);

impl Wake for Forgetful {
    fn wake(&self) {
        if self.1.fetch_add(1, Ordering::Relaxed) % 7 != 6 {
            self.0.wake();
        }
    }
    fn clear(&self) {
        self.0.clear();
    }
}

impl Breakable for Forgetful {
    fn inner(&self) -> &EventWake {
        &self.0
    }
}

/// Remembers what came before it was armed.
#[derive(Default)]
struct Eager(EventWake, AtomicBool);

impl Wake for Eager {
    fn wake(&self) {
        self.1.store(true, Ordering::Relaxed);
        self.0.wake();
    }
    fn clear(&self) {
        self.0.clear();
    }
}

impl Breakable for Eager {
    fn inner(&self) -> &EventWake {
        &self.0
    }
    fn armed(&self) {
        if self.1.load(Ordering::Relaxed) {
            self.0.wake();
        }
    }
}

/// Is never quiet again.
#[derive(Default)]
struct Sticky(EventWake);

impl Wake for Sticky {
    fn wake(&self) {
        self.0.wake();
    }
    fn clear(&self) {}
}

impl Breakable for Sticky {
    fn inner(&self) -> &EventWake {
        &self.0
    }
}

/// Does nothing at all.
#[derive(Default)]
struct Dead(EventWake);

impl Wake for Dead {
    fn wake(&self) {}
    fn clear(&self) {}
}

impl Breakable for Dead {
    fn inner(&self) -> &EventWake {
        &self.0
    }
}

/// A lock that does not lock.
#[derive(Default)]
struct Open;

// SAFETY: there is none: it breaks the contract. The kit uses no queue with a lock that it has found
// out, and what it looks at until then is atomic.
unsafe impl RawLock for Open {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        f()
    }
}

/// A lock that is of no use after a panic.
#[derive(Default)]
struct Poisoned(StdLock, AtomicBool);

// SAFETY: it excludes as the lock inside does; that it panics later breaks no memory.
unsafe impl RawLock for Poisoned {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        self.0.with(|| {
            assert!(!self.1.swap(true, Ordering::SeqCst), "poisoned");
            let result = f();
            self.1.store(false, Ordering::SeqCst);
            result
        })
    }
}

/// Operations with this lock and this wake.
struct Ops<L, W>(PhantomData<(L, W)>);

impl<L: RawLock, W: Wake> SystemOps for Ops<L, W> {
    type Lock = L;
    type Wake = W;
}

/// Operations that forget the lock.
struct Lockless;

impl SystemOps for Lockless {
    type Lock = StdLock;
    type Wake = EventWake;

    fn attach<R>(_: &StdLock, helper: Unlocked<'_, R>) -> Linked<R> {
        // SAFETY: there is none: nobody holds the lock. In the kit's check nobody else is in the queue.
        unsafe { helper.run() }
    }
}

struct Workshop<O>(Fault, PhantomData<O>);

impl<O> Rig for Workshop<O> {
    type Platform = Real;

    fn platform(&mut self) -> Real {
        let memory = Box::leak(Box::new(PollStorage::<8>::new()));
        let mut linux = Linux::new(UnixPoll::new(memory)).expect("a platform");
        let start = linux.now();
        Real { linux, fault: self.0, start }
    }

    fn patience(&self) -> Duration {
        // A lost wake is noticed when this is over.
        Duration::from_millis(if self.0 == Fault::None { 300 } else { 5_000 })
    }

    fn stopwatch(&mut self) -> Option<Duration> {
        Some(threads::stopwatch())
    }
}

impl<O> SharedRig for Workshop<O>
where
    O: SystemOps<Lock: Sync + Default, Wake: Breakable>,
{
    type Ops = O;

    fn lock(&mut self) -> O::Lock {
        O::Lock::default()
    }

    fn wake(&mut self) -> O::Wake {
        O::Wake::default()
    }

    fn beside(&mut self, there: &(dyn Fn() + Sync), here: &mut dyn FnMut()) -> bool {
        threads::beside(there, here)
    }

    fn catch(&mut self, f: &mut dyn FnMut()) -> bool {
        threads::catch(f)
    }
}

fn report_of<O>(fault: Fault) -> Report
where
    O: SystemOps<Lock: Sync + Default, Wake: Breakable>,
{
    check(&mut Workshop::<O>(fault, PhantomData))
}

#[track_caller]
fn assert_found(report: &Report, promise: Promise) {
    let found = report.finding(promise).is_some_and(|finding| finding.is_broken());
    assert!(found, "{promise} is broken, which was not found\n{report}");
}

#[test]
fn a_lock_that_does_not_lock_is_found() {
    let report = report_of::<Ops<Open, EventWake>>(Fault::None);
    assert_found(&report, Promise::LockExcludes);
    let queue = report.finding(Promise::AttachRuns).expect("it was considered");
    assert!(!queue.is_broken(), "the queue is left alone\n{report}");
}

#[test]
fn a_lock_that_a_panic_breaks_is_found() {
    assert_found(&report_of::<Ops<Poisoned, EventWake>>(Fault::None), Promise::LockSurvivesPanic);
}

#[test]
fn an_attach_that_forgets_the_lock_is_found() {
    assert_found(&report_of::<Lockless>(Fault::None), Promise::AttachLocks);
}

#[test]
fn a_wake_that_is_lost_now_and_then_is_found() {
    let report = report_of::<Ops<StdLock, Forgetful>>(Fault::None);
    assert_found(&report, Promise::WakeEndsWait);
}

#[test]
fn a_wake_that_is_always_lost_is_found() {
    let report = report_of::<Ops<StdLock, Dead>>(Fault::None);
    assert_found(&report, Promise::WakeNotForgotten);
    assert_found(&report, Promise::AttachRuns);
}

#[test]
fn a_wake_from_before_the_arming_is_found() {
    assert_found(&report_of::<Ops<StdLock, Eager>>(Fault::None), Promise::WakeUnarmed);
}

#[test]
fn a_wake_that_cannot_be_cleared_is_found() {
    assert_found(&report_of::<Ops<StdLock, Sticky>>(Fault::None), Promise::WakeCleared);
}

#[test]
fn faults_of_real_time_are_found() {
    for (fault, promise) in [
        (Fault::ClockTooFast, Promise::ClockRuns),
        (Fault::ClockTooSlow, Promise::ClockRuns),
        (Fault::TimersEarly, Promise::ClockRuns),
        (Fault::TimersEarly, Promise::TimerNotEarly),
        (Fault::ArmsTwice, Promise::WakeArmedOnce),
    ] {
        assert_found(&report_of::<Ops<StdLock, EventWake>>(fault), promise);
    }
}

/// What is found above is found because of the fault: one is found, and nothing else.
#[test]
fn nothing_else_is_found() {
    let report = report_of::<Ops<StdLock, EventWake>>(Fault::ArmsTwice);
    let broken: Vec<_> = report.broken().collect();
    assert_eq!(broken, [Promise::WakeArmedOnce], "\n{report}");
}
