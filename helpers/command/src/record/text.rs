//! A [`Timeline`] as lines for a terminal of 80 columns.

use std::fmt::Write as _;

use super::timeline::{Kind, Lane, LaneKind, Scale, Timeline};

/// Columns of the plot; the names of the lanes stand before it.
const COLUMNS: usize = 66;
const NAME: usize = 11;

/// Draws a timeline.
pub fn draw(timeline: &Timeline) -> String {
    let scale = timeline.scale();
    let mut out = format!("{}: {}\n", timeline.title, timeline.verdict());
    line(&mut out, "", &axis(timeline, scale));
    for lane in timeline.lanes.iter().filter(|lane| !lane.marks.is_empty()) {
        let name = match &lane.interface {
            Some(interface) => format!("{} {interface}", lane.name),
            None => lane.name.to_owned(),
        };
        line(&mut out, &name, &self::lane(timeline, lane));
    }
    line(&mut out, "waits for", &waits(timeline));
    let waited = timeline
        .waited()
        .into_iter()
        .map(|(holder, for_us)| format!("{} {holder} {}", letter(holder), scale.with_unit(for_us)));
    let mut legend = String::new();
    for waited in waited {
        if !legend.is_empty() && legend.chars().count() + waited.chars().count() > COLUMNS {
            line(&mut out, "", &std::mem::take(&mut legend));
        }
        let between = if legend.is_empty() { "" } else { " · " };
        legend.extend([between, &waited]);
    }
    line(&mut out, "", &legend);
    line(&mut out, "", "↓ sent · ↑ received · ↕ both · • known · ○ attached · ● ran");
    out.truncate(out.trim_end().len());
    out
}

fn line(out: &mut String, name: &str, plot: &str) {
    // Long names of interfaces are cut, so that columns stay columns. Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{:<NAME$}{}",
        name.chars().take(NAME - 1).collect::<String>(),
        plot.trim_end()
    );
}

/// The column of a time.
fn column(timeline: &Timeline, t_us: u64) -> usize {
    let last = COLUMNS - 1;
    let Timeline { begin_us, end_us, .. } = *timeline;
    let column =
        u128::from(t_us.saturating_sub(begin_us)) * last as u128 / u128::from(end_us - begin_us);
    usize::try_from(column).unwrap_or(last).min(last)
}

fn axis(timeline: &Timeline, scale: Scale) -> String {
    let mut text = String::new();
    for (at, (t_us, number)) in
        scale.ticks(timeline.begin_us, timeline.end_us, 8).into_iter().enumerate()
    {
        let label = if at == 0 { format!("{number} {}", scale.unit()) } else { number };
        let column = column(timeline, t_us);
        let length = text.chars().count();
        if at == 0 || (length < column && column + label.len() <= COLUMNS + 3) {
            text.extend(std::iter::repeat_n(' ', column - length));
            text.push_str(&label);
        }
    }
    text
}

fn lane(timeline: &Timeline, lane: &Lane) -> String {
    let mut cells = [match lane.kind {
        LaneKind::Link => '·',
        _ => ' ',
    }; COLUMNS];
    for mark in &lane.marks {
        let column = column(timeline, mark.t_us);
        let Some((cell, after)) = cells.get_mut(column..).and_then(<[char]>::split_first_mut)
        else {
            continue;
        };
        match (mark.kind, *cell) {
            (Kind::Sent, '↑' | '↕') | (Kind::Received, '↓' | '↕') => *cell = '↕',
            (Kind::Sent, _) => *cell = '↓',
            (Kind::Received, _) => *cell = '↑',
            (Kind::Up, _) => {
                *cell = '━';
                after.fill('━');
            }
            (Kind::Down, _) => {
                *cell = '·';
                after.fill('·');
            }
            // What packets led to must not hide them.
            (Kind::Note, ' ') => *cell = '•',
            (Kind::Note, _) => {}
            (Kind::Posted, _) => *cell = '○',
            (Kind::State, _) => *cell = '│',
            (Kind::Ran, _) => *cell = '●',
        }
    }
    cells.iter().collect()
}

fn waits(timeline: &Timeline) -> String {
    let mut cells = [' '; COLUMNS];
    for wait in &timeline.waits {
        let (from, to) = (column(timeline, wait.from_us), column(timeline, wait.to_us));
        for cell in cells.iter_mut().take(to.max(from + 1)).skip(from) {
            *cell = letter(&wait.holder);
        }
    }
    cells.iter().collect()
}

fn letter(holder: &str) -> char {
    holder.chars().next().unwrap_or('?')
}

#[cfg(test)]
mod tests {
    use super::super::{Direction, Moment, Packet, Protocol, Record, What};
    use super::*;

    #[test]
    fn a_bring_up_in_eighty_columns() {
        let packet = |direction| {
            let (protocol, label) = (Protocol::Dhcp, String::new());
            What::Packet(Packet { protocol, direction, interface: None, label })
        };
        let hold = |released| What::Hold { holder: "dhcp".into(), released };
        let moments = [
            (900, What::Link { interface: "eth0".into(), up: true }),
            (2_000, hold(false)),
            (2_100, packet(Direction::Sent)),
            (8_000, packet(Direction::Sent)),
            (8_010, packet(Direction::Received)),
            (8_100, hold(true)),
            (10_000, What::State("OPERATIONAL")),
        ];
        let moments = moments.map(|(t_us, what)| Moment { t_us, what }).into();
        let record = Record {
            title: "up eth0".into(),
            moments,
            operational_us: Some(10_000),
            ..Record::default()
        };
        let drawn = draw(&Timeline::of(&record));
        let expected = "\
up eth0: OPERATIONAL after 10.00 ms
           0 ms         2            4            6            8            10
link       ·····━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
DHCP                    ↓                                      ↕
states                                                                      │
waits for               ddddddddddddddddddddddddddddddddddddddd
           d dhcp 6.10 ms
           ↓ sent · ↑ received · ↕ both · • known · ○ attached · ● ran";
        assert_eq!(drawn, expected, "\n{drawn}");
    }
}
