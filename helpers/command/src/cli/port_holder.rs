//! Who has the port of DHCP clients: another client on the same interface would undo what this one does.

use std::fmt;
use std::fs;
use std::net::Ipv4Addr;

/// A socket on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The address that it is bound to.
    pub address: Ipv4Addr,
    /// The user that it belongs to.
    pub user: u32,
    /// The program, and its process, as far as this process may look.
    pub program: Option<(String, u32)>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.program {
            Some((name, pid)) => write!(f, "{} (process {pid})", name.escape_debug()),
            None => write!(f, "a program of user {}", self.user),
        }
    }
}

/// Who has this UDP port over IPv4, in this network namespace.
pub fn holders(port: u16) -> Vec<Holder> {
    let table = fs::read_to_string("/proc/self/net/udp").unwrap_or_default();
    let sockets: Vec<_> = table.lines().filter_map(|line| socket(line, port)).collect();
    let programs = if sockets.is_empty() { Vec::new() } else { programs() };
    // As /proc counts, which may be that of another namespace.
    let own = fs::read_link("/proc/self").ok().and_then(|link| link.to_str()?.parse().ok());
    let of = |inode| programs.iter().find(|(of, ..)| *of == inode);
    let mut holders: Vec<Holder> = Vec::new();
    for (address, user, inode) in sockets {
        let program = of(inode).map(|(_, name, pid)| (name.clone(), *pid));
        let holder = Holder { address, user, program };
        let is_own = holder.program.as_ref().is_some_and(|(_, pid)| Some(*pid) == own);
        let same = |other: &Holder| other.program.is_some() && other.program == holder.program;
        if !is_own && !holders.iter().any(same) {
            holders.push(holder);
        }
    }
    holders
}

/// Address, user and inode, if a line of /proc/net/udp is about this port.
fn socket(line: &str, port: u16) -> Option<(Ipv4Addr, u32, u64)> {
    let mut fields = line.split_ascii_whitespace();
    let (address, of) = fields.nth(1)?.split_once(':')?;
    if u16::from_str_radix(of, 16).ok()? != port {
        return None;
    }
    // The kernel prints the address as this machine's number.
    let address = u32::from_str_radix(address, 16).ok()?.to_ne_bytes();
    let user = fields.nth(5)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    Some((address.into(), user, inode))
}

/// The sockets of all processes that this one may look into: inode, name, process.
fn programs() -> Vec<(u64, String, u32)> {
    let mut programs = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        for fd in fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            let Ok(target) = fs::read_link(fd.path()) else { continue };
            let inode = target.to_str().and_then(|t| t.strip_prefix("socket:[")?.strip_suffix(']'));
            if let Some(inode) = inode.and_then(|inode| inode.parse().ok()) {
                programs.push((inode, name.trim_end().to_owned(), pid));
            }
        }
    }
    programs
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn reads_the_kernels_table() {
        let line = "  815: 0100007F:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000   \
                    101        0 20661 2 000000006d3cf82b 0";
        let address = Ipv4Addr::from(0x0100_007F_u32.to_ne_bytes());
        assert_eq!(socket(line, 68), Some((address, 101, 20661)));
        assert_eq!(socket(line, 67), None);
        assert_eq!(socket("  sl  local_address rem_address   st tx_queue", 68), None);
        assert_eq!(socket("", 68), None);
    }

    #[test]
    fn our_own_sockets_are_nobodys() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(holders(port), []);
        // Another process is asked for in the laboratory.
        let inode = fs::read_dir("/proc/self/fd").unwrap().flatten();
        let links = inode.filter_map(|fd| fs::read_link(fd.path()).ok());
        assert!(
            links.filter(|link| link.to_str().is_some_and(|l| l.starts_with("socket:"))).count()
                > 0
        );
        assert!(programs().iter().any(|(.., pid)| *pid == std::process::id()));
    }
}
