//! What a running program costs: processor time, memory, descriptors, as /proc shows them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::Host;
use super::namespace::FILES;
use super::program::run;

/// A running program, looked at from outside.
#[derive(Debug)]
pub struct Watched {
    folder: PathBuf,
}

/// What a program has cost so far, or has now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Processor time, in user space and in the kernel; /proc counts it in hundredths of a second.
    pub processor: Duration,
    /// Open descriptors.
    pub descriptors: usize,
    /// Resident memory in KiB.
    pub resident_kib: u64,
}

/// What memory a program has, KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident, shared with others or not.
    pub resident_kib: u64,
    /// Resident, and nobody else's.
    pub private_kib: u64,
    /// Of what is private, what was written to: the rest can be read again from its file.
    pub dirty_kib: u64,
    /// Resident, what is shared divided by the number of those who share it.
    pub proportional_kib: u64,
}

/// The programs that run on a host: their process ids, in order.
#[must_use]
pub fn processes(host: &Host) -> Vec<u32> {
    let there = format!("net:[{}]", host.number());
    let all = fs::read_dir(proc()).expect("the laboratory's own").flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // One that has ended meanwhile is nowhere.
    let is_there = |pid: &u32| {
        let link = fs::read_link(proc().join(pid.to_string()).join("ns/net"));
        link.is_ok_and(|link| link.as_os_str() == there.as_str())
    };
    let mut pids: Vec<u32> = numbers.filter(is_there).collect();
    pids.sort_unstable();
    pids
}

impl Watched {
    /// A program of this laboratory by its process id, as its parent knows it.
    #[must_use]
    pub fn new(pid: u32) -> Self {
        Self { folder: proc().join(pid.to_string()) }
    }

    /// What it has cost.
    #[must_use]
    pub fn cost(&self) -> Cost {
        let descriptors = fs::read_dir(self.folder.join("fd")).expect("it runs").count();
        Cost {
            processor: self.processor(),
            descriptors,
            resident_kib: self
                .status("VmRSS:")
                .split(' ')
                .next()
                .expect("a number")
                .parse()
                .expect("KiB"),
        }
    }

    /// The number that the next descriptor will have.
    #[must_use]
    pub fn first_free_descriptor(&self) -> u64 {
        let open = |number: &u64| !self.folder.join(format!("fd/{number}")).is_symlink();
        (0..).find(open).expect("there are more numbers than descriptors")
    }

    /// Its name, at most 15 octets of it.
    #[must_use]
    pub fn name(&self) -> String {
        self.status("Name:")
    }

    /// Its memory.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let text = fs::read_to_string(self.folder.join("smaps_rollup")).expect("it runs");
        let sum = |names: &[&str]| {
            let lines = text.lines().filter_map(|line| {
                let rest = names.iter().find_map(|name| line.strip_prefix(name))?;
                rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()
            });
            lines.sum()
        };
        Memory {
            resident_kib: sum(&["Rss:"]),
            private_kib: sum(&["Private_Clean:", "Private_Dirty:"]),
            dirty_kib: sum(&["Private_Dirty:"]),
            proportional_kib: sum(&["Pss:"]),
        }
    }

    /// How many threads it has.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.tasks().len()
    }

    /// The processor time of its threads, which the scheduler counts in nanoseconds.
    #[must_use]
    pub fn processor_exactly(&self) -> Duration {
        let of = |task: &PathBuf| -> Option<u64> {
            let text = fs::read_to_string(task.join("schedstat")).ok()?;
            text.split(' ').next()?.parse().ok()
        };
        Duration::from_nanos(self.tasks().iter().filter_map(of).sum())
    }

    /// How often its threads went to sleep and were woken again.
    #[must_use]
    pub fn wakeups(&self) -> u64 {
        let of = |task: &PathBuf| -> Option<u64> {
            let text = fs::read_to_string(task.join("status")).ok()?;
            let mut lines = text.lines();
            lines
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?
                .trim()
                .parse()
                .ok()
        };
        self.tasks().iter().filter_map(of).sum()
    }

    fn tasks(&self) -> Vec<PathBuf> {
        let tasks = fs::read_dir(self.folder.join("task")).into_iter().flatten().flatten();
        tasks.map(|task| task.path()).collect()
    }

    /// Whether it is stopped by a signal.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.status("State:").starts_with('T')
    }

    /// The capabilities of each of its threads, as proc(5) shows the set of this name ("CapEff" and the
    /// like), each once.
    #[must_use]
    pub fn capabilities(&self, set: &str) -> Vec<u64> {
        let tasks = fs::read_dir(self.folder.join("task")).expect("it runs").flatten();
        let of = |task: fs::DirEntry| {
            let status = fs::read_to_string(task.path().join("status")).expect("it runs");
            let line = status.lines().find_map(|line| line.strip_prefix(set)).expect("a set");
            u64::from_str_radix(line.trim_start_matches(':').trim(), 16).expect("a set")
        };
        let mut all: Vec<u64> = tasks.map(of).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// What is mapped into its memory, and what each takes: proc(5), `smaps`.
    #[must_use]
    pub fn smaps(&self) -> String {
        fs::read_to_string(self.folder.join("smaps")).expect("it runs")
    }

    /// Memory that it shares with nobody, in KiB, as `smaps_rollup` sums it up: pages of its files, and pages
    /// that it has written. A file that was written just now has pages that are dirty although the program
    /// never touched them; what it wrote itself is anonymous.
    #[must_use]
    pub fn private_kib(&self) -> [u64; 2] {
        let sums = fs::read_to_string(self.folder.join("smaps_rollup")).expect("Linux 4.14");
        let [clean, dirty, written] =
            ["Private_Clean:", "Private_Dirty:", "Anonymous:"].map(|name| {
                let line =
                    sums.lines().find_map(|line| line.strip_prefix(name)).expect("it is there");
                line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
            });
        [(clean + dirty).saturating_sub(written), written]
    }

    fn processor(&self) -> Duration {
        let stat = fs::read_to_string(self.folder.join("stat")).expect("it runs");
        // proc(5): the fields after the name, which ends at the last parenthesis; utime is the 14th.
        let fields: Vec<&str> = stat.rsplit(") ").next().expect("some").split(' ').collect();
        let ticks: u64 =
            fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("ticks")).sum();
        Duration::from_millis(ticks * 10)
    }

    fn status(&self, name: &str) -> String {
        let status = fs::read_to_string(self.folder.join("status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.expect("a line of proc(5)").trim().to_owned()
    }
}

/// The laboratory has process ids of its own, which the machine's /proc does not know.
fn proc() -> &'static Path {
    static MOUNTED: OnceLock<PathBuf> = OnceLock::new();
    MOUNTED.get_or_init(|| {
        let folder = Path::new(FILES).join("proc");
        fs::create_dir(&folder).expect("the laboratory's own folder");
        let mut mount = Command::new("mount");
        run(mount.args(["-t", "proc", "proc"]).arg(&folder), super::PATIENCE).expect_code(0);
        folder
    })
}
