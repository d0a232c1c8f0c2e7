//! One type for each loop that messages can be posted to.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use bringup_core::attach::{AttachQueue, Node, Outcome};
use bringup_core::event_loop::{Application, EventLoop, LoopStorage, Ready, Registrar};
use bringup_core::poll::{PollStorage, UnixPoll};
use bringup_platform::linux::{EventWake, Linux, LinuxOps};
use bringup_platform::lock::StdLock;

use crate::attach::{Loop, Post, Sink};
use crate::eventfd::EventFd;

pub(crate) type Platform = Linux<UnixPoll<'static>>;
type Queue = AttachQueue<App, Platform, LinuxOps>;
type OurNode = Node<'static, App, Platform, LinuxOps>;

/// The application of our loop.
#[derive(Default)]
pub(crate) struct App(Sink);

impl Application<Platform> for App {
    fn dispatch(&mut self, _: &mut Registrar<'_, Platform>, _: Ready) {}
}

fn deliver(stamp: u64) -> impl FnOnce(Outcome<'_, App, Platform>) + Send + 'static {
    move |outcome| {
        if let Outcome::Ready(app, _) = outcome {
            app.0.take(stamp);
        }
    }
}

/// A platform over poll(2). What it lends lives for the rest of the program.
pub(crate) fn platform() -> Platform {
    let storage: &'static mut PollStorage<8> = Box::leak(Box::new(PollStorage::new()));
    Linux::new(UnixPoll::new(storage)).expect("a platform")
}

/// The most posts of all producers in one round.
pub(crate) const MAX_POSTS: usize = 200_000;

/// Our loop and the nodes of its queue, which are made once.
struct Parts {
    events: EventLoop<'static, Platform, App, LinuxOps>,
    queue: &'static Queue,
    nodes: &'static [OurNode],
}

impl Parts {
    fn new(nodes: usize) -> Self {
        let queue: &'static Queue =
            Box::leak(Box::new(AttachQueue::new(StdLock::new(), EventWake::new())));
        let storage: &'static mut LoopStorage<i32> = Box::leak(Box::new(LoopStorage::new()));
        let events = EventLoop::new(platform(), storage, queue).expect("a loop");
        let nodes: Vec<OurNode> = (0..nodes).map(|_| Node::new(queue)).collect();
        Self { events, queue, nodes: nodes.leak() }
    }

    fn turns(&mut self, sink: Sink, total: usize) -> Sink {
        let mut app = App(sink);
        while app.0.seen < total {
            self.events.turn(&mut app).expect("a turn");
        }
        app.0
    }
}

thread_local! {
    /// What the last round left: statics are made once in a real program, too.
    static POOL: RefCell<Option<Parts>> = const { RefCell::new(None) };
}

/// Our loop, handed out anew in each round.
struct Base {
    parts: Option<Parts>,
    taken: usize,
}

impl Base {
    fn new() -> Self {
        let parts =
            POOL.with(|pool| pool.borrow_mut().take()).unwrap_or_else(|| Parts::new(MAX_POSTS));
        Self { parts: Some(parts), taken: 0 }
    }

    fn parts(&mut self) -> &mut Parts {
        self.parts.as_mut().expect("there until it is dropped")
    }

    fn nodes(&mut self, count: usize) -> OurPost {
        let from = self.taken;
        self.taken += count;
        OurPost { nodes: &self.parts().nodes[from..from + count], next: 0 }
    }

    fn turns(&mut self, sink: Sink, total: usize) -> Sink {
        self.parts().turns(sink, total)
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        POOL.with(|pool| *pool.borrow_mut() = self.parts.take());
    }
}

/// Posts through caller-owned nodes, one after the other and around again.
pub(crate) struct OurPost {
    nodes: &'static [OurNode],
    next: usize,
}

impl Post for OurPost {
    fn post(&mut self, stamp: u64) {
        let node = &self.nodes[self.next];
        self.next = (self.next + 1) % self.nodes.len();
        while node.post_static(None, deliver(stamp)).is_err() {
            // Still waiting from the last time round.
            std::thread::yield_now();
        }
    }
}

/// bringup, with as many nodes as there are posts.
pub(crate) struct Bringup(Base);

impl Loop for Bringup {
    type Post = OurPost;
    fn new() -> Self {
        Self(Base::new())
    }
    fn poster(&mut self, posts: usize) -> OurPost {
        self.0.nodes(posts)
    }
    fn run(&mut self, sink: Sink, total: usize) -> Sink {
        self.0.turns(sink, total)
    }
}

/// bringup, with 1,024 nodes per producer: it waits for a node that is still linked.
pub(crate) struct BringupRecycled(Base);

impl Loop for BringupRecycled {
    type Post = OurPost;
    fn new() -> Self {
        Self(Base::new())
    }
    fn poster(&mut self, posts: usize) -> OurPost {
        self.0.nodes(posts.min(1_024))
    }
    fn run(&mut self, sink: Sink, total: usize) -> Sink {
        self.0.turns(sink, total)
    }
}

/// The same, with a loop and nodes that are made for the round, so that their memory can be counted.
pub(crate) struct BringupAnew(Parts);

impl Loop for BringupAnew {
    type Post = OurPost;
    fn new() -> Self {
        Self(Parts::new(0))
    }
    fn poster(&mut self, posts: usize) -> OurPost {
        let nodes: Vec<OurNode> = (0..posts.min(1_024)).map(|_| Node::new(self.0.queue)).collect();
        OurPost { nodes: nodes.leak(), next: 0 }
    }
    fn run(&mut self, sink: Sink, total: usize) -> Sink {
        self.0.turns(sink, total)
    }
}

/// bringup, with a boxed closure for each post.
pub(crate) struct BringupBoxed(Base);

impl Post for &'static Queue {
    fn post(&mut self, stamp: u64) {
        self.attach(None, deliver(stamp)).map_err(|(why, _)| why).expect("the queue is open");
    }
}

impl Loop for BringupBoxed {
    type Post = &'static Queue;
    fn new() -> Self {
        Self(Base::new())
    }
    fn poster(&mut self, _: usize) -> &'static Queue {
        self.0.parts().queue
    }
    fn run(&mut self, sink: Sink, total: usize) -> Sink {
        self.0.turns(sink, total)
    }
}

/// A channel, and a way to say that there is something in it.
pub(crate) struct ChannelPost<W> {
    sender: Sender<u64>,
    wake: W,
}

impl<W: Fn() + Send> Post for ChannelPost<W> {
    fn post(&mut self, stamp: u64) {
        self.sender.send(stamp).expect("the loop is there");
        (self.wake)();
    }
}

type Wake = Box<dyn Fn() + Send>;

/// std's channel and an eventfd; with `COALESCED`, one write for all posts until the loop has seen it.
pub(crate) struct Mpsc<const COALESCED: bool> {
    wake: EventFd,
    woken: Arc<AtomicBool>,
    sender: Sender<u64>,
    receiver: Receiver<u64>,
}

impl<const COALESCED: bool> Loop for Mpsc<COALESCED> {
    type Post = ChannelPost<Wake>;
    fn new() -> Self {
        let (sender, receiver) = channel();
        Self { wake: EventFd::new(), woken: Arc::default(), sender, receiver }
    }
    fn poster(&mut self, _: usize) -> ChannelPost<Wake> {
        let (wake, woken) = (self.wake.clone(), Arc::clone(&self.woken));
        let wake = move || {
            if !COALESCED || !woken.swap(true, Ordering::SeqCst) {
                wake.add();
            }
        };
        ChannelPost { sender: self.sender.clone(), wake: Box::new(wake) }
    }
    fn run(&mut self, mut sink: Sink, total: usize) -> Sink {
        while sink.seen < total {
            self.wake.poll_and_take();
            self.woken.store(false, Ordering::SeqCst);
            self.receiver.try_iter().for_each(|stamp| sink.take(stamp));
        }
        sink
    }
}

/// The same bounded: a producer that finds 1,024 messages waiting gives its time slice away and tries
/// again, as ours does with its 1,024 nodes.
pub(crate) struct Bounded {
    wake: EventFd,
    woken: Arc<AtomicBool>,
    sender: SyncSender<u64>,
    receiver: Receiver<u64>,
}

pub(crate) struct BoundedPost {
    wake: EventFd,
    woken: Arc<AtomicBool>,
    sender: SyncSender<u64>,
}

impl Post for BoundedPost {
    fn post(&mut self, stamp: u64) {
        while self.sender.try_send(stamp).is_err() {
            std::thread::yield_now();
        }
        if !self.woken.swap(true, Ordering::SeqCst) {
            self.wake.add();
        }
    }
}

impl Loop for Bounded {
    type Post = BoundedPost;
    fn new() -> Self {
        let (sender, receiver) = sync_channel(1_024);
        Self { wake: EventFd::new(), woken: Arc::default(), sender, receiver }
    }
    fn poster(&mut self, _: usize) -> BoundedPost {
        let (wake, woken) = (self.wake.clone(), Arc::clone(&self.woken));
        BoundedPost { wake, woken, sender: self.sender.clone() }
    }
    fn run(&mut self, mut sink: Sink, total: usize) -> Sink {
        while sink.seen < total {
            self.wake.poll_and_take();
            self.woken.store(false, Ordering::SeqCst);
            self.receiver.try_iter().for_each(|stamp| sink.take(stamp));
        }
        sink
    }
}

/// smol's channel, read on the thread that runs its reactor.
pub(crate) struct Smol {
    sender: async_channel::Sender<u64>,
    receiver: async_channel::Receiver<u64>,
}

impl Post for async_channel::Sender<u64> {
    fn post(&mut self, stamp: u64) {
        self.try_send(stamp).expect("the loop is there");
    }
}

impl Loop for Smol {
    type Post = async_channel::Sender<u64>;
    fn new() -> Self {
        let (sender, receiver) = async_channel::unbounded();
        Self { sender, receiver }
    }
    fn poster(&mut self, _: usize) -> Self::Post {
        self.sender.clone()
    }
    fn run(&mut self, mut sink: Sink, total: usize) -> Sink {
        async_io::block_on(async {
            while sink.seen < total {
                sink.take(self.receiver.recv().await.expect("a sender is there"));
            }
        });
        sink
    }
}

/// mio's poller, woken for each post; the queue is std's.
pub(crate) struct Mio {
    poll: mio::Poll,
    wake: Arc<mio::Waker>,
    sender: Sender<u64>,
    receiver: Receiver<u64>,
}

impl Loop for Mio {
    type Post = ChannelPost<Wake>;
    fn new() -> Self {
        let (sender, receiver) = channel();
        let poll = mio::Poll::new().expect("a poller");
        let wake = mio::Waker::new(poll.registry(), mio::Token(0)).expect("a waker");
        Self { poll, wake: Arc::new(wake), sender, receiver }
    }
    fn poster(&mut self, _: usize) -> ChannelPost<Wake> {
        let wake = Arc::clone(&self.wake);
        let wake = Box::new(move || wake.wake().expect("a wake"));
        ChannelPost { sender: self.sender.clone(), wake }
    }
    fn run(&mut self, mut sink: Sink, total: usize) -> Sink {
        let mut events = mio::Events::with_capacity(8);
        while sink.seen < total {
            self.poll.poll(&mut events, None).expect("a poll");
            self.receiver.try_iter().for_each(|stamp| sink.take(stamp));
        }
        sink
    }
}

/// How often polling's wait has ended with EINVAL and was called again.
pub(crate) static POLLING_FAILED: AtomicU64 = AtomicU64::new(0);

/// polling's poller, which coalesces; the queue is std's.
pub(crate) struct Polling {
    poller: Arc<polling::Poller>,
    sender: Sender<u64>,
    receiver: Receiver<u64>,
}

impl Loop for Polling {
    type Post = ChannelPost<Wake>;
    fn new() -> Self {
        let (sender, receiver) = channel();
        let poller = Arc::new(polling::Poller::new().expect("a poller"));
        Self { poller, sender, receiver }
    }
    fn poster(&mut self, _: usize) -> ChannelPost<Wake> {
        let poller = Arc::clone(&self.poller);
        let wake = Box::new(move || poller.notify().expect("a notice"));
        ChannelPost { sender: self.sender.clone(), wake }
    }
    fn run(&mut self, mut sink: Sink, total: usize) -> Sink {
        let mut events = polling::Events::new();
        while sink.seen < total {
            match self.poller.wait(&mut events, None) {
                Ok(_) => {}
                // Seen on some kernels under load; it is said below the tables.
                Err(why) if why.kind() == std::io::ErrorKind::InvalidInput => {
                    POLLING_FAILED.fetch_add(1, Ordering::Relaxed);
                }
                Err(why) => panic!("a wait: {why}"),
            }
            self.receiver.try_iter().for_each(|stamp| sink.take(stamp));
        }
        sink
    }
}

/// calloop's loop with its own channel.
pub(crate) struct Calloop {
    events: calloop::EventLoop<'static, Sink>,
    sender: calloop::channel::Sender<u64>,
}

impl Post for calloop::channel::Sender<u64> {
    fn post(&mut self, stamp: u64) {
        self.send(stamp).expect("the loop is there");
    }
}

impl Loop for Calloop {
    type Post = calloop::channel::Sender<u64>;
    fn new() -> Self {
        let events = calloop::EventLoop::try_new().expect("a loop");
        let (sender, receiver) = calloop::channel::channel();
        let take = |event, (): &mut (), sink: &mut Sink| {
            if let calloop::channel::Event::Msg(stamp) = event {
                sink.take(stamp);
            }
        };
        events.handle().insert_source(receiver, take).map_err(|_| ()).expect("a source");
        Self { events, sender }
    }
    fn poster(&mut self, _: usize) -> Self::Post {
        self.sender.clone()
    }
    fn run(&mut self, mut sink: Sink, total: usize) -> Sink {
        while sink.seen < total {
            self.events.dispatch(None, &mut sink).expect("a dispatch");
        }
        sink
    }
}

/// A runtime on one thread, with its driver on: it waits in epoll, as a loop with sockets does.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// tokio's own channel, read by a task.
pub(crate) struct TokioMpsc {
    runtime: tokio::runtime::Runtime,
    sender: tokio::sync::mpsc::UnboundedSender<u64>,
    receiver: tokio::sync::mpsc::UnboundedReceiver<u64>,
}

impl Post for tokio::sync::mpsc::UnboundedSender<u64> {
    fn post(&mut self, stamp: u64) {
        self.send(stamp).expect("the loop is there");
    }
}

impl Loop for TokioMpsc {
    type Post = tokio::sync::mpsc::UnboundedSender<u64>;
    fn new() -> Self {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        Self { runtime: runtime(), sender, receiver }
    }
    fn poster(&mut self, _: usize) -> Self::Post {
        self.sender.clone()
    }
    fn run(&mut self, mut sink: Sink, total: usize) -> Sink {
        let receiver = &mut self.receiver;
        self.runtime.block_on(async {
            while sink.seen < total {
                sink.take(receiver.recv().await.expect("a sender is there"));
            }
        });
        sink
    }
}

thread_local! {
    /// Where spawned tasks, which own nothing of the loop, find the sink.
    static SPAWNED: RefCell<Sink> = RefCell::default();
}

/// How many tasks have ended; and who waits for the last.
#[derive(Default)]
pub(crate) struct Ended {
    missing: AtomicU64,
    all: tokio::sync::Notify,
}

/// A task for each post.
pub(crate) struct TokioSpawn {
    runtime: tokio::runtime::Runtime,
    ended: Arc<Ended>,
}

pub(crate) struct SpawnPost {
    handle: tokio::runtime::Handle,
    ended: Arc<Ended>,
}

impl Post for SpawnPost {
    fn post(&mut self, stamp: u64) {
        let ended = Arc::clone(&self.ended);
        drop(self.handle.spawn(async move {
            SPAWNED.with(|sink| sink.borrow_mut().take(stamp));
            if ended.missing.fetch_sub(1, Ordering::Relaxed) == 1 {
                ended.all.notify_one();
            }
        }));
    }
}

impl Loop for TokioSpawn {
    type Post = SpawnPost;
    fn new() -> Self {
        Self { runtime: runtime(), ended: Arc::default() }
    }
    fn poster(&mut self, _: usize) -> SpawnPost {
        SpawnPost { handle: self.runtime.handle().clone(), ended: Arc::clone(&self.ended) }
    }
    fn run(&mut self, sink: Sink, total: usize) -> Sink {
        // Tasks only run in `block_on`, on this thread.
        self.ended.missing.store(u64::try_from(total).expect("a small number"), Ordering::Relaxed);
        SPAWNED.with(|place| *place.borrow_mut() = sink);
        self.runtime.block_on(self.ended.all.notified());
        SPAWNED.with(|place| place.take())
    }
}

/// The floor of latency: an eventfd, and where the time is put. It does not queue.
pub(crate) struct RawEventFd {
    wake: EventFd,
    stamp: Arc<AtomicU64>,
}

pub(crate) struct RawPost {
    wake: EventFd,
    stamp: Arc<AtomicU64>,
}

impl Post for RawPost {
    fn post(&mut self, stamp: u64) {
        self.stamp.store(stamp, Ordering::SeqCst);
        self.wake.add();
    }
}

impl Loop for RawEventFd {
    type Post = RawPost;
    fn new() -> Self {
        Self { wake: EventFd::new(), stamp: Arc::default() }
    }
    fn poster(&mut self, _: usize) -> RawPost {
        RawPost { wake: self.wake.clone(), stamp: Arc::clone(&self.stamp) }
    }
    fn run(&mut self, mut sink: Sink, total: usize) -> Sink {
        while sink.seen < total {
            self.wake.poll_and_take();
            sink.take(self.stamp.load(Ordering::SeqCst));
        }
        sink
    }
}
