//! Would a test notice? Every operator, guard, arm and body of a crate is changed, one at a time, and the crate's
//! tests are run. All changes stand in one build behind a switch, so that none is compiled by itself:
//!
//!     cargo run -p bringup-tests --example mutants -- CRATE [OPTIONS]
//!
//! CRATE is core, dhcp, dns, ntp or system. They are tried in an order of chance that is the same each time:
//! the first N (`--most N`), or those of N minutes (`--minutes N`), are a sample, with which `--after N` goes on.
//! `--only TEXT` tries those in whose line of the report the text is, `--again FILE` those that nobody noticed in
//! an earlier report. Of the crate's tests those are run that come by the change; what survives them meets the
//! fuzzers' corpora and, with `--simulator`, that. Each change is printed with who noticed it, those that no test
//! comes by first, and at the end how many there were.
//!
//! Changed are: operators (`==`, `<`, `&&`, `+` …), `!` left out, guards that always or never hold, arms that
//! are left out where a `_` stands in for them, and functions that return at once, with a value that is empty
//! or 0 or 1. Left out are tests, `fmt`, what constants are made of, and what the compiler refuses.

mod change;
mod find;
mod judge;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;
use std::{env, fs};

use change::Changed;
use judge::Sample;

/// Where each crate lies.
const CRATES: [(&str, &str); 5] = [
    ("core", "core"),
    ("dhcp", "helpers/dhcp"),
    ("dns", "helpers/dns"),
    ("ntp", "helpers/ntp"),
    ("system", "helpers/system"),
];

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("tests/ is in the workspace").to_owned()
}

/// The whole tree, to be broken.
fn copy_to(folder: &Path) {
    // Files that are there keep their age, so that cargo builds what has changed.
    let script = "mkdir -p \"$1\" && git ls-files -z | tar --null -T - -c | tar -x -C \"$1\"";
    let status =
        Command::new("bash").args(["-c", script, "copy"]).arg(folder).current_dir(root()).status();
    assert!(status.expect("bash runs").success(), "the tree can be copied");
}

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let (mut name, mut with_simulator) = (None, false);
    let mut sample = Sample {
        after: 0,
        most: usize::MAX,
        time: Duration::MAX,
        only: String::new(),
        again: None,
    };
    let number = |text: Option<String>| text.and_then(|n| n.parse().ok()).expect("a number");
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--after" => sample.after = number(arguments.next()),
            "--most" => sample.most = number(arguments.next()),
            "--minutes" => {
                let minutes = u32::try_from(number(arguments.next())).expect("a few");
                sample.time = Duration::from_secs(60) * minutes;
            }
            "--only" => sample.only = arguments.next().expect("a text"),
            "--again" => {
                let report = fs::read_to_string(arguments.next().expect("a file"));
                sample.again = Some(judge::survivors(&report.expect("a report")));
            }
            "--simulator" => with_simulator = true,
            _ => name = Some(argument),
        }
    }
    let found = CRATES.iter().find(|(known, _)| Some(*known) == name.as_deref());
    let Some((name, folder)) = found else {
        eprintln!("mutants CRATE, which is one of {:?}", CRATES.map(|(name, _)| name));
        return ExitCode::from(64);
    };
    let work = root().join("target/mutants").join(name);
    let _ = fs::remove_dir_all(&work);
    copy_to(&work);
    if *name == "core" {
        // It compiles the core's timers as its own.
        let fuzz = work.join("fuzz/src/lib.rs");
        let text = fs::read_to_string(&fuzz).expect("a source");
        fs::write(fuzz, text + "pub use bringup_core::is_on;\n").expect("the copy can be written");
    }
    let mut changed = Changed::of_crate(&work, &work.join(folder));
    judge::until_it_builds(&work, name, &mut changed);
    let tests = judge::build(&work, name, with_simulator);
    judge::all(&tests, &changed, &sample)
}
