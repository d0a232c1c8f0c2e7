//! What the subcommands that ask servers have in common: a loop on Linux, a resolver on it, and the
//! servers that it is to ask.

use std::io::Read as _;
use std::net::SocketAddrV6;

use bringup_core::attach::AttachQueue;
use bringup_core::event_loop::{Application, EventLoop, LoopStorage, Registrar};
use bringup_core::platform::PlatformError as _;
use bringup_core::poll::{PollStorage, UnixPoll};
use bringup_dns::config::resolv_conf::{self, Setting};
use bringup_dns::{Resolver, ServerAddress as DnsServer};
use bringup_platform::error::OsError;
use bringup_platform::linux::{EventWake, Linux, LinuxOps};
use bringup_platform::lock::StdLock;
use bringup_system::Driven;

use super::exit::Exit;
use super::output::Output;
use super::text::{ServerAddress, UnknownInterface};
use super::up::interface_number;

/// Linux on poll(2).
pub type Port<'m> = Linux<UnixPoll<'m>>;

/// A resolver on a loop: 16 sockets and one connection for each of 8 servers.
pub type DrivenResolver<'m, P> = Driven<Resolver<'m>, P, 128, 8>;

/// Where the resolver's configuration is by custom.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The most of it that is read, octets.
const RESOLV_CONF_MAX: u64 = 65_536;

/// Runs an application on a loop of its own until it stops. `start` sets it up.
pub fn run<'m, A>(
    app: &mut A,
    poll: &'m mut PollStorage,
    start: impl FnOnce(&mut A, &mut Registrar<'_, Port<'m>>),
) -> Result<(), OsError>
where
    A: Application<Port<'m>>,
{
    let mut storage = LoopStorage::<i32, 8, 64>::new();
    let queue = AttachQueue::<A, Port<'m>, LinuxOps>::new(StdLock::new(), EventWake::new());
    let platform = Linux::new(UnixPoll::new(poll))?;
    let mut event_loop = EventLoop::new(platform, &mut storage, &queue)?;
    start(app, &mut event_loop.registrar());
    event_loop.run(app)
}

/// Tells that the operating system refused what the loop needs; gives the exit code.
pub fn tell_os_error(output: &mut Output, error: OsError) -> Exit {
    let denied = error.kind() == bringup_core::error::ErrorKind::PermissionDenied;
    let (hint, exit) = if denied {
        ("run it as a user who may, or with the missing capability", Exit::Privilege)
    } else {
        ("free descriptors or memory, and try again", Exit::Unknown)
    };
    output.problem("the event loop", error.to_string(), hint);
    exit
}

/// The servers to ask: those that were named, or else those of /etc/resolv.conf.
pub fn dns_servers(named: &[ServerAddress]) -> Result<Vec<DnsServer>, UnknownInterface> {
    if named.is_empty() {
        return Ok(configured_servers(&read_resolv_conf(), interface_number));
    }
    let to_server = |server: &ServerAddress| {
        server.to_socket_addr(bringup_dns::server::PORT, interface_number).map(DnsServer::from)
    };
    named.iter().map(to_server).collect()
}

/// The file's octets; none if it cannot be read, which is a file without servers.
fn read_resolv_conf() -> Vec<u8> {
    let mut octets = Vec::new();
    let file = std::fs::File::open(RESOLV_CONF);
    // What was read before an error still counts.
    let _ = file.map(|file| file.take(RESOLV_CONF_MAX).read_to_end(&mut octets));
    octets
}

/// The servers in a file; one behind an interface that is not there is left out.
fn configured_servers(file: &[u8], index_of: impl Fn(&str) -> Option<u32>) -> Vec<DnsServer> {
    let server = |setting| match setting {
        Setting::Server(address) => Some(address),
        Setting::ServerOn { address, interface } => {
            let port = bringup_dns::server::PORT;
            Some(SocketAddrV6::new(address, port, 0, index_of(interface)?).into())
        }
        _ => None,
    };
    resolv_conf::settings(file).filter_map(server).map(DnsServer::from).collect()
}

/// Tells that the address of a server names an interface that there is not.
pub fn tell_unknown_interface(output: &mut Output, unknown: UnknownInterface) -> Exit {
    let UnknownInterface(name) = unknown;
    output.problem(
        format!("the interface {name}"),
        "does not exist",
        "name one that `ip link` lists",
    );
    Exit::Usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_a_file() {
        let file = b"# nothing\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\n\
                     nameserver fe80::2%gone\nsearch a.example\nnameserver 2001:db8::1\n";
        let found = configured_servers(file, |name| (name == "eth0").then_some(7));
        let found: Vec<String> = found.iter().map(|s| s.address.to_string()).collect();
        assert_eq!(found, ["192.0.2.1:53", "[fe80::1%7]:53", "[2001:db8::1]:53"]);
        assert!(configured_servers(b"", |_| None).is_empty());
    }
}
