//! DHCP: reading an ACK down to its lease, and writing a DISCOVER.

use std::hint::black_box;
use std::net::Ipv4Addr;

use bringup_core::client::Mac;
use bringup_dhcp::code::{self, MessageType};
use bringup_dhcp::message::{Header, Message, MessageWriter};
use dhcproto::v4::{DhcpOption, OptionCode};
use dhcproto::{Decodable, Encodable, Encoder};
use smoltcp::wire::{DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress};

use crate::measure::{Contender, Ratio, repeat, table};

const TIMES: usize = 100_000;
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const XID: u32 = 0x1234_5678;
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PARAMETERS: [u8; 8] = [1, 3, 6, 15, 28, 42, 121, 26];

/// What dnsmasq sends, more or less: ten options.
fn ack(buffer: &mut [u8]) -> &[u8] {
    let header = Header::request(Mac(MAC), XID).reply(Ipv4Addr::new(192, 0, 2, 100));
    let mut w = MessageWriter::new(buffer, &header, MessageType::Ack).expect("room");
    w.address(code::SERVER_IDENTIFIER, ROUTER).expect("room");
    w.u32(code::LEASE_TIME, 43_200).expect("room");
    w.u32(code::RENEWAL_TIME, 21_600).expect("room");
    w.u32(code::REBINDING_TIME, 37_800).expect("room");
    w.address(code::SUBNET_MASK, Ipv4Addr::new(255, 255, 255, 0)).expect("room");
    w.address(code::BROADCAST_ADDRESS, Ipv4Addr::new(192, 0, 2, 255)).expect("room");
    w.address(code::ROUTER, ROUTER).expect("room");
    w.option(code::DNS_SERVER, &[192, 0, 2, 1, 192, 0, 2, 2]).expect("room");
    w.option(code::DOMAIN_NAME, b"example.org").expect("room");
    w.finish().expect("room")
}

/// The fields that make a lease: type, address, server, times, mask, router, DNS servers.
type Lease = (Ipv4Addr, Ipv4Addr, [u32; 3], Ipv4Addr, Ipv4Addr, [Ipv4Addr; 2]);

fn ours(bytes: &[u8]) -> Option<Lease> {
    let message = Message::parse(bytes).ok()?;
    if message.message_type() != Some(MessageType::Ack) {
        return None;
    }
    // One walk over the options, as the client does it.
    let (mut server, mut mask, mut router) = (None, None, None);
    let (mut times, mut dns) = ([0; 3], [Ipv4Addr::UNSPECIFIED; 2]);
    for option in message.options() {
        match option.code {
            code::SERVER_IDENTIFIER => server = option.value.address(),
            code::SUBNET_MASK => mask = option.value.address(),
            code::ROUTER => router = option.value.addresses().next(),
            code::LEASE_TIME => times[0] = option.value.u32()?,
            code::RENEWAL_TIME => times[1] = option.value.u32()?,
            code::REBINDING_TIME => times[2] = option.value.u32()?,
            code::DNS_SERVER => {
                dns.iter_mut().zip(option.value.addresses()).for_each(|(to, from)| *to = from);
            }
            _ => {}
        }
    }
    Some((message.header.yiaddr, server?, times, mask?, router?, dns))
}

fn dhcproto(bytes: &[u8]) -> Option<Lease> {
    let message = dhcproto::v4::Message::from_bytes(bytes).ok()?;
    let options = message.opts();
    if options.msg_type() != Some(dhcproto::v4::MessageType::Ack) {
        return None;
    }
    let address = |code| match options.get(code)? {
        DhcpOption::ServerIdentifier(a) | DhcpOption::SubnetMask(a) => Some(*a),
        DhcpOption::Router(list) => list.first().copied(),
        _ => None,
    };
    let time = |code| match options.get(code)? {
        DhcpOption::AddressLeaseTime(s) | DhcpOption::Renewal(s) | DhcpOption::Rebinding(s) => {
            Some(*s)
        }
        _ => None,
    };
    let mut dns = [Ipv4Addr::UNSPECIFIED; 2];
    if let Some(DhcpOption::DomainNameServer(list)) = options.get(OptionCode::DomainNameServer) {
        dns.iter_mut().zip(list).for_each(|(to, from)| *to = *from);
    }
    let times = [
        time(OptionCode::AddressLeaseTime)?,
        time(OptionCode::Renewal)?,
        time(OptionCode::Rebinding)?,
    ];
    let server = address(OptionCode::ServerIdentifier)?;
    let (mask, router) = (address(OptionCode::SubnetMask)?, address(OptionCode::Router)?);
    Some((message.yiaddr(), server, times, mask, router, dns))
}

fn edge_dhcp(bytes: &[u8]) -> Option<Lease> {
    use edge_dhcp::{DhcpOption, MessageType, Packet};
    let packet = Packet::decode(bytes).ok()?;
    let (mut kind, mut server, mut mask, mut router) = (None, None, None, None);
    let (mut times, mut dns) = ([0; 3], [Ipv4Addr::UNSPECIFIED; 2]);
    let seconds = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_be_bytes);
    for option in packet.options.iter() {
        match option {
            DhcpOption::MessageType(found) => kind = Some(found),
            DhcpOption::ServerIdentifier(address) => server = Some(address),
            DhcpOption::SubnetMask(address) => mask = Some(address),
            DhcpOption::Router(list) => router = list.iter().next(),
            DhcpOption::IpAddressLeaseTime(s) => times[0] = s,
            // It knows no T1 and no T2.
            DhcpOption::Unrecognized(code::RENEWAL_TIME, value) => times[1] = seconds(value)?,
            DhcpOption::Unrecognized(code::REBINDING_TIME, value) => times[2] = seconds(value)?,
            DhcpOption::DomainNameServer(list) => {
                dns.iter_mut().zip(list.iter()).for_each(|(to, from)| *to = from);
            }
            _ => {}
        }
    }
    kind.filter(|kind| *kind == MessageType::Ack)?;
    Some((packet.yiaddr, server?, times, mask?, router?, dns))
}

fn smoltcp(bytes: &[u8]) -> Option<Lease> {
    let packet = DhcpPacket::new_checked(bytes).ok()?;
    let repr = DhcpRepr::parse(&packet).ok()?;
    if repr.message_type != DhcpMessageType::Ack {
        return None;
    }
    let times = [repr.lease_duration?, repr.renew_duration?, repr.rebind_duration?];
    let mut dns = [Ipv4Addr::UNSPECIFIED; 2];
    dns.iter_mut().zip(&repr.dns_servers?).for_each(|(to, from)| *to = *from);
    Some((repr.your_ip, repr.server_identifier?, times, repr.subnet_mask?, repr.router?, dns))
}

fn write_ours(buffer: &mut [u8]) -> usize {
    let header = Header::request(Mac(MAC), black_box(XID));
    let mut w = MessageWriter::new(buffer, &header, MessageType::Discover).expect("room");
    w.option(code::CLIENT_IDENTIFIER, &[1, 2, 0, 0, 0, 0, 1]).expect("room");
    w.u16(code::MAX_MESSAGE_SIZE, 1_472).expect("room");
    w.option(code::PARAMETER_REQUEST, &PARAMETERS).expect("room");
    w.finish().expect("room").len()
}

fn write_dhcproto(buffer: &mut Vec<u8>) -> usize {
    buffer.clear();
    let mut message = dhcproto::v4::Message::default();
    message.set_xid(black_box(XID)).set_chaddr(&MAC);
    let options = message.opts_mut();
    options.insert(DhcpOption::MessageType(dhcproto::v4::MessageType::Discover));
    options.insert(DhcpOption::ClientIdentifier(vec![1, 2, 0, 0, 0, 0, 1]));
    options.insert(DhcpOption::MaxMessageSize(1_472));
    let parameters = PARAMETERS.iter().map(|&code| OptionCode::from(code)).collect();
    options.insert(DhcpOption::ParameterRequestList(parameters));
    message.encode(&mut Encoder::new(buffer)).expect("room");
    buffer.len()
}

fn write_edge_dhcp(buffer: &mut [u8]) -> usize {
    use edge_dhcp::{DhcpOption, MessageType, Options, Packet};
    let options = [
        DhcpOption::MessageType(MessageType::Discover),
        DhcpOption::ClientIdentifier(&[1, 2, 0, 0, 0, 0, 1]),
        DhcpOption::MaximumMessageSize(1_472),
        DhcpOption::ParameterRequestList(&PARAMETERS),
    ];
    let options = Options::new(&options);
    let packet = Packet::new_request(MAC, black_box(XID), 0, None, false, options);
    packet.encode(buffer).expect("room").len()
}

fn write_smoltcp(buffer: &mut [u8]) -> usize {
    let zero = Ipv4Addr::UNSPECIFIED;
    let repr = DhcpRepr {
        message_type: DhcpMessageType::Discover,
        transaction_id: black_box(XID),
        secs: 0,
        client_hardware_address: EthernetAddress(MAC),
        client_ip: zero,
        your_ip: zero,
        server_ip: zero,
        router: None,
        subnet_mask: None,
        relay_agent_ip: zero,
        broadcast: false,
        requested_ip: None,
        client_identifier: Some(EthernetAddress(MAC)),
        server_identifier: None,
        parameter_request_list: Some(&PARAMETERS),
        dns_servers: None,
        max_size: Some(1_472),
        lease_duration: None,
        renew_duration: None,
        rebind_duration: None,
        additional_options: &[],
    };
    let length = repr.buffer_len();
    let mut packet = DhcpPacket::new_unchecked(buffer);
    repr.emit(&mut packet).expect("room");
    length
}

pub(crate) fn run(rounds: usize) {
    println!("\n## DHCP");
    let mut memory = [0; 576];
    let bytes = ack(&mut memory);
    let lease = ours(bytes);
    assert!(lease.is_some() && lease == dhcproto(bytes) && lease == smoltcp(bytes), "{lease:?}");
    assert_eq!(lease, edge_dhcp(bytes));
    table(
        "Read an ACK of ten options, to the fields of a lease",
        Ratio::Cpu,
        rounds,
        vec![
            Contender::new("**bringup**", || {
                repeat(TIMES, || _ = black_box(ours(black_box(bytes))))
            }),
            Contender::new("smoltcp wire", || {
                repeat(TIMES, || _ = black_box(smoltcp(black_box(bytes))))
            }),
            Contender::new("edge-dhcp", || {
                repeat(TIMES, || _ = black_box(edge_dhcp(black_box(bytes))))
            }),
            Contender::new("dhcproto", || {
                repeat(TIMES, || _ = black_box(dhcproto(black_box(bytes))))
            }),
        ],
    );
    let (mut a, mut b, mut c) = ([0; 576], [0; 576], Vec::with_capacity(576));
    let mut d = [0; 576];
    table(
        "Write a DISCOVER with client identifier, size and parameter list",
        Ratio::Cpu,
        rounds,
        vec![
            Contender::new("**bringup**", || {
                repeat(TIMES, || {
                    black_box(write_ours(&mut a));
                    black_box(&a);
                })
            }),
            Contender::new("smoltcp wire", || {
                repeat(TIMES, || {
                    black_box(write_smoltcp(&mut b));
                    black_box(&b);
                })
            }),
            Contender::new("edge-dhcp", || {
                repeat(TIMES, || {
                    black_box(write_edge_dhcp(&mut d));
                    black_box(&d);
                })
            }),
            Contender::new("dhcproto", || {
                repeat(TIMES, || {
                    black_box(write_dhcproto(&mut c));
                    black_box(&c);
                })
            }),
        ],
    );
}
