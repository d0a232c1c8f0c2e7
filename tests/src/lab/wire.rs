//! A wire with faults: a relay between two hosts that loses, delays, reorders, duplicates and
//! corrupts frames.
//!
//! Equal seeds and equal traffic give equal faults: what happens to a frame follows from the seed,
//! the direction and the frame's number in that direction alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::packet::{FRAME_MAX, Metadata, PacketSocket, VNET_HEADER, VNET_NEEDS_CHECKSUM};
use super::program::readable;
use super::{Host, Lab};

/// Frames that are on their way at once; more are lost.
const IN_FLIGHT_MAX: usize = 4096;
/// Bits of a frame before this byte, the Ethernet header, are never flipped.
const ETHERNET_HEADER: usize = 14;

/// What a wire does to frames, in both directions. The default does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Another seed, other faults.
    pub seed: u64,
    /// Of a hundred frames, so many never arrive.
    pub loss_percent: u64,
    /// Of a hundred frames that arrive, so many arrive twice.
    pub duplicate_percent: u64,
    /// Of a hundred copies, so many have one bit flipped.
    pub corrupt_percent: u64,
    /// How long a frame is on its way.
    pub delay: Duration,
    /// By how much that is shorter or longer, evenly spread: frames overtake each other.
    pub jitter: Duration,
}

/// One arrival of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy {
    /// How long after it was sent.
    pub delay: Duration,
    /// Which bit is flipped, modulo their number.
    pub flipped: Option<u64>,
}

impl Faults {
    /// The arrivals of frame `number` in `direction`: none, one or two.
    #[must_use]
    pub fn fate(&self, direction: usize, number: u64) -> Vec<Copy> {
        let mut dice = Dice(self.seed ^ Dice(number << 1 | direction as u64).next());
        if dice.hits(self.loss_percent) {
            return Vec::new();
        }
        let copies = if dice.hits(self.duplicate_percent) { 2 } else { 1 };
        let copy = |_| Copy { delay: self.delay_of(&mut dice), flipped: self.flip(&mut dice) };
        (0..copies).map(copy).collect()
    }

    fn delay_of(&self, dice: &mut Dice) -> Duration {
        let spread_us = u64::try_from(self.jitter.as_micros()).expect("a test's jitter") * 2 + 1;
        (self.delay + Duration::from_micros(dice.next() % spread_us)).saturating_sub(self.jitter)
    }

    fn flip(&self, dice: &mut Dice) -> Option<u64> {
        dice.hits(self.corrupt_percent).then(|| dice.next())
    }
}

/// SplitMix64: small, and every seed is a good one.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn hits(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

/// What a wire has done since its faults were last set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames that came in, by direction.
    pub frames: [u64; 2],
    /// Frames that never arrive.
    pub lost: u64,
    /// Frames that arrive twice.
    pub duplicated: u64,
    /// Arrivals with a flipped bit.
    pub corrupted: u64,
}

#[derive(Debug, Default)]
struct Plan {
    faults: Faults,
    counts: Counts,
}

/// A running relay; dropping it takes the wire out.
#[derive(Debug)]
pub struct Wire {
    plan: Arc<Mutex<Plan>>,
    /// Closing it stops the relay.
    stop: Option<UnixStream>,
    relay: Option<JoinHandle<()>>,
}

impl Wire {
    /// Joins two hosts; their ends get these names. Direction 0 is from `a` to `b`.
    #[must_use]
    pub fn new(lab: &Lab, a: (&Host, &str), b: (&Host, &str), faults: Faults) -> Self {
        let ends = lab.open_ends(a, b);
        let sockets = ends.map(|end| {
            PacketSocket::open(&end, Metadata::Before).expect("the laboratory's own interface")
        });
        let (stop, stopped) = UnixStream::pair().expect("a socket pair");
        let plan = Arc::new(Mutex::new(Plan { faults, ..Plan::default() }));
        let mut relay =
            Relay { plan: plan.clone(), sockets, flying: BinaryHeap::new(), sequence: 0 };
        let relay = thread::spawn(move || relay.run(&stopped));
        Self { plan, stop: Some(stop), relay: Some(relay) }
    }

    /// Other faults from the next frame on, which is number 0 again.
    pub fn set(&self, faults: Faults) {
        *lock(&self.plan) = Plan { faults, ..Plan::default() };
    }

    /// What was done since the faults were last set.
    #[must_use]
    pub fn counts(&self) -> Counts {
        lock(&self.plan).counts
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(relay) = self.relay.take() {
            // The relay's own panic has been printed; a second one here would abort.
            let _ = relay.join();
        }
    }
}

fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A frame on its way, ordered by when it arrives, then by when it was sent.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Flying {
    due: Instant,
    sequence: u64,
    to: usize,
    frame: Vec<u8>,
}

struct Relay {
    plan: Arc<Mutex<Plan>>,
    sockets: [PacketSocket; 2],
    flying: BinaryHeap<Reverse<Flying>>,
    sequence: u64,
}

impl Relay {
    fn run(&mut self, stopped: &UnixStream) {
        let mut buffer = vec![0; FRAME_MAX];
        loop {
            self.deliver();
            let next = self
                .flying
                .peek()
                .map(|Reverse(next)| next.due.saturating_duration_since(Instant::now()));
            let [stop, a, b] = readable(&[stopped, &self.sockets[0], &self.sockets[1]], next);
            if stop {
                return;
            }
            for (from, ready) in [a, b].into_iter().enumerate() {
                if ready {
                    self.take(from, &mut buffer);
                }
            }
        }
    }

    /// Puts one frame from a socket on its way.
    fn take(&mut self, from: usize, buffer: &mut [u8]) {
        let sent = Instant::now();
        let frame = match self.sockets[from].receive(buffer, Duration::ZERO) {
            Ok(received) => &mut buffer[..received.length],
            // The interface went down: what is left is to wait for the test's end.
            Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::NetworkDown) => {
                return;
            }
            Err(why) => panic!("the wire cannot receive: {why}"),
        };
        let mut plan = lock(&self.plan);
        let copies = plan.faults.fate(from, plan.counts.frames[from]);
        plan.counts.frames[from] += 1;
        match copies.len() {
            0 => plan.counts.lost += 1,
            1 => {}
            _ => plan.counts.duplicated += 1,
        }
        for copy in copies {
            let mut frame = frame.to_vec();
            if let Some(bit) = copy.flipped {
                finish_checksum(&mut frame);
                flip(&mut frame, bit);
                plan.counts.corrupted += 1;
            }
            if self.flying.len() == IN_FLIGHT_MAX {
                plan.counts.lost += 1;
                continue;
            }
            self.sequence += 1;
            let flying =
                Flying { due: sent + copy.delay, sequence: self.sequence, to: 1 - from, frame };
            self.flying.push(Reverse(flying));
        }
    }

    /// Sends what is due.
    fn deliver(&mut self) {
        while self.flying.peek().is_some_and(|Reverse(next)| next.due <= Instant::now()) {
            let Some(Reverse(flying)) = self.flying.pop() else { return };
            if let Err(why) = self.sockets[flying.to].send(&flying.frame) {
                assert!(is_a_fate_of_frames(&why), "the wire cannot send: {why}");
            }
        }
    }
}

/// A frame for a link that is down is lost, as on any wire; so is one that a flipped bit made
/// senseless.
fn is_a_fate_of_frames(why: &io::Error) -> bool {
    let raw = why.raw_os_error();
    [libc::ENETDOWN, libc::ENXIO, libc::ENOBUFS, libc::EINVAL]
        .into_iter()
        .any(|known| raw == Some(known))
}

/// Writes the checksum that a network card would have written, so that a flipped bit is found by
/// the receiver.
pub(super) fn finish_checksum(buffer: &mut [u8]) {
    let (header, frame) = buffer.split_at_mut(VNET_HEADER);
    if header[0] & VNET_NEEDS_CHECKSUM == 0 {
        return;
    }
    // struct virtio_net_hdr: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset.
    let start = usize::from(u16::from_ne_bytes([header[6], header[7]]));
    let place = start + usize::from(u16::from_ne_bytes([header[8], header[9]]));
    if place + 2 > frame.len() {
        return;
    }
    let sum = ones_complement(&frame[start..]);
    // RFC 768: a computed zero is sent as all ones.
    let sum = if sum == u16::MAX { sum } else { !sum };
    frame[place..place + 2].copy_from_slice(&sum.to_be_bytes());
    header[0] &= !VNET_NEEDS_CHECKSUM;
}

/// The sum of RFC 1071, not yet inverted.
#[must_use]
pub fn ones_complement(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
    let mut sum: u64 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    u16::try_from(sum).expect("folded above")
}

fn flip(buffer: &mut [u8], bit: u64) {
    let after_ethernet = VNET_HEADER + ETHERNET_HEADER;
    let bits = buffer.len().saturating_sub(after_ethernet) * 8;
    if bits > 0 {
        let bit = usize::try_from(bit % bits as u64).expect("smaller than a frame's bits");
        buffer[after_ethernet + bit / 8] ^= 1 << (bit % 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Faults = Faults {
        seed: 7,
        loss_percent: 30,
        duplicate_percent: 20,
        corrupt_percent: 10,
        delay: Duration::from_millis(5),
        jitter: Duration::from_millis(20),
    };

    fn fates(faults: &Faults, direction: usize) -> Vec<Vec<Copy>> {
        (0..1000).map(|number| faults.fate(direction, number)).collect()
    }

    #[test]
    fn equal_seeds_give_equal_fates_and_others_do_not() {
        assert_eq!(fates(&ALL, 0), fates(&ALL, 0));
        assert_ne!(fates(&ALL, 0), fates(&ALL, 1));
        assert_ne!(fates(&ALL, 0), fates(&Faults { seed: 8, ..ALL }, 0));
    }

    #[test]
    fn a_wire_without_faults_delivers_each_frame_once_and_at_once() {
        let at_once = [Copy { delay: Duration::ZERO, flipped: None }];
        assert!(fates(&Faults::default(), 0).iter().all(|copies| copies == &at_once));
    }

    #[test]
    fn faults_are_as_frequent_as_asked() {
        let fates = fates(&ALL, 0);
        let near = |what: &str, count: usize, of: usize, percent: usize| {
            let expected = of * percent / 100;
            assert!(
                count.abs_diff(expected) * 4 < expected,
                "{what}: {count} of {of}, not about {percent} %"
            );
        };
        let arrived = fates.iter().filter(|copies| !copies.is_empty()).count();
        near("lost", fates.len() - arrived, fates.len(), 30);
        near("twice", fates.iter().filter(|copies| copies.len() == 2).count(), arrived, 20);
        let copies: Vec<Copy> = fates.concat();
        near(
            "corrupt",
            copies.iter().filter(|copy| copy.flipped.is_some()).count(),
            copies.len(),
            10,
        );
        let (least, most) =
            (copies.iter().map(|c| c.delay).min(), copies.iter().map(|c| c.delay).max());
        assert_eq!(least, Some(Duration::ZERO), "5 ms minus up to 20 ms");
        assert!(
            most > Some(Duration::from_millis(24)) && most <= Some(Duration::from_millis(25)),
            "{most:?}"
        );
    }

    #[test]
    fn a_corrupt_frame_has_a_whole_checksum_and_one_wrong_bit() {
        // A header that asks for a checksum over everything after Ethernet, to be written at its
        // bytes 2 and 3.
        let mut frame = vec![0; VNET_HEADER + ETHERNET_HEADER + 9];
        frame[0] = VNET_NEEDS_CHECKSUM;
        frame[6..8].copy_from_slice(&14_u16.to_ne_bytes());
        frame[8..10].copy_from_slice(&2_u16.to_ne_bytes());
        frame[VNET_HEADER + ETHERNET_HEADER + 4..].copy_from_slice(b"bring");
        finish_checksum(&mut frame);
        assert_eq!(frame[0], 0, "nothing is left to do");
        assert_eq!(ones_complement(&frame[VNET_HEADER + ETHERNET_HEADER..]), 0xffff);
        let whole = frame.clone();
        flip(&mut frame, 1_000_003);
        let wrong: u32 = frame.iter().zip(&whole).map(|(a, b)| (a ^ b).count_ones()).sum();
        assert_eq!(wrong, 1);
        assert_eq!(frame[..VNET_HEADER + ETHERNET_HEADER], whole[..VNET_HEADER + ETHERNET_HEADER]);
    }
}
