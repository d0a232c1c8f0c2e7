//! What is still to be done, in order: `cargo test -- --nocapture`.

use core::net::Ipv4Addr;

use bringup_core::time::Duration;
use bringup_platform::conformance::{Promise, Rig, SharedRig, UdpPeer, check, threads};
use bringup_port_template::{Lock, Ops, Port, Signal};

/// How the kit gets at the port. Where a program runs on the device itself, the same trait is
/// implemented there, without std, and `beside` runs `there` from an interrupt.
struct Bench;

impl Rig for Bench {
    type Platform = Port;

    fn platform(&mut self) -> Port {
        Port::default()
    }

    fn begin(&mut self, promise: Promise) {
        println!("checking {promise}");
    }

    fn stopwatch(&mut self) -> Option<Duration> {
        Some(threads::stopwatch())
    }

    fn udp(&mut self) -> UdpPeer {
        UdpPeer::Itself(Ipv4Addr::LOCALHOST.into())
    }
}

impl SharedRig for Bench {
    type Ops = Ops;

    fn lock(&mut self) -> Lock {
        Lock
    }

    fn wake(&mut self) -> Signal {
        Signal
    }

    fn beside(&mut self, there: &(dyn Fn() + Sync), here: &mut dyn FnMut()) -> bool {
        threads::beside(there, here)
    }

    fn catch(&mut self, f: &mut dyn FnMut()) -> bool {
        threads::catch(f)
    }
}

#[test]
fn the_port_conforms() {
    let report = check(&mut Bench);
    println!("{report}");
    // A port that does nothing keeps few promises, and the kit says where to begin. When yours is done
    // this line becomes `assert!(report.is_kept(), "{report}")`.
    assert_eq!(report.broken().next(), Some(Promise::ClockRuns), "{report}");
}
