//! [`History`]: when which state was entered, and who held it back for how long. One record for each
//! state, whatever happens.

use bringup_core::state::SystemState;
use bringup_core::time::{Duration, Instant};

use super::report::{Held, Visit};

/// How many holders of one state are remembered, the last ones.
const MAX_HOLDERS: usize = 4;

/// A step that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hold {
    state: SystemState,
    holder: &'static str,
    since: Instant,
}

#[derive(Clone, Debug, Default)]
struct Record {
    entered: Option<Instant>,
    times: u32,
    holders: Vec<&'static str>,
    held: Duration,
}

/// What has happened to the states since the start.
#[derive(Clone, Debug)]
pub struct History {
    started: Instant,
    records: [Record; SystemState::COUNT],
    hold: Option<Hold>,
}

impl History {
    /// Nothing has happened yet.
    pub fn new(started: Instant) -> Self {
        Self { started, records: std::array::from_fn(|_| Record::default()), hold: None }
    }

    /// When it began.
    pub const fn started(&self) -> Instant {
        self.started
    }

    /// A state was entered.
    pub fn enter(&mut self, now: Instant, state: SystemState) {
        let record = &mut self.records[state as usize];
        record.entered = Some(now);
        record.times = record.times.saturating_add(1);
    }

    /// Who holds which step now. Whether that is new.
    pub fn hold(&mut self, now: Instant, held: Option<(SystemState, &'static str)>) -> bool {
        if self.hold.map(|hold| (hold.state, hold.holder)) == held {
            return false;
        }
        if let Some(hold) = self.hold.take() {
            let record = &mut self.records[hold.state as usize];
            record.held = record.held + now.since(hold.since);
        }
        if let Some((state, holder)) = held {
            let holders = &mut self.records[state as usize].holders;
            holders.retain(|other| *other != holder);
            if holders.len() == MAX_HOLDERS {
                holders.remove(0);
            }
            holders.push(holder);
            self.hold = Some(Hold { state, holder, since: now });
        }
        true
    }

    /// The step that is held.
    pub fn held(&self, now: Instant) -> Option<Held> {
        self.hold.map(|hold| Held {
            state: hold.state.name().to_owned(),
            holder: hold.holder.to_owned(),
            for_us: now.since(hold.since).as_micros(),
        })
    }

    /// The states that were entered or held, in the order of the climb.
    pub fn visits(&self, now: Instant) -> Vec<Visit> {
        let visit = |(state, record): (&SystemState, &Record)| {
            let entered = record.entered?;
            let going_on = self.hold.filter(|hold| hold.state == *state);
            let held = record.held + going_on.map_or(Duration::ZERO, |hold| now.since(hold.since));
            Some(Visit {
                state: state.name().to_owned(),
                entered_us: entered.since(self.started).as_micros(),
                times: record.times,
                holders: record.holders.iter().map(|holder| (*holder).to_owned()).collect(),
                held_us: held.as_micros(),
            })
        };
        SystemState::ALL.iter().zip(&self.records).filter_map(visit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_are_added_up_and_holders_are_few() {
        let at = |ms| Instant::ZERO + Duration::from_millis(ms);
        let mut history = History::new(at(0));
        assert!(history.hold(at(10), Some((SystemState::Dhcp, "dhcp"))));
        assert!(!history.hold(at(20), Some((SystemState::Dhcp, "dhcp"))), "the same");
        assert_eq!(history.held(at(30)).unwrap().for_us, 20_000);
        assert!(history.hold(at(40), None));
        history.enter(at(40), SystemState::Dhcp);
        for holder in ["a", "b", "a", "c", "d", "e"] {
            history.hold(at(50), Some((SystemState::Dhcp, holder)));
        }
        history.hold(at(60), None);
        history.enter(at(60), SystemState::Dhcp);
        let visits = history.visits(at(70));
        assert_eq!(visits.len(), 1);
        let Visit { entered_us, times, held_us, ref holders, .. } = visits[0];
        assert_eq!((entered_us, times, held_us), (60_000, 2, 40_000));
        assert_eq!(*holders, ["a", "c", "d", "e"]);
    }
}
