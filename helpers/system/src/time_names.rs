//! NTP servers that are known by name: resolved through our own resolver, again when that fails.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use bringup_core::event_loop::Registrar;
use bringup_core::platform::Platform;
use bringup_core::time::{Duration, Instant};
use bringup_core::timer::{NoSlot, Owner, TimerKey};
use bringup_dns::{Outcome, QueryKey, QueryKind, QueryOptions, Resolver};

use crate::driven::{Buffers, Driven};
use crate::parts;
use crate::servers::{MAX_SERVERS, Origin, ServerList};
use crate::sources;

/// How many names are looked at; later ones are ignored.
pub const MAX_NAMES: usize = 4;

/// As many as there is room for.
const NAMES: usize = if parts::EXTRAS { MAX_NAMES } else { 0 };

/// The wait after the first failure, doubled after each further one ...
const RETRY_MIN: Duration = Duration::from_secs(1);
/// ... up to this (RFC 4330 §10: lookups back off as well).
const RETRY_MAX: Duration = Duration::from_secs(64);

/// The largest number of sockets that a resolver names.
pub(crate) const RESOLVER_SOCKETS: usize = 128;

/// The largest number of connections that it names: one per server.
pub(crate) const RESOLVER_CONNS: usize = if parts::TCP { 8 } else { 0 };

/// A resolver on the loop.
pub(crate) type DrivenResolver<'m, P> = Driven<Resolver<'m>, P, RESOLVER_SOCKETS, RESOLVER_CONNS>;

/// The wait before a name is asked for again whose servers are all silent.
const REFRESH: Duration = Duration::from_secs(900);

/// The name of an NTP server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NtpName<'m> {
    /// The name.
    pub name: &'m str,
    /// The port; 123 as a rule.
    pub port: u16,
}

/// How many addresses of a name are used at a time, so that there is room for those of `names`.
fn share(names: usize) -> usize {
    (MAX_SERVERS / names.clamp(1, MAX_NAMES)).min(4)
}

/// So many of the addresses: the first, and each further `turn` those that follow.
fn in_turn(addresses: &[IpAddr], share: usize, turn: usize) -> impl Iterator<Item = IpAddr> {
    let first = turn % MAX_TURNS * share % addresses.len().max(1);
    addresses.iter().copied().cycle().skip(first).take(share.min(addresses.len()))
}

/// Turns are counted modulo this, which no product of them overflows.
const MAX_TURNS: usize = 1 << 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not asked for, or failed and to be asked again at this time.
    Waiting(Instant),
    Asked(QueryKey),
    Known,
}

/// As many as are looked at.
fn first<'m>(names: &[NtpName<'m>]) -> [Option<NtpName<'m>>; NAMES] {
    let mut taken = [None; NAMES];
    for (slot, name) in taken.iter_mut().zip(names) {
        *slot = Some(*name);
    }
    taken
}

/// The names, and how far each has come.
pub(crate) struct TimeNames<'m> {
    names: [Option<NtpName<'m>>; NAMES],
    stages: [Stage; NAMES],
    retries: [Duration; NAMES],
    /// How often its addresses were silent: the next ones of it are used then.
    turns: [usize; NAMES],
    /// Whether no NTP server answers: what is known may be out of date.
    silent: bool,
    timer: Option<TimerKey>,
}

impl<'m> TimeNames<'m> {
    /// No names.
    pub(crate) const NONE: Self = Self {
        names: [None; NAMES],
        stages: [Stage::Waiting(Instant::ZERO); NAMES],
        retries: [RETRY_MIN; NAMES],
        turns: [0; NAMES],
        silent: false,
        timer: None,
    };

    pub(crate) fn new(names: &[NtpName<'m>]) -> Self {
        Self { names: first(names), ..Self::NONE }
    }

    pub(crate) fn register<P: Platform>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
    ) -> Result<(), NoSlot> {
        if self.timer.is_none() {
            self.timer = Some(registrar.add_timer(Owner::System)?);
        }
        Ok(())
    }

    /// Whether there is none to be resolved.
    pub(crate) const fn is_empty(&self) -> bool {
        matches!(self.names.first(), None | Some(None))
    }

    /// The name with this place in the order of naming.
    pub(crate) fn get(&self, place: u8) -> Option<NtpName<'m>> {
        self.names.get(usize::from(place)).copied().flatten()
    }

    /// Takes other names, and forgets how far the old ones had come. `false` if they are the same.
    pub(crate) fn replace<P: Platform>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        resolver: &mut DrivenResolver<'m, P>,
        buffers: &mut Buffers,
        names: &[NtpName<'m>],
    ) -> bool {
        let names = first(names);
        if names == self.names {
            return false;
        }
        for stage in self.stages {
            if let Stage::Asked(key) = stage {
                resolver.call(registrar, buffers, |resolver, cx| resolver.release(cx, key));
            }
        }
        *self = Self { names, timer: self.timer, silent: self.silent, ..Self::new(&[]) };
        self.arm(registrar);
        true
    }

    pub(crate) fn is_timer(&self, key: TimerKey) -> bool {
        self.timer == Some(key)
    }

    /// Asks for what is due.
    pub(crate) fn ask<P: Platform>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        resolver: &mut DrivenResolver<'m, P>,
        buffers: &mut Buffers,
    ) {
        let now = registrar.now();
        let names = self.names;
        for (index, name) in names.iter().flatten().enumerate() {
            if !matches!(self.stages[index], Stage::Waiting(at) if at <= now) {
                continue;
            }
            let options = QueryOptions::default();
            let asked = resolver.call(registrar, buffers, |resolver, cx| {
                resolver.query(cx, name.name, QueryKind::Addresses, options)
            });
            match asked {
                Ok(key) => self.stages[index] = Stage::Asked(key),
                // All slots are taken, or the text is no name: the one passes, the other is said by
                // the check of the configuration.
                Err(_) => self.back_off(registrar, index),
            }
        }
        self.arm(registrar);
    }

    /// Starts again, at once: the servers have changed.
    pub(crate) fn restart<P: Platform>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        resolver: &mut DrivenResolver<'m, P>,
        buffers: &mut Buffers,
    ) {
        for (stage, retry) in self.stages.iter_mut().zip(&mut self.retries) {
            if let Stage::Waiting(at) = stage {
                *at = Instant::ZERO;
                *retry = RETRY_MIN;
            }
        }
        self.ask(registrar, resolver, buffers);
    }

    /// Asks again for what was known: the servers are silent. They stay in use until there is an
    /// answer.
    pub(crate) fn ask_again<P: Platform>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        resolver: &mut DrivenResolver<'m, P>,
        buffers: &mut Buffers,
    ) {
        self.silent = true;
        for (stage, retry) in self.stages.iter_mut().zip(&mut self.retries) {
            if *stage == Stage::Known {
                *stage = Stage::Waiting(Instant::ZERO);
                *retry = RETRY_MIN;
            }
        }
        self.ask(registrar, resolver, buffers);
    }

    /// An NTP server has answered.
    pub(crate) const fn heard(&mut self) {
        self.silent = false;
    }

    /// Gives its timer back.
    pub(crate) fn close<P: Platform>(&mut self, registrar: &mut Registrar<'_, P>) {
        if let Some(timer) = self.timer.take() {
            registrar.remove_timer(timer);
        }
    }

    /// Takes the end of a query if it was one of ours: `Some(Ok(index))` when the list of servers
    /// has that name's, `Some(Err(index))` when the name could not be resolved.
    pub(crate) fn answered<P: Platform>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        resolver: &mut DrivenResolver<'m, P>,
        buffers: &mut Buffers,
        event: bringup_dns::Event,
        list: &mut ServerList,
    ) -> Option<Result<u8, u8>> {
        let (bringup_dns::Event::Done { key, .. } | bringup_dns::Event::Update { key }) = event;
        if !parts::EXTRAS {
            return None;
        }
        let index = self.stages.iter().position(|stage| *stage == Stage::Asked(key))?;
        let number = u8::try_from(index).unwrap_or(u8::MAX);
        let found = matches!(
            event,
            bringup_dns::Event::Done { outcome: Outcome::Answer, .. }
                | bringup_dns::Event::Update { .. }
        );
        if found {
            let port = self.get(number).map_or(123, |name| name.port);
            if let Some(answer) = resolver.client().result(key) {
                list.withdraw(Origin::Name(number));
                if self.silent {
                    self.turns[index] = self.turns[index].wrapping_add(1);
                }
                let mut buffer = [IpAddr::V4(Ipv4Addr::UNSPECIFIED); sources::MAX_ADDRESSES];
                let addresses = sources::ordered(registrar.platform(), answer, &mut buffer);
                let share = share(self.names.iter().flatten().count());
                for address in in_turn(addresses, share, self.turns[index]) {
                    list.push(SocketAddr::new(address, port), Origin::Name(number));
                }
            }
            self.stages[index] =
                if self.silent { Stage::Waiting(registrar.now() + REFRESH) } else { Stage::Known };
        } else {
            self.back_off(registrar, index);
        }
        resolver.call(registrar, buffers, |resolver, cx| resolver.release(cx, key));
        self.arm(registrar);
        Some(if found { Ok(number) } else { Err(number) })
    }

    fn back_off<P: Platform>(&mut self, registrar: &mut Registrar<'_, P>, index: usize) {
        let wait = self.retries[index];
        self.stages[index] = Stage::Waiting(registrar.now() + wait);
        self.retries[index] = (wait * 2).min(RETRY_MAX);
    }

    fn arm<P: Platform>(&mut self, registrar: &mut Registrar<'_, P>) {
        let used = self.names.iter().flatten().count();
        let next = Instant::earliest(self.stages.iter().take(used).map(|stage| match stage {
            Stage::Waiting(at) => Some(*at),
            _ => None,
        }));
        if let Some(timer) = self.timer {
            match next {
                Some(at) => registrar.set_timer(timer, at),
                None => registrar.clear_timer(timer),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn names_are_resolved_with_the_extras_only() {
        let pool = NtpName { name: "pool.example", port: 123 };
        assert_eq!(TimeNames::new(&[pool]).is_empty(), !parts::EXTRAS);
        assert!(TimeNames::new(&[]).is_empty());
    }

    #[test]
    fn the_addresses_of_a_name_take_turns() {
        let of = |count: u8| (0..count).map(|n| IpAddr::from([192, 0, 2, n])).collect::<Vec<_>>();
        for (names, count, turn, expected) in [
            (1, 0, 3, &[][..]),
            (1, 1, 3, &[0]),
            (1, 4, 0, &[0, 1, 2, 3]),
            (2, 4, 1, &[0, 1, 2, 3]),
            (2, 6, 0, &[0, 1, 2, 3]),
            (1, 6, 1, &[4, 5, 0, 1]),
            (1, 6, 2, &[2, 3, 4, 5]),
            (1, 6, usize::MAX, &[0, 1, 2, 3]),
            (3, 6, 1, &[2, 3]),
            (4, 6, 2, &[4, 5]),
            (9, 6, 3, &[0, 1]),
        ] {
            let all = of(count);
            let used: Vec<_> = in_turn(&all, share(names), turn).collect();
            let expected: Vec<_> = expected.iter().map(|n| all[*n]).collect();
            assert_eq!(used, expected, "{names} names, {count} addresses, turn {turn}");
        }
        assert!((1..=MAX_NAMES).all(|names| share(names) * names <= MAX_SERVERS));
    }
}
