//! Ten lines from a bare interface to a program that may start: `up eth0 example.com`.
use std::time::Duration;

fn main() -> Result<(), bringup::Error> {
    let mut arguments = std::env::args().skip(1);
    let interface = arguments.next().unwrap_or_else(|| "eth0".into());
    let name = arguments.next().unwrap_or_else(|| "example.com".into());

    let network = bringup::Setup::new().interface(interface).start()?;
    network.wait_operational(Duration::from_secs(60))?;
    println!("addresses: {:?}", network.addresses()?);
    println!("{name}: {:?}", network.resolve(&name, Duration::from_secs(10))?);
    println!("time: {:?}", network.time()?);
    Ok(())
}
