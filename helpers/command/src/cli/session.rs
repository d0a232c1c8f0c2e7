//! [`Session`]: a bring-up as it is told to somebody. The application on top of the loop, for `up` on
//! a real machine and for `demo`, over real wires or simulated ones.

use bringup_core::event_loop::{Application, Ready, Registrar, SourceKey};
use bringup_core::platform::Platform;
use bringup_core::state::{Announcement, HoldKey, Phase, SystemState, Verdict};
use bringup_core::time::{Duration, Instant};
use bringup_core::timer::{NoSlot, Owner, TimerKey};
use bringup_system::{InterfaceId, NtpName, System};

mod names;
mod story;
mod trouble;

use names::{Progress, Wanted};

use super::companion::{Companion, OperatorServers, Scene};
use super::event::{Event, Problem};
use super::exit::Exit;
use super::live::Live;
use super::lookup;
use super::name_pool::NamePool;
use super::output::Output;
use super::state_dir::{StateDir, StateError};

/// Where the lease of an interface is in the state directory.
pub fn lease_file(interface: &str) -> String {
    format!("lease.{interface}")
}

/// What a session is to do besides running the system.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// End when OPERATIONAL is entered.
    pub once: bool,
    /// End when an interface has a lease; for a run that may not configure it.
    pub until_lease: bool,
    /// Show these DHCP options of a new lease.
    pub show_options: Vec<u8>,
    /// Be OPERATIONAL only when these names are resolved.
    pub resolve: Vec<String>,
    /// Give up if OPERATIONAL is not entered in so long.
    pub deadline: Option<Duration>,
    /// What the operator wants stands in a file.
    pub from_file: bool,
    /// Count time from here, rather than by the machine's clock: the start of a simulation.
    pub epoch: Option<Instant>,
}

/// The application: the system, and what is told of it.
pub struct Session<'m, P: Platform> {
    /// The system.
    pub system: System<'m, P>,
    output: &'m mut Output,
    companion: Option<&'m mut dyn Companion<P>>,
    plan: Plan,
    wanted: Vec<Wanted>,
    /// The step to OPERATIONAL, while names are being resolved.
    hold: Option<HoldKey>,
    deadline: Option<TimerKey>,
    retry: Option<TimerKey>,
    signals: Option<SourceKey>,
    state: Option<&'m StateDir>,
    names: &'m NamePool,
    live: Live,
    exit: Option<Exit>,
    /// When there was no room for a socket, and why: nobody else is to blame for what comes of it.
    no_room: Option<(Instant, String)>,
    /// Whether what was to be waited for has come.
    reached: bool,
    /// Whether all has been told: the end of the context is not part of the story.
    finished: bool,
    /// What [`Session::finish`] is to say if no other reason comes first.
    answer: Exit,
}

impl<'m, P: Platform<Error: std::fmt::Display>> Session<'m, P> {
    /// A session that has not begun.
    pub fn new(
        system: System<'m, P>,
        output: &'m mut Output,
        names: &'m NamePool,
        plan: Plan,
    ) -> Self {
        let wanted =
            |name: &String| Wanted { name: name.clone(), progress: [Progress::Waiting; 2] };
        let wanted = plan.resolve.iter().map(wanted).collect();
        Self {
            system,
            output,
            companion: None,
            plan,
            wanted,
            hold: None,
            deadline: None,
            retry: None,
            signals: None,
            state: None,
            names,
            live: Live::default(),
            exit: None,
            no_room: None,
            reached: false,
            finished: false,
            answer: Exit::Done,
        }
    }

    /// Lets a companion see all that the session tells.
    pub fn accompany(&mut self, companion: &'m mut dyn Companion<P>) {
        self.companion = Some(companion);
    }

    /// Takes its timers and starts the system.
    pub fn start(&mut self, registrar: &mut Registrar<'_, P>) -> Result<(), NoSlot> {
        self.retry = Some(registrar.add_timer(Owner::Application)?);
        if let Some(deadline) = self.plan.deadline {
            let timer = registrar.add_timer(Owner::Application)?;
            registrar.set_timer(timer, registrar.now() + deadline);
            self.deadline = Some(timer);
        }
        self.beside(registrar, |companion, scene| companion.start(scene)).unwrap_or(Ok(()))?;
        if self.plan.epoch.is_none() {
            self.live.start(registrar, self.output);
        }
        self.system.start(registrar).map_err(|_| NoSlot)?;
        // After the system's: what the session waits for, it asks the running system.
        registrar.add_notifier(Owner::Application).map_err(|_| NoSlot)?;
        self.tell(registrar);
        Ok(())
    }

    /// Ends the session when this descriptor is readable: a signal arrived.
    pub const fn end_on(&mut self, signals: SourceKey) {
        self.signals = Some(signals);
    }

    /// Keeps there what is to be known after a restart.
    pub const fn keep_in(&mut self, state: Option<&'m StateDir>) {
        self.state = state;
    }

    /// Where the session tells.
    pub const fn output(&mut self) -> &mut Output {
        self.output
    }

    /// How it ended, if it has.
    pub const fn exit(&self) -> Option<Exit> {
        self.exit
    }

    /// Stops the system, tells what that brings, and says how it ended.
    pub fn finish(&mut self, registrar: &mut Registrar<'_, P>) -> Exit {
        self.output.clear_live();
        if let Some(companion) = self.companion.as_deref_mut() {
            companion.stopping();
        }
        self.system.stop(registrar);
        self.tell(registrar);
        self.finished = true;
        let _ = self.beside(registrar, |companion, scene| companion.finish(scene));
        match self.exit.unwrap_or(Exit::Done) {
            // Whoever waits for it must not believe it.
            Exit::Done if self.is_awaited() => Exit::Unknown,
            Exit::Done => self.answer,
            exit => exit,
        }
    }

    /// Whether what the session is to end with has not come yet.
    const fn is_awaited(&self) -> bool {
        !self.reached && (self.plan.once || self.plan.until_lease)
    }

    /// A signal tells the session to end.
    fn interrupt(&mut self, registrar: &mut Registrar<'_, P>) {
        if self.is_awaited() {
            let state = registrar.held().map_or(registrar.state(), |(state, _)| state);
            let why = "was not reached: a signal came first".to_owned();
            let hint = "run it again to go on";
            self.problem(registrar.now(), format!("the state {state}"), why, hint);
        }
        self.end(registrar, Exit::Done);
    }

    /// The session's own word on a step.
    fn judge(&mut self, registrar: &mut Registrar<'_, P>, announcement: &Announcement) -> Verdict {
        match (announcement.phase, announcement.to) {
            (Phase::Asked, SystemState::Operational) => {
                self.hold_for_names(registrar, announcement)
            }
            (Phase::Entered, SystemState::Operational) => {
                self.reached = true;
                if let Some(timer) = self.deadline.take() {
                    registrar.remove_timer(timer);
                }
                if self.plan.once {
                    self.end(registrar, Exit::Done);
                }
                Verdict::Go
            }
            (Phase::Entered, SystemState::Dhcp) if self.plan.until_lease => {
                self.reached = true;
                self.end(registrar, Exit::Done);
                Verdict::Go
            }
            _ => Verdict::Go,
        }
    }

    /// Ends the session; the first reason counts.
    pub fn end(&mut self, registrar: &mut Registrar<'_, P>, exit: Exit) {
        self.exit.get_or_insert(exit);
        registrar.stop();
    }

    /// Tells an event at the time that it is now.
    pub fn emit(&mut self, now: Instant, event: &Event) {
        match self.plan.epoch {
            Some(epoch) => self.output.emit_at(now.since(epoch).as_micros(), event),
            None => self.output.emit(event),
        }
    }

    fn problem(&mut self, now: Instant, what: String, why: String, hint: &str) {
        self.emit(now, &Event::Error(Problem { what, why, hint: hint.into() }));
    }

    /// Calls the companion, if there is one.
    fn beside<R>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        call: impl FnOnce(&mut dyn Companion<P>, &mut Scene<'_, '_, 'm, P>) -> R,
    ) -> Option<R> {
        let Self { companion, system, output, .. } = self;
        let companion = companion.as_deref_mut()?;
        Some(call(companion, &mut Scene { registrar, system, output }))
    }

    /// Tells what the system has to say.
    fn tell(&mut self, registrar: &mut Registrar<'_, P>) {
        if self.finished {
            return;
        }
        while let Some(event) = self.system.next_event() {
            let _ = self.beside(registrar, |companion, scene| companion.hear(scene, &event));
            self.tell_one(registrar, event);
        }
        while let Some(failed) = self.state.and_then(StateDir::next_failure) {
            tell_failure(self.output, &failed);
        }
        if let Some(Some(exit)) = self.beside(registrar, |companion, scene| companion.settle(scene))
        {
            self.end(registrar, exit);
        }
        let servers = self.companion.as_deref_mut().and_then(Companion::new_servers);
        if let Some(servers) = servers {
            self.set_servers(registrar, &servers);
            return self.tell(registrar);
        }
        if self.output.is_closed() {
            // Nobody listens. What was put on the interfaces is taken off, as at any end.
            self.end(registrar, Exit::Done);
        }
    }

    fn set_servers(&mut self, registrar: &mut Registrar<'_, P>, servers: &OperatorServers) {
        let mut names = Vec::new();
        for (name, port) in &servers.ntp_names {
            match self.names.keep(name) {
                Some(name) => names.push(NtpName { name, port: *port }),
                None => {
                    let (why, hint) = ("is one name too many since the start", "start it anew");
                    self.problem(registrar.now(), name.clone(), why.into(), hint);
                }
            }
        }
        self.system.set_servers(registrar, &servers.dns, &servers.ntp, &names);
    }

    /// Whom this waits for, for the line on a terminal; `None` if for nobody.
    fn waiting(&self, registrar: &Registrar<'_, P>) -> Option<String> {
        let (state, key) = registrar.held()?;
        let holder = key.holder;
        let details: Vec<String> = match holder {
            "dhcp" | "link" => {
                let told = |i: &bringup_system::Interface<'_, P>| {
                    let carrier = i.link().carrier;
                    let what = if carrier { i.dhcp().state().name() } else { "no carrier" };
                    format!("{} {what}", i.name())
                };
                self.system.interfaces().map(told).collect()
            }
            "ntp" if self.system.ntp_servers().is_empty() => vec!["no NTP server is known".into()],
            "ntp" => {
                let servers = self.system.ntp_servers().iter();
                servers.map(|fact| lookup::server_text(fact.address)).collect()
            }
            _ => Vec::new(),
        };
        let details = details.join(", ");
        let between = if details.is_empty() { "" } else { ": " };
        Some(format!("{} waits for {holder}{between}{details}", state.name()))
    }

    fn show_live(&mut self, registrar: &mut Registrar<'_, P>) {
        match self.waiting(registrar) {
            Some(waiting) => self.live.show(registrar, self.output, &waiting),
            None => Live::rest(self.output),
        }
    }

    fn name(&self, interface: InterfaceId) -> String {
        self.system.interface(interface).map_or_else(String::new, |i| i.name().to_owned())
    }
}

/// Tells what could not be kept or read.
pub fn tell_failure(output: &mut Output, failed: &StateError) {
    let StateError { path, error } = failed;
    let hint = "check the directory of --state-dir; all else goes on without it";
    output.problem(path.display().to_string(), error.to_string(), hint);
}

impl<P: Platform<Error: std::fmt::Display>> Application<P> for Session<'_, P> {
    fn notify(&mut self, registrar: &mut Registrar<'_, P>, said: &Announcement) -> Verdict {
        match said.owner() {
            Owner::System => {
                let verdict = self.system.notify(registrar, said);
                self.tell(registrar);
                verdict
            }
            Owner::Application => self.judge(registrar, said),
        }
    }

    fn dispatch(&mut self, registrar: &mut Registrar<'_, P>, ready: Ready) {
        match ready {
            ready if ready.owner() == Owner::System => {
                self.system.handle(registrar, ready);
                self.tell(registrar);
            }
            Ready::Timer { key, .. } if Some(key) == self.deadline => self.give_up(registrar),
            Ready::Timer { key, .. } if Some(key) == self.retry => self.ask(registrar),
            ready if self.live.is(ready) => self.show_live(registrar),
            Ready::Source { key, .. } if Some(key) == self.signals => self.interrupt(registrar),
            ready => {
                let _ = self.beside(registrar, |companion, scene| companion.take(scene, ready));
                self.tell(registrar);
            }
        }
    }
}
