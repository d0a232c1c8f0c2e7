//! Linux, as an ordinary user has it: every poller and lock.

use bringup_core::poll::{PollStorage, UnixPoll};
use bringup_platform::conformance::{Promise, check};
use bringup_platform::linux::{Linux, LinuxOps};
use bringup_platform::lock::{SpinLock, StdLock};
use bringup_platform::polling::Polling;
use bringup_platform::tiny::{FutexLock, Tiny, TinyOps, TinyStorage};

use crate::machine::{Machine, assert_kept};

fn on_poll() -> Linux<UnixPoll<'static>> {
    let memory = Box::leak(Box::new(PollStorage::<8>::new()));
    Linux::new(UnixPoll::new(memory)).expect("a platform")
}

fn on_polling() -> Linux<Polling> {
    Linux::new(Polling::new().expect("a poller")).expect("a platform")
}

#[test]
fn linux_on_poll_keeps_its_promises() {
    let mut rig = Machine::<_, LinuxOps<StdLock>>::new(on_poll);
    assert_kept(&check(&mut rig), &[]);
    assert_eq!(rig.begun, Promise::ALL.last().copied(), "each check was announced");
}

#[test]
fn linux_on_the_polling_crate_with_a_spin_lock_keeps_its_promises() {
    assert_kept(&check(&mut Machine::<_, LinuxOps<SpinLock>>::new(on_polling)), &[]);
}

#[test]
fn linux_on_the_c_library_alone_keeps_its_promises() {
    let make = || Tiny::new(Box::leak(Box::new(TinyStorage::<8>::new()))).expect("a platform");
    let lacks = [Promise::TcpCarries, Promise::TcpRefused];
    assert_kept(&check(&mut Machine::<_, TinyOps<FutexLock>>::new(make)), &lacks);
}
