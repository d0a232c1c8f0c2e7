//! `bringup query` against dnsmasq.
#![cfg(target_os = "linux")]

use std::time::Duration;

use bringup_tests::lab::network::Network;
use bringup_tests::lab::servers;
use bringup_tests::lab::{self, Host, Outcome, bringup, run};

fn query(device: &Host, arguments: &[&str]) -> Outcome {
    let mut command = device.command(bringup());
    run(command.arg("query").args(arguments).arg("--json"), Duration::from_secs(30))
}

/// The answers as `owner type data`, sorted; a final dot of the owner is no part of the promise.
fn answers(outcome: &Outcome) -> Vec<String> {
    let text = |value: &serde_json::Value| {
        value.as_str().expect("a string").trim_end_matches('.').to_owned()
    };
    let line =
        |a: &serde_json::Value| [text(&a["owner"]), text(&a["type"]), text(&a["data"])].join(" ");
    let mut lines: Vec<String> = outcome.all("answer").iter().map(line).collect();
    lines.sort();
    lines.dedup();
    lines
}

fn rcodes(outcome: &Outcome) -> Vec<String> {
    let rcode = |result: &serde_json::Value| {
        result["rcode"].as_str().expect("`rcode` is a string").to_owned()
    };
    outcome.all("result").iter().map(rcode).collect()
}

#[test]
fn names_that_dnsmasq_has() {
    lab::within(&["dnsmasq"], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let _dnsmasq = servers::dnsmasq(&network.server, "");
        let (a, aaaa) = ("host.lab.test A 10.99.0.10", "host.lab.test AAAA fd99::10");
        let chain = "www.lab.test CNAME host.lab.test";
        let cases: [(&[&str], &[&str], i32); 6] = [
            (&["host.lab.test"], &[a, aaaa], 0),
            (&["host.lab.test", "A"], &[a], 0),
            (&["HOST.lab.test.", "AAAA"], &[aaaa], 0),
            (&["www.lab.test", "A"], &[a, chain], 0),
            // Of two types, one is an answer.
            (&["v4only.lab.test"], &["v4only.lab.test A 10.99.0.11"], 0),
            (&["v4only.lab.test", "AAAA"], &[], 1),
        ];
        for (arguments, expected, code) in cases {
            let outcome = query(&network.device, &[arguments, &["--server", "10.99.0.1"]].concat());
            let got: Vec<String> =
                answers(&outcome).iter().map(|line| line.replace("HOST", "host")).collect();
            assert_eq!(
                (got, outcome.code),
                (expected.iter().map(ToString::to_string).collect(), code),
                "{outcome}"
            );
            let expected = if code == 0 { "NOERROR" } else { "NODATA" };
            assert!(
                rcodes(&outcome).iter().any(|rcode| rcode == expected),
                "{arguments:?}\n{outcome}"
            );
        }
    });
}

#[test]
fn a_name_that_is_not_there_is_an_answer_of_no() {
    lab::within(&["dnsmasq"], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let _dnsmasq = servers::dnsmasq(&network.server, "");
        let outcome = query(&network.device, &["missing.lab.test", "--server", "10.99.0.1:53"]);
        outcome.expect_code(1);
        let rcodes = rcodes(&outcome);
        assert!(!rcodes.is_empty() && rcodes.iter().all(|rcode| rcode == "NXDOMAIN"), "{outcome}");
    });
}

#[test]
fn servers_that_do_not_answer_leave_it_open() {
    lab::within(&[], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let _silent = servers::silent(&network.server, "10.99.0.1:53");
        // Silent; nobody on the port; nobody at the address.
        for server in ["10.99.0.1", "10.99.0.1:5353", "10.99.0.77"] {
            let outcome = query(
                &network.device,
                &["host.lab.test", "A", "--server", server, "--deadline", "2s"],
            );
            outcome.expect_code(2);
            assert_eq!(rcodes(&outcome).len(), 1, "one question, one result: {server}\n{outcome}");
            assert_eq!(outcome.first("result")["from"], "network", "{outcome}");
            assert!(
                outcome.elapsed < Duration::from_secs(4),
                "the deadline is 2 s: {server}\n{outcome}"
            );
        }
    });
}

#[test]
fn a_server_without_tcp_is_named_as_one() {
    lab::within(&[], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let _silent = servers::silent(&network.server, "10.99.0.1:53");
        let outcome = query(&network.device, &["a.test", "A", "--server", "10.99.0.1", "--tcp"]);
        outcome.expect_code(2);
        assert!(outcome.stderr.contains("10.99.0.1 takes no connection over TCP"), "{outcome}");
    });
}

#[test]
fn a_dead_server_is_passed_over() {
    lab::within(&["dnsmasq"], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let _dnsmasq = servers::dnsmasq(&network.server, "");
        let dead_first = ["host.lab.test", "A", "--server", "10.99.0.77", "--server", "10.99.0.1"];
        let outcome = query(&network.device, &dead_first);
        outcome.expect_code(0);
        assert_eq!(answers(&outcome), ["host.lab.test A 10.99.0.10"], "{outcome}");
    });
}

#[test]
fn more_servers_than_are_asked_are_not_passed_over_in_silence() {
    lab::within(&[], |lab| {
        let host = lab.host("device");
        let servers: Vec<String> = (1..=9).map(|n| format!("--server=10.99.0.{n}")).collect();
        let mut arguments = vec!["host.lab.test"];
        arguments.extend(servers.iter().map(String::as_str));
        let outcome = query(&host, &arguments);
        outcome.expect_code(64);
        assert_eq!(outcome.first("error")["what"], "--server", "{outcome}");
    });
}

#[test]
fn wrong_usage_is_told_apart() {
    lab::within(&[], |lab| {
        let host = lab.host("device");
        for arguments in
            [&[][..], &["host.lab.test", "--server", "nonsense:x"], &["--no-such-option", "a"]]
        {
            let outcome = query(&host, arguments);
            outcome.expect_code(64);
            assert!(!outcome.stderr.trim().is_empty(), "{arguments:?}\n{outcome}");
        }
    });
}
