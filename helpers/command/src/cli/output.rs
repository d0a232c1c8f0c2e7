//! [`Output`]: the one place where anything is printed.
//!
//! For `--json` every event is one line, `t_us` and `event` first, flushed at once. For a person it is
//! a line of a timeline, or plain text. Errors go to standard error too, in either form, as a sentence.
//!
//! A reader that goes away early (`bringup … | head -1`) ends the output quietly: nothing more is
//! written, and [`is_closed`](Output::is_closed) says that there is no point in going on.

use std::io::{self, ErrorKind, Write};
use std::time::Instant;

use serde::Serialize;

use super::event::{Event, Problem};
use super::exit::Exit;
use super::human::{self, Human};
use super::look::{self, DIM, Look, PLAIN, RED};
use crate::record::{Protocol, Recorder, What};

/// How to tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// JSON objects, one per line.
    pub json: bool,
    /// For a person: only what was asked for. Objects are never left out.
    pub quiet: bool,
    /// Also what was ignored.
    pub verbose: bool,
    /// For a person: put the time in front of what happens.
    pub timeline: bool,
}

/// Why nothing more can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// Nobody reads any more.
    Closed,
    /// The disk is full, or something like it.
    Failed,
}

/// Where events go.
pub struct Output {
    settings: Settings,
    started: Instant,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// One event; kept so that a line reaches the descriptor in one write.
    line: Vec<u8>,
    broken: Option<Broken>,
    /// Who writes down what is told.
    recorder: Option<Recorder>,
    look: Look,
    /// Whether the last line is one that is written anew.
    is_live_shown: bool,
}

/// An object of `--json`.
#[derive(Serialize)]
struct Object<'a> {
    t_us: u64,
    #[serde(flatten)]
    event: &'a Event,
}

impl Output {
    /// Standard output and standard error of a program that started at `started`.
    pub fn stdio(settings: Settings, started: Instant) -> Self {
        let (out, err) = (Box::new(io::stdout()), Box::new(io::stderr()));
        Self { look: Look::of_process(), ..Self::new(settings, started, out, err) }
    }

    /// Output to wherever.
    pub fn new(
        settings: Settings,
        started: Instant,
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
    ) -> Self {
        Self {
            settings,
            started,
            out,
            err,
            line: Vec::new(),
            broken: None,
            recorder: None,
            look: Look::default(),
            is_live_shown: false,
        }
    }

    /// How it tells.
    pub const fn settings(&self) -> Settings {
        self.settings
    }

    /// Whether nothing more can be written, so that whoever only tells may end.
    pub const fn is_closed(&self) -> bool {
        self.broken.is_some()
    }

    /// Has everything that is told from now on written down, whether or not anybody wants to read it.
    pub fn record_into(&mut self, recorder: Recorder) {
        self.recorder = Some(recorder);
    }

    /// Who writes down what is told.
    pub const fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_ref()
    }

    /// How long ago the program started.
    pub fn elapsed(&self) -> std::time::Duration {
        self.started.elapsed()
    }

    /// Tells an event that happens now.
    pub fn emit(&mut self, event: &Event) {
        let t_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.emit_at(t_us, event);
    }

    /// Tells an event that happened `t_us` microseconds after the program started; in a simulation,
    /// after that started.
    pub fn emit_at(&mut self, t_us: u64, event: &Event) {
        if let (Some(recorder), Some(what)) = (&self.recorder, what(event)) {
            recorder.add(t_us, what);
        }
        self.clear_live();
        if let Event::Error(problem) = event {
            self.complain(problem);
        }
        if self.is_closed() || !self.wants(event) {
            return;
        }
        self.line.clear();
        let written = if self.settings.json {
            serde_json::to_writer(&mut self.line, &Object { t_us, event }).map_err(io::Error::from)
        } else {
            let (dim, plain) = if self.look.colour { (DIM, PLAIN) } else { ("", "") };
            let (s, us) = (t_us / 1_000_000, t_us % 1_000_000);
            let is_timed = self.settings.timeline && human::is_timed(event);
            let time =
                if is_timed { format!("{dim}{s:>4}.{us:06}{plain}  ") } else { String::new() };
            write!(self.line, "{time}{}", self.text(event))
        };
        self.line.push(b'\n');
        let written = written.and_then(|()| self.out.write_all(&self.line));
        let flushed = written.and_then(|()| self.out.flush());
        self.check(flushed);
    }

    /// An event for a person, in its colour if there are any.
    pub fn text(&self, event: &Event) -> String {
        let text = Human(event).to_string();
        match look::colour(event).filter(|_| self.look.colour) {
            Some(colour) => look::painted(&text, colour),
            None => text,
        }
    }

    /// Says on standard error what went wrong.
    fn complain(&mut self, problem: &Problem) {
        // A file may say anything, and a terminal must not do it.
        let plain =
            |c: char| if c.is_control() { c.escape_unicode().to_string() } else { c.into() };
        let mut sentence: String =
            Human::sentence(problem).to_string().chars().map(plain).collect();
        if self.look.error_colour {
            sentence = look::painted(&sentence, (RED, look::Extent::Word));
        }
        // Nobody is left to hear that this fails.
        let _ = writeln!(self.err, "{sentence}");
    }

    /// Whether somebody looks at a terminal while this program waits.
    pub const fn is_live(&self) -> bool {
        self.look.live && !self.settings.json && !self.settings.quiet
    }

    /// Writes a line that stays until the next one of whatever kind.
    pub fn live(&mut self, text: &str) {
        if !self.is_live() || self.is_closed() {
            return;
        }
        // One column less than there are, so that no terminal goes to the next line.
        let text: String = text.chars().take(look::width().saturating_sub(1)).collect();
        let (dim, plain) = if self.look.colour { (DIM, PLAIN) } else { ("", "") };
        let line = format!("{}{dim}{text}{plain}", look::CLEAR);
        self.is_live_shown = true;
        let written = self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush());
        self.check(written);
    }

    /// Takes that line away.
    pub fn clear_live(&mut self) {
        if std::mem::take(&mut self.is_live_shown) && !self.is_closed() {
            let cleared = self.out.write_all(look::CLEAR.as_bytes());
            let flushed = cleared.and_then(|()| self.out.flush());
            self.check(flushed);
        }
    }

    /// Tells what went wrong.
    pub fn problem(
        &mut self,
        what: impl Into<String>,
        why: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let problem = Problem { what: what.into(), why: why.into(), hint: hint.into() };
        self.emit(&Event::Error(problem));
    }

    /// A line of prose for a person: a heading, an explanation. Nothing with `--json` or `-q`.
    pub fn say(&mut self, text: &str) {
        if self.settings.json || self.settings.quiet || self.is_closed() {
            return;
        }
        self.clear_live();
        let written = self.out.write_all(format!("{text}\n").as_bytes());
        let flushed = written.and_then(|()| self.out.flush());
        self.check(flushed);
    }

    /// Text that was asked for, as it is.
    pub fn print(&mut self, text: &str) {
        self.clear_live();
        if self.is_closed() {
            return;
        }
        let written = self.out.write_all(text.as_bytes());
        let flushed = written.and_then(|()| self.out.flush());
        self.check(flushed);
    }

    /// A sentence that nobody is to miss: like [`say`](Self::say), but with `--json` or `-q` it goes to
    /// standard error.
    pub fn note(&mut self, text: &str) {
        if self.settings.json || self.settings.quiet {
            // Nobody is left to hear that this fails.
            let _ = writeln!(self.err, "bringup: {text}");
        } else {
            self.say(text);
        }
    }

    /// The exit code in the end: `exit`, unless output was lost for another reason than that nobody
    /// wanted it.
    pub fn finish(&mut self, exit: Exit) -> Exit {
        self.clear_live();
        if self.broken != Some(Broken::Failed) { exit } else { Exit::Unknown }
    }

    fn wants(&self, event: &Event) -> bool {
        let Settings { json, quiet, verbose, .. } = self.settings;
        match event {
            Event::Discard { .. } => verbose,
            // A person has read the sentence.
            Event::Error(_) => json,
            _ => json || !quiet || human::is_essential(event),
        }
    }

    fn check(&mut self, written: io::Result<()>) {
        let Err(error) = written else { return };
        if error.kind() == ErrorKind::BrokenPipe {
            self.broken = Some(Broken::Closed);
            return;
        }
        self.broken = Some(Broken::Failed);
        let why = error.to_string();
        let hint = "make room, or send the output elsewhere".into();
        self.complain(&Problem { what: "standard output".into(), why, hint });
    }
}

/// What a picture shows of an event.
fn what(event: &Event) -> Option<What> {
    Some(match event {
        Event::State { to, .. } => What::State(to),
        Event::Hold { holder, released, .. } => {
            What::Hold { holder: holder.clone(), released: *released }
        }
        Event::Link { interface, up } => What::Link { interface: interface.clone(), up: *up },
        Event::Address(address) => {
            let has = if address.lost { "lost" } else { "has" };
            let text = format!("{} {has} {}", address.interface, address.address);
            let interface = Some(address.interface.clone());
            What::Note { protocol: Protocol::Dhcp, interface, text }
        }
        Event::Time(time) => {
            let text = format!("time {}", time.state);
            What::Note { protocol: Protocol::Ntp, interface: None, text }
        }
        Event::Attached { waited_for } => What::Attached(waited_for),
        Event::Discard { protocol, reason, .. } => {
            let named = |known: &Protocol| known.name().eq_ignore_ascii_case(protocol);
            let protocol = Protocol::ALL.into_iter().find(named)?;
            What::Note { protocol, interface: None, text: format!("ignored: {reason}") }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
