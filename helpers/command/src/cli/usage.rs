//! What is wrong with a command line, or with a value that stands in a file in its place, as a [`Problem`].

use std::error::Error as _;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::args::Args;
use super::event::Problem;

/// Says what the parser found in the words for this command, in one sentence that ends in what to do next.
pub fn problem(error: &clap::Error, command: &str) -> Problem {
    let text = |kind| error.get(kind).map(words).filter(|words| !words.is_empty());
    let argument =
        || text(ContextKind::InvalidArg).unwrap_or_else(|| "the command line".to_owned());
    let is_command = Args::command().find_subcommand(command).is_some();
    let help = match is_command {
        true => format!("see `bringup {command} --help`"),
        false => "see `bringup --help`".to_owned(),
    };
    let (what, why, hint) = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let what = text(ContextKind::InvalidSubcommand).unwrap_or_default();
            (what, "is not a command".into(), suggestion(error, &help))
        }
        ErrorKind::UnknownArgument => {
            let is_option = argument().starts_with('-');
            let why = if is_option { "is not an option here" } else { "is one word too many" };
            (argument(), why.into(), suggestion(error, &help))
        }
        ErrorKind::InvalidValue => {
            let given = text(ContextKind::InvalidValue);
            let why = given.map_or_else(
                || "needs a value".to_owned(),
                |given| format!("`{given}` is not one of its values"),
            );
            let valid = text(ContextKind::ValidValue);
            (argument(), why, valid.map_or(help, |valid| format!("use one of: {valid}")))
        }
        // Our own parsers say both themselves.
        ErrorKind::ValueValidation => {
            let said = error.source().map(ToString::to_string).unwrap_or_default();
            match said.split_once("; ") {
                Some((why, hint)) => (argument(), why.to_owned(), hint.to_owned()),
                None => (argument(), said, help),
            }
        }
        ErrorKind::MissingRequiredArgument => (argument(), "is missing".into(), help),
        ErrorKind::MissingSubcommand => ("a command".into(), "is missing".into(), help),
        ErrorKind::ArgumentConflict => {
            let why = match text(ContextKind::PriorArg) {
                Some(prior) if prior != argument() => format!("cannot be used with {prior}"),
                _ => "stands there more than once".to_owned(),
            };
            (argument(), why, "leave one of them out".into())
        }
        _ => (argument(), first_line(error), help),
    };
    Problem { what, why, hint }
}

/// A context as a list of words.
fn words(value: &ContextValue) -> String {
    match value {
        ContextValue::Strings(list) => list.join(", "),
        other => other.to_string(),
    }
}

/// What was meant, if that can be guessed.
pub fn similar(error: &clap::Error) -> Option<String> {
    use ContextKind::{SuggestedArg, SuggestedSubcommand, SuggestedValue};
    let kinds = [SuggestedSubcommand, SuggestedArg, SuggestedValue];
    kinds.into_iter().find_map(|kind| error.get(kind).map(words))
}

fn suggestion(error: &clap::Error, help: &str) -> String {
    similar(error).map_or_else(|| help.to_owned(), |close| format!("did you mean `{close}`?"))
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use crate::cli::args::{Parsed, parse};

    #[test]
    fn sentences() {
        for (line, sentence) in [
            ("qurey", "qurey: is not a command; did you mean `query`?"),
            ("xyz", "xyz: is not a command; see `bringup --help`"),
            ("up", "<IFACE>...: is missing; see `bringup up --help`"),
            ("up eth0 --hostnam x", "--hostnam: is not an option here; did you mean `--hostname`?"),
            (
                "up eth0 --profile slow",
                "`slow` is not one of its values; use one of: fast, standard",
            ),
            (
                "query a.example --deadline 4",
                "`4` is not a duration; write a number and ms, s, m or h",
            ),
            ("query a.example --server", "needs a value; see `bringup query --help`"),
            ("query a.example mx b", "b: is one word too many; see `bringup query --help`"),
            ("time a --samples 9", "9 is not in 1..=8; see `bringup time --help`"),
            ("query a -q -v", "cannot be used with --verbose; leave one of them out"),
            ("query a --tcp --tcp", "stands there more than once; leave one of them out"),
        ] {
            let words = ["bringup"].into_iter().chain(line.split(' '));
            let Parsed::Wrong(problem) = parse(words) else { panic!("{line}") };
            let told = problem.to_string();
            assert!(told.contains(sentence) && !told.contains('\n'), "{line}: {told}");
        }
    }
}
