//! [`World`]: where a client's output goes when tokio has the sockets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::SystemTime;

use bringup_core::client::{Client, Cx, Endpoint, Host, Input, Rng, Transmit, drive};
use bringup_core::error::ErrorKind;
use bringup_core::time::{Instant, Utc};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

/// The kernel's entropy.
struct Entropy;

impl Rng for Entropy {
    fn fill(&mut self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("entropy");
    }
}

/// A datagram, by the client's number of its socket.
type Arrival = (u8, SocketAddr, Vec<u8>);

/// A socket, and the task that hears it.
struct Open {
    /// The same socket for sending, which never waits: tokio's own refuses to send before its reactor
    /// has seen the socket once, and a client counts that as a lost packet.
    sender: std::net::UdpSocket,
    connected: bool,
    listener: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// What a client has of the world.
pub(crate) struct World<E> {
    start: tokio::time::Instant,
    rng: Entropy,
    sockets: BTreeMap<u8, Open>,
    arrivals: (Sender<Arrival>, Receiver<Arrival>),
    events: Vec<E>,
}

impl<E> World<E> {
    pub(crate) fn new() -> Self {
        Self {
            start: tokio::time::Instant::now(),
            rng: Entropy,
            sockets: BTreeMap::new(),
            // More than that at once is lost, as in the kernel's buffers.
            arrivals: channel(64),
            events: Vec::new(),
        }
    }

    /// The context for one call.
    pub(crate) fn cx(&mut self) -> Cx<'_> {
        let us = |t: std::time::Duration| u64::try_from(t.as_micros()).unwrap_or(u64::MAX);
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let utc = Utc::from_unix_nanos(i64::try_from(unix.as_nanos()).unwrap_or(0));
        Cx { now: Instant::from_micros(us(self.start.elapsed())), utc, rng: &mut self.rng }
    }

    /// Binding does not wait, so that it needs no task.
    fn open(
        &mut self,
        index: u8,
        local: SocketAddr,
        peer: Option<SocketAddr>,
    ) -> std::io::Result<()> {
        let socket = std::net::UdpSocket::bind(local)?;
        socket.set_nonblocking(true)?;
        if let Some(peer) = peer {
            socket.connect(peer)?;
        }
        let sender = socket.try_clone()?;
        let (heard, arrivals) = (UdpSocket::from_std(socket)?, self.arrivals.0.clone());
        let listener = tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = heard.recv_from(&mut buffer).await {
                let _ = arrivals.try_send((index, from, buffer[..length].to_vec()));
            }
        });
        self.sockets.insert(index, Open { sender, connected: peer.is_some(), listener });
        Ok(())
    }
}

impl<E> Host<E> for World<E> {
    fn cx(&mut self) -> Cx<'_> {
        World::cx(self)
    }

    fn transmit(&mut self, transmit: Transmit<'_>) -> Result<usize, ErrorKind> {
        match transmit {
            Transmit::Open { socket, endpoint: Endpoint::Udp { local, peer, .. } } => {
                self.open(socket, local, peer).map_err(|_| ErrorKind::Unreachable)?;
            }
            Transmit::Close { socket } => drop(self.sockets.remove(&socket)),
            Transmit::Datagram { socket, to, bytes } => {
                let open = self.sockets.get(&socket).ok_or(ErrorKind::NotFound)?;
                // At once or not at all; a full buffer is a lost packet.
                let sent = if open.connected {
                    open.sender.send(bytes)
                } else {
                    open.sender.send_to(bytes, to)
                };
                sent.map_err(|_| ErrorKind::Unreachable)?;
            }
            // No streams in this example, and no frames on tokio.
            _ => return Err(ErrorKind::Unsupported),
        }
        Ok(0)
    }

    fn event(&mut self, event: E) {
        self.events.push(event);
    }
}

/// Runs a client until it says something that `done` holds for.
pub(crate) async fn run<C: Client>(
    client: &mut C,
    world: &mut World<C::Event>,
    done: impl Fn(&C::Event) -> bool,
) {
    let mut buffer = [0; 1500];
    loop {
        // After every call: what it wants sent, what it has to say, and when to call again.
        let deadline = drive(client, world, &mut buffer);
        if world.events.drain(..).any(|event| done(&event)) {
            return;
        }
        let start = world.start;
        let sleep = async move {
            match deadline {
                Some(at) => {
                    let since = std::time::Duration::from_micros(at.as_micros());
                    tokio::time::sleep_until(start + since).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some((socket, from, bytes)) = world.arrivals.1.recv() => {
                let received_at = world.cx().now;
                let input = Input::Datagram { socket, from, bytes: &bytes, received_at };
                // What it ignores it counts.
                let _ = client.handle_input(&mut world.cx(), input);
            }
            () = sleep => client.handle_timeout(&mut world.cx()),
        }
    }
}
