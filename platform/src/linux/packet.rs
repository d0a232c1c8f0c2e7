//! Link frames, through AF_PACKET.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use bringup_core::client::{Checksum, LinkFilter, Mac};
use bringup_core::platform::ReceivedFrame;

use super::control::{Messages, auxdata_status, timestamp_ns};
use super::udp::is_nothing;
use super::{clock, sys};
use crate::error::{Operation, OsError, during};

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;

/// Bits of the status word in PACKET_AUXDATA: the sender left the checksum to hardware that was never
/// passed, and: the receiving hardware has checked it.
const CHECKSUM_NOT_READY: u32 = 1 << 3;
const CHECKSUM_VALID: u32 = 1 << 7;

/// A packet socket on one interface. The kernel writes and takes off the link header (SOCK_DGRAM).
#[derive(Debug)]
pub(super) struct Packet {
    fd: OwnedFd,
    interface: u32,
    /// To see whether the wall clock was set since.
    opened: clock::Reading,
}

impl Packet {
    pub(super) fn open(interface: u32, filter: LinkFilter) -> Result<Self, OsError> {
        let fd = sys::packet_socket().map_err(during(Operation::LinkOpen))?;
        // The socket has no protocol yet and receives nothing, so that no frame slips in before the
        // filter stands.
        let (ethertype, mut program) = match filter {
            LinkFilter::DhcpClient => (ETHERTYPE_IPV4, DHCP_CLIENT.to_vec()),
            LinkFilter::Arp => (ETHERTYPE_ARP, NOT_OUR_OWN.to_vec()),
        };
        sys::attach_filter(fd.as_fd(), &mut program).map_err(during(Operation::LinkFilter))?;
        // Both are missing under some emulators: frames are then stamped when they are read, and
        // checksums that were left to hardware look wrong.
        let _ = sys::set_option(fd.as_fd(), libc::SOL_PACKET, libc::PACKET_AUXDATA, 1);
        let _ = sys::set_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1);
        sys::packet_bind(fd.as_fd(), interface, ethertype).map_err(during(Operation::LinkBind))?;
        Ok(Self { fd, interface, opened: clock::Reading::take() })
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
        let (mut stamp, mut status) = (None, 0);
        for m in Messages(message.control) {
            match (m.level, m.kind) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => stamp = timestamp_ns(m.data),
                (libc::SOL_PACKET, libc::PACKET_AUXDATA) => {
                    status = auxdata_status(m.data).unwrap_or(0);
                }
                _ => {}
            }
        }
        let unfinished = status & (CHECKSUM_NOT_READY | CHECKSUM_VALID) != 0;
        Ok(Some(ReceivedFrame {
            length: message.length.min(length),
            from: Mac(from),
            ethertype,
            checksum: if unfinished { Checksum::NotReady } else { Checksum::Complete },
            at: clock::arrival(&self.opened, stamp),
        }))
    }
}

const fn op(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    // All opcodes fit into sixteen bits.
    libc::sock_filter { code: (code & 0xFFFF) as u16, jt, jf, k }
}

/// Loads of a byte, a half word and a word at a fixed offset; offset 0 is the network header.
const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
const LOAD_WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
/// A half word at an offset from X.
const LOAD_HALF_X: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_IND;
/// X = 4 * (byte & 0xF): the length of the IP header.
const LOAD_IHL_X: u32 = libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const JUMP_EQ: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const JUMP_GT: u32 = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
const JUMP_SET: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// Where the kernel shows the packet type, `SKF_AD_OFF + SKF_AD_PKTTYPE`. Types up to 2 (host,
/// broadcast, multicast) are for us; 3 is for other hosts, 4 is what this host sent.
const PACKET_TYPE: u32 = 0xFFFF_F000 + 4;
const LAST_FOR_US: u32 = 2;

const ALL: u32 = 0x4_0000;

/// Everything that was sent to us by others.
const NOT_OUR_OWN: [libc::sock_filter; 4] = [
    op(LOAD_WORD, 0, 0, PACKET_TYPE),
    op(JUMP_GT, 1, 0, LAST_FOR_US),
    op(RETURN, 0, 0, ALL),
    op(RETURN, 0, 0, 0),
];

/// IPv4, UDP, not a later fragment, to port 68, whatever the length of the IP header.
const DHCP_CLIENT: [libc::sock_filter; 14] = [
    op(LOAD_WORD, 0, 0, PACKET_TYPE),
    op(JUMP_GT, 11, 0, LAST_FOR_US),
    op(LOAD_BYTE, 0, 0, 0),
    op(AND, 0, 0, 0xF0),
    op(JUMP_EQ, 0, 8, 0x40),
    op(LOAD_BYTE, 0, 0, 9),
    op(JUMP_EQ, 0, 6, 17),
    op(LOAD_HALF, 0, 0, 6),
    op(JUMP_SET, 4, 0, 0x1FFF),
    op(LOAD_IHL_X, 0, 0, 0),
    op(LOAD_HALF_X, 0, 0, 2),
    op(JUMP_EQ, 0, 1, 68),
    op(RETURN, 0, 0, ALL),
    op(RETURN, 0, 0, 0),
];
