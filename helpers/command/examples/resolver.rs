//! The resolver alone, in a poll loop that is somebody else's: `resolver NAME [SERVER:PORT]`.
//!
//! The loop below could be any: it owns the sockets, it decides when to wait, and it has other things
//! to do. The resolver is told what arrived and what time it is, and says what it wants.
use std::io::ErrorKind::WouldBlock;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Instant as StdInstant, SystemTime};

use bringup::core::client::{Client, Cx, Endpoint, Host, Input, Rng, Transmit, drive};
use bringup::core::error::ErrorKind;
use bringup::core::time::{Instant, Utc};
use bringup::dns::{Config, Event, QueryKind, QueryOptions, Resolver, ServerAddress, SmallStorage};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The kernel's entropy: transaction ids have to be unpredictable.
struct Entropy;

impl Rng for Entropy {
    fn fill(&mut self, buffer: &mut [u8]) {
        rustix::rand::getrandom(buffer, rustix::rand::GetRandomFlags::empty()).expect("entropy");
    }
}

/// What the loop has: a clock, entropy, sockets by the resolver's own numbers, and what it said.
struct World {
    start: StdInstant,
    rng: Entropy,
    sockets: Vec<Option<UdpSocket>>,
    events: Vec<Event>,
}

impl Host<Event> for World {
    fn cx(&mut self) -> Cx<'_> {
        let us = |t: std::time::Duration| u64::try_from(t.as_micros()).unwrap_or(u64::MAX);
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let utc = Utc::from_unix_nanos(i64::try_from(unix.as_nanos()).unwrap_or(0));
        Cx { now: Instant::from_micros(us(self.start.elapsed())), utc, rng: &mut self.rng }
    }

    fn transmit(&mut self, transmit: Transmit<'_>) -> Result<usize, ErrorKind> {
        let index = usize::from(transmit.index());
        match transmit {
            Transmit::Open { endpoint: Endpoint::Udp { local, peer, .. }, .. } => {
                let open = || {
                    let socket = UdpSocket::bind(local)?;
                    socket.set_nonblocking(true)?;
                    peer.map_or(Ok(()), |peer| socket.connect(peer)).map(|()| socket)
                };
                self.sockets.resize_with(self.sockets.len().max(index + 1), || None);
                self.sockets[index] = Some(open().map_err(|_| ErrorKind::Unreachable)?);
            }
            Transmit::Close { .. } => self.sockets[index] = None,
            Transmit::Datagram { bytes, .. } => {
                let socket = self.sockets[index].as_ref().ok_or(ErrorKind::NotFound)?;
                socket.send(bytes).map_err(|_| ErrorKind::Unreachable)?;
            }
            // This loop has no streams: an answer that does not fit into a datagram cannot be had.
            _ => return Err(ErrorKind::Unsupported),
        }
        Ok(0)
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "example.com".into());
    let server = arguments.next().unwrap_or_else(|| "127.0.0.1:53".into());
    let server: SocketAddr = server.parse().expect("the second argument is ADDRESS:PORT");

    let mut memory = SmallStorage::new();
    let mut resolver = Resolver::new(Config::DEFAULT, &mut memory);
    let mut world =
        World { start: StdInstant::now(), rng: Entropy, sockets: Vec::new(), events: Vec::new() };
    let mut buffer = [0; 1500];

    resolver.set_servers(&mut world.cx(), &[ServerAddress::from(server)]);
    let options = QueryOptions::default();
    let asked = resolver
        .query(&mut world.cx(), name.as_str(), QueryKind::Addresses, options)
        .expect("a name");
    loop {
        // After every call: what it wants sent, what it has to say, and when to call again.
        let deadline = drive(&mut resolver, &mut world, &mut buffer);
        let done = |event| matches!(event, Event::Done { key, .. } if key == asked);
        if world.events.drain(..).any(done) {
            break;
        }
        let now = world.cx().now;
        let wait = deadline.map(|at| Timespec {
            tv_sec: i64::try_from(at.since(now).as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(at.since(now).as_micros() % 1_000_000 * 1_000).unwrap_or(0),
        });
        let mut watched: Vec<PollFd<'_>> =
            world.sockets.iter().flatten().map(|s| PollFd::new(s, PollFlags::IN)).collect();
        poll(&mut watched, wait.as_ref()).expect("poll");
        // This is where a program's own descriptors would be looked at.

        for index in 0..world.sockets.len() {
            let mut datagram = [0; 1500];
            let Some(open) = &world.sockets[index] else { continue };
            let socket = u8::try_from(index).expect("a small number");
            let input = match open.recv_from(&mut datagram) {
                Ok((length, from)) => {
                    let received_at = world.cx().now;
                    Input::Datagram { socket, from, bytes: &datagram[..length], received_at }
                }
                Err(error) if error.kind() == WouldBlock => continue,
                Err(_) => Input::SendFailed { socket, why: ErrorKind::Unreachable },
            };
            // What it ignores it counts.
            let _ = resolver.handle_input(&mut world.cx(), input);
            drive(&mut resolver, &mut world, &mut buffer);
        }
        resolver.handle_timeout(&mut world.cx());
    }
    let answer = resolver.result(asked).expect("it is done");
    println!("{name}: {:?}", answer.outcome());
    for address in answer.addresses() {
        println!("{address}");
    }
}
