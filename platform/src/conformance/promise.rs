//! [`Promise`]: what a port promises, one name each.

use core::fmt;

/// A promise of the contract, in the order in which things begin to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Promise {
    /// The clock never goes back.
    ClockMonotonic,
    /// The clock goes on, at the pace of other clocks.
    ClockRuns,
    /// The clock counts the time in suspend, or the port says that it does not.
    ClockCountsSuspend,
    /// A wait ends when its deadline has passed.
    WaitEnds,
    /// A wait is not cut short again and again: its time is never rounded down, so that the loop does
    /// not spin.
    WaitSleeps,
    /// A lock keeps every other context out.
    LockExcludes,
    /// A lock is free after a panic inside it.
    LockSurvivesPanic,
    /// `SystemOps::attach` links under the lock that it is handed.
    AttachLocks,
    /// An unarmed wake does nothing.
    WakeUnarmed,
    /// A wake is armed once: the second time says that it is.
    WakeArmedOnce,
    /// A wake that comes before the wait ends it.
    WakeNotForgotten,
    /// A wake that was cleared ends no wait.
    WakeCleared,
    /// A wake from another context ends the wait that is going on, at whatever moment it comes.
    WakeEndsWait,
    /// A timer of the loop does not fire before its time.
    TimerNotEarly,
    /// What another context attaches runs on the loop, each request once.
    AttachRuns,
    /// Random bytes differ from draw to draw.
    RandomDiffers,
    /// Every byte that was asked for is random.
    RandomFills,
    /// Another start draws other bytes.
    RandomAnew,
    /// Where nothing has arrived, nothing is received, and nobody waits for it.
    UdpEmpty,
    /// A datagram arrives whole, with its source and a time that has passed.
    UdpCarries,
    /// A datagram that is longer than the buffer is cut, and said to be.
    UdpTruncated,
    /// A socket that stays readable is reported again, and no longer when it is taken out.
    PollLevel,
    /// Ports that are not chosen by the caller are not the same, nor in a row.
    UdpPorts,
    /// A connected socket receives from its peer alone.
    UdpPeerOnly,
    /// A port that is taken is refused as such.
    UdpTaken,
    /// A socket goes on after a peer refused a datagram.
    UdpGoesOn,
    /// A byte stream carries bytes both ways and ends when the peer closes it.
    TcpCarries,
    /// A connection that is refused is reported.
    TcpRefused,
    /// An interface that does not exist is not found.
    InterfaceUnknown,
    /// A frame goes out to the link as it is, and is not received by its sender.
    LinkSends,
    /// A frame that arrives is received with its sender, and one for another station is not.
    LinkReceives,
    /// The filter for DHCP lets through what is for the client, whatever the length of the IP header,
    /// and nothing else.
    LinkFilters,
    /// The first changes that a watch tells are the links that are there.
    WatchTells,
    /// An interface that is set down is found to be down, and comes up again.
    InterfaceDown,
    /// An MTU that was set is found.
    MtuKept,
    /// An address is added, renewed and removed; one that is there for good is left alone.
    AddressKept,
    /// A route is added once, beside others, and removed.
    RouteKept,
    /// Packets to a station on the link come from an address of that link.
    SourceOnLink,
    /// The machine's clock, its rate and its state are changed only by a program that may, and the clock then by what
    /// was asked for.
    ClockGuarded,
    /// The machine is restarted only by a program that may.
    RebootGuarded,
}

impl Promise {
    /// How many there are.
    pub const COUNT: usize = 40;

    /// All of them, in order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::ClockMonotonic,
        Self::ClockRuns,
        Self::ClockCountsSuspend,
        Self::WaitEnds,
        Self::WaitSleeps,
        Self::LockExcludes,
        Self::LockSurvivesPanic,
        Self::AttachLocks,
        Self::WakeUnarmed,
        Self::WakeArmedOnce,
        Self::WakeNotForgotten,
        Self::WakeCleared,
        Self::WakeEndsWait,
        Self::TimerNotEarly,
        Self::AttachRuns,
        Self::RandomDiffers,
        Self::RandomFills,
        Self::RandomAnew,
        Self::UdpEmpty,
        Self::UdpCarries,
        Self::UdpTruncated,
        Self::PollLevel,
        Self::UdpPorts,
        Self::UdpPeerOnly,
        Self::UdpTaken,
        Self::UdpGoesOn,
        Self::TcpCarries,
        Self::TcpRefused,
        Self::InterfaceUnknown,
        Self::LinkSends,
        Self::LinkReceives,
        Self::LinkFilters,
        Self::WatchTells,
        Self::InterfaceDown,
        Self::MtuKept,
        Self::AddressKept,
        Self::RouteKept,
        Self::SourceOnLink,
        Self::ClockGuarded,
        Self::RebootGuarded,
    ];

    /// Its name, as in reports and in PORTING.md.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClockMonotonic => "clock-monotonic",
            Self::ClockRuns => "clock-runs",
            Self::ClockCountsSuspend => "clock-counts-suspend",
            Self::WaitEnds => "wait-ends",
            Self::WaitSleeps => "wait-sleeps",
            Self::LockExcludes => "lock-excludes",
            Self::LockSurvivesPanic => "lock-survives-panic",
            Self::AttachLocks => "attach-locks",
            Self::WakeUnarmed => "wake-unarmed",
            Self::WakeArmedOnce => "wake-armed-once",
            Self::WakeNotForgotten => "wake-not-forgotten",
            Self::WakeCleared => "wake-cleared",
            Self::WakeEndsWait => "wake-ends-wait",
            Self::TimerNotEarly => "timer-not-early",
            Self::AttachRuns => "attach-runs",
            Self::RandomDiffers => "random-differs",
            Self::RandomFills => "random-fills",
            Self::RandomAnew => "random-anew",
            Self::UdpEmpty => "udp-empty",
            Self::UdpCarries => "udp-carries",
            Self::UdpTruncated => "udp-truncated",
            Self::PollLevel => "poll-level",
            Self::UdpPorts => "udp-ports",
            Self::UdpPeerOnly => "udp-peer-only",
            Self::UdpTaken => "udp-taken",
            Self::UdpGoesOn => "udp-goes-on",
            Self::TcpCarries => "tcp-carries",
            Self::TcpRefused => "tcp-refused",
            Self::InterfaceUnknown => "interface-unknown",
            Self::LinkSends => "link-sends",
            Self::LinkReceives => "link-receives",
            Self::LinkFilters => "link-filters",
            Self::WatchTells => "watch-tells",
            Self::InterfaceDown => "interface-down",
            Self::MtuKept => "mtu-kept",
            Self::AddressKept => "address-kept",
            Self::RouteKept => "route-kept",
            Self::SourceOnLink => "source-on-link",
            Self::ClockGuarded => "clock-guarded",
            Self::RebootGuarded => "reboot-guarded",
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn all_are_in_order_and_in_the_guide() {
        let guide = include_str!("../../PORTING.md");
        for (at, promise) in Promise::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(promise as u8), at, "{promise}");
            assert!(guide.contains(&std::format!("`{promise}`")), "PORTING.md names {promise}");
        }
    }
}
