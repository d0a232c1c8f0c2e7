//! [`dns_hosts`]: the reader of hosts files against one that goes through a line character by character.

use core::net::IpAddr;

use bringup_dns::{Hosts as _, HostsText, Name};

use crate::data::Data;

/// Names that the file is asked for, besides one that the input chooses.
const NAMES: [&str; 3] = ["host", "a.example", "localhost"];

/// The words of a line up to a comment, which may be anything; none if they are no text.
fn words(line: &[u8]) -> Vec<String> {
    let mut words = vec![String::new()];
    let end = line.iter().position(|octet| *octet == b'#').unwrap_or(line.len());
    let Ok(text) = core::str::from_utf8(&line[..end]) else { return Vec::new() };
    for character in text.chars() {
        match character {
            ' ' | '\t' | '\r' => words.push(String::new()),
            other => words.last_mut().expect("there is one").push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn lower(text: &str) -> Option<Vec<u8>> {
    Some(Name::from_text(text).ok()?.as_wire().to_ascii_lowercase())
}

/// The addresses of `name`, line by line.
fn addresses(file: &[u8], name: &str) -> Vec<IpAddr> {
    let wanted = lower(name);
    let mut found = Vec::new();
    for line in file.split(|octet| *octet == b'\n') {
        let words = words(line);
        let Some((address, names)) = words.split_first() else { continue };
        let address = address.find('%').map_or(address.as_str(), |at| &address[..at]);
        let has_it = names.iter().any(|word| wanted.is_some() && lower(word) == wanted);
        if let (Ok(address), true) = (address.parse(), has_it) {
            found.push(address);
        }
    }
    found
}

/// Any octets are a file; a name has the addresses of the lines that it stands in, and no others.
pub fn dns_hosts(bytes: &[u8]) {
    let mut data = Data::new(bytes);
    let length = data.below(16);
    let chosen: String = (0..length).map(|_| char::from(data.u8())).collect();
    let file = bytes.get(1 + length..).unwrap_or(&[]);
    for text in NAMES.into_iter().chain([chosen.as_str()]) {
        let Ok(name) = Name::from_text(text) else { continue };
        let mut found = Vec::new();
        HostsText(file).addresses(name.view(), &mut |address| found.push(address));
        assert_eq!(found, addresses(file, text), "{text}");
    }
}
