//! Interfaces, addresses and routes over rtnetlink: requests that are answered at once, and the watch.
//!
//! Messages are made and read by hand, in memory that is lent. The kernel works a request off inside
//! the send(2) that brings it, so that the answer can be read without waiting: nothing here blocks.

use core::ffi::c_int;
use core::net::Ipv4Addr;

use bringup_core::client::Mac;
use bringup_core::platform::{AddressConfig, Interface, InterfaceChange, RouteConfig};

use super::error::{Call, EBADF, EEXIST, EINVAL, EMFILE, ENOBUFS, ENOSPC, EPROTO, TinyError};
use super::sys::{self, Address};

/// Longer than any message that the kernel makes, and than the pieces in which it tells what there is.
#[derive(Debug)]
pub(super) struct Buffer([u8; 8_192]);

impl Buffer {
    pub(super) const fn new() -> Self {
        Self([0; 8_192])
    }
}

/// The groups that a watch joins, a bit each: RTNLGRP_LINK (1) and RTNLGRP_IPV4_IFADDR (5).
const WATCH_GROUPS: u32 = 1 << 0 | 1 << 4;

/// How many datagrams are read for one answer, which is one or two; what else is there answers a
/// request that was given up.
const MAX_DATAGRAMS: u32 = 64;

// linux/netlink.h
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
const DUMP_INTR: u16 = 0x10;
const REPLACE: u16 = 0x100;
const EXCL: u16 = 0x200;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;

// linux/rtnetlink.h
const NEW_LINK: u16 = 16;
const DEL_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const SET_LINK: u16 = 19;
const NEW_ADDRESS: u16 = 20;
const DEL_ADDRESS: u16 = 21;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const DEL_ROUTE: u16 = 25;

/// How long the fixed part of each is.
const LINK_BODY: usize = 16;
const ADDRESS_BODY: usize = 8;
const ROUTE_BODY: usize = 12;

const AF_INET: u8 = 2;
const IFF_UP: u32 = 1;
const IFF_BROADCAST: u32 = 2;
const IFF_LOWER_UP: u32 = 0x1_0000;
const ARPHRD_ETHER: u16 = 1;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_CARRIER_CHANGES: u16 = 35;
const OPER_TESTING: u8 = 4;
const OPER_DORMANT: u8 = 5;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_CACHEINFO: u16 = 6;
const IFA_F_PERMANENT: u8 = 0x80;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_DHCP: u8 = 16;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
const RT_SCOPE_NOWHERE: u8 = 255;
const RTN_UNICAST: u8 = 1;
const RTNH_F_ONLINK: u32 = 4;

/// The longest name of an interface, `IFNAMSIZ` less its terminator.
const MAX_NAME: usize = 15;

/// The lifetime that never ends, `INFINITY_LIFE_TIME`.
const FOREVER: u32 = u32::MAX;

const fn failed(errno: i32) -> TinyError {
    TinyError::new(Call::Netlink, errno)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    array(bytes, at).map_or(0, u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    array(bytes, at).map_or(0, u32::from_ne_bytes)
}

/// A request that is being made: its header, its fixed part, its attributes.
struct Draft {
    bytes: [u8; 96],
    length: usize,
}

impl Draft {
    fn new(kind: u16, body: &[u8]) -> Self {
        let mut draft = Self { bytes: [0; 96], length: 0 };
        draft.put(&[0; 16]);
        draft.set(4, &kind.to_ne_bytes());
        draft.put(body);
        draft
    }

    /// Puts bytes at the end, and pads them to four. All that is put fits: seven attributes at the most,
    /// of known lengths.
    fn put(&mut self, bytes: &[u8]) {
        let room = self.bytes.get_mut(self.length..).unwrap_or(&mut []);
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.length = (self.length + bytes.len()).next_multiple_of(4).min(self.bytes.len());
    }

    fn attribute(&mut self, kind: u16, data: &[u8]) {
        let [a, b] = u16::try_from(4 + data.len()).unwrap_or(4).to_ne_bytes();
        let [c, d] = kind.to_ne_bytes();
        self.put(&[a, b, c, d]);
        self.put(data);
    }

    fn with(mut self, kind: u16, data: &[u8]) -> Self {
        self.attribute(kind, data);
        self
    }

    fn set(&mut self, at: usize, bytes: &[u8]) {
        let places = self.bytes.iter_mut().skip(at);
        places.zip(bytes).for_each(|(to, from)| *to = *from);
    }

    fn finish(&mut self, flags: u16, sequence: u32) -> &[u8] {
        let length = u32::try_from(self.length).unwrap_or(0);
        self.set(0, &length.to_ne_bytes());
        self.set(6, &(REQUEST | flags).to_ne_bytes());
        self.set(8, &sequence.to_ne_bytes());
        self.bytes.get(..self.length).unwrap_or(&[])
    }
}

/// A message that was received.
struct Message<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
}

/// The messages in one datagram. One that cannot be read ends it, and counts as an overrun.
struct Datagram<'a>(&'a [u8]);

impl<'a> Iterator for Datagram<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        if self.0.is_empty() {
            return None;
        }
        let length = usize::try_from(u32_at(self.0, 0)).unwrap_or(0);
        let Some(body) = self.0.get(16..length) else {
            self.0 = &[];
            return Some(Message { kind: NLMSG_OVERRUN, flags: 0, sequence: 0, body: &[] });
        };
        let (kind, flags, sequence) = (u16_at(self.0, 4), u16_at(self.0, 6), u32_at(self.0, 8));
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(Message { kind, flags, sequence, body })
    }
}

/// The data of an attribute.
fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (length, kind) = (usize::from(u16_at(bytes, 0)), u16_at(bytes, 2));
        let data = bytes.get(4..length)?;
        if kind == wanted {
            return Some(data);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

fn describe(body: &[u8]) -> Interface {
    let flags = u32_at(body, 8);
    let attributes = body.get(LINK_BODY..).unwrap_or(&[]);
    let mac = attribute(attributes, IFLA_ADDRESS).and_then(|data| data.try_into().ok());
    let state = attribute(attributes, IFLA_OPERSTATE).and_then(|data| data.first());
    // LOWER_UP says how things are; the operational state follows it by up to a second. Only those
    // that forbid traffic on a good cable count (RFC 2863 §3.1.12).
    let forbidden = state.is_some_and(|state| [OPER_DORMANT, OPER_TESTING].contains(state));
    let number = |kind| attribute(attributes, kind).map_or(0, |data| u32_at(data, 0));
    Interface {
        index: u32_at(body, 4),
        mac: Mac(mac.unwrap_or_default()),
        mtu: number(IFLA_MTU),
        up: flags & IFF_UP != 0,
        carrier: flags & IFF_LOWER_UP != 0 && !forbidden,
        carrier_changes: number(IFLA_CARRIER_CHANGES),
        ethernet: u16_at(body, 2) == ARPHRD_ETHER && flags & IFF_BROADCAST != 0,
    }
}

/// What a notice says, if it is about what the contract asks for.
fn change_of(message: &Message<'_>) -> Option<InterfaceChange> {
    let body = message.body;
    if message.flags & DUMP_INTR != 0 {
        return Some(InterfaceChange::Overrun);
    }
    match message.kind {
        // A bridge tells of its ports in link messages of its own family: one that leaves the bridge
        // is not gone.
        NEW_LINK | DEL_LINK if body.first() != Some(&0) => None,
        NEW_LINK => Some(InterfaceChange::Is(describe(body))),
        DEL_LINK => Some(InterfaceChange::Gone { index: u32_at(body, 4) }),
        DEL_ADDRESS => {
            let local = attribute(body.get(ADDRESS_BODY..)?, IFA_LOCAL)?;
            let address = Ipv4Addr::from(array::<4>(local, 0)?);
            Some(InterfaceChange::AddressRemoved { index: u32_at(body, 4), address })
        }
        NLMSG_ERROR | NLMSG_OVERRUN => Some(InterfaceChange::Overrun),
        _ => None,
    }
}

fn open(groups: u32) -> Result<c_int, TinyError> {
    let fd = sys::socket(Call::Netlink, sys::AF_NETLINK, sys::SOCK_RAW, 0)?;
    match sys::bind(Call::Netlink, fd, &Address::netlink(groups)) {
        Ok(()) => Ok(fd),
        Err(error) => {
            sys::close(fd);
            Err(error)
        }
    }
}

fn send(fd: c_int, bytes: &[u8]) -> Result<(), TinyError> {
    sys::send_to(Call::Netlink, fd, bytes, &Address::netlink(0))
}

/// A datagram of the kernel's; an empty one if somebody else sent it.
fn receive(fd: c_int, buffer: &mut [u8]) -> Result<Option<usize>, TinyError> {
    let Some(message) = sys::receive(Call::Netlink, fd, buffer, &mut [])? else { return Ok(None) };
    Ok(Some(if message.address.is_kernel() { message.length } else { 0 }))
}

/// A socket for requests, opened when it is first needed.
#[derive(Debug)]
pub(super) struct Requests<'m> {
    fd: Option<c_int>,
    sequence: u32,
    buffer: &'m mut [u8],
}

impl<'m> Requests<'m> {
    pub(super) fn new(buffer: &'m mut Buffer) -> Self {
        Self { fd: None, sequence: 0, buffer: &mut buffer.0 }
    }

    pub(super) fn close(&mut self) {
        if let Some(fd) = self.fd.take() {
            sys::close(fd);
        }
    }

    /// Sends a request, shows what comes for it, and returns how it ended.
    fn exchange(
        &mut self,
        mut draft: Draft,
        flags: u16,
        each: &mut dyn FnMut(&Message<'_>),
    ) -> Result<(), TinyError> {
        let fd = match self.fd {
            Some(fd) => fd,
            None => *self.fd.insert(open(0)?),
        };
        self.sequence = self.sequence.wrapping_add(1);
        send(fd, draft.finish(flags, self.sequence))?;
        for _ in 0..MAX_DATAGRAMS {
            let Some(length) = receive(fd, self.buffer)? else { break };
            for message in Datagram(self.buffer.get(..length).unwrap_or(&[])) {
                if message.sequence != self.sequence {
                    continue;
                }
                match message.kind {
                    NLMSG_ERROR => {
                        let errno = array(message.body, 0).map_or(EPROTO, i32::from_ne_bytes);
                        return if errno == 0 { Ok(()) } else { Err(failed(-errno)) };
                    }
                    NLMSG_DONE => return Ok(()),
                    _ => each(&message),
                }
            }
        }
        Err(failed(EPROTO))
    }

    fn request(&mut self, draft: Draft, flags: u16) -> Result<(), TinyError> {
        self.exchange(draft, flags | ACK, &mut |_| {})
    }

    pub(super) fn interface(&mut self, name: &str) -> Result<Interface, TinyError> {
        if name.is_empty() || name.len() > MAX_NAME || name.bytes().any(|b| matches!(b, b'/' | 0)) {
            return Err(failed(EINVAL));
        }
        // What is left of it are terminators.
        let mut text = [0; MAX_NAME + 1];
        text.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
        let draft = Draft::new(GET_LINK, &[0; LINK_BODY]).with(IFLA_IFNAME, &text);
        let mut found = Err(failed(EPROTO));
        self.exchange(draft, ACK, &mut |message| {
            if message.kind == NEW_LINK {
                found = Ok(describe(message.body));
            }
        })?;
        found
    }

    pub(super) fn interface_up(&mut self, index: u32) -> Result<(), TinyError> {
        self.request(Draft::new(SET_LINK, &link_body(index, IFF_UP, IFF_UP)), 0)
    }

    pub(super) fn interface_down(&mut self, index: u32) -> Result<(), TinyError> {
        self.request(Draft::new(SET_LINK, &link_body(index, 0, IFF_UP)), 0)
    }

    pub(super) fn mtu_set(&mut self, index: u32, mtu: u32) -> Result<(), TinyError> {
        let draft = Draft::new(SET_LINK, &link_body(index, 0, 0));
        self.request(draft.with(IFLA_MTU, &mtu.to_ne_bytes()), 0)
    }

    /// Adds an address or renews the lifetime of one that is there and has one: a DHCP client put it
    /// there, perhaps this one before it was killed. What is there for good is the operator's.
    pub(super) fn address_add(
        &mut self,
        index: u32,
        config: &AddressConfig,
    ) -> Result<(), TinyError> {
        let draft = || {
            let mut draft = address(NEW_ADDRESS, index, config);
            if let Some(broadcast) = config.broadcast {
                draft.attribute(IFA_BROADCAST, &broadcast.octets());
            }
            let [a, b, c, d] = config.valid_s.unwrap_or(FOREVER).to_ne_bytes();
            // Preferred and valid; the kernel fills in the rest.
            draft.with(IFA_CACHEINFO, &[a, b, c, d, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0])
        };
        match self.request(draft(), CREATE | EXCL) {
            Err(TinyError { errno: EEXIST, .. }) => {}
            result => return result,
        }
        if self.is_permanent(index, config)? {
            return Err(failed(EEXIST));
        }
        self.request(draft(), CREATE | REPLACE)
    }

    fn is_permanent(&mut self, index: u32, config: &AddressConfig) -> Result<bool, TinyError> {
        let mut permanent = false;
        let all = Draft::new(GET_ADDRESS, &[AF_INET, 0, 0, 0, 0, 0, 0, 0]);
        let local = config.address.octets();
        self.exchange(all, DUMP, &mut |message| {
            let body = message.body;
            let attributes = body.get(ADDRESS_BODY..).unwrap_or(&[]);
            permanent |= u32_at(body, 4) == index
                && body.get(1) == Some(&config.prefix)
                && attribute(attributes, IFA_LOCAL) == Some(&local)
                && body.get(2).is_some_and(|flags| flags & IFA_F_PERMANENT != 0);
        })?;
        Ok(permanent)
    }

    pub(super) fn address_remove(
        &mut self,
        index: u32,
        config: &AddressConfig,
    ) -> Result<(), TinyError> {
        self.request(address(DEL_ADDRESS, index, config), 0)
    }

    /// Adds a route behind others with its destination and metric. A router that no prefix of the
    /// interface covers (common with prefixes of 32 bits) is taken to be on the link.
    pub(super) fn route_add(&mut self, index: u32, config: &RouteConfig) -> Result<(), TinyError> {
        use bringup_core::error::ErrorKind::Unreachable;
        use bringup_core::platform::PlatformError;
        let scope = if config.gateway.is_some() { RT_SCOPE_UNIVERSE } else { RT_SCOPE_LINK };
        match self.request(route(NEW_ROUTE, index, config, scope, 0), CREATE | APPEND) {
            Err(error) if config.gateway.is_some() && error.kind() == Unreachable => {
                let draft = route(NEW_ROUTE, index, config, scope, RTNH_F_ONLINK);
                self.request(draft, CREATE | APPEND)
            }
            result => result,
        }
    }

    /// Removes a route of any scope; but only what this program, or another DHCP client, has added.
    pub(super) fn route_remove(
        &mut self,
        index: u32,
        config: &RouteConfig,
    ) -> Result<(), TinyError> {
        self.request(route(DEL_ROUTE, index, config, RT_SCOPE_NOWHERE, 0), 0)
    }
}

/// `struct ifinfomsg`: of the flags, these are to be changed.
fn link_body(index: u32, flags: u32, change: u32) -> [u8; LINK_BODY] {
    let ([a, b, c, d], [e, f, g, h]) = (index.to_ne_bytes(), flags.to_ne_bytes());
    let [i, j, k, l] = change.to_ne_bytes();
    [0, 0, 0, 0, a, b, c, d, e, f, g, h, i, j, k, l]
}

/// `struct ifaddrmsg` and the address.
fn address(kind: u16, index: u32, config: &AddressConfig) -> Draft {
    let [a, b, c, d] = index.to_ne_bytes();
    let ip = config.address.octets();
    Draft::new(kind, &[AF_INET, config.prefix, 0, 0, a, b, c, d])
        .with(IFA_LOCAL, &ip)
        .with(IFA_ADDRESS, &ip)
}

/// `struct rtmsg` and its attributes.
fn route(kind: u16, index: u32, config: &RouteConfig, scope: u8, flags: u32) -> Draft {
    let [a, b, c, d] = flags.to_ne_bytes();
    let body: [u8; ROUTE_BODY] = [
        AF_INET,
        config.prefix,
        0,
        0,
        RT_TABLE_MAIN,
        RTPROT_DHCP,
        scope,
        if kind == NEW_ROUTE { RTN_UNICAST } else { 0 },
        a,
        b,
        c,
        d,
    ];
    let mut draft = Draft::new(kind, &body);
    if config.prefix > 0 {
        // The kernel refuses a destination with bits behind the prefix, and servers send them.
        let host_bits = 32_u32.saturating_sub(config.prefix.into());
        let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
        draft.attribute(RTA_DST, &(u32::from(config.destination) & mask).to_be_bytes());
    }
    let optional = [(RTA_GATEWAY, config.gateway), (RTA_PREFSRC, config.source)];
    for (kind, ip) in optional {
        if let Some(ip) = ip {
            draft.attribute(kind, &ip.octets());
        }
    }
    draft.with(RTA_OIF, &index.to_ne_bytes()).with(RTA_PRIORITY, &config.metric.to_ne_bytes())
}

/// The socket that hears of changes, and first of all of the links that are there.
#[derive(Debug)]
pub(super) struct Watch<'m> {
    fd: Option<c_int>,
    buffer: &'m mut [u8],
    /// What of the buffer is still to be told.
    rest: core::ops::Range<usize>,
}

impl<'m> Watch<'m> {
    pub(super) fn new(buffer: &'m mut Buffer) -> Self {
        Self { fd: None, buffer: &mut buffer.0, rest: 0..0 }
    }

    pub(super) fn open(&mut self) -> Result<c_int, TinyError> {
        if self.fd.is_some() {
            return Err(failed(EMFILE));
        }
        let fd = open(WATCH_GROUPS)?;
        // Asked for after joining, so that no change falls between.
        let asked = send(fd, Draft::new(GET_LINK, &[0; LINK_BODY]).finish(DUMP, 1));
        if let Err(error) = asked {
            sys::close(fd);
            return Err(error);
        }
        (self.fd, self.rest) = (Some(fd), 0..0);
        Ok(fd)
    }

    pub(super) fn close(&mut self) {
        if let Some(fd) = self.fd.take() {
            sys::close(fd);
        }
    }

    /// Closes it if that is its descriptor; whether it was.
    pub(super) fn forget(&mut self, fd: c_int) -> bool {
        let own = self.fd == Some(fd);
        if own {
            self.close();
        }
        own
    }

    /// The next change. A datagram may hold several: ask until there is none.
    pub(super) fn receive(&mut self, fd: c_int) -> Result<Option<InterfaceChange>, TinyError> {
        if self.fd != Some(fd) {
            return Err(failed(EBADF));
        }
        for _ in 0..MAX_DATAGRAMS {
            let mut datagram = Datagram(self.buffer.get(self.rest.clone()).unwrap_or(&[]));
            while let Some(message) = datagram.next() {
                if let Some(change) = change_of(&message) {
                    self.rest.start = self.rest.end - datagram.0.len();
                    return Ok(Some(change));
                }
            }
            self.rest = 0..0;
            match receive(fd, self.buffer) {
                Ok(None) => return Ok(None),
                Ok(Some(length)) if length <= self.buffer.len() => self.rest = 0..length,
                // Longer than any that the kernel makes.
                Ok(Some(_)) | Err(TinyError { errno: ENOBUFS | ENOSPC, .. }) => {
                    return Ok(Some(InterfaceChange::Overrun));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn unreadable_datagrams_end() {
        let mut draft =
            Draft::new(GET_LINK, &link_body(3, IFF_UP, IFF_UP)).with(IFLA_MTU, &[1, 2, 3, 4]);
        let good = draft.finish(DUMP, 9).to_vec();
        let read: std::vec::Vec<_> =
            Datagram(&good).map(|m| (m.kind, m.flags, m.sequence)).collect();
        assert_eq!(read, [(GET_LINK, REQUEST | DUMP, 9)]);
        for end in 1..good.len() {
            let kinds: std::vec::Vec<_> = Datagram(&good[..end]).map(|m| m.kind).collect();
            assert_eq!(kinds, [NLMSG_OVERRUN], "cut at {end}");
        }
        for length in [0_u32, 1, 15, 17, u32::MAX] {
            let mut lying = [good.clone(), good.clone()].concat();
            lying[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(Datagram(&lying).count() <= 4, "length {length}");
        }
    }

    #[test]
    fn attributes_are_found_and_lying_ones_are_not() {
        let mut bytes = std::vec![5, 0, 1, 0, 7, 0, 0, 0];
        bytes.extend([8, 0, 4, 0, 1, 2, 3, 4]);
        if cfg!(target_endian = "big") {
            bytes = std::vec![0, 5, 0, 1, 7, 0, 0, 0, 0, 8, 0, 4, 1, 2, 3, 4];
        }
        assert_eq!(attribute(&bytes, 1), Some(&[7][..]));
        assert_eq!(attribute(&bytes, 4), Some(&[1, 2, 3, 4][..]));
        assert_eq!(attribute(&bytes, 3), None);
        for length in [0_u16, 3, 200] {
            let [a, b] = length.to_ne_bytes();
            (bytes[0], bytes[1]) = (a, b);
            assert_eq!(attribute(&bytes, 4), None, "length {length}");
        }
    }

    #[test]
    fn the_longest_request_fits() {
        let ip = Ipv4Addr::new(192, 0, 2, 1);
        let config = RouteConfig {
            destination: ip,
            prefix: 24,
            gateway: Some(ip),
            source: Some(ip),
            metric: 7,
        };
        assert!(route(NEW_ROUTE, 1, &config, 0, 0).length < 96);
        let config =
            AddressConfig { address: ip, prefix: 24, broadcast: Some(ip), valid_s: Some(9) };
        let draft = address(NEW_ADDRESS, 1, &config).with(IFA_BROADCAST, &[0; 4]);
        assert!(draft.with(IFA_CACHEINFO, &[0; 16]).length < 96);
        let [named, body] = [[0; MAX_NAME + 1], [0; LINK_BODY]];
        assert!(Draft::new(GET_LINK, &body).with(IFLA_IFNAME, &named).length < 96);
    }
}
