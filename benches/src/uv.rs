//! libuv, through the functions of `uv.c`.

use core::ffi::c_void;

use crate::attach::{Loop, Post, Sink};

/// A pointer that C made and that lives for the rest of the program.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Made(*mut c_void);

// SAFETY: as `uv.c` beside this file defines them.
unsafe extern "C" {
    fn bench_uv_queue() -> Made;
    fn bench_uv_post(queue: Made, stamp: u64);
    fn bench_uv_run(queue: Made, sink: *mut c_void, total: u64);
    fn bench_uv_fds(fds: *const i32, count: i32) -> Made;
    fn bench_uv_turn(fds: Made);
    fn bench_uv_echo(fds: *const i32, count: i32) -> Made;
    fn bench_uv_echo_run(echo: Made, total: u64);
    fn bench_uv_timers(due: i32, others: i32, far_ms: *const u64) -> Made;
    fn bench_uv_arm_and_cancel(timers: Made, ms: u64);
    fn bench_uv_arm_and_fire(timers: Made);
}

/// # Safety
///
/// `sink` is the pointer that was given to `bench_uv_run`, on the same thread, while it runs.
#[unsafe(no_mangle)]
unsafe extern "C" fn bringup_bench_take(sink: *mut c_void, stamp: u64) {
    // SAFETY: the caller's promise: nobody else has a reference meanwhile.
    unsafe { &mut *sink.cast::<Sink>() }.take(stamp);
}

fn count(fds: &[i32]) -> i32 {
    i32::try_from(fds.len()).expect("a small number")
}

/// A list under a mutex, and an async handle.
pub(crate) struct Uv(Made);

pub(crate) struct UvPost(Made);

// SAFETY: `bench_uv_post` locks, and `uv_async_send` may be called from any thread.
unsafe impl Send for UvPost {}

impl Post for UvPost {
    fn post(&mut self, stamp: u64) {
        // SAFETY: the queue lives for the rest of the program.
        unsafe { bench_uv_post(self.0, stamp) };
    }
}

impl Loop for Uv {
    type Post = UvPost;
    fn new() -> Self {
        // SAFETY: no precondition.
        Self(unsafe { bench_uv_queue() })
    }
    fn poster(&mut self, _: usize) -> UvPost {
        UvPost(self.0)
    }
    fn run(&mut self, mut sink: Sink, total: usize) -> Sink {
        // SAFETY: the sink outlives the call, and nothing else has a reference to it.
        unsafe { bench_uv_run(self.0, (&raw mut sink).cast(), total as u64) };
        sink
    }
}

/// Descriptors that are watched and read.
pub(crate) struct UvFds(Made);

impl UvFds {
    pub(crate) fn new(fds: &[i32]) -> Self {
        // SAFETY: the numbers are read during the call.
        Self(unsafe { bench_uv_fds(fds.as_ptr(), count(fds)) })
    }

    pub(crate) fn turn(&mut self) {
        // SAFETY: it lives for the rest of the program.
        unsafe { bench_uv_turn(self.0) };
    }
}

/// Sockets that echo.
pub(crate) struct UvEcho(Made);

impl UvEcho {
    pub(crate) fn new(fds: &[i32]) -> Self {
        // SAFETY: the numbers are read during the call; the sockets are libuv's from now on.
        Self(unsafe { bench_uv_echo(fds.as_ptr(), count(fds)) })
    }

    pub(crate) fn run(&mut self, total: usize) {
        // SAFETY: it lives for the rest of the program.
        unsafe { bench_uv_echo_run(self.0, total as u64) };
    }
}

/// Timers of a millisecond's grain.
pub(crate) struct UvTimers(Made);

impl UvTimers {
    pub(crate) fn new(due: u64, far_ms: &[u64]) -> Self {
        let small = |n: usize| i32::try_from(n).expect("a small number");
        let due = i32::try_from(due).expect("a small number");
        // SAFETY: the numbers are read during the call.
        Self(unsafe { bench_uv_timers(due, small(far_ms.len()), far_ms.as_ptr()) })
    }

    pub(crate) fn arm_and_cancel(&mut self, ms: u64) {
        // SAFETY: it lives for the rest of the program.
        unsafe { bench_uv_arm_and_cancel(self.0, ms) };
    }

    pub(crate) fn arm_and_fire(&mut self) {
        // SAFETY: it lives for the rest of the program.
        unsafe { bench_uv_arm_and_fire(self.0) };
    }
}
