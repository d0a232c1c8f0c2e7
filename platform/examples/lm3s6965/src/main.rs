//! DHCP, DNS, NTP and the system states on a Cortex-M3 with 64 KiB of RAM, without an operating system.
//!
//! The [`System`] is the same as everywhere; the platform is [`Board`](port::Board). SysTick's interrupt attaches
//! a callback, which runs when the system is OPERATIONAL, and asks for a name. What happens is said on the serial
//! port, a line each; the exit code goes to the emulator: 0 when the name has an address, 2 after a minute.
//!
//! Read in this order: [`memory`](mod@memory) (64 KiB, and what has which part of them), [`machine`] (registers and
//! interrupts), [`ethernet`], [`stack`] (smoltcp), [`port`] (the contract), and this file.
#![no_std]
#![no_main]

mod ethernet;
mod machine;
mod memory;
mod port;
mod stack;

use core::sync::atomic::{AtomicBool, Ordering};

use bringup_core::attach::{AttachQueue, Node, Outcome};
use bringup_core::error::ErrorKind;
use bringup_core::event_loop::{Application, EventLoop, Ready, Registrar};
use bringup_core::platform::Platform;
use bringup_core::state::{Announcement, SystemState, Verdict};
use bringup_core::time::{Duration, Utc};
use bringup_core::timer::{Owner, TimerKey};
use bringup_dns::{QueryKey, QueryKind, QueryOptions, RData, RecordType};
use bringup_system::{Config, Event, System};

use port::{Board, BoardOps, BoardWake};

/// A time that has passed: the start of 2026. Servers that tell an earlier one are not believed.
const FLOOR: Utc = Utc::from_unix_secs(1_767_225_600);
/// How long the program tries.
const DEADLINE: Duration = Duration::from_secs(60);
/// What is asked for.
const ASKED: &str = "www.lab.test";

/// What the system is like.
pub(crate) const CONFIG: Config<'static> = Config {
    // Enough to keep a forger guessing, since the ports are drawn at random.
    resolver: bringup_dns::Config { sockets_per_server: 4, ..bringup_dns::Config::DEFAULT },
    set_clock: true,
    ..Config::new(bringup_ntp::Config::new(FLOOR))
};

static QUEUE: AttachQueue<App, Board, BoardOps> = AttachQueue::new(port::lock(), BoardWake::new());
static ATTACHED: Node<'static, App, Board, BoardOps> = Node::new(&QUEUE);

/// SysTick's interrupt, once a second: the first asks for a callback.
pub(crate) fn on_second() {
    static FIRST: AtomicBool = AtomicBool::new(true);
    if FIRST.load(Ordering::Relaxed) {
        FIRST.store(false, Ordering::Relaxed);
        // Refused only if the loop has ended; then there is nothing to be told.
        let _ =
            ATTACHED.post_static(Some(SystemState::Operational), |outcome: Outcome<'_, _, _>| {
                if let Outcome::Ready(app, registrar) = outcome {
                    App::attached(app, registrar);
                }
            });
    }
}

/// The system, and what is asked of it.
struct App {
    system: &'static mut System<'static, Board>,
    deadline: Option<TimerKey>,
    query: Option<QueryKey>,
    /// The exit code.
    code: u32,
}

macro_rules! say {
    ($($line:tt)*) => { machine::say(format_args!($($line)*)) };
}

impl App {
    fn attached(&mut self, mut registrar: Registrar<'_, Board>) {
        say!("attached");
        let (kind, options) = (QueryKind::Type(RecordType::A), QueryOptions::default());
        self.query = self.system.query(&mut registrar, ASKED, kind, options).ok();
        self.tell(&mut registrar);
    }

    fn tell(&mut self, registrar: &mut Registrar<'_, Board>) {
        while let Some(event) = self.system.next_event() {
            match event {
                Event::State { to, .. } => say!("state {}", to.name()),
                Event::Address { interface, .. } => {
                    let lease = self.system.interface(interface).and_then(|of| of.lease());
                    if let Some(lease) = lease {
                        say!("address {}/{}", lease.address(), lease.prefix_len());
                    }
                }
                Event::Clock { to, .. } => {
                    let utc_s = registrar.platform().utc().as_unix_nanos() / 1_000_000_000;
                    say!("time {} {utc_s}", to.name());
                }
                Event::Dns(bringup_dns::Event::Done { key, .. }) if self.query == Some(key) => {
                    self.answered(registrar, key);
                }
                Event::Failed { action, error, .. } => say!("failed {} {error}", action.name()),
                _ => {}
            }
        }
    }

    fn answered(&mut self, registrar: &mut Registrar<'_, Board>, key: QueryKey) {
        let answer = self.system.resolver().result(key).into_iter();
        for record in answer.flat_map(|answer| answer.records()) {
            if let RData::A(address) = record.data() {
                say!("answer {address}");
                self.code = 0;
            }
        }
        self.system.release(registrar, key);
        registrar.stop();
    }
}

impl Application<Board> for App {
    fn dispatch(&mut self, registrar: &mut Registrar<'_, Board>, ready: Ready) {
        match ready {
            Ready::Timer { key, .. } if Some(key) == self.deadline => registrar.stop(),
            ready => {
                self.system.handle(registrar, ready);
                self.tell(registrar);
            }
        }
    }

    fn notify(&mut self, registrar: &mut Registrar<'_, Board>, said: &Announcement) -> Verdict {
        let verdict = self.system.notify(registrar, said);
        self.tell(registrar);
        verdict
    }
}

fn run() -> Result<u32, ErrorKind> {
    let board = Board::new(memory::STACK.take());
    let system = memory::SYSTEM.take();
    system.lend(memory::INTERFACES.take(), memory::RESOLVER.take());
    let mut event_loop = EventLoop::new(board, memory::EVENT_LOOP.take(), &QUEUE)
        .map_err(|_| ErrorKind::Exhausted)?;
    let mut registrar = event_loop.registrar();
    let dhcp = |link: &bringup_core::platform::Interface| bringup_dhcp::Config::new(link.mac);
    system
        .add_interface(&mut registrar, port::NAME, dhcp, memory::LEASE.take())
        .map_err(|_| ErrorKind::Exhausted)?;
    system.start(&mut registrar).map_err(|_| ErrorKind::Exhausted)?;
    let deadline = registrar.add_timer(Owner::Application).map_err(|_| ErrorKind::Exhausted)?;
    let end = registrar.now() + DEADLINE;
    registrar.set_timer(deadline, end);
    let mut app = App { system, deadline: Some(deadline), query: None, code: 2 };
    event_loop.run(&mut app)?;
    app.system.stop(&mut event_loop.registrar());
    event_loop.shutdown(&mut app);
    Ok(app.code)
}

/// Called by the start-up code.
#[unsafe(no_mangle)]
extern "C" fn start() -> ! {
    machine::set_up();
    let code = run().unwrap_or_else(|error| {
        say!("failed {error}");
        2
    });
    let (size, left) = (machine::stack_size(), machine::stack_left());
    say!("stack {} of {size}", size - left);
    machine::exit(code)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    say!("{info}");
    machine::exit(101)
}
