//! Timeouts, order, sockets: what is kept of each server.

use super::*;
use core::net::Ipv4Addr;

fn address(last: u8) -> ServerAddress {
    IpAddr::from(Ipv4Addr::new(192, 0, 2, last)).into()
}

#[test]
fn timeouts_follow_the_round_trip_and_double() {
    let mut server = Server::new(address(1));
    let ms = |server: &Server, sends| server.timeout(sends).as_millis();
    assert_eq!([1, 2, 3, 9].map(|n| ms(&server, n)), [500, 1_000, 2_000, 5_000]);
    server.note_answer(Some(Duration::from_millis(1)));
    assert_eq!([1, 2, 3].map(|n| ms(&server, n)), [250, 500, 1_000]);
    server.note_answer(Some(Duration::from_millis(801)));
    assert_eq!(ms(&server, 1), 505, "the mean of 7 x 1 ms and 801 ms is 101 ms");
    server.note_answer(None);
    assert_eq!(ms(&server, 1), 505);
}

#[test]
fn rule_26_silence_is_about_edns_once_a_later_query_without_it_was_answered() {
    let (mut server, at) = (Server::new(address(1)), Instant::from_micros);
    assert_eq!(server.after_silence(at(5)), Plain::Unheard);
    server.note_plain_answer(Plain::Unheard, at(10));
    assert_eq!(server.after_silence(at(9)), Plain::Unheard, "lost at the same time, perhaps");
    assert_eq!(server.after_silence(at(10)), Plain::UnheardAgain);
    server.note_edns();
    assert_eq!(server.after_silence(at(20)), Plain::No);
}

#[test]
fn a_report_says_what_was_measured() {
    let (now, mut server) = (Instant::ZERO, Server::new(address(1)));
    let fresh = server.report(now);
    assert_eq!((fresh.server, fresh.round_trip), (address(1), None));
    assert_eq!((fresh.failures, fresh.is_shunned), (0, false));
    server.note_answer(Some(Duration::from_millis(7)));
    server.note_failure(now);
    let report = server.report(now);
    assert_eq!(report.round_trip, Some(Duration::from_millis(7)));
    assert_eq!((report.failures, report.is_shunned), (1, true));
    assert!(!server.report(now + SHUNNED).is_shunned, "for a while only");
}

#[test]
fn a_failing_server_is_shunned_for_longer_each_time() {
    let mut server = Server::new(address(1));
    let mut spans = [0; 6];
    for span in &mut spans {
        server.note_failure(Instant::ZERO);
        *span = server.shunned_until.unwrap_or_default().as_micros() / 1_000_000;
    }
    assert_eq!(spans, [5, 10, 20, 40, 60, 60]);
    server.note_answer(None);
    assert!(!server.is_shunned(Instant::ZERO));
}

#[test]
fn bug_33_a_port_is_given_up_after_a_while_unless_somebody_waits() {
    let mut servers = Servers::new(1);
    servers.replace(&[address(1)]);
    let (first, mut rng) = (ServerId(0), crate::testing::Seeded(1));
    let at = |s: u64| Instant::ZERO + Duration::from_secs(s);
    let mut take = |servers: &mut Servers, now| {
        let socket = servers.take_socket(first, now, &mut rng);
        let is_new = !servers.is_open(socket);
        if is_new {
            servers.set_open(socket, now);
        }
        is_new
    };
    assert!(take(&mut servers, at(0)) && !take(&mut servers, at(0)));
    for _ in 0..2 {
        servers.leave_socket(0, at(0));
    }
    // 64 uses, the last of which waits for too long.
    let uses = (0..100).take_while(|_| {
        let is_new = take(&mut servers, at(1));
        servers.leave_socket(0, at(1));
        !is_new
    });
    assert_eq!(uses.count(), usize::from(SOCKET_USES) - 1);
    assert!(!take(&mut servers, at(1)));
    assert!(!take(&mut servers, at(200)), "its age counts when nobody waits on it");
    servers.leave_socket(0, at(200));
    servers.leave_socket(0, at(200));
    assert!(take(&mut servers, at(200)));
    servers.leave_socket(0, at(200));
    assert!(!take(&mut servers, at(319)));
    servers.leave_socket(0, at(319));
    assert!(take(&mut servers, at(320)));
}

#[test]
fn a_socket_that_is_not_used_is_closed_after_a_while() {
    let mut servers = Servers::new(1);
    servers.replace(&[address(1)]);
    let at = |s: u64| Instant::ZERO + Duration::from_secs(s);
    let socket = servers.take_socket(ServerId(0), at(0), &mut crate::testing::Seeded(1));
    servers.set_open(socket, at(0));
    assert_eq!(servers.retire_idle(at(100)), None, "somebody waits on it");
    servers.leave_socket(socket, at(100));
    assert_eq!(servers.retire_idle(at(129)), Some(at(130)));
    assert_eq!(servers.next_to_close(), None);
    assert_eq!(servers.retire_idle(at(130)), None);
    assert_eq!((servers.next_to_close(), servers.next_to_close()), (Some(socket), None));
}

#[test]
fn bug_25_sixteen_servers_are_eight_and_a_list_keeps_what_stays() {
    let mut servers = Servers::new(4);
    let sixteen: [ServerAddress; 16] = core::array::from_fn(|n| address(u8::try_from(n).unwrap()));
    assert_eq!(servers.replace(&sixteen), 0);
    assert_eq!(servers.in_order().count(), MAX_SERVERS);
    assert_eq!(servers.replace(&[address(3), address(3), address(90)]), 0b1111_0111);
    let numbers = servers.in_order().map(|(id, s)| (id.0, s.at));
    assert!(numbers.eq([(3, address(3)), (0, address(90))]));
    servers.replace(&[]);
    assert!(servers.is_empty());
}
