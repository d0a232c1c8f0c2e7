//! [`File`]: options of `up` from a file in TOML.
//!
//! A key is the long name of an option without its dashes, and `interfaces` for those that `up` names; its
//! value is what stands behind the option: a string or a whole number, a list of them where the option may
//! be repeated, `true` or `false` where it has no value. So a file can say what the command line can, by the
//! same parsers and with the same defaults. What the command line says counts for more: a key whose option
//! is given there, or one that excludes it, is not taken from the file.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{
    Arg, ArgAction, Args as _, Command, CommandFactory as _, FromArgMatches as _, Parser as _,
};
use serde::Serialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::args::{self, Args, Up};
use super::event::Problem;
use super::{up, usage};

/// The longest file that is read, octets: far more than all keys with a comment each.
const FILE_MAX: u64 = 64 * 1024;

/// The key of what has no option: the interfaces. Its name in the parser, too.
const INTERFACES: &str = "interfaces";

/// Something wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What is wrong there.
    pub why: String,
    /// What to do.
    pub hint: String,
}

impl Mistake {
    fn at(text: &str, place: usize, why: impl Into<String>, hint: impl Into<String>) -> Self {
        let before = text.get(..place).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or(before);
        Self {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            why: why.into(),
            hint: hint.into(),
        }
    }

    /// As it is told of this file.
    pub fn problem(&self, path: &Path) -> Problem {
        Problem {
            what: format!("{}:{}:{}", path.display(), self.line, self.column),
            why: self.why.clone(),
            hint: self.hint.clone(),
        }
    }
}

/// Why a file is of no use.
#[derive(Debug)]
pub enum Unusable {
    /// It cannot be read.
    Unread(io::Error),
    /// It is wrong.
    Wrong(Vec<Mistake>),
}

impl Unusable {
    /// As it is told of this file.
    pub fn problems(&self, path: &Path) -> Vec<Problem> {
        match self {
            Self::Unread(error) => vec![Problem {
                what: format!("the configuration file {}", path.display()),
                why: error.to_string(),
                hint: "name a file that can be read".into(),
            }],
            Self::Wrong(mistakes) => mistakes.iter().map(|m| m.problem(path)).collect(),
        }
    }
}

/// A key of a file, as the parser of the command line knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// The parser's name for it.
    id: String,
    /// What would say the same on the command line.
    words: Vec<OsString>,
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    entries: Vec<Entry>,
}

impl File {
    /// Reads the file at this path.
    pub fn load(path: &Path) -> Result<Self, Unusable> {
        let mut octets = Vec::new();
        let read = fs::File::open(path).and_then(|f| f.take(FILE_MAX + 1).read_to_end(&mut octets));
        match read {
            Err(error) => Err(Unusable::Unread(error)),
            Ok(length) if length as u64 > FILE_MAX => {
                Err(Unusable::Unread(io::ErrorKind::FileTooLarge.into()))
            }
            Ok(_) => Self::parse(&octets).map_err(Unusable::Wrong),
        }
    }

    /// Reads a text, and finds all that is wrong with it.
    pub fn parse(octets: &[u8]) -> Result<Self, Vec<Mistake>> {
        let text = match std::str::from_utf8(octets) {
            Ok(text) => text,
            Err(error) => {
                let valid = String::from_utf8_lossy(&octets[..error.valid_up_to()]);
                let why = "is not UTF-8, as TOML is";
                return Err(vec![Mistake::at(&valid, valid.len(), why, "save it as UTF-8")]);
            }
        };
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut mistakes: Vec<Mistake> = errors
            .iter()
            .map(|error| {
                let place = error.span().map_or(text.len(), |span| span.start);
                Mistake::at(text, place, error.message(), "write it as TOML has it, key = value")
            })
            .collect();
        if !mistakes.is_empty() {
            // What could be read of it may be half of what was meant.
            return Err(mistakes);
        }
        let keys = Keys::new(text);
        let mut places: Vec<_> = table.into_inner().into_iter().collect();
        places.sort_by_key(|(key, _)| key.span().start);
        let mut file = Self::default();
        for (key, value) in places {
            match keys.entry(&key, &value) {
                Ok(entry) => file.entries.push(entry),
                Err(mut found) => mistakes.append(&mut found),
            }
        }
        if mistakes.is_empty() {
            mistakes.extend(file.mistake_of_the_whole(text));
        }
        if mistakes.is_empty() { Ok(file) } else { Err(mistakes) }
    }

    /// What only shows when all keys are taken together: two that exclude each other, too many of one.
    fn mistake_of_the_whole(&self, text: &str) -> Option<Mistake> {
        let words = self.words(|_| true);
        let line = ["bringup", "up"].map(OsString::from).into_iter().chain(words);
        // The interfaces may come from the command line.
        let line = line.chain((!self.names_interfaces()).then(|| OsString::from("lo")));
        let Problem { what, why, hint } = match Args::try_parse_from(line) {
            Err(error) => usage::problem(&error, "up"),
            Ok(Args { command: args::Command::Up(up), .. }) => up::mistake(&up)?,
            Ok(_) => return None,
        };
        let what = what.trim_start_matches("--").to_owned();
        let key = what.split(' ').next().unwrap_or(&what);
        let place = text.split_inclusive('\n').scan(0, |start, line| {
            let here = *start;
            *start += line.len();
            Some((here, line))
        });
        let is_of_key = |line: &str| line.split('=').next().is_some_and(|word| word.trim() == key);
        let place = place.filter(|(_, line)| is_of_key(line)).last();
        let place = place.map_or(0, |(start, _)| start);
        Some(Mistake::at(text, place, format!("{what} {}", why.replace("--", "")), hint))
    }

    /// Whether it names interfaces.
    pub fn names_interfaces(&self) -> bool {
        self.entries.iter().any(|entry| entry.id == INTERFACES && !entry.words.is_empty())
    }

    /// What would say the same on the command line, of the keys whose name in the parser passes.
    fn words(&self, passes: impl Fn(&str) -> bool) -> Vec<OsString> {
        let taken = self.entries.iter().filter(|entry| passes(&entry.id));
        taken.flat_map(|entry| entry.words.iter().cloned()).collect()
    }
}

/// The keys that there are: the options of `up`.
struct Keys<'t> {
    text: &'t str,
    command: Command,
}

impl<'t> Keys<'t> {
    fn new(text: &'t str) -> Self {
        let mut command = Up::augment_args(Command::new("up").no_binary_name(true));
        command.build();
        Self { text, command }
    }

    /// The option of this name.
    fn option(&self, key: &str) -> Option<&Arg> {
        let is = |arg: &&Arg| match arg.get_long() {
            // A file that names another would have no end.
            Some(long) => long == key && long != "config" && long != "help",
            None => key == INTERFACES && arg.get_id() == INTERFACES,
        };
        self.command.get_arguments().find(is)
    }

    fn mistake(&self, place: &Range<usize>, why: String, hint: impl Into<String>) -> Mistake {
        Mistake::at(self.text, place.start, why, hint)
    }

    /// Reads a key and its value.
    fn entry(
        &self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Entry, Vec<Mistake>> {
        let (name, place) = (key.get_ref(), key.span());
        let Some(option) = self.option(name) else {
            let why = format!("`{}` is not a key", name.escape_debug());
            return Err(vec![self.mistake(&place, why, self.similar(name))]);
        };
        let words = match (option.get_action(), value.get_ref()) {
            (ArgAction::SetTrue, DeValue::Boolean(on)) => {
                Ok(on.then(|| format!("--{name}").into()).into_iter().collect())
            }
            (ArgAction::SetTrue, _) => {
                let why = format!("`{name}` is {}, not {}", "true or false", kind(value.get_ref()));
                Err(vec![self.mistake(&value.span(), why, "write true or false")])
            }
            (ArgAction::Append, DeValue::Array(list)) => self.list(name, list.iter()),
            (ArgAction::Append, _) => self.list(name, std::iter::once(value)),
            (_, DeValue::Array(_)) => {
                let why = format!("`{name}` has one value, not a list");
                Err(vec![self.mistake(&value.span(), why, "take the brackets off")])
            }
            _ => self.list(name, std::iter::once(value)),
        };
        Ok(Entry { id: option.get_id().to_string(), words: words? })
    }

    fn list<'v, 'i: 'v>(
        &self,
        name: &str,
        values: impl Iterator<Item = &'v Spanned<DeValue<'i>>>,
    ) -> Result<Vec<OsString>, Vec<Mistake>> {
        let (mut words, mut mistakes) = (Vec::new(), Vec::new());
        for value in values {
            match self.word(name, value) {
                Ok(word) => words.push(word),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if mistakes.is_empty() { Ok(words) } else { Err(mistakes) }
    }

    /// A value as it would stand on the command line, if its option takes it.
    fn word(&self, name: &str, value: &Spanned<DeValue<'_>>) -> Result<OsString, Mistake> {
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().replace('_', ""),
            other => {
                let why = format!("`{name}` is text or a number, not {}", kind(other));
                return Err(self.mistake(&value.span(), why, "write it in quotes"));
            }
        };
        let word = if name == INTERFACES { text } else { format!("--{name}={text}") };
        if name == INTERFACES && (word.is_empty() || word.starts_with('-')) {
            let why = format!("`{word}` is not the name of an interface");
            return Err(self.mistake(&value.span(), why, "name one that `ip link` lists"));
        }
        let line = [word.as_str()].into_iter().chain((name != INTERFACES).then_some("lo"));
        match self.command.clone().try_get_matches_from(line) {
            Ok(_) => Ok(word.into()),
            Err(error) => {
                let Problem { why, hint, .. } = usage::problem(&error, "up");
                Err(self.mistake(&value.span(), format!("`{name}`: {why}"), hint))
            }
        }
    }

    /// What to do about a key that there is not.
    fn similar(&self, name: &str) -> String {
        let close = self.command.clone().try_get_matches_from([format!("--{name}")]).err();
        let close = close.and_then(|error| usage::similar(&error));
        let close = close.map(|option| option.trim_start_matches('-').to_owned());
        match close.filter(|close| self.option(close).is_some()) {
            Some(close) => format!("did you mean `{close}`?"),
            None => "a key is an option of `bringup up --help` without its dashes".to_owned(),
        }
    }
}

/// What a value is, with its article.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The options of `up` as a command line and the file that it names say them together.
pub fn merged(line: &[OsString], path: &Path) -> Result<Up, Vec<Problem>> {
    let file = File::load(path).map_err(|unusable| unusable.problems(path))?;
    let wrong = |error: clap::Error| vec![usage::problem(&error, "up")];
    let mut parser = Args::command();
    let matches = parser.try_get_matches_from_mut(line).map_err(wrong)?;
    let given = matches.subcommand_matches("up").map(|up| {
        let ids = up.ids().map(|id| id.as_str().to_owned());
        let given = ids.filter(|id| up.value_source(id) == Some(ValueSource::CommandLine));
        given.collect::<Vec<String>>()
    });
    let given = given.unwrap_or_default();
    let mut known = Up::augment_args(Command::new("up"));
    known.build();
    let excludes = |one: &str, other: &str| {
        let arg = known.get_arguments().find(|arg| arg.get_id() == one);
        arg.is_some_and(|arg| {
            known.get_arg_conflicts_with(arg).iter().any(|arg| arg.get_id() == other)
        })
    };
    // The parser knows it from one side alone.
    let excluded = |id: &str| given.iter().any(|g| excludes(g, id) || excludes(id, g));
    let words = file.words(|id| !given.iter().any(|g| g == id) && !excluded(id));
    // Behind the name of the command, the first word that is no option.
    let is_command = |word: &OsString| !word.as_encoded_bytes().starts_with(b"-");
    let at = line.iter().skip(1).position(is_command).map_or(line.len(), |at| at + 2);
    let (before, behind) = line.split_at(at.min(line.len()));
    let whole = before.iter().cloned().chain(words).chain(behind.iter().cloned());
    let matches = Args::command().try_get_matches_from(whole).map_err(wrong)?;
    match Args::from_arg_matches(&matches).map_err(wrong)?.command {
        args::Command::Up(up) if up.interfaces.is_empty() => Err(vec![Problem {
            what: format!("the configuration file {}", path.display()),
            why: "names no interface, and neither does the command line".into(),
            hint: "write interfaces = [\"eth0\"] into it, or name one behind `up`".into(),
        }]),
        args::Command::Up(up) => Ok(*up),
        // The line is one of `up`, and so is this one.
        _ => Err(Vec::new()),
    }
}

#[cfg(test)]
mod tests;
