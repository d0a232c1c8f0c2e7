//! What we read out of a DHCP message, beside what dhcproto reads out of the same octets: the corpora of
//! `dhcp_message` and `dhcp_frame`, random changes to them, and messages that it writes.
//!
//! dhcproto knows neither overload nor RFC 3396, reads a number where an option of any length has its
//! code, and ends at the first option that it cannot read, or that is cut off, sometimes with the one before
//! it. So only messages are compared, option by option, whose options are whole, each of the right size,
//! and there once; of all others, the fixed fields.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bringup_dhcp::message::{Header, Malformed, Message};
use bringup_dhcp::options::Options;
use dhcproto::v4::{self, DhcpOption, OptionCode};
use dhcproto::{Decodable, Encodable, Encoder};

/// How many changed messages are compared.
const CHANGED: usize = 40_000;

/// Code and value.
type Pair = (u8, Vec<u8>);

/// Whether both read an option alike: it has one form, and this is it.
fn is_plain((code, value): &Pair) -> bool {
    match code {
        23 | 52 | 53 => value.len() == 1,
        13 | 22 | 26 | 57 => value.len() == 2,
        1 | 16 | 24 | 28 | 32 | 35 | 38 | 50 | 51 | 54 | 58 | 59 | 108 => value.len() == 4,
        3..=11 | 41 | 42 | 44 | 45 | 48 | 49 | 65 | 69..=76 => {
            !value.is_empty() && value.len() % 4 == 0
        }
        12 | 15 | 17 | 56 | 64 => std::str::from_utf8(value).is_ok(),
        43 | 55 | 60 | 61 | 66 | 67 | 77 | 224..=254 => true,
        _ => false,
    }
}

/// Whether the options field ends at END, or behind a whole option.
fn ends_whole(mut field: &[u8]) -> bool {
    loop {
        field = match field {
            [] | [255, ..] => return true,
            [0, rest @ ..] => rest,
            [_, length, rest @ ..] if rest.len() >= usize::from(*length) => {
                &rest[usize::from(*length)..]
            }
            _ => return false,
        }
    }
}

/// The options of the options field, as we read them; `None` if dhcproto is not to be compared.
fn ours(message: &Message<'_>) -> Option<BTreeSet<Pair>> {
    let all = Options::new(message.options, &[], &[]).map(|o| (o.code, o.value.0.to_vec()));
    let all: Vec<Pair> = all.collect();
    let once: BTreeSet<u8> = all.iter().map(|(code, _)| *code).collect();
    let plain = once.len() == all.len() && all.iter().all(is_plain) && ends_whole(message.options);
    plain.then(|| all.into_iter().collect())
}

/// The same as dhcproto reads them, written again by itself.
fn theirs(message: &v4::Message) -> BTreeSet<Pair> {
    let pair = |(code, option): (&OptionCode, &DhcpOption)| {
        let mut bytes = Vec::new();
        option.encode(&mut Encoder::new(&mut bytes)).expect("what was read can be written");
        (u8::from(*code), bytes.get(2..).unwrap_or_default().to_vec())
    };
    message.opts().iter().map(pair).collect()
}

/// dhcproto's reading; `None` if it is none, or if it panics, as it does in debug builds when an option
/// has another length than it thinks.
fn read(bytes: &[u8]) -> Option<v4::Message> {
    catch_unwind(AssertUnwindSafe(|| v4::Message::from_bytes(bytes).ok())).ok().flatten()
}

fn assert_same_header(ours: &Header, theirs: &v4::Message) {
    let op: u8 = theirs.opcode().into();
    let htype: u8 = theirs.htype().into();
    assert_eq!((ours.op, ours.htype, ours.hlen), (op, htype, theirs.hlen()));
    let flags: u16 = theirs.flags().into();
    assert_eq!(
        (ours.hops, ours.xid, ours.secs, ours.flags),
        (theirs.hops(), theirs.xid(), theirs.secs(), flags)
    );
    assert_eq!(
        [ours.ciaddr, ours.yiaddr, ours.siaddr, ours.giaddr],
        [theirs.ciaddr(), theirs.yiaddr(), theirs.siaddr(), theirs.giaddr()]
    );
    // It cuts `chaddr` at `hlen`, and panics where that is more than there is.
    if let Some(chaddr) = ours.chaddr.get(..usize::from(ours.hlen)) {
        assert_eq!(chaddr, theirs.chaddr());
    }
}

fn compare(bytes: &[u8], seen: &mut BTreeSet<&'static str>) {
    match (Message::parse(bytes), read(bytes)) {
        (Ok(message), Some(other)) => {
            assert_same_header(&message.header, &other);
            match ours(&message) {
                Some(options) => {
                    assert_eq!(options, theirs(&other), "{bytes:02x?}");
                    seen.insert(if options.len() > 4 { "many options" } else { "options" });
                }
                None => drop(seen.insert("fixed fields")),
            }
        }
        (Ok(message), None) => {
            // It reads options wrongly before it says no to a message.
            assert!(ours(&message).is_none(), "dhcproto refuses {bytes:02x?}");
            seen.insert("dhcproto refuses");
        }
        (Err(why), Some(_)) => {
            // It doesn't look at the cookie.
            assert_eq!(why, Malformed::Cookie, "dhcproto takes {bytes:02x?}");
            seen.insert("cookie");
        }
        (Err(_), None) => drop(seen.insert("both refuse")),
    }
}

fn corpus(name: &str, skip: usize) -> Vec<Vec<u8>> {
    let folder = format!("{}/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("there is a corpus")
        .map(|entry| entry.expect("a folder can be read").path())
        .collect();
    files.sort();
    let read =
        |file| fs::read(file).expect("an input can be read").into_iter().skip(skip).collect();
    files.iter().map(read).collect()
}

/// A message that dhcproto writes.
fn written() -> Vec<u8> {
    let mut message = v4::Message::default();
    message.set_xid(0x1234_5678).set_chaddr(&[2, 0, 0, 0, 0, 7]);
    let options = message.opts_mut();
    let address = std::net::Ipv4Addr::new(10, 0, 0, 1);
    for option in [
        DhcpOption::MessageType(v4::MessageType::Ack),
        DhcpOption::ServerIdentifier(address),
        DhcpOption::AddressLeaseTime(3_600),
        DhcpOption::Renewal(1_800),
        DhcpOption::SubnetMask([255, 255, 255, 0].into()),
        DhcpOption::Router(vec![address, address]),
        DhcpOption::DomainNameServer(vec![address]),
        DhcpOption::NtpServers(vec![address]),
        DhcpOption::DomainName("lab.test".into()),
        DhcpOption::InterfaceMtu(1_400),
        DhcpOption::ClientIdentifier(vec![1, 2, 0, 0, 0, 0, 7]),
    ] {
        options.insert(option);
    }
    let mut bytes = Vec::new();
    message.encode(&mut Encoder::new(&mut bytes)).expect("it can be written");
    bytes
}

#[test]
fn dhcproto_reads_the_same_but_for_what_is_listed() {
    // Its panics are caught; what they print would bury what fails.
    std::panic::set_hook(Box::new(|info| {
        let its_own = info.location().is_some_and(|at| at.file().contains("dhcproto-"));
        if !its_own {
            eprintln!("{info}");
        }
    }));
    let mut seeds = vec![written()];
    seeds.extend(corpus("dhcp_message", 0));
    // Behind the choices of that target, the IP header and the UDP header.
    seeds.extend(corpus("dhcp_frame", 29));
    seeds.retain(|seed| !seed.is_empty());
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or(0) % below
    };
    let mut seen = BTreeSet::new();
    seeds.iter().for_each(|seed| compare(seed, &mut seen));
    for n in 0..CHANGED {
        // Every other one is one that has all of it.
        let mut bytes = seeds[if n % 2 == 0 { 0 } else { n % seeds.len() }].clone();
        for _ in 0..=random(3) {
            let at = if bytes.len() > 241 && random(2) == 0 {
                240 + random(bytes.len() - 240)
            } else {
                random(bytes.len())
            };
            bytes[at] = match random(3) {
                0 => [0, 255, 4, 61, 119, 52][random(6)],
                1 => u8::try_from(random(256)).unwrap_or(0),
                _ => bytes[at] ^ 1 << random(8),
            };
        }
        if random(8) == 0 {
            bytes.truncate(random(bytes.len()) + 1);
        }
        compare(&bytes, &mut seen);
    }
    let _ = std::panic::take_hook();
    // A list of differences that nobody meets any more is out of date.
    let expected = ["both refuse", "cookie", "fixed fields", "many options", "options"];
    for expected in expected {
        assert!(seen.contains(expected), "{expected}: {seen:?}");
    }
}
