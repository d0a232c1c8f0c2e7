//! From a datagram to a [`Measurement`], or to the name of the first rule that it breaks.
//!
//! There are two stages, and between them lies the nonce. [`matches()`] (A1 to A5) decides whether the
//! datagram answers a request at all: what fails there came from anybody, and nothing may change.
//! [`judge`] (A7, A6, A8 to A14) decides what the answer is worth; by then the nonce is used up.
//!
//! No wall clock takes part: both ends of the exchange are read from [`Instant`], so that a step of
//! the clock in between cannot enter the delay.

use core::net::SocketAddr;

use bringup_core::time::{Instant, Utc};
use bringup_core::wire::Reader;

use crate::discard::Discard;
use crate::extension::{Authentication, Trailer};
use crate::packet::{KissCode, Leap, Mode, Packet, VERSION};
use crate::timestamp::precision_nanos;

/// What is assumed of this machine's oscillator, parts per million (PHI, RFC 5905 §7.2).
pub const DRIFT_PPM: u64 = 15;
/// Resolution of [`Instant`], in nanoseconds: the precision of this side.
pub const LOCAL_PRECISION_NS: u64 = 1_000;
/// A9: bound of root delay / 2 + root dispersion, nanoseconds (MAXDISP, RFC 5905 §7.2).
const MAX_ROOT_NS: u64 = 16_000_000_000;
/// A10: bound of the time that a server may take, units of 2^-32 s (chrony's 4 s).
const MAX_PROCESSING: u64 = 4 << 32;
/// A11: one part in so many that the two clocks may differ by within an exchange: 500 ppm.
const SKEW_DIVISOR: u64 = 2_000;
/// A12: the longest delay, nanoseconds.
const MAX_DELAY_NS: i64 = 3_000_000_000;
/// A10 and A12: no exchange takes longer than the longest delay and a slow server, microseconds.
const MAX_ELAPSED_US: u64 = 7_000_000;
/// A13: how far after the floor a time may be, seconds. What lies further, modulo 2^32, lies before
/// the floor.
const HORIZON_S: u32 = 1 << 31;
/// The least delay that a root distance counts with, nanoseconds (MINDISP, RFC 5905 §7.2).
const MIN_DISPERSION_NS: u64 = 5_000_000;

/// A request that waits for its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Where it went.
    pub server: SocketAddr,
    /// What its transmit field held.
    pub nonce: u64,
    /// When it left.
    pub sent_at: Instant,
}

/// What one exchange tells about the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// UTC at [`Instant::ZERO`], nanoseconds since 1970: what makes a UTC of an instant. It may lie
    /// decades before 1970 and wraps.
    pub offset_ns: i64,
    /// δ, nanoseconds, at least [`LOCAL_PRECISION_NS`]; at most 3 s.
    pub delay_ns: u32,
    /// When the request left.
    pub sent_at: Instant,
    /// What the server says of itself.
    pub server: ServerFacts,
}

/// What a server says of itself in each reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// Half its root delay and its root dispersion, nanoseconds, below 16 s (A9).
    pub root_ns: u64,
    /// Its root delay, nanoseconds.
    pub root_delay_ns: u64,
    /// Its stratum, `1..=15`.
    pub stratum: u8,
    /// Its precision, log2 seconds, any octet.
    pub precision: i8,
    /// Its poll field, log2 seconds, any octet.
    pub poll: i8,
    /// Its leap warning.
    pub leap: Leap,
    /// Its reference identifier.
    pub reference_id: [u8; 4],
}

impl ServerFacts {
    /// Those of a server that has not answered yet.
    pub(crate) const NONE: Self = Self {
        root_ns: 0,
        root_delay_ns: 0,
        stratum: 0,
        precision: 0,
        poll: 0,
        leap: Leap::None,
        reference_id: [0; 4],
    };

    /// λ without jitter, nanoseconds: half the way there and on to the reference clock, what the
    /// server grants as its error, both precisions, and the drift since the request left, which
    /// covers the dispersion of the exchange as well as the age. RFC 5905 §9.2, §10, A.5.5.2.
    pub fn distance_ns(&self, delay_ns: u32, age_us: u64) -> u64 {
        let way = (self.root_delay_ns + u64::from(delay_ns)).max(MIN_DISPERSION_NS);
        let dispersion = self.root_ns - self.root_delay_ns / 2;
        (way / 2 + dispersion + precision_nanos(self.precision) + LOCAL_PRECISION_NS)
            .saturating_add(drift_ns(age_us))
    }
}

/// By how much the clock may have drifted within `age_us` microseconds, nanoseconds, rounded up.
pub const fn drift_ns(age_us: u64) -> u64 {
    // Instants can be as far apart as 584,000 years.
    age_us.saturating_mul(DRIFT_PPM).div_ceil(1_000)
}

/// Nanoseconds of an instant, wrapping after 584 years; only ever added to or taken from an offset.
pub(crate) const fn instant_ns(at: Instant) -> i64 {
    at.as_micros().wrapping_mul(1_000) as i64
}

/// A1 to A5: whether a datagram answers this request. The packet and what follows it, if so.
#[inline]
pub fn matches<'a>(
    pending: &Pending,
    from: SocketAddr,
    bytes: &'a [u8],
) -> Result<(Packet, &'a [u8]), Discard> {
    if !is_source(from, &pending.server) {
        return Err(Discard::WrongSource); // A1
    }
    // A2, by the length that was received, not by that of a buffer (timesyncd took 44 octets).
    let mut r = Reader::new(bytes);
    let packet = Packet::read(&mut r).map_err(|_| Discard::TooShort)?;
    if packet.mode != Mode::Server {
        return Err(Discard::WrongMode); // A3
    }
    if packet.version != VERSION && packet.version != 3 {
        return Err(Discard::WrongVersion); // A4
    }
    if packet.origin.to_bits() != pending.nonce {
        return Err(Discard::WrongOrigin); // A5, TEST2
    }
    Ok((packet, r.rest()))
}

/// A1. The flow label and the scope of an IPv6 address are the local host's business.
#[inline]
fn is_source(from: SocketAddr, server: &SocketAddr) -> bool {
    match (from, server) {
        (SocketAddr::V4(from), SocketAddr::V4(server)) => from == *server,
        (SocketAddr::V6(from), SocketAddr::V6(server)) => {
            from.ip() == server.ip() && from.port() == server.port()
        }
        _ => false,
    }
}

/// A7, A6, A8 to A14: what an answer is worth. `floor` is a time that is known to have passed.
#[inline]
pub fn judge(
    packet: &Packet,
    trailer: &[u8],
    sent_at: Instant,
    received_at: Instant,
    floor: Utc,
) -> Result<Measurement, Discard> {
    // A7 comes before A6: the timestamps of a kiss are undefined (RFC 5905 §7.4).
    if let Some(code) = packet.kiss_code() {
        return Err(match code {
            KissCode::Deny => Discard::KissDeny,
            KissCode::Restrict => Discard::KissRestrict,
            KissCode::Rate => Discard::KissRate,
            KissCode::Experimental => Discard::KissExperimental,
            KissCode::Other => Discard::KissOther,
        });
    }
    // A6, TEST3, on the bits of the wire: after the era is known nothing is zero any more.
    if packet.receive.is_unknown() {
        return Err(Discard::ZeroReceive);
    }
    if packet.transmit.is_unknown() {
        return Err(Discard::ZeroTransmit);
    }
    // A8, TEST6. Leap indicators 1 and 2 announce a second and are no ground to reject (C7).
    // A stratum of 0 that is no kiss is "unspecified" (RFC 5905 Figure 11).
    if packet.leap == Leap::Unsynchronised || packet.stratum == 0 {
        return Err(Discard::Unsynchronised);
    }
    if packet.stratum > 15 {
        return Err(Discard::BadStratum);
    }
    // A9, TEST7, in seconds. Its other half, reference time > transmit time, is left out: it
    // rejects good servers where an era begins.
    let root_delay_ns = packet.root_delay.as_nanos();
    let root_ns = root_delay_ns / 2 + packet.root_dispersion.as_nanos();
    if root_ns >= MAX_ROOT_NS {
        return Err(Discard::RootDistance);
    }
    let (raw_delay_ns, delay_ns) = delay(packet, sent_at, received_at)?;
    let utc = time_at_receipt(packet, raw_delay_ns, floor)?;
    if !trailer.is_empty() {
        judge_trailer(trailer)?;
    }
    Ok(Measurement {
        offset_ns: utc.as_unix_nanos().wrapping_sub(instant_ns(received_at)),
        delay_ns,
        sent_at,
        server: ServerFacts {
            root_ns,
            root_delay_ns,
            stratum: packet.stratum,
            precision: packet.precision,
            poll: packet.poll,
            leap: packet.leap,
            reference_id: packet.reference_id,
        },
    })
}

/// A14, TEST5: this client asks without a key, so there is nothing to authenticate.
#[cold]
fn judge_trailer(trailer: &[u8]) -> Result<(), Discard> {
    match Trailer::parse(trailer).map(|t| t.authentication()) {
        Ok(Authentication::CryptoNak) => Err(Discard::CryptoNak),
        Ok(Authentication::None | Authentication::Mac { .. }) => Ok(()),
        Err(_) => Err(Discard::BadExtension),
    }
}

/// A10 to A12: the delay in nanoseconds, as it comes out and clamped.
#[inline]
fn delay(packet: &Packet, sent_at: Instant, received_at: Instant) -> Result<(i64, u32), Discard> {
    // A10.
    let Ok(processing) = u64::try_from(packet.transmit.since(packet.receive).as_units()) else {
        return Err(Discard::NegativeProcessing);
    };
    if processing >= MAX_PROCESSING {
        return Err(Discard::SlowProcessing);
    }
    // It is below 2^34, and the product below 2^64.
    let processing_ns = signed((processing * 1_000_000_000) >> 32);
    // M5: T1 and T4 by the monotonic clock.
    let elapsed_us = received_at.since(sent_at).as_micros();
    if elapsed_us > MAX_ELAPSED_US {
        return Err(Discard::LongDelay); // A12, whatever the server took; below it nothing overflows.
    }
    let elapsed_ns = elapsed_us * 1_000;
    let raw_ns = signed(elapsed_ns) - processing_ns;
    // A11: own rule; RFC 5905 §8 only clamps. A server that counts in whole seconds may seem to
    // have taken one second for an exchange of a millisecond.
    if raw_ns < 0 {
        let grain_ns = precision_nanos(packet.precision) + LOCAL_PRECISION_NS;
        if raw_ns < -signed(grain_ns + elapsed_ns / SKEW_DIVISOR) {
            return Err(Discard::NegativeDelay);
        }
    }
    if raw_ns > MAX_DELAY_NS {
        return Err(Discard::LongDelay); // A12
    }
    let clamped = raw_ns.max(signed(LOCAL_PRECISION_NS));
    Ok((raw_ns, u32::try_from(clamped).map_err(|_| Discard::LongDelay)?))
}

/// The same number with a sign; the greatest if it is too great.
#[inline]
pub(crate) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A13 and M3: UTC when the reply arrived; with the delay as it came out, or a coarse clock would
/// be half a step off.
#[inline]
fn time_at_receipt(packet: &Packet, raw_delay_ns: i64, floor: Utc) -> Result<Utc, Discard> {
    // By distance: once the era is chosen, no time is below the floor, and a server of 1999 reads
    // as 2135.
    let (after_s, sent) = packet.transmit.placed(floor);
    if after_s >= HORIZON_S {
        return Err(Discard::BelowFloor);
    }
    let utc = sent.offset_by(raw_delay_ns >> 1);
    if utc < floor { Err(Discard::BelowFloor) } else { Ok(utc) }
}

#[cfg(test)]
mod tests;
