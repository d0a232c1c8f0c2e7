//! Link frames, through AF_PACKET; the kernel writes and takes off the link header (SOCK_DGRAM).

use core::ffi::c_int;

use bringup_core::client::{Checksum, LinkFilter, Mac};
use bringup_core::platform::ReceivedFrame;
use bringup_core::time::Instant;

use super::error::{Call, EAFNOSUPPORT, TinyError};
use super::sys::{self, Address, SocketOption};
use crate::control::{CHECKSUM_UNCHECKABLE, Messages, auxdata_status};
use crate::filter::{NOTHING, program};

pub(super) fn open(interface: u32, filter: LinkFilter) -> Result<c_int, TinyError> {
    // The socket has no protocol yet and receives nothing, so that no frame slips in before the filter
    // stands.
    let fd = sys::socket(Call::Link, sys::AF_PACKET, sys::SOCK_DGRAM, 0)?;
    let (ethertype, program) = program(filter);
    let ready = sys::attach_filter(Call::Link, fd, program).and_then(|()| {
        // Missing under some emulators: checksums that were left to hardware look wrong then.
        let _ = sys::set_option(Call::Link, fd, SocketOption::PACKET_AUXDATA, 1);
        sys::bind(Call::Link, fd, &Address::link(interface, ethertype, [0; 6]))
    });
    if ready.is_err() {
        sys::close(fd);
    }
    ready.map(|()| fd)
}

pub(super) fn send(fd: c_int, to: Mac, ethertype: u16, payload: &[u8]) -> Result<(), TinyError> {
    // The socket knows its interface, but an address without one is refused.
    let interface = sys::local_address(Call::Link, fd)?.interface();
    sys::send_to(Call::Link, fd, payload, &Address::link(interface, ethertype, to.0))
}

/// If it is a packet socket: from now on it hears nothing.
pub(super) fn silence(fd: c_int) -> bool {
    sys::local_address(Call::Link, fd).is_ok_and(|address| address.family() == sys::AF_PACKET)
        && sys::attach_filter(Call::Link, fd, &NOTHING).is_ok()
}

/// A frame, cut to the buffer: the length fields inside tell.
pub(super) fn receive(
    fd: c_int,
    buffer: &mut [u8],
    at: Instant,
) -> Result<Option<ReceivedFrame>, TinyError> {
    let room = buffer.len();
    let mut control = [0; 8];
    let Some(message) = sys::receive(Call::Link, fd, buffer, &mut control)? else {
        return Ok(None);
    };
    let (from, ethertype) =
        message.address.link_sender().ok_or(TinyError::new(Call::Link, EAFNOSUPPORT))?;
    let mut status = 0;
    for m in Messages(message.control) {
        if (m.level, m.kind) == (sys::SOL_PACKET, sys::PACKET_AUXDATA) {
            status = auxdata_status(m.data).unwrap_or(0);
        }
    }
    let unfinished = status & CHECKSUM_UNCHECKABLE != 0;
    Ok(Some(ReceivedFrame {
        length: message.length.min(room),
        from: Mac(from),
        ethertype,
        checksum: if unfinished { Checksum::NotReady } else { Checksum::Complete },
        at,
    }))
}
