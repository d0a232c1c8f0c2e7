//! UDP echo through the loop: what a server's thread costs for one datagram that it sends back.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use bringup_core::attach::AttachQueue;
use bringup_core::event_loop::{Application, EventLoop, LoopStorage, Ready, Registrar};
use bringup_core::poll::{Interest, Poll, PollStorage, UnixPoll};
use bringup_core::timer::Owner;
use bringup_platform::error::OsError;
use bringup_platform::linux::{EventWake, Linux, LinuxOps};
use bringup_platform::lock::StdLock;

use crate::measure::{Contender, Cost, Cpu, Ratio, measure, pin, table, unpin};

/// Datagrams of one round.
const TOTAL: usize = 6_400;

fn sockets(count: usize) -> Vec<UdpSocket> {
    let bind = || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_nonblocking(true).expect("not blocking");
        socket
    };
    (0..count).map(|_| bind()).collect()
}

/// Takes a datagram and sends it back; whether there was one.
fn echo(socket: &UdpSocket) -> bool {
    let mut buffer = [0; 2048];
    let Ok((length, from)) = socket.recv_from(&mut buffer) else { return false };
    socket.send_to(&buffer[..length], from).is_ok()
}

/// Keeps one datagram on its way to each server socket, until all have come back.
fn client(servers: &[UdpSocket]) {
    let clients = servers.iter().map(|server| {
        let client = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        client.connect(server.local_addr().expect("bound")).expect("connected");
        client
    });
    let clients: Vec<_> = clients.collect();
    for _ in 0..TOTAL / clients.len() {
        for client in &clients {
            client.send(&[7; 64]).expect("sent");
        }
        for client in &clients {
            assert_eq!(client.recv(&mut [0; 128]).expect("the echo"), 64);
        }
    }
}

/// One round: `serve` echoes on the calling thread what a client on another one sends.
fn round(servers: &[UdpSocket], serve: impl FnOnce()) -> Cost {
    let mut cost = Cost::default();
    std::thread::scope(|scope| {
        scope.spawn(|| client(servers));
        cost = measure(Cpu::Thread, TOTAL, serve);
    });
    cost
}

struct App<'s> {
    servers: &'s [UdpSocket],
    done: usize,
}

impl<Q: Poll<Handle = i32>> Application<Linux<Q>> for App<'_>
where
    Linux<Q>: bringup_core::platform::Platform<Handle = i32>,
{
    fn dispatch(&mut self, registrar: &mut Registrar<'_, Linux<Q>>, ready: Ready) {
        let Ready::Source { key, .. } = ready else { return };
        let Some(handle) = registrar.handle(key) else { return };
        let server = self.servers.iter().find(|server| server.as_raw_fd() == handle);
        self.done += usize::from(server.is_some_and(echo));
    }
}

fn bringup<'s, Q>(poller: Q, servers: &'s [UdpSocket]) -> Cost
where
    Linux<Q>: bringup_core::platform::Arm<LinuxOps, Handle = i32>,
    App<'s>: Application<Linux<Q>>,
    Q: Poll<Handle = i32>,
    OsError: From<Q::Error>,
{
    let queue = AttachQueue::<App<'s>, Linux<Q>, LinuxOps>::new(StdLock::new(), EventWake::new());
    let mut memory = LoopStorage::<i32, 4, 80>::new();
    let platform = Linux::new(poller).expect("a platform");
    let mut events = EventLoop::new(platform, &mut memory, &queue).map_err(|_| ()).expect("a loop");
    for server in servers {
        let fd = server.as_raw_fd();
        assert!(events.registrar().add_source(Owner::Application, fd, Interest::READ).is_ok());
    }
    let mut app = App { servers, done: 0 };
    round(servers, || {
        while app.done < TOTAL {
            assert!(events.turn(&mut app).is_ok());
        }
    })
}

fn mio(servers: &[UdpSocket]) -> Cost {
    let mut poll = mio::Poll::new().expect("a poller");
    for (server, number) in servers.iter().zip(0..) {
        let fd = server.as_raw_fd();
        let source = &mut mio::unix::SourceFd(&fd);
        let added = poll.registry().register(source, mio::Token(number), mio::Interest::READABLE);
        added.expect("watched");
    }
    let mut events = mio::Events::with_capacity(64);
    round(servers, || {
        let mut done = 0;
        while done < TOTAL {
            poll.poll(&mut events, None).expect("a poll");
            for event in &events {
                // Edge-triggered: until there is nothing more.
                while echo(&servers[event.token().0]) {
                    done += 1;
                }
            }
        }
    })
}

fn polling(servers: &[UdpSocket]) -> Cost {
    let poller = polling::Poller::new().expect("a poller");
    for (server, number) in servers.iter().zip(0..) {
        let event = polling::Event::readable(number);
        // SAFETY: the poller ends before the sockets.
        unsafe { poller.add_with_mode(server, event, polling::PollMode::Level) }.expect("watched");
    }
    let mut events = polling::Events::new();
    round(servers, || {
        let mut done = 0;
        while done < TOTAL {
            events.clear();
            poller.wait(&mut events, None).expect("a wait");
            done += events.iter().filter(|event| echo(&servers[event.key])).count();
        }
    })
}

fn calloop(servers: &[UdpSocket]) -> Cost {
    use calloop::generic::{Generic, NoIoDrop};
    let mut events = calloop::EventLoop::<'_, usize>::try_new().expect("a loop");
    for server in servers {
        let source = Generic::new(server, calloop::Interest::READ, calloop::Mode::Level);
        let react = |_, server: &mut NoIoDrop<&UdpSocket>, done: &mut usize| {
            *done += usize::from(echo(server));
            Ok(calloop::PostAction::Continue)
        };
        events.handle().insert_source(source, react).map_err(|_| ()).expect("a source");
    }
    round(servers, || {
        let mut done = 0;
        while done < TOTAL {
            events.dispatch(None, &mut done).expect("a dispatch");
        }
    })
}

fn smol(servers: &[UdpSocket]) -> Cost {
    let done = std::cell::Cell::new(0);
    let tasks = async_executor::LocalExecutor::new();
    let (told, all) = async_channel::bounded(1);
    for server in servers {
        let (done, told) = (&done, told.clone());
        let server = async_io::Async::new(server.try_clone().expect("a duplicate"));
        let server = server.expect("watched");
        let serve = async move {
            let mut buffer = [0; 2048];
            loop {
                let (length, from) = server.recv_from(&mut buffer).await.expect("received");
                server.send_to(&buffer[..length], from).await.expect("sent");
                done.set(done.get() + 1);
                if done.get() == TOTAL {
                    told.try_send(()).expect("it is read below");
                }
            }
        };
        tasks.spawn(serve).detach();
    }
    round(servers, || async_io::block_on(tasks.run(all.recv())).expect("a sender is there"))
}

fn tokio(servers: &[UdpSocket]) -> Cost {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let local = tokio::task::LocalSet::new();
    let all = std::rc::Rc::new((std::cell::Cell::new(0), tokio::sync::Notify::new()));
    for server in servers {
        let all = std::rc::Rc::clone(&all);
        let _inside = runtime.enter();
        let server = tokio::net::UdpSocket::from_std(server.try_clone().expect("a duplicate"));
        let server = server.expect("watched");
        local.spawn_local(async move {
            let mut buffer = [0; 2048];
            loop {
                let (length, from) = server.recv_from(&mut buffer).await.expect("received");
                server.send_to(&buffer[..length], from).await.expect("sent");
                all.0.set(all.0.get() + 1);
                if all.0.get() == TOTAL {
                    all.1.notify_one();
                }
            }
        });
    }
    round(servers, || local.block_on(&runtime, all.1.notified()))
}

/// The floor: no loop, and a socket that blocks.
fn blocking(servers: &[UdpSocket]) -> Cost {
    servers[0].set_nonblocking(false).expect("blocking");
    round(servers, || (0..TOTAL).for_each(|_| assert!(echo(&servers[0]))))
}

#[cfg(libuv)]
fn uv(servers: &[UdpSocket]) -> Cost {
    use std::os::fd::IntoRawFd;
    // libuv closes nothing here, and each loop keeps what it has.
    let own = servers.iter().map(|s| s.try_clone().expect("a duplicate").into_raw_fd());
    let fds: Vec<_> = own.collect();
    let mut echo = crate::uv::UvEcho::new(&fds);
    let cost = round(servers, || echo.run(TOTAL));
    for fd in fds {
        // SAFETY: the number is the duplicate's; the loop has ended.
        unsafe { libc::close(fd) };
    }
    cost
}

pub(crate) fn run(rounds: usize) {
    println!("\n## UDP echo: the server's thread, per datagram");
    println!("\nBoth threads on one core: where the scheduler puts them would decide otherwise.");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    pin(0);
    for count in [1, 64] {
        let fresh = || sockets(count);
        #[allow(unused_mut, reason = "one more where libuv is, and a floor of one socket")]
        let mut contenders = vec![
            Contender::new("**bringup** on poll(2)", || {
                let mut storage = PollStorage::<80>::new();
                bringup(UnixPoll::new(&mut storage), &fresh())
            }),
            Contender::new("**bringup** on `polling`", || {
                bringup(bringup_platform::polling::Polling::new().expect("a poller"), &fresh())
            }),
            Contender::new("mio", || mio(&fresh())),
            Contender::new("polling", || polling(&fresh())),
            Contender::new("calloop", || calloop(&fresh())),
            Contender::new("tokio", || tokio(&fresh())),
            Contender::new("smol", || smol(&fresh())),
        ];
        #[cfg(libuv)]
        contenders.push(Contender::new("libuv", || uv(&fresh())));
        if count == 1 {
            contenders
                .push(Contender::new("floor: recv and send, blocking", || blocking(&fresh())));
        }
        let title = format!("{count} sockets, one datagram on its way to each");
        table(&title, Ratio::Cpu, rounds, contenders);
    }
    unpin(cores);
}
