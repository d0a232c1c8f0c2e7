//! [`dns_resolv_conf`]: the reader of resolv.conf against one that takes a line apart with `split`.

use core::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use bringup_dns::config::resolv_conf::{Setting, search, settings};

fn server(word: &str) -> Option<Setting<'_>> {
    if let Ok(address) = word.parse::<IpAddr>() {
        return Some(Setting::Server(SocketAddr::new(address, 53)));
    }
    let (address, interface) = word.split_once('%')?;
    let address: Ipv6Addr = address.parse().ok()?;
    let digits = !interface.is_empty() && interface.chars().all(|c| c.is_ascii_digit());
    match interface.parse::<u32>() {
        Ok(scope) if digits => {
            Some(Setting::Server(SocketAddrV6::new(address, 53, 0, scope).into()))
        }
        _ => (!interface.is_empty()).then_some(Setting::ServerOn { address, interface }),
    }
}

fn option(word: &str) -> Option<Setting<'static>> {
    let number = |text: &str, least: u8, most: u8| {
        let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        // Any number of digits is a number; past three it is out of every range.
        let significant = text.trim_start_matches('0');
        let value: u16 = if significant.len() > 3 { 999 } else { significant.parse().unwrap_or(0) };
        let value = value.clamp(u16::from(least), u16::from(most));
        digits.then_some(u8::try_from(value).unwrap_or(most))
    };
    if let Some((name, value)) = word.split_once(':') {
        match name {
            "ndots" => return number(value, 0, 15).map(Setting::Ndots),
            "timeout" => return number(value, 1, 30).map(Setting::TimeoutSecs),
            "attempts" => return number(value, 1, 5).map(Setting::Attempts),
            _ => {}
        }
    }
    match word.split(':').next()? {
        "rotate" => Some(Setting::Rotate),
        "edns0" => Some(Setting::Edns0),
        "trust-ad" => Some(Setting::TrustAd),
        "use-vc" => Some(Setting::UseVc),
        "no-aaaa" => Some(Setting::NoAaaa),
        _ => None,
    }
}

/// A line up to the comment in it, which begins a word.
fn without_comment(line: &[u8]) -> &[u8] {
    let mut before = b' ';
    for (at, &octet) in line.iter().enumerate() {
        if (octet == b'#' || octet == b';') && (before == b' ' || before == b'\t') {
            return &line[..at];
        }
        before = octet;
    }
    line
}

fn line(line: &[u8]) -> Vec<Setting<'_>> {
    let line = without_comment(line);
    let Ok(text) = core::str::from_utf8(line) else { return Vec::new() };
    let text = text.strip_suffix('\r').unwrap_or(text);
    let words: Vec<&str> = text.split([' ', '\t']).filter(|w| !w.is_empty()).collect();
    let Some((&keyword, words)) = words.split_first() else { return Vec::new() };
    match keyword {
        "nameserver" => words.first().and_then(|w| server(w)).into_iter().collect(),
        "search" | "domain" => {
            let start = text.find(keyword).expect("it is there") + keyword.len();
            vec![Setting::Search(text[start..].trim_matches([' ', '\t']))]
        }
        "options" => words.iter().filter_map(|w| option(w)).collect(),
        _ => Vec::new(),
    }
}

/// Any octets are a file; each line sets what it says and nothing else, whatever the others hold.
pub fn dns_resolv_conf(bytes: &[u8]) {
    let read: Vec<Setting<'_>> = settings(bytes).collect();
    let expected: Vec<Setting<'_>> = bytes.split(|&b| b == b'\n').flat_map(line).collect();
    assert_eq!(read, expected);
    for setting in read {
        match setting {
            Setting::Search(list) => {
                assert!(search(list).count() <= list.split([' ', '\t']).count());
                assert!(search(list).all(|name| name.as_wire().len() <= 255));
            }
            Setting::Ndots(n) => assert!(n <= 15),
            Setting::TimeoutSecs(n) => assert!((1..=30).contains(&n)),
            Setting::Attempts(n) => assert!((1..=5).contains(&n)),
            _ => {}
        }
    }
}
