//! MD5 (RFC 1321) and HMAC-MD5 (RFC 2104), for the one protocol that asks for them: FORCERENEW with
//! a nonce (RFC 6704). Not fit for anything else.

use bringup_core::wire::Reader;

/// The octets of a digest.
pub(crate) const DIGEST_LEN: usize = 16;
const BLOCK_LEN: usize = 64;

/// `floor(2^32 * abs(sin(i + 1)))`. RFC 1321 §3.4.
const SINES: [u32; 64] = [
    0xD76A_A478,
    0xE8C7_B756,
    0x2420_70DB,
    0xC1BD_CEEE,
    0xF57C_0FAF,
    0x4787_C62A,
    0xA830_4613,
    0xFD46_9501,
    0x6980_98D8,
    0x8B44_F7AF,
    0xFFFF_5BB1,
    0x895C_D7BE,
    0x6B90_1122,
    0xFD98_7193,
    0xA679_438E,
    0x49B4_0821,
    0xF61E_2562,
    0xC040_B340,
    0x265E_5A51,
    0xE9B6_C7AA,
    0xD62F_105D,
    0x0244_1453,
    0xD8A1_E681,
    0xE7D3_FBC8,
    0x21E1_CDE6,
    0xC337_07D6,
    0xF4D5_0D87,
    0x455A_14ED,
    0xA9E3_E905,
    0xFCEF_A3F8,
    0x676F_02D9,
    0x8D2A_4C8A,
    0xFFFA_3942,
    0x8771_F681,
    0x6D9D_6122,
    0xFDE5_380C,
    0xA4BE_EA44,
    0x4BDE_CFA9,
    0xF6BB_4B60,
    0xBEBF_BC70,
    0x289B_7EC6,
    0xEAA1_27FA,
    0xD4EF_3085,
    0x0488_1D05,
    0xD9D4_D039,
    0xE6DB_99E5,
    0x1FA2_7CF8,
    0xC4AC_5665,
    0xF429_2244,
    0x432A_FF97,
    0xAB94_23A7,
    0xFC93_A039,
    0x655B_59C3,
    0x8F0C_CC92,
    0xFFEF_F47D,
    0x8584_5DD1,
    0x6FA8_7E4F,
    0xFE2C_E6E0,
    0xA301_4314,
    0x4E08_11A1,
    0xF753_7E82,
    0xBD3A_F235,
    0x2AD7_D2BB,
    0xEB86_D391,
];
/// How far each round turns.
const TURNS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// MD5 over bytes that come in pieces.
#[derive(Clone)]
struct Md5 {
    state: [u32; 4],
    block: [u8; BLOCK_LEN],
    length: u64,
}

/// One element of an array, or 0: the indices are right by their arithmetic.
fn at(array: &[u32], index: usize) -> u32 {
    array.get(index).copied().unwrap_or(0)
}

impl Md5 {
    const fn new() -> Self {
        let state = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476];
        Self { state, block: [0; BLOCK_LEN], length: 0 }
    }

    fn push(&mut self, byte: u8) {
        let place = usize::try_from(self.length % 64).unwrap_or(0);
        if let Some(slot) = self.block.get_mut(place) {
            *slot = byte;
        }
        self.length = self.length.wrapping_add(1);
        if place == BLOCK_LEN - 1 {
            self.compress();
        }
    }

    fn add(mut self, bytes: impl IntoIterator<Item = u8>) -> Self {
        for byte in bytes {
            self.push(byte);
        }
        self
    }

    /// RFC 1321 §3.4, its four rounds as one loop.
    fn compress(&mut self) {
        let mut words = [0; 16];
        let mut r = Reader::new(&self.block);
        for word in &mut words {
            *word = u32::from_le_bytes(r.array().unwrap_or_default());
        }
        let [mut a, mut b, mut c, mut d] = self.state;
        for (i, sine) in SINES.into_iter().enumerate() {
            let (mixed, word) = match i / 16 {
                0 => ((b & c) | (!b & d), i),
                1 => ((d & b) | (!d & c), 5 * i + 1),
                2 => (b ^ c ^ d, 3 * i + 5),
                _ => (c ^ (b | !d), 7 * i),
            };
            let turns = TURNS.get(i / 16).map_or(0, |turns| at(turns, i % 4));
            let sum = a.wrapping_add(mixed).wrapping_add(sine).wrapping_add(at(&words, word % 16));
            (a, d, c, b) = (d, c, b, b.wrapping_add(sum.rotate_left(turns)));
        }
        for (state, new) in self.state.iter_mut().zip([a, b, c, d]) {
            *state = state.wrapping_add(new);
        }
    }

    fn finish(mut self) -> [u8; DIGEST_LEN] {
        let bits = self.length.wrapping_mul(8);
        self.push(0x80);
        while self.length % 64 != 56 {
            self.push(0);
        }
        let mut digest = [0; DIGEST_LEN];
        let done = self.add(bits.to_le_bytes());
        for (to, from) in digest.iter_mut().zip(done.state.into_iter().flat_map(u32::to_le_bytes)) {
            *to = from;
        }
        digest
    }
}

/// HMAC-MD5 with a key of 16 octets, as every nonce has. RFC 2104 §2.
pub(crate) fn hmac(
    key: &[u8; DIGEST_LEN],
    message: impl IntoIterator<Item = u8>,
) -> [u8; DIGEST_LEN] {
    let pad = |with: u8| {
        let zeros = core::iter::repeat_n(with, BLOCK_LEN - DIGEST_LEN);
        key.iter().map(move |k| k ^ with).chain(zeros)
    };
    let inner = Md5::new().add(pad(0x36)).add(message).finish();
    Md5::new().add(pad(0x5C)).add(inner).finish()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;

    fn hex(bytes: [u8; 16]) -> String {
        bytes.iter().map(|b| std::format!("{b:02x}")).collect()
    }

    #[test]
    fn rfc_1321_test_suite() {
        let digits = "1234567890".repeat(8);
        for (text, digest) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
            (&digits, "57edf4a22be3c955ac49da2e2107b67a"),
        ] {
            assert_eq!(hex(Md5::new().add(text.bytes()).finish()), digest, "{text}");
        }
    }

    #[test]
    fn rfc_2202_hmac() {
        let data = |byte: u8, n: usize| std::vec![byte; n];
        for (key, message, digest) in [
            ([0x0B; 16], b"Hi There".to_vec(), "9294727a3638bb1c13f48ef8158bfc9d"),
            ([0xAA; 16], data(0xDD, 50), "56be34521d144c88dbb8c733f0e8b3f6"),
        ] {
            assert_eq!(hex(hmac(&key, message)), digest);
        }
    }
}
