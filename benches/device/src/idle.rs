//! What a device costs that is up and has nothing to do: programs, threads, memory; packets, wakeups, processor.

use std::thread;
use std::time::Duration;

use bringup_tests::lab::network::SERVER_INTERFACE;
use bringup_tests::lab::watched::{Watched, processes};
use bringup_tests::lab::{Lab, again_with};

use crate::contender::{CONTENDERS, Contender, named};
use crate::flood;
use crate::scenario::{Scenario, World};
use crate::statistics::figure;

/// How long a device is left alone, and then watched.
#[derive(Clone, Copy)]
struct Watch {
    settle: Duration,
    watch: Duration,
}

const FULL: Watch = Watch { settle: Duration::from_secs(60), watch: Duration::from_secs(300) };
const QUICK: Watch = Watch { settle: Duration::from_secs(2), watch: Duration::from_secs(5) };
/// Of junk, see [`flood`].
const FLOOD: u32 = 30_000;

/// All that is said of one contender: the names of its programs, then the numbers.
const NUMBERS: usize = 13;

/// The sums over all programs on the device.
fn sums(world: &World) -> ([u64; 5], Vec<String>) {
    let mut sums = [0; 5];
    let mut names = Vec::new();
    for pid in processes(world.device()) {
        let program = Watched::new(pid);
        let memory = program.memory();
        let threads = u64::try_from(program.threads()).expect("a number of threads");
        for (sum, more) in sums.iter_mut().zip([
            threads,
            memory.resident_kib,
            memory.private_kib,
            memory.proportional_kib,
            memory.dirty_kib,
        ]) {
            *sum += more;
        }
        names.push(program.name());
    }
    (sums, names)
}

fn costs(world: &World) -> [u64; 4] {
    let [sent, received] = world.packets();
    let (mut wakeups, mut processor) = (0, Duration::ZERO);
    for pid in processes(world.device()) {
        wakeups += Watched::new(pid).wakeups();
        processor += Watched::new(pid).processor_exactly();
    }
    [sent, received, wakeups, u64::try_from(processor.as_nanos()).expect("less than centuries")]
}

/// Watches one contender, in a laboratory: prints one line.
pub(crate) fn inside(lab: &Lab, contender: &str, settle_s: &str, watch_s: &str) {
    let seconds = |text: &str| Duration::from_secs(text.parse().expect("seconds"));
    let world = World::new(lab, &Scenario::named("cold"), contender, 0);
    let run = match world.run(named(contender), None, true) {
        Ok(run) => run,
        Err(why) => return println!("no: {why}"),
    };
    thread::sleep(seconds(settle_s));
    let (idle, names) = sums(&world);
    let before = costs(&world);
    thread::sleep(seconds(watch_s));
    let after = costs(&world);
    flood::junk(&world.network().server, SERVER_INTERFACE, FLOOD);
    let (loaded, _) = sums(&world);
    drop(run);
    let numbers = idle
        .into_iter()
        .chain(after.iter().zip(before).map(|(after, before)| after - before))
        .chain(loaded.into_iter().skip(1));
    let numbers: Vec<String> = numbers.map(|n| n.to_string()).collect();
    println!("{}\t{}", names.join(", "), numbers.join("\t"));
}

/// What [`inside`] has printed.
struct Seen {
    contender: &'static Contender,
    programs: String,
    numbers: [f64; NUMBERS],
}

/// Watches all contenders, one after the other or all at once.
fn watch(watch: Watch, together: bool) -> Vec<Result<Seen, String>> {
    let deadline = watch.settle + watch.watch + Duration::from_secs(180);
    let seconds = [watch.settle, watch.watch].map(|d| d.as_secs().to_string());
    thread::scope(|scope| {
        let one = |contender: &'static Contender| {
            let [settle, watch] = &seconds;
            scope.spawn(move || {
                if let Some(program) = contender.missing() {
                    return Err(format!(
                        "Absent: {}, since there is no {program} here",
                        contender.name
                    ));
                }
                let outcome = again_with(&["idle", contender.word, settle, watch], deadline)?;
                let failed = || format!("{}: {}", contender.name, outcome.stdout);
                let line = outcome.stdout.trim();
                let (programs, numbers) = line.split_once('\t').ok_or_else(failed)?;
                let numbers: Vec<f64> = numbers.split('\t').flat_map(str::parse).collect();
                let numbers = numbers.try_into().map_err(|_| failed())?;
                Ok(Seen { contender, programs: programs.to_owned(), numbers })
            })
        };
        static ALL: [Contender; 7] = CONTENDERS;
        let join = |running: thread::ScopedJoinHandle<'_, _>| running.join().expect("no panic");
        let running = ALL.iter().filter(|c| c.word != "dhcpcd-quick").map(one);
        if together {
            let running: Vec<_> = running.collect();
            running.into_iter().map(join).collect()
        } else {
            running.map(join).collect()
        }
    })
}

/// Prints the tables.
#[allow(clippy::cast_precision_loss, reason = "figures of a table")]
pub(crate) fn run(quick: bool) {
    let how_long = if quick { QUICK } else { FULL };
    // One after the other: two that run the same program would share its pages.
    let alone = watch(Watch { settle: Duration::from_secs(2), watch: Duration::ZERO }, false);
    let seen: Vec<&Seen> = alone.iter().flatten().collect();
    let ours = |index: usize| seen.first().map_or(f64::NAN, |first| first.numbers[index]);
    println!("\n## Memory\n\n{MEMORY}\n");
    println!(
        "**Memory of a device that is up**\n\n| | private ÷ bringup's | private KiB | of that written to | after the flood | resident KiB | processes | threads |\n\
         |---|---|---|---|---|---|---|---|"
    );
    for Seen { contender, programs, numbers } in &seen {
        let [threads, resident, private, _, dirty, ..] = *numbers;
        println!(
            "| {} ({programs}) | {} | {private} | {dirty} | {} | {resident} | {} | {threads} |",
            contender.name.trim_end_matches(" -Q"),
            figure(private / ours(2)),
            numbers[10],
            programs.split(", ").count(),
        );
    }
    println!("{LWS_MEMORY}");
    // They do next to nothing, and share the time.
    let all = watch(how_long, true);
    let seen: Vec<&Seen> = all.iter().flatten().collect();
    let ours = |index: usize| seen.first().map_or(f64::NAN, |first| first.numbers[index]);
    println!("\n## A day of idling\n\n{DAY}\n");
    println!(
        "**A day, extrapolated from {} s that began {} s after the time was known**\n\n\
         | | wakeups ÷ bringup's | wakeups an hour | packets sent a day | received a day | CPU s a day |\n\
         |---|---|---|---|---|---|",
        how_long.watch.as_secs(),
        how_long.settle.as_secs()
    );
    let day = 86_400.0 / how_long.watch.as_secs_f64();
    for Seen { contender, numbers, .. } in &seen {
        let [_, _, _, _, _, sent, received, wakeups, processor_ns, ..] = *numbers;
        println!(
            "| {} | {} | {} | {:.0} | {:.0} | {} |",
            contender.name.trim_end_matches(" -Q"),
            figure(wakeups / ours(7)),
            figure(wakeups * day / 24.0),
            sent * day,
            received * day,
            figure(processor_ns * day / 1e9),
        );
    }
    for why in all.iter().filter_map(|seen| seen.as_ref().err()) {
        println!("\n{why}.");
    }
}

const MEMORY: &str = "\
Everything that runs on the device after it came up and stays up: DHCP client, NTP client, and what they have \
started. *Private* is what the device would get back if they ended (`smaps_rollup`), their own code included; it counts. The flood is 30,000 \
DHCP replies of another transaction, broadcast as fast as one thread can, on the interface in question.";

const LWS_MEMORY: &str = "\
\nlibwebsockets with attach, DNS, NTP and DHCP, as studied elsewhere: 164 to 528 KiB resident when static with musl, \
1.2 to 1.9 MiB with glibc; 10 to 13 KiB of heap in use.";

const DAY: &str = "\
The same devices, left alone. Wakeups are voluntary context switches of all threads; packets are those of the \
interface; processor time is the scheduler's. All NTP clients lengthen their intervals for hours, so that a real \
day is cheaper than this for each of them.";
