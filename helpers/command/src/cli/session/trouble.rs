//! What went wrong, in a sentence that says what to do next.

use bringup_core::error::ErrorKind;
use bringup_core::event_loop::Registrar;
use bringup_core::platform::{Platform, PlatformError};
use bringup_core::time::{Duration, Instant};
use bringup_ntp::Discard;
use bringup_system::{Action, Event as From};

use super::Session;
use crate::cli::exit::Exit;
use crate::cli::network::LIMITS_HINT;
use crate::cli::replies;

impl<P: Platform<Error: std::fmt::Display>> Session<'_, P> {
    /// Tells of an event that is somebody's trouble; of any other, nothing.
    pub(super) fn tell_trouble(&mut self, registrar: &mut Registrar<'_, P>, event: From<P::Error>) {
        let now = registrar.now();
        match event {
            // Nobody was asked, and why has been told.
            From::NoDhcpServer { .. } | From::NoNtpServer if self.no_room(now).is_some() => {}
            From::NoDhcpServer { interface } => {
                let what = format!("DHCP on {}", self.name(interface));
                match self.useless_replies("dhcp") {
                    Some(useless) => self.problem(now, what, useless, replies::DHCP_HINT),
                    None => {
                        let hint = "check the cable and the server; the client goes on asking";
                        self.problem(now, what, "no server answers".into(), hint);
                    }
                }
            }
            From::Nak { interface, server } => {
                let what = format!("DHCP on {}", self.name(interface));
                let why = format!("{server} refuses the address");
                self.problem(now, what, why, "nothing; the client asks for another");
            }
            From::Conflict { interface, address, by } => {
                let what = format!("{address} on {}", self.name(interface));
                let why = format!("the station {by} uses it, too");
                self.problem(now, what, why, "find that station; another address is asked for");
            }
            From::Ipv6Only { interface, seconds } => {
                let what = format!("DHCP on {}", self.name(interface));
                let why = format!("this network wants to do without IPv4 for {seconds} s");
                self.problem(now, what, why, "use IPv6");
            }
            From::NoAddress { interface, link_local } => {
                let what = format!("DHCP on {}", self.name(interface));
                let no = if link_local { "" } else { ", and no link-local one is to be taken" };
                let client = self.system.interface(interface).map(|i| i.dhcp().server_text());
                let said = String::from_utf8_lossy(client.unwrap_or_default());
                let said = if said.is_empty() { said } else { format!(": {said:?}").into() };
                let why = format!("its administrator has no address for us{no}{said}");
                self.problem(now, what, why, "ask him");
            }
            From::NtpNameFailed { index } => {
                let what = format!("the name of NTP server {}", u16::from(index) + 1);
                let hint = "check the name and the DNS servers; it is asked for again";
                self.problem(now, what, "cannot be resolved".into(), hint);
            }
            From::NoNtpServer => {
                let (why, hint) = self.no_time();
                self.problem(now, "NTP".into(), why, hint);
            }
            From::PanicLimit { offset_ns } => {
                let why = format!(
                    "the servers say that the clock is {} s off",
                    offset_ns / 1_000_000_000
                );
                let hint = "check the servers, then set the clock by hand and start again";
                self.problem(now, "NTP".into(), why, hint);
            }
            From::Failed { interface, action, error } => {
                let of = interface.map_or(String::new(), |id| format!(" on {}", self.name(id)));
                let denied = error.kind() == ErrorKind::PermissionDenied;
                if action == Action::OpenSocket {
                    self.no_room = Some((now, error.to_string()));
                }
                let hint = match (denied, action) {
                    (_, Action::OpenSocket) => LIMITS_HINT,
                    (true, Action::SetClock) => "give the program CAP_SYS_TIME",
                    (true, _) => "run as root, or give the program CAP_NET_ADMIN",
                    (false, _) => "the rest goes on without it",
                };
                self.problem(now, format!("to {}{of}", action.name()), error.to_string(), hint);
                if denied && action == Action::AddressAdd {
                    self.end(registrar, Exit::Privilege);
                }
            }
            _ => {}
        }
    }

    /// The deadline has passed.
    pub(super) fn give_up(&mut self, registrar: &mut Registrar<'_, P>) {
        let held = registrar.held();
        let state = held.map_or(registrar.state(), |(state, _)| state);
        let no_room = self.no_room(registrar.now());
        let is_full = no_room.is_some();
        let why = match held {
            Some((_, key)) => {
                let held = format!("{} has held it back until the deadline", key.holder);
                match no_room.or_else(|| self.useless_replies(key.holder)) {
                    Some(cause) => format!("{held}: {cause}"),
                    None => held,
                }
            }
            None => "was not reached within the deadline".to_owned(),
        };
        let hint = match held.map(|(_, key)| key.holder) {
            _ if is_full => LIMITS_HINT,
            Some("link") => "check the cable, or whether the other end is up",
            Some("dhcp") if self.useless_replies("dhcp").is_some() => replies::DHCP_HINT,
            Some("dhcp") => "check that a DHCP server is on this network",
            Some("ntp") if self.system.ntp_servers().is_empty() => {
                "the network offers no NTP server; name one with --ntp"
            }
            Some("ntp") if self.useless_replies("ntp").is_some() => replies::NTP_HINT,
            Some("ntp") => "check that the NTP servers answer, or name others with --ntp",
            Some("resolve") => "check that the name exists and that the DNS servers answer",
            _ => "try again with a longer --deadline",
        };
        self.problem(registrar.now(), format!("the state {state}"), why, hint);
        self.end(registrar, Exit::Unknown);
    }

    /// Why there is no room for sockets; as long as there is none, that is told every minute.
    fn no_room(&self, now: Instant) -> Option<String> {
        let told = self.no_room.as_ref().filter(|(at, _)| now < *at + Duration::from_secs(120));
        told.map(|(_, why)| why.clone())
    }

    /// What the servers say wrong for which this holder waits.
    fn useless_replies(&self, holder: &str) -> Option<String> {
        match holder {
            "dhcp" => replies::useless_dhcp(self.system.interfaces().map(|i| i.dhcp().counters())),
            "ntp" => replies::useless_ntp(self.system.ntp().counters()),
            _ => None,
        }
    }

    /// Why no NTP server is of any use, and what to do.
    fn no_time(&self) -> (String, &'static str) {
        let ntp = self.system.ntp();
        let is_early = ntp.counters().discarded(Discard::BelowFloor) > 0;
        if is_early && ntp.counters().accepted == 0 {
            let why = format!("the servers tell times before {}, which has passed", ntp.floor());
            return (why, "check the servers; if it is the saved clock that is wrong, remove it");
        }
        if let Some(useless) = self.useless_replies("ntp") {
            return (useless, replies::NTP_HINT);
        }
        let hint = "check that UDP port 123 is open; the client goes on asking";
        ("no server answers".into(), hint)
    }
}
