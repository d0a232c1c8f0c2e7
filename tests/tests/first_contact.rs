//! What a person sees first: on a terminal, and when something stands in the way.
#![cfg(target_os = "linux")]

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use bringup_tests::lab::network::{DEVICE_INTERFACE, Network};
use bringup_tests::lab::servers::{self, LOCAL};
use bringup_tests::lab::{self, Outcome, bringup, run};

const DEADLINE: Duration = Duration::from_secs(60);

/// Runs it on a terminal of its own.
fn on_a_terminal(mut shell: Command, line: &str, environment: &[(&str, &str)]) -> Outcome {
    shell.args(["-qec", &format!("{} {line}", bringup().display()), "/dev/null"]);
    shell.env("TERM", "xterm").env_remove("NO_COLOR");
    run(shell.envs(environment.iter().copied()), DEADLINE)
}

#[test]
fn a_terminal_gets_colours_and_a_line_that_moves() {
    lab::within(&["dnsmasq", "chronyd", "script"], |lab| {
        let network = Network::plain(lab);
        let terminal = |line: &str, environment: &[(&str, &str)]| {
            on_a_terminal(network.device.command("script"), line, environment)
        };
        let waiting = terminal(&format!("up {DEVICE_INTERFACE} --once --deadline 1500ms"), &[]);
        waiting.expect_code(2);
        let text = &waiting.stdout;
        assert!(text.contains("s  DHCP waits for dhcp: veth0 SELECTING"), "{waiting}");
        assert!(text.matches("\r\x1b[2K").count() > 5, "written anew: {waiting}");
        assert!(text.contains("\x1b[33mhold\x1b[0m"), "{waiting}");
        assert!(text.contains("\x1b[1;31mbringup:\x1b[0m the state DHCP"), "{waiting}");
        let end = text.rsplit("\r\x1b[2K").next().unwrap();
        assert!(!end.contains("waits for dhcp: veth0"), "the line is gone at the end: {end}");

        let _servers =
            [servers::dnsmasq(&network.server, ""), servers::chronyd(&network.server, LOCAL)];
        let up = format!("up {DEVICE_INTERFACE} --once");
        let done = terminal(&up, &[]);
        assert!(done.expect_code(0).stdout.contains("\x1b[1;32mstate    OPERATIONAL"), "{done}");
        for (environment, line) in [
            (&[("NO_COLOR", "1")][..], up.clone()),
            (&[("TERM", "dumb")], up.clone()),
            (&[], format!("{up} --json")),
        ] {
            let plain = terminal(&line, environment);
            assert!(!plain.expect_code(0).stdout.contains("\x1b[3"), "{environment:?} {plain}");
        }
        // Quiet is quiet; and what is no terminal gets plain lines.
        let quiet = terminal(&format!("up {DEVICE_INTERFACE} --once -q"), &[]);
        assert_eq!(quiet.expect_code(0).stdout.matches("OPERATIONAL").count(), 1, "{quiet}");
        let mut piped = network.device.command(bringup());
        let piped =
            run(piped.args(["up", DEVICE_INTERFACE, "--once"]).env("TERM", "xterm"), DEADLINE);
        assert!(!piped.expect_code(0).stdout.contains('\x1b'), "{piped}");
    });
}

#[test]
fn who_has_the_port_is_named() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let network = Network::plain(lab);
        let _servers =
            [servers::dnsmasq(&network.server, ""), servers::chronyd(&network.server, LOCAL)];
        let device = &network.device;
        // This process is the other client: it shares the port with nobody.
        let socket = device.enter(|| UdpSocket::bind("0.0.0.0:68")).expect("a free port");
        let up = |device: &lab::Host| {
            run(
                device.command(bringup()).args(["up", DEVICE_INTERFACE, "--once", "--json"]),
                DEADLINE,
            )
        };
        let outcome = up(device);
        let error = outcome.expect_code(0).first("error");
        assert_eq!(error["what"], "UDP port 68", "{outcome}");
        let why = error["why"].as_str().unwrap();
        // The kernel keeps fifteen octets of a name; whose numbers /proc has is the laboratory's affair.
        assert!(why.starts_with("is taken by ") && why.contains(" (process "), "{why}");
        let name = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
        assert!(why.contains(name.trim_end()) || why.contains("first_contact"), "{why}");
        drop(socket);
        assert!(up(device).all("error").is_empty());
    });
}

#[test]
fn an_interface_that_is_absent_is_told_with_those_that_are_there() {
    lab::within(&[], |lab| {
        let network = Network::plain(lab);
        for command in ["up", "lease"] {
            let outcome = run(network.device.command(bringup()).args([command, "eth9"]), DEADLINE);
            outcome.expect_code(2);
            assert!(
                outcome.stderr.contains("eth9") && outcome.stderr.contains("lo, veth0"),
                "{outcome}"
            );
            assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
        }
    });
}
