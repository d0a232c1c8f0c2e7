//! Builds the changed crate, and runs its tests with one change on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::change::Changed;
use crate::find::Mutant;

/// How long tests may take of the processor: so many times what they take unchanged, and a little.
const PATIENCE: (u32, Duration) = (5, Duration::from_millis(500));
/// And with nothing changed.
const MOST: Duration = Duration::from_secs(600);
/// Pages of memory, of 4 KiB.
const MEMORY: u64 = 500_000;
/// Who notices a change that survives.
const NOBODY: &str = "NOBODY";
/// Tests of which no thread has run for so long wait for what never comes.
const ASLEEP: Duration = Duration::from_secs(5);

fn cargo(work: &Path, arguments: &[&str]) -> (bool, Vec<Value>) {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).args(["--quiet", "--message-format", "json"]).current_dir(work);
    command.env("CARGO_TARGET_DIR", work.join("../build"));
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

/// A program of tests.
pub(crate) struct Tests {
    what: &'static str,
    /// The crate that is changed.
    package: String,
    program: PathBuf,
    folder: PathBuf,
    each: Vec<Test>,
}

struct Test {
    name: String,
    /// What it takes of the processor with nothing changed.
    cost: Duration,
    /// The changes that it comes by.
    reaches: BTreeSet<usize>,
}

fn programs(messages: &[Value], name: &str) -> Option<PathBuf> {
    messages.iter().find_map(|message| {
        let is_it = message["target"]["name"] == name && message["profile"]["test"] == true;
        message["executable"].as_str().filter(|_| is_it).map(PathBuf::from)
    })
}

/// Builds a program of tests, and runs each of its tests once.
fn program(
    work: &Path,
    package: &str,
    what: &'static str,
    target: &[&str],
    name: &str,
    only: Option<&'static str>,
) -> Tests {
    let (is_good, messages) = cargo(work, &[&["test", "--no-run"], target].concat());
    assert!(is_good, "{what} are built");
    let program = programs(&messages, name).expect("a program of tests");
    let (package, folder) = (package.to_owned(), work.to_owned());
    let mut tests = Tests { what, package, program, folder, each: Vec::new() };
    let list = Command::new(&tests.program).args(["--list", "--format", "terse"]).output();
    let list = String::from_utf8(list.expect("it runs").stdout).expect("names");
    let names = list.lines().filter_map(|line| line.strip_suffix(": test"));
    let reached = work.join("reached");
    for name in names.filter(|name| only.is_none_or(|only| name.contains(only))) {
        let _ = std::fs::remove_file(&reached);
        let cost = match run(&tests, &[name], Switch::Record(&reached), MOST) {
            End::Passed(cost) => cost,
            other => panic!("{name}, with nothing changed: {other:?}"),
        };
        let numbers = std::fs::read(&reached).unwrap_or_default();
        let numbers = numbers.chunks_exact(4).map(|n| [n[0], n[1], n[2], n[3]]);
        let reaches = numbers.filter_map(|n| usize::try_from(u32::from_le_bytes(n)).ok()).collect();
        tests.each.push(Test { name: name.to_owned(), cost, reaches });
    }
    // The cheapest are asked first.
    tests.each.sort_by_key(|test| test.cost);
    let cost: Duration = tests.each.iter().map(|test| test.cost).sum();
    eprintln!("{what}: {} in {:.1} s of the processor", tests.each.len(), cost.as_secs_f64());
    tests
}

/// All that may notice, the cheapest first.
pub(crate) fn build(work: &Path, name: &str, with_simulator: bool) -> Vec<Tests> {
    let package = format!("bringup-{name}");
    let own = package.replace('-', "_");
    let mut all =
        vec![program(work, &package, "its own tests", &["-p", &package, "--lib"], &own, None)];
    if name != "system" {
        let target = ["-p", "bringup-fuzz", "--test", "replay"];
        all.push(program(work, &package, "the corpora", &target, "replay", Some("every_property")));
    }
    if with_simulator || name == "system" {
        let target = ["-p", "bringup-tests", "--test", "simulator"];
        all.push(program(work, &package, "the simulator", &target, "simulator", None));
    }
    all
}

impl Tests {
    /// Whether one of those that reach the change notices it.
    fn notice(&self, mutant: usize) -> Option<&'static str> {
        let reach: Vec<_> =
            self.each.iter().filter(|test| test.reaches.contains(&mutant)).collect();
        // A few at first: most changes are noticed by the first test that comes by.
        let (some, more) = reach.split_at(reach.len().min(3));
        for part in [some, more].into_iter().filter(|part| !part.is_empty()) {
            let names: Vec<_> = part.iter().map(|test| &*test.name).collect();
            let cost: Duration = part.iter().map(|test| test.cost).sum();
            let limit = cost * PATIENCE.0 + PATIENCE.1;
            match run(self, &names, Switch::On(mutant), limit) {
                End::Passed(_) => {}
                End::Failed => return Some(self.what),
                End::Endless => return Some("no end"),
            }
        }
        None
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Passed(Duration),
    Failed,
    Endless,
}

enum Switch<'a> {
    On(usize),
    Record(&'a Path),
}

/// Runs some tests, with no more of the processor than `limit`.
fn run(tests: &Tests, names: &[&str], switch: Switch<'_>, limit: Duration) -> End {
    let mut command = Command::new(&tests.program);
    command.arg("--exact").args(names).current_dir(&tests.folder);
    command.env("RUST_BACKTRACE", "0").env("BRINGUP_SEEDS", "10");
    match switch {
        Switch::On(number) => {
            command.env(format!("MUTANT_OF_{}", tests.package), number.to_string())
        }
        Switch::Record(file) => command.env(format!("REACHED_IN_{}", tests.package), file),
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let before = used();
    let mut child = command.spawn().expect("the tests run");
    let mut awake = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return if status.success() { End::Passed(used() - before) } else { End::Failed };
        }
        if !is_asleep(child.id()) {
            awake = Instant::now();
        }
        let is_over =
            used_by(child.id()).is_some_and(|(time, memory)| time > limit || memory > MEMORY);
        if is_over || awake.elapsed() > ASLEEP {
            let _ = child.kill();
            let _ = child.wait();
            return End::Endless;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What a process has used of the processor, and how many pages of memory it has.
fn used_by(process: u32) -> Option<(Duration, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    // utime, stime and rss of proc(5), of which this begins with the third.
    let field = |number: usize| rest.split(' ').nth(number - 3)?.parse::<u64>().ok();
    Some((Duration::from_millis((field(14)? + field(15)?) * 10), field(24)?))
}

/// Whether every thread of a process waits for something.
fn is_asleep(process: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return false };
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('S'))
    })
}

/// What the children that have ended have used of the processor.
fn used() -> Duration {
    let mut usage = std::mem::MaybeUninit::zeroed();
    // SAFETY: the kernel writes a `rusage`, for which there is room.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) };
    // SAFETY: zeros are a good one as well, if it has failed.
    let usage: libc::rusage = unsafe { usage.assume_init() };
    [usage.ru_utime, usage.ru_stime]
        .into_iter()
        .map(|time| {
            Duration::new(time.tv_sec.try_into().unwrap_or(0), 0)
                + Duration::from_micros(time.tv_usec.try_into().unwrap_or(0))
        })
        .sum()
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
    /// Not so many of the first.
    pub(crate) after: usize,
    /// At most so many.
    pub(crate) most: usize,
    /// In so much time.
    pub(crate) time: Duration,
    /// Those in whose line of the report this is.
    pub(crate) only: String,
    /// And none but these, if they are given: the keys of lines of a report.
    pub(crate) again: Option<BTreeSet<String>>,
}

/// A line of a report without the number of its line, which changes.
fn key(shown: &str) -> Option<String> {
    let (file, rest) = shown.split_once(':')?;
    let (_, rest) = rest.split_once(' ')?;
    Some(format!("{file} {rest}"))
}

/// What nobody noticed, in the lines of a report.
pub(crate) fn survivors(report: &str) -> BTreeSet<String> {
    let survived = report.lines().filter_map(|line| line.strip_prefix(NOBODY));
    survived.filter_map(|line| key(line.trim().split("; no test").next()?)).collect()
}

pub(crate) fn all(tests: &[Tests], changed: &Changed, sample: &Sample) -> ExitCode {
    let shown = |(number, file, mutant): (usize, &str, &Mutant)| {
        (number, format!("{file}:{} {}: {}", mutant.line, mutant.function, mutant.what))
    };
    let is_again = |shown: &str| {
        let again = sample.again.as_ref();
        again.is_none_or(|again| key(shown).is_some_and(|key| again.contains(&key)))
    };
    let all = changed.mutants().map(shown);
    let all = all.filter(|(_, shown)| shown.contains(&sample.only) && is_again(shown));
    let is_reached =
        |number: &usize| tests.iter().flat_map(|t| &t.each).any(|t| t.reaches.contains(number));
    let (mut reached, unreached): (Vec<_>, Vec<_>) =
        all.partition(|(number, _)| is_reached(number));
    for (_, shown) in &unreached {
        println!("{NOBODY:<14} {shown}; no test comes by");
    }
    reached.sort_by_key(|(number, _)| order(*number));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let begin = Instant::now();
    for (tried, (number, shown)) in reached.iter().skip(sample.after).enumerate() {
        if tried == sample.most || begin.elapsed() > sample.time {
            break;
        }
        let by = tests.iter().find_map(|tests| tests.notice(*number)).unwrap_or(NOBODY);
        println!("{by:<14} {shown}");
        *counts.entry(by).or_default() += 1;
    }
    println!(
        "{} changes that a test comes by, {} more that none does, {} that the compiler refuses; \
         tried: {}; noticed by {counts:?}",
        reached.len(),
        unreached.len(),
        changed.dropped(),
        counts.values().sum::<usize>()
    );
    ExitCode::from(u8::from(!unreached.is_empty() || counts.contains_key(NOBODY)))
}
