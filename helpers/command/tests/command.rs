//! The command as scripts use it: its objects and its exit codes, against servers on loopback.

use std::io::Write as _;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use bringup::core::time::Utc;
use bringup::demo::servers::{DnsServer, NtpServer, Zone};
use serde_json::Value;

/// Answers datagrams on a port of loopback for as long as the test process lives; gives `ADDR:PORT`.
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

fn dns_server() -> String {
    let server = DnsServer::new(Zone::demo(Ipv4Addr::LOCALHOST));
    serve(move |request, out| server.reply(request, out))
}

fn ntp_server(offset_ns: i64) -> String {
    let server = NtpServer::new(offset_ns);
    serve(move |request, out| server.reply(request, utc(), utc(), out))
}

/// A server that says nothing.
fn silent_server() -> String {
    serve(|_, _| None)
}

fn utc() -> Utc {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Utc::from_unix_nanos(since.as_nanos().try_into().unwrap())
}

fn bringup(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bringup"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// The objects of a run with `--json`, each with `t_us` and `event`, and the exit code.
fn objects(arguments: &[&str], input: &[u8]) -> (Vec<Value>, Option<i32>) {
    let output = bringup(&[arguments, &["--json"]].concat(), input);
    let text = String::from_utf8(output.stdout).unwrap();
    let objects: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(objects.iter().all(|o| o["t_us"].is_u64() && o["event"].is_string()), "{text}");
    (objects, output.status.code())
}

fn events<'o>(objects: &'o [Value], event: &str) -> Vec<&'o Value> {
    objects.iter().filter(|object| object["event"] == event).collect()
}

#[test]
fn usage() {
    for (arguments, code) in [
        (&[][..], 0),
        (&["--help"], 0),
        (&["query"], 64),
        (&["up"], 64),
        (&["time"], 64),
        (&["query", "a..b", "--server", "127.0.0.1:9"], 64),
        (&["query", "a.test", "--server", "fe80::1%nosuchinterface"], 64),
    ] {
        let output = bringup(arguments, &[]);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert_eq!(output.stderr.is_empty(), code == 0, "{arguments:?}");
    }
}

#[test]
fn query_without_a_type_asks_for_both_families() {
    let server = dns_server();
    let (objects, code) = objects(&["query", "www.bringup.test", "--server", &server], &[]);
    let answers: Vec<(&str, &str)> = events(&objects, "answer")
        .iter()
        .map(|a| (a["type"].as_str().unwrap(), a["data"].as_str().unwrap()))
        .collect();
    assert_eq!(answers.len(), 3, "the alias once: {answers:?}");
    for expected in [("CNAME", "host.bringup.test."), ("A", "127.0.0.1"), ("AAAA", "2001:db8::1")] {
        assert!(answers.contains(&expected), "{answers:?}");
    }
    let results = events(&objects, "result");
    assert_eq!(results.len(), 2);
    for result in results {
        assert_eq!((&result["rcode"], &result["from"]), (&"NOERROR".into(), &"network".into()));
        assert_eq!(
            (&result["name"], &result["server"]),
            (&"www.bringup.test".into(), &server.as_str().into())
        );
    }
    assert_eq!(code, Some(0));
}

#[test]
fn query_says_no_and_says_that_it_does_not_know() {
    let (server, silent) = (dns_server(), silent_server());
    for (name, rtype, server, rcode, code) in [
        ("time.bringup.test", "A", &server, "NOERROR", 0),
        ("time.bringup.test", "MX", &server, "NODATA", 1),
        ("nobody.bringup.test", "A", &server, "NXDOMAIN", 1),
        ("example.net", "A", &server, "REFUSED", 2),
        ("time.bringup.test", "A", &silent, "TIMEOUT", 2),
        ("192.0.2.7", "A", &silent, "NOERROR", 0),
    ] {
        let arguments = ["query", name, rtype, "--server", server, "--deadline", "600ms"];
        let (objects, exit) = objects(&arguments, &[]);
        let results = events(&objects, "result");
        assert_eq!((results.len(), &results[0]["rcode"]), (1, &rcode.into()), "{name} {rtype}");
        assert_eq!(exit, Some(code), "{name} {rtype}");
        assert_eq!(events(&objects, "error").len(), usize::from(code == 2), "{name} {rtype}");
    }
}

#[test]
fn query_tells_what_it_ignored_if_asked_to() {
    let server = DnsServer::new(Zone::demo(Ipv4Addr::LOCALHOST));
    let mut first = true;
    let forger = serve(move |request, out| {
        let length = server.reply(request, out)?;
        if std::mem::take(&mut first) {
            out[0] ^= 0xFF;
        }
        Some(length)
    });
    let arguments = ["query", "time.bringup.test", "A", "-v", "--server", &forger];
    let (objects, code) = objects(&arguments, &[]);
    let discards = events(&objects, "discard");
    assert_eq!(discards.len(), 1);
    assert_eq!(
        (&discards[0]["protocol"], &discards[0]["reason"]),
        (&"dns".into(), &"wrong-id".into())
    );
    assert_eq!(code, Some(0), "the wait went on");
}

#[test]
fn query_for_people() {
    let server = dns_server();
    let output = bringup(&["query", "time.bringup.test", "a", "--server", &server, "-q"], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "time.bringup.test.\t60\tA\t127.0.0.1\n");
    assert!(output.stderr.is_empty());
}

#[test]
fn time_of_two_servers_that_agree() {
    let (one, other) = (ntp_server(3_000_000_000), ntp_server(3_000_000_000));
    let (objects, code) = objects(&["time", &one, &other], &[]);
    let servers = events(&objects, "server");
    assert_eq!(servers.len(), 2);
    for server in &servers {
        assert_eq!((&server["verdict"], &server["stratum"]), (&"ok".into(), &1.into()));
        assert!((server["offset_us"].as_i64().unwrap() - 3_000_000).abs() < 100_000, "{server}");
        assert!(server["delay_us"].is_u64() && server["root_distance_us"].is_u64());
    }
    let time = events(&objects, "time");
    assert_eq!((time.len(), &time[0]["state"]), (1, &"confirmed".into()));
    assert!((time[0]["offset_us"].as_i64().unwrap() - 3_000_000).abs() < 100_000);
    // The servers claim a dispersion of 100 us; the rest is the way.
    let error_us = time[0]["error_us"].as_u64().unwrap();
    assert!((100..100_000).contains(&error_us), "{error_us}");
    assert_eq!(code, Some(0));
}

#[test]
fn time_that_is_not_to_be_had() {
    let (silent, long_ago) = (silent_server(), ntp_server(-20 * 31_536_000 * 1_000_000_000));
    for (server, verdict, code) in [(&silent, "no-reply", 2), (&long_ago, "below-floor", 1)] {
        let (objects, exit) = objects(&["time", server, "--deadline", "500ms"], &[]);
        let servers = events(&objects, "server");
        assert_eq!((servers.len(), &servers[0]["verdict"]), (1, &verdict.into()));
        assert!(servers[0]["offset_us"].is_null());
        assert_eq!(events(&objects, "time")[0]["state"], "invalid");
        assert_eq!(exit, Some(code), "{verdict}");
    }
}

#[test]
fn decode_reads_many_files_and_standard_input() {
    let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x02de\0\0\x01\0\x01";
    let (decoded, code) = objects(&["decode", "dns"], query);
    assert_eq!(
        (decoded.len(), &decoded[0]["file"], &decoded[0]["ok"]),
        (1, &"-".into(), &true.into())
    );
    assert_eq!(decoded[0]["question"]["qname"], "a.de.");
    assert_eq!(code, Some(0));
    let (decoded, code) = objects(&["decode", "dns", "-", "/nonexistent/file"], &query[..20]);
    assert_eq!(decoded[0]["reason"], "truncated");
    assert_eq!((events(&decoded, "error").len(), code), (1, Some(1)));
    let (_, code) = objects(&["decode", "dns", "/nonexistent/file"], &[]);
    assert_eq!(code, Some(2));
    let (decoded, code) = objects(&["decode", "ntp"], &vec![0; 100_000]);
    assert_eq!((&decoded.last().unwrap()["reason"], code), (&"too-long".into(), Some(1)));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let files = vec!["/dev/null"; 5_000];
    let mut child = Command::new(env!("CARGO_BIN_EXE_bringup"))
        .args(["decode", "ntp", "--json"])
        .args(files)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert!(output.status.code().is_some(), "not by a signal");
}
