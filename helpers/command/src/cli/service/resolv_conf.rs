//! [`ResolvConf`]: this machine's /etc/resolv.conf while the program runs.
//!
//! What was there before is kept beside it, under a name of its own, so that it comes back at the end; also at the
//! end of the next run, should this one be killed. Each change is a new file that is moved into place
//! at once: no reader sees half of one. Where nothing can be moved into place (a file that is mounted on
//! its own, as containers have it; a folder that is read-only) it is written in place.
//!
//! A file that somebody else has written meanwhile is theirs: it is left alone.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::cli::lookup::address_text;

/// The first line of every file that is written here.
const MARK: &str = "# Written by bringup; what was here before comes back when it ends.\n";

/// What is put behind the name of the file, for what was there before.
const KEPT: &str = ".before-bringup";

/// What is put behind the name of the file, for the next one.
const NEXT: &str = ".bringup-next";

/// How many servers a C library asks (`MAXNS` of resolv.h).
const MAX_SERVERS: usize = 3;

/// What resolvers on this machine are to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// DNS servers, first choice first.
    pub servers: Vec<SocketAddr>,
    /// Search names, without a dot at their end.
    pub search: Vec<String>,
}

impl Names {
    /// As resolv.conf(5) has it. Servers at another port than 53 cannot be said there.
    pub fn text(&self) -> String {
        let mut text = String::from(MARK);
        if !self.search.is_empty() {
            // Writing to a String cannot fail; neither can the next.
            let _ = writeln!(text, "search {}", self.search.join(" "));
        }
        for server in self.usable().take(MAX_SERVERS) {
            let _ = writeln!(text, "nameserver {}", address_text(*server));
        }
        text
    }

    /// The servers that resolv.conf can name.
    pub fn usable(&self) -> impl Iterator<Item = &SocketAddr> {
        self.servers.iter().filter(|server| server.port() == 53)
    }
}

/// What was there before.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Before {
    /// No file.
    Nothing,
    /// It is kept beside the file.
    Kept,
    /// It could not be kept there; if this program is killed it is lost.
    Remembered(Vec<u8>),
}

/// The file, and what was there before.
#[derive(Debug)]
pub struct ResolvConf {
    path: PathBuf,
    before: Option<Before>,
    written: Option<Vec<u8>>,
}

impl ResolvConf {
    /// The file at this path, which is not touched yet.
    pub const fn new(path: PathBuf) -> Self {
        Self { path, before: None, written: None }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(suffix);
        name.into()
    }

    /// Writes these names, unless they stand there already. The first time, keeps what was there.
    pub fn write(&mut self, names: &Names) -> io::Result<()> {
        let text = names.text().into_bytes();
        if self.written.as_ref() == Some(&text) {
            return Ok(());
        }
        if self.before.is_none() {
            self.before = Some(self.keep()?);
        }
        self.replace(&text)?;
        self.written = Some(text);
        Ok(())
    }

    /// Puts back what was there before. `false` if somebody else has written the file meanwhile: then
    /// it is theirs.
    pub fn restore(&mut self) -> io::Result<bool> {
        let Some(written) = self.written.take() else { return Ok(true) };
        let Some(before) = self.before.take() else { return Ok(true) };
        let kept = self.beside(KEPT);
        if read(&self.path)?.as_ref() != Some(&written) {
            let _ = fs::remove_file(kept);
            return Ok(false);
        }
        match before {
            Before::Nothing => fs::remove_file(&self.path)?,
            Before::Remembered(bytes) => self.replace(&bytes)?,
            Before::Kept => {
                if fs::rename(&kept, &self.path).is_err() {
                    self.write_in_place(&fs::read(&kept)?)?;
                    fs::remove_file(&kept)?;
                }
            }
        }
        Ok(true)
    }

    /// Keeps what is there. A file of ours is what a run that was killed has left: what was before
    /// that is what counts.
    fn keep(&self) -> io::Result<Before> {
        let kept = self.beside(KEPT);
        let there = read(&self.path)?;
        if there.as_ref().is_some_and(|bytes| bytes.starts_with(MARK.as_bytes())) {
            let is_kept = fs::symlink_metadata(&kept).is_ok();
            return Ok(if is_kept { Before::Kept } else { Before::Nothing });
        }
        // What an earlier run had kept is out of date: the file has been written since.
        let _ = fs::remove_file(&kept);
        match fs::read_link(&self.path) {
            Ok(target) if symlink(&target, &kept).is_ok() => return Ok(Before::Kept),
            _ => {}
        }
        let Some(bytes) = there else { return Ok(Before::Nothing) };
        // A link keeps the owner and the rights; a copy is what is left where the file is a mount.
        let linked = fs::hard_link(&self.path, &kept).or_else(|_| fs::write(&kept, &bytes));
        Ok(linked.map_or(Before::Remembered(bytes), |()| Before::Kept))
    }

    /// Puts another content into place, at once if that is possible.
    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let next = self.beside(NEXT);
        let moved = write_new(&next, bytes).and_then(|()| fs::rename(&next, &self.path));
        moved.or_else(|error| {
            let _ = fs::remove_file(&next);
            // Not where the disk is full: that would leave half of a file, and none to go back to.
            if is_immovable(error.kind()) { self.write_in_place(bytes) } else { Err(error) }
        })
    }

    fn write_in_place(&self, bytes: &[u8]) -> io::Result<()> {
        fs::write(&self.path, bytes)
    }
}

/// Whether a file can only be written where it is.
const fn is_immovable(why: ErrorKind) -> bool {
    use ErrorKind::{CrossesDevices, PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(why, ResourceBusy | CrossesDevices | ReadOnlyFilesystem | PermissionDenied)
}

/// A new file with these bytes, on the disk before this returns.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // One that a run which was killed has left.
    let _ = fs::remove_file(path);
    let mut file = File::options().write(true).create_new(true).mode(0o644).open(path)?;
    // Everybody resolves names, whatever the umask of a service is.
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The bytes of a file, `None` if there is none.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    /// A folder that is gone with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder =
                std::env::temp_dir().join(format!("bringup-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn file(&self) -> PathBuf {
            self.0.join("resolv.conf")
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<String> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn names(last: u8) -> Names {
        Names {
            servers: vec![SocketAddr::from(([10, 0, 0, last], 53))],
            search: vec!["a.example".into(), "b.example".into()],
        }
    }

    #[test]
    fn text() {
        let mut names = names(1);
        names.servers.push("[fe80::1%2]:53".parse().unwrap());
        names.servers.push("10.0.0.9:5353".parse().unwrap());
        names.servers.push("[2001:db8::1]:53".parse().unwrap());
        names.servers.push("10.0.0.4:53".parse().unwrap());
        let text = names.text();
        let expected = "search a.example b.example\nnameserver 10.0.0.1\nnameserver fe80::1%2\n\
                        nameserver 2001:db8::1\n";
        assert_eq!(text, format!("{MARK}{expected}"));
    }

    #[test]
    fn a_file_comes_back_as_it_was() {
        let folder = Folder::new("file");
        fs::write(folder.file(), "nameserver 192.0.2.1\n").unwrap();
        let inode = fs::metadata(folder.file()).unwrap().ino();
        let mut resolv_conf = ResolvConf::new(folder.file());
        for last in [1, 1, 2] {
            resolv_conf.write(&names(last)).unwrap();
            assert_eq!(fs::read_to_string(folder.file()).unwrap(), names(last).text());
        }
        assert_eq!(folder.names(), ["resolv.conf", "resolv.conf.before-bringup"]);
        assert!(resolv_conf.restore().unwrap());
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), "nameserver 192.0.2.1\n");
        assert_eq!(fs::metadata(folder.file()).unwrap().ino(), inode, "the very file");
        assert_eq!(folder.names(), ["resolv.conf"]);
        assert!(resolv_conf.restore().unwrap(), "once more does nothing");
    }

    #[test]
    fn a_link_comes_back_as_a_link_and_its_target_is_not_touched() {
        let folder = Folder::new("link");
        let target = folder.0.join("stub");
        fs::write(&target, "nameserver 127.0.0.53\n").unwrap();
        symlink("stub", folder.file()).unwrap();
        let mut resolv_conf = ResolvConf::new(folder.file());
        resolv_conf.write(&names(1)).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "nameserver 127.0.0.53\n");
        assert!(fs::read_link(folder.file()).is_err());
        resolv_conf.restore().unwrap();
        assert_eq!(fs::read_link(folder.file()).unwrap(), Path::new("stub"));
        assert_eq!(folder.names(), ["resolv.conf", "stub"]);
    }

    #[test]
    fn where_there_was_nothing_nothing_is_left() {
        let folder = Folder::new("nothing");
        let mut resolv_conf = ResolvConf::new(folder.file());
        resolv_conf.write(&names(1)).unwrap();
        assert_eq!(folder.names(), ["resolv.conf"]);
        resolv_conf.restore().unwrap();
        assert!(folder.names().is_empty());
    }

    #[test]
    fn after_a_run_that_was_killed_the_first_one_comes_back() {
        let folder = Folder::new("killed");
        fs::write(folder.file(), "nameserver 192.0.2.1\n").unwrap();
        ResolvConf::new(folder.file()).write(&names(1)).unwrap();
        let mut next = ResolvConf::new(folder.file());
        next.write(&names(2)).unwrap();
        next.restore().unwrap();
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), "nameserver 192.0.2.1\n");
        assert_eq!(folder.names(), ["resolv.conf"]);
    }

    #[test]
    fn what_somebody_else_has_written_is_theirs() {
        let folder = Folder::new("theirs");
        fs::write(folder.file(), "nameserver 192.0.2.1\n").unwrap();
        let mut resolv_conf = ResolvConf::new(folder.file());
        resolv_conf.write(&names(1)).unwrap();
        fs::remove_file(folder.file()).unwrap();
        fs::write(folder.file(), "nameserver 192.0.2.2\n").unwrap();
        assert!(!resolv_conf.restore().unwrap());
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), "nameserver 192.0.2.2\n");
        assert_eq!(folder.names(), ["resolv.conf"]);
    }
}
