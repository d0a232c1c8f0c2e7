//! The portable port, which has no frames and changes no interface: on a host that has its address from elsewhere the
//! system asks dnsmasq and chronyd, and becomes OPERATIONAL.
#![cfg(target_os = "linux")]

use std::net::{IpAddr, SocketAddr};
use std::thread;

use bringup::dns::{
    Event as DnsEvent, Outcome as Answered, QueryKey, QueryKind, QueryOptions, RecordType,
};
use bringup::platform::lock::StdLock;
use bringup::platform::portable::{Portable, PortableOps, SocketWake};
use bringup::prelude::*;
use bringup::system::Event;
use bringup_tests::lab::network::{Network, SERVER};
use bringup_tests::lab::{self, PATIENCE, servers};

type Queue<'m> = AttachQueue<App<'m>, Portable, PortableOps>;

struct App<'m> {
    system: System<'m, Portable>,
    deadline: TimerKey,
    states: Vec<SystemState>,
    /// Those that run, and what they found: over UDP, then over TCP.
    queries: Vec<QueryKey>,
    found: Vec<Vec<IpAddr>>,
}

impl App<'_> {
    fn ask(&mut self, registrar: &mut Registrar<'_, Portable>) {
        for tcp in [false, true] {
            let (name, kind) =
                if tcp { ("v4only.lab.test", "TCP") } else { ("www.lab.test", "UDP") };
            let options = QueryOptions { tcp, ..QueryOptions::default() };
            let query = self.system.query(registrar, name, QueryKind::Type(RecordType::A), options);
            self.queries.push(query.expect(kind));
        }
        self.tell(registrar);
    }

    fn tell(&mut self, registrar: &mut Registrar<'_, Portable>) {
        while let Some(event) = self.system.next_event() {
            match event {
                Event::State { to, .. } => self.states.push(to),
                Event::Dns(DnsEvent::Done { key, outcome }) => {
                    assert_eq!(outcome, Answered::Answer);
                    let answer = self.system.resolver().result(key).expect("it is there");
                    let place = self.queries.iter().position(|query| *query == key);
                    self.found[place.expect("ours")] = answer.addresses().collect();
                    self.system.release(registrar, key);
                    if self.found.iter().all(|found| !found.is_empty()) {
                        registrar.stop();
                    }
                }
                Event::Failed { action, error, .. } => panic!("{}: {error}", action.name()),
                _ => {}
            }
        }
    }
}

impl Application<Portable> for App<'_> {
    fn dispatch(&mut self, registrar: &mut Registrar<'_, Portable>, ready: Ready) {
        if matches!(ready, Ready::Timer { key, .. } if key == self.deadline) {
            panic!("not yet there: {:?}, {:?}, {:?}", self.states, registrar.held(), self.found);
        }
        self.system.handle(registrar, ready);
        self.tell(registrar);
    }

    fn notify(&mut self, registrar: &mut Registrar<'_, Portable>, said: &Announcement) -> Verdict {
        let verdict = self.system.notify(registrar, said);
        self.tell(registrar);
        verdict
    }
}

/// Brings the system up on the host that the calling thread is on.
fn bring_up() {
    let server: IpAddr = SERVER.parse().expect("an address");
    let (dns, ntp) = ([SocketAddr::new(server, 53)], [SocketAddr::new(server, 123)]);
    let time = bringup::ntp::Config::new(Utc::from_unix_secs(0));
    let config = Config { dns: &dns, ntp: &ntp, ..Config::new(time) };
    let (mut memory, mut cache) = (LoopStorage::<_, 8, 32>::new(), SmallStorage::new());
    let queue = Queue::new(StdLock::new(), SocketWake::new());
    let system = System::new(config, &mut [], Resolver::new(config.resolver, &mut cache));
    let platform = Portable::new().expect("a platform");
    let mut event_loop = EventLoop::new(platform, &mut memory, &queue).expect("a loop");
    let mut registrar = event_loop.registrar();
    let deadline = registrar.add_timer(Owner::Application).expect("a timer");
    let late = registrar.now() + PATIENCE.into();
    registrar.set_timer(deadline, late);
    let (states, queries, found) = (Vec::new(), Vec::new(), vec![Vec::new(); 2]);
    let mut app = App { system, deadline, states, queries, found };
    app.system.start(&mut registrar).expect("the loop has room");
    thread::scope(|scope| {
        scope.spawn(|| {
            let attached =
                queue.attach(SystemState::Operational, |outcome: Outcome<'_, App<'_>, _>| {
                    let Outcome::Ready(app, mut registrar) = outcome else {
                        panic!("the loop ended")
                    };
                    app.ask(&mut registrar);
                });
            assert!(attached.is_ok());
        });
        event_loop.run(&mut app).expect("it runs until it is stopped");
    });
    assert_eq!(app.states.last(), Some(&SystemState::Operational));
    let hosts = [10, 11].map(|last| vec![IpAddr::from([10, 99, 0, last])]);
    assert_eq!(app.found, hosts);
}

#[test]
fn a_system_without_interfaces_becomes_operational_on_the_portable_port() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let network = Network::plain(lab);
        network.give_the_device_an_address();
        let _servers = [
            servers::dnsmasq(&network.server, ""),
            servers::chronyd(&network.server, servers::LOCAL),
        ];
        network.device.enter(bring_up);
    });
}
