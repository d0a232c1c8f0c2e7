//! [`Svcb`], the data of SVCB and HTTPS records (RFC 9460).

use bringup_core::wire::{Full, Reader, Writer};

use super::RdataView;
use crate::name::{NameView, Pointers, read_name};

/// A service binding: a priority, a target and parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Svcb<'a> {
    /// 0 is AliasMode, in which the parameters mean nothing; otherwise lower is preferred.
    pub priority: u16,
    /// The host; the root stands for the owner, or in AliasMode for "no such service".
    pub target: NameView<'a>,
    /// The parameters as they are on the wire; [`params`](Self::params) reads them.
    pub(super) params: &'a [u8],
}

impl<'a> Svcb<'a> {
    /// A binding with parameters in wire form; `None` unless these are well formed.
    pub fn new(priority: u16, target: NameView<'a>, params: &'a [u8]) -> Option<Self> {
        let svcb = Self { priority, target, params };
        svcb.is_well_formed().then_some(svcb)
    }

    /// The view of checked data.
    pub(super) fn parse(rdata: RdataView<'a>) -> Option<Self> {
        let mut r = rdata.reader();
        let priority = r.u16().ok()?;
        let target = read_name(rdata.message, &mut r, Pointers::Refused).ok()?;
        Some(Self { priority, target, params: r.rest() })
    }

    /// Whether the parameters are whole and their keys strictly increase (RFC 9460 §2.2).
    ///
    /// A record for which this is false makes its whole RRset unusable.
    pub fn is_well_formed(&self) -> bool {
        let mut reader = Reader::new(self.params);
        let mut last = None;
        while !reader.is_empty() {
            let Some((key, _)) = param(&mut reader) else { return false };
            if last.is_some_and(|last| key <= last) {
                return false;
            }
            last = Some(key);
        }
        true
    }

    /// Each parameter's key and value (RFC 9460 §14.3.2); ends at the first that is not whole.
    pub fn params(self) -> impl Iterator<Item = (u16, &'a [u8])> + Clone {
        let mut reader = Reader::new(self.params);
        core::iter::from_fn(move || param(&mut reader))
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.u16(self.priority)?;
        self.target.write(w)?;
        w.bytes(self.params)
    }
}

fn param<'a>(reader: &mut Reader<'a>) -> Option<(u16, &'a [u8])> {
    let key = reader.u16().ok()?;
    let length = reader.u16().ok()?;
    Some((key, reader.bytes(usize::from(length)).ok()?))
}
