//! [`Sources`]: the platform's word on source addresses, in the resolver's terms.

use core::net::IpAddr;

use bringup_core::platform::{self, Platform};
use bringup_dns::client::Answer;
use bringup_dns::{SourceAddress, SourceOracle};

/// The most addresses of one answer that are put in order.
pub const MAX_ADDRESSES: usize = bringup_dns::order::MAX_SORTED;

/// Asks the platform where packets would come from.
struct Sources<'p, P: Platform>(&'p mut P);

impl<P: Platform> SourceOracle for Sources<'_, P> {
    fn source(&mut self, destination: IpAddr) -> Option<SourceAddress> {
        let platform::Source { address, prefix, deprecated } =
            self.0.source(destination).ok().flatten()?;
        Some(SourceAddress { deprecated, ..SourceAddress::new(address, prefix) })
    }
}

/// The addresses of an answer in the order in which they are to be tried (RFC 6724 §6, then RFC 8305
/// §4). On a platform that cannot say where packets would come from, the order of the answer.
pub(crate) fn ordered<'b, P: Platform>(
    platform: &mut P,
    answer: Answer<'_>,
    buffer: &'b mut [IpAddr],
) -> &'b mut [IpAddr] {
    let Some(first) = answer.addresses().next() else { return &mut [] };
    if platform.source(first).is_err() {
        let mut count = 0;
        for (slot, address) in buffer.iter_mut().zip(answer.addresses()) {
            *slot = address;
            count += 1;
        }
        return buffer.get_mut(..count).unwrap_or_default();
    }
    answer.ordered_addresses(&mut Sources(platform), buffer)
}
