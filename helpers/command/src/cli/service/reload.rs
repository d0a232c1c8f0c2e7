//! What becomes of the options when they are read again, at SIGHUP.

use crate::cli::args::{Dhcp, Files, Up};
use crate::cli::event::Reloaded;
use crate::cli::service::options::ServiceOptions;

/// Which keys have changed, and which of these hold from now on: the others are built into what runs.
pub fn compare(old: &Up, new: &Up, may_run_programs: bool) -> Reloaded {
    // All fields by name: a new one has to be thought of here.
    let Up {
        interfaces,
        config: _,
        once,
        dry_run,
        keep,
        release,
        deadline,
        set_clock,
        state_dir,
        ntp,
        dns,
        resolve,
        dhcp: Dhcp { profile, hostname, client_id, request_option },
        no_rapid_commit,
        link_local,
        files: Files { timeline, pcap },
        service: ServiceOptions { resolv_conf, resolv_conf_file, hook, hook_timeout, socket },
    } = new;
    let (dhcp, service) = (&old.dhcp, &old.service);
    let programs = [
        ("resolv-conf", *resolv_conf != service.resolv_conf),
        ("resolv-conf-file", *resolv_conf_file != service.resolv_conf_file),
        ("hook", *hook != service.hook),
        ("hook-timeout", *hook_timeout != service.hook_timeout),
    ];
    let now = [("dns", *dns != old.dns), ("ntp", *ntp != old.ntp)];
    let later = [
        ("interfaces", *interfaces != old.interfaces),
        ("once", *once != old.once),
        ("dry-run", *dry_run != old.dry_run),
        ("keep", *keep != old.keep),
        ("release", *release != old.release),
        ("deadline", *deadline != old.deadline),
        ("set-clock", *set_clock != old.set_clock),
        ("state-dir", *state_dir != old.state_dir),
        ("resolve", *resolve != old.resolve),
        ("profile", *profile != dhcp.profile),
        ("hostname", *hostname != dhcp.hostname),
        ("client-id", *client_id != dhcp.client_id),
        ("request-option", *request_option != dhcp.request_option),
        ("no-rapid-commit", *no_rapid_commit != old.no_rapid_commit),
        ("link-local", *link_local != old.link_local),
        ("timeline", *timeline != old.files.timeline),
        ("pcap", *pcap != old.files.pcap),
        ("socket", *socket != service.socket),
    ];
    let changed = |keys: &[(&str, bool)]| -> Vec<String> {
        let changed = keys.iter().filter(|(_, is_other)| *is_other);
        changed.map(|(key, _)| (*key).to_owned()).collect()
    };
    let mut told = Reloaded { applied: changed(&now), at_next_start: changed(&later) };
    // Who began without them has given up the rights that they would need.
    let list = if may_run_programs { &mut told.applied } else { &mut told.at_next_start };
    list.extend(changed(&programs));
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Command, Parsed, parse};

    fn up(line: &str) -> Up {
        match parse(line.split(' ')) {
            Parsed::Run(args) => match args.command {
                Command::Up(up) => *up,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_holds_now_and_what_later() {
        let old = up("bringup up eth0 --ntp a.example");
        assert_eq!(compare(&old, &old, false), Reloaded::default());
        let new = up("bringup up eth0 wlan0 --ntp b.example --hook /bin/true --keep");
        let told = compare(&old, &new, false);
        assert_eq!(told.applied, ["ntp"]);
        assert_eq!(told.at_next_start, ["interfaces", "keep", "hook"]);
        let told = compare(&new, &up("bringup up eth0 wlan0 --ntp b.example --keep"), true);
        assert_eq!((told.applied, told.at_next_start), (vec!["hook".to_owned()], Vec::new()));
    }
}
