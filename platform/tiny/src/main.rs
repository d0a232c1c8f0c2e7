//! `bringup-tiny IFACE [NAME] [--once]`: brings an interface up, without std and without a heap.
//!
//! DHCP, DNS, NTP and the system states are the same [`System`] as everywhere; the platform is
//! [`Tiny`], Linux on the C library alone. A second thread attaches a callback, which runs when the
//! system is OPERATIONAL and asks for NAME. It stays, renews the lease and polls the time, until SIGINT
//! or SIGTERM; with `--once` until everything is there, but not longer than a minute. What it put on the
//! interface it takes off again. The machine's clock is only looked at.
//!
//! It says one JSON object a line, and ends with the exit codes of `bringup`. The objects are among those of
//! `bringup --json`: `state`, `hold`, `address`, `time`, `attached`, `answer`, `result` and `error`; there are
//! no others. Their fields have the same names and meaning, but what is `null` there is left out here.
//! `result` has no `from`, `server` and `elapsed_us`; an `address` that is lost has no `lease_s` and
//! `server`; `error` has an `errno` (0: none) instead of a `hint`, terser words, and 0 as its `t_us`.
//!
//! All memory is in statics, and named in [`memory`]. Read on in [`app`].
#![no_std]
#![no_main]

mod app;
mod libc;
mod memory;
mod say;

use core::ffi::{CStr, c_char, c_int};

use bringup_core::attach::{AttachQueue, Node, Outcome};
use bringup_core::error::ErrorKind;
use bringup_core::event_loop::{EventLoop, LoopStorage};
use bringup_core::platform::{Platform, PlatformError};
use bringup_core::state::SystemState;
use bringup_core::time::Utc;
use bringup_dns::ResolverStorage;
use bringup_platform::tiny::{FutexLock, Tiny, TinyError, TinyOps, TinyWake};
use bringup_system::{AddInterfaceError, Config, System};

use app::{App, Exit};
use memory::{EVENT_LOOP, INTERFACES, LEASE, PLATFORM, RESOLVER, SYSTEM};
use say::Line;

/// A time that has passed: the start of 2026. Servers that tell an earlier one are not believed.
const FLOOR: Utc = Utc::from_unix_secs(1_767_225_600);

static QUEUE: AttachQueue<App, Tiny<'static>, TinyOps> =
    AttachQueue::new(FutexLock::new(), TinyWake::new());
static ATTACHED: Node<'static, App, Tiny<'static>, TinyOps> = Node::new(&QUEUE);

/// What the second thread does: it asks for a callback and ends.
extern "C" fn attach(_: *mut core::ffi::c_void) -> *mut core::ffi::c_void {
    // Refused only if the loop has ended; then there is nothing to be told.
    let _ = ATTACHED.post_static(Some(SystemState::Operational), |outcome: Outcome<'_, _, _>| {
        if let Outcome::Ready(app, registrar) = outcome {
            App::attached(app, registrar);
        }
    });
    core::ptr::null_mut()
}

/// SIGINT and SIGTERM. Raising a flag takes no lock.
extern "C" fn ask_to_end(_: c_int) {
    QUEUE.raise(app::END);
}

/// What the command line says.
struct Arguments {
    interface: &'static str,
    name: Option<&'static str>,
    once: bool,
}

impl Arguments {
    /// `None` if they make no sense.
    fn read(arguments: &[*const c_char]) -> Option<Self> {
        let (mut interface, mut name, mut once) = (None, None, false);
        for argument in arguments.iter().skip(1) {
            // SAFETY: the C library hands out strings that end in a zero and live as long as the program.
            let text = unsafe { CStr::from_ptr(*argument) }.to_str().ok()?;
            match text {
                "--once" => once = true,
                text if text.starts_with('-') => return None,
                text if interface.is_none() => interface = Some(text),
                text if name.is_none() => name = Some(text),
                _ => return None,
            }
        }
        Some(Self { interface: interface?, name, once })
    }
}

fn failed(what: &str, error: TinyError) -> Exit {
    Line::failed(what, error.call.text(), error.errno);
    if error.kind() == ErrorKind::PermissionDenied { Exit::Privilege } else { Exit::Unknown }
}

/// The system, without its memory, where it stays. What this takes of the stack is given back before the
/// loop runs.
#[inline(never)]
fn system() -> &'static mut System<'static, Tiny<'static>> {
    let config = Config {
        // Enough to keep a forger guessing, since the ports are drawn at random.
        resolver: bringup_dns::Config { sockets_per_server: 4, ..bringup_dns::Config::DEFAULT },
        ..Config::new(bringup_ntp::Config::new(FLOOR))
    };
    SYSTEM.put(System::vacant(config))
}

fn run(arguments: &Arguments) -> Result<Exit, TinyError> {
    let mut platform = Tiny::new(PLATFORM.take())?;
    let started = platform.now();

    let system = system();
    system.lend(INTERFACES.put([None]), RESOLVER.put(ResolverStorage::default()));
    let mut app = App::new(system, arguments.name, arguments.once, started);
    let mut event_loop = EventLoop::new(platform, EVENT_LOOP.put(LoopStorage::new()), &QUEUE)?;
    let mut registrar = event_loop.registrar();

    let dhcp = |link: &bringup_core::platform::Interface| bringup_dhcp::Config {
        mtu: u16::try_from(link.mtu).unwrap_or(u16::MAX),
        ..bringup_dhcp::Config::new(link.mac)
    };
    let (name, storage) = (arguments.interface, LEASE.take());
    match app.system.add_interface(&mut registrar, name, dhcp, storage) {
        Ok(_) => {}
        Err(AddInterfaceError::Platform(error)) => return Ok(failed(name, error)),
        Err(_) => {
            Line::failed(name, "is not Ethernet, as DHCP needs it", 0);
            return Ok(Exit::Unknown);
        }
    }
    // Without the right to it the client would try for ever. A socket is not opened to find out: closing one
    // takes the kernel some 25 ms.
    if libc::may_open_packet_sockets() == Some(false) {
        Line::failed(name, "needs CAP_NET_RAW", 0);
        app.finish(&mut registrar);
        return Ok(Exit::Privilege);
    }

    // From here on there is something to take off: before it, a signal may end the program by itself.
    libc::on_end(ask_to_end);
    if !app.start(&mut registrar) {
        Line::failed("the loop", "has too little memory", 0);
        app.finish(&mut registrar);
        return Ok(Exit::Unknown);
    }
    if !libc::run_beside(attach) {
        Line::failed("the second thread", "cannot be had", 0);
        app.finish(&mut registrar);
        return Ok(Exit::Unknown);
    }
    let ended = event_loop.run(&mut app);
    app.finish(&mut event_loop.registrar());
    event_loop.shutdown(&mut app);
    ended.map(|()| app.exit())
}

#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    let count = usize::try_from(argc).unwrap_or(0);
    // SAFETY: the C library hands out `argc` pointers.
    let arguments = unsafe { core::slice::from_raw_parts(argv, count) };
    let exit = match Arguments::read(arguments) {
        Some(arguments) => {
            run(&arguments).unwrap_or_else(|error| failed(arguments.interface, error))
        }
        None => {
            libc::write(2, b"usage: bringup-tiny IFACE [NAME] [--once]\n");
            Exit::Usage
        }
    };
    exit as c_int
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    libc::abort()
}
