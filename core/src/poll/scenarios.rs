//! What a poller promises, over socket pairs. No test has an upper bound on time, except those that
//! would otherwise wait for ever.

extern crate std;

use super::*;
use crate::testing::{Fresh, signal};
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

fn results<Po: Fresh>(poll: &mut Po) -> Vec<(u32, Readiness)> {
    core::iter::from_fn(|| poll.next_ready()).map(|(token, ready)| (token.0, ready)).collect()
}

fn waits<Po: Fresh>(poll: &mut Po) -> Vec<(u32, Readiness)> {
    poll.wait(NOW).unwrap();
    results(poll)
}

const READABLE: Readiness =
    Readiness { readable: true, writable: false, error: false, hangup: false, invalid: false };

pub fn level_triggered_for_what_it_is_asked<Po: Fresh>() {
    let (mut a, mut b) = pair();
    let mut poll = Po::fresh();
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
    assert!(poll.modify(a.as_raw_fd(), Token(1), Interest::READ).is_err(), "not watched");
    assert!(poll.add(-1, Token(3), Interest::READ).is_err(), "no descriptor");
}

pub fn u1_a_wait_is_never_shorter_than_asked<Po: Fresh>() {
    let mut poll = Po::fresh();
    for us in [0, 1, 250, 999, 1_000, 1_001, 2_500] {
        let begin = Instant::now();
        poll.wait(Some(Duration::from_micros(us))).unwrap();
        let took = begin.elapsed();
        assert!(took >= std::time::Duration::from_micros(us), "{us} µs took {took:?}");
    }
}

pub fn long_and_endless_waits_are_accepted_and_end_when_something_is_ready<Po: Fresh>() {
    let (a, mut b) = pair();
    let mut poll = Po::fresh();
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

pub fn a_long_wait_does_not_come_back_at_once<Po: Fresh>() {
    let (a, mut b) = pair();
    let mut poll = Po::fresh();
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

pub fn hang_up_reaches_the_owner_whatever_he_asked_for<Po: Fresh>() {
    let (a, b) = pair();
    let mut poll = Po::fresh();
    poll.add(a.as_raw_fd(), Token(1), Interest::NONE).unwrap();
    drop(b);
    let ready = waits(&mut poll);
    assert!(ready[0].1.hangup && !ready[0].1.invalid, "{ready:?}");
}

pub fn an_error_reaches_the_owner<Po: Fresh>() {
    // A pipe whose reader is gone: POLLERR for the writer.
    let mut child = std::process::Command::new("true")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("true(1)");
    let stdin = child.stdin.take().expect("piped");
    child.wait().expect("it ends");
    let mut poll = Po::fresh();
    poll.add(stdin.as_raw_fd(), Token(1), Interest::NONE).unwrap();
    let ready = waits(&mut poll);
    assert!(ready[0].1.error, "{ready:?}");
}

pub fn what_is_removed_while_results_are_read_reports_nothing_more<Po: Fresh>() {
    let pairs = [pair(), pair(), pair()];
    let mut poll = Po::fresh();
    for ((a, b), token) in pairs.iter().zip(0..) {
        poll.add(a.as_raw_fd(), Token(token), Interest::READ).unwrap();
        (&*b).write_all(b"x").unwrap();
    }
    poll.wait(NOW).unwrap();
    let (Token(first), readiness) = poll.next_ready().expect("all are ready");
    assert_eq!(readiness, READABLE);
    let victim = (first + 1) % 3;
    let fd = pairs[victim as usize].0.as_raw_fd();
    poll.remove(fd, Token(victim));
    poll.add(fd, Token(7), Interest::READ).expect("the number can be watched at once");
    let rest = 3 - first - victim;
    assert_eq!(
        results(&mut poll),
        [(rest, READABLE)],
        "neither the old name nor, yet, the new one"
    );
    let mut again = waits(&mut poll);
    again.sort_by_key(|(token, _)| *token);
    let mut expected = [(first, READABLE), (rest, READABLE), (7, READABLE)];
    expected.sort_by_key(|(token, _)| *token);
    assert_eq!(again, expected);
}

pub fn adding_and_removing_needs_no_wait_between<Po: Fresh>() {
    let (a, b) = pair();
    let mut poll = Po::fresh();
    for token in 0..20 {
        poll.add(a.as_raw_fd(), Token(token), Interest::READ).unwrap();
        poll.add(b.as_raw_fd(), Token(token + 100), Interest::WRITE).unwrap();
        poll.remove(a.as_raw_fd(), Token(token));
        poll.remove(b.as_raw_fd(), Token(token + 100));
    }
}

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: core::ffi::c_int) {
    SIGNALS.fetch_add(1, Ordering::SeqCst);
}

/// EINTR is no error. Whether it ends the wait is the poller's choice.
pub fn a_signal_during_the_wait_is_no_error<Po: Fresh>() {
    let (a, mut b) = pair();
    let mut poll = Po::fresh();
    poll.add(a.as_raw_fd(), Token(1), Interest::READ).unwrap();
    signal::handle(signal::ALARM, count);
    let target = signal::this_thread();
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..20 {
                signal::send(target, signal::ALARM);
                thread::sleep(std::time::Duration::from_millis(1));
            }
            b.write_all(b"x").unwrap();
            // Later than the last signal: the target has not ended.
            b
        });
        loop {
            poll.wait(None).unwrap();
            match results(&mut poll)[..] {
                [] => {}
                [(1, readiness)] => break assert!(readiness.readable),
                ref other => panic!("{other:?}"),
            }
        }
    });
    assert!(SIGNALS.load(Ordering::SeqCst) > 0);
}
