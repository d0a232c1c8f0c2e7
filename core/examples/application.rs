//! An application on the loop: its own timer, a notifier that holds a state, and a request from
//! another thread that adds a socket. Run it: `cargo run -p bringup-core --example application`.
use bringup_core::attach::{AttachQueue, Node, Outcome};
use bringup_core::event_loop::{Application, EventLoop, LoopStorage, Ready, Registrar};
use bringup_core::platform::{Platform, UdpOptions};
use bringup_core::state::{Announcement, HoldKey, Phase, SystemState, Verdict};
use bringup_core::{poll::Interest, time::Duration, timer::Owner};
use support::{Error, PairWake, Std, StdLock, StdOps};
mod support;

#[derive(Default)]
struct App {
    socket: Option<i32>,
    held: Option<HoldKey>,
}
impl Application<Std> for App {
    fn dispatch(&mut self, registrar: &mut Registrar<'_, Std>, ready: Ready) {
        match (ready, self.socket) {
            (Ready::Timer { .. }, _) => println!("{} µs: the timer", registrar.now().as_micros()),
            (Ready::Source { .. }, Some(socket)) => {
                println!("{:?}", registrar.platform().udp_receive(socket, &mut [0; 64]));
                self.held.take().map(|key| registrar.release(key));
            }
            _ => {}
        }
    }
    fn notify(&mut self, registrar: &mut Registrar<'_, Std>, a: &Announcement) -> Verdict {
        match (a.phase, a.to) {
            (Phase::Asked, SystemState::Dhcp) => {
                return Verdict::Hold(*self.held.insert(a.hold("first datagram")));
            }
            (Phase::Entered, SystemState::Operational) => registrar.stop(),
            _ => {}
        }
        println!("{:?} {}", a.phase, a.to);
        Verdict::Go
    }
}
static QUEUE: AttachQueue<App, Std, StdOps> = AttachQueue::new(StdLock::new(), PairWake::new());
static LISTEN: Node<'static, App, Std, StdOps> = Node::new(&QUEUE);
fn listen(outcome: Outcome<'_, App, Std>) {
    let Outcome::Ready(app, mut registrar) = outcome else { return };
    let local = std::net::SocketAddr::from(([127, 0, 0, 1], 9053));
    let options = UdpOptions { local, peer: None, interface: None, broadcast: false };
    let socket = registrar.platform().udp_open(&options).expect("port 9053 is free");
    registrar.add_source(Owner::Application, socket, Interest::READ).expect("a free slot");
    registrar.platform().udp_send(socket, local, b"hello").expect("loopback");
    app.socket = Some(socket);
}
fn main() -> Result<(), Error> {
    let (mut app, mut storage) = (App::default(), LoopStorage::<i32, 4, 4>::new());
    let mut event_loop = EventLoop::new(Std::new(), &mut storage, &QUEUE)?;
    let mut registrar = event_loop.registrar();
    registrar.add_notifier(Owner::Application).expect("the first of sixteen");
    let timer = registrar.add_timer(Owner::Application).expect("a free slot");
    registrar.set_timer(timer, registrar.now() + Duration::from_micros(250));
    registrar.advance(SystemState::Operational).expect("a state of the run-up");
    std::thread::spawn(|| LISTEN.post_static(None, listen).is_ok());
    event_loop.run(&mut app)
}
