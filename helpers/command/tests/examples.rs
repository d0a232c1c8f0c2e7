//! The examples that need no privilege run. Those that bring an interface up are run in the laboratory.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;

use bringup::demo::servers::{DnsServer, Zone};

/// Cargo builds the examples before it runs tests.
fn example(name: &str, arguments: &[&str]) -> Output {
    let test = std::env::current_exe().unwrap();
    let folders = test.ancestors().map(|folder| folder.join("examples").join(name));
    let program: PathBuf = folders.into_iter().find(|file| file.is_file()).expect("it is built");
    Command::new(program).args(arguments).output().unwrap()
}

fn dns_server() -> String {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    let server = DnsServer::new(Zone::demo(Ipv4Addr::LOCALHOST));
    thread::spawn(move || {
        let (mut request, mut out) = ([0; 1500], [0; 1500]);
        while let Ok((length, from)) = socket.recv_from(&mut request) {
            if let Some(length) = server.reply(&request[..length], &mut out) {
                let _ = socket.send_to(&out[..length], from);
            }
        }
    });
    address.to_string()
}

#[test]
fn the_resolver_alone_in_a_poll_loop() {
    let server = dns_server();
    let found = example("resolver", &["www.bringup.test", &server]);
    let text = String::from_utf8_lossy(&found.stdout);
    assert!(found.status.success(), "{found:?}");
    assert!(text.contains("Answer") && text.contains("127.0.0.1"), "{text}");
    let missing = example("resolver", &["nowhere.bringup.test", &server]);
    assert!(String::from_utf8_lossy(&missing.stdout).contains("NxDomain"), "{missing:?}");
}

#[test]
fn an_interface_that_is_not_there_is_an_error_in_words() {
    let outcome = example("up", &["no-such-interface"]);
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    let said = String::from_utf8_lossy(&outcome.stderr);
    assert!(said.contains("no-such-interface") || said.contains("CAP_NET_RAW"), "{said}");
}
