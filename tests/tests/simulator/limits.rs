//! How much may be sent, whatever the others do: a bucket per interface for DHCP, a window for NTP, three sends
//! per server and question for DNS.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

use bringup::core::error::ErrorKind;
use bringup::core::time::{Duration, Instant};
use bringup::platform::sim::packet::Datagram;
use bringup::system::Event;

use crate::world::s;

/// The window in which the sends for one question to one server are counted.
const WINDOW: Duration = Duration::from_secs(20);
/// What may have begun a question that is sent in the window: it lives no longer than this.
const BEFORE: Duration = Duration::from_secs(60);

/// A server, and a question as it stands in the message, with its letters in lower case.
type Question = (Ipv4Addr, Vec<u8>);

#[derive(Default)]
pub(crate) struct Limits {
    /// Millionths of a frame that may be sent, or that are owed, and when that was so.
    buckets: BTreeMap<u32, (i64, Instant)>,
    ntp: VecDeque<Instant>,
    dns: BTreeMap<Question, VecDeque<Instant>>,
    /// When something began a question, or began all of them anew.
    begun: VecDeque<Instant>,
    /// How many leases were given back.
    pub(crate) released: usize,
    /// How many of the events of the application have been taken.
    pub(crate) heard: usize,
}

impl Limits {
    /// A question is asked, or what is asked is asked anew.
    pub(crate) fn begins(&mut self, at: Instant) {
        forget(&mut self.begun, at, BEFORE);
        self.begun.push_back(at);
    }

    /// What lets a resolver ask (again): another way to its servers, a name of an NTP server.
    pub(crate) fn heard(&mut self, at: Instant, event: &Event<ErrorKind>) {
        if matches!(
            event,
            Event::Link { .. }
                | Event::Address { .. }
                | Event::AddressLost { .. }
                | Event::Servers { .. }
                | Event::NtpNameFailed { .. }
        ) {
            self.begins(at);
        }
    }

    pub(crate) fn sent(&mut self, at: Instant, interface: u32, datagram: &Datagram<'_>) {
        match datagram.dst.port() {
            67 => self.dhcp(at, interface, datagram.payload),
            123 => self.ntp(at),
            53 => self.dns(at, *datagram.dst.ip(), datagram.payload),
            _ => {}
        }
    }

    fn dhcp(&mut self, at: Instant, interface: u32, payload: &[u8]) {
        const FRAME: i64 = 1_000_000;
        // Option 53, the first behind the cookie.
        let is_release = payload.get(240..243) == Some(&[53, 1, 7]);
        self.released += usize::from(is_release);
        let bucket = self.buckets.entry(interface).or_insert((4 * FRAME, at));
        let elapsed = i64::try_from(at.since(bucket.1).as_micros()).expect("a few centuries");
        let left = (bucket.0 + 2 * elapsed).min(4 * FRAME) - FRAME;
        let owed = if is_release { FRAME } else { 0 };
        assert!(left >= -owed, "DHCP sends more than 4 + 2/s");
        *bucket = (left, at);
    }

    fn ntp(&mut self, at: Instant) {
        self.ntp.push_back(at);
        forget(&mut self.ntp, at, s(15));
        assert!(self.ntp.len() <= 8, "{} NTP packets in 15 s", self.ntp.len());
    }

    fn dns(&mut self, at: Instant, server: Ipv4Addr, query: &[u8]) {
        // One question follows the header; what comes after it is EDNS.
        let mut end = 12;
        while let Some(length @ 1..) = query.get(end) {
            end += 1 + usize::from(*length);
        }
        let question = query.get(12..end + 5).expect("a whole question").to_ascii_lowercase();
        forget(&mut self.begun, at, BEFORE);
        self.dns.retain(|_, sends| {
            forget(sends, at, WINDOW);
            !sends.is_empty()
        });
        let begun = 1 + self.begun.len();
        let sends = self.dns.entry((server, question.clone())).or_default();
        sends.push_back(at);
        assert!(
            sends.len() <= 3 * begun,
            "{} queries to {server} in {WINDOW:?} for {begun} reasons: {}",
            sends.len(),
            question.escape_ascii()
        );
    }
}

/// Forgets what is longer ago than `span`.
fn forget(times: &mut VecDeque<Instant>, now: Instant, span: Duration) {
    while times.front().is_some_and(|first| now.since(*first) >= span) {
        times.pop_front();
    }
}
