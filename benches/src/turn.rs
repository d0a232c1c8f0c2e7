//! What one turn costs with so many descriptors, one of which is ready: an eventfd is written to, the
//! loop finds it and reads it.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;

use bringup_core::attach::AttachQueue;
use bringup_core::event_loop::{Application, EventLoop, Ready, Registrar, SourceSlot};
use bringup_core::poll::{Interest, Poll, PollStorage, UnixPoll};
use bringup_core::timer::{Owner, TimerSlot};
use bringup_platform::error::OsError;
use bringup_platform::linux::{EventWake, Linux, LinuxOps};
use bringup_platform::lock::StdLock;

use crate::measure::{Contender, Cost, Cpu, Ratio, measure, table};

/// Eventfds that never block.
pub(crate) struct Fds(pub(crate) Vec<i32>);

impl Fds {
    pub(crate) fn new(count: usize) -> Self {
        let open = || {
            // SAFETY: no memory is handed over.
            let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
            assert!(fd >= 0, "eventfd: {}", std::io::Error::last_os_error());
            fd
        };
        Self((0..count).map(|_| open()).collect())
    }

    /// Makes one ready; another one each time.
    fn make_ready(&self, turn: usize) {
        let one = 1_u64;
        let fd = self.0[turn * 7 % self.0.len()];
        // SAFETY: eight bytes that outlive the call.
        assert_eq!(unsafe { libc::write(fd, (&raw const one).cast(), 8) }, 8);
    }
}

impl Drop for Fds {
    fn drop(&mut self) {
        for fd in &self.0 {
            // SAFETY: the numbers are this value's own. A loop that outlives it has no turns left.
            unsafe { libc::close(*fd) };
        }
    }
}

/// Reads an eventfd; whether there was something in it.
fn take(fd: i32) -> bool {
    let mut value = 0_u64;
    // SAFETY: room for eight bytes.
    unsafe { libc::read(fd, (&raw mut value).cast(), 8) == 8 }
}

pub(crate) struct App(usize);

impl<Q: Poll<Handle = i32>> Application<Linux<Q>> for App
where
    Linux<Q>: bringup_core::platform::Platform<Handle = i32>,
{
    fn dispatch(&mut self, registrar: &mut Registrar<'_, Linux<Q>>, ready: Ready) {
        let Ready::Source { key, .. } = ready else { return };
        self.0 += usize::from(registrar.handle(key).is_some_and(take));
    }
}

/// A turn of our loop on a poller.
pub(crate) fn bringup<Q>(poller: Q, fds: &[i32]) -> impl FnMut() + use<Q>
where
    Linux<Q>: bringup_core::platform::Arm<LinuxOps, Handle = i32>,
    App: Application<Linux<Q>>,
    Q: Poll<Handle = i32> + 'static,
    OsError: From<Q::Error>,
{
    let queue: &'static AttachQueue<App, Linux<Q>, LinuxOps> =
        Box::leak(Box::new(AttachQueue::new(StdLock::new(), EventWake::new())));
    let timers = vec![TimerSlot::NEW; 4].leak();
    let sources = vec![SourceSlot::NEW; fds.len() + 4].leak();
    let platform = Linux::new(poller).expect("a platform");
    let mut events = EventLoop::from_slices(platform, timers, sources, queue).expect("a loop");
    for fd in fds {
        let added = events.registrar().add_source(Owner::Application, *fd, Interest::READ);
        assert!(added.is_ok());
    }
    let mut app = App(0);
    move || {
        let before = app.0;
        while app.0 == before {
            assert!(events.turn(&mut app).is_ok());
        }
    }
}

/// The floor of those with epoll.
pub(crate) fn epoll(fds: &[i32]) -> impl FnMut() + use<> {
    // SAFETY: no memory is handed over.
    let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    for fd in fds {
        let events = u32::try_from(libc::EPOLLIN).expect("a small number");
        let mut event = libc::epoll_event { events, u64: u64::try_from(*fd).expect("open") };
        // SAFETY: one event, which is read during the call.
        let added = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, *fd, &raw mut event) };
        assert_eq!(added, 0);
    }
    move || {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
        // SAFETY: room for so many events.
        let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), 64, -1) };
        let count = usize::try_from(count).expect("no error");
        let mut fds =
            events[..count].iter().map(|event| i32::try_from(event.u64).expect("a number"));
        assert!(fds.any(take));
    }
}

pub(crate) fn mio(fds: &[i32]) -> impl FnMut() + use<> {
    let mut poll = mio::Poll::new().expect("a poller");
    let fds = fds.to_vec();
    for (fd, number) in fds.iter().zip(0..) {
        let source = &mut mio::unix::SourceFd(fd);
        let added = poll.registry().register(source, mio::Token(number), mio::Interest::READABLE);
        added.expect("watched");
    }
    let mut events = mio::Events::with_capacity(64);
    move || {
        poll.poll(&mut events, None).expect("a poll");
        assert!(events.iter().any(|event| take(fds[event.token().0])));
    }
}

pub(crate) fn polling(fds: &[i32]) -> impl FnMut() + use<> {
    let poller = polling::Poller::new().expect("a poller");
    let fds = fds.to_vec();
    for (fd, number) in fds.iter().zip(0..) {
        let event = polling::Event::readable(number);
        // SAFETY: the descriptors are closed after the last turn.
        unsafe { poller.add_with_mode(*fd, event, polling::PollMode::Level) }.expect("watched");
    }
    let mut events = polling::Events::new();
    move || {
        events.clear();
        poller.wait(&mut events, None).expect("a wait");
        assert!(events.iter().any(|event| take(fds[event.key])));
    }
}

pub(crate) fn calloop(fds: &[i32]) -> impl FnMut() + use<> {
    use calloop::generic::{Generic, NoIoDrop};
    let mut events = calloop::EventLoop::<'static, usize>::try_new().expect("a loop");
    for fd in fds {
        // SAFETY: the descriptors are closed after the last turn.
        let fd = unsafe { BorrowedFd::borrow_raw(*fd) };
        let source = Generic::new(fd, calloop::Interest::READ, calloop::Mode::Level);
        let react = |_, fd: &mut NoIoDrop<BorrowedFd<'static>>, seen: &mut usize| {
            *seen += usize::from(take(fd.as_raw_fd()));
            Ok(calloop::PostAction::Continue)
        };
        events.handle().insert_source(source, react).map_err(|_| ()).expect("a source");
    }
    let mut seen = 0;
    move || {
        let before = seen;
        while seen == before {
            events.dispatch(None, &mut seen).expect("a dispatch");
        }
    }
}

/// A task for each descriptor, and one that waits for any of them to have read.
pub(crate) fn tokio(fds: &[i32]) -> impl FnMut() + use<> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let local = tokio::task::LocalSet::new();
    let read = Rc::new(tokio::sync::Notify::new());
    for fd in fds.iter().copied() {
        let read = Rc::clone(&read);
        let _inside = runtime.enter();
        // SAFETY: the descriptors are closed after the last turn.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        // SAFETY: it stays the same descriptor as long as it is watched.
        let fd = unsafe { tokio::io::unix::AsyncFd::register(fd) };
        let fd = fd.expect("watched");
        local.spawn_local(async move {
            loop {
                let mut guard = fd.readable().await.expect("ready");
                if take(guard.get_inner().as_raw_fd()) {
                    read.notify_one();
                }
                guard.clear_ready();
            }
        });
    }
    move || local.block_on(&runtime, read.notified())
}

/// The same on smol.
pub(crate) fn smol(fds: &[i32]) -> impl FnMut() + use<> {
    let tasks = async_executor::LocalExecutor::new();
    let (told, read) = async_channel::unbounded();
    for fd in fds.iter().copied() {
        let told = told.clone();
        // SAFETY: the descriptors are closed after the last turn.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let fd = async_io::Async::new_nonblocking(fd).expect("watched");
        let react = async move {
            loop {
                fd.readable().await.expect("ready");
                if take(fd.get_ref().as_raw_fd()) {
                    told.try_send(()).expect("it is read below");
                }
            }
        };
        tasks.spawn(react).detach();
    }
    move || async_io::block_on(tasks.run(read.recv())).expect("a sender is there")
}

/// So many turns of a loop that watches these.
pub(crate) fn turns(fds: &Fds, times: usize, turn: &mut impl FnMut()) -> Cost {
    measure(Cpu::Thread, times, || {
        for number in 0..times {
            fds.make_ready(number);
            turn();
        }
    })
}

pub(crate) fn run(rounds: usize) {
    println!("\n## Turn: one descriptor of many is ready");
    for count in [1, 10, 1_000] {
        // Each contender has descriptors of its own.
        let sets: Vec<_> = (0..9).map(|_| Fds::new(count)).collect();
        let fds = |number: usize| sets[number].0.clone();
        let storage: &'static mut PollStorage<1_024> = Box::leak(Box::new(PollStorage::new()));
        let mut poll2 = bringup(UnixPoll::new(storage), &fds(0));
        let our_polling = bringup_platform::polling::Polling::new().expect("a poller");
        let mut our_polling = bringup(our_polling, &fds(1));
        let (mut epoll, mut mio, mut polling) = (epoll(&fds(2)), mio(&fds(3)), polling(&fds(4)));
        let (mut calloop, mut tokio) = (calloop(&fds(5)), tokio(&fds(6)));
        let mut smol = smol(&fds(7));
        #[cfg(libuv)]
        let mut uv = crate::uv::UvFds::new(&fds(8));
        let times = 2_000;
        #[allow(unused_mut, reason = "one more where libuv is")]
        let mut contenders = vec![
            Contender::new("**bringup** on poll(2)", || turns(&sets[0], times, &mut poll2)),
            Contender::new("**bringup** on `polling`", || turns(&sets[1], times, &mut our_polling)),
            Contender::new("floor: epoll, nothing else", || turns(&sets[2], times, &mut epoll)),
            Contender::new("mio", || turns(&sets[3], times, &mut mio)),
            Contender::new("polling", || turns(&sets[4], times, &mut polling)),
            Contender::new("calloop", || turns(&sets[5], times, &mut calloop)),
            Contender::new("tokio, a task for each", || turns(&sets[6], times, &mut tokio)),
            Contender::new("smol, a task for each", || turns(&sets[7], times, &mut smol)),
        ];
        #[cfg(libuv)]
        contenders.push(Contender::new("libuv", || turns(&sets[8], times, &mut || uv.turn())));
        let title = format!("One turn, {count} descriptors, with the write that makes one ready");
        table(&title, Ratio::Cpu, rounds, contenders);
    }
}
