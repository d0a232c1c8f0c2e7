//! [`WatchedFile`]: a small file of configuration that others rewrite, replace or point elsewhere.
//!
//! It is looked at by name each time, so that a file that was renamed over it, or a symlink that points
//! elsewhere now, is seen like one that was written in place. A look costs one system call; nothing is
//! watched in between, so that there is no descriptor to keep and no notice to lose.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The most of a file that is read, octets: hosts files that block names have five million.
const MAX: u64 = 1 << 24;
/// What was written so shortly before it was read may be written again without a new time of change.
const SETTLED: Duration = Duration::from_millis(50);

/// What tells one version of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    /// Device, number, and when that or anything else of it was changed.
    #[cfg(unix)]
    place: (u64, u64, i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt as _;
        Self {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            #[cfg(unix)]
            place: (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether another version would have another stamp.
    fn is_settled(&self) -> bool {
        let age = self.modified.and_then(|at| at.elapsed().ok());
        age.is_some_and(|age| age > SETTLED)
    }
}

/// A file and its octets as they were when it was looked at last.
#[derive(Debug)]
pub struct WatchedFile {
    path: PathBuf,
    stamp: Option<Stamp>,
    octets: Vec<u8>,
}

impl WatchedFile {
    /// A file that has not been looked at: it has no octets yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), stamp: None, octets: Vec::new() }
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its octets, 16 MiB at most, and of a longer file no line that is cut. A file that is not there, or cannot
    /// be read, has none.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Looks at it. Whether its octets are others than before.
    pub fn refresh(&mut self) -> bool {
        let known = std::fs::metadata(&self.path).map(|metadata| Stamp::of(&metadata)).ok();
        if known.is_some() && known == self.stamp {
            return false;
        }
        let mut octets = Vec::new();
        // The stamp is of the file that was opened, and taken before it is read: what changes
        // meanwhile is seen at the next look.
        let file = File::open(&self.path).and_then(|file| Ok((Stamp::of(&file.metadata()?), file)));
        let (stamp, file) = file.map_or((None, None), |(stamp, file)| (Some(stamp), Some(file)));
        if let Some(file) = file {
            // What was read before an error still counts.
            let _ = file.take(MAX).read_to_end(&mut octets);
            if u64::try_from(octets.len()) == Ok(MAX) {
                // The last line may have lost its end, and would name somebody else.
                octets.truncate(octets.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1));
            }
        }
        self.stamp = stamp.filter(Stamp::is_settled);
        let changed = octets != self.octets;
        self.octets = octets;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("bringup-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).expect("a folder");
            Self(path)
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).expect("written");
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn rule_42_a_long_file_is_read_to_the_last_line_that_is_whole() {
        let folder = Folder::new("long");
        let line = "0.0.0.0 advertisement.example\n";
        let lines = usize::try_from(MAX).expect("a size") / line.len();
        let mut file = WatchedFile::new(folder.0.join("hosts"));
        for more in ["", "0.0.0.0 cut.example.org"] {
            folder.file("hosts", &[&line.repeat(lines), more].concat());
            file.refresh();
            assert_eq!(file.octets().len(), lines * line.len(), "{more}");
        }
    }

    #[test]
    fn rule_42_a_file_that_is_written_replaced_removed_or_pointed_elsewhere() {
        let folder = Folder::new("watched");
        let mut file = WatchedFile::new(folder.0.join("conf"));
        assert!(!file.refresh(), "there is none");
        folder.file("conf", "one");
        assert!(file.refresh());
        assert_eq!(file.octets(), b"one");
        assert!(!file.refresh(), "the same");
        // In place, with the same length, at once.
        folder.file("conf", "two");
        assert!(file.refresh());
        folder.file("new", "three");
        fs::rename(folder.0.join("new"), folder.0.join("conf")).expect("renamed");
        assert!(file.refresh());
        assert_eq!(file.octets(), b"three");
        fs::remove_file(folder.0.join("conf")).expect("removed");
        assert!(file.refresh());
        assert_eq!(file.octets(), b"");
        #[cfg(unix)]
        for (target, text) in [("a", "first"), ("b", "other"), ("missing", "")] {
            if !text.is_empty() {
                folder.file(target, text);
            }
            let _ = fs::remove_file(folder.0.join("link"));
            std::os::unix::fs::symlink(target, folder.0.join("link")).expect("linked");
            fs::rename(folder.0.join("link"), folder.0.join("conf")).expect("renamed");
            assert!(file.refresh(), "{target}");
            assert_eq!(file.octets(), text.as_bytes());
        }
    }
}
