//! What happens to a machine while `bringup up` runs on it. Each story ends in a correct state or in a clear
//! error: nothing hangs, nothing spins, nothing is left behind.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bringup_tests::lab::network::{DEVICE_INTERFACE, Network};
use bringup_tests::lab::servers::{self, Server};
use bringup_tests::lab::watched::Watched;
use bringup_tests::lab::{Host, Lab, bringup, eventually};
use serde_json::Value;

mod floods;
mod machine;
mod process;

/// Processor time that a program which waits may use in a story of some seconds. One that spins uses all.
const LITTLE: Duration = Duration::from_millis(1_500);

/// A network whose servers come and go.
struct World {
    network: Network,
    dnsmasq: Option<Server>,
    chronyd: Option<Server>,
}

impl World {
    fn new(lab: &Lab) -> Self {
        let mut world = Self { network: Network::plain(lab), dnsmasq: None, chronyd: None };
        world.serve_names();
        world.serve_time();
        world
    }

    fn serve_names(&mut self) {
        self.dnsmasq = Some(servers::dnsmasq(&self.network.server, ""));
    }

    fn serve_time(&mut self) {
        self.chronyd = Some(servers::chronyd(&self.network.server, servers::LOCAL));
    }

    fn device(&self) -> &Host {
        &self.network.device
    }

    /// The addresses that the device has on `interface`.
    fn addresses(&self, interface: &str) -> Vec<String> {
        let shown = self.device().ip_json(&format!("-4 addr show dev {interface}"));
        let info =
            shown.iter().flat_map(|of| of["addr_info"].as_array().cloned().unwrap_or_default());
        info.map(|address| address["local"].as_str().expect("an address").to_owned()).collect()
    }

    /// Nothing is left on the device's interface.
    #[track_caller]
    fn assert_bare(&self) {
        assert_eq!(self.addresses(DEVICE_INTERFACE), Vec::<String>::new());
        let routes = self.device().ip_json(&format!("-4 route show dev {DEVICE_INTERFACE}"));
        assert_eq!(routes, Vec::<Value>::new());
    }
}

/// A running `bringup up`.
struct Up {
    server: Server,
    log: PathBuf,
}

impl Up {
    /// Starts it on the device's interface; `options` beside.
    fn start(device: &Host, options: &[&str]) -> Self {
        let log = device.folder().join("up.log");
        let mut command = device.command(bringup());
        command.args(["up", DEVICE_INTERFACE, "--json"]).args(options);
        Self { server: Server::start(device, "up", &mut command, || true), log }
    }

    /// All that it has said so far that is whole.
    fn events(&self) -> Vec<Value> {
        let log = fs::read_to_string(&self.log).expect("the host's own folder");
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until it says something, not counting the first `seen` events, and gives how many there were
    /// then.
    #[track_caller]
    fn says(&self, seen: usize, what: &str, is: impl Fn(&Value) -> bool) -> usize {
        eventually(what, || {
            let events = self.events();
            events.iter().skip(seen).any(&is).then_some(events.len())
        })
    }

    #[track_caller]
    fn enters(&self, seen: usize, state: &str) -> usize {
        self.says(seen, state, |event| event["event"] == "state" && event["to"] == state)
    }

    fn watched(&self) -> Watched {
        Watched::new(self.server.id())
    }

    /// Ends it as a service manager does, and gives its exit code.
    #[track_caller]
    fn terminate(mut self) -> i32 {
        self.server.signal(libc::SIGTERM);
        self.server.wait()
    }
}
