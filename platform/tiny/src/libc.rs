//! What the program itself wants of the C library, declared by hand and one call to a function.

use core::ffi::{c_int, c_ulong, c_void};
use core::mem::MaybeUninit;
use core::ptr;

#[link(name = "c")]
unsafe extern "C" {
    #[link_name = "abort"]
    fn c_abort() -> !;
    #[link_name = "write"]
    fn c_write(fd: c_int, bytes: *const c_void, length: usize) -> isize;
    fn signal(number: c_int, handler: extern "C" fn(c_int)) -> *const c_void;
    fn pthread_create(
        thread: *mut c_ulong,
        attributes: *const c_void,
        start: extern "C" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void,
    ) -> c_int;
    fn pthread_detach(thread: c_ulong) -> c_int;
    fn capget(header: *mut CapabilityHeader, data: *mut [CapabilityData; 2]) -> c_int;
}

/// `struct __user_cap_header_struct` of linux/capability.h.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: c_int,
}

/// `struct __user_cap_data_struct`: of 32 capabilities.
#[repr(C)]
#[derive(Default)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`: two words of capabilities.
const CAPABILITY_VERSION: u32 = 0x2008_0522;
const CAP_NET_RAW: u32 = 13;

const SIGINT: c_int = 2;
const SIGTERM: c_int = 15;

/// abort(3).
pub(crate) fn abort() -> ! {
    // SAFETY: it takes nothing and does not return.
    unsafe { c_abort() }
}

/// write(2), once: who cannot be told is not told.
pub(crate) fn write(fd: c_int, bytes: &[u8]) {
    // SAFETY: the bytes with their length.
    unsafe { c_write(fd, bytes.as_ptr().cast(), bytes.len()) };
}

/// signal(2), for the two signals that ask a program to end.
pub(crate) fn on_end(handler: extern "C" fn(c_int)) {
    for number in [SIGINT, SIGTERM] {
        // SAFETY: the handler is async-signal-safe: it raises a flag.
        unsafe { signal(number, handler) };
    }
}

/// capget(2): whether this process has CAP_NET_RAW; `None` if the kernel does not say.
pub(crate) fn may_open_packet_sockets() -> Option<bool> {
    let mut header = CapabilityHeader { version: CAPABILITY_VERSION, pid: 0 };
    let mut data = <[CapabilityData; 2]>::default();
    // SAFETY: a header, and the two words that its version stands for.
    let failed = unsafe { capget(&mut header, &mut data) };
    (failed == 0).then_some(data[0].effective & 1 << CAP_NET_RAW != 0)
}

/// pthread_create(3): a thread that nobody waits for. Whether it could be had.
pub(crate) fn run_beside(start: extern "C" fn(*mut c_void) -> *mut c_void) -> bool {
    let mut thread = MaybeUninit::<c_ulong>::uninit();
    // SAFETY: room for a `pthread_t`, which is a `long` or a pointer; default attributes.
    let failed =
        unsafe { pthread_create(thread.as_mut_ptr(), ptr::null(), start, ptr::null_mut()) };
    if failed != 0 {
        return false;
    }
    // SAFETY: it was written.
    let thread = unsafe { thread.assume_init() };
    // SAFETY: the thread is ours, and neither joined nor detached.
    unsafe { pthread_detach(thread) };
    true
}
