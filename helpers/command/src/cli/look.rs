//! [`Look`]: what the descriptors are on which things are told, and so how: colours, and a line that is
//! written anew while something is waited for.

use std::env;
use std::io::{self, IsTerminal as _};

use super::event::Event;

/// Ends a colour.
pub const PLAIN: &str = "\x1b[0m";
/// What stands beside: times, comments.
pub const DIM: &str = "\x1b[2m";
/// What went wrong.
pub const RED: &str = "\x1b[1;31m";
/// Goes to the beginning of the line, and empties it.
pub const CLEAR: &str = "\r\x1b[2K";

/// How much can be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Colours on standard output.
    pub colour: bool,
    /// Colours on standard error.
    pub error_colour: bool,
    /// Somebody looks at standard output while it is written.
    pub live: bool,
}

impl Look {
    /// What this process's descriptors are. No colours with `NO_COLOR` (no-color.org), nor on a terminal
    /// that knows none.
    pub fn of_process() -> Self {
        let set =
            |name| env::var_os(name).is_some_and(|value: std::ffi::OsString| !value.is_empty());
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let colour = !set("NO_COLOR") && !dumb;
        Self { colour: out && colour, error_colour: err && colour, live: out && !dumb }
    }
}

/// How much of an event's text has a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Its first word.
    Word,
    /// All of it.
    All,
}

/// The colour of an event.
pub fn colour(event: &Event) -> Option<(&'static str, Extent)> {
    use Extent::{All, Word};
    const BOLD: &str = "\x1b[1m";
    const GREEN: &str = "\x1b[32m";
    const DONE: &str = "\x1b[1;32m";
    const YELLOW: &str = "\x1b[33m";
    const CYAN: &str = "\x1b[36m";
    Some(match event {
        Event::State { to: "OPERATIONAL", .. } => (DONE, All),
        Event::State { .. } => (BOLD, Word),
        Event::Hold { released: false, .. } => (YELLOW, Word),
        Event::Hold { .. } | Event::Attached { .. } => (GREEN, Word),
        Event::Link { up: false, .. } => (RED, Word),
        Event::Address(address) if address.lost => (RED, Word),
        Event::Link { .. } | Event::Address(_) | Event::Servers(_) | Event::Option { .. } => {
            (CYAN, Word)
        }
        Event::Offer(_) | Event::Reloaded(_) => (CYAN, Word),
        Event::Discard { .. } | Event::Stats(_) => (DIM, All),
        Event::Result(lookup) if lookup.rcode == "NOERROR" => (DIM, All),
        Event::Result(_) => (YELLOW, All),
        Event::Time(time) if time.state == "invalid" => (YELLOW, Word),
        Event::Time(_) => (GREEN, Word),
        Event::Status(report) if report.operational => (DONE, Word),
        Event::Status(_) => (YELLOW, Word),
        Event::Checked(checked) => (if checked.ok { GREEN } else { RED }, All),
        Event::Answer(_) | Event::Server(_) | Event::Decoded(_) | Event::Error(_) => return None,
    })
}

/// A text with its colour in front and the end of it behind.
pub fn painted(text: &str, (colour, extent): (&str, Extent)) -> String {
    let end = match extent {
        Extent::All => text.len(),
        Extent::Word => text.find(char::is_whitespace).unwrap_or(text.len()),
    };
    let (painted, rest) = text.split_at(end);
    format!("{colour}{painted}{PLAIN}{rest}")
}

/// How many columns the terminal has; 80 where it does not say.
pub fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(80)
}
