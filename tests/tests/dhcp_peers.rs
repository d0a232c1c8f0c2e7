//! How soon the address is on the interface: `bringup up` beside other DHCP clients, in one run. Not a
//! part of the ordinary tests, since under loss some of them take a minute:
//!
//!     cargo test -p bringup-tests --test dhcp_peers -- --ignored
//!
//! Set BRINGUP_PROGRAM to an optimised build, as the others are. The table goes to `dhcp-peers.md` in the
//! target directory. Peers that nobody unpacked are absent from it:
//!
//!     tests/servers "$PWD/target/lab" isc-dhcp-client dhcpcd-base systemd
//!
//! No client keeps anything from one run to the next, and none writes outside of its own mount
//! namespace.
#![cfg(target_os = "linux")]

use std::fmt::Write as _;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use bringup_tests::lab::network::{DEVICE_INTERFACE, Network};
use bringup_tests::lab::{self, Faults, Host, bringup, run, servers};

/// Who has no address by then has none.
const PATIENCE: Duration = Duration::from_secs(30);
/// Runs on a good wire.
const RUNS: usize = 11;
/// Runs under loss, one seed each.
const SEEDS: u64 = 24;

/// A client: what runs it on `$INTERFACE`. `$SCRIPT` configures the interface for those that have others
/// do that.
struct Client {
    name: &'static str,
    program: &'static str,
    run: &'static str,
}

const CLIENTS: [Client; 6] = [
    Client {
        name: "**bringup** up",
        program: "bringup",
        run: "exec \"$PROGRAM\" up \"$INTERFACE\" -q",
    },
    Client {
        name: "udhcpc",
        program: "busybox",
        run: "exec \"$PROGRAM\" udhcpc -f -i \"$INTERFACE\" -s \"$SCRIPT\"",
    },
    Client {
        name: "dhclient",
        program: "dhclient",
        run: "mount -t tmpfs none /var/lib && mkdir -p /var/lib/dhcp && \
              exec \"$PROGRAM\" -4 -d -sf \"$SCRIPT\" -cf /dev/null -pf /var/lib/pid \
              -lf /var/lib/dhcp/leases \"$INTERFACE\"",
    },
    Client {
        name: "dhcpcd",
        program: "dhcpcd",
        run: "mount -t tmpfs none /var/lib && mkdir -p /var/lib/dhcpcd && mount -t tmpfs none /run && \
              exec \"$PROGRAM\" -4 -B -f /dev/null -c /bin/true \"$INTERFACE\"",
    },
    Client {
        name: "dhcpcd --noarp --nodelay",
        program: "dhcpcd",
        run: "mount -t tmpfs none /var/lib && mkdir -p /var/lib/dhcpcd && mount -t tmpfs none /run && \
              exec \"$PROGRAM\" -4 -B -f /dev/null -c /bin/true --noarp --nodelay \"$INTERFACE\"",
    },
    Client {
        name: "systemd-networkd",
        program: "systemd-networkd",
        // Without udev the interface is ready at once; it asks for that by whether /sys is writable.
        run: "mount -t tmpfs none /run && mkdir -p /run/systemd/netif /run/systemd/network && \
              mount -t sysfs -o ro none /sys && \
              sed '/^systemd-network:/d' /etc/passwd >/run/passwd && \
              echo 'systemd-network:x:0:0::/:/bin/false' >>/run/passwd && \
              mount --bind /run/passwd /etc/passwd && \
              printf '[Match]\\nName=%s\\n[Network]\\nDHCP=ipv4\\nLinkLocalAddressing=no\\nIPv6AcceptRA=no\\n' \
              \"$INTERFACE\" >/run/systemd/network/1.network && \
              SYSTEMD_LOG_TARGET=console exec \"$PROGRAM\"",
    },
];

/// What udhcpc and dhclient call.
const SCRIPT: &str = "#!/bin/sh\n\
    PATH=$PATH:/usr/sbin:/sbin\n\
    case $1$reason in\n\
    bound) ip addr add \"$ip/$mask\" dev \"$interface\" ;;\n\
    BOUND) ip addr add \"$new_ip_address/24\" dev \"$interface\" ;;\n\
    esac\n";

/// The program of a client on this host, and its libraries; `None` if it is absent.
fn found(host: &Host, program: &str) -> Option<(PathBuf, String)> {
    if program == "bringup" {
        return Some((bringup(), String::new()));
    }
    let command = host.command(program);
    let path = PathBuf::from(command.get_program());
    let libraries = command.get_envs().find(|(name, _)| *name == "LD_LIBRARY_PATH");
    let libraries = libraries.and_then(|(_, value)| value?.to_str().map(str::to_owned));
    if path.is_file() {
        return Some((path, libraries.unwrap_or_default()));
    }
    // A daemon that nobody calls by hand; Debian's timesyncd is unpacked together with it.
    let lab = env::current_exe().ok()?.ancestors().nth(3)?.join("lab");
    let places = ["systemd", "systemd-timesyncd"].map(|package| lab.join(package));
    let lab = places.into_iter().find(|place| place.is_dir())?;
    let path = ["usr/lib/systemd", "lib/systemd"].map(|folder| lab.join(folder).join(program));
    let path = path.into_iter().find(|path| path.is_file())?;
    let folders = ["lib/x86_64-linux-gnu/systemd", "lib/x86_64-linux-gnu"];
    let folders = folders.map(|f| format!("{0}/{f}:{0}/usr/{f}", lab.display()));
    Some((path, folders.join(":")))
}

/// One run: after how long the host had an address in the server's network.
fn bring_up(host: &Host, client: &Client) -> Option<Duration> {
    let (program, libraries) = found(host, client.program)?;
    let script = host.folder().join("script");
    let log = host.folder().join("client.log");
    let output = fs::File::create(&log).expect("the host's own folder");
    let mut command = host.command("sh");
    command
        .args(["-c", client.run])
        .env("PROGRAM", program)
        .env("INTERFACE", DEVICE_INTERFACE)
        .env("SCRIPT", script)
        .stdin(Stdio::null())
        .stderr(output.try_clone().expect("a second descriptor"))
        .stdout(output);
    if !libraries.is_empty() {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    let started = Instant::now();
    let mut child = command.spawn().expect("a shell");
    // A socket can be connected as soon as there is an address with a way to the server; nothing is
    // sent for it.
    let elapsed = host.enter(|| {
        while started.elapsed() < PATIENCE {
            let probe = UdpSocket::bind("0.0.0.0:0").expect("a free port");
            if probe.connect("10.99.0.1:9").is_ok() {
                return Some(started.elapsed());
            }
            thread::sleep(Duration::from_micros(300));
        }
        None
    });
    // An error means that it has ended already.
    let _ = child.kill();
    let _ = child.wait();
    host.ip(&format!("addr flush dev {DEVICE_INTERFACE}"));
    host.ip(&format!("link set {DEVICE_INTERFACE} up"));
    if elapsed.is_none() {
        eprintln!("--- {}\n{}", client.name, fs::read_to_string(&log).unwrap_or_default());
    }
    elapsed
}

/// The median of these times, and the last but one in ten; who has none counts as the slowest.
fn quantiles(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort();
    let at = |tenths: usize| times[(times.len() * tenths / 10).min(times.len() - 1)].as_secs_f64();
    (at(5), at(9))
}

/// Helpers that a killed client leaves behind hold its sockets.
fn end_helpers(host: &Host) {
    let pids = host.command("ip").args(["netns", "pids", "device"]).output().expect("ip runs");
    for pid in String::from_utf8_lossy(&pids.stdout).split_whitespace() {
        let _ = run(host.command("kill").args(["-9", pid]), Duration::from_secs(10));
    }
}

#[test]
#[ignore = "half an hour: under loss some clients need a minute"]
fn an_address_beside_other_clients() {
    lab::within_time(Duration::from_secs(3_600), &["dnsmasq"], |lab| {
        let network = Network::with_faults(lab, Faults::default());
        let wire = network.wire.as_ref().expect("it has one");
        let _dnsmasq = servers::dnsmasq(&network.server, "");
        let script = network.device.folder().join("script");
        fs::write(&script, SCRIPT).expect("the host's own folder");
        run(network.device.command("chmod").arg("755").arg(&script), PATIENCE).expect_code(0);

        let there: Vec<&Client> = CLIENTS
            .iter()
            .filter(|client| found(&network.device, client.program).is_some())
            .collect();
        let mut times = vec![(Vec::new(), Vec::new()); there.len()];
        // Each in its turn, so that whatever else this machine does hits all of them.
        let mut round = |faults: Faults, good: bool| {
            for (client, times) in there.iter().zip(&mut times) {
                wire.set(faults);
                let elapsed = bring_up(&network.device, client).unwrap_or(PATIENCE);
                end_helpers(&network.device);
                if good { &mut times.0 } else { &mut times.1 }.push(elapsed);
            }
        };
        (0..RUNS).for_each(|_| round(Faults::default(), true));
        (1..=SEEDS).for_each(|seed| {
            round(Faults { seed, loss_percent: 30, ..Faults::default() }, false);
        });

        let mut table = String::from(
            "| client | good wire: median, ms | 9 of 10 | 30 % loss each way: median, s | 9 of 10 |\n\
             |---|---|---|---|---|\n",
        );
        let mut medians = Vec::new();
        for client in &CLIENTS {
            let Some(place) = there.iter().position(|it| it.name == client.name) else {
                let _ = writeln!(table, "| {} | absent | | | |", client.name);
                continue;
            };
            let (good, bad) = times[place].clone();
            let (good, bad) = (quantiles(good), quantiles(bad));
            let _ = writeln!(
                table,
                "| {} | {:.0} | {:.0} | {:.1} | {:.1} |",
                client.name,
                good.0 * 1e3,
                good.1 * 1e3,
                bad.0,
                bad.1
            );
            medians.push((client.name, good.0, bad.0));
        }
        let target = env::current_exe().expect("our own path");
        let file = target.ancestors().nth(3).expect("a target directory").join("dhcp-peers.md");
        fs::write(file, table).expect("it can be written");

        let (_, our_good, our_bad) = medians[0];
        for (name, good, bad) in &medians[1..] {
            assert!(our_good < *good && our_bad < *bad, "later than {name}: {medians:?}");
        }
        assert!(our_bad < 2.0, "{medians:?}");
    });
}
