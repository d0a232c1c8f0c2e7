//! Frames of the link.

use bringup_core::client::{LinkFilter, Mac};
use bringup_core::platform::{Interface, Platform, ReceivedFrame};
use bringup_core::poll::{Interest, Poll};
use bringup_core::time::Duration;

use super::{
    Checked, Finding, Promise, Report, Rig, TOKEN, broken, ensure, failed, late, ready_interface,
    run, unchecked, wait_for,
};

pub(super) fn all<R: Rig>(rig: &mut R, report: &mut Report) {
    run(rig, report, Promise::InterfaceUnknown, interface_unknown);
    run(rig, report, Promise::LinkSends, sends);
    run(rig, report, Promise::LinkReceives, receives);
    run(rig, report, Promise::LinkFilters, filters);
}

const NO_WIRE: Finding = unchecked("the rig has no wire");
const NO_FAR_END: Finding = unchecked("the rig cannot send from the far end of the wire");

const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;

/// Some station that is not there.
const STRANGER: Mac = Mac([2, 0, 0, 0, 0, 0x99]);

type HandleOf<R> = <<R as Rig>::Platform as Platform>::Handle;

fn interface_unknown<R: Rig>(rig: &mut R) -> Checked {
    use bringup_core::error::ErrorKind::{NotFound, Unsupported};
    use bringup_core::platform::PlatformError;
    match rig.platform().interface("nosuchthing0").map_err(|error| error.kind()) {
        Err(NotFound) => Ok(()),
        Err(Unsupported) => Err(unchecked("the port has no interfaces")),
        Err(kind) => Err(Finding::Failed("it was refused for another reason", kind)),
        Ok(_) => Err(broken("an interface was found that does not exist")),
    }
}

/// The rig's interface, up, with a socket for frames that is being watched.
fn listen<R: Rig>(
    rig: &mut R,
    platform: &mut R::Platform,
    filter: LinkFilter,
) -> Result<(Interface, HandleOf<R>), Finding> {
    let name = rig.wire().ok_or(NO_WIRE)?;
    let interface = ready_interface(rig, platform, name)?;
    let opened = platform.link_open(interface.index, filter);
    let handle = opened.map_err(failed("a socket for frames was not opened"))?;
    let added = platform.poller().add(handle, TOKEN, Interest::READ);
    added.map_err(failed("a socket for frames cannot be watched"))?;
    Ok((interface, handle))
}

/// Waits for the next frame.
fn next<R: Rig>(
    rig: &R,
    platform: &mut R::Platform,
    handle: HandleOf<R>,
    buffer: &mut [u8],
) -> Result<ReceivedFrame, Finding> {
    let deadline = late(rig, platform);
    loop {
        let received = platform.link_receive(handle, buffer);
        if let Some(frame) = received.map_err(failed("receiving a frame failed"))? {
            return Ok(frame);
        }
        let ready = wait_for(platform, TOKEN, deadline)?;
        ensure(ready.is_some(), "a frame did not arrive, or was not reported")?;
    }
}

/// An ARP request of nobody for nothing, told apart by its last byte; as long as a frame's payload
/// has to be.
fn arp(mark: u8) -> [u8; 46] {
    let mut payload = [0; 46];
    let start = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1];
    for (to, from) in payload.iter_mut().zip(start) {
        *to = from;
    }
    if let Some(last) = payload.last_mut() {
        *last = mark;
    }
    payload
}

fn sends<R: Rig>(rig: &mut R) -> Checked {
    let mut platform = rig.platform();
    let (_, handle) = listen(rig, &mut platform, LinkFilter::Arp)?;
    let payload = arp(7);
    let sent = platform.link_send(handle, Mac::BROADCAST, ARP, &payload);
    sent.map_err(failed("a frame was not sent"))?;
    let deadline = late(rig, &mut platform);
    let mut buffer = [0; 128];
    loop {
        if let Some((length, ethertype)) = rig.far_receive(&mut platform, &mut buffer) {
            if ethertype == ARP {
                let same = buffer.get(..length.min(payload.len())) == Some(&payload);
                ensure(same, "a frame reached the far end with other bytes")?;
                break;
            }
            continue;
        }
        let now = platform.now();
        ensure(now < deadline, "a frame did not reach the far end")?;
        let soon = now + Duration::from_millis(1);
        wait_for(&mut platform, TOKEN, soon)?;
    }
    let own = platform.link_receive(handle, &mut buffer);
    ensure(own.map_err(failed("receiving a frame failed"))?.is_none(), "it heard itself")
}

fn receives<R: Rig>(rig: &mut R) -> Checked {
    let mut platform = rig.platform();
    let (interface, handle) = listen(rig, &mut platform, LinkFilter::Arp)?;
    let mut buffer = [0; 128];
    for (mark, to) in [(1, Mac::BROADCAST), (2, interface.mac), (3, STRANGER), (4, Mac::BROADCAST)]
    {
        let payload = arp(mark);
        let from = rig.far_send(&mut platform, to, ARP, &payload).ok_or(NO_FAR_END)?;
        if to == STRANGER {
            // The next one shows that it was left out.
            continue;
        }
        let before = platform.now();
        let frame = next(rig, &mut platform, handle, &mut buffer)?;
        let seen = buffer.get(..frame.length.min(payload.len()));
        ensure(seen != Some(&arp(3)), "it hears what is for another station")?;
        ensure(seen == Some(&payload), "a frame arrived with other bytes")?;
        ensure(frame.from == from, "it does not say who sent it")?;
        ensure(frame.ethertype == ARP, "its EtherType is another")?;
        ensure(frame.at <= platform.now(), "it arrived in the future")?;
        let second = Duration::from_secs(1);
        ensure(frame.at + second >= before, "it arrived long before it was sent")?;
    }
    Ok(())
}

/// A packet for the filter to judge.
struct Packet {
    /// The UDP port that it is for.
    port: u16,
    /// How many words of options the IP header has.
    options: u8,
    /// Flags and fragment offset.
    fragment: u16,
    protocol: u8,
    passes: bool,
}

impl Packet {
    /// Its bytes, without checksums, and how many they are.
    fn bytes(&self) -> ([u8; 80], usize) {
        let header = 20 + 4 * usize::from(self.options);
        let length = header + 8;
        let mut bytes = [0; 80];
        let [high, low] = self.fragment.to_be_bytes();
        let total = u8::try_from(length).unwrap_or(u8::MAX);
        let version = 0x45 + self.options;
        let fixed = [version, 0, 0, total, 0, 0, high, low, 64, self.protocol, 0, 0];
        let addresses = [192, 0, 2, 9, 255, 255, 255, 255];
        // Options that do nothing.
        let fields = fixed.into_iter().chain(addresses).chain([1; 40]);
        for (to, from) in bytes.iter_mut().zip(fields).take(header) {
            *to = from;
        }
        let [high, low] = self.port.to_be_bytes();
        let udp = [0, 67, high, low, 0, 8, 0, 0];
        for (to, from) in bytes.iter_mut().skip(header).zip(udp) {
            *to = from;
        }
        (bytes, length)
    }
}

const PLAIN: Packet = Packet { port: 68, options: 0, fragment: 0, protocol: 17, passes: true };

/// What follows each packet, so that one that was left out is noticed without waiting.
const SENTINEL: Packet = Packet { options: 9, ..PLAIN };

const JUDGED: [Packet; 8] = [
    PLAIN,
    Packet { options: 3, ..PLAIN },
    Packet { options: 10, ..PLAIN },
    // The first fragment has the ports.
    Packet { fragment: 0x2000, ..PLAIN },
    Packet { fragment: 1, passes: false, ..PLAIN },
    Packet { port: 67, passes: false, ..PLAIN },
    // Here the port would be right if the header had no options.
    Packet { port: 68 << 8, passes: false, ..PLAIN },
    Packet { protocol: 6, passes: false, ..PLAIN },
];

fn filters<R: Rig>(rig: &mut R) -> Checked {
    let mut platform = rig.platform();
    let (_, handle) = listen(rig, &mut platform, LinkFilter::DhcpClient)?;
    let mut buffer = [0; 128];
    let send = |rig: &mut R, platform: &mut R::Platform, packet: &Packet| {
        let (bytes, length) = packet.bytes();
        let bytes = bytes.get(..length).unwrap_or(&[]);
        rig.far_send(platform, Mac::BROADCAST, IPV4, bytes).map(drop).ok_or(NO_FAR_END)
    };
    let same = |heard: &[u8], packet: &Packet| {
        let (bytes, length) = packet.bytes();
        heard.get(..length) == bytes.get(..length)
    };
    for packet in &JUDGED {
        send(rig, &mut platform, packet)?;
        send(rig, &mut platform, &SENTINEL)?;
        next(rig, &mut platform, handle, &mut buffer)?;
        let passed = same(&buffer, packet);
        ensure(passed || same(&buffer, &SENTINEL), "something else was heard")?;
        ensure(passed || !packet.passes, "a packet for the client was left out")?;
        ensure(!passed || packet.passes, "a packet passed that is not for the client")?;
        if passed {
            next(rig, &mut platform, handle, &mut buffer)?;
        }
    }
    Ok(())
}
