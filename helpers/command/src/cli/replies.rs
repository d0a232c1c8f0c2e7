//! What is wrong with the servers' replies where nothing comes of them: that is not the same as silence.

use bringup_dhcp::counters::Mismatch;
use bringup_ntp::Discard;

/// What a DHCP server answers this very client, and says wrong.
const DHCP_FAULTS: [Mismatch; 8] = [
    Mismatch::MissingMessageType,
    Mismatch::MissingServerIdentifier,
    Mismatch::WrongServer,
    Mismatch::BadYiaddr,
    Mismatch::WrongYiaddr,
    Mismatch::MissingLeaseTime,
    Mismatch::LeaseTooShort,
    Mismatch::WrongClientIdentifier,
];

/// What to do about such a DHCP server.
pub const DHCP_HINT: &str = "check the configuration of the server";

/// What to do about such an NTP server.
pub const NTP_HINT: &str = "check the servers, or name others with --ntp";

/// How many replies of DHCP servers were of no use, and why most of them; `None` where there was none.
pub fn useless_dhcp<'c>(
    counters: impl Iterator<Item = &'c bringup_dhcp::Counters>,
) -> Option<String> {
    useless(counters.flat_map(|counters| {
        DHCP_FAULTS.into_iter().map(|why| (counters.discarded(why.into()).into(), why.name()))
    }))
}

/// The same of NTP servers, unless one of them has told a time.
pub fn useless_ntp(counters: &bringup_ntp::Counters) -> Option<String> {
    let faults = Discard::ALL.iter().filter(|why| why.ends_exchange());
    useless(faults.map(|why| (counters.discarded(*why).into(), why.name())))
        .filter(|_| counters.accepted == 0)
}

/// The same of what came to the resolver's sockets: from a server, or from somebody who forges one.
pub fn useless_dns(counters: &bringup_dns::Counters) -> Option<String> {
    useless(counters.discards().map(|(why, count)| (count, why.name())))
}

fn useless(counts: impl Iterator<Item = (u64, &'static str)>) -> Option<String> {
    let (mut all, mut most) = (0_u64, (0, ""));
    for counted in counts {
        all = all.saturating_add(counted.0);
        most = most.max(counted);
    }
    let replies = if all == 1 { "reply" } else { "replies" };
    (all > 0).then(|| format!("{all} {replies} could not be used ({})", most.1))
}
