//! Compiles the peer that is written in C, where `benches/run` has unpacked it.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(libuv)");
    println!("cargo::rerun-if-env-changed=BRINGUP_LIBUV");
    println!("cargo::rerun-if-changed=src/uv.c");
    // The root that Debian's libuv1-dev was unpacked into.
    let Some(root) = env::var_os("BRINGUP_LIBUV").map(PathBuf::from) else { return };
    cc::Build::new()
        .file("src/uv.c")
        .include(root.join("usr/include"))
        .flag("-O2")
        .compile("bringup_bench_uv");
    let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo says it");
    let libraries = root.join(format!("usr/lib/{arch}-linux-gnu"));
    println!("cargo::rustc-link-search=native={}", libraries.display());
    println!("cargo::rustc-link-lib=static=uv_a");
    println!("cargo::rustc-cfg=libuv");
}
