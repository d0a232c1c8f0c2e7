//! A lease as plain bytes, to be kept over a restart. Where they are kept is the application's
//! business.
//!
//! The form is this project's own: magic, version, fixed fields, options, CRC-32, all in network
//! byte order. Whatever is read back is checked as if it came from the network: a store is cut,
//! overwritten, copied to another device and kept for years.

use core::net::Ipv4Addr;

use bringup_core::client::Mac;
use bringup_core::time::Utc;
use bringup_core::wire::{Full, Reader, Truncated, Writer};

use crate::lease::STORAGE_LEN;
use crate::options::DhcpOption;
use crate::vault::OptionSet;

/// The longest snapshot of a lease whose options fit into
/// [`STORAGE_LEN`], octets.
pub const SNAPSHOT_LEN: usize = FIXED_LEN + STORAGE_LEN / 2;

const MAGIC: [u8; 4] = *b"BUDL";
const VERSION: u8 = 1;
/// Everything but the options.
const FIXED_LEN: usize = 4 + 1 + 1 + 6 + 4 + 4 + 4 + 4 + 6 + 8 * 4 + 2 + 4;
/// The lease has an end.
const FLAG_ENDS: u8 = 1;
/// The router's link address is known.
const FLAG_ROUTER: u8 = 2;

named! {
    /// Why bytes are not a snapshot that can be used.
    pub enum SnapshotError {
        /// They end too soon.
        Truncated = "snapshot-truncated",
        /// They are something else.
        Magic = "snapshot-magic",
        /// Written by a version of this library that this one doesn't know.
        Version = "snapshot-version",
        /// Something has changed them.
        Checksum = "snapshot-checksum",
        /// The checksum is right, but what it covers makes no sense.
        Content = "snapshot-content",
        /// Another interface's, or from before its client identifier was changed.
        Foreign = "snapshot-foreign",
    }
}

impl From<Truncated> for SnapshotError {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

/// CRC-32 of IEEE 802.3, bit by bit: it runs once per start.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// A router whose link address is known: who is asked whether we are where we were (RFC 4436).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownRouter {
    /// Its IP address.
    pub address: Ipv4Addr,
    /// Its link address.
    pub mac: Mac,
}

/// When a lease that ends is to be renewed, and when it ends, by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallTimes {
    /// T1.
    pub renew_at: Utc,
    /// T2.
    pub rebind_at: Utc,
    /// The end.
    pub expires_at: Utc,
}

/// A lease as it was when the snapshot was taken.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// The interface.
    pub mac: Mac,
    /// CRC-32 of the client identifier that it was got with.
    pub(crate) identity: u32,
    /// The address.
    pub address: Ipv4Addr,
    /// The server.
    pub server: Ipv4Addr,
    /// When the snapshot was taken, by the wall clock of that time.
    pub saved_at: Utc,
    /// When the lease ends; `None` if never.
    pub times: Option<WallTimes>,
    /// The router, if its link address was known.
    pub router: Option<KnownRouter>,
    pub(crate) options: OptionSet<'a>,
}

impl<'a> Snapshot<'a> {
    /// Every option that came with the lease, each joined to one.
    pub fn options(&self) -> impl Iterator<Item = DhcpOption<'a>> + use<'a> {
        self.options.iter()
    }

    /// Whether the lease is over by this reading of the wall clock. A clock that stands before
    /// [`saved_at`](Self::saved_at) never says so.
    pub fn is_over(&self, utc: Utc) -> bool {
        self.times.is_some_and(|times| times.expires_at <= utc)
    }

    /// Reads a snapshot, checking everything but whose it is.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, SnapshotError> {
        let mut r = Reader::new(bytes);
        if r.array()? != MAGIC {
            return Err(SnapshotError::Magic);
        }
        if r.u8()? != VERSION {
            return Err(SnapshotError::Version);
        }
        let flags = r.u8()?;
        let mac = Mac(r.array()?);
        let identity = r.u32()?;
        let (address, server) = (Ipv4Addr::from(r.u32()?), Ipv4Addr::from(r.u32()?));
        let router = KnownRouter { address: Ipv4Addr::from(r.u32()?), mac: Mac(r.array()?) };
        let mut utc = || r.array().map(|ns| Utc::from_unix_nanos(i64::from_be_bytes(ns)));
        let saved_at = utc()?;
        let times = WallTimes { renew_at: utc()?, rebind_at: utc()?, expires_at: utc()? };
        let length = usize::from(r.u16()?);
        let options = r.bytes(length)?;
        let covered = r.position();
        let sum = r.u32()?;
        if !r.is_empty() || crc32(Reader::new(bytes).bytes(covered)?) != sum {
            return Err(SnapshotError::Checksum);
        }
        let options = OptionSet::checked(options).ok_or(SnapshotError::Content)?;
        let ordered = saved_at <= times.expires_at
            && times.renew_at <= times.rebind_at
            && times.rebind_at <= times.expires_at;
        let ends = flags & FLAG_ENDS != 0;
        let hosts = [address, server].into_iter().all(crate::route::is_host_address);
        if !hosts || ends && !ordered {
            return Err(SnapshotError::Content);
        }
        let router = Some(router).filter(|_| flags & FLAG_ROUTER != 0);
        let times = Some(times).filter(|_| ends);
        Ok(Self { mac, identity, address, server, saved_at, times, router, options })
    }

    /// Writes it, and gives out its octets; [`SNAPSHOT_LEN`] are enough.
    pub(crate) fn encode<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], Full> {
        let mut w = Writer::new(buffer);
        w.bytes(&MAGIC)?;
        w.u8(VERSION)?;
        let ends = if self.times.is_some() { FLAG_ENDS } else { 0 };
        w.u8(ends | if self.router.is_some() { FLAG_ROUTER } else { 0 })?;
        w.bytes(&self.mac.0)?;
        w.u32(self.identity)?;
        w.bytes(&self.address.octets())?;
        w.bytes(&self.server.octets())?;
        let nobody = KnownRouter { address: Ipv4Addr::UNSPECIFIED, mac: Mac([0; 6]) };
        let router = self.router.unwrap_or(nobody);
        w.bytes(&router.address.octets())?;
        w.bytes(&router.mac.0)?;
        let never = WallTimes {
            renew_at: self.saved_at,
            rebind_at: self.saved_at,
            expires_at: self.saved_at,
        };
        let times = self.times.unwrap_or(never);
        for utc in [self.saved_at, times.renew_at, times.rebind_at, times.expires_at] {
            w.bytes(&utc.as_unix_nanos().to_be_bytes())?;
        }
        let options = self.options.bytes();
        w.u16(u16::try_from(options.len()).map_err(|_| Full)?)?;
        w.bytes(options)?;
        let sum = crc32(w.written());
        w.u32(sum)?;
        Ok(w.finish())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    const OPTIONS: &[u8] = &[6, 0, 4, 10, 0, 0, 3, 15, 0, 2, b'a', b'b'];

    fn sample(options: &[u8]) -> Snapshot<'_> {
        let s = Utc::from_unix_secs;
        Snapshot {
            mac: Mac([2, 0, 0, 0, 0, 7]),
            identity: 0xCAFE,
            address: Ipv4Addr::new(10, 0, 0, 50),
            server: Ipv4Addr::new(10, 0, 0, 1),
            saved_at: s(1_000),
            times: Some(WallTimes {
                renew_at: s(1_100),
                rebind_at: s(1_200),
                expires_at: s(1_300),
            }),
            router: Some(KnownRouter { address: Ipv4Addr::new(10, 0, 0, 254), mac: Mac([9; 6]) }),
            options: OptionSet::for_tests(options),
        }
    }

    fn encoded(snapshot: &Snapshot<'_>) -> Vec<u8> {
        snapshot.encode(&mut [0; SNAPSHOT_LEN]).unwrap().to_vec()
    }

    /// Bytes with a right checksum, whatever is in them.
    fn resealed(mut bytes: Vec<u8>, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
        bytes.truncate(bytes.len() - 4);
        change(&mut bytes);
        let sum = crc32(&bytes);
        bytes.extend(sum.to_be_bytes());
        bytes
    }

    #[test]
    fn what_is_written_can_be_read() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926, "the check value of CRC-32");
        let whole = sample(OPTIONS);
        let bare = Snapshot { times: None, router: None, ..sample(&[]) };
        let s = Utc::from_unix_secs(1_000);
        let at_once = WallTimes { renew_at: s, rebind_at: s, expires_at: s };
        let ended = Snapshot { times: Some(at_once), ..sample(&[]) };
        for snapshot in [whole, bare, ended] {
            let bytes = encoded(&snapshot);
            assert_eq!(bytes.len(), FIXED_LEN + snapshot.options.bytes().len());
            let read = Snapshot::decode(&bytes).unwrap();
            assert_eq!(std::format!("{read:?}"), std::format!("{snapshot:?}"));
        }
        let codes: Vec<u8> = whole.options().map(|o| o.code).collect();
        assert_eq!(codes, [6, 15]);
    }

    #[test]
    fn cve_2021_25217_cut_anywhere_it_is_refused() {
        let bytes = encoded(&sample(OPTIONS));
        for end in 0..bytes.len() {
            let why = Snapshot::decode(&bytes[..end]).map(|_| ());
            assert_eq!(why, Err(SnapshotError::Truncated), "{end}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Snapshot::decode(&longer).map(|_| ()), Err(SnapshotError::Checksum));
    }

    #[test]
    fn cve_2021_25217_any_bit_flipped_it_is_refused() {
        let bytes = encoded(&sample(OPTIONS));
        for at in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[at / 8] ^= 1 << (at % 8);
            let expected = match at / 8 {
                0..4 => SnapshotError::Magic,
                4 => SnapshotError::Version,
                // The length of the options: too long runs out of bytes.
                66 | 67 => match Snapshot::decode(&bad) {
                    Err(why @ (SnapshotError::Truncated | SnapshotError::Checksum)) => why,
                    other => panic!("bit {at}: {other:?}"),
                },
                _ => SnapshotError::Checksum,
            };
            assert_eq!(Snapshot::decode(&bad).map(|_| ()), Err(expected), "bit {at}");
        }
    }

    #[test]
    fn a_right_checksum_over_nonsense_is_refused() {
        let good = encoded(&sample(OPTIONS));
        assert!(Snapshot::decode(&resealed(good.clone(), |_| ())).is_ok());
        type Change = fn(&mut Vec<u8>);
        let rows: [(&str, Change); 7] = [
            ("address 0", |b| b[16..20].fill(0)),
            ("address 127.0.0.1", |b| b[16] = 127),
            ("server 255.255.255.255", |b| b[20..24].fill(255)),
            ("expiry before the snapshot", |b| b[58..66].fill(0)),
            ("T1 after T2", |b| b[42] = 0x7F),
            ("an option of 5 octets where 4 are", |b| b[70] = 5),
            ("a DNS server of 3 octets", |b| {
                b.remove(71);
                (b[67], b[70]) = (11, 3);
            }),
        ];
        for (name, change) in rows {
            let bytes = resealed(good.clone(), change);
            assert_eq!(Snapshot::decode(&bytes).map(|_| ()), Err(SnapshotError::Content), "{name}");
        }
        let other = resealed(good, |b| b[4] = 2);
        assert_eq!(Snapshot::decode(&other).map(|_| ()), Err(SnapshotError::Version));
    }

    #[test]
    fn every_buffer_size_gives_full_or_all() {
        let whole = encoded(&sample(OPTIONS));
        for size in 0..whole.len() {
            assert_eq!(sample(OPTIONS).encode(&mut whole.clone()[..size]), Err(Full), "{size}");
        }
    }

    #[test]
    fn a_clock_before_the_snapshot_is_not_believed() {
        let s = Utc::from_unix_secs;
        for (now, over) in [(999, false), (1_000, false), (1_299, false), (1_300, true)] {
            assert_eq!(sample(&[]).is_over(s(now)), over, "{now}");
        }
        let endless = Snapshot { times: None, ..sample(&[]) };
        assert!(!endless.is_over(s(i64::from(u32::MAX))));
    }
}
