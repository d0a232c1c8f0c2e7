//! [`dhcp_frame`]: what follows the Ethernet header, as it came: first through the frame check alone,
//! then, made to fit, through a client that waits for it.

use core::net::{Ipv4Addr, SocketAddrV4};

use bringup_core::client::{Checksum, Client, Input, Mac};
use bringup_core::time::Duration;
use bringup_dhcp::client::LINK;
use bringup_dhcp::lease::STORAGE_LEN;
use bringup_dhcp::{Config, frame};

use super::world::{MAC, World};
use crate::data::Data;

/// RFC 1071 §4.1 as it is printed: 16 bits at a time, the carry folded in at once.
fn sum(parts: &[&[u8]]) -> u16 {
    let octets = parts.concat();
    octets.chunks(2).fold(0, |sum: u16, pair| {
        let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        let (sum, carry) = sum.overflowing_add(word);
        sum + u16::from(carry)
    })
}

/// The UDP payload of a packet and its ends, if everything about it is right (RFC 791, RFC 768).
fn payload(p: &[u8], checked: bool) -> Option<(SocketAddrV4, SocketAddrV4, &[u8])> {
    let word = |at: usize| Some(u16::from_be_bytes([*p.get(at)?, *p.get(at + 1)?]));
    let ihl = usize::from(p.first()? & 15) * 4;
    let total = usize::from(word(2)?);
    let whole =
        p.first()? >> 4 == 4 && ihl >= 20 && p.len() >= 20 && total <= p.len() && ihl <= total;
    if !whole || sum(&[&p[..ihl]]) != 0xFFFF || word(6)? & 0x3FFF != 0 || p[9] != 17 {
        return None;
    }
    let udp = &p[ihl..total];
    let [s0, s1, d0, d1, l0, l1, c0, c1, ..] = *udp else { return None };
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    if [d0, d1] != [0, 68] || length < 8 || length > udp.len() {
        return None;
    }
    let pseudo = [&p[12..20], &[0, 17, l0, l1]].concat();
    if checked && [c0, c1] != [0, 0] && sum(&[&pseudo, &udp[..length]]) != 0xFFFF {
        return None;
    }
    let address = |at: usize| Ipv4Addr::new(p[at], p[at + 1], p[at + 2], p[at + 3]);
    let source = SocketAddrV4::new(address(12), u16::from_be_bytes([s0, s1]));
    Some((source, SocketAddrV4::new(address(16), 68), &udp[8..length]))
}

/// Writes the checksums that the headers of `p` ask for, as far as there are such headers.
fn mend(p: &mut [u8]) {
    let ihl = usize::from(p[0] & 15) * 4;
    if ihl < 20 || p.len() < ihl + 8 {
        return;
    }
    p[10..12].fill(0);
    let header = !sum(&[&p[..ihl]]);
    p[10..12].copy_from_slice(&header.to_be_bytes());
    let length = usize::from(u16::from_be_bytes([p[ihl + 4], p[ihl + 5]]));
    if length < 8 || ihl + length > p.len() {
        return;
    }
    p[ihl + 6..ihl + 8].fill(0);
    let pseudo = [&p[12..20], &[0, 17], &p[ihl + 4..ihl + 6]].concat();
    let udp = !sum(&[&pseudo, &p[ihl..ihl + length]]);
    p[ihl + 6..ihl + 8].copy_from_slice(&udp.to_be_bytes());
}

/// A frame is taken exactly if a second reading takes it, with the same payload; and a client that is
/// fed with frames, made to answer its own messages, keeps every promise.
pub fn dhcp_frame(bytes: &[u8]) {
    let mut data = Data::new(bytes);
    let choices = data.u8();
    let checksum = if choices & 1 == 0 { Checksum::Complete } else { Checksum::NotReady };
    let mut storage = vec![0; STORAGE_LEN];
    let config = Config { rapid_commit: choices & 8 != 0, ..Config::new(MAC) };
    let mut w = World::new(config, &mut storage, 1);
    w.call(&mut Data::new(&[]), |client, cx| client.start(cx));
    // The same frames again and again, each time to a client that has come further.
    let rest = data.rest();
    let cut = rest.len() / 2;
    let frames = if choices & 2 == 0 { vec![rest] } else { vec![&rest[..cut], &rest[cut..]] };
    for round in 0..4 {
        for frame in &frames {
            let mut frame = frame.to_vec();
            if choices & 4 == 0 && frame.len() >= 28 + 44 {
                patch(&w, &mut frame, choices);
            }
            check(&frame, checksum);
            let input = Input::Frame {
                socket: LINK,
                from: Mac([2, 0, 0, 0, 0, 1]),
                ethertype: 0x0800,
                payload: &frame,
                checksum,
                received_at: w.now,
            };
            let _ = w.deliver(input, &mut Data::new(&[]));
        }
        if let Some(at) = w.client.poll_timeout().filter(|_| round < 3) {
            let wait = at.since(w.now).as_micros().min(1 << 42);
            w.pass(Duration::from_micros(wait), &mut Data::new(&[]));
        }
    }
}

/// Makes a frame an answer to the client's last message, and its checksums right.
fn patch(w: &World<'_>, frame: &mut [u8], choices: u8) {
    let Some(sent) = w.sent else { return };
    let at = usize::from(frame[0] & 15) * 4 + 8;
    if let Some(message) = frame.get_mut(at..).filter(|m| m.len() >= 44) {
        message[..3].copy_from_slice(&[2, 1, 6]);
        message[4..8].copy_from_slice(&sent.header.xid.to_be_bytes());
        message[28..44].copy_from_slice(&sent.header.chaddr);
        if let Some(cookie) = message.get_mut(236..240) {
            cookie.copy_from_slice(&[99, 130, 83, 99]);
        }
        // The type that is waited for, if the frame has option 53 first.
        let kind = if w.client.state() == bringup_dhcp::StateName::Selecting { 2 } else { 5 };
        if choices & 16 == 0 && message.get(240..242) == Some(&[53, 1]) {
            if let Some(octet) = message.get_mut(242) {
                *octet = kind;
            }
        }
    }
    mend(frame);
    // RFC 768: none at all.
    let sum = usize::from(frame[0] & 15) * 4 + 6;
    if let Some(sum) = frame.get_mut(sum..sum + 2).filter(|_| choices & 32 != 0) {
        sum.fill(0);
    }
}

fn check(frame: &[u8], checksum: Checksum) {
    let parsed = frame::parse(frame, 68, checksum);
    let expected = payload(frame, checksum == Checksum::Complete);
    let read = parsed.as_ref().ok().map(|d| (d.source, d.destination, d.bytes));
    assert_eq!(read, expected, "{:?}", parsed.err());
}
