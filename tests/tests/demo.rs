//! `bringup demo`: no privileges, no network, no configuration.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;
use std::time::Duration;

use bringup_tests::lab::{self, Host, Outcome, PATIENCE, bringup, run};

const DEADLINE: Duration = Duration::from_secs(60);

fn assert_operational(outcome: &Outcome) {
    outcome.expect_code(0);
    assert_eq!(outcome.states().last().map(String::as_str), Some("OPERATIONAL"), "{outcome}");
}

#[test]
fn the_demo_ends_operational() {
    lab::within(&[], |lab| {
        let host = lab.host("device");
        let outcome = run(host.command(bringup()).args(["demo", "--json"]), DEADLINE);
        assert_operational(&outcome);
        let lost: Vec<_> =
            outcome.all("address").iter().map(|event| event["lost"] == true).collect();
        assert_eq!(lost, [false, true], "gained, and taken off in the end\n{outcome}");
        assert!(!outcome.all("time").is_empty(), "{outcome}");
        assert!(
            outcome.all("result").iter().any(|result| result["rcode"] == "NOERROR"),
            "{outcome}"
        );
        assert!(
            outcome.all("attached").iter().any(|ran| ran["waited_for"] == "OPERATIONAL"),
            "{outcome}"
        );
        let people = run(host.command(bringup()).arg("demo"), DEADLINE);
        assert!(people.expect_code(0).stdout.contains("OPERATIONAL"), "{people}");
    });
}

/// Makes commands for which neither namespaces nor capabilities are to be had: a process in a
/// chroot may make no user namespace (user_namespaces(7)), and without capabilities no other.
fn confined(host: &Host) -> impl Fn() -> Command {
    let root = host.folder().join("root");
    fs::create_dir(&root).expect("the host's own folder");
    run(Command::new("mount").args(["--rbind", "/"]).arg(&root), PATIENCE).expect_code(0);
    move || {
        let mut command = host.command("chroot");
        command.arg(&root).args(["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]);
        command
    }
}

#[test]
fn where_namespaces_are_forbidden_the_demo_is_simulated_and_says_so() {
    lab::within(&[], |lab| {
        let host = lab.host("device");
        let command = confined(&host);
        let check = run(command().args(["unshare", "--user", "--net", "true"]), PATIENCE);
        assert!(
            check.stderr.contains("Operation not permitted"),
            "the confinement does not confine\n{check}"
        );
        let outcome = run(command().arg(bringup()).args(["demo", "--json"]), DEADLINE);
        assert_operational(&outcome);
        let said = [&*outcome.stdout, &*outcome.stderr].concat().to_lowercase();
        assert!(said.contains("simulat"), "{outcome}");
        // Virtual time does not race ahead of the thread that attaches.
        let attached_us = outcome.first("attached")["t_us"].as_u64().expect("microseconds");
        assert!(attached_us < 1_000_000, "{outcome}");
    });
}
