//! Unpredictable bytes from the kernel, drawn in advance so that an id costs no system call.

use bringup_core::client::Rng;

use crate::error::{Operation, OsError, number};

const BUFFER: usize = 1_024;

/// A buffer of unpredictable bytes. Each is handed out once and wiped.
pub(crate) struct Entropy {
    bytes: [u8; BUFFER],
    /// How many of them, at the end, are still to be used.
    left: usize,
}

impl Entropy {
    /// A full buffer. Waits until the kernel has entropy, early after boot; fails if it never has.
    pub(crate) fn new() -> Result<Self, OsError> {
        let mut bytes = [0; BUFFER];
        getrandom::fill(&mut bytes).map_err(|error| {
            OsError::new(Operation::Entropy, error.raw_os_error().unwrap_or(number::EIO))
        })?;
        Ok(Self { bytes, left: BUFFER })
    }
}

/// # Panics
///
/// When the kernel, which gave entropy at the start, gives none any more: to go on with predictable
/// ids would be worse.
fn draw(buffer: &mut [u8]) {
    if let Err(error) = getrandom::fill(buffer) {
        panic!("the kernel gives no entropy any more: {error}");
    }
}

impl Rng for Entropy {
    fn fill(&mut self, buffer: &mut [u8]) {
        if buffer.len() > BUFFER / 4 {
            return draw(buffer);
        }
        if buffer.len() > self.left {
            draw(&mut self.bytes);
            self.left = BUFFER;
        }
        let unused = self.bytes.get_mut(BUFFER - self.left..);
        match unused.and_then(|unused| unused.get_mut(..buffer.len())) {
            Some(taken) => {
                buffer.copy_from_slice(taken);
                taken.fill(0);
                self.left -= buffer.len();
            }
            None => draw(buffer),
        }
    }
}

impl core::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Entropy").field("left", &self.left).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn numbers_do_not_repeat_over_refills() {
        let mut entropy = Entropy::new().expect("entropy");
        let seen: HashSet<u64> = (0..1_000).map(|_| entropy.u64()).collect();
        assert_eq!(seen.len(), 1_000);
    }

    #[test]
    fn used_bytes_are_wiped() {
        let mut entropy = Entropy::new().expect("entropy");
        entropy.fill(&mut [0; 60]);
        assert_eq!((&entropy.bytes[..60], entropy.left), (&[0; 60][..], BUFFER - 60));
    }
}
