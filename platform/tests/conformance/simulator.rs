//! The simulator: everything but what takes a second thread, in virtual time.

use core::net::Ipv4Addr;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use bringup_core::client::{Checksum, Mac};
use bringup_core::platform::SystemOps;
use bringup_core::time::{Duration, Instant};
use bringup_platform::conformance::{
    Authority, Finding, Promise, Rig, SharedRig, UdpPeer, check, check_platform, threads,
};
use bringup_platform::lock::StdLock;
use bringup_platform::sim::{Outbox, Peer, Sim, SimOps, SimWake, WireFrame};

const NEAR: Mac = Mac([2, 0, 0, 0, 0, 1]);
const FAR: Mac = Mac([2, 0, 0, 0, 0, 2]);

/// What is on its way at the far end of the wire.
#[derive(Default)]
struct FarEnd {
    heard: VecDeque<WireFrame>,
    to_send: Vec<WireFrame>,
}

/// The station at the far end: does what the rig says.
struct Puppet(Rc<RefCell<FarEnd>>);

impl Peer for Puppet {
    fn mac(&self) -> Mac {
        FAR
    }
    fn owns(&self, _: Ipv4Addr) -> bool {
        false
    }
    fn receive(&mut self, _: Instant, frame: &WireFrame, _: &mut Outbox) {
        self.0.borrow_mut().heard.push_back(frame.clone());
    }
    fn poll_timeout(&self) -> Option<Instant> {
        (!self.0.borrow().to_send.is_empty()).then_some(Instant::ZERO)
    }
    fn handle_timeout(&mut self, _: Instant, out: &mut Outbox) {
        self.0.borrow_mut().to_send.drain(..).for_each(|frame| out.send(frame));
    }
}

/// A rig of the simulator.
#[derive(Default)]
pub(crate) struct Simulation {
    far: Rc<RefCell<FarEnd>>,
    seed: u64,
    clock_allowed: bool,
}

impl Simulation {
    pub(crate) fn new(clock_allowed: bool) -> Self {
        Self { clock_allowed, ..Self::default() }
    }

    pub(crate) fn sim(&mut self) -> Sim {
        self.seed += 1;
        let mut sim = Sim::new(self.seed);
        let index = sim.add_interface("eth0", NEAR);
        self.far = Rc::default();
        sim.add_peer(index, Puppet(Rc::clone(&self.far)));
        if self.clock_allowed {
            sim.allow_clock();
        }
        sim
    }

    pub(crate) fn send(&mut self, dst: Mac, ethertype: u16, payload: &[u8]) -> Mac {
        let checksum = Checksum::Complete;
        let frame = WireFrame { dst, src: FAR, ethertype, payload: payload.to_vec(), checksum };
        self.far.borrow_mut().to_send.push(frame);
        FAR
    }

    pub(crate) fn receive(&mut self, payload: &mut [u8]) -> Option<(usize, u16)> {
        let frame = self.far.borrow_mut().heard.pop_front()?;
        let length = frame.payload.len();
        payload.get_mut(..length)?.copy_from_slice(&frame.payload);
        Some((length, frame.ethertype))
    }
}

impl Rig for Simulation {
    type Platform = Sim;

    fn platform(&mut self) -> Sim {
        self.sim()
    }

    fn suspend(&mut self, sim: &mut Sim, span: Duration) -> bool {
        sim.suspend(span);
        true
    }

    fn udp(&mut self) -> UdpPeer {
        UdpPeer::Itself(Ipv4Addr::LOCALHOST.into())
    }

    fn wire(&mut self) -> Option<&'static str> {
        Some("eth0")
    }

    fn far_send(&mut self, _: &mut Sim, to: Mac, ethertype: u16, payload: &[u8]) -> Option<Mac> {
        Some(self.send(to, ethertype, payload))
    }

    fn far_receive(&mut self, _: &mut Sim, payload: &mut [u8]) -> Option<(usize, u16)> {
        self.receive(payload)
    }

    fn playground(&mut self) -> Option<&'static str> {
        Some("eth0")
    }

    fn clock(&self) -> Authority {
        if self.clock_allowed { Authority::Granted } else { Authority::Refused }
    }
}

impl SharedRig for Simulation {
    type Ops = SimOps;

    fn lock(&mut self) -> <SimOps as SystemOps>::Lock {
        StdLock::new()
    }

    fn wake(&mut self) -> SimWake {
        SimWake::new()
    }

    fn catch(&mut self, f: &mut dyn FnMut()) -> bool {
        threads::catch(f)
    }
}

/// Time does not pass in the simulation while another thread works; and it has no TCP.
const ELSEWHERE: [Promise; 6] = [
    Promise::LockExcludes,
    Promise::AttachLocks,
    Promise::WakeEndsWait,
    Promise::AttachRuns,
    Promise::TcpCarries,
    Promise::TcpRefused,
];

#[test]
fn the_simulator_keeps_its_promises() {
    for clock_allowed in [false, true] {
        let report = check(&mut Simulation::new(clock_allowed));
        assert!(report.is_kept(), "\n{report}");
        for (promise, finding) in report.findings() {
            let unchecked = matches!(finding, Finding::Unchecked(_));
            assert_eq!(unchecked, ELSEWHERE.contains(&promise), "{promise}\n{report}");
        }
    }
}

#[test]
fn without_a_lock_and_a_wake_the_rest_is_checked() {
    let report = check_platform(&mut Simulation::default());
    assert!(report.is_kept(), "\n{report}");
    assert_eq!(report.findings().count(), Promise::COUNT, "none is left out in silence");
    let unchecked = |promise| matches!(report.finding(promise), Some(Finding::Unchecked(_)));
    assert!(unchecked(Promise::WakeCleared) && !unchecked(Promise::RouteKept), "\n{report}");
}
