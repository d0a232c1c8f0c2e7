//! What happened during a bring-up, written down to be looked at.
//!
//! [`Tap`] stands between the loop and its platform and hears every packet; the command tells what
//! else happens. Both tell one [`Recorder`], which keeps a bounded list of [`Moment`]s for a picture
//! ([`timeline`], drawn by [`svg`] and [`text`]) and hands the packets to a file ([`pcap`]).

mod packet;
pub mod pcap;
pub mod svg;
mod tap;
pub mod text;
pub mod timeline;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bringup_core::state::SystemState;

pub use packet::{Direction, Packet, Protocol};
pub use pcap::{PcapFile, Wire};
pub use tap::Tap;

/// How many moments are kept; what comes later is counted.
pub const MAX_MOMENTS: usize = 4_096;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The carrier of an interface came or went.
    Link {
        /// The interface.
        interface: String,
        /// Whether it is there now.
        up: bool,
    },
    /// A packet was sent or received.
    Packet(Packet),
    /// A state was entered.
    State(&'static str),
    /// A step was held back, or let go.
    Hold {
        /// Who holds.
        holder: String,
        /// Whether it lets go.
        released: bool,
    },
    /// A word about one protocol: an address is there, the time is known.
    Note {
        /// The protocol.
        protocol: Protocol,
        /// The interface that it is about, if it is about one.
        interface: Option<String>,
        /// The word.
        text: String,
    },
    /// A callback was attached from another thread.
    Posted,
    /// A callback ran; the state that it waited for.
    Attached(&'static str),
}

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Microseconds since the start.
    pub t_us: u64,
    /// What.
    pub what: What,
}

/// The bring-up so far, up to the first time that it is OPERATIONAL.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// What the program was asked to do.
    pub title: String,
    /// In the order in which they were told; packets may be told after what they caused.
    pub moments: Vec<Moment>,
    /// How many more there were than are kept.
    pub left_out: u64,
    /// When it was OPERATIONAL, microseconds since the start.
    pub operational_us: Option<u64>,
    /// When it was given up, if it was.
    pub ended_us: Option<u64>,
}

impl Record {
    fn add(&mut self, t_us: u64, what: What) {
        // What comes after the goal is not the way to it; callbacks that waited for it are.
        let late = self.operational_us.is_some();
        if late && !matches!(what, What::Attached(_)) {
            return;
        }
        if self.moments.len() >= MAX_MOMENTS {
            self.left_out += 1;
        } else {
            self.moments.push(Moment { t_us, what: what.clone() });
        }
        if what == What::State(SystemState::Operational.name()) {
            self.operational_us = Some(t_us);
        }
    }
}

/// What is behind a [`Recorder`].
#[derive(Debug, Default)]
struct Inner {
    record: Record,
    pcap: Option<PcapFile>,
    timeline: Option<PathBuf>,
    /// The first failure to write, until somebody asks.
    failed: Option<(PathBuf, io::Error)>,
}

/// Where a bring-up is written down; its clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Inner>>);

impl Recorder {
    /// One that keeps the moments, and writes no file yet.
    pub fn new(title: impl Into<String>) -> Self {
        let recorder = Self::default();
        recorder.inner().record.title = title.into();
        recorder
    }

    /// Draws the timeline into this file, when the system is OPERATIONAL and at the end. Fails at once
    /// if it cannot be made.
    pub fn draw_into(&self, path: &Path) -> io::Result<()> {
        std::fs::write(path, "")?;
        self.inner().timeline = Some(path.to_owned());
        Ok(())
    }

    /// Writes every packet into this file, from now on. Fails if it cannot be made.
    pub fn capture_into(&self, path: &Path) -> io::Result<()> {
        self.inner().pcap = Some(PcapFile::create(path)?);
        Ok(())
    }

    /// Writes a moment down.
    pub fn add(&self, t_us: u64, what: What) {
        let mut inner = self.inner();
        let before = inner.record.operational_us;
        inner.record.add(t_us, what);
        let reached = before.is_none() && inner.record.operational_us.is_some();
        drop(inner);
        if reached {
            self.write();
        }
    }

    /// Writes a packet down: what it is for the picture, what it was for the capture.
    fn packet(&self, t_us: u64, packet: Option<Packet>, wire: &Wire<'_>) {
        if let Some(packet) = packet {
            self.add(t_us, What::Packet(packet));
        }
        let mut inner = self.inner();
        let Inner { pcap, failed, .. } = &mut *inner;
        if let Some(file) = pcap.as_mut() {
            if let Err(error) = file.write(wire) {
                failed.get_or_insert((file.path().to_owned(), error));
                *pcap = None;
            }
        }
    }

    /// The record so far.
    pub fn record(&self) -> Record {
        self.inner().record.clone()
    }

    /// Says that the bring-up is over; what has not been reached will not be.
    pub fn end(&self, t_us: u64) {
        let mut inner = self.inner();
        if inner.record.operational_us.is_none() {
            inner.record.ended_us = Some(t_us);
        }
    }

    /// Draws the picture into its file, if there is one.
    pub fn write(&self) {
        let mut inner = self.inner();
        let Some(path) = inner.timeline.clone() else { return };
        let drawn = svg::draw(&timeline::Timeline::of(&inner.record));
        if let Err(error) = std::fs::write(&path, drawn) {
            inner.failed.get_or_insert((path, error));
        }
    }

    /// The first file that could not be written, once.
    pub fn take_failure(&self) -> Option<(PathBuf, io::Error)> {
        self.inner().failed.take()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Whoever panicked has left a list that is shorter, and no worse.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_the_goal_is_not_part_of_the_way() {
        let mut record = Record::default();
        record.add(1, What::State("DHCP"));
        record.add(2, What::State("OPERATIONAL"));
        record.add(3, What::Attached("OPERATIONAL"));
        record.add(4, What::State("DHCP"));
        let kept: Vec<u64> = record.moments.iter().map(|moment| moment.t_us).collect();
        assert_eq!((kept, record.operational_us), (vec![1, 2, 3], Some(2)));
    }

    #[test]
    fn the_record_has_an_end() {
        let mut record = Record::default();
        for t_us in 0..MAX_MOMENTS as u64 + 3 {
            record.add(t_us, What::State("DHCP"));
        }
        assert_eq!((record.moments.len(), record.left_out), (MAX_MOMENTS, 3));
    }
}
