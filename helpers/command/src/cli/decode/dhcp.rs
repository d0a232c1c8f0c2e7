//! A DHCP message in the field's words.

use std::fmt::{self, Display, Formatter};
use std::net::Ipv4Addr;

use serde::Serialize;

use bringup_dhcp::code;
use bringup_dhcp::message::{BOOTREQUEST, ETHERNET, FLAG_BROADCAST, Header, Malformed, Message};
use bringup_dhcp::options::{DhcpOption, Value};

/// What a DHCP message says. RFC 2131 Figure 1.
#[derive(Clone, Debug, Serialize)]
pub struct Fields {
    op: u8,
    htype: u8,
    hlen: u8,
    hops: u8,
    xid: u32,
    secs: u16,
    broadcast: bool,
    ciaddr: Ipv4Addr,
    yiaddr: Ipv4Addr,
    siaddr: Ipv4Addr,
    giaddr: Ipv4Addr,
    /// For Ethernet with colons, else its 16 octets in hexadecimal.
    chaddr: String,
    /// The server's name, if it has one and option 52 has not put options there.
    #[serde(skip_serializing_if = "Option::is_none")]
    sname: Option<String>,
    /// The field `file`, likewise; the input has that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    bootfile: Option<String>,
    /// Option 53; `null` for BOOTP, and for a type that nobody has registered.
    message_type: Option<&'static str>,
    /// Every option as it stands there, overload followed; one that was split shows as several.
    options: Vec<OptionFields>,
    /// The codes of options that run past the end of their field. They and what may follow are not there for a client,
    /// which takes the rest of the message all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cut_off: Vec<u8>,
}

/// An option.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OptionFields {
    /// Its code.
    pub code: u8,
    /// What it is called in the IANA registry, where this program knows it.
    pub name: Option<&'static str>,
    /// In hexadecimal.
    pub data: String,
    /// In words, where its kind is known and its length right.
    pub value: Option<String>,
}

impl OptionFields {
    /// Explains an option.
    pub fn of(option: DhcpOption<'_>) -> Self {
        let described = describe(option.code);
        Self {
            code: option.code,
            name: described.map(|(name, _)| name),
            data: super::hex(option.value.bytes()),
            value: described.and_then(|(_, kind)| explain(kind, option.value)),
        }
    }
}

impl Display for OptionFields {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let text = self.value.as_ref().unwrap_or(&self.data);
        write!(f, "{:>3} {:<18} {text}", self.code, self.name.unwrap_or("?"))
    }
}

/// What an option is called.
pub(super) const fn option_name(code: u8) -> Option<&'static str> {
    match describe(code) {
        Some((name, _)) => Some(name),
        None => None,
    }
}

/// How the octets of an option are to be read.
#[derive(Clone, Copy)]
enum Kind {
    Address,
    Addresses,
    Seconds,
    Octets16,
    Mask,
    Text,
    Type,
    Codes,
    Search,
    Routes,
    Opaque,
}

/// An option's name and kind.
const fn describe(code: u8) -> Option<(&'static str, Kind)> {
    Some(match code {
        code::SUBNET_MASK => ("subnet-mask", Kind::Mask),
        code::ROUTER => ("router", Kind::Addresses),
        code::DNS_SERVER => ("dns-server", Kind::Addresses),
        code::HOST_NAME => ("host-name", Kind::Text),
        code::DOMAIN_NAME => ("domain-name", Kind::Text),
        code::INTERFACE_MTU => ("interface-mtu", Kind::Octets16),
        code::BROADCAST_ADDRESS => ("broadcast-address", Kind::Address),
        code::STATIC_ROUTE => ("static-route", Kind::Addresses),
        code::NTP_SERVER => ("ntp-server", Kind::Addresses),
        code::VENDOR_SPECIFIC => ("vendor-specific", Kind::Opaque),
        code::REQUESTED_ADDRESS => ("requested-address", Kind::Address),
        code::LEASE_TIME => ("lease-time", Kind::Seconds),
        code::OVERLOAD => ("overload", Kind::Opaque),
        code::MESSAGE_TYPE => ("message-type", Kind::Type),
        code::SERVER_IDENTIFIER => ("server-identifier", Kind::Address),
        code::PARAMETER_REQUEST => ("parameter-request", Kind::Codes),
        code::MESSAGE => ("message", Kind::Text),
        code::MAX_MESSAGE_SIZE => ("max-message-size", Kind::Octets16),
        code::RENEWAL_TIME => ("renewal-time", Kind::Seconds),
        code::REBINDING_TIME => ("rebinding-time", Kind::Seconds),
        code::VENDOR_CLASS => ("vendor-class", Kind::Text),
        code::CLIENT_IDENTIFIER => ("client-identifier", Kind::Opaque),
        code::RAPID_COMMIT => ("rapid-commit", Kind::Opaque),
        code::CLIENT_FQDN => ("client-fqdn", Kind::Opaque),
        code::RELAY_AGENT => ("relay-agent", Kind::Opaque),
        code::POSIX_TIMEZONE => ("posix-timezone", Kind::Text),
        code::TZDB_TIMEZONE => ("tzdb-timezone", Kind::Text),
        code::IPV6_ONLY => ("ipv6-only", Kind::Seconds),
        code::CAPTIVE_PORTAL => ("captive-portal", Kind::Text),
        code::DOMAIN_SEARCH => ("domain-search", Kind::Search),
        code::CLASSLESS_ROUTE => ("classless-route", Kind::Routes),
        code::CLASSLESS_ROUTE_MS => ("classless-route-ms", Kind::Routes),
        code::DNR => ("dnr", Kind::Opaque),
        _ => return None,
    })
}

/// An option in words; `None` if its length is wrong for its kind, or there is nothing to say.
fn explain(kind: Kind, value: Value<'_>) -> Option<String> {
    let words = |words: Vec<String>| (!words.is_empty()).then(|| words.join(" "));
    match kind {
        Kind::Address => value.address().map(|a| a.to_string()),
        Kind::Addresses => words(value.addresses().map(|a| a.to_string()).collect()),
        Kind::Seconds => value.u32().map(|s| format!("{s} s")),
        Kind::Octets16 => value.u16().map(|n| n.to_string()),
        Kind::Mask => value.prefix_len().map(|n| format!("/{n}")),
        // What a server sends must not reach a terminal as it is.
        Kind::Text => Some(value.text().escape_ascii().to_string()),
        Kind::Type => message_type(value).map(str::to_owned),
        Kind::Codes => words(value.bytes().iter().map(u8::to_string).collect()),
        Kind::Search => words(value.search_names().map(|n| n.to_string()).collect()),
        Kind::Routes => {
            let routes = value.classless_routes()?;
            let route = |r: bringup_dhcp::route::Route| {
                format!("{}/{} via {}", r.destination, r.prefix_len, r.router)
            };
            Some(routes.map(route).collect::<Vec<_>>().join(", "))
        }
        Kind::Opaque => None,
    }
}

/// The name of a message's type: those of DHCP, and those in which relays ask servers about leases (RFC 4388,
/// RFC 6926, RFC 7724).
fn message_type(value: Value<'_>) -> Option<&'static str> {
    const LEASE_QUERY: [&str; 9] = [
        "LEASEQUERY",
        "LEASEUNASSIGNED",
        "LEASEUNKNOWN",
        "LEASEACTIVE",
        "BULKLEASEQUERY",
        "LEASEQUERYDONE",
        "ACTIVELEASEQUERY",
        "LEASEQUERYSTATUS",
        "TLS",
    ];
    let of = value.u8()?;
    let name = code::MessageType::from_u8(of).map(code::MessageType::name);
    name.or_else(|| LEASE_QUERY.get(usize::from(of.checked_sub(10)?)).copied())
}

/// The option of a field that runs past its end, if there is one.
fn cut_off(mut field: &[u8]) -> Option<u8> {
    loop {
        field = match field {
            [] | [code::END, ..] => return None,
            [code::PAD, rest @ ..] => rest,
            [code, length, rest @ ..] => match rest.get(usize::from(*length)..) {
                Some(rest) => rest,
                None => return Some(*code),
            },
            [code] => return Some(*code),
        }
    }
}

/// Reads a message.
pub(super) fn decode(bytes: &[u8]) -> Result<Fields, &'static str> {
    let message = Message::parse(bytes).map_err(Malformed::name)?;
    let header = message.header;
    let Header { op, htype, hlen, hops, xid, secs, flags, .. } = header;
    let options = message.options().map(OptionFields::of);
    let overload = message.first(code::OVERLOAD).and_then(Value::u8);
    let overload = overload.filter(|bits| (1..=3).contains(bits)).unwrap_or(0);
    let text = |bit: u8, field| (overload & bit == 0).then(|| string(field)).flatten();
    let fields = [(true, message.options), (overload & 1 != 0, message.file)];
    let fields = fields.into_iter().chain([(overload & 2 != 0, message.sname)]);
    Ok(Fields {
        op,
        htype,
        hlen,
        hops,
        xid,
        secs,
        broadcast: flags & FLAG_BROADCAST != 0,
        ciaddr: header.ciaddr,
        yiaddr: header.yiaddr,
        siaddr: header.siaddr,
        giaddr: header.giaddr,
        chaddr: chaddr(&header),
        sname: text(2, message.sname),
        bootfile: text(1, message.file),
        message_type: message.first(code::MESSAGE_TYPE).and_then(message_type),
        options: options.collect(),
        cut_off: fields.filter(|(counts, _)| *counts).filter_map(|(_, f)| cut_off(f)).collect(),
    })
}

/// What stands before the first NUL of a field, if anything.
fn string(field: &[u8]) -> Option<String> {
    let text = field.split(|&octet| octet == 0).next().filter(|text| !text.is_empty())?;
    Some(text.escape_ascii().to_string())
}

fn chaddr(header: &Header) -> String {
    match header.chaddr {
        [a, b, c, d, e, f, ..] if (header.htype, header.hlen) == (ETHERNET, 6) => {
            bringup_core::client::Mac([a, b, c, d, e, f]).to_string()
        }
        octets => super::hex(&octets),
    }
}

impl Display for Fields {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let side = if self.op == BOOTREQUEST { "client" } else { "server" };
        let kind = self.message_type.unwrap_or("without a type");
        write!(f, "DHCP {kind} of a {side}, xid {:08x}, secs {}", self.xid, self.secs)?;
        let flag = if self.broadcast { ", broadcast" } else { "" };
        write!(f, ", chaddr {}{flag}", self.chaddr)?;
        let addresses = [
            ("ciaddr", self.ciaddr),
            ("yiaddr", self.yiaddr),
            ("siaddr", self.siaddr),
            ("giaddr", self.giaddr),
        ];
        for (name, address) in addresses.iter().filter(|(_, a)| !a.is_unspecified()) {
            write!(f, ", {name} {address}")?;
        }
        let texts = [("sname", &self.sname), ("file", &self.bootfile)];
        for (name, text) in texts.iter().filter_map(|(name, text)| Some((name, text.as_ref()?))) {
            write!(f, ", {name} {text}")?;
        }
        for option in &self.options {
            write!(f, "\n  {option}")?;
        }
        for code in &self.cut_off {
            let name = option_name(*code).unwrap_or("?");
            write!(f, "\n  {code:>3} {name:<18} runs past the end: nothing from here on counts")?;
        }
        Ok(())
    }
}
