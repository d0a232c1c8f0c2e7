//! Simulated ports that are broken on purpose, each in one way: the kit finds the promise that is not
//! kept.

use core::net::{IpAddr, SocketAddr};

use bringup_core::client::{Checksum, LinkFilter, Mac, Rng};
use bringup_core::error::ErrorKind;
use bringup_core::platform::{
    AddressConfig, Adjust, Interface, InterfaceChange, LeapSecond, Platform, Reboot, Received,
    ReceivedFrame, RouteConfig, Source, UdpOptions,
};
use bringup_core::time::{Duration, Instant, Utc};
use bringup_platform::conformance::{Authority, Promise, Rig, UdpPeer, check_platform};
use bringup_platform::sim::Sim;

use super::simulator::Simulation;

/// What is wrong with a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    ClockGoesBack,
    ClockStandsStill,
    ClockForgetsSuspend,
    ClockFollowsTheWall,
    WaitsTooLong,
    RoundsDown,
    RandomEqual,
    RandomShort,
    RandomSeeded,
    MakesDatagramsUp,
    ForgetsToReceive,
    BlamesAnother,
    StampsTheFuture,
    CutsInSilence,
    TellsOnce,
    PortsInARow,
    HearsStrangers,
    GivesAPortTwice,
    RefusesForEver,
    InventsInterfaces,
    DropsFrames,
    HearsItself,
    HidesTheSender,
    HearsEverything,
    FiltersTooMuch,
    WatchesFromNowOn,
    StaysUp,
    ForgetsTheMtu,
    TakesAddressesOver,
    KeepsAddresses,
    AddsRoutesTwice,
    SendsAsAnother,
    SetsTheClock,
    TurnsTheClock,
    TellsOfLeapSeconds,
    DoubtsTheClock,
    SetsItElsewhere,
    Reboots,
}

/// A simulated port with a fault.
struct Broken {
    sim: Sim,
    fault: Fault,
    readings: u64,
    /// What it makes up.
    next_port: u16,
    told: bool,
    held: bool,
}

impl Broken {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }
}

impl Rng for Broken {
    fn fill(&mut self, buffer: &mut [u8]) {
        let length = if self.is(Fault::RandomShort) { buffer.len().min(256) } else { buffer.len() };
        match self.fault {
            Fault::RandomEqual => buffer.fill(7),
            _ => self.sim.fill(buffer.get_mut(..length).unwrap_or(&mut [])),
        }
    }
}

impl Platform for Broken {
    type Poller = <Sim as Platform>::Poller;
    type Handle = <Sim as Platform>::Handle;
    type Error = ErrorKind;

    fn now(&mut self) -> Instant {
        self.readings += 1;
        let now = self.sim.now();
        match self.fault {
            Fault::ClockGoesBack if self.readings % 100 == 0 => now - Duration::from_millis(1),
            Fault::ClockStandsStill => Instant::from_micros(1_000_000),
            Fault::ClockFollowsTheWall => {
                Instant::from_micros(u64::try_from(self.sim.utc().as_unix_nanos() / 1_000).unwrap())
            }
            _ => now,
        }
    }

    fn utc(&mut self) -> Utc {
        self.sim.utc()
    }

    fn poller(&mut self) -> &mut Self::Poller {
        self.sim.poller()
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Result<(), ErrorKind> {
        let now = self.now();
        let sim_now = self.sim.now();
        let wait = deadline.map(|deadline| deadline.since(now));
        let wait = match self.fault {
            Fault::WaitsTooLong => wait.map(|wait| wait + Duration::from_secs(10)),
            // As poll(2) with its milliseconds; each turn takes a microsecond.
            Fault::RoundsDown => {
                wait.map(|wait| Duration::from_millis(wait.as_millis()) + Duration::from_micros(1))
            }
            _ => wait,
        };
        self.sim.wait(wait.map(|wait| sim_now + wait))?;
        if self.is(Fault::TellsOnce) && core::mem::replace(&mut self.told, true) {
            use bringup_core::poll::Poll;
            while self.sim.poller().next_ready().is_some() {}
        }
        Ok(())
    }

    fn udp_open(&mut self, options: &UdpOptions) -> Result<Self::Handle, ErrorKind> {
        let mut options = *options;
        if self.is(Fault::PortsInARow) && options.local.port() == 0 {
            self.next_port += 1;
            options.local.set_port(self.next_port);
        }
        if self.is(Fault::HearsStrangers) {
            options.peer = None;
        }
        match self.sim.udp_open(&options) {
            Err(ErrorKind::AddressInUse) if self.is(Fault::GivesAPortTwice) => {
                options.local.set_port(0);
                self.sim.udp_open(&options)
            }
            opened => opened,
        }
    }

    fn udp_send(&mut self, h: Self::Handle, to: SocketAddr, bytes: &[u8]) -> Result<(), ErrorKind> {
        self.sim.udp_send(h, to, bytes)
    }

    fn udp_receive(
        &mut self,
        handle: Self::Handle,
        buffer: &mut [u8],
    ) -> Result<Option<Received>, ErrorKind> {
        let received = match self.sim.udp_receive(handle, buffer) {
            Err(ErrorKind::Refused) => {
                self.held = true;
                Err(ErrorKind::Refused)
            }
            received => received,
        };
        if self.is(Fault::RefusesForEver) && self.held {
            return Err(ErrorKind::Refused);
        }
        if self.is(Fault::MakesDatagramsUp) && received == Ok(None) {
            let (from, at) = (([192, 0, 2, 1], 53).into(), self.sim.now());
            return Ok(Some(Received { length: 0, truncated: false, from, at }));
        }
        Ok(received?.filter(|_| !self.is(Fault::ForgetsToReceive)).map(|mut received| {
            match self.fault {
                Fault::BlamesAnother => received.from.set_port(53),
                Fault::StampsTheFuture => received.at += Duration::from_secs(1),
                Fault::CutsInSilence => received.truncated = false,
                _ => {}
            }
            received
        }))
    }

    fn close(&mut self, handle: Self::Handle) {
        self.sim.close(handle);
    }

    fn link_open(&mut self, at: u32, filter: LinkFilter) -> Result<Self::Handle, ErrorKind> {
        self.sim.link_open(at, filter)
    }

    fn link_send(
        &mut self,
        handle: Self::Handle,
        to: Mac,
        ethertype: u16,
        payload: &[u8],
    ) -> Result<(), ErrorKind> {
        self.told = true;
        if self.is(Fault::DropsFrames) {
            return Ok(());
        }
        self.sim.link_send(handle, to, ethertype, payload)
    }

    fn link_receive(
        &mut self,
        handle: Self::Handle,
        buffer: &mut [u8],
    ) -> Result<Option<ReceivedFrame>, ErrorKind> {
        if self.is(Fault::HearsItself) && core::mem::take(&mut self.told) {
            let (from, at) = (Mac::default(), self.sim.now());
            let checksum = Checksum::Complete;
            return Ok(Some(ReceivedFrame { length: 46, from, ethertype: 0x0806, checksum, at }));
        }
        let received = self.sim.link_receive(handle, buffer)?;
        // A filter that looks for the port where it is without options.
        let options = buffer.first().is_some_and(|first| first & 0xF != 5);
        let left_out = self.is(Fault::FiltersTooMuch) && options;
        let hidden = self.is(Fault::HidesTheSender);
        Ok(received.filter(|_| !left_out).map(|frame| ReceivedFrame {
            from: if hidden { Mac::default() } else { frame.from },
            ..frame
        }))
    }

    fn interface(&mut self, name: &str) -> Result<Interface, ErrorKind> {
        let name = if self.is(Fault::InventsInterfaces) { "eth0" } else { name };
        self.sim.interface(name)
    }

    fn watch_open(&mut self) -> Result<Self::Handle, ErrorKind> {
        let handle = self.sim.watch_open()?;
        if self.is(Fault::WatchesFromNowOn) {
            while self.sim.watch_receive(handle)?.is_some() {}
        }
        Ok(handle)
    }

    fn watch_receive(&mut self, h: Self::Handle) -> Result<Option<InterfaceChange>, ErrorKind> {
        self.sim.watch_receive(h)
    }

    fn interface_up(&mut self, interface: u32) -> Result<(), ErrorKind> {
        self.sim.interface_up(interface)
    }

    fn interface_down(&mut self, interface: u32) -> Result<(), ErrorKind> {
        if self.is(Fault::StaysUp) { Ok(()) } else { self.sim.interface_down(interface) }
    }

    fn mtu_set(&mut self, interface: u32, mtu: u32) -> Result<(), ErrorKind> {
        if self.is(Fault::ForgetsTheMtu) { Ok(()) } else { self.sim.mtu_set(interface, mtu) }
    }

    fn source(&mut self, destination: IpAddr) -> Result<Option<Source>, ErrorKind> {
        if self.is(Fault::SendsAsAnother) {
            return Ok(Some(Source { address: destination, prefix: 24, deprecated: false }));
        }
        self.sim.source(destination)
    }

    fn address_add(&mut self, at: u32, config: &AddressConfig) -> Result<(), ErrorKind> {
        match self.sim.address_add(at, config) {
            Err(ErrorKind::Exists) if self.is(Fault::TakesAddressesOver) => Ok(()),
            added => added,
        }
    }

    fn address_remove(&mut self, at: u32, config: &AddressConfig) -> Result<(), ErrorKind> {
        if self.is(Fault::KeepsAddresses) {
            return Ok(());
        }
        self.sim.address_remove(at, config)
    }

    fn route_add(&mut self, at: u32, config: &RouteConfig) -> Result<(), ErrorKind> {
        match self.sim.route_add(at, config) {
            Err(ErrorKind::Exists) if self.is(Fault::AddsRoutesTwice) => Ok(()),
            added => added,
        }
    }

    fn route_remove(&mut self, at: u32, config: &RouteConfig) -> Result<(), ErrorKind> {
        self.sim.route_remove(at, config)
    }

    fn set_clock(&mut self, adjust: Adjust) -> Result<(), ErrorKind> {
        match self.fault {
            Fault::SetsTheClock | Fault::SetsItElsewhere => Ok(()),
            _ => self.sim.set_clock(adjust),
        }
    }

    fn clock_rate(&mut self, ppb: i64) -> Result<(), ErrorKind> {
        if self.is(Fault::TurnsTheClock) { Ok(()) } else { self.sim.clock_rate(ppb) }
    }

    fn clock_leap(&mut self, leap: LeapSecond) -> Result<(), ErrorKind> {
        if self.is(Fault::TellsOfLeapSeconds) { Ok(()) } else { self.sim.clock_leap(leap) }
    }

    fn clock_synchronised(&mut self, error: Option<Duration>) -> Result<(), ErrorKind> {
        if self.is(Fault::DoubtsTheClock) { Ok(()) } else { self.sim.clock_synchronised(error) }
    }

    fn reboot(&mut self, _: Reboot) -> Result<core::convert::Infallible, ErrorKind> {
        Err(if self.is(Fault::Reboots) { ErrorKind::Failed } else { ErrorKind::PermissionDenied })
    }
}

/// Makes simulated ports with a fault.
struct Workshop {
    simulation: Simulation,
    fault: Fault,
}

impl Rig for Workshop {
    type Platform = Broken;

    fn platform(&mut self) -> Broken {
        let mut sim = self.simulation.sim();
        if self.fault == Fault::RandomSeeded {
            sim = Sim::new(4);
        }
        let fault = self.fault;
        Broken { sim, fault, readings: 0, next_port: 50_000, told: false, held: false }
    }

    fn suspend(&mut self, broken: &mut Broken, span: Duration) -> bool {
        if !broken.is(Fault::ClockForgetsSuspend) {
            broken.sim.suspend(span);
        }
        true
    }

    fn udp(&mut self) -> UdpPeer {
        self.simulation.udp()
    }

    fn wire(&mut self) -> Option<&'static str> {
        self.simulation.wire()
    }

    fn far_send(&mut self, _: &mut Broken, to: Mac, kind: u16, payload: &[u8]) -> Option<Mac> {
        let to = if self.fault == Fault::HearsEverything { Mac::BROADCAST } else { to };
        Some(self.simulation.send(to, kind, payload))
    }

    fn far_receive(&mut self, _: &mut Broken, payload: &mut [u8]) -> Option<(usize, u16)> {
        self.simulation.receive(payload)
    }

    fn playground(&mut self) -> Option<&'static str> {
        self.simulation.playground()
    }

    fn clock(&self) -> Authority {
        self.simulation.clock()
    }
}

#[test]
fn each_fault_of_a_platform_is_found() {
    for (fault, promise) in [
        (Fault::ClockGoesBack, Promise::ClockMonotonic),
        (Fault::ClockStandsStill, Promise::ClockRuns),
        (Fault::ClockForgetsSuspend, Promise::ClockCountsSuspend),
        (Fault::ClockFollowsTheWall, Promise::ClockGuarded),
        (Fault::WaitsTooLong, Promise::WaitEnds),
        (Fault::RoundsDown, Promise::WaitSleeps),
        (Fault::RandomEqual, Promise::RandomDiffers),
        (Fault::RandomShort, Promise::RandomFills),
        (Fault::RandomSeeded, Promise::RandomAnew),
        (Fault::MakesDatagramsUp, Promise::UdpEmpty),
        (Fault::ForgetsToReceive, Promise::UdpCarries),
        (Fault::BlamesAnother, Promise::UdpCarries),
        (Fault::StampsTheFuture, Promise::UdpCarries),
        (Fault::CutsInSilence, Promise::UdpTruncated),
        (Fault::TellsOnce, Promise::PollLevel),
        (Fault::PortsInARow, Promise::UdpPorts),
        (Fault::HearsStrangers, Promise::UdpPeerOnly),
        (Fault::GivesAPortTwice, Promise::UdpTaken),
        (Fault::RefusesForEver, Promise::UdpGoesOn),
        (Fault::InventsInterfaces, Promise::InterfaceUnknown),
        (Fault::DropsFrames, Promise::LinkSends),
        (Fault::HearsItself, Promise::LinkSends),
        (Fault::HidesTheSender, Promise::LinkReceives),
        (Fault::HearsEverything, Promise::LinkReceives),
        (Fault::FiltersTooMuch, Promise::LinkFilters),
        (Fault::WatchesFromNowOn, Promise::WatchTells),
        (Fault::StaysUp, Promise::InterfaceDown),
        (Fault::ForgetsTheMtu, Promise::MtuKept),
        (Fault::TakesAddressesOver, Promise::AddressKept),
        (Fault::KeepsAddresses, Promise::AddressKept),
        (Fault::AddsRoutesTwice, Promise::RouteKept),
        (Fault::SendsAsAnother, Promise::SourceOnLink),
        (Fault::TurnsTheClock, Promise::ClockGuarded),
        (Fault::TellsOfLeapSeconds, Promise::ClockGuarded),
        (Fault::DoubtsTheClock, Promise::ClockGuarded),
        (Fault::SetsTheClock, Promise::ClockGuarded),
        (Fault::SetsItElsewhere, Promise::ClockGuarded),
        (Fault::Reboots, Promise::RebootGuarded),
    ] {
        let clock_allowed = matches!(fault, Fault::ClockFollowsTheWall | Fault::SetsItElsewhere);
        let simulation = Simulation::new(clock_allowed);
        let report = check_platform(&mut Workshop { simulation, fault });
        let found = report.finding(promise).is_some_and(|finding| finding.is_broken());
        assert!(found, "{fault:?} breaks {promise}, which was not found\n{report}");
    }
}
