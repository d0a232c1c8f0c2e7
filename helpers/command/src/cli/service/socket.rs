//! [`StatusSocket`]: a Unix socket on the loop, where the status of a running bring-up can be asked for.
//!
//! A client sends one line and gets lines of JSON: `status` is answered once, `watch` again at each change
//! and each second, `query NAME [TYPE]` with what the service's own resolver says. There are few clients
//! at a time; one that asks too much, or takes nothing for too long, is dropped. A watcher gets a new
//! report only when it has taken the one before: nothing piles up.

use std::fs;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use bringup_core::event_loop::{Ready, Registrar, SourceKey};
use bringup_core::platform::Platform;
use bringup_core::poll::Interest;
use bringup_core::time::{Duration, Instant};
use bringup_core::timer::{NoSlot, Owner, TimerKey};

use super::report::Counters;

/// Where the socket is if nobody says otherwise.
pub const PATH: &str = "/run/bringup/status.sock";

/// How many clients there are at most; one more is turned away.
const MAX_CLIENTS: usize = 8;

/// The longest request, octets: a name of 255 octets fits in any notation.
const MAX_REQUEST: usize = 1_200;

/// The most that waits to be taken by one client, octets. A report is some thousands.
const MAX_PENDING: usize = 1 << 18;

/// How long a client may take to ask, or to take anything of its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A watcher's next report comes so long after the last one, change or not ...
const TICK: Duration = Duration::from_secs(1);

/// ... and not sooner than so long, whatever changes.
const PAUSE: Duration = Duration::from_millis(200);

/// The wait after a connection that could not be accepted for want of a descriptor.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A report.
    Status,
    /// A report at each change.
    Watch,
    /// A look into the DNS: the name and the type.
    Query(String, Option<String>),
}

impl Request {
    /// Reads a line.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let request = match (words.next()?, words.next(), words.next()) {
            ("status", None, None) => Self::Status,
            ("watch", None, None) => Self::Watch,
            ("query", Some(name), rtype) => Self::Query(name.to_owned(), rtype.map(str::to_owned)),
            _ => return None,
        };
        words.next().is_none().then_some(request)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// It has not asked yet.
    Asking,
    /// Its answer is being made.
    Waiting,
    /// It gets a report at each change.
    Watching,
    /// Its answer is complete.
    Ending,
}

struct Client {
    stream: UnixStream,
    key: SourceKey,
    request: Vec<u8>,
    pending: Vec<u8>,
    doing: Doing,
    /// When it is dropped if it does nothing.
    deadline: Option<Instant>,
}

/// The socket, and who is connected to it.
pub struct StatusSocket {
    listener: UnixListener,
    path: PathBuf,
    key: Option<SourceKey>,
    timer: Option<TimerKey>,
    clients: Vec<Client>,
    /// When watchers get their next report.
    report_at: Instant,
    reported_at: Instant,
    /// When the next one is accepted, if there was no descriptor for the last one.
    accepts_at: Option<Instant>,
    accepted: u64,
    refused: u64,
    dropped: u64,
}

impl StatusSocket {
    /// Listens at this path. What a run that was killed has left there is taken away; a socket that
    /// somebody answers is not.
    pub fn bind(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        if UnixStream::connect(path).is_ok() {
            return Err(ErrorKind::AddrInUse.into());
        }
        let is_socket = fs::symlink_metadata(path).is_ok_and(|meta| {
            use std::os::unix::fs::FileTypeExt as _;
            meta.file_type().is_socket()
        });
        if is_socket {
            fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        // Everybody may look; there is nothing that could be changed.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            key: None,
            timer: None,
            clients: Vec::new(),
            report_at: Instant::ZERO,
            reported_at: Instant::ZERO,
            accepts_at: None,
            accepted: 0,
            refused: 0,
            dropped: 0,
        })
    }

    /// Takes its place on the loop.
    pub fn register<P: Platform<Handle = RawFd>>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
    ) -> Result<(), NoSlot> {
        self.timer = Some(registrar.add_timer(Owner::Application)?);
        let handle = self.listener.as_raw_fd();
        let key = registrar.add_source(Owner::Application, handle, Interest::READ);
        self.key = Some(key.map_err(|_| NoSlot)?);
        Ok(())
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        let counts = [
            ("accepted", self.accepted),
            ("refused", self.refused),
            ("dropped", self.dropped),
            ("connected", self.clients.len() as u64),
        ];
        counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
    }

    /// Takes what the loop found ready, if it is for the socket: a request, and whose it is.
    pub fn take<P: Platform<Handle = RawFd>>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        ready: Ready,
    ) -> Option<(SourceKey, Request)> {
        match ready {
            Ready::Source { key, .. } if Some(key) == self.key => self.accept(registrar),
            Ready::Source { key, .. } => return self.serve(registrar, key),
            Ready::Timer { key, .. } if Some(key) == self.timer => self.drop_the_slow(registrar),
            Ready::Timer { .. } => {}
        }
        None
    }

    fn accept<P: Platform<Handle = RawFd>>(&mut self, registrar: &mut Registrar<'_, P>) {
        // One at a time: the loop reports the next.
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if passes(error.kind()) => return,
            // No descriptor, or no memory: who waits goes on waiting, and is not reported meanwhile.
            Err(_) => return self.pause(registrar),
        };
        self.accepted += 1;
        let added = if self.clients.len() < MAX_CLIENTS && stream.set_nonblocking(true).is_ok() {
            registrar.add_source(Owner::Application, stream.as_raw_fd(), Interest::READ).ok()
        } else {
            None
        };
        let Some(key) = added else {
            self.refused += 1;
            return;
        };
        self.clients.push(Client {
            stream,
            key,
            request: Vec::new(),
            pending: Vec::new(),
            doing: Doing::Asking,
            deadline: Some(registrar.now() + PATIENCE),
        });
        self.arm(registrar);
    }

    fn pause<P: Platform<Handle = RawFd>>(&mut self, registrar: &mut Registrar<'_, P>) {
        if self.key.is_some_and(|key| registrar.set_interest(key, Interest::NONE).is_ok()) {
            self.accepts_at = Some(registrar.now() + ACCEPT_AGAIN);
            self.arm(registrar);
        }
    }

    fn resume<P: Platform<Handle = RawFd>>(&mut self, registrar: &mut Registrar<'_, P>) {
        if self.accepts_at.is_some_and(|at| at <= registrar.now()) {
            let resumed = |key| registrar.set_interest(key, Interest::READ).is_ok();
            // A time that has passed would fire in every turn.
            let again = (!self.key.is_some_and(resumed)).then(|| registrar.now() + ACCEPT_AGAIN);
            self.accepts_at = again;
        }
    }

    /// A client can be read from, or written to.
    fn serve<P: Platform<Handle = RawFd>>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        key: SourceKey,
    ) -> Option<(SourceKey, Request)> {
        let client = self.clients.iter_mut().find(|client| client.key == key)?;
        let request = client.read();
        let is_fine = request.is_ok() && client.write(registrar);
        if !is_fine || client.is_done() {
            self.remove(registrar, key);
        }
        self.arm(registrar);
        let request = request.ok().flatten().filter(|_| self.is_connected(key))?;
        if request == Request::Watch {
            // At once, and then by the clock.
            (self.report_at, self.reported_at) = (registrar.now(), Instant::ZERO);
            self.arm(registrar);
            return None;
        }
        Some((key, request))
    }

    /// Whether somebody waits for an answer still.
    pub fn is_connected(&self, key: SourceKey) -> bool {
        self.clients.iter().any(|client| client.key == key)
    }

    /// Gives a client some lines; the last ones end the connection.
    pub fn answer<P: Platform<Handle = RawFd>>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        key: SourceKey,
        lines: &[u8],
        is_last: bool,
    ) {
        let Some(client) = self.clients.iter_mut().find(|client| client.key == key) else { return };
        if is_last {
            client.doing = Doing::Ending;
        }
        client.pending.extend_from_slice(lines);
        client.deadline = Some(registrar.now() + PATIENCE);
        let is_too_much = client.pending.len() > MAX_PENDING;
        self.dropped += u64::from(is_too_much);
        if is_too_much || !client.write(registrar) || client.is_done() {
            self.remove(registrar, key);
        }
        self.arm(registrar);
    }

    /// Something has changed: watchers get a report soon.
    pub fn changed<P: Platform>(&mut self, registrar: &mut Registrar<'_, P>) {
        self.report_at = self.report_at.min((self.reported_at + PAUSE).max(registrar.now()));
        self.arm(registrar);
    }

    /// Whether watchers are to get a report now.
    pub fn wants_report(&self, now: Instant) -> bool {
        self.report_at <= now && self.watchers().next().is_some()
    }

    /// Gives watchers their report, those that have taken the last one.
    pub fn report<P: Platform<Handle = RawFd>>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        line: &[u8],
    ) {
        self.reported_at = registrar.now();
        self.report_at = registrar.now() + TICK;
        let idle = self.watchers().filter(|client| client.pending.is_empty());
        let keys: Vec<SourceKey> = idle.map(|client| client.key).collect();
        for key in keys {
            self.answer(registrar, key, line, false);
        }
    }

    fn watchers(&self) -> impl Iterator<Item = &Client> {
        self.clients.iter().filter(|client| client.doing == Doing::Watching)
    }

    fn drop_the_slow<P: Platform<Handle = RawFd>>(&mut self, registrar: &mut Registrar<'_, P>) {
        self.resume(registrar);
        let now = registrar.now();
        let late = self.clients.iter().filter(|c| c.deadline.is_some_and(|at| at <= now));
        let keys: Vec<SourceKey> = late.map(|client| client.key).collect();
        for key in keys {
            self.dropped += 1;
            self.remove(registrar, key);
        }
        self.arm(registrar);
    }

    fn remove<P: Platform<Handle = RawFd>>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        key: SourceKey,
    ) {
        self.clients.retain(|client| client.key != key);
        registrar.remove_source(key);
    }

    fn arm<P: Platform>(&self, registrar: &mut Registrar<'_, P>) {
        let Some(timer) = self.timer else { return };
        let deadlines = self.clients.iter().filter_map(|client| client.deadline);
        let report = self.watchers().next().map(|_| self.report_at);
        match deadlines.chain(report).chain(self.accepts_at).min() {
            Some(at) => registrar.set_timer(timer, at),
            None => registrar.clear_timer(timer),
        };
    }
}

/// Whether an accept failed in a way that the next one does not.
fn passes(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted)
}

impl Drop for StatusSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Client {
    /// Reads what there is: a request when its line is complete. An error is the end.
    fn read(&mut self) -> Result<Option<Request>, ()> {
        let mut bytes = [0; 256];
        loop {
            let length = match self.stream.read(&mut bytes) {
                // It may have closed its half, and still wait for its answer.
                Ok(0) if self.doing == Doing::Waiting || self.doing == Doing::Ending => {
                    return Ok(None);
                }
                Ok(0) => return Err(()),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(_) => return Err(()),
            };
            if self.doing != Doing::Asking {
                // It has had its say.
                return Err(());
            }
            self.request.extend_from_slice(bytes.get(..length).unwrap_or_default());
            if let Some(end) = self.request.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&self.request[..end]).into_owned();
                let request = Request::parse(&line).ok_or(())?;
                let watches = request == Request::Watch;
                self.doing = if watches { Doing::Watching } else { Doing::Waiting };
                self.deadline = None;
                return Ok(Some(request));
            }
            if self.request.len() > MAX_REQUEST {
                return Err(());
            }
        }
    }

    /// Writes what it takes. `false` if it is gone.
    fn write<P: Platform<Handle = RawFd>>(&mut self, registrar: &mut Registrar<'_, P>) -> bool {
        while !self.pending.is_empty() {
            match self.stream.write(&self.pending) {
                Ok(taken) => {
                    self.pending.drain(..taken);
                    self.deadline = Some(registrar.now() + PATIENCE);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return registrar.set_interest(self.key, Interest::BOTH).is_ok();
                }
                Err(_) => return false,
            }
        }
        if self.doing != Doing::Asking {
            // It is we who are waited for.
            self.deadline = None;
        }
        registrar.set_interest(self.key, Interest::READ).is_ok()
    }

    fn is_done(&self) -> bool {
        self.doing == Doing::Ending && self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests;
