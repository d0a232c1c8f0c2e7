//! Without an operating system: DHCP, DNS, NTP and the states on a Cortex-M3 with 64 KiB of RAM, in an emulator,
//! against dnsmasq and chronyd (`platform/examples/lm3s6965`, which tests/run builds).
#![cfg(target_os = "linux")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bringup_tests::lab::board::{self, EMULATOR};
use bringup_tests::lab::network::{DEVICE_INTERFACE, Network};
use bringup_tests::lab::{self, built, servers};

/// The program gives up after a minute; a loaded machine stops the emulated one for a while.
const DEADLINE: Duration = Duration::from_secs(90);

#[test]
fn a_microcontroller_becomes_operational() {
    lab::within_time(DEADLINE * 2, &["dnsmasq", "chronyd", EMULATOR], |lab| {
        let network = Network::plain(lab);
        let _servers = [
            servers::dnsmasq(&network.server, ""),
            servers::chronyd(&network.server, servers::LOCAL),
        ];
        let program = built("bringup-lm3s6965");
        let outcome = board::lm3s6965(&network.device, DEVICE_INTERFACE, &program, DEADLINE);
        outcome.expect_code(0);

        let mut lines = outcome.stdout.lines();
        for line in
            ["state DHCP", "state TIME_VALID", "state OPERATIONAL", "attached", "answer 10.99.0.10"]
        {
            assert!(lines.any(|said| said == line), "{line}\n{outcome}");
        }
        let words = |of: &str| -> Vec<&str> {
            let line = outcome.stdout.lines().rfind(|line| line.starts_with(of));
            line.unwrap_or_else(|| panic!("no `{of}`\n{outcome}")).split(' ').collect()
        };
        let address = words("address")[1];
        assert!(address.starts_with("10.99.0.") && address.ends_with("/24"), "{outcome}");
        // Its clock began in 1970.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs();
        let utc_s: u64 = words("time")[2].parse().expect("seconds");
        assert!(now.abs_diff(utc_s) <= DEADLINE.as_secs(), "{now}\n{outcome}");
        // The rest is for what a test cannot make it do.
        let stack: Vec<u64> = words("stack").iter().filter_map(|word| word.parse().ok()).collect();
        assert!(matches!(stack[..], [used, size] if used <= size * 3 / 4), "{outcome}");
    });
}
