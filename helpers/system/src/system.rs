//! [`System`]: the helpers of one context, wired together.
//!
//! An event of one helper becomes an action of another: a carrier starts DHCP, a lease gives servers
//! to the resolver and to the NTP client, with no file between them, and what is known opens the
//! gates of the system states. Nothing waits for a thing that it does not need: with an NTP server by
//! address no name is resolved.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use bringup_core::error::ErrorKind;
use bringup_core::event_loop::{Ready, Registrar, SourceKey};
use bringup_core::platform::{self, Platform, PlatformError};
use bringup_core::poll::Interest;
use bringup_core::state::{Announcement, HoldKey, Phase, SystemState, Verdict};
use bringup_core::time::Instant;
use bringup_core::timer::{Owner, TimerKey};
use bringup_core::wire::Full;
use bringup_dhcp::SnapshotError;
use bringup_dns::{QueryError, QueryKey, QueryKind, QueryOptions, Resolver, ResolverStorage};
use bringup_ntp::plausible::Reference;
use bringup_ntp::{NtpClient, UtcEstimate};

use crate::driven::{Buffers, Driven};
use crate::event::{Action, Event, Gate, InterfaceId};
use crate::interface::Interface;
use crate::parts;
use crate::ring::Ring;
use crate::servers::{Origin, ServerList};
use crate::sources;
use crate::time_names::{DrivenResolver, MAX_NAMES, NtpName, TimeNames};
use crate::wiring::WATCH_RETRY;

/// The largest number of sockets that an NTP client names.
const NTP_SOCKETS: usize = 16;

/// How the system is to behave.
#[derive(Clone, Copy, Debug)]
pub struct Config<'m> {
    /// Put leases on the interfaces. Without it the machine is not changed, only asked about.
    pub apply: bool,
    /// Leave on the interfaces what was put there when the system stops.
    pub keep: bool,
    /// Give leases back to their servers when the system stops, unless they are to be kept. RFC 2131
    /// §4.4.6.
    pub release: bool,
    /// Hand the NTP client's adjustments to the platform, which may still refuse.
    pub set_clock: bool,
    /// Hold TIME_VALID until UTC is known.
    pub wait_for_time: bool,
    /// Tell what was received and ignored, too.
    pub tell_discards: bool,
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
            release: false,
            set_clock: false,
            wait_for_time: true,
            tell_discards: false,
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

impl<E: fmt::Display> fmt::Display for AddInterfaceError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform(error) => error.fmt(f),
            Self::NotEthernet => f.pad("the interface is not Ethernet"),
            Self::Full => f.pad("the system has no room for one more interface"),
            Self::NoTimer => f.pad("the loop has no timer left"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for AddInterfaceError<E> {}

/// The loop's memory is too small for the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartError;

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("the loop has too little memory for the system")
    }
}

impl core::error::Error for StartError {}

/// The helpers of one context. A field of the application; `P` is the platform.
pub struct System<'m, P: Platform> {
    pub(crate) config: Config<'m>,
    pub(crate) interfaces: &'m mut [Option<Interface<'m, P>>],
    pub(crate) resolver: DrivenResolver<'m, P>,
    pub(crate) ntp: Driven<NtpClient, P, NTP_SOCKETS>,
    pub(crate) names: TimeNames<'m>,
    pub(crate) watch: Option<(SourceKey, P::Handle)>,
    pub(crate) dns_servers: ServerList,
    pub(crate) ntp_list: ServerList,
    pub(crate) ntp_running: bool,
    pub(crate) hold: Option<(Gate, HoldKey)>,
    /// Comes back at once when a turn's rounds were not enough.
    pub(crate) again: Option<TimerKey>,
    /// Opens a watch that failed again.
    pub(crate) watch_timer: Option<TimerKey>,
    pub(crate) buffers: Buffers,
    pub(crate) events: Ring<Event<P::Error>, 32>,
}

impl<'m, P: Platform> System<'m, P> {
    /// A system without interfaces. `interfaces` has a slot for each that may be added; `resolver`
    /// is made by the caller, who chooses its memory.
    pub fn new(
        config: Config<'m>,
        interfaces: &'m mut [Option<Interface<'m, P>>],
        resolver: Resolver<'m>,
    ) -> Self {
        let mut system = Self::with(config, resolver);
        system.equip(interfaces);
        system
    }

    /// A system without memory, fit for a static; [`lend`](Self::lend) makes it whole, where it stands.
    /// For devices whose stack has no room for some 20 KiB that are handed on by value.
    pub const fn vacant(config: Config<'m>) -> Self {
        Self::with(config, Resolver::vacant(config.resolver))
    }

    /// Gives a [vacant](Self::vacant) system its memory. To be called before anything else.
    pub fn lend<const Q: usize, const E: usize, const B: usize, const S: usize>(
        &mut self,
        interfaces: &'m mut [Option<Interface<'m, P>>],
        storage: &'m mut ResolverStorage<Q, E, B, S>,
    ) {
        self.resolver.client_mut().lend(storage);
        self.equip(interfaces);
    }

    fn equip(&mut self, interfaces: &'m mut [Option<Interface<'m, P>>]) {
        let Config { dns, ntp, ntp_names, wait_for_time, .. } = self.config;
        self.interfaces = interfaces;
        // A system that does not wait for the time takes it as it is.
        self.resolver.client_mut().set_time_valid(!wait_for_time);
        self.names = TimeNames::new(ntp_names);
        self.dns_servers = ServerList::configured(dns);
        self.ntp_list = ServerList::configured(ntp);
    }

    const fn with(config: Config<'m>, resolver: Resolver<'m>) -> Self {
        Self {
            names: TimeNames::NONE,
            ntp: Driven::new(NtpClient::new(config.ntp_client), Owner::System),
            resolver: Driven::new(resolver, Owner::System),
            config,
            interfaces: &mut [],
            watch: None,
            dns_servers: ServerList::empty(),
            ntp_list: ServerList::empty(),
            ntp_running: false,
            hold: None,
            again: None,
            watch_timer: None,
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
        // Where it stays: it is large.
        let interface = slot.insert(Interface::new(name, link, dhcp(&link), storage, metric));
        if interface.register(registrar).is_err() {
            *slot = None;
            return Err(AddInterfaceError::NoTimer);
        }
        Ok(InterfaceId(index))
    }

    /// Gives an interface what [`snapshot`](Self::snapshot) said before the restart: its lease is asked
    /// for first, with all that came with it, and used at once if the router of that time answers. To
    /// be called before [`start`](Self::start). Bytes that are not of this interface, or not whole,
    /// change nothing.
    pub fn restore(&mut self, id: InterfaceId, snapshot: &'m [u8]) -> Result<(), SnapshotError> {
        match self.interfaces.get_mut(id.index()) {
            Some(Some(interface)) => interface.restore(snapshot),
            _ => Err(SnapshotError::Foreign),
        }
    }

    /// What is worth keeping of an interface over a restart, at most
    /// [`SNAPSHOT_LEN`](bringup_dhcp::snapshot::SNAPSHOT_LEN) octets; `None` if that is nothing. To be
    /// asked for after [`Event::Snapshot`].
    pub fn snapshot<'b>(
        &self,
        registrar: &mut Registrar<'_, P>,
        id: InterfaceId,
        buffer: &'b mut [u8],
    ) -> Result<Option<&'b [u8]>, Full> {
        self.interface(id).map_or(Ok(None), |interface| interface.snapshot(registrar, buffer))
    }

    /// Leaves an interface its own `address`, which is on it already, and only asks what belongs to
    /// it (INFORM, RFC 2131 §4.4.3). To be called before [`start`](Self::start).
    pub fn inform_only(&mut self, id: InterfaceId, address: Ipv4Addr) {
        if let Some(Some(interface)) = self.interfaces.get_mut(id.index()) {
            interface.inform_only(address);
        }
    }

    /// Begins: watches the links, starts what can be started. The climb to OPERATIONAL is asked for;
    /// [`notify`](Self::notify) holds it where something is missing.
    pub fn start(&mut self, registrar: &mut Registrar<'_, P>) -> Result<(), StartError> {
        registrar.add_notifier(Owner::System).map_err(|_| StartError)?;
        self.resolver.register(registrar).map_err(|_| StartError)?;
        self.ntp.register(registrar).map_err(|_| StartError)?;
        self.names.register(registrar).map_err(|_| StartError)?;
        self.again = Some(registrar.add_timer(Owner::System).map_err(|_| StartError)?);
        self.watch_timer = Some(registrar.add_timer(Owner::System).map_err(|_| StartError)?);
        if self.interfaces.iter().any(Option::is_some) {
            match self.watch(registrar) {
                Err(None) => return Err(StartError),
                Err(Some(error)) if error.kind() != ErrorKind::Unsupported => {
                    let action = Action::Watch;
                    self.events.push(Event::Failed { interface: None, action, error });
                }
                _ => {}
            }
        }
        for index in 0..self.interfaces.len() {
            let Some(interface) = self.interfaces.get_mut(index).and_then(Option::as_mut) else {
                continue;
            };
            // What came between the first look and the watch was told to nobody.
            let seen = registrar.platform().interface(interface.name());
            let mut link = seen.unwrap_or(*interface.link());
            if !link.up && self.config.apply {
                if let Err(error) = interface.set_up(registrar, link.index) {
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
        if !self.config.dns.is_empty() || !self.config.ntp.is_empty() {
            self.events.push(Event::Servers { origin: Origin::Configured });
        }
        if !parts::EXTRAS {
            self.names_fail(self.config.ntp_names);
        }
        self.servers_changed(registrar);
        self.settle(registrar);
        // Refused only when the context is being destroyed.
        let _ = registrar.advance(SystemState::Operational);
        Ok(())
    }

    /// Opens the watch; without an error of the platform the loop has no slot for it.
    fn watch(&mut self, registrar: &mut Registrar<'_, P>) -> Result<(), Option<P::Error>> {
        let handle = registrar.platform().watch_open().map_err(Some)?;
        match registrar.add_source(Owner::System, handle, Interest::READ) {
            Ok(key) => self.watch = Some((key, handle)),
            Err(_) => {
                registrar.platform().close(handle);
                return Err(None);
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
                Ready::Timer { key, .. } if self.watch_timer == Some(key) => {
                    // That it failed has been told.
                    if self.watch(registrar).is_err() {
                        registrar.set_timer(key, registrar.now() + WATCH_RETRY);
                    }
                    self.look_again(registrar);
                }
                _ => {}
            }
        }
        self.settle(registrar);
    }

    /// The system's word on a step of the state machine; the application passes on what its
    /// [`notify`](bringup_core::event_loop::Application::notify) is told for the system.
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
    /// socket. Queries that run end as [`Failure::Stopped`](bringup_dns::Failure::Stopped); a further one
    /// is refused. Nothing comes after that.
    pub fn stop(&mut self, registrar: &mut Registrar<'_, P>) {
        if self.config.apply && !self.config.keep {
            for index in 0..self.interfaces.len() {
                if self.config.release {
                    self.release_lease(registrar, index);
                }
                self.withdraw_and_tell(registrar, index);
                self.set_down(registrar, index);
                if let Some(Some(interface)) = self.interfaces.get_mut(index) {
                    interface.give_up();
                }
            }
            // Who asks afterwards is not told of servers that nobody can reach.
            self.take_servers(registrar, None);
        }
        for index in 0..self.interfaces.len() {
            if let Some(interface) = self.interfaces.get_mut(index).and_then(Option::as_mut) {
                interface.close(registrar);
            }
        }
        self.names.close(registrar);
        self.stop_resolver(registrar);
        self.ntp.close(registrar);
        for timer in [self.again.take(), self.watch_timer.take()].into_iter().flatten() {
            registrar.remove_timer(timer);
        }
        if let Some((key, handle)) = self.watch.take() {
            registrar.remove_source(key);
            registrar.platform().close(handle);
        }
    }

    /// Replaces the operator's servers, while all else goes on: leases, queries, the clock. Those that
    /// leases name stay. Of the names the first four are looked at.
    pub fn set_servers(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        dns: &[SocketAddr],
        ntp: &[SocketAddr],
        names: &[NtpName<'m>],
    ) {
        let lists = (ServerList::configured(dns), ServerList::configured(ntp));
        if !parts::EXTRAS {
            self.names_fail(names);
        } else if self.names.replace(registrar, &mut self.resolver, &mut self.buffers, names) {
            self.ntp_list = self.ntp_list.only(|origin| !matches!(origin, Origin::Name(_)));
        }
        if self.list_servers(lists) {
            self.events.push(Event::Servers { origin: Origin::Configured });
        }
        self.servers_changed(registrar);
        self.settle(registrar);
    }

    /// Nobody resolves these names of NTP servers.
    fn names_fail(&mut self, names: &[NtpName<'_>]) {
        for (index, _) in (0..).zip(names).take(MAX_NAMES) {
            self.events.push(Event::NtpNameFailed { index });
        }
    }

    /// The name of an NTP server of the operator, by its place in the order of naming: see
    /// [`Origin::Name`].
    pub fn ntp_name(&self, place: u8) -> Option<NtpName<'m>> {
        self.names.get(place)
    }

    /// Asks the resolver for a name; the end comes as [`Event::Dns`]. After [`stop`](Self::stop) it is
    /// refused.
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

    fn stop_resolver(&mut self, registrar: &mut Registrar<'_, P>) {
        self.resolver.call(registrar, &mut self.buffers, Resolver::stop);
        // What finds no room here is counted as lost; the results can still be looked at.
        while let Some(event) = self.resolver.next_event() {
            self.events.push(Event::Dns(event));
        }
        self.resolver.close(registrar);
    }

    /// The addresses that a query found, in the order in which they are to be tried: sorted by RFC 6724
    /// §6 with the source addresses that the platform names, the families taking turns (RFC 8305
    /// §4). As many as `buffer` has room for, none while the query runs.
    ///
    /// To be called when the addresses are wanted, and again after an update: the order follows this
    /// host's addresses and routes, and is never kept.
    pub fn addresses<'b>(
        &self,
        registrar: &mut Registrar<'_, P>,
        key: QueryKey,
        buffer: &'b mut [IpAddr],
    ) -> &'b mut [IpAddr] {
        match self.resolver.client().result(key) {
            Some(answer) => sources::ordered(registrar.platform(), answer, buffer),
            None => &mut [],
        }
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

    /// Reads another idea of the time (an RTC, the date of an HTTPS server): NTP servers that tell
    /// another one are not believed from now on.
    pub fn constrain_time(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        reference: &mut dyn Reference,
    ) {
        let buffers = &mut self.buffers;
        self.ntp.call(registrar, buffers, |ntp, cx| ntp.constrain(cx, reference));
    }

    /// What must be added to the machine's clock, nanoseconds; `None` while UTC is not known.
    pub fn clock_offset_ns(&self, registrar: &mut Registrar<'_, P>) -> Option<i64> {
        let platform = registrar.platform();
        let (now, utc) = (platform.now(), platform.utc());
        self.utc(now).map(|estimate| estimate.utc.nanos_since(utc))
    }

    /// What is known of an NTP server, by its place in [`NtpClient::servers`].
    pub fn ntp_report(
        &self,
        registrar: &mut Registrar<'_, P>,
        server: u8,
    ) -> Option<bringup_ntp::Report> {
        self.ntp.client().report(&crate::stage::cx(registrar), server)
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
}
