//! The command `bringup`: from arguments to an exit code.
//!
//! | module | what is in it |
//! |---|---|
//! | [`args`], [`text`] | the command line, and how its values are written |
//! | [`event`] | what can be told: the objects of `--json` |
//! | [`output`], [`human`] | how it is told: one object per line, or lines for a person |
//! | [`exit`] | exit codes |
//! | [`network`] | the loop and the servers of the subcommands below |
//! | [`lease`] | `bringup lease` |
//! | [`query`] | `bringup query` |
//! | [`time`] | `bringup time` |
//! | [`status`] | `bringup status`, and `query --service` |
//! | [`up`], [`demo`], [`query`], [`time`], [`decode`] | the subcommands |
//! | [`picture`] | `--timeline` and `--pcap` |
//! | [`state_dir`], [`saved_clock`] | what outlives a restart |
//! | [`bring_up`], [`session`] | what `up` and `demo` share: one bring-up, as it is told |
//! | [`companion`], [`service`] | what a running `up` does for the machine around it: resolv.conf, hooks |

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

pub mod args;
pub mod bring_up;
pub mod companion;
pub mod decode;
pub mod demo;
pub mod event;
pub mod exit;
pub mod human;
pub mod lease;
pub mod lookup;
pub mod network;
pub mod output;
pub mod picture;
pub mod privilege;
pub mod query;
pub mod saved_clock;
pub mod service;
pub mod session;
pub mod state_dir;
pub mod status;
pub mod text;
pub mod time;
pub mod up;

use args::{Args, Command, Parsed};
use exit::Exit;
use output::{Output, Settings};
use picture::Show;

/// Reads the command line, does what it says, and gives out how that ended.
pub fn main() -> ExitCode {
    let started = Instant::now();
    let args = match args::parse(std::env::args_os()) {
        Parsed::Run(args) => args,
        // That nobody reads it is no reason to fail.
        Parsed::Help(text) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            return Exit::Done.into();
        }
        Parsed::Wrong(text) => {
            let _ = std::io::stderr().write_all(text.as_bytes());
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
    let exit = run(&args, &mut output);
    output.finish(exit).into()
}

fn run(args: &Args, output: &mut Output) -> Exit {
    match &args.command {
        Command::Decode(decode) => decode::run(decode, output),
        Command::Query(query) if query.service => status::query(query, output),
        Command::Query(query) => query::run(query, output),
        Command::Status(status) => status::run(status, output),
        Command::Time(time) => time::run(time, output),
        Command::Lease(lease) => lease::run(lease, output),
        Command::Up(up) => {
            let title = format!("bringup up {}", up.interfaces.join(" "));
            picture::around(&up.files, Show::WithFile, &title, output, |output| up::run(up, output))
        }
        Command::Demo(demo) => {
            picture::around(&demo.files, Show::Always, "bringup demo", output, demo::run)
        }
    }
}
