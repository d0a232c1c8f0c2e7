//! Descriptors: they come and go from callbacks, and nothing is reported under a name that is gone.

use super::*;

pub fn one_that_is_removed_and_its_slot_reused_reports_nothing_in_this_turn<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let mut app = App::<Po>::new(|app, registrar, ready| {
        // Whichever is called first removes the other and takes its slot, with the same number.
        let Ready::Source { key, .. } = ready else { return };
        if app.ready.len() == 1 {
            let victim = app.sources[usize::from(key == app.sources[0])];
            let handle = registrar.remove_source(victim).expect("it is watched");
            assert_eq!(registrar.remove_source(victim), None, "stale");
            let reused = registrar.add_source(Owner::Application, handle, Interest::READ).unwrap();
            assert_ne!(reused, victim);
            app.sources = vec![key, reused];
        }
    });
    let mut event_loop = new_loop(Ground::default(), &queue);
    source(&mut event_loop, &mut app);
    source(&mut event_loop, &mut app);
    event_loop.turn(&mut app).unwrap();
    let [first, reused] = app.sources[..] else { panic!("two") };
    assert_eq!(reported(&app), [first]);
    event_loop.turn(&mut app).unwrap();
    let mut second_turn = reported(&app).split_off(1);
    second_turn.sort_by_key(|key| *key == reused);
    assert_eq!(second_turn, [first, reused]);
}

pub fn a_number_that_is_closed_and_opened_again_in_the_same_turn_is_another_descriptor<
    Po: Fresh,
>() {
    let queue: Queue<Po> = queue();
    let mut app = App::<Po>::new(|app, registrar, ready| {
        let Ready::Source { key, .. } = ready else { return };
        if app.ready.len() == 1 {
            let victim = usize::from(key == app.sources[0]);
            assert!(registrar.remove_source(app.sources[victim]).is_some());
            app.ends.remove(victim);
            // Two numbers have become free, and the system gives out the lowest; a test on another
            // thread may be faster, now and then.
            let (near, far) = UnixStream::pair().expect("a socket pair");
            let handle = near.as_raw_fd();
            app.ends.push((near, far));
            let reused = registrar.add_source(Owner::Application, handle, Interest::READ).unwrap();
            app.sources = vec![key, reused];
        }
    });
    let mut event_loop = new_loop(Ground::default(), &queue);
    source(&mut event_loop, &mut app);
    source(&mut event_loop, &mut app);
    event_loop.turn(&mut app).unwrap();
    event_loop.turn(&mut app).unwrap();
    let [first, reused] = app.sources[..] else { panic!("two") };
    assert_eq!(reported(&app), [first, first], "the new one has nothing to read");
    app.ends[1].1.write_all(b"x").unwrap();
    event_loop.turn(&mut app).unwrap();
    assert!(reported(&app).contains(&reused), "until it has");
}

pub fn its_own_removal_and_other_interests_from_its_callback<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let mut app = App::<Po>::new(|app, registrar, ready| {
        let Ready::Source { key, .. } = ready else { return };
        if key == app.sources[0] {
            assert_eq!(registrar.set_interest(key, Interest::WRITE).ok(), Some(true));
            assert!(registrar.remove_source(key).is_some());
            assert_eq!(registrar.set_interest(key, Interest::READ).ok(), Some(false));
        }
    });
    let mut event_loop = new_loop(Ground::default(), &queue);
    let [removed, stays] = [(); 2].map(|()| source(&mut event_loop, &mut app));
    event_loop.turn(&mut app).unwrap();
    event_loop.turn(&mut app).unwrap();
    let count = |key| reported(&app).into_iter().filter(|k| *k == key).count();
    assert_eq!((count(removed), count(stays)), (1, 2));
}

pub fn an_interest_that_is_changed_counts_from_the_next_turn<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let mut app = App::<Po>::new(|_, registrar, ready| {
        let Ready::Source { key, readiness, .. } = ready else { return };
        let next = if readiness.readable { Interest::WRITE } else { Interest::READ };
        assert_ne!(readiness.readable, readiness.writable, "no more than was asked for");
        assert_eq!(registrar.set_interest(key, next).ok(), Some(true));
    });
    let mut event_loop = new_loop(Ground::default(), &queue);
    source(&mut event_loop, &mut app);
    for _ in 0..4 {
        event_loop.turn(&mut app).unwrap();
    }
    let readable = app.ready.iter().map(|ready| match ready {
        Ready::Source { readiness, .. } => readiness.readable,
        Ready::Timer { .. } => panic!("no timer was armed"),
    });
    assert_eq!(readable.collect::<Vec<_>>(), [true, false, true, false]);
}

pub fn slots_are_bounded<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let (mut app, mut event_loop) = (App::idle(), new_loop(Ground::<Po>::default(), &queue));
    let keys: Vec<_> = (0..7).map(|_| source(&mut event_loop, &mut app)).collect();
    let mut registrar = event_loop.registrar();
    let more = [(); 3].map(|()| UnixStream::pair().expect("a socket pair"));
    let add = |registrar: &mut Registrar<'_, Po>, ends: &(UnixStream, UnixStream)| {
        let handle = ends.0.as_raw_fd();
        registrar.add_source(Owner::Application, handle, Interest::READ).map_err(|e| e.kind())
    };
    // The loop has eight slots; a poller with eight places has the loop's own wake in one of them.
    let eighth = add(&mut registrar, &more[0]);
    assert!(matches!(eighth, Ok(_) | Err(ErrorKind::Exhausted)));
    assert_eq!(add(&mut registrar, &more[1]), Err(ErrorKind::Exhausted));
    assert!(registrar.remove_source(keys[3]).is_some());
    assert!(add(&mut registrar, &more[2]).is_ok());
}

pub fn a_panic_in_a_callback_leaves_the_others_to_the_next_turn<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let mut app = App::<Po>::new(|app, _, _| assert!(app.ready.len() > 1, "on purpose"));
    let mut event_loop = new_loop(Ground::default(), &queue);
    let sources = [(); 2].map(|()| source(&mut event_loop, &mut app));
    assert!(catch_unwind(AssertUnwindSafe(|| event_loop.turn(&mut app))).is_err());
    event_loop.turn(&mut app).unwrap();
    let reported = reported(&app);
    assert!(sources.iter().all(|key| reported[1..].contains(key)), "{reported:?}");
}
