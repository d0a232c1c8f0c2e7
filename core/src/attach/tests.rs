extern crate std;

use super::*;
use crate::testing::{App, Loop, Place, Queue, Sim, TOUCHED, Told, What, new_loop, queue};
use core::pin::pin;
use std::boxed::Box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::vec::Vec;

use SystemState as S;
use What::{Cancelled, Ready, Shutdown};

type Request = Outcome<'static, App<Sim>, Sim>;

fn nodes(queue: &Queue, count: usize) -> Vec<Pin<Box<Place<'_>>>> {
    (0..count).map(|_| Box::pin(Node::new(queue))).collect()
}

/// Runs what is ready as a turn would, without a loop. Every request is told `Cancelled`, which is
/// as good as any other outcome for counting.
fn drain(queue: &Queue) -> usize {
    queue.begin_drain();
    core::iter::from_fn(|| queue.run_next(|| Request::Cancelled).then_some(())).count()
}

fn one_turn(queue: &Queue) -> App<Sim> {
    let (mut app, mut event_loop) = (App::idle(), new_loop(Sim::default(), queue));
    event_loop.registrar().stop();
    event_loop.turn(&mut app).unwrap();
    app
}

#[test]
fn a1_requests_run_in_the_order_of_posting() {
    let (queue, told) = (queue(), Told::default());
    let nodes = nodes(&queue, 100);
    for (node, number) in nodes.iter().zip(0..) {
        assert!(node.as_ref().post(None, told.request(number)).is_ok());
    }
    assert_eq!(one_turn(&queue).log, (0..100).collect::<Vec<_>>());
}

#[test]
fn requests_wait_for_their_state_and_then_run_in_order() {
    let (queue, told) = (queue(), Told::default());
    let nodes = nodes(&queue, 6);
    let gates = [Some(S::Dhcp), None, Some(S::TimeValid), Some(S::Dhcp), Some(S::Initialized)];
    for ((node, gate), number) in nodes.iter().zip(gates).zip(0..) {
        assert!(node.as_ref().post(gate, told.request(number)).is_ok());
    }
    for (state, expected) in [
        (S::ContextCreated, &[1][..]),
        (S::IfaceColdplug, &[1, 4]),
        (S::Dhcp, &[1, 4, 0, 3]),
        (S::Operational, &[1, 4, 0, 3, 2]),
    ] {
        queue.set_state(state);
        drain(&queue);
        let order: Vec<_> = told.all().into_iter().map(|(number, _)| number).collect();
        assert_eq!(order, expected, "{state}");
    }
    assert!(nodes[5].as_ref().post(S::Auth1, told.request(5)).is_ok());
    assert_eq!(drain(&queue), 1, "a state that has been passed is no reason to wait");
}

#[test]
fn a5_a_turn_does_not_touch_ten_thousand_parked_requests() {
    // Miri takes a minute for the full number.
    const PARKED: usize = if cfg!(miri) { 100 } else { 10_000 };
    let costs = [0, PARKED].map(|parked| {
        let (queue, told) = (queue(), Told::default());
        let nodes = nodes(&queue, parked);
        for node in &nodes {
            assert!(node.as_ref().post(S::Operational, told.request(0)).is_ok());
        }
        let before = TOUCHED.get();
        assert!(queue.may_sleep());
        queue.awake();
        assert_eq!(drain(&queue), 0);
        let turn = TOUCHED.get() - before;
        queue.set_state(S::TimeValid);
        assert!(queue.may_sleep());
        let step = TOUCHED.get() - before - turn;
        queue.set_state(S::Operational);
        let reached = TOUCHED.get() - before - turn - step;
        assert!(reached < 10, "reaching the state splices its list: {reached}");
        assert_eq!(drain(&queue), parked);
        [turn, step]
    });
    assert_eq!(costs[0], costs[1]);
    assert!(costs[1][0] < 10, "{costs:?}");
}

#[test]
fn a5_a_cancelled_request_is_told_once_here_and_before_cancel_returns() {
    for victims in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
        for gate in [None, Some(S::Operational)] {
            let (queue, told) = (queue(), Told::default());
            let nodes = nodes(&queue, 3);
            for (node, number) in nodes.iter().zip(0..) {
                assert!(node.as_ref().post(gate, told.request(number)).is_ok());
            }
            for (done, victim) in victims.into_iter().enumerate() {
                let canceller = thread::scope(|scope| {
                    let (node, told) = (&nodes[victim], &told);
                    let task = scope.spawn(move || {
                        assert!(node.cancel());
                        assert_eq!(told.all().len(), done + 1, "before cancel returns");
                        assert!(!node.cancel(), "once");
                    });
                    let id = task.thread().id();
                    task.join().unwrap();
                    id
                });
                assert_eq!(told.threads().last(), Some(&canceller));
                assert!(!nodes[victim].is_linked());
            }
            let expected = victims.map(|victim| (u32::try_from(victim).unwrap(), Cancelled));
            assert_eq!(told.all(), expected);
            queue.set_state(S::Operational);
            assert_eq!(drain(&queue), 0, "the lists are empty");
        }
    }
}

#[test]
fn a_linked_node_that_is_dropped_is_cancelled() {
    let (queue, told) = (queue(), Told::default());
    let outer = pin!(Node::new(&queue));
    let last = pin!(Node::new(&queue));
    assert!(outer.as_ref().post(None, told.request(0)).is_ok());
    {
        let inner = pin!(Node::new(&queue));
        assert!(inner.as_ref().post(None, told.request(1)).is_ok());
        assert!(last.as_ref().post(None, told.request(2)).is_ok());
    }
    assert_eq!(told.all(), [(1, Cancelled)]);
    one_turn(&queue);
    assert_eq!(told.all(), [(1, Cancelled), (0, Ready), (2, Ready)]);
}

#[test]
fn a_node_that_is_leaked_while_linked_outlives_its_queue_in_peace() {
    let told = Told::default();
    {
        let queue = queue();
        let mut nodes = nodes(&queue, 2);
        for node in &nodes {
            assert!(node.as_ref().post(S::Operational, told.request(7)).is_ok());
        }
        core::mem::forget(nodes.pop());
        drop(nodes);
        assert_eq!(told.all(), [(7, Cancelled)]);
        let moved: Queue = queue;
        drop(moved);
    }
    assert_eq!(told.all(), [(7, Cancelled), (7, Shutdown)]);
}

#[test]
fn a_busy_node_gives_the_request_back() {
    let (queue, told) = (queue(), Told::default());
    let node = pin!(Node::new(&queue));
    assert!(node.as_ref().post(None, told.request(0)).is_ok());
    let (why, back) = node.as_ref().post(None, told.request(1)).expect_err("it is linked");
    assert_eq!(why, Refused::Busy);
    assert_eq!(drain(&queue), 1);
    assert!(node.as_ref().post(None, back).is_ok(), "and can be posted later");
    one_turn(&queue);
    assert_eq!(told.all(), [(0, Cancelled), (1, Ready)]);
}

#[test]
fn a_request_may_have_four_words_and_no_drop_is_lost() {
    let counted = Arc::new(());
    let queue = queue();
    let nodes = nodes(&queue, 4);
    let request = |n: usize| {
        let held = (counted.clone(), counted.clone(), counted.clone(), n);
        move |_: Outcome<'_, App<Sim>, Sim>| {
            // All of it, not only the field.
            let held = held;
            assert!(held.3 < 4);
        }
    };
    for (node, n) in nodes.iter().zip(0..) {
        assert!(node.as_ref().post(None, request(n)).is_ok());
        assert!(node.as_ref().post(None, request(n)).is_err(), "dropped by the caller");
    }
    assert_eq!(Arc::strong_count(&counted), 1 + 4 * 3);
    nodes[1].cancel();
    drain(&queue);
    assert_eq!(Arc::strong_count(&counted), 1);
}

#[test]
fn a4_states_past_operational_by_number_do_not_run_what_waits_for_it() {
    for aside in [S::PolicyInvalid, S::ContextDestroying, S::AwaitingModalUpdating] {
        let (queue, told) = (queue(), Told::default());
        let nodes = nodes(&queue, 3);
        for (node, (number, gate)) in
            nodes.iter().zip([(0, S::Operational), (1, aside), (2, S::Dhcp)])
        {
            assert!(node.as_ref().post(gate, told.request(number)).is_ok());
        }
        queue.set_state(aside);
        drain(&queue);
        assert_eq!(told.all(), [(1, Cancelled)], "{aside}");
    }
}

#[test]
fn a4_what_was_ready_when_its_state_was_left_waits_again_in_its_order() {
    let (queue, told) = (queue(), Told::default());
    let nodes = nodes(&queue, 6);
    for (node, number) in nodes.iter().zip(0..5) {
        let gate = [S::Dhcp, S::Operational][usize::from(number % 2 == 1)];
        assert!(node.as_ref().post(gate, told.request(number)).is_ok());
    }
    queue.set_state(S::Operational);
    queue.begin_drain();
    assert!(queue.run_next(|| Request::Cancelled), "0 has its turn");
    queue.set_state(S::IfaceColdplug);
    assert!(!queue.run_next(|| Request::Cancelled), "the rest is ready no more");
    assert_eq!(drain(&queue), 0);
    assert!(queue.may_sleep(), "and keeps nobody awake");
    assert!(nodes[5].as_ref().post(S::Dhcp, told.request(5)).is_ok());
    assert!(nodes[2].cancel(), "it can still be cancelled");
    queue.set_state(S::Dhcp);
    assert_eq!(drain(&queue), 2);
    queue.set_state(S::PolicyInvalid);
    assert_eq!(drain(&queue), 0);
    queue.set_state(S::Operational);
    drain(&queue);
    let order: Vec<_> = told.all().into_iter().map(|(number, _)| number).collect();
    assert_eq!(order, [0, 2, 4, 5, 1, 3]);
}

#[test]
fn a5_shutdown_tells_everyone_once_and_later_posts_get_their_request_back() {
    let (queue, told) = (queue(), Told::default());
    let nodes = nodes(&queue, 6);
    for (node, number) in nodes.iter().zip(0..) {
        let gate = [None, Some(S::Operational), Some(S::ModalUpdating)][number as usize % 3];
        assert!(node.as_ref().post(gate, told.request(number)).is_ok());
    }
    assert_eq!(queue.close(), 6);
    assert_eq!(queue.close(), 0);
    assert_eq!(told.all(), [0, 3, 1, 4, 2, 5].map(|number| (number, Shutdown)));
    let (why, back) = nodes[0].as_ref().post(None, told.request(9)).expect_err("it is closed");
    assert_eq!(why, Refused::Closed);
    back(Request::Shutdown);
    assert_eq!(told.all().last(), Some(&(9, Shutdown)), "the very request");
    drop(nodes);
    assert_eq!(told.all().len(), 7);
}

#[test]
fn a_callback_may_close_the_queue_and_cancel_others() {
    static QUEUE: Queue = queue();
    static FIRST: Place<'static> = Node::new(&QUEUE);
    static SECOND: Place<'static> = Node::new(&QUEUE);
    static THIRD: Place<'static> = Node::new(&QUEUE);
    let told = Told::default();
    let (second, third) = (told.request(2), told.request(3));
    let first = {
        let told = told.clone();
        move |outcome: Outcome<'_, App<Sim>, Sim>| {
            told.note(1, What::of(&outcome));
            assert!(SECOND.cancel());
            assert_eq!(QUEUE.close(), 1);
            assert!(FIRST.post_static(None, |_| {}).is_err(), "closed");
        }
    };
    assert!(FIRST.post_static(None, first).is_ok());
    assert!(SECOND.post_static(S::Dhcp, second).is_ok());
    assert!(THIRD.post_static(None, third).is_ok());
    one_turn(&QUEUE);
    assert_eq!(told.all(), [(1, Ready), (2, Cancelled), (3, Shutdown)]);
}

#[test]
fn a_panic_takes_only_the_request_that_panicked() {
    let (queue, told) = (queue(), Told::default());
    let nodes = nodes(&queue, 3);
    assert!(nodes[0].as_ref().post(None, told.request(0)).is_ok());
    assert!(nodes[1].as_ref().post(None, |_| panic!("on purpose")).is_ok());
    assert!(nodes[2].as_ref().post(None, told.request(2)).is_ok());
    let (mut app, mut event_loop) = (App::idle(), new_loop(Sim::default(), &queue));
    let turn = catch_unwind(AssertUnwindSafe(|| event_loop.turn(&mut app)));
    assert!(turn.is_err());
    assert_eq!(app.log, [0]);
    assert!(!nodes[1].is_linked());
    assert!(nodes[1].as_ref().post(None, told.request(1)).is_ok(), "the lock is free");
    event_loop.turn(&mut app).unwrap();
    assert_eq!(app.log, [0, 2, 1]);
}

#[test]
fn a_panic_while_the_queue_closes_leaves_the_rest_to_the_next_closing() {
    let (queue, told) = (queue(), Told::default());
    let nodes = nodes(&queue, 2);
    assert!(nodes[0].as_ref().post(None, |_| panic!("on purpose")).is_ok());
    assert!(nodes[1].as_ref().post(None, told.request(1)).is_ok());
    assert!(catch_unwind(AssertUnwindSafe(|| queue.close())).is_err());
    assert_eq!(told.all(), []);
    assert_eq!(queue.close(), 1);
    assert_eq!(told.all(), [(1, Shutdown)]);
}

#[test]
fn one_wake_for_each_change_from_empty_to_ready_while_the_loop_sleeps() {
    let (queue, told) = (queue(), Told::default());
    let nodes = nodes(&queue, 8);
    let post = |at: usize, gate| {
        assert!(nodes[at].as_ref().post(gate, told.request(0)).is_ok());
        queue.wake().count()
    };
    assert_eq!(post(0, None), 0, "the loop is awake");
    assert!(!queue.may_sleep());
    assert_eq!(post(1, None), 0, "and does not sleep while something is ready");
    queue.awake();
    drain(&queue);
    assert!(queue.may_sleep());
    assert_eq!(post(2, Some(S::Dhcp)), 0, "what is parked wakes nobody");
    assert_eq!(post(3, None), 1);
    assert_eq!(post(4, None), 1, "one is enough");
    queue.awake();
    drain(&queue);
    assert_eq!(post(5, None), 1, "awake again");
    drain(&queue);
    assert!(queue.may_sleep());
    queue.set_state(S::TimeValid);
    assert_eq!(queue.wake().count(), 2, "another thread's state makes something ready");
    queue.set_state(S::Operational);
    assert_eq!(queue.wake().count(), 2);
}

#[cfg(target_has_atomic = "32")]
#[test]
fn flags_are_gathered_and_wake_once() {
    let queue: Queue = queue();
    for bits in [0b001, 0b100, 0b001, 0] {
        queue.raise(bits);
        assert_eq!(queue.wake().count(), 1);
    }
    assert!(!queue.may_sleep(), "a wake that was cleared too early is no loss");
    assert_eq!(queue.take_flags(), 0b101);
    assert_eq!(queue.take_flags(), 0);
    assert!(queue.may_sleep());
}

#[test]
fn a1_fifo_and_nothing_lost_under_three_producers() {
    const POSTS: u32 = if cfg!(miri) { 20 } else { 300 };
    let (queue, told) = (queue(), Told::default());
    // What is posted under this lock is posted in the order of the tickets.
    let tickets = std::sync::Mutex::new(0);
    let posted = thread::scope(|scope| {
        let producers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let nodes = nodes(&queue, POSTS as usize);
                    for node in &nodes {
                        let mut ticket = tickets.lock().unwrap();
                        assert!(node.as_ref().post(None, told.request(*ticket)).is_ok());
                        *ticket += 1;
                    }
                    while nodes.iter().any(|node| node.is_linked()) {
                        thread::yield_now();
                    }
                })
            })
            .collect();
        let mut ran = 0;
        while !producers.iter().all(thread::ScopedJoinHandle::is_finished) {
            ran += drain(&queue);
        }
        ran
    });
    assert_eq!(posted, 3 * POSTS as usize);
    let order: Vec<_> = told.all().into_iter().map(|(number, _)| number).collect();
    assert_eq!(order, (0..3 * POSTS).collect::<Vec<_>>());
}

#[test]
fn a_post_that_races_with_shutdown_is_refused_or_told() {
    for round in 0..if cfg!(miri) { 20 } else { 200 } {
        let queue = queue();
        let (accepted, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let told = Arc::new([const { AtomicUsize::new(0) }; 2]);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for gate in [None, Some(S::Dhcp), None, None] {
                        let node = pin!(Node::new(&queue));
                        let told = told.clone();
                        let request = move |outcome: Outcome<'_, App<Sim>, Sim>| {
                            let cancelled = What::of(&outcome) == Cancelled;
                            told[usize::from(cancelled)].fetch_add(1, Ordering::Relaxed);
                        };
                        let counter = match node.as_ref().post(gate, request) {
                            Ok(()) => &accepted,
                            Err((Refused::Closed, _)) => &refused,
                            Err((Refused::Busy, _)) => unreachable!("a node of its own"),
                        };
                        counter.fetch_add(1, Ordering::Relaxed);
                        // The node goes here, perhaps while the queue closes.
                    }
                });
            }
            if round % 2 == 0 {
                thread::yield_now();
            }
            queue.close();
        });
        let told: usize = told.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        let [accepted, refused] = [accepted, refused].map(AtomicUsize::into_inner);
        assert_eq!(accepted, told, "round {round}");
        assert_eq!(accepted + refused, 8);
    }
}

/// Random operations against lists in the plainest form.
#[test]
fn agrees_with_a_naive_model() {
    const NODES: usize = 12;
    const STATES: [S; 5] =
        [S::Initialized, S::Dhcp, S::Operational, S::PolicyInvalid, S::ContextCreated];
    let mut seed = 7_u64;
    let mut random = move |bound: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % bound
    };
    for round in 0..if cfg!(miri) { 2 } else { 200 } {
        let (queue, told) = (queue(), Told::default());
        let nodes = nodes(&queue, NODES);
        // Ready, left behind by a state that was left, parked: as in the queue, but in vectors.
        let mut lists: [Vec<(usize, u32, Option<S>)>; 3] = Default::default();
        let (mut state, mut expected, mut batch) = (S::ContextCreated, Vec::new(), 0);
        let waits = |gate: Option<S>, state| gate.is_some_and(|gate| !gate.reached_in(state));
        for step in 0..300_u32 {
            match random(8) {
                0..4 => {
                    let at = random(NODES);
                    let gate = [None, Some(STATES[random(4)])][random(2)];
                    let busy = lists.iter().flatten().any(|&(node, ..)| node == at);
                    let posted = nodes[at].as_ref().post(gate, told.request(step));
                    assert_eq!(posted.is_err(), busy, "round {round} step {step}");
                    if !busy {
                        let parked = usize::from(waits(gate, state));
                        lists[2 * parked].push((at, step, gate));
                    }
                }
                4 => {
                    let at = random(NODES);
                    let mut taken = None;
                    for (which, list) in lists.iter_mut().enumerate() {
                        if let Some(place) = list.iter().position(|&(node, ..)| node == at) {
                            batch -= usize::from(which == 0 && place < batch);
                            taken = Some(list.remove(place).1);
                        }
                    }
                    expected.extend(taken);
                    assert_eq!(nodes[at].cancel(), taken.is_some(), "round {round} step {step}");
                }
                5 => {
                    state = STATES[random(5)];
                    queue.set_state(state);
                    let [ready, fallen, parked] = &mut lists;
                    ready.append(fallen);
                    parked.sort_by_key(|&(_, _, gate)| gate.map(|gate| gate as u8));
                    ready.extend(parked.iter().filter(|&&(_, _, gate)| !waits(gate, state)));
                    parked.retain(|&(_, _, gate)| waits(gate, state));
                }
                6 => {
                    batch = lists[0].len();
                    queue.begin_drain();
                }
                _ => {
                    let mut next = None;
                    while batch > 0 && next.is_none() {
                        batch -= 1;
                        let request = lists[0].remove(0);
                        if waits(request.2, state) {
                            lists[1].push(request);
                        } else {
                            next = Some(request.1);
                        }
                    }
                    expected.extend(next);
                    let ran = queue.run_next(|| Request::Cancelled);
                    assert_eq!(ran, next.is_some(), "round {round} step {step}");
                }
            }
        }
        let left: Vec<_> = lists.iter().flatten().map(|&(_, number, _)| number).collect();
        assert_eq!(queue.close(), left.len());
        let order: Vec<_> = told.all().into_iter().map(|(number, _)| number).collect();
        let (ran, told_last) = order.split_at(expected.len());
        assert_eq!(ran, expected, "round {round}");
        let sorted = |numbers: &[u32]| {
            let mut numbers = numbers.to_vec();
            numbers.sort_unstable();
            numbers
        };
        assert_eq!(sorted(told_last), sorted(&left), "round {round}");
    }
}

#[cfg(feature = "alloc")]
mod boxed {
    use super::*;

    #[test]
    fn a_boxed_request_may_be_large_and_is_told_once() {
        let (queue, told) = (queue(), Told::default());
        let large = |number: u32, told: &Told| {
            let (told, ballast) = (told.clone(), [u64::from(number); 32]);
            move |outcome: Outcome<'_, App<Sim>, Sim>| {
                assert!(ballast.iter().all(|&word| word == u64::from(number)));
                told.note(number, What::of(&outcome));
            }
        };
        for number in 0..3 {
            let gate = [None, Some(S::Dhcp)][number as usize % 2];
            assert!(queue.attach(gate, large(number, &told)).is_ok());
        }
        one_turn(&queue);
        assert_eq!(told.all(), [(0, Ready), (2, Ready), (1, Shutdown)], "the loop ended");
        let (why, back) = queue.attach(None, large(9, &told)).expect_err("closed");
        assert_eq!(why, Refused::Closed);
        back(Request::Shutdown);
        assert_eq!(told.all().len(), 4);
    }
}

/// What must not compile does not: a node cannot be posted unpinned, and cannot outlive its queue.
#[allow(dead_code, reason = "only its types are looked at")]
fn thread_safety(queue: &'static Queue) {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(queue);
    shared(&Place::new(queue));
    let _: Option<Loop<'static>> = None;
}
