//! How large the programs are, and what else they need.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bringup_tests::lab::bringup;
use bringup_tests::lab::program::{find, libraries};

use crate::statistics::figure;

/// Programs that together do the job: the name of the row, and where they are.
struct Set {
    name: &'static str,
    programs: Vec<Option<PathBuf>>,
}

/// A program that was built beside the one under test, or above it: in the target directory itself.
fn built(name: &str) -> Option<PathBuf> {
    let program = bringup();
    let folders = program.ancestors().skip(1).take(2);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The size of a program without its symbols.
fn stripped(program: &Path) -> Option<u64> {
    let copy = std::env::temp_dir().join(format!("bringup-stripped-{}", std::process::id()));
    let status = Command::new("strip").arg("-o").arg(&copy).arg(program).status().ok()?;
    let size = status.success().then(|| fs::metadata(&copy).ok().map(|file| file.len())).flatten();
    // It is in the way of nobody.
    let _ = fs::remove_file(&copy);
    size
}

/// The shared libraries of a program, by the loader's word.
fn shared(program: &Path) -> BTreeSet<PathBuf> {
    let mut ldd = Command::new("ldd");
    ldd.arg(program).envs(libraries(program).map(|folders| ("LD_LIBRARY_PATH", folders)));
    let text = ldd.output().map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let words = text.split_whitespace().filter(|word| word.starts_with('/'));
    words.flat_map(fs::canonicalize).collect()
}

/// Prints a row; gives its size.
fn row(set: &Set, ours: f64) -> Option<f64> {
    let programs: Vec<&PathBuf> = set.programs.iter().flatten().collect();
    if programs.len() < set.programs.len() {
        println!("| {} | | absent | | |", set.name);
        return None;
    }
    let bytes: u64 = programs.iter().filter_map(|program| stripped(program)).sum();
    let shared: BTreeSet<PathBuf> = programs.iter().flat_map(|program| shared(program)).collect();
    let of_shared: u64 = shared.iter().flat_map(fs::metadata).map(|file| file.len()).sum();
    #[allow(clippy::cast_precision_loss, reason = "a figure of a table")]
    let size = (bytes + of_shared) as f64;
    let ours = if ours.is_nan() { size } else { ours };
    println!(
        "| {} | {} | {bytes} | {} | {of_shared} |",
        set.name,
        figure(size / ours),
        shared.len()
    );
    Some(size)
}

/// Prints the table.
pub(crate) fn run(_quick: bool) {
    println!("\n## Size\n\n{SIZE}\n");
    println!(
        "**Programs and their libraries, bytes**\n\n| | all ÷ bringup's | programs, stripped | \
         shared libraries | bytes of these |\n|---|---|---|---|---|"
    );
    let of = |names: &[&str]| names.iter().map(|name| find(name)).collect::<Vec<_>>();
    let sets = [
        Set { name: "**bringup**, the command, dynamic", programs: vec![Some(bringup())] },
        Set {
            name: "bringup, the command, static with glibc",
            programs: vec![built("bringup-static")],
        },
        Set {
            name: "bringup-tiny, `no_std`, static",
            programs: vec![built("bringup-tiny-static")],
        },
        Set { name: "bringup-tiny, `no_std`, dynamic", programs: vec![built("bringup-tiny")] },
        Set {
            name: "busybox with udhcpc, ntpd, ip and sh alone",
            programs: of(&["busybox-small"]),
        },
        Set { name: "dhclient, chronyd", programs: of(&["dhclient", "chronyd"]) },
        Set { name: "dhcpcd, chronyd", programs: of(&["dhcpcd", "chronyd"]) },
        Set {
            name: "systemd-networkd, systemd-timesyncd",
            programs: of(&["systemd-networkd", "systemd-timesyncd"]),
        },
    ];
    let mut ours = f64::NAN;
    for set in &sets {
        if let Some(size) = row(set, ours) {
            ours = if ours.is_nan() { size } else { ours };
        }
    }
    println!("{LWS}");
}

const SIZE: &str = "\
What has to be on the device: the programs without symbols, and the shared libraries that the loader takes for them, \
libc included. Scripts, and the shells and `ip` that they call, are not counted.";

const LWS: &str = "\
\nlibwebsockets, a program with attach, DNS, NTP, DHCP and notifiers, as studied elsewhere: static with musl 116,984 \
bytes (109,572 of text and data) without TCP for DNS, 147,220 with it; 80,990 to 125,448 dynamic with glibc.";
