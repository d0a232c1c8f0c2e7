//! [`Event`]: everything that the command can tell, in the words of its contract.
//!
//! Each variant is an object of `--json`: `event` is its name, the rest are its fields. What is not
//! known is `null`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::config::Mistake;
use super::decode::Fields;
use super::decode::dhcp::OptionFields;
use super::service::report::Report;

/// Something to tell.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The system state has changed.
    State {
        /// What was: lws's name without prefix.
        from: &'static str,
        /// What is.
        to: &'static str,
    },
    /// The carrier of an interface came or went.
    Link {
        /// The interface's name.
        interface: String,
        /// Whether it is there now.
        up: bool,
    },
    /// A step is held back, or is no longer.
    Hold {
        /// The state that is not entered.
        state: &'static str,
        /// Who holds it.
        holder: String,
        /// Whether it lets go.
        released: bool,
    },
    /// An interface has an address, or has it no longer.
    Address(Address),
    /// Which servers are known.
    Servers(Servers),
    /// What a DHCP server would give.
    Offer(Offer),
    /// An option of a lease that was asked for by name.
    Option {
        /// The interface's name.
        interface: String,
        /// The option.
        #[serde(flatten)]
        option: OptionFields,
    },
    /// A record of an answer.
    Answer(Answer),
    /// How a DNS query ended.
    Result(Lookup),
    /// What the resolver has done; told with `--stats`.
    Stats(Stats),
    /// What is known of an NTP server.
    Server(Server),
    /// What is known of the time.
    Time(Time),
    /// A callback that was attached from another thread ran.
    Attached {
        /// The state that it waited for.
        waited_for: &'static str,
    },
    /// Something was received and ignored; told with `-v`.
    Discard {
        /// `dhcp`, `dns` or `ntp`.
        protocol: &'static str,
        /// The name of the rule that it breaks.
        reason: &'static str,
        /// Who claims to have sent it.
        from: Option<SocketAddr>,
    },
    /// A message was decoded.
    Decoded(Decoded),
    /// A configuration file was read.
    Checked(Checked),
    /// A configuration file was read again, while the program ran.
    Reloaded(Reloaded),
    /// All that can be said of a running bring-up.
    Status(Box<Report>),
    /// Something went wrong.
    Error(Problem),
}

/// An address of an interface.
#[derive(Clone, Debug, Serialize)]
pub struct Address {
    /// The interface's name.
    pub interface: String,
    /// `10.0.0.5/24`.
    pub address: String,
    /// For how many seconds it was granted; `null` without end, and when it goes.
    pub lease_s: Option<u32>,
    /// Who granted it.
    pub server: Option<Ipv4Addr>,
    /// Whether it goes.
    pub lost: bool,
}

/// What a DHCP server would give.
#[derive(Clone, Debug, Serialize)]
pub struct Offer {
    /// The interface's name.
    pub interface: String,
    /// `10.0.0.5/24`.
    pub address: String,
    /// For how many seconds; `null` without end.
    pub lease_s: Option<u32>,
    /// Who offers it.
    pub server: Ipv4Addr,
    /// All that comes with it.
    pub options: Vec<OptionFields>,
}

/// Servers and search names, and who said so.
#[derive(Clone, Debug, Serialize)]
pub struct Servers {
    /// The interface that they belong to; `null` for those of the command line or a file.
    pub interface: Option<String>,
    /// DNS servers, first choice first.
    pub dns: Vec<String>,
    /// NTP servers.
    pub ntp: Vec<String>,
    /// Search names.
    pub search: Vec<String>,
    /// `dhcp`, `file`, `command line`, or `dns` for NTP servers that were named and resolved.
    pub source: &'static str,
}

/// A DNS record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The name that it is of, absolute.
    pub owner: String,
    /// Its type: a mnemonic, or `TYPE123`.
    #[serde(rename = "type")]
    pub rtype: String,
    /// For how long it holds, seconds.
    pub ttl: u32,
    /// Its data, as dig prints it.
    pub data: String,
}

/// How a DNS query ended.
#[derive(Clone, Debug, Serialize)]
pub struct Lookup {
    /// The name, as it was given.
    pub name: String,
    /// The type; `A+AAAA` if both were asked for at once.
    #[serde(rename = "type")]
    pub rtype: String,
    /// `NOERROR`, `NODATA`, `NXDOMAIN`, `SERVFAIL`, …, or `TIMEOUT`.
    pub rcode: String,
    /// `network`, `cache`, `hosts`, `literal` or `special`, of a failure, too; `null` if nobody could be asked.
    pub from: Option<&'static str>,
    /// The server that answered last, or the one whose failure this is.
    pub server: Option<SocketAddr>,
    /// From the question to this, microseconds.
    pub elapsed_us: u64,
}

/// What the resolver has done, each counter by its name; of the reasons to ignore something, those that
/// there were.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Stats(pub BTreeMap<String, u64>);

/// What is known of an NTP server.
#[derive(Clone, Debug, Serialize)]
pub struct Server {
    /// Its address and port; the name as it was given if it has no address.
    pub server: String,
    /// `ok`, or the name of the reason why it counts for nothing.
    pub verdict: &'static str,
    /// What must be added to the local clock, microseconds.
    pub offset_us: Option<i64>,
    /// The round trip, microseconds.
    pub delay_us: Option<u64>,
    /// The error bound of the offset, microseconds.
    pub root_distance_us: Option<u64>,
    /// Its stratum.
    pub stratum: Option<u8>,
}

/// What is known of the time.
#[derive(Clone, Debug, Serialize)]
pub struct Time {
    /// `invalid`, `provisional` or `confirmed`.
    pub state: &'static str,
    /// What must be added to the local clock, microseconds; `null` if it is not known.
    pub offset_us: Option<i64>,
    /// How far off that may be, microseconds.
    pub error_us: Option<u64>,
}

/// A message from a file.
#[derive(Clone, Debug, Serialize)]
pub struct Decoded {
    /// The file, `-` for standard input.
    pub file: String,
    /// Whether it is a message.
    pub ok: bool,
    /// If not, the name of the rule that it breaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// If so, what it says.
    #[serde(flatten)]
    pub fields: Option<Fields>,
}

/// What was found in a configuration file.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// The file.
    pub file: String,
    /// Whether `up` takes it.
    pub ok: bool,
    /// If not, why.
    pub mistakes: Vec<Mistake>,
}

/// What became of the options when they were read again. Keys as in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// What has changed and holds from now on.
    pub applied: Vec<String>,
    /// What has changed and holds when the program starts anew.
    pub at_next_start: Vec<String>,
}

/// Something that went wrong, to be told in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What it happened to.
    pub what: String,
    /// What happened.
    pub why: String,
    /// What to do next.
    pub hint: String,
}
