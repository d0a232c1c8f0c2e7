//! [`core_wire`]: `Reader` and `Writer` against a slice and a vector.

use bringup_core::wire::{Full, Reader, Truncated, Writer};

use crate::data::Data;

/// Any sequence of reads and writes does what a plain slice and a plain vector would, and one that
/// fails changes nothing.
pub fn core_wire(bytes: &[u8]) {
    let mut data = Data::new(bytes);
    let message = data.chunk();
    if data.flag() {
        read(data, message);
    } else {
        write(data);
    }
}

/// A length: small, or at the end of the scale, where sums overflow.
fn length(data: &mut Data<'_>) -> usize {
    let n = data.u8();
    if n >= 0xF0 { usize::MAX - usize::from(n & 15) } else { usize::from(n) }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, &b| n << 8 | u64::from(b))
}

fn read(mut data: Data<'_>, message: &[u8]) {
    let start = length(&mut data);
    let mut r = Reader::at(message, start);
    let mut at = start.min(message.len());
    while !data.is_empty() {
        assert_eq!((r.position(), r.remaining()), (at, message.len() - at));
        assert_eq!(r.is_empty(), at == message.len());
        let left = &message[at..];
        assert_eq!(r.peek(), left.first().copied());
        let fixed =
            |n: usize| if n <= left.len() { Ok(number(&left[..n])) } else { Err(Truncated) };
        let op = data.u8();
        let taken = match op % 9 {
            0 => step(r.u8().map(u64::from), fixed(1), 1),
            1 => step(r.u16().map(u64::from), fixed(2), 2),
            2 => step(r.u32().map(u64::from), fixed(4), 4),
            3 => step(r.u64(), fixed(8), 8),
            4 => step(r.array::<3>().map(|a| number(&a)), fixed(3), 3),
            5 => {
                let n = length(&mut data);
                let expected = if n <= left.len() { Ok(&left[..n]) } else { Err(Truncated) };
                step(r.bytes(n), expected, n)
            }
            6 => {
                let n = length(&mut data);
                step(r.skip(n), if n <= left.len() { Ok(()) } else { Err(Truncated) }, n)
            }
            7 => {
                let n = length(&mut data);
                at = n.min(message.len());
                r = Reader::at(message, n);
                0
            }
            _ => {
                assert_eq!(r.rest(), left);
                left.len()
            }
        };
        at += taken;
    }
}

/// Compares a read with what it should be; returns by how much the reader must have moved.
fn step<T: PartialEq + core::fmt::Debug>(
    read: Result<T, Truncated>,
    expected: Result<T, Truncated>,
    n: usize,
) -> usize {
    let moved = if expected.is_ok() { n } else { 0 };
    assert_eq!(read, expected);
    moved
}

/// The buffer as it must be: `memory` all of it, `at` the position.
struct Model {
    memory: Vec<u8>,
    at: usize,
}

impl Model {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        if bytes.len() > self.memory.len() - self.at {
            return Err(Full);
        }
        self.memory.splice(self.at..self.at + bytes.len(), bytes.iter().copied());
        self.at += bytes.len();
        Ok(())
    }
}

fn write(mut data: Data<'_>) {
    let size = data.below(80);
    let mut buffer = vec![0xEE; size];
    let mut model = Model { memory: buffer.clone(), at: 0 };
    let mut w = Writer::new(&mut buffer);
    while !data.is_empty() {
        let op = data.u8();
        match op % 9 {
            0 => {
                let n = data.u8();
                assert_eq!(w.u8(n), model.put(&[n]));
            }
            1 => {
                let n = data.u16();
                assert_eq!(w.u16(n), model.put(&n.to_be_bytes()));
            }
            2 => {
                let n = data.u32();
                assert_eq!(w.u32(n), model.put(&n.to_be_bytes()));
            }
            3 => {
                let n = data.u64();
                assert_eq!(w.u64(n), model.put(&n.to_be_bytes()));
            }
            4 => {
                let bytes = data.chunk();
                assert_eq!(w.bytes(bytes), model.put(bytes));
            }
            5 => {
                let n = length(&mut data);
                let expected = if n > 300 { Err(Full) } else { model.put(&vec![0; n]) };
                assert_eq!(w.zeros(n), expected);
            }
            6 => {
                let n = length(&mut data);
                let missing = n.saturating_sub(model.at);
                let expected = if missing > 300 { Err(Full) } else { model.put(&vec![0; missing]) };
                assert_eq!(w.pad_to(n), expected);
            }
            7 => {
                let (n, bytes) = (length(&mut data), data.chunk());
                let fits = n.checked_add(bytes.len()).is_some_and(|end| end <= model.at);
                if fits {
                    model.memory.splice(n..n + bytes.len(), bytes.iter().copied());
                }
                assert_eq!(w.patch(n, bytes), if fits { Ok(()) } else { Err(Full) });
            }
            _ => {
                let n = length(&mut data);
                model.at = model.at.min(n);
                w.truncate(n);
            }
        }
        assert_eq!((w.position(), w.remaining()), (model.at, size - model.at));
        assert_eq!(w.written(), &model.memory[..model.at]);
    }
    assert_eq!(w.finish(), &model.memory[..model.at]);
    assert_eq!(buffer, model.memory, "nothing but what was asked for is written");
}
