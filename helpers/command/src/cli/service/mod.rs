//! [`Service`]: what a running `up` does for the machine around it, on the same loop.
//!
//! | module | what is in it |
//! |---|---|
//! | [`options`] | its part of the command line |
//! | [`jobs`] | programs that are run beside the loop |
//! | [`names`], [`resolv_conf`] | which DNS servers there are, told to other programs |
//! | [`socket`], [`asks`] | where it can be asked, and questions for the resolver |
//! | [`report`], [`facts`], [`history`] | what can be said of a running bring-up |

use std::io;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use bringup_core::event_loop::Ready;
use bringup_core::platform::Platform;
use bringup_core::state::{States as _, SystemState};
use bringup_core::time::Instant;
use bringup_core::timer::NoSlot;
use bringup_system::{Event, NtpName};
use serde::Serialize;

pub mod asks;
pub mod facts;
pub mod history;
pub mod jobs;
pub mod names;
pub mod options;
pub mod report;
pub mod resolv_conf;
pub mod socket;

use asks::Asks;
use history::History;
use jobs::{Job, Jobs};
use names::{NameKeeper, Way};
use options::ServiceOptions;
use report::{Counters, Report};
use socket::{Request, StatusSocket};

use super::companion::{Companion, Scene};
use super::event::{self, Problem};
use super::exit::Exit;

/// What a service is to know of the command line besides its own options.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Nothing on the machine is to be changed: no names are told, no hooks are run.
    pub dry_run: bool,
    /// What was told is not to be taken back at the end.
    pub keep: bool,
    /// The machine's clock is set.
    pub sets_clock: bool,
    /// The names of NTP servers.
    pub ntp_names: &'a [NtpName<'a>],
}

/// Something for hooks: its name, and the interface that it is of.
type News = (&'static str, Option<String>);

/// What a running `up` does besides.
pub struct Service<'a> {
    context: Context<'a>,
    hooks: Vec<PathBuf>,
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
    pub fn new(options: &ServiceOptions, context: Context<'a>) -> io::Result<Self> {
        let way = if context.dry_run { Way::None } else { options.resolv_conf };
        let hooks = if context.dry_run { &[][..] } else { &options.hook };
        Ok(Self {
            context,
            hooks: hooks.to_vec(),
            names: NameKeeper::new(way, options.resolv_conf_file.clone()),
            jobs: Jobs::new(options.hook_timeout)?,
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
        let Context { ntp_names, sets_clock, .. } = self.context;
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
            clock: facts::clock(scene.registrar, scene.system, ntp_names, sets_clock),
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
        if news.is_empty() || self.hooks.is_empty() {
            return;
        }
        let report = self.report(scene);
        for (event, interface) in news {
            let of = interface.as_deref();
            let environment = facts::environment(scene.registrar, scene.system, event, of);
            let input = Input { event, interface: of, report: &report };
            // It has string keys alone, and no number that JSON lacks.
            let input = serde_json::to_vec(&input).unwrap_or_default();
            for program in &self.hooks {
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

    fn tell_names<P: Platform>(&mut self, scene: &mut Scene<'_, '_, '_, P>) {
        if std::mem::take(&mut self.servers) {
            let (all, by_interface) =
                (facts::names(scene.system), facts::names_by_interface(scene.system));
            let problem = self.names.update(&all, by_interface, &mut self.jobs);
            tell(scene, problem);
        }
    }
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
        let held = scene.registrar.held().map(|(state, key)| (state, key.holder));
        self.changed |= self.history.hold(scene.registrar.now(), held);
        self.tell_names(scene);
        self.tell_hooks(scene);
        self.jobs.pump(scene.registrar);
        tell(scene, self.jobs.take_problems());
        self.look_after_clients(scene);
        None
    }

    fn take(&mut self, scene: &mut Scene<'_, '_, '_, P>, ready: Ready) {
        if !self.jobs.take(scene.registrar, ready) {
            self.serve(scene, ready);
        }
    }

    fn finish(&mut self, scene: &mut Scene<'_, '_, '_, P>) {
        if !self.context.keep {
            let problem = self.names.take_back(&mut self.jobs);
            tell(scene, problem);
        }
        self.news.push(("stop", None));
        self.tell_hooks(scene);
        self.jobs.finish(scene.registrar);
        tell(scene, self.jobs.take_problems());
    }
}
