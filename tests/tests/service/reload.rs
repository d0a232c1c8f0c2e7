//! A configuration file, and what SIGHUP makes of another one, while the lease stays.

use std::fs;
use std::path::Path;

use bringup_tests::lab::network::DEVICE_INTERFACE;
use bringup_tests::lab::servers::{self, Server};
use bringup_tests::lab::{self, Host, PATIENCE, bringup, eventually, run};
use serde_json::Value;

use super::{end, served};

/// A configuration with these lines besides.
fn configure(folder: &Path, more: &str) {
    let socket = folder.join("status.sock");
    let text = format!(
        "interfaces = [\"{DEVICE_INTERFACE}\"]\nsocket = \"{}\"\nhook = \"/bin/true\"\n{more}",
        socket.display()
    );
    fs::write(folder.join("bringup.toml"), text).unwrap();
}

fn status(device: &Host) -> Value {
    let mut command = device.command(bringup());
    let outcome = run(command.args(["status", "--json", "--socket", "status.sock"]), PATIENCE);
    outcome.first("status")
}

/// The events of a name that it has told so far.
fn told(up: &Server, event: &str) -> Vec<Value> {
    let objects = up.log();
    let objects = objects.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    objects.filter(|object| object["event"] == event).collect()
}

/// Sends SIGHUP, and waits for what it brings.
fn reload(up: &Server, event: &str) -> Value {
    let before = told(up, event).len();
    up.signal(libc::SIGHUP);
    eventually(event, || told(up, event).get(before).cloned())
}

#[test]
fn other_servers_and_hooks_hold_at_once_and_the_lease_stays() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let served = served(lab);
        let (server, device) = (&served.network.server, &served.network.device);
        server.ip("addr add 10.99.0.2/24 dev s0");
        server.ip("addr add 10.99.0.3/24 dev s0");
        let _time = servers::chronyd_at(server, "10.99.0.2", servers::LOCAL);
        let folder = device.folder();
        configure(folder, "");
        let mut command = device.command(bringup());
        command.args(["up", "--json", "--config", "bringup.toml"]);
        let log = folder.join("up.log");
        let up = Server::start(device, "up", &mut command, || {
            fs::read_to_string(&log).is_ok_and(|log| log.contains(r#""to":"OPERATIONAL""#))
        });
        assert_eq!(status(device)["clock"]["servers"].as_array().unwrap().len(), 1);

        configure(
            folder,
            "ntp = [\"10.99.0.2\", \"time.lab.test\"]\ndns = [\"10.99.0.3\"]\nkeep = true\n",
        );
        let reloaded = reload(&up, "reloaded");
        assert_eq!(reloaded["applied"], serde_json::json!(["dns", "ntp"]));
        assert_eq!(reloaded["at_next_start"], serde_json::json!(["keep"]));
        let servers = eventually("the other server answers", || {
            let servers = status(device)["clock"]["servers"].clone();
            let list = servers.as_array().unwrap().clone();
            let answers = |s: &Value| s["server"] == "10.99.0.2" && s["verdict"] == "ok";
            list.iter().any(answers).then_some(list)
        });
        let sources: Vec<&str> = servers.iter().map(|s| s["source"].as_str().unwrap()).collect();
        assert!(sources.contains(&"configured"), "{servers:?}");
        let report = status(device);
        let dns = &report["dns"]["servers"][0];
        assert_eq!((&dns["server"], &dns["source"]), (&"10.99.0.3".into(), &"configured".into()));

        // The servers of names come and go, too.
        configure(folder, "hook-timeout = \"2s\"\n");
        let reloaded = reload(&up, "reloaded");
        assert_eq!(reloaded["applied"], serde_json::json!(["dns", "ntp", "hook-timeout"]));
        let report = status(device);
        let left = report["clock"]["servers"].as_array().unwrap();
        assert!(left.iter().all(|server| server["source"] == "dhcp veth0"), "{left:?}");

        // What is wrong changes nothing, and is told with its place.
        configure(folder, "ntp = [\"10.99.0.2:x\"]\n");
        let error = reload(&up, "error");
        assert!(error["what"].as_str().unwrap().ends_with("bringup.toml:4:8"), "{error}");
        fs::remove_file(folder.join("bringup.toml")).unwrap();
        reload(&up, "error");
        assert_eq!(status(device)["state"], "OPERATIONAL");

        let lost = told(&up, "address").iter().filter(|a| a["lost"] == true).count();
        assert_eq!(lost, 0, "the lease stays");
        let states = told(&up, "state");
        let entered = states.iter().filter(|s| s["to"] == "OPERATIONAL").count();
        assert_eq!((entered, states.last().unwrap()["to"].as_str()), (1, Some("OPERATIONAL")));
        end(up);
    });
}

#[test]
fn a_lease_is_given_back_if_that_was_asked_for() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let network = bringup_tests::lab::network::Network::plain(lab);
        let dnsmasq = servers::dnsmasq(&network.server, "");
        let _chronyd = servers::chronyd(&network.server, servers::LOCAL);
        let device = &network.device;
        let lease = device.folder().join("state/lease.veth0");
        for (options, released) in
            [(&["--state-dir", "state"][..], false), (&["--state-dir", "state", "--release"], true)]
        {
            let up = super::up(device, options);
            eventually("the lease is kept", || lease.exists().then_some(()));
            end(up);
            let shown = device.ip_json(&format!("-4 addr show dev {DEVICE_INTERFACE}"));
            assert!(!shown.iter().any(|of| of["addr_info"][0]["local"].is_string()), "{shown:?}");
            assert_eq!(lease.exists(), !released, "what was given back is not asked for again");
            if released {
                eventually("RELEASE", || dnsmasq.log().contains("DHCPRELEASE(s0)").then_some(()));
            } else {
                assert!(!dnsmasq.log().contains("DHCPRELEASE"), "{}", dnsmasq.log());
            }
        }
    });
}

#[test]
fn names_of_the_hosts_file_are_answered() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let served = served(lab);
        let device = &served.network.device;
        let socket = device.folder().join("status.sock");
        let up = super::up(device, &["--socket", socket.to_str().unwrap()]);
        let mut query = device.command(bringup());
        query.args(["query", "localhost", "A", "--service", "--socket", "status.sock", "--json"]);
        let outcome = run(&mut query, PATIENCE);
        assert_ne!(outcome.first("result")["from"], "network", "{outcome}");
        end(up);
    });
}

#[test]
fn a_file_that_is_wrong_is_wrong_usage_and_a_no_for_check() {
    lab::within(&[], |lab| {
        let device = lab.host("device");
        fs::write(device.folder().join("wrong.toml"), "interfaces = [\"eth0\"]\nkep = true\n")
            .unwrap();
        fs::write(device.folder().join("right.toml"), "interfaces = [\"eth0\"]\nkeep = true\n")
            .unwrap();
        let said = |arguments: &[&str]| run(device.command(bringup()).args(arguments), PATIENCE);
        let wrong = said(&["check", "wrong.toml", "--json"]);
        wrong.expect_code(1);
        let checked = wrong.first("checked");
        assert_eq!((&checked["ok"], &checked["mistakes"][0]["line"]), (&false.into(), &2.into()));
        assert_eq!(wrong.first("error")["hint"], "did you mean `keep`?");
        said(&["check", "right.toml"]).expect_code(0);
        said(&["check", "missing.toml"]).expect_code(2);
        said(&["up", "--config", "wrong.toml"]).expect_code(64);
        said(&["up", "--config", "missing.toml"]).expect_code(64);
        // Read, and then the interface is looked for.
        let up = said(&["up", "--config", "right.toml"]);
        assert!(up.expect_code(2).stderr.contains("the interface eth0"), "{up}");
    });
}
