//! `bringup time` against chronyd. Nothing here sets a clock, and nothing here could.
#![cfg(target_os = "linux")]

use std::time::Duration;

use bringup_tests::lab::network::Network;
use bringup_tests::lab::servers;
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
            assert!(offset_us.abs() <= 5_000, "both have this machine's clock\n{outcome}");
            assert!(offset_us.abs() <= error_us, "the truth, zero, is within the error\n{outcome}");
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
        assert!(outcome.all("server").iter().all(|one| one["verdict"] != "ok"), "{outcome}");
    });
}
