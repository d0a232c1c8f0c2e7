//! The command `bringup`: from arguments to an exit code.
//!
//! | module | what is in it |
//! |---|---|
//! | [`args`], [`text`] | the command line, and how its values are written |
//! | [`usage`] | what is wrong with it, in a sentence |
//! | [`config`], [`check`] | options of `up` from a file, and `bringup check` |
//! | [`event`] | what can be told: the objects of `--json` |
//! | [`output`], [`human`] | how it is told: one object per line, or lines for a person |
//! | [`look`], [`live`] | on a terminal: colours, and a line that says who is waited for |
//! | [`exit`] | exit codes |
//! | [`network`] | the loop and the servers of the subcommands below |
//! | [`lease`] | `bringup lease` |
//! | [`query`] | `bringup query` |
//! | [`time`] | `bringup time` |
//! | [`status`] | `bringup status`, and `query --service` |
//! | [`up`], [`demo`], [`query`], [`time`], [`decode`] | the subcommands |
//! | [`picture`] | `--timeline` and `--pcap` |
//! | [`privilege`], [`port_holder`] | what may stand in the way |
//! | [`state_dir`], [`saved_clock`] | what outlives a restart |
//! | [`bring_up`], [`session`], [`name_pool`] | what `up` and `demo` share: one bring-up, as it is told |
//! | [`companion`], [`service`] | what a running `up` does for the machine around it: resolv.conf, hooks |

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

pub mod args;
pub mod bring_up;
pub mod check;
pub mod companion;
pub mod config;
pub mod decode;
pub mod demo;
pub mod event;
pub mod exit;
pub mod human;
pub mod lease;
pub mod live;
pub mod look;
pub mod lookup;
pub mod name_pool;
pub mod network;
pub mod output;
pub mod picture;
pub mod port_holder;
pub mod privilege;
pub mod query;
pub mod replies;
pub mod saved_clock;
pub mod service;
pub mod session;
pub mod state_dir;
pub mod status;
pub mod text;
pub mod time;
pub mod up;
pub mod usage;

use args::{Args, Command, Parsed};
use event::Event;
use exit::Exit;
use output::{Output, Settings};
use picture::Show;

/// Reads the command line, does what it says, and gives out how that ended.
pub fn main() -> ExitCode {
    let started = Instant::now();
    let line: Vec<OsString> = std::env::args_os().collect();
    let args = match args::parse(&line) {
        Parsed::Run(args) => args,
        // That nobody reads it is no reason to fail.
        Parsed::Help(text) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            return Exit::Done.into();
        }
        Parsed::Wrong(problem) => {
            let json = line.iter().any(|word| word == "--json");
            let settings = Settings { json, ..Settings::default() };
            Output::stdio(settings, started).emit(&Event::Error(problem));
            return Exit::Usage.into();
        }
    };
    let settings = Settings {
        json: args.json,
        quiet: args.quiet,
        verbose: args.verbose,
        timeline: matches!(args.command, Command::Demo(_) | Command::Up(_)),
    };
    let mut output = Output::stdio(settings, started);
    let exit = run(&args, &line, &mut output);
    output.finish(exit).into()
}

fn run(args: &Args, line: &[OsString], output: &mut Output) -> Exit {
    match &args.command {
        Command::Check(check) => check::run(check, output),
        Command::Decode(decode) => decode::run(decode, output),
        Command::Query(query) if query.service => status::query(query, output),
        Command::Query(query) => query::run(query, output),
        Command::Status(status) => status::run(status, output),
        Command::Time(time) => time::run(time, output),
        Command::Lease(lease) => lease::run(lease, output),
        Command::Up(up) => {
            let up = match &up.config {
                None => (**up).clone(),
                Some(path) => match config::merged(line, path) {
                    Ok(up) => up,
                    Err(problems) => {
                        problems.into_iter().for_each(|p| output.emit(&Event::Error(p)));
                        return Exit::Usage;
                    }
                },
            };
            let title = format!("bringup up {}", up.interfaces.join(" "));
            picture::around(&up.files, Show::WithFile, &title, output, |output| {
                up::run(&up, line, output)
            })
        }
        Command::Demo(demo) => {
            picture::around(&demo.files, Show::Always, "bringup demo", output, demo::run)
        }
    }
}
