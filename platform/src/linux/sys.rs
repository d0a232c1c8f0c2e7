//! The system calls, one to a function. Nothing here decides anything.

#![allow(unsafe_code, reason = "one system call per function, each with its argument")]
#![allow(clippy::useless_conversion, reason = "the C types differ between targets")]

use std::io;
use std::mem::{size_of, size_of_val, zeroed};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use libc::{c_int, socklen_t};

use crate::filter::Instruction;

/// An errno instead of -1.
fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn check_size(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// A length as the kernel takes it. All that we pass are below a hundred bytes.
fn length_of<T>() -> socklen_t {
    socklen_t::try_from(size_of::<T>()).unwrap_or(socklen_t::MAX)
}

/// Takes possession of a descriptor that a call has just returned.
fn own(fd: c_int) -> io::Result<OwnedFd> {
    let fd = check(fd)?;
    // SAFETY: the kernel has just made it, and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// clock_gettime(2), in nanoseconds.
pub(super) fn clock_ns(clock: libc::clockid_t) -> i64 {
    // SAFETY: all zeroes is a valid `timespec`.
    let mut time: libc::timespec = unsafe { zeroed() };
    // SAFETY: `time` outlives the call. The clocks asked for exist since Linux 2.6.39, so that it
    // cannot fail; zero would remain.
    unsafe { libc::clock_gettime(clock, &mut time) };
    i64::from(time.tv_sec).saturating_mul(1_000_000_000).saturating_add(i64::from(time.tv_nsec))
}

/// connect(2) to no family: a datagram socket forgets its peer, and the address that was chosen for it.
pub(super) fn disconnect(fd: BorrowedFd<'_>) -> io::Result<()> {
    let family = libc::sa_family_t::try_from(libc::AF_UNSPEC).unwrap_or(0);
    let nobody = libc::sockaddr { sa_family: family, sa_data: [0; 14] };
    // SAFETY: an address of the length that is said, read during the call.
    check(unsafe {
        libc::connect(fd.as_raw_fd(), &raw const nobody, length_of::<libc::sockaddr>())
    })?;
    Ok(())
}

/// timerfd_create(2) on CLOCK_BOOTTIME.
pub(super) fn timerfd() -> io::Result<OwnedFd> {
    let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
    // SAFETY: takes numbers only.
    own(unsafe { libc::timerfd_create(libc::CLOCK_BOOTTIME, flags) })
}

/// timerfd_settime(2) to an absolute time in microseconds; 0 disarms. Either forgets an expiration
/// that was not read.
pub(super) fn timerfd_set(fd: BorrowedFd<'_>, at_us: u64) -> io::Result<()> {
    // SAFETY: all zeroes is a valid `itimerspec`: disarmed.
    let mut timer: libc::itimerspec = unsafe { zeroed() };
    timer.it_value.tv_sec = libc::time_t::try_from(at_us / 1_000_000).unwrap_or(libc::time_t::MAX);
    // Below 10^9, which every `long` holds.
    timer.it_value.tv_nsec = (at_us % 1_000_000 * 1_000).try_into().unwrap_or(999_999_999);
    // SAFETY: `timer` outlives the call, and the old value is not asked for.
    let result = unsafe {
        libc::timerfd_settime(fd.as_raw_fd(), libc::TFD_TIMER_ABSTIME, &timer, ptr::null_mut())
    };
    check(result).map(drop)
}

/// A descriptor that becomes readable when the machine wakes up or CLOCK_REALTIME is set, and at no
/// other time: timerfd_create(2) with TFD_TIMER_CANCEL_ON_SET, armed for the end of time.
pub(super) fn cancelled_timerfd() -> io::Result<OwnedFd> {
    let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
    // SAFETY: takes numbers only.
    let fd = own(unsafe { libc::timerfd_create(libc::CLOCK_REALTIME, flags) })?;
    // SAFETY: all zeroes is a valid `itimerspec`.
    let mut timer: libc::itimerspec = unsafe { zeroed() };
    // As far off as a 32-bit time_t can tell, or more than a human life.
    timer.it_value.tv_sec = libc::time_t::try_from(0xFFFF_FFFF_u64).unwrap_or(libc::time_t::MAX);
    let flags = libc::TFD_TIMER_ABSTIME | libc::TFD_TIMER_CANCEL_ON_SET;
    // SAFETY: `timer` outlives the call, and the old value is not asked for.
    check(unsafe { libc::timerfd_settime(fd.as_raw_fd(), flags, &timer, ptr::null_mut()) })?;
    Ok(fd)
}

/// Whether a timer of [`cancelled_timerfd`] was cancelled since the last call.
pub(super) fn was_cancelled(fd: BorrowedFd<'_>) -> bool {
    let mut fired = 0_u64;
    let into = ptr::from_mut(&mut fired).cast();
    // SAFETY: the eight bytes outlive the call.
    let read = unsafe { libc::read(fd.as_raw_fd(), into, size_of_val(&fired)) };
    read < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ECANCELED)
}

/// A descriptor that is readable when either of these is: epoll_create1(2).
pub(super) fn either(fds: [BorrowedFd<'_>; 2]) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    let epoll = own(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
    for fd in fds {
        // All flags are positive.
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
        let (add, raw) = (libc::EPOLL_CTL_ADD, fd.as_raw_fd());
        // SAFETY: `event` outlives the call.
        check(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), add, raw, &mut event) })?;
    }
    Ok(epoll)
}

/// eventfd(2).
pub(super) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    own(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })
}

/// Adds one to an eventfd; one that is full wakes just as well. Async-signal-safe: write(2) is, and
/// `errno` is left as it was.
pub(super) fn eventfd_add(fd: RawFd) {
    let one = 1_u64;
    // SAFETY: the C library's accessor has no precondition.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: it points to this thread's own `errno`.
    let before = unsafe { *errno };
    // SAFETY: the eight bytes outlive the call. A descriptor that is none gives an error.
    unsafe { libc::write(fd, ptr::from_ref(&one).cast(), size_of_val(&one)) };
    // SAFETY: as above.
    unsafe { *errno = before };
}

/// Sets an eventfd back to zero.
pub(super) fn eventfd_take(fd: RawFd) {
    let mut count = 0_u64;
    // SAFETY: the eight bytes outlive the call. A descriptor that is none gives an error.
    unsafe { libc::read(fd, ptr::from_mut(&mut count).cast(), size_of_val(&count)) };
}

/// Takes back what was given away with `into_raw_fd`.
///
/// # Safety
///
/// `fd` came from `into_raw_fd`, and nobody uses it any more.
pub(super) unsafe fn reclaim(fd: RawFd) -> OwnedFd {
    // SAFETY: the caller's promise.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// prctl(2), PR_SET_TIMERSLACK: by how much the kernel may be late for this thread.
pub(super) fn set_timer_slack(ns: u32) -> io::Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, libc::c_ulong::from(ns)) }).map(drop)
}

/// setsockopt(2) with an `int`.
pub(super) fn set_option(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: c_int,
) -> io::Result<()> {
    // SAFETY: `value` outlives the call and its length goes with it.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            ptr::from_ref(&value).cast(),
            length_of::<c_int>(),
        )
    };
    check(result).map(drop)
}

/// if_nametoindex(3).
pub(super) fn interface_number(name: &str) -> Option<u32> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: if_nametoindex reads a string that ends in NUL.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

/// if_indextoname(3), for no more than whether there is such an interface.
pub(super) fn interface_exists(index: u32) -> bool {
    let mut name = [0; libc::IFNAMSIZ];
    // SAFETY: it writes a name of at most IFNAMSIZ bytes, which outlive the call.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr()) };
    !found.is_null()
}

/// setsockopt(2), SO_ATTACH_FILTER.
pub(super) fn attach_filter(fd: BorrowedFd<'_>, program: &[Instruction]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: program.len().try_into().map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: `program` and the instructions that it points to, which have the kernel's layout,
    // outlive the call; the kernel copies them and does not write.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            ptr::from_ref(&program).cast(),
            length_of::<libc::sock_fprog>(),
        )
    };
    check(result).map(drop)
}

/// socket(2) that never blocks.
fn socket(domain: c_int, kind: c_int, protocol: c_int) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    own(unsafe { libc::socket(domain, kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, protocol) })
}

/// A packet socket without a protocol: it receives nothing before [`packet_bind`].
pub(super) fn packet_socket() -> io::Result<OwnedFd> {
    socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0)
}

/// A netlink socket for rtnetlink.
pub(super) fn netlink_socket() -> io::Result<OwnedFd> {
    socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)
}

fn link_address(interface: u32, ethertype: u16, to: [u8; 6]) -> libc::sockaddr_ll {
    // SAFETY: all zeroes is a valid `sockaddr_ll`.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = family_number(libc::AF_PACKET);
    address.sll_protocol = ethertype.to_be();
    // The kernel's own numbers, which are positive `int`s.
    address.sll_ifindex = interface.try_into().unwrap_or(0);
    address.sll_halen = 6;
    if let Some(start) = address.sll_addr.first_chunk_mut() {
        *start = to;
    }
    address
}

fn family_number(family: c_int) -> libc::sa_family_t {
    libc::sa_family_t::try_from(family).unwrap_or(0)
}

/// bind(2) of a packet socket to an interface and an EtherType.
pub(super) fn packet_bind(fd: BorrowedFd<'_>, interface: u32, ethertype: u16) -> io::Result<()> {
    let address = link_address(interface, ethertype, [0; 6]);
    // SAFETY: `address` outlives the call and its length goes with it.
    let result = unsafe {
        libc::bind(fd.as_raw_fd(), ptr::from_ref(&address).cast(), length_of::<libc::sockaddr_ll>())
    };
    check(result).map(drop)
}

/// sendto(2) on a packet socket; the kernel writes the link header.
pub(super) fn packet_send(
    fd: BorrowedFd<'_>,
    interface: u32,
    to: [u8; 6],
    ethertype: u16,
    payload: &[u8],
) -> io::Result<usize> {
    let address = link_address(interface, ethertype, to);
    // SAFETY: `payload` and `address` outlive the call and their lengths go with them.
    check_size(unsafe {
        libc::sendto(
            fd.as_raw_fd(),
            payload.as_ptr().cast(),
            payload.len(),
            libc::MSG_NOSIGNAL,
            ptr::from_ref(&address).cast(),
            length_of::<libc::sockaddr_ll>(),
        )
    })
}

/// bind(2) of a netlink socket to an address that the kernel chooses, and to these groups (a bit
/// each).
pub(super) fn netlink_bind(fd: BorrowedFd<'_>, groups: u32) -> io::Result<()> {
    // SAFETY: all zeroes is a valid `sockaddr_nl`.
    let mut address: libc::sockaddr_nl = unsafe { zeroed() };
    address.nl_family = family_number(libc::AF_NETLINK);
    address.nl_groups = groups;
    // SAFETY: `address` outlives the call and its length goes with it.
    let result = unsafe {
        libc::bind(fd.as_raw_fd(), ptr::from_ref(&address).cast(), length_of::<libc::sockaddr_nl>())
    };
    check(result).map(drop)
}

/// send(2) to whom the socket speaks by default; for netlink that is the kernel.
pub(super) fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: `bytes` outlives the call and its length goes with it.
    check_size(unsafe {
        libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL)
    })
}

/// recv(2): how long the datagram was, which may be more than the buffer holds (`MSG_TRUNC`).
pub(super) fn receive_payload(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `buffer` is borrowed exclusively and outlives the call, and its length goes with it.
    check_size(unsafe {
        libc::recv(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_TRUNC)
    })
}

/// Room for the control messages of one [`receive`].
#[derive(Debug)]
#[repr(C, align(8))]
pub(super) struct Control([u8; 256]);

impl Control {
    pub(super) const fn new() -> Self {
        Self([0; 256])
    }
}

/// What [`receive`] returned besides the bytes.
pub(super) struct Message<'c> {
    /// How long the message was; with `MSG_TRUNC` more than the buffer holds.
    pub(super) length: usize,
    /// `MSG_TRUNC` and the like.
    pub(super) flags: c_int,
    /// The control messages, as the kernel laid them out.
    pub(super) control: &'c [u8],
    address: libc::sockaddr_storage,
}

/// recvmsg(2). `MSG_TRUNC` is passed, so that the length is that of the whole message.
pub(super) fn receive<'c>(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    control: &'c mut Control,
) -> io::Result<Message<'c>> {
    // SAFETY: all zeroes is a valid `sockaddr_storage`, and is what a socket without an address
    // leaves.
    let mut address: libc::sockaddr_storage = unsafe { zeroed() };
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all zeroes is a valid `msghdr`; some C libraries have hidden fields in it.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = ptr::from_mut(&mut address).cast();
    header.msg_namelen = length_of::<libc::sockaddr_storage>();
    header.msg_iov = &mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len().try_into().unwrap_or(0);
    // SAFETY: the header points to `address`, `part`, `buffer` and `control`, which are borrowed
    // exclusively and outlive the call; each length is that of its memory.
    let length =
        check_size(unsafe { libc::recvmsg(fd.as_raw_fd(), &mut header, libc::MSG_TRUNC) })?;
    // The type of the length differs between C libraries.
    #[allow(clippy::unnecessary_cast, reason = "u32 with musl, usize with glibc")]
    let control_length = header.msg_controllen as usize;
    let control = control.0.get(..control_length).unwrap_or(&[]);
    Ok(Message { length, flags: header.msg_flags, control, address })
}

impl Message<'_> {
    fn family(&self) -> c_int {
        c_int::from(self.address.ss_family)
    }

    /// The sender of a datagram.
    pub(super) fn socket_address(&self) -> Option<SocketAddr> {
        let storage = ptr::from_ref(&self.address);
        match self.family() {
            libc::AF_INET => {
                // SAFETY: the family says that the kernel wrote a `sockaddr_in`, which any storage
                // holds, aligned.
                let address = unsafe { storage.cast::<libc::sockaddr_in>().read() };
                let ip = u32::from_be(address.sin_addr.s_addr).into();
                Some(SocketAddrV4::new(ip, u16::from_be(address.sin_port)).into())
            }
            libc::AF_INET6 => {
                // SAFETY: as above, of `sockaddr_in6`.
                let address = unsafe { storage.cast::<libc::sockaddr_in6>().read() };
                let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
                let (flow, scope) = (address.sin6_flowinfo, address.sin6_scope_id);
                Some(SocketAddrV6::new(ip, u16::from_be(address.sin6_port), flow, scope).into())
            }
            _ => None,
        }
    }

    /// The sender of a frame: its address, the EtherType, and the kernel's packet type.
    pub(super) fn link_sender(&self) -> Option<([u8; 6], u16, u8)> {
        if self.family() != libc::AF_PACKET {
            return None;
        }
        // SAFETY: the family says that the kernel wrote a `sockaddr_ll`, which any storage holds,
        // aligned.
        let address = unsafe { ptr::from_ref(&self.address).cast::<libc::sockaddr_ll>().read() };
        let [a, b, c, d, e, f, ..] = address.sll_addr;
        Some(([a, b, c, d, e, f], u16::from_be(address.sll_protocol), address.sll_pkttype))
    }

    /// The port of a netlink sender; the kernel's is 0.
    pub(super) fn netlink_sender(&self) -> Option<u32> {
        if self.family() != libc::AF_NETLINK {
            return None;
        }
        // SAFETY: the family says that the kernel wrote a `sockaddr_nl`, which any storage holds,
        // aligned.
        let address = unsafe { ptr::from_ref(&self.address).cast::<libc::sockaddr_nl>().read() };
        Some(address.nl_pid)
    }
}

/// clock_adjtime(2) of CLOCK_REALTIME: a jump by so much.
pub(super) fn clock_step(offset_ns: i64) -> io::Result<()> {
    // SAFETY: all zeroes is a valid `timex`.
    let mut change: libc::timex = unsafe { zeroed() };
    change.modes = libc::ADJ_SETOFFSET | libc::ADJ_NANO;
    // The kernel wants the fraction to be positive.
    change.time.tv_sec = offset_ns
        .div_euclid(1_000_000_000)
        .try_into()
        .map_err(|_| io::Error::from_raw_os_error(libc::ERANGE))?;
    change.time.tv_usec = offset_ns
        .rem_euclid(1_000_000_000)
        .try_into()
        .map_err(|_| io::Error::from_raw_os_error(libc::ERANGE))?;
    // SAFETY: `change` is borrowed exclusively and outlives the call.
    check(unsafe { libc::clock_adjtime(libc::CLOCK_REALTIME, &mut change) }).map(drop)
}

/// clock_adjtime(2) of CLOCK_REALTIME as adjtime(3) uses it: so much, at 500 microseconds a second.
pub(super) fn clock_slew(offset_us: i64) -> io::Result<()> {
    // SAFETY: all zeroes is a valid `timex`.
    let mut change: libc::timex = unsafe { zeroed() };
    change.modes = libc::ADJ_OFFSET_SINGLESHOT;
    change.offset = offset_us.try_into().map_err(|_| io::Error::from_raw_os_error(libc::ERANGE))?;
    // SAFETY: `change` is borrowed exclusively and outlives the call.
    check(unsafe { libc::clock_adjtime(libc::CLOCK_REALTIME, &mut change) }).map(drop)
}

/// clock_adjtime(2) of CLOCK_REALTIME: what it is now.
fn clock_state() -> io::Result<libc::timex> {
    // SAFETY: all zeroes is a valid `timex`.
    let mut state: libc::timex = unsafe { zeroed() };
    // SAFETY: `state` is borrowed exclusively and outlives the call.
    check(unsafe { libc::clock_adjtime(libc::CLOCK_REALTIME, &mut state) })?;
    Ok(state)
}

/// clock_adjtime(2) of CLOCK_REALTIME: changes its rate by so many units of 2^-16 ppm, up to the
/// kernel's 500 ppm.
pub(super) fn clock_rate(units: i64) -> io::Result<()> {
    const MOST: i64 = 500 << 16;
    let mut change = clock_state()?;
    let rate = i64::from(change.freq).saturating_add(units).clamp(-MOST, MOST);
    change.modes = libc::ADJ_FREQUENCY;
    change.freq = rate.try_into().map_err(|_| io::Error::from_raw_os_error(libc::ERANGE))?;
    // SAFETY: `change` is borrowed exclusively and outlives the call.
    check(unsafe { libc::clock_adjtime(libc::CLOCK_REALTIME, &mut change) }).map(drop)
}

/// clock_adjtime(2) of CLOCK_REALTIME: which of STA_INS and STA_DEL is set; the rest stays.
pub(super) fn clock_leap(flag: c_int) -> io::Result<()> {
    let mut change = clock_state()?;
    change.modes = libc::ADJ_STATUS;
    change.status = change.status & !(libc::STA_INS | libc::STA_DEL) | flag;
    // SAFETY: `change` is borrowed exclusively and outlives the call.
    check(unsafe { libc::clock_adjtime(libc::CLOCK_REALTIME, &mut change) }).map(drop)
}

/// clock_adjtime(2) of CLOCK_REALTIME: whether STA_UNSYNC is set, and the bounds of the error.
pub(super) fn clock_synchronised(error_us: Option<u64>) -> io::Result<()> {
    /// Where the kernel stops to count: NTP_PHASE_LIMIT.
    const MOST_US: libc::c_long = 16_000_000;
    let mut change = clock_state()?;
    let us = error_us.map_or(MOST_US, |us| us.try_into().unwrap_or(MOST_US).min(MOST_US));
    change.modes = libc::ADJ_STATUS | libc::ADJ_MAXERROR | libc::ADJ_ESTERROR;
    change.status = match error_us {
        Some(_) => change.status & !libc::STA_UNSYNC,
        None => change.status | libc::STA_UNSYNC,
    };
    (change.maxerror, change.esterror) = (us, us);
    // SAFETY: `change` is borrowed exclusively and outlives the call.
    check(unsafe { libc::clock_adjtime(libc::CLOCK_REALTIME, &mut change) }).map(drop)
}

/// sync(2): what was written goes to the disks.
pub(super) fn sync() {
    // SAFETY: takes nothing.
    unsafe { libc::sync() };
}

/// reboot(2). Returns only if it failed.
pub(super) fn reboot() -> io::Error {
    // SAFETY: takes a number only.
    unsafe { libc::reboot(libc::RB_AUTOBOOT) };
    io::Error::last_os_error()
}

/// unshare(2).
pub(super) fn unshare(flags: c_int) -> io::Result<()> {
    // SAFETY: takes a number only.
    check(unsafe { libc::unshare(flags) }).map(drop)
}

/// getuid(2) and getgid(2), the effective ones.
pub(super) fn identity() -> (u32, u32) {
    // SAFETY: takes nothing and cannot fail.
    let user = unsafe { libc::geteuid() };
    // SAFETY: takes nothing and cannot fail.
    let group = unsafe { libc::getegid() };
    (user, group)
}
