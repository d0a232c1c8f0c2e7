//! What the user sets.

use bringup_core::client::Mac;
use bringup_core::time::Duration;
use bringup_core::wire::Full;

use crate::code;
use crate::fqdn::Fqdn;
use crate::message::{ETHERNET, Header, MessageWriter};
use crate::offer::{self, OfferPolicy};
use crate::parts::EXTRAS;
use crate::retry::Profile;
use crate::route::RoutePolicy;
use crate::snapshot;

/// The smallest maximum message size that may be announced, octets. RFC 2132 §9.10.
const MESSAGE_SIZE_MIN: u16 = 576;
/// The largest that is announced, octets, however large the link's frames: what there is room for.
const MESSAGE_SIZE_MAX: u16 = 1_500;

/// What every message asks for. RFC 3442 wants 121 before 3 and 33.
const PARAMETERS: [u8; 13] = [
    code::SUBNET_MASK,
    code::CLASSLESS_ROUTE,
    code::CLASSLESS_ROUTE_MS,
    code::ROUTER,
    code::STATIC_ROUTE,
    code::DNS_SERVER,
    code::DOMAIN_NAME,
    code::DOMAIN_SEARCH,
    code::INTERFACE_MTU,
    code::BROADCAST_ADDRESS,
    code::NTP_SERVER,
    code::RENEWAL_TIME,
    code::REBINDING_TIME,
];

/// Who we say we are: option 61, the same in every message (RFC 2131 §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientIdentifier<'m> {
    /// Hardware type 1 and the MAC address. What reservations and relays in the field expect; a
    /// departure from RFC 4361 §6.1.
    #[default]
    Mac,
    /// 255, the IAID and the DUID. RFC 4361 §6.1. The application keeps the DUID over restarts.
    Duid {
        /// Which interface of the device.
        iaid: u32,
        /// Which device, 1 to 130 octets (RFC 8415 §11.1); not sent otherwise.
        duid: &'m [u8],
    },
    /// These octets, the first of which is the type: 2 to 255 (RFC 2132 §9.14), not sent otherwise.
    Bytes(&'m [u8]),
    /// No option 61; the server goes by `chaddr`.
    Omitted,
}

impl<'m> ClientIdentifier<'m> {
    /// Its octets, as a head (`buffer`) and a tail; `None` if it is not sent.
    fn parts<'b>(&self, mac: Mac, buffer: &'b mut [u8; 7]) -> Option<(&'b [u8], &'m [u8])> {
        let [a, b, c, d, e, f] = mac.0;
        match *self {
            Self::Mac => {
                *buffer = [ETHERNET, a, b, c, d, e, f];
                Some((buffer, &[]))
            }
            Self::Duid { iaid, duid } => {
                let [i, j, k, l] = iaid.to_be_bytes();
                *buffer = [255, i, j, k, l, 0, 0];
                buffer.get(..5).map(|head| (head, duid)).filter(|_| (1..=130).contains(&duid.len()))
            }
            Self::Bytes(bytes) => (2..=255).contains(&bytes.len()).then_some((&[], bytes)),
            Self::Omitted => None,
        }
    }

    /// Whether an echoed option 61 is this one. RFC 6842 §3.
    pub(crate) fn is(&self, mac: Mac, echoed: &[u8]) -> bool {
        let mut buffer = [0; 7];
        self.parts(mac, &mut buffer)
            .is_some_and(|(head, tail)| echoed.strip_prefix(head) == Some(tail))
    }

    fn write(&self, mac: Mac, message: &mut MessageWriter<'_>) -> Result<(), Full> {
        let mut buffer = [0; 7];
        let Some((head, tail)) = self.parts(mac, &mut buffer) else { return Ok(()) };
        let mut whole = [0; 255];
        let mut w = bringup_core::wire::Writer::new(&mut whole);
        w.bytes(head)?;
        w.bytes(tail)?;
        message.option(code::CLIENT_IDENTIFIER, w.written())
    }
}

/// Whether servers are asked to broadcast their answers. RFC 2131 §4.1, RFC 1542 §3.1.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BroadcastFlag {
    /// Only after three silent DISCOVERs: a raw socket hears unicast before it has an address, but
    /// some network cards and access points don't pass it on.
    #[default]
    AfterSilence,
    /// Never.
    Never,
    /// Always.
    Always,
}

/// Whether somebody else may have the address that we got. RFC 5227.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConflictDetection {
    /// The server is believed.
    Off,
    /// The address is used at once, and three probes in half a second look behind it. The lease is
    /// lost if somebody answers. Not what RFC 5227 asks for, and not on the critical path.
    #[default]
    Short,
    /// By the book: the address is used after three probes and 4 to 7 s, and is watched and
    /// defended from then on.
    Strict,
}

/// What a client is made with.
#[derive(Clone, Copy, Debug)]
pub struct Config<'m> {
    /// The interface's address: `chaddr`, and part of the default client identifier.
    pub mac: Mac,
    /// Option 61.
    pub client_identifier: ClientIdentifier<'m>,
    /// Option 12, 1 to 255 octets; not sent otherwise.
    pub hostname: Option<&'m [u8]>,
    /// Option 81. Goes out in place of option 12, which MUST NOT be sent beside it (RFC 4702 §3.1).
    pub fqdn: Option<Fqdn<'m>>,
    /// Option 60, 1 to 255 octets; not sent otherwise.
    pub vendor_class: Option<&'m [u8]>,
    /// Further options to send in DISCOVER, REQUEST and INFORM, as they are: 43, 77, 93, 124, 125 ..
    /// One that the client itself has to decide about (see
    /// [`is_clients_own`](code::is_clients_own)) is not sent, nor one that doesn't fit.
    pub further_options: &'m [(u8, &'m [u8])],
    /// How often to resend.
    pub profile: Profile,
    /// Whether to offer the two-message exchange (option 80, RFC 4039).
    pub rapid_commit: bool,
    /// Option codes to ask for beside those that the client itself can use.
    pub parameter_request: &'m [u8],
    /// The link's MTU, octets; announced as the maximum message size, at least 576 (RFC 2132 §9.10).
    pub mtu: u16,
    /// Whether to ask for broadcast answers.
    pub broadcast_flag: BroadcastFlag,
    /// The first DISCOVER or REQUEST is put off by a random time up to this. 0 by default; fleets
    /// that are switched on together want a second, RFC 2131 §4.4.1 up to ten.
    pub initial_delay_max: Duration,
    /// How long offers are collected before the best is taken. 0 by default: the first wins, as
    /// with everybody else, and nobody is left to ask when its server changes its mind.
    pub offer_window: Duration,
    /// How offers are judged; it sees every one.
    pub offer_policy: OfferPolicy,
    /// Whether to look for others with our address.
    pub conflict_detection: ConflictDetection,
    /// Whether a lease's router is asked by ARP for its link address, and by that, after the link
    /// was gone, whether this is still the same network (DNAv4, RFC 4436).
    pub detect_attachment: bool,
    /// Which of the server's routes are taken.
    pub routes: RoutePolicy,
    /// Whether this host can do without IPv4: asks for option 108 and obeys it (RFC 8925). A host
    /// that needs IPv4 MUST NOT ask.
    pub ipv6_only_capable: bool,
    /// Whether DISCOVERs ask if a link-local address is wanted here (option 116, RFC 2563); for
    /// hosts that would take one. The answer is [`Event::LinkLocal`](crate::Event::LinkLocal).
    pub ask_auto_configure: bool,
    /// Whether a link-local address is taken where no server answers (RFC 3927), while DHCP goes on.
    /// Asks for option 116, and obeys it. Not under anonymity.
    pub link_local: bool,
    /// Whether a server may make us renew by a FORCERENEW that is signed with the nonce of its ACK
    /// (RFC 6704). While BOUND with a nonce, the UDP socket on our address stays open. Off, every
    /// FORCERENEW is ignored.
    pub force_renew: bool,
    /// Says nothing that tells this host from others (RFC 7844): the identifier is 01 and the MAC,
    /// which the platform should have made at random; options 12, 57, 60, 80, 81, 116, 145 and further
    /// ones are left out, 55 is short, options and codes come in random order, no address from
    /// before is asked for, nothing starts by INIT-REBOOT.
    pub anonymous: bool,
}

impl<'m> Config<'m> {
    /// The defaults for bring-up.
    pub const fn new(mac: Mac) -> Self {
        Self {
            mac,
            client_identifier: ClientIdentifier::Mac,
            hostname: None,
            fqdn: None,
            vendor_class: None,
            further_options: &[],
            profile: Profile::Fast,
            rapid_commit: true,
            parameter_request: &[],
            mtu: 1500,
            broadcast_flag: BroadcastFlag::AfterSilence,
            initial_delay_max: Duration::ZERO,
            offer_window: Duration::ZERO,
            offer_policy: offer::score,
            conflict_detection: ConflictDetection::Short,
            detect_attachment: true,
            routes: RoutePolicy::Accept,
            ipv6_only_capable: false,
            ask_auto_configure: false,
            link_local: false,
            force_renew: false,
            anonymous: false,
        }
    }

    /// Hardware type 1 and the MAC address.
    pub(crate) const fn mac_identifier(&self) -> [u8; 7] {
        let [a, b, c, d, e, f] = self.mac.0;
        [ETHERNET, a, b, c, d, e, f]
    }

    /// Option 61 as it goes out. RFC 7844 §3.5: without a name of our own, it is the MAC's.
    /// Whether servers are asked for the key that FORCERENEW needs.
    pub(crate) const fn asks_nonce(&self) -> bool {
        EXTRAS && self.force_renew
    }

    fn effective_identifier(&self) -> ClientIdentifier<'m> {
        if self.anonymous { ClientIdentifier::Mac } else { self.client_identifier }
    }

    /// Option 61.
    pub(crate) fn write_identity(&self, message: &mut MessageWriter<'_>) -> Result<(), Full> {
        self.effective_identifier().write(self.mac, message)
    }

    /// Whether an echoed option 61 is ours. RFC 6842 §3.
    pub(crate) fn is_our_identifier(&self, echoed: &[u8]) -> bool {
        self.effective_identifier().is(self.mac, echoed)
    }

    /// Whether option 116 goes out: RFC 2563 §2.2 wants it of hosts with link-local addresses.
    pub(crate) const fn asks_auto_configure(&self) -> bool {
        (self.ask_auto_configure || EXTRAS && self.link_local) && !self.anonymous
    }

    /// A mark of option 61, by which a snapshot is known to be ours.
    pub(crate) fn identity(&self) -> u32 {
        let mut buffer = [0; 7];
        let identifier = self.effective_identifier();
        let (head, tail) = identifier.parts(self.mac, &mut buffer).unwrap_or_default();
        snapshot::crc32(head).rotate_left(1) ^ snapshot::crc32(tail)
    }

    /// Options 57, 81 or 12, 60 and 55: the same in DISCOVER and every REQUEST (RFC 2131 §3.5).
    pub(crate) fn write_wishes(&self, message: &mut MessageWriter<'_>) -> Result<(), Full> {
        let size = self.mtu.clamp(MESSAGE_SIZE_MIN, MESSAGE_SIZE_MAX);
        message.u16(code::MAX_MESSAGE_SIZE, size)?;
        let mut buffer = Fqdn::BUFFER;
        let fqdn = self.fqdn.and_then(|fqdn| fqdn.write(&mut buffer));
        let hostname = self.hostname.filter(|_| fqdn.is_none());
        let texts = [
            (code::CLIENT_FQDN, fqdn),
            (code::HOST_NAME, hostname),
            (code::VENDOR_CLASS, self.vendor_class),
        ];
        for (code, text) in texts {
            match text {
                Some(text) if (1..=255).contains(&text.len()) => message.option(code, text)?,
                _ => {}
            }
        }
        let mut codes = [0; 255];
        let mut w = bringup_core::wire::Writer::new(&mut codes);
        let ipv6_only = self.ipv6_only_capable.then_some(&code::IPV6_ONLY);
        for &code in PARAMETERS.iter().chain(ipv6_only).chain(self.parameter_request) {
            // RFC 4039 §4: 80 MUST NOT be asked for; 108 by nobody who needs IPv4 (RFC 8925 §3.2).
            let unfit = matches!(code, code::PAD | code::END | code::RAPID_COMMIT)
                || code == code::IPV6_ONLY && !self.ipv6_only_capable;
            if !unfit && !w.written().contains(&code) {
                w.u8(code)?;
            }
        }
        message.option(code::PARAMETER_REQUEST, w.written())
    }

    /// What the user adds, as far as there is room.
    pub(crate) fn write_further(&self, message: &mut MessageWriter<'_>) {
        for (code, bytes) in self.further_options {
            if !code::is_clients_own(*code) {
                let _ = message.option(*code, bytes);
            }
        }
    }

    /// The fixed fields of a message of this client.
    pub(crate) fn header(&self, xid: u32) -> Header {
        Header::request(self.mac, xid)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::code::MessageType;
    use crate::message::Message;
    use std::vec::Vec;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 7]);

    fn written(config: &Config<'_>, code: u8) -> Option<Vec<u8>> {
        let mut buffer = [0; 1400];
        let mut w =
            MessageWriter::new(&mut buffer, &config.header(1), MessageType::Discover).unwrap();
        config.write_identity(&mut w).unwrap();
        config.write_wishes(&mut w).unwrap();
        let m = w.finish().unwrap();
        Message::parse(m).unwrap().first(code).map(|v| v.0.to_vec())
    }

    #[test]
    fn rule_18_32_client_identifiers() {
        let duid = ClientIdentifier::Duid { iaid: 0x0102_0304, duid: &[0, 3, 0, 1, 9] };
        let rows: &[(ClientIdentifier<'_>, Option<&[u8]>)] = &[
            (ClientIdentifier::Mac, Some(&[1, 2, 0, 0, 0, 0, 7])),
            (duid, Some(&[255, 1, 2, 3, 4, 0, 3, 0, 1, 9])),
            (ClientIdentifier::Bytes(b"\0name"), Some(b"\0name")),
            (ClientIdentifier::Bytes(b"x"), None),
            (ClientIdentifier::Omitted, None),
        ];
        for (id, bytes) in rows {
            let config = Config { client_identifier: *id, ..Config::new(MAC) };
            assert_eq!(written(&config, 61).as_deref(), *bytes, "{id:?}");
            if let Some(bytes) = bytes {
                assert!(id.is(MAC, bytes), "{id:?}");
                assert!(!id.is(MAC, &bytes[1..]), "{id:?}");
            }
            assert!(!id.is(MAC, b"another"), "{id:?}");
            assert!(!id.is(MAC, &[]), "{id:?}");
        }
    }

    #[test]
    fn rule_18_27_parameter_request() {
        let config = Config { parameter_request: &[0, 255, 80, 114, 3, 114], ..Config::new(MAC) };
        let list = written(&config, 55).unwrap();
        let position = |code| list.iter().position(|&c| c == code);
        assert!(position(121) < position(3) && position(121) < position(33));
        assert_eq!(list.iter().filter(|&&c| c == 114).count(), 1);
        assert!(position(0).is_none() && position(255).is_none());
        assert!(position(80).is_none(), "rule 30");
        let all: Vec<u8> = (0..=255).collect();
        let config = Config { parameter_request: &all, ..Config::new(MAC) };
        let list = written(&config, 55).unwrap();
        assert_eq!(list.len(), 252);
        assert!(!list.contains(&108), "rule 31: a host that needs IPv4 MUST NOT ask");
        let config = Config { ipv6_only_capable: true, ..config };
        assert_eq!(written(&config, 55).unwrap().len(), 253);
    }

    #[test]
    fn rule_18_message_size() {
        let rows = [(0, [2, 64]), (576, [2, 64]), (1500, [5, 220]), (9000, [5, 220])];
        for (mtu, size) in rows {
            let config = Config { mtu, ..Config::new(MAC) };
            assert_eq!(written(&config, 57).unwrap(), size, "{mtu}");
        }
    }

    #[test]
    fn texts_that_cannot_be_sent_are_left_out() {
        for (text, sent) in
            [(&b""[..], false), (b"h", true), (&[b'a'; 255], true), (&[b'a'; 256], false)]
        {
            let config = Config { hostname: Some(text), ..Config::new(MAC) };
            assert_eq!(written(&config, 12).is_some(), sent, "{}", text.len());
        }
    }
}
