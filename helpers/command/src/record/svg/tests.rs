use super::super::{Direction, Moment, Packet, Protocol, Record, What};
use super::*;

fn packets(times_us: impl IntoIterator<Item = u64>) -> Record {
    let moment = |t_us| {
        let (protocol, direction) = (Protocol::Dns, Direction::Sent);
        let label = "AAAA? www.example.com".into();
        Moment { t_us, what: What::Packet(Packet { protocol, direction, interface: None, label }) }
    };
    Record { moments: times_us.into_iter().map(moment).collect(), ..Record::default() }
}

/// For each label the place that it takes, and the line that leads down to it.
fn boxes(record: &Record) -> Vec<(Placed, f64)> {
    let timeline = Timeline::of(record);
    let drawing = Drawing::new(&timeline);
    let marks = &timeline.lanes[2].marks;
    let (placed, _) = drawing.place(marks);
    placed
        .into_iter()
        .map(|p| {
            let end = p.x + 10.0 + width(&p.text) + width(&p.time);
            (p, end)
        })
        .collect()
}

#[test]
fn no_label_meets_another_nor_its_line() {
    let mut seed = 1_u64;
    for count in 1..40 {
        let mut times: Vec<u64> = (0..count)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 40) % 20_000
            })
            .collect();
        times.push(20_000);
        let boxes = boxes(&packets(times));
        assert!(!boxes.is_empty());
        for (at, (a, a_end)) in boxes.iter().enumerate() {
            assert!(*a_end <= WIDTH, "{a:?} leaves the picture");
            for (b, b_end) in boxes.iter().skip(at + 1) {
                let apart = a.line != b.line || *a_end < b.x || *b_end < a.x;
                assert!(apart, "{a:?} and {b:?}");
                let (upper, lower) =
                    if a.line < b.line { ((a, a_end), b) } else { ((b, b_end), a) };
                let passes = lower.x <= upper.0.x || lower.x > *upper.1;
                assert!(passes || upper.0.line == lower.line, "{lower:?} goes through {upper:?}");
            }
        }
    }
}

#[test]
fn a_crowd_is_told_by_its_first_and_its_last() {
    let texts: Vec<String> = boxes(&packets((0..20).chain([50_000])))
        .into_iter()
        .map(|(placed, _)| placed.text)
        .collect();
    assert!(texts.contains(&"… 16 more".to_owned()), "{texts:?}");
    assert_eq!(texts.len(), 6);
}

#[test]
fn names_from_the_network_stay_text() {
    let record = Record { title: "<script>&\u{7}".into(), ..packets([1]) };
    let drawn = draw(&Timeline::of(&record));
    assert!(drawn.contains("&lt;script&gt;&amp;\u{FFFD}") && !drawn.contains("<script"));
}
