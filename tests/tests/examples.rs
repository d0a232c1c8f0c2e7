//! The library as its users take it: the examples, and a network that several threads share.
#![cfg(target_os = "linux")]

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bringup::{Ended, Error, Setup, SystemState};
use bringup_tests::lab::network::{DEVICE_INTERFACE, Network, SERVER};
use bringup_tests::lab::servers::{self, LOCAL, Server};
use bringup_tests::lab::{self, Lab, Outcome, example, run};

const DEADLINE: Duration = Duration::from_secs(70);
const PATIENCE: Duration = Duration::from_secs(30);

fn served(lab: &Lab) -> (Network, [Server; 2]) {
    let network = Network::plain(lab);
    let servers = [servers::dnsmasq(&network.server, ""), servers::chronyd(&network.server, LOCAL)];
    (network, servers)
}

fn run_example(network: &Network, name: &str, arguments: &[&str]) -> Outcome {
    let outcome = run(network.device.command(example(name)).args(arguments), DEADLINE);
    outcome.expect_code(0);
    outcome
}

fn has_an_address(network: &Network) -> bool {
    let shown = network.device.ip_json(&format!("-4 addr show dev {DEVICE_INTERFACE}"));
    shown.iter().any(|of| of["addr_info"].as_array().is_some_and(|list| !list.is_empty()))
}

#[test]
fn ten_lines_bring_a_program_up() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let (network, _servers) = served(lab);
        let outcome = run_example(&network, "up", &[DEVICE_INTERFACE, "v4only.lab.test"]);
        for said in ["address: 10.99.0.", "v4only.lab.test: [10.99.0.11]", "time: Some(Time"] {
            assert!(outcome.stdout.contains(said), "{said}\n{outcome}");
        }
        assert!(!has_an_address(&network), "it is taken down at the end");
    });
}

#[test]
fn threads_wait_for_states_and_all_of_them_hear() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let (network, _servers) = served(lab);
        let outcome = run_example(&network, "attach", &[DEVICE_INTERFACE]);
        let lines: Vec<&str> = outcome.stdout.lines().collect();
        let expected = [
            "DHCP: called with 1 address(es)",
            "TIME_VALID: called with 1 address(es)",
            "OPERATIONAL: called with 1 address(es)",
            "MODAL_UPDATING: ended before",
        ];
        assert_eq!(lines, expected, "{outcome}");
    });
}

#[test]
fn one_network_serves_many_threads() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let (network, _servers) = served(lab);
        network.device.enter(|| {
            let up = Setup::new().interface(DEVICE_INTERFACE).hostname("box").start().unwrap();
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        up.wait_operational(PATIENCE).unwrap();
                        let found = up.resolve("host.lab.test", PATIENCE).unwrap();
                        assert_eq!(found.len(), 2, "{found:?}");
                        assert_eq!(up.resolve("no.lab.test", PATIENCE), Err(Error::NoAddress));
                        assert_eq!(up.resolve("a..b", PATIENCE), Err(Error::BadName));
                        let time = up.time().unwrap().expect("it is operational");
                        assert!(time.clock_offset_ns.abs() < 5_000_000, "{time:?}");
                    });
                }
            });
            assert_eq!((up.state(), up.held_by()), (SystemState::Operational, None));
            let address = up.addresses().unwrap().remove(0);
            assert_eq!((address.interface.as_str(), address.prefix), (DEVICE_INTERFACE, 24));
            // A callback that panics takes nobody with it.
            up.attach(None, |_| panic!("as a test"));
            assert!(up.time().unwrap().is_some());
            let (tell, told) = mpsc::channel();
            up.attach(SystemState::PolicyInvalid, move |context| {
                tell.send(context.map(|_| ())).unwrap();
            });
            up.stop();
            assert_eq!(told.recv(), Ok(Err(Ended)), "nothing is lost without a word");
        });
        assert!(!has_an_address(&network));
    });
}

#[test]
fn a_wait_that_is_over_names_who_holds() {
    lab::within(&[], |lab| {
        let network = Network::plain(lab);
        network.device.enter(|| {
            let up = Setup::new().interface(DEVICE_INTERFACE).start().unwrap();
            let state = SystemState::Operational;
            up.wait(SystemState::IfaceColdplug, PATIENCE).unwrap();
            let failed = up.wait(state, Duration::from_millis(50)).unwrap_err();
            assert_eq!(failed, Error::TimedOut { state, held_by: Some("dhcp") });
            let missing = Setup::new().interface("eth7").start().unwrap_err();
            assert!(
                matches!(&missing, Error::Interface { name, .. } if name == "eth7"),
                "{missing}"
            );
        });
    });
}

#[test]
fn without_interfaces_it_asks_the_servers_that_are_named() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let (network, _servers) = served(lab);
        network.give_the_device_an_address();
        network.device.enter(|| {
            let server = |port| format!("{SERVER}:{port}").parse::<SocketAddr>().unwrap();
            let up = Setup::new().dns(server(53)).ntp_name("time.lab.test").start().unwrap();
            up.wait_operational(PATIENCE).unwrap();
            assert_eq!(up.resolve("v4only.lab.test", PATIENCE).unwrap().len(), 1);
            up.stop();
            let up = Setup::new().dns(server(53)).without_time().start().unwrap();
            up.wait_operational(PATIENCE).unwrap();
            assert_eq!(up.time(), Ok(None));
        });
    });
}
