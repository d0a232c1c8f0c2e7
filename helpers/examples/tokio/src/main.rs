//! The sans-IO clients on tokio: `example_tokio NAME DNS-SERVER:PORT NTP-SERVER:PORT`.
//!
//! [`tokio_host::run`] is all that there is to it: a task for each socket passes what arrives to a
//! channel, and one loop selects between that channel and the client's own deadline.

mod tokio_host;

use std::net::SocketAddr;
use std::process::ExitCode;

use bringup_core::time::Utc;
use bringup_dns::{QueryKind, QueryOptions, Resolver, ServerAddress, SmallStorage};
use bringup_ntp::{NtpClient, Server, Source};
use tokio_host::{World, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, dns, ntp] = arguments.as_slice() else {
        eprintln!("usage: example_tokio NAME DNS-SERVER:PORT NTP-SERVER:PORT");
        return ExitCode::from(64);
    };
    let (Ok(dns), Ok(ntp)) = (dns.parse(), ntp.parse()) else {
        eprintln!("a server is ADDRESS:PORT");
        return ExitCode::from(64);
    };
    resolve(name, dns).await;
    ask_the_time(ntp).await;
    ExitCode::SUCCESS
}

async fn resolve(name: &str, server: SocketAddr) {
    let mut memory = SmallStorage::new();
    let mut resolver = Resolver::new(bringup_dns::Config::DEFAULT, &mut memory);
    let mut world = World::new();
    resolver.set_servers(&mut world.cx(), &[ServerAddress::from(server)]);
    let options = QueryOptions::default();
    match resolver.query(&mut world.cx(), name, QueryKind::Addresses, options) {
        Err(why) => println!("{name}: {why:?}"),
        Ok(asked) => {
            let done = |event: &bringup_dns::Event| matches!(event, bringup_dns::Event::Done { key, .. } if *key == asked);
            run(&mut resolver, &mut world, done).await;
            let found = resolver.result(asked).into_iter().flat_map(|answer| answer.addresses());
            println!("{name}: {:?}", found.collect::<Vec<_>>());
        }
    }
}

async fn ask_the_time(address: SocketAddr) {
    // The earliest time that is believed: when this example was written.
    let mut client = NtpClient::new(bringup_ntp::Config::new(Utc::from_unix_secs(1_760_000_000)));
    let mut world = World::new();
    let server = Server { address, source: Source::Configured };
    client.set_servers(&mut world.cx(), &[server]);
    client.start(&mut world.cx());
    let told = |event: &bringup_ntp::Event| {
        use bringup_ntp::Event::{Exhausted, StateChanged};
        matches!(event, StateChanged { .. } | Exhausted)
    };
    run(&mut client, &mut world, told).await;
    let (now, utc) = {
        let cx = world.cx();
        (cx.now, cx.utc)
    };
    match client.utc(now) {
        Some(estimate) => println!(
            "time: add {} us to the clock, give or take {} us",
            estimate.utc.nanos_since(utc) / 1_000,
            estimate.error_ns / 1_000
        ),
        None => println!("time: not known"),
    }
}
