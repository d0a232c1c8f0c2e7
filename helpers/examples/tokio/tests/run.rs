//! The example runs, against servers on loopback.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use bringup::core::time::Utc;
use bringup::demo::servers::{DnsServer, NtpServer, Zone};

fn serve(mut reply: impl FnMut(&[u8], &mut [u8]) -> Option<usize> + Send + 'static) -> String {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let (mut request, mut out) = ([0; 1500], [0; 1500]);
        while let Ok((length, from)) = socket.recv_from(&mut request) {
            if let Some(length) = reply(&request[..length], &mut out) {
                let _ = socket.send_to(&out[..length], from);
            }
        }
    });
    address.to_string()
}

fn utc() -> Utc {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Utc::from_unix_nanos(since.as_nanos().try_into().unwrap())
}

#[test]
fn a_name_and_the_time_over_tokio() {
    let zone = DnsServer::new(Zone::demo(Ipv4Addr::LOCALHOST));
    let dns = serve(move |request, out| zone.reply(request, out));
    let clock = NtpServer::new(2_000_000_000);
    let ntp = serve(move |request, out| clock.reply(request, utc(), utc(), out));
    let program = env!("CARGO_BIN_EXE_example_tokio");
    let outcome = Command::new(program).args(["host.bringup.test", &dns, &ntp]).output().unwrap();
    let said = String::from_utf8_lossy(&outcome.stdout);
    assert!(outcome.status.success(), "{outcome:?}");
    assert!(said.contains("127.0.0.1"), "{said}");
    let offset = said.split("add ").nth(1).and_then(|rest| rest.split(' ').next());
    let offset_us: i64 = offset.expect("the time is told").parse().unwrap();
    assert!((1_900_000..2_100_000).contains(&offset_us), "the server is two seconds ahead: {said}");
}
