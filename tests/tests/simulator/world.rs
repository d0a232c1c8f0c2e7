//! [`World`]: the system on its loop, and the [`Far`] stations that it talks to.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bringup::core::attach::{AttachQueue, Outcome};
use bringup::core::client::Mac;
use bringup::core::error::ErrorKind;
use bringup::core::event_loop::{Application, EventLoop, LoopStorage, Ready, Registrar};
use bringup::core::platform::AddressConfig;
use bringup::core::state::{Announcement, HoldKey, Phase, States, SystemState, Verdict};
use bringup::core::time::{Duration, Instant};
use bringup::core::timer::Owner;
use bringup::dhcp::lease::STORAGE_LEN;
use bringup::dhcp::route::Route;
use bringup::dns::{self, QueryKey, QueryKind, QueryOptions, Resolver, SmallStorage};
use bringup::ntp::ClockState;
use bringup::platform::lock::StdLock;
use bringup::platform::sim::packet::parse_udp;
use bringup::platform::sim::{Direction, Operation, Sim, SimOps, SimWake, true_utc};
use bringup::system::{Config, Event, Gate, NtpName, Origin, System};

use crate::far::Far;
use crate::limits::Limits;
use crate::memory;

pub(crate) const NTP_NAMES: &[NtpName<'_>] = &[NtpName { name: "time.bringup.test", port: 123 }];

pub(crate) fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The application: it writes down what it hears.
pub(crate) struct App<'m> {
    pub(crate) system: System<'m, Sim>,
    pub(crate) said: Vec<(Instant, Event<ErrorKind>)>,
    pub(crate) states: Vec<(SystemState, SystemState)>,
    /// The queries that have ended since the last turn was checked.
    ended: Vec<QueryKey>,
    /// A step that the application is to hold.
    pub(crate) holds: Option<SystemState>,
    pub(crate) held: Option<HoldKey>,
}

impl App<'_> {
    pub(crate) fn listen(&mut self, now: Instant) {
        while let Some(event) = self.system.next_event() {
            if let Event::State { from, to } = event {
                self.states.push((from, to));
            }
            if let Event::Dns(dns::Event::Done { key, .. }) = event {
                self.ended.push(key);
            }
            self.said.push((now, event));
        }
    }

    /// The application's own notifier, after the system's.
    fn hold(&mut self, said: &Announcement) -> Verdict {
        if said.phase != Phase::Asked || self.holds != Some(said.to) {
            return Verdict::Go;
        }
        let key = said.hold("application");
        self.held = Some(key);
        Verdict::Hold(key)
    }
}

impl Application<Sim> for App<'_> {
    fn notify(&mut self, registrar: &mut Registrar<'_, Sim>, said: &Announcement) -> Verdict {
        if said.owner() == Owner::Application {
            return self.hold(said);
        }
        let verdict = self.system.notify(registrar, said);
        self.listen(registrar.now());
        verdict
    }

    fn dispatch(&mut self, registrar: &mut Registrar<'_, Sim>, ready: Ready) {
        self.system.handle(registrar, ready);
        self.listen(registrar.now());
    }
}

pub(crate) type Queue<'m> = AttachQueue<App<'m>, Sim, SimOps>;

/// What a test chooses before the start.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) interfaces: u8,
    /// Whether the cables are in.
    pub(crate) carrier: bool,
    /// Whether the leases name NTP servers (option 42), so that no name is needed.
    pub option_42: bool,
    pub(crate) wait_for_time: bool,
    pub(crate) set_clock: bool,
    pub(crate) lease_s: u32,
    pub(crate) mtu: Option<u16>,
    /// What option 121 names.
    pub(crate) classless: Vec<Route>,
    /// How long a time stays valid without news.
    pub(crate) valid_for: Option<Duration>,
    /// What DHCP clients are told besides.
    pub(crate) dhcp: fn(bringup::dhcp::Config<'static>) -> bringup::dhcp::Config<'static>,
    /// What was kept of the first interface; nothing if empty.
    pub(crate) snapshot: Vec<u8>,
    /// The first interface's own address, which is on it.
    pub(crate) own_address: Option<Ipv4Addr>,
    /// Whether leases are given back at the end.
    pub(crate) release: bool,
    /// Whether what was put on interfaces stays there at the end.
    pub(crate) keep: bool,
    /// Servers that the operator names.
    pub(crate) dns: &'static [SocketAddr],
    pub(crate) ntp: &'static [SocketAddr],
    /// Whether the interfaces are up before the system comes.
    pub(crate) is_up: bool,
    /// Whether addresses and routes are put on interfaces.
    pub(crate) apply: bool,
    /// Whether the application is told of what is ignored.
    pub(crate) tell_discards: bool,
    /// Whether the system gets its memory afterwards, as one in a static does.
    pub(crate) is_lent: bool,
    /// What the machine refuses from the start.
    pub(crate) refuses: Vec<(Operation, ErrorKind)>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 1,
            interfaces: 1,
            carrier: true,
            option_42: true,
            wait_for_time: true,
            set_clock: false,
            lease_s: 3600,
            mtu: None,
            classless: Vec::new(),
            valid_for: None,
            dhcp: |config| config,
            snapshot: Vec::new(),
            own_address: None,
            release: false,
            keep: false,
            dns: &[],
            ntp: &[],
            is_up: false,
            apply: true,
            tell_discards: false,
            is_lent: false,
            refuses: Vec::new(),
        }
    }
}

/// How many turns may pass at one instant; a bring-up has a few dozen.
const MAX_TURNS_AT_ONCE: u32 = 200;
/// The deadline of every query.
const QUERY_ENDS_IN: Duration = Duration::from_secs(20);
/// The sockets that may be open: DHCP's, the resolver's pool, NTP's, the watch.
const MAX_OPEN: usize = 48;
/// How far the heap may grow after the start, octets: frames under way, and requests that wait.
const MAX_GROWTH: i64 = 64 << 10;

pub(crate) struct World<'a, 'q, 'm> {
    pub(crate) event_loop: &'a mut EventLoop<'q, Sim, App<'m>, SimOps>,
    pub(crate) app: &'a mut App<'m>,
    pub(crate) queue: &'q Queue<'m>,
    pub(crate) far: Vec<Rc<RefCell<Far>>>,
    limits: Limits,
    turns_at_once: u32,
    pub(crate) turns: u64,
    last: Instant,
    states_checked: usize,
    state: SystemState,
    /// How often each request that was attached has been told its end.
    attached: Vec<Arc<AtomicU32>>,
    /// The queries that are to end, and until when.
    asked: Vec<(QueryKey, Instant)>,
    /// How many turns in a row have left one of them running after its deadline. The turn in which
    /// a suspended machine wakes up only reads the clock.
    turns_overdue: u32,
    /// Whether what was said and heard is thrown away at the end of each turn, so that what is on the heap is
    /// the system's doing.
    pub(crate) forgets: bool,
    /// What was on the heap at the start.
    heap: i64,
    /// Whether TIME_VALID means that the time is known.
    wait_for_time: bool,
    /// Whether leases are given back at the end.
    release: bool,
    /// Whether addresses and routes are put on interfaces, and taken off at the end.
    apply: bool,
    /// Whether the machine refuses an address, so that a lease does not mean that there is one.
    pub(crate) lacks: bool,
    /// How many routes there may be for each interface.
    pub(crate) most_routes: usize,
}

/// Makes a world, starts the system, and lets `story` go on.
pub(crate) fn within(plan: &Plan, story: impl FnOnce(&mut World<'_, '_, '_>)) {
    let mut sim = Sim::new(plan.seed);
    let mut far = Vec::new();
    for number in 0..plan.interfaces {
        let index = sim.add_interface(&format!("sim{number}"), mac(number));
        let mut servers = Far::new(number);
        let address = servers.address;
        servers.change(sim_now(&mut sim), |network| {
            network.lease_s = plan.lease_s;
            network.t1_s = plan.lease_s / 2;
            network.t2_s = plan.lease_s / 8 * 7;
            network.mtu = plan.mtu;
            network.routes.clone_from(&plan.classless);
            if plan.option_42 {
                network.ntp_servers = vec![address];
            }
        });
        let servers = Rc::new(RefCell::new(servers));
        sim.add_peer(index, Rc::clone(&servers));
        sim.set_carrier(index, plan.carrier);
        sim.set_up(index, plan.is_up);
        far.push(servers);
    }
    for (what, why) in &plan.refuses {
        sim.refuse(*what, Some(*why));
    }
    sim.step_wall(-1_500_000_000);
    sim.allow_clock();
    let mut ntp = bringup::ntp::Config::new(true_utc(sim_now(&mut sim)));
    if let Some(valid_for) = plan.valid_for {
        (ntp.valid_for, ntp.confirmed_for) = (valid_for, valid_for);
    }
    let mut config = Config {
        wait_for_time: plan.wait_for_time,
        set_clock: plan.set_clock,
        release: plan.release,
        keep: plan.keep,
        dns: plan.dns,
        ntp: plan.ntp,
        apply: plan.apply,
        tell_discards: plan.tell_discards,
        ntp_names: if plan.option_42 { &[] } else { NTP_NAMES },
        ..Config::new(ntp)
    };
    config.resolver.sockets_per_server = 4;

    let names = ["sim0", "sim1"];
    let mut leases = [[0; STORAGE_LEN]; 2];
    let mut slots = [None, None];
    let mut cache = SmallStorage::new();
    let mut memory = Box::new(LoopStorage::<_, 32, 128>::new());
    let queue = Queue::new(StdLock::new(), SimWake::new());
    let system = if plan.is_lent {
        let mut system = System::vacant(config);
        system.lend(&mut slots, &mut cache);
        system
    } else {
        System::new(config, &mut slots, Resolver::new(config.resolver, &mut cache))
    };
    let mut app = App {
        system,
        said: Vec::new(),
        states: Vec::new(),
        ended: Vec::new(),
        holds: None,
        held: None,
    };
    let mut event_loop = EventLoop::new(sim, &mut memory, &queue).expect("a loop");
    let count = usize::from(plan.interfaces);
    for (name, storage) in names.into_iter().zip(&mut leases).take(count) {
        let dhcp = |link: &bringup::core::platform::Interface| {
            (plan.dhcp)(bringup::dhcp::Config::new(link.mac))
        };
        let registrar = &mut event_loop.registrar();
        let id = app.system.add_interface(registrar, name, dhcp, storage).expect("added");
        if id.index() == 0 {
            if !plan.snapshot.is_empty() {
                app.system.restore(id, &plan.snapshot).expect("ours, and whole");
            }
            if let Some(address) = plan.own_address {
                app.system.inform_only(id, address);
            }
        }
    }
    app.system.start(&mut event_loop.registrar()).expect("started");
    event_loop.registrar().add_notifier(Owner::Application).expect("room");
    let last = event_loop.registrar().now();
    let mut world = World {
        event_loop: &mut event_loop,
        app: &mut app,
        queue: &queue,
        far,
        limits: Limits::default(),
        turns_at_once: 0,
        turns: 0,
        last,
        states_checked: 0,
        state: SystemState::ContextCreated,
        attached: Vec::new(),
        asked: Vec::new(),
        turns_overdue: 0,
        forgets: false,
        heap: memory::live(),
        wait_for_time: plan.wait_for_time,
        release: plan.release,
        apply: plan.apply,
        lacks: false,
        most_routes: 4,
    };
    story(&mut world);
    world.event_loop.shutdown(world.app);
    for (number, told) in world.attached.iter().enumerate() {
        assert_eq!(told.load(Ordering::Relaxed), 1, "how often request {number} was told its end");
    }
}

fn mac(number: u8) -> Mac {
    Mac([0x02, 0, 0, 0, 0, 2 + number])
}

fn sim_now(sim: &mut Sim) -> Instant {
    bringup::core::platform::Platform::now(sim)
}

impl World<'_, '_, '_> {
    pub(crate) fn sim<R>(&mut self, f: impl FnOnce(&mut Sim) -> R) -> R {
        f(self.event_loop.registrar().platform())
    }

    pub(crate) fn now(&mut self) -> Instant {
        self.sim(sim_now)
    }

    /// Something is done to the machine that lets what is asked be asked anew.
    pub(crate) fn disturb(&mut self) {
        let now = self.now();
        self.limits.begins(now);
    }

    /// The machine's number for an interface.
    pub(crate) fn index(&self, place: usize) -> u32 {
        self.app.system.interfaces().nth(place).expect("an interface").link().index
    }

    pub(crate) fn state(&mut self) -> SystemState {
        self.event_loop.registrar().state()
    }

    pub(crate) fn is_operational(&mut self) -> bool {
        self.state() == SystemState::Operational
    }

    /// One turn, and all that must hold after it.
    pub(crate) fn turn(&mut self) {
        self.event_loop.turn(self.app).expect("the simulator does not fail");
        self.turns += 1;
        let now = self.now();
        self.turns_at_once = if now == self.last { self.turns_at_once + 1 } else { 0 };
        self.last = now;
        assert!(self.turns_at_once < MAX_TURNS_AT_ONCE, "the loop spins at {now:?}");
        self.check_sends();
        self.check_states();
        self.check_addresses(now);
        self.check_queries(now);
        let open = self.sim(|sim| sim.open_sockets());
        assert!(open <= MAX_OPEN, "{open} sockets are open");
        assert_eq!(self.app.system.events_lost(), 0, "events were lost");
        if self.forgets {
            self.forget();
        }
    }

    /// Throws away what was written down, and looks at what the heap holds then.
    fn forget(&mut self) {
        self.app.said.clear();
        self.app.states.clear();
        self.states_checked = 0;
        self.far.iter().for_each(|far| far.borrow_mut().heard.clear());
        let grown = memory::live() - self.heap;
        assert!(grown < MAX_GROWTH, "the heap has grown by {grown} octets");
    }

    fn check_sends(&mut self) {
        let Self { app, limits, .. } = self;
        for (at, event) in app.said.iter().skip(limits.heard) {
            limits.heard(*at, event);
        }
        limits.heard = if self.forgets { 0 } else { app.said.len() };
        let seen: Vec<_> = self.sim(|sim| {
            let seen = sim.log().cloned().collect();
            sim.set_log_limit(0);
            sim.set_log_limit(4_096);
            seen
        });
        for seen in seen {
            let Some(datagram) = parse_udp(&seen.frame.payload, true) else { continue };
            if seen.direction == Direction::Sent {
                self.limits.sent(seen.at, seen.interface, &datagram);
            } else if datagram.src.port() == 53 {
                // What was asked is answered, and may be asked again.
                self.limits.begins(seen.at);
            }
        }
    }

    /// Every query ends once and in time.
    fn check_queries(&mut self, now: Instant) {
        for key in std::mem::take(&mut self.app.ended) {
            let place = self.asked.iter().position(|(asked, _)| *asked == key);
            let place = place.expect("a query ends once, and was asked before");
            self.asked.swap_remove(place);
            self.app.system.release(&mut self.event_loop.registrar(), key);
        }
        let overdue = self.asked.iter().any(|(_, until)| now > *until);
        self.turns_overdue = if overdue { self.turns_overdue + 1 } else { 0 };
        assert!(self.turns_overdue < 4, "a query has not ended: {:?}", self.asked);
    }

    fn check_states(&mut self) {
        for (from, to) in self.app.states.iter().skip(self.states_checked) {
            assert_eq!(*from, self.state, "nothing is announced twice, and nothing left out");
            let up = from.next() == Some(*to);
            let down = to.rank() < from.rank();
            assert!(up || down, "{from} → {to}");
            self.state = *to;
        }
        self.states_checked = self.app.states.len();
    }

    /// No address is used past its lease, and no state claims what is not there.
    fn check_addresses(&mut self, now: Instant) {
        let there: Vec<_> = self.sim(|sim| sim.addresses().map(|(_, a)| *a).collect());
        for AddressConfig { address, .. } in there.iter().filter(|a| a.valid_s.is_some()) {
            let until =
                self.far.iter().filter_map(|far| far.borrow().granted.get(address).copied()).max();
            assert!(until.is_some_and(|until| now <= until), "{address} is past its lease");
        }
        let (addresses, routes) = self.sim(|sim| (sim.addresses().count(), sim.routes().len()));
        let interfaces = self.far.len();
        assert!(
            addresses <= 2 * interfaces && routes <= self.most_routes * interfaces,
            "{addresses}, {routes}"
        );
        let state = self.state();
        if state.rank() >= SystemState::Dhcp.rank() && !self.lacks {
            assert!(!there.is_empty(), "{state} without an address");
        }
        if state.rank() >= SystemState::TimeValid.rank() && self.wait_for_time {
            assert!(self.is_time_known(), "{state} without a time");
        }
    }

    /// Turns until it holds; fails when it does not within `span`.
    #[track_caller]
    pub(crate) fn until(&mut self, span: Duration, what: &str, holds: impl Fn(&mut Self) -> bool) {
        let deadline = self.now() + span;
        while !holds(self) {
            let now = self.now();
            let last = self.app.said.iter().rev().take(6).collect::<Vec<_>>();
            assert!(now < deadline, "not within {span:?}: {what}; {last:?}");
            self.turn();
            assert!(!self.sim(|sim| sim.is_idle()) || holds(self), "idle for ever before: {what}");
        }
    }

    #[track_caller]
    pub(crate) fn until_operational(&mut self, span: Duration) {
        self.until(span, "OPERATIONAL", Self::is_operational);
    }

    /// Lets time pass; it passes in turns, the last of which may go beyond it.
    pub(crate) fn pass(&mut self, span: Duration) {
        let until = self.now() + span;
        while self.now() < until {
            self.turn();
            if self.sim(|sim| sim.is_idle()) {
                return;
            }
        }
    }

    /// Attaches a request; that it is told its end once is checked when the story is over.
    pub(crate) fn attach(&mut self, gate: Option<SystemState>) {
        let told = Arc::new(AtomicU32::new(0));
        self.attached.push(Arc::clone(&told));
        let tell = move |_: Outcome<'_, _, _>| {
            told.fetch_add(1, Ordering::Relaxed);
        };
        assert!(self.queue.attach(gate, tell).is_ok(), "the queue is open");
    }

    /// Asks for a name, unless too many are being asked for.
    pub(crate) fn ask(&mut self, name: &str) {
        let registrar = &mut self.event_loop.registrar();
        let until = registrar.now() + QUERY_ENDS_IN;
        let options = QueryOptions { deadline: Some(until), ..QueryOptions::default() };
        if let Ok(key) = self.app.system.query(registrar, name, QueryKind::Addresses, options) {
            self.asked.push((key, until));
            self.limits.begins(registrar.now());
        }
        // What is in the cache is answered at once, and no readiness follows.
        let now = self.now();
        self.app.listen(now);
    }

    /// How often an event came.
    pub(crate) fn count(&self, is: impl Fn(&Event<ErrorKind>) -> bool) -> usize {
        self.app.said.iter().filter(|(_, event)| is(event)).count()
    }

    pub(crate) fn held_by(&self, gate: Gate) -> usize {
        self.count(|e| *e == Event::Hold { gate, released: false })
    }

    pub(crate) fn is_time_known(&self) -> bool {
        self.app.system.ntp().state() != ClockState::Invalid
    }

    pub(crate) fn addresses(&mut self) -> usize {
        self.sim(|sim| sim.addresses().count())
    }

    fn has_servers_of_leases(&self) -> bool {
        let system = &self.app.system;
        let mut servers = system.dns_servers().iter().chain(system.ntp_servers().iter());
        servers.any(|fact| matches!(fact.origin, Origin::Lease(_)))
    }

    /// Stops the system; nothing of it may be left on the machine, and each lease is given back once, at once, if
    /// that is wanted.
    pub(crate) fn stop(&mut self) {
        let leases = self.app.system.interfaces().filter(|i| i.lease().is_some()).count();
        let released = self.limits.released + if self.release { leases } else { 0 };
        self.app.system.stop(&mut self.event_loop.registrar());
        self.check_sends();
        assert_eq!(self.limits.released, released, "RELEASEs for {leases} leases");
        let left =
            self.sim(|sim| (sim.addresses().count(), sim.routes().len(), sim.open_sockets()));
        assert_eq!(left, (0, 0, 0), "addresses, routes and sockets that are left");
        let is_left = self.has_servers_of_leases() && self.apply;
        assert!(!is_left, "servers of a lease that is no more");
        let (turns, stopped) = (self.turns, self.now());
        for _ in 0..20 {
            let _ = self.event_loop.turn(self.app);
            assert_eq!(self.sim(|sim| sim.open_sockets()), 0, "something goes on after the stop");
        }
        self.turns = turns;
        assert!(self.sim(|sim| sim.is_idle()), "a timer is left");
        // What was in the air has landed; nothing else had a deadline.
        assert!(self.now() < stopped + s(1), "a timer was left");
    }
}
