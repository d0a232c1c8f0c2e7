//! [`DhcpServer`]: one pool of addresses on one link. RFC 2131 §4.3.

use std::net::{Ipv4Addr, SocketAddrV4};

use bringup_core::time::{Duration, Instant};
use bringup_core::wire::Full;
use bringup_dhcp::code::{self, MessageType};
use bringup_dhcp::message::{BOOTREQUEST, CLIENT_PORT, ETHERNET, Header, Message, MessageWriter};
use bringup_dhcp::options::Value;
use bringup_dhcp::route::Route;
use bringup_dns::Name;

/// For how long an offered address is kept for the client. RFC 2131 §3.1 step 2 leaves it open.
const OFFER_FOR: Duration = Duration::from_secs(30);
/// For how long an address that somebody else uses is not given out. RFC 2131 §4.3.3.
const DECLINED_FOR: Duration = Duration::from_secs(3600);
/// The headers of IP and UDP, which option 57 counts, octets.
const HEADERS_LEN: u16 = 28;
/// What every client can take, the headers included, octets. RFC 2131 §2.
const MESSAGE_SIZE_MIN: u16 = 576;

/// What the server gives out.
#[derive(Clone, Debug)]
pub struct Network {
    /// The server's own address.
    pub server: Ipv4Addr,
    /// How many bits of it name the subnet, 1 to 32. Options 1 and 28.
    pub prefix_len: u8,
    /// The first address of the pool.
    pub first: Ipv4Addr,
    /// How many addresses the pool has.
    pub count: u8,
    /// For how long an address is granted, seconds. Option 51.
    pub lease_s: u32,
    /// T1, seconds. Option 58.
    pub t1_s: u32,
    /// T2, seconds. Option 59.
    pub t2_s: u32,
    /// Option 3.
    pub router: Option<Ipv4Addr>,
    /// Option 6.
    pub dns_servers: Vec<Ipv4Addr>,
    /// Option 42.
    pub ntp_servers: Vec<Ipv4Addr>,
    /// Option 15.
    pub domain_name: Option<String>,
    /// Option 119.
    pub search: Vec<Name>,
    /// Option 26, octets.
    pub mtu: Option<u16>,
    /// Option 121; a client that reads it ignores the router (RFC 3442), so that the default route
    /// belongs here too.
    pub routes: Vec<Route>,
    /// Whether a DISCOVER with option 80 is answered with an ACK at once. RFC 4039.
    pub rapid_commit: bool,
}

impl Network {
    /// A network of `server`/`prefix_len` with the `count` addresses from `first` on, an hour's
    /// leases, and the server as router and DNS server.
    pub fn new(server: Ipv4Addr, prefix_len: u8, first: Ipv4Addr, count: u8) -> Self {
        Self {
            server,
            prefix_len,
            first,
            count,
            lease_s: 3600,
            t1_s: 1800,
            t2_s: 3150,
            router: Some(server),
            dns_servers: vec![server],
            ntp_servers: Vec::new(),
            domain_name: None,
            search: Vec::new(),
            mtu: None,
            routes: Vec::new(),
            rapid_commit: false,
        }
    }

    fn mask(&self) -> u32 {
        u32::MAX.checked_shl(32u32.saturating_sub(self.prefix_len.into())).unwrap_or(0)
    }

    fn is_on_link(&self, address: Ipv4Addr) -> bool {
        (u32::from(address) ^ u32::from(self.server)) & self.mask() == 0
    }

    /// Writes the options that configure a client, as far as it `wants` them.
    fn write(&self, w: &mut MessageWriter<'_>, wants: impl Fn(u8) -> bool) -> Result<(), Full> {
        let mut add = |code, bytes: &[u8]| {
            if bytes.is_empty() || !wants(code) { Ok(()) } else { w.option(code, bytes) }
        };
        let broadcast = Ipv4Addr::from(u32::from(self.server) | !self.mask());
        let addresses =
            |list: &[Ipv4Addr]| -> Vec<u8> { list.iter().flat_map(Ipv4Addr::octets).collect() };
        add(code::SUBNET_MASK, &self.mask().to_be_bytes())?;
        add(code::CLASSLESS_ROUTE, &self.routes.iter().flat_map(classless).collect::<Vec<u8>>())?;
        add(code::ROUTER, &self.router.map(|a| a.octets().to_vec()).unwrap_or_default())?;
        add(code::DNS_SERVER, &addresses(&self.dns_servers))?;
        add(code::DOMAIN_NAME, self.domain_name.as_deref().unwrap_or_default().as_bytes())?;
        add(code::INTERFACE_MTU, &self.mtu.map(|n| n.to_be_bytes().to_vec()).unwrap_or_default())?;
        add(code::BROADCAST_ADDRESS, &broadcast.octets())?;
        add(code::NTP_SERVER, &addresses(&self.ntp_servers))?;
        let search: Vec<u8> = self.search.iter().flat_map(|n| n.as_wire().to_vec()).collect();
        add(code::DOMAIN_SEARCH, &search)
    }
}

/// A route as option 121 has it: the width, as many octets as that takes, the router. RFC 3442.
fn classless(route: &Route) -> Vec<u8> {
    let significant = usize::from(route.prefix_len.div_ceil(8));
    let destination = route.destination.octets();
    let octets = destination.into_iter().take(significant);
    std::iter::once(route.prefix_len).chain(octets).chain(route.router.octets()).collect()
}

/// Who a client is: option 61, or else its hardware address. RFC 2131 §4.2.
type ClientKey = Vec<u8>;

/// What an address of the pool is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Slot {
    Free,
    Offered { client: ClientKey, until: Instant },
    Bound { client: ClientKey, until: Instant },
    Declined { until: Instant },
}

impl Slot {
    fn client(&self) -> Option<&ClientKey> {
        match self {
            Self::Offered { client, .. } | Self::Bound { client, .. } => Some(client),
            Self::Free | Self::Declined { .. } => None,
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        match self {
            Self::Free => false,
            Self::Offered { until, .. } | Self::Bound { until, .. } | Self::Declined { until } => {
                *until <= now
            }
        }
    }
}

/// A request as the server looks at it.
struct Request<'a> {
    header: Header,
    client: ClientKey,
    /// Option 61, to be echoed (RFC 6842 §3).
    identifier: Option<Vec<u8>>,
    requested: Option<Ipv4Addr>,
    server_identifier: Option<Ipv4Addr>,
    message: Message<'a>,
}

impl<'a> Request<'a> {
    /// `None` for what no Ethernet client of this link sends.
    fn read(message: Message<'a>) -> Option<Self> {
        let header = message.header;
        let ours = (header.op, header.htype, header.hlen) == (BOOTREQUEST, ETHERNET, 6);
        if !ours || !header.giaddr.is_unspecified() {
            return None;
        }
        let mut scratch = [0; 255];
        let identifier = message.value(code::CLIENT_IDENTIFIER, &mut scratch).ok()?;
        // RFC 2132 §9.14: at least a type and an octet.
        let identifier = identifier.map(|v| v.bytes().to_vec()).filter(|id| id.len() >= 2);
        let mac = header.chaddr.into_iter().take(6);
        let client =
            identifier.clone().unwrap_or_else(|| std::iter::once(ETHERNET).chain(mac).collect());
        let address = |code| message.first(code).and_then(Value::address);
        Some(Self {
            header,
            client,
            identifier,
            requested: address(code::REQUESTED_ADDRESS),
            server_identifier: address(code::SERVER_IDENTIFIER),
            message,
        })
    }

    /// Whether an option is asked for; without a list all are.
    fn wants(&self, code: u8) -> bool {
        let mut lists = self.message.pieces(code::PARAMETER_REQUEST).peekable();
        lists.peek().is_none() || lists.any(|list| list.contains(&code))
    }

    fn has(&self, code: u8) -> bool {
        self.message.first(code).is_some()
    }
}

/// What the server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Offer(Ipv4Addr),
    Ack(Ipv4Addr),
    /// The second of two messages. RFC 4039.
    RapidAck(Ipv4Addr),
    /// Options alone.
    Informed,
    Nak,
}

/// A server for one link.
#[derive(Clone, Debug)]
pub struct DhcpServer {
    network: Network,
    /// One for each address of the pool.
    slots: Vec<Slot>,
}

impl DhcpServer {
    /// A server with nobody's lease.
    pub fn new(network: Network) -> Self {
        let slots = vec![Slot::Free; usize::from(network.count)];
        Self { network, slots }
    }

    /// Writes the reply to `request`, a UDP payload, into `out`; gives where it is to be sent and its
    /// length. Whom an ordinary socket cannot reach yet is answered by broadcast, which RFC 2131
    /// §4.1 allows.
    pub fn reply(
        &mut self,
        request: &[u8],
        now: Instant,
        out: &mut [u8],
    ) -> Option<(SocketAddrV4, usize)> {
        let message = Message::parse(request).ok()?;
        let kind = message.message_type()?;
        let request = Request::read(message)?;
        for slot in self.slots.iter_mut().filter(|slot| slot.is_over(now)) {
            *slot = Slot::Free;
        }
        let answer = match kind {
            MessageType::Discover => self.discover(&request, now)?,
            MessageType::Request => self.request(&request, now)?,
            MessageType::Inform if !request.header.ciaddr.is_unspecified() => Answer::Informed,
            MessageType::Decline => {
                self.end(&request, request.requested, Slot::Declined { until: now + DECLINED_FOR });
                return None;
            }
            MessageType::Release => {
                self.end(&request, Some(request.header.ciaddr), Slot::Free);
                return None;
            }
            _ => return None,
        };
        let length = self.write(&request, answer, out).ok()?;
        // RFC 2131 §4.1: a NAK is broadcast; a client with an address is answered there.
        let ciaddr = request.header.ciaddr;
        let broadcast = answer == Answer::Nak || ciaddr.is_unspecified();
        let to = if broadcast { Ipv4Addr::BROADCAST } else { ciaddr };
        Some((SocketAddrV4::new(to, CLIENT_PORT), length))
    }

    /// The leases that hold, by client identifier or hardware type and address.
    pub fn bound(&self) -> impl Iterator<Item = (Ipv4Addr, &[u8])> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| match slot {
            Slot::Bound { client, .. } => Some((self.address(index), client.as_slice())),
            _ => None,
        })
    }

    fn address(&self, index: usize) -> Ipv4Addr {
        let offset = u32::try_from(index).unwrap_or(u32::MAX);
        Ipv4Addr::from(u32::from(self.network.first).saturating_add(offset))
    }

    fn index(&self, address: Ipv4Addr) -> Option<usize> {
        let offset = u32::from(address).checked_sub(u32::from(self.network.first))?;
        usize::try_from(offset).ok().filter(|&index| index < self.slots.len())
    }

    /// The slot that a client has.
    fn slot_of(&self, client: &ClientKey) -> Option<usize> {
        self.slots.iter().position(|slot| slot.client() == Some(client))
    }

    /// RFC 2131 §4.3.1: the address that the client has, or the one that it wishes, or any.
    fn discover(&mut self, request: &Request<'_>, now: Instant) -> Option<Answer> {
        if request.server_identifier.is_some() || !request.header.ciaddr.is_unspecified() {
            return None;
        }
        let is_free = |index: &usize| self.slots.get(*index) == Some(&Slot::Free);
        let known = self.slot_of(&request.client);
        let wished = || request.requested.and_then(|a| self.index(a)).filter(is_free);
        let any = || self.slots.iter().position(|slot| *slot == Slot::Free);
        let index = known.or_else(wished).or_else(any)?;
        let client = request.client.clone();
        if self.network.rapid_commit && request.has(code::RAPID_COMMIT) {
            self.bind(index, client, now);
            return Some(Answer::RapidAck(self.address(index)));
        }
        if let Some(slot @ (Slot::Free | Slot::Offered { .. })) = self.slots.get_mut(index) {
            *slot = Slot::Offered { client, until: now + OFFER_FOR };
        }
        Some(Answer::Offer(self.address(index)))
    }

    /// RFC 2131 §4.3.2; Table 4 tells the cases apart.
    fn request(&mut self, request: &Request<'_>, now: Instant) -> Option<Answer> {
        let known = self.slot_of(&request.client);
        let ciaddr = Some(request.header.ciaddr).filter(|a| !a.is_unspecified());
        let claimed = match (request.server_identifier, request.requested, ciaddr) {
            // SELECTING.
            (Some(server), Some(requested), None) if server == self.network.server => requested,
            // Another server's offer was taken: ours is void.
            (Some(_), Some(_), None) => {
                self.end(request, known.map(|index| self.address(index)), Slot::Free);
                return None;
            }
            // INIT-REBOOT.
            (None, Some(requested), None) => requested,
            // RENEWING, REBINDING.
            (None, None, Some(ciaddr)) => ciaddr,
            _ => return None,
        };
        if !self.network.is_on_link(claimed) {
            return Some(Answer::Nak);
        }
        match known {
            Some(index) if self.address(index) == claimed => {
                self.bind(index, request.client.clone(), now);
                Some(Answer::Ack(claimed))
            }
            Some(_) => Some(Answer::Nak),
            // RFC 2131 §4.3.2: of a client without a record nothing is said, unless it took our
            // offer, which has lapsed.
            None => request.server_identifier.map(|_| Answer::Nak),
        }
    }

    fn bind(&mut self, index: usize, client: ClientKey, now: Instant) {
        if let Some(slot) = self.slots.get_mut(index) {
            let until = now + Duration::from_secs(self.network.lease_s.into());
            *slot = Slot::Bound { client, until };
        }
    }

    /// Ends what a client has, if it is this address.
    fn end(&mut self, request: &Request<'_>, address: Option<Ipv4Addr>, next: Slot) {
        let index = address.and_then(|address| self.index(address));
        if let Some(slot) = index.and_then(|index| self.slots.get_mut(index)) {
            if slot.client() == Some(&request.client) {
                *slot = next;
            }
        }
    }

    /// RFC 2131 Table 3.
    fn write(&self, request: &Request<'_>, answer: Answer, out: &mut [u8]) -> Result<usize, Full> {
        let (kind, yiaddr) = match answer {
            Answer::Offer(address) => (MessageType::Offer, address),
            Answer::Ack(address) | Answer::RapidAck(address) => (MessageType::Ack, address),
            Answer::Informed => (MessageType::Ack, Ipv4Addr::UNSPECIFIED),
            Answer::Nak => (MessageType::Nak, Ipv4Addr::UNSPECIFIED),
        };
        let mut header = request.header.reply(yiaddr);
        if answer == Answer::Nak {
            header.ciaddr = Ipv4Addr::UNSPECIFIED;
        }
        let size = request.message.first(code::MAX_MESSAGE_SIZE).and_then(Value::u16);
        let size = usize::from(size.unwrap_or(0).max(MESSAGE_SIZE_MIN) - HEADERS_LEN);
        let size = size.min(out.len());
        let mut w = MessageWriter::new(out.get_mut(..size).ok_or(Full)?, &header, kind)?;
        w.address(code::SERVER_IDENTIFIER, self.network.server)?;
        if let Some(identifier) = &request.identifier {
            w.option(code::CLIENT_IDENTIFIER, identifier)?;
        }
        match answer {
            Answer::Nak => w.option(code::MESSAGE, b"not your address")?,
            Answer::Informed => self.network.write(&mut w, |code| request.wants(code))?,
            Answer::Offer(_) | Answer::Ack(_) | Answer::RapidAck(_) => {
                w.u32(code::LEASE_TIME, self.network.lease_s)?;
                w.u32(code::RENEWAL_TIME, self.network.t1_s)?;
                w.u32(code::REBINDING_TIME, self.network.t2_s)?;
                if matches!(answer, Answer::RapidAck(_)) {
                    w.option(code::RAPID_COMMIT, &[])?;
                }
                self.network.write(&mut w, |code| request.wants(code))?;
            }
        }
        w.finish().map(|bytes| bytes.len())
    }
}

#[cfg(test)]
mod tests;
