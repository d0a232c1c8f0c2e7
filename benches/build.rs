//! Compiles the peers that are written in C, where `benches/run` has unpacked them.

use std::env;
use std::path::PathBuf;

fn main() {
    peer("libuv", "BRINGUP_LIBUV", "src/uv.c", "uv_a");
    peer("cares", "BRINGUP_CARES", "src/ares.c", "cares");
}

/// Compiles `source` against the static `library` below the root that Debian's package was unpacked into,
/// which the environment's `variable` names; sets `cfg` if it does.
fn peer(cfg: &str, variable: &str, source: &str, library: &str) {
    println!("cargo::rustc-check-cfg=cfg({cfg})");
    println!("cargo::rerun-if-env-changed={variable}");
    println!("cargo::rerun-if-changed={source}");
    let Some(root) = env::var_os(variable).map(PathBuf::from) else { return };
    cc::Build::new()
        .file(source)
        .include(root.join("usr/include"))
        .flag("-O2")
        .compile(&format!("bringup_bench_{cfg}"));
    let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo says it");
    let libraries = root.join(format!("usr/lib/{arch}-linux-gnu"));
    println!("cargo::rustc-link-search=native={}", libraries.display());
    println!("cargo::rustc-link-lib=static={library}");
    println!("cargo::rustc-cfg={cfg}");
}
