//! A board without an operating system, in an emulator, with its cable in a host's interface.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::packet::{FRAME_MAX, Metadata, PacketSocket, VNET_HEADER};
use super::program::readable;
use super::wire::finish_checksum;
use super::{Host, Outcome, run};

/// The emulator's program.
pub const EMULATOR: &str = "qemu-system-arm";

/// Runs a program on an LM3S6965 (Cortex-M3, 64 KiB of RAM) whose cable is in `interface` of `host`, until it
/// ends by semihosting. Standard output is what it says on its serial port.
#[must_use]
pub fn lm3s6965(host: &Host, interface: &str, program: &Path, deadline: Duration) -> Outcome {
    let cable = Cable::new(host, interface);
    let [emulator, ours] = cable.ends;
    let mut command = host.command(EMULATOR);
    command.args(["-machine", "lm3s6965evb", "-display", "none", "-monitor", "none"]);
    command.args(["-serial", "stdio", "-semihosting-config", "enable=on,target=native"]);
    command.args(["-nic", &format!("socket,udp={ours},localaddr={emulator}")]);
    command.arg("-kernel").arg(program);
    run(&mut command, deadline)
}

/// Carries frames between an interface and the emulator, which has each in a datagram.
struct Cable {
    /// The emulator's end and this one, on the host's loopback.
    ends: [SocketAddr; 2],
    /// Closing it stops the relay.
    stop: Option<UnixStream>,
    relay: Option<JoinHandle<()>>,
}

impl Cable {
    fn new(host: &Host, interface: &str) -> Self {
        let (frames, ours, theirs) = host.enter(|| {
            let frames = PacketSocket::open(interface, Metadata::Before);
            let [ours, theirs] = [0, 0].map(|port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)));
            let open = "the host's own interfaces";
            (frames.expect(open), ours.expect(open), theirs.expect(open))
        });
        // The port is the emulator's when this is closed, and nobody else is on this host.
        let ends = [&theirs, &ours].map(|end| end.local_addr().expect("it is bound"));
        drop(theirs);
        let (stop, stopped) = UnixStream::pair().expect("a socket pair");
        let to = ends[0];
        let relay = thread::spawn(move || carry(&frames, &ours, to, &stopped));
        Self { ends, stop: Some(stop), relay: Some(relay) }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(relay) = self.relay.take() {
            // The relay's own panic has been printed; a second one here would abort.
            let _ = relay.join();
        }
    }
}

fn carry(frames: &PacketSocket, emulator: &UdpSocket, to: SocketAddr, stopped: &UnixStream) {
    let mut buffer = vec![0; FRAME_MAX];
    loop {
        let [stop, frame, datagram] = readable(&[stopped, frames, emulator], None);
        if stop {
            return;
        }
        if frame {
            let received = frames.receive(&mut buffer, Duration::ZERO).expect("it is readable");
            let frame = &mut buffer[..received.length];
            // A network card would do it.
            finish_checksum(frame);
            lost(emulator.send_to(&frame[VNET_HEADER..], to));
        }
        if datagram {
            let received = emulator.recv(&mut buffer[VNET_HEADER..]);
            buffer[..VNET_HEADER].fill(0);
            if let Ok(length) = received {
                lost(frames.send(&buffer[..VNET_HEADER + length]));
            }
        }
    }
}

/// A frame that cannot be sent is lost, as on any cable: the emulator is not there yet, or no more.
fn lost<T>(sent: io::Result<T>) {
    drop(sent);
}
