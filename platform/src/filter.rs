//! Which frames a link socket is to hear, as programs for the kernel's packet filter (classic BPF).

use bringup_core::client::LinkFilter;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;

/// The EtherType to bind to, and the program.
pub(crate) fn program(filter: LinkFilter) -> (u16, &'static [Instruction]) {
    match filter {
        LinkFilter::DhcpClient => (ETHERTYPE_IPV4, &DHCP_CLIENT),
        LinkFilter::Arp => (ETHERTYPE_ARP, &NOT_OUR_OWN),
    }
}

/// `struct sock_filter` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    code: u16,
    jt: u8,
    jf: u8,
    k: u32,
}

const fn op(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// Loads of a byte, a half word and a word at a fixed offset; offset 0 is the network header.
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const LOAD_WORD: u16 = 0x20;
/// A half word at an offset from X.
const LOAD_HALF_X: u16 = 0x48;
/// X = 4 * (byte & 0xF): the length of the IP header.
const LOAD_IHL_X: u16 = 0xB1;
const AND: u16 = 0x54;
const JUMP_EQ: u16 = 0x15;
const JUMP_GT: u16 = 0x25;
const JUMP_SET: u16 = 0x45;
const RETURN: u16 = 0x06;

/// Where the kernel shows the packet type, `SKF_AD_OFF + SKF_AD_PKTTYPE`. Types up to 2 (host,
/// broadcast, multicast) are for us; 3 is for other hosts, 4 is what this host sent.
const PACKET_TYPE: u32 = 0xFFFF_F000 + 4;
const LAST_FOR_US: u32 = 2;

const ALL: u32 = 0x4_0000;

/// Everything that was sent to us by others.
static NOT_OUR_OWN: [Instruction; 4] = [
    op(LOAD_WORD, 0, 0, PACKET_TYPE),
    op(JUMP_GT, 1, 0, LAST_FOR_US),
    op(RETURN, 0, 0, ALL),
    op(RETURN, 0, 0, 0),
];

/// Nothing, for a socket that nobody listens to any more.
#[allow(dead_code, reason = "its one port is not built for every machine")]
pub(crate) static NOTHING: [Instruction; 1] = [op(RETURN, 0, 0, 0)];

/// IPv4, UDP, not a later fragment, to port 68, whatever the length of the IP header.
static DHCP_CLIENT: [Instruction; 14] = [
    op(LOAD_WORD, 0, 0, PACKET_TYPE),
    op(JUMP_GT, 11, 0, LAST_FOR_US),
    op(LOAD_BYTE, 0, 0, 0),
    op(AND, 0, 0, 0xF0),
    op(JUMP_EQ, 0, 8, 0x40),
    op(LOAD_BYTE, 0, 0, 9),
    op(JUMP_EQ, 0, 6, 17),
    op(LOAD_HALF, 0, 0, 6),
    op(JUMP_SET, 4, 0, 0x1FFF),
    op(LOAD_IHL_X, 0, 0, 0),
    op(LOAD_HALF_X, 0, 0, 2),
    op(JUMP_EQ, 0, 1, 68),
    op(RETURN, 0, 0, ALL),
    op(RETURN, 0, 0, 0),
];
