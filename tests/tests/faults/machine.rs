//! What is done to the machine: its interfaces, its addresses, its disk, its limits.

use std::fs;
use std::os::unix::net::UnixStream;
use std::process::Command;

use bringup_tests::lab::network::{DEVICE_INTERFACE, SERVER_INTERFACE};
use bringup_tests::lab::{self, PATIENCE, bringup, eventually, run};

use super::{LITTLE, Up, World};

#[test]
fn an_interface_that_is_deleted_takes_its_address_along_and_nothing_spins() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let world = World::new(lab);
        let up = Up::start(world.device(), &[]);
        let seen = up.enters(0, "OPERATIONAL");
        world.device().ip(&format!("link delete {DEVICE_INTERFACE}"));
        up.says(seen, "the loss", |event| event["event"] == "address" && event["lost"] == true);
        let before = up.watched().cost();
        // Silence is what is looked for here, so a span has to pass.
        std::thread::sleep(std::time::Duration::from_secs(1));
        let spent = up.watched().cost().processor - before.processor;
        assert!(spent * 10 < std::time::Duration::from_secs(1), "{spent:?} in a second");
        assert_eq!(up.terminate(), 0);
    });
}

/// As when an adapter is pulled out and another one, of the same name, put in.
#[test]
fn an_interface_that_is_deleted_and_made_anew_comes_up_again() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let mut world = World::new(lab);
        let up = Up::start(world.device(), &[]);
        let seen = up.enters(0, "OPERATIONAL");
        world.device().ip(&format!("link delete {DEVICE_INTERFACE}"));
        let seen =
            up.says(seen, "the loss", |event| event["event"] == "address" && event["lost"] == true);
        (world.dnsmasq, world.chronyd) = (None, None);
        let (server, device) = (&world.network.server, &world.network.device);
        lab.cable((server, SERVER_INTERFACE), (device, DEVICE_INTERFACE));
        server.ip(&format!("addr add 10.99.0.1/24 dev {SERVER_INTERFACE}"));
        world.serve_names();
        world.serve_time();
        up.enters(seen, "OPERATIONAL");
        assert_eq!(world.addresses(DEVICE_INTERFACE).len(), 1);
        assert!(up.watched().cost().processor < LITTLE);
        assert_eq!(up.terminate(), 0);
        world.assert_bare();
    });
}

/// An interface is looked for by its name once, and known by its number from then on, as the kernel does.
#[test]
fn an_interface_that_is_renamed_is_still_the_same() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let world = World::new(lab);
        let up = Up::start(world.device(), &[]);
        let seen = up.enters(0, "OPERATIONAL");
        let device = world.device();
        device.ip(&format!("link set {DEVICE_INTERFACE} down"));
        device.ip(&format!("link set {DEVICE_INTERFACE} name other0"));
        device.ip("link set other0 up");
        up.says(seen, "the lease, confirmed", |e| e["event"] == "address" && e["lost"] == false);
        assert_eq!(world.addresses("other0").len(), 1);
        assert!(up.watched().cost().processor < LITTLE);
        assert_eq!(up.terminate(), 0);
        assert_eq!(world.addresses("other0"), Vec::<String>::new());
    });
}

#[test]
fn an_address_that_is_taken_off_by_hand_comes_back() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let world = World::new(lab);
        let up = Up::start(world.device(), &[]);
        up.enters(0, "OPERATIONAL");
        let address = world.addresses(DEVICE_INTERFACE).remove(0);
        world.device().ip(&format!("addr del {address}/24 dev {DEVICE_INTERFACE}"));
        eventually("the address", || {
            (world.addresses(DEVICE_INTERFACE) == [address.as_str()]).then_some(())
        });
        assert_eq!(up.terminate(), 0);
        world.assert_bare();
    });
}

/// The kernel throws messages away when nobody reads them; what they would have said has to be found out.
#[test]
fn what_a_full_netlink_socket_lost_is_found_out() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let world = World::new(lab);
        let up = Up::start(world.device(), &[]);
        up.enters(0, "OPERATIONAL");
        up.server.signal(libc::SIGSTOP);
        eventually("the stop", || up.watched().is_stopped().then_some(()));
        let file = world.device().folder().join("batch");
        let churn = "addr add 192.0.2.7/32 dev lo\naddr del 192.0.2.7/32 dev lo\n".repeat(2_000);
        fs::write(&file, churn).expect("the host's own folder");
        world.device().ip(&format!("-batch {}", file.display()));
        let address = world.addresses(DEVICE_INTERFACE).remove(0);
        world.device().ip(&format!("addr del {address}/24 dev {DEVICE_INTERFACE}"));
        up.server.signal(libc::SIGCONT);
        eventually("the address", || {
            (world.addresses(DEVICE_INTERFACE) == [address.as_str()]).then_some(())
        });
        assert!(up.watched().cost().processor < LITTLE);
        assert_eq!(up.terminate(), 0);
        world.assert_bare();
    });
}

/// Sends that the kernel refuses for lack of room are lost packets, and sent again in their time.
#[test]
fn a_full_queue_is_a_loss_like_any_other() {
    lab::within(&["dnsmasq", "chronyd", "tc"], |lab| {
        let world = World::new(lab);
        let tc = |arguments: &str| {
            let mut tc = world.device().command("tc");
            tc.args(arguments.split(' ')).args(["dev", DEVICE_INTERFACE]);
            run(tc.args(["root", "pfifo", "limit", "0"]), PATIENCE).expect_code(0);
        };
        tc("qdisc add");
        let up = Up::start(world.device(), &[]);
        up.says(0, "the wait", |e| e["event"] == "hold" && e["released"] != true);
        let seen = up.says(0, "that nobody answers", |e| e["event"] == "error");
        tc("qdisc del");
        up.enters(seen, "OPERATIONAL");
        assert!(up.watched().cost().processor < LITTLE);
        assert_eq!(up.terminate(), 0);
        world.assert_bare();
    });
}

#[test]
fn too_few_descriptors_are_a_clear_error_or_enough() {
    lab::within(&["dnsmasq", "chronyd", "prlimit"], |lab| {
        let world = World::new(lab);
        for limit in 4..24 {
            let mut command = world.device().command("prlimit");
            command.arg(format!("--nofile={limit}")).arg(bringup());
            command.args(["up", DEVICE_INTERFACE, "--once", "--json", "--deadline", "3s"]);
            let outcome = run(&mut command, PATIENCE);
            // Nobody else is blamed: what is said last is why it ended.
            let last = outcome.stderr.lines().last().unwrap_or_default();
            assert!(
                outcome.code == 0 || (outcome.code == 2 && last.contains("Too many open files")),
                "{limit} descriptors\n{outcome}"
            );
            world.assert_bare();
        }
    });
}

/// The limit is reached while it runs: who cannot be accepted waits, nothing spins, and what is already there goes
/// on.
#[test]
fn descriptors_that_run_out_later_spin_nothing_and_end_nothing() {
    lab::within(&["dnsmasq", "chronyd", "prlimit"], |lab| {
        let world = World::new(lab);
        let socket = world.device().folder().join("status.sock");
        let up = Up::start(world.device(), &["--socket", socket.to_str().expect("UTF-8")]);
        let seen = up.enters(0, "OPERATIONAL");
        let limit = |limit: u64| {
            let mut command = world.device().command("prlimit");
            command.arg(format!("--pid={}", up.server.id())).arg(format!("--nofile={limit}:"));
            run(&mut command, PATIENCE).expect_code(0);
        };
        let status = || {
            let mut command = world.device().command(bringup());
            run(command.args(["status", "--json", "--socket", "status.sock"]), PATIENCE)
        };
        status().expect_code(0);
        // The next one would be the first that is free.
        limit(up.watched().first_free_descriptor());
        let waiting = UnixStream::connect(&socket).expect("it listens");
        let before = up.watched().cost();
        // Whether it spins can only be seen over a span.
        std::thread::sleep(std::time::Duration::from_secs(3));
        let spent = up.watched().cost().processor - before.processor;
        assert!(spent <= std::time::Duration::from_millis(50), "{spent:?} in three seconds");
        // The lease goes on: it is confirmed when the link comes back, with the sockets that it has or later.
        limit(1_024);
        for state in ["down", "up"] {
            world.network.server.ip(&format!("link set {SERVER_INTERFACE} {state}"));
        }
        up.says(seen, "the lease, confirmed", |e| e["event"] == "address" && e["lost"] == false);
        drop(waiting);
        status().expect_code(0);
        assert_eq!(up.terminate(), 0);
        world.assert_bare();
    });
}

#[test]
fn a_full_disk_costs_what_would_have_been_kept_and_nothing_else() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let world = World::new(lab);
        let state = world.device().folder().join("state");
        fs::create_dir(&state).expect("the host's own folder");
        let mut mount = Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", "size=4k", "full"]).arg(&state);
        run(mount, PATIENCE).expect_code(0);
        let filled = fs::write(state.join("filler"), [0; 8192]);
        assert!(filled.is_err(), "the disk is full");
        let up = Up::start(world.device(), &["--state-dir", state.to_str().expect("UTF-8")]);
        let seen = up.enters(0, "OPERATIONAL");
        up.says(0, "what could not be kept", |e| e["event"] == "error");
        assert!(seen > 0 && up.watched().cost().processor < LITTLE);
        assert_eq!(up.terminate(), 0);
        world.assert_bare();
    });
}

/// Carrier that comes and goes thousands of times, as with a bad contact.
#[test]
fn ten_thousand_flaps_leak_nothing() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let world = World::new(lab);
        let up = Up::start(world.device(), &[]);
        up.enters(0, "OPERATIONAL");
        let file = world.network.server.folder().join("batch");
        let flaps = format!("link set {SERVER_INTERFACE} down\nlink set {SERVER_INTERFACE} up\n");
        let rounds = |count: usize| {
            fs::write(&file, flaps.repeat(count)).expect("the host's own folder");
            world.network.server.ip(&format!("-batch {}", file.display()));
        };
        rounds(500);
        let seen = up.events().len();
        let first = up.watched().cost();
        // In parts: ip(8) is not waited for as long as all of them take on a loaded machine.
        (0..20).for_each(|_| rounds(500));
        let last = up.watched().cost();
        // A client may be between two sockets.
        assert!(last.descriptors <= first.descriptors + 4, "{first:?} → {last:?}");
        assert!(last.resident_kib <= first.resident_kib + 64, "{first:?} → {last:?}");
        // Its addresses went with the link; the server needs one to answer.
        assert!(up.events().len() >= seen);
        assert_eq!(up.terminate(), 0);
        world.assert_bare();
    });
}
