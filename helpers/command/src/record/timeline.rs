//! [`Timeline`]: a record sorted into lanes, and the waiting between them, ready to be drawn.

use super::{Direction, Packet, Protocol, Record, What};

/// What a mark on a lane is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A packet went out.
    Sent,
    /// A packet came in.
    Received,
    /// A carrier came.
    Up,
    /// A carrier went.
    Down,
    /// A state was entered.
    State,
    /// Something is known now.
    Note,
    /// A callback was attached.
    Posted,
    /// It ran.
    Ran,
}

/// Something on a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When, microseconds since the start.
    pub t_us: u64,
    /// What it is.
    pub kind: Kind,
    /// What is said of it.
    pub label: String,
}

/// What is on a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneKind {
    /// The carrier of interfaces.
    Link,
    /// Packets of one protocol.
    Packets,
    /// System states.
    States,
    /// Callbacks of other threads.
    Callbacks,
}

/// Marks that belong together, in the order of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// What is written before it.
    pub name: &'static str,
    /// The interface that it is of, where there are several.
    pub interface: Option<String>,
    /// What is on it.
    pub kind: LaneKind,
    /// Its marks.
    pub marks: Vec<Mark>,
}

/// A step was held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// From when, microseconds since the start.
    pub from_us: u64,
    /// Until when.
    pub to_us: u64,
    /// By whom.
    pub holder: String,
}

/// A record, ready to be drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// What the program was asked to do.
    pub title: String,
    /// The beginning of the picture, microseconds since the start of the program: 0, unless that did
    /// something else for a while.
    pub begin_us: u64,
    /// The end of the picture; later than its beginning.
    pub end_us: u64,
    /// When the system was operational.
    pub operational_us: Option<u64>,
    /// Who was waited for.
    pub waits: Vec<Wait>,
    /// From link to callbacks; those on which nothing happened are there, too.
    pub lanes: Vec<Lane>,
    /// How many moments the record has no room for.
    pub left_out: u64,
}

impl Timeline {
    /// Sorts a record.
    pub fn of(record: &Record) -> Self {
        let interfaces = interfaces(record);
        let times = || record.moments.iter().map(|moment| moment.t_us).chain(record.ended_us);
        let (first_us, end_us) = (times().min().unwrap_or(0), times().max().unwrap_or(0).max(1));
        let late = first_us > end_us / 10;
        let mut timeline = Self {
            title: record.title.clone(),
            begin_us: if late { first_us.min(end_us - 1) } else { 0 },
            end_us,
            operational_us: record.operational_us,
            waits: Vec::new(),
            lanes: lanes(&interfaces),
            left_out: record.left_out,
        };
        let mut open: Option<(u64, String)> = None;
        for moment in &record.moments {
            let t_us = moment.t_us;
            if let What::Hold { holder, released } = &moment.what {
                timeline.close(open.take(), t_us);
                open = (!released).then(|| (t_us, holder.clone()));
            } else if let Some((lane, kind, label)) = sorted(&interfaces, &moment.what) {
                if let Some(lane) = timeline.lanes.get_mut(lane) {
                    lane.marks.push(Mark { t_us, kind, label });
                }
            }
        }
        let end_us = timeline.end_us;
        timeline.close(open, end_us);
        for lane in &mut timeline.lanes {
            // A packet is stamped by the kernel, and told later.
            lane.marks.sort_by_key(|mark| mark.t_us);
        }
        timeline
    }

    /// In which unit its times are written.
    pub const fn scale(&self) -> Scale {
        Scale::of(self.begin_us, self.end_us)
    }

    fn close(&mut self, open: Option<(u64, String)>, to_us: u64) {
        if let Some((from_us, holder)) = open.filter(|(from_us, _)| *from_us < to_us) {
            self.waits.push(Wait { from_us, to_us, holder });
        }
    }

    /// For how long each holder was waited for, in the order in which they held first, microseconds.
    pub fn waited(&self) -> Vec<(&str, u64)> {
        let mut waited: Vec<(&str, u64)> = Vec::new();
        for Wait { from_us, to_us, holder } in &self.waits {
            let for_us = to_us - from_us;
            match waited.iter_mut().find(|(known, _)| known == holder) {
                Some((_, sum)) => *sum += for_us,
                None => waited.push((holder, for_us)),
            }
        }
        waited
    }

    /// What a person is told first.
    pub fn verdict(&self) -> String {
        let scale = self.scale();
        match self.operational_us {
            Some(t_us) => format!("OPERATIONAL after {}", scale.with_unit(t_us)),
            None => format!("not OPERATIONAL after {}", scale.with_unit(self.end_us)),
        }
    }
}

/// The interfaces of which something is known, in the order in which it came to be.
fn interfaces(record: &Record) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for moment in &record.moments {
        let name = match &moment.what {
            What::Link { interface, .. } => Some(interface),
            What::Packet(packet) => packet.interface.as_ref(),
            What::Note { interface, .. } => interface.as_ref(),
            _ => None,
        };
        if let Some(name) = name.filter(|name| !names.contains(&name.as_str())) {
            names.push(name);
        }
    }
    names
}

/// Link and DHCP are of an interface each; the rest is shared.
fn lanes(interfaces: &[&str]) -> Vec<Lane> {
    let lane = |name, kind, interface| Lane { name, interface, kind, marks: Vec::new() };
    let of_each: Vec<Option<String>> = match interfaces {
        [] | [_] => vec![None],
        several => several.iter().map(|name| Some((*name).to_owned())).collect(),
    };
    let links = of_each.iter().map(|of| lane("link", LaneKind::Link, of.clone()));
    let dhcp = Protocol::Dhcp.name();
    let dhcp = of_each.iter().map(|of| lane(dhcp, LaneKind::Packets, of.clone()));
    let shared = [
        lane(Protocol::Dns.name(), LaneKind::Packets, None),
        lane(Protocol::Ntp.name(), LaneKind::Packets, None),
        lane("states", LaneKind::States, None),
        lane("callbacks", LaneKind::Callbacks, None),
    ];
    links.chain(dhcp).chain(shared).collect()
}

/// On which of those lanes something is, as what, and what is said of it.
fn sorted(interfaces: &[&str], what: &What) -> Option<(usize, Kind, String)> {
    let count = interfaces.len().max(1);
    let place = |interface: Option<&str>| {
        interfaces.iter().position(|name| Some(*name) == interface).unwrap_or(0)
    };
    let lane_of = |protocol, interface| match protocol {
        Protocol::Dhcp => count + place(interface),
        Protocol::Dns => 2 * count,
        Protocol::Ntp => 2 * count + 1,
    };
    Some(match what {
        What::Hold { .. } => return None,
        What::Link { interface, up } => {
            let (kind, is) = if *up { (Kind::Up, "up") } else { (Kind::Down, "down") };
            (place(Some(interface)), kind, format!("{interface} {is}"))
        }
        What::Packet(Packet { protocol, direction, interface, label }) => {
            let kind = match direction {
                Direction::Sent => Kind::Sent,
                Direction::Received => Kind::Received,
            };
            (lane_of(*protocol, interface.as_deref()), kind, label.clone())
        }
        What::Note { protocol, interface, text } => {
            (lane_of(*protocol, interface.as_deref()), Kind::Note, text.clone())
        }
        What::State(state) => (2 * count + 2, Kind::State, (*state).to_owned()),
        What::Posted => (2 * count + 3, Kind::Posted, "attached".to_owned()),
        What::Attached(state) => (2 * count + 3, Kind::Ran, format!("ran: {state}")),
    })
}

/// In which unit times are written, so that those of one picture compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Microseconds in a unit.
    unit_us: u64,
    /// `ms` or `s`.
    unit: &'static str,
    /// Digits after the point.
    digits: u32,
}

impl Scale {
    /// The scale for a picture from here to there: a thousandth of it can be told from the next.
    pub const fn of(begin_us: u64, end_us: u64) -> Self {
        let (unit_us, unit, most) = match end_us {
            0..1_000_000 => (1_000, "ms", 3),
            _ => (1_000_000, "s", 6),
        };
        let finest_us = end_us.saturating_sub(begin_us) / 1_000;
        let mut digits = 0;
        while digits < most && unit_us / 10_u64.pow(digits) > finest_us {
            digits += 1;
        }
        Self { unit_us, unit, digits }
    }

    /// A time in this unit.
    pub fn number(self, t_us: u64) -> String {
        self.rounded(t_us, self.digits)
    }

    /// A time with its unit.
    pub fn with_unit(self, t_us: u64) -> String {
        format!("{} {}", self.number(t_us), self.unit)
    }

    fn rounded(self, t_us: u64, digits: u32) -> String {
        let steps = 10_u64.pow(digits);
        // In the smallest step that is written, rounded to the nearest.
        let n = (t_us * steps + self.unit_us / 2) / self.unit_us;
        match digits {
            0 => n.to_string(),
            _ => format!("{}.{:0width$}", n / steps, n % steps, width = digits as usize),
        }
    }

    /// Where an axis has its numbers: round times, some `most` of them, with their text.
    pub fn ticks(self, begin_us: u64, end_us: u64, most: u64) -> Vec<(u64, String)> {
        let mut step = 1;
        let mut factors = [2, 5, 10].into_iter().cycle();
        let mut decade = 1;
        while end_us.saturating_sub(begin_us) / step > most {
            let factor = factors.next().unwrap_or(10);
            step = decade * factor;
            if factor == 10 {
                decade *= 10;
            }
        }
        let mut digits = 0;
        while digits < 6 && step * 10_u64.pow(digits) % self.unit_us != 0 {
            digits += 1;
        }
        let numbers = begin_us.div_ceil(step)..=end_us / step;
        numbers.map(|n| (n * step, self.rounded(n * step, digits))).collect()
    }

    /// The unit.
    pub const fn unit(self) -> &'static str {
        self.unit
    }
}

#[cfg(test)]
mod tests {
    use super::super::Moment;
    use super::*;

    #[test]
    fn holds_become_waits_and_an_open_one_lasts_to_the_end() {
        let hold = |t_us, holder: &str, released| {
            let what = What::Hold { holder: holder.into(), released };
            Moment { t_us, what }
        };
        let moments = vec![
            hold(10, "link", false),
            hold(30, "link", true),
            hold(40, "dhcp", false),
            hold(50, "dhcp", true),
            hold(60, "link", false),
        ];
        let ended_us = Some(100);
        let timeline = Timeline::of(&Record { moments, ended_us, ..Record::default() });
        assert_eq!(timeline.waited(), [("link", 60), ("dhcp", 10)]);
        assert_eq!(timeline.verdict(), "not OPERATIONAL after 0.100 ms");
    }

    #[test]
    fn packets_are_sorted_by_the_time_at_which_they_came() {
        let packet = |direction, t_us| {
            let (protocol, label) = (Protocol::Ntp, String::new());
            let packet = Packet { protocol, direction, interface: None, label };
            Moment { t_us, what: What::Packet(packet) }
        };
        let moments = vec![packet(Direction::Sent, 7), packet(Direction::Received, 3)];
        let timeline = Timeline::of(&Record { moments, ..Record::default() });
        let kinds: Vec<Kind> = timeline.lanes[3].marks.iter().map(|mark| mark.kind).collect();
        assert_eq!(kinds, [Kind::Received, Kind::Sent]);
    }

    #[test]
    fn each_of_several_interfaces_has_its_lanes() {
        let link = |interface: &str| What::Link { interface: interface.into(), up: true };
        let frame = |interface: &str| {
            let interface = Some(interface.to_owned());
            let (protocol, direction) = (Protocol::Dhcp, Direction::Sent);
            What::Packet(Packet { protocol, direction, interface, label: "DISCOVER".into() })
        };
        let moments = [link("eth0"), link("wlan0"), frame("wlan0")];
        let moments = moments.map(|what| Moment { t_us: 1, what }).into();
        let timeline = Timeline::of(&Record { moments, ..Record::default() });
        let lanes: Vec<(&str, Option<&str>, usize)> = timeline
            .lanes
            .iter()
            .map(|lane| (lane.name, lane.interface.as_deref(), lane.marks.len()))
            .collect();
        let expected = [
            ("link", Some("eth0"), 1),
            ("link", Some("wlan0"), 1),
            ("DHCP", Some("eth0"), 0),
            ("DHCP", Some("wlan0"), 1),
            ("DNS", None, 0),
            ("NTP", None, 0),
            ("states", None, 0),
            ("callbacks", None, 0),
        ];
        assert_eq!(lanes, expected);
    }

    #[test]
    fn axes_have_round_numbers() {
        for (end_us, expected) in [
            (12_660, "0 2 4 6 8 10 12"),
            (900, "0.0 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9"),
            (3_400_000, "0.0 0.5 1.0 1.5 2.0 2.5 3.0"),
            (61_000_000, "0 10 20 30 40 50 60"),
            (1, "0.000 0.001"),
        ] {
            let ticks = Scale::of(0, end_us).ticks(0, end_us, 9);
            let texts: Vec<&str> = ticks.iter().map(|(_, text)| text.as_str()).collect();
            assert_eq!(texts.join(" "), expected);
        }
        assert_eq!(Scale::of(0, 12_660).with_unit(12_658), "12.66 ms");
        assert_eq!(Scale::of(0, 3_400_000).with_unit(3_399_999), "3.400 s");
        let ticks = Scale::of(9_380, 10_270).ticks(9_380, 10_270, 9);
        assert_eq!(ticks.first(), Some(&(9_400, "9.4".to_owned())));
        assert_eq!(Scale::of(9_380, 10_270).with_unit(9_501), "9.501 ms");
    }
}
