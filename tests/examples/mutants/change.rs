//! The sources of a crate with every change in them, each behind its switch.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use syn::visit::Visit as _;

use crate::find::{Finder, Mutant};

/// What is put at the end of the crate's root.
const SWITCH: &str = r#"
extern crate std as switch_std;
/// Whether this change is on. Where a file is named, the changes that are reached are written down there.
/// The names are this crate's: another may still be built with changes of its own.
#[doc(hidden)]
#[inline]
pub fn is_on(number: u32) -> bool {
    use switch_std::sync::OnceLock;
    use switch_std::{env, fs, io::Write, string::String};
    static ON: OnceLock<(u32, Option<String>)> = OnceLock::new();
    let (on, file) = ON.get_or_init(|| {
        let on = env::var(concat!("MUTANT_OF_", env!("CARGO_PKG_NAME"))).ok().and_then(|n| n.parse().ok());
        let file = env::var(concat!("REACHED_IN_", env!("CARGO_PKG_NAME")));
        (on.unwrap_or(u32::MAX), file.ok())
    });
    if let Some(file) = file {
        static REACHED: [core::sync::atomic::AtomicBool; 8_192] =
            [const { core::sync::atomic::AtomicBool::new(false) }; 8_192];
        if !REACHED[number as usize].swap(true, core::sync::atomic::Ordering::Relaxed) {
            let file = fs::OpenOptions::new().create(true).append(true).open(file);
            file.unwrap().write_all(&number.to_le_bytes()).unwrap();
        }
    }
    *on == number
}
"#;

/// What changed code does and the compiler would mind.
const ALLOWED: &str = "#![no_std] #![allow(warnings, arithmetic_overflow, unconditional_panic, overflowing_literals)]";

struct Source {
    path: PathBuf,
    shown: String,
    text: String,
    finder: Finder,
    /// Of its changes, the number of the first.
    first: usize,
    /// Where each change was put in the text that was written last; of copies, not of the original.
    put: Vec<(usize, Range<usize>)>,
    written: String,
}

pub(crate) struct Changed {
    sources: Vec<Source>,
    is_root: PathBuf,
    dropped: BTreeSet<usize>,
    /// Names of functions that have to stay `const`.
    constants: BTreeSet<String>,
}

/// A module whose file is not to be changed: it is for tests.
fn is_for_tests(path: &Path) -> bool {
    let name = path.to_string_lossy();
    ["tests.rs", "/tests/", "testing", "scenarios", "loom"].iter().any(|part| name.contains(part))
}

fn files(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the crate").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !is_for_tests(&path)
        {
            all.push(path);
        }
    }
}

impl Changed {
    pub(crate) fn of_crate(root: &Path, folder: &Path) -> Self {
        let mut paths = Vec::new();
        files(&folder.join("src"), &mut paths);
        paths.sort();
        let (mut sources, mut first) = (Vec::new(), 0);
        for path in paths {
            let mut text = fs::read_to_string(&path).expect("a source");
            if path.ends_with("src/lib.rs") {
                text = text.replacen("#![no_std]", ALLOWED, 1);
            }
            let mut finder = Finder::default();
            finder.visit_file(&syn::parse_file(&text).expect("Rust"));
            let shown = path.strip_prefix(root).expect("below the root").display().to_string();
            let many = finder.mutants.len();
            sources.push(Source {
                path,
                shown,
                text,
                finder,
                first,
                put: Vec::new(),
                written: String::new(),
            });
            first += many;
        }
        let (dropped, constants) = (BTreeSet::new(), BTreeSet::new());
        Self { sources, is_root: folder.join("src/lib.rs"), dropped, constants }
    }

    /// All that are left, by number.
    pub(crate) fn mutants(&self) -> impl Iterator<Item = (usize, &str, &Mutant)> {
        self.sources.iter().flat_map(|source| {
            let numbered = source.finder.mutants.iter().enumerate();
            numbered
                .map(|(n, mutant)| (source.first + n, &*source.shown, mutant))
                .filter(|(number, ..)| !self.dropped.contains(number))
        })
    }

    /// How many the compiler refuses, or are in what has to stay `const`.
    pub(crate) fn dropped(&self) -> usize {
        self.dropped.len()
    }

    /// Writes the sources as they are to be compiled.
    pub(crate) fn write(&mut self) {
        for source in &mut self.sources {
            source.write(&mut self.dropped, &self.constants, source.path == self.is_root);
        }
    }

    /// Takes back what the compiler refuses there; `false` if it finds nothing to take back.
    pub(crate) fn refuse(&mut self, file: &Path, at: &Range<usize>, message: &str) -> bool {
        if let Some(name) = message.strip_prefix("cannot call non-const ") {
            let name = name.split('`').nth(1).unwrap_or("");
            let name = name.rsplit("::").next().unwrap_or("").split('<').next().unwrap_or("");
            if name != "is_on" {
                return self.constants.insert(name.to_owned());
            }
        }
        let Some(source) = self.sources.iter().find(|source| source.path.ends_with(file)) else {
            return false;
        };
        let overlaps = |put: &Range<usize>| put.start < at.end && at.start < put.end;
        let hit =
            source.put.iter().filter(|(_, put)| overlaps(put)).min_by_key(|(_, put)| put.len());
        if let Some((number, _)) = hit {
            return self.dropped.insert(*number);
        }
        // Then whatever is in that line.
        let line_start = source.written[..at.start].rfind('\n').map_or(0, |n| n + 1);
        let line_end =
            source.written[at.start..].find('\n').map_or(source.written.len(), |n| at.start + n);
        let line = line_start..line_end;
        let in_line =
            source.put.iter().filter(|(_, put)| put.start < line.end && line.start < put.end);
        let numbers: Vec<usize> = in_line.map(|(number, _)| *number).collect();
        let before = self.dropped.len();
        self.dropped.extend(numbers);
        self.dropped.len() > before
    }
}

impl Source {
    fn write(
        &mut self,
        dropped: &mut BTreeSet<usize>,
        constants: &BTreeSet<String>,
        is_root: bool,
    ) {
        let mut blanked: Vec<Range<usize>> = Vec::new();
        for function in &self.finder.const_fns {
            let inside = |mutant: &Mutant| {
                function.all.start <= mutant.at.start && mutant.at.end <= function.all.end
            };
            if !constants.contains(&function.name) {
                blanked.push(function.word.clone());
                continue;
            }
            for (n, _) in self.finder.mutants.iter().enumerate().filter(|(_, m)| inside(m)) {
                dropped.insert(self.first + n);
            }
        }
        // At one place: what ends there first, the inner before the outer; then what begins, the outer first.
        let mut edits: Vec<(usize, bool, isize, usize, String)> = Vec::new();
        for (n, mutant) in self.finder.mutants.iter().enumerate() {
            let number = self.first + n;
            if dropped.contains(&number) {
                continue;
            }
            let switch = format!("crate::is_on({number})");
            let (before, after) =
                (mutant.before.replace("{m}", &switch), mutant.after.replace("{m}", &switch));
            let length = isize::try_from(mutant.at.len()).expect("a source is short");
            let order = isize::try_from(n).expect("few");
            edits.push((mutant.at.start, true, -length * 100_000 + order, number, before));
            edits.push((mutant.at.end, false, length * 100_000 - order, number, after));
        }
        edits.sort_by_key(|edit| (edit.0, edit.1, edit.2));
        let mut source: Vec<u8> = self.text.clone().into_bytes();
        for word in blanked {
            source[word].fill(b' ');
        }
        let source = String::from_utf8(source).expect("still UTF-8");
        let (mut written, mut taken) = (String::new(), 0);
        self.put.clear();
        for (at, _, _, number, text) in edits {
            written.push_str(&source[taken..at]);
            taken = at;
            self.put.push((number, written.len()..written.len() + text.len()));
            written.push_str(&text);
        }
        written.push_str(&source[taken..]);
        if is_root {
            written.push_str(SWITCH);
        }
        fs::write(&self.path, &written).expect("the copy can be written");
        self.written = written;
    }
}
