//! Linux, as an ordinary user has it: every poller and lock.

use core::marker::PhantomData;
use core::net::{Ipv4Addr, SocketAddr};

use bringup_core::platform::{Arm, Platform, SystemOps};
use bringup_core::poll::{PollStorage, UnixPoll};
use bringup_core::time::Duration;
use bringup_platform::conformance::{
    Finding, Promise, Report, Rig, SharedRig, UdpPeer, check, threads,
};
use bringup_platform::linux::{Linux, LinuxOps};
use bringup_platform::lock::{SpinLock, StdLock};
use bringup_platform::polling::Polling;
use bringup_platform::tiny::{FutexLock, Tiny, TinyOps, TinyStorage};

/// A rig of any Linux port: what an ordinary user's machine has.
pub(crate) struct Machine<P, O> {
    make: fn() -> P,
    echo: SocketAddr,
    begun: Option<Promise>,
    _ops: PhantomData<O>,
}

impl<P, O> Machine<P, O> {
    pub(crate) fn new(make: fn() -> P) -> Self {
        let echo = threads::tcp_echo().expect("a port of the loopback");
        Self { make, echo, begun: None, _ops: PhantomData }
    }
}

impl<P: Platform, O> Rig for Machine<P, O> {
    type Platform = P;

    fn platform(&mut self) -> P {
        (self.make)()
    }

    fn begin(&mut self, promise: Promise) {
        self.begun = Some(promise);
    }

    fn stopwatch(&mut self) -> Option<Duration> {
        Some(threads::stopwatch())
    }

    fn udp(&mut self) -> UdpPeer {
        UdpPeer::Itself(Ipv4Addr::LOCALHOST.into())
    }

    fn tcp_echo(&mut self) -> Option<SocketAddr> {
        Some(self.echo)
    }
}

impl<P, O> SharedRig for Machine<P, O>
where
    P: Arm<O>,
    O: SystemOps<Lock: Sync + Default, Wake: Sync + Default>,
{
    type Ops = O;

    fn lock(&mut self) -> O::Lock {
        O::Lock::default()
    }

    fn wake(&mut self) -> O::Wake {
        O::Wake::default()
    }

    fn beside(&mut self, there: &(dyn Fn() + Sync), here: &mut dyn FnMut()) -> bool {
        threads::beside(there, here)
    }

    fn catch(&mut self, f: &mut dyn FnMut()) -> bool {
        threads::catch(f)
    }
}

/// What an ordinary user's machine cannot show.
const NEEDS_MORE: [Promise; 7] = [
    Promise::ClockCountsSuspend,
    Promise::LinkSends,
    Promise::LinkReceives,
    Promise::LinkFilters,
    Promise::WatchTells,
    Promise::AddressKept,
    Promise::RouteKept,
];

pub(crate) fn assert_kept(report: &Report, lacks: &[Promise]) {
    assert!(report.is_kept(), "\n{report}");
    for (promise, finding) in report.findings() {
        let unchecked = matches!(finding, Finding::Unchecked(_));
        let may_be = NEEDS_MORE.contains(&promise) || lacks.contains(&promise);
        assert_eq!(unchecked, may_be, "{promise}\n{report}");
    }
}

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
