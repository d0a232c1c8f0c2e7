//! What only a program may do that was allowed to: the clock, and restarting.

use bringup_core::error::ErrorKind;
use bringup_core::platform::{Adjust, LeapSecond, Platform, PlatformError, Reboot};

use super::{
    Authority, Checked, Finding, Promise, Report, Rig, broken, ensure, failed, run, unchecked,
};

pub(super) fn all<R: Rig>(rig: &mut R, report: &mut Report) {
    run(rig, report, Promise::ClockGuarded, clock);
    run(rig, report, Promise::RebootGuarded, reboot);
}

fn refused<E: PlatformError, T>(result: Result<T, E>, done: &'static str) -> Checked {
    match result.map_err(|error| error.kind()) {
        Err(ErrorKind::PermissionDenied | ErrorKind::Unsupported) => Ok(()),
        Err(kind) => Err(Finding::Failed("it was not refused for want of permission", kind)),
        Ok(_) => Err(broken(done)),
    }
}

const STEP_NS: i64 = 10_000_000_000;

fn clock<R: Rig>(rig: &mut R) -> Checked {
    let mut platform = rig.platform();
    if rig.clock() == Authority::Refused {
        // By nothing: a port that does it all the same has done no harm.
        for adjust in [Adjust::Step { offset_ns: 0 }, Adjust::Slew { offset_ns: 0 }] {
            refused(platform.set_clock(adjust), "the clock was changed, which was not allowed")?;
        }
        refused(platform.clock_rate(0), "the clock's rate was changed, which was not allowed")?;
        let leap = platform.clock_leap(LeapSecond::None);
        refused(leap, "the clock was told of leap seconds, which was not allowed")?;
        let unknown = platform.clock_synchronised(None);
        return refused(unknown, "the clock was said to be wrong, which was not allowed");
    }
    let slack_ns = i64::try_from(rig.patience().as_micros()).unwrap_or(i64::MAX) * 1_000;
    let (before, utc) = (platform.now(), platform.utc());
    let step = Adjust::Step { offset_ns: STEP_NS };
    platform.set_clock(step).map_err(failed("a step was refused, though it was allowed"))?;
    let (moved_ns, passed) = (platform.utc().nanos_since(utc), platform.now().since(before));
    let back = Adjust::Step { offset_ns: -STEP_NS };
    platform.set_clock(back).map_err(failed("the step back was refused"))?;
    ensure((moved_ns - STEP_NS).abs() < slack_ns, "the wall clock is not where it was set")?;
    ensure(passed < rig.patience(), "the monotonic clock follows the wall clock")
}

fn reboot<R: Rig>(rig: &mut R) -> Checked {
    if rig.reboot() == Authority::Granted {
        return Err(unchecked("it is allowed, and nobody would be left to tell"));
    }
    let mut platform = rig.platform();
    refused(platform.reboot(Reboot::Requested), "it came back and said nothing")
}
