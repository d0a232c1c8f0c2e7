extern crate std;
use super::*;
use SystemState as S;
use std::vec::Vec;

/// Runs the machine with notifiers that go along, until it stands still; what was announced and settled.
fn walk(machine: &mut Machine) -> Vec<(S, S, Phase)> {
    let mut seen = Vec::new();
    while let Some(step) = machine.step() {
        if let Step::Announce(a) = step {
            seen.push((a.from, a.to, a.phase));
            machine.answer(Verdict::Go);
        }
        assert!(seen.len() < 1_000, "the walk ends");
    }
    seen
}

/// Steps until an announcement for `to` in `phase` is out.
fn until(machine: &mut Machine, to: S, phase: Phase) -> Announcement {
    loop {
        match machine.step().expect("the walk gets there") {
            Step::Announce(a) if a.to == to && a.phase == phase => return a,
            Step::Announce(_) => machine.answer(Verdict::Go),
            Step::Settled(_) => {}
        }
    }
}

#[test]
fn names_and_numbers_are_those_of_lws() {
    assert_eq!(S::ALL.map(|s| s as u8).to_vec(), (0..20).collect::<Vec<u8>>());
    assert_eq!(S::Operational as u8, 15);
    assert_eq!(S::IfaceColdplug.name(), "IFACE_COLDPLUG");
}

#[test]
fn a_climb_asks_and_tells_everyone_once_a_step() {
    let mut m = Machine::new(S::ContextCreated);
    m.add_notifier().unwrap();
    m.add_notifier().unwrap();
    assert_eq!(m.goal(), None);
    m.advance(S::Initialized).unwrap();
    assert_eq!(m.goal(), Some(S::Initialized));
    let expected: Vec<_> = [(S::ContextCreated, S::PrePrivDrop), (S::PrePrivDrop, S::Initialized)]
        .iter()
        .flat_map(|&(from, to)| {
            [Phase::Asked, Phase::Asked, Phase::Entered, Phase::Entered].map(|p| (from, to, p))
        })
        .collect();
    assert_eq!(walk(&mut m), expected);
    assert_eq!(m.state(), S::Initialized);
    assert!(m.is_idle());
    m.advance(S::PrePrivDrop).unwrap();
    assert_eq!(walk(&mut m), [], "a climb to where it is, or below, is nothing");
}

#[test]
fn s3_a_hold_is_visible_and_the_walk_goes_on_by_itself() {
    let mut m = Machine::new(S::ContextCreated);
    let (first, second) = (m.add_notifier().unwrap(), m.add_notifier().unwrap());
    m.advance(S::Initialized).unwrap();
    let a = until(&mut m, S::PrePrivDrop, Phase::Asked);
    assert_eq!(a.notifier(), first, "in order of registration");
    let key = a.hold("gate");
    m.answer(Verdict::Hold(key));
    assert_eq!(m.step(), None);
    assert!(m.is_idle());
    assert_eq!(m.held(), Some((S::PrePrivDrop, key)));
    assert_eq!(m.state(), S::ContextCreated);
    assert!(m.release(key));
    assert!(!m.release(key), "a key works once");
    let Some(Step::Announce(next)) = m.step() else { panic!("goes on") };
    assert_eq!((next.notifier(), next.phase), (second, Phase::Asked), "with the next notifier");
    m.answer(Verdict::Go);
    walk(&mut m);
    assert_eq!(m.state(), S::Initialized);
}

#[test]
fn a_hold_released_before_the_answer_does_not_hold() {
    let mut m = Machine::new(S::ContextCreated);
    m.add_notifier().unwrap();
    m.advance(S::PrePrivDrop).unwrap();
    let a = until(&mut m, S::PrePrivDrop, Phase::Asked);
    let key = a.hold("quick");
    assert!(m.release(key));
    m.answer(Verdict::Hold(key));
    walk(&mut m);
    assert_eq!(m.state(), S::PrePrivDrop);
}

#[test]
fn a_stale_key_releases_nothing() {
    let mut m = Machine::new(S::ContextCreated);
    m.add_notifier().unwrap();
    m.advance(S::Initialized).unwrap();
    let old = until(&mut m, S::PrePrivDrop, Phase::Asked).hold("gate");
    m.answer(Verdict::Go);
    let now = until(&mut m, S::Initialized, Phase::Asked).hold("gate");
    m.answer(Verdict::Hold(now));
    assert!(!m.release(old));
    assert!(m.held().is_some());
}

/// Not that of the announcement before, either.
#[test]
fn a_key_that_is_spent_makes_no_other_key_valid() {
    let mut m = Machine::new(S::ContextCreated);
    m.add_notifier().unwrap();
    m.add_notifier().unwrap();
    m.advance(S::PrePrivDrop).unwrap();
    let Some(Step::Announce(first)) = m.step() else { panic!("the first is asked") };
    let old = first.hold("first");
    m.answer(Verdict::Go);
    let Some(Step::Announce(second)) = m.step() else { panic!("the second is asked") };
    let key = second.hold("second");
    assert!(m.release(key));
    assert!(!m.release(old), "it never held");
    m.answer(Verdict::Hold(old));
    walk(&mut m);
    assert_eq!((m.state(), m.held()), (S::PrePrivDrop, None), "nor does it hold now");
}

#[test]
fn s1_nested_requests_neither_repeat_nor_go_back() {
    let mut m = Machine::new(S::ContextCreated);
    m.add_notifier().unwrap();
    m.advance(S::Dhcp).unwrap();
    let mut seen = Vec::new();
    while let Some(step) = m.step() {
        if let Step::Announce(a) = step {
            m.advance(S::Dhcp).unwrap();
            seen.push((a.to, a.phase));
            m.answer(Verdict::Go);
        }
    }
    let once: Vec<_> =
        (2..=6).flat_map(|n| [Phase::Asked, Phase::Entered].map(|p| (S::ALL[n], p))).collect();
    assert_eq!(seen, once);
}

#[test]
fn s2_a_notifier_may_remove_itself_or_another() {
    let mut m = Machine::new(S::ContextCreated);
    let keys: Vec<_> = (0..3).map(|_| m.add_notifier().unwrap()).collect();
    m.advance(S::PrePrivDrop).unwrap();
    let mut asked = Vec::new();
    while let Some(step) = m.step() {
        if let Step::Announce(a) = step {
            asked.push((a.notifier(), a.phase));
            if a.notifier() == keys[0] {
                assert!(m.remove_notifier(keys[0]));
                assert!(!m.remove_notifier(keys[0]));
            }
            m.answer(Verdict::Go);
        }
    }
    let [first, second, third] = keys[..] else { panic!("three") };
    let all = [first, second, third].map(|key| (key, Phase::Asked));
    assert_eq!(asked[..3], all, "those behind the removed one are still asked");
    assert_eq!(asked[3..], [(second, Phase::Entered), (third, Phase::Entered)]);
    m.remove_notifier(third);
    assert_ne!(m.add_notifier().unwrap(), third, "a stale key names nobody");
    assert!(!m.remove_notifier(third));
}

#[test]
fn a_notifier_that_is_added_during_an_announcement_is_called_at_its_end() {
    let mut m = Machine::new(S::ContextCreated);
    let first = m.add_notifier().unwrap();
    m.advance(S::PrePrivDrop).unwrap();
    let mut calls = Vec::new();
    let mut added = Vec::new();
    while let Some(step) = m.step() {
        let Step::Announce(a) = step else { continue };
        calls.push((a.notifier(), a.phase));
        if a.notifier() == first {
            added.push(m.add_notifier().unwrap());
        }
        m.answer(Verdict::Go);
    }
    let [second, third] = added[..] else { panic!("one in each phase") };
    let asked = [first, second].map(|key| (key, Phase::Asked));
    let entered = [first, second, third].map(|key| (key, Phase::Entered));
    assert_eq!(calls, [&asked[..], &entered[..]].concat());
}

#[test]
fn one_that_is_added_while_a_step_is_held_may_hold_it_too() {
    let mut m = Machine::new(S::ContextCreated);
    m.add_notifier().unwrap();
    m.advance(S::PrePrivDrop).unwrap();
    let key = until(&mut m, S::PrePrivDrop, Phase::Asked).hold("the first");
    m.answer(Verdict::Hold(key));
    m.add_notifier().unwrap();
    assert!(m.release(key));
    let key = until(&mut m, S::PrePrivDrop, Phase::Asked).hold("the second");
    m.answer(Verdict::Hold(key));
    assert_eq!((m.step(), m.held()), (None, Some((S::PrePrivDrop, key))));
}

#[test]
fn removing_the_holder_releases_its_hold() {
    let mut m = Machine::new(S::ContextCreated);
    let key = m.add_notifier().unwrap();
    m.advance(S::PrePrivDrop).unwrap();
    let hold = until(&mut m, S::PrePrivDrop, Phase::Asked).hold("gone");
    m.answer(Verdict::Hold(hold));
    m.remove_notifier(key);
    walk(&mut m);
    assert_eq!(m.state(), S::PrePrivDrop);
}

#[test]
fn a_notifier_that_removes_itself_and_then_holds_does_not_hold() {
    let mut m = Machine::new(S::ContextCreated);
    let key = m.add_notifier().unwrap();
    m.advance(S::PrePrivDrop).unwrap();
    let hold = until(&mut m, S::PrePrivDrop, Phase::Asked).hold("gone");
    m.remove_notifier(key);
    m.answer(Verdict::Hold(hold));
    walk(&mut m);
    assert_eq!((m.state(), m.held()), (S::PrePrivDrop, None));
}

#[test]
fn a_fall_is_one_jump_announced_once_and_not_held() {
    let mut m = Machine::new(S::ContextCreated);
    m.add_notifier().unwrap();
    m.advance(S::Operational).unwrap();
    walk(&mut m);
    m.jump(S::IfaceColdplug).unwrap();
    let Some(Step::Announce(a)) = m.step() else { panic!() };
    assert_eq!((a.from, a.to, a.phase), (S::Operational, S::IfaceColdplug, Phase::Entered));
    m.answer(Verdict::Hold(a.hold("objection")));
    assert_eq!(m.state(), S::IfaceColdplug);
    assert_eq!(m.step(), Some(Step::Settled(S::IfaceColdplug)));
    let again = until(&mut m, S::Dhcp, Phase::Asked);
    assert_eq!(again.from, S::IfaceColdplug, "the goal stays, the climb begins again");
}

#[test]
fn a_fall_during_a_held_step_takes_the_step_back() {
    let mut m = Machine::new(S::ContextCreated);
    m.add_notifier().unwrap();
    m.advance(S::Operational).unwrap();
    let a = until(&mut m, S::TimeValid, Phase::Asked);
    let key = a.hold("ntp");
    m.answer(Verdict::Hold(key));
    m.jump(S::IfaceColdplug).unwrap();
    assert!(!m.is_idle());
    until(&mut m, S::IfaceColdplug, Phase::Entered);
    m.answer(Verdict::Go);
    assert!(!m.release(key), "that step is no more");
    m.jump(S::Operational).unwrap();
    until(&mut m, S::Dhcp, Phase::Asked);
    assert_eq!(m.state(), S::IfaceColdplug, "a jump never leads up");
}

#[test]
fn a_jump_that_leads_nowhere_leaves_a_held_step_alone() {
    let mut m = Machine::new(S::ContextCreated);
    m.add_notifier().unwrap();
    m.advance(S::Dhcp).unwrap();
    let key = until(&mut m, S::Initialized, Phase::Asked).hold("gate");
    m.answer(Verdict::Hold(key));
    m.jump(S::Operational).unwrap();
    assert_eq!(m.step(), None, "nobody is asked again");
    assert_eq!(m.held(), Some((S::Initialized, key)));
    assert!(m.is_idle());
    assert!(m.release(key));
}

#[test]
fn of_two_falls_the_further_counts() {
    for (first, second) in [(S::Dhcp, S::Initialized), (S::Initialized, S::Dhcp)] {
        let mut m = Machine::new(S::Operational);
        m.jump(first).unwrap();
        m.jump(second).unwrap();
        assert_eq!(m.step(), Some(Step::Settled(S::Initialized)));
        assert_eq!(m.step(), None);
    }
}

#[test]
fn s6_destroying_is_announced_alone_and_is_the_end() {
    let mut m = Machine::new(S::ContextCreated);
    m.add_notifier().unwrap();
    m.advance(S::Operational).unwrap();
    let a = until(&mut m, S::Dhcp, Phase::Asked);
    m.answer(Verdict::Hold(a.hold("dhcp")));
    m.jump(S::ContextDestroying).unwrap();
    assert_eq!(m.jump(S::Initialized), Err(RequestError::Ended));
    assert_eq!(walk(&mut m), [(S::IfaceColdplug, S::ContextDestroying, Phase::Entered)]);
    assert_eq!(m.advance(S::Operational), Err(RequestError::Ended));
}

#[test]
fn a4_states_past_operational_by_number_are_not_past_it() {
    for state in [S::PolicyInvalid, S::ContextDestroying, S::ModalUpdating] {
        assert!(!S::Operational.reached_in(state), "{state}");
        assert!(state.reached_in(state));
    }
    assert!(S::Dhcp.reached_in(S::Operational));
    assert!(!S::Operational.reached_in(S::Dhcp));
    let mut m = Machine::new(S::Operational);
    assert_eq!(m.advance(S::PolicyInvalid), Err(RequestError::NotARunUpState));
    m.jump(S::PolicyInvalid).unwrap();
    walk(&mut m);
    m.advance(S::Operational).unwrap();
    assert_eq!(walk(&mut m), [], "the climb starts from a run-up state");
    m.jump(S::Initialized).unwrap();
    walk(&mut m);
    assert_eq!(m.state(), S::Operational);
}

#[test]
fn a_program_may_have_states_of_its_own() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Door {
        Shut,
        Ajar,
        Open,
    }
    impl States for Door {
        fn rank(self) -> Option<u8> {
            Some(self as u8)
        }
        fn next(self) -> Option<Self> {
            [Some(Self::Ajar), Some(Self::Open), None][self as usize]
        }
        fn is_final(self) -> bool {
            false
        }
    }
    let mut m = Machine::new(Door::Shut);
    m.advance(Door::Open).unwrap();
    assert_eq!(m.step(), Some(Step::Settled(Door::Ajar)));
    assert_eq!(m.step(), Some(Step::Settled(Door::Open)));
}

#[test]
fn notifiers_are_bounded() {
    let mut m = Machine::new(S::ContextCreated);
    for _ in 0..MAX_NOTIFIERS {
        assert!(m.add_notifier().is_ok());
    }
    assert_eq!(m.add_notifier(), Err(TooManyNotifiers));
    // However they come and go, and though the first one stays: there is room for as many.
    for _ in 0..100 {
        assert!(m.remove_notifier(NotifierKey { order: m.registered - 1 }));
        assert!(m.add_notifier().is_ok());
    }
}

/// Random requests, holds, releases and removals, against a model that knows no walks: a state, a
/// goal, a jump that waits, and who is there.
#[test]
fn agrees_with_a_naive_model() {
    let mut seed = 3_u64;
    let mut random = move |bound: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % bound
    };
    let mut settled = 0;
    for round in 0..200 {
        let mut m = Machine::new(S::ContextCreated);
        let mut state = S::ContextCreated;
        let (mut goal, mut jump): (Option<S>, Option<S>) = (None, None);
        let mut live: Vec<NotifierKey> = (0..3).map(|_| m.add_notifier().unwrap()).collect();
        let (mut held, mut called): (Option<(HoldKey, NotifierKey)>, Vec<NotifierKey>) =
            (None, Vec::new());
        let mut phase = None;
        for step in 0..300 {
            let at = std::format!("round {round} step {step}");
            match random(12) {
                0 => {
                    let to = S::ALL[random(16)];
                    m.advance(to).unwrap();
                    goal = goal.filter(|goal| *goal as u8 >= to as u8).or(Some(to));
                }
                1 => {
                    let to = [S::Unknown, S::Initialized, S::Dhcp, S::PolicyInvalid][random(4)];
                    m.jump(to).unwrap();
                    let further = jump.is_none_or(|waits| match (waits.rank(), to.rank()) {
                        (Some(waits), Some(to)) => to < waits,
                        (_, to) => to.is_none(),
                    });
                    jump = if further { Some(to) } else { jump };
                }
                2 if live.len() > 1 => {
                    let gone = live.remove(random(live.len()));
                    assert!(m.remove_notifier(gone), "{at}");
                    held = held.filter(|(_, holder)| *holder != gone);
                }
                3 => live.extend(m.add_notifier()),
                4 => {
                    if let Some((key, _)) = held.take() {
                        // A jump has taken the step back, or will when the machine steps.
                        assert!(m.release(key) || jump.is_some(), "{at}");
                    }
                }
                _ => {}
            }
            if phase.is_none_or(|(_, _, phase)| phase == Phase::Asked) {
                // What leads nowhere is forgotten, and disturbs nothing.
                jump = jump.filter(|to| match (to.rank(), state.rank()) {
                    (Some(to), Some(here)) => to < here,
                    _ => *to != state,
                });
            }
            match m.step() {
                None => {
                    let arrived =
                        state.rank().is_none() || goal.is_none_or(|g| g.reached_in(state));
                    assert!(jump.is_none() && (held.is_some() || arrived), "{at}");
                }
                Some(Step::Announce(a)) => {
                    if phase != Some((a.from, a.to, a.phase)) {
                        // A new round of calls; how did the machine get here?
                        called.clear();
                        phase = Some((a.from, a.to, a.phase));
                        if a.phase == Phase::Entered && a.from.next() != Some(a.to) {
                            assert_eq!(Some(a.to), jump, "{at}: nothing but a jump skips states");
                        }
                        if jump == Some(a.to) {
                            goal = goal.filter(|_| a.to.rank().is_some());
                        }
                        jump = None;
                        held = None;
                    }
                    assert!(held.is_none(), "{at}: nobody is called while one holds");
                    assert_eq!(m.state(), if a.phase == Phase::Asked { a.from } else { a.to });
                    assert!(a.phase == Phase::Entered || a.from.next() == Some(a.to), "{at}");
                    assert!(live.contains(&a.notifier()), "{at}: only who is there");
                    assert!(!called.contains(&a.notifier()), "{at}: once");
                    called.push(a.notifier());
                    state = m.state();
                    let key = a.hold("somebody");
                    if random(6) == 0 {
                        m.answer(Verdict::Hold(key));
                        held = (a.phase == Phase::Asked).then_some((key, a.notifier()));
                    }
                }
                Some(Step::Settled(entered)) => {
                    assert_eq!((m.state(), entered), (entered, phase.unwrap().1), "{at}");
                    assert!(live.iter().all(|key| called.contains(key)), "{at}: all were told");
                    (state, phase) = (entered, None);
                    settled += 1;
                }
            }
        }
    }
    assert!(settled > 1_000, "{settled}");
}

#[test]
fn a_step_that_is_recalled_is_asked_about_anew() {
    let mut m = Machine::new(S::ContextCreated);
    let (first, _) = (m.add_notifier().unwrap(), m.add_notifier().unwrap());
    m.advance(S::PrePrivDrop).unwrap();
    let Some(Step::Announce(a)) = m.step() else { panic!() };
    assert_eq!(a.notifier(), first);
    m.answer(Verdict::Go);
    let Some(Step::Announce(b)) = m.step() else { panic!() };
    let key = b.hold("second");
    m.answer(Verdict::Hold(key));
    m.recall();
    assert_eq!((m.held(), m.is_idle()), (None, false));
    assert!(!m.release(key), "that asking is over");
    let Some(Step::Announce(again)) = m.step() else { panic!() };
    assert_eq!((again.notifier(), again.to), (first, S::PrePrivDrop));
    m.answer(Verdict::Go);
    walk(&mut m);
    m.recall();
    assert_eq!((m.state(), m.step()), (S::PrePrivDrop, None));
}

#[test]
fn a_final_jump_that_waits_gives_way_to_none() {
    for to in S::ALL {
        let mut m = Machine::new(S::ContextCreated);
        m.add_notifier().unwrap();
        m.advance(S::Operational).unwrap();
        walk(&mut m);
        m.jump(S::ContextDestroying).unwrap();
        let _ = m.jump(to);
        walk(&mut m);
        assert_eq!(m.state(), S::ContextDestroying, "{to}");
    }
}
