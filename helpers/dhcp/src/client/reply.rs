//! What makes a message a reply to us. RFC 2131 §4.3, Table 3; stricter than that where a forged or
//! confused reply could do harm.

use core::net::Ipv4Addr;

use crate::code::{self, MessageType};
use crate::config::Config;
use crate::counters::{Discard, Mismatch};
use crate::lease::{LEASE_TIME_MIN_S, Terms};
use crate::message::{BOOTREPLY, ETHERNET, Message, chaddr_of};
use crate::options::Value;
use crate::route::{classful_prefix_len, is_host_address};

/// A reply that belongs to our exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply<'a> {
    pub(super) message: Message<'a>,
    pub(super) kind: MessageType,
    /// Option 54: the only address of the server (§4.1).
    pub(super) server: Ipv4Addr,
    /// Option 80 is there.
    pub(super) rapid_commit: bool,
    /// Option 108, seconds, if we asked for it (RFC 8925 §3.2).
    pub(super) ipv6_only: Option<u32>,
    /// Option 116: whether a link-local address may be taken.
    pub(super) auto_configure: Option<bool>,
    /// Option 56.
    pub(super) text: &'a [u8],
    lease_time: Option<u32>,
    t1: Option<u32>,
    t2: Option<u32>,
}

/// The options that decide about a reply, gathered in one walk: the first instance of each.
#[derive(Default)]
struct Deciding<'a> {
    kind: Option<Value<'a>>,
    server: Option<Value<'a>>,
    lease_time: Option<Value<'a>>,
    t1: Option<Value<'a>>,
    t2: Option<Value<'a>>,
    rapid_commit: Option<Value<'a>>,
    ipv6_only: Option<Value<'a>>,
    auto_configure: Option<Value<'a>>,
    text: Option<Value<'a>>,
    client_identifiers: usize,
    client_identifier: Option<Value<'a>>,
}

impl<'a> Deciding<'a> {
    fn gather(&mut self, message: &Message<'a>) {
        for option in message.options() {
            let slot = match option.code {
                code::MESSAGE_TYPE => &mut self.kind,
                code::SERVER_IDENTIFIER => &mut self.server,
                code::LEASE_TIME => &mut self.lease_time,
                code::RENEWAL_TIME => &mut self.t1,
                code::REBINDING_TIME => &mut self.t2,
                code::RAPID_COMMIT => &mut self.rapid_commit,
                code::IPV6_ONLY => &mut self.ipv6_only,
                code::AUTO_CONFIGURE => &mut self.auto_configure,
                code::MESSAGE => &mut self.text,
                code::CLIENT_IDENTIFIER => {
                    self.client_identifiers += 1;
                    &mut self.client_identifier
                }
                _ => continue,
            };
            *slot = slot.or(Some(option.value));
        }
    }

    /// RFC 6842 §3: an echoed identifier that is not ours MUST be discarded; none is fine.
    fn echoes(&self, message: &Message<'_>, config: &Config<'_>) -> bool {
        let mut joined = [0; 512];
        let value = match self.client_identifiers {
            0 => return true,
            1 => self.client_identifier,
            _ => message.value(code::CLIENT_IDENTIFIER, &mut joined).ok().flatten(),
        };
        value.is_some_and(|value| config.is_our_identifier(value.0))
    }
}

impl<'a> Reply<'a> {
    /// Checks everything that doesn't depend on the state but for its `xid`.
    pub(super) fn check(
        bytes: &'a [u8],
        config: &Config<'_>,
        xid: Option<u32>,
    ) -> Result<Self, Discard> {
        let message = Message::parse(bytes)?;
        let header = &message.header;
        if header.op != BOOTREPLY {
            return Err(Mismatch::WrongOp.into());
        }
        if header.htype != ETHERNET || header.hlen != 6 {
            return Err(Mismatch::WrongHardwareType.into());
        }
        if header.chaddr != chaddr_of(config.mac) {
            return Err(Mismatch::WrongChaddr.into());
        }
        if header.xid != xid.ok_or(Mismatch::Unsolicited)? {
            return Err(Mismatch::WrongXid.into());
        }
        let mut found = Deciding::default();
        found.gather(&message);
        let kind = found.kind.and_then(Value::u8).and_then(MessageType::from_u8);
        let server = found.server.and_then(Value::address).filter(|&a| is_host_address(a));
        if !found.echoes(&message, config) {
            return Err(Mismatch::WrongClientIdentifier.into());
        }
        Ok(Self {
            message,
            kind: kind.ok_or(Mismatch::MissingMessageType)?,
            server: server.ok_or(Mismatch::MissingServerIdentifier)?,
            rapid_commit: found.rapid_commit.is_some_and(|v| v.0.is_empty()),
            ipv6_only: found.ipv6_only.and_then(Value::u32).filter(|_| config.ipv6_only_capable),
            auto_configure: found.auto_configure.and_then(Value::u8).and_then(
                |value| match value {
                    0 => Some(false),
                    1 => Some(true),
                    _ => None,
                },
            ),
            text: found.text.map_or(&[], Value::text),
            lease_time: found.lease_time.and_then(Value::u32),
            t1: found.t1.and_then(Value::u32),
            t2: found.t2.and_then(Value::u32),
        })
    }

    /// Whether the server has no address to give.
    pub(super) fn is_without_address(&self) -> bool {
        self.message.header.yiaddr.is_unspecified()
    }

    /// The address and the terms that an OFFER or an ACK names.
    pub(super) fn terms(&self) -> Result<(Ipv4Addr, Terms), Mismatch> {
        let address = self.message.header.yiaddr;
        let mask = self.message.first(code::SUBNET_MASK).and_then(Value::prefix_len);
        let prefix_len = mask.unwrap_or_else(|| classful_prefix_len(address));
        // The server's own address is in use, by the server.
        let is_taken = address == self.server;
        if !is_host_address(address) || is_taken || names_subnet(address, prefix_len) {
            return Err(Mismatch::BadYiaddr);
        }
        let lease_time = self.lease_time.ok_or(Mismatch::MissingLeaseTime)?;
        if lease_time < LEASE_TIME_MIN_S {
            return Err(Mismatch::LeaseTooShort);
        }
        Ok((address, Terms { lease_time, t1: self.t1, t2: self.t2 }))
    }
}

/// Whether an address stands for its subnet as a whole: the host bits are all zeros or all ones. With 31
/// bits both are hosts (RFC 3021), with 32 there are no host bits.
fn names_subnet(address: Ipv4Addr, prefix_len: u8) -> bool {
    let host_mask = u32::MAX.checked_shr(prefix_len.into()).unwrap_or(0);
    let host = address.to_bits() & host_mask;
    prefix_len <= 30 && (host == 0 || host == host_mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_12_no_host_has_the_first_or_the_last_address_of_its_subnet() {
        for (last, prefix_len, expected) in [
            (0, 24, true),
            (255, 24, true),
            (1, 24, false),
            (4, 30, true),
            (7, 30, true),
            (5, 30, false),
            (4, 31, false),
            (5, 31, false),
            (0, 32, false),
        ] {
            let address = Ipv4Addr::new(192, 0, 2, last);
            assert_eq!(names_subnet(address, prefix_len), expected, "{address}/{prefix_len}");
        }
    }
}
