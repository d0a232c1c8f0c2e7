//! `bringup status`, and `bringup query --service`: the other end of the socket of a running `up`.

use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::args::{Query, Status};
use super::event::{Answer, Event, Lookup, Problem};
use super::exit::Exit;
use super::output::Output;
use super::service::report::Report;

pub mod human;
pub mod metrics;

/// How long the service may take to say something. A look into the DNS has a limit of its own, below.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the service says.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line {
    Status(Box<Report>),
    Answer(Answer),
    Result(Found),
    Error(Problem),
}

/// [`Lookup`] as it is read.
#[derive(Debug, Deserialize)]
struct Found {
    name: String,
    #[serde(rename = "type")]
    rtype: String,
    rcode: String,
    from: Option<String>,
    server: Option<SocketAddr>,
    elapsed_us: u64,
}

impl From<Found> for Lookup {
    fn from(found: Found) -> Self {
        let Found { name, rtype, rcode, from, server, elapsed_us } = found;
        let known = ["network", "cache", "hosts", "literal", "special"];
        let from = known.into_iter().find(|known| from.as_deref() == Some(known));
        Self { name, rtype, rcode, from, server, elapsed_us }
    }
}

/// Runs `bringup status`. Whether the machine is OPERATIONAL is the answer.
pub fn run(args: &Status, output: &mut Output) -> Exit {
    let mut exit = Exit::Unknown;
    let request = if args.watch { "watch" } else { "status" };
    let asked = ask(&args.socket, request, |line| {
        let Line::Status(report) = line else { return };
        exit = if report.operational { Exit::Done } else { Exit::No };
        show(args, *report, output);
    });
    match asked {
        // The service has ended, and so has the watching.
        Ok(()) => exit,
        Err(_) if output.is_closed() => exit,
        Err(error) => tell(&args.socket, &error, output),
    }
}

fn show(args: &Status, report: Report, output: &mut Output) {
    if args.metrics {
        output.print(&metrics::text(&report));
    } else if output.settings().json {
        output.emit(&Event::Status(Box::new(report)));
    } else {
        if args.watch && io::stdout().is_terminal() {
            // Home, and everything below is cleared.
            output.print("\x1b[H\x1b[J");
        }
        let text = output.text(&Event::Status(Box::new(report)));
        output.print(&text);
    }
}

/// Runs `bringup query --service`.
pub fn query(args: &Query, output: &mut Output) -> Exit {
    let mut told: Vec<Answer> = Vec::new();
    let (mut yes, mut no, mut unknown) = (false, false, false);
    let rtype = args.rtype.map(|rtype| format!(" {rtype}")).unwrap_or_default();
    if args.name.split_ascii_whitespace().count() != 1 {
        output.problem(args.name.as_str(), "it is not a domain name", "write one word");
        return Exit::Usage;
    }
    let asked = ask(&args.socket, &format!("query {}{rtype}", args.name), |line| match line {
        Line::Answer(answer) => {
            if !told.contains(&answer) {
                told.push(answer.clone());
                output.emit(&Event::Answer(answer));
            }
        }
        Line::Result(found) => {
            match found.rcode.as_str() {
                "NOERROR" => yes = true,
                "NODATA" | "NXDOMAIN" => no = true,
                _ => unknown = true,
            }
            output.emit(&Event::Result(found.into()));
        }
        Line::Error(Problem { what, why, hint }) => {
            unknown = true;
            output.problem(what, why, hint);
        }
        Line::Status(_) => {}
    });
    match asked {
        Err(error) => tell(&args.socket, &error, output),
        Ok(()) if yes => Exit::Done,
        Ok(()) if no && !unknown => Exit::No,
        Ok(()) => Exit::Unknown,
    }
}

/// Sends a request, and gives every line of the answer to `take`.
fn ask(socket: &Path, request: &str, mut take: impl FnMut(Line)) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut is_silent = true;
    for line in BufReader::new(stream).lines() {
        is_silent = false;
        take(serde_json::from_str(&line?).map_err(io::Error::from)?);
    }
    if is_silent { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

fn tell(socket: &Path, error: &io::Error, output: &mut Output) -> Exit {
    use io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied, UnexpectedEof, WouldBlock};
    let what = format!("the status socket {}", socket.display());
    let (why, hint) = match error.kind() {
        NotFound | ConnectionRefused => (
            "no `bringup up` answers there".to_owned(),
            "start one, or name its socket with --socket",
        ),
        PermissionDenied => (error.to_string(), "ask as a user who may enter its folder"),
        UnexpectedEof => ("it hung up without a word".to_owned(), "others ask too; try again"),
        WouldBlock => ("no answer within 20 s".to_owned(), "see whether the service hangs"),
        _ => (error.to_string(), "use the version of bringup that is running"),
    };
    output.problem(what, why, hint);
    Exit::Unknown
}
