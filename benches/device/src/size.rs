//! How large the programs are, and what else they need.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bringup_tests::lab::bringup;
use bringup_tests::lab::program::{find, libraries};

use crate::statistics::figure;

/// Programs that together do the job.
struct Set {
    name: &'static str,
    programs: Vec<Option<PathBuf>>,
    /// The Debian packages that they come in, or of the libraries that they load.
    packages: &'static [&'static str],
    /// The folder of the package that they are built from, if it is one of ours.
    built_from: Option<&'static str>,
}

/// How many Debian packages have to be installed for these on a machine that has none: they, and all
/// that they depend on, without what is only recommended. `None` where there is no APT to ask.
fn closure(packages: &[&str]) -> Option<usize> {
    let mut apt = Command::new("apt-get");
    apt.args(["--simulate", "-o", "Dir::State::status=/dev/null", "--no-install-recommends"]);
    let output = apt.arg("install").args(packages).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let count = text.lines().filter(|line| line.starts_with("Inst ")).count();
    (count >= packages.len()).then_some(count)
}

/// How many crates of others are in a program that is built from `folder` of this repository.
fn crates(folder: &str) -> Option<usize> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let mut tree = Command::new("cargo");
    tree.args(["tree", "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]);
    let output = tree.current_dir(root).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // Behind the name of one of ours stands where it is.
    let others = text.lines().filter(|line| !line.is_empty() && !line.contains("(/"));
    let others: BTreeSet<&str> = others.map(|line| line.trim_end_matches(" (*)")).collect();
    output.status.success().then_some(others.len())
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
        println!("| {} | | absent | | | | |", set.name);
        return None;
    }
    let bytes: u64 = programs.iter().filter_map(|program| stripped(program)).sum();
    let shared: BTreeSet<PathBuf> = programs.iter().flat_map(|program| shared(program)).collect();
    let of_shared: u64 = shared.iter().flat_map(fs::metadata).map(|file| file.len()).sum();
    #[allow(clippy::cast_precision_loss, reason = "a figure of a table")]
    let size = (bytes + of_shared) as f64;
    let ours = if ours.is_nan() { size } else { ours };
    let told = |count: Option<usize>| count.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let crates = set.built_from.map_or_else(|| "–".to_owned(), |folder| told(crates(folder)));
    let packages = told(if set.packages.is_empty() { Some(0) } else { closure(set.packages) });
    println!(
        "| {} | {} | {bytes} | {} | {of_shared} | {crates} | {packages} |",
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
         shared libraries | bytes of these | crates of others inside | Debian packages needed \
         |\n|---|---|---|---|---|---|---|"
    );
    let of = |names: &[&str]| names.iter().map(|name| find(name)).collect::<Vec<_>>();
    const LIBC: &[&str] = &["libc6", "libgcc-s1"];
    let (command, tiny) = (Some("helpers/command"), Some("platform/tiny"));
    let set = |name, programs, packages, built_from| Set { name, programs, packages, built_from };
    let sets = [
        set("**bringup**, the command, dynamic", vec![Some(bringup())], LIBC, command),
        set("bringup, the command, static with glibc", vec![built("bringup-static")], &[], command),
        set("bringup-tiny, `no_std`, static", vec![built("bringup-tiny-static")], &[], tiny),
        set("bringup-tiny, `no_std`, dynamic", vec![built("bringup-tiny")], LIBC, tiny),
        set("busybox with udhcpc, ntpd, ip and sh alone", of(&["busybox-small"]), &["libc6"], None),
        set(
            "dhclient, chronyd",
            of(&["dhclient", "chronyd"]),
            &["isc-dhcp-client", "chrony"],
            None,
        ),
        set("dhcpcd, chronyd", of(&["dhcpcd", "chronyd"]), &["dhcpcd-base", "chrony"], None),
        set(
            "systemd-networkd, systemd-timesyncd",
            of(&["systemd-networkd", "systemd-timesyncd"]),
            &["systemd", "systemd-timesyncd"],
            None,
        ),
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
libc included. Scripts, and the shells and `ip` that they call, are not counted. The last column is what \
`apt-get install` would bring to a machine without any package: the programs' own packages and all that those \
depend on, nothing that is only recommended; for programs that are built here, the libraries that they load.";

const LWS: &str = "\
\nlibwebsockets, a program with attach, DNS, NTP, DHCP and notifiers, as studied elsewhere: static with musl 116,984 \
bytes (109,572 of text and data) without TCP for DNS, 147,220 with it; 80,990 to 125,448 dynamic with glibc.";
