//! [`StateDir`]: what is to outlive a restart, one small file each.
//!
//! A file is written beside its place, synced and renamed, so that a power cut leaves the old one or
//! the new one, never half of either. Writing may take as long as the storage wants (an SD card a
//! second): a thread of its own does it, and the loop never waits. Reading happens once, at the start.
//! What is in a file is its owner's business, and so is not to believe it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

/// The longest file that is read, octets: far more than anything that is kept.
const FILE_MAX: u64 = 64 * 1024;

/// What is to become of a file: its new content, or `None` if it is to go.
type Change = (String, Option<Vec<u8>>);

/// Why something could not be kept or read.
#[derive(Debug)]
pub struct StateError {
    /// Which file, or the directory itself.
    pub path: PathBuf,
    /// What the operating system says.
    pub error: io::Error,
}

/// A directory for what is to outlive a restart.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    changes: Sender<Change>,
    failures: Receiver<StateError>,
    writer: JoinHandle<()>,
}

impl StateDir {
    /// Opens the directory; makes it, for its owner alone, if it isn't there.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let failed = |error| StateError { path: path.to_owned(), error };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let (changes, to_do) = mpsc::channel();
        let (failed_at, failures) = mpsc::channel();
        let directory = path.to_owned();
        let write = move || write_all(&directory, &to_do, &failed_at);
        let writer = thread::Builder::new().name("state-dir".into()).spawn(write);
        Ok(Self { path: path.to_owned(), changes, failures, writer: writer.map_err(failed)? })
    }

    /// The content of a file; `None` if there is no such file. Longer ones are refused.
    pub fn load(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        let path = self.path.join(file_name(name));
        let mut octets = Vec::new();
        let read =
            File::open(&path).and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut octets));
        match read {
            Ok(length) if length as u64 > FILE_MAX => {
                Err(StateError { path, error: io::ErrorKind::FileTooLarge.into() })
            }
            Ok(_) => Ok(Some(octets)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StateError { path, error }),
        }
    }

    /// Keeps a file, in place of the one of that name. Returns at once; see
    /// [`next_failure`](Self::next_failure).
    pub fn store(&self, name: &str, content: &[u8]) {
        // The thread ends after the sender only.
        let _ = self.changes.send((file_name(name), Some(content.to_vec())));
    }

    /// Removes a file, if it is there. Returns at once.
    pub fn remove(&self, name: &str) {
        let _ = self.changes.send((file_name(name), None));
    }

    /// What could not be kept since the last call.
    pub fn next_failure(&self) -> Option<StateError> {
        self.failures.try_recv().ok()
    }

    /// Waits until everything is kept; gives out what could not be.
    pub fn close(self) -> Vec<StateError> {
        drop(self.changes);
        // It panics only where the standard library does.
        let _ = self.writer.join();
        self.failures.try_iter().collect()
    }
}

/// A name as that of a file: it leads nowhere else, and doesn't begin with the dot of unfinished ones.
fn file_name(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.@".contains(c) { c } else { '_' };
    let name: String = name.chars().map(safe).collect();
    match name.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None => name,
    }
}

fn write_all(directory: &Path, to_do: &Receiver<Change>, failed: &Sender<StateError>) {
    while let Ok(first) = to_do.recv() {
        // Of several that have come meanwhile, the last of each name is enough.
        let latest: BTreeMap<_, _> = std::iter::once(first).chain(to_do.try_iter()).collect();
        for (name, content) in latest {
            let path = directory.join(&name);
            let written = match content {
                Some(content) => replace(directory, &name, &content),
                None => match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                },
            };
            if let Err(error) = written {
                // Nobody listens any more only if nobody cares any more.
                let _ = failed.send(StateError { path, error });
            }
        }
    }
}

fn replace(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let unfinished = directory.join(format!(".{name}"));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(content)?;
    // Before the name points to it.
    file.sync_all()?;
    fs::rename(&unfinished, directory.join(name))?;
    // The new name, too, is to survive a power cut.
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("bringup-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn what_was_kept_is_there_after_a_restart() {
        let path = directory("kept").join("deep");
        let state = StateDir::open(&path).unwrap();
        assert_eq!(state.load("lease.eth0").unwrap(), None);
        state.store("lease.eth0", b"first");
        state.store("lease.eth0", b"second");
        state.store("clock", b"noon");
        assert!(state.close().is_empty());

        let state = StateDir::open(&path).unwrap();
        assert_eq!(state.load("lease.eth0").unwrap().as_deref(), Some(&b"second"[..]));
        assert_eq!(state.load("clock").unwrap().as_deref(), Some(&b"noon"[..]));
        let names = || fs::read_dir(&path).unwrap().count();
        assert_eq!(names(), 2, "nothing unfinished is left");
        state.remove("clock");
        state.remove("never there");
        assert!(state.close().is_empty());
        assert_eq!(names(), 1);
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn an_unfinished_file_of_a_power_cut_harms_nobody() {
        let path = directory("cut");
        let state = StateDir::open(&path).unwrap();
        fs::write(path.join(".clock"), "half").unwrap();
        assert_eq!(state.load("clock").unwrap(), None);
        state.store("clock", b"whole");
        assert!(state.close().is_empty());
        assert_eq!(fs::read(path.join("clock")).unwrap(), b"whole");
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn names_lead_nowhere_else() {
        for (name, file) in [
            ("lease.eth0", "lease.eth0"),
            ("lease.eth0.100", "lease.eth0.100"),
            ("../../etc/passwd", "_._.._etc_passwd"),
            ("..", "_."),
            ("a/b", "a_b"),
            ("a\0b", "a_b"),
        ] {
            assert_eq!(file_name(name), file, "{name}");
        }
    }

    #[test]
    fn failures_are_told_and_large_files_refused() {
        let path = directory("failures");
        let state = StateDir::open(&path).unwrap();
        fs::create_dir(path.join("clock")).unwrap();
        assert!(state.load("clock").is_err());
        state.store("clock", b"no place");
        let large = vec![0; usize::try_from(FILE_MAX).unwrap() + 1];
        fs::write(path.join("large"), large).unwrap();
        assert_eq!(state.load("large").unwrap_err().error.kind(), io::ErrorKind::FileTooLarge);
        let failures = state.close();
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert_eq!(failures[0].path, path.join("clock"));
        fs::remove_dir_all(&path).unwrap();
        fs::write(&path, "a file").unwrap();
        assert!(StateDir::open(&path).is_err());
        fs::remove_file(path).unwrap();
    }
}
