//! Builds the changed crate, and runs its tests with one change on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::change::Changed;

/// How long the tests may take beyond what they take unchanged, times that and seconds of the processor.
const PATIENCE: (u32, Duration) = (4, Duration::from_secs(2));
/// Who notices a change that survives.
const NOBODY: &str = "NOBODY";
/// When tests that do not use the processor are waiting for what never comes.
const ASLEEP: Duration = Duration::from_secs(60);

fn cargo(work: &Path, arguments: &[&str]) -> (bool, Vec<Value>) {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).args(["--quiet", "--message-format", "json"]).current_dir(work);
    command.env("CARGO_TARGET_DIR", work.join("../../../target"));
    let output = command.stderr(Stdio::inherit()).output().expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    (output.status.success(), lines.collect())
}

/// Takes back what the compiler refuses, until it refuses nothing.
pub(crate) fn until_it_builds(work: &Path, name: &str, changed: &mut Changed) {
    let package = format!("bringup-{name}");
    // Others have constants that are made of this crate's functions.
    let packages = ["-p", &package, "-p", "bringup-fuzz", "-p", "bringup-tests"];
    for round in 1.. {
        changed.write();
        let (is_good, messages) =
            cargo(work, &[&["check", "--lib", "--tests"][..], &packages].concat());
        if is_good {
            return;
        }
        let mut is_any = false;
        for message in messages.iter().map(|message| &message["message"]) {
            let text = message["message"].as_str().unwrap_or("");
            if message["level"] != "error" {
                continue;
            }
            let spans = message["spans"].as_array().map_or(&[][..], |spans| spans);
            for span in spans.iter().filter(|span| span["is_primary"] == true) {
                let number = |field: &str| {
                    span[field].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0)
                };
                let at = number("byte_start")..number("byte_end");
                let file = Path::new(span["file_name"].as_str().unwrap_or(""));
                is_any |= changed.refuse(file, &at, text);
            }
        }
        if !is_any {
            for message in &messages {
                eprintln!("{}", message["message"]["rendered"].as_str().unwrap_or(""));
            }
            panic!("the compiler refuses what is not changed");
        }
        eprintln!("round {round}: {} changes are refused", changed.dropped());
    }
}

/// A program of tests, and what is asked of it.
pub(crate) struct Tests {
    what: &'static str,
    program: PathBuf,
    folder: PathBuf,
    arguments: &'static [&'static str],
    /// What it takes of the processor with nothing changed.
    cost: Duration,
}

fn programs(messages: &[Value], name: &str) -> Option<PathBuf> {
    messages.iter().find_map(|message| {
        let is_it = message["target"]["name"] == name && message["profile"]["test"] == true;
        message["executable"].as_str().filter(|_| is_it).map(PathBuf::from)
    })
}

/// Builds a program of tests, and runs it once.
fn program(
    work: &Path,
    what: &'static str,
    target: &[&str],
    name: &str,
    arguments: &'static [&'static str],
) -> Tests {
    let (is_good, messages) = cargo(work, &[&["test", "--no-run"], target].concat());
    assert!(is_good, "{what} are built");
    let program = programs(&messages, name).expect("a program of tests");
    let mut tests =
        Tests { what, program, folder: work.to_owned(), arguments, cost: Duration::ZERO };
    match run(&tests, None, Duration::from_secs(600)) {
        End::Passed(cost) => tests.cost = cost,
        other => panic!("{what}, with nothing changed: {other:?}"),
    }
    eprintln!("{what}: {:.1} s of the processor", tests.cost.as_secs_f64());
    tests
}

/// All that may notice, the cheapest first.
pub(crate) fn build(work: &Path, name: &str, with_simulator: bool) -> Vec<Tests> {
    let package = format!("bringup-{name}");
    let own = package.replace('-', "_");
    let mut all = vec![program(work, "its own tests", &["-p", &package, "--lib"], &own, &[])];
    if name != "system" {
        let target = ["-p", "bringup-fuzz", "--test", "replay"];
        all.push(program(work, "the corpora", &target, "replay", &["every_property"]));
    }
    if with_simulator || name == "system" {
        let target = ["-p", "bringup-tests", "--test", "simulator"];
        all.push(program(work, "the simulator", &target, "simulator", &[]));
    }
    all
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Passed(Duration),
    Failed,
    Endless,
}

/// Runs them, with no more of the processor than `limit`.
fn run(tests: &Tests, mutant: Option<usize>, limit: Duration) -> End {
    let mut command = Command::new("bash");
    let script = "ulimit -St \"$1\"; ulimit -v 8000000; shift; \"$@\" >/dev/null 2>&1; code=$?; times >&2; exit $code";
    command
        .args(["-c", script, "mutant"])
        .arg(limit.as_secs().max(1).to_string())
        .arg(&tests.program);
    command.args(tests.arguments).current_dir(&tests.folder).env("RUST_BACKTRACE", "0");
    command.env("BRINGUP_SEEDS", "20");
    if let Some(number) = mutant {
        command.env("BRINGUP_MUTANT", number.to_string());
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().expect("bash runs");
    let begin = Instant::now();
    let asleep = ASLEEP.max(limit * 20);
    loop {
        if child.try_wait().expect("a child").is_some() {
            break;
        }
        if begin.elapsed() > asleep {
            let group = libc::pid_t::try_from(child.id()).expect("an id");
            // SAFETY: the group is the child's, which has not been waited for to its end.
            unsafe { libc::kill(-group, libc::SIGKILL) };
            let _ = child.wait();
            return End::Endless;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().expect("it has ended");
    match output.status.code() {
        Some(0) => End::Passed(used(&String::from_utf8_lossy(&output.stderr))),
        // SIGXCPU and SIGKILL, as bash says it.
        Some(152 | 137) | None => End::Endless,
        Some(_) => End::Failed,
    }
}

/// What the children have used, by bash's `times`: the second line, as `0m1.234s 0m0.010s`.
fn used(times: &str) -> Duration {
    let seconds = |word: &str| {
        let (minutes, seconds) = word.trim_end_matches('s').split_once('m').unwrap_or(("0", "0"));
        minutes.parse().unwrap_or(0.0) * 60.0 + seconds.parse().unwrap_or(0.0)
    };
    let line = times.lines().last().unwrap_or("");
    Duration::from_secs_f64(line.split_whitespace().map(seconds).sum())
}

/// Puts the changes of a crate in an order in which the first of them are a sample, the same each time.
fn order(number: usize) -> u64 {
    let mut z =
        u64::try_from(number).expect("few").wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z ^ (z >> 27)
}

/// Which of them are tried.
pub(crate) struct Sample {
    /// At most so many.
    pub(crate) most: usize,
    /// In so much time.
    pub(crate) time: Duration,
    /// Those in whose line of the report this is.
    pub(crate) only: String,
}

pub(crate) fn all(tests: &[Tests], changed: &Changed, sample: &Sample) -> ExitCode {
    let mut mutants: Vec<_> = changed.mutants().collect();
    let found = mutants.len();
    mutants.sort_by_key(|(number, ..)| order(*number));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let begin = Instant::now();
    for (number, file, mutant) in mutants {
        let shown = format!("{file}:{} {}: {}", mutant.line, mutant.function, mutant.what);
        let tried: usize = counts.values().sum();
        if tried == sample.most || begin.elapsed() > sample.time {
            break;
        }
        if !shown.contains(&sample.only) {
            continue;
        }
        let noticed = tests.iter().find_map(|tests| {
            let limit = tests.cost * PATIENCE.0 + PATIENCE.1;
            match run(tests, Some(number), limit) {
                End::Passed(_) => None,
                End::Failed => Some(tests.what),
                End::Endless => Some("no end"),
            }
        });
        let by = noticed.unwrap_or(NOBODY);
        println!("{by:<14} {shown}");
        *counts.entry(by).or_default() += 1;
    }
    let tried: usize = counts.values().sum();
    println!(
        "{found} changes, and {} that the compiler refuses; {tried} tried; noticed by {counts:?}",
        changed.dropped()
    );
    ExitCode::from(u8::from(counts.contains_key(NOBODY)))
}
