//! How soon a first time is there, and how true it is: `bringup time` beside other clients, in one
//! run. Not a part of the ordinary tests, since some of them wait for half a minute:
//!
//!     cargo test -p bringup-tests --test time_peers -- --ignored
//!
//! The table goes to `time-peers.md` in the target directory. Nothing here sets a clock, and nothing
//! here could.
#![cfg(target_os = "linux")]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use bringup_tests::lab::network::{Network, SERVER_INTERFACE};
use bringup_tests::lab::relay::{Way, relay};
use bringup_tests::lab::{self, Host, bringup, servers};

/// Who is not done by then has no result.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often each is run in each scenario.
const RUNS: usize = 3;
/// Who takes that long is run only once.
const SLOW: Duration = Duration::from_secs(1);

/// A client: what runs it against `$SERVER`, and what it says when it has a time, before the offset.
struct Client {
    name: &'static str,
    program: &'static str,
    script: &'static str,
    says: &'static str,
    /// What its offset is to be multiplied with to be what must be added to the local clock.
    sign: f64,
}

const CLIENTS: [Client; 6] = [
    Client {
        name: "**bringup** time",
        program: "bringup",
        script: "exec \"$PROGRAM\" time \"$SERVER\" --json",
        says: "\"event\":\"time\",\"state\":\"provisional\",\"offset_us\":",
        sign: 1e-6,
    },
    Client {
        name: "chronyd -Q, one sample",
        program: "chronyd",
        script: "exec \"$PROGRAM\" -Q -u root -t 11 -f /dev/null \"server $SERVER iburst maxsamples 1\"",
        says: "System clock wrong by ",
        sign: 1.0,
    },
    Client {
        name: "chronyd -Q, iburst",
        program: "chronyd",
        script: "exec \"$PROGRAM\" -Q -u root -t 11 -f /dev/null \"server $SERVER iburst\"",
        says: "System clock wrong by ",
        sign: 1.0,
    },
    Client {
        name: "busybox ntpd -q -w",
        // Debian's has no ntpd; `benches/peers` builds one that has.
        program: "busybox-small",
        script: "exec \"$PROGRAM\" ntpd -n -q -w -d -p \"$SERVER\"",
        says: " offset:",
        sign: 1.0,
    },
    Client {
        name: "ntpdig (Python)",
        program: "ntpdig",
        // Its library is looked for beside its modules.
        script: "lib=${PROGRAM%/bin/*}/lib && mkdir -p py && \
                 { [ -e py/ntp ] || cp -r \"$lib/python3/dist-packages/ntp\" py/; } && \
                 ln -sf \"$lib\"/*/ntp/libntpc.so py/ntp/ && PYTHONPATH=py exec \"$PROGRAM\" \"$SERVER\"",
        says: "+0000) ",
        sign: 1.0,
    },
    Client {
        name: "systemd-timesyncd",
        program: "systemd-timesyncd",
        // As nobody: then it has no rights to give up.
        script: "mount -t tmpfs none /etc/systemd && \
                 printf '[Time]\\nNTP=%s\\n' \"$SERVER\" >/etc/systemd/timesyncd.conf && \
                 SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console exec setpriv --reuid 65534 \
                 --regid 65534 --clear-groups \"$PROGRAM\"",
        says: "interval/delta/delay/jitter/drift ",
        sign: 1.0,
    },
];

/// The program of a client on this host and its libraries; `None` if it is absent.
fn found(host: &Host, program: &str) -> Option<(PathBuf, String)> {
    if program == "bringup" {
        return Some((bringup(), String::new()));
    }
    let command = host.command(program);
    let mut path = PathBuf::from(command.get_program());
    if !path.is_absolute() {
        // A daemon that nobody calls by hand.
        let folder = env::current_exe().ok()?.ancestors().nth(3)?.join("lab").join(program);
        path = folder.join("lib/systemd").join(program);
    }
    let folders = command.get_envs().find(|(name, _)| *name == "LD_LIBRARY_PATH");
    let folders = folders.and_then(|(_, value)| value?.to_str().map(str::to_owned));
    let folders = folders.unwrap_or_else(|| {
        let package = path.ancestors().nth(3).map(|f| f.display().to_string()).unwrap_or_default();
        let machine = "x86_64-linux-gnu";
        format!("{package}/lib/{machine}/systemd:{package}/usr/lib/{machine}/systemd:{package}/usr/lib/{machine}")
    });
    path.is_file().then_some((path, folders))
}

/// One run: after how long it had a time, and by how much it said the local clock to be off.
fn ask(host: &Host, client: &Client, server: &str) -> Option<(Duration, f64)> {
    let (program, libraries) = found(host, client.program)?;
    let log = host.folder().join("client.log");
    let output = fs::File::create(&log).expect("the host's own folder");
    let mut command: Command = host.command("sh");
    command
        .args(["-c", client.script])
        .current_dir(host.folder())
        .env("PROGRAM", program)
        .env("SERVER", server)
        .stdin(Stdio::null())
        .stderr(output.try_clone().expect("a second descriptor"))
        .stdout(output);
    if !libraries.is_empty() {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    let started = Instant::now();
    let mut child = command.spawn().expect("a shell");
    let mut result = None;
    while result.is_none() && started.elapsed() < PATIENCE {
        let ended = child.try_wait().expect("our child").is_some();
        let said = String::from_utf8_lossy(&fs::read(&log).expect("our own file")).into_owned();
        result = said.split_once(client.says).and_then(|(_, after)| {
            let elapsed = started.elapsed();
            // timesyncd says the interval first.
            let after = after.split_once("s/").filter(|(interval, _)| interval.len() < 5);
            let text = after.map_or(said.split_once(client.says)?.1, |(_, offset)| offset);
            let number: String =
                text.chars().take_while(|c| c.is_ascii_digit() || "+-.".contains(*c)).collect();
            Some((elapsed, number.parse::<f64>().ok()? * client.sign))
        });
        if ended {
            break;
        }
        thread::sleep(Duration::from_micros(500));
    }
    // An error means that it has ended already.
    let _ = child.kill();
    let _ = child.wait();
    if result.is_none() {
        // Shown if the test fails.
        eprintln!("--- {}\n{}", client.name, fs::read_to_string(&log).unwrap_or_default());
    }
    result
}

fn median<T: PartialOrd + Copy>(mut of: Vec<T>) -> Option<T> {
    of.sort_by(|a, b| a.partial_cmp(b).expect("no NaN"));
    of.get(of.len() / 2).copied()
}

#[test]
#[ignore = "two minutes: some clients wait for long when a packet is lost"]
fn first_time_beside_other_clients() {
    lab::within(&["chronyd"], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        network.server.ip(&format!("addr add 10.99.0.2/24 dev {SERVER_INTERFACE}"));
        let _true = servers::chronyd(&network.server, servers::LOCAL);
        let _ahead = servers::chronyd_ahead(&network.server, "10.99.0.2", 3.0);
        let ms = Duration::from_millis;
        let near = Way::default();
        let scenarios = [
            ("no way", 0.0, "10.99.0.1:123", near),
            ("25 ms each way", 0.0, "10.99.0.1:123", Way { out: ms(25), home: ms(25), ..near }),
            ("first packet lost", 0.0, "10.99.0.1:123", Way { lose_first: 1, ..near }),
            (
                "40 ms out, 10 home, +3 s",
                3.0,
                "10.99.0.2:123",
                Way { out: ms(40), home: ms(10), ..near },
            ),
        ];
        let mut table = String::from("| client |");
        for (name, ..) in &scenarios {
            let _ = write!(table, " {name}: ms | off the truth, ms |");
        }
        table += "\n|---|";
        table += &"---|---|".repeat(scenarios.len());
        // A relay for each run, since a relay loses but once.
        let mut last = 100;
        let mut results = Vec::new();
        for client in &CLIENTS {
            let _ = write!(table, "\n| {} |", client.name);
            if found(&network.device, client.program).is_none() {
                table += &" absent | |".repeat(scenarios.len());
                continue;
            }
            for (scenario, truth, server, way) in &scenarios {
                let (mut times, mut errors) = (Vec::new(), Vec::new());
                for _ in 0..RUNS {
                    let address = format!("10.99.0.{last}");
                    last += 1;
                    let server_host = &network.server;
                    server_host.ip(&format!("addr add {address}/24 dev {SERVER_INTERFACE}"));
                    relay(server_host, &format!("{address}:123"), server, *way);
                    if let Some((elapsed, offset)) = ask(&network.device, client, &address) {
                        times.push(elapsed.as_secs_f64() * 1e3);
                        errors.push((offset - truth) * 1e3);
                        if elapsed > SLOW {
                            break;
                        }
                    } else if times.is_empty() {
                        break;
                    }
                }
                match (median(times), median(errors)) {
                    (Some(time), Some(error)) => {
                        results.push((client.name, *scenario, time, error));
                        let _ = write!(table, " {time:.0} | {error:+.2} |");
                    }
                    _ => {
                        let _ = write!(table, " none in {} s | |", PATIENCE.as_secs());
                    }
                }
            }
        }
        let file = env::current_exe()
            .expect("our own path")
            .ancestors()
            .nth(3)
            .map(|target| target.join("time-peers.md"));
        fs::write(file.expect("a target directory"), table + "\n").expect("it can be written");

        let of = |client: &str, scenario: &str| {
            results.iter().find(|r| r.0 == client && r.1 == scenario).map(|r| (r.2, r.3))
        };
        let ours = |scenario| of(CLIENTS[0].name, scenario).expect("ours has a time");
        assert!(ours("first packet lost").0 < 1_500.0, "{results:?}");
        for (scenario, ..) in &scenarios {
            for client in &CLIENTS[1..3] {
                if let Some((time, error)) = of(client.name, scenario) {
                    assert!(ours(scenario).0 < time, "{scenario}: later than {}", client.name);
                    let further = ours(scenario).1.abs() - error.abs();
                    assert!(
                        further < 5.0,
                        "{scenario}: {further} ms further off than {}",
                        client.name
                    );
                }
            }
        }
    });
}
