//! The portable port, wherever this runs.

use bringup_platform::conformance::{Promise, check};
use bringup_platform::lock::{SpinLock, StdLock};
use bringup_platform::portable::{Portable, PortableOps};

use crate::machine::{Machine, assert_kept};

/// There are no interfaces to ask for.
const LACKS: [Promise; 1] = [Promise::InterfaceUnknown];

fn portable() -> Portable {
    Portable::new().expect("a platform")
}

#[test]
fn the_portable_port_keeps_its_promises() {
    assert_kept(&check(&mut Machine::<_, PortableOps<StdLock>>::new(portable)), &LACKS);
}

#[test]
fn the_portable_port_with_a_spin_lock_keeps_its_promises() {
    assert_kept(&check(&mut Machine::<_, PortableOps<SpinLock>>::new(portable)), &LACKS);
}
