//! [`dhcp_snapshot`]: what a store gives back, as it is, and mended so that it goes deep.

use core::net::Ipv4Addr;

use bringup_core::client::{Checksum, Client, Input};
use bringup_core::time::Duration;
use bringup_dhcp::arp::{Arp, ETHERTYPE_ARP, Operation};
use bringup_dhcp::client::ARP;
use bringup_dhcp::lease::STORAGE_LEN;
use bringup_dhcp::{Config, Snapshot, SnapshotError, StateName};

use super::world::{MAC, World};
use crate::data::Data;

/// Where things stand: magic, version, flags, MAC, identity, address, server, router and its MAC, four
/// times, the length of the options, the options, CRC-32.
const IDENTITY: usize = 12;
const ADDRESS: usize = 16;
const ROUTER: usize = 24;
const TIMES: usize = 34;
const LENGTH: usize = 66;
const OPTIONS: usize = 68;

/// CRC-32 of IEEE 802.3 by its definition: the remainder of a division, most significant bit first,
/// of bits that are taken least significant first.
fn crc32(bytes: &[u8]) -> u32 {
    let mut remainder = !0_u32;
    for bit in bytes.iter().flat_map(|byte| (0..8).map(move |n| u32::from(byte >> n & 1))) {
        let carry = remainder >> 31 ^ bit;
        remainder = (remainder << 1) ^ (carry * 0x04C1_1DB7);
    }
    !remainder.reverse_bits()
}

/// Makes of any bytes a snapshot of our interface whose form is right.
fn mend(bytes: &[u8]) -> Vec<u8> {
    let mut whole = bytes.to_vec();
    whole.resize(whole.len().clamp(OPTIONS, OPTIONS + STORAGE_LEN / 2), 0);
    whole[..5].copy_from_slice(b"BUDL\x01");
    whole[6..IDENTITY].copy_from_slice(&MAC.0);
    // The identifier of option 61: 01 and the MAC. It is in one piece, so that only the first sum counts.
    let identity = crc32(&[&[1][..], &MAC.0].concat()).rotate_left(1);
    whole[IDENTITY..ADDRESS].copy_from_slice(&identity.to_be_bytes());
    let length = u16::try_from(whole.len() - OPTIONS).expect("clamped");
    whole[LENGTH..OPTIONS].copy_from_slice(&length.to_be_bytes());
    let sum = crc32(&whole);
    whole.extend(sum.to_be_bytes());
    whole
}

fn address(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
}

/// Whether what stands before the options makes sense.
fn makes_sense(bytes: &[u8]) -> bool {
    let host = |at| !matches!(address(bytes, at).octets()[0], 0 | 127 | 224..);
    let time = |n: usize| {
        let at = TIMES + n * 8;
        i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight octets"))
    };
    let ordered = time(0) <= time(3) && time(1) <= time(2) && time(2) <= time(3);
    host(ADDRESS) && host(ADDRESS + 4) && (bytes[5] & 1 == 0 || ordered)
}

/// What was not written by this program is refused; what could have been leads to a lease that keeps
/// every promise of one, and that can be written again.
pub fn dhcp_snapshot(bytes: &[u8]) {
    let mut data = Data::new(bytes);
    let choices = data.u8();
    let raw = data.rest();
    let _ = Snapshot::decode(raw);
    let whole = mend(raw);
    let decoded = Snapshot::decode(&whole);
    if !makes_sense(&whole) {
        assert_eq!(decoded.err(), Some(SnapshotError::Content));
        return;
    }
    if raw.len() <= OPTIONS {
        assert!(decoded.is_ok(), "no option can be wrong");
    }
    let Ok(snapshot) = decoded else {
        assert_eq!(decoded.err(), Some(SnapshotError::Content));
        return;
    };
    let mut harmed = whole.clone();
    let at = usize::from(choices) * 7 % harmed.len();
    harmed[at] ^= 1 << (choices & 7);
    assert!(Snapshot::decode(&harmed).is_err() && Snapshot::decode(&whole[..at]).is_err());

    let mut storage = vec![0; STORAGE_LEN];
    let mut w = World::with_neighbours(Config::new(MAC), &mut storage, choices);
    let nothing = &mut Data::new(&[]);
    assert!(w.restore(&whole, nothing), "of our interface");
    if snapshot.router.is_none() || w.client.state() != StateName::Rebooting {
        return;
    }
    // The router of that time is there: that is enough for an address whose lease is not over.
    let router = address(&whole, ROUTER);
    let sender_mac = snapshot.router.expect("there").mac;
    let question = Arp::request(sender_mac, router, snapshot.address);
    let answer = Arp { operation: Operation::Reply, target_mac: MAC, ..question };
    let mut buffer = [0; 28];
    let payload = &*answer.write(&mut buffer).expect("it fits");
    let input = Input::Frame {
        socket: ARP,
        from: sender_mac,
        ethertype: ETHERTYPE_ARP,
        payload,
        checksum: Checksum::Complete,
        received_at: w.now,
    };
    let _ = w.deliver(input, nothing);
    if let Some(lease) = w.client.lease() {
        assert_eq!(lease.address(), snapshot.address);
        let written = |o: bringup_dhcp::options::DhcpOption<'_>| (o.code, o.value.0.to_vec());
        assert!(lease.options().map(written).eq(snapshot.options().map(written)));
        w.save();
        let again = w.saved.clone().expect("there is a lease");
        let again = Snapshot::decode(&again).expect("what is written is well formed");
        assert_eq!((again.address, again.router), (snapshot.address, snapshot.router));
        assert!(again.options().map(written).eq(snapshot.options().map(written)));
    }
    for _ in 0..3 {
        let Some(at) = w.client.poll_timeout() else { break };
        let wait = at.since(w.now).as_micros().min(1 << 42);
        w.pass(Duration::from_micros(wait), nothing);
    }
}
