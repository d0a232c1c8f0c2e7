//! poll(2) itself, over socket pairs. No test has an upper bound on time, except those that would
//! otherwise wait for ever.

extern crate std;

use super::*;
use crate::testing::signal;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Instant;
use std::vec::Vec;

const NOW: Option<Duration> = Some(Duration::ZERO);

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().expect("a socket pair")
}

fn results(poll: &mut UnixPoll<'_>) -> Vec<(u32, Readiness)> {
    core::iter::from_fn(|| poll.next_ready()).map(|(token, ready)| (token.0, ready)).collect()
}

fn waits(poll: &mut UnixPoll<'_>) -> Vec<(u32, Readiness)> {
    poll.wait(NOW).unwrap();
    results(poll)
}

const READABLE: Readiness =
    Readiness { readable: true, writable: false, error: false, hangup: false, invalid: false };

#[test]
fn level_triggered_for_what_it_is_asked() {
    let (mut a, mut b) = pair();
    let mut storage = PollStorage::<2>::new();
    let mut poll = UnixPoll::new(&mut storage);
    poll.add(a.as_raw_fd(), Token(1), Interest::READ).unwrap();
    assert_eq!(waits(&mut poll), []);
    b.write_all(b"x").unwrap();
    assert_eq!(waits(&mut poll), [(1, READABLE)]);
    assert_eq!(waits(&mut poll), [(1, READABLE)], "as long as it is");
    poll.modify(a.as_raw_fd(), Token(1), Interest::NONE).unwrap();
    assert_eq!(waits(&mut poll), []);
    poll.modify(a.as_raw_fd(), Token(1), Interest::BOTH).unwrap();
    assert_eq!(waits(&mut poll), [(1, Readiness { writable: true, ..READABLE })]);
    a.read_exact(&mut [0]).unwrap();
    poll.remove(a.as_raw_fd(), Token(1));
    assert_eq!(waits(&mut poll), []);
    assert_eq!(poll.modify(a.as_raw_fd(), Token(1), Interest::READ), Err(PollError::NotWatched));
}

#[test]
fn u1_a_wait_is_never_shorter_than_asked() {
    let mut storage = PollStorage::<1>::new();
    let mut poll = UnixPoll::new(&mut storage);
    for us in [0, 1, 250, 999, 1_000, 1_001, 2_500] {
        let begin = Instant::now();
        poll.wait(Some(Duration::from_micros(us))).unwrap();
        let took = begin.elapsed();
        assert!(took >= std::time::Duration::from_micros(us), "{us} µs took {took:?}");
    }
}

#[test]
fn long_and_endless_waits_are_accepted_and_end_when_something_is_ready() {
    let (a, mut b) = pair();
    let mut storage = PollStorage::<1>::new();
    let mut poll = UnixPoll::new(&mut storage);
    poll.add(a.as_raw_fd(), Token(1), Interest::READ).unwrap();
    b.write_all(b"x").unwrap();
    let days = Duration::from_secs(25 * 86_400);
    let longer_than_an_int_of_milliseconds = Duration::from_secs(u64::from(u32::MAX));
    for timeout in [Some(days), Some(longer_than_an_int_of_milliseconds), Some(Duration::MAX), None]
    {
        poll.wait(timeout).unwrap();
        assert_eq!(results(&mut poll), [(1, READABLE)], "{timeout:?}");
    }
}

#[test]
fn a_long_wait_does_not_come_back_at_once() {
    let (a, mut b) = pair();
    let mut storage = PollStorage::<1>::new();
    let mut poll = UnixPoll::new(&mut storage);
    poll.add(a.as_raw_fd(), Token(1), Interest::READ).unwrap();
    for timeout in [Some(Duration::from_secs(25 * 86_400)), Some(Duration::MAX), None] {
        thread::scope(|scope| {
            scope.spawn(|| {
                // However late this comes, the wait has to be there until then.
                thread::sleep(std::time::Duration::from_millis(5));
                b.write_all(b"x").unwrap();
            });
            poll.wait(timeout).unwrap();
            assert_eq!(results(&mut poll), [(1, READABLE)], "{timeout:?}");
        });
        (&a).read_exact(&mut [0]).unwrap();
    }
}

#[test]
fn hang_up_reaches_the_owner_whatever_he_asked_for() {
    let (a, b) = pair();
    let mut storage = PollStorage::<1>::new();
    let mut poll = UnixPoll::new(&mut storage);
    poll.add(a.as_raw_fd(), Token(1), Interest::NONE).unwrap();
    drop(b);
    let ready = waits(&mut poll);
    assert!(ready[0].1.hangup && !ready[0].1.invalid, "{ready:?}");
}

#[test]
fn an_error_reaches_the_owner() {
    // A pipe whose reader is gone: POLLERR for the writer.
    let mut child = std::process::Command::new("true")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("true(1)");
    let stdin = child.stdin.take().expect("piped");
    child.wait().expect("it ends");
    let mut storage = PollStorage::<1>::new();
    let mut poll = UnixPoll::new(&mut storage);
    poll.add(stdin.as_raw_fd(), Token(1), Interest::NONE).unwrap();
    let ready = waits(&mut poll);
    assert!(ready[0].1.error, "{ready:?}");
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
    assert_eq!(waits(&mut poll), [(2, READABLE)], "and not spun on");
    assert_eq!(poll.modify(NEVER_OPEN, Token(1), Interest::READ), Err(PollError::NotWatched));
    poll.remove(NEVER_OPEN, Token(1));
    assert_eq!(poll.add(-1, Token(3), Interest::READ), Err(PollError::Os(9)), "no descriptor");
}

#[test]
fn what_is_removed_while_results_are_read_reports_nothing_more() {
    let pairs = [pair(), pair(), pair()];
    let mut storage = PollStorage::<3>::new();
    let mut poll = UnixPoll::new(&mut storage);
    for ((a, b), token) in pairs.iter().zip(0..) {
        poll.add(a.as_raw_fd(), Token(token), Interest::READ).unwrap();
        (&*b).write_all(b"x").unwrap();
    }
    poll.wait(NOW).unwrap();
    assert_eq!(poll.next_ready(), Some((Token(0), READABLE)));
    poll.remove(pairs[1].0.as_raw_fd(), Token(1));
    poll.add(pairs[1].0.as_raw_fd(), Token(7), Interest::READ).expect("the hole is reused");
    assert_eq!(poll.add(NEVER_OPEN, Token(8), Interest::READ), Err(PollError::Full));
    assert_eq!(results(&mut poll), [(2, READABLE)], "neither the old name nor, yet, the new one");
    let mut again = waits(&mut poll);
    again.sort_by_key(|(token, _)| *token);
    assert_eq!(again, [(0, READABLE), (2, READABLE), (7, READABLE)]);
}

#[test]
fn adding_and_removing_needs_no_wait_between() {
    let (a, _b) = pair();
    let mut storage = PollStorage::<2>::new();
    let mut poll = UnixPoll::new(&mut storage);
    for token in 0..10 {
        poll.add(a.as_raw_fd(), Token(token), Interest::READ).unwrap();
        poll.add(a.as_raw_fd(), Token(token + 100), Interest::WRITE).unwrap();
        poll.remove(a.as_raw_fd(), Token(token));
        poll.remove(a.as_raw_fd(), Token(token + 100));
    }
}

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: core::ffi::c_int) {
    SIGNALS.fetch_add(1, Ordering::SeqCst);
}

#[test]
fn a_signal_ends_the_wait_without_an_error() {
    let (a, mut b) = pair();
    let mut storage = PollStorage::<1>::new();
    let mut poll = UnixPoll::new(&mut storage);
    poll.add(a.as_raw_fd(), Token(1), Interest::READ).unwrap();
    b.write_all(b"x").unwrap();
    poll.wait(NOW).unwrap();
    poll.modify(a.as_raw_fd(), Token(1), Interest::NONE).unwrap();
    signal::handle(signal::ALARM, count);
    let target = signal::this_thread();
    thread::scope(|scope| {
        let (sender, done) = std::sync::mpsc::channel::<()>();
        // Until the wait has ended: the first may come before it begins.
        scope.spawn(move || {
            while done.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                signal::send(target, signal::ALARM);
                thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        poll.wait(None).unwrap();
        drop(sender);
    });
    assert!(SIGNALS.load(Ordering::SeqCst) > 0);
    assert_eq!(results(&mut poll), [], "results of an earlier wait are not repeated");
}
