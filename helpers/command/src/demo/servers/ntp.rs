//! [`NtpServer`]: a reply to a request, by a clock that is off by as much as one wants.

use bringup_core::time::Utc;
use bringup_core::wire::Writer;
use bringup_ntp::packet::{Leap, Mode, Packet};
use bringup_ntp::timestamp::{Short, Timestamp};

/// The precision that it claims, log2 seconds: about a microsecond.
const PRECISION: i8 = -20;
/// The error bound that it claims, nanoseconds.
const DISPERSION_NS: u64 = 100_000;

/// A server of stratum 1.
#[derive(Clone, Copy, Debug)]
pub struct NtpServer {
    offset_ns: i64,
}

impl NtpServer {
    /// A server whose time is that of the clock it is given, plus `offset_ns` nanoseconds.
    pub const fn new(offset_ns: i64) -> Self {
        Self { offset_ns }
    }

    /// Writes the reply to `request` into `out`; gives its length. `receive` and `transmit` are
    /// readings of the given clock: when the request arrived, and now.
    ///
    /// Only a client's request of version 3 or 4 is answered. What follows its header is not looked
    /// at, and not answered either.
    pub fn reply(
        &self,
        request: &[u8],
        receive: Utc,
        transmit: Utc,
        out: &mut [u8],
    ) -> Option<usize> {
        let request = Packet::parse(request).ok()?;
        if request.mode != Mode::Client || !(3..=4).contains(&request.version) {
            return None;
        }
        let timestamp = |utc: Utc| Timestamp::from_utc(utc.offset_by(self.offset_ns));
        let face = Packet {
            leap: Leap::None,
            stratum: 1,
            precision: PRECISION,
            root_delay: Short::default(),
            root_dispersion: Short::from_nanos(DISPERSION_NS),
            // RFC 4330 §4: an uncalibrated local clock.
            reference_id: *b"LOCL",
            reference: timestamp(receive),
            ..Packet::default()
        };
        let mut w = Writer::new(out);
        request.reply(&face, timestamp(receive), timestamp(transmit)).write(&mut w).ok()?;
        Some(w.position())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bringup_core::time::Instant;
    use bringup_ntp::accept::{self, Pending};

    const NONCE: u64 = 0x0102_0304_0506_0708;
    const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 123);

    fn request() -> [u8; 48] {
        let mut bytes = [0; 48];
        Packet::request(NONCE).write(&mut Writer::new(&mut bytes)).unwrap();
        bytes
    }

    #[test]
    fn the_client_takes_its_reply_for_the_time() {
        let now = Utc::from_unix_secs(1_800_000_000);
        let offset_ns = 3_000_000_000;
        let mut out = [0; 48];
        let server = NtpServer::new(offset_ns);
        let length = server.reply(&request(), now, now.offset_by(20_000), &mut out);
        assert_eq!(length, Some(48));
        let sent_at = Instant::from_micros(1_000);
        let pending = Pending { server: SERVER.into(), nonce: NONCE, sent_at };
        let (packet, trailer) = accept::matches(&pending, SERVER.into(), &out).unwrap();
        let floor = Utc::from_unix_secs(1_700_000_000);
        let received_at = Instant::from_micros(2_000);
        accept::judge(&packet, trailer, sent_at, received_at, floor).unwrap();
        assert_eq!(packet.receive.to_utc(floor), now.offset_by(offset_ns));
        assert_eq!(packet.transmit.to_utc(floor), now.offset_by(offset_ns + 20_000));
    }

    #[test]
    fn only_clients_are_answered() {
        let now = Utc::from_unix_secs(1_800_000_000);
        for first in 0..=u8::MAX {
            let mut bytes = request();
            bytes[0] = first;
            let answered = NtpServer::new(0).reply(&bytes, now, now, &mut [0; 48]).is_some();
            assert_eq!(answered, matches!(first & 0x3F, 0x1B | 0x23), "{first:#x}");
        }
        assert_eq!(NtpServer::new(0).reply(&request()[..47], now, now, &mut [0; 48]), None);
        assert_eq!(NtpServer::new(0).reply(&request(), now, now, &mut [0; 47]), None);
    }
}
