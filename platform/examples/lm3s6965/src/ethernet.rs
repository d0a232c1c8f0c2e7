//! [`Ethernet`]: the Ethernet controller as smoltcp's device, and the frames that DHCP wants for itself.
//!
//! A frame lies in one buffer until whoever it is for has read it; meanwhile the controller keeps those that
//! come after it, up to 31.

use bringup_core::client::{LinkFilter, Mac};
use bringup_core::time::Instant;
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant as StackInstant;

use crate::machine;

/// The Ethernet header.
const HEADER: usize = 14;
/// The longest frame, without its checksum.
const FRAME_MAX: usize = 1514;
/// What a frame carries at most.
pub(crate) const MTU: usize = FRAME_MAX - HEADER;

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;

/// How many sockets for frames there are.
pub(crate) const LINKS: usize = 2;

/// Memory for one frame in each direction.
pub(crate) struct Frames {
    received: [u8; FRAME_MAX],
    sent: [u8; FRAME_MAX],
}

impl Frames {
    pub(crate) const fn new() -> Self {
        Self { received: [0; FRAME_MAX], sent: [0; FRAME_MAX] }
    }
}

/// A frame that waits for a socket.
#[derive(Clone, Copy)]
struct Held {
    link: usize,
    length: usize,
    at: Instant,
}

/// The controller.
pub(crate) struct Ethernet<'m> {
    frames: &'m mut Frames,
    pub(crate) address: Mac,
    links: [Option<LinkFilter>; LINKS],
    held: Option<Held>,
}

/// The bytes from a place on, as an array.
fn take<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn ethertype(frame: &[u8]) -> u16 {
    take(frame, 12).map_or(0, u16::from_be_bytes)
}

/// IPv4, UDP, whole or the first fragment, to port 68 behind the header's real length.
fn is_for_a_dhcp_client(payload: &[u8]) -> bool {
    let is_udp = payload.get(9) == Some(&17);
    let is_first = take(payload, 6).is_some_and(|word| u16::from_be_bytes(word) & 0x1FFF == 0);
    let header = payload.first().map_or(0, |first| usize::from(first & 0xF) * 4);
    is_udp && is_first && take(payload, header + 2).map(u16::from_be_bytes) == Some(68)
}

impl<'m> Ethernet<'m> {
    pub(crate) fn new(frames: &'m mut Frames) -> Self {
        Self { frames, address: Mac(machine::link_address()), links: [None; LINKS], held: None }
    }

    /// Opens a socket for frames; `None` if all are taken.
    pub(crate) fn open(&mut self, filter: LinkFilter) -> Option<usize> {
        let link = self.links.iter().position(Option::is_none)?;
        *self.links.get_mut(link)? = Some(filter);
        Some(link)
    }

    pub(crate) fn close(&mut self, link: usize) {
        if let Some(slot) = self.links.get_mut(link) {
            *slot = None;
        }
        self.held = self.held.filter(|held| held.link != link);
    }

    pub(crate) fn is_open(&self, link: usize) -> bool {
        matches!(self.links.get(link), Some(Some(_)))
    }

    /// Whether a frame waits for this socket.
    pub(crate) fn is_readable(&self, link: usize) -> bool {
        self.held.is_some_and(|held| held.link == link)
    }

    /// Takes the frame that waits for this socket: its sender, EtherType, payload, and time of arrival.
    pub(crate) fn receive_on(&mut self, link: usize) -> Option<(Mac, u16, &[u8], Instant)> {
        let held = self.held.take_if(|held| held.link == link)?;
        let frame = self.frames.received.get(..held.length)?;
        Some((Mac(take(frame, 6)?), ethertype(frame), frame.get(HEADER..)?, held.at))
    }

    /// Sends a frame at once; whether it was short enough.
    pub(crate) fn send(&mut self, to: Mac, ethertype: u16, payload: &[u8]) -> bool {
        let header = [&to.0[..], &self.address.0, &ethertype.to_be_bytes()];
        let Some(frame) = self.frames.sent.get_mut(..HEADER + payload.len()) else { return false };
        let octets = header.into_iter().flatten().chain(payload);
        frame.iter_mut().zip(octets).for_each(|(place, octet)| *place = *octet);
        machine::send_frame(frame);
        true
    }

    /// Reads the next frame that is for this station; its length.
    fn read(&mut self) -> Option<usize> {
        while machine::frames() > 0 {
            let length = machine::read_frame(&mut self.frames.received);
            let frame = self.frames.received.get(..length)?;
            let to = take(frame, 0).map(Mac);
            if to == Some(self.address) || to == Some(Mac::BROADCAST) {
                return Some(length);
            }
        }
        None
    }

    /// The socket that wants a frame.
    fn wanted(&self, length: usize) -> Option<usize> {
        let frame = self.frames.received.get(..length)?;
        let payload = frame.get(HEADER..)?;
        self.links.iter().position(|filter| match filter {
            Some(LinkFilter::DhcpClient) => {
                ethertype(frame) == IPV4 && is_for_a_dhcp_client(payload)
            }
            Some(LinkFilter::Arp) => ethertype(frame) == ARP,
            None => false,
        })
    }
}

impl Device for Ethernet<'_> {
    type RxToken<'a>
        = Read<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Write<'a>
    where
        Self: 'a;

    /// The next frame. None while one waits for a socket; it stops the controller's queue, not the stack's.
    fn receive(&mut self, _: StackInstant) -> Option<(Read<'_>, Write<'_>)> {
        if self.held.is_some() {
            return None;
        }
        let length = self.read()?;
        if let Some(link) = self.wanted(length) {
            self.held = Some(Held { link, length, at: machine::now() });
        }
        // The stack looks at it as well: ARP is answered, and who listens on port 68 hears of it.
        let Frames { received, sent } = &mut *self.frames;
        Some((Read(received.get(..length)?), Write(sent)))
    }

    fn transmit(&mut self, _: StackInstant) -> Option<Write<'_>> {
        Some(Write(&mut self.frames.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME_MAX;
        capabilities
    }
}

/// A frame that was received.
pub(crate) struct Read<'a>(&'a [u8]);

impl RxToken for Read<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// A frame that is to be sent.
pub(crate) struct Write<'a>(&'a mut [u8; FRAME_MAX]);

impl TxToken for Write<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let (frame, _) = self.0.split_at_mut(length.min(FRAME_MAX));
        let result = f(frame);
        machine::send_frame(frame);
        result
    }
}
