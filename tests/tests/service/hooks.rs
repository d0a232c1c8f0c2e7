//! Hooks: what they are told, that nothing they are told reaches a shell, and that they hold nobody up.

use std::fs;
use std::time::{Duration, Instant};

use bringup_tests::lab::network::Network;
use bringup_tests::lab::servers;
use bringup_tests::lab::{self, bringup, eventually, run};
use serde_json::Value;

use super::{end, script, served, up};

#[test]
fn a_hook_gets_the_facts_in_its_environment_and_as_json() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let served = served(lab);
        let device = &served.network.device;
        let folder = device.folder().display();
        let text = format!(
            "env | grep ^BRINGUP_ >{folder}/env.$BRINGUP_EVENT\ncat >{folder}/json.$BRINGUP_EVENT"
        );
        let hook = script(device.folder(), "hook", &text);
        let up = up(device, &["--hook", hook.to_str().unwrap()]);
        let address = device.ip_json("-4 addr show dev veth0")[0]["addr_info"][0]["local"].clone();
        let address = address.as_str().unwrap();
        end(up);

        let env = fs::read_to_string(device.folder().join("env.address")).unwrap();
        for line in [
            "BRINGUP_EVENT=address",
            "BRINGUP_INTERFACE=veth0",
            &format!("BRINGUP_ADDRESS={address}"),
            "BRINGUP_PREFIX=24",
            "BRINGUP_ROUTER=10.99.0.1",
            "BRINGUP_DNS=10.99.0.1",
            "BRINGUP_NTP=10.99.0.1",
            "BRINGUP_SEARCH=lab.test corp.test",
            "BRINGUP_MTU=1400",
            "BRINGUP_CLOCK=invalid",
        ] {
            assert!(env.lines().any(|other| other == line), "{line} in\n{env}");
        }
        assert!(!env.contains("BRINGUP_UTC_S=") && !env.contains("BRINGUP_ERROR_US="), "{env}");
        let env = fs::read_to_string(device.folder().join("env.operational")).unwrap();
        let fact = |name: &str| env.lines().find_map(|line| line.strip_prefix(name));
        assert_ne!(fact("BRINGUP_CLOCK="), Some("invalid"), "{env}");
        let error_us: u64 = fact("BRINGUP_ERROR_US=").expect("a bound").parse().expect("a number");
        assert!((1..1_000_000).contains(&error_us), "{env}");
        let json = |event: &str| -> Value {
            let text = fs::read(device.folder().join(format!("json.{event}"))).unwrap();
            serde_json::from_slice(&text).unwrap()
        };
        let json_address = json("address");
        assert_eq!(json_address["interface"], "veth0");
        let lease = &json_address["interfaces"][0]["lease"];
        assert_eq!(lease["address"], format!("{address}/24"));
        let dns = lease["facts"].as_array().unwrap().iter().find(|fact| fact["name"] == "dns");
        assert_eq!(dns.unwrap()["source"], "dhcp option 6");
        assert_eq!(json("operational")["operational"], true);
        assert_eq!(json("operational")["clock"]["servers"][0]["source"], "dhcp veth0");
        assert_eq!(json("stop")["interfaces"][0]["lease"], Value::Null);
        let gone = fs::read_to_string(device.folder().join("env.address-lost")).unwrap();
        assert!(!gone.contains("BRINGUP_ADDRESS="), "{gone}");
    });
}

/// A server may give any name that is one, and a text in some other option; what it gives is one word
/// for the hook, whatever it looks like.
#[test]
fn what_a_server_says_never_meets_a_shell() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let network = Network::plain(lab);
        // Option 114: the captive portal, an arbitrary text.
        let more = "dhcp-option-force=114,\"http://x/$(touch /run/lab/device/owned);`id`\"\n";
        let _servers = [
            servers::dnsmasq(&network.server, more),
            servers::chronyd(&network.server, servers::LOCAL),
        ];
        let device = &network.device;
        let folder = device.folder().display();
        let hook = script(device.folder(), "hook", &format!("cat >{folder}/json.$BRINGUP_EVENT"));
        end(up(device, &["--hook", hook.to_str().unwrap()]));
        let json = fs::read_to_string(device.folder().join("json.address")).unwrap();
        assert!(json.contains("$(touch /run/lab/device/owned)"), "{json}");
        assert!(!device.folder().join("owned").exists());
    });
}

#[test]
fn a_hook_that_hangs_is_killed_with_its_children_and_holds_nobody_up() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let served = served(lab);
        let device = &served.network.device;
        let pids = device.folder().join("pids");
        // It does not read what it is told, either.
        let text = format!("sleep 600 &\necho $$ $! >>{}\nwait", pids.display());
        let hook = script(device.folder(), "hook", &text);
        let start = Instant::now();
        let options = ["--hook", hook.to_str().unwrap(), "--hook-timeout", "300ms"];
        let up = up(device, &options);
        assert!(start.elapsed() < Duration::from_secs(2), "operational at once");
        eventually("the hook was killed", || up.log().contains("was killed").then_some(()));
        let log = end(up);
        assert!(log.contains("raise --hook-timeout"), "{log}");
        for pid in fs::read_to_string(pids).unwrap().split_whitespace() {
            let pid: i32 = pid.parse().unwrap();
            // The hook itself has been waited for; what it had started is left to the test, which is the
            // init of its namespace.
            // SAFETY: waitpid takes a number, a null pointer for the status, and flags.
            let wait = || unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) };
            eventually("the children are gone", || (wait() != 0).then_some(()));
        }
    });
}

#[test]
fn a_hook_that_fails_or_is_not_there_is_named() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let served = served(lab);
        let device = &served.network.device;
        let hook = script(device.folder(), "fails", "exit 7");
        let mut command = device.command(bringup());
        command.args(["up", "veth0", "--once", "--hook", "/nonexistent/hook", "--hook"]).arg(&hook);
        let outcome = run(&mut command, lab::PATIENCE);
        outcome.expect_code(0);
        assert!(outcome.stderr.contains("/nonexistent/hook"), "{outcome}");
        assert!(outcome.stderr.contains("exit code 7"), "{outcome}");
    });
}
