//! What the simulated machine is made to refuse.

use std::collections::BTreeMap;

use bringup_core::error::ErrorKind;

/// What a program may ask of the machine, and be refused: see [`Sim::refuse`](super::Sim::refuse).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// `udp_open`.
    UdpOpen,
    /// `link_open`.
    LinkOpen,
    /// `interface`, the look at one.
    Interface,
    /// `interface_up`.
    InterfaceUp,
    /// `interface_down`.
    InterfaceDown,
    /// `mtu_set`.
    MtuSet,
    /// `address_add`.
    AddressAdd,
    /// `address_remove`.
    AddressRemove,
    /// `route_add`.
    RouteAdd,
    /// `route_remove`.
    RouteRemove,
    /// `watch_open`.
    WatchOpen,
    /// `watch_receive`.
    WatchReceive,
    /// `set_clock`.
    SetClock,
    /// `clock_rate`.
    ClockRate,
    /// `clock_leap`.
    ClockLeap,
    /// `clock_synchronised`.
    ClockSynchronised,
}

/// What is refused, and why.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<Operation, ErrorKind>);

impl Refusals {
    pub(super) fn set(&mut self, what: Operation, why: Option<ErrorKind>) {
        match why {
            Some(why) => self.0.insert(what, why),
            None => self.0.remove(&what),
        };
    }

    pub(super) fn check(&self, what: Operation) -> Result<(), ErrorKind> {
        self.0.get(&what).map_or(Ok(()), |why| Err(*why))
    }
}
