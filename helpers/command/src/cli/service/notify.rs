//! [`Notifier`]: tells the service manager how far this has come, as sd_notify(3) describes it.
//!
//! Datagrams of lines to the socket that `NOTIFY_SOCKET` names. The manager must not hold up a bring-up:
//! what finds no room there waits here, and is sent later; of what goes on, the last word is enough.

use std::collections::VecDeque;
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time;

use bringup_core::time::Duration;
use rustix::time::{ClockId, clock_gettime};

/// The environment's names.
const SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG: &str = "WATCHDOG_USEC";
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// The longest status, octets.
const STATUS_MAX: usize = 512;

/// How many datagrams wait at most. Then the manager has not listened for long, and the oldest goes.
const MAX_WAITING: usize = 16;

/// Where the service manager listens.
#[derive(Debug)]
pub struct Notifier {
    socket: UnixDatagram,
    to: SocketAddr,
    is_ready: bool,
    status: String,
    waiting: VecDeque<String>,
}

impl Notifier {
    /// The manager of this process, if there is one that wants to know.
    pub fn of_process() -> io::Result<Option<Self>> {
        env::var_os(SOCKET).filter(|name| !name.is_empty()).map(|name| Self::to(&name)).transpose()
    }

    /// A notifier to this socket: a path, or a name that begins with `@` or NUL in the abstract namespace.
    pub fn to(name: &OsString) -> io::Result<Self> {
        let to = match name.as_bytes() {
            [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, to, is_ready: false, status: String::new(), waiting: VecDeque::new() })
    }

    fn send(&mut self, lines: String) {
        let is_status = |lines: &String| lines.starts_with("STATUS=");
        if is_status(&lines) {
            self.waiting.retain(|other| !is_status(other));
        }
        if self.waiting.len() == MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(lines);
        self.flush();
    }

    /// Sends what waits, as far as there is room. Whether all is sent.
    pub fn flush(&mut self) -> bool {
        while let Some(lines) = self.waiting.front() {
            match self.socket.send_to_addr(lines.as_bytes(), &self.to) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // Sent; or nobody listens, and nothing will change that.
                _ => drop(self.waiting.pop_front()),
            }
        }
        true
    }

    /// OPERATIONAL was entered. The first time counts: a manager does not take it back.
    pub fn ready(&mut self) {
        if !std::mem::replace(&mut self.is_ready, true) {
            self.send("READY=1\n".to_owned());
        }
    }

    /// Tells what goes on, in a line, if that is new.
    pub fn status(&mut self, status: &str) {
        let is_plain = |c: &char| !c.is_control();
        let mut line: String = status.chars().filter(is_plain).collect();
        if let Some((end, _)) = line.char_indices().take_while(|(at, _)| *at <= STATUS_MAX).last() {
            if line.len() > STATUS_MAX {
                line.truncate(end);
            }
        }
        if line != self.status {
            self.send(format!("STATUS={line}\n"));
            self.status = line;
        }
    }

    /// The configuration is being read again ... Said only after READY, which the other end of it repeats.
    pub fn reloading(&mut self) {
        if !self.is_ready {
            return;
        }
        let now = time::Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default();
        self.send(format!("RELOADING=1\nMONOTONIC_USEC={}\n", now.as_micros()));
    }

    /// ... and that is done.
    pub fn reloaded(&mut self) {
        if self.is_ready {
            self.send("READY=1\n".to_owned());
        }
    }

    /// The end begins.
    pub fn stopping(&mut self) {
        self.send("STOPPING=1\n".to_owned());
    }

    /// The loop runs.
    pub fn watchdog(&self) {
        // Late it is of no use, and the next one comes.
        let _ = self.socket.send_to_addr(b"WATCHDOG=1\n", &self.to);
    }

    /// How often [`watchdog`](Self::watchdog) is to be called: twice as often as the manager wants to
    /// hear of this process. `None` if it does not.
    pub fn watchdog_period() -> Option<Duration> {
        let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let for_us = number(WATCHDOG_PID).is_none_or(|pid| pid == u64::from(std::process::id()));
        period(number(WATCHDOG).filter(|_| for_us))
    }
}

/// Half of that many microseconds.
fn period(usec: Option<u64>) -> Option<Duration> {
    usec.map(|usec| Duration::from_micros(usec / 2)).filter(|period| *period > Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 1024];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn tells_a_path_and_an_abstract_name() {
        let name = format!("bringup-notify-{}", std::process::id());
        let path = env::temp_dir().join(&name);
        let _ = std::fs::remove_file(&path);
        let sockets = [
            (path.clone().into_os_string(), UnixDatagram::bind(&path).unwrap()),
            (
                format!("@{name}").into(),
                UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(),
            ),
        ];
        for (name, socket) in sockets {
            let mut notifier = Notifier::to(&name).unwrap();
            notifier.status("DHCP waits\nfor dhcp");
            notifier.status("DHCP waits\nfor dhcp");
            notifier.ready();
            notifier.ready();
            notifier.reloading();
            notifier.reloaded();
            notifier.stopping();
            assert_eq!(heard(&socket), "STATUS=DHCP waitsfor dhcp\n", "one line, and once");
            assert_eq!(heard(&socket), "READY=1\n");
            assert!(heard(&socket).starts_with("RELOADING=1\nMONOTONIC_USEC="));
            assert_eq!(heard(&socket), "READY=1\n", "of the reload; being ready was told once");
            assert_eq!(heard(&socket), "STOPPING=1\n");
        }
        std::fs::remove_file(path).unwrap();
        for wrong in ["relative", "vsock:2:1234", ""] {
            assert!(Notifier::to(&wrong.into()).is_err(), "{wrong}");
        }
        // Nobody is there: nothing happens.
        Notifier::to(&"/nonexistent/notify".into()).unwrap().ready();
    }

    #[test]
    fn what_finds_no_room_is_told_later() {
        let name = format!("@bringup-notify-full-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name[1..]).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let mut notifier = Notifier::to(&name.into()).unwrap();
        let mut statuses = 0;
        // The kernel keeps some; of the others the last counts.
        while notifier.flush() {
            statuses += 1;
            notifier.status(&statuses.to_string());
            assert!(statuses < 10_000, "the kernel keeps all");
        }
        notifier.status("the last");
        notifier.ready();
        let early: Vec<String> = (1..statuses).map(|_| heard(&socket)).collect();
        assert_eq!(early[0], "STATUS=1\n");
        assert!(notifier.flush());
        assert_eq!(
            (heard(&socket), heard(&socket)),
            ("STATUS=the last\n".into(), "READY=1\n".into())
        );
    }

    #[test]
    fn a_manager_that_hears_twice_as_often_as_it_must() {
        assert_eq!(period(Some(30_000_000)), Some(Duration::from_secs(15)));
        assert_eq!((period(Some(1)), period(Some(0)), period(None)), (None, None, None));
    }

    #[test]
    fn a_long_status_is_cut_where_a_character_ends() {
        let name = format!("@bringup-notify-long-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name[1..]).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let mut notifier = Notifier::to(&name.into()).unwrap();
        notifier.status(&"ä".repeat(STATUS_MAX));
        let heard = heard(&socket);
        assert_eq!(heard, format!("STATUS={}\n", "ä".repeat(STATUS_MAX / 2)));
    }
}
