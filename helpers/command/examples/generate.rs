//! Writes the completions of shells and the man pages into a folder, from the definition of the command line.
//! The command itself stays without that code.
//!
//! cargo run --example generate -- FOLDER

use std::path::PathBuf;
use std::{env, fs, io};

use bringup::cli::args::Args;
use clap::CommandFactory as _;
use clap_complete::Shell;

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).map_or_else(|| PathBuf::from("generated"), PathBuf::from);
    fs::create_dir_all(&folder)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let file = clap_complete::generate_to(shell, &mut Args::command(), "bringup", &folder)?;
        println!("{}", file.display());
    }
    clap_mangen::generate_to(Args::command(), &folder)?;
    println!("{}: a man page for each command", folder.display());
    Ok(())
}
