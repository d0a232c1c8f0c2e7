//! What the examples stand on: the loop's lock, wake and platform, with std and nothing else. The
//! crate `bringup-platform` has the real ones.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::{io, time};

use bringup_core::client::Rng;
use bringup_core::error::ErrorKind;
use bringup_core::platform::{
    Arm, Platform, PlatformError, RawLock, Received, SystemOps, UdpOptions, Wake,
};
use bringup_core::poll::{Interest, Poll, PollStorage, Readiness, Token, UnixPoll};
use bringup_core::time::{Duration, Instant, Utc};

pub(crate) struct StdLock(Mutex<()>);

impl StdLock {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(()))
    }
}

// SAFETY: a mutex runs one closure at a time, on the calling thread, and is unlocked on unwind.
unsafe impl RawLock for StdLock {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        let _guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f()
    }
}

/// Two ends of a socket pair: one is written by whoever posts, the other is watched by the loop.
pub(crate) struct PairWake(OnceLock<(UnixStream, UnixStream)>);

impl PairWake {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }
}

impl Wake for PairWake {
    fn wake(&self) {
        if let Some((mut writer, _)) = self.0.get().map(|(writer, reader)| (writer, reader)) {
            // Full means that the loop is being woken already.
            let _ = io::Write::write(&mut writer, &[1]);
        }
    }

    fn clear(&self) {
        if let Some((_, mut reader)) = self.0.get().map(|(writer, reader)| (writer, reader)) {
            while io::Read::read(&mut reader, &mut [0; 64]).is_ok_and(|length| length == 64) {}
        }
    }
}

pub(crate) struct StdOps;
impl SystemOps for StdOps {
    type Lock = StdLock;
    type Wake = PairWake;
}

/// An error of std, as far as the core looks at it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Error(pub(crate) ErrorKind);

impl From<io::Error> for Error {
    fn from(_: io::Error) -> Self {
        Self(ErrorKind::Failed)
    }
}

impl PlatformError for Error {
    fn kind(&self) -> ErrorKind {
        self.0
    }
    fn unsupported() -> Self {
        Self(ErrorKind::Unsupported)
    }
}

/// poll(2) with std's sockets; each stays open until the end.
pub(crate) struct Std {
    poll: StdPoll,
    start: time::Instant,
    sockets: Vec<UdpSocket>,
}

pub(crate) struct StdPoll(UnixPoll<'static>);

impl Std {
    pub(crate) fn new() -> Self {
        let storage = Box::leak(Box::new(PollStorage::<64>::new()));
        let poll = StdPoll(UnixPoll::new(storage));
        Self { poll, start: time::Instant::now(), sockets: Vec::new() }
    }

    fn socket(&self, handle: RawFd) -> Result<&UdpSocket, Error> {
        let mut sockets = self.sockets.iter();
        sockets.find(|socket| socket.as_raw_fd() == handle).ok_or(Error(ErrorKind::NotFound))
    }
}

fn kind<T>(result: Result<T, impl PlatformError>) -> Result<T, Error> {
    result.map_err(|error| Error(error.kind()))
}

impl Poll for StdPoll {
    type Handle = RawFd;
    type Error = Error;
    fn add(&mut self, handle: RawFd, token: Token, interest: Interest) -> Result<(), Error> {
        kind(self.0.add(handle, token, interest))
    }
    fn modify(&mut self, handle: RawFd, token: Token, interest: Interest) -> Result<(), Error> {
        kind(self.0.modify(handle, token, interest))
    }
    fn remove(&mut self, handle: RawFd, token: Token) {
        self.0.remove(handle, token);
    }
    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), Error> {
        kind(self.0.wait(timeout))
    }
    fn next_ready(&mut self) -> Option<(Token, Readiness)> {
        self.0.next_ready()
    }
}

impl Rng for Std {
    fn fill(&mut self, buffer: &mut [u8]) {
        let source = std::fs::File::open("/dev/urandom");
        source.and_then(|mut file| io::Read::read_exact(&mut file, buffer)).expect("/dev/urandom");
    }
}

impl Platform for Std {
    type Poller = StdPoll;
    type Handle = RawFd;
    type Error = Error;

    fn now(&mut self) -> Instant {
        Instant::ZERO + self.start.elapsed().into()
    }

    fn utc(&mut self) -> Utc {
        let since = time::SystemTime::now().duration_since(time::UNIX_EPOCH).unwrap_or_default();
        Utc::from_unix_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    fn poller(&mut self) -> &mut StdPoll {
        &mut self.poll
    }

    fn udp_open(&mut self, options: &UdpOptions) -> Result<RawFd, Error> {
        let socket = UdpSocket::bind(options.local)?;
        socket.set_nonblocking(true)?;
        let handle = socket.as_raw_fd();
        self.sockets.push(socket);
        Ok(handle)
    }

    fn udp_send(&mut self, handle: RawFd, to: SocketAddr, bytes: &[u8]) -> Result<(), Error> {
        self.socket(handle)?.send_to(bytes, to)?;
        Ok(())
    }

    fn udp_receive(&mut self, handle: RawFd, buffer: &mut [u8]) -> Result<Option<Received>, Error> {
        let received = self.socket(handle)?.recv_from(buffer);
        let at = self.now();
        match received {
            Ok((length, from)) => Ok(Some(Received { length, truncated: false, from, at })),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn close(&mut self, handle: RawFd) {
        self.sockets.retain(|socket| socket.as_raw_fd() != handle);
    }
}

impl Arm<StdOps> for Std {
    fn arm(&mut self, wake: &PairWake) -> Result<RawFd, Error> {
        let pair = UnixStream::pair()?;
        pair.0.set_nonblocking(true)?;
        pair.1.set_nonblocking(true)?;
        wake.0.set(pair).map_err(|_| Error(ErrorKind::Exists))?;
        Ok(wake.0.get().map_or(-1, |(_, reader)| reader.as_raw_fd()))
    }
}
