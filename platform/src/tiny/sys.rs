//! The calls of the C library, declared by hand and one to a function. Nothing here decides anything.

#![allow(unsafe_code, reason = "one call per function, each with its argument")]

use core::ffi::{c_char, c_int, c_long, c_uint, c_void};
use core::mem::size_of;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use core::ptr;
use core::sync::atomic::AtomicU32;

use super::error::{Call, EAGAIN, EINTR, TinyError};
use crate::filter::Instruction;

/// `struct timespec` as the unversioned symbols take it: `time_t` is a `long`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Timespec {
    tv_sec: c_long,
    tv_nsec: c_long,
}

/// `struct itimerspec`: the interval, which is none, and the time.
#[repr(C)]
struct TimerSpec {
    interval: Timespec,
    value: Timespec,
}

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    len: u16,
    filter: *const Instruction,
}

/// `struct iovec`.
#[repr(C)]
struct Part {
    base: *mut c_void,
    len: usize,
}

/// `struct msghdr`, as the kernel and glibc have it; musl's is the same but on big-endian 64-bit
/// machines.
#[repr(C)]
struct Header {
    name: *mut c_void,
    name_len: c_uint,
    parts: *mut Part,
    parts_len: usize,
    control: *mut c_void,
    control_len: usize,
    flags: c_int,
}

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
    #[link_name = "abort"]
    fn c_abort() -> !;
    #[link_name = "bind"]
    fn c_bind(fd: c_int, address: *const c_void, length: c_uint) -> c_int;
    #[link_name = "clock_gettime"]
    fn c_clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
    #[link_name = "close"]
    fn c_close(fd: c_int) -> c_int;
    #[link_name = "connect"]
    fn c_connect(fd: c_int, address: *const c_void, length: c_uint) -> c_int;
    #[link_name = "eventfd"]
    fn c_eventfd(value: c_uint, flags: c_int) -> c_int;
    #[link_name = "getrandom"]
    fn c_getrandom(bytes: *mut c_void, length: usize, flags: c_uint) -> isize;
    #[link_name = "getsockname"]
    fn c_getsockname(fd: c_int, address: *mut c_void, length: *mut c_uint) -> c_int;
    #[link_name = "ioctl"]
    fn c_ioctl(fd: c_int, request: c_int, ...) -> c_int;
    #[link_name = "read"]
    fn c_read(fd: c_int, bytes: *mut c_void, length: usize) -> isize;
    #[link_name = "recvmsg"]
    fn c_recvmsg(fd: c_int, header: *mut Header, flags: c_int) -> isize;
    #[link_name = "sendto"]
    fn c_sendto(
        fd: c_int,
        bytes: *const c_void,
        length: usize,
        flags: c_int,
        address: *const c_void,
        address_length: c_uint,
    ) -> isize;
    #[link_name = "setsockopt"]
    fn c_setsockopt(
        fd: c_int,
        level: c_int,
        name: c_int,
        value: *const c_void,
        length: c_uint,
    ) -> c_int;
    #[link_name = "socket"]
    fn c_socket(family: c_int, kind: c_int, protocol: c_int) -> c_int;
    #[link_name = "syscall"]
    fn c_syscall(number: c_long, ...) -> c_long;
    #[link_name = "timerfd_create"]
    fn c_timerfd_create(clock: c_int, flags: c_int) -> c_int;
    #[link_name = "timerfd_settime"]
    fn c_timerfd_settime(
        fd: c_int,
        flags: c_int,
        new: *const TimerSpec,
        old: *mut TimerSpec,
    ) -> c_int;
    #[link_name = "write"]
    fn c_write(fd: c_int, bytes: *const c_void, length: usize) -> isize;
}

pub(super) const CLOCK_REALTIME: c_int = 0;
pub(super) const CLOCK_BOOTTIME: c_int = 7;

pub(super) const AF_INET: c_int = 2;
pub(super) const AF_INET6: c_int = 10;
pub(super) const AF_NETLINK: c_int = 16;
pub(super) const AF_PACKET: c_int = 17;
pub(super) const SOCK_DGRAM: c_int = 2;
pub(super) const SOCK_RAW: c_int = 3;
pub(super) const SOL_PACKET: c_int = 263;
pub(super) const PACKET_AUXDATA: c_int = 8;
pub(super) const PMTUDISC_OMIT: c_int = 5;

const SOL_SOCKET: c_int = 1;
const SO_ATTACH_FILTER: c_int = 26;
const MSG_TRUNC: c_int = 0x20;
const MSG_NOSIGNAL: c_int = 0x4000;
/// What stands for "close on exec" and "never block", the same for sockets, eventfd and timerfd.
const CLOEXEC: c_int = 0o2_000_000;
const NONBLOCK: c_int = 0o4_000;
const TIMER_ABSTIME: c_int = 1;

/// Level and name of a socket option whose value is an `int`.
#[derive(Clone, Copy)]
pub(super) struct SocketOption(c_int, c_int);

impl SocketOption {
    pub(super) const REUSE_ADDRESS: Self = Self(SOL_SOCKET, 2);
    pub(super) const BROADCAST: Self = Self(SOL_SOCKET, 6);
    pub(super) const BIND_TO_INTERFACE: Self = Self(SOL_SOCKET, 62);
    pub(super) const IP_MTU_DISCOVER: Self = Self(0, 10);
    pub(super) const IPV6_MTU_DISCOVER: Self = Self(41, 23);
    pub(super) const IPV6_ONLY: Self = Self(41, 26);
    pub(super) const PACKET_AUXDATA: Self = Self(SOL_PACKET, PACKET_AUXDATA);
}

fn errno() -> c_int {
    // SAFETY: the C library's accessor has no precondition.
    let location = unsafe { __errno_location() };
    // SAFETY: it points to this thread's own `errno`.
    unsafe { *location }
}

fn check(call: Call, result: c_int) -> Result<c_int, TinyError> {
    if result < 0 { Err(TinyError::new(call, errno())) } else { Ok(result) }
}

/// A length as the kernel takes it. All that we pass are below a hundred bytes.
#[allow(clippy::cast_possible_truncation, reason = "the sizes of small structs")]
const fn length_of<T>() -> c_uint {
    size_of::<T>() as c_uint
}

/// abort(3).
pub(super) fn abort() -> ! {
    // SAFETY: it takes nothing and does not return.
    unsafe { c_abort() }
}

/// close(2).
pub(super) fn close(fd: c_int) {
    // SAFETY: takes a number. The handle is the caller's to give.
    unsafe { c_close(fd) };
}

/// clock_gettime(2), in nanoseconds.
pub(super) fn clock_ns(clock: c_int) -> i64 {
    let mut time = Timespec::default();
    // SAFETY: `time` outlives the call. The clocks asked for exist since Linux 2.6.39, so that it
    // cannot fail; zero would remain.
    unsafe { c_clock_gettime(clock, &raw mut time) };
    #[allow(clippy::useless_conversion, reason = "`long` differs between targets")]
    let (seconds, nanos) = (i64::from(time.tv_sec), i64::from(time.tv_nsec));
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// timerfd_create(2) on CLOCK_BOOTTIME.
pub(super) fn timerfd() -> Result<c_int, TinyError> {
    // SAFETY: takes numbers only.
    check(Call::Timer, unsafe { c_timerfd_create(CLOCK_BOOTTIME, NONBLOCK | CLOEXEC) })
}

/// timerfd_settime(2) to an absolute time in microseconds; 0 disarms. Either forgets an expiration
/// that was not read.
pub(super) fn timerfd_set(fd: c_int, at_us: u64) -> Result<(), TinyError> {
    let value = Timespec {
        tv_sec: c_long::try_from(at_us / 1_000_000).unwrap_or(c_long::MAX),
        // Below 10^9, which every `long` holds.
        tv_nsec: c_long::try_from(at_us % 1_000_000 * 1_000).unwrap_or(0),
    };
    let timer = TimerSpec { interval: Timespec::default(), value };
    // SAFETY: `timer` outlives the call, and the old value is not asked for.
    let result = unsafe { c_timerfd_settime(fd, TIMER_ABSTIME, &raw const timer, ptr::null_mut()) };
    check(Call::Timer, result).map(drop)
}

/// eventfd(2).
pub(super) fn eventfd() -> Result<c_int, TinyError> {
    // SAFETY: takes numbers only.
    check(Call::Arm, unsafe { c_eventfd(0, NONBLOCK | CLOEXEC) })
}

/// Adds one to an eventfd; one that is full wakes just as well. Async-signal-safe: write(2) is, and
/// `errno` is left as it was.
pub(super) fn eventfd_add(fd: c_int) {
    let one = 1_u64;
    // SAFETY: the C library's accessor has no precondition.
    let errno = unsafe { __errno_location() };
    // SAFETY: it points to this thread's own `errno`.
    let before = unsafe { *errno };
    // SAFETY: the eight bytes outlive the call. A descriptor that is none gives an error.
    unsafe { c_write(fd, (&raw const one).cast(), size_of::<u64>()) };
    // SAFETY: as above.
    unsafe { *errno = before };
}

/// Sets an eventfd back to zero.
pub(super) fn eventfd_take(fd: c_int) {
    let mut count = 0_u64;
    // SAFETY: the eight bytes outlive the call. A descriptor that is none gives an error.
    unsafe { c_read(fd, (&raw mut count).cast(), size_of::<u64>()) };
}

#[cfg(target_arch = "x86_64")]
const SYS_FUTEX: c_long = 202;
#[cfg(any(target_arch = "x86", target_arch = "arm"))]
const SYS_FUTEX: c_long = 240;
#[cfg(any(target_arch = "powerpc", target_arch = "powerpc64"))]
const SYS_FUTEX: c_long = 221;
#[cfg(target_arch = "s390x")]
const SYS_FUTEX: c_long = 238;
#[cfg(any(target_arch = "aarch64", target_arch = "riscv64", target_arch = "loongarch64"))]
const SYS_FUTEX: c_long = 98;

/// `FUTEX_WAIT | FUTEX_PRIVATE_FLAG`, `FUTEX_WAKE | FUTEX_PRIVATE_FLAG`.
const FUTEX_WAIT: c_int = 128;
const FUTEX_WAKE: c_int = 129;

/// Sleeps until the word is woken, unless it is no longer `value`; a signal ends it, too.
pub(super) fn futex_wait(word: &AtomicU32, value: u32) {
    let no_timeout = ptr::null::<Timespec>();
    // SAFETY: the word outlives the call, and the kernel only compares it.
    unsafe { c_syscall(SYS_FUTEX, word.as_ptr(), FUTEX_WAIT, value, no_timeout) };
}

/// Wakes one who sleeps on the word.
pub(super) fn futex_wake(word: &AtomicU32) {
    // SAFETY: the kernel takes the address as a name, and does not read it.
    unsafe { c_syscall(SYS_FUTEX, word.as_ptr(), FUTEX_WAKE, 1) };
}

/// getrandom(2), until the buffer is full.
pub(super) fn random(mut buffer: &mut [u8]) -> Result<(), TinyError> {
    while !buffer.is_empty() {
        // SAFETY: the buffer and its length.
        let drawn = unsafe { c_getrandom(buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        match usize::try_from(drawn) {
            Ok(drawn) => buffer = buffer.get_mut(drawn..).unwrap_or(&mut []),
            Err(_) if errno() == EINTR => {}
            Err(_) => return Err(TinyError::new(Call::Entropy, errno())),
        }
    }
    Ok(())
}

/// socket(2) that never blocks.
pub(super) fn socket(
    call: Call,
    family: c_int,
    kind: c_int,
    protocol: c_int,
) -> Result<c_int, TinyError> {
    // SAFETY: takes numbers only.
    check(call, unsafe { c_socket(family, kind | NONBLOCK | CLOEXEC, protocol) })
}

/// setsockopt(2) with an `int`.
pub(super) fn set_option(
    call: Call,
    fd: c_int,
    option: SocketOption,
    value: c_int,
) -> Result<(), TinyError> {
    let SocketOption(level, name) = option;
    let (value, length) = ((&raw const value).cast(), length_of::<c_int>());
    // SAFETY: the value outlives the call and its length goes with it.
    check(call, unsafe { c_setsockopt(fd, level, name, value, length) }).map(drop)
}

/// setsockopt(2), SO_ATTACH_FILTER.
pub(super) fn attach_filter(
    call: Call,
    fd: c_int,
    program: &[Instruction],
) -> Result<(), TinyError> {
    let len = u16::try_from(program.len()).unwrap_or(0);
    let program = Program { len, filter: program.as_ptr() };
    let (value, length) = ((&raw const program).cast(), length_of::<Program>());
    // SAFETY: the program and its instructions outlive the call; the kernel copies them.
    check(call, unsafe { c_setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, value, length) }).map(drop)
}

/// Whether there is an interface with this number: ioctl(2), SIOCGIFNAME.
pub(super) fn interface_exists(index: c_int) -> bool {
    /// `struct ifreq` with a number in its union.
    #[repr(C)]
    struct Question {
        name: [c_char; 16],
        index: c_int,
        rest: [u8; 20],
    }
    const SIOCGIFNAME: c_int = 0x8910;
    let Ok(fd) = socket(Call::Netlink, AF_INET, SOCK_DGRAM, 0) else { return false };
    let mut question = Question { name: [0; 16], index, rest: [0; 20] };
    // SAFETY: the kernel reads and writes a `struct ifreq`, which is no larger and outlives the call.
    let known = unsafe { c_ioctl(fd, SIOCGIFNAME, &raw mut question) } == 0;
    close(fd);
    known
}

/// `struct sockaddr_storage`, cut to what our families need, as the kernel's bytes.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(super) struct Address {
    bytes: [u8; 32],
    length: c_uint,
}

impl Address {
    const NONE: Self = Self { bytes: [0; 32], length: 32 };

    /// Writes the fields one after another, from the start.
    fn new(length: c_uint, family: c_int, fields: &[&[u8]]) -> Self {
        let mut address = Self { bytes: [0; 32], length };
        let family = u16::try_from(family).unwrap_or(0).to_ne_bytes();
        let fields = family.iter().chain(fields.iter().copied().flatten());
        address.bytes.iter_mut().zip(fields).for_each(|(to, from)| *to = *from);
        address
    }

    /// `struct sockaddr_in` or `sockaddr_in6`.
    pub(super) fn of(address: SocketAddr) -> Self {
        let port = address.port().to_be_bytes();
        match address {
            SocketAddr::V4(v4) => Self::new(16, AF_INET, &[&port, &v4.ip().octets()]),
            SocketAddr::V6(v6) => {
                let (flow, scope) = (v6.flowinfo().to_ne_bytes(), v6.scope_id().to_ne_bytes());
                Self::new(28, AF_INET6, &[&port, &flow, &v6.ip().octets(), &scope])
            }
        }
    }

    /// `struct sockaddr_ll`.
    pub(super) fn link(interface: u32, ethertype: u16, to: [u8; 6]) -> Self {
        let (protocol, interface) = (ethertype.to_be_bytes(), interface.to_ne_bytes());
        // Behind the interface stand hatype, pkttype and the address' length.
        Self::new(20, AF_PACKET, &[&protocol, &interface, &[0, 0, 0, 6], &to])
    }

    /// `struct sockaddr_nl`: any port, these groups (a bit each).
    pub(super) fn netlink(groups: u32) -> Self {
        Self::new(12, AF_NETLINK, &[&[0; 2], &[0; 4], &groups.to_ne_bytes()])
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let bytes = self.bytes.get(at..).and_then(|bytes| bytes.first_chunk());
        bytes.copied().unwrap_or([0; N])
    }

    pub(super) fn family(&self) -> c_int {
        u16::from_ne_bytes(self.array(0)).into()
    }

    /// The internet address that it is.
    pub(super) fn inet(&self) -> Option<SocketAddr> {
        let port = u16::from_be_bytes(self.array(2));
        match self.family() {
            AF_INET => {
                let ip = Ipv4Addr::from(self.array::<4>(4));
                Some(SocketAddrV4::new(ip, port).into())
            }
            AF_INET6 => {
                let ip = Ipv6Addr::from(self.array::<16>(8));
                let (flow, scope) = (self.array(4), self.array(24));
                let (flow, scope) = (u32::from_ne_bytes(flow), u32::from_ne_bytes(scope));
                Some(SocketAddrV6::new(ip, port, flow, scope).into())
            }
            _ => None,
        }
    }

    /// The interface of a link address.
    pub(super) fn interface(&self) -> u32 {
        u32::from_ne_bytes(self.array(4))
    }

    /// The sender of a frame: its address and the EtherType.
    pub(super) fn link_sender(&self) -> Option<([u8; 6], u16)> {
        (self.family() == AF_PACKET).then(|| (self.array(12), u16::from_be_bytes(self.array(2))))
    }

    /// Whether a netlink message is from the kernel, whose port is 0.
    pub(super) fn is_kernel(&self) -> bool {
        self.family() == AF_NETLINK && self.array(4) == [0; 4]
    }
}

/// bind(2).
pub(super) fn bind(call: Call, fd: c_int, address: &Address) -> Result<(), TinyError> {
    // SAFETY: the address outlives the call and its length goes with it.
    check(call, unsafe { c_bind(fd, address.bytes.as_ptr().cast(), address.length) }).map(drop)
}

/// connect(2).
pub(super) fn connect(call: Call, fd: c_int, address: &Address) -> Result<(), TinyError> {
    // SAFETY: the address outlives the call and its length goes with it.
    check(call, unsafe { c_connect(fd, address.bytes.as_ptr().cast(), address.length) }).map(drop)
}

/// getsockname(2).
pub(super) fn local_address(call: Call, fd: c_int) -> Result<Address, TinyError> {
    let mut address = Address::NONE;
    let (bytes, length) = (address.bytes.as_mut_ptr().cast(), &raw mut address.length);
    // SAFETY: room for an address, with its length.
    check(call, unsafe { c_getsockname(fd, bytes, length) })?;
    Ok(address)
}

/// sendto(2), whole or not at all.
pub(super) fn send_to(call: Call, fd: c_int, bytes: &[u8], to: &Address) -> Result<(), TinyError> {
    let (start, address) = (bytes.as_ptr().cast(), to.bytes.as_ptr().cast());
    // SAFETY: bytes and address outlive the call and their lengths go with them.
    let sent = unsafe { c_sendto(fd, start, bytes.len(), MSG_NOSIGNAL, address, to.length) };
    if sent < 0 { Err(TinyError::new(call, errno())) } else { Ok(()) }
}

/// What [`receive`] returned besides the bytes.
pub(super) struct Message<'c> {
    /// How long the message was, perhaps more than the buffer holds.
    pub(super) length: usize,
    /// The control messages, as the kernel laid them out.
    pub(super) control: &'c [u8],
    pub(super) address: Address,
}

/// recvmsg(2), with `MSG_TRUNC`, so that the length is that of the whole message. `None` when nothing is
/// there, or a signal came; the poller will call again.
pub(super) fn receive<'c>(
    call: Call,
    fd: c_int,
    buffer: &mut [u8],
    control: &'c mut [u64],
) -> Result<Option<Message<'c>>, TinyError> {
    let mut address = Address::NONE;
    let mut part = Part { base: buffer.as_mut_ptr().cast(), len: buffer.len() };
    let mut header = Header {
        name: address.bytes.as_mut_ptr().cast(),
        name_len: address.length,
        parts: &raw mut part,
        parts_len: 1,
        control: control.as_mut_ptr().cast(),
        control_len: size_of_val(control),
        flags: 0,
    };
    // SAFETY: the header points to `address`, `part`, `buffer` and `control`, which are borrowed
    // exclusively and outlive the call; each length is that of its memory.
    let received = unsafe { c_recvmsg(fd, &raw mut header, MSG_TRUNC) };
    let Ok(length) = usize::try_from(received) else {
        return match errno() {
            EAGAIN | EINTR => Ok(None),
            errno => Err(TinyError::new(call, errno)),
        };
    };
    let written = header.control_len.min(size_of_val(control));
    // SAFETY: so many bytes of `control` are there; it is initialised and stays borrowed.
    let control = unsafe { core::slice::from_raw_parts(control.as_ptr().cast(), written) };
    Ok(Some(Message { length, control, address }))
}
