//! The network that most tests use: one server, one device, `10.99.0.0/24`.

use super::wire::{Faults, Wire};
use super::{Host, Lab};

/// The server's address.
pub const SERVER: &str = "10.99.0.1";
/// The server's interface.
pub const SERVER_INTERFACE: &str = "s0";
/// The device's interface, without an address.
pub const DEVICE_INTERFACE: &str = "veth0";
/// The address that [`Network::give_the_device_an_address`] gives.
pub const DEVICE: &str = "10.99.0.40";

/// A server and a device, and what joins them.
#[derive(Debug)]
pub struct Network {
    /// Has [`SERVER`] on [`SERVER_INTERFACE`]; no server runs on it yet.
    pub server: Host,
    /// Has [`DEVICE_INTERFACE`], up, and nothing more.
    pub device: Host,
    /// The wire with faults, where there is one.
    pub wire: Option<Wire>,
}

impl Network {
    /// Joined by a plain veth pair: unfinished checksums, no faults.
    #[must_use]
    pub fn plain(lab: &Lab) -> Self {
        let (server, device) = (lab.host("server"), lab.host("device"));
        lab.cable((&server, SERVER_INTERFACE), (&device, DEVICE_INTERFACE));
        Self { server, device, wire: None }.addressed()
    }

    /// Joined by a wire with faults; direction 0 is from the server to the device.
    #[must_use]
    pub fn with_faults(lab: &Lab, faults: Faults) -> Self {
        let (server, device) = (lab.host("server"), lab.host("device"));
        let wire = Wire::new(lab, (&server, SERVER_INTERFACE), (&device, DEVICE_INTERFACE), faults);
        Self { server, device, wire: Some(wire) }.addressed()
    }

    fn addressed(self) -> Self {
        self.server.ip(&format!("addr add {SERVER}/24 dev {SERVER_INTERFACE}"));
        self
    }

    /// For tests that need no DHCP.
    pub fn give_the_device_an_address(&self) {
        self.device.ip(&format!("addr add {DEVICE}/24 dev {DEVICE_INTERFACE}"));
    }
}
