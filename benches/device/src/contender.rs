//! Who takes part: which programs it needs, and the script that runs them on the device.
//!
//! A script is a whole bring-up: it ends in the state in which a device would go on, with a DHCP client that
//! renews. The scripts that DHCP clients call are as short as they can be, shorter than Debian's: no peer
//! waits for a shell longer than it must.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use bringup_tests::lab::program::find;
use bringup_tests::lab::{Host, bringup};

/// A system that brings a device up.
pub(crate) struct Contender {
    /// As it stands in the tables.
    pub(crate) name: &'static str,
    /// A word for it, for command lines.
    pub(crate) word: &'static str,
    /// The programs that it needs. A script knows `dhclient` as `$dhclient`, `chronyd` as `$chronyd`.
    pub(crate) programs: &'static [&'static str],
    /// What brings the device up, to the first valid offset of the clock.
    pub(crate) script: &'static str,
    /// What it prints when it has one.
    pub(crate) says: &'static str,
    /// What goes on after that: the script of a device that stays up, where it is another.
    pub(crate) stays: Option<&'static str>,
}

/// What `dhclient` calls.
const DHCLIENT_SCRIPT: &str = "\
#!/bin/sh
case $reason in
PREINIT) ip link set $interface up ;;
BOUND | RENEW | REBIND | REBOOT)
    ip address replace $new_ip_address/$new_subnet_mask dev $interface
    ip route replace default via ${new_routers%% *}
    echo nameserver ${new_domain_name_servers%% *} >/etc/resolv.conf ;;
esac
";

/// What `udhcpc` calls; `ip` is busybox's own.
const UDHCPC_SCRIPT: &str = "\
#!/bin/sh
case $1 in
deconfig) $busybox ip link set $interface up ;;
bound | renew)
    echo $ip >$folder/udhcpc.address
    $busybox ip address add $ip/$mask dev $interface
    $busybox ip route add default via ${router%% *}
    echo nameserver ${dns%% *} >/etc/resolv.conf ;;
esac
";

/// What `dhcpcd` calls; addresses and routes are its own business.
const DHCPCD_SCRIPT: &str = "\
#!/bin/sh
case $reason in
BOUND | RENEW | REBIND | REBOOT) echo nameserver ${new_domain_name_servers%% *} >/etc/resolv.conf ;;
esac
";

/// What the shell says when the bring-up begins: entering the laboratory, a namespace of mounts and the start of
/// the shell, is nobody's.
pub(crate) const STARTS: &str = "contender starts";

/// /var/lib is the host's own.
const OWN_STATE: &str = "mkdir -p $folder/state && mount --bind $folder/state /var/lib\n";

const CHRONYD_QUERY: &str =
    "exec $chronyd -Q -u root -t 60 -f /dev/null \"server $time iburst maxsamples 1\"";
const CHRONYD_STAYS: &str = "exec $chronyd -x -d -u root \"server $time iburst\" \"cmdport 0\" \
                             \"bindcmdaddress /\" \"pidfile $folder/chronyd.pid\"";

const BRINGUP: Contender = Contender {
    name: "**bringup** up",
    word: "bringup",
    programs: &["bringup"],
    script: "exec $bringup up $interface --json --ntp $time --state-dir $folder/state \
             --socket $folder/status.sock",
    says: "\"to\":\"OPERATIONAL\"",
    stays: None,
};

const TINY: Contender = Contender {
    name: "bringup-tiny, static; the NTP server by option 42",
    word: "tiny",
    programs: &["bringup-tiny-static"],
    script: "exec $bringup_tiny_static $interface $time",
    says: "\"event\":\"result\"",
    stays: None,
};

const UDHCPC: Contender = Contender {
    name: "udhcpc + busybox ntpd",
    word: "udhcpc",
    programs: &["busybox-small"],
    script: "export busybox folder\n\
             $busybox udhcpc -i $interface -s $folder/udhcpc.sh ${address:+-r $address} >&2\n\
             exec $busybox ntpd -n -d -w -p $time",
    says: " offset:",
    stays: None,
};

const DHCLIENT: Contender = Contender {
    name: "dhclient + chronyd -Q",
    word: "dhclient",
    programs: &["dhclient", "chronyd"],
    script: "$dhclient -4 -q -cf /dev/null -lf $folder/dhclient.leases -pf $folder/dhclient.pid \
             -sf $folder/dhclient.sh $interface\n",
    says: "System clock wrong by ",
    stays: Some(CHRONYD_STAYS),
};

const DHCPCD: Contender = Contender {
    name: "dhcpcd + chronyd -Q",
    word: "dhcpcd",
    programs: &["dhcpcd", "chronyd"],
    script: "printf 'persistent\\noption rapid_commit\\noption domain_name_servers\\n' >$folder/dhcpcd.conf\n\
             $dhcpcd -4 -q -w -f $folder/dhcpcd.conf -c $folder/dhcpcd.sh $interface\n",
    says: "System clock wrong by ",
    stays: Some(CHRONYD_STAYS),
};

const DHCPCD_QUICK: Contender = Contender {
    name: "the same, `nodelay`, `noarp`",
    word: "dhcpcd-quick",
    programs: &["dhcpcd", "chronyd"],
    script: "printf 'persistent\\noption rapid_commit\\noption domain_name_servers\\nnodelay\\nnoarp\\n' >$folder/dhcpcd.conf\n\
             $dhcpcd -4 -q -w -f $folder/dhcpcd.conf -c $folder/dhcpcd.sh $interface\n",
    says: "System clock wrong by ",
    stays: Some(CHRONYD_STAYS),
};

const NETWORKD: Contender = Contender {
    name: "systemd-networkd + timesyncd",
    word: "networkd",
    programs: &["systemd-networkd", "systemd-timesyncd"],
    // /sys is read-only, so that it does not wait for udev; /etc is that of a machine with these users.
    script: "mount -t sysfs -o ro sysfs /sys\n\
             printf 'root:x:0:0:::\\nsystemd-network:x:998:998:::\\nsystemd-timesync:x:997:997:::\\nnobody:x:65534:65534:::\\n' >$folder/passwd\n\
             printf 'root:x:0:\\nsystemd-network:x:998:\\nsystemd-timesync:x:997:\\nnogroup:x:65534:\\n' >$folder/group\n\
             mount --bind $folder/passwd /etc/passwd && mount --bind $folder/group /etc/group\n\
             mount -t tmpfs none /etc/systemd && mkdir -p /run/systemd/network /run/systemd/netif\n\
             chown 998 /run/systemd/netif\n\
             printf '[Match]\\nName=%s\\n[Network]\\nDHCP=ipv4\\nLinkLocalAddressing=no\\nIPv6AcceptRA=no\\n' $interface >/run/systemd/network/10.network\n\
             printf '[Time]\\nNTP=%s\\n' $time >/etc/systemd/timesyncd.conf\n\
             echo nameserver $server >/etc/resolv.conf\n\
             export SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console\n\
             $networkd >$folder/networkd.log 2>&1 &\n\
             while ! [ -s /run/systemd/netif/state ]; do sleep 0.001; done\n\
             exec setpriv --reuid 65534 --regid 65534 --clear-groups $timesyncd",
    says: "interval/delta/delay/jitter/drift ",
    stays: None,
};

/// All that are compared, bringup first.
pub(crate) const CONTENDERS: [Contender; 7] =
    [BRINGUP, TINY, UDHCPC, DHCLIENT, DHCPCD, DHCPCD_QUICK, NETWORKD];

/// The contender of that word.
pub(crate) fn named(word: &str) -> &'static Contender {
    static ALL: [Contender; 7] = CONTENDERS;
    ALL.iter().find(|c| c.word == word).expect("one of the contenders")
}

impl Contender {
    /// The first of its programs that is not on this machine.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        self.programs.iter().copied().find(|program| where_is(program).is_none())
    }

    /// What runs it on a device: to the first offset, or to stay.
    pub(crate) fn command(&self, device: &Host, place: &Place<'_>, stay: bool) -> Command {
        for (name, text) in [
            ("dhclient.sh", DHCLIENT_SCRIPT),
            ("udhcpc.sh", UDHCPC_SCRIPT),
            ("dhcpcd.sh", DHCPCD_SCRIPT),
        ] {
            let file = device.folder().join(name);
            std::fs::write(&file, text).expect("the host's own folder");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&file, mode).expect("our own file");
        }
        let end = match self.stays {
            Some(stays) if stay => stays,
            Some(_) => CHRONYD_QUERY,
            None => "",
        };
        let state = if self.word == "bringup" { "" } else { OWN_STATE };
        let script = [state, "echo ", STARTS, "\n", self.script, end].concat();
        let mut command = device.command("sh");
        command.args(["-c", &script]);
        let mut libraries = Vec::new();
        for program in self.programs {
            let path = where_is(program).expect("looked for before");
            let folders = device.command(&path);
            let folders = folders.get_envs().find(|(name, _)| *name == "LD_LIBRARY_PATH");
            libraries.extend(folders.and_then(|(_, value)| value).map(ToOwned::to_owned));
            let variable = program.trim_start_matches("systemd-").trim_end_matches("-small");
            command.env(variable.replace('-', "_"), path);
        }
        if !libraries.is_empty() {
            let all = libraries.iter().flat_map(env::split_paths);
            command.env("LD_LIBRARY_PATH", env::join_paths(all).expect("they were joined before"));
        }
        command
            .env("interface", place.interface)
            .env("time", place.time)
            .env("server", place.server)
            .env("folder", device.folder())
            .env("address", place.address.unwrap_or_default());
        command
    }
}

/// What a script is told of the network.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The interface to be brought up.
    pub(crate) interface: &'a str,
    /// The name of the NTP server.
    pub(crate) time: &'a str,
    /// The address of the DNS server, for those who have to be told.
    pub(crate) server: &'a str,
    /// The address of the last lease, for those who remember nothing.
    pub(crate) address: Option<&'a str>,
}

fn where_is(program: &str) -> Option<PathBuf> {
    match program {
        "bringup" => Some(bringup()),
        // In the target directory, above `release`.
        "bringup-tiny-static" => {
            bringup().ancestors().nth(2).map(|target| target.join(program)).filter(|f| f.is_file())
        }
        _ => find(program),
    }
}
