//! What a finished DNS query comes to, as events.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use bringup_dns::message::Rcode;
use bringup_dns::{Failure, Outcome, QueryKey, Record, RecordType, Resolver, Source};

use super::event::{Answer, Event, Lookup};
use super::up::interface_number;

/// The answers of a query that has ended, and its result. `rtype` is what was asked for, `None` for
/// addresses of both families.
pub fn events(
    resolver: &Resolver<'_>,
    key: QueryKey,
    name: &str,
    rtype: Option<RecordType>,
) -> Vec<Event> {
    let Some(answer) = resolver.result(key) else { return Vec::new() };
    let mut events: Vec<Event> =
        answer.records().map(|r| Event::Answer(self::answer(&r))).collect();
    events.push(Event::Result(Lookup {
        name: name.to_owned(),
        rtype: rtype.map_or_else(|| "A+AAAA".to_owned(), |rtype| rtype.to_string()),
        rcode: rcode(answer.outcome()),
        from: asked(answer.outcome()).then(|| source(answer.source())),
        server: answer.server(),
        elapsed_us: answer.elapsed().as_micros(),
    }));
    events
}

/// The name to ask for: of an address whose PTR is wanted, the one in its reverse tree (RFC 1035 §3.5,
/// RFC 3596 §2.5); of a link-local address on an interface that is named, that with its number.
pub fn asked_name(name: &str, rtype: RecordType) -> Cow<'_, str> {
    let (host, scope) = name.split_once('%').map_or((name, None), |(host, of)| (host, Some(of)));
    let mut reverse = String::new();
    // Writing to a String cannot fail.
    match host.parse() {
        Ok(IpAddr::V4(address)) if rtype == RecordType::PTR && scope.is_none() => {
            for octet in address.octets().iter().rev() {
                let _ = write!(reverse, "{octet}.");
            }
            reverse.push_str("in-addr.arpa.");
        }
        Ok(IpAddr::V6(address)) if rtype == RecordType::PTR => {
            for octet in address.octets().iter().rev() {
                let _ = write!(reverse, "{:x}.{:x}.", octet & 15, octet >> 4);
            }
            reverse.push_str("ip6.arpa.");
        }
        Ok(IpAddr::V6(_)) => match scope.and_then(interface_number) {
            Some(number) => return format!("{host}%{number}").into(),
            None => return name.into(),
        },
        _ => return name.into(),
    }
    reverse.into()
}

/// A record, as dig prints its parts.
pub fn answer(record: &Record<'_>) -> Answer {
    Answer {
        owner: record.owner.to_string(),
        rtype: record.rtype.to_string(),
        ttl: record.ttl,
        data: record.data().to_string(),
    }
}

/// Whether anything was there to be asked: a failure has a source, too, if somebody failed.
const fn asked(outcome: Outcome) -> bool {
    use Failure::{NoServers, SingleLabel, Stopped};
    !matches!(outcome, Outcome::Failed(NoServers | SingleLabel | Stopped))
}

/// How a query ended, in a word.
pub fn rcode(outcome: Outcome) -> String {
    match outcome {
        Outcome::Answer => "NOERROR".into(),
        Outcome::NoData => "NODATA".into(),
        Outcome::NxDomain => "NXDOMAIN".into(),
        Outcome::Failed(Failure::Rcode(code)) => Rcode(code).to_string(),
        Outcome::Failed(why) => why.name().into(),
    }
}

/// Where an answer came from, in a word.
const fn source(source: Source) -> &'static str {
    match source {
        Source::Network => "network",
        Source::Cache => "cache",
        Source::Hosts => "hosts",
        Source::Literal => "literal",
        Source::Special => "special",
    }
}

/// A server as it is written: without the port that everybody expects.
pub fn server_text(server: SocketAddr) -> String {
    match server.port() {
        53 | 123 => address_text(server),
        _ => server.to_string(),
    }
}

/// A server's address without its port; a link-local one is of no use without its interface (RFC 4007 §11).
pub fn address_text(server: SocketAddr) -> String {
    match server {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        _ => server.ip().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_written_as_it_can_be_asked() {
        for (server, text) in [
            ("192.0.2.1:53", "192.0.2.1"),
            ("192.0.2.1:123", "192.0.2.1"),
            ("192.0.2.1:5353", "192.0.2.1:5353"),
            ("[2001:db8::1]:53", "2001:db8::1"),
            ("[fe80::1%7]:53", "fe80::1%7"),
            ("[fe80::1%7]:5353", "[fe80::1%7]:5353"),
        ] {
            assert_eq!(server_text(server.parse().unwrap()), text);
        }
    }

    #[test]
    fn the_ptr_of_an_address_is_that_of_its_reverse_name_and_interfaces_have_numbers() {
        let v6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.";
        let local = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.e.f.ip6.arpa.";
        for (name, rtype, expected) in [
            ("192.0.2.1", RecordType::PTR, "1.2.0.192.in-addr.arpa."),
            ("2001:db8::1", RecordType::PTR, v6),
            ("192.0.2.1", RecordType::A, "192.0.2.1"),
            ("1.2.0.192.in-addr.arpa", RecordType::PTR, "1.2.0.192.in-addr.arpa"),
            ("192.0.2", RecordType::PTR, "192.0.2"),
            ("192.0.2.1%lo", RecordType::PTR, "192.0.2.1%lo"),
            ("fe80::1%lo", RecordType::AAAA, "fe80::1%1"),
            ("fe80::1%lo", RecordType::PTR, local),
            ("fe80::1%7", RecordType::AAAA, "fe80::1%7"),
            ("fe80::1%no-such", RecordType::AAAA, "fe80::1%no-such"),
            ("www%lo", RecordType::AAAA, "www%lo"),
        ] {
            assert_eq!(asked_name(name, rtype), expected);
        }
    }
}
