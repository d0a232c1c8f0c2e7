//! What each state sends. Fields and options by RFC 2131 Tables 4 and 5.

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use bringup_core::client::{Mac, Transmit};
use bringup_core::time::Instant;
use bringup_core::wire::Full;

use super::sockets::{LINK, UNICAST};
use super::state::State;
use crate::anonymous::{self, Shuffle};
use crate::code::{self, MessageType};
use crate::config::{BroadcastFlag, Config};
use crate::frame;
use crate::message::{CLIENT_PORT, FLAG_BROADCAST, Header, MessageWriter, SERVER_PORT};

/// After so many silent DISCOVERs servers are asked to broadcast.
const SILENT_BEFORE_BROADCAST: u8 = 3;

/// Where a message goes.
#[derive(Clone, Copy, Debug)]
enum Route {
    /// To everybody on the link, as a frame, from this IP address.
    Broadcast(Ipv4Addr),
    /// To this server, through the UDP socket on our address.
    Unicast(Ipv4Addr),
}

/// A message about to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draft {
    pub(super) kind: MessageType,
    pub(super) header: Header,
    /// Option 50.
    requested: Option<Ipv4Addr>,
    /// Option 54.
    server: Option<Ipv4Addr>,
    /// Option 80.
    rapid_commit: bool,
    /// Option 116 = 1.
    auto_configure: bool,
    /// The order of options under anonymity.
    shuffle: Shuffle,
    /// Option 56, for whoever reads the server's log. Table 5: SHOULD in DECLINE and RELEASE,
    /// SHOULD NOT elsewhere.
    text: Option<&'static [u8]>,
    route: Route,
}

impl Draft {
    const fn new(kind: MessageType, header: Header, route: Route) -> Self {
        Self {
            kind,
            header,
            requested: None,
            server: None,
            rapid_commit: false,
            auto_configure: false,
            shuffle: Shuffle(0),
            text: None,
            route,
        }
    }

    /// What `state` has to send now; `hint` is an address that we had before.
    pub(super) fn of(
        state: &State,
        config: &Config<'_>,
        hint: Option<Ipv4Addr>,
        now: Instant,
    ) -> Option<Self> {
        let anywhere = Route::Broadcast(Ipv4Addr::UNSPECIFIED);
        let mut draft = Self::new(MessageType::Request, config.header(0), anywhere);
        if let Some(exchange) = state.exchange() {
            (draft.header.xid, draft.header.secs) = (exchange.xid, exchange.secs(now));
            draft.shuffle = exchange.shuffle;
        }
        match state {
            State::Selecting(s) => {
                draft.kind = MessageType::Discover;
                draft.header.flags = flags(wants_broadcast(config, s.exchange.sends));
                // RFC 7844 §3.3.
                draft.requested = hint.filter(|_| !config.anonymous);
                draft.rapid_commit = config.rapid_commit && !config.anonymous;
                // RFC 2563 §2.2: in the first DISCOVER MUST; the same in resends.
                draft.auto_configure = config.asks_auto_configure();
            }
            State::Requesting(r) => {
                // RFC 2131 §3.1 step 3: the DISCOVER's values, in resends too.
                (draft.header.secs, draft.header.flags) = (r.secs, flags(r.broadcast));
                (draft.requested, draft.server) = (Some(r.offer.address), Some(r.offer.server));
            }
            State::Rebooting(r) => {
                draft.header.flags = flags(wants_broadcast(config, 0));
                // 54 MUST NOT be there, ciaddr MUST be zero: §4.3.2.
                draft.requested = Some(r.address);
            }
            State::Renewing(r) => {
                (draft.header.ciaddr, draft.route) = (r.address, Route::Unicast(r.server));
            }
            State::Rebinding(r) => {
                (draft.header.ciaddr, draft.route) = (r.address, Route::Broadcast(r.address));
            }
            State::Releasing(r) => {
                (draft.kind, draft.header.xid, draft.header.ciaddr) =
                    (MessageType::Release, r.xid, r.address);
                (draft.server, draft.route) = (Some(r.server), Route::Unicast(r.server));
                draft.text = Some(b"no longer needed");
            }
            State::Declining(d) => {
                // Table 5: ciaddr, secs and flags are 0; 50 and 54 MUST be there.
                (draft.kind, draft.header.xid) = (MessageType::Decline, d.xid);
                (draft.requested, draft.server) = (Some(d.address), Some(d.server));
                draft.text = Some(b"address in use");
            }
            State::Informing(i) => {
                (draft.kind, draft.header.ciaddr) = (MessageType::Inform, i.address);
                draft.route = i.server.map_or(Route::Broadcast(i.address), Route::Unicast);
            }
            State::Stopped | State::Init { .. } | State::Probing(_) | State::Bound { .. } => {
                return None;
            }
        }
        Some(draft)
    }

    /// The socket that it goes through.
    pub(super) const fn socket(&self) -> u8 {
        match self.route {
            Route::Broadcast(_) => LINK,
            Route::Unicast(_) => UNICAST,
        }
    }

    fn encode(&self, config: &Config<'_>, buffer: &mut [u8]) -> Result<usize, Full> {
        let mut message = MessageWriter::new(buffer, &self.header, self.kind)?;
        // Table 5: 12, 55, 57 and 60 are not for DECLINE and RELEASE.
        let wishes =
            matches!(self.kind, MessageType::Discover | MessageType::Request | MessageType::Inform);
        if config.anonymous && wishes {
            self.encode_anonymously(config, &mut message)?;
            return message.finish().map(|bytes| bytes.len());
        }
        config.write_identity(&mut message)?;
        if let Some(address) = self.requested {
            message.address(code::REQUESTED_ADDRESS, address)?;
        }
        if let Some(server) = self.server {
            message.address(code::SERVER_IDENTIFIER, server)?;
        }
        if wishes {
            config.write_wishes(&mut message)?;
        }
        if let Some(text) = self.text.filter(|_| !config.anonymous) {
            message.option(code::MESSAGE, text)?;
        }
        // RFC 6704 §3.1.4: in every DISCOVER and REQUEST; algorithm 1 is HMAC-MD5.
        if config.asks_nonce() && wishes && self.kind != MessageType::Inform {
            message.option(code::FORCERENEW_NONCE, &[1])?;
        }
        if self.rapid_commit {
            message.option(code::RAPID_COMMIT, &[])?;
        }
        if self.auto_configure {
            message.option(code::AUTO_CONFIGURE, &[1])?;
        }
        if wishes {
            config.write_further(&mut message);
        }
        message.finish().map(|bytes| bytes.len())
    }

    fn encode_anonymously(
        &self,
        config: &Config<'_>,
        message: &mut MessageWriter<'_>,
    ) -> Result<(), Full> {
        let identity = config.mac_identifier();
        let requested = self.requested.map(|address| address.octets());
        let server = self.server.map(|address| address.octets());
        let others = [
            Some((code::CLIENT_IDENTIFIER, &identity[..])),
            requested.as_ref().map(|octets| (code::REQUESTED_ADDRESS, &octets[..])),
            server.as_ref().map(|octets| (code::SERVER_IDENTIFIER, &octets[..])),
        ];
        anonymous::write_shuffled(message, self.shuffle, others)
    }

    /// Writes the message and says how it goes out.
    pub(super) fn write<'b>(
        &self,
        config: &Config<'_>,
        buffer: &'b mut [u8],
    ) -> Result<Transmit<'b>, Full> {
        match self.route {
            Route::Broadcast(source) => {
                let length = self.encode(config, frame::payload_area(buffer))?;
                let from = SocketAddrV4::new(source, CLIENT_PORT);
                let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT);
                let payload = frame::seal(buffer, length, from, to)?;
                let ethertype = frame::ETHERTYPE_IPV4;
                Ok(Transmit::Frame { socket: LINK, to: Mac::BROADCAST, ethertype, payload })
            }
            Route::Unicast(server) => {
                let length = self.encode(config, buffer)?;
                let to = SocketAddr::V4(SocketAddrV4::new(server, SERVER_PORT));
                let bytes = buffer.get(..length).ok_or(Full)?;
                Ok(Transmit::Datagram { socket: UNICAST, to, bytes })
            }
        }
    }
}

const fn flags(broadcast: bool) -> u16 {
    if broadcast { FLAG_BROADCAST } else { 0 }
}

fn wants_broadcast(config: &Config<'_>, silent: u8) -> bool {
    match config.broadcast_flag {
        BroadcastFlag::AfterSilence => silent >= SILENT_BEFORE_BROADCAST,
        BroadcastFlag::Never => false,
        BroadcastFlag::Always => true,
    }
}
