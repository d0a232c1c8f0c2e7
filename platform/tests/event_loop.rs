//! Core's loop on every port: a timer fires in time, a datagram arrives, and another thread ends the
//! run.

use bringup_core::attach::{AttachQueue, Node, Outcome};
use bringup_core::event_loop::{Application, EventLoop, LoopStorage, Ready, Registrar};
use bringup_core::platform::{Arm, Platform, SystemOps, UdpOptions};
use bringup_core::poll::Interest;
use bringup_core::time::{Duration, Instant};
use bringup_core::timer::Owner;
use bringup_platform::lock::StdLock;
use bringup_platform::portable::{Portable, PortableOps, SocketWake};
use bringup_platform::sim::{Sim, SimOps, SimWake};

/// Notes when its timer fired, and sends itself a datagram then.
struct App<P: Platform> {
    client: P::Handle,
    server: P::Handle,
    to: core::net::SocketAddr,
    fired_at: Option<Instant>,
    received: Option<usize>,
}

impl<P: Platform> Application<P> for App<P> {
    fn dispatch(&mut self, registrar: &mut Registrar<'_, P>, ready: Ready) {
        match ready {
            Ready::Timer { .. } => {
                self.fired_at = Some(registrar.now());
                registrar.platform().udp_send(self.client, self.to, b"hello").expect("sent");
            }
            Ready::Source { .. } => {
                let received = registrar.platform().udp_receive(self.server, &mut [0; 16]);
                self.received = received.expect("no error").map(|r| r.length);
            }
        }
    }
}

const WAIT: Duration = Duration::from_millis(30);

/// Posts from another thread once the datagram may have come, until the loop has stopped.
fn runs<P, O>(mut platform: P, queue: &'static AttachQueue<App<P>, P, O>)
where
    P: Arm<O> + 'static,
    O: SystemOps + 'static,
    O::Lock: Sync,
    O::Wake: Sync,
{
    let open = |platform: &mut P, peer| loop {
        let port = 20_000 + platform.u16() % 10_000;
        let local = ([127, 0, 0, 1], port).into();
        let options = UdpOptions { local, peer, interface: None, broadcast: false, stamped: false };
        if let Ok(handle) = platform.udp_open(&options) {
            return (handle, local);
        }
    };
    let (server, to) = open(&mut platform, None);
    let (client, _) = open(&mut platform, Some(to));
    let mut storage = LoopStorage::<P::Handle, 4, 4>::new();
    let mut app = App { client, server, to, fired_at: None, received: None };
    let mut event_loop = EventLoop::new(platform, &mut storage, queue).expect("a loop");
    let mut registrar = event_loop.registrar();
    let start = registrar.now();
    let timer = registrar.add_timer(Owner::Application).expect("a timer");
    assert!(registrar.set_timer(timer, start + WAIT));
    registrar.add_source(Owner::Application, server, Interest::READ).expect("watched");
    while app.received.is_none() {
        event_loop.turn(&mut app).expect("a turn");
    }
    assert!(app.fired_at.is_some_and(|at| at >= start + WAIT), "not early");
    assert_eq!(app.received, Some(5));

    let node: &'static Node<'static, App<P>, P, O> = Box::leak(Box::new(Node::new(queue)));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let posted = node.post_static(None, |outcome| {
                if let Outcome::Ready(app, mut registrar) = outcome {
                    app.received = None;
                    registrar.stop();
                }
            });
            assert!(posted.is_ok());
        });
        event_loop.run(&mut app).expect("ran until it was stopped");
    });
    assert_eq!(app.received, None, "the request ran");
    event_loop.shutdown(&mut app);
}

#[test]
fn the_loop_runs_in_the_simulation() {
    static QUEUE: AttachQueue<App<Sim>, Sim, SimOps> =
        AttachQueue::new(StdLock::new(), SimWake::new());
    runs(Sim::new(1), &QUEUE);
}

#[test]
fn the_loop_runs_on_the_portable_port() {
    static QUEUE: AttachQueue<App<Portable>, Portable, PortableOps> =
        AttachQueue::new(StdLock::new(), SocketWake::new());
    runs(Portable::new().expect("a platform"), &QUEUE);
}

#[cfg(target_os = "linux")]
mod linux {
    use super::*;
    use bringup_core::poll::{PollStorage, UnixPoll};
    use bringup_platform::linux::{EventWake, Linux, LinuxOps};
    use bringup_platform::lock::SpinLock;
    use bringup_platform::polling::Polling;

    #[test]
    fn the_loop_runs_on_poll() {
        type Port = Linux<UnixPoll<'static>>;
        static QUEUE: AttachQueue<App<Port>, Port, LinuxOps> =
            AttachQueue::new(StdLock::new(), EventWake::new());
        let storage = Box::leak(Box::new(PollStorage::<8>::new()));
        runs(Linux::new(UnixPoll::new(storage)).expect("a platform"), &QUEUE);
    }

    #[test]
    fn the_loop_runs_on_the_polling_crate_and_another_lock() {
        type Port = Linux<Polling>;
        static QUEUE: AttachQueue<App<Port>, Port, LinuxOps<SpinLock>> =
            AttachQueue::new(SpinLock::new(), EventWake::new());
        let poller = Polling::new().expect("a poller");
        runs(Linux::new(poller).expect("a platform"), &QUEUE);
    }
}
