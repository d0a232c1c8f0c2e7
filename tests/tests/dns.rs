//! DNS against real servers, dead ones, liars, loss, and many lookups at once.
#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bringup::core::attach::AttachQueue;
use bringup::core::event_loop::{Application, EventLoop, LoopStorage, Ready, Registrar};
use bringup::core::poll::{PollStorage, UnixPoll};
use bringup::core::timer::Owner;
use bringup::dns::client::LargeStorage;
use bringup::dns::{
    Config, Counters, Event, Outcome as DnsOutcome, QueryKey, QueryKind, QueryOptions, RecordType,
    Resolver,
};
use bringup::platform::linux::{EventWake, Linux, LinuxOps};
use bringup::platform::lock::StdLock;
use bringup::system::{Buffers, Driven};
use bringup_tests::lab::dns::{a_record, bind, knot, number_address, question_end, response};
use bringup_tests::lab::dns::{scripted, unbound};
use bringup_tests::lab::network::{DEVICE_INTERFACE, Network, SERVER, SERVER_INTERFACE};
use bringup_tests::lab::servers::{self, Server};
use bringup_tests::lab::{self, Faults, Host, Outcome, bringup, eventually, run};

fn query(device: &Host, arguments: &[&str]) -> Outcome {
    let mut command = device.command(bringup());
    run(command.arg("query").args(arguments).arg("--json"), Duration::from_secs(30))
}

/// The answers as `owner type data`, sorted.
fn answers(outcome: &Outcome) -> Vec<String> {
    let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
    let line =
        |a: &serde_json::Value| [text(&a["owner"]), text(&a["type"]), text(&a["data"])].join(" ");
    let mut lines: Vec<String> = outcome.all("answer").iter().map(line).collect();
    lines.sort();
    lines
}

/// Every type that is to be had by name, from one server.
fn zone_is_read_from(device: &Host) {
    let host = "host.lab.test. A 10.99.0.10";
    let rows: [(&[&str], &[&str], &str); 17] = [
        (&["host.lab.test"], &[host, "host.lab.test. AAAA fd99::10"], "NOERROR"),
        (
            &["alias.lab.test", "A"],
            &["alias.lab.test. CNAME www.lab.test.", host, "www.lab.test. CNAME host.lab.test."],
            "NOERROR",
        ),
        (&["www.lab.test", "CNAME"], &["www.lab.test. CNAME host.lab.test."], "NOERROR"),
        (
            &["lab.test", "MX"],
            &["lab.test. MX 10 mail.lab.test.", "lab.test. MX 20 mail.elsewhere.test."],
            "NOERROR",
        ),
        (&["lab.test", "TXT"], &[r#"lab.test. TXT "one" "two words""#], "NOERROR"),
        (
            &["lab.test", "SOA"],
            &["lab.test. SOA ns.lab.test. root.lab.test. 7 3600 600 86400 30"],
            "NOERROR",
        ),
        (&["lab.test", "NS"], &["lab.test. NS ns.lab.test."], "NOERROR"),
        (
            &["_sip._udp.lab.test", "SRV"],
            &["_sip._udp.lab.test. SRV 1 2 5060 host.lab.test."],
            "NOERROR",
        ),
        (
            &["host.lab.test", "HTTPS"],
            &["host.lab.test. HTTPS 1 . alpn=\"h2,h3\" ipv4hint=10.99.0.10"],
            "NOERROR",
        ),
        (&["svc.lab.test", "SVCB"], &["svc.lab.test. SVCB 0 host.lab.test."], "NOERROR"),
        (&["old.lab.test", "DNAME"], &["old.lab.test. DNAME new.lab.test."], "NOERROR"),
        (
            &["x.old.lab.test", "A"],
            &["x.new.lab.test. A 10.99.0.13", "x.old.lab.test. CNAME x.new.lab.test."],
            "NOERROR",
        ),
        (&["odd.lab.test", "TYPE65280"], &[r"odd.lab.test. TYPE65280 \# 4 01020304"], "NOERROR"),
        (&["v4only.lab.test", "AAAA"], &[], "NODATA"),
        (&["missing.lab.test", "A"], &[], "NXDOMAIN"),
        (&["host.lab.test", "A", "--tcp"], &[host], "NOERROR"),
        (
            &["lab.test", "CAA"],
            &[r#"lab.test. CAA \# 14 000569737375 6563612E74657374"#],
            "NOERROR",
        ),
    ];
    for (arguments, expected, rcode) in rows {
        let outcome = query(device, &[arguments, &["--server", SERVER]].concat());
        let got = answers(&outcome);
        if arguments[1..] == ["CAA"] {
            // Opaque here; how that is printed is not what this is about.
            assert_eq!(got.len(), 1, "{outcome}");
        } else {
            assert_eq!(got, expected, "{arguments:?}\n{outcome}");
        }
        let codes = outcome.all("result");
        assert!(codes.iter().all(|result| result["rcode"] == rcode), "{arguments:?}\n{outcome}");
        assert_eq!(outcome.code, if rcode == "NOERROR" { 0 } else { 1 }, "{outcome}");
    }
    // It does not fit into a datagram, and comes over TCP unasked.
    let outcome = query(device, &["big.lab.test", "A", "--server", SERVER, "--stats"]);
    assert_eq!(answers(&outcome).len(), 100, "{outcome}");
    let stats = outcome.first("stats");
    assert!(stats["sent_tcp"].as_u64() >= Some(1) && stats["timeouts"] == 0, "{outcome}");
}

#[test]
fn unbound_has_every_type() {
    lab::within(&["unbound"], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let _unbound = unbound(&network.server);
        zone_is_read_from(&network.device);
    });
}

#[test]
fn knot_has_every_type() {
    lab::within(&["knotd"], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let _knot = knot(&network.server, SERVER, 0);
        zone_is_read_from(&network.device);
    });
}

#[test]
fn bind_has_every_type() {
    lab::within(&["named"], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let _bind = bind(&network.server);
        zone_is_read_from(&network.device);
    });
}

#[test]
fn a_dead_server_first_costs_less_than_a_second() {
    lab::within(&["knotd"], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let _knot = knot(&network.server, SERVER, 0);
        // Nobody has the address; somebody has it, and is silent.
        let _silent = servers::silent(&network.server, "10.99.0.1:5353");
        for dead in ["10.99.0.77", "10.99.0.1:5353"] {
            let arguments = ["host.lab.test", "A", "--server", dead, "--server", SERVER, "--stats"];
            let outcome = query(&network.device, &arguments);
            outcome.expect_code(0);
            // What costs time is the timeout, half a second where nothing has been measured yet: how exactly,
            // is shown in virtual time.
            let stats = outcome.first("stats");
            let [sent, timeouts] = ["sent", "timeouts"].map(|name| stats[name].as_u64());
            assert_eq!(sent, timeouts.map(|n| n + 1), "{outcome}");
        }
    });
}

#[test]
fn a_closed_port_is_told_at_once_and_by_name() {
    lab::within(&[], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let arguments = ["host.lab.test", "A", "--server", "10.99.0.1:5353", "--stats"];
        let outcome = query(&network.device, &arguments);
        outcome.expect_code(2);
        let result = outcome.first("result");
        assert_eq!(
            (result["rcode"].as_str(), result["server"].as_str()),
            (Some("PORTCLOSED"), Some("10.99.0.1:5353")),
            "{outcome}"
        );
        assert_eq!(outcome.first("stats")["timeouts"], 0, "nothing was waited for\n{outcome}");
        assert!(outcome.stderr.contains("10.99.0.1:5353"), "{outcome}");
    });
}

#[test]
fn a_server_that_fails_is_named() {
    lab::within(&[], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        for (rcode, name, port) in [(2, "SERVFAIL", 5301), (5, "REFUSED", 5305)] {
            let address = format!("{SERVER}:{port}");
            scripted(&network.server, &address, move |query| {
                vec![response(query, 0x8180 | rcode, &[])]
            });
            let outcome = query(&network.device, &["host.lab.test", "A", "--server", &address]);
            outcome.expect_code(2);
            let result = outcome.first("result");
            assert_eq!(
                (result["rcode"].as_str(), result["server"].as_str()),
                (Some(name), Some(address.as_str())),
                "{outcome}"
            );
            assert!(
                outcome.stderr.contains(&address) && outcome.stderr.contains(name),
                "{outcome}"
            );
        }
    });
}

#[test]
fn a_liar_is_not_believed() {
    lab::within(&[], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let liar = format!("{SERVER}:5300");
        scripted(&network.server, &liar, |query| {
            let truth = response(query, 0x8180, &[a_record([10, 99, 0, 10])]);
            let lie = response(query, 0x8180, &[a_record([10, 66, 66, 66])]);
            let change = |f: &dyn Fn(&mut Vec<u8>)| {
                let mut bytes = lie.clone();
                f(&mut bytes);
                bytes
            };
            let mut other_owner = a_record([10, 66, 66, 66]);
            other_owner.splice(..2, *b"\x05other\x04test\0");
            let others = response(query, 0x8180, &[other_owner.clone()]);
            // The truth has company: another name in the answer, and in the other sections.
            let mut extra =
                response(query, 0x8180, &[other_owner.clone(), a_record([10, 99, 0, 10])]);
            extra.extend(&other_owner);
            extra.extend(&other_owner);
            (extra[9], extra[11]) = (1, 1);
            vec![
                change(&|b| b[0] ^= 0xFF),
                change(&|b| b[13] ^= 0x01),
                change(&|b| b[2] &= 0x7F),
                change(&|b| b.truncate(b.len() - 6)),
                change(&|b| b[7] = 9),
                change(&|b| b[5] = 0),
                change(&|b| b.truncate(7)),
                Vec::new(),
                others,
                extra,
                truth,
            ]
        });
        let arguments = ["host.lab.test", "A", "--server", &liar, "--stats"];
        let outcome = query(&network.device, &arguments);
        outcome.expect_code(0);
        assert_eq!(answers(&outcome), ["host.lab.test. A 10.99.0.10"], "{outcome}");
        let stats = outcome.first("stats");
        for reason in
            ["wrong_id", "wrong_question", "not_a_response", "question_count", "wrong_owner"]
        {
            assert!(stats[reason].as_u64() >= Some(1), "{reason}\n{outcome}");
        }
        assert_eq!((stats["sent"].as_u64(), stats["timeouts"].as_u64()), (Some(1), Some(0)));
    });
}

#[test]
fn a_server_that_only_lies_is_not_told_as_silent() {
    lab::within(&[], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let liar = format!("{SERVER}:5300");
        scripted(&network.server, &liar, |query| {
            let mut lie = response(query, 0x8180, &[a_record([10, 66, 66, 66])]);
            lie[0] ^= 0xFF;
            vec![lie]
        });
        let arguments = ["host.lab.test", "A", "--server", &liar, "--deadline", "1s"];
        let outcome = query(&network.device, &arguments);
        outcome.expect_code(2);
        assert_eq!(answers(&outcome), [""; 0], "{outcome}");
        assert!(outcome.stderr.contains("could not be used (wrong-id)"), "{outcome}");
    });
}

#[test]
fn a_server_that_only_cuts_off_is_left_for_another() {
    lab::within(&["knotd"], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let _knot = knot(&network.server, SERVER, 0);
        let cut = format!("{SERVER}:5300");
        // TC over UDP, and nobody on TCP.
        scripted(&network.server, &cut, |query| {
            vec![response(query, 0x8380, &[a_record([10, 66, 66, 66])])]
        });
        let arguments = ["host.lab.test", "A", "--server", &cut, "--server", SERVER];
        let outcome = query(&network.device, &arguments);
        assert_eq!(answers(&outcome), ["host.lab.test. A 10.99.0.10"], "{outcome}");
    });
}

#[test]
fn a_link_local_server_is_asked_on_its_link() {
    lab::within(&[], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        network.server.ip("addr add fe80::53/64 dev s0 nodad");
        network.device.ip("addr add fe80::40/64 dev veth0 nodad");
        let index = network.server.ip_json("link show dev s0")[0]["ifindex"].as_u64();
        let address = format!("[fe80::53%{}]:53", index.expect("a number"));
        scripted(&network.server, &address, |query| {
            vec![response(query, 0x8180, &[a_record([10, 99, 0, 10])])]
        });
        for server in ["fe80::53%veth0", "[fe80::53%veth0]:53"] {
            let outcome = query(&network.device, &["host.lab.test", "A", "--server", server]);
            outcome.expect_code(0);
            assert_eq!(answers(&outcome), ["host.lab.test. A 10.99.0.10"], "{outcome}");
        }
    });
}

#[test]
fn a_server_that_a_lease_named_is_asked_by_way_of_its_interface() {
    lab::within(&["dnsmasq"], |lab| {
        let network = Network::plain(lab);
        let second = lab.host("second");
        lab.cable((&second, SERVER_INTERFACE), (&network.device, "veth1"));
        // Two networks with the same addresses: the routes know one way only, by the first interface.
        for address in [SERVER, "10.99.0.2"] {
            second.ip(&format!("addr add {address}/24 dev {SERVER_INTERFACE}"));
        }
        let first = servers::dnsmasq(&network.server, "");
        let other = "dhcp-option=tag:veth1,option:dns-server,10.99.0.2\ntag-if=set:veth1\n";
        let _other = servers::dnsmasq(&second, other);
        let socket = network.device.folder().join("up.sock");
        let socket = socket.to_str().expect("a path of ours");
        let mut command = network.device.command(bringup());
        command.args(["up", DEVICE_INTERFACE, "veth1", "--json", "--socket", socket]);
        let up = Server::start(&network.device, "bringup", &mut command, || true);
        let named = |server: &str| {
            let log = up.log();
            let mut lines = log.lines().filter(|line| line.contains("\"event\":\"servers\""));
            lines.any(|line| line.contains(server)).then_some(())
        };
        eventually("servers of both", || named("\"10.99.0.1\"").and(named("\"10.99.0.2\"")));
        drop(first);
        let mut command = network.device.command(bringup());
        command.args(["query", "host.lab.test", "A", "--service", "--json", "--socket", socket]);
        let outcome = run(&mut command, Duration::from_secs(30));
        outcome.expect_code(0);
        assert_eq!(answers(&outcome), ["host.lab.test. A 10.99.0.10"], "{outcome}");
        assert_eq!(outcome.first("result")["server"], "10.99.0.2:53", "{outcome}");
    });
}

/// Looks names up, so many at a time, until all have been.
struct Load<'m, P: bringup::core::platform::Platform> {
    resolver: Driven<Resolver<'m>, P, 128, 8>,
    buffers: Buffers,
    kind: QueryKind,
    at_once: usize,
    total: u32,
    next: u32,
    running: HashMap<QueryKey, u32>,
    /// Ended, and kept until the late family is there.
    half: Vec<QueryKey>,
    /// How each lookup ended; the addresses are checked when they come.
    outcomes: Vec<DnsOutcome>,
    /// How many addresses there were at each update.
    late: Vec<usize>,
    wrong: Vec<String>,
    /// Called with the number of those that have ended.
    progress: &'m mut dyn FnMut(usize),
}

impl<P: bringup::core::platform::Platform> Load<'_, P> {
    fn start_more(&mut self, registrar: &mut Registrar<'_, P>) {
        while self.next < self.total && self.running.len() < self.at_once {
            let (name, kind) = (format!("n{}.lab.test.", self.next), self.kind);
            let options = QueryOptions {
                deadline: Some(registrar.now() + bringup::core::time::Duration::from_secs(30)),
                ..QueryOptions::default()
            };
            let Self { resolver, buffers, .. } = self;
            let key = resolver.call(registrar, buffers, |resolver, cx| {
                resolver.query(cx, name.as_str(), kind, options)
            });
            self.running.insert(key.expect("there is a slot"), self.next);
            self.next += 1;
            self.take_events(registrar);
        }
    }

    fn take_events(&mut self, registrar: &mut Registrar<'_, P>) {
        while let Some(event) = self.resolver.next_event() {
            let (key, outcome) = match event {
                Event::Done { key, outcome } => (key, outcome),
                Event::Update { key } => {
                    let answer = self.resolver.client().result(key).expect("it has ended");
                    self.late.push(answer.addresses().count());
                    self.half.retain(|half| *half != key);
                    continue;
                }
            };
            let number = self.running.remove(&key).expect("each ends once");
            if outcome == DnsOutcome::Answer {
                let answer = self.resolver.client().result(key).expect("it has ended");
                let found: Vec<IpAddr> = answer.addresses().collect();
                if found != [IpAddr::from(number_address(number))] {
                    self.wrong.push(format!("n{number}: {found:?}"));
                }
            }
            self.outcomes.push(outcome);
            (self.progress)(self.outcomes.len());
            if self.kind == QueryKind::Addresses {
                self.half.push(key);
                continue;
            }
            let Self { resolver, buffers, .. } = self;
            resolver.call(registrar, buffers, |resolver, cx| resolver.release(cx, key));
        }
    }
}

impl<P: bringup::core::platform::Platform> Application<P> for Load<'_, P> {
    fn dispatch(&mut self, registrar: &mut Registrar<'_, P>, ready: Ready) {
        self.resolver.handle(registrar, &mut self.buffers, &ready);
        self.take_events(registrar);
        self.start_more(registrar);
        let ended = u32::try_from(self.outcomes.len()).expect("a count");
        if ended == self.total && self.half.is_empty() {
            registrar.stop();
        }
    }
}

/// What a load has come to.
struct Report {
    outcomes: Vec<DnsOutcome>,
    late: Vec<usize>,
    wrong: Vec<String>,
    counters: Counters,
    /// Datagrams that the kernel had no room for on this host.
    no_room: u64,
}

/// What is to be looked up.
#[derive(Clone, Copy)]
struct Plan {
    kind: QueryKind,
    /// So many of the numbered hosts.
    total: u32,
    at_once: usize,
}

impl Plan {
    const fn of(total: u32, at_once: usize) -> Self {
        Self { kind: QueryKind::Type(RecordType::A), total, at_once }
    }
}

/// Looks numbered hosts up from `device`.
fn load(
    device: &Host,
    list: &[&str],
    plan: Plan,
    progress: &mut (dyn FnMut(usize) + Send),
) -> Report {
    let list: Vec<SocketAddr> = list.iter().map(|s| s.parse().expect("an address")).collect();
    let run = move || {
        let (mut poll, mut storage) = (PollStorage::<160>::new(), Box::new(LargeStorage::new()));
        let mut memory = Box::new(LoopStorage::<i32, 8, 160>::new());
        type Port<'m> = Linux<UnixPoll<'m>>;
        let queue = AttachQueue::<Load<'_, Port<'_>>, Port<'_>, LinuxOps>::new(
            StdLock::new(),
            EventWake::new(),
        );
        let platform = Linux::new(UnixPoll::new(&mut poll)).expect("a platform");
        let mut app = Load {
            resolver: Driven::new(
                Resolver::new(Config::DEFAULT, &mut *storage),
                Owner::Application,
            ),
            buffers: Buffers::new(),
            kind: plan.kind,
            at_once: plan.at_once,
            total: plan.total,
            next: 0,
            running: HashMap::new(),
            half: Vec::new(),
            outcomes: Vec::new(),
            late: Vec::new(),
            wrong: Vec::new(),
            progress,
        };
        let mut event_loop = EventLoop::new(platform, &mut *memory, &queue).expect("a loop");
        let mut registrar = event_loop.registrar();
        app.resolver.register(&mut registrar).expect("a timer");
        let list: Vec<_> = list.iter().copied().map(Into::into).collect();
        app.resolver.call(&mut registrar, &mut app.buffers, |r, cx| r.set_servers(cx, &list));
        app.start_more(&mut registrar);
        event_loop.run(&mut app).expect("it runs");
        let counters = app.resolver.client().counters();
        let no_room = receive_errors();
        Report { outcomes: app.outcomes, late: app.late, wrong: app.wrong, counters, no_room }
    };
    // The resolver's memory passes over the stack on its way into the box.
    device.enter(|| {
        thread::scope(|scope| {
            let thread = thread::Builder::new().stack_size(16 << 20).spawn_scoped(scope, run);
            thread
                .expect("a thread")
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}

/// `RcvbufErrors` of UDP on the calling thread's host.
fn receive_errors() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/net/snmp").expect("the kernel's counters");
    let mut lines = text.lines().filter(|line| line.starts_with("Udp:"));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let at = names.split(' ').position(|name| name == "RcvbufErrors").expect("Linux has it");
    values.split(' ').nth(at).and_then(|value| value.parse().ok()).expect("a number")
}

#[test]
fn twenty_thousand_lookups_at_256_in_flight() {
    lab::within(&["knotd"], |lab| {
        const TOTAL: u32 = 20_000;
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let _knot = knot(&network.server, SERVER, TOTAL);
        let report = load(&network.device, &["10.99.0.1:53"], Plan::of(TOTAL, 256), &mut |_| ());
        assert_eq!(report.outcomes.len(), 20_000, "none hangs");
        assert!(report.outcomes.iter().all(|o| *o == DnsOutcome::Answer), "{:?}", report.counters);
        assert_eq!(report.wrong, Vec::<String>::new());
        assert_eq!(report.no_room, 0, "no reply is lost to our own buffers");
        let Counters { sent, accepted, timeouts, .. } = report.counters;
        assert_eq!(accepted, 20_000);
        // A server that is not scheduled for a while is asked again: that is no loss of ours.
        assert!(sent <= 20_000 + timeouts, "{:?}", report.counters);
    });
}

#[test]
fn thirty_percent_of_all_frames_are_lost() {
    lab::within(&["knotd"], |lab| {
        let network = Network::with_faults(lab, Faults::default());
        network.give_the_device_an_address();
        network.server.ip("addr add 10.99.0.2/24 dev s0");
        let _knot = knot(&network.server, SERVER, 400);
        let _other = knot(&network.server, "10.99.0.2", 400);
        // The neighbours know each other before: this is about DNS.
        let list = ["10.99.0.1:53", "10.99.0.2:53"];
        for server in list {
            let warm = load(&network.device, &[server], Plan::of(1, 1), &mut |_| ());
            assert_eq!(warm.outcomes, [DnsOutcome::Answer]);
        }
        let faults = Faults { loss_percent: 30, seed: 3, ..Faults::default() };
        network.wire.as_ref().expect("it has faults").set(faults);
        let report = load(&network.device, &list, Plan::of(400, 64), &mut |_| ());
        assert_eq!(report.wrong, Vec::<String>::new());
        let answered = report.outcomes.iter().filter(|o| **o == DnsOutcome::Answer).count();
        // Both ways have to be open: at two servers, three times each, that fails for one lookup in
        // fifty-seven, seven of these; less what TCP makes up for.
        assert_eq!(report.outcomes.len(), 400, "none hangs");
        assert!(answered >= 375, "{answered} of 400: {:?}", report.counters);
    });
}

/// Tells the thread that owns a server what to do, and waits until it is done.
struct Orders {
    orders: mpsc::Sender<bool>,
    obeyed: mpsc::Receiver<()>,
}

impl Orders {
    fn set(&mut self, run: bool) {
        self.orders.send(run).expect("the thread is there");
        self.obeyed.recv().expect("the thread is there");
    }
}

#[test]
fn a_server_that_is_restarted_in_mid_flow_costs_what_was_in_flight_at_most() {
    lab::within(&["knotd"], |lab| {
        const TOTAL: u32 = 4_000;
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let server = &network.server;
        server.ip("addr add 10.99.0.2/24 dev s0");
        let _other = knot(server, "10.99.0.2", TOTAL);
        let (orders, wanted) = mpsc::channel::<bool>();
        let (done, obeyed) = mpsc::channel();
        thread::scope(|scope| {
            // A server lives no longer than the thread that started it.
            scope.spawn(move || {
                let mut first: Option<Server> = None;
                for run in wanted {
                    drop(first.take());
                    first = run.then(|| knot(server, SERVER, TOTAL));
                    done.send(()).expect("somebody waits");
                }
            });
            let mut first = Orders { orders, obeyed };
            first.set(true);
            let mut restart = |ended: usize| match ended {
                1_000 => first.set(false),
                2_000 => first.set(true),
                _ => {}
            };
            let list = ["10.99.0.1:53", "10.99.0.2:53"];
            let report = load(&network.device, &list, Plan::of(TOTAL, 64), &mut restart);
            assert_eq!(report.outcomes.len(), 4_000, "none hangs");
            assert_eq!(report.wrong, Vec::<String>::new());
            let failed = report.outcomes.iter().filter(|o| **o != DnsOutcome::Answer).count();
            assert_eq!(failed, 0, "the other one answers: {:?}", report.counters);
            // With that one alone, what is asked while it is away fails, and then it is back.
            let mut restart = |ended: usize| match ended {
                1_000 => first.set(false),
                1_100 => first.set(true),
                _ => {}
            };
            let list = &list[..1];
            let report = load(&network.device, list, Plan::of(TOTAL, 64), &mut restart);
            assert_eq!(report.wrong, Vec::<String>::new());
            assert_eq!(report.outcomes.len(), 4_000, "none hangs");
            let failed = report.outcomes.iter().filter(|o| **o != DnsOutcome::Answer).count();
            assert!((1..=100 + 64).contains(&failed), "{failed}: {:?}", report.counters);
            drop(first);
        });
    });
}

#[test]
fn rule_43_an_address_is_usable_while_the_other_family_hangs() {
    lab::within(&[], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let asked = Arc::new(AtomicUsize::new(0));
        let asked_for = Arc::clone(&asked);
        // AAAA is answered when it is asked for the second time, half a second later.
        scripted(&network.server, &format!("{SERVER}:53"), move |query| {
            if query[question_end(query) - 3] != 28 {
                return vec![response(query, 0x8180, &[a_record(number_address(0))])];
            }
            let before = asked_for.fetch_add(1, Ordering::Relaxed);
            let mut aaaa = a_record([0; 4]);
            aaaa.splice(2..4, [0, 28]);
            aaaa.splice(10.., [&[0, 16, 0x20, 1, 0xd, 0xb8][..], &[0; 12]].concat());
            if before == 0 { Vec::new() } else { vec![response(query, 0x8180, &[aaaa])] }
        });
        let mut usable = None;
        let start = Instant::now();
        let plan = Plan { kind: QueryKind::Addresses, ..Plan::of(1, 1) };
        let report = load(&network.device, &["10.99.0.1:53"], plan, &mut |_| {
            usable = Some((start.elapsed(), asked.load(Ordering::Relaxed)));
        });
        assert_eq!((report.outcomes, report.wrong), (vec![DnsOutcome::Answer], Vec::new()));
        let (usable, asked) = usable.expect("it was told");
        assert!(usable >= Duration::from_millis(50), "{usable:?}");
        // On a loaded machine anything may be late, but the order stays: 50 ms are before 500.
        assert!(asked <= 1, "it was told before AAAA was asked for again");
        assert_eq!(report.late, [2], "and the other family follows");
    });
}
