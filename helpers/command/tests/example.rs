//! The example is what its first lines say, and short.
#![cfg(target_os = "linux")]

use std::process::Command;

#[test]
fn the_application_runs_to_operational_and_ends() {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "bringup", "--example", "application"])
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let end = "Entered ONE_TIME_UPDATES\nsent: Ok(5)\nreceived: Ok(5)\n";
    assert!(said.ends_with(end), "{said}");
}

#[test]
fn it_has_at_most_sixty_lines() {
    let lines = include_str!("../examples/application.rs").lines().count();
    assert!(lines <= 60, "{lines}");
}
