//! The contract of a sans-IO client, and [`drive`], the one place that pumps it.
//!
//! A protocol client is a state machine with five verbs. It owns no socket, no clock and no source
//! of randomness: bytes come in as [`Input`], go out as [`Transmit`], time and randomness arrive
//! through [`Cx`]. The DNS, DHCP and NTP clients all have this shape, so that one driver, one
//! simulator and one fuzzer serve them all.
//!
//! **The rule.** After any `&mut` call on a client: drain [`poll_transmit`](Client::poll_transmit),
//! then [`poll_event`](Client::poll_event), then read [`poll_timeout`](Client::poll_timeout).
//! [`drive`] does that, and nothing else in the project does.
//!
//! **What a client promises.** No method blocks, allocates, recurses or panics, on any input. A
//! discarded input changes nothing but a counter. After `handle_timeout(now)`, `poll_timeout()` is
//! later than `now` or `None`, so that a loop cannot be made to spin. A refused send is not retried
//! before the next timeout.

use core::net::SocketAddr;

use crate::error::ErrorKind;
use crate::time::{Instant, Utc};

/// A source of unpredictable bytes (ids, nonces, ports, jitter).
///
/// It cannot fail: a platform that has no entropy must not start. Tests give a seeded one, and the
/// numbers are made of its bytes in the same order everywhere, so that a seed tells one story.
pub trait Rng {
    /// Fills `buffer` with unpredictable bytes.
    fn fill(&mut self, buffer: &mut [u8]);

    /// Sixteen unpredictable bits.
    fn u16(&mut self) -> u16 {
        let mut bytes = [0; 2];
        self.fill(&mut bytes);
        u16::from_le_bytes(bytes)
    }

    /// Thirty-two unpredictable bits.
    fn u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    /// Sixty-four unpredictable bits.
    fn u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number in `0..bound`, 0 if `bound` is 0. Its bias is below `bound / 2^64`.
    fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.u64()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or(0)
    }
}

/// What a client may know of the world during one call.
pub struct Cx<'a> {
    /// The one reading of the monotonic clock that this call goes by.
    pub now: Instant,
    /// The machine's wall clock, read together with `now`. It may be wrong by decades. A client that does
    /// not [measure time](Client::MEASURES_TIME) need not be told, and finds [`Utc::UNIX_EPOCH`] here.
    pub utc: Utc,
    /// Unpredictable bytes.
    pub rng: &'a mut dyn Rng,
}

/// An Ethernet address (EUI-48).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All stations on the link.
    pub const BROADCAST: Self = Self([0xFF; 6]);
}

impl core::fmt::Display for Mac {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Whether the transport checksum of a received frame can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// The bytes are as they were on the wire: check it.
    Complete,
    /// The sender left it to hardware that was never passed, as for a frame from a local socket on
    /// veth (`TP_STATUS_CSUMNOTREADY`), or the receiving hardware has checked it: do not check it.
    NotReady,
}

/// What happens on a byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamInput<'a> {
    /// The connection stands.
    Connected,
    /// These bytes arrived; any split of the stream is possible.
    Bytes(&'a [u8]),
    /// So many bytes of the last [`Transmit::Stream`] were taken. If that was not all of them,
    /// [`Writable`](Self::Writable) follows when there is room again.
    Sent(usize),
    /// There is room again.
    Writable,
    /// The peer closed, the connection failed, or it could not be made at all.
    Closed,
}

/// What comes in. `socket` and `conn` are the client's own small indices, given out by its
/// [`Transmit::Open`] and [`Transmit::Connect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// A UDP datagram.
    Datagram {
        /// The socket on which it arrived.
        socket: u8,
        /// Who claims to have sent it.
        from: SocketAddr,
        /// Its payload.
        bytes: &'a [u8],
        /// When it arrived; the kernel's receive timestamp where there is one and the client
        /// [measures time](Client::MEASURES_TIME), else when it was read.
        received_at: Instant,
    },
    /// A frame from the link.
    Frame {
        /// The socket on which it arrived.
        socket: u8,
        /// The sender's link address.
        from: Mac,
        /// EtherType: 0x0800 for IPv4, 0x0806 for ARP.
        ethertype: u16,
        /// What follows the link header.
        payload: &'a [u8],
        /// Whether a UDP checksum in it can be checked.
        checksum: Checksum,
        /// When it arrived.
        received_at: Instant,
    },
    /// Something happened on a byte stream.
    Stream {
        /// The connection.
        conn: u8,
        /// What happened.
        input: StreamInput<'a>,
    },
    /// A transmit on this socket was refused, or its peer refused an earlier one (ICMP). Said of
    /// sockets only: a connection that fails is [`StreamInput::Closed`].
    SendFailed {
        /// The socket.
        socket: u8,
        /// Why.
        why: ErrorKind,
    },
}

/// What a socket that a client wants opened is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A UDP socket.
    Udp {
        /// The local address; port 0 lets the platform choose an unpredictable one.
        local: SocketAddr,
        /// If given, datagrams from anyone else never reach the client, and a refusal by this peer
        /// (ICMP port unreachable) is reported.
        peer: Option<SocketAddr>,
        /// The number of an interface: the socket sends and receives by way of it alone. `None` is
        /// the client's own interface where it has one, else the routes decide.
        interface: Option<u32>,
    },
    /// Frames of the client's interface.
    Link {
        /// Which frames.
        filter: LinkFilter,
    },
}

/// Which frames a link socket is to hear. The filter only saves work: a client checks for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkFilter {
    /// IPv4, UDP, not a later fragment, to port 68, whatever the length of the IP header.
    DhcpClient,
    /// ARP.
    Arp,
}

/// What goes out. Opening an index that is open closes the old socket first.
#[derive(Debug, PartialEq, Eq)]
pub enum Transmit<'b> {
    /// Open a socket under this index.
    Open {
        /// The client's index for it.
        socket: u8,
        /// What it is for.
        endpoint: Endpoint,
    },
    /// Close it.
    Close {
        /// The socket.
        socket: u8,
    },
    /// Send a datagram.
    Datagram {
        /// The socket to send on.
        socket: u8,
        /// Where to.
        to: SocketAddr,
        /// The payload.
        bytes: &'b [u8],
    },
    /// Send a frame.
    Frame {
        /// The socket to send on.
        socket: u8,
        /// The link address of the receiver.
        to: Mac,
        /// EtherType.
        ethertype: u16,
        /// What follows the link header.
        payload: &'b [u8],
    },
    /// Connect a byte stream under this index.
    Connect {
        /// The client's index for it.
        conn: u8,
        /// Where to.
        to: SocketAddr,
        /// The interface, as for [`Endpoint::Udp`].
        interface: Option<u32>,
    },
    /// Send bytes on a stream; [`StreamInput::Sent`] says how many were taken.
    Stream {
        /// The connection.
        conn: u8,
        /// The bytes.
        bytes: &'b [u8],
    },
    /// Close a byte stream.
    Disconnect {
        /// The connection.
        conn: u8,
    },
}

/// What a [`Transmit`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The client's socket of this number.
    Socket(u8),
    /// The client's connection of this number.
    Connection(u8),
}

impl Transmit<'_> {
    /// The number of the socket or connection, whichever it is.
    pub const fn index(&self) -> u8 {
        let (Subject::Socket(index) | Subject::Connection(index)) = self.subject();
        index
    }

    /// Which socket or connection this is about.
    pub const fn subject(&self) -> Subject {
        match *self {
            Self::Open { socket, .. }
            | Self::Close { socket }
            | Self::Datagram { socket, .. }
            | Self::Frame { socket, .. } => Subject::Socket(socket),
            Self::Connect { conn, .. } | Self::Stream { conn, .. } | Self::Disconnect { conn } => {
                Subject::Connection(conn)
            }
        }
    }
}

/// A sans-IO protocol client; the module's preface has the rules.
pub trait Client {
    /// What the application sees.
    type Event;
    /// Why an input was ignored; every discard is counted by its reason.
    type Discard;

    /// Whether it has a use for the wall clock and for exact times. For another client a host may read
    /// the monotonic clock once for a call and all that it sends, leave [`Cx::utc`] at
    /// [`Utc::UNIX_EPOCH`], and take for the arrival of a datagram the time at which it was read: most of
    /// what reading clocks costs is saved.
    const MEASURES_TIME: bool = true;

    /// Takes in what arrived.
    fn handle_input(&mut self, cx: &mut Cx<'_>, input: Input<'_>) -> Result<(), Self::Discard>;

    /// Acts on deadlines that have passed. A call that is early, or repeated, does nothing.
    fn handle_timeout(&mut self, cx: &mut Cx<'_>);

    /// The next thing to send, written into `buffer`. `None` when there is nothing.
    fn poll_transmit<'b>(&mut self, cx: &mut Cx<'_>, buffer: &'b mut [u8]) -> Option<Transmit<'b>>;

    /// The next thing that the application is to hear.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// When [`handle_timeout`](Self::handle_timeout) is to be called; may change after any `&mut` call.
    fn poll_timeout(&self) -> Option<Instant>;
}

/// Where a driven client's output goes, and where its context comes from.
pub trait Host<E> {
    /// The context for the next call.
    fn cx(&mut self) -> Cx<'_>;

    /// Sends, opens or closes. Returns how many bytes of a [`Transmit::Stream`] were taken, 0 for
    /// everything else.
    fn transmit(&mut self, transmit: Transmit<'_>) -> Result<usize, ErrorKind>;

    /// Takes an event.
    fn event(&mut self, event: E);

    /// Whether there is room for an event. One that is not taken stays with the client, and is there
    /// after the next call.
    fn has_room(&self) -> bool {
        true
    }
}

/// How many transmits, and how many events, one [`drive`] hands on before it lets others have a turn.
pub const MAX_PER_DRIVE: usize = 16;

/// Drains a client after a call on it: transmits, then events. Returns when its timer is to fire:
/// at once if there is more to drain than [`MAX_PER_DRIVE`].
pub fn drive<C: Client + ?Sized, H: Host<C::Event>>(
    client: &mut C,
    host: &mut H,
    buffer: &mut [u8],
) -> Option<Instant> {
    let mut left = MAX_PER_DRIVE;
    while left > 0 {
        let Some(transmit) = client.poll_transmit(&mut host.cx(), buffer) else { break };
        left -= 1;
        let subject = transmit.subject();
        let is_stream = matches!(transmit, Transmit::Stream { .. });
        let input = match (subject, host.transmit(transmit)) {
            (Subject::Connection(conn), Ok(taken)) if is_stream => {
                Input::Stream { conn, input: StreamInput::Sent(taken) }
            }
            (_, Ok(_)) => continue,
            (Subject::Socket(socket), Err(why)) => Input::SendFailed { socket, why },
            (Subject::Connection(conn), Err(_)) => {
                Input::Stream { conn, input: StreamInput::Closed }
            }
        };
        // What the client thinks of it is the client's to count.
        let _ = client.handle_input(&mut host.cx(), input);
    }
    let mut events = MAX_PER_DRIVE;
    while events > 0 && host.has_room() {
        let Some(event) = client.poll_event() else { break };
        events -= 1;
        host.event(event);
    }
    if left == 0 || events == 0 { Some(host.cx().now) } else { client.poll_timeout() }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    struct Counter(u64);
    impl Rng for Counter {
        fn fill(&mut self, buffer: &mut [u8]) {
            for b in buffer {
                self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *b = self.0.to_be_bytes()[0];
            }
        }
    }

    #[test]
    fn below_stays_below() {
        let mut rng = Counter(7);
        assert_eq!(rng.below(0), 0);
        let seen: Vec<u64> = (0..1_000).map(|_| rng.below(3)).collect();
        assert!(seen.iter().all(|&n| n < 3));
        assert!((0..3).all(|n| seen.contains(&n)), "every value occurs");
    }

    #[test]
    fn numbers_are_the_same_on_every_machine() {
        struct Count(u8);
        impl Rng for Count {
            fn fill(&mut self, buffer: &mut [u8]) {
                for byte in buffer {
                    self.0 += 1;
                    *byte = self.0;
                }
            }
        }
        let mut rng = Count(0);
        let numbers = (rng.u16(), rng.u32(), rng.u64());
        assert_eq!(numbers, (0x0201, 0x0605_0403, 0x0E0D_0C0B_0A09_0807));
    }

    /// A client that wants to send without end, to see that the driver has an end.
    struct Chatter {
        refused: usize,
    }
    impl Client for Chatter {
        type Event = ();
        type Discard = ();
        fn handle_input(&mut self, _: &mut Cx<'_>, input: Input<'_>) -> Result<(), ()> {
            self.refused += usize::from(matches!(input, Input::SendFailed { socket: 3, .. }));
            Ok(())
        }
        fn handle_timeout(&mut self, _: &mut Cx<'_>) {}
        fn poll_transmit<'b>(&mut self, _: &mut Cx<'_>, _: &'b mut [u8]) -> Option<Transmit<'b>> {
            Some(Transmit::Close { socket: 3 })
        }
        fn poll_event(&mut self) -> Option<()> {
            None
        }
        fn poll_timeout(&self) -> Option<Instant> {
            None
        }
    }
    struct World(Counter, usize);
    impl Host<()> for World {
        fn cx(&mut self) -> Cx<'_> {
            Cx { now: Instant::from_micros(5), utc: Utc::UNIX_EPOCH, rng: &mut self.0 }
        }
        fn transmit(&mut self, _: Transmit<'_>) -> Result<usize, ErrorKind> {
            self.1 += 1;
            if self.1 % 2 == 0 { Err(ErrorKind::Unreachable) } else { Ok(0) }
        }
        fn event(&mut self, (): ()) {}
    }

    #[test]
    fn drive_ends_and_reports_refused_sends() {
        let (mut client, mut world) = (Chatter { refused: 0 }, World(Counter(1), 0));
        let at = drive(&mut client, &mut world, &mut []);
        assert_eq!((world.1, client.refused), (MAX_PER_DRIVE, MAX_PER_DRIVE / 2));
        assert_eq!(at, Some(Instant::from_micros(5)), "the rest comes at once, in a later turn");
    }

    /// A client with so many events, and what it has to send.
    struct Teller {
        events: usize,
        sends: Vec<Transmit<'static>>,
        heard: Vec<std::string::String>,
    }
    impl Client for Teller {
        type Event = usize;
        type Discard = ();
        fn handle_input(&mut self, _: &mut Cx<'_>, input: Input<'_>) -> Result<(), ()> {
            self.heard.push(std::format!("{input:?}"));
            Ok(())
        }
        fn handle_timeout(&mut self, _: &mut Cx<'_>) {}
        fn poll_transmit<'b>(&mut self, _: &mut Cx<'_>, _: &'b mut [u8]) -> Option<Transmit<'b>> {
            self.sends.pop()
        }
        fn poll_event(&mut self) -> Option<usize> {
            self.events = self.events.checked_sub(1)?;
            Some(self.events)
        }
        fn poll_timeout(&self) -> Option<Instant> {
            Some(Instant::from_micros(77))
        }
    }
    /// A host with room for so many events, whose sends end in this way.
    struct Shelf {
        dice: Counter,
        room: usize,
        taken: usize,
        outcome: Result<usize, ErrorKind>,
    }
    impl Host<usize> for Shelf {
        fn cx(&mut self) -> Cx<'_> {
            Cx { now: Instant::from_micros(5), utc: Utc::UNIX_EPOCH, rng: &mut self.dice }
        }
        fn transmit(&mut self, _: Transmit<'_>) -> Result<usize, ErrorKind> {
            self.outcome
        }
        fn event(&mut self, _: usize) {
            self.taken += 1;
        }
        fn has_room(&self) -> bool {
            self.taken < self.room
        }
    }

    #[test]
    fn drive_takes_events_as_far_as_there_is_room_and_no_more_than_agreed() {
        const ALL: usize = MAX_PER_DRIVE;
        for (events, room, taken, at_us) in [
            (0, ALL, 0, 77),
            (3, ALL, 3, 77),
            // The others wait with the client until the host has room.
            (3, 2, 2, 77),
            (ALL - 1, 2 * ALL, ALL - 1, 77),
            (ALL, 2 * ALL, ALL, 5),
            (2 * ALL, 2 * ALL, ALL, 5),
        ] {
            let mut client = Teller { events, sends: Vec::new(), heard: Vec::new() };
            let mut host = Shelf { dice: Counter(1), room, taken: 0, outcome: Ok(0) };
            let at = drive(&mut client, &mut host, &mut []);
            let expected = (taken, Some(Instant::from_micros(at_us)));
            assert_eq!((host.taken, at), expected, "{events} events, room for {room}");
            assert_eq!(client.events, events - taken, "none is lost");
        }
    }

    #[test]
    fn drive_tells_what_a_stream_has_taken_and_that_it_broke() {
        let stream = || Transmit::Stream { conn: 2, bytes: b"four" };
        for (send, outcome, heard) in [
            (stream(), Ok(3), &["Stream { conn: 2, input: Sent(3) }"][..]),
            (stream(), Err(ErrorKind::Unreachable), &["Stream { conn: 2, input: Closed }"]),
            // What is no stream takes no octets, whatever the host says.
            (Transmit::Disconnect { conn: 2 }, Ok(3), &[]),
        ] {
            let what = std::format!("{send:?} {outcome:?}");
            let mut client = Teller { events: 0, sends: std::vec![send], heard: Vec::new() };
            let mut host = Shelf { dice: Counter(1), room: 1, taken: 0, outcome };
            drive(&mut client, &mut host, &mut []);
            assert_eq!(client.heard, heard, "{what}");
        }
    }
}
