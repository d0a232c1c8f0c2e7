//! Whole systems beside each other, in laboratories of their own; and the page of everything that is measured.
//! `benches/run` builds and starts it.
#![allow(clippy::incompatible_msrv, reason = "1.85 is promised to those who use the libraries")]

mod contender;
mod flood;
mod floor;
mod idle;
mod interfaces;
mod operational;
mod picture;
mod scenario;
mod size;
#[path = "../../src/statistics.rs"]
mod statistics;

use std::env;

use bringup_tests::lab::Lab;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let Some(lab) = Lab::here() {
        match words[..] {
            ["operational", contender, scenario, seed] => {
                operational::inside(&lab, contender, scenario, seed);
            }
            ["idle", contender, settle_s, watch_s] => {
                idle::inside(&lab, contender, settle_s, watch_s);
            }
            ["interfaces", count] => interfaces::inside(&lab, count),
            _ => panic!("nothing is known of {words:?}"),
        }
        return;
    }
    if let ["pictures", section, folder] = words[..] {
        return picture::run(section, folder);
    }
    let quick = words.contains(&"--quick");
    for word in words {
        match word {
            "--quick" => {}
            "operational" => operational::run(quick),
            "size" => size::run(quick),
            "idle" => idle::run(quick),
            "interfaces" => interfaces::run(quick),
            _ => panic!("nothing is known of {word}"),
        }
    }
}
