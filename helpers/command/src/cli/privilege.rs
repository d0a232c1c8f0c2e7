//! Which privileges the program has, which it lacks, and which it gives up.

use std::fmt;
use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use super::exit::Exit;
use super::output::Output;

/// A capability of Linux, see capabilities(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Files of other users. Only the superuser has it and never asked for it: it is kept for files
    /// that the command line names.
    DacOverride,
    /// Ending processes of other users: a hook that became one of them, when its time is over.
    Kill,
    /// Configuring interfaces.
    NetAdmin,
    /// UDP port 68, from which a lease is renewed. Without it that is done through a raw socket.
    NetBindService,
    /// Raw frames, for DHCP before there is an address.
    NetRaw,
    /// Setting the clock.
    SysTime,
}

impl Capability {
    /// It as a set.
    const fn set(self) -> CapabilitySet {
        match self {
            Self::DacOverride => CapabilitySet::DAC_OVERRIDE,
            Self::Kill => CapabilitySet::KILL,
            Self::NetAdmin => CapabilitySet::NET_ADMIN,
            Self::NetBindService => CapabilitySet::NET_BIND_SERVICE,
            Self::NetRaw => CapabilitySet::NET_RAW,
            Self::SysTime => CapabilitySet::SYS_TIME,
        }
    }

    /// Its name as setpriv(1) writes it.
    pub const fn short_name(self) -> &'static str {
        match self {
            Self::DacOverride => "dac_override",
            Self::Kill => "kill",
            Self::NetAdmin => "net_admin",
            Self::NetBindService => "net_bind_service",
            Self::NetRaw => "net_raw",
            Self::SysTime => "sys_time",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CAP_{}", self.short_name().to_uppercase())
    }
}

/// Tells which of these capabilities are missing, and how to give them; the exit code, if any is.
pub fn refuse(who: &str, needed: &[Capability], output: &mut Output) -> Option<Exit> {
    let missing = missing(needed);
    if missing.is_empty() {
        return None;
    }
    let list = |name: &dyn Fn(&Capability) -> String, between| {
        missing.iter().map(name).collect::<Vec<_>>().join(between)
    };
    let names = list(&Capability::to_string, " and ");
    let options = list(&|c| format!("+{}", c.short_name()), ",");
    output.problem(
        who,
        format!("needs {names}, which this process does not have"),
        format!("run it as root, or with: setpriv --inh-caps {options} --ambient-caps {options}"),
    );
    Some(Exit::Privilege)
}

/// Which of these capabilities are not in effect. None is said to be missing where the kernel does not
/// tell; the operation itself will.
pub fn missing(needed: &[Capability]) -> Vec<Capability> {
    let effective = capabilities(None).map_or(CapabilitySet::all(), |has| has.effective);
    needed.iter().copied().filter(|capability| !effective.contains(capability.set())).collect()
}

/// Gives up all capabilities but these, in this thread and in those that it will start, for good. With
/// `programs`, what a program that is run from here gets is left as it is: a hook of the superuser is to
/// be the superuser's.
pub fn keep_only(kept: &[Capability], programs: bool) -> io::Result<()> {
    let kept = kept.iter().fold(CapabilitySet::empty(), |all, one| all | one.set());
    if !programs {
        // The superuser's programs would get them back. An ordinary user may not change this set, which
        // gives him nothing.
        for bit in 0..u64::BITS {
            let one = CapabilitySet::from_bits_retain(1 << bit);
            if !kept.contains(one) && remove_capability_from_bounding_set(one).is_err() {
                break;
            }
        }
        clear_ambient_capability_set()?;
        set_no_new_privs(true)?;
    }
    let has = capabilities(None)?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: has.effective & kept,
            permitted: has.permitted & kept,
            inheritable: has.inheritable & kept,
        },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_kernel() {
        assert_eq!(Capability::NetRaw.to_string(), "CAP_NET_RAW");
        for (capability, number) in [
            (Capability::DacOverride, 1),
            (Capability::Kill, 5),
            (Capability::NetBindService, 10),
            (Capability::NetAdmin, 12),
            (Capability::NetRaw, 13),
            (Capability::SysTime, 25),
        ] {
            assert_eq!(capability.set().bits(), 1 << number, "{capability}");
        }
    }

    #[test]
    fn what_is_given_up_is_missing() {
        // Capabilities belong to a thread: the other tests keep theirs.
        std::thread::spawn(|| {
            let had = capabilities(None).unwrap();
            keep_only(&[Capability::NetRaw], true).unwrap();
            let has = capabilities(None).unwrap();
            assert_eq!(has.effective, had.effective & CapabilitySet::NET_RAW);
            assert_eq!(has.permitted, had.permitted & CapabilitySet::NET_RAW);
            let raw = missing(&[Capability::NetRaw]).is_empty();
            assert_eq!(raw, had.effective.contains(CapabilitySet::NET_RAW));
            assert_eq!(missing(&[Capability::NetAdmin]), [Capability::NetAdmin]);
        })
        .join()
        .unwrap();
    }
}
