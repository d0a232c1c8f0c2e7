//! A test in namespaces of its own, and hosts in it.
//!
//! [`within`] starts the test's own program again, through unshare(1), asking libtest for this one
//! test. So each test is the init of a namespace of process ids: whatever it started dies with it,
//! also when it is killed. A process of its own is also the only way into a user namespace, which
//! admits single-threaded processes only.

use std::any::type_name;
use std::cell::RefCell;
use std::env;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::eventually;
use super::program::{Outcome, die_with_the_caller, find, libraries, run};

/// Set in the environment of the test's second process.
const INSIDE: &str = "BRINGUP_LAB_INSIDE";
/// A whole test, from its first host to its last word.
const DEADLINE: Duration = Duration::from_secs(120);
/// On a tmpfs that only the test sees.
pub(super) const FILES: &str = "/run/lab";
/// What no process in a laboratory has: the right to set the clock, or to reboot.
const WITHOUT: &str = "-sys_time,-sys_boot";

/// Runs the body of a `#[test]` in a laboratory of its own; skips it, and says so, where that isn't
/// possible.
///
/// `programs` are the servers that it needs. The body must be a closure written in the test
/// function itself: its type's name is the test's name.
#[track_caller]
pub fn within<F: FnOnce(&Lab)>(programs: &[&str], body: F) {
    within_time(DEADLINE, programs, body);
}

/// The same for a test that takes longer than others may.
#[track_caller]
pub fn within_time<F: FnOnce(&Lab)>(deadline: Duration, programs: &[&str], body: F) {
    if env::var_os(INSIDE).is_some() {
        body(&Lab::enter());
        return;
    }
    let test = type_name::<F>().trim_end_matches("::{{closure}}");
    let test = test.split_once("::").map_or(test, |(_crate, rest)| rest);
    let missing = programs.iter().find(|program| find(program).is_none());
    let ready = match missing {
        Some(program) => Err(format!("{program} is not installed: tests/run does that")),
        None => prefix().clone(),
    };
    match ready {
        Ok(prefix) => again(&prefix, test, deadline),
        Err(why) => skip(test, &why),
    }
}

/// Runs one test of this program a second time, inside.
#[track_caller]
fn again(prefix: &[&str], test: &str, deadline: Duration) {
    let mut command = Command::new(prefix[0]);
    let own = env::current_exe().expect("a test knows its own path");
    command.args(&prefix[1..]).arg(own).args([
        test,
        "--exact",
        "--nocapture",
        "--include-ignored",
        "--test-threads=1",
    ]);
    let outcome = run(command.env(INSIDE, "1"), deadline);
    // A filter that matches no test ends well, too: that must not pass for a success.
    let ran = outcome.stdout.contains("test result: ok. 1 passed;");
    assert!(outcome.code == 0 && ran, "{test} failed in its laboratory\n{outcome}");
    for line in outcome.stderr.lines().filter(|line| line.starts_with(MEASURED)) {
        // As in `skip`.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// How a line begins that is shown although its test passes.
const MEASURED: &str = "lab: measured ";

/// Shows what a test in a laboratory has measured, and does not judge.
pub fn measured(what: &str) {
    eprintln!("{MEASURED}{what}");
}

/// Starts this very program again with these arguments in a laboratory of its own, and waits for its end. For
/// programs that are not tests; they ask [`Lab::here`] where they are.
///
/// Fails with the reason where namespaces are forbidden.
#[track_caller]
pub fn again_with(arguments: &[&str], deadline: Duration) -> Result<Outcome, String> {
    let prefix = prefix().clone()?;
    let own = env::current_exe().expect("a program knows its own path");
    let mut command = Command::new(prefix[0]);
    command.args(&prefix[1..]).arg(own).args(arguments);
    Ok(run(command.env(INSIDE, "1"), deadline))
}

/// The command that puts another into fresh namespaces without the right to set the clock, or why
/// there is none.
fn prefix() -> &'static Result<Vec<&'static str>, String> {
    static PREFIX: OnceLock<Result<Vec<&str>, String>> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let mut whys = Vec::new();
        for user in [&[][..], &["--user", "--map-root-user"][..]] {
            let mut prefix = vec!["unshare"];
            prefix.extend(user);
            prefix.extend(["--mount", "--net", "--pid", "--fork", "--kill-child"]);
            prefix.extend(["setpriv", "--bounding-set", WITHOUT, "--inh-caps", WITHOUT]);
            let mut probe = Command::new(prefix[0]);
            probe
                .args(&prefix[1..])
                .args(["ip", "link", "add", "probe0", "type", "veth", "peer", "probe1"]);
            let probe = run(with_daemons_in_path(&mut probe), DEADLINE);
            if probe.code == 0 {
                return Ok(prefix);
            }
            whys.push(probe.stderr.trim().replace('\n', "; "));
        }
        Err(format!("no namespaces here ({})", whys.join("; ")))
    })
}

/// `ip` is in /usr/sbin, which is not in an ordinary user's PATH.
fn with_daemons_in_path(command: &mut Command) -> &mut Command {
    let path = env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"))
}

#[track_caller]
fn skip(test: &str, why: &str) {
    static SKIPPED: AtomicUsize = AtomicUsize::new(0);
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    // Not eprintln: libtest would keep it to itself.
    let _ = writeln!(io::stderr(), "lab: skipped {test} ({count} in this program): {why}");
    assert!(env::var("CI").as_deref() != Ok("true"), "a skip is a failure in CI: {why}");
}

/// The inside of one test's namespaces. Its own network namespace is where the ends of wires with
/// faults meet.
#[derive(Debug)]
pub struct Lab {
    /// The file that /etc/resolv.conf stands for.
    resolv_conf: CString,
    wires: RefCell<usize>,
}

impl Lab {
    /// The laboratory that [`again_with`] has started this program in, if it has.
    #[must_use]
    pub fn here() -> Option<Self> {
        env::var_os(INSIDE).map(|_| Self::enter())
    }

    fn enter() -> Self {
        let resolv_conf = fs::canonicalize("/etc/resolv.conf")
            .expect("/etc/resolv.conf, to be covered by another");
        mount(c"tmpfs", c"/run", Some(c"tmpfs"), 0).expect("a tmpfs of our own on /run");
        fs::create_dir(FILES).expect("the tmpfs is empty");
        // Where it is a link into /run, the tmpfs has just hidden its target.
        fs::create_dir_all(resolv_conf.parent().expect("a file is in a folder"))
            .expect("a folder to mount in");
        if !resolv_conf.exists() {
            fs::write(&resolv_conf, "").expect("a file to mount on");
        }
        // Each host covers it once more. This one is for what a test runs outside of its hosts, and
        // for mistakes.
        let own = Path::new(FILES).join("resolv.conf");
        fs::write(&own, "# of the laboratory\n").expect("the tmpfs is ours");
        mount(&c_path(&own), &c_path(&resolv_conf), None, libc::MS_BIND)
            .expect("a mount namespace of our own");
        Self { resolv_conf: c_path(&resolv_conf), wires: RefCell::new(0) }
    }

    /// A new host: a network namespace with nothing but a loopback interface, a folder and an
    /// /etc/resolv.conf.
    #[must_use]
    pub fn host(&self, name: &str) -> Host {
        ip(&["netns", "add", name]);
        let namespace =
            File::open(Path::new("/run/netns").join(name)).expect("ip has just made it");
        let folder = Path::new(FILES).join(name);
        fs::create_dir(&folder).expect("one host of a name");
        fs::write(folder.join("resolv.conf"), format!("# of host {name}\n"))
            .expect("our own folder");
        let host = Host {
            name: name.to_owned(),
            namespace,
            folder,
            resolv_conf: self.resolv_conf.clone(),
        };
        host.ip("link set lo up");
        host
    }

    /// Joins two hosts by a veth pair whose ends get these names, and waits until both have a
    /// carrier.
    pub fn cable(&self, a: (&Host, &str), b: (&Host, &str)) {
        let ((host_a, if_a), (host_b, if_b)) = (a, b);
        ip(&[
            "link",
            "add",
            if_a,
            "netns",
            &host_a.name,
            "type",
            "veth",
            "peer",
            if_b,
            "netns",
            &host_b.name,
        ]);
        for (host, interface) in [a, b] {
            host.up(interface);
        }
        for (host, interface) in [a, b] {
            host.wait_for_carrier(interface);
        }
    }

    /// Two interfaces in the laboratory's own namespace, each the far end of one host's new
    /// interface.
    pub(crate) fn open_ends(&self, a: (&Host, &str), b: (&Host, &str)) -> [String; 2] {
        [a, b].map(|(host, interface)| {
            let number = self.wires.replace_with(|n| *n + 1);
            let end = format!("end{number}");
            ip(&["link", "add", &end, "type", "veth", "peer", interface, "netns", &host.name]);
            ip(&["link", "set", &end, "addrgenmode", "none", "promisc", "on", "up"]);
            host.up(interface);
            host.wait_for_carrier(interface);
            end
        })
    }
}

/// A host: a network namespace of its own.
#[derive(Debug)]
pub struct Host {
    name: String,
    namespace: File,
    folder: PathBuf,
    resolv_conf: CString,
}

impl Host {
    /// A folder of this host, for configurations and logs. It is gone with the test.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The number of its network namespace.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.namespace.metadata().expect("it is open").ino()
    }

    /// Runs ip(8) on this host, with arguments separated by spaces, and fails the test when that
    /// fails.
    #[track_caller]
    pub fn ip(&self, arguments: &str) -> String {
        let arguments: Vec<&str> =
            ["-n", &self.name].into_iter().chain(arguments.split_whitespace()).collect();
        ip(&arguments)
    }

    /// The answer of `ip -j` on this host: a list of objects.
    #[must_use]
    #[track_caller]
    pub fn ip_json(&self, arguments: &str) -> Vec<Value> {
        let text = self.ip(&format!("-j {arguments}"));
        // ip prints nothing at all for an empty list of routes.
        let text = if text.trim().is_empty() { "[]" } else { &text };
        serde_json::from_str(text).unwrap_or_else(|why| panic!("ip -j {arguments}: {why}: {text}"))
    }

    /// Runs a piece of the test on this host. Sockets that it opens stay on this host wherever they
    /// are used.
    pub fn enter<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        let fd = self.namespace.as_raw_fd();
        let inside = move || {
            set_network_namespace(fd).expect("the laboratory owns the namespace");
            body()
        };
        // A thread of its own: the caller stays where it is.
        let result = thread::scope(|scope| scope.spawn(inside).join());
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// A program that will run on this host, with the host's own /etc/resolv.conf, and no longer
    /// than the test.
    #[must_use]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let program = program.as_ref();
        let found = program.to_str().and_then(find).unwrap_or_else(|| program.to_owned());
        let mut command = Command::new(&found);
        command.envs(libraries(&found).map(|folders| ("LD_LIBRARY_PATH", folders)));
        let fd = self.namespace.as_raw_fd();
        let own = c_path(&self.folder.join("resolv.conf"));
        let machines = self.resolv_conf.clone();
        let enter = move || {
            set_network_namespace(fd)?;
            // SAFETY: unshare takes an integer and is async-signal-safe.
            if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
                return Err(io::Error::last_os_error());
            }
            mount(&own, &machines, None, libc::MS_BIND)
        };
        // SAFETY: `enter` is system calls on memory that was made before the fork.
        unsafe { command.pre_exec(enter) };
        die_with_the_caller(&mut command);
        with_daemons_in_path(&mut command).current_dir(&self.folder);
        command
    }

    fn up(&self, interface: &str) {
        // No link-local address, no router solicitations: only the frames of the test are on the
        // wire.
        self.ip(&format!("link set {interface} addrgenmode none up"));
    }

    /// A veth interface has no carrier for some milliseconds after its creation.
    fn wait_for_carrier(&self, interface: &str) {
        let what = format!("the carrier of {interface} on {}", self.name);
        let show = format!("link show dev {interface}");
        eventually(&what, || (self.ip_json(&show)[0]["operstate"] == "UP").then_some(()));
    }
}

#[track_caller]
fn ip(arguments: &[&str]) -> String {
    let outcome =
        run(with_daemons_in_path(&mut Command::new("ip")).args(arguments), super::PATIENCE);
    assert_eq!(outcome.code, 0, "ip {arguments:?}\n{outcome}");
    outcome.stdout
}

fn set_network_namespace(fd: i32) -> io::Result<()> {
    // SAFETY: setns takes two integers; `fd` is borrowed from an open `File` by both callers.
    let failed = unsafe { libc::setns(fd, libc::CLONE_NEWNET) } != 0;
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn mount(
    source: &std::ffi::CStr,
    target: &std::ffi::CStr,
    kind: Option<&std::ffi::CStr>,
    flags: libc::c_ulong,
) -> io::Result<()> {
    let kind = kind.map_or(std::ptr::null(), std::ffi::CStr::as_ptr);
    // SAFETY: three strings that end in NUL (or null, where the kernel reads none) and no data.
    let failed =
        unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind, flags, std::ptr::null()) }
            != 0;
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_encoded_bytes()).expect("a path has no NUL")
}
