//! Three more DHCP servers, each with a pool of its own in `10.99.0.0/24` and leases of seconds.

use std::fs;
use std::path::Path;

use super::Host;
use super::network::{SERVER, SERVER_INTERFACE};
use super::servers::Server;

/// What a server gives out.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// The first address.
    pub first: &'static str,
    /// The last address.
    pub last: &'static str,
    /// For how long, seconds.
    pub lease_s: u32,
    /// T1, seconds. udhcpd sends none.
    pub t1_s: u32,
    /// T2, seconds. udhcpd sends none.
    pub t2_s: u32,
    /// What the server calls itself (option 54), where it can be told.
    pub server: &'static str,
}

impl Default for Pool {
    fn default() -> Self {
        let (first, last) = ("10.99.0.50", "10.99.0.99");
        Self { first, last, lease_s: 120, t1_s: 60, t2_s: 105, server: SERVER }
    }
}

fn said(log: &Path, what: &str) -> bool {
    fs::read_to_string(log).is_ok_and(|log| log.contains(what))
}

/// Kea. It forgets its leases when it ends, and refuses addresses that it does not know.
#[must_use]
pub fn kea(host: &Host, pool: &Pool) -> Server {
    let Pool { first, last, lease_s, t1_s, t2_s, .. } = pool;
    let file = host.folder().join("kea.json");
    let text = format!(
        r#"{{ "Dhcp4": {{
            "interfaces-config": {{ "interfaces": [ "{SERVER_INTERFACE}" ], "dhcp-socket-type": "raw" }},
            "lease-database": {{ "type": "memfile", "persist": false }},
            "authoritative": true,
            "valid-lifetime": {lease_s}, "renew-timer": {t1_s}, "rebind-timer": {t2_s},
            "option-data": [
                {{ "name": "routers", "data": "{SERVER}" }},
                {{ "name": "domain-name-servers", "data": "{SERVER}" }},
                {{ "name": "ntp-servers", "data": "{SERVER}" }}
            ],
            "subnet4": [ {{
                "subnet": "10.99.0.0/24", "interface": "{SERVER_INTERFACE}",
                "pools": [ {{ "pool": "{first} - {last}" }} ]
            }} ],
            "loggers": [ {{ "name": "kea-dhcp4", "severity": "INFO",
                "output_options": [ {{ "output": "stdout" }} ] }} ]
        }} }}"#
    );
    fs::write(&file, text).expect("the host's own folder");
    let mut command = host.command("kea-dhcp4");
    command.env("KEA_PIDFILE_DIR", host.folder()).env("KEA_LOCKFILE_DIR", "none");
    command.arg("-c").arg(file);
    let log = host.folder().join("kea-dhcp4.log");
    Server::start(host, "kea-dhcp4", &mut command, || said(&log, "DHCP4_STARTED"))
}

/// ISC dhcpd. Whoever asks for an address of its pool may have it.
#[must_use]
pub fn dhcpd(host: &Host, pool: &Pool) -> Server {
    let Pool { first, last, lease_s, t1_s, t2_s, server } = pool;
    let (file, leases) = (host.folder().join("dhcpd.conf"), host.folder().join("dhcpd.leases"));
    let text = format!(
        "authoritative; ping-check false; ddns-update-style none;\n\
         default-lease-time {lease_s}; max-lease-time {lease_s}; min-lease-time {lease_s};\n\
         option dhcp-renewal-time {t1_s}; option dhcp-rebinding-time {t2_s};\n\
         server-identifier {server};\n\
         subnet 10.99.0.0 netmask 255.255.255.0 {{\n\
           range {first} {last}; option routers {SERVER};\n\
           option domain-name-servers {SERVER}; option ntp-servers {SERVER};\n\
         }}\n"
    );
    fs::write(&file, text).expect("the host's own folder");
    fs::write(&leases, "").expect("the host's own folder");
    let mut command = host.command("dhcpd");
    command.args(["-4", "-f", "-d", "--no-pid", "-cf"]).arg(file);
    command.arg("-lf").arg(leases).arg(SERVER_INTERFACE);
    let log = host.folder().join("dhcpd.log");
    Server::start(host, "dhcpd", &mut command, || said(&log, "Server starting service."))
}

/// udhcpd of busybox. It looks for two seconds whether an address is in use before it offers it.
#[must_use]
pub fn udhcpd(host: &Host, pool: &Pool) -> Server {
    let Pool { first, last, lease_s, .. } = pool;
    let folder = host.folder();
    let (file, leases) = (folder.join("udhcpd.conf"), folder.join("udhcpd.leases"));
    let text = format!(
        "start {first}\nend {last}\ninterface {SERVER_INTERFACE}\nmin_lease 1\n\
         lease_file {}\npidfile {}\nopt subnet 255.255.255.0\nopt router {SERVER}\n\
         opt dns {SERVER}\nopt ntpsrv {SERVER}\nopt lease {lease_s}\n",
        leases.display(),
        folder.join("udhcpd.pid").display(),
    );
    fs::write(&file, text).expect("the host's own folder");
    fs::write(&leases, "").expect("the host's own folder");
    let mut command = host.command("busybox");
    command.args(["udhcpd", "-f", "-I", SERVER]).arg(file);
    let log = folder.join("udhcpd.log");
    Server::start(host, "udhcpd", &mut command, || said(&log, "started"))
}
