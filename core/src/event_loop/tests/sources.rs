use super::*;

#[test]
fn one_that_is_removed_and_its_slot_reused_reports_nothing_in_this_turn() {
    let queue: Queue = queue();
    let mut app = App::new(|app: &mut App<Sim>, registrar, _| {
        // The first one that is called removes the other and takes its slot, with the same number.
        if app.ready.len() == 1 {
            let victim = app.sources[1];
            assert_eq!(registrar.remove_source(victim), Some(6));
            assert_eq!(registrar.remove_source(victim), None, "stale");
            let reused = registrar.add_source(Owner::Application, 6, Interest::READ).unwrap();
            assert_ne!(reused, victim);
            app.sources.push(reused);
        }
    });
    let mut event_loop = new_loop(Sim::default(), &queue);
    let first = source(&mut event_loop, &mut app, 5);
    source(&mut event_loop, &mut app, 6);
    event_loop.platform.poller.script.extend([vec![5, 6], vec![6]]);
    event_loop.turn(&mut app).unwrap();
    assert_eq!(reported(&app), [first]);
    event_loop.turn(&mut app).unwrap();
    assert_eq!(reported(&app), [first, app.sources[2]]);
}

#[test]
fn its_own_removal_and_other_interests_from_its_callback() {
    let queue: Queue = queue();
    let mut app = App::new(|app: &mut App<Sim>, registrar, ready| {
        let Ready::Source { key, .. } = ready else { return };
        if key == app.sources[0] {
            assert_eq!(registrar.set_interest(key, Interest::WRITE), Ok(true));
            assert_eq!(registrar.remove_source(key), Some(5));
            assert_eq!(registrar.set_interest(key, Interest::READ), Ok(false));
        }
    });
    let mut event_loop = new_loop(Sim::default(), &queue);
    let keys = [5, 6].map(|handle| source(&mut event_loop, &mut app, handle));
    event_loop.platform.poller.script.extend([vec![5, 6], vec![5, 6]]);
    event_loop.turn(&mut app).unwrap();
    event_loop.turn(&mut app).unwrap();
    assert_eq!(reported(&app), [keys[0], keys[1], keys[1]]);
}

#[test]
fn slots_are_bounded() {
    let queue: Queue = queue();
    let (mut app, mut event_loop) = (App::idle(), new_loop(Sim::default(), &queue));
    let keys: Vec<_> = (0..8).map(|h| source(&mut event_loop, &mut app, h)).collect();
    let mut registrar = event_loop.registrar();
    let full = registrar.add_source(Owner::Application, 9, Interest::READ);
    assert_eq!(full, Err(AddError::NoSlot));
    registrar.remove_source(keys[3]);
    assert!(registrar.add_source(Owner::Application, 9, Interest::READ).is_ok());
}

#[test]
fn a_panic_in_a_callback_leaves_the_others_to_the_next_turn() {
    let queue: Queue = queue();
    let mut app = App::new(|app: &mut App<Sim>, _, _| assert!(app.ready.len() > 1, "on purpose"));
    let mut event_loop = new_loop(Sim::default(), &queue);
    let keys = [5, 6].map(|handle| source(&mut event_loop, &mut app, handle));
    event_loop.platform.poller.script.extend([vec![5, 6], vec![6]]);
    assert!(catch_unwind(AssertUnwindSafe(|| event_loop.turn(&mut app))).is_err());
    event_loop.turn(&mut app).unwrap();
    assert_eq!(reported(&app), keys);
}
