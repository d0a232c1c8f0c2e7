//! Name servers with one zone: unbound, Knot and BIND, and one that lies.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::thread;

use super::Host;
use super::network::SERVER;
use super::servers::{Server, ask, dns_query};

/// The zone that every server has.
pub const ZONE: &str = "lab.test";

/// What is in it, but for the numbered hosts.
const RECORDS: &str = "\
$ORIGIN lab.test.
$TTL 60
@ IN SOA ns.lab.test. root.lab.test. 7 3600 600 86400 30
@ NS ns
@ MX 10 mail
@ MX 20 mail.elsewhere.test.
@ TXT \"one\" \"two words\"
@ CAA 0 issue \"ca.test\"
ns A 10.99.0.1
mail A 10.99.0.12
host A 10.99.0.10
host AAAA fd99::10
v4only A 10.99.0.11
www CNAME host
alias CNAME www
_sip._udp SRV 1 2 5060 host
host HTTPS 1 . alpn=h2,h3 ipv4hint=10.99.0.10
svc SVCB 0 host
old DNAME new
x.new A 10.99.0.13
odd TYPE65280 \\# 4 01020304
";

/// The address of host number `n`.
#[must_use]
pub fn number_address(n: u32) -> [u8; 4] {
    let [_, a, b, c] = n.to_be_bytes();
    [10, a, b, c]
}

/// The records, so many hosts `n0`, `n1` …, and one whose answer is too long for a datagram.
fn zone(numbered: u32) -> String {
    let mut zone = String::from(RECORDS);
    for n in 0..100 {
        // Writing to a String cannot fail.
        let _ = writeln!(zone, "big A 10.98.0.{n}");
    }
    for n in 0..numbered {
        let [a, b, c, d] = number_address(n);
        let _ = writeln!(zone, "n{n} A {a}.{b}.{c}.{d}");
    }
    zone
}

fn is_ready(host: &Host, server: &str) -> bool {
    ask(host, &format!("{server}:53"), &dns_query(1, "host.lab.test", 1))
        .is_some_and(|answer| answer.get(7) == Some(&1))
}

/// Knot at `address`, with so many numbered hosts.
#[must_use]
pub fn knot(host: &Host, address: &str, numbered: u32) -> Server {
    let folder = host.folder().join(format!("knot-{address}"));
    fs::create_dir_all(&folder).expect("the host's own folder");
    fs::write(folder.join("zone"), zone(numbered)).expect("written");
    let conf = format!(
        "server:\n  rundir: {0}\n  listen: {address}@53\n  udp-workers: 1\n  tcp-workers: 1\n\
         database:\n  storage: {0}\n\
         log:\n  - target: stderr\n    any: info\n\
         zone:\n  - domain: {ZONE}\n    storage: {0}\n    file: zone\n    zonefile-sync: -1\n    \
         zonefile-load: whole\n    journal-content: none\n",
        folder.display()
    );
    let file = folder.join("knot.conf");
    fs::write(&file, conf).expect("written");
    let mut command = host.command("knotd");
    Server::start(host, "knotd", command.arg("-c").arg(file), || is_ready(host, address))
}

/// BIND at [`SERVER`]. It shows cookies.
#[must_use]
pub fn bind(host: &Host) -> Server {
    let folder = host.folder().join("bind");
    fs::create_dir_all(&folder).expect("the host's own folder");
    fs::write(folder.join("zone"), zone(0)).expect("written");
    let conf = format!(
        "options {{ directory \"{0}\"; listen-on {{ {SERVER}; }}; listen-on-v6 {{ none; }};\n\
         pid-file none; session-keyfile none; lock-file none; recursion no; dnssec-validation no;\n\
         allow-query {{ any; }}; }};\ncontrols {{ }};\n\
         zone \"{ZONE}\" {{ type primary; file \"{0}/zone\"; }};\n",
        folder.display()
    );
    let file = folder.join("named.conf");
    fs::write(&file, conf).expect("written");
    let mut command = host.command("named");
    let command = command.args(["-g", "-n", "1", "-U", "1", "-c"]).arg(file);
    Server::start(host, "named", command, || is_ready(host, SERVER))
}

/// unbound at [`SERVER`], which has the zone from a file.
#[must_use]
pub fn unbound(host: &Host) -> Server {
    let folder = host.folder().join("unbound");
    fs::create_dir_all(&folder).expect("the host's own folder");
    fs::write(folder.join("zone"), zone(0)).expect("written");
    let conf = format!(
        "server:\n  interface: {SERVER}\n  access-control: 0.0.0.0/0 allow\n  do-daemonize: no\n  \
         chroot: \"\"\n  username: \"\"\n  directory: \"{0}\"\n  pidfile: \"\"\n  use-syslog: no\n  \
         module-config: \"iterator\"\n  local-zone: \"test.\" nodefault\n\
         remote-control:\n  control-enable: no\n\
         auth-zone:\n  name: \"{ZONE}\"\n  zonefile: \"{0}/zone\"\n  for-downstream: yes\n  \
         for-upstream: yes\n  fallback-enabled: no\n",
        folder.display()
    );
    let file = folder.join("unbound.conf");
    fs::write(&file, conf).expect("written");
    let mut command = host.command("unbound");
    Server::start(host, "unbound", command.arg("-d").arg("-c").arg(file), || is_ready(host, SERVER))
}

/// A response to `query`: its question, so many `answers` (each a record in wire form), flags of one's
/// own.
#[must_use]
pub fn response(query: &[u8], flags: u16, answers: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = query[..2].to_vec();
    bytes.extend(flags.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(u16::try_from(answers.len()).expect("a few").to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(&query[12..question_end(query)]);
    answers.iter().for_each(|answer| bytes.extend(answer));
    bytes
}

/// An A record of the question's name.
#[must_use]
pub fn a_record(address: [u8; 4]) -> Vec<u8> {
    [&[0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4][..], &address].concat()
}

/// Where the question of a query ends.
#[must_use]
pub fn question_end(query: &[u8]) -> usize {
    let mut at = 12;
    while query[at] != 0 {
        at += usize::from(query[at]) + 1;
    }
    at + 5
}

/// A server at `address` of which every query gets what `replies` gives for it: datagrams, in their
/// order. It runs until the test ends.
pub fn scripted(
    host: &Host,
    address: &str,
    mut replies: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
) -> SocketAddr {
    let socket = host.enter(|| UdpSocket::bind(address)).expect("a free port");
    let local = socket.local_addr().expect("it is bound");
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            for reply in replies(&query[..length]) {
                // What the other side does not take it does not take.
                let _ = socket.send_to(&reply, from);
            }
        }
    });
    local
}
