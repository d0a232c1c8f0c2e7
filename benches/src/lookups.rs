//! DNS: names that have to be asked for, at one local server that answers at once.

use std::cell::Cell;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bringup_core::attach::AttachQueue;
use bringup_core::event_loop::{Application, EventLoop, LoopStorage, Ready, Registrar};
use bringup_core::platform::Platform as _;
use bringup_core::poll::{PollStorage, UnixPoll};
use bringup_core::timer::Owner;
use bringup_dns::client::LargeStorage;
use bringup_dns::{
    Config, Event, QueryKind, QueryOptions, RecordType, Resolver, ResolverStorage, SourceAddress,
};
use bringup_platform::linux::{EventWake, Linux, LinuxOps};
use bringup_platform::lock::StdLock;
use bringup_system::{Buffers, Driven};

use crate::measure::{Contender, Cost, Cpu, Ratio, measure, table, times};

/// Lookups of one round.
const LOOKUPS: usize = times(20_000);

/// Answers every query with one address, until the program ends. One thread, as many as it can.
fn server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("it is bound");
    make_room(&socket);
    thread::spawn(move || {
        let mut bytes = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let Some(end) = answer(&mut bytes, length) else { continue };
            // One that goes away does not read its answer.
            let _ = socket.send_to(&bytes[..end], from);
        }
    });
    address
}

/// Turns a query into its answer: one address, or nothing for any other type. OPT is left out.
fn answer(bytes: &mut [u8; 512], length: usize) -> Option<usize> {
    let mut at = 12;
    while *bytes.get(at)? != 0 {
        at += usize::from(bytes[at]) + 1;
    }
    let address: &[u8] = match bytes.get(at + 1..at + 3)? {
        [0, 1] => &[192, 0, 2, 1],
        [0, 28] => &[0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        _ => &[],
    };
    let rtype = bytes[at + 2];
    at += 5;
    if at > length {
        return None;
    }
    let count = u8::from(!address.is_empty());
    bytes[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0]);
    if count == 0 {
        return Some(at);
    }
    let head = [0xC0, 12, 0, rtype, 0, 1, 0, 0, 0, 60, 0, u8::try_from(address.len()).ok()?];
    let end = at + head.len() + address.len();
    bytes.get_mut(at..at + head.len())?.copy_from_slice(&head);
    bytes.get_mut(at + head.len()..end)?.copy_from_slice(address);
    Some(end)
}

/// The same, but so many queries wait for their answers: only when there is another, the oldest are
/// answered, or when no more come for a while.
pub(crate) struct Holder {
    pub(crate) address: SocketAddr,
    hold: Arc<AtomicUsize>,
}

impl Holder {
    pub(crate) fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("it is bound");
        make_room(&socket);
        let hold = Arc::new(AtomicUsize::new(0));
        let held = Arc::clone(&hold);
        thread::spawn(move || {
            socket.set_read_timeout(Some(Duration::from_millis(2))).expect("not zero");
            let mut waiting = VecDeque::new();
            loop {
                let mut bytes = [0; 512];
                let hold = held.load(Ordering::Relaxed);
                let answered = match socket.recv_from(&mut bytes) {
                    Ok((length, from)) => {
                        let Some(end) = answer(&mut bytes, length) else { continue };
                        waiting.push_back((bytes, end, from));
                        // As many at once as a busy server would.
                        if waiting.len() < hold { 0 } else { (hold / 4).clamp(1, 32) }
                    }
                    Err(_) => 64,
                };
                for (bytes, end, from) in waiting.drain(..answered.min(waiting.len())) {
                    // One that goes away does not read its answer.
                    let _ = socket.send_to(&bytes[..end], from);
                }
            }
        });
        Self { address, hold }
    }

    /// Holds so many from now on.
    pub(crate) fn hold(&self, queries: usize) {
        self.hold.store(queries, Ordering::Relaxed);
    }
}

/// Room for ten thousand datagrams, where that is allowed.
fn make_room(socket: &UdpSocket) {
    let bytes: libc::c_int = 32 << 20;
    for option in [libc::SO_RCVBUF, libc::SO_RCVBUFFORCE] {
        let length = libc::socklen_t::try_from(size_of_val(&bytes)).expect("small");
        // SAFETY: an int, read during the call. One that is refused leaves what there was.
        let _ = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const bytes).cast(),
                length,
            )
        };
    }
}

type Port = Linux<UnixPoll<'static>>;

struct Load {
    resolver: Driven<Resolver<'static>, Port, 128, 8>,
    buffers: Buffers,
    kind: QueryKind,
    at_once: usize,
    running: usize,
    next: usize,
    ended: usize,
    failed: usize,
    total: usize,
}

impl Load {
    /// Takes what has been found.
    fn take(&mut self, registrar: &mut Registrar<'_, Port>) {
        let Self { resolver, buffers, .. } = self;
        while let Some(event) = resolver.next_event() {
            let (Event::Done { key, .. } | Event::Update { key }) = event;
            let Some(answer) = resolver.client().result(key) else { continue };
            if self.kind == QueryKind::Addresses {
                // The family that is first is told at once; the others wait for both, and so does this.
                if answer.addresses().count() == 1 {
                    continue;
                }
                let mut buffer = [IpAddr::from([0; 4]); 8];
                let mut oracle = |to: IpAddr| {
                    let source = registrar.platform().source(to).ok()??;
                    Some(SourceAddress::new(source.address, source.prefix))
                };
                let found = answer.ordered_addresses(&mut oracle, &mut buffer);
                self.failed += usize::from(found.len() != 2);
            } else {
                self.failed += usize::from(answer.addresses().next().is_none());
            }
            resolver.call(registrar, buffers, |r, cx| r.release(cx, key));
            self.running -= 1;
            self.ended += 1;
        }
    }

    /// Asks for more; as the others do it after they have taken what has come.
    fn ask(&mut self, registrar: &mut Registrar<'_, Port>) {
        let Self { resolver, buffers, .. } = self;
        while self.running < self.at_once && self.next < self.total {
            let name = format!("n{}.bench.example.", self.next);
            let kind = self.kind;
            let asked = resolver.call(registrar, buffers, |r, cx| {
                r.query(cx, name.as_str(), kind, QueryOptions::default())
            });
            asked.expect("a slot");
            self.running += 1;
            self.next += 1;
        }
    }
}

impl Application<Port> for Load {
    fn dispatch(&mut self, registrar: &mut Registrar<'_, Port>, ready: Ready) {
        self.resolver.handle(registrar, &mut self.buffers, &ready);
        self.take(registrar);
    }
}

/// So many lookups through our resolver on our loop; CPU of this thread.
fn bringup(server: SocketAddr, both: bool, at_once: usize, total: usize) -> Cost {
    let storage: &'static mut LargeStorage = Box::leak(Box::new(LargeStorage::new()));
    bringup_in(storage, server, both, at_once, total)
}

/// The same in other memory. What is lent lives for the rest of the program, which is short.
pub(crate) fn bringup_in<const Q: usize, const E: usize, const B: usize, const S: usize>(
    storage: &'static mut ResolverStorage<Q, E, B, S>,
    server: SocketAddr,
    both: bool,
    at_once: usize,
    total: usize,
) -> Cost {
    let poll: &'static mut PollStorage<64> = Box::leak(Box::new(PollStorage::new()));
    let memory: &'static mut LoopStorage<i32, 8, 64> = Box::leak(Box::new(LoopStorage::new()));
    let queue: &'static AttachQueue<Load, Port, LinuxOps> =
        Box::leak(Box::new(AttachQueue::new(StdLock::new(), EventWake::new())));
    let platform = Linux::new(UnixPoll::new(poll)).expect("a platform");
    let resolver = Resolver::new(Config::DEFAULT, storage);
    let mut app = Load {
        resolver: Driven::new(resolver, Owner::Application),
        buffers: Buffers::new(),
        kind: if both { QueryKind::Addresses } else { QueryKind::Type(RecordType::A) },
        at_once,
        running: 0,
        next: 0,
        ended: 0,
        failed: 0,
        total,
    };
    let mut events = EventLoop::new(platform, memory, queue).expect("a loop");
    let mut registrar = events.registrar();
    app.resolver.register(&mut registrar).expect("a timer");
    app.resolver.call(&mut registrar, &mut app.buffers, |r, cx| {
        r.set_servers(cx, &[server.into()]);
    });
    let cost = measure(Cpu::Thread, total, || {
        while app.ended < total {
            app.ask(&mut events.registrar());
            events.turn(&mut app).expect("a turn");
        }
    });
    if app.failed > 0 {
        println!("\nOf {total} lookups of bringup, {at_once} at a time, {} failed.", app.failed);
    }
    let sent = app.resolver.client().counters().sent;
    let questions = if both { 2 * total } else { total };
    if sent > u64::try_from(questions).expect("a count") {
        println!("\nbringup sent {sent} queries for {questions} questions.");
    }
    cost
}

/// The least: send a query, wait with poll(2), receive the answer; on one connected socket, nothing checked.
fn floor(server: SocketAddr, at_once: usize, total: usize) -> Cost {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(server).expect("a local address");
    socket.set_nonblocking(true).expect("a socket");
    let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x06n12345\x05bench\x07example\0\0\x01\0\x01";
    measure(Cpu::Thread, total, || {
        let (mut sent, mut ended, mut bytes) = (0, 0, [0; 1_500]);
        while ended < total {
            while sent < total && sent - ended < at_once {
                socket.send(query).expect("sent");
                sent += 1;
            }
            let mut fd = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd, which outlives the call.
            let ready = unsafe { libc::poll(&raw mut fd, 1, 100) };
            if ready == 0 {
                // One buffer for 256 answers is too small: what was lost is not asked for again.
                ended = sent;
            }
            while socket.recv(&mut bytes).is_ok() {
                ended += 1;
            }
        }
    })
}

/// The peers that are written in C, where they are there.
#[cfg(cares)]
fn in_c(server: SocketAddr, both: bool, at_once: usize, total: usize) -> Vec<Contender<'static>> {
    use crate::ares;
    let name = if both { "c-ares, `ares_getaddrinfo`" } else { "c-ares, `ares_query`" };
    let mut peers = vec![Contender::new(name, move || ares::lookups(server, both, at_once, total))];
    if ares::getaddrinfo(server, both, 1, 1).is_some() {
        peers.push(Contender::new(
            "getaddrinfo, a thread each (allocations not counted)",
            move || ares::getaddrinfo(server, both, at_once, total).expect("all are found"),
        ));
    } else {
        println!(
            "\nAbsent: getaddrinfo; on this machine it does not ask the server that it is told."
        );
    }
    peers
}

#[cfg(not(cares))]
fn in_c(_: SocketAddr, _: bool, _: usize, _: usize) -> Vec<Contender<'static>> {
    println!(
        "\nAbsent: c-ares and getaddrinfo, which `benches/run` builds where there is a C compiler."
    );
    Vec::new()
}

/// So many lookups through hickory-resolver on tokio, on this thread.
pub(crate) fn hickory(server: SocketAddr, both: bool, at_once: usize, total: usize) -> Cost {
    use hickory_resolver::TokioResolver;
    use hickory_resolver::config::{
        LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
    };
    use hickory_resolver::name_server::TokioConnectionProvider;
    use hickory_resolver::proto::xfer::Protocol;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut config = ResolverConfig::new();
    config.add_name_server(NameServerConfig::new(server, Protocol::Udp));
    let mut builder =
        TokioResolver::builder_with_config(config, TokioConnectionProvider::default());
    builder.options_mut().edns0 = true;
    builder.options_mut().use_hosts_file = ResolveHosts::Never;
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    let resolver = Rc::new(builder.build());
    let next = Rc::new(Cell::new(0));
    measure(Cpu::Thread, total, || {
        let tasks = tokio::task::LocalSet::new();
        for _ in 0..at_once {
            let (resolver, next) = (Rc::clone(&resolver), Rc::clone(&next));
            tasks.spawn_local(async move {
                while next.get() < total {
                    let name = format!("n{}.bench.example.", next.get());
                    next.set(next.get() + 1);
                    if both {
                        let found = resolver.lookup_ip(name).await.expect("an answer");
                        assert_eq!(found.iter().count(), 2);
                    } else {
                        let found = resolver.ipv4_lookup(name).await.expect("an answer");
                        assert!(found.iter().next().is_some(), "an address");
                    }
                }
            });
        }
        runtime.block_on(tasks);
    })
}

pub(crate) fn run(rounds: usize) {
    let server = server();
    println!(
        "\n## DNS lookups\n\nOne local server that answers at once; {LOOKUPS} names a round, none known."
    );
    for (both, at_once) in [false, true].into_iter().flat_map(|b| [1, 32, 256].map(|n| (b, n))) {
        let total = if at_once == 1 { LOOKUPS / 10 } else { LOOKUPS };
        let mut contenders = vec![
            Contender::new("**bringup**", || bringup(server, both, at_once, total)),
            Contender::new("hickory-resolver on tokio", || hickory(server, both, at_once, total)),
        ];
        contenders.extend(in_c(server, both, at_once, total));
        let title = if both {
            format!("Look A and AAAA up and sort the addresses, {at_once} at a time")
        } else {
            contenders.push(Contender::new("floor: send, poll, receive on one socket", || {
                floor(server, at_once, total)
            }));
            format!("Look names up, {at_once} at a time")
        };
        table(&title, Ratio::Cpu, rounds, contenders);
    }
}
