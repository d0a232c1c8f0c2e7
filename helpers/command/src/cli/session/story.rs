//! What the system says, as events; what it wants kept goes into the state directory.

use bringup_core::event_loop::Registrar;
use bringup_core::platform::Platform;
use bringup_core::time::{Instant, Utc};
use bringup_dhcp::snapshot::SNAPSHOT_LEN;
use bringup_ntp::packet::Leap;
use bringup_system::interface::MAX_ROUTES;
use bringup_system::{InterfaceId, Origin};

use super::{Session, lease_file};
use crate::cli::decode::dhcp::OptionFields;
use crate::cli::event::{Address, Event, Servers, Time};
use crate::cli::lookup;
use crate::cli::saved_clock::{self, SavedClock};
use crate::cli::service::facts;

impl<P: Platform<Error: std::fmt::Display>> Session<'_, P> {
    /// Tells one event of the system.
    pub(super) fn tell_one(
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
                    self.tell_routes_left_out(now, interface);
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

    /// Tells of routes that there is no room for; not at each renewal.
    fn tell_routes_left_out(&mut self, now: Instant, id: InterfaceId) {
        let Some(interface) = self.system.interface(id) else { return };
        let left_out = interface.applied().routes_left_out();
        if left_out > 0 {
            let what = format!("the routes of {}", interface.name());
            let why =
                format!("the lease has {left_out} more than the {MAX_ROUTES} that are put in");
            let hint = "have the DHCP server name fewer; a default route is among those put in";
            self.problem(now, what, why, hint);
        }
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
        let search = interface.and_then(bringup_system::Interface::lease);
        let search = search.map(|lease| facts::search_names(&lease));
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
}
