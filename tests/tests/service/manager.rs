//! What a service manager hears, as sd_notify(3) has it.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use bringup_tests::lab::network::DEVICE_INTERFACE;
use bringup_tests::lab::servers::Server;
use bringup_tests::lab::{self, PATIENCE, bringup};

use super::served;

/// The service manager.
struct Manager(UnixDatagram);

impl Manager {
    /// What it hears next.
    fn hear(&self) -> String {
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).expect("something is told in time");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// Listens until it hears something that begins so; gives all that it heard, that last.
    fn hear_until(&self, beginning: &str) -> Vec<String> {
        let start = Instant::now();
        let mut heard = Vec::new();
        loop {
            heard.push(self.hear());
            if heard.last().is_some_and(|last| last.starts_with(beginning)) {
                return heard;
            }
            assert!(start.elapsed() < PATIENCE, "no {beginning}: {heard:?}");
        }
    }
}

#[test]
fn a_manager_hears_of_readiness_life_reload_and_end() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let served = served(lab);
        let device = &served.network.device;
        let manager = Manager(UnixDatagram::bind(device.folder().join("notify")).unwrap());
        let mut command = device.command(bringup());
        command.args(["up", DEVICE_INTERFACE]).env("NOTIFY_SOCKET", device.folder().join("notify"));
        command.env("WATCHDOG_USEC", "200000");
        let mut up = Server::start(device, "up", &mut command, || true);
        let heard = manager.hear_until("READY=1");
        let status = heard.iter().rfind(|line| line.starts_with("STATUS=")).unwrap();
        assert!(status.starts_with("STATUS=OPERATIONAL; veth0 10.99.0."), "{heard:?}");
        assert_eq!(heard[0], "STATUS=DHCP waits for dhcp\n", "{heard:?}");
        for _ in 0..3 {
            manager.hear_until("WATCHDOG=1");
        }
        up.signal(libc::SIGHUP);
        let reloading = manager.hear_until("RELOADING=1").pop().unwrap();
        let at = reloading.trim_end().rsplit('=').next().unwrap();
        assert!(
            reloading.contains("\nMONOTONIC_USEC=") && at.parse::<u64>().is_ok(),
            "{reloading}"
        );
        manager.hear_until("READY=1");
        up.signal(libc::SIGTERM);
        manager.hear_until("STOPPING=1");
        assert_eq!(up.wait(), 0, "{}", up.log());
    });
}

#[test]
fn not_ready_before_it_is_operational_and_an_abstract_socket_is_one_too() {
    lab::within(&["dnsmasq"], |lab| {
        // Nobody serves the time.
        let network = bringup_tests::lab::network::Network::plain(lab);
        let _dnsmasq = bringup_tests::lab::servers::dnsmasq(&network.server, "");
        let device = &network.device;
        let name = SocketAddr::from_abstract_name("bringup-manager").unwrap();
        // The names of abstract sockets belong to the network namespace.
        let manager = Manager(device.enter(|| UnixDatagram::bind_addr(&name)).unwrap());
        let mut command = device.command(bringup());
        command.args(["up", DEVICE_INTERFACE]).env("NOTIFY_SOCKET", "@bringup-manager");
        // Meant for another process: nobody waits for a sign of life of this one.
        command.env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", "1");
        let mut up = Server::start(device, "up", &mut command, || true);
        let heard = manager.hear_until("STATUS=TIME_VALID waits for ntp; veth0 10.99.0.");
        assert!(!heard.iter().any(|line| line == "READY=1\n"), "{heard:?}");
        // To read the configuration again makes nobody ready.
        up.signal(libc::SIGHUP);
        lab::eventually("it is read", || up.log().contains("reloaded").then_some(()));
        up.signal(libc::SIGTERM);
        let heard = manager.hear_until("STOPPING=1");
        let is_too_much = |l: &String| {
            ["READY=", "RELOADING=", "WATCHDOG="].iter().any(|begins| l.starts_with(begins))
        };
        assert!(!heard.iter().any(is_too_much), "{heard:?}");
        assert_eq!(up.wait(), 0, "{}", up.log());
    });
}

#[test]
fn a_manager_that_does_not_listen_holds_nobody_up() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let served = served(lab);
        let device = &served.network.device;
        // Its buffer is full soon.
        let _manager = UnixDatagram::bind(device.folder().join("notify")).unwrap();
        let mut command = device.command(bringup());
        command.args(["up", DEVICE_INTERFACE, "--once"]);
        command.env("NOTIFY_SOCKET", device.folder().join("notify")).env("WATCHDOG_USEC", "20");
        let outcome = lab::run(&mut command, Duration::from_secs(30));
        outcome.expect_code(0);
    });
}
