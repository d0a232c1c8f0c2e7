//! The servers of a lease, told to other programs: by a file that can be moved, by one that is a mount,
//! by resolvconf and by systemd-resolved.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bringup_tests::lab::network::DEVICE_INTERFACE;
use bringup_tests::lab::{self, bringup, eventually, run};

use super::{end, operational, script, served, up};

const WRITTEN: &str = "search lab.test corp.test\nnameserver 10.99.0.1\n";

#[test]
fn the_file_comes_and_goes_with_the_service() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let served = served(lab);
        let device = &served.network.device;
        let file = device.folder().join("names");
        fs::write(&file, "nameserver 192.0.2.1\n").unwrap();
        let file_text = file.to_str().unwrap();
        let up = up(device, &["--resolv-conf", "file", "--resolv-conf-file", file_text]);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("# Written by bringup") && text.ends_with(WRITTEN), "{text}");
        end(up);
        assert_eq!(fs::read_to_string(&file).unwrap(), "nameserver 192.0.2.1\n");
        assert_eq!(
            fs::read_dir(device.folder()).unwrap().flatten().count(),
            3,
            "nothing beside it"
        );
    });
}

#[test]
fn everybody_may_read_the_file_of_a_service_with_a_narrow_umask() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let served = served(lab);
        let device = &served.network.device;
        let file = device.folder().join("names");
        let mut command = device.command(Path::new("/bin/sh"));
        command.args(["-c", r#"umask 077; exec "$0" "$@""#]).arg(bringup());
        command.args(["up", DEVICE_INTERFACE, "--json", "--resolv-conf", "file"]);
        let up = operational(device, command.arg("--resolv-conf-file").arg(&file));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        end(up);
    });
}

/// On a laboratory's host /etc/resolv.conf is a mount, as it is in a container: nothing can be moved onto
/// it.
#[test]
fn a_file_that_is_a_mount_is_written_in_place() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let served = served(lab);
        let device = &served.network.device;
        let file = device.folder().join("resolv.conf");
        let before = fs::read_to_string(&file).unwrap();
        let up = up(device, &["--resolv-conf", "file"]);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.ends_with(WRITTEN), "{text}");
        end(up);
        assert_eq!(fs::read_to_string(&file).unwrap(), before);
    });
}

#[test]
fn keep_leaves_the_names_and_the_next_run_gives_the_first_ones_back() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let served = served(lab);
        let device = &served.network.device;
        let file = device.folder().join("names");
        fs::write(&file, "nameserver 192.0.2.1\n").unwrap();
        let options = ["--resolv-conf", "file", "--resolv-conf-file", file.to_str().unwrap()];
        end(up(device, &[&options[..], &["--keep"]].concat()));
        assert!(fs::read_to_string(&file).unwrap().ends_with(WRITTEN));
        end(up(device, &options));
        assert_eq!(fs::read_to_string(&file).unwrap(), "nameserver 192.0.2.1\n");
    });
}

#[test]
fn a_dry_run_tells_nobody() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let served = served(lab);
        let device = &served.network.device;
        let before = fs::read_to_string(device.folder().join("resolv.conf")).unwrap();
        let ran = device.folder().join("ran");
        let hook = script(device.folder(), "hook", &format!("echo >{}", ran.display()));
        let mut command = device.command(lab::bringup());
        command.args(["up", "veth0", "--dry-run", "--resolv-conf", "file", "--hook"]).arg(hook);
        run(&mut command, lab::PATIENCE).expect_code(0);
        assert_eq!(fs::read_to_string(device.folder().join("resolv.conf")).unwrap(), before);
        assert!(!ran.exists());
    });
}

/// What stands in for a program of the machine says how it was called, and what it read.
fn stand_in(folder: &std::path::Path, name: &str) -> std::path::PathBuf {
    let called = folder.join("called");
    script(folder, name, &format!("{{ echo \"{name} $*\"; cat; }} >>{}", called.display()));
    called
}

#[test]
fn resolvconf_and_resolved_are_told_and_told_again_at_the_end() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let served = served(lab);
        let device = &served.network.device;
        let before = fs::read_to_string(device.folder().join("resolv.conf")).unwrap();
        for (way, program, told, at_the_end) in [
            ("resolvconf", "resolvconf", WRITTEN, "resolvconf -d veth0.bringup\n"),
            (
                "resolved",
                "resolvectl",
                "resolvectl dns veth0 10.99.0.1\nresolvectl domain veth0 lab.test corp.test\n",
                "resolvectl revert veth0\n",
            ),
        ] {
            let called = stand_in(device.folder(), program);
            let path = format!("{}:{}", device.folder().display(), std::env::var("PATH").unwrap());
            let mut command = device.command(lab::bringup());
            command.env("PATH", path).args(["up", "veth0", "--once", "--resolv-conf", way]);
            run(&mut command, lab::PATIENCE).expect_code(0);
            let text = fs::read_to_string(&called).unwrap();
            assert!(text.contains(told) && text.ends_with(at_the_end), "{way}: {text}");
            fs::remove_file(called).unwrap();
        }
        assert_eq!(fs::read_to_string(device.folder().join("resolv.conf")).unwrap(), before);
    });
}

#[test]
fn a_file_that_somebody_else_has_written_is_left_and_said_so() {
    lab::within(&["dnsmasq", "chronyd"], |lab| {
        let served = served(lab);
        let device = &served.network.device;
        let file = device.folder().join("names");
        let up =
            up(device, &["--resolv-conf", "file", "--resolv-conf-file", file.to_str().unwrap()]);
        eventually("the file", || file.exists().then_some(()));
        fs::write(&file, "nameserver 192.0.2.2\n").unwrap();
        let log = end(up);
        assert_eq!(fs::read_to_string(&file).unwrap(), "nameserver 192.0.2.2\n");
        assert!(log.contains("somebody else"), "{log}");
    });
}
