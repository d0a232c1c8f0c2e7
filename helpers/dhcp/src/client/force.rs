//! FORCERENEW, believed only with the nonce that an ACK brought. RFC 3203, 6704.

use bringup_core::client::Cx;
use bringup_core::wire::{Reader, Truncated};

use super::DhcpClient;
use super::exchange::Exchange;
use super::state::{Renewing, State};
use crate::code::{self, MessageType};
use crate::counters::{Discard, Mismatch, Tally};
use crate::lease::Times;
use crate::md5::{DIGEST_LEN, hmac};
use crate::message::{BOOTREPLY, ETHERNET, Message, chaddr_of};
use crate::options::Value;
use crate::parts::Extra;

/// Protocol, algorithm and replay detection method of RFC 6704 §3.1.2.
const HEAD: [u8; 3] = [3, 1, 0];
/// What the value is: a nonce in an ACK, a digest in a FORCERENEW.
const TYPE_NONCE: u8 = 1;
const TYPE_DIGEST: u8 = 2;
/// Octets before the value: the head, 64 bits of replay detection, the type.
const VALUE_AT: usize = 3 + 8 + 1;

/// A key that the server may make us renew with, and the last count that it used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nonce {
    key: [u8; DIGEST_LEN],
    replay: u64,
    _extra: Extra,
}

/// The replay count and the value of an option 90 of this protocol and type.
fn authentication(option: Value<'_>, kind: u8) -> Option<(u64, [u8; DIGEST_LEN])> {
    let mut r = Reader::new(option.bytes());
    let mut read = || Ok::<_, Truncated>((r.array()?, r.u64()?, r.u8()?, r.array()?, r.is_empty()));
    let (head, replay, found, value, ends) = read().ok()?;
    (head == HEAD && found == kind && ends).then_some((replay, value))
}

impl Nonce {
    /// The nonce of an ACK, if it brings one.
    pub(super) fn of(message: &Message<'_>) -> Option<Self> {
        let _extra = Extra::GIVEN?;
        let (replay, key) = authentication(message.first(code::AUTHENTICATION)?, TYPE_NONCE)?;
        Some(Self { key, replay, _extra })
    }

    /// Whether a FORCERENEW was made by one who knows the key, and is no repetition; counts it.
    fn accepts(&mut self, bytes: &[u8]) -> bool {
        let Some((value_at, replay, digest)) = find_digest(bytes) else { return false };
        // RFC 3118 §3: over the whole message, with the digest, hops and giaddr as zeros.
        let zeroed = |at: usize| {
            at == 3 || (24..28).contains(&at) || (value_at..value_at + DIGEST_LEN).contains(&at)
        };
        let covered = bytes.iter().enumerate().map(|(at, b)| if zeroed(at) { 0 } else { *b });
        // Compared as a whole, so that a guess learns nothing from how long it takes.
        let own = hmac(&self.key, covered);
        let differs = own.iter().zip(digest).fold(0, |sum, (a, b)| sum | (a ^ b));
        let fresh = replay > self.replay;
        if differs == 0 && fresh {
            self.replay = replay;
        }
        differs == 0 && fresh
    }
}

/// Where the digest stands in a message, and what is with it. Only the options field is looked at.
fn find_digest(bytes: &[u8]) -> Option<(usize, u64, [u8; DIGEST_LEN])> {
    let options = Message::parse(bytes).ok()?.options;
    let mut r = Reader::at(bytes, bytes.len() - options.len());
    loop {
        match r.u8().ok()? {
            code::PAD => {}
            code::END => return None,
            found => {
                let length = usize::from(r.u8().ok()?);
                let at = r.position();
                let value = Value(r.bytes(length).ok()?);
                if found == code::AUTHENTICATION {
                    let (replay, digest) = authentication(value, TYPE_DIGEST)?;
                    return Some((at + VALUE_AT, replay, digest));
                }
            }
        }
    }
}

impl DhcpClient<'_> {
    /// A datagram to our address while BOUND: only one thing may come there.
    pub(super) fn force_renew(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) -> Result<(), Discard> {
        let message = Message::parse(bytes)?;
        let header = &message.header;
        if header.op != BOOTREPLY {
            return Err(Mismatch::WrongOp.into());
        }
        if (header.htype, header.hlen) != (ETHERNET, 6)
            || header.chaddr != chaddr_of(self.config.mac)
        {
            return Err(Mismatch::WrongChaddr.into());
        }
        if message.message_type() != Some(MessageType::ForceRenew) {
            return Err(Mismatch::Unsolicited.into());
        }
        let accepted = self.nonce.as_mut().is_some_and(|nonce| nonce.accepts(bytes));
        let lease = self.lease.filter(|lease| accepted && !lease.is_over(cx.now));
        let Some(lease) = lease else { return Err(Mismatch::NotAuthentic.into()) };
        self.counters.add(Tally::ReceivedForceRenew, 1);
        let (address, server) = (lease.address, lease.server_identifier);
        let exchange = Exchange::new(cx.rng, None);
        // Without an end there is no T2: one REQUEST, and the server may ask again.
        let times = lease.times.unwrap_or(Times::NEVER);
        self.enter(State::Renewing(Renewing { exchange, address, server, times }));
        Ok(())
    }
}
