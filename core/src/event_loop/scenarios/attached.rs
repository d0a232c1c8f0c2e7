//! Attached requests, as the loop runs them.

use super::*;
use crate::attach::Node;

/// Notes when it ran, and posts itself again.
fn again<Po: Fresh>(node: &'static Place<'static, Po>, outcome: Said<'_, Po>) {
    if let Said::Ready(app, registrar) = outcome {
        app.log.push(u32::try_from(registrar.now().as_micros()).unwrap());
        let posted = node.post_static(None, move |outcome| again(node, outcome));
        assert!(posted.is_ok(), "the node is idle while it runs");
    }
}

pub fn a2_a_request_that_posts_itself_again_runs_next_turn_and_starves_no_timer<Po: Fresh>() {
    let queue: &'static Queue<Po> = Box::leak(Box::new(queue()));
    let node: &'static Place<'static, Po> = Box::leak(Box::new(Node::new(queue)));
    let mut app = App::<Po>::new(|_, registrar, _| registrar.stop());
    let mut event_loop = new_loop(Ground::default(), queue);
    timer(&mut event_loop, &mut app, Instant::from_micros(3));
    assert!(node.post_static(None, move |outcome| again(node, outcome)).is_ok());
    // Time goes on by a microsecond a turn.
    for turn in 0..100 {
        event_loop.turn(&mut app).unwrap();
        assert_eq!(app.log.len(), turn + 1, "once a turn");
        if event_loop.inner.stop {
            break;
        }
        event_loop.registrar().platform().advance(Duration::from_micros(1));
    }
    assert_eq!(app.log, [0, 1, 2, 3], "the timer was on time");
}

pub fn a_request_may_add_a_descriptor_and_end_the_loop<Po: Fresh>() {
    let (queue, told): (Queue<Po>, _) = (queue(), Told::default());
    let (first, second, third) =
        (pin!(Node::new(&queue)), pin!(Node::new(&queue)), pin!(Node::new(&queue)));
    let (mut app, mut event_loop) = (App::idle(), new_loop(Ground::default(), &queue));
    let (near, mut far) = UnixStream::pair().unwrap();
    far.write_all(b"x").unwrap();
    let handle = near.as_raw_fd();
    let adds = move |outcome: Said<'_, Po>| {
        assert_unlocked();
        let Said::Ready(app, mut registrar) = outcome else { panic!("it is ready") };
        let key = registrar.add_source(Owner::System, handle, Interest::READ).unwrap();
        app.sources.push(key);
        registrar.stop();
    };
    assert!(first.as_ref().post(None, adds).is_ok());
    assert!(second.as_ref().post(None, told.request(2)).is_ok());
    assert!(third.as_ref().post(S::Dhcp, told.request(3)).is_ok());
    event_loop.run(&mut app).unwrap();
    assert_eq!(told.all(), [(2, What::Ready)], "the turn is finished");
    event_loop.turn(&mut app).unwrap();
    assert_eq!(app.ready.len(), 1);
    assert_eq!(app.ready[0].owner(), Owner::System);
    drop(event_loop);
    assert_eq!(told.all(), [(2, What::Ready), (3, What::Shutdown)]);
}

pub fn raised_flags_are_handed_out_once<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let (mut app, mut event_loop) = (App::idle(), new_loop(Ground::default(), &queue));
    queue.raise(0b10);
    queue.raise(0b01);
    event_loop.turn(&mut app).unwrap();
    assert_eq!(app.flags, [0b11]);
    event_loop.inner.stop = false;
    timer(&mut event_loop, &mut app, ms(1));
    event_loop.turn(&mut app).unwrap();
    assert_eq!((app.flags.len(), app.ready.len()), (1, 1), "the timer alone");
}

pub fn a_queue_serves_one_loop<Po: Fresh>() {
    let queue: Queue<Po> = queue();
    let _first: Loop<'_, Po> = new_loop(Ground::default(), &queue);
    let second = LoopStorage::<i32, 1, 1>::new();
    let mut second = Box::new(second);
    let refused = Loop::<Po>::new(Ground::default(), &mut *second, &queue);
    assert!(refused.is_err());
}
