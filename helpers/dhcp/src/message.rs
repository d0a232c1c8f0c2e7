//! The BOOTP message around the options: parse and write, for client and server. RFC 2131 §2.

use core::net::Ipv4Addr;

use bringup_core::client::Mac;
use bringup_core::wire::{Full, Reader, Truncated, Writer};

use crate::code::{self, MessageType};
use crate::options::{Options, Value};

/// `op` of a client's message.
pub const BOOTREQUEST: u8 = 1;
/// `op` of a server's message.
pub const BOOTREPLY: u8 = 2;
/// `htype` of Ethernet.
pub const ETHERNET: u8 = 1;
/// The BROADCAST bit of `flags`; all others are reserved.
pub const FLAG_BROADCAST: u16 = 0x8000;
/// What stands before the options: 99, 130, 83, 99. RFC 2131 §3.
pub const MAGIC_COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
/// The shortest BOOTP message, octets; ours are padded to it. RFC 1542 §2.1.
pub const MESSAGE_LEN_MIN: usize = 300;
/// The UDP port of servers and relays.
pub const SERVER_PORT: u16 = 67;
/// The UDP port of clients.
pub const CLIENT_PORT: u16 = 68;

const SNAME_LEN: usize = 64;
const FILE_LEN: usize = 128;

named! {
    /// Why bytes are not a DHCP message.
    pub enum Malformed {
        /// Shorter than the header and the magic cookie, 240 octets.
        Truncated = "truncated",
        /// The magic cookie is missing: BOOTP without options, or something else.
        Cookie = "no-cookie",
    }
}

impl From<Truncated> for Malformed {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

/// The fixed fields of a message, in their order. RFC 2131 Figure 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// [`BOOTREQUEST`] or [`BOOTREPLY`].
    pub op: u8,
    /// Hardware type; [`ETHERNET`].
    pub htype: u8,
    /// Length of the hardware address, octets; 6 for Ethernet.
    pub hlen: u8,
    /// Relays passed; clients send 0.
    pub hops: u8,
    /// Which exchange the message belongs to.
    pub xid: u32,
    /// Seconds since the client began.
    pub secs: u16,
    /// [`FLAG_BROADCAST`] or 0; other bits of a reply are ignored (RFC 1542 §3.1.2).
    pub flags: u16,
    /// The client's address, if it has one and may use it.
    pub ciaddr: Ipv4Addr,
    /// "Your" address, from the server.
    pub yiaddr: Ipv4Addr,
    /// The next boot server; not the DHCP server, which is option 54.
    pub siaddr: Ipv4Addr,
    /// The relay; never a router to use (RFC 1542 §3.4).
    pub giaddr: Ipv4Addr,
    /// The client's hardware address, padded with zeros.
    pub chaddr: [u8; 16],
}

/// An Ethernet address in the 16 octets of `chaddr`. RFC 951 §7.1.
pub(crate) fn chaddr_of(mac: Mac) -> [u8; 16] {
    let mut chaddr = [0; 16];
    for (to, from) in chaddr.iter_mut().zip(mac.0) {
        *to = from;
    }
    chaddr
}

impl Header {
    /// A client's header: `mac` in `chaddr`, all addresses 0.0.0.0.
    pub fn request(mac: Mac, xid: u32) -> Self {
        Self {
            op: BOOTREQUEST,
            htype: ETHERNET,
            hlen: 6,
            hops: 0,
            xid,
            secs: 0,
            flags: 0,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            siaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: Ipv4Addr::UNSPECIFIED,
            chaddr: chaddr_of(mac),
        }
    }

    /// A server's header that answers `self`. RFC 2131 Table 3.
    #[must_use]
    pub const fn reply(&self, yiaddr: Ipv4Addr) -> Self {
        Self { op: BOOTREPLY, hops: 0, secs: 0, yiaddr, siaddr: Ipv4Addr::UNSPECIFIED, ..*self }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Truncated> {
        Ok(Self {
            op: r.u8()?,
            htype: r.u8()?,
            hlen: r.u8()?,
            hops: r.u8()?,
            xid: r.u32()?,
            secs: r.u16()?,
            flags: r.u16()?,
            ciaddr: Ipv4Addr::from(r.u32()?),
            yiaddr: Ipv4Addr::from(r.u32()?),
            siaddr: Ipv4Addr::from(r.u32()?),
            giaddr: Ipv4Addr::from(r.u32()?),
            chaddr: r.array()?,
        })
    }

    fn write(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.bytes(&[self.op, self.htype, self.hlen, self.hops])?;
        w.u32(self.xid)?;
        w.u16(self.secs)?;
        w.u16(self.flags)?;
        for address in [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr] {
            w.bytes(&address.octets())?;
        }
        w.bytes(&self.chaddr)
    }
}

/// A received message. After [`parse`](Self::parse), no accessor can fail.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The fixed fields.
    pub header: Header,
    /// Server host name, or options (see [`Options`]).
    pub sname: &'a [u8],
    /// Boot file name, or options.
    pub file: &'a [u8],
    /// What follows the magic cookie.
    pub options: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a message from the payload of a UDP datagram. Whether it makes sense for a client or
    /// a server is not looked at; options are read when asked for.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let header = Header::read(&mut r)?;
        let (sname, file) = (r.bytes(SNAME_LEN)?, r.bytes(FILE_LEN)?);
        if r.array()? != MAGIC_COOKIE {
            return Err(Malformed::Cookie);
        }
        Ok(Self { header, sname, file, options: r.rest() })
    }

    /// All options in their order, overload followed.
    pub fn options(&self) -> Options<'a> {
        Options::new(self.options, self.file, self.sname)
    }

    /// The first instance of an option. For one of fixed size that is all there is to it.
    pub fn first(&self, code: u8) -> Option<Value<'a>> {
        self.options().find(|o| o.code == code).map(|o| o.value)
    }

    /// The pieces of an option, in the order in which RFC 3396 §5 joins them.
    pub fn pieces(&self, code: u8) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.options().filter(move |o| o.code == code).map(|o| o.value.0)
    }

    /// An option of variable length with its pieces joined. `scratch` is only used if there are
    /// several. `Ok(None)` if there is none, [`Full`] if they don't fit.
    pub fn value<'s>(&self, code: u8, scratch: &'s mut [u8]) -> Result<Option<Value<'s>>, Full>
    where
        'a: 's,
    {
        let mut pieces = self.pieces(code);
        let Some(first) = pieces.next() else { return Ok(None) };
        let Some(second) = pieces.next() else { return Ok(Some(Value(first))) };
        let mut w = Writer::new(scratch);
        w.bytes(first)?;
        w.bytes(second)?;
        for piece in pieces {
            w.bytes(piece)?;
        }
        Ok(Some(Value(w.finish())))
    }

    /// What the message is for; `None` if option 53 is missing or no type that there is.
    pub fn message_type(&self) -> Option<MessageType> {
        self.first(code::MESSAGE_TYPE)?.u8().and_then(MessageType::from_u8)
    }
}

/// Writes a message: header, cookie, then options one by one, END and padding last.
///
/// An option that doesn't fit is refused with [`Full`] and leaves no trace, so that a caller may go
/// on without it.
#[derive(Debug)]
pub struct MessageWriter<'b> {
    w: Writer<'b>,
}

impl<'b> MessageWriter<'b> {
    /// Begins a message with option 53, which some servers want first. `buffer` must hold
    /// [`MESSAGE_LEN_MIN`] octets.
    pub fn new(buffer: &'b mut [u8], header: &Header, kind: MessageType) -> Result<Self, Full> {
        if buffer.len() < MESSAGE_LEN_MIN {
            return Err(Full);
        }
        let mut w = Writer::new(buffer);
        header.write(&mut w)?;
        w.zeros(SNAME_LEN + FILE_LEN)?;
        w.bytes(&MAGIC_COOKIE)?;
        let mut message = Self { w };
        message.option(code::MESSAGE_TYPE, &[kind as u8])?;
        Ok(message)
    }

    /// Adds an option; one of more than 255 octets is split as RFC 3396 §4 has it. PAD and END are
    /// not options and are ignored.
    pub fn option(&mut self, code: u8, bytes: &[u8]) -> Result<(), Full> {
        if matches!(code, code::PAD | code::END) {
            return Ok(());
        }
        let start = self.w.position();
        let added = self.pieces(code, bytes);
        // One octet stays for END.
        if added.is_err() || self.w.remaining() == 0 {
            self.w.truncate(start);
            return Err(Full);
        }
        Ok(())
    }

    fn pieces(&mut self, code: u8, bytes: &[u8]) -> Result<(), Full> {
        if bytes.is_empty() {
            return self.w.bytes(&[code, 0]);
        }
        for piece in bytes.chunks(usize::from(u8::MAX)) {
            self.w.u8(code)?;
            self.w.u8(u8::try_from(piece.len()).map_err(|_| Full)?)?;
            self.w.bytes(piece)?;
        }
        Ok(())
    }

    /// Adds an option of one address.
    pub fn address(&mut self, code: u8, address: Ipv4Addr) -> Result<(), Full> {
        self.option(code, &address.octets())
    }

    /// Adds an option of 32 bits: a time in seconds.
    pub fn u32(&mut self, code: u8, value: u32) -> Result<(), Full> {
        self.option(code, &value.to_be_bytes())
    }

    /// Adds an option of 16 bits: a size in octets.
    pub fn u16(&mut self, code: u8, value: u16) -> Result<(), Full> {
        self.option(code, &value.to_be_bytes())
    }

    /// Adds END and padding, and gives out the message.
    pub fn finish(mut self) -> Result<&'b mut [u8], Full> {
        self.w.u8(code::END)?;
        self.w.pad_to(MESSAGE_LEN_MIN)?;
        Ok(self.w.finish())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 7]);

    fn ack() -> Vec<u8> {
        let mut buffer = [0xEE; 600];
        let header = Header {
            secs: 3,
            flags: FLAG_BROADCAST,
            ciaddr: Ipv4Addr::new(1, 1, 1, 1),
            siaddr: Ipv4Addr::new(3, 3, 3, 3),
            giaddr: Ipv4Addr::new(4, 4, 4, 4),
            ..Header::request(MAC, 0x0102_0304).reply(Ipv4Addr::new(10, 0, 0, 5))
        };
        let mut w = MessageWriter::new(&mut buffer, &header, MessageType::Ack).unwrap();
        w.address(code::SERVER_IDENTIFIER, Ipv4Addr::new(10, 0, 0, 1)).unwrap();
        w.u32(code::LEASE_TIME, 3600).unwrap();
        w.u16(code::INTERFACE_MTU, 1400).unwrap();
        w.option(code::DOMAIN_NAME, b"example.net").unwrap();
        w.option(code::RAPID_COMMIT, &[]).unwrap();
        w.finish().unwrap().to_vec()
    }

    #[test]
    fn what_is_written_can_be_read() {
        let bytes = ack();
        assert_eq!(bytes.len(), MESSAGE_LEN_MIN, "rule 19: padded to 300");
        let m = Message::parse(&bytes).unwrap();
        let h = m.header;
        assert_eq!((h.op, h.htype, h.hlen, h.hops), (2, 1, 6, 0));
        assert_eq!((h.xid, h.secs, h.flags), (0x0102_0304, 3, 0x8000));
        assert_eq!(h.yiaddr, Ipv4Addr::new(10, 0, 0, 5));
        assert_eq!(h.chaddr, [2, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(m.message_type(), Some(MessageType::Ack));
        let codes: Vec<u8> = m.options().map(|o| o.code).collect();
        assert_eq!(codes, [53, 54, 51, 26, 15, 80]);
        assert_eq!(m.first(51).and_then(Value::u32), Some(3600));
        assert_eq!(m.first(15).map(Value::bytes), Some(&b"example.net"[..]));
    }

    #[test]
    fn rule_25_truncation_at_every_octet_changes_no_earlier_option() {
        let whole = ack();
        let options: Vec<_> = Message::parse(&whole).unwrap().options().collect();
        for end in 0..whole.len() {
            let cut = &whole[..end];
            match Message::parse(cut) {
                Err(why) => assert!(end < 240 && why == Malformed::Truncated, "{end}"),
                Ok(m) => {
                    let read: Vec<_> = m.options().collect();
                    assert_eq!(read, options[..read.len()], "{end}");
                    assert!(end >= 240);
                }
            }
        }
    }

    #[test]
    fn rule_22_no_cookie() {
        let mut bytes = ack();
        bytes[236] = 0;
        assert_eq!(Message::parse(&bytes).map(|_| ()), Err(Malformed::Cookie));
    }

    #[test]
    fn every_buffer_size_gives_full_or_a_whole_message() {
        let long = [7; 300];
        for size in 0..900 {
            let mut buffer = std::vec![0xEE; size];
            let header = Header::request(MAC, 1);
            let Ok(mut w) = MessageWriter::new(&mut buffer, &header, MessageType::Discover) else {
                assert!(size < MESSAGE_LEN_MIN);
                continue;
            };
            let fits = w.option(119, &long).is_ok();
            // 240 and option 53, two headers and the bytes, and one octet for END.
            assert_eq!(fits, size > 243 + 304, "{size}");
            let bytes = w.finish().unwrap();
            let m = Message::parse(bytes).unwrap();
            assert_eq!(m.first(119).is_some(), fits);
        }
    }

    #[test]
    fn rule_26_long_options_are_split_and_joined() {
        let long: Vec<u8> = (0..1400u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let mut buffer = [0; 2000];
        let header = Header::request(MAC, 1);
        let mut w = MessageWriter::new(&mut buffer, &header, MessageType::Ack).unwrap();
        w.option(121, &long).unwrap();
        let bytes = w.finish().unwrap();
        let m = Message::parse(bytes).unwrap();
        assert_eq!(m.pieces(121).count(), 6);
        let mut scratch = [0; 1400];
        assert_eq!(m.value(121, &mut scratch).unwrap().unwrap().bytes(), long);
        assert_eq!(m.value(121, &mut [0; 1399]), Err(Full));
        assert_eq!(m.value(53, &mut []), Ok(Some(Value(&[5]))), "one piece needs no scratch");
        assert_eq!(m.value(3, &mut []), Ok(None));
    }

    #[test]
    fn rule_26_pieces_are_joined_over_options_file_sname() {
        let mut bytes = ack();
        bytes.truncate(240);
        bytes.extend([52, 1, 3, 119, 1, b'a', 255]);
        bytes[108..111].copy_from_slice(&[119, 1, b'b']);
        bytes[44..47].copy_from_slice(&[119, 1, b'c']);
        let m = Message::parse(&bytes).unwrap();
        assert_eq!(m.value(119, &mut [0; 9]).unwrap().unwrap().bytes(), b"abc");
    }
}
