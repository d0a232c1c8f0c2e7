//! A program on the loop: the system that brings the network up, a timer, a notifier that holds the
//! last state, and a thread that hands a socket over. `cargo run -p bringup --example application`
use bringup::prelude::*;
use std::{error::Error, net::UdpSocket, os::fd::AsRawFd, thread};

struct App<'m> {
    system: System<'m, Host>,
    timer: TimerKey,
    socket: Option<UdpSocket>,
    held: Option<HoldKey>,
}
impl Application<Host> for App<'_> {
    fn dispatch(&mut self, registrar: &mut Registrar<'_, Host>, ready: Ready) {
        match (ready, &self.socket) {
            _ if ready.owner() == Owner::System => self.system.handle(registrar, ready),
            (Ready::Timer { .. }, Some(socket)) => println!("sent: {:?}", socket.send(b"hello")),
            (Ready::Source { .. }, Some(socket)) => {
                println!("received: {:?}", socket.recv(&mut [0; 16]));
                self.held.take().map(|key| registrar.release(key));
            }
            _ => {}
        }
    }
    fn notify(&mut self, registrar: &mut Registrar<'_, Host>, said: &Announcement) -> Verdict {
        match (said.owner(), said.phase, said.to) {
            (Owner::System, ..) => return self.system.notify(registrar, said),
            (_, Phase::Asked, SystemState::Operational) => {
                return Verdict::Hold(*self.held.insert(said.hold("the socket")));
            }
            (_, Phase::Entered, SystemState::Operational) => registrar.stop(),
            _ => println!("{:?} {}", said.phase, said.to),
        }
        Verdict::Go
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut memory, mut cache, queue) = (LoopStorage::<i32>::new(), SmallStorage::new(), queue());
    let time = bringup::ntp::Config::new(Utc::from_unix_secs(0));
    let config = Config { wait_for_time: false, ..Config::new(time) };
    let system = System::new(config, &mut [], Resolver::new(config.resolver, &mut cache));
    let mut event_loop = EventLoop::new(host()?, &mut memory, &queue)?;
    let mut registrar = event_loop.registrar();
    let timer = registrar.add_timer(Owner::Application)?;
    let mut app = App { system, timer, socket: None, held: None };
    app.system.start(&mut registrar)?;
    registrar.add_notifier(Owner::Application)?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(socket.local_addr()?)?;
    let listen = |outcome: Outcome<'_, App<'_>, Host>| {
        let Outcome::Ready(app, mut registrar) = outcome else { return };
        let watched = registrar.add_source(Owner::Application, socket.as_raw_fd(), Interest::READ);
        app.socket = watched.ok().map(|_| socket);
        registrar.set_timer(app.timer, registrar.now() + Duration::from_micros(250));
    };
    Ok(thread::scope(|scope| {
        scope.spawn(|| queue.attach(SystemState::TimeValid, listen).is_ok());
        event_loop.run(&mut app)
    })?)
}
