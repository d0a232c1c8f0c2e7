//! [`Data`], fuzzer input read as choices, and [`Dice`], randomness that a run can repeat.

use bringup_core::client::Rng;

/// Input taken from its front. Past the end everything is zero, so that any bytes are a program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Data<'a>(&'a [u8]);

impl<'a> Data<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left: where a program ends.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn u8(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.u8(), self.u8()])
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from(self.u16()) << 16 | u32::from(self.u16())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from(self.u32()) << 32 | u64::from(self.u32())
    }

    pub(crate) fn i8(&mut self) -> i8 {
        i8::from_be_bytes([self.u8()])
    }

    pub(crate) fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.u32().to_be_bytes())
    }

    pub(crate) fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.u64().to_be_bytes())
    }

    /// A choice of `bound`, from one octet; `bound` is at least 1.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.u8()) % bound
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    /// One chance in eight, and none at the end of the input.
    pub(crate) fn rarely(&mut self) -> bool {
        self.u8() & 7 == 7
    }

    /// The next `n` octets, or what is left of them.
    pub(crate) fn bytes(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// As many octets as the next one says, or what is left of them.
    pub(crate) fn chunk(&mut self) -> &'a [u8] {
        let n = usize::from(self.u8());
        self.bytes(n)
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }

    /// A time to let pass, microseconds: nothing, a moment, or up to 28 days; short ones are likelier.
    pub(crate) fn span_us(&mut self) -> u64 {
        let mantissa = u64::from(self.u8());
        match self.u8() % 8 {
            0 => mantissa,
            1 => mantissa * 1_000,
            2 => mantissa * 50_000,
            3 | 4 => mantissa * 1_000_000,
            5 => mantissa * 60_000_000,
            6 => mantissa * 1_800_000_000,
            _ => mantissa * 9_600_000_000,
        }
    }
}

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Rng for Dice {
    fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let bytes = (z ^ (z >> 31)).to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}
