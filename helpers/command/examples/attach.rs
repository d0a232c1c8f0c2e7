//! Threads that wait for states of the network, and one that is told when it is all over:
//! `attach eth0`.
//!
//! Callbacks run on the network's thread, one after the other, with what is known there.
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bringup::{Ended, Setup, SystemState};

fn main() -> Result<(), bringup::Error> {
    let interface = std::env::args().nth(1).unwrap_or_else(|| "eth0".into());
    let network = Setup::new().interface(interface).start()?;
    let (tell, told) = mpsc::channel();

    thread::scope(|scope| {
        for state in [SystemState::Operational, SystemState::Dhcp, SystemState::TimeValid] {
            let (network, tell) = (&network, tell.clone());
            scope.spawn(move || {
                network.attach(state, move |context| {
                    let context = context.expect("the network lives longer");
                    let addresses = context.addresses().len();
                    let line = format!("{state}: called with {addresses} address(es)");
                    tell.send(line).expect("somebody listens");
                });
            });
        }
    });
    // States are reached in their order, whoever asked first.
    for _ in 0..3 {
        match told.recv_timeout(Duration::from_secs(60)) {
            Ok(line) => println!("{line}"),
            Err(_) => return network.wait_operational(Duration::ZERO),
        }
    }
    // What is not reached before the end is told so: nothing is lost without a word.
    network.attach(SystemState::ModalUpdating, move |context| {
        assert_eq!(context.map(|_| ()), Err(Ended));
        tell.send("MODAL_UPDATING: ended before".into()).expect("somebody listens");
    });
    network.stop();
    println!("{}", told.recv().expect("one more line"));
    Ok(())
}
