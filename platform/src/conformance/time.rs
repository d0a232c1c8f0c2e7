//! The clock, and waiting.

use bringup_core::platform::Platform;
use bringup_core::poll::Poll;
use bringup_core::time::Duration;

use super::{
    Checked, Finding, NO_TIME, Promise, Report, Rig, STANDSTILL, broken, ensure, needed, run,
    unchecked,
};

/// How often a wait may end early: for signals, or for a clock that is a little slow.
const MAX_ROUNDS: u32 = 4;

/// Spans to be waited for; some are no whole milliseconds.
const SPANS: [Duration; 5] = [
    Duration::from_micros(100),
    Duration::from_micros(900),
    Duration::from_micros(1_500),
    Duration::from_micros(2_700),
    Duration::from_micros(10_000),
];

/// How often the clock is read.
const READINGS: u32 = 10_000;

pub(super) fn all<R: Rig>(rig: &mut R, report: &mut Report) {
    run(rig, report, Promise::ClockMonotonic, monotonic);
    run(rig, report, Promise::ClockRuns, runs);
    run(rig, report, Promise::ClockCountsSuspend, counts_suspend);
    run(rig, report, Promise::WaitEnds, wait_ends);
    run(rig, report, Promise::WaitSleeps, wait_sleeps);
}

/// Waits for a time, in as many waits as it takes; how many that were.
fn sleep<P: Platform>(platform: &mut P, span: Duration) -> Result<u32, Finding> {
    let deadline = platform.now() + span;
    for round in 1..STANDSTILL {
        platform.wait(Some(deadline)).map_err(needed("a wait failed"))?;
        while platform.poller().next_ready().is_some() {}
        if platform.now() >= deadline {
            return Ok(round);
        }
    }
    Err(NO_TIME)
}

fn monotonic<R: Rig>(rig: &mut R) -> Checked {
    let mut platform = rig.platform();
    let mut last = platform.now();
    for reading in 0..READINGS {
        if reading % (READINGS / 8) == 0 {
            platform
                .wait(Some(last + Duration::from_micros(300)))
                .map_err(needed("a wait failed"))?;
        }
        let now = platform.now();
        ensure(now >= last, "a reading was earlier than the one before")?;
        last = now;
    }
    Ok(())
}

fn runs<R: Rig>(rig: &mut R) -> Checked {
    const SPAN: Duration = Duration::from_millis(40);
    // Whoever shares the processor may come between two readings, but not every time.
    const TRIES: u32 = 5;
    let mut platform = rig.platform();
    for _ in 0..TRIES {
        let (outer, start) = (rig.stopwatch(), platform.now());
        sleep(&mut platform, SPAN)?;
        let passed = platform.now().since(start);
        let Some((before, after)) = outer.zip(rig.stopwatch()) else { return Ok(()) };
        // The stopwatch was read outside of the clock: it must have gone at least as far.
        let really = after - before;
        ensure(passed <= really + really / 50 + Duration::from_millis(1), "the clock is too fast")?;
        if passed + passed / 2 >= really {
            return Ok(());
        }
    }
    Err(broken("the clock is too slow"))
}

fn counts_suspend<R: Rig>(rig: &mut R) -> Checked {
    const SPAN: Duration = Duration::from_secs(3_600);
    let mut platform = rig.platform();
    let before = platform.now();
    if !rig.suspend(&mut platform, SPAN) {
        return Err(unchecked("this machine cannot be suspended for a test"));
    }
    let counted = platform.now().since(before) >= SPAN;
    match (counted, rig.counts_suspend()) {
        (false, true) => Err(broken("it says that it counts suspend, and does not")),
        (true, false) => Err(broken("it says that it does not count suspend, and does")),
        _ => Ok(()),
    }
}

fn wait_ends<R: Rig>(rig: &mut R) -> Checked {
    let mut platform = rig.platform();
    for span in SPANS {
        let deadline = platform.now() + span;
        sleep(&mut platform, span)?;
        let late = platform.now().since(deadline);
        ensure(late < rig.patience(), "a wait went on long after its deadline")?;
    }
    // A deadline that has passed is no reason to wait.
    let before = platform.now();
    platform.wait(Some(before)).map_err(needed("a wait failed"))?;
    ensure(platform.now().since(before) < rig.patience(), "it waited for what had passed")
}

fn wait_sleeps<R: Rig>(rig: &mut R) -> Checked {
    let mut platform = rig.platform();
    for span in SPANS {
        let rounds = sleep(&mut platform, span)?;
        ensure(rounds <= MAX_ROUNDS, "waits end too early, again and again: the loop would spin")?;
    }
    Ok(())
}
