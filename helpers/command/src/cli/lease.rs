//! `bringup lease`: what DHCP servers would give. Only DISCOVERs go out; nothing is taken, and nothing
//! on this machine changes.

use std::net::Ipv4Addr;

use bringup_core::client::{Checksum, Client, Cx, Input, Transmit};
use bringup_core::error::ErrorKind;
use bringup_core::event_loop::{Application, Ready, Registrar};
use bringup_core::platform::{Interface, Platform, PlatformError as _};
use bringup_core::poll::PollStorage;
use bringup_core::time::Instant;
use bringup_core::timer::{Owner, TimerKey};
use bringup_dhcp::counters::Mismatch;
use bringup_dhcp::lease::STORAGE_LEN;
use bringup_dhcp::message::{CLIENT_PORT, Message};
use bringup_dhcp::options::Value;
use bringup_dhcp::{
    Config, ConflictDetection, DhcpClient, Discard, Event as DhcpEvent, code, frame,
};
use bringup_system::{Buffers, Driven};

use super::args::Lease as Args;
use super::decode::dhcp::OptionFields;
use super::event::{Event, Offer};
use super::exit::Exit;
use super::live::Live;
use super::network;
use super::output::Output;
use super::privilege::{self, Capability};
use super::replies;
use super::up::{interfaces_there, use_one_of};

/// More offers than any network has servers.
const OFFERS_MAX: usize = 64;
/// As many as one readiness of a socket can bring.
const HEARD_MAX: usize = 16;

/// Asks the servers and tells what they offer.
#[inline(never)] // its memory is on the stack, and no other command needs it
pub fn run(args: &Args, output: &mut Output) -> Exit {
    if let Some(exit) = privilege::refuse("`lease`", &[Capability::NetRaw], output) {
        return exit;
    }
    if let Err(error) = privilege::keep_only(&[Capability::NetRaw], false) {
        output.problem("this process", error.to_string(), "nothing; it keeps what rights it has");
    }
    let (mut poll, mut storage) = (PollStorage::new(), [0; STORAGE_LEN]);
    let mut app = App {
        args,
        output,
        storage: Some(&mut storage),
        asking: None,
        buffers: Buffers::new(),
        deadline: None,
        told: Vec::new(),
        exit: Exit::Unknown,
        live: Live::default(),
    };
    match network::run(&mut app, &mut poll, App::start) {
        Ok(()) => app.exit,
        Err(error) => network::tell_os_error(output, error),
    }
}

/// What tells one offer from another: the server and the address.
type Heard = (Ipv4Addr, String);

/// A client that refuses every offer, and keeps what was in it.
struct Asking<'m> {
    client: DhcpClient<'m>,
    interface: &'m str,
    offers: Vec<Offer>,
}

impl<'m> Asking<'m> {
    fn new(config: Config<'m>, interface: &'m str, storage: &'m mut [u8]) -> Self {
        let config = Config {
            // A server binds at once if it may.
            rapid_commit: false,
            offer_policy: |_| 0,
            conflict_detection: ConflictDetection::Off,
            ..config
        };
        Self { client: DhcpClient::new(config, storage), interface, offers: Vec::new() }
    }

    fn keep(&mut self, payload: &[u8], checksum: Checksum) {
        let Ok(datagram) = frame::parse(payload, CLIENT_PORT, checksum) else { return };
        let Ok(message) = Message::parse(datagram.bytes) else { return };
        if self.offers.len() < HEARD_MAX {
            self.offers.extend(offer(self.interface, &message));
        }
    }
}

/// What an offer says that the client found in order.
fn offer(interface: &str, message: &Message<'_>) -> Option<Offer> {
    let value = |code| message.first(code);
    let prefix_len = value(code::SUBNET_MASK).and_then(Value::prefix_len);
    let address = message.header.yiaddr;
    let own = [code::MESSAGE_TYPE, code::SERVER_IDENTIFIER, code::LEASE_TIME];
    Some(Offer {
        interface: interface.to_owned(),
        address: match prefix_len {
            Some(prefix_len) => format!("{address}/{prefix_len}"),
            None => address.to_string(),
        },
        lease_s: value(code::LEASE_TIME).and_then(Value::u32).filter(|s| *s != u32::MAX),
        server: value(code::SERVER_IDENTIFIER).and_then(Value::address)?,
        options: message
            .options()
            .filter(|option| !own.contains(&option.code))
            .map(OptionFields::of)
            .collect(),
    })
}

impl Client for Asking<'_> {
    type Event = DhcpEvent;
    type Discard = Discard;

    fn handle_input(&mut self, cx: &mut Cx<'_>, input: Input<'_>) -> Result<(), Discard> {
        let taken = self.client.handle_input(cx, input);
        if let (
            Err(Discard::Mismatch(Mismatch::OfferRefused)),
            Input::Frame { payload, checksum, .. },
        ) = (taken, input)
        {
            self.keep(payload, checksum);
            return Ok(());
        }
        taken
    }

    fn handle_timeout(&mut self, cx: &mut Cx<'_>) {
        self.client.handle_timeout(cx);
    }

    fn poll_transmit<'b>(&mut self, cx: &mut Cx<'_>, buffer: &'b mut [u8]) -> Option<Transmit<'b>> {
        self.client.poll_transmit(cx, buffer)
    }

    fn poll_event(&mut self) -> Option<DhcpEvent> {
        self.client.poll_event()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.client.poll_timeout()
    }
}

struct App<'m, 'o, P: Platform> {
    args: &'m Args,
    output: &'o mut Output,
    /// The client's memory, until it is made.
    storage: Option<&'m mut [u8]>,
    asking: Option<Driven<Asking<'m>, P, 4>>,
    buffers: Buffers,
    deadline: Option<TimerKey>,
    told: Vec<Heard>,
    exit: Exit,
    live: Live,
}

impl<'m, P: Platform<Error: std::fmt::Display>> App<'m, '_, P> {
    fn start(&mut self, registrar: &mut Registrar<'_, P>) {
        let Ok(deadline) = registrar.add_timer(Owner::Application) else { return registrar.stop() };
        self.deadline = Some(deadline);
        registrar.set_timer(deadline, registrar.now() + self.args.deadline);
        self.live.start(registrar, self.output);
        let (args, name) = (self.args, self.args.interface.as_str());
        let link = match registrar.platform().interface(name) {
            Ok(link) => link,
            Err(error) => {
                let hint = match error.kind() {
                    ErrorKind::NotFound => use_one_of(&interfaces_there()),
                    ErrorKind::Exhausted => network::LIMITS_HINT.to_owned(),
                    _ => "name another".to_owned(),
                };
                return self.give_up(registrar, &error.to_string(), &hint);
            }
        };
        if let Some((why, hint)) = unfit(name, &link) {
            return self.give_up(registrar, why, &hint);
        }
        let Some(storage) = self.storage.take() else { return };
        let mtu = u16::try_from(link.mtu).unwrap_or(u16::MAX);
        let config = Config { mac: link.mac, mtu, ..args.dhcp.config() };
        let mut asking = Driven::new(Asking::new(config, name, storage), Owner::Application);
        asking.set_interface(Some(link.index));
        if asking.register(registrar).is_err() {
            return registrar.stop();
        }
        asking.call(registrar, &mut self.buffers, |asking, cx| asking.client.start(cx));
        self.asking = Some(asking);
    }

    fn give_up(&mut self, registrar: &mut Registrar<'_, P>, why: &str, hint: &str) {
        self.output.problem(format!("the interface {}", self.args.interface), why, hint);
        registrar.stop();
    }

    /// Tells what is new. The first offer shortens the wait.
    fn tell(&mut self, registrar: &mut Registrar<'_, P>) {
        let Some(asking) = &mut self.asking else { return };
        while asking.next_event().is_some() {}
        while asking.next_discard().is_some() {}
        for offer in asking.call(registrar, &mut self.buffers, |a, _| std::mem::take(&mut a.offers))
        {
            let heard = (offer.server, offer.address.clone());
            if self.told.contains(&heard) || self.told.len() == OFFERS_MAX {
                continue;
            }
            if let (Some(timer), Exit::Unknown) = (self.deadline, self.exit) {
                registrar.set_timer(timer, registrar.now() + self.args.wait);
            }
            self.exit = Exit::Done;
            self.told.push(heard);
            self.output.emit(&Event::Offer(offer));
        }
        if self.output.is_closed() {
            registrar.stop();
        }
    }

    fn end(&mut self, registrar: &mut Registrar<'_, P>) {
        if self.exit == Exit::Unknown {
            let what = format!("DHCP on {}", self.args.interface);
            let now = registrar.now();
            let no_room = self.asking.as_mut().and_then(|asking| asking.next_no_room(now));
            let counters = self.asking.iter().map(|asking| asking.client().client.counters());
            match replies::useless_dhcp(counters) {
                Some(useless) => self.output.problem(what, useless, replies::DHCP_HINT),
                None if no_room.is_some() => {
                    let why = no_room.map(|error| error.to_string()).unwrap_or_default();
                    self.output.problem(what, why, network::LIMITS_HINT);
                }
                None => {
                    let why = "no server has made an offer within the deadline";
                    let hint =
                        "check the cable and the server, or try again with a longer --deadline";
                    self.output.problem(what, why, hint);
                }
            }
        }
        if let Some(asking) = &mut self.asking {
            asking.close(registrar);
        }
        registrar.stop();
    }
}

/// Why DISCOVERs cannot go out here, and what to do about it.
fn unfit(name: &str, link: &Interface) -> Option<(&'static str, String)> {
    if !link.ethernet {
        return Some(("is not an Ethernet interface, as DHCP needs one", "name another".into()));
    }
    let hint = format!("set it up first: ip link set {name} up");
    (!link.up).then_some(("is down, and `lease` changes nothing", hint))
}

impl<P: Platform<Error: std::fmt::Display>> Application<P> for App<'_, '_, P> {
    fn dispatch(&mut self, registrar: &mut Registrar<'_, P>, ready: Ready) {
        if let Ready::Timer { key, .. } = ready {
            if self.deadline == Some(key) {
                return self.end(registrar);
            }
        }
        if self.live.is(ready) {
            let waiting = format!("DHCP servers are asked on {}", self.args.interface);
            return self.live.show(registrar, self.output, &waiting);
        }
        if let Some(asking) = &mut self.asking {
            asking.handle(registrar, &mut self.buffers, &ready);
        }
        self.tell(registrar);
    }
}
