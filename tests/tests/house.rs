//! The rules of the house: who may depend on whom, and that the documents name what exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("tests/ is in the workspace").to_owned()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

/// All that a crate's manifest names, whatever the kind (normal, dev, build), target or feature.
fn dependencies(metadata: &Value, name: &str) -> Vec<String> {
    let packages = metadata["packages"].as_array().expect("packages");
    let package =
        packages.iter().find(|package| package["name"] == name && package["source"].is_null());
    let package = package.unwrap_or_else(|| panic!("{name} is no package of the workspace"));
    let dependencies = package["dependencies"].as_array().expect("dependencies");
    dependencies
        .iter()
        .map(|dependency| dependency["name"].as_str().expect("a name").to_owned())
        .collect()
}

#[test]
fn nothing_points_up() {
    let helpers: &[&str] = &["bringup-core", "bringup-dns", "bringup-ntp", "bringup-dhcp"];
    let core = &helpers[..1];
    let metadata = metadata();
    let rules: [(&str, &[&str]); 5] = [
        ("bringup-core", &[]),
        ("bringup-dns", core),
        ("bringup-ntp", core),
        ("bringup-dhcp", core),
        ("bringup-system", helpers),
    ];
    for (name, allowed) in rules {
        for dependency in dependencies(&metadata, name) {
            assert!(
                allowed.contains(&&*dependency),
                "{name} depends on {dependency}; it may on {allowed:?}"
            );
        }
    }
}

/// A method that the tap of `--timeline` does not pass on would be gone without a word: many have a
/// default.
#[test]
fn the_tap_passes_every_method_of_a_platform_on() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect(path);
    let contract = read("core/src/platform.rs");
    let tap = read("helpers/command/src/record/tap.rs");
    let (_, contract) = contract.split_once("pub trait Platform:").expect("the trait");
    let (contract, _) = contract.split_once("\n}\n").expect("its end");
    let methods: Vec<&str> =
        contract.split("    fn ").skip(1).filter_map(|rest| rest.split('(').next()).collect();
    assert!(methods.len() > 20, "{methods:?}");
    for method in methods {
        assert!(tap.contains(&format!("platform.{method}(")), "{method} is not passed on");
    }
}

/// The first check sees what there is to see.
#[test]
fn dependencies_of_each_kind_are_seen() {
    let metadata = metadata();
    assert!(
        dependencies(&metadata, "bringup-tests").contains(&"serde_json".to_owned()),
        "a dependency"
    );
    assert!(
        dependencies(&metadata, "bringup-tests").contains(&"libc".to_owned()),
        "one of a target"
    );
}

/// Who looks for something finds it in one of these.
#[test]
fn the_top_level_is_what_was_agreed_on() {
    let output = Command::new("git").args(["ls-files", "--full-name"]).current_dir(root()).output();
    let Ok(output) = output else { return };
    let files = String::from_utf8(output.stdout).expect("UTF-8");
    let folders: BTreeSet<&str> =
        files.lines().filter_map(|file| file.split_once('/')).map(|(folder, _)| folder).collect();
    let agreed = [".ci", "benches", "core", "docs", "fuzz", "helpers", "platform", "tests"];
    // In a packaged tree there is no git, and nothing to look at.
    assert!(folders.is_empty() || folders.iter().eq(agreed.iter()), "{folders:?}");
}

/// What is shipped, with every feature and for every target: who uses it sees what they get.
const SHIPPED: [&str; 7] = [
    "bringup-core",
    "bringup-dhcp",
    "bringup-dns",
    "bringup-ntp",
    "bringup-system",
    "bringup-platform",
    "bringup",
];

/// The crates that one crate brings along, as cargo resolves them now, by name, version and licence.
fn tree(crate_name: &str) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--all-features", "--target", "all"])
        .args(["--edges", "normal,build", "--prefix", "none", "--no-dedupe"])
        .args(["--format", "{p} | {l}", "-p", crate_name])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: BTreeSet<&str> = text.lines().filter(|line| !line.starts_with("bringup")).collect();
    lines.into_iter().map(|line| format!("    {}\n", line.replace(" (proc-macro)", ""))).collect()
}

#[test]
fn what_is_shipped_depends_on_what_the_list_says() {
    let file = root().join("docs/dependencies.txt");
    let mut now = String::from(
        "What each crate brings along: every feature, every target, build time included. A test compares;\n\
         BRINGUP_WRITE=1 cargo test -p bringup-tests --test house writes it anew.\n",
    );
    for name in SHIPPED {
        now += &format!("\n{name}\n{}", tree(name));
    }
    if std::env::var_os("BRINGUP_WRITE").is_some() {
        fs::write(&file, &now).expect("docs/ can be written");
    }
    let listed = fs::read_to_string(&file).expect("docs/dependencies.txt");
    assert!(now == listed, "docs/dependencies.txt says\n{listed}\nand it is\n{now}");
}

/// What a document names between backticks that must be a path from the root, with `{a,b}` spelled
/// out.
fn paths(document: &str) -> Vec<String> {
    let mut inside_fence = false;
    let mut found = Vec::new();
    for line in document.lines() {
        if line.trim_start().starts_with("```") {
            inside_fence = !inside_fence;
        } else if !inside_fence {
            found.extend(
                line.split('`')
                    .skip(1)
                    .step_by(2)
                    .filter(|text| is_path(text))
                    .flat_map(spelled_out),
            );
        }
    }
    found
}

fn is_path(text: &str) -> bool {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./{,}".contains(c));
    let named = text.contains('/') || [".rs", ".md", ".toml"].iter().any(|end| text.ends_with(end));
    // `/etc/hosts` is the machine's, `10.0.0.5/24` is an address, `A/AAAA` are types, `target/…` is
    // built.
    let own = !text.starts_with(['/', '-']) && !text.starts_with("target/");
    let number = text.starts_with(|c: char| c.is_ascii_digit());
    plain && named && own && !number && text.contains(|c: char| c.is_ascii_lowercase())
}

/// `helpers/{dns,ntp}` is two paths.
fn spelled_out(text: &str) -> Vec<String> {
    let parts =
        text.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    match parts {
        Some((before, (choices, after))) => choices
            .split(',')
            .flat_map(|choice| spelled_out(&[before, choice, after].concat()))
            .collect(),
        None => vec![text.to_owned()],
    }
}

#[test]
fn paths_are_told_from_other_words() {
    let document = "`core/`, `helpers/{dns,ntp}/src` and `README.md`, not `/etc/hosts`, `10.0.0.5/24`, `A/AAAA`,\n\
                    `cargo run --release`, `https://example.com/a`, `target/debug`, `poll(2)`\n```\n`x/y`\n```\n`Cargo.toml`";
    let expected = ["core/", "helpers/dns/src", "helpers/ntp/src", "README.md", "Cargo.toml"];
    assert_eq!(paths(document), expected);
}

/// The tests that a document names: words of a function's form between backticks, long enough to be no
/// other word.
fn tests_named(document: &str) -> Vec<&str> {
    let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let words = document.split('`').skip(1).step_by(2);
    words.filter(|word| word.len() > 12 && word.contains('_') && word.chars().all(name)).collect()
}

/// All of the project's own Rust, as one text.
fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder of the project").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(&path).expect("a source"));
        }
    }
}

#[test]
fn the_tests_that_documents_name_are_there() {
    let mut all = String::new();
    for folder in ["core", "helpers", "platform", "tests/tests"] {
        sources(&root().join(folder), &mut all);
    }
    for (document, least) in [("docs/threats.md", 30), ("docs/dns.md", 50)] {
        let text = fs::read_to_string(root().join(document)).expect(document);
        let mut named = tests_named(&text);
        if document != "docs/threats.md" {
            // It names methods and options as well.
            named.retain(|name| name.starts_with("rule_") || name.starts_with("bug_"));
        }
        assert!(named.len() > least, "{document}: {named:?}");
        let missing: Vec<_> =
            named.iter().filter(|name| !all.contains(&format!("fn {name}("))).collect();
        assert!(missing.is_empty(), "{document} names tests that are not there: {missing:?}");
    }
}

#[test]
fn documents_name_what_exists() {
    let documents =
        ["ARCHITECTURE.md", "README.md", "SECURITY.md", "docs/threats.md", "docs/verification.md"];
    for document in documents {
        let text = fs::read_to_string(root().join(document))
            .unwrap_or_else(|why| panic!("{document}: {why}"));
        let paths = paths(&text);
        assert!(!paths.is_empty(), "{document} names no path");
        let missing: Vec<&String> =
            paths.iter().filter(|path| !root().join(path).exists()).collect();
        assert!(missing.is_empty(), "{document} names what is not there: {missing:?}");
    }
}
