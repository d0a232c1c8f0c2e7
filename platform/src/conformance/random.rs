//! Randomness: that it is none cannot be shown, but that it is broken can.

use bringup_core::client::Rng;

use super::{Checked, Promise, Report, Rig, ensure, run};

pub(super) fn all<R: Rig>(rig: &mut R, report: &mut Report) {
    run(rig, report, Promise::RandomDiffers, differs);
    run(rig, report, Promise::RandomFills, fills);
    run(rig, report, Promise::RandomAnew, anew);
}

/// Two equal numbers among these happen once in 2^51 runs.
const DRAWS: usize = 128;

fn differs<R: Rig>(rig: &mut R) -> Checked {
    let mut platform = rig.platform();
    let mut seen = [0; DRAWS];
    for at in 0..DRAWS {
        let draw = platform.u64();
        ensure(!seen.iter().take(at).any(|one| *one == draw), "a number was drawn twice")?;
        if let Some(place) = seen.get_mut(at) {
            *place = draw;
        }
    }
    Ok(())
}

/// As long as anything that is filled in one piece, and longer than what some sources give at once.
const LENGTH: usize = 300;

fn fills<R: Rig>(rig: &mut R) -> Checked {
    let mut platform = rig.platform();
    let mut all = [0; LENGTH];
    // That a byte stays zero through all of these happens once in 2^256.
    for _ in 0..32 {
        let mut bytes = [0; LENGTH];
        platform.fill(&mut bytes);
        for (of_all, byte) in all.iter_mut().zip(bytes) {
            *of_all |= byte;
        }
    }
    platform.fill(&mut []);
    ensure(all.iter().all(|byte| *byte != 0), "a byte of the buffer was left as it was")
}

fn anew<R: Rig>(rig: &mut R) -> Checked {
    let mut draw = || {
        let mut bytes = [0; 16];
        rig.platform().fill(&mut bytes);
        bytes
    };
    let (first, second) = (draw(), draw());
    ensure(first != second, "the second start began with the numbers of the first")
}
