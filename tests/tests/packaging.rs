//! What is built for users beside the crates: a Debian package with a static program, completions, man
//! pages, and what service managers read. Installed into a scratch root, never into this machine.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use bringup_tests::lab;

fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("tests/ is in the workspace").to_owned()
}

fn packaging() -> PathBuf {
    workspace().join("helpers/command/packaging")
}

/// Runs a program to its end; it must be well.
fn said(command: &mut Command) -> String {
    let output = outcome(command);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{text}{errors}");
    text
}

fn outcome(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|why| panic!("cannot start {command:?}: {why}"))
}

/// A folder that is gone with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("bringup-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder of our own");
        Self(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The package, built once for all tests of this program: with the quick profile, by the same script.
fn package() -> &'static Path {
    static PACKAGE: OnceLock<PathBuf> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or(workspace().join("target"), PathBuf::from);
        let script = packaging().join("deb");
        let built =
            said(Command::new(script).args(["--profile", "dev"]).arg(target.join("debian")));
        PathBuf::from(built.trim_end())
    })
}

/// A root with an empty database of packages, and dpkg that works on it alone.
fn dpkg(root: &Path) -> Command {
    let database = root.join("var/lib/dpkg");
    fs::create_dir_all(database.join("info")).expect("our own folder");
    fs::create_dir_all(database.join("updates")).expect("our own folder");
    let status = database.join("status");
    if !status.exists() {
        fs::write(&status, "").expect("our own folder");
    }
    let mut command = Command::new("dpkg");
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).arg("--root").arg(root);
    command.args(["--force-not-root", "--log=/dev/null"]);
    command
}

#[test]
fn the_package_is_installed_works_and_leaves_nothing() {
    let scratch = Scratch::new("root");
    let root = &scratch.0;
    let listed = said(Command::new("dpkg-deb").arg("-c").arg(package()));
    assert!(listed.starts_with("drwxr-xr-x"), "the root is for everybody: {listed}");
    said(dpkg(root).arg("--install").arg(package()));
    let program = root.join("usr/bin/bringup");
    let version = said(Command::new(&program).arg("--version"));
    assert!(
        said(dpkg(root).arg("--status").arg("bringup"))
            .contains(&format!("Version: {}", version.trim_end().trim_start_matches("bringup ")))
    );
    // Static: no interpreter, and so no library of this machine. It does its work all the same.
    let headers = fs::read(&program).expect("it is there");
    assert!(!headers.windows(10).any(|octets| octets == b"/ld-linux-"), "no dynamic loader");
    let demo = said(Command::new(&program).args(["demo", "--json"]));
    assert!(demo.contains(r#""to":"OPERATIONAL""#), "{demo}");
    assert_eq!(said(dpkg(root).args(["--verify", "bringup"])), "", "all is as it was packed");
    for file in [
        "usr/lib/systemd/system/bringup.service",
        "usr/share/man/man1/bringup.1.gz",
        "usr/share/man/man1/bringup-up.1.gz",
        "usr/share/bash-completion/completions/bringup",
        "usr/share/doc/bringup/copyright",
    ] {
        assert!(root.join(file).is_file(), "{file}");
    }
    let check = Command::new(&program)
        .arg("check")
        .arg(root.join("usr/share/doc/bringup/examples/bringup.toml"))
        .output()
        .expect("it runs");
    assert!(check.status.success(), "{check:?}");
    said(dpkg(root).args(["--purge", "bringup"]));
    assert!(!program.exists() && !root.join("usr/share/doc/bringup").exists());
}

#[test]
fn the_unit_is_one_and_has_few_rights() {
    let Some(analyze) = lab::find("systemd-analyze") else {
        return eprintln!("left out: this machine has no systemd-analyze");
    };
    let scratch = Scratch::new("unit");
    // Where the program is: here it is not installed.
    let unit = fs::read_to_string(packaging().join("bringup.service")).expect("a unit");
    let here = unit.replace("/usr/bin/bringup", "/bin/true");
    let file = scratch.0.join("bringup.service");
    fs::write(&file, here).expect("our own folder");
    let verified = outcome(Command::new(&analyze).args(["--man=no", "verify"]).arg(&file));
    let said_of_it = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success() && !said_of_it.contains("bringup.service"), "{said_of_it}");
    // 2.2 of 10; a unit that says nothing has 9.6.
    said(Command::new(&analyze).args(["security", "--offline=true", "--threshold=25"]).arg(&file));
    for right in ["CAP_NET_RAW CAP_NET_ADMIN CAP_NET_BIND_SERVICE\n", "DynamicUser=yes"] {
        assert!(unit.contains(right), "{right}");
    }
}

#[test]
fn completions_and_man_pages_come_from_the_definition() {
    let scratch = Scratch::new("generated");
    let folder = &scratch.0;
    said(Command::new(lab::example("generate")).arg(folder));
    let completed = |words: &str, at: usize| {
        let script = format!(
            "source {}/bringup.bash; COMP_WORDS=({words}); COMP_CWORD={at}; \
             _bringup bringup \"${{COMP_WORDS[$COMP_CWORD]}}\" \"${{COMP_WORDS[$COMP_CWORD-1]}}\"; \
             echo ${{COMPREPLY[@]}}",
            folder.display()
        );
        said(Command::new("bash").args(["-c", &script])).trim_end().to_owned()
    };
    assert_eq!(completed("bringup qu", 1), "query");
    assert_eq!(completed("bringup up --set", 2), "--set-clock");
    assert_eq!(completed("bringup up --profile st", 3), "standard");
    for (shell, file) in [("zsh", "_bringup"), ("fish", "bringup.fish")] {
        let text = fs::read_to_string(folder.join(file)).expect("it was written");
        assert!(text.contains("hook-timeout"), "{file}");
        if let Some(shell) = lab::find(shell) {
            said(Command::new(shell).arg("-n").arg(folder.join(file)));
        }
    }
    // Each command has a page, with all of its options.
    for command in ["demo", "up", "status", "lease", "query", "time", "check", "decode"] {
        let page = fs::read_to_string(folder.join(format!("bringup-{command}.1")));
        assert!(page.unwrap_or_default().contains(".SH OPTIONS"), "{command}");
    }
    let Some(man) = lab::find("man") else { return };
    for page in ["bringup.1", "bringup-up.1"] {
        let mut command = Command::new(&man);
        command
            .args(["--warnings", "--local-file"])
            .arg(folder.join(page))
            .env("MANROFFOPT", "-ww");
        let shown = outcome(&mut command);
        let errors = String::from_utf8_lossy(&shown.stderr);
        assert!(shown.status.success() && errors.is_empty(), "{page}: {errors}");
    }
}

#[test]
fn scripts_of_service_managers_are_sound() {
    let help = said(Command::new(lab::bringup()).args(["up", "--help"]));
    let known: BTreeSet<&str> =
        help.split([' ', ',', '=', '[', ']', '\n']).filter(|word| word.starts_with('-')).collect();
    let mut checked = BTreeSet::new();
    for script in [
        "openrc/bringup",
        "runit/run",
        "runit/check",
        "initramfs/hook",
        "initramfs/premount",
        "deb",
    ] {
        let file = packaging().join(script);
        let shell = if script == "deb" { "bash" } else { "sh" };
        said(Command::new(shell).arg("-n").arg(&file));
        let text = fs::read_to_string(&file).expect("a script");
        // What it calls is what there is.
        for line in text.lines() {
            // OpenRC has the arguments in a variable of their own.
            let arguments = ["bringup up ", "command_args=\"up "];
            let Some((_, rest)) = arguments.iter().find_map(|start| line.split_once(start)) else {
                continue;
            };
            let options = rest.split([' ', '"']).filter(|word| word.starts_with('-'));
            for option in options {
                assert!(known.contains(&option), "{script}: {option}");
                checked.insert(script);
            }
        }
    }
    assert_eq!(checked, BTreeSet::from(["initramfs/premount", "openrc/bringup", "runit/run"]));
}

#[test]
fn cargo_installs_the_command() {
    let scratch = Scratch::new("cargo");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(workspace()).args([
        "install",
        "--quiet",
        "--debug",
        "--locked",
        "--offline",
        "--no-track",
    ]);
    cargo.args(["--path", "helpers/command", "--root"]).arg(&scratch.0);
    said(
        cargo.env("CARGO_TARGET_DIR", lab::bringup().ancestors().nth(2).expect("a target folder")),
    );
    let installed = fs::read_dir(scratch.0.join("bin")).expect("a folder of programs").count();
    assert_eq!(installed, 1, "the command alone");
    said(Command::new(scratch.0.join("bin/bringup")).arg("--version"));
}
