//! `bringup decode`: raw messages, explained.
//!
//! Each input is the payload of one UDP datagram. It goes through the same codecs that the clients
//! use, so that what is refused here is refused there, by the same name.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Serialize;

use super::args::{Decode, Protocol};
use super::event::{Decoded, Event};
use super::exit::Exit;
use super::output::Output;

pub mod dhcp;
mod dns;
mod ntp;

/// The longest message, octets: that of DNS over TCP (RFC 1035 §4.2.2); no UDP payload is longer.
pub const MESSAGE_LEN_MAX: usize = 65_535;

/// What a message says.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Fields {
    /// A DNS message.
    Dns(Box<dns::Fields>),
    /// A DHCP message.
    Dhcp(Box<dhcp::Fields>),
    /// An NTP packet.
    Ntp(Box<ntp::Fields>),
}

impl std::fmt::Display for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dns(fields) => fields.fmt(f),
            Self::Dhcp(fields) => fields.fmt(f),
            Self::Ntp(fields) => fields.fmt(f),
        }
    }
}

/// The code of a DHCP option with this name.
pub fn dhcp_option_code(name: &str) -> Option<u8> {
    (1..=254).find(|code| dhcp::option_name(*code) == Some(name))
}

/// Explains one message, or says by the name of a rule why it is none.
pub fn decode(protocol: Protocol, bytes: &[u8]) -> Result<Fields, &'static str> {
    if bytes.len() > MESSAGE_LEN_MAX {
        return Err("too-long");
    }
    match protocol {
        Protocol::Dns => dns::decode(bytes).map(|fields| Fields::Dns(Box::new(fields))),
        Protocol::Dhcp => dhcp::decode(bytes).map(|fields| Fields::Dhcp(Box::new(fields))),
        Protocol::Ntp => ntp::decode(bytes).map(|fields| Fields::Ntp(Box::new(fields))),
    }
}

/// Explains every input. 1 if any is malformed, or else 2 if any cannot be read.
pub fn run(args: &Decode, output: &mut Output) -> Exit {
    let stdin = [Path::new("-").to_path_buf()];
    let files = if args.files.is_empty() { &stdin[..] } else { &args.files };
    let (mut malformed, mut unread) = (false, false);
    // One buffer for all of them; a byte more than fits shows that there is too much.
    let mut bytes = Vec::with_capacity(MESSAGE_LEN_MAX + 1);
    for path in files {
        if output.is_closed() {
            break;
        }
        let file = path.display().to_string();
        if let Err(error) = read(path, &mut bytes) {
            unread = true;
            output.problem(
                file.clone(),
                error.to_string(),
                "give a file that can be read, or - for standard input",
            );
            if output.settings().json {
                // One object for each input, whatever became of it.
                let reason = Some("unread");
                output.emit(&Event::Decoded(Decoded { file, ok: false, reason, fields: None }));
            }
            continue;
        }
        let decoded = match decode(args.protocol, &bytes) {
            Ok(fields) => Decoded { file, ok: true, reason: None, fields: Some(fields) },
            Err(reason) => Decoded { file, ok: false, reason: Some(reason), fields: None },
        };
        malformed |= !decoded.ok;
        if bytes.len() > MESSAGE_LEN_MAX {
            let why = format!("it is longer than {MESSAGE_LEN_MAX} octets");
            output.problem(
                decoded.file.clone(),
                why,
                "give the payload of one UDP datagram per file",
            );
        }
        output.emit(&Event::Decoded(decoded));
    }
    match (malformed, unread) {
        (true, _) => Exit::No,
        (false, true) => Exit::Unknown,
        (false, false) => Exit::Done,
    }
}

/// Reads an input, at most one octet more than a message may have.
fn read(path: &Path, bytes: &mut Vec<u8>) -> io::Result<()> {
    bytes.clear();
    let limit = u64::try_from(MESSAGE_LEN_MAX).map_or(u64::MAX, |limit| limit + 1);
    if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(bytes)?;
    } else {
        File::open(path)?.take(limit).read_to_end(bytes)?;
    }
    Ok(())
}

/// Octets in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
