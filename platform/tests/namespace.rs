//! A program with one thread moves into a private network by itself. Without the test harness, which
//! has a thread of its own.

#[cfg(target_os = "linux")]
fn main() {
    use bringup_core::error::ErrorKind;
    use bringup_core::platform::{Platform, PlatformError};
    use bringup_platform::linux::{Linux, namespace};
    use bringup_platform::polling::Polling;

    if let Err(error) = namespace::enter() {
        let required = std::env::var("BRINGUP_REQUIRE_LAB").is_ok();
        assert!(!required, "BRINGUP_REQUIRE_LAB is set, but: {error}");
        println!("SKIPPED: {error}\n0 passed, 0 failed, 1 skipped");
        return;
    }
    let poller = Polling::new().expect("a poller");
    let mut linux = Linux::new(poller).expect("a platform");
    namespace::veth_pair("near", "far", None).expect("it may do what it likes");
    let near = linux.interface("near").expect("there");
    assert!(near.ethernet && !near.up);
    linux.interface_up(near.index).expect("up");
    assert!(linux.interface("near").is_ok_and(|interface| interface.up));
    let again = namespace::veth_pair("near", "far", None).map_err(|error| error.kind());
    assert_eq!(again, Err(ErrorKind::Exists));
    println!("1 passed, 0 failed");
}

#[cfg(not(target_os = "linux"))]
fn main() {}
