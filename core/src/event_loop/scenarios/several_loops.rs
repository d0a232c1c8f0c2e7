//! Several loops under one context.

use super::*;
use crate::attach::Node;

pub fn tsi_the_leader_sets_the_state_for_all_and_a_post_wakes_only_its_loop<Po: Fresh>() {
    let (queues, told): ([Queue<Po>; 2], _) = ([queue(), queue()], Told::default());
    let [first, rest @ ..] = &queues;
    let (mut lead_app, mut leader) = (App::idle(), new_loop(Ground::default(), first));
    let (mut app, mut follower) = (App::idle(), new_loop(Ground::default(), &rest[0]));
    leader.lead(rest);
    follower.follow();
    let nodes = [first, &rest[0]].map(|queue| Box::pin(Node::new(queue)));
    for (node, number) in nodes.iter().zip(0..) {
        assert!(node.as_ref().post(S::Dhcp, told.request(number)).is_ok());
    }
    assert_eq!(follower.registrar().advance(S::Dhcp), Err(RequestError::Follower));
    assert_eq!(follower.registrar().jump(S::Unknown), Err(RequestError::Follower));
    assert!(rest[0].may_sleep(), "the follower sleeps");
    leader.registrar().advance(S::TimeValid).unwrap();
    leader.turn(&mut lead_app).unwrap();
    assert_eq!(told.all(), [(0, What::Ready)]);
    assert_eq!([first.wake().count(), rest[0].wake().count()], [0, 1]);
    follower.turn(&mut app).unwrap();
    assert_eq!(follower.registrar().state(), S::TimeValid);
    assert_eq!(told.all(), [(0, What::Ready), (1, What::Ready)]);
    assert!(rest[0].may_sleep(), "it sleeps again");
    leader.shutdown(&mut lead_app);
    assert_eq!(rest[0].wake().count(), 2, "nothing waits for the end, which wakes it all the same");
    follower.run(&mut app).unwrap();
    assert_eq!(follower.registrar().state(), S::ContextDestroying);
    follower.shutdown(&mut app);
    assert!(nodes[1].as_ref().post(None, told.request(2)).is_err());
}
