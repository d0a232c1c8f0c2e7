//! `bringup up` against dnsmasq and chronyd: from a bare link to OPERATIONAL and back.
#![cfg(target_os = "linux")]

use std::time::Duration;

use bringup_tests::lab::network::{DEVICE_INTERFACE, Network};
use bringup_tests::lab::servers::{self, Server};
use bringup_tests::lab::{self, Faults, Host, Lab, Outcome, PATIENCE, bringup, run};
use serde_json::{Value, json};

/// How far from the truth the time may be, microseconds.
const OFFSET_US_MAX: i64 = 5_000;
/// On a wire without faults: some round trips and the programs' own work, and no waiting.
const AT_ONCE_US: u64 = 1_000_000;

/// A network with everything that a device needs.
struct Served {
    network: Network,
    _servers: [Server; 2],
}

fn served(lab: &Lab) -> Served {
    let network = Network::plain(lab);
    let servers =
        [servers::dnsmasq(&network.server, ""), servers::chronyd(&network.server, servers::LOCAL)];
    Served { network, _servers: servers }
}

fn up(device: &Host, options: &[&str]) -> Outcome {
    let mut command = device.command(bringup());
    command.args(["up", DEVICE_INTERFACE, "--once", "--json"]).args(options);
    run(&mut command, Duration::from_secs(70))
}

/// What the kernel has for the device's interface.
#[derive(Debug, PartialEq)]
struct Configuration {
    addresses: Vec<Value>,
    routes: Vec<Value>,
    mtu: u64,
}

fn configuration(device: &Host) -> Configuration {
    let on = format!("dev {DEVICE_INTERFACE}");
    let link = device.ip_json(&format!("link show {on}")).remove(0);
    let shown = device.ip_json(&format!("-4 addr show {on}"));
    let addresses = shown
        .iter()
        .flat_map(|of| of["addr_info"].as_array().cloned().unwrap_or_default())
        .collect();
    let routes = device.ip_json(&format!("-4 route show {on}"));
    Configuration { addresses, routes, mtu: link["mtu"].as_u64().expect("a number") }
}

fn bare() -> Configuration {
    Configuration { addresses: Vec::new(), routes: Vec::new(), mtu: 1500 }
}

/// The walk was without a gap, passed what it must, in this order, and ended where it should.
fn assert_walked_to_operational(outcome: &Outcome) {
    for pair in outcome.all("state").windows(2) {
        assert_eq!(pair[0]["to"], pair[1]["from"], "{pair:?}\n{outcome}");
    }
    let states = outcome.states();
    let mut walk = states.iter();
    for state in ["IFACE_COLDPLUG", "DHCP", "TIME_VALID", "OPERATIONAL"] {
        assert!(
            walk.any(|entered| entered == state),
            "{state} in its order in {states:?}\n{outcome}"
        );
    }
    assert_eq!(walk.next(), None, "OPERATIONAL is the last\n{outcome}");
}

fn assert_time_is_true(outcome: &Outcome) {
    let time = outcome.last("time");
    assert_ne!(time["state"], "invalid", "{outcome}");
    let offset_us = time["offset_us"].as_i64().expect("`offset_us` is an integer");
    assert!(offset_us.abs() <= OFFSET_US_MAX, "the server has this machine's time\n{outcome}");
}

/// On a wire where ARP takes a second a sample may be that bad, but then it says so.
fn assert_time_is_honest(outcome: &Outcome) {
    let time = outcome.last("time");
    let offset_us = time["offset_us"].as_i64().expect("an offset").unsigned_abs();
    let error_us = time["error_us"].as_u64().expect("an error bound");
    assert!(offset_us <= error_us, "the truth lies outside the bound\n{outcome}");
}

/// `.ci/targets` runs this one as other machines, in emulators that are slow and do not have all of a kernel: a
/// stamp for arrivals is missing, and on some the MTU is refused.
#[test]
fn every_machine_becomes_operational() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let Served { network, _servers } = served(lab);
        let outcome = up(&network.device, &["--keep", "--resolve", "host.lab.test"]);
        outcome.expect_code(0);
        assert_walked_to_operational(&outcome);
        assert_time_is_honest(&outcome);
        let result = outcome.first("result");
        assert_eq!((&result["rcode"], &result["from"]), (&json!("NOERROR"), &json!("network")));

        let Configuration { addresses, routes, .. } = configuration(&network.device);
        let local = addresses[0]["local"].as_str().expect("an address");
        assert_eq!(outcome.first("address")["address"], format!("{local}/24"), "{outcome}");
        let default = routes.iter().find(|route| route["dst"] == "default");
        assert_eq!(default.expect("a route")["gateway"], "10.99.0.1", "{outcome}");
    });
}

#[test]
fn a_lease_from_dnsmasq_configures_the_interface() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let Served { network, _servers } = served(lab);
        let outcome = up(&network.device, &["--keep"]);
        outcome.expect_code(0);
        let Configuration { addresses, routes, mtu } = configuration(&network.device);

        assert_eq!(addresses.len(), 1, "{addresses:?}\n{outcome}");
        let local = addresses[0]["local"].as_str().expect("an address");
        assert!(local.starts_with("10.99.0."), "{local}");
        assert_eq!(addresses[0]["prefixlen"], 24);
        let valid_s = addresses[0]["valid_life_time"].as_u64().expect("seconds");
        assert!(
            (60..=120).contains(&valid_s),
            "the kernel forgets the address with the lease: {valid_s} s"
        );
        assert_eq!(mtu, 1400, "option 26");
        let via = |destination: &str| {
            let route = routes.iter().find(|route| route["dst"] == destination);
            route.map(|route| route["gateway"].clone())
        };
        assert_eq!(via("default"), Some(json!("10.99.0.1")), "{routes:?}");
        assert_eq!(via("10.20.0.0/16"), Some(json!("10.99.0.2")), "option 121: {routes:?}");

        let gained = outcome.first("address");
        assert_eq!(gained["interface"], DEVICE_INTERFACE);
        assert_eq!(gained["address"], format!("{local}/24"));
        assert_eq!(gained["lease_s"], 120);
        assert_eq!(gained["server"], "10.99.0.1");
    });
}

#[test]
fn the_leases_servers_lead_to_operational_at_once() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let Served { network, _servers } = served(lab);
        let outcome = up(&network.device, &["--resolve", "host.lab.test"]);
        outcome.expect_code(0);
        assert_walked_to_operational(&outcome);
        assert_time_is_true(&outcome);

        let servers = outcome.last("servers");
        assert_eq!(servers["interface"], DEVICE_INTERFACE);
        assert_eq!(servers["dns"], json!(["10.99.0.1"]), "option 6\n{outcome}");
        assert_eq!(servers["ntp"], json!(["10.99.0.1"]), "option 42\n{outcome}");
        assert_eq!(servers["search"], json!(["lab.test", "corp.test"]), "option 119\n{outcome}");

        let result = outcome.first("result");
        assert_eq!(
            (&result["rcode"], &result["from"]),
            (&json!("NOERROR"), &json!("network")),
            "{outcome}"
        );

        let t_us = outcome.last("state")["t_us"].as_u64().expect("`t_us` is an integer");
        assert!(t_us < AT_ONCE_US, "{t_us} µs until OPERATIONAL: who waits for what?\n{outcome}");
    });
}

#[test]
fn without_keep_everything_is_taken_back() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let Served { network, _servers } = served(lab);
        assert_eq!(configuration(&network.device), bare(), "before");
        up(&network.device, &[]).expect_code(0);
        assert_eq!(configuration(&network.device), bare(), "after");
    });
}

/// An address with a lifetime belongs to whoever has its lease now.
#[test]
fn a_run_takes_over_what_one_with_keep_has_left() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let Served { network, _servers } = served(lab);
        up(&network.device, &["--keep"]).expect_code(0);
        let left = configuration(&network.device);
        assert_eq!((left.addresses.len(), left.mtu), (1, 1400));
        up(&network.device, &["--keep"]).expect_code(0);
        assert_eq!(configuration(&network.device).routes, left.routes);
        up(&network.device, &[]).expect_code(0);
        let Configuration { addresses, routes, .. } = configuration(&network.device);
        assert_eq!((addresses.len(), routes.len()), (0, 0), "{addresses:?} {routes:?}");
    });
}

#[test]
fn a_dry_run_changes_nothing() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let Served { network, _servers } = served(lab);
        // With --keep, what it had added would still be there.
        let outcome = up(&network.device, &["--dry-run", "--keep", "--deadline", "5s"]);
        assert!(!outcome.all("address").is_empty(), "it says what it would add\n{outcome}");
        assert_eq!(configuration(&network.device), bare(), "{outcome}");
    });
}

#[test]
fn a_dry_run_does_not_wait_for_an_interface_that_it_may_not_set_up() {
    lab::within(&[], |lab| {
        let network = Network::plain(lab);
        network.device.ip(&format!("link set {DEVICE_INTERFACE} down"));
        let outcome = up(&network.device, &["--dry-run"]);
        outcome.expect_code(2);
        assert!(outcome.stderr.contains("is down"), "{outcome}");
        assert_eq!(outcome.all("hold"), Vec::<Value>::new(), "it waited\n{outcome}");
    });
}

#[test]
fn servers_of_the_command_line_need_none_in_the_lease() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let network = Network::plain(lab);
        // An option without a value: dnsmasq leaves it out of the lease.
        let without = "dhcp-option=option:ntp-server\ndhcp-option=option:dns-server\n";
        let _dnsmasq = servers::dnsmasq(&network.server, without);
        let _chronyd = servers::chronyd(&network.server, servers::LOCAL);
        let options =
            ["--ntp", "10.99.0.1:123", "--dns", "10.99.0.1:53", "--resolve", "v4only.lab.test"];
        let outcome = up(&network.device, &options);
        outcome.expect_code(0);
        assert_walked_to_operational(&outcome);
        assert_time_is_true(&outcome);
    });
}

#[test]
fn a_time_server_by_name_is_resolved_first() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let network = Network::plain(lab);
        let _dnsmasq = servers::dnsmasq(&network.server, "dhcp-option=option:ntp-server\n");
        let _chronyd = servers::chronyd(&network.server, servers::LOCAL);
        let outcome = up(&network.device, &["--ntp", "time.lab.test"]);
        outcome.expect_code(0);
        assert_walked_to_operational(&outcome);
        assert_time_is_true(&outcome);
    });
}

#[test]
fn without_a_dhcp_server_the_deadline_names_the_holder() {
    lab::within(&[], |lab| {
        let network = Network::plain(lab);
        let outcome = up(&network.device, &["--deadline", "2s"]);
        outcome.expect_code(2);
        let (least, most) = (Duration::from_millis(1900), Duration::from_secs(4));
        assert!((least..most).contains(&outcome.elapsed), "the deadline is 2 s\n{outcome}");
        let held = outcome.all("hold").into_iter().rev().find(|hold| hold["released"] != true);
        let held = held.unwrap_or_else(|| panic!("nobody holds\n{outcome}"));
        let holder = held["holder"].as_str().expect("`holder` is a string");
        assert!(
            !holder.is_empty() && outcome.stderr.contains(holder),
            "{holder:?} in standard error\n{outcome}"
        );
        assert_eq!(configuration(&network.device), bare());
    });
}

#[test]
fn without_time_the_address_is_there_and_the_deadline_names_the_holder() {
    lab::within(&["dnsmasq"], |lab| {
        let network = Network::plain(lab);
        let _dnsmasq = servers::dnsmasq(&network.server, "");
        let _silent = servers::silent(&network.server, "10.99.0.1:123");
        let outcome = up(&network.device, &["--keep", "--deadline", "3s"]);
        outcome.expect_code(2);
        assert!(outcome.states().iter().any(|state| state == "DHCP"), "{outcome}");
        assert!(!outcome.states().iter().any(|state| state == "TIME_VALID"), "{outcome}");
        assert_eq!(
            configuration(&network.device).addresses.len(),
            1,
            "a lease is a lease\n{outcome}"
        );
    });
}

#[test]
fn an_ntp_server_without_a_time_is_not_told_as_none() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let network = Network::plain(lab);
        let _dnsmasq = servers::dnsmasq(&network.server, "");
        let _chronyd = servers::chronyd(&network.server, "");
        let outcome = up(&network.device, &["--deadline", "3s"]);
        outcome.expect_code(2);
        assert!(outcome.stderr.contains("could not be used (unsynchronised)"), "{outcome}");
    });
}

#[test]
fn without_privileges_the_missing_one_is_named() {
    lab::within(&[], |lab| {
        let network = Network::plain(lab);
        let without = "-net_admin,-net_raw";
        let mut command = network.device.command("setpriv");
        command.args(["--bounding-set", without, "--inh-caps", without]).arg(bringup());
        let outcome = run(command.args(["up", DEVICE_INTERFACE, "--once"]), PATIENCE);
        outcome.expect_code(77);
        assert!(
            ["CAP_NET_RAW", "CAP_NET_ADMIN"].iter().any(|cap| outcome.stderr.contains(cap)),
            "{outcome}"
        );
    });
}

#[test]
fn an_interface_that_is_not_there_is_named() {
    lab::within(&[], |lab| {
        let host = lab.host("device");
        let mut command = host.command(bringup());
        let outcome = run(command.args(["up", "nothere0", "--once", "--deadline", "2s"]), PATIENCE);
        assert!(
            [2, 64].contains(&outcome.code) && outcome.stderr.contains("nothere0"),
            "{outcome}"
        );
    });
}

#[test]
fn a_slow_and_lossy_wire_ends_operational_all_the_same() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let network = Network::with_faults(lab, Faults::default());
        let _servers = [
            servers::dnsmasq(&network.server, ""),
            servers::chronyd(&network.server, servers::LOCAL),
        ];
        let ms = Duration::from_millis;
        let faults = Faults {
            // This one loses the first DISCOVER and four of the next ten frames that the device
            // sends.
            seed: 11,
            loss_percent: 30,
            delay: ms(60),
            jitter: ms(20),
            ..Faults::default()
        };
        let wire = network.wire.as_ref().expect("it has one");
        wire.set(faults);
        let outcome = up(&network.device, &["--resolve", "host.lab.test"]);
        outcome.expect_code(0);
        assert_walked_to_operational(&outcome);
        assert!(wire.counts().lost > 0, "{:?}\n{outcome}", wire.counts());
    });
}

#[test]
fn duplicates_and_flipped_bits_do_no_harm() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let network = Network::with_faults(lab, Faults::default());
        let _servers = [
            servers::dnsmasq(&network.server, ""),
            servers::chronyd(&network.server, servers::LOCAL),
        ];
        let faults =
            Faults { seed: 4, duplicate_percent: 50, corrupt_percent: 20, ..Faults::default() };
        let wire = network.wire.as_ref().expect("it has one");
        wire.set(faults);
        let outcome = up(&network.device, &["--resolve", "host.lab.test"]);
        outcome.expect_code(0);
        assert_walked_to_operational(&outcome);
        assert_time_is_honest(&outcome);
        assert!(wire.counts().duplicated > 0, "{:?}", wire.counts());
    });
}

#[test]
fn sixty_four_interfaces_have_room_beside_each_other() {
    lab::within(&[], |lab| {
        let (far, device) = (lab.host("far"), lab.host("device"));
        let names: Vec<String> = (0..64).map(|number| format!("veth{number}")).collect();
        for name in &names {
            lab.cable((&far, name), (&device, name));
        }
        // Nobody answers: that is all that there is to complain of.
        let mut command = device.command(bringup());
        command.args(["up", "--once", "--json", "--deadline", "2s"]).args(&names);
        let outcome = run(&mut command, PATIENCE);
        outcome.expect_code(2);
        let error = outcome.last("error");
        assert_eq!(error["what"], "the state DHCP", "{outcome}");
    });
}
