//! [`dhcp_client`]: the client among servers that say what the input says.

use core::net::{Ipv4Addr, SocketAddr};

use bringup_core::client::{Checksum, Client, Input, Mac};
use bringup_core::time::Duration;
use bringup_dhcp::arp::{Arp, ETHERTYPE_ARP, Operation};
use bringup_dhcp::client::{ARP, LINK, UNICAST};
use bringup_dhcp::code::MessageType;
use bringup_dhcp::lease::STORAGE_LEN;
use bringup_dhcp::message::MessageWriter;
use bringup_dhcp::{BroadcastFlag, Config, ConflictDetection, Discard, Profile, StateName, frame};

use super::world::{MAC, Sent, World};
use crate::data::Data;

/// Sends stay within the bucket, but for one RELEASE; no address is used past its end; the application hears of each lease
/// once when it comes and once when it goes; what answers nothing changes nothing; timers never spin. So
/// it is too among neighbours who claim addresses, and with snapshots that somebody has changed.
pub fn dhcp_client(bytes: &[u8]) {
    let mut data = Data::new(bytes);
    let choices = data.u8();
    let config = Config {
        rapid_commit: choices & 1 == 0,
        profile: if choices & 2 == 0 { Profile::Fast } else { Profile::Standard },
        broadcast_flag: if choices & 4 == 0 {
            BroadcastFlag::AfterSilence
        } else {
            BroadcastFlag::Always
        },
        initial_delay_max: Duration::from_secs(u64::from(choices >> 3 & 3)),
        ..Config::new(MAC)
    };
    let mut storage = vec![0; if choices & 128 == 0 { STORAGE_LEN } else { 64 }];
    let conflict_detection = match choices >> 5 & 3 {
        0 => ConflictDetection::Off,
        1 => ConflictDetection::Short,
        _ => ConflictDetection::Strict,
    };
    let link_local = choices >> 5 & 3 == 3;
    let mut w = if choices >> 5 & 3 == 0 {
        World::new(config, &mut storage, data.u8())
    } else {
        let config = Config { conflict_detection, link_local, ..config };
        World::with_neighbours(config, &mut storage, data.u8())
    };
    w.call(&mut data, |client, cx| client.start(cx));
    let mut steps = 0;
    while !data.is_empty() && steps < 150 {
        steps += 1;
        act(&mut w, &mut data);
    }
}

fn act(w: &mut World<'_>, data: &mut Data<'_>) {
    match data.u8() % 16 {
        0 => w.call(data, |client, cx| client.start(cx)),
        1 => {
            let address = Ipv4Addr::from(data.u32());
            w.call(data, |client, cx| client.start_with(cx, address));
        }
        2 => w.call(data, |client, cx| client.stop(cx)),
        3 => {
            w.call(data, |client, cx| client.release(cx));
            // It waits neither for a token nor for a socket that was refused.
            assert_eq!(w.client.state(), StateName::Stopped);
        }
        4..=6 => {
            let span = Duration::from_micros(data.span_us());
            w.pass(span, data);
        }
        7 => to_deadline(w, data),
        8..=12 => reply(w, data),
        13 | 14 => arp(w, data),
        _ => snapshot(w, data),
    }
}

/// A packet of a neighbour: he has our address, or wants it, or answers what we asked.
fn arp(w: &mut World<'_>, data: &mut Data<'_>) {
    let Some(asked) = w.arp else { return };
    let ours = w.client.lease().map_or(asked.target, |lease| lease.address());
    // Our own packet comes back from some switches.
    let someone = Mac([2, 0, 0, 0, 0, data.u8() % 10]);
    let kind = data.u8() % 8;
    let answer = |sender| Arp {
        operation: Operation::Reply,
        target_mac: MAC,
        ..Arp::request(someone, sender, asked.sender)
    };
    let packet = match kind {
        0 => Arp::request(someone, Ipv4Addr::UNSPECIFIED, ours),
        1 => Arp::request(someone, ours, ours),
        2 => answer(ours),
        3 => Arp::request(someone, Ipv4Addr::from(data.u32()), Ipv4Addr::from(data.u32())),
        _ => answer(asked.target),
    };
    let mut buffer = [0; 60];
    let length = packet.write(&mut buffer).expect("it fits").len();
    // Padded to the shortest frame, or cut, or twisted.
    let twist = data.u8();
    let payload = match twist {
        0..=127 => &mut buffer[..46],
        128..=191 => &mut buffer[..length],
        192..=223 => &mut buffer[..usize::from(twist - 192)],
        _ => {
            buffer[usize::from(twist) % length] ^= data.u8();
            &mut buffer[..length]
        }
    };
    let input = Input::Frame {
        socket: ARP,
        from: someone,
        ethertype: ETHERTYPE_ARP,
        payload,
        checksum: Checksum::Complete,
        received_at: w.now,
    };
    let result = w.deliver(input, data);
    let echo = someone == MAC && kind < 3 && twist < 224;
    assert!(!echo || result.is_err(), "our own packet was taken for somebody else's");
}

/// Takes one, or starts from one, which somebody may have changed.
fn snapshot(w: &mut World<'_>, data: &mut Data<'_>) {
    if data.flag() {
        return w.save();
    }
    let Some(mut bytes) = w.saved.clone() else { return };
    match data.u8() {
        0..=191 => assert!(w.restore(&bytes, data), "it is ours, and whole"),
        192..=223 => {
            bytes.truncate(data.below(bytes.len()));
            assert!(!w.restore(&bytes, data), "cut");
        }
        _ => {
            let at = data.below(bytes.len());
            bytes[at] ^= data.u8().max(1);
            assert!(!w.restore(&bytes, data), "changed");
        }
    }
}

/// Lets pass what is left until the next deadline, or a moment less: where mistakes are.
fn to_deadline(w: &mut World<'_>, data: &mut Data<'_>) {
    let Some(at) = w.client.poll_timeout() else { return };
    let early = Duration::from_micros(u64::from(data.u8() & 1));
    w.pass(at.since(w.now) - early, data);
}

fn server(data: &mut Data<'_>) -> Ipv4Addr {
    match data.u8() {
        255 => Ipv4Addr::UNSPECIFIED,
        n => Ipv4Addr::new(10, 0, 0, 1 + n / 64),
    }
}

/// A reply to the last message, in which anything may be wrong.
fn reply(w: &mut World<'_>, data: &mut Data<'_>) {
    let Some(Sent { header, kind }) = w.sent else { return };
    let kind = match (data.u8() % 8, kind) {
        (0, _) => MessageType::Nak,
        (1, _) => MessageType::Ack,
        (2, _) => MessageType::Offer,
        (_, MessageType::Discover) => MessageType::Offer,
        _ => MessageType::Ack,
    };
    let mut address = Ipv4Addr::new(10, 0, 0, 100);
    let twist = data.u8();
    if twist & 0xF0 == 0xF0 {
        address = Ipv4Addr::from(data.u32());
    }
    let mut header = header.reply(address);
    match twist {
        1 => header.xid ^= data.u32().max(1),
        2 => header.chaddr[data.below(16)] ^= 1,
        3 => header.op = data.u8(),
        4 => header.hlen = data.u8(),
        _ => {}
    }
    let mut buffer = [0; 1_400];
    let payload = frame::payload_area(&mut buffer);
    let mut writer = MessageWriter::new(payload, &header, kind).expect("a header fits");
    let mut options = vec![(54, server(data).octets().to_vec())];
    if kind != MessageType::Nak {
        let lease_time = match data.u8() {
            0 => 0xFFFF_FFFF,
            n @ 1..=63 => u32::from(n),
            n @ 64..=199 => u32::from(n) * 60,
            n => u32::from(n) << 24 | u32::from(data.u16()),
        };
        options.push((51, lease_time.to_be_bytes().to_vec()));
        if data.flag() {
            options.push((58, u32::from(data.u16()).to_be_bytes().to_vec()));
        }
        if data.flag() {
            options.push((59, u32::from(data.u16()).to_be_bytes().to_vec()));
        }
    }
    for _ in 0..data.u8() % 4 {
        // 80, and whatever the application looks at; or any at all.
        const USUAL: [u8; 16] = [80, 1, 3, 6, 12, 15, 26, 28, 33, 42, 61, 119, 121, 249, 52, 43];
        let code = if data.flag() { data.u8() } else { USUAL[data.below(16)] };
        let value = if code == 80 { &[] } else { data.chunk() };
        options.push((code, value.to_vec()));
    }
    if data.rarely() {
        let gone = data.below(options.len());
        options.remove(gone);
    }
    for (code, value) in options {
        let _ = writer.option(code, &value);
    }
    let length = writer.finish().expect("END fits").len();
    let wrong = matches!(twist, 1 | 2) || header.op != 2 || header.hlen != 6;
    let result = deliver(w, data, &mut buffer, length, twist);
    assert!(!wrong || result.is_err(), "a reply to somebody else was taken");
}

/// Hands in the message behind the headers in `buffer`: as a frame, or to the UDP socket.
fn deliver(
    w: &mut World<'_>,
    data: &mut Data<'_>,
    buffer: &mut [u8],
    length: usize,
    twist: u8,
) -> Result<(), Discard> {
    let from = "10.0.0.1:67".parse().expect("an address");
    if twist == 5 {
        let bytes = buffer[frame::HEADER_LEN..frame::HEADER_LEN + length].to_vec();
        let from = SocketAddr::V4(from);
        let input = Input::Datagram { socket: UNICAST, from, bytes: &bytes, received_at: w.now };
        return w.deliver(input, data);
    }
    let to = "255.255.255.255:68".parse().expect("an address");
    let payload = frame::seal(buffer, length, from, to).expect("it fits");
    if twist == 6 {
        let at = data.below(payload.len().min(256));
        payload[at] ^= data.u8();
    }
    let input = Input::Frame {
        socket: LINK,
        from: Mac([2, 0, 0, 0, 0, 1]),
        ethertype: if twist == 7 { 0x86DD } else { 0x0800 },
        payload,
        checksum: if twist & 8 == 0 { Checksum::Complete } else { Checksum::NotReady },
        received_at: w.now,
    };
    w.deliver(input, data)
}
