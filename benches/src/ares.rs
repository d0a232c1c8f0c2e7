//! c-ares and getaddrinfo(3), through the functions of `ares.c`.

use core::ffi::{CStr, c_char, c_void};
use std::ffi::CString;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Once;

use crate::measure::{Cost, Cpu, measure, now_ns};

/// A pointer that C made.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Made(*mut c_void);

// SAFETY: as `ares.c` beside this file defines them.
unsafe extern "C" {
    fn bench_ares_init();
    fn bench_ares_allocations() -> u64;
    fn bench_ares_parse(bytes: *const u8, length: i32, out: *mut u32, room: i32) -> i32;
    fn bench_ares_query(name: *const c_char, id: u16) -> i32;
    fn bench_ares_channel(server: *const c_char) -> Made;
    fn bench_ares_lookups(load: Made, both: i32, at_once: i32, total: i32);
    fn bench_ares_close(load: Made);
    fn bench_getaddrinfo(port: u16, both: i32, threads: i32, total: i32, spent: *mut u64) -> i32;
}

fn init() {
    static INIT: Once = Once::new();
    // SAFETY: called once, before anything else of c-ares.
    INIT.call_once(|| unsafe { bench_ares_init() });
}

fn int(n: usize) -> i32 {
    i32::try_from(n).expect("a small number")
}

/// The cost of `work` with what C allocated in it, which the allocator of Rust does not see.
#[allow(clippy::cast_precision_loss, reason = "figures of a table")]
fn counted(operations: usize, work: impl FnOnce() -> Cost) -> Cost {
    init();
    // SAFETY: no precondition.
    let before = unsafe { bench_ares_allocations() };
    let cost = work();
    // SAFETY: no precondition.
    let after = unsafe { bench_ares_allocations() };
    Cost { allocations: (after - before) as f64 / operations as f64, ..cost }
}

/// The addresses of a response, `times` times.
pub(crate) fn parse(times: usize, bytes: &[u8]) -> Cost {
    counted(times, || {
        crate::measure::repeat(times, || {
            _ = std::hint::black_box(addresses(std::hint::black_box(bytes)))
        })
    })
}

/// The addresses of a response; `None` if c-ares refuses it.
pub(crate) fn addresses(bytes: &[u8]) -> Option<([Ipv4Addr; 32], usize)> {
    init();
    let mut out = [0_u32; 32];
    // SAFETY: both are as long as is said, and `out` has room for 32 addresses.
    let count = unsafe { bench_ares_parse(bytes.as_ptr(), int(bytes.len()), out.as_mut_ptr(), 32) };
    let count = usize::try_from(count).ok()?;
    Some((out.map(|address| Ipv4Addr::from(address.to_ne_bytes())), count))
}

/// Writes a query for `name`, `times` times.
pub(crate) fn encode(times: usize, name: &CStr) -> Cost {
    counted(times, || {
        crate::measure::repeat(times, || {
            // SAFETY: a string that ends in NUL.
            std::hint::black_box(unsafe {
                bench_ares_query(std::hint::black_box(name.as_ptr()), 1)
            });
        })
    })
}

/// So many lookups on one channel: `ares_getaddrinfo` for both families, or `ares_query` for an A.
pub(crate) fn lookups(server: SocketAddr, both: bool, at_once: usize, total: usize) -> Cost {
    let text = CString::new(server.to_string()).expect("no NUL");
    counted(total, || {
        // SAFETY: a string that ends in NUL; the channel is closed once, at the end.
        let channel = unsafe { bench_ares_channel(text.as_ptr()) };
        // SAFETY: the channel is open.
        let cost = measure(Cpu::Thread, total, || unsafe {
            bench_ares_lookups(channel, both.into(), int(at_once), int(total));
        });
        // SAFETY: nobody uses it any more.
        unsafe { bench_ares_close(channel) };
        cost
    })
}

/// So many lookups in so many threads; `None` if the C library of this machine asks somebody else.
#[allow(clippy::cast_precision_loss, reason = "figures of a table")]
pub(crate) fn getaddrinfo(
    server: SocketAddr,
    both: bool,
    at_once: usize,
    total: usize,
) -> Option<Cost> {
    let (mut spent, start) = (0_u64, now_ns());
    // SAFETY: `spent` may be written to; one call at a time.
    let found = unsafe {
        bench_getaddrinfo(server.port(), both.into(), int(at_once), int(total), &raw mut spent)
    };
    let wall = now_ns() - start;
    let per = |ns: u64| ns as f64 / total as f64;
    // What the C library allocates is not counted.
    let cost = Cost { cpu_ns: per(spent), wall_ns: per(wall), allocations: f64::NAN };
    (found == int(total)).then_some(cost)
}
