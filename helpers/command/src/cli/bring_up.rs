//! One bring-up, on whichever platform: memory, queue, loop, [`Session`], from start to end.

use std::fmt::Display;
use std::thread;

use bringup_core::attach::{AttachQueue, Outcome};
use bringup_core::event_loop::{EventLoop, LoopStorage};
use bringup_core::platform::{Arm, Platform, SystemOps};
use bringup_core::poll::Interest;
use bringup_core::state::SystemState;
use bringup_core::time::Duration;
use bringup_core::timer::Owner;
use bringup_dhcp::SnapshotError;
use bringup_dhcp::lease::STORAGE_LEN;
use bringup_dns::{Hosts, Resolver, SmallStorage};
use bringup_system::{AddInterfaceError, Config, System};

use super::companion::Companion;
use super::event::Event;
use super::exit::Exit;
use super::name_pool::NamePool;
use super::output::Output;
use super::session::{Plan, Session, lease_file, tell_failure};
use super::state_dir::StateDir;
use super::up::use_one_of;
use crate::record::{Tap, What};

/// What is to be brought up, and how.
pub struct Setup<'a, H> {
    /// The interfaces, the preferred one first.
    pub interfaces: &'a [String],
    /// What DHCP clients are told; the link address is filled in.
    pub dhcp: bringup_dhcp::Config<'a>,
    /// The system's own.
    pub system: Config<'a>,
    /// What else is to be done.
    pub plan: Plan,
    /// A descriptor that is readable when the program is to end.
    pub signals: Option<H>,
    /// Attach a callback from a second thread, to be run when the system is OPERATIONAL.
    pub attach: bool,
    /// Where to keep what is to be known after a restart.
    pub state: Option<&'a StateDir>,
    /// What this machine says of names itself.
    pub hosts: Option<&'a (dyn Hosts + Sync)>,
}

/// The lock and the wake of a queue.
pub struct Ops<O: SystemOps> {
    /// The lock.
    pub lock: O::Lock,
    /// The wake, unarmed.
    pub wake: O::Wake,
}

/// Timers and descriptors of the loop: room for 64 interfaces, each with a timer and up to four sockets, beside
/// the resolver's sockets and connections, the NTP client's, and those of a service.
const TIMERS: usize = 96;
const SOURCES: usize = 384;
/// What a poller is to have room for: the loop's descriptors and its own.
pub const WATCHED: usize = SOURCES + 8;

/// Runs a bring-up to its end.
pub fn run<P, O>(
    platform: P,
    ops: Ops<O>,
    setup: Setup<'_, P::Handle>,
    output: &mut Output,
    companion: Option<&mut dyn Companion<Tap<P>>>,
    interfaces_there: impl Fn() -> Vec<String>,
) -> Exit
where
    P: Platform<Error: Display> + Arm<O>,
    O: SystemOps<Lock: Sync, Wake: Sync>,
{
    let mut platform = platform;
    let started = Duration::from_micros(u64::try_from(output.elapsed().as_micros()).unwrap_or(0));
    let epoch = setup.plan.epoch.unwrap_or_else(|| platform.now() - started);
    let platform = Tap::new(platform, output.recorder().cloned(), epoch);
    // Storage, queue, application, loop: each borrows what stands before it.
    let mut leases = vec![[0; STORAGE_LEN]; setup.interfaces.len()];
    let snapshots: Vec<_> =
        setup.interfaces.iter().map(|name| saved_lease(setup.state, name, output)).collect();
    let mut slots: Vec<_> = setup.interfaces.iter().map(|_| None).collect();
    let mut cache = SmallStorage::new();
    let names = NamePool::default();
    let mut memory = LoopStorage::<P::Handle, TIMERS, SOURCES>::new();
    let queue = AttachQueue::<Session<'_, Tap<P>>, Tap<P>, O>::new(ops.lock, ops.wake);

    let mut resolver = Resolver::new(setup.system.resolver, &mut cache);
    resolver.set_hosts(setup.hosts);
    let system = System::new(setup.system, &mut slots, resolver);
    // A callback that is attached ends the session itself, when it has run.
    let once = setup.plan.once && !setup.attach;
    let ends = setup.plan.once;
    let mut session = Session::new(system, output, &names, Plan { once, ..setup.plan });
    session.keep_in(setup.state);
    if let Some(companion) = companion {
        session.accompany(companion);
    }
    let mut event_loop = match EventLoop::new(platform, &mut memory, &queue) {
        Ok(event_loop) => event_loop,
        Err(error) => return cannot_start(session.output(), &error.to_string()),
    };
    let mut hopeless = setup.plan.until_lease;
    for ((name, storage), snapshot) in setup.interfaces.iter().zip(&mut leases).zip(&snapshots) {
        let added = session.system.add_interface(
            &mut event_loop.registrar(),
            name,
            |link| bringup_dhcp::Config {
                mac: link.mac,
                mtu: u16::try_from(link.mtu).unwrap_or(u16::MAX),
                ..setup.dhcp
            },
            storage,
        );
        let id = match added {
            Ok(id) => id,
            Err(error) => return cannot_add(session.output(), name, error, &interfaces_there()),
        };
        if setup.plan.until_lease && session.system.interface(id).is_some_and(|i| !i.link().up) {
            let why = "is down, and a dry run changes nothing";
            let hint = format!("set it up first: ip link set {name} up");
            session.output().problem(format!("the interface {name}"), why, hint);
        } else {
            hopeless = false;
        }
        if let Some(Err(refused)) = snapshot.as_ref().map(|s| session.system.restore(id, s)) {
            let what = format!("the saved lease of {name}");
            let hint = "nothing; it is written anew with the next lease";
            session.output().problem(what, refused_because(refused), hint);
        }
    }
    if hopeless {
        return Exit::Unknown;
    }
    if let Some(signals) = setup.signals {
        let mut registrar = event_loop.registrar();
        match registrar.add_source(Owner::Application, signals, Interest::READ) {
            Ok(key) => session.end_on(key),
            Err(_) => return cannot_start(session.output(), "no room for one more descriptor"),
        }
    }
    if session.start(&mut event_loop.registrar()).is_err() {
        return cannot_start(session.output(), "the loop has too few timers");
    }
    if setup.attach {
        if let Some(recorder) = session.output().recorder() {
            recorder.add(event_loop.registrar().now().since(epoch).as_micros(), What::Posted);
        }
        // The thread has posted before the loop begins: a simulation would not wait for it.
        thread::scope(|scope| {
            scope.spawn(|| attach(&queue, ends));
        });
    }
    let ended = event_loop.run(&mut session);
    if let Err(error) = ended {
        session.output().problem("the event loop", error.to_string(), "report this, please");
        session.end(&mut event_loop.registrar(), Exit::Unknown);
    }
    let exit = session.finish(&mut event_loop.registrar());
    event_loop.shutdown(&mut session);
    exit
}

/// Attaches a callback, to be run on the loop's thread when the system is OPERATIONAL.
fn attach<P, O>(queue: &AttachQueue<Session<'_, P>, P, O>, ends: bool)
where
    P: Platform<Error: Display>,
    O: SystemOps,
{
    let gate = SystemState::Operational;
    // Refused only if the loop has ended; then there is nothing to tell.
    let _ = queue.attach(gate, move |outcome: Outcome<'_, Session<'_, P>, P>| {
        if let Outcome::Ready(session, mut registrar) = outcome {
            let waited_for = gate.name();
            session.emit(registrar.now(), &Event::Attached { waited_for });
            if ends {
                session.end(&mut registrar, Exit::Done);
            }
        }
    });
}

/// The lease that an interface had before the restart, if one was kept.
fn saved_lease(state: Option<&StateDir>, name: &str, output: &mut Output) -> Option<Vec<u8>> {
    match state?.load(&lease_file(name)) {
        Ok(octets) => octets,
        Err(failed) => {
            tell_failure(output, &failed);
            None
        }
    }
}

/// Why a saved lease counts for nothing, as a sentence without subject.
const fn refused_because(why: SnapshotError) -> &'static str {
    match why {
        SnapshotError::Truncated => "is cut short",
        SnapshotError::Magic => "is something else",
        SnapshotError::Version => "was written by another version of this program",
        SnapshotError::Checksum | SnapshotError::Content => "is damaged",
        SnapshotError::Foreign => "is of another interface or client identifier",
    }
}

fn cannot_start(output: &mut Output, why: &str) -> Exit {
    output.problem("the event loop", why, "check the limits of the process (ulimit -n)");
    Exit::Unknown
}

fn cannot_add<E: Display>(
    output: &mut Output,
    name: &str,
    error: AddInterfaceError<E>,
    there: &[String],
) -> Exit {
    let (why, hint) = match error {
        AddInterfaceError::Platform(error) => (error.to_string(), use_one_of(there)),
        AddInterfaceError::NotEthernet => {
            ("is not an Ethernet interface, as DHCP needs one".into(), "name another".into())
        }
        AddInterfaceError::Full | AddInterfaceError::NoTimer => {
            ("is one too many".into(), "name fewer interfaces".into())
        }
    };
    output.problem(format!("the interface {name}"), why, hint);
    Exit::Unknown
}
