//! What becomes of a DHCP client's events: addresses and routes on interfaces, and what the
//! application is told.

use core::net::Ipv4Addr;

use bringup_core::error::ErrorKind;
use bringup_core::event_loop::Registrar;
use bringup_core::platform::{AddressConfig, Platform, PlatformError};
use bringup_core::state::SystemState;
use bringup_core::time::Instant;
use bringup_dhcp::{Event as From, LostReason};

use crate::event::{Action, Event, Gate, InterfaceId};
use crate::interface::Interface;
use crate::system::System;

impl<P: Platform> System<'_, P> {
    pub(crate) fn on_dhcp(&mut self, registrar: &mut Registrar<'_, P>, index: usize, event: From) {
        let interface = id(index);
        let InterfaceId(number) = interface;
        match event {
            From::Bound => {
                self.confirmed(registrar, index);
                self.events.push(Event::Address { interface, renewed: false });
                self.events.push(Event::Snapshot { interface });
                self.take_servers(registrar, Some(number));
            }
            From::Renewed { changed } => {
                let is_back = self.confirmed(registrar, index);
                self.events.push(Event::Address { interface, renewed: true });
                self.events.push(Event::Snapshot { interface });
                if changed || is_back {
                    self.take_servers(registrar, Some(number));
                }
            }
            From::Lost { why } => self.lost_address(registrar, index, why),
            From::Nak { server } => {
                self.events.push(Event::Nak { interface, server });
            }
            From::NoServer => self.events.push(Event::NoDhcpServer { interface }),
            From::Conflict { address, by } => {
                self.events.push(Event::Conflict { interface, address, by });
            }
            From::Ipv6Only { seconds } => {
                self.events.push(Event::Ipv6Only { interface, seconds });
            }
            From::LinkLocal { allowed } => {
                self.events.push(Event::NoAddress { interface, link_local: allowed });
            }
            From::LinkLocalBound => self.link_local_bound(registrar, index),
            From::LinkLocalLost { address } => self.link_local_lost(registrar, index, address),
            From::RouterFound => self.events.push(Event::Snapshot { interface }),
            From::Informed => {
                self.events.push(Event::Informed { interface });
                self.take_servers(registrar, Some(number));
            }
        }
    }

    /// The server stands by the lease. Whether the interface was away before.
    fn confirmed(&mut self, registrar: &mut Registrar<'_, P>, index: usize) -> bool {
        let interface = self.interfaces.get_mut(index).and_then(Option::as_mut);
        let is_back = interface.is_some_and(Interface::confirm);
        self.apply(registrar, index);
        is_back
    }

    fn apply(&mut self, registrar: &mut Registrar<'_, P>, index: usize) {
        if !self.config.apply {
            return;
        }
        let Self { interfaces, events, .. } = self;
        let Some(Some(interface)) = interfaces.get_mut(index) else { return };
        let id = u8::try_from(index).ok().map(InterfaceId);
        let before = interface.applied().address.map(|config| config.address);
        interface.apply(registrar, |action, error| {
            events.push(Event::Failed { interface: id, action, error });
        });
        if before != interface.applied().address.map(|config| config.address) {
            self.way_changed(registrar);
        }
    }

    fn withdraw(&mut self, registrar: &mut Registrar<'_, P>, index: usize) {
        let Self { interfaces, events, .. } = self;
        let Some(Some(interface)) = interfaces.get_mut(index) else { return };
        let id = u8::try_from(index).ok().map(InterfaceId);
        interface.withdraw(registrar, |action, error| {
            events.push(Event::Failed { interface: id, action, error });
        });
    }

    /// The end of the system: the server may give the address to somebody else, and it is not worth
    /// remembering.
    pub(crate) fn release_lease(&mut self, registrar: &mut Registrar<'_, P>, index: usize) {
        let Self { interfaces, buffers, .. } = self;
        let Some(Some(interface)) = interfaces.get_mut(index) else { return };
        interface.release(registrar, buffers);
        while let Some(event) = self.next_dhcp_event(index) {
            match event {
                From::Lost { why: LostReason::Released } => {
                    self.events.push(Event::Snapshot { interface: id(index) });
                }
                From::LinkLocalLost { address } => {
                    self.link_local_lost(registrar, index, address);
                }
                _ => {}
            }
        }
    }

    /// The end of the system: what was put on an interface is taken off.
    pub(crate) fn withdraw_and_tell(&mut self, registrar: &mut Registrar<'_, P>, index: usize) {
        let Some(Some(interface)) = self.interfaces.get(index) else { return };
        let address = interface.applied().address.filter(|_| interface.applied().is_ours());
        if let Some(link_local) = interface.dhcp().link_local() {
            self.link_local_lost(registrar, index, link_local);
        }
        self.withdraw(registrar, index);
        if let (Some(config), Ok(number)) = (address, u8::try_from(index)) {
            let AddressConfig { address, prefix, .. } = config;
            let interface = InterfaceId(number);
            self.events.push(Event::AddressLost { interface, address, prefix, why: None });
        }
    }

    fn lost_address(&mut self, registrar: &mut Registrar<'_, P>, index: usize, why: LostReason) {
        let Some(Some(interface)) = self.interfaces.get(index) else { return };
        let address = interface.applied().address;
        self.withdraw(registrar, index);
        self.forget_address(registrar, index, address, Some(why));
        // The address of a lease that only ran out is worth asking for after a restart, too.
        if !matches!(why, LostReason::Expired | LostReason::Ipv6Only) {
            self.events.push(Event::Snapshot { interface: id(index) });
        }
    }

    /// The address is no longer on the interface: neither are its facts.
    pub(crate) fn forget_address(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        index: usize,
        address: Option<AddressConfig>,
        why: Option<LostReason>,
    ) {
        let number = u8::try_from(index).unwrap_or(u8::MAX);
        if let Some(config) = address {
            let (address, prefix) = (config.address, config.prefix);
            let interface = InterfaceId(number);
            self.events.push(Event::AddressLost { interface, address, prefix, why });
            self.way_changed(registrar);
        }
        // If another lease has taken its place already, its servers are the news.
        let interface = self.interfaces.get(index).and_then(Option::as_ref);
        let is_replaced = interface.is_some_and(|interface| interface.configuration().is_some());
        self.take_servers(registrar, Some(number).filter(|_| is_replaced));
        if !self.is_open(registrar.now(), Gate::Address) {
            self.fall_below(registrar, SystemState::IfaceColdplug);
        }
    }

    /// Something of ours may be missing on an interface.
    pub(crate) fn may_lack(&mut self, index: usize) {
        if let Some(Some(interface)) = self.interfaces.get_mut(index) {
            interface.may_lack();
        }
    }

    /// Puts leases on their interfaces once more where something is missing; not at once if that was
    /// done a moment ago. Whether it did: then there may be news.
    pub(crate) fn repair(&mut self, registrar: &mut Registrar<'_, P>) -> bool {
        let (now, mut later, mut did) = (registrar.now(), None::<Instant>, false);
        for index in 0..self.interfaces.len() {
            let Some(Some(interface)) = self.interfaces.get_mut(index) else { continue };
            match interface.repair_at() {
                Some(at) if at <= now => {
                    interface.repaired(now);
                    self.apply(registrar, index);
                    did = true;
                }
                Some(at) => later = Some(later.map_or(at, |other| at.min(other))),
                None => {}
            }
        }
        if let Some((timer, at)) = self.again.zip(later) {
            registrar.set_timer(timer, at);
        }
        did
    }

    /// An interface that was down before this program came is set down again.
    pub(crate) fn set_down(&mut self, registrar: &mut Registrar<'_, P>, index: usize) {
        let Some(Some(interface)) = self.interfaces.get_mut(index) else { return };
        match interface.set_down(registrar) {
            Err(error) if error.kind() != ErrorKind::Unsupported => {
                self.failed(index, Action::InterfaceDown, error);
            }
            _ => {}
        }
    }

    fn link_local_bound(&mut self, registrar: &mut Registrar<'_, P>, index: usize) {
        let Some(Some(interface)) = self.interfaces.get_mut(index) else { return };
        let Some(address) = interface.dhcp().link_local() else { return };
        let applied =
            if self.config.apply { interface.apply_link_local(registrar) } else { Ok(()) };
        let interface = id(index);
        self.events.push(Event::LinkLocal { interface, address, lost: false });
        if let Err(error) = applied {
            self.failed(index, Action::AddressAdd, error);
        }
    }

    fn link_local_lost(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        index: usize,
        address: Ipv4Addr,
    ) {
        let Some(Some(interface)) = self.interfaces.get_mut(index) else { return };
        let removed = interface.withdraw_link_local(registrar);
        let interface = id(index);
        self.events.push(Event::LinkLocal { interface, address, lost: true });
        if let Err(error) = removed {
            self.failed(index, Action::AddressRemove, error);
        }
    }
}

/// The interface with this place.
fn id(index: usize) -> InterfaceId {
    InterfaceId(u8::try_from(index).unwrap_or(u8::MAX))
}
