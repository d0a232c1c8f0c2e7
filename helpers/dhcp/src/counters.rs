//! What was counted: why inputs were ignored, and what went out and came in.

use crate::arp::ArpFault;
use crate::frame::Fault;
use crate::message::Malformed;

/// Why an input was ignored. It changed nothing but a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Discard {
    /// The frame carries no datagram for us.
    Frame(Fault),
    /// The frame is no ARP packet that we can use.
    Arp(ArpFault),
    /// The datagram is no DHCP message.
    Malformed(Malformed),
    /// The message is well-formed, but not what we wait for.
    Mismatch(Mismatch),
}

impl Discard {
    /// The name under which it is counted.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frame(why) => why.name(),
            Self::Arp(why) => why.name(),
            Self::Malformed(why) => why.name(),
            Self::Mismatch(why) => why.name(),
        }
    }
}

impl core::fmt::Display for Discard {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

impl From<Fault> for Discard {
    fn from(why: Fault) -> Self {
        Self::Frame(why)
    }
}

impl From<ArpFault> for Discard {
    fn from(why: ArpFault) -> Self {
        Self::Arp(why)
    }
}

impl From<Malformed> for Discard {
    fn from(why: Malformed) -> Self {
        Self::Malformed(why)
    }
}

impl From<Mismatch> for Discard {
    fn from(why: Mismatch) -> Self {
        Self::Mismatch(why)
    }
}

named! {
    /// Why a well-formed message is not what the client waits for.
    pub enum Mismatch {
        /// An input of a kind, or on a socket, that this client has not asked for.
        NotForUs = "not-for-us",
        /// `op` is not BOOTREPLY.
        WrongOp = "wrong-op",
        /// `htype` is not Ethernet, or `hlen` not 6.
        WrongHardwareType = "wrong-hardware-type",
        /// `chaddr` is not ours, or is not padded with zeros.
        WrongChaddr = "wrong-chaddr",
        /// Nothing has been asked that this could answer.
        Unsolicited = "unsolicited",
        /// The answer to another question.
        WrongXid = "wrong-xid",
        /// Option 53 is missing, of a wrong length or of no known value.
        MissingMessageType = "missing-message-type",
        /// Not a type that this state waits for.
        WrongMessageType = "wrong-message-type",
        /// Option 54 is missing, of a wrong length or no unicast address.
        MissingServerIdentifier = "missing-server-identifier",
        /// Not the server that we chose.
        WrongServer = "wrong-server",
        /// `yiaddr` is no address that a host of its subnet can have.
        BadYiaddr = "bad-yiaddr",
        /// `yiaddr` is not the address that we asked for.
        WrongYiaddr = "wrong-yiaddr",
        /// Option 51 is missing or of a wrong length.
        MissingLeaseTime = "missing-lease-time",
        /// A lease of less than 10 s, or one that is over by the time of its ACK.
        LeaseTooShort = "lease-too-short",
        /// Option 61 is not ours (RFC 6842 §3).
        WrongClientIdentifier = "wrong-client-identifier",
        /// The application's policy gave the offer no point.
        OfferRefused = "offer-refused",
        /// A FORCERENEW that is not signed with our nonce, or is repeated.
        NotAuthentic = "not-authentic",
        /// An ARP packet that says nothing about an address of ours.
        ArpUnrelated = "arp-unrelated",
    }
}

named! {
    /// Other things that are counted.
    pub enum Tally {
        /// DISCOVERs handed out.
        SentDiscover = "sent-discover",
        /// REQUESTs handed out.
        SentRequest = "sent-request",
        /// RELEASEs handed out.
        SentRelease = "sent-release",
        /// DECLINEs handed out.
        SentDecline = "sent-decline",
        /// INFORMs handed out.
        SentInform = "sent-inform",
        /// ARP packets handed out.
        SentArp = "sent-arp",
        /// Stations that had, or wanted, our address.
        Conflict = "conflict",
        /// OFFERs taken.
        ReceivedOffer = "received-offer",
        /// OFFERs that said there is no address (option 116).
        ReceivedNoAddress = "received-no-address",
        /// ACKs taken.
        ReceivedAck = "received-ack",
        /// FORCERENEWs obeyed.
        ReceivedForceRenew = "received-forcerenew",
        /// ACKs without the nonce that the OFFER promised (RFC 6704 §3.1.4).
        AckWithoutNonce = "ack-without-nonce",
        /// NAKs taken.
        ReceivedNak = "received-nak",
        /// Sends put off by the limit of four at once and two a second.
        Throttled = "throttled",
        /// Sends and opens that the platform refused.
        SendFailed = "send-failed",
        /// Messages that did not fit into the transmit buffer.
        BufferTooSmall = "buffer-too-small",
        /// Options of a lease that did not fit into its storage.
        OptionsDropped = "options-dropped",
        /// Options of a lease that were malformed.
        OptionsMalformed = "options-malformed",
    }
}

/// Every counter of a client; each saturates.
#[derive(Clone, Debug)]
pub struct Counters {
    frame: [u32; Fault::ALL.len()],
    arp: [u32; ArpFault::ALL.len()],
    malformed: [u32; Malformed::ALL.len()],
    mismatch: [u32; Mismatch::ALL.len()],
    tally: [u32; Tally::ALL.len()],
}

impl Counters {
    pub(crate) const fn new() -> Self {
        Self {
            frame: [0; Fault::ALL.len()],
            arp: [0; ArpFault::ALL.len()],
            malformed: [0; Malformed::ALL.len()],
            mismatch: [0; Mismatch::ALL.len()],
            tally: [0; Tally::ALL.len()],
        }
    }

    pub(crate) fn discard(&mut self, why: Discard) {
        let slot = match why {
            Discard::Frame(why) => self.frame.get_mut(why as usize),
            Discard::Arp(why) => self.arp.get_mut(why as usize),
            Discard::Malformed(why) => self.malformed.get_mut(why as usize),
            Discard::Mismatch(why) => self.mismatch.get_mut(why as usize),
        };
        if let Some(count) = slot {
            *count = count.saturating_add(1);
        }
    }

    pub(crate) fn add(&mut self, what: Tally, n: u32) {
        if let Some(count) = self.tally.get_mut(what as usize) {
            *count = count.saturating_add(n);
        }
    }

    /// How many inputs were ignored for this reason.
    pub fn discarded(&self, why: Discard) -> u32 {
        let count = match why {
            Discard::Frame(why) => self.frame.get(why as usize),
            Discard::Arp(why) => self.arp.get(why as usize),
            Discard::Malformed(why) => self.malformed.get(why as usize),
            Discard::Mismatch(why) => self.mismatch.get(why as usize),
        };
        count.copied().unwrap_or(0)
    }

    /// One of the other counts.
    pub fn get(&self, what: Tally) -> u32 {
        self.tally.get(what as usize).copied().unwrap_or(0)
    }

    /// Every counter with its name, tallies first.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u32)> + '_ {
        let tallies = Tally::ALL.iter().map(|t| t.name()).zip(self.tally);
        let frames = Fault::ALL.iter().map(|f| f.name()).zip(self.frame);
        let arp = ArpFault::ALL.iter().map(|a| a.name()).zip(self.arp);
        let malformed = Malformed::ALL.iter().map(|m| m.name()).zip(self.malformed);
        let mismatches = Mismatch::ALL.iter().map(|m| m.name()).zip(self.mismatch);
        tallies.chain(frames).chain(arp).chain(malformed).chain(mismatches)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_counter_has_its_own_name_and_slot() {
        let mut c = Counters::new();
        c.discard(Fault::Port.into());
        c.discard(Malformed::Cookie.into());
        c.discard(Mismatch::WrongXid.into());
        c.discard(Mismatch::WrongXid.into());
        c.add(Tally::Throttled, 7);
        assert_eq!(c.iter().map(|(name, _)| name).collect::<BTreeSet<_>>().len(), c.iter().count());
        let counted: BTreeSet<_> = c.iter().filter(|&(_, n)| n > 0).collect();
        assert_eq!(
            counted,
            [("no-cookie", 1), ("throttled", 7), ("udp-port", 1), ("wrong-xid", 2)].into()
        );
        assert_eq!(c.discarded(Mismatch::WrongXid.into()), 2);
    }
}
