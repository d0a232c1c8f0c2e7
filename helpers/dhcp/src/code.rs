//! Option codes and message types, as the RFCs number them.

/// Filler of one octet, without a length. RFC 2132 §3.1.
pub const PAD: u8 = 0;
/// Subnet mask. RFC 2132 §3.3.
pub const SUBNET_MASK: u8 = 1;
/// Routers, in order of preference. RFC 2132 §3.5.
pub const ROUTER: u8 = 3;
/// DNS servers, in order of preference. RFC 2132 §3.8.
pub const DNS_SERVER: u8 = 6;
/// Host name. RFC 2132 §3.14.
pub const HOST_NAME: u8 = 12;
/// Domain name. RFC 2132 §3.17.
pub const DOMAIN_NAME: u8 = 15;
/// Interface MTU. RFC 2132 §5.1.
pub const INTERFACE_MTU: u8 = 26;
/// Broadcast address. RFC 2132 §5.3.
pub const BROADCAST_ADDRESS: u8 = 28;
/// Classful static routes. RFC 2132 §5.8.
pub const STATIC_ROUTE: u8 = 33;
/// NTP servers by address. RFC 2132 §8.3.
pub const NTP_SERVER: u8 = 42;
/// Vendor-specific information. RFC 2132 §8.4.
pub const VENDOR_SPECIFIC: u8 = 43;
/// Requested IP address. RFC 2132 §9.1.
pub const REQUESTED_ADDRESS: u8 = 50;
/// Lease time, seconds. RFC 2132 §9.2.
pub const LEASE_TIME: u8 = 51;
/// Option overload: `file` (1), `sname` (2) or both (3) carry options. RFC 2132 §9.3.
pub const OVERLOAD: u8 = 52;
/// Message type. RFC 2132 §9.6.
pub const MESSAGE_TYPE: u8 = 53;
/// Server identifier. RFC 2132 §9.7.
pub const SERVER_IDENTIFIER: u8 = 54;
/// Parameter request list. RFC 2132 §9.8.
pub const PARAMETER_REQUEST: u8 = 55;
/// Text for a human. RFC 2132 §9.9.
pub const MESSAGE: u8 = 56;
/// Maximum message size that the sender takes, IP and UDP headers included. RFC 2132 §9.10.
pub const MAX_MESSAGE_SIZE: u8 = 57;
/// Renewal time (T1), seconds. RFC 2132 §9.11.
pub const RENEWAL_TIME: u8 = 58;
/// Rebinding time (T2), seconds. RFC 2132 §9.12.
pub const REBINDING_TIME: u8 = 59;
/// Vendor class identifier. RFC 2132 §9.13.
pub const VENDOR_CLASS: u8 = 60;
/// Client identifier. RFC 2132 §9.14.
pub const CLIENT_IDENTIFIER: u8 = 61;
/// User classes. RFC 3004.
pub const USER_CLASS: u8 = 77;
/// Rapid commit. RFC 4039.
pub const RAPID_COMMIT: u8 = 80;
/// Client FQDN. RFC 4702.
pub const CLIENT_FQDN: u8 = 81;
/// Relay agent information. RFC 3046.
pub const RELAY_AGENT: u8 = 82;
/// Authentication. RFC 3118.
pub const AUTHENTICATION: u8 = 90;
/// POSIX time zone. RFC 4833.
pub const POSIX_TIMEZONE: u8 = 100;
/// Name of the time zone in the tz database. RFC 4833.
pub const TZDB_TIMEZONE: u8 = 101;
/// IPv6-only preferred, seconds. RFC 8925.
pub const IPV6_ONLY: u8 = 108;
/// URI of the captive portal API. RFC 8910.
pub const CAPTIVE_PORTAL: u8 = 114;
/// Auto-configuration of link-local addresses. RFC 2563.
pub const AUTO_CONFIGURE: u8 = 116;
/// Domain search list. RFC 3397.
pub const DOMAIN_SEARCH: u8 = 119;
/// Classless static routes. RFC 3442.
pub const CLASSLESS_ROUTE: u8 = 121;
/// Vendor classes by enterprise. RFC 3925.
pub const ENTERPRISE_CLASS: u8 = 124;
/// Vendor information by enterprise. RFC 3925.
pub const ENTERPRISE_INFORMATION: u8 = 125;
/// FORCERENEW nonce capability. RFC 6704.
pub const FORCERENEW_NONCE: u8 = 145;
/// Encrypted DNS servers (DNR). RFC 9463.
pub const DNR: u8 = 162;
/// Classless static routes under Microsoft's code, from before RFC 3442.
pub const CLASSLESS_ROUTE_MS: u8 = 249;
/// End of the options, without a length. RFC 2132 §3.2.
pub const END: u8 = 255;

/// The length that an option of fixed size must have, in octets. RFC 2132, 4039, 8925, 2563.
///
/// Such an option is never concatenated: of two instances the first counts.
pub const fn fixed_length(code: u8) -> Option<usize> {
    match code {
        RAPID_COMMIT => Some(0),
        19 | 20 | 23 | 27 | 29 | 30 | 31 | 34 | 36 | 37 | 39 | 46 | OVERLOAD | MESSAGE_TYPE
        | AUTO_CONFIGURE => Some(1),
        13 | 22 | INTERFACE_MTU | MAX_MESSAGE_SIZE => Some(2),
        SUBNET_MASK | 2 | 16 | 24 | BROADCAST_ADDRESS | 32 | 35 | 38 | REQUESTED_ADDRESS
        | LEASE_TIME | SERVER_IDENTIFIER | RENEWAL_TIME | REBINDING_TIME | IPV6_ONLY => Some(4),
        _ => None,
    }
}

/// The size of an element of an option that is a list of addresses or of pairs of addresses.
pub const fn list_element(code: u8) -> Option<usize> {
    match code {
        3..=11 | 41 | NTP_SERVER | 44 | 45 | 48 | 49 | 65 | 69..=76 => Some(4),
        21 | STATIC_ROUTE => Some(8),
        _ => None,
    }
}

/// Whether an option belongs to the one message that carries it, and is no part of what a lease
/// configures: a change in it is no change of the lease, and it isn't kept over a renewal.
pub const fn is_per_message(code: u8) -> bool {
    matches!(
        code,
        REQUESTED_ADDRESS
            ..=REBINDING_TIME
                | CLIENT_IDENTIFIER
                | RAPID_COMMIT
                | RELAY_AGENT
                | AUTHENTICATION
                | IPV6_ONLY
                | AUTO_CONFIGURE
                | FORCERENEW_NONCE
    )
}

/// Whether the client itself decides whether it sends an option, and with what: such a one is not
/// taken from a list of further options. RFC 2131 Table 5.
pub const fn is_clients_own(code: u8) -> bool {
    matches!(
        code,
        PAD | HOST_NAME | REQUESTED_ADDRESS
            ..=CLIENT_IDENTIFIER
                | RAPID_COMMIT
                | CLIENT_FQDN
                | RELAY_AGENT
                | AUTHENTICATION
                | IPV6_ONLY
                | AUTO_CONFIGURE
                | FORCERENEW_NONCE
                | END
    )
}

/// Whether an option carries routes. A message that has one of them speaks for all of them.
pub const fn is_route(code: u8) -> bool {
    matches!(code, ROUTER | STATIC_ROUTE | CLASSLESS_ROUTE | CLASSLESS_ROUTE_MS)
}

/// What a message is for. Option 53, RFC 2132 §9.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MessageType {
    /// Client: who can give me an address?
    Discover = 1,
    /// Server: I can.
    Offer = 2,
    /// Client: I take it; or: may I go on using it?
    Request = 3,
    /// Client: somebody uses it already.
    Decline = 4,
    /// Server: it's yours.
    Ack = 5,
    /// Server: you may not use it.
    Nak = 6,
    /// Client: I don't need it any more.
    Release = 7,
    /// Client: I have an address, give me the rest.
    Inform = 8,
    /// Server: renew now. RFC 3203.
    ForceRenew = 9,
}

impl MessageType {
    /// The type with this number, if there is one.
    pub const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Discover,
            2 => Self::Offer,
            3 => Self::Request,
            4 => Self::Decline,
            5 => Self::Ack,
            6 => Self::Nak,
            7 => Self::Release,
            8 => Self::Inform,
            9 => Self::ForceRenew,
            _ => return None,
        })
    }

    /// The name that the RFC prints, without its `DHCP` in front.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discover => "DISCOVER",
            Self::Offer => "OFFER",
            Self::Request => "REQUEST",
            Self::Decline => "DECLINE",
            Self::Ack => "ACK",
            Self::Nak => "NAK",
            Self::Release => "RELEASE",
            Self::Inform => "INFORM",
            Self::ForceRenew => "FORCERENEW",
        }
    }
}

impl core::fmt::Display for MessageType {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}
