//! The lock, the wake, and the queue on top of them.
//!
//! What two contexts tell each other here is atomic, so that a lock that does not lock is found out
//! and not undefined behaviour. The queue itself is only tried when the lock was found good. Loads and
//! stores are all that is asked of atomics: there are machines that have no more.

use core::marker::PhantomData;
use core::pin::{Pin, pin};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bringup_core::attach::{AttachQueue, Linked, Node, Outcome, Unlocked};
use bringup_core::error::ErrorKind;
use bringup_core::event_loop::{Application, EventLoop, LoopStorage, Ready, Registrar};
use bringup_core::platform::{Arm, Platform, PlatformError, RawLock, SystemOps, Wake};
use bringup_core::poll::{Interest, Poll, Token};
use bringup_core::time::{Duration, Instant};
use bringup_core::timer::{Owner, TimerKey};

use super::{
    Checked, Finding, Promise, Report, STANDSTILL, SharedRig, broken, ensure, late, needed, run,
    unchecked, wait_for,
};

pub(super) fn all<R: SharedRig>(rig: &mut R, report: &mut Report) {
    run(rig, report, Promise::LockExcludes, lock_excludes);
    let locks = report.finding(Promise::LockExcludes).is_some_and(|found| !found.is_broken());
    run(rig, report, Promise::LockSurvivesPanic, lock_survives_panic);
    run(rig, report, Promise::AttachLocks, if locks { attach_locks } else { no_lock });
    run(rig, report, Promise::WakeUnarmed, wake_unarmed);
    run(rig, report, Promise::WakeArmedOnce, wake_armed_once);
    run(rig, report, Promise::WakeNotForgotten, wake_not_forgotten);
    run(rig, report, Promise::WakeCleared, wake_cleared);
    run(rig, report, Promise::WakeEndsWait, wake_ends_wait);
    run(rig, report, Promise::TimerNotEarly, timer_not_early);
    run(rig, report, Promise::AttachRuns, if locks { attach_runs } else { no_lock });
}

const ALONE: Finding = unchecked("the rig has no second context");

fn no_lock<R>(_: &mut R) -> Checked {
    Err(unchecked("the lock does not lock: the queue would be destroyed"))
}

fn spin(times: u32) {
    for _ in 0..times {
        core::hint::spin_loop();
    }
}

/// How often the other context is to have been there.
const VISITS: u32 = 200;

fn lock_excludes<R: SharedRig>(rig: &mut R) -> Checked {
    let (lock, mut platform) = (rig.lock(), rig.platform());
    let deadline = late(rig, &mut platform);
    let (inside, met) = (AtomicBool::new(false), AtomicBool::new(false));
    let visits = AtomicU32::new(0);
    let enter = || {
        lock.with(|| {
            if inside.load(Ordering::SeqCst) {
                met.store(true, Ordering::SeqCst);
            }
            inside.store(true, Ordering::SeqCst);
            // Most of the time is spent here, so that whoever gets in gets in now.
            spin(64);
            inside.store(false, Ordering::SeqCst);
        });
    };
    let there = || {
        (0..8).for_each(|_| enter());
        visits.store(visits.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
    };
    let ran = rig.beside(&there, &mut || {
        while visits.load(Ordering::SeqCst) < VISITS
            && !met.load(Ordering::SeqCst)
            && platform.now() < deadline
        {
            (0..8).for_each(|_| enter());
        }
    });
    ensure(!met.load(Ordering::SeqCst), "two contexts were inside at once")?;
    match (ran, visits.load(Ordering::SeqCst)) {
        (true, 1..) => Ok(()),
        (true, 0) => Err(unchecked("the second context never ran")),
        (false, _) => Err(ALONE),
    }
}

fn lock_survives_panic<R: SharedRig>(rig: &mut R) -> Checked {
    let lock = rig.lock();
    if !rig.catch(&mut || lock.with(|| panic!("on purpose: the conformance kit"))) {
        return Err(unchecked("a panic ends the program"));
    }
    let mut entered = false;
    let panicked = rig.catch(&mut || entered = lock.with(|| true));
    ensure(entered && !panicked, "it could not be taken any more")
}

/// Operations whose lock is somebody else's, so that others can hold it, too.
struct Lent<'a, O>(PhantomData<(&'a (), O)>);

struct LentLock<'a, L>(&'a L);

// SAFETY: it is the lock that was lent, and keeps its promises.
#[allow(unsafe_code, reason = "the contract of RawLock, passed on")]
unsafe impl<L: RawLock> RawLock for LentLock<'_, L> {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        self.0.with(f)
    }
}

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
    fn clear(&self) {}
}

impl<'a, O: SystemOps<Lock: 'a>> SystemOps for Lent<'a, O> {
    type Lock = LentLock<'a, O::Lock>;
    type Wake = NoWake;

    fn attach<R>(lock: &Self::Lock, helper: Unlocked<'_, R>) -> Linked<R> {
        O::attach(lock.0, helper)
    }
}

/// How long the other context holds the lock: some milliseconds.
const HOLD: u32 = 1_000_000;

fn attach_locks<R: SharedRig>(rig: &mut R) -> Checked {
    let (lock, mut platform) = (rig.lock(), rig.platform());
    let deadline = late(rig, &mut platform);
    let queue = AttachQueue::<Ran, R::Platform, Lent<'_, R::Ops>>::new(LentLock(&lock), NoWake);
    let node = pin!(Node::new(&queue));
    let [began, held, posted, through] = [const { AtomicBool::new(false) }; 4];
    let there = || {
        if began.load(Ordering::SeqCst) {
            return;
        }
        began.store(true, Ordering::SeqCst);
        lock.with(|| {
            held.store(true, Ordering::SeqCst);
            for _ in 0..HOLD {
                if posted.load(Ordering::SeqCst) {
                    through.store(true, Ordering::SeqCst);
                    break;
                }
                core::hint::spin_loop();
            }
            held.store(false, Ordering::SeqCst);
        });
    };
    let mut waited = false;
    let ran = rig.beside(&there, &mut || {
        while !held.load(Ordering::SeqCst) {
            if platform.now() >= deadline {
                return;
            }
        }
        waited = true;
        // The queue is empty and open.
        let _ = node.as_ref().post(None, |_: Outcome<'_, Ran, R::Platform>| {});
        posted.store(true, Ordering::SeqCst);
    });
    ensure(!through.load(Ordering::SeqCst), "it linked while somebody else held the lock")?;
    match (ran, waited) {
        (true, true) => Ok(()),
        (true, false) => Err(unchecked("the second context does not run at the same time")),
        (false, _) => Err(ALONE),
    }
}

type WakeOf<R> = <<R as SharedRig>::Ops as SystemOps>::Wake;

/// Arms a wake, and has its handle watched as the loop does.
fn arm<R: SharedRig>(platform: &mut R::Platform, wake: &WakeOf<R>) -> Checked {
    let handle = Arm::<R::Ops>::arm(platform, wake).map_err(needed("the wake was not armed"))?;
    let added = platform.poller().add(handle, Token::WAKE, Interest::READ);
    added.map_err(needed("the wake's handle cannot be watched"))
}

/// Whether a wake is noticed within a few milliseconds: long enough for one that has come already.
fn is_awake<P: Platform>(platform: &mut P) -> Result<bool, Finding> {
    let soon = platform.now() + Duration::from_millis(5);
    Ok(wait_for(platform, Token::WAKE, soon)?.is_some())
}

fn wake_unarmed<R: SharedRig>(rig: &mut R) -> Checked {
    let wake = rig.wake();
    wake.wake();
    wake.clear();
    wake.wake();
    let mut platform = rig.platform();
    arm::<R>(&mut platform, &wake)?;
    ensure(!is_awake(&mut platform)?, "a wake from before it was armed ended a wait")
}

fn wake_armed_once<R: SharedRig>(rig: &mut R) -> Checked {
    let (wake, mut platform) = (rig.wake(), rig.platform());
    arm::<R>(&mut platform, &wake)?;
    match Arm::<R::Ops>::arm(&mut platform, &wake).map_err(|error| error.kind()) {
        Err(ErrorKind::Exists) => Ok(()),
        Err(kind) => Err(Finding::Failed("the second arming was refused for another reason", kind)),
        Ok(_) => Err(broken("it was armed twice: a queue would serve two loops")),
    }
}

fn wake_not_forgotten<R: SharedRig>(rig: &mut R) -> Checked {
    let (wake, mut platform) = (rig.wake(), rig.platform());
    arm::<R>(&mut platform, &wake)?;
    // Twice: several are one.
    wake.wake();
    wake.wake();
    let deadline = late(rig, &mut platform);
    let ready = wait_for(&mut platform, Token::WAKE, deadline)?;
    ensure(ready.is_some_and(|ready| ready.readable), "a wake that came first was forgotten")
}

fn wake_cleared<R: SharedRig>(rig: &mut R) -> Checked {
    let (wake, mut platform) = (rig.wake(), rig.platform());
    arm::<R>(&mut platform, &wake)?;
    for _ in 0..3 {
        wake.wake();
        let deadline = late(rig, &mut platform);
        ensure(
            wait_for(&mut platform, Token::WAKE, deadline)?.is_some(),
            "a wake after a clear was forgotten",
        )?;
        wake.clear();
        ensure(!is_awake(&mut platform)?, "a wake that was cleared ended a wait")?;
    }
    Ok(())
}

/// How often the other context wakes, each time at another moment.
const WAKES: u32 = 50;

fn wake_ends_wait<R: SharedRig>(rig: &mut R) -> Checked {
    let (wake, mut platform) = (rig.wake(), rig.platform());
    arm::<R>(&mut platform, &wake)?;
    let patience = rig.patience();
    let (round, woken) = (AtomicU32::new(0), AtomicU32::new(0));
    let there = || {
        let now = round.load(Ordering::SeqCst);
        if now != woken.load(Ordering::SeqCst) {
            // Before the wait, into its beginning, or in the middle of it.
            spin(now % 8 * 300);
            woken.store(now, Ordering::SeqCst);
            wake.wake();
        }
    };
    let mut checked = Ok(());
    let ran = rig.beside(&there, &mut || {
        for now in 1..=WAKES {
            round.store(now, Ordering::SeqCst);
            let deadline = platform.now() + patience;
            checked = match wait_for(&mut platform, Token::WAKE, deadline) {
                Ok(Some(_)) => Ok(()),
                Ok(None) if woken.load(Ordering::SeqCst) != now => {
                    Err(unchecked("the second context did not run"))
                }
                Ok(None) => Err(broken("a wake was lost: the wait went on to its deadline")),
                Err(finding) => Err(finding),
            };
            if checked.is_err() {
                return;
            }
            wake.clear();
        }
    });
    if ran { checked } else { Err(ALONE) }
}

const TIMERS: usize = 6;

/// The kit as an application: what ran, and when.
#[derive(Default)]
struct Ran {
    timers: [Option<(TimerKey, Instant)>; TIMERS],
    fired: usize,
    early: bool,
    requests: u32,
}

impl<P: Platform> Application<P> for Ran {
    fn dispatch(&mut self, registrar: &mut Registrar<'_, P>, ready: Ready) {
        let Ready::Timer { key, .. } = ready else { return };
        let armed = self.timers.iter().flatten().find(|(of, _)| *of == key);
        if let Some((_, deadline)) = armed {
            self.early |= registrar.platform().now() < *deadline;
            self.fired += 1;
        }
    }
}

fn timer_not_early<R: SharedRig>(rig: &mut R) -> Checked {
    const LAST: Duration = Duration::from_millis(30);
    let queue = AttachQueue::<Ran, R::Platform, R::Ops>::new(rig.lock(), rig.wake());
    let (mut app, mut storage) = (Ran::default(), LoopStorage::<_, TIMERS, 1>::new());
    let made = EventLoop::new(rig.platform(), &mut storage, &queue);
    let mut event_loop = made.map_err(needed("no loop could be made"))?;
    let mut registrar = event_loop.registrar();
    let (began, start) = (rig.stopwatch(), registrar.platform().now());
    let spans_us = [30_000, 100, 9_900, 700, 4_300, 1_500];
    for (place, us) in app.timers.iter_mut().zip(spans_us) {
        let deadline = start + Duration::from_micros(us);
        let timer = registrar.add_timer(Owner::Application);
        let timer = timer.map_err(|_| broken("the loop has fewer timers than it was lent"))?;
        registrar.set_timer(timer, deadline);
        *place = Some((timer, deadline));
    }
    let patience = rig.patience();
    let mut turns = 0;
    while app.fired < TIMERS {
        turns += 1;
        ensure(turns < STANDSTILL, "timers were not fired at all")?;
        event_loop.turn(&mut app).map_err(needed("a turn failed"))?;
        let passed = event_loop.registrar().platform().now().since(start);
        ensure(passed < patience, "timers were not fired in time")?;
    }
    event_loop.shutdown(&mut app);
    ensure(!app.early, "a timer fired before its time")?;
    let Some((before, after)) = began.zip(rig.stopwatch()) else { return Ok(()) };
    ensure(after - before >= LAST - LAST / 50, "by the stopwatch a timer fired before its time")
}

/// How many requests are attached.
const REQUESTS: u32 = 50;

fn attach_runs<R: SharedRig>(rig: &mut R) -> Checked {
    let queue = AttachQueue::<Ran, R::Platform, R::Ops>::new(rig.lock(), rig.wake());
    let node = pin!(Node::new(&queue));
    let node: Pin<&Node<'_, _, _, _>> = node.as_ref();
    let (mut app, mut storage) = (Ran::default(), LoopStorage::<_, 1, 1>::new());
    let made = EventLoop::new(rig.platform(), &mut storage, &queue);
    let mut event_loop = made.map_err(needed("no loop could be made"))?;
    let (posted, busy) = (AtomicU32::new(0), AtomicU32::new(0));
    let there = || {
        let so_far = posted.load(Ordering::SeqCst);
        let count = |outcome: Outcome<'_, Ran, R::Platform>| {
            if let Outcome::Ready(app, _) = outcome {
                app.requests += 1;
            }
        };
        if so_far < REQUESTS {
            // Refused while the last one has not run.
            let counter = if node.post(None, count).is_ok() { &posted } else { &busy };
            counter.store(counter.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
        }
    };
    let patience = rig.patience();
    let mut checked = Ok(());
    let ran = rig.beside(&there, &mut || {
        let mut registrar = event_loop.registrar();
        let deadline = registrar.platform().now() + patience;
        let timer = registrar.add_timer(Owner::Application);
        // The end of a wait whose wake is lost.
        let armed = timer.is_ok_and(|timer| registrar.set_timer(timer, deadline));
        let mut turns = 0;
        while checked.is_ok() && armed && app.requests < REQUESTS && turns < STANDSTILL {
            turns += 1;
            checked = event_loop.turn(&mut app).map_err(needed("a turn failed"));
            if event_loop.registrar().now() >= deadline {
                checked = Err(broken("a request that was attached did not run at once"));
            }
        }
    });
    event_loop.shutdown(&mut app);
    if !ran {
        return Err(ALONE);
    }
    if checked.is_err() && busy.load(Ordering::SeqCst) < REQUESTS {
        return Err(unchecked("the second context did not run often enough"));
    }
    checked?;
    ensure(app.requests == REQUESTS, "a request ran more than once")
}
