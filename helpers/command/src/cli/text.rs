//! How values are written on the command line: durations, servers, hosts, record types.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::str::FromStr;

use bringup_core::time::Duration;
use bringup_dhcp::name::DomainName;
use bringup_dns::RecordType;

/// Reads a duration: a whole number and a unit, `500ms`, `4s`, `2m` or `1h`. Zero is refused.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("`{text}` is not a duration; write a number and ms, s, m or h, as in 4s");
    let end = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(end);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit_us: u64 = match unit {
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        _ => return Err(wrong()),
    };
    let micros = number.checked_mul(unit_us).filter(|&us| us > 0).ok_or_else(wrong)?;
    Ok(Duration::from_micros(micros))
}

/// Reads a record type: a mnemonic, case ignored, or `TYPE123` (RFC 3597 §5).
pub fn record_type(text: &str) -> Result<RecordType, String> {
    // Type 0 is nobody's (RFC 6895 §3.1).
    RecordType::from_text(text).filter(|rtype| rtype.0 != 0).ok_or_else(|| {
        format!("`{text}` is not a record type; use one such as A, AAAA, MX or TXT, or TYPE123")
    })
}

/// A server by address, as it was written: `ADDR`, `ADDR:PORT`, `[ADDR6]:PORT`, and `%SCOPE` behind
/// an IPv6 address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// The address.
    pub ip: IpAddr,
    /// The interface of a link-local address, by name or number.
    pub scope: Option<String>,
    /// The port, if it was given.
    pub port: Option<u16>,
}

/// The interface that an address names does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownInterface(pub String);

impl ServerAddress {
    /// The socket address, with `port` if none was given. `index_of` knows interfaces by name.
    pub fn to_socket_addr(
        &self,
        port: u16,
        index_of: impl FnOnce(&str) -> Option<u32>,
    ) -> Result<SocketAddr, UnknownInterface> {
        let port = self.port.unwrap_or(port);
        let (IpAddr::V6(ip), Some(scope)) = (self.ip, &self.scope) else {
            return Ok(SocketAddr::new(self.ip, port));
        };
        let index = scope.parse().ok().or_else(|| index_of(scope));
        let scope_id = index.ok_or_else(|| UnknownInterface(scope.clone()))?;
        Ok(SocketAddrV6::new(ip, port, 0, scope_id).into())
    }
}

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`{text}` is not an address; write 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53")
        };
        let (host, port) = split_port(text).ok_or_else(wrong)?;
        let (ip, scope) = match host.split_once('%') {
            // No interface has a colon in its name: Linux would leave it and what follows away.
            Some((ip, scope)) if !scope.is_empty() && !scope.contains(':') => {
                (ip, Some(scope.to_owned()))
            }
            Some(_) => return Err(wrong()),
            None => (host, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| wrong())?;
        match ip {
            IpAddr::V4(_) if scope.is_some() => Err(wrong()),
            IpAddr::V6(v6) if scope.is_none() && is_link_local(v6) => Err(format!(
                "`{text}` is a link-local address; say on which interface, as in {ip}%eth0"
            )),
            _ => Ok(Self { ip, scope, port }),
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = self.scope.as_deref().map(|s| format!("%{s}")).unwrap_or_default();
        match (self.ip, self.port) {
            (ip, None) => write!(f, "{ip}{scope}"),
            (IpAddr::V4(ip), Some(port)) => write!(f, "{ip}:{port}"),
            (IpAddr::V6(ip), Some(port)) => write!(f, "[{ip}{scope}]:{port}"),
        }
    }
}

/// A server by address or by name: `HOST`, `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Address(ServerAddress),
    /// A name, still to be resolved.
    Name {
        /// As it was written.
        name: String,
        /// The port, if it was given.
        port: Option<u16>,
    },
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // What has a digit at its end and only digits and dots is meant as an address (RFC 1123
        // §2.1), and so is what has two colons or a bracket: a typing error in one is not a name.
        let host = split_port(text).map_or(text, |(host, _)| host);
        let last_label = host.rsplit('.').next().unwrap_or(host);
        let numeric = !last_label.is_empty() && last_label.bytes().all(|b| b.is_ascii_digit());
        if numeric || host.contains([':', '%']) || text.starts_with('[') {
            return text.parse().map(Self::Address);
        }
        let wrong = || format!("`{text}` is not a host; write a name or an address, and :PORT");
        // What no host is called (RFC 952, and the `_` of the field) need not be asked for.
        let is_name = |host: &str| DomainName::parse(host.as_bytes()).is_some();
        let (name, port) = split_port(text).filter(|(h, _)| is_name(h)).ok_or_else(wrong)?;
        Ok(Self::Name { name: name.to_owned(), port })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => fmt::Display::fmt(address, f),
            Self::Name { name, port: None } => f.write_str(name),
            Self::Name { name, port: Some(port) } => write!(f, "{name}:{port}"),
        }
    }
}

/// Takes a port off. With two colons and no brackets, all of it is an IPv6 address.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        // Brackets are for IPv6 (RFC 3986 §3.2.2).
        let port = match port {
            "" => None,
            port => Some(read_port(port.strip_prefix(':')?)?),
        };
        return host.contains(':').then_some((host, port));
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => Some((host, Some(read_port(port)?))),
        _ => Some((text, None)),
    }
}

/// Reads a port; 0 is none, and neither is `+53`.
fn read_port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|&port| digits && port != 0)
}

/// `fe80::/10`. RFC 4291 §2.5.6.
fn is_link_local(ip: Ipv6Addr) -> bool {
    ip.segments().first().is_some_and(|first| first & 0xFFC0 == 0xFE80)
}

/// A DHCP client identifier of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientId {
    /// Option 61 is not sent.
    Omitted,
    /// Its octets, the type first.
    Octets(Vec<u8>),
}

/// `none`, or octets in hexadecimal with or without colons between them: 2 to 255 (RFC 2132 §9.14).
pub fn client_id(text: &str) -> Result<ClientId, String> {
    if text == "none" {
        return Ok(ClientId::Omitted);
    }
    let wrong = || {
        format!("`{text}` is no client identifier; write 2 to 255 octets as in 01:0a:ff, or `none`")
    };
    let digits: Vec<u32> = text
        .split(':')
        .filter(|group| !group.is_empty() && group.len() % 2 == 0)
        .flat_map(|group| group.chars().map(|c| c.to_digit(16)))
        .collect::<Option<_>>()
        .ok_or_else(wrong)?;
    let written = text.chars().filter(|c| *c != ':').count();
    let octets: Vec<u8> = digits
        .chunks_exact(2)
        .filter_map(|pair| {
            u8::try_from(pair.iter().fold(0, |octet, digit| octet * 16 + digit)).ok()
        })
        .collect();
    let whole = octets.len() * 2 == written && (2..=255).contains(&octets.len());
    if whole { Ok(ClientId::Octets(octets)) } else { Err(wrong()) }
}

/// A DHCP option by its number, 1 to 254, or by the name under which `decode` shows it.
pub fn dhcp_option(text: &str) -> Result<u8, String> {
    let by_name = || super::decode::dhcp_option_code(text);
    let code = text.parse().ok().or_else(by_name).filter(|code| (1..=254).contains(code));
    code.ok_or_else(|| format!("`{text}` is no DHCP option; write a number from 1 to 254"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, micros) in [
            ("4s", Some(4_000_000)),
            ("500ms", Some(500_000)),
            ("2m", Some(120_000_000)),
            ("1h", Some(3_600_000_000)),
            ("0s", None),
            ("4", None),
            ("s", None),
            ("", None),
            ("-1s", None),
            ("+1s", None),
            ("1.5s", None),
            ("4 s", None),
            ("4S", None),
            ("18446744073709551615m", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(duration(text).ok().map(Duration::as_micros), micros, "{text}");
        }
    }

    #[test]
    fn server_addresses() {
        for (text, expected) in [
            ("192.0.2.1", Some("192.0.2.1:53")),
            ("192.0.2.1:5353", Some("192.0.2.1:5353")),
            ("2001:db8::1", Some("[2001:db8::1]:53")),
            ("[2001:db8::1]", Some("[2001:db8::1]:53")),
            ("[2001:db8::1]:5353", Some("[2001:db8::1]:5353")),
            ("::1", Some("[::1]:53")),
            ("fe80::1%eth0", Some("[fe80::1%7]:53")),
            ("[fe80::1%3]:54", Some("[fe80::1%3]:54")),
            ("fe80::1%eth9", None),
            ("fe80::1", None),
            ("fe80::1%", None),
            ("192.0.2.1%eth0", None),
            ("[192.0.2.1]:53", None),
            ("192.0.2.1:", None),
            ("192.0.2.1:0", None),
            ("192.0.2.1:+53", None),
            ("192.0.2.1:65536", None),
            ("[::1", None),
            ("[::1]53", None),
            ("dns.example", None),
            ("", None),
        ] {
            let read = text.parse::<ServerAddress>().ok().and_then(|server| {
                assert_eq!(server.to_string().parse(), Ok(server.clone()), "{text}");
                server.to_socket_addr(53, |name| (name == "eth0").then_some(7)).ok()
            });
            assert_eq!(read.map(|a| a.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_port_after_a_scope_needs_brackets() {
        for text in ["fe80::1%eth0:54", "[fe80::1%eth0:1]:54"] {
            assert!(text.parse::<ServerAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn hosts() {
        for (text, expected) in [
            ("time.example", Some(("time.example", None))),
            ("time.example:1123", Some(("time.example", Some(1123)))),
            ("time.example.", Some(("time.example.", None))),
            ("4me", Some(("4me", None))),
            ("a b", None),
            ("time.example:", None),
            ("time.example:x", None),
            (":123", None),
            ("", None),
            ("192.0.2.256", None),
            ("1.2.3", None),
            ("fe80::g", None),
            ("[time.example]:123", None),
        ] {
            let read = match text.parse() {
                Ok(Host::Name { name, port }) => Some((name, port)),
                Ok(Host::Address(address)) => panic!("{text}: {address}"),
                Err(_) => None,
            };
            assert_eq!(read.as_ref().map(|(n, p)| (n.as_str(), *p)), expected, "{text}");
        }
        for text in ["192.0.2.1", "192.0.2.1:1123", "[::1]:123", "fe80::1%2"] {
            let host: Host = text.parse().unwrap();
            assert!(matches!(host, Host::Address(_)), "{text}");
            assert_eq!(host.to_string(), text);
        }
    }

    #[test]
    fn record_types() {
        assert_eq!(record_type("aaaa"), Ok(RecordType::AAAA));
        assert_eq!(record_type("TYPE64"), Ok(RecordType::SVCB));
        assert!(["AA", "", "TYPE0"].into_iter().all(|text| record_type(text).is_err()));
    }

    #[test]
    fn client_identifiers() {
        let octets = |octets: &[u8]| Ok(ClientId::Octets(octets.to_vec()));
        for (text, expected) in [
            ("01:0a:FF", octets(&[1, 10, 255])),
            ("010aff", octets(&[1, 10, 255])),
            ("ff00:0102", octets(&[255, 0, 1, 2])),
            ("none", Ok(ClientId::Omitted)),
        ] {
            assert_eq!(client_id(text), expected, "{text}");
        }
        for text in ["", "01", "1:2", "01:2", "0x01", "gg:00", &"00".repeat(256)] {
            assert!(client_id(text).is_err(), "{text}");
        }
        assert!(client_id(&"00".repeat(255)).is_ok());
    }

    #[test]
    fn dhcp_options() {
        for (text, code) in
            [("252", Some(252)), ("router", Some(3)), ("0", None), ("255", None), ("x", None)]
        {
            assert_eq!(dhcp_option(text).ok(), code, "{text}");
        }
    }
}
