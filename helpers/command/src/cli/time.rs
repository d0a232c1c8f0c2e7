//! `bringup time`: what NTP servers say, one by one and together. It sets nothing.

use bringup_core::event_loop::{Application, Ready, Registrar};
use bringup_core::platform::Platform;
use bringup_core::poll::PollStorage;
use bringup_core::timer::{Owner, TimerKey};
use bringup_dns::client::{Event as ResolverEvent, SmallStorage};
use bringup_dns::{QueryKey, QueryKind, QueryOptions, Resolver};
use bringup_ntp::client::{MAX_SERVERS, MAX_SOCKETS};
use bringup_ntp::{ClockState, Event as NtpEvent, NtpClient, Source, Verdict};
use bringup_system::{Buffers, Driven};

use super::args::Time as Args;
use super::event::{self, Event};
use super::exit::Exit;
use super::live::Live;
use super::lookup;
use super::network::{self, DrivenResolver};
use super::output::Output;
use super::saved_clock::built;
use super::text::Host;
use super::up::interface_number;
use crate::resolver_files::ResolverFiles;

/// The port of NTP.
const PORT: u16 = 123;
/// How many addresses of one name are asked.
const PER_NAME: usize = 4;

/// Asks the servers and tells what they say.
#[inline(never)] // its memory is on the stack, and no other command needs it
pub fn run(args: &Args, output: &mut Output) -> Exit {
    if args.servers.is_empty() {
        let hint = "name one, as in `bringup time time.example.net`";
        output.problem("bringup time", "no NTP server is named", hint);
        return Exit::Usage;
    }
    let (mut poll, mut storage) = (PollStorage::new(), Box::new(SmallStorage::new()));
    let files = ResolverFiles::of_system();
    let mut resolver = Resolver::new(bringup_dns::Config::DEFAULT, &mut *storage);
    resolver.set_hosts(Some(files.hosts()));
    let ntp = NtpClient::new(bringup_ntp::Config::new(built()));
    let mut app = App {
        args,
        files: &files,
        output,
        resolver: DrivenResolver::new(resolver, Owner::Application),
        ntp: Driven::new(ntp, Owner::Application),
        buffers: Buffers::new(),
        deadline: None,
        names: Vec::new(),
        servers: Vec::new(),
        verdicts: Vec::new(),
        exit: Exit::Unknown,
        live: Live::default(),
    };
    match network::run(&mut app, &mut poll, App::start) {
        Ok(()) => app.exit,
        Err(error) => network::tell_os_error(output, error),
    }
}

struct App<'m, 'o, P: Platform> {
    args: &'o Args,
    files: &'m ResolverFiles,
    output: &'o mut Output,
    resolver: DrivenResolver<'m, P>,
    ntp: Driven<NtpClient, P, MAX_SOCKETS>,
    buffers: Buffers,
    deadline: Option<TimerKey>,
    /// Names that are being resolved, with their ports.
    names: Vec<(QueryKey, &'o str, u16)>,
    /// What is to be asked, and its place among the addresses of its name.
    servers: Vec<(usize, bringup_ntp::Server)>,
    verdicts: Vec<Verdict>,
    exit: Exit,
    live: Live,
}

impl<'o, P: Platform<Error: std::fmt::Display>> App<'_, 'o, P> {
    fn start(&mut self, registrar: &mut Registrar<'_, P>) {
        let timers = (
            registrar.add_timer(Owner::Application),
            self.resolver.register(registrar),
            self.ntp.register(registrar),
        );
        let (Ok(deadline), Ok(()), Ok(())) = timers else { return registrar.stop() };
        self.deadline = Some(deadline);
        registrar.set_timer(deadline, registrar.now() + self.args.deadline);
        self.live.start(registrar, self.output);
        let args = self.args;
        let has_names = args.servers.iter().any(|host| matches!(host, Host::Name { .. }));
        if has_names {
            // Fails only for servers that are named, and there is none.
            let files = self.files;
            let _ = self.resolver.call(registrar, &mut self.buffers, |resolver, cx| {
                network::configure(resolver, cx, files, &[])
            });
        }
        for host in &args.servers {
            match host {
                Host::Address(address) => match address.to_socket_addr(PORT, interface_number) {
                    Ok(address) => {
                        let source = Source::Configured;
                        self.servers.push((0, bringup_ntp::Server { address, source }));
                    }
                    Err(unknown) => {
                        self.exit = network::tell_unknown_interface(self.output, unknown);
                        return registrar.stop();
                    }
                },
                Host::Name { name, port } => self.resolve(registrar, name, port.unwrap_or(PORT)),
            }
        }
        self.probe_if_resolved(registrar);
        self.take_events(registrar);
    }

    fn resolve(&mut self, registrar: &mut Registrar<'_, P>, name: &'o str, port: u16) {
        // The other half is for the servers: they are asked when all names are known or given up.
        let deadline = self.args.deadline / 2;
        let asked = self.resolver.call(registrar, &mut self.buffers, |resolver, cx| {
            let deadline = Some(cx.now + deadline);
            let options = QueryOptions { deadline, ..QueryOptions::default() };
            resolver.query(cx, name, QueryKind::Addresses, options)
        });
        match asked {
            Ok(key) => self.names.push((key, name, port)),
            Err(_) => self.tell_unresolved(name, "it is not a domain name"),
        }
    }

    /// A name that leads to no server is told like one that gives no time.
    fn tell_unresolved(&mut self, name: &str, why: &str) {
        self.output.problem(name, why, "check the name, or name a server by address");
        self.output.emit(&Event::Server(event::Server {
            server: name.to_owned(),
            verdict: "unresolved",
            offset_us: None,
            delay_us: None,
            root_distance_us: None,
            stratum: None,
        }));
    }

    fn take_events(&mut self, registrar: &mut Registrar<'_, P>) {
        while let Some(event) = self.resolver.next_event() {
            let ResolverEvent::Done { key, .. } = event else { continue };
            let Some(at) = self.names.iter().position(|(asked, ..)| *asked == key) else {
                continue;
            };
            let (_, name, port) = self.names.swap_remove(at);
            self.add_addresses(key, name, port);
            self.probe_if_resolved(registrar);
        }
        while let Some(event) = self.ntp.next_event() {
            if event == NtpEvent::ProbeDone {
                self.finish(registrar);
            }
        }
        while let Some((why, from)) = self.resolver.next_discard() {
            let reason = why.name();
            self.output.emit(&Event::Discard { protocol: "dns", reason, from });
        }
        while let Some((why, from)) = self.ntp.next_discard() {
            let reason = why.name();
            self.output.emit(&Event::Discard { protocol: "ntp", reason, from });
        }
        if self.output.is_closed() {
            registrar.stop();
        }
    }

    fn add_addresses(&mut self, key: QueryKey, name: &str, port: u16) {
        let before = self.servers.len();
        let found = self.resolver.client().result(key);
        let addresses = found.into_iter().flat_map(|answer| answer.addresses());
        self.servers.extend(addresses.take(PER_NAME).enumerate().map(|(place, ip)| {
            (place, bringup_ntp::Server { address: (ip, port).into(), source: Source::Name })
        }));
        if self.servers.len() == before {
            self.tell_unresolved(name, "its addresses could not be found out");
        }
    }

    /// Asks all servers at once when their addresses are known. A probe of none ends at once.
    fn probe_if_resolved(&mut self, registrar: &mut Registrar<'_, P>) {
        if !self.names.is_empty() {
            return;
        }
        // One of each name, before the second of any.
        self.servers.sort_by_key(|(place, _)| *place);
        let servers: Vec<_> = self.servers.iter().map(|(_, server)| *server).collect();
        let samples = self.args.samples;
        self.ntp.call(registrar, &mut self.buffers, |ntp, cx| {
            ntp.set_servers(cx, &servers);
            ntp.probe(cx, samples);
        });
        self.tell_left_out(&servers);
    }

    /// Tells of servers that are not asked; one that is named twice is.
    fn tell_left_out(&mut self, servers: &[bringup_ntp::Server]) {
        let is_asked = |address| self.ntp.client().servers().any(|s| s.address == address);
        let is_full = self.ntp.client().servers().count() == MAX_SERVERS;
        for server in servers.iter().filter(|server| !is_asked(server.address)) {
            let (why, hint) = if is_full && server.is_askable() {
                (format!("{MAX_SERVERS} are asked at most"), "ask it in another run")
            } else {
                ("nobody can be asked there".to_owned(), "name the address of one server")
            };
            self.output.problem(server.address.to_string(), why, hint);
        }
    }

    /// Whom it waits for.
    fn waiting(&self) -> String {
        let servers = self.servers.iter().map(|(_, server)| lookup::server_text(server.address));
        let names = self
            .names
            .iter()
            .map(|(_, name, _)| format!("{}, whose address is not known yet", name.escape_debug()));
        format!("the time is asked of {}", servers.chain(names).collect::<Vec<_>>().join(", "))
    }

    /// Tells what is known by now. Only now, since the majority may outvote a server at the end.
    fn finish(&mut self, registrar: &mut Registrar<'_, P>) {
        registrar.stop();
        let Self { ntp, buffers, output, verdicts, .. } = self;
        let (reports, offset_ns, estimate) = ntp.call(registrar, buffers, |ntp, cx| {
            ntp.end_probe(cx);
            let numbers = (0..).take(ntp.servers().count());
            let reports: Vec<_> = numbers.filter_map(|n| ntp.report(cx, n)).collect();
            (reports, ntp.offset_ns(cx), ntp.utc(cx.now))
        });
        // That the probe has ended is no news; the rest of this turn is not to tell everything again.
        while ntp.next_event().is_some() {}
        for report in reports {
            verdicts.push(report.verdict);
            let sample = report.sample;
            output.emit(&Event::Server(event::Server {
                server: report.server.address.to_string(),
                verdict: report.verdict.name(),
                offset_us: sample.map(|s| micros(s.offset_ns)),
                delay_us: sample.map(|s| u64::from(s.delay_ns).div_ceil(1_000)),
                root_distance_us: sample.map(|s| s.root_distance_ns.div_ceil(1_000)),
                stratum: sample.map(|s| s.stratum),
            }));
        }
        let state = self.ntp.client().state();
        self.output.emit(&Event::Time(event::Time {
            state: state.name(),
            offset_us: offset_ns.map(micros),
            error_us: estimate.map(|e| e.error_ns.div_ceil(1_000)),
        }));
        self.exit = exit(state, &self.verdicts);
        if self.exit == Exit::Unknown {
            let now = registrar.now();
            let no_room = self.ntp.next_no_room(now).or_else(|| self.resolver.next_no_room(now));
            let (why, hint) = match no_room {
                Some(error) => (error.to_string(), network::LIMITS_HINT),
                None => {
                    ("no server answered".to_owned(), "check the network, or name another server")
                }
            };
            self.output.problem("the time", why, hint);
        }
        let good = self.verdicts.iter().filter(|verdict| **verdict == Verdict::Ok);
        if self.exit == Exit::No && good.count() > 1 {
            let why = "the servers contradict each other, and no majority of them agrees";
            self.output.problem("the time", why, "name more servers, or one alone that is right");
        }
    }
}

impl<P: Platform<Error: std::fmt::Display>> Application<P> for App<'_, '_, P> {
    fn dispatch(&mut self, registrar: &mut Registrar<'_, P>, ready: Ready) {
        let is_deadline = matches!(ready, Ready::Timer { key, .. } if self.deadline == Some(key));
        if is_deadline {
            return self.finish(registrar);
        }
        if self.live.is(ready) {
            let waiting = self.waiting();
            return self.live.show(registrar, self.output, &waiting);
        }
        if !self.resolver.handle(registrar, &mut self.buffers, &ready) {
            self.ntp.handle(registrar, &mut self.buffers, &ready);
        }
        self.take_events(registrar);
    }
}

/// Nanoseconds to the nearest microsecond.
const fn micros(ns: i64) -> i64 {
    ns.saturating_add(500).div_euclid(1_000)
}

/// Some time is a yes; that servers answer, but none with a time to believe, is a no. What does not
/// show the nonce is nobody's answer.
fn exit(state: ClockState, verdicts: &[Verdict]) -> Exit {
    let answers = |verdict: &Verdict| match verdict {
        Verdict::Discarded(why) => why.ends_exchange(),
        Verdict::Ok | Verdict::Outvoted => true,
        Verdict::NoReply => false,
    };
    if state != ClockState::Invalid {
        Exit::Done
    } else if verdicts.iter().any(answers) {
        Exit::No
    } else {
        Exit::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bringup_ntp::Discard;

    #[test]
    fn exit_codes() {
        let kiss = Verdict::Discarded(Discard::KissDeny);
        for (state, verdicts, expected) in [
            (ClockState::Provisional, &[Verdict::Ok, Verdict::NoReply][..], Exit::Done),
            (ClockState::Confirmed, &[Verdict::Ok], Exit::Done),
            (ClockState::Invalid, &[kiss, Verdict::NoReply], Exit::No),
            (ClockState::Invalid, &[Verdict::NoReply], Exit::Unknown),
            (ClockState::Invalid, &[Verdict::Discarded(Discard::WrongOrigin)], Exit::Unknown),
            (ClockState::Invalid, &[Verdict::Ok, Verdict::Ok], Exit::No),
            (ClockState::Invalid, &[], Exit::Unknown),
        ] {
            assert_eq!(exit(state, verdicts), expected, "{state} {verdicts:?}");
        }
    }

    #[test]
    fn nanoseconds_are_rounded() {
        for (ns, expected) in [(0, 0), (499, 0), (500, 1), (-500, 0), (-501, -1)] {
            assert_eq!(micros(ns), expected, "{ns}");
        }
    }
}
