//! [`Report`]: all that can be said of a running bring-up, as `status` shows it and hooks get it.
//!
//! Spans are integers with their unit in the name. What is not known is `null`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Counters by name.
pub type Counters = BTreeMap<String, u64>;

/// A running bring-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Which bringup this is.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// For how long it has been running.
    pub uptime_us: u64,
    /// Whether the state is OPERATIONAL.
    pub operational: bool,
    /// The system state: lws's name without prefix.
    pub state: String,
    /// Who holds the next step back.
    pub held: Option<Held>,
    /// The states that were entered, in the order of the climb.
    pub states: Vec<Visit>,
    /// The interfaces, the preferred one first.
    pub interfaces: Vec<Interface>,
    /// The resolver.
    pub dns: Dns,
    /// The time.
    pub clock: Clock,
    /// What was done besides.
    pub service: Service,
}

/// A step that is held back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The state that is not entered.
    pub state: String,
    /// Who holds it.
    pub holder: String,
    /// For how long already.
    pub for_us: u64,
}

/// A state that was entered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    /// The state.
    pub state: String,
    /// When it was entered last, since the start of the program.
    pub entered_us: u64,
    /// How often it was entered.
    pub times: u32,
    /// Who has held it back, the last of them at the end.
    pub holders: Vec<String>,
    /// For how long altogether.
    pub held_us: u64,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its link address.
    pub mac: String,
    /// The largest packet that it carries, octets.
    pub mtu: u32,
    /// Whether it is set up.
    pub up: bool,
    /// Whether it has a carrier.
    pub carrier: bool,
    /// Where the DHCP client stands, as RFC 2131 names it.
    pub dhcp: String,
    /// What the server granted.
    pub lease: Option<Lease>,
    /// Why inputs were ignored.
    pub discards: Counters,
    /// Other things that are counted.
    pub counters: Counters,
}

/// A lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// `10.0.0.5/24`.
    pub address: String,
    /// Who granted it.
    pub server: String,
    /// How long ago it was asked for.
    pub age_s: u64,
    /// When it is renewed; `null` without end, as the next two.
    pub renew_in_s: Option<u64>,
    /// When any server is asked.
    pub rebind_in_s: Option<u64>,
    /// When it ends.
    pub expires_in_s: Option<u64>,
    /// What it says, and where in it.
    pub facts: Vec<Fact>,
    /// How many of its routes there is no room for.
    #[serde(default)]
    pub routes_left_out: u16,
}

/// Something that is known, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// `route`, `dns`, `ntp`, `search`, `domain`, `hostname`, `mtu`, `timezone` or `captive-portal`.
    pub name: String,
    /// What it is.
    pub value: String,
    /// `dhcp option 6`.
    pub source: String,
}

/// The resolver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// The servers, first choice first.
    pub servers: Vec<DnsServer>,
    /// The search list.
    pub search: Vec<String>,
    /// RRsets in the cache.
    pub cache_entries: u64,
    /// Octets of the cache in use.
    pub cache_octets: u64,
    /// Questions answered from it.
    pub cache_hits: u64,
    /// Questions that had to wait for a server.
    pub cache_misses: u64,
    /// Why inputs were ignored.
    pub discards: Counters,
    /// Other things that are counted.
    pub counters: Counters,
}

/// A DNS server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsServer {
    /// Its address, and its port if that is not 53.
    pub server: String,
    /// Who named it: `dhcp eth0` or `configured`.
    pub source: String,
    /// The smoothed round trip.
    pub round_trip_us: Option<u64>,
    /// Failures in a row.
    pub failures: u8,
    /// Whether others are asked first for now.
    pub shunned: bool,
}

/// The time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// `invalid`, `provisional` or `confirmed`.
    pub state: String,
    /// What must be added to the machine's clock.
    pub offset_us: Option<i64>,
    /// How far off that may be.
    pub error_us: Option<u64>,
    /// Whether this program sets the machine's clock.
    pub sets_clock: bool,
    /// The servers that are asked.
    pub servers: Vec<NtpServer>,
    /// Why inputs were ignored.
    pub discards: Counters,
    /// Other things that are counted.
    pub counters: Counters,
}

/// An NTP server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NtpServer {
    /// Its address, and its port if that is not 123.
    pub server: String,
    /// Who named it: `dhcp eth0`, `configured`, or `name time.example`.
    pub source: String,
    /// `ok`, or why it counts for nothing.
    pub verdict: String,
    /// What it says must be added to the machine's clock.
    pub offset_us: Option<i64>,
    /// The round trip.
    pub delay_us: Option<u64>,
    /// The error bound of its offset.
    pub root_distance_us: Option<u64>,
    /// Its stratum.
    pub stratum: Option<u8>,
}

/// What the program did for the machine around it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// How names are told to the other programs on this machine.
    pub resolv_conf: String,
    /// Events that were lost since nobody took them.
    pub events_lost: u64,
    /// Programs that were started, failed, were killed; jobs that were dropped.
    pub jobs: Counters,
    /// Who asked for the status: `accepted`, `refused` (too many), `dropped` (too slow).
    pub clients: Counters,
}
