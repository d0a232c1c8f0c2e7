//! The far side over real wires: a thread in a network namespace of its own, with our servers behind
//! real sockets, on a loop like any other application.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::mpsc::Sender;

use bringup_core::attach::{AttachQueue, Outcome};
use bringup_core::event_loop::{Application, EventLoop, LoopStorage, Ready, Registrar, SourceKey};
use bringup_core::platform::{AddressConfig, Platform, UdpOptions};
use bringup_core::poll::{Interest, PollStorage, UnixPoll};
use bringup_core::timer::Owner;
use bringup_platform::error::OsError;
use bringup_platform::linux::{EventWake, Linux, LinuxOps, namespace};
use bringup_platform::lock::StdLock;

use super::{DHCP_PORT, DNS_PORT, NTP_PORT, PREFIX, SERVER, Servers};

type Machine<'p> = Linux<UnixPoll<'p>>;
/// Where the near side asks the far side to end.
pub type Queue<'p> = AttachQueue<FarSide, Machine<'p>, LinuxOps>;

/// A queue for a far side that has not started.
pub const fn queue<'p>() -> Queue<'p> {
    AttachQueue::new(StdLock::new(), EventWake::new())
}

/// Ends the far side's loop.
pub fn end(queue: &Queue<'_>) {
    // Refused only if it has ended by itself.
    let _ = queue.attach(None, |outcome: Outcome<'_, FarSide, Machine<'_>>| {
        if let Outcome::Ready(_, mut registrar) = outcome {
            registrar.stop();
        }
    });
}

/// The application: three sockets and the servers behind them.
pub struct FarSide {
    servers: Servers,
    sockets: Vec<(SourceKey, i32, u16)>,
}

/// Runs the far side. `ready` hears of its namespace as soon as there is one; `cable` says when the
/// interface `name` is there.
pub fn run<'p>(
    name: &str,
    queue: &Queue<'p>,
    polls: &'p mut PollStorage<8>,
    ready: &Sender<Result<OwnedFd, OsError>>,
    cable: impl FnOnce() -> bool,
) -> Result<(), OsError> {
    let namespace = namespace::separate_thread().and_then(|()| namespace::of_this_thread());
    let failed = namespace.as_ref().err().copied();
    // The near side may have given up; then the cable never comes.
    let _ = ready.send(namespace);
    if let Some(error) = failed {
        return Err(error);
    }
    if !cable() {
        return Ok(());
    }
    let mut memory = LoopStorage::<i32, 4, 8>::new();
    let mut event_loop = EventLoop::new(Linux::new(UnixPoll::new(polls))?, &mut memory, queue)?;
    let mut registrar = event_loop.registrar();
    let platform = registrar.platform();
    let index = platform.interface(name)?.index;
    let broadcast = Some(Ipv4Addr::new(10, 89, 0, 255));
    let address = AddressConfig { address: SERVER, prefix: PREFIX, broadcast, valid_s: None };
    platform.address_add(index, &address)?;
    let mut far_side = FarSide { servers: Servers::new(), sockets: Vec::new() };
    for port in [DHCP_PORT, DNS_PORT, NTP_PORT] {
        let local = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let interface = Some(index);
        let options = UdpOptions { local, peer: None, interface, broadcast: true, stamped: false };
        let handle = registrar.platform().udp_open(&options)?;
        if let Ok(key) = registrar.add_source(Owner::Application, handle, Interest::READ) {
            far_side.sockets.push((key, handle, port));
        }
    }
    // The near side sees a carrier from here on, when there is somebody to hear its first word.
    event_loop.registrar().platform().interface_up(index)?;
    event_loop.run(&mut far_side)
}

impl Application<Machine<'_>> for FarSide {
    fn dispatch(&mut self, registrar: &mut Registrar<'_, Machine<'_>>, ready: Ready) {
        let Ready::Source { key, .. } = ready else { return };
        let known = self.sockets.iter().find(|(source, ..)| *source == key);
        let Some(&(_, handle, port)) = known else { return };
        let platform = registrar.platform();
        let (mut request, mut reply) = ([0; 2048], [0; 1472]);
        // Errors are those of a client that has gone; the next readiness comes all the same.
        let Ok(Some(received)) = platform.udp_receive(handle, &mut request) else { return };
        let Some(request) = request.get(..received.length) else { return };
        let (now, utc) = (platform.now(), platform.utc());
        if let Some((to, length)) = self.servers.reply(port, request, now, utc, &mut reply) {
            let to = to.map_or(received.from, SocketAddr::V4);
            let bytes = reply.get(..length).unwrap_or(&[]);
            let _ = platform.udp_send(handle, to, bytes);
        }
    }
}
