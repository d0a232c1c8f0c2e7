//! `bringup query`: a resolver, one name, one or two types.

use std::net::SocketAddr;

use bringup_core::event_loop::{Application, Ready, Registrar};
use bringup_core::platform::Platform;
use bringup_core::poll::PollStorage;
use bringup_core::time::{Duration, Instant};
use bringup_core::timer::Owner;
use bringup_dns::client::{Event as ResolverEvent, ResolverStorage};
use bringup_dns::server::MAX_SERVERS;
use bringup_dns::{
    Config, Counters, Failure, Outcome, QueryError, QueryKey, QueryKind, QueryOptions, RecordType,
    Resolver,
};
use bringup_system::Buffers;

use super::args::Query;
use super::event::{Answer, Event, Stats};
use super::exit::Exit;
use super::live::Live;
use super::lookup;
use super::network::{self, DrivenResolver};
use super::output::Output;
use super::replies;
use crate::resolver_files::ResolverFiles;

/// One name with some types at once, and room for the longest answer that there is.
type Memory = ResolverStorage<8, 64, 131_072, 131_070>;

/// Without a type, both are asked for.
const ADDRESSES: [RecordType; 2] = [RecordType::A, RecordType::AAAA];

/// Looks the name up, and tells what was found.
#[inline(never)] // its memory is on the stack, and no other command needs it
pub fn run(args: &Query, output: &mut Output) -> Exit {
    if args.server.len() > MAX_SERVERS {
        let (named, hint) = (args.server.len(), "name the best of them");
        let why = format!("is given {named} times, and {MAX_SERVERS} are used at most");
        output.problem("--server", why, hint);
        return Exit::Usage;
    }
    let (mut poll, mut storage) = (PollStorage::new(), Box::new(Memory::new()));
    let files = ResolverFiles::of_system();
    let mut resolver = Resolver::new(Config::DEFAULT, &mut *storage);
    if args.server.is_empty() {
        resolver.set_hosts(Some(files.hosts()));
    }
    let mut app = App {
        args,
        files: &files,
        output,
        resolver: DrivenResolver::new(resolver, Owner::Application),
        buffers: Buffers::new(),
        pending: Vec::new(),
        told: Vec::new(),
        outcomes: Vec::new(),
        ignored: Counters::default(),
        no_room: None,
        early: None,
        live: Live::default(),
    };
    match network::run(&mut app, &mut poll, App::start) {
        Ok(()) => {
            app.tell_stats();
            app.early.unwrap_or_else(|| exit(&app.outcomes))
        }
        Err(error) => network::tell_os_error(output, error),
    }
}

/// Any answer is an answer; a failure is worse than a no, since the answer might have been yes.
fn exit(outcomes: &[Outcome]) -> Exit {
    if outcomes.contains(&Outcome::Answer) {
        Exit::Done
    } else if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed(_))) {
        Exit::Unknown
    } else {
        Exit::No
    }
}

struct App<'m, 'o, P: Platform> {
    args: &'o Query,
    files: &'m ResolverFiles,
    output: &'o mut Output,
    resolver: DrivenResolver<'m, P>,
    buffers: Buffers,
    /// What has been asked and not been answered yet.
    pending: Vec<(QueryKey, RecordType)>,
    /// Records that have been told: an alias stands in the answers of both types.
    told: Vec<Answer>,
    outcomes: Vec<Outcome>,
    /// What had been ignored when it was last told.
    ignored: Counters,
    /// Why there was no room for a socket.
    no_room: Option<String>,
    /// Why it ends before it has begun.
    early: Option<Exit>,
    live: Live,
}

impl<P: Platform<Error: std::fmt::Display>> App<'_, '_, P> {
    fn start(&mut self, registrar: &mut Registrar<'_, P>) {
        if self.resolver.register(registrar).is_err() {
            return self.end(registrar, Exit::Unknown);
        }
        let Self { resolver, buffers, args, files, .. } = self;
        let configured = resolver.call(registrar, buffers, |resolver, cx| {
            network::configure(resolver, cx, files, &args.server)
        });
        if let Err(unknown) = configured {
            let exit = network::tell_unknown_interface(self.output, unknown);
            return self.end(registrar, exit);
        }
        let types = args.rtype.as_ref().map_or(&ADDRESSES[..], std::slice::from_ref);
        for &rtype in types {
            let Self { resolver, buffers, args, .. } = self;
            let started = resolver.call(registrar, buffers, |resolver, cx| {
                let deadline = Some(cx.now + args.deadline);
                let options = QueryOptions { deadline, tcp: args.tcp, ..QueryOptions::default() };
                let name = lookup::asked_name(&args.name, rtype);
                resolver.query(cx, &*name, QueryKind::Type(rtype), options)
            });
            match started {
                Ok(key) => self.pending.push((key, rtype)),
                Err(error) => return self.refuse(registrar, error),
            }
        }
        self.live.start(registrar, self.output);
        self.take_events(registrar);
    }

    /// Whom it waits for.
    fn waiting(&self) -> String {
        let servers = self.resolver.client().server_reports(Instant::ZERO);
        let servers: Vec<String> = servers.map(|r| lookup::server_text(r.server.address)).collect();
        format!("{} is asked of {}", self.args.name.escape_debug(), servers.join(", "))
    }

    fn end(&mut self, registrar: &mut Registrar<'_, P>, exit: Exit) {
        self.early = Some(exit);
        registrar.stop();
    }

    /// The name cannot be asked for.
    fn refuse(&mut self, registrar: &mut Registrar<'_, P>, error: QueryError) {
        let (why, hint, exit) = refusal(error);
        self.output.problem(self.args.name.as_str(), why, hint);
        self.end(registrar, exit);
    }

    fn take_events(&mut self, registrar: &mut Registrar<'_, P>) {
        let no_room = self.resolver.next_no_room(registrar.now());
        self.no_room = no_room.map(|error| error.to_string()).or(self.no_room.take());
        while let Some(event) = self.resolver.next_event() {
            let ResolverEvent::Done { key, outcome } = event else { continue };
            let Some(at) = self.pending.iter().position(|(pending, _)| *pending == key) else {
                continue;
            };
            let (_, rtype) = self.pending.swap_remove(at);
            self.tell(key, rtype, outcome);
        }
        self.tell_ignored();
        if self.pending.is_empty() || self.output.is_closed() {
            registrar.stop();
        }
    }

    fn tell(&mut self, key: QueryKey, rtype: RecordType, outcome: Outcome) {
        self.outcomes.push(outcome);
        let resolver = self.resolver.client();
        for event in lookup::events(resolver, key, &self.args.name, Some(rtype)) {
            if let Event::Answer(answer) = &event {
                if self.told.contains(answer) {
                    continue;
                }
                self.told.push(answer.clone());
            }
            self.output.emit(&event);
        }
        if let Outcome::Failed(failure) = outcome {
            let answer = resolver.result(key);
            let server = answer.and_then(|answer| answer.server());
            let elapsed = answer.map_or(self.args.deadline, |answer| answer.elapsed());
            let (why, hint) = match failure {
                Failure::Unreachable | Failure::Timeout if self.no_room.is_some() => {
                    (self.no_room.clone().unwrap_or_default(), network::LIMITS_HINT)
                }
                Failure::Unreachable if self.args.tcp => over_tcp(server),
                failure => explain(failure, server, elapsed),
            };
            let useless = replies::useless_dns(&resolver.counters());
            let why = match useless.filter(|_| failure == Failure::Timeout) {
                Some(useless) => format!("{why}; {useless}"),
                None => why,
            };
            self.output.problem(format!("{} {rtype}", self.args.name), why, hint);
        }
    }

    fn tell_stats(&mut self) {
        if self.args.stats && self.early.is_none() {
            let counters = self.resolver.client().counters();
            let ignored = |name| counters.discards().any(|(why, n)| n == 0 && why.name() == name);
            let told = counters.iter().filter(|(name, _)| !ignored(*name));
            let stats = told.map(|(name, count)| (name.replace('-', "_"), count)).collect();
            self.output.emit(&Event::Stats(Stats(stats)));
        }
    }

    fn tell_ignored(&mut self) {
        if !self.output.settings().verbose {
            return;
        }
        let counters = self.resolver.client().counters();
        for ((why, count), (_, before)) in counters.discards().zip(self.ignored.discards()) {
            for _ in before..count {
                let reason = why.name();
                self.output.emit(&Event::Discard { protocol: "dns", reason, from: None });
            }
        }
        self.ignored = counters;
    }
}

impl<P: Platform<Error: std::fmt::Display>> Application<P> for App<'_, '_, P> {
    fn dispatch(&mut self, registrar: &mut Registrar<'_, P>, ready: Ready) {
        if self.live.is(ready) {
            let waiting = self.waiting();
            return self.live.show(registrar, self.output, &waiting);
        }
        self.resolver.handle(registrar, &mut self.buffers, &ready);
        self.take_events(registrar);
    }
}

/// Why a name cannot be asked for, and what to do next.
pub(super) const fn refusal(error: QueryError) -> (&'static str, &'static str, Exit) {
    match error {
        QueryError::Name(_) => (
            "it is not a domain name",
            "use labels of at most 63 characters with dots between them, xn-- for others than ASCII",
            Exit::Usage,
        ),
        QueryError::ScopeName => (
            "it is of an interface that does not exist",
            "name one that `ip link` lists",
            Exit::Usage,
        ),
        // Neither can be here: there are two queries, and nobody stops the resolver. In a service many
        // may ask at once, and at its end.
        QueryError::Full | QueryError::Stopped => {
            ("too many queries at once", "try again", Exit::Unknown)
        }
    }
}

/// Why it could not be found out, of whom if of one server, and what to do next.
pub(super) fn explain(
    failure: Failure,
    server: Option<SocketAddr>,
    elapsed: Duration,
) -> (String, &'static str) {
    let who = server.map_or_else(|| "the server".to_owned(), lookup::server_text);
    let other = "ask another server with --server";
    match failure {
        Failure::Timeout => (
            format!("no server answered within {} ms, {who} was asked last", elapsed.as_millis()),
            "check the network, or ask another server with --server",
        ),
        Failure::NoServers => (
            "no DNS server is configured".into(),
            "name one with --server, or put one into /etc/resolv.conf",
        ),
        Failure::Unreachable => {
            (format!("{who} cannot be reached from here"), "check the link and its routes")
        }
        Failure::PortClosed => (
            format!(
                "nobody answers DNS at {who}: its port {} is closed",
                server.map_or(53, |s| s.port())
            ),
            "start the server, or ask another one with --server",
        ),
        Failure::SingleLabel => (
            "it is a single label, and no search list applies".into(),
            "write the full name, or a dot at its end",
        ),
        Failure::ServFail => (format!("{who} failed to resolve it (SERVFAIL)"), other),
        Failure::Refused => (format!("{who} refuses to answer this client (REFUSED)"), other),
        failure => {
            let word = lookup::rcode(Outcome::Failed(failure));
            (format!("{who} gave no usable answer ({word})"), other)
        }
    }
}

/// [`explain`] of a server to which no connection stands: a closed port is no more than that.
fn over_tcp(server: Option<SocketAddr>) -> (String, &'static str) {
    let who = server.map_or_else(|| "the server".to_owned(), lookup::server_text);
    (format!("{who} takes no connection over TCP"), "try without --tcp, or another server")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes() {
        let (yes, none, gone) = (Outcome::Answer, Outcome::NoData, Outcome::NxDomain);
        let failed = Outcome::Failed(Failure::Timeout);
        for (outcomes, expected) in [
            (&[yes, none][..], Exit::Done),
            (&[failed, yes], Exit::Done),
            (&[none, none], Exit::No),
            (&[gone], Exit::No),
            (&[gone, failed], Exit::Unknown),
            (&[failed], Exit::Unknown),
        ] {
            assert_eq!(exit(outcomes), expected, "{outcomes:?}");
        }
    }
}
