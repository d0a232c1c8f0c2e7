//! What the application hears from the system.

use core::net::{Ipv4Addr, SocketAddr};

use bringup_core::client::Mac;
use bringup_core::state::SystemState;
use bringup_core::time::Utc;
use bringup_dhcp::LostReason;
use bringup_ntp::packet::Leap;
use bringup_ntp::{Adjust, ClockState};

use crate::servers::Origin;

/// Which interface: its place in the order of naming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceId(pub(crate) u8);

impl InterfaceId {
    /// Its place in the order of naming.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a gate of the system waits for. The system holds a step until this is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// A link with a carrier: IFACE_COLDPLUG.
    Link,
    /// An address on an interface: DHCP.
    Address,
    /// UTC: TIME_VALID.
    Time,
}

impl Gate {
    /// The state before which the gate stands.
    pub const fn state(self) -> SystemState {
        match self {
            Self::Link => SystemState::IfaceColdplug,
            Self::Address => SystemState::Dhcp,
            Self::Time => SystemState::TimeValid,
        }
    }

    /// Who holds, as shown to people.
    pub const fn holder(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Address => "dhcp",
            Self::Time => "ntp",
        }
    }
}

/// What the system could not do to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Set the interface up.
    InterfaceUp,
    /// Set the interface down, as it was before.
    InterfaceDown,
    /// Put the address on the interface.
    AddressAdd,
    /// Take the address off.
    AddressRemove,
    /// Add a route.
    RouteAdd,
    /// Take a route away.
    RouteRemove,
    /// Set the MTU.
    MtuSet,
    /// Change the machine's clock.
    SetClock,
    /// Watch the interfaces.
    Watch,
    /// Open a socket, for which there is no room. Told once in a minute of each client.
    OpenSocket,
}

impl Action {
    /// The action as an infinitive.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InterfaceUp => "set the interface up",
            Self::InterfaceDown => "set the interface down",
            Self::AddressAdd => "add the address",
            Self::AddressRemove => "remove the address",
            Self::RouteAdd => "add a route",
            Self::RouteRemove => "remove a route",
            Self::MtuSet => "set the MTU",
            Self::SetClock => "change the clock",
            Self::Watch => "watch the interfaces",
            Self::OpenSocket => "open a socket",
        }
    }
}

/// What the application hears. The details are in the system: its interfaces' leases, its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<E> {
    /// A state was entered.
    State {
        /// The state before.
        from: SystemState,
        /// The state now.
        to: SystemState,
    },
    /// The system holds a step, or lets it go.
    Hold {
        /// What is waited for.
        gate: Gate,
        /// Whether it lets go.
        released: bool,
    },
    /// The carrier of an interface came or went.
    Link {
        /// Which interface.
        interface: InterfaceId,
        /// Whether it is there now.
        up: bool,
    },
    /// An interface has a lease, or its lease was renewed.
    Address {
        /// Which interface.
        interface: InterfaceId,
        /// Whether it had it before.
        renewed: bool,
    },
    /// An interface has lost its lease; its address is in use no more.
    AddressLost {
        /// Which interface.
        interface: InterfaceId,
        /// The address.
        address: Ipv4Addr,
        /// Length of its prefix in bits.
        prefix: u8,
        /// Why; `None` when the interface itself is gone, or somebody took the address off.
        why: Option<LostReason>,
    },
    /// What is worth keeping of an interface over a restart has changed: see
    /// [`System::snapshot`](crate::System::snapshot).
    Snapshot {
        /// Which interface.
        interface: InterfaceId,
    },
    /// Another station uses an address of ours, or wants it. It was defended, or is lost: then that is
    /// told next. RFC 5227.
    Conflict {
        /// Which interface.
        interface: InterfaceId,
        /// The address.
        address: Ipv4Addr,
        /// The other station.
        by: Mac,
    },
    /// The network can do without IPv4, and so can this host: no address is asked for until then, or
    /// until the link comes up again. RFC 8925.
    Ipv6Only {
        /// Which interface.
        interface: InterfaceId,
        /// For how long, seconds.
        seconds: u32,
    },
    /// The administrator of the network has no address for us, and this is his word on link-local
    /// ones; his reason is in [`DhcpClient::server_text`](bringup_dhcp::DhcpClient::server_text).
    /// RFC 2563.
    NoAddress {
        /// Which interface.
        interface: InterfaceId,
        /// Whether a link-local address may be taken.
        link_local: bool,
    },
    /// Nobody gives out addresses, and a link-local one stands in; or it does no longer. It reaches
    /// nothing beyond the link, and opens no gate. RFC 3927.
    LinkLocal {
        /// Which interface.
        interface: InterfaceId,
        /// The address, /16.
        address: Ipv4Addr,
        /// Whether it goes.
        lost: bool,
    },
    /// The configuration that belongs to an interface's own address has come, and is in
    /// [`DhcpClient::informed`](bringup_dhcp::DhcpClient::informed).
    Informed {
        /// Which interface.
        interface: InterfaceId,
    },
    /// No DHCP server answers on an interface; the client goes on.
    NoDhcpServer {
        /// Which interface.
        interface: InterfaceId,
    },
    /// A DHCP server refused an address.
    Nak {
        /// Which interface.
        interface: InterfaceId,
        /// The server.
        server: Ipv4Addr,
    },
    /// The servers that somebody named have changed; the lists are in the system.
    Servers {
        /// Who named them.
        origin: Origin,
    },
    /// A query of the application has ended, or has more to show.
    Dns(bringup_dns::Event),
    /// The name of an NTP server could not be resolved; it is tried again.
    NtpNameFailed {
        /// Its place in the configuration.
        index: u8,
    },
    /// The time is known better, or worse, than before.
    Clock {
        /// What was.
        from: ClockState,
        /// What is.
        to: ClockState,
    },
    /// What should be, or was, done to the machine's clock.
    Adjust {
        /// How.
        adjust: Adjust,
        /// Whether it was done.
        applied: bool,
    },
    /// A majority of NTP servers announces a leap second, or no longer does.
    Leap {
        /// Which.
        leap: Leap,
        /// The end of its month.
        at: Utc,
    },
    /// Keep this time over a restart: it has passed for certain, and is the next start's floor
    /// ([`bringup_ntp::Config::floor`]). Told when the time is confirmed, and hourly from then on.
    SaveClock {
        /// The time.
        utc: Utc,
    },
    /// No NTP server answers; the client goes on.
    NoNtpServer,
    /// The NTP servers say a time that is too far off to be believed.
    PanicLimit {
        /// By how much, nanoseconds.
        offset_ns: i64,
    },
    /// Something was received and ignored; told only if [`Config::tell_discards`] says so.
    ///
    /// [`Config::tell_discards`]: crate::Config::tell_discards
    Discard {
        /// `dhcp`, `dns` or `ntp`.
        protocol: &'static str,
        /// The name of the rule that it breaks.
        reason: &'static str,
        /// Who claims to have sent it.
        from: Option<SocketAddr>,
    },
    /// Something could not be done to the machine.
    Failed {
        /// On which interface, if on one.
        interface: Option<InterfaceId>,
        /// What.
        action: Action,
        /// What the platform says.
        error: E,
    },
}
