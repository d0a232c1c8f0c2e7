//! [`NameKeeper`]: tells the resolvers of other programs on this machine which servers there are.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::jobs::{Job, Jobs};
use super::resolv_conf::{Names, ResolvConf};
use crate::cli::event::Problem;

/// By what way names are told to other programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// Not at all
    #[default]
    None,
    /// By systemd-resolved where it runs, by resolvconf where it is installed, else by the file
    Auto,
    /// By /etc/resolv.conf; what was there before comes back at the end
    File,
    /// By resolvconf(8)
    Resolvconf,
    /// By systemd-resolved
    Resolved,
}

impl Way {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What `auto` means on this machine.
    fn decided(self) -> Self {
        if self != Self::Auto {
            self
        } else if Path::new("/run/systemd/resolve/resolv.conf").exists() && is_there("resolvectl") {
            Self::Resolved
        } else if is_there("resolvconf") {
            Self::Resolvconf
        } else {
            Self::File
        }
    }
}

/// Tells names, and takes back what it told.
#[derive(Debug)]
pub struct NameKeeper {
    way: Way,
    file: ResolvConf,
    /// What a program was told last, by interface.
    told: Vec<(String, Names)>,
}

impl NameKeeper {
    /// A keeper that has told nothing yet. `file` is /etc/resolv.conf.
    pub fn new(way: Way, file: PathBuf) -> Self {
        Self { way: way.decided(), file: ResolvConf::new(file), told: Vec::new() }
    }

    /// By what way it tells.
    pub const fn way(&self) -> Way {
        self.way
    }

    /// Tells what is true now: `all` together, and by interface. Programs are run as jobs.
    pub fn update(
        &mut self,
        all: &Names,
        by_interface: Vec<(String, Names)>,
        jobs: &mut Jobs,
    ) -> Option<Problem> {
        match self.way {
            Way::None | Way::Auto => None,
            Way::File if all.usable().next().is_none() => self.restore(),
            Way::File => self.file.write(all).err().map(|error| self.problem(&error)),
            Way::Resolvconf | Way::Resolved => {
                for (interface, _) in &self.told {
                    if !by_interface.iter().any(|(other, _)| other == interface) {
                        self.withdraw(interface).into_iter().for_each(|job| jobs.push(job));
                    }
                }
                for (interface, names) in &by_interface {
                    let told = self.told.iter().find(|(other, _)| other == interface);
                    if told.is_none_or(|(_, told)| told != names) {
                        self.tell(interface, names).into_iter().for_each(|job| jobs.push(job));
                    }
                }
                self.told = by_interface;
                None
            }
        }
    }

    /// Takes back what was told.
    pub fn take_back(&mut self, jobs: &mut Jobs) -> Option<Problem> {
        self.update(&Names::default(), Vec::new(), jobs)
    }

    fn restore(&mut self) -> Option<Problem> {
        match self.file.restore() {
            Ok(true) => None,
            Ok(false) => Some(Problem {
                what: self.file.path().display().to_string(),
                why: "has been written by somebody else meanwhile, and is left as it is".into(),
                hint: "check that its servers are right; let one program alone write it".into(),
            }),
            Err(error) => Some(self.problem(&error)),
        }
    }

    fn problem(&self, error: &io::Error) -> Problem {
        Problem {
            what: self.file.path().display().to_string(),
            why: error.to_string(),
            hint: "check the rights of its folder, or choose another --resolv-conf".into(),
        }
    }

    fn tell(&self, interface: &str, names: &Names) -> Vec<Job> {
        if self.way == Way::Resolvconf {
            let record = record(interface);
            let text = names.text();
            return vec![job("resolvconf", vec!["-a".into(), record], text.into_bytes())];
        }
        let mut dns = vec!["dns".to_owned(), interface.to_owned()];
        dns.extend(names.servers.iter().map(|server| match server.port() {
            53 => server.ip().to_string(),
            _ => server.to_string(),
        }));
        let mut domain = vec!["domain".to_owned(), interface.to_owned()];
        if names.search.is_empty() {
            // How resolvectl(1) wants to be told that there are none.
            domain.push(String::new());
        }
        domain.extend(names.search.iter().cloned());
        vec![job("resolvectl", dns, Vec::new()), job("resolvectl", domain, Vec::new())]
    }

    fn withdraw(&self, interface: &str) -> Vec<Job> {
        match self.way {
            Way::Resolvconf => {
                vec![job("resolvconf", vec!["-d".into(), record(interface)], Vec::new())]
            }
            _ => {
                let arguments = vec!["revert".to_owned(), interface.to_owned()];
                vec![job("resolvectl", arguments, Vec::new())]
            }
        }
    }
}

/// Under which name resolvconf has what an interface offers.
fn record(interface: &str) -> String {
    format!("{interface}.bringup")
}

fn job(program: &str, arguments: Vec<String>, input: Vec<u8>) -> Job {
    let program = find(program).unwrap_or_else(|| program.into());
    Job { about: arguments.join(" "), program, arguments, environment: Vec::new(), input }
}

/// Where a program is. A service's PATH may lack the folders of the administrator's programs.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let is_program = |file: &PathBuf| {
        fs::metadata(file)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    folders.map(|folder| folder.join(program)).find(is_program)
}

fn is_there(program: &str) -> bool {
    find(program).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bringup_core::time::Duration;

    fn names(last: u8, search: &[&str]) -> Names {
        Names {
            servers: vec![std::net::SocketAddr::from(([10, 0, 0, last], 53))],
            search: search.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    /// What would be run for these names, after the others.
    fn jobs_of(way: Way, steps: &[&[(&str, Names)]]) -> Vec<String> {
        let mut keeper = NameKeeper::new(way, "/nonexistent/resolv.conf".into());
        let mut jobs = Jobs::new(Duration::from_secs(1)).unwrap();
        for step in steps {
            let lists = step.iter().map(|(name, names)| ((*name).to_owned(), names.clone()));
            assert_eq!(keeper.update(&Names::default(), lists.collect(), &mut jobs), None);
        }
        jobs.waiting().map(|job| job.about.clone()).collect()
    }

    #[test]
    fn resolvconf_is_told_of_changes_alone() {
        let (one, two) = (names(1, &["a.example"]), names(2, &[]));
        let steps: [&[(&str, Names)]; 4] = [
            &[("eth0", one.clone())],
            &[("eth0", one.clone())],
            &[("eth0", one), ("eth1", two)],
            &[],
        ];
        let expected = ["-a eth0.bringup", "-a eth1.bringup", "-d eth0.bringup", "-d eth1.bringup"];
        assert_eq!(jobs_of(Way::Resolvconf, &steps), expected);
    }

    #[test]
    fn resolved_is_told_by_interface() {
        let steps: [&[(&str, Names)]; 2] = [&[("eth0", names(1, &["a.example"]))], &[]];
        let expected = ["dns eth0 10.0.0.1", "domain eth0 a.example", "revert eth0"];
        assert_eq!(jobs_of(Way::Resolved, &steps), expected);
    }

    #[test]
    fn none_does_nothing() {
        assert!(jobs_of(Way::None, &[&[("eth0", names(1, &[]))], &[]]).is_empty());
    }
}
