//! The objects of the contract, field by field, and what happens when nobody reads.

use super::*;
use crate::cli::event::{Address, Answer, Decoded, Lookup, Server, Servers, Time};
use std::sync::{Arc, Mutex};

/// What was written, to be looked at afterwards; fails as told once `room` octets are there.
#[derive(Clone, Default)]
struct Page {
    written: Arc<Mutex<Vec<u8>>>,
    flushes: Arc<Mutex<usize>>,
    fails: Option<ErrorKind>,
}

impl Page {
    fn text(&self) -> String {
        String::from_utf8(self.written.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(kind) = self.fails {
            return Err(kind.into());
        }
        self.written.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        *self.flushes.lock().unwrap() += 1;
        Ok(())
    }
}

fn output(settings: Settings, out: &Page, err: &Page) -> Output {
    Output::new(settings, Instant::now(), Box::new(out.clone()), Box::new(err.clone()))
}

fn told(settings: Settings, events: &[Event]) -> (String, String) {
    let (out, err) = (Page::default(), Page::default());
    let mut output = output(settings, &out, &err);
    for event in events {
        output.emit_at(42, event);
    }
    (out.text(), err.text())
}

const JSON: Settings = Settings { json: true, quiet: false, verbose: false, timeline: true };
const HUMAN: Settings = Settings { json: false, quiet: false, verbose: false, timeline: true };

fn discard() -> Event {
    let from = "10.0.0.9:53".parse().ok();
    Event::Discard { protocol: "dns", reason: "wrong-id", from }
}

fn error() -> Event {
    Event::Error(Problem { what: "eth9".into(), why: "absent".into(), hint: "try eth0".into() })
}

fn address(lost: bool) -> Event {
    Event::Address(Address {
        interface: "eth0".into(),
        address: "10.0.0.5/24".into(),
        lease_s: (!lost).then_some(3600),
        server: Some([10, 0, 0, 1].into()),
        lost,
    })
}

fn facts() -> Vec<(Event, &'static str)> {
    vec![
        (
            Event::State { from: "DHCP", to: "TIME_VALID" },
            r#""event":"state","from":"DHCP","to":"TIME_VALID""#,
        ),
        (
            Event::Hold { state: "DHCP", holder: "dhcp".into(), released: true },
            r#""event":"hold","state":"DHCP","holder":"dhcp","released":true"#,
        ),
        (
            address(false),
            r#""event":"address","interface":"eth0","address":"10.0.0.5/24","lease_s":3600,"server":"10.0.0.1","lost":false"#,
        ),
        (
            address(true),
            r#""event":"address","interface":"eth0","address":"10.0.0.5/24","lease_s":null,"server":"10.0.0.1","lost":true"#,
        ),
        (
            Event::Servers(Servers {
                interface: Some("eth0".into()),
                dns: vec!["10.0.0.1:53".into()],
                ntp: vec![],
                search: vec!["a.example".into()],
                source: "dhcp",
            }),
            r#""event":"servers","interface":"eth0","dns":["10.0.0.1:53"],"ntp":[],"search":["a.example"],"source":"dhcp""#,
        ),
        (
            Event::Attached { waited_for: "OPERATIONAL" },
            r#""event":"attached","waited_for":"OPERATIONAL""#,
        ),
    ]
}

fn answers() -> Vec<(Event, &'static str)> {
    vec![
        (
            Event::Answer(Answer {
                owner: "a.example.".into(),
                rtype: "TXT".into(),
                ttl: 60,
                data: "\"x\"".into(),
            }),
            r#""event":"answer","owner":"a.example.","type":"TXT","ttl":60,"data":"\"x\"""#,
        ),
        (
            Event::Result(Lookup {
                name: "a.example".into(),
                rtype: "A".into(),
                rcode: "NXDOMAIN".into(),
                from: Some("network"),
                server: "[fe80::1%2]:53".parse().ok(),
                elapsed_us: 900,
            }),
            r#""event":"result","name":"a.example","type":"A","rcode":"NXDOMAIN","from":"network","server":"[fe80::1%2]:53","elapsed_us":900"#,
        ),
        (
            Event::Server(Server {
                server: "192.0.2.1:123".into(),
                verdict: "no-reply",
                offset_us: None,
                delay_us: None,
                root_distance_us: None,
                stratum: None,
            }),
            r#""event":"server","server":"192.0.2.1:123","verdict":"no-reply","offset_us":null,"delay_us":null,"root_distance_us":null,"stratum":null"#,
        ),
        (
            Event::Time(Time { state: "confirmed", offset_us: Some(-12), error_us: Some(300) }),
            r#""event":"time","state":"confirmed","offset_us":-12,"error_us":300"#,
        ),
        (
            Event::Decoded(Decoded {
                file: "-".into(),
                ok: false,
                reason: Some("truncated"),
                fields: None,
            }),
            r#""event":"decoded","file":"-","ok":false,"reason":"truncated""#,
        ),
        (error(), r#""event":"error","what":"eth9","why":"absent","hint":"try eth0""#),
    ]
}

#[test]
fn every_object_has_its_fields_in_order() {
    for (event, fields) in facts().into_iter().chain(answers()) {
        let (out, _) = told(JSON, &[event]);
        assert_eq!(out, format!("{{\"t_us\":42,{fields}}}\n"));
    }
    let (out, _) = told(Settings { verbose: true, ..JSON }, &[discard()]);
    let fields = r#""event":"discard","protocol":"dns","reason":"wrong-id","from":"10.0.0.9:53""#;
    assert_eq!(out, format!("{{\"t_us\":42,{fields}}}\n"));
}

#[test]
fn each_line_is_flushed_at_once() {
    let (out, err) = (Page::default(), Page::default());
    let mut output = output(JSON, &out, &err);
    for n in 1..=3 {
        output.emit(&address(false));
        assert_eq!((out.text().lines().count(), *out.flushes.lock().unwrap()), (n, n));
    }
}

#[test]
fn discards_are_told_only_if_asked_for() {
    for settings in [JSON, HUMAN] {
        assert_eq!(told(settings, &[discard()]).0, "");
        assert_ne!(told(Settings { verbose: true, ..settings }, &[discard()]).0, "");
    }
}

#[test]
fn quiet_is_for_people() {
    let events = [address(false), Event::State { from: "POLICY_VALID", to: "OPERATIONAL" }];
    let (out, _) = told(Settings { quiet: true, ..HUMAN }, &events);
    assert_eq!(out.lines().count(), 1, "{out}");
    let (out, _) = told(Settings { quiet: true, ..JSON }, &events);
    assert_eq!(out.lines().count(), 2, "{out}");
}

#[test]
fn errors_are_sentences_on_standard_error() {
    let (out, err) = told(HUMAN, &[error()]);
    assert_eq!((out.as_str(), err.as_str()), ("", "bringup: eth9: absent; try eth0\n"));
    let (out, err) = told(JSON, &[error()]);
    assert!(out.contains("\"hint\":\"try eth0\"") && err.lines().count() == 1);
}

#[test]
fn a_timeline_has_times() {
    let (out, _) = told(HUMAN, &[Event::State { from: "DHCP", to: "TIME_VALID" }]);
    assert_eq!(out, "   0.000042  state    TIME_VALID (was DHCP)\n");
    let settings = Settings { timeline: false, ..HUMAN };
    let (out, _) = told(settings, &[Event::State { from: "DHCP", to: "TIME_VALID" }]);
    assert_eq!(out, "state    TIME_VALID (was DHCP)\n");
}

#[test]
fn a_reader_that_leaves_ends_the_output_quietly() {
    let (out, err) =
        (Page { fails: Some(ErrorKind::BrokenPipe), ..Page::default() }, Page::default());
    let mut output = output(JSON, &out, &err);
    output.emit(&address(false));
    output.emit(&address(false));
    assert!(output.is_closed());
    assert_eq!(err.text(), "");
    assert_eq!(output.finish(Exit::Done), Exit::Done);
}

#[test]
fn output_that_is_lost_is_an_error() {
    let (out, err) =
        (Page { fails: Some(ErrorKind::StorageFull), ..Page::default() }, Page::default());
    let mut output = output(JSON, &out, &err);
    output.emit(&address(false));
    output.emit(&address(false));
    assert_eq!(err.text().lines().count(), 1, "said once");
    assert_eq!(output.finish(Exit::Done), Exit::Unknown);
}
