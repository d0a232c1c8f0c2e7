//! A private network for a program: namespaces, and veth pairs between them. For demonstrations and
//! tests; nothing here touches what is outside.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo, LinkMessage,
};

use super::netlink::Requests;
use super::sys;
use crate::error::{Operation, OsError, during};

/// Moves this program into a user and a network namespace of its own, in which it may do what it
/// likes with the network, and nothing elsewhere. Works only while the program has one thread
/// (`EINVAL` otherwise) and where the kernel allows it to its user.
pub fn enter() -> Result<(), OsError> {
    let (user, group) = sys::identity();
    let enter = || {
        sys::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET)?;
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("0 {group} 1"))
    };
    enter().map_err(during(Operation::Namespace))
}

/// Moves the calling thread alone into another, empty network namespace. Needs the privileges that
/// [`enter`] gives.
pub fn separate_thread() -> Result<(), OsError> {
    sys::unshare(libc::CLONE_NEWNET).map_err(during(Operation::Namespace))
}

/// The network namespace of the calling thread, to be handed to [`veth_pair`].
pub fn of_this_thread() -> Result<OwnedFd, OsError> {
    let file: io::Result<File> = File::open("/proc/thread-self/ns/net");
    file.map(OwnedFd::from).map_err(during(Operation::Namespace))
}

/// Makes two Ethernet interfaces with a cable between them, `near` here and `far` in another
/// namespace, or here too. Both are down.
pub fn veth_pair(near: &str, far: &str, far_in: Option<BorrowedFd<'_>>) -> Result<(), OsError> {
    let mut peer = LinkMessage::default();
    peer.attributes.push(LinkAttribute::IfName(far.into()));
    if let Some(namespace) = far_in {
        peer.attributes.push(LinkAttribute::NetNsFd(namespace.as_raw_fd()));
    }
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(near.into()));
    message.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
    ]));
    let message = RouteNetlinkMessage::NewLink(message);
    Requests::open()?.request(Operation::Namespace, message, NLM_F_CREATE | NLM_F_EXCL).map(drop)
}
