//! What a client may say, whose socket is taken, and a loop in virtual time whose poller refuses.

use std::net::SocketAddr;

use bringup_core::attach::AttachQueue;
use bringup_core::client::Rng;
use bringup_core::error::ErrorKind as Kind;
use bringup_core::event_loop::{Application, EventLoop, LoopStorage};
use bringup_core::platform::{Arm, Received, UdpOptions};
use bringup_core::poll::{Poll, Readiness, Token};
use bringup_core::time::Utc;
use bringup_platform::lock::StdLock;
use bringup_platform::sim::{SimOps, SimWake};

use super::*;

#[test]
fn requests() {
    let query = |name: &str, rtype: Option<&str>| {
        Some(Request::Query(name.to_owned(), rtype.map(str::to_owned)))
    };
    for (line, expected) in [
        ("status", Some(Request::Status)),
        ("  watch ", Some(Request::Watch)),
        ("query a.example", query("a.example", None)),
        ("query a.example mx", query("a.example", Some("mx"))),
        ("query a.example mx more", None),
        ("query", None),
        ("status now", None),
        ("GET / HTTP/1.1", None),
        ("", None),
    ] {
        assert_eq!(Request::parse(line), expected, "{line}");
    }
}

#[test]
fn what_a_killed_run_left_is_taken_away_and_a_socket_in_use_is_not() {
    let folder = std::env::temp_dir().join(format!("bringup-socket-{}", std::process::id()));
    let path = folder.join("deep/status.sock");
    let first = StatusSocket::bind(&path).unwrap();
    let second = StatusSocket::bind(&path).err().map(|error| error.kind());
    assert_eq!(second, Some(ErrorKind::AddrInUse));
    drop(first);
    assert!(!path.exists(), "a run that ends well takes it away");
    // What is left of one that does not.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists() && StatusSocket::bind(&path).is_ok());
    fs::write(&path, "a file").unwrap();
    assert!(StatusSocket::bind(&path).is_err() && path.exists(), "it is no socket of ours");
    fs::remove_dir_all(folder).unwrap();
}

/// Nothing is ever ready; time goes on to the end of each wait.
struct Refusing {
    now: Instant,
    refuses: bool,
    /// What the one descriptor is watched for.
    watched: Interest,
}

impl Rng for Refusing {
    fn fill(&mut self, buffer: &mut [u8]) {
        buffer.fill(4);
    }
}

impl Poll for Refusing {
    type Handle = RawFd;
    type Error = Kind;

    fn add(&mut self, _: RawFd, _: Token, interest: Interest) -> Result<(), Kind> {
        self.watched = interest;
        Ok(())
    }
    fn modify(&mut self, _: RawFd, _: Token, interest: Interest) -> Result<(), Kind> {
        if self.refuses {
            return Err(Kind::Exhausted);
        }
        self.watched = interest;
        Ok(())
    }
    fn remove(&mut self, _: RawFd, _: Token) {}
    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), Kind> {
        self.now += timeout.expect("a timer is armed");
        Ok(())
    }
    fn next_ready(&mut self) -> Option<(Token, Readiness)> {
        None
    }
}

impl Platform for Refusing {
    type Poller = Self;
    type Handle = RawFd;
    type Error = Kind;

    fn now(&mut self) -> Instant {
        self.now
    }
    fn utc(&mut self) -> Utc {
        Utc::from_unix_nanos(0)
    }
    fn poller(&mut self) -> &mut Self {
        self
    }
    fn udp_open(&mut self, _: &UdpOptions) -> Result<RawFd, Kind> {
        Err(Kind::Unsupported)
    }
    fn udp_send(&mut self, _: RawFd, _: SocketAddr, _: &[u8]) -> Result<(), Kind> {
        Err(Kind::Unsupported)
    }
    fn udp_receive(&mut self, _: RawFd, _: &mut [u8]) -> Result<Option<Received>, Kind> {
        Err(Kind::Unsupported)
    }
    fn close(&mut self, _: RawFd) {}
}

impl Arm<SimOps> for Refusing {
    fn arm(&mut self, _: &SimWake) -> Result<RawFd, Kind> {
        Ok(0)
    }
}

impl Application<Refusing> for StatusSocket {
    fn dispatch(&mut self, registrar: &mut Registrar<'_, Refusing>, ready: Ready) {
        assert_eq!(self.take(registrar, ready), None, "nobody has connected");
    }
}

#[test]
fn a_listener_that_cannot_be_watched_again_is_tried_a_while_later() {
    let folder = std::env::temp_dir().join(format!("bringup-resume-{}", std::process::id()));
    let mut socket = StatusSocket::bind(&folder.join("status.sock")).unwrap();
    let queue = AttachQueue::<StatusSocket, _, SimOps>::new(StdLock::new(), SimWake::new());
    let mut memory = LoopStorage::<RawFd, 2, 2>::new();
    let platform = Refusing { now: Instant::ZERO, refuses: false, watched: Interest::NONE };
    let mut event_loop = EventLoop::new(platform, &mut memory, &queue).unwrap();
    socket.register(&mut event_loop.registrar()).unwrap();
    // There was no descriptor for a client.
    socket.pause(&mut event_loop.registrar());
    event_loop.registrar().platform().refuses = true;
    for seconds in 1..=3 {
        event_loop.turn(&mut socket).unwrap();
        let now = event_loop.registrar().now();
        assert_eq!(now, Instant::ZERO + Duration::from_secs(seconds), "one try a second, no more");
    }
    assert_eq!(event_loop.registrar().platform().watched, Interest::NONE);
    event_loop.registrar().platform().refuses = false;
    event_loop.turn(&mut socket).unwrap();
    assert_eq!(event_loop.registrar().platform().watched, Interest::READ);
    assert_eq!(socket.accepts_at, None, "and that is the end of it");
    fs::remove_dir_all(folder).unwrap();
}
