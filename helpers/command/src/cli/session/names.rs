//! The names that are to be resolved before the system is OPERATIONAL.

use bringup_core::event_loop::Registrar;
use bringup_core::platform::Platform;
use bringup_core::state::{Announcement, SystemState, Verdict};
use bringup_core::time::{Duration, Instant};
use bringup_dns::{Outcome, QueryError, QueryKey, QueryKind, QueryOptions, RecordType};

use super::Session;
use crate::cli::event::Event;
use crate::cli::exit::Exit;
use crate::cli::lookup;

/// The wait before a name that could not be resolved is asked for again.
const RETRY: Duration = Duration::from_secs(1);

/// A name of [`Plan::resolve`] is asked for with both.
const FAMILIES: [RecordType; 2] = [RecordType::A, RecordType::AAAA];

/// How far one question has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Waiting,
    Asked(QueryKey),
    /// There is no such record.
    No,
    Found,
}

/// A name that is to be resolved, one question per family.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) progress: [Progress; 2],
}

impl Wanted {
    /// Whether it is known: one family is enough, and so is a no from both.
    pub(super) fn is_known(&self) -> bool {
        self.progress.contains(&Progress::Found) || self.progress == [Progress::No; 2]
    }
}

impl<P: Platform<Error: std::fmt::Display>> Session<'_, P> {
    /// Holds the step to OPERATIONAL back while a name is not known.
    pub(super) fn hold_for_names(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        announcement: &Announcement,
    ) -> Verdict {
        self.ask(registrar);
        if self.wanted.iter().all(Wanted::is_known) {
            return Verdict::Go;
        }
        let key = announcement.hold("resolve");
        self.hold = Some(key);
        self.tell_hold(registrar.now(), false);
        Verdict::Hold(key)
    }

    fn tell_hold(&mut self, now: Instant, released: bool) {
        let state = SystemState::Operational.name();
        self.emit(now, &Event::Hold { state, holder: "resolve".into(), released });
    }

    /// Asks for the names that are still to be resolved.
    pub(super) fn ask(&mut self, registrar: &mut Registrar<'_, P>) {
        for at in 0..self.wanted.len() {
            for (family, rtype) in FAMILIES.into_iter().enumerate() {
                let wanted = &self.wanted[at];
                if wanted.progress[family] != Progress::Waiting {
                    continue;
                }
                let (kind, options) = (QueryKind::Type(rtype), QueryOptions::default());
                self.wanted[at].progress[family] =
                    match self.system.query(registrar, &wanted.name, kind, options) {
                        Ok(key) => Progress::Asked(key),
                        Err(QueryError::Full) => {
                            self.ask_later(registrar);
                            Progress::Waiting
                        }
                        // The end has begun: there is nobody left to tell.
                        Err(QueryError::Stopped) => Progress::No,
                        Err(_) => {
                            let what = format!("the name {}", self.wanted[at].name);
                            let why = "is not a name that can be asked for".to_owned();
                            self.answer = Exit::No;
                            self.problem(registrar.now(), what, why, "check its spelling");
                            Progress::No
                        }
                    };
            }
        }
    }

    fn ask_later(&mut self, registrar: &mut Registrar<'_, P>) {
        if let Some(retry) = self.retry {
            registrar.set_timer(retry, registrar.now() + RETRY);
        }
    }

    /// Takes the end of a query, if it is one for these names.
    pub(super) fn tell_dns(&mut self, registrar: &mut Registrar<'_, P>, event: bringup_dns::Event) {
        let bringup_dns::Event::Done { key, outcome } = event else { return };
        let asked = Progress::Asked(key);
        let place = self.wanted.iter().enumerate().find_map(|(at, wanted)| {
            wanted.progress.iter().position(|p| *p == asked).map(|family| (at, family))
        });
        let Some((at, family)) = place else { return };
        let now = registrar.now();
        let (name, rtype) = (&self.wanted[at].name, FAMILIES[family]);
        for event in lookup::events(self.system.resolver(), key, name, Some(rtype)) {
            self.emit(now, &event);
        }
        self.system.release(registrar, key);
        self.wanted[at].progress[family] = match outcome {
            Outcome::Answer => Progress::Found,
            Outcome::NoData | Outcome::NxDomain => Progress::No,
            Outcome::Failed(_) => {
                self.ask_later(registrar);
                Progress::Waiting
            }
        };
        if self.wanted[at].progress == [Progress::No; 2] {
            self.answer = Exit::No;
        }
        if self.wanted.iter().all(Wanted::is_known) {
            if let Some(key) = self.hold.take() {
                self.tell_hold(now, true);
                registrar.release(key);
            }
        }
    }
}
