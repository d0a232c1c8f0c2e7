use super::*;
use crate::attach::Node;

static QUEUE: Queue = queue();
static AGAIN: Place<'static> = Node::new(&QUEUE);

fn again(outcome: Outcome<'_, App<Sim>, Sim>) {
    if let Outcome::Ready(app, registrar) = outcome {
        app.log.push(u32::try_from(registrar.now().as_micros()).unwrap());
        assert!(AGAIN.post_static(None, again).is_ok(), "the node is idle while it runs");
    }
}

#[test]
fn a2_a_request_that_posts_itself_again_runs_next_turn_and_starves_no_timer() {
    let mut app = App::new(|_: &mut App<Sim>, registrar, _| registrar.stop());
    let mut event_loop = new_loop(Sim::default(), &QUEUE);
    timer(&mut event_loop, &mut app, Instant::from_micros(3));
    assert!(AGAIN.post_static(None, again).is_ok());
    // Time goes on by a microsecond a turn.
    for turn in 0..100 {
        event_loop.turn(&mut app).unwrap();
        assert_eq!(app.log.len(), turn + 1, "once a turn");
        if event_loop.inner.stop {
            break;
        }
        event_loop.platform.now += Duration::from_micros(1);
    }
    assert_eq!(app.log, [0, 1, 2, 3], "the timer was on time");
}

#[test]
fn a_request_may_add_what_it_likes_and_end_the_loop() {
    let (queue, told): (Queue, _) = (queue(), Told::default());
    let (first, second, third) =
        (pin!(Node::new(&queue)), pin!(Node::new(&queue)), pin!(Node::new(&queue)));
    let (mut app, mut event_loop) = (App::idle(), new_loop(Sim::default(), &queue));
    let adds = |outcome: Outcome<'_, App<Sim>, Sim>| {
        assert_unlocked();
        let Outcome::Ready(app, mut registrar) = outcome else { panic!("it is ready") };
        let key = registrar.add_source(Owner::System, 9, Interest::READ).unwrap();
        app.sources.push(key);
        registrar.stop();
    };
    assert!(first.as_ref().post(None, adds).is_ok());
    assert!(second.as_ref().post(None, told.request(2)).is_ok());
    assert!(third.as_ref().post(S::Dhcp, told.request(3)).is_ok());
    event_loop.run(&mut app).unwrap();
    assert_eq!(told.all(), [(2, What::Ready)], "the turn is finished");
    event_loop.platform.poller.script.push_back(vec![9]);
    event_loop.turn(&mut app).unwrap();
    assert_eq!(app.ready.len(), 1);
    assert_eq!(app.ready[0].owner(), Owner::System);
    drop(event_loop);
    assert_eq!(told.all(), [(2, What::Ready), (3, What::Shutdown)]);
}

#[cfg(target_has_atomic = "32")]
#[test]
fn raised_flags_are_handed_out_once() {
    let queue: Queue = queue();
    let (mut app, mut event_loop) = (App::idle(), new_loop(Sim::default(), &queue));
    queue.raise(0b10);
    queue.raise(0b01);
    event_loop.turn(&mut app).unwrap();
    assert_eq!(app.flags, [0b11]);
    event_loop.inner.stop = false;
    timer(&mut event_loop, &mut app, ms(1));
    event_loop.turn(&mut app).unwrap();
    assert_eq!((app.flags.len(), app.ready.len()), (1, 1), "the timer alone");
}

#[test]
fn a_queue_serves_one_loop() {
    let queue: Queue = queue();
    let _first: Loop<'_> = new_loop(Sim::default(), &queue);
    let second = LoopStorage::<i32, 1, 1>::new();
    let mut second = Box::new(second);
    let refused = Loop::new(Sim::default(), &mut *second, &queue);
    assert_eq!(refused.err(), Some(crate::error::ErrorKind::Exists));
}
