//! The C example is compiled against the header, linked with either library, and run; under valgrind too.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use bringup::SystemState;
use bringup::core::time::Utc;
use bringup::demo::servers::{DnsServer, NtpServer, Zone};
use bringup_c::Code;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn serve(mut reply: impl FnMut(&[u8], &mut [u8]) -> Option<usize> + Send + 'static) -> String {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let (mut request, mut out) = ([0; 1500], [0; 1500]);
        while let Ok((length, from)) = socket.recv_from(&mut request) {
            if let Some(length) = reply(&request[..length], &mut out) {
                let _ = socket.send_to(&out[..length], from);
            }
        }
    });
    address.to_string()
}

fn servers() -> [String; 2] {
    let utc = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Utc::from_unix_nanos(since.as_nanos().try_into().unwrap())
    };
    let zone = DnsServer::new(Zone::demo(Ipv4Addr::LOCALHOST));
    let clock = NtpServer::new(0);
    [
        serve(move |request, out| zone.reply(request, out)),
        serve(move |request, out| clock.reply(request, utc(), utc(), out)),
    ]
}

/// The folder that has the libraries: cargo puts them beside the tests, or one above.
fn libraries() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let mut folders = test.ancestors().skip(1).take(2);
    let found = folders.find(|folder| folder.join("libbringup_c.a").is_file());
    found.expect("libbringup_c.a is built with this test").to_owned()
}

fn succeeded(command: &mut Command) -> Output {
    let outcome = command.output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
    assert!(outcome.status.success(), "{command:?}\n{outcome:?}");
    outcome
}

/// Compiles the example, with every warning an error, and links it with a library.
fn compiled(name: &str, link: &[&str]) -> PathBuf {
    let program = libraries().join(name);
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g"]);
    cc.arg("-I").arg(here("include")).arg(here("examples/example.c")).arg("-o").arg(&program);
    succeeded(cc.current_dir(libraries()).args(link));
    program
}

const STATIC: &[&str] = &["libbringup_c.a", "-lgcc_s", "-lpthread", "-lm", "-ldl"];

fn assert_example(outcome: &Output) {
    let text = String::from_utf8_lossy(&outcome.stdout);
    for line in [
        "callback: operational",
        "state: OPERATIONAL",
        "address: 127.0.0.1",
        "time: add ",
        "error: the name has no address",
        "callback: ended before",
    ] {
        assert!(text.lines().any(|said| said.starts_with(line)), "{line}\n{text}");
    }
}

#[test]
fn the_example_runs_with_the_static_library() {
    let [dns, ntp] = servers();
    let program = compiled("example-static", STATIC);
    assert_example(&succeeded(Command::new(program).args(["host.bringup.test", &dns, &ntp])));
}

#[test]
fn the_example_runs_with_the_shared_library() {
    let [dns, ntp] = servers();
    let program = compiled("example-shared", &["-L.", "-lbringup_c", "-lpthread"]);
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", libraries());
    assert_example(&succeeded(command.args(["host.bringup.test", &dns, &ntp])));
}

#[test]
fn valgrind_finds_no_fault_and_no_leak() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "valgrind is missing");
        eprintln!("skipped: valgrind is not installed");
        return;
    }
    let [dns, ntp] = servers();
    let program = compiled("example-valgrind", STATIC);
    let mut command = Command::new("valgrind");
    command.args([
        "--quiet",
        "--error-exitcode=9",
        "--leak-check=full",
        "--show-leak-kinds=definite,indirect",
    ]);
    // Not "possible": std keeps the main thread's own handle by a pointer into its middle.
    command.arg("--errors-for-leak-kinds=definite,indirect");
    assert_example(&succeeded(command.arg(program).args(["host.bringup.test", &dns, &ntp])));
}

#[test]
fn the_header_has_the_numbers_of_the_library() {
    let header = std::fs::read_to_string(here("include/bringup.h")).unwrap();
    let has = |name: String, number: i32| {
        let line = format!("{name} = {number}");
        let found = header.lines().filter_map(|text| text.trim_start().strip_prefix(&line));
        let exact = found.filter(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
        assert_eq!(exact.count(), 1, "{line}");
    };
    for state in SystemState::ALL {
        has(format!("BRINGUP_STATE_{}", state.name()), state as i32);
    }
    for (name, code) in [
        ("OK", Code::Ok),
        ("INVALID", Code::Invalid),
        ("PRIVILEGE", Code::Privilege),
        ("INTERFACE", Code::Interface),
        ("OS", Code::Os),
        ("FULL", Code::Full),
        ("TIMEOUT", Code::Timeout),
        ("NO_ADDRESS", Code::NoAddress),
        ("UNRESOLVED", Code::Unresolved),
        ("NO_TIME", Code::NoTime),
        ("ENDED", Code::Ended),
        ("INTERNAL", Code::Internal),
    ] {
        has(format!("BRINGUP_{name}"), code as i32);
    }
}

#[test]
fn null_is_an_error_and_never_followed() {
    use std::ptr::{null, null_mut};
    // SAFETY: null pointers are what all of these functions check for.
    let create = unsafe { bringup_c::bringup_create(null(), null_mut()) };
    // SAFETY: as above.
    let attach = unsafe { bringup_c::bringup_attach(null(), 15, None, null_mut()) };
    // SAFETY: as above.
    let wait = unsafe { bringup_c::bringup_wait(null(), 15, 0) };
    // SAFETY: as above.
    let resolve = unsafe { bringup_c::bringup_resolve(null(), null(), 0, null_mut(), null_mut()) };
    // SAFETY: as above.
    let time = unsafe { bringup_c::bringup_time(null(), null_mut()) };
    assert_eq!([create, attach, wait, resolve, time], [Code::Invalid as i32; 5]);
    // SAFETY: as above.
    unsafe { bringup_c::bringup_destroy(null_mut()) };
    assert!(bringup_c::bringup_state_name(99).is_null());
}
