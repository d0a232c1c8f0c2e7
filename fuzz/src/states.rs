//! [`core_state`]: the machine of the system states, with notifiers that do what they like.

use bringup_core::state::{
    Announcement, HoldKey, Machine, NotifierKey, Phase, RequestError, States, Step, SystemState,
    Verdict,
};

use crate::data::Data;

/// More steps than any walk of twenty states past sixteen notifiers has.
const MAX_STEPS: usize = 20 * (2 * 16 + 2);

/// What is known of the walk that is going on, from its announcements alone.
struct Walk {
    from: SystemState,
    to: SystemState,
    phase: Phase,
    /// Whom it has called, in order.
    called: Vec<NotifierKey>,
    /// Who was there when it began, and so must have been called when it ends.
    expected: Vec<NotifierKey>,
    held: Option<(NotifierKey, HoldKey)>,
}

struct World {
    machine: Machine<SystemState>,
    /// In order of registration.
    notifiers: Vec<NotifierKey>,
    gone: Vec<NotifierKey>,
    keys: Vec<HoldKey>,
    /// The highest state asked for since the climb was last ended.
    goal: Option<SystemState>,
    /// The jump that waits.
    jump: Option<SystemState>,
    walk: Option<Walk>,
    ended: bool,
    /// How many steps there have been since somebody did something.
    steps: usize,
}

/// Whatever notifiers answer and whoever asks for what: a step up is one step, asked of everybody
/// once and in order, never past a hold or the goal; a step down was asked for; nothing comes after
/// the end; and the machine comes to rest once nobody does anything more.
pub fn core_state(bytes: &[u8]) {
    let mut data = Data::new(bytes);
    let mut w = World {
        machine: Machine::new(SystemState::Unknown),
        notifiers: Vec::new(),
        gone: Vec::new(),
        keys: Vec::new(),
        goal: None,
        jump: None,
        walk: None,
        ended: false,
        steps: 0,
    };
    while !data.is_empty() {
        w.act(&mut data);
        if data.flag() {
            w.run(&mut data);
        }
    }
    w.run(&mut data);
    w.run(&mut data);
}

impl World {
    /// Something that anybody may do at any time, during an announcement too.
    fn act(&mut self, data: &mut Data<'_>) {
        self.steps = 0;
        match data.u8() % 8 {
            0 => {
                if let Ok(key) = self.machine.add_notifier() {
                    assert!(!self.notifiers.contains(&key) && !self.gone.contains(&key));
                    self.notifiers.push(key);
                } else {
                    assert_eq!(self.notifiers.len(), 16, "there was room");
                }
            }
            1 if !self.notifiers.is_empty() => {
                let key = self.notifiers.remove(data.below(self.notifiers.len()));
                assert!(self.machine.remove_notifier(key));
                assert!(!self.machine.remove_notifier(key), "removed once");
                self.gone.push(key);
                if let Some(walk) = &mut self.walk {
                    walk.held = walk.held.filter(|(holder, _)| *holder != key);
                    walk.expected.retain(|k| *k != key);
                }
            }
            2 | 3 => self.advance(SystemState::ALL[data.below(SystemState::COUNT)]),
            4 => self.jump(SystemState::ALL[data.below(SystemState::COUNT)]),
            5 | 6 => {
                let held = self.walk.as_ref().and_then(|walk| walk.held);
                if let Some((_, key)) = held {
                    let released = self.machine.release(key);
                    assert!(released, "a hold can be released");
                    assert!(!self.machine.release(key), "once");
                    if let Some(walk) = &mut self.walk {
                        walk.held = None;
                    }
                }
            }
            _ if !self.keys.is_empty() => {
                // Any key from before: it releases what it names, which may be nothing any more.
                let key = self.keys[data.below(self.keys.len())];
                let held = self.walk.as_ref().and_then(|walk| walk.held);
                let names_it = held.is_some_and(|(_, k)| k == key);
                let released = self.machine.release(key);
                assert!(!names_it || released);
                if let Some(walk) = self.walk.as_mut().filter(|_| names_it) {
                    walk.held = None;
                }
            }
            _ => {}
        }
        if self.jump.is_none() {
            let held = self.walk.as_ref().and_then(|w| w.held.map(|(_, key)| (w.to, key)));
            assert_eq!(self.machine.held(), held);
        }
    }

    fn advance(&mut self, goal: SystemState) {
        match self.machine.advance(goal) {
            Ok(()) => {
                assert!(goal.rank().is_some() && !self.ended);
                if self.goal.and_then(States::rank) < goal.rank() {
                    self.goal = Some(goal);
                }
            }
            Err(RequestError::NotARunUpState) => assert_eq!(goal.rank(), None),
            Err(RequestError::Ended) => assert!(self.ended),
            Err(RequestError::Follower) => panic!("only a loop follows another"),
        }
        // What has ended is forgotten with a jump beside the run-up that was taken meanwhile.
        assert!(self.machine.goal().is_none() || self.machine.goal() == self.goal);
    }

    fn jump(&mut self, to: SystemState) {
        match self.machine.jump(to) {
            Ok(()) => {
                assert!(!self.ended);
                self.ended |= to.is_final();
                // A state beside the run-up counts more than one of it, and there the lowest.
                let rank = |s: SystemState| s.rank().map_or(-1, i16::from);
                self.jump = match self.jump {
                    Some(waiting) if rank(waiting) < rank(to) => Some(waiting),
                    Some(waiting) if rank(waiting) == rank(to) && rank(to) >= 0 => Some(waiting),
                    _ => Some(to),
                };
            }
            Err(why) => assert!(why == RequestError::Ended && self.ended),
        }
    }

    /// Lets the machine walk until it rests.
    fn run(&mut self, data: &mut Data<'_>) {
        self.steps = 0;
        while self.steps < MAX_STEPS {
            self.steps += 1;
            let before = self.machine.state();
            let was_idle = self.machine.is_idle();
            let step = self.machine.step();
            assert!(!was_idle || step.is_none(), "idle, and yet {step:?}");
            self.check_move(before, self.machine.state());
            match step {
                Some(Step::Announce(announcement)) => self.announced(data, &announcement),
                Some(Step::Settled(state)) => self.settled(state),
                None => {
                    assert!(self.machine.is_idle(), "nothing to do, and yet not idle");
                    self.forget_jump(before);
                    let held = self.walk.as_ref().is_some_and(|walk| walk.held.is_some());
                    let rank = self.machine.state().rank();
                    let there = match (rank, self.machine.goal().and_then(States::rank)) {
                        (Some(here), Some(goal)) => here >= goal,
                        _ => true,
                    };
                    assert!(held || there, "rests short of its goal");
                    return;
                }
            }
        }
        panic!("the machine does not come to rest");
    }

    /// Whether the state may have moved like that.
    fn check_move(&mut self, before: SystemState, after: SystemState) {
        if before == after {
            return;
        }
        assert!(!before.is_final(), "nothing comes after the end");
        let down = match (before.rank(), after.rank()) {
            (Some(b), Some(a)) => a < b,
            _ => true,
        };
        if down {
            assert_eq!(self.jump.take(), Some(after), "not asked for, or not the one that counts");
            if after.rank().is_none() {
                self.goal = None;
            }
            self.walk = None;
            return;
        }
        self.forget_jump(before);
        assert_eq!(before.next(), Some(after), "one step at a time");
        let goal = self.goal.and_then(States::rank);
        assert!(goal >= after.rank(), "never past the goal");
        if let Some(walk) = self.walk.take() {
            assert!(walk.held.is_none(), "never past a hold");
            assert_eq!((walk.phase, walk.to), (Phase::Asked, after));
            assert!(walk.expected.iter().all(|k| walk.called.contains(k)), "all were asked");
        } else {
            assert!(self.notifiers.is_empty(), "all were asked");
        }
    }

    /// A jump that has been found to lead nowhere is gone; no other may be.
    fn forget_jump(&mut self, from: SystemState) {
        let leads = |to: SystemState| match (to.rank(), from.rank()) {
            (Some(to), Some(from)) => to < from,
            _ => to != from,
        };
        let Some(to) = self.jump.take() else { return };
        assert!(!leads(to), "a jump got lost");
    }

    /// A notifier is called, and does something.
    fn announced(&mut self, data: &mut Data<'_>, a: &Announcement<SystemState>) {
        let same = |w: &Walk| (w.from, w.to, w.phase) == (a.from, a.to, a.phase);
        if a.phase == Phase::Entered {
            assert_eq!(self.machine.state(), a.to);
        } else {
            assert_eq!((self.machine.state(), a.from.next()), (a.from, Some(a.to)));
            self.forget_jump(a.from);
        }
        if !self.walk.as_ref().is_some_and(same) {
            let (called, expected) = (Vec::new(), self.notifiers.clone());
            let (from, to, phase) = (a.from, a.to, a.phase);
            self.walk = Some(Walk { from, to, phase, called, expected, held: None });
        }
        let place = self.notifiers.iter().position(|k| *k == a.notifier());
        let place = place.expect("only those are called that are there");
        let Some(walk) = &mut self.walk else { return };
        assert!(walk.held.is_none(), "nobody is called while somebody holds");
        assert!(!walk.called.contains(&a.notifier()), "nobody is called twice");
        let last = walk.called.last().and_then(|l| self.notifiers.iter().position(|k| k == l));
        assert!(last.is_none_or(|last| last < place), "in the order of registration");
        walk.called.push(a.notifier());

        let key = a.hold("fuzz");
        let choice = data.u8() % 8;
        match choice {
            0 | 1 => {
                self.machine.answer(Verdict::Hold(key));
                if a.phase == Phase::Asked {
                    self.keys.push(key);
                    walk.held = Some((a.notifier(), key));
                }
            }
            2 => {
                // Released before it was said: the answer comes too late.
                let released = self.machine.release(key);
                assert_eq!(released, a.phase == Phase::Asked);
                self.machine.answer(Verdict::Hold(key));
            }
            3 => {
                if let Some(&old) = self.keys.last() {
                    self.machine.answer(Verdict::Hold(old));
                }
            }
            4 => {
                self.act(data);
                self.machine.answer(Verdict::Go);
            }
            _ => self.machine.answer(Verdict::Go),
        }
    }

    fn settled(&mut self, state: SystemState) {
        assert_eq!(self.machine.state(), state);
        match self.walk.take() {
            Some(walk) => {
                assert_eq!((walk.phase, walk.to), (Phase::Entered, state));
                assert!(walk.expected.iter().all(|k| walk.called.contains(k)), "all were told");
            }
            None => assert!(self.notifiers.is_empty(), "all were told"),
        }
    }
}
