//! AF_PACKET sockets that say whether a frame's checksum is finished.
//!
//! A local UDP socket leaves the checksum to the network card. A veth pair has none: the frame
//! arrives as it was, and only the socket's metadata tells an unfinished checksum from a wrong one.

use std::ffi::CString;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use socket2::{Domain, MaybeUninitSlice, MsgHdrMut, Protocol, SockAddr, Socket, Type};

/// Where a frame's metadata is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metadata {
    /// Beside it, in a control message (PACKET_AUXDATA), as a client reads it.
    Beside,
    /// Before it, in [`VNET_HEADER`] bytes (PACKET_VNET_HDR), which can be sent on with the frame.
    Before,
}

/// The length of struct virtio_net_hdr.
pub const VNET_HEADER: usize = 10;
/// The checksum is still to be made.
pub const VNET_NEEDS_CHECKSUM: u8 = 1;
/// A frame that the kernel may still cut into smaller ones, and its header.
pub const FRAME_MAX: usize = 65_535 + 14 + VNET_HEADER;
/// struct tpacket_auxdata starts with its status, after the control message's header.
const AUXDATA_STATUS: std::ops::Range<usize> =
    mem::size_of::<libc::cmsghdr>()..mem::size_of::<libc::cmsghdr>() + 4;

/// A socket that gets every frame which an interface receives, and none that it sends.
#[derive(Debug)]
pub struct PacketSocket(Socket);

/// What [`PacketSocket::receive`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes in the buffer, with the header of [`Metadata::Before`].
    pub length: usize,
    /// TP_STATUS_CSUMNOTREADY was set. Always false with [`Metadata::Before`], whose header says
    /// it.
    pub checksum_not_ready: bool,
}

impl PacketSocket {
    /// Opens it in the calling thread's network namespace (see [`super::Host::enter`]).
    pub fn open(interface: &str, metadata: Metadata) -> io::Result<Self> {
        let protocol = u16::try_from(libc::ETH_P_ALL).expect("an EtherType").to_be();
        let socket =
            Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(protocol))))?;
        let name = CString::new(interface).expect("a name has no NUL");
        // SAFETY: `name` ends in NUL.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        let index = i32::try_from(index)
            .ok()
            .filter(|index| *index > 0)
            .ok_or_else(io::Error::last_os_error)?;
        set_option(&socket, libc::PACKET_IGNORE_OUTGOING)?;
        set_option(
            &socket,
            match metadata {
                Metadata::Beside => libc::PACKET_AUXDATA,
                Metadata::Before => libc::PACKET_VNET_HDR,
            },
        )?;
        socket.bind(&address(protocol, index)?)?;
        Ok(Self(socket))
    }

    /// Sends a frame, with its header before it where the metadata is [`Metadata::Before`].
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.0.send(frame).map(|_| ())
    }

    /// The next frame; `WouldBlock` when none comes within the time (zero: when none is there).
    pub fn receive(&self, buffer: &mut [u8], timeout: Duration) -> io::Result<Received> {
        self.0.set_nonblocking(timeout.is_zero())?;
        if !timeout.is_zero() {
            self.0.set_read_timeout(Some(timeout))?;
        }
        let mut control = [MaybeUninit::zeroed(); 128];
        // SAFETY: initialised bytes are good MaybeUninit bytes, and the kernel only writes
        // initialised ones.
        let buffer = unsafe { &mut *(std::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) };
        let mut buffers = [MaybeUninitSlice::new(buffer)];
        let mut message = MsgHdrMut::new().with_buffers(&mut buffers).with_control(&mut control);
        let length = self.0.recvmsg(&mut message, 0)?;
        let has_control = message.control_len() >= AUXDATA_STATUS.end;
        // SAFETY: the array was zeroed above, and the kernel only writes initialised bytes.
        let control = control.map(|byte| unsafe { byte.assume_init() });
        let mut status = [0; 4];
        status.copy_from_slice(&control[AUXDATA_STATUS]);
        let not_ready = u32::from_ne_bytes(status) & libc::TP_STATUS_CSUMNOTREADY != 0;
        Ok(Received { length, checksum_not_ready: has_control && not_ready })
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn set_option(socket: &Socket, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(mem::size_of_val(&on)).expect("four");
    // SAFETY: the value is an int of that length that outlives the call.
    let failed = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            std::ptr::from_ref(&on).cast(),
            length,
        )
    } != 0;
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn address(protocol_be: u16, index: i32) -> io::Result<SockAddr> {
    let fill = |storage: *mut socket2::SockAddrStorage, length: *mut libc::socklen_t| {
        let address = libc::sockaddr_ll {
            sll_family: u16::try_from(libc::AF_PACKET).expect("17"),
            sll_protocol: protocol_be,
            sll_ifindex: index,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: the storage of any socket address is larger than this one and aligned for all.
        unsafe { storage.cast::<libc::sockaddr_ll>().write(address) };
        let size = libc::socklen_t::try_from(mem::size_of_val(&address)).expect("twenty");
        // SAFETY: socket2 lends its own length.
        unsafe { length.write(size) };
        Ok(())
    };
    // SAFETY: `fill` writes a whole sockaddr_ll and its length.
    unsafe { SockAddr::try_init(fill) }.map(|((), address)| address)
}
