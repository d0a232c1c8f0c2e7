//! [`ResolverFiles`]: /etc/resolv.conf and /etc/hosts, followed as they change.
//!
//! ```no_run
//! use bringup::dns::{Config, Resolver, SmallStorage};
//! use bringup::resolver_files::ResolverFiles;
//!
//! # fn cx() -> bringup::core::client::Cx<'static> { unimplemented!() }
//! let (files, mut storage) = (ResolverFiles::of_system(), SmallStorage::new());
//! let mut resolver = Resolver::new(Config::DEFAULT, &mut storage);
//! resolver.set_hosts(Some(files.hosts()));
//! // Before each query, or from a timer: at most a look a second, a system call for each file.
//! files.follow(&mut resolver, &mut cx(), Config::DEFAULT, |_name| None);
//! ```
//!
//! Queries in flight go on: at the new servers where theirs are gone. A changed list of servers empties
//! the cache; what the hosts file says is never in it.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

use bringup_core::client::Cx;
use bringup_core::time::{Duration, Instant};
use bringup_dns::{Config, Hosts, HostsText, NameView, Resolver};
use bringup_platform::file::WatchedFile;

/// How often the files are looked at, at most.
const INTERVAL: Duration = Duration::from_secs(1);

/// A hosts file as it was when it was looked at last.
#[derive(Debug)]
pub struct HostsFile(RwLock<WatchedFile>);

impl HostsFile {
    /// Looks at it. Whether it has changed.
    fn refresh(&self) -> bool {
        self.0.write().unwrap_or_else(PoisonError::into_inner).refresh()
    }
}

impl Hosts for HostsFile {
    fn addresses(&self, name: NameView<'_>, found: &mut dyn FnMut(IpAddr)) {
        let file = self.0.read().unwrap_or_else(PoisonError::into_inner);
        HostsText(file.octets()).addresses(name, found);
    }
}

#[derive(Debug)]
struct ResolvConf {
    file: WatchedFile,
    looked_at: Option<Instant>,
}

/// A resolv.conf and a hosts file.
#[derive(Debug)]
pub struct ResolverFiles {
    resolv_conf: Mutex<ResolvConf>,
    hosts: HostsFile,
}

impl ResolverFiles {
    /// Those of this machine.
    pub fn of_system() -> Self {
        Self::new("/etc/resolv.conf", "/etc/hosts")
    }

    /// Files of these names. They are looked at when they are first [followed](Self::follow).
    pub fn new(resolv_conf: impl AsRef<Path>, hosts: impl AsRef<Path>) -> Self {
        let file = WatchedFile::new(resolv_conf.as_ref());
        Self {
            resolv_conf: Mutex::new(ResolvConf { file, looked_at: None }),
            hosts: HostsFile(RwLock::new(WatchedFile::new(hosts.as_ref()))),
        }
    }

    /// The hosts file, for [`Resolver::set_hosts`].
    pub const fn hosts(&self) -> &HostsFile {
        &self.hosts
    }

    /// Looks at the hosts file, for a program that has its servers from elsewhere. Whether it has changed.
    pub fn refresh_hosts(&self) -> bool {
        self.hosts.refresh()
    }

    /// Looks at both files, unless that was less than a second ago, and has the resolver take what has
    /// changed: servers, search list, and options on top of `base`. `interface` gives the number of an
    /// interface by its name. Whether anything has changed.
    pub fn follow(
        &self,
        resolver: &mut Resolver<'_>,
        cx: &mut Cx<'_>,
        base: Config,
        interface: impl FnMut(&str) -> Option<u32>,
    ) -> bool {
        let mut conf = self.resolv_conf.lock().unwrap_or_else(PoisonError::into_inner);
        if conf.looked_at.is_some_and(|at| cx.now < at + INTERVAL) {
            return false;
        }
        let is_first = conf.looked_at.replace(cx.now).is_none();
        let hosts_changed = self.hosts.refresh();
        let changed = conf.file.refresh();
        if changed || is_first {
            resolver.load_resolv_conf(cx, base, conf.file.octets(), interface);
        }
        changed || hosts_changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bringup_core::client::{Client as _, Rng, Transmit};
    use bringup_core::time::Utc;
    use bringup_dns::{Outcome, QueryKind, QueryOptions, RecordType, SmallStorage};
    use std::net::SocketAddr;

    struct Dice(u8);

    impl Rng for Dice {
        fn fill(&mut self, buffer: &mut [u8]) {
            for octet in buffer {
                self.0 = self.0.wrapping_mul(13).wrapping_add(7);
                *octet = self.0;
            }
        }
    }

    /// Where the resolver sends next.
    fn asked(resolver: &mut Resolver<'_>, cx: &mut Cx<'_>) -> Option<SocketAddr> {
        let mut buffer = [0; 512];
        while let Some(transmit) = resolver.poll_transmit(cx, &mut buffer) {
            if let Transmit::Datagram { to, .. } = transmit {
                return Some(to);
            }
        }
        None
    }

    #[test]
    fn rule_37_and_42_files_that_change_while_a_query_is_in_flight() {
        let folder = std::env::temp_dir().join(format!("bringup-{}-files", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let (conf, hosts) = (folder.join("resolv.conf"), folder.join("hosts"));
        std::fs::write(&conf, "nameserver 192.0.2.1\n").expect("written");
        let files = ResolverFiles::new(&conf, &hosts);
        let (mut storage, mut dice) = (SmallStorage::new(), Dice(1));
        let mut resolver = Resolver::new(Config::DEFAULT, &mut storage);
        resolver.set_hosts(Some(files.hosts()));
        let start = Instant::from_micros(1);
        let mut cx = Cx { now: start, utc: Utc::UNIX_EPOCH, rng: &mut dice };
        let follow = |resolver: &mut Resolver<'_>, cx: &mut Cx<'_>| {
            files.follow(resolver, cx, Config::DEFAULT, |_| None)
        };
        assert!(follow(&mut resolver, &mut cx));
        let (kind, options) = (QueryKind::Type(RecordType::A), QueryOptions::default());
        let key = resolver.query(&mut cx, "x.example", kind, options).expect("asked");
        let server = |last| Some(SocketAddr::from(([192, 0, 2, last], 53)));
        assert_eq!(asked(&mut resolver, &mut cx), server(1));

        // Both files are others now; nobody looks before a second is over.
        std::fs::write(&hosts, "192.0.2.77 printer\n").expect("written");
        let new = folder.join("new");
        std::fs::write(&new, "nameserver 192.0.2.2\noptions ndots:2\n").expect("written");
        std::fs::rename(&new, &conf).expect("renamed");
        assert!(!follow(&mut resolver, &mut cx));
        cx.now = start + INTERVAL;
        assert!(follow(&mut resolver, &mut cx));
        assert_eq!(asked(&mut resolver, &mut cx), server(2), "the query goes on at the new server");
        assert_eq!(resolver.config().ndots, 2);
        assert!(resolver.result(key).is_none(), "and has not ended");
        let known = resolver.query(&mut cx, "printer", kind, options).expect("asked");
        assert_eq!(resolver.result(known).map(|a| a.outcome()), Some(Outcome::Answer));
        cx.now = start + INTERVAL * 2;
        assert!(!follow(&mut resolver, &mut cx), "nothing new");
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
