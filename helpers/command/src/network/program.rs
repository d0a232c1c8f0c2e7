//! The application behind a [`Network`](super::Network): a system on a loop, on a thread of its own.

use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::{Duration, SystemTime};

use bringup_core::attach::AttachQueue;
use bringup_core::event_loop::{Application, EventLoop, LoopStorage, Ready, Registrar};
use bringup_core::poll::{PollStorage, UnixPoll};
use bringup_core::state::{Announcement, SystemState, Verdict};
use bringup_core::time;
use bringup_core::timer::Owner;
use bringup_dhcp::lease::STORAGE_LEN;
use bringup_dns::config::resolv_conf::{Setting, settings};
use bringup_dns::{
    HostsText, Outcome, QueryError, QueryKey, QueryKind, QueryOptions, Resolver, SmallStorage,
};
use bringup_ntp::ClockState;
use bringup_platform::error::OsError;
use bringup_platform::linux::{ClockPolicy, EventWake, Linux, LinuxOps, Options};
use bringup_platform::lock::StdLock;
use bringup_system::{AddInterfaceError, Config, Event, NtpName, System};

use super::desk::{self, Item};
use super::status::Status;
use super::{Address, Error, Setup, Time};
use crate::cli::{saved_clock, up};

/// How many addresses of a name are given out.
const ADDRESSES_MAX: usize = 32;

type Port<'m> = Linux<UnixPoll<'m>>;
pub(super) type Queue<'m> = AttachQueue<Program<'m>, Port<'m>, LinuxOps>;

/// Hears what became of a name.
type Found = Box<dyn FnOnce(Result<Vec<IpAddr>, Error>)>;

/// The application.
pub(super) struct Program<'m> {
    system: System<'m, Port<'m>>,
    asked: Vec<(QueryKey, Found)>,
    status: &'m Status,
}

/// Runs a network to its end; says through `ready` how its start went.
pub(super) fn run(
    setup: &Setup,
    status: &Status,
    items: Receiver<Item>,
    ready: &Sender<Result<(), Error>>,
) {
    let failed = |error| {
        // The caller of `start` waits for it.
        let _ = ready.send(Err(error));
    };
    // Whatever happens on this thread, whoever waits hears of its end.
    let _end = End(status);
    let mut polls = PollStorage::<160>::new();
    let clock = if setup.set_clock { ClockPolicy::Set } else { ClockPolicy::Refuse };
    let options = Options { clock, ..Options::default() };
    let platform = match Linux::with_options(UnixPoll::new(&mut polls), options) {
        Ok(platform) => platform,
        Err(error) => return failed(error.into()),
    };
    let names: Vec<NtpName<'_>> =
        setup.ntp_names.iter().map(|(name, port)| NtpName { name, port: *port }).collect();
    let dns = dns_servers(setup);
    let config = Config {
        keep: setup.keep,
        set_clock: setup.set_clock,
        wait_for_time: !setup.without_time,
        dns: &dns,
        ntp: &setup.ntp,
        ntp_names: &names,
        resolver: bringup_dns::Config { sockets_per_server: 8, ..bringup_dns::Config::DEFAULT },
        ..Config::new(bringup_ntp::Config::new(saved_clock::built()))
    };
    let file = std::fs::read("/etc/hosts").unwrap_or_default();
    let hosts = HostsText(&file);

    // Storage, queue, application, loop: each borrows what stands before it.
    let mut leases = vec![[0; STORAGE_LEN]; setup.interfaces.len()];
    let mut slots: Vec<_> = setup.interfaces.iter().map(|_| None).collect();
    let mut cache = Box::new(SmallStorage::new());
    let mut memory = LoopStorage::<i32, 64, 128>::new();
    let queue = Queue::new(StdLock::new(), EventWake::new());
    let mut resolver = Resolver::new(config.resolver, &mut cache);
    resolver.set_hosts(Some(&hosts));
    let system = System::new(config, &mut slots, resolver);
    let mut program = Program { system, asked: Vec::new(), status };
    let mut event_loop = match EventLoop::new(platform, &mut memory, &queue) {
        Ok(event_loop) => event_loop,
        Err(error) => return failed(error.into()),
    };
    let dhcp = bringup_dhcp::Config {
        hostname: setup.hostname.as_deref().map(str::as_bytes),
        ..bringup_dhcp::Config::new(bringup_core::client::Mac::default())
    };
    for (name, storage) in setup.interfaces.iter().zip(&mut leases) {
        let describe = |link: &bringup_core::platform::Interface| bringup_dhcp::Config {
            mac: link.mac,
            mtu: u16::try_from(link.mtu).unwrap_or(u16::MAX),
            ..dhcp
        };
        let mut registrar = event_loop.registrar();
        let added = program.system.add_interface(&mut registrar, name, describe, storage);
        if let Err(error) = added {
            return failed(cannot_add(name, error));
        }
    }
    if program.system.start(&mut event_loop.registrar()).is_err() {
        return failed(Error::Full);
    }
    let _ = ready.send(Ok(()));
    let queue = &queue;
    thread::scope(|scope| {
        scope.spawn(move || desk::serve(&items, queue));
        // A callback that panics leaves the loop whole; the others have not deserved to end with it.
        // Otherwise it ends when the desk says so, or with an error that no later turn would be without.
        while catch_unwind(AssertUnwindSafe(|| event_loop.run(&mut program))).is_err() {}
        program.system.stop(&mut event_loop.registrar());
        program.settle(&mut event_loop.registrar());
        event_loop.shutdown(&mut program);
        status.end();
    });
}

/// Tells whoever waits that nothing more will come, after a panic too.
struct End<'a>(&'a Status);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Those that were named; for a network that is taken as it is, those of the machine.
fn dns_servers(setup: &Setup) -> Vec<SocketAddr> {
    if !setup.dns.is_empty() || !setup.interfaces.is_empty() {
        return setup.dns.clone();
    }
    let file = std::fs::read("/etc/resolv.conf").unwrap_or_default();
    let server = |setting| match setting {
        Setting::Server(address) => Some(address),
        Setting::ServerOn { address, interface } => {
            let scope = up::interface_number(interface)?;
            Some(SocketAddrV6::new(address, 53, 0, scope).into())
        }
        _ => None,
    };
    settings(&file).filter_map(server).collect()
}

fn cannot_add(name: &str, error: AddInterfaceError<OsError>) -> Error {
    let why = match error {
        AddInterfaceError::Platform(error) => error.to_string(),
        AddInterfaceError::NotEthernet => "is not Ethernet, as DHCP needs it".into(),
        AddInterfaceError::Full | AddInterfaceError::NoTimer => return Error::Full,
    };
    Error::Interface { name: name.into(), why }
}

impl<'m> Program<'m> {
    /// Takes what the system has to say, and shows where it stands.
    fn settle(&mut self, registrar: &mut Registrar<'_, Port<'m>>) {
        while let Some(event) = self.system.next_event() {
            if let Event::Dns(bringup_dns::Event::Done { key, outcome }) = event {
                self.answered(registrar, key, outcome);
            }
        }
        let held_by = self.system.holding().map(bringup_system::Gate::holder);
        self.status.set(registrar.state(), held_by);
    }

    fn answered(
        &mut self,
        registrar: &mut Registrar<'_, Port<'m>>,
        key: QueryKey,
        outcome: Outcome,
    ) {
        let Some(at) = self.asked.iter().position(|(asked, _)| *asked == key) else { return };
        let (key, found) = self.asked.swap_remove(at);
        let result = match outcome {
            Outcome::Answer => {
                let mut buffer = [IpAddr::from([0; 4]); ADDRESSES_MAX];
                Ok(self.system.addresses(registrar, key, &mut buffer).to_vec())
            }
            Outcome::NoData | Outcome::NxDomain => Err(Error::NoAddress),
            Outcome::Failed(why) => Err(Error::Unresolved(why)),
        };
        self.system.release(registrar, key);
        found(result);
    }

    fn resolve(
        &mut self,
        registrar: &mut Registrar<'_, Port<'m>>,
        name: &str,
        timeout: Duration,
        found: Found,
    ) {
        let timeout_us = u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX);
        let deadline = Some(registrar.now() + time::Duration::from_micros(timeout_us));
        let options = QueryOptions { deadline, ..QueryOptions::default() };
        match self.system.query(registrar, name, QueryKind::Addresses, options) {
            Ok(key) => self.asked.push((key, found)),
            Err(QueryError::Full) => found(Err(Error::Full)),
            Err(QueryError::Stopped) => found(Err(Error::Ended)),
            Err(_) => found(Err(Error::BadName)),
        }
        self.settle(registrar);
    }
}

impl<'m> Application<Port<'m>> for Program<'m> {
    fn dispatch(&mut self, registrar: &mut Registrar<'_, Port<'m>>, ready: Ready) {
        if ready.owner() == Owner::System {
            self.system.handle(registrar, ready);
            self.settle(registrar);
        }
    }

    fn notify(
        &mut self,
        registrar: &mut Registrar<'_, Port<'m>>,
        announcement: &Announcement,
    ) -> Verdict {
        // The system's own notifier is the only one.
        let verdict = self.system.notify(registrar, announcement);
        self.settle(registrar);
        verdict
    }
}

/// What a callback may do; it is on the network's thread.
pub struct Context<'a>(Box<dyn Inside + 'a>);

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

/// A program and the loop's registrar, whatever their lifetimes are called.
trait Inside {
    fn state(&self) -> SystemState;
    fn time(&mut self) -> Option<Time>;
    fn addresses(&self) -> Vec<Address>;
    fn resolve(&mut self, name: &str, timeout: Duration, found: Found);
}

struct Pair<'a, 'm>(&'a mut Program<'m>, Registrar<'a, Port<'m>>);

impl Inside for Pair<'_, '_> {
    fn state(&self) -> SystemState {
        self.1.state()
    }

    fn time(&mut self) -> Option<Time> {
        let Self(program, registrar) = self;
        let clock_offset_ns = program.system.clock_offset_ns(registrar)?;
        let now = registrar.now();
        let estimate = program.system.utc(now)?;
        let ns = u64::try_from(estimate.utc.as_unix_nanos()).unwrap_or(0);
        Some(Time {
            utc: SystemTime::UNIX_EPOCH + Duration::from_nanos(ns),
            error: Duration::from_nanos(estimate.error_ns),
            clock_offset_ns,
            confirmed: program.system.ntp().state() == ClockState::Confirmed,
        })
    }

    fn addresses(&self) -> Vec<Address> {
        let Self(program, registrar) = self;
        let now = registrar.now();
        let address = |interface: &bringup_system::Interface<'_, _>| {
            let lease = interface.lease()?;
            Some(Address {
                interface: interface.name().to_owned(),
                address: lease.address(),
                prefix: lease.prefix_len(),
                router: lease.default_router(),
                server: lease.server_identifier(),
                expires_in: lease
                    .times()
                    .map(|times| Duration::from_micros(times.expires_at.since(now).as_micros())),
            })
        };
        program.system.interfaces().filter_map(address).collect()
    }

    fn resolve(&mut self, name: &str, timeout: Duration, found: Found) {
        self.0.resolve(&mut self.1, name, timeout, found);
    }
}

impl<'a> Context<'a> {
    pub(super) fn new<'m: 'a>(
        program: &'a mut Program<'m>,
        registrar: Registrar<'a, Port<'m>>,
    ) -> Self {
        Self(Box::new(Pair(program, registrar)))
    }

    /// The system state.
    pub fn state(&self) -> SystemState {
        self.0.state()
    }

    /// UTC with its error bound; `None` while it is not known.
    pub fn time(&mut self) -> Option<Time> {
        self.0.time()
    }

    /// The addresses of all interfaces.
    pub fn addresses(&self) -> Vec<Address> {
        self.0.addresses()
    }

    /// Asks for the addresses of a name. `found` is called once, on this thread, with them in the
    /// order in which they are to be tried; it may be called before this returns.
    pub fn resolve<F>(&mut self, name: &str, timeout: Duration, found: F)
    where
        F: FnOnce(Result<Vec<IpAddr>, Error>) + 'static,
    {
        self.0.resolve(name, timeout, Box::new(found));
    }
}
