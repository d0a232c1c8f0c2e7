//! What is poll(2)'s alone: descriptors that are not open, and lent memory. The rest of its promises,
//! which every poller makes, is in `scenarios`.

extern crate std;

use super::*;
use crate::testing::{Fresh, signal};
use std::boxed::Box;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::vec::Vec;

impl Fresh for UnixPoll<'static> {
    fn fresh() -> Self {
        UnixPoll::new(Box::leak(Box::new(PollStorage::<8>::new())))
    }
}

const NOW: Option<Duration> = Some(Duration::ZERO);
const READABLE: Readiness =
    Readiness { readable: true, writable: false, error: false, hangup: false, invalid: false };

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().expect("a socket pair")
}

fn results(poll: &mut UnixPoll<'_>) -> Vec<(u32, Readiness)> {
    core::iter::from_fn(|| poll.next_ready()).map(|(token, ready)| (token.0, ready)).collect()
}

std::thread_local! {
    /// How often poll(2) was called.
    pub(super) static CALLS: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
}

#[test]
fn what_is_ready_is_found_in_one_call_and_looks_in_vain_are_few() {
    let (mut a, mut b) = pair();
    let mut poll = UnixPoll::fresh();
    poll.add(a.as_raw_fd(), Token(1), Interest::READ).unwrap();
    let calls = |poll: &mut UnixPoll<'_>, waits| {
        let before = CALLS.get();
        for _ in 0..waits {
            poll.wait(Some(Duration::from_micros(1))).unwrap();
        }
        CALLS.get() - before
    };
    assert_eq!(calls(&mut poll, 1_000), 1_000 + 10, "in vain");
    b.write_all(b"x").unwrap();
    assert_eq!(calls(&mut poll, 1_000), 1_000);
    a.read_exact(&mut [0]).unwrap();
    assert_eq!(calls(&mut poll, 1_000), 1_000 + 10, "in vain again");
    let before = CALLS.get();
    poll.wait(NOW).unwrap();
    assert_eq!(CALLS.get() - before, 1, "nothing to sleep for is a look by itself");
}

/// Far beyond what a process may have open.
const NEVER_OPEN: i32 = 1 << 30;

#[test]
fn a_descriptor_that_is_not_open_is_reported_once() {
    let (a, mut b) = pair();
    let mut storage = PollStorage::<2>::new();
    let mut poll = UnixPoll::new(&mut storage);
    poll.add(NEVER_OPEN, Token(1), Interest::READ).unwrap();
    poll.add(a.as_raw_fd(), Token(2), Interest::READ).unwrap();
    b.write_all(b"x").unwrap();
    poll.wait(None).unwrap();
    let invalid = Readiness { invalid: true, ..Readiness::default() };
    assert_eq!(results(&mut poll), [(1, invalid), (2, READABLE)]);
    poll.wait(NOW).unwrap();
    assert_eq!(results(&mut poll), [(2, READABLE)], "and not spun on");
    assert_eq!(poll.modify(NEVER_OPEN, Token(1), Interest::READ), Err(PollError::NotWatched));
    poll.remove(NEVER_OPEN, Token(1));
    assert_eq!(poll.add(-1, Token(3), Interest::READ), Err(PollError::Os(9)), "EBADF");
}

#[test]
fn a_hole_is_reused_before_the_next_wait_and_the_memory_is_a_bound() {
    let pairs = [pair(), pair()];
    let mut storage = PollStorage::<2>::new();
    let mut poll = UnixPoll::new(&mut storage);
    for ((a, b), token) in pairs.iter().zip(0..) {
        poll.add(a.as_raw_fd(), Token(token), Interest::READ).unwrap();
        (&*b).write_all(b"x").unwrap();
    }
    poll.wait(NOW).unwrap();
    assert_eq!(poll.add(NEVER_OPEN, Token(8), Interest::READ), Err(PollError::Full));
    poll.remove(pairs[0].0.as_raw_fd(), Token(0));
    poll.add(pairs[0].0.as_raw_fd(), Token(7), Interest::READ).expect("the hole");
    assert_eq!(poll.add(NEVER_OPEN, Token(8), Interest::READ), Err(PollError::Full));
}

extern "C" fn nothing(_: core::ffi::c_int) {}

#[test]
fn a_signal_ends_the_wait_and_results_of_an_earlier_one_are_not_repeated() {
    let (a, mut b) = pair();
    let mut poll = UnixPoll::fresh();
    poll.add(a.as_raw_fd(), Token(1), Interest::READ).unwrap();
    b.write_all(b"x").unwrap();
    poll.wait(NOW).unwrap();
    poll.modify(a.as_raw_fd(), Token(1), Interest::NONE).unwrap();
    signal::handle(signal::USER, nothing);
    let target = signal::this_thread();
    thread::scope(|scope| {
        let (sender, done) = std::sync::mpsc::channel::<()>();
        // Until the wait has ended: the first may come before it begins.
        scope.spawn(move || {
            while done.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                signal::send(target, signal::USER);
                thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        poll.wait(None).unwrap();
        drop(sender);
    });
    assert_eq!(results(&mut poll), []);
}
