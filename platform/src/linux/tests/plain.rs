//! What an ordinary user may do: loopback, clocks, wakes.

use std::net::Ipv4Addr;

use bringup_core::error::ErrorKind;
use bringup_core::platform::{PlatformError, Wake};
use bringup_core::poll::{PollStorage, UnixPoll};

use super::super::*;
use crate::polling::Polling;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const SECOND: Duration = Duration::from_secs(1);

fn options(local: SocketAddr, peer: Option<SocketAddr>) -> UdpOptions {
    UdpOptions { local, peer, interface: None, broadcast: false, stamped: true }
}

/// A socket and its address, which another socket is asked for by sending to it.
fn bound<P: Platform<Error = OsError>>(linux: &mut P) -> (P::Handle, SocketAddr) {
    for _ in 0..100 {
        let local = SocketAddr::from(([127, 0, 0, 1], 20_000 + linux.u16() % 10_000));
        if let Ok(socket) = linux.udp_open(&options(local, None)) {
            return (socket, local);
        }
    }
    panic!("no free port")
}

fn wait_for<P>(linux: &mut P, token: Token) -> Readiness
where
    P: Platform<Error = OsError>,
{
    let deadline = linux.now() + SECOND * 5;
    while linux.now() < deadline {
        linux.wait(Some(deadline)).expect("waited");
        while let Some((of, readiness)) = linux.poller().next_ready() {
            if of == token {
                return readiness;
            }
        }
    }
    panic!("nothing became ready")
}

fn datagrams_come_back<Q>(poller: Q)
where
    Q: Poll<Handle = i32>,
    OsError: From<Q::Error>,
{
    let mut linux = Linux::new(poller).expect("a platform");
    let (server, at) = bound(&mut linux);
    let client = linux.udp_open(&options(LOOPBACK, Some(at))).expect("opened");
    linux.poller().add(server, Token(1), Interest::READ).expect("added");
    let mut buffer = [0; 4];
    assert_eq!(linux.udp_receive(server, &mut buffer), Ok(None));
    for (sent, length, truncated) in
        [(&b""[..], 0, false), (b"abcd", 4, false), (b"abcde", 4, true)]
    {
        let before = linux.now();
        linux.udp_send(client, at, sent).expect("sent");
        assert!(wait_for(&mut linux, Token(1)).readable);
        let received = linux.udp_receive(server, &mut buffer).expect("no error").expect("one");
        assert_eq!((received.length, received.truncated), (length, truncated), "{sent:?}");
        assert!(before <= received.at && received.at <= linux.now(), "{received:?}");
        assert_eq!(linux.udp_receive(server, &mut buffer), Ok(None));
    }
    linux.poller().remove(server, Token(1));
    linux.close(server);
    let closed = linux.udp_receive(server, &mut buffer).map_err(|error| error.kind());
    assert_eq!(closed, Err(ErrorKind::NotFound), "a handle ends with its socket");
}

#[test]
fn datagrams_come_back_on_poll() {
    let mut storage = PollStorage::<4>::new();
    datagrams_come_back(UnixPoll::new(&mut storage));
}

#[test]
fn datagrams_come_back_on_the_polling_crate() {
    datagrams_come_back(Polling::new().expect("a poller"));
}

#[test]
fn a_refusal_is_told_once_and_the_socket_goes_on() {
    let mut linux = Linux::new(Polling::new().expect("a poller")).expect("a platform");
    let (server, at) = bound(&mut linux);
    linux.close(server);
    let client = linux.udp_open(&options(LOOPBACK, Some(at))).expect("opened");
    linux.poller().add(client, Token(1), Interest::READ).expect("added");
    linux.udp_send(client, at, b"?").expect("sent");
    wait_for(&mut linux, Token(1));
    let refused = linux.udp_receive(client, &mut [0; 4]).map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::Refused));
    assert_eq!(linux.udp_receive(client, &mut [0; 4]), Ok(None));
    linux.udp_send(client, at, b"?").expect("sent again");
}

#[test]
fn a_connected_socket_hears_its_peer_alone() {
    let mut linux = Linux::new(Polling::new().expect("a poller")).expect("a platform");
    let (server, at) = bound(&mut linux);
    let client = linux.udp_open(&options(LOOPBACK, Some(at))).expect("opened");
    linux.udp_send(client, at, b"1").expect("sent");
    linux.poller().add(server, Token(1), Interest::READ).expect("added");
    wait_for(&mut linux, Token(1));
    let mut buffer = [0; 16];
    let from = linux.udp_receive(server, &mut buffer).expect("no error").expect("one").from;
    let (stranger, _) = bound(&mut linux);
    linux.udp_send(stranger, from, b"forged").expect("sent");
    linux.udp_send(server, from, b"real").expect("sent");
    linux.poller().add(client, Token(2), Interest::READ).expect("added");
    wait_for(&mut linux, Token(2));
    let received = linux.udp_receive(client, &mut buffer).expect("no error").expect("one");
    assert_eq!(buffer.get(..received.length), Some(&b"real"[..]));
    assert_eq!(linux.udp_receive(client, &mut buffer), Ok(None));
}

#[test]
fn without_a_stamp_a_datagram_arrives_when_it_is_read() {
    let mut linux = Linux::new(Polling::new().expect("a poller")).expect("a platform");
    let (server, at) = bound(&mut linux);
    let bare = UdpOptions { stamped: false, ..options(LOOPBACK, Some(at)) };
    let client = linux.udp_open(&bare).expect("opened");
    linux.poller().add(client, Token(1), Interest::READ).expect("added");
    let local = linux.udp_local(client).expect("told");
    let mut buffer = [0; 4];
    assert_eq!(linux.udp_receive(client, &mut buffer), Ok(None));
    for (sent, length, truncated) in
        [(&b""[..], 0, false), (b"abcd", 4, false), (b"abcde", 4, true)]
    {
        linux.udp_send(server, local, sent).expect("sent");
        wait_for(&mut linux, Token(1));
        let before = linux.now();
        let received = linux.udp_receive(client, &mut buffer).expect("no error").expect("one");
        let expected = Received { length, truncated, from: at, at: received.at };
        assert_eq!(received, expected, "{sent:?}");
        assert!(before <= received.at && received.at <= linux.now(), "{received:?}");
        assert_eq!(buffer.get(..length), sent.get(..length));
    }
}

#[test]
fn a_chosen_port_is_told() {
    let mut polls = PollStorage::<4>::new();
    let mut linux = Linux::new(UnixPoll::new(&mut polls)).expect("a platform");
    let (server, at) = bound(&mut linux);
    assert_eq!(linux.udp_local(server), Ok(at));
    let client = linux.udp_open(&options(LOOPBACK, Some(at))).expect("opened");
    let local = linux.udp_local(client).expect("told");
    linux.udp_send(client, at, b"x").expect("sent");
    let from = linux.udp_receive(server, &mut [0; 4]).expect("no error").map(|r| r.from);
    assert_eq!(from, Some(local), "the one that the peer sees");
}

#[test]
fn chosen_ports_come_from_the_whole_range() {
    let mut linux = Linux::new(Polling::new().expect("a poller")).expect("a platform");
    let (server, at) = bound(&mut linux);
    linux.poller().add(server, Token(1), Interest::READ).expect("added");
    let mut low = 0;
    for _ in 0..100 {
        let client = linux.udp_open(&options(LOOPBACK, Some(at))).expect("opened");
        linux.udp_send(client, at, b"").expect("sent");
        wait_for(&mut linux, Token(1));
        let from = linux.udp_receive(server, &mut []).expect("no error").expect("one").from;
        assert!(from.port() >= 1_024);
        low += i32::from(from.port() < 32_768);
        linux.close(client);
    }
    // Half of them in the mean; the kernel alone would choose none below 32,768.
    assert!((20..80).contains(&low), "{low}");
}

#[test]
fn addresses_in_use_and_of_others_are_errors_of_their_kind() {
    let mut linux = Linux::new(Polling::new().expect("a poller")).expect("a platform");
    let (_, at) = bound(&mut linux);
    let taken = linux.udp_open(&options(at, None)).map_err(|error| error.kind());
    assert_eq!(taken, Err(ErrorKind::AddressInUse));
    let foreign = SocketAddr::from(([192, 0, 2, 1], 0));
    let foreign = linux.udp_open(&options(foreign, None)).map_err(|error| error.kind());
    assert_eq!(foreign, Err(ErrorKind::NotFound));
}

fn waits_end_in_time<Q>(poller: Q)
where
    Q: Poll<Handle = i32>,
    OsError: From<Q::Error>,
{
    let mut linux = Linux::new(poller).expect("a platform");
    for wait in [0, 300, 1_500, 1_020_000].map(Duration::from_micros) {
        let deadline = linux.now() + wait;
        while linux.now() < deadline {
            let before = linux.now();
            linux.wait(Some(deadline)).expect("waited");
            assert!(linux.now() >= deadline, "early by {:?}", deadline.since(linux.now()));
            assert!(linux.now().since(before) < SECOND * 5, "late");
        }
        while linux.poller().next_ready().is_some() {}
    }
    // The last one was waited for on the clock descriptor: it must not stay ready.
    let deadline = linux.now() + Duration::from_millis(20);
    linux.wait(Some(deadline)).expect("waited");
    assert!(linux.now() >= deadline, "the clock descriptor woke the next wait");
}

#[test]
fn waits_end_in_time_on_poll() {
    let mut storage = PollStorage::<2>::new();
    waits_end_in_time(UnixPoll::new(&mut storage));
}

#[test]
fn waits_end_in_time_on_the_polling_crate() {
    waits_end_in_time(Polling::new().expect("a poller"));
}

#[test]
fn another_thread_ends_the_wait() {
    static WAKE: EventWake = EventWake::new();
    let mut linux = Linux::new(Polling::new().expect("a poller")).expect("a platform");
    let handle = Arm::<LinuxOps>::arm(&mut linux, &WAKE).expect("armed");
    linux.poller().add(handle, Token::WAKE, Interest::READ).expect("added");
    let thread = std::thread::spawn(|| WAKE.wake());
    assert!(wait_for(&mut linux, Token::WAKE).readable);
    thread.join().expect("no panic");
    WAKE.clear();
    linux.wait(Some(Instant::ZERO)).expect("waited");
    assert_eq!(linux.poller().next_ready(), None, "it was cleared");
}

#[test]
fn clock_and_restart_are_refused_unless_allowed() {
    let mut linux = Linux::new(Polling::new().expect("a poller")).expect("a platform");
    let refused = linux.set_clock(Adjust::Step { offset_ns: 0 });
    assert_eq!(refused, Err(OsError::new(Operation::SetClockPolicy, libc::EPERM)));
    assert_eq!([linux.clock_rate(0), linux.clock_leap(LeapSecond::None)], [refused; 2]);
    assert_eq!(linux.clock_synchronised(None), refused);
    let refused = linux.reboot(Reboot::Requested);
    assert_eq!(refused, Err(OsError::new(Operation::RebootPolicy, libc::EPERM)));
    assert_eq!(
        OsError::new(Operation::SetClockPolicy, libc::EPERM).kind(),
        ErrorKind::PermissionDenied
    );
}

#[test]
fn interfaces_are_found_by_name() {
    let mut linux = Linux::new(Polling::new().expect("a poller")).expect("a platform");
    let lo = linux.interface("lo").expect("every machine has one");
    assert!(lo.index > 0 && lo.mtu > 0 && !lo.ethernet);
    for (name, kind) in [
        ("nosuchlink0", ErrorKind::NotFound),
        ("", ErrorKind::Invalid),
        ("a/b", ErrorKind::Invalid),
        ("a-name-of-16-chr", ErrorKind::Invalid),
    ] {
        assert_eq!(linux.interface(name).map_err(|error| error.kind()), Err(kind), "{name}");
    }
    let watch = linux.watch_open().expect("opened");
    let mut known = false;
    while let Some(change) = linux.watch_receive(watch).expect("no error") {
        known |= change == InterfaceChange::Is(lo);
    }
    assert!(known, "a watch begins with the links that are there");
}

#[test]
fn a_byte_stream_connects_carries_bytes_and_ends() {
    use std::io::{Read, Write};

    let mut polls = PollStorage::<4>::new();
    let mut linux = Linux::new(UnixPoll::new(&mut polls)).expect("a platform");
    let listener = std::net::TcpListener::bind(LOOPBACK).expect("a listener");
    let there = listener.local_addr().expect("its address");
    let stream = linux.tcp_connect(there, None).expect("it begins");
    linux.poller().add(stream, Token(7), Interest::WRITE).expect("room");
    assert!(wait_for(&mut linux, Token(7)).writable);
    assert_eq!(linux.tcp_send(stream, &[]), Ok(0), "it stands");
    let (mut peer, _) = listener.accept().expect("accepted");

    assert_eq!(linux.tcp_receive(stream, &mut [0; 8]), Ok(None), "nothing has come");
    assert_eq!(linux.tcp_send(stream, b"ask"), Ok(3));
    let mut asked = [0; 3];
    peer.read_exact(&mut asked).expect("the bytes");
    assert_eq!(&asked, b"ask");
    peer.write_all(b"told").expect("sent");
    drop(peer);

    linux.poller().modify(stream, Token(7), Interest::READ).expect("watched");
    let mut told: Vec<u8> = Vec::new();
    loop {
        let mut buffer = [0; 3];
        match linux.tcp_receive(stream, &mut buffer).expect("no error") {
            Some(0) => break,
            Some(length) => told.extend(&buffer[..length]),
            None => drop(wait_for(&mut linux, Token(7))),
        }
    }
    assert_eq!(told, b"told");
    linux.poller().remove(stream, Token(7));
    linux.close(stream);
    assert!(linux.tcp_send(stream, b"x").is_err(), "a closed handle is nobody's");
}

#[test]
fn a_refused_byte_stream_says_so() {
    let mut polls = PollStorage::<4>::new();
    let mut linux = Linux::new(UnixPoll::new(&mut polls)).expect("a platform");
    // A port that was just free: nobody listens.
    let there = {
        let listener = std::net::TcpListener::bind(LOOPBACK).expect("a listener");
        listener.local_addr().expect("its address")
    };
    let refused = match linux.tcp_connect(there, None) {
        Err(error) => error,
        Ok(stream) => {
            linux.poller().add(stream, Token(7), Interest::WRITE).expect("room");
            wait_for(&mut linux, Token(7));
            linux.tcp_send(stream, &[]).expect_err("it does not stand")
        }
    };
    assert_eq!(refused.kind(), ErrorKind::Refused);
}
