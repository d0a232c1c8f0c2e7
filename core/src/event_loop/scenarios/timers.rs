//! Timers: never early, in order, and nobody starves.

use super::*;

pub fn the_wait_is_until_the_earliest_deadline_and_no_timer_is_early<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let (mut app, mut event_loop) = (App::idle(), new_loop(Ground::default(), &queue));
    let days = Instant::ZERO + Duration::from_secs(25 * 86_400);
    let keys = [days, Instant::ZERO, Instant::from_micros(1), Instant::from_micros(250)]
        .map(|at| timer(&mut event_loop, &mut app, at));
    for _ in 0..4 {
        event_loop.turn(&mut app).unwrap();
    }
    let [late, zero, one, soon] = keys;
    assert_eq!(fired(&app), [zero, one, soon, late]);
    let waits = [0, 1, 250, days.as_micros()].map(|us| Some(Instant::from_micros(us)));
    assert_eq!(event_loop.registrar().platform().waits, waits);
}

pub fn without_a_timer_the_wait_has_no_end<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let (mut app, mut event_loop) = (App::idle(), new_loop(Ground::default(), &queue));
    source(&mut event_loop, &mut app);
    event_loop.turn(&mut app).unwrap();
    assert_eq!(event_loop.registrar().platform().waits, [None]);
}

pub fn a_wait_that_ends_early_fires_nothing<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let (mut app, mut event_loop) = (App::idle(), new_loop(Ground::default(), &queue));
    timer(&mut event_loop, &mut app, ms(5));
    let early = source(&mut event_loop, &mut app);
    event_loop.registrar().platform().advance(Duration::from_micros(4_999));
    event_loop.turn(&mut app).unwrap();
    assert_eq!((fired(&app), reported(&app)), (vec![], vec![early]));
    event_loop.registrar().remove_source(early);
    event_loop.turn(&mut app).unwrap();
    assert_eq!(fired(&app).len(), 1);
}

pub fn u2_equal_deadlines_fire_first_in_first_out<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let (mut app, mut event_loop) = (App::idle(), new_loop(Ground::default(), &queue));
    let keys: Vec<_> = (0..10).map(|_| timer(&mut event_loop, &mut app, ms(1))).collect();
    event_loop.turn(&mut app).unwrap();
    assert_eq!(fired(&app), keys);
}

pub fn a_timer_that_arms_itself_again_starves_nobody<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let told = Told::default();
    let node = pin!(Place::new(&queue));
    let mut app = App::new(|app: &mut App<Po>, registrar, ready| {
        if let Ready::Timer { key, .. } = ready {
            // In the past: as early as it can be.
            registrar.set_timer(key, Instant::ZERO);
        }
        app.log.push(0);
    });
    let mut event_loop = new_loop(Ground::default(), &queue);
    let greedy = timer(&mut event_loop, &mut app, ms(1));
    let other = timer(&mut event_loop, &mut app, ms(2));
    event_loop.registrar().platform().advance(Duration::from_millis(3));
    let ready = source(&mut event_loop, &mut app);
    assert!(node.as_ref().post(None, told.request(1)).is_ok());
    event_loop.turn(&mut app).unwrap();
    assert_eq!(fired(&app), [greedy, other], "each once a turn");
    assert_eq!(reported(&app), [ready]);
    assert_eq!(told.all(), [(1, What::Ready)]);
    event_loop.turn(&mut app).unwrap();
    assert_eq!(fired(&app), [greedy, other, greedy, other], "and the next turn comes at once");
}

pub fn u3_stop_in_a_timer_ends_the_loop_without_another_wait<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let mut app = App::new(|_: &mut App<Po>, registrar, _| registrar.stop());
    let mut event_loop = new_loop(Ground::default(), &queue);
    timer(&mut event_loop, &mut app, ms(5));
    event_loop.run(&mut app).unwrap();
    assert_eq!(event_loop.registrar().platform().waits, [Some(ms(5))]);
    timer(&mut event_loop, &mut app, ms(9));
    event_loop.run(&mut app).unwrap();
    assert_eq!(event_loop.registrar().platform().waits.len(), 2, "and it can be run again");
}

pub fn a_panic_in_a_timer_leaves_the_others_due<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let mut app = App::new(|app: &mut App<Po>, _, ready| {
        app.log.push(0);
        let first = matches!(ready, Ready::Timer { key, .. } if key == app.timers[0]);
        assert!(!first, "on purpose");
    });
    let mut event_loop = new_loop(Ground::default(), &queue);
    let keys: Vec<_> = (0..3).map(|_| timer(&mut event_loop, &mut app, ms(1))).collect();
    assert!(catch_unwind(AssertUnwindSafe(|| event_loop.turn(&mut app))).is_err());
    event_loop.turn(&mut app).unwrap();
    assert_eq!(fired(&app), keys);
}

pub fn only_timers_that_wake_the_machine_count_for_the_alarm<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let (mut app, mut event_loop) = (App::idle(), new_loop(Ground::default(), &queue));
    timer(&mut event_loop, &mut app, ms(1));
    assert_eq!(event_loop.registrar().next_wake_up(), None);
    let keys = [7, 3, 9].map(|at| timer(&mut event_loop, &mut app, ms(at)));
    let mut registrar = event_loop.registrar();
    for key in keys {
        assert!(registrar.set_timer_wakes(key, true));
    }
    let latency = Duration::from_micros(300);
    assert_eq!(registrar.next_wake_up(), Some(ms(3) - latency));
    assert!(registrar.set_timer_wakes(keys[1], false));
    assert!(registrar.clear_timer(keys[0]));
    assert_eq!(registrar.next_wake_up(), Some(ms(9) - latency));
    assert!(registrar.remove_timer(keys[2]));
    assert!(!registrar.set_timer_wakes(keys[2], true), "stale");
    assert_eq!(registrar.next_wake_up(), None);
    let reused = registrar.add_timer(Owner::Application).unwrap();
    registrar.set_timer(reused, ms(20));
    assert_eq!(registrar.next_wake_up(), None, "a new timer does not wake");
}
