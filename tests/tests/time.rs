//! `bringup time` against chronyd. Nothing here sets a clock, and nothing here could.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bringup_tests::lab::network::{DEVICE_INTERFACE, Network};
use bringup_tests::lab::servers::{self, Server};
use bringup_tests::lab::{self, Host, Outcome, bringup, run};

fn time(device: &Host, arguments: &[&str]) -> Outcome {
    let mut command = device.command(bringup());
    run(command.arg("time").args(arguments).arg("--json"), Duration::from_secs(30))
}

#[test]
fn chronyd_gives_the_time_within_its_error() {
    lab::within(&["chronyd"], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let _chronyd = servers::chronyd(&network.server, servers::LOCAL);
        for server in ["10.99.0.1", "10.99.0.1:123"] {
            let outcome = time(&network.device, &[server]);
            outcome.expect_code(0);
            let asked = outcome.all("server");
            assert!(
                asked.iter().any(|one| one["verdict"] == "ok" && one["stratum"] == 3),
                "{outcome}"
            );
            let time = outcome.last("time");
            assert_ne!(time["state"], "invalid", "{outcome}");
            let offset_us = time["offset_us"].as_i64().expect("`offset_us` is an integer");
            let error_us = time["error_us"].as_i64().expect("`error_us` is an integer");
            assert!(offset_us.abs() <= error_us, "both have this machine's clock\n{outcome}");
        }
    });
}

#[test]
fn a_silent_server_leaves_it_open() {
    lab::within(&[], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let _silent = servers::silent(&network.server, "10.99.0.1:123");
        for server in ["10.99.0.1", "10.99.0.1:1230", "10.99.0.77"] {
            let outcome = time(&network.device, &[server, "--deadline", "2s"]);
            outcome.expect_code(2);
            assert!(
                outcome.elapsed < Duration::from_secs(4),
                "the deadline is 2 s: {server}\n{outcome}"
            );
        }
    });
}

#[test]
fn a_server_that_is_not_synchronized_is_an_answer_of_no() {
    lab::within(&["chronyd"], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let _chronyd = servers::chronyd(&network.server, "");
        let outcome = time(&network.device, &["10.99.0.1", "--deadline", "3s"]);
        outcome.expect_code(1);
        let verdicts: Vec<_> = outcome.all("server").iter().map(|s| s["verdict"].clone()).collect();
        assert_eq!(verdicts, ["unsynchronised"], "{outcome}");
    });
}

#[test]
fn a_name_that_nobody_resolves_leaves_time_for_the_servers() {
    lab::within(&["chronyd"], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let _chronyd = servers::chronyd(&network.server, servers::LOCAL);
        let _silent = servers::silent(&network.server, "10.99.0.1:53");
        let resolv_conf = network.device.folder().join("resolv.conf");
        fs::write(resolv_conf, "nameserver 10.99.0.1\n").expect("the host's own folder");
        let asked = ["time.lab.test", "10.99.0.1", "--deadline", "4s"];
        let outcome = time(&network.device, &asked);
        outcome.expect_code(0);
        let verdicts: Vec<_> = outcome.all("server").iter().map(|s| s["verdict"].clone()).collect();
        assert_eq!(verdicts, ["unresolved", "ok"], "{outcome}");
    });
}

#[test]
fn nothing_that_was_named_or_came_in_is_passed_over_in_silence() {
    lab::within(&[], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let asked: Vec<String> = (1..=9).map(|n| format!("10.99.0.{n}")).collect();
        let mut asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        // The last but one is there already, and the last is nobody.
        asked.extend(["10.99.0.1:123", "0.0.0.0", "--deadline", "1s"]);
        let outcome = time(&network.device, &asked);
        outcome.expect_code(2);
        assert_eq!(outcome.all("server").len(), 8, "{outcome}");
        let left_out: Vec<_> = outcome.all("error").iter().map(|e| e["what"].clone()).collect();
        assert_eq!(left_out, ["10.99.0.9:123", "0.0.0.0:123", "the time"], "{outcome}");

        let forger = servers::silent(&network.server, "10.99.0.1:123");
        thread::spawn(move || {
            let mut request = [0; 48];
            while let Ok((_, from)) = forger.recv_from(&mut request) {
                // A reply to somebody else's request.
                let mut reply = servers::ntp_request();
                (reply[0], reply[1]) = (0x24, 2);
                let _ = forger.send_to(&reply, from);
            }
        });
        for (verbose, told) in [(&["-v"][..], 1), (&[], 0)] {
            let more = [&["10.99.0.1", "--deadline", "900ms"], verbose].concat();
            let outcome = time(&network.device, &more);
            outcome.expect_code(2);
            let discards = outcome.all("discard");
            assert_eq!(discards.len(), told, "{outcome}");
            assert!(discards.iter().all(|d| d["reason"] == "wrong-origin"), "{outcome}");
        }
    });
}

/// `bringup up`, with a state directory.
fn up(device: &Host, state: &Path) -> Command {
    let mut command = device.command(bringup());
    command.args(["up", DEVICE_INTERFACE, "--json", "--state-dir"]).arg(state);
    command
}

/// A saved clock that is so many seconds from now, in the command's own form.
fn saved_clock(ahead_s: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let second = i64::try_from(now).expect("before 2262") + ahead_s;
    let utc = bringup::core::time::Utc::from_unix_secs(second);
    format!("{second} {utc} apart\n")
}

#[test]
fn d2_a_confirmed_time_is_kept_in_the_state_directory() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let network = Network::plain(lab);
        let _servers = [
            servers::dnsmasq(&network.server, ""),
            servers::chronyd(&network.server, servers::LOCAL),
        ];
        let state = network.device.folder().join("state");
        let file = state.join("clock");
        let _up = Server::start(&network.device, "up", &mut up(&network.device, &state), || {
            file.is_file()
        });
        let text = fs::read_to_string(&file).expect("it is there");
        let second: i64 =
            text.split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let behind_s = i64::try_from(now).expect("before 2262") - second;
        assert!((60..90).contains(&behind_s), "a minute's slack: {behind_s} s, {text}");
        assert!(text.ends_with(" followed\n"), "the machine's clock is right here: {text}");
    });
}

#[test]
fn a13_the_saved_clock_is_a_floor_and_a_damaged_one_is_not() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let network = Network::plain(lab);
        let _servers = [
            servers::dnsmasq(&network.server, ""),
            servers::chronyd(&network.server, servers::LOCAL),
        ];
        let state = network.device.folder().join("state");
        fs::create_dir(&state).expect("the host's own folder");
        let file = state.join("clock");

        fs::write(&file, saved_clock(3_600)).expect("the host's own folder");
        let options = ["--once", "--deadline", "2s", "-v"];
        let outcome = run(up(&network.device, &state).args(options), Duration::from_secs(30));
        outcome.expect_code(2);
        let refused = |e: &serde_json::Value| e["reason"] == "below-floor";
        assert!(outcome.all("discard").iter().any(refused), "{outcome}");
        let told = outcome.all("error");
        let says = |e: &serde_json::Value| e["why"].as_str().is_some_and(|w| w.contains("before"));
        assert!(told.iter().any(says), "why there is no time\n{outcome}");

        let century = saved_clock(100 * 365 * 86_400);
        for text in [saved_clock(3_600).replace('1', "2"), century, "\0\u{fffd}".into()] {
            fs::write(&file, &text).expect("the host's own folder");
            let outcome = run(up(&network.device, &state).arg("--once"), Duration::from_secs(70));
            outcome.expect_code(0);
            let told = outcome.first("error");
            let what = told["what"].as_str().expect("`what` is a text");
            assert!(what.starts_with("the saved clock"), "{text:?}\n{outcome}");
        }
    });
}
