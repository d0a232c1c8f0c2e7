//! `bringup-instructions PATH TIMES`: goes one of the hot paths that often. The script `run` counts the
//! instructions of two numbers of times under callgrind: the difference, divided, is what once costs. It is the
//! same on a loaded machine as on an idle one.
//!
//! Without arguments: the names of the paths, one a line.

mod codecs;
mod loops;

/// Goes a path so many times.
type Path = fn(usize);

const PATHS: [(&str, Path); 14] = [
    ("attach: post a node and run it", loops::attach),
    ("attach: post 64 nodes and run them, each", loops::attach_many),
    ("timer: arm and cancel, 1,000 others", loops::arm_and_cancel),
    ("timer: arm and fire, 1,000 others", loops::arm_and_fire),
    ("loop: a turn with nothing to do", loops::idle_turn),
    ("dns: read a response of 1 A", codecs::dns_one),
    ("dns: read a response of 3 CNAME and 8 A", codecs::dns_chain),
    ("dns: write a query", codecs::dns_query),
    ("dns: a query that the cache answers", codecs::dns_hit),
    ("dns: a query that a server answers, among 256", codecs::dns_uncached),
    ("dhcp: read an ACK of ten options", codecs::dhcp_ack),
    ("dhcp: write a DISCOVER", codecs::dhcp_discover),
    ("ntp: write a request", codecs::ntp_request),
    ("ntp: read and judge a reply", codecs::ntp_reply),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(times)) = (arguments.next(), arguments.next()) else {
        PATHS.iter().for_each(|(name, _)| println!("{name}"));
        return;
    };
    let times = times.parse().expect("a number of times");
    let (_, path) = PATHS.iter().find(|(known, _)| *known == name).expect("a path that is listed");
    path(times);
}
