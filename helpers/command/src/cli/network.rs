//! What the subcommands that ask servers have in common: a loop on Linux, a resolver on it, and the
//! servers that it is to ask.

use bringup_core::attach::AttachQueue;
use bringup_core::client::Cx;
use bringup_core::event_loop::{Application, EventLoop, LoopStorage, Registrar};
use bringup_core::platform::PlatformError as _;
use bringup_core::poll::{PollStorage, UnixPoll};
use bringup_dns::{Resolver, ServerAddress as DnsServer};
use bringup_platform::error::OsError;
use bringup_platform::linux::{EventWake, Linux, LinuxOps};
use bringup_platform::lock::StdLock;
use bringup_system::Driven;

use super::exit::Exit;
use super::output::Output;
use super::text::{ServerAddress, UnknownInterface};
use super::up::interface_number;
use crate::resolver_files::ResolverFiles;

/// Linux on poll(2).
pub type Port<'m> = Linux<UnixPoll<'m>>;

/// What to do where there is no room for a socket.
pub const LIMITS_HINT: &str = "check the limits of the process (ulimit -n)";

/// A resolver on a loop: 16 sockets and one connection for each of 8 servers.
pub type DrivenResolver<'m, P> = Driven<Resolver<'m>, P, 128, 8>;

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

/// Tells the resolver whom to ask: the servers that were named, and nobody else; or else what
/// /etc/resolv.conf says, search list and options included.
pub fn configure(
    resolver: &mut Resolver<'_>,
    cx: &mut Cx<'_>,
    files: &ResolverFiles,
    named: &[ServerAddress],
) -> Result<(), UnknownInterface> {
    if named.is_empty() {
        files.follow(resolver, cx, *resolver.config(), interface_number);
        return Ok(());
    }
    let to_server = |server: &ServerAddress| {
        server.to_socket_addr(bringup_dns::server::PORT, interface_number).map(DnsServer::from)
    };
    let servers = named.iter().map(to_server).collect::<Result<Vec<_>, _>>()?;
    resolver.set_servers(cx, &servers);
    Ok(())
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
