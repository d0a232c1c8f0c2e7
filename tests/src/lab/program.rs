//! Programs that are run to their end, with a deadline, and what they said.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// What a program did from its start to its end.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code, or -1 when a signal ended it.
    pub code: i32,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
    /// From start to end.
    pub elapsed: Duration,
}

impl Outcome {
    /// Standard output as one JSON object per line; panics at a line that isn't one.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let parse = |line: &str| match serde_json::from_str::<Value>(line) {
            Ok(event) if event.is_object() => event,
            other => panic!("not a JSON object: {line}\n{other:?}\n{self}"),
        };
        self.stdout.lines().map(parse).collect()
    }

    /// The events with this name, in their order.
    #[must_use]
    pub fn all(&self, event: &str) -> Vec<Value> {
        self.events().into_iter().filter(|e| e["event"] == event).collect()
    }

    /// The first event with this name; panics, showing all that the program said, where there is
    /// none.
    #[must_use]
    #[track_caller]
    pub fn first(&self, event: &str) -> Value {
        self.all(event).into_iter().next().unwrap_or_else(|| panic!("no `{event}`\n{self}"))
    }

    /// The last event with this name; panics, showing all that the program said, where there is
    /// none.
    #[must_use]
    #[track_caller]
    pub fn last(&self, event: &str) -> Value {
        self.all(event).pop().unwrap_or_else(|| panic!("no `{event}`\n{self}"))
    }

    /// The states that were entered, in their order.
    #[must_use]
    pub fn states(&self) -> Vec<String> {
        let to = |e: &Value| e["to"].as_str().unwrap_or_else(|| panic!("`to` in {e}")).to_owned();
        self.all("state").iter().map(to).collect()
    }

    /// Panics, showing all that the program said, unless it ended with this exit code.
    #[track_caller]
    pub fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "exit code\n{self}");
        self
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, stdout, stderr, elapsed } = self;
        write!(f, "exit code {code} after {elapsed:?}\n--- stdout\n{stdout}--- stderr\n{stderr}---")
    }
}

/// Runs a program to its end. One that isn't done at the deadline is killed, and the test fails.
#[track_caller]
pub fn run(command: &mut Command, deadline: Duration) -> Outcome {
    let start = Instant::now();
    die_with_the_caller(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|why| panic!("cannot start {command:?}: {why}"));
    let (stdout, stderr) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let status = wait(&mut child, deadline);
    let elapsed = start.elapsed();
    let killed = status.is_none();
    let status = status.unwrap_or_else(|| {
        child.kill().expect("it is our child");
        child.wait().expect("it is our child")
    });
    let outcome = Outcome {
        code: status.code().unwrap_or(-1),
        stdout: stdout.join().expect("the reader does not panic"),
        stderr: stderr.join().expect("the reader does not panic"),
        elapsed,
    };
    assert!(!killed, "{command:?} was not done after {deadline:?}\n{outcome}");
    if let Some(signal) = status.signal() {
        panic!("{command:?} was ended by signal {signal}\n{outcome}");
    }
    outcome
}

/// The kernel kills the child when the thread that started it is gone, however it went.
pub(crate) fn die_with_the_caller(command: &mut Command) {
    let die = || {
        // SAFETY: prctl with integer arguments; async-signal-safe.
        let failed = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0;
        if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: `die` is one system call and takes no lock and no memory.
    unsafe { command.pre_exec(die) };
}

fn reader<R: Read + Send + 'static>(pipe: Option<R>) -> thread::JoinHandle<String> {
    let mut pipe = pipe.expect("it was asked for");
    thread::spawn(move || {
        let mut all = Vec::new();
        // What came before an error is still worth showing.
        let _ = pipe.read_to_end(&mut all);
        String::from_utf8_lossy(&all).into_owned()
    })
}

/// The status of a child that ends before the deadline.
fn wait(child: &mut Child, deadline: Duration) -> Option<ExitStatus> {
    // SAFETY: pidfd_open takes two integers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0).expect("pidfd_open, Linux 5.3");
    // SAFETY: `fd` is a new descriptor, and nobody else has it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(fd) };
    if !readable(&[&pidfd], Some(deadline))[0] {
        return None;
    }
    Some(child.wait().expect("it is our child"))
}

/// Waits until one of the descriptors is readable or hung up, and says which are.
pub(crate) fn readable<const N: usize>(
    fds: &[&dyn AsRawFd; N],
    timeout: Option<Duration>,
) -> [bool; N] {
    let mut set =
        fds.map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 });
    let timeout = timeout.map(|t| libc::timespec {
        tv_sec: libc::time_t::try_from(t.as_secs()).expect("a test's deadline"),
        tv_nsec: t.subsec_nanos().into(),
    });
    let timeout: *const libc::timespec = timeout.as_ref().map_or(std::ptr::null(), |t| t);
    let length = libc::nfds_t::try_from(N).expect("a handful");
    // SAFETY: `set` has `length` entries; `timeout` is null or points to the timespec above.
    let ready = unsafe { libc::ppoll(set.as_mut_ptr(), length, timeout, std::ptr::null()) };
    assert!(ready >= 0, "ppoll: {}", io::Error::last_os_error());
    set.map(|entry| entry.revents != 0)
}

/// Where a program is: in PATH, where daemons are, or where `tests/run` unpacks those that it
/// doesn't install.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/sbin", "/lib/systemd"].map(PathBuf::from));
    for package in entries(&unpacked_folder()) {
        let within = ["usr/sbin", "sbin", "usr/bin", "bin", "lib/systemd"];
        folders.extend(within.map(|folder| package.join(folder)));
    }
    folders.into_iter().map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// What `LD_LIBRARY_PATH` must be for a program that was unpacked: its libraries were unpacked with
/// it. `None` for a program that is installed.
#[must_use]
pub fn libraries(program: &Path) -> Option<OsString> {
    let below = program.strip_prefix(unpacked_folder()).ok()?;
    let package = unpacked_folder().join(below.components().next()?);
    // "usr/lib/x86_64-linux-gnu" and its like on other machines; systemd's own are one folder below.
    let folders = ["usr/lib", "lib"].map(|lib| entries(&package.join(lib))).concat();
    let below = folders.iter().map(|folder| folder.join("systemd")).filter(|f| f.is_dir());
    env::join_paths(below.chain(folders.iter().cloned())).ok()
}

/// Where `tests/run` unpacks what it doesn't install, a folder for each package: `target/lab`.
fn unpacked_folder() -> PathBuf {
    profile_folder().parent().expect("`target` is above `debug`").join("lab")
}

/// What is in a folder, sorted; nothing where there is no folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The program under test: built beside this one, or what `BRINGUP_PROGRAM` names, such as a script
/// that runs another machine's in an emulator.
#[must_use]
pub fn bringup() -> PathBuf {
    if let Some(program) = env::var_os("BRINGUP_PROGRAM") {
        return program.into();
    }
    let file = profile_folder().join("bringup");
    assert!(
        file.is_file(),
        "{} is missing: run `cargo build -p bringup` first, or tests/run",
        file.display()
    );
    file
}

/// An example of the crate `bringup`, built beside the program under test.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    let file = profile_folder().join("examples").join(name);
    assert!(
        file.is_file(),
        "{} is missing: run `cargo build -p bringup --examples` first, or tests/run",
        file.display()
    );
    file
}

/// `bringup-tiny`, `bringup-tiny-static` or `bringup-lm3s6965`, as the `build` beside its source leaves it in the
/// target folder.
#[must_use]
pub fn built(name: &str) -> PathBuf {
    let file = profile_folder().parent().expect("`target` is above `debug`").join(name);
    assert!(
        file.is_file(),
        "{} is missing: run the `build` beside its source first, or tests/run",
        file.display()
    );
    file
}

/// `target/debug` or its like: the folder above `deps`, where this test is.
fn profile_folder() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own path");
    let folder =
        test.ancestors().skip(1).find(|folder| folder.file_name() != Some(OsStr::new("deps")));
    folder.map(Path::to_owned).expect("a program is in a folder")
}

/// The end of a log, as much as helps in a failure message.
pub(crate) fn tail(log: &Path) -> String {
    let mut text = String::new();
    let read = File::open(log).and_then(|mut file| file.read_to_string(&mut text));
    match read {
        Ok(_) => text
            .lines()
            .rev()
            .take(40)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
            .join("\n"),
        Err(why) => format!("({}: {why})", log.display()),
    }
}
