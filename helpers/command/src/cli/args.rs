//! [`Args`]: the command line. Help, completions and man pages come from this one definition.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use bringup_core::client::Mac;
use bringup_core::time::Duration;
use bringup_dhcp::{ClientIdentifier, Profile};
use bringup_dns::RecordType;

use super::event::Problem;
use super::service::options::ServiceOptions;
use super::service::socket;
use super::text::{self, ClientId, Host, ServerAddress};
use super::usage;

const ABOUT: &str = "Brings a machine's network up: link, DHCP, DNS, NTP, operational.";

const FIRST_STEPS: &str = "\
Three commands to try; `bringup COMMAND --help` tells more:
  bringup demo               everything, on a private network; changes nothing
  bringup query example.com  ask the DNS for a name's addresses
  bringup up eth0 --dry-run  get a lease on eth0 and show it; configure nothing
Exit codes: 0 done, 1 the answer is no, 2 not found out, 64 usage, 77 privilege";

/// What a person sees first, in 24 lines of 80 columns.
const SCREEN: &str = "\
{about}
{usage-heading} {usage}
Commands:
{subcommands}

Options:
{options}{after-help}";

/// The command line.
#[derive(Clone, Debug, Parser)]
#[command(name = "bringup", version, about = ABOUT, after_help = FIRST_STEPS)]
#[command(help_template = SCREEN)]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
pub struct Args {
    /// Print one JSON object per line
    #[arg(long, global = true)]
    pub json: bool,
    /// Print only what was asked for, and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Also tell what was ignored, and why
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Show a bring-up on a private network, with servers of its own
    Demo(Demo),
    /// Bring interfaces up and keep them up
    Up(Box<Up>),
    /// Show what a running `up` knows, and what it waits for
    Status(Status),
    /// Ask DHCP servers what they would give; takes nothing
    Lease(Lease),
    /// Look a name up in the DNS
    Query(Query),
    /// Ask NTP servers for the time; sets nothing
    Time(Time),
    /// Read a configuration file of `up`, and say what is wrong with it
    Check(Check),
    /// Explain raw messages from files or standard input
    Decode(Decode),
}

/// `bringup demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Demo {
    /// What is to be written down.
    #[command(flatten)]
    pub files: Files,
}

/// Where a bring-up is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Files {
    /// Draw what happened, as a picture; without -q as a chart here, too
    #[arg(long, value_name = "FILE.svg")]
    pub timeline: Option<PathBuf>,
    /// Write what is sent and received, for tcpdump and Wireshark
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,
}

/// `bringup up`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Up {
    /// The interfaces, the preferred one first
    #[arg(required_unless_present = "config", value_name = "IFACE")]
    pub interfaces: Vec<String>,
    /// Read options from this file, too; those that are given here count for more
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// End when operational; remove what was added
    #[arg(long)]
    pub once: bool,
    /// Get a lease, show it and end; change nothing on this machine
    #[arg(long, conflicts_with = "set_clock")]
    pub dry_run: bool,
    /// Leave addresses, routes and servers in place at the end; the next run takes them over
    #[arg(long)]
    pub keep: bool,
    /// Give leases back to their servers at the end
    #[arg(long, conflicts_with = "keep")]
    pub release: bool,
    /// Give up after so long, as in 4s, 500ms or 2m [with --once or --dry-run: 60s]
    #[arg(long, value_name = "TIME", value_parser = text::duration)]
    pub deadline: Option<Duration>,
    /// Set this machine's clock; otherwise it is only looked at
    #[arg(long)]
    pub set_clock: bool,
    /// Keep in this directory what is to be known after a restart
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Use this NTP server too
    #[arg(long, value_name = "HOST[:PORT]")]
    pub ntp: Vec<Host>,
    /// Use this DNS server too
    #[arg(long, value_name = "ADDR[:PORT]")]
    pub dns: Vec<ServerAddress>,
    /// Resolve this name when operational
    #[arg(long, value_name = "NAME")]
    pub resolve: Vec<String>,
    /// What DHCP servers are told.
    #[command(flatten)]
    pub dhcp: Dhcp,
    /// Do not offer the two-message DHCP exchange
    #[arg(long)]
    pub no_rapid_commit: bool,
    /// Take a link-local address (169.254/16) where no DHCP server answers
    #[arg(long)]
    pub link_local: bool,
    /// What is to be written down.
    #[command(flatten)]
    pub files: Files,
    /// What is done for the machine around it.
    #[command(flatten)]
    pub service: ServiceOptions,
}

impl Up {
    /// When to give up: as told; after a minute if it is to end by itself; else never.
    pub fn deadline(&self) -> Option<Duration> {
        let ends = self.once || self.dry_run;
        self.deadline.or(ends.then_some(Duration::from_secs(60)))
    }
}

/// What DHCP servers are told.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Dhcp {
    /// How soon to resend DHCP messages
    #[arg(long, value_enum, default_value_t = Patience::Fast)]
    pub profile: Patience,
    /// The host name to tell the DHCP server
    #[arg(long, value_name = "NAME", value_parser = hostname)]
    pub hostname: Option<String>,
    /// Option 61 in hexadecimal, or `none` [default: 01 and the MAC address]
    #[arg(long, value_name = "HEX", value_parser = text::client_id)]
    pub client_id: Option<ClientId>,
    /// Ask for this option, too, and show it: a number, or a name such as captive-portal
    #[arg(long, value_name = "OPTION", value_parser = text::dhcp_option)]
    pub request_option: Vec<u8>,
}

impl Dhcp {
    /// The configuration of a client; the link address is to be filled in.
    pub fn config(&self) -> bringup_dhcp::Config<'_> {
        bringup_dhcp::Config {
            profile: self.profile.into(),
            hostname: self.hostname.as_deref().map(str::as_bytes),
            client_identifier: match &self.client_id {
                None => ClientIdentifier::Mac,
                Some(ClientId::Omitted) => ClientIdentifier::Omitted,
                Some(ClientId::Octets(octets)) => ClientIdentifier::Bytes(octets),
            },
            parameter_request: &self.request_option,
            ..bringup_dhcp::Config::new(Mac::default())
        }
    }
}

/// How soon DHCP messages are sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Patience {
    /// After 0.5, 1, 2 … 16 s
    Fast,
    /// After 4, 8 … 64 s (RFC 2131)
    Standard,
}

impl From<Patience> for Profile {
    fn from(patience: Patience) -> Self {
        match patience {
            Patience::Fast => Self::Fast,
            Patience::Standard => Self::Standard,
        }
    }
}

/// `bringup status`.
#[derive(Clone, Debug, clap::Args)]
pub struct Status {
    /// Where it can be asked
    #[arg(long, value_name = "PATH", default_value = socket::PATH)]
    pub socket: PathBuf,
    /// Show it again at each change, and each second
    #[arg(long)]
    pub watch: bool,
    /// Show it as Prometheus reads it
    #[arg(long, conflicts_with_all = ["watch", "json"])]
    pub metrics: bool,
}

/// `bringup lease`.
#[derive(Clone, Debug, clap::Args)]
pub struct Lease {
    /// The interface, which must be up
    #[arg(value_name = "IFACE")]
    pub interface: String,
    /// Give up after so long
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = text::duration)]
    pub deadline: Duration,
    /// After the first offer, wait so long for those of other servers
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = text::duration)]
    pub wait: Duration,
    /// What DHCP servers are told.
    #[command(flatten)]
    pub dhcp: Dhcp,
}

/// `bringup query`.
#[derive(Clone, Debug, clap::Args)]
pub struct Query {
    /// The name
    pub name: String,
    /// A record type such as MX, TXT or TYPE64 [without: A and AAAA]
    #[arg(value_name = "TYPE", value_parser = text::record_type)]
    pub rtype: Option<RecordType>,
    /// Ask this server instead of those in /etc/resolv.conf
    #[arg(long, value_name = "ADDR[:PORT]")]
    pub server: Vec<ServerAddress>,
    /// Give up after so long; or sooner: who is silent three times is not asked again (RFC 9520)
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = text::duration)]
    pub deadline: Duration,
    /// Ask over TCP
    #[arg(long)]
    pub tcp: bool,
    /// Ask the running `up`, and what it has in its cache
    #[arg(long, conflicts_with_all = ["server", "tcp", "stats"])]
    pub service: bool,
    /// Where that can be asked
    #[arg(long, value_name = "PATH", default_value = socket::PATH, requires = "service")]
    pub socket: PathBuf,
    /// Tell at the end what the resolver has done: packets, timeouts, what was ignored and why
    #[arg(long)]
    pub stats: bool,
}

/// `bringup time`.
#[derive(Clone, Debug, clap::Args)]
pub struct Time {
    /// NTP servers by name or address
    #[arg(value_name = "SERVER[:PORT]")]
    pub servers: Vec<Host>,
    /// Give up after so long
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = text::duration)]
    pub deadline: Duration,
    /// How many times to ask each server
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub samples: u8,
}

/// `bringup check`.
#[derive(Clone, Debug, clap::Args)]
pub struct Check {
    /// The file, as `up --config` takes it
    #[arg(value_name = "FILE.toml")]
    pub file: PathBuf,
}

/// `bringup decode`.
#[derive(Clone, Debug, clap::Args)]
pub struct Decode {
    /// What the messages are: the payload of a UDP datagram each
    #[arg(value_enum)]
    pub protocol: Protocol,
    /// Files with one message each; `-` or none is standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// A protocol whose messages can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// DNS (RFC 1035)
    Dns,
    /// DHCPv4 (RFC 2131)
    Dhcp,
    /// NTP (RFC 5905)
    Ntp,
}

/// Option 12 holds a name of at most 255 octets, made of letters, digits, `-`, `_` and dots.
fn hostname(text: &str) -> Result<String, String> {
    let name = bringup_dhcp::name::DomainName::parse(text.as_bytes());
    name.map(|name| name.as_str().to_owned())
        .ok_or_else(|| format!("`{text}` is not a host name; use letters, digits and `-`"))
}

/// What became of the command line.
#[derive(Debug)]
pub enum Parsed {
    /// To be done. In a box, since the other cases are small.
    Run(Box<Args>),
    /// Help or the version was asked for, or nothing at all: for standard output.
    Help(String),
    /// It is wrong, and why.
    Wrong(Problem),
}

/// Reads the command line, the program's name first.
pub fn parse<I>(words: I) -> Parsed
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    let read = Args::command()
        .try_get_matches_from(&words)
        .and_then(|mut matches| Args::from_arg_matches_mut(&mut matches));
    let error = match read {
        Ok(args) => return Parsed::Run(Box::new(args)),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Parsed::Help(error.to_string()),
        _ => Parsed::Wrong(usage::problem(&error, command(&words))),
    }
}

/// The word that names the command: the first that is no option. Empty if there is none, or none in UTF-8.
fn command(words: &[OsString]) -> &str {
    let is_command = |word: &&OsString| !word.as_encoded_bytes().starts_with(b"-");
    words.iter().skip(1).find(is_command).and_then(|word| word.to_str()).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Args, ErrorKind> {
        let words = std::iter::once("bringup").chain(line.split(' ').filter(|w| !w.is_empty()));
        Args::try_parse_from(words).map_err(|error| error.kind())
    }

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn help_fits_a_screen() {
        let help = Args::command().render_help().to_string();
        assert!(help.lines().count() <= 24, "{help}");
        assert!(help.lines().all(|line| line.len() <= 80), "{help}");
        for command in ["bringup demo", "bringup query", "bringup up"] {
            assert!(help.contains(command), "{command}");
        }
    }

    #[test]
    fn help_is_no_error_and_wrong_usage_is() {
        let told = |line: &str| {
            let words = line.split(' ').filter(|w| !w.is_empty());
            parse(std::iter::once("bringup").chain(words))
        };
        for line in ["", "--help", "-h", "--version", "up --help"] {
            assert!(matches!(told(line), Parsed::Help(text) if !text.is_empty()), "{line}");
        }
        for line in [
            "up",
            "nonsense",
            "--json",
            "query",
            "query a.example BOGUS",
            "query a.example --deadline 4",
            "query a.example --server dns.example",
            "time --samples 0 a.example",
            "decode tls",
            "up eth0 --dry-run --set-clock",
            "up eth0 --hostname $(reboot)",
            "up eth0 --client-id 01",
            "up eth0 --client-id 0102:3",
            "up eth0 --request-option 255",
            "lease",
            "lease eth0 wlan0",
            "lease eth0 --request-option nothing-known",
            "query a.example -q -v",
        ] {
            assert!(
                matches!(told(line), Parsed::Wrong(problem) if !problem.hint.is_empty()),
                "{line}"
            );
        }
    }

    #[test]
    fn up_takes_all_its_options() {
        let line = "up eth0 wlan0 --once --json --keep --deadline 2m --set-clock --ntp t.example \
                    --ntp 192.0.2.1:1123 --dns [2001:db8::1]:53 --dns 192.0.2.53 --resolve a.example \
                    --profile standard --hostname box --client-id 00:62:6f:78 \
                    --request-option 252 --request-option captive-portal --no-rapid-commit --link-local --state-dir /var/lib/bringup -v";
        let args = read(line).unwrap();
        let Command::Up(up) = args.command else { panic!("up") };
        assert!(args.json && args.verbose && !args.quiet);
        assert_eq!(up.interfaces, ["eth0", "wlan0"]);
        assert!(up.once && up.keep && up.set_clock && up.no_rapid_commit && !up.dry_run);
        assert_eq!(up.deadline(), Some(Duration::from_secs(120)));
        assert_eq!((up.ntp.len(), up.dns.len(), up.resolve.len()), (2, 2, 1));
        let dhcp = up.dhcp.config();
        assert_eq!((dhcp.profile, dhcp.hostname), (Profile::Standard, Some(&b"box"[..])));
        assert_eq!(dhcp.client_identifier, ClientIdentifier::Bytes(b"\0box"));
        assert_eq!(dhcp.parameter_request, [252, 114]);
        assert_eq!(up.state_dir, Some("/var/lib/bringup".into()));
    }

    #[test]
    fn once_has_a_deadline_of_its_own() {
        for (line, expected) in [
            ("up eth0", None),
            ("up eth0 --once", Some(60)),
            ("up eth0 --dry-run", Some(60)),
            ("up eth0 --once --deadline 5s", Some(5)),
            ("up eth0 --deadline 5s", Some(5)),
        ] {
            let Command::Up(up) = read(line).unwrap().command else { panic!("up") };
            assert_eq!(up.deadline().map(Duration::as_secs), expected, "{line}");
        }
    }

    #[test]
    fn common_options_stand_before_and_behind() {
        for line in ["--json -q query a.example mx", "query a.example mx --json -q"] {
            let args = read(line).unwrap();
            assert!(args.json && args.quiet, "{line}");
            let Command::Query(query) = args.command else { panic!("query") };
            assert_eq!((query.name.as_str(), query.rtype), ("a.example", Some(RecordType::MX)));
            assert_eq!(query.deadline, Duration::from_secs(10));
        }
    }

    #[test]
    fn decode_takes_many_files() {
        let Command::Decode(decode) = read("decode dns a b -").unwrap().command else {
            panic!("decode")
        };
        assert_eq!((decode.protocol, decode.files.len()), (Protocol::Dns, 3));
        assert!(read("decode ntp").is_ok() && read("demo").is_ok());
    }
}
