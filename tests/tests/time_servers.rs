//! NTP servers that lie, that kiss, that are far away, and those of other houses. Nothing here sets a
//! clock, and nothing here could.
#![cfg(target_os = "linux")]

use std::fs;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bringup_tests::lab::network::{DEVICE_INTERFACE, Network, SERVER_INTERFACE};
use bringup_tests::lab::relay::{Way, relay};
use bringup_tests::lab::servers::{self, Server};
use bringup_tests::lab::{self, Host, Lab, Outcome, bringup, run};
use serde_json::Value;

/// How far from the truth the time of a server on this machine may be, microseconds.
const OFFSET_US_MAX: i64 = 5_000;

/// Whether what was told of the time is so near this offset, microseconds: within 5 ms, or within the bound
/// that was told with it, where a busy machine has let a reply wait.
fn is_near(time: &Value, offset_us: i64) -> bool {
    let off_us = (micros(time, "offset_us") - offset_us).abs();
    off_us <= OFFSET_US_MAX.max(micros(time, "error_us"))
}

fn time(device: &Host, arguments: &[&str]) -> Outcome {
    let mut command = device.command(bringup());
    run(command.arg("time").args(arguments).arg("--json"), Duration::from_secs(30))
}

/// A network whose server has these addresses in `10.99.0.0/24`, and a device with one.
fn network(lab: &Lab, addresses: &[u8]) -> Network {
    let network = Network::plain(lab);
    network.give_the_device_an_address();
    for last in addresses {
        network.server.ip(&format!("addr add 10.99.0.{last}/24 dev {SERVER_INTERFACE}"));
    }
    network
}

fn micros(of: &Value, field: &str) -> i64 {
    of[field].as_i64().unwrap_or_else(|| panic!("`{field}` in {of}"))
}

/// What was said of a server.
fn said_of<'a>(asked: &'a [Value], address: &str) -> &'a Value {
    let of = |one: &&Value| one["server"].as_str().is_some_and(|text| text.starts_with(address));
    asked.iter().find(of).unwrap_or_else(|| panic!("{address} in {asked:?}"))
}

#[test]
fn a_server_that_is_three_seconds_ahead_is_measured_to_the_millisecond() {
    lab::within(&["chronyd"], |lab| {
        let network = network(lab, &[2]);
        let _true = servers::chronyd(&network.server, servers::LOCAL);
        let _ahead = servers::chronyd_ahead(&network.server, "10.99.0.2", 3.0);
        let outcome = time(&network.device, &["10.99.0.2", "--samples", "2"]);
        outcome.expect_code(0);
        assert!(is_near(&outcome.last("time"), 3_000_000), "{outcome}");
        assert_eq!(outcome.last("time")["state"], "confirmed", "{outcome}");
    });
}

#[test]
fn c2_a_bad_first_server_of_four_is_outvoted() {
    lab::within(&["chronyd"], |lab| {
        let network = network(lab, &[2, 3, 4]);
        let _true = [
            servers::chronyd(&network.server, servers::LOCAL),
            servers::chronyd_at(&network.server, "10.99.0.3", servers::LOCAL),
            servers::chronyd_at(&network.server, "10.99.0.4", servers::LOCAL),
        ];
        let _bad = servers::chronyd_ahead(&network.server, "10.99.0.2", 3_600.0);
        let servers = ["10.99.0.2", "10.99.0.1", "10.99.0.3", "10.99.0.4"];
        let outcome = time(&network.device, &servers);
        outcome.expect_code(0);
        let asked = outcome.all("server");
        assert_eq!(said_of(&asked, "10.99.0.2")["verdict"], "outvoted", "{outcome}");
        assert_eq!(asked.iter().filter(|one| one["verdict"] == "ok").count(), 3, "{outcome}");
        let time = outcome.last("time");
        assert_eq!(time["state"], "confirmed", "{outcome}");
        assert!(is_near(&time, 0), "{outcome}");
    });
}

#[test]
fn c2_two_that_contradict_each_other_leave_no_time_and_a_third_decides() {
    lab::within(&["chronyd"], |lab| {
        let network = network(lab, &[2, 3]);
        let _true = [
            servers::chronyd(&network.server, servers::LOCAL),
            servers::chronyd_at(&network.server, "10.99.0.3", servers::LOCAL),
        ];
        let _bad = servers::chronyd_ahead(&network.server, "10.99.0.2", 3_600.0);
        let _silent = servers::silent(&network.server, "10.99.0.1:1234");
        // With a third that is silent it is the deadline that ends it.
        for more in [&[][..], &["10.99.0.1:1234", "--deadline", "3s"]] {
            let outcome = time(&network.device, &[&["10.99.0.2", "10.99.0.1"], more].concat());
            outcome.expect_code(1);
            let time = outcome.last("time");
            assert_eq!((&time["state"], &time["offset_us"]), (&"invalid".into(), &Value::Null));
            let why = outcome.first("error")["why"].to_string();
            assert!(why.contains("contradict each other"), "{outcome}");
        }
        let outcome = time(&network.device, &["10.99.0.2", "10.99.0.1", "10.99.0.3"]);
        outcome.expect_code(0);
        assert!(is_near(&outcome.last("time"), 0), "{outcome}");
        let alone = time(&network.device, &["10.99.0.2"]);
        alone.expect_code(0);
        assert_eq!(alone.last("time")["state"], "provisional", "{alone}");
    });
}

#[test]
fn nobody_is_waited_for_where_nobody_is() {
    lab::within(&[], |lab| {
        let network = network(lab, &[]);
        // A port that is closed, and an address to which there is no route.
        for servers in [&["10.99.0.1:1230"][..], &["198.51.100.1"], &["10.99.0.1", "198.51.100.1"]]
        {
            let outcome = time(&network.device, &[servers, &["--deadline", "20s"]].concat());
            outcome.expect_code(2);
            assert!(outcome.elapsed < Duration::from_secs(10), "the deadline is 20 s\n{outcome}");
            assert_eq!(outcome.all("server").len(), servers.len(), "{outcome}");
            assert!(outcome.all("server").iter().all(|s| s["verdict"] == "no-reply"), "{outcome}");
        }
    });
}

#[test]
fn a_way_that_is_longer_out_than_home_shifts_by_half_the_difference_and_says_so() {
    lab::within(&["chronyd"], |lab| {
        let network = network(lab, &[9]);
        let _chronyd = servers::chronyd(&network.server, servers::LOCAL);
        let (out, home) = (Duration::from_millis(40), Duration::from_millis(10));
        relay(&network.server, "10.99.0.9:123", "10.99.0.1:123", Way { out, home, lose_first: 0 });
        let outcome = time(&network.device, &["10.99.0.9"]);
        outcome.expect_code(0);
        let server = outcome.first("server");
        // A busy machine lets a datagram wait, on its way out or home.
        let waited_us = micros(&server, "delay_us") - 50_000;
        assert!(waited_us >= 0, "{outcome}");
        let time = outcome.last("time");
        let offset_us = micros(&time, "offset_us");
        let most_us = OFFSET_US_MAX + waited_us / 2;
        assert!((offset_us - 15_000).abs() <= most_us, "{offset_us}\n{outcome}");
        assert!(offset_us.abs() <= micros(&time, "error_us"), "the truth is within\n{outcome}");
    });
}

#[test]
fn a_lost_first_packet_costs_a_second() {
    lab::within(&["chronyd"], |lab| {
        let network = network(lab, &[9]);
        let _chronyd = servers::chronyd(&network.server, servers::LOCAL);
        let way = Way { lose_first: 1, ..Way::default() };
        relay(&network.server, "10.99.0.9:123", "10.99.0.1:123", way);
        let outcome = time(&network.device, &["10.99.0.9"]);
        outcome.expect_code(0);
        let heard_us = micros(&outcome.first("server"), "t_us");
        assert!((1_000_000..2_200_000).contains(&heard_us), "{heard_us}\n{outcome}");
    });
}

/// Waits until a server answers with this stratum.
fn until_stratum(host: &Host, stratum: u8) {
    lab::eventually("its stratum", || {
        // ntpsec answers no address that asks more often.
        thread::sleep(Duration::from_millis(700));
        let reply = servers::ask(host, "10.99.0.1:123", &servers::ntp_request())?;
        (reply[1] == stratum).then_some(())
    });
}

#[test]
fn k5_ntpsec_that_is_not_ready_says_init_and_then_gives_the_time() {
    lab::within(&["ntpd"], |lab| {
        let network = network(lab, &[]);
        let _ntpsec = servers::ntpsec(&network.server, "");
        let early = time(&network.device, &["10.99.0.1", "--deadline", "1s"]);
        early.expect_code(1);
        assert_eq!(early.first("server")["verdict"], "kiss-other", "{early}");
        until_stratum(&network.server, 5);
        let outcome = time(&network.device, &["10.99.0.1"]);
        outcome.expect_code(0);
        assert!(is_near(&outcome.last("time"), 0), "{outcome}");
    });
}

#[test]
fn k2_ntpsec_that_kisses_rate_is_not_asked_again() {
    lab::within(&["ntpd"], |lab| {
        let network = network(lab, &[]);
        let limit =
            "restrict default limited kod\nrestrict 10.99.0.1\nlimit average 1 burst 1 kod 1\n";
        let _ntpsec = servers::ntpsec(&network.server, limit);
        until_stratum(&network.server, 5);
        // A first request by hand, from the device's own address; the second is one too many.
        let asked = servers::ask(&network.device, "10.99.0.1:123", &servers::ntp_request());
        assert!(asked.is_some());
        let outcome = time(&network.device, &["10.99.0.1", "--deadline", "9s"]);
        outcome.expect_code(1);
        assert_eq!(outcome.first("server")["verdict"], "kiss-rate", "{outcome}");
        assert!(
            outcome.elapsed < Duration::from_secs(5),
            "there is nothing to wait for\n{outcome}"
        );
    });
}

#[test]
fn openntpd_that_knows_no_time_is_an_answer_of_no() {
    lab::within(&["openntpd", "mount"], |lab| {
        let network = network(lab, &[]);
        let folder = network.server.folder();
        let home = folder.join("openntpd");
        fs::create_dir(&home).expect("the host's own folder");
        // It gives its rights up for those of a user of this name; it has no others to give up here.
        let users = format!("root:x:0:0::/:/bin/sh\nntpd:x:0:0::{}:/bin/false\n", home.display());
        fs::write(folder.join("passwd"), users).expect("the host's own folder");
        fs::write(folder.join("openntpd.conf"), "listen on 10.99.0.1\n").expect("the same");
        let mut command = network.server.command("openntpd");
        let program = command.get_program().to_owned();
        let libraries = command.get_envs().find(|(name, _)| *name == "LD_LIBRARY_PATH");
        let libraries = libraries.and_then(|(_, folders)| folders).map(ToOwned::to_owned);
        command = network.server.command("sh");
        let script = "mount --bind passwd /etc/passwd && mount -t tmpfs none /var/lib && \
                      mkdir -p /var/lib/openntpd/run /var/lib/openntpd/db && \
                      LD_LIBRARY_PATH=$2 exec \"$1\" -d -f openntpd.conf";
        command.current_dir(folder).args(["-c", script, "sh"]).arg(program);
        command.arg(libraries.unwrap_or_default());
        let _openntpd = Server::start(&network.server, "openntpd", &mut command, || {
            servers::ask(&network.server, "10.99.0.1:123", &servers::ntp_request()).is_some()
        });
        let outcome = time(&network.device, &["10.99.0.1"]);
        outcome.expect_code(1);
        let verdict = &outcome.first("server")["verdict"];
        assert!(verdict == "unsynchronised" || verdict == "kiss-other", "{outcome}");
    });
}

/// The device's own program under strace(1), which answers in place of the kernel what would change a
/// clock; nobody here has the right to do so either. The program asks the kernel what it may: that
/// answer is taken away, so that it goes on.
fn traced(device: &Host, arguments: &[&str]) -> (Outcome, String) {
    let log = device.folder().join("strace.log");
    let mut command = device.command("strace");
    command
        .args(["-f", "-v", "-e", "trace=clock_adjtime,adjtimex,clock_settime,settimeofday,capget"])
        .args(["-e", "inject=clock_adjtime,adjtimex,clock_settime,settimeofday:retval=0"])
        .args(["-e", "inject=capget:error=ENOSYS:when=1", "-o"])
        .arg(&log)
        .arg(bringup())
        .args(arguments);
    let outcome = run(&mut command, Duration::from_secs(60));
    let log = fs::read_to_string(&log).expect("strace has written it");
    let calls = log.lines().filter(|line| !line.contains("capget("));
    (outcome, calls.collect::<Vec<_>>().join("\n"))
}

#[test]
fn set_clock_really_calls_and_nothing_else_does() {
    lab::within(&["dnsmasq", "chronyd", "strace"], |lab| {
        let network = Network::plain(lab);
        network.server.ip(&format!("addr add 10.99.0.2/24 dev {SERVER_INTERFACE}"));
        let _true = servers::chronyd(&network.server, servers::LOCAL);
        let _ahead = servers::chronyd_ahead(&network.server, "10.99.0.2", 3.0);
        for (option_42, set_clock, expected) in [
            ("10.99.0.1", true, Some("ADJ_OFFSET_SINGLESHOT")),
            ("10.99.0.2", true, Some("ADJ_SETOFFSET|ADJ_NANO")),
            ("10.99.0.2", false, None),
        ] {
            let more = format!("dhcp-option=option:ntp-server,{option_42}\n");
            let _dnsmasq = servers::dnsmasq(&network.server, &more);
            let mut arguments = vec!["up", DEVICE_INTERFACE, "--once", "--json"];
            arguments.extend(set_clock.then_some("--set-clock"));
            let (outcome, calls) = traced(&network.device, &arguments);
            outcome.expect_code(0);
            match expected {
                Some(mode) => assert!(calls.contains(mode), "{mode}\n{calls}\n{outcome}"),
                None => assert!(!calls.contains('('), "{calls}\n{outcome}"),
            }
            assert!(!calls.contains("ADJ_STATUS"), "one sample is not confirmed\n{calls}");
        }
    });
}

/// The daemon-restart attack (RFC 8633 §5.2): a clock that was right before the restart and has run on is
/// not set an hour ahead after it, by the first sample of a start; one that was never right is.
#[test]
fn c4_a_restart_does_not_bypass_the_panic_limit() {
    lab::within(&["dnsmasq", "chronyd", "strace"], |lab| {
        let network = Network::plain(lab);
        network.server.ip(&format!("addr add 10.99.0.2/24 dev {SERVER_INTERFACE}"));
        let _true = servers::chronyd(&network.server, servers::LOCAL);
        let _ahead = servers::chronyd_ahead(&network.server, "10.99.0.2", 3_600.0);
        let more = "dhcp-option=option:ntp-server,10.99.0.2\n";
        let _dnsmasq = servers::dnsmasq(&network.server, more);
        let state = network.device.folder().join("state");
        fs::create_dir(&state).expect("the host's own folder");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let second = i64::try_from(now).expect("before 2262") - 100;
        let utc = bringup::core::time::Utc::from_unix_secs(second);
        let state_dir = state.to_str().expect("a text");
        let arguments = ["up", DEVICE_INTERFACE, "--once", "--json", "--set-clock"];
        let more = ["--deadline", "4s", "--state-dir", state_dir];
        let arguments = [arguments.as_slice(), &more].concat();
        for (word, code, steps) in [("followed", 2, false), ("apart", 0, true)] {
            let saved = format!("{second} {utc} {word}\n");
            fs::write(state.join("clock"), saved).expect("the host's own folder");
            let (outcome, calls) = traced(&network.device, &arguments);
            outcome.expect_code(code);
            assert_eq!(calls.contains("ADJ_SETOFFSET"), steps, "{word}\n{calls}\n{outcome}");
            let panics = |e: &Value| e["why"].as_str().is_some_and(|w| w.contains(" s off"));
            let told = outcome.all("error").iter().any(panics);
            assert_eq!(told, !steps, "{word}\n{outcome}");
        }
    });
}

#[test]
fn d7_the_kernel_is_told_that_its_clock_is_right_once_the_time_is_confirmed() {
    lab::within(&["dnsmasq", "chronyd", "strace"], |lab| {
        let network = Network::plain(lab);
        let _true = servers::chronyd(&network.server, servers::LOCAL);
        let more = "dhcp-option=option:ntp-server,10.99.0.1\n";
        let _dnsmasq = servers::dnsmasq(&network.server, more);
        // A name that nobody knows holds OPERATIONAL back for as long as a second sample takes.
        let arguments = ["up", DEVICE_INTERFACE, "--once", "--json", "--set-clock"];
        let more = ["--resolve", "host.nowhere.test", "--deadline", "5s"];
        let (outcome, calls) = traced(&network.device, &[arguments.as_slice(), &more].concat());
        outcome.expect_code(2);
        assert_eq!(outcome.last("time")["state"], "confirmed", "{outcome}");
        let told = |line: &&str| line.contains("modes=ADJ_MAXERROR|ADJ_ESTERROR|ADJ_STATUS,");
        let told = calls.lines().find(told).unwrap_or_else(|| panic!("{calls}\n{outcome}"));
        let maxerror = told.split("maxerror=").nth(1).and_then(|rest| rest.split(',').next());
        let maxerror: u64 = maxerror.and_then(|text| text.parse().ok()).expect("a number");
        assert!((1..1_000_000).contains(&maxerror), "{told}");
        assert!(told.contains("status=0,"), "without STA_UNSYNC: {told}");
    });
}
