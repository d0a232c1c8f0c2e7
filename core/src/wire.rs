//! [`Reader`] and [`Writer`]: the only way in which this project touches wire data.
//!
//! Both are total. They never panic, whatever the bytes; a read past the end is [`Truncated`], a
//! write past the end is [`Full`], and neither moves the position when it fails. All integers are in
//! network byte order (RFC 1700).

/// A read went past the end of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated;

/// What was to be written does not fit into the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A cursor over received bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// A reader of the same bytes that stands at `position`; at the end if that lies beyond it.
    #[inline]
    pub fn at(bytes: &'a [u8], position: usize) -> Self {
        Self { bytes, position: position.min(bytes.len()) }
    }

    /// How many bytes lie before the cursor.
    #[inline]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// How many bytes are left.
    #[inline]
    pub const fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// Whether nothing is left.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The next `n` bytes.
    #[inline]
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], Truncated> {
        let rest = self.bytes.get(self.position..).ok_or(Truncated)?;
        let taken = rest.get(..n).ok_or(Truncated)?;
        // It lies within a slice: no overflow.
        self.position += n;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let rest = self.bytes.get(self.position..).ok_or(Truncated)?;
        let array = rest.first_chunk::<N>().ok_or(Truncated)?;
        self.position += N;
        Ok(*array)
    }

    /// All that is left.
    #[inline]
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.position..).unwrap_or(&[]);
        self.position = self.bytes.len();
        rest
    }

    /// Moves over `n` bytes.
    #[inline]
    pub fn skip(&mut self, n: usize) -> Result<(), Truncated> {
        if n > self.remaining() {
            return Err(Truncated);
        }
        self.position += n;
        Ok(())
    }

    /// The next octet.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Truncated> {
        let octet = *self.bytes.get(self.position).ok_or(Truncated)?;
        self.position += 1;
        Ok(octet)
    }

    /// The next octet, without moving.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    /// The next 16 bits.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, Truncated> {
        self.array().map(u16::from_be_bytes)
    }

    /// The next 32 bits.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, Truncated> {
        self.array().map(u32::from_be_bytes)
    }

    /// The next 64 bits.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, Truncated> {
        self.array().map(u64::from_be_bytes)
    }
}

/// A cursor over a buffer to be sent.
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    position: usize,
}

impl<'b> Writer<'b> {
    /// A writer at the start of `buffer`.
    pub const fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, position: 0 }
    }

    /// How many bytes have been written.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// How many more bytes fit.
    pub const fn remaining(&self) -> usize {
        self.buffer.len() - self.position
    }

    /// Writes `bytes`, or nothing.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.position.checked_add(bytes.len()).ok_or(Full)?;
        self.buffer.get_mut(self.position..end).ok_or(Full)?.copy_from_slice(bytes);
        self.position = end;
        Ok(())
    }

    /// Writes `n` zero octets, or nothing.
    pub fn zeros(&mut self, n: usize) -> Result<(), Full> {
        let end = self.position.checked_add(n).ok_or(Full)?;
        self.buffer.get_mut(self.position..end).ok_or(Full)?.fill(0);
        self.position = end;
        Ok(())
    }

    /// Writes zero octets until `length` bytes have been written; does nothing if they have been.
    pub fn pad_to(&mut self, length: usize) -> Result<(), Full> {
        self.zeros(length.saturating_sub(self.position))
    }

    /// Writes an octet.
    pub fn u8(&mut self, value: u8) -> Result<(), Full> {
        self.bytes(&[value])
    }

    /// Writes 16 bits.
    pub fn u16(&mut self, value: u16) -> Result<(), Full> {
        self.bytes(&value.to_be_bytes())
    }

    /// Writes 32 bits.
    pub fn u32(&mut self, value: u32) -> Result<(), Full> {
        self.bytes(&value.to_be_bytes())
    }

    /// Writes 64 bits.
    pub fn u64(&mut self, value: u64) -> Result<(), Full> {
        self.bytes(&value.to_be_bytes())
    }

    /// Overwrites bytes that have been written already, from `position` on: a length or a checksum
    /// that is known only afterwards.
    pub fn patch(&mut self, position: usize, bytes: &[u8]) -> Result<(), Full> {
        let end = position.checked_add(bytes.len()).filter(|&e| e <= self.position).ok_or(Full)?;
        self.buffer.get_mut(position..end).ok_or(Full)?.copy_from_slice(bytes);
        Ok(())
    }

    /// Takes back what was written after `position`; does nothing if that lies ahead.
    pub fn truncate(&mut self, position: usize) {
        self.position = self.position.min(position);
    }

    /// What has been written.
    pub fn written(&self) -> &[u8] {
        self.buffer.get(..self.position).unwrap_or(&[])
    }

    /// Ends the writing and gives out what has been written.
    pub fn finish(self) -> &'b mut [u8] {
        let Self { buffer, position } = self;
        buffer.get_mut(..position).unwrap_or(&mut [])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_read_does_not_move() {
        let mut r = Reader::new(&[1, 2, 3]);
        assert_eq!(r.u32(), Err(Truncated));
        assert_eq!(r.u16(), Ok(0x0102));
        assert_eq!(r.bytes(usize::MAX), Err(Truncated));
        assert_eq!(r.rest(), &[3]);
        assert_eq!(r.u8(), Err(Truncated));
        assert!(Reader::at(&[1], 9).is_empty());
    }

    #[test]
    fn a_failed_write_writes_nothing() {
        let mut buffer = [0xEE; 5];
        let mut w = Writer::new(&mut buffer);
        assert_eq!(w.u32(0x0102_0304), Ok(()));
        assert_eq!(w.u16(9), Err(Full));
        assert_eq!(w.zeros(2), Err(Full));
        assert_eq!(w.patch(3, &[7, 7]), Err(Full), "a patch stays within what was written");
        assert_eq!(w.patch(0, &[9]), Ok(()));
        assert_eq!(w.finish(), &[9, 2, 3, 4]);
        assert_eq!(buffer[4], 0xEE);
    }
}
