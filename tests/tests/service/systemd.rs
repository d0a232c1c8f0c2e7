//! A real service manager: systemd, as the first process of namespaces of its own, with the unit that is
//! shipped and no other.

use std::fs;
use std::path::Path;

use bringup_tests::lab::network::DEVICE_INTERFACE;
use bringup_tests::lab::servers::Server;
use bringup_tests::lab::{self, Host, bringup, eventually, run};

use super::{script, served};

/// Makes a control group for the manager and everything that it starts, waits for the manager's end, which
/// SIGTERM brings, and takes the group away again.
const OUTSIDE: &str = r#"
mkdir -p cgroup && mount -t cgroup2 cgroup2 cgroup
group=$PWD/cgroup/bringup-laboratory-$(stat -c %i cgroup)-$(cut -d. -f1 /proc/uptime)
mkdir "$group" && echo 0 >"$group/cgroup.procs"
unshare --mount --pid --fork --kill-child --ipc --uts --cgroup ./inside &
manager=$!
trap 'kill -KILL $manager' TERM
while kill -0 $manager 2>/dev/null; do wait $manager; done
echo 0 >cgroup/cgroup.procs
until find "$group" -depth -type d -exec rmdir {} + 2>/dev/null; [ ! -d "$group" ]; do sleep 0.05; done
"#;

/// A machine for the manager: its own /etc, /usr/bin, /var/lib and control groups, no console, nothing of the
/// kernel that it could set, and no rights to the clock and to modules.
const INSIDE: &str = r#"
set -e
# Its number in the /proc that the laboratory sees.
read -r first _ </proc/self/stat && echo "$first" >first
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys
mount -t sysfs -o ro sysfs /sys && mount -t cgroup2 cgroup2 /sys/fs/cgroup
for folder in etc usr/bin; do
    mkdir -p over/$folder work/$folder
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=over/$folder,workdir=work/$folder" /$folder
done
touch /usr/bin/bringup && mount --bind "$bringup" /usr/bin/bringup
mount -t tmpfs tmpfs /var/lib
touch console && mount --bind console /dev/console && mount --bind console /dev/kmsg
rm -rf /etc/systemd/system && mkdir -p /etc/systemd && cp -r units /etc/systemd/system
cp bringup.toml /etc/bringup.toml
export container=lxc
exec setpriv --bounding-set -sys_module,-sys_rawio,-syslog --inh-caps -sys_module,-sys_rawio,-syslog \
    "$systemd" --system --unit=bringup.service --log-target=null --show-status=0
"#;

/// Whether control groups can be had, and more users than one: not in a namespace of an ordinary user.
fn possible(device: &Host) -> bool {
    let users = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let probe = "mkdir -p probe && mount -t cgroup2 cgroup2 probe && \
                 mkdir probe/bringup-probe && rmdir probe/bringup-probe";
    users.trim_end().ends_with("4294967295")
        && run(device.command("sh").args(["-c", probe]), lab::PATIENCE).code == 0
}

/// systemctl(1), beside the manager, which listens to nobody in another namespace of process ids.
fn systemctl(device: &Host, words: &str) -> (i32, String) {
    let beside = r#"exec nsenter --target "$(cat first)" --pid --mount systemctl "$@""#;
    let mut command = device.command("sh");
    command.args(["-c", beside, "systemctl"]).args(words.split(' '));
    let outcome = run(&mut command, lab::PATIENCE);
    (outcome.code, outcome.stdout)
}

/// Waits until the manager says all of this of the unit.
#[track_caller]
fn expect(device: &Host, wanted: &[&str]) {
    const ASKED: &str = "ActiveState,SubState,StatusText,Result,NRestarts,ExecMainStatus";
    let mut said = String::new();
    eventually(&format!("{wanted:?}"), || {
        said = systemctl(device, &format!("show bringup --property={ASKED}")).1;
        wanted.iter().all(|wanted| said.lines().any(|line| line.starts_with(wanted))).then_some(())
    });
}

fn addresses(device: &Host) -> usize {
    let shown = device.ip_json(&format!("-4 address show dev {DEVICE_INTERFACE}"));
    shown.iter().filter_map(|link| link["addr_info"].as_array()).map(Vec::len).sum()
}

#[test]
fn systemd_starts_reloads_restarts_and_stops_the_unit() {
    lab::within(&["dnsmasq", "chronyd", "systemd", "systemctl"], |lab| {
        let served = served(lab);
        let device = &served.network.device;
        if !possible(device) {
            return lab::measured("nothing: a real manager needs root and control groups");
        }
        let folder = device.folder();
        let unit = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../helpers/command/packaging/bringup.service");
        fs::create_dir_all(folder.join("units/bringup.service.d")).unwrap();
        fs::copy(unit, folder.join("units/bringup.service")).unwrap();
        // Of the machine's own units nothing is to be started.
        let alone = "[Unit]\nDefaultDependencies=no\nWants=\n";
        fs::write(folder.join("units/bringup.service.d/alone.conf"), alone).unwrap();
        let config = format!("interfaces = [\"{DEVICE_INTERFACE}\"]\nntp = [\"10.99.0.1\"]\n");
        fs::write(folder.join("bringup.toml"), config).unwrap();
        script(folder, "inside", INSIDE);
        let mut command = device.command(script(folder, "outside", OUTSIDE));
        command.env("bringup", bringup()).env("systemd", lab::find("systemd").unwrap());
        let up = || systemctl(device, "is-active bringup").1 == "active\n";
        let mut manager = Server::start(device, "manager", &mut command, up);

        let operational = "StatusText=OPERATIONAL; veth0 10.99.0.";
        expect(device, &["ActiveState=active", "SubState=running", operational, "NRestarts=0"]);
        assert_eq!(addresses(device), 1);
        let id = systemctl(device, "show bringup --property=MainPID").1;

        assert_eq!(systemctl(device, "reload bringup").0, 0);
        expect(device, &["ActiveState=active", operational]);
        assert_eq!(systemctl(device, "show bringup --property=MainPID").1, id, "it is the same");

        assert_eq!(systemctl(device, "kill --signal=KILL bringup").0, 0);
        expect(device, &["ActiveState=active", operational, "NRestarts=1"]);
        assert_eq!(addresses(device), 1, "the next one takes over what was left");

        assert_eq!(systemctl(device, "stop bringup").0, 0);
        expect(device, &["ActiveState=inactive", "Result=success", "ExecMainStatus=0"]);
        assert_eq!(addresses(device), 0, "what it put on the interface is off again");

        assert_eq!(systemctl(device, "start bringup").0, 0);
        assert_eq!(addresses(device), 1, "it is started when it says so, and not before");

        manager.signal(libc::SIGTERM);
        assert_eq!(manager.wait(), 0);
    });
}
