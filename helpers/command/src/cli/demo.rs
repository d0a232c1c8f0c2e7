//! `bringup demo`: the whole bring-up on a private network, with servers of its own.
//!
//! The program moves into a user and a network namespace of its own, a thread moves on into a second
//! one, and a veth pair joins them: the near side runs the real client over real frames, the far side
//! small servers. Where any step of that is forbidden the same scenario runs in the simulator. No
//! file is written, and the clock is only looked at.

use std::os::fd::AsFd as _;
use std::sync::mpsc;
use std::thread;

use bringup_core::client::Mac;
use bringup_core::platform::{Platform as _, PlatformError as _};
use bringup_core::poll::{PollStorage, UnixPoll};
use bringup_core::time::{Duration, Instant, Utc};
use bringup_platform::error::OsError;
use bringup_platform::linux::{EventWake, Linux, LinuxOps, namespace};
use bringup_platform::lock::StdLock;
use bringup_platform::sim::{Sim, SimOps, SimWake, true_utc};
use bringup_system::{Config, NtpName};

use super::bring_up::{self, Ops, Setup};
use super::exit::Exit;
use super::output::Output;
use super::saved_clock::built;
use super::session::Plan;
use crate::demo::{NAME, NTP_NAME, far_side, simulated};

/// The two ends of the cable.
const NEAR: &str = "near0";
const FAR: &str = "far0";

/// Far more than a bring-up over a good wire takes.
const DEADLINE: Duration = Duration::from_secs(20);

/// By how much the simulated machine's clock is off, nanoseconds.
const SIMULATED_ERROR_NS: i64 = -1_500_000_000;

const NTP_NAMES: &[NtpName<'_>] = &[NtpName { name: NTP_NAME, port: 123 }];

/// Runs the demonstration.
#[inline(never)] // its memory is on the stack, and no other command needs it
pub fn run(output: &mut Output) -> Exit {
    match namespace::enter().and_then(|()| with_real_wires(output)) {
        Ok(exit) => exit,
        Err(error) => {
            output.note(&format!(
                "No private network can be made here ({error}); the same bring-up follows on a \
                 simulated one, in virtual time."
            ));
            with_simulated_wires(output)
        }
    }
}

fn setup<H>(interfaces: &[String], floor: Utc, epoch: Option<Instant>) -> Setup<'_, H> {
    let mut system =
        Config { ntp_names: NTP_NAMES, ..Config::new(bringup_ntp::Config::new(floor)) };
    system.resolver.sockets_per_server = 8;
    Setup {
        interfaces,
        dhcp: bringup_dhcp::Config::new(Mac::default()),
        system,
        plan: Plan {
            show_options: Vec::new(),
            once: true,
            until_lease: false,
            resolve: vec![NAME.into()],
            deadline: Some(DEADLINE),
            from_file: false,
            epoch,
        },
        signals: None,
        attach: true,
        state: None,
        hosts: None,
    }
}

/// Fails only as long as nothing has been shown: then the simulation can take over.
fn with_real_wires(output: &mut Output) -> Result<Exit, OsError> {
    let mut polls = PollStorage::new();
    let queue = far_side::queue();
    let (namespace_made, namespace_of) = mpsc::channel();
    let (cable_laid, cable) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let far = scope.spawn(|| {
            let cable = move || cable.recv().is_ok();
            far_side::run(FAR, &queue, &mut polls, &namespace_made, cable)
        });
        let near = (|| {
            // It always sends, unless it panics; then so does the scope.
            let namespace = namespace_of.recv().unwrap_or_else(|_| Err(OsError::unsupported()))?;
            namespace::veth_pair(NEAR, FAR, Some(namespace.as_fd()))?;
            output.say(&format!(
                "A private network of two namespaces and a veth pair ({NEAR} - {FAR}); DHCP, DNS and \
                 NTP servers of our own at the far end."
            ));
            // Refused only if the far side has failed; the client will see nobody.
            let _ = cable_laid.send(());
            let mut watched = PollStorage::<{ bring_up::WATCHED }>::new();
            let platform = Linux::new(UnixPoll::new(&mut watched))?;
            let ops = Ops::<LinuxOps> { lock: StdLock::new(), wake: EventWake::new() };
            let interfaces = [NEAR.to_owned()];
            let setup = setup(&interfaces, built(), None);
            Ok(bring_up::run(platform, ops, setup, output, None, Vec::new))
        })();
        drop(cable_laid);
        far_side::end(&queue);
        if let Ok(Err(error)) = far.join() {
            output.problem("the far side", error.to_string(), "try the demo as another user");
        }
        near
    })
}

fn with_simulated_wires(output: &mut Output) -> Exit {
    let mut sim = Sim::new(1);
    let near = sim.add_interface(NEAR, Mac([0x02, 0, 0, 0, 0, 2]));
    sim.add_peer(near, simulated::FarSide::default());
    sim.set_carrier(near, true);
    sim.step_wall(SIMULATED_ERROR_NS);
    let epoch = sim.now();
    let ops = Ops::<SimOps> { lock: StdLock::new(), wake: SimWake::new() };
    let interfaces = [NEAR.to_owned()];
    // The simulation has a time of its own, and the floor is its beginning.
    let setup = setup(&interfaces, true_utc(epoch), Some(epoch));
    bring_up::run(sim, ops, setup, output, None, Vec::new)
}
