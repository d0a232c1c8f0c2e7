//! How a bring-up grows with the number of its interfaces.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use bringup_tests::lab::servers::{self, Server};
use bringup_tests::lab::watched::Watched;
use bringup_tests::lab::{Host, Lab, again_with, bringup, run as run_to_end};

use crate::statistics::cell;

/// Powers of two, as far as one system goes.
const COUNTS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Until the last address.
const PATIENCE: Duration = Duration::from_secs(60);

const DNSMASQ: &str = "\
no-daemon
log-facility=-
no-resolv
no-hosts
no-ping
bind-interfaces
interface=bridge
except-interface=lo
dhcp-authoritative
dhcp-range=10.99.0.10,10.99.0.250,255.255.255.0,12h
dhcp-option=option:router,10.99.0.1
dhcp-option=option:dns-server,10.99.0.1
dhcp-option=option:ntp-server,10.99.0.1
";

/// Many commands of ip(8) in one process.
fn batch(host: &Host, lines: &[String]) {
    let file = host.folder().join("batch");
    fs::write(&file, lines.join("\n")).expect("the host's own folder");
    let mut ip = host.command("ip");
    run_to_end(ip.arg("-batch").arg(file), PATIENCE).expect_code(0);
}

/// Two hosts, joined by so many cables that end in one bridge.
fn network(lab: &Lab, count: usize) -> (Host, Host, [Server; 2]) {
    let (server, device) = (lab.host("server"), lab.host("device"));
    server.ip("link add bridge type bridge");
    server.ip("address add 10.99.0.1/24 dev bridge");
    server.ip("link set bridge up");
    batch(
        &device,
        &(0..count)
            .map(|n| format!("link add d{n} type veth peer p{n} netns server"))
            .collect::<Vec<_>>(),
    );
    batch(
        &server,
        &(0..count).map(|n| format!("link set p{n} master bridge up")).collect::<Vec<_>>(),
    );
    let file = server.folder().join("dnsmasq.conf");
    let leases = format!("dhcp-leasefile={}\n", server.folder().join("leases").display());
    fs::write(&file, [DNSMASQ, &leases].concat()).expect("the host's own folder");
    let mut command = server.command("dnsmasq");
    command.arg("--pid-file=").arg("-C").arg(file);
    let query = servers::dns_query(1, "ready.test", 1);
    let ready = || servers::ask(&server, "10.99.0.1:53", &query).is_some();
    let dnsmasq = Server::start(&server, "dnsmasq", &mut command, ready);
    let chronyd = servers::chronyd(&server, servers::LOCAL);
    (server, device, [dnsmasq, chronyd])
}

/// Brings them all up, in a laboratory: prints milliseconds, processor milliseconds and KiB written to.
pub(crate) fn inside(lab: &Lab, count: &str) {
    let count = count.parse().expect("a number of interfaces");
    let (_server, device, _servers) = network(lab, count);
    let mut command: Command = device.command(bringup());
    command.arg("up").args((0..count).map(|n| format!("d{n}"))).arg("--json");
    command.arg("--socket").arg(device.folder().join("status.sock"));
    let started = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("bringup");
    let (tell, told) = mpsc::channel();
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let lines = BufReader::new(out.expect("it was asked for")).lines();
    thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
    let (mut addresses, mut operational) = (0, false);
    while addresses < count || !operational {
        let left = PATIENCE.saturating_sub(started.elapsed());
        let Ok(line) = told.recv_timeout(left) else {
            // Whatever it was, it ends now and says so.
            let _ = child.kill();
            let _ = child.wait();
            let errors = std::io::read_to_string(err.expect("it was asked for"));
            return println!("no: {addresses} addresses, then {}", errors.unwrap_or_default());
        };
        addresses += usize::from(line.contains("\"event\":\"address\""));
        operational |= line.contains("\"to\":\"OPERATIONAL\"");
    }
    let took = started.elapsed();
    let program = Watched::new(child.id());
    let (processor, memory) = (program.processor_exactly(), program.memory());
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!("{} {} {}", ms(took), ms(processor), memory.dirty_kib);
    // It dies with the laboratory in any case.
    let _ = child.kill();
    let _ = child.wait();
}

/// One run in a laboratory of its own.
fn measure(count: usize) -> Result<[f64; 3], String> {
    let outcome = again_with(&["interfaces", &count.to_string()], 3 * PATIENCE)?;
    let numbers: Vec<f64> = outcome.stdout.split_whitespace().flat_map(str::parse).collect();
    numbers.try_into().map_err(|_| outcome.to_string())
}

/// Prints the tables.
pub(crate) fn run(quick: bool) {
    println!("\n## Interfaces\n\n{INTRODUCTION}");
    let (counts, rounds) = if quick { (&COUNTS[..2], 1) } else { (&COUNTS[..], 3) };
    let mut columns: Vec<(usize, [Vec<f64>; 3])> = Vec::new();
    for &count in counts {
        let mut samples: [Vec<f64>; 3] = Default::default();
        for _ in 0..rounds {
            match measure(count) {
                Ok(numbers) => samples.iter_mut().zip(numbers).for_each(|(all, one)| all.push(one)),
                Err(why) => eprintln!("{count} interfaces: {why}"),
            }
        }
        if samples[0].is_empty() {
            println!("\nWith {count} interfaces it did not come up.");
        } else {
            columns.push((count, samples));
        }
    }
    let title = "Interfaces that one `bringup up` brings up";
    for (index, (what, file)) in [
        ("ms to the last address and OPERATIONAL", "interfaces-time"),
        ("CPU ms", "interfaces-cpu"),
        ("KiB written to", "interfaces-memory"),
    ]
    .into_iter()
    .enumerate()
    {
        let names: Vec<String> = columns.iter().map(|(count, _)| count.to_string()).collect();
        let cells: Vec<String> = columns.iter().map(|(_, all)| cell(all[index].clone())).collect();
        println!("\n**{title}: {what}**\n\n![{title}: {what}](benchmarks/{file}.svg)\n");
        println!("| {what} by interfaces | {} |", names.join(" | "));
        println!("|---|{}", "---|".repeat(names.len()));
        println!("| **bringup** | {} |", cells.join(" | "));
    }
}

const INTRODUCTION: &str = "\
One process, as many interfaces, all on one bridge behind which dnsmasq and chronyd are. Processor time and private \
memory that was written to are those of the whole program, its start included, when the last interface has its address.";
