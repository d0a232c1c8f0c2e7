//! The last words of a server.

/// How much of it is kept, octets.
const TEXT_LEN: usize = 96;

/// What option 56 said, as far as it fits: bytes of no known encoding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    bytes: [u8; TEXT_LEN],
    length: usize,
}

impl Text {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; TEXT_LEN], length: 0 }
    }

    pub(crate) fn set(&mut self, text: &[u8]) {
        self.length = text.len().min(TEXT_LEN);
        for (to, from) in self.bytes.iter_mut().zip(text) {
            *to = *from;
        }
    }

    pub(crate) fn get(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }
}
