//! What can be asked of a running `up`, and that nobody who asks can hold it up.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use bringup_tests::lab::network::{DEVICE_INTERFACE, Network};
use bringup_tests::lab::servers::{self, Server};
use bringup_tests::lab::{self, Host, Outcome, PATIENCE, bringup, eventually, run};
use serde_json::{Value, json};

use super::{end, served, up};

/// A service with a socket of its own.
fn asked(device: &Host) -> (Server, PathBuf) {
    let socket = device.folder().join("status.sock");
    (up(device, &["--socket", socket.to_str().unwrap()]), socket)
}

fn status(device: &Host, arguments: &[&str]) -> Outcome {
    let mut command = device.command(bringup());
    run(command.args(arguments).args(["--socket", "status.sock"]), PATIENCE)
}

#[test]
fn routes_that_find_no_room_are_told_and_counted() {
    lab::within(&["dnsmasq"], |lab| {
        let network = Network::plain(lab);
        let routes: String = (1..=19).map(|net| format!(",10.{net}.0.0/16,10.99.0.2")).collect();
        let option = format!("dhcp-option=option:classless-static-route{routes}\n");
        let _dnsmasq = servers::dnsmasq(&network.server, &option);
        let device = &network.device;
        let mut command = device.command(bringup());
        command.args(["up", DEVICE_INTERFACE, "--json", "--socket", "status.sock"]);
        let log = device.folder().join("up.log");
        let up = Server::start(device, "up", &mut command, || {
            fs::read_to_string(&log).is_ok_and(|log| log.contains(r#""holder":"ntp""#))
        });
        let report = status(device, &["status", "--json"]).first("status");
        assert_eq!(report["interfaces"][0]["lease"]["routes_left_out"], 3, "{report}");
        let text = status(device, &["status"]).stdout;
        assert!(text.contains("route     3 of them have found no room"), "{text}");
        let log = end(up);
        let error = log.lines().find(|line| line.contains("the routes of")).expect("it is told");
        assert!(error.contains("the lease has 3 more than the 16 that are put in"), "{error}");
    });
}

#[test]
fn status_shows_states_leases_servers_cache_clock_and_discards() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let served = served(lab);
        let device = &served.network.device;
        let (up, _socket) = asked(device);
        status(device, &["query", "host.lab.test", "A", "--service"]).expect_code(0);
        let outcome = status(device, &["status", "--json"]);
        outcome.expect_code(0);
        let report = outcome.first("status");
        assert_eq!(
            (&report["state"], &report["operational"]),
            (&json!("OPERATIONAL"), &json!(true))
        );

        let visits = report["states"].as_array().unwrap();
        let visit = |state: &str| visits.iter().find(|visit| visit["state"] == state).unwrap();
        assert_eq!(visit("DHCP")["holders"], json!(["dhcp"]));
        assert!(visit("DHCP")["held_us"].as_u64().unwrap() > 0);
        let entered = |state: &str| visit(state)["entered_us"].as_u64().unwrap();
        assert!(entered("DHCP") < entered("OPERATIONAL"));

        let lease = &report["interfaces"][0]["lease"];
        assert_eq!(report["interfaces"][0]["dhcp"], "BOUND");
        let seconds = |name: &str| lease[name].as_u64().unwrap();
        assert!(seconds("renew_in_s") < seconds("rebind_in_s"));
        assert!((100..=120).contains(&seconds("expires_in_s")), "{lease}");
        let facts = lease["facts"].as_array().unwrap();
        let fact = facts.iter().find(|fact| fact["name"] == "ntp").unwrap();
        assert_eq!(
            (&fact["value"], &fact["source"]),
            (&json!("10.99.0.1"), &json!("dhcp option 42"))
        );

        let server = &report["dns"]["servers"][0];
        assert_eq!(
            (&server["server"], &server["source"]),
            (&json!("10.99.0.1"), &json!("dhcp veth0"))
        );
        assert!(server["round_trip_us"].as_u64().unwrap() > 0, "{server}");
        assert!(report["dns"]["cache_entries"].as_u64().unwrap() > 0);
        assert!(report["clock"]["error_us"].is_u64() && report["clock"]["offset_us"].is_i64());
        assert_eq!(report["clock"]["servers"][0]["verdict"], "ok");
        for protocol in [&report["interfaces"][0], &report["dns"], &report["clock"]] {
            assert!(protocol["discards"].as_object().unwrap().len() > 10, "each reason by name");
        }

        let text = status(device, &["status"]).stdout;
        for part in
            ["OPERATIONAL", "held by dhcp", "dhcp option 42", "round trip", "ends in", "add "]
        {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        end(up);
    });
}

#[test]
fn metrics_are_families_of_lines() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let served = served(lab);
        let device = &served.network.device;
        let (up, _socket) = asked(device);
        let outcome = status(device, &["status", "--metrics"]);
        let mut families = Vec::new();
        for line in outcome.expect_code(0).stdout.lines() {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                families.push(family.split(' ').next().unwrap().to_owned());
            } else if !line.starts_with('#') {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
                let name = name.split('{').next().unwrap();
                assert_eq!(families.last().map(String::as_str), Some(name), "in one piece: {line}");
            }
        }
        for family in
            ["bringup_operational", "bringup_discards_total", "bringup_clock_error_seconds"]
        {
            assert!(families.iter().any(|other| other == family), "{family}");
        }
        let discards =
            r#"bringup_discards_total{protocol="dhcp",name="wrong-xid",interface="veth0"} "#;
        assert!(outcome.stdout.contains(discards));
        end(up);
    });
}

#[test]
fn query_asks_the_services_cache() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let served = served(lab);
        let device = &served.network.device;
        let (up, _socket) = asked(device);
        for from in ["network", "cache"] {
            let outcome = status(device, &["query", "www.lab.test", "--service", "--json"]);
            outcome.expect_code(0);
            assert_eq!(outcome.all("result").len(), 2, "A and AAAA");
            assert!(outcome.all("result").iter().all(|result| result["from"] == from), "{outcome}");
            assert_eq!(outcome.all("answer").len(), 3, "the alias once\n{outcome}");
        }
        let name = |name: &str| status(device, &["query", name, "A", "--service"]);
        name("nobody.lab.test").expect_code(1);
        assert!(name("a..b").expect_code(2).stderr.contains("is not a domain name"));
        end(up);
    });
}

#[test]
fn before_it_is_operational_the_holder_is_named_and_a_watcher_sees_the_change() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let network = Network::plain(lab);
        let device = &network.device;
        let mut command = device.command(bringup());
        command.args(["up", "veth0", "--socket", "status.sock"]);
        let socket = device.folder().join("status.sock");
        let up = Server::start(device, "up", &mut command, || socket.exists());
        eventually("DHCP is held", || {
            status(device, &["status"]).stdout.contains("DHCP has waited for dhcp").then_some(())
        });
        status(device, &["status"]).expect_code(1);

        let mut watcher = UnixStream::connect(&socket).unwrap();
        watcher.set_read_timeout(Some(PATIENCE)).unwrap();
        watcher.write_all(b"watch\n").unwrap();
        let mut reports = BufReader::new(watcher).lines();
        let mut next = || serde_json::from_str::<Value>(&reports.next().unwrap().unwrap()).unwrap();
        assert_eq!(next()["held"]["holder"], "dhcp");
        let _servers = [
            servers::dnsmasq(&network.server, ""),
            servers::chronyd(&network.server, servers::LOCAL),
        ];
        while next()["operational"] != true {}
        end(up);
        assert!(!socket.exists());
    });
}

#[test]
fn those_who_ask_too_much_or_take_too_little_are_turned_away() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let served = served(lab);
        let device = &served.network.device;
        let (up, socket) = asked(device);
        let connect = || {
            let stream = UnixStream::connect(&socket).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
            stream
        };
        let is_closed = |mut stream: &UnixStream| !matches!(stream.read(&mut [0; 1]), Ok(1..));
        // What is no request, or never ends, is no request.
        for junk in [&b"GET / HTTP/1.1\r\n"[..], &[b'x'; 4_096]] {
            let mut stream = connect();
            let _ = stream.write_all(junk);
            assert!(is_closed(&stream));
        }
        // Eight say nothing at all: the ninth is turned away at once, and they are later.
        let silent: Vec<UnixStream> = (0..8).map(|_| connect()).collect();
        assert!(is_closed(&connect()));
        assert!(silent.iter().all(is_closed));
        let outcome = status(device, &["status", "--json"]);
        outcome.expect_code(0);
        let clients = &outcome.first("status")["service"]["clients"];
        assert_eq!((&clients["refused"], &clients["dropped"]), (&json!(1), &json!(8)), "{clients}");
        end(up);
    });
}

#[test]
fn without_a_service_it_is_said_where_one_was_looked_for() {
    lab::within(&[], |lab| {
        let device = lab.host("device");
        let outcome = status(&device, &["status"]);
        assert!(outcome.expect_code(2).stderr.contains("status.sock"), "{outcome}");
    });
}
