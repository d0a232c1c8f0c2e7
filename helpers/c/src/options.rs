//! [`Options`]: what C wants of a network, read into a [`Setup`].

use std::ffi::{CStr, c_char, c_uint};
use std::net::{IpAddr, SocketAddr};

use bringup::Setup;

use crate::error::Failure;

const KEEP: c_uint = 1;
const SET_CLOCK: c_uint = 2;
const WITHOUT_TIME: c_uint = 4;

/// More names than this in a list are a list without an end.
const LIST_MAX: usize = 64;

/// `struct bringup_options`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Options {
    /// Interfaces.
    pub interfaces: *const *const c_char,
    /// DNS servers.
    pub dns: *const *const c_char,
    /// NTP servers, by address or by name.
    pub ntp: *const *const c_char,
    /// For DHCP servers.
    pub hostname: *const c_char,
    /// Of `enum bringup_flags`.
    pub flags: c_uint,
}

/// Reads options; null pointers are what was left out.
///
/// # Safety
///
/// Duty 2 of the crate's preface.
pub(crate) unsafe fn read(options: *const Options) -> Result<Setup, Failure> {
    // SAFETY: the caller's promise; null is checked.
    let Some(options) = (unsafe { options.as_ref() }) else { return Ok(Setup::new()) };
    let mut setup = Setup::new();
    // SAFETY: the caller's promise.
    for name in unsafe { list(options.interfaces) }? {
        setup = setup.interface(name);
    }
    // SAFETY: the caller's promise.
    for server in unsafe { list(options.dns) }? {
        let words =
            format!("the DNS server {server} is no address; write 192.0.2.1 or [2001:db8::1]:53");
        setup = setup.dns(address(&server, 53).ok_or_else(|| Failure::invalid(&words))?);
    }
    // SAFETY: the caller's promise.
    for server in unsafe { list(options.ntp) }? {
        setup = match address(&server, 123) {
            Some(address) => setup.ntp(address),
            None => setup.ntp_name(server),
        };
    }
    if !options.hostname.is_null() {
        // SAFETY: the caller's promise.
        setup = setup.hostname(unsafe { text(options.hostname) }?);
    }
    if options.flags & !(KEEP | SET_CLOCK | WITHOUT_TIME) != 0 {
        return Err(Failure::invalid("there is no such flag; zero what you do not use"));
    }
    for (flag, apply) in [
        (KEEP, Setup::keep as fn(Setup) -> Setup),
        (SET_CLOCK, Setup::set_clock),
        (WITHOUT_TIME, Setup::without_time),
    ] {
        if options.flags & flag != 0 {
            setup = apply(setup);
        }
    }
    Ok(setup)
}

/// An address with or without a port.
fn address(text: &str, port: u16) -> Option<SocketAddr> {
    let with_port = text.parse().ok();
    with_port.or_else(|| text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port)))
}

/// # Safety
///
/// `start` is null, or strings and then null.
unsafe fn list(start: *const *const c_char) -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    if start.is_null() {
        return Ok(all);
    }
    for at in 0..LIST_MAX {
        // SAFETY: no null has been seen before this place.
        let place = unsafe { start.add(at) };
        // SAFETY: as above.
        let item = unsafe { place.read() };
        if item.is_null() {
            return Ok(all);
        }
        // SAFETY: the caller's promise.
        all.push(unsafe { text(item) }?);
    }
    Err(Failure::invalid("a list of names is too long, or does not end in NULL"))
}

/// # Safety
///
/// `start` is a string that ends in NUL.
unsafe fn text(start: *const c_char) -> Result<String, Failure> {
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(start) };
    text.to_str().map(str::to_owned).map_err(|_| Failure::invalid("a name is not UTF-8"))
}
