//! [`dhcp_encode`]: options of any length into a buffer of any size, and back.

use bringup_core::client::Mac;
use bringup_core::wire::Full;
use bringup_dhcp::code::MessageType;
use bringup_dhcp::message::{Header, MESSAGE_LEN_MIN, Message, MessageWriter};

use crate::data::Data;

/// Options that were taken are read back whole; one that was refused leaves no trace and would not have
/// fitted; nothing of the buffer's old contents gets out.
pub fn dhcp_encode(bytes: &[u8]) {
    let mut data = Data::new(bytes);
    let mac = Mac(core::array::from_fn(|_| data.u8()));
    let mut header = Header::request(mac, data.u32());
    (header.secs, header.flags, header.ciaddr) = (data.u16(), data.u16(), data.u32().into());
    (header.yiaddr, header.giaddr) = (data.u32().into(), data.u32().into());
    let kind = MessageType::from_u8(1 + data.u8() % 18).unwrap_or(MessageType::Request);
    let size = 280 + usize::from(data.u16() % 1_500);
    let mut buffer = vec![0xEE; size];
    let Ok(mut writer) = MessageWriter::new(&mut buffer, &header, kind) else {
        assert!(size < MESSAGE_LEN_MIN);
        return;
    };
    // Header, cookie, option 53.
    let mut used = 243;
    let mut written: Vec<(u8, Vec<u8>)> = Vec::new();
    while !data.is_empty() {
        let code = data.u8();
        let long = usize::from(data.u16() % 1_024);
        let value = if data.flag() { vec![code ^ 0x5A; long] } else { data.chunk().to_vec() };
        let pieces = value.len().div_ceil(255).max(1);
        let needs = value.len() + 2 * pieces;
        let result = writer.option(code, &value);
        if code == 0 || code == 255 {
            assert_eq!(result, Ok(()));
        } else if used + needs < size {
            assert_eq!(result, Ok(()));
            used += needs;
            written.push((code, value));
        } else {
            assert_eq!(result, Err(Full));
        }
    }
    let bytes = writer.finish().expect("an octet was kept for END");
    assert_eq!(bytes.len(), (used + 1).max(MESSAGE_LEN_MIN));
    assert!(bytes[44..236].iter().all(|b| *b == 0) && bytes[used + 1..].iter().all(|b| *b == 0));
    assert_eq!(bytes[used], 255);
    let message = Message::parse(bytes).expect("what is written is well formed");
    assert_eq!((message.header, message.message_type()), (header, Some(kind)));
    for code in (1..255).filter(|code| *code != 53) {
        let whole: Vec<u8> =
            written.iter().filter(|(c, _)| *c == code).flat_map(|(_, v)| v.clone()).collect();
        assert_eq!(message.pieces(code).collect::<Vec<_>>().concat(), whole);
        assert_eq!(message.first(code).is_some(), written.iter().any(|(c, _)| *c == code));
    }
}
