//! Link frames, through AF_PACKET.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use bringup_core::client::{Checksum, LinkFilter, Mac};
use bringup_core::platform::ReceivedFrame;

use super::{clock, sys};
use crate::control::{CHECKSUM_UNCHECKABLE, Messages, auxdata_status, timestamp_ns};
use crate::error::{Operation, OsError, during};
use crate::filter::program;
use crate::socket::is_nothing;

/// A packet socket on one interface. The kernel writes and takes off the link header (SOCK_DGRAM).
#[derive(Debug)]
pub(super) struct Packet {
    fd: OwnedFd,
    interface: u32,
    /// To see whether the wall clock was set since.
    opened: clock::Reading,
    /// The status of a frame of which the kernel does not say one.
    unfinished: u32,
}

impl Packet {
    pub(super) fn open(interface: u32, filter: LinkFilter) -> Result<Self, OsError> {
        let fd = sys::packet_socket().map_err(during(Operation::LinkOpen))?;
        // The socket has no protocol yet and receives nothing, so that no frame slips in before the
        // filter stands.
        let (ethertype, program) = program(filter);
        sys::attach_filter(fd.as_fd(), program).map_err(during(Operation::LinkFilter))?;
        // Both are missing under some emulators: frames are then stamped when they are read, and no
        // checksum is looked at, since one that was left to hardware looks wrong.
        let auxdata = sys::set_option(fd.as_fd(), libc::SOL_PACKET, libc::PACKET_AUXDATA, 1);
        let unfinished = if auxdata.is_ok() { 0 } else { CHECKSUM_UNCHECKABLE };
        let _ = sys::set_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1);
        sys::packet_bind(fd.as_fd(), interface, ethertype).map_err(during(Operation::LinkBind))?;
        Ok(Self { fd, interface, opened: clock::Reading::take(), unfinished })
    }

    pub(super) fn raw(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    pub(super) fn send(&self, to: Mac, ethertype: u16, payload: &[u8]) -> Result<(), OsError> {
        sys::packet_send(self.fd.as_fd(), self.interface, to.0, ethertype, payload)
            .map(drop)
            .map_err(during(Operation::LinkSend))
    }

    /// A frame, cut to the buffer: the length fields inside tell.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Result<Option<ReceivedFrame>, OsError> {
        let mut control = sys::Control::new();
        let length = buffer.len();
        let message = match sys::receive(self.fd.as_fd(), buffer, &mut control) {
            Ok(message) => message,
            Err(error) if is_nothing(&error) => return Ok(None),
            // The interface went down, say. Reported once by the kernel; the socket goes on.
            Err(error) => return Err(OsError::from_io(Operation::LinkReceive, &error)),
        };
        let (from, ethertype, _) = message
            .link_sender()
            .ok_or(OsError::new(Operation::LinkReceive, libc::EAFNOSUPPORT))?;
        let (mut stamp, mut status) = (None, self.unfinished);
        for m in Messages(message.control) {
            match (m.level, m.kind) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => stamp = timestamp_ns(m.data),
                (libc::SOL_PACKET, libc::PACKET_AUXDATA) => {
                    status = auxdata_status(m.data).unwrap_or(0);
                }
                _ => {}
            }
        }
        let unfinished = status & CHECKSUM_UNCHECKABLE != 0;
        Ok(Some(ReceivedFrame {
            length: message.length.min(length),
            from: Mac(from),
            ethertype,
            checksum: if unfinished { Checksum::NotReady } else { Checksum::Complete },
            at: clock::arrival(&self.opened, stamp),
        }))
    }
}
