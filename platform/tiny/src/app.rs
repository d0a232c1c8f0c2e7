//! [`App`]: the program on top of the loop.

use bringup_core::error::ErrorKind;
use bringup_core::event_loop::{Application, Ready, Registrar};
use bringup_core::platform::PlatformError;
use bringup_core::state::{Announcement, SystemState, Verdict};
use bringup_core::time::{Duration, Instant};
use bringup_core::timer::{Owner, TimerKey};
use bringup_dns::{Outcome, QueryError, QueryKey, QueryKind, QueryOptions, RData, RecordType};
use bringup_platform::tiny::Tiny;
use bringup_system::{Event, InterfaceId, System};

use crate::say::Line;

/// The flag that a signal raises.
pub(crate) const END: u32 = 1;

/// How long `--once` waits.
const DEADLINE: Duration = Duration::from_secs(60);

/// How the program ends: the exit codes of the command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    /// NAME does not exist.
    No = 1,
    /// It could not be found out in time.
    Unknown = 2,
    Usage = 64,
    Privilege = 77,
}

type Loop<'r> = Registrar<'r, Tiny<'static>>;

/// The system, and what is to be asked of it.
pub(crate) struct App {
    pub(crate) system: &'static mut System<'static, Tiny<'static>>,
    name: Option<&'static str>,
    once: bool,
    started: Instant,
    deadline: Option<TimerKey>,
    query: Option<QueryKey>,
    /// Whether all is there that was to be waited for.
    done: bool,
    exit: Exit,
}

/// Why NAME cannot be asked for, and the exit code that the command has for it.
const fn refusal(error: QueryError) -> (&'static str, Exit) {
    match error {
        QueryError::Name(_) => ("is not a name", Exit::Usage),
        QueryError::ScopeName => ("has the name of an interface, not its number", Exit::Usage),
        QueryError::Full => ("must wait: too many queries", Exit::Unknown),
        QueryError::Stopped => ("is not asked for: the resolver was stopped", Exit::Unknown),
    }
}

impl App {
    pub(crate) const fn new(
        system: &'static mut System<'static, Tiny<'static>>,
        name: Option<&'static str>,
        once: bool,
        started: Instant,
    ) -> Self {
        let exit = if once { Exit::Unknown } else { Exit::Done };
        Self { system, name, once, started, deadline: None, query: None, done: false, exit }
    }

    /// Starts the system. Whether the loop has room for it.
    pub(crate) fn start(&mut self, registrar: &mut Loop<'_>) -> bool {
        if self.once {
            self.deadline = registrar.add_timer(Owner::Application).ok();
            let Some(timer) = self.deadline else { return false };
            registrar.set_timer(timer, registrar.now() + DEADLINE);
        }
        let started = self.system.start(registrar).is_ok();
        self.tell(registrar);
        started
    }

    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    fn line(&self, now: Instant, event: &str) -> Line {
        Line::new(now.since(self.started).as_micros(), event)
    }

    /// What the second thread asked for: the system is OPERATIONAL.
    pub(crate) fn attached(&mut self, mut registrar: Loop<'_>) {
        let waited_for = SystemState::Operational.name();
        self.line(registrar.now(), "attached").text("waited_for", waited_for).say();
        let Some(name) = self.name else { return self.finished(&mut registrar, Exit::Done) };
        let kind = QueryKind::Type(RecordType::A);
        match self.system.query(&mut registrar, name, kind, QueryOptions::default()) {
            Ok(query) => self.query = Some(query),
            Err(error) => {
                let (why, exit) = refusal(error);
                Line::failed(name, why, 0);
                self.finished(&mut registrar, exit);
            }
        }
        self.tell(&mut registrar);
    }

    /// All is there: with `--once` that is the end.
    fn finished(&mut self, registrar: &mut Loop<'_>, exit: Exit) {
        self.done = true;
        self.exit = exit;
        if self.once {
            registrar.stop();
        }
    }

    /// Takes off the interface what was put on, and says so.
    pub(crate) fn finish(&mut self, registrar: &mut Loop<'_>) {
        self.system.stop(registrar);
        self.tell(registrar);
    }

    fn tell(&mut self, registrar: &mut Loop<'_>) {
        while let Some(event) = self.system.next_event() {
            let now = registrar.now();
            match event {
                Event::State { from, to } => {
                    self.line(now, "state").text("from", from.name()).text("to", to.name()).say();
                }
                Event::Hold { gate, released } => {
                    let mut line = self.line(now, "hold");
                    line.text("state", gate.state().name()).text("holder", gate.holder());
                    line.flag("released", released).say();
                }
                Event::Address { interface, .. } => self.tell_lease(now, interface),
                Event::AddressLost { interface, address, prefix, .. } => {
                    let mut line = self.line(now, "address");
                    let name = self.system.interface(interface).map_or("", |i| i.name());
                    line.text("interface", name).address("address", address, Some(prefix));
                    line.flag("lost", true).say();
                }
                Event::Clock { to, .. } => {
                    let mut line = self.line(now, "time");
                    line.text("state", to.name());
                    if let Some(offset_ns) = self.system.clock_offset_ns(registrar) {
                        line.number("offset_us", offset_ns / 1_000);
                    }
                    if let Some(estimate) = self.system.utc(now) {
                        let error_us = i64::try_from(estimate.error_ns / 1_000);
                        line.number("error_us", error_us.unwrap_or(i64::MAX));
                    }
                    line.say();
                }
                Event::Dns(event) => self.tell_answer(registrar, event),
                Event::Failed { action, error, .. } => {
                    Line::failed(action.name(), error.call.text(), error.errno);
                    if error.kind() == ErrorKind::PermissionDenied {
                        self.exit = Exit::Privilege;
                        registrar.stop();
                    }
                }
                _ => {}
            }
        }
    }

    fn tell_lease(&self, now: Instant, interface: InterfaceId) {
        let Some(interface) = self.system.interface(interface) else { return };
        let Some(lease) = interface.lease() else { return };
        let mut line = self.line(now, "address");
        line.text("interface", interface.name());
        line.address("address", lease.address(), Some(lease.prefix_len()));
        if let Some(times) = lease.times() {
            let lease_s = times.expires_at.since(lease.requested_at()).as_secs();
            line.number("lease_s", i64::try_from(lease_s).unwrap_or(i64::MAX));
        }
        line.address("server", lease.server_identifier(), None);
        line.flag("lost", false).say();
    }

    fn tell_answer(&mut self, registrar: &mut Loop<'_>, event: bringup_dns::Event) {
        let bringup_dns::Event::Done { key, outcome } = event else { return };
        if self.query != Some(key) {
            return;
        }
        let (now, name) = (registrar.now(), self.name.unwrap_or(""));
        if let Some(answer) = self.system.resolver().result(key) {
            answer.records().for_each(|record| {
                if let RData::A(address) = record.data() {
                    let mut line = self.line(now, "answer");
                    line.text("owner", name).text("type", "A").number("ttl", record.ttl.into());
                    line.address("data", address, None).say();
                }
            });
        }
        let (rcode, exit) = match outcome {
            Outcome::Answer => ("NOERROR", Exit::Done),
            Outcome::NoData => ("NODATA", Exit::No),
            Outcome::NxDomain => ("NXDOMAIN", Exit::No),
            Outcome::Failed(why) => (why.name(), Exit::Unknown),
        };
        self.line(now, "result").text("name", name).text("type", "A").text("rcode", rcode).say();
        self.query = None;
        self.system.release(registrar, key);
        self.finished(registrar, exit);
    }
}

impl Application<Tiny<'static>> for App {
    fn dispatch(&mut self, registrar: &mut Loop<'_>, ready: Ready) {
        match ready {
            Ready::Timer { key, .. } if Some(key) == self.deadline => {
                if let Some((state, hold)) = registrar.held() {
                    Line::failed(state.name(), hold.holder, 0);
                }
                registrar.stop();
            }
            ready => {
                self.system.handle(registrar, ready);
                self.tell(registrar);
            }
        }
    }

    fn notify(&mut self, registrar: &mut Loop<'_>, said: &Announcement) -> Verdict {
        let verdict = self.system.notify(registrar, said);
        self.tell(registrar);
        verdict
    }

    fn raised(&mut self, registrar: &mut Loop<'_>, _: u32) {
        registrar.stop();
    }
}
