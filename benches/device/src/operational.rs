//! Time to OPERATIONAL: from the start of a program to address, one name and one valid offset of the clock.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bringup_tests::lab::{Lab, again_with};

use crate::contender::{CONTENDERS, named};
use crate::floor;
use crate::scenario::{GIVE_UP, SCENARIOS, Scenario, World};
use crate::statistics::{cell, figure, spread};

/// The word of the floor, which is a contender of its own kind.
const FLOOR: &str = "floor";
/// Rounds of a smoke test, where nothing is lost, and under loss.
const ROUNDS: (usize, usize, usize) = (1, 5, 15);
/// Who needs its seconds by the clock, and always the same ones, is run no more often than this.
const SLOW_ROUNDS: usize = 2;
/// Runs under loss that go on beside each other.
const BESIDE: usize = 8;
/// A laboratory that hangs is given up.
const DEADLINE: Duration = Duration::from_secs(3 * GIVE_UP.as_secs());

/// One bring-up, in a laboratory: prints its microseconds, or `no: ` and why not.
pub(crate) fn inside(lab: &Lab, contender: &str, scenario: &str, seed: &str) {
    let scenario = Scenario::named(scenario);
    let world = World::new(lab, &scenario, contender, seed.parse().expect("a number"));
    let took = if contender == FLOOR {
        floor(&world, &scenario)
    } else if scenario.remembered {
        world.bring_up_again(named(contender))
    } else {
        world.bring_up(named(contender))
    };
    if std::env::var_os("BRINGUP_BENCH_SHOW").is_some() {
        eprintln!("{}", world.said());
    }
    match took {
        Ok(took) => println!("{}", took.as_micros()),
        Err(why) => println!("no: {why}"),
    }
}

fn floor(world: &World, scenario: &Scenario) -> Result<Duration, String> {
    let failed = || "an exchange failed".to_owned();
    let (took, address) = floor::bring_up(world.device(), None).ok_or_else(failed)?;
    if !scenario.remembered {
        return Ok(took);
    }
    world.set_back();
    Ok(floor::bring_up(world.device(), Some(address)).ok_or_else(failed)?.0)
}

/// Milliseconds of one bring-up in a laboratory of its own, or why there are none.
fn measure(contender: &str, scenario: &Scenario, seed: usize) -> Result<f64, String> {
    let seed = seed.to_string();
    let outcome = again_with(&["operational", contender, scenario.word, &seed], DEADLINE)?;
    if outcome.code != 0 {
        return Err(outcome.to_string());
    }
    let said = outcome.stdout.trim();
    match said.parse::<f64>() {
        Ok(us) => Ok(us / 1e3),
        Err(_) => Err(said.trim_start_matches("no: ").to_owned()),
    }
}

/// The times of one contender, a round each; those that did not come to an end are infinite.
struct Row {
    name: &'static str,
    word: &'static str,
    times: Vec<f64>,
    why: Option<String>,
}

/// The rows of a scenario, in the order of [`CONTENDERS`], then the floor where frames are not lost.
fn rounds(scenario: &Scenario, rounds: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = CONTENDERS
        .iter()
        .filter(|contender| contender.missing().is_none())
        .map(|contender| (contender.name, contender.word))
        // It does not send again.
        .chain((scenario.loss_percent == 0).then_some(("floor: the same exchanges by hand", FLOOR)))
        .map(|(name, word)| Row { name, word, times: Vec::new(), why: None })
        .collect();
    let count = rows.len();
    // Each round begins with another.
    let runs = (0..rounds)
        .flat_map(|round| (0..count).map(move |step| Run { round, index: (round + step) % count }));
    let is_slow = |word| matches!(word, "dhcpcd");
    let runs = runs.filter(|run| {
        scenario.loss_percent > 0 || run.round < SLOW_ROUNDS || !is_slow(rows[run.index].word)
    });
    let runs: Vec<Run> = runs.collect();
    // Under loss they wait, most of the time, and do so beside each other.
    let workers = if scenario.loss_percent > 0 { BESIDE } else { 1 };
    let words: Vec<&str> = rows.iter().map(|row| row.word).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let next = || runs.get(next.fetch_add(1, Ordering::Relaxed));
        let measured = std::iter::from_fn(next)
            .map(|run| (run, measure(words[run.index], scenario, run.round)));
        measured.collect::<Vec<_>>()
    };
    let mut results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("it does not panic")).collect()
    });
    // The times of a row stand in the order of the rounds.
    results.sort_by_key(|(run, _)| run.round);
    for (run, result) in results {
        let row = &mut rows[run.index];
        row.times.push(*result.as_ref().unwrap_or(&f64::INFINITY));
        if let Err(why) = result {
            eprintln!("{}, {}: {why}", row.name, scenario.name);
            row.why = Some(why);
        }
    }
    rows
}

/// One run of a contender.
struct Run {
    round: usize,
    index: usize,
}

/// Prints the tables.
pub(crate) fn run(quick: bool) {
    println!("\n## Time to OPERATIONAL\n\n{INTRODUCTION}");
    for contender in &CONTENDERS {
        if let Some(program) = contender.missing() {
            println!("\nAbsent: {}, since there is no {program} here.", contender.name);
        }
    }
    for scenario in &SCENARIOS {
        let count = match (quick, scenario.loss_percent) {
            (true, _) => ROUNDS.0,
            (false, 0) => ROUNDS.1,
            (false, _) => ROUNDS.2,
        };
        if quick && !matches!(scenario.word, "cold" | "remembered") {
            continue;
        }
        eprintln!("  {}: {count} rounds", scenario.name);
        table(scenario, &rounds(scenario, count));
    }
}

fn table(scenario: &Scenario, rows: &[Row]) {
    let trips = scenario.one_way * 2 * scenario.round_trips;
    println!("\n**{}**\n", title(scenario, rows[0].times.len()));
    println!(
        "| | time ÷ bringup's | ms | above the round trips, ms | done |\n|---|---|---|---|---|"
    );
    for row in rows {
        let ratios = row.times.iter().zip(&rows[0].times).map(|(theirs, ours)| theirs / ours);
        let (median, ..) = spread(row.times.clone());
        let done = row.times.iter().filter(|time| time.is_finite()).count();
        println!(
            "| {} | {} | {} | {} | {done} of {} |",
            row.name,
            cell(ratios.filter(|ratio| !ratio.is_nan()).collect()),
            cell(row.times.clone()),
            figure(median - trips.as_secs_f64() * 1e3),
            row.times.len(),
        );
    }
    for row in rows {
        if let Some(why) = row.why.as_deref().filter(|_| row.times.iter().all(|t| t.is_infinite()))
        {
            println!("\n{}: {}.", row.name, why.lines().next().unwrap_or_default());
        }
    }
}

fn title(scenario: &Scenario, rounds: usize) -> String {
    let Scenario { name, round_trips, one_way, .. } = scenario;
    let sum = match one_way.as_millis() {
        0 => String::new(),
        ms => format!(" of {} ms", 2 * ms),
    };
    format!("Time to OPERATIONAL, {name}: {round_trips} round trips{sum}, {rounds} rounds")
}

const INTRODUCTION: &str = "\
A device in a network namespace, its interface down; behind the wire dnsmasq (leases of 12 h, no option 42) and \
chronyd. The clock runs from the line in which the device's shell says that it begins, once the laboratory has \
been entered, to the line in which the contender says that it has a valid offset of the clock, both read through \
one pipe; by then it must have put an address on the interface and must have resolved the name of the NTP server, \
which is looked up afterwards in the interface and in dnsmasq's log. Each run has namespaces, servers and caches \
of its own. Nobody can set the clock here. The DHCP clients of others call scripts of three lines. *Remembered \
lease*: the device was up, was killed as by a power cut, and comes back with what it had written; udhcpc writes \
nothing and is told its old address. With loss all contenders of a round meet equal dice, and eight runs at a time \
go on beside each other; what was not done after 30 s counts as infinite. dhcpcd with its defaults waits by the \
clock, and is run twice where nothing is lost.";
