//! [`Session`]: a bring-up as it is told to somebody. The application on top of the loop, for `up` on
//! a real machine and for `demo`, over real wires or simulated ones.

use bringup_core::event_loop::{Application, Ready, Registrar, SourceKey};
use bringup_core::platform::Platform;
use bringup_core::state::{Announcement, HoldKey, Phase, SystemState, Verdict};
use bringup_core::time::{Duration, Instant, Utc};
use bringup_core::timer::{NoSlot, Owner, TimerKey};
use bringup_dhcp::snapshot::SNAPSHOT_LEN;
use bringup_dns::{Outcome, QueryError, QueryKey, QueryKind, QueryOptions, RecordType};
use bringup_ntp::packet::Leap;
use bringup_system::{InterfaceId, NtpName, Origin, System};

mod trouble;

use super::companion::{Companion, OperatorServers, Scene};
use super::decode::dhcp::OptionFields;
use super::event::{Address, Event, Problem, Servers, Time};
use super::exit::Exit;
use super::live::Live;
use super::lookup;
use super::name_pool::NamePool;
use super::output::Output;
use super::saved_clock::{self, SavedClock};
use super::state_dir::{StateDir, StateError};

/// Where the lease of an interface is in the state directory.
pub fn lease_file(interface: &str) -> String {
    format!("lease.{interface}")
}

/// The wait before a name that could not be resolved is asked for again.
const RETRY: Duration = Duration::from_secs(1);

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

/// A name of [`Plan::resolve`] is asked for with both.
const FAMILIES: [RecordType; 2] = [RecordType::A, RecordType::AAAA];

/// How far one question has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Waiting,
    Asked(QueryKey),
    /// There is no such record.
    No,
    Found,
}

/// A name that is to be resolved, one question per family.
#[derive(Clone, Debug)]
struct Wanted {
    name: String,
    progress: [Progress; 2],
}

impl Wanted {
    /// Whether it is known: one family is enough, and so is a no from both.
    fn is_known(&self) -> bool {
        self.progress.contains(&Progress::Found) || self.progress == [Progress::No; 2]
    }
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

    fn hold_for_names(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        announcement: &Announcement,
    ) -> Verdict {
        self.ask(registrar);
        if self.wanted.iter().all(Wanted::is_known) {
            return Verdict::Go;
        }
        let key = announcement.hold("resolve");
        self.hold = Some(key);
        self.tell_hold(registrar.now(), false);
        Verdict::Hold(key)
    }

    fn tell_hold(&mut self, now: Instant, released: bool) {
        let state = SystemState::Operational.name();
        self.emit(now, &Event::Hold { state, holder: "resolve".into(), released });
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

    /// Asks for the names that are still to be resolved.
    fn ask(&mut self, registrar: &mut Registrar<'_, P>) {
        for at in 0..self.wanted.len() {
            for (family, rtype) in FAMILIES.into_iter().enumerate() {
                let wanted = &self.wanted[at];
                if wanted.progress[family] != Progress::Waiting {
                    continue;
                }
                let (kind, options) = (QueryKind::Type(rtype), QueryOptions::default());
                self.wanted[at].progress[family] =
                    match self.system.query(registrar, &wanted.name, kind, options) {
                        Ok(key) => Progress::Asked(key),
                        Err(QueryError::Full) => {
                            self.ask_later(registrar);
                            Progress::Waiting
                        }
                        // The end has begun: there is nobody left to tell.
                        Err(QueryError::Stopped) => Progress::No,
                        Err(_) => {
                            let what = format!("the name {}", self.wanted[at].name);
                            let why = "is not a name that can be asked for".to_owned();
                            self.answer = Exit::No;
                            self.problem(registrar.now(), what, why, "check its spelling");
                            Progress::No
                        }
                    };
            }
        }
    }

    fn ask_later(&mut self, registrar: &mut Registrar<'_, P>) {
        if let Some(retry) = self.retry {
            registrar.set_timer(retry, registrar.now() + RETRY);
        }
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

    fn tell_one(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        event: bringup_system::Event<P::Error>,
    ) {
        use bringup_system::Event as From;
        let now = registrar.now();
        match event {
            From::State { from, to } => {
                self.emit(now, &Event::State { from: from.name(), to: to.name() });
            }
            From::Hold { gate, released } => {
                if !released {
                    self.live.begin(registrar);
                }
                let (state, holder) = (gate.state().name(), gate.holder().into());
                self.emit(now, &Event::Hold { state, holder, released });
            }
            From::Link { interface, up } => {
                let interface = self.name(interface);
                self.emit(now, &Event::Link { interface, up });
            }
            From::Address { interface, renewed } => {
                self.tell_address(now, interface);
                if !renewed {
                    self.tell_options(now, interface);
                }
            }
            From::AddressLost { interface, address, prefix, .. } => {
                let lost = Address {
                    interface: self.name(interface),
                    address: format!("{address}/{prefix}"),
                    lease_s: None,
                    server: None,
                    lost: true,
                };
                self.emit(now, &Event::Address(lost));
            }
            From::Servers { origin } => self.tell_servers(now, origin),
            From::Dns(event) => self.tell_dns(registrar, event),
            From::Clock { .. } => self.tell_time(registrar),
            From::Adjust { .. } => {}
            From::Leap { leap, at } => {
                let what = match leap {
                    Leap::Insert => "one second more",
                    Leap::Delete => "one second less",
                    Leap::None | Leap::Unsynchronised => "no leap second after all",
                };
                self.output.say(&format!("             leap     {what} before {at}"));
            }
            From::SaveClock { utc } => self.save_clock(registrar, utc),
            From::Snapshot { interface } => self.save_lease(registrar, interface),
            From::LinkLocal { interface, address, lost } => {
                let address = Address {
                    interface: self.name(interface),
                    address: format!("{address}/16"),
                    lease_s: None,
                    server: None,
                    lost,
                };
                self.emit(now, &Event::Address(address));
            }
            From::Discard { protocol, reason, from } => {
                self.emit(now, &Event::Discard { protocol, reason, from });
            }
            other => self.tell_trouble(registrar, other),
        }
    }

    /// Keeps the lease of an interface, or forgets it if there is none.
    fn save_lease(&mut self, registrar: &mut Registrar<'_, P>, id: InterfaceId) {
        let Some(state) = self.state else { return };
        let file = lease_file(&self.name(id));
        let mut buffer = [0; SNAPSHOT_LEN];
        // Any fits into as much.
        match self.system.snapshot(registrar, id, &mut buffer).unwrap_or_default() {
            Some(snapshot) => state.store(&file, snapshot),
            None => state.remove(&file),
        }
    }

    fn name(&self, interface: InterfaceId) -> String {
        self.system.interface(interface).map_or_else(String::new, |i| i.name().to_owned())
    }

    fn tell_address(&mut self, now: Instant, id: InterfaceId) {
        let Some(interface) = self.system.interface(id) else { return };
        let Some(lease) = interface.lease() else { return };
        let lease_s = lease.times().map(|times| {
            let granted = times.expires_at.since(lease.requested_at());
            u32::try_from(granted.as_secs()).unwrap_or(u32::MAX)
        });
        let address = Address {
            interface: interface.name().to_owned(),
            address: format!("{}/{}", lease.address(), lease.prefix_len()),
            lease_s,
            server: Some(lease.server_identifier()),
            lost: false,
        };
        self.emit(now, &Event::Address(address));
    }

    /// Tells the options that somebody asked for by name.
    fn tell_options(&mut self, now: Instant, id: InterfaceId) {
        let Some(interface) = self.system.interface(id) else { return };
        let Some(lease) = interface.lease() else { return };
        let wanted = lease.options().filter(|o| self.plan.show_options.contains(&o.code));
        let wanted: Vec<OptionFields> = wanted.map(OptionFields::of).collect();
        let name = interface.name().to_owned();
        for option in wanted {
            self.emit(now, &Event::Option { interface: name.clone(), option });
        }
    }

    fn tell_servers(&mut self, now: Instant, origin: Origin) {
        let interface = match origin {
            Origin::Lease(place) => self.system.interfaces().nth(usize::from(place)),
            Origin::Configured | Origin::Name(_) => None,
        };
        let list = |list: &bringup_system::ServerList| -> Vec<String> {
            let of_origin = list.iter().filter(|fact| fact.origin == origin);
            of_origin.map(|fact| lookup::server_text(fact.address)).collect()
        };
        let search = interface.and_then(bringup_system::Interface::lease).map(|lease| {
            let mut names: Vec<String> =
                lease.search_names().map(|name| name.to_string()).collect();
            names.extend(
                lease.domain_name().map(|name| name.to_string()).filter(|_| names.is_empty()),
            );
            names
        });
        let servers = Servers {
            interface: interface.map(|interface| interface.name().to_owned()),
            dns: list(self.system.dns_servers()),
            ntp: list(self.system.ntp_servers()),
            search: search.unwrap_or_default(),
            source: match origin {
                Origin::Lease(_) => "dhcp",
                Origin::Configured if self.plan.from_file => "file",
                Origin::Configured => "command line",
                Origin::Name(_) => "dns",
            },
        };
        self.emit(now, &Event::Servers(servers));
    }

    fn tell_time(&mut self, registrar: &mut Registrar<'_, P>) {
        let offset_ns = self.system.clock_offset_ns(registrar);
        let now = registrar.now();
        let time = Time {
            state: self.system.ntp().state().name(),
            offset_us: offset_ns.map(|ns| ns / 1_000),
            error_us: self.system.utc(now).map(|estimate| estimate.error_ns / 1_000),
        };
        self.emit(now, &Event::Time(time));
    }

    fn save_clock(&mut self, registrar: &mut Registrar<'_, P>, utc: Utc) {
        let Some(state) = self.state else { return };
        let saved = SavedClock::new(utc, self.system.clock_offset_ns(registrar));
        state.store(saved_clock::FILE, saved.to_text().as_bytes());
    }

    fn tell_dns(&mut self, registrar: &mut Registrar<'_, P>, event: bringup_dns::Event) {
        let bringup_dns::Event::Done { key, outcome } = event else { return };
        let asked = Progress::Asked(key);
        let place = self.wanted.iter().enumerate().find_map(|(at, wanted)| {
            wanted.progress.iter().position(|p| *p == asked).map(|family| (at, family))
        });
        let Some((at, family)) = place else { return };
        let now = registrar.now();
        let (name, rtype) = (&self.wanted[at].name, FAMILIES[family]);
        for event in lookup::events(self.system.resolver(), key, name, Some(rtype)) {
            self.emit(now, &event);
        }
        self.system.release(registrar, key);
        self.wanted[at].progress[family] = match outcome {
            Outcome::Answer => Progress::Found,
            Outcome::NoData | Outcome::NxDomain => Progress::No,
            Outcome::Failed(_) => {
                self.ask_later(registrar);
                Progress::Waiting
            }
        };
        if self.wanted[at].progress == [Progress::No; 2] {
            self.answer = Exit::No;
        }
        if self.wanted.iter().all(Wanted::is_known) {
            if let Some(key) = self.hold.take() {
                self.tell_hold(now, true);
                registrar.release(key);
            }
        }
    }

    fn give_up(&mut self, registrar: &mut Registrar<'_, P>) {
        let held = registrar.held();
        let state = held.map_or(registrar.state(), |(state, _)| state);
        let why = match held {
            Some((_, key)) => format!("{} has held it back until the deadline", key.holder),
            None => "was not reached within the deadline".to_owned(),
        };
        let hint = match held.map(|(_, key)| key.holder) {
            Some("link") => "check the cable, or whether the other end is up",
            Some("dhcp") => "check that a DHCP server is on this network",
            Some("ntp") if self.system.ntp_servers().is_empty() => {
                "the network offers no NTP server; name one with --ntp"
            }
            Some("ntp") => "check that the NTP servers answer, or name others with --ntp",
            Some("resolve") => "check that the name exists and that the DNS servers answer",
            _ => "try again with a longer --deadline",
        };
        self.problem(registrar.now(), format!("the state {state}"), why, hint);
        self.end(registrar, Exit::Unknown);
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
