//! [`Service`]: what a running `up` does for the machine around it, on the same loop.
//!
//! | module | what is in it |
//! |---|---|
//! | [`options`] | its part of the command line |
//! | [`jobs`] | programs that are run beside the loop |
//! | [`names`], [`resolv_conf`] | which DNS servers there are, told to other programs |
//! | [`notify`] | how far it has come, told to a service manager |
//! | [`reload`] | what becomes of the options at SIGHUP |
//! | [`socket`], [`asks`] | where it can be asked, and questions for the resolver |
//! | [`report`], [`facts`], [`history`] | what can be said of a running bring-up |

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use bringup_core::event_loop::{Ready, SourceKey};
use bringup_core::platform::Platform;
use bringup_core::poll::Interest;
use bringup_core::state::{States as _, SystemState};
use bringup_core::time::{Duration, Instant};
use bringup_core::timer::{NoSlot, Owner, TimerKey};
use bringup_system::Event;
use serde::Serialize;

pub mod asks;
pub mod facts;
pub mod history;
pub mod jobs;
pub mod names;
pub mod notify;
pub mod options;
pub mod reload;
pub mod report;
pub mod resolv_conf;
pub mod socket;

use asks::Asks;
use history::History;
use jobs::{Job, Jobs};
use names::{NameKeeper, Way};
use notify::Notifier;
use options::ServiceOptions;
use report::{Counters, Report};
use socket::{Request, StatusSocket};

use super::args::Up;
use super::companion::{Companion, OperatorServers, Scene};
use super::event::{self, Problem};
use super::exit::Exit;
use super::{config, up};
use crate::resolver_files::ResolverFiles;

/// How long what the service manager had no room for waits.
const MANAGER_RETRY: Duration = Duration::from_millis(100);

/// Something for hooks: its name, and the interface that it is of.
type News = (&'static str, Option<String>);

/// What a running `up` does besides.
pub struct Service<'a> {
    options: Up,
    /// Whether the rights that programs need were kept at the start.
    may_run_programs: bool,
    /// The command line, to be read again.
    line: &'a [OsString],
    files: &'a ResolverFiles,
    /// Readable when the configuration is to be read again.
    hangup: UnixStream,
    hangup_key: Option<SourceKey>,
    /// The operator's servers, if he has thought of others.
    servers_to_be: Option<OperatorServers>,
    notifier: Option<Notifier>,
    /// When what the service manager had no room for is told again.
    manager_timer: Option<TimerKey>,
    /// When the service manager is to hear that the loop runs.
    watchdog: Option<(TimerKey, Duration)>,
    names: NameKeeper,
    jobs: Jobs,
    socket: Option<StatusSocket>,
    asks: Asks,
    history: History,
    /// What hooks have not been told yet.
    news: Vec<News>,
    /// The servers may have changed.
    servers: bool,
    /// Something has changed that watchers want to see.
    changed: bool,
}

impl<'a> Service<'a> {
    /// A service that has not begun.
    pub fn new(options: &Up, line: &'a [OsString], files: &'a ResolverFiles) -> io::Result<Self> {
        let (hangup, write) = UnixStream::pair()?;
        signal_hook::low_level::pipe::register(signal_hook::consts::SIGHUP, write)?;
        hangup.set_nonblocking(true)?;
        let service = &options.service;
        let way = if options.dry_run { Way::None } else { service.resolv_conf };
        Ok(Self {
            options: options.clone(),
            may_run_programs: service.runs_programs(),
            line,
            files,
            hangup,
            hangup_key: None,
            servers_to_be: None,
            // Nobody who listens is nobody to tell.
            notifier: Notifier::of_process().ok().flatten(),
            manager_timer: None,
            watchdog: None,
            names: NameKeeper::new(way, service.resolv_conf_file.clone()),
            jobs: Jobs::new(service.hook_timeout)?,
            socket: None,
            asks: Asks::default(),
            history: History::new(Instant::ZERO),
            news: Vec::new(),
            servers: false,
            changed: false,
        })
    }

    /// Lets itself be asked at this path.
    pub fn listen(&mut self, path: &Path) -> io::Result<()> {
        self.socket = Some(StatusSocket::bind(path)?);
        Ok(())
    }

    /// All that can be said now.
    pub fn report<P: Platform>(&self, scene: &mut Scene<'_, '_, '_, P>) -> Report {
        let now = scene.registrar.now();
        let state = scene.registrar.state();
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_us: now.since(self.history.started()).as_micros(),
            operational: state == SystemState::Operational,
            state: state.name().to_owned(),
            held: self.history.held(now),
            states: self.history.visits(now),
            interfaces: facts::interfaces(scene.system, now),
            dns: facts::dns(scene.system, now),
            clock: facts::clock(scene.registrar, scene.system, self.options.set_clock),
            service: report::Service {
                resolv_conf: self.names.way().name(),
                events_lost: u64::from(scene.system.events_lost()),
                jobs: counters(self.jobs.counts()),
                clients: self.socket.as_ref().map_or_else(Counters::new, StatusSocket::counters),
            },
        }
    }

    fn tell_hooks<P: Platform>(&mut self, scene: &mut Scene<'_, '_, '_, P>) {
        /// What a hook reads from its standard input.
        #[derive(Serialize)]
        struct Input<'a> {
            event: &'static str,
            interface: Option<&'a str>,
            #[serde(flatten)]
            report: &'a Report,
        }

        let news = std::mem::take(&mut self.news);
        // Nothing but telling in a run that is to change nothing.
        if news.is_empty() || self.options.service.hook.is_empty() || self.options.dry_run {
            return;
        }
        let report = self.report(scene);
        for (event, interface) in news {
            let of = interface.as_deref();
            let environment = facts::environment(scene.registrar, scene.system, event, of);
            let input = Input { event, interface: of, report: &report };
            // It has string keys alone, and no number that JSON lacks.
            let input = serde_json::to_vec(&input).unwrap_or_default();
            for program in &self.options.service.hook {
                self.jobs.push(Job {
                    about: of.map_or_else(|| event.to_owned(), |of| format!("{event} {of}")),
                    program: program.clone(),
                    arguments: Vec::new(),
                    environment: environment.clone(),
                    input: input.clone(),
                });
            }
        }
    }

    /// The report as a line.
    fn line<P: Platform>(&self, scene: &mut Scene<'_, '_, '_, P>) -> Vec<u8> {
        line(&event::Event::Status(Box::new(self.report(scene))))
    }

    fn serve<P: Platform<Handle = RawFd>>(
        &mut self,
        scene: &mut Scene<'_, '_, '_, P>,
        ready: Ready,
    ) {
        let taken = self.socket.as_mut().and_then(|socket| socket.take(scene.registrar, ready));
        let Some((client, request)) = taken else { return };
        let lines = match request {
            Request::Status | Request::Watch => self.line(scene),
            Request::Query(name, rtype) => {
                self.files.refresh_hosts();
                match self.asks.begin(scene, client, &name, rtype.as_deref()) {
                    Ok(()) => return,
                    Err(problem) => line(&event::Event::Error(problem)),
                }
            }
        };
        if let Some(socket) = &mut self.socket {
            socket.answer(scene.registrar, client, &lines, true);
        }
    }

    /// Tells watchers, and forgets the questions of clients that are gone.
    fn look_after_clients<P: Platform<Handle = RawFd>>(
        &mut self,
        scene: &mut Scene<'_, '_, '_, P>,
    ) {
        let Some(socket) = &mut self.socket else { return };
        self.asks.forget(scene, |client| !socket.is_connected(client));
        if std::mem::take(&mut self.changed) {
            socket.changed(scene.registrar);
        }
        if socket.wants_report(scene.registrar.now()) {
            let line = self.line(scene);
            if let Some(socket) = &mut self.socket {
                socket.report(scene.registrar, &line);
            }
        }
    }

    /// Reads the options again. What cannot be read changes nothing.
    fn reload<P: Platform>(&mut self, scene: &mut Scene<'_, '_, '_, P>) {
        if let Some(notifier) = &mut self.notifier {
            notifier.reloading();
        }
        self.files.refresh_hosts();
        let read = match &self.options.config {
            Some(path) => config::merged(self.line, path),
            None => Ok(self.options.clone()),
        };
        let read = read.and_then(|new| {
            let servers = up::servers_of(&new).map_err(|problem| vec![problem]);
            servers.map(|servers| (new, servers))
        });
        match read {
            Err(problems) => tell(scene, problems),
            Ok((new, servers)) => {
                let told = reload::compare(&self.options, &new, self.may_run_programs);
                self.apply(scene, new, servers);
                scene.output.emit(&event::Event::Reloaded(told));
            }
        }
        if let Some(notifier) = &mut self.notifier {
            notifier.reloaded();
        }
    }

    /// Takes what may change while this runs.
    fn apply<P: Platform>(
        &mut self,
        scene: &mut Scene<'_, '_, '_, P>,
        new: Up,
        servers: OperatorServers,
    ) {
        let Up { dns, ntp, service, .. } = new;
        let old = &self.options;
        if (&dns, &ntp) != (&old.dns, &old.ntp) {
            self.servers_to_be = Some(servers);
        }
        if !self.may_run_programs {
            self.options = Up { dns, ntp, ..old.clone() };
            return;
        }
        let way =
            |options: &ServiceOptions| (options.resolv_conf, options.resolv_conf_file.clone());
        if way(&service) != way(&old.service) && !old.dry_run {
            let problem = self.names.take_back(&mut self.jobs);
            tell(scene, problem);
            self.names = NameKeeper::new(service.resolv_conf, service.resolv_conf_file.clone());
            self.servers = true;
        }
        self.jobs.set_limit(service.hook_timeout);
        // The socket, and all that is not named here, is what it was.
        let service = ServiceOptions { socket: old.service.socket.clone(), ..service };
        self.options = Up { dns, ntp, service, ..old.clone() };
    }

    /// Tells the service manager where this stands: who is waited for, or that nobody is.
    fn tell_manager<P: Platform>(&mut self, scene: &mut Scene<'_, '_, '_, P>) {
        let Some(notifier) = &mut self.notifier else { return };
        let is_operational = scene.registrar.state() == SystemState::Operational;
        let status = match held(scene) {
            Some((state, holder)) => format!("{} waits for {holder}", state.name()),
            None if is_operational => SystemState::Operational.name().to_owned(),
            // It goes on at once.
            None => return,
        };
        let addresses: Vec<String> = scene
            .system
            .interfaces()
            .filter(|interface| interface.has_address())
            .filter_map(|interface| {
                let lease = interface.lease()?;
                Some(format!("{} {}/{}", interface.name(), lease.address(), lease.prefix_len()))
            })
            .collect();
        let between = if addresses.is_empty() { "" } else { "; " };
        notifier.status(&format!("{status}{between}{}", addresses.join(", ")));
        if is_operational {
            notifier.ready();
        }
        if let Some(timer) = self.manager_timer.filter(|_| !notifier.flush()) {
            scene.registrar.set_timer(timer, scene.registrar.now() + MANAGER_RETRY);
        }
    }

    fn tell_names<P: Platform>(&mut self, scene: &mut Scene<'_, '_, '_, P>) {
        if std::mem::take(&mut self.servers) {
            let (all, by_interface) =
                (facts::names(scene.system), facts::names_by_interface(scene.system));
            let problem = self.names.update(&all, by_interface, &mut self.jobs);
            tell(scene, problem);
        }
    }
}

/// Who holds which step. The system's own word counts from when it is given: the loop takes it a little
/// later.
fn held<P: Platform>(scene: &Scene<'_, '_, '_, P>) -> Option<(SystemState, &'static str)> {
    let holding = scene.system.holding().map(|gate| (gate.state(), gate.holder()));
    holding.or_else(|| scene.registrar.held().map(|(state, key)| (state, key.holder)))
}

/// Tells problems.
fn tell<P: Platform>(
    scene: &mut Scene<'_, '_, '_, P>,
    problems: impl IntoIterator<Item = Problem>,
) {
    for problem in problems {
        scene.output.emit(&event::Event::Error(problem));
    }
}

/// An event as the line that a client gets.
fn line(event: &event::Event) -> Vec<u8> {
    // It has string keys alone, and no number that JSON lacks.
    let mut line = serde_json::to_vec(event).unwrap_or_default();
    line.push(b'\n');
    line
}

fn counters(counts: jobs::Counts) -> Counters {
    let jobs::Counts { started, failed, killed, dropped } = counts;
    let named =
        [("started", started), ("failed", failed), ("killed", killed), ("dropped", dropped)];
    named.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

impl<P: Platform<Handle = RawFd>> Companion<P> for Service<'_> {
    fn start(&mut self, scene: &mut Scene<'_, '_, '_, P>) -> Result<(), NoSlot> {
        self.history = History::new(scene.registrar.now());
        let handle = self.hangup.as_raw_fd();
        let key = scene.registrar.add_source(Owner::Application, handle, Interest::READ);
        self.hangup_key = Some(key.map_err(|_| NoSlot)?);
        if self.notifier.is_some() {
            self.manager_timer = Some(scene.registrar.add_timer(Owner::Application)?);
        }
        if let Some(period) = self.notifier.as_ref().and(Notifier::watchdog_period()) {
            let timer = scene.registrar.add_timer(Owner::Application)?;
            scene.registrar.set_timer(timer, scene.registrar.now() + period);
            self.watchdog = Some((timer, period));
        }
        if let Some(socket) = &mut self.socket {
            socket.register(scene.registrar)?;
        }
        self.jobs.register(scene.registrar)
    }

    fn hear(&mut self, scene: &mut Scene<'_, '_, '_, P>, event: &Event<P::Error>) {
        self.changed = true;
        if let Event::Dns(bringup_dns::Event::Done { key, .. }) = *event {
            if let Some((client, lines, is_last)) = self.asks.answered(scene, key) {
                if let Some(socket) = &mut self.socket {
                    socket.answer(scene.registrar, client, &lines, is_last);
                }
            }
            return;
        }
        let name = |id| scene.system.interface(id).map(|interface| interface.name().to_owned());
        let news = match *event {
            Event::State { from, to } => {
                self.history.enter(scene.registrar.now(), to);
                match (from, to) {
                    (_, SystemState::Operational) => ("operational", None),
                    (SystemState::Operational, to) if to.rank().is_some() => {
                        ("not-operational", None)
                    }
                    _ => return,
                }
            }
            Event::Link { interface, .. } => ("link", name(interface)),
            Event::Address { interface, renewed } => {
                self.servers = true;
                (if renewed { "renewed" } else { "address" }, name(interface))
            }
            Event::AddressLost { interface, .. } => {
                self.servers = true;
                ("address-lost", name(interface))
            }
            Event::Servers { .. } => {
                self.servers = true;
                ("servers", None)
            }
            Event::Clock { .. } => ("time", None),
            _ => return,
        };
        // Each once: hooks are told what is true then, not what was said.
        self.news.retain(|other| *other != news);
        self.news.push(news);
    }

    fn settle(&mut self, scene: &mut Scene<'_, '_, '_, P>) -> Option<Exit> {
        let held = held(scene);
        self.changed |= self.history.hold(scene.registrar.now(), held);
        self.tell_names(scene);
        self.tell_hooks(scene);
        self.tell_manager(scene);
        self.jobs.pump(scene.registrar);
        tell(scene, self.jobs.take_problems());
        self.look_after_clients(scene);
        None
    }

    fn take(&mut self, scene: &mut Scene<'_, '_, '_, P>, ready: Ready) {
        match (ready, &self.notifier, self.watchdog) {
            (Ready::Source { key, .. }, ..) if Some(key) == self.hangup_key => {
                // Several that came together are one.
                let mut bytes = [0; 64];
                while matches!((&self.hangup).read(&mut bytes), Ok(n) if n > 0) {}
                self.reload(scene);
            }
            (Ready::Timer { key, .. }, Some(notifier), Some((timer, period))) if key == timer => {
                notifier.watchdog();
                scene.registrar.set_timer(timer, scene.registrar.now() + period);
            }
            (Ready::Timer { key, .. }, ..) if Some(key) == self.manager_timer => {
                // What is left is told in `settle`, which comes next.
            }
            _ if self.jobs.take(scene.registrar, ready) => {}
            _ => self.serve(scene, ready),
        }
    }

    fn new_servers(&mut self) -> Option<OperatorServers> {
        self.servers_to_be.take()
    }

    fn stopping(&mut self) {
        if let Some(notifier) = &mut self.notifier {
            notifier.stopping();
        }
    }

    fn finish(&mut self, scene: &mut Scene<'_, '_, '_, P>) {
        if !self.options.keep {
            let problem = self.names.take_back(&mut self.jobs);
            tell(scene, problem);
        }
        self.news.push(("stop", None));
        self.tell_hooks(scene);
        self.jobs.finish(scene.registrar);
        tell(scene, self.jobs.take_problems());
    }
}
