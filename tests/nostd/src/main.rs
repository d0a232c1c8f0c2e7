//! A program without std: after a millisecond a timer sends a datagram to the program's own socket;
//! an attached request and the datagram that arrives end it. Exit status 0 if all that happened.
//!
//! Linux, the C library and nothing else. What it calls is declared here by hand.
#![no_std]
#![no_main]

// Linked for the proof that they need no std; nothing of them is left in the program.
extern crate bringup_dhcp as _;
extern crate bringup_dns as _;
extern crate bringup_ntp as _;
extern crate bringup_system as _;

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_long, c_void};
use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use bringup_core::attach::{AttachQueue, Node, Outcome};
use bringup_core::client::Rng;
use bringup_core::event_loop::{Application, EventLoop, LoopStorage, Ready, Registrar};
use bringup_core::platform::{Arm, Platform, RawLock, Received, SystemOps, UdpOptions, Wake};
use bringup_core::poll::{Interest, PollError, PollStorage, UnixPoll};
use bringup_core::time::{Duration, Instant, Utc};
use bringup_core::timer::Owner;

#[repr(C)]
struct Timespec {
    tv_sec: c_long,
    tv_nsec: c_long,
}

/// `struct sockaddr_in`.
#[repr(C)]
struct SockaddrIn {
    family: u16,
    port_be: u16,
    addr_be: u32,
    zero: [u8; 8],
}

const AF_INET: c_int = 2;
/// `SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC`.
const DGRAM: c_int = 2 | 0o4000 | 0o2_000_000;
/// `EFD_NONBLOCK | EFD_CLOEXEC`.
const EFD: c_int = 0o4000 | 0o2_000_000;
const CLOCK_REALTIME: c_int = 0;
const CLOCK_BOOTTIME: c_int = 7;
const ADDRESS_SIZE: u32 = size_of::<SockaddrIn>() as u32;

#[link(name = "c")]
unsafe extern "C" {
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn bind(fd: c_int, address: *const SockaddrIn, size: u32) -> c_int;
    fn getsockname(fd: c_int, address: *mut SockaddrIn, size: *mut u32) -> c_int;
    fn sendto(
        fd: c_int,
        bytes: *const c_void,
        length: usize,
        flags: c_int,
        to: *const SockaddrIn,
        size: u32,
    ) -> isize;
    fn recvfrom(
        fd: c_int,
        bytes: *mut c_void,
        length: usize,
        flags: c_int,
        from: *mut SockaddrIn,
        size: *mut u32,
    ) -> isize;
    fn close(fd: c_int) -> c_int;
    fn eventfd(value: u32, flags: c_int) -> c_int;
    fn read(fd: c_int, bytes: *mut c_void, length: usize) -> isize;
    fn write(fd: c_int, bytes: *const c_void, length: usize) -> isize;
    fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
    fn getrandom(bytes: *mut c_void, length: usize, flags: u32) -> isize;
    fn _exit(status: c_int) -> !;
}

const fn sockaddr(address: SocketAddrV4) -> SockaddrIn {
    SockaddrIn {
        family: AF_INET as u16,
        port_be: address.port().to_be(),
        addr_be: u32::from_ne_bytes(address.ip().octets()),
        zero: [0; 8],
    }
}

/// A lock that spins while it is taken, which with one thread is never.
struct SpinLock(AtomicBool);

// SAFETY: one holder at a time (compare-and-swap), acquire and release; nothing unwinds here.
unsafe impl RawLock for SpinLock {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        while self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            core::hint::spin_loop();
        }
        let result = f();
        self.0.store(false, Ordering::Release);
        result
    }
}

/// An eventfd; 0, which was open before, while it is not armed.
struct EventFd(AtomicI32);

impl Wake for EventFd {
    fn wake(&self) {
        let one = 1_u64;
        // SAFETY: eight bytes that outlive the call. A bad descriptor is an error, no harm.
        unsafe { write(self.0.load(Ordering::Acquire), (&raw const one).cast(), 8) };
    }

    fn clear(&self) {
        let mut count = 0_u64;
        // SAFETY: room for eight bytes.
        unsafe { read(self.0.load(Ordering::Acquire), (&raw mut count).cast(), 8) };
    }
}

struct Ops;
impl SystemOps for Ops {
    type Lock = SpinLock;
    type Wake = EventFd;
}

struct Libc {
    poll: UnixPoll<'static>,
}

fn clock(which: c_int) -> Timespec {
    let mut time = Timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for the result; these clocks exist.
    unsafe { clock_gettime(which, &raw mut time) };
    time
}

fn checked(result: c_int) -> Result<c_int, PollError> {
    if result < 0 { Err(PollError::Os(result)) } else { Ok(result) }
}

impl Rng for Libc {
    fn fill(&mut self, buffer: &mut [u8]) {
        // SAFETY: the buffer and its length.
        unsafe { getrandom(buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    }
}

impl Platform for Libc {
    type Poller = UnixPoll<'static>;
    type Handle = c_int;
    type Error = PollError;

    fn now(&mut self) -> Instant {
        let time = clock(CLOCK_BOOTTIME);
        Instant::from_micros(time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000)
    }

    fn utc(&mut self) -> Utc {
        Utc::from_unix_secs(clock(CLOCK_REALTIME).tv_sec)
    }

    fn poller(&mut self) -> &mut UnixPoll<'static> {
        &mut self.poll
    }

    fn udp_open(&mut self, options: &UdpOptions) -> Result<c_int, PollError> {
        let SocketAddr::V4(local) = options.local else { return Err(PollError::NotWatched) };
        // SAFETY: no precondition.
        let fd = checked(unsafe { socket(AF_INET, DGRAM, 0) })?;
        let address = sockaddr(local);
        // SAFETY: an address and its size.
        checked(unsafe { bind(fd, &raw const address, ADDRESS_SIZE) })?;
        Ok(fd)
    }

    fn udp_send(&mut self, fd: c_int, to: SocketAddr, bytes: &[u8]) -> Result<(), PollError> {
        let SocketAddr::V4(to) = to else { return Err(PollError::NotWatched) };
        let (to, bytes, length) = (sockaddr(to), bytes.as_ptr().cast(), bytes.len());
        // SAFETY: bytes with their length, an address with its size.
        let sent = unsafe { sendto(fd, bytes, length, 0, &raw const to, ADDRESS_SIZE) };
        if sent < 0 { Err(PollError::Os(0)) } else { Ok(()) }
    }

    fn udp_receive(&mut self, fd: c_int, buffer: &mut [u8]) -> Result<Option<Received>, PollError> {
        let mut from = sockaddr(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
        let mut size = ADDRESS_SIZE;
        let (bytes, length) = (buffer.as_mut_ptr().cast(), buffer.len());
        // SAFETY: a buffer with its length, an address with its size.
        let got = unsafe { recvfrom(fd, bytes, length, 0, &raw mut from, &raw mut size) };
        let Ok(length) = usize::try_from(got) else { return Ok(None) };
        let ip = Ipv4Addr::from(from.addr_be.to_ne_bytes());
        let from = SocketAddrV4::new(ip, u16::from_be(from.port_be)).into();
        Ok(Some(Received { length, truncated: false, from, at: self.now() }))
    }

    fn close(&mut self, fd: c_int) {
        // SAFETY: the handle is the caller's to give.
        unsafe { close(fd) };
    }
}

impl Arm<Ops> for Libc {
    fn arm(&mut self, wake: &EventFd) -> Result<c_int, PollError> {
        // SAFETY: no precondition.
        let fd = checked(unsafe { eventfd(0, EFD) })?;
        wake.0.store(fd, Ordering::Release);
        Ok(fd)
    }
}

#[derive(Default)]
struct App {
    socket: c_int,
    sent: bool,
    attached: bool,
    received: bool,
}

impl Application<Libc> for App {
    fn dispatch(&mut self, registrar: &mut Registrar<'_, Libc>, ready: Ready) {
        match ready {
            Ready::Timer { .. } => {
                let mut own = sockaddr(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
                let mut size = ADDRESS_SIZE;
                // SAFETY: room for an address, with its size.
                unsafe { getsockname(self.socket, &raw mut own, &raw mut size) };
                let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, u16::from_be(own.port_be));
                self.sent = registrar.platform().udp_send(self.socket, to.into(), b"up").is_ok();
            }
            Ready::Source { .. } => {
                let mut buffer = [0; 16];
                let got = registrar.platform().udp_receive(self.socket, &mut buffer);
                self.received |= matches!(got, Ok(Some(Received { length: 2, .. })));
            }
        }
        if self.received && self.attached {
            registrar.stop();
        }
    }
}

static QUEUE: AttachQueue<App, Libc, Ops> =
    AttachQueue::new(SpinLock(AtomicBool::new(false)), EventFd(AtomicI32::new(0)));
static HELLO: Node<'static, App, Libc, Ops> = Node::new(&QUEUE);

/// Memory that `main` takes once.
struct Once<T>(UnsafeCell<T>);
// SAFETY: only `main` looks at it.
unsafe impl<T> Sync for Once<T> {}

static POLL: Once<PollStorage<4>> = Once(UnsafeCell::new(PollStorage::new()));
static LOOP: Once<LoopStorage<c_int, 2, 2>> = Once(UnsafeCell::new(LoopStorage::new()));

fn run() -> Result<bool, PollError> {
    // SAFETY: called once, by `main`: the only reference there will be.
    let poll = UnixPoll::new(unsafe { &mut *POLL.0.get() });
    // SAFETY: as above.
    let storage = unsafe { &mut *LOOP.0.get() };
    let mut app = App::default();
    let mut event_loop = EventLoop::new(Libc { poll }, storage, &QUEUE)?;
    let mut registrar = event_loop.registrar();
    let local = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into();
    let options =
        UdpOptions { local, peer: None, interface: None, broadcast: false, stamped: false };
    app.socket = registrar.platform().udp_open(&options)?;
    let added = registrar.add_source(Owner::Application, app.socket, Interest::READ).is_ok();
    let deadline = registrar.now() + Duration::from_millis(1);
    let armed =
        registrar.add_timer(Owner::Application).is_ok_and(|t| registrar.set_timer(t, deadline));
    let posted = HELLO.post_static(None, |outcome: Outcome<'_, App, Libc>| {
        if let Outcome::Ready(app, _) = outcome {
            app.attached = true;
        }
    });
    event_loop.run(&mut app)?;
    Ok(added && armed && posted.is_ok() && app.sent && app.received)
}

// The C library's start files are larger than what they do for a program without destructors, threads
// and arguments. Not for a static one, whose C library they set up.
#[cfg(own_start)]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "and rsp, -16",
    "call main",
    "mov edi, eax",
    "call _exit",
);

#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    match run() {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(_) => 2,
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: it does not return.
    unsafe { _exit(134) }
}
