//! What is wrong with the servers' replies where no lease comes of them.

use bringup_dhcp::Counters;
use bringup_dhcp::counters::Mismatch;

/// What a server answers this very client, and says wrong.
const FAULTS: [Mismatch; 8] = [
    Mismatch::MissingMessageType,
    Mismatch::MissingServerIdentifier,
    Mismatch::WrongServer,
    Mismatch::BadYiaddr,
    Mismatch::WrongYiaddr,
    Mismatch::MissingLeaseTime,
    Mismatch::LeaseTooShort,
    Mismatch::WrongClientIdentifier,
];

/// How many replies were of no use, and why most of them; `None` where there was none.
pub fn useless<'c>(counters: impl Iterator<Item = &'c Counters>) -> Option<String> {
    let mut counts = FAULTS.map(|why| (0_u32, why));
    for counters in counters {
        for (count, why) in &mut counts {
            *count = count.saturating_add(counters.discarded((*why).into()));
        }
    }
    let all = counts.iter().fold(0_u32, |all, (count, _)| all.saturating_add(*count));
    let (most, why) = counts.into_iter().max_by_key(|(count, _)| *count)?;
    let replies = if all == 1 { "reply" } else { "replies" };
    (most > 0).then(|| format!("{all} {replies} could not be used ({})", why.name()))
}

/// What to do about such a server.
pub const HINT: &str = "check the configuration of the server";
