//! Every property over its committed corpus: what the fuzzers found, on a stable compiler.

use std::fs;
use std::path::Path;

#[test]
fn every_property_holds_for_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, property) in bringup_fuzz::TARGETS {
        let folder = corpus.join(name);
        let mut inputs: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|why| panic!("{}: {why}", folder.display()))
            .map(|entry| entry.expect("a folder can be read").path())
            .collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "{name} has no corpus");
        for input in inputs {
            // What the test prints is shown if the property does not hold.
            println!("{}", input.display());
            property(&fs::read(&input).expect("an input can be read"));
        }
    }
}

#[test]
fn every_fuzzer_is_replayed_and_has_its_property() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
    let mut fuzzers: Vec<_> = fs::read_dir(folder)
        .expect("the fuzzers are there")
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    fuzzers.sort();
    let mut properties: Vec<_> = bringup_fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
    properties.sort_unstable();
    assert_eq!(fuzzers, properties);
    for name in fuzzers {
        let glue = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets").join(&name);
        let glue = fs::read_to_string(glue.with_extension("rs")).expect("a fuzzer can be read");
        assert!(glue.contains(&format!("bringup_fuzz::{name}(data)")), "{name}");
    }
}
