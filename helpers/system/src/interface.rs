//! One interface: its link, its DHCP client, and what was put on it.

use core::net::{Ipv4Addr, SocketAddr};

use bringup_core::client::Mac;
use bringup_core::event_loop::{Ready, Registrar};
use bringup_core::platform::{self, AddressConfig, Platform, RouteConfig};
use bringup_core::time::{Duration, Instant};
use bringup_core::timer::{NoSlot, Owner};
use bringup_core::wire::Full;
use bringup_dhcp::{Config, DhcpClient, Lease, SnapshotError};

use crate::driven::{Buffers, Driven};
use crate::event::Action;
use crate::stage::cx;

/// How many routes of a lease are put in, the default route among them; the rest is counted:
/// [`Applied::routes_left_out`].
pub const MAX_ROUTES: usize = 16;

/// The smallest MTU that is set, octets: every host takes datagrams of so many (RFC 791 §3.1), and every
/// DHCP client messages (RFC 2131 §2). Under a smaller one, which RFC 2132 §5.1 allows a server to name,
/// this very client could not broadcast its own 328 octets at T2.
const MTU_MIN: u32 = 576;

/// The prefix of a link-local address, bits. RFC 3927 §2.6.1.
const LINK_LOCAL_PREFIX: u8 = 16;

/// What somebody took off by hand is put back no more often than this: he may mean it.
const REPAIR_INTERVAL: Duration = Duration::from_secs(1);

/// What the platform has no room for at the moment is tried again after twice the time of the try before, up
/// to this.
const RETRY_MAX: Duration = Duration::from_secs(64);

/// What this program has put on an interface, so that it can be taken off again.
#[derive(Clone, Copy, Debug)]
pub struct Applied {
    /// The address.
    pub address: Option<AddressConfig>,
    /// Whether this program put it there; an operator's own is not taken off.
    address_is_ours: bool,
    routes: [Option<RouteConfig>; MAX_ROUTES],
    routes_left_out: u16,
    /// The MTU that the interface had before.
    mtu_before: Option<u32>,
    /// The address that stands in for a lease.
    link_local: Option<AddressConfig>,
}

impl Applied {
    const fn nothing() -> Self {
        Self {
            address: None,
            address_is_ours: false,
            routes: [None; MAX_ROUTES],
            routes_left_out: 0,
            mtu_before: None,
            link_local: None,
        }
    }

    /// Whether the address is taken off in the end; an operator's own stays.
    pub const fn is_ours(&self) -> bool {
        self.address_is_ours
    }

    /// The routes.
    pub fn routes(&self) -> impl Iterator<Item = &RouteConfig> {
        self.routes.iter().flatten()
    }

    /// How many routes the lease has beyond the [`MAX_ROUTES`] that there is room for.
    pub const fn routes_left_out(&self) -> u16 {
        self.routes_left_out
    }
}

/// An interface under this system's care.
pub struct Interface<'m, P: Platform> {
    name: &'m str,
    link: platform::Interface,
    dhcp: Driven<DhcpClient<'m>, P, 4>,
    applied: Applied,
    metric: u32,
    /// Whether the client has been told that there is a carrier.
    running: bool,
    /// Whether the platform said that the interface is no more. One that came back stays so until a
    /// server has confirmed its lease.
    gone: bool,
    /// Whether this program has set it up.
    set_up: bool,
    /// What was kept of it over the restart, until it is used.
    snapshot: Option<&'m [u8]>,
    /// Its own address, from elsewhere; DHCP only informs.
    own_address: Option<Ipv4Addr>,
    /// Whether something that was put on it may be missing, and when it was last put back.
    may_lack: bool,
    repaired_at: Option<Instant>,
    /// How long after that it may be put back again.
    repair_interval: Duration,
}

impl<'m, P: Platform> Interface<'m, P> {
    #[inline(never)] // written where it stays
    pub(crate) fn new(
        name: &'m str,
        link: platform::Interface,
        config: Config<'m>,
        storage: &'m mut [u8],
        metric: u32,
    ) -> Self {
        let mut dhcp = Driven::new(DhcpClient::new(config, storage), Owner::System);
        dhcp.set_interface(Some(link.index));
        Self {
            name,
            link,
            dhcp,
            applied: Applied::nothing(),
            metric,
            running: false,
            gone: false,
            set_up: false,
            snapshot: None,
            own_address: None,
            may_lack: false,
            repaired_at: None,
            repair_interval: REPAIR_INTERVAL,
        }
    }

    /// Its name when it was added.
    pub const fn name(&self) -> &'m str {
        self.name
    }

    /// The interface as the platform described it last.
    pub const fn link(&self) -> &platform::Interface {
        &self.link
    }

    /// What the server granted.
    pub fn lease(&self) -> Option<Lease<'_>> {
        self.dhcp.client().lease()
    }

    /// The DHCP client.
    pub const fn dhcp(&self) -> &DhcpClient<'m> {
        self.dhcp.client()
    }

    /// What was put on the interface.
    pub const fn applied(&self) -> &Applied {
        &self.applied
    }

    /// Whether there is a link on which DHCP can run.
    pub const fn is_up(&self) -> bool {
        self.link.up && self.link.carrier
    }

    /// Whether it has an address to be used. One without a carrier keeps it until the lease ends.
    pub fn has_address(&self) -> bool {
        !self.gone && (self.lease().is_some() || self.own_address.is_some())
    }

    /// What a server said of this network: with the lease, or for an address from elsewhere.
    pub fn configuration(&self) -> Option<Lease<'_>> {
        let client = self.dhcp.client();
        client.lease().or_else(|| client.informed()).filter(|_| !self.gone)
    }

    /// Keeps what was kept, until the link is up; refuses what is not of this interface.
    pub(crate) fn restore(&mut self, snapshot: &'m [u8]) -> Result<(), SnapshotError> {
        self.dhcp.client().recognise(snapshot)?;
        self.snapshot = Some(snapshot);
        Ok(())
    }

    pub(crate) fn snapshot<'b>(
        &self,
        registrar: &mut Registrar<'_, P>,
        buffer: &'b mut [u8],
    ) -> Result<Option<&'b [u8]>, Full> {
        self.dhcp.client().snapshot(&cx(registrar), buffer)
    }

    pub(crate) const fn inform_only(&mut self, address: Ipv4Addr) {
        self.own_address = Some(address);
    }

    pub(crate) fn register(&mut self, registrar: &mut Registrar<'_, P>) -> Result<(), NoSlot> {
        self.dhcp.register(registrar)
    }

    pub(crate) fn handle(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        buffers: &mut Buffers,
        ready: &Ready,
    ) -> bool {
        self.dhcp.handle(registrar, buffers, ready)
    }

    pub(crate) fn next_discard(&mut self) -> Option<(bringup_dhcp::Discard, Option<SocketAddr>)> {
        self.dhcp.next_discard()
    }

    pub(crate) fn next_no_room(&mut self, now: Instant) -> Option<P::Error> {
        self.dhcp.next_no_room(now)
    }

    pub(crate) fn next_event(&mut self) -> Option<bringup_dhcp::Event> {
        self.dhcp.next_event()
    }

    /// Sets it up, under the number that it has now, and remembers that; nothing happens if it is up.
    pub(crate) fn set_up(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        number: u32,
    ) -> Result<(), P::Error> {
        registrar.platform().interface_up(number)?;
        self.set_up = true;
        Ok(())
    }

    /// Sets it down, if it was before this program came.
    pub(crate) fn set_down(&mut self, registrar: &mut Registrar<'_, P>) -> Result<(), P::Error> {
        if !core::mem::take(&mut self.set_up) {
            return Ok(());
        }
        registrar.platform().interface_down(self.link.index)
    }

    /// Takes a new description; starts or stops the client when the carrier came or went. Whether it
    /// did. One that came and went in between is as good as another link: the lease is verified.
    pub(crate) fn set_link(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        buffers: &mut Buffers,
        link: platform::Interface,
    ) -> bool {
        let flapped = self.link.carrier_changes != link.carrier_changes;
        let is_another = link.mac != self.link.mac && link.mac != Mac::default();
        self.link = link;
        self.dhcp.set_interface(Some(link.index));
        if is_another {
            self.dhcp.call(registrar, buffers, |client, cx| client.set_link_address(cx, link.mac));
        }
        let up = self.is_up();
        if up == self.running {
            // Whoever only informs is stopped by another link address, and knows nothing under it.
            if up && (flapped || is_another && self.own_address.is_some()) {
                self.link_is_new(registrar, buffers);
            }
            return false;
        }
        self.running = up;
        let snapshot = self.snapshot.take_if(|_| up);
        // What the kernel drops with the link comes back with it, even if no server speaks.
        self.may_lack |= up && self.lease().is_some();
        let own_address = self.own_address;
        self.dhcp.call(registrar, buffers, |client, cx| match (own_address, snapshot) {
            _ if !up => client.stop(cx),
            (Some(address), _) => client.inform(cx, address, None),
            (None, Some(bytes)) if client.start_from_snapshot(cx, bytes).is_ok() => {}
            (None, _) => client.start(cx),
        });
        true
    }

    /// The link may lead elsewhere now, though it was never seen to be down: the machine slept, or the
    /// cable was in another socket for a moment.
    pub(crate) fn link_is_new(&mut self, registrar: &mut Registrar<'_, P>, buffers: &mut Buffers) {
        if !self.running {
            return;
        }
        let own_address = self.own_address;
        self.dhcp.call(registrar, buffers, |client, cx| match own_address {
            None => client.link_up(cx),
            Some(address) => {
                client.stop(cx);
                client.inform(cx, address, None);
            }
        });
    }

    /// Something was taken off it by hand, or may have been.
    pub(crate) const fn may_lack(&mut self) {
        self.may_lack = true;
    }

    /// When what is missing is to be put back; `None` if nothing is.
    pub(crate) fn repair_at(&self) -> Option<Instant> {
        let at = self.repaired_at.map_or(Instant::ZERO, |at| at + self.repair_interval);
        (self.may_lack && self.lease().is_some() && !self.gone).then_some(at)
    }

    /// It is being put back.
    pub(crate) const fn repaired(&mut self, now: Instant) {
        self.repaired_at = Some(now);
    }

    /// Puts the link-local address on the interface; what it is.
    pub(crate) fn apply_link_local(
        &mut self,
        registrar: &mut Registrar<'_, P>,
    ) -> Result<(), P::Error> {
        use bringup_core::error::ErrorKind::Exists;
        use bringup_core::platform::PlatformError;

        let Some(address) = self.dhcp.client().link_local() else { return Ok(()) };
        let config = AddressConfig {
            address,
            prefix: LINK_LOCAL_PREFIX,
            broadcast: Some(Ipv4Addr::new(169, 254, 255, 255)),
            valid_s: None,
        };
        match registrar.platform().address_add(self.link.index, &config) {
            Ok(()) => self.applied.link_local = Some(config),
            Err(error) if error.kind() == Exists => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Takes the link-local address off.
    pub(crate) fn withdraw_link_local(
        &mut self,
        registrar: &mut Registrar<'_, P>,
    ) -> Result<(), P::Error> {
        use bringup_core::error::ErrorKind::NotFound;
        use bringup_core::platform::PlatformError;

        let Some(config) = self.applied.link_local.take() else { return Ok(()) };
        match registrar.platform().address_remove(self.link.index, &config) {
            Err(error) if error.kind() != NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Puts the lease on the interface; if there is no room for something of it at the moment, again later.
    pub(crate) fn apply(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        mut failed: impl FnMut(Action, P::Error),
    ) {
        use bringup_core::error::ErrorKind::{Busy, Exhausted};
        use bringup_core::platform::PlatformError;

        let mut is_full = false;
        self.put_on(registrar, |action, error| {
            is_full |= matches!(error.kind(), Busy | Exhausted);
            failed(action, error);
        });
        self.may_lack = is_full;
        if is_full {
            self.repaired_at = Some(registrar.now());
            self.repair_interval = RETRY_MAX.min(self.repair_interval * 2);
        } else {
            self.repair_interval = REPAIR_INTERVAL;
        }
    }

    /// Puts the lease on the interface: address, MTU, routes; takes off what is no longer in it.
    fn put_on(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        mut failed: impl FnMut(Action, P::Error),
    ) {
        use bringup_core::error::ErrorKind::{Exists, NotFound};
        use bringup_core::platform::PlatformError;

        // Not the turn's reading: the REQUEST may have been sent in this very turn, after it.
        let now = registrar.platform().now();
        let Some(lease) = self.dhcp.client().lease() else { return };
        let index = self.link.index;
        let valid_s = lease.times().map(|times| {
            // Rounded up: this client takes the address off to the microsecond; the platform's seconds
            // are for the case that it no longer runs, and must not be the first to end.
            let left = times.expires_at.since(now).as_micros().div_ceil(1_000_000).max(1);
            // The largest finite lifetime that there is (RFC 2131 §3.3).
            u32::try_from(left).unwrap_or(u32::MAX - 1)
        });
        let address = AddressConfig {
            address: lease.address(),
            prefix: lease.prefix_len(),
            broadcast: lease.broadcast_address(),
            valid_s,
        };
        let (mut routes, mut left_out) = ([None; MAX_ROUTES], 0_u16);
        let all = lease.routes().map(|route| RouteConfig {
            destination: route.destination,
            prefix: route.prefix_len,
            gateway: Some(route.router).filter(|router| !router.is_unspecified()),
            source: Some(address.address),
            metric: self.metric,
        });
        for (i, route) in all.enumerate() {
            // Beyond what there is room for, the default route still counts: no other says more.
            if let Some(slot) = routes.get_mut(i) {
                *slot = Some(route);
                continue;
            }
            left_out = left_out.saturating_add(1);
            if let Some(last) = routes.last_mut().filter(|_| route.prefix == 0) {
                *last = Some(route);
            }
        }
        self.applied.routes_left_out = left_out;
        let mtu = lease.mtu().map(|mtu| u32::from(mtu).max(MTU_MIN));

        let platform = registrar.platform();
        if let Some(old) = self.applied.address {
            let same = (old.address, old.prefix) == (address.address, address.prefix);
            if !same && core::mem::take(&mut self.applied.address_is_ours) {
                match platform.address_remove(index, &old) {
                    Err(error) if error.kind() != NotFound => failed(Action::AddressRemove, error),
                    _ => {}
                }
            }
        }
        let before = self.applied.mtu_before.unwrap_or(self.link.mtu);
        // A lease that no longer names one gives the old one back.
        let mtu = match mtu {
            None if self.applied.mtu_before.is_none() => self.link.mtu,
            wanted => wanted.map_or(before, |mtu| mtu.min(before)),
        };
        if mtu != self.link.mtu {
            match platform.mtu_set(index, mtu) {
                Ok(()) => {
                    self.applied.mtu_before = Some(before);
                    self.link.mtu = mtu;
                }
                Err(error) => failed(Action::MtuSet, error),
            }
        }
        match platform.address_add(index, &address) {
            Ok(()) => {
                self.applied.address = Some(address);
                self.applied.address_is_ours = true;
            }
            // For good: by the operator, or by us for an endless lease.
            Err(error) if error.kind() == Exists => self.applied.address = Some(address),
            // The interface goes this moment: its addresses are the first of which is told.
            Err(error) if error.kind() == NotFound => return,
            Err(error) => failed(Action::AddressAdd, error),
        }
        for old in self.applied.routes().filter(|old| !routes.contains(&Some(**old))) {
            // The kernel takes routes away with the address that they prefer.
            match platform.route_remove(index, old) {
                Err(error) if error.kind() != NotFound => failed(Action::RouteRemove, error),
                _ => {}
            }
        }
        let before = core::mem::replace(&mut self.applied.routes, routes);
        for slot in &mut self.applied.routes {
            let Some(route) = slot else { continue };
            match platform.route_add(index, route) {
                Ok(()) => {}
                // There already: ours from before, or somebody else's, which stays.
                Err(error) if error.kind() == Exists => {
                    if !before.contains(&Some(*route)) {
                        *slot = None;
                    }
                }
                Err(error) => {
                    failed(Action::RouteAdd, error);
                    *slot = None;
                }
            }
        }
    }

    /// Takes off everything that was put on. An address that is gone already is fine.
    pub(crate) fn withdraw(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        mut failed: impl FnMut(Action, P::Error),
    ) {
        use bringup_core::error::ErrorKind::NotFound;
        use bringup_core::platform::PlatformError;

        let index = self.link.index;
        let link_local = self.applied.link_local;
        let applied = core::mem::replace(&mut self.applied, Applied::nothing());
        self.applied.link_local = link_local;
        let platform = registrar.platform();
        let mut check = |action, result: Result<(), P::Error>| match result {
            Err(error) if error.kind() != NotFound => failed(action, error),
            _ => {}
        };
        for route in applied.routes() {
            check(Action::RouteRemove, platform.route_remove(index, route));
        }
        if let Some(address) = applied.address.as_ref().filter(|_| applied.address_is_ours) {
            check(Action::AddressRemove, platform.address_remove(index, address));
        }
        if let Some(mtu) = applied.mtu_before {
            check(Action::MtuSet, platform.mtu_set(index, mtu));
            self.link.mtu = mtu;
        }
    }

    /// The interface is gone, and everything on it: forgets it, without a word to the platform.
    pub(crate) fn vanish(&mut self, registrar: &mut Registrar<'_, P>, buffers: &mut Buffers) {
        self.link.up = false;
        self.link.carrier = false;
        self.gone = true;
        self.set_up = false;
        self.applied = Applied::nothing();
        if core::mem::take(&mut self.running) {
            self.dhcp.call(registrar, buffers, DhcpClient::stop);
        }
    }

    /// Gives the lease back while its address is still there to send from.
    pub(crate) fn release(&mut self, registrar: &mut Registrar<'_, P>, buffers: &mut Buffers) {
        self.dhcp.call(registrar, buffers, DhcpClient::release);
    }

    /// Its address is in use no more, though the lease may still hold.
    pub(crate) const fn give_up(&mut self) {
        self.gone = true;
    }

    pub(crate) const fn is_gone(&self) -> bool {
        self.gone
    }

    /// A server stands by the lease. Whether the interface was away before.
    pub(crate) const fn confirm(&mut self) -> bool {
        core::mem::replace(&mut self.gone, false)
    }

    /// Whether somebody took our address off.
    pub(crate) fn is_ours(&self, address: Ipv4Addr) -> bool {
        self.applied.address.is_some_and(|ours| ours.address == address)
    }

    pub(crate) fn close(&mut self, registrar: &mut Registrar<'_, P>) {
        self.dhcp.close(registrar);
    }
}
