//! The conformance kit: does a port keep the promises that the core builds on?
//!
//! A port's own crate calls [`check`] from a test, or from a program on the device, with a [`Rig`]
//! that makes its platform, and gets a [`Report`]. Each check bears the name of the [`Promise`] that it
//! tests; they are made in the order in which things begin to work (`platform/PORTING.md` follows the
//! same order), so that the first broken one is the one to mend. `no_std`, no heap, no thread of its
//! own: where a second context is needed, the rig runs it.
//!
//! `time`, `sharing`, `random`, `udp`, `tcp`, `link`, `interface` and `authority` hold the checks,
//! [`threads`] what a rig with std can use. `platform/tests/conformance` has rigs to copy, and ports
//! that are broken on purpose: the kit finds each.

mod authority;
mod interface;
mod link;
mod promise;
mod random;
mod report;
mod sharing;
mod tcp;
#[cfg(feature = "std")]
pub mod threads;
mod time;
mod udp;

use core::net::{IpAddr, SocketAddr};

use bringup_core::client::Mac;
use bringup_core::platform::{Arm, Interface, Platform, PlatformError, SystemOps};
use bringup_core::poll::{Poll, Readiness, Token};
use bringup_core::time::{Duration, Instant};

pub use self::promise::Promise;
pub use self::report::{Finding, Report};

/// What the kit is told about a port, and given to test it with. Whatever a rig does not give is
/// reported as [`Finding::Unchecked`].
pub trait Rig {
    /// The port.
    type Platform: Platform;

    /// A platform, freshly made. The kit asks several times, and each time after it has dropped the
    /// last one.
    fn platform(&mut self) -> Self::Platform;

    /// Is told what is to be checked next: whoever watches a port that hangs knows where.
    fn begin(&mut self, promise: Promise) {
        let _ = promise;
    }

    /// How long something may take that takes next to no time, on this machine as it is loaded now.
    fn patience(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// Some clock that is not the port's, read in any unit of time since any start. A port whose
    /// clock runs too fast or too slow is found only with it.
    fn stopwatch(&mut self) -> Option<Duration> {
        None
    }

    /// Whether the port says that its clock counts the time that the machine is suspended.
    fn counts_suspend(&self) -> bool {
        true
    }

    /// Lets the machine be suspended for so long, really or as if. Whether that was done.
    fn suspend(&mut self, platform: &mut Self::Platform, span: Duration) -> bool {
        let _ = (platform, span);
        false
    }

    /// With whom datagrams can be exchanged.
    fn udp(&mut self) -> UdpPeer {
        UdpPeer::Nobody
    }

    /// A TCP server that sends back the first sixteen bytes of a connection and then closes it. Port 1
    /// of its address refuses connections.
    fn tcp_echo(&mut self) -> Option<SocketAddr> {
        None
    }

    /// The name of an interface whose wire the rig has its hands on, with [`far_send`](Self::far_send)
    /// and [`far_receive`](Self::far_receive).
    fn wire(&mut self) -> Option<&'static str> {
        None
    }

    /// Sends a frame to the interface from the far end of the wire. Returns the sender's address, or
    /// `None` if that is not possible.
    fn far_send(
        &mut self,
        platform: &mut Self::Platform,
        to: Mac,
        ethertype: u16,
        payload: &[u8],
    ) -> Option<Mac> {
        let _ = (platform, to, ethertype, payload);
        None
    }

    /// Takes a frame that arrived at the far end: its length and its EtherType.
    fn far_receive(
        &mut self,
        platform: &mut Self::Platform,
        payload: &mut [u8],
    ) -> Option<(usize, u16)> {
        let _ = (platform, payload);
        None
    }

    /// The name of an interface that the kit may set up and give addresses and routes of 192.0.2.0/24
    /// and 198.51.100.0/24. It takes them off again.
    fn playground(&mut self) -> Option<&'static str> {
        None
    }

    /// Whether the platforms of this rig may change the machine's clock. If so the kit moves it by ten
    /// seconds and back: not for a machine that anybody uses.
    fn clock(&self) -> Authority {
        Authority::Refused
    }

    /// Whether they may restart the machine. If so the kit does not try.
    fn reboot(&self) -> Authority {
        Authority::Refused
    }
}

/// What a port shares between contexts: its lock and its wake.
pub trait SharedRig: Rig<Platform: Arm<Self::Ops>> {
    /// The lock and the wake of the port. Both are `Sync`, as a queue in a static asks for.
    type Ops: SystemOps<Lock: Sync, Wake: Sync>;

    /// A free lock.
    fn lock(&mut self) -> <Self::Ops as SystemOps>::Lock;

    /// An unarmed wake.
    fn wake(&mut self) -> <Self::Ops as SystemOps>::Wake;

    /// Runs `here` on the calling thread, and while it runs calls `there` again and again from another
    /// context that may post: a thread, an interrupt. About a thousand calls a second are right; after
    /// this has returned there are none. Without such a context it returns false and calls neither.
    fn beside(&mut self, there: &(dyn Fn() + Sync), here: &mut dyn FnMut()) -> bool {
        let _ = (there, here);
        false
    }

    /// Runs `f` and catches its panic; whether it could. Not where a panic ends the program.
    fn catch(&mut self, f: &mut dyn FnMut()) -> bool {
        let _ = f;
        false
    }
}

/// With whom a platform can exchange datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UdpPeer {
    /// With itself, over this address: 127.0.0.1, as a rule.
    Itself(IpAddr),
    /// With a station that sends every datagram back.
    Echo {
        /// The address to bind to.
        local: IpAddr,
        /// The station.
        to: SocketAddr,
    },
    /// With nobody.
    Nobody,
}

/// What the platforms of a rig were allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// Nothing: they have to refuse.
    Refused,
    /// They may.
    Granted,
}

/// How a check ended.
type Checked = Result<(), Finding>;

/// A promise that is not kept.
const fn broken(how: &'static str) -> Finding {
    Finding::Broken(how)
}

/// A promise that could not be tested.
const fn unchecked(why: &'static str) -> Finding {
    Finding::Unchecked(why)
}

/// Turns the refusal of an operation that every port has to have into a finding.
fn needed<E: PlatformError>(how: &'static str) -> impl FnOnce(E) -> Finding {
    move |error| Finding::Failed(how, error.kind())
}

/// Turns the refusal of an operation that a port may do without into a finding: that the port does not
/// have it breaks no promise.
fn failed<E: PlatformError>(how: &'static str) -> impl FnOnce(E) -> Finding {
    move |error| match error.kind() {
        bringup_core::error::ErrorKind::Unsupported => {
            unchecked("the port says that it does not have this; the contract says what is lost")
        }
        kind => Finding::Failed(how, kind),
    }
}

/// Breaks a promise unless something is so.
fn ensure(so: bool, how: &'static str) -> Checked {
    if so { Ok(()) } else { Err(broken(how)) }
}

/// Checks everything: [`check_platform`], and what the port shares between contexts.
pub fn check<R: SharedRig>(rig: &mut R) -> Report {
    let mut report = Report::new();
    time::all(rig, &mut report);
    sharing::all(rig, &mut report);
    rest(rig, &mut report);
    report
}

/// Checks a port that has one context and therefore no lock and no wake that could be shared.
pub fn check_platform<R: Rig>(rig: &mut R) -> Report {
    let mut report = Report::new();
    time::all(rig, &mut report);
    rest(rig, &mut report);
    for promise in Promise::ALL {
        if report.finding(promise).is_none() {
            report.note(promise, Err(unchecked("nothing is shared: check_platform was called")));
        }
    }
    report
}

fn rest<R: Rig>(rig: &mut R, report: &mut Report) {
    random::all(rig, report);
    udp::all(rig, report);
    tcp::all(rig, report);
    link::all(rig, report);
    interface::all(rig, report);
    authority::all(rig, report);
}

/// Makes one check.
fn run<R: Rig>(
    rig: &mut R,
    report: &mut Report,
    promise: Promise,
    check: impl FnOnce(&mut R) -> Checked,
) {
    rig.begin(promise);
    let checked = check(rig);
    report.note(promise, checked);
}

/// After so many waits that ended at once the clock is not believed to go on.
const STANDSTILL: u32 = 100_000;

const NO_TIME: Finding = broken("the clock stands still, or no wait waits");

/// A descriptor of the kit.
const TOKEN: Token = Token(7);

/// Waits until `token` is ready or `deadline` has passed; wakes and the platform's own clock are
/// passed over.
fn wait_for<P: Platform>(
    platform: &mut P,
    token: Token,
    deadline: Instant,
) -> Result<Option<Readiness>, Finding> {
    for _ in 0..STANDSTILL {
        platform.wait(Some(deadline)).map_err(needed("a wait failed"))?;
        while let Some((of, readiness)) = platform.poller().next_ready() {
            if of == token {
                return Ok(Some(readiness));
            }
        }
        if platform.now() >= deadline {
            return Ok(None);
        }
    }
    Err(NO_TIME)
}

/// The end of the rig's patience, from now.
fn late<R: Rig>(rig: &R, platform: &mut R::Platform) -> Instant {
    platform.now() + rig.patience()
}

/// An interface that is up and has a carrier, which may take a moment.
fn ready_interface<R: Rig>(
    rig: &R,
    platform: &mut R::Platform,
    name: &str,
) -> Result<Interface, Finding> {
    let deadline = late(rig, platform);
    let found = platform.interface(name).map_err(failed("the interface was not found"))?;
    platform.interface_up(found.index).map_err(failed("it could not be set up"))?;
    loop {
        let found = platform.interface(name).map_err(failed("it was not found again"))?;
        if found.up && found.carrier {
            return Ok(found);
        }
        let now = platform.now();
        ensure(now < deadline, "an interface that was set up got no carrier")?;
        let soon = now + Duration::from_millis(2);
        wait_for(platform, TOKEN, soon)?;
    }
}
