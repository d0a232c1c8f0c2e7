//! `bringup up` as a service: what it does for the machine around it, and what can be asked of it.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bringup_tests::lab::network::{DEVICE_INTERFACE, Network};
use bringup_tests::lab::servers::{self, Server};
use bringup_tests::lab::{Host, Lab, bringup};

mod hooks;
mod manager;
mod reload;
mod resolv_conf;
mod status;
mod systemd;

/// A network with everything that a device needs.
struct Served {
    network: Network,
    _servers: [Server; 2],
}

fn served(lab: &Lab) -> Served {
    let network = Network::plain(lab);
    let servers =
        [servers::dnsmasq(&network.server, ""), servers::chronyd(&network.server, servers::LOCAL)];
    Served { network, _servers: servers }
}

/// A running `up`, OPERATIONAL already.
fn up(device: &Host, options: &[&str]) -> Server {
    let mut command = device.command(bringup());
    operational(device, command.args(["up", DEVICE_INTERFACE, "--json"]).args(options))
}

/// What this command starts, OPERATIONAL already.
fn operational(device: &Host, command: &mut Command) -> Server {
    let log = device.folder().join("up.log");
    Server::start(device, "up", command, || {
        fs::read_to_string(&log).is_ok_and(|log| log.contains(r#""to":"OPERATIONAL""#))
    })
}

/// Ends it as a service manager does. It must end well.
fn end(mut up: Server) -> String {
    up.signal(libc::SIGTERM);
    let code = up.wait();
    assert_eq!(code, 0, "{}", up.log());
    up.log()
}

/// A program on a host: a shell script.
fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    fs::write(&file, format!("#!/bin/sh\n{text}\n")).expect("the host's own folder");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("it is ours");
    file
}
