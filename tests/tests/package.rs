//! The crates are fit to be published: packages are whole, and say what a registry shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("tests/ is in the workspace").to_owned()
}

fn cargo(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO"));
    let outcome = command.current_dir(root()).args(arguments).output().expect("cargo runs");
    assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
    outcome
}

/// The packages of the workspace that are not for this workspace alone.
fn published() -> Vec<Value> {
    let outcome = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    let metadata: Value = serde_json::from_slice(&outcome.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages").clone();
    packages.into_iter().filter(|package| package["publish"].is_null()).collect()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().expect("a name")
}

#[test]
fn every_crate_says_what_it_is() {
    let published = published();
    assert!(published.len() >= 7, "{:?}", published.iter().map(name).collect::<Vec<_>>());
    for package in &published {
        let name = name(package);
        for field in ["description", "license", "repository", "readme", "rust_version"] {
            assert!(package[field].as_str().is_some_and(|s| !s.is_empty()), "{name}: {field}");
        }
        // crates.io takes five of either, keywords of at most twenty characters.
        for field in ["keywords", "categories"] {
            let list = package[field].as_array().expect("a list");
            assert!((1..=5).contains(&list.len()), "{name}: {field}");
            assert!(list.iter().all(|word| word.as_str().is_some_and(|w| w.len() <= 40)), "{name}");
        }
        let keywords = package["keywords"].as_array().expect("a list");
        assert!(keywords.iter().all(|word| word.as_str().is_some_and(|w| w.len() <= 20)), "{name}");
        assert_eq!(package["metadata"]["docs"]["rs"]["all-features"], true, "{name}");
        // A path alone cannot be published.
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let from_registry = dependency["path"].is_null() || dependency["req"] != "*";
            assert!(from_registry, "{name}: {} has no version", dependency["name"]);
        }
    }
}

#[test]
fn packages_are_whole_and_without_a_warning() {
    let published = published();
    let target = root().join("target");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(target, PathBuf::from);
    // Folders of its own: other tests run cargo, too.
    let target = target.join("packages");
    let mut arguments = vec!["package", "--offline", "--allow-dirty", "--no-verify"];
    arguments.extend(["--target-dir", target.to_str().expect("a path in UTF-8")]);
    arguments.extend(published.iter().flat_map(|package| ["-p", name(package)]));
    let outcome = cargo(&arguments);
    let said = String::from_utf8_lossy(&outcome.stderr);
    assert!(!said.contains("warning"), "{said}");
    for package in &published {
        let (name, version) = (name(package), package["version"].as_str().expect("a version"));
        let file = target.join("package").join(format!("{name}-{version}.crate"));
        let size = fs::metadata(&file).unwrap_or_else(|why| panic!("{file:?}: {why}")).len();
        assert!((4_096..1 << 20).contains(&size), "{name}: {size} octets");
        let list = cargo(&["package", "--offline", "--allow-dirty", "--list", "-p", name]);
        let list = String::from_utf8_lossy(&list.stdout).into_owned();
        for file in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            assert!(list.lines().any(|line| line == file), "{name} lacks {file}: {list}");
        }
    }
}
