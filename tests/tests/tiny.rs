//! `bringup-tiny`, the bring-up on the C library alone, against dnsmasq and chronyd: as its users build it
//! (`platform/tiny/build`, which tests/run calls), dynamic with glibc and static with musl.
#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::time::Duration;

use bringup_tests::lab::network::{DEVICE_INTERFACE, Network, SERVER};
use bringup_tests::lab::servers::{self, Server};
use bringup_tests::lab::watched::Watched;
use bringup_tests::lab::{self, Host, Outcome, built, run};
use serde_json::Value;

/// How far from the truth the time may be, microseconds.
const OFFSET_US_MAX: i64 = 5_000;
/// What the static program may have written, stack included, when all is there.
const WRITTEN_KIB_MAX: u64 = 100;
const SIGTERM: i32 = 15;

fn programs() -> [PathBuf; 2] {
    ["bringup-tiny", "bringup-tiny-static"].map(built)
}

fn served(network: &Network) -> [Server; 2] {
    [servers::dnsmasq(&network.server, ""), servers::chronyd(&network.server, servers::LOCAL)]
}

fn once(device: &Host, program: &PathBuf, arguments: &[&str]) -> Outcome {
    run(device.command(program).args(arguments).arg("--once"), Duration::from_secs(70))
}

fn addresses(device: &Host) -> Vec<Value> {
    let shown = device.ip_json(&format!("-4 addr show dev {DEVICE_INTERFACE}"));
    shown.iter().flat_map(|of| of["addr_info"].as_array().cloned().unwrap_or_default()).collect()
}

#[test]
fn a_bare_interface_becomes_operational_and_is_left_bare() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let network = Network::plain(lab);
        let _servers = served(&network);
        for program in programs() {
            let outcome = once(&network.device, &program, &[DEVICE_INTERFACE, "www.lab.test"]);
            outcome.expect_code(0);
            let states = outcome.states();
            let mut walk = states.iter();
            for state in ["IFACE_COLDPLUG", "DHCP", "TIME_VALID", "OPERATIONAL"] {
                assert!(walk.any(|entered| entered == state), "{state} in {states:?}\n{outcome}");
            }
            let gained = outcome.first("address");
            assert_eq!(gained["interface"], DEVICE_INTERFACE);
            let address = gained["address"].as_str().expect("a text");
            assert!(address.starts_with("10.99.0.") && address.ends_with("/24"), "{outcome}");
            assert_eq!((&gained["lease_s"], &gained["server"]), (&120.into(), &SERVER.into()));
            let time = outcome.last("time");
            let offset_us = time["offset_us"].as_i64().expect("an offset");
            let error_us = time["error_us"].as_i64().expect("a bound");
            assert!(offset_us.abs() <= OFFSET_US_MAX.max(error_us), "{outcome}");
            assert_eq!(outcome.first("attached")["waited_for"], "OPERATIONAL");
            let answer = outcome.first("answer");
            assert_eq!((&answer["type"], &answer["data"]), (&"A".into(), &"10.99.0.10".into()));
            assert_eq!(outcome.first("result")["rcode"], "NOERROR");
            assert_eq!(outcome.last("address")["lost"], true, "{outcome}");
            assert_eq!(addresses(&network.device), Vec::<Value>::new(), "{outcome}");
        }
    });
}

#[test]
fn it_stays_in_little_memory_and_without_a_heap_until_it_is_asked_to_end() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let network = Network::plain(lab);
        let _servers = served(&network);
        for program in programs() {
            let mut command = network.device.command(&program);
            command.args([DEVICE_INTERFACE, "www.lab.test"]);
            let mut running = Server::start(&network.device, "bringup-tiny", &mut command, || true);
            lab::eventually("the answer", || running.log().contains("\"result\"").then_some(()));
            assert_eq!(addresses(&network.device).len(), 1, "{}", running.log());

            let watched = Watched::new(running.id());
            let [clean_kib, dirty_kib] = watched.private_kib();
            println!(
                "{}: {dirty_kib} KiB written, {clean_kib} KiB of its files",
                program.display()
            );
            // glibc itself allocates, for the thread, and takes more than the goal for its loader's tables.
            if program.ends_with("bringup-tiny-static") {
                assert!(!watched.smaps().contains("[heap]"), "{}", watched.smaps());
                assert!(dirty_kib <= WRITTEN_KIB_MAX, "{dirty_kib} KiB\n{}", watched.smaps());
            }

            running.signal(SIGTERM);
            assert_eq!(running.wait(), 0, "{}", running.log());
            assert_eq!(addresses(&network.device), Vec::<Value>::new(), "{}", running.log());
        }
    });
}

#[test]
fn the_exit_code_is_the_commands() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let network = Network::plain(lab);
        let _servers = served(&network);
        for program in programs() {
            let on = |arguments: &[&str]| once(&network.device, &program, arguments);
            on(&[DEVICE_INTERFACE, "none.lab.test"]).expect_code(1);
            let missing = on(&["none0"]);
            missing.expect_code(2);
            assert_eq!(missing.first("error")["what"], "none0", "{missing}");
            on(&[]).expect_code(64);
            on(&[DEVICE_INTERFACE, "--all"]).expect_code(64);

            let mut command = network.device.command("setpriv");
            command.args(["--bounding-set", "-net_raw", "--inh-caps", "-net_raw"]);
            command.arg(&program).args([DEVICE_INTERFACE, "--once"]);
            let refused = run(&mut command, Duration::from_secs(70));
            refused.expect_code(77);
            assert_eq!(refused.first("error")["why"], "needs CAP_NET_RAW", "{refused}");
        }
    });
}
