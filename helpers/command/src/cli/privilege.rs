//! Which privileges the program has, and which it lacks.

use std::fmt;

use super::exit::Exit;
use super::output::Output;

/// A capability of Linux, see capabilities(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Configuring interfaces.
    NetAdmin,
    /// Raw frames, for DHCP before there is an address.
    NetRaw,
    /// Setting the clock.
    SysTime,
}

impl Capability {
    /// Its number.
    const fn bit(self) -> u32 {
        match self {
            Self::NetAdmin => 12,
            Self::NetRaw => 13,
            Self::SysTime => 25,
        }
    }

    /// Its name as setpriv(1) writes it.
    pub const fn short_name(self) -> &'static str {
        match self {
            Self::NetAdmin => "net_admin",
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
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = effective(&status).unwrap_or(u64::MAX);
    needed.iter().copied().filter(|capability| effective & (1 << capability.bit()) == 0).collect()
}

/// The effective set in the text of /proc/self/status.
fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_effective_set() {
        for (status, expected) in [
            ("Name:\tx\nCapEff:\t0000000000003000\nCapBnd:\t1\n", Some(0x3000)),
            ("CapEff:\t000001ffffffffff\n", Some(0x1ff_ffff_ffff)),
            ("CapPrm:\t0000000000003000\n", None),
            ("CapEff:\tnone\n", None),
        ] {
            assert_eq!(effective(status), expected, "{status}");
        }
    }

    #[test]
    fn names_are_those_of_the_kernel() {
        assert_eq!(Capability::NetRaw.to_string(), "CAP_NET_RAW");
        assert_eq!(1_u32 << Capability::NetAdmin.bit(), 0x1000);
    }
}
