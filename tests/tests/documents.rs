//! Every command in every document is run, on a network where it works, and shows what is shown there.
//!
//! A document's blocks of `sh` hold commands, a line each (`\` goes on); those of `console` have them
//! after `$ `, and what they print below: `…` stands for anything, digits for any number. What
//! follows `sh` or `console` may be `exit=N`, the exit code of each command, and `stays`, for one that
//! goes on until the document ends or the next such block comes. `up` without a limit of its own is
//! ended when it is operational. Commands that no test can run are listed below, with what runs them
//! instead.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bringup_tests::lab::servers::{self, LOCAL, Server};
use bringup_tests::lab::{self, Host, Lab, bringup, eventually, run};

const DEADLINE: Duration = Duration::from_secs(60);

/// Names that documents use, and a neighbour through which the device reaches the server all the time.
const ZONE: &str = "\
host-record=example.com,192.0.2.80,2001:db8::80,300
host-record=host.example,192.0.2.81
mx-host=example.com,mail.example.com,10
txt-record=example.com,\"v=spf1 -all\"
host-record=pool.ntp.org,10.99.0.1
host-record=time.example,10.99.0.1
address=/nowhere.example/
local=/example/
";

/// How commands begin that are not run here; what runs them instead, and how that is written there.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("cargo run --release -- demo", ".ci/run", "cargo run --quiet --release -- demo"),
    ("tests/run", ".ci/run", "tests/run"),
    ("fuzz/run", ".ci/run", "fuzz/run"),
    // Minutes of measuring; people do that.
    ("benches/run", "docs/benchmarks.md", "benches/run"),
    ("cargo install --path", "tests/tests/packaging.rs", r#""--path", "helpers/command""#),
    ("helpers/command/packaging/deb", "tests/tests/packaging.rs", r#"packaging().join("deb")"#),
    // The template is a crate of the workspace, and its test is run with the others.
    ("cp -r platform/template", "Cargo.toml", "platform/template"),
    ("cargo test -- --nocapture", "Cargo.toml", "platform/template"),
];

/// Documents whose commands are run here.
const RUN: &[&str] = &[
    "README.md",
    "docs/tutorial.md",
    "docs/from-udhcpc-and-friends.md",
    "docs/troubleshooting.md",
];

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("tests/ is in the workspace").to_owned()
}

/// A command of a document.
#[derive(Debug, Default)]
struct Step {
    line: usize,
    command: String,
    /// What it must print, if the document says.
    shows: Option<Vec<String>>,
    exit: i32,
    stays: bool,
}

/// The commands of a document, in order.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut block: Option<(bool, i32, bool)> = None;
    let mut continues = false;
    for (line, text) in (1..).zip(text.lines()) {
        if let Some(info) = text.trim_start().strip_prefix("```") {
            let mut words = info.split_whitespace();
            block = match (&block, words.next()) {
                (None, Some(kind @ ("sh" | "console"))) => {
                    let (mut exit, mut stays) = (0, false);
                    for word in words {
                        match word.strip_prefix("exit=") {
                            Some(code) => exit = code.parse().expect("an exit code"),
                            None if word == "stays" => stays = true,
                            None => panic!("line {line}: what is `{word}`?"),
                        }
                    }
                    Some((kind == "console", exit, stays))
                }
                (None, _) => Some((true, -1, false)),
                (Some(_), _) => None,
            };
            continue;
        }
        let Some((shows, exit, stays)) = block.filter(|(_, exit, _)| *exit >= 0) else { continue };
        let command = match text.strip_prefix("$ ") {
            Some(command) if shows => command,
            _ if continues => text,
            _ if shows => {
                if let Some(Step { shows: Some(lines), .. }) = steps.last_mut() {
                    lines.push(text.to_owned());
                }
                continue;
            }
            _ if text.trim().is_empty() || text.starts_with('#') => continue,
            _ => text,
        };
        let (rest, goes_on) =
            command.strip_suffix('\\').map_or((command, false), |rest| (rest, true));
        // A comment behind a command is the reader's.
        let rest = rest.split("  #").next().unwrap_or(rest).trim();
        match steps.last_mut().filter(|_| continues) {
            Some(step) => step.command = format!("{} {rest}", step.command),
            None => steps.push(Step {
                line,
                command: rest.to_owned(),
                shows: shows.then(Vec::new),
                exit,
                stays,
            }),
        }
        continues = goes_on;
    }
    steps
}

/// A line with what differs from run to run taken out: numbers, and how far they push the rest.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    for c in line.chars() {
        let c = if c.is_ascii_digit() { '0' } else { c };
        let repeated = (c == '0' || c.is_whitespace()) && shape.ends_with(c);
        if !repeated {
            shape.push(if c.is_whitespace() { ' ' } else { c });
        }
    }
    shape.trim().to_owned()
}

/// Whether a line is what a document shows, `…` being anything.
fn matches(shown: &str, line: &str) -> bool {
    let (shown, line) = (shape(shown), shape(line));
    let mut pieces = shown.split('…');
    let first = pieces.next().unwrap_or("");
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut exact = true;
    for piece in pieces {
        exact = piece.is_empty();
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.is_empty() || (exact && shown.contains('…'))
}

/// Fails unless the output has all lines that are shown, in their order.
fn assert_shows(step: &Step, output: &str) {
    let mut lines = output.lines();
    for shown in step.shows.iter().flatten().filter(|shown| !shown.trim().is_empty()) {
        assert!(
            lines.any(|line| matches(shown, line)),
            "line {}: `{}` does not show `{shown}`:\n{output}",
            step.line,
            step.command
        );
    }
}

fn is_elsewhere(command: &str) -> bool {
    ELSEWHERE.iter().any(|(known, ..)| command.starts_with(known))
}

/// A device with an interface that is to be brought up, and another way to the same server.
struct Place {
    device: Host,
    _servers: [Server; 2],
}

impl Place {
    fn new(lab: &Lab) -> Self {
        let (server, device) = (lab.host("server"), lab.host("device"));
        lab.cable((&server, servers_interface()), (&device, "eth0"));
        lab.cable((&server, "s1"), (&device, "wlan0"));
        // Where nobody serves.
        lab.cable((&server, "s2"), (&device, "eth1"));
        server.ip("addr add 10.99.0.1/24 dev s0");
        server.ip("addr add 10.98.0.1/24 dev s1");
        device.ip("addr add 10.98.0.40/24 dev wlan0");
        device.ip("route add default via 10.98.0.1 dev wlan0 metric 4000");
        let servers = [servers::dnsmasq(&server, ZONE), servers::chronyd(&server, LOCAL)];
        let folder = device.folder();
        fs::write(folder.join("resolv.conf"), "nameserver 10.99.0.1\n").expect("our own folder");
        // What people type is found: the program, and a sudo for somebody who is root already.
        fs::create_dir(folder.join("bin")).expect("our own folder");
        symlink(bringup(), folder.join("bin/bringup")).expect("our own folder");
        let sudo = folder.join("bin/sudo");
        fs::write(&sudo, "#!/bin/sh\nexec \"$@\"\n").expect("our own folder");
        fs::set_permissions(&sudo, fs::Permissions::from_mode(0o755)).expect("our own file");
        // A message that somebody captured: a DISCOVER.
        fs::write(folder.join("packet.bin"), discover()).expect("our own folder");
        Self { device, _servers: servers }
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = self.device.command("bash");
        let path = std::env::var("PATH").unwrap_or_default();
        let bin = self.device.folder().join("bin");
        shell.env("PATH", format!("{}:{path}:/usr/sbin:/sbin", bin.display()));
        shell.args(["-c", command]);
        shell
    }

    /// Starts a command that goes on, and waits until it is operational.
    fn start(&self, step: &Step) -> Child {
        let log = self.device.folder().join(format!("log-{}", step.line));
        let file = File::create(&log).expect("our own folder");
        // In the shell's place, so that a signal meets it.
        let command = format!("exec {}", step.command.trim_start_matches("sudo "));
        let mut shell = self.shell(&command);
        let errors = file.try_clone().expect("a second descriptor");
        let child = shell.stdout(file).stderr(errors).stdin(Stdio::null()).spawn();
        let child = child.expect("bash starts");
        eventually(&step.command, || read(&log).contains("OPERATIONAL").then_some(()));
        assert_shows(step, &read(&log));
        child
    }

    fn run(&self, text: &str) {
        let mut staying: Option<Child> = None;
        for step in steps(text) {
            if is_elsewhere(&step.command) {
                continue;
            }
            if step.stays || goes_on(&step.command) {
                end(staying.take());
                let child = self.start(&step);
                if step.stays {
                    staying = Some(child);
                } else {
                    end(Some(child));
                }
                continue;
            }
            let outcome = run(&mut self.shell(&step.command), DEADLINE);
            let Step { line, command, exit, .. } = &step;
            assert_eq!(outcome.code, *exit, "line {line}: `{command}`\n{outcome}");
            assert_shows(&step, &[&*outcome.stdout, &*outcome.stderr].concat());
        }
        end(staying);
    }
}

const fn servers_interface() -> &'static str {
    bringup_tests::lab::network::SERVER_INTERFACE
}

fn read(log: &Path) -> String {
    let mut text = String::new();
    let _ = File::open(log).and_then(|mut file| file.read_to_string(&mut text));
    text
}

/// `bringup up` without a limit stays.
fn goes_on(command: &str) -> bool {
    let up = command.trim_start_matches("sudo ").starts_with("bringup up ");
    up && !["--once", "--dry-run", "--deadline", "--help"]
        .iter()
        .any(|limit| command.contains(limit))
}

/// Ends a command as its user would, with SIGTERM; it must take that well.
fn end(child: Option<Child>) {
    let Some(mut child) = child else { return };
    let id = i32::try_from(child.id()).expect("a process id");
    // SAFETY: kill takes two integers; the child has not been waited for, so that the id is its own.
    assert_eq!(unsafe { libc::kill(id, libc::SIGTERM) }, 0);
    let status = child.wait().expect("it is our child");
    assert!(status.success(), "{status}");
}

fn discover() -> Vec<u8> {
    use bringup::core::client::Mac;
    use bringup::dhcp::code::MessageType;
    use bringup::dhcp::message::{Header, MessageWriter};
    let mut buffer = [0; 576];
    let header = Header::request(Mac([2, 0, 0, 0, 0, 1]), 0x2a);
    let writer = MessageWriter::new(&mut buffer, &header, MessageType::Discover).expect("room");
    writer.finish().expect("room").to_vec()
}

fn text(document: &str) -> String {
    fs::read_to_string(root().join(document)).unwrap_or_else(|why| panic!("{document}: {why}"))
}

#[test]
fn readme() {
    lab::within(&["dnsmasq", "chronyd"], |lab| Place::new(lab).run(&text("README.md")));
}

#[test]
fn tutorial() {
    lab::within(&["dnsmasq", "chronyd"], |lab| Place::new(lab).run(&text("docs/tutorial.md")));
}

#[test]
fn from_udhcpc_and_friends() {
    let document = "docs/from-udhcpc-and-friends.md";
    lab::within(&["dnsmasq", "chronyd"], |lab| Place::new(lab).run(&text(document)));
}

#[test]
fn troubleshooting() {
    let document = "docs/troubleshooting.md";
    lab::within(&["dnsmasq", "chronyd"], |lab| Place::new(lab).run(&text(document)));
}

#[test]
fn no_document_has_a_command_that_nobody_runs() {
    let listed = Command::new("git").current_dir(root()).args(["ls-files", "*.md"]).output();
    let listed = listed.expect("git").stdout;
    let documents = String::from_utf8(listed).expect("names in UTF-8");
    assert!(documents.lines().count() > 5, "{documents}");
    for document in documents.lines().filter(|document| !RUN.contains(document)) {
        for step in steps(&text(document)) {
            let Step { line, command, .. } = &step;
            assert!(is_elsewhere(command), "{document}, line {line}: nobody runs `{command}`");
        }
    }
    for (command, by, there) in ELSEWHERE {
        assert!(text(by).contains(there), "{by} does not run `{command}`");
    }
}

#[test]
fn blocks_are_read_as_they_are_written() {
    let document = "\
```sh
# a comment
one --flag   # and another
two \\
  goes on
```
```text
not this
```
```console exit=2
$ three
shows this
```
```sh stays
four
```
";
    let steps = steps(document);
    let commands: Vec<&str> = steps.iter().map(|step| step.command.as_str()).collect();
    assert_eq!(commands, ["one --flag", "two goes on", "three", "four"]);
    assert_eq!((steps[2].exit, steps[3].stays), (2, true));
    assert_eq!(steps[2].shows.as_deref(), Some(&["shows this".to_owned()][..]));
    for (shown, line, expected) in [
        ("  0.003  state DHCP", "  12.25  state    DHCP", true),
        ("state DHCP", "state DHCP (was X)", false),
        ("state DHCP …", "state DHCP (was X)", true),
        ("…was…", "state DHCP (was X)", true),
        ("… was", "state DHCP (was X)", false),
    ] {
        assert_eq!(matches(shown, line), expected, "{shown} / {line}");
    }
}
