//! The driver by itself: what a client is told of the time, by whether it measures it.

use bringup::core::client::{Client, Cx, Endpoint, Input, Mac, Transmit};
use bringup::core::event_loop::{Application, EventLoop, LoopStorage, Ready, Registrar};
use bringup::core::platform::Platform;
use bringup::core::time::{Duration, Instant, Utc};
use bringup::core::timer::Owner;
use bringup::platform::lock::StdLock;
use bringup::platform::sim::{Sim, SimOps, SimWake};
use bringup::system::{Buffers, Driven};

/// The monotonic clock and the wall clock.
type Clocks = (Instant, Utc);

/// Opens a socket when it is called on, and once more at its deadline; writes down what time it was.
struct Probe<const MEASURES: bool> {
    opens: u8,
    deadline: Option<Instant>,
    told: Vec<Clocks>,
}

impl<const MEASURES: bool> Probe<MEASURES> {
    fn note(&mut self, cx: &Cx<'_>) {
        self.told.push((cx.now, cx.utc));
    }
}

impl<const MEASURES: bool> Client for Probe<MEASURES> {
    type Event = ();
    type Discard = ();
    const MEASURES_TIME: bool = MEASURES;

    fn handle_input(&mut self, cx: &mut Cx<'_>, _: Input<'_>) -> Result<(), ()> {
        self.note(cx);
        Ok(())
    }

    fn handle_timeout(&mut self, cx: &mut Cx<'_>) {
        self.note(cx);
        (self.opens, self.deadline) = (1, None);
    }

    fn poll_transmit<'b>(&mut self, cx: &mut Cx<'_>, _: &'b mut [u8]) -> Option<Transmit<'b>> {
        self.note(cx);
        self.opens = self.opens.checked_sub(1)?;
        let local = ([0, 0, 0, 0], 0).into();
        let endpoint = Endpoint::Udp { local, peer: None, interface: None };
        Some(Transmit::Open { socket: 0, endpoint })
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }
}

struct App<const MEASURES: bool>(Driven<Probe<MEASURES>, Sim, 1>, Buffers);

impl<const MEASURES: bool> Application<Sim> for App<MEASURES> {
    fn dispatch(&mut self, registrar: &mut Registrar<'_, Sim>, ready: Ready) {
        assert!(self.0.handle(registrar, &mut self.1, &ready), "it is for the only client");
    }
}

/// What a client hears of the time when it is called, a second later at its deadline, and when its
/// polls follow those; and the times of both on the machine.
fn told<const MEASURES: bool>() -> (Vec<Clocks>, [Clocks; 2]) {
    let mut sim = Sim::new(1);
    sim.add_interface("sim0", Mac([2, 0, 0, 0, 0, 2]));
    let mut memory = LoopStorage::<_, 4, 4>::new();
    let queue = bringup::core::attach::AttachQueue::<App<MEASURES>, Sim, SimOps>::new(
        StdLock::new(),
        SimWake::new(),
    );
    let mut event_loop = EventLoop::new(sim, &mut memory, &queue).expect("a loop");
    let client = Probe { opens: 0, deadline: None, told: Vec::new() };
    let mut app = App(Driven::new(client, Owner::Application), Buffers::new());
    let registrar = &mut event_loop.registrar();
    let clock = |registrar: &mut Registrar<'_, Sim>| {
        let platform = registrar.platform();
        (platform.now(), platform.utc())
    };
    app.0.register(registrar).expect("room");
    let first = clock(registrar);
    app.0.call(registrar, &mut app.1, |probe, cx| {
        probe.note(cx);
        (probe.opens, probe.deadline) = (1, Some(cx.now + Duration::from_secs(1)));
    });
    while app.0.client().deadline.is_some() {
        event_loop.turn(&mut app).expect("the simulator does not fail");
    }
    let second = clock(&mut event_loop.registrar());
    (app.0.client().told.clone(), [first, second])
}

#[test]
fn who_does_not_measure_time_is_told_one_time_for_a_call_and_no_wall_clock() {
    let (told, [first, second]) = told::<false>();
    // The call, a poll that opens, and one that has nothing more; then the same for the deadline.
    let at = |clock: Clocks| (clock.0, Utc::UNIX_EPOCH);
    assert_eq!(told, [[at(first); 3], [at(second); 3]].concat());
}

#[test]
fn who_measures_time_is_told_both_clocks() {
    let (told, [first, second]) = told::<true>();
    assert!(first.1 > Utc::UNIX_EPOCH && second.1 > first.1);
    assert_eq!(told, [[first; 3], [second; 3]].concat());
}
