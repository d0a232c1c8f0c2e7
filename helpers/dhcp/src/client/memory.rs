//! What outlives the process or the link: snapshots of the lease, and its confirmation.

use bringup_core::client::{Cx, Mac};
use bringup_core::wire::Full;

use super::DhcpClient;
use super::state::{State, Then};
use crate::counters::Tally;
use crate::event::LostReason;
use crate::lease::Grant;
use crate::parts::EXTRAS;
use crate::snapshot::{Snapshot, SnapshotError};

impl DhcpClient<'_> {
    /// Like [`start`](Self::start), with a lease that an earlier run of the program had, all of its
    /// options included: those that the server doesn't repeat stay. If the router of that time
    /// answers first (DNAv4), that is enough to use the address.
    ///
    /// Bytes that are no [`Snapshot`] of this client change nothing: [`start`](Self::start) then.
    /// One of a lease that is over serves to ask for its address; one given beside a lease that
    /// holds, or to a client that runs, is ignored.
    pub fn start_from_snapshot(
        &mut self,
        cx: &mut Cx<'_>,
        bytes: &[u8],
    ) -> Result<(), SnapshotError> {
        let snapshot = self.recognise(bytes)?;
        self.expire(cx.now);
        let is_free = matches!(self.state, State::Stopped) && self.lease.is_none();
        if is_free && snapshot.is_over(cx.utc) {
            self.hint = Some(snapshot.address);
        } else if is_free {
            self.start_remembering(cx, &snapshot);
            return Ok(());
        }
        self.start(cx);
        Ok(())
    }

    /// Reads a snapshot and checks that it is this client's; what is in the store can be judged so
    /// before it is needed.
    pub fn recognise<'b>(&self, bytes: &'b [u8]) -> Result<Snapshot<'b>, SnapshotError> {
        if !EXTRAS {
            return Err(SnapshotError::Version);
        }
        let snapshot = Snapshot::decode(bytes)?;
        let ours = (self.config.mac, self.config.identity());
        if (snapshot.mac, snapshot.identity) != ours {
            return Err(SnapshotError::Foreign);
        }
        Ok(snapshot)
    }

    fn start_remembering(&mut self, cx: &mut Cx<'_>, snapshot: &Snapshot<'_>) {
        self.informed = None;
        let dropped = self.vault.load(snapshot.options);
        self.counters.add(Tally::OptionsDropped, dropped);
        self.router = snapshot.router;
        // Without a clock that can be right, nobody but a server knows how long it holds.
        let is_clock_right = cx.utc >= snapshot.saved_at;
        let grant = Grant::remembered(snapshot, cx.now, cx.utc);
        self.remembered = Some(grant).filter(|_| is_clock_right);
        self.begin_after_delay(cx, Then::Reboot(snapshot.address));
    }

    /// The lease that holds as plain bytes, at most [`SNAPSHOT_LEN`](crate::snapshot::SNAPSHOT_LEN)
    /// of them. To be kept after [`Event::Bound`](crate::Event::Bound),
    /// [`Event::Renewed`](crate::Event::Renewed) and
    /// [`Event::RouterFound`](crate::Event::RouterFound), and given to
    /// [`start_from_snapshot`](Self::start_from_snapshot). `Ok(None)` if there is no lease.
    pub fn snapshot<'b>(
        &self,
        cx: &Cx<'_>,
        buffer: &'b mut [u8],
    ) -> Result<Option<&'b [u8]>, Full> {
        let Some(grant) = self.lease.filter(|_| EXTRAS) else { return Ok(None) };
        let snapshot = Snapshot {
            mac: self.config.mac,
            identity: self.config.identity(),
            address: grant.address,
            server: grant.server_identifier,
            saved_at: cx.utc,
            times: grant.times.map(|times| times.on_the_wall(cx.now, cx.utc)),
            router: self.router,
            options: self.vault.options(),
        };
        snapshot.encode(buffer).map(Some)
    }

    /// The interface has this link address from now on. To servers it is another client then, whose lease
    /// the old one's is not: that is lost, and a client that wants one begins anew; one that only informs
    /// itself, or gives its lease back, is stopped. Nothing that the old one had is told (RFC 7844 §3.2).
    /// Does nothing if it is the same.
    pub fn set_link_address(&mut self, cx: &mut Cx<'_>, mac: Mac) {
        if self.config.mac == mac {
            return;
        }
        let wants_lease =
            !matches!(self.state, State::Stopped | State::Informing(_) | State::Releasing(_));
        self.stop(cx);
        self.config.mac = mac;
        self.lose(LostReason::LinkAddress);
        (self.hint, self.informed, self.router) = (None, None, None);
        self.offers.clear();
        if wants_lease {
            self.start(cx);
        }
    }

    /// The link came up, the machine woke up, or the station roamed: this may be another network.
    ///
    /// A client that is stopped starts. One with a lease asks for its confirmation (INIT-REBOOT,
    /// RFC 2131 §3.7) while the lease goes on to hold; one that waits for an answer asks anew.
    pub fn link_up(&mut self, cx: &mut Cx<'_>) {
        if self.expire(cx.now) {
            self.restart_if_bound(cx);
        }
        match (self.state, self.lease) {
            (State::Stopped, _) => self.start(cx),
            (State::Bound { .. } | State::Renewing(_) | State::Rebinding(_), Some(lease)) => {
                self.claim = None;
                if self.config.anonymous {
                    // RFC 7844 §3.3; nobody may have heard of the lease on this network.
                    self.discover(cx, None);
                } else {
                    self.begin(cx, Then::Reboot(lease.address));
                }
            }
            (
                State::Selecting(_)
                | State::Requesting(_)
                | State::Init { then: Then::Ipv4Again, .. },
                _,
            ) => self.discover(cx, None),
            _ => {}
        }
    }
}
