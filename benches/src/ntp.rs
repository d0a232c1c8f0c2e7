//! NTP: writing a request, and judging the reply.

use std::cell::Cell;
use std::future::Future;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;

use bringup_core::time::{Instant, Utc};
use bringup_core::wire::Writer;
use bringup_ntp::accept::{Pending, judge, matches};
use bringup_ntp::packet::Packet;
use bringup_ntp::timestamp::{Short, Timestamp};

use crate::measure::{Contender, Ratio, repeat, table};

const NONCE: u64 = 0x0123_4567_89AB_CDEF;
const TIMES: usize = 200_000;
/// Whole exchanges over loopback, which take some ten thousand times as long.
const EXCHANGES: usize = 200;
/// 2026-11-24, seconds since 1970 and since 1900.
const UNIX_S: i64 = 1_795_478_400;

fn server() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 123))
}

/// What a stratum 2 server answers to `request`, 1 ms after it was asked.
fn reply(request: &Packet) -> [u8; 48] {
    let now = Utc::from_unix_secs(UNIX_S);
    let face = Packet {
        stratum: 2,
        precision: -23,
        root_delay: Short::from_nanos(5_000_000),
        root_dispersion: Short::from_nanos(10_000_000),
        reference_id: [192, 0, 2, 7],
        reference: Timestamp::from_utc(now.offset_by(-60_000_000_000)),
        ..Packet::default()
    };
    let receive = Timestamp::from_utc(now.offset_by(500_000));
    let transmit = Timestamp::from_utc(now.offset_by(520_000));
    let mut bytes = [0; 48];
    request.reply(&face, receive, transmit).write(&mut Writer::new(&mut bytes)).expect("48 octets");
    bytes
}

/// sntpc only sends and receives; here to and from memory.
struct Memory {
    sent: Cell<[u8; 48]>,
    reply: Cell<[u8; 48]>,
}

impl sntpc::NtpUdpSocket for &Memory {
    async fn send_to(&self, bytes: &[u8], _: SocketAddr) -> sntpc::Result<usize> {
        let sent = bytes.try_into().map_err(|_| sntpc::Error::Network)?;
        self.sent.set(sent);
        Ok(bytes.len())
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> sntpc::Result<(usize, SocketAddr)> {
        let reply = self.reply.get();
        buffer.get_mut(..48).ok_or(sntpc::Error::Network)?.copy_from_slice(&reply);
        Ok((48, server()))
    }
}

/// A clock that stands still and costs nothing.
#[derive(Clone, Copy)]
struct Still;

impl sntpc::NtpTimestampGenerator for Still {
    fn init(&mut self) {}
    fn timestamp_sec(&self) -> u64 {
        u64::try_from(UNIX_S).unwrap_or(0)
    }
    fn timestamp_subsec_micros(&self) -> u32 {
        1_000
    }
}

/// The result of a future that never waits.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => unreachable!("the socket is memory"),
    }
}

/// The floor of a request: what nobody can do with less.
fn build_by_hand(buffer: &mut [u8; 48], nonce: u64) {
    *buffer = [0; 48];
    buffer[0] = 0x23;
    buffer[40..].copy_from_slice(&nonce.to_be_bytes());
}

pub(crate) fn run(rounds: usize) {
    println!("\n## NTP");
    println!(
        "\nrsntp is in the last table only: its packet type is private, and nothing but a whole exchange \
         over UDP can be called. ntp-proto draws its nonce itself, and its own source looks at the rest \
         of the reply, which cannot be called."
    );
    let memory = Memory { sent: Cell::new([0; 48]), reply: Cell::new([0; 48]) };
    let memory = &memory;
    let context = || sntpc::NtpContext::new(Still);
    let mut buffer = [0; 48];
    let mut by_hand = [0; 48];
    table(
        "Write a request, the nonce given",
        Ratio::Cpu,
        rounds,
        vec![
            Contender::new("**bringup**", || {
                repeat(TIMES, || {
                    let packet = Packet::request(black_box(NONCE));
                    packet.write(&mut Writer::new(&mut buffer)).expect("48 octets");
                    black_box(&buffer);
                })
            }),
            Contender::new("sntpc, to a socket in memory", || {
                repeat(TIMES, || {
                    let sent = ready(sntpc::sntp_send_request(server(), &memory, context()));
                    black_box(sent.expect("it is sent"));
                    black_box(memory.sent.as_ptr());
                })
            }),
            Contender::new("floor: 48 octets by hand", || {
                repeat(TIMES, || {
                    build_by_hand(&mut by_hand, black_box(NONCE));
                    black_box(&by_hand);
                })
            }),
            #[cfg(feature = "ntp-proto")]
            Contender::new("ntp-proto, with a nonce of its own", proto::write),
        ],
    );

    let pending = Pending { server: server(), nonce: NONCE, sent_at: Instant::from_micros(5_000) };
    let bytes = reply(&Packet::request(NONCE));
    let floor = Utc::from_unix_secs(UNIX_S - 86_400);
    let sent = ready(sntpc::sntp_send_request(server(), &memory, context())).expect("it is sent");
    memory.reply.set(reply(&Packet::parse(&memory.sent.get()).expect("sntpc's request")));
    table(
        "Read the reply with all checks, to offset and delay",
        Ratio::Cpu,
        rounds,
        vec![
            Contender::new("**bringup**, 14 checks", || {
                repeat(TIMES, || {
                    let (packet, trailer) =
                        matches(&pending, server(), black_box(&bytes)).expect("it matches");
                    let received_at = Instant::from_micros(6_000);
                    let got = judge(&packet, trailer, pending.sent_at, received_at, floor);
                    black_box(got.expect("it is good"));
                })
            }),
            Contender::new("sntpc, from a socket in memory", || {
                repeat(TIMES, || {
                    let got = sntpc::sntp_process_response(server(), &memory, context(), sent);
                    black_box(ready(got).expect("it is good"));
                })
            }),
            #[cfg(feature = "ntp-proto")]
            Contender::new("ntp-proto, header and origin only", proto::reader()),
            Contender::new("bringup, the header only", || {
                repeat(TIMES, || {
                    black_box(Packet::parse(black_box(&bytes)).expect("48 octets"));
                })
            }),
        ],
    );
    exchanges(rounds);
}

/// Sockets, system calls and another thread's answer: what is left of a codec in a program.
fn exchanges(rounds: usize) {
    let responder = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let at = responder.local_addr().expect("it is bound");
    // It ends with the process.
    thread::spawn(move || {
        let mut request = [0; 48];
        while let Ok((_, from)) = responder.recv_from(&mut request) {
            let request = Packet::parse(&request).expect("48 octets");
            let _ = responder.send_to(&reply(&request), from);
        }
    });
    let exchange = move |request: &Packet, bytes: &mut [u8; 48]| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
        socket.set_read_timeout(Some(std::time::Duration::from_secs(3))).expect("not zero");
        request.write(&mut Writer::new(bytes)).expect("48 octets");
        socket.send_to(bytes, at).expect("sent");
        socket.recv_from(bytes).expect("an answer").1
    };
    let mut buffer = [0; 48];
    let client = rsntp::SntpClient::new();
    let floor = Utc::from_unix_secs(UNIX_S - 86_400);
    table(
        "A whole exchange with another thread, over loopback",
        Ratio::Cpu,
        rounds,
        vec![
            Contender::new("**bringup**'s codec, on std's socket", || {
                repeat(EXCHANGES, || {
                    let sent_at = Instant::from_micros(5_000);
                    let from = exchange(&Packet::request(NONCE), &mut buffer);
                    let pending = Pending { server: at, nonce: NONCE, sent_at };
                    let (packet, trailer) = matches(&pending, from, &buffer).expect("it matches");
                    let received_at = Instant::from_micros(6_000);
                    let got = judge(&packet, trailer, sent_at, received_at, floor);
                    black_box(got.expect("it is good"));
                })
            }),
            Contender::new("rsntp", || {
                repeat(EXCHANGES, || {
                    black_box(client.synchronize(at).expect("it is good"));
                })
            }),
            Contender::new("floor: the reply not looked at", || {
                let mut bytes = [0; 48];
                repeat(EXCHANGES, || {
                    black_box(exchange(&Packet::request(NONCE), &mut bytes));
                })
            }),
        ],
    );
}

/// The codec of ntpd-rs.
#[cfg(feature = "ntp-proto")]
mod proto {
    use std::hint::black_box;
    use std::io::Cursor;

    use ntp_proto::{NoCipher, NtpPacket, PollInterval};

    use super::{Packet, TIMES, reply};
    use crate::measure::{Cost, repeat};

    fn serialize(packet: &NtpPacket<'_>, buffer: &mut [u8; 48]) {
        let mut cursor = Cursor::new(buffer.as_mut_slice());
        packet.serialize(&mut cursor, &NoCipher, None).expect("48 octets");
    }

    pub(super) fn write() -> Cost {
        let mut buffer = [0; 48];
        repeat(TIMES, || {
            let (packet, _) = NtpPacket::poll_message(black_box(PollInterval::default()));
            serialize(&packet, &mut buffer);
            black_box(&buffer);
        })
    }

    pub(super) fn reader() -> impl FnMut() -> Cost {
        let mut buffer = [0; 48];
        let (packet, identifier) = NtpPacket::poll_message(PollInterval::default());
        serialize(&packet, &mut buffer);
        let bytes = reply(&Packet::parse(&buffer).expect("48 octets"));
        move || {
            repeat(TIMES, || {
                let read = NtpPacket::deserialize(black_box(&bytes), &NoCipher);
                let (packet, _) = read.expect("it is good");
                assert!(black_box(packet.valid_server_response(identifier, false)));
            })
        }
    }
}
