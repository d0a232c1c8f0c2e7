//! [`Line`]: what the program says, one JSON object a line, without the machinery of `core::fmt`.

use core::net::Ipv4Addr;

use crate::libc;

/// Longer than any line: the longest has a text of [`TEXT_MAX`] octets, each written as six at the worst.
const ROOM: usize = 2_048;

/// What of a text is written: more than a name of the DNS has.
const TEXT_MAX: usize = 256;

/// A JSON object that is being written.
pub(crate) struct Line {
    bytes: [u8; ROOM],
    length: usize,
}

impl Line {
    /// `{"t_us":…,"event":"…"`.
    pub(crate) fn new(t_us: u64, event: &str) -> Self {
        let mut line = Self { bytes: [0; ROOM], length: 0 };
        line.put(b"{\"t_us\":");
        line.digits(t_us);
        line.text("event", event);
        line
    }

    /// Says an `error`: what, and why.
    pub(crate) fn failed(what: &str, why: &str, errno: i32) {
        Self::new(0, "error")
            .text("what", what)
            .text("why", why)
            .number("errno", errno.into())
            .say();
    }

    fn put(&mut self, bytes: &[u8]) {
        let room = self.bytes.get_mut(self.length..).unwrap_or(&mut []);
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
            self.length += 1;
        }
    }

    fn digits(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut used = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
            number /= 10;
            used += 1;
            if number == 0 {
                break;
            }
        }
        self.put(digits.get(20 - used..).unwrap_or(&[]));
    }

    fn key(&mut self, key: &str) {
        self.put(b",\"");
        self.put(key.as_bytes());
        self.put(b"\":");
    }

    /// A text. What is not printable ASCII, or has a meaning in JSON, is written as `\u00XX`.
    pub(crate) fn text(&mut self, key: &str, text: &str) -> &mut Self {
        self.octets(key, text.as_bytes())
    }

    fn octets(&mut self, key: &str, text: &[u8]) -> &mut Self {
        self.key(key);
        self.put(b"\"");
        for octet in text.iter().take(TEXT_MAX) {
            match octet {
                b'"' | b'\\' | ..0x20 | 0x7F.. => {
                    let hex = |half: u8| if half < 10 { b'0' + half } else { b'a' + half - 10 };
                    self.put(&[b'\\', b'u', b'0', b'0', hex(octet >> 4), hex(octet & 15)]);
                }
                plain => self.put(&[*plain]),
            }
        }
        self.put(b"\"");
        self
    }

    /// A whole number.
    pub(crate) fn number(&mut self, key: &str, number: i64) -> &mut Self {
        self.key(key);
        if number < 0 {
            self.put(b"-");
        }
        self.digits(number.unsigned_abs());
        self
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, key: &str, flag: bool) -> &mut Self {
        self.key(key);
        self.put(if flag { b"true" } else { b"false" });
        self
    }

    fn dotted(&mut self, ip: Ipv4Addr) {
        for (place, octet) in ip.octets().into_iter().enumerate() {
            if place > 0 {
                self.put(b".");
            }
            self.digits(octet.into());
        }
    }

    /// An address; one with a prefix as `10.0.0.5/24`.
    pub(crate) fn address(&mut self, key: &str, ip: Ipv4Addr, prefix: Option<u8>) -> &mut Self {
        self.key(key);
        self.put(b"\"");
        self.dotted(ip);
        if let Some(prefix) = prefix {
            self.put(b"/");
            self.digits(prefix.into());
        }
        self.put(b"\"");
        self
    }

    /// Writes it to standard output, at once.
    pub(crate) fn say(&mut self) {
        self.put(b"}\n");
        libc::write(1, self.bytes.get(..self.length).unwrap_or(&[]));
    }
}
