//! `bringup up`: interfaces of this machine, from link up to OPERATIONAL, and on.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use bringup_core::error::ErrorKind;
use bringup_core::platform::{Platform, PlatformError as _, UdpOptions};
use bringup_core::poll::{PollStorage, UnixPoll};
use bringup_core::time::Utc;
use bringup_dhcp::message::CLIENT_PORT;
use bringup_platform::linux::{ClockPolicy, EventWake, Linux, LinuxOps, Options};
use bringup_platform::lock::StdLock;
use bringup_system::servers::MAX_SERVERS;
use bringup_system::time_names::MAX_NAMES;
use bringup_system::{Config, NtpName};

use super::args::Up;
use super::bring_up::{self, Ops, Setup};
use super::companion::OperatorServers;
use super::event::{Event, Problem};
use super::exit::Exit;
use super::output::Output;
use super::port_holder::{self, Holder};
use super::privilege::{self, Capability};
use super::saved_clock::{self, SavedClock, built};
use super::service::{Service, socket};
use super::session::{Plan, tell_failure};
use super::state_dir::StateDir;
use super::text::{Host, ServerAddress};
use crate::resolver_files::ResolverFiles;

/// Runs `bringup up`. `line` is the command line, for when it is to be read again.
#[inline(never)] // its memory is on the stack, and no other command needs it
pub fn run(args: &Up, line: &[OsString], output: &mut Output) -> Exit {
    if let Some(exit) = privilege::refuse("`up`", &needed(args), output) {
        return exit;
    }
    if let Some(problem) = named_twice(args) {
        output.emit(&Event::Error(problem));
        return Exit::Usage;
    }
    // Whose sockets are whose, only the powerful may know.
    let holders = port_holder::holders(CLIENT_PORT);
    // Before any thread is started, since each has its own.
    if let Err(error) = privilege::keep_only(&kept(args), args.service.runs_programs()) {
        output.problem("this process", error.to_string(), "nothing; it keeps what rights it has");
    }
    let servers = match servers_of(args) {
        Ok(servers) => servers,
        Err(problem) => {
            output.emit(&Event::Error(problem));
            return Exit::Usage;
        }
    };
    let signals = match signals() {
        Ok(signals) => signals,
        Err(error) => return tell_limits(output, "signals", &error),
    };
    let names: Vec<NtpName<'_>> =
        servers.ntp_names.iter().map(|(name, port)| NtpName { name, port: *port }).collect();
    let (state, known) = State::open(args, output);
    let files = ResolverFiles::of_system();
    files.refresh_hosts();
    let mut system = Config {
        apply: !args.dry_run,
        keep: args.keep,
        release: args.release,
        set_clock: args.set_clock,
        tell_discards: output.settings().verbose,
        dns: &servers.dns,
        ntp: &servers.ntp,
        ntp_names: &names,
        ..Config::new(known)
    };
    // A pool of eight ports per server is unpredictable enough, and leaves descriptors for others.
    system.resolver.sockets_per_server = 8;
    let dhcp = bringup_dhcp::Config {
        rapid_commit: !args.no_rapid_commit,
        link_local: args.link_local,
        ..args.dhcp.config()
    };
    let plan = Plan {
        once: args.once,
        until_lease: args.dry_run,
        show_options: args.dhcp.request_option.clone(),
        resolve: args.resolve.clone(),
        deadline: args.deadline(),
        from_file: args.config.is_some() && !names_servers(line),
        epoch: None,
    };
    let clock = if args.set_clock { ClockPolicy::Set } else { ClockPolicy::Refuse };
    let mut watched = PollStorage::<{ bring_up::WATCHED }>::new();
    let options = Options { clock, ..Options::default() };
    let mut platform = match Linux::with_options(UnixPoll::new(&mut watched), options) {
        Ok(platform) => platform,
        Err(error) => return tell_limits(output, "this machine", &error),
    };
    tell_of_the_port(&mut platform, &holders, args, output);
    let ops = Ops::<LinuxOps> { lock: StdLock::new(), wake: EventWake::new() };
    let setup = Setup {
        interfaces: &args.interfaces,
        dhcp,
        system,
        plan,
        signals: Some(signals.as_raw_fd()),
        attach: false,
        state: state.kept.as_ref(),
        hosts: Some(files.hosts()),
    };
    let mut service = match Service::new(args, line, &files) {
        Ok(service) => service,
        Err(error) => return tell_limits(output, "signals", &error),
    };
    if let Err(exit) = listen(args, &mut service, output) {
        return exit;
    }
    let companion = Some(&mut service as _);
    let exit = bring_up::run(platform, ops, setup, output, companion, interfaces_there);
    state.close(output);
    exit
}

/// Says who else has the port of DHCP clients. It may serve another interface; that only the operator knows.
fn tell_of_the_port<P: Platform>(
    platform: &mut P,
    holders: &[Holder],
    args: &Up,
    output: &mut Output,
) {
    if holders.is_empty() {
        return;
    }
    let who: Vec<String> = holders.iter().map(ToString::to_string).collect();
    let (who, interfaces) = (who.join(" and "), args.interfaces.join(" or "));
    // It would be shared with a program that shares it, too.
    let local = SocketAddr::from(([0, 0, 0, 0], CLIENT_PORT));
    let options =
        UdpOptions { local, peer: None, interface: None, broadcast: false, stamped: false };
    match platform.udp_open(&options) {
        Ok(socket) => {
            platform.close(socket);
            output.note(&format!(
                "UDP port 68 is open in {who}, too; if that is a DHCP client on {interfaces}, stop it: \
                 two on one interface undo each other's work."
            ));
        }
        Err(error) if error.kind() == ErrorKind::AddressInUse => output.problem(
            "UDP port 68",
            format!("is taken by {who}, so that leases are renewed by broadcast alone"),
            format!("stop that program, if it is a DHCP client on {interfaces}"),
        ),
        Err(_) => {}
    }
}

/// The state directory, if there is one.
struct State {
    /// `None` without `--state-dir`, and for a run that may change nothing.
    kept: Option<StateDir>,
}

impl State {
    /// Opens the directory, and says what is known of the time: the floor is the latest of what is.
    fn open(args: &Up, output: &mut Output) -> (Self, bringup_ntp::Config) {
        let mut known = bringup_ntp::Config::new(built());
        let Some(path) = &args.state_dir else { return (Self { kept: None }, known) };
        let state = match StateDir::open(path) {
            Ok(state) => state,
            Err(failed) => {
                tell_failure(output, &failed);
                return (Self { kept: None }, known);
            }
        };
        match state.load(saved_clock::FILE) {
            Ok(None) => {}
            Ok(Some(octets)) => {
                match SavedClock::from_text(&String::from_utf8_lossy(&octets), built()) {
                    Ok(saved) => {
                        known.floor = known.floor.max(saved.utc);
                        known.wall = saved.wall(machine_utc());
                    }
                    Err(refused) => {
                        let file = path.join(saved_clock::FILE);
                        let what = format!("the saved clock {}", file.display());
                        let hint = "nothing; it is written anew when the time is confirmed";
                        output.problem(what, refused.why(), hint);
                    }
                }
            }
            Err(failed) => tell_failure(output, &failed),
        }
        (Self { kept: Some(state).filter(|_| !args.dry_run) }, known)
    }

    /// Waits until everything is kept.
    fn close(self, output: &mut Output) {
        for failed in self.kept.map(StateDir::close).into_iter().flatten() {
            tell_failure(output, &failed);
        }
    }
}

/// What the machine's clock says, right or wrong.
fn machine_utc() -> Utc {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Utc::from_unix_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// Offers the status: where it was asked for, or else, if this is to run for long, where it is by custom
/// and if that is possible.
fn listen(args: &Up, service: &mut Service<'_>, output: &mut Output) -> Result<(), Exit> {
    let by_custom = || (!args.once && !args.dry_run).then(|| PathBuf::from(socket::PATH));
    let Some(path) = args.service.socket.clone().or_else(by_custom) else { return Ok(()) };
    let Err(error) = service.listen(&path) else { return Ok(()) };
    let what = format!("the status socket {}", path.display());
    let (why, hint) = if error.kind() == std::io::ErrorKind::AddrInUse {
        ("another bringup answers there".to_owned(), "name another path with --socket")
    } else {
        (error.to_string(), "name a path with --socket where this user may make a socket")
    };
    if args.service.socket.is_some() {
        output.problem(what, why, hint);
        return Err(Exit::Unknown);
    }
    if output.settings().verbose {
        output.note(&format!("{what}: {why}; {hint}"));
    }
    Ok(())
}

fn tell_limits(output: &mut Output, what: &str, error: &dyn std::fmt::Display) -> Exit {
    output.problem(what, error.to_string(), "check the limits of the process");
    Exit::Unknown
}

fn needed(args: &Up) -> Vec<Capability> {
    let mut needed = vec![Capability::NetRaw];
    if !args.dry_run {
        needed.push(Capability::NetAdmin);
    }
    if args.set_clock {
        needed.push(Capability::SysTime);
    }
    needed
}

/// What is not given up.
fn kept(args: &Up) -> Vec<Capability> {
    let mut kept = needed(args);
    kept.push(Capability::NetBindService);
    let files = &args.files;
    let named = args.state_dir.is_some() || files.timeline.is_some() || files.pcap.is_some();
    if named
        || args.service.runs_programs()
        || args.service.socket.is_some()
        || args.config.is_some()
    {
        kept.push(Capability::DacOverride);
    }
    if args.service.runs_programs() {
        kept.push(Capability::Kill);
    }
    kept
}

/// The servers of the command line. Fails where the scope of one is no interface, and where there are more
/// than are used.
pub fn servers_of(args: &Up) -> Result<OperatorServers, Problem> {
    let problem = |what: String, why: String, hint: &str| Problem { what, why, hint: hint.into() };
    let address = |server: &ServerAddress, port| {
        server.to_socket_addr(port, interface_number).map_err(|unknown| {
            let what = format!("the interface {}", unknown.0);
            problem(what, "does not exist".into(), "name another")
        })
    };
    let mut servers = OperatorServers::default();
    for server in &args.dns {
        servers.dns.push(address(server, 53)?);
    }
    for host in &args.ntp {
        match host {
            Host::Address(server) => servers.ntp.push(address(server, 123)?),
            Host::Name { name, port } => {
                servers.ntp_names.push((name.clone(), port.unwrap_or(123)));
            }
        }
    }
    match too_many(args) {
        Some(problem) => Err(problem),
        None => Ok(servers),
    }
}

/// Whether a command line names servers, which then do not come from a file alone.
fn names_servers(line: &[OsString]) -> bool {
    let names = |word: &OsString| {
        word.to_str().is_some_and(|w| w.starts_with("--dns") || w.starts_with("--ntp"))
    };
    line.iter().any(names)
}

/// What is wrong with the options although each of them is right.
pub fn mistake(args: &Up) -> Option<Problem> {
    named_twice(args).or_else(|| too_many(args))
}

/// An interface that is named twice.
fn named_twice(args: &Up) -> Option<Problem> {
    let repeated = |(at, name): &(usize, &String)| args.interfaces[..*at].contains(name);
    let (_, name) = args.interfaces.iter().enumerate().find(repeated)?;
    Some(Problem {
        what: "interfaces".into(),
        why: format!("names `{}` twice", name.escape_debug()),
        hint: "name each once".into(),
    })
}

/// More servers than are used: the rest would be passed over in silence.
fn too_many(args: &Up) -> Option<Problem> {
    let by_name = args.ntp.iter().filter(|host| matches!(host, Host::Name { .. })).count();
    let many = [
        ("--dns", args.dns.len(), MAX_SERVERS),
        ("--ntp with an address", args.ntp.len() - by_name, MAX_SERVERS),
        ("--ntp with a name", by_name, MAX_NAMES),
    ];
    let (what, named, most) = many.into_iter().find(|(_, named, most)| named > most)?;
    Some(Problem {
        what: what.into(),
        why: format!("is given {named} times, and {most} are used at most"),
        hint: "name the best of them".into(),
    })
}

/// The number of an interface of this machine.
pub fn interface_number(name: &str) -> Option<u32> {
    // Not from /sys, which may be another network namespace's.
    bringup_platform::linux::interface_number(name)
}

/// The names of the interfaces of this machine.
pub fn interfaces_there() -> Vec<String> {
    // Not /sys/class/net, which shows those of the namespace in which /sys was mounted. Two lines of
    // heading, then a name and a colon.
    let table = std::fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let name = |line: &str| Some(line.split_once(':')?.0.trim().to_owned());
    let mut names: Vec<String> = table.lines().skip(2).filter_map(name).collect();
    names.sort();
    names
}

/// What to do about an interface that is not there.
pub fn use_one_of(there: &[String]) -> String {
    match there {
        // There is always one: it could not be read which.
        [] => "check the limits of the process (ulimit -n)".to_owned(),
        there => format!("use one of: {}", there.join(", ")),
    }
}

/// A descriptor that is readable when the program is told to end.
fn signals() -> std::io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    read.set_nonblocking(true)?;
    Ok(read)
}
