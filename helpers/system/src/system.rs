//! [`System`]: the helpers of one context, wired together.
//!
//! An event of one helper becomes an action of another: a carrier starts DHCP, a lease gives servers
//! to the resolver and to the NTP client, with no file between them, and what is known opens the
//! gates of the system states. Nothing waits for a thing that it does not need: with an NTP server by
//! address no name is resolved.

use core::net::SocketAddr;

use bringup_core::event_loop::{Ready, Registrar, SourceKey};
use bringup_core::platform::{self, InterfaceChange, Platform, PlatformError};
use bringup_core::poll::Interest;
use bringup_core::state::{Announcement, HoldKey, Phase, States, SystemState, Verdict};
use bringup_core::time::Instant;
use bringup_core::timer::{Owner, TimerKey};
use bringup_dns::{QueryError, QueryKey, QueryKind, QueryOptions, Resolver, ServerAddress};
use bringup_ntp::{ClockState, NtpClient, UtcEstimate};

use crate::driven::{Buffers, Driven};
use crate::event::{Action, Event, Gate, InterfaceId};
use crate::interface::Interface;
use crate::ring::Ring;
use crate::servers::{Origin, ServerList, ntp_servers};
use crate::time_names::{DrivenResolver, NtpName, TimeNames};

/// The largest number of sockets that an NTP client names.
const NTP_SOCKETS: usize = 16;

/// How often a turn goes round while one helper's event concerns another.
const MAX_ROUNDS: usize = 8;

/// How many changes of interfaces one readiness takes.
const MAX_CHANGES: usize = 64;

/// How the system is to behave.
#[derive(Clone, Copy, Debug)]
pub struct Config<'m> {
    /// Put leases on the interfaces. Without it the machine is not changed, only asked about.
    pub apply: bool,
    /// Leave on the interfaces what was put there when the system stops.
    pub keep: bool,
    /// Hand the NTP client's adjustments to the platform, which may still refuse.
    pub set_clock: bool,
    /// Hold TIME_VALID until UTC is known.
    pub wait_for_time: bool,
    /// The metric of the first interface's routes; each further one has 100 more.
    pub metric: u32,
    /// DNS servers of the operator; they come before those of leases.
    pub dns: &'m [SocketAddr],
    /// NTP servers of the operator, by address.
    pub ntp: &'m [SocketAddr],
    /// NTP servers of the operator, by name.
    pub ntp_names: &'m [NtpName<'m>],
    /// The resolver's own.
    pub resolver: bringup_dns::Config,
    /// The NTP client's own.
    pub ntp_client: bringup_ntp::Config,
}

impl Config<'_> {
    /// The defaults: everything on, no servers but those that the network offers, and the clock left
    /// alone.
    pub const fn new(ntp_client: bringup_ntp::Config) -> Self {
        Self {
            apply: true,
            keep: false,
            set_clock: false,
            wait_for_time: true,
            metric: 100,
            dns: &[],
            ntp: &[],
            ntp_names: &[],
            resolver: bringup_dns::Config::DEFAULT,
            ntp_client,
        }
    }
}

/// Why an interface was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddInterfaceError<E> {
    /// The platform does not know it.
    Platform(E),
    /// DHCP runs on Ethernet, which this is not.
    NotEthernet,
    /// All slots that the system was lent are taken.
    Full,
    /// The loop has no timer left.
    NoTimer,
}

/// The loop's memory is too small for the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartError;

/// The helpers of one context. A field of the application; `P` is the platform.
pub struct System<'m, P: Platform> {
    config: Config<'m>,
    interfaces: &'m mut [Option<Interface<'m, P>>],
    resolver: DrivenResolver<'m, P>,
    ntp: Driven<NtpClient, P, NTP_SOCKETS>,
    names: TimeNames<'m>,
    watch: Option<(SourceKey, P::Handle)>,
    dns_servers: ServerList,
    ntp_list: ServerList,
    ntp_running: bool,
    hold: Option<(Gate, HoldKey)>,
    /// Comes back at once when a turn's rounds were not enough.
    again: Option<TimerKey>,
    buffers: Buffers,
    events: Ring<Event<P::Error>, 32>,
}

impl<'m, P: Platform> System<'m, P> {
    /// A system without interfaces. `interfaces` has a slot for each that may be added; `resolver`
    /// is made by the caller, who chooses its memory.
    pub fn new(
        config: Config<'m>,
        interfaces: &'m mut [Option<Interface<'m, P>>],
        resolver: Resolver<'m>,
    ) -> Self {
        let mut dns_servers = ServerList::EMPTY;
        let mut ntp_list = ServerList::EMPTY;
        for address in config.dns {
            dns_servers.push(*address, Origin::Configured);
        }
        for address in config.ntp {
            ntp_list.push(*address, Origin::Configured);
        }
        Self {
            names: TimeNames::new(config.ntp_names),
            ntp: Driven::new(NtpClient::new(config.ntp_client), Owner::System),
            resolver: Driven::new(resolver, Owner::System),
            config,
            interfaces,
            watch: None,
            dns_servers,
            ntp_list,
            ntp_running: false,
            hold: None,
            again: None,
            buffers: Buffers::new(),
            events: Ring::new(),
        }
    }

    /// Adds an interface by its name. `dhcp` makes the client's configuration from what the platform
    /// says of the interface; `storage` is the client's memory
    /// ([`STORAGE_LEN`](bringup_dhcp::lease::STORAGE_LEN) octets).
    pub fn add_interface(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        name: &'m str,
        dhcp: impl FnOnce(&platform::Interface) -> bringup_dhcp::Config<'m>,
        storage: &'m mut [u8],
    ) -> Result<InterfaceId, AddInterfaceError<P::Error>> {
        let link = registrar.platform().interface(name).map_err(AddInterfaceError::Platform)?;
        if !link.ethernet {
            return Err(AddInterfaceError::NotEthernet);
        }
        let free = self.interfaces.iter_mut().zip(0_u8..).find(|(slot, _)| slot.is_none());
        let (slot, index) = free.ok_or(AddInterfaceError::Full)?;
        let metric = self.config.metric.saturating_add(100 * u32::from(index));
        let mut interface = Interface::new(name, link, dhcp(&link), storage, metric);
        interface.register(registrar).map_err(|_| AddInterfaceError::NoTimer)?;
        *slot = Some(interface);
        Ok(InterfaceId(index))
    }

    /// Begins: watches the links, starts what can be started. The climb to OPERATIONAL is asked for;
    /// [`notify`](Self::notify) holds it where something is missing.
    pub fn start(&mut self, registrar: &mut Registrar<'_, P>) -> Result<(), StartError> {
        self.resolver.register(registrar).map_err(|_| StartError)?;
        self.ntp.register(registrar).map_err(|_| StartError)?;
        self.names.register(registrar).map_err(|_| StartError)?;
        self.again = Some(registrar.add_timer(Owner::System).map_err(|_| StartError)?);
        if self.interfaces.iter().any(Option::is_some) {
            self.watch(registrar)?;
        }
        for index in 0..self.interfaces.len() {
            let Some(interface) = self.interfaces.get_mut(index).and_then(Option::as_mut) else {
                continue;
            };
            let mut link = *interface.link();
            if !link.up && self.config.apply {
                let up = registrar.platform().interface_up(link.index);
                if let Err(error) = up {
                    self.failed(index, Action::InterfaceUp, error);
                }
            }
            if self.watch.is_none() {
                // Nobody will say when the carrier comes: it is taken to be there.
                link.up = true;
                link.carrier = true;
            }
            self.set_link(registrar, index, link);
        }
        self.servers_changed(registrar);
        self.settle(registrar);
        // Refused only when the context is being destroyed.
        let _ = registrar.advance(SystemState::Operational);
        Ok(())
    }

    fn watch(&mut self, registrar: &mut Registrar<'_, P>) -> Result<(), StartError> {
        match registrar.platform().watch_open() {
            Ok(handle) => {
                let key = registrar.add_source(Owner::System, handle, Interest::READ);
                self.watch = Some((key.map_err(|_| StartError)?, handle));
            }
            Err(error) if error.kind() == bringup_core::error::ErrorKind::Unsupported => {}
            Err(error) => {
                let action = Action::Watch;
                self.events.push(Event::Failed { interface: None, action, error });
            }
        }
        Ok(())
    }

    /// Takes what the loop found ready for the system.
    pub fn handle(&mut self, registrar: &mut Registrar<'_, P>, ready: Ready) {
        let taken = self
            .interfaces
            .iter_mut()
            .flatten()
            .any(|interface| interface.handle(registrar, &mut self.buffers, &ready))
            || self.resolver.handle(registrar, &mut self.buffers, &ready)
            || self.ntp.handle(registrar, &mut self.buffers, &ready);
        if !taken {
            match ready {
                Ready::Source { key, .. } if self.watch.is_some_and(|(w, _)| w == key) => {
                    self.take_changes(registrar);
                }
                Ready::Timer { key, .. } if self.names.is_timer(key) && self.can_ask_names() => {
                    self.names.ask(registrar, &mut self.resolver, &mut self.buffers);
                }
                _ => {}
            }
        }
        self.settle(registrar);
    }

    /// The system's word on a step of the state machine. The application's notifier passes it on.
    pub fn notify(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        announcement: &Announcement,
    ) -> Verdict {
        let Announcement { from, to, phase, .. } = *announcement;
        if phase == Phase::Entered {
            self.events.push(Event::State { from, to });
            return Verdict::Go;
        }
        // What held before does not any more: a step is asked about anew.
        self.hold = None;
        let gate = [Gate::Link, Gate::Address, Gate::Time].into_iter().find(|g| g.state() == to);
        match gate {
            Some(gate) if !self.is_open(registrar.now(), gate) => {
                let key = announcement.hold(gate.holder());
                self.hold = Some((gate, key));
                self.events.push(Event::Hold { gate, released: false });
                Verdict::Hold(key)
            }
            _ => Verdict::Go,
        }
    }

    /// What the application is to hear.
    pub fn next_event(&mut self) -> Option<Event<P::Error>> {
        self.events.pop()
    }

    /// How many events were lost because nobody took them.
    pub const fn events_lost(&self) -> u32 {
        self.events.lost()
    }

    /// Stops: takes off the interfaces what was put on, unless it is to be kept, and closes every
    /// socket. Nothing comes after that.
    pub fn stop(&mut self, registrar: &mut Registrar<'_, P>) {
        for index in 0..self.interfaces.len() {
            if self.config.apply && !self.config.keep {
                self.withdraw(registrar, index);
            }
            if let Some(interface) = self.interfaces.get_mut(index).and_then(Option::as_mut) {
                interface.close(registrar);
            }
        }
        self.resolver.close(registrar);
        self.ntp.close(registrar);
        if let Some((key, handle)) = self.watch.take() {
            registrar.remove_source(key);
            registrar.platform().close(handle);
        }
    }

    /// Asks the resolver for a name; the end comes as [`Event::Dns`].
    pub fn query(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        name: &str,
        kind: QueryKind,
        options: QueryOptions,
    ) -> Result<QueryKey, QueryError> {
        let key = self.resolver.call(registrar, &mut self.buffers, |resolver, cx| {
            resolver.query(cx, name, kind, options)
        });
        self.settle(registrar);
        key
    }

    /// Gives a query's result back, or cancels it.
    pub fn release(&mut self, registrar: &mut Registrar<'_, P>, key: QueryKey) {
        let buffers = &mut self.buffers;
        self.resolver.call(registrar, buffers, |resolver, cx| resolver.release(cx, key));
        self.settle(registrar);
    }

    /// The resolver, to be looked at.
    pub const fn resolver(&self) -> &Resolver<'m> {
        self.resolver.client()
    }

    /// The NTP client, to be looked at.
    pub const fn ntp(&self) -> &NtpClient {
        self.ntp.client()
    }

    /// UTC with its error bound, whether or not the machine's clock follows it.
    pub fn utc(&self, now: Instant) -> Option<UtcEstimate> {
        self.ntp.client().utc(now)
    }

    /// The interfaces, in the order of naming.
    pub fn interfaces(&self) -> impl Iterator<Item = &Interface<'m, P>> {
        self.interfaces.iter().flatten()
    }

    /// One interface.
    pub fn interface(&self, id: InterfaceId) -> Option<&Interface<'m, P>> {
        self.interfaces.get(id.index()).and_then(Option::as_ref)
    }

    /// The DNS servers in use.
    pub const fn dns_servers(&self) -> &ServerList {
        &self.dns_servers
    }

    /// The NTP servers in use.
    pub const fn ntp_servers(&self) -> &ServerList {
        &self.ntp_list
    }

    /// What the system waits for, if it holds a step.
    pub fn holding(&self) -> Option<Gate> {
        self.hold.map(|(gate, _)| gate)
    }

    fn is_open(&self, now: Instant, gate: Gate) -> bool {
        let mut interfaces = self.interfaces.iter().flatten().peekable();
        match gate {
            // Without interfaces of its own the system takes the network as it is.
            _ if gate != Gate::Time && interfaces.peek().is_none() => true,
            Gate::Link => interfaces.any(|interface| interface.is_up()),
            Gate::Address => interfaces.any(|interface| interface.has_address()),
            Gate::Time => !self.config.wait_for_time || self.utc(now).is_some(),
        }
    }

    fn failed(&mut self, index: usize, action: Action, error: P::Error) {
        let interface = u8::try_from(index).ok().map(InterfaceId);
        self.events.push(Event::Failed { interface, action, error });
    }

    /// Acts on events until there is none: one helper's event may be another's input.
    fn settle(&mut self, registrar: &mut Registrar<'_, P>) {
        for _ in 0..MAX_ROUNDS {
            let mut quiet = true;
            for index in 0..self.interfaces.len() {
                while let Some(event) = self.next_dhcp_event(index) {
                    quiet = false;
                    self.on_dhcp(registrar, index, event);
                }
            }
            while let Some(event) = self.resolver.next_event() {
                quiet = false;
                self.on_dns(registrar, event);
            }
            while let Some(event) = self.ntp.next_event() {
                quiet = false;
                self.on_ntp(registrar, event);
            }
            if quiet {
                return self.open_gates(registrar);
            }
        }
        self.open_gates(registrar);
        if let Some(timer) = self.again {
            registrar.set_timer(timer, registrar.now());
        }
    }

    fn next_dhcp_event(&mut self, index: usize) -> Option<bringup_dhcp::Event> {
        self.interfaces.get_mut(index)?.as_mut()?.next_event()
    }

    /// Lets go of the step that is held if what it waits for is there.
    fn open_gates(&mut self, registrar: &mut Registrar<'_, P>) {
        let Some((gate, key)) = self.hold else { return };
        if self.is_open(registrar.now(), gate) {
            self.hold = None;
            self.events.push(Event::Hold { gate, released: true });
            registrar.release(key);
        }
    }

    /// Goes back below a state whose condition holds no more; the climb begins again by itself.
    fn fall_below(&mut self, registrar: &mut Registrar<'_, P>, gate: Gate, to: SystemState) {
        if gate.state().reached_in(registrar.state()) {
            // Refused only when the context is being destroyed.
            let _ = registrar.jump(to);
        }
    }

    fn take_changes(&mut self, registrar: &mut Registrar<'_, P>) {
        let Some((_, handle)) = self.watch else { return };
        for _ in 0..MAX_CHANGES {
            match registrar.platform().watch_receive(handle) {
                Ok(Some(change)) => self.on_change(registrar, change),
                Ok(None) => return,
                Err(error) => {
                    let action = Action::Watch;
                    self.events.push(Event::Failed { interface: None, action, error });
                    return;
                }
            }
        }
    }

    fn position(&self, number: u32) -> Option<usize> {
        let is = |i: &Interface<'_, P>| i.link().index == number;
        self.interfaces.iter().position(|slot| slot.as_ref().is_some_and(is))
    }

    fn on_change(&mut self, registrar: &mut Registrar<'_, P>, change: InterfaceChange) {
        match change {
            InterfaceChange::Is(link) => {
                if let Some(index) = self.position(link.index) {
                    self.set_link(registrar, index, link);
                }
            }
            InterfaceChange::Gone { index: number } => {
                if let Some(index) = self.position(number) {
                    self.lost_address(registrar, index, None);
                    if let Some(Some(interface)) = self.interfaces.get_mut(index) {
                        interface.vanish(registrar, &mut self.buffers);
                    }
                    let interface = InterfaceId(u8::try_from(index).unwrap_or(u8::MAX));
                    self.events.push(Event::Link { interface, up: false });
                    if !self.is_open(registrar.now(), Gate::Link) {
                        self.fall_below(registrar, Gate::Link, SystemState::CollectingStdin);
                    }
                }
            }
            InterfaceChange::AddressRemoved { index: number, address } => {
                let Some(index) = self.position(number) else { return };
                let Some(Some(interface)) = self.interfaces.get_mut(index) else { return };
                if interface.is_ours(address) {
                    // Somebody took it off by hand while the lease holds: it is put back.
                    self.apply(registrar, index);
                }
            }
            InterfaceChange::Overrun => {
                for index in 0..self.interfaces.len() {
                    let Some(Some(interface)) = self.interfaces.get(index) else { continue };
                    let name = interface.name();
                    if let Ok(link) = registrar.platform().interface(name) {
                        self.set_link(registrar, index, link);
                    }
                }
            }
        }
    }

    fn set_link(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        index: usize,
        link: platform::Interface,
    ) {
        let Some(Some(interface)) = self.interfaces.get_mut(index) else { return };
        if interface.set_link(registrar, &mut self.buffers, link) {
            let up = interface.is_up();
            let interface = InterfaceId(u8::try_from(index).unwrap_or(u8::MAX));
            self.events.push(Event::Link { interface, up });
            if up {
                let buffers = &mut self.buffers;
                self.resolver.call(registrar, buffers, |resolver, _| resolver.link_up());
            }
        }
    }

    fn on_dhcp(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        index: usize,
        event: bringup_dhcp::Event,
    ) {
        let number = u8::try_from(index).unwrap_or(u8::MAX);
        let interface = InterfaceId(number);
        match event {
            bringup_dhcp::Event::Bound => {
                self.apply(registrar, index);
                self.events.push(Event::Address { interface, renewed: false });
                self.take_servers(registrar, number);
            }
            bringup_dhcp::Event::Renewed { changed } => {
                self.apply(registrar, index);
                self.events.push(Event::Address { interface, renewed: true });
                if changed {
                    self.take_servers(registrar, number);
                }
            }
            bringup_dhcp::Event::Lost { why } => self.lost_address(registrar, index, Some(why)),
            bringup_dhcp::Event::Nak { server } => {
                self.events.push(Event::Nak { interface, server });
            }
            bringup_dhcp::Event::NoServer => self.events.push(Event::NoDhcpServer { interface }),
        }
    }

    fn apply(&mut self, registrar: &mut Registrar<'_, P>, index: usize) {
        if !self.config.apply {
            return;
        }
        let Self { interfaces, events, .. } = self;
        let Some(Some(interface)) = interfaces.get_mut(index) else { return };
        let id = u8::try_from(index).ok().map(InterfaceId);
        interface.apply(registrar, |action, error| {
            events.push(Event::Failed { interface: id, action, error });
        });
    }

    fn withdraw(&mut self, registrar: &mut Registrar<'_, P>, index: usize) {
        let Self { interfaces, events, .. } = self;
        let Some(Some(interface)) = interfaces.get_mut(index) else { return };
        let id = u8::try_from(index).ok().map(InterfaceId);
        interface.withdraw(registrar, |action, error| {
            events.push(Event::Failed { interface: id, action, error });
        });
    }

    fn lost_address(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        index: usize,
        why: Option<bringup_dhcp::LostReason>,
    ) {
        let number = u8::try_from(index).unwrap_or(u8::MAX);
        let Some(Some(interface)) = self.interfaces.get(index) else { return };
        let address = interface.applied().address;
        self.withdraw(registrar, index);
        if let Some(config) = address {
            let (address, prefix) = (config.address, config.prefix);
            let interface = InterfaceId(number);
            self.events.push(Event::AddressLost { interface, address, prefix, why });
        }
        self.dns_servers.withdraw(Origin::Lease(number));
        self.ntp_list.withdraw(Origin::Lease(number));
        self.servers_changed(registrar);
        if !self.is_open(registrar.now(), Gate::Address) {
            self.fall_below(registrar, Gate::Address, SystemState::IfaceColdplug);
        }
    }

    /// Takes the servers of a lease in the place of those that it had before.
    fn take_servers(&mut self, registrar: &mut Registrar<'_, P>, number: u8) {
        let before = (self.dns_servers, self.ntp_list);
        let origin = Origin::Lease(number);
        self.dns_servers.withdraw(origin);
        self.ntp_list.withdraw(origin);
        let interface = self.interfaces.get(usize::from(number)).and_then(Option::as_ref);
        if let Some(lease) = interface.and_then(Interface::lease) {
            for address in lease.dns_servers() {
                self.dns_servers.push(SocketAddr::from((address, 53)), origin);
            }
            for address in lease.ntp_servers() {
                self.ntp_list.push(SocketAddr::from((address, 123)), origin);
            }
        }
        if before != (self.dns_servers, self.ntp_list) {
            self.events.push(Event::Servers);
        }
        self.servers_changed(registrar);
    }

    /// Hands the lists to the clients.
    fn servers_changed(&mut self, registrar: &mut Registrar<'_, P>) {
        let mut dns = [None; crate::servers::MAX_SERVERS];
        for (slot, fact) in dns.iter_mut().zip(self.dns_servers.iter()) {
            *slot = Some(ServerAddress::from(fact.address));
        }
        let used = dns.iter().flatten().count();
        let mut list = [ServerAddress::from(SocketAddr::from(([0, 0, 0, 0], 53))); 8];
        for (slot, server) in list.iter_mut().zip(dns.iter().flatten()) {
            *slot = *server;
        }
        let buffers = &mut self.buffers;
        self.resolver.call(registrar, buffers, |resolver, cx| {
            resolver.set_servers(cx, list.get(..used).unwrap_or(&[]));
        });
        if self.can_ask_names() {
            self.names.restart(registrar, &mut self.resolver, &mut self.buffers);
        }
        self.ntp_list_changed(registrar);
    }

    /// Whether there is anybody, and a way, to ask for the names of NTP servers.
    fn can_ask_names(&self) -> bool {
        !self.names.is_empty() && !self.dns_servers.is_empty() && self.has_network()
    }

    fn has_network(&self) -> bool {
        self.is_open(Instant::ZERO, Gate::Address)
    }

    fn ntp_list_changed(&mut self, registrar: &mut Registrar<'_, P>) {
        let run = self.has_network() && !self.ntp_list.is_empty();
        let (servers, count) = ntp_servers(&self.ntp_list);
        let started = core::mem::replace(&mut self.ntp_running, run);
        self.ntp.call(registrar, &mut self.buffers, |ntp, cx| {
            ntp.set_servers(cx, servers.get(..count).unwrap_or(&[]));
            match (started, run) {
                (false, true) => ntp.start(cx),
                (true, false) => ntp.stop(),
                _ => {}
            }
        });
    }

    fn on_dns(&mut self, registrar: &mut Registrar<'_, P>, event: bringup_dns::Event) {
        let Self { names, resolver, buffers, ntp_list, .. } = self;
        match names.answered(registrar, resolver, buffers, event, ntp_list) {
            None => self.events.push(Event::Dns(event)),
            Some(Ok(())) => {
                self.events.push(Event::Servers);
                self.ntp_list_changed(registrar);
            }
            Some(Err(index)) => self.events.push(Event::NtpNameFailed { index }),
        }
    }

    fn on_ntp(&mut self, registrar: &mut Registrar<'_, P>, event: bringup_ntp::Event) {
        match event {
            bringup_ntp::Event::StateChanged { from, to } => {
                self.events.push(Event::Clock { from, to });
                if to == ClockState::Invalid && self.config.wait_for_time {
                    self.fall_below(registrar, Gate::Time, SystemState::CpdPreTime);
                }
            }
            bringup_ntp::Event::Adjust(adjust) => self.adjust(registrar, adjust),
            bringup_ntp::Event::PanicLimit { offset_ns } => {
                self.events.push(Event::PanicLimit { offset_ns });
            }
            bringup_ntp::Event::Exhausted => self.events.push(Event::NoNtpServer),
            bringup_ntp::Event::Sample { .. }
            | bringup_ntp::Event::Rejected { .. }
            | bringup_ntp::Event::SaveClock { .. }
            | bringup_ntp::Event::Report { .. }
            | bringup_ntp::Event::ProbeDone => {}
        }
    }

    fn adjust(&mut self, registrar: &mut Registrar<'_, P>, adjust: bringup_ntp::Adjust) {
        let mut applied = false;
        if self.config.set_clock {
            let how = match adjust {
                bringup_ntp::Adjust::Step { offset_ns } => platform::Adjust::Step { offset_ns },
                bringup_ntp::Adjust::Slew { offset_ns } => platform::Adjust::Slew { offset_ns },
            };
            match registrar.platform().set_clock(how) {
                Ok(()) => {
                    applied = true;
                    let buffers = &mut self.buffers;
                    self.ntp.call(registrar, buffers, |ntp, _| ntp.applied(adjust));
                }
                Err(error) => {
                    let action = Action::SetClock;
                    self.events.push(Event::Failed { interface: None, action, error });
                }
            }
        }
        self.events.push(Event::Adjust { adjust, applied });
    }
}
