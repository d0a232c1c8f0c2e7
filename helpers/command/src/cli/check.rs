//! `bringup check`: whether a configuration file is one that `up` takes.

use super::args::Check;
use super::config::{File, Unusable};
use super::event::{Checked, Event};
use super::exit::Exit;
use super::output::Output;

/// Reads the file, and tells all that is wrong with it. A file that is wrong is a no, one that cannot be
/// read is an answer that could not be found out.
pub fn run(args: &Check, output: &mut Output) -> Exit {
    let path = &args.file;
    let (mistakes, exit) = match File::load(path) {
        Ok(_) => (Vec::new(), Exit::Done),
        Err(unusable) => {
            for problem in unusable.problems(path) {
                output.problem(problem.what, problem.why, problem.hint);
            }
            match unusable {
                Unusable::Unread(_) => return Exit::Unknown,
                Unusable::Wrong(mistakes) => (mistakes, Exit::No),
            }
        }
    };
    let ok = mistakes.is_empty();
    output.emit(&Event::Checked(Checked { file: path.display().to_string(), ok, mistakes }));
    exit
}
