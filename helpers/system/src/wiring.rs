//! The wiring of [`System`]: an event of one helper becomes an action of another.

use core::net::SocketAddr;

use bringup_core::error::ErrorKind;
use bringup_core::event_loop::Registrar;
use bringup_core::platform::{self, InterfaceChange, LeapSecond, Platform, PlatformError};
use bringup_core::state::{States, SystemState};
use bringup_core::time::{Duration, Instant};
use bringup_dns::{Resolver, ServerAddress};
use bringup_ntp::packet::Leap;
use bringup_ntp::{ClockState, NtpClient};

use crate::event::{Action, Event, Gate, InterfaceId};
use crate::interface::Interface;
use crate::servers::{MAX_SERVERS, Origin, ServerFact, ServerList, ntp_servers};
use crate::system::System;

/// How often a turn goes round while one helper's event concerns another.
const MAX_ROUNDS: usize = 8;
/// So much of the room for events is left to others than the resolver: it has hundreds of queries, and
/// what it has to say can wait where it is.
const RESERVED: usize = 16;

/// How many changes of interfaces one readiness takes at most. What the kernel told in one piece is
/// announced once, so this is far more than a piece holds.
const MAX_CHANGES: usize = 4_096;

/// The wait before a watch that failed is opened again.
pub(crate) const WATCH_RETRY: Duration = Duration::from_secs(1);

impl<P: Platform> System<'_, P> {
    pub(crate) fn is_open(&self, now: Instant, gate: Gate) -> bool {
        let mut interfaces = self.interfaces.iter().flatten().peekable();
        match gate {
            // Without interfaces of its own the system takes the network as it is.
            _ if gate != Gate::Time && interfaces.peek().is_none() => true,
            Gate::Link => interfaces.any(|interface| interface.is_up()),
            Gate::Address => interfaces.any(|interface| interface.has_address()),
            Gate::Time => !self.config.wait_for_time || self.utc(now).is_some(),
        }
    }

    pub(crate) fn failed(&mut self, index: usize, action: Action, error: P::Error) {
        let interface = u8::try_from(index).ok().map(InterfaceId);
        self.events.push(Event::Failed { interface, action, error });
    }

    /// Acts on events until there is none: one helper's event may be another's input.
    pub(crate) fn settle(&mut self, registrar: &mut Registrar<'_, P>) {
        for _ in 0..MAX_ROUNDS {
            let mut quiet = true;
            for index in 0..self.interfaces.len() {
                while let Some(event) = self.next_dhcp_event(index) {
                    quiet = false;
                    self.on_dhcp(registrar, index, event);
                }
            }
            // They wait with the resolver while the application has others to take.
            while self.events.room() > RESERVED {
                let Some(event) = self.resolver.next_event() else { break };
                quiet = false;
                self.on_dns(registrar, event);
            }
            while let Some(event) = self.ntp.next_event() {
                quiet = false;
                self.on_ntp(registrar, event);
            }
            self.tell_discards();
            self.tell_no_room(registrar.now());
            if quiet && !self.resolver.has_events() {
                if self.repair(registrar) {
                    continue;
                }
                return self.open_gates(registrar);
            }
            if quiet {
                break;
            }
        }
        self.open_gates(registrar);
        if let Some(timer) = self.again {
            registrar.set_timer(timer, registrar.now());
        }
    }

    /// Passes on what was ignored, or forgets it.
    fn tell_discards(&mut self) {
        let Self { interfaces, resolver, ntp, events, config, .. } = self;
        let mut tell = |protocol, reason, from| {
            if config.tell_discards {
                events.push(Event::Discard { protocol, reason, from });
            }
        };
        for interface in interfaces.iter_mut().flatten() {
            while let Some((why, from)) = interface.next_discard() {
                tell("dhcp", why.name(), from);
            }
        }
        while let Some((why, from)) = resolver.next_discard() {
            tell("dns", why.name(), from);
        }
        while let Some((why, from)) = ntp.next_discard() {
            tell("ntp", why.name(), from);
        }
    }

    /// Passes on that there is no room for a socket.
    fn tell_no_room(&mut self, now: Instant) {
        let Self { interfaces, resolver, ntp, events, .. } = self;
        let mut tell = |interface, error: Option<P::Error>| {
            if let Some(error) = error {
                events.push(Event::Failed { interface, action: Action::OpenSocket, error });
            }
        };
        for (slot, number) in interfaces.iter_mut().zip(0..) {
            let error = slot.as_mut().and_then(|interface| interface.next_no_room(now));
            tell(Some(InterfaceId(number)), error);
        }
        tell(None, resolver.next_no_room(now));
        tell(None, ntp.next_no_room(now));
    }

    pub(crate) fn next_dhcp_event(&mut self, index: usize) -> Option<bringup_dhcp::Event> {
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
    pub(crate) fn fall_below(&mut self, registrar: &mut Registrar<'_, P>, to: SystemState) {
        if registrar.state() == to {
            // Somebody else may hold the next step, to which we have said Go.
            registrar.recall();
        } else if to.reached_in(registrar.state()) {
            // Refused only when the context is being destroyed.
            let _ = registrar.jump(to);
        }
    }

    pub(crate) fn take_changes(&mut self, registrar: &mut Registrar<'_, P>) {
        let Some((_, handle)) = self.watch else { return };
        for _ in 0..MAX_CHANGES {
            match registrar.platform().watch_receive(handle) {
                Ok(Some(change)) => self.on_change(registrar, change),
                Ok(None) => return,
                Err(error) => return self.watch_failed(registrar, error),
            }
            // One change's events, before those of the next.
            self.settle(registrar);
        }
    }

    /// The watch is of no use any more, and would be ready for ever: it is opened again, a little
    /// later.
    fn watch_failed(&mut self, registrar: &mut Registrar<'_, P>, error: P::Error) {
        let action = Action::Watch;
        self.events.push(Event::Failed { interface: None, action, error });
        if let Some((key, handle)) = self.watch.take() {
            registrar.remove_source(key);
            registrar.platform().close(handle);
        }
        if let Some(timer) = self.watch_timer {
            registrar.set_timer(timer, registrar.now() + WATCH_RETRY);
        }
    }

    /// What was missed: each interface is looked up again.
    pub(crate) fn look_again(&mut self, registrar: &mut Registrar<'_, P>) {
        for index in 0..self.interfaces.len() {
            let Some(Some(interface)) = self.interfaces.get(index) else { continue };
            let (name, known) = (interface.name(), interface.link().index);
            match registrar.platform().interface(name) {
                Ok(link) => {
                    if link.index != known {
                        self.gone(registrar, index);
                        self.bring_up(registrar, index, link);
                    }
                    self.set_link(registrar, index, link);
                    // Its address may have been taken off meanwhile.
                    self.may_lack(index);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => self.gone(registrar, index),
                Err(_) => {}
            }
            self.settle(registrar);
        }
    }

    fn gone(&mut self, registrar: &mut Registrar<'_, P>, index: usize) {
        let Some(Some(interface)) = self.interfaces.get_mut(index) else { return };
        let address = interface.applied().address;
        interface.vanish(registrar, &mut self.buffers);
        self.forget_address(registrar, index, address, None);
        let interface = InterfaceId(u8::try_from(index).unwrap_or(u8::MAX));
        self.events.push(Event::Link { interface, up: false });
        if !self.is_open(registrar.now(), Gate::Link) {
            self.fall_below(registrar, SystemState::CollectingStdin);
        }
    }

    /// An interface with a number that nobody knew: one of ours that came back.
    fn returned(&self, registrar: &mut Registrar<'_, P>, number: u32) -> Option<usize> {
        self.interfaces.iter().position(|slot| {
            slot.as_ref().is_some_and(|interface| {
                let there = interface.is_gone().then(|| interface.name());
                let there = there.and_then(|name| registrar.platform().interface(name).ok());
                there.is_some_and(|link| link.index == number)
            })
        })
    }

    fn position(&self, number: u32) -> Option<usize> {
        let is = |i: &Interface<'_, P>| i.link().index == number;
        self.interfaces.iter().position(|slot| slot.as_ref().is_some_and(is))
    }

    fn on_change(&mut self, registrar: &mut Registrar<'_, P>, change: InterfaceChange) {
        match change {
            InterfaceChange::Is(link) => {
                let known = self.position(link.index);
                if let Some(index) = known.or_else(|| self.returned(registrar, link.index)) {
                    self.bring_up(registrar, index, link);
                    self.set_link(registrar, index, link);
                }
            }
            InterfaceChange::Gone { index: number } => {
                if let Some(index) = self.position(number) {
                    self.gone(registrar, index);
                }
            }
            InterfaceChange::AddressRemoved { index: number, address } => {
                let Some(index) = self.position(number) else { return };
                let Some(Some(interface)) = self.interfaces.get(index) else { return };
                if interface.is_ours(address) {
                    // Somebody took it off by hand while the lease holds: it is put back.
                    self.may_lack(index);
                }
            }
            InterfaceChange::RouteRemoved { index: number } => {
                if let Some(index) = self.position(number) {
                    self.may_lack(index);
                }
            }
            InterfaceChange::Resumed => self.resumed(registrar),
            InterfaceChange::Overrun => self.look_again(registrar),
        }
    }

    /// The machine was asleep: every network may be another one.
    fn resumed(&mut self, registrar: &mut Registrar<'_, P>) {
        let Self { interfaces, buffers, .. } = self;
        for interface in interfaces.iter_mut().flatten() {
            interface.link_is_new(registrar, buffers);
        }
        self.way_changed(registrar);
    }

    /// A link has come up, this host has another address, or it was asleep: resolver and NTP client
    /// begin anew, the latter not twice within a minute.
    pub(crate) fn way_changed(&mut self, registrar: &mut Registrar<'_, P>) {
        self.resolver.call(registrar, &mut self.buffers, Resolver::link_up);
        if self.ntp_running {
            self.ntp.call(registrar, &mut self.buffers, NtpClient::start);
        }
    }

    /// An interface that came back is down; one that somebody set down stays so.
    fn bring_up(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        index: usize,
        link: platform::Interface,
    ) {
        let Some(Some(interface)) = self.interfaces.get_mut(index) else { return };
        if interface.link().index != link.index && !link.up && self.config.apply {
            if let Err(error) = interface.set_up(registrar, link.index) {
                self.failed(index, Action::InterfaceUp, error);
            }
        }
    }

    pub(crate) fn set_link(
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
                self.way_changed(registrar);
            }
        }
    }

    /// Makes the lists anew. `of` is the interface whose lease is to be told of if that changed anything.
    pub(crate) fn take_servers(&mut self, registrar: &mut Registrar<'_, P>, of: Option<u8>) {
        let configured = |list: ServerList| list.only(|origin| origin == Origin::Configured);
        let lists = (configured(self.dns_servers), configured(self.ntp_list));
        let changed = self.list_servers(lists);
        if let Some(number) = of.filter(|_| changed) {
            self.events.push(Event::Servers { origin: Origin::Lease(number) });
        }
        self.servers_changed(registrar);
    }

    /// Puts the lists together: the operator's servers for DNS and NTP, those of the leases in the order
    /// of naming, then those that names resolved to. Whether they are others now.
    pub(crate) fn list_servers(&mut self, configured: (ServerList, ServerList)) -> bool {
        let before = (self.dns_servers, self.ntp_list);
        let (mut dns, mut ntp) = configured;
        for (slot, number) in self.interfaces.iter().zip(0_u8..) {
            let Some(lease) = slot.as_ref().and_then(Interface::configuration) else { continue };
            for address in lease.dns_servers() {
                dns.push(SocketAddr::from((address, 53)), Origin::Lease(number));
            }
            for address in lease.ntp_servers() {
                ntp.push(SocketAddr::from((address, 123)), Origin::Lease(number));
            }
        }
        for fact in self.ntp_list.iter().filter(|fact| matches!(fact.origin, Origin::Name(_))) {
            ntp.push(fact.address, fact.origin);
        }
        (self.dns_servers, self.ntp_list) = (dns, ntp);
        before != (dns, ntp)
    }

    /// How a DNS server is reached. One that a lease named is asked by way of that lease's interface
    /// where there are several: its network may answer to nobody else, and another's may lead to a
    /// server of the same address. With one interface, and for servers of the operator and of this
    /// host, the routes decide.
    fn dns_server(&self, fact: &ServerFact) -> ServerAddress {
        let server = ServerAddress::from(fact.address);
        let several = self.interfaces.iter().flatten().count() > 1;
        match fact.origin {
            Origin::Lease(number) if several && !fact.address.ip().is_loopback() => {
                let interface = self.interfaces.get(usize::from(number)).and_then(Option::as_ref);
                interface.map_or(server, |interface| server.on(interface.link().index))
            }
            _ => server,
        }
    }

    /// Hands the lists to the clients.
    pub(crate) fn servers_changed(&mut self, registrar: &mut Registrar<'_, P>) {
        let mut list = [ServerAddress::from(SocketAddr::from(([0, 0, 0, 0], 53))); MAX_SERVERS];
        let mut used = 0;
        for (slot, fact) in list.iter_mut().zip(self.dns_servers.iter()) {
            *slot = self.dns_server(fact);
            used += 1;
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
    pub(crate) fn can_ask_names(&self) -> bool {
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
        let before = self.ntp_list;
        let Self { names, resolver, buffers, ntp_list, .. } = self;
        match names.answered(registrar, resolver, buffers, event, ntp_list) {
            None => self.events.push(Event::Dns(event)),
            Some(Ok(_)) if before == self.ntp_list => {}
            Some(Ok(index)) => {
                self.events.push(Event::Servers { origin: Origin::Name(index) });
                self.ntp_list_changed(registrar);
            }
            Some(Err(index)) => self.events.push(Event::NtpNameFailed { index }),
        }
    }

    fn on_ntp(&mut self, registrar: &mut Registrar<'_, P>, event: bringup_ntp::Event) {
        match event {
            bringup_ntp::Event::StateChanged { from, to } => {
                self.events.push(Event::Clock { from, to });
                let waits = self.config.wait_for_time;
                self.resolver.call(registrar, &mut self.buffers, |resolver, _| {
                    resolver.set_time_valid(to != ClockState::Invalid || !waits);
                });
                if from == ClockState::Confirmed {
                    self.tell_clock(registrar);
                }
                if to == ClockState::Invalid && waits {
                    self.fall_below(registrar, SystemState::CpdPreTime);
                }
            }
            bringup_ntp::Event::Adjust(adjust) => self.adjust(registrar, adjust),
            bringup_ntp::Event::PanicLimit { offset_ns } => {
                self.events.push(Event::PanicLimit { offset_ns });
            }
            bringup_ntp::Event::Exhausted => {
                self.events.push(Event::NoNtpServer);
                // RFC 4330 §10: a server that is silent may have moved.
                if self.can_ask_names() {
                    self.names.ask_again(registrar, &mut self.resolver, &mut self.buffers);
                }
            }
            bringup_ntp::Event::Sample { .. } => self.names.heard(),
            bringup_ntp::Event::Leap { leap, at } => self.events.push(Event::Leap { leap, at }),
            bringup_ntp::Event::SaveClock { utc } => self.events.push(Event::SaveClock { utc }),
            bringup_ntp::Event::Rejected { .. }
            | bringup_ntp::Event::Report { .. }
            | bringup_ntp::Event::ProbeDone => {}
        }
    }

    /// Has the platform do what the NTP client proposes, if the operator wants that. A platform that
    /// knows neither rates nor leap seconds does without them.
    fn adjust(&mut self, registrar: &mut Registrar<'_, P>, adjust: bringup_ntp::Adjust) {
        let mut applied = false;
        if self.config.set_clock {
            match change_clock(registrar.platform(), adjust) {
                Ok(()) => {
                    applied = true;
                    let buffers = &mut self.buffers;
                    self.ntp.call(registrar, buffers, |ntp, _| ntp.applied(adjust));
                    if !is_optional(adjust) && self.ntp().state() == ClockState::Confirmed {
                        self.tell_clock(registrar);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Unsupported && is_optional(adjust) => {}
                Err(error) => self.clock_failed(error),
            }
        }
        self.events.push(Event::Adjust { adjust, applied });
    }

    /// Tells the platform how right its clock is, which follows UTC: to within the error bound, which has
    /// what is still being slewed in it. Only a confirmed time is worth that word.
    fn tell_clock(&mut self, registrar: &mut Registrar<'_, P>) {
        if !self.config.set_clock {
            return;
        }
        let is_confirmed = self.ntp().state() == ClockState::Confirmed;
        let estimate = self.utc(registrar.now()).filter(|_| is_confirmed);
        let error = estimate.map(|e| Duration::from_micros(e.error_ns.div_ceil(1_000)));
        match registrar.platform().clock_synchronised(error) {
            Err(error) if error.kind() != ErrorKind::Unsupported => self.clock_failed(error),
            _ => {}
        }
    }

    fn clock_failed(&mut self, error: P::Error) {
        let action = Action::SetClock;
        self.events.push(Event::Failed { interface: None, action, error });
    }
}

fn change_clock<P: Platform>(
    platform: &mut P,
    adjust: bringup_ntp::Adjust,
) -> Result<(), P::Error> {
    use bringup_ntp::Adjust;
    match adjust {
        Adjust::Step { offset_ns } => platform.set_clock(platform::Adjust::Step { offset_ns }),
        Adjust::Slew { offset_ns } => platform.set_clock(platform::Adjust::Slew { offset_ns }),
        Adjust::Rate { ppb } => platform.clock_rate(ppb),
        Adjust::Leap(Leap::Insert) => platform.clock_leap(LeapSecond::Insert),
        Adjust::Leap(Leap::Delete) => platform.clock_leap(LeapSecond::Delete),
        Adjust::Leap(Leap::None | Leap::Unsynchronised) => platform.clock_leap(LeapSecond::None),
    }
}

/// Whether a clock is right in the end without it.
const fn is_optional(adjust: bringup_ntp::Adjust) -> bool {
    matches!(adjust, bringup_ntp::Adjust::Rate { .. } | bringup_ntp::Adjust::Leap(_))
}
