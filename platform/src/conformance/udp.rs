//! Datagrams, and the poller that reports them.

use core::net::{IpAddr, SocketAddr};

use bringup_core::error::ErrorKind;
use bringup_core::platform::{Platform, PlatformError, Received, UdpOptions};
use bringup_core::poll::{Interest, Poll};
use bringup_core::time::{Duration, Instant};

use super::{
    Checked, Finding, Promise, Report, Rig, TOKEN, UdpPeer, broken, ensure, late, needed, run,
    unchecked, wait_for,
};

pub(super) fn all<R: Rig>(rig: &mut R, report: &mut Report) {
    run(rig, report, Promise::UdpEmpty, empty);
    run(rig, report, Promise::UdpCarries, carries);
    run(rig, report, Promise::UdpTruncated, truncated);
    run(rig, report, Promise::PollLevel, poll_level);
    run(rig, report, Promise::UdpPorts, ports);
    run(rig, report, Promise::UdpPeerOnly, peer_only);
    run(rig, report, Promise::UdpTaken, taken);
    run(rig, report, Promise::UdpGoesOn, goes_on);
}

const NOBODY: Finding = unchecked("the rig has nobody to exchange datagrams with");
const NOT_ITSELF: Finding = unchecked("it takes a host that can send to itself");

/// As long as an Ethernet frame lets a datagram be.
const LONGEST: usize = 1_472;

fn options(ip: IpAddr, port: u16, peer: Option<SocketAddr>) -> UdpOptions {
    let local = SocketAddr::new(ip, port);
    UdpOptions { local, peer, interface: None, broadcast: false, stamped: true }
}

fn itself<R: Rig>(rig: &mut R) -> Result<IpAddr, Finding> {
    match rig.udp() {
        UdpPeer::Itself(ip) => Ok(ip),
        UdpPeer::Echo { .. } => Err(NOT_ITSELF),
        UdpPeer::Nobody => Err(NOBODY),
    }
}

/// A socket on a port of the kit's choice, so that others can send to it.
pub(super) fn known<P: Platform>(
    platform: &mut P,
    ip: IpAddr,
) -> Result<(P::Handle, SocketAddr), Finding> {
    let mut tries = 32;
    loop {
        let port = 20_000 + platform.u16() % 20_000;
        match platform.udp_open(&options(ip, port, None)) {
            Ok(handle) => return Ok((handle, SocketAddr::new(ip, port))),
            Err(error) if error.kind() == ErrorKind::AddressInUse && tries > 0 => tries -= 1,
            Err(error) => return Err(needed("a socket was not opened")(error)),
        }
    }
}

fn open<P: Platform>(
    platform: &mut P,
    ip: IpAddr,
    peer: Option<SocketAddr>,
) -> Result<P::Handle, Finding> {
    platform.udp_open(&options(ip, 0, peer)).map_err(needed("a socket was not opened"))
}

fn send<P: Platform>(platform: &mut P, handle: P::Handle, to: SocketAddr, bytes: &[u8]) -> Checked {
    platform.udp_send(handle, to, bytes).map_err(needed("a datagram was not sent"))
}

/// Waits until the poller reports the socket, then takes one datagram.
fn receive<R: Rig>(
    rig: &R,
    platform: &mut R::Platform,
    handle: <R::Platform as Platform>::Handle,
    buffer: &mut [u8],
) -> Result<Received, Finding> {
    receive_at(rig, platform, handle, buffer).map(|(received, _)| received)
}

/// The same, and the time right before it was taken.
fn receive_at<R: Rig>(
    rig: &R,
    platform: &mut R::Platform,
    handle: <R::Platform as Platform>::Handle,
    buffer: &mut [u8],
) -> Result<(Received, Instant), Finding> {
    let deadline = late(rig, platform);
    let added = platform.poller().add(handle, TOKEN, Interest::READ);
    added.map_err(needed("a socket cannot be watched"))?;
    let received = loop {
        if wait_for(platform, TOKEN, deadline)?.is_none() {
            break Err(broken("a datagram did not arrive, or was not reported"));
        }
        let before = platform.now();
        match platform.udp_receive(handle, buffer) {
            Ok(Some(received)) => break Ok((received, before)),
            Ok(None) => {}
            Err(error) => break Err(needed("receiving failed")(error)),
        }
    };
    platform.poller().remove(handle, TOKEN);
    received
}

fn empty<R: Rig>(rig: &mut R) -> Checked {
    let ip = match rig.udp() {
        UdpPeer::Itself(ip) | UdpPeer::Echo { local: ip, .. } => ip,
        UdpPeer::Nobody => return Err(NOBODY),
    };
    let mut platform = rig.platform();
    let handle = open(&mut platform, ip, None)?;
    let before = platform.now();
    let received =
        platform.udp_receive(handle, &mut [0; 16]).map_err(needed("receiving failed"))?;
    let waited = platform.now().since(before);
    platform.close(handle);
    ensure(received.is_none(), "something was received that nobody sent")?;
    ensure(waited < rig.patience() / 2, "it waited for what did not come")
}

/// Bytes that show where they are.
fn pattern(bytes: &mut [u8]) {
    for (byte, at) in bytes.iter_mut().zip(0_u32..) {
        *byte = u8::try_from(at % 251).unwrap_or(0);
    }
}

fn carries<R: Rig>(rig: &mut R) -> Checked {
    let peer = rig.udp();
    let mut platform = rig.platform();
    let (client, to, server) = match peer {
        UdpPeer::Itself(ip) => {
            let (server, at) = known(&mut platform, ip)?;
            (open(&mut platform, ip, None)?, at, Some(server))
        }
        UdpPeer::Echo { local, to } => (open(&mut platform, local, None)?, to, None),
        UdpPeer::Nobody => return Err(NOBODY),
    };
    let mut sent = [0; LONGEST];
    pattern(&mut sent);
    for length in [1, 2, 300, LONGEST] {
        let bytes = sent.get(..length).unwrap_or(&[]);
        let before = platform.now();
        send(&mut platform, client, to, bytes)?;
        let mut buffer = [0; LONGEST + 1];
        if let Some(server) = server {
            let seen = receive(rig, &mut platform, server, &mut buffer)?;
            ensure(buffer.get(..seen.length) == Some(bytes), "it arrived with other bytes")?;
            ensure(seen.from.ip() == to.ip() && seen.from.port() != 0, "its source is wrong")?;
            send(&mut platform, server, seen.from, bytes)?;
        }
        let seen = receive(rig, &mut platform, client, &mut buffer)?;
        let now = platform.now();
        ensure(buffer.get(..seen.length) == Some(bytes), "the answer has other bytes")?;
        ensure(seen.from == to, "the answer's source is not whom it was sent to")?;
        ensure(!seen.truncated, "it was whole and is said to be cut")?;
        // The wall clock, by which some stamp, has a grain of its own.
        let grain = Duration::from_millis(2);
        ensure(seen.at <= now, "it arrived in the future")?;
        ensure(seen.at + grain >= before, "it arrived before it was sent")?;
    }
    Ok(())
}

fn truncated<R: Rig>(rig: &mut R) -> Checked {
    let ip = itself(rig)?;
    let mut platform = rig.platform();
    let (server, at) = known(&mut platform, ip)?;
    let client = open(&mut platform, ip, None)?;
    send(&mut platform, client, at, b"0123456789")?;
    send(&mut platform, client, at, b"abcd")?;
    let mut buffer = [0; 4];
    let first = receive(rig, &mut platform, server, &mut buffer)?;
    ensure(
        first.length == 4 && buffer == *b"0123",
        "the buffer was not filled with its beginning",
    )?;
    ensure(first.truncated, "a datagram was cut, and nobody said so")?;
    let second = receive(rig, &mut platform, server, &mut buffer)?;
    ensure(buffer == *b"abcd" && second.length == 4, "its rest came as a datagram of its own")?;
    ensure(!second.truncated, "a datagram that just fits is said to be cut")
}

fn poll_level<R: Rig>(rig: &mut R) -> Checked {
    let ip = itself(rig)?;
    let mut platform = rig.platform();
    let (server, at) = known(&mut platform, ip)?;
    let client = open(&mut platform, ip, None)?;
    let watched = platform.poller().add(server, TOKEN, Interest::READ);
    watched.map_err(needed("a socket cannot be watched"))?;
    let quiet = |platform: &mut R::Platform| {
        let soon = platform.now() + Duration::from_millis(3);
        Ok(wait_for(platform, TOKEN, soon)?.is_none())
    };
    ensure(quiet(&mut platform)?, "a socket was ready before anything arrived")?;
    send(&mut platform, client, at, b"once")?;
    for _ in 0..3 {
        let deadline = late(rig, &mut platform);
        let ready = wait_for(&mut platform, TOKEN, deadline)?;
        ensure(ready.is_some_and(|ready| ready.readable), "what stays ready is not told again")?;
    }
    let modify = |platform: &mut R::Platform, interest| {
        platform
            .poller()
            .modify(server, TOKEN, interest)
            .map_err(needed("interest was not changed"))
    };
    modify(&mut platform, Interest::NONE)?;
    ensure(quiet(&mut platform)?, "it was told to one who had no interest")?;
    modify(&mut platform, Interest::READ)?;
    let deadline = late(rig, &mut platform);
    ensure(wait_for(&mut platform, TOKEN, deadline)?.is_some(), "interest came back unheard")?;
    platform.poller().remove(server, TOKEN);
    ensure(quiet(&mut platform)?, "it was told after it had been taken out")
}

/// How many ports are looked at.
const PORTS: usize = 8;

fn ports<R: Rig>(rig: &mut R) -> Checked {
    let ip = itself(rig)?;
    let mut platform = rig.platform();
    let (server, at) = known(&mut platform, ip)?;
    let mut seen = [0_u16; PORTS];
    let (mut last, mut near) = (0_u16, 0);
    for place in 0..PORTS {
        let client = open(&mut platform, ip, None)?;
        send(&mut platform, client, at, b"which port?")?;
        let port = receive(rig, &mut platform, server, &mut [0; 16])?.from.port();
        ensure(port != 0 && !seen.contains(&port), "two sockets have the same port")?;
        near += u32::from(port.abs_diff(last) < 32);
        last = port;
        if let Some(slot) = seen.get_mut(place) {
            *slot = port;
        }
    }
    // By chance two are neighbours once in a hundred runs, three of them once in a million.
    ensure(near < 3, "ports follow each other: whoever saw one can guess the next (RFC 5452)")
}

fn peer_only<R: Rig>(rig: &mut R) -> Checked {
    let ip = itself(rig)?;
    let mut platform = rig.platform();
    let (server, at) = known(&mut platform, ip)?;
    let stranger = open(&mut platform, ip, None)?;
    for stamped in [true, false] {
        let options = UdpOptions { stamped, ..options(ip, 0, Some(at)) };
        let client = platform.udp_open(&options).map_err(needed("a socket was not opened"))?;
        send(&mut platform, client, at, b"hello")?;
        let here = receive(rig, &mut platform, server, &mut [0; 16])?.from;
        send(&mut platform, stranger, here, b"forged")?;
        send(&mut platform, server, here, b"true, and long")?;
        let mut buffer = [0; 4];
        let (first, before) = receive_at(rig, &mut platform, client, &mut buffer)?;
        let of_the_peer = buffer == *b"true" && first.from == at;
        ensure(of_the_peer, "a connected socket received from a stranger")?;
        ensure(first.length == 4 && first.truncated, "it was cut, and nobody said so")?;
        ensure(first.at <= platform.now(), "it arrived in the future")?;
        let as_asked = stamped || first.at >= before;
        ensure(as_asked, "nobody asked for a stamp, and its time is not that of the reading")?;
        platform.close(client);
    }
    Ok(())
}

fn taken<R: Rig>(rig: &mut R) -> Checked {
    let ip = itself(rig)?;
    let mut platform = rig.platform();
    let (first, at) = known(&mut platform, ip)?;
    let kind =
        |result: Result<_, <R::Platform as Platform>::Error>| result.map_err(|error| error.kind());
    match kind(platform.udp_open(&options(ip, at.port(), None))) {
        Err(ErrorKind::AddressInUse) => {}
        Err(kind) => return Err(Finding::Failed("it was refused for another reason", kind)),
        Ok(_) => return Err(broken("a port was given to two sockets")),
    }
    platform.close(first);
    let again = platform.udp_open(&options(ip, at.port(), None));
    again.map(drop).map_err(needed("a port is still taken after its socket was closed"))
}

fn goes_on<R: Rig>(rig: &mut R) -> Checked {
    let ip = itself(rig)?;
    let mut platform = rig.platform();
    let (gone, at) = known(&mut platform, ip)?;
    platform.close(gone);
    let client = open(&mut platform, ip, Some(at))?;
    send(&mut platform, client, at, b"is anybody there?")?;
    // The refusal is told once, here or with the next send; a stack that tells nothing is fine, too.
    let soon = platform.now() + Duration::from_millis(5);
    wait_for(&mut platform, TOKEN, soon)?;
    let told = platform.udp_receive(client, &mut [0; 16]).is_err();
    let again = platform.udp_receive(client, &mut [0; 16]);
    ensure(!told || again.is_ok(), "one refusal was told twice")?;
    let server = platform.udp_open(&options(ip, at.port(), None));
    let server = server.map_err(needed("a socket was not opened"))?;
    if platform.udp_send(client, at, b"and now?").is_err() {
        send(&mut platform, client, at, b"and now?")?;
    }
    receive(rig, &mut platform, server, &mut [0; 16]).map(drop)
}
