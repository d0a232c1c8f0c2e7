//! [`Cookies`], what one server and this client recognise each other by (RFC 7873, RFC 9018).

use bringup_core::client::Rng;
use bringup_core::time::{Duration, Instant};

use crate::message::Edns;

/// The code of the COOKIE option (RFC 7873 §4).
pub(crate) const OPTION: u16 = 10;
/// The length of a client cookie, octets.
const CLIENT_LEN: usize = 8;
/// The most octets of a server cookie.
const SERVER_MAX: usize = 32;
/// The most octets of the option with its head.
pub(crate) const MAX_OPTION: usize = 4 + CLIENT_LEN + SERVER_MAX;
/// A client cookie is used for at most so long. RFC 9018 §3 allows a year.
const CLIENT_AGE: Duration = Duration::from_secs(86_400);
/// How long a server that has shown no cookie is sent none, so that it cannot be used to follow this
/// client (RFC 9018 §3: "e.g. 5 minutes").
const PAUSE: Duration = Duration::from_secs(300);

/// Why a reply is not from the server that this client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// A length that no cookie has, or another client's.
    Wrong,
    /// None, from a server that has shown one before.
    Missing,
}

/// The cookies of one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cookies {
    client: Option<([u8; CLIENT_LEN], Instant)>,
    server: [u8; SERVER_MAX],
    server_len: u8,
    paused_until: Option<Instant>,
}

impl Cookies {
    pub(crate) const NONE: Self =
        Self { client: None, server: [0; SERVER_MAX], server_len: 0, paused_until: None };

    /// The option for a query, in wire form; `None` while the server is not to get one.
    pub(crate) fn option<'b>(
        &mut self,
        now: Instant,
        rng: &mut dyn Rng,
        buffer: &'b mut [u8; MAX_OPTION],
    ) -> Option<&'b [u8]> {
        if self.paused_until.is_some_and(|until| now < until) {
            return None;
        }
        if self.client.is_none_or(|(_, made_at)| now >= made_at + CLIENT_AGE) {
            let mut cookie = [0; CLIENT_LEN];
            rng.fill(&mut cookie);
            *self = Self { client: Some((cookie, now)), ..Self::NONE };
        }
        let (client, _) = self.client?;
        let mut w = bringup_core::wire::Writer::new(buffer);
        let server = self.server.get(..usize::from(self.server_len)).unwrap_or(&[]);
        // The buffer has room for the longest option.
        w.u16(OPTION).ok()?;
        w.u16(u16::try_from(CLIENT_LEN + server.len()).ok()?).ok()?;
        w.bytes(&client).ok()?;
        w.bytes(server).ok()?;
        Some(w.finish())
    }

    /// Looks at the reply to a query with a cookie (RFC 7873 §5.3). Only the first COOKIE option counts.
    pub(crate) fn check(&mut self, edns: Option<Edns<'_>>, now: Instant) -> Result<(), Mismatch> {
        let option = edns.and_then(|edns| edns.options().find(|(code, _)| *code == OPTION));
        let Some((_, data)) = option else {
            if self.server_len > 0 {
                return Err(Mismatch::Missing);
            }
            // It knows no cookies: it will not see this one again.
            *self = Self { paused_until: Some(now + PAUSE), ..Self::NONE };
            return Ok(());
        };
        let Some((client, server)) = data.split_first_chunk::<CLIENT_LEN>() else {
            return Err(Mismatch::Wrong);
        };
        let known = self.client.is_none_or(|(own, _)| own == *client);
        if !known || !matches!(server.len(), 0 | 8..=SERVER_MAX) {
            return Err(Mismatch::Wrong);
        }
        if !server.is_empty() {
            let place = self.server.get_mut(..server.len()).unwrap_or_default();
            place.copy_from_slice(server);
            self.server_len = u8::try_from(server.len()).unwrap_or(0);
        }
        Ok(())
    }

    /// The server disliked the option: it gets none for a while.
    pub(crate) fn pause(&mut self, now: Instant) {
        *self = Self { paused_until: Some(now + PAUSE), ..Self::NONE };
    }
}
