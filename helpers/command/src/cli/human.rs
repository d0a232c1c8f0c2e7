//! How events read to a person. Nothing may rely on the form of these lines.

use std::fmt::{self, Display, Formatter};

use super::event::{
    Address, Answer, Checked, Decoded, Event, Lookup, Offer, Problem, Reloaded, Server, Servers,
    Stats, Time,
};
use super::status::human::Shown;

/// An event as text: one line, or several for a decoded message.
#[derive(Clone, Copy, Debug)]
pub struct Human<'a>(pub &'a Event);

impl Human<'_> {
    /// A problem as the sentence that goes to standard error.
    pub fn sentence(problem: &Problem) -> impl Display + '_ {
        problem
    }
}

/// Whether an event is what was asked for, rather than how it came about: `-q` leaves it in.
pub fn is_essential(event: &Event) -> bool {
    match event {
        Event::Answer(_)
        | Event::Offer(_)
        | Event::Option { .. }
        | Event::Server(_)
        | Event::Time(_)
        | Event::Decoded(_)
        | Event::Checked(_)
        | Event::Stats(_)
        | Event::Status(_)
        | Event::Error(_) => true,
        Event::State { to, .. } => *to == "OPERATIONAL",
        Event::Result(lookup) => lookup.rcode != "NOERROR",
        Event::Hold { .. }
        | Event::Link { .. }
        | Event::Address(_)
        | Event::Servers(_)
        | Event::Reloaded(_)
        | Event::Attached { .. }
        | Event::Discard { .. } => false,
    }
}

/// Whether an event belongs on a timeline, with its time in front.
pub fn is_timed(event: &Event) -> bool {
    !matches!(
        event,
        Event::Answer(_)
            | Event::Result(_)
            | Event::Stats(_)
            | Event::Server(_)
            | Event::Decoded(_)
            | Event::Checked(_)
            | Event::Status(_)
            | Event::Error(_)
    )
}

impl Display for Human<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::State { from, to } => write!(f, "state    {to} (was {from})"),
            Event::Hold { state, holder, released: false } => {
                write!(f, "hold     {state} waits for {holder}")
            }
            Event::Hold { state, holder, released: true } => {
                write!(f, "hold     {holder} lets go of {state}")
            }
            Event::Link { interface, up } => {
                write!(f, "link     {interface} is {}", if *up { "up" } else { "down" })
            }
            Event::Address(address) => address.fmt(f),
            Event::Servers(servers) => servers.fmt(f),
            Event::Offer(offer) => offer.fmt(f),
            Event::Option { interface, option } => write!(f, "option   {interface} has {option}"),
            Event::Answer(Answer { owner, rtype, ttl, data }) => {
                write!(f, "{owner}\t{ttl}\t{rtype}\t{data}")
            }
            Event::Result(lookup) => lookup.fmt(f),
            Event::Stats(stats) => stats.fmt(f),
            Event::Server(server) => server.fmt(f),
            Event::Time(time) => time.fmt(f),
            Event::Attached { waited_for } => {
                write!(f, "attached a callback from another thread ran; it waited for {waited_for}")
            }
            Event::Discard { protocol, reason, from } => {
                write!(f, "ignored  {protocol}: {reason}")?;
                from.map_or(Ok(()), |from| write!(f, ", from {from}"))
            }
            Event::Decoded(decoded) => decoded.fmt(f),
            Event::Checked(checked) => checked.fmt(f),
            Event::Reloaded(reloaded) => reloaded.fmt(f),
            Event::Status(report) => Shown(report).fmt(f),
            Event::Error(problem) => problem.fmt(f),
        }
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { interface, address, lease_s, server, lost } = self;
        if *lost {
            return write!(f, "address  {interface} has lost {address}");
        }
        write!(f, "address  {interface} has {address}")?;
        if let Some(server) = server {
            write!(f, " from {server}")?;
        }
        lease_s.map_or(Ok(()), |s| write!(f, " for {s} s"))
    }
}

impl Display for Offer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { interface, address, lease_s, server, options } = self;
        write!(f, "{server} offers {address} on {interface}")?;
        match lease_s {
            Some(s) => write!(f, " for {s} s")?,
            None => f.write_str(" for ever")?,
        }
        options.iter().try_for_each(|option| write!(f, "\n  {option}"))
    }
}

impl Display for Servers {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "servers  by {}", self.source)?;
        for (what, list) in [("DNS", &self.dns), ("NTP", &self.ntp), ("search", &self.search)] {
            if !list.is_empty() {
                write!(f, "; {what} {}", list.join(" "))?;
            }
        }
        Ok(())
    }
}

impl Display for Lookup {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, rtype, rcode, from, server, elapsed_us } = self;
        write!(f, "; {name} {rtype}: {rcode}")?;
        match (from, server) {
            (Some("network") | None, Some(server)) => write!(f, ", from {server}")?,
            (Some("network") | None, None) => {}
            (Some(from), _) => write!(f, ", from {from}")?,
        }
        write!(f, ", after {}", Millis::of_micros(*elapsed_us))
    }
}

impl Display for Stats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut counters = self.0.iter().filter(|(_, count)| **count > 0);
        write!(f, ";")?;
        counters.try_for_each(|(name, count)| write!(f, " {name} {count}"))
    }
}

impl Display for Server {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}", self.server, self.verdict)?;
        if let Some(offset) = self.offset_us {
            write!(f, "\toffset {}", Offset(offset))?;
        }
        let bounds = [("delay", self.delay_us), ("error at most", self.root_distance_us)];
        for (what, micros) in bounds {
            if let Some(micros) = micros {
                write!(f, "\t{what} {}", Millis::of_micros(micros))?;
            }
        }
        self.stratum.map_or(Ok(()), |stratum| write!(f, "\tstratum {stratum}"))
    }
}

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "time     {}", self.state)?;
        let (Some(offset), Some(error)) = (self.offset_us, self.error_us) else { return Ok(()) };
        let error = Millis::of_micros(error);
        write!(f, "; add {} to the local clock, give or take {error}", Offset(offset))
    }
}

impl Display for Decoded {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (&self.fields, self.reason) {
            (Some(fields), _) => write!(f, "{}: {fields}", self.file),
            (None, Some(reason)) => write!(f, "{}: malformed: {reason}", self.file),
            (None, None) => write!(f, "{}", self.file),
        }
    }
}

impl Display for Checked {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.mistakes.len() {
            0 => write!(f, "{}: ok", self.file),
            1 => write!(f, "{}: one mistake", self.file),
            count => write!(f, "{}: {count} mistakes", self.file),
        }
    }
}

impl Display for Reloaded {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { applied, at_next_start } = self;
        f.write_str("reloaded ")?;
        match applied.as_slice() {
            [] => f.write_str("nothing new holds")?,
            keys => write!(f, "now: {}", keys.join(", "))?,
        }
        match at_next_start.as_slice() {
            [] => Ok(()),
            keys => write!(f, "; at the next start: {}", keys.join(", ")),
        }
    }
}

impl Display for Problem {
    /// One sentence that ends in what to do next.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "bringup: {}: {}; {}", self.what, self.why, self.hint)
    }
}

/// A span in milliseconds, to the microsecond.
struct Millis(u64, u64);

impl Millis {
    const fn of_micros(micros: u64) -> Self {
        Self(micros / 1_000, micros % 1_000)
    }
}

impl Display for Millis {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} ms", self.0, self.1)
    }
}

/// An offset in seconds with its sign, from microseconds.
struct Offset(i64);

impl Display for Offset {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (sign, micros) = (if self.0 < 0 { '-' } else { '+' }, self.0.unsigned_abs());
        write!(f, "{sign}{}.{:06} s", micros / 1_000_000, micros % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(rcode: &str, from: Option<&'static str>) -> Event {
        Event::Result(Lookup {
            name: "a.example".into(),
            rtype: "A".into(),
            rcode: rcode.into(),
            from,
            server: "192.0.2.1:53".parse().ok(),
            elapsed_us: 12_034,
        })
    }

    #[test]
    fn lines() {
        let address = Address {
            interface: "eth0".into(),
            address: "10.0.0.5/24".into(),
            lease_s: Some(3600),
            server: Some([10, 0, 0, 1].into()),
            lost: false,
        };
        let lost = Address { lost: true, ..address.clone() };
        let time = |offset_us| {
            Event::Time(Time {
                state: "confirmed",
                offset_us: Some(offset_us),
                error_us: Some(250),
            })
        };
        for (event, line) in [
            (Event::State { from: "DHCP", to: "TIME_VALID" }, "state    TIME_VALID (was DHCP)"),
            (Event::Address(address), "address  eth0 has 10.0.0.5/24 from 10.0.0.1 for 3600 s"),
            (Event::Address(lost), "address  eth0 has lost 10.0.0.5/24"),
            (
                lookup("NOERROR", Some("network")),
                "; a.example A: NOERROR, from 192.0.2.1:53, after 12.034 ms",
            ),
            (
                lookup("NOERROR", Some("cache")),
                "; a.example A: NOERROR, from cache, after 12.034 ms",
            ),
            (
                time(-1_500_001),
                "time     confirmed; add -1.500001 s to the local clock, give or take 0.250 ms",
            ),
            (
                Event::Error(Problem {
                    what: "eth9".into(),
                    why: "there is no such interface".into(),
                    hint: "name one of eth0, lo".into(),
                }),
                "bringup: eth9: there is no such interface; name one of eth0, lo",
            ),
        ] {
            assert_eq!(Human(&event).to_string(), line);
        }
    }

    #[test]
    fn quiet_leaves_what_was_asked_for() {
        assert!(!is_essential(&lookup("NOERROR", None)) && is_essential(&lookup("NXDOMAIN", None)));
        assert!(is_essential(&Event::State { from: "POLICY_VALID", to: "OPERATIONAL" }));
        assert!(!is_essential(&Event::State { from: "DHCP", to: "TIME_VALID" }));
    }
}
