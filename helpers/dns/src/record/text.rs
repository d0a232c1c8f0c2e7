//! How record data is printed: as dig does.

use core::fmt;
use core::fmt::Write as _;
use core::net::{Ipv4Addr, Ipv6Addr};

use bringup_core::wire::Reader;

use super::{RData, Svcb};

impl fmt::Display for RData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => write!(f, "{address}"),
            Self::Aaaa(address) => write!(f, "{address}"),
            Self::Cname(name) | Self::Dname(name) | Self::Ns(name) | Self::Ptr(name) => {
                fmt::Display::fmt(name, f)
            }
            Self::Mx { preference, exchange } => write!(f, "{preference} {exchange}"),
            Self::Srv { priority, weight, port, target } => {
                write!(f, "{priority} {weight} {port} {target}")
            }
            Self::Txt(strings) => {
                for (i, string) in strings.iter().enumerate() {
                    f.write_str(if i == 0 { "\"" } else { " \"" })?;
                    quoted(f, string)?;
                    f.write_char('"')?;
                }
                Ok(())
            }
            Self::Soa(s) => write!(
                f,
                "{} {} {} {} {} {} {}",
                s.mname, s.rname, s.serial, s.refresh, s.retry, s.expire, s.minimum
            ),
            Self::Svcb(svcb) | Self::Https(svcb) => service(f, svcb),
            Self::Opaque { bytes, .. } => opaque(f, bytes),
        }
    }
}

/// `\# 4 C0000201` (RFC 3597 §5).
fn opaque(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    write!(f, "\\# {}", bytes.len())?;
    for (i, octet) in bytes.iter().enumerate() {
        f.write_str(if i == 0 { " " } else { "" })?;
        write!(f, "{octet:02X}")?;
    }
    Ok(())
}

/// The octets of a character-string between quotes (RFC 1035 §5.1).
fn quoted(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    octets.iter().try_for_each(|&octet| match octet {
        b'"' | b'\\' => write!(f, "\\{}", char::from(octet)),
        0x20..=0x7E => f.write_char(char::from(octet)),
        _ => write!(f, "\\{octet:03}"),
    })
}

/// `1 . alpn="h2,h3" ipv4hint=192.0.2.1` (RFC 9460 §2.1).
fn service(f: &mut fmt::Formatter<'_>, svcb: &Svcb<'_>) -> fmt::Result {
    write!(f, "{} {}", svcb.priority, svcb.target)?;
    if !svcb.is_well_formed() {
        f.write_str(" malformed=")?;
        return opaque(f, svcb.params);
    }
    for (key, value) in svcb.params() {
        f.write_char(' ')?;
        key_name(f, key)?;
        if value.is_empty() {
            continue;
        }
        f.write_char('=')?;
        // A value that its key does not allow is printed as octets.
        match key {
            0 if value.len() % 2 == 0 => {
                list::<2>(f, value, |f, k| key_name(f, u16::from_be_bytes(k)))
            }
            1 => alpn(f, value),
            3 if value.len() == 2 => {
                list::<2>(f, value, |f, p| write!(f, "{}", u16::from_be_bytes(p)))
            }
            4 if value.len() % 4 == 0 => {
                list(f, value, |f, a: [u8; 4]| write!(f, "{}", Ipv4Addr::from(a)))
            }
            5 => base64(f, value),
            6 if value.len() % 16 == 0 => {
                list(f, value, |f, a: [u8; 16]| write!(f, "{}", Ipv6Addr::from(a)))
            }
            _ => {
                f.write_char('"')?;
                quoted(f, value)?;
                f.write_char('"')
            }
        }?;
    }
    Ok(())
}

/// A parameter's key (RFC 9460 §14.3.2).
fn key_name(f: &mut fmt::Formatter<'_>, key: u16) -> fmt::Result {
    const KEYS: [&str; 9] = [
        "mandatory",
        "alpn",
        "no-default-alpn",
        "port",
        "ipv4hint",
        "ech",
        "ipv6hint",
        "dohpath",
        "ohttp",
    ];
    match KEYS.get(usize::from(key)) {
        Some(name) => f.write_str(name),
        None => write!(f, "key{key}"),
    }
}

/// Items of `N` octets, separated by commas.
fn list<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    value: &[u8],
    item: impl Fn(&mut fmt::Formatter<'_>, [u8; N]) -> fmt::Result,
) -> fmt::Result {
    let mut reader = Reader::new(value);
    let mut separator = "";
    while let Ok(octets) = reader.array::<N>() {
        f.write_str(separator)?;
        item(f, octets)?;
        separator = ",";
    }
    Ok(())
}

/// What other programs print and read as the configurations of Encrypted ClientHello (RFC 4648 §4).
fn base64(f: &mut fmt::Formatter<'_>, value: &[u8]) -> fmt::Result {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for octets in value.chunks(3) {
        let octet = |i: usize| octets.get(i).copied().unwrap_or(0);
        let bits = usize::from(octet(0)) << 16 | usize::from(octet(1)) << 8 | usize::from(octet(2));
        for (i, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = DIGITS.get(bits >> shift & 63).filter(|_| i <= octets.len());
            f.write_char(char::from(*digit.unwrap_or(&b'=')))?;
        }
    }
    Ok(())
}

/// Protocol names; a comma within one is escaped twice (RFC 9460 §7.1.1, appendix A.1).
fn alpn(f: &mut fmt::Formatter<'_>, value: &[u8]) -> fmt::Result {
    f.write_char('"')?;
    let mut reader = Reader::new(value);
    let mut separator = "";
    while let Ok(length) = reader.u8() {
        let Ok(id) = reader.bytes(usize::from(length)) else { break };
        f.write_str(separator)?;
        for &octet in id {
            match octet {
                b',' => f.write_str("\\\\,")?,
                b'\\' => f.write_str("\\\\\\\\")?,
                _ => quoted(f, &[octet])?,
            }
        }
        separator = ",";
    }
    f.write_char('"')
}
