//! Signals, as far as the tests need them.

use core::ffi::{c_int, c_ulong};

/// SIGHUP, SIGALRM and SIGUSR1 (Linux's number): one for each test that wants a handler of its own.
pub(crate) const HANGUP: c_int = 1;
pub(crate) const ALARM: c_int = 14;
#[cfg(test)]
pub(crate) const USER: c_int = 10;

// SAFETY: as POSIX declares them; a `pthread_t` is an `unsigned long` or a pointer, a handler
// an address.
unsafe extern "C" {
    fn signal(number: c_int, handler: extern "C" fn(c_int)) -> usize;
    fn pthread_self() -> c_ulong;
    fn pthread_kill(thread: c_ulong, number: c_int) -> c_int;
}

/// Names a thread that can be sent the signal.
#[derive(Clone, Copy)]
pub(crate) struct Target(c_ulong);

pub(crate) fn this_thread() -> Target {
    // SAFETY: no precondition.
    Target(unsafe { pthread_self() })
}

/// From now on `handler` runs when the signal arrives.
pub(crate) fn handle(number: c_int, handler: extern "C" fn(c_int)) {
    // SAFETY: the handlers of the tests make async-signal-safe calls only.
    unsafe { signal(number, handler) };
}

/// Sends the signal. The thread must not have ended.
pub(crate) fn send(target: Target, number: c_int) {
    // SAFETY: the tests join the target later.
    assert_eq!(unsafe { pthread_kill(target.0, number) }, 0);
}
