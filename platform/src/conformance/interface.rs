//! Interfaces, their addresses and their routes.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use bringup_core::error::ErrorKind;
use bringup_core::platform::{
    AddressConfig, Interface, InterfaceChange, Platform, PlatformError, RouteConfig, UdpOptions,
};
use bringup_core::poll::{Interest, Poll};

use super::{
    Checked, Finding, Promise, Report, Rig, TOKEN, broken, ensure, failed, late, ready_interface,
    run, unchecked, wait_for,
};

pub(super) fn all<R: Rig>(rig: &mut R, report: &mut Report) {
    run(rig, report, Promise::WatchTells, watch);
    run(rig, report, Promise::InterfaceDown, down);
    run(rig, report, Promise::MtuKept, mtu);
    run(rig, report, Promise::AddressKept, address);
    run(rig, report, Promise::RouteKept, route);
    run(rig, report, Promise::SourceOnLink, source);
}

const NO_PLAYGROUND: Finding = unchecked("the rig has no interface to play with");

fn playground<R: Rig>(rig: &mut R, platform: &mut R::Platform) -> Result<Interface, Finding> {
    let name = rig.playground().ok_or(NO_PLAYGROUND)?;
    ready_interface(rig, platform, name)
}

fn watch<R: Rig>(rig: &mut R) -> Checked {
    let mut platform = rig.platform();
    let interface = playground(rig, &mut platform)?;
    let handle = platform.watch_open().map_err(failed("the watch was not opened"))?;
    let added = platform.poller().add(handle, TOKEN, Interest::READ);
    added.map_err(failed("the watch cannot be watched"))?;
    let deadline = late(rig, &mut platform);
    loop {
        let ready = wait_for(&mut platform, TOKEN, deadline)?;
        ensure(ready.is_some(), "a link that is there was not told")?;
        while let Some(change) =
            platform.watch_receive(handle).map_err(failed("no change could be taken"))?
        {
            match change {
                InterfaceChange::Is(is) if is.index == interface.index => {
                    return ensure(is == interface, "it is told otherwise than when looked up");
                }
                _ => {}
            }
        }
    }
}

fn down<R: Rig>(rig: &mut R) -> Checked {
    let mut platform = rig.platform();
    let name = rig.playground().ok_or(NO_PLAYGROUND)?;
    let index = ready_interface(rig, &mut platform, name)?.index;
    platform.interface_down(index).map_err(failed("it could not be set down"))?;
    let found = platform.interface(name).map_err(failed("it was not found again"))?;
    ensure(!found.up, "it was set down, and is up")?;
    ready_interface(rig, &mut platform, name).map(drop)
}

fn mtu<R: Rig>(rig: &mut R) -> Checked {
    let mut platform = rig.platform();
    let name = rig.playground().ok_or(NO_PLAYGROUND)?;
    let found = ready_interface(rig, &mut platform, name)?;
    let other = if found.mtu == 1_400 { 1_300 } else { 1_400 };
    for mtu in [other, found.mtu] {
        platform.mtu_set(found.index, mtu).map_err(failed("an MTU was not set"))?;
        let again = platform.interface(name).map_err(failed("it was not found again"))?;
        ensure(again.mtu == mtu, "an MTU was set, and the interface has another")?;
    }
    Ok(())
}

const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);

const fn config(valid_s: Option<u32>) -> AddressConfig {
    let broadcast = Some(Ipv4Addr::new(192, 0, 2, 255));
    AddressConfig { address: OURS, prefix: 24, broadcast, valid_s }
}

/// Whether a socket can be bound to the address: then the host has it.
fn is_there<P: Platform>(platform: &mut P) -> bool {
    let local = SocketAddr::new(IpAddr::V4(OURS), 0);
    let options =
        UdpOptions { local, peer: None, interface: None, broadcast: false, stamped: false };
    match platform.udp_open(&options) {
        Ok(handle) => {
            platform.close(handle);
            true
        }
        Err(_) => false,
    }
}

/// An error of this kind, and no other, is what was to come.
fn refused<E: PlatformError>(
    result: Result<(), E>,
    wanted: ErrorKind,
    otherwise: &'static str,
) -> Checked {
    match result.map_err(|error| error.kind()) {
        Err(kind) if kind == wanted => Ok(()),
        Err(kind) => Err(Finding::Failed(otherwise, kind)),
        Ok(()) => Err(broken(otherwise)),
    }
}

fn address<R: Rig>(rig: &mut R) -> Checked {
    let mut platform = rig.platform();
    let index = playground(rig, &mut platform)?.index;
    let checked = address_of(&mut platform, index);
    // Whatever went wrong, nothing is left behind.
    let _ = platform.address_remove(index, &config(None));
    checked
}

fn address_of<P: Platform>(platform: &mut P, index: u32) -> Checked {
    let limited = config(Some(600));
    platform.address_add(index, &limited).map_err(failed("an address was not added"))?;
    ensure(is_there(platform), "an address was added, and the host does not have it")?;
    let longer = config(Some(900));
    platform.address_add(index, &longer).map_err(failed("an address was not renewed"))?;
    platform.address_remove(index, &longer).map_err(failed("an address was not removed"))?;
    ensure(!is_there(platform), "an address was removed, and the host still has it")?;
    let again = platform.address_remove(index, &longer);
    refused(again, ErrorKind::NotFound, "an address that is gone was removed once more")?;
    platform.address_add(index, &config(None)).map_err(failed("an address was not added"))?;
    let over = platform.address_add(index, &limited);
    refused(over, ErrorKind::Exists, "an address that was there for good was taken over")?;
    platform.address_remove(index, &config(None)).map_err(failed("an address was not removed"))
}

/// Makes a check while the interface has [`OURS`].
fn with_address<R: Rig>(
    rig: &mut R,
    check: impl FnOnce(&mut R::Platform, u32) -> Checked,
) -> Checked {
    let mut platform = rig.platform();
    let index = playground(rig, &mut platform)?.index;
    let _ = platform.address_remove(index, &config(None));
    platform.address_add(index, &config(Some(600))).map_err(failed("an address was not added"))?;
    let checked = check(&mut platform, index);
    // Routes go with the address that they prefer.
    let removed = platform.address_remove(index, &config(Some(600)));
    checked?;
    removed.map_err(failed("an address was not removed"))
}

fn route<R: Rig>(rig: &mut R) -> Checked {
    with_address(rig, route_of)
}

fn source<R: Rig>(rig: &mut R) -> Checked {
    with_address(rig, |platform, _| {
        let neighbour = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77));
        let source = platform.source(neighbour).map_err(failed("no source address was found"))?;
        let Some(source) = source else {
            return Err(broken("an interface has an address, and no way leads to its link"));
        };
        ensure(source.address == IpAddr::V4(OURS), "the source is not the link's address")?;
        ensure(matches!(source.prefix, 0 | 24), "the source has another prefix than was given")
    })
}

fn route_of<P: Platform>(platform: &mut P, index: u32) -> Checked {
    let via = |router: u8| RouteConfig {
        destination: Ipv4Addr::new(198, 51, 100, 0),
        prefix: 24,
        gateway: Some(Ipv4Addr::new(192, 0, 2, router)),
        source: Some(OURS),
        metric: 77,
    };
    let (first, second) = (via(254), via(253));
    platform.route_add(index, &first).map_err(failed("a route was not added"))?;
    let again = platform.route_add(index, &first);
    refused(again, ErrorKind::Exists, "the very same route was added twice")?;
    let beside = platform.route_add(index, &second);
    beside.map_err(failed("a route was not added beside another"))?;
    platform.route_remove(index, &first).map_err(failed("a route was not removed"))?;
    let again = platform.route_remove(index, &first);
    refused(again, ErrorKind::NotFound, "a route that is gone was removed once more")?;
    platform.route_remove(index, &second).map_err(failed("the other route went with the first"))
}
