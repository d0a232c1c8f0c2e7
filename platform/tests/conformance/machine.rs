//! What an ordinary user's machine offers to any port with std.

use core::marker::PhantomData;
use core::net::{Ipv4Addr, SocketAddr};

use bringup_core::platform::{Arm, Platform, SystemOps};
use bringup_core::time::Duration;
use bringup_platform::conformance::{Finding, Promise, Report, Rig, SharedRig, UdpPeer, threads};

/// A rig of any port with std: what an ordinary user's machine has.
pub(crate) struct Machine<P, O> {
    make: fn() -> P,
    echo: SocketAddr,
    pub(crate) begun: Option<Promise>,
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
const NEEDS_MORE: [Promise; 10] = [
    Promise::ClockCountsSuspend,
    Promise::LinkSends,
    Promise::LinkReceives,
    Promise::LinkFilters,
    Promise::WatchTells,
    Promise::InterfaceDown,
    Promise::MtuKept,
    Promise::AddressKept,
    Promise::RouteKept,
    Promise::SourceOnLink,
];

pub(crate) fn assert_kept(report: &Report, lacks: &[Promise]) {
    assert!(report.is_kept(), "\n{report}");
    for (promise, finding) in report.findings() {
        let unchecked = matches!(finding, Finding::Unchecked(_));
        let may_be = NEEDS_MORE.contains(&promise) || lacks.contains(&promise);
        assert_eq!(unchecked, may_be, "{promise}\n{report}");
    }
}
