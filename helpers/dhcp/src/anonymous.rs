//! The anonymity profile: messages that many different clients could have sent. RFC 7844.

use bringup_core::wire::Full;

use crate::code;
use crate::message::MessageWriter;

/// What is asked for: as little as gets a host onto the net. §3.6.
const PARAMETERS: [u8; 5] =
    [code::SUBNET_MASK, code::CLASSLESS_ROUTE, code::ROUTER, code::DNS_SERVER, code::NTP_SERVER];

/// An order that can't be foreseen, from bits that were drawn when the exchange began, so that its
/// resends are alike. The bits never go out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shuffle(pub(crate) u32);

impl Shuffle {
    /// A number in `0..bound`.
    fn draw(&mut self, bound: usize) -> usize {
        let bound = u32::try_from(bound.max(1)).unwrap_or(1);
        let drawn = self.0 % bound;
        self.0 /= bound;
        usize::try_from(drawn).unwrap_or(0)
    }

    /// Fisher and Yates; 5! and 4! orders take 12 of the 32 bits.
    fn apply<T>(&mut self, items: &mut [T]) {
        for left in (2..=items.len()).rev() {
            let chosen = self.draw(left);
            items.swap(left - 1, chosen);
        }
    }
}

/// Writes option 55 and these others in an order of their own. Option 53 stands first in every
/// message of this client: some servers want it there, and it tells nobody from anybody.
pub(crate) fn write_shuffled(
    message: &mut MessageWriter<'_>,
    mut shuffle: Shuffle,
    others: [Option<(u8, &[u8])>; 3],
) -> Result<(), Full> {
    let mut parameters = PARAMETERS;
    // RFC 3442 wants 121 before 3, and no peer minds: the order of 55 is one of the marks by which
    // hosts are told apart (RFC 7844 §3.6).
    shuffle.apply(&mut parameters);
    let [a, b, c] = others;
    let mut all = [a, b, c, Some((code::PARAMETER_REQUEST, &parameters[..]))];
    shuffle.apply(&mut all);
    for (code, bytes) in all.into_iter().flatten() {
        message.option(code, bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_order_occurs() {
        let orders: BTreeSet<_> = (0..10_000u32)
            .map(|n| {
                let mut items = [1, 2, 3, 4];
                Shuffle(n.wrapping_mul(2_654_435_761)).apply(&mut items);
                items
            })
            .collect();
        assert_eq!(orders.len(), 24);
        Shuffle(7).apply::<u8>(&mut []);
    }
}
