//! A relay in user space: datagrams to a server and back, slower one way than the other, or lost.

use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use super::Host;

/// The way through a relay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Way {
    /// To the server.
    pub out: Duration,
    /// And back.
    pub home: Duration,
    /// So many requests are lost, the first ones.
    pub lose_first: usize,
}

/// Relays what comes to `listen` on this host, an address and a port, to `server`, until the test
/// ends.
pub fn relay(host: &Host, listen: &str, server: &'static str, way: Way) {
    host.enter(|| {
        let near = UdpSocket::bind(listen).unwrap_or_else(|why| panic!("bind {listen}: {why}"));
        // Threads that it starts are on the same host.
        thread::spawn(move || {
            for number in 0.. {
                let mut request = [0; 1500];
                let Ok((length, client)) = near.recv_from(&mut request) else { return };
                if number < way.lose_first {
                    continue;
                }
                let near = near.try_clone().expect("a second descriptor");
                thread::spawn(move || {
                    thread::sleep(way.out);
                    let far = UdpSocket::bind("0.0.0.0:0").expect("a free port");
                    far.connect(server).expect("a local address");
                    far.set_read_timeout(Some(Duration::from_secs(2))).expect("it is not zero");
                    let mut reply = [0; 1500];
                    // A server that is gone, or silent, is what the client finds.
                    if far.send(&request[..length]).is_err() {
                        return;
                    }
                    if let Ok(length) = far.recv(&mut reply) {
                        thread::sleep(way.home);
                        let _ = near.send_to(&reply[..length], client);
                    }
                });
            }
        });
    });
}
