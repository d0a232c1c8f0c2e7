//! The networks that devices are brought up in, and one bring-up in one of them.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use bringup_tests::lab::network::{DEVICE_INTERFACE, Network, SERVER, SERVER_INTERFACE};
use bringup_tests::lab::servers::{self, Server};
use bringup_tests::lab::watched::processes;
use bringup_tests::lab::{Faults, Host, Lab, PATIENCE};

use crate::contender::{Contender, Place, STARTS};

/// Who is not done by then has no result.
pub(crate) const GIVE_UP: Duration = Duration::from_secs(30);
/// The name that is resolved, and the server that it is of.
pub(crate) const TIME: &str = "time.lab.test";

/// What a bring-up is made difficult by.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    /// As it stands in the tables.
    pub(crate) name: &'static str,
    /// A word for it, for command lines.
    pub(crate) word: &'static str,
    /// The device had a lease before.
    pub(crate) remembered: bool,
    /// How long a frame is on its way.
    pub(crate) one_way: Duration,
    /// Of a hundred frames in each direction, so many are lost.
    pub(crate) loss_percent: u64,
    /// The round trips that there is no way around.
    pub(crate) round_trips: u32,
}

const COLD: Scenario = Scenario {
    name: "cold",
    word: "cold",
    remembered: false,
    one_way: Duration::ZERO,
    loss_percent: 0,
    // DISCOVER, REQUEST, ARP, the name, the time.
    round_trips: 5,
};

/// All of them.
pub(crate) const SCENARIOS: [Scenario; 6] = [
    COLD,
    Scenario {
        name: "remembered lease",
        word: "remembered",
        remembered: true,
        round_trips: 4,
        ..COLD
    },
    Scenario {
        name: "round trips of 50 ms",
        word: "far",
        one_way: Duration::from_millis(25),
        ..COLD
    },
    Scenario {
        name: "round trips of 50 ms, remembered lease",
        word: "far-remembered",
        remembered: true,
        one_way: Duration::from_millis(25),
        round_trips: 4,
        ..COLD
    },
    Scenario { name: "10 % loss each way", word: "loss10", loss_percent: 10, ..COLD },
    Scenario { name: "30 % loss each way", word: "loss30", loss_percent: 30, ..COLD },
];

impl Scenario {
    /// The scenario of that word.
    pub(crate) fn named(word: &str) -> Self {
        *SCENARIOS.iter().find(|s| s.word == word).expect("one of the scenarios")
    }

    fn faults(&self, seed: u64) -> Option<Faults> {
        let plain = self.loss_percent == 0 && self.one_way.is_zero();
        (!plain).then_some(Faults {
            seed,
            loss_percent: self.loss_percent,
            delay: self.one_way,
            ..Faults::default()
        })
    }
}

/// What dnsmasq serves: leases, and the name of the NTP server. There is no option 42: whoever wants the time
/// must resolve a name first.
const DNSMASQ: &str = "\
no-daemon
log-facility=-
log-queries
no-resolv
no-hosts
no-ping
except-interface=lo
bind-interfaces
dhcp-authoritative
dhcp-range=10.99.0.50,10.99.0.99,255.255.255.0,12h
dhcp-option=option:router,10.99.0.1
dhcp-option=option:dns-server,10.99.0.1
local=/lab.test/
local-ttl=3600
host-record=time.lab.test,10.99.0.1
";

/// A network with its servers, and a device whose interface is down.
pub(crate) struct World {
    network: Network,
    dnsmasq: Server,
    _chronyd: Server,
}

impl World {
    /// Ready to be brought up in.
    pub(crate) fn new(lab: &Lab, scenario: &Scenario, contender: &str, seed: u64) -> Self {
        let network = match scenario.faults(seed) {
            None => Network::plain(lab),
            Some(_) => Network::with_faults(lab, Faults::default()),
        };
        let host = &network.server;
        let leases = host.folder().join("leases");
        let file = host.folder().join("dnsmasq.conf");
        let own = format!("interface={SERVER_INTERFACE}\ndhcp-leasefile={}\n", leases.display());
        // It takes no server by name.
        let option_42 = contender == "tiny";
        let option_42 = if option_42 { "dhcp-option=option:ntp-server,10.99.0.1\n" } else { "" };
        fs::write(&file, [DNSMASQ, &own, option_42].concat()).expect("the host's own folder");
        let mut command = host.command("dnsmasq");
        command.arg("--pid-file=").arg("-C").arg(file);
        let dnsmasq = Server::start(host, "dnsmasq", &mut command, || {
            servers::ask(host, &format!("{SERVER}:53"), &servers::dns_query(1, "ready.lab.test", 1))
                .is_some()
        });
        let chronyd = servers::chronyd(host, servers::LOCAL);
        let world = Self { network, dnsmasq, _chronyd: chronyd };
        world.set_back();
        if let (Some(wire), Some(faults)) = (&world.network.wire, scenario.faults(seed)) {
            wire.set(faults);
        }
        world
    }

    /// All of it.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// The host that is brought up.
    pub(crate) fn device(&self) -> &Host {
        &self.network.device
    }

    /// What the contender printed, and what the server logged.
    pub(crate) fn said(&self) -> String {
        let said = fs::read_to_string(self.device().folder().join("contender.log"));
        said.unwrap_or_default() + &self.dnsmasq.log()
    }

    /// Frames that the device has sent and received so far.
    pub(crate) fn packets(&self) -> [u64; 2] {
        let link = self.device().ip_json(&format!("-s link show dev {DEVICE_INTERFACE}"));
        ["tx", "rx"].map(|way| link[0]["stats64"][way]["packets"].as_u64().expect("a count"))
    }

    /// As after power-on: the interface is down, nothing is known of the network.
    pub(crate) fn set_back(&self) {
        let device = self.device();
        device.ip(&format!("link set {DEVICE_INTERFACE} down"));
        device.ip(&format!("address flush dev {DEVICE_INTERFACE}"));
        fs::write(device.folder().join("resolv.conf"), "").expect("the host's own folder");
        // /run does not outlive a power cut. It is the laboratory's own, and may not be there yet.
        let _ = fs::remove_dir_all("/run/systemd");
    }

    /// Brings the device up once; how long that took, or why it did not come to that.
    pub(crate) fn bring_up(&self, contender: &Contender) -> Result<Duration, String> {
        self.run(contender, None, false).map(|run| run.took)
    }

    /// Brings the device up after it had a lease, was switched off, and comes back.
    pub(crate) fn bring_up_again(&self, contender: &Contender) -> Result<Duration, String> {
        drop(self.run(contender, None, false)?);
        self.set_back();
        let address = fs::read_to_string(self.device().folder().join("udhcpc.address"));
        let address = address.ok().map(|text| text.trim().to_owned());
        self.bring_up_with(contender, address.as_deref())
    }

    fn bring_up_with(
        &self,
        contender: &Contender,
        address: Option<&str>,
    ) -> Result<Duration, String> {
        self.run(contender, address, false).map(|run| run.took)
    }

    /// Starts a bring-up and waits until it says that it has the time.
    pub(crate) fn run(
        &self,
        contender: &Contender,
        address: Option<&str>,
        stay: bool,
    ) -> Result<Run<'_>, String> {
        let place = Place { interface: DEVICE_INTERFACE, time: TIME, server: SERVER, address };
        let mut command = contender.command(self.device(), &place, stay);
        let asked = self.names_asked();
        let (reader, writer) = std::io::pipe().map_err(|why| why.to_string())?;
        let errors = writer.try_clone().map_err(|why| why.to_string())?;
        command.stdin(Stdio::null()).stdout(writer).stderr(errors);
        let child = command.spawn().map_err(|why| why.to_string())?;
        // The last of the writing ends is the child's.
        drop(command);
        let (tell, told) = mpsc::channel();
        let says =
            if stay && contender.stays.is_some() { "Selected source" } else { contender.says };
        let log = self.device().folder().join("contender.log");
        let mut said = fs::File::create(&log).map_err(|why| why.to_string())?;
        thread::spawn(move || {
            let mut lines = BufReader::new(reader);
            let mut line = Vec::new();
            let mut started = None;
            while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line);
                match started {
                    None if text.trim_end() == STARTS => started = Some(Instant::now()),
                    Some(started) if text.contains(says) => {
                        // Nobody may be waiting any more.
                        let _ = tell.send(Instant::elapsed(&started));
                    }
                    _ => {}
                }
                // The log is for failures.
                let _ = said.write_all(&line);
                line.clear();
            }
        });
        // Whatever happens, what was started is ended.
        let mut run = Run { world: self, child, took: Duration::ZERO };
        run.took = told.recv_timeout(GIVE_UP).map_err(|why| {
            let why = match why {
                RecvTimeoutError::Timeout => "it took too long",
                RecvTimeoutError::Disconnected => "it ended too early",
            };
            let read = |name: &str| {
                fs::read_to_string(self.device().folder().join(name)).unwrap_or_default()
            };
            format!("{why}\n{}{}", read("contender.log"), read("networkd.log"))
        })?;
        self.verify(asked)?;
        Ok(run)
    }

    /// Whoever says to be done has an address, and has asked for the name.
    fn verify(&self, asked: usize) -> Result<(), String> {
        let addresses = self.device().ip_json(&format!("-4 address show dev {DEVICE_INTERFACE}"));
        if addresses.iter().all(|link| link["addr_info"].as_array().is_none_or(Vec::is_empty)) {
            return Err("it says that it is done, and has no address".into());
        }
        if self.names_asked() <= asked {
            return Err("it says that it is done, and has asked for no name".into());
        }
        Ok(())
    }

    fn names_asked(&self) -> usize {
        self.dnsmasq.log().lines().filter(|line| line.contains(&format!("] {TIME} from"))).count()
    }
}

/// A bring-up that is done; dropping it ends all that it has started on the device.
pub(crate) struct Run<'a> {
    world: &'a World,
    child: Child,
    /// From its start to the first valid offset.
    pub(crate) took: Duration,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        // As when the power goes: no lease is given back.
        let started = Instant::now();
        loop {
            let there = processes(self.world.device());
            for pid in &there {
                let pid = i32::try_from(*pid).expect("a process id");
                // SAFETY: kill takes two integers; the process is on the laboratory's own device.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
            // An error means that it has been waited for.
            let _ = self.child.wait();
            if there.is_empty() || started.elapsed() > PATIENCE {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}
