//! The servers and peers that `tests/run` unpacks start at all: a test that needs one and finds it
//! broken would otherwise blame the program under test.
#![cfg(target_os = "linux")]

use std::time::Duration;

use bringup_tests::lab::{self, Lab, network::Network, run};

/// Runs each program on a host, where it and its libraries are found, and looks for `said` in what
/// it prints of itself.
fn say(lab: &Lab, programs: &[(&str, &[&str], &str)]) {
    let network = Network::plain(lab);
    for (program, arguments, said) in programs {
        let mut command = network.server.command(program);
        let outcome = run(command.args(*arguments), Duration::from_secs(10));
        let all = [outcome.stdout.as_str(), outcome.stderr.as_str()].concat();
        assert!(all.contains(said), "{program} does not say {said:?}\n{outcome}");
    }
}

#[test]
fn name_servers_start() {
    lab::within(&["unbound", "named", "knotd"], |lab| {
        let programs: &[(&str, &[&str], &str)] = &[
            ("unbound", &["-V"], "Version 1."),
            ("named", &["-V"], "BIND 9"),
            ("knotd", &["-V"], "Knot DNS"),
        ];
        say(lab, programs);
    });
}

#[test]
fn lease_servers_start() {
    lab::within(&["dhcpd", "kea-dhcp4", "busybox"], |lab| {
        let programs: &[(&str, &[&str], &str)] = &[
            ("dhcpd", &["--version"], "isc-dhcpd-"),
            ("kea-dhcp4", &["-V"], "2."),
            ("busybox", &["udhcpd", "--help"], "Usage: udhcpd"),
        ];
        say(lab, programs);
    });
}

#[test]
fn time_servers_start() {
    lab::within(&["chronyd", "ntpd", "openntpd"], |lab| {
        let programs: &[(&str, &[&str], &str)] = &[
            ("chronyd", &["-v"], "chrony"),
            ("ntpd", &["--version"], "ntpsec"),
            ("openntpd", &["-h"], "openntpd"),
        ];
        say(lab, programs);
    });
}
