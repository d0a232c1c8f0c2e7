//! [`Jobs`]: programs that are run beside the loop, one at a time, each with a time limit.
//!
//! A program gets its arguments, its environment and its standard input as they are: no shell sees
//! them. The loop waits for none: it feeds the standard input as the pipe takes it, hears of the end by
//! SIGCHLD, and kills the program with all that it started when its time is over. The queue is short;
//! of jobs that say the same thing only the last is kept, and when it is full the oldest is dropped and
//! counted.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time;

use bringup_core::event_loop::{Ready, Registrar, SourceKey};
use bringup_core::platform::Platform;
use bringup_core::poll::Interest;
use bringup_core::time::{Duration, Instant};
use bringup_core::timer::{NoSlot, Owner, TimerKey};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::cli::event::Problem;

/// How many jobs wait at most.
const MAX_WAITING: usize = 16;

/// In the end: how often is looked whether a program takes more of its input.
const FEED_EVERY: time::Duration = time::Duration::from_millis(10);

/// In the end: how long a program that was killed is waited for. One that is stuck in the kernel is left.
const AFTER_KILL: time::Duration = time::Duration::from_secs(1);

/// A program to be run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// What it is about: of two that wait with the same, the later takes the earlier one's place.
    pub about: String,
    /// Its file; a name without a slash is looked for in PATH.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What is added to this program's own environment.
    pub environment: Vec<(&'static str, String)>,
    /// Its standard input.
    pub input: Vec<u8>,
}

/// What became of the jobs so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Programs that were started.
    pub started: u64,
    /// Programs that could not be started, or did not end with 0.
    pub failed: u64,
    /// Programs that were killed at their limit.
    pub killed: u64,
    /// Jobs that were dropped, since too many waited.
    pub dropped: u64,
}

/// The standard input of a program, as far as it has not been taken yet.
struct Feed {
    pipe: File,
    rest: Vec<u8>,
    source: Option<SourceKey>,
}

struct Running {
    name: String,
    child: Child,
    feed: Option<Feed>,
    deadline: Instant,
    killed: bool,
}

/// The queue, and the program that runs.
pub struct Jobs {
    limit: Duration,
    waiting: VecDeque<Job>,
    running: Option<Running>,
    counts: Counts,
    problems: Vec<Problem>,
    /// Readable when a child has ended.
    ended: UnixStream,
    ended_key: Option<SourceKey>,
    timer: Option<TimerKey>,
}

impl Jobs {
    /// An empty queue. `limit` is what each program is given.
    pub fn new(limit: Duration) -> io::Result<Self> {
        let (ended, write) = UnixStream::pair()?;
        signal_hook::low_level::pipe::register(signal_hook::consts::SIGCHLD, write)?;
        ended.set_nonblocking(true)?;
        Ok(Self {
            limit,
            waiting: VecDeque::new(),
            running: None,
            counts: Counts::default(),
            problems: Vec::new(),
            ended,
            ended_key: None,
            timer: None,
        })
    }

    /// Changes the limit for programs that are started from now on.
    pub const fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// What became of the jobs so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// What went wrong since this was asked last.
    pub fn take_problems(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.problems)
    }

    /// Takes its place on the loop.
    pub fn register<P: Platform<Handle = RawFd>>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
    ) -> Result<(), NoSlot> {
        self.timer = Some(registrar.add_timer(Owner::Application)?);
        let handle = self.ended.as_raw_fd();
        let key = registrar.add_source(Owner::Application, handle, Interest::READ);
        self.ended_key = Some(key.map_err(|_| NoSlot)?);
        Ok(())
    }

    /// Queues a job; [`pump`](Self::pump) starts it.
    pub fn push(&mut self, job: Job) {
        self.waiting.retain(|other| other.about != job.about || other.program != job.program);
        if self.waiting.len() == MAX_WAITING {
            self.waiting.pop_front();
            self.counts.dropped += 1;
        }
        self.waiting.push_back(job);
    }

    /// The jobs that wait, the next first.
    pub fn waiting(&self) -> impl Iterator<Item = &Job> {
        self.waiting.iter()
    }

    /// Whether a program runs or waits to.
    pub fn is_busy(&self) -> bool {
        self.running.is_some() || !self.waiting.is_empty()
    }

    /// Takes what the loop found ready, if it is for the jobs.
    pub fn take<P: Platform<Handle = RawFd>>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        ready: Ready,
    ) -> bool {
        let feeds = self.running.as_ref().and_then(|r| r.feed.as_ref()).and_then(|f| f.source);
        match ready {
            Ready::Source { key, .. } if Some(key) == self.ended_key => {
                // Some bytes may stand for several ends, and one end for none: it is looked, not counted.
                let mut bytes = [0; 64];
                while matches!((&self.ended).read(&mut bytes), Ok(n) if n > 0) {}
            }
            Ready::Source { key, .. } if Some(key) == feeds => {}
            Ready::Timer { key, .. } if Some(key) == self.timer => self.kill_if_late(registrar),
            _ => return false,
        }
        self.pump(registrar);
        true
    }

    /// Goes on: feeds the program that runs, sees whether it has ended, starts the next.
    pub fn pump<P: Platform<Handle = RawFd>>(&mut self, registrar: &mut Registrar<'_, P>) {
        loop {
            if let Some(running) = &mut self.running {
                running.feed(registrar);
                match running.child.try_wait() {
                    Ok(None) => return,
                    ended => self.reap(registrar, ended.ok().flatten()),
                }
            }
            let Some(job) = self.waiting.pop_front() else { return };
            self.start(registrar, job);
        }
    }

    fn start<P: Platform<Handle = RawFd>>(&mut self, registrar: &mut Registrar<'_, P>, job: Job) {
        let name = format!("{} ({})", job.program.display(), job.about);
        let deadline = registrar.now() + self.limit;
        match spawn(&job) {
            Ok((child, pipe)) => {
                self.counts.started += 1;
                let feed = Some(Feed { pipe, rest: job.input, source: None });
                self.running = Some(Running { name, child, feed, deadline, killed: false });
                if let Some(timer) = self.timer {
                    registrar.set_timer(timer, deadline);
                }
            }
            Err(error) => {
                self.counts.failed += 1;
                let hint = "check that the file is there and may be executed".to_owned();
                self.problems.push(Problem { what: name, why: error.to_string(), hint });
            }
        }
    }

    fn kill_if_late<P: Platform<Handle = RawFd>>(&mut self, registrar: &mut Registrar<'_, P>) {
        if let Some(running) = self.running.as_mut().filter(|r| r.deadline <= registrar.now()) {
            running.kill();
        }
    }

    fn reap<P: Platform<Handle = RawFd>>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        status: Option<ExitStatus>,
    ) {
        let Some(mut running) = self.running.take() else { return };
        running.unwatch(registrar);
        if let Some(timer) = self.timer {
            registrar.clear_timer(timer);
        }
        let (why, hint) = if running.killed {
            self.counts.killed += 1;
            let limit = self.limit.as_millis();
            (
                format!("was killed, since it took more than {limit} ms"),
                "make it faster, or raise --hook-timeout",
            )
        } else {
            match status {
                Some(status) if status.success() => return,
                Some(status) => (ending(status), "run it by hand, with the same environment"),
                None => ("cannot be waited for".to_owned(), "report this, please"),
            }
        };
        self.counts.failed += u64::from(!running.killed);
        self.problems.push(Problem { what: running.name, why, hint: hint.into() });
    }

    /// The loop has ended: waits for what runs and for what waits, all together for one limit at most.
    pub fn finish<P: Platform<Handle = RawFd>>(&mut self, registrar: &mut Registrar<'_, P>) {
        let limit = time::Duration::from_micros(self.limit.as_micros());
        let mut until = time::Instant::now() + limit;
        loop {
            self.pump(registrar);
            if !self.is_busy() {
                return;
            }
            let left = until.saturating_duration_since(time::Instant::now());
            if left.is_zero() {
                self.counts.dropped += self.waiting.len() as u64;
                self.waiting.clear();
                match &mut self.running {
                    Some(running) if !running.killed => running.kill(),
                    _ => return,
                }
                until = time::Instant::now() + AFTER_KILL;
                continue;
            }
            let feeds = self.running.as_ref().is_some_and(|running| running.feed.is_some());
            self.wait(if feeds { left.min(FEED_EVERY) } else { left });
        }
    }

    /// Waits for the end of a child, or for so long.
    fn wait(&self, at_most: time::Duration) {
        let mut bytes = [0; 64];
        let _ = self.ended.set_nonblocking(false);
        let _ = self.ended.set_read_timeout(Some(at_most));
        let _ = (&self.ended).read(&mut bytes);
        let _ = self.ended.set_nonblocking(true);
    }
}

impl Running {
    fn feed<P: Platform<Handle = RawFd>>(&mut self, registrar: &mut Registrar<'_, P>) {
        let Some(feed) = &mut self.feed else { return };
        while !feed.rest.is_empty() {
            match feed.pipe.write(&feed.rest) {
                Ok(taken) => drop(feed.rest.drain(..taken)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if feed.source.is_none() {
                        let handle = feed.pipe.as_raw_fd();
                        let interest = Interest::WRITE;
                        // Without room on the loop it is fed when something else happens.
                        feed.source =
                            registrar.add_source(Owner::Application, handle, interest).ok();
                    }
                    return;
                }
                // It does not want to know.
                Err(_) => break,
            }
        }
        self.unwatch(registrar);
    }

    /// Closes its standard input.
    fn unwatch<P: Platform<Handle = RawFd>>(&mut self, registrar: &mut Registrar<'_, P>) {
        if let Some(source) = self.feed.take().and_then(|feed| feed.source) {
            registrar.remove_source(source);
        }
    }

    fn kill(&mut self) {
        self.killed = true;
        // It has a group of its own; if that is gone, so is it.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
    }
}

/// Starts a program in a process group of its own. What it prints goes to our standard error: standard
/// output is for events.
fn spawn(job: &Job) -> io::Result<(Child, File)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setfl(&write, OFlags::NONBLOCK)?;
    let mut command = Command::new(&job.program);
    for (name, _) in std::env::vars_os() {
        // What is there by accident must not be taken for a fact, nor the service's own for its own.
        let ours = name.as_encoded_bytes().starts_with(b"BRINGUP_");
        if ours || name == "NOTIFY_SOCKET" || name == "WATCHDOG_USEC" || name == "WATCHDOG_PID" {
            command.env_remove(name);
        }
    }
    let child = command
        .args(&job.arguments)
        .envs(job.environment.iter().map(|(name, value)| (name, value)))
        .stdin(read)
        .stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned()?))
        .process_group(0)
        .spawn()?;
    Ok((child, File::from(write)))
}

/// How a program ended, in words.
fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

#[cfg(test)]
mod tests;
