//! Real servers on a host. Each constructor returns when the server answers.

use std::fs::{self, File};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::network::{SERVER, SERVER_INTERFACE};
use super::program::tail;
use super::{Host, eventually};

/// A running server. Dropping it ends it; a test that is failing then shows what the server had
/// said.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts a server and asks `ready` until it says yes. A server that ends before fails the
    /// test.
    #[must_use]
    pub fn start(
        host: &Host,
        name: &'static str,
        command: &mut Command,
        ready: impl Fn() -> bool,
    ) -> Self {
        let log = host.folder().join(format!("{name}.log"));
        let output = File::create(&log).expect("the host's own folder");
        let errors = output.try_clone().expect("a second descriptor");
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|why| panic!("cannot start {command:?}: {why}"));
        let mut server = Self { name, child, log };
        eventually(name, || {
            let ended = server.child.try_wait().expect("it is our child");
            assert!(ended.is_none(), "{name} ended before it answered: {ended:?}");
            ready().then_some(())
        });
        server
    }

    /// What the server has said so far, standard output and standard error.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("the host's own folder")
    }

    /// Its process id in the laboratory.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        // SAFETY: kill takes two integers; the child has not been waited for, so the number is its own.
        let failed = unsafe { libc::kill(pid, signal) } != 0;
        assert!(!failed, "kill: {}", std::io::Error::last_os_error());
    }

    /// Waits for its end; gives its exit code, or -1 if a signal ended it.
    pub fn wait(&mut self) -> i32 {
        let what = format!("the end of {}", self.name);
        let status = eventually(&what, || self.child.try_wait().expect("it is our child")).code();
        status.unwrap_or(-1)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}\n---", self.name, tail(&self.log));
        }
    }
}

/// What dnsmasq serves in every test: a lease with every option that the command shows, and a zone.
///
/// `no-daemon`: otherwise it changes its ids, which it may not in a user namespace. `no-ping`:
/// otherwise it waits three seconds before an OFFER. Two minutes are its shortest lease.
const DNSMASQ: &str = "\
no-daemon
log-facility=-
log-queries=extra
log-dhcp
no-resolv
no-hosts
no-ping
except-interface=lo
bind-interfaces
dhcp-authoritative
dhcp-range=10.99.0.50,10.99.0.99,255.255.255.0,2m
dhcp-option=option:router,10.99.0.1
dhcp-option=option:dns-server,10.99.0.1
dhcp-option=option:ntp-server,10.99.0.1
dhcp-option=option:domain-name,lab.test
dhcp-option=option:domain-search,lab.test,corp.test
dhcp-option=option:mtu,1400
dhcp-option=option:classless-static-route,10.20.0.0/16,10.99.0.2,0.0.0.0/0,10.99.0.1
local=/lab.test/
local-ttl=30
host-record=host.lab.test,10.99.0.10,fd99::10,60
host-record=v4only.lab.test,10.99.0.11
host-record=time.lab.test,10.99.0.1
cname=www.lab.test,host.lab.test
";

/// dnsmasq on [`SERVER_INTERFACE`]: DHCP and DNS. `more` is appended to its configuration, one
/// option a line.
#[must_use]
pub fn dnsmasq(host: &Host, more: &str) -> Server {
    let folder = host.folder();
    let leases = folder.join("leases");
    let own = format!("interface={SERVER_INTERFACE}\ndhcp-leasefile={}\n", leases.display());
    let file = folder.join("dnsmasq.conf");
    fs::write(&file, [DNSMASQ, &own, more].concat()).expect("the host's own folder");
    let mut command = host.command("dnsmasq");
    command.arg("--pid-file=").arg("-C").arg(file);
    Server::start(host, "dnsmasq", &mut command, || {
        ask(host, &format!("{SERVER}:53"), &dns_query(1, "host.lab.test", 1)).is_some()
    })
}

/// The same without DNS: leases only, and UDP port 53 is free.
#[must_use]
pub fn dnsmasq_without_names(host: &Host) -> Server {
    let folder = host.folder();
    let own = format!(
        "interface={SERVER_INTERFACE}\ndhcp-leasefile={}\nport=0\n",
        folder.join("leases").display()
    );
    let file = folder.join("dnsmasq.conf");
    fs::write(&file, [DNSMASQ, &own].concat()).expect("the host's own folder");
    let mut command = host.command("dnsmasq");
    command.arg("--pid-file=").arg("-C").arg(file);
    let log = folder.join("dnsmasq.log");
    Server::start(host, "dnsmasq", &mut command, || {
        fs::read_to_string(&log).is_ok_and(|log| log.contains("DHCP, IP range"))
    })
}

/// What makes chronyd a server of the machine's own time.
pub const LOCAL: &str = "local stratum 3\n";

/// chronyd on [`SERVER`], with the lines that say where it has the time from: [`LOCAL`], or
/// nothing, and then it says that it doesn't know. It never touches a clock (`-x`), and could not.
#[must_use]
pub fn chronyd(host: &Host, source: &str) -> Server {
    chronyd_at(host, SERVER, source)
}

/// The same on another address of the host.
#[must_use]
pub fn chronyd_at(host: &Host, address: &str, source: &str) -> Server {
    let folder = host.folder().display();
    let own = format!(
        "allow all\nbindaddress {address}\ncmdport 0\nbindcmdaddress /\n\
         pidfile {folder}/chronyd-{address}.pid\ndriftfile {folder}/chronyd.drift\n"
    );
    let file = host.folder().join(format!("chronyd-{address}.conf"));
    fs::write(&file, own + source).expect("the host's own folder");
    let mut command = host.command("chronyd");
    command.args(["-x", "-d", "-u", "root", "-f"]).arg(file);
    Server::start(host, "chronyd", &mut command, || {
        ask(host, &format!("{address}:123"), &ntp_request()).is_some()
    })
}

/// chronyd on another address, whose time is ahead of that of the one on [`SERVER`]; ready when it
/// says so.
#[must_use]
pub fn chronyd_ahead(host: &Host, address: &str, seconds: f64) -> Server {
    let source = format!("server {SERVER} offset {seconds} minpoll -4 maxpoll -4\n");
    let server = chronyd_at(host, address, &source);
    // Stratum 0 and leap indicator 3 until it has its own time.
    eventually("chronyd knows its time", || {
        let reply = ask(host, &format!("{address}:123"), &ntp_request())?;
        // And too far off to be listened to until it knows that well: half a second of root dispersion.
        let is_near = reply[8..10] == [0, 0] && reply[10] < 0x80;
        (reply[0] < 0xC0 && reply[1] > 0 && is_near).then_some(())
    });
    server
}

/// `ntpd` of ntpsec on [`SERVER`], which serves the machine's own clock at stratum 5 and leaves that alone.
/// `more` is appended to its configuration.
#[must_use]
pub fn ntpsec(host: &Host, more: &str) -> Server {
    let file = host.folder().join("ntpsec.conf");
    let own = "disable ntp\ntos orphan 5 orphanwait 1\n";
    fs::write(&file, [own, more].concat()).expect("the host's own folder");
    let mut command = host.command("ntpd");
    command.arg("-n").arg("-c").arg(file);
    Server::start(host, "ntpd", &mut command, || {
        ask(host, &format!("{SERVER}:123"), &ntp_request()).is_some()
    })
}

/// A bound port that never answers. Dropping the socket closes it.
#[must_use]
pub fn silent(host: &Host, address: &str) -> UdpSocket {
    host.enter(|| UdpSocket::bind(address)).unwrap_or_else(|why| panic!("bind {address}: {why}"))
}

/// One datagram there and one back, or `None` where none came within 100 ms.
#[must_use]
pub fn ask(host: &Host, server: &str, question: &[u8]) -> Option<Vec<u8>> {
    let socket = host.enter(|| UdpSocket::bind("0.0.0.0:0")).expect("a free port");
    socket.connect(server).expect("a local address");
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("it is not zero");
    let mut answer = [0; 1500];
    socket.send(question).ok()?;
    let length = socket.recv(&mut answer).ok()?;
    Some(answer[..length].to_vec())
}

/// A query made by hand, so that the laboratory trusts none of the code that it tests.
#[must_use]
pub fn dns_query(id: u16, name: &str, qtype: u16) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    // Recursion desired, one question.
    query.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).expect("a label"));
        query.extend(label.as_bytes());
    }
    query.push(0);
    query.extend(qtype.to_be_bytes());
    query.extend([0, 1]);
    query
}

/// A request made by hand: version 4, mode 3, a transmit timestamp that is only a number.
#[must_use]
pub fn ntp_request() -> [u8; 48] {
    let mut request = [0; 48];
    request[0] = 0x23;
    request[40..].copy_from_slice(b"bringup!");
    request
}
